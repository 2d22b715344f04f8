/* test_json_value.c: what spans of checked documents say: members, kinds, numbers, text. */
#include "check.h"

#include <sheaf/buf.h>

#include "base/mem.h"

#include <stdlib.h>

/* A copy of exactly its size, so that a byte read too far shows under the sanitizer. */
static sheaf_slice copy_of(const char *text, size_t bytes) {
  char *copy = malloc(bytes ? bytes : 1);
  if (copy && bytes) memcpy(copy, text, bytes);
  return (sheaf_slice){copy, bytes};
}

static void drop(sheaf_slice copy) {
  void *data;
  memcpy(&data, &copy.data, sizeof data); /* the slice's bytes are const; this copy is ours */
  free(data);
}

TEST(members_and_elements_come_in_order) {
  sheaf_slice text = SHEAF_LITERAL(
      " {\"a\" : 1 , \"b\\\"\":[1,{\"x\":\"]}\"}],\"\":\"q\\\\\",\"d\":{},\n\"e\":true "
      ",\"f\":-1.5e3}");
  static const char *const wanted[][2] = {{"a", "1"},        {"b\\\"", "[1,{\"x\":\"]}\"}]"},
                                          {"", "\"q\\\\\""}, {"d", "{}"},
                                          {"e", "true"},     {"f", "-1.5e3"}};
  sheaf_json_iter iter;
  sheaf_slice key, value;
  CHECK_OK(sheaf_json_check(text, NULL));
  CHECK_OK(sheaf_json_iter_init(&iter, sheaf__slice_from(text, 1)));
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    CHECK_OK(sheaf_json_iter_next(&iter, &key, &value));
    CHECK_TEXT(key, wanted[i][0]);
    CHECK_TEXT(value, wanted[i][1]);
  }
  CHECK_STATUS(sheaf_json_iter_next(&iter, &key, &value), SHEAF_E_END);
  CHECK_STATUS(sheaf_json_iter_next(&iter, &key, &value), SHEAF_E_END);
  CHECK_OK(sheaf_json_iter_init(&iter, SHEAF_LITERAL("[ 1,\"two\" , [3] ]")));
  CHECK_OK(sheaf_json_iter_next(&iter, &key, &value));
  CHECK_TEXT(value, "1");
  CHECK_EQ(key.bytes, 0);
  CHECK_OK(sheaf_json_iter_next(&iter, &key, &value));
  CHECK_TEXT(value, "\"two\"");
  CHECK_OK(sheaf_json_iter_next(&iter, &key, &value));
  CHECK_TEXT(value, "[3]");
  CHECK_STATUS(sheaf_json_iter_next(&iter, &key, &value), SHEAF_E_END);
  CHECK_OK(sheaf_json_iter_init(&iter, SHEAF_LITERAL("{}")));
  CHECK_STATUS(sheaf_json_iter_next(&iter, &key, &value), SHEAF_E_END);
  CHECK_OK(sheaf_json_iter_init(&iter, SHEAF_LITERAL("[ ]")));
  CHECK_STATUS(sheaf_json_iter_next(&iter, &key, &value), SHEAF_E_END);
  CHECK_STATUS(sheaf_json_iter_init(&iter, SHEAF_LITERAL("\"s\"")), SHEAF_E_TYPE);
  CHECK_STATUS(sheaf_json_iter_init(&iter, (sheaf_slice){NULL, 0}), SHEAF_E_TYPE);
}

