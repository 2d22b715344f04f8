/* decoding.c: what the readers of replies share, classes apart (classify.c).
 *
 * Outline: searching; keeping strings (with the one rule that makes it safe: when scratch moves,
 * the slices of decoded that point into it move along); excerpts; joining text; headers; counts;
 * streams; tool calls of results. */
#include "providers/decoding.h"

#include "base/mem.h"
#include "wire/http.h"

/* ---- Searching ---- */

static char lower_of(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool sheaf__contains_nocase(sheaf_slice text, const char *lower) {
  size_t bytes = strlen(lower);
  for (size_t at = 0; at + bytes <= text.bytes; at++) {
    size_t same = 0;
    while (same < bytes && lower_of(text.data[at + same]) == lower[same]) same++;
    if (same == bytes) return true;
  }
  return false;
}

sheaf_slice sheaf__document(sheaf_slice body) {
  if (body.bytes >= 3 && memcmp(body.data, "\xEF\xBB\xBF", 3) == 0)
    body = sheaf__slice_from(body, 3);
  while (body.bytes > 0 && (unsigned char)body.data[0] <= ' ') body = sheaf__slice_from(body, 1);
  return body;
}

/* ---- Keeping strings ---- */

/* Room for n bytes in scratch. Whatever in decoded points into it is moved along when it moves.
 * Without scratch (a task's outcome has no text to keep) there is no room. */
static bool make_room(sheaf_buf *buf, sheaf_decoded *decoded, size_t n) {
  if (!buf) return false;
  uintptr_t before = (uintptr_t)buf->data;
  size_t used = buf->bytes;
  if (sheaf_buf_reserve(buf, n) != SHEAF_OK) return false;
  if ((uintptr_t)buf->data == before || used == 0) return true;
  sheaf_slice *slices[] = {&decoded->text_json, &decoded->finish_reason, &decoded->request_id,
                           &decoded->model,     &decoded->error_code,    &decoded->error_message};
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
    uintptr_t at = (uintptr_t)slices[i]->data;
    if (slices[i]->bytes > 0 && at >= before && at - before < used) {
      slices[i]->data = buf->data + (at - before);
    }
  }
  return true;
}

static sheaf_slice tail_of(const sheaf_buf *buf, size_t from) {
  if (buf->status != SHEAF_OK || buf->bytes <= from) return (sheaf_slice){NULL, 0};
  return (sheaf_slice){buf->data + from, buf->bytes - from};
}

/* Cuts text so that no UTF-8 sequence is split. */
static sheaf_slice cut_plain(sheaf_slice text, size_t bytes_max) {
  if (text.bytes <= bytes_max) return text;
  size_t bytes = bytes_max;
  while (bytes > 0 && ((unsigned char)text.data[bytes] & 0xC0) == 0x80) bytes--;
  return (sheaf_slice){text.data, bytes};
}

/* Cuts the inside of a JSON string so that no escape is split either. */
static sheaf_slice cut_inside(sheaf_slice inside, size_t bytes_max) {
  if (inside.bytes <= bytes_max) return inside;
  size_t at = 0;
  while (at < bytes_max) {
    size_t step = 1;
    if (inside.data[at] == '\\') step = at + 1 < inside.bytes && inside.data[at + 1] == 'u' ? 6 : 2;
    if (at + step > bytes_max) break;
    at += step;
  }
  return cut_plain(inside, at);
}

sheaf_slice sheaf__keep_plain(sheaf__reading *reading, sheaf_slice text, size_t bytes_max) {
  text = cut_plain(text, bytes_max);
  if (!reading->copies || text.bytes == 0) return text;
  if (!make_room(reading->scratch, reading->out, text.bytes)) return (sheaf_slice){NULL, 0};
  size_t from = reading->scratch->bytes;
  sheaf_buf_append_slice(reading->scratch, text);
  return tail_of(reading->scratch, from);
}

sheaf_slice sheaf__keep(sheaf__reading *reading, sheaf_slice inside, size_t bytes_max) {
  if (inside.bytes == 0) return inside;
  if (!memchr(inside.data, '\\', inside.bytes))
    return sheaf__keep_plain(reading, inside, bytes_max);
  inside = cut_inside(inside, bytes_max);
  if (!make_room(reading->scratch, reading->out, inside.bytes)) return (sheaf_slice){NULL, 0};
  size_t from = reading->scratch->bytes;
  sheaf_buf_append_unescaped(reading->scratch, inside);
  return tail_of(reading->scratch, from);
}

/* ---- Excerpts ---- */

/* What stands between <title> and the next tag, where a proxy says what went wrong; else the page
 * itself. */
