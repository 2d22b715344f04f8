/* sim_world.h: the parts of the live simulator.
 *
 * sim_world.c is the world outside of the engine: providers with true limits, a transport with faults, what a seed
 * turns on. sim_check.c looks at what the engine does and compares it with rules that it computes for itself. sim_run.c
 * drives, by sim_transport.c, one engine after the other (a host may die) against one world. sim_live.c counts seeds.
 *
 * Every draw is keyed by what it is for, never streamed: the order in which things are asked for changes nothing. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <sheaf/sheaf.h>

#include <stdio.h>

#define SIM_MS 1000000ull
#define SIM_SECOND 1000000000ull
#define SIM_ROWS_MAX 256
#define SIM_PLACES_MAX 4
#define SIM_MODELS 2
#define SIM_POOLS_MAX (SIM_PLACES_MAX * SIM_MODELS)
#define SIM_LOG_MAX 20000
#define SIM_PRICE_IN 1000000 /* nano-USD per million tokens: one nano a token */
#define SIM_PRICE_OUT 3000000

/* What a draw is for. */
enum {
  SIM_DRAW_CONFIG = 1,
  SIM_DRAW_ROW,
  SIM_DRAW_FATE,
  SIM_DRAW_TIME,
  SIM_DRAW_STORE,
  SIM_DRAW_DOOR,
  SIM_DRAW_HOST,
  SIM_DRAW_SHUFFLE
};

/* What becomes of an exchange. */
enum {
  SIM_OK,
  SIM_LIMITED,    /* 429 */
  SIM_OVERLOADED, /* 529 */
  SIM_SERVER,     /* 500 */
  SIM_INVALID,    /* 400 */
  SIM_AUTH,       /* 401 */
  SIM_NOT_SENT,
  SIM_START_FAILS, /* the transport's start answers an error */
  SIM_BREAKS,      /* before the head */
  SIM_BREAKS_LATE, /* behind a 2xx head */
  SIM_TRUNCATED,   /* a whole end, half a body */
  SIM_GARBLED,     /* a body that does not decode */
  SIM_STALLS,
  SIM_TOO_LARGE,
  SIM_FATES
};

enum { SIM_LIMIT_NONE, SIM_LIMIT_BUCKET, SIM_LIMIT_WINDOW, SIM_LIMIT_SLICES };

typedef struct sim_config {
  uint64_t seed;
  uint32_t rows, places, models, pools_shared;
  bool doors, store, store_late, store_fails, stream, tasks, priorities, deadlines, cancels,
      backwards, crashes;
  bool sink_later, source_later, drains, aborts, hints, headers, start_fails, late_events, stop_key,
      budget, bursts;
  bool small_queue, validate;
  uint32_t limit_kind;
  uint64_t limit_rpm; /* true limit of each pool */
  bool limit_stated;  /* told to the engine by option */
  bool refused_count; /* refused requests count against the limit */
  uint32_t fate_permille[SIM_FATES];
  uint64_t reply_ms, grid_ns, safety_ns;
  sheaf_engine_options options;
} sim_config;

uint64_t sim_draw(const sim_config *c, uint64_t below, uint64_t purpose, uint64_t a, uint64_t b);
bool sim_chance(const sim_config *c, uint32_t permille, uint64_t purpose, uint64_t a, uint64_t b);
void sim_config_draw(sim_config *c, uint64_t seed);
void sim_config_print(const sim_config *c);

/* ---- The checkers' view ---- */

/* A row over all runs of its world. */
typedef struct sim_row {
  uint64_t admitted_ns, deadline_ns;
  uint32_t starts, starts_ever, ends;
  uint32_t last_fate;
  int64_t cost; /* of usages told */
  bool cost_unknown;
  bool admitted;
  bool cancelled; /* while it waited: nothing of it may start any more */
  bool line;      /* the output has it */
  bool unknown;   /* an earlier host may have sent it, and there is no line */
  bool covered;   /* a stored range speaks of it */
  bool out;       /* an exchange of it is out */
  bool last_unknown, last_full_price;
} sim_row;

