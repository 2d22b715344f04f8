/* nfc.c: Unicode normalization form C (Unicode Standard Annex 15).
 *
 * Outline: UTF-8; what the tables say of a code point; taking apart; putting marks in order;
 * putting together. Each step goes over the whole text once. Marks are ordered by counting, since a
 * run of them may be as long as the text. */
#include "tokens/nfc.h"

#include <string.h>

#include "tokens/nfc_table.inc"

/* Hangul syllables are computed (The Unicode Standard, 3.12). */
enum {
  S_BASE = 0xAC00,
  L_BASE = 0x1100,
  V_BASE = 0x1161,
  T_BASE = 0x11A7,
  L_COUNT = 19,
  V_COUNT = 21,
  T_COUNT = 28,
  S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))

static uint32_t read_point(const uint8_t *p, size_t *bytes) {
  if (p[0] < 0x80) return *bytes = 1, p[0];
  if (p[0] < 0xE0) return *bytes = 2, (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
  if (p[0] < 0xF0) return *bytes = 3, (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
  return *bytes = 4,
         (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

static size_t write_point(uint8_t *out, uint32_t c) {
  if (c < 0x80) return out[0] = (uint8_t)c, 1;
  size_t bytes = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = bytes; i-- > 1; c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3F));
  out[0] = (uint8_t)((0xF00u >> bytes & 0xF0) | c);
  return bytes;
}

/* ---- the tables ---- */

static uint32_t run_begin(size_t i) {
  return nfc_run_low[i] | (uint32_t)nfc_run_more[3 * i] << 16;
}

/* The run a code point is in, or -1: nothing about it is to be looked at. */
static int32_t run_of(uint32_t c) {
  if (c >> 11 >= sizeof nfc_pages || !(nfc_pages[c >> 11] >> (c >> 8 & 7) & 1)) return -1;
  size_t low = 0, high = COUNT_OF(nfc_run_low);
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (run_begin(middle) <= c)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0 || c - run_begin(low - 1) >= nfc_run_more[3 * (low - 1) + 1]) return -1;
  return (int32_t)(low - 1);
}

static uint32_t combining_class(uint32_t c) {
  int32_t run = run_of(c);
  return run < 0 ? 0 : nfc_run_more[3 * run + 2];
}

bool sheaf__nfc_is_plain(const uint8_t *p, size_t bytes) {
  for (size_t at = 0, length; at < bytes; at += length) {
    if (p[at] < 0xCC) { /* U+0300 is the first that form C may change */
      length = p[at] < 0x80 ? 1 : 2;
      continue;
    }
    if (run_of(read_point(p + at, &length)) >= 0) return false;
  }
  return true;
}

/* What a code point stands for alone: one other, or itself. */
static uint32_t single_of(uint32_t c) {
  for (size_t i = 0; i < COUNT_OF(nfc_single_runs); i += 3) {
    if (c < nfc_single_runs[i]) return c;
    uint32_t at = c - nfc_single_runs[i];
    if (at >= nfc_single_runs[i + 1]) continue;
    at += nfc_single_runs[i + 2];
    return nfc_single_low[at] | (uint32_t)nfc_single_high[at] << 16;
  }
  return c;
}

static bool pair_of(uint32_t c, uint32_t *first, uint32_t *second) {
  for (size_t i = 0; i < COUNT_OF(nfc_high); i += 3) {
    if (nfc_high[i] != c) continue;
    *first = nfc_high[i + 1];
    *second = nfc_high[i + 2];
    return true;
  }
  size_t low = 0, high = COUNT_OF(nfc_low) / 3;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (nfc_low[3 * middle] < c)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == COUNT_OF(nfc_low) / 3 || nfc_low[3 * low] != c) return false;
  *first = nfc_low[3 * low + 1];
  *second = nfc_low[3 * low + 2];
  return true;
}

/* What two become, or 0. */
static uint32_t composed(uint32_t first, uint32_t second) {
  if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
    return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
  if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 &&
      second - T_BASE - 1 < T_COUNT - 1)
    return first + (second - T_BASE);
  for (size_t i = 0; i < COUNT_OF(nfc_high_order); i++) {
    const uint32_t *row = &nfc_high[3 * (size_t)nfc_high_order[i]];
    if (row[1] == first && row[2] == second) return row[0];
  }
  size_t low = 0, high = COUNT_OF(nfc_low_order);
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const uint16_t *row = &nfc_low[3 * (size_t)nfc_low_order[middle]];
    if (row[1] == first && row[2] == second) return row[0];
    if (row[1] < first || (row[1] == first && row[2] < second))
      low = middle + 1;
    else
      high = middle;
  }
  return 0;
}

/* ---- the three steps ---- */

/* All parts of a code point, of which there are at most four. */
static size_t take_apart(uint32_t c, uint32_t *out) {
  if (c - S_BASE < S_COUNT) {
    uint32_t s = c - S_BASE, t = s % T_COUNT;
    out[0] = L_BASE + s / (V_COUNT * T_COUNT);
    out[1] = V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT;
    out[2] = T_BASE + t;
    return t ? 3 : 2;
  }
  uint32_t tail[4], tails = 0, first, second;
  c = single_of(c);
  while (tails < 4 && pair_of(c, &first, &second)) {
    tail[tails++] = second;
    c = single_of(first);
  }
  size_t count = 0;
  out[count++] = c;
  while (tails > 0) count += take_apart(tail[--tails], out + count);
  return count;
}

/* A run of marks into the order of their classes, equal ones as they were; spare is as long. */
static void order_marks(uint32_t *points, size_t count, uint32_t *spare) {
  if (count < 2) return;
  size_t places[256] = {0}, next = 0;
  for (size_t i = 0; i < count; i++) places[combining_class(points[i])]++;
  for (size_t class = 0; class < 256; class ++) {
    size_t of_class = places[class];
    places[class] = next;
    next += of_class;
  }
  for (size_t i = 0; i < count; i++) spare[places[combining_class(points[i])]++] = points[i];
  memcpy(points, spare, count * sizeof *points);
}

/* Composes in place; returns how many are left. */
static size_t put_together(uint32_t *points, size_t count) {
  size_t starter = SIZE_MAX, kept = 0;
  uint32_t last_class = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t c = points[i], class = combining_class(c);
    bool reaches = starter != SIZE_MAX && (kept == starter + 1 || last_class < class);
    uint32_t whole = reaches ? composed(points[starter], c) : 0;
    if (whole) {
      points[starter] = whole;
      continue;
    }
    if (class == 0) starter = kept;
    last_class = class;
    points[kept++] = c;
  }
  return kept;
}

size_t sheaf__nfc(const uint8_t *p, size_t bytes, uint32_t *points, uint8_t *out) {
  size_t count = 0, out_bytes = 0;
  for (size_t at = 0, length; at < bytes; at += length)
    count += take_apart(read_point(p + at, &length), points + count);
  for (size_t i = 0; i < count;) {
    size_t end = i;
    while (end < count && combining_class(points[end]) != 0) end++;
    order_marks(points + i, end - i, points + count);
    i = end + 1;
  }
  count = put_together(points, count);
  for (size_t i = 0; i < count; i++) out_bytes += write_point(out + out_bytes, points[i]);
  return out_bytes;
}
