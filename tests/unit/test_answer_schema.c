/* test_answer_schema: values against schemas: how many faults, and what is said of the first.
 *
 * The counts of the table are those of Draft202012Validator.iter_errors of the Python package
 * jsonschema 4.26, value by value. */
#include "check.h"
#include "test_alloc.h"

#include <sheaf/answer.h>

static test_alloc memory;
static sheaf_allocator heap;
static sheaf_schema_fault fault;
static sheaf_parse_error error;

#define CHECK_SAID(wanted)                                                                   \
  do {                                                                                       \
    if (strcmp(fault.message, wanted) != 0)                                                  \
      check_bad++, printf("%s:%d: %s, not %s\n", __FILE__, __LINE__, fault.message, wanted); \
  } while (0)

/* The schema's status, else the check's. */
static int32_t judge(const char *schema_json, const char *value) {
  sheaf_schema *schema = NULL;
  memset(&error, 0, sizeof error);
  int32_t status = sheaf_schema_new(sheaf_slice_of(schema_json), &heap, &schema, &error);
  if (status == SHEAF_OK) status = sheaf_schema_check(schema, sheaf_slice_of(value), &fault);
  sheaf_schema_free(schema);
  return status;
}

typedef struct judged {
  const char *schema, *value;
  uint32_t faults;
} judged;

