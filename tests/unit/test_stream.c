/* test_stream.c: events of SSE and NDJSON at every chunking. */
#include "check.h"
#include "test_alloc.h"

#include <sheaf/provider.h>

#include "wire/stream.h"

static test_alloc heap;
static sheaf_allocator allocator;
static sheaf__framer framer;

/* The events of a run as text: "name<data>" each; a failure of its own after `stop_after` events. */
typedef struct record {
  char text[4096];
  size_t bytes;
  int count;
  int stop_after;
  const char *data_at; /* of the latest event */
} record;

static int32_t on_event(void *ctx, sheaf_slice event, sheaf_slice data) {
  record *r = ctx;
  if (r->bytes + event.bytes + data.bytes + 2 <= sizeof r->text) {
    if (event.bytes) memcpy(r->text + r->bytes, event.data, event.bytes);
    r->bytes += event.bytes;
    r->text[r->bytes++] = '<';
    if (data.bytes) memcpy(r->text + r->bytes, data.data, data.bytes);
    r->bytes += data.bytes;
    r->text[r->bytes++] = '>';
  }
  r->data_at = data.data;
  r->count++;
  return r->count == r->stop_after ? SHEAF_E_CANCELLED : SHEAF_OK;
}

static sheaf_slice said(const record *r) {
  return (sheaf_slice){r->text, r->bytes};
}

static void start(uint32_t framing) {
  memset(&heap, 0, sizeof heap);
  allocator = test_allocator(&heap);
  sheaf__framer_init(&framer, &allocator, framing);
}

static void finish(void) {
  sheaf__framer_deinit(&framer);
  CHECK_EQ(heap.live_blocks, 0);
  CHECK(!heap.size_mismatch);
}

/* A chunk in memory of its own, so that keeping a pointer into it past the feed shows under the sanitizer. */
static int32_t feed(const char *text, size_t bytes, record *r) {
  char *chunk = malloc(bytes ? bytes : 1);
  if (!chunk) return SHEAF_E_NOMEM;
  memcpy(chunk, text, bytes);
  int32_t status = sheaf__framer_feed(&framer, (sheaf_slice){chunk, bytes}, on_event, r);
  free(chunk);
  return status;
}

typedef struct stream_case {
  const char *text;
  const char *fed;   /* events of the feed */
  const char *ended; /* events of feed and end */
} stream_case;

