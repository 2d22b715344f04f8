/* jobs_gc.c: sheaf jobs gc: jobs that the provider has and no state file given knows: those of runs whose state is lost,
 * and those of others. */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define MARKER "sheaf-"

typedef struct foreign {
  char id[256];
  uint32_t state;
  uint64_t requests;
  int64_t created_unix_ms;
  bool is_ours; /* it carries our mark */
} foreign;

typedef struct survey {
  run_state *run;
  sheaf_buf known; /* ids and markers, each between two line feeds */
  foreign *jobs;
  size_t count, room;
  bool has_failed; /* out of memory */
} survey;

/* ---- What is known ---- */

static void know(survey *it, sheaf_slice text) {
  if (text.bytes == 0) return;
  sheaf_buf_append_slice(&it->known, text);
  sheaf_buf_append_text(&it->known, "\n");
}

static int know_state(void *user, const char *path) {
  survey *it = user;
  sheaf_jobs_store *store;
  sheaf_jobs_store_job job = {.struct_bytes = sizeof job};
  int answer = jobs_state_open(path, true, &store);
  if (answer != CLI_OK) return answer;
  int32_t status;
  while ((status = sheaf_jobs_store_job_next(store, job.flight, &job)) == SHEAF_OK) {
    know(it, job.job);
    know(it, job.marker);
  }
  if (status != SHEAF_E_END) {
    cli_say("%s", sheaf_jobs_store_message(store));
    answer = CLI_HOST;
  }
  sheaf_jobs_store_close(store);
  return answer;
}

static bool knows(const survey *it, sheaf_slice text) {
  const char *at = it->known.data, *end = at + it->known.bytes;
  while (text.bytes > 0 && at != NULL && at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (stop == NULL) return false;
    if ((size_t)(stop - at) == text.bytes && memcmp(at, text.data, text.bytes) == 0) return true;
    at = stop + 1;
  }
  return false;
}

/* ---- What the provider has ---- */

static void on_job(void *user, const sheaf_job_status *status) {
  survey *it = user;
  if (status->flight != 0 || knows(it, status->job) || knows(it, status->marker)) return;
  if (it->count == it->room) {
    size_t room = it->room ? 2 * it->room : 64;
    foreign *jobs = realloc(it->jobs, room * sizeof *jobs);
    if (jobs == NULL) {
      it->has_failed = true;
      return;
    }
    it->jobs = jobs;
    it->room = room;
  }
  foreign *at = &it->jobs[it->count++];
  *at = (foreign){.state = status->state,
                  .requests = status->requests,
                  .created_unix_ms = status->created_unix_ms,
                  .is_ours = status->marker.bytes > sizeof MARKER - 1 &&
                             memcmp(status->marker.data, MARKER, sizeof MARKER - 1) == 0};
  cli_plain(at->id, sizeof at->id, status->job);
}

static bool is_under_way(const foreign *job) {
  return job->state >= SHEAF_JOB_VALIDATING_STATE && job->state <= SHEAF_JOB_RUNNING_STATE;
}

static void print_found(const survey *it) {
  int64_t now = sheaf_unix_ms();
  const char *provider = it->run->place.endpoint.provider->name;
  if (it->count == 0) {
    printf("every job of %s is known\n", provider);
    return;
  }
  printf("  %-11s %-10s %-10s %-6s %s\n", "STATE", "REQUESTS", "AGE", "OURS", "ID");
  for (size_t i = 0; i < it->count; i++) {
    const foreign *at = &it->jobs[i];
    char age[32] = "-";
    if (at->created_unix_ms != SHEAF_ABSENT && now > at->created_unix_ms)
      cli_duration((uint64_t)(now - at->created_unix_ms) * 1000000u, age);
    printf("  %-11s %-10llu %-10s %-6s %s\n", sheaf_job_state_name(at->state),
           (unsigned long long)at->requests, age, at->is_ours ? "yes" : "?", at->id);
  }
}

static void print_found_json(const survey *it) {
  sheaf_buf line;
  sheaf_buf_init(&line, sheaf_heap(), 1 << 16);
  for (size_t i = 0; i < it->count; i++) {
    const foreign *at = &it->jobs[i];
    const jobs_job job = {.state = at->state,
                          .provider = sheaf_slice_of(it->run->place.endpoint.provider->name),
                          .job = sheaf_slice_of(at->id),
                          .requests = at->requests,
                          .completed = SHEAF_ABSENT,
                          .failed = SHEAF_ABSENT,
                          .ended = SHEAF_ABSENT,
                          .rescued = SHEAF_ABSENT,
                          .created_unix_ms = at->created_unix_ms};
    sheaf_buf_reset(&line);
    sheaf_buf_append_text(&line, "{");
    jobs_json(&job, &line);
    sheaf_buf_append_text(&line, at->is_ours ? ",\"is_ours\":true}" : ",\"is_ours\":false}");
    if (line.status == SHEAF_OK) printf("%.*s\n", (int)line.bytes, line.data);
  }
  sheaf_buf_deinit(&line);
}

