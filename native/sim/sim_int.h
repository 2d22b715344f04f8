/* sim_int.h: what the files of the simulator share beside the call itself (sim_call.h). It stands on
 * the core's public headers only.
 *
 *   server   sockets, the loop, the life of a request               -> plan, queue, raw
 *   plan     what becomes of a request: fault, refusal, answer      -> fault, limit, ledger, time,
 *                                                                      answer, spoil, provider
 *   openai*, anthropic, gemini, ollama: the shapes, a table of functions for each dialect */
#ifndef SIM_INT_H
#define SIM_INT_H

#include "sim_call.h"

#define SIM_SECOND 1000000000ull
#define SIM_MS 1000000ull
#define SIM_US 1000ull
#define SIM_BODY_MAX (64u << 20)   /* a request's body; 413 beyond */
#define SIM_REPLY_MAX (256u << 20) /* what one answer may grow to */
#define SIM_FILE_MAX (64u << 20)   /* a file of answers, latencies or faults */
#define SIM_WORDS_MAX 16384u       /* in one lorem answer */
#define SIM_DIMENSIONS_MAX 4096u
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
/* Reads a file whole. SHEAF_OK, SHEAF_E_IO, SHEAF_E_LIMIT, SHEAF_E_NOMEM. */
int32_t sheaf__sim_read_file(const char *path, sheaf_buf *out);

/* ---- Draws (sim_draw.c): keyed, so that a draw more or less moves no other ---- */

enum {
  SIM_DRAW_FAULT = 1,
  SIM_DRAW_LATENCY = 2, /* takes two numbers */
  SIM_DRAW_WORDS = 4,   /* takes two numbers */
  SIM_DRAW_ID = 6,
  SIM_DRAW_CUT = 7,
  SIM_DRAW_ROW = 8,    /* whether a job's row fails */
  SIM_DRAW_JOB = 10,   /* how long a job takes: two numbers */
  SIM_DRAW_PART = 12,  /* whether it ends with half of its rows */
  SIM_DRAW_ORDER = 13, /* of its results: two numbers */
  SIM_DRAW_RULE = 100, /* and on, one a line of the schedule */
  SIM_DRAW_JSON = 900,
  SIM_DRAW_TEXT = 1000,  /* and on, one a word */
  SIM_DRAW_GAP = 1 << 20 /* and on, two a token */
};
uint64_t sheaf__sim_mix(uint64_t a, uint64_t b);
uint64_t sheaf__sim_hash(const void *data, size_t bytes, uint64_t seed);
/* 0..n-1 */
uint64_t sheaf__sim_draw(uint64_t key, uint64_t purpose, uint64_t n);
uint64_t sheaf__sim_lognormal(uint64_t key, uint64_t purpose, uint64_t median,
                              uint32_t sigma_milli);
/* Appends `words` words. */
void sheaf__sim_lorem(uint64_t key, uint64_t words, sheaf_buf *out);

/* ---- Time (sim_time.c) ---- */

/* Recorded latencies: one answer a line, "TTFT_MS" or "TTFT_MS ITL_MS"; # begins a comment. */
typedef struct sim_samples {
  uint64_t *ttft_us;
  uint64_t *itl_us; /* UINT64_MAX: the line has none */
  size_t count;
} sim_samples;

int32_t sheaf__sim_samples_load(sim_samples *samples, const char *path, char *message,
                                size_t bytes);
void sheaf__sim_samples_free(sim_samples *samples);
/* Unscaled. The gap is before the n-th further token. */
uint64_t sheaf__sim_ttft_ns(const sim_world *world, uint64_t key);
uint64_t sheaf__sim_gap_ns(const sim_world *world, uint64_t key, uint64_t n);
/* Of a batch job, unscaled. */
uint64_t sheaf__sim_job_ns(const sim_world *world, uint64_t key);
/* Of all gaps before tokens 1..count-1. */
uint64_t sheaf__sim_gaps_ns(const sim_world *world, uint64_t key, uint64_t count);
/* Times --time-scale; ends at a day, so that sums cannot wrap. */
uint64_t sheaf__sim_scaled(const sim_world *world, uint64_t ns);

