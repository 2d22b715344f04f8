/* sim_tokens.c: tokens: by the vocabulary of the model's encoding where --vocab gave one, else four bytes each.
 *
 * A model that is not OpenAI's is counted by o200k_base: nobody publishes the tokenizers of the others. Which vocabularies
 * are there is seen when they are first needed; without one for a model its tokens are estimated. */
#include "sim_int.h"

#include <sheaf/vocab_files.h>

#include <stdlib.h>
#include <string.h>

#define TOKENIZERS_MAX 16u

struct sim_tokenizers {
  sheaf_vocab_shelf *shelf;
  const char *names[TOKENIZERS_MAX]; /* of encodings; static */
  const sheaf_vocab *vocabs[TOKENIZERS_MAX];
  sheaf_tokenizer *known[TOKENIZERS_MAX]; /* NULL: its vocabulary is not there */
  uint32_t count;
  sheaf_buf scratch;
  sheaf_buf ids;
};

uint64_t sheaf__sim_tokens(uint64_t text_bytes) {
  return text_bytes ? text_bytes / 4 + (text_bytes % 4 != 0) : 1;
}

int32_t sheaf__sim_tokenizers_open(sim_tokenizers **out, const char *given) {
  sim_tokenizers *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return SHEAF_E_NOMEM;
  sheaf_buf_init(&fresh->scratch, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_init(&fresh->ids, &sheaf__sim_allocator, SIM_REPLY_MAX);
  *out = fresh;
  return sheaf_vocab_shelf_new(given, &fresh->shelf);
}

void sheaf__sim_tokenizers_close(sim_tokenizers *gone) {
  if (!gone) return;
  for (uint32_t i = 0; i < gone->count; i++) sheaf_tokenizer_free(gone->known[i]);
  sheaf_vocab_shelf_free(gone->shelf);
  sheaf_buf_deinit(&gone->scratch);
  sheaf_buf_deinit(&gone->ids);
  free(gone);
}

/* The place of the call's encoding; TOKENIZERS_MAX: estimate. Names of encodings are static. */
static uint32_t place_of(const sim_call *call) {
  sim_tokenizers *all = call->world->tokenizers;
  if (!all) return TOKENIZERS_MAX;
  const char *name = sheaf_encoding_of_model(call->asked.model, NULL);
  uint32_t at = 0;
  while (at < all->count && strcmp(all->names[at], name) != 0) at++;
  if (at == TOKENIZERS_MAX) return at;
  if (at == all->count) {
    char message[512];
    all->names[all->count++] = name;
    if (sheaf_vocab_shelf_get(all->shelf, sheaf_slice_of(name), &all->vocabs[at], message,
                              sizeof message) == SHEAF_OK)
      sheaf_tokenizer_new(all->vocabs[at], &sheaf__sim_allocator, &all->known[at]);
  }
  return all->known[at] ? at : TOKENIZERS_MAX;
}

uint64_t sheaf__sim_input_tokens(const sim_call *call) {
  sim_tokenizers *all = call->world->tokenizers;
  uint32_t at = place_of(call);
  size_t count;
  if (at < TOKENIZERS_MAX && sheaf_tokens_count_body(all->known[at], sheaf_buf_slice(&call->body),
                                                     &all->scratch, &count, NULL) == SHEAF_OK)
    return count;
  return sheaf__sim_tokens(call->asked.prompt_bytes);
}

/* The bytes of the first so many tokens, without a character cut through. */
static size_t bytes_of(sim_tokenizers *all, uint32_t at, sheaf_slice text, size_t tokens) {
  size_t count = 0, bytes = 0, room = sheaf_tokens_room(all->vocabs[at], text.bytes);
  sheaf_buf_reset(&all->ids);
  if (sheaf_buf_reserve(&all->ids, room * sizeof(uint32_t)) != SHEAF_OK) return text.bytes;
  uint32_t *ids = (uint32_t *)(void *)all->ids.data;
  if (sheaf_tokens_encode(all->known[at], text, NULL, ids, room, &count) != SHEAF_OK)
    return text.bytes;
  for (size_t i = 0; i < tokens && i < count; i++) {
    sheaf_slice token = {0};
    sheaf_vocab_token(all->vocabs[at], ids[i], &token);
    bytes += token.bytes;
  }
  while (bytes && bytes < text.bytes && ((unsigned char)text.data[bytes] & 0xc0) == 0x80) bytes--;
  return bytes < text.bytes ? bytes : text.bytes;
}

bool sheaf__sim_count_text(const sim_call *call, sheaf_slice *text, uint64_t tokens_max,
                           uint64_t *tokens) {
  sim_tokenizers *all = call->world->tokenizers;
  uint32_t at = place_of(call);
  size_t limit = tokens_max < SIZE_MAX ? (size_t)tokens_max : SIZE_MAX, count = 0;
  if (at == TOKENIZERS_MAX) return false;
  int32_t status = sheaf_tokens_count(all->known[at], *text, NULL, limit, &count);
  if (status == SHEAF_E_LIMIT) {
    text->bytes = bytes_of(all, at, *text, limit);
    count = limit;
  } else if (status != SHEAF_OK) {
    return false;
  }
  *tokens = count;
  return true;
}
