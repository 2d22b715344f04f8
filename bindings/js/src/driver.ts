// driver.ts: one engine, driven: requests in, exchanges to the transport, replies back, results to their rows.
//
//   feed -> step -> take everything out of the mailbox -> wait for a report or the engine's time
//
// A turn is scheduled, never nested: reports only note and ask for a turn. One driver belongs to one client; where a
// runtime ties I/O to a request (workers), so does the client.

import type { Core } from './core.js';
import { blame, SheafError } from './errors.js';
import { type Direct, type Exchange, type Failure, isDirect, type Reply, type Transport } from './transport.js';
import type { Notice, Result, TokenEvent, Usage } from './types.js';
import type { ErrorClass, MailField } from './generated.js';

/** Who waits for a row. */
export interface Row {
  /** Ends the row, once; a task ends by its own `ended`. */
  done?(result: Result): void;
  /** The same in place of `done`, while the mailbox holds the result: `facts`, `line`, `result` read it. */
  taken?(driver: Driver): void;
  token?(event: TokenEvent): void;
  discard?(event: { index: number; customId: string }): void;
  /** Runs it instead of an exchange. */
  readonly task?: Task;
  readonly transport?: Transport | undefined;
  /** The engine's number for it, to cancel by; -1 before it is in. */
  index: number;
  /** An attempt began. */
  isStarted?: boolean;
  /** The attempt that is under way. */
  flight?: Flight | undefined;
}

export interface Task {
  /** One attempt. `signal` makes the signal that ends it, when asked for. */
  run(signal: () => AbortSignal): Promise<unknown> | unknown;
  /** An attempt that is waited for came to this. */
  took(value: unknown): void;
  judge(error: unknown): { status: number; retryable: boolean; retryAfterMs: number; message: string };
  /** It is over, once; `why` reads the reason of a failure. */
  ended(ok: boolean, why: () => string): void;
}

/** A source of rows: `false`: none now. */
export interface Feeder {
  feed(driver: Driver): boolean;
}

export interface DriverSettings {
  transport: Transport;
  secrets: (string | undefined)[];
  keepBody: boolean;
  onNotice: ((notice: Notice) => void) | undefined;
  onLog: ((frames: Uint8Array) => void | Promise<void>) | undefined;
  schedule: (turn: () => void) => void;
  /** An attempt was begun. */
  onStart?: () => void;
}

/** What exchanges with one key have in common. Transports may keep what they make of `headers`, the array being the same. */
interface Place {
  readonly method: string;
  readonly url: string;
  readonly headers: [string, string][];
}

type End = 'OK' | 'NOT_SENT' | 'BROKEN' | 'TIMEOUT' | 'TOO_LARGE' | 'CANCELLED' | 'REFUSED';

const ends: Record<Failure, End> = { not_sent: 'NOT_SENT', broken: 'BROKEN', refused: 'REFUSED' };

/** One attempt under way: what is to be sent, and what is reported of it. What comes after its end is not looked at. */
export class Flight implements Direct {
  isOver = false;
  controller: AbortController | undefined = undefined;
  exchange: Exchange | undefined = undefined;
  handle: unknown = undefined;

  constructor(
    private readonly driver: Driver, readonly id: number, readonly row: Row, readonly until: number,
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
    return this.driver.bodyOf(this);
  }

  latin1(): string | null {
    return this.driver.latin1Of(this);
  }

  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal;
  }

  head(status: number, headers: string): void {
    this.driver.onHead(this, status, headers);
  }

  rawHead(status: number, lines: Uint8Array): void {
    this.driver.onHead(this, status, lines);
  }

  data(chunk: Uint8Array): void {
    this.driver.onData(this, chunk);
  }

  end(): void {
    this.driver.over(this, 'OK', '', true);
  }

  fail(how: Failure, message: string, retryable = true): void {
    this.driver.over(this, ends[how] ?? 'BROKEN', message, retryable);
  }
}

const noticeTypes: Record<string, Notice['type']> = {
  NOTICE_PAUSED: 'paused', NOTICE_BREAKER_OPEN: 'breaker_open', NOTICE_BREAKER_CLOSED: 'breaker_closed',
  NOTICE_KEY_STOPPED: 'key_stopped', NOTICE_BUDGET: 'budget', NOTICE_RESENT_UNKNOWN: 'resent_unknown',
  NOTICE_STORE_FAILED: 'store_failed', NOTICE_RUN_DEADLINE: 'run_deadline',
};

