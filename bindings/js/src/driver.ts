// driver.ts: one engine, driven: requests in, exchanges to the transport, replies back, results to their rows.
//
//   feed -> step -> take everything out of the mailbox -> wait for a report or the engine's time
//
// A turn is scheduled, never nested: reports only note and ask for a turn. One driver belongs to one client; where a
// runtime ties I/O to a request (workers), so does the client.

import type { Core } from './core.js';
import { Engine } from './engine.js';
import { blame, SheafError } from './errors.js';
import { type Flight, Flights } from './flight.js';
import { Flag, groupStateNames, Kind, Mail, noticeNames, Status } from './layout.js';
import { ResultReader } from './result.js';
import type { Transport } from './transport.js';
import type { GroupEvent, GroupState, Notice, Result, TokenEvent } from './types.js';

/** Who waits for a row. */
export interface Row {
  /** Ends the row, once; a task ends by its own `ended`. */
  done?(result: Result): void;
  /** The same in place of `done`, while the mailbox holds the result: the driver's `facts`, `lineBytes`, `result` read it. */
  taken?(): void;
  token?(event: TokenEvent): void;
  discard?(event: { index: number; customId: string }): void;
  /** Runs it instead of an exchange. */
  readonly task?: Task;
  readonly transport?: Transport | undefined;
  /** Flag.PROMPT where the line is the prompt itself, DETERMINISTIC, ALONE. */
  readonly flags?: number;
  /** Its longest wait for company; 0: as the options say. */
  readonly maxWaitMs?: number;
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
  keepLine?: boolean;
  onNotice: ((notice: Notice) => void) | undefined;
  onGroup?: ((event: GroupEvent) => void) | undefined;
  onLog: ((frames: Uint8Array) => void | Promise<void>) | undefined;
  schedule: (turn: () => void) => void;
  /** An attempt was begun. */
  onStart?: () => void;
}

export class Driver {
  readonly rows: (Row | undefined)[] = [];
  /** No more is read from where more and more comes from. */
  isEnding = false;
  protected readonly engine: Engine;
  protected readonly results: ResultReader;
  private readonly flights: Flights;
  private readonly free: number[] = [];
  private readonly feeders: Feeder[] = [];
  private readonly started = performance.now();
  /** When the engine's clock was 0, in ms since 1970. */
  private readonly origin = Date.now() - 1;
  private readonly run = (): void => {
    this.isScheduled = false;
    this.turn();
  };
  private readonly why = (): string => this.engine.text(Mail.error_message);
  private clock = 1;
  private isScheduled = false;
  private isTurning = false;
  private isWantedAgain = false;
  private isClosing = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private timerAt = Infinity;
  private idle: (() => void)[] = [];

  constructor(private readonly core: Core, config: object, seed: bigint, readonly settings: DriverSettings) {
    const engine = (this.engine = new Engine(core, config, seed));
    this.results = new ResultReader(engine, settings);
    this.flights = new Flights(this, engine);
  }

  now(): number {
    return performance.now() - this.started + 1;
  }

  get inFlight(): number {
    return this.flights.inFlight;
  }

  // ---- Requests in ----

  /**
   * Takes a row: a line of the input format, or a bare prompt. False: the engine is full, come back when it asks. Throws
   * what is wrong with the request.
   */
  submit(line: string, row: Row): boolean {
    const { core, engine } = this;
    engine.check();
    const address = core.put(line);
    if (address === 0) throw new SheafError('no memory', 'E_NOMEM');
    const user = this.place(row);
    const status = engine.calls.submit(engine.client, address, core.putBytes, user, this.flagsOf(row), row.maxWaitMs ?? 0);
    return this.admitted(status, user, row);
  }

  submitTask(row: Row, priority: number, deadlineMs: number): boolean {
    const { calls, client } = this.engine;
    this.engine.check();
    const user = this.place(row);
    return this.admitted(calls.submit_task(client, user, priority, deadlineMs, 0), user, row);
  }

  protected flagsOf(row: Row): number {
    return (row.flags ?? 0) | (row.token ? Flag.STREAM : 0);
  }

  private admitted(status: number, user: number, row: Row): boolean {
    const { engine } = this;
    this.core.refresh();
    if (status === 0) {
      row.index = engine.f64(Mail.index);
      this.poke();
      return true;
    }
    this.leave(user);
    if (status === Status.E_FULL) return false;
    throw engine.failure(status);
  }

  protected place(row: Row): number {
    const user = this.free.pop() ?? this.rows.length;
    this.rows[user] = row;
    return user;
  }

  protected leave(user: number): void {
    this.rows[user] = undefined;
    this.free.push(user);
  }

  /** Rows inside: waiting, in flight, or to be retried. */
  get inside(): number {
    return this.rows.length - this.free.length;
  }

  room(): number {
    return this.engine.calls.room(this.engine.client);
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
    const { engine } = this;
    if (engine.isClosed || row.index < 0 || (row.isStarted && !alsoStarted)) return;
    engine.calls.cancel(engine.client, row.index);
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
    if (this.isScheduled || this.isTurning || this.engine.isClosed) return;
    this.isScheduled = true;
    this.settings.schedule(this.run);
  }

  private turn(): void {
    if (this.engine.isClosed || this.isTurning) return;
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
    if (this.engine.isClosed) return;
    if (this.isWantedAgain) {
      this.isWantedAgain = false;
      this.poke();
    }
    if (!this.isBusy) for (const done of this.idle.splice(0)) done();
    this.arm();
  }

