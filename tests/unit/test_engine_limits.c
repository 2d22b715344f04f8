/* test_engine_limits: what holds a start back: the spend cap, the queue's capacity, stated rates, classes of priority. */
#include "engine_test.h"

static bench b;

/* ---- Money ---- */

static sheaf_request priced(void) {
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.prompt = SHEAF_LITERAL(
      "forty bytes of prompt are ten tokens here"); /* 41 bytes: 10 tokens, as answers say */
  q.max_tokens = 20;
  return q;
}

/* An answer costs 50, and that is the bound of each start too. */
TEST(the_cap_is_reserved_before_and_never_passed) {
  bench_init(&b);
  b.options.concurrency = 8;
  b.options.budget_usd_nano = 160;
  bench_open(&b);
  sheaf_request q = priced();
  for (int i = 0; i < 6; i++) bench_submit_request(&b, &q);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 3);  /* 3 * 50 <= 160 < 4 * 50 */
  CHECK_EQ(b.result_count, 0); /* what is out may turn out cheaper */
  for (uint32_t i = 0; i < 3; i++) bench_answer(&b, i, 200, "", "ok");
  bench_step(&b, 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 3);
  CHECK_EQ(b.result_count, 6);
  for (uint32_t i = 3; i < 6; i++) {
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_BUDGET);
    CHECK(!b.results[i].attempted);
  }
  CHECK_EQ(b.notices[SHEAF_NOTICE_BUDGET], 1);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.cost_usd_nano, 150);
  bench_close(&b);
}

TEST(what_was_refused_gives_its_reservation_back) {
  bench_init(&b);
  b.options.concurrency = 8;
  b.options.budget_usd_nano = 50;
  b.options.max_retries = 0;
  bench_open(&b);
  sheaf_request q = priced();
  for (int i = 0; i < 2; i++) bench_submit_request(&b, &q);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  bench_answer(&b, 0, 400, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  bench_close(&b);
}

TEST(an_unknown_outcome_keeps_its_bound_against_the_cap) {
  bench_init(&b);
  b.options.budget_usd_nano = 99;
  b.options.resend_unknown = SHEAF_RESEND_NEVER;
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request q = priced();
  for (int i = 0; i < 2; i++) bench_submit_request(&b, &q);
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_BROKEN);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_BUDGET);
  bench_close(&b);
}

TEST(a_billed_reply_without_usage_keeps_its_bound_too) {
  bench_init(&b);
  b.options.budget_usd_nano = 99;
  b.options.max_retries = 0;
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request q = priced();
  for (int i = 0; i < 2; i++) bench_submit_request(&b, &q);
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "", "bad");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_BUDGET);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.unknown_usd_nano, 50);
  CHECK_EQ(stats.cost_missing, 1);
  bench_close(&b);
}

TEST(a_budget_without_a_price_is_refused_at_submit) {
  static const sheaf_price_table empty = {.date = "2026-01-01", .source = "none"};
  bench_init(&b);
  b.options.prices = &empty;
  b.options.budget_usd_nano = 1000;
  bench_open(&b);
  sheaf_request q = priced();
  sheaf_parse_error error;
  uint64_t index = 99;
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, &index, &error), SHEAF_E_FIELD);
  CHECK_EQ(index, 99);
  CHECK(error.message != NULL && strstr(error.message, "price") != NULL);
  CHECK(error.field != NULL && strcmp(error.field, "model") == 0);
  bench_close(&b);
}

/* ---- Capacity ---- */

TEST(a_full_queue_says_so_and_takes_again_after_a_start) {
  bench_init(&b);
  b.options.queue_capacity = 3;
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request q = priced();
  CHECK_EQ(sheaf_engine_room(b.engine), 3);
  for (int i = 0; i < 3; i++) bench_submit_request(&b, &q);
  uint64_t index = 99;
  CHECK_EQ(sheaf_engine_room(b.engine), 0);
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, &index, NULL), SHEAF_E_FULL);
  CHECK_EQ(index, 99);
  bench_step(&b, 0);
  CHECK_EQ(sheaf_engine_room(b.engine), 1);
  CHECK_EQ(bench_submit_request(&b, &q), 3);
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, NULL), SHEAF_E_FULL);
  bench_close(&b);
}

TEST(a_request_that_cannot_be_built_uses_up_no_index) {
  bench_init(&b);
  bench_open(&b);
  sheaf_request q = SHEAF_REQUEST_INIT;
  sheaf_parse_error error;
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, &error), SHEAF_E_FIELD);
  CHECK(strcmp(error.field, "prompt") == 0);
  q.prompt = SHEAF_LITERAL("x");
  q.body = SHEAF_LITERAL("{}");
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, &error), SHEAF_E_FIELD);
  q.body.bytes = 0;
  q.endpoint = SHEAF_LITERAL("nobody");
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, &error), SHEAF_E_FIELD);
  q.endpoint.bytes = 0;
  static char name[513];
  memset(name, 'n', sizeof name);
  q.custom_id = (sheaf_slice){name, sizeof name};
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, &error), SHEAF_E_TOO_LONG);
  CHECK(strcmp(error.field, "custom_id") == 0);
  q.custom_id.bytes = 512;
  CHECK_EQ(bench_submit_request(&b, &q), 0);
  bench_close(&b);
}

