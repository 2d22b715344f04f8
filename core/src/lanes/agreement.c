/* agreement.c: how much two answers say the same, for comparing a merged answer with the one given
 * alone.
 *
 * Outline: characters; words; their hashes, sorted; the measure.
 *
 * A measure of words, not of meaning: it tells "the same", "much the same" and "something else"
 * apart, and nothing finer. Scripts without spaces are compared by character. Words are compared by
 * 64-bit hashes, so no text is kept. */
#include "lanes/prompts.h"

#include "base/mem.h"
#include "base/swar.h"

/* ---- Characters ---- */

typedef struct range {
  uint16_t first, last;
} range;

/* Space and punctuation beyond ASCII that answers are written with (Unicode 16, categories Z and P,
 * with the signs between them): what stands between words. Everything else from U+0080 on is part
 * of one. */
static const range separators[] = {{0x0080, 0x00A9}, {0x00AB, 0x00B1}, {0x00B4, 0x00B4},
                                   {0x00B6, 0x00B8}, {0x00BB, 0x00BB}, {0x00BF, 0x00BF},
                                   {0x060C, 0x061F}, {0x0964, 0x0965}, {0x2000, 0x206F},
                                   {0x2E00, 0x2E7F}, {0x3000, 0x3003}, {0x3008, 0x301F},
                                   {0x30FB, 0x30FB}, {0xFE10, 0xFE6F}, {0xFEFF, 0xFF0F},
                                   {0xFF1A, 0xFF20}, {0xFF5B, 0xFF65}, {0, 0}};

/* Scripts that put no space between words, below U+10000: each character counts as one. */
static const range unspaced[] = {{0x0E00, 0x0EFF}, {0x1000, 0x109F}, {0x1780, 0x17FF},
                                 {0x3040, 0x9FFF}, {0xF900, 0xFAFF}, {0, 0}};

/* Capitals and how far their small letters are: Latin, Greek with its final sigma, Cyrillic. */
static const struct {
  uint16_t first, last;
  int16_t distance;
} capitals[] = {{0x0041, 0x005A, 32}, {0x00C0, 0x00DE, 32}, {0x0178, 0x0178, -121},
                {0x0391, 0x03AB, 32}, {0x03C2, 0x03C2, 1},  {0x0400, 0x040F, 80},
                {0x0410, 0x042F, 32}};

/* The same for a letter and its capital. Where they are neighbours, which of them is small changes
 * from row to row: the odd one stands for both, and for a third now and then. */
static uint32_t fold(uint32_t c) {
  for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++) {
    if (c >= capitals[i].first && c <= capitals[i].last)
      return (uint32_t)((int32_t)c + capitals[i].distance);
  }
  bool in_pairs = (c >= 0x0100 && c < 0x0250) || (c >= 0x0460 && c < 0x0530) || c >> 8 == 0x1E;
  return in_pairs ? c | 1 : c;
}

static bool is_in(const range *ranges, uint32_t c) {
  for (; ranges->last; ranges++) {
    if (c >= ranges->first && c <= ranges->last) return true;
  }
  return false;
}

static bool is_digit(uint32_t c) {
  return c >= '0' && c <= '9';
}

static bool is_word_part(uint32_t c) {
  if (c < 0x80) return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  return !is_in(separators, c);
}

/* The character at p, which is before end; a byte that is no UTF-8 stands for itself. */
static uint32_t read_character(const char *p, const char *end, size_t *bytes) {
  const int step = sheaf__utf8_step(p, (size_t)(end - p));
  uint32_t c = (unsigned char)*p;
  *bytes = step > 0 ? (size_t)step : 1;
  if (step <= 1) return c;
  c &= 0x7Fu >> step;
  for (int i = 1; i < step; i++) c = c << 6 | (p[i] & 0x3F);
  return c;
}

/* ---- Words ---- */

/* A text in scratch, and what it was found to say; hashes lie behind both texts. */
typedef struct words {
  size_t begin, bytes;
  size_t hashes, count;
  uint64_t all; /* hash of all words in a row */
} words;

#define HASH_START 0xcbf29ce484222325ull /* FNV-1a */
static uint64_t hash_in(uint64_t hash, uint32_t c) {
  return (hash ^ c) * 0x100000001b3ull;
}

/* Whether a sign belongs to the number it stands in: 3.14 is not 314, and -5 not 5. */
static bool is_in_number(uint32_t before, uint32_t c, const char *behind, const char *end) {
  if ((c != '.' && c != '-') || behind == end || !is_digit((unsigned char)*behind)) return false;
  return c == '.' ? is_digit(before) : !is_word_part(before);
}

/* Reads the text and appends the hashes of its words. The end of the text is read as a space. */
static void find_words(sheaf_buf *scratch, words *w) {
  uint32_t before = ' ';
  bool was_alone = false;
  uint64_t word = HASH_START;
  size_t bytes = 1;
  w->hashes = scratch->bytes;
  w->all = HASH_START;
  for (size_t at = 0; at <= w->bytes && scratch->status == SHEAF_OK; at += bytes) {
    const char *p = scratch->data + w->begin + at, *end = p + (w->bytes - at);
    uint32_t c = p < end ? read_character(p, end, &bytes) : ' ';
    const bool is_part = is_word_part(c) || is_in_number(before, c, p + bytes, end);
    const bool is_alone = c > 0xFFFF || is_in(unspaced, c);
    before = c;
    if (word != HASH_START && (is_alone || was_alone || !is_part)) {
      sheaf_buf_append(scratch, &word, sizeof word);
      w->count++;
      word = HASH_START;
    }
    was_alone = is_alone;
    if (!is_part) continue;
    c = fold(c);
    word = hash_in(word, c);
    w->all = hash_in(w->all, c);
  }
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

static int64_t measure(sheaf_buf *scratch, words *a, words *b) {
  const char *text = scratch->data;
  if (sheaf__slice_equal((sheaf_slice){text + a->begin, a->bytes},
                         (sheaf_slice){text + b->begin, b->bytes}))
    return 1000;
  find_words(scratch, a);
  find_words(scratch, b);
  if (scratch->status != SHEAF_OK) return SHEAF_ABSENT;
  const size_t count = a->count + b->count;
  if (count == 0) return 0; /* texts without a word, which differ */
  if (a->all == b->all) return 1000;
  char *left = scratch->data + a->hashes, *right = scratch->data + b->hashes;
  sort(left, a->count);
  sort(right, b->count);
  return (int64_t)(2000ull * count_common(left, a->count, right, b->count) / count);
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
