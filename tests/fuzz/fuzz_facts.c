/* fuzz_facts.c: any bytes as an output line; and any bytes as a provider's reply, written and read back.
 *
 * The first byte chooses: bit 0 a stream, bit 1 a failure, bit 2 the bytes are metadata and the id too. */
#include <sheaf/line.h>

#include "base/mem.h"

#include "test_alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_as_line(sheaf_slice line) {
  sheaf_line_facts facts;
  const int32_t status = sheaf_line_facts_read(line, &facts);
  SHEAF_ASSERT(status == SHEAF_OK || status == SHEAF_E_SYNTAX || status == SHEAF_E_FIELD);
  if (status != SHEAF_OK) return;
  SHEAF_ASSERT(facts.ok == (facts.error_class == SHEAF_CLASS_NONE));
  SHEAF_ASSERT(facts.custom_id.bytes == 0 ||
               (facts.custom_id.data > line.data &&
                facts.custom_id.data + facts.custom_id.bytes < line.data + line.bytes));
}

static sheaf_result result_of(uint8_t choice, sheaf_slice bytes) {
  sheaf_result result = {.struct_bytes = sizeof(sheaf_result), .index = choice, .body = bytes};
  result.custom_id = result.metadata = choice & 4 ? bytes : (sheaf_slice){NULL, 0};
  result.text = bytes;
  result.ttft_ns = result.first_byte_ns = SHEAF_NEVER;
  result.cost_usd_nano = SHEAF_ABSENT;
  result.usage.input_total = SHEAF_ABSENT;
  result.streamed = choice & 1;
  result.ok = !(choice & 2);
  result.error_class = result.ok ? SHEAF_CLASS_NONE : SHEAF_CLASS_SERVER;
  result.error_message = bytes;
  result.http_status = result.ok ? 200 : 500;
  return result;
}

static void check_line(const sheaf_result *result, sheaf_slice line) {
  sheaf_json_facts json;
  sheaf_line_facts facts;
  SHEAF_ASSERT(line.bytes > 1 && line.data[line.bytes - 1] == '\n');
  SHEAF_ASSERT(!memchr(line.data, '\n', line.bytes - 1));
  SHEAF_ASSERT(sheaf_json_pick(line, NULL, 0, NULL, &json, NULL) == SHEAF_OK);
  SHEAF_ASSERT(!json.has_invalid_utf8 && !json.has_line_break);
  SHEAF_ASSERT(sheaf_line_facts_read(line, &facts) == SHEAF_OK);
  SHEAF_ASSERT(facts.has_sheaf && facts.ok == result->ok && facts.index == result->index);
  SHEAF_ASSERT(facts.error_class == result->error_class);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  const sheaf_slice all = {(const char *)data, bytes};
  sheaf_buf out;
  read_as_line(all);
  if (bytes == 0) return 0;
  const sheaf_result result = result_of(data[0], sheaf__slice_from(all, 1));
  sheaf_buf_init(&out, &allocator, SIZE_MAX / 2);
  SHEAF_ASSERT(sheaf_line_write(&result, &out) == SHEAF_OK);
  check_line(&result, sheaf_buf_slice(&out));
  sheaf_buf_deinit(&out);
  SHEAF_ASSERT(memory.live_blocks == 0 && !memory.size_mismatch);
  return 0;
}
