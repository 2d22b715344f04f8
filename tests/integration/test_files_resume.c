/* test_files_resume.c: what an earlier run left: resumed after a cut at any byte, or refused. */
#include "../support/files_bench.h"

#include <sys/stat.h>

/* ---- Resume ---- */

static void a_resume_goes_on_after_a_cut_at_every_byte(void **state) {
  (void)state;
  size_t bytes;
  char *whole = run_and_die(&bytes, SHEAF_ORDER_INPUT);
  size_t first = (size_t)(strchr(whole, '\n') - whole) + 1;
  for (size_t cut = 0; cut <= bytes; cut++) {
    free(run_and_die(&bytes, SHEAF_ORDER_INPUT));
    assert_int_equal(truncate("out", (off_t)cut), 0);
    bool has_c = cut >= first - 1; /* a line that lacks no more than its LF is whole */
    bool has_a = cut >= bytes - 1;
    uint32_t ran = resume_and_finish(SHEAF_ORDER_INPUT);
    assert_int_equal(ran, 3 - has_c - has_a);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a=%s b=again c=%s", has_a ? "1" : "again",
             has_c ? "3" : "again");
    assert_string_equal(summary("out"), wanted);
    assert_false(is_there("out.sheaf"));
  }
  free(whole);
}

static void a_cut_in_completion_order_keeps_that_order(void **state) {
  (void)state;
  size_t bytes;
  free(run_and_die(&bytes, SHEAF_ORDER_COMPLETION));
  assert_int_equal(truncate("out", (off_t)(bytes - 2)), 0);
  assert_int_equal(resume_and_finish(SHEAF_ORDER_COMPLETION), 2);
  assert_string_equal(summary("out"), "c=3 b=again a=again");
}

static void torn_bytes_are_counted_and_an_lf_is_given_back(void **state) {
  (void)state;
  size_t bytes;
  char *whole = run_and_die(&bytes, SHEAF_ORDER_INPUT);
  size_t first = (size_t)(strchr(whole, '\n') - whole) + 1;
  assert_int_equal(truncate("out", (off_t)(first + 17)), 0);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  assert_int_equal(report_of(&it).torn_bytes, 17);
  bench_close(&it);
  assert_string_equal(summary("out"), "c=3");
  write_bytes("out", whole, bytes - 1);
  bench_open(&it);
  assert_int_equal(report_of(&it).torn_bytes, 0);
  bench_close(&it);
  assert_string_equal(summary("out"), "c=3 a=1");
  free(whole);
}

static void a_finished_run_again_does_nothing(void **state) {
  (void)state;
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  assert_int_equal(resume_and_finish(SHEAF_ORDER_INPUT), 1);
  char *before = read_text("out", NULL);
  assert_int_equal(resume_and_finish(SHEAF_ORDER_INPUT), 0);
  char *after = read_text("out", NULL);
  assert_string_equal(before, after);
  assert_false(is_there("out.sheaf"));
  free(before);
  free(after);
}

static void an_input_that_was_mended_or_grew_is_resumed(void **state) {
  (void)state;
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  write_text("in.jsonl",
             "{\"custom_id\":\"new\",\"prompt\":\"0\"}\n{\"custom_id\":\"a\",\"prompt\":\"one\"}\n"
             "{\"custom_id\":\"b\",\"prompt\":\"changed before it "
             "ran\"}\n{\"custom_id\":\"c\",\"prompt\":\"three\"}\n");
  assert_int_equal(resume_and_finish(SHEAF_ORDER_INPUT), 2);
  assert_string_equal(summary("out"), "new=again a=1 b=again c=3");
}

