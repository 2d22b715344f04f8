/* test_alloc.h: an allocator that counts, checks the sizes it is told, and fails when asked. */
#ifndef TEST_ALLOC_H
#define TEST_ALLOC_H

#include <sheaf/base.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_alloc {
  size_t live_bytes;
  size_t live_blocks;
  size_t peak_bytes;
  uint64_t calls;     /* that asked for memory */
  uint64_t fail_at;   /* the n-th of them fails, 1-based; 0: none */
  bool fail_after;    /* and every one after it */
  bool size_mismatch; /* somebody told a wrong old size */
} test_alloc;

/* Each block carries its size in front, so that old_bytes can be checked. */
static void *test_alloc_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  test_alloc *a = ctx;
  char *block = ptr ? (char *)ptr - 16 : NULL;
  size_t real = 0;
  if (block) memcpy(&real, block, sizeof real);
  if (real != old_bytes) a->size_mismatch = true;
  if (new_bytes == 0) {
    if (block) a->live_bytes -= real, a->live_blocks--;
    free(block);
    return NULL;
  }
  a->calls++;
  if (a->fail_at && (a->calls == a->fail_at || (a->fail_after && a->calls > a->fail_at))) return NULL;
  char *now = malloc(new_bytes + 16);
  if (!now) return NULL;
  memcpy(now, &new_bytes, sizeof new_bytes);
  if (block) {
    memcpy(now + 16, ptr, real < new_bytes ? real : new_bytes);
    free(block);
    a->live_bytes -= real;
  } else {
    a->live_blocks++;
  }
  a->live_bytes += new_bytes;
  if (a->live_bytes > a->peak_bytes) a->peak_bytes = a->live_bytes;
  return now + 16;
}

static inline sheaf_allocator test_allocator(test_alloc *a) {
  return (sheaf_allocator){test_alloc_realloc, a};
}

#endif
