// job_run.ts: a submission that is looked after: what the store has of it, an engine that goes on from there, and what
// comes of it back into the store.
//
//   records          what the engine appends, after the results before it and the rows that it speaks of
//   rows-J-N         the N-th part of the rows of job J, until every one of them has its result
//   results-RANDOM   lines of results: the row's index, a space, the output line of the command; a record names each such
//                    part, so that none is looked for that is not there, and none is overwritten
//
// Each frame of the records carries the sum of the one before: frames are written in the order in which they are made.

import { blame, SheafError } from './errors.js';
import { type JobCore } from './job_core.js';
import { JobEngine, type JobEngineSettings, type JobStatusText, type RecordText } from './job_engine.js';
import type { JobInfo, JobProgress, JobResult, JobState, JobStore, Submission } from './job_types.js';
import { RecordType } from './layout.js';
import { resultOf } from './state.js';
import type { Result } from './types.js';

/** What all runs of one client have in common. */
export interface JobContext extends JobEngineSettings {
  core(): Promise<JobCore>;
  config: Record<string, unknown>;
  seed(): bigint;
}

/** Options that mean something to requests as they come; the jobs module does not know them. */
const live = new Set([
  'merge', 'window', 'window_ms', 'max_batch', 'max_inputs', 'min_batch', 'max_wait_ms', 'delay_cost_nano', 'call_cost_nano', 'canary_pct',
  'merge_failure_pct', 'dedup', 'cache_entries', 'cache_bytes_max', 'cache_ttl_ms', 'group_events', 'stream',
]);

/** A client's configuration, for jobs. */
export function jobConfig(config: Record<string, unknown>, more: Record<string, unknown> | undefined): Record<string, unknown> {
  return { ...Object.fromEntries(Object.entries(config).filter(([name]) => !live.has(name))), ...more, lane: 'batch' };
}

/** How far a run goes: the core's batch_mode. */
export type Mode = 'run' | 'submit' | 'collect' | 'status' | 'cancel';

interface Opening {
  context: JobContext;
  store: JobStore;
  id: string;
  mode: Mode;
  /** Options of the core for this run. */
  config?: Record<string, unknown>;
  onProgress?: ((progress: JobProgress) => void) | undefined;
}

const partUsual = 8 << 20;
const flushMs = 1000; // results wait for company in a part so long
const encoder = new TextEncoder(), decoder = new TextDecoder();
const lf = 10, space = 32;

const rowsName = (flight: number, n: number): string => `rows-${flight}-${String(n).padStart(6, '0')}`;
export const drawn = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** What the records say of a submission, without an engine's help. */
interface Known {
  requests: number;
  metadata?: unknown;
  createdAt: number;
  flights: Map<number, JobInfo>;
  isWhole: boolean;
  /** Parts that hold results. */
  parts: string[];
}

export function knownOf(records: readonly RecordText[]): Known {
  const known: Known = { requests: 0, createdAt: 0, flights: new Map(), isWhole: false, parts: [] };
  for (const [flight, type, content] of records) {
    if (type === RecordType.RUN) {
      if (content['whole'] === true) known.isWhole = true;
      if (typeof content['results'] === 'string') known.parts.push(content['results']);
      if (known.createdAt) continue; // it is the first that says what was submitted
      known.requests = Number(content['requests'] ?? 0);
      known.createdAt = Number(content['created_unix_ms'] ?? 0);
      if ('metadata' in content) known.metadata = content['metadata'];
      continue;
    }
    if (type === RecordType.JOB_PLAN)
      known.flights.set(flight, {
        number: flight, state: 'prepared', provider: String(content['provider'] ?? ''), endpoint: String(content['endpoint'] ?? ''),
        model: String(content['model'] ?? ''), requests: Number(content['requests'] ?? 0), bytes: Number(content['bytes'] ?? 0), rescued: 0,
      });
    const info = known.flights.get(flight);
    if (info) learn(info, type, content);
  }
  return known;
}

