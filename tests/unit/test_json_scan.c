/* test_json_scan.c: the walk that checks a document and finds values. What is accepted and refused is RFC 8259's grammar, by
 * hand; cJSON serves as a second opinion on mutated documents. */
#include "check.h"

#include <sheaf/buf.h>

#include "base/random.h"

#include <cjson/cJSON.h>

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

static int32_t check_text(const char *text, size_t bytes, sheaf_parse_error *error) {
  sheaf_slice copy = copy_of(text, bytes);
  int32_t status = sheaf_json_check(copy, error);
  drop(copy);
  return status;
}

TEST(every_form_of_the_grammar_is_accepted) {
  static const char *const texts[] = {"{}",
                                      "[]",
                                      "\"\"",
                                      "0",
                                      "-0",
                                      "true",
                                      "false",
                                      "null",
                                      "\"a\"",
                                      "[[]]",
                                      "[{}]",
                                      "{\"\":{}}",
                                      " {} ",
                                      "\t\r\n[\t\r\n]\t\r\n",
                                      "[ 1 , 2 ]",
                                      "{ \"a\" : 1 , \"b\" : 2 }",
                                      "{\"a\":1,\"a\":2}",
                                      "1",
                                      "-1",
                                      "10",
                                      "123456789012345678901234567890",
                                      "0.5",
                                      "-0.5",
                                      "1.50",
                                      "0.000",
                                      "1e5",
                                      "1E5",
                                      "1e+5",
                                      "1e-5",
                                      "0e0",
                                      "0E-0",
                                      "-0e+0",
                                      "1.5e10",
                                      "1e400",
                                      "1e-400",
                                      "1e00005",
                                      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                      "\"\\u0000\"",
                                      "\"\\uABCD\\uabcd\\u0123\"",
                                      "\"\\ud83d\\ude00\"",
                                      "\"\\ud83d\"",
                                      "\"\\ude00\\ud83d\"",
                                      "\"\x7F\"",
                                      "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
                                      "\"\xE2\x80\xA8\"",
                                      "\"12345678\"",
                                      "\"1234567\"",
                                      "\"123456789abcdef0\"",
                                      "\"'\"",
                                      "\"//\"",
                                      "[0,-1,2.5,true,false,null,\"s\",[],{}]",
                                      "[true]",
                                      "[\"a\",\"b\"]",
                                      "{\"a\":[{\"b\":[{}]}]}"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    sheaf_parse_error error = {0};
    int32_t status = check_text(texts[i], strlen(texts[i]), &error);
    if (status != SHEAF_OK) printf("text: %s\n", texts[i]);
    CHECK_EQ(status, SHEAF_OK);
  }
}

typedef struct bad_case {
  const char *text;
  int32_t status;
  size_t offset;
} bad_case;

