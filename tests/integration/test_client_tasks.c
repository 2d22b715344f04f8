/* test_client_tasks.c: what the client runs and asks of its caller: tasks on worker threads, hooks, events, reports, and a transport of
 * the caller's own; against the simulated provider where one is needed.
 *
 * Waits are for events with a far limit, never for a time. Data races: the preset tsan builds and runs this file under
 * ThreadSanitizer (cmake --preset tsan; cmake --build --preset tsan; ctest --preset tsan -R test_client), preset asan under the
 * address and undefined behaviour sanitizers.
 *
 * Outline: tasks, hooks and events, reports, another transport. */
#define _POSIX_C_SOURCE 200809L
#include "../support/queue_test.h"

/* ---- Tasks ---- */

typedef struct job {
  atomic_int runs, running, most, returned;
  atomic_bool go;       /* may return */
  uint32_t statuses[4]; /* of its attempts */
  bool failed, retryable;
} job;

/* As a program reads the flag; the sanitizer wants to be told that this is meant. */
static bool is_cancelled(const volatile bool *cancelled) {
  return __atomic_load_n(cancelled, __ATOMIC_SEQ_CST);
}

static void run_job(void *user, const volatile bool *cancelled, sheaf_task_report *report) {
  job *j = user;
  int run = atomic_fetch_add(&j->runs, 1), running = atomic_fetch_add(&j->running, 1) + 1;
  int most = atomic_load(&j->most);
  while (running > most && !atomic_compare_exchange_weak(&j->most, &most, running)) continue;
  while (!atomic_load(&j->go) && !is_cancelled(cancelled)) continue;
  report->http_status = run < 4 ? j->statuses[run] : 0;
  report->retry_after_ms = 1;
  report->failed = j->failed;
  report->retryable = j->retryable;
  report->usage.input_total = 11;
  report->usage.output_total = 7;
  atomic_fetch_sub(&j->running, 1);
  atomic_fetch_add(&j->returned, 1);
}

static sheaf_result *run_task(job *j, const sheaf_request *request) {
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_submit_task(client, request, run_job, j, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  return result;
}

static void a_task_runs_and_reports_its_usage(void **state) {
  (void)state;
  job j = {.go = true};
  start(NULL);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.custom_id = SHEAF_LITERAL("job-1");
  request.metadata = SHEAF_LITERAL("{\"a\":1}");
  request.user = &j;
  sheaf_result *result = run_task(&j, &request);
  assert_true(result->ok);
  assert_slice(result->custom_id, "job-1");
  assert_slice(result->metadata, "{\"a\":1}");
  assert_ptr_equal(result->user, &j);
  assert_int_equal(result->usage.input_total, 11);
  assert_int_equal(result->usage.output_total, 7);
  assert_int_equal(result->attempts, 1);
  sheaf_result_free(result);
  result = run_task(&j, NULL); /* defaults for all of it */
  assert_true(result->ok);
  assert_slice(result->custom_id, "row-2");
  sheaf_result_free(result);
  assert_int_equal(atomic_load(&j.runs), 2);
}

static void a_task_that_is_throttled_runs_again(void **state) {
  (void)state;
  job j = {.go = true, .statuses = {429, 500, 0}};
  engine.retry_base_ms = 1;
  engine.retry_max_ms = 5;
  start(NULL);
  sheaf_result *result = run_task(&j, NULL);
  assert_true(result->ok);
  assert_int_equal(result->attempts, 3);
  assert_int_equal(result->throttles, 1);
  assert_int_equal(result->history_count, 3);
  assert_int_equal(result->history[0].error_class, SHEAF_CLASS_RATE_LIMIT);
  assert_int_equal(atomic_load(&j.runs), 3);
  sheaf_result_free(result);
}

static void a_task_that_fails_says_how(void **state) {
  (void)state;
  job broken = {.go = true, .failed = true}, refused = {.go = true, .statuses = {400}},
      wrong = {.go = true, .statuses = {42}};
  engine.max_retries = 3;
  start(NULL);
  sheaf_result *result = run_task(&broken, NULL);
  assert_int_equal(result->error_class, SHEAF_CLASS_NETWORK);
  assert_int_equal(result->billing, SHEAF_BILLING_UNKNOWN);
  assert_int_equal(result->attempts, 1); /* another try cannot help */
  sheaf_result_free(result);
  result = run_task(&refused, NULL);
  assert_int_equal(result->error_class, SHEAF_CLASS_INVALID_REQUEST);
  assert_int_equal(result->http_status, 400);
  assert_int_equal(result->attempts, 1);
  sheaf_result_free(result);
  result = run_task(&wrong, NULL);
  assert_false(result->ok);
  assert_int_equal(result->attempts, 1);
  sheaf_result_free(result);
}

static void a_task_that_broke_runs_again_where_that_may_help(void **state) {
  (void)state;
  job j = {.go = true, .failed = true, .retryable = true};
  engine.max_retries = 2;
  engine.retry_base_ms = 1;
  engine.retry_max_ms = 5;
  start(NULL);
  sheaf_result *result = run_task(&j, NULL);
  assert_int_equal(result->error_class, SHEAF_CLASS_NETWORK);
  assert_int_equal(result->attempts, 3);
  assert_true(result->resent_unknown);
  assert_int_equal(atomic_load(&j.runs), 3);
  sheaf_result_free(result);
}

static void a_cancelled_task_ends_when_its_function_returns(void **state) {
  (void)state;
  job j = {.go = false};
  uint64_t id;
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  options.fn = count;
  options.user = &tally;
  start(NULL);
  assert_int_equal(sheaf_client_submit_task(client, NULL, run_job, &j, &options, &id), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&j.running) == 1);
  assert_int_equal(sheaf_client_cancel(client, id), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 1);
  assert_int_equal(atomic_load(&tally.cancelled), 1); /* what it reported does not count */
  assert_int_equal(atomic_load(&j.returned), 1);
}

