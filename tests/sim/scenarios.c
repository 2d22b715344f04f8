/* scenarios.c: the decision modules in a closed loop with simulated providers, in virtual time (algorithms.md 12, A to J).
 *
 *   scenarios                 prints the table
 *   scenarios write FILE      and writes it as CSV
 *   scenarios check FILE      and fails if FILE differs
 *
 * Eight seeds, one hour each, of each scenario. Rows that were refused wait as retry.c says and go again. The provider's limiters are true
 * ones, written here without the code under test: token bucket, sliding window, one-second slices; a server whose speed
 * is shared beyond a knee; bursts of 529; another tenant. All numbers are integers and all randomness is drawn by key, so
 * the table is the same everywhere. Goodput is what came back as successes in percent of what the provider would have
 * granted in those hours (a bucket's initial filling included; less what the other tenant got; of arrivals, those of all but
 * the last minute); refusals are per 100 successes.
 * D2 and F2 are harder forms of D and F, held to the same targets: a window that remembers each refusal for a minute, and
 * a ceiling that lets START double beyond what the server takes.
 * Order: scenarios, randomness, provider, client, events, report. */
#include "base/mem.h"
#include "base/random.h"
#include "flow/breaker.h"
#include "flow/concurrency.h"
#include "flow/pool.h"
#include "flow/queue.h"
#include "flow/retry.h"

#include <sheaf/engine.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS SHEAF__MS
#define SECOND SHEAF__SECOND
#define MINUTE SHEAF__MINUTE_NS
#define RUN_NS (60 * MINUTE)
#define SEEDS 8u
#define SLOTS 1024u
#define ROWS 65536u
#define INPUT_TOKENS 100u
#define TTFT_NS (500 * MS)
#define TOKEN_NS (SECOND / 80)

/* ---- Scenarios ---- */

enum { NO_LIMIT, BUCKET, SLIDING, SLICES };
enum { COUNT_REQUESTS, COUNT_RESERVED, COUNT_OUTPUT };

typedef struct scenario {
  const char *name;
  const char *what;
  uint32_t limiter, counts;
  uint64_t limit; /* a minute */
  bool told;      /* headers with limit, remaining, reset */
  bool tells_retry_after;
  bool refused_count;                 /* against the limit */
  uint64_t stated_rpm;                /* what the user said */
  uint32_t output_mean, output_other; /* tokens; other: by turns, flip_ns each */
  uint64_t flip_ns;
  uint64_t max_tokens;
  uint64_t knee, in_flight_max;      /* speed is shared beyond, 503 beyond */
  uint64_t burst_ns, burst_every_ns; /* of 529s, for 60 % */
  uint64_t tenant_per_minute;        /* another's requests against the same limit */
  uint64_t arrivals_per_minute;      /* 0: always more to do */
  uint32_t charge_tokens, charge_output;
  uint32_t max_concurrency;
  uint64_t goodput_min, refusals_max; /* targets in percent and per 1000 */
} scenario;

