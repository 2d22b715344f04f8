/* tally.c: statistics and money, as they happen; integers only. */
#include "engine/engine_int.h"

#define SERIES_SPAN_NS (100 * SHEAF__MS) /* to begin with: 6.4 s are told in tenths */

static void series_join(sheaf_stats *s) {
  for (uint32_t i = 0; i < SHEAF_SERIES_MAX / 2; i++)
    s->series_milli[i] = s->series_milli[2 * i] / 2 + s->series_milli[2 * i + 1] / 2;
  s->series_count = SHEAF_SERIES_MAX / 2;
  s->series_span_ns *= 2;
}

/* What was in flight since the last step counts for the spans that have passed since. */
static void series_add(sheaf_engine *engine, uint64_t from_ns, uint64_t to_ns) {
  sheaf_stats *s = &engine->stats;
  if (s->series_span_ns == 0) s->series_span_ns = SERIES_SPAN_NS;
  while (from_ns < to_ns) {
    if (s->series_count == SHEAF_SERIES_MAX) series_join(s);
    uint64_t span_end = s->started_ns + (s->series_count + 1) * s->series_span_ns;
    uint64_t end = sheaf__min_u64(to_ns, span_end);
    engine->series_area += (end - from_ns) / 1000 * engine->calls_out;
    from_ns = end;
    if (end < span_end) return;
    uint64_t mean = engine->series_area * 1000 / (s->series_span_ns / 1000);
    s->series_milli[s->series_count++] = (uint32_t)sheaf__min_u64(mean, UINT32_MAX);
    engine->series_area = 0;
  }
}

/* Time passes: the area under "in flight", for its mean; the second of the rate. */
void sheaf__tally_time(sheaf_engine *engine) {
  sheaf_stats *s = &engine->stats;
  uint64_t now = engine->now_ns;
  uint64_t passed = now - engine->area_since_ns;
  engine->area_milli_ns =
      sheaf__add_sat(engine->area_milli_ns, sheaf__mul_sat(passed / 1000, engine->calls_out));
  series_add(engine, engine->area_since_ns, now);
  engine->area_since_ns = now;
  s->now_ns = now;
  uint64_t second = now / SHEAF__SECOND;
  if (second == engine->rate_second) return;
  uint64_t slots = sizeof engine->rate_slots / sizeof engine->rate_slots[0];
  uint64_t clear = sheaf__min_u64(second - engine->rate_second, slots);
  for (uint64_t i = 1; i <= clear; i++) engine->rate_slots[(engine->rate_second + i) % slots] = 0;
  engine->rate_second = second;
}

static void add_known(uint64_t *sum, int64_t value) {
  if (value > 0) *sum = sheaf__add_sat(*sum, (uint64_t)value);
}

/* Of a route's model, or of the model that a reply names. NULL: not known. A table is walked from end
 * to end for a model that is not in it, and replies of one route name one model: what was found last
 * is kept. */
const sheaf_price *sheaf__price_of(sheaf_engine *engine, uint32_t route_at, sheaf_slice model) {
  sheaf__route *route = &engine->routes[route_at];
  if (route->price != NULL || model.bytes == 0) return route->price;
  uint64_t named = sheaf__hash(model.data, model.bytes, 0) | 1;
  if (named == route->named) return route->named_price;
  route->named = named;
  route->named_price =
      sheaf_price_find(engine->options.prices ? engine->options.prices : sheaf_prices_builtin(),
                       sheaf_slice_of(route->provider->name), model);
  return route->named_price;
}

static int64_t price_attempt(sheaf_engine *engine, const sheaf__row *row, const sheaf_decoded *d) {
  const sheaf_price *price = sheaf__price_of(engine, row->route, d->model);
  return price == NULL ? SHEAF_ABSENT : sheaf_price_cost(price, &d->usage);
}

/* One ended exchange: what it cost, in tokens and money. Answers its cost, SHEAF_ABSENT if not
 * known. */