static void a_task_beyond_its_deadline_is_told_and_ends(void **state) {
  (void)state;
  job j = {.go = false};
  start(NULL);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.deadline_ms = 20;
  sheaf_result *result = run_task(&j, &request);
  assert_false(result->ok);
  assert_true(result->error_class == SHEAF_CLASS_DEADLINE ||
              result->error_class == SHEAF_CLASS_TIMEOUT);
  assert_int_equal(atomic_load(&j.returned), 1);
  sheaf_result_free(result);
}

static void as_many_tasks_block_at_once_as_there_may_be_workers(void **state) {
  (void)state;
  enum { TASKS = 20, WORKERS = 4 };
  job j = {.go = false};
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  options.fn = count;
  options.user = &tally;
  given.workers_max = WORKERS;
  plain_engine(TASKS);
  start(NULL);
  for (int i = 0; i < TASKS; i++)
    assert_int_equal(sheaf_client_submit_task(client, NULL, run_job, &j, &options, NULL), SHEAF_OK);
  WAIT_UNTIL(stats_now().in_flight == TASKS && atomic_load(&j.running) == WORKERS);
  /* Calls are not held up by functions that block. */
  sheaf_request request = prompt("hello");
  assert_int_equal(sheaf_client_set(client, "concurrency", "21", NULL, 0), SHEAF_OK);
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_OK);
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_slice(result->text, "echo: hello");
  sheaf_result_free(result);
  assert_int_equal(atomic_load(&j.running), WORKERS);
  atomic_store(&j.go, true);
  WAIT_UNTIL(atomic_load(&tally.ok) == TASKS);
  assert_int_equal(atomic_load(&j.most), WORKERS);
  assert_int_equal(atomic_load(&j.runs), TASKS);
}

static void tasks_pass_the_same_gate_as_calls(void **state) {
  (void)state;
  job j = {.go = false};
  plain_engine(2);
  start(NULL);
  for (int i = 0; i < 5; i++)
    assert_int_equal(sheaf_client_submit_task(client, NULL, run_job, &j, NULL, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&j.running) == 2);
  assert_int_equal(stats_now().queued, 3);
  atomic_store(&j.go, true);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(atomic_load(&j.most), 2);
  assert_int_equal(atomic_load(&j.returned), 5);
}

