/* tokenizer.h: the working memory of encoding, and the ways through it. */
#ifndef SHEAF_TOKENIZER_H
#define SHEAF_TOKENIZER_H

#include "tokens/merge.h"
#include "tokens/nfc.h"
#include "tokens/split.h"
#include "tokens/vocab.h"

/* What the cache knows of a piece of up to 15 bytes: its bytes, their number in the highest byte,
 * and its ids, of which the first carries their number in the high byte. high 0: empty, since a
 * piece has a number of bytes. */
typedef struct sheaf__cached {
  uint64_t low;
  uint64_t high;
  uint32_t ids[4];
} sheaf__cached;

/* The same of a piece of 16 to 39 bytes, or of a shorter one with more ids; two lines of memory. */
typedef struct sheaf__cached_long {
  uint64_t words[5];
  uint32_t count;
  uint32_t ids[21];
} sheaf__cached_long;

enum {
  SHEAF__CACHE_BITS = 14, /* of the number of sets of two */
  SHEAF__CACHED_BYTES_MAX = 15,
  SHEAF__CACHED_IDS_MAX = 4,
  SHEAF__LONG_CACHE_BITS = 14,
  SHEAF__LONG_CACHED_BYTES_MAX = 39,
  SHEAF__LONG_CACHED_IDS_MAX = 21
};

struct sheaf_tokenizer {
  const sheaf_vocab *vocab;
  sheaf_allocator allocator;
  uint32_t *tokens;        /* of the piece at hand */
  uint64_t *words;         /* for merging it */
  size_t piece_bytes_max;  /* they have room for */
  uint32_t *points;        /* for normalizing */
  uint8_t *normal;         /* a text in form C */
  size_t normal_bytes_max; /* of a text they have room for */
  sheaf__cached *cache;    /* sets of two, the newer first, each in one line of 64 bytes */
  sheaf__cached_long *long_cache;
  uint64_t memo[SHEAF__MEMO_WORDS]; /* see merge.c */
  uint8_t cache_memory[(sizeof(sheaf__cached) << (SHEAF__CACHE_BITS + 1)) +
                       (sizeof(sheaf__cached_long) << SHEAF__LONG_CACHE_BITS) + 64];
};

/* Where ids go, and how many there are. */
typedef struct sheaf__sink {
  uint32_t *ids;
  size_t room;
  size_t count; /* may go on past room: then ids are only counted */
  size_t limit; /* stop when count is above it */
} sheaf__sink;

static inline void sheaf__sink_put(sheaf__sink *sink, uint32_t id) {
  if (sink->count < sink->room) sink->ids[sink->count] = id;
  sink->count++;
}

/* Frees what grew. */
void sheaf__tokenizer_release(sheaf_tokenizer *tokenizer);
/* The tokens of one piece, in tokenizer->tokens. SHEAF_E_NOMEM. */
int32_t sheaf__piece_tokens(sheaf_tokenizer *tokenizer, const uint8_t *p, size_t bytes,
                            size_t readable, size_t *count);
/* The bytes before the first that is not part of well-formed UTF-8. */
size_t sheaf__well_formed(const uint8_t *p, size_t bytes);
/* Whether a token is of spaces, tabs and line feeds alone. */
bool sheaf__is_blank(const sheaf_vocab *vocab, uint32_t token);
/* The ids of one piece, whatever its length. readable: bytes that may be read at p.
 * SHEAF_E_NOMEM. */
int32_t sheaf__encode_piece(sheaf_tokenizer *tokenizer, const uint8_t *p, size_t bytes,
                            size_t readable, sheaf__sink *sink);
/* The ids of text without specials: any bytes. SHEAF_E_NOMEM. Stops early above the sink's
 * limit. */
int32_t sheaf__encode_bytes(sheaf_tokenizer *tokenizer, const uint8_t *p, size_t bytes,
                            sheaf__sink *sink);
/* The same for well-formed text, which is normalized first where the vocabulary wants it. */
int32_t sheaf__encode_valid(sheaf_tokenizer *tokenizer, const uint8_t *p, size_t bytes,
                            sheaf__sink *sink);
/* The same where the text is ill-formed behind `valid`. The first blank_bytes are white-space
 * tokens that were put into the sink since it counted count_before; 0 where there are none. */
int32_t sheaf__encode_ill_formed(sheaf_tokenizer *tokenizer, const uint8_t *p, size_t bytes,
                                 size_t valid, size_t blank_bytes, size_t count_before,
                                 sheaf__sink *sink);
/* The same for well-formed text as it is. */
int32_t sheaf__encode_text(sheaf_tokenizer *tokenizer, const uint8_t *p, size_t bytes,
                           sheaf__sink *sink);

#endif
