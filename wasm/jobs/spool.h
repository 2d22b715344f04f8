/* spool.h: a spool in memory (sheaf_spool): rows of jobs until the host has put them into its store, and
 * while they are read. */
#ifndef WASM_SPOOL_H
#define WASM_SPOOL_H

#include <sheaf/engine.h>

typedef struct wasm_spooled {
  struct wasm_spooled *next;
  uint64_t job;
  uint64_t bytes;
  char **chunks;
  size_t chunk_capacity;
  bool sealed, taken; /* whole; the host has it */
  bool dropped;       /* over: the host may forget it */
} wasm_spooled;

typedef struct wasm_spool {
  const sheaf_allocator *allocator;
  wasm_spooled *first;
} wasm_spool;

void sheaf__spool_deinit(wasm_spool *spool);
/* The slots of a sheaf_spool whose ctx is a wasm_spool. */
int32_t sheaf__spool_append(void *ctx, uint64_t job, uint64_t offset, sheaf_slice bytes);
int32_t sheaf__spool_seal(void *ctx, uint64_t job);
int64_t sheaf__spool_read(void *ctx, uint64_t job, uint64_t offset, void *to, size_t capacity);
void sheaf__spool_drop(void *ctx, uint64_t job);

/* A job that was sealed and not yet taken by the host: taken from now on. NULL: there is none. */
const wasm_spooled *sheaf__spool_take(wasm_spool *spool);
/* As many bytes as lie in one piece from offset on; empty at the end. They live until the job is
 * appended to or dropped. */
sheaf_slice sheaf__spool_piece(const wasm_spool *spool, uint64_t job, uint64_t offset);
/* A job that was dropped, which is forgotten with that. 0: there is none. */
uint64_t sheaf__spool_forget(wasm_spool *spool);
/* What lies in memory of a job that the host brings back is what its store has: nothing to take. */
void sheaf__spool_loaded(wasm_spool *spool, uint64_t job);

#endif
