/* test_histogram.c: quantiles within 1/64 of the exact ones, in fixed memory. */
#include "check.h"

#include "base/histogram.h"
#include "base/random.h"

#include <stdlib.h>

static sheaf__histogram histogram;

/* Whether `got` is at most 1/64 away from `exact`. */
static bool is_near(uint64_t got, uint64_t exact) {
  uint64_t off = got > exact ? got - exact : exact - got;
  return off <= exact / 64 + 1;
}

TEST(an_empty_histogram_answers_zero) {
  sheaf_quantiles q;
  sheaf__histogram_init(&histogram);
  CHECK_EQ(sheaf__histogram_quantile(&histogram, 500), 0);
  sheaf__histogram_read(&histogram, &q);
  CHECK_EQ(q.count, 0);
  CHECK_EQ(q.mean_ns, 0);
  CHECK_EQ(q.p99_ns, 0);
  CHECK_EQ(q.max_ns, 0);
}

TEST(one_value_is_every_quantile_exactly) {
  static const uint64_t values[] = {0, 1, 1023, 1024, 1025, 123456789, 1ull << 46, UINT64_MAX};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    sheaf_quantiles q;
    sheaf__histogram_init(&histogram);
    sheaf__histogram_add(&histogram, values[i]);
    sheaf__histogram_read(&histogram, &q);
    CHECK_EQ(q.count, 1);
    CHECK_EQ(q.mean_ns, values[i]);
    CHECK_EQ(q.p50_ns, values[i]);
    CHECK_EQ(q.p99_ns, values[i]);
    CHECK_EQ(q.max_ns, values[i]);
    CHECK_EQ(sheaf__histogram_quantile(&histogram, 0), values[i]);
    CHECK_EQ(sheaf__histogram_quantile(&histogram, 1000), values[i]);
  }
}

TEST(the_middle_of_two_values_is_the_lower_by_nearest_rank) {
  sheaf__histogram_init(&histogram);
  sheaf__histogram_add(&histogram, 1000000);
  sheaf__histogram_add(&histogram, 9000000);
  CHECK(is_near(sheaf__histogram_quantile(&histogram, 500), 1000000));
  CHECK(is_near(sheaf__histogram_quantile(&histogram, 501), 9000000));
  CHECK(is_near(sheaf__histogram_quantile(&histogram, 1000), 9000000));
  CHECK(is_near(sheaf__histogram_quantile(&histogram, 4000000000u), 9000000));
}

/* With three equal values around it, a value of any bucket comes back within half a bucket. */
TEST(every_bucket_keeps_the_promised_precision) {
  for (uint64_t value = 1024; value < 1ull << 46; value += value / 37 + 1) {
    sheaf__histogram_init(&histogram);
    sheaf__histogram_add(&histogram, 0);
    sheaf__histogram_add(&histogram, value);
    sheaf__histogram_add(&histogram, UINT64_MAX);
    uint64_t got = sheaf__histogram_quantile(&histogram, 500);
    if (!is_near(got, value)) CHECK_EQ(got, value);
  }
}

TEST(values_beyond_the_range_fall_into_the_outer_buckets) {
  sheaf__histogram_init(&histogram);
  sheaf__histogram_add(&histogram, 3);
  sheaf__histogram_add(&histogram, 1023);
  sheaf__histogram_add(&histogram, (1ull << 46) - 1);
  sheaf__histogram_add(&histogram, 1ull << 46);
  sheaf__histogram_add(&histogram, 1ull << 60);
  CHECK_EQ(histogram.buckets[0], 2);
  CHECK_EQ(histogram.buckets[SHEAF__HISTOGRAM_BUCKETS - 2], 1);
  CHECK_EQ(histogram.buckets[SHEAF__HISTOGRAM_BUCKETS - 1], 2);
  CHECK_EQ(histogram.min_ns, 3);
  CHECK_EQ(histogram.max_ns, 1ull << 60);
}

static int by_value(const void *a, const void *b) {
  const uint64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

TEST(quantiles_of_many_values_are_near_the_sorted_ones) {
  enum { COUNT = 20000 };
  static uint64_t values[COUNT];
  uint64_t sum = 0;
  sheaf_quantiles q;
  sheaf__histogram_init(&histogram);
  for (uint32_t i = 0; i < COUNT; i++) {
    uint64_t scale = 1ull << (10 + sheaf__draw(1, 30, SHEAF__DRAW_TEST, i, 0));
    values[i] = scale + sheaf__draw(2, scale, SHEAF__DRAW_TEST, i, 0);
    sum += values[i];
    sheaf__histogram_add(&histogram, values[i]);
  }
  qsort(values, COUNT, sizeof *values, by_value);
  sheaf__histogram_read(&histogram, &q);
  CHECK_EQ(q.count, COUNT);
  CHECK_EQ(q.mean_ns, sum / COUNT);
  CHECK_EQ(q.max_ns, values[COUNT - 1]);
  CHECK(is_near(q.p50_ns, values[COUNT / 2 - 1]));
  CHECK(is_near(q.p90_ns, values[COUNT * 9 / 10 - 1]));
  CHECK(is_near(q.p95_ns, values[COUNT * 95 / 100 - 1]));
  CHECK(is_near(q.p99_ns, values[COUNT * 99 / 100 - 1]));
}

TEST(a_full_bucket_and_a_full_sum_stop_at_their_end) {
  sheaf__histogram_init(&histogram);
  sheaf__histogram_add(&histogram, 0);
  histogram.buckets[0] = UINT32_MAX;
  histogram.count = UINT64_MAX;
  histogram.sum_ns = UINT64_MAX - 1;
  sheaf__histogram_add(&histogram, 500);
  CHECK_EQ(histogram.buckets[0], UINT32_MAX);
  CHECK(histogram.count == UINT64_MAX);
  CHECK(histogram.sum_ns == UINT64_MAX);
  CHECK_EQ(sheaf__histogram_quantile(&histogram, 990), 500);
}

int main(void) {
  RUN(an_empty_histogram_answers_zero);
  RUN(one_value_is_every_quantile_exactly);
  RUN(the_middle_of_two_values_is_the_lower_by_nearest_rank);
  RUN(every_bucket_keeps_the_promised_precision);
  RUN(values_beyond_the_range_fall_into_the_outer_buckets);
  RUN(quantiles_of_many_values_are_near_the_sorted_ones);
  RUN(a_full_bucket_and_a_full_sum_stop_at_their_end);
  return check_report();
}
