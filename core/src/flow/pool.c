/* pool.c: what shares one limit: gate, reserve, settle, estimates, retry budget (algorithms.md 1, 5, 7).
 *
 * A send takes from all resources or from none. A pool of which nothing is known costs a handful of branches.
 * Order: making, estimates, gate, start, head, end, retry budget. Limits: pool_limits.c. Refusals: pool_pause.c. */
#include "flow/pool.h"

#include <sheaf/stats.h>

#include "base/mem.h"
#include "flow/pool_parts.h"

#define PROBE_NS (2 * SHEAF__SECOND)
#define OUTPUT_FIRST 512u /* tokens, until a reply has been seen */
#define MEAN_WEIGHT 32
#define RATIO_FIRST 256u /* tokens in 1024 bytes: four bytes a token */
#define RATIO_MAX (64u * 1024u)
#define RETRY_BUDGET_MAX 50000         /* milli */
#define RETRY_EARN_NS (10 * SHEAF__MS) /* 100 milli a second, one at a time */

void sheaf__pool_init(sheaf__pool *pool, const sheaf__pool_options *options, uint64_t now_ns) {
  *pool = (sheaf__pool){.options = *options,
                        .delivered_window_ns = now_ns,
                        .retry_budget = RETRY_BUDGET_MAX,
                        .retry_budget_at_ns = now_ns,
                        .input_ratio_x1024 = RATIO_FIRST};
  sheaf__pool_init_meters(pool, now_ns);
  sheaf__bucket_init(&pool->learned, 0, 1, SHEAF__MINUTE_NS, now_ns);
}

static uint32_t to_u32(uint64_t n) {
  return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

sheaf__cost sheaf__pool_estimate(const sheaf__pool *pool, uint64_t body_bytes, int64_t counted,
                                 int64_t output_max) {
  sheaf__cost cost = {0};
  cost.input_tokens = counted >= 0
                          ? to_u32((uint64_t)counted)
                          : to_u32(sheaf__mul_sat(body_bytes, pool->input_ratio_x1024) / 1024);
  const uint64_t mean =
      pool->output_mean_x1024 ? (pool->output_mean_x1024 + 1023) / 1024 : OUTPUT_FIRST;
  if (output_max < 0)
    cost.output_tokens = to_u32(mean);
  else if (pool->options.charge_tokens == SHEAF_CHARGE_RESERVE_MAX)
    cost.output_tokens = to_u32((uint64_t)output_max); /* max(max_tokens, min(max_tokens, mean)) */
  else
    cost.output_tokens = to_u32(sheaf__min_u64((uint64_t)output_max, mean));
  return cost;
}

bool sheaf__pool_too_large(const sheaf__pool *pool, const sheaf__cost *cost) {
  const sheaf__charges charges = sheaf__charges_of(cost);
  for (uint32_t r = SHEAF_RESOURCE_TOKENS; r < SHEAF_RESOURCE_COUNT; r++) {
    const sheaf__meter *meter = &pool->meters[r];
    uint64_t limit = meter->told != SHEAF_ABSENT ? (uint64_t)meter->told : UINT64_MAX;
    if (meter->stated) limit = sheaf__min_u64(limit, meter->stated);
    if (charges.of[r] > limit) return true;
  }
  return false;
}

/* The later of two times to ask again. */
static uint64_t later(uint64_t at_ns, uint64_t wait_ns, uint64_t now_ns) {
  return wait_ns ? sheaf__max_u64(at_ns, sheaf__add_sat(now_ns, wait_ns)) : at_ns;
}

static uint64_t rate_gate(sheaf__pool *pool, const sheaf__cost *cost, uint64_t now_ns) {
  uint64_t at_ns = pool->next_start_ns > now_ns ? pool->next_start_ns : 0;
  if (pool->learned_wmax) {
    sheaf__pool_refresh_learned(pool, now_ns);
    at_ns =
        later(at_ns, sheaf__bucket_wait_ns(&pool->learned, SHEAF__LEARNED_UNIT, now_ns), now_ns);
  }
  const sheaf__charges charges = sheaf__charges_of(cost);
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) {
    sheaf__bucket *bucket = &pool->meters[r].bucket;
    if (bucket->limit == 0) continue;
    sheaf__bucket_refill(bucket, now_ns);
    at_ns = later(at_ns, sheaf__bucket_wait_ns(bucket, charges.of[r], now_ns), now_ns);
  }
  return at_ns;
}

/* The probe has spoken, or its time is up. The buckets filled up while all waited: they start again from nothing, so that
 * the rest follow at the rate and not in a burst. */
