/* test_pool.c: limits, headers, cooldown, learned rate, settling and the retry budget of a pool (algorithms.md 1-3, 5, 7). */
#include "flow/pool.h"

#include <sheaf/stats.h>

#include "../support/check.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define MINUTE SHEAF__MINUTE_NS

#define REQUESTS SHEAF_RESOURCE_REQUESTS
#define TOKENS SHEAF_RESOURCE_TOKENS
#define INPUT SHEAF_RESOURCE_INPUT_TOKENS
#define OUTPUT SHEAF_RESOURCE_OUTPUT_TOKENS

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_below(uint64_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % n;
}

static sheaf__pool_options options(void) {
  return (sheaf__pool_options){.rate_safety_pct = 98, .burst_ms = 1000, .seed = 9, .key = 1};
}

static sheaf__pool pool_with(sheaf__pool_options o) {
  sheaf__pool p;
  sheaf__pool_init(&p, &o, 0);
  return p;
}

static sheaf__pool unknown_pool(void) {
  return pool_with(options());
}

static sheaf__pool pool_of_rpm(uint64_t rpm) {
  sheaf__pool_options o = options();
  o.rpm = rpm;
  return pool_with(o);
}

static const sheaf__cost small = {100, 50};

static uint64_t gate(sheaf__pool *p, const sheaf__cost *cost, uint64_t now) {
  uint32_t by;
  return sheaf__pool_gate(p, cost, now, &by);
}

static uint32_t limited_by(sheaf__pool *p, uint64_t now) {
  uint32_t by;
  sheaf__pool_gate(p, &small, now, &by);
  return by;
}

static int64_t level(const sheaf__pool *p, uint32_t r) {
  return sheaf__bucket_level(&p->meters[r].bucket);
}

static sheaf_limit told(uint32_t resource, int64_t limit, int64_t remaining, uint64_t reset_ns) {
  return (sheaf_limit){
      .resource = resource, .limit = limit, .remaining = remaining, .reset_ns = reset_ns};
}

/* One exchange whose head says l. */
static void head_says(sheaf__pool *p, uint64_t id, bool success, sheaf_limit l, uint64_t now) {
  sheaf__pool_take(p, &small, id, now);
  sheaf__pool_on_head(p, &small, id, success, &l, 1, now);
}

/* ---- Stated limits ---- */

TEST(a_pool_of_which_nothing_is_known_holds_nothing_back) {
  sheaf__pool p = unknown_pool();
  for (uint64_t i = 0; i < 1000; i++) {
    CHECK_EQ(gate(&p, &small, 0), 0);
    sheaf__pool_take(&p, &small, i, 0);
  }
  CHECK_EQ(limited_by(&p, 0), SHEAF_LIMITED_BY_NOTHING);
}

/* 98 % of 600 are 588 a minute; a second of it are 9 at once. */
TEST(a_stated_rate_is_kept_two_percent_below_with_bursts_of_a_second) {
  sheaf__pool p = pool_of_rpm(600);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 588);
  CHECK_EQ(p.meters[REQUESTS].bucket.cap, 9);
  for (uint64_t i = 0; i < 9; i++) {
    CHECK_EQ(gate(&p, &small, 0), 0);
    sheaf__pool_take(&p, &small, i, 0);
  }
  uint32_t by;
  const uint64_t at = sheaf__pool_gate(&p, &small, 0, &by);
  CHECK_EQ(by, SHEAF_LIMITED_BY_RATE);
  CHECK_EQ(at,
           (60000000 + 587) / 588 * 1000); /* ceil of a token's time in ticks of a microsecond */
  CHECK(gate(&p, &small, at - 1) != 0);
  CHECK_EQ(gate(&p, &small, at), 0);
}

TEST(a_rate_is_at_least_one_and_huge_ones_are_held_to_the_range) {
  sheaf__pool p = pool_of_rpm(1);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 1);
  CHECK_EQ(p.meters[REQUESTS].bucket.cap, 1);
  p = pool_of_rpm(UINT64_MAX);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, SHEAF__BUCKET_LIMIT_MAX / 100 * 98);
}

TEST(each_resource_counts_its_own) {
  sheaf__pool_options o = options();
  o.rpm = o.tpm = o.input_tpm = o.output_tpm = 6000000; /* cap 98000 */
  sheaf__pool p = pool_with(o);
  sheaf__pool_take(&p, &small, 1, 0);
  CHECK_EQ(level(&p, REQUESTS), 97999);
  CHECK_EQ(level(&p, TOKENS), 97850);
  CHECK_EQ(level(&p, INPUT), 97900);
  CHECK_EQ(level(&p, OUTPUT), 97950);
}

TEST(the_gate_names_the_time_when_all_resources_suffice) {
  sheaf__pool_options o = options();
  o.rpm = 600;
  o.output_tpm = 6000;
  sheaf__pool p = pool_with(o);
  const sheaf__cost cost = {1, 98};
  uint64_t now = 0;
  for (uint64_t i = 0; i < 50; i++) {
    const uint64_t at = gate(&p, &cost, now);
    if (at) {
      CHECK(at > now);
      CHECK(gate(&p, &cost, at - 1) != 0);
      CHECK_EQ(gate(&p, &cost, at), 0);
      now = at;
    }
    sheaf__pool_take(&p, &cost, i, now);
  }
  CHECK(now >= 48 * SECOND); /* 98 of 5880 output tokens a minute: one a second */
}

TEST(starts_keep_their_interval) {
  sheaf__pool_options o = options();
  o.start_interval_ms = 250;
  sheaf__pool p = pool_with(o);
  CHECK_EQ(gate(&p, &small, 0), 0);
  sheaf__pool_take(&p, &small, 1, 0);
  CHECK_EQ(gate(&p, &small, 1), 250 * MS);
  CHECK_EQ(limited_by(&p, 1), SHEAF_LIMITED_BY_RATE);
  CHECK_EQ(gate(&p, &small, 250 * MS), 0);
}

