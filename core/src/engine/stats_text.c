/* stats_text.c: statistics as JSON, as OpenMetrics text, as one line, and the time that is left.
 *
 * Both formats are a table each, a row a member: what is told, where it stands, how it is written. A module
 * of WebAssembly hands out the numbers alone (sheaf_stats_numbers); its host writes the texts, by the same
 * tables (sheaf_stats_layout). */
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

/* The numbers, and what is made of several of them. */
typedef struct told {
  sheaf_stats s;
  uint64_t wall_us;
  uint64_t items_milli; /* ended a second over the whole run */
  uint64_t speed_milli; /* what one at a time would have taken, by what it took */
  uint64_t efficiency_milli;
  uint64_t normal;  /* admitted that are neither urgent nor background */
  uint64_t waiting; /* queued, or for a retry */
} told;

static void tell(told *t, const sheaf_stats *s) {
  t->s = *s;
  uint64_t us = (s->now_ns > s->started_ns ? s->now_ns - s->started_ns : 0) / 1000;
  uint64_t classed = s->urgent + s->background;
  t->wall_us = us;
  t->items_milli = us ? sheaf__mul_sat(s->succeeded + s->failed, 1000000000) / us : 0;
  t->speed_milli = us ? sheaf__mul_sat(s->latency_sum_ns / 1000, 1000) / (us + 1) : 0;
  t->efficiency_milli = sheaf_stats_efficiency_milli(s);
  t->normal = s->admitted > classed ? s->admitted - classed : 0;
  t->waiting = s->queued + s->waiting_retry;
}

int32_t sheaf_stats_numbers(const sheaf_stats *stats, sheaf_buf *out) {
  told t;
  memset(&t, 0, sizeof t);
  tell(&t, stats);
  return sheaf_buf_append(out, (const char *)&t, sizeof t);
}

/* How a value stands, and is written. */
enum { COUNT, MILLI, MICRO, MONEY, TRUTH, QUANTILES, CLASSES, SERIES, LIMITED_BY };

static const void *value_at(const told *t, uint32_t offset) {
  return (const char *)t + offset;
}

static uint64_t number_at(const told *t, uint32_t offset) {
  uint64_t number;
  memcpy(&number, value_at(t, offset), sizeof number);
  return number;
}

static const uint32_t scales[] = {
    [COUNT] = 1, [MILLI] = 1000, [MICRO] = 1000, [MONEY] = 1000000000};

/* A number of the kinds that are one. Money that is not known is no number. */
static bool write_number(sheaf_buf *out, const told *t, uint32_t offset, uint32_t kind) {
  if (kind == TRUTH) {
    sheaf_buf_append_u64(out, *(const bool *)value_at(t, offset));
    return true;
  }
  uint64_t number = number_at(t, offset);
  int64_t nano = (int64_t)number;
  if (kind == MONEY && nano == SHEAF_ABSENT) return false;
  decimal(out, kind == MONEY && nano < 0 ? 0 : number, scales[kind]);
  return true;
}

/* ---- JSON ---- */

typedef struct member {
  const char *name;
  uint16_t offset;
  uint16_t kind;
} member;

