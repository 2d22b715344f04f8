/* source.c: the engine's source: rows in input order, ids checked, finished ones skipped.
 *
 *   next      the next row; a bad line ends the input with its sentence, or is reported and skipped in a dry run
 *   admit     is it done already?
 *   refused   it could not be built: an earlier line for it stands, otherwise it gets one
 *
 * The n-th row handed out has the engine's index n - 1. */
#include "files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- next ---- */

static int32_t end_with(sheaf_files *files, int32_t status) {
  files->source_status = status;
  if (status == SHEAF_E_END) files->input_ended = true;
  return status;
}

/* One row, checked. Bad lines come back as their status. */
static int32_t next_row(sheaf_files *files, sheaf_request *request) {
  if (files->options.format == SHEAF_FORMAT_CSV && files->columns.count == 0) {
    int32_t status = sheaf__csv_header(&files->rows);
    if (status != SHEAF_OK && status != SHEAF_E_LATER) return end_with(files, status);
    if (status != SHEAF_OK) return status;
  }
  int32_t status = sheaf__rows_next(&files->rows, request);
  if (status == SHEAF_OK) status = sheaf__ids_note(files, request->custom_id);
  return status;
}

static int32_t next(void *ctx, sheaf_request *request) {
  sheaf_files *files = ctx;
  if (files->source_status != SHEAF_OK) return files->source_status;
  uint64_t limit = files->options.limit;
  if (limit != 0 && files->row_count >= limit) return end_with(files, SHEAF_E_END);
  for (;;) {
    int32_t status = next_row(files, request);
    if (status == SHEAF_OK) break;
    if (status == SHEAF_E_LATER || files->source_status != SHEAF_OK) return status;
    if (!sheaf__status_is_bad_line(status)) return end_with(files, status);
    files->bad_lines++;
    if (files->options.scan_all == 0) return end_with(files, status);
    if (files->options.on_bad_line != NULL) {
      files->options.on_bad_line(files->options.user, files->said.text);
    }
    files->said.text[0] = '\0';
  }
  uint64_t line = files->rows.line;
  request->line = line < UINT32_MAX ? (uint32_t)line : UINT32_MAX;
  files->row_count++;
  return SHEAF_OK;
}

/* ---- admit ---- */

static sheaf_slice id_of(const sheaf_request *request, uint64_t index, char text[32]) {
  return request->custom_id.bytes > 0 ? request->custom_id : sheaf__files_row_id(index, text);
}

static int32_t keep_place(sheaf_files *files, uint64_t index, uint64_t place) {
  int32_t status = sheaf__line_map_set(&files->places, index, place);
  if (status == SHEAF_OK) return status;
  return sheaf__say(&files->said, status,
                    "out of memory for the order of lines; free some and resume");
}

/* The row stands in the output under other content. A row that could not be built has no content, and its line the
 * fingerprint 0: now that it can, it runs and its new line replaces that one. */
static int32_t admit_changed(sheaf_files *files, uint64_t index, sheaf_slice id) {
  static const uint8_t none[16] = {0};
  uint64_t offset;
  if (sheaf_resume_find(files->resume, id, none, false, &offset) == SHEAF_E_END) {
    return keep_place(files, index, offset | SHEAF__PLACE_VOID);
  }
  sheaf__shown shown;
  return sheaf__say(
      &files->said, SHEAF_E_OTHER_RUN,
      "%s holds results of other requests: custom_id \"%s\" has other content (model, parameters "
      "or "
      "prompt changed). Use another -o, or --no-resume to start over (the old file is kept as "
      "%s.bak)",
      files->output_name, sheaf__show(id, &shown), files->output_name);
}

static int32_t admit(void *ctx, uint64_t index, const sheaf_request *request,
                     const uint8_t fingerprint[16]) {
  sheaf_files *files = ctx;
  int32_t status = SHEAF_OK;
  if (files->earlier_lines > 0) {
    char text[32];
    sheaf_slice id = id_of(request, index, text);
    uint64_t offset = 0;
    bool again = files->options.retry_failed != 0;
    status = sheaf_resume_find(files->resume, id, fingerprint, again, &offset);
    if (status == SHEAF_E_OTHER_RUN) {
      status = admit_changed(files, index, id);
    } else if (status == SHEAF_E_END) {
      status = keep_place(files, index, offset);
      if (status != SHEAF_OK) return status;
      files->done_before++;
      if (sheaf_resume_find(files->resume, id, fingerprint, true, &offset) != SHEAF_E_END)
        files->failed_before++;
      return SHEAF_E_END;
    } else if (again &&
               sheaf_resume_find(files->resume, id, fingerprint, false, &offset) == SHEAF_E_END) {
      return keep_place(files, index, offset | SHEAF__PLACE_FAILED); /* has a line: not unknown */
    }
  }
  if (status == SHEAF_OK && sheaf__runlog_may_have_sent(&files->runlog, index)) files->unknown++;
  return status;
}

/* ---- refused ---- */