TEST(a_request_larger_than_a_whole_limit_can_never_pass) {
  sheaf__pool_options o = options();
  o.tpm = 10000;
  sheaf__pool p = pool_with(o);
  const sheaf__cost fits = {6000, 4000}, large = {6000, 4001};
  CHECK(!sheaf__pool_too_large(&p, &fits));
  CHECK(sheaf__pool_too_large(&p, &large));
  p.meters[TOKENS].told = 9000;
  CHECK(sheaf__pool_too_large(&p, &fits));
  p = unknown_pool();
  CHECK(!sheaf__pool_too_large(&p, &large));
  p.meters[OUTPUT].told = 4000;
  CHECK(sheaf__pool_too_large(&p, &large));
}

/* ---- Headers ---- */

TEST(a_told_limit_is_adopted_after_two_heads_in_a_row_agree) {
  sheaf__pool p = unknown_pool();
  head_says(&p, 1, true, told(REQUESTS, 6000, 5999, SHEAF_NEVER), 0);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 0);
  head_says(&p, 2, true, told(REQUESTS, 5000, 4999, SHEAF_NEVER), 0);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 0);
  head_says(&p, 3, true, told(REQUESTS, 5000, 4998, SHEAF_NEVER), 0);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 4900);
  CHECK_EQ(p.meters[REQUESTS].told, 5000);
  head_says(&p, 4, true, told(REQUESTS, 100, 50, SHEAF_NEVER), 0);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 4900);
}

TEST(headers_lower_a_stated_limit_but_never_raise_it) {
  sheaf__pool p = pool_of_rpm(1000);
  for (uint64_t i = 0; i < 2; i++)
    head_says(&p, i, true, told(REQUESTS, 5000, 4000, SHEAF_NEVER), 0);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 980);
  for (uint64_t i = 2; i < 4; i++) head_says(&p, i, true, told(REQUESTS, 500, 400, SHEAF_NEVER), 0);
  CHECK_EQ(p.meters[REQUESTS].bucket.limit, 490);
}

TEST(nonsense_in_headers_is_ignored) {
  static const int64_t bad[][2] = {{0, 0},     {-1, 5},           {100, -1},
                                   {100, 101}, {SHEAF_ABSENT, 5}, {-5, SHEAF_ABSENT}};
  sheaf__pool p = pool_of_rpm(6000);
  const int64_t before = level(&p, REQUESTS);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    for (uint64_t n = 0; n < 3; n++) {
      const sheaf_limit l = told(REQUESTS, bad[i][0], bad[i][1], SECOND);
      const sheaf__cost nothing = {0, 0};
      sheaf__pool_take(&p, &nothing, n, 0);
      sheaf__bucket_give(&p.meters[REQUESTS].bucket, 1);
      sheaf__pool_on_head(&p, &nothing, n, true, &l, 1, 0);
    }
  }
  CHECK_EQ(p.meters[REQUESTS].told, SHEAF_ABSENT);
  CHECK_EQ(level(&p, REQUESTS), before);
  const sheaf_limit strange = told(77, 10, 5, 1);
  sheaf__pool_take(&p, &small, 1, 0);
  sheaf__pool_on_head(&p, &small, 1, true, &strange, 1, 0);
}

/* Two others are out, with 1 request and 150 tokens each: those are taken off what the server says is left. */
TEST(less_than_we_thought_counts_at_once_and_what_is_unacknowledged_is_taken_off) {
  sheaf__pool_options o = options();
  o.tpm = 6000000;
  sheaf__pool p = pool_with(o);
  sheaf__pool_take(&p, &small, 1, 0);
  sheaf__pool_take(&p, &small, 2, 0);
  CHECK_EQ(p.meters[TOKENS].unacked, 300);
  head_says(&p, 3, true, told(TOKENS, 6000000, 40000, SHEAF_NEVER), 0);
  CHECK_EQ(level(&p, TOKENS), 39700);
  head_says(&p, 4, true, told(TOKENS, 6000000, 100, SHEAF_NEVER), 0);
  CHECK_EQ(level(&p, TOKENS), -200);
  CHECK_EQ(p.meters[TOKENS].unacked, 300);
}

TEST(more_than_we_thought_counts_by_an_eighth_and_up_to_the_cap) {
  sheaf__pool_options o = options();
  o.tpm = 6000000;
  sheaf__pool p = pool_with(o);
  const sheaf__cost all = {90000, 8000};
  sheaf__pool_take(&p, &all, 1, 0);
  CHECK_EQ(level(&p, TOKENS), 0);
  sheaf_limit l = told(TOKENS, 6000000, 80000, SHEAF_NEVER);
  sheaf__pool_on_head(&p, &all, 1, true, &l, 1, 0);
  CHECK_EQ(level(&p, TOKENS), 10000); /* (80000 - 0) / 8 */
  l.remaining = 6000000;
  for (uint64_t i = 0; i < 3; i++) {
    const sheaf__cost nothing = {0, 0};
    sheaf__pool_take(&p, &nothing, 2 + i, 0);
    sheaf__pool_on_head(&p, &nothing, 2 + i, true, &l, 1, 0);
  }
  CHECK_EQ(level(&p, TOKENS), 98000);
}

/* Replies that were seen in the wild: both speak of a minute. */
TEST(a_reset_until_full_tells_the_window) {
  sheaf__pool p = unknown_pool();
  for (uint64_t i = 0; i < 20; i++) head_says(&p, i, true, told(REQUESTS, 5000, 4999, 12 * MS), 0);
  CHECK_EQ(p.meters[REQUESTS].window_ns, MINUTE);
  for (uint64_t i = 0; i < 20; i++) head_says(&p, i, true, told(TOKENS, 160000, 159976, 9 * MS), 0);
  CHECK_EQ(p.meters[TOKENS].window_ns, MINUTE);
}

