// flight.ts: attempts under way: what is to be sent goes to a transport or a task, what is reported of it to the engine.

import type { Driver, Row, Task } from './driver.js';
import type { Engine } from './engine.js';
import { blame } from './errors.js';
import { End, Flag, Mail, Status } from './layout.js';
import { type Direct, type Exchange, type Failure, isDirect, type Reply, type Transport } from './transport.js';

/** What exchanges with one key have in common. Transports may keep what they make of `headers`, the array being the same. */
interface Place {
  readonly method: string;
  readonly url: string;
  readonly headers: [string, string][];
}

const placesMost = 256;

/** One attempt under way: what is to be sent, and what is reported of it. What comes after its end is not looked at. */
export class Flight implements Direct {
  isOver = false;
  controller: AbortController | undefined = undefined;
  exchange: Exchange | undefined = undefined;
  handle: unknown = undefined;

  constructor(
    private readonly flights: Flights, readonly id: number, readonly row: Row, readonly until: number,
    private readonly place: Place | undefined, readonly stream: boolean, readonly transport: Transport | undefined,
  ) {}

  get method(): string {
    return (this.place as Place).method;
  }

  get url(): string {
    return (this.place as Place).url;
  }

  get headers(): [string, string][] {
    return (this.place as Place).headers;
  }

  get body(): Uint8Array<ArrayBuffer> | null {
    return this.flights.bodyOf(this);
  }

  latin1(): string | null {
    return this.flights.latin1Of(this);
  }

  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal;
  }

  head(status: number, headers: string): void {
    this.flights.head(this, status, headers);
  }

  rawHead(status: number, lines: Uint8Array): void {
    this.flights.head(this, status, lines);
  }

  data(chunk: Uint8Array): void {
    this.flights.data(this, chunk);
  }

  end(): void {
    this.flights.over(this, End.OK, '', true);
  }

  fail(how: Failure, message: string, retryable = true): void {
    this.flights.over(this, how === 'not_sent' ? End.NOT_SENT : how === 'refused' ? End.REFUSED : End.BROKEN, message, retryable);
  }
}

/** What a driver is to its flights. */
export type Home = Pick<Driver, 'rows' | 'settings' | 'now' | 'poke'>;

export class Flights {
  inFlight = 0;
  private readonly places = new Map<number, Place>();
  private sweep: ReturnType<typeof setTimeout> | undefined;
  private starting: Flight | undefined;

  constructor(private readonly home: Home, private readonly engine: Engine) {}

  /** Begins what the mailbox says; `clock` is the time of the step that decided so. */
  start(clock: number): void {
    const { core, mail } = this.engine;
    const timeout = core.f64(mail + Mail.timeout_ms);
    const row = this.home.rows[core.u32(mail + Mail.user)] as Row;
    const { task } = row;
    const flight = new Flight(
      this, core.f64(mail + Mail.exchange), row, timeout < 0 ? Infinity : clock + timeout, task ? undefined : this.placeOf(),
      (core.u32(mail + Mail.flags) & Flag.STREAM) !== 0, task ? undefined : row.transport ?? this.home.settings.transport,
    );
    row.isStarted = true;
    row.flight = flight;
    this.inFlight++;
    if (timeout >= 0 && this.sweep === undefined) this.watch(timeout);
    if (task) this.runTask(flight, task);
    else this.send(flight, flight.transport as Transport);
    this.home.settings.onStart?.();
  }

  private send(flight: Flight, transport: Transport): void {
    this.starting = flight;
    try {
      if (isDirect(transport)) {
        flight.exchange = flight;
        transport.start(flight, flight);
      } else {
        flight.exchange = plainExchange(flight);
        const begun: unknown = transport.start(flight.exchange, plainReply(flight));
        if (begun instanceof Promise) begun.catch((error: unknown) => this.over(flight, End.BROKEN, textOf(error), true));
      }
    } catch (error) {
      this.over(flight, End.REFUSED, textOf(error), false);
    } finally {
      this.starting = undefined;
    }
  }

  /** The body lies in the module's memory, and may move at the next call. */
  bodyOf(flight: Flight): Uint8Array<ArrayBuffer> | null {
    const { core, mail } = this.engine;
    if (this.starting !== flight || core.u32(mail + Mail.bytes + 4) === 0) return null;
    return flight.exchange === flight ? core.lend(mail + Mail.bytes) : core.copy(mail + Mail.bytes);
  }

  latin1Of(flight: Flight): string | null {
    return (this.starting === flight && this.engine.core.latin1(this.engine.mail + Mail.bytes)) || null;
  }

  /** Equal keys have equal headers; secrets fill their slots here and nowhere else. Key 0 equals nothing. */
  private placeOf(): Place {
    const { engine, places } = this;
    const key = engine.f64(Mail.same_key);
    let place = places.get(key);
    if (place === undefined) {
      const slots = JSON.parse(engine.text(Mail.headers)) as [string, string, number][];
      const headers: [string, string][] = [];
      for (const [name, value, credential] of slots) {
        const secret = credential === 0 ? '' : this.home.settings.secrets[credential - 1];
        if (secret !== undefined) headers.push([name, value + secret]);
      }
      place = { method: engine.text(Mail.method), url: engine.text(Mail.url), headers };
      if (places.size > placesMost) places.clear();
      if (key !== 0) places.set(key, place);
    }
    return place;
  }

