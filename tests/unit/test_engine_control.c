/* test_engine_control: a running engine is paused, set anew, filled to its bytes and rid of requests; its numbers from 0. */
#include "engine_test.h"

static bench b;

static sheaf_stats stats_now(void) {
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  return s;
}

static int32_t set(const char *name, const char *value) {
  return sheaf_engine_set(b.engine, sheaf_slice_of(name), sheaf_slice_of(value), NULL, 0);
}

static void close_all(void) {
  CHECK_OK(sheaf_engine_abort(b.engine));
  bench_close(&b);
}

/* ---- Pause ---- */

TEST(a_paused_engine_starts_nothing_and_goes_on_at_once) {
  bench_init(&b);
  bench_open(&b);
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_pause(b.engine));
  CHECK(sheaf_engine_is_paused(b.engine));
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  bench_step(&b, 10 * BENCH_SECOND);
  CHECK_EQ(b.start_count, 0);
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), SHEAF_NEVER);
  sheaf_stats s = stats_now();
  CHECK(s.paused);
  CHECK_EQ(s.limited_by, SHEAF_LIMITED_BY_PAUSE);
  CHECK_EQ(sheaf_stats_eta_ns(&s, 5), SHEAF_NEVER);
  CHECK_OK(sheaf_engine_resume(b.engine));
  CHECK(!sheaf_engine_is_paused(b.engine));
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK(!stats_now().paused);
  close_all();
}

TEST(what_is_in_flight_ends_while_paused_and_its_retry_waits) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "a");
  bench_submit(&b, "b");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_pause(b.engine));
  bench_answer(&b, 0, 200, "", "ok");
  bench_answer(&b, 1, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 1);
  while (bench_wait(&b)) { /* the wait of the retry ends; nothing leaves */
  }
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(stats_now().waiting_retry, 0);
  CHECK_OK(sheaf_engine_resume(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 3);
  close_all();
}

TEST(deadlines_go_on_while_paused) {
  bench_init(&b);
  bench_open(&b);
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_pause(b.engine));
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("hello");
  request.deadline_ms = 100;
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), b.now_ns + 100 * BENCH_MS);
  CHECK(bench_wait(&b));
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
  close_all();
}

/* A start that was decided but waits for its record is taken back, and all that it had reserved with it. */
TEST(a_start_that_nobody_has_taken_yet_is_withheld) {
  bench_init(&b);
  b.options.rpm = 60;
  b.options.budget_usd_nano = 1000000;
  b.store_answers = false;
  bench_open(&b);
  CHECK_OK(sheaf_engine_use_store(b.engine));
  CHECK_OK(sheaf_engine_on_scanned(b.engine, NULL, 0));
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, 1);
  CHECK_EQ(stats_now().in_flight, 1);
  CHECK_OK(sheaf_engine_pause(b.engine));
  CHECK_EQ(stats_now().in_flight, 0);
  CHECK_EQ(stats_now().queued, 1);
  CHECK_OK(sheaf_engine_on_stored(b.engine, b.appends[0].ticket, SHEAF_OK));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 0);
  CHECK_OK(sheaf_engine_resume(b.engine));
  bench_step(&b, 0); /* the one token of the second is there again */
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.append_count, 1); /* its record stands */
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].attempts, 1);
  CHECK_EQ(b.results[0].cost, 50);
  close_all();
}

TEST(a_probe_is_withheld_too) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "a");
  bench_step(&b, 0);
  bench_answer(&b, 0, 429, "retry-after-ms: 700\n", "");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_pause(b.engine));
  bench_step(&b, BENCH_SECOND);
  CHECK_EQ(b.start_count, 1);
  CHECK_OK(sheaf_engine_resume(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  close_all();
}

TEST(a_paused_engine_drains) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "a");
  CHECK_OK(sheaf_engine_pause(b.engine));
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_drain(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

/* ---- Set ---- */

TEST(concurrency_changes_for_what_waits) {
  bench_init(&b);
  b.options.concurrency = 4;
  bench_open(&b);
  for (int i = 0; i < 10; i++) bench_submit(&b, "hello");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 4);
  CHECK_OK(set("concurrency", "6"));
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 6);
  CHECK_OK(set("concurrency", "2"));
  for (uint32_t i = 0; i < 4; i++) {
    bench_answer(&b, i, 200, "", "ok");
    bench_step(&b, 0);
  }
  CHECK_EQ(b.start_count, 6); /* two are still out */
  bench_answer(&b, 4, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 7);
  CHECK_OK(set("concurrency", "auto"));
  CHECK_OK(set("max_concurrency", "3"));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 8);
  CHECK_EQ(stats_now().limit_milli, 3000);
  close_all();
}