TEST(another_window_is_adopted_after_five_replies_in_a_row) {
  static const struct {
    int64_t limit, remaining;
    uint64_t reset_ns, window_ns, bucket_limit, tick_ns;
  } cases[] = {
      {200, 199, 432 * SECOND, 1440 * MINUTE, 196, 1440000}, /* a day's 200, full in 7m12s */
      {1000, 990, 36 * SECOND, 60 * MINUTE, 980, 60000},     /* an hour's */
      {10, 5, 500 * MS, SECOND, 588, 1000},                  /* a second's 10 are 600 a minute */
      {1000, 900, 5500 * MS, MINUTE, 980, 1000},             /* 55 s: near enough to a minute */
      {1000, 900, 2 * SECOND, MINUTE, 980, 1000},            /* 20 s: no window at all */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sheaf__pool p = unknown_pool();
    const sheaf_limit l = told(REQUESTS, cases[i].limit, cases[i].remaining, cases[i].reset_ns);
    for (uint64_t n = 0; n < 4; n++) head_says(&p, n, true, l, 0);
    CHECK_EQ(p.meters[REQUESTS].window_ns, MINUTE);
    head_says(&p, 4, true, l, 0);
    CHECK_EQ(p.meters[REQUESTS].window_ns, cases[i].window_ns);
    CHECK_EQ(p.meters[REQUESTS].bucket.limit, cases[i].bucket_limit);
    CHECK_EQ(p.meters[REQUESTS].bucket.tick_ns, cases[i].tick_ns);
  }
}

TEST(replies_that_disagree_on_the_window_start_the_count_again) {
  sheaf__pool p = unknown_pool();
  for (uint64_t i = 0; i < 20; i++) {
    const uint64_t reset = i % 5 == 4 ? 12 * MS : 720 * MS; /* an hour four times, then a minute */
    head_says(&p, i, true, told(REQUESTS, 5000, 4999, reset), 0);
  }
  CHECK_EQ(p.meters[REQUESTS].window_ns, MINUTE);
}

TEST(the_end_of_a_fixed_window_with_nothing_left_is_waited_for) {
  sheaf__pool p = unknown_pool();
  sheaf_limit l = told(REQUESTS, 100, 0, 17 * SECOND);
  l.is_window = true;
  head_says(&p, 1, true, l, SECOND);
  CHECK_EQ(gate(&p, &small, SECOND), 18 * SECOND);
  CHECK_EQ(limited_by(&p, SECOND), SHEAF_LIMITED_BY_RATE);
}

TEST(of_two_limits_of_one_resource_the_first_counts) {
  sheaf__pool p = unknown_pool();
  const sheaf_limit two[] = {told(REQUESTS, 600, 500, SHEAF_NEVER),
                             told(REQUESTS, 10000, 9000, SHEAF_NEVER)};
  for (uint64_t i = 0; i < 3; i++) {
    sheaf__pool_take(&p, &small, i, 0);
    sheaf__pool_on_head(&p, &small, i, true, two, 2, 0);
  }
  CHECK_EQ(p.meters[REQUESTS].told, 600);
}

/* ---- Cooldown ---- */

/* d and up to min(1 s, d / 10 + 250 ms) more. */
TEST(a_refusal_pauses_the_pool_for_what_the_server_says) {
  for (uint64_t index = 0; index < 200; index++) {
    sheaf__pool p = unknown_pool();
    const uint64_t until = sheaf__pool_on_refusal(&p, 5 * SECOND, true, index, 0, SECOND);
    CHECK(until >= 6 * SECOND && until <= 6 * SECOND + 750 * MS);
    CHECK_EQ(gate(&p, &small, SECOND), until);
    CHECK_EQ(gate(&p, &small, until - 1), until);
    CHECK_EQ(limited_by(&p, SECOND), SHEAF_LIMITED_BY_PAUSE);
  }
}

TEST(untold_pauses_double_up_to_thirty_seconds) {
  static const uint64_t base_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
  sheaf__pool p = unknown_pool();
  uint64_t now = 0;
  for (uint64_t i = 0; i < sizeof base_ms / sizeof *base_ms; i++) {
    const uint64_t until = sheaf__pool_on_refusal(&p, SHEAF_NEVER, false, i, 0, now);
    CHECK(until - now >= base_ms[i] * MS);
    CHECK(until - now <= base_ms[i] * MS + SECOND);
    now = until;
  }
  sheaf__pool_take(&p, &small, 1, now);
  sheaf__pool_on_head(&p, &small, 1, true, NULL, 0, now);
  const uint64_t until = sheaf__pool_on_refusal(&p, SHEAF_NEVER, false, 99, 0, now);
  CHECK(until - now <= 800 * MS); /* from the beginning after a 2xx */
}

TEST(the_other_refusals_of_one_burst_are_no_further_steps) {
  sheaf__pool p = unknown_pool();
  uint64_t until = 0;
  for (uint64_t i = 0; i < 64; i++)
    until = sheaf__pool_on_refusal(&p, SHEAF_NEVER, true, i, 0, i * MS);
  CHECK(until >= 500 * MS && until <= 64 * MS + 800 * MS);
  CHECK_EQ(p.pause_steps, 1);
}

/* What was sent before the refusal may still succeed: the next refusal after the pause is a further step all the same. */
TEST(a_success_of_before_does_not_reset_the_steps) {
  sheaf__pool p = unknown_pool();
  sheaf__pool_take(&p, &small, 1, 0);
  const uint64_t until = sheaf__pool_on_refusal(&p, SHEAF_NEVER, false, 0, 0, 0);
  sheaf__pool_on_head(&p, &small, 1, true, NULL, 0, until - 1);
  CHECK_EQ(p.pause_steps, 1);
  CHECK(sheaf__pool_on_refusal(&p, SHEAF_NEVER, false, 1, 0, until) >= until + SECOND);
}

TEST(a_pause_is_never_shortened) {
  sheaf__pool p = unknown_pool();
  const uint64_t long_one = sheaf__pool_on_refusal(&p, 60 * SECOND, false, 0, 0, 0);
  CHECK_EQ(sheaf__pool_on_refusal(&p, SECOND, false, 1, 0, SECOND), long_one);
  CHECK(sheaf__pool_on_refusal(&p, SHEAF_NEVER - 1, false, 1, 0, SECOND) > long_one);
}

