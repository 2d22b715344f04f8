/* test_window.c: when a group leaves: each rule to the nanosecond, what holds for all of them, and
 * what window auto costs beside the best of nine fixed windows. */
#include "flow/window.h"

#include <sheaf/engine.h>

#include <math.h>

#include "../support/check.h"
#include "base/random.h"

#define MS 1000000ull
#define SECOND 1000000000ull

static const sheaf__window_rule fixed_rule = {
    .kind = SHEAF_WINDOW_FIXED, .min_batch = 2, .window_ns = 100 * MS};
static const sheaf__window_rule eager_rule = {
    .kind = SHEAF_WINDOW_EAGER, .min_batch = 2, .window_ns = 100 * MS};
static const sheaf__window_rule auto_rule = {
    .kind = SHEAF_WINDOW_AUTO, .min_batch = 2, .window_ns = 100 * MS};

/* One member that came a second after the beginning, a busy gate, nothing of its key out, nothing
 * due. */
static sheaf__window_group lone(void) {
  return (sheaf__window_group){.members = 1,
                               .first_ns = SECOND,
                               .last_ns = SECOND,
                               .due_ns = SHEAF_NEVER,
                               .saving_nano = 10000,
                               .delay_cost_nano = 1000};
}

/* The answer is `at` up to a nanosecond before it, and 0 from then on. */
static void check_leaves_at(const sheaf__window_rule *rule, const sheaf__window_group *group,
                            uint64_t at) {
  CHECK_EQ(sheaf__window_close(rule, group, group->last_ns), at);
  CHECK_EQ(sheaf__window_close(rule, group, at - 1), at);
  CHECK_EQ(sheaf__window_close(rule, group, at), 0);
  CHECK_EQ(sheaf__window_close(rule, group, at + 1), 0);
}

TEST(nobody_never_leaves) {
  sheaf__window_group group = lone();
  group.members = 0;
  group.due_ns = 0;
  CHECK(sheaf__window_close(&fixed_rule, &group, 5 * SECOND) == SHEAF_NEVER);
  CHECK(sheaf__window_close(&eager_rule, &group, 5 * SECOND) == SHEAF_NEVER);
  CHECK(sheaf__window_close(&auto_rule, &group, 5 * SECOND) == SHEAF_NEVER);
}

/* ---- Fixed ---- */

TEST(fixed_waits_the_window_of_the_oldest_out) {
  sheaf__window_group group = lone();
  check_leaves_at(&fixed_rule, &group, SECOND + 100 * MS);
  group.members = 9;
  group.last_ns = SECOND + 99 * MS;
  check_leaves_at(&fixed_rule, &group, SECOND + 100 * MS);
  group.calls_out = true;
  check_leaves_at(&fixed_rule, &group, SECOND + 100 * MS);
}

TEST(fixed_leaves_early_with_min_batch_members_at_an_idle_gate) {
  sheaf__window_group group = lone();
  group.gate_idle = true;
  check_leaves_at(&fixed_rule, &group, SECOND + 100 * MS);
  group.members = 2;
  CHECK_EQ(sheaf__window_close(&fixed_rule, &group, SECOND), 0);
  group.gate_idle = false;
  check_leaves_at(&fixed_rule, &group, SECOND + 100 * MS);
  const sheaf__window_rule at_once = {
      .kind = SHEAF_WINDOW_FIXED, .min_batch = 1, .window_ns = 100 * MS};
  group = lone();
  group.gate_idle = true;
  CHECK_EQ(sheaf__window_close(&at_once, &group, SECOND), 0);
}

/* ---- Eager ---- */

TEST(eager_sends_a_lone_request_at_once) {
  sheaf__window_group group = lone();
  group.gate_idle = true;
  CHECK_EQ(sheaf__window_close(&eager_rule, &group, SECOND), 0);
  group.gate_idle = false; /* it takes its turn in the queue, where others may still join it */
  CHECK_EQ(sheaf__window_close(&eager_rule, &group, SECOND), 0);
}

