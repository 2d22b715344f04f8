/* swar.h: looking at eight bytes at a time with plain 64-bit arithmetic, and one step of UTF-8.
 *
 * The masks hold 0x80 in the place of each byte found. A borrow may set further bits ABOVE a true
 * hit, never below one, so only the lowest bit of a mask may be trusted: that is the first hit. */
#ifndef SHEAF_SWAR_H
#define SHEAF_SWAR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SHEAF__ONES 0x0101010101010101ull
#define SHEAF__HIGHS 0x8080808080808080ull

/* Eight bytes with the first in the lowest place, on any machine. */
static inline uint64_t sheaf__load8(const char *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

/* Fewer than eight bytes, the rest zero. */
static inline uint64_t sheaf__load_few(const char *p, size_t bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes; i++) word |= (uint64_t)(unsigned char)p[i] << (8 * i);
  return word;
}

/* Bytes that end a plain run inside a JSON string: quote, backslash, below 0x20, 0x80 and above.
 * 0x22 and 0x5c keep a byte's high bit, so one final mask serves the four tests. */
static inline uint64_t sheaf__string_specials(uint64_t word) {
  uint64_t quote = (word ^ (SHEAF__ONES * 0x22)) - SHEAF__ONES;
  uint64_t backslash = (word ^ (SHEAF__ONES * 0x5c)) - SHEAF__ONES;
  uint64_t control = word - SHEAF__ONES * 0x20;
  return (quote | backslash | control | word) & SHEAF__HIGHS;
}

/* Quotes and backslashes alone. */
static inline uint64_t sheaf__string_ends(uint64_t word) {
  uint64_t quote = (word ^ (SHEAF__ONES * 0x22)) - SHEAF__ONES;
  uint64_t backslash = (word ^ (SHEAF__ONES * 0x5c)) - SHEAF__ONES;
  return (quote | backslash) & ~word & SHEAF__HIGHS;
}

/* The place of the first hit of a mask that is not 0. */
static inline size_t sheaf__first_byte(uint64_t mask) {
  return (size_t)__builtin_ctzll(mask) >> 3;
}

/* The end of the plain run at p (see sheaf__string_specials), at most `end`. */
static inline const char *sheaf__skip_plain(const char *p, const char *end) {
  while (end - p >= 8) {
    uint64_t mask = sheaf__string_specials(sheaf__load8(p));
    if (mask) return p + sheaf__first_byte(mask);
    p += 8;
  }
  while (p < end) {
    unsigned char c = (unsigned char)*p;
    if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80) break;
    p++;
  }
  return p;
}

/* One step over UTF-8 (Unicode 15, table 3-7); left is at least 1. The length of the well-formed
 * sequence at p, or minus the length of the ill-formed "maximal subpart", which is replaced by one
 * U+FFFD. */
static inline int sheaf__utf8_step(const char *text, size_t left) {
  const unsigned char *p = (const unsigned char *)text;
  unsigned lead = p[0], low = 0x80, high = 0xBF;
  int length;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  if (lead < 0xE0) {
    length = 2;
  } else if (lead < 0xF0) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  if (left < 2 || p[1] < low || p[1] > high) return -1;
  for (int i = 2; i < length; i++) {
    if (left <= (size_t)i || (p[i] & 0xC0) != 0x80) return -i;
  }
  return length;
}

/* The end of a run of well-formed sequences of two bytes and more. Those of three bytes, most of
 * the world's text beyond the Latin script, are taken without the tables but for the leads E0 and
 * ED, whose second byte is bounded. */
static inline const char *sheaf__skip_utf8(const char *p, const char *end) {
  while (p < end && (unsigned char)*p >= 0x80) {
    if (end - p >= 3) {
      uint32_t lead = (unsigned char)p[0], second = (unsigned char)p[1],
               third = (unsigned char)p[2];
      uint32_t all = lead << 16 | second << 8 | third;
      if ((all & 0xF0C0C0) == 0xE08080 && lead != 0xE0 && lead != 0xED) {
        p += 3;
        continue;
      }
    }
    int step = sheaf__utf8_step(p, (size_t)(end - p));
    if (step < 0) break;
    p += step;
  }
  return p;
}

#endif
