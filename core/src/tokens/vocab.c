/* vocab.c: what can be asked of a vocabulary: tokens by their bytes, longest matches, ids, bytes of
 * ids. */
#include "tokens/vocab.h"

uint32_t sheaf__long_find(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes) {
  uint64_t hash = sheaf__long_hash(p, bytes);
  uint32_t tag = sheaf__long_tag(hash);
  for (uint32_t at = sheaf__long_place(vocab, hash);;
       at = sheaf__line_behind(at, vocab->long_count)) {
    const sheaf__long_line *line = &vocab->longs[at];
    uint32_t like = sheaf__words_like(line->tags, UINT32_MAX, tag);
    for (; like; like &= like - 1) {
      uint32_t token = line->tokens[__builtin_ctz(like)];
      if (sheaf__token_bytes(vocab, token) == bytes &&
          memcmp(vocab->text + vocab->offsets[token], p, bytes) == 0)
        return token;
    }
    if (line->used <= SHEAF__LONG_LINE) return SHEAF__NO_TOKEN;
  }
}

/* One of 16 << level bytes and more. */
static uint32_t longest_16(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes_max,
                           uint32_t level) {
  size_t step = (size_t)1 << level, least = 16 * step;
  if (bytes_max < least || level >= vocab->hint16_levels) return SHEAF__NO_TOKEN;
  uint32_t hint = vocab->hint16[sheaf__hint16_at(level, sheaf__long_hash(p, least))];
  if (hint & SHEAF__HINT16_LONGER) {
    uint32_t token = longest_16(vocab, p, bytes_max, level + 1);
    if (token != SHEAF__NO_TOKEN) return token;
  }
  for (uint32_t group = 16; group-- > 0;) {
    if (!(hint >> group & 1)) continue;
    for (size_t bytes = least + (group + 1) * step; bytes-- > least + group * step;) {
      if (bytes > bytes_max) continue;
      uint32_t token = sheaf__long_find(vocab, p, bytes);
      if (token < vocab->merge_end) return token;
    }
  }
  return SHEAF__NO_TOKEN;
}

/* One of 8 bytes and more, which low is the first 8 of. */
static uint32_t longest_8(const sheaf_vocab *vocab, const uint8_t *p, uint64_t low,
                          size_t bytes_max, size_t readable) {
  uint32_t hint = vocab->hint8[sheaf__hint8_at(low)];
  if (hint == 0) return SHEAF__NO_TOKEN;
  if (hint & SHEAF__HINT8_LONGER && bytes_max >= 16) {
    uint32_t token = longest_16(vocab, p, bytes_max, 0);
    if (token != SHEAF__NO_TOKEN) return token;
  }
  uint32_t most = bytes_max < 15 ? (uint32_t)bytes_max - 8 : 7;
  uint64_t word = sheaf__load_upto(p + 8, most, readable - 8);
  for (uint32_t more = most + 1; more-- > 0;) {
    if (!(hint >> more & 1)) continue;
    uint64_t high = more ? word & UINT64_MAX >> (64 - 8 * more) : 0;
    uint32_t token = sheaf__middle_find(vocab, low, sheaf__short_key(high, 8 + more));
    if (token < vocab->merge_end) return token;
  }
  return SHEAF__NO_TOKEN;
}

