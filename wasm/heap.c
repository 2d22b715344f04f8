/* heap.c: the allocator of the modules. A libc's own is five times as large, and what a module weighs is what a page
 * loads.
 *
 *   region:  | block | block | ... | end |     each begins with its size and the size of the one in front of it
 *
 * Free blocks stand in bins by size: one for each multiple of 8 up to 248, above that four for each power of two. A
 * bitmap finds the next bin that holds something, so that a search looks at a bounded number of blocks. Neighbours that
 * are free become one at once. */
#include "heap.h"

#include <stdbool.h>
#include <string.h>

#define HEADER 8u
#define EXACT_MAX 256u      /* below it a bin holds blocks of one size */
#define TRIES_MAX 16u       /* blocks of a bin that are looked at, which may be too small */
#define LARGEST 0x7fffffe0u /* addresses in front of it can be reckoned in 32 bits */

struct wasm_block {
  uint32_t before;         /* size of the block in front, 0: there is none */
  uint32_t size;           /* with this header; bit 0: taken */
  wasm_block *next, *prev; /* in the bin, while free */
};

#define SMALLEST ((uint32_t)sizeof(wasm_block))

static wasm_block *at(wasm_block *block, uint32_t bytes) {
  return (wasm_block *)(void *)((char *)block + bytes);
}

static wasm_block *in_front(wasm_block *block) {
  return (wasm_block *)(void *)((char *)block - block->before);
}

static uint32_t size_of(const wasm_block *block) {
  return block->size & ~1u;
}

static bool is_free(const wasm_block *block) {
  return (block->size & 1u) == 0;
}

static uint32_t bin_of(uint32_t size) {
  if (size < EXACT_MAX) return size / 8;
  uint32_t log = 31u - (uint32_t)__builtin_clz(size);
  return (log << 2 | (size >> (log - 2) & 3u)); /* 256 is 32 */
}

static void put(wasm_heap *heap, wasm_block *block) {
  uint32_t bin = bin_of(block->size);
  wasm_block *first = heap->bins[bin];
  block->prev = NULL;
  block->next = first;
  if (first) first->prev = block;
  heap->bins[bin] = block;
  heap->filled[bin / 32] |= 1u << bin % 32;
}

static void pull(wasm_heap *heap, wasm_block *block) {
  uint32_t bin = bin_of(block->size);
  if (block->next) block->next->prev = block->prev;
  if (block->prev) {
    block->prev->next = block->next;
  } else {
    heap->bins[bin] = block->next;
    if (!block->next) heap->filled[bin / 32] &= ~(1u << bin % 32);
  }
}

static void set_size(wasm_block *block, uint32_t size) {
  block->size = size;
  at(block, size)->before = size;
}

/* A block that is in no bin becomes free, and one with its free neighbours. */
static void release(wasm_heap *heap, wasm_block *block) {
  uint32_t size = size_of(block);
  wasm_block *after = at(block, size);
  if (is_free(after)) {
    pull(heap, after);
    size += after->size;
  }
  if (block->before && is_free(in_front(block))) {
    block = in_front(block);
    pull(heap, block);
    size += block->size;
  }
  set_size(block, size);
  put(heap, block);
}

/* Takes the first bytes of a block that is in no bin. */
static void *take(wasm_heap *heap, wasm_block *block, uint32_t need) {
  uint32_t size = size_of(block), rest = size - need;
  if (rest < SMALLEST) {
    block->size = size | 1u;
    return (char *)block + HEADER;
  }
  set_size(block, need);
  block->size |= 1u;
  wasm_block *left = at(block, need);
  set_size(left, rest);
  release(heap, left);
  return (char *)block + HEADER;
}

static bool grow(wasm_heap *heap, uint32_t need) {
  size_t bytes = need + 2 * HEADER;
  wasm_block *block = heap->more(&bytes), *end = heap->end;
  if (!block) return false;
  if (bytes > LARGEST) bytes = LARGEST;
  if (end && (char *)block == (char *)end + HEADER) {
    block = end; /* what was the end is the header of what is new */
  } else {
    block->before = 0;
    bytes -= HEADER;
  }
  set_size(block, (uint32_t)bytes & ~7u);
  heap->end = at(block, block->size);
  heap->end->size = 1u;
  release(heap, block);
  return true;
}

static wasm_block *find(wasm_heap *heap, uint32_t need) {
  uint32_t bin = bin_of(need), tries = TRIES_MAX;
  for (wasm_block *block = heap->bins[bin]; block && tries; block = block->next, tries--)
    if (block->size >= need) return block;
  for (bin++; bin < WASM_HEAP_BINS; bin = (bin | 31u) + 1) {
    uint32_t filled = heap->filled[bin / 32] >> bin % 32;
    if (filled) return heap->bins[bin + (uint32_t)__builtin_ctz(filled)];
  }
  return NULL;
}

static void *allocate(wasm_heap *heap, uint32_t need) {
  wasm_block *block = find(heap, need);
  if (!block) {
    if (!grow(heap, need)) return NULL;
    block = find(heap, need);
    if (!block) return NULL;
  }
  pull(heap, block);
  return take(heap, block, need);
}

void *sheaf__heap_resize(wasm_heap *heap, void *ptr, size_t bytes) {
  if (bytes > LARGEST - HEADER) return NULL;
  uint32_t need = ((uint32_t)bytes + HEADER + 7u) & ~7u;
  if (need < SMALLEST) need = SMALLEST;
  if (!ptr) return bytes ? allocate(heap, need) : NULL;
  wasm_block *block = (wasm_block *)(void *)((char *)ptr - HEADER);
  if (bytes == 0) {
    release(heap, block);
    return NULL;
  }
  uint32_t size = size_of(block);
  wasm_block *after = at(block, size);
  if (size < need && (is_free(after) ? at(after, after->size) : after) == heap->end &&
      (after == heap->end || after->size < need - size))
    (void)grow(heap, need - size);
  if (size < need && is_free(after) && after->size >= need - size) {
    pull(heap, after);
    set_size(block, size += after->size);
  }
  if (size >= need) return take(heap, block, need);
  void *moved = allocate(heap, need);
  if (moved) {
    memcpy(moved, ptr, size - HEADER);
    release(heap, block);
  }
  return moved;
}