TEST(rates_change_for_what_waits) {
  bench_init(&b);
  b.options.rpm = 60;
  b.options.rate_safety_pct = 100;
  bench_open(&b);
  for (int i = 0; i < 5; i++) bench_submit(&b, "hello");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_OK(set("rpm", "600"));
  bench_step(&b, 100 * BENCH_MS);
  CHECK_EQ(b.start_count, 2);
  CHECK_OK(set("rpm", "0"));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 5);
  close_all();
}

TEST(the_number_of_tries_changes_for_what_is_in_flight) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  CHECK_OK(set("max_retries", "0"));
  bench_answer(&b, 0, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_SERVER);
  close_all();
}

TEST(defaults_of_requests_change_for_later_ones) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  CHECK_OK(set("deadline_ms", "50"));
  CHECK_OK(set("attempt_timeout_ms", "20"));
  CHECK_OK(set("stream", "yes"));
  uint64_t late = bench_submit(&b, "late");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(!b.starts[0].stream && b.starts[1].stream);
  CHECK_EQ(b.starts[1].timeout_ns, 20 * BENCH_MS);
  bench_submit(&b, "later");
  bench_step(&b, 50 * BENCH_MS);
  CHECK_EQ(b.results[b.result_count - 1].error_class, SHEAF_CLASS_DEADLINE);
  CHECK_EQ(b.results[b.result_count - 1].index, late + 1);
  close_all();
}

TEST(a_budget_may_be_raised_and_lowered) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt =
      SHEAF_LITERAL("four"); /* a token in at 1 and 20 out at 2: 41 nano-dollars at most */
  request.max_tokens = 20;
  for (int i = 0; i < 3; i++) bench_submit_request(&b, &request);
  bench_step(&b, 0);
  CHECK_OK(set("budget_usd", "0.000000090")); /* 90: less than is reserved and 50 spent below */
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 3);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_BUDGET);
  CHECK_OK(set("budget_usd", "0.000001"));
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  close_all();
}

TEST(a_budget_is_refused_where_a_price_is_not_known) {
  char message[256];
  static const sheaf_price_table unpriced = {.date = "", .source = "", .count = 0};
  bench_init(&b);
  b.options.prices = &unpriced;
  bench_open(&b);
  bench_submit(&b, "hello");
  CHECK_STATUS(sheaf_engine_set(b.engine, SHEAF_LITERAL("budget_usd"), SHEAF_LITERAL("1"), message,
                                sizeof message),
               SHEAF_E_FIELD);
  CHECK_STRING(message,
               "budget_usd needs the prices of all models in use, and one is not known: give a "
               "price file");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  close_all();
}

TEST(what_the_engine_was_made_with_is_not_changed) {
  static const char *const fixed[] = {"reply_bytes_max", "reply_keep_bytes", "run_deadline_ms"};
  char message[256];
  bench_init(&b);
  bench_open(&b);
  for (uint32_t i = 0; i < 3; i++) {
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s is fixed when the engine is made: make another", fixed[i]);
    CHECK_STATUS(sheaf_engine_set(b.engine, sheaf_slice_of(fixed[i]), SHEAF_LITERAL("4096"),
                                  message, sizeof message),
                 SHEAF_E_UNSUPPORTED);
    CHECK_STRING(message, wanted);
    char cut[8];
    sheaf_engine_set(b.engine, sheaf_slice_of(fixed[i]), SHEAF_LITERAL("4096"), cut, sizeof cut);
    CHECK_EQ(strlen(cut), 7);
  }
  close_all();
}

TEST(wrong_names_and_values_are_refused_as_by_the_table) {
  char message[256], table[256];
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  bench_init(&b);
  bench_open(&b);
  CHECK_STATUS(set("speed", "1"), SHEAF_E_NOT_FOUND);
  int32_t wanted = sheaf_option_set(&options, SHEAF_LITERAL("max_retries"), SHEAF_LITERAL("101"),
                                    table, sizeof table);
  CHECK_EQ(wanted, SHEAF_E_RANGE);
  CHECK_STATUS(sheaf_engine_set(b.engine, SHEAF_LITERAL("max_retries"), SHEAF_LITERAL("101"),
                                message, sizeof message),
               wanted);
  CHECK_STRING(message, table);
  CHECK_STATUS(set("merge", "always"), SHEAF_E_RANGE);
  CHECK_STATUS(set("rpm", "many"), SHEAF_E_TYPE);
  close_all();
}

