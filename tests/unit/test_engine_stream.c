/* test_engine_stream: streamed replies: deltas, what breaks off, servers that do not stream, deltas nobody takes. */
#include "engine_test.h"

#define SSE "content-type: text/event-stream\n"

static bench b;

static void open_streaming(void) {
  bench_init(&b);
  b.options.stream = 1;
  b.options.retry_base_ms = 1;
  bench_open(&b);
}

static void until_start(uint32_t count) {
  while (b.start_count < count && bench_wait(&b)) {
  }
  CHECK_EQ(b.start_count, count);
}

TEST(deltas_come_before_the_result_and_make_up_its_text) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK(b.starts[0].stream);
  bench_head(&b, 0, 200, SSE);
  bench_data(&b, 0, "data: one\n\ndata: tw");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:one ");
  bench_data(&b, 0, "o\\n\n\n");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:one d:two\n ");
  bench_data(&b, 0, "data: three\n\ndata: [DONE]\n\ndata: four\n\n");
  bench_done(&b, 0, SHEAF_END_OK);
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:one d:two\n d:three r "); /* nothing counts behind the end marker */
  CHECK(b.results[0].ok && b.results[0].streamed);
  CHECK_STRING(b.results[0].text, "onetwo\nthree");
  bench_close(&b);
}

TEST(a_whole_stream_in_one_step_gives_one_delta_and_the_result) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, SSE, "data: a\n\ndata: b\n\ndata: [DONE]\n\n");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:ab r ");
  bench_close(&b);
}

TEST(what_was_shown_of_a_broken_stream_is_discarded_before_the_retry) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_head(&b, 0, 200, SSE);
  bench_data(&b, 0, "data: old\n\n");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_BROKEN);
  bench_step(&b, 0);
  until_start(2);
  bench_answer(&b, 1, 200, SSE, "data: new\n\ndata: [DONE]\n\n");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:old x d:new r ");
  CHECK_STRING(b.results[0].text, "new");
  bench_close(&b);
}

TEST(what_was_never_shown_needs_no_discard) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_head(&b, 0, 200, SSE);
  bench_data(&b, 0, "data: old\n\n");
  bench_done(&b, 0, SHEAF_END_BROKEN);
  bench_step(&b, 0);
  until_start(2);
  bench_answer(&b, 1, 200, SSE, "data: new\n\ndata: [DONE]\n\n");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:new r ");
  bench_close(&b);
}

TEST(a_stream_without_its_end_marker_is_an_unknown_outcome) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, SSE, "data: half\n\n");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 0);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.unknown_outcomes, 1);
  CHECK_EQ(stats.attempt_errors_by_class[SHEAF_CLASS_NETWORK], 1);
  bench_close(&b);
}

/* The work is done and paid for; what broke is a connection nobody needs any more. */
TEST(a_connection_that_breaks_behind_the_end_marker_costs_nothing) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_head(&b, 0, 200, SSE);
  bench_data(&b, 0, "data: all\n\ndata: [DONE]\n\n");
  bench_done(&b, 0, SHEAF_END_BROKEN);
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK_STRING(b.results[0].text, "all");
  bench_close(&b);
}

TEST(a_server_that_does_not_stream_is_read_as_one_reply) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "Content-Type: application/json; charset=utf-8\n", "whole");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "r ");
  CHECK_STRING(b.results[0].text, "whole");
  CHECK(!b.results[0].streamed);
  bench_close(&b);
}

TEST(an_error_instead_of_a_stream_is_classified) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 400, "content-type: application/json\n", "{}");
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_INVALID_REQUEST);
  CHECK_STRING(b.events, "r ");
  bench_close(&b);
}

TEST(a_cancelled_stream_shows_no_more_deltas) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_head(&b, 0, 200, SSE);
  bench_data(&b, 0, "data: one\n\n");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, 0));
  bench_data(&b, 0, "data: two\n\n");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d:one r ");
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  bench_close(&b);
}

/* A surrogate pair that two events cut in half is shown whole, with the second of them. */
TEST(half_a_surrogate_pair_waits_for_the_other) {
  open_streaming();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_head(&b, 0, 200, SSE);
  bench_data(&b, 0, "data: a\\ud83d\n\n");
  bench_step(&b, 0);
  bench_data(&b, 0, "data: \\ude00b\n\ndata: [DONE]\n\n");
  bench_done(&b, 0, SHEAF_END_OK);
  bench_step(&b, 0);
  CHECK_STRING(b.events,
               "d:a d:\xf0\x9f\x98\x80"
               "b r ");
  CHECK_STRING(b.results[0].text,
               "a\xf0\x9f\x98\x80"
               "b");
  bench_close(&b);
}

/* A caller that takes no events while many streams end in a refusal again and again: the ring must hold what piles up. */
TEST(deltas_of_refused_attempts_that_nobody_took_do_no_harm) {
  bench_init(&b);
  b.options.stream = 1;
  b.options.concurrency = 64;
  b.options.max_throttles = 250;
  bench_open(&b);
  for (int i = 0; i < 64; i++) bench_submit(&b, "x");
  uint32_t answered = 0;
  for (uint32_t turn = 0; turn < 4000 && answered < 700; turn++) {
    CHECK_OK(sheaf_engine_step(b.engine, b.now_ns += 10 * BENCH_SECOND, 0));
    bench_take_actions(&b);
    for (; answered < b.start_count && answered < 700; answered++)
      bench_answer(&b, answered, 200, SSE, "data: old\n\ndata: overloaded\n\n");
  }
  CHECK(answered == 700); /* eleven deltas a row */
  for (uint32_t i = 0; i < 300 && b.result_count < 64; i++) {
    bench_step(&b, 10 * BENCH_SECOND);
    for (; answered < b.start_count; answered++)
      bench_answer(&b, answered, 200, SSE, "data: new\n\ndata: [DONE]\n\n");
  }
  CHECK_EQ(b.result_count, 64);
  /* The oldest row is every pause's probe: it may have reached its own ceiling. */
  for (uint32_t i = 0; i < b.result_count; i++)
    CHECK(b.results[i].ok || b.results[i].throttles > 250);
  bench_close(&b);
}

int main(void) {
  RUN(deltas_come_before_the_result_and_make_up_its_text);
  RUN(a_whole_stream_in_one_step_gives_one_delta_and_the_result);
  RUN(what_was_shown_of_a_broken_stream_is_discarded_before_the_retry);
  RUN(what_was_never_shown_needs_no_discard);
  RUN(a_stream_without_its_end_marker_is_an_unknown_outcome);
  RUN(a_connection_that_breaks_behind_the_end_marker_costs_nothing);
  RUN(a_server_that_does_not_stream_is_read_as_one_reply);
  RUN(an_error_instead_of_a_stream_is_classified);
  RUN(a_cancelled_stream_shows_no_more_deltas);
  RUN(half_a_surrogate_pair_waits_for_the_other);
  RUN(deltas_of_refused_attempts_that_nobody_took_do_no_harm);
  return check_report();
}