/* ---- Cancelling them ---- */

/* A job without our mark may be another program's: it is ended only where a person names it. */
static bool is_meant(const survey *it, const foreign *job) {
  const cli_args *args = &it->run->args;
  if (!is_under_way(job)) return false;
  for (uint32_t i = 0; i < args->word_count; i++)
    if (strcmp(args->words[i], job->id) == 0) return true;
  return args->word_count == 0 && job->is_ours;
}

/* All at once: they wait for one another no more than other calls do. */
static int cancel_all(survey *it) {
  const char **ids = calloc(it->count + 1, sizeof *ids);
  bool *done = calloc(it->count + 1, sizeof *done);
  size_t count = 0;
  int answer = CLI_OK;
  if (ids == NULL || done == NULL) {
    free(ids);
    free(done);
    return cli_say("out of memory"), CLI_HOST;
  }
  size_t strangers = 0;
  for (size_t i = 0; i < it->count; i++) {
    if (is_meant(it, &it->jobs[i]))
      ids[count++] = it->jobs[i].id;
    else
      strangers += is_under_way(&it->jobs[i]);
  }
  if (strangers && it->run->args.word_count == 0)
    fprintf(stderr,
            "%zu jobs carry no mark of ours and may be another program's: to cancel them, name "
            "their ids behind --cancel\n",
            strangers);
  int32_t status = count ? jobs_foreign_cancel(it->run, ids, count, done) : SHEAF_OK;
  if (status != SHEAF_OK) cli_say("%s", sheaf_status_text(status));
  for (size_t i = 0; i < count; i++) {
    if (done[i]) {
      fprintf(stderr, "cancelled %s\n", ids[i]);
      continue;
    }
    fprintf(stderr, "WARNING: %s was not cancelled: do it at the provider\n", ids[i]);
    answer = CLI_PARTIAL;
  }
  free(ids);
  free(done);
  return answer;
}

/* ---- The command ---- */

static int know_states(survey *it) {
  const cli_args *args = &it->run->args;
  int answer = CLI_OK;
  sheaf_buf_init(&it->known, sheaf_heap(), SIZE_MAX / 2);
  for (uint32_t i = 0; i < args->state_count && answer == CLI_OK; i++)
    answer = know_state(it, args->states[i]);
  if (answer == CLI_OK && args->state_folder != NULL)
    answer = jobs_state_each(args->state_folder, know_state, it);
  if (it->known.status != SHEAF_OK) return cli_say("out of memory"), CLI_HOST;
  return answer;
}

static int look(survey *it) {
  run_state *run = it->run;
  sheaf_stats stats;
  int answer = run_open(run);
  if (answer != CLI_OK) return answer;
  int32_t status = run_loop(run);
  sheaf_engine_stats(run->engine, &stats);
  cli_progress_close(&run->progress);
  const char *worst = cli_worst_class(&stats);
  if (run->draining) return CLI_INTERRUPTED;
  if (status != SHEAF_OK || it->has_failed)
    return cli_say("%s", sheaf_status_text(status ? status : SHEAF_E_NOMEM)), CLI_HOST;
  sheaf_job_status left = {.struct_bytes =
                               sizeof left}; /* a list that was read to its end leaves none */
  if (worst == NULL && sheaf_engine_job_at(run->engine, 0, &left) == SHEAF_OK)
    return cli_say("%s: %.*s", run->place.endpoint.provider->name, (int)left.message.bytes,
                   left.message.data),
           CLI_ALL_FAILED;
  if (worst == NULL) return CLI_OK;
  cli_say("%s does not tell its jobs (%s)", run->place.endpoint.provider->name, worst);
  return CLI_ALL_FAILED;
}

int jobs_gc(int argc, char **argv) {
  static run_state run;
  survey it = {.run = &run};
  int answer = cli_args_read(argc, argv, "jobs gc", &run.args);
  if (answer) return answer;
  if (run.args.help) return cli_help(stdout, "jobs");
  if (run.args.cancel && run.args.state_count == 0 && run.args.state_folder == NULL)
    return cli_say(
               "--cancel needs the state files whose jobs are to stay: give --state FILE or "
               "--states FOLDER"),
           CLI_USAGE;
  const bool is_cancelling = run.args.cancel, is_json = run.args.json;
  run.args.quiet = true;
  run.args.engine.batch_mode = SHEAF_BATCH_SURVEY;
  run.on_job = on_job;
  run.user = &it;
  answer = know_states(&it);
  if (answer == CLI_OK) answer = look(&it);
  if (answer == CLI_OK && is_json)
    print_found_json(&it);
  else if (answer == CLI_OK)
    print_found(&it);
  if (answer == CLI_OK && is_cancelling) answer = cancel_all(&it);
  run_jobs_close(&run, answer);
  run_close(&run);
  sheaf_buf_deinit(&it.known);
  free(it.jobs);
  return answer;
}