/* Every option is either settable, at its own default, or says that it is fixed. */
TEST(every_option_of_the_table_can_be_set_or_says_why_not) {
  bench_init(&b);
  bench_open(&b);
  uint32_t refused = 0;
  for (uint32_t n = 0;; n++) {
    const sheaf_option *option = sheaf_option_at(n);
    if (option == NULL) break;
    char value[32];
    snprintf(value, sizeof value, "%llu", (unsigned long long)option->max);
    if (strcmp(option->name, "budget_usd") == 0) snprintf(value, sizeof value, "1000000000");
    const char *text = value;
    if (option->choices != NULL) text = strrchr(option->choices, '|') + 1; /* the last of them */
    int32_t status = set(option->name, text);
    refused += status == SHEAF_E_UNSUPPORTED;
    CHECK(status == SHEAF_OK || status == SHEAF_E_UNSUPPORTED);
  }
  CHECK_EQ(refused, 3);
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  close_all();
}

TEST(waits_of_classes_change_for_what_waits) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("low");
  request.priority = SHEAF_PRIORITY_DEFERRABLE;
  bench_submit_request(&b, &request); /* its class has had its turn */
  bench_step(&b, 0);
  uint64_t low = bench_submit_request(&b, &request);
  bench_submit(&b, "normal");
  CHECK_OK(set("class_wait_deferrable_ms", "10"));
  bench_step(&b, 11 * BENCH_MS);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[1].index, low);
  close_all();
}

TEST(waits_of_classes_come_from_the_options) {
  bench_init(&b);
  b.options.concurrency = 1;
  b.options.class_wait_deferrable_ms = 10;
  bench_open(&b);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("low");
  request.priority = SHEAF_PRIORITY_DEFERRABLE;
  bench_submit_request(&b, &request); /* its class has had its turn */
  bench_step(&b, 0);
  uint64_t low = bench_submit_request(&b, &request);
  bench_submit(&b, "normal");
  bench_step(&b, 11 * BENCH_MS);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[1].index, low);
  close_all();
}

/* ---- Bytes ---- */

static char large[3 << 20];

static int32_t submit_bytes(size_t bytes) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  memset(large, 'x', sizeof large);
  request.prompt = (sheaf_slice){large, bytes};
  return sheaf_engine_submit(b.engine, &request, NULL, NULL);
}

TEST(requests_beyond_the_bytes_are_refused_until_something_left) {
  bench_init(&b);
  b.options.queue_bytes_max = 1 << 20;
  b.options.concurrency = 2;
  bench_open(&b);
  for (int i = 0; i < 3; i++) CHECK_OK(submit_bytes(300 << 10));
  CHECK_STATUS(submit_bytes(300 << 10), SHEAF_E_FULL);
  CHECK_OK(submit_bytes(10 << 10)); /* a small one fits */
  sheaf_stats s = stats_now();
  CHECK(s.queue_bytes >= 910 << 10 && s.queue_bytes <= 1 << 20);
  CHECK_EQ(s.queue_capacity, 1000);
  bench_step(&b, 0);
  CHECK_STATUS(submit_bytes(300 << 10), SHEAF_E_FULL); /* what is in flight is still inside */
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_OK(submit_bytes(300 << 10));
  CHECK_OK(set("queue_bytes_max", "2097152"));
  CHECK_OK(submit_bytes(300 << 10));
  bench_answer(&b, 1, 200, "", "ok");
  CHECK_OK(set("concurrency", "9"));
  bench_step(&b, 0);
  CHECK_EQ(stats_now().queued, 0);
  CHECK_OK(set("queue_bytes_max", "1048576"));
  CHECK_STATUS(submit_bytes(300 << 10), SHEAF_E_FULL); /* though nothing waits: it may later */
  close_all();
}

TEST(a_request_beyond_the_limit_gets_in_when_nothing_else_waits) {
  bench_init(&b);
  b.options.queue_bytes_max = 1 << 20;
  b.options.concurrency = 1;
  bench_open(&b);
  CHECK_OK(submit_bytes(10));
  CHECK_STATUS(submit_bytes(2 << 20), SHEAF_E_FULL);
  bench_step(&b, 0); /* the small one leaves the queue */
  CHECK_OK(submit_bytes(2 << 20));
  CHECK_STATUS(submit_bytes(10), SHEAF_E_FULL);
  CHECK_EQ(sheaf_engine_room(b.engine), 0);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(stats_now().queue_bytes, 0);
  CHECK_OK(submit_bytes(10));
  close_all();
}

