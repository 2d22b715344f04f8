/* sheaf/engine.h: the engine: requests in, exchanges out, replies in, results out.
 *
 * The smallest use is the pull face:
 *
 *   sheaf_engine_new(&options, &allocator, &engine);
 *   sheaf_engine_submit(engine, &request, NULL);
 *   for (;;) {
 *     sheaf_engine_step(engine, now_ns, unix_ms);                       // decides
 *     while (sheaf_engine_next_action(engine, &action) == SHEAF_OK) ... // send, cancel, append
 *     while (sheaf_engine_next_event(engine, &event) == SHEAF_OK) ...   // results, deltas
 *     if (sheaf_engine_is_idle(engine)) break;
 *     ... wait for I/O at most until sheaf_engine_timeout_ns(engine), then report it:
 *     sheaf_engine_on_head / on_data / on_done / on_stored
 *   }
 *
 * sheaf_engine_run_once is that loop's body over vtables. One thread at a time per engine. No call
 * blocks. What is reported is recorded; step alone decides, so the order of reports of different
 * exchanges before one step changes nothing. */
#ifndef SHEAF_ENGINE_H
#define SHEAF_ENGINE_H

#include <sheaf/base.h>
#include <sheaf/jobs.h>
#include <sheaf/provider.h>
#include <sheaf/request.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_engine sheaf_engine;
struct sheaf_spool;

/* ---- Options ---- */

enum { SHEAF_RESEND_NEVER = 0, SHEAF_RESEND_WITHIN_BUDGET = 1, SHEAF_RESEND_ALWAYS = 2 };
enum { SHEAF_ON_BREAKER_WAIT = 0, SHEAF_ON_BREAKER_FAIL = 1 };
/* When requests that may share a call leave: after window_ms; as soon as the gate is idle; or when
 * waiting costs more than another member would save. */
enum { SHEAF_WINDOW_FIXED = 0, SHEAF_WINDOW_EAGER = 1, SHEAF_WINDOW_AUTO = 2 };
/* What may share a call: nothing; what the protocol itself takes in lists (embeddings, legacy
 * completions); and prompts of one trust_key, too. */
enum { SHEAF_MERGE_OFF = 0, SHEAF_MERGE_LOSSLESS = 1, SHEAF_MERGE_PROMPTS = 2 };
enum { SHEAF_DEDUP_OFF = 0, SHEAF_DEDUP_AUTO = 1, SHEAF_DEDUP_ALL = 2 };
#define SHEAF_SECRET_BYTES 32
/* What becomes of rows that a job did not bring: they run live, or end as what happened to them. */
enum { SHEAF_RESCUE_OFF = 0, SHEAF_RESCUE_LIVE = 1 };
/* How far jobs are taken in this run: to their end; until they are created; what is done is
 * collected, what is not stays; asked how they are; cancelled. Not RUN or SUBMIT: jobs of earlier runs
 * only, no row becomes a new one. */
enum {
  SHEAF_BATCH_RUN = 0,
  SHEAF_BATCH_SUBMIT = 1,
  SHEAF_BATCH_COLLECT = 2,
  SHEAF_BATCH_STATUS = 3,
  SHEAF_BATCH_CANCEL = 4,
  SHEAF_BATCH_SURVEY = 5 /* the provider's own list, as JOB events */
};

/* Compresses whole 64-byte blocks of SHA-256; a host may hand in one that uses the processor's
 * instructions. */
typedef void (*sheaf_sha256_blocks_fn)(uint32_t state[8], const uint8_t *blocks, size_t count);

/* Where requests go: a base URL with a key. Several make failover; those of one quota_group share
 * limits. */
typedef struct sheaf_endpoint {
  uint32_t struct_bytes;
  uint32_t weight;                /* 1..1000, share of the traffic; 0: 1 */
  const sheaf_provider *provider; /* not NULL; outlives the engine */
  sheaf_slice name;               /* shown in reports; empty: the provider's */
  sheaf_slice base_url;           /* empty: the provider's */
  sheaf_slice model;              /* for requests that name none */
  sheaf_slice default_url;        /* operation for requests that name none, as "/v1/embeddings" */
  /* empty: endpoints with the same provider, origin and credential share */
  sheaf_slice quota_group;
  /* another header for the key ("api-key", for Azure); empty: the provider's */
  sheaf_slice key_header;
  sheaf_slice query;           /* appended to every URL, as "api-version=2024-10-21" */
  const sheaf_header *headers; /* sent besides the provider's */
  uint32_t header_count;       /* 0..16 */
  uint32_t credential_id;      /* 0: no key is sent */
} sheaf_endpoint;

