/* breaker.h: the circuit breaker of an endpoint (algorithms.md 6). */
#ifndef SHEAF_BREAKER_H
#define SHEAF_BREAKER_H

#include <sheaf/base.h>

enum { SHEAF__BREAKER_CLOSED = 0, SHEAF__BREAKER_OPEN = 1, SHEAF__BREAKER_HALF_OPEN = 2 };

typedef struct sheaf__breaker {
  uint32_t state;
  uint32_t ring; /* last 20 outcomes, bit 1 = failure */
  uint32_t ring_count;
  uint32_t failures_in_a_row;
  uint32_t openings; /* n */
  uint32_t probe_successes;
  uint64_t closed_since_ns;
  uint64_t open_until_ns;
  bool probing;
  uint64_t probe_exchange;
  uint64_t probe_lease_until_ns;
  uint64_t seed, key;
} sheaf__breaker;

void sheaf__breaker_init(sheaf__breaker *b, uint64_t seed, uint64_t key, uint64_t now_ns);
/* 0: a start is allowed now (in HALF_OPEN: as the probe). Else the time to ask again, SHEAF_NEVER
 * while a probe is out. */
uint64_t sheaf__breaker_gate(sheaf__breaker *b, uint64_t now_ns);
/* An exchange starts; lease_ns: its attempt timeout. */
void sheaf__breaker_on_start(sheaf__breaker *b, uint64_t exchange, uint64_t lease_ns,
                             uint64_t now_ns);
/* outcome: 1 success, 0 failure, -1 neutral. Answers true if the state changed. */
bool sheaf__breaker_on_end(sheaf__breaker *b, uint64_t exchange, int32_t outcome, uint64_t now_ns);

#endif