const TEXT = { stats: 0, openmetrics: 1, line: 2 } as const;
const END = { input: 0, drain: 1, abort: 2 } as const;

export class Driver {
  readonly client: number;
  private readonly mail: number;
  private readonly at: Record<MailField, number>;
  private readonly constant: Record<string, number>;
  private readonly flag: Record<'stream' | 'ok' | 'attempted' | 'retryable' | 'resent' | 'estimated' | 'prompt', number>;
  private readonly rows: (Row | undefined)[] = [];
  private readonly free: number[] = [];
  private readonly places = new Map<number, Place>();
  private readonly feeders: Feeder[] = [];
  private readonly started = performance.now();
  private readonly run = (): void => {
    this.isScheduled = false;
    this.turn();
  };
  private readonly why = (): string => this.text('error_message');
  private clock = 1;
  private isScheduled = false;
  private isTurning = false;
  private isWantedAgain = false;
  private isClosing = false;
  private isClosed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private timerAt = Infinity;
  private sweep: ReturnType<typeof setTimeout> | undefined;
  private starting: Flight | undefined;
  private idle: (() => void)[] = [];
  // What repeats from result to result is kept as one text.
  private model = '';
  private finishReason = '';
  private provider = '';
  private endpoint = '';
  inFlight = 0;

  constructor(private readonly core: Core, config: object, seed: bigint, private readonly settings: DriverSettings) {
    const { calls, abi } = core;
    const low = Number(seed & 0xffffffffn), high = Number((seed >> 32n) & 0xffffffffn);
    this.client = core.withText(JSON.stringify(config), (at, bytes) => calls.open(at, bytes, low, high));
    this.mail = calls.mail(this.client);
    this.at = core.at as Record<MailField, number>;
    const bit = (name: string): number => abi.constants[`FLAG_${name}`] as number;
    this.constant = abi.constants;
    this.flag = {
      stream: bit('STREAM'), ok: bit('OK'), attempted: bit('ATTEMPTED'), retryable: bit('RETRYABLE'), resent: bit('RESENT'),
      estimated: bit('ESTIMATED'), prompt: bit('PROMPT'),
    };
    if (this.client === 0) throw this.failure(this.u32('status'));
  }

  private u32(field: MailField): number {
    return this.core.u32(this.mail + this.at[field]);
  }

  private f64(field: MailField): number {
    return this.core.f64(this.mail + this.at[field]);
  }

  private text(field: MailField): string {
    return this.core.text(this.mail + this.at[field]);
  }

  private failure(status: number): SheafError {
    const code = Object.entries(this.core.abi.status).find(([, number]) => number === (status | 0))?.[0] ?? 'E_INTERNAL';
    const field = camel(this.text('field'));
    const message = this.text('message');
    return new SheafError(field ? `${field}: ${message}` : message, code, field || undefined);
  }

  private now(): number {
    return performance.now() - this.started + 1;
  }

  // ---- Requests in ----

  /**
   * Takes a row: a line of the input format, or a bare prompt. False: the engine is full, come back when it asks. Throws
   * what is wrong with the request.
   */
  submit(line: string, row: Row, isPrompt = false): boolean {
    this.check();
    const flags = (row.token ? this.flag.stream : 0) | (isPrompt ? this.flag.prompt : 0);
    const address = this.core.put(line);
    if (address === 0) throw new SheafError('no memory', 'E_NOMEM');
    const user = this.place(row);
    return this.admitted(this.core.calls.submit(this.client, address, this.core.putBytes, user, flags), user, row);
  }

  submitTask(row: Row, priority: number, deadlineMs: number): boolean {
    this.check();
    const user = this.place(row);
    return this.admitted(this.core.calls.submit_task(this.client, user, priority, deadlineMs, 0), user, row);
  }

  // ---- Runs that go on with an earlier one; what the calls do stands in exports.h ----

  useResume(retryFailed: boolean): void {
    const status = this.core.calls.use_resume(this.client, retryFailed ? 1 : 0);
    this.core.refresh();
    if (status !== 0) throw this.failure(status);
  }

  /** A line of the earlier output; answers the core's status. */
  addLine(line: Uint8Array, offset: number): number {
    return this.core.withBytes(line, (at, bytes) => this.core.calls.add_line(this.client, at, bytes, offset));
  }

