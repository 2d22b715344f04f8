/* retry.c: what follows an ended attempt (algorithms.md 5 and 7). Pure: a table and the few rules around it.
 *
 *   permitted at all -> kind by class -> not sent | outcome unknown | as the kind says
 *
 * Order: the table, waits, the kinds, the decision. */
#include "flow/retry.h"

#include <sheaf/engine.h>

#include "base/mem.h"
#include "base/random.h"

/* What a class of failure allows. */
enum {
  FINAL = 0,    /* made here, or a retry cannot mend it: never */
  REFUSED = 1,  /* the provider's no: only when it says that a retry may help, once */
  THROTTLE = 2, /* bounded by max_throttles and the deadline */
  COUNTED = 3,  /* bounded by max_retries */
  INVALID = 4,  /* the same, two at most */
  ODD = 5       /* nothing known: one retry */
};

#define PRICE_FULL 1000u
#define PRICE_NOT_SENT 200u
#define PRICE_OVERLOADED 500u
#define INVALID_MAX 2u
#define SHIFT_MAX 6u
#define OVERLOADED_BASE_NS (2 * SHEAF__SECOND)
#define COUNT_MAX 250u /* tries are kept in bytes */

static uint32_t kind_of(uint32_t error_class) {
  switch (error_class) {
    case SHEAF_CLASS_RATE_LIMIT:
    case SHEAF_CLASS_OVERLOADED: return THROTTLE;
    case SHEAF_CLASS_SERVER:
    case SHEAF_CLASS_TIMEOUT:
    case SHEAF_CLASS_NETWORK: return COUNTED;
    case SHEAF_CLASS_INVALID_RESPONSE: return INVALID;
    case SHEAF_CLASS_UNKNOWN: return ODD;
    case SHEAF_CLASS_AUTH:
    case SHEAF_CLASS_QUOTA:
    case SHEAF_CLASS_INVALID_REQUEST:
    case SHEAF_CLASS_NOT_FOUND:
    case SHEAF_CLASS_CONTEXT_LENGTH:
    case SHEAF_CLASS_CONTENT_FILTER: return REFUSED;
    default: return FINAL;
  }
}

/* Full jitter: anything from nothing to base, doubled with every try, up to the most. */
static uint64_t backoff_ns(const sheaf__retry_options *options, uint64_t base_ns, uint32_t tries,
                           uint64_t index, uint64_t attempt) {
  const uint64_t most = sheaf__mul_sat(options->retry_max_ms, SHEAF__MS);
  const uint32_t shift = tries < SHIFT_MAX ? tries : SHIFT_MAX;
  const uint64_t bound = sheaf__min_u64(most, sheaf__mul_sat(base_ns, (uint64_t)1 << shift));
  return sheaf__draw(options->seed, bound, SHEAF__DRAW_RETRY, index, attempt);
}

/* The server's own wait is a minimum, and is spread a little so that its clients do not come back as one. */
static uint64_t told_wait_ns(const sheaf__retry_options *options, uint64_t told_ns, uint64_t index,
                             uint64_t attempt) {
  const uint64_t spread = sheaf__min_u64(SHEAF__SECOND, told_ns / 10 + 250 * SHEAF__MS);
  return sheaf__add_sat(told_ns,
                        sheaf__draw(options->seed, spread, SHEAF__DRAW_RETRY, index, attempt));
}

static uint32_t counted_tries(const sheaf__tries *tries) {
  return (uint32_t)tries->retries + tries->invalid;
}

static bool may_count(const sheaf__retry_options *options, const sheaf__tries *tries) {
  return counted_tries(tries) < sheaf__min_u64(options->max_retries, COUNT_MAX);
}

static void retry(sheaf__next *next, uint32_t budget_milli, uint64_t wait_ns) {
  next->next = SHEAF__NEXT_RETRY;
  next->budget_milli = budget_milli;
  next->wait_ns = wait_ns;
}

