/* provider_test.h: what the tests of providers share: a request in and its wire bytes out, wire
 * bytes in and what was decoded, streams fed whole and byte by byte. Memory is counted; bodies are
 * copied to their exact size, so that a byte read too far shows under the sanitizer. */
#ifndef PROVIDER_TEST_H
#define PROVIDER_TEST_H

#include "check.h"
#include "test_alloc.h"

#include <sheaf/provider.h>

#include "wire/stream.h"

#define TEXT(text) SHEAF_LITERAL(text)
#define UNIX_MS 1795000000000 /* 2026-11-18T11:06:40Z */

typedef struct wire_test {
  test_alloc memory;
  sheaf_allocator allocator;
  const sheaf_provider *provider;
  bool stream;
  sheaf_slice base_url;
  sheaf_slice default_url;
  sheaf_buf path;
  sheaf_buf body;
  sheaf_buf scratch;
  sheaf_call call;
  sheaf_decoded decoded;
  char *copy; /* of the last reply's body */
} wire_test;

static inline void wire_init(wire_test *test, const char *provider) {
  *test = (wire_test){.provider = sheaf_provider_find(sheaf_slice_of(provider))};
  test->allocator = test_allocator(&test->memory);
  test->base_url = sheaf_slice_of(test->provider->base_url);
  sheaf_buf_init(&test->path, &test->allocator, 1 << 20);
  sheaf_buf_init(&test->body, &test->allocator, 1 << 20);
  sheaf_buf_init(&test->scratch, &test->allocator, 1 << 20);
}

static inline void wire_deinit(wire_test *test) {
  sheaf_buf_deinit(&test->path);
  sheaf_buf_deinit(&test->body);
  sheaf_buf_deinit(&test->scratch);
  free(test->copy);
  test->copy = NULL;
  CHECK_EQ(test->memory.live_blocks, 0);
  CHECK(!test->memory.size_mismatch);
}

static inline int32_t wire_build(wire_test *test, const sheaf_request *request) {
  sheaf_build build = {.struct_bytes = sizeof build,
                       .stream = test->stream,
                       .request = request,
                       .base_url = test->base_url,
                       .default_url = test->default_url};
  sheaf_buf_reset(&test->path);
  sheaf_buf_reset(&test->body);
  test->call = (sheaf_call){.struct_bytes = sizeof test->call,
                            .path = &test->path,
                            .body = &test->body,
                            .output_tokens_max = 77};
  return test->provider->build(test->provider, &build, &test->call);
}

static inline sheaf_slice wire_copy(wire_test *test, const char *text, size_t bytes) {
  free(test->copy);
  test->copy = malloc(bytes ? bytes : 1);
  if (test->copy && bytes) memcpy(test->copy, text, bytes);
  return (sheaf_slice){test->copy, bytes};
}

static inline int32_t wire_decode(wire_test *test, uint32_t operation, const char *headers,
                                  const char *body) {
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = 200,
                       .operation = operation,
                       .headers = sheaf_slice_of(headers),
                       .body = wire_copy(test, body, strlen(body)),
                       .unix_ms = UNIX_MS};
  sheaf_buf_reset(&test->scratch);
  return test->provider->decode(test->provider, &reply, &test->scratch, &test->decoded);
}

static inline int32_t wire_classify(wire_test *test, uint32_t status, const char *headers,
                                    const char *body) {
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = status,
                       .headers = sheaf_slice_of(headers),
                       .body = wire_copy(test, body, strlen(body)),
                       .unix_ms = UNIX_MS};
  sheaf_buf_reset(&test->scratch);
  return test->provider->classify(test->provider, &reply, &test->scratch, &test->decoded);
}

static inline uint32_t wire_limits(wire_test *test, uint32_t status, const char *headers,
                                   const char *body, sheaf_limit *limits) {
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = status,
                       .headers = sheaf_slice_of(headers),
                       .body = wire_copy(test, body, strlen(body)),
                       .unix_ms = UNIX_MS};
  return test->provider->read_limits(test->provider, &reply, limits);
}

/* ---- Streams ---- */

typedef struct wire_feed {
  const sheaf_provider *provider;
  sheaf_stream stream;
  sheaf__framer framer;
} wire_feed;

static inline int32_t wire_on_event(void *ctx, sheaf_slice event, sheaf_slice data) {
  wire_feed *feed = ctx;
  return feed->provider->event(feed->provider, event, data, &feed->stream);
}