TEST(what_the_grammar_does_not_know_is_refused_with_its_place) {
  static const bad_case cases[] = {
      {"", SHEAF_E_PARTIAL, 0},
      {"  ", SHEAF_E_PARTIAL, 2},
      {"}", SHEAF_E_SYNTAX, 0},
      {"]", SHEAF_E_SYNTAX, 0},
      {",", SHEAF_E_SYNTAX, 0},
      {":", SHEAF_E_SYNTAX, 0},
      {"{} {}", SHEAF_E_SYNTAX, 3},
      {"1 2", SHEAF_E_SYNTAX, 2},
      {"{}x", SHEAF_E_SYNTAX, 2},
      {"[]]", SHEAF_E_SYNTAX, 2},
      {"\"a\"\"b\"", SHEAF_E_SYNTAX, 3},
      {"[1,]", SHEAF_E_SYNTAX, 3},
      {"[,1]", SHEAF_E_SYNTAX, 1},
      {"[1,,2]", SHEAF_E_SYNTAX, 3},
      {"[1 2]", SHEAF_E_SYNTAX, 3},
      {"[1:2]", SHEAF_E_SYNTAX, 2},
      {"[1}", SHEAF_E_SYNTAX, 2},
      {"{\"a\":1]", SHEAF_E_SYNTAX, 6},
      {"{\"a\":1,}", SHEAF_E_SYNTAX, 7},
      {"{,}", SHEAF_E_SYNTAX, 1},
      {"{\"a\"}", SHEAF_E_SYNTAX, 4},
      {"{\"a\",1}", SHEAF_E_SYNTAX, 4},
      {"{\"a\":}", SHEAF_E_SYNTAX, 5},
      {"{\"a\"::1}", SHEAF_E_SYNTAX, 5},
      {"{\"a\":1 \"b\":2}", SHEAF_E_SYNTAX, 7},
      {"{\"a\":1,,\"b\":2}", SHEAF_E_SYNTAX, 7},
      {"{a:1}", SHEAF_E_SYNTAX, 1},
      {"{1:1}", SHEAF_E_SYNTAX, 1},
      {"{'a':1}", SHEAF_E_SYNTAX, 1},
      {"['a']", SHEAF_E_SYNTAX, 1},
      {"01", SHEAF_E_SYNTAX, 0},
      {"-01", SHEAF_E_SYNTAX, 1},
      {"[00]", SHEAF_E_SYNTAX, 1},
      {"+1", SHEAF_E_SYNTAX, 0},
      {".5", SHEAF_E_SYNTAX, 0},
      {"1.", SHEAF_E_PARTIAL, 2},
      {"[1.]", SHEAF_E_SYNTAX, 3},
      {"[1.e5]", SHEAF_E_SYNTAX, 3},
      {"[-]", SHEAF_E_SYNTAX, 2},
      {"[1e]", SHEAF_E_SYNTAX, 3},
      {"[1e+]", SHEAF_E_SYNTAX, 4},
      {"[1e5.5]", SHEAF_E_SYNTAX, 4},
      {"1e", SHEAF_E_PARTIAL, 2},
      {"-", SHEAF_E_PARTIAL, 1},
      {"0x10", SHEAF_E_SYNTAX, 1},
      {"1a", SHEAF_E_SYNTAX, 1},
      {"1_000", SHEAF_E_SYNTAX, 1},
      {"- 1", SHEAF_E_SYNTAX, 1},
      {"NaN", SHEAF_E_SYNTAX, 0},
      {"Infinity", SHEAF_E_SYNTAX, 0},
      {"-Infinity", SHEAF_E_SYNTAX, 1},
      {"True", SHEAF_E_SYNTAX, 0},
      {"trux", SHEAF_E_SYNTAX, 0},
      {"tru", SHEAF_E_PARTIAL, 3},
      {"truee", SHEAF_E_SYNTAX, 4},
      {"nul", SHEAF_E_PARTIAL, 3},
      {"[nil]", SHEAF_E_SYNTAX, 1},
      {"undefined", SHEAF_E_SYNTAX, 0},
      {"\"a", SHEAF_E_PARTIAL, 2},
      {"\"a\\", SHEAF_E_PARTIAL, 3},
      {"\"\\u12", SHEAF_E_PARTIAL, 5},
      {"\"a\nb\"", SHEAF_E_SYNTAX, 2},
      {"\"a\tb\"", SHEAF_E_SYNTAX, 2},
      {"\"12345678\x1F\"", SHEAF_E_SYNTAX, 9},
      {"\"\\x41\"", SHEAF_E_SYNTAX, 1},
      {"\"\\'\"", SHEAF_E_SYNTAX, 1},
      {"\"\\U0041\"", SHEAF_E_SYNTAX, 1},
      {"\"\\u12g4\"", SHEAF_E_SYNTAX, 5},
      {"\"\\u 123\"", SHEAF_E_SYNTAX, 3},
      {"\"\\u-123\"", SHEAF_E_SYNTAX, 3},
      {"// c\n1", SHEAF_E_SYNTAX, 0},
      {"[1/*c*/]", SHEAF_E_SYNTAX, 2},
      {"\xEF\xBB\xBF{}", SHEAF_E_SYNTAX, 0},
      {"\xC2\xA0{}", SHEAF_E_SYNTAX, 0},
      {"\v1", SHEAF_E_SYNTAX, 0},
      {"\f1", SHEAF_E_SYNTAX, 0},
      {"[1]\f", SHEAF_E_SYNTAX, 3},
      {"<html>", SHEAF_E_SYNTAX, 0},
      {"{\"a\":{\"b\":[1,2", SHEAF_E_PARTIAL, 14},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sheaf_parse_error error = {0};
    int32_t status = check_text(cases[i].text, strlen(cases[i].text), &error);
    if (status != cases[i].status || error.offset != cases[i].offset)
      printf("text: %s\n", cases[i].text);
    CHECK_EQ(status, cases[i].status);
    CHECK_EQ(error.status, cases[i].status);
    CHECK_EQ(error.offset, cases[i].offset);
    CHECK_EQ(error.column, cases[i].offset + 1);
    CHECK(error.message && strlen(error.message) > 10);
  }
  CHECK_STATUS(check_text("[1]\0", 4, NULL), SHEAF_E_SYNTAX);
  CHECK_STATUS(check_text("\"\0\"", 3, NULL), SHEAF_E_SYNTAX);
  CHECK_STATUS(sheaf_json_check((sheaf_slice){NULL, 0}, NULL), SHEAF_E_PARTIAL);
}

