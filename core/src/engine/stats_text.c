/* stats_text.c: statistics as JSON, as OpenMetrics text, as one line, and the time that is left. */
#include "engine/engine_int.h"

const char *sheaf_limited_by_name(uint32_t limited_by) {
  switch (limited_by) {
    case SHEAF_LIMITED_BY_NOTHING: return "nothing";
    case SHEAF_LIMITED_BY_INPUT: return "input";
    case SHEAF_LIMITED_BY_CONCURRENCY: return "concurrency";
    case SHEAF_LIMITED_BY_RATE: return "rate";
    case SHEAF_LIMITED_BY_PAUSE: return "pause";
    case SHEAF_LIMITED_BY_BREAKER: return "breaker";
    case SHEAF_LIMITED_BY_BUDGET: return "budget";
    case SHEAF_LIMITED_BY_STORE: return "store";
    case SHEAF_LIMITED_BY_RETRY: return "retry";
    default: return "unknown";
  }
}

const char *sheaf_group_state_name(uint32_t state) {
  switch (state) {
#define GROUP_STATE_NAME(name, number, text) \
  case number: return text;
    SHEAF_GROUP_STATE_MAP(GROUP_STATE_NAME)
#undef GROUP_STATE_NAME
    default: return "unknown";
  }
}

/* Grouped / groups is the mean size. Tries of one request in several groups may pass 1: cut. */
uint64_t sheaf_stats_efficiency_milli(const sheaf_stats *s) {
  if (s->groups == 0 || s->group_max == 0 || s->admitted == 0) return 0;
  const uint64_t one = 1000000;
  uint64_t full = sheaf__mul_sat(s->grouped, one) / sheaf__mul_sat(s->groups, s->group_max);
  uint64_t share = sheaf__mul_sat(s->grouped, one) / s->admitted;
  return sheaf__min_u64(full, one) * sheaf__min_u64(share, one) / (one * one / 1000);
}

/* A number of 1/scale as a decimal with the digits of scale: 12345 of 1000 -> 12.345. */
static void decimal(sheaf_buf *out, uint64_t number, uint64_t scale) {
  sheaf_buf_append_u64(out, number / scale);
  uint64_t rest = number % scale;
  if (rest == 0) return;
  char digits[20];
  size_t n = 0;
  for (uint64_t step = scale / 10; step > 0 && rest > 0; step /= 10) {
    digits[n++] = (char)('0' + rest / step);
    rest %= step;
  }
  sheaf_buf_append_text(out, ".");
  sheaf_buf_append(out, digits, n);
}

static void key(sheaf_buf *out, const char *name) {
  if (out->bytes && out->data[out->bytes - 1] != '{') sheaf_buf_append_text(out, ",");
  sheaf_buf_append_text(out, "\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
}

static void count(sheaf_buf *out, const char *name, uint64_t number) {
  key(out, name);
  sheaf_buf_append_u64(out, number);
}

static void scaled(sheaf_buf *out, const char *name, uint64_t number, uint64_t scale) {
  key(out, name);
  decimal(out, number, scale);
}

static void money(sheaf_buf *out, const char *name, int64_t nano) {
  key(out, name);
  if (nano == SHEAF_ABSENT)
    sheaf_buf_append_text(out, "null");
  else
    decimal(out, (uint64_t)(nano < 0 ? 0 : nano), 1000000000);
}

static void truth(sheaf_buf *out, const char *name, bool is) {
  key(out, name);
  sheaf_buf_append_text(out, is ? "true" : "false");
}

static void quantiles(sheaf_buf *out, const char *name, const sheaf_quantiles *q) {
  key(out, name);
  if (q->count == 0) {
    sheaf_buf_append_text(out, "null");
    return;
  }
  sheaf_buf_append_text(out, "{");
  count(out, "count", q->count);
  scaled(out, "mean", q->mean_ns / 1000, 1000);
  scaled(out, "p50", q->p50_ns / 1000, 1000);
  scaled(out, "p90", q->p90_ns / 1000, 1000);
  scaled(out, "p95", q->p95_ns / 1000, 1000);
  scaled(out, "p99", q->p99_ns / 1000, 1000);
  scaled(out, "max", q->max_ns / 1000, 1000);
  sheaf_buf_append_text(out, "}");
}

static void classes(sheaf_buf *out, const char *name, const uint64_t *counts) {
  key(out, name);
  sheaf_buf_append_text(out, "{");
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++)
    if (counts[i]) count(out, sheaf_class_name(i), counts[i]);
  sheaf_buf_append_text(out, "}");
}

