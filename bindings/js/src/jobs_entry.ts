// jobs_entry.ts: jobs over a runtime: what every entry of sheaf/jobs is made of, and what client.jobs loads.

import { SheafError } from './errors.js';
import { withFigures } from './figures.js';
import { jobLoaderOf } from './job_core.js';
import { JobEngine } from './job_engine.js';
import { drawn, jobConfig, type JobContext, JobRun, knownOf, type Mode, notFound, submissionOf } from './job_run.js';
import type {
  CollectOptions, JobCallOptions, JobClientOptions, JobOptions, JobProgress, JobResult, JobResults, Jobs, JobStore, LaneAnswer, LaneQuestion,
  Submission, SubmitJobsOptions, WaitOptions,
} from './job_types.js';
import { prepare } from './options.js';
import type { ModuleSource, Source } from './types.js';

const nobody = { append: async (): Promise<void> => {}, result: (): void => {}, isKnown: () => false, changed: (): void => {}, quiet: (): void => {} };

/** What the core is told of options that belong to one call. */
function configOf(options: JobOptions & Partial<WaitOptions>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  const names = {
    maxRequestsPerJob: 'max_requests_per_job', maxJobs: 'max_jobs', maxJobTokens: 'max_job_tokens', rescue: 'rescue',
    pollIntervalMs: 'poll_interval_ms', batchTimeoutMs: 'batch_timeout_ms',
  } as const;
  for (const [ours, theirs] of Object.entries(names)) {
    const given = options[ours as keyof typeof names];
    if (given !== undefined) config[theirs] = given;
  }
  if (options.completionWindow !== undefined) {
    const [, count, unit] = /^(\d+)([hd])$/.exec(options.completionWindow) ?? [];
    if (!count) throw new SheafError('completionWindow: give hours or days, as 24h or 7d', 'E_RANGE', 'completionWindow');
    config['completion_window_hours'] = Number(count) * (unit === 'd' ? 24 : 1);
  }
  return config;
}

function storeOf(options: JobCallOptions | undefined): JobStore {
  const store = options?.store;
  if (!store) throw new SheafError('store: give one, such as memoryStore() of "sheaf/jobs" or fileStore(folder) of "sheaf/node"', 'E_FIELD', 'store');
  return store;
}

const partial = ({ id, requests }: Submission): SheafError => new SheafError(
  `${id}: not all of its ${requests} requests are in the store: submit the same ones again with this id, nothing is sent twice`, 'E_PARTIAL', 'id');

class JobsOf implements Jobs {
  constructor(private readonly context: () => JobContext) {}

  private open(id: string, mode: Mode, options: CollectOptions & JobOptions, begin?: { requests: number; metadata: unknown }): Promise<JobRun> {
    options.signal?.throwIfAborted();
    return JobRun.open({ context: this.context(), store: storeOf(options), id, mode, config: configOf(options), onProgress: options.onProgress }, begin);
  }

  /** Runs, and stops early when the signal says so. */
  private async running<Value>(run: JobRun, options: JobCallOptions, act: () => Promise<Value> | Value): Promise<Value> {
    const { signal } = options, stop = (): void => run.engine.stop();
    signal?.addEventListener('abort', stop);
    try {
      await run.run();
      signal?.throwIfAborted();
      return await act();
    } finally {
      signal?.removeEventListener('abort', stop);
      await run.close();
    }
  }

  async submit(source: Source, options: SubmitJobsOptions): Promise<Submission> {
    const store = storeOf(options), { id = drawn(), metadata, signal } = options;
    // All of them first: how many they are is the first thing that the records say.
    const lines: { line: string; flags: number }[] = [];
    for await (const request of source) {
      signal?.throwIfAborted();
      lines.push(prepare(request));
    }
    if (lines.length === 0) throw new SheafError('there are no requests', 'E_FIELD', 'requests');
    const isNew = (await store.read(id)) === undefined;
    const run = await this.open(id, 'submit', options, { requests: lines.length, metadata });
    try {
      run.markEnded();
      for (let n = 0; n < lines.length;) {
        const { line, flags } = lines[n] as (typeof lines)[number];
        lines[n] = { line: '', flags }; // the module has it now
        if (run.engine.put(line, flags)) n++;
        else {
          lines[n] = { line, flags };
          run.engine.drain();
        }
      }
      lines.length = 0;
      run.engine.endInput();
    } catch (error) {
      await run.close();
      if (isNew) await store.remove(id); // nothing of it was sent
      throw error;
    }
    return this.running(run, options, async () => {
      await run.whole();
      return run.submission;
    });
  }

