/* test_pool_set: limits that change while requests are under way, of pools, of concurrency and of waits in a queue. */
#include "check.h"
#include "test_alloc.h"

#include <sheaf/request.h>
#include <sheaf/stats.h>

#include "flow/concurrency.h"
#include "flow/pool.h"
#include "flow/queue.h"

#define MS 1000000ull
#define SECOND (1000 * MS)

static sheaf__pool pool;
static sheaf__pool_limits limits;
static const sheaf__cost none = {0, 0};

static void make(uint64_t rpm, uint64_t tpm) {
  limits = (sheaf__pool_limits){.rpm = rpm, .tpm = tpm, .rate_safety_pct = 100, .burst_ms = 1000};
  const sheaf__pool_options options = {.rpm = rpm,
                                       .tpm = tpm,
                                       .rate_safety_pct = 100,
                                       .burst_ms = 1000,
                                       .charge_tokens = SHEAF_CHARGE_ACTUAL,
                                       .charge_output = SHEAF_CHARGE_ACTUAL};
  sheaf__pool_init(&pool, &options, 0);
}

static uint64_t gate(const sheaf__cost *cost, uint64_t now_ns) {
  uint32_t limited_by;
  return sheaf__pool_gate(&pool, cost, now_ns, &limited_by);
}

/* Takes as many as pass now. */
static uint32_t take_all(const sheaf__cost *cost, uint64_t now_ns, uint32_t most) {
  uint32_t n = 0;
  while (n < most && gate(cost, now_ns) == 0) sheaf__pool_take(&pool, cost, ++n, now_ns);
  return n;
}

TEST(a_higher_rate_fills_up_faster_from_the_level_of_now) {
  make(60, 0); /* one a second, one saved up */
  CHECK_EQ(take_all(&none, 0, 10), 1);
  CHECK_EQ(gate(&none, 0), SECOND);
  limits.rpm = 600;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(gate(&none, 0), SECOND / 10);
  CHECK_EQ(take_all(&none, 10 * SECOND, 100), 10); /* a second's worth is saved up */
}

TEST(a_lower_rate_cuts_what_was_saved_up) {
  make(600, 0);
  limits.rpm = 60;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(take_all(&none, 0, 100), 1);
  CHECK_EQ(gate(&none, 0), SECOND);
}

TEST(debt_stays_debt_under_another_rate) {
  const sheaf__cost cost = {3000, 0};
  make(0, 60000); /* 1000 tokens a second, as many saved up */
  CHECK_EQ(take_all(&cost, 0, 1), 1);
  CHECK_EQ(gate(&none, 0), 0 + 2 * SECOND); /* 2000 in debt; the next of no tokens waits for 0 */
  limits.tpm = 120000;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(gate(&none, 0), SECOND);
}

TEST(a_limit_that_comes_later_counts_what_is_under_way) {
  const sheaf__cost cost = {1000, 500};
  make(0, 0);
  CHECK_EQ(take_all(&cost, 0, 4), 4);
  limits.tpm = 60000; /* 1000 saved up, less 4 x 1500 reserved: 5000 short, at 1000 a second */
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(gate(&none, 0), 5 * SECOND);
  limits.rpm = 60; /* 1 saved up, 4 under way: the next needs 4 more */
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(gate(&none, 0), 5 * SECOND);
  for (uint64_t id = 1; id <= 4; id++) { /* the books of what was reserved still balance */
    sheaf__pool_on_head(&pool, &cost, id, true, NULL, 0, SECOND);
    sheaf__pool_settle(&pool, &cost, SHEAF_BILLING_BILLED, NULL, 0, SECOND);
  }
  for (uint32_t r = 0; r < SHEAF_RESOURCE_COUNT; r++) CHECK_EQ(pool.meters[r].unacked, 0);
}

TEST(a_limit_that_goes_lets_everything_pass) {
  const sheaf__cost cost = {5000, 0};
  make(60, 60000);
  CHECK_EQ(take_all(&cost, 0, 10), 1);
  CHECK(gate(&cost, 0) > 0);
  limits.rpm = limits.tpm = 0;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(take_all(&cost, 0, 100), 100);
}

TEST(what_headers_told_stands_when_the_stated_limit_goes) {
  make(6000, 0);
  const sheaf_limit told = {.resource = SHEAF_RESOURCE_REQUESTS,
                            .limit = 60,
                            .remaining = SHEAF_ABSENT,
                            .reset_ns = SHEAF_NEVER};
  for (uint64_t id = 1; id <= 2; id++) { /* two heads in a row are believed */
    sheaf__pool_take(&pool, &none, id, 0);
    sheaf__pool_on_head(&pool, &none, id, true, &told, 1, 0);
  }
  CHECK_EQ(pool.meters[SHEAF_RESOURCE_REQUESTS].bucket.limit, 60);
  limits.rpm = 0;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(pool.meters[SHEAF_RESOURCE_REQUESTS].bucket.limit, 60);
  limits.rpm = 30;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(pool.meters[SHEAF_RESOURCE_REQUESTS].bucket.limit, 30);
}

TEST(safety_and_burst_shape_the_limits_that_stand) {
  make(600, 0);
  limits.rate_safety_pct = 50;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(pool.meters[SHEAF_RESOURCE_REQUESTS].bucket.limit, 300);
  limits.burst_ms = 4000;
  sheaf__pool_set_limits(&pool, &limits, 0);
  CHECK_EQ(pool.meters[SHEAF_RESOURCE_REQUESTS].bucket.cap, 20); /* 4 s of 5 a second */
}

