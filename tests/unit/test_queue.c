/* test_queue.c: the heap, and fairness, deadlines and overdue heads of the queue (algorithms.md 8). */
#include "flow/queue.h"

#include "../support/check.h"
#include "../support/test_alloc.h"

#define SECOND 1000000000ull

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_below(uint64_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % n;
}

/* ---- Heap ---- */

static bool is_heap(const sheaf__heap *heap) {
  for (uint32_t i = 0; i < heap->count; i++) {
    const sheaf__heap_node *node = heap->nodes[i];
    if (node->at != i + 1) return false;
    if (i == 0) continue;
    const sheaf__heap_node *parent = heap->nodes[(i - 1) / 2];
    if (node->key < parent->key || (node->key == parent->key && node->seq < parent->seq))
      return false;
  }
  return true;
}

TEST(a_heap_gives_back_in_order_and_breaks_ties_by_sequence) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf__heap heap;
  sheaf__heap_node nodes[100];
  sheaf__heap_init(&heap, 100);
  for (uint32_t i = 0; i < 100; i++) {
    nodes[i] = (sheaf__heap_node){.key = (i * 37) % 10, .seq = (i * 61) % 100};
    CHECK_OK(sheaf__heap_push(&heap, &allocator, &nodes[i]));
  }
  const sheaf__heap_node *last = sheaf__heap_pop(&heap);
  for (int i = 1; i < 100; i++) {
    const sheaf__heap_node *node = sheaf__heap_pop(&heap);
    CHECK(last->key < node->key || (last->key == node->key && last->seq < node->seq));
    last = node;
  }
  CHECK(sheaf__heap_pop(&heap) == NULL);
  CHECK(sheaf__heap_peek(&heap) == NULL);
  sheaf__heap_deinit(&heap, &allocator);
  CHECK_EQ(memory.live_bytes, 0);
}

TEST(the_heap_property_holds_under_random_operations) {
  enum { NODES = 300 };
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf__heap heap;
  static sheaf__heap_node nodes[NODES];
  memset(nodes, 0, sizeof nodes);
  sheaf__heap_init(&heap, NODES);
  uint32_t inside = 0;
  for (int step = 0; step < 100000; step++) {
    sheaf__heap_node *node = &nodes[random_below(NODES)];
    const uint64_t what = random_below(10);
    if (what < 5 && node->at == 0) {
      node->key = random_below(50);
      node->seq = random_below(1000000);
      CHECK_OK(sheaf__heap_push(&heap, &allocator, node));
      inside++;
    } else if (what < 7) {
      if (node->at) inside--;
      sheaf__heap_remove(&heap, node);
      CHECK_EQ(node->at, 0);
    } else if (what < 9) {
      node->key = random_below(50);
      sheaf__heap_update(&heap, node);
    } else if (sheaf__heap_peek(&heap)) {
      const sheaf__heap_node *least = sheaf__heap_peek(&heap);
      for (int i = 0; i < NODES; i++) CHECK(nodes[i].at == 0 || nodes[i].key >= least->key);
      CHECK(sheaf__heap_pop(&heap) == least);
      inside--;
    }
    CHECK_EQ(heap.count, inside);
    if (step % 16 == 0) CHECK(is_heap(&heap));
  }
  sheaf__heap_deinit(&heap, &allocator);
  CHECK_EQ(memory.live_blocks, 0);
  CHECK(!memory.size_mismatch);
}

TEST(a_full_heap_says_so_and_a_refusing_allocator_changes_nothing) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf__heap heap;
  sheaf__heap_node nodes[20] = {{0}};
  sheaf__heap_init(&heap, 17);
  for (int i = 0; i < 16; i++) CHECK_OK(sheaf__heap_push(&heap, &allocator, &nodes[i]));
  memory.fail_at = memory.calls + 1;
  CHECK_STATUS(sheaf__heap_push(&heap, &allocator, &nodes[16]), SHEAF_E_NOMEM);
  CHECK_EQ(heap.count, 16);
  CHECK_EQ(nodes[16].at, 0);
  CHECK_OK(sheaf__heap_push(&heap, &allocator, &nodes[16]));
  CHECK_STATUS(sheaf__heap_push(&heap, &allocator, &nodes[17]), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf__heap_reserve(&heap, &allocator, 18), SHEAF_E_LIMIT);
  sheaf__heap_deinit(&heap, &allocator);
  CHECK_EQ(nodes[0].at, 0);
  CHECK_EQ(memory.live_bytes, 0);
}

