/* test_retry.c: what follows an ended attempt, as the tables of algorithms.md 5 and 7 say. */
#include "flow/retry.h"

#include <sheaf/engine.h>

#include "../support/check.h"

#define MS 1000000ull
#define SECOND 1000000000ull

static const sheaf__retry_options defaults = {.max_retries = 5,
                                              .max_throttles = 100,
                                              .retry_base_ms = 500,
                                              .retry_max_ms = 60000,
                                              .resend_unknown = SHEAF_RESEND_WITHIN_BUDGET,
                                              .seed = 42};

static sheaf_decoded failure(uint32_t error_class, uint32_t billing) {
  return (sheaf_decoded){.error_class = error_class,
                         .billing = billing,
                         .retry_after_ns = SHEAF_NEVER,
                         .should_retry = -1,
                         .retryable = true};
}

static sheaf__next first(const sheaf_decoded *decoded) {
  sheaf__tries tries = {0};
  return sheaf__retry_decide(&defaults, &tries, decoded, 0, 0);
}

#define NOT_SENT SHEAF_BILLING_NOT_SENT
#define REFUSED SHEAF_BILLING_REFUSED
#define UNKNOWN SHEAF_BILLING_UNKNOWN
#define BILLED SHEAF_BILLING_BILLED
#define END SHEAF__NEXT_COMPLETE
#define RETRY SHEAF__NEXT_RETRY

/* One row per class and billing: what the first such failure of a request leads to. */
static const struct {
  uint32_t error_class, billing, next, price;
  uint64_t wait_max_ns;
  int resends_unknown;
  sheaf__tries counted;
} table[] = {
    {SHEAF_CLASS_NONE, BILLED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_RATE_LIMIT, REFUSED, RETRY, 0, 0, 0, {.throttles = 1}},
    {SHEAF_CLASS_OVERLOADED, REFUSED, RETRY, 500, 2000 * MS, 0, {.throttles = 1}},
    {SHEAF_CLASS_OVERLOADED, BILLED, RETRY, 500, 2000 * MS, 0, {.throttles = 1}},
    {SHEAF_CLASS_OVERLOADED, UNKNOWN, RETRY, 1000, 500 * MS, 1, {.retries = 1}},
    {SHEAF_CLASS_SERVER, REFUSED, RETRY, 1000, 500 * MS, 0, {.retries = 1}},
    {SHEAF_CLASS_SERVER, UNKNOWN, RETRY, 1000, 500 * MS, 1, {.retries = 1}},
    {SHEAF_CLASS_TIMEOUT, NOT_SENT, RETRY, 0, 0, 0, {.free_resends = 1}},
    {SHEAF_CLASS_TIMEOUT, UNKNOWN, RETRY, 1000, 500 * MS, 1, {.retries = 1}},
    {SHEAF_CLASS_NETWORK, NOT_SENT, RETRY, 0, 0, 0, {.free_resends = 1}},
    {SHEAF_CLASS_NETWORK, UNKNOWN, RETRY, 1000, 500 * MS, 1, {.retries = 1}},
    {SHEAF_CLASS_NETWORK, BILLED, RETRY, 1000, 500 * MS, 0, {.retries = 1}},
    {SHEAF_CLASS_INVALID_RESPONSE, BILLED, RETRY, 1000, 500 * MS, 0, {.invalid = 1}},
    {SHEAF_CLASS_INVALID_RESPONSE, UNKNOWN, RETRY, 1000, 500 * MS, 1, {.invalid = 1}},
    {SHEAF_CLASS_UNKNOWN, REFUSED, RETRY, 1000, 500 * MS, 0, {.retries = 1, .forced = 1}},
    {SHEAF_CLASS_AUTH, REFUSED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_QUOTA, REFUSED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_INVALID_REQUEST, REFUSED, END, 0, 0, 0, {0}}, /* 409 too */
    {SHEAF_CLASS_NOT_FOUND, REFUSED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_CONTEXT_LENGTH, REFUSED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_CONTENT_FILTER, BILLED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_UNKNOWN_OUTCOME, UNKNOWN, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_CANCELLED, UNKNOWN, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_DEADLINE, NOT_SENT, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_BUDGET, NOT_SENT, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_BREAKER_OPEN, NOT_SENT, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_QUEUE_FULL, NOT_SENT, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_EXPIRED, REFUSED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_MISSING, BILLED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_MISMATCHED, BILLED, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_STORE, NOT_SENT, END, 0, 0, 0, {0}},
    {SHEAF_CLASS_INTERNAL, BILLED, END, 0, 0, 0, {0}},
    {9999, BILLED, END, 0, 0, 0, {0}},
};

