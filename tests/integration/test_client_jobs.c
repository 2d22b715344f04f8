/* test_client_jobs.c: a program's batch jobs against the simulated provider: submitted here and
 * collected there, killed in between, cancelled, failing in part, stopped.
 *
 * A process that is killed is a child of this one that ends itself at once from within a callback;
 * what it was handed is in memory that both share. The simulator lives in the parent and says what
 * it billed.
 *
 * Outline: set-up, rows, submit and collect, runs, kills, ends by hand, failures, what is refused,
 * lanes. */
#define _DEFAULT_SOURCE
#include <sheaf/client.h>
#include <sheaf/client_jobs.h>
#include <sheaf/curl.h>
#include <sheaf/heap.h>
#include <sheaf/sim.h>
#include <sheaf/store.h>

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 40, IN_JOB = 10, DIED = 9 };

/* ---- Set-up ---- */

static sheaf_sim *sim;
static sheaf_jobs *jobs;
static char base_url[256], folder[64], state_path[96], message[512];
static sheaf_engine_options engine;
static sheaf_jobs_options options;
static sheaf_request requests[MANY];
static char texts[MANY][32], ids[MANY][32], notes[MANY][32];

/* What was handed out, in memory that a child shares. */
typedef struct taken {
  int count[MANY]; /* by index */
  int all, good, live, cancelled, settled, refusals;
  int jobs_seen;   /* calls of on_progress with a job's id */
  int over;        /* of them, collected */
  int stop_after;  /* rows after which fn refuses or dies; 0: never */
  int32_t refuses; /* what it answers then */
  bool dies;
} taken;
static taken *got;

static void start_sim(const char *const *given) {
  sheaf_sim_options chosen = SHEAF_SIM_OPTIONS_INIT;
  assert_int_equal(
      sheaf_sim_option_set(&chosen, "batch-time", "fixed:200", message, sizeof message), SHEAF_OK);
  for (; given != NULL && given[0] != NULL; given += 2)
    assert_int_equal(sheaf_sim_option_set(&chosen, given[0], given[1], message, sizeof message),
                     SHEAF_OK);
  assert_int_equal(sheaf_sim_start(&chosen, &sim, message, sizeof message), SHEAF_OK);
  snprintf(base_url, sizeof base_url, "%s/v1", sheaf_sim_url(sim));
}

static int32_t settle(void *user) {
  ((taken *)user)->settled++;
  return SHEAF_OK;
}

static void progress(void *user, const sheaf_job_status *job) {
  taken *to = user;
  if (job->job.bytes > 0) to->jobs_seen++;
  if (job->state == SHEAF_JOB_COLLECTED_STATE) to->over++;
}

static void make_rows(void) {
  for (int i = 0; i < MANY; i++) {
    snprintf(texts[i], sizeof texts[i], "question %d", i);
    snprintf(ids[i], sizeof ids[i], "id-%d", i);
    snprintf(notes[i], sizeof notes[i], "{\"n\":%d}", i);
    requests[i] = SHEAF_REQUEST_INIT;
    requests[i].prompt = sheaf_slice_of(texts[i]);
    requests[i].custom_id = sheaf_slice_of(ids[i]);
    requests[i].metadata = sheaf_slice_of(notes[i]);
    requests[i].source_ref = (uint64_t)i + 1000;
    requests[i].user = texts[i]; /* of this process: it does not come back */
  }
}

static int set_up(void **state) {
  (void)state;
  sim = NULL;
  jobs = NULL;
  snprintf(folder, sizeof folder, "/tmp/sheaf-jobs-XXXXXX");
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(state_path, sizeof state_path, "%s/list.jobs.sqlite", folder);
  got = mmap(NULL, sizeof *got, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) return 1;
  make_rows();
  sheaf_engine_options_init(&engine);
  engine.poll_interval_ms = 100;
  engine.poll_max_ms = 200;
  engine.retry_base_ms = 10;
  engine.max_requests_per_job = IN_JOB;
  options = SHEAF_JOBS_OPTIONS_INIT;
  options.base_url = base_url;
  options.api_key = "sk-test-0123456789";
  options.model = "gpt-4o-mini";
  options.engine = &engine;
  options.state_path = state_path;
  options.on_progress = progress;
  options.settle = settle;
  options.user = got;
  options.message = message;
  options.message_bytes = sizeof message;
  return 0;
}

static void remove_folder(const char *path) {
  char name[512];
  DIR *entries = opendir(path);
  if (entries == NULL) return;
  for (struct dirent *e = readdir(entries); e != NULL; e = readdir(entries)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    snprintf(name, sizeof name, "%s/%s", path, e->d_name);
    if (unlink(name) != 0) remove_folder(name);
  }
  closedir(entries);
  rmdir(path);
}

static int tear_down(void **state) {
  (void)state;
  sheaf_jobs_close(jobs);
  sheaf_sim_stop(sim);
  munmap(got, sizeof *got);
  remove_folder(folder);
  return 0;
}

static void open_jobs(void) {
  sheaf_jobs_close(jobs);
  jobs = NULL;
  int32_t status = sheaf_jobs_open(&options, &jobs);
  if (status) fail_msg("%s: %s", sheaf_status_name(status), message);
}

static void start(const char *const *sim_options) {
  start_sim(sim_options);
  open_jobs();
}

static void forget(void) {
  memset(got, 0, sizeof *got);
}

