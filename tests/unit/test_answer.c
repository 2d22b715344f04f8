/* test_answer: what is read out of a model's answer, what it costs in points, and what is dropped.
 *
 * Expected values follow from the header: a repair changes the writing and not the meaning, and of a
 * text that ends too early only what is complete stays. */
#include "check.h"
#include "test_alloc.h"

#include <sheaf/answer.h>

#define R(name) SHEAF_REPAIR_##name

static test_alloc memory;
static sheaf_allocator heap;
static sheaf_buf json;
static sheaf_answer answer;

static int32_t read_text(const char *text) {
  sheaf_buf_reset(&json);
  return sheaf_answer_read(sheaf_slice_of(text), &json, &answer);
}

/* What was written last, terminated. */
static const char *written(void) {
  static char shown[512];
  size_t bytes = json.bytes < sizeof shown ? json.bytes : sizeof shown - 1;
  if (bytes) memcpy(shown, json.data, bytes);
  shown[bytes] = 0;
  return shown;
}

#define CHECK_WRITTEN(wanted)                                                            \
  do {                                                                                   \
    if (strcmp(written(), wanted) != 0)                                                  \
      check_bad++, printf("%s:%d: %s, not %s\n", __FILE__, __LINE__, written(), wanted); \
  } while (0)

typedef struct reading {
  const char *text;
  const char *json; /* NULL: none is found */
  uint32_t repairs;
} reading;

static void check_reading(const reading *c) {
  int before = check_bad;
  if (c->json == NULL) {
    CHECK_STATUS(read_text(c->text), SHEAF_E_NOT_FOUND);
    CHECK_EQ(answer.score, 0);
    CHECK_EQ(json.bytes, 0);
  } else {
    CHECK_OK(read_text(c->text));
    CHECK_WRITTEN(c->json);
    CHECK_EQ(answer.repairs, c->repairs);
    CHECK_EQ(answer.score == 100, c->repairs == 0);
    CHECK(answer.score >= 1 && answer.score <= 100);
    CHECK_OK(sheaf_json_check(sheaf_buf_slice(&json), NULL));
  }
  if (check_bad != before) printf("  for: %s\n", c->text);
}

#define CHECK_READINGS(cases)                                                                 \
  do {                                                                                        \
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases)[0]; i++) check_reading(&(cases)[i]); \
  } while (0)

TEST(strict_json_stays_as_it_is) {
  static const reading cases[] = {
      {"{\"a\":1}", "{\"a\":1}", 0},
      {"  [1, 2.50, -3e+7, true, null]\n", "[1, 2.50, -3e+7, true, null]", 0},
      {"\"text with [brackets]\"", "\"text with [brackets]\"", 0},
      {"42", "42", 0},
      {"null", "null", 0},
      {"{\"a\":\"\\ud83d\\ude00 \xC3\xA9\"}", "{\"a\":\"\\ud83d\\ude00 \xC3\xA9\"}", 0},
      {"\xEF\xBB\xBF{}", "{}", 0},
  };
  CHECK_READINGS(cases);
}

TEST(marks_and_words_around_the_value_go) {
  static const reading cases[] = {
      {"```json\n{\"a\":1}\n```", "{\"a\":1}", R(FENCE)},
      {"```\n[1]\n```", "[1]", R(FENCE)},
      {"~~~json\n[1]\n~~~", "[1]", R(FENCE)},
      {"`{\"a\":1}`", "{\"a\":1}", R(FENCE)},
      {"Here:\n```json\n{\"a\":1}\n```\nEnjoy!", "{\"a\":1}", R(FENCE) | R(TEXT_AROUND)},
      {"The answer is {\"a\":1}.", "{\"a\":1}", R(TEXT_AROUND)},
      {"json\n{\"a\":1}", "{\"a\":1}", R(TEXT_AROUND)},
      {"<think>maybe {\"x\":[1,2,3]}</think>\n{\"a\":1}", "{\"a\":1}", R(TEXT_AROUND)},
      {"{\"a\":\"```js\\nx\\n```\"} is it", "{\"a\":\"```js\\nx\\n```\"}", R(TEXT_AROUND)},
      {"```\n'yes'\n```", "\"yes\"", R(FENCE) | R(SINGLE_QUOTES)},
      {"True", "true", R(PYTHON_LITERAL)},
  };
  CHECK_READINGS(cases);
}

