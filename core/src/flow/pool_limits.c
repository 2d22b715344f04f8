/* pool_limits.c: where the meters' limits come from, and how headers correct their levels (algorithms.md 1).
 *
 * Stated by the user, told by headers, or neither: then the meter is off. Told numbers are believed after two heads in a
 * row agree on the limit and five on the window. Order: setting a meter, window, limit, level, the whole head. */
#include "base/mem.h"
#include "flow/pool_parts.h"

#define WINDOW_VOTES 5u
#define UNACKED_MAX ((int64_t)1 << 40) /* tokens; more would not change what follows */

/* Limits of these windows exist in the wild; what lies farther than 20 % from all of them is no window. */
static const uint64_t windows_ns[] = {SHEAF__SECOND, SHEAF__MINUTE_NS, 60 * SHEAF__MINUTE_NS,
                                      1440 * SHEAF__MINUTE_NS};

/* What counts now: a limit and the window it is for. */
typedef struct rate {
  uint64_t limit;
  uint64_t window_ns;
} rate;

/* The lower of stated (a minute's) and told; 0 when neither is known. */
static rate effective(const sheaf__meter *meter) {
  const rate stated = {meter->stated, SHEAF__MINUTE_NS};
  if (meter->told == SHEAF_ABSENT) return stated;
  const rate told = {(uint64_t)meter->told, meter->window_ns};
  if (stated.limit == 0) return told;
  const uint64_t stated_ms = stated.window_ns / SHEAF__MS;
  const uint64_t told_ms = told.window_ns / SHEAF__MS;
  const bool is_lower =
      sheaf__mul_sat(told.limit, stated_ms) < sheaf__mul_sat(stated.limit, told_ms);
  return is_lower ? told : stated;
}

/* Puts the effective limit, less the safety, into the bucket. */
static void apply(sheaf__pool *pool, sheaf__meter *meter, uint64_t now_ns) {
  rate r = effective(meter);
  if (r.window_ns <
      SHEAF__MINUTE_NS) { /* a tick of a second's window would be no whole number of ns */
    r.limit = sheaf__mul_sat(r.limit, SHEAF__MINUTE_NS / r.window_ns);
    r.window_ns = SHEAF__MINUTE_NS;
  }
  r.limit = sheaf__min_u64(r.limit, SHEAF__BUCKET_LIMIT_MAX);
  const uint64_t limit =
      sheaf__max_u64(1, sheaf__mul_sat(r.limit, pool->options.rate_safety_pct) / 100);
  const uint64_t cap = sheaf__mul_sat(limit, pool->options.burst_ms) / (r.window_ns / SHEAF__MS);
  sheaf__bucket *bucket = &meter->bucket;
  sheaf__bucket_refill(bucket, now_ns);
  bucket->tick_ns = r.window_ns / (uint64_t)SHEAF__BUCKET_U;
  sheaf__bucket_set(bucket, limit, cap, now_ns);
}

void sheaf__pool_init_meters(sheaf__pool *pool, uint64_t now_ns) {
  const uint64_t stated[SHEAF_RESOURCE_COUNT] = {pool->options.rpm, pool->options.tpm,
                                                 pool->options.input_tpm, pool->options.output_tpm};
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) {
    sheaf__meter *meter = &pool->meters[r];
    *meter = (sheaf__meter){.stated = stated[r],
                            .told = SHEAF_ABSENT,
                            .candidate = SHEAF_ABSENT,
                            .window_ns = SHEAF__MINUTE_NS};
    sheaf__bucket_init(&meter->bucket, 0, 1, SHEAF__MINUTE_NS, now_ns);
    if (meter->stated) apply(pool, meter, now_ns);
  }
}

static void set_meter(sheaf__pool *pool, sheaf__meter *meter, uint64_t now_ns) {
  sheaf__bucket *bucket = &meter->bucket;
  const bool was_off = bucket->limit == 0;
  if (meter->stated == 0 && meter->told == SHEAF_ABSENT) {
    sheaf__bucket_set(bucket, 0, 1, now_ns);
    return;
  }
  apply(pool, meter, now_ns);
  if (was_off && meter->unacked > 0) sheaf__bucket_take(bucket, (uint64_t)meter->unacked);
}

/* The last start was at spaced_until less the old interval: the new one counts from there. */
static void set_interval(sheaf__pool *pool, uint64_t before_ms, uint64_t now_ns) {
  if (pool->spaced_until_ns == 0 || pool->next_start_ns != pool->spaced_until_ns) return;
  const uint64_t started_ns = pool->spaced_until_ns - sheaf__mul_sat(before_ms, SHEAF__MS);
  const uint64_t interval_ns = sheaf__mul_sat(pool->options.start_interval_ms, SHEAF__MS);
  pool->next_start_ns = interval_ns ? sheaf__add_sat(started_ns, interval_ns) : now_ns;
  pool->spaced_until_ns = interval_ns ? pool->next_start_ns : 0;
}