static const scenario scenarios[] = {
    {.name = "A",
     .what = "token bucket of output tokens, headers",
     .limiter = BUCKET,
     .counts = COUNT_OUTPUT,
     .limit = 200000,
     .told = true,
     .tells_retry_after = true,
     .output_mean = 500,
     .max_tokens = 4096,
     .charge_tokens = SHEAF_CHARGE_UNCACHED_INPUT,
     .charge_output = SHEAF_CHARGE_ACTUAL,
     .max_concurrency = 256,
     .goodput_min = 97,
     .refusals_max = 1},
    {.name = "B",
     .what = "the same, retry-after only",
     .limiter = BUCKET,
     .counts = COUNT_OUTPUT,
     .limit = 200000,
     .tells_retry_after = true,
     .output_mean = 500,
     .max_tokens = 4096,
     .charge_tokens = SHEAF_CHARGE_UNCACHED_INPUT,
     .charge_output = SHEAF_CHARGE_ACTUAL,
     .max_concurrency = 256,
     .goodput_min = 88,
     .refusals_max = 40},
    {.name = "C",
     .what = "tokens reserved at max_tokens, refused ones count, headers",
     .limiter = BUCKET,
     .counts = COUNT_RESERVED,
     .limit = 200000,
     .told = true,
     .refused_count = true,
     .output_mean = 300,
     .max_tokens = 1024,
     .max_concurrency = 256,
     .goodput_min = 97,
     .refusals_max = 1},
    {.name = "D",
     .what = "300 requests a minute, nothing told, refused ones count",
     .limiter = BUCKET,
     .limit = 300,
     .refused_count = true,
     .output_mean = 200,
     .max_tokens = 1024,
     .max_concurrency = 256,
     .goodput_min = 95,
     .refusals_max = 20},
    {.name = "D2",
     .what = "the same as a sliding window of a minute",
     .limiter = SLIDING,
     .limit = 300,
     .refused_count = true,
     .output_mean = 200,
     .max_tokens = 1024,
     .max_concurrency = 256,
     .goodput_min = 95,
     .refusals_max = 20},
    {.name = "E",
     .what = "600 requests a minute, replies of 50 and 1500 tokens by turns",
     .limiter = BUCKET,
     .limit = 600,
     .told = true,
     .output_mean = 50,
     .output_other = 1500,
     .flip_ns = 5 * MINUTE,
     .max_tokens = 4096,
     .max_concurrency = 256,
     .goodput_min = 85,
     .refusals_max = 1},
    {.name = "F",
     .what = "own server, knee 64, 503 beyond 256",
     .knee = 64,
     .in_flight_max = 256,
     .output_mean = 200,
     .max_tokens = 1024,
     .max_concurrency = 256,
     .goodput_min = 94,
     .refusals_max = 10},
    {.name = "F2",
     .what = "the same with a ceiling of 512",
     .knee = 64,
     .in_flight_max = 256,
     .output_mean = 200,
     .max_tokens = 1024,
     .max_concurrency = 512,
     .goodput_min = 94,
     .refusals_max = 10},
    {.name = "G",
     .what = "60 % 529 for 20 s of every 120 s",
     .burst_ns = 20 * SECOND,
     .burst_every_ns = 120 * SECOND,
     .output_mean = 300,
     .max_tokens = 1024,
     .arrivals_per_minute = 600,
     .max_concurrency = 256,
     .goodput_min = 100,
     .refusals_max = 120},
    {.name = "H",
     .what = "another tenant takes half of 600 a minute, headers",
     .limiter = BUCKET,
     .limit = 600,
     .told = true,
     .output_mean = 200,
     .max_tokens = 1024,
     .tenant_per_minute = 300,
     .max_concurrency = 256,
     .goodput_min = 94,
     .refusals_max = 10},
    {.name = "I",
     .what = "the same, nothing told",
     .limiter = BUCKET,
     .limit = 600,
     .output_mean = 200,
     .max_tokens = 1024,
     .tenant_per_minute = 300,
     .max_concurrency = 256,
     .goodput_min = 93,
     .refusals_max = 20},
    {.name = "J",
     .what = "600 a minute in one-second slices, stated",
     .limiter = SLICES,
     .limit = 600,
     .stated_rpm = 600,
     .output_mean = 200,
     .max_tokens = 1024,
     .max_concurrency = 256,
     .goodput_min = 97,
     .refusals_max = 1},
};
#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

/* ---- Randomness ---- */

/* Quantiles 1/64, 3/64, ... of a log-normal with sigma 0.6 and mean 1, in thousandths. */
static const uint32_t lognormal[32] = {
    231, 308, 360, 403, 441,  477,  512,  546,  579,  612,  645,  679,  713,  749,  785,  823,
    863, 904, 948, 995, 1046, 1101, 1161, 1227, 1302, 1387, 1487, 1609, 1762, 1973, 2303, 3068};

typedef struct world world;

static uint64_t draw(world *w, uint64_t n);

/* ---- The world ---- */

enum { AT_SERVER, PROGRESS, AT_CLIENT, WAKE, RETRY_ROW, ARRIVAL, TENANT, SERVED };

