// client.ts: what a program talks to: a list, a stream, single requests, all under one engine's limits.

import type { Core } from './core.js';
import { Driver, type DriverSettings, type Feeder, type Flight, type Row } from './driver.js';
import { blame, SheafBatchError, SheafError } from './errors.js';
import { configure, lineOf } from './options.js';
import { type Renew, StateRun } from './state.js';
import { fetchTransport, type Transport } from './transport.js';
import type {
  BatchOptions, BatchResults, Budget, ClientOptions, Endpoint, PausableResults, Progress, Request, RequestOptions,
  Result, ResumeOptions, RunOptions, RunStats, TokenEvent, TransportName,
} from './types.js';

/** What differs between runtimes. @internal */
export interface Runtime {
  core(): Promise<Core>;
  /** A provider's key from the environment, by the names of its variables. */
  environment(names: string[]): string | undefined;
  transport(name: TransportName | undefined, fetch: typeof globalThis.fetch | undefined): Promise<Transport> | Transport;
  /** True in pages and their workers, where a key would be public. */
  isBrowser: boolean;
  /** Caps that the runtime itself sets. */
  concurrencyMax?: number;
  schedule?: (turn: () => void) => void;
}

type Source = Iterable<Request> | AsyncIterable<Request>;

const soon: (turn: () => void) => void =
  typeof setImmediate === 'function' ? (turn) => void setImmediate(turn) : (turn) => queueMicrotask(turn);

/** For jitter alone. */
function random64(): bigint {
  const word = (): bigint => BigInt(Math.floor(Math.random() * 2 ** 32));
  return (word() << 32n) | word();
}

/** Runs many requests against one or several endpoints under one set of limits. Made by `createClient`. */
export class Client {
  private isOpen = true;
  private readonly singles: Singles;

  /** @internal */
  constructor(
    private readonly driver: Driver, private readonly transport: Transport,
    /** A new engine with the same options and transport, for a run of its own. @internal */
    readonly renew: Renew,
  ) {
    this.singles = new Singles(driver);
  }

  /**
   * Runs all of a list and answers their results. One failed request never rejects the call; when every one failed it
   * rejects with `SheafBatchError`, which carries them. A request that cannot be read rejects the call; of a list that fits
   * into `queueCapacity` nothing is sent then.
   *
   * With a `budget` it may end early: the results are then those that are finished, and `state` is what `resume` goes on with.
   * Such a run has an engine of its own, and ids (`customId`) must differ.
   */
  batch(requests: readonly Request[], options: BatchOptions & ResumeOptions & { budget: Budget }): Promise<PausableResults>;
  batch(requests: readonly Request[], options?: BatchOptions): Promise<BatchResults>;
  async batch(requests: readonly Request[], options: BatchOptions & ResumeOptions = {}): Promise<BatchResults> {
    this.check();
    if (options.budget) return this.inPart(requests, options, undefined);
    const started = performance.now();
    const results = requests.length === 0 ? [] : await new BatchRun(this.driver, requests, options).results;
    const batch = withFigures(results, performance.now() - started);
    if (batch.length > 0 && batch.failures.length === batch.length) throw new SheafBatchError(batch);
    return batch;
  }

  /**
   * Runs a source of any length in bounded memory and yields results as they complete. Nothing is read from the source
   * beyond what the engine may hold; a consumer that is slow holds the source back.
   */
  async *stream(source: Source, options: RunOptions & { highWater?: number } = {}): AsyncGenerator<Result, void, undefined> {
    this.check();
    const run = new StreamRun(this.driver, source, options);
    try {
      yield* run.results();
    } finally {
      run.stop();
    }
  }

  /**
   * Goes on where a run ended that left a `state`, be it in another process, another runtime, or the command. The requests are
   * the same, in the same order. Results of earlier runs are among those that it answers; nothing of them is sent again.
   */
  resume(state: Uint8Array, requests: readonly Request[], options: BatchOptions & ResumeOptions = {}): Promise<PausableResults> {
    this.check();
    return this.inPart(requests, options, state);
  }

  private async inPart(
    requests: readonly Request[], options: BatchOptions & ResumeOptions, earlier: Uint8Array | undefined,
  ): Promise<PausableResults> {
    const started = performance.now();
    const results: Result[] = [];
    const run = await StateRun.open(this.renew, requests, options, earlier, (result) => results.push(result));
    const state = await run.finish();
    if (options.order !== 'completion') results.sort((a, b) => a.index - b.index);
    const batch = Object.defineProperty(withFigures(results, performance.now() - started), 'state', { value: state }) as PausableResults;
    if (!state && batch.length > 0 && batch.failures.length === batch.length) throw new SheafBatchError(batch);
    return batch;
  }

