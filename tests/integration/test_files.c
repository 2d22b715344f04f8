/* test_files.c: rows from files: formats, templates, pipes, bad rows, ids. */
#include "../support/files_bench.h"

#include <fcntl.h>

/* ---- Rows in ---- */

static void jsonl_tolerates_bom_cr_blank_lines_and_a_missing_lf(void **state) {
  (void)state;
  write_text(
      "in.jsonl",
      "\xEF\xBB\xBF\"one\"\r\n\r\n \t\n{\"custom_id\":\"x\",\"prompt\":\"two\"}\n\n\"three\"");
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_END);
  assert_int_equal(it.count, 3);
  assert_string_equal(it.rows[0].prompt, "one");
  assert_int_equal(it.rows[0].line, 1);
  assert_string_equal(it.rows[1].prompt, "two");
  assert_string_equal(it.rows[1].id, "x");
  assert_int_equal(it.rows[1].line, 4);
  assert_string_equal(it.rows[2].prompt, "three");
  assert_int_equal(it.rows[2].line, 6);
  sheaf_files_report report = report_of(&it);
  assert_int_equal(report.rows, 3);
  assert_int_equal(report.rows_total, 3);
  assert_int_equal(report.has_total, 1);
  bench_close(&it);
}

static void separators_of_other_standards_do_not_end_a_line(void **state) {
  (void)state;
  write_text("in.txt", "a\xE2\x80\xA8z\xC2\x85q\rr\nb\n");
  bench it = the_bench("in.txt");
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.count, 2);
  assert_string_equal(it.rows[0].prompt, "a\xE2\x80\xA8z\xC2\x85q\rr");
  bench_close(&it);
}

/* Lines around the size of the buffer, at many phases against it. */
static void lines_longer_than_the_buffer_arrive_whole(void **state) {
  (void)state;
  static const size_t lengths[] = {1, 524287, 524288, 524289, 3,     1500000,
                                   2, 262144, 262143, 7,      900000};
  size_t count = sizeof lengths / sizeof *lengths;
  FILE *file = fopen("in.txt", "wb");
  assert_non_null(file);
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < lengths[i]; k++) fputc('a' + (int)(i + k) % 26, file);
    if (i + 1 < count) fputc('\n', file);
  }
  assert_int_equal(fclose(file), 0);
  bench it = the_bench("in.txt");
  bench_open(&it);
  const sheaf_source *source = sheaf_files_source(it.files);
  for (size_t i = 0; i < count; i++) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    assert_int_equal(source->next(source->ctx, &request), SHEAF_OK);
    assert_int_equal(request.prompt.bytes, lengths[i]);
    for (size_t k = 0; k < lengths[i]; k++) {
      if (request.prompt.data[k] != 'a' + (int)(i + k) % 26) fail_msg("byte %zu of line %zu", k, i);
    }
  }
  sheaf_request request = SHEAF_REQUEST_INIT;
  assert_int_equal(source->next(source->ctx, &request), SHEAF_E_END);
  bench_close(&it);
}

static void text_fills_the_template(void **state) {
  (void)state;
  write_text("in.txt", "cat\r\n\ndog {line}\n");
  bench it = the_bench("in.txt");
  it.options.template_text = "{{\"say\"}}: {line}, {line}!";
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.count, 2);
  assert_string_equal(it.rows[0].prompt, "{\"say\"}: cat, cat!");
  assert_string_equal(it.rows[1].prompt, "{\"say\"}: dog {line}, dog {line}!");
  assert_int_equal(it.rows[1].line, 3);
  bench_close(&it);
}

static void csv_fills_the_template_by_column(void **state) {
  (void)state;
  write_text("in.csv",
             "\xEF\xBB\xBF"
             "custom_id,city, question ,unused\r\n"
             "p1,Paris,\"What, exactly,\r\nis \"\"there\"\"?\",x\r\n"
             "\r\n"
             "p2,\"\",why,\"{city}\"\r\n"
             ",Rome,\"\",y");
  bench it = the_bench("in.csv");
  it.options.template_text = "{question} ({city})";
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_END);
  assert_int_equal(it.count, 3);
  assert_string_equal(it.rows[0].id, "p1");
  assert_string_equal(it.rows[0].prompt, "What, exactly,\r\nis \"there\"? (Paris)");
  assert_int_equal(it.rows[0].line, 2);
  assert_string_equal(it.rows[1].prompt, "why ()");
  assert_int_equal(it.rows[1].line, 5);
  assert_string_equal(it.rows[2].id, "");
  assert_string_equal(it.rows[2].prompt, " (Rome)");
  assert_int_equal(it.rows[2].line, 6);
  bench_close(&it);
}

