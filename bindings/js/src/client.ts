// client.ts: what a program talks to: a list, a stream, single requests, all under one engine's limits; its life and figures.

import type { Driver, DriverSettings } from './driver.js';
import { blame, SheafBatchError, SheafError } from './errors.js';
import { withFigures } from './figures.js';
import { Hooks } from './hooks.js';
import { lazyJobs } from './jobs_lazy.js';
import type { Jobs } from './job_types.js';
import { snake } from './names.js';
import { Reports } from './report.js';
import { BatchRun, full, highWaterUsual, Single, Singles, StreamRun } from './runs.js';
import { type Renew, StateRun } from './state.js';
import { figuresOf, openMetricsOf } from './statistics.js';
import type { Transport } from './transport.js';
import type {
  BatchOptions, BatchResults, Budget, ClientOptions, ClientStatus, GroupEvent, Notice, PausableResults, Request, Result,
  ResultStream, ResumeOptions, Source, StreamOptions, SubmitOptions,
} from './types.js';

/** Where a client's engines come from. @internal */
export interface Makers {
  driver(changes: Partial<DriverSettings>): Promise<Driver>;
  /** One for a run of its own. */
  resumable: Renew;
  jobs(): Promise<Jobs>;
  /** An option for the engines to come, by the core's name. */
  set(name: string, value: string): void;
}

/** Runs many requests against one or several endpoints under one set of limits. Made by `createClient`. */
export class Client {
  private state: ClientStatus['state'] = 'running';
  private readonly hooks: Hooks;
  private readonly reports: Reports | undefined;
  private driver!: Driver;
  private singles!: Singles;
  /** A stop that is under way, and when it ends at the latest. */
  private stopping: Promise<void> | undefined;
  private stopAt = Infinity;
  private stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** Endpoints whose circuit breaker is open; keys that were refused. */
  private readonly broken = new Set<number>();
  private hasStoppedKey = false;
  /**
   * Provider jobs: many requests at half the price, answered within hours; with this client's options, keys and transport. What
   * it takes is loaded when it is first asked for.
   */
  readonly jobs: Jobs;

  private constructor(private readonly options: ClientOptions, private readonly transport: Transport, private readonly makers: Makers) {
    this.hooks = new Hooks(options);
    this.jobs = lazyJobs(() => makers.jobs());
    if (options.report) this.reports = new Reports(options.report, () => this.metrics());
  }

  /** @internal */
  static async open(options: ClientOptions, transport: Transport, makers: Makers): Promise<Client> {
    const client = new Client(options, transport, makers);
    await client.begin();
    return client;
  }

  private async begin(): Promise<void> {
    const driver = await this.makers.driver({ onNotice: (notice) => this.noticed(notice), onGroup: (event) => this.grouped(event) });
    this.driver = driver;
    this.singles = new Singles(driver, this.hooks);
    this.broken.clear();
    this.hasStoppedKey = false;
    this.reports?.start();
  }

  /** Another engine with the same options and transport, for a run of its own. @internal */
  get renew(): Renew {
    return this.makers.resumable;
  }

