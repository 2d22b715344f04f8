/* test_engine_windows: when those who may share a call leave, what is told of a group on its way, and whether merged answers
 * are worth it: canaries and the switch. The rule itself is test_window's; here it meets an engine, its queue and its gate. */
#include "groups_test.h"

static groups w;

static sheaf_stats stats_now(void) {
  sheaf_stats stats;
  sheaf_engine_stats(w.engine, &stats);
  return stats;
}

static sheaf_request of_priority(uint32_t priority) {
  sheaf_request r = SHEAF_REQUEST_INIT;
  r.priority = priority;
  return r;
}

/* Runs until the n-th call is out or the time is over; answers when it left, from the bench's beginning. */
static uint64_t left_at(uint32_t n) {
  while (w.start_count < n && groups_wait(&w, 100 * SECOND)) {
  }
  return w.start_count < n ? SHEAF_NEVER : w.starts[n - 1].at_ns - 100 * SECOND;
}

/* ---- Eager ---- */

TEST(eager_sends_the_first_at_once_and_gathers_what_comes_while_it_is_out) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  for (int i = 0; i < 5; i++) {
    groups_submit(&w, "Ek:b", NULL);
    groups_step(&w, 20 * MS);
  }
  CHECK_EQ(w.start_count, 1);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:b,b,b,b,b");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(eager_does_not_wait_for_calls_of_another_key) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "El:b", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(nobody_waits_longer_than_max_wait_for_a_call_that_does_not_end) {
  for (int own = 0; own < 2; own++) {
    groups_init(&w);
    w.options.max_wait_ms = 3000;
    groups_open(&w);
    groups_submit(&w, "Ek:a", NULL);
    groups_step(&w, 0);
    sheaf_request request = SHEAF_REQUEST_INIT;
    if (own) request.max_wait_ms = 1200; /* the request's own word wins */
    groups_submit(&w, "Ek:b", &request);
    groups_step(&w, 0);
    CHECK_EQ(w.start_count, 1);
    CHECK_EQ(left_at(2), (own ? 1200 : 3000) * MS);
    CHECK(groups_finish(&w));
    groups_close(&w);
  }
}

TEST(nobody_waits_for_company_until_the_deadline) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.deadline_ms = 1000;
  groups_submit(&w, "Ek:b", &request);
  groups_step(&w, 0);
  CHECK_EQ(left_at(2), 500 * MS); /* half of its time is for the call */
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(a_full_company_leaves_though_a_call_is_out) {
  groups_init(&w);
  w.options.max_inputs = 4;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  for (int i = 0; i < 3; i++) groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:b,b,b,b");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(when_no_more_can_come_nobody_waits_for_them) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.window_ms = 5000;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 0);
  CHECK_OK(sheaf_engine_end_input(w.engine));
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  CHECK(groups_finish(&w));
  groups_close(&w);
}

/* ---- Fixed ---- */

TEST(fixed_waits_for_the_window_and_takes_who_came_in_it) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.window_ms = 100;
  w.options.min_batch = 20;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_step(&w, 60 * MS);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  CHECK_EQ(left_at(1), 100 * MS);
  CHECK_STRING(w.starts[0].body, "Ek:a,b");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(fixed_leaves_early_with_min_batch_while_the_gate_is_idle) {
  for (int busy = 0; busy < 2; busy++) {
    groups_init(&w);
    w.options.window = SHEAF_WINDOW_FIXED;
    w.options.window_ms = 1000;
    w.options.min_batch = 3;
    w.options.concurrency = 1;
    groups_open(&w);
    sheaf_request alone = SHEAF_REQUEST_INIT;
    alone.flags = SHEAF_REQUEST_ALONE;
    if (busy) groups_submit(&w, "Ek:x", &alone);
    groups_step(&w, 0);
    uint32_t before = w.start_count;
    CHECK_EQ(before, busy);
    groups_submit(&w, "Ek:a", NULL);
    groups_submit(&w, "Ek:b", NULL);
    groups_step(&w, MS);
    CHECK_EQ(w.start_count, before);
    groups_submit(&w, "Ek:c", NULL);
    groups_step(&w, MS);
    CHECK_EQ(w.start_count, busy ? before : before + 1);
    if (busy) groups_good(&w, 0); /* the gate is idle again */
    groups_step(&w, MS);
    CHECK_EQ(w.start_count, before + 1);
    CHECK_STRING(w.starts[before].body, "Ek:a,b,c");
    CHECK(groups_finish(&w));
    groups_close(&w);
  }
}

