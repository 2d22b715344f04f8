/* source_csv.c: rows from CSV records (RFC 4180, by libcsv in its strict mode).
 *
 * The parser is fed one physical line at a time, so that a call hands out one record and stops, and a sentence can
 * name the line where the record begins. Strict: a quote in the wrong place is an error on that line. Lenient
 * parsers read on to the next quote and swallow rows in silence.
 *
 *   feed -> on_field, on_record   a line into the parser
 *   next_record                   one record, over as many lines as it takes
 *   header, next                  the first record, the others */
#include "files_int.h"

#include <stdlib.h>
#include <string.h>

static int is_term(unsigned char c) {
  return c == '\n';
}
/* CR counts as space: before an LF it is trimmed, inside quotes it stays. */
static int is_space(unsigned char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static void on_field(void *field, size_t bytes, void *user) {
  sheaf__csv *csv = user;
  if (csv->count < SHEAF__COLUMNS_MAX) csv->ends[csv->count] = csv->text.bytes + bytes;
  csv->count++; /* too many are counted, and refused with the record */
  if (csv->count > SHEAF__COLUMNS_MAX) return;
  if (sheaf_buf_append(&csv->text, field, bytes) != SHEAF_OK) csv->out_of_memory = true;
}

static void on_record(int end, void *user) {
  sheaf__csv *csv = user;
  (void)end;
  csv->done = true;
}

static int32_t open_parser(sheaf__csv *csv) {
  if (csv_init(&csv->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) return SHEAF_E_NOMEM;
  csv_set_term_func(&csv->parser, is_term);
  csv_set_space_func(&csv->parser, is_space);
  csv_set_blk_size(&csv->parser,
                   (size_t)64 << 10); /* its buffer grows by this; 128 is the default */
  csv->open = true;
  csv->in_record = false;
  if (csv->ends != NULL) return SHEAF_OK;
  sheaf_buf_init(&csv->text, sheaf_heap(), 2 * SHEAF_LINE_BYTES_MAX);
  csv->ends = calloc(SHEAF__COLUMNS_MAX, sizeof *csv->ends);
  csv->values = calloc(SHEAF__COLUMNS_MAX, sizeof *csv->values);
  return csv->ends != NULL && csv->values != NULL ? SHEAF_OK : SHEAF_E_NOMEM;
}

static void close_parser(sheaf__csv *csv) {
  if (csv->open) csv_free(&csv->parser);
  csv->open = false;
}

void sheaf__csv_deinit(sheaf__csv *csv) {
  close_parser(csv);
  if (csv->ends != NULL) sheaf_buf_deinit(&csv->text);
  free(csv->ends);
  free(csv->values);
  *csv = (sheaf__csv){0};
}

/* The parser stopped: a sentence, and a new parser for what comes behind. */
static int32_t broken(sheaf__rows *rows, uint64_t line, bool at_end) {
  sheaf__csv *csv = &rows->csv;
  int why = csv_error(&csv->parser);
  close_parser(csv);
  csv->in_record = false;
  if (!at_end && why != CSV_EPARSE) return sheaf__rows_input_failed(rows, SHEAF_E_NOMEM);
  if (at_end) {
    return sheaf__say(rows->said, SHEAF_E_SYNTAX,
                      "%s:%llu: not valid CSV: a quote opened in this record is never closed",
                      rows->name, (unsigned long long)csv->line);
  }
  return sheaf__say(
      rows->said, SHEAF_E_SYNTAX,
      "%s:%llu: not valid CSV: a quote inside a field is written \"\", and such a field stands "
      "in quotes",
      rows->name, (unsigned long long)line);
}

static int32_t feed(sheaf__rows *rows, const sheaf__text_line *line) {
  sheaf__csv *csv = &rows->csv;
  const char *data = line->text.data;
  size_t bytes = line->text.bytes;
  csv->bytes += bytes + 1;
  if (csv->bytes > SHEAF_LINE_BYTES_MAX) {
    close_parser(csv);
    csv->in_record = false;
    return sheaf__say(rows->said, SHEAF_E_TOO_LONG,
                      "%s:%llu: the record is longer than 64 MiB; is a quote in it never closed?",
                      rows->name, (unsigned long long)csv->line);
  }
  if (csv_parse(&csv->parser, data, bytes, on_field, on_record, csv) != bytes ||
      (line->whole && csv_parse(&csv->parser, "\n", 1, on_field, on_record, csv) != 1)) {
    return broken(rows, line->number, false);
  }
  csv->in_record = !csv->done;
  return SHEAF_OK;
}

/* Begins a record at line, unless one goes on. */
static int32_t begin_record(sheaf__csv *csv, const sheaf__text_line *line) {
  if (csv->in_record) return SHEAF_OK;
  if (!csv->open) {
    int32_t status = open_parser(csv);
    if (status != SHEAF_OK) return status;
  }
  sheaf_buf_reset(&csv->text);
  csv->count = 0;
  csv->done = false;
  csv->out_of_memory = false;
  csv->line = line->number;
  csv->offset = line->offset;
  csv->bytes = 0;
  return SHEAF_OK;
}

/* The last record when the file ends without an LF. */
static int32_t last_record(sheaf__rows *rows) {
  sheaf__csv *csv = &rows->csv;
  if (!csv->open || !csv->in_record) return SHEAF_E_END;
  if (csv_fini(&csv->parser, on_field, on_record, csv) != 0) return broken(rows, csv->line, true);
  csv->in_record = false;
  return csv->done ? SHEAF_OK : SHEAF_E_END;
}

static int32_t next_record(sheaf__rows *rows) {
  sheaf__csv *csv = &rows->csv;
  csv->done = false;
  while (!csv->done) {
    sheaf__text_line line;
    int32_t status = sheaf__input_line(&rows->input, &line);
    if (status == SHEAF_E_END) {
      status = last_record(rows);
      if (status != SHEAF_OK) return status;
      break;
    }
    if (status != SHEAF_OK) return sheaf__rows_input_failed(rows, status);
    if (!csv->in_record && sheaf__text_is_blank(line.text)) continue;
    status = begin_record(csv, &line);
    if (status != SHEAF_OK) return sheaf__rows_input_failed(rows, status);
    status = feed(rows, &line);
    if (status != SHEAF_OK) return status;
  }
  if (csv->out_of_memory) return sheaf__rows_input_failed(rows, SHEAF_E_NOMEM);
  rows->line = csv->line;
  rows->offset = csv->offset;
  size_t begin = 0;
  for (uint32_t i = 0; i < csv->count && i < SHEAF__COLUMNS_MAX; i++) {
    csv->values[i] = (sheaf_slice){csv->text.data + begin, csv->ends[i] - begin};
    begin = csv->ends[i];
  }
  return SHEAF_OK;
}

/* ---- The header ---- */

static uint32_t find_column(const sheaf__columns *columns, const char *name) {
  size_t bytes = strlen(name);
  for (uint32_t i = 0; i < columns->count; i++) {
    if (columns->name[i].bytes == bytes && memcmp(columns->name[i].data, name, bytes) == 0)
      return i;
  }
  return SHEAF__LITERAL;
}

/* Keeps the record as names. */
static int32_t take_names(sheaf__columns *columns, const sheaf__csv *csv) {
  columns->name = calloc(csv->count, sizeof *columns->name);
  sheaf_buf_init(&columns->names, sheaf_heap(), 2 * SHEAF_LINE_BYTES_MAX);
  if (columns->name == NULL) return SHEAF_E_NOMEM;
  int32_t status = sheaf_buf_append_slice(&columns->names, sheaf_buf_slice(&csv->text));
  if (status != SHEAF_OK) return status;
  size_t begin = 0;
  for (uint32_t i = 0; i < csv->count; i++) {
    columns->name[i] = (sheaf_slice){columns->names.data + begin, csv->ends[i] - begin};
    begin = csv->ends[i];
  }
  columns->count = csv->count;
  return SHEAF_OK;
}

static int32_t check_names(sheaf__rows *rows) {
  const sheaf__columns *columns = rows->columns;
  for (uint32_t i = 1; i < columns->count; i++) {
    for (uint32_t j = 0; j < i; j++) {
      sheaf_slice a = columns->name[i];
      sheaf_slice b = columns->name[j];
      sheaf__shown shown;
      if (a.bytes == 0 || a.bytes != b.bytes || memcmp(a.data, b.data, a.bytes) != 0) continue;
      return sheaf__say(rows->said, SHEAF_E_FIELD,
                        "%s:%llu: two columns are named \"%s\"; give each its own name", rows->name,
                        (unsigned long long)rows->line, sheaf__show(a, &shown));
    }
  }
  return SHEAF_OK;
}

int32_t sheaf__csv_header(sheaf__rows *rows) {
  sheaf__columns *columns = rows->columns;
  if (columns->count > 0) return SHEAF_OK;
  int32_t status = next_record(rows);
  if (status != SHEAF_OK) return status;
  if (rows->csv.count > SHEAF__COLUMNS_MAX) {
    return sheaf__say(rows->said, SHEAF_E_LIMIT, "%s:%llu: more than %d columns; leave some out",
                      rows->name, (unsigned long long)rows->line, SHEAF__COLUMNS_MAX);
  }
  status = take_names(columns, &rows->csv);
  if (status != SHEAF_OK) return sheaf__rows_input_failed(rows, SHEAF_E_NOMEM);
  status = check_names(rows);
  if (status != SHEAF_OK) return status;
  columns->id = find_column(columns, "custom_id");
  columns->prompt = find_column(columns, "prompt");
  if (columns->prompt == SHEAF__LITERAL) columns->prompt = find_column(columns, "text");
  if (rows->template_->text != NULL) {
    sheaf__said where;
    sheaf__say(&where, 0, "%s:%llu", rows->name, (unsigned long long)rows->line);
    return sheaf__template_bind(rows->template_, columns->name, columns->count, where.text,
                                rows->said);
  }
  if (columns->prompt != SHEAF__LITERAL) return SHEAF_OK;
  return sheaf__say(
      rows->said, SHEAF_E_FIELD,
      "%s:%llu: no column is named \"prompt\" or \"text\"; name one so, or give a template "
      "with {column} in it",
      rows->name, (unsigned long long)rows->line);
}

/* ---- A row ---- */

static int32_t check_record(sheaf__rows *rows) {
  const sheaf__csv *csv = &rows->csv;
  if (csv->count != rows->columns->count) {
    return sheaf__say(rows->said, SHEAF_E_FIELD,
                      "%s:%llu: %u fields where the header has %u; is a comma outside of quotes?",
                      rows->name, (unsigned long long)rows->line, csv->count, rows->columns->count);
  }
  return sheaf__rows_check_utf8(rows, sheaf_buf_slice(&csv->text), false);
}

int32_t sheaf__csv_next(sheaf__rows *rows, sheaf_request *request) {
  const sheaf__columns *columns = rows->columns;
  int32_t status = sheaf__csv_header(rows);
  if (status == SHEAF_OK) status = next_record(rows);
  if (status == SHEAF_OK) status = check_record(rows);
  if (status != SHEAF_OK) return status;
  if (columns->id != SHEAF__LITERAL) request->custom_id = rows->csv.values[columns->id];
  if (rows->template_->text == NULL) {
    request->prompt = rows->csv.values[columns->prompt];
  } else {
    sheaf_buf_reset(&rows->scratch);
    status = sheaf__template_apply(rows->template_, rows->csv.values, &rows->scratch);
    request->prompt = sheaf_buf_slice(&rows->scratch);
    if (status != SHEAF_OK) return sheaf__rows_input_failed(rows, SHEAF_E_NOMEM);
  }
  unsigned long long line = rows->line;
  if (request->custom_id.bytes > SHEAF_CUSTOM_ID_BYTES_MAX) {
    return sheaf__say(rows->said, SHEAF_E_TOO_LONG,
                      "%s:%llu: the custom_id is longer than %d bytes; shorten it", rows->name,
                      line, SHEAF_CUSTOM_ID_BYTES_MAX);
  }
  if (request->prompt.bytes > 0) return SHEAF_OK;
  return sheaf__say(rows->said, SHEAF_E_FIELD, "%s:%llu: the prompt is empty; fill the field",
                    rows->name, line);
}
