// state.ts: runs that can be left and gone on with: what is done is known by the core's resume index, what may have been
// sent by its log. Here are the run itself, whatever its input and output are, and runs without any file system, whose
// output and log become one value, the state.
//
//   input -> offer -> (skipped: an earlier run finished it) | in -> result -> line -> output
//
// files.ts is the same run over files.

import type { DriverSettings, Feeder, Row } from './driver.js';
import { blame, SheafError } from './errors.js';
import type { Flight } from './flight.js';
import { Flag, Status } from './layout.js';
import { lineOf } from './options.js';
import type { ResumableDriver } from './resumable.js';
import type { Transport } from './transport.js';
import type { Budget, Progress, Request, ResumeOptions, Result, RunOptions, TokenEvent } from './types.js';

/** Makes another engine of a client's. @internal */
export type Renew = (changes: Partial<DriverSettings>) => Promise<ResumableDriver>;

// ---- Parts of a run ----

/** A row as a line of the input format. `number` is its line, or its place from 1. @internal */
export interface InputRow {
  line: Uint8Array | string;
  number: number;
}

/** @internal */
export interface Input {
  /** The next row, valid until the next call; null: none yet, `poke` follows; undefined: no more. */
  next(): InputRow | null | undefined;
  /** The id of an earlier row, to tell ids apart that have one hash; undefined: it is believed. */
  idOf?(number: number): string | undefined;
  /** How errors name a row. */
  place(number: number, column: number): string;
  before(number: number): string;
  otherRun(customId: string): string;
}

/** @internal */
export interface Output {
  /** Where the next line will begin. */
  readonly bytes: number;
  append(line: Uint8Array): void;
  /** Called now and then, and when nothing more comes. */
  flush(): void;
}

/** Where the line of each row begins, 8 bytes a row. @internal */
export class Places {
  private at = new Float64Array(1024).fill(-1);
  /** Rows that have a line. */
  count = 0;
  /** The highest of them, and one. */
  end = 0;

  get(index: number): number {
    return index < this.end ? (this.at[index] as number) : -1;
  }

  set(index: number, offset: number): void {
    if (index >= this.at.length) {
      const grown = new Float64Array(Math.max(index + 1, this.at.length * 2)).fill(-1);
      grown.set(this.at);
      this.at = grown;
    }
    if ((this.at[index] as number) < 0) this.count++;
    this.at[index] = offset;
    this.end = Math.max(this.end, index + 1);
  }
}

class ResumableRow implements Row {
  index = -1;
  isStarted = false;
  flight: Flight | undefined = undefined;
  token?: (event: TokenEvent) => void;
  discard?: (event: { index: number; customId: string }) => void;
  /** Where an earlier line of it begins that may have to give way; -1: there is none. */
  earlier = -1;
  /** That line says that the request could not be built. */
  isVoid = false;
  /** It cannot be built this time. */
  isRefused = false;

  constructor(private readonly run: ResumableRun) {
    const { onToken, onDiscard } = run.options;
    if (onToken) this.token = onToken;
    if (onDiscard) this.discard = onDiscard;
  }

  get transport(): Transport | undefined {
    return this.run.options.transport;
  }

  taken(): void {
    this.run.took(this);
  }
}

const rowsATurn = 4096; // rows that are done already are skipped so many at a time, for others want a turn, too
const progressUsualMs = 200;

/** What a run did. @internal */
export interface Figures {
  rows: number;
  succeeded: number;
  failed: number;
  skipped: number;
  left: number;
  written: number;
}

/** @internal */
export class ResumableRun implements Feeder {
  readonly places = new Places();
  /** Lines of failures that a success of this run replaced. */
  readonly losers: number[] = [];
  readonly figures: Figures = { rows: 0, succeeded: 0, failed: 0, skipped: 0, left: 0, written: 0 };
  readonly ended: Promise<void>;
  failure: unknown;
  /** All of the input was read. */
  isInputEnded = false;
  private row: InputRow | undefined;
  private inside = 0;
  private isStopped = false;
  private isOver = false;
  private lastReport = -Infinity;
  private resolve!: () => void;
  private readonly clock: Clock | undefined;
  private readonly stopWatching: () => void;

