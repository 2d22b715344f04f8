/* heap.h: memory in blocks of any size out of regions that are asked for as needed. */
#ifndef WASM_HEAP_H
#define WASM_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define WASM_HEAP_BINS 128u

typedef struct wasm_block wasm_block;

typedef struct wasm_heap {
  /* At least so many more bytes at an address that is a multiple of 8, NULL: there are none. What continues the last
   * answer makes it longer. */
  void *(*more)(size_t *bytes);
  wasm_block *end; /* of the last region */
  wasm_block *bins[WASM_HEAP_BINS];
  uint32_t filled[WASM_HEAP_BINS / 32]; /* a bit for each bin that holds something */
} wasm_heap;

/* As sheaf_allocator has it: ptr NULL allocates, bytes 0 frees; NULL: no memory, and ptr stays as it was. Blocks begin
 * at multiples of 8. */
void *sheaf__heap_resize(wasm_heap *heap, void *ptr, size_t bytes);

#endif