#define OF(field, kind) \
  { #field, offsetof(told, s.field), kind }
#define AS(name, field, kind) \
  { name, offsetof(told, field), kind }

static const member members[] = {
    OF(admitted, COUNT),
    OF(skipped, COUNT),
    OF(succeeded, COUNT),
    OF(failed, COUNT),
    OF(not_attempted, COUNT),
    OF(failed_by_class, CLASSES),
    OF(attempt_errors_by_class, CLASSES),
    OF(queued, COUNT),
    OF(in_flight, COUNT),
    OF(waiting_retry, COUNT),
    OF(attempts, COUNT),
    OF(retries, COUNT),
    OF(throttles, COUNT),
    OF(unknown_outcomes, COUNT),
    OF(unknown_resent, COUNT),
    OF(recovered_unknown, COUNT),
    OF(input_tokens, COUNT),
    OF(output_tokens, COUNT),
    OF(cached_tokens, COUNT),
    OF(reasoning_tokens, COUNT),
    OF(usage_missing, COUNT),
    OF(wasted_tokens, COUNT),
    AS("cost_usd", s.cost_usd_nano, MONEY),
    AS("unknown_usd_max", s.unknown_usd_nano, MONEY),
    OF(cost_missing, COUNT),
    OF(bytes_sent, COUNT),
    OF(bytes_received, COUNT),
    AS("wall_ms", wall_us, MICRO),
    AS("items_per_s", items_milli, MILLI),
    AS("concurrency_limit", s.limit_milli, MILLI),
    AS("concurrency_max", s.in_flight_max, COUNT),
    AS("concurrency_mean", s.in_flight_mean_milli, MILLI),
    AS("speed_up", speed_milli, MILLI),
    AS("queue_ms", s.queue, QUANTILES),
    AS("ttft_ms", s.ttft, QUANTILES),
    AS("latency_ms", s.latency, QUANTILES),
    OF(urgent, COUNT),
    OF(background, COUNT),
    OF(groups, COUNT),
    OF(grouped, COUNT),
    OF(group_max, COUNT),
    OF(groups_failed, COUNT),
    OF(groups_retried, COUNT),
    OF(merge_fallbacks, COUNT),
    AS("group_efficiency", efficiency_milli, MILLI),
    OF(canaries, COUNT),
    AS("canary_agreement", s.canary_agreement_milli, MILLI),
    OF(merge_stopped, TRUTH),
    OF(deduplicated, COUNT),
    OF(cache_hits, COUNT),
    OF(cache_entries, COUNT),
    OF(cache_bytes, COUNT),
    OF(answered_locally, COUNT),
    OF(queue_capacity, COUNT),
    OF(queue_bytes, COUNT),
    OF(paused, TRUTH),
    AS("group_wait_ms", s.group_wait, QUANTILES),
    AS("response_ms", s.response, QUANTILES),
    AS("concurrency_over_time", s.series_milli, SERIES),
    OF(limited_by, LIMITED_BY),
};

static void key(sheaf_buf *out, const char *name) {
  if (out->bytes && out->data[out->bytes - 1] != '{') sheaf_buf_append_text(out, ",");
  sheaf_buf_append_text(out, "\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
}

static const char quantile_names[][5] = {"mean", "p50", "p90", "p95", "p99", "max"};

static void quantiles(sheaf_buf *out, const sheaf_quantiles *q) {
  if (q->count == 0) {
    sheaf_buf_append_text(out, "null");
    return;
  }
  const uint64_t ns[] = {q->mean_ns, q->p50_ns, q->p90_ns, q->p95_ns, q->p99_ns, q->max_ns};
  sheaf_buf_append_text(out, "{");
  key(out, "count");
  sheaf_buf_append_u64(out, q->count);
  for (uint32_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
    key(out, quantile_names[i]);
    decimal(out, ns[i] / 1000, 1000);
  }
  sheaf_buf_append_text(out, "}");
}

static void classes(sheaf_buf *out, const uint64_t *counts) {
  sheaf_buf_append_text(out, "{");
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++) {
    if (counts[i] == 0) continue;
    key(out, sheaf_class_name(i));
    sheaf_buf_append_u64(out, counts[i]);
  }
  sheaf_buf_append_text(out, "}");
}

static void series(sheaf_buf *out, const sheaf_stats *s) {
  sheaf_buf_append_text(out, "{");
  key(out, "span_ms");
  decimal(out, s->series_span_ns / 1000, 1000);
  key(out, "mean");
  sheaf_buf_append_text(out, "[");
  for (uint32_t i = 0; i < s->series_count; i++) {
    if (i) sheaf_buf_append_text(out, ",");
    decimal(out, s->series_milli[i], 1000);
  }
  sheaf_buf_append_text(out, "]}");
}

int32_t sheaf_stats_json(const sheaf_stats *stats, sheaf_buf *out) {
  told t;
  tell(&t, stats);
  sheaf_buf_append_text(out, "{");
  for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
    const member *m = &members[i];
    key(out, m->name);
    switch (m->kind) {
      case TRUTH:
        sheaf_buf_append_text(out, *(const bool *)value_at(&t, m->offset) ? "true" : "false");
        break;
      case QUANTILES: quantiles(out, value_at(&t, m->offset)); break;
      case CLASSES: classes(out, value_at(&t, m->offset)); break;
      case SERIES: series(out, &t.s); break;
      case LIMITED_BY:
        sheaf_buf_append_string(out, sheaf_slice_of(sheaf_limited_by_name(t.s.limited_by)));
        break;
      default:
        if (!write_number(out, &t, m->offset, m->kind)) sheaf_buf_append_text(out, "null");
    }
  }
  sheaf_buf_append_text(out, "}");
  return out->status;
}

