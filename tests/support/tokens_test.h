/* tokens_test.h: a small vocabulary made on the spot, and byte-pair merging as it is defined, for
 * tests of the tokenizer. */
#ifndef TOKENS_TEST_H
#define TOKENS_TEST_H

#include <sheaf/tokens.h>

#include <stdlib.h>
#include <string.h>

enum { SMALL_TOKENS_MAX = 1024, SMALL_TEXT_MAX = 4096 };

/* Tokens in order of rank; the first 256 are the single bytes, from 0 on. */
typedef struct small_vocab {
  const uint8_t *token[SMALL_TOKENS_MAX];
  size_t bytes[SMALL_TOKENS_MAX];
  uint32_t count;
  uint8_t store[1 << 16];
  size_t stored;
} small_vocab;

static const char small_text[] =
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind.\n\n    if (x > 0) {\n"
    "        return x + 1;\n    }\nfor the fox's tokens there are other tokens: 123, 4567 and "
    "890.\n"
    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8\xd1\x80! "
    "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c\xe3\x80\x82\xe4\xbd\xa0\xe5\xa5"
    "\xbd"
    " caf\xc3\xa9 na\xc3\xafve \xf0\x9f\x98\x80\xf0\x9f\x98\x80 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    "                                        ---------------- don't we'll they're I'm you've "
    "he'd\n";

static inline void small_add(small_vocab *v, const uint8_t *p, size_t bytes) {
  memcpy(v->store + v->stored, p, bytes);
  v->token[v->count] = v->store + v->stored;
  v->bytes[v->count++] = bytes;
  v->stored += bytes;
}

static inline uint32_t small_find(const small_vocab *v, const uint8_t *p, size_t bytes) {
  for (uint32_t i = 0; i < v->count; i++)
    if (v->bytes[i] == bytes && memcmp(v->token[i], p, bytes) == 0) return i;
  return UINT32_MAX;
}

/* Training as byte-pair encoding is defined: again and again the commonest pair becomes a token; of
 * equals the smallest. */
static inline void small_train(small_vocab *v, uint32_t merges) {
  static uint32_t parts[sizeof small_text];
  static uint16_t pairs[SMALL_TOKENS_MAX][SMALL_TOKENS_MAX];
  v->count = 0;
  v->stored = 0;
  for (uint32_t i = 0; i < 256; i++) {
    uint8_t byte = (uint8_t)i;
    small_add(v, &byte, 1);
  }
  size_t count = sizeof small_text - 1;
  for (size_t i = 0; i < count; i++) parts[i] = (uint8_t)small_text[i];
  for (uint32_t made = 0; made < merges; made++) {
    memset(pairs, 0, sizeof pairs);
    uint32_t left = 0, right = 0;
    for (size_t i = 0; i + 1 < count; i++) {
      uint32_t a = parts[i], b = parts[i + 1];
      uint16_t n = ++pairs[a][b], most = pairs[left][right];
      if (n > most || (n == most && (a < left || (a == left && b < right)))) left = a, right = b;
    }
    uint8_t text[256];
    size_t bytes = v->bytes[left] + v->bytes[right];
    if (bytes > sizeof text) break;
    memcpy(text, v->token[left], v->bytes[left]);
    memcpy(text + v->bytes[left], v->token[right], v->bytes[right]);
    if (small_find(v, text, bytes) == UINT32_MAX) small_add(v, text, bytes);
    uint32_t token = small_find(v, text, bytes);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
      bool joins = i + 1 < count && parts[i] == left && parts[i + 1] == right;
      parts[kept++] = joins ? token : parts[i];
      i += joins;
    }
    count = kept;
  }
}

/* Merging as it is defined, by looking at every pair each time: the measure for everything else. */
static inline size_t small_merge(const small_vocab *v, const uint8_t *p, size_t bytes,
                                 uint32_t *tokens) {
  size_t begins[SMALL_TEXT_MAX + 1], count = bytes;
  for (size_t i = 0; i <= bytes; i++) begins[i] = i;
  for (;;) {
    uint32_t best = UINT32_MAX;
    size_t place = 0;
    for (size_t i = 0; i + 1 < count; i++) {
      uint32_t rank = small_find(v, p + begins[i], begins[i + 2] - begins[i]);
      if (rank < best) best = rank, place = i;
    }
    if (best == UINT32_MAX) break;
    memmove(begins + place + 1, begins + place + 2, (count - place - 1) * sizeof *begins);
    count--;
  }
  for (size_t i = 0; i < count; i++)
    tokens[i] = small_find(v, p + begins[i], begins[i + 1] - begins[i]);
  return count;
}

/* A line of a `.tiktoken` file. */
static inline void small_rank(const uint8_t *token, size_t bytes, uint32_t rank, sheaf_buf *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < bytes; at += 3) {
    uint32_t word = 0, have = 0;
    for (size_t k = 0; k < 3; k++) {
      word <<= 8;
      if (at + k < bytes) word |= token[at + k], have++;
    }
    for (uint32_t k = 0; k < 4; k++)
      sheaf_buf_append(out, k <= have ? &digits[word >> (18 - 6 * k) & 63] : "=", 1);
  }
  sheaf_buf_append_text(out, " ");
  sheaf_buf_append_u64(out, rank);
  sheaf_buf_append_text(out, "\n");
}

/* The lines of a `.tiktoken` file. */
static inline void small_ranks(const small_vocab *v, sheaf_buf *out) {
  for (uint32_t i = 0; i < v->count; i++) small_rank(v->token[i], v->bytes[i], i, out);
}

static const sheaf_special_token small_specials[] = {
    {{"<|end|>", 7}, 2000}, {{"<|end|>again", 12}, 2001}, {{"<|start|>", 9}, 2005}};

/* The bytes of a vocabulary file with this pattern and the specials above. */
static inline int32_t small_build(const small_vocab *v, const char *pattern, sheaf_buf *out) {
  sheaf_buf ranks;
  sheaf_buf_init(&ranks, out->allocator, SIZE_MAX);
  small_ranks(v, &ranks);
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  spec.name = sheaf_slice_of("small");
  spec.pattern = sheaf_slice_of(pattern);
  spec.specials = small_specials;
  spec.special_count = 3;
  int32_t status = ranks.status == SHEAF_OK
                       ? sheaf_vocab_build(sheaf_buf_slice(&ranks), &spec, out, NULL)
                       : ranks.status;
  sheaf_buf_deinit(&ranks);
  return status;
}

/* check.h's CHECK_TEXT with sanitizers makes gcc 12 warn of the memcmp that it believes in. */
static inline bool small_is(sheaf_slice slice, const char *text) {
  size_t bytes = strlen(text);
  if (slice.bytes != bytes) return false;
  for (size_t i = 0; i < bytes; i++)
    if (slice.data[i] != text[i]) return false;
  return true;
}

static inline void *small_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes > 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}
static const sheaf_allocator small_heap = {small_realloc, NULL};

#endif