/* A call's answer, and what it says where it is another. */
#define ANSWERS(call, wanted)                                                         \
  do {                                                                                \
    int32_t answers_status = (call);                                                  \
    if (answers_status != (wanted))                                                   \
      fail_msg("%s answers %s, not %s: %s", #call, sheaf_status_name(answers_status), \
               sheaf_status_name(wanted), sheaf_jobs_message(jobs));                  \
  } while (0)

static void assert_slice(sheaf_slice slice, const char *text) {
  assert_int_equal(slice.bytes, strlen(text));
  assert_memory_equal(slice.data ? slice.data : "", text, slice.bytes);
}

static void assert_says(const char *text, const char *part) {
  if (strstr(text, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/* A number of the simulator's account: billed live, billed in jobs. */
static int64_t billed(const char *path) {
  const char *const paths[] = {path};
  sheaf_slice value;
  sheaf_buf json;
  int64_t number = -1;
  sheaf_buf_init(&json, sheaf_heap(), 1 << 20);
  assert_int_equal(sheaf_sim_stats(sim, &json), SHEAF_OK);
  assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&json), paths, 1, &value, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_json_int(value, &number), SHEAF_OK);
  sheaf_buf_deinit(&json);
  return number;
}
#define IN_JOBS billed("billed_batch.requests")
#define LIVE (billed("billed.requests") - IN_JOBS)

/* ---- Rows ---- */

/* A child tells by its exit code that a row is not what it should be. */
static void check_row(const sheaf_result *r) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "echo: question %d", (int)r->index);
  bool is_right = r->index < MANY && r->source_ref == r->index + 1000 && r->user == NULL &&
                  r->custom_id.bytes == strlen(ids[r->index]) &&
                  memcmp(r->custom_id.data, ids[r->index], r->custom_id.bytes) == 0 &&
                  r->metadata.bytes == strlen(notes[r->index]) &&
                  memcmp(r->metadata.data, notes[r->index], r->metadata.bytes) == 0;
  if (is_right && r->ok)
    is_right = r->text.bytes == strlen(wanted) && memcmp(r->text.data, wanted, r->text.bytes) == 0;
  if (!is_right) {
    fprintf(stderr, "row %d is not what was asked\n", (int)r->index);
    _exit(99);
  }
}

static int32_t take(void *user, const sheaf_result *r) {
  taken *to = user;
  check_row(r);
  if (to->stop_after > 0 && to->all == to->stop_after) {
    if (to->dies) _exit(DIED);
    to->refusals++;
    return to->refuses;
  }
  to->count[r->index]++;
  to->all++;
  to->good += r->ok;
  to->live += r->lane != SHEAF_LANE_BATCH;
  to->cancelled += r->error_class == SHEAF_CLASS_CANCELLED;
  return SHEAF_OK;
}

static void assert_each_once(void) {
  for (int i = 0; i < MANY; i++) assert_int_equal(got->count[i], 1);
  assert_int_equal(got->all, MANY);
}

/* Asks now and then, until all is there. */
static void collect_all(void) {
  int32_t status = SHEAF_E_LATER;
  while (status == SHEAF_E_LATER) {
    usleep(50000);
    status = sheaf_jobs_results(jobs, take, got);
  }
  ANSWERS(status, SHEAF_OK);
}

typedef struct feed {
  int at, later, die_at;
  bool waits_for_end; /* of a job, instead of its creation */
} feed;

/* Now and then there is no row yet; a child dies when the first of its jobs is created. */
static int32_t next_row(void *user, sheaf_request *request) {
  feed *from = user;
  if (from->die_at > 0 && from->at == from->die_at) {
    if (from->waits_for_end ? got->over > 0 : got->jobs_seen > 0) _exit(DIED);
    return SHEAF_E_LATER;
  }
  if (from->at % 7 == 3 && from->later++ % 2 == 0) return SHEAF_E_LATER;
  if (from->at == MANY) return SHEAF_E_END;
  *request = requests[from->at++];
  return SHEAF_OK;
}

typedef struct seen {
  int count, created, completed, over;
  uint64_t requests, flights[8];
} seen;

static void see(void *user, const sheaf_job_status *job) {
  seen *to = user;
  assert_true(to->count < 8);
  to->flights[to->count++] = job->flight;
  to->created += job->job.bytes > 0;
  to->completed += job->state == SHEAF_JOB_COMPLETED_STATE;
  to->over += job->state == SHEAF_JOB_COLLECTED_STATE;
  to->requests += job->requests;
}

/* ---- Submit here, collect there ---- */

static void a_list_is_submitted_by_one_handle_and_collected_by_another(void **state) {
  (void)state;
  seen all = {0};
  sheaf_slice metadata;
  options.metadata = "{\"owner\":\"translations\",\"n\":[1,2]}";
  start(NULL);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  assert_string_equal(sheaf_jobs_message(jobs), "");
  ANSWERS(sheaf_jobs_list(jobs, see, &all), SHEAF_OK);
  assert_int_equal(all.count, MANY / IN_JOB);
  assert_int_equal(all.created, MANY / IN_JOB);
  assert_int_equal(all.over, 0);
  assert_int_equal(all.requests, MANY);
  options.metadata = NULL;
  open_jobs();
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->good, MANY);
  assert_true(got->settled > 0);
  assert_int_equal(got->over, MANY / IN_JOB);
  all = (seen){0};
  ANSWERS(sheaf_jobs_status(jobs, see, &all), SHEAF_OK);
  assert_int_equal(all.over, MANY / IN_JOB);
  ANSWERS(sheaf_jobs_metadata(jobs, &metadata), SHEAF_OK);
  assert_slice(metadata, "{\"owner\":\"translations\",\"n\":[1,2]}");
  assert_int_equal(IN_JOBS, MANY);
  assert_int_equal(LIVE, 0);
}

