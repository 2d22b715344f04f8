/* files.c: sheaf_files from the outside: open, flush, finish, report, close.
 *
 * Opening asks first and changes later: input, output with its lock, earlier log, earlier lines; only when all of them agree is
 * a torn tail cut and this run's record written. */
#include "files_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Small things all parts use ---- */

int32_t sheaf__say(sheaf__said *said, int32_t status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(said->text, sizeof said->text, format, arguments);
  va_end(arguments);
  return status;
}

const char *sheaf__show(sheaf_slice id, sheaf__shown *shown) {
  size_t bytes = id.bytes < 80 ? id.bytes : 80;
  while (bytes < id.bytes && bytes > 0 && ((unsigned char)id.data[bytes] & 0xC0) == 0x80) bytes--;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)id.data[i];
    shown->text[i] = c < 0x20 || c == 0x7F ? '?' : (char)c;
  }
  memcpy(shown->text + bytes, "...", 4);
  if (bytes == id.bytes) shown->text[bytes] = '\0';
  return shown->text;
}

char *sheaf__text_join(const char *a, const char *b) {
  size_t first = strlen(a);
  size_t second = strlen(b);
  char *text = malloc(first + second + 1);
  if (text == NULL) return NULL;
  memcpy(text, a, first);
  memcpy(text + first, b, second + 1);
  return text;
}

/* ---- Opening ---- */

/* Takes the fields the caller's version of the struct knows, and copies its strings. */
static int32_t take_options(sheaf_files *files, const sheaf_files_options *options) {
  size_t bytes = options->struct_bytes;
  if (bytes > sizeof files->options) bytes = sizeof files->options;
  memcpy(&files->options, options, bytes);
  const sheaf_files_options *taken = &files->options;
  if (taken->input == NULL || taken->input[0] == '\0') {
    return sheaf__say(&files->said, SHEAF_E_MISUSE,
                      "no input is given; name a file, or - for standard input");
  }
  files->output.none = taken->output == NULL;
  files->input_name = sheaf__text_join(taken->input, "");
  files->output_name = sheaf__text_join(taken->output != NULL ? taken->output : "", "");
  bool failed = files->input_name == NULL || files->output_name == NULL;
  if (taken->template_text != NULL) {
    files->template_text = sheaf__text_join(taken->template_text, "");
    failed = failed || files->template_text == NULL;
  }
  return failed ? sheaf__say(&files->said, SHEAF_E_NOMEM, "out of memory") : SHEAF_OK;
}

static int32_t cut_output(sheaf_files *files, uint64_t keep, bool lacks_lf) {
  sheaf__output *output = &files->output;
  size_t done;
  bool cut = keep >= output->bytes || ftruncate(output->fd, (off_t)keep) == 0;
  if (cut && lacks_lf) cut = sheaf__write_all(output->fd, "\n", 1, keep, &done);
  if (!cut) {
    return sheaf__say(
        &files->said, SHEAF_E_IO,
        "%s: its unfinished last line cannot be mended: %s; mend that, or use another -o",
        files->output_name, strerror(errno));
  }
  output->bytes = keep + (lacks_lf ? 1 : 0);
  output->lines = files->earlier_lines;
  return SHEAF_OK;
}

/* An earlier run's files, and this one's beginning. */
static int32_t resume(sheaf_files *files) {
  uint64_t keep = 0;
  bool lacks_lf = false;
  int32_t status = sheaf__runlog_read(files);
  if (status == SHEAF_OK && files->output.bytes > 0) {
    status = sheaf__scan_output(files, &keep, &lacks_lf);
  }
  if (status != SHEAF_OK) return status;
  bool nothing = files->earlier_lines == 0 && files->runlog.span_count == 0;
  if (nothing && files->options.resume == SHEAF_RESUME_REQUIRED) {
    return sheaf__say(&files->said, SHEAF_E_NOT_FOUND,
                      "%s: there is nothing to resume; leave --resume away to begin a run",
                      files->output_name);
  }
  status = cut_output(files, keep, lacks_lf);
  return status == SHEAF_OK ? sheaf__runlog_begin(files) : status;
}

static int32_t open_all(sheaf_files *files, const sheaf_files_options *options) {
  int32_t status = take_options(files, options);
  if (status == SHEAF_OK) status = sheaf_resume_new(sheaf_heap(), &files->resume);
  if (status == SHEAF_E_NOMEM) return sheaf__say(&files->said, status, "out of memory");
  if (status == SHEAF_OK) status = sheaf__source_open(files);
  if (status != SHEAF_OK || files->output.none) return status;
  status = sheaf__output_open(files);
  if (status == SHEAF_OK && !files->output.stream) status = resume(files);
  return status;
}

