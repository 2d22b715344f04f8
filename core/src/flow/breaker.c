/* breaker.c: the circuit breaker of an endpoint (algorithms.md 6).
 *
 *            5 failures in a row, or half of >= 10
 *   CLOSED ---------------------------------------> OPEN <----+
 *      ^                                             | time   | failure, or the probe's lease ran out
 *      |             2 successes                     v        |
 *      +---------------------------------------- HALF_OPEN ---+
 *
 * Outcomes are counted, not timed: a window shorter than a reply would see nothing. Every change of state is in `enter`. */
#include "flow/breaker.h"

#include "base/mem.h"
#include "base/random.h"

#define RING_BITS 20u
#define RING_MASK ((1u << RING_BITS) - 1)
#define FAILURES_IN_A_ROW 5u
#define OUTCOMES_MIN 10u
#define PROBE_SUCCESSES 2u
#define OPEN_NS (10 * SHEAF__SECOND)
#define OPEN_NS_MAX (300 * SHEAF__SECOND)
#define FORGIVE_NS (60 * SHEAF__SECOND)
/* From the 6th opening in a row the time is the cap. They also share one draw: else the jitter alone could make a later
 * opening shorter than an earlier one. */
#define STEP_MAX 6u

/* The cap times 0.8 to 1.2. Steps double, and 2 * 0.8 > 1.2, so the time never falls while failures go on. */
static uint64_t open_time(const sheaf__breaker *b) {
  const uint32_t step = b->openings < STEP_MAX ? b->openings : STEP_MAX;
  const uint64_t base = sheaf__min_u64(OPEN_NS << (step - 1), OPEN_NS_MAX);
  return base / 10 * 8 + sheaf__draw(b->seed, base / 10 * 4, SHEAF__DRAW_BREAKER, b->key, step);
}

static void forgive(sheaf__breaker *b, uint64_t now_ns) {
  if (now_ns <= b->closed_since_ns) return;
  const uint64_t steps = (now_ns - b->closed_since_ns) / FORGIVE_NS;
  b->openings = steps >= b->openings ? 0 : b->openings - (uint32_t)steps;
}

static void enter(sheaf__breaker *b, uint32_t state, uint64_t now_ns) {
  SHEAF_ASSERT(state != b->state);
  switch (state) {
    case SHEAF__BREAKER_CLOSED:
      b->ring = b->ring_count = b->failures_in_a_row = 0;
      b->closed_since_ns = now_ns;
      break;
    case SHEAF__BREAKER_OPEN:
      if (b->state == SHEAF__BREAKER_CLOSED) forgive(b, now_ns);
      if (b->openings < UINT32_MAX) b->openings++;
      b->open_until_ns = sheaf__add_sat(now_ns, open_time(b));
      break;
    case SHEAF__BREAKER_HALF_OPEN: b->probe_successes = 0; break;
    default: SHEAF_UNREACHABLE();
  }
  b->probing = false;
  b->state = state;
}

void sheaf__breaker_init(sheaf__breaker *b, uint64_t seed, uint64_t key, uint64_t now_ns) {
  *b = (sheaf__breaker){.seed = seed, .key = key, .closed_since_ns = now_ns};
}

uint64_t sheaf__breaker_gate(sheaf__breaker *b, uint64_t now_ns) {
  if (b->state == SHEAF__BREAKER_CLOSED) return 0;
  if (b->state == SHEAF__BREAKER_HALF_OPEN) {
    if (!b->probing) return 0;
    if (now_ns < b->probe_lease_until_ns) return b->probe_lease_until_ns;
    enter(b, SHEAF__BREAKER_OPEN, now_ns); /* a lost probe is a failed one */
  }
  if (now_ns < b->open_until_ns) return b->open_until_ns;
  enter(b, SHEAF__BREAKER_HALF_OPEN, now_ns);
  return 0;
}

void sheaf__breaker_on_start(sheaf__breaker *b, uint64_t exchange, uint64_t lease_ns,
                             uint64_t now_ns) {
  if (b->state == SHEAF__BREAKER_CLOSED) return;
  SHEAF_ASSERT(b->state == SHEAF__BREAKER_HALF_OPEN);
  SHEAF_ASSERT(!b->probing);
  b->probing = true;
  b->probe_exchange = exchange;
  b->probe_lease_until_ns = sheaf__add_sat(now_ns, lease_ns);
}

static uint32_t bits_set(uint32_t bits) {
  uint32_t count = 0;
  for (; bits; bits &= bits - 1) count++;
  return count;
}

/* Counts one outcome while closed; true when it is one too many. */
static bool count_outcome(sheaf__breaker *b, bool failed) {
  b->ring = ((b->ring << 1) | (failed ? 1u : 0u)) & RING_MASK;
  if (b->ring_count < RING_BITS) b->ring_count++;
  b->failures_in_a_row = failed ? b->failures_in_a_row + 1 : 0;
  if (b->failures_in_a_row >= FAILURES_IN_A_ROW) return true;
  return b->ring_count >= OUTCOMES_MIN && 2 * bits_set(b->ring) >= b->ring_count;
}

static bool end_probe(sheaf__breaker *b, int32_t outcome, uint64_t now_ns) {
  b->probing = false;
  if (outcome < 0) return false;
  if (outcome == 0) {
    enter(b, SHEAF__BREAKER_OPEN, now_ns);
    return true;
  }
  b->probe_successes++;
  if (b->probe_successes < PROBE_SUCCESSES) return false;
  enter(b, SHEAF__BREAKER_CLOSED, now_ns);
  return true;
}

bool sheaf__breaker_on_end(sheaf__breaker *b, uint64_t exchange, int32_t outcome, uint64_t now_ns) {
  if (b->state == SHEAF__BREAKER_HALF_OPEN)
    return b->probing && b->probe_exchange == exchange && end_probe(b, outcome, now_ns);
  if (b->state == SHEAF__BREAKER_OPEN) return false; /* sent before it opened: nothing new */
  if (outcome < 0 || !count_outcome(b, outcome == 0)) return false;
  enter(b, SHEAF__BREAKER_OPEN, now_ns);
  return true;
}
