/* test_breaker.c: the circuit breaker: examples, and every short sequence of events against its invariants. */
#include "flow/breaker.h"

#include "../support/check.h"

#define SECOND 1000000000ull
#define LEASE (60 * SECOND)

static sheaf__breaker fresh(uint64_t seed) {
  sheaf__breaker b;
  sheaf__breaker_init(&b, seed, 7, 0);
  return b;
}

/* One whole exchange. Answers whether the state changed at its end. */
static bool exchange(sheaf__breaker *b, uint64_t id, int32_t outcome, uint64_t now) {
  CHECK_EQ(sheaf__breaker_gate(b, now), 0);
  sheaf__breaker_on_start(b, id, LEASE, now);
  return sheaf__breaker_on_end(b, id, outcome, now);
}

static sheaf__breaker opened(uint64_t seed) {
  sheaf__breaker b = fresh(seed);
  for (uint64_t i = 0; i < 5; i++) exchange(&b, i, 0, 0);
  CHECK_EQ(b.state, SHEAF__BREAKER_OPEN);
  return b;
}

TEST(five_failures_in_a_row_open_it) {
  sheaf__breaker b = fresh(1);
  for (uint64_t i = 0; i < 4; i++) CHECK(!exchange(&b, i, 0, 0));
  CHECK(!exchange(&b, 4, 1, 0));
  for (uint64_t i = 5; i < 9; i++) CHECK(!exchange(&b, i, 0, 0));
  CHECK(exchange(&b, 9, 0, 0));
  CHECK_EQ(b.state, SHEAF__BREAKER_OPEN);
}

TEST(half_of_ten_open_it_and_four_of_ten_do_not) {
  sheaf__breaker b = fresh(1);
  static const int32_t half[] = {1, 0, 1, 0, 1, 0, 1, 0, 1};
  for (uint64_t i = 0; i < 9; i++) CHECK(!exchange(&b, i, half[i], 0));
  CHECK(exchange(&b, 9, 0, 0));
  b = fresh(1);
  static const int32_t less[] = {1, 0, 1, 0, 1, 0, 1, 1, 1, 0};
  for (uint64_t i = 0; i < 10; i++) CHECK(!exchange(&b, i, less[i], 0));
}

/* Ten old failures of twenty have left the ring after ten more successes. */
TEST(only_the_last_twenty_count) {
  sheaf__breaker b = fresh(1);
  uint64_t id = 0;
  for (int i = 0; i < 40; i++) CHECK(!exchange(&b, id++, 1, 0));
  for (int i = 0; i < 9; i++) {
    CHECK(!exchange(&b, id++, 0, 0));
    CHECK(!exchange(&b, id++, 1, 0));
  }
  CHECK(!exchange(&b, id++, 1, 0)); /* 9 of the last 20 */
  CHECK(!exchange(&b, id++, 1, 0));
  CHECK(!exchange(&b, id++, 0, 0)); /* still 9: one of them left */
  CHECK_EQ(b.state, SHEAF__BREAKER_CLOSED);
}

TEST(neutral_outcomes_count_for_nothing) {
  sheaf__breaker b = fresh(1);
  for (uint64_t i = 0; i < 4; i++) exchange(&b, i, 0, 0);
  for (uint64_t i = 4; i < 50; i++) CHECK(!exchange(&b, i, -1, 0));
  CHECK(exchange(&b, 50, 0, 0));
}

TEST(open_it_lets_nothing_start_for_eight_to_twelve_seconds) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    sheaf__breaker b = opened(seed);
    const uint64_t until = sheaf__breaker_gate(&b, 0);
    CHECK(until >= 8 * SECOND && until <= 12 * SECOND);
    CHECK_EQ(sheaf__breaker_gate(&b, until - 1), until);
    CHECK_EQ(sheaf__breaker_gate(&b, until), 0);
    CHECK_EQ(b.state, SHEAF__BREAKER_HALF_OPEN);
  }
}

TEST(half_open_it_has_one_probe_at_a_time_and_two_successes_close_it) {
  sheaf__breaker b = opened(1);
  uint64_t now = sheaf__breaker_gate(&b, 0);
  CHECK_EQ(sheaf__breaker_gate(&b, now), 0);
  sheaf__breaker_on_start(&b, 100, LEASE, now);
  CHECK(sheaf__breaker_gate(&b, now) > now);
  CHECK(!sheaf__breaker_on_end(&b, 100, 1, now));
  CHECK(exchange(&b, 101, 1, now));
  CHECK_EQ(b.state, SHEAF__BREAKER_CLOSED);
  CHECK_EQ(sheaf__breaker_gate(&b, now), 0);
}

TEST(a_failed_probe_opens_it_for_twice_as_long_up_to_five_minutes) {
  sheaf__breaker b = opened(3);
  uint64_t now = 0;
  uint64_t last = 0;
  static const uint64_t base[] = {10, 20, 40, 80, 160, 300, 300, 300};
  for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
    const uint64_t length = b.open_until_ns - now;
    CHECK(length * 10 >= base[i] * 8 * SECOND && length * 10 <= base[i] * 12 * SECOND);
    CHECK(length >= last);
    last = length;
    now = b.open_until_ns;
    CHECK(exchange(&b, 100 + i, 0, now));
  }
}

