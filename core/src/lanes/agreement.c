/* agreement.c: how much two answers say the same, for comparing a merged answer with the one given
 * alone.
 *
 * Outline: which characters make words; their small forms; the words of a text; their hashes,
 * sorted; the measure.
 *
 * A measure of words, not of meaning: it tells "the same", "much the same" and "something else"
 * apart, and nothing finer. Scripts without spaces are compared by character. */
#include "lanes/prompts.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/swar.h"

typedef struct range {
  uint32_t first, last;
} range;

/* Space and punctuation beyond ASCII (Unicode 16, categories Z and P, with the signs between them
 * in Latin-1): what stands between words. Everything else from U+0080 on is part of one. */
static const range separators[] = {
    {0x0080, 0x00A9}, {0x00AB, 0x00B1}, {0x00B4, 0x00B4}, {0x00B6, 0x00B8}, {0x00BB, 0x00BB},
    {0x00BF, 0x00BF}, {0x055A, 0x055F}, {0x0589, 0x058A}, {0x05BE, 0x05BE}, {0x060C, 0x060D},
    {0x061B, 0x061B}, {0x061D, 0x061F}, {0x066A, 0x066D}, {0x06D4, 0x06D4}, {0x0964, 0x0965},
    {0x1680, 0x1680}, {0x2000, 0x206F}, {0x2E00, 0x2E7F}, {0x3000, 0x3003}, {0x3008, 0x3011},
    {0x3014, 0x301F}, {0x3030, 0x3030}, {0x30FB, 0x30FB}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE6F},
    {0xFEFF, 0xFEFF}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF20}, {0xFF3B, 0xFF40}, {0xFF5B, 0xFF65}};

/* Scripts that put no space between words: each character counts as one. */
static const range unspaced[] = {
    {0x0E00, 0x0EFF}, {0x1000, 0x109F}, {0x1780, 0x17FF},   {0x3040, 0x30FF},
    {0x3400, 0x9FFF}, {0xF900, 0xFAFF}, {0x1F000, 0x1FAFF}, /* pictures, too */ {0x20000, 0x3FFFF}};

/* Capitals and how far their small letters are: all of a range, or every second one from its first
 * (the others are small). */
static const struct {
  uint32_t first, last, step;
  int32_t distance;
} capitals[] = {{0x0041, 0x005A, 1, 32}, {0x00C0, 0x00D6, 1, 32},   {0x00D8, 0x00DE, 1, 32},
                {0x0100, 0x012E, 2, 1},  {0x0132, 0x0136, 2, 1},    {0x0139, 0x0147, 2, 1},
                {0x014A, 0x0176, 2, 1},  {0x0178, 0x0178, 1, -121}, {0x0179, 0x017D, 2, 1},
                {0x01CD, 0x01DB, 2, 1},  {0x01DE, 0x01EE, 2, 1},    {0x01F8, 0x021E, 2, 1},
                {0x0386, 0x0386, 1, 38}, {0x0388, 0x038A, 1, 37},   {0x038C, 0x038C, 1, 64},
                {0x038E, 0x038F, 1, 63}, {0x0391, 0x03A1, 1, 32},   {0x03A3, 0x03AB, 1, 32},
                {0x03C2, 0x03C2, 1, 1}, /* final sigma */
                {0x0400, 0x040F, 1, 80}, {0x0410, 0x042F, 1, 32},   {0x0460, 0x0480, 2, 1},
                {0x048A, 0x04BE, 2, 1},  {0x04C1, 0x04CD, 2, 1},    {0x04D0, 0x052E, 2, 1},
                {0x0531, 0x0556, 1, 48}, {0x1E00, 0x1E94, 2, 1},    {0x1EA0, 0x1EFE, 2, 1},
                {0xFF21, 0xFF3A, 1, 32}};