/* Rows a, b failed and c went well; then both run again, b with success. */
static void retry_failed(uint32_t order, const char *wanted) {
  remove_all();
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  it.options.order = order;
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 1, "", false);
  finish_row(&it, 0, "", false);
  finish_row(&it, 2, "3", true);
  finish(&it);
  bench_close(&it);
  it = the_bench("in.jsonl"); /* without retry_failed a failure is done, too */
  it.options.order = order;
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(report_of(&it).rows_done_before, 3);
  finish(&it);
  bench_close(&it);
  it = the_bench("in.jsonl");
  it.options.order = order;
  it.options.retry_failed = 1;
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.rows[0].admitted, SHEAF_OK);
  assert_int_equal(it.rows[1].admitted, SHEAF_OK);
  assert_int_equal(it.rows[2].admitted, SHEAF_E_END);
  assert_int_equal(report_of(&it).rows_unknown, 0);
  finish_row(&it, 1, "2", true);
  finish_row(&it, 0, "", false);
  finish(&it);
  bench_close(&it);
  assert_string_equal(summary("out"), wanted);
  assert_false(is_there("out.sheaf"));
}

static void failures_that_run_again_are_replaced_by_successes(void **state) {
  (void)state;
  retry_failed(SHEAF_ORDER_INPUT, "a! b=2 c=3");
  retry_failed(SHEAF_ORDER_COMPLETION, "a! c=3 b=2");
}

static void a_replaced_line_left_by_a_crash_is_removed_later(void **state) {
  (void)state;
  static const uint32_t orders[] = {SHEAF_ORDER_INPUT, SHEAF_ORDER_COMPLETION};
  for (size_t i = 0; i < 2; i++) {
    remove_all();
    write_text("in.jsonl", three);
    bench it = the_bench("in.jsonl");
    bench_open(&it);
    pull_all(&it);
    finish_row(&it, 1, "", false);
    finish_row(&it, 0, "1", true);
    assert_int_equal(sheaf_files_finish(it.files, 0), SHEAF_OK);
    bench_close(&it);
    it = the_bench("in.jsonl");
    it.options.retry_failed = 1;
    bench_open(&it);
    pull_all(&it);
    finish_row(&it, 1, "2", true);
    assert_int_equal(sheaf_files_finish(it.files, 0), SHEAF_OK); /* died before the end */
    bench_close(&it);
    assert_string_equal(summary("out"), "b! a=1 b=2");
    assert_int_equal(resume_and_finish(orders[i]), 1);
    assert_string_equal(summary("out"), i == 0 ? "a=1 b=2 c=again" : "a=1 b=2 c=again");
  }
}

static void lines_of_no_row_are_kept_behind_the_others(void **state) {
  (void)state;
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  bench it = the_bench("in.jsonl");
  it.options.limit = 2;
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 1, "2", true);
  finish(&it);
  bench_close(&it);
  assert_string_equal(summary("out"), "a=1 b=2 c=3");
  assert_int_equal(resume_and_finish(SHEAF_ORDER_INPUT), 0);
}

/* A row that could not be built gets a line with the fingerprint 0. */
static void refuse(bench *it, uint32_t index) {
  const sheaf_source *source = sheaf_files_source(it->files);
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_parse_error error = {.status = SHEAF_E_FIELD, .message = "mend it"};
  assert_int_equal(source->next(source->ctx, &request), SHEAF_OK);
  copy_slice(it->rows[index].id, sizeof it->rows[index].id, request.custom_id);
  it->rows[index].line = request.line;
  assert_int_equal(source->refused(source->ctx, index, &request, &error), SHEAF_OK);
  it->count++;
  sheaf_result result = result_of(it, index, "", false);
  result.attempted = false;
  result.error_class = SHEAF_CLASS_INVALID_REQUEST;
  assert_int_equal(put(it, &result), SHEAF_OK);
}