TEST(eager_gathers_behind_a_call_that_is_out) {
  sheaf__window_group group = lone();
  group.gate_idle = true;
  group.calls_out = true;
  CHECK(sheaf__window_close(&eager_rule, &group, SECOND) == SHEAF_NEVER);
  CHECK(sheaf__window_close(&eager_rule, &group, 100 * SECOND) == SHEAF_NEVER);
  group.members = 7;
  CHECK(sheaf__window_close(&eager_rule, &group, SECOND) == SHEAF_NEVER);
  group.due_ns = 6 * SECOND;
  check_leaves_at(&eager_rule, &group, 6 * SECOND);
  group.calls_out = false;
  CHECK_EQ(sheaf__window_close(&eager_rule, &group, SECOND), 0);
}

/* ---- Auto: S = 10000 nano-USD a call, d = 1000 nano-USD a second: 2 * S / d = 20 s ---- */

TEST(auto_waits_for_silence_while_arrivals_are_unknown) {
  sheaf__window_group group = lone();
  check_leaves_at(&auto_rule, &group, 21 * SECOND);
  group.members = 2;
  group.last_ns = 3 * SECOND;
  check_leaves_at(&auto_rule, &group, 8 * SECOND); /* 20 s / 4 after the latest */
  group.members = 3; /* 20 s / 9 = 2.222222222.2 s: not a nanosecond too early */
  check_leaves_at(&auto_rule, &group, 3 * SECOND + 2222222223);
}

TEST(auto_leaves_at_once_where_arrivals_are_too_rare) {
  sheaf__window_group group = lone();
  group.gap_ns = 20 * SECOND - 1; /* 1 * 1 * d against 2 * S / gap */
  check_leaves_at(&auto_rule, &group, 21 * SECOND);
  group.gap_ns = 20 * SECOND;
  CHECK_EQ(sheaf__window_close(&auto_rule, &group, SECOND), 0);
  group.gap_ns = SHEAF_NEVER;
  CHECK_EQ(sheaf__window_close(&auto_rule, &group, SECOND), 0);
}

TEST(auto_gathers_the_economic_quantity) {
  /* One every 50 ms: 2 * 20 * 10 = 400 = n*n, so 20 leave and 19 do not. */
  sheaf__window_group group = lone();
  group.gap_ns = 50 * MS;
  group.members = 19;
  group.last_ns = SECOND + 18 * 50 * MS;
  const uint64_t silence = 55401663; /* 20 s / 361 = 0.0554016620.. s, rounded up */
  check_leaves_at(&auto_rule, &group, group.last_ns + silence);
  group.members = 20;
  group.last_ns = SECOND + 19 * 50 * MS;
  CHECK_EQ(sheaf__window_close(&auto_rule, &group, group.last_ns), 0);
}

TEST(auto_believes_the_group_over_a_pause_before_it) {
  /* The average is 6 s because of a pause, but three members came within 3 ms: their mean is 2.001
   * s < 20 s / 9. */
  sheaf__window_group group = lone();
  group.members = 3;
  group.gap_ns = 6 * SECOND;
  group.last_ns = SECOND + 3 * MS;
  check_leaves_at(&auto_rule, &group, SECOND + 3 * MS + 2222222223);
}

TEST(auto_waits_until_full_or_due_where_waiting_is_free) {
  sheaf__window_group group = lone();
  group.delay_cost_nano = 0;
  group.gap_ns = 3600 * SECOND;
  CHECK(sheaf__window_close(&auto_rule, &group, 9999 * SECOND) == SHEAF_NEVER);
  group.due_ns = 6 * SECOND;
  check_leaves_at(&auto_rule, &group, 6 * SECOND);
  group.full = true;
  CHECK_EQ(sheaf__window_close(&auto_rule, &group, SECOND), 0);
}

TEST(auto_leaves_at_once_where_nothing_is_saved) {
  sheaf__window_group group = lone();
  group.saving_nano = 0;
  CHECK_EQ(sheaf__window_close(&auto_rule, &group, SECOND), 0);
  group.delay_cost_nano = 0;
  CHECK_EQ(sheaf__window_close(&auto_rule, &group, SECOND), 0);
}

TEST(auto_is_exact_where_the_product_is_over_64_bits) {
  sheaf__window_group group = lone();
  group.saving_nano = 1000000000000; /* 2 * 10^9 * 10^12 > 2^64 */
  group.delay_cost_nano = 1000000000000;
  check_leaves_at(&auto_rule, &group, 3 * SECOND); /* 2 s after a second */
  group.members = 3;
  check_leaves_at(&auto_rule, &group, SECOND + 222222223);
  group.members = 1;
  group.delay_cost_nano = 7; /* 2 * 10^21 / 7 is over 2^64 ns: 9000 years */
  CHECK(sheaf__window_close(&auto_rule, &group, SHEAF_NEVER - 1) == SHEAF_NEVER);
  group.delay_cost_nano = 997; /* 2 * 10^21 / 997 = 2006018054162487462.387 */
  CHECK(sheaf__window_close(&auto_rule, &group, SECOND) == SECOND + 2006018054162487463u);
}

