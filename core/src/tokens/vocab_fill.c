/* vocab_fill.c: a vocabulary's tables out of what its file says.
 *
 * Outline: the merges' halves; the tokens' bytes; the lines of their tables; hints; pairs. Each
 * takes a portion of the tokens at a time: see vocab_open.c.
 *
 * Where in a table something goes is as good as random, so memory is asked for before it is needed:
 * for all of a portion. And nothing that comes in no order decides a branch: a portion is sorted
 * out by the tokens' sizes first. */
#include "tokens/vocab_fill.h"

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
  for (uint32_t i = begin; i < end; i++) copy_merge(vocab, i);
}

/* ---- tokens by their bytes ---- */

/* The tokens of a portion that have 2 and 3, 4 to 7, 8 to 15, or more bytes. */
typedef struct group {
  uint32_t count;
  uint32_t tokens[SHEAF__VOCAB_PORTION];
} group;
enum { GROUP_2, GROUP_4, GROUP_8, GROUP_16, GROUPS };

static void sort_out(const sheaf_vocab *vocab, uint32_t begin, uint32_t end, group *groups) {
  for (uint32_t i = 0; i < GROUPS; i++) groups[i].count = 0;
  for (uint32_t i = begin; i < end; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, i);
    group *g = &groups[(bytes >= 4) + (bytes >= 8) + (bytes >= 16)];
    g->tokens[g->count++] = i;
  }
}

static void add_short(sheaf_vocab *vocab, uint32_t at, uint64_t key, uint32_t token) {
  sheaf__short_line *line = &vocab->shorts[at];
  while (line->used >= SHEAF__SHORT_LINE) {
    line->used = SHEAF__SHORT_LINE + 1;
    at = sheaf__line_behind(at, vocab->short_count);
    line = &vocab->shorts[at];
  }
  line->keys[line->used] = key;
  line->tokens[line->used++] = token;
}

static void fill_shorts(sheaf_vocab *vocab, const group *g) {
  uint64_t keys[SHEAF__VOCAB_PORTION];
  uint32_t places[SHEAF__VOCAB_PORTION];
  for (uint32_t i = 0; i < g->count; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, g->tokens[i]);
    const uint8_t *p = vocab->text + vocab->offsets[g->tokens[i]];
    keys[i] = sheaf__short_key(sheaf__load_upto(p, bytes, 8), bytes);
    places[i] = sheaf__short_place(vocab, keys[i]);
    __builtin_prefetch(&vocab->shorts[places[i]], 1);
  }
  for (uint32_t i = 0; i < g->count; i++) add_short(vocab, places[i], keys[i], g->tokens[i]);
}

static void add_middle(sheaf_vocab *vocab, uint32_t at, uint64_t low, uint64_t high,
                       uint32_t token) {
  sheaf__middle_line *line = &vocab->middles[at];
  while (line->used >= SHEAF__MIDDLE_LINE) {
    line->used = SHEAF__MIDDLE_LINE + 1;
    at = sheaf__line_behind(at, vocab->middle_count);
    line = &vocab->middles[at];
  }
  line->low[line->used] = low;
  line->high[line->used] = high;
  line->tokens[line->used++] = token;
}

static void fill_middles(sheaf_vocab *vocab, const group *g) {
  uint64_t lows[SHEAF__VOCAB_PORTION], highs[SHEAF__VOCAB_PORTION];
  uint32_t places[SHEAF__VOCAB_PORTION];
  for (uint32_t i = 0; i < g->count; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, g->tokens[i]);
    const uint8_t *p = vocab->text + vocab->offsets[g->tokens[i]];
    lows[i] = sheaf__load(p);
    highs[i] = sheaf__short_key(sheaf__load_upto(p + 8, bytes - 8, 8), bytes);
    places[i] = sheaf__middle_place(vocab, lows[i], highs[i]);
    __builtin_prefetch(&vocab->middles[places[i]], 1);
  }
  for (uint32_t i = 0; i < g->count; i++)
    add_middle(vocab, places[i], lows[i], highs[i], g->tokens[i]);
}

static void add_long(sheaf_vocab *vocab, uint32_t at, uint32_t tag, uint32_t token) {
  sheaf__long_line *line = &vocab->longs[at];
  while (line->used >= SHEAF__LONG_LINE) {
    line->used = SHEAF__LONG_LINE + 1;
    at = sheaf__line_behind(at, vocab->long_count);
    line = &vocab->longs[at];
  }
  line->tags[line->used] = tag;
  line->tokens[line->used++] = token;
}