/* Quote, backslash and each control byte at each distance from a word's edge. */
TEST(each_byte_of_a_string_is_judged_wherever_it_lies) {
  for (size_t lead = 0; lead < 17; lead++) {
    for (int byte = 0; byte < 128; byte++) {
      char text[40];
      text[0] = '"';
      memset(text + 1, 'x', lead);
      text[lead + 1] = (char)byte;
      memset(text + lead + 2, 'n', 10);
      text[lead + 12] = '"';
      int32_t wanted = byte < 0x20 || byte == '"' ? SHEAF_E_SYNTAX : SHEAF_OK;
      CHECK_EQ(check_text(text, lead + 13, NULL), wanted);
    }
  }
}

static size_t nest(char *text, size_t depth, char open, char close) {
  memset(text, open, depth);
  memset(text + depth, close, depth);
  return 2 * depth;
}

TEST(depth_is_64_and_no_more) {
  static char text[200100];
  sheaf_parse_error error = {0};
  CHECK_OK(check_text(text, nest(text, 64, '[', ']'), NULL));
  CHECK_STATUS(check_text(text, nest(text, 65, '[', ']'), &error), SHEAF_E_DEPTH);
  CHECK_EQ(error.offset, 64);
  CHECK_STATUS(check_text(text, nest(text, 100000, '[', ']'), NULL), SHEAF_E_DEPTH);
  size_t at = 0;
  for (int i = 0; i < 64; i++) memcpy(text + at, "{\"a\":", 5), at += 5;
  text[at++] = '1';
  memset(text + at, '}', 64);
  CHECK_OK(check_text(text, at + 64, NULL));
}

static const char reply[] =
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"model\":\"m\\u002d1\",\"choices\":[{"
    "\"index\":0,"
    "\"message\":{\"role\":\"assistant\",\"content\":\"Hi \\\"you\\\" "
    "\xF0\x9F\x98\x80\",\"refusal\":null},"
    "\"finish_reason\":\"stop\"},{\"index\":1,\"message\":{\"content\":\"second\"}}],"
    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"details\":{\"prompt_tokens\":-1}}}";

/* Each strict prefix of an object is incomplete, and cut off is what it is called. */
TEST(no_prefix_of_an_object_is_a_document) {
  for (size_t bytes = 0; bytes < sizeof reply - 1; bytes++) {
    CHECK_EQ(check_text(reply, bytes, NULL), SHEAF_E_PARTIAL);
  }
  CHECK_OK(check_text(reply, sizeof reply - 1, NULL));
}