function learn(info: JobInfo, type: RecordType, content: Record<string, unknown>): void {
  const number = (name: string): number | undefined => (typeof content[name] === 'number' ? (content[name] as number) : undefined);
  const word = (name: string): string | undefined => (content[name] ? String(content[name]) : undefined);
  if (type === RecordType.JOB_INTENT) info.state = 'submitting';
  if (type === RecordType.JOB_FACT && word('job')) {
    info.state = 'queued';
    info.id = word('job') as string;
    info.createdAt = number('unix_ms') as number;
  }
  if (type === RecordType.JOB_STATE) {
    info.state = (word('state') ?? info.state) as JobState;
    for (const name of ['completed', 'failed'] as const) if (number(name) !== undefined) info[name] = number(name) as number;
    if (word('message')) info.message = word('message') as string;
  }
  if (type === RecordType.JOB_OVER) {
    info.state = 'collected';
    info.rescued = number('rescued') ?? 0;
    if (number('succeeded') !== undefined) info.completed = number('succeeded') as number;
    if (number('failed') !== undefined) info.failed = number('failed') as number;
  }
}

function infoOf(text: JobStatusText): JobInfo {
  const info: JobInfo = {
    number: text.flight, state: text.state as JobState, provider: text.provider ?? '', endpoint: text.endpoint ?? '',
    model: text.model ?? '', requests: text.requests, bytes: text.bytes, rescued: text.rescued,
  };
  if (text.job) info.id = text.job;
  if (text.completed !== undefined) info.completed = text.completed;
  if (text.failed !== undefined) info.failed = text.failed;
  if (text.message) info.message = text.message;
  if (text.created_unix_ms !== undefined) info.createdAt = text.created_unix_ms;
  return info;
}

/** @internal */
export function submissionOf(id: string, { requests, metadata, createdAt, flights, isWhole }: Known, jobs: JobInfo[] = [...flights.values()], results?: number): Submission {
  const rows = jobs.reduce((sum, job) => sum + job.requests, 0);
  const done = results ?? jobs.reduce((sum, job) => sum + (job.state === 'collected' ? job.requests : 0), 0);
  return {
    id, ...(metadata === undefined ? {} : { metadata }), createdAt, requests, results: done, done: done >= requests,
    isPartial: !isWhole && rows + done < requests, jobs: jobs.sort((a, b) => a.number - b.number),
  };
}

export const notFound = (id: string): SheafError => new SheafError(`${id}: the store has no such submission`, 'E_NOT_FOUND', 'id');

export class JobRun {
  /** Results that nobody has taken yet. */
  fresh: JobResult[] = [];
  /** Called when there are. */
  onFresh: (() => void) | undefined;
  /** Of all jobs, however often each of them was told. */
  done = 0;
  private succeeded = 0;
  private at = 0;
  private readonly ended = new Set<number>();
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  /** What goes into the store, one after another. */
  private queue: Promise<void> = Promise.resolve();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private known: Known = { requests: 0, createdAt: 0, flights: new Map(), isWhole: false, parts: [] };
  private failure: { error: unknown } | undefined;
  private isClosed = false;

  private constructor(private readonly opening: Opening, readonly engine: JobEngine, private readonly unlock: (() => void) | undefined) {}

  /** Opens a submission, a new one where `requests` says how many it has. Nobody else may look after it meanwhile. */
  static async open(opening: Opening, begin?: { requests: number; metadata: unknown }): Promise<JobRun> {
    const { store, id, context, mode } = opening;
    if (!begin && (await store.read(id)) === undefined) throw notFound(id);
    const unlock = store.lock ? await store.lock(id) : undefined;
    if (store.lock && !unlock)
      throw new SheafError(`${id}: somebody else is looking after it; wait for that one`, 'E_OTHER_RUN', 'id');
    let engine: JobEngine | undefined;
    try {
      const records = (await store.read(id)) ?? new Uint8Array(0);
      const config = jobConfig(context.config, { ...opening.config, batch_mode: mode });
      let run: JobRun | undefined;
      engine = new JobEngine(await context.core(), config, context.seed(), context, {
        append: (frames) => (run as JobRun).append(frames),
        // A job's end is recorded when every result was told: those go into the records before it.
        quiet: () => (run as JobRun).flush(),
        result: (result, lane, line) => (run as JobRun).took(result, lane, line),
        isKnown: (index) => (run as JobRun).ended.has(index),
        changed: (job) => (run as JobRun).changed(job),
      });
      run = new JobRun(opening, engine, unlock);
      await run.begin(records, begin);
      return run;
    } catch (error) {
      await engine?.close();
      unlock?.();
      throw error;
    }
  }