static void csv_without_a_template_takes_prompt_or_text(void **state) {
  (void)state;
  static const struct {
    const char *csv;
    const char *prompt;
  } cases[] = {
      {"a,prompt,text\n1,p,t\n", "p"}, {"text,a\nt,1\n", "t"}, {"prompt\n\"x\ny\"\n", "x\ny"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_text("in.csv", cases[i].csv);
    bench it = the_bench("in.csv");
    it.options.resume = SHEAF_RESUME_NEVER;
    bench_open(&it);
    pull_all(&it);
    assert_int_equal(it.count, 1);
    assert_string_equal(it.rows[0].prompt, cases[i].prompt);
    bench_close(&it);
  }
}

static void the_limit_ends_the_input(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  it.options.limit = 2;
  bench_open(&it);
  assert_int_equal(pull_one(&it), SHEAF_OK);
  assert_int_equal(report_of(&it).rows_total, 2); /* estimated 3, but no more than the limit */
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_END);
  assert_int_equal(it.count, 2);
  assert_int_equal(report_of(&it).rows_total, 2);
  assert_int_equal(report_of(&it).has_total, 1);
  bench_close(&it);
}

static void the_number_of_rows_is_estimated_from_bytes(void **state) {
  (void)state;
  char text[8001];
  for (int i = 0; i < 1000; i++) memcpy(text + 8 * i, "\"12345\"\n", 8);
  text[8000] = '\0';
  write_text("in.jsonl", text);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  assert_true(report_of(&it).rows_total == SHEAF_NEVER);
  assert_int_equal(pull_one(&it), SHEAF_OK);
  uint64_t total = report_of(&it).rows_total;
  assert_in_range(total, 850, 1000); /* lengths are rounded up, so a little less */
  assert_int_equal(report_of(&it).has_total, 0);
  bench_close(&it);
}