TEST(wanted_values_are_found) {
  static const char *const paths[] = {"id",
                                      "model",
                                      "choices[0].message.content",
                                      "choices[0].finish_reason",
                                      "usage.prompt_tokens",
                                      "usage.completion_tokens",
                                      "choices[1].message.content",
                                      "choices[2].message.content",
                                      "choices[0]",
                                      "choices[1].finish_reason",
                                      "choices.message",
                                      "usage[0]",
                                      "absent",
                                      "choices[0].message.refusal",
                                      "usage.details",
                                      "usage.details.prompt_tokens",
                                      "i",
                                      "idd",
                                      ""};
  enum { COUNT = sizeof paths / sizeof *paths };
  sheaf_slice values[COUNT], text = copy_of(reply, sizeof reply - 1);
  sheaf_json_facts facts;
  CHECK_OK(sheaf_json_pick(text, paths, COUNT, values, &facts, NULL));
  CHECK_TEXT(values[0], "\"chatcmpl-1\"");
  CHECK_TEXT(values[1], "\"m\\u002d1\"");
  CHECK_TEXT(values[2], "\"Hi \\\"you\\\" \xF0\x9F\x98\x80\"");
  CHECK_TEXT(values[3], "\"stop\"");
  CHECK_TEXT(values[4], "9");
  CHECK_TEXT(values[5], "12");
  CHECK_TEXT(values[6], "\"second\"");
  CHECK_TEXT(values[7], "");
  CHECK(values[8].bytes > 100 && values[8].data[0] == '{' &&
        values[8].data[values[8].bytes - 1] == '}');
  CHECK_TEXT(values[9], "");
  CHECK_TEXT(values[10], "");
  CHECK_TEXT(values[11], "");
  CHECK_TEXT(values[12], "");
  CHECK_TEXT(values[13], "null");
  CHECK_TEXT(values[14], "{\"prompt_tokens\":-1}");
  CHECK_TEXT(values[15], "-1");
  CHECK_TEXT(values[16], "");
  CHECK_TEXT(values[17], "");
  CHECK_TEXT(values[18], reply);
  CHECK(!facts.has_line_break);
  CHECK(!facts.has_invalid_utf8);
  CHECK_EQ(facts.bytes_used, sizeof reply - 1);
  drop(text);
}

typedef struct pick_case {
  const char *text;
  const char *path;
  const char *value;
} pick_case;

