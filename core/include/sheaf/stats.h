/* sheaf/stats.h: what a run did, in fixed memory. */
#ifndef SHEAF_STATS_H
#define SHEAF_STATS_H

#include <sheaf/base.h>
#include <sheaf/buf.h>
#include <sheaf/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Mean and quantiles of a histogram: relative error at most 1/64 (1.6 %), exact mean and max. ns.
 */
typedef struct sheaf_quantiles {
  uint64_t count;
  uint64_t mean_ns;
  uint64_t p50_ns;
  uint64_t p90_ns;
  uint64_t p95_ns;
  uint64_t p99_ns;
  uint64_t max_ns;
} sheaf_quantiles;

/* What holds the next start back. */
enum {
  SHEAF_LIMITED_BY_NOTHING = 0,
  SHEAF_LIMITED_BY_INPUT = 1,
  SHEAF_LIMITED_BY_CONCURRENCY = 2,
  SHEAF_LIMITED_BY_RATE = 3,
  SHEAF_LIMITED_BY_PAUSE = 4,
  SHEAF_LIMITED_BY_BREAKER = 5,
  SHEAF_LIMITED_BY_BUDGET = 6,
  SHEAF_LIMITED_BY_STORE = 7,
  SHEAF_LIMITED_BY_RETRY = 8
};
SHEAF_API const char *sheaf_limited_by_name(uint32_t limited_by);

#define SHEAF_SERIES_MAX 64

typedef struct sheaf_stats {
  uint32_t struct_bytes;
  uint32_t limited_by; /* SHEAF_LIMITED_BY_* */
  uint64_t admitted;
  uint64_t skipped; /* done in an earlier run */
  uint64_t succeeded;
  uint64_t failed;        /* attempted or refused at admission */
  uint64_t not_attempted; /* ended unsent: drain, quota, auth, deadline, budget */
  uint64_t failed_by_class[SHEAF_CLASS_COUNT];
  /* refusals and failures of single attempts */
  uint64_t attempt_errors_by_class[SHEAF_CLASS_COUNT];
  uint64_t queued;
  uint64_t in_flight;
  uint64_t waiting_retry;
  uint64_t attempts;
  uint64_t retries;
  uint64_t throttles;
  uint64_t unknown_outcomes; /* attempts whose billing is unknown */
  uint64_t unknown_resent;
  uint64_t recovered_unknown; /* rows an earlier run left unknown */
  uint64_t input_tokens;
  uint64_t output_tokens;
  uint64_t cached_tokens;
  uint64_t reasoning_tokens;
  uint64_t usage_missing;   /* successes without usage: sums are partial */
  uint64_t wasted_tokens;   /* tokens of attempts that gave no result, as far as told */
  int64_t cost_usd_nano;    /* known spend; SHEAF_ABSENT: no price known for any row */
  int64_t unknown_usd_nano; /* upper estimate of what unknown outcomes may have cost */
  uint64_t cost_missing;    /* billed rows without a price */
  uint64_t bytes_sent;      /* bodies */
  uint64_t bytes_received;
  uint64_t started_ns;  /* first step */
  uint64_t now_ns;      /* latest step */
  uint64_t limit_milli; /* concurrency allowed now, sum over endpoints, in 1/1000 */
  uint64_t in_flight_max;
  uint64_t in_flight_mean_milli; /* over time */
  uint64_t rate_milli;           /* completions a second, EMA over 10 s, in 1/1000 */
  uint64_t paused_until_ns;      /* SHEAF_NEVER: not paused */
  uint64_t latency_sum_ns;       /* of successes: what one at a time would have taken */
  /* Concurrency over time: the mean in flight of each of the last `series_count` spans of
   * series_span_ns, in 1/1000, oldest first. When full, neighbours are joined and the span doubles. */
  uint32_t series_milli[SHEAF_SERIES_MAX];
  uint32_t series_count;
  uint32_t reserved;
  uint64_t series_span_ns;
  sheaf_quantiles queue;
  sheaf_quantiles ttft;
  sheaf_quantiles latency;
  /* ---- The queue ---- */
  uint64_t urgent;          /* of admitted, by priority class */
  uint64_t background;      /* low and deferrable */
  uint64_t groups;          /* calls of more than one request that were sent */
  uint64_t grouped;         /* requests that travelled in them, each try counted */
  uint64_t group_max;       /* members that a group may have, of the kind last sent */
  uint64_t groups_failed;   /* refused, discarded or without reply */
  uint64_t groups_retried;  /* of those, sent again as a group */
  uint64_t merge_fallbacks; /* requests that were sent alone or in a smaller group because of it */
  uint64_t canaries;        /* members that were also asked alone */
  uint64_t canary_agreement_milli; /* mean agreement of those, 0..1000; 0 without any */
  uint64_t deduplicated;           /* answered by a twin's call */
  uint64_t cache_hits;
  uint64_t cache_entries;
  uint64_t cache_bytes;
  uint64_t answered_locally; /* by preprocess or fallback */
  uint64_t queue_capacity;
  uint64_t queue_bytes; /* text of the requests inside */
  bool merge_stopped;   /* prompts are not merged any more */
  bool paused;
  uint8_t reserved2[6];
  sheaf_quantiles group_wait; /* first member to the start of its call */
  sheaf_quantiles response;   /* admission to the end, of successes */
} sheaf_stats;

