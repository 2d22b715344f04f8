/* test_engine_raw: deltas with the very bytes of a stream: whole events, each byte once, all before the result. */
#include "engine_test.h"

static bench b;

static uint64_t submit_stream(uint32_t flags) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("hello");
  request.flags = SHEAF_REQUEST_STREAM | flags;
  return bench_submit_request(&b, &request);
}

static void open_stream(void) {
  bench_init(&b);
  bench_open(&b);
  submit_stream(SHEAF_REQUEST_RAW);
  bench_step(&b, 0);
  bench_head(&b, 0, 200, "content-type: text/event-stream\n");
  bench_step(&b, 0);
}

static void give(uint32_t start, const char *bytes) {
  bench_data(&b, start, bytes);
  bench_step(&b, BENCH_MS);
}

static void end(uint32_t start) {
  bench_done(&b, start, SHEAF_END_OK);
  bench_step(&b, 0);
}

TEST(a_delta_carries_whole_events_with_what_ends_them) {
  open_stream();
  give(0, "data: a\n\nda");
  CHECK_STRING(b.raw, "data: a\n\n");
  CHECK_STRING(b.events, "d:a ");
  give(0, "ta: b\n");
  CHECK_EQ(b.raw_deltas, 1); /* the event is not over */
  give(0, "\ndata: c\n\n");
  CHECK_STRING(b.raw, "data: a\n\ndata: b\n\ndata: c\n\n");
  CHECK_EQ(b.raw_deltas, 2);
  give(0, "data: [DONE]\n\n");
  CHECK_STRING(b.raw, "data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n");
  CHECK_EQ(b.raw_deltas, 3); /* without text */
  end(0);
  CHECK_STRING(b.events, "d:a d:bc d: r ");
  CHECK_EQ(b.raw_deltas, 3);
  bench_close(&b);
}

TEST(comments_and_events_without_text_are_bytes_too) {
  open_stream();
  give(0, ": keep alive\n\n");
  CHECK_STRING(b.raw, ": keep alive\n\n");
  CHECK_STRING(b.events, "d: ");
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  CHECK_EQ(s.ttft.count, 0);
  give(0, "event: ping\ndata\n\n");
  CHECK_STRING(b.raw, ": keep alive\n\nevent: ping\ndata\n\n");
  give(0, "data: x\n\ndata: [DONE]\n\n");
  end(0);
  CHECK_EQ(b.result_count, 1);
  CHECK_STRING(b.results[0].text, "x");
  bench_close(&b);
}

TEST(what_is_left_at_the_end_comes_before_the_result) {
  open_stream();
  bench_data(&b, 0, "data: a\n\ndata: [DONE]");
  bench_done(&b, 0, SHEAF_END_OK);
  bench_step(&b, 0);
  CHECK_STRING(b.raw, "data: a\n\ndata: [DONE]");
  CHECK_STRING(b.events, "d:a r ");
  CHECK(b.results[0].ok);
  bench_close(&b);
}

TEST(line_ends_of_every_kind_are_kept) {
  static const char *const chunks[] = {"data: a\r\n\r", "\ndata: b\r\r",
                                       "data: c\n\r\ndata: [DONE]\r", "\n\r\n"};
  char whole[128] = "";
  open_stream();
  for (int i = 0; i < 4; i++) {
    strcat(whole, chunks[i]);
    give(0, chunks[i]);
    CHECK(memcmp(b.raw, whole, b.raw_bytes) == 0);
  }
  CHECK_STRING(b.raw, whole);
  end(0);
  CHECK_STRING(b.raw, whole);
  CHECK_STRING(b.results[0].text, "abc");
  bench_close(&b);
}

TEST(the_second_half_of_a_line_end_does_not_wait_for_the_next_event) {
  open_stream();
  give(0, "data: a\r\n\r");
  CHECK_STRING(b.raw, "data: a\r\n\r");
  give(0, "\n");
  CHECK_STRING(b.raw, "data: a\r\n\r\n");
  bench_data(&b, 0, "data: [DONE]\n\n");
  end(0);
  bench_close(&b);
}

TEST(any_chunking_gives_the_same_bytes) {
  static const char stream[] =
      "\xEF\xBB\xBF"
      "data: one\n\n: c\n\ndata: tw\ndata: o\r\n\r\nevent: x\n\ndata: \\ud83d\n\n"
      "data: \\ude00\n\ndata: [DONE]\n\nafter";
  for (size_t step = 1; step < sizeof stream; step++) {
    open_stream();
    for (size_t at = 0; at < sizeof stream - 1; at += step) {
      size_t n = sizeof stream - 1 - at < step ? sizeof stream - 1 - at : step;
      CHECK_OK(sheaf_engine_on_data(b.engine, b.starts[0].id, (sheaf_slice){stream + at, n}));
      bench_step(&b, BENCH_MS);
      CHECK(memcmp(b.raw, stream, b.raw_bytes) == 0);
    }
    end(0);
    CHECK_STRING(b.raw, stream);
    CHECK_EQ(b.result_count, 1);
    bench_close(&b);
  }
}