#define SHEAF_ENDPOINT_INIT ((sheaf_endpoint){.struct_bytes = sizeof(sheaf_endpoint)})

/* Counts the input tokens of requests before they are sent, for token limits, the spend cap and the
 * context check. Without one they are the body's bytes times a ratio learned from returned usage. */
typedef struct sheaf_token_counter {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx; /* outlives the engine */
  /* Tokens of a final body for a model, or SHEAF_ABSENT: not known. Called at admission; takes as
   * long as the text is; may not call the engine. */
  int64_t (*count)(void *ctx, const sheaf_provider *provider, sheaf_slice model, sheaf_slice body);
} sheaf_token_counter;

/* Ranges, defaults and meanings of the numbers stand in one table: sheaf_option_at. 0 is a value,
 * not "default": fill with sheaf_engine_options_init first. All slices are copied. */
typedef struct sheaf_engine_options {
  uint32_t struct_bytes;
  uint32_t endpoint_count; /* 1..64 */
  const sheaf_endpoint *endpoints;
  uint64_t seed;
  sheaf_slice system;
  uint64_t max_tokens; /* for requests that give none; 0: not sent */
  sheaf_slice params;  /* JSON members every request starts from */

  uint64_t concurrency;     /* 0: adaptive */
  uint64_t max_concurrency; /* ceiling of adaptive */
  uint64_t rpm;             /* 0: not known */
  uint64_t tpm;
  uint64_t input_tpm;
  uint64_t output_tpm;
  uint64_t rate_safety_pct;
  uint64_t burst_ms;
  uint64_t start_interval_ms;

  uint64_t max_retries;
  uint64_t max_throttles;
  uint64_t retry_base_ms;
  uint64_t retry_max_ms;
  uint64_t attempt_timeout_ms;
  uint64_t deadline_ms;     /* 0: none */
  uint64_t run_deadline_ms; /* 0: none */
  uint64_t resend_unknown;  /* SHEAF_RESEND_* */
  uint64_t on_breaker;      /* SHEAF_ON_BREAKER_* */

  /* SHEAF_NEVER: none. Nothing starts that would pass the cap, on top of what is spent, out or
   * unknown, by its price: input as estimated from its bytes, and max_tokens (without: the mean of
   * replies so far). A task (SHEAF_REQUEST_TASK) has no bytes, so its input counts only when it is
   * reported: tasks can pass the cap. */
  uint64_t budget_usd_nano;
  uint64_t queue_capacity;   /* rows admitted and not finished, in flight apart */
  uint64_t reply_bytes_max;  /* after decompression */
  uint64_t reply_keep_bytes; /* reply memory kept per slot between exchanges */
  uint64_t stream;           /* 1: every request is streamed */
  /* Input as counted and max_tokens together may not exceed it: such a request ends as
   * context_length, unsent. 0: not checked; needs a counter. */
  uint64_t context_tokens;

  const struct sheaf_price_table *prices; /* NULL: the built-in one; outlives the engine */
  sheaf_sha256_blocks_fn sha256_blocks;   /* NULL: the portable one */
  const sheaf_token_counter *tokens;      /* NULL: estimated; the struct is copied */

  /* ---- The queue ---- */
  uint64_t merge;       /* SHEAF_MERGE_*; OFF turns gathering off */
  uint64_t window;      /* SHEAF_WINDOW_* */
  uint64_t window_ms;   /* fixed: how long the oldest member waits for company */
  uint64_t max_batch;   /* members of one call of merged prompts */
  uint64_t max_inputs;  /* inputs of one lossless call; the provider's own ceiling wins */
  uint64_t min_batch;   /* fixed: a group of so many may leave early while the gate is idle */
  uint64_t max_wait_ms; /* nobody waits longer for company */
  /* nano-USD that one second of waiting is worth for a normal request, and that one call fewer
   * saves: what window auto weighs */
  uint64_t delay_cost_nano;
  uint64_t call_cost_nano;
  uint64_t canary_pct; /* of members of merged prompts, also asked alone and compared */
  uint64_t
      merge_failure_pct; /* of the last merged calls discarded: merging of prompts stops above */
  uint64_t
      queue_bytes_max; /* text of all requests inside; beyond it they are refused as at capacity */
  uint64_t dedup;      /* SHEAF_DEDUP_* */
  uint64_t cache_entries; /* answers kept for later twins; 0: no cache */
  uint64_t cache_bytes_max;
  uint64_t cache_ttl_ms;
  uint64_t class_wait_urgent_ms; /* the head of a class goes next when it has waited so long */
  uint64_t class_wait_high_ms;
  uint64_t class_wait_normal_ms;
  uint64_t class_wait_low_ms;
  uint64_t class_wait_deferrable_ms;
  uint64_t group_events; /* 1: SHEAF_EVENT_GROUP at every change of a group's state */
  /* SHEAF_SECRET_BYTES random bytes that merged calls' ids are made from, copied; NULL: prompts are
   * never merged. */
  const uint8_t *secret;

  /* ---- Structured answers: sheaf/answer.h. No request is changed for them. ---- */
  uint64_t json;           /* 1: answers are JSON, and judged as that */
  sheaf_slice json_schema; /* the same, and fits this schema; empty: any JSON value */
  /* An answer without JSON, one that breaks off in its middle, or one with faults against the schema
   * is asked for again at once, so often, 0..5: each attempt is billed. The last answer counts, which
   * need not be the best; where a later attempt fails, the answer before it stands. No row fails for
   * what its answer is worth. Answers of jobs and of the cache are judged and not asked again. */
  uint64_t json_retries;

  /* ---- Jobs: rows of lane batch or auto. They need a spool and a store (sheaf/jobs.h). ---- */
  uint64_t lane;             /* SHEAF_LANE_*, for requests that name none */
  uint64_t batch_threshold;  /* auto: so many rows or fewer run live */
  uint64_t poll_interval_ms; /* first wait between two polls; grows by half up to poll_max_ms */
  uint64_t poll_max_ms;
  /* A job that is not done so long after its creation is collected as far as it got, cancelled, and
   * what is missing is rescued. 0: an hour in lane auto, none in lane batch. */
  uint64_t batch_timeout_ms;
  uint64_t max_requests_per_job; /* 0: 5,000 in lane auto, the provider's own in lane batch */
  uint64_t max_jobs;             /* side by side; 0: the provider's own, at most 64 */
  uint64_t max_job_tokens;       /* input tokens of one job, as counted or estimated; 0: no limit */
  uint64_t completion_window_hours; /* asked of the provider; 0: its own */
  uint64_t rescue;                  /* SHEAF_RESCUE_* */
  uint64_t batch_mode;              /* SHEAF_BATCH_* */
} sheaf_engine_options;

