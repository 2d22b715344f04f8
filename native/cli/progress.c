/* progress.c: what a person sees while it runs: three lines redrawn in place on a terminal, a line
 * every five seconds elsewhere. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_EVERY_NS 100000000ull
#define PLAIN_EVERY_NS 5000000000ull
#define WAITING_EVERY_NS 60000000000ull /* elsewhere, while jobs are all there is */
#define JOBS_DRAWN 8u

void cli_progress_open(cli_progress *p, bool quiet) {
  memset(p, 0, sizeof *p);
  p->shown = !quiet;
  p->terminal = !quiet && isatty(STDERR_FILENO);
  p->begun_ns = sheaf_now_ns();
  p->next_ns = p->begun_ns + (p->terminal ? TERMINAL_EVERY_NS : PLAIN_EVERY_NS);
}

void cli_progress_error(cli_progress *p, const sheaf_result *r) {
  char id[40], message[100];
  cli_plain(id, sizeof id, r->custom_id);
  cli_plain(message, sizeof message, r->error_message);
  snprintf(p->last_error, sizeof p->last_error, "%s: %s: %s", id, sheaf_class_name(r->error_class),
           message);
  p->error_is_new = true;
}

void cli_progress_stream(cli_progress *p, const sheaf_event *event) {
  if (!p->terminal) return;
  char id[sizeof p->stream_id], text[sizeof p->stream_text];
  cli_plain(id, sizeof id, event->custom_id);
  if (event->kind == SHEAF_EVENT_DISCARD) {
    snprintf(p->stream_id, sizeof p->stream_id, "%s", id);
    snprintf(p->stream_text, sizeof p->stream_text, "(void: trying again)");
    return;
  }
  /* One row at a time, so that it can be read: the next when this one has been quiet for a picture. */
  bool other = strcmp(p->stream_id, id) != 0;
  if (other && p->stream_fresh) return;
  sheaf_slice tail = event->text;
  if (tail.bytes >= sizeof text)
    tail.data += tail.bytes - sizeof text + 1, tail.bytes = sizeof text - 1;
  cli_plain(text, sizeof text, tail);
  size_t old = other ? 0 : strlen(p->stream_text), more = strlen(text);
  size_t keep = old + more < sizeof p->stream_text ? old : sizeof p->stream_text - 1 - more;
  memmove(p->stream_text, p->stream_text + (old - keep), keep);
  memcpy(p->stream_text + keep, text, more + 1);
  snprintf(p->stream_id, sizeof p->stream_id, "%s", id);
  p->stream_fresh = true;
}

static void erase(cli_progress *p) {
  if (p->rows_drawn) fprintf(stderr, "\r\x1b[%uA\x1b[J", p->rows_drawn);
  p->rows_drawn = 0;
}

void cli_progress_note(cli_progress *p, const char *sentence) {
  if (!p->shown) return;
  erase(p);
  fprintf(stderr, "%s\n", sentence);
}

