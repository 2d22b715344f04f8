/* late.c: opening a vocabulary with late tokens (see vocab.h).
 *
 * No training gives such merges, but lists made from ranks have them in places: of Llama 3's tokens
 * 81 have a part that comes later in the order of merges. Merging does not mind. But to make a
 * token's text its parts' texts must be there; so merges are put in an order in which they are. */
#include "tokens/vocab_fill.h"

#define IS_OPEN 0xFFFFFFFFu /* instead of a size: its parts are being looked at */

/* A part whose size is not known yet; the token itself if there is none. */
static uint32_t unknown_part(const sheaf_vocab *vocab, const uint32_t *sizes, uint32_t token) {
  sheaf__halves halves = vocab->halves[token];
  if (sizes[halves.left] == 0) return halves.left;
  return sizes[halves.right] == 0 ? halves.right : token;
}

/* The size of a token both of whose parts have one, and whether it is late. */
static int32_t settle(sheaf_vocab *vocab, uint32_t *sizes, uint32_t token) {
  uint32_t left = vocab->halves[token].left, right = vocab->halves[token].right;
  if (sizes[left] == IS_OPEN || sizes[right] == IS_OPEN) return SHEAF_E_CORRUPT; /* a circle */
  uint32_t bytes = sizes[left] + sizes[right];
  if (bytes > SHEAF_VOCAB_TOKEN_BYTES_MAX) return SHEAF_E_CORRUPT;
  bool has_later = left > token || right > token;
  vocab->late[token] = has_later || vocab->late[left] || vocab->late[right];
  sizes[token] = bytes;
  return SHEAF_OK;
}

/* A token is either in order, which grows from the front, or waits at its end for its parts. */
static int32_t put_in_order(sheaf_vocab *vocab, uint32_t *sizes, uint32_t *order) {
  uint32_t room = vocab->merge_end - 256, waiting = room, done = 0;
  for (uint32_t first = 256; first < vocab->merge_end; first++) {
    if (sizes[first] > 0) continue;
    for (uint32_t token = first;;) {
      uint32_t part = unknown_part(vocab, sizes, token);
      if (sizes[token] == 0) {
        sizes[token] = IS_OPEN;
        order[--waiting] = token;
      } else if (part != token) {
        token = part;
      } else {
        int32_t status = settle(vocab, sizes, token);
        if (status != SHEAF_OK) return status;
        waiting++;
        order[done++] = token;
        if (waiting == room) break;
        token = order[waiting];
      }
    }
  }
  return SHEAF_OK;
}

static int32_t put_offsets(sheaf_vocab *vocab, const uint32_t *sizes) {
  for (uint32_t i = 256; i < vocab->merge_end; i++) {
    if (vocab->offsets[i] > SHEAF__VOCAB_TEXT_MAX - sizes[i]) return SHEAF_E_CORRUPT;
    vocab->offsets[i + 1] = vocab->offsets[i] + sizes[i];
    if (sizes[i] > vocab->token_bytes_max) vocab->token_bytes_max = sizes[i];
  }
  return SHEAF_OK;
}

int32_t sheaf__fill_late_merges(sheaf_vocab *vocab, const sheaf__planes *planes, uint32_t *order) {
  for (uint32_t i = 0; i < planes->count; i++) {
    uint32_t left = sheaf__plane_at(planes->left, planes->count, i);
    uint32_t right = sheaf__plane_at(planes->right, planes->count, i);
    if (left >= vocab->merge_end || right >= vocab->merge_end) return SHEAF_E_CORRUPT;
    vocab->halves[256 + i] = (sheaf__halves){left, right};
  }
  size_t size_bytes = sizeof(uint32_t) * (size_t)vocab->merge_end;
  uint32_t *sizes = sheaf__alloc_zero(&vocab->allocator, size_bytes);
  vocab->late = sheaf__vocab_table(vocab, vocab->merge_end);
  int32_t status = sizes && vocab->late ? SHEAF_OK : SHEAF_E_NOMEM;
  if (status == SHEAF_OK) {
    memset(vocab->late, 0, vocab->merge_end);
    for (uint32_t i = 0; i < 256; i++) sizes[i] = 1;
    status = put_in_order(vocab, sizes, order);
  }
  if (status == SHEAF_OK) status = put_offsets(vocab, sizes);
  sheaf__free(&vocab->allocator, sizes, size_bytes);
  return status;
}

void sheaf__fill_late_text(sheaf_vocab *vocab, const uint32_t *order) {
  for (uint32_t i = 0; i < vocab->merge_end - 256; i++) {
    uint32_t token = order[i];
    sheaf__halves halves = vocab->halves[token];
    uint32_t left_bytes = sheaf__token_bytes(vocab, halves.left);
    uint8_t *to = vocab->text + vocab->offsets[token];
    memcpy(to, vocab->text + vocab->offsets[halves.left], left_bytes);
    memcpy(to + left_bytes, vocab->text + vocab->offsets[halves.right],
           sheaf__token_bytes(vocab, halves.right));
  }
}
