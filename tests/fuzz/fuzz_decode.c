/* fuzz_decode.c: every reader of every provider against any bytes. The first byte chooses provider,
 * operation and mode, the second how much of the rest is headers.
 *
 * Asserted: no crash; what was decoded lies in the reply, in scratch or in static text, and all of
 * it can be read; the answer is the inside of a JSON string; a stream gives the same at any
 * chunking; the class is a known one. */
#include <sheaf/provider.h>

#include "wire/stream.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { DECODE, CLASSIFY, STREAM, LIMITS, TOOL_CALL, MODES };

static void *allocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

static const sheaf_allocator allocator = {allocate, NULL};

/* Reads every byte, which is what makes a slice into lost memory show. */
static uint32_t sum_of(sheaf_slice slice) {
  uint32_t sum = 0;
  for (size_t i = 0; i < slice.bytes; i++) sum += (unsigned char)slice.data[i];
  return sum;
}

static bool lies_in(sheaf_slice slice, const char *from, size_t bytes) {
  uintptr_t at = (uintptr_t)slice.data, begin = (uintptr_t)from;
  return at >= begin && at - begin <= bytes && slice.bytes <= bytes - (at - begin);
}

static void check_decoded(const sheaf_decoded *decoded) {
  volatile uint32_t sum = sum_of(decoded->finish_reason) + sum_of(decoded->request_id) +
                          sum_of(decoded->model) + sum_of(decoded->error_code) +
                          sum_of(decoded->error_message);
  (void)sum;
  REQUIRE(decoded->error_class < SHEAF_CLASS_COUNT);
  REQUIRE(decoded->billing <= SHEAF_BILLING_BILLED);
  REQUIRE(decoded->scope <= SHEAF_SCOPE_REQUEST);
  REQUIRE(decoded->error_message.bytes <= 1000);
  REQUIRE(decoded->usage.input_total == SHEAF_ABSENT || decoded->usage.input_total >= 0);
  REQUIRE(decoded->usage.output_total == SHEAF_ABSENT || decoded->usage.output_total >= 0);
}

static void check_inside(sheaf_slice inside) {
  sheaf_buf quoted;
  sheaf_buf_init(&quoted, &allocator, SIZE_MAX / 2);
  sheaf_buf_append(&quoted, "\"", 1);
  sheaf_buf_append_slice(&quoted, inside);
  sheaf_buf_append(&quoted, "\"", 1);
  REQUIRE(sheaf_json_check(sheaf_buf_slice(&quoted), NULL) == SHEAF_OK);
  sheaf_buf_deinit(&quoted);
}

static void run_reply(const sheaf_provider *provider, const sheaf_reply *reply, bool is_error) {
  sheaf_buf scratch;
  sheaf_decoded decoded;
  sheaf_buf_init(&scratch, &allocator, 1 << 20);
  int32_t status = is_error ? provider->classify(provider, reply, &scratch, &decoded)
                            : provider->decode(provider, reply, &scratch, &decoded);
  REQUIRE(status == SHEAF_OK);
  check_decoded(&decoded);
  if (decoded.text_json.bytes > 0) {
    REQUIRE(lies_in(decoded.text_json, reply->body.data, reply->body.bytes) ||
            lies_in(decoded.text_json, scratch.data, scratch.bytes));
    check_inside(decoded.text_json);
  }
  if (is_error) REQUIRE(decoded.error_class != SHEAF_CLASS_NONE);
  if (decoded.error_class != SHEAF_CLASS_NONE) REQUIRE(decoded.error_message.bytes > 0);
  sheaf_buf_deinit(&scratch);
}

static void run_limits(const sheaf_provider *provider, const sheaf_reply *reply) {
  sheaf_limit limits[SHEAF_LIMITS_MAX];
  if (!provider->read_limits) return;
  uint32_t count = provider->read_limits(provider, reply, limits);
  REQUIRE(count <= SHEAF_LIMITS_MAX);
  for (uint32_t i = 0; i < count; i++) REQUIRE(limits[i].resource < SHEAF_RESOURCE_COUNT);
}