TEST(each_class_leads_where_the_table_says) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    for (uint64_t attempt = 0; attempt < 50; attempt++) {
      sheaf__tries tries = {0};
      const sheaf_decoded decoded = failure(table[i].error_class, table[i].billing);
      const sheaf__next next = sheaf__retry_decide(&defaults, &tries, &decoded, i, attempt);
      CHECK_EQ(next.next, table[i].next);
      CHECK_EQ(next.budget_milli, table[i].price);
      CHECK(next.wait_ns <= table[i].wait_max_ns);
      CHECK_EQ(next.resends_unknown, table[i].resends_unknown);
      CHECK_EQ(next.error_class, table[i].error_class);
      CHECK(memcmp(&tries, &table[i].counted, sizeof tries) == 0);
    }
  }
}

TEST(every_class_is_in_the_table) {
  for (uint32_t c = 0; c < SHEAF_CLASS_COUNT; c++) {
    bool found = false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
      found = found || table[i].error_class == c;
    CHECK(found);
  }
}

TEST(server_errors_are_retried_max_retries_times) {
  for (uint64_t most = 0; most <= 7; most++) {
    sheaf__retry_options options = defaults;
    options.max_retries = most;
    sheaf__tries tries = {0};
    const sheaf_decoded decoded = failure(SHEAF_CLASS_SERVER, REFUSED);
    uint64_t retries = 0;
    while (sheaf__retry_decide(&options, &tries, &decoded, 1, retries).next == RETRY) retries++;
    CHECK_EQ(retries, most);
  }
}

TEST(invalid_responses_are_retried_twice_within_max_retries) {
  const sheaf_decoded invalid = failure(SHEAF_CLASS_INVALID_RESPONSE, BILLED);
  const sheaf_decoded server = failure(SHEAF_CLASS_SERVER, REFUSED);
  sheaf__tries tries = {0};
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &invalid, 0, 0).next, RETRY);
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &invalid, 0, 1).next, RETRY);
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &invalid, 0, 2).next, END);
  for (uint64_t i = 0; i < 3; i++)
    CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &server, 0, 3 + i).next, RETRY);
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &server, 0, 6).next, END); /* 2 + 3 = 5 */
  tries = (sheaf__tries){.retries = 5};
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &invalid, 0, 0).next, END);
}

TEST(throttles_have_a_bound_of_their_own) {
  sheaf__retry_options options = defaults;
  options.max_retries = 0;
  sheaf__tries tries = {0};
  const sheaf_decoded decoded = failure(SHEAF_CLASS_RATE_LIMIT, REFUSED);
  uint64_t n = 0;
  while (sheaf__retry_decide(&options, &tries, &decoded, 1, n).next == RETRY) n++;
  CHECK_EQ(n, 100);
  CHECK_EQ(tries.retries, 0);
  options.max_throttles = UINT64_MAX; /* kept in a byte */
  tries = (sheaf__tries){0};
  for (n = 0; sheaf__retry_decide(&options, &tries, &decoded, 1, n).next == RETRY;) n++;
  CHECK_EQ(n, 250);
}

TEST(not_sent_is_free_once_and_then_counts_at_a_fifth) {
  const sheaf_decoded decoded = failure(SHEAF_CLASS_NETWORK, NOT_SENT);
  sheaf__tries tries = {0};
  sheaf__next next = sheaf__retry_decide(&defaults, &tries, &decoded, 1, 0);
  CHECK_EQ(next.wait_ns, 0);
  CHECK_EQ(next.budget_milli, 0);
  CHECK_EQ(tries.retries, 0);
  for (uint64_t i = 1; i <= 5; i++) {
    next = sheaf__retry_decide(&defaults, &tries, &decoded, 1, i);
    CHECK_EQ(next.next, RETRY);
    CHECK_EQ(next.budget_milli, 200);
    CHECK_EQ(tries.retries, i);
  }
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &decoded, 1, 6).next, END);
}

TEST(a_free_resend_is_allowed_even_without_retries) {
  sheaf__retry_options options = defaults;
  options.max_retries = 0;
  sheaf__tries tries = {0};
  const sheaf_decoded decoded = failure(SHEAF_CLASS_NETWORK, NOT_SENT);
  CHECK_EQ(sheaf__retry_decide(&options, &tries, &decoded, 1, 0).next, RETRY);
  CHECK_EQ(sheaf__retry_decide(&options, &tries, &decoded, 1, 1).next, END);
}

