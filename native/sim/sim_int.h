/* sim_int.h: what the files of the simulator share. It stands on the core's public headers only.
 *
 *   server  sockets, the loop, the life of a request           -> plan
 *   plan    what becomes of a request: fault, refusal, answer  -> limit, ledger, read, draw,
 * provider
 *   openai, anthropic, gemini, ollama: the shapes, one table of functions each */
#ifndef SIM_INT_H
#define SIM_INT_H

#include <sheaf/sim.h>

#define SIM_SECOND 1000000000ull
#define SIM_MS 1000000ull
#define SIM_BODY_MAX (64u << 20)   /* a request's body; 413 beyond */
#define SIM_REPLY_MAX (256u << 20) /* what one answer may grow to */
#define SIM_WORDS_MAX 16384u       /* in one lorem answer */
#define SIM_DIMENSIONS_MAX 4096u
#define SIM_HEADERS_MAX 24u
#define SIM_NO_FAULT UINT32_MAX

/* ---- Small things (sim_write.c) ---- */

extern const sheaf_allocator sheaf__sim_allocator; /* realloc and free */

/* Appends text with holes: %s terminated text, %u a uint64_t, and of a slice pointed to: %r as it
 * is, %e the inside of a JSON string, %q the same with quotes. */
void sheaf__sim_write(sheaf_buf *out, const char *format, ...);
/* "1m12.5s", "547ms", "0s": a duration as Go prints it, to the millisecond, rounded up. */
void sheaf__sim_go_duration(uint64_t ns, char *text, size_t bytes);
/* "2026-01-02T03:04:05Z" */
void sheaf__sim_rfc3339(int64_t unix_s, char *text, size_t bytes);

/* ---- Draws (sim_draw.c): keyed, so that a draw more or less moves no other ---- */

enum {
  SIM_DRAW_FAULT = 1,
  SIM_DRAW_LATENCY = 2, /* takes two numbers */
  SIM_DRAW_WORDS = 4,   /* takes two numbers */
  SIM_DRAW_ID = 6,
  SIM_DRAW_CUT = 7,
  SIM_DRAW_TEXT = 1000 /* and on, one a word */
};
uint64_t sheaf__sim_mix(uint64_t a, uint64_t b);
uint64_t sheaf__sim_hash(const void *data, size_t bytes, uint64_t seed);
/* 0..n-1 */
uint64_t sheaf__sim_draw(uint64_t key, uint64_t purpose, uint64_t n);
uint64_t sheaf__sim_lognormal(uint64_t key, uint64_t purpose, uint64_t median,
                              uint32_t sigma_milli);
uint64_t sheaf__sim_latency_ns(const sheaf_sim_options *options, uint64_t key);
/* SIM_NO_FAULT or a fault. */
uint32_t sheaf__sim_fault(const sheaf_sim_options *options, uint64_t key);
/* Appends `words` words. */
void sheaf__sim_lorem(uint64_t key, uint64_t words, sheaf_buf *out);
/* Appends a JSON array of numbers that belong to text. */
void sheaf__sim_vector(uint64_t seed, sheaf_slice text, uint64_t dimensions, sheaf_buf *out);

/* ---- Limits (sim_limit.c): a bucket of a minute's worth per key, refilled all the time ---- */

typedef struct sim_budget { /* as the headers tell it */
  uint64_t limit;           /* 0: off */
  uint64_t remaining;
  uint64_t full_after_ns;
} sim_budget;

typedef struct sim_quota {
  sim_budget requests;
  sim_budget tokens;
} sim_quota;

typedef struct sim_limiter sim_limiter;

enum { SIM_ADMITTED, SIM_OVER_REQUESTS, SIM_OVER_TOKENS, SIM_NEVER_FITS };

sim_limiter *sheaf__sim_limiter_new(uint64_t rpm, uint64_t tpm);
void sheaf__sim_limiter_free(sim_limiter *limiter);
/* Takes one request and its tokens from the key's budget, or nothing at all; wait_ns: until it
 * would fit. */
uint32_t sheaf__sim_limiter_take(sim_limiter *limiter, uint64_t key_hash, uint64_t tokens,
                                 uint64_t now_ns, sim_quota *quota, uint64_t *wait_ns);

/* ---- Routes (sim_route.c) ---- */

typedef struct sim_provider sim_provider;

enum { SIM_CHAT, SIM_GENERATE, SIM_EMBED, SIM_MODELS, SIM_VERSION, SIM_STATS };

