/* test_files_out.c: results to files and streams: order, full disks, the spool. */
#include "../support/files_bench.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- Lines out ---- */

static void results_end_in_input_order(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  finish_row(&it, 0, "1", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  assert_string_equal(summary("out"), "c=3 a=1");
  finish_row(&it, 1, "2", false);
  assert_true(is_there("out.sheaf"));
  write_text("out.tmp",
             "left by a crash, and longer than what comes now, so that a rest of it would show. "
             "{\"custom_id\":\"z\",\"response\":null,\"error\":{\"code\":\"x\"}}\n");
  finish(&it);
  assert_string_equal(summary("out"), "a=1 b!2 c=3");
  assert_int_equal(report_of(&it).lines_written, 3);
  assert_false(is_there("out.sheaf"));
  assert_false(is_there("out.tmp"));
  finish(&it); /* again does nothing */
  bench_close(&it);
  assert_string_equal(summary("out"), "a=1 b!2 c=3");
}

static void order_completion_leaves_lines_as_they_came(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  it.options.order = SHEAF_ORDER_COMPLETION;
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  finish_row(&it, 0, "1", true);
  finish_row(&it, 1, "2", true);
  finish(&it);
  bench_close(&it);
  assert_string_equal(summary("out"), "c=3 a=1 b=2");
}

/* Every 50th line is long, and a few are longer than a block. */
static size_t length_of(uint32_t index) {
  return index % 5000 == 7 ? 150000 : index % 50 == 0 ? 20000 : index % 97;
}

static void put_in_order(const uint32_t *order, uint32_t count) {
  FILE *file = fopen("in.txt", "wb");
  assert_non_null(file);
  for (uint32_t i = 0; i < count; i++) fprintf(file, "p%u\n", i);
  assert_int_equal(fclose(file), 0);
  bench it = the_bench("in.txt");
  bench_open(&it);
  const sheaf_source *source = sheaf_files_source(it.files);
  sheaf_request request;
  for (uint32_t i = 0; i < count; i++) {
    assert_int_equal(source->next(source->ctx, &request), SHEAF_OK);
  }
  assert_int_equal(source->next(source->ctx, &request), SHEAF_E_END);
  char *text = malloc(150001);
  assert_non_null(text);
  for (uint32_t i = 0; i < count; i++) {
    size_t length = length_of(order[i]);
    memset(text, 'a' + (int)(order[i] % 26), length);
    text[length] = '\0';
    sheaf_result result = result_of(&it, 0, text, true);
    char id[32];
    snprintf(id, sizeof id, "row-%u", order[i] + 1);
    result.custom_id = sheaf_slice_of(id);
    result.index = order[i];
    assert_int_equal(put(&it, &result), SHEAF_OK);
  }
  finish(&it);
  bench_close(&it);
  free(text);
  size_t bytes;
  char *all = read_text("out", &bytes);
  const char *at = all;
  for (uint32_t index = 0; index < count; index++) {
    const char *lf = strchr(at, '\n');
    assert_non_null(lf);
    static const char *const path = "sheaf.text";
    sheaf_slice value;
    sheaf_slice line = {at, (size_t)(lf - at)};
    sheaf_line_facts facts;
    assert_int_equal(sheaf_line_facts_read(line, &facts), SHEAF_OK);
    assert_int_equal(facts.index, index);
    assert_int_equal(sheaf_json_pick(line, &path, 1, &value, NULL, NULL), SHEAF_OK);
    assert_int_equal(sheaf_json_inside(value).bytes, length_of(index));
    at = lf + 1;
  }
  assert_int_equal(at - all, bytes);
  free(all);
}

/* More than any cache holds, with lines of very different lengths, shuffled. */
static void a_large_output_is_put_in_order(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static uint32_t order[COUNT];
  for (uint32_t i = 0; i < COUNT; i++) {
    order[i] = i * 1009 % COUNT; /* 1009 has no factor in common with 3000 */
  }
  put_in_order(order, COUNT);
}

/* A third without any order, so that blocks do not pay, then one in which they do again. */
static void an_output_in_no_order_is_put_in_order(void **state) {
  (void)state;
  enum { COUNT = 24000, WILD = 8000 };
  static uint32_t order[COUNT];
  uint32_t random = 1;
  for (uint32_t i = 0; i < COUNT; i++) {
    uint32_t other = i;
    random = random * 1664525u + 1013904223u; /* Numerical Recipes */
    if (i < WILD || i >= 2 * WILD) other = i / WILD * WILD + (random >> 8) % (i % WILD + 1);
    order[i] = order[other];
    order[other] = i;
  }
  put_in_order(order, COUNT);
}

static void rows_that_were_never_attempted_get_no_line(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 0, "1", true);
  sheaf_result result = result_of(&it, 1, "", false);
  result.attempted = false;
  result.error_class = SHEAF_CLASS_CANCELLED;
  assert_int_equal(put(&it, &result), SHEAF_OK);
  result = result_of(&it, 2, "", false);
  result.attempted = false;
  result.error_class = SHEAF_CLASS_INVALID_REQUEST;
  assert_int_equal(put(&it, &result), SHEAF_OK);
  finish(&it);
  bench_close(&it);
  assert_string_equal(summary("out"), "a=1 c!");
  assert_true(is_there("out.sheaf")); /* for the resume of b */
}

