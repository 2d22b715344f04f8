/* merge_plain.c: byte-pair merging as it is defined: again and again the pair that comes first.
 *
 * Outline: a heap of pairs, ordered by merge and then by place; parts as a linked row of their
 * first bytes. A pair that changed since it was put on the heap is known by its order, which no
 * longer is the part's. Used to build vocabularies, for ranks that no training gives, and as the
 * measure for the faster way in tests. */
#include "tokens/merge.h"

typedef struct row {
  sheaf__join_fn join;
  const void *ctx;
  const uint8_t *p;
  uint32_t bytes;
  uint32_t *parts;  /* by first byte: the part that begins there */
  uint32_t *ends;   /* by first byte: where it ends */
  uint32_t *before; /* by first byte: where the part before begins */
  uint32_t *orders; /* by first byte: of merging it with the next */
  uint64_t *heap;
  size_t heap_count;
} row;

static void heap_push(row *r, uint64_t entry) {
  size_t at = r->heap_count++;
  while (at > 0 && r->heap[(at - 1) / 2] > entry) {
    r->heap[at] = r->heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  r->heap[at] = entry;
}

static uint64_t heap_pop(row *r) {
  uint64_t top = r->heap[0], moved = r->heap[--r->heap_count];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < r->heap_count; at = child) {
    if (child + 1 < r->heap_count && r->heap[child + 1] < r->heap[child]) child++;
    if (r->heap[child] >= moved) break;
    r->heap[at] = r->heap[child];
  }
  r->heap[at] = moved;
  return top;
}

/* Looks at the part at `at` and its right neighbour anew. */
static void consider(row *r, uint32_t at) {
  uint32_t next = r->ends[at];
  r->orders[at] = SHEAF__NO_TOKEN;
  if (next >= r->bytes) return;
  uint32_t order =
      r->join(r->ctx, r->parts[at], r->parts[next], r->p + at, r->ends[next] - (size_t)at);
  r->orders[at] = order;
  if (order != SHEAF__NO_TOKEN) heap_push(r, (uint64_t)order << 32 | at);
}

size_t sheaf__merge_plain(sheaf__join_fn join, const void *ctx, const uint8_t *p, size_t bytes,
                          uint32_t *parts, uint64_t *words, sheaf__halves *last) {
  uint32_t *half_words = (uint32_t *)words;
  row r = {.join = join,
           .ctx = ctx,
           .p = p,
           .bytes = (uint32_t)bytes,
           .parts = parts,
           .ends = half_words,
           .before = half_words + bytes,
           .orders = half_words + 2 * bytes,
           .heap = words + 2 * bytes};
  for (uint32_t i = 0; i < r.bytes; i++) {
    r.ends[i] = i + 1;
    r.before[i] = i - 1;
  }
  for (uint32_t i = 0; i < r.bytes; i++) consider(&r, i);
  while (r.heap_count > 0) {
    uint64_t entry = heap_pop(&r);
    uint32_t at = (uint32_t)entry, order = (uint32_t)(entry >> 32);
    if (r.orders[at] != order) continue;
    uint32_t next = r.ends[at];
    if (last) *last = (sheaf__halves){parts[at], parts[next]};
    parts[at] = order;
    r.ends[at] = r.ends[next];
    r.orders[next] = SHEAF__NO_TOKEN;
    if (r.ends[at] < r.bytes) r.before[r.ends[at]] = at;
    consider(&r, at);
    if (at > 0) consider(&r, r.before[at]);
  }
  size_t count = 0;
  for (uint32_t at = 0; at < r.bytes; at = r.ends[at]) parts[count++] = parts[at];
  return count;
}