TEST(after_a_pause_one_probe_leaves_and_the_rest_follow_at_its_success) {
  sheaf__pool p = unknown_pool();
  const uint64_t until = sheaf__pool_on_refusal(&p, SECOND, false, 0, 0, 0);
  CHECK_EQ(gate(&p, &small, until), 0);
  sheaf__pool_take(&p, &small, 7, until);
  CHECK_EQ(gate(&p, &small, until), until + 2 * SECOND);
  CHECK_EQ(limited_by(&p, until), SHEAF_LIMITED_BY_PAUSE);
  sheaf__pool_on_head(&p, &small, 7, true, NULL, 0, until + MS);
  CHECK_EQ(gate(&p, &small, until + MS), 0);
}

TEST(the_head_of_another_exchange_does_not_speak_for_the_probe) {
  sheaf__pool p = unknown_pool();
  sheaf__pool_take(&p, &small, 3, 0);
  const uint64_t until = sheaf__pool_on_refusal(&p, SECOND, false, 0, 0, 0);
  sheaf__pool_take(&p, &small, 7, until);
  sheaf__pool_on_head(&p, &small, 3, true, NULL, 0, until);
  CHECK(gate(&p, &small, until) != 0);
  sheaf__pool_on_head(&p, &small, 7, false, NULL, 0, until);
  CHECK(gate(&p, &small, until) != 0); /* it was no success either */
}

TEST(without_an_answer_of_the_probe_the_rest_follow_after_two_seconds) {
  sheaf__pool p = unknown_pool();
  const uint64_t until = sheaf__pool_on_refusal(&p, SECOND, false, 0, 0, 0);
  sheaf__pool_take(&p, &small, 7, until);
  CHECK(gate(&p, &small, until + 2 * SECOND - 1) != 0);
  CHECK_EQ(gate(&p, &small, until + 2 * SECOND), 0);
}

TEST(a_refused_probe_pauses_again) {
  sheaf__pool p = unknown_pool();
  const uint64_t until = sheaf__pool_on_refusal(&p, SECOND, false, 0, 0, 0);
  sheaf__pool_take(&p, &small, 7, until);
  sheaf__pool_on_head(&p, &small, 7, false, NULL, 0, until);
  const uint64_t again = sheaf__pool_on_refusal(&p, SECOND, false, 7, 0, until);
  CHECK(again >= until + SECOND);
  CHECK_EQ(gate(&p, &small, again - 1), again);
  CHECK_EQ(gate(&p, &small, again), 0);
  sheaf__pool_take(&p, &small, 8, again);
  CHECK(gate(&p, &small, again) != 0); /* and one probe again */
}

TEST(a_probe_that_was_lost_is_replaced) {
  sheaf__pool p = unknown_pool();
  const uint64_t until = sheaf__pool_on_refusal(&p, SECOND, false, 0, 0, 0);
  sheaf__pool_take(&p, &small, 7, until);
  sheaf__pool_on_headless(&p, &small, 7, until);
  CHECK_EQ(gate(&p, &small, until), 0);
  sheaf__pool_take(&p, &small, 8, until);
  CHECK(gate(&p, &small, until) != 0);
}

TEST(a_refusal_that_names_no_resource_empties_the_buckets) {
  sheaf__pool p = pool_of_rpm(6000);
  CHECK_EQ(level(&p, REQUESTS), 98);
  sheaf__pool_on_refusal(&p, SHEAF_NEVER, false, 0, 0, 0);
  CHECK_EQ(level(&p, REQUESTS), 0);
}

/* 40 of the wanted 150 tokens are left: at 9800 a minute the other 110 take 0.67 s, and nothing is emptied. */
TEST(a_refusal_that_names_what_is_lacking_waits_for_its_refill) {
  sheaf__pool_options o = options();
  o.tpm = 10000;
  o.rpm = 6000;
  sheaf__pool p = pool_with(o);
  sheaf__pool_take(&p, &small, 1, 0);
  const sheaf_limit l = told(TOKENS, 10000, 40, SHEAF_NEVER);
  sheaf__pool_on_head(&p, &small, 1, false, &l, 1, 0);
  const int64_t requests = level(&p, REQUESTS);
  const uint64_t until = sheaf__pool_on_refusal(&p, SHEAF_NEVER, false, 0, 0, 0);
  CHECK(until >= 673 * MS && until <= 674 * MS + 318 * MS);
  CHECK_EQ(level(&p, REQUESTS), requests);
}

/* ---- Learned rate ---- */

/* 50 successes in 10 s are 300 a minute; a refusal then lets 70 % of it leave, all of it 10 s later. */
static sheaf__pool refused_at_300(void) {
  sheaf__pool p = unknown_pool();
  for (uint64_t i = 0; i < 50; i++) {
    sheaf__pool_take(&p, &small, i, i * 200 * MS);
    sheaf__pool_on_head(&p, &small, i, true, NULL, 0, i * 200 * MS);
  }
  sheaf__pool_on_refusal(&p, 0, true, 0, 0, 10 * SECOND);
  p.pause_until_ns = 0;
  p.probe_due = false;
  return p;
}

static uint64_t sends_in(sheaf__pool *p, uint64_t from, uint64_t to) {
  uint64_t sends = 0;
  for (uint64_t now = from; now < to;) {
    const uint64_t at = gate(p, &small, now);
    if (at) {
      CHECK(at > now);
      now = at;
      continue;
    }
    sheaf__pool_take(p, &small, sends, now);
    sheaf__pool_on_head(p, &small, sends, true, NULL, 0, now);
    sends++;
  }
  return sends;
}