  /** Takes the next row of the input. Answers FLAG_... of the constants, or the core's status, which is below 0. */
  offer(line: Uint8Array | string, row: Row, place: number): number {
    this.check();
    const address = typeof line === 'string' ? this.core.put(line) : this.core.lay(line);
    if (address === 0) return this.core.abi.status['E_NOMEM'] as number;
    const user = this.place(row);
    const status = this.core.calls.offer(this.client, address, this.core.putBytes, user, row.token ? this.flag.stream : 0, place);
    this.core.refresh();
    const flags = this.u32('flags');
    if (status !== 0 || flags & (this.constant['FLAG_SKIPPED'] as number)) this.leave(user);
    if (status !== 0) return status;
    row.index = this.f64('index');
    this.poke();
    return flags;
  }

  /** What the last offer left: a line's offset or a place, and whose. */
  offered(): { number: number; customId: string } {
    return { number: this.f64('number'), customId: this.text('custom_id') };
  }

  isReplaced(line: Uint8Array, offset: number): boolean {
    return this.core.withBytes(line, (at, bytes) => this.core.calls.is_replaced(this.client, at, bytes, offset)) === 1;
  }

  /** The frame of a record of the host's own. */
  logFrame(type: 'RUN' | 'END', payload: string): Uint8Array {
    this.core.withText(payload, (at, bytes) =>
      this.core.calls.log_frame(this.client, this.constant[`RECORD_${type}`] as number, at, bytes));
    return this.core.copy(this.mail + this.at.bytes);
  }

  logSynced(): void {
    this.core.calls.log_synced(this.client);
  }

  /** The tool calls of an output line. */
  toolsOf(line: Uint8Array): Result['toolCalls'] {
    this.core.withBytes(line, (at, bytes) => this.core.calls.tools(this.client, at, bytes));
    const calls = this.text('tool_calls');
    return calls ? (JSON.parse(calls) as Result['toolCalls']) : [];
  }

  /** Of the result in the mailbox: what decides whether it gets a line. */
  facts(): { flags: number; errorClass: ErrorClass; latencyMs: number } {
    return {
      flags: this.u32('flags'), latencyMs: this.f64('latency_ms'),
      errorClass: this.core.abi.classes[this.u32('error_class')] as ErrorClass,
    };
  }

  get constants(): Readonly<Record<string, number>> {
    return this.constant;
  }

  get status(): Readonly<Record<string, number>> {
    return this.core.abi.status;
  }

  get keepsBody(): boolean {
    return this.settings.keepBody;
  }

  get version(): string {
    return this.core.abi.sheaf;
  }

  failed(status: number): SheafError {
    return this.failure(status);
  }

  private check(): void {
    if (this.isClosed) throw new SheafError('the client is closed', 'E_END');
  }

  private admitted(status: number, user: number, row: Row): boolean {
    this.core.refresh();
    if (status === 0) {
      row.index = this.f64('index');
      this.poke();
      return true;
    }
    this.leave(user);
    if (status === this.core.abi.status['E_FULL']) return false;
    throw this.failure(status);
  }

  private place(row: Row): number {
    const user = this.free.pop() ?? this.rows.length;
    this.rows[user] = row;
    return user;
  }

  private leave(user: number): void {
    this.rows[user] = undefined;
    this.free.push(user);
  }

  /** Rows inside: waiting, in flight, or to be retried. */
  get inside(): number {
    return this.rows.length - this.free.length;
  }

  room(): number {
    return this.core.calls.room(this.client);
  }

  /** Asks the feeder for rows whenever there is room, until it is removed. */
  add(feeder: Feeder): void {
    this.feeders.push(feeder);
    this.poke();
  }

  remove(feeder: Feeder): void {
    const at = this.feeders.indexOf(feeder);
    if (at >= 0) this.feeders.splice(at, 1);
  }

  /** Ends a row as cancelled; one that was started only if told so. */
  cancel(row: Row, alsoStarted: boolean): void {
    if (this.isClosed || row.index < 0 || (row.isStarted && !alsoStarted)) return;
    this.core.calls.cancel(this.client, row.index);
    this.core.refresh();
    this.poke();
  }

  /** The same for all rows that a caller knows as its own. */
  cancelAll(isOwn: (row: Row) => boolean, alsoStarted: boolean): void {
    for (const row of this.rows) if (row && isOwn(row)) this.cancel(row, alsoStarted);
  }

