/* random.h: keyed draws (algorithms: one more draw elsewhere never changes this request's jitter)
 * and hashes. */
#ifndef SHEAF_RANDOM_H
#define SHEAF_RANDOM_H

#include <sheaf/base.h>

enum {
  SHEAF__DRAW_RETRY = 1,
  SHEAF__DRAW_PAUSE = 2,
  SHEAF__DRAW_BREAKER = 3,
  SHEAF__DRAW_WAIT = 4,
  SHEAF__DRAW_CANARY = 5,
  SHEAF__DRAW_TEST = 100
};

uint64_t sheaf__mix64(uint64_t x); /* the splitmix64 finaliser */
/* 0..n inclusive. */
uint64_t sheaf__draw(uint64_t seed, uint64_t n, uint64_t purpose, uint64_t index, uint64_t attempt);
/* 64 bits of a byte string; for tables, not for adversaries' proofs. */
uint64_t sheaf__hash(const void *data, size_t bytes, uint64_t seed);

#endif
