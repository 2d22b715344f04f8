/* heap.c: an intrusive binary heap of pointers, least (key, seq) first; each node knows its place.
 *
 * Order: making, moving nodes up and down, the operations. */
#include "flow/queue.h"

#include "base/mem.h"

#define CAPACITY_MIN 16u

void sheaf__heap_init(sheaf__heap *heap, uint32_t count_max) {
  *heap = (sheaf__heap){.count_max = count_max};
}

void sheaf__heap_deinit(sheaf__heap *heap, const sheaf_allocator *allocator) {
  for (uint32_t i = 0; i < heap->count; i++) heap->nodes[i]->at = 0;
  sheaf__free(allocator, heap->nodes, heap->capacity * sizeof *heap->nodes);
  *heap = (sheaf__heap){.count_max = heap->count_max};
}

static bool is_before(const sheaf__heap_node *a, const sheaf__heap_node *b) {
  return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

static void put(sheaf__heap *heap, uint32_t place, sheaf__heap_node *node) {
  heap->nodes[place] = node;
  node->at = place + 1;
}

static void rise(sheaf__heap *heap, uint32_t place, sheaf__heap_node *node) {
  while (place > 0) {
    const uint32_t parent = (place - 1) / 2;
    if (!is_before(node, heap->nodes[parent])) break;
    put(heap, place, heap->nodes[parent]);
    place = parent;
  }
  put(heap, place, node);
}

static void sink(sheaf__heap *heap, uint32_t place, sheaf__heap_node *node) {
  for (;;) {
    uint64_t child = 2 * (uint64_t)place + 1;
    if (child >= heap->count) break;
    if (child + 1 < heap->count && is_before(heap->nodes[child + 1], heap->nodes[child])) child++;
    if (!is_before(heap->nodes[child], node)) break;
    put(heap, place, heap->nodes[child]);
    place = (uint32_t)child;
  }
  put(heap, place, node);
}

int32_t sheaf__heap_reserve(sheaf__heap *heap, const sheaf_allocator *allocator, uint32_t n) {
  if (n <= heap->capacity) return SHEAF_OK;
  if (n > heap->count_max) return SHEAF_E_LIMIT;
  size_t bytes;
  if (__builtin_mul_overflow(n, sizeof *heap->nodes, &bytes)) return SHEAF_E_NOMEM;
  void *nodes = sheaf__realloc(allocator, heap->nodes, heap->capacity * sizeof *heap->nodes, bytes);
  if (!nodes) return SHEAF_E_NOMEM;
  heap->nodes = nodes;
  heap->capacity = n;
  return SHEAF_OK;
}

int32_t sheaf__heap_push(sheaf__heap *heap, const sheaf_allocator *allocator,
                         sheaf__heap_node *node) {
  SHEAF_ASSERT(node->at == 0);
  if (heap->count == heap->count_max) return SHEAF_E_LIMIT;
  if (heap->count == heap->capacity) {
    const uint64_t twice = sheaf__max_u64(2 * (uint64_t)heap->capacity, CAPACITY_MIN);
    const int32_t status =
        sheaf__heap_reserve(heap, allocator, (uint32_t)sheaf__min_u64(twice, heap->count_max));
    if (status != SHEAF_OK) return status;
  }
  heap->count++;
  rise(heap, heap->count - 1, node);
  return SHEAF_OK;
}

sheaf__heap_node *sheaf__heap_peek(const sheaf__heap *heap) {
  return heap->count ? heap->nodes[0] : NULL;
}

void sheaf__heap_update(sheaf__heap *heap, sheaf__heap_node *node) {
  if (node->at == 0) return;
  const uint32_t place = node->at - 1;
  SHEAF_ASSERT(place < heap->count);
  SHEAF_ASSERT(heap->nodes[place] == node);
  if (place > 0 && is_before(node, heap->nodes[(place - 1) / 2]))
    rise(heap, place, node);
  else
    sink(heap, place, node);
}

void sheaf__heap_remove(sheaf__heap *heap, sheaf__heap_node *node) {
  if (node->at == 0) return;
  const uint32_t place = node->at - 1;
  SHEAF_ASSERT(place < heap->count);
  SHEAF_ASSERT(heap->nodes[place] == node);
  node->at = 0;
  heap->count--;
  sheaf__heap_node *last = heap->nodes[heap->count];
  if (last == node) return;
  put(heap, place, last);
  sheaf__heap_update(heap, last);
}

sheaf__heap_node *sheaf__heap_pop(sheaf__heap *heap) {
  sheaf__heap_node *node = sheaf__heap_peek(heap);
  if (node) sheaf__heap_remove(heap, node);
  return node;
}