static void what_was_handed_out_is_not_handed_out_again_nor_sent(void **state) {
  (void)state;
  start(NULL);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  open_jobs();
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  ANSWERS(sheaf_jobs_results(jobs, take, got), SHEAF_OK);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY - 1, take, got), SHEAF_E_OTHER_RUN);
  assert_says(sheaf_jobs_message(jobs), "another list");
  assert_says(sheaf_jobs_message(jobs), state_path);
}

static void results_says_that_jobs_are_left(void **state) {
  (void)state;
  const char *const slow[] = {"batch-quirk", "stuck", NULL};
  start(slow);
  ANSWERS(sheaf_jobs_results(jobs, take, got), SHEAF_E_NOT_FOUND);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  ANSWERS(sheaf_jobs_results(jobs, take, got), SHEAF_E_LATER);
  assert_says(sheaf_jobs_message(jobs), "4 jobs are not done");
  ANSWERS(sheaf_jobs_wait(jobs, 300, take, got), SHEAF_E_LATER);
  ANSWERS(sheaf_jobs_wait(jobs, 0, take, got), SHEAF_E_LATER);
  assert_int_equal(got->all, 0);
}

static void rows_one_by_one_are_submitted_and_run(void **state) {
  (void)state;
  feed from = {0};
  start(NULL);
  ANSWERS(sheaf_jobs_run_from(jobs, next_row, &from, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(from.at, MANY);
  assert_int_equal(IN_JOBS, MANY);
  from = (feed){0};
  ANSWERS(sheaf_jobs_run_from(jobs, next_row, &from, take, got), SHEAF_OK);
  assert_int_equal(from.at, 0); /* nothing of it is wanted any more */
  assert_each_once();
}

static void every_provider_with_a_batch_api_can_be_asked(void **state) {
  (void)state;
  static const char *const places[][2] = {{"anthropic", ""},       {"gemini", "/v1beta"},
                                          {"mistral", "/v1"},      {"groq", "/openai/v1"},
                                          {"azure", "/openai/v1"}, {"openai", "/v1"}};
  start_sim(NULL);
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    forget();
    snprintf(base_url, sizeof base_url, "%s%s", sheaf_sim_url(sim), places[i][1]);
    snprintf(state_path, sizeof state_path, "%s/%s.sqlite", folder, places[i][0]);
    options.provider = places[i][0];
    open_jobs();
    ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
    collect_all(); /* some providers want a minute between the polls of one call */
    assert_each_once();
    assert_int_equal(got->good, MANY);
    assert_int_equal(got->live, 0);
  }
}

/* ---- Kills ---- */

/* Runs fn in a child, which is to end itself within. */
static void die_in(void (*fn)(void)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    fn();
    _exit(1);
  }
  int ended = 0;
  assert_int_equal(waitpid(child, &ended, 0), child);
  assert_true(WIFEXITED(ended));
  assert_int_equal(WEXITSTATUS(ended), DIED);
}

static void submit_and_collect(void) {
  sheaf_jobs *own = NULL;
  if (sheaf_jobs_open(&options, &own) != SHEAF_OK) _exit(2);
  if (sheaf_jobs_submit(own, requests, MANY, NULL, NULL) != SHEAF_OK) _exit(3);
  sheaf_jobs_wait(own, SHEAF_NEVER, take, got);
}

static void a_kill_while_results_come_hands_out_the_rows_of_that_job_again(void **state) {
  (void)state;
  start_sim(NULL);
  engine.max_requests_per_job = MANY; /* one job: none of its rows counts as taken */
  got->stop_after = IN_JOB + 3;
  got->dies = true;
  die_in(submit_and_collect);
  assert_int_equal(got->all, IN_JOB + 3);
  forget();
  open_jobs();
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
  assert_int_equal(LIVE, 0);
}

static void run_to_death(void) {
  sheaf_jobs *own = NULL;
  if (sheaf_jobs_open(&options, &own) != SHEAF_OK) _exit(2);
  sheaf_jobs_run(own, requests, MANY, take, got);
}

static void a_run_again_after_a_kill_goes_on_behind_the_jobs_that_are_over(void **state) {
  (void)state;
  int before[MANY];
  start_sim(NULL);
  engine.max_jobs = 1; /* one after the other: the first two are over when it dies in the third */
  got->stop_after = 2 * IN_JOB + 3;
  got->dies = true;
  die_in(run_to_death);
  memcpy(before, got->count, sizeof before);
  assert_int_equal(got->over, 2);
  forget();
  open_jobs();
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_int_equal(got->all, MANY - 2 * IN_JOB);
  for (int i = 0; i < MANY; i++) assert_true(before[i] + got->count[i] >= 1);
  for (int i = 0; i < 2 * IN_JOB; i++) assert_int_equal(got->count[i], 0);
  assert_int_equal(IN_JOBS, MANY);
}