/* (mean group size / group_max) x (grouped / admitted), 0..1000. 0 before the first group. Since 0.1.
 */
SHEAF_API uint64_t sheaf_stats_efficiency_milli(const sheaf_stats *stats);

/* A copy of the numbers. Cheap enough for every progress line. Since 0.1. */
SHEAF_API void sheaf_engine_stats(const sheaf_engine *engine, sheaf_stats *stats);
/* Counts from 0 again; money spent and what is inside are kept, so that the spend cap stands. Since
 * 0.1. */
SHEAF_API void sheaf_engine_stats_reset(sheaf_engine *engine);
/* The same as one JSON object, or as OpenMetrics text ending in "# EOF". Times in ms, cost in USD.
 */
SHEAF_API int32_t sheaf_stats_json(const sheaf_stats *stats, sheaf_buf *out);
SHEAF_API int32_t sheaf_stats_openmetrics(const sheaf_stats *stats, sheaf_buf *out);
/* For hosts that write these texts themselves, as those of a WebAssembly module do: the numbers that
 * they are made of, as bytes (times in ns, money in nano-USD, shares in 1/1000); and, of the same
 * build, where each of them lies and how it is written, as JSON. Since 0.1. */
SHEAF_API int32_t sheaf_stats_numbers(const sheaf_stats *stats, sheaf_buf *out);
SHEAF_API int32_t sheaf_stats_layout(sheaf_buf *out);
/* Time until `remaining` more rows are done, from the rate of the last 10 s, the concurrency and
 * the rate limits in force and pauses announced; SHEAF_NEVER when it cannot be told. */
SHEAF_API uint64_t sheaf_stats_eta_ns(const sheaf_stats *stats, uint64_t remaining);
/* One line for people: "812/1000 done, 3 failed, 64 running (concurrency), 41.2/s, $0.12".
 * Terminated; answers its length. */
SHEAF_API size_t sheaf_stats_line(const sheaf_stats *stats, char *line, size_t bytes);

/* ---- Prices: nano-USD per million tokens ---- */

typedef struct sheaf_price {
  const char *provider; /* a provider's name, or "*" */
  const char *model;    /* exact, or a prefix ending in '*' */
  int64_t input;
  int64_t output;
  int64_t cache_read;  /* SHEAF_ABSENT: as input */
  int64_t cache_write; /* SHEAF_ABSENT: as input */
  /* In batch jobs; 0: the live price less the discount of the provider's batch API. Since 0.1. */
  int64_t batch_input;
  int64_t batch_output;
} sheaf_price;

typedef struct sheaf_price_table {
  const char *date; /* "2026-11-21": as of */
  const char *source;
  const sheaf_price *prices;
  uint32_t count;
  uint32_t reserved;
} sheaf_price_table;

/* The table that is built in; static. Its date and source are fields of it. Without rows in a
 * WebAssembly module, whose host hands it in. Since 0.1. */
SHEAF_API const sheaf_price_table *sheaf_prices_builtin(void);
/* Reads {"date":"…","prices":[{"provider","model","input","output","cache_read","cache_write",
 * "batch_input","batch_output"}]}
 * with prices in USD per million tokens; rows come before the built-in ones. The table is freed
 * with sheaf_prices_free. */
SHEAF_API int32_t sheaf_prices_read(sheaf_slice json, const sheaf_allocator *allocator,
                                    sheaf_price_table **table, sheaf_parse_error *error);
SHEAF_API void sheaf_prices_free(sheaf_price_table *table, const sheaf_allocator *allocator);
/* Exact names before prefixes, longer prefixes first; NULL if unknown. */
SHEAF_API const sheaf_price *sheaf_price_find(const sheaf_price_table *table, sheaf_slice provider,
                                              sheaf_slice model);
/* Cost of a usage in nano-USD, rounded up; SHEAF_ABSENT if usage or price is unknown. */
SHEAF_API int64_t sheaf_price_cost(const sheaf_price *price, const sheaf_usage *usage);
/* The same in a batch job. discount_pct: of the provider's batch API (sheaf_job_traits), where the price
 * has no batch columns. Since 0.1. */
SHEAF_API int64_t sheaf_price_batch_cost(const sheaf_price *price, const sheaf_usage *usage,
                                         uint32_t discount_pct);

#ifdef __cplusplus
}
#endif

#endif