static int32_t refused(void *ctx, uint64_t index, const sheaf_request *request,
                       const sheaf_parse_error *error) {
  sheaf_files *files = ctx;
  char text[32];
  if (files->options.scan_all != 0) {
    files->bad_lines++;
    sheaf__said said;
    sheaf__say(&said, error->status, "%s:%u: %s: %s%s%s", files->rows.name, request->line,
               sheaf_status_text(error->status), error->field != NULL ? error->field : "",
               error->field != NULL ? ": " : "",
               error->message != NULL ? error->message : "check the line");
    if (files->options.on_bad_line != NULL) {
      files->options.on_bad_line(files->options.user, said.text);
    }
  }
  if (files->earlier_lines == 0) return SHEAF_OK;
  static const uint8_t none[16] = {0};
  uint64_t offset;
  sheaf_slice id = id_of(request, index, text);
  if (sheaf_resume_find(files->resume, id, none, false, &offset) != SHEAF_E_END) return SHEAF_OK;
  files->done_before++;
  return keep_place(files, index, offset); /* the sink sees it and writes no second line */
}

void sheaf__source_bind(sheaf_files *files) {
  files->source = (sheaf_source){.struct_bytes = sizeof(sheaf_source),
                                 .ctx = files,
                                 .next = next,
                                 .admit = admit,
                                 .refused = refused};
}

/* ---- Opening ---- */

static uint32_t format_of(const char *name) {
  static const struct {
    const char *ending;
    uint32_t format;
  } known[] = {{".txt", SHEAF_FORMAT_TEXT}, {".csv", SHEAF_FORMAT_CSV}};
  size_t bytes = strlen(name);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (bytes >= 4 && strcmp(name + bytes - 4, known[i].ending) == 0) return known[i].format;
  }
  return SHEAF_FORMAT_JSONL;
}

/* A regular file without a line that says anything is told at once; for CSV, without one below the header. */
static int32_t check_not_empty(sheaf_files *files, uint64_t from) {
  uint32_t wanted = files->options.format == SHEAF_FORMAT_CSV ? 2 : 1;
  sheaf__input input;
  sheaf__text_line line;
  sheaf__input_init(&input, files->rows.input.fd, true, from, 0);
  int32_t status = SHEAF_OK;
  while (wanted > 0 && status == SHEAF_OK) {
    status = sheaf__input_line(&input, &line);
    if (status == SHEAF_OK && !sheaf__text_is_blank(line.text)) wanted--;
  }
  files->rows.input.error = input.error;
  sheaf__input_deinit(&input);
  if (status == SHEAF_E_END) {
    return sheaf__say(&files->said, status, "%s: the input is empty; give at least one row",
                      files->rows.name);
  }
  return sheaf__rows_input_failed(&files->rows, status);
}

static int32_t open_input(sheaf_files *files) {
  sheaf__rows *rows = &files->rows;
  bool standard = strcmp(files->input_name, "-") == 0;
  int fd = standard ? STDIN_FILENO : open(files->input_name, O_RDONLY | O_CLOEXEC);
  struct stat facts;
  if (fd < 0 || fstat(fd, &facts) != 0) {
    int error = errno;
    if (!standard && fd >= 0) close(fd);
    return sheaf__say(&files->said, SHEAF_E_IO, "%s: cannot be opened: %s; check the name",
                      rows->name, strerror(error));
  }
  bool regular = S_ISREG(facts.st_mode);
  off_t from = regular && standard ? lseek(fd, 0, SEEK_CUR) : 0;
  uint64_t start = from > 0 ? (uint64_t)from : 0;
  sheaf__input_init(&rows->input, fd, regular, start, 0);
  rows->input.owned = !standard;
  files->input_bytes = regular ? (uint64_t)facts.st_size : SHEAF_NEVER;
  if (S_ISDIR(facts.st_mode)) {
    return sheaf__say(&files->said, SHEAF_E_IO, "%s: is a directory; name a file", rows->name);
  }
  return regular ? check_not_empty(files, start) : SHEAF_OK;
}

int32_t sheaf__source_open(sheaf_files *files) {
  sheaf_files_options *options = &files->options;
  if (options->format == SHEAF_FORMAT_AUTO) options->format = format_of(files->input_name);
  const char *name = strcmp(files->input_name, "-") == 0 ? "stdin" : files->input_name;
  sheaf__rows_init(&files->rows, options->format, name, &files->template_, &files->columns,
                   &files->said);
  if (options->format > SHEAF_FORMAT_CSV) {
    return sheaf__say(&files->said, SHEAF_E_RANGE, "format %u: use jsonl, text or csv",
                      options->format);
  }
  if (files->template_text != NULL) {
    if (options->format == SHEAF_FORMAT_JSONL) {
      return sheaf__say(
          &files->said, SHEAF_E_FIELD,
          "a template goes with text and csv; JSONL lines hold whole prompts; give --format");
    }
    int32_t status = sheaf__template_init(&files->template_, files->template_text, &files->said);
    if (status != SHEAF_OK) return status;
  }
  if (options->format == SHEAF_FORMAT_TEXT && files->template_text != NULL) {
    sheaf_slice line = SHEAF_LITERAL("line");
    int32_t status = sheaf__template_bind(&files->template_, &line, 1, name, &files->said);
    if (status != SHEAF_OK) return status;
  }
  int32_t status = open_input(files);
  if (status != SHEAF_OK) return status;
  bool read_header = options->format == SHEAF_FORMAT_CSV && files->rows.input.regular;
  return read_header ? sheaf__csv_header(&files->rows) : SHEAF_OK;
}
