/* batch_stats.c: statistics of one list. The engine counts for the whole client, where several lists and single requests may
 * run; what results tell of themselves is counted here from them, exactly. The rest (concurrency, rates, pauses) stays the
 * client's at the end of the list. */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

static void add_known(uint64_t *sum, int64_t number) {
  if (number > 0) *sum += (uint64_t)number;
}

static void add_money(sheaf_stats *s, const sheaf_result *r) {
  if (r->cost_usd_nano == SHEAF_ABSENT) {
    if (r->billing == SHEAF_BILLING_BILLED) s->cost_missing++;
    return;
  }
  s->cost_usd_nano += r->cost_usd_nano;
}

static void add_success(sheaf_stats *s, const sheaf_result *r) {
  s->succeeded++;
  s->latency_sum_ns += r->latency_ns;
  if (r->usage.input_total == SHEAF_ABSENT && r->usage.output_total == SHEAF_ABSENT)
    s->usage_missing++;
}

static void add(sheaf_stats *s, const sheaf_result *r) {
  uint32_t klass = r->error_class < SHEAF_CLASS_COUNT ? r->error_class : SHEAF_CLASS_UNKNOWN;
  s->admitted++;
  if (r->ok)
    add_success(s, r);
  else if (!r->attempted && klass != SHEAF_CLASS_INVALID_REQUEST)
    s->not_attempted++;
  else
    s->failed++, s->failed_by_class[klass]++;
  for (uint32_t i = 0; i < r->history_count; i++)
    if (r->history[i].error_class != SHEAF_CLASS_NONE &&
        r->history[i].error_class < SHEAF_CLASS_COUNT)
      s->attempt_errors_by_class[r->history[i].error_class]++;
  s->attempts += r->attempts;
  s->throttles += r->throttles;
  if (r->attempts > r->throttles + 1) s->retries += r->attempts - r->throttles - 1;
  if (r->billing == SHEAF_BILLING_UNKNOWN) s->unknown_outcomes++;
  if (r->resent_unknown) s->unknown_resent++;
  add_known(&s->input_tokens, r->usage.input_total);
  add_known(&s->output_tokens, r->usage.output_total);
  add_known(&s->cached_tokens, r->usage.cache_read);
  add_known(&s->reasoning_tokens, r->usage.reasoning);
  s->bytes_received += r->body.bytes;
  add_money(s, r);
}

static void begin(sheaf_stats *s) {
  s->admitted = s->skipped = s->succeeded = s->failed = s->not_attempted = 0;
  memset(s->failed_by_class, 0, sizeof s->failed_by_class);
  memset(s->attempt_errors_by_class, 0, sizeof s->attempt_errors_by_class);
  s->queued = s->in_flight = s->waiting_retry = 0;
  s->attempts = s->retries = s->throttles = 0;
  s->unknown_outcomes = s->unknown_resent = s->recovered_unknown = 0;
  s->input_tokens = s->output_tokens = s->cached_tokens = s->reasoning_tokens = 0;
  s->usage_missing = s->wasted_tokens = s->cost_missing = 0;
  s->cost_usd_nano = 0;
  s->bytes_received = 0;
  s->latency_sum_ns = 0;
  memset(&s->queue, 0, sizeof s->queue);
  memset(&s->ttft, 0, sizeof s->ttft);
  memset(&s->latency, 0, sizeof s->latency);
}

/* ---- Quantiles: exact, from the sorted times ---- */

static int by_size(const void *a, const void *b) {
  uint64_t x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

/* The smallest time that at least percent of them do not pass. */
static uint64_t at_percent(const uint64_t *sorted, uint64_t count, uint64_t percent) {
  return sorted[(count * percent + 99) / 100 - 1];
}

static void quantiles(uint64_t *times, uint64_t count, sheaf_quantiles *q) {
  if (count == 0) return;
  qsort(times, count, sizeof *times, by_size);
  uint64_t mean = 0, rest = 0; /* the sum may not fit */
  for (uint64_t i = 0; i < count; i++) {
    mean += times[i] / count;
    rest += times[i] % count;
    mean += rest / count;
    rest %= count;
  }
  *q = (sheaf_quantiles){.count = count,
                         .mean_ns = mean,
                         .p50_ns = at_percent(times, count, 50),
                         .p90_ns = at_percent(times, count, 90),
                         .p95_ns = at_percent(times, count, 95),
                         .p99_ns = at_percent(times, count, 99),
                         .max_ns = times[count - 1]};
}

int32_t sheaf__batch_stats(sheaf_stats *stats, sheaf_result *const *results, size_t count) {
  begin(stats);
  for (size_t i = 0; i < count; i++) add(stats, results[i]);
  if (stats->cost_missing > 0 && stats->cost_usd_nano == 0) stats->cost_usd_nano = SHEAF_ABSENT;
  uint64_t *times = malloc((count + 1) * sizeof *times);
  if (times == NULL) return SHEAF_E_NOMEM;
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    if (results[i]->ok) times[n++] = results[i]->latency_ns;
  quantiles(times, n, &stats->latency);
  n = 0;
  for (size_t i = 0; i < count; i++)
    if (results[i]->ok && results[i]->ttft_ns != SHEAF_NEVER) times[n++] = results[i]->ttft_ns;
  quantiles(times, n, &stats->ttft);
  n = 0;
  for (size_t i = 0; i < count; i++)
    if (results[i]->attempted) times[n++] = results[i]->queue_ns;
  quantiles(times, n, &stats->queue);
  free(times);
  return SHEAF_OK;
}