/* ---- Auto ---- */

TEST(auto_waits_while_another_member_would_save_more_than_the_wait_costs) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_AUTO;
  w.options.max_wait_ms = 30000;
  w.options.call_cost_nano = 10000;
  w.options.delay_cost_nano = 1000; /* one member: silence of 2 * 10,000 / 1,000 = 20 s */
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  CHECK_EQ(left_at(1), 20 * SECOND);
  groups_close(&w);
}

TEST(auto_counts_a_second_of_a_heavier_class_for_more) {
  static const uint32_t priorities[] = {SHEAF_PRIORITY_HIGH, SHEAF_PRIORITY_NORMAL,
                                        SHEAF_PRIORITY_LOW};
  static const uint64_t wanted_ms[] = {2000 * 50 / 75 + 1, 2000, 4000}; /* weights 75, 50, 25 */
  for (int i = 0; i < 3; i++) {
    groups_init(&w);
    w.options.window = SHEAF_WINDOW_AUTO;
    w.options.max_wait_ms = 30000;
    w.options.call_cost_nano = 10000;
    w.options.delay_cost_nano = 10000;
    groups_open(&w);
    sheaf_request request = of_priority(priorities[i]);
    groups_submit(&w, "Ek:a", &request);
    groups_step(&w, 0);
    uint64_t at = left_at(1);
    CHECK(at / MS <= wanted_ms[i] && at / MS + 1 >= wanted_ms[i]);
    groups_close(&w);
  }
}

TEST(auto_knows_what_a_shared_beginning_spares) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_AUTO;
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.max_wait_ms = 30000;
  w.options.call_cost_nano = 0;
  w.options.delay_cost_nano = 100;
  groups_open(&w);
  /* 400 bytes that all begin with: 100 tokens of a nano-USD, so 2 * 100 / 100 = 2 s; P and the colon make it 100.5. */
  static char prompt[420];
  memset(prompt, 'k', 401);
  prompt[0] = 'P';
  memcpy(prompt + 401, ":x", 3);
  groups_submit(&w, prompt, NULL);
  groups_step(&w, 0);
  CHECK_EQ(left_at(1), 2 * SECOND);
  groups_close(&w);
}

TEST(auto_sends_at_once_what_comes_too_rarely) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_AUTO;
  w.options.max_wait_ms = 30000;
  w.options.call_cost_nano = 1000;
  w.options.delay_cost_nano = 10000; /* patience 200 ms */
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(left_at(1), 200 * MS);
  groups_step(&w, 10 * SECOND);
  groups_submit(&w, "Ek:b", NULL); /* ten seconds between two: no third will come in time */
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 2);
  CHECK(groups_finish(&w));
  groups_close(&w);
}

/* ---- Urgent, deferrable, order ---- */

