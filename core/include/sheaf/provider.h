/* sheaf/provider.h: how a provider speaks. Data in, data out; no state but what is handed in.
 *
 * A provider is one file and one table entry; a user's own is a sheaf_provider handed to the
 * engine's options. A slot that is NULL is not offered. Slots may not call the engine and may not
 * keep what they are given. */
#ifndef SHEAF_PROVIDER_H
#define SHEAF_PROVIDER_H

#include <sheaf/base.h>
#include <sheaf/buf.h>
#include <sheaf/request.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A header of a request. With a credential id it is a slot: the host's driver sends value (a prefix
 * such as "Bearer ") followed by the secret, after checking the origin. The secret never enters the
 * core. */
typedef struct sheaf_header {
  sheaf_slice name;
  sheaf_slice value;
  uint32_t credential_id; /* 0: an ordinary header. In a provider's table 1 stands for "the
                             endpoint's" */
  uint32_t reserved;
} sheaf_header;

/* What build is given. request has the endpoint's and engine's defaults filled in. */
typedef struct sheaf_build {
  uint32_t struct_bytes;
  bool stream;
  const sheaf_request *request;
  sheaf_slice base_url;
  sheaf_slice default_url; /* the endpoint's operation when the request names none */
} sheaf_build;

/* What build makes. path and body are empty when it is called. */
typedef struct sheaf_call {
  uint32_t struct_bytes;
  uint32_t operation;        /* the provider's own number, handed to decode */
  sheaf_buf *path;           /* joined to base_url: "/chat/completions"; may hold a query */
  sheaf_buf *body;           /* the final bytes: what the fingerprint covers */
  int64_t output_tokens_max; /* the cap that was sent, or SHEAF_ABSENT */
  const char *error_field;   /* on failure: static */
  const char *error_message; /* on failure: one sentence with the remedy; static */
} sheaf_call;

/* A reply, or what there is of it. */
typedef struct sheaf_reply {
  uint32_t struct_bytes;
  uint32_t http_status;
  uint32_t operation;
  bool stream; /* body is a stream of events */
  /* "name: value" lines, each ending in LF (CR tolerated), without the status line */
  sheaf_slice headers;
  sheaf_slice body;
  int64_t unix_ms; /* wall time, for dates in headers */
} sheaf_reply;

/* What a refusal is about, beyond its class: which controller answers it (algorithms.md 5). */
enum {
  SHEAF_SCOPE_POOL = 0,
  SHEAF_SCOPE_CONCURRENCY = 1,
  SHEAF_SCOPE_ENDPOINT = 2,
  SHEAF_SCOPE_REQUEST = 3
};

/* What decode and classify find. Slices point into the reply, into scratch, or at static text. */
typedef struct sheaf_decoded {
  uint32_t struct_bytes;
  uint32_t error_class;
  uint32_t billing;        /* SHEAF_BILLING_*; a 2xx is billed, a 4xx refused */
  uint32_t scope;          /* SHEAF_SCOPE_*, for rate_limit, overloaded, quota, auth */
  uint64_t retry_after_ns; /* SHEAF_NEVER: not told */
  int32_t should_retry;    /* x-should-retry: 1 true, 0 false, -1 not told */
  bool retryable;          /* false for errors of the class that a retry cannot mend (TLS trust) */
  sheaf_slice text_json;   /* the answer as the inside of a JSON string */
  sheaf_slice finish_reason;
  sheaf_slice request_id;
  sheaf_slice model;
  sheaf_slice error_code;
  sheaf_slice error_message;
  sheaf_usage usage;
  uint64_t server_ns;     /* the server's own total duration; SHEAF_NEVER: not told */
  uint64_t generation_ns; /* and for the output tokens alone */
} sheaf_decoded;

/* Resources a limit counts. */
enum {
  SHEAF_RESOURCE_REQUESTS = 0,
  SHEAF_RESOURCE_TOKENS = 1,
  SHEAF_RESOURCE_INPUT_TOKENS = 2,
  SHEAF_RESOURCE_OUTPUT_TOKENS = 3,
  SHEAF_RESOURCE_COUNT = 4
};

/* A limit as headers tell it. */
typedef struct sheaf_limit {
  uint32_t resource;
  bool is_window;    /* reset is the end of a fixed window, not the time until full */
  int64_t limit;     /* SHEAF_ABSENT: not told */
  int64_t remaining; /* SHEAF_ABSENT: not told */
  uint64_t reset_ns; /* from now; SHEAF_NEVER: not told */
} sheaf_limit;

