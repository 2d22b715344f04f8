/* jobs_calls.c: the calls of sheaf_jobs: what each of them asks of the engine, and what the state
 * file tells without one.
 *
 * Outline: lists into jobs, jobs of before, the state file. */
#define _POSIX_C_SOURCE 200809L
#include "jobs_int.h"

#include <string.h>
#include <unistd.h>

/* A call may begin, and what the last one said is forgotten. */
static int32_t enter(sheaf_jobs *jobs) {
  if (jobs == NULL || jobs->inside || sheaf__on_any_driver()) return SHEAF_E_MISUSE;
  jobs->said[0] = 0;
  if (jobs->stuck == NULL) return SHEAF_OK;
  return sheaf__jobs_say(jobs, SHEAF_E_IO,
                         "an earlier call could not end: close this handle and open another");
}

/* A call about jobs of before: there is a state file. */
static int32_t enter_known(sheaf_jobs *jobs) {
  int32_t status = enter(jobs);
  if (status || access(jobs->state_path, F_OK) == 0) return status;
  return sheaf__jobs_say(jobs, SHEAF_E_NOT_FOUND, "%s is not there: nothing was submitted with it",
                         jobs->state_path);
}

/* ---- Lists into jobs ---- */

static int32_t take_list(sheaf__jobs_call *call, const sheaf_request *requests, size_t count,
                         sheaf_jobs_next_fn next) {
  sheaf_jobs *jobs = call->jobs;
  int32_t status = enter(jobs);
  if (status) return status;
  if (count == 0 && requests == NULL && next == NULL) return SHEAF_E_MISUSE;
  if (count > 0 && requests == NULL) return SHEAF_E_MISUSE;
  if (call->fn == NULL && (call->mode == SHEAF_BATCH_RUN || jobs->options.lane != SHEAF_LANE_BATCH))
    return sheaf__jobs_say(jobs, SHEAF_E_MISUSE, "give fn: rows may end in this call");
  const sheaf__list list = {.requests = requests,
                            .count = count,
                            .stride = count > 0 ? requests->struct_bytes : sizeof *requests};
  call->has_list = true;
  call->list = next == NULL ? &list : NULL;
  call->next = next;
  call->timeout_ms = SHEAF_NEVER;
  status = sheaf__jobs_list_check(call);
  return status ? status : sheaf__jobs_drive(call);
}

int32_t sheaf_jobs_submit(sheaf_jobs *jobs, const sheaf_request *requests, size_t count,
                          sheaf_jobs_result_fn fn, void *user) {
  sheaf__jobs_call call = {.jobs = jobs, .mode = SHEAF_BATCH_SUBMIT, .fn = fn, .user = user};
  return take_list(&call, requests, count, NULL);
}

int32_t sheaf_jobs_submit_from(sheaf_jobs *jobs, sheaf_jobs_next_fn next, void *next_user,
                               sheaf_jobs_result_fn fn, void *user) {
  sheaf__jobs_call call = {
      .jobs = jobs, .mode = SHEAF_BATCH_SUBMIT, .fn = fn, .user = user, .next_user = next_user};
  return take_list(&call, NULL, 0, next);
}

int32_t sheaf_jobs_run(sheaf_jobs *jobs, const sheaf_request *requests, size_t count,
                       sheaf_jobs_result_fn fn, void *user) {
  sheaf__jobs_call call = {.jobs = jobs, .mode = SHEAF_BATCH_RUN, .fn = fn, .user = user};
  return take_list(&call, requests, count, NULL);
}

int32_t sheaf_jobs_run_from(sheaf_jobs *jobs, sheaf_jobs_next_fn next, void *next_user,
                            sheaf_jobs_result_fn fn, void *user) {
  sheaf__jobs_call call = {
      .jobs = jobs, .mode = SHEAF_BATCH_RUN, .fn = fn, .user = user, .next_user = next_user};
  return take_list(&call, NULL, 0, next);
}

/* ---- Jobs of before ---- */

int32_t sheaf_jobs_results(sheaf_jobs *jobs, sheaf_jobs_result_fn fn, void *user) {
  sheaf__jobs_call call = {
      .jobs = jobs, .mode = SHEAF_BATCH_COLLECT, .fn = fn, .user = user, .timeout_ms = SHEAF_NEVER};
  int32_t status = enter_known(jobs);
  if (status == SHEAF_OK && fn == NULL) status = SHEAF_E_MISUSE;
  return status ? status : sheaf__jobs_drive(&call);
}

int32_t sheaf_jobs_wait(sheaf_jobs *jobs, uint64_t timeout_ms, sheaf_jobs_result_fn fn,
                        void *user) {
  sheaf__jobs_call call = {
      .jobs = jobs, .mode = SHEAF_BATCH_RUN, .fn = fn, .user = user, .timeout_ms = timeout_ms};
  if (timeout_ms == 0) return sheaf_jobs_results(jobs, fn, user);
  int32_t status = enter_known(jobs);
  if (status == SHEAF_OK && fn == NULL) status = SHEAF_E_MISUSE;
  return status ? status : sheaf__jobs_drive(&call);
}

/* One job or all that are not over are decided upon in the state file: whoever opens it next acts
 * on it, should this call die. */
