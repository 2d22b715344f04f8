/* test_crc32c.c: the checksum against published values and a bit-by-bit computation. */
#include "base/crc32c.h"
#include "base/random.h"

#include "check.h"

/* The definition: the reflected polynomial, one bit at a time. */
static uint32_t slow_crc32c(const uint8_t *p, size_t bytes) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < bytes; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

TEST(the_check_value_of_the_catalogue) {
  CHECK_EQ(sheaf__crc32c(0, "123456789", 9), 0xE3069283u);
}

/* RFC 3720, appendix B.4. */
TEST(the_examples_of_iscsi) {
  uint8_t bytes[32];
  memset(bytes, 0, sizeof bytes);
  CHECK_EQ(sheaf__crc32c(0, bytes, 32), 0x8A9136AAu);
  memset(bytes, 0xFF, sizeof bytes);
  CHECK_EQ(sheaf__crc32c(0, bytes, 32), 0x62A8AB43u);
  for (uint8_t i = 0; i < 32; i++) bytes[i] = i;
  CHECK_EQ(sheaf__crc32c(0, bytes, 32), 0x46DD794Eu);
  for (uint8_t i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
  CHECK_EQ(sheaf__crc32c(0, bytes, 32), 0x113FDB5Cu);
}

TEST(equals_the_definition_at_every_length_and_alignment) {
  uint8_t bytes[128];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)sheaf__draw(1, 255, SHEAF__DRAW_TEST, i, 0);
  for (size_t from = 0; from < 8; from++)
    for (size_t n = 0; n + from <= sizeof bytes; n++)
      CHECK_EQ(sheaf__crc32c(0, bytes + from, n), slow_crc32c(bytes + from, n));
}

TEST(goes_on_from_any_split) {
  uint8_t bytes[64];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + 1);
  const uint32_t whole = slow_crc32c(bytes, sizeof bytes);
  for (size_t split = 0; split <= sizeof bytes; split++)
    CHECK_EQ(sheaf__crc32c(sheaf__crc32c(0, bytes, split), bytes + split, sizeof bytes - split),
             whole);
}

TEST(every_entry_of_every_table_is_used_and_right) {
  uint8_t bytes[8] = {0};
  for (unsigned place = 0; place < 8; place++)
    for (unsigned value = 0; value < 256; value++) {
      memset(bytes, 0, sizeof bytes);
      bytes[place] = (uint8_t)value;
      CHECK_EQ(sheaf__crc32c(0, bytes, 8), slow_crc32c(bytes, 8));
    }
}

int main(void) {
  RUN(the_check_value_of_the_catalogue);
  RUN(the_examples_of_iscsi);
  RUN(equals_the_definition_at_every_length_and_alignment);
  RUN(goes_on_from_any_split);
  RUN(every_entry_of_every_table_is_used_and_right);
  return check_report();
}