static void write_all(int fd, const char *text) {
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void a_pipe_that_has_nothing_is_asked_again_later(void **state) {
  (void)state;
  int ends[2];
  int kept = dup(STDIN_FILENO);
  assert_int_equal(pipe(ends), 0);
  assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
  close(ends[0]);
  bench it = the_bench("-");
  bench_open(&it);
  assert_int_equal(sheaf_files_input_fd(it.files), STDIN_FILENO);
  assert_int_equal(pull_one(&it), SHEAF_E_LATER);
  write_all(ends[1], "\"on");
  assert_int_equal(pull_one(&it), SHEAF_E_LATER);
  write_all(ends[1], "e\"\n{\"prompt\":\"two\"}\n\"th");
  assert_int_equal(pull_one(&it), SHEAF_OK);
  assert_int_equal(pull_one(&it), SHEAF_OK);
  assert_int_equal(pull_one(&it), SHEAF_E_LATER);
  assert_true(report_of(&it).rows_total == SHEAF_NEVER);
  write_all(ends[1], "ree\"");
  assert_int_equal(pull_one(&it), SHEAF_E_LATER);
  close(ends[1]);
  assert_int_equal(pull_one(&it), SHEAF_OK);
  assert_int_equal(pull_one(&it), SHEAF_E_END);
  assert_int_equal(it.count, 3);
  assert_string_equal(it.rows[0].prompt, "one");
  assert_string_equal(it.rows[1].prompt, "two");
  assert_string_equal(it.rows[2].prompt, "three");
  assert_int_equal(report_of(&it).rows_total, 3);
  assert_int_equal(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
  bench_close(&it);
  dup2(kept, STDIN_FILENO);
  close(kept);
}

static void csv_on_a_pipe_goes_on_inside_of_a_record(void **state) {
  (void)state;
  int ends[2];
  int kept = dup(STDIN_FILENO);
  assert_int_equal(pipe(ends), 0);
  assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
  close(ends[0]);
  bench it = the_bench("-");
  it.options.format = SHEAF_FORMAT_CSV;
  bench_open(&it);
  static const char *const pieces[] = {"custom_id,pro", "mpt\n", "a,\"one\nand ", "a half\n",
                                       "\"\nb,two"};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    assert_int_equal(pull_one(&it), SHEAF_E_LATER);
    write_all(ends[1], pieces[i]);
  }
  assert_int_equal(pull_one(&it), SHEAF_OK);
  assert_int_equal(pull_one(&it), SHEAF_E_LATER);
  close(ends[1]);
  assert_int_equal(pull_one(&it), SHEAF_OK);
  assert_int_equal(pull_one(&it), SHEAF_E_END);
  assert_string_equal(it.rows[0].prompt, "one\nand a half\n");
  assert_string_equal(it.rows[1].prompt, "two");
  assert_int_equal(it.rows[1].line, 5);
  bench_close(&it);
  dup2(kept, STDIN_FILENO);
  close(kept);
}

static void regular_files_need_no_waiting(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  bench_open(&it);
  assert_int_equal(sheaf_files_input_fd(it.files), -1);
  bench_close(&it);
}

/* ---- Bad rows ---- */

static void expect_bad(const char *name, const char *text, const char *template_text,
                       int32_t status, const char *part) {
  write_text(name, text);
  bench it = the_bench(name);
  it.options.output = NULL;
  it.options.template_text = template_text;
  int32_t got = try_open(&it);
  const char *said = it.message;
  if (got == SHEAF_OK) {
    pull_all(&it);
    got = it.ended;
    said = sheaf_files_message(it.files);
  }
  if (got != status || strstr(said, part) == NULL) {
    print_error("%s: %s, not %s: \"%s\" has no \"%s\"\n", text, sheaf_status_name(got),
                sheaf_status_name(status), said, part);
  }
  assert_int_equal(got, status);
  assert_non_null(strstr(said, part));
  bench_close(&it);
}

static void bad_rows_are_named_by_line_and_column(void **state) {
  (void)state;
  static const struct {
    const char *name;
    const char *text;
    const char *template_text;
    int32_t status;
    const char *part;
  } cases[] = {
      {"in.jsonl", "\"a\"\n\n{\"prompt\":\"x\",}\n", NULL, SHEAF_E_SYNTAX, "in.jsonl:3:"},
      {"in.jsonl", "\"a\"\n{\"prompt\":\"x\"\n", NULL, SHEAF_E_SYNTAX, "in.jsonl:2:"},
      {"in.jsonl", "{\"prompt\":7}\n", NULL, SHEAF_E_TYPE,
       "in.jsonl:1:11: a field has the wrong type: \"prompt\""},
      {"in.jsonl", "{\"x\":7}\n", NULL, SHEAF_E_FIELD, "in.jsonl:1"},
      {"in.jsonl", "\"a\xFF\"\n", NULL, SHEAF_E_UTF8, "in.jsonl:1"},
      {"in.jsonl", "\"a\"\n", "{line}", SHEAF_E_FIELD, "a template goes with text and csv"},
      {"in.txt", "abcdefghijk\nabcdefghij\xC0\xAFk\n", NULL, SHEAF_E_UTF8,
       "in.txt:2:11: not valid UTF-8"},
      {"in.txt", "\xED\xA0\x80\n", NULL, SHEAF_E_UTF8, "in.txt:1:1:"},
      {"in.txt", "\xF4\x90\x80\x80\n", NULL, SHEAF_E_UTF8, "in.txt:1:1:"},
      {"in.txt", "ab\xE2\x82", NULL, SHEAF_E_UTF8, "in.txt:1:3:"},
      {"in.txt", "a\n", "{lines}", SHEAF_E_FIELD, "the template names {lines}"},
      {"in.txt", "a\n", "{line", SHEAF_E_SYNTAX, "template, byte 1: {"},
      {"in.txt", "a\n", "x{}", SHEAF_E_SYNTAX, "template, byte 2: {"},
      {"in.txt", "a\n", "{a{b}}", SHEAF_E_SYNTAX, "template, byte 1: {"},
      {"in.txt", "a\n", "{line} }", SHEAF_E_SYNTAX, "template, byte 8: }"},
      {"in.txt", "", NULL, SHEAF_E_END, "the input is empty"},
      {"in.txt", "\n \r\n\n", NULL, SHEAF_E_END, "the input is empty"},
      {"in.csv", "prompt\n", NULL, SHEAF_E_END, "the input is empty"},
      {"in.csv", "a,b\n1,2\n", NULL, SHEAF_E_FIELD,
       "in.csv:1: no column is named \"prompt\" or \"text\""},
      {"in.csv", "a,b\n1,2\n", "{c}", SHEAF_E_FIELD,
       "in.csv:1: the template names {c}, and there is no such column; there is: a, b"},
      {"in.csv", "a,prompt,a\n1,2,3\n", NULL, SHEAF_E_FIELD,
       "in.csv:1: two columns are named \"a\""},
      {"in.csv", "prompt,a\nx,1\ny\n", NULL, SHEAF_E_FIELD,
       "in.csv:3: 1 fields where the header has 2"},
      {"in.csv", "prompt,a\nx,1,2\n", NULL, SHEAF_E_FIELD,
       "in.csv:2: 3 fields where the header has 2"},
      {"in.csv", "prompt\n\"x\ny\"\nz \"q\" z\n", NULL, SHEAF_E_SYNTAX, "in.csv:4: not valid CSV"},
      {"in.csv", "prompt\nx\n\"never\nclosed\n", NULL, SHEAF_E_SYNTAX,
       "in.csv:3: not valid CSV: a quote opened in this record is never closed"},
      {"in.csv", "prompt,a\n,1\n", NULL, SHEAF_E_FIELD, "in.csv:2: the prompt is empty"},
      {"in.csv", "prompt\nx\n\"y\n\xFF\"\n", NULL, SHEAF_E_UTF8, "in.csv:3: not valid UTF-8"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    expect_bad(cases[i].name, cases[i].text, cases[i].template_text, cases[i].status,
               cases[i].part);
  }
}

static void what_cannot_be_opened_is_named_with_a_remedy(void **state) {
  (void)state;
  bench it = the_bench("missing.jsonl");
  assert_int_equal(try_open(&it), SHEAF_E_IO);
  assert_non_null(strstr(it.message, "missing.jsonl: cannot be opened"));
  it = the_bench(".");
  assert_int_equal(try_open(&it), SHEAF_E_IO);
  assert_non_null(strstr(it.message, "is a directory"));
  it = the_bench(NULL);
  assert_int_equal(try_open(&it), SHEAF_E_MISUSE);
  write_text("in.jsonl", three);
  it = the_bench("in.jsonl");
  it.options.output = "no-such-directory/out";
  assert_int_equal(try_open(&it), SHEAF_E_IO);
  assert_non_null(strstr(it.message, "no-such-directory/out"));
  it.options.output = "in.jsonl";
  assert_int_equal(try_open(&it), SHEAF_E_IO);
  assert_non_null(strstr(it.message, "is the input as well"));
  it.options.output = "link";
  assert_int_equal(symlink("in.jsonl", "link"), 0);
  assert_int_equal(try_open(&it), SHEAF_E_IO);
  char *after = read_text("in.jsonl", NULL);
  assert_string_equal(after, three);
  free(after);
}

static void a_line_beyond_the_ceiling_is_refused(void **state) {
  (void)state;
  write_text("in.txt", "a\n");
  assert_int_equal(truncate("in.txt", (off_t)SHEAF_LINE_BYTES_MAX + 1000), 0);
  bench it = the_bench("in.txt");
  it.options.output = NULL;
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_LIMIT);
  assert_non_null(
      strstr(sheaf_files_message(it.files), "in.txt:2: the line is longer than 64 MiB"));
  bench_close(&it);
}

static uint32_t told_count;
static char told_last[1024];

static void on_bad_line(void *user, const char *sentence) {
  assert_ptr_equal(user, &told_count);
  told_count++;
  snprintf(told_last, sizeof told_last, "%s", sentence);
}

static void a_dry_run_reports_every_bad_line_and_goes_on(void **state) {
  (void)state;
  write_text("in.jsonl",
             "\"a\"\n{bad\n{\"custom_id\":\"x\",\"prompt\":\"b\"}\n{\"custom_id\":\"x\",\"prompt\":"
             "\"c\"}\n\"d\"\n7\n");
  bench it = the_bench("in.jsonl");
  it.options.output = NULL;
  it.options.scan_all = 1;
  it.options.on_bad_line = on_bad_line;
  it.options.user = &told_count;
  told_count = 0;
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_END);
  assert_int_equal(it.count, 3);
  assert_int_equal(told_count, 3);
  assert_int_equal(report_of(&it).bad_lines, 3);
  assert_non_null(strstr(told_last, "in.jsonl:6:1:"));
  bench_close(&it);

  write_text("in.csv", "prompt\na\nb \"x\"\nc,d\ne\n");
  it = the_bench("in.csv");
  it.options.output = NULL;
  it.options.scan_all = 1;
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_END);
  assert_int_equal(it.count, 2);
  assert_string_equal(it.rows[1].prompt, "e");
  assert_int_equal(report_of(&it).bad_lines, 2);
  assert_false(is_there("out"));
  bench_close(&it);
}

