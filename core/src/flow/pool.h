/* pool.h: what shares one limit: buckets, cooldown, learned rate, retry budget (algorithms.md 1-3,
 * 5, 7). */
#ifndef SHEAF_POOL_H
#define SHEAF_POOL_H

#include "flow/bucket.h"

#include <sheaf/provider.h>

/* What one exchange reserves of each resource. */
typedef struct sheaf__cost {
  uint32_t input_tokens;
  uint32_t output_tokens;
} sheaf__cost;

/* What the user states, now or later. */
typedef struct sheaf__pool_limits {
  uint64_t rpm, tpm, input_tpm, output_tpm; /* 0 not known */
  uint64_t rate_safety_pct;                 /* 98 */
  uint64_t burst_ms;                        /* 1000 */
  uint64_t start_interval_ms;               /* 0 */
} sheaf__pool_limits;

typedef struct sheaf__pool_options {
  uint64_t rpm, tpm, input_tpm, output_tpm; /* as in limits */
  uint64_t rate_safety_pct;
  uint64_t burst_ms;
  uint64_t start_interval_ms;
  uint32_t charge_tokens, charge_output; /* SHEAF_CHARGE_* */
  uint64_t seed;
  uint64_t key; /* which pool, for draws */
} sheaf__pool_options;

/* One resource: a bucket whose limit may come from options, from headers, or from neither (off). */
typedef struct sheaf__meter {
  sheaf__bucket bucket;
  uint64_t stated;       /* by the user; headers never raise it above this when not 0 */
  int64_t told;          /* L adopted from headers, SHEAF_ABSENT none */
  int64_t candidate;     /* an L seen once */
  int64_t unacked;       /* tokens reserved by exchanges whose head has not come */
  uint32_t window_votes; /* samples in a row that speak for window_candidate_ns */
  uint64_t window_candidate_ns;
  uint64_t window_ns;
} sheaf__meter;

typedef struct sheaf__pool {
  sheaf__pool_options options;
  sheaf__meter meters[SHEAF_RESOURCE_COUNT];
  /* cooldown */
  uint64_t pause_until_ns; /* 0: never paused */
  uint32_t pause_steps;    /* k */
  bool probing;   /* a probe is out: nothing else leaves until its 2xx head or probe_until_ns */
  bool probe_due; /* the pause is over and no probe has left yet */
  uint64_t probe_until_ns;
  uint64_t probe_exchange;
  uint64_t lacking_ns; /* refill time of what the latest refused head said is lacking; 0: not
                          attributed */
  /* learned rate */
  sheaf__bucket learned;
  uint64_t learned_wmax; /* milli-requests a minute; 0 off */
  uint64_t learned_cut_ns;
  uint64_t last_429_ns;
  uint64_t delivered_window_ns, delivered_count,
      delivered;          /* 2xx heads in 10 s windows; delivered in milli-requests a minute */
  uint64_t refused_count; /* rate_limit refusals of the same window */
  uint64_t seen_before, refused_before; /* of the window before: heads and refusals */
  /* spacing */
  uint64_t next_start_ns;
  uint64_t spaced_until_ns; /* of that, what start_interval_ms asks for; 0: nothing yet */
  /* retry budget, milli */
  int64_t retry_budget;
  uint64_t retry_budget_at_ns;
  /* output estimate: EMA of output tokens, 1/32, x1024; 0 none */
  uint64_t output_mean_x1024;
  /* input estimate: learned ratio tokens per 1024 bytes; starts at 256 (bytes/4) */
  uint64_t input_ratio_x1024;
} sheaf__pool;

void sheaf__pool_init(sheaf__pool *pool, const sheaf__pool_options *options, uint64_t now_ns);

/* Other limits from now on. Levels, debts and what is reserved are kept; a resource that had no limit
 * begins with what its burst leaves beside what is under way. */
void sheaf__pool_set_limits(sheaf__pool *pool, const sheaf__pool_limits *limits, uint64_t now_ns);

/* What an exchange of body_bytes, of `counted` input tokens where they are known (else SHEAF_ABSENT), with at
 * most output_max (SHEAF_ABSENT: not capped) reserves. */
sheaf__cost sheaf__pool_estimate(const sheaf__pool *pool, uint64_t body_bytes, int64_t counted,
                                 int64_t output_max);

/* May an exchange of this cost start now? 0: yes. Else the time to ask again (> now_ns), with
 * *limited_by a SHEAF_LIMITED_BY_*. */
uint64_t sheaf__pool_gate(sheaf__pool *pool, const sheaf__cost *cost, uint64_t now_ns,
                          uint32_t *limited_by);
/* It starts: reserves all resources. exchange: its id, for the probe. */
void sheaf__pool_take(sheaf__pool *pool, const sheaf__cost *cost, uint64_t exchange,
                      uint64_t now_ns);
/* Its head came. success: 2xx. limits: what the headers said (count may be 0). */
void sheaf__pool_on_head(sheaf__pool *pool, const sheaf__cost *cost, uint64_t exchange,
                         bool success, const sheaf_limit *limits, uint32_t count, uint64_t now_ns);
/* It ended without ever having a head: its reservation is no longer unacked; the probe is lost. */
void sheaf__pool_on_headless(sheaf__pool *pool, const sheaf__cost *cost, uint64_t exchange,
                             uint64_t now_ns);
/* It is over: refunds by billing, settles by usage (algorithms.md 1), learns the estimates.
 * body_bytes as in estimate. */
void sheaf__pool_settle(sheaf__pool *pool, const sheaf__cost *cost, uint32_t billing,
                        const sheaf_usage *usage, uint64_t body_bytes, uint64_t now_ns);
/* What settle learns of a usage, for calls that it settles without. */
void sheaf__pool_learn(sheaf__pool *pool, const sheaf__cost *cost, const sheaf_usage *usage,
                       uint64_t body_bytes);
/* A rate_limit (scope pool) or overloaded refusal: cooldown; learned: also the learned rate
 * (rate_limit only). retry_after_ns SHEAF_NEVER: not told. Answers pause_until_ns. */
uint64_t sheaf__pool_on_refusal(sheaf__pool *pool, uint64_t retry_after_ns, bool learned,
                                uint64_t index, uint64_t attempt, uint64_t now_ns);
/* True when one request costs more than the whole limit: it can never pass. */
bool sheaf__pool_too_large(const sheaf__pool *pool, const sheaf__cost *cost);

/* Retry budget: 0 and pays when the price (milli-tokens) can be paid now, else the time to ask
 * again. */
uint64_t sheaf__pool_pay_retry(sheaf__pool *pool, uint32_t price_milli, uint64_t now_ns);
void sheaf__pool_earn(sheaf__pool *pool, uint32_t milli, uint64_t now_ns);

/* rebound (algorithms.md 0): dt and K in ms, wmax < 2^26 (scaled by the callers). */
int64_t sheaf__rebound(int64_t wmax, int64_t dt_ms, int64_t k_ms);

#endif
