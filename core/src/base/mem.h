/* mem.h: memory through the allocator given at birth, and arithmetic that cannot wrap. */
#ifndef SHEAF_MEM_H
#define SHEAF_MEM_H

#include <sheaf/base.h>

#include <string.h>

void *sheaf__alloc(const sheaf_allocator *allocator,
                   size_t bytes); /* not cleared; NULL on refusal */
void *sheaf__alloc_zero(const sheaf_allocator *allocator, size_t bytes); /* cleared */
void *sheaf__realloc(const sheaf_allocator *allocator, void *ptr, size_t old_bytes, size_t bytes);
void sheaf__free(const sheaf_allocator *allocator, void *ptr, size_t bytes); /* NULL is fine */

static inline bool sheaf__add_overflows(uint64_t a, uint64_t b, uint64_t *sum) {
  return __builtin_add_overflow(a, b, sum);
}
static inline bool sheaf__mul_overflows(uint64_t a, uint64_t b, uint64_t *product) {
  return __builtin_mul_overflow(a, b, product);
}
/* Sums and products that stop at the end of the range instead of wrapping. */
static inline uint64_t sheaf__add_sat(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}
static inline uint64_t sheaf__mul_sat(uint64_t a, uint64_t b) {
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
static inline int64_t sheaf__add_sat_i64(int64_t a, int64_t b) {
  int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN + 1; /* INT64_MIN means absent */
}
static inline uint64_t sheaf__min_u64(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}
static inline uint64_t sheaf__max_u64(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static inline bool sheaf__slice_equal(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}
static inline sheaf_slice sheaf__slice_from(sheaf_slice s, size_t from) {
  sheaf_slice rest = {s.data + from, s.bytes - from};
  return rest;
}

/* Cheap checks are always on and trap; walks only where SHEAF_CHECKS is defined (tests, simulator).
 * The package's modules leave them to the checked builds of the same code, which the tests run inside
 * the same runtimes: 0.4 KB of a module. */
#ifdef SHEAF_MODULE
#define SHEAF_ASSERT(condition) ((void)(condition))
#endif
#ifndef SHEAF_ASSERT
#define SHEAF_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#endif
#define SHEAF_UNREACHABLE() __builtin_trap()

#define SHEAF__MS 1000000ull /* ns in a millisecond */
#define SHEAF__SECOND 1000000000ull

#endif