TEST(after_reserving_pushes_do_not_allocate) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf__heap heap;
  sheaf__heap_node nodes[100] = {{0}};
  sheaf__heap_init(&heap, 100);
  CHECK_OK(sheaf__heap_reserve(&heap, &allocator, 100));
  memory.fail_at = memory.calls + 1;
  memory.fail_after = true;
  for (int i = 0; i < 100; i++) CHECK_OK(sheaf__heap_push(&heap, &allocator, &nodes[i]));
  sheaf__heap_deinit(&heap, &allocator);
}

/* ---- Queue ---- */

typedef struct bench {
  test_alloc memory;
  sheaf_allocator allocator;
  sheaf__queue queue;
  sheaf__queue_item *items;
  uint32_t count;
} bench;

static void set_up(bench *s, uint32_t count) {
  memset(s, 0, sizeof *s);
  s->allocator = test_allocator(&s->memory);
  s->items = calloc(count, sizeof *s->items);
  sheaf__queue_init(&s->queue, count);
}

static void tear_down(bench *s) {
  sheaf__queue_deinit(&s->queue, &s->allocator);
  CHECK_EQ(s->memory.live_bytes, 0);
  CHECK(!s->memory.size_mismatch);
  free(s->items);
}

static sheaf__queue_item *push(bench *s, uint32_t klass, uint32_t cost, uint64_t deadline,
                               uint64_t now) {
  sheaf__queue_item *item = &s->items[s->count];
  *item = (sheaf__queue_item){
      .node = {.seq = s->count}, .enqueued_ns = now, .cost = cost, .klass = klass};
  s->count++;
  CHECK_OK(sheaf__queue_push(&s->queue, &s->allocator, item, deadline, 0));
  return item;
}

static sheaf__queue_item *pop(bench *s, uint64_t now) {
  sheaf__queue_item *item = sheaf__queue_peek(&s->queue, now);
  if (item) sheaf__queue_pop(&s->queue, item, now);
  return item;
}

