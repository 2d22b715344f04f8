/* queue_sim.h: the parts of the simulation of the queue client.
 *
 * queue_world.c says what a seed turns on and what each row asks. queue_server.c is the
 * provider: it reads the bodies that the engine makes, merged ones as a model would, and answers
 * what they ask for, or spoils it. queue_host.c is the transport, the store and the hooks;
 * queue_run.c drives one engine to its end. queue_check.c compares what the engine does with
 * rules that it computes for itself, queue_watch.c those about waiting and about groups' events.
 *
 * Every draw is keyed by what it is for, never streamed: the order in which things are asked for
 * changes nothing. */
#ifndef QUEUE_SIM_H
#define QUEUE_SIM_H

#include <sheaf/sheaf.h>

#include <stdio.h>

#define QS_MS 1000000ull
#define QS_SECOND 1000000000ull
#define QS_ROWS_MAX 640
#define QS_GROUPS_MAX 8192
#define QS_TEXT_BYTES 48000 /* of one prompt, at most */
#define QS_ANSWER_BYTES 320 /* of one answer */
#define QS_INPUTS_MAX 3     /* of one row's list */
#define QS_PRICE_IN 1000000 /* nano-USD per million tokens: one nano a token */
#define QS_PRICE_OUT 3000000
#define QS_NONE UINT32_MAX

/* What a draw is for. */
enum {
  QS_DRAW_CONFIG = 1,
  QS_DRAW_ROW,
  QS_DRAW_CONTENT,
  QS_DRAW_ARRIVAL,
  QS_DRAW_FATE,
  QS_DRAW_SPOIL,
  QS_DRAW_TIME,
  QS_DRAW_STORE,
  QS_DRAW_HOOK,
  QS_DRAW_HOST,
  QS_DRAW_SET,
  QS_DRAW_SHUFFLE
};

enum { QS_EMBED, QS_COMPLETE, QS_CHAT, QS_PLAIN, QS_TASK, QS_KINDS };

/* What becomes of an exchange. */
enum {
  QS_OK,
  QS_LIMITED, /* 429 */
  QS_SERVER,  /* 500 */
  QS_INVALID, /* 400 */
  QS_CONTEXT, /* 400, context_length_exceeded */
  QS_NOT_SENT,
  QS_BREAKS, /* behind a 2xx head */
  QS_STALLS,
  QS_LENGTH,  /* 200, cut off at the cap */
  QS_GARBLED, /* 200, half a body */
  QS_SPOILED, /* 200, and what is in it is not what was asked for */
  QS_FATES
};

/* What is wrong with a spoiled reply, or only odd. */
enum {
  QS_CLEAN,
  QS_MISSING,
  QS_EXTRA,
  QS_REPEATED,
  QS_RENUMBERED,
  QS_CUT,     /* the answers' document ends in the middle */
  QS_OBEYED,  /* one answer names another's id, as a forged prompt asked */
  QS_REORDER, /* from here on nothing is wrong */
  QS_PROSE,
  QS_FENCED,
  QS_MAPPED, /* {"id": "answer"} */
  QS_SPOILS
};

typedef struct qs_config {
  uint64_t seed;
  uint32_t rows, arrivals, kinds, texts, models, trusts, places;
  uint64_t gap_ns;
  bool doors, store, store_late, hints, deadlines, cancels, storm, pauses, sets, drains, aborts,
      few_events, backwards, late_events, priorities, alone, waits, preprocess, fallback, validate,
      counter, budget, big, rejects, poison, resets, lists, bursts, slow_takes, many_keys, collide,
      early, dies, starves, streams, small_replies, recovers;
  uint32_t context_members, inputs_max; /* of the provider's */
  uint64_t tokens_max;
  uint32_t limit_rpm;
  uint32_t fate_permille[QS_FATES];
  uint64_t reply_ms, grid_ns, safety_ns;
  sheaf_engine_options options;
} qs_config;

/* What is asked; equal for all rows with one text. */
typedef struct qs_content {
  uint32_t text, kind, model, variant, user, inputs, max_tokens;
} qs_content;

/* How a row asks for it. */
typedef struct qs_ask {
  qs_content content;
  uint32_t trust, klass, flags;
  uint64_t deadline_ms, max_wait_ms;
} qs_ask;

typedef struct qs_row {
  qs_ask ask;
  uint64_t arrives_ns, admitted_ns, deadline_ns;
  uint64_t group; /* with which it stood in the queue at the end of the last turn; 0: with none */
  uint64_t index;
  uint32_t exchange; /* the latest; QS_NONE: none yet */
  uint32_t starts, ends, cut, others, passes;
  bool admitted, rejected, cancelled, out, covered, twins, fresh, odd, answered, refused,
      unknown;     /* an earlier run may have sent it */
  int64_t counted; /* tokens of its body; 0: nobody counted */
} qs_row;