TEST(an_urgent_list_leaves_at_once_and_takes_the_waiting_along) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "Ek:b", NULL);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  sheaf_request urgent = of_priority(SHEAF_PRIORITY_URGENT);
  groups_submit(&w, "Ek:u", &urgent);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:u,b,c"); /* the most urgent first */
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(an_urgent_prompt_goes_alone_at_once) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  groups_submit(&w, "Pk:a", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "Pk:b", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  sheaf_request urgent = of_priority(SHEAF_PRIORITY_URGENT);
  groups_submit(&w, "Pk:u", &urgent);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Pk:u");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(deferrable_ones_wait_for_company_though_the_gate_is_idle) {
  groups_init(&w);
  w.options.max_wait_ms = 5000;
  groups_open(&w);
  sheaf_request later = of_priority(SHEAF_PRIORITY_DEFERRABLE);
  groups_submit(&w, "Ek:a", &later);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  groups_submit(&w, "Ek:b", NULL); /* one in no such mood: they leave together */
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  CHECK_STRING(w.starts[0].body, "Ek:b,a");
  groups_submit(&w, "El:c", &later);
  groups_step(&w, 0);
  CHECK_EQ(left_at(2), 5 * SECOND + MS);
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(those_who_wait_for_the_gate_still_let_others_join) {
  groups_init(&w);
  w.options.concurrency = 1;
  groups_open(&w);
  groups_submit(&w, "El:x", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, MS); /* it may leave, and the gate is shut */
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, MS);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:a,b,c");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(a_more_urgent_member_moves_its_company_up_in_the_queue) {
  groups_init(&w);
  w.options.concurrency = 1;
  groups_open(&w);
  sheaf_request low = of_priority(SHEAF_PRIORITY_LOW), urgent = of_priority(SHEAF_PRIORITY_URGENT);
  groups_submit(&w, "El:x", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "Ek:a", &low);
  groups_submit(&w, "Em:n", NULL);
  groups_step(&w, MS);
  groups_submit(&w, "Ek:u", &urgent);
  groups_step(&w, MS);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:u,a");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(a_company_that_waited_long_enough_waits_for_the_gate_as_any_row) {
  groups_init(&w);
  w.options.concurrency = 1;
  groups_open(&w);
  sheaf_request low = of_priority(SHEAF_PRIORITY_LOW);
  low.max_wait_ms = 500;
  groups_submit(&w, "El:x", &low);
  groups_step(&w, 0);
  groups_submit(&w, "Ek:a", &low);
  groups_submit(&w, "Ek:b", &low);
  groups_submit(&w, "Em:n", NULL);
  groups_step(&w, 2 * SECOND);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Em:n"); /* max_wait is about company, not about its turn */
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(what_came_before_the_first_step_came_at_its_time) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.window_ms = 100;
  w.options.min_batch = 20;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  CHECK_EQ(left_at(1), 100 * MS);
  CHECK_STRING(w.starts[0].body, "Ek:a,b");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(options_set_on_a_running_engine_meet_those_who_wait) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.window_ms = 5000;
  w.options.max_wait_ms = 30000;
  w.options.min_batch = 20;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  char message[256];
  CHECK_OK(sheaf_engine_set(w.engine, SHEAF_LITERAL("window_ms"), SHEAF_LITERAL("200"), message,
                            sizeof message));
  groups_step(&w, MS);
  CHECK_EQ(left_at(1), 200 * MS);
  groups_submit(&w, "Ek:c", NULL);
  groups_submit(&w, "Ek:d", NULL);
  CHECK_OK(sheaf_engine_set(w.engine, SHEAF_LITERAL("merge"), SHEAF_LITERAL("off"), message,
                            sizeof message));
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 3); /* each by itself */
  CHECK(groups_finish(&w));
  groups_close(&w);
}

/* ---- Group events ---- */

TEST(a_groups_states_are_told_in_order_with_their_times) {
  groups_init(&w);
  w.options.group_events = 1;
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.window_ms = 50;
  w.options.min_batch = 20;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_STRING(w.states, "1:accumulating/1 ");
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 10 * MS);
  CHECK_STRING(w.states, "1:accumulating/1 ");
  CHECK_EQ(left_at(1), 50 * MS);
  groups_step(&w, 0);
  CHECK_STRING(w.states, "1:accumulating/1 1:ready/2 1:sending/2 1:awaiting_response/2 ");
  CHECK_EQ(w.state_ns, 100 * SECOND + 50 * MS);
  groups_good(&w, 0);
  groups_step(&w, 7 * MS);
  CHECK_STRING(w.states,
               "1:accumulating/1 1:ready/2 1:sending/2 1:awaiting_response/2 1:processing/2 "
               "1:completed/2 ");
  CHECK_EQ(w.state_ns, 100 * SECOND + 57 * MS);
  CHECK_EQ(groups_of(&w, 0)->group, 1);
  groups_close(&w);
}