typedef struct sim_route {
  const char *method;
  const char *path; /* one '*' stands for the model */
  const sim_provider *provider;
  uint32_t task;
  bool streams; /* always */
} sim_route;

extern const sim_route sheaf__sim_routes[];
extern const uint32_t sheaf__sim_route_count;
/* The route; or NULL and then allow is the method that the path would take, or NULL. */
const sim_route *sheaf__sim_route_find(const char *method, const char *path, sheaf_slice *model,
                                       const char **allow);
/* Whose error bodies an unknown path gets. */
const sim_provider *sheaf__sim_provider_guess(const char *path);

/* ---- The ledger (sim_ledger.c): behind one mutex; any thread ---- */

typedef struct sim_ledger sim_ledger;

sim_ledger *sheaf__sim_ledger_new(void);
void sheaf__sim_ledger_free(sim_ledger *ledger);
void sheaf__sim_ledger_received(sim_ledger *ledger,
                                const sim_route *route); /* NULL: unknown path */
void sheaf__sim_ledger_answered(sim_ledger *ledger, uint32_t status);
void sheaf__sim_ledger_fault(sim_ledger *ledger, uint32_t fault);
void sheaf__sim_ledger_limited(sim_ledger *ledger, uint32_t why); /* SIM_OVER_... */
void sheaf__sim_ledger_busy(sim_ledger *ledger);                  /* refused by concurrency_max */
void sheaf__sim_ledger_left(sim_ledger *ledger); /* the client closed before the answer's end */
uint32_t sheaf__sim_ledger_begin(sim_ledger *ledger); /* how many are under way, this one too */
void sheaf__sim_ledger_end(sim_ledger *ledger);
/* How often this body was admitted before. */
uint32_t sheaf__sim_ledger_seen(sim_ledger *ledger, uint64_t body_hash);
void sheaf__sim_ledger_admit(sim_ledger *ledger, uint64_t body_hash);
/* Whether a fault asked for by header is still owed; counts it as given if so. */
bool sheaf__sim_ledger_owes(sim_ledger *ledger, uint64_t body_hash, uint32_t fault, uint32_t times);
void sheaf__sim_ledger_bill(sim_ledger *ledger, uint64_t body_hash, uint64_t input_tokens,
                            uint64_t output_tokens, bool is_whole);
void sheaf__sim_ledger_write(sim_ledger *ledger, uint64_t seed, sheaf_buf *json);

/* ---- A request and its answer ---- */

typedef struct sim_header {
  const char *name; /* static */
  char value[72];
} sim_header;

/* Why there is no 200. */
enum {
  SIM_BAD_JSON,
  SIM_MISSING_FIELD, /* detail: its name */
  SIM_BAD_FIELD,     /* detail: a sentence */
  SIM_NO_KEY,
  SIM_WRONG_KEY,
  SIM_NO_PATH,
  SIM_WRONG_METHOD,
  SIM_TOO_LARGE,
  SIM_RATE_REQUESTS,
  SIM_RATE_TOKENS,
  SIM_RATE_NEVER, /* one request larger than the minute */
  SIM_BUSY,       /* concurrency_max */
  SIM_QUOTA,
  SIM_SERVER_ERROR,
  SIM_OVERLOADED,
  SIM_ERROR_COUNT
};

typedef struct sim_call {
  /* What came. */
  const char *method;
  const char *path;
  const sim_route *route; /* NULL: unknown */
  const sim_provider *provider;
  const char *given_key; /* NULL: none */
  const char *version;   /* anthropic-version, or NULL */
  const char *asked_fault;
  uint32_t in_flight; /* with this one */
  bool is_sse;        /* ?alt=sse */
  bool is_too_large;
  sheaf_buf body;

  /* What was read of it. */
  sheaf_slice model;     /* inside of a JSON string, escapes kept */
  sheaf_slice input;     /* of an embedding */
  sheaf_buf prompt;      /* plain text of the last user message */
  uint64_t prompt_bytes; /* of all messages */
  uint64_t tokens_max;   /* UINT64_MAX: not given */
  uint64_t dimensions;
  bool is_stream;
  const char *stream_type; /* content-type of a stream */
  bool is_usage_wanted;

  /* What was decided. */
  uint64_t seed; /* of the simulator */
  uint64_t body_hash;
  uint64_t key; /* of all draws of this sighting */
  uint32_t status;
  uint32_t fault;
  uint64_t ttft_ns;  /* to the first token; these three are scaled */
  uint64_t delay_ns; /* to the first byte */
  uint64_t itl_ns;
  uint64_t input_tokens;
  uint64_t output_tokens;
  bool is_cut_short; /* by tokens_max */
  bool is_limited;   /* quota holds numbers */
  bool is_words;     /* pieces are words; else four bytes */
  sim_quota quota;
  uint64_t retry_after_ns; /* 0: no hint */
  const char *detail;
  const char *allow;
  sheaf_buf text; /* the answer's plain text */
  sheaf_buf out;  /* the body, or what of a stream waits to be sent */

  /* Where a stream stands. */
  bool is_open;
  size_t text_at;
  uint64_t pieces_sent;
  size_t cut_at; /* in text: a truncated stream ends here */

  uint32_t header_count;
  sim_header headers[SIM_HEADERS_MAX];
} sim_call;

