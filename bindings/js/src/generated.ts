// generated.ts: made by generate.mjs from the module's own description (sheaf 0.1.0).

/** The core's options, under the names of the command's flags. */
export interface CoreOptions {
  /** Requests in flight; 0 or auto: adaptive. 0 to 20000, default 0. */
  concurrency?: number | 'auto';
  /** Ceiling of adaptive concurrency. 1 to 20000, default 256. */
  maxConcurrency?: number;
  /** Requests a minute; 0: not known. 0 to 150000000, default 0. */
  rpm?: number;
  /** Tokens a minute, input and output; 0: not known. 0 to 150000000, default 0. */
  tpm?: number;
  /** Input tokens a minute; 0: not known. 0 to 150000000, default 0. */
  inputTpm?: number;
  /** Output tokens a minute; 0: not known. 0 to 150000000, default 0. */
  outputTpm?: number;
  /** How much of a stated rate is used, percent. 1 to 100, default 98. */
  rateSafetyPct?: number;
  /** How long a rate may be saved up, ms. 1 to 60000, default 1000. */
  burstMs?: number;
  /** Least time between two starts, ms. 0 to 600000, default 0. */
  startIntervalMs?: number;
  /** Extra tries after failures; refusals by a rate limit do not count. 0 to 100, default 5. */
  maxRetries?: number;
  /** Tries refused by a rate limit before a request fails. 0 to 250, default 100. */
  maxThrottles?: number;
  /** First backoff, ms; doubles, with full jitter. 1 to 60000, default 500. */
  retryBaseMs?: number;
  /** Longest backoff, ms; a server's own wait is obeyed whole. 1 to 3600000, default 60000. */
  retryMaxMs?: number;
  /** One exchange, ms; 0: no limit. 0 to 86400000, default 600000. */
  attemptTimeoutMs?: number;
  /** One request over all its tries and waits, ms; 0: none. 0 to 604800000, default 0. */
  deadlineMs?: number;
  /** The whole run, ms; 0: none. 0 to 2592000000, default 0. */
  runDeadlineMs?: number;
  /** Send again what may have been billed already. Default 'within_budget'. */
  resendUnknown?: 'never' | 'within_budget' | 'always';
  /** What requests do while a circuit breaker is open. Default 'wait'. */
  onBreaker?: 'wait' | 'fail';
  /** Spend cap in US dollars; needs known prices. Default none. */
  budgetUsd?: number;
  /** Requests that may wait inside. 1 to 1000000, default 1000. */
  queueCapacity?: number;
  /** Largest reply after decompression, bytes. 1024 to 4294967296, default 67108864. */
  replyBytesMax?: number;
  /** Reply memory a slot keeps between exchanges, bytes. 0 to 1073741824, default 16384. */
  replyKeepBytes?: number;
  /** Output cap for requests that give none; 0: not sent. 0 to 10000000, default 0. */
  maxTokens?: number;
  /** Ask for streamed replies. Default false. */
  stream?: boolean;
  /** Most tokens of a request, input and max_tokens; 0: not checked. 0 to 1000000000, default 0. */
  contextTokens?: number;
  /** What may share a call: nothing, lists of inputs, prompts. Default 'lossless'. */
  merge?: 'off' | 'lossless' | 'prompts';
  /** Groups leave after window_ms, at an idle gate, when it pays. Default 'eager'. */
  window?: 'fixed' | 'eager' | 'auto';
  /** Fixed: how long the oldest member waits for company, ms. 10 to 5000, default 100. */
  windowMs?: number;
  /** Prompts in one merged call. 1 to 50, default 10. */
  maxBatch?: number;
  /** Inputs in one lossless call. 1 to 16384, default 2048. */
  maxInputs?: number;
  /** Fixed: a group of so many may leave early while the gate is idle. 1 to 20, default 2. */
  minBatch?: number;
  /** Longest wait for company, ms. 500 to 30000, default 5000. */
  maxWaitMs?: number;
  /** Auto: what a second of waiting is worth, nano-USD. 0 to 1000000000000, default 1000. */
  delayCostNano?: number;
  /** Auto: what one call fewer saves, nano-USD. 0 to 1000000000000, default 10000. */
  callCostNano?: number;
  /** Merged prompts that are also asked alone and compared, percent. 0 to 100, default 2. */
  canaryPct?: number;
  /** Discarded of 32 calls above which prompts go alone, percent. 1 to 100, default 20. */
  mergeFailurePct?: number;
  /** Text of all requests inside, bytes. 1048576 to 1099511627776, default 268435456. */
  queueBytesMax?: number;
  /** Identical requests share: never, where answers repeat, always. Default 'auto'. */
  dedup?: 'off' | 'auto' | 'all';
  /** Answers kept for later twins; 0: none. 0 to 1000000, default 0. */
  cacheEntries?: number;
  /** Bodies of the answers kept, bytes. 65536 to 1099511627776, default 67108864. */
  cacheBytesMax?: number;
  /** How long an answer is kept, ms. 1 to 604800000, default 300000. */
  cacheTtlMs?: number;
  /** An urgent request goes next after, ms. 1 to 604800000, default 2000. */
  classWaitUrgentMs?: number;
  /** A high one, ms. 1 to 604800000, default 15000. */
  classWaitHighMs?: number;
  /** A normal one, ms. 1 to 604800000, default 120000. */
  classWaitNormalMs?: number;
  /** A low one, ms. 1 to 604800000, default 900000. */
  classWaitLowMs?: number;
  /** A deferrable one, ms. 1 to 604800000, default 21600000. */
  classWaitDeferrableMs?: number;
  /** An event at every change of a group's state. Default false. */
  groupEvents?: boolean;
  /** How requests travel: at once, in provider jobs, or by their number. Default 'live'. */
  lane?: 'live' | 'merged' | 'batch' | 'auto';
  /** Lane auto: so many requests or fewer run live. 0 to 1000000, default 20. */
  batchThreshold?: number;
  /** First wait between two polls of a job, ms. 100 to 3600000, default 30000. */
  pollIntervalMs?: number;
  /** Longest wait between two polls, ms. 100 to 3600000, default 300000. */
  pollMaxMs?: number;
  /** A job not done after this is cancelled, the rest run live, ms; 0: lane auto 1 hour, batch none. 0 to 2592000000, default 0. */
  batchTimeoutMs?: number;
  /** Requests of one job; 0: lane auto 5000, batch the provider's own. 0 to 10000000, default 0. */
  maxRequestsPerJob?: number;
  /** Jobs side by side; 0: the provider's own, at most 64. 0 to 10000, default 0. */
  maxJobs?: number;
  /** Input tokens of one job; 0: not limited. 0 to 1000000000000, default 0. */
  maxJobTokens?: number;
  /** Window asked of the provider; 0: its own. 0 to 8760, default 0. */
  completionWindowHours?: number;
  /** What becomes of rows that a job lost. Default 'live'. */
  rescue?: 'off' | 'live';
  /** How far jobs are taken in this run. Default 'run'. */
  batchMode?: 'run' | 'submit' | 'collect' | 'status' | 'cancel' | 'survey';
}

/** A provider that the core speaks to. */
export type Provider =
  | 'openai'
  | 'anthropic'
  | 'gemini'
  | 'ollama';

/** Why a request failed. */
export type ErrorClass =
  | 'rate_limit'
  | 'overloaded'
  | 'timeout'
  | 'network'
  | 'server'
  | 'auth'
  | 'quota'
  | 'invalid_request'
  | 'not_found'
  | 'context_length'
  | 'content_filter'
  | 'invalid_response'
  | 'unknown_outcome'
  | 'cancelled'
  | 'deadline'
  | 'budget'
  | 'breaker_open'
  | 'queue_full'
  | 'expired'
  | 'missing'
  | 'mismatched'
  | 'store'
  | 'unknown'
  | 'internal';

/** What becomes of a group of requests that share a call. */
export type GroupState =
  | 'accumulating'
  | 'ready'
  | 'sending'
  | 'awaiting_response'
  | 'processing'
  | 'completed'
  | 'failed';