static void other_events_are_not_written(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  const sheaf_sink *sink = sheaf_files_sink(it.files);
  static const uint32_t kinds[] = {SHEAF_EVENT_DELTA, SHEAF_EVENT_DISCARD, SHEAF_EVENT_NOTICE};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    sheaf_event event = {.kind = kinds[i], .text = SHEAF_LITERAL("x")};
    assert_int_equal(sink->put(sink->ctx, &event), SHEAF_OK);
  }
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  bench_close(&it);
  assert_string_equal(summary("out"), "");
}

/* The disk fills up in the middle of a line, at every byte of it: what was finished is kept, the
 * file ends at a whole line, and with room again nothing is missing. */
static void a_full_disk_loses_no_result_and_leaves_no_torn_line(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  size_t first_bytes = 0;
  for (size_t room = 0; room < 3; room++) {
    remove_all();
    write_text("in.jsonl", three);
    bench it = the_bench("in.jsonl");
    bench_open(&it);
    pull_all(&it);
    finish_row(&it, 1, "2", true);
    assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
    free(read_text("out", &first_bytes));
    finish_row(&it, 0, "1", true);
    finish_row(&it, 2, "3", true);
    /* Room for: part of the next line; that line and one byte; two lines but for the last byte. */
    rlim_t bytes = (rlim_t)(room == 0   ? first_bytes + 10
                            : room == 1 ? 2 * first_bytes + 1
                                        : 3 * first_bytes - 1);
    limit_file_size(bytes);
    assert_int_equal(sheaf_files_flush(it.files), SHEAF_E_IO);
    limit_file_size(RLIM_INFINITY);
    assert_non_null(strstr(sheaf_files_message(it.files), "out: cannot be written"));
    assert_non_null(
        strstr(sheaf_files_message(it.files), room == 0 ? "2 finished lines" : "1 finished lines"));
    assert_string_equal(summary("out"), room == 0 ? "b=2" : "b=2 a=1");
    finish(&it);
    bench_close(&it);
    assert_string_equal(summary("out"), "a=1 b=2 c=3");
  }
}