static void a_refused_row_has_one_line_until_it_is_mended(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  for (int i = 0; i < 2; i++) { /* refused again by a second run */
    bench it = the_bench("in.jsonl");
    bench_open(&it);
    refuse(&it, 0);
    pull_all(&it);
    if (i == 0) finish_row(&it, 1, "2", true);
    if (i == 0) finish_row(&it, 2, "3", true);
    finish(&it);
    bench_close(&it);
    assert_string_equal(summary("out"), "a! b=2 c=3");
  }
  for (int ok = 0; ok < 2;
       ok++) { /* it can be built now: whatever comes of it replaces the refusal */
    char *before = read_text("out", NULL);
    bench it = the_bench("in.jsonl");
    bench_open(&it);
    pull_all(&it);
    assert_int_equal(it.rows[0].admitted, SHEAF_OK);
    assert_int_equal(it.rows[1].admitted, SHEAF_E_END);
    finish_row(&it, 0, "1", ok != 0);
    finish(&it);
    bench_close(&it);
    assert_string_equal(summary("out"), ok != 0 ? "a=1 b=2 c=3" : "a!1 b=2 c=3");
    if (ok == 0) write_text("out", before);
    free(before);
  }
}

static void a_refusal_left_by_a_crash_is_removed_later(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  refuse(&it, 0);
  pull_all(&it);
  finish_row(&it, 1, "2", true);
  bench_close(&it);
  it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 0, "1", true);
  bench_close(&it);
  assert_string_equal(summary("out"), "a! b=2 a=1");
  assert_int_equal(resume_and_finish(SHEAF_ORDER_INPUT), 1);
  assert_string_equal(summary("out"), "a=1 b=2 c=again");
}

/* ---- Other runs ---- */

static void a_row_with_other_content_is_refused(void **state) {
  (void)state;
  size_t bytes;
  char *before = run_and_die(&bytes, SHEAF_ORDER_INPUT);
  write_text("in.jsonl", "{\"custom_id\":\"a\",\"prompt\":\"something else\"}\n");
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_OTHER_RUN);
  assert_non_null(strstr(sheaf_files_message(it.files),
                         "out holds results of other requests: custom_id \"a\""));
  assert_null(strstr(sheaf_files_message(it.files), "something else"));
  bench_close(&it);
  char *after = read_text("out", NULL);
  assert_string_equal(before, after);
  free(before);
  free(after);
}

static void a_file_of_another_kind_is_never_touched(void **state) {
  (void)state;
  static const char *const cases[] = {
      "dear diary",
      "dear diary\n",
      "{\"a\":1}\n{\"a\":2}\n",
      "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{}},\"error\":null}\n",
      "\n\n7\n",
  };
  write_text("in.jsonl", three);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_text("out", cases[i]);
    bench it = the_bench("in.jsonl");
    assert_int_equal(try_open(&it), SHEAF_E_OTHER_RUN);
    assert_non_null(strstr(it.message, "is no result of sheaf; use another -o, or --no-resume"));
    char *after = read_text("out", NULL);
    assert_string_equal(after, cases[i]);
    free(after);
    assert_false(is_there("out.sheaf"));
  }
}

static void a_damaged_line_in_the_middle_is_reported(void **state) {
  (void)state;
  size_t bytes;
  char *whole = run_and_die(&bytes, SHEAF_ORDER_INPUT);
  char *second = strchr(whole, '\n') + 1;
  second[0] = '\0';
  write_bytes("out", whole, bytes);
  bench it = the_bench("in.jsonl");
  assert_int_equal(try_open(&it), SHEAF_E_CORRUPT);
  assert_non_null(strstr(it.message, "out: line 2 is damaged"));
  free(whole);
}

static void the_output_of_another_input_is_refused(void **state) {
  (void)state;
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  write_text("in2.jsonl", "\"quite another\"\n");
  bench it = the_bench("in2.jsonl");
  assert_int_equal(try_open(&it), SHEAF_E_OTHER_RUN);
  assert_non_null(strstr(it.message, "out belongs to a run of another input"));
  write_text("in2.jsonl", three); /* the same content under another name is the same input */
  bench_open(&it);
  bench_close(&it);
}