TEST(the_learned_rate_starts_from_what_was_delivered) {
  sheaf__pool p = refused_at_300();
  CHECK_EQ(p.learned_wmax, 300000);
  CHECK(limited_by(&p, 10 * SECOND) == SHEAF_LIMITED_BY_RATE); /* its bucket is empty */
  const uint64_t first = sends_in(&p, 10 * SECOND, 15 * SECOND);
  CHECK(first >= 17 && first <= 25); /* 70 % to 96 % of 5 a second */
  const uint64_t whole = sends_in(&p, 15 * SECOND, 25 * SECOND);
  CHECK(whole >= 47 && whole <= 53);
}

TEST(refusals_within_two_seconds_are_one_cut) {
  sheaf__pool p = refused_at_300();
  sheaf__pool_on_refusal(&p, 0, true, 1, 0, 12 * SECOND - 1);
  CHECK_EQ(p.learned_cut_ns, 10 * SECOND);
  sheaf__pool_on_refusal(&p, 0, true, 2, 0, 12 * SECOND);
  CHECK_EQ(p.learned_cut_ns, 12 * SECOND);
}

/* cur = rebound(300000, 2 s): the lower of it and the larger of delivered (300000) and its half. */
TEST(a_later_cut_takes_the_lower_of_rate_and_delivery) {
  sheaf__pool p = refused_at_300();
  sheaf__pool_on_refusal(&p, 0, true, 2, 0, 12 * SECOND);
  CHECK_EQ(p.learned_wmax, sheaf__rebound(300000, 2000, 10000));
}

TEST(overload_teaches_no_rate) {
  sheaf__pool p = unknown_pool();
  sheaf__pool_on_refusal(&p, 0, false, 0, 0, 0);
  CHECK_EQ(p.learned_wmax, 0);
}

TEST(a_refusal_before_anything_was_delivered_leaves_three_a_minute_and_grows_again) {
  sheaf__pool p = unknown_pool();
  sheaf__pool_on_refusal(&p, 0, true, 0, 0, 0);
  CHECK_EQ(p.learned_wmax, 3000);
  p.pause_until_ns = 0;
  p.probe_due = false;
  const uint64_t early = sends_in(&p, 0, 20 * SECOND);
  CHECK(early <= 2);
  sends_in(&p, 20 * SECOND, 240 * SECOND);
  CHECK(sends_in(&p, 240 * SECOND, 250 * SECOND) > 100); /* no limit was met: it is far up again */
}

TEST(ten_minutes_without_a_refusal_end_it) {
  sheaf__pool p = refused_at_300();
  const uint64_t end = 610 * SECOND;
  (void)gate(&p, &small, end - 1);
  CHECK(p.learned_wmax != 0);
  CHECK_EQ(gate(&p, &small, end), 0);
  CHECK_EQ(p.learned_wmax, 0);
  for (uint64_t i = 0; i < 10000; i++) {
    CHECK_EQ(gate(&p, &small, end), 0);
    sheaf__pool_take(&p, &small, i, end);
  }
}

TEST(delivery_is_averaged_over_windows_of_ten_seconds) {
  sheaf__pool p = unknown_pool();
  for (uint64_t i = 0; i < 10; i++) {
    sheaf__pool_take(&p, &small, i, SECOND);
    sheaf__pool_on_head(&p, &small, i, true, NULL, 0, SECOND);
  }
  sheaf__pool_take(&p, &small, 10, 10 * SECOND);
  sheaf__pool_on_head(&p, &small, 10, true, NULL, 0, 10 * SECOND);
  CHECK_EQ(p.delivered, 60000); /* ten in 10 s */
  sheaf__pool_take(&p, &small, 11, 20 * SECOND);
  sheaf__pool_on_head(&p, &small, 11, true, NULL, 0, 20 * SECOND);
  CHECK_EQ(p.delivered, 33000); /* (60 + 6) / 2 */
  sheaf__pool_take(&p, &small, 12, 50 * SECOND);
  sheaf__pool_on_head(&p, &small, 12, true, NULL, 0, 50 * SECOND);
  CHECK_EQ(p.delivered, (33000 + 6000) / 2 / 4); /* and two windows with nothing */
}

/* In flight and back count alike while the first 10 s last: 6 and 2 of them are 48 a minute. */
TEST(before_the_first_window_is_over_what_was_sent_counts) {
  sheaf__pool p = unknown_pool();
  for (uint64_t i = 0; i < 9; i++) sheaf__pool_take(&p, &small, i, 0);
  for (uint64_t i = 0; i < 2; i++) sheaf__pool_on_head(&p, &small, i, true, NULL, 0, SECOND);
  sheaf__pool_on_head(&p, &small, 2, false, NULL, 0, SECOND);
  sheaf__pool_on_refusal(&p, 0, true, 0, 0, SECOND);
  CHECK_EQ(p.learned_wmax, 48000);
}

/* One refusal in thirty at any rate, each with the server's wait: not a limit, and no cut. One in four is one. */
TEST(stray_refusals_with_a_hint_do_not_cut_the_learned_rate) {
  sheaf__pool p = unknown_pool();
  uint64_t exchange = 0;
  for (uint64_t i = 0; i < 3000; i++) {
    const uint64_t now = i * 10 * MS;
    const bool refused = i % 30 == 29;
    sheaf__pool_take(&p, &small, exchange, now);
    sheaf__pool_on_head(&p, &small, exchange++, !refused, NULL, 0, now);
    if (refused) sheaf__pool_on_refusal(&p, 250 * MS, true, i, 0, now);
  }
  CHECK_EQ(p.learned_wmax, 0);
  for (uint64_t i = 3000; i < 4000; i++) {
    const uint64_t now = i * 10 * MS;
    const bool refused = i % 4 == 3;
    sheaf__pool_take(&p, &small, exchange, now);
    sheaf__pool_on_head(&p, &small, exchange++, !refused, NULL, 0, now);
    if (refused) sheaf__pool_on_refusal(&p, 250 * MS, true, i, 0, now);
  }
  CHECK(p.learned_wmax > 0);
}