/* ---- Faults (sim_fault.c) ---- */

/* How a fault shows itself: what the plan, the stream and the server each do about it. */
enum {
  SIM_SHOWN_ERROR,  /* a status with the provider's body */
  SIM_SHOWN_BODY,   /* sim_spoil bends the finished body */
  SIM_SHOWN_STREAM, /* sim_stream bends the stream; a body in one piece is bent by sim_spoil */
  SIM_SHOWN_WIRE    /* the server breaks the connection, or writes the bytes itself */
};
uint32_t sheaf__sim_fault_shown(uint32_t fault);
uint32_t sheaf__sim_fault_find(const char *name, size_t bytes); /* SIM_NO_FAULT: none such */
/* By --fault and the call's key; SIM_NO_FAULT. */
uint32_t sheaf__sim_fault_draw(const sim_world *world, uint64_t key);
/* SIM_ERROR_COUNT, or the error that a fault of SIM_SHOWN_ERROR is. Sets the hint, and whether usage
 * is hidden: called for every fault, before the provider writes. */
uint32_t sheaf__sim_fault_error(sim_call *call);

/* The schedule: faults that come at a time, to a path, to a request. */
typedef struct sim_schedule sim_schedule;
int32_t sheaf__sim_schedule_load(sim_schedule **schedule, const char *path, char *message,
                                 size_t bytes);
void sheaf__sim_schedule_free(sim_schedule *schedule);
/* A fault for the call, or SIM_NO_FAULT. since_start_ns is scaled back: a schedule's times are those
 * of --time-scale 1. */
uint32_t sheaf__sim_schedule_draw(sim_schedule *schedule, const sim_call *call,
                                  uint64_t since_start_ns);

/* ---- Limits (sim_limit.c): a bucket of a minute's worth per key, refilled all the time ---- */

typedef struct sim_limiter sim_limiter;

enum {
  SIM_ADMITTED,
  SIM_OVER_REQUESTS,
  SIM_OVER_TOKENS,
  SIM_OVER_INPUT,
  SIM_OVER_OUTPUT,
  SIM_NEVER_FITS
};

/* What a minute of one key holds; 0: no limit. */
typedef struct sim_minute {
  uint64_t requests, tokens, input_tokens, output_tokens;
} sim_minute;

sim_limiter *sheaf__sim_limiter_new(const sim_minute *minute);
void sheaf__sim_limiter_free(sim_limiter *limiter);
/* Takes the request and its tokens from the key's budgets, or nothing at all; wait_ns: until it
 * would fit. */
uint32_t sheaf__sim_limiter_take(sim_limiter *limiter, uint64_t key_hash, uint64_t input_tokens,
                                 uint64_t output_tokens, uint64_t now_ns,
                                 sim_budget budgets[SIM_BUDGETS], uint64_t *wait_ns);
/* Requests of the key under way, with this one. */
uint32_t sheaf__sim_limiter_begin(sim_limiter *limiter, uint64_t key_hash);
void sheaf__sim_limiter_end(sim_limiter *limiter, uint64_t key_hash);
/* Fills all buckets; what is under way stays counted. */
void sheaf__sim_limiter_reset(sim_limiter *limiter);

/* ---- Routes (sim_route.c) ---- */

extern const sim_route sheaf__sim_routes[];
extern const uint32_t sheaf__sim_route_count;
/* The route; or NULL and then allow is the method that the path would take, or NULL. */
const sim_route *sheaf__sim_route_find(const char *method, const char *path, sheaf_slice *model,
                                       const char **allow);
/* Whose error bodies an unknown path gets. */
const sim_provider *sheaf__sim_provider_guess(const char *path);

/* ---- The ledger (sim_ledger.c, sim_entries.c): behind one mutex; any thread ---- */