int32_t sheaf_files_open(const sheaf_files_options *options, sheaf_files **made, char *message,
                         size_t message_bytes) {
  sheaf_files *files = calloc(1, sizeof *files);
  if (message_bytes > 0) message[0] = '\0';
  if (files == NULL) return SHEAF_E_NOMEM;
  files->rows.input.fd = -1;
  files->output.fd = -1;
  files->spool.fd = -1;
  files->runlog.fd = -1;
  sheaf_buf_init(&files->output.pending, sheaf_heap(), SIZE_MAX / 2);
  sheaf_buf_init(&files->spool.memory, sheaf_heap(), SIZE_MAX / 2);
  sheaf_buf_init(&files->runlog.run, sheaf_heap(), (size_t)64 << 10);
  sheaf_buf_init(&files->runlog.frames, sheaf_heap(), 2 * SHEAF_LOG_FRAME_BYTES_MAX);
  int32_t status = open_all(files, options);
  if (status != SHEAF_OK) {
    if (message_bytes > 0) snprintf(message, message_bytes, "%s", files->said.text);
    sheaf__output_forsake(files);
    sheaf_files_close(files);
    return status;
  }
  sheaf__source_bind(files);
  sheaf__sink_bind(files);
  sheaf__store_bind(files);
  *made = files;
  return SHEAF_OK;
}

void sheaf_files_close(sheaf_files *files) {
  if (files == NULL) return;
  sheaf__output_flush(files); /* finish tells of failures; here nobody is left to be told */
  sheaf__rows_deinit(&files->rows);
  sheaf__ids_deinit(&files->ids);
  sheaf__template_deinit(&files->template_);
  if (files->columns.name != NULL) sheaf_buf_deinit(&files->columns.names);
  free(files->columns.name);
  sheaf__line_map_deinit(&files->places);
  sheaf__offsets_deinit(&files->losers);
  sheaf__spool_deinit(&files->spool);
  sheaf__runlog_deinit(&files->runlog);
  sheaf__output_deinit(&files->output);
  sheaf_resume_free(files->resume);
  free(files->input_name);
  free(files->output_name);
  free(files->output_path);
  free(files->log_path);
  free(files->template_text);
  free(files);
}

/* ---- Doors ---- */

const sheaf_source *sheaf_files_source(sheaf_files *files) {
  return &files->source;
}
const sheaf_sink *sheaf_files_sink(sheaf_files *files) {
  return &files->sink;
}

const sheaf_store *sheaf_files_store(sheaf_files *files) {
  return files->runlog.fd >= 0 ? &files->store : NULL;
}

void sheaf_files_bind(sheaf_files *files, sheaf_engine *engine) {
  files->engine = engine;
}
const char *sheaf_files_message(const sheaf_files *files) {
  return files->said.text;
}

int32_t sheaf_files_input_fd(sheaf_files *files) {
  return files->rows.input.regular ? -1 : files->rows.input.fd;
}

/* ---- Writing out ---- */

int32_t sheaf_files_flush(sheaf_files *files) {
  int32_t status = sheaf__output_flush(files);
  if (status == SHEAF_OK && files->options.sync == SHEAF_SYNC_FULL) {
    status = sheaf__output_sync(files);
  }
  return status;
}

int32_t sheaf_files_sync(sheaf_files *files) {
  int32_t status = sheaf__output_flush(files);
  return status == SHEAF_OK ? sheaf__output_sync(files) : status;
}

static int32_t finish_stream(sheaf_files *files) {
  int32_t status = SHEAF_OK;
  if (files->options.order == SHEAF_ORDER_INPUT) status = sheaf__spool_drain(files);
  return status == SHEAF_OK ? sheaf__output_flush(files) : status;
}

int32_t sheaf_files_finish(sheaf_files *files, uint32_t finished) {
  if (files->output.none || files->finished) return SHEAF_OK;
  if (files->output.stream) return finish_stream(files);
  int32_t status = sheaf_files_flush(files);
  if (status != SHEAF_OK || finished == 0 || !files->input_ended) return status;
  status = sheaf__order_restore(files);
  if (status == SHEAF_OK) status = sheaf__output_sync(files);
  if (status != SHEAF_OK) return status;
  files->finished = true;
  /* Rows without a line are for a resume, and so is the log. */
  return sheaf__runlog_end(files, files->places.count == files->row_count);
}

/* ---- Report ---- */

/* Rows of the whole input, from the length of those read so far. */
static uint64_t estimate_rows(const sheaf_files *files) {
  const sheaf__input *input = &files->rows.input;
  uint64_t read = input->offset - input->start;
  uint64_t total = files->input_bytes - input->start;
  if (files->row_count == 0 || read == 0 || read > total) return SHEAF_NEVER;
  uint64_t row_bytes = read / files->row_count + 1;
  return files->row_count + (total - read) / row_bytes;
}

void sheaf_files_report_get(const sheaf_files *files, sheaf_files_report *report) {
  uint64_t total = SHEAF_NEVER;
  if (files->input_ended) {
    total = files->row_count;
  } else if (files->input_bytes != SHEAF_NEVER) {
    total = estimate_rows(files);
    uint64_t limit = files->options.limit;
    if (limit != 0 && total != SHEAF_NEVER && total > limit) total = limit;
  }
  *report = (sheaf_files_report){.rows = files->row_count,
                                 .rows_total = total,
                                 .rows_done_before = files->done_before,
                                 .rows_failed_before = files->failed_before,
                                 .rows_unknown = files->unknown,
                                 .bad_lines = files->bad_lines,
                                 .lines_written = files->lines_written,
                                 .torn_bytes = files->torn_bytes,
                                 .has_total = files->input_ended};
}