  private async begin(records: Uint8Array, begin: { requests: number; metadata: unknown } | undefined): Promise<void> {
    const { engine, opening: { id, mode, store } } = this;
    const { head, valid, records: texts } = engine.open(records);
    this.at = valid;
    this.known = knownOf(texts);
    if (mode !== 'status') {
      for (const [flight, { state }] of this.known.flights) {
        if (state === 'collected') continue;
        for (let n = 0, part: Uint8Array | undefined; (part = await store.get(id, rowsName(flight, n))); n++) engine.load(flight, part);
      }
    }
    await this.readResults();
    const run = { jobs: 1, created_unix_ms: Date.now(), requests: begin?.requests, metadata: begin?.metadata };
    const isThere = this.known.createdAt > 0; // what died before it said what it holds, is not
    if (isThere && begin && this.known.requests !== begin.requests)
      throw new SheafError(`${id}: it was submitted with ${this.known.requests} requests, these are ${begin.requests}; give another id`, 'E_OTHER_RUN', 'id');
    if (isThere) return;
    if (!begin) throw notFound(id);
    const frame = engine.frame(RecordType.RUN, encoder.encode(JSON.stringify(run)));
    await this.enqueue(() => this.write(joined([head, frame], head.length + frame.length)));
    this.known = knownOf([[0, RecordType.RUN, run]]);
  }

  /** Which rows have their results, and what those are for who asks. */
  private async readResults(): Promise<void> {
    for await (const [index, line] of this.stored()) {
      if (this.ended.has(index)) continue;
      this.note(index, !isFailure(line));
    }
  }

  private async *stored(): AsyncGenerator<[index: number, line: Uint8Array], void, undefined> {
    const { id, store } = this.opening;
    for (const name of this.known.parts.slice()) {
      const part = await store.get(id, name);
      if (!part) throw new SheafError(`${id}: a part of its results is not in the store (yet): ${name}`, 'E_STORE', 'store');
      for (let from = 0; from < part.length;) {
        const end = part.indexOf(lf, from), gap = part.indexOf(space, from);
        if (end < 0 || gap < 0) throw new SheafError(`${id}: its results are damaged`, 'E_CORRUPT', 'id');
        yield [Number(decoder.decode(part.subarray(from, gap))), part.subarray(gap + 1, end)];
        from = end + 1;
      }
    }
  }

  /** The results that the store had when it was opened. */
  async *earlier(): AsyncGenerator<JobResult, void, undefined> {
    const told = new Set<number>();
    for await (const [index, line] of this.stored()) {
      if (told.has(index)) continue;
      told.add(index);
      const result = resultOf(line, index, this.engine);
      yield Object.assign(result, { lane: laneOf(line) });
    }
  }

  private note(index: number, isOk: boolean): void {
    this.ended.add(index);
    this.done++;
    if (isOk) this.succeeded++;
  }

  /** Rows that have results are passed by when they are submitted again. */
  markEnded(): void {
    for (const index of this.ended) this.engine.ended(index);
  }

  get isDone(): boolean {
    return this.done >= this.known.requests;
  }

  /** All that was handed over is in the store: what a run over the submission may go by. */
  async whole(): Promise<void> {
    if (this.known.isWhole) return;
    this.known.isWhole = true;
    await this.record({ whole: true });
  }

  /** Runs until there is nothing more to do in this mode. */
  async run(): Promise<void> {
    if (this.opening.mode !== 'submit') this.engine.endInput();
    await this.engine.run();
    await this.settle();
  }

  // ---- Into the store ----