static void a_rewrite_that_fails_leaves_the_output_complete(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  finish_row(&it, 1, "2", true);
  finish_row(&it, 0, "1", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  limit_file_size(100);
  assert_int_equal(sheaf_files_finish(it.files, 1), SHEAF_E_IO);
  limit_file_size(RLIM_INFINITY);
  assert_non_null(
      strstr(sheaf_files_message(it.files), "all results are there, but not yet in order"));
  assert_false(is_there("out.tmp"));
  bench_close(&it);
  assert_string_equal(summary("out"), "c=3 b=2 a=1");
  it = the_bench("in.jsonl"); /* the same command again only puts it in order */
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(report_of(&it).rows_done_before, 3);
  finish(&it);
  bench_close(&it);
  assert_string_equal(summary("out"), "a=1 b=2 c=3");
}

static void a_device_that_is_full_answers_io(void **state) {
  (void)state;
  if (access("/dev/full", W_OK) != 0) skip();
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  it.options.output = "/dev/full";
  it.options.order = SHEAF_ORDER_COMPLETION;
  bench_open(&it);
  assert_null(sheaf_files_store(it.files));
  pull_all(&it);
  finish_row(&it, 0, "1", true);
  finish_row(&it, 1, "2", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_E_IO);
  assert_non_null(strstr(sheaf_files_message(it.files), "2 finished lines wait in memory"));
  assert_int_equal(sheaf_files_finish(it.files, 0), SHEAF_E_IO);
  bench_close(&it);
}

/* What was in flight still ends after a failed write, and is kept without asking the disk each
 * time. */
static void results_after_a_failed_write_are_kept_as_well(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  char *text = calloc(300001, 1);
  assert_non_null(text);
  memset(text, 'x', 300000);
  limit_file_size(100);
  sheaf_result result = result_of(&it, 0, text, true);
  assert_int_equal(put(&it, &result), SHEAF_E_IO);
  finish_row(&it, 1, text, true);
  finish_row(&it, 2, "3", true);
  limit_file_size(RLIM_INFINITY);
  free(text);
  finish(&it);
  bench_close(&it);
  size_t bytes;
  char *all = read_text("out", &bytes);
  assert_true(bytes > 600000);
  assert_non_null(strstr(all, "\"custom_id\":\"c\""));
  free(all);
}

static void large_batches_are_written_before_the_flush(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  size_t length = 300000;
  char *text = malloc(length + 1);
  assert_non_null(text);
  memset(text, 'x', length);
  text[length] = '\0';
  finish_row(&it, 0, text, true);
  free(text);
  size_t bytes;
  free(read_text("out", &bytes));
  assert_true(bytes > length);
  bench_close(&it);
}

/* ---- Streams ---- */

static int open_fifo(void) {
  assert_int_equal(mkfifo("fifo", 0600), 0);
  int fd = open("fifo", O_RDWR | O_NONBLOCK);
  assert_true(fd >= 0);
  return fd;
}

/* What has come out so far, as summary. */
static const char *drain(int fd) {
  static char bytes[1 << 16];
  ssize_t got = read(fd, bytes, sizeof bytes);
  write_bytes("in2.jsonl", bytes, got > 0 ? (size_t)got : 0);
  return summary("in2.jsonl");
}

static void a_stream_in_input_order_waits_for_earlier_rows(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  int fd = open_fifo();
  bench it = the_bench("in.jsonl");
  it.options.output = "fifo";
  bench_open(&it);
  assert_null(sheaf_files_store(it.files));
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  assert_string_equal(drain(fd), "");
  finish_row(&it, 0, "1", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  assert_string_equal(drain(fd), "a=1");
  sheaf_result result = result_of(&it, 1, "", false); /* no line, but no waiting for it either */
  result.attempted = false;
  result.error_class = SHEAF_CLASS_CANCELLED;
  assert_int_equal(put(&it, &result), SHEAF_OK);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  assert_string_equal(drain(fd), "c=3");
  finish(&it);
  bench_close(&it);
  close(fd);
}

static void a_stream_that_ends_early_gives_what_it_has(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  int fd = open_fifo();
  bench it = the_bench("in.jsonl");
  it.options.output = "fifo";
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  finish_row(&it, 1, "2", true);
  assert_int_equal(sheaf_files_finish(it.files, 0), SHEAF_OK);
  assert_string_equal(drain(fd), "b=2 c=3");
  bench_close(&it);
  close(fd);
}

static void a_stream_in_completion_order_waits_for_nothing(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  int fd = open_fifo();
  bench it = the_bench("in.jsonl");
  it.options.output = "fifo";
  it.options.order = SHEAF_ORDER_COMPLETION;
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  assert_string_equal(drain(fd), "c=3");
  bench_close(&it);
  close(fd);
}

/* Every permutation of six rows, with memory for none, one, and all of the waiting lines. */
static void the_spool_gives_back_what_it_took(void **state) {
  (void)state;
  static const size_t rooms[] = {1, 800, 1 << 20};
  write_text("in.txt", "0\n1\n2\n3\n4\n5\n");
  int fd = open_fifo();
  for (size_t room = 0; room < 3; room++) {
    for (int permutation = 0; permutation < 720; permutation++) {
      bench it = the_bench("in.txt");
      it.options.output = "fifo";
      bench_open(&it);
      it.files->spool.memory_max = rooms[room];
      pull_all(&it);
      assert_int_equal(it.count, 6);
      bool used[6] = {false};
      int rest = permutation;
      for (int left = 6; left > 0; left--) {
        int pick = rest % left;
        rest /= left;
        uint32_t index = 0;
        while (used[index] || pick-- > 0) index++;
        used[index] = true;
        finish_row(&it, index, it.rows[index].prompt, true);
      }
      assert_int_equal(it.files->spool.waiting, 0);
      finish(&it);
      bench_close(&it);
      assert_string_equal(drain(fd), "row-1=0 row-2=1 row-3=2 row-4=3 row-5=4 row-6=5");
    }
  }
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(results_end_in_input_order),
      CASE(order_completion_leaves_lines_as_they_came),
      CASE(a_large_output_is_put_in_order),
      CASE(an_output_in_no_order_is_put_in_order),
      CASE(rows_that_were_never_attempted_get_no_line),
      CASE(other_events_are_not_written),
      CASE(a_full_disk_loses_no_result_and_leaves_no_torn_line),
      CASE(a_rewrite_that_fails_leaves_the_output_complete),
      CASE(a_device_that_is_full_answers_io),
      CASE(results_after_a_failed_write_are_kept_as_well),
      CASE(large_batches_are_written_before_the_flush),
      CASE(a_stream_in_input_order_waits_for_earlier_rows),
      CASE(a_stream_that_ends_early_gives_what_it_has),
      CASE(a_stream_in_completion_order_waits_for_nothing),
      CASE(the_spool_gives_back_what_it_took),
  };
  return cmocka_run_group_tests_name("files_out", tests, in_its_own_directory, leave);
}