/* A known limit of 588 stands for the rate so far: the cut is at half of it, and the curve never passes it. */
TEST(the_learned_rate_never_passes_a_known_limit) {
  sheaf__pool p = pool_of_rpm(600);
  sheaf__pool_on_refusal(&p, 0, true, 0, 0, 0);
  CHECK_EQ(p.learned_wmax, 294000);
  p.pause_until_ns = 0;
  p.probe_due = false;
  for (uint64_t s = 0; s < 600; s++) {
    const uint64_t sends = sends_in(&p, s * SECOND, (s + 1) * SECOND);
    CHECK(sends <= 10); /* 9.8 a second: no burst when the learned rate reaches the known one */
    CHECK(p.learned.limit <= 588 * 16);
  }
  CHECK_EQ(p.learned.limit, 588 * 16);
  CHECK(sends_in(&p, 600 * SECOND, 601 * SECOND) <= 10); /* nor when it is forgotten */
  CHECK_EQ(p.learned_wmax, 0);
}

TEST(what_follows_a_probe_is_no_burst) {
  sheaf__pool p = pool_of_rpm(600);
  const uint64_t until = sheaf__pool_on_refusal(&p, 20 * SECOND, false, 0, 0, 0);
  CHECK_EQ(gate(&p, &small, until), 0);
  sheaf__pool_take(&p, &small, 7, until);
  sheaf__pool_on_head(&p, &small, 7, true, NULL, 0, until + MS);
  CHECK_EQ(level(&p, REQUESTS), 0);
  CHECK_EQ(limited_by(&p, until + MS), SHEAF_LIMITED_BY_RATE);
}

/* ---- Estimates ---- */

TEST(four_bytes_are_a_token_until_replies_say_otherwise) {
  sheaf__pool p = unknown_pool();
  CHECK_EQ(sheaf__pool_estimate(&p, 4000, SHEAF_ABSENT, 100).input_tokens, 1000);
  const sheaf_usage u = {.input_total = 2000, .output_total = 10};
  for (int i = 0; i < 400; i++) {
    const sheaf__cost cost = sheaf__pool_estimate(&p, 4000, SHEAF_ABSENT, 100);
    sheaf__pool_settle(&p, &cost, SHEAF_BILLING_BILLED, &u, 4000, 0);
  }
  CHECK_EQ(sheaf__pool_estimate(&p, 4000, SHEAF_ABSENT, 100).input_tokens, 2000);
}

TEST(output_is_estimated_by_its_mean_within_max_tokens) {
  sheaf__pool_options o = options();
  o.charge_tokens = SHEAF_CHARGE_UNCACHED_INPUT;
  sheaf__pool p = pool_with(o);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 100).output_tokens, 100);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 4096).output_tokens, 512);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, SHEAF_ABSENT).output_tokens, 512);
  const sheaf__cost cost = sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 4096);
  const sheaf_usage u = {.input_total = 1, .output_total = 1000};
  sheaf__pool_settle(&p, &cost, SHEAF_BILLING_BILLED, &u, 0, 0);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 4096).output_tokens,
           528); /* 512 + 488 / 32 = 527.25, up */
  for (int i = 0; i < 1000; i++) sheaf__pool_settle(&p, &cost, SHEAF_BILLING_BILLED, &u, 0, 0);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 4096).output_tokens, 1000);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 300).output_tokens, 300);
}

TEST(a_provider_that_reserves_max_tokens_is_charged_max_tokens) {
  sheaf__pool p = unknown_pool(); /* SHEAF_CHARGE_RESERVE_MAX */
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, 4096).output_tokens, 4096);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, SHEAF_ABSENT).output_tokens, 512);
}

TEST(estimates_learn_only_from_what_was_billed_and_told) {
  sheaf__pool p = unknown_pool();
  const sheaf__pool before = p;
  sheaf_usage u = {.input_total = 9000, .output_total = 9000};
  sheaf__pool_settle(&p, &small, SHEAF_BILLING_REFUSED, &u, 100, 0);
  sheaf__pool_settle(&p, &small, SHEAF_BILLING_UNKNOWN, &u, 100, 0);
  u.estimated = 1;
  sheaf__pool_settle(&p, &small, SHEAF_BILLING_BILLED, &u, 100, 0);
  u = (sheaf_usage){.input_total = SHEAF_ABSENT, .output_total = SHEAF_ABSENT};
  sheaf__pool_settle(&p, &small, SHEAF_BILLING_BILLED, &u, 100, 0);
  sheaf__pool_settle(&p, &small, SHEAF_BILLING_BILLED, NULL, 100, 0);
  CHECK_EQ(p.input_ratio_x1024, before.input_ratio_x1024);
  CHECK_EQ(p.output_mean_x1024, 0);
}

TEST(enormous_numbers_do_not_wrap_estimates) {
  sheaf__pool p = unknown_pool();
  CHECK_EQ(sheaf__pool_estimate(&p, UINT64_MAX, SHEAF_ABSENT, INT64_MAX).input_tokens, UINT32_MAX);
  CHECK_EQ(sheaf__pool_estimate(&p, 0, SHEAF_ABSENT, INT64_MAX).output_tokens, UINT32_MAX);
  const sheaf_usage u = {.input_total = INT64_MAX, .output_total = INT64_MAX, .cache_read = -5};
  const sheaf__cost most = {UINT32_MAX, UINT32_MAX};
  for (int i = 0; i < 100; i++) sheaf__pool_settle(&p, &most, SHEAF_BILLING_BILLED, &u, 1, 0);
  CHECK(sheaf__pool_estimate(&p, 1000, SHEAF_ABSENT, SHEAF_ABSENT).output_tokens > 512);
}

/* ---- Settling ---- */

static sheaf__pool metered(uint32_t charge_tokens, uint32_t charge_output) {
  sheaf__pool_options o = options();
  o.rpm = o.tpm = o.input_tpm = o.output_tpm = 6000000;
  o.charge_tokens = charge_tokens;
  o.charge_output = charge_output;
  return pool_with(o);
}

