/* vocab_fill.c: a vocabulary's tables out of what its file says.
 *
 * Outline: the merges' halves; the tokens' bytes; the slots of their tables; pairs; hints. Each
 * takes a portion of the tokens at a time: see vocab_open.c.
 *
 * Where in a table something goes is as good as random, so a few are known ahead, and memory is
 * asked for before it is needed. Tables are filled one after another, so that each has the
 * processor's caches for itself. */
#include "tokens/vocab_fill.h"

enum { AHEAD = 32 };

/* ---- what the file says ---- */

int32_t sheaf__fill_merges(sheaf_vocab *vocab, const sheaf__planes *planes, uint32_t begin,
                           uint32_t end) {
  uint32_t *offsets = vocab->offsets;
  for (uint32_t token = begin; token < end; token++) {
    uint32_t left = sheaf__plane_at(planes->left, planes->count, token - 256);
    uint32_t right = sheaf__plane_at(planes->right, planes->count, token - 256);
    if (left >= token || right >= token) return SHEAF_E_CORRUPT;
    vocab->halves[token] = (sheaf__halves){left, right};
    uint32_t bytes = sheaf__token_bytes(vocab, left) + sheaf__token_bytes(vocab, right);
    if (bytes > SHEAF_VOCAB_TOKEN_BYTES_MAX || offsets[token] > SHEAF__VOCAB_TEXT_MAX - bytes)
      return SHEAF_E_CORRUPT;
    offsets[token + 1] = offsets[token] + bytes;
    if (bytes > vocab->token_bytes_max) vocab->token_bytes_max = bytes;
  }
  return SHEAF_OK;
}

/* Sixteen bytes at a time, where some too many do no harm: what is behind `to` is not written yet.
 * A token's parts lie before it, so that no byte is written before it was read. */
static void copy_loosely(uint8_t *to, const uint8_t *from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 16) {
    uint64_t first, second;
    memcpy(&first, from + at, 8);
    memcpy(&second, from + at + 8, 8);
    memcpy(to + at, &first, 8);
    memcpy(to + at + 8, &second, 8);
  }
}

static void copy_merge(sheaf_vocab *vocab, uint32_t token) {
  sheaf__halves halves = vocab->halves[token];
  uint32_t left = vocab->offsets[halves.left], right = vocab->offsets[halves.right];
  uint32_t left_bytes = vocab->offsets[halves.left + 1] - left;
  uint8_t *to = vocab->text + vocab->offsets[token];
  copy_loosely(to, vocab->text + left, left_bytes);
  copy_loosely(to + left_bytes, vocab->text + right, vocab->offsets[halves.right + 1] - right);
}

void sheaf__fill_text(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; i++) {
    if (i + AHEAD < vocab->merge_end) {
      __builtin_prefetch(vocab->text + vocab->offsets[vocab->halves[i + AHEAD].left]);
      __builtin_prefetch(vocab->text + vocab->offsets[vocab->halves[i + AHEAD].right]);
    }
    copy_merge(vocab, i);
  }
}

/* ---- tokens by their bytes ---- */

static void add_short(sheaf_vocab *vocab, uint64_t key, uint32_t token) {
  uint32_t at = sheaf__short_place(vocab, key);
  while (vocab->shorts[at].token != SHEAF__NO_TOKEN) at = at + 1 == vocab->short_count ? 0 : at + 1;
  vocab->shorts[at] = (sheaf__short_slot){{(uint32_t)key, (uint32_t)(key >> 32)}, token};
}

static void add_middle(sheaf_vocab *vocab, uint64_t low, uint64_t high, uint32_t token) {
  uint32_t at = sheaf__middle_place(vocab, low, high);
  while (vocab->middles[at].token != SHEAF__NO_TOKEN)
    at = at + 1 == vocab->middle_count ? 0 : at + 1;
  vocab->middles[at] = (sheaf__middle_slot){
      {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}, token};
}

static void add_long(sheaf_vocab *vocab, const uint8_t *p, size_t bytes, uint32_t token) {
  uint64_t hash = sheaf__long_hash(p, bytes);
  uint32_t at = sheaf__place_of(hash, vocab->long_count);
  while (vocab->longs[at].token != SHEAF__NO_TOKEN) at = at + 1 == vocab->long_count ? 0 : at + 1;
  vocab->longs[at] = (sheaf__long_slot){(uint32_t)hash, token};
}