static void submit_to_death(void) {
  sheaf_jobs *own = NULL;
  feed from = {.die_at = 2 * IN_JOB + 5};
  if (sheaf_jobs_open(&options, &own) != SHEAF_OK) _exit(2);
  sheaf_jobs_submit_from(own, next_row, &from, take, got);
}

static void a_list_whose_submission_was_killed_is_submitted_again(void **state) {
  (void)state;
  feed from = {0};
  const char *const slow[] = {"batch-time", "fixed:1500", NULL};
  start_sim(slow);
  die_in(submit_to_death);
  open_jobs();
  assert_int_equal(got->all, 0);
  ANSWERS(sheaf_jobs_submit_from(jobs, next_row, &from, take, got), SHEAF_OK);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
}

static void a_list_cut_short_is_told_of_and_goes_on_behind_what_was_collected(void **state) {
  (void)state;
  feed from = {0};
  start_sim(NULL);
  die_in(submit_to_death);
  forget();
  open_jobs();
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_E_PARTIAL);
  assert_true(got->all >= IN_JOB && got->all <= 2 * IN_JOB);
  ANSWERS(sheaf_jobs_run_from(jobs, next_row, &from, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
}

static void run_rows_to_death(void) {
  sheaf_jobs *own = NULL;
  feed from = {.die_at = 2 * IN_JOB + 5, .waits_for_end = true};
  if (sheaf_jobs_open(&options, &own) != SHEAF_OK) _exit(2);
  sheaf_jobs_run_from(own, next_row, &from, take, got);
}

static void rows_of_jobs_that_are_over_are_passed_by_when_their_list_comes_again(void **state) {
  (void)state;
  feed from = {0};
  start_sim(NULL);
  die_in(run_rows_to_death);
  const int over = got->over;
  int before[MANY];
  memcpy(before, got->count, sizeof before);
  forget();
  open_jobs();
  ANSWERS(sheaf_jobs_run_from(jobs, next_row, &from, take, got), SHEAF_OK);
  assert_true(over >= 1);
  assert_int_equal(got->over, MANY / IN_JOB - over);
  assert_true(got->all <= MANY - over * IN_JOB);
  for (int i = 0; i < MANY; i++) assert_true(before[i] + got->count[i] >= 1);
  assert_int_equal(IN_JOBS, MANY);
}

static void submitting_again_does_not_wait_for_jobs_that_are_there(void **state) {
  (void)state;
  feed from = {0};
  seen all = {0};
  const char *const slow[] = {"batch-quirk", "stuck", NULL};
  start_sim(slow);
  die_in(submit_to_death);
  open_jobs();
  ANSWERS(sheaf_jobs_submit_from(jobs, next_row, &from, NULL, NULL), SHEAF_OK);
  ANSWERS(sheaf_jobs_list(jobs, see, &all), SHEAF_OK);
  assert_int_equal(all.count, MANY / IN_JOB);
  assert_int_equal(all.created, MANY / IN_JOB);
}

static void submitting_again_without_fn_leaves_results_that_are_there(void **state) {
  (void)state;
  feed from = {0};
  seen all = {0};
  start_sim(NULL);
  die_in(submit_to_death);
  open_jobs();
  while (all.completed == 0) {
    all = (seen){0};
    ANSWERS(sheaf_jobs_status(jobs, see, &all), SHEAF_OK);
    usleep(50000);
  }
  ANSWERS(sheaf_jobs_submit_from(jobs, next_row, &from, NULL, NULL), SHEAF_E_LATER);
  assert_says(sheaf_jobs_message(jobs), "take their results first");
  /* Jobs whose creation the end cut short are looked for longer than this. */
  int32_t status = sheaf_jobs_wait(jobs, 1000, take, got);
  assert_true(status == SHEAF_E_LATER || status == SHEAF_E_PARTIAL || status == SHEAF_OK);
  assert_true(got->all >= IN_JOB);
  assert_int_equal(got->good, got->all);
}

static void rows_that_differ_from_what_their_job_holds_are_refused(void **state) {
  (void)state;
  feed from = {0};
  const char *const slow[] = {"batch-quirk", "stuck", NULL};
  start_sim(slow);
  die_in(submit_to_death);
  open_jobs();
  requests[3].prompt = SHEAF_LITERAL("something else");
  ANSWERS(sheaf_jobs_submit_from(jobs, next_row, &from, take, got), SHEAF_E_OTHER_RUN);
  assert_true(strlen(sheaf_jobs_message(jobs)) > 20);
}

/* ---- Ends by hand ---- */

static void a_job_is_cancelled_and_then_all(void **state) {
  (void)state;
  seen all = {0};
  const char *const slow[] = {"batch-quirk", "stuck", NULL};
  start(slow);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  ANSWERS(sheaf_jobs_list(jobs, see, &all), SHEAF_OK);
  ANSWERS(sheaf_jobs_cancel(jobs, 4711, take, got), SHEAF_E_NOT_FOUND);
  ANSWERS(sheaf_jobs_cancel(jobs, all.flights[1], take, got), SHEAF_OK);
  assert_int_equal(got->all, 0);
  while (got->all < IN_JOB) /* the cancellation takes its time */
    ANSWERS(sheaf_jobs_wait(jobs, 200, take, got), SHEAF_E_LATER);
  for (int i = 0; i < MANY; i++) assert_int_equal(got->count[i], i / IN_JOB == 1);
  assert_int_equal(got->cancelled, IN_JOB);
  ANSWERS(sheaf_jobs_cancel(jobs, all.flights[1], take, got), SHEAF_E_END);
  ANSWERS(sheaf_jobs_cancel(jobs, 0, take, got), SHEAF_OK);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->cancelled, MANY);
  assert_int_equal(IN_JOBS + LIVE, 0);
}