/* Every default of the table below; no endpoints yet. Since 0.1. */
SHEAF_API void sheaf_engine_options_init(sheaf_engine_options *options);

/* The same for a service that answers people: 3 retries, 1 s at first and 10 s at most, where a run
 * over a file takes 5, 0.5 s and 60 s. Since 0.1. */
SHEAF_API void sheaf_engine_options_init_queue(sheaf_engine_options *options);

/* The table behind the options: one row a number, so that a command line, a config file and a
 * binding need no list of their own. */
typedef struct sheaf_option {
  const char *name;    /* "max_retries" */
  const char *help;    /* one line with the unit */
  const char *choices; /* "never|within_budget|always" for named values, else NULL */
  uint64_t min;
  uint64_t max;
  uint64_t initial;
  uint32_t offset; /* of the uint64_t in sheaf_engine_options */
  uint32_t reserved;
} sheaf_option;

/* The n-th option, NULL past the end. Static. Since 0.1. */
SHEAF_API const sheaf_option *sheaf_option_at(uint32_t n);
SHEAF_API const sheaf_option *sheaf_option_find(sheaf_slice name);
/* Sets one by name from text: a number, a choice, "auto" for concurrency, dollars for budget_usd
 * ("budget_usd" is the name of budget_usd_nano). On failure *why is one static or options-free
 * sentence in message (at least 256 bytes). SHEAF_E_NOT_FOUND, SHEAF_E_TYPE, SHEAF_E_RANGE. */
