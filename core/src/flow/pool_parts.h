/* pool_parts.h: what the files of the pool call of one another: pool.c, pool_limits.c,
 * pool_pause.c. */
#ifndef SHEAF_POOL_PARTS_H
#define SHEAF_POOL_PARTS_H

#include "flow/pool.h"

/* What a cost is in each resource. */
typedef struct sheaf__charges {
  uint64_t of[SHEAF_RESOURCE_COUNT];
} sheaf__charges;

static inline sheaf__charges sheaf__charges_of(const sheaf__cost *cost) {
  return (sheaf__charges){{1, (uint64_t)cost->input_tokens + cost->output_tokens,
                           cost->input_tokens, cost->output_tokens}};
}

/* pool_limits.c */
void sheaf__pool_init_meters(sheaf__pool *pool, uint64_t now_ns);
/* What a head said of the limits; success: 2xx. */
void sheaf__pool_correct(sheaf__pool *pool, const sheaf__charges *charges, bool success,
                         const sheaf_limit *limits, uint32_t count, uint64_t now_ns);

/* pool_pause.c */
/* Leaves a bucket that is on with nothing, or with the debt it has. */
void sheaf__pool_empty(sheaf__bucket *bucket, uint64_t now_ns);
/* The learned rate's bucket brought up to now; off (limit 0) when nothing is learned. */
void sheaf__pool_refresh_learned(sheaf__pool *pool, uint64_t now_ns);
void sheaf__pool_count_delivered(sheaf__pool *pool, uint64_t now_ns);
/* What one request takes of the learned bucket: it counts sixteenths, so that a few requests a
 * minute are still exact. */
#define SHEAF__LEARNED_UNIT 16u

#endif
