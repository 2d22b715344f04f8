/* stream.c: framing of streamed bodies: SSE (WHATWG HTML, "Server-sent events") and NDJSON, at any chunking.
 *
 * Outline: lines of an event; dispatch; feeding of each framing; the end of the body.
 *
 * An event that lies whole in one chunk and has one data line is delivered as a slice of the chunk: nothing is copied.
 * What a chunk leaves unfinished is copied at its end: the rest of a line into `line`, data into `data`. The same bytes
 * give the same events at every chunking; so ceilings hold for whole lines and whole events, copied or not. */
#include "wire/stream.h"

#include <sheaf/provider.h>

#include "base/mem.h"

/* A feed under way. `held` is the event's only data line so far, not yet copied; it lies in the chunk or in `line`,
 * whose bytes stay until the end of the feed. */
typedef struct feed {
  sheaf__framer *framer;
  sheaf__event_fn fn;
  void *ctx;
  sheaf_slice held;
  bool holds;
  bool dispatched;   /* the latest line ended an event */
  const char *whole; /* in the chunk: behind the latest end of an event */
} feed;

void sheaf__framer_init(sheaf__framer *framer, const sheaf_allocator *allocator, uint32_t framing) {
  *framer = (sheaf__framer){.framing = framing};
  sheaf_buf_init(&framer->line, allocator, SHEAF__EVENT_BYTES_MAX);
  sheaf_buf_init(&framer->data, allocator, SHEAF__EVENT_BYTES_MAX);
  sheaf_buf_init(&framer->name, allocator, SHEAF__EVENT_BYTES_MAX);
}

void sheaf__framer_deinit(sheaf__framer *framer) {
  sheaf_buf_deinit(&framer->line);
  sheaf_buf_deinit(&framer->data);
  sheaf_buf_deinit(&framer->name);
}

void sheaf__framer_reset(sheaf__framer *framer, uint32_t framing) {
  sheaf_buf_reset(&framer->line);
  sheaf_buf_reset(&framer->data);
  sheaf_buf_reset(&framer->name);
  framer->framing = framing;
  framer->has_data = false;
  framer->swallow_lf = false;
  framer->past_bom = false;
  framer->overflowed = false;
  framer->fed = framer->whole = 0;
}

static int32_t refuse_long(sheaf__framer *framer) {
  framer->overflowed = true;
  return SHEAF_E_LIMIT;
}

/* ---- Lines of an event ---- */

static int32_t copy_held(feed *f) {
  if (!f->holds) return SHEAF_OK;
  f->holds = false;
  return sheaf_buf_append_slice(&f->framer->data, f->held);
}

static int32_t add_data(feed *f, sheaf_slice value) {
  sheaf__framer *framer = f->framer;
  if (!framer->has_data) {
    framer->has_data = true;
    f->held = value;
    f->holds = true;
    return SHEAF_OK;
  }
  copy_held(f);
  sheaf_buf_append(&framer->data, "\n", 1);
  return sheaf_buf_append_slice(&framer->data, value);
}

static bool is_field(sheaf_slice line, const char *field, size_t bytes) {
  return line.bytes >= bytes && memcmp(line.data, field, bytes) == 0 &&
         (line.bytes == bytes || line.data[bytes] == ':');
}

/* What follows the colon, without ONE space. */
static sheaf_slice field_value(sheaf_slice line, size_t field_bytes) {
  if (line.bytes == field_bytes) return (sheaf_slice){line.data + field_bytes, 0};
  sheaf_slice value = sheaf__slice_from(line, field_bytes + 1);
  return value.bytes > 0 && value.data[0] == ' ' ? sheaf__slice_from(value, 1) : value;
}

