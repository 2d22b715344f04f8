/* test_engine: what becomes of a request: answers, retries, unknown outcomes, deadlines, cancel, drain, tasks. */
#include "engine_test.h"

static bench b;

static void open_with(uint64_t concurrency) {
  bench_init(&b);
  b.options.concurrency = concurrency;
  bench_open(&b);
}

/* ---- One answer ---- */

TEST(a_request_completes_with_its_answer) {
  open_with(4);
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.prompt = SHEAF_LITERAL("hello");
  q.metadata = SHEAF_LITERAL("{\"k\":1}");
  CHECK_EQ(bench_submit_request(&b, &q), 0);
  CHECK_OK(sheaf_engine_end_input(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_STRING(b.starts[0].body, "hello");
  CHECK(!sheaf_engine_is_idle(b.engine));
  bench_answer(&b, 0, 200, "", "world");
  bench_step(&b, 5 * BENCH_MS);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok && b.results[0].attempted);
  CHECK_STRING(b.results[0].text, "world");
  CHECK_STRING(b.results[0].id, "row-1");
  CHECK_STRING(b.results[0].metadata, "{\"k\":1}");
  CHECK_EQ(b.results[0].attempts, 1);
  CHECK_EQ(b.results[0].billing, SHEAF_BILLING_BILLED);
  CHECK_EQ(b.results[0].cost, 50);
  CHECK_EQ(b.results[0].total_ns, 5 * BENCH_MS);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(late_and_duplicate_events_are_ignored) {
  open_with(4);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "", "one");
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.end = SHEAF_END_BROKEN;
  CHECK_STATUS(sheaf_engine_on_done(b.engine, b.starts[0].id, &end), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_on_head(b.engine, b.starts[0].id, 500, (sheaf_slice){NULL, 0}),
               SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_on_data(b.engine, b.starts[0].id, SHEAF_LITERAL("two")),
               SHEAF_E_NOT_FOUND);
  bench_step(&b, 0);
  CHECK_STRING(b.results[0].text, "one");
  bench_submit(&b, "y"); /* takes the same slot */
  bench_step(&b, 0);
  CHECK_STATUS(sheaf_engine_on_done(b.engine, b.starts[0].id, &end), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_on_done(b.engine, 0, &end), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_on_done(b.engine, UINT64_MAX, &end), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_on_head(b.engine, b.starts[1].id, 200, (sheaf_slice){NULL, 0}),
               SHEAF_OK);
  CHECK_STATUS(sheaf_engine_on_head(b.engine, b.starts[1].id, 200, (sheaf_slice){NULL, 0}),
               SHEAF_E_MISUSE);
  CHECK_EQ(b.result_count, 1);
  bench_close(&b);
}

TEST(a_reply_beyond_its_ceiling_is_refused_and_not_tried_again) {
  bench_init(&b);
  b.options.reply_bytes_max = 1024;
  bench_open(&b);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  static const char much[1025];
  bench_head(&b, 0, 200, "");
  CHECK_STATUS(sheaf_engine_on_data(b.engine, b.starts[0].id, (sheaf_slice){much, sizeof much}),
               SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_engine_on_data(b.engine, b.starts[0].id, SHEAF_LITERAL("a")), SHEAF_E_LIMIT);
  bench_done(&b, 0, SHEAF_END_CANCELLED); /* a transport may call it so */
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_INVALID_RESPONSE);
  CHECK_EQ(b.results[0].billing, SHEAF_BILLING_BILLED);
  CHECK_EQ(b.start_count, 1);
  bench_close(&b);
}

/* ---- Retries ---- */