  private took(result: Result, lane: 'batch' | 'live', line: Uint8Array): void {
    if (this.ended.has(result.index)) return;
    this.note(result.index, result.ok);
    const prefix = encoder.encode(`${result.index} `);
    const entry = new Uint8Array(prefix.length + line.length);
    entry.set(prefix);
    entry.set(line, prefix.length);
    this.pending.push(entry);
    this.pendingBytes += entry.length;
    this.fresh.push(Object.assign(result, { lane }));
    this.onFresh?.();
    if (this.pendingBytes >= (this.opening.store.partBytes ?? partUsual) / 2) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), flushMs);
    this.report();
  }

  /** Results so far, on their way into the store. */
  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const lines = this.pending, { store, id } = this.opening, most = store.partBytes ?? partUsual;
    this.pending = [];
    this.pendingBytes = 0;
    for (let from = 0; from < lines.length;) {
      let bytes = (lines[from] as Uint8Array).length, to = from + 1;
      while (to < lines.length && bytes + (lines[to] as Uint8Array).length <= most) bytes += (lines[to++] as Uint8Array).length;
      const name = `results-${drawn()}`, part = joined(lines.slice(from, to), bytes);
      from = to;
      this.record({ results: name }, async () => store.put(id, name, part)).catch(() => {}); // settle tells
    }
  }

  /** A record of the host's own; `before`: what is to be in the store first. */
  private record(content: object, before?: () => Promise<void>): Promise<void> {
    const frame = this.engine.frame(RecordType.RUN, encoder.encode(JSON.stringify(content)));
    return this.enqueue(async () => {
      await before?.();
      await this.write(frame);
    });
  }

  private enqueue(act: () => Promise<void>): Promise<void> {
    const next = this.queue.then(() => {
      if (this.failure) throw this.failure.error;
      return act();
    });
    this.queue = next.catch((error: unknown) => void (this.failure ??= { error }));
    return next;
  }

  /** The rows that they speak of are in the store before them. */
  private append(frames: Uint8Array): Promise<void> {
    return this.enqueue(async () => {
      await this.saveRows();
      await this.write(frames);
      await this.forgetRows();
    });
  }

  private async write(bytes: Uint8Array): Promise<void> {
    await this.opening.store.append(this.opening.id, this.at, bytes);
    this.at += bytes.length;
  }

  private async saveRows(): Promise<void> {
    const { store, id } = this.opening, most = store.partBytes ?? partUsual;
    for (let flight = 0; (flight = this.engine.nextSealed()) !== 0;) {
      for (let n = 0, offset = 0; ; n++) {
        const part = this.engine.spooled(flight, offset, most);
        if (part.length === 0) break;
        await store.put(id, rowsName(flight, n), part);
        offset += part.length;
      }
    }
  }

  private async forgetRows(): Promise<void> {
    const { store, id } = this.opening;
    for (let flight = 0; (flight = this.engine.nextForgotten()) !== 0;)
      for (let n = 0; (await store.get(id, rowsName(flight, n))) !== undefined; n++) await store.delete(id, rowsName(flight, n));
  }

  private async settle(): Promise<void> {
    this.flush();
    await this.queue;
    if (this.failure) throw this.failure.error;
    await this.forgetRows();
  }

  /** A person's decision on one of its jobs. */
  async decide(number: number, decision: string, jobId: string | undefined): Promise<void> {
    if (!this.known.flights.has(number)) throw new SheafError(`${this.opening.id} has no job ${number}`, 'E_NOT_FOUND', 'job');
    if (decision === 'adopt' && !jobId) throw new SheafError("jobId: give the provider's id of the job to adopt", 'E_FIELD', 'jobId');
    const text = encoder.encode(JSON.stringify({ decision, ...(jobId ? { job: jobId } : {}), unix_ms: Date.now() }));
    const payload = new Uint8Array(8 + text.length);
    new DataView(payload.buffer).setBigUint64(0, BigInt(number), true);
    payload.set(text, 8);
    const frame = this.engine.frame(RecordType.JOB_DECISION, payload);
    await this.enqueue(() => this.write(frame));
  }

  // ---- What is known ----

  get submission(): Submission {
    const jobs = new Map(this.known.flights);
    for (const text of this.engine.jobs()) if (text.requests > 0) jobs.set(text.flight, infoOf(text));
    return submissionOf(this.opening.id, this.known, [...jobs.values()], this.done);
  }

  private changed(job: JobStatusText): void {
    if (job.requests > 0) this.known.flights.set(job.flight, infoOf(job));
    this.report();
  }

  private report(): void {
    const { onProgress, id } = this.opening;
    if (!onProgress || this.isReporting) return;
    // The mailbox is in use: what is told, is told when it is not.
    this.isReporting = true;
    queueMicrotask(() => {
      this.isReporting = false;
      if (this.isClosed) return;
      const { done, succeeded, known: { requests: total } } = this;
      try {
        onProgress({ id, done, total, succeeded, failed: done - succeeded, jobs: this.submission.jobs });
      } catch (error) {
        blame(error);
      }
    });
  }

  private isReporting = false;

  /** Stores what is there, and lets go of it. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    clearTimeout(this.timer);
    try {
      this.flush();
      await this.engine.close();
      await this.queue;
    } finally {
      this.isClosed = true;
      this.unlock?.();
    }
  }
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  if (pieces.length === 1) return pieces[0] as Uint8Array;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

interface LineParts {
  error: unknown;
  sheaf: { lane?: string };
}

const isFailure = (line: Uint8Array): boolean => (JSON.parse(decoder.decode(line)) as LineParts).error !== null;
const laneOf = (line: Uint8Array): 'batch' | 'live' =>
  (JSON.parse(decoder.decode(line)) as LineParts).sheaf.lane === 'batch' ? 'batch' : 'live';