TEST(a_lost_probe_counts_as_failed_when_its_lease_ends) {
  sheaf__breaker b = opened(1);
  const uint64_t now = sheaf__breaker_gate(&b, 0);
  CHECK_EQ(sheaf__breaker_gate(&b, now), 0);
  sheaf__breaker_on_start(&b, 100, LEASE, now);
  CHECK(sheaf__breaker_gate(&b, now + LEASE - 1) > now);
  const uint64_t until = sheaf__breaker_gate(&b, now + LEASE);
  CHECK(until > now + LEASE);
  CHECK_EQ(b.state, SHEAF__BREAKER_OPEN);
  CHECK(!sheaf__breaker_on_end(&b, 100, 1, now + LEASE)); /* its late success changes nothing */
  CHECK_EQ(sheaf__breaker_gate(&b, until), 0);
}

TEST(a_probe_without_a_verdict_makes_room_for_another) {
  sheaf__breaker b = opened(1);
  const uint64_t now = sheaf__breaker_gate(&b, 0);
  CHECK(!exchange(&b, 100, -1, now));
  CHECK_EQ(b.state, SHEAF__BREAKER_HALF_OPEN);
  CHECK_EQ(sheaf__breaker_gate(&b, now), 0);
}

TEST(late_ends_of_exchanges_from_before_change_nothing) {
  sheaf__breaker b = fresh(1);
  sheaf__breaker_on_start(&b, 50, LEASE, 0);
  for (uint64_t i = 0; i < 5; i++) exchange(&b, i, 0, 0);
  CHECK(!sheaf__breaker_on_end(&b, 50, 1, 1));
  const uint64_t now = b.open_until_ns;
  CHECK_EQ(sheaf__breaker_gate(&b, now), 0);
  sheaf__breaker_on_start(&b, 100, LEASE, now);
  CHECK(!sheaf__breaker_on_end(&b, 51, 0, now));
  CHECK_EQ(b.state, SHEAF__BREAKER_HALF_OPEN);
  CHECK(b.probing);
}

/* Opened twice in a row, then closed for a minute: one step is forgiven. */
TEST(each_minute_closed_forgives_one_opening) {
  static const uint64_t closed_s[] = {59, 60, 119, 120, 100000};
  static const uint64_t base[] = {40, 20, 20, 10, 10};
  for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
    sheaf__breaker b = opened(5);
    exchange(&b, 10, 0, b.open_until_ns);
    uint64_t now = b.open_until_ns;
    exchange(&b, 11, 1, now);
    exchange(&b, 12, 1, now);
    now += closed_s[i] * SECOND;
    for (uint64_t id = 20; id < 25; id++) exchange(&b, id, 0, now);
    const uint64_t length = b.open_until_ns - now;
    CHECK(length * 10 >= base[i] * 8 * SECOND && length * 10 <= base[i] * 12 * SECOND);
  }
}

TEST(a_lease_without_end_does_not_wrap) {
  sheaf__breaker b = opened(1);
  const uint64_t now = sheaf__breaker_gate(&b, 0);
  CHECK_EQ(sheaf__breaker_gate(&b, now), 0);
  sheaf__breaker_on_start(&b, 100, SHEAF_NEVER, now);
  CHECK(sheaf__breaker_gate(&b, now + 1) == SHEAF_NEVER);
}

/* ---- Every sequence of events up to a length ---- */

/* The checker's own view: what is out, and how long it was open the last time. */
typedef struct world {
  sheaf__breaker b;
  uint64_t now;
  uint64_t next_id;
  uint64_t out[4]; /* ids in flight, oldest first */
  uint32_t out_count;
  uint64_t probe; /* id in flight that started half-open; 0: none */
  uint64_t lease_end;
  uint64_t open_length; /* of the latest opening; 0 after a close */
} world;

static uint64_t visited;

/* Compares before and after an event that may change the state. */
static void note_state(world *w, uint32_t before) {
  if (w->b.state == before) return;
  if (w->b.state == SHEAF__BREAKER_OPEN) {
    const uint64_t length = w->b.open_until_ns - w->now;
    if (before != SHEAF__BREAKER_CLOSED) CHECK(length >= w->open_length);
    w->open_length = length;
  }
  if (w->b.state == SHEAF__BREAKER_CLOSED) CHECK_EQ(before, SHEAF__BREAKER_HALF_OPEN);
  if (w->b.state != SHEAF__BREAKER_HALF_OPEN) w->probe = 0;
}

