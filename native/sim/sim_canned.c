/* sim_canned.c: answers from a file: whole prompts by a hash table, parts of prompts in the file's
 * order, and one answer for the rest. */
#include "sim_lines.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

typedef struct entry {
  size_t prompt_at, prompt_bytes;
  size_t answer_at, answer_bytes;
  uint64_t hash;
} entry;

typedef struct entries {
  entry *at;
  size_t count, room;
} entries;

struct sim_canned {
  sheaf_buf text;
  entries whole, part;
  entry rest;     /* answer_at NONE: there is none */
  size_t *places; /* of `whole`, by hash; a power of two of them, NONE where empty */
  size_t place_count;
};

/* ---- Loading ---- */

static int32_t add(entries *list, const entry *made, const sim_lines *lines) {
  if (list->count == list->room) {
    size_t room = list->room ? list->room * 2 : 64;
    entry *grown = realloc(list->at, room * sizeof *grown);
    if (!grown)
      return sheaf__sim_line_fail(lines, SHEAF_E_NOMEM, NULL, "no memory for so many answers");
    list->at = grown;
    list->room = room;
  }
  list->at[list->count++] = *made;
  return SHEAF_OK;
}

/* Appends a value as plain text: a string's content, of all else its JSON. */
static int32_t keep(sim_canned *canned, sheaf_slice value, size_t *at, size_t *bytes) {
  sheaf_buf *text = &canned->text;
  *at = text->bytes;
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING)
    sheaf_buf_append_unescaped(text, sheaf_json_inside(value));
  else
    sheaf_buf_append_slice(text, value);
  *bytes = text->bytes - *at;
  return text->status;
}

static int32_t read_entry(sim_canned *canned, sim_lines *lines, sheaf_slice line) {
  static const char *const names[] = {"prompt", "match", "answer"};
  sheaf_slice values[3];
  entry made = {0};
  int32_t status = sheaf__sim_line_object(lines, line, names, 3, values);
  if (status != SHEAF_OK) return status;
  sheaf_slice wanted = values[0].bytes ? values[0] : values[1];
  if (!values[2].bytes)
    return sheaf__sim_line_fail(lines, SHEAF_E_FIELD, "answer", "is missing; add it");
  if (values[0].bytes && values[1].bytes)
    return sheaf__sim_line_fail(lines, SHEAF_E_FIELD, "match",
                                "does not go with \"prompt\"; keep one");
  if (wanted.bytes && sheaf_json_kind(wanted) != SHEAF_JSON_STRING)
    return sheaf__sim_line_fail(lines, SHEAF_E_TYPE, values[0].bytes ? "prompt" : "match",
                                "is no text; write a string");
  status = keep(canned, values[2], &made.answer_at, &made.answer_bytes);
  if (status == SHEAF_OK && wanted.bytes)
    status = keep(canned, wanted, &made.prompt_at, &made.prompt_bytes);
  if (status != SHEAF_OK) return sheaf__sim_line_fail(lines, status, NULL, "its texts do not fit");
  if (values[0].bytes) {
    made.hash = sheaf__sim_hash(canned->text.data + made.prompt_at, made.prompt_bytes, 0);
    return add(&canned->whole, &made, lines);
  }
  if (values[1].bytes) return add(&canned->part, &made, lines);
  if (canned->rest.answer_at == NONE) canned->rest = made;
  return SHEAF_OK;
}

static sheaf_slice prompt_of(const sim_canned *canned, const entry *e) {
  return (sheaf_slice){canned->text.data + e->prompt_at, e->prompt_bytes};
}

/* The place of the prompt, or the empty one where it would go. */
static size_t place_of(const sim_canned *canned, sheaf_slice prompt, uint64_t hash) {
  size_t mask = canned->place_count - 1, place = (size_t)hash & mask;
  for (; canned->places[place] != NONE; place = (place + 1) & mask) {
    const entry *e = &canned->whole.at[canned->places[place]];
    if (e->hash == hash && e->prompt_bytes == prompt.bytes &&
        memcmp(prompt_of(canned, e).data, prompt.data, prompt.bytes) == 0)
      break;
  }
  return place;
}

/* Of a prompt that stands there twice, the first counts. */
static bool build_places(sim_canned *canned) {
  size_t count = 16;
  while (count < canned->whole.count * 2) count *= 2;
  canned->places = malloc(count * sizeof *canned->places);
  if (!canned->places) return false;
  canned->place_count = count;
  for (size_t i = 0; i < count; i++) canned->places[i] = NONE;
  for (size_t i = 0; i < canned->whole.count; i++) {
    const entry *e = &canned->whole.at[i];
    size_t place = place_of(canned, prompt_of(canned, e), e->hash);
    if (canned->places[place] == NONE) canned->places[place] = i;
  }
  return true;
}

int32_t sheaf__sim_canned_load(sim_canned **canned, const char *path, char *message, size_t bytes) {
  sim_lines lines;
  sheaf_slice line;
  int32_t status = sheaf__sim_lines_open(&lines, path, message, bytes);
  if (status != SHEAF_OK) return status;
  sim_canned *loaded = calloc(1, sizeof *loaded);
  if (loaded) {
    sheaf_buf_init(&loaded->text, &sheaf__sim_allocator, SIM_FILE_MAX);
    sheaf_buf_reserve(&loaded->text, 1); /* so that there is data, also for empty texts */
    loaded->rest.answer_at = NONE;
  } else {
    status = sheaf__sim_line_fail(&lines, SHEAF_E_NOMEM, NULL, "no memory");
  }
  while (status == SHEAF_OK && sheaf__sim_line_next(&lines, &line))
    status = read_entry(loaded, &lines, line);
  if (status == SHEAF_OK && !build_places(loaded))
    status = sheaf__sim_line_fail(&lines, SHEAF_E_NOMEM, NULL, "no memory for so many answers");
  sheaf__sim_lines_close(&lines);
  if (status != SHEAF_OK) {
    sheaf__sim_canned_free(loaded);
    return status;
  }
  *canned = loaded;
  return SHEAF_OK;
}

void sheaf__sim_canned_free(sim_canned *canned) {
  if (!canned) return;
  sheaf_buf_deinit(&canned->text);
  free(canned->whole.at);
  free(canned->part.at);
  free(canned->places);
  free(canned);
}

/* ---- Finding ---- */

bool sheaf__sim_canned_find(const sim_canned *canned, sheaf_slice prompt, sheaf_slice *answer) {
  const entry *found = NULL;
  if (prompt.bytes == 0) prompt.data = "";
  uint64_t hash = sheaf__sim_hash(prompt.data, prompt.bytes, 0);
  size_t place = place_of(canned, prompt, hash);
  if (canned->places[place] != NONE) found = &canned->whole.at[canned->places[place]];
  for (size_t i = 0; !found && i < canned->part.count; i++)
    if (sheaf__sim_contains(prompt, prompt_of(canned, &canned->part.at[i])))
      found = &canned->part.at[i];
  if (!found && canned->rest.answer_at != NONE) found = &canned->rest;
  if (!found) return false;
  *answer = (sheaf_slice){canned->text.data + found->answer_at, found->answer_bytes};
  return true;
}