static void what_is_done_when_jobs_are_cancelled_is_not_lost(void **state) {
  (void)state;
  start(NULL);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  for (seen all = {0}; all.completed < MANY / IN_JOB; usleep(50000)) {
    all = (seen){0};
    ANSWERS(sheaf_jobs_status(jobs, see, &all), SHEAF_OK);
  }
  ANSWERS(sheaf_jobs_cancel(jobs, 0, NULL, NULL), SHEAF_OK);
  ANSWERS(sheaf_jobs_results(jobs, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->good, MANY);
}

static atomic_bool is_prepared, is_created;

static void tell_created(void *user, const sheaf_job_status *job) {
  (void)user;
  atomic_store(&is_prepared, true);
  if (job->job.bytes > 0) atomic_store(&is_created, true);
}

static void *stop_when_created(void *user) {
  while (!atomic_load(&is_created)) usleep(1000);
  sheaf_jobs_stop(user);
  return NULL;
}

static void *stop_twice(void *user) {
  while (!atomic_load(&is_prepared)) usleep(1000);
  sheaf_jobs_stop(user);
  usleep(50000);
  sheaf_jobs_stop(user);
  return NULL;
}

static void a_second_stop_cancels_what_is_under_way(void **state) {
  (void)state;
  pthread_t thread;
  const char *const stalled[] = {"fault", "stall:1", NULL}; /* the upload is never answered */
  atomic_store(&is_prepared, false);
  options.on_progress = tell_created;
  start(stalled);
  assert_int_equal(pthread_create(&thread, NULL, stop_twice, jobs), 0);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_E_CANCELLED);
  pthread_join(thread, NULL);
  assert_int_equal(IN_JOBS + LIVE, 0);
}

static void another_thread_stops_a_run_and_the_next_call_goes_on(void **state) {
  (void)state;
  pthread_t thread;
  const char *const slow[] = {"batch-time", "fixed:800", NULL};
  atomic_store(&is_created, false);
  options.on_progress = tell_created;
  start(slow);
  assert_int_equal(pthread_create(&thread, NULL, stop_when_created, jobs), 0);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_E_CANCELLED);
  pthread_join(thread, NULL);
  assert_string_equal(sheaf_jobs_message(jobs), "stopped");
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
}

static void a_stop_before_a_call_counts_for_it(void **state) {
  (void)state;
  start(NULL);
  sheaf_jobs_stop(jobs);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_E_CANCELLED);
  assert_int_equal(got->all, 0);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
}

static void what_fn_refuses_ends_the_call_and_comes_again(void **state) {
  (void)state;
  start(NULL);
  got->stop_after = 7;
  got->refuses = SHEAF_E_IO;
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_E_IO);
  assert_int_equal(got->all, 7);
  assert_int_equal(got->refusals, 1); /* it is not asked again */
  got->stop_after = 0;
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
}

static int32_t settle_never(void *user) {
  (void)user;
  return SHEAF_E_IO;
}

static void rows_that_are_not_settled_come_again(void **state) {
  (void)state;
  options.settle = settle_never;
  start(NULL);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_E_IO);
  assert_says(sheaf_jobs_message(jobs), "settle");
  assert_true(got->all >= IN_JOB);
  forget();
  options.settle = settle;
  open_jobs();
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(IN_JOBS, MANY);
}

/* ---- Failures ---- */

static void rows_that_fail_in_jobs_run_live_unless_rescue_is_off(void **state) {
  (void)state;
  const char *const failing[] = {"batch-fail", "0.3", NULL};
  start(failing);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->good, MANY);
  assert_true(got->live > 0);
  const int rescued = got->live;
  assert_int_equal(LIVE, rescued);
  assert_int_equal(IN_JOBS, MANY - rescued);
  forget();
  engine.rescue = SHEAF_RESCUE_OFF;
  snprintf(state_path, sizeof state_path, "%s/again.sqlite", folder);
  open_jobs();
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->live, 0);
  assert_true(got->good < MANY);
  assert_int_equal(LIVE, rescued);
}

static void jobs_that_expire_are_rescued_while_results_are_collected(void **state) {
  (void)state;
  const char *const expiring[] = {"batch-partial", "1", NULL};
  start(expiring);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  collect_all();
  assert_each_once();
  assert_int_equal(got->good, MANY);
  assert_int_equal(got->live, MANY / 2);
}

/* A child is killed while rows run live; whether they were billed is not known then, and never is
 * none of them sent twice. */
static int32_t die_at_live(void *user, const sheaf_result *r) {
  (void)user;
  if (r->lane == SHEAF_LANE_LIVE) _exit(DIED);
  return SHEAF_OK;
}

static void die_at_the_first_live_row(void) {
  sheaf_jobs *own = NULL;
  if (sheaf_jobs_open(&options, &own) != SHEAF_OK) _exit(2);
  sheaf_jobs_run(own, requests, MANY, die_at_live, got);
}

