/* test_sim_check.c: the simulator's check of a JSON value against a schema, by which it keeps or
 * drops what it drew: keyword by keyword, a value that is valid and one that is not. Both follow
 * from the definitions of draft 2020-12 and, where told, of older drafts and Gemini. */
#include "sim_client.h"

#include "sim/sim_schema.h"

static bool fits(const char *schema, const char *value) {
  sim_making making = {.root = sheaf_slice_of(schema)};
  assert_int_equal(sheaf_json_check(making.root, NULL), SHEAF_OK);
  assert_int_equal(sheaf_json_check(sheaf_slice_of(value), NULL), SHEAF_OK);
  return sheaf__sim_fits(&making, making.root, sheaf_slice_of(value), 0);
}

typedef struct row {
  const char *schema, *valid, *invalid;
} row;

static void assert_rows(const row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    bool is_right = fits(rows[i].schema, rows[i].valid) && !fits(rows[i].schema, rows[i].invalid);
    if (!is_right) print_error("%s\n", rows[i].schema);
    assert_true(is_right);
  }
}

static void types_and_lists(void **state) {
  (void)state;
  static const row rows[] = {
      {"{\"type\":\"integer\"}", "1", "1.5"},
      {"{\"type\":\"integer\"}", "1.0", "\"1\""},
      {"{\"type\":\"integer\"}", "1e3", "1e-3"},
      {"{\"type\":\"number\"}", "1.5", "true"},
      {"{\"type\":\"string\"}", "\"\"", "null"},
      {"{\"type\":\"boolean\"}", "false", "0"},
      {"{\"type\":\"array\"}", "[]", "{}"},
      {"{\"type\":\"object\"}", "{}", "[]"},
      {"{\"type\":\"null\"}", "null", "\"null\""},
      {"{\"type\":[\"null\",\"array\"]}", "null", "{}"},
      {"{\"type\":\"STRING\"}", "\"a\"", "1"}, /* Gemini */
      {"{\"type\":\"STRING\",\"nullable\":true}", "null", "1"},
      {"{\"enum\":[1,\"a\",null]}", "null", "\"1\""},
      {"{\"enum\":[1.0]}", "1", "true"},
      {"{\"enum\":[\"\\u0061\"]}", "\"a\"", "\"b\""},
      {"{\"enum\":[{\"a\":1,\"b\":[2]}]}", "{\"b\":[2],\"a\":1}", "{\"a\":1}"},
      {"{\"enum\":[{\"a\":1}]}", "{\"\\u0061\":1}", "{\"a\":1,\"b\":1}"},
      {"{\"enum\":[[1,2]]}", "[1,2]", "[2,1]"},
      {"{\"enum\":[[1,2]]}", "[1, 2]", "[1,2,3]"},
      {"{\"const\":[1]}", "[1]", "[]"},
      {"{\"const\":false}", "false", "true"},
  };
  assert_rows(rows, sizeof rows / sizeof *rows);
  assert_true(fits("true", "1"));
  assert_false(fits("false", "1"));
  assert_true(fits("{}", "{}"));
}

static void numbers_and_strings(void **state) {
  (void)state;
  static const row rows[] = {
      {"{\"minimum\":2}", "2", "1.9"},
      {"{\"maximum\":2}", "2", "2.1"},
      {"{\"exclusiveMinimum\":2}", "2.1", "2"},
      {"{\"exclusiveMaximum\":2}", "1.9", "2"},
      {"{\"minimum\":2,\"exclusiveMinimum\":true}", "3", "2"}, /* draft 4 */
      {"{\"maximum\":2,\"exclusiveMaximum\":true}", "1", "2"},
      {"{\"minimum\":2,\"exclusiveMinimum\":false}", "2", "1"},
      {"{\"minimum\":\"2\"}", "2", "1"}, /* Google writes numbers as strings at times */
      {"{\"multipleOf\":3}", "-9", "10"},
      {"{\"multipleOf\":0.5}", "2.5", "2.25"},
      {"{\"minLength\":2}", "\"ab\"", "\"a\""},
      {"{\"maxLength\":2}", "\"\xf0\x9f\x98\x80\\ud83d\\ude00\"", "\"abc\""},
      {"{\"minLength\":2}", "\"\\u00e9\xc3\xa9\"", "\"\\u00e9\""},
      {"{\"pattern\":\"^a\\\\d$\"}", "\"a1\"", "\"a12\""},
      {"{\"pattern\":\"b\"}", "\"abc\"", "\"ac\""},
  };
  assert_rows(rows, sizeof rows / sizeof *rows);
  /* Each of them is about one type, and lets the others pass. */
  assert_true(fits("{\"minimum\":2,\"minLength\":3,\"minItems\":1,\"minProperties\":1}", "null"));
  assert_true(fits("{\"minimum\":2}", "\"\""));
  assert_true(fits("{\"minLength\":3}", "1"));
  assert_true(fits("{\"multipleOf\":0}", "5"));
}