/* ---- Cancel ---- */

/* Indexes that are far apart: rows that waited for long beside rows of now. */
TEST(requests_are_found_by_index_among_many_that_came_and_went) {
  bench_init(&b);
  b.options.concurrency = 1;
  b.options.queue_capacity = 5000;
  bench_open(&b);
  CHECK_OK(sheaf_engine_pause(b.engine));
  static bool inside[6000];
  memset(inside, 0, sizeof inside);
  uint64_t state = 12345, next = 0, cancelled = 0;
  for (uint32_t turn = 0; turn < 12000; turn++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t at = (state >> 33) % (next + 1);
    if (next < 6000 && (state >> 20) % 2) {
      if (bench_submit(&b, "hello") == next) inside[next++] = true;
    } else if (at < next) {
      CHECK_STATUS(sheaf_engine_cancel(b.engine, at), inside[at] ? SHEAF_OK : SHEAF_E_NOT_FOUND);
      cancelled += inside[at];
      inside[at] = false;
    }
    if (turn % 16 == 0) {
      b.result_count = 0;
      bench_step(&b, 0);
    }
  }
  CHECK_STATUS(sheaf_engine_cancel(b.engine, next), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_engine_cancel(b.engine, SHEAF_NEVER), SHEAF_E_NOT_FOUND);
  CHECK_EQ(stats_now().queued, next - cancelled);
  for (uint64_t i = 0; i < next; i++)
    CHECK_STATUS(sheaf_engine_cancel(b.engine, i), inside[i] ? SHEAF_OK : SHEAF_E_NOT_FOUND);
  CHECK_EQ(stats_now().queued, 0);
  b.result_count = 0;
  close_all();
}

/* ---- Numbers ---- */

TEST(requests_are_counted_by_their_class_of_priority) {
  static const uint32_t priorities[] = {0, 1, 24, 25, 49, 50, 74, 75, 99, 100};
  bench_init(&b);
  bench_open(&b);
  for (uint32_t i = 0; i < 10; i++) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    request.prompt = SHEAF_LITERAL("hello");
    request.priority = priorities[i];
    bench_submit_request(&b, &request);
  }
  sheaf_stats s = stats_now();
  CHECK_EQ(s.admitted, 10);
  CHECK_EQ(s.urgent, 1);
  CHECK_EQ(s.background, 4); /* below normal */
  close_all();
}

TEST(numbers_begin_anew_and_money_stays) {
  bench_init(&b);
  b.options.concurrency = 2;
  b.options.budget_usd_nano = 200;
  bench_open(&b);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("four");
  request.max_tokens = 20; /* 41 at most, 50 as told: three leave 9 */
  for (int i = 0; i < 3; i++) bench_submit_request(&b, &request);
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 3 * BENCH_SECOND);
  sheaf_engine_stats_reset(b.engine);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.admitted, 2); /* inside */
  CHECK_EQ(s.succeeded, 0);
  CHECK_EQ(s.attempts, 0);
  CHECK_EQ(s.input_tokens, 0);
  CHECK_EQ(s.latency.count, 0);
  CHECK_EQ(s.response.count, 0);
  CHECK_EQ(s.rate_milli, 0);
  CHECK_EQ(s.started_ns, b.now_ns);
  CHECK_EQ(s.series_count, 0);
  CHECK_EQ(s.in_flight_max, 2);
  CHECK_EQ(s.cost_usd_nano, 50);
  bench_answer(&b, 1, 200, "", "ok");
  bench_answer(&b, 2, 200, "", "ok");
  bench_step(&b, BENCH_SECOND);
  s = stats_now();
  CHECK_EQ(s.succeeded, 2);
  CHECK_EQ(s.admitted, 2);
  CHECK_EQ(s.cost_usd_nano, 150);
  CHECK_EQ(s.series_count, 10); /* a second since */
  request.max_tokens = 25;      /* 51 at most: the cap still counts what was spent before */
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  CHECK_EQ(b.results[b.result_count - 1].error_class, SHEAF_CLASS_BUDGET);
  close_all();
}