typedef struct event {
  sheaf__heap_node node; /* key: when */
  uint32_t kind;
  uint32_t index;
} event;

typedef struct row {
  event retry;
  sheaf__tries tries;
  uint64_t attempt;
  uint64_t number;
} row;

typedef struct exchange {
  event move, progress;
  sheaf__heap_node service; /* key: service clock at which it is done */
  row *row;
  sheaf__cost cost;
  uint64_t id, started_ns;
  uint32_t output;      /* tokens of its reply */
  uint32_t slices_left; /* of the output, not yet counted */
  uint32_t http_status;
  sheaf_limit limit;
  uint64_t retry_after_ns;
  bool busy;
} exchange;

struct world {
  const scenario *s;
  uint64_t seed;
  uint64_t now, draws, next_id, next_row, seq;
  sheaf__heap events, serving;
  event wake, arrival, tenant, served;
  exchange slots[SLOTS];
  row rows[ROWS];
  row *ready[ROWS]; /* ring, oldest first */
  uint64_t ready_from, ready_to;
  row *spare[ROWS];
  uint32_t spare_count;
  /* client */
  sheaf__pool pool;
  sheaf__concurrency concurrency;
  sheaf__breaker breaker;
  sheaf__retry_options retry;
  /* provider */
  int64_t level; /* of the bucket: tokens x 6e10 */
  uint64_t level_at;
  uint64_t window[SLOTS * 64]; /* sliding: times of what counts, a ring */
  uint64_t window_from, window_to;
  uint64_t slice, slice_used;
  uint64_t clock, clock_at; /* service clock: runs slower beyond the knee */
  /* sums */
  uint64_t successes, refusals, delivered, arrived, tenant_admitted;
};

static const sheaf_allocator *memory(void);

static uint64_t draw(world *w, uint64_t n) {
  return sheaf__draw(w->seed, n, SHEAF__DRAW_TEST, 0, w->draws++);
}

static uint32_t draw_output(world *w) {
  const scenario *s = w->s;
  const bool other = s->flip_ns && (w->now / s->flip_ns) % 2 == 1;
  const uint32_t mean = other ? s->output_other : s->output_mean;
  const uint32_t tokens = (uint32_t)((uint64_t)mean * lognormal[draw(w, 31)] / 1000);
  return tokens ? tokens : 1;
}

static uint64_t draw_travel(world *w) {
  return 15 * MS + draw(w, 10 * MS);
}

static void schedule(world *w, event *e, uint64_t at) {
  sheaf__heap_remove(&w->events, &e->node);
  e->node.key = at > w->now ? at : w->now;
  e->node.seq = w->seq++;
  if (sheaf__heap_push(&w->events, memory(), &e->node) != SHEAF_OK) abort();
}

/* ---- Provider ---- */

#define LEVEL_TOKEN ((int64_t)MINUTE)

static void refill(world *w) {
  const int64_t full = (int64_t)w->s->limit * LEVEL_TOKEN;
  w->level += (int64_t)((w->now - w->level_at) * w->s->limit);
  if (w->level > full) w->level = full;
  w->level_at = w->now;
}

static uint64_t count_of(const world *w) {
  return w->s->counts == COUNT_RESERVED ? INPUT_TOKENS + w->s->max_tokens : 1;
}

static bool bucket_admits(world *w, uint64_t count) {
  refill(w);
  const int64_t cost = (int64_t)count * LEVEL_TOKEN;
  if (w->s->counts == COUNT_OUTPUT) return w->level > 0; /* counted as it is produced */
  const bool admitted = w->level >= cost;
  if (admitted || w->s->refused_count) w->level -= cost;
  if (w->level < 0) w->level = 0;
  return admitted;
}

static bool window_admits(world *w) {
  const uint64_t room = SLOTS * 64;
  while (w->window_from < w->window_to && w->window[w->window_from % room] + MINUTE <= w->now)
    w->window_from++;
  const bool admitted = w->window_to - w->window_from < w->s->limit;
  if (admitted || w->s->refused_count) w->window[w->window_to++ % room] = w->now;
  if (w->window_to - w->window_from >= room) abort();
  return admitted;
}

