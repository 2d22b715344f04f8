/* test_engine_doors: the loop over vtables: a sink that says later, sources that skip, end and fail, stores, hooks. */
#include "engine_test.h"

typedef struct host {
  test_alloc memory;
  sheaf_engine *engine;
  sheaf_engine_options options;
  sheaf_endpoint endpoint;
  uint64_t now_ns, rows, given, skip_below;
  uint64_t out[64];
  uint32_t out_count, starts;
  int32_t source_fails_with, sink_says, store_says, start_says, refused_says, validate_says;
  uint64_t source_fails_at;
  uint32_t results, good, refusals, classes[SHEAF_CLASS_COUNT];
  char text[128], offered[128];
  bool stream;
} host;

static host h;

static int32_t next(void *ctx, sheaf_request *request) {
  (void)ctx;
  if (h.source_fails_with && h.given == h.source_fails_at) return h.source_fails_with;
  if (h.given == h.rows) return SHEAF_E_END;
  h.given++;
  if (h.stream) request->flags |= SHEAF_REQUEST_STREAM;
  if (h.refused_says != 1 || h.given % 2) request->prompt = SHEAF_LITERAL("x");
  return SHEAF_OK;
}
static int32_t admit(void *ctx, uint64_t index, const sheaf_request *request,
                     const uint8_t fingerprint[16]) {
  (void)ctx, (void)request, (void)fingerprint;
  return index < h.skip_below ? SHEAF_E_END : SHEAF_OK;
}
static int32_t refused(void *ctx, uint64_t index, const sheaf_request *request,
                       const sheaf_parse_error *error) {
  (void)ctx, (void)index, (void)request;
  h.refusals++;
  return error->status == SHEAF_E_FIELD ? SHEAF_OK : SHEAF_E_INTERNAL;
}
static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind == SHEAF_EVENT_RESULT)
    bench_copy(h.offered, sizeof h.offered, event->result->text);
  if (event->kind == SHEAF_EVENT_DELTA) bench_copy(h.offered, sizeof h.offered, event->text);
  if (h.sink_says) return h.sink_says;
  if (event->kind == SHEAF_EVENT_DELTA) {
    size_t at = strlen(h.text);
    bench_copy(h.text + at, sizeof h.text - at, event->text);
  }
  if (event->kind == SHEAF_EVENT_DISCARD) h.text[0] = 0;
  if (event->kind != SHEAF_EVENT_RESULT) return SHEAF_OK;
  h.results++;
  h.good += event->result->ok;
  h.classes[event->result->error_class]++;
  return SHEAF_OK;
}
static int32_t start(void *ctx, const sheaf_exchange *x) {
  (void)ctx;
  h.starts++;
  if (h.start_says) return h.start_says;
  if (h.out_count < 64) h.out[h.out_count++] = x->id;
  return SHEAF_OK;
}
static void cancel(void *ctx, uint64_t id) {
  (void)ctx;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.end = SHEAF_END_CANCELLED;
  (void)id;
}
static int32_t append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  (void)ctx, (void)ticket, (void)records, (void)count;
  return h.store_says;
}
static int32_t scan(void *ctx) {
  (void)ctx;
  return SHEAF_E_END;
}
static int32_t validate(void *ctx, const sheaf_result *result) {
  (void)ctx, (void)result;
  return h.validate_says;
}

static void begin(uint64_t rows) {
  memset(&h, 0, sizeof h);
  h.rows = rows;
  h.now_ns = BENCH_SECOND;
  h.store_says = SHEAF_E_END;
  sheaf_engine_options_init(&h.options);
  h.options.concurrency = 8;
  h.options.prices = &bench_prices;
}

static void open_host(bool with_store, bool with_hook) {
  h.endpoint = SHEAF_ENDPOINT_INIT;
  h.endpoint.provider = &bench_provider;
  h.options.endpoints = &h.endpoint;
  h.options.endpoint_count = 1;
  const sheaf_allocator allocator = test_allocator(&h.memory);
  CHECK_OK(sheaf_engine_new(&h.options, &allocator, &h.engine));
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_store store = {.struct_bytes = sizeof store, .append = append, .scan = scan};
  const sheaf_source source = {
      .struct_bytes = sizeof source, .next = next, .admit = admit, .refused = refused};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_hooks hooks = {.struct_bytes = sizeof hooks, .validate = validate};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .store = with_store ? &store : NULL,
                             .hooks = with_hook ? &hooks : NULL};
  CHECK_OK(sheaf_engine_open(h.engine, &doors));
}

static int32_t turn(void) {
  return sheaf_engine_run_once(h.engine, h.now_ns, 0);
}

static void answer_all(const char *body, uint32_t status) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  for (uint32_t i = 0; i < h.out_count; i++) {
    sheaf_engine_on_head(h.engine, h.out[i], status, (sheaf_slice){NULL, 0});
    sheaf_engine_on_data(h.engine, h.out[i], sheaf_slice_of(body));
    sheaf_engine_on_done(h.engine, h.out[i], &end);
  }
  h.out_count = 0;
}