/* A try that counts. counter: which of the tries it goes to. */
static void retry_counted(sheaf__next *next, const sheaf__retry_options *options,
                          sheaf__tries *tries, uint8_t *counter, uint32_t price,
                          const sheaf_decoded *decoded, uint64_t index, uint64_t attempt) {
  if (!may_count(options, tries)) return;
  const uint64_t base_ns = sheaf__mul_sat(options->retry_base_ms, SHEAF__MS);
  const uint64_t wait = decoded->retry_after_ns != SHEAF_NEVER
                            ? told_wait_ns(options, decoded->retry_after_ns, index, attempt)
                            : backoff_ns(options, base_ns, counted_tries(tries), index, attempt);
  (*counter)++;
  retry(next, price, wait);
}

/* The pool's cooldown spaces what was rate limited; a row that was told a wait keeps it in any case. Overload is no
 * matter of rate: there each row also backs off by itself. */
static void retry_throttled(sheaf__next *next, const sheaf__retry_options *options,
                            sheaf__tries *tries, const sheaf_decoded *decoded, uint64_t index,
                            uint64_t attempt) {
  if (tries->throttles >= sheaf__min_u64(options->max_throttles, COUNT_MAX)) return;
  const uint64_t told = decoded->retry_after_ns;
  if (decoded->error_class == SHEAF_CLASS_RATE_LIMIT)
    retry(next, 0, told != SHEAF_NEVER ? told : 0);
  else if (told != SHEAF_NEVER)
    retry(next, PRICE_OVERLOADED, told_wait_ns(options, told, index, attempt));
  else
    retry(next, PRICE_OVERLOADED,
          backoff_ns(options, OVERLOADED_BASE_NS, tries->throttles, index, attempt));
  tries->throttles++;
}

static void retry_unknown(sheaf__next *next, const sheaf__retry_options *options,
                          sheaf__tries *tries, uint8_t *counter, const sheaf_decoded *decoded,
                          uint64_t index, uint64_t attempt) {
  if (options->resend_unknown == SHEAF_RESEND_NEVER) {
    next->error_class = SHEAF_CLASS_UNKNOWN_OUTCOME;
    return;
  }
  const uint32_t price = options->resend_unknown == SHEAF_RESEND_ALWAYS ? 0 : PRICE_FULL;
  retry_counted(next, options, tries, counter, price, decoded, index, attempt);
  next->resends_unknown = next->next == SHEAF__NEXT_RETRY;
}

static void retry_unsent(sheaf__next *next, const sheaf__retry_options *options,
                         sheaf__tries *tries, const sheaf_decoded *decoded, uint64_t index,
                         uint64_t attempt) {
  if (tries->free_resends == 0) {
    tries->free_resends = 1;
    retry(next, 0, 0);
    return;
  }
  retry_counted(next, options, tries, &tries->retries, PRICE_NOT_SENT, decoded, index, attempt);
}

/* Classes that are not retried, but for once: nothing is known of them, or the server asks for it. */
static bool spend_once(sheaf__tries *tries) {
  if (tries->forced) return false;
  tries->forced = 1;
  return true;
}

sheaf__next sheaf__retry_decide(const sheaf__retry_options *options, sheaf__tries *tries,
                                const sheaf_decoded *decoded, uint64_t index, uint64_t attempt) {
  sheaf__next next = {.next = SHEAF__NEXT_COMPLETE, .error_class = decoded->error_class};
  uint32_t kind = kind_of(decoded->error_class);
  if (kind == FINAL || !decoded->retryable || decoded->should_retry == 0) return next;
  if (kind == REFUSED && decoded->should_retry != 1) return next;
  if (kind == INVALID && tries->invalid >= INVALID_MAX) return next;
  if (kind == THROTTLE && decoded->billing != SHEAF_BILLING_UNKNOWN) {
    retry_throttled(&next, options, tries, decoded, index, attempt);
    return next;
  }
  if (kind == COUNTED && decoded->billing == SHEAF_BILLING_NOT_SENT) {
    retry_unsent(&next, options, tries, decoded, index, attempt);
    return next;
  }
  const bool needs_permit = kind == REFUSED || kind == ODD;
  if (needs_permit && (!may_count(options, tries) || !spend_once(tries))) return next;
  uint8_t *counter = kind == INVALID ? &tries->invalid : &tries->retries;
  if (decoded->billing == SHEAF_BILLING_UNKNOWN)
    retry_unknown(&next, options, tries, counter, decoded, index, attempt);
  else
    retry_counted(&next, options, tries, counter, PRICE_FULL, decoded, index, attempt);
  return next;
}
