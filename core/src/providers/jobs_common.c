/* jobs_common.c: what the batch APIs share.
 *
 * Outline: texts, times and states of replies; walking a page; rows; forms, paths and headers. */
#include "providers/jobs_common.h"

#include "base/mem.h"
#include "providers/table.h"
#include "wire/http.h"

#if SHEAF__HAS_JOBS

/* ---- Texts, times, states ---- */

static bool make_room(sheaf__job_reading *reading) {
  if (!reading->has_room && reading->status == SHEAF_OK) {
    reading->status = sheaf_buf_reserve(reading->scratch, reading->room);
    reading->has_room = true;
  }
  return reading->status == SHEAF_OK;
}

sheaf_slice sheaf__job_text(sheaf__job_reading *reading, sheaf_slice value) {
  const sheaf_slice none = {NULL, 0};
  const uint32_t kind = sheaf_json_kind(value);
  if (kind == SHEAF_JSON_NUMBER) return value;
  if (kind != SHEAF_JSON_STRING) return none;
  const sheaf_slice inside = sheaf_json_inside(value);
  if (inside.bytes == 0) return none;
  if (!memchr(inside.data, '\\', inside.bytes)) return inside;
  if (!make_room(reading)) return none;
  const size_t from = reading->scratch->bytes;
  const int32_t status = sheaf_buf_append_unescaped(reading->scratch, inside);
  if (status == SHEAF_E_SYNTAX) return none;
  if (status != SHEAF_OK) reading->status = status;
  if (reading->status != SHEAF_OK) return none;
  return (sheaf_slice){reading->scratch->data + from, reading->scratch->bytes - from};
}

int64_t sheaf__job_time_ms(sheaf_slice value) {
  int64_t number = 0;
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) {
    const int64_t date = sheaf__date_unix_ms(sheaf_json_inside(value));
    if (date != INT64_MIN) return date;
  } else if (sheaf_json_nano(value, &number) == SHEAF_OK) {
    return number > 0 ? number / (int64_t)SHEAF__MS : SHEAF_ABSENT;
  }
  if (sheaf_json_int(value, &number) != SHEAF_OK || number <= 0) return SHEAF_ABSENT;
  return number > INT64_MAX / 1000 ? SHEAF_ABSENT : number * 1000;
}

uint32_t sheaf__job_state(sheaf_slice value, const sheaf__job_word *words, size_t count) {
  const sheaf_slice inside = sheaf_json_inside(value);
  for (size_t i = 0; i < count; i++) {
    if (sheaf__equals_nocase(inside, words[i].word)) return words[i].state;
  }
  return SHEAF_JOB_UNKNOWN_STATE;
}

/* OpenAI: code token_limit_exceeded, "Enqueued token limit reached for ..." (protocols 1.5). */
bool sheaf__job_is_full(sheaf_slice code, sheaf_slice message) {
  return sheaf__contains_nocase(code, "token_limit") || sheaf__contains_nocase(code, "enqueued") ||
         sheaf__contains_nocase(message, "enqueued token");
}

int32_t sheaf__job_read_object(sheaf_slice object, const char *const paths[SHEAF__JOB_PATHS],
                               const sheaf__job_word *words, size_t word_count, sheaf_buf *scratch,
                               sheaf_job_news *news) {
  sheaf_slice at[SHEAF__JOB_PATHS];
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(object, paths, SHEAF__JOB_PATHS, at, NULL, NULL) != SHEAF_OK) {
    return SHEAF_E_SYNTAX;
  }
  sheaf__job_reading reading = sheaf__job_reading_of(object, scratch);
  news->state = sheaf__job_state(at[SHEAF__JOB_AT_STATUS], words, word_count);
  news->job = sheaf__job_text(&reading, at[SHEAF__JOB_AT_ID]);
  news->output = sheaf__job_text(&reading, at[SHEAF__JOB_AT_OUTPUT]);
  news->errors = sheaf__job_text(&reading, at[SHEAF__JOB_AT_ERRORS]);
  news->marker = sheaf__job_text(&reading, at[SHEAF__JOB_AT_MARKER]);
  news->error_code = sheaf__job_text(&reading, at[SHEAF__JOB_AT_CODE]);
  news->error_message = sheaf__job_text(&reading, at[SHEAF__JOB_AT_MESSAGE]);
  news->total = sheaf__count(at[SHEAF__JOB_AT_TOTAL]);
  news->completed = sheaf__count(at[SHEAF__JOB_AT_DONE]);
  news->failed = sheaf__count(at[SHEAF__JOB_AT_FAILED]);
  news->created_unix_ms = sheaf__job_time_ms(at[SHEAF__JOB_AT_CREATED]);
  news->is_full = news->state == SHEAF_JOB_FAILED_STATE &&
                  sheaf__job_is_full(news->error_code, news->error_message);
  if (reading.status != SHEAF_OK) return reading.status;
  return news->job.bytes > 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
}

/* ---- Walking a page ---- */

int32_t sheaf__job_next(sheaf_slice body, const char *name, size_t *at, sheaf_slice *element) {
  sheaf_json_iter iter = {.at = body.data + *at, .end = body.data + body.bytes};
  if (*at == 0) {
    sheaf_slice array;
    const sheaf_slice document = sheaf__document(body);
    if (sheaf_json_kind(document) != SHEAF_JSON_OBJECT ||
        sheaf_json_pick(document, &name, 1, &array, NULL, NULL) != SHEAF_OK) {
      return SHEAF_E_SYNTAX;
    }
    if (sheaf_json_kind(array) <= SHEAF_JSON_NULL) return SHEAF_E_END;
    if (sheaf_json_kind(array) != SHEAF_JSON_ARRAY) return SHEAF_E_SYNTAX;
    sheaf_json_iter_init(&iter, array);
  }
  sheaf_slice key;
  const int32_t status = sheaf_json_iter_next(&iter, &key, element);
  *at = (size_t)(iter.at - body.data);
  if (status != SHEAF_OK) return SHEAF_E_END;
  return sheaf_json_kind(*element) == SHEAF_JSON_OBJECT ? SHEAF_OK : SHEAF_E_SYNTAX;
}

