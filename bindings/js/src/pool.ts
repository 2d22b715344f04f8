// pool.ts: any async function under the core's scheduler: concurrency, rates, retries by cause.
//
//   const limited = pool((prompt) => openai.chat.completions.create(...), { concurrency: 16, rpm: 500, retries: 4 });
//   await Promise.all(prompts.map(limited));

import type { Core } from './core.js';
import { Driver, type Feeder, type Row, type Task } from './driver.js';
import { SheafError } from './errors.js';
import type { Flight } from './flight.js';
import type { CoreOptions } from './generated.js';
import { snake } from './names.js';
import { figuresOf } from './statistics.js';

export interface PoolOptions extends CoreOptions {
  /** Extra tries after the first; the name that other pools use for `maxRetries`. */
  retries?: number;
  /** Tells what an error means. Without it: status, headers and code of the common SDKs' errors are read. */
  classify?: (error: unknown) => Verdict | undefined;
}

export interface Verdict {
  /** As HTTP would say it; 0: the connection failed. */
  status: number;
  retryable?: boolean;
  retryAfterMs?: number;
}

/** What the function is given besides its arguments, as `this`. */
export interface Attempt {
  signal: AbortSignal;
  /** From 1. */
  attempt: number;
}

export interface Pool<Args extends unknown[], Value> {
  (...args: Args): Promise<Value>;
  /** Waits until nothing is queued or running. */
  onIdle(): Promise<void>;
  /** Calls that wait. */
  readonly pending: number;
  /** Calls that run. */
  readonly running: number;
  metrics(): Record<string, unknown>;
  close(): Promise<void>;
}

function retryAfterOf(headers: unknown): number {
  const get = (name: string): string | null | undefined => {
    if (headers === null || typeof headers !== 'object') return undefined;
    const bag = headers as { get?: (name: string) => string | null } & Record<string, string>;
    return typeof bag.get === 'function' ? bag.get(name) : bag[name];
  };
  const ms = Number(get('retry-after-ms') ?? NaN);
  if (ms >= 0) return ms;
  const after = get('retry-after');
  if (!after) return -1;
  const seconds = Number(after);
  if (seconds >= 0) return seconds * 1000;
  const date = Date.parse(after);
  return Number.isNaN(date) ? -1 : Math.max(0, date - Date.now());
}

/** The statuses that the official SDKs retry; an error without one is a failure of the connection, or of the function. */
function judge(error: unknown, classify: PoolOptions['classify']): ReturnType<Task['judge']> {
  const told = classify?.(error);
  const thrown = error as { status?: unknown; statusCode?: unknown; headers?: unknown; code?: unknown; message?: unknown; name?: unknown };
  const message = String(thrown?.message ?? error);
  if (told) {
    const { status, retryable = isRetryable(status), retryAfterMs = -1 } = told;
    return { status, retryable, retryAfterMs, message };
  }
  const status = Number(thrown?.status ?? thrown?.statusCode ?? NaN);
  if (status >= 100 && status < 600)
    return { status, retryable: isRetryable(status), retryAfterMs: retryAfterOf(thrown.headers), message };
  const isConnection = typeof thrown?.code === 'string' || /Connection|Timeout|fetch failed/.test(String(thrown?.name) + message);
  return isConnection
    ? { status: 0, retryable: true, retryAfterMs: -1, message }
    : { status: 400, retryable: false, retryAfterMs: -1, message };
}

function isRetryable(status: number): boolean {
  return status === 0 || status === 408 || status === 409 || status === 429 || status >= 500;
}

/** What all calls of a pool have in common. */
interface Common<Args extends unknown[], Value> {
  readonly fn: (this: Attempt, ...args: Args) => Promise<Value> | Value;
  readonly classify: PoolOptions['classify'];
}

type Resolve = (value: unknown) => void;
type Reject = (error: unknown) => void;

/** One call of the function that the engine has, over all its attempts; what `fn` sees as `this`. */
class Call<Args extends unknown[], Value> implements Row, Task, Attempt {
  attempt = 0;
  index = -1;
  isStarted = false;
  flight: Flight | undefined = undefined;
  private value: unknown = undefined;
  private failure: unknown = undefined;
  private signalOf: (() => AbortSignal) | undefined = undefined;

  constructor(
    private readonly common: Common<Args, Value>, private readonly given: unknown, private readonly resolve: Resolve,
    private readonly reject: Reject,
  ) {}

  get task(): this {
    return this;
  }

  get signal(): AbortSignal {
    return (this.signalOf as () => AbortSignal)();
  }

  run(signalOf: () => AbortSignal): Promise<unknown> | unknown {
    this.signalOf = signalOf;
    this.attempt++;
    return this.common.fn.apply(this, argumentsOf(this.given) as Args);
  }