static void run_tool_call(const sheaf_provider *provider, const sheaf_reply *reply) {
  sheaf_result result = {.struct_bytes = sizeof result,
                         .provider = sheaf_slice_of(provider->name),
                         .operation = reply->operation,
                         .body = reply->body};
  for (uint32_t n = 0; n < 4; n++) {
    sheaf_tool_call call;
    if (sheaf_result_tool_call(&result, n, &call) != SHEAF_OK) break;
    sheaf_slice slices[] = {call.id, call.name, call.arguments};
    for (size_t i = 0; i < 3; i++) {
      if (slices[i].bytes == 0) continue;
      REQUIRE(lies_in(slices[i], reply->body.data, reply->body.bytes));
    }
  }
}

/* ---- Streams ---- */

typedef struct feed {
  const sheaf_provider *provider;
  sheaf_stream stream;
  sheaf__framer framer;
} feed;

static int32_t on_event(void *ctx, sheaf_slice event, sheaf_slice data) {
  feed *f = ctx;
  return f->provider->event(f->provider, event, data, &f->stream);
}

static void feed_all(feed *f, const sheaf_provider *provider, const sheaf_reply *reply,
                     size_t chunk) {
  *f = (feed){.provider = provider, .stream = {.operation = reply->operation}};
  sheaf_buf_init(&f->stream.text, &allocator, 1 << 20);
  sheaf_buf_init(&f->stream.notes, &allocator, 1 << 20);
  sheaf_decoded_init(&f->stream.so_far);
  sheaf__framer_init(&f->framer, &allocator, provider->framing);
  int32_t status = SHEAF_OK;
  for (size_t at = 0; at < reply->body.bytes && status == SHEAF_OK; at += chunk) {
    size_t left = reply->body.bytes - at;
    sheaf_slice part = {reply->body.data + at, left < chunk ? left : chunk};
    status = sheaf__framer_feed(&f->framer, part, on_event, f);
  }
  if (status == SHEAF_OK) status = sheaf__framer_end(&f->framer, on_event, f);
  REQUIRE(status == SHEAF_OK);
}

static void feed_deinit(feed *f) {
  sheaf_buf_deinit(&f->stream.text);
  sheaf_buf_deinit(&f->stream.notes);
  sheaf__framer_deinit(&f->framer);
}

static bool same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static void run_stream(const sheaf_provider *provider, const sheaf_reply *reply, size_t chunk) {
  feed whole, split;
  feed_all(&whole, provider, reply, reply->body.bytes + 1);
  feed_all(&split, provider, reply, chunk);
  const sheaf_decoded *a = &whole.stream.so_far, *b = &split.stream.so_far;
  check_decoded(a);
  check_decoded(b);
  check_inside(sheaf_buf_slice(&whole.stream.text));
  REQUIRE(same(sheaf_buf_slice(&whole.stream.text), sheaf_buf_slice(&split.stream.text)));
  REQUIRE(same(a->finish_reason, b->finish_reason) && same(a->model, b->model));
  REQUIRE(same(a->error_code, b->error_code) && same(a->error_message, b->error_message));
  REQUIRE(a->error_class == b->error_class && a->billing == b->billing);
  REQUIRE(whole.stream.terminal == split.stream.terminal);
  REQUIRE(whole.stream.finished == split.stream.finished);
  feed_deinit(&whole);
  feed_deinit(&split);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  if (bytes < 2) return 0;
  uint32_t choice = data[0];
  const sheaf_provider *provider = sheaf_provider_at(choice & 3);
  size_t header_bytes = data[1];
  char *copy = malloc(bytes - 1); /* of its exact size, plus one so that it is never empty */
  REQUIRE(copy != NULL);
  memcpy(copy, data + 2, bytes - 2);
  if (header_bytes > bytes - 2) header_bytes = bytes - 2;
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = 200,
                       .operation = choice >> 2 & 3,
                       .headers = {copy, header_bytes},
                       .body = {copy + header_bytes, bytes - 2 - header_bytes},
                       .unix_ms = 1795000000000};
  static const uint32_t statuses[] = {400, 429, 500, 302, 404, 503, 200, 403};
  switch ((choice >> 4) % MODES) {
    case DECODE: run_reply(provider, &reply, false); break;
    case CLASSIFY:
      reply.http_status = statuses[header_bytes & 7];
      run_reply(provider, &reply, true);
      break;
    case STREAM: run_stream(provider, &reply, header_bytes % 7 + 1); break;
    case LIMITS:
      reply.http_status = header_bytes & 1 ? 429 : 200;
      run_limits(provider, &reply);
      break;
    default: run_tool_call(provider, &reply);
  }
  free(copy);
  return 0;
}