TEST(of_several_values_the_longest_stands) {
  static const reading cases[] = {
      {"As shown in [1], it is {\"name\":\"xyz\"}.", "{\"name\":\"xyz\"}", R(TEXT_AROUND)},
      {"{\"a\":1}\n{\"b\":22}", "{\"b\":22}", R(TEXT_AROUND) | R(SEVERAL)},
      {"Not {this} but {\"a\":1}", "{\"a\":1}", R(TEXT_AROUND)},
      {"{\"long\":\"before the fence\"} ```json\n{\"a\":1}\n```", "{\"a\":1}",
       R(FENCE) | R(TEXT_AROUND)},
  };
  CHECK_READINGS(cases);
}

TEST(small_slips_of_writing_are_mended) {
  static const reading cases[] = {
      {"{\"a\":1,}", "{\"a\":1}", R(TRAILING_COMMA)},
      {"[1,2,,3,]", "[1,2,3]", R(TRAILING_COMMA)},
      {"{'a':'b'}", "{\"a\":\"b\"}", R(SINGLE_QUOTES)},
      {"{'a':'say \"x\"'}", "{\"a\":\"say \\\"x\\\"\"}", R(SINGLE_QUOTES)},
      {"{'a':'don\\'t'}", "{\"a\":\"don't\"}", R(SINGLE_QUOTES)},
      {"{\xE2\x80\x9C"
       "a\xE2\x80\x9D:\xE2\x80\x9C"
       "b\xE2\x80\x9D}",
       "{\"a\":\"b\"}", R(CURLY_QUOTES)},
      {"{a:1,b_c:2,$d:3}", "{\"a\":1,\"b_c\":2,\"$d\":3}", R(UNQUOTED_KEY)},
      {"{\"a\":1 // one\n}", "{\"a\":1}", R(COMMENT)},
      {"{\"a\":/* , */1}", "{\"a\":1}", R(COMMENT)},
      {"{\"a\":1 # one\n}", "{\"a\":1}", R(COMMENT)},
      {"{\"a\":\"http://x # y\"}", "{\"a\":\"http://x # y\"}", 0},
      {"[True,False,None,TRUE]", "[true,false,null,true]", R(PYTHON_LITERAL)},
      {"[NaN,-Infinity,undefined]", "[null,null,null]", R(NOT_A_NUMBER)},
      {"{\"a\":\"b\nc\td\"}", "{\"a\":\"b\\nc\\td\"}", R(CONTROL_IN_STRING)},
      {"{\"re\":\"\\d+\\.\"}", "{\"re\":\"\\\\d+\\\\.\"}", R(BAD_ESCAPE)},
      {"{\"a\":\"\\u12\"}", "{\"a\":\"\\\\u12\"}", R(BAD_ESCAPE)},
      {"[.5,+1,5.,-.5]", "[0.5,1,5,-0.5]", R(NUMBER_FORM)},
      {"{\"a\":\"\xFF\"}", "{\"a\":\"\xEF\xBF\xBD\"}", R(INVALID_UTF8)},
      {"{\"a\":1 \"b\":2}", "{\"a\":1,\"b\":2}", R(MISSING_COMMA)},
      {"{\"a\":\"x\"\n\"b\":\"y\"}", "{\"a\":\"x\",\"b\":\"y\"}", R(MISSING_COMMA)},
      {"[[1] [2]]", "[[1],[2]]", R(MISSING_COMMA)},
      {"{\"a\":[1,2}", "{\"a\":[1,2]}", R(BRACKET)},
      {"{\"a\":[1,2]],\"b\":3}", "{\"a\":[1,2],\"b\":3}", R(BRACKET)},
      {"{\"t\":\"He said \"hi\" to me\",\"b\":1}", "{\"t\":\"He said \\\"hi\\\" to me\",\"b\":1}",
       R(INNER_QUOTE)},
      {"{\"t\":\"say \"yes\", then go\"}", "{\"t\":\"say \\\"yes\\\", then go\"}", R(INNER_QUOTE)},
      {"{'t':'it's fine','u':1}", "{\"t\":\"it's fine\",\"u\":1}",
       R(SINGLE_QUOTES) | R(INNER_QUOTE)},
  };
  CHECK_READINGS(cases);
}

