/* test_concurrency.c: how many at once: START, cuts, rebound, use, restart (algorithms.md 4). */
#include "flow/concurrency.h"

#include "flow/pool.h"

#include "../support/check.h"

#define SECOND 1000000000ull

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_below(uint64_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % n;
}

static uint64_t limit(const sheaf__concurrency *c, uint64_t now) {
  return sheaf__concurrency_limit_milli(c, now) / 1000;
}

/* Starts as many as may, then ends them all as clean successes. Answers how many. */
static uint32_t fill_and_drain(sheaf__concurrency *c, uint64_t now) {
  uint32_t n = 0;
  for (; sheaf__concurrency_may(c, now); n++) sheaf__concurrency_on_start(c, now);
  for (uint32_t i = 0; i < n; i++) sheaf__concurrency_on_end(c, true, now, now + 1);
  return n;
}

/* Keeps the limit full for a while, so that use does not bound it. */
static uint64_t busy_until(sheaf__concurrency *c, uint64_t now, uint64_t end) {
  for (; now < end; now += SECOND) {
    while (sheaf__concurrency_may(c, now)) sheaf__concurrency_on_start(c, now);
    while (c->in_flight) sheaf__concurrency_on_end(c, true, now, now);
  }
  return now;
}

TEST(it_starts_with_eight_and_blocks_the_ninth) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  CHECK_EQ(limit(&c, 0), 8);
  for (int i = 0; i < 8; i++) {
    CHECK(sheaf__concurrency_may(&c, 0));
    sheaf__concurrency_on_start(&c, 0);
  }
  CHECK(!sheaf__concurrency_may(&c, 0));
  sheaf__concurrency_on_end(&c, false, 0, 0);
  CHECK(sheaf__concurrency_may(&c, 0));
}

TEST(full_clean_rounds_double_it_up_to_the_ceiling) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 100, 0);
  static const uint64_t steps[] = {8, 16, 32, 64, 100, 100};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    CHECK_EQ(limit(&c, i), steps[i]);
    CHECK_EQ(fill_and_drain(&c, i), steps[i]);
  }
}

TEST(a_round_needs_as_many_successes_as_the_limit) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int i = 0; i < 8; i++) sheaf__concurrency_on_start(&c, 0);
  for (int i = 0; i < 7; i++) sheaf__concurrency_on_end(&c, true, 0, 1);
  CHECK_EQ(limit(&c, 1), 8);
  sheaf__concurrency_on_end(&c, true, 0, 1);
  CHECK_EQ(limit(&c, 1), 16);
}

/* 80 % of 8 are 6.4: a peak of 6 is not enough, 7 are. */
TEST(without_use_it_does_not_grow) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 6; i++) sheaf__concurrency_on_start(&c, 0);
    for (int i = 0; i < 6; i++) sheaf__concurrency_on_end(&c, true, 0, 0);
  }
  CHECK_EQ(limit(&c, 0), 8);
  for (int i = 0; i < 7; i++) sheaf__concurrency_on_start(&c, 0);
  for (int i = 0; i < 7; i++) sheaf__concurrency_on_end(&c, true, 0, 0);
  CHECK_EQ(limit(&c, 0), 16);
}

TEST(retried_and_failed_exchanges_are_neutral) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < 8; i++) sheaf__concurrency_on_start(&c, 0);
    for (int i = 0; i < 8; i++) sheaf__concurrency_on_end(&c, false, 0, 0);
  }
  CHECK_EQ(limit(&c, 0), 8);
}

TEST(what_was_sent_before_the_last_change_does_not_count) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int i = 0; i < 8; i++) sheaf__concurrency_on_start(&c, 0);
  for (int i = 0; i < 8; i++) sheaf__concurrency_on_end(&c, true, 0, 10);
  CHECK_EQ(limit(&c, 10), 16);
  for (int i = 0; i < 16; i++) sheaf__concurrency_on_start(&c, 9);
  for (int i = 0; i < 16; i++) sheaf__concurrency_on_end(&c, true, 9, 11);
  CHECK_EQ(limit(&c, 11), 16);
}

TEST(a_small_ceiling_is_the_start_and_rounds_have_at_least_four) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 2, 0);
  CHECK_EQ(limit(&c, 0), 2);
  CHECK_EQ(c.round_need, 4);
  sheaf__concurrency_init(&c, 0, 0, 0);
  CHECK_EQ(limit(&c, 0), 1);
}

TEST(fixed_is_fixed) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 50, 256, 0);
  CHECK_EQ(limit(&c, 0), 50);
  sheaf__concurrency_cut(&c, 0);
  sheaf__concurrency_restart(&c, 0);
  CHECK_EQ(limit(&c, 0), 50);
  CHECK_EQ(fill_and_drain(&c, 0), 50);
  CHECK_EQ(limit(&c, 1000 * SECOND), 50);
}

/* A limit of 100, cut at t: 70, 96.25 after 15 s, 100 after 30 s, 130 after 60 s, as long as it is used. */
TEST(after_a_cut_the_limit_follows_the_curve) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 1000, 0);
  c.limit_milli = 100000;
  uint64_t now = busy_until(&c, 0, 2 * SECOND);
  c.limit_milli = 100000;
  for (int i = 0; i < 100; i++) sheaf__concurrency_on_start(&c, now);
  sheaf__concurrency_cut(&c, now);
  CHECK_EQ(limit(&c, now), 70);
  CHECK_EQ(sheaf__concurrency_limit_milli(&c, now + 15 * SECOND), 96250);
  CHECK_EQ(limit(&c, now + 30 * SECOND), 100);
  CHECK_EQ(limit(&c, now + 60 * SECOND), 130);
}

