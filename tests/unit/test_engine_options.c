/* test_engine_options: the table of options, structs of other sizes, calls that are not allowed, statistics as text. */
#include "engine_test.h"

static bench b;

/* ---- The table ---- */

static uint64_t value_of(const sheaf_engine_options *options, const sheaf_option *option) {
  uint64_t value;
  memcpy(&value, (const char *)options + option->offset, sizeof value);
  return value;
}

TEST(every_option_begins_at_its_default_and_is_found_by_its_name) {
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  uint32_t n = 0;
  for (; sheaf_option_at(n) != NULL; n++) {
    const sheaf_option *o = sheaf_option_at(n);
    CHECK(sheaf_option_find(sheaf_slice_of(o->name)) == o);
    CHECK_EQ(value_of(&options, o), o->initial);
    CHECK(o->help != NULL && o->help[0]);
    CHECK(o->min <= o->max);
    CHECK(o->offset % 8 == 0 && o->offset + 8 <= sizeof options);
    for (uint32_t k = 0; k < n; k++) CHECK(sheaf_option_at(k)->offset != o->offset);
  }
  CHECK(n >= 20);
  CHECK(sheaf_option_at(n + 1) == NULL);
  CHECK(sheaf_option_find(SHEAF_LITERAL("concurrenc")) == NULL);
}

static int32_t set(sheaf_engine_options *options, const char *name, const char *value,
                   char *message) {
  message[0] = 0;
  return sheaf_option_set(options, sheaf_slice_of(name), sheaf_slice_of(value), message, 256);
}

TEST(each_option_takes_its_ends_and_nothing_beyond) {
  for (uint32_t n = 0; sheaf_option_at(n) != NULL; n++) {
    const sheaf_option *o = sheaf_option_at(n);
    if (o->choices != NULL || strcmp(o->name, "budget_usd") == 0) continue;
    sheaf_engine_options options;
    sheaf_engine_options_init(&options);
    char text[32], message[256];
    const uint64_t good[] = {o->min, o->max};
    for (int i = 0; i < 2; i++) {
      snprintf(text, sizeof text, "%llu", (unsigned long long)good[i]);
      CHECK_OK(set(&options, o->name, text, message));
      CHECK_EQ(value_of(&options, o), good[i]);
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->max + 1);
    CHECK_STATUS(set(&options, o->name, text, message), SHEAF_E_RANGE);
    CHECK(strstr(message, o->name) == message);
    CHECK(strstr(message, text) != NULL);
    CHECK_STATUS(set(&options, o->name, "-1", message), SHEAF_E_RANGE);
    CHECK_STATUS(set(&options, o->name, "many", message), SHEAF_E_TYPE);
    CHECK_STATUS(set(&options, o->name, "", message), SHEAF_E_TYPE);
    CHECK_EQ(value_of(&options, o), o->max); /* as it was */
  }
}

TEST(named_values_auto_and_dollars) {
  sheaf_engine_options options;
  char message[256];
  sheaf_engine_options_init(&options);
  CHECK_OK(set(&options, "resend_unknown", "always", message));
  CHECK_EQ(options.resend_unknown, SHEAF_RESEND_ALWAYS);
  CHECK_STATUS(set(&options, "resend_unknown", "sometimes", message), SHEAF_E_RANGE);
  CHECK(strstr(message, "never|within_budget|always") != NULL);
  CHECK_STATUS(set(&options, "resend_unknown", "never|within_budget", message), SHEAF_E_RANGE);
  CHECK_OK(set(&options, "on_breaker", "fail", message));
  CHECK_EQ(options.on_breaker, SHEAF_ON_BREAKER_FAIL);
  CHECK_OK(set(&options, "concurrency", "12", message));
  CHECK_OK(set(&options, "concurrency", "auto", message));
  CHECK_EQ(options.concurrency, 0);
  CHECK_STATUS(set(&options, "rpm", "auto", message), SHEAF_E_TYPE);
  CHECK_OK(set(&options, "stream", "true", message));
  CHECK_EQ(options.stream, 1);
  CHECK_EQ(options.budget_usd_nano, SHEAF_NEVER);
  CHECK_OK(set(&options, "budget_usd", "2.50", message));
  CHECK_EQ(options.budget_usd_nano, 2500000000ull);
  CHECK_OK(set(&options, "budget_usd", "0", message));
  CHECK_EQ(options.budget_usd_nano, 0);
  CHECK_STATUS(set(&options, "budget_usd", "-1", message), SHEAF_E_RANGE);
  CHECK(strstr(message, "dollars") != NULL);
  CHECK_STATUS(set(&options, "no_such", "1", message), SHEAF_E_NOT_FOUND);
}