static inline void wire_feed_init(wire_feed *feed, wire_test *test, uint32_t operation) {
  *feed = (wire_feed){.provider = test->provider};
  feed->stream.struct_bytes = sizeof feed->stream;
  feed->stream.operation = operation;
  sheaf_buf_init(&feed->stream.text, &test->allocator, 1 << 20);
  sheaf_buf_init(&feed->stream.notes, &test->allocator, 1 << 20);
  sheaf_decoded_init(&feed->stream.so_far);
  sheaf__framer_init(&feed->framer, &test->allocator, test->provider->framing);
}

static inline void wire_feed_deinit(wire_feed *feed) {
  sheaf_buf_deinit(&feed->stream.text);
  sheaf_buf_deinit(&feed->stream.notes);
  sheaf__framer_deinit(&feed->framer);
}

/* Feeds a body in chunks of the given size and ends it. */
static inline int32_t wire_feed_all(wire_feed *feed, const char *body, size_t chunk_bytes) {
  size_t bytes = strlen(body);
  for (size_t at = 0; at < bytes; at += chunk_bytes) {
    size_t left = bytes - at;
    char *chunk = malloc(chunk_bytes);
    size_t chunk_now = left < chunk_bytes ? left : chunk_bytes;
    if (!chunk) return SHEAF_E_NOMEM;
    memcpy(chunk, body + at, chunk_now);
    int32_t status =
        sheaf__framer_feed(&feed->framer, (sheaf_slice){chunk, chunk_now}, wire_on_event, feed);
    free(chunk);
    if (status != SHEAF_OK) return status;
  }
  return sheaf__framer_end(&feed->framer, wire_on_event, feed);
}

static inline bool wire_same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Feeds a body whole (left in feed, to be looked at) and byte by byte, and compares. */
static inline void wire_stream(wire_feed *feed, wire_test *test, uint32_t operation,
                               const char *body) {
  wire_feed split;
  wire_feed_init(feed, test, operation);
  wire_feed_init(&split, test, operation);
  CHECK_OK(wire_feed_all(feed, body, strlen(body)));
  CHECK_OK(wire_feed_all(&split, body, 1));
  const sheaf_decoded *a = &feed->stream.so_far, *b = &split.stream.so_far;
  CHECK(wire_same(sheaf_buf_slice(&feed->stream.text), sheaf_buf_slice(&split.stream.text)));
  CHECK(wire_same(a->finish_reason, b->finish_reason));
  CHECK(wire_same(a->model, b->model));
  CHECK(wire_same(a->error_code, b->error_code));
  CHECK(wire_same(a->error_message, b->error_message));
  CHECK_EQ(a->error_class, b->error_class);
  CHECK_EQ(a->billing, b->billing);
  CHECK_EQ(a->usage.input_total, b->usage.input_total);
  CHECK_EQ(a->usage.output_total, b->usage.output_total);
  CHECK_EQ(feed->stream.terminal, split.stream.terminal);
  CHECK_EQ(feed->stream.finished, split.stream.finished);
  CHECK_EQ(feed->stream.tokens_seen, split.stream.tokens_seen);
  wire_feed_deinit(&split);
}

/* ---- Failing memory ---- */

/* Runs a build with the n-th allocation failing, for all n, and from then on too. */
static inline void wire_build_without_memory(wire_test *test, const sheaf_request *request) {
  for (int after = 0; after < 2; after++) {
    for (uint64_t n = 1; n < 100; n++) {
      sheaf_buf_deinit(&test->path);
      sheaf_buf_deinit(&test->body);
      test->memory.calls = 0;
      test->memory.fail_at = n;
      test->memory.fail_after = after != 0;
      int32_t status = wire_build(test, request);
      bool reached = test->memory.calls >= n;
      test->memory.fail_at = 0;
      CHECK_STATUS(status, reached ? SHEAF_E_NOMEM : SHEAF_OK);
      if (!reached) break;
    }
  }
}

/* ---- Tables of cases, one line each ---- */

#define NONE SHEAF_ABSENT
#define BILLED SHEAF_BILLING_BILLED
#define REFUSED SHEAF_BILLING_REFUSED
#define DOUBT SHEAF_BILLING_UNKNOWN
#define CLASS(name) SHEAF_CLASS_##name

