/* test_wasm_heap.c: the modules' allocator over memory that is handed to it piece by piece: blocks never overlap, keep
 * what is in them, and everything that was freed can be had again in one piece. */
#include "../../wasm/heap.h"

#include "check.h"

#include <stdlib.h>

#define ARENA (1u << 20)
#define SLOTS 300u

static uint64_t arena[ARENA / 8];
static size_t arena_used, arena_gap, arena_most;

/* As memory.grow does it, in pieces of 4 KB; a gap in front of a piece keeps it apart from the last. */
static void *more(size_t *bytes) {
  size_t wanted = (*bytes + 4095u) / 4096u * 4096u;
  if (wanted > arena_most || arena_used + arena_gap + wanted > arena_most) return NULL;
  arena_used += arena_gap;
  void *piece = (char *)arena + arena_used;
  arena_used += wanted;
  *bytes = wanted;
  return piece;
}

static wasm_heap fresh(size_t most, size_t gap) {
  arena_used = 0;
  arena_gap = gap;
  arena_most = most;
  return (wasm_heap){.more = more};
}

static uint32_t state;
static uint32_t next_number(uint32_t below) {
  state = state * 1664525u + 1013904223u; /* Numerical Recipes, 7.1 */
  return (uint32_t)((uint64_t)(state >> 8) * below >> 24);
}

typedef struct slot {
  unsigned char *data;
  size_t bytes;
  unsigned char pattern;
} slot;

static size_t spoiled(const slot *s, size_t bytes) {
  size_t bad = 0;
  for (size_t i = 0; i < bytes; i++) bad += s->data[i] != s->pattern;
  return bad;
}

/* Sizes as an engine asks for: most small, some large. */
static size_t some_size(void) {
  return next_number(20) == 0 ? 1 + next_number(20000) : 1 + next_number(300);
}

static void churn(wasm_heap *heap, slot *slots, uint32_t turns) {
  for (uint32_t turn = 0; turn < turns; turn++) {
    slot *s = &slots[next_number(SLOTS)];
    size_t bytes = next_number(3) == 0 ? 0 : some_size();
    CHECK_EQ(spoiled(s, s->bytes), 0);
    if (!s->data && bytes == 0) continue;
    unsigned char *data = sheaf__heap_resize(heap, s->data, bytes);
    CHECK((data != NULL) == (bytes != 0));
    if (bytes && !data) return;
    CHECK_EQ((uintptr_t)data % 8, 0);
    s->data = data;
    if (bytes) CHECK_EQ(spoiled(s, bytes < s->bytes ? bytes : s->bytes), 0);
    s->bytes = bytes;
    s->pattern = (unsigned char)turn;
    if (bytes) memset(data, s->pattern, bytes);
  }
}

TEST(blocks_keep_what_is_in_them) {
  for (uint32_t round = 0; round < 6; round++) {
    slot slots[SLOTS] = {{0}};
    wasm_heap heap = fresh(ARENA, round % 2 ? 64 : 0);
    state = round;
    churn(&heap, slots, 4000);
    for (uint32_t i = 0; i < SLOTS; i++) CHECK_EQ(spoiled(&slots[i], slots[i].bytes), 0);
  }
}

TEST(what_is_freed_becomes_one_piece_again) {
  slot slots[SLOTS] = {{0}};
  wasm_heap heap = fresh(ARENA, 0);
  state = 77;
  churn(&heap, slots, 4000);
  for (uint32_t i = 0; i < SLOTS; i++)
    if (slots[i].data) sheaf__heap_resize(&heap, slots[i].data, 0);
  size_t used = arena_used;
  /* A header in front, and the end behind. */
  char *whole = sheaf__heap_resize(&heap, NULL, used - 16);
  CHECK(whole != NULL);
  CHECK_EQ(arena_used, used);
  if (whole) memset(whole, 1, used - 16);
}

TEST(memory_that_is_freed_is_used_again) {
  wasm_heap heap = fresh(ARENA, 0);
  for (uint32_t i = 0; i < 100000; i++) {
    void *data = sheaf__heap_resize(&heap, NULL, 1 + i % 3000);
    CHECK(data != NULL);
    sheaf__heap_resize(&heap, data, 0);
  }
  CHECK_EQ(arena_used, 4096);
}

TEST(a_block_at_the_end_grows_where_it_is) {
  wasm_heap heap = fresh(ARENA, 0);
  char *first = sheaf__heap_resize(&heap, NULL, 100), *data = first;
  for (size_t bytes = 200; bytes < ARENA / 2; bytes *= 2)
    data = sheaf__heap_resize(&heap, data, bytes);
  CHECK(data == first);
}

TEST(a_refusal_leaves_the_block_as_it_was) {
  wasm_heap heap = fresh(8192, 0);
  char *data = sheaf__heap_resize(&heap, NULL, 2000);
  CHECK(data != NULL);
  if (!data) return;
  memset(data, 'x', 2000);
  CHECK(sheaf__heap_resize(&heap, data, 9000) == NULL);
  CHECK(sheaf__heap_resize(&heap, data, 0x80000000u) == NULL);
  CHECK(sheaf__heap_resize(&heap, NULL, 9000) == NULL);
  CHECK(sheaf__heap_resize(&heap, NULL, SIZE_MAX) == NULL);
  slot s = {(unsigned char *)data, 2000, 'x'};
  CHECK_EQ(spoiled(&s, 2000), 0);
  CHECK(sheaf__heap_resize(&heap, NULL, 0) == NULL);
  CHECK(sheaf__heap_resize(&heap, data, 3000) != NULL);
}

int main(void) {
  RUN(blocks_keep_what_is_in_them);
  RUN(what_is_freed_becomes_one_piece_again);
  RUN(memory_that_is_freed_is_used_again);
  RUN(a_block_at_the_end_grows_where_it_is);
  RUN(a_refusal_leaves_the_block_as_it_was);
  return check_report();
}