static bool slice_admits(world *w) {
  if (w->now / SECOND != w->slice) w->slice = w->now / SECOND, w->slice_used = 0;
  w->slice_used++;
  return w->slice_used <= w->s->limit / 60;
}

static bool admits(world *w, uint64_t count) {
  switch (w->s->limiter) {
    case BUCKET: return bucket_admits(w, count);
    case SLIDING: return window_admits(w);
    case SLICES: return slice_admits(w);
    default: return true;
  }
}

static void tell_limits(world *w, exchange *x) {
  x->limit = (sheaf_limit){.limit = SHEAF_ABSENT};
  x->retry_after_ns = SHEAF_NEVER;
  if (w->s->limiter != BUCKET) return;
  refill(w);
  const int64_t left = w->level > 0 ? w->level / LEVEL_TOKEN : 0;
  static const uint32_t resources[] = {SHEAF_RESOURCE_REQUESTS, SHEAF_RESOURCE_TOKENS,
                                       SHEAF_RESOURCE_OUTPUT_TOKENS};
  if (w->s->told) {
    x->limit.resource = resources[w->s->counts];
    x->limit.limit = (int64_t)w->s->limit;
    x->limit.remaining = left;
    x->limit.reset_ns = (w->s->limit - (uint64_t)left) * MINUTE / w->s->limit;
  }
  if (!w->s->tells_retry_after || x->http_status != 429) return;
  const uint64_t lack = w->level < 0 ? (uint64_t)-w->level : 0;
  x->retry_after_ns = (lack / w->s->limit / SECOND + 1) * SECOND; /* whole seconds, up */
}

/* The service clock: one second a second, slower when more than the knee share the server. */
static void advance_clock(world *w) {
  const uint64_t gone = w->now - w->clock_at;
  const uint64_t n = w->serving.count;
  w->clock += w->s->knee && n > w->s->knee ? gone * w->s->knee / n : gone;
  w->clock_at = w->now;
}

static void plan_service(world *w) {
  sheaf__heap_remove(&w->events, &w->served.node);
  const sheaf__heap_node *next = sheaf__heap_peek(&w->serving);
  if (!next) return;
  const uint64_t left = next->key > w->clock ? next->key - w->clock : 0;
  const uint64_t n = w->serving.count;
  const uint64_t slow =
      w->s->knee && n > w->s->knee ? (left * n + w->s->knee - 1) / w->s->knee : left;
  schedule(w, &w->served, w->now + slow);
}

static void answer(world *w, exchange *x, uint32_t http_status) {
  x->http_status = http_status;
  tell_limits(w, x);
  x->move.kind = AT_CLIENT;
  schedule(w, &x->move, w->now + draw_travel(w));
}

static bool in_burst(const world *w) {
  return w->s->burst_every_ns && w->now % w->s->burst_every_ns < w->s->burst_ns;
}

static void at_server(world *w, exchange *x) {
  if (in_burst(w) && draw(w, 99) < 60) {
    answer(w, x, 529);
    return;
  }
  if (w->s->in_flight_max && w->serving.count >= w->s->in_flight_max) {
    answer(w, x, 503);
    return;
  }
  if (!admits(w, count_of(w))) {
    answer(w, x, 429);
    return;
  }
  advance_clock(w);
  x->service.key = w->clock + TTFT_NS + x->output * TOKEN_NS;
  x->service.seq = x->id;
  if (sheaf__heap_push(&w->serving, memory(), &x->service) != SHEAF_OK) abort();
  plan_service(w);
  x->slices_left = 4;
  if (w->s->counts == COUNT_OUTPUT)
    schedule(w, &x->progress, w->now + TTFT_NS + x->output * TOKEN_NS / 4);
}

static void count_progress(world *w, exchange *x) {
  refill(w);
  w->level -= (int64_t)x->output * LEVEL_TOKEN / 4;
  x->slices_left--;
  if (x->slices_left) schedule(w, &x->progress, w->now + x->output * TOKEN_NS / 4);
}