TEST(auto_saturates_instead_of_wrapping) {
  sheaf__window_group group = lone();
  group.members = UINT32_MAX;
  group.saving_nano = group.delay_cost_nano = UINT64_MAX;
  check_leaves_at(&auto_rule, &group, SECOND + 2000000000); /* both at the end of the range */
  group.members = 1;
  group.first_ns = group.last_ns = SHEAF_NEVER - 1;
  CHECK(sheaf__window_close(&auto_rule, &group, SHEAF_NEVER - 1) == SHEAF_NEVER);
  const sheaf__window_rule endless = {
      .kind = SHEAF_WINDOW_FIXED, .min_batch = 2, .window_ns = 100 * MS};
  CHECK(sheaf__window_close(&endless, &group, SHEAF_NEVER - 1) == SHEAF_NEVER);
}

/* ---- All kinds ---- */

TEST(full_urgent_and_due_groups_leave_at_once) {
  const sheaf__window_rule *rules[] = {&fixed_rule, &eager_rule, &auto_rule};
  for (int i = 0; i < 3; i++) {
    sheaf__window_group group = lone();
    group.calls_out = true;
    CHECK(sheaf__window_close(rules[i], &group, SECOND) != 0);
    group.full = true;
    CHECK_EQ(sheaf__window_close(rules[i], &group, SECOND), 0);
    group.full = false;
    group.urgent = true;
    CHECK_EQ(sheaf__window_close(rules[i], &group, SECOND), 0);
    group.urgent = false;
    group.due_ns = SECOND + 7;
    check_leaves_at(rules[i], &group, SECOND + 7);
  }
}

TEST(deferrable_members_wait_for_company_even_at_an_idle_gate) {
  const sheaf__window_rule *rules[] = {&fixed_rule, &eager_rule, &auto_rule};
  for (int i = 0; i < 3; i++) {
    sheaf__window_group group = lone();
    group.only_deferrable = true;
    group.gate_idle = true;
    group.members = 5;
    group.gap_ns = 100 * SECOND;
    CHECK(sheaf__window_close(rules[i], &group, 1000 * SECOND) == SHEAF_NEVER);
    group.due_ns = 6 * SECOND;
    check_leaves_at(rules[i], &group, 6 * SECOND);
    group.full = true;
    CHECK_EQ(sheaf__window_close(rules[i], &group, SECOND), 0);
  }
}

static uint64_t draw(uint64_t seed, uint64_t i, uint64_t n) {
  return sheaf__draw(seed, n, SHEAF__DRAW_TEST, i, 0);
}

/* Numbers of every size, the ends of the range among them. */
static uint64_t any(uint64_t seed, uint64_t i) {
  if (draw(seed, i, 9) == 0) return draw(seed, i + 1, 1) ? SHEAF_NEVER : 0;
  return draw(seed, i + 2, SHEAF_NEVER) >> draw(seed, i + 3, 63);
}

static sheaf__window_group any_group(uint64_t seed) {
  sheaf__window_group group = {.members = (uint32_t)draw(seed, 1, 60),
                               .full = draw(seed, 2, 9) == 0,
                               .urgent = draw(seed, 3, 9) == 0,
                               .only_deferrable = draw(seed, 4, 4) == 0,
                               .calls_out = draw(seed, 5, 1),
                               .gate_idle = draw(seed, 6, 1),
                               .first_ns = any(seed, 10),
                               .due_ns = any(seed, 20),
                               .gap_ns = any(seed, 30),
                               .saving_nano = any(seed, 40),
                               .delay_cost_nano = any(seed, 50)};
  uint64_t later = any(seed, 60) >> 20;
  group.last_ns = group.first_ns > SHEAF_NEVER - later ? SHEAF_NEVER : group.first_ns + later;
  return group;
}

