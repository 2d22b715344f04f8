/* bench_report.c: what a bench measured: a table for people, a JSON document for programs.
 *
 * Every number of the table is the mean over the runs. The document names its form in "schema"; members are only ever added.
 *
 * Outline: numbers, the table, the document. */
#include "bench_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "sheaf.bench/1"

/* ---- Numbers ---- */

/* Rates are of tokens a second; negative: not known. */
typedef struct numbers {
  double ok, failed, not_attempted, attempts, retries, throttles;
  double wall_s, requests_per_s;
  double input_tokens, output_tokens, tokens_per_s, generation_tokens_per_s;
  double server_ms;
  double latency[6], ttft[6]; /* mean, p50, p90, p95, p99, max in ms */
  double cost_usd;
} numbers;

enum { QUANTILES = 6, NUMBERS = sizeof(numbers) / sizeof(double) };

static const char *const quantile_names[QUANTILES] = {"mean", "p50", "p90", "p95", "p99", "max"};

static void read_quantiles(const sheaf_quantiles *q, double *to) {
  const uint64_t ns[QUANTILES] = {q->mean_ns, q->p50_ns, q->p90_ns,
                                  q->p95_ns,  q->p99_ns, q->max_ns};
  for (int i = 0; i < QUANTILES; i++) to[i] = q->count ? (double)ns[i] / 1e6 : -1;
}

static double per(double amount, double time) {
  return time > 0 ? amount / time : -1;
}

static numbers numbers_of(const bench_run *run) {
  const sheaf_stats *s = &run->stats;
  bool told = s->succeeded > s->usage_missing;
  numbers n = {.ok = (double)s->succeeded,
               .failed = (double)s->failed,
               .not_attempted = (double)s->not_attempted,
               .attempts = (double)s->attempts,
               .retries = (double)s->retries,
               .throttles = (double)s->throttles,
               .wall_s = (double)run->wall_ns / 1e9,
               .input_tokens = told ? (double)s->input_tokens : -1,
               .output_tokens = told ? (double)s->output_tokens : -1};
  n.requests_per_s = per(n.ok, n.wall_s);
  n.tokens_per_s = told ? per(n.output_tokens, n.wall_s) : -1;
  n.generation_tokens_per_s = per((double)run->tokens_timed, (double)run->tokens_ns / 1e9);
  n.server_ms = run->server_count ? (double)run->server_ns / 1e6 / (double)run->server_count : -1;
  n.cost_usd = s->cost_usd_nano == SHEAF_ABSENT ? -1 : (double)s->cost_usd_nano / 1e9;
  read_quantiles(&s->latency, n.latency);
  read_quantiles(&s->ttft, n.ttft);
  return n;
}

/* Each number over the runs in which it is known. */
static numbers mean_of(const bench_target *target) {
  double sums[NUMBERS] = {0}, mean[NUMBERS];
  uint32_t counts[NUMBERS] = {0};
  for (uint32_t r = 0; r < target->run_count; r++) {
    numbers one = numbers_of(&target->runs[r]);
    double values[NUMBERS];
    memcpy(values, &one, sizeof values);
    for (size_t i = 0; i < NUMBERS; i++)
      if (values[i] >= 0) sums[i] += values[i], counts[i]++;
  }
  for (size_t i = 0; i < NUMBERS; i++) mean[i] = counts[i] ? sums[i] / counts[i] : -1;
  numbers answer;
  memcpy(&answer, mean, sizeof answer);
  return answer;
}

static uint32_t timed_from(const bench_target *target) {
  uint32_t best = BENCH_FROM_NOTHING;
  for (uint32_t r = 0; r < target->run_count; r++)
    if (target->runs[r].timed_from > best) best = target->runs[r].timed_from;
  return best;
}

static const char *const from_names[] = {"nothing", "latency", "stream", "server"};

/* ---- The table ---- */

enum { COLUMNS = 13, CELL_BYTES = 64, ROWS_MAX = 33 };

static const char *const heads[COLUMNS] = {
    "target",    "ok",       "failed",      "requests/s", "in tokens", "out tokens", "tokens/s",
    "gen tok/s", "TTFT p50", "latency p50", "p90",        "p99",       "cost"};

typedef struct table {
  char cells[ROWS_MAX][COLUMNS][CELL_BYTES];
  int widths[COLUMNS];
  uint32_t rows;
} table;

static void cell_number(char *cell, double value, int decimals) {
  if (value < 0)
    snprintf(cell, CELL_BYTES, "-");
  else
    snprintf(cell, CELL_BYTES, "%.*f", decimals, value);
}

