/* fuzz_answer.c: any bytes as a model's answer: what is written is strict JSON of valid UTF-8 within the
 * ceiling of nesting, by the scanner and by cJSON; strict JSON stays as it is; reading what was written
 * changes nothing more. A zero byte splits the input into an answer and a schema, which may be any
 * bytes, too. */
#include <sheaf/answer.h>

#include "base/mem.h"
#include "wire/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *heap_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes > 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

static const sheaf_allocator heap = {heap_realloc, NULL};

static void require(bool condition) {
  if (!condition) abort();
}

static bool is_clean_json(sheaf_slice text) {
  sheaf_json_facts facts;
  return sheaf_json_pick(text, NULL, 0, NULL, &facts, NULL) == SHEAF_OK && !facts.has_invalid_utf8;
}

static sheaf_slice trimmed(sheaf_slice text) {
  while (text.bytes && strchr(" \t\r\n", text.data[0]) && text.data[0]) text.data++, text.bytes--;
  while (text.bytes && strchr(" \t\r\n", text.data[text.bytes - 1]) && text.data[text.bytes - 1])
    text.bytes--;
  return text;
}

/* RFC 8259 lets half a pair of surrogates be escaped, cJSON does not. */
static bool has_surrogate(sheaf_slice json) {
  for (size_t i = 0; i + 3 < json.bytes; i++)
    if (json.data[i] == '\\' && json.data[i + 1] == 'u' && (json.data[i + 2] | 0x20) == 'd')
      return true;
  return false;
}

static void check_written(sheaf_slice text, sheaf_slice json, const sheaf_answer *answer) {
  require(is_clean_json(json));
  require(answer->kind == sheaf_json_kind(json) && answer->kind != SHEAF_JSON_NONE);
  require(answer->begin < answer->end && answer->end <= text.bytes);
  require(answer->score >= 1 && answer->score <= 100);
  require((answer->score == 100) == (answer->repairs == 0));
  require(answer->repairs < 1u << SHEAF_REPAIR_COUNT);
  struct cJSON *tree = sheaf__json_parse(json, SIZE_MAX, NULL);
  require(tree != NULL || has_surrogate(json));
  sheaf__json_delete(tree);
  sheaf_answer again;
  sheaf_buf twice;
  sheaf_buf_init(&twice, &heap, SIZE_MAX);
  require(sheaf_answer_read(json, &twice, &again) == SHEAF_OK);
  require(again.score == 100 && sheaf__slice_equal(json, sheaf_buf_slice(&twice)));
  sheaf_buf_deinit(&twice);
}

static void check_schema(sheaf_slice text, sheaf_slice json) {
  sheaf_schema *schema = NULL;
  sheaf_parse_error error = {0};
  sheaf_schema_fault fault, again;
  int32_t status = sheaf_schema_new(text, &heap, &schema, &error);
  if (status != SHEAF_OK) {
    require(schema == NULL && error.status == status && error.message != NULL);
    require(error.offset <= text.bytes);
    return;
  }
  require(sheaf_schema_check(schema, json, &fault) == SHEAF_OK);
  require((fault.faults > 0) == (fault.message[0] != 0));
  require(memchr(fault.message, 0, sizeof fault.message) != NULL);
  require(sheaf_schema_check(schema, json, &again) == SHEAF_OK);
  require(fault.faults == again.faults && strcmp(fault.message, again.message) == 0);
  sheaf_schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  sheaf_slice text = {(const char *)data, zero ? (size_t)(zero - data) : size};
  sheaf_slice schema = {NULL, 0};
  if (zero != NULL) schema = (sheaf_slice){(const char *)zero + 1, size - text.bytes - 1};
  sheaf_buf json;
  sheaf_answer answer;
  sheaf_buf_init(&json, &heap, SIZE_MAX);
  int32_t status = sheaf_answer_read(text, &json, &answer);
  if (status == SHEAF_OK) {
    check_written(text, sheaf_buf_slice(&json), &answer);
    if (schema.bytes) check_schema(schema, sheaf_buf_slice(&json));
  } else {
    require(status == SHEAF_E_NOT_FOUND || status == SHEAF_E_DEPTH);
    require(json.bytes == 0 && answer.score == 0 && answer.kind == SHEAF_JSON_NONE);
  }
  if (is_clean_json(text)) {
    require(status == SHEAF_OK && answer.repairs == 0);
    require(sheaf__slice_equal(sheaf_buf_slice(&json), trimmed(text)));
  }
  sheaf_buf_deinit(&json);
  return 0;
}