typedef struct sim_exchange {
  uint64_t id, index, started_ns, timeout_ns;
  uint32_t place, pool, fate, status, attempt;
  uint64_t wait_ns; /* retry-after that was told; SHEAF_NEVER: none */
  bool limits_told, stream, task, plain;
  bool ended, cancelled, head_checked, end_checked, has_head, has_end;
  uint32_t end_kind;
  bool touched; /* something was reported since the last step */
} sim_exchange;

typedef struct sim_pool {
  uint64_t pause_until_ns, probe_until_ns, probe_exchange;
  bool probe_due, probing;
  /* the window log, as a running minimum: (count * minute - rate * time) never rises by more than the burst */
  int64_t low, net;
  uint64_t last_start_ns;
  bool low_set;
  uint64_t limited_at_ns[2048];
  uint32_t limited_at, limited_count;
} sim_pool;

typedef struct sim_seat {
  uint32_t ring, ring_count, in_a_row, state, successes;
  uint64_t open_until_ns, probe_exchange, probe_until_ns;
  uint64_t lost_until_ns; /* a probe ended behind its lease: if lost, open until then; 0: none */
  bool probing;
} sim_seat;

typedef struct sim_record {
  uint32_t type;
  uint64_t ticket;
  uint8_t payload[SHEAF_RANGE_BYTES];
  bool stored;
} sim_record;

typedef struct sim_world {
  sim_config config;
  bool shuffle;
  uint64_t now_ns, begun_ns, run_ns, engine_ns; /* engine_ns: the latest time it was told */
  uint64_t trace;
  uint32_t host; /* which of the hosts that die one after another */
  sim_row rows[SIM_ROWS_MAX];
  sim_pool pools[SIM_POOLS_MAX];
  sim_seat seats[SIM_PLACES_MAX * SIM_POOLS_MAX];
  uint64_t keys_stopped;   /* a bit a place: each has its own key */
  sim_exchange *exchanges; /* by number of their launch */
  uint32_t exchange_count, exchange_capacity;
  sim_record log[SIM_LOG_MAX];
  uint32_t log_count;
  bool store_failed;
  uint32_t in_flight, full_price_retries, completions, starts;
  int64_t spent, charged; /* what usages came to; what the providers may have charged */
  uint64_t requests_ever;
  bool stopping; /* drained or aborted: rows may end unsent */
  char failure[256];
} sim_world;

void sim_trace(sim_world *w, uint64_t a, uint64_t b, uint64_t c);
/* Keeps the first failure. */
void sim_fail(sim_world *w, const char *what, uint64_t a, uint64_t b);

/* sim_world.c: the fate of an exchange, and its provider. */
extern const sheaf_provider sim_provider;
extern const sheaf_price_table sim_prices;
uint32_t sim_fate(sim_world *w, sim_exchange *x, uint32_t attempt);
uint32_t sim_pool_of(const sim_config *c, uint32_t place, uint32_t model);
uint32_t sim_model_of(const sim_config *c, uint64_t index);
uint64_t sim_input_tokens(const sim_config *c, uint64_t index);
uint64_t sim_output_tokens(const sim_config *c, uint64_t index, uint32_t attempt);
uint64_t sim_deadline_ms(const sim_config *c, uint64_t index);
bool sim_is_task(const sim_config *c, uint64_t index);
bool sim_liveness(const sim_world *w);
bool sim_refuses(const sim_config *c, uint64_t index, uint32_t attempt); /* the validate hook */

/* sim_check.c */
void sim_check_start(sim_world *w, const sheaf_engine *engine, sim_exchange *x);
void sim_check_settled(sim_world *w,
                       sim_exchange *x); /* in order of launch, before the step that settles */
void sim_check_result(sim_world *w, const sheaf_result *r);
void sim_check_end(sim_world *w, const sheaf_engine *engine);

/* sim_run.c: runs a seed to its end; its trace. Bytes still allocated are a failure. */
bool sim_run(sim_world *w, uint64_t seed, bool shuffle);

#endif
