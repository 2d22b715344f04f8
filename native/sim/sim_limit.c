/* sim_limit.c: requests and tokens a minute, and requests under way, per key. A bucket holds a
 * minute's worth and refills all the time, as the providers say theirs do. Deliberately not the
 * core's bucket: the two are to check each other.
 *
 * Keys are found in an open table that never shrinks; keys beyond its ceiling share one account. */
#include "sim_int.h"

#include <stdlib.h>

#define KEYS_MAX 1024u
#define PLACES 4096u /* a power of two, four times the keys */
#define MINUTE_NS 60e9

typedef struct sim_bucket {
  double level;
  uint64_t at_ns;
} sim_bucket;

typedef struct sim_account {
  bool is_used;
  uint32_t in_flight;
  uint64_t key_hash;
  sim_bucket buckets[SIM_BUDGETS];
} sim_account;

struct sim_limiter {
  uint64_t limits[SIM_BUDGETS]; /* 0: none */
  uint32_t count;
  sim_account accounts[PLACES];
  sim_account others;
};

sim_limiter *sheaf__sim_limiter_new(const sim_minute *minute) {
  sim_limiter *limiter = calloc(1, sizeof *limiter);
  if (!limiter) return NULL;
  limiter->limits[SIM_BUDGET_REQUESTS] = minute->requests;
  limiter->limits[SIM_BUDGET_TOKENS] = minute->tokens;
  limiter->limits[SIM_BUDGET_INPUT] = minute->input_tokens;
  limiter->limits[SIM_BUDGET_OUTPUT] = minute->output_tokens;
  for (uint32_t i = 0; i < SIM_BUDGETS; i++)
    limiter->others.buckets[i].level = (double)limiter->limits[i];
  return limiter;
}

void sheaf__sim_limiter_free(sim_limiter *limiter) {
  free(limiter);
}

static void fill(sim_limiter *limiter, sim_account *account) {
  for (uint32_t i = 0; i < SIM_BUDGETS; i++)
    account->buckets[i] = (sim_bucket){.level = (double)limiter->limits[i]};
}

void sheaf__sim_limiter_reset(sim_limiter *limiter) {
  for (uint32_t i = 0; i < PLACES; i++) fill(limiter, &limiter->accounts[i]);
  fill(limiter, &limiter->others);
}

static sim_account *find(sim_limiter *limiter, uint64_t key_hash) {
  uint32_t at = (uint32_t)key_hash & (PLACES - 1);
  while (limiter->accounts[at].is_used && limiter->accounts[at].key_hash != key_hash)
    at = (at + 1) & (PLACES - 1);
  sim_account *account = &limiter->accounts[at];
  if (account->is_used) return account;
  if (limiter->count == KEYS_MAX) return &limiter->others;
  limiter->count++;
  account->is_used = true;
  account->key_hash = key_hash;
  fill(limiter, account);
  return account;
}

static void refill(sim_bucket *bucket, uint64_t limit, uint64_t now_ns) {
  if (now_ns <= bucket->at_ns) return;
  bucket->level += (double)limit * (double)(now_ns - bucket->at_ns) / MINUTE_NS;
  if (bucket->level > (double)limit) bucket->level = (double)limit;
  bucket->at_ns = now_ns;
}

static uint64_t wait_for(const sim_bucket *bucket, uint64_t limit, double level) {
  if (bucket->level >= level) return 0;
  return (uint64_t)((level - bucket->level) * MINUTE_NS / (double)limit) + 1;
}

static sim_budget describe(const sim_bucket *bucket, uint64_t limit) {
  if (!limit) return (sim_budget){0};
  return (sim_budget){.limit = limit,
                      .remaining = (uint64_t)bucket->level,
                      .full_after_ns = wait_for(bucket, limit, (double)limit)};
}

/* The reason given is the bucket that takes longest to fit. */
uint32_t sheaf__sim_limiter_take(sim_limiter *limiter, uint64_t key_hash, uint64_t input_tokens,
                                 uint64_t output_tokens, uint64_t now_ns,
                                 sim_budget budgets[SIM_BUDGETS], uint64_t *wait_ns) {
  static const uint32_t reasons[SIM_BUDGETS] = {SIM_OVER_REQUESTS, SIM_OVER_TOKENS, SIM_OVER_INPUT,
                                                SIM_OVER_OUTPUT};
  const uint64_t wanted[SIM_BUDGETS] = {1, input_tokens + output_tokens, input_tokens,
                                        output_tokens};
  sim_account *account = find(limiter, key_hash);
  uint32_t verdict = SIM_ADMITTED;
  *wait_ns = 0;
  for (uint32_t i = 0; i < SIM_BUDGETS; i++) {
    uint64_t limit = limiter->limits[i];
    if (!limit) continue;
    refill(&account->buckets[i], limit, now_ns);
    uint64_t wait = wait_for(&account->buckets[i], limit, (double)wanted[i]);
    if (wanted[i] > limit) verdict = SIM_NEVER_FITS;
    if (verdict == SIM_NEVER_FITS || wait <= *wait_ns) continue;
    *wait_ns = wait;
    verdict = reasons[i];
  }
  if (verdict == SIM_NEVER_FITS) *wait_ns = 0;
  for (uint32_t i = 0; i < SIM_BUDGETS; i++) {
    if (verdict == SIM_ADMITTED && limiter->limits[i])
      account->buckets[i].level -= (double)wanted[i];
    budgets[i] = describe(&account->buckets[i], limiter->limits[i]);
  }
  return verdict;
}

uint32_t sheaf__sim_limiter_begin(sim_limiter *limiter, uint64_t key_hash) {
  return ++find(limiter, key_hash)->in_flight;
}

void sheaf__sim_limiter_end(sim_limiter *limiter, uint64_t key_hash) {
  sim_account *account = find(limiter, key_hash);
  if (account->in_flight) account->in_flight--;
}
