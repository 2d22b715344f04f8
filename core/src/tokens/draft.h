/* draft.h: a vocabulary while it is built: tokens with their bytes and ids, and what merging makes
 * of each. */
#ifndef SHEAF_DRAFT_H
#define SHEAF_DRAFT_H

#include <sheaf/buf.h>

#include "tokens/merge.h"
#include "tokens/vocab.h"

typedef struct sheaf__draft {
  const sheaf_allocator *allocator;
  sheaf_parse_error *error; /* NULL: nobody asks */
  uint32_t flags;
  uint32_t pattern;
  uint32_t count;    /* tokens */
  uint32_t room;     /* of the arrays below */
  sheaf_buf text;    /* the tokens' bytes */
  uint32_t *offsets; /* count + 1 */
  uint32_t *ids;
  uint32_t *orders;      /* which merge makes it; SHEAF__NO_TOKEN: none does */
  sheaf__halves *halves; /* the tokens it is made of */
  uint32_t *slots;       /* tokens by hash of their bytes, + 1; 0: empty */
  uint32_t slot_count;
  uint32_t bytes[256]; /* the tokens of the single bytes */

  sheaf_buf specials; /* in no order: u32 id, u16 bytes, and the bytes */
  uint32_t special_count;
} sheaf__draft;

void sheaf__draft_init(sheaf__draft *draft, const sheaf_allocator *allocator,
                       sheaf_parse_error *error);
void sheaf__draft_deinit(sheaf__draft *draft);

/* Fails with a status, a place in the source and a sentence; answers the status. */
int32_t sheaf__draft_fail(sheaf__draft *draft, int32_t status, size_t offset, const char *message);

/* Room for so many tokens, once. */
int32_t sheaf__draft_reserve(sheaf__draft *draft, size_t tokens);
/* The token whose bytes were appended to draft->text since the last; SHEAF_E_LIMIT, SHEAF_E_RANGE,
 * SHEAF_E_NOMEM. */
int32_t sheaf__draft_add(sheaf__draft *draft, uint32_t id, size_t offset);
/* Puts the tokens in order of ids. Before index. SHEAF_E_NOMEM. */
int32_t sheaf__draft_sort(sheaf__draft *draft);
/* Makes find work. SHEAF_E_FIELD: a text or id twice, or a single byte is missing;
 * SHEAF_E_NOMEM. */
int32_t sheaf__draft_index(sheaf__draft *draft);
/* The token with these bytes, or SHEAF__NO_TOKEN. */
uint32_t sheaf__draft_find(const sheaf__draft *draft, const uint8_t *p, size_t bytes);
int32_t sheaf__draft_special(sheaf__draft *draft, sheaf_slice text, uint32_t id);

/* Merges the bytes of each token by the book and notes how it came about. byte_part: the part
 * number of a single byte's token. token_of: the token of a part. SHEAF_E_NOMEM. in_order is false
 * if a part was made by a later merge than the whole. */
int32_t sheaf__draft_merge(sheaf__draft *draft, sheaf__join_fn join, const void *ctx,
                           const uint32_t byte_parts[256],
                           uint32_t (*token_of)(const void *ctx, uint32_t part), bool *in_order);

/* Ascending; a heap sort. */
void sheaf__sort(uint64_t *numbers, size_t count);

int32_t sheaf__draft_read_ranks(sheaf__draft *draft, sheaf_slice source);
int32_t sheaf__draft_read_json(sheaf__draft *draft, sheaf_slice source);
/* Appends the file. */
int32_t sheaf__draft_write(const sheaf__draft *draft, sheaf_slice name, sheaf_buf *out);

#endif
