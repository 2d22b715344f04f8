// job_engine.ts: an engine of the jobs module, driven: exchanges to the transport, replies back, records and results to who
// keeps them.
//
//   step -> take everything out of the mailbox -> wait for a report or the engine's time, until it is idle
//
// Uploads are pulled out of the module when they start; downloads are handed over piece by piece, and offered again while
// the engine is at those before.

import type { Core } from './core.js';
import { Engine } from './engine.js';
import { blame, SheafError } from './errors.js';
import type { JobCalls, JobCore } from './job_core.js';
import { End, Kind, Lane, Mail, noticeNames, RecordType, Status } from './layout.js';
import { ResultReader } from './result.js';
import { random64 } from './state.js';
import { type Direct, type Failure, isDirect, type Transport } from './transport.js';
import type { Notice, Result } from './types.js';

export interface JobEngineSettings {
  transport: Transport;
  secrets: (string | undefined)[];
  keepBody: boolean;
  schedule: (turn: () => void) => void;
  onNotice: ((notice: Notice) => void) | undefined;
}

/** What an engine tells. */
export interface JobHome {
  /** Records are durable when it resolves. */
  append(frames: Uint8Array): Promise<void>;
  result(result: Result, lane: 'batch' | 'live', line: Uint8Array): void;
  /** The result of this row is in the store already: it is not sent. */
  isKnown(index: number): boolean;
  changed(job: JobStatusText): void;
  /** No row is under way by itself: the next step may be a job's last. */
  quiet(): void;
}

/** A job as the module tells of it. */
export interface JobStatusText {
  flight: number;
  state: string;
  provider?: string;
  endpoint?: string;
  model?: string;
  marker?: string;
  job?: string;
  message?: string;
  requests: number;
  bytes: number;
  completed?: number;
  failed?: number;
  ended: number;
  rescued: number;
  created_unix_ms?: number;
}

/** A record of an earlier run: flight (0: of none), type, content. */
export type RecordText = [flight: number, type: RecordType, content: Record<string, unknown>];

const noRow = 2 ** 53; // calls of jobs belong to none

/** One exchange under way. */
class JobFlight implements Direct {
  isOver = false;
  handle: unknown = undefined;
  readonly stream = false;
  private controller: AbortController | undefined;
  /** What came and the engine has not yet taken; and how it ended meanwhile. */
  readonly waiting: Uint8Array[] = [];
  ending: (() => void) | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly home: JobEngine, readonly id: number, readonly isRow: boolean, readonly method: string, readonly url: string,
    readonly headers: [string, string][], readonly body: Uint8Array<ArrayBuffer> | null,
  ) {}

  latin1(): null {
    return null;
  }

  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal;
  }

  abort(): void {
    this.controller?.abort();
  }

  head(status: number, lines: string): void {
    this.home.head(this, status, String(lines));
  }

  rawHead(status: number, lines: Uint8Array): void {
    this.home.head(this, status, lines);
  }

  data(chunk: Uint8Array): void {
    this.home.data(this, chunk);
  }

  end(): void {
    this.home.over(this, End.OK, '', true);
  }

  fail(how: Failure, message: string, retryable = true): void {
    this.home.over(this, how === 'not_sent' ? End.NOT_SENT : how === 'refused' ? End.REFUSED : End.BROKEN, String(message), retryable);
  }
}

export class JobEngine {
  private readonly engine: Engine;
  private readonly calls: JobCalls;
  private readonly core: Core;
  private readonly results: ResultReader;
  private readonly flights = new Map<number, JobFlight>();
  private readonly started = performance.now();
  private writes: Promise<void> = Promise.resolve();
  private liveRows = 0;
  private isTurning = false;
  private isPoked = false;
  private rouse: (() => void) | undefined;
  private failure: { error: unknown } | undefined;

  constructor({ core, calls }: JobCore, config: object, seed: bigint, private readonly settings: JobEngineSettings, private readonly home: JobHome) {
    this.core = core;
    this.calls = calls;
    this.engine = new Engine(core, config, seed);
    this.results = new ResultReader(this.engine, settings);
  }

  private get client(): number {
    return this.engine.client;
  }

  private checked(status: number): void {
    this.core.refresh();
    if (status !== 0) throw this.engine.failure(status);
  }

  // ---- Before it runs ----

