/* ring.c: queues of small things in order, and arrays that grow up to a ceiling. */
#include "engine/engine_int.h"

static char *ring_at(const sheaf__ring *ring, uint32_t n) {
  return (char *)ring->items + (size_t)((ring->head + n) & (ring->capacity - 1)) * ring->item_bytes;
}

int32_t sheaf__ring_reserve(sheaf__ring *ring, const sheaf_allocator *allocator, uint32_t more) {
  if (ring->capacity - ring->count >= more) return SHEAF_OK;
  uint32_t capacity = ring->capacity ? ring->capacity : 64;
  while (capacity - ring->count < more) {
    if (capacity > (1u << 29)) return SHEAF_E_LIMIT;
    capacity *= 2;
  }
  char *items = sheaf__alloc(allocator, (size_t)capacity * ring->item_bytes);
  if (items == NULL) return SHEAF_E_NOMEM;
  for (uint32_t i = 0; i < ring->count; i++)
    memcpy(items + (size_t)i * ring->item_bytes, ring_at(ring, i), ring->item_bytes);
  sheaf__free(allocator, ring->items, (size_t)ring->capacity * ring->item_bytes);
  ring->items = items;
  ring->capacity = capacity;
  ring->head = 0;
  return SHEAF_OK;
}

void *sheaf__ring_push(sheaf__ring *ring) {
  SHEAF_ASSERT(ring->count < ring->capacity);
  return ring_at(ring, ring->count++);
}

void *sheaf__ring_peek(const sheaf__ring *ring) {
  return ring->count ? ring_at(ring, 0) : NULL;
}

void sheaf__ring_pop(sheaf__ring *ring) {
  SHEAF_ASSERT(ring->count > 0);
  ring->head = (ring->head + 1) & (ring->capacity - 1);
  ring->count--;
}

void sheaf__ring_deinit(sheaf__ring *ring, const sheaf_allocator *allocator) {
  sheaf__free(allocator, ring->items, (size_t)ring->capacity * ring->item_bytes);
  ring->items = NULL;
  ring->capacity = ring->count = ring->head = 0;
}

int32_t sheaf__grow(const sheaf_allocator *allocator, void *items_ptr, uint32_t *capacity,
                    uint32_t count, size_t item_bytes, uint32_t max) {
  if (count < *capacity) return SHEAF_OK;
  if (count >= max) return SHEAF_E_LIMIT;
  uint64_t wide = *capacity ? *capacity : 16;
  while (wide <= count) wide *= 2;
  uint32_t wanted = wide < max ? (uint32_t)wide : max;
  void *items;
  memcpy(&items, items_ptr, sizeof items); /* the caller's pointer may be of any object type */
  void *grown =
      sheaf__realloc(allocator, items, (size_t)*capacity * item_bytes, (size_t)wanted * item_bytes);
  if (grown == NULL) return SHEAF_E_NOMEM;
  memset((char *)grown + (size_t)*capacity * item_bytes, 0,
         (size_t)(wanted - *capacity) * item_bytes);
  memcpy(items_ptr, &grown, sizeof grown);
  *capacity = wanted;
  return SHEAF_OK;
}

/* Shell's sort: what is sorted here comes in nearly in order. */
void sheaf__sort_u64(uint64_t *numbers, uint32_t count) {
  for (uint32_t gap = count / 2; gap > 0; gap /= 2)
    for (uint32_t i = gap; i < count; i++) {
      uint64_t number = numbers[i];
      uint32_t k = i;
      for (; k >= gap && numbers[k - gap] > number; k -= gap) numbers[k] = numbers[k - gap];
      numbers[k] = number;
    }
}
