/* fuzz_prompts.c: any bytes as prompts and as the reply to them; what is read belongs to the call
 * and is whole.
 *
 * The first byte: bits 0-2 the members less one, bit 3 the bytes are the reply's text as it stands
 * (the inside of a JSON string), not yet escaped, bit 4 they are two answers to compare. In what
 * follows, @ and a digit stand for an id, which no mutation would find. */
#include "lanes/prompts.h"

#include "base/mem.h"

#include "test_alloc.h"

enum { ID = SHEAF__PROMPT_ID_BYTES, MEMBERS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static test_alloc heap;
static sheaf_allocator allocator;
static char ids[MEMBERS_MAX][ID];

static const char (*const_ids(void))[ID] {
  return (const char(*)[ID])ids;
}

static bool is_inside(sheaf_slice inside) {
  sheaf_buf quoted;
  sheaf_buf_init(&quoted, &allocator, SIZE_MAX / 2);
  sheaf_buf_append_text(&quoted, "\"");
  sheaf_buf_append_slice(&quoted, inside);
  sheaf_buf_append_text(&quoted, "\"");
  const bool ok = sheaf_json_check(sheaf_buf_slice(&quoted), NULL) == SHEAF_OK;
  sheaf_buf_deinit(&quoted);
  return ok;
}

static bool has(sheaf_slice text, const char *part, size_t bytes) {
  for (size_t i = 0; i + bytes <= text.bytes; i++) {
    if (memcmp(text.data + i, part, bytes) == 0) return true;
  }
  return false;
}

static void expand(sheaf_slice input, sheaf_buf *out) {
  for (size_t i = 0; i < input.bytes; i++) {
    const char c = input.data[i];
    if (c == '@' && i + 1 < input.bytes && input.data[i + 1] >= '0' && input.data[i + 1] < '8') {
      sheaf_buf_append(out, ids[input.data[++i] - '0'], ID);
    } else {
      sheaf_buf_append(out, &c, 1);
    }
  }
}

static void check_names_nobody(sheaf_slice answer, uint32_t count) {
  sheaf_buf plain;
  sheaf_buf_init(&plain, &allocator, SIZE_MAX / 2);
  SHEAF_ASSERT(sheaf_buf_append_unescaped(&plain, answer) == SHEAF_OK);
  for (uint32_t m = 0; m < count; m++) SHEAF_ASSERT(!has(sheaf_buf_slice(&plain), ids[m], ID));
  sheaf_buf_deinit(&plain);
}

/* An answer is the inside of a string that holds no id and shares no byte with another's. */
static void check_answers(const sheaf_slice *answers, uint32_t count, const sheaf_buf *scratch) {
  for (uint32_t n = 0; n < count; n++) {
    const sheaf_slice answer = answers[n];
    SHEAF_ASSERT(answer.data >= scratch->data);
    SHEAF_ASSERT(answer.data + answer.bytes <= scratch->data + scratch->bytes);
    SHEAF_ASSERT(is_inside(answer));
    check_names_nobody(answer, count);
    for (uint32_t m = 0; m < count; m++) {
      if (m == n || answer.bytes == 0 || answers[m].bytes == 0) continue;
      SHEAF_ASSERT(answer.data + answer.bytes <= answers[m].data ||
                   answers[m].data + answers[m].bytes <= answer.data);
    }
  }
}

static void read_as_reply(sheaf_slice text_json, uint32_t count) {
  sheaf_buf scratch;
  sheaf_slice answers[MEMBERS_MAX];
  const char *why = NULL;
  sheaf_buf_init(&scratch, &allocator, SIZE_MAX / 2);
  const int32_t status =
      sheaf__prompts_read(text_json, const_ids(), count, &scratch, answers, &why);
  if (status == SHEAF_OK) {
    check_answers(answers, count, &scratch);
    for (uint32_t n = 0; n < count; n++) SHEAF_ASSERT(has(text_json, ids[n], ID));
  } else {
    SHEAF_ASSERT(status == SHEAF_E_FIELD && why && scratch.bytes == 0);
  }
  sheaf_buf_deinit(&scratch);
}

/* Whatever the prompts are, they are written as one string that holds them all in order. */
static void write_as_prompts(sheaf_slice inside, uint32_t count) {
  if (!is_inside(inside)) return;
  sheaf_slice prompts[MEMBERS_MAX], key, item;
  sheaf_buf out, plain;
  sheaf_buf_init(&out, &allocator, SIZE_MAX / 2);
  sheaf_buf_init(&plain, &allocator, SIZE_MAX / 2);
  for (uint32_t n = 0; n < count; n++) prompts[n] = inside;
  SHEAF_ASSERT(sheaf__prompts_write(const_ids(), prompts, count, &out) == SHEAF_OK);
  SHEAF_ASSERT(is_inside(sheaf_buf_slice(&out)));
  SHEAF_ASSERT(sheaf_buf_append_unescaped(&plain, sheaf_buf_slice(&out)) == SHEAF_OK);
  SHEAF_ASSERT(sheaf_json_check(sheaf_buf_slice(&plain), NULL) == SHEAF_OK);
  sheaf_json_iter iter;
  const sheaf_slice requests = sheaf_json_member(sheaf_buf_slice(&plain), "requests");
  SHEAF_ASSERT(sheaf_json_iter_init(&iter, requests) == SHEAF_OK);
  for (uint32_t n = 0; n < count; n++) {
    SHEAF_ASSERT(sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK);
    const sheaf_slice id = sheaf_json_inside(sheaf_json_member(item, "id"));
    SHEAF_ASSERT(id.bytes == ID && memcmp(id.data, ids[n], ID) == 0);
    const sheaf_slice prompt = sheaf_json_inside(sheaf_json_member(item, "prompt"));
    if (!has(prompt, "\xEF\xBF\xBD", 3)) SHEAF_ASSERT(sheaf__slice_equal(prompt, inside));
  }
  SHEAF_ASSERT(sheaf_json_iter_next(&iter, &key, &item) == SHEAF_E_END);
  sheaf_buf_deinit(&out);
  sheaf_buf_deinit(&plain);
}

static void compare(sheaf_slice bytes) {
  if (bytes.bytes == 0) return;
  const sheaf_slice a = {bytes.data, bytes.bytes / 2},
                    b = sheaf__slice_from(bytes, bytes.bytes / 2);
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &allocator, SIZE_MAX / 2);
  const int64_t agreement = sheaf__prompts_agreement(a, b, &scratch);
  SHEAF_ASSERT(agreement == SHEAF_ABSENT || (agreement >= 0 && agreement <= 1000));
  SHEAF_ASSERT(sheaf__prompts_agreement(b, a, &scratch) == agreement);
  const int64_t same = sheaf__prompts_agreement(a, a, &scratch);
  SHEAF_ASSERT(same == 1000 || (same == SHEAF_ABSENT && agreement == SHEAF_ABSENT));
  SHEAF_ASSERT(scratch.bytes == 0);
  sheaf_buf_deinit(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static const uint8_t secret[SHEAF_SECRET_BYTES] = {1, 2, 3};
  if (bytes == 0) return 0;
  const uint32_t choice = data[0], count = (choice & 7) + 1;
  heap = (test_alloc){0};
  allocator = test_allocator(&heap);
  for (uint32_t n = 0; n < MEMBERS_MAX; n++) sheaf__prompt_id(secret, 1, n, ids[n]);
  sheaf_buf input, escaped;
  sheaf_buf_init(&input, &allocator, SIZE_MAX / 2);
  sheaf_buf_init(&escaped, &allocator, SIZE_MAX / 2);
  expand((sheaf_slice){(const char *)data + 1, bytes - 1}, &input);
  if (choice & 16) {
    compare(sheaf_buf_slice(&input));
  } else if (choice & 8) {
    read_as_reply(sheaf_buf_slice(&input), count);
    write_as_prompts(sheaf_buf_slice(&input), count);
  } else {
    sheaf_buf_append_escaped(&escaped, sheaf_buf_slice(&input));
    read_as_reply(sheaf_buf_slice(&escaped), count);
    write_as_prompts(sheaf_buf_slice(&escaped), count);
  }
  sheaf_buf_deinit(&input);
  sheaf_buf_deinit(&escaped);
  SHEAF_ASSERT(heap.live_bytes == 0 && !heap.size_mismatch);
  return 0;
}