TEST(kinds_members_insides_and_words) {
  sheaf_slice none = {NULL, 0}, object = SHEAF_LITERAL("{\"a\":1,\"b\":true,\"a\":\"x\"}");
  CHECK_EQ(sheaf_json_kind(none), SHEAF_JSON_NONE);
  CHECK_EQ(sheaf_json_kind(SHEAF_LITERAL("null")), SHEAF_JSON_NULL);
  CHECK_EQ(sheaf_json_kind(SHEAF_LITERAL("false")), SHEAF_JSON_BOOL);
  CHECK_EQ(sheaf_json_kind(SHEAF_LITERAL("-1")), SHEAF_JSON_NUMBER);
  CHECK_EQ(sheaf_json_kind(SHEAF_LITERAL("\"\"")), SHEAF_JSON_STRING);
  CHECK_EQ(sheaf_json_kind(SHEAF_LITERAL("[]")), SHEAF_JSON_ARRAY);
  CHECK_EQ(sheaf_json_kind(object), SHEAF_JSON_OBJECT);
  CHECK_TEXT(sheaf_json_member(object, "a"), "\"x\"");
  CHECK_TEXT(sheaf_json_member(object, "b"), "true");
  CHECK_TEXT(sheaf_json_member(object, "c"), "");
  CHECK_TEXT(sheaf_json_member(SHEAF_LITERAL("[1]"), "a"), "");
  CHECK_TEXT(sheaf_json_member(none, "a"), "");
  CHECK_TEXT(sheaf_json_inside(SHEAF_LITERAL("\"a\\n\"")), "a\\n");
  CHECK_TEXT(sheaf_json_inside(SHEAF_LITERAL("\"\"")), "");
  CHECK_TEXT(sheaf_json_inside(SHEAF_LITERAL("12")), "");
  CHECK(sheaf_json_true(SHEAF_LITERAL("true")));
  CHECK(!sheaf_json_true(SHEAF_LITERAL("\"true\"")));
  CHECK(!sheaf_json_true(SHEAF_LITERAL("false")));
  CHECK(!sheaf_json_true(none));
}

TEST(text_equals_its_string_however_it_is_escaped) {
  CHECK(sheaf_json_equals(SHEAF_LITERAL("\"stop\""), "stop"));
  CHECK(sheaf_json_equals(SHEAF_LITERAL("\"\""), ""));
  CHECK(sheaf_json_equals(SHEAF_LITERAL("\"\\/v1\\/chat\""), "/v1/chat"));
  CHECK(sheaf_json_equals(SHEAF_LITERAL("\"s\\u0074op\\u002D\""), "stop-"));
  CHECK(sheaf_json_equals(SHEAF_LITERAL("\"a\\n\\\"\\\\\""), "a\n\"\\"));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"stop\""), "stop."));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"stop\""), "sto"));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"stop\""), "halt"));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"\\n\""), "\\n"));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"\\u0173\""), "s"));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"\\u0000\""), ""));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("\"\xC3\xA9\""), "e"));
  CHECK(!sheaf_json_equals(SHEAF_LITERAL("12"), "12"));
  CHECK(!sheaf_json_equals((sheaf_slice){NULL, 0}, ""));
}

typedef struct number_case {
  const char *text;
  int32_t status;
  int64_t number;
} number_case;

static void check_numbers(const number_case *cases, size_t count,
                          int32_t (*read)(sheaf_slice, int64_t *)) {
  for (size_t i = 0; i < count; i++) {
    int64_t number = 77;
    sheaf_slice text = copy_of(cases[i].text, strlen(cases[i].text));
    int32_t status = read(text, &number);
    drop(text);
    if (status != cases[i].status) printf("number: %s\n", cases[i].text);
    CHECK_EQ(status, cases[i].status);
    CHECK_EQ(number, status == SHEAF_OK ? cases[i].number : 77);
  }
}

