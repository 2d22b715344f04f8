/* test_tokens_nfc.c: Unicode normalization form C: examples of Unicode Standard Annex 15 and of the
 * chapters it points to, order and length. */
#include "tokens/nfc.h"

#include "check.h"

#include <stdlib.h>

static void becomes(const char *text, const char *wanted) {
  uint32_t points[256];
  uint8_t out[256];
  size_t bytes = strlen(text), made = sheaf__nfc((const uint8_t *)text, bytes, points, out);
  CHECK_TEXT(((sheaf_slice){(const char *)out, made}), wanted);
  if (strcmp(text, wanted) != 0) CHECK(!sheaf__nfc_is_plain((const uint8_t *)text, bytes));
  made = sheaf__nfc((const uint8_t *)wanted, strlen(wanted), points, out);
  CHECK_TEXT(((sheaf_slice){(const char *)out, made}), wanted); /* once is enough */
}

TEST(letters_and_marks_become_one) {
  becomes("A\xcc\x8a", "\xc3\x85"); /* A, ring above */
  becomes("\xe1\xb8\x8b\xcc\xa3",
          "\xe1\xb8\x8d\xcc\x87");                  /* d dot above, dot below: annex 15, figure 4 */
  becomes("o\xcc\x82\xcc\xa3", "\xe1\xbb\x99");     /* marks in order first, then two steps */
  becomes("a\xcc\x84\xcc\x84", "\xc4\x81\xcc\x84"); /* the second finds nobody */
  becomes("cafe\xcc\x81", "caf\xc3\xa9");
}

TEST(what_stands_for_one_other_is_that_other) {
  becomes("\xe2\x84\xab", "\xc3\x85");     /* the angstrom sign */
  becomes("\xe2\x84\xa6", "\xce\xa9");     /* the ohm sign */
  becomes("\xef\xa4\x80", "\xe8\xb1\x88"); /* a compatibility ideograph */
  becomes("\xf0\xaf\xa0\x80", "\xe4\xb8\xbd");
  becomes("\xcd\x84", "\xcc\x88\xcc\x81"); /* U+0344 */
}

TEST(exclusions_stay_apart) {
  becomes("\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"); /* U+0958 */
  becomes("\xe0\xa4\x95\xe0\xa4\xbc", "\xe0\xa4\x95\xe0\xa4\xbc");
  becomes("\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5"); /* U+1D15E */
}

TEST(syllables_of_hangul_are_computed) {
  becomes("\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80");
  becomes("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81");
  becomes("\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81");
  becomes("\xea\xb0\x81\xe1\x86\xa8", "\xea\xb0\x81\xe1\x86\xa8"); /* has its tail already */
}

TEST(a_mark_between_blocks_equal_classes_and_starters) {
  becomes("a\xcc\xa7\xcc\x81", "\xc3\xa1\xcc\xa7"); /* another class between does not */
  becomes("\xe1\x84\x80\xcc\x81\xe1\x85\xa1", "\xe1\x84\x80\xcc\x81\xe1\x85\xa1");
  becomes("\xe0\xa7\x87\xe0\xa6\xbe", "\xe0\xa7\x8b"); /* a starter that joins backward */
  becomes(
      "\xcc\x81"
      "a",
      "\xcc\x81"
      "a"); /* no starter before */
}

TEST(common_text_is_plain) {
  static const char *const plain[] = {"",
                                      "abc",
                                      "caf\xc3\xa9",
                                      "\xd0\x9f\xd1\x80\xd0\xb8",
                                      "\xe4\xbd\xa0\xe5\xa5\xbd",
                                      "\xea\xb0\x81",
                                      "\xf0\x9f\x98\x80"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    CHECK(sheaf__nfc_is_plain((const uint8_t *)plain[i], strlen(plain[i])));
    becomes(plain[i], plain[i]);
  }
}

/* Marks in the wrong order as long as a text may be: were sorting quadratic, this would not end. */
TEST(a_megabyte_of_marks_is_put_in_order) {
  const size_t pairs = (size_t)1 << 18, bytes = 4 * pairs;
  uint8_t *text = malloc(bytes), *out = malloc(SHEAF__NFC_GROWTH * bytes);
  uint32_t *points = malloc(3 * bytes * sizeof *points);
  CHECK(text && out && points);
  if (!text || !out || !points) return;
  for (size_t i = 0; i < pairs; i++) memcpy(text + 4 * i, "\xcc\x81\xcc\xa7", 4);
  CHECK_EQ(sheaf__nfc(text, bytes, points, out), bytes);
  for (size_t i = 0; i < pairs; i++) {
    CHECK(memcmp(out + 2 * i, "\xcc\xa7", 2) == 0); /* class 202 before class 230 */
    CHECK(memcmp(out + 2 * (pairs + i), "\xcc\x81", 2) == 0);
  }
  free(text);
  free(out);
  free(points);
}

int main(void) {
  RUN(letters_and_marks_become_one);
  RUN(what_stands_for_one_other_is_that_other);
  RUN(exclusions_stay_apart);
  RUN(syllables_of_hangul_are_computed);
  RUN(a_mark_between_blocks_equal_classes_and_starters);
  RUN(common_text_is_plain);
  RUN(a_megabyte_of_marks_is_put_in_order);
  return check_report();
}
