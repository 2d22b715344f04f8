/* fuzz_json.c: any bytes as a document: what pick accepts can be walked, read, escaped and made a tree of; what it finds
 * lies inside and is itself a document; a prefix or something behind is never accepted for a container. */
#include <sheaf/buf.h>

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

static const char *const paths[] = {
    "a",    "a.b",     "a[0].b", "[0]", "[1].a", "id", "choices[0].message.content",
    "b[2]", "a.b.c.d", ""};
enum { PATHS = sizeof paths / sizeof *paths };

static void require(bool condition) {
  if (!condition) abort();
}

static bool lies_inside(sheaf_slice part, sheaf_slice whole) {
  return part.bytes == 0 ||
         (part.data >= whole.data && part.data + part.bytes <= whole.data + whole.bytes);
}

/* Text taken out of a string and put in again means the same. */
static void round_trip(sheaf_slice value) {
  sheaf_buf plain, again, twice;
  sheaf_buf_init(&plain, &heap, SIZE_MAX);
  sheaf_buf_init(&again, &heap, SIZE_MAX);
  sheaf_buf_init(&twice, &heap, SIZE_MAX);
  require(sheaf_buf_append_unescaped(&plain, sheaf_json_inside(value)) == SHEAF_OK);
  require(sheaf_buf_append_string(&again, sheaf_buf_slice(&plain)) == SHEAF_OK);
  sheaf_json_facts facts;
  require(sheaf_json_pick(sheaf_buf_slice(&again), NULL, 0, NULL, &facts, NULL) == SHEAF_OK);
  require(!facts.has_invalid_utf8);
  require(sheaf_buf_append_unescaped(&twice, sheaf_json_inside(sheaf_buf_slice(&again))) ==
          SHEAF_OK);
  require(sheaf_json_pick(value, NULL, 0, NULL, &facts, NULL) == SHEAF_OK);
  if (!facts.has_invalid_utf8)
    require(sheaf__slice_equal(sheaf_buf_slice(&plain), sheaf_buf_slice(&twice)));
  sheaf_buf_deinit(&plain);
  sheaf_buf_deinit(&again);
  sheaf_buf_deinit(&twice);
}

/* Every value of an accepted document is a document; depth is bounded by the check. */
static void walk(sheaf_slice value) {
  sheaf_json_iter iter;
  sheaf_slice key, element;
  int64_t number;
  uint32_t kind = sheaf_json_kind(value);
  require(kind != SHEAF_JSON_NONE);
  require(sheaf_json_check(value, NULL) == SHEAF_OK);
  (void)sheaf_json_int(value, &number);
  (void)sheaf_json_equals(value, "stop");
  if (kind == SHEAF_JSON_NUMBER) require(sheaf_json_nano(value, &number) != SHEAF_E_TYPE);
  if (kind == SHEAF_JSON_STRING) round_trip(value);
  if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &element) == SHEAF_OK) {
    require(lies_inside(key, value));
    require(lies_inside(element, value));
    walk(element);
  }
  require(*iter.at == (kind == SHEAF_JSON_OBJECT ? '}' : ']') || iter.at + 1 < iter.end);
}

/* Unchecked bytes may give nonsense, but the walk must end and stay inside. */
static void walk_unchecked(sheaf_slice text) {
  sheaf_json_iter iter;
  sheaf_slice key, element;
  int64_t number;
  (void)sheaf_json_int(text, &number);
  (void)sheaf_json_nano(text, &number);
  (void)sheaf_json_equals(text, "a\n");
  if (sheaf_json_iter_init(&iter, text) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &element) == SHEAF_OK) {
    require(lies_inside(key, text) && lies_inside(element, text));
  }
}

static void check_accepted(sheaf_slice text, const sheaf_slice *values,
                           const sheaf_json_facts *facts) {
  sheaf_slice whole = values[PATHS - 1]; /* the empty path */
  require(facts->bytes_used <= text.bytes);
  require(whole.bytes > 0 && whole.data + whole.bytes == text.data + facts->bytes_used);
  for (uint32_t i = 0; i < PATHS; i++) {
    require(lies_inside(values[i], text));
    if (values[i].bytes) require(sheaf_json_check(values[i], NULL) == SHEAF_OK);
  }
  require(sheaf__slice_equal(values[0], sheaf_json_member(whole, "a")));
  require(sheaf__slice_equal(values[5], sheaf_json_member(whole, "id")));
  walk(whole);
  if (sheaf_json_kind(whole) >= SHEAF_JSON_STRING) {
    whole.bytes--;
    require(sheaf_json_check(whole, NULL) != SHEAF_OK);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sheaf_slice text = {(const char *)data, size}, values[PATHS];
  sheaf_json_facts facts;
  sheaf_parse_error error = {0};
  int32_t status = sheaf_json_pick(text, paths, PATHS, values, &facts, &error);
  require(status == sheaf_json_check(text, NULL));
  if (status == SHEAF_OK) {
    check_accepted(text, values, &facts);
  } else {
    require(error.status == status && error.message && error.offset <= size);
    require(status == SHEAF_E_SYNTAX || status == SHEAF_E_DEPTH || status == SHEAF_E_PARTIAL);
    require((status == SHEAF_E_PARTIAL) == (error.offset == size));
    walk_unchecked(text);
  }
  struct cJSON *tree = sheaf__json_parse(text, 1 << 16, &error);
  if (status == SHEAF_OK && size <= 1 << 16) require(tree || error.status == SHEAF_E_UTF8);
  if (status != SHEAF_OK) require(!tree);
  sheaf__json_delete(tree);
  return 0;
}
