/* retry.h: what follows an ended attempt (algorithms.md 5 and 7): one table, pure. */
#ifndef SHEAF_RETRY_H
#define SHEAF_RETRY_H

#include <sheaf/provider.h>

typedef struct sheaf__retry_options {
  uint64_t max_retries, max_throttles;
  uint64_t retry_base_ms, retry_max_ms;
  uint32_t resend_unknown; /* SHEAF_RESEND_* */
  uint64_t seed;
} sheaf__retry_options;

/* A row's tries so far, this attempt not yet counted. */
typedef struct sheaf__tries {
  uint8_t retries;      /* counted ones: server, timeout, network, unknown */
  uint8_t invalid;      /* invalid_response */
  uint8_t throttles;    /* rate_limit and overloaded; up to max_throttles <= 250 */
  uint8_t free_resends; /* not sent: once, at once, uncounted */
  uint8_t forced;       /* x-should-retry: true, once */
} sheaf__tries;

enum {
  SHEAF__NEXT_COMPLETE = 0, /* ends with its error */
  SHEAF__NEXT_RETRY = 1     /* after wait_ns, when budget_milli can be paid */
};

typedef struct sheaf__next {
  uint32_t next;
  uint32_t budget_milli; /* price from the pool's retry budget; 0 free */
  uint64_t wait_ns;      /* from now; a server's wait is obeyed whole */
  bool resends_unknown;  /* the attempt may have been billed: counted and printed */
  uint32_t error_class;  /* with which it ends (unknown_outcome where a resend is forbidden) */
} sheaf__next;

/* Decides; counts the attempt in *tries. decoded: class, billing, retry_after, should_retry,
 * retryable. */
sheaf__next sheaf__retry_decide(const sheaf__retry_options *options, sheaf__tries *tries,
                                const sheaf_decoded *decoded, uint64_t index, uint64_t attempt);

#endif
