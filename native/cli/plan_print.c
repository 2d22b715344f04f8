/* plan_print.c: a plan for people, and as JSON. */
#define _POSIX_C_SOURCE 200809L
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull

/* 1234567 as 1,234,567. */
static const char *grouped(uint64_t number, char text[32]) {
  char plain[24];
  int length = snprintf(plain, sizeof plain, "%llu", (unsigned long long)number);
  size_t n = 0;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) text[n++] = ',';
    text[n++] = plain[i];
  }
  text[n] = 0;
  return text;
}

static const char *time_text(uint64_t seconds, char text[32]) {
  if (seconds > SHEAF_NEVER / NS_PER_S / 2) return "longer than anybody waits";
  return cli_duration(seconds * NS_PER_S, text);
}

static bool is_estimate(const plan *it) {
  return it->by_basis[CLI_COUNT_NEAR] + it->by_basis[CLI_COUNT_BYTES] > 0;
}

static const char *output_basis(const plan *it) {
  if (it->output_tokens == 0) return "embeddings write none";
  if (it->args->output_tokens) return "as --output-tokens says";
  if (it->without_cap == 0) return "what max_tokens allows";
  return it->without_cap == it->good
             ? "512 a request assumed: none has max_tokens"
             : "what max_tokens allows, and 512 assumed where it is missing";
}

static void print_tokens(const plan *it) {
  char a[32], b[32];
  printf("  requests     %s good, %s not\n", grouped(it->good, a), grouped(it->bad.count, b));
  if (!is_estimate(it))
    printf("  input        %s tokens, counted: %s\n", grouped(it->input_tokens, a), it->encodings);
  else if (it->by_basis[CLI_COUNT_EXACT])
    printf("  input        about %s tokens, an estimate for %s requests: %s\n",
           grouped(it->input_tokens, a), grouped(it->good - it->by_basis[CLI_COUNT_EXACT], b),
           it->doubt);
  else
    printf("  input        about %s tokens, an estimate: %s\n", grouped(it->input_tokens, a),
           it->doubt);
  printf("  output       %s%s tokens: %s\n", it->args->output_tokens ? "about " : "at most ",
         grouped(it->output_tokens, a), output_basis(it));
}

static void print_cost(const plan *it) {
  char a[32];
  const char *word = it->args->output_tokens ? "about" : "at most";
  const char *provider = it->place->endpoint.provider->name;
  double input = (double)it->input_usd_nano / 1e9, output = (double)it->output_usd_nano / 1e9;
  if (it->without_price == it->good) {
    printf("  cost         unknown price for these models: give --prices FILE\n");
    return;
  }
  printf("  live         %s $%.4f at prices of %s: $%.4f input, $%.4f output\n", word,
         input + output, plan_price_date(it->args), input, output);
  if (it->jobs != NULL)
    printf("  batch        %s $%.4f at what %s charges in its batch API\n", word,
           (double)it->batch_usd_nano / 1e9, provider);
  if (it->without_price)
    printf("               without %s requests whose models have no known price\n",
           grouped(it->without_price, a));
}

static void print_time(const plan *it) {
  char a[32], b[32];
  uint64_t latency = it->args->latency_ms ? it->args->latency_ms : PLAN_LATENCY_MS;
  if (!it->slowest) return;
  printf("  time live    about %s: %s is the limit\n", time_text(it->slowest->seconds, a),
         it->slowest->name);
  for (uint32_t i = 0; i < it->limit_count; i++) {
    const plan_limit *at = &it->limits[i];
    printf("               %-11s  %s by %s", at->name, time_text(at->seconds, a),
           grouped(at->value, b));
    if (strcmp(at->name, "concurrency") == 0)
      printf("%s at once, %s ms each%s", at->is_assumed ? " (assumed)" : "", grouped(latency, b),
             it->args->latency_ms ? "" : " (assumed: --latency-ms)");
    else if (strcmp(at->name, "start_interval_ms") != 0)
      printf(" a minute, used to %llu %%", (unsigned long long)it->args->engine.rate_safety_pct);
    putchar('\n');
  }
}