static void a_stop_waits_for_functions_and_ends_the_rest(void **state) {
  (void)state;
  job j = {.go = false};
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  options.fn = count;
  options.user = &tally;
  given.workers_max = 2;
  plain_engine(6);
  start(NULL);
  for (int i = 0; i < 10; i++) /* two run, four wait for a worker, four in the queue */
    assert_int_equal(sheaf_client_submit_task(client, NULL, run_job, &j, &options, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&j.running) == 2 && stats_now().in_flight == 6);
  assert_int_equal(sheaf_client_stop(client, 5), SHEAF_OK);
  assert_int_equal(atomic_load(&j.running), 0);
  assert_in_range(atomic_load(&j.runs), 2,
                  6); /* a worker that is free may be faster than the end */
  assert_int_equal(atomic_load(&tally.ended), 10);
  assert_int_equal(atomic_load(&tally.cancelled), 10);
  /* And workers are made again. */
  atomic_store(&j.go, true);
  assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  assert_int_equal(sheaf_client_submit_task(client, NULL, run_job, &j, &options, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ok) == 1);
}

static atomic_int inner_status, stop_status;

static void call_inside(void *user, const volatile bool *cancelled, sheaf_task_report *report) {
  (void)cancelled, (void)report;
  sheaf_handle *handle = NULL;
  const sheaf_result *result = NULL;
  sheaf_request request = prompt("inner");
  atomic_store(&stop_status, sheaf_client_stop(client, 0));
  sheaf_client_free(client); /* does nothing here */
  int32_t status = sheaf_client_send(client, &request, SHEAF_NEVER, &handle);
  if (status == SHEAF_OK) status = sheaf_handle_wait(handle, FAR_MS, &result);
  if (status == SHEAF_OK && !result->ok) status = SHEAF_E_INTERNAL;
  sheaf_handle_free(handle);
  atomic_store((atomic_int *)user, status);
}