static sheaf_slice page_title(sheaf_slice body) {
  static const char tag[] = "<title>";
  size_t head = body.bytes < 4096 ? body.bytes : 4096;
  for (size_t at = 0; at + sizeof tag - 1 <= head; at++) {
    if (body.data[at] != '<') continue;
    size_t same = 0;
    while (same < sizeof tag - 1 && lower_of(body.data[at + same]) == tag[same]) same++;
    if (same < sizeof tag - 1) continue;
    sheaf_slice title = sheaf__slice_from(body, at + same);
    const char *end = memchr(title.data, '<', title.bytes);
    if (end && end > title.data) return (sheaf_slice){title.data, (size_t)(end - title.data)};
  }
  return body;
}

/* Appends text with every run of spaces and control bytes as one space. */
static void append_readable(sheaf_buf *buf, sheaf_slice text) {
  bool spaced = true;
  for (size_t i = 0; i < text.bytes; i++) {
    char c = (unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7F ? ' ' : text.data[i];
    if (c == ' ' && spaced) continue;
    spaced = c == ' ';
    sheaf_buf_append(buf, &c, 1);
  }
}

sheaf_slice sheaf__excerpt(sheaf__reading *reading, const char *why, sheaf_slice body) {
  sheaf_buf *scratch = reading->scratch;
  sheaf_slice fallback = *why ? sheaf_slice_of(why) : SHEAF_LITERAL("the reply had no body");
  sheaf_slice text = sheaf__document(body);
  if (text.bytes > 0 && text.data[0] == '<') text = page_title(text);
  text = cut_plain(text, SHEAF__EXCERPT_BYTES_MAX);
  size_t why_bytes = strlen(why);
  if (text.bytes == 0) return fallback;
  if (!make_room(scratch, reading->out, why_bytes + 2 + text.bytes)) return fallback;
  size_t from = scratch->bytes;
  if (why_bytes > 0) {
    sheaf_buf_append(scratch, why, why_bytes);
    sheaf_buf_append(scratch, ": ", 2);
  }
  size_t empty = scratch->bytes;
  append_readable(scratch, text);
  return scratch->bytes > empty ? tail_of(scratch, from) : fallback;
}

/* ---- Text ---- */

void sheaf__join(sheaf__reading *reading, sheaf_slice inside) {
  sheaf_buf *scratch = reading->scratch;
  sheaf_decoded *out = reading->out;
  if (inside.bytes == 0) return;
  if (reading->joined++ == 0) {
    out->text_json = inside;
    return;
  }
  if (reading->joined == 2) {
    if (!make_room(scratch, out, out->text_json.bytes + inside.bytes)) return;
    reading->joined_at = scratch->bytes;
    sheaf_buf_append_slice(scratch, out->text_json);
  }
  if (!make_room(scratch, out, inside.bytes)) return;
  sheaf_buf_append_slice(scratch, inside);
  out->text_json = tail_of(scratch, reading->joined_at);
}

/* ---- Headers ---- */

bool sheaf__header_line(sheaf_slice headers, size_t *at, sheaf_slice *line) {
  if (*at >= headers.bytes) return false;
  const char *from = headers.data + *at;
  size_t left = headers.bytes - *at;
  const char *end = memchr(from, '\n', left);
  *line = (sheaf_slice){from, end ? (size_t)(end - from) : left};
  *at += line->bytes + 1;
  return true;
}

static void read_reply_header(sheaf_decoded *out, sheaf_slice line, sheaf_slice *second) {
  size_t at = 0;
  sheaf_slice name, value;
  if (sheaf__header_next(line, &at, &name, &value) != SHEAF_OK) return;
  if (sheaf__equals_nocase(name, "x-request-id")) {
    out->request_id = cut_plain(value, SHEAF__WORD_BYTES_MAX);
  } else if (sheaf__equals_nocase(name, "request-id")) {
    *second = cut_plain(value, SHEAF__WORD_BYTES_MAX);
  } else if (sheaf__equals_nocase(name, "x-should-retry")) {
    if (sheaf__equals_nocase(value, "true")) out->should_retry = 1;
    if (sheaf__equals_nocase(value, "false")) out->should_retry = 0;
  }
}

void sheaf__read_reply_headers(sheaf__reading *reading, const sheaf_reply *reply) {
  size_t at = 0;
  sheaf_slice line, second = {NULL, 0};
  sheaf_decoded *out = reading->out;
  while (sheaf__header_line(reply->headers, &at, &line)) {
    /* This runs for every reply: a line is passed over by its first byte and the place of its
     * colon. */
    if (line.bytes < 11) continue;
    char first = lower_of(line.data[0]);
    bool is_candidate =
        (first == 'r' && line.data[10] == ':') ||
        (first == 'x' && line.bytes > 14 && (line.data[12] == ':' || line.data[14] == ':'));
    if (is_candidate) read_reply_header(out, line, &second);
  }
  if (out->request_id.bytes == 0) out->request_id = second;
}

/* ---- Counts ---- */

int64_t sheaf__count(sheaf_slice value) {
  int64_t number = 0;
  if (value.bytes == 0 || sheaf_json_int(value, &number) != SHEAF_OK) return SHEAF_ABSENT;
  return number < 0 ? SHEAF_ABSENT : number;
}

bool sheaf__read_count(sheaf__reading *reading, const char *member, sheaf_slice body,
                       sheaf__fault *fault) {
  const char *const paths[] = {member, "error"};
  sheaf_slice values[2] = {{NULL, 0}, {NULL, 0}};
  int32_t status = sheaf_json_pick(body, paths, 2, values, NULL, NULL);
  if (status == SHEAF_OK && sheaf__is_error(values[1])) {
    *fault = (sheaf__fault){0};
    sheaf__fault_from(fault, values[1], (sheaf_slice){NULL, 0});
    sheaf__fault_settle_late(reading, fault, false);
    return true;
  }
  sheaf_usage *usage = &reading->out->usage;
  usage->input_total = status == SHEAF_OK ? sheaf__count(values[0]) : SHEAF_ABSENT;
  if (usage->input_total == SHEAF_ABSENT) sheaf__invalid(reading, "the reply has no count", body);
  reading->out->billing = SHEAF_BILLING_REFUSED;
  return false;
}

int64_t sheaf__count_sum(int64_t a, int64_t b) {
  if (a == SHEAF_ABSENT) return b;
  if (b == SHEAF_ABSENT) return a;
  return sheaf__add_sat_i64(a, b);
}

/* ---- Streams ---- */

sheaf_slice sheaf_stream_note(sheaf_stream *stream, sheaf_slice bytes) {
  sheaf__reading reading = sheaf__stream_reading(stream);
  return sheaf__keep_plain(&reading, bytes, bytes.bytes);
}

sheaf__reading sheaf__stream_reading(sheaf_stream *stream) {
  return (sheaf__reading){.scratch = &stream->notes, .out = &stream->so_far, .copies = true};
}

int32_t sheaf__stream_pick(sheaf_stream *stream, sheaf_slice data, const char *const *paths,
                           uint32_t count, sheaf_slice *values) {
  int32_t status = sheaf_json_pick(data, paths, count, values, NULL, NULL);
  if (status == SHEAF_OK) return SHEAF_OK;
  /* A lost event would be a hole in the answer, so the stream is not good any more. */
  sheaf__reading reading = sheaf__stream_reading(stream);
  sheaf__invalid(&reading, "an event of the stream is not JSON", data);
  stream->terminal = true;
  return SHEAF_E_SYNTAX;
}

void sheaf__stream_text(sheaf_stream *stream, sheaf_slice inside) {
  if (inside.bytes == 0) return;
  stream->tokens_seen++;
  sheaf_buf_append_slice(&stream->text, inside);
}

void sheaf__stream_fault(sheaf_stream *stream, const sheaf__fault *fault) {
  sheaf__reading reading = sheaf__stream_reading(stream);
  sheaf__fault_settle_late(&reading, fault, stream->tokens_seen > 0);
  stream->terminal = true;
}

void sheaf__stream_finish(sheaf_stream *stream, sheaf_slice inside) {
  if (inside.bytes == 0) return;
  sheaf__reading reading = sheaf__stream_reading(stream);
  stream->finished = true;
  if (stream->so_far.error_class == SHEAF_CLASS_NONE) stream->so_far.billing = SHEAF_BILLING_BILLED;
  if (sheaf__slice_equal(stream->so_far.finish_reason, inside)) return;
  sheaf_slice kept = sheaf__keep(&reading, inside, SHEAF__WORD_BYTES_MAX);
  stream->so_far.finish_reason = kept;
}

void sheaf__stream_model(sheaf_stream *stream, sheaf_slice inside) {
  if (inside.bytes == 0 || stream->so_far.model.bytes > 0) return;
  sheaf__reading reading = sheaf__stream_reading(stream);
  sheaf_slice kept = sheaf__keep(&reading, inside, SHEAF__WORD_BYTES_MAX);
  stream->so_far.model = kept;
}

int32_t sheaf__stream_status(const sheaf_stream *stream) {
  return stream->text.status != SHEAF_OK ? stream->text.status : stream->notes.status;
}
