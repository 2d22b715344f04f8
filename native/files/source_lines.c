/* source_lines.c: rows from lines: JSONL by the core's line codec, plain text with one prompt a line.
 *
 *   rows_init, rows_deinit, rows_next   for all formats
 *   json_row, text_row                  one line
 *   check_utf8                          for formats that are no JSON */
#include "files_int.h"

#include <string.h>

void sheaf__rows_init(sheaf__rows *rows, uint32_t format, const char *name,
                      sheaf__template *template_, sheaf__columns *columns, sheaf__said *said) {
  *rows = (sheaf__rows){.input = {.fd = -1},
                        .name = name,
                        .format = format,
                        .template_ = template_,
                        .columns = columns,
                        .said = said};
  sheaf_buf_init(&rows->scratch, sheaf_heap(), 4 * SHEAF_LINE_BYTES_MAX);
}

void sheaf__rows_deinit(sheaf__rows *rows) {
  sheaf__input_deinit(&rows->input);
  sheaf__csv_deinit(&rows->csv);
  sheaf_buf_deinit(&rows->scratch);
}

int32_t sheaf__rows_input_failed(sheaf__rows *rows, int32_t status) {
  switch (status) {
    case SHEAF_E_IO:
      return sheaf__say(rows->said, status, "%s: cannot be read: %s; the same command resumes",
                        rows->name, strerror(rows->input.error));
    case SHEAF_E_NOMEM:
      return sheaf__say(rows->said, status, "%s: out of memory for a line; free some and resume",
                        rows->name);
    case SHEAF_E_TOO_LONG: /* its end is not known, so nothing can go on behind it */
      return sheaf__say(
          rows->said, SHEAF_E_LIMIT,
          "%s:%llu: the line is longer than 64 MiB; is the file JSONL with LF at line ends?",
          rows->name, (unsigned long long)rows->input.line + 1);
    default: return status;
  }
}

bool sheaf__status_is_bad_line(int32_t status) {
  return status <= SHEAF_E_SYNTAX && status >= SHEAF_E_DEPTH;
}

/* The length of a well-formed UTF-8 sequence (Unicode table 3-7), or 0. */
static size_t sequence_bytes(const unsigned char *at, size_t left) {
  unsigned char lead = at[0];
  if (lead < 0x80) return 1;
  size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || left < length) return 0;
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (at[1] < low || at[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if (at[i] < 0x80 || at[i] > 0xBF) return 0;
  }
  return length;
}

int32_t sheaf__rows_check_utf8(sheaf__rows *rows, sheaf_slice text, bool has_column) {
  const unsigned char *bytes = (const unsigned char *)text.data;
  size_t at = 0;
  while (at < text.bytes) {
    uint64_t word;
    while (text.bytes - at >= sizeof word) { /* ASCII, eight at a time */
      memcpy(&word, bytes + at, sizeof word);
      if ((word & 0x8080808080808080u) != 0) break;
      at += sizeof word;
    }
    if (at == text.bytes) break;
    size_t length = sequence_bytes(bytes + at, text.bytes - at);
    if (length == 0) {
      if (!has_column) {
        return sheaf__say(rows->said, SHEAF_E_UTF8,
                          "%s:%llu: not valid UTF-8; convert the file, as with iconv -t UTF-8",
                          rows->name, (unsigned long long)rows->line);
      }
      return sheaf__say(rows->said, SHEAF_E_UTF8,
                        "%s:%llu:%zu: not valid UTF-8; convert the file, as with iconv -t UTF-8",
                        rows->name, (unsigned long long)rows->line, at + 1);
    }
    at += length;
  }
  return SHEAF_OK;
}

static int32_t text_row(sheaf__rows *rows, sheaf_slice line, sheaf_request *request) {
  int32_t status = sheaf__rows_check_utf8(rows, line, true);
  if (status != SHEAF_OK) return status;
  request->prompt = line;
  if (rows->template_->text == NULL) return SHEAF_OK;
  sheaf_buf_reset(&rows->scratch);
  status = sheaf__template_apply(rows->template_, &line, &rows->scratch);
  request->prompt = sheaf_buf_slice(&rows->scratch);
  return status == SHEAF_OK ? status : sheaf__rows_input_failed(rows, SHEAF_E_NOMEM);
}

static int32_t json_row(sheaf__rows *rows, sheaf_slice line, sheaf_request *request) {
  sheaf_parse_error error = {0};
  int32_t status = sheaf_line_read(line, &rows->scratch, request, &error);
  if (status == SHEAF_OK) return status;
  if (status == SHEAF_E_NOMEM) return sheaf__rows_input_failed(rows, status);
  if (status == SHEAF_E_LIMIT) status = SHEAF_E_TOO_LONG; /* of this line: others may fit */
  unsigned long long number = rows->line;
  const char *why = error.message != NULL ? error.message : "check the line";
  const char *field = error.field != NULL ? error.field : "";
  const char *mark = error.field != NULL ? "\"" : "";
  const char *gap = error.field != NULL ? " " : "";
  if (error.column == 0) {
    return sheaf__say(rows->said, status, "%s:%llu: %s: %s%s%s%s%s", rows->name, number,
                      sheaf_status_text(status), mark, field, mark, gap, why);
  }
  return sheaf__say(rows->said, status, "%s:%llu:%u: %s: %s%s%s%s%s", rows->name, number,
                    error.column, sheaf_status_text(status), mark, field, mark, gap, why);
}

int32_t sheaf__rows_next(sheaf__rows *rows, sheaf_request *request) {
  *request = SHEAF_REQUEST_INIT;
  if (rows->format == SHEAF_FORMAT_CSV) return sheaf__csv_next(rows, request);
  sheaf__text_line line;
  do {
    int32_t status = sheaf__input_line(&rows->input, &line);
    if (status != SHEAF_OK) return sheaf__rows_input_failed(rows, status);
    if (line.text.bytes > 0 && line.text.data[line.text.bytes - 1] == '\r') line.text.bytes--;
  } while (sheaf__text_is_blank(line.text));
  rows->line = line.number;
  rows->offset = line.offset;
  if (rows->format == SHEAF_FORMAT_TEXT) return text_row(rows, line.text, request);
  return json_row(rows, line.text, request);
}