static int32_t run(void) {
  int32_t status = SHEAF_OK, told = SHEAF_OK;
  for (int i = 0; i < 10000; i++) {
    status = turn();
    if (status == SHEAF_E_END) return told;
    if (status) told = status;
    if (h.out_count) {
      answer_all("ok", 200);
      continue;
    }
    uint64_t at = sheaf_engine_timeout_ns(h.engine);
    if (at == SHEAF_NEVER && status == SHEAF_OK) break;
    if (at != SHEAF_NEVER && at > h.now_ns) h.now_ns = at;
  }
  CHECK(status == SHEAF_E_END); /* the run ends */
  return told;
}

static void end(void) {
  sheaf_engine_free(h.engine);
  CHECK_EQ(h.memory.live_bytes, 0);
  CHECK(!h.memory.size_mismatch);
}

TEST(a_run_takes_all_rows_and_ends) {
  begin(500);
  open_host(true, false);
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.results, 500);
  CHECK_EQ(h.good, 500);
  CHECK_EQ(turn(), SHEAF_E_END);
  end();
}

TEST(an_empty_source_ends_at_once) {
  begin(0);
  open_host(false, false);
  CHECK_EQ(turn(), SHEAF_E_END);
  end();
}

/* A resume of a long run: thousands of rows are passed by before the first that has work. */
TEST(rows_that_are_done_are_passed_by_without_stopping) {
  begin(20000);
  h.skip_below = 19990;
  open_host(false, false);
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.results, 10);
  sheaf_stats stats;
  sheaf_engine_stats(h.engine, &stats);
  CHECK_EQ(stats.skipped, 19990);
  CHECK_EQ(stats.admitted, 10);
  end();
}

TEST(rows_that_are_all_done_end_the_run) {
  begin(20000);
  h.skip_below = 20000;
  open_host(true, false);
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.results, 0);
  end();
}

TEST(a_sink_that_says_later_is_offered_the_same_event_again) {
  begin(64);
  open_host(false, false);
  CHECK_EQ(turn(), SHEAF_OK);
  h.sink_says = SHEAF_E_LATER;
  uint64_t given = 0;
  for (int i = 0; i < 20; i++) {
    answer_all(i ? "second" : "first", 200);
    CHECK_EQ(turn(), SHEAF_OK);
    CHECK_STRING(h.offered, "first");
    if (i == 0) given = h.given;
  }
  CHECK_EQ(h.given, given); /* nothing is read meanwhile */
  CHECK_EQ(h.results, 0);
  h.sink_says = SHEAF_OK;
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.results, 64);
  end();
}

/* The hook looks at other results while the sink still holds one: they must not change it. */
TEST(a_hook_does_not_change_what_the_sink_is_offered) {
  begin(4);
  h.options.concurrency = 1;
  open_host(false, true);
  CHECK_EQ(turn(), SHEAF_OK);
  h.sink_says = SHEAF_E_LATER;
  answer_all("first \\\"one\\\"", 200);
  CHECK_EQ(turn(), SHEAF_OK);
  CHECK_STRING(h.offered, "first \"one\"");
  CHECK_EQ(h.out_count, 1);
  answer_all("second \\\"two\\\"", 200);
  CHECK_EQ(turn(), SHEAF_OK);
  CHECK_STRING(h.offered, "first \"one\"");
  h.sink_says = SHEAF_OK;
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.good, 4);
  end();
}

/* A delta is refused, and its attempt breaks and is gone before it is offered again. */
TEST(a_delta_outlives_its_attempt_while_the_sink_says_later) {
  begin(1);
  h.stream = true;
  open_host(false, false);
  CHECK_EQ(turn(), SHEAF_OK);
  h.sink_says = SHEAF_E_LATER;
  CHECK_OK(sheaf_engine_on_head(h.engine, h.out[0], 200, (sheaf_slice){NULL, 0}));
  CHECK_OK(sheaf_engine_on_data(h.engine, h.out[0], SHEAF_LITERAL("data: shown\n\n")));
  CHECK_EQ(turn(), SHEAF_OK);
  CHECK_STRING(h.offered, "shown");
  sheaf_exchange_end broken;
  sheaf_exchange_end_init(&broken);
  broken.end = SHEAF_END_BROKEN;
  CHECK_OK(sheaf_engine_on_done(h.engine, h.out[0], &broken));
  h.out_count = 0;
  CHECK_EQ(turn(), SHEAF_OK);
  CHECK_STRING(h.offered, "shown");
  h.sink_says = SHEAF_OK;
  CHECK_EQ(turn(), SHEAF_OK);
  CHECK_STRING(h.text, ""); /* taken, and discarded */
  while (h.out_count == 0 && sheaf_engine_timeout_ns(h.engine) != SHEAF_NEVER) {
    h.now_ns =
        sheaf_engine_timeout_ns(h.engine) > h.now_ns ? sheaf_engine_timeout_ns(h.engine) : h.now_ns;
    CHECK_EQ(turn(), SHEAF_OK);
  }
  answer_all("data: new\n\ndata: [DONE]\n\n", 200);
  CHECK_EQ(turn(), SHEAF_E_END);
  CHECK_STRING(h.text, "new");
  CHECK_EQ(h.good, 1);
  end();
}