static void print_jobs(const plan *it) {
  char a[32], b[32], c[32];
  if (it->jobs == NULL) {
    printf("  batch jobs   none: %s has no batch API that sheaf knows\n",
           it->place->endpoint.provider->name);
    return;
  }
  printf("  batch jobs   %s%s", it->has_more_groups ? "at least " : "", grouped(plan_jobs(it), a));
  const char *between = ", at most ";
  if (it->job.rows != SHEAF_NEVER) {
    printf("%s%s requests", between, grouped(it->job.rows, b));
    between = " and ";
  }
  if (it->job.bytes != SHEAF_NEVER) printf("%s%s bytes", between, grouped(it->job.bytes, c));
  puts(it->job.rows == SHEAF_NEVER && it->job.bytes == SHEAF_NEVER ? "" : " each");
  if (it->jobs->window_hours)
    printf("               within %u hours, as the provider means to finish them\n",
           it->jobs->window_hours);
}

static void print_lines(const plan_lines *lines, const char *what) {
  char a[32];
  if (lines->count == 0) return;
  printf("  WARNING      %s %s: line%s", grouped(lines->count, a), what,
         lines->count > 1 ? "s" : "");
  for (uint64_t i = 0; i < lines->count && i < PLAN_LINES_MAX; i++)
    printf("%s %llu", i ? "," : "", (unsigned long long)lines->line[i]);
  puts(lines->count > PLAN_LINES_MAX ? ", ..." : "");
}

void plan_print(const plan *it) {
  print_tokens(it);
  print_cost(it);
  print_time(it);
  print_jobs(it);
  print_lines(&it->bad, "not valid");
  print_lines(&it->over_context, "with more tokens than --context-tokens");
  print_lines(&it->over_item, "with more tokens than the embedding model takes");
}

/* ---- JSON ---- */

