/* sim_world.c: the world of the live simulator: what a seed turns on, true limits, fates, and a small provider.
 *
 * Order: draws, the seed's configuration, rows, limits and fates, the provider. */
#include "sim_world.h"

#include <string.h>

/* ---- Draws ---- */

static uint64_t mix(uint64_t x) { /* the finaliser of splitmix64 */
  x ^= x >> 30, x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27, x *= 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

uint64_t sim_draw(const sim_config *c, uint64_t below, uint64_t purpose, uint64_t a, uint64_t b) {
  return below ? mix(mix(mix(mix(c->seed + 1) ^ purpose) ^ a) ^ (b + 77)) % below : 0;
}

bool sim_chance(const sim_config *c, uint32_t permille, uint64_t purpose, uint64_t a, uint64_t b) {
  return sim_draw(c, 1000, purpose, a, b) < permille;
}

void sim_trace(sim_world *w, uint64_t a, uint64_t b, uint64_t c) {
  w->trace = mix(mix(mix(w->trace ^ a) ^ b) ^ c);
}

void sim_fail(sim_world *w, const char *what, uint64_t a, uint64_t b) {
  if (w->failure[0]) return;
  snprintf(w->failure, sizeof w->failure, "%s (%llu, %llu) at %.6f s, host %u", what,
           (unsigned long long)a, (unsigned long long)b,
           (double)(w->now_ns - w->begun_ns) / (double)SIM_SECOND, w->host);
}

/* ---- The seed's configuration: a random part of everything is off ---- */

static bool on(const sim_config *c, uint64_t what, uint32_t permille) {
  return sim_chance(c, permille, SIM_DRAW_CONFIG, what, 0);
}

static uint64_t pick(const sim_config *c, uint64_t what, const uint64_t *of, uint64_t count) {
  return of[sim_draw(c, count, SIM_DRAW_CONFIG, what, 1)];
}

static void draw_fates(sim_config *c) {
  static const uint64_t rates[] = {5, 20, 80, 300};
  for (uint32_t f = SIM_OK + 1; f < SIM_FATES; f++) {
    if (f == SIM_AUTH || !on(c, 100 + f, 350)) continue;
    c->fate_permille[f] = (uint32_t)pick(c, 200 + f, rates, 4);
  }
  if (!c->doors) c->fate_permille[SIM_START_FAILS] = 0;
  if (c->budget)
    c->fate_permille[SIM_TOO_LARGE] = 0; /* billed without a usage: no cap can hold that */
}

static void draw_options(sim_config *c) {
  static const uint64_t concurrency[] = {0, 0, 1, 4, 16, 64};
  static const uint64_t capacity[] = {1, 8, 1000};
  static const uint64_t timeouts[] = {0, 2000, 20000, 600000};
  static const uint64_t retries[] = {0, 1, 5, 20};
  static const uint64_t rates[] = {30, 300, 6000};
  static const uint64_t bursts[] = {1, 1000, 10000};
  sheaf_engine_options *o = &c->options;
  sheaf_engine_options_init(o);
  o->seed = c->seed;
  o->concurrency = pick(c, 1, concurrency, 6);
  o->max_concurrency = pick(c, 2, concurrency + 2, 4);
  if (c->small_queue) o->queue_capacity = pick(c, 3, capacity, 3);
  o->attempt_timeout_ms = pick(c, 4, timeouts, 4);
  o->max_retries = pick(c, 5, retries, 4);
  o->max_throttles = on(c, 6, 100) ? 3 : 100;
  o->resend_unknown = sim_draw(c, 3, SIM_DRAW_CONFIG, 7, 0);
  o->on_breaker = on(c, 8, 150) ? SHEAF_ON_BREAKER_FAIL : SHEAF_ON_BREAKER_WAIT;
  o->burst_ms = on(c, 9, 300) ? pick(c, 10, bursts, 3) : 1000;
  o->start_interval_ms = on(c, 11, 100) ? 20 : 0;
  o->reply_bytes_max = 4096;
  o->prices = &sim_prices;
  o->stream = c->stream && on(c, 12, 500);
  if (on(c, 13, 60)) o->run_deadline_ms = 30000;
  c->limit_kind = (uint32_t)sim_draw(c, 4, SIM_DRAW_CONFIG, 14, 0);
  c->limit_rpm = pick(c, 15, rates, 3);
  if (c->limit_kind != SIM_LIMIT_NONE && c->limit_stated) o->rpm = c->limit_rpm;
  if (c->budget) o->budget_usd_nano = 200 + sim_draw(c, 20000, SIM_DRAW_CONFIG, 16, 0);
}

/* Rows enough, failures short of what opens a breaker, and quick: the retry budget is what holds them back. */
static void draw_retry_storm(sim_config *c) {
  memset(c->fate_permille, 0, sizeof c->fate_permille);
  c->fate_permille[SIM_SERVER] = 420;
  c->bursts = false;
  c->rows = 200;
  c->places = c->models = 1;
  c->reply_ms = 1;
  c->limit_kind = SIM_LIMIT_NONE;
  c->options.rpm = 0;
  c->options.max_retries = 20;
  c->options.retry_base_ms = 1;
  c->options.concurrency = 64;
}

void sim_config_draw(sim_config *c, uint64_t seed) {
  static const uint64_t rows[] = {1, 3, 20, 60, 200};
  static const uint64_t replies[] = {1, 50, 1000, 15000};
  static const uint64_t grids[] = {1, 1000000, 50000000};
  memset(c, 0, sizeof *c);
  c->seed = seed;
  c->rows = (uint32_t)pick(c, 20, rows, 5);
  c->places =
      1 + (uint32_t)(on(c, 21, 400) ? sim_draw(c, SIM_PLACES_MAX, SIM_DRAW_CONFIG, 22, 0) : 0);
  c->models = 1 + on(c, 23, 300);
  c->pools_shared = on(c, 24, 300);
  bool *const features[] = {&c->doors,      &c->store,       &c->stream,       &c->tasks,
                            &c->priorities, &c->deadlines,   &c->cancels,      &c->hints,
                            &c->headers,    &c->late_events, &c->limit_stated, &c->refused_count,
                            &c->bursts};
  for (uint32_t i = 0; i < sizeof features / sizeof *features; i++)
    *features[i] = on(c, 30 + i, 450);
  c->store_late = c->store && on(c, 50, 400);
  c->store_fails = c->store && on(c, 51, 80);
  c->crashes = c->store && on(c, 52, 500);
  c->backwards = on(c, 53, 150);
  c->sink_later = c->doors && on(c, 54, 300);
  c->source_later = c->doors && on(c, 55, 300);
  c->drains = on(c, 56, 60);
  c->aborts = on(c, 57, 60);
  c->stop_key = on(c, 58, 80);
  c->budget = on(c, 59, 120);
  c->small_queue = on(c, 60, 200);
  c->validate = c->doors && on(c, 61, 200);
  c->reply_ms = pick(c, 62, replies, 4);
  c->grid_ns = pick(c, 63, grids, 3);
  if (c->budget) c->tasks = false; /* a task states no input: no cap can hold that */
  c->safety_ns = (5 + sim_draw(c, 300, SIM_DRAW_CONFIG, 64, 0)) * SIM_SECOND;
  if (c->crashes) c->doors = true; /* only a source can be asked what is done already */
  draw_options(c);
  draw_fates(c);
  if (on(c, 65, 30)) draw_retry_storm(c);
}

void sim_config_print(const sim_config *c) {
  printf(
      "rows %u places %u models %u shared %u | doors %d store %d late %d fails %d crashes %d | "
      "stream %d/%d tasks %d prio %d "
      "deadlines %d cancels %d backwards %d sink_later %d source_later %d drains %d aborts %d "
      "stop_key %d budget %d validate %d "
      "late_events %d | limit %u rpm %u stated %d refused_count %d hints %d headers %d | reply_ms "
      "%u grid %u\n",
      c->rows, c->places, c->models, c->pools_shared, c->doors, c->store, c->store_late,
      c->store_fails, c->crashes, c->stream, (int)c->options.stream, c->tasks, c->priorities,
      c->deadlines, c->cancels, c->backwards, c->sink_later, c->source_later, c->drains, c->aborts,
      c->stop_key, c->budget, c->validate, c->late_events, c->limit_kind, (unsigned)c->limit_rpm,
      c->limit_stated, c->refused_count, c->hints, c->headers, (unsigned)c->reply_ms,
      (unsigned)c->grid_ns);
  printf(
      "concurrency %u/%u queue %u timeout %u retries %u throttles %u resend %u on_breaker %u burst "
      "%u interval %u | fates",
      (unsigned)c->options.concurrency, (unsigned)c->options.max_concurrency,
      (unsigned)c->options.queue_capacity, (unsigned)c->options.attempt_timeout_ms,
      (unsigned)c->options.max_retries, (unsigned)c->options.max_throttles,
      (unsigned)c->options.resend_unknown, (unsigned)c->options.on_breaker,
      (unsigned)c->options.burst_ms, (unsigned)c->options.start_interval_ms);
  for (uint32_t f = 0; f < SIM_FATES; f++) printf(" %u", c->fate_permille[f]);
  printf("\n");
}

/* ---- Rows ---- */

uint32_t sim_model_of(const sim_config *c, uint64_t index) {
  return (uint32_t)sim_draw(c, c->models, SIM_DRAW_ROW, index, 1);
}
uint64_t sim_input_tokens(const sim_config *c, uint64_t index) {
  return (12 + index % 3 * 40) / 4;
  (void)c;
}
uint64_t sim_output_tokens(const sim_config *c, uint64_t index, uint32_t attempt) {
  return 1 + sim_draw(c, 60, SIM_DRAW_ROW, index, 100 + attempt);
}
bool sim_is_task(const sim_config *c, uint64_t index) {
  return c->tasks && sim_chance(c, 200, SIM_DRAW_ROW, index, 2);
}
uint64_t sim_deadline_ms(const sim_config *c, uint64_t index) {
  static const uint64_t deadlines[] = {1, 300, 5000, 60000};
  if (!c->deadlines || !sim_chance(c, 400, SIM_DRAW_ROW, index, 3)) return 0;
  return deadlines[sim_draw(c, 4, SIM_DRAW_ROW, index, 4)];
}

bool sim_refuses(const sim_config *c, uint64_t index, uint32_t attempt) {
  return c->validate && sim_chance(c, 80, SIM_DRAW_ROW, index, 5000 + attempt);
}

uint32_t sim_pool_of(const sim_config *c, uint32_t place, uint32_t model) {
  return (c->pools_shared ? 0 : place) * SIM_MODELS + model;
}

bool sim_liveness(const sim_world *w) {
  return w->now_ns - w->begun_ns >= w->config.safety_ns;
}

/* ---- Limits and fates ---- */

/* A provider's own limiter, by a log of what it counted: in the last minute, or in this second's slice, or a bucket that
 * holds one minute's worth (counted in a window, a bucket is the laxer of the two). */
static bool over_limit(sim_world *w, sim_pool *pool) {
  const sim_config *c = &w->config;
  if (c->limit_kind == SIM_LIMIT_NONE) return false;
  uint64_t size = sizeof pool->limited_at_ns / sizeof *pool->limited_at_ns, counted = 0;
  uint64_t window = 60 * SIM_SECOND, limit = c->limit_rpm, now = w->now_ns;
  if (c->limit_kind == SIM_LIMIT_SLICES) window = SIM_SECOND, limit = (limit + 59) / 60;
  for (uint64_t i = 0; i < pool->limited_count; i++) {
    uint64_t at = pool->limited_at_ns[(pool->limited_at + size - 1 - i) % size];
    bool inside =
        c->limit_kind == SIM_LIMIT_SLICES ? at / window == now / window : at + window > now;
    if (!inside) break;
    counted++;
  }
  bool over = counted >= limit;
  if (over && !c->refused_count) return true;
  pool->limited_at_ns[pool->limited_at] = now;
  pool->limited_at = (uint32_t)((pool->limited_at + 1) % size);
  if (pool->limited_count < size) pool->limited_count++;
  return over;
}

uint32_t sim_fate(sim_world *w, sim_exchange *x, uint32_t attempt) {
  const sim_config *c = &w->config;
  if (over_limit(w, &w->pools[x->pool])) return SIM_LIMITED;
  if (c->stop_key && x->place == 0 && attempt % 3 == 2) return SIM_AUTH;
  if (sim_liveness(w)) return SIM_OK;
  uint64_t at = sim_draw(c, 1000, SIM_DRAW_FATE, x->index, attempt);
  /* Bursts: all of one kind while a storm lasts. */
  if (c->bursts && (w->now_ns - w->begun_ns) / (7 * SIM_SECOND) % 3 != 1) return SIM_OK;
  for (uint32_t f = SIM_OK + 1; f < SIM_FATES; f++) {
    if (at < c->fate_permille[f]) return f;
    at -= c->fate_permille[f];
  }
  return SIM_OK;
}

/* ---- The provider: bodies are the prompt; replies are "ok:INPUT,OUTPUT,TEXT" ---- */

static int32_t build(const sheaf_provider *provider, const sheaf_build *in, sheaf_call *call) {
  (void)provider;
  sheaf_buf_append_text(call->path, "/m/");
  sheaf_buf_append_slice(call->path, in->request->model);
  if (in->request->max_tokens) call->output_tokens_max = (int64_t)in->request->max_tokens;
  return sheaf_buf_append_slice(call->body, in->request->prompt);
}

static size_t read_number(sheaf_slice text, size_t at, uint64_t *number) {
  for (*number = 0; at < text.bytes && text.data[at] >= '0' && text.data[at] <= '9'; at++)
    *number = *number * 10 + (uint64_t)(text.data[at] - '0');
  return at + 1;
}

static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *d) {
  (void)provider;
  uint64_t input, output;
  if (reply->body.bytes < 4 || memcmp(reply->body.data, "ok:", 3) != 0) return SHEAF_E_SYNTAX;
  size_t at =
      read_number(reply->body, read_number(reply->body, 3, &input) /* the comma */, &output);
  if (at > reply->body.bytes || reply->body.data[reply->body.bytes - 1] != '.')
    return SHEAF_E_PARTIAL;
  d->billing = SHEAF_BILLING_BILLED;
  d->usage.input_total = (int64_t)input;
  d->usage.output_total = (int64_t)output;
  sheaf_buf_append_slice(scratch, (sheaf_slice){reply->body.data + at, reply->body.bytes - at});
  d->text_json = sheaf_buf_slice(scratch);
  return scratch->status;
}