/* ---- Rows ---- */

static sheaf_slice trim(sheaf_slice text, char separator) {
  text = sheaf__document(text);
  while (text.bytes > 0) {
    const char last = text.data[text.bytes - 1];
    if ((unsigned char)last > ' ' && last != separator) break;
    text.bytes--;
  }
  return text;
}

/* Valid JSON has line breaks between tokens only. */
static void put_on_one_line(sheaf_buf *to, sheaf_slice text) {
  const size_t from = to->bytes;
  if (sheaf_buf_append_slice(to, text) != SHEAF_OK) return;
  for (size_t i = from; i < to->bytes; i++) {
    if (to->data[i] == '\n' || to->data[i] == '\r') to->data[i] = ' ';
  }
}

int32_t sheaf__job_put_body(sheaf_buf *to, sheaf_slice body) {
  static const char *const paths[] = {"stream"};
  sheaf_slice stream;
  sheaf_json_facts facts;
  const sheaf_slice value = trim(body, ' ');
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(value, paths, 1, &stream, &facts, NULL) != SHEAF_OK) {
    return SHEAF_E_FIELD;
  }
  if (facts.has_invalid_utf8 || sheaf_json_true(stream)) return SHEAF_E_FIELD;
  if (!facts.has_line_break) return sheaf_buf_append_slice(to, value);
  put_on_one_line(to, value);
  return to->status;
}

int32_t sheaf__job_row_member(sheaf_slice row, const char *path, sheaf_slice *member) {
  const int32_t status = sheaf_json_pick(trim(row, ','), &path, 1, member, NULL, NULL);
  return status == SHEAF_OK && member->bytes > 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
}

void sheaf__job_put_text(sheaf_buf *to, const char *name, sheaf_slice text) {
  sheaf__comma(to);
  SHEAF__PUT(to, "\"");
  sheaf_buf_append_text(to, name);
  SHEAF__PUT(to, "\":");
  sheaf_buf_append_string(to, text);
}

/* ---- Forms, paths, headers ---- */

static bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
}

void sheaf__job_put_segment(sheaf_buf *to, sheaf_slice text) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < text.bytes; i++) {
    const char c = text.data[i];
    const unsigned char byte = (unsigned char)c;
    const char coded[] = {'%', hex[byte >> 4], hex[byte & 15]};
    const bool is_plain = is_word(c) || c == '.' || c == '_' || c == '~';
    sheaf_buf_append(to, is_plain ? &c : coded, is_plain ? 1 : sizeof coded);
  }
}

int32_t sheaf__job_header(sheaf_job_call *call, sheaf_slice name, sheaf_slice value) {
  if (call->header_count >= SHEAF_JOB_HEADERS_MAX) return SHEAF_E_LIMIT;
  call->headers[call->header_count++] = (sheaf_header){.name = name, .value = value};
  return SHEAF_OK;
}

/* RFC 2046 section 5.1.1: at most 70 characters. */
#define BOUNDARY_BYTES_MAX 60

/* The marker, or what of it may stand in a boundary. */
static void put_boundary(sheaf_buf *to, sheaf_slice marker) {
  size_t count = 0;
  for (size_t i = 0; i < marker.bytes && count < BOUNDARY_BYTES_MAX; i++) {
    if (!is_word(marker.data[i])) continue;
    sheaf_buf_append(to, marker.data + i, 1);
    count++;
  }
  if (count == 0) SHEAF__PUT(to, "sheaf");
}

int32_t sheaf__job_form(const sheaf_job_facts *facts, sheaf_job_call *call) {
  sheaf_buf *head = call->head;
  SHEAF__PUT(head, "--");
  put_boundary(head, facts->marker);
  SHEAF__PUT(head, "\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--");
  put_boundary(head, facts->marker);
  SHEAF__PUT(head, "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"");
  put_boundary(head, facts->marker);
  SHEAF__PUT(head, ".jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n");
  SHEAF__PUT(call->tail, "\r\n--");
  put_boundary(call->tail, facts->marker);
  SHEAF__PUT(call->tail, "--\r\n");
  call->has_rows = true;
  const size_t from = call->text->bytes;
  SHEAF__PUT(call->text, "multipart/form-data; boundary=");
  put_boundary(call->text, facts->marker);
  if (call->text->status != SHEAF_OK) return call->text->status;
  return sheaf__job_header(call, SHEAF_LITERAL("Content-Type"),
                           (sheaf_slice){call->text->data + from, call->text->bytes - from});
}

int32_t sheaf__job_call_status(const sheaf_job_call *call) {
  const sheaf_buf *const bufs[] = {call->path, call->head, call->tail, call->text};
  for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
    if (bufs[i]->status != SHEAF_OK) return bufs[i]->status;
  }
  return SHEAF_OK;
}

int32_t sheaf__job_call_by_id(sheaf_job_call *call, const char *method, const char *before,
                              sheaf_slice id, const char *behind) {
  call->method = method;
  sheaf_buf_append_text(call->path, before);
  sheaf__job_put_segment(call->path, id);
  sheaf_buf_append_text(call->path, behind);
  return sheaf__job_call_status(call);
}

#endif