static uint64_t wall_ns(const sheaf_stats *s) {
  return s->now_ns > s->started_ns ? s->now_ns - s->started_ns : 0;
}

/* Items a second over the whole run, in 1/1000. */
static uint64_t mean_rate_milli(const sheaf_stats *s) {
  uint64_t us = wall_ns(s) / 1000;
  return us ? sheaf__mul_sat(s->succeeded + s->failed, 1000000000) / us : 0;
}

static void queue_json(const sheaf_stats *s, sheaf_buf *out) {
  count(out, "urgent", s->urgent);
  count(out, "background", s->background);
  count(out, "groups", s->groups);
  count(out, "grouped", s->grouped);
  count(out, "group_max", s->group_max);
  count(out, "groups_failed", s->groups_failed);
  count(out, "groups_retried", s->groups_retried);
  count(out, "merge_fallbacks", s->merge_fallbacks);
  scaled(out, "group_efficiency", sheaf_stats_efficiency_milli(s), 1000);
  count(out, "canaries", s->canaries);
  scaled(out, "canary_agreement", s->canary_agreement_milli, 1000);
  truth(out, "merge_stopped", s->merge_stopped);
  count(out, "deduplicated", s->deduplicated);
  count(out, "cache_hits", s->cache_hits);
  count(out, "cache_entries", s->cache_entries);
  count(out, "cache_bytes", s->cache_bytes);
  count(out, "answered_locally", s->answered_locally);
  count(out, "queue_capacity", s->queue_capacity);
  count(out, "queue_bytes", s->queue_bytes);
  truth(out, "paused", s->paused);
  quantiles(out, "group_wait_ms", &s->group_wait);
  quantiles(out, "response_ms", &s->response);
}

int32_t sheaf_stats_json(const sheaf_stats *s, sheaf_buf *out) {
  uint64_t wall = wall_ns(s);
  sheaf_buf_append_text(out, "{");
  count(out, "admitted", s->admitted);
  count(out, "skipped", s->skipped);
  count(out, "succeeded", s->succeeded);
  count(out, "failed", s->failed);
  count(out, "not_attempted", s->not_attempted);
  classes(out, "failed_by_class", s->failed_by_class);
  classes(out, "attempt_errors_by_class", s->attempt_errors_by_class);
  count(out, "queued", s->queued);
  count(out, "in_flight", s->in_flight);
  count(out, "waiting_retry", s->waiting_retry);
  count(out, "attempts", s->attempts);
  count(out, "retries", s->retries);
  count(out, "throttles", s->throttles);
  count(out, "unknown_outcomes", s->unknown_outcomes);
  count(out, "unknown_resent", s->unknown_resent);
  count(out, "recovered_unknown", s->recovered_unknown);
  count(out, "input_tokens", s->input_tokens);
  count(out, "output_tokens", s->output_tokens);
  count(out, "cached_tokens", s->cached_tokens);
  count(out, "reasoning_tokens", s->reasoning_tokens);
  count(out, "usage_missing", s->usage_missing);
  count(out, "wasted_tokens", s->wasted_tokens);
  money(out, "cost_usd", s->cost_usd_nano);
  money(out, "unknown_usd_max", s->unknown_usd_nano);
  count(out, "cost_missing", s->cost_missing);
  count(out, "bytes_sent", s->bytes_sent);
  count(out, "bytes_received", s->bytes_received);
  scaled(out, "wall_ms", wall / 1000, 1000);
  scaled(out, "items_per_s", mean_rate_milli(s), 1000);
  scaled(out, "concurrency_limit", s->limit_milli, 1000);
  count(out, "concurrency_max", s->in_flight_max);
  scaled(out, "concurrency_mean", s->in_flight_mean_milli, 1000);
  scaled(out, "speed_up",
         wall ? sheaf__mul_sat(s->latency_sum_ns / 1000, 1000) / (wall / 1000 + 1) : 0, 1000);
  quantiles(out, "queue_ms", &s->queue);
  quantiles(out, "ttft_ms", &s->ttft);
  quantiles(out, "latency_ms", &s->latency);
  queue_json(s, out);
  key(out, "concurrency_over_time");
  sheaf_buf_append_text(out, "{");
  scaled(out, "span_ms", s->series_span_ns / 1000, 1000);
  key(out, "mean");
  sheaf_buf_append_text(out, "[");
  for (uint32_t i = 0; i < s->series_count; i++) {
    if (i) sheaf_buf_append_text(out, ",");
    decimal(out, s->series_milli[i], 1000);
  }
  sheaf_buf_append_text(out, "]}");
  key(out, "limited_by");
  sheaf_buf_append_string(out, sheaf_slice_of(sheaf_limited_by_name(s->limited_by)));
  sheaf_buf_append_text(out, "}");
  return out->status;
}

