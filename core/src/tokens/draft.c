/* draft.c: tokens while a vocabulary is built.
 *
 * Outline: memory; adding, sorting, finding; special tokens; merging each token's own bytes, which
 * shows by which last merge it comes about, if any. */
#include "tokens/draft.h"

#define TEXT_BYTES_MAX ((size_t)1 << 28)

void sheaf__draft_init(sheaf__draft *draft, const sheaf_allocator *allocator,
                       sheaf_parse_error *error) {
  *draft = (sheaf__draft){.allocator = allocator, .error = error};
  sheaf_buf_init(&draft->text, allocator, TEXT_BYTES_MAX);
  sheaf_buf_init(&draft->specials, allocator, TEXT_BYTES_MAX);
}

static void release(sheaf__draft *draft) {
  const sheaf_allocator *allocator = draft->allocator;
  size_t room = draft->room;
  sheaf__free(allocator, draft->offsets, (room + 1) * sizeof *draft->offsets);
  sheaf__free(allocator, draft->ids, room * sizeof *draft->ids);
  sheaf__free(allocator, draft->orders, room * sizeof *draft->orders);
  sheaf__free(allocator, draft->halves, room * sizeof *draft->halves);
}

void sheaf__draft_deinit(sheaf__draft *draft) {
  release(draft);
  sheaf__free(draft->allocator, draft->slots, draft->slot_count * sizeof *draft->slots);
  sheaf_buf_deinit(&draft->text);
  sheaf_buf_deinit(&draft->specials);
}

int32_t sheaf__draft_fail(sheaf__draft *draft, int32_t status, size_t offset, const char *message) {
  if (draft->error)
    *draft->error = (sheaf_parse_error){.status = status, .offset = offset, .message = message};
  return status;
}

int32_t sheaf__draft_reserve(sheaf__draft *draft, size_t tokens) {
  if (tokens >= SHEAF_VOCAB_IDS_MAX - 256)
    return sheaf__draft_fail(draft, SHEAF_E_LIMIT, 0, "The vocabulary has too many tokens.");
  uint32_t room = (uint32_t)tokens;
  draft->offsets = sheaf__alloc(draft->allocator, ((size_t)room + 1) * sizeof *draft->offsets);
  draft->ids = sheaf__alloc(draft->allocator, (size_t)room * sizeof *draft->ids);
  draft->orders = sheaf__alloc(draft->allocator, (size_t)room * sizeof *draft->orders);
  draft->halves = sheaf__alloc(draft->allocator, (size_t)room * sizeof *draft->halves);
  draft->room = room;
  if (!draft->offsets || !draft->ids || !draft->orders || !draft->halves) return SHEAF_E_NOMEM;
  draft->offsets[0] = 0;
  return SHEAF_OK;
}

int32_t sheaf__draft_add(sheaf__draft *draft, uint32_t id, size_t offset) {
  if (draft->text.status != SHEAF_OK) return draft->text.status;
  size_t bytes = draft->text.bytes - draft->offsets[draft->count];
  if (id >= SHEAF_VOCAB_IDS_MAX)
    return sheaf__draft_fail(draft, SHEAF_E_RANGE, offset, "An id is 2^24 or more.");
  if (bytes == 0) return sheaf__draft_fail(draft, SHEAF_E_FIELD, offset, "A token has no bytes.");
  if (bytes > SHEAF_VOCAB_TOKEN_BYTES_MAX)
    return sheaf__draft_fail(draft, SHEAF_E_LIMIT, offset, "A token is longer than 65,535 bytes.");
  uint32_t token = draft->count++;
  draft->ids[token] = id;
  draft->orders[token] = SHEAF__NO_TOKEN;
  draft->halves[token] = (sheaf__halves){0, 0};
  draft->offsets[token + 1] = (uint32_t)draft->text.bytes;
  return SHEAF_OK;
}

static void sift(uint64_t *heap, size_t at, size_t count) {
  uint64_t moved = heap[at];
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && heap[child] < heap[child + 1]) child++;
    if (heap[child] <= moved) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

void sheaf__sort(uint64_t *numbers, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift(numbers, i, count);
  for (size_t left = count; left > 1;) {
    left--;
    uint64_t most = numbers[0];
    numbers[0] = numbers[left];
    numbers[left] = most;
    sift(numbers, 0, left);
  }
}

int32_t sheaf__draft_sort(sheaf__draft *draft) {
  size_t count = draft->count;
  uint32_t i = 1;
  while (i < count && draft->ids[i] > draft->ids[i - 1]) i++;
  if (i >= count) return SHEAF_OK;
  size_t bytes = count * sizeof(uint64_t);
  uint64_t *keys = sheaf__alloc(draft->allocator, bytes);
  if (!keys) return SHEAF_E_NOMEM;
  for (i = 0; i < count; i++) keys[i] = (uint64_t)draft->ids[i] << 32 | i;
  sheaf__sort(keys, count);
  sheaf__draft old = *draft;
  sheaf_buf_init(&draft->text, draft->allocator, TEXT_BYTES_MAX);
  draft->offsets = draft->ids = draft->orders = NULL;
  draft->halves = NULL;
  draft->count = 0;
  int32_t status = sheaf__draft_reserve(draft, old.room);
  for (i = 0; i < count && status == SHEAF_OK; i++) {
    uint32_t from = (uint32_t)keys[i];
    sheaf_buf_append(&draft->text, old.text.data + old.offsets[from],
                     old.offsets[from + 1] - old.offsets[from]);
    status = sheaf__draft_add(draft, old.ids[from], 0);
  }
  sheaf__free(draft->allocator, keys, bytes);
  release(&old);
  sheaf_buf_deinit(&old.text);
  return status;
}