static void a_task_may_send_and_wait_but_not_stop(void **state) {
  (void)state;
  start(NULL);
  sheaf_result *result = NULL;
  atomic_store(&inner_status, -1);
  assert_int_equal(sheaf_client_submit_task(client, NULL, call_inside, &inner_status, NULL, NULL),
                   SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_true(result->ok);
  assert_int_equal(atomic_load(&inner_status), SHEAF_OK);
  assert_int_equal(atomic_load(&stop_status), SHEAF_E_MISUSE);
  sheaf_result_free(result);
}

/* ---- Hooks and events ---- */

typedef struct hooked {
  void *user;     /* as preprocess saw it */
  uint64_t index; /* as validate saw it */
  int validated;
  char failed[64]; /* class of what fallback was asked about */
} hooked;

static int32_t preprocess(void *ctx, sheaf_request *request, sheaf_slice *text) {
  hooked *h = ctx;
  h->user = request->user;
  if (request->prompt.bytes == 6 && memcmp(request->prompt.data, "answer", 6) == 0) {
    *text = SHEAF_LITERAL("forty-two");
    return SHEAF_E_END;
  }
  if (request->prompt.bytes == 6 && memcmp(request->prompt.data, "change", 6) == 0)
    request->prompt = SHEAF_LITERAL("changed");
  if (request->prompt.bytes == 6 && memcmp(request->prompt.data, "refuse", 6) == 0)
    return SHEAF_E_FIELD;
  return SHEAF_OK;
}

static int32_t validate(void *ctx, const sheaf_result *result) {
  hooked *h = ctx;
  h->validated++;
  h->index = result->index;
  h->user = result->user;
  return result->text.bytes > 12 && memcmp(result->text.data, "echo: novalid", 13) == 0
             ? SHEAF_E_FIELD
             : SHEAF_OK;
}

static int32_t fallback(void *ctx, const sheaf_result *failed, sheaf_slice *text) {
  hooked *h = ctx;
  snprintf(h->failed, sizeof h->failed, "%s", sheaf_class_name(failed->error_class));
  h->user = failed->user;
  *text = SHEAF_LITERAL("instead");
  return SHEAF_OK;
}

static sheaf_hooks hooks;

static void start_hooked(hooked *h, bool with_fallback) {
  memset(h, 0, sizeof *h);
  hooks = (sheaf_hooks){.struct_bytes = sizeof hooks,
                        .ctx = h,
                        .preprocess = preprocess,
                        .validate = validate,
                        .fallback = with_fallback ? fallback : NULL};
  given.hooks = &hooks;
  engine.retry_base_ms = 1;
  engine.retry_max_ms = 5;
  start(NULL);
  memset(&hooks, 0, sizeof hooks); /* it was copied */
}

static void preprocess_answers_changes_and_refuses(void **state) {
  (void)state;
  hooked h;
  int mark;
  uint64_t id;
  start_hooked(&h, false);
  for (int run = 0; run < 2; run++) { /* hooks survive a restart */
    sheaf_result *result = ask("answer", &mark, &id);
    assert_true(result->ok);
    assert_true(result->local);
    assert_slice(result->text, "forty-two");
    assert_ptr_equal(h.user, &mark);
    assert_ptr_equal(result->user, &mark);
    assert_int_equal(result->index, id);
    sheaf_result_free(result);
    result = ask("change", &mark, &id);
    assert_slice(result->text, "echo: changed");
    assert_false(result->local);
    assert_int_equal(h.index, id); /* validate sees what submit gave */
    assert_ptr_equal(h.user, &mark);
    sheaf_result_free(result);
    result = ask("refuse", NULL, NULL);
    assert_int_equal(result->error_class, SHEAF_CLASS_INVALID_REQUEST);
    assert_int_equal(result->attempts, 0);
    sheaf_result_free(result);
    assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
    assert_int_equal(stats_now().answered_locally, 1);
    assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  }
}

static void validate_refuses_and_fallback_answers(void **state) {
  (void)state;
  hooked h;
  int mark;
  start_hooked(&h, true);
  sheaf_result *result = ask("novalid", &mark, NULL);
  assert_true(result->ok);
  assert_true(result->local);
  assert_slice(result->text, "instead");
  assert_string_equal(h.failed, "invalid_response");
  assert_ptr_equal(h.user, &mark);
  assert_int_equal(h.validated, 3); /* two further tries */
  sheaf_result_free(result);
}

typedef struct told {
  atomic_int deltas, notices;
  char text[512];
  size_t bytes;
  uint64_t index;
  void *user;
} told;

static void on_delta(void *user, const sheaf_event *event) {
  told *t = user;
  if (event->kind != SHEAF_EVENT_DELTA || t->bytes + event->text.bytes > sizeof t->text) return;
  memcpy(t->text + t->bytes, event->text.data, event->text.bytes);
  t->bytes += event->text.bytes;
  t->index = event->index;
  t->user = event->user;
  atomic_fetch_add(&t->deltas, 1);
}

static void a_submit_is_told_of_its_own_deltas(void **state) {
  (void)state;
  const char *const options[] = {"answer", "lorem:20", "itl", "1", NULL};
  static told t[2];
  memset(t, 0, sizeof t);
  start(options);
  sheaf_request request = prompt("tell me");
  request.flags = SHEAF_REQUEST_STREAM;
  uint64_t ids[2];
  for (int i = 0; i < 2; i++) {
    sheaf_submit_options with = SHEAF_SUBMIT_OPTIONS_INIT;
    with.on_event = on_delta;
    with.user = &t[i];
    request.user = &ids[i];
    assert_int_equal(sheaf_client_submit_with(client, &request, &with, &ids[i]), SHEAF_OK);
  }
  for (int i = 0; i < 2; i++) {
    sheaf_result *result = NULL;
    assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
    const told *own = result->index == ids[0] ? &t[0] : &t[1];
    assert_true(atomic_load(&own->deltas) > 1);
    assert_int_equal(own->bytes, result->text.bytes);
    assert_memory_equal(own->text, result->text.data, own->bytes);
    assert_int_equal(own->index, result->index);
    assert_ptr_equal(own->user, result->user);
    sheaf_result_free(result);
  }
}

static void on_notice(void *user, const sheaf_event *event) {
  told *t = user;
  if (event->kind != SHEAF_EVENT_NOTICE || event->notice != SHEAF_NOTICE_KEY_STOPPED) return;
  t->bytes = event->text.bytes;
  atomic_fetch_add(&t->notices, 1);
}

static void the_client_is_told_of_notices(void **state) {
  (void)state;
  const char *const options[] = {"key", "sk-another", NULL};
  static told t;
  memset(&t, 0, sizeof t);
  given.on_event = on_notice;
  given.user = &t;
  start(options);
  sheaf_result_free(ask("x", NULL, NULL));
  WAIT_UNTIL(atomic_load(&t.notices) == 1);
  assert_true(t.bytes > 0);
}

/* ---- Reports ---- */

static void reports_are_lines_of_json(void **state) {
  (void)state;
  FILE *file = tmpfile();
  char line[16384];
  int lines = 0;
  int64_t succeeded = -1;
  assert_non_null(file);
  given.on_report = sheaf_report_jsonl;
  given.report_user = file;
  given.report_ms = 5;
  const char *const options[] = {"latency", "fixed:100", NULL};
  start(options);
  sheaf_result_free(ask("x", NULL, NULL));
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  rewind(file);
  while (fgets(line, sizeof line, file) != NULL) {
    sheaf_slice json = {line, strlen(line)};
    assert_int_equal(line[json.bytes - 1], '\n');
    json.bytes--;
    assert_int_equal(sheaf_json_check(json, NULL), SHEAF_OK);
    assert_int_equal(sheaf_json_int(sheaf_json_member(json, "succeeded"), &succeeded), SHEAF_OK);
    lines++;
  }
  assert_true(lines >= 2);
  assert_int_equal(succeeded, 1); /* the last one is of the end */
  fclose(file);
}

static void the_console_gets_a_line_a_report(void **state) {
  (void)state;
  FILE *file = tmpfile();
  char line[1024];
  assert_non_null(file);
  given.on_report = sheaf_report_console;
  given.user = file; /* of both, without a report_user */
  given.report_ms = 60000;
  start(NULL);
  sheaf_result_free(ask("x", NULL, NULL));
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  rewind(file);
  assert_non_null(fgets(line, sizeof line, file));
  assert_memory_equal(line, "1 done, ", 8);
  assert_null(fgets(line, sizeof line, file)); /* the end's only */
  fclose(file);
}

/* ---- Another transport ---- */

typedef struct echo {
  sheaf_engine *engine;
  uint64_t out[64];
  int count, binds, frees;
  atomic_bool broken;
  bool woken;
  pthread_mutex_t mutex;
  pthread_cond_t news;
} echo;

static const char echo_reply[] =
    "{\"model\":\"m\",\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"own way\"},"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}";

