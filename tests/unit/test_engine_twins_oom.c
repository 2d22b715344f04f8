/* test_engine_twins_oom: runs with twins, a cache, hooks, raw streams and a pause, with the n-th allocation failing, once
 * and from then on, for all n. No crash and no leak ever; with one failure every row ends exactly once, and the run ends. */
#include "engine_test.h"

#define ROWS 120

typedef struct world {
  test_alloc memory;
  sheaf_engine *engine;
  uint64_t now_ns, given;
  uint32_t ends[ROWS], starts[ROWS], good, shared, cached, local;
  struct {
    uint64_t id, index;
    bool stream, cancelled;
  } out[64];
  uint32_t out_count;
  bool over;
} world;

static world w;

/* Twelve prompts, so that most rows have twins; each ninth row streams. */
static int32_t next(void *ctx, sheaf_request *request) {
  (void)ctx;
  static const char *const prompts[] = {"p0", "p1", "p2", "p3", "p4",  "p5",
                                        "p6", "p7", "p8", "p9", "p10", "local"};
  if (w.given == ROWS) return SHEAF_E_END;
  request->prompt = sheaf_slice_of(prompts[w.given * 7 % 12]);
  request->metadata = SHEAF_LITERAL("{\"n\":1}");
  if (w.given % 5 == 2) request->trust_key = SHEAF_LITERAL("t");
  if (w.given % 9 == 0) request->flags |= SHEAF_REQUEST_STREAM | SHEAF_REQUEST_RAW;
  if (w.given % 4 == 1) request->priority = SHEAF_PRIORITY_URGENT;
  if (w.given % 11 == 0) request->deadline_ms = 40;
  w.given++;
  return SHEAF_OK;
}
static int32_t preprocess(void *ctx, sheaf_request *request, sheaf_slice *answer) {
  (void)ctx;
  if (request->prompt.bytes != 5) return SHEAF_OK;
  *answer = SHEAF_LITERAL("a \"local\" answer");
  return SHEAF_E_END;
}
static int32_t fallback(void *ctx, const sheaf_result *failed, sheaf_slice *answer) {
  (void)ctx;
  if (failed->index % 2) return SHEAF_E_FIELD;
  *answer = failed->error_message;
  return SHEAF_OK;
}
static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind != SHEAF_EVENT_RESULT) return SHEAF_OK;
  const sheaf_result *r = event->result;
  w.ends[r->index]++;
  w.good += r->ok;
  w.shared += r->deduplicated;
  w.cached += r->cached;
  w.local += r->local;
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

static void answer(uint32_t at) {
  uint64_t id = w.out[at].id, index = w.out[at].index;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  bool stream = w.out[at].stream;
  if (w.out[at].cancelled) {
    end.end = SHEAF_END_CANCELLED;
  } else if (w.starts[index] == 1 && index % 7 == 3) {
    sheaf_engine_on_head(w.engine, id, 500, SHEAF_LITERAL("x: y\n"));
  } else if (index % 13 == 5) {
    sheaf_engine_on_head(w.engine, id, 400, SHEAF_LITERAL("x: y\n"));
  } else {
    sheaf_engine_on_head(
        w.engine, id, 200,
        stream ? SHEAF_LITERAL("content-type: text/event-stream\n") : SHEAF_LITERAL("x: y\n"));
    sheaf_engine_on_data(w.engine, id,
                         stream ? SHEAF_LITERAL(": c\n\ndata: an\n\n") : SHEAF_LITERAL("an"));
    if (stream) {
      sheaf_engine_run_once(w.engine, w.now_ns, 0);
      sheaf_engine_on_data(w.engine, id, SHEAF_LITERAL("data: [DONE]\n\n"));
    }
  }
  sheaf_engine_on_done(w.engine, id, &end);
}

