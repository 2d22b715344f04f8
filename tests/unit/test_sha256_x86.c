/* test_sha256_x86.c: the processor's own SHA-256 equals the portable one.
 *
 * Unit tests link the core alone, so the one native source under test is taken in whole. */
#include "../../native/files/sha256_x86.c"

#include "base/random.h"

#include "check.h"

TEST(equals_the_portable_one_on_random_blocks) {
  static uint8_t bytes[1 + 64 * 40];
  const sheaf_sha256_blocks_fn fastest = sheaf__sha256_fastest();
  printf("%s\n", fastest == sheaf_sha256_blocks ? "portable" : "instructions");
  for (uint64_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)sheaf__draw(7, 255, SHEAF__DRAW_TEST, i, 0);
  for (size_t count = 0; count <= 40; count++) {
    for (size_t skew = 0; skew < 2; skew++) {
      uint32_t ours[8], theirs[8];
      for (uint32_t i = 0; i < 8; i++)
        ours[i] = theirs[i] = (uint32_t)sheaf__draw(8, UINT32_MAX, SHEAF__DRAW_TEST, count, i);
      fastest(ours, bytes + skew, count);
      sheaf_sha256_blocks(theirs, bytes + skew, count);
      CHECK(memcmp(ours, theirs, sizeof ours) == 0);
    }
  }
}

TEST(fingerprints_are_equal) {
  static const char body[] =
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
  for (size_t n = 0; n < sizeof body; n++) {
    uint8_t ours[16], theirs[16];
    const sheaf_slice slice = {body, n};
    sheaf_fingerprint(SHEAF_LITERAL("p"), SHEAF_LITERAL("/x"), slice, sheaf__sha256_fastest(),
                      ours);
    sheaf_fingerprint(SHEAF_LITERAL("p"), SHEAF_LITERAL("/x"), slice, NULL, theirs);
    CHECK(memcmp(ours, theirs, 16) == 0);
  }
}

int main(void) {
  RUN(equals_the_portable_one_on_random_blocks);
  RUN(fingerprints_are_equal);
  return check_report();
}