TEST(random_groups_leave_once_and_in_time) {
  uint32_t waits = 0, leaves = 0;
  for (uint64_t seed = 1; seed <= 20000; seed++) {
    const sheaf__window_group group = any_group(seed);
    const sheaf__window_rule rule = {.kind = (uint32_t)draw(seed, 70, 2),
                                     .min_batch = (uint32_t)draw(seed, 71, 19) + 1,
                                     .window_ns = any(seed, 72)};
    const uint64_t now = any(seed, 80);
    const uint64_t at = sheaf__window_close(&rule, &group, now);
    if (group.members == 0) {
      CHECK(at == SHEAF_NEVER);
      continue;
    }
    if (group.full || group.urgent || group.due_ns <= now) CHECK_EQ(at, 0);
    const uint64_t later = now + (SHEAF_NEVER - now) / (1 + draw(seed, 90, 1000));
    if (at == 0) {
      leaves++;
      CHECK_EQ(sheaf__window_close(&rule, &group, later), 0); /* it stays so */
      continue;
    }
    waits++;
    CHECK(at > now && at <= group.due_ns);
    CHECK(sheaf__window_close(&rule, &group, at - 1) == at);
    CHECK_EQ(sheaf__window_close(&rule, &group, at), 0);
    CHECK(sheaf__window_close(&rule, &group, later) == (later < at ? at : 0));
  }
  CHECK(waits > 1000 && leaves > 1000); /* both were met */
}

TEST(the_mean_gap_moves_by_an_eighth) {
  CHECK_EQ(sheaf__window_gap(0, 800), 800);
  CHECK_EQ(sheaf__window_gap(800, 800), 800);
  CHECK_EQ(sheaf__window_gap(800, 1600), 900);
  CHECK_EQ(sheaf__window_gap(800, 0), 700);
  CHECK_EQ(sheaf__window_gap(0, 0), 1); /* known from now on */
  CHECK_EQ(sheaf__window_gap(1, 0), 1);
  CHECK(sheaf__window_gap(SHEAF_NEVER, SHEAF_NEVER) == SHEAF_NEVER);
  CHECK(sheaf__window_gap(1, SHEAF_NEVER) == 1 + (SHEAF_NEVER - 1) / 8);
  CHECK(sheaf__window_gap(SHEAF_NEVER, 0) == SHEAF_NEVER - SHEAF_NEVER / 8);
}

/* ---- What window auto costs: calls * saving + seconds waited * delay_cost, over 20000 arrivals
 * ---- */

enum { ARRIVALS = 20000, WINDOWS = 9 };
static const double saving = 10000, delay_cost = 1000; /* the options' defaults */
static uint64_t came[ARRIVALS];

/* -log of a uniform draw: mean 1. */
static double exponential(uint64_t seed, uint64_t i) {
  return -log(((double)draw(seed, i, 999999999) + 0.5) / 1e9);
}

static void arrive_steadily(uint64_t seed, double per_s) {
  double at = 1e9;
  for (uint64_t i = 0; i < ARRIVALS; i++) {
    at += exponential(seed, i) / per_s * 1e9;
    came[i] = (uint64_t)at;
  }
}

/* Bursts of 1 to 39, 20 on average, five times as fast as the mean; pauses between them make up for
 * it. */
static void arrive_in_bursts(uint64_t seed, double per_s) {
  double at = 1e9;
  uint64_t drawn = 0, left = 0;
  for (uint64_t i = 0; i < ARRIVALS; i++) {
    at += exponential(seed, drawn++) / per_s / 5 * 1e9;
    if (left == 0) {
      at += exponential(seed, drawn++) * 16 / per_s * 1e9;
      left = 1 + draw(seed, drawn++, 38);
    }
    left--;
    came[i] = (uint64_t)at;
  }
}

/* A group's members wait until it leaves. */
static double cost_of(uint64_t members, double sum_came, uint64_t leaves) {
  return saving + ((double)leaves * (double)members - sum_came) * delay_cost / 1e9;
}