TEST(what_may_have_been_spent_stays_known) {
  bench_init(&b);
  b.options.resend_unknown = SHEAF_RESEND_NEVER;
  bench_open(&b);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("four");
  request.max_tokens = 20; /* a token in at 1, 20 out at 2 */
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_BROKEN);
  bench_step(&b, 0);
  CHECK_EQ(stats_now().unknown_outcomes, 1);
  CHECK_EQ(stats_now().unknown_usd_nano, 41);
  sheaf_engine_stats_reset(b.engine);
  CHECK_EQ(stats_now().unknown_outcomes, 0);
  CHECK_EQ(stats_now().unknown_usd_nano, 41);
  close_all();
}

/* Every number has its own value, so that no two can be mixed up. */
static sheaf_stats numbered(void) {
  sheaf_stats s;
  memset(&s, 0, sizeof s);
  s.struct_bytes = sizeof s;
  s.admitted = 1000;
  s.urgent = 101;
  s.background = 102;
  s.groups = 103;
  s.grouped = 206;
  s.group_max = 10;
  s.groups_failed = 106;
  s.groups_retried = 107;
  s.merge_fallbacks = 108;
  s.canaries = 109;
  s.canary_agreement_milli = 910;
  s.deduplicated = 111;
  s.cache_hits = 112;
  s.cache_entries = 113;
  s.cache_bytes = 114;
  s.answered_locally = 115;
  s.queue_capacity = 116;
  s.queue_bytes = 117;
  s.merge_stopped = true;
  s.group_wait = (sheaf_quantiles){.count = 2, .mean_ns = 3000000, .max_ns = 4000000};
  s.response = (sheaf_quantiles){.count = 5, .mean_ns = 6000000, .max_ns = 7000000};
  return s;
}

static bool says(const sheaf_buf *text, const char *part) {
  size_t n = strlen(part);
  for (size_t i = 0; i + n <= text->bytes; i++)
    if (memcmp(text->data + i, part, n) == 0) return true;
  printf("does not say %s\n", part);
  return false;
}

TEST(numbers_of_the_queue_are_in_the_json) {
  static const char *const wanted[] = {"\"urgent\":101",
                                       "\"background\":102",
                                       "\"groups\":103",
                                       "\"grouped\":206",
                                       "\"group_max\":10",
                                       "\"groups_failed\":106",
                                       "\"groups_retried\":107",
                                       "\"merge_fallbacks\":108",
                                       "\"group_efficiency\":0.041",
                                       "\"canaries\":109",
                                       "\"canary_agreement\":0.91",
                                       "\"merge_stopped\":true",
                                       "\"deduplicated\":111",
                                       "\"cache_hits\":112",
                                       "\"cache_entries\":113",
                                       "\"cache_bytes\":114",
                                       "\"answered_locally\":115",
                                       "\"queue_capacity\":116",
                                       "\"queue_bytes\":117",
                                       "\"paused\":false",
                                       "\"group_wait_ms\":{\"count\":2,\"mean\":3",
                                       "\"response_ms\":{\"count\":5,\"mean\":6"};
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_stats s = numbered();
  sheaf_buf text;
  sheaf_buf_init(&text, &allocator, 1 << 20);
  CHECK_OK(sheaf_stats_json(&s, &text));
  CHECK_OK(sheaf_json_check(sheaf_buf_slice(&text), NULL));
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) CHECK(says(&text, wanted[i]));
  sheaf_buf_deinit(&text);
}

TEST(numbers_of_the_queue_are_in_the_open_metrics) {
  static const char *const wanted[] = {"sheaf_admitted_total{priority=\"urgent\"} 101\n",
                                       "sheaf_admitted_total{priority=\"normal\"} 797\n",
                                       "sheaf_admitted_total{priority=\"background\"} 102\n",
                                       "sheaf_groups_total 103\n",
                                       "sheaf_grouped_total 206\n",
                                       "sheaf_groups_failed_total 106\n",
                                       "sheaf_groups_retried_total 107\n",
                                       "sheaf_merge_fallbacks_total 108\n",
                                       "sheaf_group_members_max 10\n",
                                       "sheaf_group_efficiency_ratio 0.041\n",
                                       "sheaf_canaries_total 109\n",
                                       "sheaf_canary_agreement_ratio 0.91\n",
                                       "sheaf_merge_stopped 1\n",
                                       "sheaf_deduplicated_total 111\n",
                                       "sheaf_cache_hits_total 112\n",
                                       "sheaf_cache_entries 113\n",
                                       "sheaf_cache_bytes 114\n",
                                       "sheaf_answered_locally_total 115\n",
                                       "sheaf_queue_capacity 116\n",
                                       "sheaf_queue_bytes 117\n",
                                       "sheaf_paused 0\n",
                                       "sheaf_group_wait_seconds_sum 0.006\n",
                                       "sheaf_response_seconds_count 5\n"};
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_stats s = numbered();
  sheaf_buf text;
  sheaf_buf_init(&text, &allocator, 1 << 20);
  CHECK_OK(sheaf_stats_openmetrics(&s, &text));
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) CHECK(says(&text, wanted[i]));
  CHECK(text.bytes > 6 && memcmp(text.data + text.bytes - 6, "# EOF\n", 6) == 0);
  sheaf_buf_deinit(&text);
}