  constructor(
    readonly driver: ResumableDriver, private readonly input: Input, private readonly output: Output, readonly options: RunOptions,
    budget: Budget | undefined, private readonly onResult?: (result: Result, row: { index: number }) => void,
    private readonly onSkipped?: (index: number, offset: number) => void, private readonly total?: () => number | undefined,
    private readonly isHeldBack?: () => boolean,
  ) {
    this.ended = new Promise((resolve) => (this.resolve = resolve));
    this.stopWatching = watch(options, (isCancel) => this.stop(isCancel));
    if (budget) this.clock = new Clock(budget, (isAbort) => this.stop(isAbort));
    driver.add(this);
  }

  /** Nothing new starts; with `isAbort` what is in flight ends, too. Rows without a result are for a later run. */
  stop(isAbort: boolean): void {
    this.isStopped = true;
    this.driver.drain(isAbort);
  }

  /** An attempt was begun. */
  started(): void {
    this.clock?.started();
  }

  fail(error: unknown, isAbort = false): void {
    this.failure ??= error;
    this.stop(isAbort);
  }

  feed(): boolean {
    if (this.isOver) return false;
    this.flush();
    for (let n = 0; !this.isInputEnded && !this.isStopped; n++) {
      if (this.isHeldBack?.()) break;
      if (n === rowsATurn) {
        this.driver.poke();
        return true;
      }
      if (this.row === undefined && !this.read()) break;
      const row = new ResumableRow(this);
      const flags = this.driver.offer((this.row as InputRow).line, row, (this.row as InputRow).number);
      if (flags === Status.E_FULL) return true;
      if (flags < 0) this.refused(flags);
      else this.accepted(flags, row);
    }
    if ((this.isInputEnded || this.isStopped) && this.inside === 0) this.end();
    return false;
  }

  private read(): boolean {
    try {
      const next = this.input.next();
      if (next === undefined) this.isInputEnded = true;
      this.row = next ?? undefined;
    } catch (error) {
      this.fail(error);
    }
    return this.row !== undefined;
  }

  private accepted(flags: number, row: ResumableRow): void {
    const has = (flag: Flag): boolean => (flags & flag) !== 0;
    this.row = undefined;
    this.figures.rows++;
    row.isRefused = has(Flag.REFUSED);
    if (has(Flag.LINE)) {
      row.earlier = this.driver.offered().number;
      row.isVoid = has(Flag.VOID);
      this.places.set(row.index, row.earlier);
    }
    if (!has(Flag.SKIPPED)) {
      this.inside++;
      return;
    }
    this.skip(has(Flag.OK), row);
  }

  private skip(isOk: boolean, row: ResumableRow): void {
    this.figures.skipped++;
    if (isOk) this.figures.succeeded++;
    else this.figures.failed++;
    this.onSkipped?.(row.index, row.earlier);
    this.report();
  }

  private refused(status: number): void {
    const { driver, input } = this;
    const { number } = this.row as InputRow;
    if (status === Status.E_END) {
      this.isStopped = true;
      return;
    }
    const failure = driver.failed(status);
    const { number: detail, customId } = driver.offered();
    if (status === Status.E_DUPLICATE) {
      const earlier = input.idOf?.(detail);
      // Two ids with one hash: offered again, it is let in.
      if (earlier !== undefined && earlier !== customId) return;
      this.fail(new SheafError(
        `${input.place(number, 0)}: custom_id ${JSON.stringify(customId)} was used before ${input.before(detail)}; give each its own`,
        failure.code, 'customId'));
    } else if (status === Status.E_OTHER_RUN) {
      this.fail(new SheafError(input.otherRun(customId), failure.code, 'customId'));
    } else {
      this.fail(new SheafError(`${input.place(number, detail)}: ${failure.message}`, failure.code, failure.field));
    }
  }