static void rows_that_ran_live_when_it_died_are_not_paid_twice_if_that_is_ruled_out(void **state) {
  (void)state;
  const char *const expiring[] = {"batch-partial", "1", NULL};
  start_sim(expiring);
  engine.max_requests_per_job = MANY;
  engine.resend_unknown = SHEAF_RESEND_NEVER;
  engine.concurrency = MANY; /* all of them were out */
  die_in(die_at_the_first_live_row);
  usleep(100000);
  const int64_t live = LIVE;
  assert_true(live > 0);
  open_jobs();
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
  assert_true(LIVE <= MANY / 2); /* each at most once, in both processes together */
  assert_true(got->good >= MANY / 2);
}

static atomic_int good_rows;

static int32_t take_and_count(void *user, const sheaf_result *r) {
  int32_t status = take(user, r);
  atomic_fetch_add(&good_rows, r->ok);
  return status;
}

static void *stop_in_rescue(void *user) {
  while (atomic_load(&good_rows) < MANY / 2) usleep(1000);
  usleep(100000);
  sheaf_jobs_stop(user);
  usleep(100000);
  sheaf_jobs_stop(user);
  return NULL;
}

/* Half of the rows come from the job; the others run live, and are not answered at first. */
static void rows_that_a_stop_cuts_short_have_no_end_and_come_later(void **state) {
  (void)state;
  pthread_t thread;
  char schedule[128];
  snprintf(schedule, sizeof schedule, "%s/faults", folder);
  FILE *file = fopen(schedule, "w");
  assert_non_null(file);
  fprintf(file, "{\"fault\":\"stall\",\"path\":\"/v1/chat/completions\",\"first\":%d}\n", MANY / 2);
  fclose(file);
  const char *const stalled[] = {"batch-partial", "1", "faults", schedule, NULL};
  engine.max_requests_per_job = MANY;
  engine.concurrency = MANY;
  atomic_store(&good_rows, 0);
  start(stalled);
  assert_int_equal(pthread_create(&thread, NULL, stop_in_rescue, jobs), 0);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take_and_count, got), SHEAF_E_CANCELLED);
  pthread_join(thread, NULL);
  assert_int_equal(got->all, MANY / 2);
  assert_int_equal(got->good, MANY / 2);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->good, MANY);
}

static void a_refused_key_is_told_and_mended(void **state) {
  (void)state;
  const char *const locked[] = {"key", "sk-right-0123456789", NULL};
  start(locked);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_E_AUTH);
  assert_says(sheaf_jobs_message(jobs), "key");
  options.api_key = "sk-right-0123456789";
  open_jobs();
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  assert_each_once();
}

/* A job that a person gave up: asking how jobs are must not swallow its rows. */
static void status_leaves_results_to_a_call_that_takes_them(void **state) {
  (void)state;
  seen all = {0};
  char said[512];
  sheaf_jobs_store *store = NULL;
  sheaf_jobs_store_options of_store = SHEAF_JOBS_STORE_OPTIONS_INIT;
  const char *const slow[] = {"batch-quirk", "stuck", NULL};
  engine.max_requests_per_job = MANY;
  start(slow);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_OK);
  of_store.path = state_path;
  assert_int_equal(sheaf_jobs_store_open(&of_store, &store, said, sizeof said), SHEAF_OK);
  ANSWERS(sheaf_jobs_results(jobs, take, got),
          SHEAF_E_OTHER_RUN); /* it is held, here as it happens */
  assert_int_equal(sheaf_jobs_store_decide(store, 1, SHEAF_LITERAL("abandon"), (sheaf_slice){0}),
                   SHEAF_OK);
  sheaf_jobs_store_close(store);
  ANSWERS(sheaf_jobs_status(jobs, see, &all), SHEAF_OK);
  assert_int_equal(all.count, 1);
  ANSWERS(sheaf_jobs_results(jobs, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->good, 0);
}

/* ---- What is refused ---- */

static void a_list_that_is_not_valid_is_refused_before_anything_is_sent(void **state) {
  (void)state;
  start(NULL);
  requests[17].custom_id = requests[4].custom_id;
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_E_DUPLICATE);
  assert_says(sheaf_jobs_message(jobs), "request 18: custom_id");
  requests[17].custom_id = sheaf_slice_of(ids[17]);
  requests[20].messages = SHEAF_LITERAL("[]");
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_E_FIELD);
  assert_says(sheaf_jobs_message(jobs), "request 21: prompt");
  requests[20].messages = (sheaf_slice){NULL, 0};
  assert_int_equal(access(state_path, F_OK), -1);
  assert_int_equal(billed("billed.requests"), 0);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, NULL, NULL), SHEAF_E_MISUSE);
  ANSWERS(sheaf_jobs_submit(jobs, NULL, 3, NULL, NULL), SHEAF_E_MISUSE);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, NULL, NULL), SHEAF_E_NOT_FOUND);
  ANSWERS(sheaf_jobs_cancel(jobs, 0, NULL, NULL), SHEAF_E_NOT_FOUND);
  ANSWERS(sheaf_jobs_list(jobs, see, NULL), SHEAF_E_NOT_FOUND);
}

static int32_t one_bad_row(void *user, sheaf_request *request) {
  feed from = {.later = 1};
  int *at = user;
  from.at = (*at)++;
  from.later = 1;
  int32_t status = next_row(&from, request);
  if (status == SHEAF_OK && *at == 6) {
    request->prompt = (sheaf_slice){NULL, 0};
    request->body = SHEAF_LITERAL("{\"model\":]}");
  }
  return status;
}

