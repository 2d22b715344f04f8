/* lines.h: which entry of a line is asked for, without a branch that depends on where it stands. By
 * the machine's vectors, or plain: by selects, which WebAssembly has. */
#ifndef SHEAF_LINES_H
#define SHEAF_LINES_H

#include <stdint.h>

#define SHEAF__NO_TOKEN 0xFFFFFFFFu

#if defined(__SSE2__) && !defined(SHEAF_NO_SIMD)
#include <emmintrin.h>

/* The first seven of eight words whose bits in `of` are these, as bits, the first word's lowest. */
static inline uint32_t sheaf__words_like(const uint32_t *words, uint32_t of, uint32_t wanted) {
  __m128i mask = _mm_set1_epi32((int)of), same = _mm_set1_epi32((int)wanted);
  __m128i low = _mm_loadu_si128((const void *)words);
  __m128i high = _mm_loadu_si128((const void *)(words + 4));
  low = _mm_cmpeq_epi32(_mm_and_si128(low, mask), same);
  high = _mm_cmpeq_epi32(_mm_and_si128(high, mask), same);
  __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
  return (uint32_t)_mm_movemask_epi8(bytes) & 0x7F;
}

/* Of two keys: a key is equal where both its halves are. */
static inline uint32_t sheaf__two_like(const uint64_t *keys, __m128i wanted) {
  __m128i halves = _mm_cmpeq_epi32(_mm_loadu_si128((const void *)keys), wanted);
  __m128i both = _mm_and_si128(halves, _mm_shuffle_epi32(halves, _MM_SHUFFLE(2, 3, 0, 1)));
  return (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(both));
}

/* The token of the key, of five, or SHEAF__NO_TOKEN. */
static inline uint32_t sheaf__pick_5(const uint64_t *keys, const uint32_t *tokens, uint64_t key) {
  __m128i same = _mm_set1_epi64x((long long)key);
  uint32_t like = sheaf__two_like(keys, same) | sheaf__two_like(keys + 2, same) << 2 |
                  (uint32_t)(keys[4] == key) << 4;
  return like ? tokens[__builtin_ctz(like)] : SHEAF__NO_TOKEN;
}

/* The token of the key, of three of two words each, or SHEAF__NO_TOKEN. */
static inline uint32_t sheaf__pick_3(const uint64_t *lows, const uint64_t *highs,
                                     const uint32_t *tokens, uint64_t low, uint64_t high) {
  uint32_t like = 0;
  for (uint32_t i = 0; i < 3; i++)
    like |= (uint32_t)(((lows[i] ^ low) | (highs[i] ^ high)) == 0) << i;
  return like ? tokens[__builtin_ctz(like)] : SHEAF__NO_TOKEN;
}

#else

static inline uint32_t sheaf__words_like(const uint32_t *words, uint32_t of, uint32_t wanted) {
  uint32_t like = 0;
  for (uint32_t i = 0; i < 7; i++) like |= (uint32_t)((words[i] & of) == wanted) << i;
  return like;
}

static inline uint32_t sheaf__pick_5(const uint64_t *keys, const uint32_t *tokens, uint64_t key) {
  uint32_t token = SHEAF__NO_TOKEN;
  for (uint32_t i = 0; i < 5; i++) token = keys[i] == key ? tokens[i] : token;
  return token;
}

static inline uint32_t sheaf__pick_3(const uint64_t *lows, const uint64_t *highs,
                                     const uint32_t *tokens, uint64_t low, uint64_t high) {
  uint32_t token = SHEAF__NO_TOKEN;
  for (uint32_t i = 0; i < 3; i++)
    token = ((lows[i] ^ low) | (highs[i] ^ high)) == 0 ? tokens[i] : token;
  return token;
}

#endif

#endif