int64_t sheaf__tally_attempt(sheaf_engine *engine, const sheaf__row *row, const sheaf__call *call) {
  sheaf_stats *s = &engine->stats;
  const sheaf_decoded *d = &call->decoded;
  engine->reserved_usd_nano -= call->reserved_usd_nano;
  s->bytes_received += call->body.bytes;
  if (d->error_class) s->attempt_errors_by_class[d->error_class]++;
  if (d->error_class == SHEAF_CLASS_RATE_LIMIT || d->error_class == SHEAF_CLASS_OVERLOADED)
    s->throttles++;
  int64_t cost = SHEAF_ABSENT;
  if (d->billing == SHEAF_BILLING_BILLED) {
    add_known(&s->input_tokens, d->usage.input_total);
    add_known(&s->output_tokens, d->usage.output_total);
    add_known(&s->cached_tokens, d->usage.cache_read);
    add_known(&s->reasoning_tokens, d->usage.reasoning);
    if (d->usage.input_total == SHEAF_ABSENT && d->usage.output_total == SHEAF_ABSENT)
      s->usage_missing++;
    if (d->error_class) {
      add_known(&s->wasted_tokens, d->usage.input_total);
      add_known(&s->wasted_tokens, d->usage.output_total);
    }
    cost = call->has_share ? call->share_usd_nano : price_attempt(engine, row, d);
    if (cost == SHEAF_ABSENT) { /* billed, but not how much: its bound stands for it */
      s->cost_missing++;
      s->unknown_usd_nano = sheaf__add_sat_i64(s->unknown_usd_nano, call->reserved_usd_nano);
    } else
      engine->spent_usd_nano = sheaf__add_sat_i64(engine->spent_usd_nano, cost);
  } else if (d->billing == SHEAF_BILLING_UNKNOWN) {
    s->unknown_outcomes++;
    s->unknown_usd_nano = sheaf__add_sat_i64(s->unknown_usd_nano, call->reserved_usd_nano);
  } else {
    cost = 0;
  }
  return cost;
}

void sheaf__tally_done(sheaf_engine *engine, const sheaf__row *row, uint32_t error_class,
                       bool attempted) {
  sheaf_stats *s = &engine->stats;
  engine->rate_slots[engine->rate_second % 10]++;
  if (row->queue_us != UINT32_MAX)
    sheaf__histogram_add(&engine->queue_times, (uint64_t)row->queue_us * 1000);
  if (error_class != SHEAF_CLASS_NONE) {
    if (!attempted)
      s->not_attempted++;
    else
      s->failed++,
          s->failed_by_class[error_class < SHEAF_CLASS_COUNT ? error_class : SHEAF_CLASS_UNKNOWN]++;
    return;
  }
  s->succeeded++;
  sheaf__histogram_add(&engine->response, engine->now_ns - row->item.enqueued_ns);
  if (row->flags & SHEAF__ROW_KEPT) return; /* the exchange that answered ended as a failed one */
  if (row->flags & (SHEAF__ROW_TWIN | SHEAF__ROW_CACHED | SHEAF__ROW_LOCAL)) {
    if (row->flags & SHEAF__ROW_LOCAL)
      s->answered_locally++;
    else if (row->flags & SHEAF__ROW_CACHED)
      s->cache_hits++;
    else
      s->deduplicated++;
    return; /* no exchange of its own: no latency */
  }
  const sheaf__call *call = row->call;
  uint64_t took = call->ended_ns - call->started_ns;
  sheaf__histogram_add(&engine->latency, took);
  s->latency_sum_ns = sheaf__add_sat(s->latency_sum_ns, took);
  if (call->token_ns != SHEAF_NEVER)
    sheaf__histogram_add(&engine->ttft, call->token_ns - call->started_ns);
}