static uint32_t small_of(uint32_t c) {
  for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++) {
    if (c > capitals[i].last) continue;
    if (c < capitals[i].first || (c - capitals[i].first) % capitals[i].step != 0) return c;
    return (uint32_t)((int32_t)c + capitals[i].distance);
  }
  return c;
}

static bool in_ranges(const range *ranges, size_t count, uint32_t c) {
  for (size_t i = 0; i < count && c >= ranges[i].first; i++) {
    if (c <= ranges[i].last) return true;
  }
  return false;
}

static bool is_digit(uint32_t c) {
  return c >= '0' && c <= '9';
}

static bool is_word_part(uint32_t c) {
  if (c < 0x80) return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  return !in_ranges(separators, sizeof separators / sizeof *separators, c);
}

static bool is_word_alone(uint32_t c) {
  return c >= 0x80 && in_ranges(unspaced, sizeof unspaced / sizeof *unspaced, c);
}

/* The character at p, which is before end; a byte that is no UTF-8 is read as U+FFFD. */
static uint32_t read_character(const char *p, const char *end, size_t *bytes) {
  const int step = sheaf__utf8_step(p, (size_t)(end - p));
  const unsigned char *u = (const unsigned char *)p;
  *bytes = step > 0 ? (size_t)step : 1;
  switch (step) {
    case 1: return u[0];
    case 2: return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
    case 3: return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
    case 4:
      return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
    default: return 0xFFFD;
  }
}

/* Writes a character's small form over the bytes it has; both forms have as many in UTF-8. */
static void write_small(char *p, size_t bytes, uint32_t c) {
  const uint32_t small = small_of(c);
  if (small == c) return;
  if (bytes == 1) {
    p[0] = (char)small;
  } else if (bytes == 2) {
    p[0] = (char)(0xC0 | small >> 6);
    p[1] = (char)(0x80 | (small & 0x3F));
  } else {
    p[0] = (char)(0xE0 | small >> 12);
    p[1] = (char)(0x80 | (small >> 6 & 0x3F));
    p[2] = (char)(0x80 | (small & 0x3F));
  }
}

/* ---- Words ---- */

/* A text in scratch: first as it was, then its words in small letters in a row; their hashes lie
 * behind both texts. */
typedef struct words {
  size_t begin, bytes;
  size_t hashes, count;
} words;

/* Whether a sign belongs to the number it stands in: 3.14 is not 314, and -5 not 5. */
static bool is_in_number(uint32_t before, uint32_t c, const char *behind, const char *end) {
  if (behind == end || !is_digit((unsigned char)*behind)) return false;
  return c == '.' ? is_digit(before) : c == '-' && !is_word_part(before);
}

static void close_word(sheaf_buf *scratch, words *w, size_t from, size_t to) {
  if (from == to) return;
  const uint64_t hash = sheaf__hash(scratch->data + from, to - from, 0);
  sheaf_buf_append(scratch, &hash, sizeof hash);
  w->count++;
}

/* Words move to the front of their text as they are found, so nothing is overwritten that was not
 * read. */
static void find_words(sheaf_buf *scratch, words *w) {
  const size_t end = w->begin + w->bytes;
  size_t word = w->begin, out = w->begin, bytes;
  uint32_t before = ' ';
  w->hashes = scratch->bytes;
  for (size_t at = w->begin; at < end && scratch->status == SHEAF_OK; at += bytes) {
    const char *text = scratch->data; /* which may have moved */
    const uint32_t c = read_character(text + at, text + end, &bytes);
    const bool alone = is_word_alone(c);
    const bool part = is_word_part(c) || is_in_number(before, c, text + at + bytes, text + end);
    before = c;
    if (alone || !part) {
      close_word(scratch, w, word, out);
      word = out;
    }
    if (!part || scratch->status != SHEAF_OK) continue;
    memmove(scratch->data + out, scratch->data + at, bytes);
    write_small(scratch->data + out, bytes, c);
    out += bytes;
    if (!alone) continue;
    close_word(scratch, w, word, out);
    word = out;
  }
  close_word(scratch, w, word, out);
  w->bytes = out - w->begin;
}

