/* vocab_fill.h: filling the tables of a vocabulary, for the tokens from begin to before end, which
 * are at least 256 and come in order. */
#ifndef SHEAF_VOCAB_FILL_H
#define SHEAF_VOCAB_FILL_H

#include "tokens/vocab.h"

#define SHEAF__VOCAB_TEXT_MAX ((uint32_t)1 << 28) /* bytes of all tokens */

enum { SHEAF__VOCAB_PORTION = 256 }; /* of tokens: from begin to end at most so many */

/* The merges of a file, as they stand there. */
typedef struct sheaf__planes {
  const uint8_t *left;
  const uint8_t *right;
  uint32_t count;
} sheaf__planes;

static inline uint32_t sheaf__plane_at(const uint8_t *planes, size_t count, size_t i) {
  return (uint32_t)planes[i] | (uint32_t)planes[count + i] << 8 |
         (uint32_t)planes[2 * count + i] << 16;
}

/* Halves, offsets, and the longest token. SHEAF_E_CORRUPT. */
int32_t sheaf__fill_merges(sheaf_vocab *vocab, const sheaf__planes *planes, uint32_t begin,
                           uint32_t end);

/* For what merges make: their bytes, after those of the bytes; pairs. */
void sheaf__fill_text(sheaf_vocab *vocab, uint32_t begin, uint32_t end);
void sheaf__fill_pairs(sheaf_vocab *vocab, uint32_t begin, uint32_t end);
/* Where there are late tokens (late.c): the same, of all merges; late, too. order has room for as
 * many numbers as there are merges: an order in which parts come before their wholes. SHEAF_E_CORRUPT,
 * SHEAF_E_NOMEM. */
int32_t sheaf__fill_late_merges(sheaf_vocab *vocab, const sheaf__planes *planes, uint32_t *order);
void sheaf__fill_late_text(sheaf_vocab *vocab, const uint32_t *order);

/* For what merges make, and for literals, not both at once: the lines that find them by their
 * bytes; and hints, which are for merges alone. */
void sheaf__fill_lines(sheaf_vocab *vocab, uint32_t begin, uint32_t end);

#endif