  private get isBusy(): boolean {
    return this.inside > 0 || this.feeders.length > 0;
  }

  private step(): void {
    const { calls, client } = this.engine;
    this.clock = this.now();
    calls.step(client, this.clock, Date.now());
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
    const { isBusy } = this;
    if (!isBusy) this.flights.rest();
    const at = this.engine.calls.timeout(this.engine.client);
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
    const { engine, flights } = this;
    let hasResult = false;
    for (;;) {
      if (engine.isClosed) return false;
      const kind = engine.calls.next(engine.client);
      this.core.refresh();
      if (kind === 0) return hasResult;
      try {
        if (kind === Kind.START) flights.start(this.clock);
        else if (kind === Kind.RESULT) {
          hasResult = true;
          this.finish();
        } else if (kind === Kind.CANCEL) flights.cancelled(engine.f64(Mail.exchange));
        else if (kind === Kind.APPEND) this.append();
        else if (kind === Kind.DELTA || kind === Kind.DISCARD) this.delta(kind === Kind.DELTA);
        else if (kind === Kind.GROUP) this.group();
        else this.notice();
      } catch (error) {
        blame(error);
      }
    }
  }

  // ---- What comes out ----

  private append(): void {
    const { engine } = this;
    const ticket = engine.f64(Mail.ticket), failed = Status.E_STORE;
    const stored = (status: number): void => {
      if (engine.isClosed) return;
      engine.calls.on_stored(engine.client, ticket, status);
      this.core.refresh();
      this.poke();
    };
    let outcome: void | Promise<void>;
    try {
      outcome = this.settings.onLog?.(engine.copy(Mail.bytes));
    } catch {
      stored(failed);
      return;
    }
    if (outcome) outcome.then(() => stored(0), () => stored(failed));
    else stored(0);
  }

  private delta(isText: boolean): void {
    const { engine } = this;
    const row = this.rows[engine.u32(Mail.user)];
    const index = engine.f64(Mail.index), customId = engine.text(Mail.custom_id);
    if (isText) row?.token?.({ index, customId, text: engine.text(Mail.text) });
    else row?.discard?.({ index, customId });
  }

  private notice(): void {
    const { engine, settings } = this;
    settings.onNotice?.({
      type: noticeNames[engine.u32(Mail.notice)] as Notice['type'],
      message: engine.text(Mail.message), number: engine.f64(Mail.number), endpoint: engine.u32(Mail.endpoint),
    });
  }

  private group(): void {
    const { engine } = this;
    this.settings.onGroup?.({
      id: engine.f64(Mail.group), state: groupStateNames[engine.u32(Mail.group_state)] as GroupState,
      members: engine.u32(Mail.group_members), at: this.origin + engine.f64(Mail.at_ms),
    });
  }

  private finish(): void {
    const user = this.engine.u32(Mail.user);
    const row = this.rows[user] as Row;
    this.leave(user);
    if (row.task) row.task.ended(this.results.isOk(), this.why);
    else if (row.taken) row.taken();
    else row.done?.(this.results.read());
  }

  // ---- Text and life ----

  /** What statistics.ts makes figures of. */
  numbers(): Uint8Array {
    this.engine.write(0);
    return this.engine.copy(Mail.bytes);
  }

  /** All figures from 0 again, but for what is inside now. */
  resetStats(): void {
    this.engine.check();
    this.engine.calls.stats_reset(this.engine.client);
  }

  /** Nothing starts until it is turned off; what is in flight ends. */
  pause(on: boolean): void {
    const { engine } = this;
    engine.check();
    engine.calls.pause(engine.client, on ? 1 : 0);
    this.core.refresh();
    this.poke();
  }

  get isPaused(): boolean {
    return !this.engine.isClosed && this.engine.calls.is_paused(this.engine.client) === 1;
  }

  /** One option of a running engine, by the core's name. */
  set(name: string, value: string): void {
    const { engine } = this;
    engine.check();
    const status = this.core.withText(name + value, (at, bytes) =>
      engine.calls.set(engine.client, at, name.length, at + name.length, bytes - name.length));
    if (status !== 0) throw engine.failure(status);
    this.poke();
  }

  /** Nothing new starts; with `abort` what is in flight ends, too. */
  drain(abort = false): void {
    if (this.engine.isClosed) return;
    this.end(abort ? 2 : 1);
    this.poke();
  }

  private end(how: number): void {
    this.engine.calls.end(this.engine.client, how);
    this.core.refresh();
  }

  whenIdle(): Promise<void> {
    if (this.engine.isClosed || !this.isBusy) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  /** Ends what is inside, every row once, and lets go of the engine. */
  close(): void {
    const { engine } = this;
    if (engine.isClosed) return;
    this.isClosing = true;
    if (this.isTurning) return; // the turn will
    this.isTurning = true;
    this.feeders.length = 0;
    this.end(2);
    // The first step says what to cancel; the second takes note of it.
    for (let i = 0; i < 3 && this.inside > 0; i++) {
      this.step();
      this.take();
    }
    this.isTurning = false;
    engine.isClosed = true;
    clearTimeout(this.timer);
    this.flights.rest();
    engine.calls.close(engine.client);
    for (const done of this.idle.splice(0)) done();
  }
}