typedef struct wire_build_case {
  const char *url;
  const char *prompt;
  const char *messages;
  const char *body;
  const char *system;
  const char *params;
  const char *model;
  uint64_t max_tokens;
  bool stream;
  const char *path;   /* expected; NULL: the build fails */
  const char *bytes;  /* expected body, or the message of the failure */
  int64_t output_max; /* expected; or the status of the failure */
} wire_build_case;

static inline sheaf_request wire_request(const wire_build_case *c) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.url = sheaf_slice_of(c->url);
  request.prompt = sheaf_slice_of(c->prompt);
  request.messages = sheaf_slice_of(c->messages);
  request.body = sheaf_slice_of(c->body);
  request.system = sheaf_slice_of(c->system);
  request.params = sheaf_slice_of(c->params);
  request.model = sheaf_slice_of(c->model);
  request.max_tokens = c->max_tokens;
  return request;
}

static inline void wire_check_builds(const char *provider, const wire_build_case *cases,
                                     size_t count) {
  for (size_t i = 0; i < count; i++) {
    const wire_build_case *c = &cases[i];
    wire_test test;
    int bad = check_bad;
    wire_init(&test, provider);
    test.stream = c->stream;
    sheaf_request request = wire_request(c);
    if (c->path) {
      CHECK_OK(wire_build(&test, &request));
      CHECK_TEXT(sheaf_buf_slice(&test.path), c->path);
      CHECK_TEXT(sheaf_buf_slice(&test.body), c->bytes);
      CHECK_EQ(test.call.output_tokens_max, c->output_max);
      CHECK_OK(sheaf_json_check(sheaf_buf_slice(&test.body), NULL));
      wire_build_without_memory(&test, &request);
    } else {
      CHECK_STATUS(wire_build(&test, &request), (int32_t)c->output_max);
      CHECK_TEXT(sheaf_slice_of(test.call.error_message), c->bytes);
      CHECK(test.call.error_field != NULL);
    }
    wire_deinit(&test);
    if (check_bad != bad) printf("  in case %zu\n", i);
  }
}

typedef struct wire_decode_case {
  uint32_t operation;
  const char *body;
  uint32_t error_class;
  uint32_t billing;
  const char *text;
  const char *finish;
  int64_t input, output;
} wire_decode_case;

static inline void wire_check_decodes(const char *provider, const wire_decode_case *cases,
                                      size_t count) {
  for (size_t i = 0; i < count; i++) {
    const wire_decode_case *c = &cases[i];
    wire_test test;
    int bad = check_bad;
    wire_init(&test, provider);
    CHECK_OK(wire_decode(&test, c->operation, "", c->body));
    const sheaf_decoded *d = &test.decoded;
    CHECK_EQ(d->error_class, c->error_class);
    CHECK_EQ(d->billing, c->billing);
    CHECK_TEXT(d->text_json, c->text);
    CHECK_TEXT(d->finish_reason, c->finish);
    CHECK_EQ(d->usage.input_total, c->input);
    CHECK_EQ(d->usage.output_total, c->output);
    CHECK_EQ(d->error_message.bytes > 0, c->error_class != SHEAF_CLASS_NONE);
    wire_deinit(&test);
    if (check_bad != bad) printf("  in case %zu: %s\n", i, c->body);
  }
}

typedef struct wire_stream_case {
  const char *body;
  uint32_t operation;
  uint32_t error_class;
  uint32_t billing;
  const char *text;
  const char *finish;
  bool terminal, finished;
} wire_stream_case;

static inline void wire_check_streams(const char *provider, const wire_stream_case *cases,
                                      size_t count) {
  for (size_t i = 0; i < count; i++) {
    const wire_stream_case *c = &cases[i];
    wire_test test;
    wire_feed feed;
    int bad = check_bad;
    wire_init(&test, provider);
    wire_stream(&feed, &test, c->operation, c->body);
    const sheaf_stream *s = &feed.stream;
    CHECK_EQ(s->so_far.error_class, c->error_class);
    CHECK_EQ(s->so_far.billing, c->billing);
    CHECK_TEXT(sheaf_buf_slice(&s->text), c->text);
    CHECK_TEXT(s->so_far.finish_reason, c->finish);
    CHECK_EQ(s->terminal, c->terminal);
    CHECK_EQ(s->finished, c->finished);
    wire_feed_deinit(&feed);
    wire_deinit(&test);
    if (check_bad != bad) printf("  in case %zu: %s\n", i, c->body);
  }
}

#endif