SHEAF_API int32_t sheaf_option_set(sheaf_engine_options *options, sheaf_slice name,
                                   sheaf_slice value, char *message, size_t message_bytes);

/* ---- Life ---- */

/* Makes an engine. Everything in options is copied; the allocator is copied too (its ctx outlives
 * the engine). SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_RANGE, SHEAF_E_MISUSE, SHEAF_E_FIELD (budget
 * without a price). */
SHEAF_API int32_t sheaf_engine_new(const sheaf_engine_options *options,
                                   const sheaf_allocator *allocator, sheaf_engine **engine);
SHEAF_API void sheaf_engine_free(sheaf_engine *engine); /* NULL is fine */

/* ---- Requests in ---- */

/* Takes one request (copied). index is its 0-based order of admission, may be NULL. error may be
 * NULL. SHEAF_OK; SHEAF_E_FULL (come back after a result); SHEAF_E_END (draining or ended); what
 * the provider's build answers (SHEAF_E_FIELD, SHEAF_E_TYPE, SHEAF_E_UNSUPPORTED), then nothing was
 * admitted. Since 0.1. */
SHEAF_API int32_t sheaf_engine_submit(sheaf_engine *engine, const sheaf_request *request,
                                      uint64_t *index, sheaf_parse_error *error);
/* No more will be submitted: with nothing left inside, the engine is idle. */
SHEAF_API int32_t sheaf_engine_end_input(sheaf_engine *engine);

/* Starts nothing while paused; requests are taken, what is in flight ends. Deadlines go on. Since
 * 0.1. */
SHEAF_API int32_t sheaf_engine_pause(sheaf_engine *engine);
SHEAF_API int32_t sheaf_engine_resume(sheaf_engine *engine);
SHEAF_API bool sheaf_engine_is_paused(const sheaf_engine *engine);
/* Sets one option of a running engine by name, as sheaf_option_set. What waits meets the new value,
 * what is in flight does not. SHEAF_E_UNSUPPORTED: this one is fixed at creation (the message says
 * so). Since 0.1. */
SHEAF_API int32_t sheaf_engine_set(sheaf_engine *engine, sheaf_slice name, sheaf_slice value,
                                   char *message, size_t message_bytes);

/* Ends one request, found by its index, as cancelled. SHEAF_E_NOT_FOUND when it is over already. */
SHEAF_API int32_t sheaf_engine_cancel(sheaf_engine *engine, uint64_t index);
/* Starts nothing new: what waits ends as cancelled (attempted:false where nothing was sent), what
 * is in flight is let end, without retries. */
SHEAF_API int32_t sheaf_engine_drain(sheaf_engine *engine);
/* The same, and what is in flight is cancelled now; its outcome is unknown. */
SHEAF_API int32_t sheaf_engine_abort(sheaf_engine *engine);

/* ---- Exchanges out, replies in ---- */

enum { SHEAF_EXCHANGE_HTTP = 0, SHEAF_EXCHANGE_TASK = 1 };

/* One call the transport is to make. Everything lives until on_done has been reported for its id.
 */
typedef struct sheaf_exchange {
  uint32_t struct_bytes;
  uint32_t kind; /* SHEAF_EXCHANGE_* */
  uint64_t id;   /* never reused */
  const char *method;
  sheaf_slice url; /* absolute */
  const sheaf_header *headers;
  uint32_t header_count;
  uint32_t endpoint; /* index in the options */
  uint64_t same_key; /* exchanges with one key have one url and one header list: cache what you make
                        of them */
  sheaf_slice body;  /* data NULL: pull it by sheaf_engine_body_read */
  uint64_t body_bytes; /* SHEAF_NEVER: not known before the end */
  uint64_t reply_bytes_max;
  uint64_t timeout_ns; /* from the start */
  bool stream;
  uint64_t index; /* of the row, for messages */
  void *user;     /* of the request: what a task runs */
} sheaf_exchange;