static int32_t classify(const sheaf_provider *provider, const sheaf_reply *reply,
                        sheaf_buf *scratch, sheaf_decoded *d) {
  (void)provider, (void)scratch;
  d->billing = SHEAF_BILLING_REFUSED;
  switch (reply->http_status) {
    case 429: d->error_class = SHEAF_CLASS_RATE_LIMIT; break;
    case 529: d->error_class = SHEAF_CLASS_OVERLOADED; break;
    case 500: d->error_class = SHEAF_CLASS_SERVER; break;
    case 401: d->error_class = SHEAF_CLASS_AUTH; break;
    default: d->error_class = SHEAF_CLASS_INVALID_REQUEST;
  }
  sheaf_slice wait = sheaf_header_find(reply->headers, "x-wait-ms");
  uint64_t ms;
  if (wait.bytes) read_number(wait, 0, &ms), d->retry_after_ns = ms * SIM_MS;
  return SHEAF_OK;
}

static int32_t event(const sheaf_provider *provider, sheaf_slice name, sheaf_slice data,
                     sheaf_stream *stream) {
  (void)provider, (void)name;
  uint64_t input, output;
  if (data.bytes > 3 && memcmp(data.data, "ok:", 3) == 0) {
    read_number(data, read_number(data, 3, &input), &output);
    stream->so_far.usage.input_total = (int64_t)input;
    stream->so_far.usage.output_total = (int64_t)output;
    stream->terminal = true;
    return SHEAF_OK;
  }
  return sheaf_buf_append_slice(&stream->text, data);
}

