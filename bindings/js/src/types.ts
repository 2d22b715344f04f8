// types.ts: requests, results and events, as the package's users see them.

import type { CoreOptions, ErrorClass, Provider } from './generated.js';
import type { Transport } from './transport.js';

export type { CoreOptions, ErrorClass, Provider } from './generated.js';

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
  trustKey?: string;
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
  metadata?: unknown;
  /** The provider's reply, where `keepBody` is set. */
  body?: Uint8Array;
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
  type: 'paused' | 'breaker_open' | 'breaker_closed' | 'key_stopped' | 'budget' | 'resent_unknown' | 'store_failed' | 'run_deadline';
  message: string;
  number: number;
  endpoint: number;
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

/** Where requests go; several make failover. */
export interface Endpoint {
  /** Whose shape requests and replies have; `openai` also for all that speak like it. */
  provider?: Provider;
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
  /** A provider's key in a page can be read by everyone who opens it. */
  dangerouslyAllowBrowser?: boolean;
  onEvent?: (notice: Notice) => void;
  /** For tests that want the same decisions twice: 64 bits as a bigint. Drawn anew without it. */
  seed?: bigint;
}

export type TransportName = 'fetch' | 'node' | 'undici';

/** Where a module can be had: its address, a response, its bytes, or a compiled `WebAssembly.Module`. */
export type ModuleSource = string | URL | object;
