/* histogram.c: log-linear buckets: one for all below 2^10 ns, 32 for each power of two up to 2^46 ns, one
 * for the rest. A bucket of [b, b + b/32) is answered by its middle: at most 1/64 off. */
#include "base/histogram.h"

#include "base/mem.h"

enum { OCTAVE_FIRST = 10, OCTAVE_END = 46, SPLIT_BITS = 5, SPLITS = 1 << SPLIT_BITS };

_Static_assert(SHEAF__HISTOGRAM_BUCKETS == 1 + (OCTAVE_END - OCTAVE_FIRST) * SPLITS + 1,
               "the buckets of the header are these");

void sheaf__histogram_init(sheaf__histogram *histogram) {
  memset(histogram, 0, sizeof *histogram);
  histogram->min_ns = UINT64_MAX;
}

static uint32_t bucket_of(uint64_t ns) {
  if (ns < (1ull << OCTAVE_FIRST)) return 0;
  if (ns >= (1ull << OCTAVE_END)) return SHEAF__HISTOGRAM_BUCKETS - 1;
  uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns);
  uint32_t split = (uint32_t)(ns >> (octave - SPLIT_BITS)) & (SPLITS - 1);
  return 1 + (octave - OCTAVE_FIRST) * SPLITS + split;
}

/* The last bucket has no middle: the greatest value stands for it. */
static uint64_t middle_of(const sheaf__histogram *histogram, uint32_t bucket) {
  if (bucket == 0) return 1ull << (OCTAVE_FIRST - 1);
  if (bucket == SHEAF__HISTOGRAM_BUCKETS - 1) return histogram->max_ns;
  uint32_t octave = OCTAVE_FIRST + (bucket - 1) / SPLITS;
  uint64_t split = (bucket - 1) % SPLITS;
  uint64_t width = 1ull << (octave - SPLIT_BITS);
  return (1ull << octave) + split * width + width / 2;
}

void sheaf__histogram_add(sheaf__histogram *histogram, uint64_t ns) {
  uint32_t *bucket = &histogram->buckets[bucket_of(ns)];
  if (*bucket < UINT32_MAX) ++*bucket;
  histogram->count = sheaf__add_sat(histogram->count, 1);
  histogram->sum_ns = sheaf__add_sat(histogram->sum_ns, ns);
  histogram->min_ns = sheaf__min_u64(histogram->min_ns, ns);
  histogram->max_ns = sheaf__max_u64(histogram->max_ns, ns);
}

/* Nearest rank: the smallest value that at least per_mille / 1000 of all values do not exceed. */
uint64_t sheaf__histogram_quantile(const sheaf__histogram *histogram, uint32_t per_mille) {
  if (histogram->count == 0) return 0;
  uint64_t share = per_mille < 1000 ? per_mille : 1000;
  uint64_t count = histogram->count;
  uint64_t rank = count / 1000 * share + (count % 1000 * share + 999) / 1000;
  if (rank == 0) rank = 1;
  uint64_t seen = 0;
  for (uint32_t i = 0; i < SHEAF__HISTOGRAM_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (seen < rank) continue;
    uint64_t middle = middle_of(histogram, i);
    return sheaf__min_u64(sheaf__max_u64(middle, histogram->min_ns), histogram->max_ns);
  }
  return histogram->max_ns; /* only where a bucket stopped at its end */
}

void sheaf__histogram_read(const sheaf__histogram *histogram, sheaf_quantiles *quantiles) {
  quantiles->count = histogram->count;
  quantiles->mean_ns = histogram->count ? histogram->sum_ns / histogram->count : 0;
  quantiles->p50_ns = sheaf__histogram_quantile(histogram, 500);
  quantiles->p90_ns = sheaf__histogram_quantile(histogram, 900);
  quantiles->p95_ns = sheaf__histogram_quantile(histogram, 950);
  quantiles->p99_ns = sheaf__histogram_quantile(histogram, 990);
  quantiles->max_ns = histogram->max_ns;
}