static uint64_t rate_milli(const sheaf_engine *engine) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < 10; i++) sum += engine->rate_slots[i];
  uint64_t begun = engine->stats.started_ns, now = engine->now_ns;
  uint64_t window = sheaf__min_u64(now - begun, 9 * SHEAF__SECOND + now % SHEAF__SECOND);
  return window < SHEAF__MS ? 0 : sheaf__mul_sat(sum, 1000000) / (window / SHEAF__MS);
}

void sheaf_engine_stats(const sheaf_engine *engine, sheaf_stats *out) {
  *out = engine->stats;
  out->struct_bytes = sizeof *out;
  out->queued = engine->rows_queued + engine->rows_twins;
  if (engine->paused) out->limited_by = SHEAF_LIMITED_BY_PAUSE;
  out->in_flight = engine->calls_out;
  out->waiting_retry = engine->rows_waiting;
  out->cost_usd_nano = engine->stats.cost_missing && engine->spent_usd_nano == 0
                           ? SHEAF_ABSENT
                           : engine->spent_usd_nano;
  out->rate_milli = rate_milli(engine);
  uint64_t wall_us = (engine->now_ns - engine->stats.started_ns) / 1000;
  out->in_flight_mean_milli = wall_us ? sheaf__mul_sat(engine->area_milli_ns, 1000) / wall_us : 0;
  out->limit_milli = 0;
  for (uint32_t i = 0; i < engine->seat_count; i++)
    out->limit_milli +=
        sheaf__concurrency_limit_milli(&engine->seats[i].concurrency, engine->now_ns);
  uint64_t cap = sheaf__mul_sat(
      engine->options.concurrency ? engine->options.concurrency : engine->options.max_concurrency,
      1000);
  out->limit_milli = sheaf__min_u64(out->limit_milli, cap);
  out->paused_until_ns = SHEAF_NEVER;
  for (uint32_t i = 0; i < engine->pool_count; i++) {
    uint64_t until = engine->pools[i].pause_until_ns;
    if (until > engine->now_ns && until < out->paused_until_ns) out->paused_until_ns = until;
  }
  sheaf__histogram_read(&engine->queue_times, &out->queue);
  sheaf__histogram_read(&engine->ttft, &out->ttft);
  sheaf__histogram_read(&engine->latency, &out->latency);
  sheaf__histogram_read(&engine->response, &out->response);
  sheaf__histogram_read(&engine->group_waits, &out->group_wait);
  out->queue_capacity = engine->options.queue_capacity;
  out->queue_bytes = engine->queue_bytes;
  out->cache_entries = engine->cache.count;
  out->cache_bytes = engine->cache.bytes;
  out->paused = engine->paused;
}

/* What ends later was admitted before: it counts as admitted from here on. Money stays, for the spend
 * cap counts it; so does what may have been spent. */
void sheaf_engine_stats_reset(sheaf_engine *engine) {
  const sheaf_stats before = engine->stats;
  engine->stats =
      (sheaf_stats){.limited_by = before.limited_by,
                    .admitted = engine->rows_queued + engine->rows_waiting + engine->rows_flying +
                                engine->rows_twins + engine->rows_held - engine->shadows,
                    .unknown_usd_nano = before.unknown_usd_nano,
                    .cost_missing = before.cost_missing,
                    .started_ns = engine->now_ns,
                    .now_ns = engine->now_ns,
                    .in_flight_max = engine->calls_out,
                    .group_max = before.group_max,
                    .merge_stopped = before.merge_stopped};
  sheaf__histogram_init(&engine->queue_times);
  sheaf__histogram_init(&engine->ttft);
  sheaf__histogram_init(&engine->latency);
  sheaf__histogram_init(&engine->response);
  sheaf__histogram_init(&engine->group_waits);
  engine->canary_sum = 0;
  memset(engine->rate_slots, 0, sizeof engine->rate_slots);
  engine->area_milli_ns = engine->series_area = 0;
  engine->area_since_ns = engine->now_ns;
}