  /** Records of earlier runs in. Answers what a new log begins with, how many bytes of the state are valid, and its records. */
  open(state: Uint8Array): { head: Uint8Array; valid: number; records: RecordText[] } {
    const { engine, calls } = this, [low, high] = Engine.words(random64());
    this.checked(this.core.withBytes(state, (at, bytes) => calls.use_jobs(this.client, at, bytes, low, high, Date.now())));
    const text = engine.text(Mail.text);
    return { head: engine.copy(Mail.bytes), valid: engine.f64(Mail.number), records: text ? (JSON.parse(text) as RecordText[]) : [] };
  }

  load(flight: number, bytes: Uint8Array): void {
    this.checked(this.core.withBytes(bytes, (at, count) => this.calls.spool_load(this.client, flight, at, count)));
  }

  ended(index: number): void {
    this.checked(this.calls.ended(this.client, index));
  }

  /** Takes a request. False: results that ended at once are in the way; take them first. */
  put(line: string, flags: number): boolean {
    const status = this.core.withText(line, (at, bytes) => this.calls.put(this.client, at, bytes, flags));
    this.core.refresh();
    if (status === 0) return true;
    if (status === Status.E_FULL) return false;
    throw this.engine.failure(status);
  }

  /** Takes what ended before anything ran. */
  drain(): void {
    this.take();
  }

  endInput(): void {
    this.calls.end(this.client, 0);
    this.core.refresh();
  }

  /** The frame of a record of the host's own, or of a decision. */
  frame(type: RecordType, payload: Uint8Array): Uint8Array {
    this.checked(this.core.withBytes(payload, (at, bytes) => this.calls.log_frame(this.client, type, at, bytes)));
    return this.engine.copy(Mail.bytes);
  }

  // ---- Running ----

  /** Until nothing is left to do in this run. */
  async run(): Promise<void> {
    const { calls } = this;
    for (;;) {
      this.turn();
      if (this.failure) throw this.failure.error;
      if (this.engine.isClosed) return;
      // A job that may go on at the next step is not waited for, but idle it is not.
      if (calls.is_idle(this.client) === 1 && calls.timeout(this.client) !== 0) {
        await this.writes;
        if (this.failure as { error: unknown } | undefined) continue;
        return;
      }
      await this.wake();
    }
  }