TEST(a_sink_that_fails_aborts_the_run_with_its_answer) {
  begin(100);
  open_host(false, false);
  CHECK_EQ(turn(), SHEAF_OK);
  h.sink_says = SHEAF_E_IO;
  answer_all("ok", 200);
  CHECK_EQ(turn(), SHEAF_E_IO);
  h.sink_says = SHEAF_OK;
  CHECK_EQ(run(), SHEAF_OK);
  CHECK(h.starts <= 16); /* what the failing turn had started */
  end();
}

TEST(a_source_that_fails_drains_what_is_in_flight_and_is_told_once) {
  begin(100);
  h.source_fails_with = SHEAF_E_SYNTAX;
  h.source_fails_at = 5;
  open_host(false, false);
  CHECK_EQ(run(), SHEAF_E_SYNTAX);
  CHECK_EQ(h.results, 5);
  CHECK_EQ(h.given, 5);
  end();
}

TEST(a_row_that_cannot_be_built_is_its_own_failure_where_the_source_says_so) {
  begin(10);
  h.refused_says = 1; /* every second has no prompt */
  open_host(false, false);
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.refusals, 5);
  CHECK_EQ(h.results, 10);
  CHECK_EQ(h.good, 5);
  CHECK_EQ(h.classes[SHEAF_CLASS_INVALID_REQUEST], 5);
  end();
}

TEST(a_store_that_fails_ends_the_run_with_its_answer_and_sends_nothing) {
  begin(50);
  h.store_says = SHEAF_E_IO;
  open_host(true, false);
  CHECK_EQ(run(), SHEAF_E_IO);
  CHECK_EQ(h.starts, 0);
  CHECK_EQ(h.results, h.classes[SHEAF_CLASS_STORE]);
  CHECK_EQ(h.results, h.given);
  end();
}

TEST(a_transport_that_cannot_start_has_sent_nothing) {
  begin(3);
  h.start_says = SHEAF_E_IO;
  h.options.max_retries = 1;
  open_host(false, false);
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.results, 3);
  CHECK_EQ(h.classes[SHEAF_CLASS_NETWORK], 3);
  CHECK_EQ(h.starts, 9); /* once more at once, once more by the count */
  end();
}

TEST(a_hook_that_refuses_makes_an_invalid_response) {
  begin(1);
  h.validate_says = SHEAF_E_FIELD;
  open_host(false, true);
  CHECK_EQ(run(), SHEAF_OK);
  CHECK_EQ(h.starts, 3); /* two retries of those at most */
  CHECK_EQ(h.classes[SHEAF_CLASS_INVALID_RESPONSE], 1);
  end();
}

TEST(doors_are_misused_visibly) {
  begin(1);
  open_host(false, false);
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_doors doors = {.struct_bytes = sizeof doors, .transport = &transport, .sink = &sink};
  CHECK_STATUS(sheaf_engine_open(h.engine, &doors), SHEAF_E_MISUSE);
  end();
  const sheaf_allocator allocator = test_allocator(&h.memory);
  CHECK_OK(sheaf_engine_new(&h.options, &allocator, &h.engine));
  const sheaf_doors without = {.struct_bytes = sizeof without, .transport = &transport};
  CHECK_STATUS(sheaf_engine_open(h.engine, &without), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_open(h.engine, NULL), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_open(NULL, &doors), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_engine_run_once(h.engine, 0, 0), SHEAF_E_MISUSE);
  CHECK_OK(sheaf_engine_open(h.engine, &doors));
  end();
}

int main(void) {
  RUN(a_run_takes_all_rows_and_ends);
  RUN(an_empty_source_ends_at_once);
  RUN(rows_that_are_done_are_passed_by_without_stopping);
  RUN(rows_that_are_all_done_end_the_run);
  RUN(a_sink_that_says_later_is_offered_the_same_event_again);
  RUN(a_hook_does_not_change_what_the_sink_is_offered);
  RUN(a_delta_outlives_its_attempt_while_the_sink_says_later);
  RUN(a_sink_that_fails_aborts_the_run_with_its_answer);
  RUN(a_source_that_fails_drains_what_is_in_flight_and_is_told_once);
  RUN(a_row_that_cannot_be_built_is_its_own_failure_where_the_source_says_so);
  RUN(a_store_that_fails_ends_the_run_with_its_answer_and_sends_nothing);
  RUN(a_transport_that_cannot_start_has_sent_nothing);
  RUN(a_hook_that_refuses_makes_an_invalid_response);
  RUN(doors_are_misused_visibly);
  return check_report();
}