/* How an exchange ended. status: SHEAF_OK when a whole reply came (of any HTTP status). */
enum {
  SHEAF_END_OK = 0,
  SHEAF_END_NOT_SENT = 1,  /* connect, name or TLS failed, or the peer says it did not look */
  SHEAF_END_BROKEN = 2,    /* the connection failed after bytes had left */
  SHEAF_END_TIMEOUT = 3,   /* timeout_ns passed after bytes had left */
  SHEAF_END_TOO_LARGE = 4, /* the reply passed reply_bytes_max */
  SHEAF_END_CANCELLED = 5, /* by action CANCEL */
  SHEAF_END_REFUSED =
      6 /* the transport will not send it (origin, scheme, key): not sent, no retry */
};

typedef struct sheaf_exchange_end {
  uint32_t struct_bytes;
  uint32_t end;         /* SHEAF_END_* */
  uint32_t http_status; /* 0: none came */
  bool retryable;       /* false: another try cannot help (TLS trust) */
  sheaf_slice message;  /* what happened, for people; no secrets */
  /* for tasks: what the function reports */
  uint64_t retry_after_ns; /* SHEAF_NEVER: not told */
  sheaf_usage usage;
} sheaf_exchange_end;

/* A whole reply with nothing told: SHEAF_END_OK, retryable, all else absent. Since 0.1. */
SHEAF_API void sheaf_exchange_end_init(sheaf_exchange_end *end);

/* Reports. Slices are copied. An unknown or finished id is ignored (SHEAF_E_NOT_FOUND): late events
 * are harmless. on_head: the status and header lines ("name: value\n"), when they have come.
 * on_data: bytes of the body, decoded from any content coding. SHEAF_E_LIMIT: the reply is too
 * large, cancel it. SHEAF_E_FULL (replies that stream into a lane of many rows only): nothing was
 * taken, offer the same bytes after the next step. on_done: once. */
SHEAF_API int32_t sheaf_engine_on_head(sheaf_engine *engine, uint64_t exchange,
                                       uint32_t http_status, sheaf_slice headers);
SHEAF_API int32_t sheaf_engine_on_data(sheaf_engine *engine, uint64_t exchange, sheaf_slice bytes);
SHEAF_API int32_t sheaf_engine_on_done(sheaf_engine *engine, uint64_t exchange,
                                       const sheaf_exchange_end *end);
/* Copies up to capacity bytes of a body from offset; answers the count, 0 at the end, or an error.
 */
SHEAF_API int64_t sheaf_engine_body_read(sheaf_engine *engine, uint64_t exchange, uint64_t offset,
                                         void *to, size_t capacity);

/* ---- Durable records ---- */

/* Types of records; >= 128 may be skipped by readers that do not know them. */
enum {
  SHEAF_RECORD_RUN = 1,   /* a run begins: JSON text */
  SHEAF_RECORD_RANGE = 2, /* first u64, last u64, cost_max_usd_nano i64: may be sent from now on */
  SHEAF_RECORD_VOID =
      3, /* first u64, last u64: these are known not to have been billed, and have no line */
  SHEAF_RECORD_END = 4,        /* the run ended in order */
  SHEAF_RECORD_JOB_FIRST = 16, /* of jobs: sheaf/jobs.h */
  SHEAF_RECORD_JOB_LAST = 63
};

typedef struct sheaf_record {
  uint32_t type;
  uint32_t reserved;
  sheaf_slice payload;
} sheaf_record;

/* Records up to ticket are as durable as the store promises; or the store failed (then nothing more
 * is sent). */
SHEAF_API int32_t sheaf_engine_on_stored(sheaf_engine *engine, uint64_t ticket, int32_t status);
/* Records of earlier runs, oldest first, while the engine is recovering; count 0 ends it. */
SHEAF_API int32_t sheaf_engine_on_scanned(sheaf_engine *engine, const sheaf_record *records,
                                          uint32_t count);
/* Turns durable records on: the engine is recovering until on_scanned ends, then writes before it
 * sends. Before the first step. */
SHEAF_API int32_t sheaf_engine_use_store(sheaf_engine *engine);
/* Where rows of jobs wait (struct copied, ctx outlives the engine); sheaf_doors has the same. Before the
 * first step. Since 0.1. */
SHEAF_API int32_t sheaf_engine_use_spool(sheaf_engine *engine, const struct sheaf_spool *spool);

/* ---- Time ---- */