TEST(a_group_that_fails_says_so_and_the_next_has_another_number) {
  groups_init(&w);
  w.options.group_events = 1;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  groups_answer(&w, 0, 429, "retry-after-ms: 10\n", "");
  w.states[0] = 0;
  groups_step(&w, MS);
  while (w.start_count == 1 && groups_wait(&w, SECOND)) {
  }
  groups_step(&w, 0);
  CHECK_STRING(w.states,
               "1:failed/2 2:accumulating/1 2:ready/2 2:sending/2 2:awaiting_response/2 ");
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(one_that_leaves_alone_tells_its_states_too) {
  groups_init(&w);
  w.options.group_events = 1;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0);
  groups_step(&w, MS);
  groups_step(&w, MS);
  CHECK_STRING(w.states,
               "1:accumulating/1 1:ready/1 1:sending/1 1:awaiting_response/1 1:completed/1 ");
  groups_close(&w);
}

TEST(no_group_events_unless_asked_for) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  CHECK_STRING(w.states, "");
  groups_close(&w);
}

/* ---- Canaries ---- */

TEST(canaries_ask_again_alone_and_compare) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.canary_pct = 100;
  groups_open(&w);
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:two", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 2);
  CHECK_EQ(w.start_count, 3);
  CHECK_STRING(w.starts[1].body, "Pk:one");
  CHECK_STRING(w.starts[2].body, "Pk:two");
  groups_good(&w, 1);                                          /* the same words */
  groups_answer(&w, 2, 200, "", "100/60/stop;something else"); /* not one in common */
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 2); /* nobody hears of them */
  sheaf_stats s = stats_now();
  CHECK_EQ(s.canaries, 2);
  CHECK_EQ(s.canary_agreement_milli, 500);
  CHECK_EQ(s.admitted, 2);
  CHECK_EQ(s.succeeded, 2);
  CHECK_EQ(s.queued, 0);
  CHECK_EQ(s.cost_usd_nano, 3 * 220); /* they cost what they cost */
  CHECK_OK(sheaf_engine_end_input(w.engine));
  CHECK(sheaf_engine_is_idle(w.engine));
  groups_close(&w);
}

TEST(about_the_given_share_of_members_is_asked_again) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.canary_pct = 10;
  groups_open(&w);
  for (int i = 0; i < 1000; i++) groups_submit(&w, "Pk:x", NULL);
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  uint64_t canaries = stats_now().canaries;
  CHECK(canaries > 60 && canaries < 140); /* 100, within four standard deviations of 9.5 */
  CHECK_EQ(stats_now().canary_agreement_milli, 1000);
  CHECK_EQ(stats_now().succeeded, 1000);
  groups_close(&w);
}

TEST(a_canary_that_fails_says_nothing_and_is_not_tried_again) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.canary_pct = 100;
  groups_open(&w);
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:two", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0);
  groups_step(&w, MS);
  groups_answer(&w, 1, 500, "", "");
  groups_answer(&w, 2, 429, "", "");
  groups_step(&w, MS);
  while (groups_wait(&w, 100 * SECOND)) {
  }
  CHECK_EQ(w.start_count, 3);
  CHECK_EQ(stats_now().canaries, 0);
  CHECK_EQ(stats_now().failed, 0);
  CHECK_EQ(w.result_count, 2);
  groups_close(&w);
}

