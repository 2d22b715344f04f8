/* specials.c: special tokens: their texts in order, and finding them in a text.
 *
 * Outline: reading them from a file; sorting their texts (a heap sort: files are not trusted to be
 * sorted); the longest special at a place, found by narrowing the sorted row byte after byte; the
 * next special that a policy does not take for text. */
#include "tokens/vocab.h"

static const uint8_t *text_of(const sheaf_vocab *vocab, uint32_t place) {
  return vocab->special_text + vocab->specials[vocab->special_order[place]].offset;
}

static uint32_t bytes_of(const sheaf_vocab *vocab, uint32_t place) {
  return vocab->specials[vocab->special_order[place]].bytes;
}

static bool is_before(const sheaf_vocab *vocab, uint32_t a, uint32_t b) {
  const sheaf__special *left = &vocab->specials[a], *right = &vocab->specials[b];
  uint32_t bytes = left->bytes < right->bytes ? left->bytes : right->bytes;
  int order =
      memcmp(vocab->special_text + left->offset, vocab->special_text + right->offset, bytes);
  return order != 0 ? order < 0 : left->bytes < right->bytes;
}

static void sift_down(const sheaf_vocab *vocab, uint32_t *heap, uint32_t at, uint32_t count) {
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child >= count) return;
    if (child + 1 < count && is_before(vocab, heap[child], heap[child + 1])) child++;
    if (!is_before(vocab, heap[at], heap[child])) return;
    uint32_t moved = heap[at];
    heap[at] = heap[child];
    heap[child] = moved;
    at = child;
  }
}

static void sort_specials(sheaf_vocab *vocab) {
  uint32_t *order = vocab->special_order, count = vocab->special_count;
  for (uint32_t i = 0; i < count; i++) order[i] = i;
  for (uint32_t i = count / 2; i-- > 0;) sift_down(vocab, order, i, count);
  for (uint32_t left = count; left > 1;) {
    left--;
    uint32_t moved = order[0];
    order[0] = order[left];
    order[left] = moved;
    sift_down(vocab, order, 0, left);
  }
  uint32_t place = 0, kinds = 0;
  for (uint32_t byte = 0; byte < 256; byte++) {
    vocab->special_first[byte] = place;
    while (place < count && *text_of(vocab, place) == byte) place++;
    if (place == vocab->special_first[byte]) continue;
    vocab->special_byte = kinds++ == 0 ? (int32_t)byte : -1;
  }
  vocab->special_first[256] = place;
}

int32_t sheaf__specials_read(sheaf_vocab *vocab, const uint8_t *p, const uint8_t *end,
                             uint32_t count, const uint8_t **behind) {
  *behind = p;
  if (count == 0) return SHEAF_OK;
  if ((size_t)(end - p) / 7 < count) return SHEAF_E_CORRUPT;
  vocab->special_count = count;
  vocab->special_text_bytes = (size_t)(end - p);
  vocab->specials = sheaf__vocab_table(vocab, sizeof *vocab->specials * (uint64_t)count);
  vocab->special_order = sheaf__vocab_table(vocab, sizeof *vocab->special_order * (uint64_t)count);
  vocab->special_text = sheaf__vocab_table(vocab, vocab->special_text_bytes);
  if (!vocab->specials || !vocab->special_order || !vocab->special_text) return SHEAF_E_NOMEM;
  uint32_t offset = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (end - p < 6) return SHEAF_E_CORRUPT;
    uint32_t id = (uint32_t)sheaf__load_few((const char *)p, 4);
    uint32_t bytes = (uint32_t)p[4] | (uint32_t)p[5] << 8;
    p += 6;
    if (bytes == 0 || (size_t)(end - p) < bytes || id >= SHEAF_VOCAB_IDS_MAX ||
        (i > 0 && id < vocab->specials[i - 1].id))
      return SHEAF_E_CORRUPT;
    memcpy(vocab->special_text + offset, p, bytes);
    vocab->specials[i] = (sheaf__special){id, offset, bytes};
    offset += bytes;
    p += bytes;
    if (id >= vocab->id_end) vocab->id_end = id + 1;
  }
  sort_specials(vocab);
  *behind = p;
  return SHEAF_OK;
}

void sheaf__specials_free(sheaf_vocab *vocab) {
  const sheaf_allocator *allocator = &vocab->allocator;
  sheaf__free(allocator, vocab->specials, sizeof *vocab->specials * (size_t)vocab->special_count);
  sheaf__free(allocator, vocab->special_order,
              sizeof *vocab->special_order * (size_t)vocab->special_count);
  sheaf__free(allocator, vocab->special_text, vocab->special_text_bytes);
}

