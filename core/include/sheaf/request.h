/* sheaf/request.h: one row in (sheaf_request), one row out (sheaf_result). */
#ifndef SHEAF_REQUEST_H
#define SHEAF_REQUEST_H

#include <sheaf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* prompt holds the inside of a JSON string (escapes kept), not plain text: spares the hot path a
 * copy. */
#define SHEAF_REQUEST_PROMPT_ESCAPED 1u
/* No HTTP: the transport runs a function of the host's under the same limits (`user` says which).
 */
#define SHEAF_REQUEST_TASK 2u
/* Ask for a streamed reply: delta and discard events come before the result. */
#define SHEAF_REQUEST_STREAM 4u
/* The same request would be given the same answer: twins in flight may share one call. */
#define SHEAF_REQUEST_DETERMINISTIC 8u
/* Travels alone: never merged with others, no twin's answer, none from the cache. */
#define SHEAF_REQUEST_ALONE 16u
/* With STREAM: deltas carry the bytes of the stream as they came, whole events, beside their text. */
#define SHEAF_REQUEST_RAW 32u

enum { SHEAF_LANE_LIVE = 0, SHEAF_LANE_MERGED = 1, SHEAF_LANE_BATCH = 2, SHEAF_LANE_AUTO = 3 };

/* One request. Exactly one of prompt, messages, body, task is given. All slices are borrowed for
 * the call that takes the request and copied by the engine. Fill with SHEAF_REQUEST_INIT first. */
typedef struct sheaf_request {
  uint32_t struct_bytes;
  uint32_t flags;
  sheaf_slice custom_id; /* at most 512 bytes; empty: "row-N", N = index + 1 */
  sheaf_slice prompt;    /* UTF-8 text, one user turn (or one input, for embeddings) */
  sheaf_slice messages;  /* a JSON array in OpenAI chat shape; built per provider */
  sheaf_slice body; /* a JSON object in the provider's own shape; goes out as the bytes it is */
  sheaf_slice url;  /* path of the operation, as "/v1/embeddings"; empty: the endpoint's default */
  sheaf_slice system;    /* UTF-8 text, for prompt and messages; empty: the engine's option */
  sheaf_slice params;    /* JSON members without braces: "temperature":0,"top_p":1 */
  sheaf_slice model;     /* empty: the endpoint's */
  sheaf_slice endpoint;  /* name of an endpoint, or of a provider; empty: any */
  sheaf_slice trust_key; /* who may share a merged call with it */
  sheaf_slice metadata;  /* any JSON value, handed back with the result */
  uint64_t max_tokens;   /* 0: not sent (Anthropic requires one: 4096 is sent) */
  uint64_t deadline_ms;  /* from admission, over all attempts and waits; 0: the engine's option */
  uint64_t source_ref;   /* what source->reread understands; handed back with the result */
  void *user;            /* handed back with the result */
  uint32_t priority;     /* 1..100; 0: normal */
  uint32_t lane;         /* SHEAF_LANE_*, live unless the options say otherwise */
  uint32_t line;         /* 1-based line of the input, for messages; 0: none */
  uint32_t reserved;
  /* longest wait for company in the gather step, ms; 0: the engine's max_wait_ms. Since 0.1 */
  uint64_t max_wait_ms;
} sheaf_request;

#define SHEAF_REQUEST_INIT ((sheaf_request){.struct_bytes = sizeof(sheaf_request)})

/* Tokens of one reply, normalised: input_total includes cached, output_total includes reasoning.
 * SHEAF_ABSENT where the provider said nothing. */
typedef struct sheaf_usage {
  int64_t input_total;
  int64_t output_total;
  int64_t cache_read;
  int64_t cache_write;
  int64_t reasoning;
  uint32_t estimated; /* 1: numbers are sheaf's estimate, not the provider's */
  uint32_t reserved;
} sheaf_usage;

/* One exchange that was made for a row. */
typedef struct sheaf_attempt {
  uint32_t error_class; /* SHEAF_CLASS_NONE for the one that worked */
  uint32_t http_status; /* 0: none came */
  uint32_t billing;     /* SHEAF_BILLING_* */
  uint32_t endpoint;    /* index of the endpoint */
  uint64_t started_ns;  /* after admission */
  uint64_t took_ns;
} sheaf_attempt;