static void serve(world *w) {
  advance_clock(w);
  sheaf__heap_node *node = sheaf__heap_peek(&w->serving);
  while (node && node->key <= w->clock) {
    sheaf__heap_pop(&w->serving);
    answer(w, &w->slots[node->tag], 200);
    node = sheaf__heap_peek(&w->serving);
  }
  plan_service(w);
}

/* ---- Client ---- */

static void make_ready(world *w, row *r) {
  w->ready[w->ready_to++ % ROWS] = r;
}

static row *take_row(world *w) {
  if (w->ready_from < w->ready_to) return w->ready[w->ready_from++ % ROWS];
  if (w->s->arrivals_per_minute || w->spare_count == 0) return NULL;
  row *r = w->spare[--w->spare_count];
  *r = (row){.number = w->next_row++};
  return r;
}

static exchange *free_slot(world *w) {
  for (uint32_t i = 0; i < SLOTS; i++)
    if (!w->slots[i].busy) return &w->slots[i];
  abort();
}

static void start(world *w, row *r, const sheaf__cost *cost) {
  exchange *x = free_slot(w);
  const uint32_t index = (uint32_t)(x - w->slots);
  *x = (exchange){.row = r, .cost = *cost, .id = w->next_id++, .started_ns = w->now, .busy = true};
  x->move = (event){.kind = AT_SERVER, .index = index};
  x->progress = (event){.kind = PROGRESS, .index = index};
  x->service.tag = index;
  x->output = draw_output(w);
  sheaf__breaker_on_start(&w->breaker, x->id, 600 * SECOND, w->now);
  sheaf__concurrency_on_start(&w->concurrency, w->now);
  sheaf__pool_take(&w->pool, cost, x->id, w->now);
  schedule(w, &x->move, w->now + draw_travel(w));
}

static void pump(world *w) {
  for (;;) {
    if (!sheaf__concurrency_may(&w->concurrency, w->now)) {
      schedule(w, &w->wake, w->now + 100 * MS);
      return;
    }
    const sheaf__cost cost = sheaf__pool_estimate(&w->pool, 4ull * INPUT_TOKENS, SHEAF_ABSENT,
                                                  (int64_t)w->s->max_tokens);
    uint64_t at = sheaf__breaker_gate(&w->breaker, w->now);
    uint32_t by;
    if (at == 0) at = sheaf__pool_gate(&w->pool, &cost, w->now, &by);
    if (at != 0) {
      schedule(w, &w->wake, at);
      return;
    }
    row *r = take_row(w);
    if (!r) return;
    start(w, r, &cost);
  }
}

static sheaf_decoded decoded_of(const exchange *x) {
  sheaf_decoded d = {.retry_after_ns = x->retry_after_ns, .should_retry = -1, .retryable = true};
  d.billing = x->http_status == 200 ? SHEAF_BILLING_BILLED : SHEAF_BILLING_REFUSED;
  d.error_class = SHEAF_CLASS_NONE;
  if (x->http_status == 429) d.error_class = SHEAF_CLASS_RATE_LIMIT;
  if (x->http_status == 529 || x->http_status == 503) d.error_class = SHEAF_CLASS_OVERLOADED;
  d.usage = (sheaf_usage){.input_total = INPUT_TOKENS, .output_total = x->output};
  return d;
}

static void succeed(world *w, exchange *x) {
  w->successes++;
  if (w->s->counts == COUNT_OUTPUT)
    w->delivered += x->output;
  else if (w->s->knee)
    w->delivered += (TTFT_NS + x->output * TOKEN_NS) / 1000;
  else
    w->delivered += count_of(w);
  sheaf__pool_earn(&w->pool, 200, w->now);
  w->spare[w->spare_count++] = x->row;
}

