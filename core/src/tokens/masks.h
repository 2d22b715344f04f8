/* masks.h: the classes of sixteen bytes as bits, the first byte's lowest. Plain 64-bit arithmetic,
 * or the machine's vectors where it has them: the bits are the same. Bytes from 0x80 on are in no
 * class but `wide`. */
#ifndef SHEAF_MASKS_H
#define SHEAF_MASKS_H

#include "base/swar.h"

#if defined(__SSE2__) && !defined(SHEAF_NO_SIMD)
#include <emmintrin.h>

typedef __m128i sheaf__sixteen;

static inline sheaf__sixteen sheaf__sixteen_at(const uint8_t *p) {
  return _mm_loadu_si128((const void *)p);
}
/* Bytes from first on, of which there are count. */
static inline __m128i sheaf__between(__m128i v, uint8_t first, uint8_t count) {
  __m128i from = _mm_sub_epi8(v, _mm_set1_epi8((char)first));
  return _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8((char)(count - 1))), from);
}
static inline uint32_t sheaf__upper_mask(sheaf__sixteen v) {
  return (uint32_t)_mm_movemask_epi8(sheaf__between(v, 'A', 26));
}
static inline uint32_t sheaf__lower_mask(sheaf__sixteen v) {
  return (uint32_t)_mm_movemask_epi8(sheaf__between(v, 'a', 26));
}
static inline uint32_t sheaf__letter_mask(sheaf__sixteen v) {
  return (uint32_t)_mm_movemask_epi8(sheaf__between(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 26));
}
static inline uint32_t sheaf__digit_mask(sheaf__sixteen v) {
  return (uint32_t)_mm_movemask_epi8(sheaf__between(v, '0', 10));
}
static inline uint32_t sheaf__space_mask(sheaf__sixteen v) {
  __m128i blank = _mm_cmpeq_epi8(v, _mm_set1_epi8(' '));
  return (uint32_t)_mm_movemask_epi8(_mm_or_si128(blank, sheaf__between(v, '\t', 5)));
}
static inline uint32_t sheaf__newline_mask(sheaf__sixteen v) {
  return (uint32_t)_mm_movemask_epi8(
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'))));
}
static inline uint32_t sheaf__wide_mask(sheaf__sixteen v) {
  return (uint32_t)_mm_movemask_epi8(v);
}

#else

typedef struct sheaf__sixteen {
  uint64_t low, high;
} sheaf__sixteen;

static inline sheaf__sixteen sheaf__sixteen_at(const uint8_t *p) {
  return (sheaf__sixteen){sheaf__load8((const char *)p), sheaf__load8((const char *)p + 8)};
}
/* The high bits of eight bytes as eight bits. */
static inline uint32_t sheaf__gather(uint64_t highs) {
  return (uint32_t)((highs >> 7) * 0x0102040810204080ull >> 56);
}
/* The high bit of each byte that is first or more and below end; sums stay inside their bytes. */
static inline uint64_t sheaf__between(uint64_t word, uint32_t first, uint32_t end) {
  uint64_t low = word & ~SHEAF__HIGHS;
  uint64_t from = low + SHEAF__ONES * (0x80 - first), past = low + SHEAF__ONES * (0x80 - end);
  return from & ~past & ~word & SHEAF__HIGHS;
}
static inline uint32_t sheaf__range_mask(sheaf__sixteen v, uint32_t first, uint32_t end) {
  return sheaf__gather(sheaf__between(v.low, first, end)) |
         sheaf__gather(sheaf__between(v.high, first, end)) << 8;
}
static inline uint32_t sheaf__upper_mask(sheaf__sixteen v) {
  return sheaf__range_mask(v, 'A', 'Z' + 1);
}
static inline uint32_t sheaf__lower_mask(sheaf__sixteen v) {
  return sheaf__range_mask(v, 'a', 'z' + 1);
}
static inline uint32_t sheaf__letter_mask(sheaf__sixteen v) {
  sheaf__sixteen folded = {v.low | SHEAF__ONES * 0x20, v.high | SHEAF__ONES * 0x20};
  return sheaf__range_mask(folded, 'a', 'z' + 1);
}
static inline uint32_t sheaf__digit_mask(sheaf__sixteen v) {
  return sheaf__range_mask(v, '0', '9' + 1);
}
static inline uint32_t sheaf__space_mask(sheaf__sixteen v) {
  return sheaf__range_mask(v, '\t', '\r' + 1) | sheaf__range_mask(v, ' ', ' ' + 1);
}
static inline uint32_t sheaf__newline_mask(sheaf__sixteen v) {
  return sheaf__range_mask(v, '\n', '\n' + 1) | sheaf__range_mask(v, '\r', '\r' + 1);
}
static inline uint32_t sheaf__wide_mask(sheaf__sixteen v) {
  return sheaf__gather(v.low & SHEAF__HIGHS) | sheaf__gather(v.high & SHEAF__HIGHS) << 8;
}
#endif

/* How many of the lowest bits are set, without a gap; at most 16 here. */
static inline uint32_t sheaf__run_of(uint32_t mask) {
  return (uint32_t)__builtin_ctz(~mask);
}

#endif
