// types.ts: requests, results and events, as the package's users see them.

import type { CoreOptions, ErrorClass, GroupState, Provider } from './generated.js';
import type { ReportOptions } from './report.js';
import type { Transport } from './transport.js';

export type { CoreOptions, ErrorClass, GroupState, Provider } from './generated.js';

export type Priority = 'urgent' | 'high' | 'normal' | 'low' | 'deferrable' | number;

/** What may be beside a prompt or messages. Names of body fields that are not listed are sent as they are, in snake_case. */
export interface RequestOptions {
  /** At most 512 bytes; `row-N` where none is given. */
  customId?: string;
  model?: string;
  system?: string;
  /** Path of the operation, such as `/v1/embeddings`. */
  url?: string;
  /** Name of an endpoint or provider; any that fits otherwise. */
  endpoint?: string;
  priority?: Priority;
  /** From admission, over all attempts and waits, in ms. */
  deadlineMs?: number;
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  /** Comes back with the result. */
  metadata?: unknown;
  /** Only prompts of one key are merged; those without one share one. */
  trustKey?: string;
  /** Longest wait for company, in ms. */
  maxWaitMs?: number;
  /**
   * True: the same request would be given the same answer, so that one call may serve both. False: it travels alone, never
   * merged with others, no twin's answer, none from the cache.
   */
  dedup?: boolean;
  [bodyField: string]: unknown;
}

export interface Message {
  role: string;
  content: unknown;
  [field: string]: unknown;
}

/**
 * A request: text, a prompt, messages in OpenAI's shape (built for every provider), or a body in the provider's own
 * shape, which goes out as it is.
 */
export type Request =
  | string
  | ({ prompt: string } & RequestOptions)
  | ({ messages: Message[] } & RequestOptions)
  | ({ body: object; url?: string } & RequestOptions)
  | RequestOptions;

/** Requests of any number. */
export type Source = Iterable<Request> | AsyncIterable<Request>;

export interface ToolCall {
  id: string;
  name: string;
  /** JSON text, as the model wrote it. */
  arguments: string;
}

/** Tokens as the provider counted them; `undefined` where it said nothing. */
export interface Usage {
  inputTokens?: number;
  outputTokens?: number;
  cachedTokens?: number;
  cacheWriteTokens?: number;
  reasoningTokens?: number;
  /** The numbers are sheaf's estimate. */
  estimated?: boolean;
}

export interface ResultError {
  class: ErrorClass;
  /** The provider's own code or type; empty where it gave none. */
  code: string;
  /** HTTP status of the last attempt; 0: none came. */
  status: number;
  message: string;
  retryable: boolean;
}

/** One finished request. */
export interface Result {
  customId: string;
  /** Place in the input, from 0. */
  index: number;
  ok: boolean;
  /** The answer; empty for a failed request. */
  text: string;
  toolCalls: ToolCall[];
  finishReason: string;
  /** The model that answered. */
  model: string;
  usage: Usage;
  /** Of the last attempt. */
  latencyMs: number;
  /** To the first token of a streamed reply. */
  ttftMs?: number;
  queueMs: number;
  totalMs: number;
  attempts: number;
  throttles: number;
  /** US dollars over all attempts; `undefined` where no price is known. */
  cost?: number;
  billing: 'not_sent' | 'refused' | 'unknown' | 'billed';
  /** An attempt whose outcome nobody knows was sent again: it may have been billed twice. */
  resentUnknown: boolean;
  /** False: nothing was ever sent. */
  attempted: boolean;
  requestId: string;
  provider: string;
  endpoint: string;
  fingerprint: string;
  /** Answered by the call of an identical request. */
  deduplicated: boolean;
  cached: boolean;
  /** Answered by `preprocess` or `fallback`. */
  local: boolean;
  /** The call that it shared with others, and how many they were. */
  group?: number;
  groupMembers?: number;
  metadata?: unknown;
  /** The provider's reply, where `keepBody` is set. */
  body?: Uint8Array;
  /** As the command writes it, where `keepLine` is set and the request was tried: a line of JSON without its end. */
  line?: string;
  error?: ResultError;
}

/** Results in order, the failed ones apart, and what the run took. */
export type BatchResults = Result[] & { readonly failures: Result[]; readonly stats: RunStats };

/** Figures of one batch, made from its results. */
export interface RunStats {
  total: number;
  succeeded: number;
  failed: number;
  attempts: number;
  throttles: number;
  inputTokens: number;
  outputTokens: number;
  /** US dollars; rows without a known price are counted in `costMissing`. */
  cost: number;
  costMissing: number;
  wallMs: number;
  latencyP50Ms: number;
  latencyP95Ms: number;
}

export interface Progress {
  done: number;
  total: number | undefined;
  succeeded: number;
  failed: number;
  inFlight: number;
}

/** Things a person wants to be told once. */
export interface Notice {
  type:
    | 'paused' | 'breaker_open' | 'breaker_closed' | 'key_stopped' | 'budget' | 'resent_unknown' | 'store_failed' | 'run_deadline'
    | 'merge_off';
  message: string;
  number: number;
  endpoint: number;
}

/** What became of a group of requests that share a call. */
export interface GroupEvent {
  id: number;
  state: GroupState;
  members: number;
  /** When, in ms since 1970. */
  at: number;
}