static void refuse(world *w, exchange *x, const sheaf_decoded *d) {
  w->refusals++;
  const bool limited = d->error_class == SHEAF_CLASS_RATE_LIMIT;
  row *r = x->row;
  sheaf__pool_on_refusal(&w->pool, d->retry_after_ns, limited, r->number, r->attempt, w->now);
  if (!limited) sheaf__concurrency_cut(&w->concurrency, w->now);
  const sheaf__next next = sheaf__retry_decide(&w->retry, &r->tries, d, r->number, r->attempt);
  r->attempt++;
  if (next.next != SHEAF__NEXT_RETRY) abort(); /* no row of these scenarios is ever given up */
  const uint64_t paid_at = sheaf__pool_pay_retry(&w->pool, next.budget_milli, w->now);
  const uint64_t at = w->now + next.wait_ns;
  r->retry = (event){.kind = RETRY_ROW, .index = (uint32_t)(r - w->rows)};
  schedule(w, &r->retry, paid_at > at ? paid_at : at);
}

static void at_client(world *w, exchange *x) {
  const sheaf_decoded d = decoded_of(x);
  const bool success = d.error_class == SHEAF_CLASS_NONE;
  const uint32_t limits = x->limit.limit == SHEAF_ABSENT ? 0 : 1;
  sheaf__pool_on_head(&w->pool, &x->cost, x->id, success, &x->limit, limits, w->now);
  sheaf__pool_settle(&w->pool, &x->cost, d.billing, &d.usage, 4ull * INPUT_TOKENS, w->now);
  sheaf__concurrency_on_end(&w->concurrency, success && x->row->attempt == 0, x->started_ns,
                            w->now);
  sheaf__breaker_on_end(&w->breaker, x->id, success ? 1 : -1, w->now);
  if (success)
    succeed(w, x);
  else
    refuse(w, x, &d);
  x->busy = false;
}

/* ---- Events ---- */

static void arrive(world *w) {
  if (w->spare_count) {
    row *r = w->spare[--w->spare_count];
    *r = (row){.number = w->next_row++};
    make_ready(w, r);
    w->arrived++;
  }
  const uint64_t gap = MINUTE / w->s->arrivals_per_minute;
  if (w->now + gap < RUN_NS - MINUTE) schedule(w, &w->arrival, w->now + gap / 2 + draw(w, gap));
}

static void tenant_sends(world *w) {
  if (admits(w, 1)) w->tenant_admitted++;
  const uint64_t gap = MINUTE / w->s->tenant_per_minute;
  schedule(w, &w->tenant, w->now + draw(w, 2 * gap));
}

static void handle(world *w, event *e) {
  exchange *x = &w->slots[e->index % SLOTS];
  switch (e->kind) {
    case AT_SERVER: at_server(w, x); break;
    case PROGRESS: count_progress(w, x); break;
    case AT_CLIENT: at_client(w, x); break;
    case RETRY_ROW: make_ready(w, &w->rows[e->index]); break;
    case ARRIVAL: arrive(w); break;
    case TENANT: tenant_sends(w); break;
    case SERVED: serve(w); break;
    default: break;
  }
}

static void set_up(world *w, const scenario *s, uint64_t seed) {
  memset(w, 0, sizeof *w);
  w->s = s;
  w->seed = seed;
  sheaf__heap_init(&w->events, 4 * SLOTS + ROWS);
  sheaf__heap_init(&w->serving, SLOTS);
  for (uint32_t i = 0; i < ROWS; i++) w->spare[w->spare_count++] = &w->rows[i];
  w->level = (int64_t)s->limit * LEVEL_TOKEN;
  const sheaf__pool_options options = {.rpm = s->stated_rpm,
                                       .rate_safety_pct = 98,
                                       .burst_ms = 1000,
                                       .charge_tokens = s->charge_tokens,
                                       .charge_output = s->charge_output,
                                       .seed = seed};
  sheaf__pool_init(&w->pool, &options, 0);
  sheaf__concurrency_init(&w->concurrency, 0, s->max_concurrency, 0);
  sheaf__breaker_init(&w->breaker, seed, 1, 0);
  w->retry = (sheaf__retry_options){.max_retries = 5,
                                    .max_throttles = 250,
                                    .retry_base_ms = 500,
                                    .retry_max_ms = 60000,
                                    .resend_unknown = SHEAF_RESEND_WITHIN_BUDGET,
                                    .seed = seed};
  w->wake.kind = WAKE, w->arrival.kind = ARRIVAL, w->tenant.kind = TENANT, w->served.kind = SERVED;
  schedule(w, &w->wake, 0);
  if (s->arrivals_per_minute) schedule(w, &w->arrival, 0);
  if (s->tenant_per_minute) schedule(w, &w->tenant, 0);
}