TEST(priorities_fall_into_the_nearest_class_not_above_them) {
  static const uint32_t cases[][2] = {{100, 0}, {101, 0}, {99, 1}, {75, 1}, {74, 2}, {50, 2},
                                      {49, 3},  {25, 3},  {24, 4}, {10, 4}, {1, 4},  {0, 2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CHECK_EQ(sheaf__queue_class_of(cases[i][0]), cases[i][1]);
}

TEST(an_empty_queue_has_nothing) {
  bench s;
  set_up(&s, 1);
  CHECK(sheaf__queue_peek(&s.queue, 0) == NULL);
  tear_down(&s);
}

/* Unit costs, all classes busy: 38.46, 28.85, 19.23, 9.62 and 3.85 %. */
TEST(busy_classes_get_their_shares) {
  enum { POPS = 2600, EACH = 1200 };
  static const int weights[] = {100, 75, 50, 25, 10};
  bench s;
  set_up(&s, EACH * 5);
  for (uint32_t c = 0; c < 5; c++)
    for (int i = 0; i < EACH; i++) push(&s, c, 1, SHEAF_NEVER, 0);
  int got[5] = {0};
  for (int i = 1; i <= POPS; i++) {
    got[pop(&s, 1)->klass]++;
    for (int c = 0; c < 5;
         c++) { /* never further than one from its share, up to one more for rounding */
      const int apart = got[c] * 260 - i * weights[c];
      CHECK(apart <= 2 * 260 && apart >= -2 * 260);
    }
  }
  static const int hundredths[] = {3846, 2885, 1923, 962, 385};
  for (int c = 0; c < 5; c++) {
    const int off = got[c] * 10000 / POPS - hundredths[c];
    CHECK(off <= 4 && off >= -4); /* one pop of 2600 is 0.038 % */
  }
  tear_down(&s);
}

/* Costs differ: what is shared is cost, not count. */
TEST(shares_are_of_cost) {
  bench s;
  set_up(&s, 4000);
  for (int i = 0; i < 2000; i++) push(&s, 0, 10, SHEAF_NEVER, 0);
  for (int i = 0; i < 2000; i++) push(&s, 2, 5, SHEAF_NEVER, 0);
  uint64_t cost[5] = {0};
  for (int i = 0; i < 2000; i++) {
    const sheaf__queue_item *item = pop(&s, 1);
    cost[item->klass] += item->cost;
  }
  CHECK(cost[0] <= 2 * cost[2] + 20);
  CHECK(cost[0] + 20 >= 2 * cost[2]);
  tear_down(&s);
}

TEST(a_class_that_was_idle_gets_no_credit) {
  bench s;
  set_up(&s, 1000);
  for (int i = 0; i < 300; i++) push(&s, 2, 1, SHEAF_NEVER, 0);
  for (int i = 0; i < 200; i++) CHECK_EQ(pop(&s, 1)->klass, 2);
  for (int i = 0; i < 300; i++) push(&s, 3, 1, SHEAF_NEVER, 0);
  int low = 0;
  for (int i = 0; i < 90; i++) low += pop(&s, 1)->klass == 3;
  CHECK(low >= 29 && low <= 31); /* 25 : 50 from now on, not 200 at once */
  tear_down(&s);
}

TEST(a_lone_urgent_request_goes_first) {
  bench s;
  set_up(&s, 1000);
  for (int i = 0; i < 300; i++) push(&s, 2, 1, SHEAF_NEVER, 0);
  for (int i = 0; i < 50; i++) pop(&s, 1);
  const sheaf__queue_item *urgent = push(&s, 0, 1, SHEAF_NEVER, 1);
  CHECK(pop(&s, 1) == urgent);
  tear_down(&s);
}

TEST(inside_a_class_the_earliest_deadline_goes_first) {
  bench s;
  set_up(&s, 500);
  for (uint32_t i = 0; i < 500; i++) push(&s, 2, 1, 1 + random_below(100 * SECOND), 0);
  uint64_t last = 0;
  for (uint32_t i = 0; i < 500; i++) {
    const sheaf__queue_item *item = pop(&s, 0);
    CHECK(item->node.key >= last);
    last = item->node.key;
  }
  tear_down(&s);
}

TEST(due_is_the_deadline_less_the_service_or_the_class_wait) {
  bench s;
  set_up(&s, 4);
  sheaf__queue_item *item = push(&s, 2, 1, SHEAF_NEVER, 7);
  CHECK_EQ(item->node.key, 7 + 120 * SECOND);
  static const uint64_t waits[] = {2, 15, 120, 900, 21600};
  for (int c = 0; c < 5; c++) CHECK_EQ(s.queue.class_wait_ns[c], waits[c] * SECOND);
  sheaf__queue_remove(&s.queue, item);
  CHECK_OK(sheaf__queue_push(&s.queue, &s.allocator, item, 50 * SECOND, 20 * SECOND));
  CHECK_EQ(item->node.key, 30 * SECOND);
  sheaf__queue_remove(&s.queue, item);
  CHECK_OK(sheaf__queue_push(&s.queue, &s.allocator, item, 50 * SECOND, 60 * SECOND));
  CHECK_EQ(item->node.key, 0);
  tear_down(&s);
}

TEST(without_deadlines_a_class_is_first_come_first_served) {
  bench s;
  set_up(&s, 100);
  for (int i = 0; i < 100; i++) push(&s, 1, 1, SHEAF_NEVER, 5);
  for (uint32_t i = 0; i < 100; i++) CHECK_EQ(pop(&s, 6)->node.seq, i);
  tear_down(&s);
}

/* Low work past its 15 minutes against a busy normal class: every second pop, no more. */
TEST(an_overdue_head_goes_next_but_at_most_every_second_time) {
  bench s;
  set_up(&s, 400);
  for (int i = 0; i < 100; i++) push(&s, 3, 1, SHEAF_NEVER, 0);
  const uint64_t now = 901 * SECOND;
  for (int i = 0; i < 300; i++) push(&s, 2, 1, SHEAF_NEVER, now);
  uint32_t before = 0;
  int low = 0;
  for (int i = 0; i < 100; i++) {
    const uint32_t klass = pop(&s, now)->klass;
    if (i == 0) CHECK_EQ(klass, 3);
    CHECK(!(klass == 3 && before == 3));
    low += klass == 3;
    before = klass;
  }
  CHECK(low >= 49);
  tear_down(&s);
}

TEST(of_overdue_heads_the_earliest_due_goes) {
  bench s;
  set_up(&s, 10);
  push(&s, 2, 1, 50 * SECOND, 0);
  const sheaf__queue_item *earlier = push(&s, 4, 1, 40 * SECOND, 0);
  CHECK(pop(&s, 60 * SECOND) == earlier);
  tear_down(&s);
}

/* However much bulk is overdue, a fresh urgent request waits for at most one other pop. */
TEST(overdue_bulk_does_not_bury_fresh_urgent_work) {
  bench s;
  set_up(&s, 5000);
  for (int i = 0; i < 2000; i++) push(&s, 4, 1 + (uint32_t)random_below(50), SHEAF_NEVER, 0);
  for (int i = 0; i < 1000; i++) push(&s, 2, 1 + (uint32_t)random_below(50), SHEAF_NEVER, 0);
  uint64_t now = 30000 * SECOND;
  for (int round = 0; round < 150; round++) {
    for (uint64_t i = random_below(10); i > 0; i--) pop(&s, now);
    /* what the last urgent one cost has been made up for by now */
    while (s.queue.finish[0] > s.queue.virtual_time) pop(&s, now);
    const sheaf__queue_item *urgent = push(&s, 0, 1, SHEAF_NEVER, now);
    if (pop(&s, now) != urgent) CHECK(pop(&s, now) == urgent);
    now += SECOND / 10;
  }
  tear_down(&s);
}

/* A head waits for its class's limit and then for at most two pops of overdue work ahead of it. */
TEST(the_wait_of_a_head_is_bounded) {
  bench s;
  set_up(&s, 9000);
  uint64_t now = 0;
  const uint64_t step = SECOND / 100;
  sheaf__queue_item *watched = push(&s, 3, 1, SHEAF_NEVER, now);
  for (int i = 0; i < 3; i++) push(&s, 0, 100, SHEAF_NEVER, now);
  uint64_t popped = SHEAF_NEVER;
  s.queue.class_wait_ns[3] = 10 * SECOND;
  watched->node.key = 10 * SECOND;
  s.queue.finish[3] = UINT64_MAX / 2; /* as if its share were used up for a long time */
  for (int i = 0; i < 3000 && popped == SHEAF_NEVER; i++, now += step) {
    push(&s, 0, 1, SHEAF_NEVER, now);
    if (pop(&s, now) == watched) popped = now;
  }
  CHECK(popped > 10 * SECOND);
  CHECK(popped <= 10 * SECOND + 3 * step);
  tear_down(&s);
}

TEST(every_pushed_one_is_popped_once) {
  enum { COUNT = 5000 };
  bench s;
  set_up(&s, COUNT);
  static uint8_t seen[COUNT];
  memset(seen, 0, sizeof seen);
  uint32_t out = 0;
  uint64_t now = 0;
  while (out < COUNT) {
    now += random_below(SECOND);
    if (s.count < COUNT && random_below(2)) {
      const uint64_t deadline = random_below(3) ? SHEAF_NEVER : now + random_below(60 * SECOND);
      push(&s, (uint32_t)random_below(5), 1 + (uint32_t)random_below(1000), deadline, now);
      continue;
    }
    sheaf__queue_item *item = sheaf__queue_peek(&s.queue, now);
    if (!item) continue;
    if (random_below(10) == 0)
      sheaf__queue_remove(&s.queue, item);
    else
      sheaf__queue_pop(&s.queue, item, now);
    CHECK_EQ(seen[item->node.seq], 0);
    seen[item->node.seq] = 1;
    out++;
    CHECK_EQ(s.queue.count, s.count - out);
  }
  CHECK(sheaf__queue_peek(&s.queue, now) == NULL);
  tear_down(&s);
}

TEST(a_refused_push_changes_nothing) {
  bench s;
  set_up(&s, 2);
  s.memory.fail_at = 1;
  sheaf__queue_item item = {.cost = 1, .klass = 1};
  CHECK_STATUS(sheaf__queue_push(&s.queue, &s.allocator, &item, SHEAF_NEVER, 0), SHEAF_E_NOMEM);
  CHECK_EQ(s.queue.count, 0);
  push(&s, 0, 1, SHEAF_NEVER, 0);
  push(&s, 1, 1, SHEAF_NEVER, 0);
  CHECK_STATUS(sheaf__queue_push(&s.queue, &s.allocator, &item, SHEAF_NEVER, 0), SHEAF_E_LIMIT);
  CHECK_EQ(s.queue.count, 2);
  tear_down(&s);
}

TEST(after_reserving_pushes_of_any_class_do_not_allocate) {
  bench s;
  set_up(&s, 100);
  CHECK_OK(sheaf__queue_reserve(&s.queue, &s.allocator, 100));
  s.memory.fail_at = s.memory.calls + 1;
  s.memory.fail_after = true;
  for (uint32_t i = 0; i < 100; i++) push(&s, i % 5, 1, SHEAF_NEVER, 0);
  tear_down(&s);
}

TEST(removing_what_is_not_there_does_nothing) {
  bench s;
  set_up(&s, 2);
  sheaf__queue_item item = {.cost = 1, .klass = 1};
  sheaf__queue_remove(&s.queue, &item);
  CHECK_EQ(s.queue.count, 0);
  tear_down(&s);
}

TEST(huge_costs_do_not_wrap_the_virtual_time) {
  bench s;
  set_up(&s, 200);
  for (int i = 0; i < 100; i++) push(&s, 4, UINT32_MAX, SHEAF_NEVER, 0);
  s.queue.finish[4] = UINT64_MAX - 1000;
  for (int i = 0; i < 100; i++) CHECK(pop(&s, 1) != NULL);
  CHECK(s.queue.finish[4] >= UINT64_MAX - 1000);
  tear_down(&s);
}

int main(void) {
  RUN(a_heap_gives_back_in_order_and_breaks_ties_by_sequence);
  RUN(the_heap_property_holds_under_random_operations);
  RUN(a_full_heap_says_so_and_a_refusing_allocator_changes_nothing);
  RUN(after_reserving_pushes_do_not_allocate);
  RUN(priorities_fall_into_the_nearest_class_not_above_them);
  RUN(an_empty_queue_has_nothing);
  RUN(busy_classes_get_their_shares);
  RUN(shares_are_of_cost);
  RUN(a_class_that_was_idle_gets_no_credit);
  RUN(a_lone_urgent_request_goes_first);
  RUN(inside_a_class_the_earliest_deadline_goes_first);
  RUN(due_is_the_deadline_less_the_service_or_the_class_wait);
  RUN(without_deadlines_a_class_is_first_come_first_served);
  RUN(an_overdue_head_goes_next_but_at_most_every_second_time);
  RUN(of_overdue_heads_the_earliest_due_goes);
  RUN(overdue_bulk_does_not_bury_fresh_urgent_work);
  RUN(the_wait_of_a_head_is_bounded);
  RUN(every_pushed_one_is_popped_once);
  RUN(a_refused_push_changes_nothing);
  RUN(after_reserving_pushes_of_any_class_do_not_allocate);
  RUN(removing_what_is_not_there_does_nothing);
  RUN(huge_costs_do_not_wrap_the_virtual_time);
  return check_report();
}