#define SHEAF_LIMITS_MAX 8

/* How a token limit is charged (algorithms.md 1). */
enum { SHEAF_CHARGE_RESERVE_MAX = 0, SHEAF_CHARGE_ACTUAL = 1, SHEAF_CHARGE_UNCACHED_INPUT = 2 };

/* How a streamed body is framed. */
enum { SHEAF_FRAMING_SSE = 0, SHEAF_FRAMING_NDJSON = 1 };

/* A stream as far as it came. The engine owns it; the provider's event slot fills it. */
typedef struct sheaf_stream {
  uint32_t struct_bytes;
  uint32_t operation;
  sheaf_buf text;  /* the answer so far, as the inside of a JSON string; append, never rewrite */
  sheaf_buf notes; /* small strings the slots below point into by offset: model, ids, messages */
  sheaf_decoded so_far; /* its slices point into notes or static text; see sheaf_stream_note */
  bool terminal;        /* the dialect's end marker came: nothing after it counts */
  bool finished;        /* a finish reason came: the end of the body is a proper end */
  uint64_t tokens_seen; /* content events, for estimates where usage never comes */
} sheaf_stream;

/* Keeps a copy of bytes for the life of the stream; empty on lack of memory (stream->notes.status).
 */
SHEAF_API sheaf_slice sheaf_stream_note(sheaf_stream *stream, sheaf_slice bytes);

/* ---- Merging ---- */

/* How requests share a call. INPUTS: the protocol takes a list and answers in its order. PROMPTS:
 * one chat that holds several, asked for as structured output. */
enum { SHEAF_SHARE_NONE = 0, SHEAF_SHARE_INPUTS = 1, SHEAF_SHARE_PROMPTS = 2 };

/* What a final body allows besides being sent alone. */
typedef struct sheaf_traits {
  uint32_t struct_bytes;
  uint32_t share;      /* SHEAF_SHARE_* */
  uint32_t inputs;     /* INPUTS: how many the body holds; else 1 */
  uint32_t inputs_max; /* INPUTS: of one call, by the provider; 0: none known */
  uint64_t tokens_max; /* INPUTS: of all inputs of one call; 0: none known */
  uint64_t key;    /* hash of all that must be equal to share a call: every byte but `own` and the
                          output cap */
  sheaf_slice own; /* in the body. INPUTS: the value of the list's member, a string or an array.
                          PROMPTS: the user's text, as the inside of a JSON string */
  int64_t output_cap; /* PROMPTS: the cap on output tokens, or SHEAF_ABSENT */
  bool deterministic; /* the same answer each time: an embedding, or temperature 0 */
} sheaf_traits;

/* One call for several requests whose traits have one key. */
typedef struct sheaf_shared {
  uint32_t struct_bytes;
  uint32_t share;
  uint32_t operation;
  uint32_t count;
  const sheaf_slice *bodies;  /* of the members, final */
  const sheaf_traits *traits; /* of the members */
  /* PROMPTS: what the core made of the members: instructions to put behind the members' own system
   * text, the user's one text, and a JSON schema of the answer */
  sheaf_slice instructions; /* inside of a JSON string */
  sheaf_slice prompt;       /* inside of a JSON string */
  sheaf_slice schema;       /* JSON */
  int64_t output_cap;       /* of the call, or SHEAF_ABSENT */
} sheaf_shared;

/* One member's part of a reply. */
typedef struct sheaf_part {
  uint32_t struct_bytes;
  uint32_t reserved;
  const sheaf_slice
      *items; /* INPUTS: its items of the reply, one per input, in the order of its inputs */
  uint32_t item_count;
  uint32_t reserved2;
  sheaf_slice text_json; /* PROMPTS: its answer, as the inside of a JSON string */
  sheaf_usage usage;     /* its share */
  /* INPUTS: the reply's bytes from the first of all its items to the end of the last, as they lie
   * there, which spares each member a walk over everybody's; empty: not told */
  sheaf_slice span;
} sheaf_part;

struct sheaf_job_api;

