/* test_sim_pattern.c: the simulator's regular expressions: what they match, and that what is
 * written matches. Expected values are ECMAScript's. test_sim_schema.py compares with Python. */
#include "sim_client.h"

#include "sim/sim_schema.h"

static sim_pattern pattern;

static bool reads(const char *text) {
  return sheaf__sim_pattern_read(&pattern, sheaf_slice_of(text));
}

static bool matches(const char *text) {
  return sheaf__sim_pattern_match(&pattern, sheaf_slice_of(text));
}

static void expressions_match_as_in_ecmascript(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *yes, *no;
  } rows[] = {
      {"abc", "xabcx", "ab"},
      {"^abc", "abcx", "xabc"},
      {"abc$", "xabc", "abcx"},
      {"a.c",
       "a\xe2\x82\xac"
       "c",
       "a\nc"},
      {"^.$", " ", "\r"},
      {"^.$", "\t", "\xe2\x80\xa8"},
      {"^[a-c]+$", "abcab", "abd"},
      {"^[^a-c]$", "d", "b"},
      {"^[]$|x", "x", ""},
      {"^[^]$", "\n", ""},
      {"^[a\\-z]+$", "a-z", "b"},
      {"^[\\d-x]+$", "3-x", "w"},
      {"^[-a]+$", "-a", "b"},
      {"^[\\b]$", "\b", "b"},
      {"^\\d\\D\\w\\W\\s\\S$", "1a_- x", "11_- x"},
      {"^\\t\\n\\v\\f\\r$", "\t\n\v\f\r", "tnvfr"},
      {"^\\x41\\u0042\\u{43}\\u{1f600}$", "ABC\xf0\x9f\x98\x80", "ABC"},
      {"^\\cJ$", "\n", "J"},
      {"^\\/\\.\\*\\-$", "/.*-", "/.x-"},
      {"^\\xg\\u12$", "xgu12", "g"},
      {"^a{2}$", "aa", "aaa"},
      {"^a{2,}$", "aaaa", "a"},
      {"^a{2,3}$", "aaa", "aaaa"},
      {"^a{x}$", "a{x}", "a"},
      {"^a{,2}$", "aa", "aaa"}, /* Python's reading; in ECMAScript's the braces are characters */
      {"^{$", "{", ""},
      {"^(a|bc)+$", "abca", "ab"},
      {"^(|a)b$", "b", "c"},
      {"^(a*)*b$", "aaab", "aaac"},
      {"^(a?){3}$", "a", "aaaa"},
      {"^(?:ab)?c$", "c", "ac"},
      {"^(?<year>\\d{2})$", "26", "2"},
      {"^(?P<year>\\d{2})$", "26", "2"},
      {"^a+?b*?$", "aabb", "b"},
      {"^(?=.*\\d)(?=.*x).{3}$", "1bx", "1bc"},
      {"^(?!ab)[a-z]+$", "ba", "abc"},
      {"\\bcat\\b", "a cat!", "concat"},
      {"\\Bcat", "concat", "a cat"},
      {"^\\p{L}+$", "a\xc3\xa9\xe6\x97\xa5", "a1"},
      {"^\\p{Lu}\\p{Ll}\\p{Nd}\\p{P}$", "Ab1!", "ab1!"},
      {"^\\P{Letter}+$", "12 ", "1a"},
      {"^[\\p{General_Category=N}_]+$", "1_2", "a"},
      {"^\\p{S}\\p{Z}$", "+ ", "a "},
      {"\\A\\d+\\z", "12", "12x"},
      {"(^a|b)$", "b", "ba"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (!reads(rows[i].pattern) || !matches(rows[i].yes) || matches(rows[i].no))
      print_error("%s\n", rows[i].pattern);
    assert_true(reads(rows[i].pattern));
    assert_false(pattern.is_inexact);
    assert_true(matches(rows[i].yes));
    assert_false(matches(rows[i].no));
  }
}

static void what_is_no_expression_is_not_read(void **state) {
  (void)state;
  static const char *const rows[] = {"(",    "a)",    "(a",    "[a",       "[a\\",
                                     "a\\",  "(?#x)", "[",     "a{3,2}",   "\\p{Greek}",
                                     "\\pL", "\\p{",  "(?i)a", "a{200000}"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (reads(rows[i])) print_error("%s\n", rows[i]);
    assert_false(reads(rows[i]));
  }
}

