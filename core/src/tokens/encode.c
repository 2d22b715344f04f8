/* encode.c: from text to ids, piece after piece.
 *
 * Outline: memory; a piece by way of the vocabulary; the caches of pieces; pieces of plain ASCII,
 * found in sixteen bytes at once; text, a few pieces at a time; text to be normalized first.
 *
 * Most pieces are short and have been seen before, so a piece of up to 15 bytes is looked for in a
 * cache first, by its bytes in two registers; a longer one, or one of many ids, in another. What
 * the caches hold is what the slow way gave, so they can change no result. */
#include "tokens/masks.h"
#include "tokens/tokenizer.h"

/* ---- ids ---- */

static void free_room(sheaf_tokenizer *t, size_t bytes, uint32_t *tokens, uint64_t *words) {
  sheaf__free(&t->allocator, tokens, bytes * sizeof *tokens);
  sheaf__free(&t->allocator, words, sheaf__merge_words(t->vocab, bytes) * sizeof *words);
}

static int32_t make_room(sheaf_tokenizer *t, size_t bytes) {
  if (bytes <= t->piece_bytes_max) return SHEAF_OK;
  if (bytes > SIZE_MAX / 64) return SHEAF_E_NOMEM; /* so that no size below wraps */
  size_t now = bytes < 256 ? 256 : bytes + bytes / 4;
  uint32_t *tokens = sheaf__alloc(&t->allocator, now * sizeof *tokens);
  uint64_t *words = sheaf__alloc(&t->allocator, sheaf__merge_words(t->vocab, now) * sizeof *words);
  if (!tokens || !words) {
    free_room(t, now, tokens, words);
    return SHEAF_E_NOMEM;
  }
  free_room(t, t->piece_bytes_max, t->tokens, t->words);
  t->tokens = tokens;
  t->words = words;
  t->piece_bytes_max = now;
  return SHEAF_OK;
}

static void free_normal(sheaf_tokenizer *t, size_t bytes, uint32_t *points, uint8_t *normal) {
  sheaf__free(&t->allocator, points, 3 * bytes * sizeof *points);
  sheaf__free(&t->allocator, normal, SHEAF__NFC_GROWTH * bytes);
}

static int32_t make_normal_room(sheaf_tokenizer *t, size_t bytes) {
  if (bytes <= t->normal_bytes_max) return SHEAF_OK;
  if (bytes > SIZE_MAX / 32) return SHEAF_E_NOMEM;
  size_t now = bytes < 1024 ? 1024 : bytes + bytes / 4;
  uint32_t *points = sheaf__alloc(&t->allocator, 3 * now * sizeof *points);
  uint8_t *normal = sheaf__alloc(&t->allocator, SHEAF__NFC_GROWTH * now);
  if (!points || !normal) {
    free_normal(t, now, points, normal);
    return SHEAF_E_NOMEM;
  }
  free_normal(t, t->normal_bytes_max, t->points, t->normal);
  t->points = points;
  t->normal = normal;
  t->normal_bytes_max = now;
  return SHEAF_OK;
}

void sheaf__tokenizer_release(sheaf_tokenizer *t) {
  free_room(t, t->piece_bytes_max, t->tokens, t->words);
  free_normal(t, t->normal_bytes_max, t->points, t->normal);
  t->piece_bytes_max = t->normal_bytes_max = 0;
}

/* Whether a piece that is this token becomes it without merging. */
static bool is_whole(const sheaf_vocab *vocab, uint32_t token) {
  return token < (vocab->flags & SHEAF__VOCAB_WHOLE ? vocab->token_end : vocab->merge_end);
}

int32_t sheaf__piece_tokens(sheaf_tokenizer *t, const uint8_t *p, size_t bytes, size_t readable,
                            size_t *count) {
  int32_t status = make_room(t, bytes);
  if (status != SHEAF_OK) return status;
  uint32_t token = sheaf__token_find(t->vocab, p, bytes, readable);
  if (is_whole(t->vocab, token)) {
    t->tokens[0] = token;
    *count = 1;
  } else {
    *count = sheaf__merge(t->vocab, p, bytes, readable, t->tokens, t->words, t->memo);
  }
  return SHEAF_OK;
}

static void put_tokens(const sheaf_tokenizer *t, size_t count, sheaf__sink *sink) {
  for (size_t i = 0; i < count; i++) sheaf__sink_put(sink, sheaf__token_id(t->vocab, t->tokens[i]));
}

int32_t sheaf__encode_piece(sheaf_tokenizer *t, const uint8_t *p, size_t bytes, size_t readable,
                            sheaf__sink *sink) {
  size_t count;
  int32_t status = sheaf__piece_tokens(t, p, bytes, readable, &count);
  if (status != SHEAF_OK) return status;
  put_tokens(t, count, sink);
  return SHEAF_OK;
}