/* What is used of each resource, after small (100 in, 50 out) was taken and settled with 80 in (30 cached), 70 out. */
TEST(settling_follows_billing_and_charging) {
  static const struct {
    uint32_t charge_tokens, charge_output, billing;
    int64_t used[SHEAF_RESOURCE_COUNT]; /* requests, tokens, input, output */
  } cases[] = {
      {SHEAF_CHARGE_RESERVE_MAX, SHEAF_CHARGE_RESERVE_MAX, SHEAF_BILLING_NOT_SENT, {0, 0, 0, 0}},
      {SHEAF_CHARGE_RESERVE_MAX, SHEAF_CHARGE_RESERVE_MAX, SHEAF_BILLING_REFUSED, {1, 0, 0, 0}},
      {SHEAF_CHARGE_ACTUAL, SHEAF_CHARGE_ACTUAL, SHEAF_BILLING_REFUSED, {1, 0, 0, 0}},
      {SHEAF_CHARGE_ACTUAL, SHEAF_CHARGE_ACTUAL, SHEAF_BILLING_UNKNOWN, {1, 150, 100, 50}},
      {SHEAF_CHARGE_RESERVE_MAX, SHEAF_CHARGE_RESERVE_MAX, SHEAF_BILLING_BILLED, {1, 150, 100, 50}},
      {SHEAF_CHARGE_RESERVE_MAX, SHEAF_CHARGE_ACTUAL, SHEAF_BILLING_BILLED, {1, 150, 100, 70}},
      {SHEAF_CHARGE_ACTUAL, SHEAF_CHARGE_ACTUAL, SHEAF_BILLING_BILLED, {1, 150, 80, 70}},
      {SHEAF_CHARGE_UNCACHED_INPUT, SHEAF_CHARGE_ACTUAL, SHEAF_BILLING_BILLED, {1, 120, 50, 70}},
  };
  const sheaf_usage u = {.input_total = 80, .output_total = 70, .cache_read = 30};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sheaf__pool p = metered(cases[i].charge_tokens, cases[i].charge_output);
    sheaf__pool_take(&p, &small, 1, 0);
    sheaf__pool_settle(&p, &small, cases[i].billing, &u, 400, 0);
    for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++)
      CHECK_EQ(98000 - level(&p, r), cases[i].used[r]);
  }
}

TEST(settling_without_numbers_changes_nothing) {
  sheaf__pool p = metered(SHEAF_CHARGE_ACTUAL, SHEAF_CHARGE_ACTUAL);
  sheaf__pool_take(&p, &small, 1, 0);
  const sheaf_usage u = {.input_total = SHEAF_ABSENT, .output_total = SHEAF_ABSENT};
  sheaf__pool_settle(&p, &small, SHEAF_BILLING_BILLED, &u, 400, 0);
  CHECK_EQ(level(&p, TOKENS), 98000 - 150);
  CHECK_EQ(level(&p, OUTPUT), 98000 - 50);
}

/* Unacked is the sum over what is out; buckets hold exactly what was taken less what was given (no time passes). */
TEST(the_accounts_of_a_random_run_add_up) {
  enum { OUT = 64 };
  for (int run = 0; run < 50; run++) {
    sheaf__pool p = metered(SHEAF_CHARGE_ACTUAL, SHEAF_CHARGE_ACTUAL);
    sheaf__cost out[OUT];
    bool acked[OUT];
    uint32_t count = 0;
    int64_t used[SHEAF_RESOURCE_COUNT] = {0};
    for (uint64_t step = 0; step < 500; step++) {
      if (count < OUT && random_below(2)) {
        const sheaf__cost c = {(uint32_t)random_below(30), (uint32_t)random_below(30)};
        if (gate(&p, &c, 0) != 0) continue;
        sheaf__pool_take(&p, &c, step, 0);
        acked[count] = false;
        out[count++] = c;
        used[REQUESTS]++;
        used[TOKENS] += (int64_t)c.input_tokens + c.output_tokens;
        used[INPUT] += c.input_tokens, used[OUTPUT] += c.output_tokens;
      } else if (count) {
        const uint32_t i = (uint32_t)random_below(count);
        const sheaf__cost c = out[i];
        if (!acked[i] && random_below(2)) {
          sheaf__pool_on_head(&p, &c, 0, true, NULL, 0, 0);
          acked[i] = true;
        } else {
          if (!acked[i]) sheaf__pool_on_headless(&p, &c, 0, 0);
          const sheaf_usage u = {.input_total = (int64_t)random_below(40),
                                 .output_total = (int64_t)random_below(40)};
          sheaf__pool_settle(&p, &c, SHEAF_BILLING_BILLED, &u, 0, 0);
          used[TOKENS] += u.input_total + u.output_total - c.input_tokens - c.output_tokens;
          used[INPUT] += u.input_total - c.input_tokens;
          used[OUTPUT] += u.output_total - c.output_tokens;
          count--;
          out[i] = out[count], acked[i] = acked[count];
        }
      }
      int64_t unacked = 0;
      for (uint32_t i = 0; i < count; i++) unacked += acked[i] ? 0 : 1;
      CHECK_EQ(p.meters[REQUESTS].unacked, unacked);
      for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) CHECK_EQ(level(&p, r), 98000 - used[r]);
    }
  }
}

/* ---- Retry budget ---- */

TEST(the_retry_budget_starts_with_fifty_and_comes_back_at_a_tenth_a_second) {
  sheaf__pool p = unknown_pool();
  for (int i = 0; i < 50; i++) CHECK_EQ(sheaf__pool_pay_retry(&p, 1000, 0), 0);
  CHECK_EQ(sheaf__pool_pay_retry(&p, 1000, 0), 10 * SECOND);
  CHECK_EQ(sheaf__pool_pay_retry(&p, 200, 0), 2 * SECOND);
  CHECK_EQ(sheaf__pool_pay_retry(&p, 0, 0), 0);
  CHECK(sheaf__pool_pay_retry(&p, 1000, 10 * SECOND - 1) != 0);
  CHECK_EQ(sheaf__pool_pay_retry(&p, 1000, 10 * SECOND), 0);
  for (int i = 0; i < 5; i++) sheaf__pool_earn(&p, 200, 10 * SECOND);
  CHECK_EQ(sheaf__pool_pay_retry(&p, 1000, 10 * SECOND), 0);
  CHECK(sheaf__pool_pay_retry(&p, 1, 10 * SECOND) != 0);
}