  async status(id: string, options: JobCallOptions): Promise<Submission> {
    const run = await this.open(id, 'status', options);
    return this.running(run, options, () => run.submission);
  }

  async cancel(id: string, options: JobCallOptions): Promise<Submission> {
    const run = await this.open(id, 'cancel', options);
    return this.running(run, options, () => run.submission);
  }

  async wait(id: string, options: WaitOptions): Promise<JobResults> {
    const started = performance.now(), { timeoutMs } = options;
    const run = await this.open(id, 'run', options);
    let isLate = false;
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      isLate = true;
      run.engine.stop();
    }, Math.min(timeoutMs, 2 ** 31 - 1));
    const results: JobResult[] = [];
    try {
      for await (const result of run.earlier()) results.push(result);
      if (run.submission.isPartial) throw partial(run.submission);
    } catch (error) {
      clearTimeout(timer);
      await run.close();
      throw error;
    }
    await this.running(run, options, () => {
      if (run.isDone) return;
      if (isLate) throw new SheafError(`${id}: it is not done within ${timeoutMs} ms; wait again, nothing is lost`, 'E_LATER', 'timeoutMs');
      const { jobs } = run.submission, undecided = jobs.find(({ state }) => state === 'undecided');
      if (undecided)
        throw new SheafError(`${id}: job ${undecided.number}: ${undecided.message ?? 'whether it was created is not known'}; decide()`, 'E_UNDECIDED', 'job');
      const left = jobs.find(({ state, message }) => state !== 'collected' && message);
      throw left ? new SheafError(`${id}: job ${left.number}: ${left.message}`, 'E_LATER', 'job') : partial(run.submission);
    }).finally(() => clearTimeout(timer));
    results.push(...run.fresh);
    results.sort((a, b) => a.index - b.index);
    return withFigures(results, performance.now() - started) as unknown as JobResults;
  }

  async *results(id: string, options: CollectOptions): AsyncGenerator<JobResult, void, undefined> {
    const run = await this.open(id, 'collect', options);
    let isOver = false, failure: { error: unknown } | undefined, rouse = (): void => {};
    try {
      yield* run.earlier();
      run.onFresh = () => rouse();
      const over = this.running(run, options, () => {}).catch((error: unknown) => (failure = { error })).finally(() => {
        isOver = true;
        rouse();
      });
      for (;;) {
        const ready = run.fresh;
        run.fresh = [];
        yield* ready;
        if (run.fresh.length > 0) continue;
        if (isOver) break;
        await new Promise<void>((resolve) => (rouse = resolve));
      }
      await over;
      if (failure) throw failure.error;
    } finally {
      if (!isOver) run.engine.stop();
      await run.close();
    }
  }

  async list(options: JobCallOptions): Promise<Submission[]> {
    const store = storeOf(options), found: Submission[] = [];
    for (const id of await store.list()) {
      const records = await store.read(id);
      if (!records) continue;
      const engine = await this.idle();
      try {
        const known = knownOf(engine.open(records).records);
        if (known.createdAt > 0) found.push(submissionOf(id, known));
      } finally {
        await engine.close();
      }
    }
    return found.sort((a, b) => a.createdAt - b.createdAt);
  }

  /** An engine that is opened and never run. */
  private async idle(config: Record<string, unknown> = {}): Promise<JobEngine> {
    const context = this.context();
    return new JobEngine(await context.core(), jobConfig(context.config, config), context.seed(), context, nobody);
  }

  async remove(id: string, options: JobCallOptions): Promise<void> {
    const store = storeOf(options);
    if ((await store.read(id)) === undefined) throw notFound(id);
    const unlock = store.lock ? await store.lock(id) : undefined;
    if (store.lock && !unlock) throw new SheafError(`${id}: somebody else is looking after it; wait for that one`, 'E_OTHER_RUN', 'id');
    try {
      await store.remove(id);
    } finally {
      unlock?.();
    }
  }

  async decide(id: string, job: number, decision: 'adopt' | 'resubmit' | 'abandon', options: JobCallOptions & { jobId?: string }): Promise<void> {
    const run = await this.open(id, 'status', options);
    try {
      await run.decide(job, decision, options.jobId);
    } finally {
      await run.close();
    }
  }

  async available({ lane = 'batch', provider, model, url }: LaneQuestion = {}): Promise<LaneAnswer> {
    const { config } = this.context(), whose = provider ?? config['provider'];
    if (lane === 'merged' && config['merge'] === 'off') return { available: false, reason: 'merge is off' };
    if (lane === 'merged' && url !== undefined && !mergeable.test(url)) return { available: false, reason: `${url}: its requests do not share calls` };
    // The jobs module knows nothing of it but its name.
    if (whose === 'ollama') return lane === 'batch' ? { available: false, reason: 'ollama offers no batch jobs' } : { available: true };
    // A request of that kind is shown to an engine that never runs: it says why not.
    const where: Record<string, unknown> = provider === undefined ? {} : { provider, endpoints: undefined };
    let engine: JobEngine | undefined;
    try {
      engine = await this.idle({ ...where, model: model ?? config['model'] ?? '-' });
      engine.open(new Uint8Array(0));
      const what = url === undefined ? { prompt: 'x' } : bodyFor(url);
      engine.put(JSON.stringify({ ...what, lane: lane === 'batch' ? 'batch' : 'live' }), 0);
      return { available: true };
    } catch (error) {
      if (!(error instanceof SheafError)) throw error;
      return { available: false, reason: error.message };
    } finally {
      await engine?.close();
    }
  }
}