static const uint64_t low_masks[16] = {0,          0xFF,         0xFFFF,         0xFFFFFF,
                                       0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF,
                                       UINT64_MAX, UINT64_MAX,   UINT64_MAX,     UINT64_MAX,
                                       UINT64_MAX, UINT64_MAX,   UINT64_MAX,     UINT64_MAX};
static const uint64_t high_masks[16] = {0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0,
                                        0xFF,
                                        0xFFFF,
                                        0xFFFFFF,
                                        0xFFFFFFFF,
                                        0xFFFFFFFFFF,
                                        0xFFFFFFFFFFFF,
                                        0xFFFFFFFFFFFFFF};

/* ---- the caches ---- */

/* A piece on its way: where it is, and where the caches would have it. */
typedef struct piece {
  const uint8_t *p;
  size_t bytes;
  size_t readable;
  uint64_t low, high; /* of a short piece: its bytes, their number in the highest byte */
  uint32_t place;
} piece;

/* The words of a piece for the long cache; the number of bytes in the highest byte. */
static inline void long_key(const piece *at, uint64_t words[5]) {
  words[0] = sheaf__load(at->p);
  words[1] = sheaf__load(at->p + 8);
  for (size_t i = 2; i < 5; i++) {
    size_t begin = 8 * i, bytes = at->bytes > begin ? at->bytes - begin : 0;
    if (bytes > 8) bytes = 8;
    words[i] = bytes ? sheaf__load_upto(at->p + begin, bytes, at->readable - begin) : 0;
  }
  words[4] |= (uint64_t)at->bytes << 56;
}

static inline uint32_t long_place(const uint64_t words[5]) {
  uint64_t hash = 0;
  for (size_t i = 0; i < 5; i++) hash = ((hash << 23 | hash >> 41) ^ words[i]) * SHEAF__HASH_FACTOR;
  return (uint32_t)((hash ^ hash >> 32) * SHEAF__HASH_FACTOR >> (64 - SHEAF__LONG_CACHE_BITS));
}

static inline void set_keys(sheaf_tokenizer *t, piece *at) {
  if (at->bytes <= SHEAF__CACHED_BYTES_MAX) {
    if (at->readable >= 16) {
      at->low = sheaf__load(at->p) & low_masks[at->bytes];
      at->high = sheaf__load(at->p + 8) & high_masks[at->bytes];
    } else {
      at->low = sheaf__load_upto(at->p, at->bytes < 8 ? at->bytes : 8, at->readable);
      at->high = at->bytes > 8 ? sheaf__load_few((const char *)at->p + 8, at->bytes - 8) : 0;
    }
    at->high |= (uint64_t)at->bytes << 56;
    at->place = (uint32_t)(sheaf__middle_hash(at->low, at->high) >> (64 - SHEAF__CACHE_BITS));
    __builtin_prefetch(&t->cache[2 * (size_t)at->place]);
  } else if (at->bytes <= SHEAF__LONG_CACHED_BYTES_MAX) {
    uint64_t words[5];
    long_key(at, words);
    at->place = long_place(words);
    __builtin_prefetch(&t->long_cache[at->place]);
    __builtin_prefetch((const char *)&t->long_cache[at->place] + 64);
  }
}

static inline void put_cached(sheaf__sink *sink, const uint32_t *ids, size_t count) {
  if (sink->room >= SHEAF__CACHED_IDS_MAX && sink->count <= sink->room - SHEAF__CACHED_IDS_MAX) {
    uint32_t *to = sink->ids + sink->count;
    memcpy(to, ids, SHEAF__CACHED_IDS_MAX * sizeof *ids);
    to[0] &= 0xFFFFFF;
    sink->count += count;
  } else if (sink->count >= sink->room) {
    sink->count += count;
  } else {
    sheaf__sink_put(sink, ids[0] & 0xFFFFFF);
    for (size_t i = 1; i < count; i++) sheaf__sink_put(sink, ids[i]);
  }
}

/* The ids of the piece at hand, into the long cache too, if they fit. */
static void put_long(sheaf_tokenizer *t, size_t count, const uint64_t words[5],
                     sheaf__cached_long *cached, sheaf__sink *sink) {
  if (count > SHEAF__LONG_CACHED_IDS_MAX) {
    put_tokens(t, count, sink);
    return;
  }
  memcpy(cached->words, words, sizeof cached->words);
  cached->count = (uint32_t)count;
  for (size_t i = 0; i < count; i++) {
    cached->ids[i] = sheaf__token_id(t->vocab, t->tokens[i]);
    sheaf__sink_put(sink, cached->ids[i]);
  }
}

