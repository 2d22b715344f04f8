/* run_jobs.c: what a run has to do with jobs.
 *
 *   the lane       whether there are jobs, and where their state is kept
 *   the state      opened beside the files; it remembers input, output and options, so that another command goes on
 *   events         statuses on their way to the progress view and to --events
 *   the end        what stands open, what it cost, which command goes on */
#define _XOPEN_SOURCE 700 /* realpath */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_END ".jobs.sqlite"

/* ---- The lane ---- */

static bool is_there(const char *path) {
  return access(path, F_OK) == 0;
}

static bool is_stream(const char *path) {
  return path == NULL || strcmp(path, "-") == 0;
}

/* Jobs of earlier runs are followed whatever the settings say; new ones are what they forbid. */
static int choose_lane(run_state *run) {
  sheaf_engine_options *o = &run->args.engine;
  bool wants_jobs = o->lane == SHEAF_LANE_BATCH || o->lane == SHEAF_LANE_AUTO;
  const sheaf_provider *provider = run->place.endpoint.provider;
  if (o->batch_mode == SHEAF_BATCH_SURVEY && sheaf_job_api_of(provider) == NULL)
    return cli_say("%s has no batch API, and so no jobs", provider->name), CLI_USAGE;
  if (o->batch_mode > SHEAF_BATCH_SUBMIT) return CLI_OK;
  if (wants_jobs && run->args.batch_disabled) {
    if (o->batch_mode == SHEAF_BATCH_SUBMIT)
      return cli_say("SHEAF_BATCH_ENABLED is 0: no job is submitted; unset it, or use sheaf run"),
             CLI_USAGE;
    o->lane = SHEAF_LANE_LIVE;
    if (!run->args.quiet) fprintf(stderr, "SHEAF_BATCH_ENABLED is 0: requests run live\n");
  }
  if (o->lane == SHEAF_LANE_BATCH && sheaf_job_api_of(provider) == NULL) {
    cli_say("%s has no batch API: use --lane live (sheaf jobs lanes shows who has one)",
            provider->name);
    return CLI_USAGE;
  }
  if (o->lane == SHEAF_LANE_AUTO && sheaf_job_api_of(provider) == NULL) {
    o->lane = SHEAF_LANE_LIVE;
    if (!run->args.quiet)
      fprintf(stderr, "%s has no batch API: requests run live\n", provider->name);
  }
  return CLI_OK;
}

static bool has_jobs_to_come(const run_state *run) {
  const sheaf_engine_options *o = &run->args.engine;
  return o->lane == SHEAF_LANE_BATCH || o->lane == SHEAF_LANE_AUTO ||
         o->batch_mode != SHEAF_BATCH_RUN;
}

/* Into run->jobs.state; "": this run has none. */
static int choose_state(run_state *run) {
  const cli_args *args = &run->args;
  char *state = run->jobs.state;
  int length = 0;
  if (args->engine.batch_mode == SHEAF_BATCH_SURVEY) return CLI_OK; /* it has none of its own */
  if (args->state != NULL)
    length = snprintf(state, RUN_PATH_BYTES, "%s", args->state);
  else if (!is_stream(args->output))
    length = snprintf(state, RUN_PATH_BYTES, "%s%s", args->output, STATE_END);
  if (length < 0 || length >= (int)RUN_PATH_BYTES - 16)
    return cli_say("the name of the state file is too long"), CLI_USAGE;
  if (!has_jobs_to_come(run)) {
    /* A live run makes none; but rows that jobs hold already are not sent a second time. */
    if (state[0] && !is_there(state)) state[0] = 0;
    return CLI_OK;
  }
  if (state[0]) return CLI_OK;
  cli_say(
      "results go to standard output, so the file that jobs are remembered in needs a name: give "
      "--state FILE.jobs.sqlite");
  return CLI_USAGE;
}

