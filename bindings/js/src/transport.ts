// transport.ts: how one exchange goes over the wire, and the transport that every runtime has: fetch.

/** One call that is to be made. Keys are filled in. */
export interface Exchange {
  readonly id: number;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array<ArrayBuffer> | null;
  readonly stream: boolean;
  /** Fires when the exchange is cancelled or its time is over. Made when first asked for. */
  readonly signal: AbortSignal;
}

/** How an exchange ended without a whole reply. */
export type Failure = 'not_sent' | 'broken' | 'refused';

/** What the transport reports: head, any number of data, then end or fail, once. */
export interface Reply {
  head(status: number, headers: string): void;
  data(bytes: Uint8Array): void;
  end(): void;
  /** `retryable` false: another try cannot help. */
  fail(how: Failure, message: string, retryable?: boolean): void;
}

export interface Transport {
  start(exchange: Exchange, reply: Reply): void;
  /** The reply ends by itself after this, or never: nothing more of it is looked at. */
  cancel?(exchange: Exchange): void;
  close?(): void | Promise<void>;
}

/**
 * What the package's own transports are given: exchange and reply in one object, which costs little to make. Its body is
 * to be read before `start` returns. Other people's transports get plain objects.
 */
export interface Direct extends Exchange, Reply {
  /** For the transport's own use; if it has `destroy`, that cancels. */
  handle: unknown;
  /** The body as one character a byte, where that is quicker; or null. Also to be read before `start` returns. */
  latin1(): string | null;
  /** `head` with the lines as bytes; lines may end in CRLF. */
  rawHead(status: number, lines: Uint8Array): void;
}

/** Also known to what "sheaf/jobs" loads, which is another script. */
const own = Symbol.for('sheaf.direct');

/** Says that a transport works with `Direct`: `exchange` and `reply` of `start` are the same object then. */
export function direct(transport: Transport): Transport {
  return Object.assign(transport, { [own]: true });
}

export function isDirect(transport: Transport): boolean {
  return own in transport;
}

/** "name: value" lines, as the core reads them. */
function headerLines(headers: Iterable<[string, string]>): string {
  let lines = '';
  for (const [name, value] of headers) if (isRead(name)) lines += `${name}: ${value}\n`;
  return lines;
}

const known = new Map<string, boolean>();

/** Whether the core may read a header: of thirty that a provider sends it knows eleven (date, limits, retries, identity, type, uploads). */
export function isRead(name: string): boolean {
  let is = known.get(name);
  if (is === undefined) {
    is = /date|type|limit|retry|reset|quota|request-id|upload-url/i.test(name);
    if (known.size < 1000) known.set(name, is);
  }
  return is;
}

const notSent = new Set([
  'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'ConnectionRefused',
  'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);
const trust = /CERT|_TLS_/;

/** Tells what never left from what may have been received, by the code of the runtime's error. */
export function failureOf(error: unknown): { how: Failure; message: string; retryable: boolean } {
  const outer = error as { message?: string; code?: string; cause?: { code?: string; message?: string } } | undefined;
  const code = outer?.cause?.code ?? outer?.code ?? '';
  const message = outer?.cause?.message ?? outer?.message ?? String(error);
  return {
    how: notSent.has(code) ? 'not_sent' : 'broken',
    message: code && !message.includes(code) ? `${message} (${code})` : message,
    retryable: !(notSent.has(code) && trust.test(code)),
  };
}

async function overFetch(fetch: typeof globalThis.fetch, exchange: Exchange, reply: Reply): Promise<void> {
  let response: Response;
  try {
    response = await fetch(exchange.url, {
      method: exchange.method,
      headers: exchange.headers as [string, string][],
      body: exchange.body,
      redirect: 'manual', // a key never follows a redirect
      signal: exchange.signal,
    });
  } catch (error) {
    const { how, message, retryable } = failureOf(error);
    reply.fail(how, message, retryable);
    return;
  }
  if (response.type === 'opaqueredirect') {
    reply.fail('refused', 'the server redirects: set baseURL to where it points', false);
    return;
  }
  reply.head(response.status, headerLines(response.headers));
  try {
    // Also a reply in one piece is read by its pieces: arrayBuffer() makes several promises more of it.
    const reader = response.body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      if (!piece?.value) break;
      reply.data(piece.value);
    }
  } catch (error) {
    reply.fail('broken', failureOf(error).message);
    return;
  }
  reply.end();
}

/** fetch as transport. It is called without a receiver, as browsers and workers want it. */
export function fetchTransport(fetch?: typeof globalThis.fetch): Transport {
  const chosen = fetch ?? ((...args: Parameters<typeof globalThis.fetch>) => globalThis.fetch(...args));
  return direct({
    start(exchange, reply) {
      void overFetch(chosen, exchange, reply);
    },
  });
}
