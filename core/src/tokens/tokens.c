/* tokens.c: encoding and counting as others call it.
 *
 * Outline: tokenizers; text with bytes that are no UTF-8; text between specials; one text; many. */
#include "tokens/tokenizer.h"

int32_t sheaf_tokenizer_new(const sheaf_vocab *vocab, const sheaf_allocator *allocator,
                            sheaf_tokenizer **tokenizer) {
  if (!vocab || !allocator || !tokenizer) return SHEAF_E_MISUSE;
  sheaf_tokenizer *t = sheaf__alloc_zero(allocator, sizeof *t);
  if (!t) return SHEAF_E_NOMEM;
  t->vocab = vocab;
  t->allocator = *allocator;
  size_t ahead = (64 - (uintptr_t)t->cache_memory % 64) % 64;
  t->cache = (void *)(t->cache_memory + ahead);
  t->long_cache = (void *)(t->cache + ((size_t)2 << SHEAF__CACHE_BITS));
  *tokenizer = t;
  return SHEAF_OK;
}

void sheaf_tokenizer_free(sheaf_tokenizer *tokenizer) {
  if (!tokenizer) return;
  sheaf__tokenizer_release(tokenizer);
  sheaf_allocator allocator = tokenizer->allocator;
  sheaf__free(&allocator, tokenizer, sizeof *tokenizer);
}

size_t sheaf_tokens_room(const sheaf_vocab *vocab, size_t text_bytes) {
  return vocab->flags & SHEAF__VOCAB_NFC ? SHEAF__NFC_GROWTH * text_bytes : text_bytes;
}

/* ---- bytes that are no UTF-8 ---- */

size_t sheaf__well_formed(const uint8_t *p, size_t bytes) {
  const char *at = (const char *)p, *end = at + bytes;
  for (;;) {
    while (end - at >= 8 && !(sheaf__load8(at) & SHEAF__HIGHS)) at += 8;
    while (at < end && (uint8_t)*at < 0x80) at++;
    if (at == end) return bytes;
    const char *behind = sheaf__skip_utf8(at, end);
    if (behind == at) return (size_t)(at - (const char *)p);
    at = behind;
  }
}

bool sheaf__is_blank(const sheaf_vocab *vocab, uint32_t token) {
  const uint8_t *p = vocab->text + vocab->offsets[token];
  for (uint32_t i = 0; i < sheaf__token_bytes(vocab, token); i++)
    if (p[i] != ' ' && p[i] != '\n' && p[i] != '\t') return false;
  return true;
}

/* A place between two tokens. */
typedef struct spot {
  size_t offset;
  size_t count;
} spot;

/* `_encode_bytes` of tiktoken: the last piece before the ill-formed byte goes with what follows,
 * and if it begins with a white-space token so do the white-space tokens before it. */
int32_t sheaf__encode_ill_formed(sheaf_tokenizer *t, const uint8_t *p, size_t bytes, size_t valid,
                                 size_t blank_bytes, size_t count_before, sheaf__sink *sink) {
  spot blanks = {0, count_before}; /* where the white-space tokens before `at` begin */
  spot cut = blanks;
  bool open = false;
  for (size_t at = blank_bytes; at < valid;) {
    size_t piece = (size_t)(sheaf__scan(t->vocab->pattern, p + at, p + valid, &open) - (p + at));
    size_t count;
    int32_t status = sheaf__piece_tokens(t, p + at, piece, bytes - at, &count);
    if (status != SHEAF_OK) return status;
    cut = sheaf__is_blank(t->vocab, t->tokens[0]) ? blanks : (spot){at, sink->count};
    for (size_t i = 0; i < count; i++) {
      sheaf__sink_put(sink, sheaf__token_id(t->vocab, t->tokens[i]));
      at += sheaf__token_bytes(t->vocab, t->tokens[i]);
      if (!sheaf__is_blank(t->vocab, t->tokens[i])) blanks = (spot){at, sink->count};
    }
  }
  sink->count = cut.count;
  return sheaf__encode_piece(t, p + cut.offset, bytes - cut.offset, bytes - cut.offset, sink);
}

