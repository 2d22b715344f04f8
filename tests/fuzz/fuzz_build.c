/* fuzz_build.c: every builder of every provider against any request. The first two bytes choose
 * provider, operation and which fields are given; the rest is cut at each zero byte into body or
 * messages, params, system, model and url.
 *
 * Asserted: no crash; a build that succeeds has made a path and one JSON object (where its
 * messages, which go out as they are, were JSON), with every key of ours at most once; a build that
 * fails says why. */
#include <sheaf/provider.h>

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void *allocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

static const sheaf_allocator allocator = {allocate, NULL};

static sheaf_slice next_field(sheaf_slice *rest) {
  sheaf_slice field = *rest;
  const char *end = rest->bytes > 0 ? memchr(rest->data, 0, rest->bytes) : NULL;
  if (!end) {
    *rest = (sheaf_slice){NULL, 0};
    return field;
  }
  field.bytes = (size_t)(end - rest->data);
  rest->data += field.bytes + 1;
  rest->bytes -= field.bytes + 1;
  return field;
}

/* How often a key stands at the top of an object. */
static int count_key(sheaf_slice object, const char *wanted) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int count = 0;
  while (object.bytes > 0 && *object.data != '{') object.data++, object.bytes--;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return 0;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (key.bytes == strlen(wanted) && memcmp(key.data, wanted, key.bytes) == 0) count++;
  }
  return count;
}

static int count_given(const sheaf_request *request, const char *wanted) {
  int count = request->body.bytes > 0 ? count_key(request->body, wanted) : 0;
  sheaf_buf braced;
  sheaf_buf_init(&braced, &allocator, SIZE_MAX / 2);
  sheaf_buf_append(&braced, "{", 1);
  sheaf_buf_append_slice(&braced, request->params);
  sheaf_buf_append(&braced, "}", 1);
  if (sheaf_json_check(sheaf_buf_slice(&braced), NULL) == SHEAF_OK) {
    count += count_key(sheaf_buf_slice(&braced), wanted);
  }
  sheaf_buf_deinit(&braced);
  return count;
}

static void check_made(const sheaf_request *request, const sheaf_call *call) {
  static const char *const ours[] = {"model",      "stream",   "stream_options",
                                     "max_tokens", "messages", "system",
                                     "contents",   "options",  "generationConfig"};
  sheaf_slice body = sheaf_buf_slice(call->body);
  REQUIRE(call->path->bytes > 0);
  if (request->messages.bytes > 0 && sheaf_json_check(request->messages, NULL) != SHEAF_OK) return;
  REQUIRE(sheaf_json_check(body, NULL) == SHEAF_OK);
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
    int given = count_given(request, ours[i]);
    REQUIRE(count_key(body, ours[i]) <= (given > 1 ? given : 1));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static const char *const urls[] = {"",
                                     "/v1/responses",
                                     "/v1/embeddings",
                                     "/v1/completions",
                                     "/api/generate",
                                     "/api/embed",
                                     "/v1/chat/completions",
                                     NULL};
  if (bytes < 2) return 0;
  const sheaf_provider *provider = sheaf_provider_at(data[0] & 3);
  char *copy = malloc(bytes - 1);
  REQUIRE(copy != NULL);
  memcpy(copy, data + 2, bytes - 2);
  sheaf_slice rest = {copy, bytes - 2};
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_slice content = next_field(&rest);
  if (data[1] & 1) request.body = content;
  if (data[1] & 2) request.messages = content;
  if (data[1] & 4) request.prompt = content;
  request.params = next_field(&rest);
  request.model = next_field(&rest);
  request.system = next_field(&rest);
  request.url = sheaf_slice_of(urls[data[0] >> 2 & 7]);
  if (!urls[data[0] >> 2 & 7]) request.url = next_field(&rest);
  request.max_tokens = data[1] & 8 ? data[1] : 0;
  sheaf_build build = {.struct_bytes = sizeof build,
                       .stream = (data[1] & 16) != 0,
                       .request = &request,
                       .base_url = sheaf_slice_of(provider->base_url)};
  sheaf_buf path, body;
  sheaf_buf_init(&path, &allocator, 1 << 20);
  sheaf_buf_init(&body, &allocator, 1 << 20);
  sheaf_call call = {.struct_bytes = sizeof call, .path = &path, .body = &body};
  int32_t status = provider->build(provider, &build, &call);
  if (status == SHEAF_OK) {
    check_made(&request, &call);
  } else {
    REQUIRE(call.error_message != NULL && call.error_field != NULL);
  }
  sheaf_buf_deinit(&path);
  sheaf_buf_deinit(&body);
  free(copy);
  return 0;
}