static bool put_known(const sheaf__cached_long *cached, const uint64_t words[5],
                      sheaf__sink *sink) {
  if (memcmp(words, cached->words, sizeof cached->words) != 0) return false;
  for (size_t i = 0; i < cached->count; i++) sheaf__sink_put(sink, cached->ids[i]);
  return true;
}

static int32_t encode_long(sheaf_tokenizer *t, const piece *at, sheaf__sink *sink) {
  if (at->bytes > SHEAF__LONG_CACHED_BYTES_MAX)
    return sheaf__encode_piece(t, at->p, at->bytes, at->readable, sink);
  uint64_t words[5];
  long_key(at, words);
  sheaf__cached_long *cached = &t->long_cache[at->place];
  if (put_known(cached, words, sink)) return SHEAF_OK;
  size_t count;
  int32_t status = sheaf__piece_tokens(t, at->p, at->bytes, at->readable, &count);
  if (status == SHEAF_OK) put_long(t, count, words, cached, sink);
  return status;
}

/* A short piece that the cache does not hold; afterwards it does, if its ids fit; if not, the long
 * cache does. */
static int32_t encode_new_short(sheaf_tokenizer *t, const piece *at, sheaf__cached *set,
                                sheaf__sink *sink) {
  uint64_t words[5] = {at->low, at->high & UINT64_MAX >> 8, 0, 0, (uint64_t)at->bytes << 56};
  sheaf__cached_long *cached = &t->long_cache[long_place(words)];
  if (put_known(cached, words, sink)) return SHEAF_OK;
  size_t count;
  int32_t status = sheaf__piece_tokens(t, at->p, at->bytes, at->readable, &count);
  if (status != SHEAF_OK) return status;
  if (count > SHEAF__CACHED_IDS_MAX) {
    put_long(t, count, words, cached, sink);
    return SHEAF_OK;
  }
  uint32_t ids[SHEAF__CACHED_IDS_MAX] = {0};
  for (size_t i = 0; i < count; i++) {
    ids[i] = sheaf__token_id(t->vocab, t->tokens[i]);
    sheaf__sink_put(sink, ids[i]);
  }
  set[1] = set[0];
  set[0] =
      (sheaf__cached){at->low, at->high, {ids[0] | (uint32_t)count << 24, ids[1], ids[2], ids[3]}};
  return SHEAF_OK;
}

static inline int32_t encode_short(sheaf_tokenizer *t, const piece *at, sheaf__sink *sink) {
  sheaf__cached *set = &t->cache[2 * (size_t)at->place];
  if (set[0].low != at->low || set[0].high != at->high) {
    if (set[1].low != at->low || set[1].high != at->high) return encode_new_short(t, at, set, sink);
    sheaf__cached newer = set[1];
    set[1] = set[0];
    set[0] = newer;
  }
  put_cached(sink, set[0].ids, set[0].ids[0] >> 24);
  return SHEAF_OK;
}

/* ---- pieces of ASCII ---- */

/* How a piece may begin. */
enum {
  START_LETTER,
  START_PREFIX, /* may be a word's prefix */
  START_DIGIT,
  START_SPACE, /* a line break */
  START_BLANK, /* other white space, which may be a word's prefix, too */
  START_QUOTE
};

#define P START_PREFIX
#define D START_DIGIT
#define W START_SPACE
#define L START_LETTER
#define B START_BLANK
#define Q START_QUOTE
static const uint8_t start_of[128] = {
    P, P, P, P, P, P, P, P, P, B, W, B, B, W, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    B, P, P, P, P, P, P, Q, P, P, P, P, P, P, P, P, D, D, D, D, D, D, D, D, D, D, P, P, P, P, P, P,
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, P,
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, P,
};
#undef P
#undef D
#undef W
#undef L
#undef B
#undef Q

/* The bytes of white space at p that are a piece, or 0: look closer. */
static uint32_t space_piece(const sheaf__pattern *pattern, sheaf__sixteen v) {
  uint32_t run = sheaf__run_of(sheaf__space_mask(v));
  if (run > 15 || sheaf__wide_mask(v) >> run & 1) return 0;
  if (pattern->lines != SHEAF__LINES_NONE) {
    uint32_t lines = sheaf__newline_mask(v) & ((1u << run) - 1);
    if (lines) return 32 - (uint32_t)__builtin_clz(lines);
  }
  return run > 1 ? run - 1 : run;
}