static void two_runs_never_write_one_output(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench first = the_bench("in.jsonl");
  bench second = the_bench("in.jsonl");
  bench_open(&first);
  assert_int_equal(try_open(&second), SHEAF_E_OTHER_RUN);
  assert_non_null(strstr(second.message, "another run is writing it"));
  second.options.resume = SHEAF_RESUME_NEVER;
  assert_int_equal(try_open(&second), SHEAF_E_OTHER_RUN);
  pull_all(&first);
  finish_row(&first, 1, "2", true);
  finish_row(&first, 0, "1", true);
  finish_row(&first, 2, "3", true);
  finish(&first); /* renamed: the new file is locked as well */
  second.options.resume = SHEAF_RESUME_AUTO;
  assert_int_equal(try_open(&second), SHEAF_E_OTHER_RUN);
  bench_close(&first);
  bench_open(&second);
  bench_close(&second);
}

static void no_resume_keeps_the_earlier_files(void **state) {
  (void)state;
  size_t bytes;
  char *before = run_and_die(&bytes, SHEAF_ORDER_INPUT);
  for (int i = 0; i < 2; i++) {
    bench it = the_bench("in.jsonl");
    it.options.resume = SHEAF_RESUME_NEVER;
    bench_open(&it);
    pull_all(&it);
    assert_int_equal(report_of(&it).rows_done_before, 0);
    finish_row(&it, 0, i == 0 ? "x" : "y", true);
    assert_int_equal(sheaf_files_finish(it.files, 0), SHEAF_OK);
    bench_close(&it);
  }
  char *kept = read_text("out.bak", NULL);
  assert_string_equal(kept, before);
  assert_true(is_there("out.bak.sheaf"));
  assert_string_equal(summary("out.bak.2"), "a=x");
  assert_string_equal(summary("out"), "a=y");
  free(kept);
  free(before);
}

static void a_resume_that_must_be_one_needs_something_to_resume(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  it.options.resume = SHEAF_RESUME_REQUIRED;
  assert_int_equal(try_open(&it), SHEAF_E_NOT_FOUND);
  assert_non_null(strstr(it.message, "there is nothing to resume"));
  free(run_and_die(&(size_t){0}, SHEAF_ORDER_INPUT));
  bench_open(&it);
  bench_close(&it);
}

static void an_output_behind_a_link_is_rewritten_where_it_is(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  write_text("real.out", "");
  assert_int_equal(symlink("real.out", "link"), 0);
  bench it = the_bench("in.jsonl");
  it.options.output = "link";
  bench_open(&it);
  pull_all(&it);
  for (uint32_t i = 3; i-- > 0;) finish_row(&it, i, "x", true);
  finish(&it);
  bench_close(&it);
  struct stat facts;
  assert_int_equal(lstat("link", &facts), 0);
  assert_true(S_ISLNK(facts.st_mode));
  assert_string_equal(summary("real.out"), "a=x b=x c=x");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_resume_goes_on_after_a_cut_at_every_byte),
      CASE(a_cut_in_completion_order_keeps_that_order),
      CASE(torn_bytes_are_counted_and_an_lf_is_given_back),
      CASE(a_finished_run_again_does_nothing),
      CASE(an_input_that_was_mended_or_grew_is_resumed),
      CASE(failures_that_run_again_are_replaced_by_successes),
      CASE(a_replaced_line_left_by_a_crash_is_removed_later),
      CASE(lines_of_no_row_are_kept_behind_the_others),
      CASE(a_refused_row_has_one_line_until_it_is_mended),
      CASE(a_refusal_left_by_a_crash_is_removed_later),
      CASE(a_row_with_other_content_is_refused),
      CASE(a_file_of_another_kind_is_never_touched),
      CASE(a_damaged_line_in_the_middle_is_reported),
      CASE(the_output_of_another_input_is_refused),
      CASE(two_runs_never_write_one_output),
      CASE(no_resume_keeps_the_earlier_files),
      CASE(a_resume_that_must_be_one_needs_something_to_resume),
      CASE(an_output_behind_a_link_is_rewritten_where_it_is),
  };
  return cmocka_run_group_tests_name("files_resume", tests, in_its_own_directory, leave);
}