TEST(of_a_cut_text_only_what_is_complete_stays) {
  static const reading cases[] = {
      {"{\"a\":\"x\",\"b\":12", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"b\":1.5e", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"b\":tru", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"b\":true", "{\"a\":\"x\",\"b\":true}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"b\":", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"bee", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":\"x\",", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"b\":{\"c\":[", "{\"a\":\"x\"}", R(TRUNCATED)},
      {"{\"a\":[1,2,{\"c\":3,", "{\"a\":[1,2,{\"c\":3}]}", R(TRUNCATED)},
      {"{\"a\":[1,2,3", "{\"a\":[1,2]}", R(TRUNCATED)},
      {"{\"a\":\"x\",\"b\":\"hel", "{\"a\":\"x\",\"b\":\"hel\"}", R(TRUNCATED) | R(CUT_STRING)},
      {"{\"a\":\"x\\u00", "{\"a\":\"x\"}", R(TRUNCATED) | R(CUT_STRING)},
      {"{\"a\":\"x\\", "{\"a\":\"x\"}", R(TRUNCATED) | R(CUT_STRING)},
      {"{\"a\":\"x\\ud83d", "{\"a\":\"x\"}", R(TRUNCATED) | R(CUT_STRING)},
      {"{\"a\":\"x\xE2\x82", "{\"a\":\"x\"}", R(TRUNCATED) | R(CUT_STRING)},
      {"```json\n{\"a\":[1,2\n```", "{\"a\":[1,2]}", R(FENCE) | R(TRUNCATED)},
      {"{\"a\":", NULL, 0},
      {"{\"a", NULL, 0},
      {"[12", NULL, 0},
      {"{", NULL, 0},
  };
  CHECK_READINGS(cases);
}

TEST(what_fits_nowhere_ends_the_value_and_is_marked) {
  static const reading cases[] = {
      {"{\"a\":1,\"b\":hello,\"c\":{\"d\":[1,2,3,4,5,6]}}", "{\"a\":1}", R(BROKEN)},
      {"[1, 2, ...]", "[1,2]", R(BROKEN)},
      {"[1,2024-01-01]", "[1]", R(BROKEN)},
      {"{\"a\":1,\"b\":007}", "{\"a\":1}", R(BROKEN)},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    CHECK_OK(read_text(cases[i].text));
    CHECK_WRITTEN(cases[i].json);
    CHECK(answer.repairs & R(BROKEN));
    CHECK(answer.score <= 50);
  }
}

TEST(text_without_json_is_none) {
  static const reading cases[] = {
      {"", NULL, 0},
      {"I cannot do that.", NULL, 0},
      {"He said \"hi\"", NULL, 0},
      {"{curly} words", NULL, 0},
      {"[01]", NULL, 0},
      {"{\"a\": hello}", NULL, 0},
      {"1 or 2", NULL, 0},
      {"```\n```", NULL, 0},
  };
  CHECK_READINGS(cases);
}

TEST(points_are_taken_once_for_each_kind) {
  CHECK_OK(read_text("{a:1,b:2,}"));
  CHECK_EQ(answer.score, 100 - 5 - 5);
  CHECK_OK(read_text("Sure! ```json\n{\"a\":\"b"));
  CHECK_EQ(answer.score, 100 - 2 - 5 - 30 - 15);
  CHECK_OK(read_text("{'a':.5 \"b\":\"\\d\xFF\n\",c:NaN,\"d\":True,/**/\"e\":\"x \"y\" z\"}"));
  CHECK_EQ(answer.repairs, R(SINGLE_QUOTES) | R(NUMBER_FORM) | R(MISSING_COMMA) | R(BAD_ESCAPE) |
                               R(INVALID_UTF8) | R(CONTROL_IN_STRING) | R(UNQUOTED_KEY) |
                               R(NOT_A_NUMBER) | R(PYTHON_LITERAL) | R(COMMENT) | R(INNER_QUOTE));
  CHECK_EQ(answer.score, 1);
}

TEST(a_score_falls_by_each_fault_and_never_to_none) {
  CHECK_OK(read_text("{}"));
  CHECK_EQ(sheaf_answer_score(&answer, 0), 100);
  CHECK_EQ(sheaf_answer_score(&answer, 2), 100 - 2 * SHEAF_ANSWER_FAULT_COST);
  CHECK_EQ(sheaf_answer_score(&answer, 1000), 1);
  CHECK_EQ(sheaf_answer_score(&answer, UINT32_MAX), 1);
  CHECK_STATUS(read_text("none"), SHEAF_E_NOT_FOUND);
  CHECK_EQ(sheaf_answer_score(&answer, 0), 0);
}

TEST(names_of_repairs_are_those_of_the_header) {
  CHECK(strcmp(sheaf_repair_name(0), "fence") == 0);
  CHECK(strcmp(sheaf_repair_name(19), "broken") == 0);
  CHECK(sheaf_repair_name(SHEAF_REPAIR_COUNT) == NULL);
  CHECK_EQ(SHEAF_REPAIR_BROKEN, 1 << 19);
}