TEST(an_unknown_outcome_meets_the_policy) {
  const sheaf_decoded decoded = failure(SHEAF_CLASS_TIMEOUT, UNKNOWN);
  sheaf__retry_options options = defaults;
  sheaf__tries tries = {0};
  options.resend_unknown = SHEAF_RESEND_NEVER;
  sheaf__next next = sheaf__retry_decide(&options, &tries, &decoded, 1, 0);
  CHECK_EQ(next.next, END);
  CHECK_EQ(next.error_class, SHEAF_CLASS_UNKNOWN_OUTCOME);
  CHECK(!next.resends_unknown);
  options.resend_unknown = SHEAF_RESEND_ALWAYS;
  next = sheaf__retry_decide(&options, &tries, &decoded, 1, 0);
  CHECK_EQ(next.next, RETRY);
  CHECK_EQ(next.budget_milli, 0);
  CHECK(next.resends_unknown);
  CHECK_EQ(tries.retries, 1);
  tries.retries = 5; /* counted within max_retries; what it ends with is its own class */
  next = sheaf__retry_decide(&options, &tries, &decoded, 1, 0);
  CHECK_EQ(next.next, END);
  CHECK_EQ(next.error_class, SHEAF_CLASS_TIMEOUT);
  CHECK(!next.resends_unknown);
}

TEST(the_server_can_forbid_a_retry) {
  static const uint32_t classes[] = {SHEAF_CLASS_SERVER, SHEAF_CLASS_RATE_LIMIT,
                                     SHEAF_CLASS_OVERLOADED, SHEAF_CLASS_UNKNOWN};
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    sheaf_decoded decoded = failure(classes[i], REFUSED);
    decoded.should_retry = 0;
    const sheaf__next next = first(&decoded);
    CHECK_EQ(next.next, END);
    CHECK_EQ(next.error_class, classes[i]);
  }
}

TEST(the_server_can_permit_one_retry_of_what_would_end) {
  static const uint32_t classes[] = {SHEAF_CLASS_AUTH,           SHEAF_CLASS_QUOTA,
                                     SHEAF_CLASS_NOT_FOUND,      SHEAF_CLASS_INVALID_REQUEST,
                                     SHEAF_CLASS_CONTENT_FILTER, SHEAF_CLASS_CONTEXT_LENGTH};
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    sheaf_decoded decoded = failure(classes[i], REFUSED);
    decoded.should_retry = 1;
    sheaf__tries tries = {0};
    const sheaf__next next = sheaf__retry_decide(&defaults, &tries, &decoded, 0, 0);
    CHECK_EQ(next.next, RETRY);
    CHECK_EQ(next.budget_milli, 1000);
    CHECK_EQ(tries.forced, 1);
    CHECK_EQ(tries.retries, 1);
    CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &decoded, 0, 1).next, END);
    sheaf__retry_options none = defaults;
    none.max_retries = 0;
    tries = (sheaf__tries){0};
    CHECK_EQ(sheaf__retry_decide(&none, &tries, &decoded, 0, 0).next, END);
    CHECK_EQ(tries.forced, 0);
  }
}

TEST(nobody_permits_a_retry_of_what_was_decided_here) {
  static const uint32_t classes[] = {SHEAF_CLASS_CANCELLED, SHEAF_CLASS_DEADLINE,
                                     SHEAF_CLASS_BUDGET, SHEAF_CLASS_BREAKER_OPEN,
                                     SHEAF_CLASS_STORE};
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    sheaf_decoded decoded = failure(classes[i], REFUSED);
    decoded.should_retry = 1;
    CHECK_EQ(first(&decoded).next, END);
  }
}

TEST(what_no_retry_can_mend_ends) {
  sheaf_decoded decoded = failure(SHEAF_CLASS_NETWORK, NOT_SENT);
  decoded.retryable = false;
  CHECK_EQ(first(&decoded).next, END);
  decoded = failure(SHEAF_CLASS_NETWORK, UNKNOWN);
  decoded.retryable = false;
  CHECK_EQ(first(&decoded).error_class, SHEAF_CLASS_NETWORK);
}

TEST(an_unknown_class_is_retried_once) {
  const sheaf_decoded decoded = failure(SHEAF_CLASS_UNKNOWN, REFUSED);
  sheaf__tries tries = {0};
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &decoded, 0, 0).next, RETRY);
  CHECK_EQ(sheaf__retry_decide(&defaults, &tries, &decoded, 0, 1).next, END);
}