void sheaf__pool_set_limits(sheaf__pool *pool, const sheaf__pool_limits *limits, uint64_t now_ns) {
  sheaf__pool_options *o = &pool->options;
  const uint64_t stated[SHEAF_RESOURCE_COUNT] = {limits->rpm, limits->tpm, limits->input_tpm,
                                                 limits->output_tpm};
  const uint64_t interval_ms = o->start_interval_ms;
  const bool same_shape =
      o->rate_safety_pct == limits->rate_safety_pct && o->burst_ms == limits->burst_ms;
  o->rpm = limits->rpm;
  o->tpm = limits->tpm;
  o->input_tpm = limits->input_tpm;
  o->output_tpm = limits->output_tpm;
  o->rate_safety_pct = limits->rate_safety_pct;
  o->burst_ms = limits->burst_ms;
  o->start_interval_ms = limits->start_interval_ms;
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) {
    sheaf__meter *meter = &pool->meters[r];
    if (same_shape && meter->stated == stated[r]) continue;
    meter->stated = stated[r];
    set_meter(pool, meter, now_ns);
  }
  if (interval_ms != o->start_interval_ms) set_interval(pool, interval_ms, now_ns);
}

/* The known window that a reply speaks for: reset is the time until full, so reset * L / (L - R) is the window. 0: none. */
static uint64_t window_of(const sheaf_limit *told) {
  if (told->is_window || told->reset_ns > windows_ns[3]) return 0; /* SHEAF_NEVER too */
  if (told->remaining <= 0 || told->remaining >= told->limit) return 0;
  const uint64_t limit = (uint64_t)told->limit;
  const uint64_t used = (uint64_t)(told->limit - told->remaining);
  const uint64_t window_us = sheaf__mul_sat(told->reset_ns / 1000, limit) / used;
  for (uint32_t i = 0; i < sizeof windows_ns / sizeof *windows_ns; i++) {
    const uint64_t known_us = windows_ns[i] / 1000;
    if (window_us >= known_us / 5 * 4 && window_us <= known_us / 5 * 6) return windows_ns[i];
  }
  return 0;
}

/* True when the fifth reply in a row speaks for the same other window: then it is adopted. */
static bool vote_window(sheaf__meter *meter, const sheaf_limit *told) {
  const uint64_t window_ns = window_of(told);
  if (window_ns == 0 || window_ns == meter->window_ns) {
    meter->window_votes = 0;
    return false;
  }
  if (meter->window_candidate_ns != window_ns) meter->window_votes = 0;
  meter->window_candidate_ns = window_ns;
  meter->window_votes++;
  if (meter->window_votes < WINDOW_VOTES) return false;
  meter->window_ns = window_ns;
  meter->window_votes = 0;
  return true;
}

/* True when this is the second head in a row that tells another limit than the one in force. */
static bool vote_limit(sheaf__meter *meter, int64_t limit) {
  const bool agrees = meter->candidate == limit;
  meter->candidate = limit;
  if (meter->told == limit || !agrees) return false;
  meter->told = limit;
  return true;
}

static void correct_level(sheaf__meter *meter, int64_t remaining) {
  sheaf__bucket *bucket = &meter->bucket;
  const int64_t unacked = meter->unacked < UNACKED_MAX ? meter->unacked : UNACKED_MAX;
  const int64_t target = remaining - unacked;
  const int64_t full = (int64_t)bucket->cap * SHEAF__BUCKET_U;
  const int64_t level = bucket->level;
  sheaf__bucket_set_level(bucket, target);
  if (bucket->level <= level)
    return; /* less than we thought: at once. More: by and by, a late reply is an old one */
  const int64_t most = (int64_t)SHEAF__BUCKET_LIMIT_MAX;
  const int64_t aim = (target < most ? target : most) * SHEAF__BUCKET_U;
  const int64_t raised = level + (aim - level) / 8;
  bucket->level = raised < full ? raised : full;
}

static void correct_meter(sheaf__pool *pool, uint64_t charge, uint32_t resource, bool success,
                          const sheaf_limit *told, uint64_t now_ns) {
  sheaf__meter *meter = &pool->meters[resource];
  if (told->limit <= 0 || (told->remaining < 0 && told->remaining != SHEAF_ABSENT)) return;
  if (told->remaining > told->limit) return;
  const bool is_new_limit = vote_limit(meter, told->limit);
  const bool is_new_window = vote_window(meter, told);
  if (is_new_limit || is_new_window) {
    if (meter->told != SHEAF_ABSENT) apply(pool, meter, now_ns);
  }
  if (told->remaining == SHEAF_ABSENT) return;
  sheaf__bucket *bucket = &meter->bucket;
  if (bucket->limit) {
    sheaf__bucket_refill(bucket, now_ns);
    correct_level(meter, told->remaining);
  }
  if (told->remaining == 0 && told->is_window && told->reset_ns != SHEAF_NEVER)
    pool->next_start_ns =
        sheaf__max_u64(pool->next_start_ns, sheaf__add_sat(now_ns, told->reset_ns));
  if (!success && bucket->limit && (uint64_t)told->remaining < charge) {
    const uint64_t wait = sheaf__bucket_wait_ns(bucket, charge, now_ns);
    pool->lacking_ns = sheaf__max_u64(pool->lacking_ns, sheaf__max_u64(wait, 1));
  }
}

void sheaf__pool_correct(sheaf__pool *pool, const sheaf__charges *charges, bool success,
                         const sheaf_limit *limits, uint32_t count, uint64_t now_ns) {
  bool seen[SHEAF_RESOURCE_COUNT] = {false};
  pool->lacking_ns = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t r = limits[i].resource;
    if (r >= SHEAF_RESOURCE_COUNT || seen[r])
      continue; /* one meter a resource: the first told counts */
    seen[r] = true;
    correct_meter(pool, charges->of[r], r, success, &limits[i], now_ns);
  }
}
