/* jobs_text.c: a job as a line for people, as a row of a table, as JSON. */
#include "jobs.h"

#include <string.h>

/* ---- One job, from the engine or from a state file ---- */

bool jobs_is_over(uint32_t state) {
  return state == SHEAF_JOB_COLLECTED_STATE || state == SHEAF_JOB_ABANDONED_STATE;
}

jobs_job jobs_of_status(const sheaf_job_status *s) {
  return (jobs_job){.flight = s->flight,
                    .state = s->state,
                    .is_over = jobs_is_over(s->state),
                    .provider = s->provider,
                    .endpoint = s->endpoint,
                    .model = s->model,
                    .marker = s->marker,
                    .job = s->job,
                    .message = s->message,
                    .requests = s->requests,
                    .completed = s->completed,
                    .failed = s->failed,
                    .ended = (int64_t)s->ended,
                    .rescued = (int64_t)s->rescued,
                    .created_unix_ms = s->created_unix_ms};
}

jobs_job jobs_of_stored(const sheaf_jobs_store_job *s) {
  return (jobs_job){.flight = s->flight,
                    .state = s->state,
                    .is_over = s->is_over,
                    .provider = s->provider,
                    .endpoint = s->endpoint,
                    .model = s->model,
                    .marker = s->marker,
                    .job = s->job,
                    .message = s->message,
                    .decision = s->decision,
                    .requests = s->requests,
                    .completed = s->completed,
                    .failed = s->failed,
                    .ended = s->is_over ? (int64_t)s->requests : SHEAF_ABSENT,
                    .rescued = s->rescued,
                    .created_unix_ms = s->created_unix_ms};
}

/* ---- Lines ---- */

/* "120/1000", "?/1000" where the provider has not told yet. */
static const char *done_text(const jobs_job *job, char text[48]) {
  int64_t done = job->completed == SHEAF_ABSENT ? job->ended : job->completed;
  if (job->is_over) done = (int64_t)job->requests;
  if (done == SHEAF_ABSENT || (done == 0 && job->job.bytes == 0))
    snprintf(text, 48, "%llu", (unsigned long long)job->requests);
  else
    snprintf(text, 48, "%lld/%llu", (long long)done, (unsigned long long)job->requests);
  return text;
}

void jobs_line(const jobs_job *job, char *text, size_t bytes) {
  char message[160] = "", id[100], done[48], failed[40] = "", rescued[40] = "", provider[40];
  cli_plain(id, sizeof id, job->job);
  cli_plain(provider, sizeof provider, job->provider);
  if (job->failed > 0) snprintf(failed, sizeof failed, ", %lld failed", (long long)job->failed);
  if (job->rescued > 0) snprintf(rescued, sizeof rescued, ", %lld live", (long long)job->rescued);
  if (!job->is_over) cli_plain(message, sizeof message, job->message);
  snprintf(text, bytes, "job %llu  %s  %s  %s%s%s%s%s%s%s", (unsigned long long)job->flight,
           provider, sheaf_job_state_name(job->state), done_text(job, done), failed, rescued,
           id[0] ? "  " : "", id, message[0] ? "  " : "", message);
}

#define TABLE "  %-4s  %-10s %-11s %-15s %-7s %-8s %-10s %s\n"

void jobs_table_head(FILE *to) {
  fprintf(to, TABLE, "JOB", "PROVIDER", "STATE", "DONE", "FAILED", "RESCUED", "AGE", "ID");
}

/* A count, or a dash. */
static const char *count_text(int64_t count, char text[24]) {
  if (count == SHEAF_ABSENT)
    snprintf(text, 24, "-");
  else
    snprintf(text, 24, "%lld", (long long)count);
  return text;
}

