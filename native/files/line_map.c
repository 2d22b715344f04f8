/* line_map.c: where the line of each row lies, 8 bytes a row, and lists of offsets.
 *
 * The table grows by chunks and never moves them, so growth needs no second copy of what is there. */
#include "files_int.h"

#include <stdlib.h>

/* ---- Index -> place; stored plus one, so that 0 means none ---- */

void sheaf__line_map_deinit(sheaf__line_map *places) {
  for (size_t i = 0; i < places->chunk_count; i++) free(places->chunks[i]);
  free(places->chunks);
  *places = (sheaf__line_map){0};
}

uint64_t sheaf__line_map_get(const sheaf__line_map *places, uint64_t index) {
  uint64_t chunk = index / SHEAF__LINE_MAP_CHUNK;
  if (chunk >= places->chunk_count || places->chunks[chunk] == NULL) return SHEAF__PLACE_NONE;
  return places->chunks[chunk][index % SHEAF__LINE_MAP_CHUNK] - 1;
}

static int32_t reach(sheaf__line_map *places, uint64_t chunk) {
  if (chunk < places->chunk_count) return SHEAF_OK;
  if (chunk >= SIZE_MAX / (2 * sizeof *places->chunks)) return SHEAF_E_NOMEM;
  size_t count = (size_t)chunk + (size_t)chunk / 2 + 16;
  uint64_t **chunks = realloc(places->chunks, count * sizeof *chunks);
  if (chunks == NULL) return SHEAF_E_NOMEM;
  for (size_t i = places->chunk_count; i < count; i++) chunks[i] = NULL;
  places->chunks = chunks;
  places->chunk_count = count;
  return SHEAF_OK;
}

int32_t sheaf__line_map_set(sheaf__line_map *places, uint64_t index, uint64_t place) {
  uint64_t chunk = index / SHEAF__LINE_MAP_CHUNK;
  int32_t status = reach(places, chunk);
  if (status != SHEAF_OK) return status;
  if (places->chunks[chunk] == NULL) {
    places->chunks[chunk] = calloc(SHEAF__LINE_MAP_CHUNK, sizeof **places->chunks);
    if (places->chunks[chunk] == NULL) return SHEAF_E_NOMEM;
  }
  uint64_t *entry = &places->chunks[chunk][index % SHEAF__LINE_MAP_CHUNK];
  if (*entry == 0) places->count++;
  *entry = place + 1;
  if (index >= places->end) places->end = index + 1;
  return SHEAF_OK;
}

void sheaf__line_map_pass(sheaf__line_map *places, uint64_t index) {
  uint64_t chunk = index / SHEAF__LINE_MAP_CHUNK;
  if (index % SHEAF__LINE_MAP_CHUNK != 0 || chunk == 0 || chunk > places->chunk_count) return;
  free(places->chunks[chunk - 1]);
  places->chunks[chunk - 1] = NULL;
}

/* ---- Lists of offsets ---- */

int32_t sheaf__offsets_push(sheaf__offsets *list, uint64_t offset) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity + list->capacity / 2 + 64;
    uint64_t *items = realloc(list->items, capacity * sizeof *items);
    if (items == NULL) return SHEAF_E_NOMEM;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = offset;
  return SHEAF_OK;
}

void sheaf__offsets_deinit(sheaf__offsets *list) {
  free(list->items);
  *list = (sheaf__offsets){0};
}

static int compare(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a;
  uint64_t right = *(const uint64_t *)b;
  return left < right ? -1 : left > right;
}

void sheaf__offsets_sort(sheaf__offsets *list) {
  if (list->count > 1) qsort(list->items, list->count, sizeof *list->items, compare);
}

bool sheaf__offsets_has(const sheaf__offsets *sorted, uint64_t offset) {
  if (sorted->count == 0) return false;
  return bsearch(&offset, sorted->items, sorted->count, sizeof offset, compare) != NULL;
}