uint32_t sheaf__token_longest(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes_max,
                              size_t readable) {
  uint64_t word = sheaf__load_upto(p, bytes_max < 8 ? bytes_max : 8, readable);
  if (bytes_max >= 4) {
    uint32_t hint = vocab->hint4[sheaf__hint4_at((uint32_t)word)];
    if (hint & SHEAF__HINT4_LONGER && bytes_max >= 8) {
      uint32_t token = longest_8(vocab, p, word, bytes_max, readable);
      if (token != SHEAF__NO_TOKEN) return token;
    }
    for (size_t bytes = bytes_max < 7 ? bytes_max : 7; bytes >= 4; bytes--) {
      if (!(hint >> (bytes - 4) & 1)) continue;
      uint64_t key = sheaf__short_key(word & UINT64_MAX >> (64 - 8 * bytes), bytes);
      uint32_t token = sheaf__short_find(vocab, key);
      if (token < vocab->merge_end) return token;
    }
  }
  if (bytes_max < 2) return p[0];
  uint32_t hint = vocab->hint2[word & 0xFFFF];
  if (hint & 2 && bytes_max >= 3) {
    uint32_t token = sheaf__short_find(vocab, sheaf__short_key(word & 0xFFFFFF, 3));
    if (token < vocab->merge_end) return token;
  }
  if (hint & 1) {
    uint32_t token = sheaf__short_find(vocab, sheaf__short_key(word & 0xFFFF, 2));
    if (token < vocab->merge_end) return token;
  }
  return p[0];
}

const char *sheaf_vocab_name(const sheaf_vocab *vocab) {
  return vocab->name;
}

uint32_t sheaf_vocab_size(const sheaf_vocab *vocab) {
  return vocab->id_end;
}

size_t sheaf_vocab_memory(const sheaf_vocab *vocab) {
  return vocab->memory_bytes;
}

/* The number of an id's token, or SHEAF__NO_TOKEN. */
static uint32_t number_of(const sheaf_vocab *vocab, uint32_t id) {
  if (id >= vocab->id_end) return SHEAF__NO_TOKEN;
  if (vocab->numbers) return vocab->numbers[id];
  if (id < 256) return vocab->byte_numbers[id];
  return id < vocab->token_end ? id : SHEAF__NO_TOKEN;
}

/* Specials are in order of ids. */
static const sheaf__special *special_of(const sheaf_vocab *vocab, uint32_t id) {
  uint32_t low = 0, high = vocab->special_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (vocab->specials[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  bool found = low < vocab->special_count && vocab->specials[low].id == id;
  return found ? &vocab->specials[low] : NULL;
}

int32_t sheaf_vocab_token(const sheaf_vocab *vocab, uint32_t id, sheaf_slice *text) {
  uint32_t token = number_of(vocab, id);
  if (token != SHEAF__NO_TOKEN) {
    text->data = (const char *)vocab->text + vocab->offsets[token];
    text->bytes = sheaf__token_bytes(vocab, token);
    return SHEAF_OK;
  }
  const sheaf__special *special = special_of(vocab, id);
  if (!special) return SHEAF_E_NOT_FOUND;
  text->data = (const char *)vocab->special_text + special->offset;
  text->bytes = special->bytes;
  return SHEAF_OK;
}

int32_t sheaf_vocab_id(const sheaf_vocab *vocab, sheaf_slice text, uint32_t *id) {
  if (text.bytes == 0) return SHEAF_E_NOT_FOUND;
  const uint8_t *p = (const uint8_t *)text.data;
  for (uint32_t i = 0; i < vocab->special_count; i++) {
    const sheaf__special *special = &vocab->specials[i];
    if (special->bytes != text.bytes ||
        memcmp(vocab->special_text + special->offset, p, text.bytes) != 0)
      continue;
    *id = special->id;
    return SHEAF_OK;
  }
  uint32_t token = sheaf__token_find(vocab, p, text.bytes, text.bytes);
  if (token == SHEAF__NO_TOKEN) return SHEAF_E_NOT_FOUND;
  *id = sheaf__token_id(vocab, token);
  return SHEAF_OK;
}

int32_t sheaf_tokens_decode(const sheaf_vocab *vocab, const uint32_t *ids, size_t count,
                            sheaf_buf *out) {
  if (out->status != SHEAF_OK) return out->status;
  size_t before = out->bytes;
  int32_t status = SHEAF_OK;
  for (size_t i = 0; i < count && status == SHEAF_OK; i++) {
    sheaf_slice text;
    status = sheaf_vocab_token(vocab, ids[i], &text);
    if (status == SHEAF_OK) status = sheaf_buf_append_slice(out, text);
  }
  if (status != SHEAF_OK) out->bytes = before;
  return status;
}