/* What the rule under test costs: it is asked at each arrival and when it said. */
static double cost_of_auto(uint32_t max_batch) {
  sheaf__window_group group = {
      .due_ns = SHEAF_NEVER, .saving_nano = 10000, .delay_cost_nano = 1000};
  double cost = 0, sum = 0;
  uint64_t wake = SHEAF_NEVER, gap = 0;
  for (uint64_t i = 0; i <= ARRIVALS; i++) {
    if (group.members > 0 && (i == ARRIVALS || wake <= came[i])) {
      CHECK_EQ(sheaf__window_close(&auto_rule, &group, wake), 0);
      cost += cost_of(group.members, sum, wake);
      group.members = 0;
    }
    if (i == ARRIVALS) break;
    if (i > 0) gap = sheaf__window_gap(gap, came[i] - came[i - 1]);
    if (group.members == 0) group.first_ns = came[i], sum = 0;
    group.members++;
    group.full = group.members == max_batch;
    group.last_ns = came[i];
    group.gap_ns = gap;
    sum += (double)came[i];
    wake = sheaf__window_close(&auto_rule, &group, came[i]);
    if (wake != 0) continue;
    cost += cost_of(group.members, sum, came[i]);
    group.members = 0;
  }
  return cost;
}

/* A fixed window, by its definition. */
static double cost_of_fixed(double window_ns, uint32_t max_batch) {
  double cost = 0;
  for (uint64_t i = 0; i < ARRIVALS;) {
    uint64_t leaves = came[i] + (uint64_t)window_ns, members = 0;
    double sum = 0;
    for (; i < ARRIVALS && came[i] <= leaves && members < max_batch; i++, members++)
      sum += (double)came[i];
    if (members == max_batch) leaves = came[i - 1];
    cost += cost_of(members, sum, leaves);
  }
  return cost;
}

/* Auto's cost over that of the best window, which is known only afterwards; the windows are shares
 * and multiples of the economic one for these arrivals. */
static double auto_to_best(double per_s, uint32_t max_batch) {
  static const double shares[WINDOWS] = {0, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5};
  const double economic_ns = sqrt(2 * saving / (delay_cost * per_s)) * 1e9;
  double best = cost_of_fixed(0, max_batch);
  for (int i = 1; i < WINDOWS; i++)
    best = fmin(best, cost_of_fixed(shares[i] * economic_ns, max_batch));
  return cost_of_auto(max_batch) / best;
}

/* Groups of 0.6, 3, 6 (and 14, which max_batch cuts) would be the economic ones. */
static const double rates[] = {0.02, 0.5, 2, 10};

TEST(auto_costs_at_most_5_percent_more_than_the_best_window) {
  for (uint64_t i = 0; i < 4; i++) {
    arrive_steadily(i + 1, rates[i]);
    CHECK(auto_to_best(rates[i], 10) < 1.05);
    arrive_in_bursts(i + 11, rates[i]);
    CHECK(auto_to_best(rates[i], 10) < 1.05);
  }
}

/* Where it is weakest: sparse bursts, and groups of 60, which a short silence sends off too
 * early. */
TEST(auto_costs_at_most_12_percent_more_where_it_is_weakest) {
  for (uint64_t seed = 21; seed <= 23; seed++) {
    arrive_in_bursts(seed, 0.1);
    CHECK(auto_to_best(0.1, 10) < 1.12);
    arrive_steadily(seed, 200);
    CHECK(auto_to_best(200, UINT32_MAX) < 1.12);
    arrive_in_bursts(seed, 200);
    CHECK(auto_to_best(200, UINT32_MAX) < 1.12);
  }
}

int main(void) {
  RUN(nobody_never_leaves);
  RUN(fixed_waits_the_window_of_the_oldest_out);
  RUN(fixed_leaves_early_with_min_batch_members_at_an_idle_gate);
  RUN(eager_sends_a_lone_request_at_once);
  RUN(eager_gathers_behind_a_call_that_is_out);
  RUN(auto_waits_for_silence_while_arrivals_are_unknown);
  RUN(auto_leaves_at_once_where_arrivals_are_too_rare);
  RUN(auto_gathers_the_economic_quantity);
  RUN(auto_believes_the_group_over_a_pause_before_it);
  RUN(auto_waits_until_full_or_due_where_waiting_is_free);
  RUN(auto_leaves_at_once_where_nothing_is_saved);
  RUN(auto_is_exact_where_the_product_is_over_64_bits);
  RUN(auto_saturates_instead_of_wrapping);
  RUN(full_urgent_and_due_groups_leave_at_once);
  RUN(deferrable_members_wait_for_company_even_at_an_idle_gate);
  RUN(random_groups_leave_once_and_in_time);
  RUN(the_mean_gap_moves_by_an_eighth);
  RUN(auto_costs_at_most_5_percent_more_than_the_best_window);
  RUN(auto_costs_at_most_12_percent_more_where_it_is_weakest);
  return check_report();
}