TEST(only_who_asks_is_given_bytes) {
  bench_init(&b);
  bench_open(&b);
  submit_stream(0);
  bench_step(&b, 0);
  bench_head(&b, 0, 200, "content-type: text/event-stream\n");
  give(0, ": c\n\ndata: a\n\ndata: [DONE]\n\n");
  end(0);
  CHECK_EQ(b.raw_bytes, 0);
  CHECK_STRING(b.events, "d:a r ");
  bench_close(&b);
}

TEST(bytes_of_an_attempt_that_broke_are_discarded) {
  open_stream();
  give(0, ": only a comment\n\n");
  bench_done(&b, 0, SHEAF_END_OK); /* no end marker: broken */
  bench_step(&b, 0);
  CHECK_STRING(b.events, "d: x ");
  while (b.start_count < 2 && bench_wait(&b)) {
  }
  b.raw_bytes = 0;
  memset(b.raw, 0, sizeof b.raw);
  bench_head(&b, 1, 200, "content-type: text/event-stream\n");
  give(1, "data: a\n\ndata: [DONE]\n\n");
  end(1);
  CHECK_STRING(b.raw, "data: a\n\ndata: [DONE]\n\n");
  CHECK_STRING(b.events, "d: x d:a r ");
  bench_close(&b);
}

TEST(a_reply_that_is_no_stream_has_no_deltas) {
  bench_init(&b);
  bench_open(&b);
  submit_stream(SHEAF_REQUEST_RAW);
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "content-type: application/json\n", "plain");
  bench_step(&b, 0);
  CHECK_STRING(b.events, "r ");
  CHECK_EQ(b.raw_bytes, 0);
  bench_close(&b);
}

TEST(lines_of_ndjson_are_its_events) {
  static sheaf_provider lines;
  bench_init(&b);
  lines = bench_provider;
  lines.framing = SHEAF_FRAMING_NDJSON;
  b.endpoints[0].provider = &lines;
  bench_open(&b);
  submit_stream(SHEAF_REQUEST_RAW);
  bench_step(&b, 0);
  bench_head(&b, 0, 200, "content-type: application/x-ndjson\n");
  give(0, "a\nb");
  CHECK_STRING(b.raw, "a\n");
  give(0, "\n\n[DONE]\n");
  CHECK_STRING(b.raw, "a\nb\n\n[DONE]\n");
  end(0);
  CHECK_STRING(b.results[0].text, "ab");
  bench_close(&b);
}

/* A sink that says later sees the same bytes again, though more came meanwhile and moved the reply. */
static char late[64];
static uint32_t late_bytes, offers;

static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind != SHEAF_EVENT_DELTA) return SHEAF_OK;
  offers++;
  CHECK_EQ(event->raw.bytes, 9);
  CHECK(memcmp(event->raw.data, "data: a\n\n", 9) == 0);
  if (offers < 3) return SHEAF_E_LATER;
  memcpy(late + late_bytes, event->raw.data, event->raw.bytes);
  late_bytes += (uint32_t)event->raw.bytes;
  return SHEAF_OK;
}
static uint64_t started;
static int32_t start(void *ctx, const sheaf_exchange *exchange) {
  (void)ctx;
  started = exchange->id;
  return SHEAF_OK;
}
static void cancel(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}

TEST(a_sink_that_says_later_is_offered_the_same_bytes) {
  static char filler[8192];
  bench_init(&b);
  bench_open(&b);
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_doors doors = {.struct_bytes = sizeof doors, .transport = &transport, .sink = &sink};
  CHECK_OK(sheaf_engine_open(b.engine, &doors));
  submit_stream(SHEAF_REQUEST_RAW);
  CHECK_OK(sheaf_engine_run_once(b.engine, b.now_ns, 0));
  sheaf_engine_on_head(b.engine, started, 200, SHEAF_LITERAL("content-type: text/event-stream\n"));
  sheaf_engine_on_data(b.engine, started, SHEAF_LITERAL("data: a\n\n: "));
  CHECK_OK(sheaf_engine_run_once(b.engine, b.now_ns, 0));
  memset(filler, '.', sizeof filler);
  for (int i = 0; i < 3; i++) {
    sheaf_engine_on_data(b.engine, started, (sheaf_slice){filler, sizeof filler});
    CHECK_OK(sheaf_engine_run_once(b.engine, b.now_ns, 0));
  }
  CHECK_EQ(offers, 3);
  CHECK_EQ(late_bytes, 9);
  CHECK_OK(sheaf_engine_abort(b.engine));
  bench_close(&b);
}

int main(void) {
  RUN(a_delta_carries_whole_events_with_what_ends_them);
  RUN(comments_and_events_without_text_are_bytes_too);
  RUN(what_is_left_at_the_end_comes_before_the_result);
  RUN(line_ends_of_every_kind_are_kept);
  RUN(the_second_half_of_a_line_end_does_not_wait_for_the_next_event);
  RUN(any_chunking_gives_the_same_bytes);
  RUN(only_who_asks_is_given_bytes);
  RUN(bytes_of_an_attempt_that_broke_are_discarded);
  RUN(a_reply_that_is_no_stream_has_no_deltas);
  RUN(lines_of_ndjson_are_its_events);
  RUN(a_sink_that_says_later_is_offered_the_same_bytes);
  return check_report();
}
