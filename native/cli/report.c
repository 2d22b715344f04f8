/* report.c: the summary for people, and as a file. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *cli_duration(uint64_t ns, char *text) {
  unsigned long long ms = ns / 1000000, s = ms / 1000;
  if (ns == SHEAF_NEVER)
    snprintf(text, 32, "?");
  else if (ms < 1000)
    snprintf(text, 32, "%llums", ms);
  else if (s < 60)
    snprintf(text, 32, "%llu.%llus", s, ms % 1000 / 100);
  else if (s < 3600)
    snprintf(text, 32, "%llum%02llus", s / 60, s % 60);
  else
    snprintf(text, 32, "%lluh%02llum", s / 3600, s / 60 % 60);
  return text;
}

void cli_plain(char *to, size_t bytes, sheaf_slice from) {
  size_t n = from.bytes < bytes - 1 ? from.bytes : bytes - 1;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)from.data[i];
    to[i] = c < 0x20 || c == 0x7f ? '?' : from.data[i];
  }
  while (n > 0 && n < from.bytes && ((unsigned char)to[n - 1] & 0xc0) == 0x80)
    n--; /* no half characters at the cut */
  to[n] = 0;
}

static void print_classes(FILE *to, const char *title, const uint64_t *counts) {
  bool any = false;
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++) {
    if (counts[i] == 0) continue;
    fprintf(to, "%s%s %llu", any ? ", " : title, sheaf_class_name(i),
            (unsigned long long)counts[i]);
    any = true;
  }
  if (any) fputc('\n', to);
}

const char *cli_worst_class(const sheaf_stats *s) {
  uint32_t worst = 0;
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++)
    if (s->attempt_errors_by_class[i] > (worst ? s->attempt_errors_by_class[worst] : 0)) worst = i;
  return worst ? sheaf_class_name(worst) : NULL;
}

static void print_quantiles(FILE *to, const char *title, const sheaf_quantiles *q) {
  char a[32], b[32], c[32], d[32], e[32];
  if (q->count == 0 || q->max_ns == 0) return; /* rows of jobs take no time of their own */
  fprintf(to, "%s mean %s, p50 %s, p90 %s, p99 %s, max %s\n", title, cli_duration(q->mean_ns, a),
          cli_duration(q->p50_ns, b), cli_duration(q->p90_ns, c), cli_duration(q->p99_ns, d),
          cli_duration(q->max_ns, e));
}

void cli_summary_print(FILE *to, const sheaf_stats *s, const sheaf_files_report *files,
                       const cli_args *args) {
  char took[32];
  uint64_t wall = s->now_ns - s->started_ns;
  double seconds = (double)wall / 1e9;
  unsigned long long done = s->succeeded + s->failed;
  fprintf(to, "\n%llu succeeded, %llu failed", (unsigned long long)s->succeeded,
          (unsigned long long)s->failed);
  if (s->skipped) fprintf(to, ", %llu done before", (unsigned long long)s->skipped);
  if (files->rows_failed_before)
    fprintf(to, " (%llu of them failed)", (unsigned long long)files->rows_failed_before);
  if (s->not_attempted) fprintf(to, ", %llu not attempted", (unsigned long long)s->not_attempted);
  fprintf(to, " in %s (%.1f/s)\n", cli_duration(wall, took),
          seconds > 0 ? (double)done / seconds : 0.0);
  print_classes(to, "  failed       ", s->failed_by_class);
  fprintf(to, "  attempts     %llu, retries %llu, refused by limits %llu\n",
          (unsigned long long)s->attempts, (unsigned long long)s->retries,
          (unsigned long long)s->throttles);
  print_classes(to, "  errors met   ", s->attempt_errors_by_class);
  if (s->unknown_outcomes || s->recovered_unknown)
    fprintf(
        to,
        "  unknown      %llu attempts may have been billed without a reply, at most $%.4f; %llu "
        "sent again; %llu left by an earlier run\n",
        (unsigned long long)s->unknown_outcomes, (double)s->unknown_usd_nano / 1e9,
        (unsigned long long)s->unknown_resent, (unsigned long long)s->recovered_unknown);
  fprintf(to, "  tokens       %llu in, %llu out%s\n", (unsigned long long)s->input_tokens,
          (unsigned long long)s->output_tokens,
          s->usage_missing ? " (some replies told none)" : "");
  if (s->cost_usd_nano != SHEAF_ABSENT)
    fprintf(to, "  cost         $%.4f at prices of %s%s\n", (double)s->cost_usd_nano / 1e9,
            args->engine.prices ? args->engine.prices->date : sheaf_prices_builtin()->date,
            s->cost_missing ? " (not all models have a known price)" : "");
  print_quantiles(to, "  latency     ", &s->latency);
  print_quantiles(to, "  first token ", &s->ttft);
  if (wall && s->latency_sum_ns) {
    fprintf(to, "  concurrency  mean %.1f, max %llu", (double)s->in_flight_mean_milli / 1e3,
            (unsigned long long)s->in_flight_max);
    double gain = (double)s->latency_sum_ns / (double)wall; /* limits and pauses take it below 1 */
    if (gain >= 1.05) fprintf(to, "; %.1fx faster than one at a time", gain);
    fputc('\n', to);
  }
  if (files->torn_bytes)
    fprintf(to,
            "  repaired     %llu bytes of an unfinished line were cut from the earlier output\n",
            (unsigned long long)files->torn_bytes);
  fprintf(to, "  results      %s\n",
          strcmp(args->output, "-") == 0 ? "standard output" : args->output);
}

/* Whoever reads it meanwhile sees the old file or the new one, whole. What is no regular file, as /dev/stdout, is
 * written to. */
static bool replace_file(const char *path, const char *data, size_t bytes) {
  struct stat facts;
  char beside[4096];
  bool regular = lstat(path, &facts) != 0 || S_ISREG(facts.st_mode);
  int length = snprintf(beside, sizeof beside, "%s%s", path, regular ? ".part" : "");
  if (length < 0 || (size_t)length >= sizeof beside) return false;
  FILE *file = fopen(beside, "wb");
  bool good = file != NULL && fwrite(data, 1, bytes, file) == bytes;
  if (file != NULL && fclose(file) != 0) good = false;
  if (good && regular) good = rename(beside, path) == 0;
  if (!good && regular && file != NULL) {
    int error = errno;
    remove(beside);
    errno = error;
  }
  return good;
}

int cli_summary_write(const char *path, const sheaf_stats *stats, bool openmetrics) {
  sheaf_buf buf;
  sheaf_buf_init(&buf, sheaf_heap(), 1 << 20);
  int32_t status =
      openmetrics ? sheaf_stats_openmetrics(stats, &buf) : sheaf_stats_json(stats, &buf);
  if (!openmetrics) status = sheaf_buf_append_text(&buf, "\n");
  bool good = status == SHEAF_OK && replace_file(path, buf.data, buf.bytes);
  sheaf_buf_deinit(&buf);
  if (!good) cli_say("cannot write %s: %s", path, strerror(errno));
  return good ? CLI_OK : CLI_HOST;
}
