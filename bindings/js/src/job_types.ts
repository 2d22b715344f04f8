// job_types.ts: provider jobs as users see them: submissions, their stores, their results.

import type { ClientOptions, MaybePromise, Provider, Result, RunStats, Source } from './types.js';

/** A provider that jobs can be sent to; `azure`, `groq` and `mistral` speak OpenAI's language. */
export type JobProvider = Provider | 'azure' | 'groq' | 'mistral';

/** The state of one job at the provider; `prepared` and `submitting` before it is there, `collected` when all its rows have results. */
export type JobState =
  | 'unknown' | 'prepared' | 'submitting' | 'validating' | 'queued' | 'running' | 'ending' | 'completed' | 'failed' | 'expired'
  | 'cancelled' | 'collected' | 'undecided' | 'abandoned';

/** One job of a submission, as far as it is known. */
export interface JobInfo {
  /** From 1, within its submission. */
  number: number;
  state: JobState;
  provider: string;
  endpoint: string;
  model: string;
  /** The provider's own id; `undefined` until it is created. */
  id?: string;
  requests: number;
  bytes: number;
  /** As the provider counts them; `undefined` where it said nothing. */
  completed?: number;
  failed?: number;
  /** Rows that the job did not bring, and that ran live instead. */
  rescued: number;
  /** Why it failed, or what is to be decided. */
  message?: string;
  /** In ms since 1970. */
  createdAt?: number;
}

/** Requests that were handed over together, and the jobs that were made of them. */
export interface Submission {
  id: string;
  metadata?: unknown;
  /** In ms since 1970. */
  createdAt: number;
  /** How many were handed over. */
  requests: number;
  /** How many have their result in the store. */
  results: number;
  /** Every request has its result. */
  done: boolean;
  /** Not all requests reached the store: submit the same ones again, with this id. */
  isPartial: boolean;
  jobs: JobInfo[];
}

export interface JobProgress {
  id: string;
  done: number;
  total: number;
  succeeded: number;
  failed: number;
  jobs: JobInfo[];
}

/** One finished request of a job; `lane` says how it was answered: rows that a job lost run live. */
export type JobResult = Result & { lane: 'batch' | 'live' };

/** Results in the order of the requests, the failed ones apart, and what they cost. */
export type JobResults = JobResult[] & { readonly failures: JobResult[]; readonly stats: RunStats };

/**
 * Where submissions live: their records, which bring them back after a crash, and parts by name (rows that are to be sent,
 * results). What a promise was answered for must still be there when the process is gone.
 */
export interface JobStore {
  /** Adds to the records of a submission, which are `at` bytes long; what lies behind that is torn, and goes. */
  append(id: string, at: number, records: Uint8Array): MaybePromise<void>;
  /** All of its records; `undefined`: there is no such submission. */
  read(id: string): MaybePromise<Uint8Array | undefined>;
  /** Puts a part in one piece, in place of an earlier one of this name. */
  put(id: string, name: string, bytes: Uint8Array): MaybePromise<void>;
  get(id: string, name: string): MaybePromise<Uint8Array | undefined>;
  delete(id: string, name: string): MaybePromise<void>;
  /** The ids of all submissions. */
  list(): MaybePromise<string[]>;
  /** A submission, whole. */
  remove(id: string): MaybePromise<void>;
  /** Keeps others away from a submission until the function is called that it answers; `undefined`: somebody else has it. */
  lock?(id: string): MaybePromise<(() => void) | undefined>;
  /** The longest part, in bytes; 8 MiB without it. */
  readonly partBytes?: number;
}

export interface JobCallOptions {
  store: JobStore;
  signal?: AbortSignal;
}

/** How jobs are made; the names are those of the client's options, which they take the place of. */
export interface JobOptions {
  /** Requests of one job at most; the provider's own limit without it. */
  maxRequestsPerJob?: number;
  /** Jobs side by side. */
  maxJobs?: number;
  /** Input tokens of one job at most. */
  maxJobTokens?: number;
  /** Within which the provider is to finish, as `24h` or `7d`; its own without it. */
  completionWindow?: `${number}h` | `${number}d`;
  /** What becomes of rows that a job lost, or that expired: they run `live`, or end as what happened to them. */
  rescue?: 'live' | 'off';
}

export interface SubmitJobsOptions extends JobCallOptions, JobOptions {
  /** Yours, to find the submission again; drawn without it. Submitting the same requests with an id again goes on, and sends nothing twice. */
  id?: string;
  /** Stays with the submission. */
  metadata?: unknown;
  onProgress?: (progress: JobProgress) => void;
}

export interface CollectOptions extends JobCallOptions, Pick<JobOptions, 'rescue'> {
  onProgress?: (progress: JobProgress) => void;
}

export interface WaitOptions extends CollectOptions, JobOptions {
  /** First wait between two looks at a job, in ms; it grows by half up to ten minutes. A provider's own pace is kept. */
  pollIntervalMs?: number;
  /** How long to wait, in ms; then it rejects with E_LATER, and nothing is lost. */
  timeoutMs?: number;
  /** A job that is not done so long after its creation is cancelled, collected as far as it got, and rescued. */
  batchTimeoutMs?: number;
}

/** What is asked of `available`: by default whether the client's own provider and model have jobs. */
export interface LaneQuestion {
  lane?: 'batch' | 'live' | 'merged';
  provider?: JobProvider;
  model?: string;
  /** Path of the operation, such as `/v1/embeddings`. */
  url?: string;
}

export interface LaneAnswer {
  available: boolean;
  /** Why not. */
  reason?: string;
}

/** Provider jobs: many requests at half the price, answered within hours. */
export interface Jobs {
  /**
   * Makes jobs of requests. Resolves when all of them are at the provider and everything is in the store: another process
   * with the same store and id goes on from there. Rejects with nothing sent when a request cannot travel in a job.
   */
  submit(requests: Source, options: SubmitJobsOptions): Promise<Submission>;
  /** Asks the provider how the jobs are. */
  status(id: string, options: JobCallOptions): Promise<Submission>;
  /** Looks after the jobs until every request has its result. Rejects with E_LATER after `timeoutMs`. */
  wait(id: string, options: WaitOptions): Promise<JobResults>;
  /** What is done so far: the results that the store has, then those of jobs that are over by now. */
  results(id: string, options: CollectOptions): AsyncGenerator<JobResult, void, undefined>;
  /** Cancels the jobs at the provider. What they finished until then is collected by `wait` or `results`. */
  cancel(id: string, options: JobCallOptions): Promise<Submission>;
  /** What the store knows; no provider is asked. */
  list(options: JobCallOptions): Promise<Submission[]>;
  /** Takes a submission out of the store. Jobs that run at the provider go on: cancel them first. */
  remove(id: string, options: JobCallOptions): Promise<void>;
  /**
   * Of a job that is `undecided` (whether it was created cannot be known): `adopt` the provider's job of this id, `resubmit`
   * it, or `abandon` it. It takes effect with the next `wait`, `results` or `submit`.
   */
  decide(id: string, job: number, decision: 'adopt' | 'resubmit' | 'abandon', options: JobCallOptions & { jobId?: string }): Promise<void>;
  /** Whether requests can go this way. */
  available(question?: LaneQuestion): Promise<LaneAnswer>;
}

/** As the client's, but for what belongs to requests as they come. */
export type JobClientOptions = Omit<ClientOptions, 'onGroup' | 'onEvent' | 'report' | 'preprocess' | 'fallback' | 'onFull' | 'fullWaitMs' | 'keepLine'>;