/** Chats, lists of inputs, and what is completed. */
const mergeable = /chat|messages$|embed|completions|generate/i;

/** A body that an operation takes. */
function bodyFor(url: string): object {
  const body = /embed/i.test(url) ? { input: 'x' } : /\/responses$/.test(url) ? { input: 'x' } : /\/completions$/.test(url) && !/chat/.test(url)
    ? { prompt: 'x' } : { messages: [{ role: 'user', content: 'x' }] };
  return { url, body };
}

/** What a client hands over. @internal */
export type ClientContext = Omit<JobContext, 'core'>;

/** @internal */
export interface JobsModule {
  jobsOf(context: () => ClientContext): Jobs;
}

/** @internal */
export const registry = Symbol.for('sheaf.jobs');

/** The functions of an entry; `contextOf` makes what a client is out of options. */
export function jobsEntryOf(
  find: () => ModuleSource | Promise<ModuleSource>, contextOf: (options: JobClientOptions) => Promise<ClientContext>,
): { openJobs(options?: JobClientOptions): Promise<Jobs & { close(): Promise<void> }>; useJobsModule(source: ModuleSource | Promise<ModuleSource>): void } & JobsModule {
  const loader = jobLoaderOf(find);
  const jobsOf = (context: () => ClientContext): Jobs => new JobsOf(() => ({ ...context(), core: loader.core }));
  // Where nothing can be loaded by its name, client.jobs finds here what was imported.
  (globalThis as Record<symbol, unknown>)[registry] ??= { jobsOf };
  return {
    jobsOf,
    useJobsModule: loader.use,
    async openJobs(options = {}) {
      const context = await contextOf(options);
      return Object.assign(jobsOf(() => context), { close: async () => context.transport.close?.() });
    },
  };
}

export type { JobProgress };