/* An output that is begun anew begins its jobs anew; those that still run are not forgotten by that. */
static int set_aside(run_state *run) {
  static const char *const ends[] = {"", "-wal", "-shm", ".spool"};
  const char *state = run->jobs.state;
  sheaf_jobs_store *store = NULL;
  sheaf_jobs_store_totals totals = {.struct_bytes = sizeof totals};
  if (run->args.resume != SHEAF_RESUME_NEVER || !state[0] || !is_there(state)) return CLI_OK;
  int answer = jobs_state_open(state, true, &store);
  if (answer != CLI_OK) return answer;
  int32_t status = sheaf_jobs_store_totals_get(store, &totals);
  sheaf_jobs_store_close(store);
  if (status != SHEAF_OK) return cli_say("%s cannot be read", state), CLI_HOST;
  if (totals.jobs > totals.jobs_over) {
    cli_say(
        "%llu of the jobs of the earlier run are not collected: end them with sheaf jobs collect "
        "or "
        "sheaf jobs cancel, --state %s, or move that file and its folder .spool away",
        (unsigned long long)(totals.jobs - totals.jobs_over), state);
    return CLI_USAGE;
  }
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    char from[RUN_PATH_BYTES + 8], to[RUN_PATH_BYTES + 16];
    snprintf(from, sizeof from, "%s%s", state, ends[i]);
    snprintf(to, sizeof to, "%s.bak%s", state, ends[i]);
    if (rename(from, to) != 0 && errno != ENOENT)
      return cli_say("cannot move %s aside: %s", from, strerror(errno)), CLI_HOST;
  }
  return CLI_OK;
}

/* ---- Standard input ---- */

static bool same_files(const char *a, const char *b) {
  char left[65536], right[65536];
  FILE *one = fopen(a, "rb"), *other = fopen(b, "rb");
  bool same = one != NULL && other != NULL;
  while (same) {
    size_t n = fread(left, 1, sizeof left, one), m = fread(right, 1, sizeof right, other);
    same = n == m && memcmp(left, right, n) == 0;
    if (n == 0) break;
  }
  if (one != NULL) fclose(one);
  if (other != NULL) fclose(other);
  return same;
}