TEST(faults_are_as_many_as_another_validator_finds) {
  static const judged cases[] = {
      {"{\"type\":\"object\"}", "{}", 0},
      {"{\"type\":\"object\"}", "[]", 1},
      {"{\"type\":\"object\"}", "null", 1},
      {"{\"type\":[\"integer\",\"null\"]}", "1", 0},
      {"{\"type\":[\"integer\",\"null\"]}", "1.0", 0},
      {"{\"type\":[\"integer\",\"null\"]}", "1.5", 1},
      {"{\"type\":[\"integer\",\"null\"]}", "null", 0},
      {"{\"type\":[\"integer\",\"null\"]}", "\"1\"", 1},
      {"{\"type\":[\"integer\",\"null\"]}", "1e2", 0},
      {"{\"type\":[\"integer\",\"null\"]}", "1e-2", 1},
      {"{\"type\":[\"integer\",\"null\"]}", "-0.0", 0},
      {"{\"type\":\"number\"}", "3", 0},
      {"{\"type\":\"number\"}", "3.5", 0},
      {"{\"type\":\"number\"}", "true", 1},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]}",
       "{\"a\":\"x\",\"b\":1}", 0},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]}", "{\"a\":1}", 2},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]}", "{}", 2},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]}", "{\"b\":2}", 1},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]}", "[1]", 0},
      {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", 0},
      {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1,\"b\":2,\"c\":3}",
       1},
      {"{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"integer\"}}",
       "{\"a\":\"x\",\"b\":2}", 0},
      {"{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"integer\"}}",
       "{\"b\":\"x\",\"c\":\"y\"}", 2},
      {"{\"minProperties\":1,\"maxProperties\":2}", "{}", 1},
      {"{\"minProperties\":1,\"maxProperties\":2}", "{\"a\":1}", 0},
      {"{\"minProperties\":1,\"maxProperties\":2}", "{\"a\":1,\"b\":2,\"c\":3}", 1},
      {"{\"minProperties\":1,\"maxProperties\":2}", "5", 0},
      {"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "[]", 1},
      {"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "[1,\"a\",null]", 2},
      {"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "[1,2,3,4]", 1},
      {"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "{}", 0},
      {"{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":{\"type\":"
       "\"boolean\"}}",
       "[\"a\",1,true]", 0},
      {"{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":{\"type\":"
       "\"boolean\"}}",
       "[1,\"a\",2]", 3},
      {"{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":{\"type\":"
       "\"boolean\"}}",
       "[\"a\"]", 0},
      {"{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":{\"type\":"
       "\"boolean\"}}",
       "[]", 0},
      {"{\"prefixItems\":[true],\"items\":false}", "[1]", 0},
      {"{\"prefixItems\":[true],\"items\":false}", "[1,2]", 1},
      {"{\"uniqueItems\":true}", "[1,2,\"1\"]", 0},
      {"{\"uniqueItems\":true}", "[1,1.0]", 1},
      {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}]", 1},
      {"{\"uniqueItems\":true}", "[[1],[1]]", 1},
      {"{\"uniqueItems\":true}", "[0,false]", 0},
      {"{\"uniqueItems\":true}", "[\"\\u0061\",\"a\"]", 1},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "\"red\"", 0},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "\"r\\u0065d\"", 0},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "1.0", 0},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "null", 0},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "[1,2]", 0},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "{\"k\":\"v\"}", 0},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "\"blue\"", 1},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "true", 1},
      {"{\"enum\":[\"red\",1,null,[1,2],{\"k\":\"v\"}]}", "[2,1]", 1},
      {"{\"const\":1}", "1", 0},
      {"{\"const\":1}", "1.0", 0},
      {"{\"const\":1}", "true", 1},
      {"{\"const\":1}", "\"1\"", 1},
      {"{\"const\":false}", "false", 0},
      {"{\"const\":false}", "0", 1},
      {"{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":5}]}", "\"x\"", 0},
      {"{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":5}]}", "7", 0},
      {"{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":5}]}", "3", 1},
      {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "9", 0},
      {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "10", 0},
      {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "15", 1},
      {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "7", 1},
      {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "\"x\"", 1},
      {"{\"allOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]},{\"type\":\"object\"}]}",
       "{\"a\":1,\"b\":1}", 0},
      {"{\"allOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]},{\"type\":\"object\"}]}", "{}",
       2},
      {"{\"allOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]},{\"type\":\"object\"}]}",
       "{\"a\":1}", 1},
      {"{\"allOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]},{\"type\":\"object\"}]}", "[]",
       1},
      {"{\"not\":{\"type\":\"null\"}}", "1", 0},
      {"{\"not\":{\"type\":\"null\"}}", "null", 1},
      {"{\"minimum\":1,\"maximum\":5}", "1", 0},
      {"{\"minimum\":1,\"maximum\":5}", "5", 0},
      {"{\"minimum\":1,\"maximum\":5}", "0.999", 1},
      {"{\"minimum\":1,\"maximum\":5}", "5.001", 1},
      {"{\"minimum\":1,\"maximum\":5}", "\"9\"", 0},
      {"{\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "0", 1},
      {"{\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "1", 1},
      {"{\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "0.5", 0},
      {"{\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "0.0", 1},
      {"{\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "1e-9", 0},
      {"{\"minimum\":9007199254740993}", "9007199254740992", 1},
      {"{\"minimum\":9007199254740993}", "9007199254740993", 0},
      {"{\"multipleOf\":0.5}", "2.5", 0},
      {"{\"multipleOf\":0.5}", "2.25", 1},
      {"{\"multipleOf\":0.5}", "0", 0},
      {"{\"multipleOf\":0.5}", "-1.5", 0},
      {"{\"multipleOf\":0.5}", "1e3", 0},
      {"{\"multipleOf\":7}", "700", 0},
      {"{\"multipleOf\":7}", "701", 1},
      {"{\"multipleOf\":7}", "1e2", 1},
      {"{\"multipleOf\":7}", "-14", 0},
      {"{\"minLength\":2,\"maxLength\":3}", "\"a\"", 1},
      {"{\"minLength\":2,\"maxLength\":3}", "\"ab\"", 0},
      {"{\"minLength\":2,\"maxLength\":3}", "\"\\u00e9\\u00e9\\u00e9\"", 0},
      {"{\"minLength\":2,\"maxLength\":3}", "\"\\ud83d\\ude00\"", 1},
      {"{\"minLength\":2,\"maxLength\":3}", "\"\\ud83d\\ude00x\"", 0},
      {"{\"minLength\":2,\"maxLength\":3}", "\"abcd\"", 1},
      {"{\"minLength\":2,\"maxLength\":3}", "12345", 0},
      {"{\"minLength\":2,\"maxLength\":3}", "\"日本語\"", 0},
      {"{\"$ref\":\"#/$defs/"
       "n\",\"$defs\":{\"n\":{\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#/"
       "$defs/n\"}},\"required\":[\"v\"]}}}",
       "{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":3}}}", 0},
      {"{\"$ref\":\"#/$defs/"
       "n\",\"$defs\":{\"n\":{\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#/"
       "$defs/n\"}},\"required\":[\"v\"]}}}",
       "{\"v\":1,\"next\":{\"next\":{\"v\":\"x\"}}}", 2},
      {"{\"definitions\":{\"a/b\":{\"type\":\"string\"}},\"properties\":{\"x\":{\"$ref\":\"#/"
       "definitions/a~1b\"},\"y\":{\"$ref\":\"#/properties/x\"}}}",
       "{\"x\":\"s\",\"y\":\"t\"}", 0},
      {"{\"definitions\":{\"a/b\":{\"type\":\"string\"}},\"properties\":{\"x\":{\"$ref\":\"#/"
       "definitions/a~1b\"},\"y\":{\"$ref\":\"#/properties/x\"}}}",
       "{\"x\":1,\"y\":2}", 2},
      {"{\"items\":{\"$ref\":\"#\"},\"type\":\"array\"}", "[[],[[]]]", 0},
      {"{\"items\":{\"$ref\":\"#\"},\"type\":\"array\"}", "[[],[1,2]]", 2},
      {"true", "1", 0},
      {"true", "{}", 0},
      {"false", "1", 1},
      {"{\"properties\":{\"a\":false,\"b\":true}}", "{\"b\":1}", 0},
      {"{\"properties\":{\"a\":false,\"b\":true}}", "{\"a\":1}", 1},
      {"{\"title\":\"t\",\"description\":\"d\",\"default\":7,\"examples\":[1]}", "\"anything\"", 0},
      {"{\"items\":{\"properties\":{\"price\":{\"type\":\"number\",\"minimum\":0}},\"required\":["
       "\"price\"],\"additionalProperties\":false}}",
       "[{\"price\":1}]", 0},
      {"{\"items\":{\"properties\":{\"price\":{\"type\":\"number\",\"minimum\":0}},\"required\":["
       "\"price\"],\"additionalProperties\":false}}",
       "[{\"price\":-1},{\"cost\":2}]", 3},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int before = check_bad;
    CHECK_OK(judge(cases[i].schema, cases[i].value));
    CHECK_EQ(fault.faults, cases[i].faults);
    CHECK_EQ(fault.message[0] != 0, cases[i].faults > 0);
    CHECK(!fault.incomplete);
    if (check_bad != before) printf("  %s by %s\n", cases[i].value, cases[i].schema);
  }
}

typedef struct told {
  const char *schema, *value, *message;
} told;

TEST(the_first_fault_is_told_with_its_place) {
  static const told cases[] = {
      {"{\"type\":\"object\"}", "[]", "object wanted, array found"},
      {"{\"type\":[\"integer\",\"null\"]}", "1.5", "integer or null wanted, number found"},
      {"{\"required\":[\"name\"]}", "{}", "member \"name\" is missing"},
      {"{\"properties\":{\"a\":{\"items\":{\"type\":\"string\"}}}}", "{\"a\":[\"x\",2,3]}",
       "/a/1: string wanted, integer found"},
      {"{\"properties\":{\"a/b~c\":{\"maximum\":5}}}", "{\"a/b~c\":6}",
       "/a~1b~0c: above the maximum of 5"},
      {"{\"additionalProperties\":false,\"properties\":{\"a\":{}}}", "{\"a\":1,\"zz\":2}",
       "member \"zz\" is not allowed"},
      {"{\"items\":{\"enum\":[1,2]}}", "[1,3]", "/1: none of the values that are listed"},
      {"{\"minLength\":3}", "\"ab\"", "fewer than 3 characters"},
      {"{\"maxItems\":1}", "[1,2]", "more than 1 elements"},
      {"{\"anyOf\":[{\"type\":\"string\"}]}", "1", "fits no alternative of anyOf"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    CHECK_OK(judge(cases[i].schema, cases[i].value));
    CHECK_SAID(cases[i].message);
  }
}

TEST(a_long_place_is_cut_between_characters) {
  char value[1200] = "";
  for (int i = 0; i < 60; i++) strcat(value, "{\"\xC3\xA9\xC3\xA9\xC3\xA9\":");
  strcat(value, "1");
  for (int i = 0; i < 60; i++) strcat(value, "}");
  CHECK_OK(judge("{\"additionalProperties\":{\"$ref\":\"#\"},\"type\":\"object\"}", value));
  CHECK_EQ(fault.faults, 1);
  size_t bytes = strlen(fault.message);
  CHECK(bytes < sizeof fault.message);
  CHECK(bytes > sizeof fault.message - 4);
  sheaf_buf quoted; /* half a character would become U+FFFD */
  sheaf_buf_init(&quoted, &heap, 4096);
  CHECK_OK(sheaf_buf_append_string(&quoted, sheaf_slice_of(fault.message)));
  CHECK_EQ(quoted.bytes, bytes + 2);
  sheaf_buf_deinit(&quoted);
}

typedef struct refused {
  const char *schema;
  int32_t status;
  const char *field; /* NULL: none is named */
} refused;

TEST(a_schema_that_is_none_is_refused_with_its_keyword) {
  static const refused cases[] = {
      {"{", SHEAF_E_PARTIAL, NULL},
      {"{'type':'object'}", SHEAF_E_SYNTAX, NULL},
      {"5", SHEAF_E_TYPE, NULL},
      {"{\"items\":{\"type\":\"strnig\"}}", SHEAF_E_TYPE, "type"},
      {"{\"type\":[\"string\",1]}", SHEAF_E_TYPE, "type"},
      {"{\"properties\":[]}", SHEAF_E_TYPE, "properties"},
      {"{\"properties\":{\"a\":1}}", SHEAF_E_TYPE, NULL},
      {"{\"required\":\"a\"}", SHEAF_E_TYPE, "required"},
      {"{\"required\":[1]}", SHEAF_E_TYPE, "required"},
      {"{\"minLength\":-1}", SHEAF_E_TYPE, "minLength"},
      {"{\"minItems\":1.5}", SHEAF_E_TYPE, "minItems"},
      {"{\"minimum\":\"1\"}", SHEAF_E_TYPE, "minimum"},
      {"{\"multipleOf\":0}", SHEAF_E_TYPE, "multipleOf"},
      {"{\"uniqueItems\":1}", SHEAF_E_TYPE, "uniqueItems"},
      {"{\"enum\":1}", SHEAF_E_TYPE, "enum"},
      {"{\"anyOf\":{}}", SHEAF_E_TYPE, "anyOf"},
      {"{\"not\":[]}", SHEAF_E_TYPE, "not"},
      {"{\"$ref\":\"#/$defs/none\"}", SHEAF_E_FIELD, "$ref"},
      {"{\"$ref\":\"http://elsewhere/x.json\"}", SHEAF_E_FIELD, "$ref"},
      {"{\"$ref\":\"#\"}", SHEAF_E_FIELD, "$ref"},
      {"{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}", SHEAF_E_FIELD,
       "$ref"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int before = check_bad;
    CHECK_STATUS(judge(cases[i].schema, "1"), cases[i].status);
    CHECK_EQ(error.status, cases[i].status);
    CHECK(error.message != NULL);
    CHECK_EQ(error.field != NULL, cases[i].field != NULL);
    if (error.field != NULL && cases[i].field != NULL)
      CHECK(strcmp(error.field, cases[i].field) == 0);
    if (check_bad != before) printf("  for: %s\n", cases[i].schema);
  }
}

TEST(the_place_in_a_schema_is_told_in_its_own_bytes) {
  CHECK_STATUS(judge(" \n {\"type\":\"strnig\"}", "1"), SHEAF_E_TYPE);
  CHECK_EQ(error.offset, 11);
  CHECK_EQ(error.column, 12);
}

static void check_unchecked(const char *schema_json, const char *names) {
  sheaf_schema *schema = NULL;
  CHECK_OK(sheaf_schema_new(sheaf_slice_of(schema_json), &heap, &schema, NULL));
  sheaf_slice is = sheaf_schema_unchecked(schema);
  CHECK_TEXT(is, names);
  sheaf_schema_free(schema);
}

TEST(constraints_that_are_not_checked_are_named_once) {
  check_unchecked("{\"type\":\"string\",\"title\":\"t\",\"x-own\":1}", "");
  check_unchecked(
      "{\"properties\":{\"a\":{\"pattern\":\"^a\"},\"b\":{\"pattern\":\"b\","
      "\"format\":\"email\"}}}",
      "pattern, format");
  check_unchecked(
      "{\"pattern\":\"\",\"format\":\"\",\"patternProperties\":{},\"propertyNames\":{},"
      "\"contains\":{},\"minContains\":1,\"maxContains\":1,\"if\":{},"
      "\"dependentSchemas\":{},\"dependencies\":{},\"dependentRequired\":{},"
      "\"additionalItems\":{},\"$dynamicRef\":\"\",\"$recursiveRef\":\"\","
      "\"unevaluatedProperties\":false,\"unevaluatedItems\":false}",
      "pattern, format, patternProperties, propertyNames, contains, minContains, "
      "maxContains, if, dependentSchemas, dependencies, dependentRequired, "
      "additionalItems, $dynamicRef, $recursiveRef, unevaluatedProperties, "
      "unevaluatedItems");
}

TEST(a_list_under_items_is_read_as_of_the_older_drafts) {
  CHECK_OK(
      judge("{\"items\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", "[\"a\",\"b\",null]"));
  CHECK_EQ(fault.faults, 1);
  CHECK_SAID("/1: integer wanted, string found");
}

TEST(work_and_nesting_are_bounded_and_said) {
  CHECK_OK(
      judge("{\"$defs\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"},{\"$ref\":\"#/$defs/a\"}]}},"
            "\"$ref\":\"#/$defs/a\"}",
            "1"));
  CHECK(fault.incomplete);
  CHECK_EQ(fault.faults, 0);
  char list[2000] = "[";
  for (int i = 0; i < 300; i++) {
    char number[16];
    snprintf(number, sizeof number, "%d,", i);
    strcat(list, number);
  }
  strcat(list, "0]");
  CHECK_OK(judge("{\"uniqueItems\":true}", list));
  CHECK(fault.incomplete); /* the pair lies beyond 256 elements */
  CHECK_EQ(fault.faults, 0);
}

TEST(decimals_are_exact) {
  static const judged cases[] = {
      {"{\"multipleOf\":0.1}", "0.3", 0}, /* of doubles 0.3 / 0.1 is no whole number */
      {"{\"multipleOf\":0.01}", "1e300", 0},
      {"{\"multipleOf\":1e-18}", "0.1234567890123456789", 1},
      {"{\"const\":0.30000000000000000001}", "0.3", 1},
      {"{\"maximum\":1e400}", "9e399", 0},
      {"{\"maximum\":1e400}", "1.1e400", 1},
      {"{\"const\":100}", "1E+2", 0},
      {"{\"const\":0}", "-0.000e5", 0},
      {"{\"minimum\":-1.5}", "-1.50", 0},
      {"{\"minimum\":-1.5}", "-1.51", 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    CHECK_OK(judge(cases[i].schema, cases[i].value));
    CHECK_EQ(fault.faults, cases[i].faults);
  }
}

TEST(what_is_no_json_is_refused_by_the_check) {
  CHECK_STATUS(judge("true", "{"), SHEAF_E_PARTIAL);
  CHECK_STATUS(judge("true", "x"), SHEAF_E_SYNTAX);
}

TEST(without_memory_there_is_no_schema_and_nothing_leaks) {
  for (uint64_t n = 1; n <= 2; n++) {
    sheaf_schema *schema = NULL;
    memory.fail_at = memory.calls + n;
    CHECK_STATUS(sheaf_schema_new(SHEAF_LITERAL("{}"), &heap, &schema, &error), SHEAF_E_NOMEM);
    CHECK(schema == NULL);
  }
  memory.fail_at = 0;
  CHECK_EQ(memory.live_blocks, 0);
}

int main(void) {
  heap = test_allocator(&memory);
  RUN(faults_are_as_many_as_another_validator_finds);
  RUN(the_first_fault_is_told_with_its_place);
  RUN(a_long_place_is_cut_between_characters);
  RUN(a_schema_that_is_none_is_refused_with_its_keyword);
  RUN(the_place_in_a_schema_is_told_in_its_own_bytes);
  RUN(constraints_that_are_not_checked_are_named_once);
  RUN(a_list_under_items_is_read_as_of_the_older_drafts);
  RUN(work_and_nesting_are_bounded_and_said);
  RUN(decimals_are_exact);
  RUN(what_is_no_json_is_refused_by_the_check);
  RUN(without_memory_there_is_no_schema_and_nothing_leaks);
  CHECK_EQ(memory.live_blocks, 0);
  CHECK(!memory.size_mismatch);
  return check_report();
}