  // ---- Turns ----

  /** Something was reported or submitted: a turn will come. */
  poke(): void {
    if (this.isTurning) this.isWantedAgain = true;
    if (this.isScheduled || this.isTurning || this.isClosed) return;
    this.isScheduled = true;
    this.settings.schedule(this.run);
  }

  private turn(): void {
    if (this.isClosed || this.isTurning) return;
    this.isTurning = true;
    try {
      // Results make room, and room lets rows in; both are used up before anybody waits.
      do {
        this.feed();
        this.step();
      } while (this.take() && this.feeders.length > 0);
    } finally {
      this.isTurning = false;
    }
    if (this.isClosing) this.close();
    if (this.isClosed) return;
    if (this.isWantedAgain) {
      this.isWantedAgain = false;
      this.poke();
    }
    if (this.inside === 0 && this.feeders.length === 0) {
      for (const done of this.idle.splice(0)) done();
    }
    this.arm();
  }

  private step(): void {
    this.clock = this.now();
    this.core.calls.step(this.client, this.clock, Date.now());
    this.core.refresh();
  }

  private feed(): void {
    if (this.feeders.length === 0) return;
    for (const feeder of this.feeders.slice()) {
      try {
        feeder.feed(this);
      } catch (error) {
        this.remove(feeder);
        blame(error);
      }
    }
  }

