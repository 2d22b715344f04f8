/* test_bucket.c: the token bucket against definitions, a window log, and a model in wide integers. */
#include "flow/bucket.h"

#include "../support/check.h"

#define SECOND 1000000000ull
#define MINUTE SHEAF__MINUTE_NS
#define U SHEAF__BUCKET_U

__extension__ typedef __int128 wide;

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_below(uint64_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return n ? random_state % n : 0;
}

TEST(a_new_bucket_is_full) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 588, 9, MINUTE, 5);
  CHECK_EQ(sheaf__bucket_level(&b), 9);
  CHECK(sheaf__bucket_may(&b, 9));
  CHECK_EQ(sheaf__bucket_wait_ns(&b, 9, 5), 0);
}

TEST(a_bucket_without_a_limit_lets_everything_pass_and_keeps_no_account) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 0, 1, MINUTE, 0);
  for (int i = 0; i < 10; i++) {
    CHECK(sheaf__bucket_may(&b, UINT64_MAX));
    sheaf__bucket_take(&b, 1000000);
  }
  CHECK_EQ(sheaf__bucket_wait_ns(&b, 1u << 30, 0), 0);
  CHECK_EQ(sheaf__bucket_level(&b), 1);
}

/* 600 a minute are 10 a second: an empty bucket has one token after 100 ms. */
TEST(a_token_comes_when_the_rate_says) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 600, 10, MINUTE, 0);
  sheaf__bucket_take(&b, 10);
  CHECK(!sheaf__bucket_may(&b, 1));
  CHECK_EQ(sheaf__bucket_wait_ns(&b, 1, 0), 100000000);
  sheaf__bucket_refill(&b, 99999999);
  CHECK(!sheaf__bucket_may(&b, 1));
  sheaf__bucket_refill(&b, 100000000);
  CHECK(sheaf__bucket_may(&b, 1));
  CHECK_EQ(sheaf__bucket_level(&b), 1);
}

/* A cost above the cap passes when the bucket is full and leaves a debt of the difference. */
TEST(a_cost_larger_than_the_bucket_passes_when_full_and_leaves_a_debt) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 6000, 100, MINUTE, 0);
  CHECK(sheaf__bucket_may(&b, 5000));
  sheaf__bucket_take(&b, 5000);
  CHECK_EQ(sheaf__bucket_level(&b), -4900);
  CHECK_EQ(sheaf__bucket_wait_ns(&b, 1, 0), 49010000000ll);    /* 4901 tokens at 100 a second */
  CHECK_EQ(sheaf__bucket_wait_ns(&b, 5000, 0), 50000000000ll); /* until full again */
}

TEST(giving_back_never_overfills) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 600, 10, MINUTE, 0);
  sheaf__bucket_take(&b, 4);
  sheaf__bucket_give(&b, 3);
  CHECK_EQ(sheaf__bucket_level(&b), 9);
  sheaf__bucket_give(&b, UINT64_MAX);
  CHECK_EQ(sheaf__bucket_level(&b), 10);
}

TEST(a_level_is_rounded_down_also_below_zero) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 600, 10, MINUTE, 0);
  b.level = -1;
  CHECK_EQ(sheaf__bucket_level(&b), -1);
  b.level = -U;
  CHECK_EQ(sheaf__bucket_level(&b), -1);
  b.level = U - 1;
  CHECK_EQ(sheaf__bucket_level(&b), 0);
  sheaf__bucket_set_level(&b, -3);
  CHECK_EQ(b.level, -3 * U);
  sheaf__bucket_set_level(&b, 11);
  CHECK_EQ(b.level, 10 * U);
}

TEST(another_rate_counts_from_its_moment_and_keeps_the_level) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 600, 10, MINUTE, 0);
  sheaf__bucket_take(&b, 10);
  sheaf__bucket_set(&b, 60, 5, SECOND / 2); /* 5 tokens at the old rate */
  CHECK_EQ(sheaf__bucket_level(&b), 5);
  sheaf__bucket_take(&b, 5);
  sheaf__bucket_refill(&b, SECOND / 2 + SECOND);
  CHECK_EQ(sheaf__bucket_level(&b), 1);
  sheaf__bucket_set(&b, 60, 1, SECOND / 2 + 4 * SECOND);
  CHECK_EQ(sheaf__bucket_level(&b), 1);
}

