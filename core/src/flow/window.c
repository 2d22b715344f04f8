/* window.c: when does a group leave?
 *
 * Outline: the economic rule's time; each kind's time; the rule that joins them; the mean gap.
 *
 * Every kind comes down to one instant from which on the group may leave. It is exact, so the
 * caller arms one timer and is not asked in vain: a nanosecond before it the answer is "wait", from
 * it on "leave", and it moves only when a member comes or goes, a call ends or the gate changes.
 *
 * A group that leaves goes into the route's queue, where members go on joining until the gate takes
 * it. So a busy gate is no reason to hold a group back: it keeps its turn in the queue and grows
 * there. */
#include "flow/window.h"

#include <sheaf/engine.h>

#include "base/mem.h"

/* a * b / c, rounded up; UINT64_MAX where that does not hold it. The product has 96 bits: it is
 * divided bit by bit, which only prices of over nine dollars a call ever need. */
static uint64_t scale_up(uint64_t a, uint32_t b, uint64_t c) {
  uint64_t product;
  if (!sheaf__mul_overflows(a, b, &product)) return product / c + (product % c != 0);
  uint64_t low = (a & UINT32_MAX) * b;
  uint64_t middle = (a >> 32) * b + (low >> 32);
  uint64_t rest = middle >> 32, quotient = 0;
  low = middle << 32 | (low & UINT32_MAX);
  if (rest >= c) return UINT64_MAX;
  for (int bit = 63; bit >= 0; bit--) {
    const bool carry = rest >> 63;
    rest = rest << 1 | (low >> bit & 1);
    if (!carry && rest < c) continue;
    rest -= c;
    quotient |= 1ull << bit;
  }
  return sheaf__add_sat(quotient, rest != 0);
}

/* Both halves of the economic rule ask how long it is until the next member: as a rule (the mean
 * gap) and by now (the silence). Waiting for it costs n * delay_cost a second and spares `saving`
 * once; the economic order quantity of that is
 *
 *   n*n * delay_cost >= 2 * arrivals_per_s * saving   (10^9 / gap a second):  gap >= patience
 *   silence >= 2 * saving / (n*n * delay_cost)                          :  silence >= patience
 *
 * with patience = 2 * 10^9 * saving / (n*n * delay_cost) in ns, so that one division serves
 * both. */
static uint64_t patience_of(const sheaf__window_group *group) {
  const uint64_t n = group->members;
  const uint64_t cost = sheaf__mul_sat(n * n, group->delay_cost_nano);
  if (group->saving_nano == 0) return 0;
  if (cost == 0) return SHEAF_NEVER; /* waiting is free */
  return scale_up(group->saving_nano, 2000000000u, cost);
}

/* The gaps between the group's own members count as much, each, as the average they came with. By
 * that average alone the pause before a burst cuts up the burst: in the simulation of
 * tests/unit/test_window.c bursts then cost up to 15 % more than the best window, and 7 % like
 * this. */
static uint64_t mean_gap_of(const sheaf__window_group *group) {
  const uint64_t span = group->last_ns > group->first_ns ? group->last_ns - group->first_ns : 0;
  return sheaf__add_sat(group->gap_ns, span) / group->members;
}

static uint64_t auto_time(const sheaf__window_group *group) {
  const uint64_t patience = patience_of(group);
  if (group->gap_ns != 0 && mean_gap_of(group) >= patience) return 0;
  return sheaf__add_sat(group->last_ns, patience);
}

/* A lone request goes at once; what comes while a call of the key is out goes together when it
 * ends. */
static uint64_t eager_time(const sheaf__window_group *group) {
  return group->calls_out ? SHEAF_NEVER : 0;
}

static uint64_t fixed_time(const sheaf__window_rule *rule, const sheaf__window_group *group) {
  if (group->gate_idle && group->members >= rule->min_batch) return 0;
  return sheaf__add_sat(group->first_ns, rule->window_ns);
}

uint64_t sheaf__window_close(const sheaf__window_rule *rule, const sheaf__window_group *group,
                             uint64_t now_ns) {
  SHEAF_ASSERT(rule->kind <= SHEAF_WINDOW_AUTO);
  if (group->members == 0) return SHEAF_NEVER;
  if (group->full || group->urgent) return 0;
  uint64_t at_ns = SHEAF_NEVER;
  if (group->only_deferrable) {
    at_ns = SHEAF_NEVER; /* nobody is in a hurry: as many as may be, as late as may be */
  } else if (rule->kind == SHEAF_WINDOW_FIXED) {
    at_ns = fixed_time(rule, group);
  } else if (rule->kind == SHEAF_WINDOW_EAGER) {
    at_ns = eager_time(group);
  } else {
    at_ns = auto_time(group);
  }
  at_ns = sheaf__min_u64(at_ns, group->due_ns);
  return at_ns <= now_ns ? 0 : at_ns;
}

uint64_t sheaf__window_gap(uint64_t gap_ns, uint64_t since_last_ns) {
  uint64_t gap = since_last_ns;
  if (gap_ns != 0) {
    gap = since_last_ns >= gap_ns ? gap_ns + (since_last_ns - gap_ns) / 8
                                  : gap_ns - (gap_ns - since_last_ns) / 8;
  }
  return gap ? gap : 1; /* 0 means not known */
}