/* ---- Ids ---- */

static void an_id_used_twice_names_both_lines(void **state) {
  (void)state;
  static const struct {
    const char *name;
    const char *text;
    const char *part;
  } cases[] = {
      {"in.jsonl",
       "\n{\"custom_id\":\"a\",\"prompt\":\"1\"}\n\"2\"\n{\"custom_id\":\"\\u0061\",\"prompt\":"
       "\"3\"}\n",
       "line 4: custom_id \"a\" was used before on line 2; give each line its own"},
      /* generated first, given later */
      {"in.jsonl",
       "{\"custom_id\":\"a\",\"prompt\":\"1\"}\n\n\"2\"\n\"3\"\n{\"custom_id\":\"row-2\","
       "\"prompt\":\"4\"}\n",
       "line 5: custom_id \"row-2\" was used before on line 3;"},
      {"in.jsonl", "\"1\"\n\"2\"\n{\"custom_id\":\"row-1\",\"prompt\":\"3\"}\n",
       "line 3: custom_id \"row-1\" was used before on line 1;"},
      /* given first, generated later */
      {"in.jsonl", "{\"custom_id\":\"row-3\",\"prompt\":\"1\"}\n\"2\"\n\"3\"\n",
       "line 3: custom_id \"row-3\" was used before on line 1;"},
      {"in.jsonl",
       "\"1\"\n{\"custom_id\":\"row-4\",\"prompt\":\"2\"}\n{\"custom_id\":\"row-4\",\"prompt\":"
       "\"3\"}\n",
       "line 3: custom_id \"row-4\" was used before on line 2;"},
      {"in.csv", "custom_id,prompt\na,\"x\ny\"\nb,z\na,w\n",
       "line 5: custom_id \"a\" was used before on line 2;"},
      {"in.csv", "custom_id,prompt\n,\"x\ny\"\nb,z\nrow-1,w\n",
       "line 5: custom_id \"row-1\" was used before on line 2;"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    expect_bad(cases[i].name, cases[i].text, NULL, SHEAF_E_DUPLICATE, cases[i].part);
  }
}

static void ids_that_look_generated_may_name_their_own_row_or_one_with_an_id(void **state) {
  (void)state;
  static const char *const cases[] = {
      "{\"custom_id\":\"row-1\",\"prompt\":\"1\"}\n{\"custom_id\":\"row-2\",\"prompt\":\"2\"}"
      "\n\"3\"\n",
      /* numbered from 0: each names the row before it, which has its own */
      "{\"custom_id\":\"row-0\",\"prompt\":\"1\"}\n{\"custom_id\":\"row-1\",\"prompt\":\"2\"}\n"
      "{\"custom_id\":\"row-2\",\"prompt\":\"3\"}\n",
      "{\"custom_id\":\"row-2\",\"prompt\":\"1\"}\n{\"custom_id\":\"row-1\",\"prompt\":\"2\"}"
      "\n\"3\"\n",
      "\"1\"\n{\"custom_id\":\"row-01\",\"prompt\":\"2\"}\n{\"custom_id\":\"row-1x\",\"prompt\":"
      "\"3\"}\n",
      "\"1\"\n{\"custom_id\":\"x\",\"prompt\":\"2\"}\n{\"custom_id\":\"row-2\",\"prompt\":\"3\"}\n",
      "\"1\"\n{\"custom_id\":\"row-99999999999999999999\",\"prompt\":\"2\"}\n\"3\"\n"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_text("in.jsonl", cases[i]);
    bench it = the_bench("in.jsonl");
    it.options.output = NULL;
    bench_open(&it);
    pull_all(&it);
    if (it.ended != SHEAF_E_END) print_error("%zu: %s\n", i, sheaf_files_message(it.files));
    assert_int_equal(it.ended, SHEAF_E_END);
    assert_int_equal(it.count, 3);
    bench_close(&it);
  }
}

/* A pipe cannot be read again: the bits alone must know which rows brought an id. */
static void ids_on_a_pipe_are_checked_without_reading_again(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int32_t ended;
    const char *part;
  } cases[] = {
      {"\"1\"\n{\"custom_id\":\"x\",\"prompt\":\"2\"}\n{\"custom_id\":\"row-2\",\"prompt\":\"3\"}"
       "\n",
       SHEAF_E_END, ""},
      {"\"1\"\n{\"custom_id\":\"x\",\"prompt\":\"2\"}\n{\"custom_id\":\"row-1\",\"prompt\":\"3\"}"
       "\n",
       SHEAF_E_DUPLICATE,
       "stdin: line 3: custom_id \"row-1\" is what row 1, which has none, is called"},
      {"{\"custom_id\":\"x\",\"prompt\":\"2\"}\n\n{\"custom_id\":\"x\",\"prompt\":\"3\"}\n",
       SHEAF_E_DUPLICATE, "stdin: line 3: custom_id \"x\" was used before on line 1"}};
  int kept = dup(STDIN_FILENO);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
    close(ends[0]);
    write_all(ends[1], cases[i].text);
    close(ends[1]);
    bench it = the_bench("-");
    it.options.output = NULL;
    bench_open(&it);
    pull_all(&it);
    assert_int_equal(it.ended, cases[i].ended);
    assert_non_null(strstr(sheaf_files_message(it.files), cases[i].part));
    bench_close(&it);
  }
  dup2(kept, STDIN_FILENO);
  close(kept);
}