static int columns(void) {
  struct winsize size;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* A line cut at the terminal's edge, so that redrawing finds its place. */
static void put_line(cli_progress *p, const char *text, int width) {
  fprintf(stderr, "%.*s\n", width - 1, text);
  p->rows_drawn++;
}

/* A line for each job that is not over; the others are counted. */
static void draw_jobs(cli_progress *p, int width) {
  sheaf_job_status status = {.struct_bytes = sizeof status};
  const uint64_t now = sheaf_now_ns();
  const int64_t unix_now = sheaf_unix_ms();
  unsigned long long over = jobs_watch_over(p->watch), more = 0;
  uint32_t drawn = 0;
  char line[512], age[32], left[32];
  for (uint64_t n = 0; sheaf_engine_job_at(p->engine, n, &status) == SHEAF_OK; n++) {
    const jobs_job job = jobs_of_status(&status);
    if (!job.is_over && drawn == JOBS_DRAWN) more++;
    if (job.is_over || drawn == JOBS_DRAWN) continue;
    jobs_line(&job, line, sizeof line - 100);
    size_t at = strlen(line);
    uint64_t eta = jobs_watch_eta_ns(p->watch, &job, now);
    if (job.created_unix_ms != SHEAF_ABSENT && unix_now > job.created_unix_ms) {
      cli_duration((uint64_t)(unix_now - job.created_unix_ms) * 1000000u, age);
      at += (size_t)snprintf(line + at, sizeof line - at, "  %s elapsed", age);
    }
    if (eta != SHEAF_NEVER)
      snprintf(line + at, sizeof line - at, ", %s left", cli_duration(eta, left));
    put_line(p, line, width);
    drawn++;
  }
  if (over + more == 0) return;
  int n = snprintf(line, sizeof line, "%llu jobs collected", over);
  if (more) snprintf(line + n, sizeof line - (size_t)n, ", %llu more under way", more);
  put_line(p, line, width);
}

/* A change of a job: on a terminal the picture shows it, elsewhere it is a line. */
void cli_progress_job(cli_progress *p, const struct jobs_job *job, uint64_t eta_ns) {
  char line[512], left[32];
  if (!p->shown || p->terminal || job->flight == 0) return;
  jobs_line(job, line, sizeof line);
  fprintf(stderr, "%s%s%s%s\n", line, eta_ns == SHEAF_NEVER ? "" : ", ",
          eta_ns == SHEAF_NEVER ? "" : cli_duration(eta_ns, left),
          eta_ns == SHEAF_NEVER ? "" : " left");
}

typedef struct view {
  unsigned long long done, total;
  bool has_total, exact;
  char left[48], wall[32]; /* left: ", 12.3s left", or nothing where that is not known */
} view;

static view look(const sheaf_stats *s, const sheaf_files_report *files) {
  view v = {.done = s->succeeded + s->failed + s->skipped};
  v.has_total = files->rows_total != SHEAF_NEVER && files->rows_total > 0;
  v.exact = files->has_total;
  v.total = v.has_total ? files->rows_total : 0;
  if (v.has_total && v.total < v.done) v.total = v.done;
  cli_duration(s->now_ns - s->started_ns, v.wall);
  uint64_t eta = v.has_total ? sheaf_stats_eta_ns(s, v.total - v.done) : SHEAF_NEVER;
  char text[32];
  if (eta != SHEAF_NEVER && v.done < v.total)
    snprintf(v.left, sizeof v.left, ", %s left", cli_duration(eta, text));
  return v;
}

static double tokens_per_s(const sheaf_stats *s) {
  double seconds = (double)(s->now_ns - s->started_ns) / 1e9;
  return seconds > 0 ? (double)s->output_tokens / seconds : 0;
}

static void draw_terminal(cli_progress *p, const sheaf_stats *s, const view *v) {
  char line[512], bar[64];
  int width = columns(), cells = width > 100 ? 30 : 20;
  int full = v->has_total && v->total ? (int)(v->done * (unsigned long long)cells / v->total) : 0;
  for (int i = 0; i < cells; i++) bar[i] = i < full ? '#' : '.';
  bar[cells] = 0;
  erase(p);
  if (v->has_total)
    snprintf(line, sizeof line, "[%s] %llu/%s%llu  %llu%%  %llu failed  %s elapsed%s", bar, v->done,
             v->exact ? "" : "~", v->total, v->total ? v->done * 100 / v->total : 0,
             (unsigned long long)s->failed, v->wall, v->left);
  else
    snprintf(line, sizeof line, "%llu done  %llu failed  %s elapsed", v->done,
             (unsigned long long)s->failed, v->wall);
  put_line(p, line, width);
  int n =
      snprintf(line, sizeof line, "%llu running of %llu (%s)  %.1f/s  %.0f tokens/s",
               (unsigned long long)s->in_flight, (unsigned long long)(s->limit_milli / 1000),
               sheaf_limited_by_name(s->limited_by), (double)s->rate_milli / 1e3, tokens_per_s(s));
  if (s->retries && n > 0 && n < 400)
    n += snprintf(line + n, sizeof line - (size_t)n, "  %llu retries",
                  (unsigned long long)s->retries);
  if (s->cost_usd_nano != SHEAF_ABSENT && n > 0 && n < 400)
    n += snprintf(line + n, sizeof line - (size_t)n, "  $%.4f", (double)s->cost_usd_nano / 1e9);
  if (s->paused_until_ns != SHEAF_NEVER && n > 0 && n < 400) {
    char wait[32];
    snprintf(line + n, sizeof line - (size_t)n, "  paused for %s",
             cli_duration(s->paused_until_ns - s->now_ns, wait));
  }
  put_line(p, line, width);
  if (p->engine != NULL) draw_jobs(p, width);
  if (p->stream_id[0]) {
    snprintf(line, sizeof line, "%s: %s", p->stream_id, p->stream_text);
    put_line(p, line, width);
    p->stream_fresh = false;
  }
  if (p->last_error[0]) {
    snprintf(line, sizeof line, "last error  %s", p->last_error);
    put_line(p, line, width);
  }
  fflush(stderr);
}

static void draw_plain(cli_progress *p, const sheaf_stats *s, const view *v) {
  char line[256];
  sheaf_stats_line(s, line, sizeof line);
  if (v->has_total)
    fprintf(stderr, "%s  %llu of %s%llu: %s%s\n", v->wall, v->done, v->exact ? "" : "~", v->total,
            line, v->left);
  else
    fprintf(stderr, "%s  %s\n", v->wall, line);
  if (p->error_is_new) fprintf(stderr, "  last error  %s\n", p->last_error);
  p->error_is_new = false;
}

void cli_progress_draw(cli_progress *p, const sheaf_stats *s, const sheaf_files_report *files,
                       bool force) {
  uint64_t now = sheaf_now_ns();
  if (!p->shown || (!force && now < p->next_ns)) return;
  sheaf_job_status status = {.struct_bytes = sizeof status};
  bool has_jobs = p->engine != NULL && sheaf_engine_job_at(p->engine, 0, &status) == SHEAF_OK;
  p->next_ns = now + (p->terminal                     ? TERMINAL_EVERY_NS
                      : has_jobs && s->in_flight == 0 ? WAITING_EVERY_NS
                                                      : PLAIN_EVERY_NS);
  view v = look(s, files);
  if (p->terminal)
    draw_terminal(p, s, &v);
  else
    draw_plain(p, s, &v);
}

void cli_progress_close(cli_progress *p) {
  p->rows_drawn = 0; /* the last picture stays */
}