export interface TokenEvent {
  index: number;
  customId: string;
  text: string;
}

export interface RunOptions {
  /** `drain` lets what is in flight end, `cancel` ends it too. Cancelled requests end with class `cancelled`. */
  onAbort?: 'drain' | 'cancel';
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  /** How often at most, in ms; 200. */
  progressMs?: number;
  /** Streamed text as it comes. Asks every request of the run to be streamed. */
  onToken?: (event: TokenEvent) => void;
  /** What was streamed of this request is void: a retry follows. */
  onDiscard?: (event: { index: number; customId: string }) => void;
  /** Another transport for this run's exchanges. */
  transport?: Transport;
}

/** What a request may be given as it is handed over, in place of what it says itself. */
export interface SubmitOptions extends RunOptions, Pick<RequestOptions, 'priority' | 'deadlineMs' | 'maxWaitMs' | 'trustKey' | 'dedup'> {}

export interface BatchOptions extends RunOptions {
  order?: 'input' | 'completion';
}

/** What one invocation may take. Near its end nothing new starts, and what is in flight is waited for. */
export interface Budget {
  /** Wall time of the whole call; what is still in flight at its very end is cut off and counts as unknown. */
  ms?: number;
  /** Exchanges, retries included: subrequests. Never exceeded. */
  requests?: number;
}

export interface ResumeOptions extends RunOptions {
  /** Without it a run goes on to its end. */
  budget?: Budget;
  /** Run again what failed before; otherwise a failure is an outcome like any other. */
  retryFailed?: boolean;
}

/** Results of a run that may have been left early: those that are finished. */
export type PausableResults = BatchResults & {
  /** What `client.resume` goes on with, here or elsewhere; `undefined`: every request has its result. */
  readonly state: Uint8Array | undefined;
};

export interface StreamOptions extends ResumeOptions {
  /** Results that may wait to be taken; 256. */
  highWater?: number;
  /** What an earlier run left: goes on where that ended. */
  state?: Uint8Array;
}

/** Results as they complete. */
export type ResultStream = AsyncGenerator<Result, void, undefined> & {
  /** After its end, where a `budget` ended it: what another stream or `client.resume` goes on with. */
  readonly state: Uint8Array | undefined;
};

/** Where requests go; several make failover. */
export interface Endpoint {
  /** Whose shape requests and replies have; `openai` also for all that speak like it, of which three have jobs of their own. */
  provider?: Provider | 'azure' | 'groq' | 'mistral';
  name?: string;
  baseURL?: string;
  apiKey?: string;
  model?: string;
  url?: string;
  quotaGroup?: string;
  keyHeader?: string;
  query?: string;
  headers?: Record<string, string>;
  weight?: number;
}

export interface ClientOptions extends Endpoint, CoreOptions {
  endpoints?: Endpoint[];
  system?: string;
  /** Body fields that every request starts from. */
  params?: Record<string, unknown>;
  /** A price table in place of the built-in one's rows: see `sheaf_prices_read`. */
  prices?: object;
  fetch?: typeof globalThis.fetch;
  transport?: Transport | TransportName;
  /** Keep the provider's reply in each result. */
  keepBody?: boolean;
  /** Keep in each result the line that the command would write of it. */
  keepLine?: boolean;
  /** A provider's key in a page can be read by everyone who opens it. */
  dangerouslyAllowBrowser?: boolean;
  onNotice?: (notice: Notice) => void;
  /** The states of groups; turns `groupEvents` on. */
  onGroup?: (event: GroupEvent) => void;
  /** All of these, as they come. */
  onEvent?: (event: Notice | (GroupEvent & { type: 'group' })) => void;
  /** Figures now and then, and at the end. */
  report?: ReportOptions;
  /**
   * Sees each request before anything else does: answers it, changed or not, or `{ answer }`, which is its result then. What
   * it throws refuses the request.
   */
  preprocess?: (request: Request) => MaybePromise<Request | { answer: string }>;
  /** A request failed for good: its text all the same, or nothing. */
  fallback?: (request: Request, failed: Result) => MaybePromise<string | undefined | void>;
  /** What `submit` does while as many wait as may: `wait` (the default), or `reject` with the code E_FULL. */
  onFull?: 'wait' | 'reject';
  /** How long `submit` waits for room, in ms, before it rejects with E_FULL; without it: as long as it takes. */
  fullWaitMs?: number;
  /** For tests that want the same decisions twice: 64 bits as a bigint. Drawn anew without it. */
  seed?: bigint;
}

export type MaybePromise<Value> = Value | Promise<Value>;

/** How a client is. */
export interface ClientStatus {
  state: 'running' | 'paused' | 'stopping' | 'stopped' | 'closed';
  /** It runs, no key was refused, no circuit breaker is open, and there is room. */
  healthy: boolean;
  /** Requests that wait, here and in the core. */
  waiting: number;
  inFlight: number;
  /** What holds back the next start. */
  limitedBy: string;
}

export type TransportName = 'fetch' | 'node' | 'undici';

/** Where a module can be had: its address, a response, its bytes, or a compiled `WebAssembly.Module`. */
export type ModuleSource = string | URL | object;