TEST(a_row_throttled_twice_completes_once_and_obeys_the_pauses) {
  open_with(4);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  for (uint32_t i = 0; i < 2; i++) {
    uint64_t refused = b.now_ns;
    bench_answer(&b, i, 429, "retry-after-ms: 700\n", "");
    bench_step(&b, 0);
    CHECK_EQ(b.start_count, i + 1);
    while (b.start_count == i + 1 && bench_wait(&b)) {
    }
    CHECK_EQ(b.start_count, i + 2);
    uint64_t waited = b.starts[i + 1].at_ns - refused;
    CHECK(waited >= 700 * BENCH_MS);
    CHECK(waited <= 700 * BENCH_MS + 320 * BENCH_MS); /* draw(min(1 s, D/10 + 250 ms)) */
  }
  bench_answer(&b, 2, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].attempts, 3);
  CHECK_EQ(b.results[0].throttles, 2);
  CHECK_EQ(b.results[0].cost, 50);
  bench_close(&b);
}

TEST(only_a_probe_leaves_after_a_pause_and_the_rest_follow_its_head) {
  open_with(8);
  for (int i = 0; i < 5; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 5);
  for (uint32_t i = 0; i < 5; i++) bench_answer(&b, i, 529, "retry-after-ms: 100\n", "");
  bench_step(&b, 0);
  bench_step(&b, 100 * BENCH_MS - 1);
  CHECK_EQ(b.start_count, 5);
  bench_step(&b, 400 * BENCH_MS); /* with the longest draw the pause is over */
  CHECK_EQ(b.start_count, 6);
  bench_step(&b, BENCH_SECOND);
  CHECK_EQ(b.start_count, 6);
  bench_head(&b, 5, 200, "");
  bench_step(&b, 0); /* not only when the two seconds are over */
  CHECK_EQ(b.start_count, 10);
  bench_close(&b);
}

TEST(server_errors_end_after_max_retries_with_growing_waits) {
  bench_init(&b);
  b.options.max_retries = 3;
  b.options.retry_base_ms = 100;
  bench_open(&b);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  for (uint32_t i = 0; i < 4; i++) {
    uint64_t at = b.now_ns;
    CHECK_EQ(b.start_count, i + 1);
    bench_answer(&b, i, 500, "", "");
    bench_step(&b, 0);
    while (i < 3 && b.start_count == i + 1 && bench_wait(&b)) {
    }
    CHECK(b.now_ns - at <= (100 * BENCH_MS << i)); /* full jitter, doubled with each try */
  }
  CHECK_EQ(b.start_count, 4);
  CHECK_EQ(b.result_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_SERVER);
  CHECK_EQ(b.results[0].attempts, 4);
  CHECK_EQ(b.results[0].history_count, 4);
  CHECK(b.results[0].attempted);
  bench_close(&b);
}

TEST(an_invalid_response_is_retried_twice_at_most_and_its_cost_counted) {
  open_with(4);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  for (uint32_t i = 0; i < 3; i++) {
    CHECK_EQ(b.start_count, i + 1);
    bench_answer(&b, i, 200, "", "bad");
    bench_step(&b, 0);
    while (b.start_count == i + 1 && bench_wait(&b)) {
    }
  }
  CHECK_EQ(b.start_count, 3);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_INVALID_RESPONSE);
  CHECK_EQ(b.results[0].billing, SHEAF_BILLING_BILLED);
  bench_close(&b);
}

TEST(a_retried_success_costs_what_its_attempts_cost) {
  open_with(4);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  bench_step(&b, 0);
  while (b.start_count == 1 && bench_wait(&b)) {
  }
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(b.results[0].cost, 50);
  CHECK_EQ(stats.cost_usd_nano, 50);
  CHECK_EQ(stats.retries, 1);
  CHECK_EQ(stats.attempts, 2);
  bench_close(&b);
}

TEST(what_was_not_sent_is_sent_again_at_once) {
  open_with(4);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_NOT_SENT);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(b.results[0].ok && !b.results[0].resent);
  CHECK_EQ(b.results[0].attempts, 2);
  bench_close(&b);
}

TEST(what_the_transport_refuses_is_not_tried_again) {
  open_with(4);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_REFUSED);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_INVALID_REQUEST);
  CHECK_EQ(b.results[0].billing, SHEAF_BILLING_NOT_SENT);
  bench_close(&b);
}

/* ---- Unknown outcomes ---- */