static int32_t echo_bind(void *ctx, sheaf_engine *bound) {
  echo *e = ctx;
  e->engine = bound;
  e->binds++;
  return SHEAF_OK;
}

static int32_t echo_start(void *ctx, const sheaf_exchange *exchange) {
  echo *e = ctx;
  if (e->count == 64) return SHEAF_E_NOMEM;
  e->out[e->count++] = exchange->id;
  return SHEAF_OK;
}

static void echo_cancel(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}

/* Waits on a condition until it is woken: as long as the client says, for nothing else moves. */
static int32_t echo_poll(void *ctx, uint64_t wait_ns) {
  echo *e = ctx;
  if (atomic_load(&e->broken)) return SHEAF_E_IO;
  pthread_mutex_lock(&e->mutex);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += wait_ns > 1000000000u ? 1 : 0;
  int late = e->count > 0 || wait_ns == 0;
  while (!e->woken && !late) late = pthread_cond_timedwait(&e->news, &e->mutex, &until);
  e->woken = false;
  pthread_mutex_unlock(&e->mutex);
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  for (int i = 0; i < e->count; i++) {
    sheaf_engine_on_head(e->engine, e->out[i], 200, (sheaf_slice){NULL, 0});
    sheaf_engine_on_data(e->engine, e->out[i], sheaf_slice_of(echo_reply));
    sheaf_engine_on_done(e->engine, e->out[i], &end);
  }
  e->count = 0;
  return SHEAF_OK;
}

static void echo_wake(void *ctx) {
  echo *e = ctx;
  pthread_mutex_lock(&e->mutex);
  e->woken = true;
  pthread_cond_signal(&e->news);
  pthread_mutex_unlock(&e->mutex);
}

static void echo_free(void *ctx) {
  ((echo *)ctx)->frees++;
}