  /** What was cut short has no outcome and gets no line: a later run knows it as unknown, or as never billed. */
  took(row: ResumableRow): void {
    const { driver } = this;
    const { flags, errorClass, latencyMs } = driver.facts();
    const isOk = (flags & Flag.OK) !== 0;
    const isAttempted = (flags & Flag.ATTEMPTED) !== 0;
    this.inside--;
    if (errorClass === 'cancelled' || !(isAttempted || errorClass === 'invalid_request')) {
      this.figures.left++;
      return;
    }
    if (isOk) this.figures.succeeded++;
    else this.figures.failed++;
    if (isAttempted) this.clock?.took(latencyMs);
    try {
      this.onResult?.(driver.result(), row);
      this.write(row, isOk);
    } catch (error) {
      this.fail(error, true);
    }
    this.report();
  }

  private write(row: ResumableRow, isOk: boolean): void {
    if (row.earlier >= 0) {
      if (row.isVoid && row.isRefused) {
        this.figures.skipped++;
        return;
      }
      // Success beats failure, then the first wins: a row that failed again keeps its first line.
      if (!row.isVoid && !isOk) return;
      this.losers.push(row.earlier);
    }
    const offset = this.output.bytes;
    this.output.append(this.driver.lineBytes());
    this.places.set(row.index, offset);
    this.figures.written++;
  }

  private flush(): void {
    try {
      this.output.flush();
    } catch (error) {
      this.fail(error, true);
    }
  }

  private report(): void {
    const { onProgress, progressMs = progressUsualMs } = this.options;
    if (!onProgress) return;
    const { succeeded, failed } = this.figures;
    const total = this.isInputEnded ? this.figures.rows : this.total?.();
    const now = performance.now();
    if (succeeded + failed !== total && now - this.lastReport < progressMs) return;
    this.lastReport = now;
    const progress: Progress = { done: succeeded + failed, total, succeeded, failed, inFlight: this.driver.inFlight };
    try {
      onProgress(progress);
    } catch (error) {
      blame(error);
    }
  }

  private end(): void {
    this.isOver = true;
    this.stopWatching();
    this.clock?.clear();
    this.driver.remove(this);
    this.resolve();
  }

  /** Every row of the input has its line. */
  get isWhole(): boolean {
    return this.failure === undefined && this.isInputEnded && !this.row && this.places.count === this.figures.rows;
  }
}