/* The bytes of punctuation at p, behind so many bytes before it, that are a piece; or 0. */
static uint32_t punctuation_piece(const sheaf__pattern *pattern, sheaf__sixteen v,
                                  uint32_t before) {
  uint32_t others =
      sheaf__letter_mask(v) | sheaf__digit_mask(v) | sheaf__space_mask(v) | sheaf__wide_mask(v);
  uint32_t run = sheaf__run_of(~others >> before & 0xFFFF >> before) + before;
  if (run > 15 || sheaf__wide_mask(v) >> run & 1) return 0;
  if (pattern->tail_lines && sheaf__newline_mask(v) >> run & 1) return 0;
  return run;
}

/* The bytes of the piece at p, of which 16 may be read, if it has at most 15 and only ASCII decides
 * it; else 0. */
static inline uint32_t ascii_piece(const sheaf__pattern *pattern, const uint8_t *p) {
  if (*p >= 0x80 || pattern->whole) return 0;
  uint32_t start = start_of[*p], before = 1;
  if (start == START_QUOTE) return 0;
  sheaf__sixteen v = sheaf__sixteen_at(p);
  if (start == START_DIGIT) {
    uint32_t run = sheaf__run_of(sheaf__digit_mask(v));
    if (pattern->digits_max && run >= pattern->digits_max) return pattern->digits_max;
    return run > 15 || p[run] >= 0x80 ? 0 : run;
  }
  if (start == START_SPACE) return space_piece(pattern, v);
  if (start == START_LETTER) before = 0;
  uint32_t length;
  if (pattern->word == SHEAF__WORD_CASED) {
    uint32_t upper = sheaf__upper_mask(v) >> before, lower = sheaf__lower_mask(v) >> before;
    uint32_t capitals = sheaf__run_of(upper);
    length = before + capitals + sheaf__run_of(lower >> capitals);
  } else {
    if (pattern->word == SHEAF__WORD_SPACED && *p != ' ') {
      if (start == START_BLANK) return space_piece(pattern, v);
      if (start == START_PREFIX) return punctuation_piece(pattern, v, 0);
    }
    length = before + sheaf__run_of(sheaf__letter_mask(v) >> before);
  }
  if (length > before) {
    if (length > 15 || p[length] >= 0x80) return 0;
    if (p[length] == '\'' && pattern->shorts == SHEAF__SHORT_SUFFIX) return 0;
    return length;
  }
  if (p[1] >= 0x80) return 0;
  if (start == START_PREFIX) return punctuation_piece(pattern, v, 0);
  uint32_t next = start_of[p[1]];
  if (*p != ' ') return space_piece(pattern, v);
  if (next == START_PREFIX || next == START_QUOTE) return punctuation_piece(pattern, v, 1);
  if (next == START_DIGIT && pattern->digits_max == 0) return 0;
  return space_piece(pattern, v);
}

/* ---- text ---- */

/* Pieces are found a few at a time, so that what the caches hold of them is on its way from memory
 * while the next are found. */
enum { BATCH = 16 };

int32_t sheaf__encode_text(sheaf_tokenizer *t, const uint8_t *p, size_t bytes, sheaf__sink *sink) {
  const sheaf__pattern *pattern = t->vocab->pattern;
  const uint8_t *end = p + bytes;
  piece batch[BATCH];
  bool open = false;
  while (p < end && sink->count <= sink->limit) {
    size_t count = 0;
    for (; count < BATCH && p < end; count++) {
      piece *at = &batch[count];
      at->p = p;
      at->readable = (size_t)(end - p);
      at->bytes = at->readable >= 16 ? ascii_piece(pattern, p) : 0;
      if (at->bytes == 0) at->bytes = (size_t)(sheaf__scan(pattern, p, end, &open) - p);
      set_keys(t, at);
      p += at->bytes;
    }
    for (size_t i = 0; i < count; i++) {
      const piece *at = &batch[i];
      int32_t status = at->bytes <= SHEAF__CACHED_BYTES_MAX ? encode_short(t, at, sink)
                                                            : encode_long(t, at, sink);
      if (status != SHEAF_OK) return status;
    }
  }
  return SHEAF_OK;
}

int32_t sheaf__encode_valid(sheaf_tokenizer *t, const uint8_t *p, size_t bytes, sheaf__sink *sink) {
  if (!(t->vocab->flags & SHEAF__VOCAB_NFC) || sheaf__nfc_is_plain(p, bytes))
    return sheaf__encode_text(t, p, bytes, sink);
  int32_t status = make_normal_room(t, bytes);
  if (status != SHEAF_OK) return status;
  size_t normal_bytes = sheaf__nfc(p, bytes, t->points, t->normal);
  return sheaf__encode_text(t, t->normal, normal_bytes, sink);
}