static void a_row_that_cannot_be_built_ends_alone_where_somebody_takes_it(void **state) {
  (void)state;
  int at = 0;
  start(NULL);
  ANSWERS(sheaf_jobs_submit_from(jobs, one_bad_row, &at, NULL, NULL), SHEAF_E_SYNTAX);
  assert_says(sheaf_jobs_message(jobs), "request 6: body");
  at = 0;
  ANSWERS(sheaf_jobs_run_from(jobs, one_bad_row, &at, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->good, MANY - 1);
  assert_int_equal(IN_JOBS, MANY - 1);
}

/* The row that cannot be built has its end in the first run. */
static void rows_beyond_the_budget_are_for_a_later_run(void **state) {
  (void)state;
  int at = 0;
  start_sim(NULL);
  engine.budget_usd_nano = 20000; /* some rows of gpt-4o-mini, not all */
  engine.max_tokens = 8;
  open_jobs();
  ANSWERS(sheaf_jobs_run_from(jobs, one_bad_row, &at, take, got), SHEAF_E_PARTIAL);
  assert_int_equal(got->all, MANY);
  assert_true(got->good > 0 && got->good < MANY - 1);
  const int good = got->good;
  forget();
  at = 0;
  engine.budget_usd_nano = SHEAF_NEVER;
  open_jobs();
  ANSWERS(sheaf_jobs_run_from(jobs, one_bad_row, &at, take, got), SHEAF_OK);
  assert_int_equal(got->all, MANY - good - 1);
  assert_int_equal(got->good, MANY - good - 1);
  assert_int_equal(IN_JOBS, MANY - 1);
}

static int32_t call_from_within(void *user, const sheaf_result *r) {
  (void)r;
  assert_int_equal(sheaf_jobs_results(jobs, take, user), SHEAF_E_MISUSE);
  assert_int_equal(sheaf_jobs_set_credential(jobs, 1, base_url, "k"), SHEAF_E_MISUSE);
  sheaf_jobs_close(jobs); /* does nothing here */
  return take(user, r);
}

static void callbacks_may_not_call(void **state) {
  (void)state;
  start(NULL);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, call_from_within, got), SHEAF_OK);
  assert_each_once();
}

static void refuses(int32_t wanted, const char *sentence) {
  sheaf_jobs *made = NULL;
  message[0] = 0;
  int32_t status = sheaf_jobs_open(&options, &made);
  if (status != wanted) fail_msg("answers %s: %s", sheaf_status_name(status), message);
  assert_null(made);
  assert_says(message, sentence);
}

static void bad_options_are_told_in_a_sentence(void **state) {
  (void)state;
  snprintf(base_url, sizeof base_url, "http://127.0.0.1:9/v1");
  options.state_path = NULL;
  refuses(SHEAF_E_MISUSE, "state_path");
  options.state_path = state_path;
  options.metadata = "not json";
  refuses(SHEAF_E_SYNTAX, "metadata");
  options.metadata = NULL;
  options.provider = "nobody";
  refuses(SHEAF_E_NOT_FOUND, "give one of openai, anthropic, gemini, ollama, azure, groq, mistral");
  options.provider = "ollama";
  refuses(SHEAF_E_UNSUPPORTED, "ollama has no batch API");
  options.provider = "azure";
  options.base_url = NULL;
  refuses(SHEAF_E_FIELD, "give base_url https://RESOURCE.openai.azure.com/openai/v1");
  options.base_url = "";
  refuses(SHEAF_E_FIELD, "give base_url https://RESOURCE.openai.azure.com/openai/v1");
  options.provider = NULL;
  options.base_url = "https://127.0.0.1.example/v1";
  options.api_key = NULL;
  refuses(SHEAF_E_AUTH, "OPENAI_API_KEY");
  options.api_key = "k";
  engine.concurrency = 1u << 30;
  refuses(SHEAF_E_RANGE, "concurrency");
  engine.concurrency = 0;
  options.api_key = "two\nlines";
  refuses(SHEAF_E_FIELD, "the key or base_url is not valid");
  options.api_key = "k";
  options.model = "nobody-knows-its-price";
  engine.budget_usd_nano = 1;
  open_jobs();
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_E_FIELD);
  assert_says(sheaf_jobs_message(jobs), "request 1: model: no price is known");
  sheaf_jobs *made = NULL;
  assert_int_not_equal(sheaf_jobs_open(NULL, &made), SHEAF_OK);
}

static void a_client_is_told_the_same_of_providers(void **state) {
  (void)state;
  sheaf_client *client = NULL;
  sheaf_client_options of_client = SHEAF_CLIENT_OPTIONS_INIT;
  of_client.message = message;
  of_client.message_bytes = sizeof message;
  of_client.api_key = "k";
  of_client.provider = "nobody";
  assert_int_equal(sheaf_client_new(&of_client, &client), SHEAF_E_NOT_FOUND);
  for (uint32_t i = 0; sheaf_provider_at(i) != NULL; i++)
    assert_says(message, sheaf_provider_at(i)->name);
  of_client.provider = "azure";
  assert_int_equal(sheaf_client_new(&of_client, &client), SHEAF_E_FIELD);
  assert_says(message, "give base_url https://RESOURCE.openai.azure.com/openai/v1");
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("azure"));
  of_client.endpoints = &endpoint;
  of_client.endpoint_count = 1;
  assert_int_equal(sheaf_client_new(&of_client, &client), SHEAF_E_FIELD);
  assert_says(message, "RESOURCE");
}