/* ---- Rates and in flight ---- */

TEST(fixed_concurrency_is_never_passed) {
  bench_init(&b);
  b.options.concurrency = 3;
  bench_open(&b);
  for (int i = 0; i < 10; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 3);
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine) > b.now_ns, true);
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 4);
  bench_close(&b);
}

/* 60 a minute less 2 %: a start each 1000 / 0.98 ms behind a first one. limit = floor(58.8) = 58: 60 s / 58. */
TEST(a_stated_rate_spaces_the_starts) {
  bench_init(&b);
  b.options.rpm = 60;
  b.options.concurrency = 64;
  bench_open(&b);
  for (int i = 0; i < 5; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  while (b.start_count < 5 && bench_wait(&b)) {
  }
  CHECK_EQ(b.start_count, 5);
  for (uint32_t i = 1; i < 5; i++) {
    uint64_t gap = b.starts[i].at_ns - b.starts[i - 1].at_ns;
    CHECK(gap >= 60000000000ull / 58 - 1000 && gap <= 60000000000ull / 58 + 2000);
  }
  bench_close(&b);
}

/* Every letter is a token; a body that begins with '?' is of a model that nobody can count for. */
static int64_t count_letters(void *ctx, const sheaf_provider *provider, sheaf_slice model,
                             sheaf_slice body) {
  unsigned *calls = ctx;
  (void)provider, (void)model;
  (*calls)++;
  return body.bytes && body.data[0] == '?' ? SHEAF_ABSENT : (int64_t)body.bytes;
}

TEST(counted_tokens_are_what_a_token_limit_holds_back) {
  /* 6,000 tokens a minute are 100 a second, saved up for a second at most. 40 bytes are 10 tokens by the
   * estimate, which lets 10 of them start at once; counted they are 40, which lets 2. */
  static const char forty[] = "0123456789012345678901234567890123456789";
  for (int counts = 0; counts < 2; counts++) {
    unsigned calls = 0;
    const sheaf_token_counter counter = {sizeof counter, 0, &calls, count_letters};
    bench_init(&b);
    b.options.concurrency = 100;
    b.options.input_tpm = 6000;
    b.options.rate_safety_pct = 100;
    if (counts) b.options.tokens = &counter;
    bench_open(&b);
    for (int i = 0; i < 20; i++) bench_submit(&b, forty);
    bench_step(&b, 1);
    CHECK_EQ(b.start_count, counts ? 2 : 10);
    CHECK_EQ(calls, counts ? 20 : 0);
    bench_close(&b);
  }
}

TEST(a_request_longer_than_the_context_ends_unsent) {
  unsigned calls = 0;
  const sheaf_token_counter counter = {sizeof counter, 0, &calls, count_letters};
  bench_init(&b);
  b.options.context_tokens = 10;
  b.options.max_tokens = 4;
  b.options.tokens = &counter;
  bench_open(&b);
  bench_submit(&b, "123456");       /* 6 and 4: just so */
  bench_submit(&b, "1234567");      /* one too many */
  bench_submit(&b, "?23456789012"); /* nobody knows: the server decides */
  bench_step(&b, 1);
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(b.result_count, 1);
  CHECK_EQ(b.results[0].index, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CONTEXT_LENGTH);
  CHECK(!b.results[0].attempted);
  bench_close(&b);
}

TEST(starts_keep_their_interval) {
  bench_init(&b);
  b.options.start_interval_ms = 250;
  bench_open(&b);
  for (int i = 0; i < 3; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  while (b.start_count < 3 && bench_wait(&b)) {
  }
  for (uint32_t i = 1; i < 3; i++)
    CHECK_EQ(b.starts[i].at_ns - b.starts[i - 1].at_ns, 250 * BENCH_MS);
  bench_close(&b);
}

TEST(a_request_larger_than_the_whole_limit_ends_at_its_first_refusal) {
  bench_init(&b);
  b.options.output_tpm = 1000;
  bench_open(&b);
  sheaf_request q = priced();
  q.max_tokens = 5000;
  bench_submit_request(&b, &q);
  bench_step(&b, 0);
  bench_answer(&b, 0, 429, "", "");
  bench_step(&b, 0);
  while (b.result_count == 0 && b.start_count == 1 && bench_wait(&b)) {
  }
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_RATE_LIMIT);
  bench_close(&b);
}

/* ---- Priorities ---- */

TEST(an_urgent_request_overtakes_what_waits) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  for (int i = 0; i < 5; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  sheaf_request q = priced();
  q.priority = SHEAF_PRIORITY_URGENT;
  uint64_t urgent = bench_submit_request(&b, &q);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[1].index, urgent);
  bench_close(&b);
}