/* The first place from low on, below high, whose text has at least this byte at depth. */
static uint32_t narrow(const sheaf_vocab *vocab, uint32_t low, uint32_t high, uint32_t depth,
                       uint32_t byte) {
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (text_of(vocab, middle)[depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The place of the longest special that p begins with, or SHEAF__NO_TOKEN; cut: the text ended
 * where a longer one may go on. */
static uint32_t special_at(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes, bool *cut) {
  uint32_t low = vocab->special_first[p[0]], high = vocab->special_first[p[0] + 1];
  uint32_t best = SHEAF__NO_TOKEN;
  for (uint32_t depth = 1; low < high; depth++) {
    while (low < high && bytes_of(vocab, low) == depth) best = low++;
    if (low == high) break;
    if (depth == bytes) {
      *cut = true;
      break;
    }
    low = narrow(vocab, low, high, depth, p[depth]);
    high = narrow(vocab, low, high, depth, p[depth] + 1u);
  }
  return best;
}

int32_t sheaf__special_rule_of(const sheaf_special_policy *policy, sheaf__special_rule *rule) {
  *rule = (sheaf__special_rule){.others = SHEAF_SPECIAL_TEXT};
  if (!policy) return SHEAF_OK;
  if (policy->struct_bytes < sizeof *policy || policy->others > SHEAF_SPECIAL_REFUSE ||
      (policy->allowed_count > 0 && !policy->allowed))
    return SHEAF_E_MISUSE;
  *rule = (sheaf__special_rule){policy->others, policy->allowed, policy->allowed_count};
  return SHEAF_OK;
}

static uint32_t rule_for(const sheaf__special_rule *rule, uint32_t id) {
  if (rule->others == SHEAF_SPECIAL_ALLOW) return SHEAF_SPECIAL_ALLOW;
  for (size_t i = 0; i < rule->allowed_count; i++)
    if (rule->allowed[i] == id) return SHEAF_SPECIAL_ALLOW;
  return rule->others;
}

/* The next place where a special may begin. */
static size_t next_first(const sheaf_vocab *vocab, const uint8_t *text, size_t bytes, size_t at) {
  if (vocab->special_byte >= 0) {
    const uint8_t *hit = at < bytes ? memchr(text + at, vocab->special_byte, bytes - at) : NULL;
    return hit ? (size_t)(hit - text) : bytes;
  }
  while (at < bytes && vocab->special_first[text[at]] == vocab->special_first[text[at] + 1]) at++;
  return at;
}

sheaf__special_hit sheaf__special_next(const sheaf_vocab *vocab, const sheaf__special_rule *rule,
                                       const uint8_t *text, size_t bytes, size_t offset) {
  sheaf__special_hit hit = {.offset = bytes, .open = bytes};
  if (vocab->special_count == 0 || (rule->others == SHEAF_SPECIAL_TEXT && rule->allowed_count == 0))
    return hit;
  for (size_t at = offset; (at = next_first(vocab, text, bytes, at)) < bytes; at++) {
    bool cut = false;
    uint32_t place = special_at(vocab, text + at, bytes - at, &cut);
    if (cut && at < hit.open) hit.open = at;
    if (place == SHEAF__NO_TOKEN) continue;
    const sheaf__special *special = &vocab->specials[vocab->special_order[place]];
    uint32_t verdict = rule_for(rule, special->id);
    if (verdict == SHEAF_SPECIAL_TEXT) continue;
    hit.offset = at;
    hit.bytes = special->bytes;
    hit.id = special->id;
    hit.refused = verdict == SHEAF_SPECIAL_REFUSE;
    break;
  }
  return hit;
}

int32_t sheaf_tokens_refused(const sheaf_vocab *vocab, sheaf_slice text,
                             const sheaf_special_policy *policy, size_t *offset, uint32_t *id) {
  sheaf__special_rule rule;
  int32_t status = sheaf__special_rule_of(policy, &rule);
  if (status != SHEAF_OK) return status;
  if (rule.others != SHEAF_SPECIAL_REFUSE) return SHEAF_E_NOT_FOUND;
  const uint8_t *bytes = (const uint8_t *)text.data;
  for (size_t at = 0; at < text.bytes;) {
    sheaf__special_hit hit = sheaf__special_next(vocab, &rule, bytes, text.bytes, at);
    if (hit.bytes == 0) break;
    if (hit.refused) {
      *offset = hit.offset;
      *id = hit.id;
      return SHEAF_OK;
    }
    at = hit.offset + hit.bytes;
  }
  return SHEAF_E_NOT_FOUND;
}

int32_t sheaf_vocab_special(const sheaf_vocab *vocab, uint32_t index,
                            sheaf_special_token *special) {
  if (index >= vocab->special_count) return SHEAF_E_END;
  const sheaf__special *found = &vocab->specials[index];
  special->text.data = (const char *)vocab->special_text + found->offset;
  special->text.bytes = found->bytes;
  special->id = found->id;
  return SHEAF_OK;
}
