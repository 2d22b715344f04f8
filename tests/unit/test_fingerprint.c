/* test_fingerprint.c: SHA-256 against FIPS 180-4's vectors, and what the fingerprint covers. */
#include <sheaf/line.h>

#include "check.h"

/* ---- SHA-256 by way of the blocks alone: the padding is the test's own ---- */

static void sha256(const uint8_t *message, size_t bytes, char hex[65]) {
  static uint8_t padded[1 << 10];
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const size_t whole = bytes / 64 * 64, rest = bytes - whole;
  const size_t tail = rest < 56 ? 64 : 128;
  memset(padded, 0, sizeof padded);
  if (rest) memcpy(padded, message + whole, rest);
  padded[rest] = 0x80;
  for (unsigned i = 0; i < 8; i++) padded[tail - 1 - i] = (uint8_t)((uint64_t)bytes * 8 >> (8 * i));
  sheaf_sha256_blocks(state, message, whole / 64);
  sheaf_sha256_blocks(state, padded, tail / 64);
  for (unsigned i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)state[i]);
}

static void check_sha256(const char *message, const char *expected) {
  char hex[65];
  sha256((const uint8_t *)message, strlen(message), hex);
  CHECK_TEXT(sheaf_slice_of(hex), expected);
}

/* FIPS 180-4 examples (csrc.nist.gov, "SHA256.pdf" and the long-message set). */
TEST(the_vectors_of_fips_180_4) {
  check_sha256("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  check_sha256("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  check_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  check_sha256(
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
      "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

TEST(a_million_times_a) {
  static uint8_t message[1000000];
  char hex[65];
  memset(message, 'a', sizeof message);
  sha256(message, sizeof message, hex);
  CHECK(memcmp(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", 65) == 0);
}

/* ---- The fingerprint; expected values are computed by Python's hashlib from the definition ---- */

static void check_fingerprint(const char *provider, const char *path, sheaf_slice body,
                              const char *expected) {
  uint8_t fingerprint[16];
  char hex[33];
  sheaf_fingerprint(sheaf_slice_of(provider), sheaf_slice_of(path), body, NULL, fingerprint);
  for (unsigned i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", fingerprint[i]);
  CHECK_TEXT(sheaf_slice_of(hex), expected);
}

TEST(is_the_first_half_of_the_digest_of_three_measured_pieces) {
  check_fingerprint("", "", SHEAF_LITERAL(""), "9d908ecfb6b256def8b49a7c504e6c88");
  check_fingerprint("openai", "/v1/chat/completions", SHEAF_LITERAL("{\"model\":\"m\"}"),
                    "b4063322b850dc309afc7b7f38f38131");
}

TEST(is_right_around_every_edge_of_a_block) {
  static const struct {
    size_t bytes;
    const char *expected;
  } cases[] = {
      {0, "a2cea259cb9005a43dd5b6397da2cedb"},   {1, "8f9bc4257b01de8d7b43c47e34c54265"},
      {22, "db0f428cb8b83b7286b8032e067d3a09"},  {23, "15f337d448c894c205656de09ea46094"},
      {24, "f9982a3775806c67a8e2b83a79a1150c"},  {30, "4a8e165169bdcc8fedb4d04d1f903aa0"},
      {31, "ea08f5d9549a8c814228e819a4736735"},  {32, "39da19871aadfcf063526fd5b50368c5"},
      {33, "91ce90b11c51ec4809d825ccd77f30de"},  {86, "b66e80a05310b334b1fefedfe42f6b7e"},
      {87, "d48687f1f57bf2feb98f9f30de1c9496"},  {88, "b45d8650f478b2273ac3a1c1a24eafde"},
      {94, "8fef747b34176cf56e9ec77a24de0369"},  {95, "8f1646fafeef201b66245211514e855f"},
      {96, "db3852ad430ed64bfc1965101b880a37"},  {97, "58ab6ffea2bf5782f36f90a15b4c856e"},
      {128, "e83c4d82f8395a3a3e6e2a03f87d26ec"}, {400, "cab9624e93057d0a6d2b0cb924c339d7"},
  };
  char body[400];
  for (size_t i = 0; i < sizeof body; i++) body[i] = (char)(i * 7 % 251);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    check_fingerprint("p", "/v1", (sheaf_slice){body, cases[i].bytes}, cases[i].expected);
}

TEST(bytes_do_not_wander_between_the_pieces) {
  uint8_t a[16], b[16];
  sheaf_fingerprint(SHEAF_LITERAL("ab"), SHEAF_LITERAL("c"), SHEAF_LITERAL("d"), NULL, a);
  sheaf_fingerprint(SHEAF_LITERAL("a"), SHEAF_LITERAL("bc"), SHEAF_LITERAL("d"), NULL, b);
  CHECK(memcmp(a, b, 16) != 0);
  sheaf_fingerprint(SHEAF_LITERAL("ab"), SHEAF_LITERAL(""), SHEAF_LITERAL("cd"), NULL, b);
  CHECK(memcmp(a, b, 16) != 0);
}

static size_t fed_direct;
static const uint8_t *body_begin, *body_end;

static void spying_blocks(uint32_t state[8], const uint8_t *blocks, size_t count) {
  if (blocks >= body_begin && blocks < body_end) fed_direct += count * 64;
  sheaf_sha256_blocks(state, blocks, count);
}

TEST(a_body_is_hashed_where_it_lies) {
  static char body[100000];
  uint8_t ours[16], theirs[16];
  memset(body, 'x', sizeof body);
  body_begin = (const uint8_t *)body;
  body_end = body_begin + sizeof body;
  const sheaf_slice slice = {body, sizeof body};
  sheaf_fingerprint(SHEAF_LITERAL("p"), SHEAF_LITERAL("/x"), slice, spying_blocks, ours);
  sheaf_fingerprint(SHEAF_LITERAL("p"), SHEAF_LITERAL("/x"), slice, NULL, theirs);
  CHECK(memcmp(ours, theirs, 16) == 0);
  CHECK(fed_direct > sizeof body - 128);
}

int main(void) {
  RUN(the_vectors_of_fips_180_4);
  RUN(a_million_times_a);
  RUN(is_the_first_half_of_the_digest_of_three_measured_pieces);
  RUN(is_right_around_every_edge_of_a_block);
  RUN(bytes_do_not_wander_between_the_pieces);
  RUN(a_body_is_hashed_where_it_lies);
  return check_report();
}