TEST(canaries_do_not_hold_up_a_drain) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.canary_pct = 100;
  w.options.concurrency = 1;
  groups_open(&w);
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:two", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2); /* one is out, one waits */
  CHECK_OK(sheaf_engine_drain(w.engine));
  groups_step(&w, MS);
  CHECK_EQ(w.cancels, 1);
  groups_end(&w, 1, SHEAF_END_CANCELLED);
  groups_step(&w, MS);
  CHECK(sheaf_engine_is_idle(w.engine));
  CHECK_EQ(w.result_count, 2);
  CHECK_EQ(stats_now().not_attempted, 0);
  groups_close(&w);
}

/* ---- The switch ---- */

/* One merged call of two prompts, good or void; the fallbacks are answered. */
static void merged_call(bool good) {
  uint32_t at = w.start_count;
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:two", NULL);
  groups_step(&w, MS);
  groups_reply(&w, at, good ? REPLY_GOOD : REPLY_SHORT);
  groups_step(&w, MS);
  CHECK(groups_finish(&w));
}

TEST(merging_of_prompts_stops_when_too_many_replies_are_void) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.merge_failure_pct = 20;
  groups_open(&w);
  for (int i = 0; i < 7; i++) merged_call(i > 1); /* two of seven: but seven say nothing yet */
  CHECK(!stats_now().merge_stopped);
  merged_call(true); /* two of eight: 25 % */
  CHECK(stats_now().merge_stopped);
  CHECK_EQ(w.notices[SHEAF_NOTICE_MERGE_OFF], 1);
  uint32_t before = w.start_count;
  groups_submit(&w, "Pk:a", NULL);
  groups_submit(&w, "Pk:b", NULL);
  groups_submit(&w, "Ek:c", NULL);
  groups_submit(&w, "Ek:d", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, before + 3); /* lists go on sharing */
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(merging_goes_on_while_few_replies_are_void) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.merge_failure_pct = 20;
  groups_open(&w);
  for (int i = 0; i < 60; i++) merged_call(i % 6 != 5); /* one of six: 16.7 % */
  CHECK(!stats_now().merge_stopped);
  CHECK_EQ(w.notices[SHEAF_NOTICE_MERGE_OFF], 0);
  groups_close(&w);
}

TEST(the_share_of_void_replies_must_be_above_the_limit) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.merge_failure_pct = 25;
  groups_open(&w);
  for (int i = 0; i < 8; i++) merged_call(i > 1); /* two of eight */
  CHECK(!stats_now().merge_stopped);
  merged_call(false); /* three of nine */
  CHECK(stats_now().merge_stopped);
  groups_close(&w);
}

TEST(those_who_wait_when_merging_stops_leave_one_by_one) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  for (int i = 0; i < 7; i++) merged_call(i > 1);
  uint32_t at = w.start_count;
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:two", NULL);
  groups_step(&w, MS);
  groups_submit(&w, "Pk:three", NULL); /* waits for the call that is out */
  groups_submit(&w, "Pk:four", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, at + 1);
  groups_reply(&w, at, REPLY_SHORT);
  groups_step(&w, MS);
  CHECK(stats_now().merge_stopped);
  CHECK_EQ(w.start_count, at + 5);
  for (uint32_t i = at + 1; i < w.start_count; i++)
    CHECK(strstr(w.starts[i].body, "requests") == NULL);
  CHECK(groups_finish(&w));
  groups_close(&w);
}

/* ---- The source's pace ---- */

static uint64_t given;

static int32_t next_list(void *ctx, sheaf_request *request) {
  const uint64_t *total = ctx;
  if (given == *total) return SHEAF_E_END;
  given++;
  request->prompt = SHEAF_LITERAL("Ek:a");
  return SHEAF_OK;
}
static int32_t put_result(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind == SHEAF_EVENT_RESULT) groups_result_of(&w, event->result);
  return SHEAF_OK;
}
static int32_t door_start(void *ctx, const sheaf_exchange *x) {
  (void)ctx;
  groups_started(&w, x);
  return SHEAF_OK;
}
static void door_cancel(void *ctx, uint64_t id) {
  (void)ctx, (void)id;
}

