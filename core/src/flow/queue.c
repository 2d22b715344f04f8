/* queue.c: weighted fair between classes, earliest due inside one (algorithms.md 8).
 *
 * F[c] is the virtual time at which class c is next served; a pop takes the class with the least and moves V there. A
 * head whose due time has passed goes first, but at most at every second pop, so that overdue bulk cannot bury fresh
 * urgent work. Such a pop is charged to its class like any other and leaves V alone: V only follows fair pops, else one
 * overdue class would push every newly woken class behind itself. Order: making, pushing, choosing, taking. */
#include "flow/queue.h"

#include <sheaf/request.h>

#include "base/mem.h"

/* Shares of the classes and how long the head of each waits at most: urgent, high, normal, low, deferrable. */
static const uint32_t weights[SHEAF__CLASS_COUNT] = {SHEAF_PRIORITY_URGENT, SHEAF_PRIORITY_HIGH,
                                                     SHEAF_PRIORITY_NORMAL, SHEAF_PRIORITY_LOW,
                                                     SHEAF_PRIORITY_DEFERRABLE};
static const uint64_t wait_seconds[SHEAF__CLASS_COUNT] = {2, 15, 120, 900, 21600};

#define NO_CLASS SHEAF__CLASS_COUNT

uint32_t sheaf__queue_class_of(uint32_t priority) {
  if (priority == 0) priority = SHEAF_PRIORITY_NORMAL;
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT - 1; c++)
    if (priority >= weights[c]) return c;
  return SHEAF__CLASS_COUNT - 1;
}

void sheaf__queue_init(sheaf__queue *queue, uint32_t count_max) {
  *queue = (sheaf__queue){0};
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT; c++) {
    sheaf__heap_init(&queue->classes[c], count_max);
    queue->class_wait_ns[c] = wait_seconds[c] * SHEAF__SECOND;
  }
}

void sheaf__queue_deinit(sheaf__queue *queue, const sheaf_allocator *allocator) {
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT; c++)
    sheaf__heap_deinit(&queue->classes[c], allocator);
  queue->count = 0;
}

int32_t sheaf__queue_reserve(sheaf__queue *queue, const sheaf_allocator *allocator, uint32_t n) {
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT; c++) {
    const int32_t status = sheaf__heap_reserve(&queue->classes[c], allocator, n);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

static sheaf__queue_item *item_of(sheaf__heap_node *node) {
  _Static_assert(offsetof(sheaf__queue_item, node) == 0, "a node is the head of its item");
  return (sheaf__queue_item *)(void *)node;
}

/* When it is to go next at the latest: in time for its deadline, or when its class has waited enough. */
static uint64_t due_of(const sheaf__queue *queue, const sheaf__queue_item *item,
                       uint64_t deadline_ns, uint64_t service_ns) {
  uint64_t latest = SHEAF_NEVER;
  if (deadline_ns != SHEAF_NEVER) latest = deadline_ns > service_ns ? deadline_ns - service_ns : 0;
  return sheaf__min_u64(latest,
                        sheaf__add_sat(item->enqueued_ns, queue->class_wait_ns[item->klass]));
}

int32_t sheaf__queue_push(sheaf__queue *queue, const sheaf_allocator *allocator,
                          sheaf__queue_item *item, uint64_t deadline_ns, uint64_t service_ns) {
  SHEAF_ASSERT(item->klass < SHEAF__CLASS_COUNT);
  const uint32_t c = item->klass;
  sheaf__heap *heap = &queue->classes[c];
  if (queue->count >= heap->count_max) return SHEAF_E_LIMIT;
  item->node.key = due_of(queue, item, deadline_ns, service_ns);
  const bool was_empty = heap->count == 0;
  const int32_t status = sheaf__heap_push(heap, allocator, &item->node);
  if (status != SHEAF_OK) return status;
  if (was_empty) queue->finish[c] = sheaf__max_u64(queue->finish[c], queue->virtual_time);
  queue->count++;
  return SHEAF_OK;
}

void sheaf__queue_due_anew(sheaf__queue *queue, sheaf__queue_item *item, uint64_t deadline_ns,
                           uint64_t service_ns) {
  item->node.key = due_of(queue, item, deadline_ns, service_ns);
  sheaf__heap_update(&queue->classes[item->klass], &item->node);
}

/* The class whose turn it is; ties go to the heavier. */
static uint32_t fair_class(const sheaf__queue *queue) {
  uint32_t best = NO_CLASS;
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT; c++) {
    if (queue->classes[c].count == 0) continue;
    if (best == NO_CLASS || queue->finish[c] < queue->finish[best]) best = c;
  }
  return best;
}

/* The class whose head is past its due time for longest. */
static uint32_t overdue_class(const sheaf__queue *queue, uint64_t now_ns) {
  if (queue->overdue_last) return NO_CLASS;
  uint32_t best = NO_CLASS;
  uint64_t best_due = now_ns;
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT; c++) {
    if (queue->classes[c].count == 0) continue;
    const uint64_t due = queue->classes[c].nodes[0]->key;
    if (due < best_due) best = c, best_due = due;
  }
  return best;
}

sheaf__queue_item *sheaf__queue_peek(sheaf__queue *queue, uint64_t now_ns) {
  if (queue->count == 0) return NULL;
  uint32_t c = overdue_class(queue, now_ns);
  if (c == NO_CLASS) c = fair_class(queue);
  SHEAF_ASSERT(c < SHEAF__CLASS_COUNT);
  return item_of(queue->classes[c].nodes[0]);
}

void sheaf__queue_pop(sheaf__queue *queue, sheaf__queue_item *item, uint64_t now_ns) {
  SHEAF_ASSERT(item->node.at != 0);
  const uint32_t c = item->klass;
  queue->overdue_last = overdue_class(queue, now_ns) == c;
  if (fair_class(queue) == c) queue->virtual_time = queue->finish[c];
  const uint64_t cost = item->cost ? item->cost : 1;
  queue->finish[c] = sheaf__add_sat(queue->finish[c], (cost << 20) / weights[c]);
  sheaf__queue_remove(queue, item);
}

void sheaf__queue_remove(sheaf__queue *queue, sheaf__queue_item *item) {
  if (item->node.at == 0) return;
  SHEAF_ASSERT(queue->count > 0);
  sheaf__heap_remove(&queue->classes[item->klass], &item->node);
  queue->count--;
}