TEST(paths_step_into_anything) {
  static const pick_case cases[] = {
      {"[1,[2,3],4]", "[1][1]", "3"},
      {"[1,[2,3],4]", "[2]", "4"},
      {"[1,[2,3],4]", "[1]", "[2,3]"},
      {"[1,[2,3],4]", "[3]", ""},
      {"[1,[2,3],4]", "[1].a", ""},
      {"[[],{},[[]]]", "[2][0]", "[]"},
      {"[{\"a\":1},{\"a\":2}]", "[1].a", "2"},
      {"{\"a\":[]}", "a", "[]"},
      {"{\"a\":[]}", "a[0]", ""},
      {"{\"a\":{}}", "a", "{}"},
      {"{\"0\":1}", "[0]", ""},
      {"{\"0\":1}", "0", "1"},
      {"{\"a b\":{\"-\":7}}", "a b.-", "7"},
      {"{\"a\\\"b\":1}", "a\\\"b", "1"},
      {"{\"12345678\":1}", "12345678", "1"},
      {"{\"123456789\":1,\"12345678X\":2}", "12345678X", "2"},
      {"{\"123456789\":1,\"12345678X\":2}", "12345678", ""},
      {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":8}}}}}}}}", "a.a.a.a.a.a.a.a", "8"},
      {" \n [ 5 ] \n ", "[0]", "5"},
      {" 5 ", "", "5"},
      {"\"s\"", "a", ""},
      {"{\"\":1}", "a", ""},
      /* Of a repeated key the last counts, with all below it. */
      {"{\"a\":1,\"a\":2}", "a", "2"},
      {"{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "a.b", ""},
      {"{\"a\":{\"b\":1},\"a\":3}", "a.b", ""},
      {"{\"a\":3,\"a\":{\"b\":1}}", "a.b", "1"},
      {"{\"a\":[1,2],\"a\":[]}", "a[1]", ""},
      {"{\"a\":[1,2],\"b\":{\"a\":[5]}}", "a[1]", "2"},
      {"[{\"a\":1},{\"b\":2}]", "[0].a", "1"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sheaf_slice value, text = copy_of(cases[i].text, strlen(cases[i].text));
    CHECK_OK(sheaf_json_pick(text, &cases[i].path, 1, &value, NULL, NULL));
    if (value.bytes != strlen(cases[i].value)) printf("%s in %s\n", cases[i].path, cases[i].text);
    CHECK_TEXT(value, cases[i].value);
    drop(text);
  }
}

TEST(malformed_paths_and_too_many_are_misuse) {
  static const char *const bad[] = {
      "a..b",  ".a",  "a.",   "a[",    "a[]",           "a[x]",
      "a[-1]", "a[1", "[1]a", "a[0]b", "a[4294967296]", "a.b.c.d.e.f.g.h.i"};
  sheaf_slice value, values[33];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    sheaf_parse_error error = {0};
    CHECK_STATUS(sheaf_json_pick(SHEAF_LITERAL("{}"), &bad[i], 1, &value, NULL, &error),
                 SHEAF_E_MISUSE);
    CHECK_EQ(error.status, SHEAF_E_MISUSE);
    CHECK(error.message != NULL);
  }
  const char *many[33];
  for (int i = 0; i < 33; i++) many[i] = "a";
  CHECK_STATUS(sheaf_json_pick(SHEAF_LITERAL("{}"), many, 33, values, NULL, NULL), SHEAF_E_MISUSE);
  CHECK_OK(sheaf_json_pick(SHEAF_LITERAL("{\"a\":1}"), many, 32, values, NULL, NULL));
  for (int i = 0; i < 32; i++) CHECK_TEXT(values[i], "1");
  many[0] = NULL;
  CHECK_STATUS(sheaf_json_pick(SHEAF_LITERAL("{}"), many, 1, values, NULL, NULL), SHEAF_E_MISUSE);
}

TEST(a_document_that_fails_gives_no_values) {
  static const char *const path = "a";
  sheaf_slice value;
  CHECK_STATUS(sheaf_json_pick(SHEAF_LITERAL("{\"a\":1,\"b\":x}"), &path, 1, &value, NULL, NULL),
               SHEAF_E_SYNTAX);
  CHECK_EQ(value.bytes, 0);
}

TEST(facts_tell_of_line_breaks_and_bad_utf8) {
  static const struct {
    const char *text;
    bool has_line_break;
    bool has_invalid_utf8;
    size_t bytes_used;
  } cases[] = {
      {"{\"a\":1}", false, false, 7},
      {"{\"a\":1}\n", false, false, 7}, /* behind the value: not its line */
      {" [1] \r\n", false, false, 4},
      {"\n[1]", true, false, 4},
      {"[1,\n2]", true, false, 6},
      {"[1\r]", true, false, 4},
      {"{\"a\"\n:1}", true, false, 8},
      {"{\"a\":\n1}", true, false, 8},
      {"{\n}", true, false, 3},
      {"[\"\\n\"]", false, false, 6},
      {"[\t1]", false, false, 4},
      {"\"\xC3\xA9\"", false, false, 4},
      {"\"\x80\"", false, true, 3},
      {"\"\xC3\"", false, true, 3},
      {"\"\xED\xA0\x80\"", false, true, 5},
      {"{\"\xFF\":1}", false, true, 7},
      {"\"\xE2\x82\"", false, true, 4},
      {"\"\xF0\x9F\x98\"", false, true, 5},
      {"\"\xF4\x90\x80\x80\"", false, true, 6},
      {"\"\xC0\x80\"", false, true, 4},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sheaf_json_facts facts;
    CHECK_OK(sheaf_json_pick(sheaf_slice_of(cases[i].text), NULL, 0, NULL, &facts, NULL));
    CHECK_EQ(facts.has_line_break, cases[i].has_line_break);
    CHECK_EQ(facts.has_invalid_utf8, cases[i].has_invalid_utf8);
    CHECK_EQ(facts.bytes_used, cases[i].bytes_used);
  }
}

/* ---- The second opinion ---- */

static bool cjson_accepts(sheaf_slice text) {
  const char *end = NULL;
  cJSON *tree = cJSON_ParseWithLengthOpts(text.data, text.bytes, &end, 0);
  if (!tree) return false;
  while (end < text.data + text.bytes && strchr(" \t\r\n", *end) && *end) end++;
  cJSON_Delete(tree);
  return end == text.data + text.bytes;
}

/* The pieces mutations are made of. Without control bytes, digits, bad escapes and marks, where cJSON is lenient by
 * design, both must agree in both directions. */
static const char *const structure[] = {"{",     "}",   "[",    "]",     ",",      ":",      "\"",
                                        "\"a\"", "1",   "true", "null",  " ",      "\"b\":", "{}",
                                        "[]",    "\\n", "x",    "false", "-2.5e3", "\n"};
static const char *const anything[] = {
    "0",    "-", ".",        "e",    "\\", "\\u", "\\u00e9", "\\ud83d",      "\t",
    "\x01", "/", "\xC3\xA9", "\x80", "00", "\\/", "+",       "\xEF\xBB\xBF", "u"};

static size_t mutate(char *text, size_t bytes, size_t room, uint64_t seed,
                     const char *const *pieces, size_t count) {
  uint64_t edits = 1 + sheaf__draw(seed, 2, SHEAF__DRAW_TEST, 0, 0);
  for (uint64_t i = 0; i < edits; i++) {
    size_t at = (size_t)sheaf__draw(seed, bytes, SHEAF__DRAW_TEST, 1, i);
    size_t cut = (size_t)sheaf__draw(seed, 3, SHEAF__DRAW_TEST, 2, i);
    const char *piece = pieces[sheaf__draw(seed, count - 1, SHEAF__DRAW_TEST, 3, i)];
    size_t add = sheaf__draw(seed, 3, SHEAF__DRAW_TEST, 4, i) == 0 ? 0 : strlen(piece);
    if (cut > bytes - at) cut = bytes - at;
    if (bytes - cut + add > room) continue;
    memmove(text + at + add, text + at + cut, bytes - at - cut);
    memcpy(text + at, piece, add);
    bytes = bytes - cut + add;
  }
  return bytes;
}

static const char *const seeds[] = {reply,
                                    "[1,2,[3,{\"a\":null}],\"text\",true,false]",
                                    "{\"a\":{\"b\":{\"c\":[]}},\"d\":\"e\"}",
                                    "[\"a\\n\\\"b\",-1.5e3,{\"k\":[[],[[]]]}]",
                                    " [ 1 , { \"a\" : [ ] } ] ",
                                    "\"s\"",
                                    "12"};

TEST(scanner_and_cjson_agree_on_structure) {
  uint32_t accepted = 0, refused = 0;
  for (uint64_t i = 0; i < 40000; i++) {
    char text[1000];
    const char *seed = seeds[i % (sizeof seeds / sizeof *seeds)];
    size_t bytes = strlen(seed);
    memcpy(text, seed, bytes);
    bytes = mutate(text, bytes, sizeof text, i, structure, sizeof structure / sizeof *structure);
    sheaf_slice copy = copy_of(text, bytes);
    sheaf_parse_error error = {0};
    bool ours = sheaf_json_check(copy, &error) == SHEAF_OK, theirs = cjson_accepts(copy);
    /* Numbers (01, 2., 1e), line ends in strings and \\u with less than four digits: cJSON is lenient. */
    bool lenient = !ours && theirs && error.message &&
                   (strstr(error.message, "number") || strstr(error.message, "control byte") ||
                    strstr(error.message, "hexadecimal") ||
                    (error.status == SHEAF_E_PARTIAL && strchr("-+.e", text[bytes - 1])));
    if (ours != theirs && !lenient) {
      printf("%.*s\n", (int)bytes, text);
      CHECK_EQ(ours, theirs);
    }
    accepted += ours;
    refused += !ours;
    drop(copy);
  }
  CHECK(accepted > 2000);
  CHECK(refused > 2000);
}

/* With everything in play the scanner accepts only what cJSON accepts too, but for half surrogate pairs. */
TEST(the_scanner_accepts_no_more_than_cjson) {
  for (uint64_t i = 0; i < 40000; i++) {
    char text[1000];
    const char *seed = seeds[i % (sizeof seeds / sizeof *seeds)];
    size_t bytes = strlen(seed);
    memcpy(text, seed, bytes);
    bytes = mutate(text, bytes, sizeof text - 1, i, anything, sizeof anything / sizeof *anything);
    text[bytes] = '\0';
    sheaf_slice copy = copy_of(text, bytes);
    if (sheaf_json_check(copy, NULL) == SHEAF_OK && !cjson_accepts(copy) && !strstr(text, "\\ud")) {
      printf("%s\n", text);
      CHECK(false);
    }
    drop(copy);
  }
}

int main(void) {
  RUN(every_form_of_the_grammar_is_accepted);
  RUN(what_the_grammar_does_not_know_is_refused_with_its_place);
  RUN(each_byte_of_a_string_is_judged_wherever_it_lies);
  RUN(depth_is_64_and_no_more);
  RUN(no_prefix_of_an_object_is_a_document);
  RUN(wanted_values_are_found);
  RUN(paths_step_into_anything);
  RUN(malformed_paths_and_too_many_are_misuse);
  RUN(a_document_that_fails_gives_no_values);
  RUN(facts_tell_of_line_breaks_and_bad_utf8);
  RUN(scanner_and_cjson_agree_on_structure);
  RUN(the_scanner_accepts_no_more_than_cjson);
  return check_report();
}
