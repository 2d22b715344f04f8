/* test_files_log.c: the log beside the output: promises, torn ends, what is told to the engine. */
#include "../support/files_bench.h"

/* ---- The log ---- */

typedef struct seen {
  char text[512];
  size_t bytes;
} seen;

static int32_t see_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  seen *all = ctx;
  sheaf_range range = {0};
  (void)seq;
  if (payload.bytes == SHEAF_RANGE_BYTES) sheaf_range_read(payload, &range);
  all->bytes +=
      (size_t)snprintf(all->text + all->bytes, sizeof all->text - all->bytes, "%u:%llu-%llu ", type,
                       (unsigned long long)range.first, (unsigned long long)range.last);
  return SHEAF_OK;
}

/* The records of out.sheaf, as "type:first-last ". */
static const char *records(void) {
  static seen all;
  size_t bytes;
  char *text = read_text("out.sheaf", &bytes);
  sheaf_log log;
  sheaf_log_report report;
  all = (seen){.bytes = 0};
  assert_int_equal(
      sheaf_log_read(&log, (sheaf_slice){text, bytes}, SHEAF_RECORD_END, see_frame, &all, &report),
      SHEAF_OK);
  assert_int_equal(report.bytes_valid, bytes);
  free(text);
  return all.text;
}

static void append_range(bench *it, uint32_t type, uint64_t first, uint64_t last) {
  const sheaf_store *store = sheaf_files_store(it->files);
  assert_non_null(store);
  uint8_t payload[SHEAF_RANGE_BYTES];
  sheaf_range range = {first, last, SHEAF_ABSENT};
  sheaf_range_write(&range, payload);
  sheaf_record record = {.type = type, .payload = {(const char *)payload, sizeof payload}};
  assert_int_equal(store->append(store->ctx, 1, &record, 1), SHEAF_E_END);
}

static void promises_are_on_disk_when_append_answers(void **state) {
  (void)state;
  for (uint32_t sync = SHEAF_SYNC_NORMAL; sync <= SHEAF_SYNC_FULL; sync++) {
    remove_all();
    write_text("in.jsonl", three);
    bench it = the_bench("in.jsonl");
    it.options.sync = sync;
    bench_open(&it);
    const sheaf_store *store = sheaf_files_store(it.files);
    assert_int_equal(store->scan(store->ctx), SHEAF_E_END); /* no earlier run */
    pull_all(&it);
    assert_string_equal(records(), "1:0-0 ");
    append_range(&it, SHEAF_RECORD_RANGE, 0, 2);
    assert_string_equal(records(), "1:0-0 2:0-2 ");
    finish_row(&it, 0, "1", true);
    append_range(&it, SHEAF_RECORD_VOID, 2, 2);
    assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
    bench_close(&it);
    assert_string_equal(records(), "1:0-0 2:0-2 3:2-2 ");
    it = the_bench("in.jsonl");
    it.options.sync = sync;
    bench_open(&it);
    pull_all(&it);
    assert_string_equal(records(), "1:0-0 2:0-2 3:2-2 1:0-0 ");
    assert_int_equal(report_of(&it).rows_done_before, 1);
    assert_int_equal(report_of(&it).rows_unknown, 1); /* b: promised, no line, not taken back */
    finish_row(&it, 1, "2", true);
    finish(&it);
    bench_close(&it);
    assert_string_equal(records(), "1:0-0 2:0-2 3:2-2 1:0-0 4:0-0 ");
  }
}

static void spans_are_joined_and_taken_back(void **state) {
  (void)state;
  static const struct {
    uint32_t type;
    uint64_t first;
    uint64_t last;
  } steps[] = {{2, 0, 255},   {2, 256, 511}, {2, 600, 700}, {3, 100, 200}, {3, 0, 0},
               {2, 150, 150}, {3, 650, 700}, {2, 500, 620}, {3, 900, 999}};
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  bool model[1000] = {false};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    append_range(&it, steps[i].type, steps[i].first, steps[i].last);
    for (uint64_t index = steps[i].first; index <= steps[i].last; index++)
      model[index] = steps[i].type == 2;
  }
  bench_close(&it);
  bench_open(&it);
  for (uint64_t index = 0; index < 1000; index++) {
    assert_int_equal(sheaf__runlog_may_have_sent(&it.files->runlog, index), model[index]);
  }
  assert_false(sheaf__runlog_may_have_sent(&it.files->runlog, UINT64_MAX));
  bench_close(&it);
}

static sheaf_engine *make_engine(void) {
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
  endpoint.model = SHEAF_LITERAL("m");
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  options.resend_unknown = SHEAF_RESEND_NEVER;
  sheaf_engine *engine;
  assert_int_equal(sheaf_engine_new(&options, sheaf_heap(), &engine), SHEAF_OK);
  assert_int_equal(sheaf_engine_use_store(engine), SHEAF_OK);
  return engine;
}

