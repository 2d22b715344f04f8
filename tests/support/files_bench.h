/* files_bench.h: files as source, sink and store, driven by hand on real files in a directory of their own.
 *
 * Rows are pulled and admitted with a fingerprint made of their content, as the engine would, and results are put in any
 * order. For cmocka; everything is static, so that a test program needs no more than this header. */
#ifndef FILES_BENCH_H
#define FILES_BENCH_H

#include "../../native/files/files_int.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- Files ---- */

static char bench_directory[512];

static inline void write_bytes(const char *name, const char *text, size_t bytes) {
  FILE *file = fopen(name, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text) {
  write_bytes(name, text, strlen(text));
}

/* The whole file, terminated; the caller frees. bytes may be NULL. */
static char *read_text(const char *name, size_t *bytes) {
  FILE *file = fopen(name, "rb");
  assert_non_null(file);
  size_t room = 1 << 16;
  size_t used = 0;
  char *text = malloc(room);
  assert_non_null(text);
  for (;;) {
    size_t got = fread(text + used, 1, room - used - 1, file);
    if (got == 0) break;
    used += got;
    if (room - used > 1) continue;
    room *= 2;
    text = realloc(text, room);
    assert_non_null(text);
  }
  fclose(file);
  text[used] = '\0';
  if (bytes != NULL) *bytes = used;
  return text;
}

static inline bool is_there(const char *name) {
  return access(name, F_OK) == 0;
}

static inline void remove_all(void) {
  static const char *const names[] = {
      "in.jsonl", "in.txt",          "in.csv",        "in2.jsonl",     "out",     "out.sheaf",
      "out.bak",  "out.bak.2",       "out.bak.sheaf", "out.sheaf.bak", "out.tmp", "fifo",
      "link",     "out.bak.2.sheaf", "real.out",      "real.out.sheaf"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
}

static inline int fresh(void **state) {
  (void)state;
  remove_all();
  return 0;
}

/* ---- Rows and results ---- */

typedef struct row {
  char id[64];
  char prompt[256];
  uint32_t line;
  uint8_t fingerprint[16];
  int32_t admitted;
} row;

#define ROWS 64

typedef struct bench {
  sheaf_files_options options;
  sheaf_files *files;
  char message[1024];
  row rows[ROWS];
  uint32_t count;
  int32_t ended; /* what the source answered at the end */
} bench;

static inline bench the_bench(const char *input) {
  bench it = {.options = SHEAF_FILES_OPTIONS_INIT};
  it.options.input = input;
  it.options.output = "out";
  return it;
}

static inline int32_t try_open(bench *it) {
  int32_t status = sheaf_files_open(&it->options, &it->files, it->message, sizeof it->message);
  if (status != SHEAF_OK) it->files = NULL;
  return status;
}

static inline void bench_open(bench *it) {
  int32_t status = try_open(it);
  if (status != SHEAF_OK) print_error("open: %s\n", it->message);
  assert_int_equal(status, SHEAF_OK);
  assert_string_equal(it->message, "");
}

static inline void bench_close(bench *it) {
  sheaf_files_close(it->files);
  it->files = NULL;
}

static inline void copy_slice(char *to, size_t room, sheaf_slice from) {
  assert_true(from.bytes < room);
  if (from.bytes > 0) memcpy(to, from.data, from.bytes);
  to[from.bytes] = '\0';
}

/* Content in, 16 bytes out: enough to tell one prompt from another. */
static inline void make_fingerprint(sheaf_slice prompt, uint8_t fingerprint[16]) {
  memset(fingerprint, 7, 16);
  for (size_t i = 0; i < prompt.bytes; i++) {
    fingerprint[i % 16] = (uint8_t)(fingerprint[i % 16] * 31 + (unsigned char)prompt.data[i]);
  }
}

/* Pulls one row, admits it. Answers what the source, or admit when it is neither OK nor END, answered. */
static inline int32_t pull_one(bench *it) {
  const sheaf_source *source = sheaf_files_source(it->files);
  sheaf_request request = SHEAF_REQUEST_INIT;
  int32_t status = source->next(source->ctx, &request);
  if (status != SHEAF_OK) return status;
  assert_true(it->count < ROWS);
  row *made = &it->rows[it->count];
  copy_slice(made->id, sizeof made->id, request.custom_id);
  copy_slice(made->prompt, sizeof made->prompt, request.prompt);
  made->line = request.line;
  make_fingerprint(request.prompt, made->fingerprint);
  made->admitted = source->admit(source->ctx, it->count, &request, made->fingerprint);
  it->count++;
  return made->admitted == SHEAF_E_END ? SHEAF_OK : made->admitted;
}

static inline void pull_all(bench *it) {
  do it->ended = pull_one(it);
  while (it->ended == SHEAF_OK);
}

/* A finished row; its answer is "<text>". */
static inline sheaf_result result_of(const bench *it, uint32_t index, const char *text, bool ok) {
  const row *made = &it->rows[index];
  sheaf_result result = {.struct_bytes = sizeof result,
                         .error_class = ok ? SHEAF_CLASS_NONE : SHEAF_CLASS_SERVER,
                         .index = index,
                         .custom_id = sheaf_slice_of(made->id),
                         .text = sheaf_slice_of(text),
                         .cost_usd_nano = SHEAF_ABSENT,
                         .first_byte_ns = SHEAF_NEVER,
                         .ttft_ns = SHEAF_NEVER,
                         .server_ns = SHEAF_NEVER,
                         .generation_ns = SHEAF_NEVER,
                         .attempts = 1,
                         .http_status = ok ? 200 : 500,
                         .line = made->line,
                         .ok = ok,
                         .attempted = true};
  result.body = ok ? SHEAF_LITERAL("{\"a\":1}") : SHEAF_LITERAL("{\"error\":1}");
  memcpy(result.fingerprint, made->fingerprint, 16);
  return result;
}

static inline int32_t put(bench *it, const sheaf_result *result) {
  const sheaf_sink *sink = sheaf_files_sink(it->files);
  sheaf_event event = {.kind = SHEAF_EVENT_RESULT, .result = result};
  return sink->put(sink->ctx, &event);
}

static inline void finish_row(bench *it, uint32_t index, const char *text, bool ok) {
  sheaf_result result = result_of(it, index, text, ok);
  assert_int_equal(put(it, &result), SHEAF_OK);
}

static inline void finish(bench *it) {
  int32_t status = sheaf_files_finish(it->files, 1);
  if (status != SHEAF_OK) print_error("finish: %s\n", sheaf_files_message(it->files));
  assert_int_equal(status, SHEAF_OK);
}

static inline sheaf_files_report report_of(const bench *it) {
  sheaf_files_report report;
  sheaf_files_report_get(it->files, &report);
  return report;
}

/* The ids of the lines of a file in their order, each as "id=text " with '!' for a failure; each line must be whole. */
static inline const char *summary(const char *name) {
  static char text[4096];
  size_t bytes;
  char *all = read_text(name, &bytes);
  size_t used = 0;
  for (char *line = all; line < all + bytes;) {
    char *lf = memchr(line, '\n', (size_t)(all + bytes - line));
    assert_non_null(lf);
    static const char *const paths[] = {"sheaf.text", "sheaf.index"};
    sheaf_slice value[2];
    sheaf_slice whole = {line, (size_t)(lf - line)};
    sheaf_line_facts facts;
    assert_int_equal(sheaf_line_facts_read(whole, &facts), SHEAF_OK);
    assert_int_equal(sheaf_json_pick(whole, paths, 2, value, NULL, NULL), SHEAF_OK);
    sheaf_slice answer = sheaf_json_inside(value[0]);
    used += (size_t)snprintf(text + used, sizeof text - used, "%.*s%s%.*s ",
                             (int)facts.custom_id.bytes, facts.custom_id.data, facts.ok ? "=" : "!",
                             (int)answer.bytes, answer.bytes > 0 ? answer.data : "");
    line = lf + 1;
  }
  if (used > 0) used--;
  text[used] = '\0';
  free(all);
  return text;
}

/* Three rows with ids. */
static const char *const three =
    "{\"custom_id\":\"a\",\"prompt\":\"one\"}\n"
    "{\"custom_id\":\"b\",\"prompt\":\"two\"}\n"
    "{\"custom_id\":\"c\",\"prompt\":\"three\"}\n";

static inline void limit_file_size(rlim_t bytes) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* ---- Whole runs ---- */

/* A run that did rows c, a and died. Answers the output's bytes. */
static inline char *run_and_die(size_t *bytes, uint32_t order) {
  remove_all();
  write_text("in.jsonl", three);
  bench it = the_bench("in.jsonl");
  it.options.order = order;
  bench_open(&it);
  pull_all(&it);
  finish_row(&it, 2, "3", true);
  finish_row(&it, 0, "1", true);
  assert_int_equal(sheaf_files_flush(it.files), SHEAF_OK);
  bench_close(&it);
  return read_text("out", bytes);
}

/* Resumes and does what is left; answers how many rows ran. */
static inline uint32_t resume_and_finish(uint32_t order) {
  bench it = the_bench("in.jsonl");
  it.options.order = order;
  bench_open(&it);
  pull_all(&it);
  assert_int_equal(it.ended, SHEAF_E_END);
  uint32_t ran = 0;
  for (uint32_t i = it.count; i-- > 0;) {
    if (it.rows[i].admitted != SHEAF_OK) continue;
    finish_row(&it, i, "again", true);
    ran++;
  }
  finish(&it);
  assert_int_equal(report_of(&it).rows_done_before, it.count - ran);
  bench_close(&it);
  return ran;
}

/* ---- Fixtures ---- */

static inline int in_its_own_directory(void **state) {
  (void)state;
  const char *parent = getenv("TMPDIR");
  snprintf(bench_directory, sizeof bench_directory, "%s/sheaf-files-XXXXXX",
           parent != NULL ? parent : P_tmpdir);
  if (mkdtemp(bench_directory) == NULL) return -1;
  return chdir(bench_directory);
}

static inline int leave(void **state) {
  (void)state;
  remove_all();
  return chdir("/") == 0 ? rmdir(bench_directory) : -1;
}

#define CASE(name) cmocka_unit_test_setup(name, fresh)

#endif
