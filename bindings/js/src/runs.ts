// runs.ts: lists, streams and single requests on their way into a driver and back.

import type { Driver, Feeder, Row } from './driver.js';
import { blame, SheafError } from './errors.js';
import type { Flight } from './flight.js';
import { cancelled, type Hooks, type Intake } from './hooks.js';
import { prepare, type Prepared } from './options.js';
import type { Transport } from './transport.js';
import type {
  BatchOptions, Progress, Request, Result, RunOptions, Source, StreamOptions, SubmitOptions, TokenEvent,
} from './types.js';

export const highWaterUsual = 256;
/** How many requests a `preprocess` that takes its time may have at once. */
const preparingMost = 64;

/** What rows of one call have in common, and who takes their results. */
interface Run {
  readonly options: RunOptions;
  readonly hooks: Hooks;
  finish(result: Result, place: number): void;
}

/** A row of a run, without functions of its own: many of them wait. */
class RunRow implements Row {
  index = -1;
  isStarted = false;
  flight: Flight | undefined = undefined;
  token?: (event: TokenEvent) => void;
  discard?: (event: { index: number; customId: string }) => void;
  private readonly request?: Request;

  constructor(readonly run: Run, readonly place: number, readonly flags: number, readonly maxWaitMs: number, request: Request) {
    const { onToken, onDiscard } = run.options;
    if (onToken) this.token = (event) => onToken({ ...event, index: place });
    if (onDiscard) this.discard = (event) => onDiscard({ ...event, index: place });
    if (run.hooks.hasFallback) this.request = request;
  }

  get transport(): Transport | undefined {
    return this.run.options.transport;
  }

  done(result: Result): void {
    putAt(result, this.place);
    if (this.request === undefined) this.run.finish(result, this.place);
    else this.run.hooks.settle(this.request, result, (settled) => this.run.finish(settled, this.place));
  }
}

function cancelRows(driver: Driver, run: Run, alsoStarted: boolean): void {
  driver.cancelAll((row) => row instanceof RunRow && row.run === run, alsoStarted);
}

/** Requests with their places, in order but for those that `preprocess` takes its time with. */
class Line {
  private ready: [item: Intake, place: number][] = [];
  private preparing = 0;
  private place = 0;
  private isOver = false;

  /** `pull` answers the next request, or undefined: none now; `written` what was written down of it before. */
  constructor(
    private readonly run: Run, private readonly driver: Driver, private readonly pull: () => Request | undefined,
    private readonly written?: (place: number) => Prepared | undefined,
  ) {}

  next(): [item: Intake, place: number] | undefined {
    for (;;) {
      const first = this.ready.shift();
      if (first) return first;
      if (this.preparing >= preparingMost) return undefined;
      const request = this.pull();
      if (request === undefined) return undefined;
      const place = this.place++, prepared = this.written?.(place);
      const item = prepared ? { request, prepared } : this.run.hooks.take(request);
      if (!(item instanceof Promise)) return [item, place];
      this.preparing++;
      void item.then((taken) => {
        this.preparing--;
        if (this.isOver) this.left?.(request, place);
        else this.ready.push([taken, place]);
        this.driver.poke();
      });
    }
  }

  /** It could not go in yet. */
  back(item: [item: Intake, place: number]): void {
    this.ready.unshift(item);
  }

  get isEmpty(): boolean {
    return this.isOver || (this.ready.length === 0 && this.preparing === 0);
  }

  /** Nothing more comes of it. `left` is told of what was in it; of what is being prepared when that is done. */
  close(left?: (request: Request, place: number) => void): void {
    if (this.isOver) return;
    this.isOver = true;
    this.left = left;
    for (const [{ request }, place] of this.ready.splice(0)) left?.(request, place);
  }

  private left: ((request: Request, place: number) => void) | undefined;
}

/** What became of an attempt to hand a request to the engine. */
const enum Went { IN, ENDED, NOT_YET }

