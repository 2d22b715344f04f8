/* test_engine_oom: whole runs through the doors with the n-th allocation failing, once and from then on, for all n.
 *
 * No crash and no leak ever; with one failure every row that the source gave ends exactly once, and the run ends. */
#include "engine_test.h"

#define ROWS 200

typedef struct world {
  test_alloc memory;
  sheaf_engine *engine;
  uint64_t now_ns, given;
  uint32_t ends[ROWS], starts[ROWS], good;
  struct {
    uint64_t id, index;
    bool stream, cancelled;
  } out[64];
  uint32_t out_count;
  bool over;
} world;

static world w;

static int32_t next(void *ctx, sheaf_request *request) {
  (void)ctx;
  if (w.given == ROWS) return SHEAF_E_END;
  request->prompt = SHEAF_LITERAL("a prompt");
  request->metadata = SHEAF_LITERAL("{\"n\":1}");
  request->model = w.given % 5 == 4 ? SHEAF_LITERAL("other") : SHEAF_LITERAL("m");
  if (w.given % 3 == 0) request->flags |= SHEAF_REQUEST_STREAM;
  if (w.given % 11 == 0) request->deadline_ms = 600000;
  request->params = SHEAF_LITERAL("\"a\":1");
  w.given++;
  return SHEAF_OK;
}
static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind != SHEAF_EVENT_RESULT) return SHEAF_OK;
  w.ends[event->result->index]++;
  w.good += event->result->ok;
  return SHEAF_OK;
}
static int32_t start(void *ctx, const sheaf_exchange *x) {
  (void)ctx;
  w.starts[x->index]++;
  w.out[w.out_count].id = x->id;
  w.out[w.out_count].index = x->index;
  w.out[w.out_count].cancelled = false;
  w.out[w.out_count++].stream = x->stream;
  return SHEAF_OK;
}
static void cancel(void *ctx, uint64_t id) {
  (void)ctx;
  for (uint32_t i = 0; i < w.out_count; i++)
    if (w.out[i].id == id) w.out[i].cancelled = true;
}
static int32_t append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  (void)ctx, (void)ticket, (void)records, (void)count;
  return SHEAF_E_END;
}
static int32_t scan(void *ctx) {
  (void)ctx;
  return SHEAF_OK; /* answered by the driver */
}

/* Each 7th row is refused at first, each 13th meets a server error, each 17th an end without a reply; streams come in two parts
 * and each 9th of them breaks off once. What on_head and on_data answer is not looked at: without memory the end tells. */
static void answer(uint32_t at) {
  uint64_t id = w.out[at].id, index = w.out[at].index;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.message = SHEAF_LITERAL("ended");
  bool first = w.starts[index] == 1, stream = w.out[at].stream;
  if (w.out[at].cancelled) {
    end.end = SHEAF_END_CANCELLED;
  } else if (first && index % 7 == 3) {
    sheaf_engine_on_head(w.engine, id, 429, SHEAF_LITERAL("retry-after-ms: 50\n"));
  } else if (first && index % 13 == 5) {
    sheaf_engine_on_head(w.engine, id, 500, SHEAF_LITERAL("x: y\n"));
  } else if (first && index % 17 == 6) {
    end.end = SHEAF_END_BROKEN;
  } else {
    sheaf_engine_on_head(
        w.engine, id, 200,
        stream ? SHEAF_LITERAL("content-type: text/event-stream\n") : SHEAF_LITERAL("x: y\n"));
    sheaf_engine_on_data(w.engine, id,
                         stream ? SHEAF_LITERAL("data: an an\\nswer\n\n") : SHEAF_LITERAL("an an"));
    if (stream) sheaf_engine_run_once(w.engine, w.now_ns, 0);
    if (!(first && stream && index % 9 == 0))
      sheaf_engine_on_data(w.engine, id,
                           stream ? SHEAF_LITERAL("data: [DONE]\n\n") : SHEAF_LITERAL("\\nswer"));
  }
  sheaf_engine_on_done(w.engine, id, &end);
}

static int32_t make(void) {
  sheaf_engine_options options;
  sheaf_endpoint endpoints[2] = {SHEAF_ENDPOINT_INIT, SHEAF_ENDPOINT_INIT};
  sheaf_engine_options_init(&options);
  for (int i = 0; i < 2; i++) {
    endpoints[i].provider = &bench_provider;
    endpoints[i].model = SHEAF_LITERAL("m");
    endpoints[i].name = i ? SHEAF_LITERAL("b") : SHEAF_LITERAL("a");
  }
  options.endpoints = endpoints;
  options.endpoint_count = 2;
  options.concurrency = 16;
  options.params = SHEAF_LITERAL("\"b\":2");
  options.prices = &bench_prices;
  const sheaf_allocator allocator = test_allocator(&w.memory);
  int32_t status = sheaf_engine_new(&options, &allocator, &w.engine);
  if (status) return status;
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_store store = {.struct_bytes = sizeof store, .append = append, .scan = scan};
  const sheaf_source source = {.struct_bytes = sizeof source, .next = next};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .store = &store};
  return sheaf_engine_open(w.engine, &doors);
}

