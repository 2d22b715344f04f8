/* result_copy.c: a result of its own: the struct, its history and all its bytes in one block.
 *
 * The text is kept once where it can be: text_json is mostly a part of the body. */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

enum { SLICES = 13 };

static void slices_of(sheaf_result *result, sheaf_slice *slices[SLICES]) {
  sheaf_slice *const all[SLICES] = {
      &result->custom_id,     &result->request_id, &result->model,    &result->finish_reason,
      &result->provider,      &result->endpoint,   &result->metadata, &result->error_code,
      &result->error_message, &result->body,       &result->text,     &result->answer_json,
      &result->answer_fault};
  memcpy(slices, all, sizeof all);
}

static bool is_part_of(sheaf_slice part, sheaf_slice whole) {
  uintptr_t from = (uintptr_t)part.data, begin = (uintptr_t)whole.data;
  return part.bytes > 0 && from >= begin && from + part.bytes <= begin + whole.bytes;
}

/* Copies bytes and a terminator, so that text can be handed out as a string. */
static void move_slice(sheaf_slice *slice, char **to) {
  char *at = *to;
  if (slice->bytes > 0) memcpy(at, slice->data, slice->bytes);
  at[slice->bytes] = 0;
  slice->data = at;
  *to = at + slice->bytes + 1;
}

sheaf__owned *sheaf__result_copy(const sheaf_result *result) {
  sheaf_result copy = *result;
  sheaf_slice *slices[SLICES];
  slices_of(&copy, slices);
  bool json_in_body = is_part_of(copy.text_json, copy.body);
  bool json_is_text = copy.text_json.data == copy.text.data;
  size_t history_bytes = copy.history_count * sizeof *copy.history;
  size_t bytes = sizeof(sheaf__owned) + history_bytes;
  for (size_t i = 0; i < SLICES; i++) bytes += slices[i]->bytes + 1;
  if (!json_in_body && !json_is_text) bytes += copy.text_json.bytes + 1;
  sheaf__owned *owned = malloc(bytes);
  if (owned == NULL) return NULL;
  sheaf_attempt *history = (sheaf_attempt *)(owned + 1);
  if (history_bytes > 0) memcpy(history, copy.history, history_bytes);
  copy.history = copy.history_count ? history : NULL;
  char *to = (char *)history + history_bytes;
  owned->text = to;
  const char *body = copy.body.data;
  for (size_t i = 0; i < SLICES; i++) move_slice(slices[i], &to);
  if (json_in_body)
    copy.text_json.data = copy.body.data + (copy.text_json.data - body);
  else if (json_is_text)
    copy.text_json.data = copy.text.data;
  else
    move_slice(&copy.text_json, &to);
  owned->next = NULL;
  owned->text_bytes = (size_t)(to - owned->text);
  owned->result = copy;
  return owned;
}

void sheaf_result_free(sheaf_result *result) {
  if (result == NULL) return;
  free((char *)result - offsetof(sheaf__owned, result));
}