TEST(nesting_beyond_64_is_refused) {
  char text[200];
  memset(text, '[', 65);
  memset(text + 65, ']', 65);
  text[130] = 0;
  CHECK_STATUS(read_text(text), SHEAF_E_DEPTH);
  CHECK_EQ(answer.score, 0);
  CHECK_EQ(json.bytes, 0);
  text[0] = text[129] = ' ';
  CHECK_OK(read_text(text));
  CHECK_EQ(answer.score, 100);
}

TEST(places_in_the_text_and_kinds_are_told) {
  CHECK_OK(read_text("x: [1,] !"));
  CHECK_EQ(answer.begin, 3);
  CHECK_EQ(answer.end, 7);
  CHECK_EQ(answer.kind, SHEAF_JSON_ARRAY);
  CHECK_OK(read_text("{\"a\":1}"));
  CHECK_EQ(answer.begin, 0);
  CHECK_EQ(answer.end, 7);
  CHECK_EQ(answer.kind, SHEAF_JSON_OBJECT);
}

TEST(what_the_buffer_held_before_stays) {
  sheaf_buf_reset(&json);
  sheaf_buf_append_text(&json, "kept ");
  CHECK_OK(sheaf_answer_read(SHEAF_LITERAL("[1] or {a:1} or [2]"), &json, &answer));
  CHECK_WRITTEN("kept {\"a\":1}");
  CHECK_STATUS(sheaf_answer_read(SHEAF_LITERAL("no"), &json, &answer), SHEAF_E_NOT_FOUND);
  CHECK_WRITTEN("kept {\"a\":1}");
}

TEST(a_buffer_that_is_full_or_without_memory_gets_nothing) {
  sheaf_buf small;
  sheaf_buf_init(&small, &heap, 6);
  CHECK_STATUS(sheaf_answer_read(SHEAF_LITERAL("{\"a\":1}"), &small, &answer), SHEAF_E_LIMIT);
  CHECK_EQ(small.bytes, 0);
  sheaf_buf_deinit(&small);
  sheaf_buf_init(&small, &heap, 12);
  CHECK_STATUS(sheaf_answer_read(SHEAF_LITERAL("{a:1, bbbbbb:2}"), &small, &answer), SHEAF_E_LIMIT);
  CHECK_EQ(small.bytes, 0);
  sheaf_buf_deinit(&small);
}

/* Every prefix of a document gives a part of it or nothing, and never something else. */
TEST(every_prefix_gives_a_part) {
  static const char text[] =
      "{\"name\":\"A \\\"b\\\" "
      "\\u00e9\",\"n\":[1,22,-3.5e2,true,null],\"o\":{\"k\":\"v\",\"z\":{}}}";
  for (size_t cut = 0; cut < sizeof text - 1; cut++) {
    sheaf_buf_reset(&json);
    int32_t status = sheaf_answer_read((sheaf_slice){text, cut}, &json, &answer);
    CHECK(status == SHEAF_OK || status == SHEAF_E_NOT_FOUND);
    if (status != SHEAF_OK) continue;
    CHECK(answer.repairs & R(TRUNCATED));
    CHECK_OK(sheaf_json_check(sheaf_buf_slice(&json), NULL));
    size_t same = 0; /* the written part is the text's beginning, and then closing marks only */
    while (same < json.bytes && same < cut && json.data[same] == text[same]) same++;
    for (size_t i = same; i < json.bytes; i++) CHECK(strchr("\"]}", json.data[i]) != NULL);
  }
}

int main(void) {
  heap = test_allocator(&memory);
  sheaf_buf_init(&json, &heap, 1 << 20);
  RUN(strict_json_stays_as_it_is);
  RUN(marks_and_words_around_the_value_go);
  RUN(of_several_values_the_longest_stands);
  RUN(small_slips_of_writing_are_mended);
  RUN(of_a_cut_text_only_what_is_complete_stays);
  RUN(what_fits_nowhere_ends_the_value_and_is_marked);
  RUN(text_without_json_is_none);
  RUN(points_are_taken_once_for_each_kind);
  RUN(a_score_falls_by_each_fault_and_never_to_none);
  RUN(names_of_repairs_are_those_of_the_header);
  RUN(nesting_beyond_64_is_refused);
  RUN(places_in_the_text_and_kinds_are_told);
  RUN(what_the_buffer_held_before_stays);
  RUN(a_buffer_that_is_full_or_without_memory_gets_nothing);
  RUN(every_prefix_gives_a_part);
  sheaf_buf_deinit(&json);
  return check_report();
}
