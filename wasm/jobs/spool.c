/* spool.c: a spool in memory: bytes by job, in chunks of one size, so that they are never moved.
 *
 * Outline: jobs; the slots of sheaf_spool; what the host asks for. */
#include "spool.h"

#include <string.h>

#define CHUNK ((size_t)256 << 10)

/* ---- Jobs ---- */

static void *resize(const wasm_spool *spool, void *data, size_t from, size_t to) {
  return spool->allocator->realloc(spool->allocator->ctx, data, from, to);
}

static wasm_spooled *find(const wasm_spool *spool, uint64_t job) {
  wasm_spooled *at = spool->first;
  while (at != NULL && (at->job != job || at->dropped)) at = at->next;
  return at;
}

static wasm_spooled *make(wasm_spool *spool, uint64_t job) {
  wasm_spooled *made = resize(spool, NULL, 0, sizeof *made);
  if (made == NULL) return NULL;
  memset(made, 0, sizeof *made);
  made->job = job;
  wasm_spooled **end = &spool->first;
  while (*end != NULL) end = &(*end)->next;
  return *end = made;
}

static size_t chunks_of(uint64_t bytes) {
  return (size_t)((bytes + CHUNK - 1) / CHUNK);
}

static void cut(const wasm_spool *spool, wasm_spooled *spooled, uint64_t bytes) {
  for (size_t i = chunks_of(bytes); i < chunks_of(spooled->bytes); i++)
    resize(spool, spooled->chunks[i], CHUNK, 0);
  spooled->bytes = bytes;
}

static void empty(const wasm_spool *spool, wasm_spooled *spooled) {
  cut(spool, spooled, 0);
  if (spooled->chunks != NULL)
    resize(spool, spooled->chunks, spooled->chunk_capacity * sizeof *spooled->chunks, 0);
  spooled->chunks = NULL;
  spooled->chunk_capacity = 0;
}

static void forget(wasm_spool *spool, wasm_spooled *spooled) {
  wasm_spooled **at = &spool->first;
  while (*at != spooled) at = &(*at)->next;
  *at = spooled->next;
  empty(spool, spooled);
  resize(spool, spooled, sizeof *spooled, 0);
}

void sheaf__spool_deinit(wasm_spool *spool) {
  while (spool->first != NULL) forget(spool, spool->first);
}

/* Room for the chunk that comes next. */
static bool has_chunk(const wasm_spool *spool, wasm_spooled *spooled) {
  size_t count = chunks_of(spooled->bytes);
  if (count == spooled->chunk_capacity) {
    size_t wanted = count < 8 ? 8 : count * 2;
    char **grown = resize(spool, spooled->chunks, count * sizeof *grown, wanted * sizeof *grown);
    if (grown == NULL) return false;
    spooled->chunks = grown;
    spooled->chunk_capacity = wanted;
  }
  spooled->chunks[count] = resize(spool, NULL, 0, CHUNK);
  return spooled->chunks[count] != NULL;
}

/* ---- The slots ---- */

int32_t sheaf__spool_append(void *ctx, uint64_t job, uint64_t offset, sheaf_slice bytes) {
  wasm_spool *spool = ctx;
  wasm_spooled *spooled = find(spool, job);
  if (spooled == NULL) spooled = make(spool, job);
  if (spooled == NULL) return SHEAF_E_NOMEM;
  if (offset > spooled->bytes) return SHEAF_E_IO;
  cut(spool, spooled, offset);
  for (size_t done = 0; done < bytes.bytes;) {
    size_t at = (size_t)(spooled->bytes % CHUNK);
    if (at == 0 && !has_chunk(spool, spooled)) {
      cut(spool, spooled, offset);
      return SHEAF_E_NOMEM;
    }
    size_t part = bytes.bytes - done < CHUNK - at ? bytes.bytes - done : CHUNK - at;
    memcpy(spooled->chunks[spooled->bytes / CHUNK] + at, bytes.data + done, part);
    spooled->bytes += part;
    done += part;
  }
  return SHEAF_OK;
}

int32_t sheaf__spool_seal(void *ctx, uint64_t job) {
  wasm_spooled *spooled = find(ctx, job);
  if (spooled == NULL) return SHEAF_E_IO;
  spooled->sealed = true;
  return SHEAF_OK;
}

int64_t sheaf__spool_read(void *ctx, uint64_t job, uint64_t offset, void *to, size_t capacity) {
  size_t done = 0;
  while (done < capacity) {
    sheaf_slice piece = sheaf__spool_piece(ctx, job, offset + done);
    size_t part = piece.bytes < capacity - done ? piece.bytes : capacity - done;
    if (part == 0) break;
    memcpy((char *)to + done, piece.data, part);
    done += part;
  }
  return (int64_t)done;
}

void sheaf__spool_drop(void *ctx, uint64_t job) {
  wasm_spool *spool = ctx;
  wasm_spooled *spooled = find(spool, job);
  if (spooled == NULL) spooled = make(spool, job); /* the host may have it all the same */
  if (spooled == NULL) return;
  empty(spool, spooled);
  spooled->dropped = true;
}

/* ---- What the host asks for ---- */

const wasm_spooled *sheaf__spool_take(wasm_spool *spool) {
  for (wasm_spooled *at = spool->first; at != NULL; at = at->next) {
    if (!at->sealed || at->taken || at->dropped) continue;
    at->taken = true;
    return at;
  }
  return NULL;
}

sheaf_slice sheaf__spool_piece(const wasm_spool *spool, uint64_t job, uint64_t offset) {
  const wasm_spooled *spooled = find(spool, job);
  if (spooled == NULL || offset >= spooled->bytes) return (sheaf_slice){NULL, 0};
  size_t at = (size_t)(offset % CHUNK);
  uint64_t left = spooled->bytes - offset;
  size_t part = left < CHUNK - at ? (size_t)left : CHUNK - at;
  return (sheaf_slice){spooled->chunks[offset / CHUNK] + at, part};
}

uint64_t sheaf__spool_forget(wasm_spool *spool) {
  for (wasm_spooled *at = spool->first; at != NULL; at = at->next) {
    if (!at->dropped) continue;
    uint64_t job = at->job;
    forget(spool, at);
    return job;
  }
  return 0;
}

void sheaf__spool_loaded(wasm_spool *spool, uint64_t job) {
  wasm_spooled *spooled = find(spool, job);
  if (spooled != NULL) spooled->sealed = spooled->taken = true;
}