static int32_t make(void) {
  sheaf_engine_options options;
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  sheaf_engine_options_init(&options);
  endpoint.provider = &bench_provider;
  endpoint.model = SHEAF_LITERAL("m");
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  options.concurrency = 4;
  options.queue_capacity = 10;
  options.prices = &bench_prices;
  options.dedup = SHEAF_DEDUP_ALL;
  options.cache_entries = 12;
  options.cache_ttl_ms = 1000;
  options.max_retries = 1;
  const sheaf_allocator allocator = test_allocator(&w.memory);
  int32_t status = sheaf_engine_new(&options, &allocator, &w.engine);
  if (status) return status;
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_source source = {.struct_bytes = sizeof source, .next = next};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_hooks hooks = {
      .struct_bytes = sizeof hooks, .preprocess = preprocess, .fallback = fallback};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .hooks = &hooks};
  return sheaf_engine_open(w.engine, &doors);
}

/* What a user does meanwhile. */
static void meddle(uint32_t turn) {
  if (turn % 7 == 2) sheaf_engine_cancel(w.engine, turn);
  if (turn == 10) sheaf_engine_pause(w.engine);
  if (turn == 12) sheaf_engine_resume(w.engine);
  if (turn == 15)
    sheaf_engine_set(w.engine, SHEAF_LITERAL("concurrency"), SHEAF_LITERAL("8"), NULL, 0);
}

static uint64_t run(uint64_t fail_at, bool fail_after) {
  memset(&w, 0, sizeof w);
  w.memory.fail_at = fail_at;
  w.memory.fail_after = fail_after;
  w.now_ns = BENCH_SECOND;
  if (make() == SHEAF_OK) {
    for (uint32_t turn = 0; turn < 5000 && !w.over; turn++) {
      int32_t status = sheaf_engine_run_once(w.engine, w.now_ns, 0);
      w.over = status == SHEAF_E_END;
      if (status != SHEAF_OK && status != SHEAF_E_END && fail_after) break;
      meddle(turn);
      if (w.out_count == 0) {
        uint64_t at = sheaf_engine_timeout_ns(w.engine);
        if (at == SHEAF_NEVER && status == SHEAF_OK && turn > 20 && !w.over) break; /* stuck */
        if (at != SHEAF_NEVER && at > w.now_ns) w.now_ns = at;
        continue;
      }
      uint32_t count = w.out_count;
      for (uint32_t i = 0; i < count; i++) answer(i);
      memmove(w.out, w.out + count, (w.out_count - count) * sizeof w.out[0]);
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

static bool each_ended(uint32_t least) {
  for (uint32_t i = 0; i < ROWS; i++)
    if (w.ends[i] > 1 || w.ends[i] < least) return false;
  return true;
}

TEST(the_run_meets_all_that_is_to_be_met) {
  uint64_t calls = run(0, false);
  CHECK(w.over);
  CHECK(left_clean());
  CHECK(each_ended(1));
  CHECK(w.shared > 10);
  CHECK(w.cached > 10);
  CHECK(w.local > 10);
  CHECK(calls > 100);
}

TEST(the_nth_allocation_failing_once_loses_no_row) {
  uint64_t calls = run(0, false);
  for (uint64_t n = 1; n <= calls; n++) {
    run(n, false);
    bool made = w.engine != NULL;
    bool good = left_clean() && (!made || (w.over && each_ended(1)));
    if (!good) {
      CHECK_EQ(n, 0); /* says which */
      CHECK(left_clean());
      CHECK(w.over);
      return;
    }
  }
}

TEST(all_allocations_failing_from_the_nth_on_leak_nothing) {
  uint64_t calls = run(0, false);
  for (uint64_t n = 1; n <= calls; n++) {
    run(n, true);
    if (!left_clean() || !each_ended(0)) {
      CHECK_EQ(n, 0);
      return;
    }
  }
}

int main(void) {
  RUN(the_run_meets_all_that_is_to_be_met);
  RUN(the_nth_allocation_failing_once_loses_no_row);
  RUN(all_allocations_failing_from_the_nth_on_leak_nothing);
  return check_report();
}