  /** One request. Rejects only when it cannot be read; a request that failed is a result with an error. */
  submit(request: Request, options: RunOptions = {}): Promise<Result> {
    this.check();
    return new Promise((resolve, reject) => this.singles.add(new Single(request, options, this.driver, resolve, reject)));
  }

  /** What the engine did so far, as an object, or as OpenMetrics text. */
  metrics(): Record<string, unknown>;
  metrics(format: 'openmetrics'): string;
  metrics(format?: 'openmetrics'): Record<string, unknown> | string {
    return format === 'openmetrics' ? this.driver.openMetrics() : this.driver.stats();
  }

  /** Starts nothing new and waits for what is in flight; what waits ends as cancelled. */
  async drain(): Promise<void> {
    this.driver.drain();
    await this.driver.whenIdle();
  }

  /** Drains, then lets go of everything. The client is of no use after this. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    await this.drain();
    this.driver.close();
    await this.transport.close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private check(): void {
    if (!this.isOpen) throw new SheafError('the client is closed', 'E_MISUSE');
  }
}

/** What rows of one call have in common, and who takes their results. */
interface Run {
  readonly options: RunOptions;
  finish(result: Result, row: RunRow): void;
}

/** A row of a run, without functions of its own: many of them wait. */
class RunRow implements Row {
  index = -1;
  isStarted = false;
  flight: Flight | undefined = undefined;
  token?: (event: TokenEvent) => void;
  discard?: (event: { index: number; customId: string }) => void;

  constructor(readonly run: Run, readonly place: number) {
    const { onToken, onDiscard } = run.options;
    if (onToken) this.token = (event) => onToken({ ...event, index: place });
    if (onDiscard) this.discard = (event) => onDiscard({ ...event, index: place });
  }

  get transport(): Transport | undefined {
    return this.run.options.transport;
  }

  done(result: Result): void {
    result.index = this.place;
    this.run.finish(result, this);
  }
}

function cancelRows(driver: Driver, run: Run, alsoStarted: boolean): void {
  driver.cancelAll((row) => row instanceof RunRow && row.run === run, alsoStarted);
}

/** A list. What waits is held as it was given; only what may change under our hands is written down at once. */
class BatchRun implements Feeder, Run {
  readonly results: Promise<Result[]>;
  private readonly requests: Request[];
  private readonly lines: (string | undefined)[];
  private readonly taken: Result[];
  private readonly report: (result: Result) => void;
  private readonly stopWatching: () => void;
  private resolve!: (results: Result[]) => void;
  private reject!: (error: unknown) => void;
  private at = 0;
  private done = 0;

  constructor(driver: Driver, requests: readonly Request[], readonly options: BatchOptions) {
    this.requests = requests.slice();
    this.lines = this.requests.map((request) => (typeof request === 'string' ? undefined : lineOf(request)));
    this.taken = options.order === 'completion' ? [] : new Array<Result>(requests.length);
    this.report = progressOf(driver, options, requests.length);
    this.results = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.stopWatching = onAbort(options, (isCancel) => {
      driver.remove(this);
      cancelRows(driver, this, isCancel);
      this.cancelRest();
    });
    driver.add(this);
  }

  feed(driver: Driver): boolean {
    for (let room = driver.room(); this.at < this.requests.length; this.at++) {
      const place = this.at, line = this.lines[place];
      if (room-- === 0) return true;
      try {
        if (!driver.submit(line ?? (this.requests[place] as string), new RunRow(this, place), line === undefined)) return true;
      } catch (error) {
        driver.remove(this);
        if (isEnd(error)) {
          this.cancelRest();
        } else {
          cancelRows(driver, this, true);
          this.stopWatching();
          this.reject(placed(error, place));
        }
        return false;
      }
      this.lines[place] = undefined;
    }
    driver.remove(this);
    return false;
  }

  /** What was never submitted ends here, as the core would end it. */
  private cancelRest(): void {
    while (this.at < this.requests.length) {
      const place = this.at++;
      this.take(cancelled(this.requests[place] as Request, place), place);
    }
  }

  finish(result: Result, row: RunRow): void {
    this.take(result, row.place);
  }

  private take(result: Result, place: number): void {
    if (this.options.order === 'completion') this.taken.push(result);
    else this.taken[place] = result;
    this.report(result);
    if (++this.done === this.requests.length) {
      this.stopWatching();
      this.resolve(this.taken);
    }
  }
}

/** One request of its own. */
class Single implements Run {
  readonly row: RunRow;
  readonly line: string;
  readonly stopWatching: () => void;
  isOver = false;

