/* queue.h: who is next: weighted fair classes, earliest due inside (algorithms.md 8), and a heap of
 * timers.
 *
 * Intrusive: items live in their owner; a class is a binary heap of pointers on the given
 * allocator. */
#ifndef SHEAF_QUEUE_H
#define SHEAF_QUEUE_H

#include <sheaf/base.h>

#define SHEAF__CLASS_COUNT 5 /* urgent, high, normal, low, deferrable */

/* A place in a heap. */
typedef struct sheaf__heap_node {
  uint64_t key; /* due or deadline, ns */
  uint64_t seq; /* breaks ties: lower first */
  uint32_t at;  /* position + 1 in its heap; 0: in none */
  uint32_t tag; /* the owner's */
} sheaf__heap_node;

typedef struct sheaf__heap {
  sheaf__heap_node **nodes;
  uint32_t count;
  uint32_t capacity;
  uint32_t count_max;
} sheaf__heap;

void sheaf__heap_init(sheaf__heap *heap, uint32_t count_max);
void sheaf__heap_deinit(sheaf__heap *heap, const sheaf_allocator *allocator);
/* SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT. */
int32_t sheaf__heap_push(sheaf__heap *heap, const sheaf_allocator *allocator,
                         sheaf__heap_node *node);
/* Room for n nodes, so that later pushes cannot fail. */
int32_t sheaf__heap_reserve(sheaf__heap *heap, const sheaf_allocator *allocator, uint32_t n);
sheaf__heap_node *sheaf__heap_peek(const sheaf__heap *heap); /* NULL if empty */
sheaf__heap_node *sheaf__heap_pop(sheaf__heap *heap);
void sheaf__heap_remove(sheaf__heap *heap, sheaf__heap_node *node); /* no-op if it is in none */
void sheaf__heap_update(sheaf__heap *heap, sheaf__heap_node *node); /* after its key changed */

typedef struct sheaf__queue_item {
  sheaf__heap_node node; /* key = due_ns, seq = order of first enqueue */
  uint64_t enqueued_ns;
  uint32_t cost;  /* max(1, (input + output estimate) / 256) */
  uint32_t klass; /* 0 urgent .. 4 deferrable */
} sheaf__queue_item;

typedef struct sheaf__queue {
  sheaf__heap classes[SHEAF__CLASS_COUNT];
  uint64_t finish[SHEAF__CLASS_COUNT]; /* F */
  uint64_t virtual_time;               /* V */
  uint64_t class_wait_ns[SHEAF__CLASS_COUNT];
  bool overdue_last; /* the last pop was for an overdue head */
  uint32_t count;
} sheaf__queue;

uint32_t sheaf__queue_class_of(uint32_t priority); /* 1..100 -> 0..4; 0 -> normal */
void sheaf__queue_init(sheaf__queue *queue, uint32_t count_max);
void sheaf__queue_deinit(sheaf__queue *queue, const sheaf_allocator *allocator);
int32_t sheaf__queue_reserve(sheaf__queue *queue, const sheaf_allocator *allocator, uint32_t n);
/* item: cost, klass, enqueued_ns, node.seq set; deadline_ns SHEAF_NEVER if none; service_ns:
 * estimate of one exchange. */
int32_t sheaf__queue_push(sheaf__queue *queue, const sheaf_allocator *allocator,
                          sheaf__queue_item *item, uint64_t deadline_ns, uint64_t service_ns);
/* The next without taking it (the head that waits for its tokens is not overtaken), NULL if empty.
 */
sheaf__queue_item *sheaf__queue_peek(sheaf__queue *queue, uint64_t now_ns);
/* Takes what peek answered at the same now_ns. */
void sheaf__queue_pop(sheaf__queue *queue, sheaf__queue_item *item, uint64_t now_ns);
/* It stays in its class; its due time follows from the class's wait of now. */
void sheaf__queue_due_anew(sheaf__queue *queue, sheaf__queue_item *item, uint64_t deadline_ns,
                           uint64_t service_ns);
/* Takes any one out (cancel, deadline): no accounts move. */
void sheaf__queue_remove(sheaf__queue *queue, sheaf__queue_item *item);

#endif
