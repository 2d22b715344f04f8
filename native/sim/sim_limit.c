/* sim_limit.c: requests and tokens a minute, per key. A bucket holds a minute's worth and refills
 * all the time, as the providers say theirs do. Deliberately not the core's bucket: the two are to
 * check each other. */
#include "sim_int.h"

#include <stdlib.h>

#define KEYS_MAX 1024u /* later keys share the last place */
#define MINUTE_NS 60e9

typedef struct sim_bucket {
  double level;
  uint64_t at_ns;
} sim_bucket;

typedef struct sim_account {
  uint64_t key_hash;
  sim_bucket requests;
  sim_bucket tokens;
} sim_account;

struct sim_limiter {
  uint64_t rpm;
  uint64_t tpm;
  uint32_t count;
  sim_account accounts[KEYS_MAX];
};

sim_limiter *sheaf__sim_limiter_new(uint64_t rpm, uint64_t tpm) {
  sim_limiter *limiter = calloc(1, sizeof *limiter);
  if (!limiter) return NULL;
  limiter->rpm = rpm;
  limiter->tpm = tpm;
  return limiter;
}

void sheaf__sim_limiter_free(sim_limiter *limiter) {
  free(limiter);
}

static sim_account *find(sim_limiter *limiter, uint64_t key_hash, uint64_t now_ns) {
  for (uint32_t i = 0; i < limiter->count; i++)
    if (limiter->accounts[i].key_hash == key_hash) return &limiter->accounts[i];
  if (limiter->count == KEYS_MAX) return &limiter->accounts[KEYS_MAX - 1];
  sim_account *fresh = &limiter->accounts[limiter->count++];
  *fresh = (sim_account){.key_hash = key_hash,
                         .requests = {.level = (double)limiter->rpm, .at_ns = now_ns},
                         .tokens = {.level = (double)limiter->tpm, .at_ns = now_ns}};
  return fresh;
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

uint32_t sheaf__sim_limiter_take(sim_limiter *limiter, uint64_t key_hash, uint64_t tokens,
                                 uint64_t now_ns, sim_quota *quota, uint64_t *wait_ns) {
  sim_account *account = find(limiter, key_hash, now_ns);
  uint64_t rpm = limiter->rpm, tpm = limiter->tpm;
  uint32_t verdict = SIM_ADMITTED;
  *wait_ns = 0;
  if (rpm) {
    refill(&account->requests, rpm, now_ns);
    *wait_ns = wait_for(&account->requests, rpm, 1.0);
    if (*wait_ns) verdict = SIM_OVER_REQUESTS;
  }
  if (tpm) {
    refill(&account->tokens, tpm, now_ns);
    uint64_t wait = wait_for(&account->tokens, tpm, (double)tokens);
    if (tokens > tpm)
      verdict = SIM_NEVER_FITS;
    else if (wait > *wait_ns)
      *wait_ns = wait, verdict = SIM_OVER_TOKENS;
  }
  if (verdict == SIM_ADMITTED) {
    if (rpm) account->requests.level -= 1.0;
    if (tpm) account->tokens.level -= (double)tokens;
  }
  quota->requests = describe(&account->requests, rpm);
  quota->tokens = describe(&account->tokens, tpm);
  return verdict;
}
