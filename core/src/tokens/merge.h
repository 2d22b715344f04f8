/* merge.h: byte-pair merging of one piece. */
#ifndef SHEAF_MERGE_H
#define SHEAF_MERGE_H

#include "tokens/vocab.h"

enum {
  SHEAF__MEMO_BITS = 15,
  SHEAF__SHORTER_BITS = 12,
  SHEAF__MEMO_WORDS = (1 << SHEAF__MEMO_BITS) + (1 << SHEAF__SHORTER_BITS)
};

/* Working memory for a piece, in 8-byte words. */
size_t sheaf__merge_words(const sheaf_vocab *vocab, size_t bytes);

/* The tokens that merging gives for a piece, which is not a token itself. tokens has room for one a
 * byte; words as many as sheaf__merge_words tells. readable: bytes that may be read at p. memo: of
 * SHEAF__MEMO_WORDS words, zero at first, kept from call to call. Returns how many tokens
 * there are. */
size_t sheaf__merge(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes, size_t readable,
                    uint32_t *tokens, uint64_t *words, uint64_t *memo);

/* ---- merging by the book (merge_plain.c) ---- */

/* The order of merging two neighbours, which is the new part's number as well; SHEAF__NO_TOKEN:
 * they do not merge. p, bytes: what both cover. */
typedef uint32_t (*sheaf__join_fn)(const void *ctx, uint32_t left, uint32_t right, const uint8_t *p,
                                   size_t bytes);

/* Merges the pair with the smallest order, the leftmost of equals, until none is left: n log n.
 * parts has one entry a byte, filled with the numbers of the single bytes, and is the result.
 * words: 5 a byte. last (may be NULL): the halves of the last merge. */
size_t sheaf__merge_plain(sheaf__join_fn join, const void *ctx, const uint8_t *p, size_t bytes,
                          uint32_t *parts, uint64_t *words, sheaf__halves *last);

#endif
