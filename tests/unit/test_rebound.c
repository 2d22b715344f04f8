/* test_rebound.c: the curve that concurrency and learned rate share (algorithms.md 0). */
#include "flow/pool.h"

#include "../support/check.h"

TEST(the_published_vectors_hold) {
  static const int64_t vectors[][2] = {{0, 70000},      {3000, 78173},   {15000, 96250},
                                       {30000, 100000}, {45000, 103750}, {60000, 130000},
                                       {120000, 910000}};
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
    CHECK_EQ(sheaf__rebound(100000, vectors[i][0], 30000), vectors[i][1]);
}

TEST(after_four_times_the_recovery_it_is_flat) {
  CHECK_EQ(sheaf__rebound(100000, 120001, 30000), 910000);
  CHECK_EQ(sheaf__rebound(100000, INT64_MAX, 30000), 910000);
}

TEST(before_the_cut_counts_as_the_cut) {
  CHECK_EQ(sheaf__rebound(100000, -1, 30000), 70000);
  CHECK_EQ(sheaf__rebound(100000, INT64_MIN, 30000), 70000);
}

/* 0.7 at once, the old height after K, 1.3 of it after 2 K: for any height and any K. */
TEST(its_shape_does_not_depend_on_scale) {
  for (int64_t k = 1000; k <= 60000; k += 1000) {
    for (int64_t wmax = 10; wmax < 1 << 26; wmax *= 3) {
      CHECK_EQ(sheaf__rebound(wmax, 0, k), wmax - wmax * 3 / 10);
      CHECK_EQ(sheaf__rebound(wmax, k, k), wmax);
      CHECK_EQ(sheaf__rebound(wmax, 2 * k, k), wmax + wmax * 3 / 10);
    }
  }
}

TEST(it_never_falls_while_time_goes_on) {
  static const int64_t heights[] = {0, 1, 1000, 64000, 256000, (1 << 26) - 1, 1000000000000};
  for (size_t i = 0; i < sizeof heights / sizeof *heights; i++) {
    int64_t last = 0;
    for (int64_t dt = 0; dt <= 130000; dt += 7) {
      const int64_t value = sheaf__rebound(heights[i], dt, 30000);
      CHECK(value >= last);
      last = value;
    }
  }
}

/* Above 2^26 the low bits are left out: less than 2^-25 of the value. */
TEST(heights_beyond_the_range_are_scaled_not_wrapped) {
  const int64_t wmax = 3000000000000;
  const int64_t at_k = sheaf__rebound(wmax, 30000, 30000);
  CHECK(at_k <= wmax);
  CHECK(wmax - at_k <= wmax >> 25);
  CHECK(sheaf__rebound(INT64_MAX, 120000, 30000) > 0);
}

int main(void) {
  RUN(the_published_vectors_hold);
  RUN(after_four_times_the_recovery_it_is_flat);
  RUN(before_the_cut_counts_as_the_cut);
  RUN(its_shape_does_not_depend_on_scale);
  RUN(it_never_falls_while_time_goes_on);
  RUN(heights_beyond_the_range_are_scaled_not_wrapped);
  return check_report();
}