  // ---- What is reported ----

  head(flight: Flight, status: number, lines: string | Uint8Array): void {
    if (flight.isOver) return;
    const { core, calls, client } = this.engine;
    const address = typeof lines === 'string' ? core.put(lines) : core.lay(lines);
    calls.on_head(client, flight.id, status, address, core.putBytes);
    core.refresh();
  }

  data(flight: Flight, chunk: Uint8Array): void {
    if (flight.isOver) return;
    const { core, calls, client } = this.engine;
    const address = core.lay(chunk);
    const status = address === 0 ? Status.E_NOMEM : calls.on_data(client, flight.id, address, core.putBytes);
    core.refresh();
    if (status === Status.E_LIMIT || status === Status.E_NOMEM) this.stop(flight, End.TOO_LARGE);
    else if (flight.stream) this.home.poke();
  }

  /** The end of an attempt, however it came. The first one counts. */
  over(flight: Flight, end: End, message: string, retryable: boolean): void {
    if (flight.isOver || this.engine.isClosed) return;
    this.land(flight);
    const { core, calls, client } = this.engine;
    const address = core.put(message);
    calls.on_done(client, flight.id, end, retryable ? 1 : 0, address, core.putBytes);
    core.refresh();
    this.home.poke();
  }

  private land(flight: Flight): void {
    flight.isOver = true;
    flight.row.flight = undefined;
    this.inFlight--;
  }

  // ---- What ends it from this side ----

  cancelled(id: number): void {
    const row = this.home.rows.find((row) => row?.flight?.id === id);
    if (row) this.stop(row.flight as Flight, End.CANCELLED);
  }

  private stop(flight: Flight, end: End): void {
    const message = end === End.TIMEOUT ? 'no whole reply came in time' : end === End.TOO_LARGE ? 'the reply is too large' : '';
    this.over(flight, end, message, true);
    try {
      flight.controller?.abort();
      if (flight.exchange) flight.transport?.cancel?.(flight.exchange);
    } catch (error) {
      blame(error);
    }
  }

  /** One look at all deadlines now and then instead of a timer for each. */
  private watch(timeout: number): void {
    const period = Math.min(250, Math.max(5, timeout / 10));
    this.sweep = setTimeout(() => {
      this.sweep = undefined;
      const now = this.home.now();
      let shortest = Infinity;
      for (const row of this.home.rows) {
        const flight = row?.flight;
        if (!flight) continue;
        if (flight.until <= now) this.stop(flight, End.TIMEOUT);
        else shortest = Math.min(shortest, flight.until - now);
      }
      if (shortest !== Infinity) this.watch(shortest);
    }, period);
  }

  /** Nobody waits for anything: no timer keeps the process alive. */
  rest(): void {
    clearTimeout(this.sweep);
    this.sweep = undefined;
  }

  // ---- Tasks ----

  private runTask(flight: Flight, task: Task): void {
    const failed = (error: unknown): void => this.taskFailed(flight, task, error);
    let outcome: unknown;
    try {
      outcome = task.run(() => flight.signal);
    } catch (error) {
      failed(error);
      return;
    }
    if (typeof (outcome as PromiseLike<unknown> | undefined)?.then === 'function')
      (outcome as PromiseLike<unknown>).then((value) => this.taskDone(flight, task, value), failed);
    else this.taskDone(flight, task, outcome);
  }

  private taskDone(flight: Flight, task: Task, value: unknown): void {
    if (flight.isOver || this.engine.isClosed) return;
    task.took(value);
    this.taskOver(flight, End.OK, 200, true, -1, '');
  }

  private taskFailed(flight: Flight, task: Task, error: unknown): void {
    if (flight.isOver || this.engine.isClosed) return;
    let verdict: ReturnType<Task['judge']>;
    try {
      verdict = task.judge(error);
    } catch (broken) {
      blame(broken);
      verdict = { status: 400, retryable: false, retryAfterMs: -1, message: 'classify failed' };
    }
    const { status, retryable, retryAfterMs, message } = verdict;
    this.taskOver(flight, status === 0 ? End.BROKEN : End.OK, status, retryable, retryAfterMs, message);
  }

  private taskOver(flight: Flight, end: End, status: number, retryable: boolean, retryAfterMs: number, message: string): void {
    this.land(flight);
    const { core, calls, client } = this.engine;
    const address = message === '' ? 0 : core.put(message);
    calls.on_task(
      client, flight.id, end, status, retryable ? 1 : 0, retryAfterMs, -1, -1, address,
      address === 0 ? 0 : core.putBytes,
    );
    core.refresh();
    this.home.poke();
  }
}

function textOf(error: unknown): string {
  return String((error as Error | undefined)?.message ?? error);
}

/** What others' transports are given: plain objects, so that they may be copied, changed and taken apart. */
function plainExchange(flight: Flight): Exchange {
  const { id, method, url, headers, body, stream } = flight;
  return {
    id, method, url, headers, body, stream,
    get signal() {
      return flight.signal;
    },
  };
}

function plainReply(flight: Flight): Reply {
  return {
    head: (status, headers) => flight.head(status, String(headers)),
    data: (chunk) => flight.data(chunk),
    end: () => flight.end(),
    fail: (how, message, retryable) => flight.fail(how, String(message), retryable),
  };
}