TEST(a_source_is_read_until_its_groups_are_full_or_the_queue_is) {
  groups_init(&w);
  w.options.concurrency = 4;
  w.options.queue_capacity = 300;
  groups_open(&w);
  uint64_t total = 3000;
  given = 0;
  const sheaf_source source = {.struct_bytes = sizeof source, .ctx = &total, .next = next_list};
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = door_start, .cancel = door_cancel};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put_result};
  const sheaf_doors doors = {
      .struct_bytes = sizeof doors, .transport = &transport, .sink = &sink, .source = &source};
  CHECK_OK(sheaf_engine_open(w.engine, &doors));
  uint32_t out_max = 0;
  int32_t status = SHEAF_OK;
  for (uint32_t turn = 0; turn < 1000 && status == SHEAF_OK; turn++) {
    status = sheaf_engine_run_once(w.engine, w.now_ns += MS, 0);
    uint32_t out = 0;
    for (uint32_t i = 0; i < w.start_count; i++) out += !w.starts[i].over;
    if (out > out_max) out_max = out;
    for (uint32_t i = 0; i < w.start_count; i++)
      if (!w.starts[i].over) groups_good(&w, i);
  }
  CHECK_EQ(status, SHEAF_E_END);
  CHECK_EQ(stats_now().succeeded, 3000);
  CHECK(w.start_count <= 90); /* a few hundred each, and not one by one */
  CHECK_EQ(out_max, 4);       /* nor one call after the other */
  groups_close(&w);
}

int main(void) {
  RUN(eager_sends_the_first_at_once_and_gathers_what_comes_while_it_is_out);
  RUN(eager_does_not_wait_for_calls_of_another_key);
  RUN(nobody_waits_longer_than_max_wait_for_a_call_that_does_not_end);
  RUN(nobody_waits_for_company_until_the_deadline);
  RUN(a_full_company_leaves_though_a_call_is_out);
  RUN(when_no_more_can_come_nobody_waits_for_them);
  RUN(fixed_waits_for_the_window_and_takes_who_came_in_it);
  RUN(fixed_leaves_early_with_min_batch_while_the_gate_is_idle);
  RUN(auto_waits_while_another_member_would_save_more_than_the_wait_costs);
  RUN(auto_counts_a_second_of_a_heavier_class_for_more);
  RUN(auto_knows_what_a_shared_beginning_spares);
  RUN(auto_sends_at_once_what_comes_too_rarely);
  RUN(an_urgent_list_leaves_at_once_and_takes_the_waiting_along);
  RUN(an_urgent_prompt_goes_alone_at_once);
  RUN(deferrable_ones_wait_for_company_though_the_gate_is_idle);
  RUN(those_who_wait_for_the_gate_still_let_others_join);
  RUN(a_more_urgent_member_moves_its_company_up_in_the_queue);
  RUN(a_company_that_waited_long_enough_waits_for_the_gate_as_any_row);
  RUN(what_came_before_the_first_step_came_at_its_time);
  RUN(options_set_on_a_running_engine_meet_those_who_wait);
  RUN(a_groups_states_are_told_in_order_with_their_times);
  RUN(a_group_that_fails_says_so_and_the_next_has_another_number);
  RUN(one_that_leaves_alone_tells_its_states_too);
  RUN(no_group_events_unless_asked_for);
  RUN(canaries_ask_again_alone_and_compare);
  RUN(about_the_given_share_of_members_is_asked_again);
  RUN(a_canary_that_fails_says_nothing_and_is_not_tried_again);
  RUN(canaries_do_not_hold_up_a_drain);
  RUN(merging_of_prompts_stops_when_too_many_replies_are_void);
  RUN(merging_goes_on_while_few_replies_are_void);
  RUN(the_share_of_void_replies_must_be_above_the_limit);
  RUN(those_who_wait_when_merging_stops_leave_one_by_one);
  RUN(a_source_is_read_until_its_groups_are_full_or_the_queue_is);
  return check_report();
}