TEST(a_long_value_does_not_overrun_its_message) {
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  char value[4000], message[256];
  memset(value, 'x', sizeof value);
  memset(message, 'm', sizeof message);
  CHECK_STATUS(sheaf_option_set(&options, SHEAF_LITERAL("rpm"), (sheaf_slice){value, sizeof value},
                                message, 40),
               SHEAF_E_TYPE);
  CHECK_EQ(strlen(message), 39);
  CHECK_EQ(message[40], 'm');
  CHECK_STATUS(sheaf_option_set(&options, SHEAF_LITERAL("rpm"), SHEAF_LITERAL("x"), NULL, 0),
               SHEAF_E_TYPE);
}

/* ---- Structs of other sizes ---- */

TEST(an_older_shorter_options_struct_gets_defaults_for_the_rest) {
  bench_init(&b);
  b.options.concurrency = 2;
  b.options.queue_capacity = 1; /* behind the end of the shorter struct */
  b.options.struct_bytes = offsetof(sheaf_engine_options, max_concurrency);
  bench_open(&b);
  CHECK_EQ(sheaf_engine_room(b.engine), 1000);
  bench_close(&b);
}

TEST(a_newer_longer_options_struct_is_read_as_far_as_it_is_known) {
  struct {
    sheaf_engine_options options;
    uint64_t more[4];
  } newer;
  bench_init(&b);
  memset(&newer, 0xff, sizeof newer);
  newer.options = b.options;
  newer.options.struct_bytes = sizeof newer;
  const sheaf_allocator allocator = test_allocator(&b.memory);
  CHECK_OK(sheaf_engine_new(&newer.options, &allocator, &b.engine));
  bench_close(&b);
}

TEST(an_older_shorter_request_is_read_as_far_as_it_goes) {
  bench_init(&b);
  bench_open(&b);
  sheaf_request q;
  memset(&q, 0xff, sizeof q);
  memset(&q, 0, offsetof(sheaf_request, metadata));
  q.struct_bytes = offsetof(sheaf_request, metadata);
  q.prompt = SHEAF_LITERAL("x");
  bench_submit_request(&b, &q);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.starts[0].timeout_ns, 600 * BENCH_SECOND); /* no deadline */
  bench_close(&b);
}

TEST(an_older_shorter_end_is_read_as_far_as_it_goes) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  sheaf_exchange_end end;
  memset(&end, 0xff, sizeof end);
  end.struct_bytes = offsetof(sheaf_exchange_end, http_status);
  end.end = SHEAF_END_NOT_SENT;
  CHECK_OK(sheaf_engine_on_done(b.engine, b.starts[0].id, &end));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2); /* retryable unless told otherwise */
  bench_close(&b);
}

/* ---- What is refused ---- */

