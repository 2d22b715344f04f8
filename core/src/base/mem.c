/* mem.c: memory through the allocator given at birth.
 *
 * No bytes are no block: asking for 0 answers NULL and does not reach the allocator, to which 0 means "free". */
#include "base/mem.h"

/* A program with one allocator only, as a module is, says so with this: then it is called straight, and neither
 * allocators nor old sizes need to be handed on. 0.5 KB of a module. */
#ifdef SHEAF_ONE_ALLOCATOR
void *sheaf__one_realloc(void *ptr, size_t bytes);
#define RESIZE(allocator, ptr, old_bytes, bytes) \
  ((void)(allocator), (void)(old_bytes), sheaf__one_realloc(ptr, bytes))
#else
#define RESIZE(allocator, ptr, old_bytes, bytes) \
  (allocator)->realloc((allocator)->ctx, ptr, old_bytes, bytes)
#endif

void *sheaf__alloc(const sheaf_allocator *allocator, size_t bytes) {
  if (bytes == 0) return NULL;
  return RESIZE(allocator, NULL, 0, bytes);
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
  return RESIZE(allocator, ptr, ptr ? old_bytes : 0, bytes);
}

void sheaf__free(const sheaf_allocator *allocator, void *ptr, size_t bytes) {
  if (ptr) (void)RESIZE(allocator, ptr, bytes, 0);
}
