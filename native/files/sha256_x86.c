/* sha256_x86.c: SHA-256 by the processor's own instructions, chosen at run time.
 *
 * The SHA extensions (Intel SDM volume 2, SHA256RNDS2, SHA256MSG1, SHA256MSG2) do four rounds with three
 * instructions, about five times the portable speed. The file is compiled without special flags: the one function
 * carries its target, and cpuid says whether it may be called. Other processors and compilers get the portable one. */
#include <sheaf/curl.h>
#include "sha256_x86.h"

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define HAS_SHA_INSTRUCTIONS 1
#else
#define HAS_SHA_INSTRUCTIONS 0
#endif

#if HAS_SHA_INSTRUCTIONS

#include <cpuid.h>
#include <immintrin.h>

/* FIPS 180-4, 4.2.2. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))

/* Four rounds with four words of the schedule. */
#define FOUR_ROUNDS(i, words)                                                                   \
  do {                                                                                          \
    __m128i sum = _mm_add_epi32(words, _mm_loadu_si128((const void *)(round_constants + (i)))); \
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);                                              \
    sum = _mm_shuffle_epi32(sum, 0x0e);                                                         \
    abef = _mm_sha256rnds2_epu32(abef, cdgh, sum);                                              \
  } while (0)

/* The next four words of the schedule from the last sixteen, in place of the oldest four. */
#define NEXT_WORDS(w0, w1, w2, w3) \
  _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4)), w3)

TARGET static void sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  /* The instructions want the state as {a, b, e, f} and {c, d, g, h}, highest first. */
  const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const void *)state), 0xb1);
  const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(low, high, 8);
  __m128i cdgh = _mm_blend_epi16(high, low, 0xf0);
  for (; count; count--, blocks += 64) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i w0 = _mm_shuffle_epi8(_mm_loadu_si128((const void *)blocks), swap);
    __m128i w1 = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(blocks + 16)), swap);
    __m128i w2 = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(blocks + 32)), swap);
    __m128i w3 = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(blocks + 48)), swap);
    FOUR_ROUNDS(0, w0);
    FOUR_ROUNDS(4, w1);
    FOUR_ROUNDS(8, w2);
    FOUR_ROUNDS(12, w3);
    for (unsigned i = 16; i < 64; i += 16) {
      w0 = NEXT_WORDS(w0, w1, w2, w3);
      FOUR_ROUNDS(i, w0);
      w1 = NEXT_WORDS(w1, w2, w3, w0);
      FOUR_ROUNDS(i + 4, w1);
      w2 = NEXT_WORDS(w2, w3, w0, w1);
      FOUR_ROUNDS(i + 8, w2);
      w3 = NEXT_WORDS(w3, w0, w1, w2);
      FOUR_ROUNDS(i + 12, w3);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static bool processor_has_sha(void) {
  unsigned a, b, c, d;
  const unsigned ssse3 = 1u << 9, sse41 = 1u << 19, sha = 1u << 29;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & ssse3) || !(c & sse41)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha);
}

sheaf_sha256_blocks_fn sheaf__sha256_fastest(void) {
  return processor_has_sha() ? sha256_blocks : sheaf_sha256_blocks;
}

#else

sheaf_sha256_blocks_fn sheaf__sha256_fastest(void) {
  return sheaf_sha256_blocks;
}

#endif

sheaf_sha256_blocks_fn sheaf_sha256_fastest(void) {
  return sheaf__sha256_fastest();
}