TEST(options_that_cannot_be_are_refused) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  const sheaf_allocator none = {NULL, NULL};
  sheaf_engine *engine = NULL;
  bench_init(&b);
  CHECK_STATUS(sheaf_engine_new(NULL, &allocator, &engine), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_new(&b.options, NULL, &engine), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_new(&b.options, &none, &engine), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_new(&b.options, &allocator, NULL), SHEAF_E_MISUSE);
  b.options.endpoint_count = 0;
  CHECK_STATUS(sheaf_engine_new(&b.options, &allocator, &engine), SHEAF_E_MISUSE);
  b.options.endpoint_count = 65;
  CHECK_STATUS(sheaf_engine_new(&b.options, &allocator, &engine), SHEAF_E_MISUSE);
  b.options.endpoint_count = 1;
  b.endpoints[0].provider = NULL;
  CHECK_STATUS(sheaf_engine_new(&b.options, &allocator, &engine), SHEAF_E_MISUSE);
  b.endpoints[0].provider = &bench_provider;
  b.options.max_retries = 101;
  CHECK_STATUS(sheaf_engine_new(&b.options, &allocator, &engine), SHEAF_E_RANGE);
  b.options.max_retries = 5;
  b.options.params = SHEAF_LITERAL("\"open");
  CHECK(sheaf_engine_new(&b.options, &allocator, &engine) != SHEAF_OK);
  CHECK(engine == NULL);
  CHECK_EQ(memory.live_bytes, 0);
}

TEST(calls_that_are_not_allowed_answer_misuse) {
  sheaf_action action;
  sheaf_event event;
  const sheaf_request q = SHEAF_REQUEST_INIT;
  CHECK_STATUS(sheaf_engine_submit(NULL, &q, NULL, NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_step(NULL, 0, 0), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_next_action(NULL, &action), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_next_event(NULL, &event), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_cancel(NULL, 0), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_drain(NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_abort(NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_end_input(NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_use_store(NULL), SHEAF_E_MISUSE);
  sheaf_engine_free(NULL);
  bench_init(&b);
  bench_open(&b);
  CHECK_STATUS(sheaf_engine_submit(b.engine, NULL, NULL, NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_next_action(b.engine, NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_next_event(b.engine, NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_on_scanned(b.engine, NULL, 0), SHEAF_E_MISUSE);    /* not recovering */
  CHECK_STATUS(sheaf_engine_on_stored(b.engine, 1, SHEAF_OK), SHEAF_E_MISUSE); /* no such ticket */
  bench_step(&b, 0);
  CHECK_STATUS(sheaf_engine_use_store(b.engine), SHEAF_E_MISUSE); /* too late */
  CHECK_STATUS(sheaf_engine_next_action(b.engine, &action), SHEAF_E_EMPTY);
  CHECK_STATUS(sheaf_engine_next_event(b.engine, &event), SHEAF_E_EMPTY);
  CHECK_OK(sheaf_engine_end_input(b.engine));
  CHECK_STATUS(sheaf_engine_submit(b.engine, &q, NULL, NULL), SHEAF_E_END);
  CHECK(sheaf_engine_is_idle(b.engine));
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), SHEAF_NEVER);
  bench_close(&b);
}

TEST(a_body_is_read_in_pieces) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "0123456789");
  bench_step(&b, 0);
  char piece[4];
  CHECK_EQ(sheaf_engine_body_read(b.engine, b.starts[0].id, 0, piece, 4), 4);
  CHECK(memcmp(piece, "0123", 4) == 0);
  CHECK_EQ(sheaf_engine_body_read(b.engine, b.starts[0].id, 8, piece, 4), 2);
  CHECK(memcmp(piece, "89", 2) == 0);
  CHECK_EQ(sheaf_engine_body_read(b.engine, b.starts[0].id, 10, piece, 4), 0);
  CHECK_EQ(sheaf_engine_body_read(b.engine, b.starts[0].id, UINT64_MAX, piece, 4), 0);
  CHECK_EQ(sheaf_engine_body_read(b.engine, 12345, 0, piece, 4), SHEAF_E_NOT_FOUND);
  bench_close(&b);
}

TEST(a_clock_that_goes_back_is_clamped) {
  bench_init(&b);
  b.options.concurrency = 1;
  bench_open(&b);
  bench_submit(&b, "x");
  bench_step(&b, BENCH_SECOND);
  b.now_ns -= BENCH_SECOND;
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].total_ns, 0);
  bench_close(&b);
}

/* ---- Statistics as text ---- */

TEST(statistics_are_json_and_open_metrics) {
  bench_init(&b);
  bench_open(&b);
  for (int i = 0; i < 3; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "", "ok");
  bench_answer(&b, 1, 400, "", "");
  bench_step(&b, 12 * BENCH_MS);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.admitted, 3);
  CHECK_EQ(stats.succeeded, 1);
  CHECK_EQ(stats.failed, 1);
  CHECK_EQ(stats.failed_by_class[SHEAF_CLASS_INVALID_REQUEST], 1);
  CHECK_EQ(stats.in_flight, 1);
  CHECK_EQ(stats.in_flight_max, 3);
  CHECK_EQ(stats.input_tokens, 10);
  CHECK_EQ(stats.output_tokens, 20);
  CHECK_EQ(stats.latency.count, 1);
  CHECK_EQ(stats.latency.max_ns, 12 * BENCH_MS);
  sheaf_buf text;
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_buf_init(&text, &allocator, 1 << 20);
  CHECK_OK(sheaf_stats_json(&stats, &text));
  sheaf_parse_error error;
  CHECK_OK(sheaf_json_check(sheaf_buf_slice(&text), &error));
  sheaf_buf_reset(&text);
  CHECK_OK(sheaf_stats_openmetrics(&stats, &text));
  CHECK(text.bytes > 6 && memcmp(text.data + text.bytes - 6, "# EOF\n", 6) == 0);
  size_t lines = 0, begin = 0;
  for (size_t i = 0; i < text.bytes; i++) {
    if (text.data[i] != '\n') continue;
    sheaf_slice line = {text.data + begin, i - begin};
    begin = i + 1;
    lines++;
    CHECK(line.bytes > 0);
    if (line.data[0] == '#') continue;
    const char *space = memchr(line.data, ' ', line.bytes); /* "name{labels} number" */
    CHECK(space != NULL && space + 1 < line.data + line.bytes);
    CHECK(line.data[0] >= 'a' && line.data[0] <= 'z');
    CHECK(space == NULL || (space[1] >= '0' && space[1] <= '9') || space[1] == '-');
  }
  CHECK(lines > 20);
  sheaf_buf_deinit(&text);
  char line[160], shorter[12];
  size_t length = sheaf_stats_line(&stats, line, sizeof line);
  CHECK_EQ(length, strlen(line));
  sheaf_stats_line(&stats, shorter, sizeof shorter);
  CHECK(strlen(shorter) < sizeof shorter);
  bench_close(&b);
}

