/* test_json.c: the door to cJSON. */
#include "check.h"

#include "wire/json.h"

#include <cjson/cJSON.h>

#include <stdlib.h>

static size_t nest(char *text, size_t depth, char open, char close) {
  memset(text, open, depth);
  memset(text + depth, close, depth);
  return 2 * depth;
}

TEST(a_tree_is_made_of_what_was_checked) {
  double number = 0;
  struct cJSON *tree =
      sheaf__json_parse(SHEAF_LITERAL("{\"a\":{\"b\":\"text\"},\"n\":1.5,\"A\":1}"), 1000, NULL);
  CHECK(tree != NULL);
  CHECK_TEXT(sheaf_slice_of(sheaf__json_text(sheaf__json_get(tree, "a"), "b")), "text");
  CHECK(sheaf__json_text(tree, "n") == NULL);
  CHECK(sheaf__json_text(tree, "absent") == NULL);
  CHECK(sheaf__json_number(tree, "n", &number));
  CHECK_EQ(number * 2, 3);
  CHECK(!sheaf__json_number(tree, "a", &number));
  CHECK(sheaf__json_get(NULL, "a") == NULL);
  sheaf__json_delete(tree);
  sheaf__json_delete(NULL);
}

TEST(the_door_refuses_before_cjson_sees_a_byte) {
  static char deep[200];
  sheaf_parse_error error = {0};
  CHECK(sheaf__json_parse(SHEAF_LITERAL("[1,2]"), 4, &error) == NULL);
  CHECK_EQ(error.status, SHEAF_E_TOO_LONG);
  CHECK(sheaf__json_parse((sheaf_slice){deep, nest(deep, 65, '[', ']')}, 1000, &error) == NULL);
  CHECK_EQ(error.status, SHEAF_E_DEPTH);
  CHECK(sheaf__json_parse(SHEAF_LITERAL("[01]"), 1000, &error) == NULL);
  CHECK_EQ(error.status, SHEAF_E_SYNTAX);
  CHECK(sheaf__json_parse(SHEAF_LITERAL("[1"), 1000, NULL) == NULL);
}

TEST(half_a_surrogate_pair_is_told_from_lack_of_memory) {
  static const char *const halves[] = {
      "\"\\ud83d\"",      "\"\\ude00\"",        "\"\\ud83d\\ud83d\\ude00\"",
      "\"\\\\\\ud83dx\"", "\"\\ud83d\\u0041\"", "\"\\uDBFF\\n12345\""};
  for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
    sheaf_parse_error error = {0};
    CHECK(sheaf__json_parse(sheaf_slice_of(halves[i]), 1000, &error) == NULL);
    CHECK_EQ(error.status, SHEAF_E_UTF8);
  }
  struct cJSON *tree =
      sheaf__json_parse(SHEAF_LITERAL("\"\\ud83d\\ude00\\\\ud83d\\u00d8\""), 1000, NULL);
  CHECK(tree != NULL);
  sheaf__json_delete(tree);
}

static void *no_memory(size_t bytes) {
  (void)bytes;
  return NULL;
}

TEST(lack_of_memory_inside_cjson_is_told) {
  sheaf_parse_error error = {0};
  cJSON_Hooks hooks = {no_memory, free};
  cJSON_InitHooks(&hooks);
  CHECK(sheaf__json_parse(SHEAF_LITERAL("[\"\\ud83d\\ude00\"]"), 1000, &error) == NULL);
  cJSON_InitHooks(NULL);
  CHECK_EQ(error.status, SHEAF_E_NOMEM);
}

int main(void) {
  RUN(a_tree_is_made_of_what_was_checked);
  RUN(the_door_refuses_before_cjson_sees_a_byte);
  RUN(half_a_surrogate_pair_is_told_from_lack_of_memory);
  RUN(lack_of_memory_inside_cjson_is_told);
  return check_report();
}
