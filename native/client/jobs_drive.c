/* jobs_drive.c: one call of sheaf_jobs: the state file, an engine over it and the transport, on the
 * caller's thread until nothing is left to do.
 *
 * Every call makes an engine of its own, as the command does with each run: what jobs there are it
 * learns from the state file.
 * Outline: sentences, stopping, the loop, opening, what it comes to. */
#include "jobs_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATER_NS UINT64_C(10000000) /* a list that has no row yet is asked again after this */
#define MS UINT64_C(1000000)

/* ---- Sentences ---- */

int32_t sheaf__jobs_say(sheaf_jobs *jobs, int32_t status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(jobs->said, sizeof jobs->said, format, arguments);
  va_end(arguments);
  return status;
}

/* What the engine is answered must be no word of its own, as "later". */
int32_t sheaf__jobs_fail(sheaf__jobs_call *call, int32_t status, const char *sentence) {
  if (call->failure == SHEAF_OK) {
    call->failure = status;
    if (sentence != NULL && sentence[0])
      sheaf__jobs_say(call->jobs, status, "%s", sentence);
    else if (call->jobs->said[0] == 0)
      sheaf__jobs_say(call->jobs, status, "%s", sheaf_status_text(status));
  }
  return SHEAF_E_CANCELLED;
}

/* A failure of the engine's run, most of which are the store's. */
static void fail_run(sheaf__jobs_call *call, int32_t status) {
  const char *message = sheaf_jobs_store_message(call->store);
  if (status == SHEAF_E_OTHER_RUN && message[0] == 0)
    message =
        "a request is not the one that a job of this state file holds: hand out the same list "
        "as before, or give another state_path";
  sheaf__jobs_fail(call, status, message);
}

/* ---- Stopping ---- */

static void obey(sheaf__jobs_call *call, uint64_t now) {
  const uint32_t stops = atomic_load(&call->jobs->stops);
  const bool is_late = now >= call->end_ns;
  if ((stops > 0 || is_late || call->is_ending) && !call->draining) {
    call->draining = true;
    sheaf_engine_drain(call->engine);
  }
  if (stops > 0) call->stopped = true;
  if (stops > 1 && !call->aborted) {
    call->aborted = true;
    sheaf_engine_abort(call->engine);
  }
}

/* ---- The loop ---- */

static uint64_t time_to_wait(const sheaf__jobs_call *call, uint64_t now) {
  if (call->is_ending && !call->draining) return 0;
  uint64_t at = sheaf_engine_timeout_ns(call->engine);
  const uint64_t wait_ms = sheaf_jobs_store_wait_ms(call->store);
  if (wait_ms < (SHEAF_NEVER - now) / MS && now + wait_ms * MS < at) at = now + wait_ms * MS;
  if (call->asked_later && now + LATER_NS < at) at = now + LATER_NS;
  if (!call->draining && call->end_ns < at) at = call->end_ns;
  return at == SHEAF_NEVER ? SHEAF_NEVER : at > now ? at - now : 0;
}

/* False: the engine could not end, and exchanges may point into it still. */
static bool loop(sheaf__jobs_call *call) {
  bool has_failed = false;
  for (;;) {
    uint64_t now = sheaf_now_ns();
    obey(call, now);
    int32_t status = sheaf_jobs_store_pump(call->store);
    if (status && call->failure == SHEAF_OK) {
      fail_run(call, status);
      sheaf_engine_abort(call->engine);
    }
    status = sheaf_engine_run_once(call->engine, now, sheaf_unix_ms());
    call->is_over = status == SHEAF_E_END;
    if (status != SHEAF_OK && !call->is_over) { /* told once, then it drains */
      fail_run(call, status);
      if (has_failed) return false;
      has_failed = true;
      continue;
    }
    if (call->is_over) call->plans_moved = true;
    status = sheaf__jobs_list_look(call);
    if (status) sheaf__jobs_fail(call, status, NULL);
    if (call->is_over) return true;
    status = sheaf_curl_poll(call->jobs->curl, time_to_wait(call, now), -1);
    if (status) {
      sheaf__jobs_fail(call, status, "the HTTP transport of this machine failed");
      return false;
    }
  }
}

/* ---- Opening ---- */

static int32_t open_store(sheaf__jobs_call *call) {
  sheaf_jobs *jobs = call->jobs;
  uint64_t flight = 0;
  sheaf_jobs_store_job job = {.struct_bytes = sizeof job};
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  options.path = jobs->state_path;
  int32_t status = sheaf_jobs_store_open(&options, &call->store, jobs->said, sizeof jobs->said);
  if (status) return status;
  while ((status = sheaf_jobs_store_job_next(call->store, flight, &job)) == SHEAF_OK) {
    flight = job.flight;
    if (!job.is_over && sheaf__marks_add(&call->planned, flight)) return SHEAF_E_NOMEM;
  }
  if (status != SHEAF_E_END)
    return sheaf__jobs_say(jobs, status, "%s", sheaf_jobs_store_message(call->store));
  status = sheaf__jobs_list_meet(call);
  return status ? status : sheaf__jobs_taken_read(call);
}