/* Hands the event over and forgets it. Without a data line there is none, but its name is forgotten all the same. */
static int32_t dispatch(feed *f) {
  sheaf__framer *framer = f->framer;
  int32_t status = SHEAF_OK;
  if (framer->has_data) {
    sheaf_slice name =
        framer->name.bytes ? sheaf_buf_slice(&framer->name) : SHEAF_LITERAL("message");
    status = f->fn(f->ctx, name, f->holds ? f->held : sheaf_buf_slice(&framer->data));
  }
  f->holds = false;
  f->dispatched = true;
  framer->has_data = false;
  sheaf_buf_reset(&framer->data);
  sheaf_buf_reset(&framer->name);
  return status;
}

/* The fields `id` and `retry` serve reconnection, which a generation has not; they are passed over like comments. */
static int32_t take_sse_line(feed *f, sheaf_slice line) {
  if (line.bytes == 0) return dispatch(f);
  if (is_field(line, "data", 4)) return add_data(f, field_value(line, 4));
  if (is_field(line, "event", 5)) {
    sheaf_buf_reset(&f->framer->name);
    return sheaf_buf_append_slice(&f->framer->name, field_value(line, 5));
  }
  return SHEAF_OK;
}

static bool is_blank(sheaf_slice line) {
  for (size_t i = 0; i < line.bytes; i++) {
    if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') return false;
  }
  return true;
}

static int32_t take_ndjson_line(feed *f, sheaf_slice line) {
  if (line.bytes > 0 && line.data[line.bytes - 1] == '\r') line.bytes--;
  if (is_blank(line)) return SHEAF_OK;
  return f->fn(f->ctx, (sheaf_slice){NULL, 0}, line);
}

/* A line's last piece came: joined to what earlier chunks left of it, freed of the body's mark, handed on. */
static int32_t take_line(feed *f, sheaf_slice line) {
  sheaf__framer *framer = f->framer;
  if (framer->line.bytes > 0) {
    if (sheaf_buf_append_slice(&framer->line, line) != SHEAF_OK) return framer->line.status;
    line = sheaf_buf_slice(&framer->line);
    framer->line.bytes = 0; /* the bytes stay in place for `held` */
  } else if (line.bytes > SHEAF__EVENT_BYTES_MAX) {
    return SHEAF_E_LIMIT;
  }
  if (!framer->past_bom) {
    framer->past_bom = true;
    if (line.bytes >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0)
      line = sheaf__slice_from(line, 3);
  }
  return framer->framing == SHEAF_FRAMING_NDJSON ? take_ndjson_line(f, line)
                                                 : take_sse_line(f, line);
}

/* ---- Feeding ---- */

static const char *find(const char *p, const char *end, char byte) {
  const char *found = p < end ? memchr(p, byte, (size_t)(end - p)) : NULL;
  return found ? found : end;
}

/* Lines end at LF, CRLF or a lone CR. Both marks are looked for ahead and kept until passed, so that a chunk is read
 * a bounded number of times whatever its line ends are. Answers where the unfinished line begins. */
static int32_t feed_sse(feed *f, const char **at, const char *end) {
  const char *p = *at;
  if (f->framer->swallow_lf && *p == '\n') {
    p++;
    if (f->framer->whole == f->framer->fed) f->whole = p; /* it belongs to the event's end */
  }
  f->framer->swallow_lf = false;
  const char *lf = find(p, end, '\n'), *cr = find(p, end, '\r');
  int32_t status = SHEAF_OK;
  for (*at = p; status == SHEAF_OK; *at = p) {
    if (lf < p) lf = find(p, end, '\n');
    if (cr < p) cr = find(p, end, '\r');
    const char *line_end = lf < cr ? lf : cr;
    if (line_end == end) break;
    sheaf_slice line = {p, (size_t)(line_end - p)};
    p = line_end + 1;
    if (line_end == cr) {
      if (p == end) {
        f->framer->swallow_lf = true; /* its LF may be the next chunk's first byte */
      } else if (*p == '\n') {
        p++;
      }
    }
    f->dispatched = false;
    status = take_line(f, line);
    if (f->dispatched) f->whole = p;
  }
  return status;
}