/* ---- OpenMetrics: https://github.com/OpenObservability/OpenMetrics, text format 1.0 ---- */

/* A sample; the first of a family has its help. label: "name=\"value\"", or NULL. */
typedef struct metric {
  const char *name;
  const char *help; /* NULL and no name: of the family above */
  const char *label;
  uint16_t offset;
  uint8_t kind;
  bool counts; /* a counter; else a gauge, or what its kind says */
} metric;

#define COUNTER(name, field, kind, text) \
  { name, text, NULL, offsetof(told, field), kind, true }
#define GAUGE(name, field, kind, text) \
  { name, text, NULL, offsetof(told, field), kind, false }
#define LABELLED(name, label, field, text) \
  { name, text, label, offsetof(told, field), COUNT, true }
#define ALSO(label, field) \
  { NULL, NULL, label, offsetof(told, field), COUNT, true }

static const metric metrics[] = {
    LABELLED("requests", "outcome=\"succeeded\"", s.succeeded, "Requests that ended, by outcome."),
    ALSO("outcome=\"failed\"", s.failed),
    ALSO("outcome=\"not_attempted\"", s.not_attempted),
    COUNTER("failures", s.failed_by_class, CLASSES, "Failed requests by error class."),
    COUNTER("attempt_errors", s.attempt_errors_by_class, CLASSES,
            "Attempts that failed, by error class."),
    COUNTER("attempts", s.attempts, COUNT, "Exchanges started."),
    COUNTER("retries", s.retries, COUNT, "Attempts after the first."),
    COUNTER("unknown_outcomes", s.unknown_outcomes, COUNT,
            "Attempts that may have been billed without a reply."),
    COUNTER("unknown_resent", s.unknown_resent, COUNT, "Of those, sent again."),
    LABELLED("tokens", "kind=\"input\"", s.input_tokens, "Tokens as the providers reported them."),
    ALSO("kind=\"output\"", s.output_tokens),
    ALSO("kind=\"cached\"", s.cached_tokens),
    ALSO("kind=\"reasoning\"", s.reasoning_tokens),
    COUNTER("cost_usd", s.cost_usd_nano, MONEY, "Known spend in US dollars."),
    GAUGE("in_flight", s.in_flight, COUNT, "Exchanges under way."),
    GAUGE("queued", waiting, COUNT, "Requests that wait."),
    GAUGE("concurrency_limit", s.limit_milli, MILLI, "Concurrency allowed now."),
    GAUGE("latency_seconds", s.latency, QUANTILES, "Latency of successful exchanges."),
    GAUGE("queue_seconds", s.queue, QUANTILES, "Time from admission to the first start."),
    GAUGE("ttft_seconds", s.ttft, QUANTILES, "Time to the first streamed token."),
    LABELLED("admitted", "priority=\"urgent\"", s.urgent, "Requests taken, by priority."),
    ALSO("priority=\"normal\"", normal),
    ALSO("priority=\"background\"", s.background),
    COUNTER("groups", s.groups, COUNT, "Calls of more than one request."),
    COUNTER("grouped", s.grouped, COUNT, "Requests that travelled in them, each try counted."),
    COUNTER("groups_failed", s.groups_failed, COUNT,
            "Groups that were refused, discarded or without reply."),
    COUNTER("groups_retried", s.groups_retried, COUNT, "Of those, sent again as a group."),
    COUNTER("merge_fallbacks", s.merge_fallbacks, COUNT,
            "Requests sent alone or in a smaller group because of it."),
    GAUGE("group_members_max", s.group_max, COUNT,
          "Members that a group may have, of the kind last sent."),
    GAUGE("group_efficiency_ratio", efficiency_milli, MILLI,
          "Mean group size by the largest, times the share of grouped requests."),
    COUNTER("canaries", s.canaries, COUNT, "Members of merged prompts that were also asked alone."),
    GAUGE("canary_agreement_ratio", s.canary_agreement_milli, MILLI,
          "Mean agreement of those with their merged answers."),
    GAUGE("merge_stopped", s.merge_stopped, TRUTH, "1 when prompts are not merged any more."),
    COUNTER("deduplicated", s.deduplicated, COUNT,
            "Requests answered by the call of an identical one."),
    COUNTER("cache_hits", s.cache_hits, COUNT, "Requests answered from the cache."),
    GAUGE("cache_entries", s.cache_entries, COUNT, "Answers kept."),
    GAUGE("cache_bytes", s.cache_bytes, COUNT, "Memory of the answers kept."),
    COUNTER("answered_locally", s.answered_locally, COUNT, "Requests answered by a hook."),
    GAUGE("queue_capacity", s.queue_capacity, COUNT, "Requests that may wait."),
    GAUGE("queue_bytes", s.queue_bytes, COUNT, "Text of the requests inside."),
    GAUGE("paused", s.paused, TRUTH, "1 while nothing is started."),
    GAUGE("group_wait_seconds", s.group_wait, QUANTILES,
          "Time from a group's first member to the start of its call."),
    GAUGE("response_seconds", s.response, QUANTILES,
          "Time from admission to the end, of successes."),
};