TEST(the_retry_budget_never_exceeds_fifty) {
  sheaf__pool p = unknown_pool();
  sheaf__pool_earn(&p, UINT32_MAX, 0);
  CHECK_EQ(p.retry_budget, 50000);
  CHECK_EQ(sheaf__pool_pay_retry(&p, 50000, 1000000 * SECOND), 0);
  CHECK_EQ(p.retry_budget, 0);
  CHECK(sheaf__pool_pay_retry(&p, UINT32_MAX, 1000000 * SECOND) == 1000500 * SECOND);
}

/* Full-price retries <= 50 + 0.2 x completions without retry + 0.1 x seconds. */
TEST(retries_keep_to_their_bound) {
  for (int run = 0; run < 100; run++) {
    sheaf__pool p = unknown_pool();
    uint64_t now = 0, retries = 0, completions = 0;
    const uint64_t failing = random_below(100);
    for (int step = 0; step < 2000; step++) {
      now += random_below(500 * MS);
      if (random_below(100) < failing) {
        if (sheaf__pool_pay_retry(&p, 1000, now) == 0) retries++;
      } else {
        sheaf__pool_earn(&p, 200, now);
        completions++;
      }
      CHECK(retries * 1000 <= 50000 + 200 * completions + now / (10 * MS));
    }
  }
}

TEST(a_short_retry_is_told_exactly_when_to_ask_again) {
  for (int i = 0; i < 1000; i++) {
    sheaf__pool p = unknown_pool();
    const uint64_t now = random_below(100 * SECOND);
    CHECK_EQ(sheaf__pool_pay_retry(&p, 50000, now), 0);
    const uint32_t price = 1 + (uint32_t)random_below(5000);
    const uint64_t at = sheaf__pool_pay_retry(&p, price, now);
    CHECK(at > now);
    sheaf__pool early = p;
    CHECK(sheaf__pool_pay_retry(&early, price, at - 1) != 0);
    CHECK_EQ(sheaf__pool_pay_retry(&p, price, at), 0);
  }
}

int main(void) {
  RUN(a_pool_of_which_nothing_is_known_holds_nothing_back);
  RUN(a_stated_rate_is_kept_two_percent_below_with_bursts_of_a_second);
  RUN(a_rate_is_at_least_one_and_huge_ones_are_held_to_the_range);
  RUN(each_resource_counts_its_own);
  RUN(the_gate_names_the_time_when_all_resources_suffice);
  RUN(starts_keep_their_interval);
  RUN(a_request_larger_than_a_whole_limit_can_never_pass);
  RUN(a_told_limit_is_adopted_after_two_heads_in_a_row_agree);
  RUN(headers_lower_a_stated_limit_but_never_raise_it);
  RUN(nonsense_in_headers_is_ignored);
  RUN(less_than_we_thought_counts_at_once_and_what_is_unacknowledged_is_taken_off);
  RUN(more_than_we_thought_counts_by_an_eighth_and_up_to_the_cap);
  RUN(a_reset_until_full_tells_the_window);
  RUN(another_window_is_adopted_after_five_replies_in_a_row);
  RUN(replies_that_disagree_on_the_window_start_the_count_again);
  RUN(the_end_of_a_fixed_window_with_nothing_left_is_waited_for);
  RUN(of_two_limits_of_one_resource_the_first_counts);
  RUN(a_refusal_pauses_the_pool_for_what_the_server_says);
  RUN(untold_pauses_double_up_to_thirty_seconds);
  RUN(the_other_refusals_of_one_burst_are_no_further_steps);
  RUN(a_success_of_before_does_not_reset_the_steps);
  RUN(a_pause_is_never_shortened);
  RUN(after_a_pause_one_probe_leaves_and_the_rest_follow_at_its_success);
  RUN(the_head_of_another_exchange_does_not_speak_for_the_probe);
  RUN(without_an_answer_of_the_probe_the_rest_follow_after_two_seconds);
  RUN(a_refused_probe_pauses_again);
  RUN(a_probe_that_was_lost_is_replaced);
  RUN(a_refusal_that_names_no_resource_empties_the_buckets);
  RUN(a_refusal_that_names_what_is_lacking_waits_for_its_refill);
  RUN(the_learned_rate_starts_from_what_was_delivered);
  RUN(refusals_within_two_seconds_are_one_cut);
  RUN(a_later_cut_takes_the_lower_of_rate_and_delivery);
  RUN(overload_teaches_no_rate);
  RUN(a_refusal_before_anything_was_delivered_leaves_three_a_minute_and_grows_again);
  RUN(ten_minutes_without_a_refusal_end_it);
  RUN(delivery_is_averaged_over_windows_of_ten_seconds);
  RUN(before_the_first_window_is_over_what_was_sent_counts);
  RUN(stray_refusals_with_a_hint_do_not_cut_the_learned_rate);
  RUN(the_learned_rate_never_passes_a_known_limit);
  RUN(what_follows_a_probe_is_no_burst);
  RUN(four_bytes_are_a_token_until_replies_say_otherwise);
  RUN(output_is_estimated_by_its_mean_within_max_tokens);
  RUN(a_provider_that_reserves_max_tokens_is_charged_max_tokens);
  RUN(estimates_learn_only_from_what_was_billed_and_told);
  RUN(enormous_numbers_do_not_wrap_estimates);
  RUN(settling_follows_billing_and_charging);
  RUN(settling_without_numbers_changes_nothing);
  RUN(the_accounts_of_a_random_run_add_up);
  RUN(the_retry_budget_starts_with_fifty_and_comes_back_at_a_tenth_a_second);
  RUN(the_retry_budget_never_exceeds_fifty);
  RUN(retries_keep_to_their_bound);
  RUN(a_short_retry_is_told_exactly_when_to_ask_again);
  return check_report();
}