/* At most AHEAD of them. */
static void fill_few(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  uint64_t lows[AHEAD], highs[AHEAD];
  for (uint32_t i = begin; i < end; i++) {
    const uint8_t *p = vocab->text + vocab->offsets[i];
    size_t bytes = sheaf__token_bytes(vocab, i);
    uint64_t low = sheaf__load_upto(p, bytes < 8 ? bytes : 8, 8), high = 0;
    if (bytes < 8) {
      low = sheaf__short_key(low, bytes);
      __builtin_prefetch(&vocab->shorts[sheaf__short_place(vocab, low)], 1);
    } else if (bytes < 16) {
      high = sheaf__short_key(sheaf__load_upto(p + 8, bytes - 8, 8), bytes);
      __builtin_prefetch(&vocab->middles[sheaf__middle_place(vocab, low, high)], 1);
    }
    lows[i - begin] = low;
    highs[i - begin] = high;
  }
  for (uint32_t i = begin; i < end; i++) {
    size_t bytes = sheaf__token_bytes(vocab, i);
    if (bytes < 8)
      add_short(vocab, lows[i - begin], i);
    else if (bytes < 16)
      add_middle(vocab, lows[i - begin], highs[i - begin], i);
    else
      add_long(vocab, vocab->text + vocab->offsets[i], bytes, i);
  }
}

void sheaf__fill_slots(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  for (; begin < end; begin += AHEAD)
    fill_few(vocab, begin, end - begin < AHEAD ? end : begin + AHEAD);
}

/* ---- merges by their halves ---- */

static void add_pair(sheaf_vocab *vocab, uint32_t token, uint64_t hash) {
  uint32_t at = sheaf__pair_place(vocab, hash);
  while (vocab->pairs[at]) at = at + 1 == vocab->pair_count ? 0 : at + 1;
  vocab->pairs[at] = token | ((uint32_t)hash >> 24) << 24;
}

void sheaf__fill_pairs(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; i++) {
    if (i + AHEAD < vocab->merge_end) {
      sheaf__halves ahead = vocab->halves[i + AHEAD];
      uint64_t hash = sheaf__pair_hash(ahead.left, ahead.right);
      __builtin_prefetch(&vocab->pairs[sheaf__pair_place(vocab, hash)], 1);
    }
    add_pair(vocab, i, sheaf__pair_hash(vocab->halves[i].left, vocab->halves[i].right));
  }
}

/* ---- hints ---- */

static void add_long_hints(sheaf_vocab *vocab, const uint8_t *p, size_t bytes) {
  uint32_t level = 0;
  for (size_t d = 16; d <= bytes; d *= 2, level++) {
    uint32_t *hint = &vocab->hint16[sheaf__hint16_at(level, sheaf__long_hash(p, d))];
    *hint |= bytes >= 2 * d ? (uint32_t)SHEAF__HINT16_LONGER : 1u << ((bytes - d) * 16 / d);
  }
}

static void add_hints(sheaf_vocab *vocab, const uint8_t *p, size_t bytes, uint64_t word) {
  uint8_t *two = &vocab->hint2[word & 0xFFFF];
  if (bytes < 4) {
    *two |= (uint8_t)(1u << (bytes - 2));
    return;
  }
  uint8_t *four = &vocab->hint4[sheaf__hint4_at((uint32_t)word)];
  if (bytes < 8) {
    *four |= (uint8_t)(1u << (bytes - 4));
    return;
  }
  *four |= SHEAF__HINT4_LONGER;
  uint16_t *eight = &vocab->hint8[sheaf__hint8_at(word)];
  *eight |= (uint16_t)(bytes < 16 ? 1u << (bytes - 8) : SHEAF__HINT8_LONGER);
  if (bytes >= 16) add_long_hints(vocab, p, bytes);
}

void sheaf__fill_hints(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; i++) {
    const uint8_t *p = vocab->text + vocab->offsets[i];
    add_hints(vocab, p, sheaf__token_bytes(vocab, i), sheaf__load(p));
  }
}