/* Marks are thinned out on the way, and a duplicate near the end of a long input still names the right line. */
static void a_duplicate_is_found_in_a_long_input(void **state) {
  (void)state;
  FILE *file = fopen("in.jsonl", "wb");
  assert_non_null(file);
  for (int i = 0; i < 20000; i++)
    fprintf(file, "{\"custom_id\":\"id-%d\",\"prompt\":\"p\"}\n%s", i, i % 3 ? "" : "\n");
  fprintf(file, "{\"custom_id\":\"id-7001\",\"prompt\":\"p\"}\n");
  assert_int_equal(fclose(file), 0);
  bench it = the_bench("in.jsonl");
  it.options.output = NULL;
  bench_open(&it);
  const sheaf_source *source = sheaf_files_source(it.files);
  sheaf_request request;
  int32_t status;
  while ((status = source->next(source->ctx, &request)) == SHEAF_OK) continue;
  assert_int_equal(status, SHEAF_E_DUPLICATE);
  /* Blank lines before row i (0-based): one for each multiple of 3 below i. */
  char part[128];
  snprintf(part, sizeof part, "line %d: custom_id \"id-7001\" was used before on line %d;",
           20000 + 6667 + 1, 7001 + (7001 + 2) / 3 + 1);
  if (strstr(sheaf_files_message(it.files), part) == NULL)
    print_error("%s\n", sheaf_files_message(it.files));
  assert_non_null(strstr(sheaf_files_message(it.files), part));
  assert_int_equal(source->next(source->ctx, &request), SHEAF_E_DUPLICATE); /* it stays so */
  bench_close(&it);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(jsonl_tolerates_bom_cr_blank_lines_and_a_missing_lf),
      CASE(separators_of_other_standards_do_not_end_a_line),
      CASE(lines_longer_than_the_buffer_arrive_whole),
      CASE(text_fills_the_template),
      CASE(csv_fills_the_template_by_column),
      CASE(csv_without_a_template_takes_prompt_or_text),
      CASE(the_limit_ends_the_input),
      CASE(the_number_of_rows_is_estimated_from_bytes),
      CASE(a_pipe_that_has_nothing_is_asked_again_later),
      CASE(csv_on_a_pipe_goes_on_inside_of_a_record),
      CASE(regular_files_need_no_waiting),
      CASE(bad_rows_are_named_by_line_and_column),
      CASE(what_cannot_be_opened_is_named_with_a_remedy),
      CASE(a_line_beyond_the_ceiling_is_refused),
      CASE(a_dry_run_reports_every_bad_line_and_goes_on),
      CASE(an_id_used_twice_names_both_lines),
      CASE(ids_that_look_generated_may_name_their_own_row_or_one_with_an_id),
      CASE(ids_on_a_pipe_are_checked_without_reading_again),
      CASE(a_duplicate_is_found_in_a_long_input),
  };
  return cmocka_run_group_tests_name("files", tests, in_its_own_directory, leave);
}