/* ---- Hashes: in a buffer of bytes, so they are copied in and out ---- */

static uint64_t get(const char *hashes, size_t i) {
  uint64_t hash;
  memcpy(&hash, hashes + i * sizeof hash, sizeof hash);
  return hash;
}

static void set(char *hashes, size_t i, uint64_t hash) {
  memcpy(hashes + i * sizeof hash, &hash, sizeof hash);
}

/* Puts a hash where it belongs in the heap below place i. */
static void sink(char *hashes, size_t i, size_t count, uint64_t hash) {
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= count) break;
    if (child + 1 < count && get(hashes, child + 1) > get(hashes, child)) child++;
    if (get(hashes, child) <= hash) break;
    set(hashes, i, get(hashes, child));
    i = child;
  }
  set(hashes, i, hash);
}

/* Heapsort: no text makes it slow. */
static void sort(char *hashes, size_t count) {
  for (size_t i = count / 2; i > 0; i--) sink(hashes, i - 1, count, get(hashes, i - 1));
  for (size_t last = count; last > 1; last--) {
    const uint64_t hash = get(hashes, last - 1);
    set(hashes, last - 1, get(hashes, 0));
    sink(hashes, 0, last - 1, hash);
  }
}

static size_t count_common(const char *a, size_t a_count, const char *b, size_t b_count) {
  size_t i = 0, j = 0, common = 0;
  while (i < a_count && j < b_count) {
    const uint64_t left = get(a, i), right = get(b, j);
    if (left == right) common++;
    if (left <= right) i++;
    if (right <= left) j++;
  }
  return common;
}

/* ---- The measure ---- */

static bool same_text(const sheaf_buf *scratch, const words *a, const words *b) {
  if (a->bytes != b->bytes) return false;
  return a->bytes == 0 || memcmp(scratch->data + a->begin, scratch->data + b->begin, a->bytes) == 0;
}

static int64_t measure(sheaf_buf *scratch, words *a, words *b) {
  if (same_text(scratch, a, b)) return 1000;
  find_words(scratch, a);
  find_words(scratch, b);
  if (scratch->status != SHEAF_OK) return SHEAF_ABSENT;
  const uint64_t count = (uint64_t)a->count + b->count;
  if (count == 0) return 0; /* texts without a word, which differ */
  if (same_text(scratch, a, b)) return 1000;
  char *hashes = scratch->data;
  sort(hashes + a->hashes, a->count);
  sort(hashes + b->hashes, b->count);
  const uint64_t common = count_common(hashes + a->hashes, a->count, hashes + b->hashes, b->count);
  return (int64_t)(2000 * common / count);
}

/* Appends the plain text. */
static bool unescape(sheaf_buf *scratch, sheaf_slice inside, words *w) {
  *w = (words){.begin = scratch->bytes};
  const int32_t status = sheaf_buf_append_unescaped(scratch, inside);
  w->bytes = scratch->bytes - w->begin;
  return status == SHEAF_OK;
}

int64_t sheaf__prompts_agreement(sheaf_slice a, sheaf_slice b, sheaf_buf *scratch) {
  SHEAF_ASSERT((uintptr_t)a.data - (uintptr_t)scratch->data >= scratch->capacity);
  SHEAF_ASSERT((uintptr_t)b.data - (uintptr_t)scratch->data >= scratch->capacity);
  const size_t begin = scratch->bytes;
  const int32_t before = scratch->status;
  words left, right;
  int64_t agreement = SHEAF_ABSENT;
  if (unescape(scratch, a, &left) && unescape(scratch, b, &right))
    agreement = measure(scratch, &left, &right);
  scratch->bytes = begin;
  scratch->status = before;
  return agreement;
}