static void family_line(sheaf_buf *out, const char *what, const char *name, const char *text) {
  sheaf_buf_append_text(out, what);
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, " ");
  sheaf_buf_append_text(out, text);
  sheaf_buf_append_text(out, "\n");
}

static void family(sheaf_buf *out, const metric *m) {
  const char *type = m->counts ? "counter" : m->kind == QUANTILES ? "summary" : "gauge";
  family_line(out, "# TYPE sheaf_", m->name, type);
  if (m->help != NULL) family_line(out, "# HELP sheaf_", m->name, m->help);
}

/* "sheaf_name_suffix{label} ": the number follows. */
static void sample(sheaf_buf *out, const char *name, const char *suffix, const char *label) {
  sheaf_buf_append_text(out, "sheaf_");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, suffix);
  if (label != NULL) {
    sheaf_buf_append_text(out, "{");
    sheaf_buf_append_text(out, label);
    sheaf_buf_append_text(out, "}");
  }
  sheaf_buf_append_text(out, " ");
}

static void seconds(sheaf_buf *out, uint64_t ns) {
  decimal(out, ns, 1000000000);
  sheaf_buf_append_text(out, "\n");
}

static const char *const summary_labels[] = {"quantile=\"0.5\"", "quantile=\"0.9\"",
                                             "quantile=\"0.95\"", "quantile=\"0.99\""};

static void summary(sheaf_buf *out, const char *name, const sheaf_quantiles *q) {
  const uint64_t ns[] = {q->p50_ns, q->p90_ns, q->p95_ns, q->p99_ns};
  for (uint32_t i = 0; i < 4; i++) {
    sample(out, name, "", summary_labels[i]);
    seconds(out, ns[i]);
  }
  sample(out, name, "_sum", NULL);
  seconds(out, sheaf__mul_sat(q->mean_ns, q->count));
  sample(out, name, "_count", NULL);
  sheaf_buf_append_u64(out, q->count);
  sheaf_buf_append_text(out, "\n");
}

static void class_samples(sheaf_buf *out, const char *name, const uint64_t *counts) {
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++) {
    if (counts[i] == 0) continue;
    char label[40] = "class=\"";
    const char *class_name = sheaf_class_name(i); /* at most 16 letters */
    size_t n = strlen(class_name);
    memcpy(label + 7, class_name, n);
    memcpy(label + 7 + n, "\"", 2);
    sample(out, name, "_total", label);
    sheaf_buf_append_u64(out, counts[i]);
    sheaf_buf_append_text(out, "\n");
  }
}