  // ---- Requests ----

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
    const results = requests.length === 0 ? [] : await new BatchRun(this.driver, this.hooks, requests, options).results;
    const batch = withFigures(results, performance.now() - started);
    if (batch.length > 0 && batch.failures.length === batch.length) throw new SheafBatchError(batch);
    return batch;
  }

  /**
   * Runs a source of any length in bounded memory and yields results as they complete. Nothing is read from the source
   * beyond what the engine may hold; a consumer that is slow holds the source back.
   *
   * With a `budget` it may end early: then `state` of what this answers is what goes on, as `state` among the options of
   * another stream over the same requests, or with `resume`. Such a run keeps its results' lines in memory.
   */
  stream(source: Source, options: StreamOptions = {}): ResultStream {
    const left: { state: Uint8Array | undefined } = { state: undefined };
    const isResumable = options.budget !== undefined || options.state !== undefined;
    const results = isResumable ? this.streamInPart(source, options, left) : this.streamWhole(source, options);
    return Object.defineProperty(results, 'state', { get: () => left.state }) as ResultStream;
  }

  private async *streamWhole(source: Source, options: StreamOptions): AsyncGenerator<Result, void, undefined> {
    this.check();
    const run = new StreamRun(this.driver, this.hooks, source, options);
    try {
      yield* run.results();
    } finally {
      run.stop();
    }
  }

  private async *streamInPart(
    source: Source, options: StreamOptions, left: { state: Uint8Array | undefined },
  ): AsyncGenerator<Result, void, undefined> {
    this.checkResumable();
    let ready: Result[] = [], isOver = false, failure: unknown, rouse = (): void => {};
    const isHeldBack = (): boolean => ready.length >= (options.highWater ?? highWaterUsual);
    const take = (result: Result): void => {
      ready.push(result);
      rouse();
    };
    const run = await StateRun.open(this.renew, source, options, options.state, take, isHeldBack);
    const over = (): void => {
      isOver = true;
      rouse();
    };
    run.finish().then((state) => (left.state = state), (error: unknown) => (failure = error)).finally(over);
    try {
      for (;;) {
        const batch = ready;
        ready = [];
        run.driver.poke();
        yield* batch;
        if (ready.length > 0) continue;
        if (failure !== undefined) throw failure;
        if (isOver) return;
        await new Promise<void>((resolve) => (rouse = resolve));
      }
    } finally {
      run.stop();
    }
  }

  /** One request. Rejects only when it cannot be read or taken; a request that failed is a result with an error. */
  submit(request: Request, options: SubmitOptions = {}): Promise<Result> {
    const { onFull, fullWaitMs } = this.options;
    const refusal = this.refusal() ?? (onFull === 'reject' && this.singles.isFull ? full() : undefined);
    if (refusal) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const single = new Single(this.singles, request, options, resolve, reject);
      const item = this.hooks.take(request, options);
      if (item instanceof Promise) void item.then((taken) => single.begin(taken, fullWaitMs));
      else single.begin(item, fullWaitMs);
    });
  }

  /** Ahead of all others, whatever the request says. */
  submitUrgent(request: Request, options: SubmitOptions = {}): Promise<Result> {
    return this.submit(request, { ...options, priority: 'urgent' });
  }

  /** When others leave room, whatever the request says. */
  submitBackground(request: Request, options: SubmitOptions = {}): Promise<Result> {
    return this.submit(request, { ...options, priority: 'low' });
  }

  // ---- Life ----

  /** Nothing starts until `resume()`; requests are taken, what is in flight ends. */
  pause(): void {
    this.check();
    this.driver.pause(true);
    this.state = 'paused';
  }

  /** Goes on after `pause()`. */
  resume(): void;
  /**
   * Goes on where a run ended that left a `state`, be it in another process, another runtime, or the command. The requests are
   * the same, in the same order. Results of earlier runs are among those that it answers; nothing of them is sent again.
   */
  resume(state: Uint8Array, requests: readonly Request[], options?: BatchOptions & ResumeOptions): Promise<PausableResults>;
  resume(state?: Uint8Array, requests: readonly Request[] = [], options: BatchOptions & ResumeOptions = {}): Promise<PausableResults> | void {
    this.check();
    if (state) return this.inPart(requests, options, state);
    this.driver.pause(false);
    this.state = 'running';
  }

  private async inPart(
    requests: readonly Request[], options: BatchOptions & ResumeOptions, earlier: Uint8Array | undefined,
  ): Promise<PausableResults> {
    this.checkResumable();
    const started = performance.now();
    const results: Result[] = [];
    const run = await StateRun.open(this.renew, requests, options, earlier, (result) => results.push(result));
    const state = await run.finish();
    if (options.order !== 'completion') results.sort((a, b) => a.index - b.index);
    const batch = Object.defineProperty(withFigures(results, performance.now() - started), 'state', { value: state }) as PausableResults;
    if (!state && batch.length > 0 && batch.failures.length === batch.length) throw new SheafBatchError(batch);
    return batch;
  }

  /** Starts nothing new and waits for what is in flight; what waits ends as cancelled. */
  async drain(): Promise<void> {
    this.driver.drain();
    await this.whenIdle();
  }

  /**
   * Takes no more, lets what is inside end for at most `timeoutMs`, then ends the rest as cancelled; every request has its
   * result when this resolves. What a paused client has not started is cancelled at once. Of several at a time the shortest
   * time counts. `start()` makes it run again.
   */
  stop(timeoutMs = Infinity): Promise<void> {
    if (this.state === 'stopped' || this.state === 'closed') return Promise.resolve();
    const at = performance.now() + timeoutMs;
    if (at < this.stopAt) {
      this.stopAt = at;
      clearTimeout(this.stopTimer);
      if (timeoutMs <= 0) this.driver.drain(true);
      else if (timeoutMs < 2 ** 31) this.stopTimer = setTimeout(() => this.driver.drain(true), timeoutMs);
    }
    return (this.stopping ??= this.stopped());
  }

  private async stopped(): Promise<void> {
    const { driver } = this;
    const wasPaused = driver.isPaused;
    this.state = 'stopping';
    driver.isEnding = true;
    if (wasPaused) driver.drain();
    driver.poke();
    await this.whenIdle();
    clearTimeout(this.stopTimer);
    this.reports?.stop();
    driver.close();
    this.state = 'stopped';
    this.stopping = undefined;
    this.stopAt = Infinity;
  }

  private async whenIdle(): Promise<void> {
    do {
      await this.hooks.whenIdle();
      await this.driver.whenIdle();
    } while (this.hooks.isBusy);
  }

  /** Runs again after `stop()`, with the options that are in force now; figures begin anew. */
  async start(): Promise<void> {
    if (this.state !== 'stopped') throw new SheafError(`the client is ${this.state}`, 'E_MISUSE');
    this.state = 'running';
    try {
      await this.begin();
    } catch (error) {
      this.state = 'stopped';
      throw error;
    }
  }

  /** Drains, then lets go of everything. The client is of no use after this. */
  async close(): Promise<void> {
    if (this.state === 'closed') return;
    const wasStopped = this.state === 'stopped';
    if (this.stopping) await this.stopping;
    else if (!wasStopped) {
      this.state = 'closed';
      await this.drain();
      this.reports?.stop();
      this.driver.close();
    }
    this.state = 'closed';
    await this.transport.close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Changes one of the core's options while running; what is fixed at the beginning only while the client is stopped. */
  set(name: string, value: string | number | boolean): void {
    const ours = snake(name), text = typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
    if (this.state === 'closed') throw new SheafError('the client is closed', 'E_MISUSE');
    if (this.state !== 'stopped') this.driver.set(ours, text);
    this.makers.set(ours, text);
  }

  // ---- How it is ----

  status(): ClientStatus {
    const isOpen = this.state !== 'stopped' && this.state !== 'closed';
    const figures = isOpen ? figuresOf(this.driver.numbers()) : {};
    return {
      state: this.state, healthy: this.healthy(), inFlight: isOpen ? this.driver.inFlight : 0,
      waiting: isOpen ? this.driver.inside - this.driver.inFlight + this.singles.count : 0,
      limitedBy: String(figures['limited_by'] ?? 'nothing'),
    };
  }

  /** It runs, no key was refused, no circuit breaker is open, and there is room. */
  healthy(): boolean {
    return this.state === 'running' && !this.hasStoppedKey && this.broken.size === 0 && !this.singles.isFull;
  }

  /** What the engine did so far, as an object, or as OpenMetrics text. */
  metrics(): Record<string, unknown>;
  metrics(format: 'openmetrics'): string;
  metrics(format?: 'openmetrics'): Record<string, unknown> | string {
    const { answered } = this.hooks;
    if (format === 'openmetrics')
      return openMetricsOf(this.driver.numbers()).replace(/^(sheaf_answered_locally_total) \d+/m, `$1 ${answered}`);
    return { ...figuresOf(this.driver.numbers()), answered_locally: answered };
  }

  /** Figures from 0 again, but for what is inside now. */
  resetMetrics(): void {
    this.check();
    this.hooks.answered = 0;
    this.driver.resetStats();
  }

  private noticed(notice: Notice): void {
    const { type, endpoint } = notice;
    if (type === 'breaker_open') this.broken.add(endpoint);
    else if (type === 'breaker_closed') this.broken.delete(endpoint);
    else if (type === 'key_stopped') this.hasStoppedKey = true;
    tell(this.options.onNotice, notice);
    tell(this.options.onEvent, notice);
  }

  private grouped(event: GroupEvent): void {
    tell(this.options.onGroup, event);
    tell(this.options.onEvent, { type: 'group', ...event });
  }

  private refusal(): SheafError | undefined {
    if (this.state === 'closed') return new SheafError('the client is closed', 'E_MISUSE');
    const isOpen = this.state === 'running' || this.state === 'paused';
    return isOpen ? undefined : new SheafError('the client is stopped: start it', 'E_END');
  }

  private check(): void {
    const refusal = this.refusal();
    if (refusal) throw refusal;
  }

  /** Runs with a budget or a state have no place for what is answered outside of the core. */
  private checkResumable(): void {
    this.check();
    for (const name of ['preprocess', 'fallback'] as const)
      if (this.options[name]) throw new SheafError(`${name}: not for runs with a budget, a state or files`, 'E_UNSUPPORTED', name);
  }
}

function tell<Event>(listener: ((event: Event) => void) | undefined, event: Event): void {
  try {
    listener?.(event);
  } catch (error) {
    blame(error);
  }
}