/* Submits a row and answers the class it ends with at once, or SHEAF_CLASS_NONE when it would be sent. */
static uint32_t class_of_next_row(sheaf_engine *engine) {
  static uint64_t now_ns = 1;
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_event event;
  uint32_t class = SHEAF_CLASS_NONE;
  request.prompt = SHEAF_LITERAL("p");
  assert_int_equal(sheaf_engine_submit(engine, &request, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_engine_step(engine, now_ns += 1000, 1), SHEAF_OK);
  while (sheaf_engine_next_event(engine, &event) == SHEAF_OK) {
    if (event.kind == SHEAF_EVENT_RESULT) class = event.result->error_class;
  }
  return class;
}

static void earlier_records_go_to_the_engine(bool asks) {
  enum { COUNT = 600 }; /* more than are told at once */
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  for (uint64_t i = 0; i < COUNT; i++) append_range(&it, SHEAF_RECORD_RANGE, i, i);
  bench_close(&it);
  bench_open(&it);
  sheaf_engine *engine = make_engine();
  const sheaf_store *store = sheaf_files_store(it.files);
  assert_int_equal(sheaf_files_pump(it.files), SHEAF_OK); /* no engine yet */
  if (asks) {
    assert_int_equal(store->scan(store->ctx), SHEAF_OK);
    assert_int_equal(sheaf_files_pump(it.files), SHEAF_E_MISUSE); /* nobody to tell */
  }
  sheaf_files_bind(it.files, engine);
  assert_int_equal(sheaf_files_pump(it.files), SHEAF_OK);
  /* The engine has recovered: more records would be a mistake. */
  assert_int_equal(sheaf_engine_on_scanned(engine, NULL, 0), SHEAF_E_MISUSE);
  assert_int_equal(sheaf_files_pump(it.files), SHEAF_OK);
  for (int i = 0; i < COUNT; i++)
    assert_int_equal(class_of_next_row(engine), SHEAF_CLASS_UNKNOWN_OUTCOME);
  assert_int_equal(class_of_next_row(engine), SHEAF_CLASS_NONE);
  assert_int_equal(store->scan(store->ctx), SHEAF_E_END); /* told already */
  sheaf_engine_free(engine);
  bench_close(&it);
}

static void earlier_records_go_to_the_engine_that_asks(void **state) {
  (void)state;
  earlier_records_go_to_the_engine(true);
}

/* The first step would ask and then wait; a driver that pumps before it has nothing to wait for. */
static void earlier_records_go_to_the_engine_before_it_asks(void **state) {
  (void)state;
  earlier_records_go_to_the_engine(false);
}

static void a_torn_log_is_cut_at_every_byte(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  append_range(&it, SHEAF_RECORD_RANGE, 0, 0);
  size_t before;
  free(read_text("out.sheaf", &before));
  append_range(&it, SHEAF_RECORD_RANGE, 1, 2);
  bench_close(&it);
  size_t bytes;
  char *whole = read_text("out.sheaf", &bytes);
  for (size_t cut = 0; cut <= bytes; cut++) {
    write_bytes("out.sheaf", whole, cut);
    bench_open(&it);
    it.count = 0;
    pull_all(&it);
    uint64_t unknown = cut == bytes ? 3 : cut >= before ? 1 : 0;
    assert_int_equal(report_of(&it).rows_unknown, unknown);
    bench_close(&it);
    records(); /* valid to its end */
  }
  char *longer = calloc(bytes + 5000, 1); /* what is torn may be longer than what follows it */
  assert_non_null(longer);
  memset(longer, 'x', bytes + 5000);
  memcpy(longer, whole, bytes);
  write_bytes("out.sheaf", longer, bytes + 5000);
  bench_open(&it);
  bench_close(&it);
  assert_string_equal(records(), "1:0-0 2:0-0 2:1-2 1:0-0 ");
  free(longer);
  free(whole);
}

static void a_log_without_its_output_speaks_of_nothing(void **state) {
  (void)state;
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  unlink("out");
  assert_int_equal(resume_and_finish(SHEAF_ORDER_INPUT), 3);
  assert_true(is_there("out.sheaf.bak"));
}

static void a_log_that_is_none_is_refused(void **state) {
  (void)state;
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  write_text("out.sheaf", "this is not a log at all, it only has the name of one and its length\n");
  bench it = the_bench("in.jsonl");
  int32_t status = try_open(&it);
  assert_true(status == SHEAF_E_CORRUPT || status == SHEAF_E_VERSION);
  assert_non_null(strstr(it.message, "out.sheaf"));
}

static void a_log_that_cannot_be_written_stops_the_run(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  append_range(&it, SHEAF_RECORD_RANGE, 0, 0);
  size_t bytes;
  free(read_text("out.sheaf", &bytes));
  limit_file_size((rlim_t)bytes + 5);
  const sheaf_store *store = sheaf_files_store(it.files);
  sheaf_record record = {.type = SHEAF_RECORD_RUN, .payload = SHEAF_LITERAL("{}")};
  assert_int_equal(store->append(store->ctx, 2, &record, 1), SHEAF_E_STORE);
  limit_file_size(RLIM_INFINITY);
  assert_non_null(strstr(sheaf_files_message(it.files), "nothing more is sent"));
  assert_int_equal(store->append(store->ctx, 3, &record, 1), SHEAF_E_STORE);
  bench_close(&it);
  assert_string_equal(records(), "1:0-0 2:0-0 ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(promises_are_on_disk_when_append_answers),
      CASE(spans_are_joined_and_taken_back),
      CASE(earlier_records_go_to_the_engine_that_asks),
      CASE(earlier_records_go_to_the_engine_before_it_asks),
      CASE(a_torn_log_is_cut_at_every_byte),
      CASE(a_log_without_its_output_speaks_of_nothing),
      CASE(a_log_that_is_none_is_refused),
      CASE(a_log_that_cannot_be_written_stops_the_run),
  };
  return cmocka_run_group_tests_name("files_log", tests, in_its_own_directory, leave);
}