/* At most this many attempts are kept per row: the first and the latest. */
#define SHEAF_HISTORY_MAX 8

/* One finished row. All slices live until the next call on the engine (or for the life of the batch
 * object where one hands it out). */
typedef struct sheaf_result {
  uint32_t struct_bytes;
  uint32_t error_class; /* SHEAF_CLASS_NONE: ok */
  uint64_t index;       /* 0-based order of admission */
  uint64_t source_ref;
  void *user;
  sheaf_slice custom_id;
  sheaf_slice text;      /* the answer, plain UTF-8 */
  sheaf_slice text_json; /* the same as the inside of a JSON string */
  sheaf_slice body;      /* the provider's reply as it came (a stream: its bytes) */
  sheaf_slice request_id;
  sheaf_slice model;         /* as the reply names it */
  sheaf_slice finish_reason; /* the provider's own word */
  sheaf_slice provider;
  sheaf_slice endpoint;
  sheaf_slice metadata;
  sheaf_slice error_code;    /* the provider's own code or type */
  sheaf_slice error_message; /* one sentence; the provider's where it gave one */
  sheaf_usage usage;
  int64_t cost_usd_nano;  /* of all attempts; SHEAF_ABSENT: no price known */
  uint64_t queue_ns;      /* admission to the first start, or to the end */
  uint64_t first_byte_ns; /* start of the last attempt to its first byte; SHEAF_NEVER: none */
  uint64_t ttft_ns;    /* start of the last attempt to its first token; SHEAF_NEVER: not streamed */
  uint64_t latency_ns; /* of the last attempt; 0 if never attempted */
  uint64_t total_ns;   /* admission to the end */
  uint64_t server_ns;  /* the server's own total duration (Ollama); SHEAF_NEVER: not told */
  /* the server's own time for output tokens (Ollama); SHEAF_NEVER: not told */
  uint64_t generation_ns;
  const sheaf_attempt *history;
  uint32_t history_count;
  uint32_t attempts;  /* exchanges started */
  uint32_t throttles; /* of those, refused by a limit */
  uint32_t http_status;
  uint32_t billing; /* the worst of all attempts */
  uint32_t lane;
  uint32_t line;
  uint32_t operation; /* the provider's; see sheaf/provider.h */
  bool ok;
  bool attempted; /* false: nothing was ever sent; no output line is written, a resume runs it */
  bool retryable;
  bool streamed;       /* body is a stream of events */
  bool resent_unknown; /* an unknown outcome was sent again: it may have been billed twice */
  uint8_t fingerprint[16];
  /* Since 0.1. */
  uint64_t group;         /* the merged call it came with, as in group events; 0: it came alone */
  uint32_t group_members; /* of that call */
  bool deduplicated; /* a twin's call answered it: nothing was sent for it, nothing is billed */
  bool cached;       /* the same, from the cache */
  bool local;        /* a hook answered it: preprocess or fallback */
  /* With option json or json_schema, of a success: sheaf/answer.h. The others stand only then. */
  bool answer_judged;
  sheaf_slice answer_json;  /* strict JSON; empty: none was found */
  sheaf_slice answer_fault; /* what is wrong, one sentence; empty: nothing */
  uint32_t answer_repairs;  /* SHEAF_REPAIR_* */
  uint32_t answer_score;    /* 0..100; 0: no JSON */
  uint32_t answer_faults;   /* against the schema */
  uint32_t reserved3;
} sheaf_result;

typedef struct sheaf_tool_call {
  sheaf_slice id;
  sheaf_slice name;
  /* JSON text as the provider gave it; for OpenAI the inside of a JSON string */
  sheaf_slice arguments;
  bool arguments_escaped;
} sheaf_tool_call;

/* The n-th tool call of a result, read from its body on demand.
 * SHEAF_OK, SHEAF_E_NOT_FOUND (fewer calls), SHEAF_E_UNSUPPORTED. Does not allocate. Since 0.1. */
SHEAF_API int32_t sheaf_result_tool_call(const sheaf_result *result, uint32_t n,
                                         sheaf_tool_call *call);

#ifdef __cplusplus
}
#endif

#endif