  took(value: unknown): void {
    this.value = value;
  }

  judge(error: unknown): ReturnType<Task['judge']> {
    this.failure = error;
    return judge(error, this.common.classify);
  }

  ended(ok: boolean, why: () => string): void {
    if (ok) this.resolve(this.value);
    else this.fail(this.failure ?? new SheafError(why(), 'E_CANCELLED'));
  }

  fail(error: unknown): void {
    this.reject(error);
  }
}

// A call that waits holds its promise and three words: one argument waits without the array it came in.

function packed(args: unknown[]): unknown {
  return args.length === 1 && !Array.isArray(args[0]) ? args[0] : args;
}

function argumentsOf(given: unknown): unknown[] {
  return Array.isArray(given) ? given : [given];
}

const CHUNK = 3 * 256;

/** Calls wait here, in order, until the engine has room. */
class Line<Args extends unknown[], Value> implements Feeder {
  private chunks: unknown[][] = [];
  private at = 0;
  private end = CHUNK;
  length = 0;

  constructor(private readonly common: Common<Args, Value>) {}

  push(args: Args, resolve: Resolve, reject: Reject): void {
    if (this.end === CHUNK) {
      this.chunks.push(new Array<unknown>(CHUNK));
      this.end = 0;
    }
    const chunk = this.chunks[this.chunks.length - 1] as unknown[];
    chunk[this.end++] = packed(args);
    chunk[this.end++] = resolve;
    chunk[this.end++] = reject;
    this.length++;
  }

  private shift(): Call<Args, Value> {
    const chunk = this.chunks[0] as unknown[], { at } = this;
    const call = new Call(this.common, chunk[at], chunk[at + 1] as Resolve, chunk[at + 2] as Reject);
    chunk.fill(undefined, at, at + 3);
    this.at += 3;
    this.length--;
    if (this.at === CHUNK || this.length === 0) {
      this.chunks.shift();
      this.at = 0;
      if (this.length === 0) this.end = CHUNK;
    }
    return call;
  }

  feed(driver: Driver): boolean {
    for (let room = driver.room(); room > 0 && this.length > 0; room--) this.submit(driver, this.shift());
    if (this.length > 0) return true;
    driver.remove(this);
    return false;
  }

  private submit(driver: Driver, call: Call<Args, Value>): void {
    try {
      driver.submitTask(call, 0, 0);
    } catch {
      // The pool is being closed: what waits ends as cancelled.
      call.ended(false, () => 'the pool was closed before this was started');
    }
  }

  /** The engine could not be made: nothing will run. */
  fail(error: unknown): void {
    while (this.length > 0) this.shift().fail(error);
  }
}

/** @internal */
export function makePool<Args extends unknown[], Value>(
  fn: (this: Attempt, ...args: Args) => Promise<Value> | Value, options: PoolOptions, loaded: () => Promise<Core>,
): Pool<Args, Value> {
  const { retries, classify, ...numbers } = options;
  const config: Record<string, unknown> = { name: 'pool', queue_capacity: 1024 };
  for (const [name, value] of Object.entries(numbers)) if (value !== undefined) config[snake(name)] = value;
  if (retries !== undefined) config['max_retries'] = retries;
  const line = new Line<Args, Value>({ fn, classify });
  let driver: Driver | undefined;
  let failure: unknown;
  let isClosed = false;
  const opened = loaded().then((core) => {
    driver = new Driver(core, config, BigInt(Math.floor(Math.random() * 2 ** 53)), {
      transport: { start: () => {} }, secrets: [], keepBody: false, onNotice: undefined, onLog: undefined,
      schedule: (turn) => queueMicrotask(turn),
    });
    if (line.length > 0) driver.add(line);
    return driver;
  });
  opened.catch((error: unknown) => {
    failure = error ?? new SheafError('the pool could not be made', 'E_INTERNAL');
    line.fail(failure);
  });

  const call = (...args: Args): Promise<Value> =>
    new Promise<Value>((resolve, reject) => {
      if (isClosed || failure !== undefined) {
        reject(failure ?? new SheafError('the pool is closed', 'E_MISUSE'));
        return;
      }
      line.push(args, resolve as Resolve, reject);
      if (line.length === 1) driver?.add(line);
    });

  return Object.defineProperties(call, {
    onIdle: { value: () => opened.then((ready) => ready.whenIdle()) },
    pending: { get: () => line.length + (driver ? driver.inside - driver.inFlight : 0) },
    running: { get: () => driver?.inFlight ?? 0 },
    metrics: { value: () => (driver ? figuresOf(driver.numbers()) : {}) },
    close: {
      value: async () => {
        isClosed = true;
        const ready = await opened;
        ready.drain();
        await ready.whenIdle();
        ready.close();
      },
    },
  }) as unknown as Pool<Args, Value>;
}