static void unknown_under(uint64_t policy) {
  bench_init(&b);
  b.options.resend_unknown = policy;
  bench_open(&b);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_BROKEN);
  bench_step(&b, 0);
  while (b.result_count == 0 && b.start_count == 1 && bench_wait(&b)) {
  }
}

TEST(an_unknown_outcome_ends_the_row_under_never) {
  unknown_under(SHEAF_RESEND_NEVER);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_UNKNOWN_OUTCOME);
  CHECK_EQ(b.results[0].billing, SHEAF_BILLING_UNKNOWN);
  CHECK(!b.results[0].resent);
  bench_close(&b);
}

TEST(an_unknown_outcome_is_resent_and_told_under_the_other_policies) {
  for (uint64_t policy = SHEAF_RESEND_WITHIN_BUDGET; policy <= SHEAF_RESEND_ALWAYS; policy++) {
    unknown_under(policy);
    CHECK_EQ(b.start_count, 2);
    bench_answer(&b, 1, 200, "", "ok");
    bench_step(&b, 0);
    CHECK(b.results[0].ok && b.results[0].resent);
    CHECK_EQ(b.results[0].billing, SHEAF_BILLING_BILLED);
    CHECK_EQ(b.notices[SHEAF_NOTICE_RESENT_UNKNOWN], 1);
    sheaf_stats stats;
    sheaf_engine_stats(b.engine, &stats);
    CHECK_EQ(stats.unknown_outcomes, 1);
    CHECK_EQ(stats.unknown_resent, 1);
    CHECK(stats.unknown_usd_nano > 0);
    bench_close(&b);
  }
}

/* ---- Deadlines ---- */

static uint64_t submit_deadline(uint64_t ms) {
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.prompt = SHEAF_LITERAL("x");
  q.deadline_ms = ms;
  return bench_submit_request(&b, &q);
}

TEST(a_deadline_ends_a_queued_row_unsent) {
  open_with(1);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  submit_deadline(50);
  bench_step(&b, 0);
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), b.now_ns + 50 * BENCH_MS);
  bench_step(&b, 50 * BENCH_MS - 1);
  CHECK_EQ(b.result_count, 0);
  bench_step(&b, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
  CHECK(!b.results[0].attempted);
  CHECK_EQ(b.results[0].attempts, 0);
  bench_close(&b);
}

TEST(a_deadline_that_comes_before_the_next_try_ends_the_row_at_once) {
  open_with(1);
  submit_deadline(100);
  bench_step(&b, 0);
  CHECK_EQ(b.starts[0].timeout_ns, 100 * BENCH_MS);
  bench_step(&b, 99 * BENCH_MS);
  bench_answer(&b, 0, 500, "", "");
  bench_step(&b, 0);
  while (b.result_count == 0 && b.start_count == 1 && bench_wait(&b)) {
  }
  if (b.start_count == 2) { /* the jitter was under a millisecond */
    CHECK(b.starts[1].timeout_ns <= BENCH_MS);
  } else {
    CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
    CHECK(b.results[0].attempted);
    CHECK_EQ(b.results[0].attempts, 1);
  }
  bench_close(&b);
}

TEST(a_pause_beyond_the_deadline_does_not_keep_the_row) {
  open_with(1);
  submit_deadline(1000);
  bench_step(&b, 0);
  bench_answer(&b, 0, 429, "retry-after-ms: 60000\n", "");
  bench_step(&b, 0);
  while (b.result_count == 0 && bench_wait(&b)) {
  }
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
  CHECK(b.now_ns <= 101 * BENCH_SECOND);
  CHECK_EQ(b.start_count, 1);
  bench_close(&b);
}

TEST(a_deadline_in_flight_is_the_timeout_and_is_not_retried) {
  open_with(1);
  submit_deadline(100);
  bench_step(&b, 0);
  bench_step(&b, 100 * BENCH_MS);
  bench_done(&b, 0, SHEAF_END_TIMEOUT);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
  CHECK_EQ(b.results[0].billing, SHEAF_BILLING_UNKNOWN);
  bench_close(&b);
}