void jobs_table_row(FILE *to, const jobs_job *job, int64_t now_unix_ms) {
  char number[24], done[48], failed[24], rescued[24], age[32] = "-", id[200], provider[40];
  snprintf(number, sizeof number, "%llu", (unsigned long long)job->flight);
  cli_plain(id, sizeof id, job->job);
  cli_plain(provider, sizeof provider, job->provider);
  if (job->created_unix_ms != SHEAF_ABSENT && now_unix_ms > job->created_unix_ms)
    cli_duration((uint64_t)(now_unix_ms - job->created_unix_ms) * 1000000u, age);
  fprintf(to, TABLE, number, provider, sheaf_job_state_name(job->state), done_text(job, done),
          count_text(job->failed, failed), count_text(job->rescued, rescued), age,
          id[0] ? id : "-");
}

const char *jobs_quoted(const char *path, char *text, size_t bytes) {
  bool plain = path[0] != 0 && path[0] != '-';
  for (const char *c = path; *c; c++)
    if (strchr("/._-+,:@%=", *c) == NULL && (*c < '0' || *c > '9') && (*c < 'A' || *c > 'Z') &&
        (*c < 'a' || *c > 'z'))
      plain = false;
  size_t n = 0;
  if (!plain && bytes > 0) text[n++] = '\'';
  for (const char *c = path; *c && n + 6 < bytes; c++) {
    const char *piece = !plain && *c == '\'' ? "'\\''" : (const char[2]){*c, 0};
    for (; *piece; piece++) text[n++] = *piece;
  }
  if (!plain && n + 1 < bytes) text[n++] = '\'';
  text[n] = 0;
  return text;
}

void jobs_say_undecided(FILE *to, const jobs_job *job, const char *state) {
  char message[512], quoted[4200];
  unsigned long long flight = job->flight;
  cli_plain(message, sizeof message, job->message);
  jobs_quoted(state, quoted, sizeof quoted);
  fprintf(to, "job %llu of %llu requests: %s\n", flight, (unsigned long long)job->requests,
          message[0] ? message : "whether the provider has made it cannot be known from here");
  fprintf(to,
          "  if it is in the provider's list:       sheaf jobs decide %llu --adopt ID --state %s\n"
          "  if it is not there, to make it again:  sheaf jobs decide %llu --resubmit --state %s\n"
          "  to give its requests up:               sheaf jobs decide %llu --abandon --state %s\n",
          flight, quoted, flight, quoted, flight, quoted);
}

/* ---- JSON ---- */

static void put_text(sheaf_buf *to, const char *name, sheaf_slice text) {
  sheaf_buf_append_text(to, ",\"");
  sheaf_buf_append_text(to, name);
  sheaf_buf_append_text(to, "\":");
  if (text.bytes)
    sheaf_buf_append_string(to, text);
  else
    sheaf_buf_append_text(to, "null");
}

static void put_count(sheaf_buf *to, const char *name, int64_t count) {
  sheaf_buf_append_text(to, ",\"");
  sheaf_buf_append_text(to, name);
  sheaf_buf_append_text(to, "\":");
  if (count == SHEAF_ABSENT)
    sheaf_buf_append_text(to, "null");
  else
    sheaf_buf_append_u64(to, (uint64_t)count);
}

void jobs_json(const jobs_job *job, sheaf_buf *to) {
  sheaf_buf_append_text(to, "\"flight\":");
  sheaf_buf_append_u64(to, job->flight);
  put_text(to, "state", sheaf_slice_of(sheaf_job_state_name(job->state)));
  put_text(to, "provider", job->provider);
  put_text(to, "endpoint", job->endpoint);
  put_text(to, "model", job->model);
  put_text(to, "job", job->job);
  put_text(to, "marker", job->marker);
  put_count(to, "requests", (int64_t)job->requests);
  put_count(to, "completed", job->completed);
  put_count(to, "failed", job->failed);
  put_count(to, "ended", job->ended);
  put_count(to, "rescued", job->rescued);
  put_count(to, "created_unix_ms", job->created_unix_ms);
  put_text(to, "message", job->message);
  if (job->decision.bytes) put_text(to, "decision", job->decision);
}