int32_t sheaf_stats_openmetrics(const sheaf_stats *stats, sheaf_buf *out) {
  told t;
  tell(&t, stats);
  const char *name = "";
  for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
    const metric *m = &metrics[i];
    if (m->kind == MONEY && (int64_t)number_at(&t, m->offset) == SHEAF_ABSENT) continue;
    if (m->name != NULL) family(out, m);
    if (m->name != NULL) name = m->name;
    if (m->kind == QUANTILES) {
      summary(out, name, value_at(&t, m->offset));
    } else if (m->kind == CLASSES) {
      class_samples(out, name, value_at(&t, m->offset));
    } else {
      sample(out, name, m->counts ? "_total" : "", m->label);
      write_number(out, &t, m->offset, m->kind);
      sheaf_buf_append_text(out, "\n");
    }
  }
  sheaf_buf_append_text(out, "# EOF\n");
  return out->status;
}

/* ---- The tables ---- */

static void put_text(sheaf_buf *out, const char *name, const char *text) {
  key(out, name);
  if (text != NULL)
    sheaf_buf_append_string(out, sheaf_slice_of(text));
  else
    sheaf_buf_append_text(out, "null");
}

static void put_number(sheaf_buf *out, const char *name, uint64_t number) {
  key(out, name);
  sheaf_buf_append_u64(out, number);
}

/* Opens an element: an object in an array, or the array itself. */
static void open_element(sheaf_buf *out, bool is_first) {
  sheaf_buf_append_text(out, is_first ? "{" : ",{");
}

static void put_strings(sheaf_buf *out, const char *name, const char *(*at)(uint32_t),
                        uint32_t count) {
  key(out, name);
  sheaf_buf_append_text(out, "[");
  for (uint32_t i = 0; i < count; i++) {
    if (i) sheaf_buf_append_text(out, ",");
    sheaf_buf_append_string(out, sheaf_slice_of(at(i)));
  }
  sheaf_buf_append_text(out, "]");
}

static const char *kind_name(uint32_t kind) {
  static const char *const names[] = {"COUNT",     "MILLI",   "MICRO",  "MONEY",     "TRUTH",
                                      "QUANTILES", "CLASSES", "SERIES", "LIMITED_BY"};
  return names[kind];
}

static const char *quantile_name(uint32_t i) {
  return i == 0 ? "count" : quantile_names[i - 1];
}

static const char *summary_label(uint32_t i) {
  return summary_labels[i];
}

static void put_place(sheaf_buf *out, const char *name, uint32_t kind, uint32_t offset) {
  put_text(out, "name", name);
  put_number(out, "kind", kind);
  put_number(out, "offset", offset);
}

/* Where the parts of the series lie, and names that no row of the tables holds. */
static void put_places(sheaf_buf *out) {
  key(out, "scales"); /* by kind: what a whole one counts as */
  sheaf_buf_append_text(out, "[");
  for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
    if (i) sheaf_buf_append_text(out, ",");
    sheaf_buf_append_u64(out, scales[i]);
  }
  sheaf_buf_append_text(out, "]");
  put_number(out, "bytes", sizeof(told));
  put_number(out, "series_count", offsetof(told, s.series_count));
  put_number(out, "series_span", offsetof(told, s.series_span_ns));
  put_strings(out, "kinds", kind_name, LIMITED_BY + 1);
  put_strings(out, "quantiles", quantile_name, 7);
  put_strings(out, "summary", summary_label, 4);
  put_strings(out, "limited_by", sheaf_limited_by_name, SHEAF_LIMITED_BY_RETRY + 1);
}

int32_t sheaf_stats_layout(sheaf_buf *out) {
  sheaf_buf_append_text(out, "{");
  put_places(out);
  key(out, "members");
  sheaf_buf_append_text(out, "[");
  for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
    open_element(out, i == 0);
    put_place(out, members[i].name, members[i].kind, members[i].offset);
    sheaf_buf_append_text(out, "}");
  }
  sheaf_buf_append_text(out, "]");
  key(out, "metrics");
  sheaf_buf_append_text(out, "[");
  for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
    open_element(out, i == 0);
    put_place(out, metrics[i].name, metrics[i].kind, metrics[i].offset);
    put_text(out, "label", metrics[i].label);
    put_number(out, "counts", metrics[i].counts);
    sheaf_buf_append_text(out, "}");
  }
  sheaf_buf_append_text(out, "]}");
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