/* What algorithms for queues of people's requests are known by: 3 tries more, 1 s, 10 s. */
TEST(a_queue_begins_with_its_own_retries_and_all_else_as_a_run) {
  sheaf_engine_options run, queue;
  sheaf_engine_options_init(&run);
  sheaf_engine_options_init_queue(&queue);
  CHECK_EQ(queue.max_retries, 3);
  CHECK_EQ(queue.retry_base_ms, 1000);
  CHECK_EQ(queue.retry_max_ms, 10000);
  queue.max_retries = run.max_retries;
  queue.retry_base_ms = run.retry_base_ms;
  queue.retry_max_ms = run.retry_max_ms;
  CHECK(memcmp(&queue, &run, sizeof run) == 0);
}

int main(void) {
  RUN(a_queue_begins_with_its_own_retries_and_all_else_as_a_run);
  RUN(every_option_begins_at_its_default_and_is_found_by_its_name);
  RUN(each_option_takes_its_ends_and_nothing_beyond);
  RUN(named_values_auto_and_dollars);
  RUN(a_long_value_does_not_overrun_its_message);
  RUN(an_older_shorter_options_struct_gets_defaults_for_the_rest);
  RUN(a_newer_longer_options_struct_is_read_as_far_as_it_is_known);
  RUN(an_older_shorter_request_is_read_as_far_as_it_goes);
  RUN(an_older_shorter_end_is_read_as_far_as_it_goes);
  RUN(options_that_cannot_be_are_refused);
  RUN(calls_that_are_not_allowed_answer_misuse);
  RUN(a_body_is_read_in_pieces);
  RUN(a_clock_that_goes_back_is_clamped);
  RUN(statistics_are_json_and_open_metrics);
  return check_report();
}