/* "x-left: LIMIT,REMAINING" of requests a minute. */
static uint32_t read_limits(const sheaf_provider *provider, const sheaf_reply *reply,
                            sheaf_limit *limits) {
  (void)provider;
  sheaf_slice left = sheaf_header_find(reply->headers, "x-left");
  uint64_t limit, remaining;
  if (left.bytes == 0) return 0;
  read_number(left, read_number(left, 0, &limit), &remaining);
  limits[0] = (sheaf_limit){.resource = SHEAF_RESOURCE_REQUESTS,
                            .limit = (int64_t)limit,
                            .remaining = (int64_t)remaining,
                            .reset_ns = SHEAF_NEVER};
  return 1;
}

const sheaf_provider sim_provider = {.struct_bytes = sizeof sim_provider,
                                     .framing = SHEAF_FRAMING_SSE,
                                     .name = "sim",
                                     .base_url = "http://localhost",
                                     .build = build,
                                     .decode = decode,
                                     .classify = classify,
                                     .event = event,
                                     .read_limits = read_limits};

static const sheaf_price price = {.provider = "sim",
                                  .model = "*",
                                  .input = SIM_PRICE_IN,
                                  .output = SIM_PRICE_OUT,
                                  .cache_read = SHEAF_ABSENT,
                                  .cache_write = SHEAF_ABSENT};
const sheaf_price_table sim_prices = {
    .date = "2026-01-01", .source = "the simulator", .prices = &price, .count = 1};