static void put_text(sheaf_buf *out, const char *name, const char *text) {
  sheaf_buf_append_text(out, ",\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
  if (text)
    sheaf_buf_append_string(out, sheaf_slice_of(text));
  else
    sheaf_buf_append_text(out, "null");
}

static void put_u64(sheaf_buf *out, const char *name, uint64_t number) {
  sheaf_buf_append_text(out, ",\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
  if (number == SHEAF_NEVER)
    sheaf_buf_append_text(out, "null");
  else
    sheaf_buf_append_u64(out, number);
}

static void put_usd(sheaf_buf *out, const char *name, int64_t nano) {
  char text[96];
  if (nano == SHEAF_ABSENT)
    snprintf(text, sizeof text, ",\"%s\":null", name);
  else
    snprintf(text, sizeof text, ",\"%s\":%lld.%09lld", name, (long long)(nano / 1000000000),
             (long long)(nano % 1000000000));
  sheaf_buf_append_text(out, text);
}

static void put_lines(sheaf_buf *out, const char *name, const plan_lines *lines, bool is_first) {
  sheaf_buf_append_text(out, is_first ? "\"" : ",\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":{\"count\":");
  sheaf_buf_append_u64(out, lines->count);
  sheaf_buf_append_text(out, ",\"lines\":[");
  for (uint64_t i = 0; i < lines->count && i < PLAN_LINES_MAX; i++) {
    if (i) sheaf_buf_append_text(out, ",");
    sheaf_buf_append_u64(out, lines->line[i]);
  }
  sheaf_buf_append_text(out, "]}");
}

static void put_cost(const plan *it, sheaf_buf *out) {
  bool has_price = it->without_price < it->good;
  int64_t all = it->input_usd_nano + it->output_usd_nano;
  bool has_batch = has_price && it->jobs != NULL;
  sheaf_buf_append_text(out, ",\"cost\":{\"is_upper_bound\":");
  sheaf_buf_append_text(out, it->args->output_tokens ? "false" : "true");
  put_usd(out, "live_usd", has_price ? all : SHEAF_ABSENT);
  put_usd(out, "live_input_usd", has_price ? it->input_usd_nano : SHEAF_ABSENT);
  put_usd(out, "live_output_usd", has_price ? it->output_usd_nano : SHEAF_ABSENT);
  put_usd(out, "batch_usd", has_batch ? it->batch_usd_nano : SHEAF_ABSENT);
  put_text(out, "batch_basis", has_batch ? "what the provider charges in its batch API" : NULL);
  put_text(out, "prices_date", plan_price_date(it->args));
  put_u64(out, "requests_without_price", it->without_price);
  sheaf_buf_append_text(out, "}");
}

static void put_time(const plan *it, sheaf_buf *out) {
  sheaf_buf_append_text(out, ",\"time\":{\"latency_ms\":");
  sheaf_buf_append_u64(out, it->args->latency_ms ? it->args->latency_ms : PLAN_LATENCY_MS);
  sheaf_buf_append_text(out, ",\"latency_is_assumed\":");
  sheaf_buf_append_text(out, it->args->latency_ms ? "false" : "true");
  put_u64(out, "seconds", it->slowest ? it->slowest->seconds : 0);
  put_text(out, "limited_by", it->slowest ? it->slowest->name : NULL);
  sheaf_buf_append_text(out, ",\"limits\":[");
  for (uint32_t i = 0; i < it->limit_count; i++) {
    sheaf_buf_append_text(out, i ? ",{\"is_assumed\":" : "{\"is_assumed\":");
    sheaf_buf_append_text(out, it->limits[i].is_assumed ? "true" : "false");
    put_text(out, "name", it->limits[i].name);
    put_u64(out, "value", it->limits[i].value);
    put_u64(out, "seconds", it->limits[i].seconds);
    sheaf_buf_append_text(out, "}");
  }
  sheaf_buf_append_text(out, "]}");
}

static void put_jobs(const plan *it, sheaf_buf *out) {
  if (it->jobs == NULL) {
    sheaf_buf_append_text(out, ",\"batch\":null");
    return;
  }
  sheaf_buf_append_text(out, ",\"batch\":{\"jobs\":");
  sheaf_buf_append_u64(out, plan_jobs(it));
  put_u64(out, "job_requests_max", it->job.rows);
  put_u64(out, "job_bytes_max", it->job.bytes);
  put_u64(out, "window_hours", it->jobs->window_hours);
  put_text(out, "caveats", it->jobs->caveats);
  sheaf_buf_append_text(out, "}");
}

int plan_print_json(const plan *it) {
  sheaf_buf out;
  sheaf_buf_init(&out, sheaf_heap(), 1 << 20);
  sheaf_buf_append_text(&out, "{\"input\":");
  sheaf_buf_append_string(&out, sheaf_slice_of(it->args->input));
  put_text(&out, "provider", it->place->endpoint.provider->name);
  put_text(&out, "model", it->args->target.model);
  put_u64(&out, "requests", it->good);
  put_u64(&out, "invalid", it->bad.count);
  put_u64(&out, "body_bytes", it->body_bytes);
  put_u64(&out, "input_tokens", it->input_tokens);
  sheaf_buf_append_text(&out, ",\"input_is_estimate\":");
  sheaf_buf_append_text(&out, is_estimate(it) ? "true" : "false");
  put_text(&out, "input_basis", is_estimate(it) ? it->doubt : it->encodings);
  put_u64(&out, "requests_counted", it->by_basis[CLI_COUNT_EXACT]);
  put_u64(&out, "output_tokens", it->output_tokens);
  put_text(&out, "output_basis", output_basis(it));
  put_cost(it, &out);
  put_time(it, &out);
  put_jobs(it, &out);
  sheaf_buf_append_text(&out, ",\"warnings\":{");
  put_lines(&out, "invalid", &it->bad, true);
  put_lines(&out, "over_context", &it->over_context, false);
  put_lines(&out, "over_embedding_limit", &it->over_item, false);
  sheaf_buf_append_text(&out, "}}\n");
  bool is_good = out.status == SHEAF_OK && fwrite(out.data, 1, out.bytes, stdout) == out.bytes;
  sheaf_buf_deinit(&out);
  return is_good && fflush(stdout) == 0 ? CLI_OK : CLI_HOST;
}