function hand(driver: Driver, run: Run, [item, place]: [item: Intake, place: number], onIn?: (row: RunRow) => void): Went {
  if ('error' in item) throw item.error;
  if ('result' in item) {
    run.finish(item.result(place), place);
    return Went.ENDED;
  }
  const { line, flags, maxWaitMs } = item.prepared;
  const row = new RunRow(run, place, flags, maxWaitMs, item.request);
  if (!driver.submit(line, row)) return Went.NOT_YET;
  onIn?.(row);
  return Went.IN;
}

/** A list. What waits is held as it was given; only what may change under our hands is written down at once. */
export class BatchRun implements Feeder, Run {
  readonly results: Promise<Result[]>;
  private readonly requests: Request[];
  private readonly written: (Prepared | undefined)[];
  private readonly taken: Result[];
  private readonly line: Line;
  private readonly report: (result: Result) => void;
  private readonly stopWatching: () => void;
  private resolve!: (results: Result[]) => void;
  private reject!: (error: unknown) => void;
  private at = 0;
  private done = 0;

  constructor(driver: Driver, readonly hooks: Hooks, requests: readonly Request[], readonly options: BatchOptions) {
    this.requests = hooks.hasPreprocess ? requests.map(copied) : requests.slice();
    this.written = hooks.hasPreprocess ? [] : this.requests.map((request) => (typeof request === 'string' ? undefined : prepare(request)));
    this.taken = options.order === 'completion' ? [] : new Array<Result>(requests.length);
    this.report = progressOf(driver, options, requests.length);
    this.results = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.line = new Line(this, driver, () => this.requests[this.at++], (place) => {
      const prepared = this.written[place];
      this.written[place] = undefined;
      return prepared;
    });
    this.stopWatching = onAbort(options, (isCancel) => {
      driver.remove(this);
      cancelRows(driver, this, isCancel);
      this.cancelRest();
    });
    driver.add(this);
  }

  feed(driver: Driver): boolean {
    for (let room = driver.room(); room > 0;) {
      const next = this.line.next();
      if (!next) break;
      try {
        const went = hand(driver, this, next);
        if (went === Went.NOT_YET) {
          this.line.back(next);
          return true;
        }
        if (went === Went.IN) room--;
      } catch (error) {
        this.fail(driver, error, next);
        return false;
      }
    }
    if (this.at < this.requests.length || !this.line.isEmpty) return true;
    driver.remove(this);
    return false;
  }

  private fail(driver: Driver, error: unknown, next: [item: Intake, place: number]): void {
    driver.remove(this);
    if (isEnd(error)) {
      this.line.back(next);
      this.cancelRest();
    } else {
      cancelRows(driver, this, true);
      this.stopWatching();
      this.reject(placed(error, next[1]));
    }
  }

  /** What was never submitted ends here, as the core would end it. */
  private cancelRest(): void {
    const end = (request: Request, place: number): void => this.finish(cancelled(request, place), place);
    this.line.close(end);
    while (this.at < this.requests.length) {
      const place = this.at++;
      end(this.requests[place] as Request, place);
    }
  }

  finish(result: Result, place: number): void {
    if (this.options.order === 'completion') this.taken.push(result);
    else this.taken[place] = result;
    this.report(result);
    if (++this.done === this.requests.length) {
      this.stopWatching();
      this.resolve(this.taken);
    }
  }
}

/** A request that its owner may change after he handed it over. */
function copied(request: Request): Request {
  return typeof request === 'string' ? request : (JSON.parse(JSON.stringify(request)) as Request);
}

