/* test_engine_places: keys that are refused, several endpoints, the circuit breaker. */
#include "engine_test.h"

static bench b;

static void open_with(uint64_t concurrency) {
  bench_init(&b);
  b.options.concurrency = concurrency;
  bench_open(&b);
}

/* ---- Keys and endpoints ---- */

static uint64_t waiting_row_with_stopped_key(void) {
  open_with(2);
  bench_submit(&b, "waits for its retry");
  bench_submit(&b, "refused");
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  bench_answer(&b, 1, 401, "", "");
  bench_step(&b, 0);
  return b.now_ns;
}

TEST(a_refused_key_ends_the_rest_unsent) {
  open_with(1);
  for (int i = 0; i < 3; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 401, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) {
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_AUTH);
    CHECK(!b.results[i].attempted); /* also the refused one: a resume with a good key runs it */
  }
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.notices[SHEAF_NOTICE_KEY_STOPPED], 1);
  bench_submit(&b, "later");
  bench_step(&b, 0);
  CHECK_EQ(b.results[3].error_class, SHEAF_CLASS_AUTH);
  CHECK(!b.results[3].attempted);
  bench_close(&b);
}

TEST(a_row_whose_retry_comes_after_its_key_was_stopped_ends_too) {
  waiting_row_with_stopped_key();
  while (b.result_count < 2 && bench_wait(&b)) {
  }
  CHECK_EQ(b.result_count, 2);
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_AUTH);
  bench_close(&b);
}

TEST(another_key_goes_on_where_one_was_refused) {
  bench_init(&b);
  b.options.endpoint_count = 2;
  b.options.concurrency = 1;
  b.endpoints[0].credential_id = 1;
  b.endpoints[1].credential_id = 2;
  bench_open(&b);
  for (int i = 0; i < 3; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[0].endpoint, 0);
  bench_answer(&b, 0, 402, "", ""); /* quota */
  bench_step(&b, 0);
  for (uint32_t i = 1; i <= 3; i++) {
    CHECK_EQ(b.start_count, i + 1);
    CHECK_EQ(b.starts[i].endpoint, 1);
    bench_answer(&b, i, 200, "", "ok");
    bench_step(&b, 0);
  }
  CHECK_EQ(b.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) CHECK(b.results[i].ok);
  bench_close(&b);
}

TEST(weights_share_the_traffic) {
  bench_init(&b);
  b.options.endpoint_count = 2;
  b.options.concurrency = 40;
  b.endpoints[0].weight = 3;
  b.endpoints[1].weight = 1;
  bench_open(&b);
  for (int i = 0; i < 40; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  uint32_t first = 0;
  for (uint32_t i = 0; i < b.start_count; i++) first += b.starts[i].endpoint == 0;
  CHECK_EQ(b.start_count, 40);
  CHECK_EQ(first, 30);
  bench_close(&b);
}

TEST(a_retry_prefers_an_endpoint_that_was_not_tried) {
  bench_init(&b);
  b.options.endpoint_count = 2;
  bench_open(&b);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_NOT_SENT);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  CHECK(b.starts[0].endpoint != b.starts[1].endpoint);
  bench_close(&b);
}

/* ---- The breaker ---- */

static void break_it(uint64_t on_breaker) {
  bench_init(&b);
  b.options.max_retries = 0;
  b.options.concurrency = 5;
  b.options.on_breaker = on_breaker;
  bench_open(&b);
  for (int i = 0; i < 8; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  for (uint32_t i = 0; i < 5; i++) bench_answer(&b, i, 500, "", "");
  bench_step(&b, 0);
}

TEST(five_failures_open_the_breaker_and_two_probes_close_it) {
  break_it(SHEAF_ON_BREAKER_WAIT);
  uint64_t opened = b.now_ns;
  CHECK_EQ(b.result_count, 5);
  CHECK_EQ(b.start_count, 5);
  CHECK_EQ(b.notices[SHEAF_NOTICE_BREAKER_OPEN], 1);
  while (b.start_count == 5 && bench_wait(&b)) {
  }
  CHECK_EQ(b.start_count, 6); /* one probe */
  CHECK(b.now_ns - opened >= 8 * BENCH_SECOND && b.now_ns - opened <= 12 * BENCH_SECOND);
  bench_answer(&b, 5, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 7); /* another one */
  bench_answer(&b, 6, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.notices[SHEAF_NOTICE_BREAKER_CLOSED], 1);
  CHECK_EQ(b.start_count, 8);
  bench_close(&b);
}

TEST(an_open_breaker_fails_what_waits_where_asked_to) {
  break_it(SHEAF_ON_BREAKER_FAIL);
  CHECK_EQ(b.result_count, 8);
  for (uint32_t i = 5; i < 8; i++) {
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_BREAKER_OPEN);
    CHECK(!b.results[i].attempted);
  }
  bench_close(&b);
}

TEST(one_busy_endpoint_keeps_rows_from_failing_by_the_breaker_of_another) {
  bench_init(&b);
  b.options.max_retries = 0;
  b.options.endpoint_count = 2;
  b.options.max_concurrency = 64;
  b.options.on_breaker = SHEAF_ON_BREAKER_FAIL;
  bench_open(&b);
  for (int i = 0; i < 16; i++) bench_submit(&b, "x"); /* eight at each endpoint: both are full */
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 16);
  bench_submit(&b, "waits");
  for (uint32_t i = 0, failed = 0; i < 16 && failed < 5; i++)
    if (b.starts[i].endpoint == 0) bench_answer(&b, i, 500, "", ""), failed++;
  bench_step(&b, 0);
  CHECK_EQ(b.notices[SHEAF_NOTICE_BREAKER_OPEN], 1);
  for (uint32_t i = 0; i < b.result_count; i++)
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_SERVER);
  bench_close(&b);
}

int main(void) {
  RUN(a_refused_key_ends_the_rest_unsent);
  RUN(a_row_whose_retry_comes_after_its_key_was_stopped_ends_too);
  RUN(another_key_goes_on_where_one_was_refused);
  RUN(weights_share_the_traffic);
  RUN(a_retry_prefers_an_endpoint_that_was_not_tried);
  RUN(five_failures_open_the_breaker_and_two_probes_close_it);
  RUN(an_open_breaker_fails_what_waits_where_asked_to);
  RUN(one_busy_endpoint_keeps_rows_from_failing_by_the_breaker_of_another);
  return check_report();
}