/* Decides. now_ns is monotonic (going back is clamped); unix_ms is wall time, for dates in headers
 * only. SHEAF_OK, SHEAF_E_NOMEM (try again later: nothing is lost), SHEAF_E_MISUSE (from inside a
 * vtable slot). */
SHEAF_API int32_t sheaf_engine_step(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms);
/* When step wants to be called again though nothing was reported: monotonic ns, SHEAF_NEVER, or 0
 * for now. */
SHEAF_API uint64_t sheaf_engine_timeout_ns(const sheaf_engine *engine);
/* Input ended, nothing inside, all events taken. */
SHEAF_API bool sheaf_engine_is_idle(const sheaf_engine *engine);
/* How many requests submit would take now. */
SHEAF_API uint64_t sheaf_engine_room(const sheaf_engine *engine);

/* ---- Actions ---- */

enum { SHEAF_ACTION_START = 1, SHEAF_ACTION_CANCEL = 2, SHEAF_ACTION_APPEND = 3 };

typedef struct sheaf_action {
  uint32_t kind;
  uint32_t record_count;
  const sheaf_exchange *exchange; /* START */
  uint64_t exchange_id;           /* CANCEL */
  uint64_t ticket;                /* APPEND: to be answered by on_stored, now or later */
  const sheaf_record *records;
} sheaf_action;

/* The next thing to do. SHEAF_OK, SHEAF_E_EMPTY. What it points at is valid until the next call on
 * the engine; an exchange until its on_done. Does not allocate. */
SHEAF_API int32_t sheaf_engine_next_action(sheaf_engine *engine, sheaf_action *action);

/* ---- Events ---- */

enum {
  SHEAF_EVENT_RESULT = 1,
  SHEAF_EVENT_DELTA = 2,   /* streamed text */
  SHEAF_EVENT_DISCARD = 3, /* what was streamed of this row is void, a retry follows */
  SHEAF_EVENT_NOTICE = 4,
  SHEAF_EVENT_GROUP = 5, /* a group changed its state; option group_events. Since 0.1 */
  SHEAF_EVENT_JOB = 6    /* something became known of a job. Since 0.1 */
};

/* What becomes of a group. ACCUMULATING: its first member waits for company; READY: it leaves when
 * the gate has room; SENDING: the transport was told; AWAITING: its call is out; PROCESSING: the reply
 * is whole; COMPLETED: every member has its part; FAILED: the reply was refused, discarded or never
 * came, and its members go on by themselves or fail. */
#define SHEAF_GROUP_STATE_MAP(X)      \
  X(ACCUMULATING, 1, "accumulating")  \
  X(READY, 2, "ready")                \
  X(SENDING, 3, "sending")            \
  X(AWAITING, 4, "awaiting_response") \
  X(PROCESSING, 5, "processing")      \
  X(COMPLETED, 6, "completed")        \
  X(FAILED, 7, "failed")
enum {
#define SHEAF_GROUP_STATE_ENUM(name, number, text) SHEAF_GROUP_##name = (number),
  SHEAF_GROUP_STATE_MAP(SHEAF_GROUP_STATE_ENUM)
#undef SHEAF_GROUP_STATE_ENUM
};
/* "accumulating"; static. */
SHEAF_API const char *sheaf_group_state_name(uint32_t state);

/* Notices: things a person wants to be told once. */
enum {
  SHEAF_NOTICE_PAUSED = 1,       /* number: ns until the pool goes on */
  SHEAF_NOTICE_BREAKER_OPEN = 2, /* number: ns until the probe */
  SHEAF_NOTICE_BREAKER_CLOSED = 3,
  SHEAF_NOTICE_KEY_STOPPED = 4,    /* auth or quota: this key sends no more */
  SHEAF_NOTICE_BUDGET = 5,         /* the spend cap was reached */
  SHEAF_NOTICE_RESENT_UNKNOWN = 6, /* number: index of the row */
  SHEAF_NOTICE_STORE_FAILED = 7,
  SHEAF_NOTICE_RUN_DEADLINE = 8,
  SHEAF_NOTICE_MERGE_OFF = 9 /* too many merged prompts were discarded: they go alone from now on;
                                number: percent. Since 0.1 */
};