static const stream_case sse_cases[] = {
    {"data: a\n\n", "message<a>", "message<a>"},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "message<a>message<b>", "message<a>message<b>"},
    {"data: a\r\rdata: b\r\r", "message<a>message<b>", "message<a>message<b>"},
    {"data: a\n\r\ndata: b\r\n\ndata: c\r\n\r", "message<a>message<b>message<c>",
     "message<a>message<b>message<c>"},
    {"data:a\n\ndata:  b\n\n", "message<a>message< b>", "message<a>message< b>"},
    {"data: one\ndata: two\ndata: three\n\n", "message<one\ntwo\nthree>",
     "message<one\ntwo\nthree>"},
    {"data\n\n", "message<>", "message<>"},
    {"data:\n\n", "message<>", "message<>"},
    {"data\ndata\n\n", "message<\n>", "message<\n>"},
    {"data:\ndata: x\n\n", "message<\nx>", "message<\nx>"},
    {"event: ping\ndata: {}\n\n", "ping<{}>", "ping<{}>"},
    {"data: {}\nevent: late\n\n", "late<{}>", "late<{}>"},
    {"event: only\n\ndata: x\n\n", "message<x>", "message<x>"},
    {"event: a\nevent: b\ndata: x\n\n", "b<x>", "b<x>"},
    {"event: a\nevent\ndata: x\n\n", "message<x>", "message<x>"},
    {"event: a\ndata: x\n\ndata: y\n\n", "a<x>message<y>", "a<x>message<y>"},
    {": comment\n\n:\n:data: no\ndata: x\n: inside\n\n", "message<x>", "message<x>"},
    {"id: 1\nretry: 10\nother: x\ndata: x\n\n", "message<x>", "message<x>"},
    {"Data: x\nDATA: y\ndatas: z\ndat: w\n\n", "", ""},
    {" data: x\n\n", "", ""},
    {"\xEF\xBB\xBF"
     "data: x\n\n",
     "message<x>", "message<x>"},
    {"\xEF\xBB\xBF\xEF\xBB\xBF"
     "data: x\n\n",
     "", ""},
    {"data: x\n\n\xEF\xBB\xBF"
     "data: y\n\n",
     "message<x>", "message<x>"},
    {"\n\n\n\ndata: x\n\n\n\n\n", "message<x>", "message<x>"},
    {"data: a:b: c\n\n", "message<a:b: c>", "message<a:b: c>"},
    {"data: \xE6\x9D\x9F\xE2\x80\xA8\xC2\x85|\n\n", "message<\xE6\x9D\x9F\xE2\x80\xA8\xC2\x85|>",
     "message<\xE6\x9D\x9F\xE2\x80\xA8\xC2\x85|>"},
    {"data: {\"a\":1}\n\ndata: [DONE]\n\n", "message<{\"a\":1}>message<[DONE]>",
     "message<{\"a\":1}>message<[DONE]>"},
    {"", "", ""},
    /* The body ends inside an event: delivered if it is whole. */
    {"data: [DONE]", "", "message<[DONE]>"},
    {"data:   [DONE] \n", "", "message<  [DONE] >"},
    {"data: {\"a\":1}", "", "message<{\"a\":1}>"},
    {"data: {\"a\":1}\n", "", "message<{\"a\":1}>"},
    {"data: {\"a\":1}\r", "", "message<{\"a\":1}>"},
    {"event: e\ndata: {\"a\":1}\n", "", "e<{\"a\":1}>"},
    {"data: {\"a\":1}\nevent: cut_na", "", "message<{\"a\":1}>"},
    {"data: {\ndata: }", "", "message<{\n}>"},
    {"\xEF\xBB\xBF"
     "data: {}",
     "", "message<{}>"},
    {"data: {\"a\":", "", ""},
    {"data: {\"a\":1}\ndata: {", "", ""},
    {"data: plain words", "", ""},
    {"data: ", "", ""},
    {"data\nevent: x\n", "", ""},
    {"data: [DONE", "", ""},
    {"dat", "", ""},
    {"event: x", "", ""},
    {"data: {}\n\ndata: {\"cut", "message<{}>", "message<{}>"},
};

static const stream_case ndjson_cases[] = {
    {"{\"a\":1}\n{\"a\":2}\n", "<{\"a\":1}><{\"a\":2}>", "<{\"a\":1}><{\"a\":2}>"},
    {"{\"a\":1}\r\n{\"a\":2}\r\n", "<{\"a\":1}><{\"a\":2}>", "<{\"a\":1}><{\"a\":2}>"},
    {"\n\r\n \t\n{}\n\n", "<{}>", "<{}>"},
    {"\xEF\xBB\xBF{}\n", "<{}>", "<{}>"},
    {"\xEF\xBB\xBF", "", ""},
    {"{}\r{}\n", "<{}\r{}>", "<{}\r{}>"},
    {"\"\xE2\x80\xA8\xE2\x80\xA9\xC2\x85\"\n", "<\"\xE2\x80\xA8\xE2\x80\xA9\xC2\x85\">",
     "<\"\xE2\x80\xA8\xE2\x80\xA9\xC2\x85\">"},
    {"not json\n{}\n", "<not json><{}>", "<not json><{}>"},
    {"{}\n{\"last\":true}", "<{}>", "<{}><{\"last\":true}>"},
    {"{\"last\":true}\r", "", "<{\"last\":true}>"},
    {"{}\n{\"cut\":", "<{}>", "<{}>"},
    {"", "", ""},
};

static void check_splits(const stream_case *c, uint32_t framing) {
  size_t bytes = strlen(c->text);
  for (size_t first = 0; first <= bytes; first++) {
    for (size_t second = first; second <= bytes; second++) {
      record r = {.stop_after = -1};
      start(framing);
      CHECK_OK(feed(c->text, first, &r));
      CHECK_OK(feed(c->text + first, second - first, &r));
      CHECK_OK(feed(c->text + second, bytes - second, &r));
      CHECK_TEXT(said(&r), c->fed);
      CHECK_OK(sheaf__framer_end(&framer, on_event, &r));
      CHECK_TEXT(said(&r), c->ended);
      finish();
    }
  }
}