typedef struct qs_exchange {
  uint64_t id, started_ns, ended_ns, timeout_ns, wait_ns;
  uint32_t fate, spoil, status, end_kind;
  uint32_t count, left, told, *members; /* rows; QS_NONE: nobody's */
  uint32_t model, kind, place;
  bool task, stream, too_large, shadow, void_reply, ended, settled, cancelled, asked, has_head;
  char *reply;
  size_t reply_bytes;
  int64_t input, output, told_input, told_output;
  uint64_t group;
} qs_exchange;

typedef struct qs_group {
  uint32_t state;
  uint64_t at_ns, members;
} qs_group;

typedef struct qs_record {
  uint32_t type;
  uint64_t ticket;
  uint8_t payload[SHEAF_RANGE_BYTES];
  bool stored;
} qs_record;

typedef struct qs_world {
  qs_config config;
  sheaf_engine_options options; /* as set last */
  uint64_t most_batch, most_inputs, most_concurrency, most_merge,
      most_canary; /* ever: for starts that were decided earlier */
  sheaf_provider provider;
  bool shuffle, verbose;
  uint64_t now_ns, begun_ns, engine_ns, trace;
  qs_row rows[QS_ROWS_MAX];
  uint32_t row_of[QS_ROWS_MAX]; /* by index */
  uint32_t indexes, unknown;    /* the first so many are of an earlier run */
  qs_exchange *exchanges;       /* by number of their launch */
  uint32_t exchange_count, exchange_capacity;
  qs_group groups[QS_GROUPS_MAX];
  uint64_t groups_seen, group_at_ns;
  qs_record *log;
  uint32_t log_count, log_capacity;
  uint64_t pause_until_ns[2];
  uint64_t limited_at_ns[2][1024];
  uint32_t limited_count[2];
  uint32_t in_flight, starts, merged, travelled, shadow_starts, deserted;
  uint64_t admitted, succeeded, deduplicated, cached, local, completions;
  int64_t last_count, spent, charged, told_cost, shadow_cost, spent_input, spent_output;
  uint64_t run_end_ns;
  uint64_t hungry_until_ns; /* what failed for lack of memory is tried again by then */
  bool starved;             /* in this turn there is no memory */
  bool stopping, paused, reset, input_ended, merge_off, missing_cost;
  char failure[256];
} qs_world;

/* queue_world.c */
uint64_t qs_draw(const qs_config *c, uint64_t below, uint64_t purpose, uint64_t a, uint64_t b);
bool qs_chance(const qs_config *c, uint32_t permille, uint64_t purpose, uint64_t a, uint64_t b);
void qs_trace(qs_world *w, uint64_t a, uint64_t b, uint64_t c);
void qs_fail(qs_world *w, const char *what, uint64_t a, uint64_t b); /* keeps the first */
/* What happens, as it happens, when one seed is looked at. */
void qs_say(const qs_world *w, const char *what, uint64_t a, uint64_t b, uint64_t c);
void qs_config_draw(qs_config *c, uint64_t seed);
void qs_config_print(const qs_config *c);
void qs_rows_draw(qs_world *w);
size_t qs_text(const qs_config *c, uint32_t text, uint32_t input, char *to);
size_t qs_answer(uint32_t text, uint32_t input, uint32_t exchange, char *to);
bool qs_number(sheaf_slice text, size_t *at, uint32_t *number);
bool qs_liveness(const qs_world *w);
bool qs_same_key(const qs_ask *a, const qs_ask *b);
bool qs_mergeable(const qs_ask *ask);
bool qs_eligible(const qs_world *w, const qs_ask *ask); /* for twins, by the options of now */
bool qs_twins(const qs_ask *a, const qs_ask *b);
const sheaf_allocator *qs_malloc(void);
/* One of the options to set, and a legal value for it; static. */
const char *qs_setting(const qs_config *c, uint64_t n, char *value, size_t bytes);

/* queue_server.c */
extern const sheaf_price_table qs_prices;
void qs_provider_init(qs_world *w);
void qs_request_fill(const qs_world *w, uint32_t row, sheaf_request *q, sheaf_buf *text,
                     sheaf_buf *body);
void qs_serve(qs_world *w, qs_exchange *x, const sheaf_exchange *e); /* fate, usage and reply */
int64_t qs_cost(const qs_exchange *x);

/* queue_check.c */
void qs_check_start(qs_world *w, const sheaf_engine *engine, qs_exchange *x);
void qs_check_ended(qs_world *w, qs_exchange *x);
void qs_check_result(qs_world *w, const sheaf_result *r);
void qs_check_end(qs_world *w, const sheaf_engine *engine);

/* queue_watch.c */
void qs_watch_admitted(qs_world *w, const sheaf_engine *engine, uint32_t row);
void qs_watch_start(qs_world *w, const sheaf_engine *engine, const qs_exchange *x);
void qs_watch_turn(qs_world *w, const sheaf_engine *engine, bool all_taken);
void qs_watch_group(qs_world *w, const sheaf_event *e);
void qs_watch_end(qs_world *w);

/* queue_run.c: runs a seed to its end; its trace. Bytes still allocated are a failure. */
bool qs_run(qs_world *w, uint64_t seed, bool shuffle, bool verbose);
void qs_free(qs_world *w);

#endif
