/* test_status.c: names and sentences of codes. */
#include "check.h"

#include <sheaf/base.h>

TEST(every_status_has_its_name_and_sentence) {
  CHECK_TEXT(sheaf_slice_of(sheaf_status_name(SHEAF_OK)), "SHEAF_OK");
  CHECK_TEXT(sheaf_slice_of(sheaf_status_text(SHEAF_OK)), "done");
  CHECK_TEXT(sheaf_slice_of(sheaf_status_name(SHEAF_E_FULL)), "SHEAF_E_FULL");
  CHECK_TEXT(sheaf_slice_of(sheaf_status_name(SHEAF_E_ALL_FAILED)), "SHEAF_E_ALL_FAILED");
  CHECK_TEXT(sheaf_slice_of(sheaf_status_text(SHEAF_E_SYNTAX)), "not valid JSON");
#define CHECK_ONE(name, number, text)                                    \
  CHECK_EQ(SHEAF_##name, number);                                        \
  CHECK_TEXT(sheaf_slice_of(sheaf_status_name(number)), "SHEAF_" #name); \
  CHECK_TEXT(sheaf_slice_of(sheaf_status_text(number)), text);
  SHEAF_STATUS_MAP(CHECK_ONE)
#undef CHECK_ONE
}

TEST(unknown_codes_have_a_stand_in) {
  static const int32_t unknown[] = {1, -5, -38, -1000, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    CHECK_TEXT(sheaf_slice_of(sheaf_status_name(unknown[i])), "SHEAF_E_?");
    CHECK_TEXT(sheaf_slice_of(sheaf_status_text(unknown[i])), "unknown status");
  }
}

TEST(every_class_has_its_word) {
  uint32_t count = 0;
#define CHECK_ONE(name, number, text)                         \
  CHECK_EQ(SHEAF_CLASS_##name, number);                       \
  CHECK_TEXT(sheaf_slice_of(sheaf_class_name(number)), text); \
  count++;
  SHEAF_CLASS_MAP(CHECK_ONE)
#undef CHECK_ONE
  CHECK_EQ(count, SHEAF_CLASS_COUNT);
  CHECK_TEXT(sheaf_slice_of(sheaf_class_name(SHEAF_CLASS_RATE_LIMIT)), "rate_limit");
  CHECK_TEXT(sheaf_slice_of(sheaf_class_name(SHEAF_CLASS_COUNT)), "unknown");
  CHECK_TEXT(sheaf_slice_of(sheaf_class_name(UINT32_MAX)), "unknown");
}

TEST(every_billing_has_its_word) {
  CHECK_TEXT(sheaf_slice_of(sheaf_billing_name(SHEAF_BILLING_NOT_SENT)), "not_sent");
  CHECK_TEXT(sheaf_slice_of(sheaf_billing_name(SHEAF_BILLING_REFUSED)), "refused");
  CHECK_TEXT(sheaf_slice_of(sheaf_billing_name(SHEAF_BILLING_UNKNOWN)), "unknown");
  CHECK_TEXT(sheaf_slice_of(sheaf_billing_name(SHEAF_BILLING_BILLED)), "billed");
  CHECK_TEXT(sheaf_slice_of(sheaf_billing_name(99)), "unknown");
}

TEST(the_version_is_that_of_the_header) {
  CHECK_TEXT(sheaf_slice_of(sheaf_version()), SHEAF_VERSION_STRING);
}

TEST(a_slice_of_a_string_has_its_length) {
  CHECK_TEXT(sheaf_slice_of("abc"), "abc");
  CHECK_EQ(sheaf_slice_of("").bytes, 0);
  CHECK_EQ(sheaf_slice_of(NULL).bytes, 0);
  CHECK(sheaf_slice_of(NULL).data == NULL);
  CHECK_TEXT(SHEAF_LITERAL("abc"), "abc");
}

int main(void) {
  RUN(every_status_has_its_name_and_sentence);
  RUN(unknown_codes_have_a_stand_in);
  RUN(every_class_has_its_word);
  RUN(every_billing_has_its_word);
  RUN(the_version_is_that_of_the_header);
  RUN(a_slice_of_a_string_has_its_length);
  return check_report();
}