TEST(turned_on_later_it_starts_full) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 0, 1, MINUTE, 0);
  sheaf__bucket_set(&b, 600, 10, 7 * SECOND);
  CHECK_EQ(sheaf__bucket_level(&b), 10);
  CHECK_EQ(b.at_ns, 7 * SECOND);
}

TEST(a_clock_that_goes_back_brings_nothing) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, 600, 10, MINUTE, SECOND);
  sheaf__bucket_take(&b, 10);
  sheaf__bucket_refill(&b, 0);
  CHECK_EQ(sheaf__bucket_level(&b), 0);
  CHECK_EQ(sheaf__bucket_wait_ns(&b, 1, 0), 1100000000);
}

TEST(extremes_do_not_wrap) {
  sheaf__bucket b;
  sheaf__bucket_init(&b, UINT64_MAX, UINT64_MAX, MINUTE, 0);
  CHECK_EQ(b.limit, SHEAF__BUCKET_LIMIT_MAX);
  for (int i = 0; i < 40; i++) sheaf__bucket_take(&b, UINT64_MAX);
  CHECK(b.level < 0);
  CHECK(sheaf__bucket_wait_ns(&b, UINT64_MAX, 0) > 0);
  sheaf__bucket_refill(&b, UINT64_MAX - 1);
  CHECK_EQ(sheaf__bucket_level(&b), SHEAF__BUCKET_LIMIT_MAX);
  sheaf__bucket_set_level(&b, INT64_MIN);
  CHECK(b.level < 0);
  sheaf__bucket_set_level(&b, INT64_MAX);
  CHECK_EQ(sheaf__bucket_level(&b), SHEAF__BUCKET_LIMIT_MAX);
}

static const uint64_t windows[] = {MINUTE, 60 * MINUTE, 1440 * MINUTE};

static sheaf__bucket random_bucket(uint64_t now) {
  sheaf__bucket b;
  const uint64_t limit = 1 + random_below(random_below(2) ? 1000 : SHEAF__BUCKET_LIMIT_MAX);
  sheaf__bucket_init(&b, limit, 1 + random_below(limit / 10 + 1), windows[random_below(3)], now);
  return b;
}

TEST(refilling_in_two_steps_is_refilling_in_one) {
  for (int i = 0; i < 200000; i++) {
    const uint64_t start = random_below(1ull << 40);
    sheaf__bucket one = random_bucket(start);
    sheaf__bucket_take(&one, random_below(2 * one.cap));
    sheaf__bucket two = one;
    const uint64_t whole = random_below(1ull << random_below(50));
    const uint64_t part = random_below(whole + 1);
    sheaf__bucket_refill(&one, start + whole);
    sheaf__bucket_refill(&two, start + part);
    sheaf__bucket_refill(&two, start + whole);
    if (one.level != two.level || one.at_ns != two.at_ns) {
      CHECK_EQ(one.level, two.level);
      CHECK_EQ(one.at_ns, two.at_ns);
      return;
    }
  }
}

TEST(the_wait_is_exact_to_the_nanosecond) {
  for (int i = 0; i < 200000; i++) {
    uint64_t now = random_below(1ull << 40);
    sheaf__bucket b = random_bucket(now);
    sheaf__bucket_take(&b, random_below(3 * b.cap));
    now += random_below(SECOND);
    sheaf__bucket_refill(&b, now);
    const uint64_t cost = 1 + random_below(2 * b.cap);
    const uint64_t wait = sheaf__bucket_wait_ns(&b, cost, now);
    CHECK((wait == 0) == sheaf__bucket_may(&b, cost));
    if (wait == 0) continue;
    sheaf__bucket before = b;
    sheaf__bucket_refill(&before, now + wait - 1);
    sheaf__bucket_refill(&b, now + wait);
    CHECK(!sheaf__bucket_may(&before, cost));
    CHECK(sheaf__bucket_may(&b, cost));
  }
}

/* The model keeps no time of its own: its level is counted in ticks since the beginning, in 128 bits. */
typedef struct model {
  wide level, full;
  uint64_t start, tick, limit;
  wide ticks;
} model;