static void arrays(void **state) {
  (void)state;
  static const row rows[] = {
      {"{\"items\":{\"type\":\"integer\"}}", "[1,2]", "[1,\"2\"]"},
      {"{\"items\":false}", "[]", "[1]"},
      {"{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", "[1,2,9]", "[1,3]"},
      {"{\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":5}}", "[1,5,5]", "[1,1]"},
      {"{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", "[1]", "[2]"},
      {"{\"items\":[{\"const\":1}],\"additionalItems\":false}", "[1]", "[1,1]"}, /* draft 7 */
      {"{\"minItems\":1}", "[1]", "[]"},
      {"{\"maxItems\":1}", "[1]", "[1,2]"},
      {"{\"minItems\":\"2\"}", "[1,2]", "[1]"},
      {"{\"uniqueItems\":true}", "[1,2,[1],{\"a\":1}]", "[1,2,1.0]"},
      {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"a\":1}]",
       "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}]"},
      {"{\"contains\":{\"const\":1}}", "[0,1]", "[0]"},
      {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1,0,1]", "[1]"},
      {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,0]", "[1,1]"},
  };
  assert_rows(rows, sizeof rows / sizeof *rows);
  assert_true(fits("{\"uniqueItems\":false}", "[1,1]"));
  assert_true(fits("{\"contains\":{\"const\":1},\"minContains\":0}", "[]"));
}

