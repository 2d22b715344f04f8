/* histogram.h: log-linear buckets in fixed memory: relative error of a quantile at most 1/64. */
#ifndef SHEAF_HISTOGRAM_H
#define SHEAF_HISTOGRAM_H

#include <sheaf/stats.h>

/* Values are ns; below 2^10 ns one bucket, then 32 buckets per power of two up to 2^46 ns (19
 * hours), above: the last. The quantile is the middle of its bucket, clamped to the exact min and
 * max. */
#define SHEAF__HISTOGRAM_BUCKETS (1 + 36 * 32 + 1)

typedef struct sheaf__histogram {
  uint32_t buckets[SHEAF__HISTOGRAM_BUCKETS]; /* stop at UINT32_MAX */
  uint64_t count;
  uint64_t sum_ns; /* saturating */
  uint64_t min_ns;
  uint64_t max_ns;
} sheaf__histogram;

void sheaf__histogram_init(sheaf__histogram *histogram);
void sheaf__histogram_add(sheaf__histogram *histogram, uint64_t ns);
/* per_mille 0..1000; 0 when empty. */
uint64_t sheaf__histogram_quantile(const sheaf__histogram *histogram, uint32_t per_mille);
void sheaf__histogram_read(const sheaf__histogram *histogram, sheaf_quantiles *quantiles);

#endif
