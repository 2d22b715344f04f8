/* window.h: who travels together, and when do they leave? (algorithms.md 9)
 *
 * Pure: a rule over numbers. The members stay queued until the instant they leave; the gate has its own say afterwards. */
#ifndef SHEAF_WINDOW_H
#define SHEAF_WINDOW_H

#include <sheaf/base.h>

/* The options that the rule reads; times in ns. */
typedef struct sheaf__window_rule {
  uint32_t kind;      /* SHEAF_WINDOW_* */
  uint32_t min_batch; /* fixed: so many may leave early while the gate is idle */
  uint64_t window_ns; /* fixed */
} sheaf__window_rule;

/* Members that wait for one another. */
typedef struct sheaf__window_group {
  uint32_t members;
  bool full;            /* members, inputs, tokens or bytes are at a ceiling */
  bool urgent;          /* one of them is urgent */
  bool only_deferrable; /* all of them are: they wait for company even while the gate is idle */
  bool calls_out;       /* a call of this key is in flight (eager) */
  bool gate_idle;    /* the gate would let one start now, and nothing else waits for it (fixed) */
  uint64_t first_ns; /* the oldest member came */
  uint64_t last_ns;  /* the latest member came */
  uint64_t
      due_ns; /* the least of the members' due times and of their max_wait; SHEAF_NEVER: none */
  uint64_t gap_ns;      /* mean time between arrivals, an EMA with weight 1/8; 0: not known yet */
  uint64_t saving_nano; /* what one more member spares */
  uint64_t
      delay_cost_nano; /* what a second of waiting costs for all members together, over their count: of one */
} sheaf__window_group;

/* 0: it leaves now, as soon as the gate has room. Else when to ask again unless a member comes or a call ends: SHEAF_NEVER if
 * only those can change it. */
uint64_t sheaf__window_close(const sheaf__window_rule *rule, const sheaf__window_group *group,
                             uint64_t now_ns);

/* The mean gap after an arrival: gap of 0 was not known. */
uint64_t sheaf__window_gap(uint64_t gap_ns, uint64_t since_last_ns);

#endif