/* Full jitter over min(60 s, 500 ms << tries): never above, and over many draws both halves are met. */
TEST(backoff_doubles_up_to_its_cap_and_is_spread_over_all_of_it) {
  static const uint64_t bound_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 32000};
  sheaf__retry_options options = defaults;
  options.max_retries = 100;
  const sheaf_decoded decoded = failure(SHEAF_CLASS_SERVER, REFUSED);
  for (uint8_t n = 0; n < 8; n++) {
    uint64_t low = UINT64_MAX, high = 0;
    for (uint64_t index = 0; index < 2000; index++) {
      sheaf__tries tries = {.retries = n};
      const uint64_t wait = sheaf__retry_decide(&options, &tries, &decoded, index, n).wait_ns;
      if (wait < low) low = wait;
      if (wait > high) high = wait;
    }
    CHECK(high <= bound_ms[n] * MS);
    CHECK(high > bound_ms[n] * MS / 100 * 99);
    CHECK(low < bound_ms[n] * MS / 100);
  }
  options.retry_max_ms = 3000;
  for (uint64_t index = 0; index < 500; index++) {
    sheaf__tries tries = {.retries = 6};
    CHECK(sheaf__retry_decide(&options, &tries, &decoded, index, 0).wait_ns <= 3000 * MS);
  }
}

TEST(overload_backs_off_from_two_seconds) {
  const sheaf_decoded decoded = failure(SHEAF_CLASS_OVERLOADED, REFUSED);
  uint64_t high = 0;
  for (uint64_t index = 0; index < 2000; index++) {
    sheaf__tries tries = {.throttles = 2};
    const uint64_t wait = sheaf__retry_decide(&defaults, &tries, &decoded, index, 0).wait_ns;
    if (wait > high) high = wait;
  }
  CHECK(high <= 8000 * MS);
  CHECK(high > 7900 * MS);
}

/* D, and up to min(1 s, D / 10 + 250 ms) more. */
TEST(a_wait_the_server_names_is_obeyed_whole) {
  static const uint64_t told_ms[] = {0, 100, 7000, 30000, 3600000};
  static const uint64_t spread_ms[] = {250, 260, 950, 1000, 1000};
  static const uint32_t classes[] = {SHEAF_CLASS_SERVER, SHEAF_CLASS_OVERLOADED};
  for (size_t c = 0; c < 2; c++) {
    for (size_t i = 0; i < sizeof told_ms / sizeof *told_ms; i++) {
      for (uint64_t index = 0; index < 200; index++) {
        sheaf_decoded decoded = failure(classes[c], REFUSED);
        decoded.retry_after_ns = told_ms[i] * MS;
        sheaf__tries tries = {0};
        const uint64_t wait = sheaf__retry_decide(&defaults, &tries, &decoded, index, 0).wait_ns;
        CHECK(wait >= told_ms[i] * MS);
        CHECK(wait <= (told_ms[i] + spread_ms[i]) * MS);
      }
    }
  }
  sheaf_decoded limited = failure(SHEAF_CLASS_RATE_LIMIT, REFUSED);
  limited.retry_after_ns = 20 * SECOND;
  CHECK_EQ(first(&limited).wait_ns, 20 * SECOND);
  limited.retry_after_ns = SHEAF_NEVER - 1;
  CHECK_EQ(first(&limited).wait_ns, SHEAF_NEVER - 1);
}

TEST(the_same_failure_of_the_same_request_waits_the_same) {
  const sheaf_decoded decoded = failure(SHEAF_CLASS_SERVER, REFUSED);
  sheaf__tries one = {0}, two = {0}, other = {0};
  const uint64_t a = sheaf__retry_decide(&defaults, &one, &decoded, 5, 1).wait_ns;
  CHECK_EQ(sheaf__retry_decide(&defaults, &two, &decoded, 5, 1).wait_ns, a);
  CHECK(sheaf__retry_decide(&defaults, &other, &decoded, 6, 1).wait_ns != a);
}

int main(void) {
  RUN(each_class_leads_where_the_table_says);
  RUN(every_class_is_in_the_table);
  RUN(server_errors_are_retried_max_retries_times);
  RUN(invalid_responses_are_retried_twice_within_max_retries);
  RUN(throttles_have_a_bound_of_their_own);
  RUN(not_sent_is_free_once_and_then_counts_at_a_fifth);
  RUN(a_free_resend_is_allowed_even_without_retries);
  RUN(an_unknown_outcome_meets_the_policy);
  RUN(the_server_can_forbid_a_retry);
  RUN(the_server_can_permit_one_retry_of_what_would_end);
  RUN(nobody_permits_a_retry_of_what_was_decided_here);
  RUN(what_no_retry_can_mend_ends);
  RUN(an_unknown_class_is_retried_once);
  RUN(backoff_doubles_up_to_its_cap_and_is_spread_over_all_of_it);
  RUN(overload_backs_off_from_two_seconds);
  RUN(a_wait_the_server_names_is_obeyed_whole);
  RUN(the_same_failure_of_the_same_request_waits_the_same);
  return check_report();
}