static int32_t decide(sheaf_jobs_store *store, uint64_t flight) {
  const sheaf_slice cancel = SHEAF_LITERAL("cancel"), none = {NULL, 0};
  sheaf_jobs_store_job job = {.struct_bytes = sizeof job};
  if (flight > 0) return sheaf_jobs_store_decide(store, flight, cancel, none);
  int32_t status;
  while ((status = sheaf_jobs_store_job_next(store, flight, &job)) == SHEAF_OK) {
    flight = job.flight;
    status = job.is_over ? SHEAF_OK : sheaf_jobs_store_decide(store, flight, cancel, none);
    if (status) return status;
  }
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

static int32_t decide_cancel(sheaf_jobs *jobs, uint64_t flight) {
  sheaf_jobs_store *store = NULL;
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  options.path = jobs->state_path;
  int32_t status = sheaf_jobs_store_open(&options, &store, jobs->said, sizeof jobs->said);
  if (status) return status;
  status = decide(store, flight);
  if (status) sheaf__jobs_say(jobs, status, "%s", sheaf_jobs_store_message(store));
  sheaf_jobs_store_close(store);
  return status;
}

/* Asked as status does, so that nothing is collected here: results may have nobody to take them. */
int32_t sheaf_jobs_cancel(sheaf_jobs *jobs, uint64_t flight, sheaf_jobs_result_fn fn, void *user) {
  sheaf__jobs_call call = {.jobs = jobs,
                           .mode = SHEAF_BATCH_STATUS,
                           .fn = fn,
                           .user = user,
                           .drops = true,
                           .timeout_ms = SHEAF_NEVER};
  int32_t status = enter_known(jobs);
  if (status == SHEAF_OK) status = decide_cancel(jobs, flight);
  if (status == SHEAF_OK) status = sheaf__jobs_drive(&call);
  return call.held_back ? SHEAF_OK : status;
}

/* ---- The state file ---- */

static int32_t look(sheaf_jobs *jobs, sheaf_jobs_store **store) {
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  options.path = jobs->state_path;
  options.read_only = 1;
  return sheaf_jobs_store_open(&options, store, jobs->said, sizeof jobs->said);
}

static uint64_t known(int64_t number) {
  return number == SHEAF_ABSENT ? 0 : (uint64_t)number;
}

static void show(const sheaf_jobs_store_job *job, sheaf_jobs_status_fn fn, void *user) {
  const sheaf_job_status status = {.struct_bytes = sizeof status,
                                   .state = job->state,
                                   .flight = job->flight,
                                   .provider = job->provider,
                                   .endpoint = job->endpoint,
                                   .model = job->model,
                                   .marker = job->marker,
                                   .job = job->job,
                                   .message = job->message,
                                   .requests = job->requests,
                                   .bytes = job->bytes,
                                   .completed = job->completed,
                                   .failed = job->failed,
                                   .ended = job->is_over ? job->requests : 0,
                                   .rescued = known(job->rescued),
                                   .created_unix_ms = job->created_unix_ms,
                                   .next_poll_ns = SHEAF_NEVER};
  fn(user, &status);
}

int32_t sheaf_jobs_list(sheaf_jobs *jobs, sheaf_jobs_status_fn fn, void *user) {
  sheaf_jobs_store *store = NULL;
  sheaf_jobs_store_job job = {.struct_bytes = sizeof job};
  int32_t status = enter_known(jobs);
  if (status == SHEAF_OK && fn == NULL) status = SHEAF_E_MISUSE;
  if (status == SHEAF_OK) status = look(jobs, &store);
  if (status) return status;
  jobs->inside = true;
  for (uint64_t flight = 0; status == SHEAF_OK; flight = job.flight) {
    status = sheaf_jobs_store_job_next(store, flight, &job);
    if (status == SHEAF_OK) show(&job, fn, user);
  }
  jobs->inside = false;
  if (status != SHEAF_E_END) sheaf__jobs_say(jobs, status, "%s", sheaf_jobs_store_message(store));
  sheaf_jobs_store_close(store);
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

/* Results that show up meanwhile, as of a job that a person gave up, are for a call that takes
 * them: asking ends there. */
int32_t sheaf_jobs_status(sheaf_jobs *jobs, sheaf_jobs_status_fn fn, void *user) {
  sheaf__jobs_call call = {.jobs = jobs, .mode = SHEAF_BATCH_STATUS, .timeout_ms = SHEAF_NEVER};
  int32_t status = enter_known(jobs);
  if (status == SHEAF_OK) status = sheaf__jobs_drive(&call);
  if (status && !call.held_back) return status;
  return fn != NULL ? sheaf_jobs_list(jobs, fn, user) : SHEAF_OK;
}

int32_t sheaf_jobs_metadata(sheaf_jobs *jobs, sheaf_slice *metadata) {
  sheaf_jobs_store *store = NULL;
  sheaf_slice text = {NULL, 0};
  int32_t status = enter_known(jobs);
  if (status == SHEAF_OK && metadata == NULL) status = SHEAF_E_MISUSE;
  if (status == SHEAF_OK) status = look(jobs, &store);
  if (status) return status;
  sheaf_buf_reset(&jobs->shown);
  status = sheaf_jobs_store_get(store, SHEAF__NOTE_METADATA, &text);
  if (status == SHEAF_OK) status = sheaf_buf_append_slice(&jobs->shown, text);
  sheaf_jobs_store_close(store);
  *metadata = sheaf_buf_slice(&jobs->shown);
  return status;
}