static void check_bytewise(const stream_case *c, uint32_t framing) {
  record r = {.stop_after = -1};
  start(framing);
  for (size_t i = 0; i < strlen(c->text); i++) CHECK_OK(feed(c->text + i, 1, &r));
  CHECK_TEXT(said(&r), c->fed);
  CHECK_OK(sheaf__framer_end(&framer, on_event, &r));
  CHECK_TEXT(said(&r), c->ended);
  finish();
}

TEST(sse_gives_the_same_events_at_every_split) {
  for (size_t i = 0; i < sizeof sse_cases / sizeof *sse_cases; i++) {
    check_splits(&sse_cases[i], SHEAF_FRAMING_SSE);
    check_bytewise(&sse_cases[i], SHEAF_FRAMING_SSE);
  }
}

TEST(ndjson_gives_the_same_events_at_every_split) {
  for (size_t i = 0; i < sizeof ndjson_cases / sizeof *ndjson_cases; i++) {
    check_splits(&ndjson_cases[i], SHEAF_FRAMING_NDJSON);
    check_bytewise(&ndjson_cases[i], SHEAF_FRAMING_NDJSON);
  }
}

TEST(an_event_whole_in_a_chunk_is_not_copied) {
  static const char sse[] = "data: {\"a\":1}\n\n", lines[] = "{\"a\":1}\n";
  record r = {.stop_after = -1};
  start(SHEAF_FRAMING_SSE);
  CHECK_OK(sheaf__framer_feed(&framer, SHEAF_LITERAL(sse), on_event, &r));
  CHECK(r.data_at == sse + 6);
  CHECK_EQ(heap.calls, 0);
  finish();
  start(SHEAF_FRAMING_NDJSON);
  CHECK_OK(sheaf__framer_feed(&framer, SHEAF_LITERAL(lines), on_event, &r));
  CHECK(r.data_at == lines);
  CHECK_EQ(heap.calls, 0);
  finish();
}

TEST(what_the_callback_answers_stops_the_feed) {
  record r = {.stop_after = 2};
  start(SHEAF_FRAMING_SSE);
  static const char text[] = "data: 1\n\ndata: 2\n\ndata: 3\n\n";
  CHECK_STATUS(feed(text, sizeof text - 1, &r), SHEAF_E_CANCELLED);
  CHECK_TEXT(said(&r), "message<1>message<2>");
  finish();
  r = (record){.stop_after = 1};
  start(SHEAF_FRAMING_SSE);
  CHECK_OK(feed("data: 1\n", 8, &r));
  CHECK_STATUS(sheaf__framer_end(&framer, on_event, &r), SHEAF_E_CANCELLED);
  finish();
}

TEST(a_reset_framer_serves_the_next_body) {
  record r = {.stop_after = -1};
  start(SHEAF_FRAMING_SSE);
  CHECK_OK(feed("event: a\ndata: x\ndata: y\nevent: b\r", 33, &r));
  sheaf__framer_reset(&framer, SHEAF_FRAMING_SSE);
  CHECK_OK(feed("\ndata: z\n\n", 10, &r));
  CHECK_TEXT(said(&r), "message<z>");
  CHECK_OK(sheaf__framer_end(&framer, on_event, &r));
  CHECK_OK(
      feed("\xEF\xBB\xBF"
           "data: w\n\n",
           12, &r)); /* the end resets too */
  CHECK_TEXT(said(&r), "message<z>message<w>");
  sheaf__framer_reset(&framer, SHEAF_FRAMING_NDJSON);
  CHECK_OK(feed("1\n", 2, &r));
  CHECK_TEXT(said(&r), "message<z>message<w><1>");
  finish();
}

/* Fills the framer with `total` bytes of `byte` in chunks. */
static int32_t feed_many(char byte, size_t total, size_t chunk_bytes, record *r) {
  static char chunk[1 << 20];
  memset(chunk, byte, sizeof chunk);
  int32_t status = SHEAF_OK;
  for (size_t left = total; left > 0 && status == SHEAF_OK;) {
    size_t now = left < chunk_bytes ? left : chunk_bytes;
    status = sheaf__framer_feed(&framer, (sheaf_slice){chunk, now}, on_event, r);
    left -= now;
  }
  return status;
}