/** One request of its own. */
export class Single implements Run {
  isOver = false;
  private row: RunRow | undefined;
  private readonly driver: Driver;
  private readonly stopWatching: () => void;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly singles: Singles, private readonly request: Request, readonly options: SubmitOptions,
    private readonly resolve: (result: Result) => void, private readonly reject: (error: unknown) => void,
  ) {
    const { driver } = singles;
    this.driver = driver;
    this.stopWatching = onAbort(options, (isCancel) => {
      if (this.row) driver.cancel(this.row, isCancel);
      else this.finish(cancelled(request, 0));
    });
  }

  get hooks(): Hooks {
    return this.singles.hooks;
  }

  /** It goes in line, or has its result at once. */
  begin(item: Intake, waitMs: number | undefined): void {
    if (this.isOver) return;
    if ('error' in item) this.refuse(item.error);
    else if ('result' in item) this.finish(item.result(0));
    else {
      if (waitMs !== undefined) this.timer = setTimeout(() => this.refuse(full()), waitMs);
      this.singles.add(this, item);
    }
  }

  /** False: there is no room yet. */
  submit(item: Intake): boolean {
    try {
      const went = hand(this.driver, this, [item, 0], (row) => (this.row = row));
      if (went !== Went.NOT_YET) clearTimeout(this.timer);
      return went !== Went.NOT_YET;
    } catch (error) {
      this.refuse(error);
      return true;
    }
  }

  finish(result: Result): void {
    if (this.over()) this.resolve(result);
  }

  refuse(error: unknown): void {
    if (isEnd(error)) this.finish(cancelled(this.request, 0));
    else if (this.over()) this.reject(error);
  }

  private over(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    clearTimeout(this.timer);
    this.stopWatching();
    return true;
  }
}

export const full = (): SheafError => new SheafError('as many requests wait as may (queueCapacity, queueBytesMax): come back later', 'E_FULL');

/** The single requests of a client, in order: one that does not fit stops those behind it, not each for itself. */
export class Singles implements Feeder {
  private waiting: [single: Single, item: Intake][] = [];
  private at = 0;

  constructor(readonly driver: Driver, readonly hooks: Hooks) {}

  add(single: Single, item: Intake): void {
    if (this.waiting.push([single, item]) === 1) this.driver.add(this);
  }

  get count(): number {
    return this.waiting.length - this.at;
  }

  get isFull(): boolean {
    return this.driver.room() <= this.count;
  }

  feed(driver: Driver): boolean {
    for (let room = driver.room(); this.at < this.waiting.length; this.at++) {
      const [single, item] = this.waiting[this.at] as [Single, Intake];
      if (single.isOver) continue;
      if (room-- <= 0 || !single.submit(item)) {
        this.forget();
        return true;
      }
    }
    this.waiting = [];
    this.at = 0;
    driver.remove(this);
    return false;
  }

  private forget(): void {
    if (this.at < 1024) return;
    this.waiting = this.waiting.slice(this.at);
    this.at = 0;
  }
}

/** A source that is pulled as the engine has room and the consumer keeps up. */
export class StreamRun implements Feeder, Run {
  private ready: Result[] = [];
  private readonly iterator: Iterator<Request> | AsyncIterator<Request>;
  private readonly line: Line;
  private readonly report: (result: Result) => void;
  private readonly stopWatching: () => void;
  private readonly highWater: number;
  /** What the source answered late. */
  private given: Request | undefined;
  private inside = 0;
  private isPulling = false;
  private isEnded = false;
  private failure: unknown;
  private wake: (() => void) | undefined;

  constructor(private readonly driver: Driver, readonly hooks: Hooks, source: Source, readonly options: StreamOptions) {
    this.iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.highWater = options.highWater ?? highWaterUsual;
    this.report = progressOf(driver, options, undefined);
    this.line = new Line(this, driver, () => this.pull());
    this.stopWatching = onAbort(options, (isCancel) => {
      cancelRows(driver, this, isCancel);
      this.line.close();
      this.end();
    });
    driver.add(this);
  }