TEST(equal_requests_leave_in_order) {
  bench_init(&b);
  b.options.concurrency = 20;
  bench_open(&b);
  for (int i = 0; i < 20; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  for (uint32_t i = 0; i < 20; i++) CHECK_EQ(b.starts[i].index, i);
  bench_close(&b);
}

/* ---- Models take turns ---- */

static uint64_t submit_to(const char *model, uint32_t priority) {
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.prompt = q.model = sheaf_slice_of(model);
  q.priority = priority;
  return bench_submit_request(&b, &q);
}

/* The latest start is answered, so that the one place is free. */
static void next_start(void) {
  uint32_t before = b.start_count;
  bench_answer(&b, before - 1, 200, "", "ok");
  bench_step(&b, BENCH_MS);
  CHECK_EQ(b.start_count, before + 1);
}

TEST(an_urgent_request_of_another_model_overtakes_what_waits) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  for (int i = 0; i < 12; i++) submit_to("m", 0);
  bench_step(&b, 0);
  submit_to("n", SHEAF_PRIORITY_LOW);
  submit_to("o", SHEAF_PRIORITY_URGENT);
  next_start();
  CHECK_STRING(b.starts[1].body, "o");
  next_start();
  CHECK_STRING(b.starts[2].body, "m");
  bench_close(&b);
}

TEST(models_of_one_class_take_turns_however_few_places_there_are) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  for (int i = 0; i < 6; i++) submit_to("m", 0);
  for (int i = 0; i < 6; i++) submit_to("n", 0);
  for (int i = 0; i < 6; i++) submit_to("o", 0);
  bench_step(&b, 0);
  for (uint32_t i = 1; i < 18; i++) next_start();
  for (uint32_t i = 0; i < 18; i += 3) { /* each once in every three */
    uint32_t seen = 0;
    for (uint32_t k = i; k < i + 3; k++) seen |= 1u << (b.starts[k].body[0] - 'm');
    CHECK_EQ(seen, 7);
  }
  bench_close(&b);
}

TEST(a_model_that_must_wait_is_passed_over) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  submit_to("m", 0);
  bench_step(&b, 0);
  bench_answer(&b, 0, 429, "retry-after-ms: 60000\n", ""); /* its pool is paused */
  submit_to("m", SHEAF_PRIORITY_URGENT);
  submit_to("n", SHEAF_PRIORITY_LOW);
  bench_step(&b, BENCH_MS);
  CHECK_EQ(b.start_count, 2);
  CHECK_STRING(b.starts[1].body, "n");
  bench_close(&b);
}

TEST(no_model_waits_for_ever_behind_urgent_ones_of_another) {
  bench_init(&b);
  b.options.concurrency = 1;
  b.options.class_wait_normal_ms = 5000;
  bench_open(&b);
  submit_to("m", SHEAF_PRIORITY_URGENT);
  bench_step(&b, 0);
  submit_to("n", 0);
  uint32_t served = 0;
  for (uint32_t i = 0; i < 100; i++) {
    submit_to("m", SHEAF_PRIORITY_URGENT);
    submit_to("m", SHEAF_PRIORITY_URGENT);
    b.now_ns += 100 * BENCH_MS;
    next_start();
    if (b.starts[b.start_count - 1].body[0] == 'n') served = i;
  }
  CHECK(served >= 49 && served <= 52); /* its class waits five seconds at most, and one more turn */
  bench_close(&b);
}

/* ---- Steady state ---- */

TEST(a_steady_state_allocates_nothing) {
  bench_init(&b);
  b.options.concurrency = 4;
  bench_open(&b);
  uint64_t before = 0;
  for (uint32_t i = 0; i < 200; i++) {
    bench_submit(&b, "a prompt of the usual length");
    bench_step(&b, BENCH_MS);
    bench_answer(&b, i, 200, "x: y\n", "an answer");
    bench_step(&b, BENCH_MS);
    if (i == 99) before = b.memory.calls;
  }
  CHECK_EQ(b.result_count, 200);
  CHECK_EQ(b.memory.calls, before);
  bench_close(&b);
}

int main(void) {
  RUN(the_cap_is_reserved_before_and_never_passed);
  RUN(what_was_refused_gives_its_reservation_back);
  RUN(an_unknown_outcome_keeps_its_bound_against_the_cap);
  RUN(a_billed_reply_without_usage_keeps_its_bound_too);
  RUN(a_budget_without_a_price_is_refused_at_submit);
  RUN(a_full_queue_says_so_and_takes_again_after_a_start);
  RUN(a_request_that_cannot_be_built_uses_up_no_index);
  RUN(fixed_concurrency_is_never_passed);
  RUN(a_stated_rate_spaces_the_starts);
  RUN(counted_tokens_are_what_a_token_limit_holds_back);
  RUN(a_request_longer_than_the_context_ends_unsent);
  RUN(starts_keep_their_interval);
  RUN(a_request_larger_than_the_whole_limit_ends_at_its_first_refusal);
  RUN(an_urgent_request_overtakes_what_waits);
  RUN(equal_requests_leave_in_order);
  RUN(an_urgent_request_of_another_model_overtakes_what_waits);
  RUN(models_of_one_class_take_turns_however_few_places_there_are);
  RUN(a_model_that_must_wait_is_passed_over);
  RUN(no_model_waits_for_ever_behind_urgent_ones_of_another);
  RUN(a_steady_state_allocates_nothing);
  return check_report();
}