TEST(another_interval_counts_from_the_last_start) {
  make(0, 0);
  limits.start_interval_ms = 600000;
  sheaf__pool_set_limits(&pool, &limits, 0);
  sheaf__pool_take(&pool, &none, 1, 10 * SECOND);
  CHECK_EQ(gate(&none, 11 * SECOND), 610 * SECOND);
  limits.start_interval_ms = 5000;
  sheaf__pool_set_limits(&pool, &limits, 11 * SECOND);
  CHECK_EQ(gate(&none, 11 * SECOND), 15 * SECOND);
  limits.start_interval_ms = 0;
  sheaf__pool_set_limits(&pool, &limits, 11 * SECOND);
  CHECK_EQ(gate(&none, 11 * SECOND), 0);
}

TEST(the_same_limits_change_nothing) {
  const sheaf__cost cost = {700, 0};
  make(600, 60000);
  sheaf__pool_take(&pool, &cost, 1, 0);
  const sheaf__pool before = pool;
  sheaf__pool_set_limits(&pool, &limits, 3 * MS);
  CHECK(memcmp(&before, &pool, sizeof pool) == 0);
}

/* ---- Concurrency ---- */

static uint64_t limit(const sheaf__concurrency *c, uint64_t now_ns) {
  return sheaf__concurrency_limit_milli(c, now_ns);
}

TEST(a_lower_ceiling_holds_while_more_is_in_flight) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 10, 10, 0);
  for (int i = 0; i < 10; i++) sheaf__concurrency_on_start(&c, 0);
  sheaf__concurrency_set(&c, 3, 3, 0);
  CHECK_EQ(limit(&c, 0), 3000);
  for (int i = 0; i < 7; i++) {
    CHECK(!sheaf__concurrency_may(&c, 0));
    sheaf__concurrency_on_end(&c, true, 0, 0);
  }
  CHECK(!sheaf__concurrency_may(&c, 0)); /* three are out */
  sheaf__concurrency_on_end(&c, true, 0, 0);
  CHECK(sheaf__concurrency_may(&c, 0));
}

TEST(from_fixed_to_adaptive_the_search_begins_with_what_is_in_use) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 50, 50, 0);
  for (int i = 0; i < 30; i++) sheaf__concurrency_on_start(&c, 0);
  sheaf__concurrency_set(&c, 0, 256, 0);
  CHECK_EQ(limit(&c, 0), 30000);
  sheaf__concurrency_set(&c, 0, 20, 0);
  CHECK_EQ(limit(&c, 0), 20000);
  for (int i = 0; i < 30; i++) sheaf__concurrency_on_end(&c, false, 0, 0);
  CHECK_EQ(c.in_flight, 0);
}

TEST(an_idle_fixed_limit_becomes_the_adaptive_start) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 50, 50, 0);
  sheaf__concurrency_set(&c, 0, 256, 0);
  CHECK_EQ(limit(&c, 0), 8000);
  sheaf__concurrency_set(&c, 64, 64, 0);
  CHECK_EQ(limit(&c, 0), 64000);
}

TEST(a_cut_limit_goes_on_under_another_ceiling) {
  sheaf__concurrency c;
  sheaf__concurrency_init(&c, 0, 256, 0);
  for (int i = 0; i < 8; i++) sheaf__concurrency_on_start(&c, 0);
  sheaf__concurrency_cut(&c, SECOND);
  const uint64_t before = limit(&c, SECOND);
  CHECK(before < 8000);
  sheaf__concurrency_set(&c, 0, 300, SECOND);
  CHECK_EQ(limit(&c, SECOND), before);
  sheaf__concurrency_set(&c, 0, 2, SECOND);
  CHECK_EQ(limit(&c, SECOND), 2000);
}

/* ---- Waits of the classes ---- */

TEST(who_waits_is_due_anew_when_its_class_waits_otherwise) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf__queue queue;
  sheaf__queue_init(&queue, UINT32_MAX);
  sheaf__queue_item low = {.node.seq = 1, .klass = 3}, normal = {.node.seq = 2, .klass = 2};
  CHECK_OK(sheaf__queue_push(&queue, &allocator, &low, SHEAF_NEVER, 0));
  CHECK_OK(sheaf__queue_push(&queue, &allocator, &normal, SHEAF_NEVER, 0));
  CHECK(sheaf__queue_peek(&queue, SECOND) == &normal);
  queue.class_wait_ns[3] = SECOND / 2;
  sheaf__queue_due_anew(&queue, &low, SHEAF_NEVER, 0);
  CHECK_EQ(low.node.key, SECOND / 2);
  CHECK(sheaf__queue_peek(&queue, SECOND) == &low);
  sheaf__queue_due_anew(&queue, &low, 5 * MS,
                        MS); /* a deadline that comes first, less the service */
  CHECK_EQ(low.node.key, 4 * MS);
  sheaf__queue_deinit(&queue, &allocator);
  CHECK_EQ(memory.live_blocks, 0);
}

int main(void) {
  RUN(a_higher_rate_fills_up_faster_from_the_level_of_now);
  RUN(a_lower_rate_cuts_what_was_saved_up);
  RUN(debt_stays_debt_under_another_rate);
  RUN(a_limit_that_comes_later_counts_what_is_under_way);
  RUN(a_limit_that_goes_lets_everything_pass);
  RUN(what_headers_told_stands_when_the_stated_limit_goes);
  RUN(safety_and_burst_shape_the_limits_that_stand);
  RUN(another_interval_counts_from_the_last_start);
  RUN(the_same_limits_change_nothing);
  RUN(a_lower_ceiling_holds_while_more_is_in_flight);
  RUN(from_fixed_to_adaptive_the_search_begins_with_what_is_in_use);
  RUN(an_idle_fixed_limit_becomes_the_adaptive_start);
  RUN(a_cut_limit_goes_on_under_another_ceiling);
  RUN(who_waits_is_due_anew_when_its_class_waits_otherwise);
  return check_report();
}