static void end_probe(sheaf__pool *pool, uint64_t now_ns) {
  pool->probing = false;
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++)
    sheaf__pool_empty(&pool->meters[r].bucket, now_ns);
  sheaf__pool_empty(&pool->learned, now_ns);
}

uint64_t sheaf__pool_gate(sheaf__pool *pool, const sheaf__cost *cost, uint64_t now_ns,
                          uint32_t *limited_by) {
  *limited_by = SHEAF_LIMITED_BY_PAUSE;
  if (now_ns < pool->pause_until_ns) return pool->pause_until_ns;
  if (pool->probing) {
    if (now_ns < pool->probe_until_ns) return pool->probe_until_ns;
    end_probe(pool, now_ns);
  }
  const uint64_t at_ns = rate_gate(pool, cost, now_ns);
  *limited_by = at_ns ? SHEAF_LIMITED_BY_RATE : SHEAF_LIMITED_BY_NOTHING;
  return at_ns;
}

void sheaf__pool_take(sheaf__pool *pool, const sheaf__cost *cost, uint64_t exchange,
                      uint64_t now_ns) {
  const sheaf__charges charges = sheaf__charges_of(cost);
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) {
    sheaf__bucket_take(&pool->meters[r].bucket, charges.of[r]);
    pool->meters[r].unacked += (int64_t)charges.of[r];
  }
  sheaf__bucket_take(&pool->learned, SHEAF__LEARNED_UNIT);
  if (pool->options.start_interval_ms)
    pool->next_start_ns = pool->spaced_until_ns =
        sheaf__add_sat(now_ns, sheaf__mul_sat(pool->options.start_interval_ms, SHEAF__MS));
  if (!pool->probe_due) return;
  pool->probe_due = false;
  pool->probing = true;
  pool->probe_exchange = exchange;
  pool->probe_until_ns = sheaf__add_sat(now_ns, PROBE_NS);
}

static void acknowledge(sheaf__pool *pool, const sheaf__charges *charges) {
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) {
    SHEAF_ASSERT(pool->meters[r].unacked >= (int64_t)charges->of[r]);
    pool->meters[r].unacked -= (int64_t)charges->of[r];
  }
}

void sheaf__pool_on_head(sheaf__pool *pool, const sheaf__cost *cost, uint64_t exchange,
                         bool success, const sheaf_limit *limits, uint32_t count, uint64_t now_ns) {
  const sheaf__charges charges = sheaf__charges_of(cost);
  acknowledge(pool, &charges);
  if (success) {
    /* A reply to what was sent before a refusal says nothing of the time after it. */
    if (now_ns >= pool->pause_until_ns) pool->pause_steps = 0;
    if (pool->probing && pool->probe_exchange == exchange) end_probe(pool, now_ns);
    sheaf__pool_count_delivered(pool, now_ns);
  }
  if (count || !success) sheaf__pool_correct(pool, &charges, success, limits, count, now_ns);
}

void sheaf__pool_on_headless(sheaf__pool *pool, const sheaf__cost *cost, uint64_t exchange,
                             uint64_t now_ns) {
  const sheaf__charges charges = sheaf__charges_of(cost);
  acknowledge(pool, &charges);
  if (!pool->probing || pool->probe_exchange != exchange) return;
  pool->probing = false;
  if (now_ns < pool->probe_until_ns) pool->probe_due = true; /* it told nothing: another goes */
}

/* Difference between what was reserved and what it came to. Absent numbers change nothing. */
static void settle_one(sheaf__bucket *bucket, uint64_t reserved, int64_t used) {
  if (bucket->limit == 0 || used < 0) return;
  if ((uint64_t)used > reserved)
    sheaf__bucket_take(bucket, (uint64_t)used - reserved);
  else
    sheaf__bucket_give(bucket, reserved - (uint64_t)used);
}

/* Input tokens that count against the limit; SHEAF_ABSENT when not told. */
static int64_t charged_input(const sheaf__pool *pool, const sheaf_usage *usage) {
  if (usage->input_total < 0) return SHEAF_ABSENT;
  if (pool->options.charge_tokens != SHEAF_CHARGE_UNCACHED_INPUT || usage->cache_read <= 0)
    return usage->input_total;
  return usage->cache_read < usage->input_total ? usage->input_total - usage->cache_read : 0;
}

/* One more sample of a mean with weight 1/32. The last few steps are of 1, so that integers reach the mean. */
static uint64_t mean_of(uint64_t mean, uint64_t sample) {
  const int64_t difference = (int64_t)sample - (int64_t)mean;
  int64_t step = difference / MEAN_WEIGHT;
  if (step == 0) step = (difference > 0) - (difference < 0);
  return (uint64_t)((int64_t)mean + step);
}