/* ---- OpenMetrics: https://github.com/OpenObservability/OpenMetrics, text format 1.0 ---- */

static void family(sheaf_buf *out, const char *name, const char *type, const char *help) {
  sheaf_buf_append_text(out, "# TYPE sheaf_");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, " ");
  sheaf_buf_append_text(out, type);
  sheaf_buf_append_text(out, "\n# HELP sheaf_");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, " ");
  sheaf_buf_append_text(out, help);
  sheaf_buf_append_text(out, "\n");
}

static void sample(sheaf_buf *out, const char *name, const char *suffix, const char *label,
                   const char *value, uint64_t number, uint64_t scale) {
  sheaf_buf_append_text(out, "sheaf_");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, suffix);
  if (label != NULL) {
    sheaf_buf_append_text(out, "{");
    sheaf_buf_append_text(out, label);
    sheaf_buf_append_text(out, "=\"");
    sheaf_buf_append_text(out, value);
    sheaf_buf_append_text(out, "\"}");
  }
  sheaf_buf_append_text(out, " ");
  decimal(out, number, scale);
  sheaf_buf_append_text(out, "\n");
}

static void counter(sheaf_buf *out, const char *name, const char *help, uint64_t number,
                    uint64_t scale) {
  family(out, name, "counter", help);
  sample(out, name, "_total", NULL, NULL, number, scale);
}

static void gauge(sheaf_buf *out, const char *name, const char *help, uint64_t number,
                  uint64_t scale) {
  family(out, name, "gauge", help);
  sample(out, name, "", NULL, NULL, number, scale);
}

static void summary(sheaf_buf *out, const char *name, const char *help, const sheaf_quantiles *q) {
  family(out, name, "summary", help);
  sample(out, name, "", "quantile", "0.5", q->p50_ns, 1000000000);
  sample(out, name, "", "quantile", "0.9", q->p90_ns, 1000000000);
  sample(out, name, "", "quantile", "0.95", q->p95_ns, 1000000000);
  sample(out, name, "", "quantile", "0.99", q->p99_ns, 1000000000);
  sample(out, name, "_sum", NULL, NULL, sheaf__mul_sat(q->mean_ns, q->count), 1000000000);
  sample(out, name, "_count", NULL, NULL, q->count, 1);
}

