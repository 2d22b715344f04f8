/* bucket.h: a token bucket with debt, exact in integers (algorithms.md 1).
 *
 * U units make a token; a tick is window / U; every tick brings `limit` units. Range: limit
 * <= 1.5e8 a minute. */
#ifndef SHEAF_BUCKET_H
#define SHEAF_BUCKET_H

#include <sheaf/base.h>

#define SHEAF__BUCKET_U 60000000ll
#define SHEAF__BUCKET_LIMIT_MAX 150000000ull
#define SHEAF__MINUTE_NS 60000000000ull

typedef struct sheaf__bucket {
  int64_t level;  /* units; negative is debt */
  uint64_t limit; /* tokens a window; 0: off, everything passes */
  uint64_t cap;   /* tokens */
  uint64_t at_ns; /* level is of this time */
  uint64_t tick_ns;
} sheaf__bucket;

/* limit 0 turns it off. cap >= 1. Starts full. window_ns a multiple of U ns. */
void sheaf__bucket_init(sheaf__bucket *bucket, uint64_t limit, uint64_t cap, uint64_t window_ns,
                        uint64_t now_ns);
/* Another rate from now on; the level is kept, within the new cap. */
void sheaf__bucket_set(sheaf__bucket *bucket, uint64_t limit, uint64_t cap, uint64_t now_ns);
void sheaf__bucket_refill(sheaf__bucket *bucket, uint64_t now_ns);
/* The three below want a bucket refilled at now. */
bool sheaf__bucket_may(const sheaf__bucket *bucket, uint64_t cost);
void sheaf__bucket_take(sheaf__bucket *bucket, uint64_t cost);
void sheaf__bucket_give(sheaf__bucket *bucket, uint64_t cost);
/* 0 if may(cost) now. Exact: false 1 ns before, true at it. */
uint64_t sheaf__bucket_wait_ns(const sheaf__bucket *bucket, uint64_t cost, uint64_t now_ns);
/* Level in whole tokens, rounded down; and setting it. */
int64_t sheaf__bucket_level(const sheaf__bucket *bucket);
void sheaf__bucket_set_level(sheaf__bucket *bucket, int64_t tokens);

#endif
