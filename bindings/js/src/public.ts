// public.ts: what every entry exports alike.

export type { Client } from './client.js';
export { SheafBatchError, SheafError } from './errors.js';
export type { Attempt, Pool, PoolOptions, Verdict } from './pool.js';
export type {
  CollectOptions, JobCallOptions, JobInfo, JobOptions, JobProgress, JobProvider, JobResult, JobResults, Jobs, JobState, JobStore, LaneAnswer,
  LaneQuestion, Submission, SubmitJobsOptions, WaitOptions,
} from './job_types.js';
export { consoleReporter, jsonLinesReporter } from './report.js';
export type { Reporter, ReportOptions } from './report.js';
export { joinState, splitState } from './state.js';
export type { StateParts } from './state.js';
export { fetchTransport } from './transport.js';
export type { Exchange, Failure, Reply, Transport } from './transport.js';
export type * from './types.js';
