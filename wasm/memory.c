/* memory.c: the allocator under every client, and the check of addresses that the host hands in. */
#include "wasm_int.h"

#if defined(WASM_OWN_HEAP)
#include "heap.h"

#define PAGE 65536u

extern char __heap_base; /* of the linker: where nothing of the module's lies any more */

/* At first what is left of the memory that the module began with, then an eighth more at a time. */
static void *more(size_t *bytes) {
  static bool has_begun;
  size_t pages = __builtin_wasm_memory_size(0);
  if (!has_begun) {
    has_begun = true;
    uintptr_t base = ((uintptr_t)&__heap_base + 15u) & ~(uintptr_t)15u;
    size_t left = pages * PAGE - base;
    if (left >= *bytes) {
      *bytes = left;
      return (void *)base;
    }
  }
  size_t wanted = *bytes / PAGE + 1;
  if (wanted < pages / 8) wanted = pages / 8;
  size_t from = __builtin_wasm_memory_grow(0, wanted);
  if (from == SIZE_MAX) {
    wanted = *bytes / PAGE + 1;
    from = __builtin_wasm_memory_grow(0, wanted);
  }
  if (from == SIZE_MAX) return NULL;
  *bytes = wanted * PAGE;
  return (void *)(from * PAGE);
}

static wasm_heap heap = {.more = more};

/* The core's own way to it (SHEAF_ONE_ALLOCATOR). */
void *sheaf__one_realloc(void *ptr, size_t bytes);
void *sheaf__one_realloc(void *ptr, size_t bytes) {
  return sheaf__heap_resize(&heap, ptr, bytes);
}

static void *reallocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx;
  (void)old_bytes;
  return sheaf__heap_resize(&heap, ptr, new_bytes);
}

#else
#include <stdlib.h>

static void *reallocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx;
  (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}
#endif

const sheaf_allocator sheaf__wasm_allocator = {reallocate, NULL};

/* Address 0 holds nothing, so that a forgotten pointer is found. Where memory has no known end (the
 * native test) only that is checked. */
bool sheaf__wasm_is_memory(const void *data, size_t bytes) {
  uintptr_t from = (uintptr_t)data;
  if (bytes == 0) return true;
  if (from == 0 || from > UINTPTR_MAX - bytes) return false;
#if defined(__wasm__)
  uint64_t end = (uint64_t)__builtin_wasm_memory_size(0) * 65536u;
  return (uint64_t)from + bytes <= end;
#else
  return true;
#endif
}

wasm_slice sheaf__wasm_slice(sheaf_slice slice) {
  return (wasm_slice){(wasm_address)slice.data, slice.bytes};
}