void sheaf__pool_learn(sheaf__pool *pool, const sheaf__cost *cost, const sheaf_usage *usage,
                       uint64_t body_bytes) {
  if (usage->estimated) return;
  const int64_t input = charged_input(pool, usage);
  if (input >= 0 && body_bytes > 0) {
    const uint64_t sample = sheaf__mul_sat((uint64_t)input, 1024) / body_bytes;
    pool->input_ratio_x1024 = mean_of(pool->input_ratio_x1024, sheaf__min_u64(sample, RATIO_MAX));
  }
  if (usage->output_total < 0) return;
  if (pool->output_mean_x1024 == 0) {
    const uint64_t first = cost->output_tokens < OUTPUT_FIRST ? cost->output_tokens : OUTPUT_FIRST;
    pool->output_mean_x1024 = first * 1024 + 1;
  }
  const uint64_t output = to_u32((uint64_t)usage->output_total);
  pool->output_mean_x1024 = sheaf__max_u64(1, mean_of(pool->output_mean_x1024, output * 1024));
}

static void settle_usage(sheaf__pool *pool, const sheaf__charges *charges,
                         const sheaf_usage *usage) {
  const int64_t input = charged_input(pool, usage);
  const int64_t output = usage->output_total;
  if (pool->options.charge_tokens != SHEAF_CHARGE_RESERVE_MAX) {
    const bool known = input >= 0 && output >= 0;
    settle_one(&pool->meters[SHEAF_RESOURCE_TOKENS].bucket, charges->of[SHEAF_RESOURCE_TOKENS],
               known ? sheaf__add_sat_i64(input, output) : SHEAF_ABSENT);
    settle_one(&pool->meters[SHEAF_RESOURCE_INPUT_TOKENS].bucket,
               charges->of[SHEAF_RESOURCE_INPUT_TOKENS], input);
  }
  if (pool->options.charge_output != SHEAF_CHARGE_RESERVE_MAX)
    settle_one(&pool->meters[SHEAF_RESOURCE_OUTPUT_TOKENS].bucket,
               charges->of[SHEAF_RESOURCE_OUTPUT_TOKENS], output);
}

void sheaf__pool_settle(sheaf__pool *pool, const sheaf__cost *cost, uint32_t billing,
                        const sheaf_usage *usage, uint64_t body_bytes, uint64_t now_ns) {
  const sheaf__charges charges = sheaf__charges_of(cost);
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++)
    sheaf__bucket_refill(&pool->meters[r].bucket, now_ns);
  if (billing == SHEAF_BILLING_NOT_SENT || billing == SHEAF_BILLING_REFUSED) {
    for (uint32_t r = SHEAF_RESOURCE_TOKENS; r < SHEAF_RESOURCE_COUNT; r++)
      sheaf__bucket_give(&pool->meters[r].bucket, charges.of[r]);
  }
  if (billing == SHEAF_BILLING_NOT_SENT) {
    sheaf__bucket_give(&pool->meters[SHEAF_RESOURCE_REQUESTS].bucket, 1);
    sheaf__bucket_give(&pool->learned, SHEAF__LEARNED_UNIT);
  }
  if (billing != SHEAF_BILLING_BILLED || !usage) return;
  settle_usage(pool, &charges, usage);
  sheaf__pool_learn(pool, cost, usage, body_bytes);
}

static void earn_by_time(sheaf__pool *pool, uint64_t now_ns) {
  if (now_ns <= pool->retry_budget_at_ns) return;
  const uint64_t earned = (now_ns - pool->retry_budget_at_ns) / RETRY_EARN_NS;
  pool->retry_budget_at_ns += earned * RETRY_EARN_NS;
  const uint64_t room = (uint64_t)(RETRY_BUDGET_MAX - pool->retry_budget);
  pool->retry_budget += (int64_t)sheaf__min_u64(earned, room);
}

uint64_t sheaf__pool_pay_retry(sheaf__pool *pool, uint32_t price_milli, uint64_t now_ns) {
  if (price_milli == 0) return 0;
  earn_by_time(pool, now_ns);
  const int64_t price = price_milli < RETRY_BUDGET_MAX ? (int64_t)price_milli : RETRY_BUDGET_MAX;
  if (pool->retry_budget >= price) {
    pool->retry_budget -= price;
    return 0;
  }
  const uint64_t missing = (uint64_t)(price - pool->retry_budget);
  return sheaf__add_sat(pool->retry_budget_at_ns, missing * RETRY_EARN_NS);
}

void sheaf__pool_earn(sheaf__pool *pool, uint32_t milli, uint64_t now_ns) {
  earn_by_time(pool, now_ns);
  const int64_t room = RETRY_BUDGET_MAX - pool->retry_budget;
  pool->retry_budget += (int64_t)milli < room ? (int64_t)milli : room;
}
