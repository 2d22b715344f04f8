/* jobs_events.c: --events FILE: what becomes of jobs and of the run, one JSON object a line, for programs that watch. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <errno.h>
#include <string.h>

#define PROGRESS_EVERY_NS 5000000000ull

int jobs_events_open(jobs_events *it, const char *path) {
  if (path == NULL) return CLI_OK;
  it->file = fopen(path, "ab"); /* a run that goes on adds to what is there */
  if (it->file == NULL) return cli_say("cannot write %s: %s", path, strerror(errno)), CLI_HOST;
  sheaf_buf_init(&it->line, sheaf_heap(), 1 << 20);
  return CLI_OK;
}

void jobs_events_close(jobs_events *it) {
  if (it->file == NULL) return;
  fclose(it->file);
  sheaf_buf_deinit(&it->line);
  it->file = NULL;
}

/* {"ts":1760000000000,"event":"job", without its end. */
static sheaf_buf *begin(jobs_events *it, const char *event) {
  sheaf_buf *line = &it->line;
  sheaf_buf_reset(line);
  sheaf_buf_append_text(line, "{\"ts\":");
  sheaf_buf_append_u64(line, (uint64_t)sheaf_unix_ms());
  sheaf_buf_append_text(line, ",\"event\":\"");
  sheaf_buf_append_text(line, event);
  sheaf_buf_append_text(line, "\",");
  return line;
}

static void end(jobs_events *it) {
  sheaf_buf *line = &it->line;
  sheaf_buf_append_text(line, "}\n");
  if (line->status != SHEAF_OK) return;
  if ((fwrite(line->data, 1, line->bytes, it->file) != line->bytes || fflush(it->file) != 0) &&
      !it->failed) {
    it->failed = true;
    cli_say("events cannot be written: %s", strerror(errno));
  }
}

static void put_number(sheaf_buf *line, const char *name, uint64_t number) {
  sheaf_buf_append_text(line, name);
  if (number == SHEAF_NEVER)
    sheaf_buf_append_text(line, "null");
  else
    sheaf_buf_append_u64(line, number);
}

void jobs_events_job(jobs_events *it, const jobs_job *job, uint64_t eta_ns) {
  if (it->file == NULL) return;
  sheaf_buf *line = begin(it, "job");
  jobs_json(job, line);
  put_number(line, ",\"eta_ms\":", eta_ns == SHEAF_NEVER ? SHEAF_NEVER : eta_ns / 1000000u);
  end(it);
}

void jobs_events_progress(jobs_events *it, const sheaf_stats *stats,
                          const sheaf_files_report *files) {
  if (it->file == NULL || stats->now_ns < it->next_ns) return;
  it->next_ns = stats->now_ns + PROGRESS_EVERY_NS;
  uint64_t done = stats->succeeded + stats->failed + stats->skipped;
  bool has_total = files->rows_total != SHEAF_NEVER && files->rows_total >= done;
  uint64_t eta = has_total ? sheaf_stats_eta_ns(stats, files->rows_total - done) : SHEAF_NEVER;
  sheaf_buf *line = begin(it, "progress");
  put_number(line, "\"succeeded\":", stats->succeeded);
  put_number(line, ",\"failed\":", stats->failed);
  put_number(line, ",\"skipped\":", stats->skipped);
  put_number(line, ",\"running\":", stats->in_flight);
  put_number(line, ",\"total\":", has_total ? files->rows_total : SHEAF_NEVER);
  put_number(line, ",\"eta_ms\":", eta == SHEAF_NEVER ? SHEAF_NEVER : eta / 1000000u);
  end(it);
}

void jobs_events_end(jobs_events *it, int code) {
  if (it->file == NULL) return;
  sheaf_buf *line = begin(it, "end");
  put_number(line, "\"exit_code\":", (uint64_t)code);
  end(it);
}