  constructor(
    private readonly request: Request, readonly options: RunOptions, driver: Driver,
    private readonly resolve: (result: Result) => void, private readonly reject: (error: unknown) => void,
  ) {
    this.line = lineOf(request);
    this.row = new RunRow(this, 0);
    this.stopWatching = onAbort(options, (isCancel) => {
      if (this.row.index >= 0) driver.cancel(this.row, isCancel);
      else this.finish(cancelled(request, 0));
    });
  }

  finish(result: Result): void {
    this.isOver = true;
    this.stopWatching();
    this.resolve(result);
  }

  refuse(error: unknown): void {
    if (isEnd(error)) {
      this.finish(cancelled(this.request, 0));
      return;
    }
    this.isOver = true;
    this.stopWatching();
    this.reject(error);
  }
}

/** The single requests of a client, in order: one that does not fit stops those behind it, not each for itself. */
class Singles implements Feeder {
  private waiting: Single[] = [];
  private at = 0;

  constructor(private readonly driver: Driver) {}

  add(single: Single): void {
    if (this.waiting.push(single) === 1) this.driver.add(this);
  }

  feed(driver: Driver): boolean {
    for (let room = driver.room(); this.at < this.waiting.length; this.at++) {
      const single = this.waiting[this.at] as Single;
      if (single.isOver) continue;
      if (room-- === 0) {
        this.forget();
        return true;
      }
      try {
        driver.submit(single.line, single.row);
      } catch (error) {
        single.refuse(error);
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
class StreamRun implements Feeder, Run {
  private ready: Result[] = [];
  private readonly iterator: Iterator<Request> | AsyncIterator<Request>;
  private readonly report: (result: Result) => void;
  private readonly stopWatching: () => void;
  private readonly highWater: number;
  private place = 0;
  private inside = 0;
  private line: string | undefined;
  private isPrompt = false;
  private isPulling = false;
  private isEnded = false;
  private failure: unknown;
  private wake: (() => void) | undefined;

  constructor(private readonly driver: Driver, source: Source, readonly options: RunOptions & { highWater?: number }) {
    this.iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.highWater = options.highWater ?? 256;
    this.report = progressOf(driver, options, undefined);
    this.stopWatching = onAbort(options, (isCancel) => {
      cancelRows(driver, this, isCancel);
      this.end();
    });
    driver.add(this);
  }

  feed(driver: Driver): boolean {
    while (!this.isEnded && this.ready.length < this.highWater) {
      if (this.line !== undefined && driver.room() === 0) return true;
      if (this.line === undefined && !this.pull()) return true;
      if (this.line === undefined) continue;
      try {
        if (!driver.submit(this.line, new RunRow(this, this.place), this.isPrompt)) return true;
      } catch (error) {
        if (isEnd(error)) this.end();
        else this.fail(placed(error, this.place));
        return false;
      }
      this.inside++;
      this.line = undefined;
      this.place++;
    }
    return false;
  }

  finish(result: Result): void {
    this.inside--;
    this.ready.push(result);
    this.report(result);
    this.rouse();
  }

  /** Asks the source for one more; false: it answers later. */
  private pull(): boolean {
    if (this.isPulling) return false;
    let step: IteratorResult<Request> | Promise<IteratorResult<Request>>;
    try {
      step = this.iterator.next();
    } catch (error) {
      this.fail(error);
      return true;
    }
    if (!(step instanceof Promise)) {
      this.accept(step);
      return true;
    }
    this.isPulling = true;
    step.then((value) => {
      this.isPulling = false;
      this.accept(value);
      this.driver.poke();
    }, (error: unknown) => {
      this.isPulling = false;
      this.fail(error);
    });
    return false;
  }

  private accept(step: IteratorResult<Request>): void {
    if (step.done) {
      this.end();
      return;
    }
    try {
      this.isPrompt = typeof step.value === 'string';
      this.line = this.isPrompt ? (step.value as string) : lineOf(step.value);
    } catch (error) {
      this.fail(error);
    }
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
      if (this.isEnded && this.inside === 0) return;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  stop(): void {
    this.isEnded = true;
    this.driver.remove(this);
    this.stopWatching();
    if (this.inside > 0) cancelRows(this.driver, this, true);
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

/** A row that never reached the core. */
function cancelled(request: Request, index: number): Result {
  const { customId = `row-${index + 1}`, metadata } = typeof request === 'string' ? {} : (request as RequestOptions);
  return {
    customId, ...(metadata === undefined ? {} : { metadata }), index, ok: false, text: '', toolCalls: [], finishReason: '', model: '',
    usage: {}, latencyMs: 0,
    queueMs: 0, totalMs: 0, attempts: 0, throttles: 0, billing: 'not_sent', resentUnknown: false, attempted: false,
    requestId: '', provider: '', endpoint: '', fingerprint: '',
    error: { class: 'cancelled', code: '', status: 0, message: 'the run was aborted before this was sent', retryable: true },
  };
}

function placed(error: unknown, place: number): unknown {
  if (!(error instanceof SheafError)) return error;
  return new SheafError(`request ${place + 1}: ${error.message}`, error.code, error.field);
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted.length === 0 ? 0 : (sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number);
}

function withFigures(results: Result[], wallMs: number): BatchResults {
  const failures: Result[] = [];
  const stats: RunStats = {
    total: results.length, succeeded: 0, failed: 0, attempts: 0, throttles: 0, inputTokens: 0, outputTokens: 0, cost: 0,
    costMissing: 0, wallMs, latencyP50Ms: 0, latencyP95Ms: 0,
  };
  const latencies = new Float64Array(results.length);
  for (const result of results) {
    if (result.ok) latencies[stats.succeeded++] = result.latencyMs;
    else failures.push(result);
    stats.attempts += result.attempts;
    stats.throttles += result.throttles;
    stats.inputTokens += result.usage.inputTokens ?? 0;
    stats.outputTokens += result.usage.outputTokens ?? 0;
    stats.cost += result.cost ?? 0;
    if (result.attempted && result.cost === undefined) stats.costMissing++;
  }
  stats.failed = failures.length;
  const sorted = latencies.subarray(0, stats.succeeded).sort();
  stats.latencyP50Ms = quantile(sorted, 0.5);
  stats.latencyP95Ms = quantile(sorted, 0.95);
  return Object.defineProperties(results, {
    failures: { value: failures },
    stats: { value: stats },
  }) as BatchResults;
}

// ---- Making one ----

/** Of a page: addresses may be relative to it, and keys go to its own origin only. */
function inPage(options: ClientOptions): ClientOptions {
  const { href, origin } = (globalThis as { location?: { href?: string; origin?: string } }).location ?? {};
  const absolute = <Of extends Endpoint>(endpoint: Of): Of =>
    endpoint.baseURL && URL.canParse(endpoint.baseURL, href) ? { ...endpoint, baseURL: new URL(endpoint.baseURL, href).href } : endpoint;
  const placed = absolute(options);
  if (options.endpoints) placed.endpoints = options.endpoints.map(absolute);
  if (!options.dangerouslyAllowBrowser) refusePublicKeys(placed.endpoints ?? [placed], origin);
  return placed;
}

function refusePublicKeys(endpoints: Endpoint[], own: string | undefined): void {
  for (const { apiKey, baseURL } of endpoints) {
    if (!apiKey) continue;
    if (own === undefined || !baseURL || !URL.canParse(baseURL) || new URL(baseURL).origin !== own)
      throw new SheafError(
        'apiKey: a key in a page can be read by everyone who opens it; call a server of your own (a baseURL of this ' +
          'page\'s origin), or set dangerouslyAllowBrowser: true', 'E_AUTH', 'apiKey');
  }
}

/** @internal */
export async function makeClient(given: ClientOptions, runtime: Runtime): Promise<Client> {
  const options = runtime.isBrowser ? inPage(given) : given;
  const core = await runtime.core();
  const variables = (provider: string): string[] =>
    (core.abi.providers.find((row) => row.name === provider)?.key_variables ?? '').split(',').filter(Boolean);
  const { config, secrets } = configure(options, (provider) => runtime.environment(variables(provider)));
  const cap = runtime.concurrencyMax;
  if (cap !== undefined) {
    config['max_concurrency'] = Math.min(Number(config['max_concurrency'] ?? cap), cap);
    if (typeof config['concurrency'] === 'number') config['concurrency'] = Math.min(config['concurrency'], cap);
  }
  const transport =
    typeof options.transport === 'object'
      ? options.transport
      : options.fetch && !options.transport
        ? fetchTransport(options.fetch)
        : await runtime.transport(options.transport, options.fetch);
  const settings: DriverSettings = {
    transport, secrets, keepBody: options.keepBody ?? false, onNotice: options.onEvent, onLog: undefined,
    schedule: runtime.schedule ?? soon,
  };
  const driver = new Driver(core, config, options.seed ?? random64(), settings);
  const renew: Renew = async (changes) =>
    new Driver(await runtime.core(), config, options.seed ?? random64(), { ...settings, ...changes });
  return new Client(driver, transport, renew);
}