/* A job as far as it is known. */
typedef struct sheaf_job_status {
  uint32_t struct_bytes;
  uint32_t state;  /* SHEAF_JOB_*_STATE */
  uint64_t flight; /* 1..; 0: a job of the provider's list that no record knows (SURVEY) */
  sheaf_slice provider;
  sheaf_slice endpoint;
  sheaf_slice model;
  sheaf_slice marker;
  sheaf_slice job;     /* the provider's id; empty: not created yet */
  sheaf_slice message; /* why it failed, or what a person has to decide; empty: nothing */
  uint64_t requests;
  uint64_t bytes;
  int64_t completed; /* rows, as the provider says; SHEAF_ABSENT: not told */
  int64_t failed;
  uint64_t ended;          /* rows that have their end here */
  uint64_t rescued;        /* of those, handed on to the live lane */
  int64_t created_unix_ms; /* SHEAF_ABSENT: not known */
  uint64_t next_poll_ns;   /* on the clock of step; SHEAF_NEVER: none is due */
} sheaf_job_status;

typedef struct sheaf_event {
  uint32_t kind;
  uint32_t notice;
  const sheaf_result *result; /* RESULT */
  uint64_t index;             /* DELTA, DISCARD */
  sheaf_slice custom_id;      /* DELTA, DISCARD */
  void *user;                 /* DELTA, DISCARD */
  sheaf_slice text;           /* DELTA: plain UTF-8; NOTICE: a sentence */
  uint64_t number;
  uint32_t endpoint;
  /* Since 0.1. */
  uint32_t group_state;   /* GROUP: SHEAF_GROUP_* */
  uint64_t group;         /* GROUP: never reused */
  uint64_t group_members; /* GROUP: how many it has now */
  uint64_t at_ns;         /* GROUP: when, on the clock of step */
  sheaf_slice
      raw; /* DELTA of a request with SHEAF_REQUEST_RAW: bytes of the stream, whole events */
  const sheaf_job_status *job; /* JOB */
} sheaf_event;

/* Takes the next event, oldest first. Its slices live until the next call on this engine.
 * SHEAF_OK, SHEAF_E_EMPTY. Does not allocate. */
SHEAF_API int32_t sheaf_engine_next_event(sheaf_engine *engine, sheaf_event *event);

/* Ends a job: it is cancelled at the provider and collected as far as it got; what is missing ends as
 * cancelled. SHEAF_E_NOT_FOUND. Since 0.1. */
SHEAF_API int32_t sheaf_engine_job_cancel(sheaf_engine *engine, uint64_t flight);
/* The n-th job of this run, oldest first; its slices live until the next call on this engine.
 * SHEAF_OK, SHEAF_E_NOT_FOUND (fewer). Does not allocate. Since 0.1. */
SHEAF_API int32_t sheaf_engine_job_at(const sheaf_engine *engine, uint64_t n,
                                      sheaf_job_status *status);

/* ---- Doors: the same over vtables ---- */

typedef struct sheaf_transport {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  int32_t (*start)(void *ctx,
                   const sheaf_exchange *exchange); /* not OK: the exchange ends as not sent */
  void (*cancel)(void *ctx, uint64_t exchange);     /* on_done still follows */
} sheaf_transport;

typedef struct sheaf_store {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  /* Starts to write; answer by on_stored. SHEAF_OK: under way. SHEAF_E_END: written already, no
   * answer follows. */
  int32_t (*append)(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count);
  /* Starts to read all records; answer by on_scanned. SHEAF_E_END: there are none. */
  int32_t (*scan)(void *ctx);
} sheaf_store;

/* Where rows of jobs wait for their upload, and stay until their job is over: bytes by job, read at
 * any offset. A slot answers at once and may not call the engine. */
typedef struct sheaf_spool {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  /* Behind what the job has. offset: how much that is; less than what is there: the rest is of a run
   * that died, cut it off. SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_IO. */
  int32_t (*append)(void *ctx, uint64_t job, uint64_t offset, sheaf_slice bytes);
  /* The job has all its bytes: make them as durable as records are. */
  int32_t (*seal)(void *ctx, uint64_t job);
  /* Up to capacity bytes from offset; answers the count, 0 at the end, or an error. */
  int64_t (*read)(void *ctx, uint64_t job, uint64_t offset, void *to, size_t capacity);
  /* The job is over. */
  void (*drop)(void *ctx, uint64_t job);
} sheaf_spool;