typedef struct sheaf_provider {
  uint32_t struct_bytes;
  uint32_t framing;     /* SHEAF_FRAMING_* */
  const char *name;     /* "openai"; lower case, at most 31 bytes */
  const char *base_url; /* where it lives unless the endpoint says otherwise */
  /* environment variables a host may look for, comma separated; NULL: no key */
  const char *key_variables;
  const sheaf_header *headers; /* sent with every request; credential_id 1 marks the key's slot */
  uint32_t header_count;
  uint32_t charge_tokens; /* SHEAF_CHARGE_* of tokens and input_tokens */
  uint32_t charge_output; /* and of output_tokens */
  uint32_t reserved;
  void *ctx; /* the user's own */

  /* Writes path and body. SHEAF_E_UNSUPPORTED (no such url), SHEAF_E_FIELD, SHEAF_E_TYPE,
   * SHEAF_E_NOMEM. Required. */
  int32_t (*build)(const struct sheaf_provider *provider, const sheaf_build *build,
                   sheaf_call *call);
  /* Reads a 2xx reply that is not a stream. A 200 that carries an error is classified. Required. */
  int32_t (*decode)(const struct sheaf_provider *provider, const sheaf_reply *reply,
                    sheaf_buf *scratch, sheaf_decoded *decoded);
  /* Reads any other reply. NULL: by status alone. */
  int32_t (*classify)(const struct sheaf_provider *provider, const sheaf_reply *reply,
                      sheaf_buf *scratch, sheaf_decoded *decoded);
  /* One event of a stream. event: the SSE event name, empty for NDJSON. Text goes to stream->text.
   */
  int32_t (*event)(const struct sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                   sheaf_stream *stream);
  /* Limits from headers (and the body of a refusal). Answers how many of at most SHEAF_LIMITS_MAX
   * were filled. */
  uint32_t (*read_limits)(const struct sheaf_provider *provider, const sheaf_reply *reply,
                          sheaf_limit *limits);
  /* The n-th tool call of a reply's body. */
  int32_t (*tool_call)(const struct sheaf_provider *provider, const sheaf_result *result,
                       uint32_t n, sheaf_tool_call *call);
  /* Models that share one limit give one class (a hash); NULL: each model its own. */
  uint64_t (*quota_class)(const struct sheaf_provider *provider, sheaf_slice model);

  /* ---- Merging. All four or none. None allocates but in the buffers given. ---- */

  /* Reads a final body. A body that cannot share has share NONE; deterministic is told all the
   * same. */
  void (*traits)(const struct sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                 sheaf_traits *traits);
  /* Writes the one body. SHEAF_E_NOMEM, SHEAF_E_LIMIT; SHEAF_E_FIELD: these bodies cannot share,
   * whatever their keys say. */
  int32_t (*share)(const struct sheaf_provider *provider, const sheaf_shared *shared,
                   sheaf_buf *body);
  /* INPUTS: finds the items of a 2xx reply, in the order of the inputs of all members: exactly
   * item_count. Anything missing, extra, twice or malformed: SHEAF_E_FIELD. */
  int32_t (*items)(const struct sheaf_provider *provider, const sheaf_shared *shared,
                   const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count);
  /* Writes a member's own reply, as if it had come alone: decode reads it. SHEAF_E_NOMEM,
   * SHEAF_E_LIMIT; SHEAF_E_FIELD: the reply has no such list. */
  int32_t (*part)(const struct sheaf_provider *provider, const sheaf_shared *shared,
                  const sheaf_reply *reply, const sheaf_part *part, sheaf_buf *body);

  /* Its batch API (sheaf/jobs.h); NULL: it has none. Since 0.1. */
  const struct sheaf_job_api *jobs;
} sheaf_provider;

/* A provider of the built-in table: "openai", "anthropic", "gemini", "ollama", "azure" (its base_url
 * is empty: every resource has its own), "groq", "mistral"; NULL if there is none. */
SHEAF_API const sheaf_provider *sheaf_provider_find(sheaf_slice name);
/* The n-th of the table, NULL past its end. */
SHEAF_API const sheaf_provider *sheaf_provider_at(uint32_t n);

/* Class, billing, wait and message of a reply by its status, its common headers and an
 * OpenAI-shaped body: what a provider of one's own falls back on. */
SHEAF_API void sheaf_classify_common(const sheaf_reply *reply, sheaf_buf *scratch,
                                     sheaf_decoded *decoded);
/* All fields absent. */
SHEAF_API void sheaf_decoded_init(sheaf_decoded *decoded);
/* The value of a header in a block, names compared without case; empty if absent. */
SHEAF_API sheaf_slice sheaf_header_find(sheaf_slice headers, const char *name);

#ifdef __cplusplus
}
#endif

#endif