/* A provider's shapes. All but read append to call->out. */
struct sim_provider {
  /* Reads call->body: model, prompt, what kind of answer is wanted. SIM_ERROR_COUNT, or the error.
   * */
  uint32_t (*read)(sim_call *call);
  void (*answer)(sim_call *call);
  void (*stream_open)(sim_call *call);
  void (*stream_piece)(sim_call *call, sheaf_slice piece);
  void (*stream_close)(sim_call *call);
  /* Writes the body and gives the status. */
  uint32_t (*error)(sim_call *call, uint32_t error);
  /* The headers that go with every answer of this provider, call->status known. */
  void (*headers)(sim_call *call, int64_t unix_s);
};

extern const sim_provider sheaf__sim_openai;
extern const sim_provider sheaf__sim_anthropic;
extern const sim_provider sheaf__sim_gemini;
extern const sim_provider sheaf__sim_ollama;

/* Empties for the next request; keeps the buffers' memory unless it is large. */
void sheaf__sim_call_init(sim_call *call);
void sheaf__sim_call_reset(sim_call *call);
void sheaf__sim_call_deinit(sim_call *call);
void sheaf__sim_header(sim_call *call, const char *name, const char *value);
void sheaf__sim_header_u64(sim_call *call, const char *name, uint64_t value);
/* The usual sentence about an error, as the inside of a JSON string, for those with nothing better
 * to say. */
void sheaf__sim_error_text(const sim_call *call, uint32_t error, sheaf_buf *out);
/* "chatcmpl-" and 24 characters that belong to this sighting. */
void sheaf__sim_id(const sim_call *call, const char *prefix, sheaf_buf *out);
/* Seconds since 1970 that belong to this sighting: answers repeat byte for byte. */
uint64_t sheaf__sim_created(const sim_call *call);
/* The next piece of call->text; false at its end. */
bool sheaf__sim_piece_next(sim_call *call, sheaf_slice *piece);

/* Reading (sim_read.c). */
/* Picks model, and messages of {role, content}; "model" or "messages" in detail if they lack. */
uint32_t sheaf__sim_read_messages(sim_call *call, sheaf_slice messages);
void sheaf__sim_read_prompt(sim_call *call, sheaf_slice content); /* a string, or parts with text */
void sheaf__sim_read_also(sim_call *call, sheaf_slice content);   /* counts its bytes only */
uint32_t sheaf__sim_read_model(sim_call *call, sheaf_slice value);
void sheaf__sim_read_limit(sim_call *call, sheaf_slice value); /* tokens_max; absent is fine */
uint32_t sheaf__sim_read_embed(sim_call *call, sheaf_slice input, sheaf_slice dimensions);
/* Appends a vector for each embedding input, with commas between; open, where %u is its index, and
 * close go around each. */
void sheaf__sim_write_vectors(sim_call *call, const char *open, const char *close);

/* ---- The plan (sim_plan.c) ---- */

typedef struct sim_plan_context {
  const sheaf_sim_options *options;
  sim_ledger *ledger;
  sim_limiter *limiter;
} sim_plan_context;

/* Decides everything about a fully received request: status, fault, delay, headers, body (of a
 * stream: its text). */
void sheaf__sim_plan(const sim_plan_context *context, sim_call *call, uint64_t now_ns,
                     int64_t unix_s);
/* Appends to call->out what comes next in a stream. True: more will come, itl_ns after this. */
bool sheaf__sim_stream_step(sim_call *call);

#endif