int32_t sheaf__encode_bytes(sheaf_tokenizer *t, const uint8_t *p, size_t bytes, sheaf__sink *sink) {
  size_t valid = sheaf__well_formed(p, bytes);
  if (valid == bytes) return sheaf__encode_valid(t, p, bytes, sink);
  return sheaf__encode_ill_formed(t, p, bytes, valid, 0, sink->count, sink);
}

/* ---- one text ---- */

static int32_t encode_all(sheaf_tokenizer *t, sheaf_slice text, const sheaf_special_policy *policy,
                          sheaf__sink *sink) {
  sheaf__special_rule rule;
  int32_t status = sheaf__special_rule_of(policy, &rule);
  if (status != SHEAF_OK) return status;
  if (text.bytes > SHEAF_TOKEN_TEXT_BYTES_MAX) return SHEAF_E_TOO_LONG;
  const uint8_t *p = (const uint8_t *)text.data;
  for (size_t at = 0; at < text.bytes;) {
    sheaf__special_hit hit = sheaf__special_next(t->vocab, &rule, p, text.bytes, at);
    if (hit.refused) return SHEAF_E_FIELD;
    status = sheaf__encode_bytes(t, p + at, hit.offset - at, sink);
    if (status != SHEAF_OK || sink->count > sink->limit) return status;
    if (hit.bytes > 0) sheaf__sink_put(sink, hit.id);
    at = hit.offset + hit.bytes;
  }
  return SHEAF_OK;
}

int32_t sheaf_tokens_encode(sheaf_tokenizer *tokenizer, sheaf_slice text,
                            const sheaf_special_policy *policy, uint32_t *ids, size_t room,
                            size_t *count) {
  if (!tokenizer || !count || (!ids && room > 0)) return SHEAF_E_MISUSE;
  sheaf__sink sink = {ids, room, 0, SIZE_MAX};
  int32_t status = encode_all(tokenizer, text, policy, &sink);
  if (status != SHEAF_OK) return status;
  *count = sink.count;
  return sink.count > room ? SHEAF_E_FULL : SHEAF_OK;
}

int32_t sheaf_tokens_count(sheaf_tokenizer *tokenizer, sheaf_slice text,
                           const sheaf_special_policy *policy, size_t limit, size_t *count) {
  if (!tokenizer || !count) return SHEAF_E_MISUSE;
  sheaf__sink sink = {NULL, 0, 0, limit};
  int32_t status = encode_all(tokenizer, text, policy, &sink);
  if (status != SHEAF_OK) return status;
  *count = sink.count;
  return sink.count > limit ? SHEAF_E_LIMIT : SHEAF_OK;
}

/* ---- many texts ---- */

int32_t sheaf_tokens_encode_many(sheaf_tokenizer *tokenizer, const sheaf_slice *texts,
                                 size_t text_count, const sheaf_special_policy *policy,
                                 uint32_t *ids, size_t room, size_t *ends, int32_t *statuses) {
  if (!tokenizer || (text_count > 0 && (!texts || !ends)) || (!ids && room > 0))
    return SHEAF_E_MISUSE;
  int32_t first = SHEAF_OK;
  size_t end = 0;
  bool full = false;
  for (size_t i = 0; i < text_count; i++) {
    int32_t status = SHEAF_E_FULL;
    size_t count = 0;
    if (!full)
      status = sheaf_tokens_encode(tokenizer, texts[i], policy, ids ? ids + end : NULL, room - end,
                                   &count);
    full = status == SHEAF_E_FULL;
    if (status == SHEAF_OK) end += count;
    ends[i] = end;
    if (statuses) statuses[i] = status;
    if (first == SHEAF_OK) first = status;
  }
  return first;
}

int32_t sheaf_tokens_count_many(sheaf_tokenizer *tokenizer, const sheaf_slice *texts,
                                size_t text_count, const sheaf_special_policy *policy,
                                size_t *counts, int32_t *statuses) {
  if (!tokenizer || (text_count > 0 && (!texts || !counts))) return SHEAF_E_MISUSE;
  int32_t first = SHEAF_OK;
  for (size_t i = 0; i < text_count; i++) {
    counts[i] = 0;
    int32_t status = sheaf_tokens_count(tokenizer, texts[i], policy, SIZE_MAX, &counts[i]);
    if (statuses) statuses[i] = status;
    if (first == SHEAF_OK) first = status;
  }
  return first;
}