TEST(deadlines_of_what_was_submitted_before_the_first_step_count_from_it) {
  open_with(1);
  submit_deadline(200);
  submit_deadline(80);
  bench_submit(&b, "x");
  bench_step(&b, 900 * BENCH_SECOND);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.result_count, 0);
  CHECK_EQ(b.starts[0].index, 1); /* the earliest due goes first */
  CHECK_EQ(b.starts[0].timeout_ns, 80 * BENCH_MS);
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), b.now_ns + 200 * BENCH_MS);
  bench_step(&b, 200 * BENCH_MS);
  CHECK_EQ(b.results[0].index, 0);
  CHECK_EQ(b.results[0].total_ns, 200 * BENCH_MS);
  bench_close(&b);
}

TEST(the_run_deadline_ends_what_waits_and_takes_no_more) {
  bench_init(&b);
  b.options.concurrency = 1;
  b.options.run_deadline_ms = 1000;
  bench_open(&b);
  bench_submit(&b, "x");
  bench_submit(&b, "y");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[0].timeout_ns, BENCH_SECOND);
  bench_step(&b, BENCH_SECOND);
  CHECK_EQ(b.results[0].index, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
  CHECK(!b.results[0].attempted);
  CHECK_EQ(b.notices[SHEAF_NOTICE_RUN_DEADLINE], 1);
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.prompt = SHEAF_LITERAL("z");
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, NULL), SHEAF_E_END);
  bench_done(&b, 0, SHEAF_END_TIMEOUT);
  bench_step(&b, 0);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

/* ---- Cancel, drain, abort ---- */

TEST(cancel_ends_a_queued_a_waiting_and_a_flying_row) {
  open_with(1);
  bench_submit(&b, "flies");
  bench_submit(&b, "queued");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, 1));
  CHECK_STATUS(sheaf_engine_cancel(b.engine, 1), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_cancel(b.engine, 77), SHEAF_E_NOT_FOUND);
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].index, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(!b.results[0].attempted);
  CHECK_OK(sheaf_engine_cancel(b.engine, 0));
  CHECK_OK(sheaf_engine_cancel(b.engine, 0));
  bench_step(&b, 0);
  CHECK_EQ(b.cancel_count, 1);
  CHECK_EQ(b.cancels[0], b.starts[0].id);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_step(&b, 0);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(b.results[1].billing, SHEAF_BILLING_UNKNOWN);
  CHECK(b.results[1].attempted);
  bench_submit(&b, "waits");
  bench_step(&b, 0);
  bench_answer(&b, 1, 500, "", "");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, 2));
  bench_step(&b, 100 * BENCH_SECOND);
  CHECK_EQ(b.start_count, 2); /* final */
  CHECK_EQ(b.results[2].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(b.results[2].attempts, 1);
  bench_close(&b);
}

TEST(a_row_cancelled_before_anybody_took_its_start_was_never_sent) {
  open_with(1);
  bench_submit(&b, "x");
  CHECK_OK(sheaf_engine_step(b.engine, b.now_ns, 0));
  CHECK_OK(sheaf_engine_cancel(b.engine, 0));
  bench_take_actions(&b);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(b.results[0].attempts, 0);
  CHECK(!b.results[0].attempted);
  bench_close(&b);
}

TEST(cancel_during_a_server_error_ends_as_cancelled_without_a_retry) {
  open_with(1);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  CHECK_OK(sheaf_engine_cancel(b.engine, 0));
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(b.cancel_count, 0); /* it was over: nothing to cancel */
  bench_close(&b);
}