  private wake(): Promise<void> {
    if (this.isPoked) {
      this.isPoked = false;
      return new Promise((resolve) => this.settings.schedule(resolve));
    }
    const at = this.calls.timeout(this.client);
    return new Promise((resolve) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      this.rouse = () => {
        clearTimeout(timer);
        this.rouse = undefined;
        this.isPoked = false;
        this.settings.schedule(resolve);
      };
      if (at >= 0) timer = setTimeout(this.rouse, Math.min(Math.max(0, Math.ceil(at - this.now())), 2 ** 31 - 1));
    });
  }

  private poke(): void {
    this.isPoked = true;
    this.rouse?.();
  }

  /** Nothing new starts; what is under way is let end. */
  stop(): void {
    if (this.engine.isClosed) return;
    this.calls.end(this.client, 1);
    this.core.refresh();
    this.poke();
  }

  cancelJob(flight: number): void {
    this.calls.job_cancel(this.client, flight);
    this.core.refresh();
    this.poke();
  }

  private now(): number {
    return performance.now() - this.started + 1;
  }

  /** Steps, and takes all that is in the mailbox. */
  turn(): void {
    if (this.isTurning || this.engine.isClosed) return;
    this.isTurning = true;
    try {
      if (this.liveRows === 0) this.home.quiet();
      this.calls.step(this.client, this.now(), Date.now());
      this.core.refresh();
      this.take();
      for (const flight of [...this.flights.values()]) this.offer(flight);
    } finally {
      this.isTurning = false;
    }
  }

  private take(): void {
    const { engine } = this;
    for (;;) {
      const kind = this.calls.next(this.client);
      this.core.refresh();
      if (kind === 0) return;
      if (kind === Kind.START) this.start();
      else if (kind === Kind.RESULT) this.finish();
      else if (kind === Kind.CANCEL) this.cancelled(engine.f64(Mail.exchange));
      else if (kind === Kind.APPEND) this.append();
      else if (kind === Kind.JOB) this.home.changed(JSON.parse(engine.text(Mail.text)) as JobStatusText);
      else if (kind === Kind.NOTICE) this.notice();
    }
  }

  private append(): void {
    const ticket = this.engine.f64(Mail.ticket), frames = this.engine.copy(Mail.bytes);
    const stored = (status: number): void => {
      if (this.engine.isClosed) return;
      this.calls.on_stored(this.client, ticket, status);
      this.core.refresh();
      this.poke();
    };
    const kept = this.home.append(frames); // begun at once: frames go in the order in which they were made
    kept.catch(() => {}); // it is waited for below, perhaps later than it fails
    this.writes = this.writes.then(() => kept).then(() => stored(0), (error: unknown) => {
      this.failure ??= { error };
      stored(Status.E_STORE);
    });
  }

  private finish(): void {
    const { engine, home } = this;
    const lane = engine.u32(Mail.lane) === Lane.BATCH ? 'batch' : 'live';
    if (home.isKnown(engine.f64(Mail.index))) return;
    const result = this.results.read();
    this.checked(this.calls.line(this.client));
    home.result(result, lane, engine.copy(Mail.bytes));
  }

  private notice(): void {
    const { engine } = this;
    try {
      this.settings.onNotice?.({
        type: noticeNames[engine.u32(Mail.notice)] as Notice['type'],
        message: engine.text(Mail.message), number: engine.f64(Mail.number), endpoint: engine.u32(Mail.endpoint),
      });
    } catch (error) {
      blame(error);
    }
  }

  // ---- Exchanges ----

  private start(): void {
    const { engine, settings } = this;
    const id = engine.f64(Mail.exchange), timeout = engine.f64(Mail.timeout_ms), index = engine.f64(Mail.index);
    const slots = JSON.parse(engine.text(Mail.headers)) as [string, string, number][];
    const headers: [string, string][] = [];
    for (const [name, value, credential] of slots) {
      const secret = credential === 0 ? '' : settings.secrets[credential - 1];
      if (secret !== undefined) headers.push([name, value + secret]);
    }
    const method = engine.text(Mail.method), url = engine.text(Mail.url);
    const pulled = engine.f64(Mail.number), given = engine.u32(Mail.bytes + 4);
    const body = given > 0 ? engine.copy(Mail.bytes) : pulled > 0 ? this.pull(id, pulled) : null;
    const flight = new JobFlight(this, id, index < noRow, method, url, headers, body);
    this.flights.set(id, flight);
    if (flight.isRow) this.liveRows++;
    if (index < noRow && this.home.isKnown(index)) {
      this.over(flight, End.REFUSED, 'its result is known', false);
      return;
    }
    if (timeout >= 0) flight.timer = setTimeout(() => this.abandon(flight, End.TIMEOUT, 'no whole reply came in time'), Math.min(timeout, 2 ** 31 - 1));
    const { transport } = settings;
    try {
      if (isDirect(transport)) transport.start(flight, flight);
      else {
        const begun: unknown = transport.start(
          { id, method, url, headers, body, stream: false, get signal() { return flight.signal; } },
          {
            head: (status, lines) => flight.head(status, lines), data: (chunk) => flight.data(chunk), end: () => flight.end(),
            fail: (how, message, retryable) => flight.fail(how, message, retryable),
          });
        if (begun instanceof Promise) begun.catch((error: unknown) => this.over(flight, End.BROKEN, textOf(error), true));
      }
    } catch (error) {
      this.over(flight, End.REFUSED, textOf(error), false);
    }
  }

  /** An upload, out of the module. */
  private pull(exchange: number, bytes: number): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(bytes);
    for (let at = 0; at < bytes;) {
      this.checked(this.calls.body(this.client, exchange, at));
      const piece = this.engine.copy(Mail.bytes);
      if (piece.length === 0) throw new SheafError('an upload ended early', 'E_CORRUPT');
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  head(flight: JobFlight, status: number, lines: string | Uint8Array): void {
    if (flight.isOver || this.engine.isClosed) return;
    const address = typeof lines === 'string' ? this.core.put(lines) : this.core.lay(lines);
    this.calls.on_head(this.client, flight.id, status, address, this.core.putBytes);
    this.core.refresh();
    this.poke();
  }

  data(flight: JobFlight, chunk: Uint8Array): void {
    if (flight.isOver || this.engine.isClosed) return;
    if (flight.waiting.length > 0) flight.waiting.push(chunk.slice());
    else if (!this.deliver(flight, chunk)) {
      flight.waiting.push(chunk.slice());
      this.turn(); // makes room, and offers it again
    }
    this.poke();
  }

  /** False: the engine is full. */
  private deliver(flight: JobFlight, chunk: Uint8Array): boolean {
    const address = this.core.lay(chunk);
    const status = address === 0 ? Status.E_NOMEM : this.calls.on_data(this.client, flight.id, address, this.core.putBytes);
    this.core.refresh();
    if (status === Status.E_FULL) return false;
    if (status === Status.E_LIMIT || status === Status.E_NOMEM) this.abandon(flight, End.TOO_LARGE, 'the reply is too large');
    return true;
  }

  private offer(flight: JobFlight): void {
    while (flight.waiting.length > 0 && !flight.isOver) {
      if (!this.deliver(flight, flight.waiting[0] as Uint8Array)) return;
      flight.waiting.shift();
      this.poke();
    }
    flight.ending?.();
  }

  over(flight: JobFlight, end: End, message: string, retryable: boolean): void {
    if (flight.isOver || this.engine.isClosed) return;
    if (flight.waiting.length > 0 && end !== End.CANCELLED) {
      flight.ending ??= () => {
        flight.ending = undefined;
        this.over(flight, end, message, retryable);
      };
      this.poke();
      return;
    }
    flight.isOver = true;
    clearTimeout(flight.timer);
    this.flights.delete(flight.id);
    if (flight.isRow) this.liveRows--;
    const address = this.core.put(message);
    this.calls.on_done(this.client, flight.id, end, retryable ? 1 : 0, address, this.core.putBytes);
    this.core.refresh();
    this.poke();
  }

  private abandon(flight: JobFlight, end: End, message: string): void {
    flight.waiting.length = 0;
    this.over(flight, end, message, true);
    this.quit(flight);
  }

  private quit(flight: JobFlight): void {
    try {
      flight.abort();
      this.settings.transport.cancel?.(flight);
    } catch (error) {
      blame(error);
    }
  }

  private cancelled(id: number): void {
    const flight = this.flights.get(id);
    if (flight) this.abandon(flight, End.CANCELLED, '');
  }

  // ---- Spools ----

  /** A flight whose rows are to be stored; 0: there is none. */
  nextSealed(): number {
    return this.calls.spool_take(this.client) === 1 ? this.engine.f64(Mail.number) : 0;
  }

  /** Bytes of a spool from an offset on: at most so many, none at its end. */
  spooled(flight: number, offset: number, most: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    while (bytes < most) {
      this.calls.spool_piece(this.client, flight, offset + bytes);
      const piece = this.engine.copy(Mail.bytes).subarray(0, most - bytes);
      if (piece.length === 0) break;
      pieces.push(piece);
      bytes += piece.length;
    }
    const all = new Uint8Array(bytes);
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  /** A flight whose rows nobody needs any more; 0: there is none. */
  nextForgotten(): number {
    return this.calls.spool_forget(this.client);
  }

  // ---- What is known ----

  jobs(): JobStatusText[] {
    const all: JobStatusText[] = [];
    for (let n = 0; this.calls.job_at(this.client, n) === 0; n++) {
      this.core.refresh();
      all.push(JSON.parse(this.engine.text(Mail.text)) as JobStatusText);
    }
    return all;
  }

  /** For results that are read out of lines. */
  toolsOf(line: Uint8Array): Result['toolCalls'] {
    this.core.withBytes(line, (at, bytes) => this.calls.tools(this.client, at, bytes));
    const found = this.engine.text(Mail.tool_calls);
    return found ? (JSON.parse(found) as Result['toolCalls']) : [];
  }

  get keepsBody(): boolean {
    return this.settings.keepBody;
  }

  /** Lets go of the module's memory, after what is being stored is stored. */
  async close(): Promise<void> {
    if (this.engine.isClosed) return;
    await this.writes;
    if (this.engine.isClosed) return;
    this.engine.isClosed = true;
    for (const flight of this.flights.values()) {
      flight.isOver = true;
      clearTimeout(flight.timer);
      this.quit(flight);
    }
    this.calls.close_jobs(this.client);
    this.rouse?.();
  }
}

function textOf(error: unknown): string {
  return String((error as Error | undefined)?.message ?? error);
}