TEST(a_line_over_the_ceiling_is_refused_for_good) {
  record r = {.stop_after = -1};
  start(SHEAF_FRAMING_SSE);
  CHECK_OK(feed_many('x', SHEAF__EVENT_BYTES_MAX, 1 << 20, &r));
  CHECK_STATUS(feed("x", 1, &r), SHEAF_E_LIMIT);
  CHECK_STATUS(feed("\n\ndata: x\n\n", 11, &r), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf__framer_end(&framer, on_event, &r), SHEAF_E_LIMIT);
  CHECK_EQ(r.count, 0);
  sheaf__framer_reset(&framer, SHEAF_FRAMING_SSE);
  CHECK_OK(feed("data: x\n\n", 9, &r));
  CHECK_EQ(r.count, 1);
  finish();
}

TEST(a_line_at_the_ceiling_passes_and_one_over_fails_in_one_chunk_too) {
  for (size_t over = 0; over < 2; over++) {
    record r = {.stop_after = -1};
    size_t line = SHEAF__EVENT_BYTES_MAX + over;
    char *text = malloc(line + 2);
    memset(text, 'x', line);
    memcpy(text, "data:", 5);
    memcpy(text + line, "\n\n", 2);
    start(SHEAF_FRAMING_SSE);
    CHECK_STATUS(sheaf__framer_feed(&framer, (sheaf_slice){text, line + 2}, on_event, &r),
                 over ? SHEAF_E_LIMIT : SHEAF_OK);
    CHECK_EQ(r.count, over ? 0 : 1);
    finish();
    free(text);
  }
}

TEST(an_event_of_many_lines_has_the_same_ceiling) {
  record r = {.stop_after = -1};
  static char line[(1 << 20) + 1];
  memset(line, 'x', sizeof line);
  memcpy(line, "data:", 5);
  line[sizeof line - 1] = '\n';
  start(SHEAF_FRAMING_SSE);
  for (int i = 0; i < 8; i++) {
    CHECK_OK(sheaf__framer_feed(&framer, (sheaf_slice){line, sizeof line}, on_event, &r));
  }
  CHECK_STATUS(sheaf__framer_feed(&framer, (sheaf_slice){line, sizeof line}, on_event, &r),
               SHEAF_E_LIMIT);
  CHECK_STATUS(feed("\n", 1, &r), SHEAF_E_LIMIT);
  CHECK_EQ(r.count, 0);
  finish();
}

/* Each allocation fails in turn, once and from then on: an error is told, nothing leaks, a reset mends. */
TEST(a_refusing_allocator_is_told_and_mended) {
  static const char text[] = "event: name\ndata: {\"one\":1}\ndata: {\"two\":2}\n\ndata: {}\n\n";
  for (uint64_t n = 1; n < 20; n++) {
    for (int after = 0; after < 2; after++) {
      record r = {.stop_after = -1};
      start(SHEAF_FRAMING_SSE);
      heap.fail_at = n;
      heap.fail_after = after == 1;
      int32_t status = SHEAF_OK;
      for (size_t i = 0; i < sizeof text - 1 && status == SHEAF_OK; i++)
        status = feed(text + i, 1, &r);
      if (heap.calls >= n) {
        CHECK_EQ(status, SHEAF_E_NOMEM);
        CHECK_STATUS(feed("x", 1, &r), SHEAF_E_NOMEM);
      } else {
        CHECK_TEXT(said(&r), "name<{\"one\":1}\n{\"two\":2}>message<{}>");
      }
      heap.fail_at = 0;
      r = (record){.stop_after = -1};
      sheaf__framer_reset(&framer, SHEAF_FRAMING_SSE);
      CHECK_OK(feed(text, sizeof text - 1, &r));
      CHECK_TEXT(said(&r), "name<{\"one\":1}\n{\"two\":2}>message<{}>");
      finish();
    }
  }
}

int main(void) {
  RUN(sse_gives_the_same_events_at_every_split);
  RUN(ndjson_gives_the_same_events_at_every_split);
  RUN(an_event_whole_in_a_chunk_is_not_copied);
  RUN(what_the_callback_answers_stops_the_feed);
  RUN(a_reset_framer_serves_the_next_body);
  RUN(a_line_over_the_ceiling_is_refused_for_good);
  RUN(a_line_at_the_ceiling_passes_and_one_over_fails_in_one_chunk_too);
  RUN(an_event_of_many_lines_has_the_same_ceiling);
  RUN(a_refusing_allocator_is_told_and_mended);
  return check_report();
}
