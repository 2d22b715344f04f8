/* bucket.c: a token bucket with debt, exact in integers (algorithms.md 1).
 *
 * A level in units of 1/U token grows by `limit` units each tick. U and the tick are chosen so that no division ever
 * loses anything: refilling over a and then over b is refilling over a + b. Order: making, refilling, asking, moving. */
#include "flow/bucket.h"

#include "base/mem.h"

/* Debt stops here instead of wrapping: 2^61 units are 3.8e10 tokens, far beyond any request's cost. */
#define LEVEL_MIN (-((int64_t)1 << 61))

_Static_assert(SHEAF__BUCKET_LIMIT_MAX <= (uint64_t)(INT64_MAX / SHEAF__BUCKET_U),
               "a full bucket fits its level");

static int64_t full_level(const sheaf__bucket *bucket) {
  return (int64_t)bucket->cap * SHEAF__BUCKET_U;
}

/* Units of a cost; costs beyond 2^32 tokens are no real requests and count as that many. */
static int64_t units_of(uint64_t cost) {
  return (int64_t)sheaf__min_u64(cost, (uint64_t)1 << 32) * SHEAF__BUCKET_U;
}

static int64_t units_wanted(const sheaf__bucket *bucket, uint64_t cost) {
  return units_of(sheaf__min_u64(cost, bucket->cap));
}

void sheaf__bucket_init(sheaf__bucket *bucket, uint64_t limit, uint64_t cap, uint64_t window_ns,
                        uint64_t now_ns) {
  SHEAF_ASSERT(window_ns >= (uint64_t)SHEAF__BUCKET_U);
  SHEAF_ASSERT(window_ns % (uint64_t)SHEAF__BUCKET_U == 0);
  bucket->limit = sheaf__min_u64(limit, SHEAF__BUCKET_LIMIT_MAX);
  bucket->cap = sheaf__min_u64(sheaf__max_u64(cap, 1), SHEAF__BUCKET_LIMIT_MAX);
  bucket->tick_ns = window_ns / (uint64_t)SHEAF__BUCKET_U;
  bucket->at_ns = now_ns;
  bucket->level = full_level(bucket);
}

void sheaf__bucket_set(sheaf__bucket *bucket, uint64_t limit, uint64_t cap, uint64_t now_ns) {
  const bool was_off = bucket->limit == 0;
  if (was_off)
    bucket->at_ns = sheaf__max_u64(bucket->at_ns, now_ns);
  else
    sheaf__bucket_refill(bucket, now_ns);
  bucket->limit = sheaf__min_u64(limit, SHEAF__BUCKET_LIMIT_MAX);
  bucket->cap = sheaf__min_u64(sheaf__max_u64(cap, 1), SHEAF__BUCKET_LIMIT_MAX);
  const int64_t full = full_level(bucket);
  if (was_off || bucket->level > full) bucket->level = full;
}

void sheaf__bucket_refill(sheaf__bucket *bucket, uint64_t now_ns) {
  if (bucket->limit == 0 || now_ns <= bucket->at_ns) return;
  const uint64_t ticks = (now_ns - bucket->at_ns) / bucket->tick_ns;
  bucket->at_ns += ticks * bucket->tick_ns;
  const int64_t full = full_level(bucket);
  SHEAF_ASSERT(bucket->level <= full);
  const uint64_t missing = (uint64_t)(full - bucket->level);
  if (sheaf__mul_sat(ticks, bucket->limit) >= missing)
    bucket->level = full;
  else
    bucket->level += (int64_t)(ticks * bucket->limit);
}

bool sheaf__bucket_may(const sheaf__bucket *bucket, uint64_t cost) {
  return bucket->limit == 0 || bucket->level >= units_wanted(bucket, cost);
}

void sheaf__bucket_take(sheaf__bucket *bucket, uint64_t cost) {
  if (bucket->limit == 0) return;
  bucket->level -= units_of(cost); /* -2^61 - 2^32 * 6e7 is still inside */
  if (bucket->level < LEVEL_MIN) bucket->level = LEVEL_MIN;
}

void sheaf__bucket_give(sheaf__bucket *bucket, uint64_t cost) {
  if (bucket->limit == 0) return;
  const int64_t full = full_level(bucket);
  const int64_t units = units_of(cost);
  bucket->level = units >= full - bucket->level ? full : bucket->level + units;
}

uint64_t sheaf__bucket_wait_ns(const sheaf__bucket *bucket, uint64_t cost, uint64_t now_ns) {
  if (sheaf__bucket_may(bucket, cost)) return 0;
  const uint64_t missing = (uint64_t)(units_wanted(bucket, cost) - bucket->level);
  const uint64_t ticks = missing / bucket->limit + (missing % bucket->limit != 0);
  const uint64_t wait = sheaf__mul_sat(ticks, bucket->tick_ns);
  if (now_ns < bucket->at_ns) return sheaf__add_sat(wait, bucket->at_ns - now_ns);
  const uint64_t gone = now_ns - bucket->at_ns;
  return wait > gone ? wait - gone : 0;
}

int64_t sheaf__bucket_level(const sheaf__bucket *bucket) {
  const int64_t whole = bucket->level / SHEAF__BUCKET_U;
  return bucket->level % SHEAF__BUCKET_U < 0 ? whole - 1 : whole;
}

void sheaf__bucket_set_level(sheaf__bucket *bucket, int64_t tokens) {
  const int64_t floor = LEVEL_MIN / SHEAF__BUCKET_U;
  if (tokens < floor) tokens = floor;
  const int64_t full = full_level(bucket);
  bucket->level = tokens >= (int64_t)bucket->cap ? full : tokens * SHEAF__BUCKET_U;
}
