// layout.ts: made by generate.mjs from the module's own description (sheaf 0.1.0). All of it is internal.

/** What sheaf_wasm_version answers. */
export const VERSION = 50331904;
export const SHEAF = '0.1.0';

/** Where the members of the mailbox lie (wasm_int.h). */
export const enum Mail {
  kind = 0,
  status = 4,
  message = 8,
  field = 16,
  exchange = 24,
  index = 32,
  same_key = 40,
  timeout_ms = 48,
  ticket = 56,
  number = 64,
  user = 72,
  endpoint = 76,
  flags = 80,
  notice = 84,
  method = 88,
  url = 96,
  headers = 104,
  bytes = 112,
  custom_id = 120,
  text = 128,
  model = 136,
  finish_reason = 144,
  request_id = 152,
  provider = 160,
  endpoint_name = 168,
  metadata = 176,
  error_code = 184,
  error_message = 192,
  fingerprint = 200,
  tool_calls = 208,
  error_class = 216,
  http_status = 220,
  billing = 224,
  lane = 228,
  attempts = 232,
  throttles = 236,
  input_tokens = 240,
  output_tokens = 248,
  cached_tokens = 256,
  cache_write_tokens = 264,
  reasoning_tokens = 272,
  cost_usd = 280,
  queue_ms = 288,
  ttft_ms = 296,
  latency_ms = 304,
  total_ms = 312,
  group = 320,
  at_ms = 328,
  group_members = 336,
  group_state = 340,
}

/** What came out. */
export const enum Kind {
  START = 1,
  CANCEL = 2,
  APPEND = 3,
  RESULT = 4,
  DELTA = 5,
  DISCARD = 6,
  NOTICE = 7,
  GROUP = 8,
  JOB = 9,
}

export const enum Flag {
  STREAM = 1,
  TASK = 2,
  OK = 4,
  ATTEMPTED = 8,
  RETRYABLE = 16,
  STREAMED = 32,
  RESENT = 64,
  ESTIMATED = 128,
  LINE = 256,
  SKIPPED = 512,
  VOID = 1024,
  REFUSED = 2048,
  PROMPT = 4096,
  DETERMINISTIC = 8192,
  ALONE = 16384,
  RAW = 32768,
  DEDUPLICATED = 65536,
  CACHED = 131072,
}

/** How an exchange ended. */
export const enum End {
  OK = 0,
  NOT_SENT = 1,
  BROKEN = 2,
  TIMEOUT = 3,
  TOO_LARGE = 4,
  CANCELLED = 5,
  REFUSED = 6,
}

export const enum RecordType {
  RUN = 1,
  END = 4,
  JOB_PLAN = 17,
  JOB_INTENT = 18,
  JOB_FACT = 19,
  JOB_STATE = 20,
  JOB_OVER = 21,
  JOB_DECISION = 22,
}

/** How a request travelled. */
export const enum Lane {
  LIVE = 0,
  BATCH = 2,
}

export const enum Status {
  OK = 0,
  E_EMPTY = -1,
  E_LATER = -2,
  E_END = -3,
  E_FULL = -4,
  E_NOMEM = -20,
  E_MISUSE = -21,
  E_RANGE = -22,
  E_LIMIT = -23,
  E_UNSUPPORTED = -24,
  E_NOT_FOUND = -25,
  E_INTERNAL = -39,
  E_SYNTAX = -40,
  E_TYPE = -41,
  E_FIELD = -42,
  E_DUPLICATE = -43,
  E_UTF8 = -44,
  E_PARTIAL = -45,
  E_TOO_LONG = -46,
  E_DEPTH = -47,
  E_IO = -60,
  E_STORE = -61,
  E_CORRUPT = -62,
  E_VERSION = -63,
  E_OTHER_RUN = -64,
  E_AUTH = -65,
  E_CANCELLED = -66,
  E_ALL_FAILED = -67,
}

export const statusNames: Readonly<Record<number, string>> = {
  0: 'OK',
  '-1': 'E_EMPTY',
  '-2': 'E_LATER',
  '-3': 'E_END',
  '-4': 'E_FULL',
  '-20': 'E_NOMEM',
  '-21': 'E_MISUSE',
  '-22': 'E_RANGE',
  '-23': 'E_LIMIT',
  '-24': 'E_UNSUPPORTED',
  '-25': 'E_NOT_FOUND',
  '-39': 'E_INTERNAL',
  '-40': 'E_SYNTAX',
  '-41': 'E_TYPE',
  '-42': 'E_FIELD',
  '-43': 'E_DUPLICATE',
  '-44': 'E_UTF8',
  '-45': 'E_PARTIAL',
  '-46': 'E_TOO_LONG',
  '-47': 'E_DEPTH',
  '-60': 'E_IO',
  '-61': 'E_STORE',
  '-62': 'E_CORRUPT',
  '-63': 'E_VERSION',
  '-64': 'E_OTHER_RUN',
  '-65': 'E_AUTH',
  '-66': 'E_CANCELLED',
  '-67': 'E_ALL_FAILED',
};

/** What is said of a call that left no message. */
export const statusTexts: Readonly<Record<string, string>> = {
  E_EMPTY: 'nothing to take now',
  E_LATER: 'not ready yet, ask again',
  E_END: 'no more will come',
  E_FULL: 'no room now, come back after a result',
  E_NOMEM: 'the allocator refused',
  E_MISUSE: 'the call is not allowed here or an argument is not valid',
  E_RANGE: 'a value is outside its range',
  E_LIMIT: 'a ceiling was reached',
  E_UNSUPPORTED: 'the provider does not offer this',
  E_NOT_FOUND: 'there is no such thing',
  E_INTERNAL: 'a defect in sheaf',
  E_SYNTAX: 'not valid JSON',
  E_TYPE: 'a field has the wrong type',
  E_FIELD: 'a field is missing, unknown or contradicts another',
  E_DUPLICATE: 'the custom_id was used before',
  E_UTF8: 'not valid UTF-8',
  E_PARTIAL: 'ends too early',
  E_TOO_LONG: 'longer than its ceiling',
  E_DEPTH: 'nested deeper than its ceiling',
  E_IO: 'reading or writing failed',
  E_STORE: 'the store failed',
  E_CORRUPT: 'durable data is damaged',
  E_VERSION: 'written by a newer version',
  E_OTHER_RUN: 'belongs to another run',
  E_AUTH: 'no key where one is needed',
  E_CANCELLED: 'was cancelled',
  E_ALL_FAILED: 'every request of the batch failed',
};

export const classNames = 'none rate_limit overloaded timeout network server auth quota invalid_request not_found context_length content_filter invalid_response unknown_outcome cancelled deadline budget breaker_open queue_full expired missing mismatched store unknown internal'.split(' ');
export const billingNames = 'not_sent refused unknown billed'.split(' ');
export const groupStateNames = 'unknown accumulating ready sending awaiting_response processing completed failed'.split(' ');
export const noticeNames = ' paused breaker_open breaker_closed key_stopped budget resent_unknown store_failed run_deadline merge_off'.split(' ');

/** Variables in which a provider's key is looked for. */
export const keyVariables: Readonly<Record<string, string>> = {
  openai: 'OPENAI_API_KEY',
  anthropic: 'ANTHROPIC_API_KEY',
  gemini: 'GEMINI_API_KEY,GOOGLE_API_KEY',
};