static sheaf_client_transport echo_door(echo *e) {
  memset(e, 0, sizeof *e);
  pthread_mutex_init(&e->mutex, NULL);
  pthread_cond_init(&e->news, NULL);
  return (sheaf_client_transport){.struct_bytes = sizeof(sheaf_client_transport),
                                  .ctx = e,
                                  .bind = echo_bind,
                                  .start = echo_start,
                                  .cancel = echo_cancel,
                                  .poll = echo_poll,
                                  .wake = echo_wake,
                                  .free = echo_free};
}

static void another_transport_carries_the_exchanges(void **state) {
  (void)state;
  static echo e;
  const sheaf_client_transport door = echo_door(&e);
  given.transport = &door;
  given.base_url = given.api_key = NULL; /* it has no credentials, so none is missed */
  unsetenv("OPENAI_API_KEY");
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  for (int run = 1; run <= 2; run++) {
    for (int i = 0; i < 100; i++) {
      sheaf_result *result = ask("x", NULL, NULL);
      assert_true(result->ok);
      assert_slice(result->text, "own way");
      sheaf_result_free(result);
    }
    assert_int_equal(sheaf_client_set_credential(client, 1, "http://x", "k"), SHEAF_E_UNSUPPORTED);
    assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
    assert_int_equal(e.binds, run);
    assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  }
  assert_int_equal(e.frees, 0);
  sheaf_client_free(client);
  client = NULL;
  assert_int_equal(e.frees, 1);
}

static void a_transport_stays_the_callers_when_new_fails(void **state) {
  (void)state;
  static echo e;
  sheaf_client_transport door = echo_door(&e);
  given.transport = &door;
  given.provider = "nobody";
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_E_NOT_FOUND);
  given.provider = NULL;
  door.poll = NULL;
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_E_MISUSE);
  assert_int_equal(e.frees, 0);
}

static void a_transport_that_breaks_ends_everything_once(void **state) {
  (void)state;
  static echo e;
  job j = {.go = false};
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  const sheaf_client_transport door = echo_door(&e);
  char line[256];
  given.transport = &door;
  plain_engine(2);
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  options.fn = count;
  options.user = &tally;
  assert_int_equal(sheaf_client_submit_task(client, NULL, run_job, &j, &options, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&j.running) == 1);
  assert_int_equal(sheaf_client_pause(client), SHEAF_OK);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 5; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  atomic_store(&e.broken, true);
  WAIT_UNTIL(atomic_load(&tally.ended) == 6);
  assert_int_equal(atomic_load(&tally.last_status), SHEAF_CLASS_INTERNAL);
  WAIT_UNTIL(!sheaf_client_healthy(client));
  sheaf_client_status(client, line, sizeof line);
  assert_memory_equal(line, "broken", 6);
  /* Still taken, and ended alike. */
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 7);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(atomic_load(&j.returned), 1); /* the flag ended it */
  /* It may work again in the next run. */
  atomic_store(&e.broken, false);
  e.count = 0;
  assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ok) == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_task_runs_and_reports_its_usage),
      CASE(a_task_that_is_throttled_runs_again),
      CASE(a_task_that_fails_says_how),
      CASE(a_task_that_broke_runs_again_where_that_may_help),
      CASE(a_cancelled_task_ends_when_its_function_returns),
      CASE(a_task_beyond_its_deadline_is_told_and_ends),
      CASE(as_many_tasks_block_at_once_as_there_may_be_workers),
      CASE(tasks_pass_the_same_gate_as_calls),
      CASE(a_stop_waits_for_functions_and_ends_the_rest),
      CASE(a_task_may_send_and_wait_but_not_stop),
      CASE(preprocess_answers_changes_and_refuses),
      CASE(validate_refuses_and_fallback_answers),
      CASE(a_submit_is_told_of_its_own_deltas),
      CASE(the_client_is_told_of_notices),
      CASE(reports_are_lines_of_json),
      CASE(the_console_gets_a_line_a_report),
      CASE(another_transport_carries_the_exchanges),
      CASE(a_transport_stays_the_callers_when_new_fails),
      CASE(a_transport_that_breaks_ends_everything_once),
  };
  return run_cases(tests);
}