static void cell_ms(char *cell, double ms) {
  if (ms < 0)
    snprintf(cell, CELL_BYTES, "-");
  else if (ms < 100)
    snprintf(cell, CELL_BYTES, "%.1fms", ms);
  else if (ms < 10000)
    snprintf(cell, CELL_BYTES, "%.0fms", ms);
  else
    snprintf(cell, CELL_BYTES, "%.1fs", ms / 1e3);
}

/* A count is whole in most runs. */
static void cell_count(char *cell, double value) {
  cell_number(cell, value, value >= 0 && value != (double)(uint64_t)value ? 1 : 0);
}

static void fill_row(char cells[COLUMNS][CELL_BYTES], const bench_target *target) {
  numbers n = mean_of(target);
  cli_plain(cells[0], CELL_BYTES, sheaf_slice_of(target->name));
  cell_count(cells[1], n.ok);
  cell_count(cells[2], n.failed + n.not_attempted);
  cell_number(cells[3], n.requests_per_s, 1);
  cell_count(cells[4], n.input_tokens);
  cell_count(cells[5], n.output_tokens);
  cell_number(cells[6], n.tokens_per_s, 1);
  cell_number(cells[7], n.generation_tokens_per_s, 1);
  cell_ms(cells[8], n.ttft[1]);
  cell_ms(cells[9], n.latency[1]);
  cell_ms(cells[10], n.latency[2]);
  cell_ms(cells[11], n.latency[4]);
  if (n.cost_usd < 0)
    snprintf(cells[12], CELL_BYTES, "-");
  else
    snprintf(cells[12], CELL_BYTES, "$%.4f", n.cost_usd);
}

static void print_row(FILE *to, const table *t, uint32_t row) {
  for (int c = 0; c < COLUMNS; c++)
    fprintf(to, "%s%*s", c ? "  " : "", c ? t->widths[c] : -t->widths[c], t->cells[row][c]);
  fputc('\n', to);
}

/* Which targets' times of tokens were taken from where. */
static void print_footnote(FILE *to, const bench_target *targets, uint32_t count) {
  static const char *const how[] = {"", "the whole latency", "the stream after its first token",
                                    "the server's own durations"};
  fprintf(to, "\ngen tok/s: output tokens a second within one request");
  for (uint32_t from = BENCH_FROM_LATENCY; from <= BENCH_FROM_SERVER; from++) {
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
      char name[CELL_BYTES];
      if (timed_from(&targets[i]) != from) continue;
      cli_plain(name, sizeof name, sheaf_slice_of(targets[i].name));
      if (!any)
        fprintf(to, "; by %s: %s", how[from], name);
      else
        fprintf(to, ", %s", name);
      any = true;
    }
  }
  fprintf(to, "\n");
}

void bench_table_print(FILE *to, const bench_target *targets, uint32_t count, size_t prompts) {
  static table t;
  memset(&t, 0, sizeof t);
  for (int c = 0; c < COLUMNS; c++) snprintf(t.cells[0][c], CELL_BYTES, "%s", heads[c]);
  for (uint32_t i = 0; i < count; i++) fill_row(t.cells[i + 1], &targets[i]);
  t.rows = count + 1;
  for (uint32_t r = 0; r < t.rows; r++)
    for (int c = 0; c < COLUMNS; c++)
      if ((int)strlen(t.cells[r][c]) > t.widths[c]) t.widths[c] = (int)strlen(t.cells[r][c]);
  fprintf(to, "%zu prompts on %u targets at once, means over %u runs\n\n", prompts, (unsigned)count,
          (unsigned)targets[0].run_count);
  for (uint32_t r = 0; r < t.rows; r++) print_row(to, &t, r);
  print_footnote(to, targets, count);
}

/* ---- The document ---- */