static void queue_metrics(const sheaf_stats *s, sheaf_buf *out) {
  uint64_t classed = s->urgent + s->background;
  family(out, "admitted", "counter", "Requests taken, by priority.");
  sample(out, "admitted", "_total", "priority", "urgent", s->urgent, 1);
  sample(out, "admitted", "_total", "priority", "normal",
         s->admitted > classed ? s->admitted - classed : 0, 1);
  sample(out, "admitted", "_total", "priority", "background", s->background, 1);
  counter(out, "groups", "Calls of more than one request.", s->groups, 1);
  counter(out, "grouped", "Requests that travelled in them, each try counted.", s->grouped, 1);
  counter(out, "groups_failed", "Groups that were refused, discarded or without reply.",
          s->groups_failed, 1);
  counter(out, "groups_retried", "Of those, sent again as a group.", s->groups_retried, 1);
  counter(out, "merge_fallbacks", "Requests sent alone or in a smaller group because of it.",
          s->merge_fallbacks, 1);
  gauge(out, "group_members_max", "Members that a group may have, of the kind last sent.",
        s->group_max, 1);
  gauge(out, "group_efficiency_ratio",
        "Mean group size by the largest, times the share of grouped requests.",
        sheaf_stats_efficiency_milli(s), 1000);
  counter(out, "canaries", "Members of merged prompts that were also asked alone.", s->canaries, 1);
  gauge(out, "canary_agreement_ratio", "Mean agreement of those with their merged answers.",
        s->canary_agreement_milli, 1000);
  gauge(out, "merge_stopped", "1 when prompts are not merged any more.", s->merge_stopped, 1);
  counter(out, "deduplicated", "Requests answered by the call of an identical one.",
          s->deduplicated, 1);
  counter(out, "cache_hits", "Requests answered from the cache.", s->cache_hits, 1);
  gauge(out, "cache_entries", "Answers kept.", s->cache_entries, 1);
  gauge(out, "cache_bytes", "Memory of the answers kept.", s->cache_bytes, 1);
  counter(out, "answered_locally", "Requests answered by a hook.", s->answered_locally, 1);
  gauge(out, "queue_capacity", "Requests that may wait.", s->queue_capacity, 1);
  gauge(out, "queue_bytes", "Text of the requests inside.", s->queue_bytes, 1);
  gauge(out, "paused", "1 while nothing is started.", s->paused, 1);
  summary(out, "group_wait_seconds", "Time from a group's first member to the start of its call.",
          &s->group_wait);
  summary(out, "response_seconds", "Time from admission to the end, of successes.", &s->response);
}

int32_t sheaf_stats_openmetrics(const sheaf_stats *s, sheaf_buf *out) {
  family(out, "requests", "counter", "Requests that ended, by outcome.");
  sample(out, "requests", "_total", "outcome", "succeeded", s->succeeded, 1);
  sample(out, "requests", "_total", "outcome", "failed", s->failed, 1);
  sample(out, "requests", "_total", "outcome", "not_attempted", s->not_attempted, 1);
  family(out, "failures", "counter", "Failed requests by error class.");
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++)
    if (s->failed_by_class[i])
      sample(out, "failures", "_total", "class", sheaf_class_name(i), s->failed_by_class[i], 1);
  family(out, "attempt_errors", "counter", "Attempts that failed, by error class.");
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++)
    if (s->attempt_errors_by_class[i])
      sample(out, "attempt_errors", "_total", "class", sheaf_class_name(i),
             s->attempt_errors_by_class[i], 1);
  counter(out, "attempts", "Exchanges started.", s->attempts, 1);
  counter(out, "retries", "Attempts after the first.", s->retries, 1);
  counter(out, "unknown_outcomes", "Attempts that may have been billed without a reply.",
          s->unknown_outcomes, 1);
  counter(out, "unknown_resent", "Of those, sent again.", s->unknown_resent, 1);
  family(out, "tokens", "counter", "Tokens as the providers reported them.");
  sample(out, "tokens", "_total", "kind", "input", s->input_tokens, 1);
  sample(out, "tokens", "_total", "kind", "output", s->output_tokens, 1);
  sample(out, "tokens", "_total", "kind", "cached", s->cached_tokens, 1);
  sample(out, "tokens", "_total", "kind", "reasoning", s->reasoning_tokens, 1);
  if (s->cost_usd_nano != SHEAF_ABSENT)
    counter(out, "cost_usd", "Known spend in US dollars.",
            (uint64_t)(s->cost_usd_nano < 0 ? 0 : s->cost_usd_nano), 1000000000);
  gauge(out, "in_flight", "Exchanges under way.", s->in_flight, 1);
  gauge(out, "queued", "Requests that wait.", s->queued + s->waiting_retry, 1);
  gauge(out, "concurrency_limit", "Concurrency allowed now.", s->limit_milli, 1000);
  summary(out, "latency_seconds", "Latency of successful exchanges.", &s->latency);
  summary(out, "queue_seconds", "Time from admission to the first start.", &s->queue);
  summary(out, "ttft_seconds", "Time to the first streamed token.", &s->ttft);
  queue_metrics(s, out);
  sheaf_buf_append_text(out, "# EOF\n");
  return out->status;
}