TEST(the_efficiency_of_groups_is_their_fill_times_their_share) {
  sheaf_stats s;
  memset(&s, 0, sizeof s);
  CHECK_EQ(sheaf_stats_efficiency_milli(&s), 0);
  s.groups = 10;
  s.grouped = 50; /* 5 of 10 on average */
  s.group_max = 10;
  s.admitted = 100; /* half of all */
  CHECK_EQ(sheaf_stats_efficiency_milli(&s), 250);
  s.grouped = s.admitted = 100;
  CHECK_EQ(sheaf_stats_efficiency_milli(&s), 1000);
  s.grouped = 1000; /* each request in many groups */
  CHECK_EQ(sheaf_stats_efficiency_milli(&s), 1000);
}

TEST(the_line_for_people_names_what_there_was) {
  char line[256];
  sheaf_stats s;
  memset(&s, 0, sizeof s);
  s.cost_usd_nano = SHEAF_ABSENT;
  s.succeeded = 7;
  CHECK_EQ(sheaf_stats_line(&s, line, sizeof line), strlen(line));
  CHECK_STRING(line, "7 done, 0 running, 0 waiting (nothing), 0/s");
  s.groups = 2;
  s.grouped = 7;
  s.deduplicated = 3;
  s.cache_hits = 4;
  s.answered_locally = 5;
  s.paused = true;
  sheaf_stats_line(&s, line, sizeof line);
  CHECK_STRING(line,
               "7 done, 0 running, 0 waiting (paused), 0/s, 2 groups of 3.5, 3 deduplicated, "
               "4 cached, 5 local");
}

TEST(states_of_groups_have_names) {
  CHECK_STRING(sheaf_group_state_name(SHEAF_GROUP_ACCUMULATING), "accumulating");
  CHECK_STRING(sheaf_group_state_name(SHEAF_GROUP_AWAITING), "awaiting_response");
  CHECK_STRING(sheaf_group_state_name(SHEAF_GROUP_FAILED), "failed");
  CHECK_STRING(sheaf_group_state_name(0), "unknown");
  CHECK_STRING(sheaf_group_state_name(8), "unknown");
}

int main(void) {
  RUN(a_paused_engine_starts_nothing_and_goes_on_at_once);
  RUN(what_is_in_flight_ends_while_paused_and_its_retry_waits);
  RUN(deadlines_go_on_while_paused);
  RUN(a_start_that_nobody_has_taken_yet_is_withheld);
  RUN(a_probe_is_withheld_too);
  RUN(a_paused_engine_drains);
  RUN(concurrency_changes_for_what_waits);
  RUN(rates_change_for_what_waits);
  RUN(the_number_of_tries_changes_for_what_is_in_flight);
  RUN(defaults_of_requests_change_for_later_ones);
  RUN(a_budget_may_be_raised_and_lowered);
  RUN(a_budget_is_refused_where_a_price_is_not_known);
  RUN(what_the_engine_was_made_with_is_not_changed);
  RUN(wrong_names_and_values_are_refused_as_by_the_table);
  RUN(every_option_of_the_table_can_be_set_or_says_why_not);
  RUN(waits_of_classes_change_for_what_waits);
  RUN(waits_of_classes_come_from_the_options);
  RUN(requests_beyond_the_bytes_are_refused_until_something_left);
  RUN(a_request_beyond_the_limit_gets_in_when_nothing_else_waits);
  RUN(requests_are_found_by_index_among_many_that_came_and_went);
  RUN(requests_are_counted_by_their_class_of_priority);
  RUN(numbers_begin_anew_and_money_stays);
  RUN(what_may_have_been_spent_stays_known);
  RUN(numbers_of_the_queue_are_in_the_json);
  RUN(numbers_of_the_queue_are_in_the_open_metrics);
  RUN(the_efficiency_of_groups_is_their_fill_times_their_share);
  RUN(the_line_for_people_names_what_there_was);
  RUN(states_of_groups_have_names);
  return check_report();
}