/* Lines end at LF alone. */
static int32_t feed_ndjson(feed *f, const char **at, const char *end) {
  const char *p = *at;
  int32_t status = SHEAF_OK;
  for (; status == SHEAF_OK; *at = p) {
    const char *lf = find(p, end, '\n');
    if (lf == end) break;
    sheaf_slice line = {p, (size_t)(lf - p)};
    p = lf + 1;
    status = take_line(f, line);
    f->whole = p;
  }
  return status;
}

static int32_t failure_of(const sheaf__framer *framer) {
  if (framer->overflowed) return SHEAF_E_LIMIT;
  if (framer->line.status != SHEAF_OK) return framer->line.status;
  if (framer->data.status != SHEAF_OK) return framer->data.status;
  return framer->name.status;
}

/* A failure of the framer's own sticks until the next reset. Once fn has stopped a feed the rest of that chunk is lost,
 * so the framer wants a reset too. */
int32_t sheaf__framer_feed(sheaf__framer *framer, sheaf_slice chunk, sheaf__event_fn fn,
                           void *ctx) {
  int32_t status = failure_of(framer);
  if (status != SHEAF_OK || chunk.bytes == 0) return status;
  feed f = {.framer = framer, .fn = fn, .ctx = ctx};
  const char *at = chunk.data, *end = chunk.data + chunk.bytes;
  status =
      framer->framing == SHEAF_FRAMING_NDJSON ? feed_ndjson(&f, &at, end) : feed_sse(&f, &at, end);
  if (f.whole != NULL) framer->whole = framer->fed + (uint64_t)(f.whole - chunk.data);
  framer->fed += chunk.bytes;
  if (status == SHEAF_OK)
    status = copy_held(&f); /* before `line`, where it may lie, is written again */
  if (status == SHEAF_OK) status = sheaf_buf_append(&framer->line, at, (size_t)(end - at));
  return status == SHEAF_E_LIMIT ? refuse_long(framer) : status;
}

/* ---- The end of the body ---- */

/* "[DONE]" by prefix, as the official clients compare, or one whole JSON value. */
static bool is_whole(sheaf_slice data) {
  size_t at = 0;
  if (data.bytes == 0) return false;
  while (at < data.bytes && (data.data[at] == ' ' || data.data[at] == '\t')) at++;
  sheaf_slice rest = sheaf__slice_from(data, at);
  if (rest.bytes >= 6 && memcmp(rest.data, "[DONE]", 6) == 0) return true;
  return sheaf_json_check(data, NULL) == SHEAF_OK;
}

/* Passes on only what proves to be whole. */
typedef struct gate {
  sheaf__event_fn fn;
  void *ctx;
} gate;

static int32_t pass_whole(void *ctx, sheaf_slice event, sheaf_slice data) {
  const gate *g = ctx;
  return is_whole(data) ? g->fn(g->ctx, event, data) : SHEAF_OK;
}

/* The unfinished line counts if it is data; an `event:` line may have lost the end of its name. */
int32_t sheaf__framer_end(sheaf__framer *framer, sheaf__event_fn fn, void *ctx) {
  int32_t status = failure_of(framer);
  if (status != SHEAF_OK) return status;
  gate g = {fn, ctx};
  feed f = {.framer = framer, .fn = pass_whole, .ctx = &g};
  bool is_sse = framer->framing != SHEAF_FRAMING_NDJSON;
  sheaf_slice line = sheaf_buf_slice(&framer->line);
  if (line.bytes > 0) {
    bool has_mark =
        !framer->past_bom && line.bytes >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0;
    sheaf_slice text = has_mark ? sheaf__slice_from(line, 3) : line;
    if (!is_sse || is_field(text, "data", 4)) status = take_line(&f, (sheaf_slice){NULL, 0});
  }
  if (status == SHEAF_OK && is_sse) status = dispatch(&f);
  if (status == SHEAF_E_LIMIT) return refuse_long(framer);
  sheaf__framer_reset(framer, framer->framing);
  return status;
}