static bool copy_input(int to) {
  char piece[65536];
  ssize_t n;
  while ((n = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    for (ssize_t at = 0, put; n > 0 && at < n; at += put)
      if ((put = write(to, piece + at, (size_t)(n - at))) < 0) return false;
    if (n < 0) return false;
  }
  return fsync(to) == 0;
}

/* Jobs outlive this process, and whoever collects them reads the input again. */
static int keep_input(run_state *run) {
  char beside[RUN_PATH_BYTES + 32];
  char *path = run->jobs.input;
  const char *state = run->jobs.state;
  if (!state[0] || !has_jobs_to_come(run) || run->args.input == NULL ||
      strcmp(run->args.input, "-") != 0)
    return CLI_OK;
  snprintf(path, RUN_PATH_BYTES, "%.*s.input", (int)RUN_PATH_BYTES - 16, state);
  snprintf(beside, sizeof beside, "%s.part", path);
  int to = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = to >= 0 && copy_input(to);
  if (to >= 0 && close(to) != 0) good = false;
  if (!good) return cli_say("cannot write %s: %s", beside, strerror(errno)), CLI_HOST;
  if (is_there(state) && is_there(path) && !same_files(path, beside)) {
    unlink(beside);
    cli_say(
        "standard input differs from that of the earlier run, which %s holds: to go on with that "
        "one, sheaf jobs wait --state %s; for another, give another --state",
        path, state);
    return CLI_BAD_INPUT;
  }
  if (rename(beside, path) != 0)
    return cli_say("cannot write %s: %s", path, strerror(errno)), CLI_HOST;
  if (!run->args.quiet)
    fprintf(stderr, "standard input is kept as %s: jobs outlive this command\n", path);
  run->args.input = path;
  return CLI_OK;
}

int run_jobs_prepare(run_state *run) {
  int answer = jobs_events_open(&run->jobs.events, run->args.events);
  if (answer == CLI_OK) answer = choose_lane(run);
  if (answer == CLI_OK) answer = choose_state(run);
  if (answer == CLI_OK) answer = set_aside(run);
  if (answer == CLI_OK) answer = keep_input(run);
  return answer;
}

/* ---- The state ---- */

static bool set_note(sheaf_jobs_store *store, const char *key, const char *value) {
  return sheaf_jobs_store_set(store, key, sheaf_slice_of(value)) == SHEAF_OK;
}

/* The name from the root on: the next command may run elsewhere. Of a file that is not there yet its folder's. */
static bool set_path(sheaf_jobs_store *store, const char *key, const char *path) {
  char folder[RUN_PATH_BYTES], whole[2 * RUN_PATH_BYTES];
  if (is_stream(path)) return set_note(store, key, "-");
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
  char *real = realpath(folder, NULL);
  if (real == NULL) return false;
  snprintf(whole, sizeof whole, "%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : path);
  free(real);
  return set_note(store, key, whole);
}

/* What another command needs to go on: where from, where to, and what this one was told. */
static bool set_notes(const run_state *run) {
  sheaf_jobs_store *store = run->jobs.store;
  sheaf_buf options;
  sheaf_buf_init(&options, sheaf_heap(), (size_t)16 << 20);
  const uint64_t lane = run->args.engine.lane;
  sheaf_buf_append_text(&options, "{");
  if (run->args.given.bytes > 0) {
    sheaf_buf_append_slice(&options, sheaf_buf_slice(&run->args.given));
    sheaf_buf_append_text(&options, ",");
  }
  sheaf_buf_append_text(&options, lane == SHEAF_LANE_AUTO    ? "\"lane\":\"auto\"}"
                                  : lane == SHEAF_LANE_BATCH ? "\"lane\":\"batch\"}"
                                                             : "\"lane\":\"live\"}");
  bool good = options.status == SHEAF_OK && run->args.given.status == SHEAF_OK &&
              set_path(store, "input", run->args.input) &&
              set_path(store, "output", run->args.output) &&
              sheaf_jobs_store_set(store, "options", sheaf_buf_slice(&options)) == SHEAF_OK;
  sheaf_buf_deinit(&options);
  return good;
}

/* What went to the standard output of an earlier run cannot be skipped here, and would be paid for again. */
static int check_stream(const run_state *run) {
  if (run->jobs.over_before == 0 || !is_stream(run->args.output) || run->files == NULL)
    return CLI_OK;
  cli_say(
      "jobs of %s have ended in an earlier run, whose standard output has their results: move that "
      "file away to run everything again",
      run->jobs.state);
  return CLI_BAD_INPUT;
}

static int say_store(const run_state *run) {
  const char *message = sheaf_jobs_store_message(run->jobs.store);
  return cli_say("%s", message[0] ? message : "the state file cannot be used"), CLI_HOST;
}

int run_jobs_open(run_state *run) {
  char message[1024] = "";
  run_jobs *jobs = &run->jobs;
  sheaf_jobs_store_totals totals = {.struct_bytes = sizeof totals};
  if (jobs->state[0] == 0) return CLI_OK;
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  options.path = jobs->state;
  options.files = run->files;
  int32_t status = sheaf_jobs_store_open(&options, &jobs->store, message, sizeof message);
  if (status != SHEAF_OK) {
    cli_say("%s", message[0] ? message : sheaf_status_text(status));
    return status == SHEAF_E_NOMEM || status == SHEAF_E_IO ? CLI_HOST : CLI_BAD_INPUT;
  }
  if (sheaf_jobs_store_totals_get(jobs->store, &totals) != SHEAF_OK) return say_store(run);
  jobs->before = totals.jobs;
  jobs->over_before = totals.jobs_over;
  int answer = check_stream(run);
  if (answer != CLI_OK || run->files == NULL) return answer;
  if (!set_notes(run)) return say_store(run);
  if (jobs->before > jobs->over_before && !run->args.quiet)
    fprintf(stderr, "going on with %llu job%s of an earlier run\n",
            (unsigned long long)(jobs->before - jobs->over_before),
            jobs->before - jobs->over_before == 1 ? "" : "s");
  if (jobs->before > 0 || run->args.quiet || !has_jobs_to_come(run)) return CLI_OK;
  return cli_forecast(&run->args, &run->place);
}

void run_jobs_close(run_state *run, int code) {
  jobs_events_end(&run->jobs.events, code);
  jobs_events_close(&run->jobs.events);
  jobs_watch_close(&run->jobs.watch);
}

/* ---- Events ---- */

void run_jobs_event(run_state *run, const sheaf_event *event) {
  if (event->kind == SHEAF_EVENT_RESULT) {
    jobs_money_add(&run->jobs.money, &run->args, &run->place, event->result);
    return;
  }
  const uint64_t now = sheaf_now_ns();
  const jobs_job job = jobs_of_status(event->job);
  jobs_watch_see(&run->jobs.watch, &job, now);
  uint64_t eta = jobs_watch_eta_ns(&run->jobs.watch, &job, now);
  jobs_events_job(&run->jobs.events, &job, eta);
  cli_progress_job(&run->progress, &job, eta);
  if (run->on_job != NULL) run->on_job(run->user, event->job);
}

uint64_t run_jobs_tick(run_state *run, uint64_t now) {
  run_jobs *jobs = &run->jobs;
  uint64_t wait_ms = jobs->store != NULL ? sheaf_jobs_store_wait_ms(jobs->store) : SHEAF_NEVER;
  uint64_t at = wait_ms < SHEAF_NEVER / 1000000u ? now + wait_ms * 1000000u : SHEAF_NEVER;
  if (jobs->events.file == NULL || run->files == NULL) return at;
  if (now >= jobs->events.next_ns) {
    sheaf_stats stats;
    sheaf_files_report report;
    sheaf_engine_stats(run->engine, &stats);
    sheaf_files_report_get(run->files, &report);
    jobs_events_progress(&jobs->events, &stats, &report);
  }
  return jobs->events.next_ns < at ? jobs->events.next_ns : at;
}

/* ---- The end ---- */

run_jobs_left run_jobs_look(const run_state *run) {
  run_jobs_left left = {.rescued = jobs_watch_rescued(&run->jobs.watch)};
  sheaf_job_status status = {.struct_bytes = sizeof status};
  for (uint64_t n = 0; sheaf_engine_job_at(run->engine, n, &status) == SHEAF_OK; n++) {
    if (status.state == SHEAF_JOB_UNDECIDED_STATE) left.undecided++;
    if (jobs_is_over(status.state)) continue;
    left.jobs++;
    if (status.requests <= status.ended) continue;
    if (status.job.bytes)
      left.rows += status.requests - status.ended;
    else
      left.unsent += status.requests - status.ended;
  }
  return left;
}

/* Cents are told as cents, less than one more finely. */
static int digits_of(int64_t usd_nano) {
  return usd_nano < 10000000 ? 6 : 4;
}

void run_jobs_summary(const run_state *run, FILE *to) {
  const jobs_money *m = &run->jobs.money;
  const run_jobs_left left = run_jobs_look(run);
  unsigned long long rows = m->rows, failed = m->failed, rescued = left.rescued;
  if (run->jobs.store == NULL) return;
  if (rows || rescued) {
    fprintf(to, "  jobs         %llu requests came back, %llu of them failed", rows, failed);
    if (rescued) fprintf(to, "; %llu that jobs did not bring ran live", rescued);
    fputc('\n', to);
  }
  if (m->batch_usd_nano > 0 || m->live_usd_nano > 0)
    fprintf(to, "  batch cost   $%.*f; live these requests would have cost $%.*f%s\n",
            digits_of(m->batch_usd_nano), (double)m->batch_usd_nano / 1e9,
            digits_of(m->batch_usd_nano), (double)m->live_usd_nano / 1e9,
            m->unpriced ? " (not all models have a known price)" : "");
  else if (m->unpriced)
    fprintf(to, "  batch cost   unknown price: give --prices FILE\n");
  if (m->failed_usd_nano > 0)
    fprintf(to, "  in vain      $%.*f of the cost was for requests that failed\n",
            digits_of(m->failed_usd_nano), (double)m->failed_usd_nano / 1e9);
}

void run_jobs_say_next(const run_state *run, const run_jobs_left *left) {
  char state[RUN_PATH_BYTES + 64];
  sheaf_job_status status = {.struct_bytes = sizeof status};
  const bool is_submit = run->args.engine.batch_mode == SHEAF_BATCH_SUBMIT;
  FILE *to = is_submit && !is_stream(run->args.output) ? stdout : stderr;
  if (left->jobs == 0) return;
  jobs_quoted(run->jobs.state, state, sizeof state);
  for (uint64_t n = 0; sheaf_engine_job_at(run->engine, n, &status) == SHEAF_OK; n++) {
    const jobs_job job = jobs_of_status(&status);
    char line[512];
    jobs_line(&job, line, sizeof line);
    if (job.state == SHEAF_JOB_UNDECIDED_STATE)
      jobs_say_undecided(stderr, &job, run->jobs.state);
    else if (!job.is_over && !run->args.quiet)
      fprintf(to, "%s\n", line);
  }
  if (left->jobs == left->undecided) {
    fprintf(stderr, "Then, to go on: sheaf jobs wait --state %s\n", state);
    return;
  }
  if (left->unsent)
    fprintf(
        to,
        "%llu requests wait for their job to be created. To go on: sheaf jobs wait --state %s\n",
        (unsigned long long)left->unsent, state);
  if (left->rows == 0) return;
  fprintf(to,
          "%llu requests are with the provider. To wait for them: sheaf jobs wait --state %s; to "
          "fetch what is done: sheaf jobs collect --state %s\n",
          (unsigned long long)left->rows, state, state);
}
