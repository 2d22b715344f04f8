// http_undici.ts: undici's dispatcher, where the user has installed it (an optional peer): the fastest in Node.
//
// How many go out at a time is the engine's business, so each exchange gets a connection of its own (a Client of undici,
// which opens it anew when it must) and no pool of theirs looks for one.

import { guarded, rawLines, targetsOf } from './http.js';
import { type Direct, failureOf, type Transport } from './transport.js';

/** What is used of undici, so that its types are not needed to compile. */
export interface Undici {
  Client: new (origin: string, options: object) => Dispatcher;
}

interface Dispatcher {
  dispatch(options: object, handler: object): boolean;
  destroy(): Promise<void>;
}

/** Connections to one origin, and what all exchanges with the same headers have in common. */
interface Target {
  url: string;
  idle: Dispatcher[];
  origin: string;
  path: string;
  headers: string[];
}

const decoder = new TextDecoder('latin1');

/**
 * The lines of a head. Names and values are pieces of what came from the socket, so that as a rule the whole block can be
 * taken in one piece; whether it can is seen by its length.
 */
function report(flight: Direct, status: number, raw: (Uint8Array | string)[]): void {
  const first = raw[0], last = raw[raw.length - 1];
  if (typeof first === 'object' && typeof last === 'object' && first.buffer === last.buffer) {
    let bytes = raw.length * 2 - 2; // ": " and CRLF
    for (const piece of raw) bytes += piece.length;
    if (last.byteOffset + last.length - first.byteOffset === bytes) {
      flight.rawHead(status, new Uint8Array(first.buffer, first.byteOffset, bytes));
      return;
    }
  }
  flight.head(status, rawLines(raw.map((piece) => (typeof piece === 'string' ? piece : decoder.decode(piece)))));
}

/** Follows one exchange. Both are undici's names: those of 7, and below those of 8, which 7 takes by a longer way. */
class Handler {
  hasReply = false;
  isCancelled = false;
  private abort: ((error: Error) => void) | undefined = undefined;

  constructor(readonly flight: Direct, readonly target: Target, readonly client: Dispatcher) {}

  onConnect(abort: (error: Error) => void): void {
    this.abort = abort;
    if (this.isCancelled) this.destroy();
  }

  /** Before there is a connection undici knows no way to: then as soon as there is one. */
  destroy(): void {
    this.isCancelled = true;
    this.abort?.(new Error('cancelled'));
  }

  onHeaders(status: number, raw: Uint8Array[]): boolean {
    if (status < 200) return true;
    this.hasReply = true;
    report(this.flight, status, raw);
    return true;
  }

  onData(chunk: Uint8Array): boolean {
    this.flight.data(chunk);
    return true;
  }

  onComplete(): void {
    this.target.idle.push(this.client);
    this.flight.end();
  }

  onError(error: unknown): void {
    this.target.idle.push(this.client);
    const { how, message, retryable } = failureOf(error);
    this.flight.fail(this.hasReply ? 'broken' : how, message, retryable);
  }
}

class Handler8 {
  constructor(private readonly inner: Handler) {}

  onRequestStart(controller: { abort(error: Error): void }): void {
    this.inner.onConnect((error) => controller.abort(error));
  }

  onResponseStart(controller: { rawHeaders?: Uint8Array[] }, status: number, parsed: Record<string, string | string[]>): void {
    const raw = controller.rawHeaders ?? Object.entries(parsed).flatMap(([name, value]) => [name, String(value)]);
    this.inner.onHeaders(status, raw as Uint8Array[]);
  }

  onResponseData(_: unknown, chunk: Uint8Array): void {
    this.inner.onData(chunk);
  }

  onResponseEnd(): void {
    this.inner.onComplete();
  }

  onResponseError(_: unknown, error: unknown): void {
    this.inner.onError(error);
  }
}

export function undiciTransport(undici: Undici): Transport {
  const settings = { pipelining: 1, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30000 };
  const idleOf = new Map<string, Dispatcher[]>();
  const clients: Dispatcher[] = [];
  let isOld = true;

  const targetOf = targetsOf<Target>(({ url, headers }, { origin, pathname, search }) => {
    const idle = idleOf.get(origin) ?? [];
    idleOf.set(origin, idle);
    return { url, idle, origin, path: pathname + search, headers: headers.flat() };
  });

  const start = (exchange: Direct): void => {
    const target = targetOf(exchange);
    const { path, headers, idle, origin } = target;
    let client = idle.pop();
    if (!client) {
      client = new undici.Client(origin, settings);
      clients.push(client);
    }
    const handler = new Handler(exchange, target, client);
    exchange.handle = handler;
    const options = { path, method: exchange.method, headers, body: exchange.body };
    if (isOld) {
      try {
        client.dispatch(options, handler);
        return;
      } catch {
        isOld = false; // undici 8 throws at a handler with the old names; 7 throws at none
      }
    }
    client.dispatch(options, new Handler8(handler));
  };

  return guarded(start, async () => {
    await Promise.all(clients.map((client) => client.destroy()));
  });
}