static bool try_start(world *w) {
  const uint32_t before = w->b.state;
  const uint64_t at = sheaf__breaker_gate(&w->b, w->now);
  if (before == SHEAF__BREAKER_HALF_OPEN && w->b.state == SHEAF__BREAKER_OPEN)
    CHECK(w->probe && w->now >= w->lease_end);
  note_state(w, before);
  if (at != 0) {
    CHECK(at > w->now);
    CHECK(w->b.state != SHEAF__BREAKER_CLOSED);
    return false;
  }
  CHECK(w->b.state != SHEAF__BREAKER_OPEN);
  if (w->out_count == 4) return false;
  const uint64_t id = w->next_id++;
  if (w->b.state == SHEAF__BREAKER_HALF_OPEN) {
    CHECK(w->probe == 0); /* at most one */
    w->probe = id;
    w->lease_end = w->now + LEASE;
  }
  sheaf__breaker_on_start(&w->b, id, LEASE, w->now);
  w->out[w->out_count++] = id;
  return true;
}

static bool end_oldest(world *w, int32_t outcome) {
  if (w->out_count == 0) return false;
  const uint64_t id = w->out[0];
  w->out_count--;
  memmove(w->out, w->out + 1, w->out_count * sizeof *w->out);
  const uint32_t before = w->b.state;
  const bool changed = sheaf__breaker_on_end(&w->b, id, outcome, w->now);
  CHECK(changed == (w->b.state != before));
  if (before == SHEAF__BREAKER_OPEN) CHECK(!changed);
  if (before == SHEAF__BREAKER_HALF_OPEN && id != w->probe) CHECK(!changed);
  if (before == SHEAF__BREAKER_HALF_OPEN && id == w->probe) {
    CHECK(!w->b.probing);
    if (outcome == 0) CHECK_EQ(w->b.state, SHEAF__BREAKER_OPEN);
    w->probe = 0;
  }
  note_state(w, before);
  return true;
}

/* Never shut for good: at the time that gate names something may start, or it names a later one, a bounded number of times. */
static void check_live(const world *w) {
  sheaf__breaker b = w->b;
  uint64_t now = w->now;
  int asks = 0;
  for (; asks < 4; asks++) {
    const uint64_t at = sheaf__breaker_gate(&b, now);
    if (at == 0) break;
    CHECK(at > now && at != SHEAF_NEVER);
    now = at;
  }
  CHECK(asks < 4);
}

enum { START, END_OK, END_FAILED, END_NEUTRAL, WHOLE_OK, WHOLE_FAILED, TICK, TICK_TO_GATE, EVENTS };

static bool apply(world *w, int event) {
  switch (event) {
    case START: return try_start(w);
    case END_OK: return end_oldest(w, 1);
    case END_FAILED: return end_oldest(w, 0);
    case END_NEUTRAL: return end_oldest(w, -1);
    case WHOLE_OK: return w->out_count == 0 && try_start(w) && end_oldest(w, 1);
    case WHOLE_FAILED: return w->out_count == 0 && try_start(w) && end_oldest(w, 0);
    case TICK: w->now += 7 * SECOND; return true;
    default: {
      const uint32_t before = w->b.state;
      const uint64_t at = sheaf__breaker_gate(&w->b, w->now);
      note_state(w, before);
      if (at == 0) return false;
      w->now = at;
      return true;
    }
  }
}

static void explore(const world *from, int depth) {
  visited++;
  check_live(from);
  if (depth == 0) return;
  for (int event = 0; event < EVENTS; event++) {
    world next = *from;
    if (apply(&next, event)) explore(&next, depth - 1);
  }
}

static world begin(int32_t outcome, int count) {
  world w = {.b = fresh(11), .next_id = 1};
  for (int i = 0; i < count; i++) {
    try_start(&w);
    end_oldest(&w, outcome < 0 ? i % 2 : outcome);
  }
  return w;
}

TEST(every_sequence_of_nine_events_keeps_the_invariants) {
  const world starts[] = {begin(0, 0), begin(0, 3), begin(0, 5), begin(-1, 9)};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) explore(&starts[i], 9);
  world half_open = starts[2];
  half_open.now = half_open.b.open_until_ns;
  explore(&half_open, 9);
  CHECK(visited > 1000000);
}

int main(void) {
  RUN(five_failures_in_a_row_open_it);
  RUN(half_of_ten_open_it_and_four_of_ten_do_not);
  RUN(only_the_last_twenty_count);
  RUN(neutral_outcomes_count_for_nothing);
  RUN(open_it_lets_nothing_start_for_eight_to_twelve_seconds);
  RUN(half_open_it_has_one_probe_at_a_time_and_two_successes_close_it);
  RUN(a_failed_probe_opens_it_for_twice_as_long_up_to_five_minutes);
  RUN(a_lost_probe_counts_as_failed_when_its_lease_ends);
  RUN(a_probe_without_a_verdict_makes_room_for_another);
  RUN(late_ends_of_exchanges_from_before_change_nothing);
  RUN(each_minute_closed_forgives_one_opening);
  RUN(a_lease_without_end_does_not_wrap);
  RUN(every_sequence_of_nine_events_keeps_the_invariants);
  return check_report();
}