typedef struct sim_ledger sim_ledger;

sim_ledger *sheaf__sim_ledger_new(uint32_t entries_max);
void sheaf__sim_ledger_free(sim_ledger *ledger);
/* Forgets all counts, entries and sightings; sequences go on, what is under way stays counted. */
void sheaf__sim_ledger_reset(sim_ledger *ledger);
/* Opens the call's entry and sets call->sequence. */
void sheaf__sim_ledger_received(sim_ledger *ledger, sim_call *call, uint64_t now_ns);
/* The plan is made: status, fault, tokens, and whether they are billed, go into the entry. */
void sheaf__sim_ledger_decided(sim_ledger *ledger, const sim_call *call, bool is_billed,
                               bool is_whole);
void sheaf__sim_ledger_limited(sim_ledger *ledger, uint32_t why);   /* SIM_OVER_... */
void sheaf__sim_ledger_busy(sim_ledger *ledger);                    /* refused by concurrency_max */
void sheaf__sim_ledger_queue(sim_ledger *ledger, uint32_t waiting); /* the service's queue now */
void sheaf__sim_ledger_queue_full(sim_ledger *ledger);
/* The end of an exchange, one for each ledger_begin. is_left: the client closed before the answer's
 * end; a connection that a fault broke is not one that was left. */
void sheaf__sim_ledger_ended(sim_ledger *ledger, const sim_call *call, bool is_left,
                             uint64_t now_ns);
uint32_t sheaf__sim_ledger_begin(sim_ledger *ledger); /* how many are under way, this one too */
/* How often this body was admitted before; counts it as admitted when asked to. */
uint32_t sheaf__sim_ledger_seen(sim_ledger *ledger, uint64_t body_hash);
void sheaf__sim_ledger_admit(sim_ledger *ledger, uint64_t body_hash);
/* Whether a fault asked for by header is still owed; counts it as given if so. */
bool sheaf__sim_ledger_owes(sim_ledger *ledger, uint64_t body_hash, uint32_t fault, uint32_t times);
/* How often this was asked before, and one more: for what generates nothing. */
uint32_t sheaf__sim_ledger_again(sim_ledger *ledger, uint64_t hash);
/* A row of a batch job: its entry from beginning to end. */
void sheaf__sim_ledger_row(sim_ledger *ledger, sim_call *call, bool is_billed, uint64_t now_ns);
void sheaf__sim_ledger_write_stats(sim_ledger *ledger, uint64_t seed, sheaf_buf *json);
/* {"entries":[...],"next":S,"lost":N}: entries after sequence `after`, at most `limit`; lost: those
 * that the ring no longer had. */
void sheaf__sim_ledger_write_entries(sim_ledger *ledger, uint64_t after, uint64_t limit,
                                     sheaf_buf *json);

/* ---- Canned answers (sim_canned.c) ---- */

/* A JSONL file of {"prompt": "...", "answer": "..."}; an answer that is an object or array is given
 * as its JSON text. {"match": "part of a prompt", "answer": ...} answers where no whole prompt does;
 * the first that fits. {"answer": ...} alone answers the rest. */
typedef struct sim_canned sim_canned;
int32_t sheaf__sim_canned_load(sim_canned **canned, const char *path, char *message, size_t bytes);
void sheaf__sim_canned_free(sim_canned *canned);
/* The answer's plain text; false: the file has none for the prompt. */
bool sheaf__sim_canned_find(const sim_canned *canned, sheaf_slice prompt, sheaf_slice *answer);

/* ---- Several prompts in one call (sim_merged.c) ---- */

typedef struct sim_merged {
  sheaf_json_iter iter;
} sim_merged;
/* Whether the last user's text is {"requests":[{"id","prompt"}]} and the schema wants
 * {"answers":[{"id","answer"}]} of just these ids, in their order. */
bool sheaf__sim_merged_open(const sim_call *call, sim_merged *merged);
/* The next one's id, the inside of a JSON string, and its plain text, appended to prompt; false past
 * the last. */
