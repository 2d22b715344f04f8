/* pool_pause.c: what a refusal does to the pool: cooldown (algorithms.md 2) and learned rate (3); and the rebound curve (0).
 *
 * One refusal speaks for all: the pool pauses, then one probe leaves, and the rest follow at its 2xx head or after 2 s.
 * Order: curve, what was delivered, learned rate, cooldown. */
#include "base/mem.h"
#include "base/random.h"
#include "flow/pool_parts.h"

#define PAUSE_NS (500 * SHEAF__MS)
#define PAUSE_STEPS_MAX 6u
#define PAUSE_NS_MAX (30 * SHEAF__SECOND)
#define STRAY_SHARE 16u
#define LEARNED_MS 10000
#define LEARNED_MIN 3000u /* milli-requests a minute */
#define LEARNED_GAP_NS (2 * SHEAF__SECOND)
#define LEARNED_LIFE_NS (600 * SHEAF__SECOND)
#define DELIVERED_NS (10 * SHEAF__SECOND)
#define DELIVERED_PER_MINUTE 6000u /* one in 10 s, in milli-requests a minute */

static uint64_t since(uint64_t then_ns, uint64_t now_ns) {
  return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* wmax beyond 2^26 would overflow q * q * q * wmax: then the low bits are left out. */
int64_t sheaf__rebound(int64_t wmax, int64_t dt_ms, int64_t k_ms) {
  SHEAF_ASSERT(wmax >= 0);
  SHEAF_ASSERT(k_ms > 0 && k_ms <= INT64_MAX / 4096);
  int64_t scale = 1;
  for (; wmax >= (int64_t)1 << 26; wmax /= 2) scale *= 2;
  if (dt_ms < 0) dt_ms = 0;
  if (dt_ms > 4 * k_ms) dt_ms = 4 * k_ms;
  const int64_t q = ((dt_ms - k_ms) * 1024) / k_ms;
  const int64_t value = wmax + (wmax * 3 * q * q * q) / ((int64_t)10 << 30);
  return value <= INT64_MAX / scale ? value * scale : INT64_MAX;
}

/* Closes the windows of 10 s that have passed; those without a single 2xx head halve the mean. */
static void roll_delivered(sheaf__pool *pool, uint64_t now_ns) {
  const uint64_t age = since(pool->delivered_window_ns, now_ns);
  if (age < DELIVERED_NS) return;
  const uint64_t windows = age / DELIVERED_NS;
  const uint64_t fresh = sheaf__mul_sat(pool->delivered_count, DELIVERED_PER_MINUTE);
  pool->delivered = pool->delivered ? pool->delivered / 2 + fresh / 2
                                    : fresh; /* the first has no other to be averaged with */
  pool->delivered = windows > 64 ? 0 : pool->delivered >> (windows - 1);
  pool->seen_before = windows == 1 ? pool->delivered_count + pool->refused_count : 0;
  pool->refused_before = windows == 1 ? pool->refused_count : 0;
  pool->delivered_count = pool->refused_count = 0;
  pool->delivered_window_ns += windows * DELIVERED_NS;
}

void sheaf__pool_count_delivered(sheaf__pool *pool, uint64_t now_ns) {
  roll_delivered(pool, now_ns);
  pool->delivered_count++;
}

/* What is known of the limit of requests a minute, in milli-requests; no bound when nothing is. */
static uint64_t known_rate(const sheaf__pool *pool) {
  const sheaf__bucket *requests = &pool->meters[SHEAF_RESOURCE_REQUESTS].bucket;
  const bool is_minute = requests->tick_ns * (uint64_t)SHEAF__BUCKET_U == SHEAF__MINUTE_NS;
  return requests->limit && is_minute ? requests->limit * 1000 : UINT64_MAX;
}

/* Milli-requests a minute that may leave now. Never more than is known to be allowed: else the bucket of that limit fills
 * up while this one holds back, and is spent as one burst when the curve passes it. */
static uint64_t learned_rate(const sheaf__pool *pool, uint64_t now_ns) {
  const uint64_t dt_ms =
      sheaf__min_u64(since(pool->learned_cut_ns, now_ns) / SHEAF__MS, 4 * LEARNED_MS);
  const uint64_t curve =
      (uint64_t)sheaf__rebound((int64_t)pool->learned_wmax, (int64_t)dt_ms, LEARNED_MS);
  const uint64_t used = sheaf__max_u64(pool->learned_wmax, pool->delivered);
  const uint64_t rate = sheaf__min_u64(curve, sheaf__mul_sat(used, 2));
  return sheaf__min_u64(rate, known_rate(pool));
}

static void set_learned(sheaf__pool *pool, uint64_t rate, uint64_t now_ns) {
  const uint64_t limit = sheaf__max_u64(1, sheaf__mul_sat(rate, SHEAF__LEARNED_UNIT) / 1000);
  const uint64_t cap = sheaf__max_u64(SHEAF__LEARNED_UNIT, limit / 60);
  sheaf__bucket_set(&pool->learned, limit, cap, now_ns);
}

void sheaf__pool_empty(sheaf__bucket *bucket, uint64_t now_ns) {
  if (bucket->limit == 0) return;
  sheaf__bucket_refill(bucket, now_ns);
  if (bucket->level > 0) bucket->level = 0;
}

void sheaf__pool_refresh_learned(sheaf__pool *pool, uint64_t now_ns) {
  if (pool->learned_wmax == 0) return;
  if (since(pool->last_429_ns, now_ns) >= LEARNED_LIFE_NS) {
    pool->learned_wmax = 0;
    sheaf__pool_empty(&pool->meters[SHEAF_RESOURCE_REQUESTS].bucket,
                      now_ns); /* no burst of what it held back */
    sheaf__bucket_init(&pool->learned, 0, 1, SHEAF__MINUTE_NS, now_ns);
    return;
  }
  roll_delivered(pool, now_ns);
  /* The curve is flat after 4 K: the rate reached becomes the next wmax, where its own curve has K behind it. A rate that
   * was cut down to its floor would else stay near it until it is forgotten. */
  if (since(pool->learned_cut_ns, now_ns) >= 4ull * LEARNED_MS * SHEAF__MS) {
    pool->learned_wmax = learned_rate(pool, now_ns);
    pool->learned_cut_ns = now_ns - LEARNED_MS * SHEAF__MS;
  }
  set_learned(pool, learned_rate(pool, now_ns), now_ns);
}

/* What can be said of the rate when nothing limits it: what was delivered. Before the first 10 s are over, what was sent
 * so far stands for them: replies take seconds, and to count only those that are back would be far too little. */
static uint64_t rate_so_far(const sheaf__pool *pool) {
  if (pool->delivered) return pool->delivered;
  const uint64_t out = (uint64_t)pool->meters[SHEAF_RESOURCE_REQUESTS].unacked;
  return sheaf__mul_sat(pool->delivered_count + out, DELIVERED_PER_MINUTE);
}

/* A refusal now and then at any rate is not the sound of a limit: each cut would halve a rate that has nothing to do with it, until
 * the run crawls. With the server's own wait to obey, up to one refusal in sixteen (and two more, for small numbers) is let pass. */
static bool is_stray(const sheaf__pool *pool, bool has_hint) {
  const uint64_t refused = pool->refused_count + pool->refused_before;
  const uint64_t seen = pool->delivered_count + pool->refused_count + pool->seen_before;
  return has_hint && refused * STRAY_SHARE <= seen + 2 * STRAY_SHARE;
}

static void cut_learned(sheaf__pool *pool, bool has_hint, uint64_t now_ns) {
  roll_delivered(pool, now_ns);
  pool->refused_count++;
  if (is_stray(pool, has_hint)) return;
  pool->last_429_ns = now_ns;
  if (pool->learned_wmax && since(pool->learned_cut_ns, now_ns) < LEARNED_GAP_NS) return;
  const uint64_t rate = pool->learned_wmax ? learned_rate(pool, now_ns) : known_rate(pool);
  uint64_t wmax = rate_so_far(pool);
  if (rate != UINT64_MAX) wmax = sheaf__min_u64(rate, sheaf__max_u64(pool->delivered, rate / 2));
  pool->learned_wmax = sheaf__max_u64(LEARNED_MIN, wmax);
  pool->learned_cut_ns = now_ns;
  set_learned(pool, learned_rate(pool, now_ns), now_ns);
  sheaf__bucket_set_level(&pool->learned, 0);
}

/* Refusals that come while the pool is paused already are of the same burst: they may lengthen the pause by what the
 * server says, but they are no further step. */
static uint64_t pause_length(sheaf__pool *pool, uint64_t retry_after_ns, uint64_t now_ns) {
  const bool is_echo = pool->pause_steps > 0 && now_ns < pool->pause_until_ns;
  const uint32_t step = is_echo ? pool->pause_steps - 1 : pool->pause_steps;
  if (!is_echo && pool->pause_steps < UINT32_MAX) pool->pause_steps++;
  if (retry_after_ns != SHEAF_NEVER) return retry_after_ns;
  if (pool->lacking_ns) return pool->lacking_ns;
  return sheaf__min_u64(PAUSE_NS << (step < PAUSE_STEPS_MAX ? step : PAUSE_STEPS_MAX),
                        PAUSE_NS_MAX);
}

uint64_t sheaf__pool_on_refusal(sheaf__pool *pool, uint64_t retry_after_ns, bool learned,
                                uint64_t index, uint64_t attempt, uint64_t now_ns) {
  const uint64_t d = pause_length(pool, retry_after_ns, now_ns);
  const uint64_t spread = sheaf__min_u64(SHEAF__SECOND, d / 10 + 250 * SHEAF__MS);
  const uint64_t wait =
      sheaf__add_sat(d, sheaf__draw(pool->options.seed, spread, SHEAF__DRAW_PAUSE, index, attempt));
  pool->pause_until_ns = sheaf__max_u64(pool->pause_until_ns, sheaf__add_sat(now_ns, wait));
  pool->probe_due = true;
  pool->probing = false;
  if (learned) cut_learned(pool, retry_after_ns != SHEAF_NEVER && retry_after_ns > 0, now_ns);
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT && pool->lacking_ns == 0; r++)
    sheaf__pool_empty(&pool->meters[r].bucket, now_ns);
  pool->lacking_ns = 0;
  return pool->pause_until_ns;
}