static void run(world *w) {
  for (;;) {
    sheaf__heap_node *node = sheaf__heap_pop(&w->events);
    if (!node || node->key >= RUN_NS) break;
    w->now = node->key;
    handle(w, (event *)(void *)node);
    pump(w);
  }
  sheaf__heap_deinit(&w->events, memory());
  sheaf__heap_deinit(&w->serving, memory());
}

static uint64_t granted(const world *w) {
  if (w->s->arrivals_per_minute) return w->arrived;
  if (w->s->knee) return w->s->knee * (RUN_NS / 1000);
  const uint64_t burst = w->s->limiter == BUCKET ? w->s->limit : 0;
  return w->s->limit * (RUN_NS / MINUTE) + burst - w->tenant_admitted;
}

/* ---- Report ---- */

static void *reallocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx;
  (void)old_bytes;
  if (new_bytes) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

static const sheaf_allocator *memory(void) {
  static const sheaf_allocator allocator = {reallocate, NULL};
  return &allocator;
}

/* What all seeds of a scenario came to. */
typedef struct sums {
  uint64_t delivered, granted, refusals, successes;
} sums;

static void add(sums *sum, const world *w) {
  sum->delivered += w->delivered;
  sum->granted += granted(w);
  sum->refusals += w->refusals;
  sum->successes += w->successes;
}

/* One line of the table. */
static void report(const scenario *s, const sums *sum, char *line, size_t bytes) {
  const uint64_t goodput = sum->delivered * 1000 / sum->granted;    /* tenths of a percent */
  const uint64_t refusals = sum->refusals * 10000 / sum->successes; /* hundredths */
  const bool met = goodput >= s->goodput_min * 10 && refusals <= s->refusals_max * 10;
  snprintf(line, bytes,
           "%s,\"%s\",%" PRIu64 ".%" PRIu64 ",%" PRIu64 ",%" PRIu64 ".%02" PRIu64 ",%" PRIu64
           ".%" PRIu64 ",%s\n",
           s->name, s->what, goodput / 10, goodput % 10, s->goodput_min, refusals / 100,
           refusals % 100, s->refusals_max / 10, s->refusals_max % 10, met ? "met" : "missed");
}

static int check_file(const char *path, const char *table) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    printf("cannot read %s\n", path);
    return 1;
  }
  static char text[16384];
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  if (strcmp(text, table) == 0) return 0;
  printf("the table differs from %s\n", path);
  return 1;
}

static int write_file(const char *path, const char *table) {
  FILE *file = fopen(path, "wb");
  if (!file) return 1;
  const size_t bytes = strlen(table);
  const bool written = fwrite(table, 1, bytes, file) == bytes;
  return fclose(file) != 0 || !written;
}

int main(int count, char **arguments) {
  static char table[16384] =
      "scenario,what,goodput_percent,goodput_target,refusals_per_100,refusals_target,result\n";
  world *w = malloc(sizeof *w);
  if (!w) return 1;
  for (size_t i = 0; i < SCENARIOS; i++) {
    char line[512];
    sums sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
      set_up(w, &scenarios[i], seed);
      run(w);
      add(&sum, w);
    }
    report(&scenarios[i], &sum, line, sizeof line);
    strncat(table, line, sizeof table - strlen(table) - 1);
  }
  free(w);
  fputs(table, stdout);
  if (count == 3 && strcmp(arguments[1], "write") == 0) return write_file(arguments[2], table);
  if (count == 3 && strcmp(arguments[1], "check") == 0) return check_file(arguments[2], table);
  return 0;
}