static uint64_t hash_of(const uint8_t *p, size_t bytes) {
  uint64_t hash = bytes >= 8 ? sheaf__long_hash(p, bytes)
                             : sheaf__short_key(sheaf__load_few((const char *)p, bytes), bytes);
  return hash * SHEAF__HASH_FACTOR >> 32;
}

static uint32_t slot_at(const sheaf__draft *draft, const uint8_t *p, size_t bytes) {
  uint32_t at = (uint32_t)(hash_of(p, bytes) * draft->slot_count >> 32);
  for (;; at = at + 1 == draft->slot_count ? 0 : at + 1) {
    uint32_t token = draft->slots[at];
    if (token == 0) return at;
    uint32_t offset = draft->offsets[token - 1];
    if (draft->offsets[token] - offset == bytes && memcmp(draft->text.data + offset, p, bytes) == 0)
      return at;
  }
}

uint32_t sheaf__draft_find(const sheaf__draft *draft, const uint8_t *p, size_t bytes) {
  return draft->slots[slot_at(draft, p, bytes)] - 1; /* an empty slot: SHEAF__NO_TOKEN */
}

int32_t sheaf__draft_index(sheaf__draft *draft) {
  draft->slot_count = draft->count * 2 + 16;
  draft->slots = sheaf__alloc_zero(draft->allocator, draft->slot_count * sizeof *draft->slots);
  if (!draft->slots) return SHEAF_E_NOMEM;
  for (uint32_t i = 0; i < draft->count; i++) {
    const uint8_t *p = (const uint8_t *)draft->text.data + draft->offsets[i];
    uint32_t at = slot_at(draft, p, draft->offsets[i + 1] - draft->offsets[i]);
    if (draft->slots[at] || (i > 0 && draft->ids[i] == draft->ids[i - 1]))
      return sheaf__draft_fail(draft, SHEAF_E_FIELD, 0, "Two tokens have the same text or id.");
    draft->slots[at] = i + 1;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint8_t text = (uint8_t)byte;
    draft->bytes[byte] = sheaf__draft_find(draft, &text, 1);
    if (draft->bytes[byte] == SHEAF__NO_TOKEN)
      return sheaf__draft_fail(draft, SHEAF_E_FIELD, 0, "One of the 256 single bytes is no token.");
  }
  return SHEAF_OK;
}

int32_t sheaf__draft_special(sheaf__draft *draft, sheaf_slice text, uint32_t id) {
  if (id >= SHEAF_VOCAB_IDS_MAX)
    return sheaf__draft_fail(draft, SHEAF_E_RANGE, 0, "A special token's id is 2^24 or more.");
  if (text.bytes == 0 || text.bytes > SHEAF_VOCAB_TOKEN_BYTES_MAX)
    return sheaf__draft_fail(draft, SHEAF_E_LIMIT, 0, "A special token is empty or too long.");
  uint8_t head[6] = {(uint8_t)id,         (uint8_t)(id >> 8),  (uint8_t)(id >> 16),
                     (uint8_t)(id >> 24), (uint8_t)text.bytes, (uint8_t)(text.bytes >> 8)};
  sheaf_buf_append(&draft->specials, head, sizeof head);
  sheaf_buf_append_slice(&draft->specials, text);
  draft->special_count++;
  return draft->specials.status;
}

static uint32_t longest_of(const sheaf__draft *draft) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < draft->count; i++) {
    uint32_t bytes = draft->offsets[i + 1] - draft->offsets[i];
    if (bytes > most) most = bytes;
  }
  return most;
}

int32_t sheaf__draft_merge(sheaf__draft *draft, sheaf__join_fn join, const void *ctx,
                           const uint32_t byte_parts[256],
                           uint32_t (*token_of)(const void *ctx, uint32_t part), bool *in_order) {
  size_t most = longest_of(draft), part_bytes = most * sizeof(uint32_t);
  uint32_t *parts = sheaf__alloc(draft->allocator, part_bytes);
  uint64_t *words = sheaf__alloc(draft->allocator, 5 * most * sizeof *words);
  *in_order = true;
  bool enough = parts && words;
  for (uint32_t i = 0; enough && i < draft->count; i++) {
    const uint8_t *p = (const uint8_t *)draft->text.data + draft->offsets[i];
    size_t bytes = draft->offsets[i + 1] - draft->offsets[i];
    if (bytes == 1) continue;
    for (size_t k = 0; k < bytes; k++) parts[k] = byte_parts[p[k]];
    sheaf__halves last = {0, 0};
    if (sheaf__merge_plain(join, ctx, p, bytes, parts, words, &last) != 1) continue;
    sheaf__halves made = {token_of(ctx, last.left), token_of(ctx, last.right)};
    draft->orders[i] = parts[0];
    draft->halves[i] = made;
    for (uint32_t side = 0; side < 2; side++) {
      uint32_t token = side ? made.right : made.left, part = side ? last.right : last.left;
      bool is_byte = draft->offsets[token + 1] - draft->offsets[token] == 1;
      if (!is_byte && part > parts[0]) *in_order = false;
    }
  }
  sheaf__free(draft->allocator, parts, part_bytes);
  sheaf__free(draft->allocator, words, 5 * most * sizeof *words);
  return enough ? SHEAF_OK : SHEAF_E_NOMEM;
}