TEST(drain_lets_flying_rows_end_and_the_rest_go_unsent) {
  open_with(2);
  for (int i = 0; i < 4; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_drain(b.engine));
  CHECK_OK(sheaf_engine_drain(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK(!b.results[0].attempted && !b.results[1].attempted);
  bench_answer(&b, 0, 200, "", "ok");
  bench_answer(&b, 1, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 4);
  CHECK(b.results[2].ok);
  CHECK(!b.results[3].ok);
  CHECK_EQ(b.start_count, 2); /* no retry */
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(abort_cancels_what_is_in_flight) {
  open_with(2);
  for (int i = 0; i < 3; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_abort(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.cancel_count, 2);
  CHECK_EQ(b.result_count, 1);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_answer(&b, 1, 200, "", "came first"); /* paid for: not thrown away */
  bench_step(&b, 0);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(b.results[2].ok);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(an_engine_is_freed_with_rows_in_every_place) {
  open_with(2);
  for (int i = 0; i < 100; i++) submit_deadline(i % 2 ? 500 : 0);
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  CHECK_OK(sheaf_engine_step(b.engine, b.now_ns, 0)); /* one waits, one flies, the rest is queued */
  bench_close(&b);
}

/* ---- Tasks ---- */

TEST(a_task_runs_under_the_same_rules) {
  open_with(2);
  int what = 7;
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.flags = SHEAF_REQUEST_TASK;
  q.user = &what;
  bench_submit_request(&b, &q);
  bench_step(&b, 0);
  CHECK_EQ(b.starts[0].kind, SHEAF_EXCHANGE_TASK);
  CHECK(b.starts[0].user == &what);
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.http_status = 429;
  end.retry_after_ns = 300 * BENCH_MS;
  CHECK_OK(sheaf_engine_on_done(b.engine, b.starts[0].id, &end));
  uint64_t refused = b.now_ns;
  bench_step(&b, 0);
  while (b.start_count == 1 && bench_wait(&b)) {
  }
  CHECK(b.starts[1].at_ns - refused >= 300 * BENCH_MS);
  sheaf_exchange_end_init(&end);
  end.usage.input_total = 5;
  end.usage.output_total = 6;
  CHECK_OK(sheaf_engine_on_done(b.engine, b.starts[1].id, &end));
  bench_step(&b, 0);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].attempts, 2);
  CHECK_EQ(b.results[0].cost, 5 + 2 * 6);
  bench_close(&b);
}

int main(void) {
  RUN(a_request_completes_with_its_answer);
  RUN(late_and_duplicate_events_are_ignored);
  RUN(a_reply_beyond_its_ceiling_is_refused_and_not_tried_again);
  RUN(a_row_throttled_twice_completes_once_and_obeys_the_pauses);
  RUN(only_a_probe_leaves_after_a_pause_and_the_rest_follow_its_head);
  RUN(server_errors_end_after_max_retries_with_growing_waits);
  RUN(an_invalid_response_is_retried_twice_at_most_and_its_cost_counted);
  RUN(a_retried_success_costs_what_its_attempts_cost);
  RUN(what_was_not_sent_is_sent_again_at_once);
  RUN(what_the_transport_refuses_is_not_tried_again);
  RUN(an_unknown_outcome_ends_the_row_under_never);
  RUN(an_unknown_outcome_is_resent_and_told_under_the_other_policies);
  RUN(a_deadline_ends_a_queued_row_unsent);
  RUN(a_deadline_that_comes_before_the_next_try_ends_the_row_at_once);
  RUN(a_pause_beyond_the_deadline_does_not_keep_the_row);
  RUN(a_deadline_in_flight_is_the_timeout_and_is_not_retried);
  RUN(deadlines_of_what_was_submitted_before_the_first_step_count_from_it);
  RUN(the_run_deadline_ends_what_waits_and_takes_no_more);
  RUN(cancel_ends_a_queued_a_waiting_and_a_flying_row);
  RUN(a_row_cancelled_before_anybody_took_its_start_was_never_sent);
  RUN(cancel_during_a_server_error_ends_as_cancelled_without_a_retry);
  RUN(drain_lets_flying_rows_end_and_the_rest_go_unsent);
  RUN(abort_cancels_what_is_in_flight);
  RUN(an_engine_is_freed_with_rows_in_every_place);
  RUN(a_task_runs_under_the_same_rules);
  return check_report();
}