/* Nobody knows what these match, so they refuse nothing. */
static void what_is_not_understood_passes(void **state) {
  (void)state;
  static const char *const rows[] = {"^(a)\\1$", "^(?<n>a)\\k<n>$", "(?<=a)b", "(?<!a)b"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_true(reads(rows[i]));
    assert_true(pattern.is_inexact);
    assert_true(matches("anything"));
  }
}

static void too_large_expressions_are_refused(void **state) {
  (void)state;
  static char text[20000];
  for (size_t i = 0; i < 2 * SIM_PATTERN_NODES_MAX; i++) text[i] = 'a';
  text[2 * SIM_PATTERN_NODES_MAX] = 0;
  assert_false(reads(text));
  for (size_t i = 0; i < 300; i++) text[i] = '(', text[300 + i] = ')';
  text[600] = 0;
  assert_false(reads(text));
  size_t at = 0;
  text[at++] = '[';
  for (unsigned i = 0; i < SIM_PATTERN_RANGES_MAX + 1; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "\\u%04x", 0x1000 + 2 * i);
  snprintf(text + at, sizeof text - at, "]");
  assert_false(reads(text));
}

/* A matcher that only goes back would take 2^40 steps; this one gives in and lets it pass. */
static void patience_has_an_end(void **state) {
  (void)state;
  assert_true(reads("^(a|a)*$"));
  (void)matches("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
  static char text[5000];
  memset(text, 'b', sizeof text - 1);
  assert_true(reads("^a*$"));
  assert_true(matches(text)); /* longer than anybody looks at */
  text[1000] = 0;
  assert_false(matches(text));
  memset(text, 'a', 1000);
  assert_true(matches(text));
}

static void what_is_written_matches(void **state) {
  (void)state;
  static const char *const rows[] = {
      "^[A-Z]{3}-\\d{4}$",
      "^(foo|bar|ba(z|r))$",
      "^a*b+c?$",
      "^[^a-z]{5}$",
      "^\\S+@\\S+$",
      "^(\\w\\W){2,4}$",
      "^.{3}$",
      "^\\u{1f600}+$",
      "^\\p{L}\\P{L}$",
      "^x{0}$",
      "^(?:a|b|c|d|e)$",
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_true(reads(rows[i]));
    for (uint64_t key = 0; key < 200; key++) {
      sheaf_buf text;
      sheaf_buf_init(&text, &allocator, 1u << 20);
      sheaf__sim_pattern_write(&pattern, key, key % 20, &text);
      if (!sheaf__sim_pattern_match(&pattern, sheaf_buf_slice(&text)))
        print_error("%s: %.*s\n", rows[i], (int)text.bytes, text.data);
      assert_true(sheaf__sim_pattern_match(&pattern, sheaf_buf_slice(&text)));
      sheaf_buf_deinit(&text);
    }
  }
}

static void every_alternative_is_written(void **state) {
  (void)state;
  unsigned met[5] = {0};
  assert_true(reads("^(?:a|b|c|d|e)$"));
  for (uint64_t key = 0; key < 500; key++) {
    sheaf_buf text;
    sheaf_buf_init(&text, &allocator, 1u << 20);
    sheaf__sim_pattern_write(&pattern, sheaf__sim_mix(key, 1), 0, &text);
    assert_int_equal(text.bytes, 1);
    met[text.data[0] - 'a']++;
    sheaf_buf_deinit(&text);
  }
  for (unsigned i = 0; i < 5; i++) assert_in_range(met[i], 56, 144); /* 100: 5 of 8.94 */
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(expressions_match_as_in_ecmascript),
      cmocka_unit_test(what_is_no_expression_is_not_read),
      cmocka_unit_test(what_is_not_understood_passes),
      cmocka_unit_test(too_large_expressions_are_refused),
      cmocka_unit_test(patience_has_an_end),
      cmocka_unit_test(what_is_written_matches),
      cmocka_unit_test(every_alternative_is_written),
  };
  RUN_SUITE(tests);
}