static int32_t open_engine(sheaf__jobs_call *call) {
  sheaf_engine_options options = call->jobs->options;
  options.batch_mode = call->mode;
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .ctx = call, .put = sheaf__jobs_put};
  const sheaf_source source = sheaf__jobs_source(call);
  int32_t status = sheaf_engine_new(&options, sheaf_heap(), &call->engine);
  if (status) return status;
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = sheaf_curl_transport(call->jobs->curl),
                             .sink = &sink,
                             .source = call->has_list ? &source : NULL,
                             .store = &call->door,
                             .spool = sheaf_jobs_store_spool(call->store)};
  status = sheaf_engine_open(call->engine, &doors);
  if (status == SHEAF_OK) status = sheaf_curl_bind(call->jobs->curl, call->engine);
  if (status) return status;
  sheaf_jobs_store_bind(call->store, call->engine);
  if (!call->has_list) sheaf_engine_end_input(call->engine);
  return sheaf__jobs_live_tell(call);
}

/* ---- What it comes to ---- */

/* A job that waits for another key says so; its calls are no rows, of which a notice would tell. */
static bool is_of_the_key(sheaf_slice message) {
  static const char begin[] = "the provider refused the key";
  return message.bytes >= sizeof begin - 1 && memcmp(message.data, begin, sizeof begin - 1) == 0;
}

/* Jobs that are left, and the sentence of one that says why. */
static int32_t what_is_left(sheaf__jobs_call *call) {
  sheaf_job_status job = {.struct_bytes = sizeof job};
  uint64_t left = 0, flight = 0;
  char why[512] = "";
  for (uint64_t n = 0; sheaf_engine_job_at(call->engine, n, &job) == SHEAF_OK; n++) {
    if (call->mode == SHEAF_BATCH_SUBMIT && job.job.bytes > 0)
      continue; /* created: no more was asked */
    left++;
    if (is_of_the_key(job.message)) call->key_stopped = true;
    if (why[0] || job.message.bytes == 0) continue;
    flight = job.flight;
    snprintf(why, sizeof why, "%.*s", (int)(job.message.bytes < 500 ? job.message.bytes : 500),
             job.message.data);
  }
  if (left == 0) return SHEAF_OK;
  const char *told = call->mode == SHEAF_BATCH_SUBMIT ? "not created yet" : "not done";
  if (why[0])
    sheaf__jobs_say(call->jobs, SHEAF_OK, "%" PRIu64 " jobs are %s; job %" PRIu64 ": %s", left,
                    told, flight, why);
  else
    sheaf__jobs_say(call->jobs, SHEAF_OK, "%" PRIu64 " jobs are %s", left, told);
  return SHEAF_E_LATER;
}

static int32_t answer(sheaf__jobs_call *call) {
  const bool asks = call->mode > SHEAF_BATCH_COLLECT;
  if (call->failure) return call->failure;
  int32_t left = what_is_left(call);
  if (call->stopped && (left || !call->is_whole || asks))
    return sheaf__jobs_say(call->jobs, SHEAF_E_CANCELLED, "stopped");
  if (call->key_stopped && (left || !call->is_whole)) {
    if (call->jobs->said[0] == 0)
      sheaf__jobs_say(call->jobs, SHEAF_E_AUTH, "the provider refused the key");
    return SHEAF_E_AUTH;
  }
  if (asks) {
    call->jobs->said[0] = 0;
    return SHEAF_OK;
  }
  if (left) return left;
  if (call->is_whole) return SHEAF_OK;
  return sheaf__jobs_say(call->jobs, SHEAF_E_PARTIAL,
                         "not all of the list was submitted: submit or run it again");
}

static int32_t run(sheaf__jobs_call *call) {
  int32_t status = open_store(call);
  if (status) return status;
  if (call->is_whole) call->has_list = false; /* all of it is in jobs, or over */
  call->door = sheaf__jobs_door(call);
  status = open_engine(call);
  if (status)
    return call->jobs->said[0]
               ? status
               : sheaf__jobs_say(call->jobs, status, "%s", sheaf_status_text(status));
  const uint64_t now = sheaf_now_ns();
  call->end_ns =
      call->timeout_ms < (SHEAF_NEVER - now) / MS ? now + call->timeout_ms * MS : SHEAF_NEVER;
  if (!loop(call)) {
    call->jobs->stuck = call->engine;
    return call->failure;
  }
  sheaf__jobs_taken_save(call); /* also of jobs that are not over: fewer rows come twice */
  return answer(call);
}

/* Stops count for one call: those that came before it, or in it. */
int32_t sheaf__jobs_drive(sheaf__jobs_call *call) {
  sheaf_jobs *jobs = call->jobs;
  sheaf_buf_init(&call->text, sheaf_heap(), 0);
  jobs->inside = true;
  int32_t status = run(call);
  sheaf_curl_redact(jobs->curl, jobs->said, strlen(jobs->said));
  jobs->inside = false;
  atomic_store(&jobs->stops, 0);
  if (jobs->stuck == NULL) sheaf_engine_free(call->engine);
  sheaf_jobs_store_close(call->store);
  sheaf_buf_deinit(&call->text);
  free(call->taken.words);
  free(call->planned.words);
  return status;
}