static void put(sheaf_buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(sheaf_buf *out, const char *format, ...) {
  char text[128];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  sheaf_buf_append_text(out, text);
}

static void put_key(sheaf_buf *out, const char *name) {
  if (out->data[out->bytes - 1] != '{') put(out, ",");
  put(out, "\"%s\":", name);
}

static void put_number(sheaf_buf *out, const char *name, double value, int decimals) {
  put_key(out, name);
  if (value < 0)
    put(out, "null");
  else
    put(out, "%.*f", decimals, value);
}

static void put_text(sheaf_buf *out, const char *name, sheaf_slice text) {
  put_key(out, name);
  sheaf_buf_append_string(out, text);
}

static void put_quantiles(sheaf_buf *out, const char *name, const double *values) {
  put_key(out, name);
  if (values[0] < 0) {
    put(out, "null");
    return;
  }
  put(out, "{");
  for (int i = 0; i < QUANTILES; i++) put_number(out, quantile_names[i], values[i], 3);
  put(out, "}");
}

/* decimals: counts are whole in a run and may not be in a mean. */
static void put_numbers(sheaf_buf *out, const numbers *n, int decimals) {
  put_number(out, "succeeded", n->ok, decimals);
  put_number(out, "failed", n->failed, decimals);
  put_number(out, "not_attempted", n->not_attempted, decimals);
  put_number(out, "attempts", n->attempts, decimals);
  put_number(out, "retries", n->retries, decimals);
  put_number(out, "throttles", n->throttles, decimals);
  put_number(out, "wall_s", n->wall_s, 6);
  put_number(out, "requests_per_s", n->requests_per_s, 3);
  put_number(out, "input_tokens", n->input_tokens, decimals);
  put_number(out, "output_tokens", n->output_tokens, decimals);
  put_number(out, "tokens_per_s", n->tokens_per_s, 3);
  put_number(out, "generation_tokens_per_s", n->generation_tokens_per_s, 3);
  put_number(out, "server_ms", n->server_ms, 3);
  put_quantiles(out, "ttft_ms", n->ttft);
  put_quantiles(out, "latency_ms", n->latency);
  put_number(out, "cost_usd", n->cost_usd, 9);
}

static void put_classes(sheaf_buf *out, const sheaf_stats *stats) {
  put_key(out, "failed_by_class");
  put(out, "{");
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++)
    if (stats->failed_by_class[i])
      put_number(out, sheaf_class_name(i), (double)stats->failed_by_class[i], 0);
  put(out, "}");
}

static void put_target(sheaf_buf *out, const bench_target *target) {
  put(out, "{");
  put_text(out, "name", sheaf_slice_of(target->name));
  put_text(out, "provider", sheaf_slice_of(target->provider));
  put_text(out, "model", sheaf_slice_of(target->model));
  put_text(out, "base_url", target->place.endpoint.base_url);
  put_text(out, "generation_from", sheaf_slice_of(from_names[timed_from(target)]));
  put_key(out, "first_error");
  if (target->first_error[0])
    sheaf_buf_append_string(out, sheaf_slice_of(target->first_error));
  else
    put(out, "null");
  put_key(out, "mean");
  put(out, "{");
  numbers mean = mean_of(target);
  put_numbers(out, &mean, 3);
  put(out, "}");
  put_key(out, "runs");
  put(out, "[");
  for (uint32_t r = 0; r < target->run_count; r++) {
    numbers one = numbers_of(&target->runs[r]);
    put(out, r ? ",{" : "{");
    put_numbers(out, &one, 0);
    put_classes(out, &target->runs[r].stats);
    put(out, "}");
  }
  put(out, "]}");
}

static void put_document(sheaf_buf *out, const cli_args *args, const bench_target *targets,
                         uint32_t count, size_t prompts) {
  put(out, "{");
  put_text(out, "schema", SHEAF_LITERAL(SCHEMA));
  put_text(out, "sheaf", sheaf_slice_of(sheaf_version()));
  put_number(out, "unix_ms", (double)sheaf_unix_ms(), 0);
  put_text(out, "input", sheaf_slice_of(args->input));
  put_number(out, "prompts", (double)prompts, 0);
  put_number(out, "runs", (double)targets[0].run_count, 0);
  put_number(out, "concurrency", args->engine.concurrency ? (double)args->engine.concurrency : -1,
             0);
  put_text(out, "prices_date", sheaf_slice_of(sheaf_prices_builtin()->date));
  put_key(out, "targets");
  put(out, "[");
  for (uint32_t i = 0; i < count; i++) {
    if (i) put(out, ",");
    put_target(out, &targets[i]);
  }
  put(out, "]}\n");
}

int bench_json_write(const char *path, const cli_args *args, const bench_target *targets,
                     uint32_t count, size_t prompts) {
  sheaf_buf out;
  sheaf_buf_init(&out, sheaf_heap(), 64u << 20);
  put_document(&out, args, targets, count, prompts);
  errno = out.status ? ENOMEM : 0;
  FILE *file = out.status ? NULL : fopen(path, "wb");
  bool good = file != NULL && fwrite(out.data, 1, out.bytes, file) == out.bytes;
  if (file != NULL && fclose(file) != 0) good = false;
  sheaf_buf_deinit(&out);
  if (!good) cli_say("cannot write %s: %s", path, strerror(errno));
  return good ? CLI_OK : CLI_HOST;
}
