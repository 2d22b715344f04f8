/* fuzz_line.c: any bytes as an input line: no crash, and what is accepted holds together. */
#include <sheaf/line.h>

#include "base/mem.h"

#include "test_alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_inside(sheaf_slice slice, sheaf_slice line, const sheaf_buf *scratch) {
  if (slice.bytes == 0) return;
  const bool in_line =
      slice.data >= line.data && slice.data + slice.bytes <= line.data + line.bytes;
  const bool in_scratch = scratch->data && slice.data >= scratch->data &&
                          slice.data + slice.bytes <= scratch->data + scratch->bytes;
  SHEAF_ASSERT(in_line || in_scratch);
}

static void check_slices(const sheaf_request *request, sheaf_slice line, const sheaf_buf *scratch) {
  const sheaf_slice slices[] = {request->custom_id, request->prompt,  request->messages,
                                request->body,      request->url,     request->system,
                                request->params,    request->model,   request->endpoint,
                                request->trust_key, request->metadata};
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++)
    check_inside(slices[i], line, scratch);
}

/* A value taken as it is must still be JSON when it stands alone. */
static void check_json(const sheaf_allocator *allocator, const char *before, sheaf_slice value,
                       const char *after) {
  sheaf_buf whole;
  sheaf_buf_init(&whole, allocator, SIZE_MAX / 2);
  sheaf_buf_append_text(&whole, before);
  sheaf_buf_append_slice(&whole, value);
  sheaf_buf_append_text(&whole, after);
  SHEAF_ASSERT(sheaf_json_check(sheaf_buf_slice(&whole), NULL) == SHEAF_OK);
  sheaf_buf_deinit(&whole);
}

static void check_accepted(const sheaf_allocator *allocator, const sheaf_request *request) {
  const int forms =
      (request->prompt.data != NULL) + (request->messages.bytes > 0) + (request->body.bytes > 0);
  SHEAF_ASSERT(forms == 1 || (forms == 0 && request->params.bytes > 0));
  SHEAF_ASSERT(request->custom_id.bytes <= SHEAF_CUSTOM_ID_BYTES_MAX);
  SHEAF_ASSERT(request->priority <= 100);
  SHEAF_ASSERT(request->lane <= SHEAF_LANE_AUTO);
  check_json(allocator, "{", request->params, "}");
  if (request->messages.bytes) check_json(allocator, "", request->messages, "");
  if (request->body.bytes) check_json(allocator, "", request->body, "");
  if (request->metadata.bytes) check_json(allocator, "", request->metadata, "");
  if (request->prompt.data) check_json(allocator, "\"", request->prompt, "\"");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  const sheaf_slice line = {(const char *)data, bytes};
  sheaf_buf scratch;
  sheaf_request request;
  sheaf_parse_error error = {0};
  sheaf_buf_init(&scratch, &allocator, SHEAF_LINE_BYTES_MAX);
  const int32_t status = sheaf_line_read(line, &scratch, &request, &error);
  if (status == SHEAF_OK) {
    check_slices(&request, line, &scratch);
    check_accepted(&allocator, &request);
  } else {
    SHEAF_ASSERT(error.status == status && error.message != NULL);
    SHEAF_ASSERT(error.column <= bytes + 1 && error.offset <= bytes);
    SHEAF_ASSERT(sheaf_json_check(line, NULL) != SHEAF_OK || status != SHEAF_E_SYNTAX);
  }
  sheaf_buf_deinit(&scratch);
  SHEAF_ASSERT(memory.live_blocks == 0 && !memory.size_mismatch);
  return 0;
}