typedef struct sheaf_source {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  /* The next request; its slices live until the next call. SHEAF_OK, SHEAF_E_LATER, SHEAF_E_END;
   * anything else ends the input, what is in flight drains, and run_once answers it. */
  int32_t (*next)(void *ctx, sheaf_request *request);
  /* Optional. Asked with the fingerprint, before admission: SHEAF_OK run it; SHEAF_E_END it is done
   * already, skip it (its index is used up). */
  int32_t (*admit)(void *ctx, uint64_t index, const sheaf_request *request,
                   const uint8_t fingerprint[16]);
  /* Optional. The request behind a source_ref, again. */
  int32_t (*reread)(void *ctx, uint64_t source_ref, sheaf_request *request);
  /* Optional. A request that could not be built; the sentence names the field and the remedy.
   * SHEAF_OK: go on (the row ends as invalid_request); anything else ends the input with it. */
  int32_t (*refused)(void *ctx, uint64_t index, const sheaf_request *request,
                     const sheaf_parse_error *error);
} sheaf_source;

typedef struct sheaf_sink {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  /* Takes an event. SHEAF_OK; SHEAF_E_LATER: not now, offer it again (the engine stops admitting);
   * else the run aborts with it. */
  int32_t (*put)(void *ctx, const sheaf_event *event);
} sheaf_sink;

typedef struct sheaf_host {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  void (*wake_at)(void *ctx, uint64_t deadline_ns); /* optional */
  void (*log)(void *ctx, uint32_t level,
              sheaf_slice message); /* optional; levels 1 error .. 4 debug; no secrets */
} sheaf_host;

/* What a user puts into the way of a row. A slot answers at once and may not call the engine. */
typedef struct sheaf_hooks {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  /* Optional. Looks at a decoded success. SHEAF_OK: good. SHEAF_E_FIELD: invalid_response, retried
   * as such (two at most). */
  int32_t (*validate)(void *ctx, const sheaf_result *result);
  /* Optional. Sees a request before anything else does, with the defaults not yet filled in, and may
   * change it; slices that it sets live until it is asked again. SHEAF_OK: it goes on. SHEAF_E_END: it
   * is answered, *answer is the text (UTF-8, copied): result.local. Anything else: refused as
   * invalid_request. Since 0.1. */
  int32_t (*preprocess)(void *ctx, sheaf_request *request, sheaf_slice *answer);
  /* Optional. A request failed for good, for any reason but cancelled. SHEAF_OK: *answer (copied) is
   * its text, the row succeeds: result.local. Anything else: the failure stands. Since 0.1. */
  int32_t (*fallback)(void *ctx, const sheaf_result *failed, sheaf_slice *answer);
} sheaf_hooks;

typedef struct sheaf_doors {
  uint32_t struct_bytes;
  uint32_t reserved;
  const sheaf_transport *transport; /* required */
  const sheaf_sink *sink;           /* required */
  const sheaf_source *source;       /* NULL: sheaf_engine_submit only */
  const sheaf_store *store;         /* NULL: nothing durable */
  const sheaf_host *host;           /* NULL: none */
  const sheaf_hooks *hooks;         /* NULL: none */
  const sheaf_spool *spool;         /* NULL: no jobs. Since 0.1 */
} sheaf_doors;

/* Hands the doors over (structs copied; contexts outlive the engine). Before the first step. */
SHEAF_API int32_t sheaf_engine_open(sheaf_engine *engine, const sheaf_doors *doors);
/* Takes one request as if the source had handed it out, for hosts that are handed theirs and drive
 * the pull face: the source's admit is asked, and a request that cannot be built is for its refused.
 * SHEAF_OK: it is in, or was skipped, or ended as refused; else as sheaf_engine_submit, or what the
 * slots answered. Since 0.1. */
SHEAF_API int32_t sheaf_engine_offer(sheaf_engine *engine, const sheaf_request *request,
                                     uint64_t *index);
/* Pulls from the source, steps, acts, hands out events, until nothing moves. SHEAF_OK: wait for
 * reports or timeout_ns. SHEAF_E_END: the engine is idle, the run is over. Anything else: what
 * source, sink or store answered; call on to drain. */
SHEAF_API int32_t sheaf_engine_run_once(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms);

#ifdef __cplusplus
}
#endif

#endif