static void model_advance(model *m, uint64_t now) {
  const wide ticks = (wide)((now - m->start) / m->tick);
  m->level += (ticks - m->ticks) * (wide)m->limit;
  m->ticks = ticks;
  if (m->level > m->full) m->level = m->full;
}

static bool walk(uint64_t steps) {
  uint64_t now = random_below(1ull << 40);
  sheaf__bucket b = random_bucket(now);
  model m = {(wide)b.cap * U, (wide)b.cap * U, now, b.tick_ns, b.limit, 0};
  for (uint64_t i = 0; i < steps; i++) {
    now += random_below(1ull << (1 + random_below(34)));
    sheaf__bucket_refill(&b, now);
    model_advance(&m, now);
    const uint64_t cost = random_below(random_below(8) ? b.cap + 1 : 3 * b.cap);
    const wide wanted = (wide)(cost < b.cap ? cost : b.cap) * U;
    if (sheaf__bucket_may(&b, cost) != (m.level >= wanted)) return false;
    if (random_below(4) == 0) {
      sheaf__bucket_give(&b, cost);
      m.level += (wide)cost * U;
      if (m.level > m.full) m.level = m.full;
    } else if (sheaf__bucket_may(&b, cost) || random_below(16) == 0) {
      sheaf__bucket_take(&b, cost);
      m.level -= (wide)cost * U;
    }
    if (m.level != b.level || m.level > m.full) return false;
  }
  return true;
}

TEST(three_million_random_steps_agree_with_the_wide_model) {
  for (int i = 0; i < 300; i++) CHECK(walk(10000));
}

/* The checker keeps its own log of what was admitted and looks at every interval that ends at the newest. */
static bool keeps_to_its_rate(uint64_t cost_max) {
  enum { LOG = 256 };
  uint64_t at[LOG], cost[LOG];
  uint32_t count = 0;
  uint64_t now = 0;
  sheaf__bucket b = random_bucket(now);
  const wide window = (wide)b.tick_ns * U;
  const uint64_t over = cost_max > b.cap ? cost_max - b.cap : 0;
  while (count < LOG) {
    const uint64_t want = 1 + random_below(cost_max);
    sheaf__bucket_refill(&b, now);
    const uint64_t wait = sheaf__bucket_wait_ns(&b, want, now);
    if (wait) {
      now += wait + (random_below(3) ? 0 : random_below(wait));
      continue;
    }
    sheaf__bucket_take(&b, want);
    at[count] = now, cost[count] = want, count++;
    wide sum = 0;
    for (uint32_t i = count; i-- > 0;) {
      sum += (wide)cost[i];
      /* sum <= cap + over + limit * T / window, without the division; a tick is what the start may have had begun */
      const wide span = (wide)(now - at[i]) + (wide)b.tick_ns;
      if ((sum - (wide)b.cap - (wide)over) * window > (wide)b.limit * span) return false;
    }
    if (random_below(4) == 0) now += random_below(SECOND);
  }
  return true;
}

TEST(no_interval_admits_more_than_cap_plus_rate_plus_one_oversize) {
  for (int i = 0; i < 200; i++) CHECK(keeps_to_its_rate(1 + random_below(1000)));
}

int main(void) {
  RUN(a_new_bucket_is_full);
  RUN(a_bucket_without_a_limit_lets_everything_pass_and_keeps_no_account);
  RUN(a_token_comes_when_the_rate_says);
  RUN(a_cost_larger_than_the_bucket_passes_when_full_and_leaves_a_debt);
  RUN(giving_back_never_overfills);
  RUN(a_level_is_rounded_down_also_below_zero);
  RUN(another_rate_counts_from_its_moment_and_keeps_the_level);
  RUN(turned_on_later_it_starts_full);
  RUN(a_clock_that_goes_back_brings_nothing);
  RUN(extremes_do_not_wrap);
  RUN(refilling_in_two_steps_is_refilling_in_one);
  RUN(the_wait_is_exact_to_the_nanosecond);
  RUN(three_million_random_steps_agree_with_the_wide_model);
  RUN(no_interval_admits_more_than_cap_plus_rate_plus_one_oversize);
  return check_report();
}
