// jobs.ts: what "sheaf/jobs" exports, in every runtime. Types alone: jobs_entry.ts is the code behind them.

/// <reference lib="esnext.disposable" preserve="true" />

import type { JobClientOptions, Jobs } from './job_types.js';
import type { ModuleSource } from './types.js';

export { SheafError } from './errors.js';
export { indexedDbStore, kvStore, memoryStore } from './job_stores.js';
export type { KeyValues, KvStoreOptions } from './job_stores.js';
export type {
  CollectOptions, JobCallOptions, JobClientOptions, JobInfo, JobOptions, JobProgress, JobProvider, JobResult, JobResults, Jobs, JobState,
  JobStore, LaneAnswer, LaneQuestion, Submission, SubmitJobsOptions, WaitOptions,
} from './job_types.js';
export type { ModuleSource, Request, Result, RunStats, Source } from './types.js';

/** Jobs without a client: the same as `client.jobs` of one with these options. */
export declare function openJobs(options?: JobClientOptions): Promise<Jobs & { close(): Promise<void> }>;

/** Where `sheaf-jobs.wasm` is, where it is not found by itself; before the first call. See `useModule`. */
export declare function useJobsModule(source: ModuleSource | Promise<ModuleSource>): void;