TEST(whole_numbers_are_read_in_any_spelling) {
  static const number_case cases[] = {
      {"0", SHEAF_OK, 0},
      {"-0", SHEAF_OK, 0},
      {"7", SHEAF_OK, 7},
      {"-7", SHEAF_OK, -7},
      {"10", SHEAF_OK, 10},
      {"1000000", SHEAF_OK, 1000000},
      {"12.0", SHEAF_OK, 12},
      {"10.0", SHEAF_OK, 10},
      {"0.0", SHEAF_OK, 0},
      {"1e3", SHEAF_OK, 1000},
      {"1E+3", SHEAF_OK, 1000},
      {"1.5e1", SHEAF_OK, 15},
      {"1.25e2", SHEAF_OK, 125},
      {"0.001e3", SHEAF_OK, 1},
      {"100e-2", SHEAF_OK, 1},
      {"0e999999999999999999999", SHEAF_OK, 0},
      {"0.00e-5", SHEAF_OK, 0},
      {"\"123\"", SHEAF_OK, 123},
      {"\"-5\"", SHEAF_OK, -5},
      {"9007199254740993", SHEAF_OK, 9007199254740993}, /* 2^53 + 1: no double */
      {"9223372036854775807", SHEAF_OK, INT64_MAX},
      {"-9223372036854775807", SHEAF_OK, -INT64_MAX},
      {"9223372036854775807.0", SHEAF_OK, INT64_MAX},
      {"9223372036854775808", SHEAF_E_RANGE, 0},
      {"-9223372036854775808", SHEAF_E_RANGE, 0}, /* means absent elsewhere */
      {"18446744073709551616", SHEAF_E_RANGE, 0},
      {"99999999999999999999", SHEAF_E_RANGE, 0},
      {"1e19", SHEAF_E_RANGE, 0},
      {"1e18", SHEAF_OK, 1000000000000000000},
      {"1e400", SHEAF_E_RANGE, 0},
      {"1e99999999999999999999", SHEAF_E_RANGE, 0},
      {"1.5", SHEAF_E_TYPE, 0},
      {"0.1", SHEAF_E_TYPE, 0},
      {"15e-1", SHEAF_E_TYPE, 0},
      {"1e-400", SHEAF_E_TYPE, 0},
      {"true", SHEAF_E_TYPE, 0},
      {"null", SHEAF_E_TYPE, 0},
      {"", SHEAF_E_TYPE, 0},
      {"[]", SHEAF_E_TYPE, 0},
      {"\"\"", SHEAF_E_TYPE, 0},
      {"\"12 \"", SHEAF_E_TYPE, 0},
      {"\"0x1\"", SHEAF_E_TYPE, 0},
      {"\"01\"", SHEAF_E_TYPE, 0},
      {"\"1.\"", SHEAF_E_TYPE, 0},
      {"\"1e\"", SHEAF_E_TYPE, 0},
      {"\"1e+\"", SHEAF_E_TYPE, 0},
      {"\"-\"", SHEAF_E_TYPE, 0},
      {"\"abc\"", SHEAF_E_TYPE, 0},
  };
  check_numbers(cases, sizeof cases / sizeof *cases, sheaf_json_int);
}

TEST(decimals_are_read_in_nano_units_toward_zero) {
  static const number_case cases[] = {
      {"0", SHEAF_OK, 0},
      {"0.25", SHEAF_OK, 250000000},
      {"-0.25", SHEAF_OK, -250000000},
      {"1", SHEAF_OK, 1000000000},
      {"2.50", SHEAF_OK, 2500000000},
      {"15", SHEAF_OK, 15000000000},
      {"0.000000001", SHEAF_OK, 1},
      {"0.0000000019", SHEAF_OK, 1},
      {"-0.0000000019", SHEAF_OK, -1},
      {"0.0000000009", SHEAF_OK, 0},
      {"1e-9", SHEAF_OK, 1},
      {"1e-10", SHEAF_OK, 0},
      {"1.1e-8", SHEAF_OK, 11},
      {"7.5e-7", SHEAF_OK, 750},
      {"0.1234567891234", SHEAF_OK, 123456789},
      {"1e-99999999999999999999", SHEAF_OK, 0},
      {"9223372036.854775807", SHEAF_OK, INT64_MAX},
      {"9223372036.8547758079", SHEAF_OK, INT64_MAX},
      {"9223372036.854775808", SHEAF_E_RANGE, 0},
      {"10000000000", SHEAF_E_RANGE, 0},
      {"1e300", SHEAF_E_RANGE, 0},
      {"\"0.25\"", SHEAF_E_TYPE, 0},
      {"null", SHEAF_E_TYPE, 0},
      {"", SHEAF_E_TYPE, 0},
  };
  check_numbers(cases, sizeof cases / sizeof *cases, sheaf_json_nano);
}

int main(void) {
  RUN(members_and_elements_come_in_order);
  RUN(kinds_members_insides_and_words);
  RUN(text_equals_its_string_however_it_is_escaped);
  RUN(whole_numbers_are_read_in_any_spelling);
  RUN(decimals_are_read_in_nano_units_toward_zero);
  return check_report();
}