bool sheaf__sim_merged_next(sim_merged *merged, sheaf_slice *id, sheaf_buf *prompt);

/* ---- Tokens (sim_tokens.c) ---- */

typedef struct sim_tokenizers sim_tokenizers;
/* given: a folder of vocabularies, or one for every model. SHEAF_OK, SHEAF_E_NOMEM. */
int32_t sheaf__sim_tokenizers_open(sim_tokenizers **tokenizers, const char *given);
void sheaf__sim_tokenizers_close(sim_tokenizers *tokenizers);
/* Of the request, as its provider would bill them. */
uint64_t sheaf__sim_input_tokens(const sim_call *call);
/* Counts by the model's vocabulary and cuts the text after tokens_max of them; false: there is none. */
bool sheaf__sim_count_text(const sim_call *call, sheaf_slice *text, uint64_t tokens_max,
                           uint64_t *tokens);

/* ---- Everything that lives as long as the simulator ---- */

struct sim_world {
  const sheaf_sim_options *options;
  sim_ledger *ledger;
  sim_limiter *limiter;
  sim_schedule *schedule;     /* NULL: none */
  sim_canned *canned;         /* NULL: none */
  sim_tokenizers *tokenizers; /* NULL: tokens are estimated */
  sim_store *store;           /* of batch jobs and their files */
  sim_samples latency, itl;   /* count 0: none */
  uint64_t start_ns;
  char *models_text;
  sheaf_slice *models; /* of --models */
  uint32_t model_count;
};

/* Loads the files that the options name and makes ledger and limiter. options are checked, and live
 * as long as the world; start_ns is the caller's to set. On failure nothing is held. SHEAF_OK,
 * SHEAF_E_FIELD (a file's line), SHEAF_E_IO, SHEAF_E_LIMIT, SHEAF_E_NOMEM. */
int32_t sheaf__sim_world_open(sim_world *world, const sheaf_sim_options *options, char *message,
                              size_t bytes);
void sheaf__sim_world_close(sim_world *world);
/* The n-th name of --models, or of the two that are listed without it; empty past the end. */
sheaf_slice sheaf__sim_model_at(const sim_world *world, uint32_t n);
bool sheaf__sim_model_is_known(const sim_world *world, sheaf_slice model);
/* The tokens of so many bytes of text: a quarter of them, rounded up, at least 1 for any text. */
uint64_t sheaf__sim_tokens(uint64_t text_bytes);

/* ---- Options (sim_options.c, sim_values.c) ---- */

/* Whether all fields are in their ranges. SHEAF_OK, SHEAF_E_RANGE and a message. */
int32_t sheaf__sim_options_check(const sheaf_sim_options *options, char *message, size_t bytes);
/* Read a whole value; false: it is none such, and nothing was written. */
bool sheaf__sim_value_decimal(const char *value, unsigned digits, uint64_t *number);
bool sheaf__sim_value_spread(const char *value, sheaf_sim_spread *spread);
bool sheaf__sim_value_answer(const char *value, sheaf_sim_options *options);
bool sheaf__sim_value_faults(const char *value, uint32_t fault_ppm[SHEAF_SIM_FAULT_ROOM]);
bool sheaf__sim_value_switch(const char *value, bool *is_on);
bool sheaf__sim_value_quirks(const char *value, uint32_t *quirks);

/* ---- The plan (sim_plan.c) ---- */

/* Decides everything about a fully received request: status, fault, delay, headers, body (of a
 * stream: its parts). */
void sheaf__sim_plan(sim_call *call, uint64_t now_ns, int64_t unix_s);
/* The same answer, or the same error, for a row of a batch job: the call has route, provider, path and
 * body. No limits, no delay, no fault but a failure drawn by --batch-fail. */
void sheaf__sim_plan_row(sim_call *call, uint32_t (*check)(sim_call *call), uint64_t now_ns);

#endif