TEST(a_cut_cancels_nothing_and_blocks_until_it_has_drained) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int i = 0; i < 8; i++) sheaf__concurrency_on_start(&c, 0);
  sheaf__concurrency_cut(&c, 0); /* 5.6 */
  CHECK_EQ(c.in_flight, 8);
  for (int i = 0; i < 3; i++) {
    CHECK(!sheaf__concurrency_may(&c, 0));
    sheaf__concurrency_on_end(&c, true, 0, 0);
  }
  CHECK(!sheaf__concurrency_may(&c, 0));
  sheaf__concurrency_on_end(&c, true, 0, 0);
  CHECK(sheaf__concurrency_may(&c, 0));
}

TEST(further_cuts_within_five_seconds_are_one) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int i = 0; i < 8; i++) sheaf__concurrency_on_start(&c, 0);
  sheaf__concurrency_cut(&c, 0);
  sheaf__concurrency_cut(&c, 5 * SECOND - 1);
  CHECK_EQ(c.wmax_milli, 8000);
  sheaf__concurrency_cut(&c, 5 * SECOND);
  CHECK_EQ(c.wmax_milli, sheaf__rebound(8000, 5000, 30000));
  CHECK_EQ(c.cut_ns, 5 * SECOND);
}

TEST(the_limit_is_at_most_twice_the_recent_use_and_at_least_four_of_it) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  c.limit_milli = 100000;
  for (int i = 0; i < 10; i++) sheaf__concurrency_on_start(&c, 0);
  sheaf__concurrency_cut(&c, 0);
  CHECK_EQ(limit(&c, 0), 20); /* the curve alone would allow 70 */
  for (int i = 0; i < 10; i++) sheaf__concurrency_on_end(&c, true, 0, 0);
  CHECK_EQ(limit(&c, 200 * SECOND), 4);
}

TEST(an_outage_of_minutes_leaves_no_scar) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (uint64_t t = 0; t < 600; t += 5) sheaf__concurrency_cut(&c, t * SECOND);
  CHECK_EQ(limit(&c, 600 * SECOND), 1);
  const uint64_t now = busy_until(&c, 600 * SECOND, 1200 * SECOND);
  CHECK_EQ(limit(&c, now), 256);
}

TEST(after_a_breaker_it_restarts_with_at_most_eight) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (uint64_t i = 0; i < 3; i++) fill_and_drain(&c, i);
  CHECK_EQ(limit(&c, 3), 64);
  sheaf__concurrency_restart(&c, 4);
  CHECK_EQ(limit(&c, 4), 8);
  fill_and_drain(&c, 5);
  CHECK_EQ(limit(&c, 6), 16);
  c.wmax_milli = 3500;
  c.starting = false;
  sheaf__concurrency_restart(&c, 7);
  CHECK_EQ(limit(&c, 7), 3);
}

/* Between 1 and the ceiling, never more in flight than was allowed at the start, and no growth without use. */
TEST(the_invariants_hold_on_random_walks) {
  for (int walk = 0; walk < 300; walk++) {
    sheaf__concurrency c;
    const uint32_t max = 1 + (uint32_t)random_below(300);
    uint64_t now = 0;
    uint32_t wanted = max;
    uint64_t starts[300];
    sheaf__concurrency_init(&c, 0, max, now);
    for (int step = 0; step < 2000; step++) {
      now += random_below(2 * SECOND);
      if (random_below(200) == 0) wanted = (uint32_t)random_below(max + 1);
      while (c.in_flight < wanted && sheaf__concurrency_may(&c, now)) {
        CHECK((c.in_flight + 1) * 1000ull <= sheaf__concurrency_limit_milli(&c, now));
        starts[c.in_flight] = now;
        sheaf__concurrency_on_start(&c, now);
      }
      for (uint64_t ends = random_below(c.in_flight + 1ull); ends > 0; ends--)
        sheaf__concurrency_on_end(&c, random_below(10) != 0, starts[c.in_flight - 1], now);
      if (random_below(30) == 0) sheaf__concurrency_cut(&c, now);
      if (random_below(300) == 0) sheaf__concurrency_restart(&c, now);
      const uint64_t milli = sheaf__concurrency_limit_milli(&c, now);
      CHECK(milli >= 1000 && milli <= max * 1000ull);
      const uint32_t peak = c.peak_now > c.peak_before ? c.peak_now : c.peak_before;
      if (!c.starting) CHECK(milli <= (peak > 2 ? 2000ull * peak : 4000));
    }
  }
}

int main(void) {
  RUN(it_starts_with_eight_and_blocks_the_ninth);
  RUN(full_clean_rounds_double_it_up_to_the_ceiling);
  RUN(a_round_needs_as_many_successes_as_the_limit);
  RUN(without_use_it_does_not_grow);
  RUN(retried_and_failed_exchanges_are_neutral);
  RUN(what_was_sent_before_the_last_change_does_not_count);
  RUN(a_small_ceiling_is_the_start_and_rounds_have_at_least_four);
  RUN(fixed_is_fixed);
  RUN(after_a_cut_the_limit_follows_the_curve);
  RUN(a_cut_cancels_nothing_and_blocks_until_it_has_drained);
  RUN(further_cuts_within_five_seconds_are_one);
  RUN(the_limit_is_at_most_twice_the_recent_use_and_at_least_four_of_it);
  RUN(an_outage_of_minutes_leaves_no_scar);
  RUN(after_a_breaker_it_restarts_with_at_most_eight);
  RUN(the_invariants_hold_on_random_walks);
  return check_report();
}