static void fill_longs(sheaf_vocab *vocab, const group *g) {
  uint32_t tags[SHEAF__VOCAB_PORTION], places[SHEAF__VOCAB_PORTION];
  for (uint32_t i = 0; i < g->count; i++) {
    const uint8_t *p = vocab->text + vocab->offsets[g->tokens[i]];
    uint64_t hash = sheaf__long_hash(p, sheaf__token_bytes(vocab, g->tokens[i]));
    tags[i] = sheaf__long_tag(hash);
    places[i] = sheaf__long_place(vocab, hash);
    __builtin_prefetch(&vocab->longs[places[i]], 1);
  }
  for (uint32_t i = 0; i < g->count; i++) add_long(vocab, places[i], tags[i], g->tokens[i]);
}

/* ---- hints ---- */

static void hint_2(sheaf_vocab *vocab, const group *g) {
  for (uint32_t i = 0; i < g->count; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, g->tokens[i]);
    uint64_t word = sheaf__load(vocab->text + vocab->offsets[g->tokens[i]]);
    vocab->hint2[word & 0xFFFF] |= (uint8_t)(1u << (bytes - 2));
  }
}

static void hint_4(sheaf_vocab *vocab, const group *g) {
  for (uint32_t i = 0; i < g->count; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, g->tokens[i]);
    uint64_t word = sheaf__load(vocab->text + vocab->offsets[g->tokens[i]]);
    vocab->hint4[sheaf__hint4_at((uint32_t)word)] |= (uint8_t)(1u << (bytes - 4));
  }
}

/* Of those of 8 to 15 bytes, and of those of more. */
static void hint_8(sheaf_vocab *vocab, const group *g) {
  for (uint32_t i = 0; i < g->count; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, g->tokens[i]);
    uint64_t word = sheaf__load(vocab->text + vocab->offsets[g->tokens[i]]);
    vocab->hint4[sheaf__hint4_at((uint32_t)word)] |= SHEAF__HINT4_LONGER;
    uint32_t hint = bytes < 16 ? 1u << (bytes - 8) : SHEAF__HINT8_LONGER;
    vocab->hint8[sheaf__hint8_at(word)] |= (uint16_t)hint;
  }
}

static void hint_16(sheaf_vocab *vocab, const group *g) {
  for (uint32_t i = 0; i < g->count; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, g->tokens[i]), level = 0;
    const uint8_t *p = vocab->text + vocab->offsets[g->tokens[i]];
    for (size_t d = 16; d <= bytes; d *= 2, level++) {
      uint32_t *hint = &vocab->hint16[sheaf__hint16_at(level, sheaf__long_hash(p, d))];
      *hint |= bytes >= 2 * d ? (uint32_t)SHEAF__HINT16_LONGER : 1u << ((bytes - d) * 16 / d);
    }
  }
}

void sheaf__fill_lines(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  group groups[GROUPS];
  sort_out(vocab, begin, end, groups);
  fill_shorts(vocab, &groups[GROUP_2]);
  fill_shorts(vocab, &groups[GROUP_4]);
  fill_middles(vocab, &groups[GROUP_8]);
  fill_longs(vocab, &groups[GROUP_16]);
  if (begin >= vocab->merge_end) return;
  hint_2(vocab, &groups[GROUP_2]);
  hint_4(vocab, &groups[GROUP_4]);
  hint_8(vocab, &groups[GROUP_8]);
  hint_8(vocab, &groups[GROUP_16]);
  hint_16(vocab, &groups[GROUP_16]);
}

/* ---- merges by their halves ---- */

static void add_pair(sheaf_vocab *vocab, uint32_t at, uint32_t slot) {
  sheaf__pair_line *line = &vocab->pairs[at];
  while (line->used >= SHEAF__PAIR_LINE) {
    line->used = SHEAF__PAIR_LINE + 1;
    at = sheaf__line_behind(at, vocab->pair_count);
    line = &vocab->pairs[at];
  }
  line->slots[line->used++] = slot;
}

void sheaf__fill_pairs(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  uint32_t slots[SHEAF__VOCAB_PORTION], places[SHEAF__VOCAB_PORTION], count = end - begin;
  for (uint32_t i = 0; i < count; i++) {
    sheaf__halves halves = vocab->halves[begin + i];
    uint64_t hash = sheaf__pair_hash(halves.left, halves.right);
    slots[i] = (begin + i) | sheaf__pair_tag(hash);
    places[i] = sheaf__pair_place(vocab, hash);
    __builtin_prefetch(&vocab->pairs[places[i]], 1);
  }
  for (uint32_t i = 0; i < count; i++) add_pair(vocab, places[i], slots[i]);
}
