/* memory.c: the allocator under every client, and the check of addresses that the host hands in. */
#include "wasm_int.h"

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