/* ---- Lanes ---- */

static void few_rows_of_lane_auto_run_live_at_once(void **state) {
  (void)state;
  start_sim(NULL);
  engine.lane = SHEAF_LANE_AUTO;
  engine.batch_threshold = MANY;
  open_jobs();
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, NULL, NULL), SHEAF_E_MISUSE);
  ANSWERS(sheaf_jobs_submit(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(got->live, MANY);
  ANSWERS(sheaf_jobs_wait(jobs, SHEAF_NEVER, take, got), SHEAF_OK);
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, take, got), SHEAF_OK);
  assert_each_once();
  assert_int_equal(LIVE, MANY);
}

static void check_lane(uint32_t lane, bool wanted, const char *part) {
  const char *why = NULL;
  assert_int_equal(sheaf_jobs_available(&options, lane, &why), wanted);
  assert_int_equal(sheaf_jobs_available(&options, lane, NULL), wanted);
  assert_says(why, part);
  if (wanted) assert_string_equal(why, "");
}

static sheaf_jobs_options while_running;

static int32_t ask_while_running(void *user, const sheaf_result *r) {
  const char *why = "";
  assert_false(sheaf_jobs_available(&while_running, SHEAF_LANE_BATCH, &why));
  assert_says(why, "at work");
  return take(user, r);
}

static void says_what_is_available(void **state) {
  (void)state;
  start(NULL);
  for (uint32_t lane = 0; lane <= SHEAF_LANE_AUTO; lane++) check_lane(lane, true, "");
  check_lane(17, false, "no such lane");
  options.provider = "ollama";
  check_lane(SHEAF_LANE_BATCH, false, "no batch API");
  check_lane(SHEAF_LANE_LIVE, true, "");
  options.provider = "nobody";
  check_lane(SHEAF_LANE_LIVE, false, "no such provider");
  options.provider = "azure";
  options.base_url = NULL;
  check_lane(SHEAF_LANE_MERGED, false, "address");
  options.provider = NULL;
  options.api_key = NULL;
  check_lane(SHEAF_LANE_AUTO, false, "no key");
  options.base_url = base_url;
  options.api_key = "k";
  options.state_path = "/nowhere/at/all.sqlite";
  check_lane(SHEAF_LANE_BATCH, false, "state_path");
  options.state_path = NULL;
  check_lane(SHEAF_LANE_BATCH, false, "state_path");
  check_lane(SHEAF_LANE_LIVE, true, "");
  options.state_path = state_path;
  while_running = options;
  ANSWERS(sheaf_jobs_run(jobs, requests, MANY, ask_while_running, got), SHEAF_OK);
  check_lane(SHEAF_LANE_BATCH, true, "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(a_list_is_submitted_by_one_handle_and_collected_by_another),
      T(what_was_handed_out_is_not_handed_out_again_nor_sent),
      T(results_says_that_jobs_are_left),
      T(rows_one_by_one_are_submitted_and_run),
      T(every_provider_with_a_batch_api_can_be_asked),
      T(a_kill_while_results_come_hands_out_the_rows_of_that_job_again),
      T(a_run_again_after_a_kill_goes_on_behind_the_jobs_that_are_over),
      T(a_list_whose_submission_was_killed_is_submitted_again),
      T(a_list_cut_short_is_told_of_and_goes_on_behind_what_was_collected),
      T(rows_of_jobs_that_are_over_are_passed_by_when_their_list_comes_again),
      T(submitting_again_does_not_wait_for_jobs_that_are_there),
      T(submitting_again_without_fn_leaves_results_that_are_there),
      T(rows_that_differ_from_what_their_job_holds_are_refused),
      T(a_job_is_cancelled_and_then_all),
      T(what_is_done_when_jobs_are_cancelled_is_not_lost),
      T(another_thread_stops_a_run_and_the_next_call_goes_on),
      T(a_second_stop_cancels_what_is_under_way),
      T(a_stop_before_a_call_counts_for_it),
      T(what_fn_refuses_ends_the_call_and_comes_again),
      T(rows_that_are_not_settled_come_again),
      T(rows_that_fail_in_jobs_run_live_unless_rescue_is_off),
      T(jobs_that_expire_are_rescued_while_results_are_collected),
      T(rows_that_ran_live_when_it_died_are_not_paid_twice_if_that_is_ruled_out),
      T(rows_that_a_stop_cuts_short_have_no_end_and_come_later),
      T(a_refused_key_is_told_and_mended),
      T(rows_beyond_the_budget_are_for_a_later_run),
      T(status_leaves_results_to_a_call_that_takes_them),
      T(a_list_that_is_not_valid_is_refused_before_anything_is_sent),
      T(a_row_that_cannot_be_built_ends_alone_where_somebody_takes_it),
      T(callbacks_may_not_call),
      T(bad_options_are_told_in_a_sentence),
      T(a_client_is_told_the_same_of_providers),
      T(few_rows_of_lane_auto_run_live_at_once),
      T(says_what_is_available),
  };
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  unsetenv("OPENAI_API_KEY");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
