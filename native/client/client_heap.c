/* client_heap.c: the C library's memory as an allocator. */
#include <sheaf/heap.h>

#include <stdlib.h>

static void *heap_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes > 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

const sheaf_allocator *sheaf_heap(void) {
  static const sheaf_allocator heap = {heap_realloc, NULL};
  return &heap;
}