/* Records of an earlier run: rows 10 to 12 may have been sent, but for 11. */
static void scanned(void) {
  sheaf_range ranges[2] = {{10, 12, 5}, {11, 11, SHEAF_ABSENT}};
  uint8_t bytes[2][SHEAF_RANGE_BYTES];
  sheaf_record records[2];
  for (int i = 0; i < 2; i++) {
    sheaf_range_write(&ranges[i], bytes[i]);
    records[i] = (sheaf_record){.type = i ? SHEAF_RECORD_VOID : SHEAF_RECORD_RANGE,
                                .payload = {(const char *)bytes[i], SHEAF_RANGE_BYTES}};
  }
  while (sheaf_engine_on_scanned(w.engine, records, 2) == SHEAF_E_NOMEM && !w.memory.fail_after) {
  }
  sheaf_engine_on_scanned(w.engine, NULL, 0);
}

/* The run with its n-th allocation failing; 0: none. Answers how many there were. */
static uint64_t run(uint64_t fail_at, bool fail_after) {
  memset(&w, 0, sizeof w);
  w.memory.fail_at = fail_at;
  w.memory.fail_after = fail_after;
  w.now_ns = BENCH_SECOND;
  if (make() == SHEAF_OK) {
    bool asked = false;
    for (uint32_t turn = 0; turn < 20000 && !w.over; turn++) {
      int32_t status = sheaf_engine_run_once(w.engine, w.now_ns, 0);
      if (!asked) scanned(), asked = true;
      w.over = status == SHEAF_E_END;
      if (status != SHEAF_OK && status != SHEAF_E_END && fail_after) break;
      if (w.out_count == 0) {
        uint64_t at = sheaf_engine_timeout_ns(w.engine);
        if (at == SHEAF_NEVER && status == SHEAF_OK && turn > 1 && !w.over) break; /* stuck */
        if (at != SHEAF_NEVER && at > w.now_ns) w.now_ns = at;
        continue;
      }
      uint32_t count = w.out_count;
      for (uint32_t i = 0; i < count; i++) answer(i);
      memmove(w.out, w.out + count,
              (w.out_count - count) * sizeof w.out[0]); /* a stream's turn may have started more */
      w.out_count -= count;
      w.now_ns += BENCH_MS;
    }
  }
  uint64_t calls = w.memory.calls;
  sheaf_engine_free(w.engine);
  return calls;
}

static bool left_clean(void) {
  return w.memory.live_bytes == 0 && w.memory.live_blocks == 0 && !w.memory.size_mismatch;
}

TEST(a_run_without_failures_ends_every_row_once) {
  uint64_t calls = run(0, false);
  CHECK(w.over);
  CHECK(left_clean());
  CHECK_EQ(w.good, ROWS);
  for (uint32_t i = 0; i < ROWS; i++) CHECK_EQ(w.ends[i], 1);
  CHECK_EQ(w.starts[3], 2); /* 429, then good */
  CHECK_EQ(w.starts[11], 1);
  CHECK(calls > 100);
}

TEST(the_nth_allocation_failing_once_loses_no_row) {
  uint64_t calls = run(0, false);
  for (uint64_t n = 1; n <= calls; n++) {
    run(n, false);
    bool made = w.engine != NULL;
    bool good = left_clean();
    for (uint32_t i = 0; i < ROWS && made; i++) good = good && w.ends[i] == 1;
    if (!good || (made && !w.over)) {
      CHECK_EQ(n, 0); /* says which */
      CHECK(w.over);
      CHECK(left_clean());
      for (uint32_t i = 0; i < ROWS; i++)
        if (w.ends[i] != 1)
          printf("row %u ended %u times, started %u times\n", i, w.ends[i], w.starts[i]);
      return;
    }
  }
}

TEST(all_allocations_failing_from_the_nth_on_leak_nothing) {
  uint64_t calls = run(0, false);
  for (uint64_t n = 1; n <= calls; n++) {
    run(n, true);
    bool once = true;
    for (uint32_t i = 0; i < ROWS; i++) once = once && w.ends[i] <= 1;
    CHECK(once);
    CHECK(left_clean());
    if (!left_clean() || !once) {
      CHECK_EQ(n, 0);
      return;
    }
  }
}

int main(void) {
  RUN(a_run_without_failures_ends_every_row_once);
  RUN(the_nth_allocation_failing_once_loses_no_row);
  RUN(all_allocations_failing_from_the_nth_on_leak_nothing);
  return check_report();
}