static void objects(void **state) {
  (void)state;
  static const row rows[] = {
      {"{\"properties\":{\"a\":{\"const\":1}}}", "{\"a\":1,\"b\":2}", "{\"a\":2}"},
      {"{\"properties\":{\"a\":{\"const\":1}}}", "{}", "{\"\\u0061\":2}"},
      {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1,\"b\":null}", "{\"a\":1}"},
      {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", "{\"b\":1}"},
      {"{\"properties\":{\"a\":{}},\"additionalProperties\":{\"const\":1}}", "{\"a\":2,\"b\":1}",
       "{\"b\":2}"},
      {"{\"patternProperties\":{\"^x\":{\"const\":1}}}", "{\"x1\":1,\"y\":2}", "{\"x1\":2}"},
      {"{\"patternProperties\":{\"^x\":{}},\"additionalProperties\":false}", "{\"x1\":1}",
       "{\"y\":1}"},
      {"{\"properties\":{\"xa\":{\"minimum\":2}},\"patternProperties\":{\"^x\":{\"maximum\":3}}}",
       "{\"xa\":2}", "{\"xa\":4}"},
      {"{\"minProperties\":2}", "{\"a\":1,\"b\":1}", "{\"a\":1}"},
      {"{\"maxProperties\":1}", "{\"a\":1}", "{\"a\":1,\"b\":1}"},
      {"{\"propertyNames\":{\"maxLength\":2}}", "{\"ab\":1}", "{\"abc\":1}"},
      {"{\"propertyNames\":{\"enum\":[\"a\"]}}", "{\"a\":1}", "{\"b\":1}"},
      {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"b\":1}", "{\"a\":1}"},
      {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1,\"b\":1}", "{\"a\":1,\"c\":1}"},
      {"{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"a\":1}", "{\"a\":1,\"b\":1}"},
  };
  assert_rows(rows, sizeof rows / sizeof *rows);
}

static void combinations(void **state) {
  (void)state;
  static const row rows[] = {
      {"{\"allOf\":[{\"minimum\":2},{\"maximum\":4}]}", "3", "5"},
      {"{\"anyOf\":[{\"maximum\":2},{\"minimum\":4}]}", "5", "3"},
      {"{\"oneOf\":[{\"maximum\":4},{\"minimum\":2}]}", "5", "3"},
      {"{\"oneOf\":[{\"const\":1},{\"const\":2}]}", "2", "3"},
      {"{\"not\":{\"type\":\"string\"}}", "1", "\"1\""},
      {"{\"if\":{\"minimum\":10},\"then\":{\"multipleOf\":10},\"else\":{\"multipleOf\":2}}", "20",
       "12"},
      {"{\"if\":{\"minimum\":10},\"then\":{\"multipleOf\":10},\"else\":{\"multipleOf\":2}}", "4",
       "5"},
      {"{\"if\":{\"minimum\":10},\"then\":{\"multipleOf\":10}}", "5", "15"},
      {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"const\":1}}}", "1", "2"},
      {"{\"$ref\":\"#/$defs/a\",\"minimum\":2,\"$defs\":{\"a\":{\"maximum\":3}}}", "3", "1"},
      {"{\"$ref\":\"#/$defs/a~1b%7E0c\",\"$defs\":{\"a/b~c\":{\"const\":1}}}", "1", "2"},
      {"{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
       "{\"a\":{\"a\":{}}}", "{\"a\":{\"b\":{}}}"},
      {"{\"$ref\":\"#here\",\"$defs\":{\"a\":{\"$anchor\":\"here\",\"const\":1}}}", "1", "2"},
      {"{\"allOf\":[{\"$ref\":\"#/definitions/a\"}],\"definitions\":{\"a\":{\"type\":\"null\"}}}",
       "null", "1"},
  };
  assert_rows(rows, sizeof rows / sizeof *rows);
  /* What leads nowhere refuses nothing, and what leads to itself comes to an end. */
  assert_true(fits("{\"$ref\":\"#/$defs/none\"}", "1"));
  assert_true(fits("{\"$ref\":\"#\"}", "1"));
}

/* Whatever stands in a schema, the answer is one JSON value. */
static void odd_schemas_do_no_harm(void **state) {
  (void)state;
  static const char *const rows[] = {
      "[]",
      "1",
      "\"x\"",
      "null",
      "true",
      "false",
      "{\"type\":5}",
      "{\"type\":[]}",
      "{\"type\":[\"nothing\"]}",
      "{\"properties\":[1]}",
      "{\"properties\":{\"a\":1}}",
      "{\"required\":\"a\"}",
      "{\"required\":[1,{}]}",
      "{\"items\":5}",
      "{\"items\":[5]}",
      "{\"prefixItems\":{}}",
      "{\"enum\":{}}",
      "{\"allOf\":{}}",
      "{\"allOf\":[1,[]]}",
      "{\"anyOf\":[[]]}",
      "{\"$ref\":1}",
      "{\"$ref\":\"\"}",
      "{\"$ref\":\"#/\"}",
      "{\"$ref\":\"#/a/b\"}",
      "{\"$ref\":\"#/%\"}",
      "{\"$ref\":\"#/~\"}",
      "{\"pattern\":1}",
      "{\"type\":\"string\",\"pattern\":\"(\"}",
      "{\"type\":\"string\",\"minLength\":1e18}",
      "{\"type\":\"string\",\"maxLength\":-1}",
      "{\"type\":\"array\",\"minItems\":1e9}",
      "{\"type\":\"object\",\"minProperties\":100000}",
      "{\"type\":\"number\",\"minimum\":1e999}",
      "{\"type\":\"number\",\"multipleOf\":0}",
      "{\"type\":\"integer\",\"multipleOf\":-3}",
      "{\"type\":\"number\",\"multipleOf\":1e-300}",
      "{\"type\":\"integer\",\"maximum\":-1e300}",
      "{\"patternProperties\":{\"(\":{}},\"minProperties\":1}",
      "{\"propertyNames\":false}",
      "{\"propertyOrdering\":[1,\"z\"],\"properties\":{\"a\":{}}}",
      "{\"dependentRequired\":[1]}",
      "{\"dependentRequired\":{\"a\":1}}",
      "{\"if\":1,\"then\":2}",
      "{\"not\":1}",
      "{\"contains\":1,\"minContains\":\"x\"}",
      "{\"format\":{}}",
      "{\"const\":null}",
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (uint64_t key = 0; key < 4; key++) {
      sheaf_buf text;
      sheaf_buf_init(&text, &allocator, 64u << 20);
      sheaf_slice schema = sheaf_slice_of(rows[i]);
      sheaf__sim_json_of(schema, schema, key, &text);
      assert_int_equal(text.status, SHEAF_OK);
      if (sheaf_json_check(sheaf_buf_slice(&text), NULL) != SHEAF_OK)
        print_error("%s: %.*s\n", rows[i], (int)text.bytes, text.data);
      assert_int_equal(sheaf_json_check(sheaf_buf_slice(&text), NULL), SHEAF_OK);
      sheaf_buf_deinit(&text);
    }
}

/* Each level doubles; without an end to patience this would be 2^40 values. */
static void greedy_schemas_come_to_an_end(void **state) {
  (void)state;
  static const char *const rows[] = {
      "{\"$ref\":\"#/$defs/"
      "t\",\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":"
      "\"#/$defs/t\"},\"b\":{\"$ref\":\"#/$defs/t\"}},\"required\":[\"a\",\"b\"]}}}",
      "{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"anyOf\":[{\"type\":\"array\",\"minItems\":2,"
      "\"items\":{\"$ref\":\"#/$defs/t\"}},{\"not\":{}}]}}}",
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_buf text;
    sheaf_buf_init(&text, &allocator, 64u << 20);
    sheaf_slice schema = sheaf_slice_of(rows[i]);
    sheaf__sim_json_of(schema, schema, 1, &text);
    assert_int_equal(text.bytes, 2); /* nothing finite satisfies them */
    assert_memory_equal(text.data, "{}", 2);
    sheaf_buf_deinit(&text);
  }
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_and_lists),
      cmocka_unit_test(numbers_and_strings),
      cmocka_unit_test(arrays),
      cmocka_unit_test(objects),
      cmocka_unit_test(combinations),
      cmocka_unit_test(odd_schemas_do_no_harm),
      cmocka_unit_test(greedy_schemas_come_to_an_end),
  };
  RUN_SUITE(tests);
}