  /** A timer for the engine's time. One that waits with nothing inside keeps no process alive. */
  private arm(): void {
    const isBusy = this.inside > 0 || this.feeders.length > 0;
    if (!isBusy && this.sweep !== undefined) {
      clearTimeout(this.sweep);
      this.sweep = undefined;
    }
    const at = this.core.calls.timeout(this.client);
    const due = at < 0 || !isBusy ? Infinity : at;
    if (due === this.timerAt && (this.timer !== undefined || due === Infinity)) return;
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.timer = undefined;
    this.timerAt = due;
    if (due === Infinity) return;
    const wait = Math.min(Math.max(0, Math.ceil(due - this.now())), 2 ** 31 - 1);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.turn();
    }, wait);
  }

  /** Empties the mailbox; true: a result was among it. What others' functions throw is theirs. */
  private take(): boolean {
    const { MAIL_START, MAIL_CANCEL, MAIL_APPEND, MAIL_RESULT, MAIL_DELTA, MAIL_DISCARD } = this.constant;
    let hasResult = false;
    for (;;) {
      if (this.isClosed) return false;
      const kind = this.core.calls.next(this.client);
      this.core.refresh();
      if (kind === 0) return hasResult;
      try {
        if (kind === MAIL_START) this.start();
        else if (kind === MAIL_RESULT) {
          hasResult = true;
          this.finish();
        } else if (kind === MAIL_CANCEL) this.cancelled(this.f64('exchange'));
        else if (kind === MAIL_APPEND) this.append();
        else if (kind === MAIL_DELTA || kind === MAIL_DISCARD) this.delta(kind === MAIL_DELTA);
        else this.notice();
      } catch (error) {
        blame(error);
      }
    }
  }

  // ---- Exchanges ----

  private start(): void {
    const { core, mail, at } = this;
    const id = core.f64(mail + at.exchange);
    const timeout = core.f64(mail + at.timeout_ms);
    const row = this.rows[core.u32(mail + at.user)] as Row;
    const isTask = row.task !== undefined;
    const flight = new Flight(
      this, id, row, timeout < 0 ? Infinity : this.clock + timeout, isTask ? undefined : this.placeOf(),
      (core.u32(mail + at.flags) & this.flag.stream) !== 0,
      isTask ? undefined : row.transport ?? this.settings.transport,
    );
    row.isStarted = true;
    row.flight = flight;
    this.inFlight++;
    if (timeout >= 0 && this.sweep === undefined) this.watch(timeout);
    if (row.task) this.runTask(flight, row.task);
    else this.send(flight, flight.transport as Transport);
    this.settings.onStart?.();
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
        if (begun instanceof Promise) begun.catch((error: unknown) => this.over(flight, 'BROKEN', textOf(error), true));
      }
    } catch (error) {
      this.over(flight, 'REFUSED', textOf(error), false);
    } finally {
      this.starting = undefined;
    }
  }

  /** The body lies in the module's memory, and may move at the next call. */
  bodyOf(flight: Flight): Uint8Array<ArrayBuffer> | null {
    const slice = this.mail + this.at.bytes;
    if (this.starting !== flight || this.core.u32(slice + 4) === 0) return null;
    return flight.exchange === flight ? this.core.lend(slice) : this.core.copy(slice);
  }

  latin1Of(flight: Flight): string | null {
    if (this.starting !== flight) return null;
    return this.core.latin1(this.mail + this.at.bytes) ?? null;
  }

  /** Equal keys have equal headers; secrets fill their slots here and nowhere else. Key 0 equals nothing. */
  private placeOf(): Place {
    const key = this.core.f64(this.mail + this.at.same_key);
    let place = this.places.get(key);
    if (place === undefined) {
      const slots = JSON.parse(this.text('headers')) as [string, string, number][];
      const headers: [string, string][] = [];
      for (const [name, value, credential] of slots) {
        const secret = credential === 0 ? '' : this.settings.secrets[credential - 1];
        if (secret !== undefined) headers.push([name, value + secret]);
      }
      place = { method: this.text('method'), url: this.text('url'), headers };
      if (this.places.size > 256) this.places.clear();
      if (key !== 0) this.places.set(key, place);
    }
    return place;
  }

  onHead(flight: Flight, status: number, lines: string | Uint8Array): void {
    if (flight.isOver) return;
    const { core } = this;
    const address = typeof lines === 'string' ? core.put(lines) : core.lay(lines);
    core.calls.on_head(this.client, flight.id, status, address, address === 0 ? 0 : core.putBytes);
    core.refresh();
  }

  onData(flight: Flight, chunk: Uint8Array): void {
    if (flight.isOver) return;
    const { core } = this, codes = core.abi.status;
    const address = core.lay(chunk);
    const status =
      address === 0 ? codes['E_NOMEM'] : core.calls.on_data(this.client, flight.id, address, core.putBytes);
    core.refresh();
    if (status !== 0 && (status === codes['E_LIMIT'] || status === codes['E_NOMEM'])) this.stop(flight, 'TOO_LARGE');
    else if (flight.stream) this.poke();
  }

  /** The end of an attempt, however it came. The first one counts. */
  over(flight: Flight, end: End, message: string, retryable: boolean): void {
    if (flight.isOver || this.isClosed) return;
    this.land(flight);
    const { core } = this;
    const address = message === '' ? 0 : core.put(message);
    core.calls.on_done(
      this.client, flight.id, this.constant[`END_${end}`] as number, retryable ? 1 : 0, address,
      address === 0 ? 0 : core.putBytes,
    );
    core.refresh();
    this.poke();
  }

  private land(flight: Flight): void {
    flight.isOver = true;
    flight.row.flight = undefined;
    this.inFlight--;
  }

  private cancelled(id: number): void {
    for (const row of this.rows)
      if (row?.flight?.id === id) {
        this.stop(row.flight, 'CANCELLED');
        return;
      }
  }

  /** Ends an exchange from this side. */
  private stop(flight: Flight, end: End): void {
    const message = end === 'TIMEOUT' ? 'no whole reply came in time' : end === 'TOO_LARGE' ? 'the reply is too large' : '';
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
      const now = this.now();
      let shortest = Infinity;
      for (const row of this.rows) {
        const flight = row?.flight;
        if (!flight) continue;
        if (flight.until <= now) this.stop(flight, 'TIMEOUT');
        else shortest = Math.min(shortest, flight.until - now);
      }
      if (shortest !== Infinity) this.watch(shortest);
    }, period);
  }

  private runTask(flight: Flight, task: Task): void {
    let outcome: unknown;
    try {
      outcome = task.run(() => flight.signal);
    } catch (error) {
      this.taskFailed(flight, task, error);
      return;
    }
    if (typeof (outcome as PromiseLike<unknown> | undefined)?.then === 'function')
      (outcome as PromiseLike<unknown>).then((value) => this.taskDone(flight, task, value), (error: unknown) =>
        this.taskFailed(flight, task, error));
    else this.taskDone(flight, task, outcome);
  }

  private taskDone(flight: Flight, task: Task, value: unknown): void {
    if (flight.isOver || this.isClosed) return;
    task.took(value);
    this.land(flight);
    this.core.calls.on_task(this.client, flight.id, this.constant['END_OK'] as number, 200, 1, -1, -1, -1, 0, 0);
    this.core.refresh();
    this.poke();
  }

  private taskFailed(flight: Flight, task: Task, error: unknown): void {
    if (flight.isOver || this.isClosed) return;
    let verdict: ReturnType<Task['judge']>;
    try {
      verdict = task.judge(error);
    } catch (broken) {
      blame(broken);
      verdict = { status: 400, retryable: false, retryAfterMs: -1, message: 'classify failed' };
    }
    const { status, retryable, retryAfterMs, message } = verdict;
    this.land(flight);
    const { core } = this;
    const address = message === '' ? 0 : core.put(message);
    core.calls.on_task(
      this.client, flight.id, this.constant[status === 0 ? 'END_BROKEN' : 'END_OK'] as number, status, retryable ? 1 : 0,
      retryAfterMs, -1, -1, address, address === 0 ? 0 : core.putBytes,
    );
    core.refresh();
    this.poke();
  }

  // ---- What comes out ----

  private append(): void {
    const ticket = this.f64('ticket');
    const stored = (status: number): void => {
      if (this.isClosed) return;
      this.core.calls.on_stored(this.client, ticket, status);
      this.core.refresh();
      this.poke();
    };
    const failed = this.core.abi.status['E_STORE'] as number;
    let outcome: void | Promise<void>;
    try {
      outcome = this.settings.onLog?.(this.core.copy(this.mail + this.at.bytes));
    } catch {
      stored(failed);
      return;
    }
    if (outcome) outcome.then(() => stored(0), () => stored(failed));
    else stored(0);
  }

  private delta(isText: boolean): void {
    const row = this.rows[this.u32('user')];
    const index = this.f64('index'), customId = this.text('custom_id');
    if (isText) row?.token?.({ index, customId, text: this.text('text') });
    else row?.discard?.({ index, customId });
  }

  private notice(): void {
    if (!this.settings.onNotice) return;
    const number = this.u32('notice');
    const name = Object.keys(noticeTypes).find((key) => this.constant[key] === number);
    if (name === undefined) return;
    this.settings.onNotice({
      type: noticeTypes[name] as Notice['type'],
      message: this.text('message'), number: this.f64('number'), endpoint: this.u32('endpoint'),
    });
  }

  private finish(): void {
    const user = this.u32('user');
    const row = this.rows[user] as Row;
    this.leave(user);
    if (row.task) {
      const isOk = (this.u32('flags') & this.flag.ok) !== 0;
      row.task.ended(isOk, this.why);
    } else if (row.taken) {
      row.taken(this);
    } else {
      row.done?.(this.result());
    }
  }

  /** The result in the mailbox, for a row's `taken`. */
  result(): Result {
    const { core, mail, at, flag } = this;
    const flags = core.u32(mail + at.flags);
        const calls = core.text(mail + at.tool_calls);
    const result: Result = {
      customId: core.text(mail + at.custom_id),
      index: core.f64(mail + at.index),
      ok: (flags & flag.ok) !== 0,
      text: core.text(mail + at.text),
      toolCalls: calls ? JSON.parse(calls) : [],
      finishReason: (this.finishReason = core.again(mail + at.finish_reason, this.finishReason)),
      model: (this.model = core.again(mail + at.model, this.model)),
      usage: this.usage((flags & flag.estimated) !== 0),
      latencyMs: core.f64(mail + at.latency_ms),
      queueMs: core.f64(mail + at.queue_ms),
      totalMs: core.f64(mail + at.total_ms),
      attempts: core.u32(mail + at.attempts),
      throttles: core.u32(mail + at.throttles),
      billing: core.abi.billing[core.u32(mail + at.billing)] as Result['billing'],
      resentUnknown: (flags & flag.resent) !== 0,
      attempted: (flags & flag.attempted) !== 0,
      requestId: core.text(mail + at.request_id),
      provider: (this.provider = core.again(mail + at.provider, this.provider)),
      endpoint: (this.endpoint = core.again(mail + at.endpoint_name, this.endpoint)),
      fingerprint: core.text(mail + at.fingerprint),
    };
    const ttft = core.f64(mail + at.ttft_ms), cost = core.f64(mail + at.cost_usd), metadata = core.text(mail + at.metadata);
    if (ttft >= 0) result.ttftMs = ttft;
    if (cost >= 0) result.cost = cost;
    if (metadata) result.metadata = JSON.parse(metadata);
    if (this.settings.keepBody) result.body = core.copy(mail + at.bytes);
    if (!result.ok)
      result.error = {
        class: core.abi.classes[core.u32(mail + at.error_class)] as ErrorClass,
        code: core.text(mail + at.error_code),
        status: core.u32(mail + at.http_status),
        message: core.text(mail + at.error_message),
        retryable: (flags & flag.retryable) !== 0,
      };
    return result;
  }

  private usage(isEstimated: boolean): Usage {
    const { core, mail, at } = this;
    const usage: Usage = {};
    const input = core.f64(mail + at.input_tokens), output = core.f64(mail + at.output_tokens), cached = core.f64(mail + at.cached_tokens);
    const written = core.f64(mail + at.cache_write_tokens), reasoning = core.f64(mail + at.reasoning_tokens);
    if (input >= 0) usage.inputTokens = input;
    if (output >= 0) usage.outputTokens = output;
    if (cached >= 0) usage.cachedTokens = cached;
    if (written >= 0) usage.cacheWriteTokens = written;
    if (reasoning >= 0) usage.reasoningTokens = reasoning;
    if (isEstimated) usage.estimated = true;
    return usage;
  }

  // ---- Text and life ----

  private textOf(what: number): string {
    this.core.calls.text(this.client, what);
    this.core.refresh();
    return this.text('bytes');
  }

  stats(): Record<string, unknown> {
    return JSON.parse(this.textOf(TEXT.stats)) as Record<string, unknown>;
  }

  openMetrics(): string {
    return this.textOf(TEXT.openmetrics);
  }

  /** The output line of the result that is being handed out, as the command writes it; only inside `row.done`. */
  line(): string {
    return this.textOf(TEXT.line);
  }

  lineBytes(): Uint8Array<ArrayBuffer> {
    this.core.calls.text(this.client, TEXT.line);
    this.core.refresh();
    return this.core.copy(this.mail + this.at.bytes);
  }

  /** Turns the log on; answers the bytes a new log begins with, none for one that goes on. Before the first turn. */
  useLog(state: Uint8Array | undefined, salt: bigint): Uint8Array {
    return this.openLog(state, salt).head;
  }

  /** The same, and how many bytes of the earlier log are valid, and the records of the runs that wrote it. */
  openLog(state: Uint8Array | undefined, salt: bigint): { head: Uint8Array; valid: number; runs: Record<string, unknown>[] } {
    const low = Number(salt & 0xffffffffn), high = Number((salt >> 32n) & 0xffffffffn);
    const status = this.core.withBytes(state ?? new Uint8Array(0), (at, bytes) =>
      this.core.calls.use_log(this.client, at, bytes, low, high, Date.now()));
    if (status !== 0) throw this.failure(status);
    const runs = this.text('text');
    return {
      head: this.core.copy(this.mail + this.at.bytes), valid: this.f64('number'),
      runs: runs ? (JSON.parse(runs) as Record<string, unknown>[]) : [],
    };
  }

  /** Nothing new starts; with `abort` what is in flight ends, too. */
  drain(abort = false): void {
    if (this.isClosed) return;
    this.core.calls.end(this.client, abort ? END.abort : END.drain);
    this.core.refresh();
    this.poke();
  }

  whenIdle(): Promise<void> {
    if (this.isClosed || (this.rows.length === this.free.length && this.feeders.length === 0)) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  /** Ends what is inside, every row once, and lets go of the engine. */
  close(): void {
    if (this.isClosed) return;
    this.isClosing = true;
    if (this.isTurning) return; // the turn will
    this.isTurning = true;
    this.feeders.length = 0;
    this.core.calls.end(this.client, END.abort);
    // The first step says what to cancel; the second takes note of it.
    for (let i = 0; i < 3 && this.inside > 0; i++) {
      this.step();
      this.take();
    }
    this.isTurning = false;
    this.isClosed = true;
    clearTimeout(this.timer);
    clearTimeout(this.sweep);
    this.core.calls.close(this.client);
    for (const done of this.idle.splice(0)) done();
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

/** max_retries -> maxRetries */
export function camel(name: string): string {
  return name === 'base_url' ? 'baseURL' : name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** maxRetries -> max_retries */
export function snake(name: string): string {
  return name === 'baseURL' ? 'base_url' : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
