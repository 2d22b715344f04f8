/* merge.c: byte-pair merging in linear time.
 *
 * Merging by the book looks at pairs in the order of merges. The same result is found from left to
 * right: a row of tokens is what merging gives if and only if each is what merging gives for its
 * own bytes and so is each pair of neighbours (van Antwerpen and Neubeck, "So many tokens, so
 * little time", 2024, the idea of the Rust crate bpe). So: take the longest token; if it does not
 * stand beside the one before, a shorter one; if none is left, give back the one before, and
 * remember that its end is no place a row can reach. Each place is given back once at most.
 *
 * There is but one such row, so any order of trying finds it. In a run of one character the longest
 * tokens are no part of it as a rule: a long token that comes again is tried first, so that the right
 * size is looked for once in a run, not once a token.
 *
 * Whether two neighbours stand is found by taking both apart again, the later merge first, while
 * looking whether a merge across their border would have come before the one just undone.
 *
 * Taking apart needs merges in which a part comes before the whole; the criterion does not. So where
 * one of the two tokens is late (see vocab.h), merging by the book what both cover tells. */
#include "tokens/merge.h"

/* The bytes that two tokens of a piece cover at most. */
static size_t both_bytes_max(const sheaf_vocab *vocab, size_t bytes) {
  size_t most = 2 * (size_t)vocab->token_bytes_max;
  return bytes < most ? bytes : most;
}

/* A bit a place; and for merging by the book 5 words and a part, for which is one, a byte. */
size_t sheaf__merge_words(const sheaf_vocab *vocab, size_t bytes) {
  return bytes / 64 + 1 + (vocab->late ? 6 * both_bytes_max(vocab, bytes) : 0);
}

/* ---- whether two tokens stand side by side ---- */

static uint32_t join_pair(const void *ctx, uint32_t left, uint32_t right, const uint8_t *p,
                          size_t bytes) {
  (void)p, (void)bytes;
  return sheaf__pair_find(ctx, left, right);
}

static bool is_late(const sheaf_vocab *vocab, uint32_t token) {
  return vocab->late && vocab->late[token];
}

/* By the book; right's text begins at p, behind left's. */
static bool stands_late(const sheaf_vocab *vocab, uint32_t left, uint32_t right, const uint8_t *p,
                        uint64_t *words) {
  size_t left_bytes = sheaf__token_bytes(vocab, left);
  size_t bytes = left_bytes + sheaf__token_bytes(vocab, right);
  uint32_t *parts = (uint32_t *)(words + 5 * bytes);
  p -= left_bytes;
  for (size_t i = 0; i < bytes; i++) parts[i] = p[i];
  size_t count = sheaf__merge_plain(join_pair, vocab, p, bytes, parts, words, NULL);
  return count == 2 && parts[0] == left && parts[1] == right;
}

static bool stands(const sheaf_vocab *vocab, uint32_t left, uint32_t right) {
  uint32_t limit = SHEAF__NO_TOKEN;
  for (;;) {
    if (sheaf__pair_find(vocab, left, right) < limit) return false;
    if (left > right) {
      if (left < 256) return true;
      limit = left;
      left = vocab->halves[left].right;
    } else {
      if (right < 256) return true;
      limit = right + 1; /* of equal merges the left one comes first */
      right = vocab->halves[right].left;
    }
  }
}

/* Most pairs of neighbours come again soon, and taking them apart costs many look-ups far apart in
 * memory: so the answer is kept, with both tokens, in a memo that is overwritten freely. */
static bool stands_memo(const sheaf_vocab *vocab, uint32_t left, uint32_t right, const uint8_t *p,
                        uint64_t *memo, uint64_t *words) {
  uint64_t pair = (uint64_t)left << 32 | right, valid = (uint64_t)1 << 63, yes = (uint64_t)1 << 62;
  uint64_t *entry = &memo[pair * SHEAF__HASH_FACTOR >> (64 - SHEAF__MEMO_BITS)];
  if ((*entry & ~yes) != (pair | valid)) {
    bool answer = is_late(vocab, left) || is_late(vocab, right)
                      ? stands_late(vocab, left, right, p, words)
                      : stands(vocab, left, right);
    *entry = pair | valid | (answer ? yes : 0);
  }
  return *entry & yes;
}

/* The longest token that a token of more than one byte begins with, but for itself; p is where it
 * stands. It is the same wherever it stands, so it is kept, too. */
static uint32_t shorter(const sheaf_vocab *vocab, uint32_t token, const uint8_t *p, size_t readable,
                        uint64_t *memo) {
  uint64_t *entry = &memo[(1 << SHEAF__MEMO_BITS) + (token & ((1u << SHEAF__SHORTER_BITS) - 1))];
  if (*entry >> 32 == token) return (uint32_t)*entry;
  uint32_t bytes = sheaf__token_bytes(vocab, token) - 1;
  uint32_t found = sheaf__token_longest(vocab, p, bytes, readable);
  *entry = (uint64_t)token << 32 | found;
  return found;
}

static bool is_dead(const uint64_t *words, size_t at) {
  return words[at / 64] >> (at % 64) & 1;
}

/* What a file says whose checksum is right and whose merges contradict each other. */
static size_t single_bytes(const uint8_t *p, size_t bytes, uint32_t *tokens) {
  for (size_t i = 0; i < bytes; i++) tokens[i] = p[i];
  return bytes;
}

/* From so many bytes on a token is tried again first. */
enum { REPEATED_BYTES_MIN = 16 };

size_t sheaf__merge(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes, size_t readable,
                    uint32_t *tokens, uint64_t *words, uint64_t *memo) {
  uint64_t *more_words = words + bytes / 64 + 1;
  memset(words, 0, (bytes / 64 + 1) * sizeof *words);
  size_t at = 0, count = 0, length = 0; /* of the last token, or of the one that is tried */
  while (at < bytes) {
    bool again = length >= REPEATED_BYTES_MIN && length <= bytes - at &&
                 memcmp(p + at - length, p + at, length) == 0;
    uint32_t token =
        again ? tokens[count - 1] : sheaf__token_longest(vocab, p + at, bytes - at, readable - at);
    for (;;) {
      length = sheaf__token_bytes(vocab, token);
      if (!is_dead(words, at + length) &&
          (count == 0 || stands_memo(vocab, tokens[count - 1], token, p + at, memo, more_words))) {
        tokens[count++] = token;
        at += length;
        break;
      }
      while (length == 1) {
        if (count == 0) return single_bytes(p, bytes, tokens);
        words[at / 64] |= (uint64_t)1 << (at % 64);
        token = tokens[--count];
        length = sheaf__token_bytes(vocab, token);
        at -= length;
        /* It may have been tried before longer ones. */
        again = length >= REPEATED_BYTES_MIN && count > 0 && tokens[count - 1] == token;
      }
      token = again ? sheaf__token_longest(vocab, p + at, bytes - at, readable - at)
                    : shorter(vocab, token, p + at, readable - at, memo);
      again = false;
    }
  }
  return count;
}
