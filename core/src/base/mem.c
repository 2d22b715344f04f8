/* mem.c: memory through the allocator given at birth.
 *
 * No bytes are no block: asking for 0 answers NULL and does not reach the allocator, to which 0 means "free". */
#include "base/mem.h"

void *sheaf__alloc(const sheaf_allocator *allocator, size_t bytes) {
  if (bytes == 0) return NULL;
  return allocator->realloc(allocator->ctx, NULL, 0, bytes);
}

void *sheaf__alloc_zero(const sheaf_allocator *allocator, size_t bytes) {
  void *block = sheaf__alloc(allocator, bytes);
  if (block) memset(block, 0, bytes);
  return block;
}

void *sheaf__realloc(const sheaf_allocator *allocator, void *ptr, size_t old_bytes, size_t bytes) {
  if (bytes == 0) {
    sheaf__free(allocator, ptr, old_bytes);
    return NULL;
  }
  return allocator->realloc(allocator->ctx, ptr, ptr ? old_bytes : 0, bytes);
}

void sheaf__free(const sheaf_allocator *allocator, void *ptr, size_t bytes) {
  if (ptr) (void)allocator->realloc(allocator->ctx, ptr, bytes, 0);
}