  feed(driver: Driver): boolean {
    if (driver.isEnding) this.end();
    for (let room = driver.room(); room > 0 && this.ready.length < this.highWater;) {
      const next = this.line.next();
      if (!next) break;
      this.inside++;
      try {
        const went = hand(driver, this, next);
        if (went === Went.NOT_YET) {
          this.inside--;
          this.line.back(next);
          return true;
        }
        if (went === Went.IN) room--;
      } catch (error) {
        this.inside--;
        this.line.close();
        if (isEnd(error)) this.end();
        else this.fail(placed(error, next[1]));
        return false;
      }
    }
    return !this.isEnded;
  }

  finish(result: Result): void {
    this.inside--;
    this.ready.push(result);
    this.report(result);
    this.rouse();
  }

  /** Asks the source for one more; undefined: it answers later, or has none. */
  private pull(): Request | undefined {
    const { given } = this;
    this.given = undefined;
    if (given !== undefined || this.isPulling || this.isEnded) return given;
    try {
      const step = this.iterator.next();
      if (!(step instanceof Promise)) return this.accept(step);
      this.isPulling = true;
      step.then((value) => {
        this.isPulling = false;
        this.given = this.accept(value);
        this.driver.poke();
      }, (error: unknown) => {
        this.isPulling = false;
        this.fail(error);
      });
    } catch (error) {
      this.fail(error);
    }
    return undefined;
  }

  private accept(step: IteratorResult<Request>): Request | undefined {
    if (!step.done) return step.value;
    this.end();
    return undefined;
  }

  /** Nothing more is read; what is under way is still waited for. */
  private end(): void {
    this.isEnded = true;
    this.rouse();
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    this.end();
  }

  private rouse(): void {
    this.wake?.();
    this.wake = undefined;
  }

  async *results(): AsyncGenerator<Result, void, undefined> {
    for (;;) {
      while (this.ready.length > 0) {
        const batch = this.ready;
        this.ready = [];
        this.driver.poke();
        for (const result of batch) yield result;
      }
      if (this.failure !== undefined) throw this.failure;
      if (this.isEnded && this.inside === 0 && this.line.isEmpty) return;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  stop(): void {
    this.isEnded = true;
    this.line.close();
    this.driver.remove(this);
    this.stopWatching();
    if (this.inside > 0) cancelRows(this.driver, this, true);
    this.driver.poke(); // somebody may wait until nothing is left
    void (this.iterator.return as (() => unknown) | undefined)?.call(this.iterator);
  }
}

// ---- Parts ----

function onAbort(options: RunOptions, act: (isCancel: boolean) => void): () => void {
  const { signal } = options;
  if (!signal) return () => {};
  const listener = (): void => act(options.onAbort !== 'drain');
  if (signal.aborted) queueMicrotask(listener);
  else signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

function progressOf(driver: Driver, options: RunOptions, total: number | undefined): (result: Result) => void {
  const { onProgress, progressMs = 200 } = options;
  if (!onProgress) return () => {};
  const progress: Progress = { done: 0, total, succeeded: 0, failed: 0, inFlight: 0 };
  let last = -Infinity;
  return (result) => {
    progress.done++;
    if (result.ok) progress.succeeded++;
    else progress.failed++;
    const now = performance.now();
    if (progress.done !== total && now - last < progressMs) return;
    last = now;
    try {
      onProgress({ ...progress, inFlight: driver.inFlight });
    } catch (error) {
      blame(error);
    }
  };
}

/** The client drains: nothing more is taken. */
function isEnd(error: unknown): boolean {
  return error instanceof SheafError && error.code === 'E_END';
}

/** Gives a result its place in the caller's list, where it bore the engine's own number. */
function putAt(result: Result, place: number): void {
  const { line, index, fingerprint } = result;
  const own = (number: number): string => `,"sheaf":{"index":${number},"fingerprint":"${fingerprint}"`;
  if (line) result.line = line.replace(`"id":"req_${index}"`, `"id":"req_${place}"`).replace(own(index), own(place));
  result.index = place;
}

function placed(error: unknown, place: number): unknown {
  if (!(error instanceof SheafError)) return error;
  return new SheafError(`request ${place + 1}: ${error.message}`, error.code, error.field);
}