/* ---- What is left ---- */

uint64_t sheaf_stats_eta_ns(const sheaf_stats *s, uint64_t remaining) {
  if (remaining == 0) return 0;
  if (s->paused) return SHEAF_NEVER;
  uint64_t rate = s->rate_milli;
  /* Concurrency that still grows finishes more than the last seconds did: by Little's law, limit /
   * mean latency is where it is going. */
  if (s->latency.count >= 8 && s->latency.mean_ns &&
      s->limited_by == SHEAF_LIMITED_BY_CONCURRENCY) {
    uint64_t going = sheaf__mul_sat(s->limit_milli, SHEAF__SECOND) / s->latency.mean_ns;
    rate = rate ? (rate + sheaf__min_u64(going, rate * 4)) / 2 : going;
  }
  if (rate == 0) return SHEAF_NEVER;
  uint64_t eta = sheaf__mul_sat(remaining, SHEAF__SECOND) / rate;
  eta = eta > SHEAF_NEVER / 1000 ? SHEAF_NEVER : eta * 1000;
  /* The last ones are as slow as the slowest: half of the 99th centile is what a window's tail
   * takes on average. */
  if (s->latency.count && remaining > s->in_flight)
    eta = sheaf__add_sat(eta, s->latency.p99_ns / 2);
  if (s->paused_until_ns != SHEAF_NEVER && s->paused_until_ns > s->now_ns)
    eta = sheaf__add_sat(eta, s->paused_until_ns - s->now_ns);
  return eta;
}

/* ", 12 what" where there are any. */
static void line_count(sheaf_buf *out, uint64_t number, const char *what) {
  if (number == 0) return;
  sheaf_buf_append_text(out, ", ");
  sheaf_buf_append_u64(out, number);
  sheaf_buf_append_text(out, what);
}

static int32_t line_make(const sheaf_stats *s, sheaf_buf *out) {
  uint64_t done = s->succeeded + s->failed;
  sheaf_buf_append_u64(out, done);
  sheaf_buf_append_text(out, " done");
  line_count(out, s->failed, " failed");
  sheaf_buf_append_text(out, ", ");
  sheaf_buf_append_u64(out, s->in_flight);
  sheaf_buf_append_text(out, " running, ");
  sheaf_buf_append_u64(out, s->queued + s->waiting_retry);
  sheaf_buf_append_text(out, " waiting (");
  sheaf_buf_append_text(out, s->paused ? "paused" : sheaf_limited_by_name(s->limited_by));
  sheaf_buf_append_text(out, "), ");
  decimal(out, s->rate_milli / 100, 10);
  sheaf_buf_append_text(out, "/s");
  line_count(out, s->groups, s->groups == 1 ? " group" : " groups");
  if (s->groups) {
    sheaf_buf_append_text(out, " of ");
    decimal(out, sheaf__mul_sat(s->grouped, 10) / s->groups, 10);
  }
  line_count(out, s->deduplicated, " deduplicated");
  line_count(out, s->cache_hits, " cached");
  line_count(out, s->answered_locally, " local");
  if (s->cost_usd_nano != SHEAF_ABSENT) {
    sheaf_buf_append_text(out, ", $");
    decimal(out, (uint64_t)(s->cost_usd_nano < 0 ? 0 : s->cost_usd_nano) / 100000, 10000);
  }
  return out->status;
}

/* Hands out the caller's own memory once: the line never needs more. */
typedef struct one_block {
  char *block;
  size_t bytes;
} one_block;

static void *give_once(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  one_block *own = ctx;
  (void)old_bytes;
  return new_bytes && new_bytes <= own->bytes && (ptr == NULL || ptr == own->block) ? own->block
                                                                                    : NULL;
}

size_t sheaf_stats_line(const sheaf_stats *stats, char *line, size_t bytes) {
  if (line == NULL || bytes == 0) return 0;
  char text[512];
  one_block own = {text, sizeof text};
  sheaf_allocator allocator = {give_once, &own};
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, sizeof text);
  line_make(stats, &out);
  size_t n = out.bytes < bytes - 1 ? out.bytes : bytes - 1;
  memcpy(line, text, n);
  line[n] = 0;
  return n;
}