function watch(options: RunOptions, act: (isCancel: boolean) => void): () => void {
  const { signal } = options;
  if (!signal) return () => {};
  const listener = (): void => act(options.onAbort === 'cancel');
  if (signal.aborted) queueMicrotask(listener);
  else signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

// ---- Budget ----

/** What starts is to end in time: so much longer than the slowest of late a reply may take. */
const slack = 1.25;
const firstShare = 0.1, mostShare = 0.9; // of the time, kept free while no reply has come; and at most
const closing = 0.02; // of the time, for putting the state together

class Clock {
  private readonly began = performance.now();
  private readonly ms: number;
  private left: number;
  private slowest = -1;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last: ReturnType<typeof setTimeout> | undefined;

  constructor({ ms = Infinity, requests = Infinity }: Budget, private readonly stop: (isAbort: boolean) => void) {
    for (const [name, value] of [['budget.ms', ms], ['budget.requests', requests]] as const)
      if (!(value > 0)) throw new SheafError(`${name}: give a number above 0`, 'E_RANGE', name);
    this.ms = ms;
    this.left = requests;
    if (ms !== Infinity) {
      this.last = setTimeout(() => this.stop(true), ms * (1 - closing));
      this.wait();
    }
  }

  /** When starting ends, from the beginning. */
  private get until(): number {
    const reserve = this.slowest < 0 ? this.ms * firstShare : Math.min(this.slowest * slack, this.ms * mostShare);
    return this.ms * (1 - closing) - reserve;
  }

  private wait(): void {
    clearTimeout(this.timer);
    const rest = this.until - (performance.now() - this.began);
    if (rest <= 0) this.stop(false);
    else this.timer = setTimeout(() => this.wait(), rest);
  }

  started(): void {
    if (--this.left <= 0) this.stop(false);
  }

  took(latencyMs: number): void {
    this.slowest = Math.max(latencyMs, this.slowest * 0.98);
    if (this.ms !== Infinity && this.until <= performance.now() - this.began) this.stop(false);
  }

  clear(): void {
    clearTimeout(this.timer);
    clearTimeout(this.last);
  }
}

// ---- The state ----

const lf = 10;
const mark = 'sheaf-state 1';
const decoder = new TextDecoder();

/** The two files that a state stands for, byte for byte: the output, and the log beside it (`OUT.sheaf`). */
export interface StateParts {
  output: Uint8Array;
  log: Uint8Array;
}

async function through(bytes: Uint8Array, stream: { readable: ReadableStream; writable: WritableStream }): Promise<Uint8Array> {
  return new Uint8Array(await new Response(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(stream)).arrayBuffer());
}

const isPacked = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Makes a state of the two files: an output and its log, of this package or of the command. */
export async function joinState({ output, log }: StateParts): Promise<Uint8Array> {
  const head = new TextEncoder().encode(`${mark} ${log.length} ${output.length}\n`);
  const state = new Uint8Array(head.length + log.length + output.length);
  state.set(head);
  state.set(log, head.length);
  state.set(output, head.length + log.length);
  return typeof CompressionStream === 'function' ? through(state, new CompressionStream('gzip')) : state;
}

/** The two files of a state: written as `OUT` and `OUT.sheaf`, `sheaf run ... -o OUT --resume` goes on with them. */
export async function splitState(state: Uint8Array): Promise<StateParts> {
  if (isPacked(state) && typeof DecompressionStream !== 'function')
    throw new SheafError('the state is compressed, and this runtime has no DecompressionStream: gunzip it first', 'E_UNSUPPORTED', 'state');
  const bytes = isPacked(state)
    ? await through(state, new DecompressionStream('gzip')).catch(() => new Uint8Array(0))
    : state;
  const headEnd = bytes.subarray(0, 64).indexOf(lf);
  const head = /^sheaf-state (\d+) (\d+) (\d+)$/.exec(decoder.decode(bytes.subarray(0, Math.max(headEnd, 0))));
  if (head?.[1] !== undefined && head[1] !== '1')
    throw new SheafError('the state was made by a newer sheaf: go on with that one', 'E_VERSION', 'state');
  const log = headEnd + 1 + Number(head?.[2]), end = log + Number(head?.[3]);
  if (!head || end !== bytes.length) throw new SheafError('the state is damaged: not all of it is there', 'E_CORRUPT', 'state');
  return { log: bytes.slice(headEnd + 1, log), output: bytes.slice(log) };
}

/** Lines in memory. */
class MemoryOutput implements Output {
  private readonly lines = new Map<number, Uint8Array>();
  bytes = 0;

  append(line: Uint8Array): void {
    this.lines.set(this.bytes, line);
    this.bytes += line.length;
  }

  flush(): void {}

  at(offset: number): Uint8Array {
    return this.lines.get(offset) as Uint8Array;
  }

  /** All of them but those that a better one replaced. */
  join(losers: readonly number[]): Uint8Array {
    for (const offset of losers) this.lines.delete(offset);
    return concat([...this.lines.values()]);
  }

  /** Takes the lines of an earlier output into this one and the core's index; a torn last line is cut. */
  load(earlier: Uint8Array, driver: ResumableDriver): void {
    for (let from = 0; from < earlier.length;) {
      const at = earlier.indexOf(lf, from);
      const line = earlier.subarray(from, at < 0 ? earlier.length : at);
      const status = line.length === 0 ? 0 : driver.addLine(line, this.bytes);
      if (status !== 0 && at < 0) return;
      if (status !== 0) throw new SheafError('the state is damaged: a line of it is no result of sheaf', 'E_CORRUPT', 'state');
      if (line.length > 0) this.append(concat([line, Uint8Array.of(lf)]));
      from += line.length + 1;
    }
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Requests of a program, which may come late. */
class Requests implements Input {
  private readonly iterator: Iterator<Request> | AsyncIterator<Request>;
  private given: { step: IteratorResult<Request> } | { error: unknown } | undefined;
  private isWaiting = false;
  private number = 0;

  constructor(source: Iterable<Request> | AsyncIterable<Request>, private readonly poke: () => void) {
    this.iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  next(): InputRow | null | undefined {
    if (this.isWaiting) return null;
    if (!this.given) {
      const step = this.iterator.next();
      if (step instanceof Promise) {
        this.isWaiting = true;
        step.then((value) => this.give({ step: value }), (error: unknown) => this.give({ error }));
        return null;
      }
      this.given = { step };
    }
    const { given } = this;
    this.given = undefined;
    if ('error' in given) throw given.error;
    return given.step.done ? undefined : { line: lineOf(given.step.value), number: ++this.number };
  }

  private give(given: NonNullable<Requests['given']>): void {
    this.isWaiting = false;
    this.given = given;
    this.poke();
  }

  stop(): void {
    void (this.iterator.return as (() => unknown) | undefined)?.call(this.iterator);
  }

  place(number: number): string {
    return `request ${number}`;
  }

  before(number: number): string {
    return `by request ${number}`;
  }

  otherRun(customId: string): string {
    return `the state holds results of other requests: custom_id ${JSON.stringify(customId)} has other content; ` +
      'give the same requests in the same order, with the same model and parameters';
  }
}

interface LineText {
  custom_id: string;
  response: { status_code?: number; request_id?: string; body?: unknown } | null;
  error: { code: string; message: string } | null;
  sheaf: Record<string, unknown>;
}

/** An earlier result, from its line. @internal */
export function resultOf(line: Uint8Array, index: number, driver: Pick<ResumableDriver, 'toolsOf' | 'keepsBody'>): Result {
  const { custom_id, response, error, sheaf } = JSON.parse(decoder.decode(line)) as LineText;
  const number = (name: string): number => Number(sheaf[name] ?? 0);
  const word = (name: string): string => String(sheaf[name] ?? '');
  const counts = (sheaf['usage'] ?? {}) as Record<string, number | boolean>;
  const usage: Result['usage'] = {};
  for (const [ours, theirs] of usageNames) if (counts[theirs] !== undefined) usage[ours] = counts[theirs] as number;
  if (counts['estimated']) usage.estimated = true;
  const result: Result = {
    customId: custom_id, index, ok: error === null, text: word('text'), toolCalls: error ? [] : driver.toolsOf(line),
    finishReason: word('finish_reason'), model: word('model'), usage, latencyMs: number('latency_ms'),
    queueMs: number('queue_ms'), totalMs: number('queue_ms') + number('latency_ms'), attempts: number('attempts'),
    throttles: number('throttles'), billing: word('billing') as Result['billing'], resentUnknown: sheaf['resent_unknown'] === true,
    attempted: number('attempts') > 0, requestId: response?.request_id ?? '', provider: word('provider'),
    endpoint: word('endpoint'), fingerprint: word('fingerprint'), deduplicated: sheaf['deduplicated'] === true,
    cached: sheaf['cached'] === true, local: sheaf['local'] === true,
  };
  if (sheaf['ttft_ms'] !== undefined) result.ttftMs = number('ttft_ms');
  if (sheaf['cost_usd'] !== undefined) result.cost = number('cost_usd');
  if (sheaf['metadata'] !== undefined) result.metadata = sheaf['metadata'];
  if (driver.keepsBody && response?.body !== undefined) result.body = new TextEncoder().encode(JSON.stringify(response.body));
  if (error)
    result.error = {
      class: word('error_class') as NonNullable<Result['error']>['class'],
      code: error.code === sheaf['error_class'] ? '' : error.code, status: response?.status_code ?? 0, message: error.message,
      retryable: sheaf['retryable'] === true,
    };
  return result;
}

const usageNames = [
  ['inputTokens', 'input_total'], ['outputTokens', 'output_total'], ['cachedTokens', 'cache_read'],
  ['cacheWriteTokens', 'cache_write'], ['reasoningTokens', 'reasoning'],
] as const;

/** @internal */
export function random64(): bigint {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (BigInt(words[0] as number) << 32n) | BigInt(words[1] as number);
}

// ---- Runs in memory ----

/** A run over requests that may begin with a state and may end with one. @internal */
export class StateRun {
  private readonly output = new MemoryOutput();
  private readonly requests: Requests;
  readonly run: ResumableRun;

  private constructor(
    readonly driver: ResumableDriver, source: Iterable<Request> | AsyncIterable<Request>, options: ResumeOptions, parts: StateParts | undefined,
    private readonly log: Uint8Array[], onResult: (result: Result) => void, isHeldBack: (() => boolean) | undefined,
  ) {
    if (parts) this.output.load(parts.output, driver);
    this.requests = new Requests(source, () => driver.poke());
    this.run = new ResumableRun(
      driver, this.requests, this.output, options, options.budget, (result, row) => onResult({ ...result, index: row.index }),
      (index, offset) => onResult(resultOf(this.output.at(offset), index, driver)), undefined, isHeldBack);
  }

  static async open(
    renew: Renew, source: Iterable<Request> | AsyncIterable<Request>, options: ResumeOptions, state: Uint8Array | undefined,
    onResult: (result: Result) => void, isHeldBack?: () => boolean,
  ): Promise<StateRun> {
    const parts = state && (await splitState(state));
    const log: Uint8Array[] = [];
    let made: StateRun | undefined;
    const driver = await renew({ onLog: (frames) => void log.push(frames), onStart: () => made?.run.started() });
    try {
      driver.useResume(options.retryFailed ?? false);
      const { head, valid } = openLog(driver, parts?.log);
      log.push(valid > 0 ? (parts as StateParts).log.slice(0, valid) : head);
      log.push(driver.logFrame('RUN', JSON.stringify({ input: 'requests', version: driver.version, created_unix_ms: Date.now() })));
      return (made = new StateRun(driver, source, options, parts, log, onResult, isHeldBack));
    } catch (error) {
      driver.close();
      throw error;
    }
  }

  /** When it ended: the state of what is left; undefined: nothing is. */
  async finish(): Promise<Uint8Array | undefined> {
    const { run } = this;
    try {
      await run.ended;
      if (run.failure !== undefined) throw run.failure;
      return run.isWhole ? undefined : await joinState({ output: this.output.join(run.losers), log: concat(this.log) });
    } finally {
      this.stop();
    }
  }

  stop(): void {
    this.requests.stop();
    this.driver.close();
  }
}

function openLog(driver: ResumableDriver, log: Uint8Array | undefined): { head: Uint8Array; valid: number } {
  try {
    return driver.openLog(log, random64());
  } catch (error) {
    const { code } = error as SheafError;
    if (code === 'E_VERSION') throw new SheafError('the state was made by a newer sheaf: go on with that one', code, 'state');
    throw new SheafError('the state is damaged: what was sent before is not known for sure', code, 'state');
  }
}
