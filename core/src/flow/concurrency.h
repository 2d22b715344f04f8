/* concurrency.h: how many at once: START doubling, then time-based rebound after cuts
 * (algorithms.md 4). */
#ifndef SHEAF_CONCURRENCY_H
#define SHEAF_CONCURRENCY_H

#include <sheaf/base.h>

typedef struct sheaf__concurrency {
  uint32_t max; /* ceiling; fixed == max when fixed */
  bool fixed;
  bool starting;        /* START, before the first cut */
  uint64_t limit_milli; /* START's limit, x1000 */
  uint64_t wmax_milli;
  uint64_t cut_ns;
  uint32_t in_flight;
  uint32_t round_need, round_got; /* clean successes */
  uint64_t round_began_ns;        /* sends since then count */
  uint32_t round_peak;
  uint64_t peak_window_ns; /* high-water mark of the last 30-60 s: two halves */
  uint32_t peak_now, peak_before;
} sheaf__concurrency;

/* fixed 0: adaptive up to max. */
void sheaf__concurrency_init(sheaf__concurrency *c, uint32_t fixed, uint32_t max, uint64_t now_ns);
/* Another ceiling from now on: what is in flight stays, what was learned is kept below it. */
void sheaf__concurrency_set(sheaf__concurrency *c, uint32_t fixed, uint32_t max, uint64_t now_ns);
/* The limit now, in 1/1000; at least 1000, at most 1000 * max. */
uint64_t sheaf__concurrency_limit_milli(const sheaf__concurrency *c, uint64_t now_ns);
bool sheaf__concurrency_may(const sheaf__concurrency *c, uint64_t now_ns);
void sheaf__concurrency_on_start(sheaf__concurrency *c, uint64_t now_ns);
/* clean: a first-attempt success; started_ns: when it was sent. */
void sheaf__concurrency_on_end(sheaf__concurrency *c, bool clean, uint64_t started_ns,
                               uint64_t now_ns);
/* An overload signal. */
void sheaf__concurrency_cut(sheaf__concurrency *c, uint64_t now_ns);
/* After a breaker closed: restart at min(8, wmax). */
void sheaf__concurrency_restart(sheaf__concurrency *c, uint64_t now_ns);

#endif
