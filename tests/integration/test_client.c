/* test_client.c: the client against the simulated provider: lists, single requests, streams, ends.
 *
 * Waits are for events with a far limit, never for a time: what is told to stall does so until it is cancelled or aborted.
 *
 * Outline: set-up, lists, refusals, single requests, the completion queue, cancel and ends, keys, statistics. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/client.h>
#include <sheaf/curl.h>
#include <sheaf/sim.h>

#include "../support/test_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FAR_MS = 30000, THREADS = 8, EACH = 50, MANY = 300 };

/* ---- Set-up ---- */

static sheaf_sim *sim;
static sheaf_client *client;
static char base_url[256];

/* options: name, value, ... NULL */
static void start_sim(const char *const *options) {
  sheaf_sim_options chosen = SHEAF_SIM_OPTIONS_INIT;
  char message[256] = "";
  for (; options != NULL && options[0] != NULL; options += 2)
    assert_int_equal(sheaf_sim_option_set(&chosen, options[0], options[1], message, sizeof message),
                     SHEAF_OK);
  assert_int_equal(sheaf_sim_start(&chosen, &sim, message, sizeof message), SHEAF_OK);
  snprintf(base_url, sizeof base_url, "%s/v1", sheaf_sim_url(sim));
}

static void start_client(const sheaf_engine_options *engine) {
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.base_url = base_url;
  options.api_key = "sk-test-0123456789";
  options.model = "gpt-4o-mini";
  options.engine = engine;
  assert_int_equal(sheaf_client_new(&options, &client), SHEAF_OK);
}

static void start(const char *const *sim_options, const sheaf_engine_options *engine) {
  start_sim(sim_options);
  start_client(engine);
}

static sheaf_engine_options engine_options(void) {
  sheaf_engine_options engine;
  sheaf_engine_options_init(&engine);
  return engine;
}

static int set_up(void **state) {
  (void)state;
  client = NULL;
  sim = NULL;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  sheaf_client_free(client);
  sheaf_sim_stop(sim);
  client = NULL;
  sim = NULL;
  return 0;
}

static sheaf_request prompt(const char *text) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = sheaf_slice_of(text);
  return request;
}

static void assert_slice(sheaf_slice slice, const char *text) {
  assert_int_equal(slice.bytes, strlen(text));
  assert_memory_equal(slice.data ? slice.data : "", text, slice.bytes);
}

static char texts[MANY][32];
static const char *prompts[MANY];

static void make_prompts(void) {
  for (int i = 0; i < MANY; i++) {
    snprintf(texts[i], sizeof texts[i], "number %d", i);
    prompts[i] = texts[i];
  }
}

/* ---- Lists ---- */

static void a_list_of_prompts_comes_back_in_order(void **state) {
  (void)state;
  const char *const options[] = {"latency", "uniform:1:20", NULL};
  start(options, NULL);
  make_prompts();
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, prompts, MANY, &batch), SHEAF_OK);
  assert_int_equal(sheaf_batch_count(batch), MANY);
  assert_true(sheaf_batch_all_succeeded(batch));
  for (size_t i = 0; i < MANY; i++) {
    char wanted[64], id[32];
    const sheaf_result *result = sheaf_batch_at(batch, i);
    snprintf(wanted, sizeof wanted, "echo: %s", prompts[i]);
    snprintf(id, sizeof id, "row-%zu", i + 1);
    assert_string_equal(sheaf_batch_text(batch, i), wanted);
    assert_slice(result->custom_id, id);
    assert_int_equal(result->index, i);
    assert_ptr_equal(sheaf_batch_find(batch, id), result);
  }
  assert_null(sheaf_batch_at(batch, MANY));
  assert_null(sheaf_batch_find(batch, "row-0"));
  assert_string_equal(sheaf_batch_text(batch, MANY), "");
  /* The batch outlives the client. */
  sheaf_client_free(client);
  client = NULL;
  assert_string_equal(sheaf_batch_text(batch, 7), "echo: number 7");
  sheaf_batch_free(batch);
}

static void a_list_by_completion_holds_every_row_once(void **state) {
  (void)state;
  const char *const options[] = {"latency", "uniform:1:20", NULL};
  start(options, NULL);
  make_prompts();
  sheaf_request requests[MANY];
  bool seen[MANY] = {false};
  for (size_t i = 0; i < MANY; i++) requests[i] = prompt(prompts[i]);
  sheaf_batch_options by_completion = SHEAF_BATCH_OPTIONS_INIT;
  by_completion.order = 1;
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch(client, requests, MANY, &by_completion, &batch, NULL),
                   SHEAF_OK);
  for (size_t i = 0; i < MANY; i++) {
    const sheaf_result *result = sheaf_batch_at(batch, i);
    assert_true(result->ok);
    assert_false(seen[result->index]);
    seen[result->index] = true;
    char id[32];
    snprintf(id, sizeof id, "row-%d", (int)result->index + 1);
    assert_ptr_equal(sheaf_batch_find(batch, id), result);
  }
  sheaf_batch_free(batch);
}

static void some_failures_do_not_fail_the_call(void **state) {
  (void)state;
  const char *const options[] = {"fault", "500:0.05", NULL};
  sheaf_engine_options engine = engine_options();
  engine.max_retries = 0;
  start(options, &engine);
  make_prompts();
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, prompts, MANY, &batch), SHEAF_OK);
  size_t failed = sheaf_batch_failure_count(batch);
  assert_in_range(failed, 1, MANY - 1);
  assert_int_equal(sheaf_batch_success_count(batch), MANY - failed);
  assert_false(sheaf_batch_all_succeeded(batch));
  size_t found = 0;
  for (size_t i = 0; i < MANY; i++) {
    const sheaf_result *result = sheaf_batch_at(batch, i);
    if (result->ok) continue;
    found++;
    assert_string_equal(sheaf_batch_text(batch, i), "");
    assert_int_equal(result->error_class, SHEAF_CLASS_SERVER);
    assert_int_equal(result->http_status, 500);
    assert_true(result->error_message.bytes > 0);
    assert_int_equal(result->history_count, 1);
    assert_int_equal(result->history[0].error_class, SHEAF_CLASS_SERVER);
  }
  assert_int_equal(found, failed);
  const sheaf_stats *stats = sheaf_batch_stats(batch);
  assert_int_equal(stats->succeeded, MANY - failed);
  assert_int_equal(stats->failed_by_class[SHEAF_CLASS_SERVER], failed);
  assert_int_equal(stats->attempts, MANY);
  assert_int_equal(stats->latency.count, MANY - failed);
  assert_true(stats->latency.p50_ns <= stats->latency.p99_ns);
  assert_true(stats->latency.p99_ns <= stats->latency.max_ns);
  sheaf_batch_free(batch);
}

static void a_list_of_which_all_fail_says_so_and_why(void **state) {
  (void)state;
  const char *const options[] = {"fault", "500:1", NULL};
  sheaf_engine_options engine = engine_options();
  engine.max_retries = 0;
  start(options, &engine);
  make_prompts();
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, prompts, 3, &batch), SHEAF_E_ALL_FAILED);
  assert_int_equal(sheaf_batch_count(batch), 3);
  assert_int_equal(sheaf_batch_failure_count(batch), 3);
  assert_int_equal(sheaf_batch_at(batch, 2)->error_class, SHEAF_CLASS_SERVER);
  sheaf_batch_free(batch);
}

static void an_empty_list_is_a_success(void **state) {
  (void)state;
  start(NULL, NULL);
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch(client, NULL, 0, NULL, &batch, NULL), SHEAF_OK);
  assert_int_equal(sheaf_batch_count(batch), 0);
  assert_true(sheaf_batch_all_succeeded(batch));
  assert_null(sheaf_batch_find(batch, "row-1"));
  sheaf_batch_free(batch);
}

static void results_are_found_by_their_own_ids(void **state) {
  (void)state;
  start(NULL, NULL);
  sheaf_request requests[3] = {prompt("a"), prompt("b"), prompt("c")};
  int mark;
  requests[0].custom_id = SHEAF_LITERAL("alpha");
  requests[0].user = &mark;
  requests[0].metadata = SHEAF_LITERAL("{\"k\":1}");
  requests[2].custom_id = SHEAF_LITERAL("gamma");
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, NULL), SHEAF_OK);
  const sheaf_result *alpha = sheaf_batch_find(batch, "alpha");
  assert_non_null(alpha);
  assert_slice(alpha->text, "echo: a");
  assert_slice(alpha->metadata, "{\"k\":1}");
  assert_ptr_equal(alpha->user, &mark);
  assert_slice(sheaf_batch_find(batch, "gamma")->text, "echo: c");
  assert_slice(sheaf_batch_find(batch, "row-2")->text, "echo: b");
  assert_null(sheaf_batch_find(batch, "beta"));
  sheaf_batch_free(batch);
}

static void an_empty_prompt_is_a_prompt(void **state) {
  (void)state;
  start(NULL, NULL);
  const char *one[] = {""};
  sheaf_batch *batch = NULL;
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, one, 1, &batch), SHEAF_OK);
  assert_string_equal(sheaf_batch_text(batch, 0), "echo: ");
  sheaf_batch_free(batch);
  sheaf_request request = prompt("");
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_slice(result->text, "echo: ");
  sheaf_result_free(result);
}

static void a_long_list_passes_through_a_small_queue(void **state) {
  (void)state;
  enum { LONG = 5000 };
  const char *const options[] = {"time-scale", "0", NULL};
  sheaf_engine_options engine = engine_options();
  engine.queue_capacity = 64;
  engine.concurrency = 16;
  start(options, &engine);
  const char **many = malloc(LONG * sizeof *many);
  assert_non_null(many);
  for (size_t i = 0; i < LONG; i++) many[i] = "same";
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, many, LONG, &batch), SHEAF_OK);
  assert_int_equal(sheaf_batch_success_count(batch), LONG);
  free(many);
  sheaf_batch_free(batch);
}

typedef struct told {
  atomic_int progress, deltas, bad;
  atomic_ullong done, total;
  size_t streamed[20];
} told;

static void on_progress(void *user, const sheaf_stats *stats, uint64_t done, uint64_t total) {
  told *t = user;
  if (done < atomic_load(&t->done) || done > total || stats->admitted < done)
    atomic_fetch_add(&t->bad, 1);
  atomic_store(&t->done, done);
  atomic_store(&t->total, total);
  atomic_fetch_add(&t->progress, 1);
}

static void on_event(void *user, const sheaf_event *event) {
  told *t = user;
  if (event->kind != SHEAF_EVENT_DELTA || event->index >= 20) {
    atomic_fetch_add(&t->bad, 1);
    return;
  }
  t->streamed[event->index] += event->text.bytes;
  atomic_fetch_add(&t->deltas, 1);
}

static void streams_give_deltas_and_progress_is_told(void **state) {
  (void)state;
  const char *const options[] = {"answer", "lorem:20", "itl", "1", NULL};
  start(options, NULL);
  sheaf_request requests[20];
  told t;
  memset(&t, 0, sizeof t);
  for (size_t i = 0; i < 20; i++) {
    requests[i] = prompt("tell me");
    requests[i].flags = SHEAF_REQUEST_STREAM;
  }
  sheaf_batch_options told_all = SHEAF_BATCH_OPTIONS_INIT;
  told_all.on_progress = on_progress;
  told_all.on_event = on_event;
  told_all.user = &t;
  told_all.progress_ms = 1;
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch(client, requests, 20, &told_all, &batch, NULL), SHEAF_OK);
  assert_int_equal(atomic_load(&t.bad), 0);
  assert_true(atomic_load(&t.deltas) > 20);
  assert_true(atomic_load(&t.progress) > 1);
  assert_int_equal(atomic_load(&t.done), 20);
  assert_int_equal(atomic_load(&t.total), 20);
  for (size_t i = 0; i < 20; i++) {
    const sheaf_result *result = sheaf_batch_at(batch, i);
    assert_true(result->streamed);
    assert_true(result->ttft_ns != SHEAF_NEVER);
    assert_int_equal(t.streamed[i], result->text.bytes);
  }
  assert_int_equal(sheaf_batch_stats(batch)->ttft.count, 20);
  sheaf_batch_free(batch);
}

static void *run_a_list(void *unused) {
  (void)unused;
  sheaf_batch *batch = NULL;
  bool good = sheaf_client_batch_prompts(client, prompts, 100, &batch) == SHEAF_OK &&
              sheaf_batch_all_succeeded(batch);
  for (size_t i = 0; good && i < 100; i++)
    good = strncmp(sheaf_batch_text(batch, i), "echo: number ", 13) == 0 &&
           strcmp(sheaf_batch_text(batch, i) + 6, prompts[i]) == 0;
  sheaf_batch_free(batch);
  return good ? &client : NULL;
}

static void lists_of_several_threads_share_the_client(void **state) {
  (void)state;
  start(NULL, NULL);
  make_prompts();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, run_a_list, NULL), 0);
  for (int i = 0; i < 4; i++) {
    void *good = NULL;
    pthread_join(threads[i], &good);
    assert_non_null(good);
  }
  sheaf_stats stats;
  sheaf_client_stats(client, &stats);
  assert_int_equal(stats.succeeded, 400);
}

/* ---- Refusals: nothing is sent ---- */

static void assert_nothing_was_sent(void) {
  sheaf_stats stats;
  sheaf_client_stats(client, &stats);
  assert_int_equal(stats.attempts, 0);
  assert_int_equal(stats.admitted, 0);
}

static void a_duplicate_is_refused_before_anything_is_sent(void **state) {
  (void)state;
  start(NULL, NULL);
  sheaf_request requests[4] = {prompt("a"), prompt("b"), prompt("c"), prompt("d")};
  requests[1].custom_id = SHEAF_LITERAL("same");
  requests[3].custom_id = SHEAF_LITERAL("same");
  sheaf_batch *batch = NULL;
  sheaf_parse_error error;
  assert_int_equal(sheaf_client_batch(client, requests, 4, NULL, &batch, &error),
                   SHEAF_E_DUPLICATE);
  assert_null(batch);
  assert_int_equal(error.status, SHEAF_E_DUPLICATE);
  assert_int_equal(error.column, 4); /* the later, from 1 */
  assert_int_equal(error.offset, 1); /* the earlier, from 0 */
  assert_string_equal(error.field, "custom_id");
  assert_nothing_was_sent();
  /* An id that a row without one would get counts too. */
  requests[3].custom_id = SHEAF_LITERAL("row-1");
  assert_int_equal(sheaf_client_batch(client, requests, 4, NULL, &batch, &error),
                   SHEAF_E_DUPLICATE);
  assert_int_equal(error.column, 4);
  assert_int_equal(error.offset, 0);
}

static void an_invalid_request_is_named_before_anything_is_sent(void **state) {
  (void)state;
  start(NULL, NULL);
  static char long_id[600];
  memset(long_id, 'x', sizeof long_id);
  sheaf_request requests[3] = {prompt("a"), prompt("b"), prompt("c")};
  sheaf_batch *batch = NULL;
  sheaf_parse_error error;
  requests[1].prompt = (sheaf_slice){NULL, 0};
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, &error), SHEAF_E_FIELD);
  assert_int_equal(error.column, 2);
  requests[1].messages = SHEAF_LITERAL("{\"role\":\"user\"}");
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, &error), SHEAF_E_TYPE);
  assert_int_equal(error.column, 2);
  assert_non_null(error.message);
  requests[1] = prompt("b");
  requests[2].endpoint = SHEAF_LITERAL("nowhere");
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, &error), SHEAF_E_FIELD);
  assert_int_equal(error.column, 3);
  requests[2] = prompt("c");
  requests[0].flags = SHEAF_REQUEST_TASK;
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, &error),
                   SHEAF_E_UNSUPPORTED);
  assert_int_equal(error.column, 1);
  requests[0] = prompt("a");
  requests[0].custom_id = (sheaf_slice){long_id, sizeof long_id};
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, &error), SHEAF_E_TOO_LONG);
  requests[0] = prompt("a");
  requests[1].struct_bytes = 0;
  assert_int_equal(sheaf_client_batch(client, requests, 3, NULL, &batch, &error), SHEAF_E_MISUSE);
  assert_int_equal(error.column, 2);
  assert_null(batch);
  assert_nothing_was_sent();
}

/* ---- Single requests ---- */

typedef struct counted {
  atomic_int calls, ok;
} counted;

static counted counts[THREADS * EACH];
static atomic_int all_calls;

static void count_result(void *user, const sheaf_result *result) {
  counted *c = user;
  atomic_fetch_add(&c->calls, 1);
  if (result->ok && result->user == user) atomic_fetch_add(&c->ok, 1);
  atomic_fetch_add(&all_calls, 1);
}

static void *submit_each(void *first) {
  counted *c = first;
  for (int i = 0; i < EACH; i++) {
    char text[32];
    snprintf(text, sizeof text, "of %d", i);
    sheaf_request request = prompt(text);
    request.user = &c[i];
    if (sheaf_client_submit(client, &request, count_result, &c[i], NULL)) return NULL;
    memset(text, 0, sizeof text); /* it was copied */
  }
  return first;
}

static void submits_of_eight_threads_complete_once_each(void **state) {
  (void)state;
  sheaf_engine_options engine = engine_options();
  engine.queue_capacity = 20; /* submits must wait for room */
  engine.concurrency = 10;
  start(NULL, &engine);
  memset(counts, 0, sizeof counts);
  atomic_store(&all_calls, 0);
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, submit_each, &counts[i * EACH]), 0);
  for (size_t i = 0; i < THREADS; i++) {
    void *good = NULL;
    pthread_join(threads[i], &good);
    assert_non_null(good);
  }
  sheaf_stats stats;
  do sheaf_client_stats(client, &stats);
  while (stats.succeeded + stats.failed + stats.not_attempted < THREADS * EACH);
  sheaf_client_free(client); /* after it no callback can come */
  client = NULL;
  for (size_t i = 0; i < THREADS * EACH; i++) {
    assert_int_equal(atomic_load(&counts[i].calls), 1);
    assert_int_equal(atomic_load(&counts[i].ok), 1);
  }
}

typedef struct chain {
  atomic_int left, ended, refused;
  int32_t batch_status;
} chain;

static void submit_again(void *user, const sheaf_result *result) {
  chain *c = user;
  (void)result;
  sheaf_batch *batch = NULL;
  sheaf_request request = prompt("again");
  c->batch_status = sheaf_client_batch(client, &request, 1, NULL, &batch, NULL);
  if (atomic_fetch_sub(&c->left, 1) > 1) {
    if (sheaf_client_submit(client, &request, submit_again, c, NULL))
      atomic_fetch_add(&c->refused, 1);
  } else {
    sheaf_stats stats;
    sheaf_client_stats(client, &stats); /* does not wait for itself */
    atomic_store(&c->ended, stats.succeeded > 0 ? 1 : -1);
  }
}

static void wait_until(atomic_int *flag, int wanted) {
  sheaf_stats stats;
  uint64_t limit = sheaf_now_ns() + (uint64_t)FAR_MS * 1000000;
  while (atomic_load(flag) != wanted && sheaf_now_ns() < limit) sheaf_client_stats(client, &stats);
  assert_int_equal(atomic_load(flag), wanted);
}

static void a_callback_may_submit_but_not_wait(void **state) {
  (void)state;
  start(NULL, NULL);
  chain c = {.left = 20};
  sheaf_request request = prompt("first");
  assert_int_equal(sheaf_client_submit(client, &request, submit_again, &c, NULL), SHEAF_OK);
  wait_until(&c.ended, 1);
  assert_int_equal(atomic_load(&c.refused), 0);
  assert_int_equal(c.batch_status, SHEAF_E_MISUSE);
}

static atomic_int full_status, full_done;

static void submit_until_full(void *user, const sheaf_result *result) {
  (void)user;
  (void)result;
  sheaf_request request = prompt("more");
  int32_t status = SHEAF_OK;
  for (int i = 0; i < 100 && status == SHEAF_OK; i++)
    status = sheaf_client_submit(client, &request, NULL, NULL, NULL);
  atomic_store(&full_status, status);
  atomic_store(&full_done, 1);
}

static void a_callback_finds_a_full_queue_instead_of_waiting(void **state) {
  (void)state;
  sheaf_engine_options engine = engine_options();
  engine.queue_capacity = 5;
  start(NULL, &engine);
  atomic_store(&full_done, 0);
  sheaf_request request = prompt("first");
  assert_int_equal(sheaf_client_submit(client, &request, submit_until_full, NULL, NULL), SHEAF_OK);
  wait_until(&full_done, 1);
  assert_int_equal(atomic_load(&full_status), SHEAF_E_FULL);
}

static void an_invalid_single_request_ends_as_its_own_failure(void **state) {
  (void)state;
  start(NULL, NULL);
  sheaf_request request = SHEAF_REQUEST_INIT;
  uint64_t id = 99;
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_E_FIELD);
  request.messages = SHEAF_LITERAL("{\"not\":\"a list\"}");
  request.metadata = SHEAF_LITERAL("7");
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, &id), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_false(result->ok);
  assert_false(result->attempted);
  assert_int_equal(result->error_class, SHEAF_CLASS_INVALID_REQUEST);
  assert_true(result->error_message.bytes > 0);
  assert_int_equal(result->index, id);
  assert_slice(result->metadata, "7");
  sheaf_result_free(result);
  sheaf_stats stats;
  sheaf_client_stats(client, &stats);
  assert_int_equal(stats.failed, 1);
  assert_int_equal(stats.failed_by_class[SHEAF_CLASS_INVALID_REQUEST], 1);
}

/* ---- The completion queue ---- */

static void results_without_a_callback_wait_in_the_queue(void **state) {
  (void)state;
  start(NULL, NULL);
  bool seen[50] = {false};
  uint64_t ids[50];
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_next(client, 0, &result), SHEAF_E_EMPTY);
  assert_int_equal(sheaf_client_next(client, 1, &result), SHEAF_E_EMPTY);
  for (int i = 0; i < 50; i++) {
    char text[32];
    snprintf(text, sizeof text, "say \"%d\"\n", i);
    sheaf_request request = prompt(text);
    assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, &ids[i]), SHEAF_OK);
  }
  for (int i = 0; i < 50; i++) {
    assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
    assert_true(result->ok);
    assert_true(result->index < 50);
    assert_false(seen[result->index]);
    seen[result->index] = true;
    assert_memory_equal(result->text.data, "echo: say \"", 11);
    assert_int_equal(result->text.data[result->text.bytes], 0);
    assert_int_equal(result->text_json.data[result->text_json.bytes - 1], 'n');
    assert_true(result->body.bytes > result->text.bytes);
    sheaf_result_free(result);
  }
  assert_int_equal(sheaf_client_next(client, 0, &result), SHEAF_E_EMPTY);
}

/* ---- Cancel and ends ---- */

static const char *const stalls[] = {"fault", "stall:1", NULL};

static sheaf_engine_options one_at_a_time(void) {
  sheaf_engine_options engine = engine_options();
  engine.concurrency = 1;
  engine.max_retries = 0;
  return engine;
}

static void wait_for_flight(uint64_t wanted) {
  sheaf_stats stats;
  uint64_t limit = sheaf_now_ns() + (uint64_t)FAR_MS * 1000000;
  do sheaf_client_stats(client, &stats);
  while (stats.in_flight != wanted && sheaf_now_ns() < limit);
  assert_int_equal(stats.in_flight, wanted);
}

static void a_cancel_ends_what_waits_and_what_flies(void **state) {
  (void)state;
  sheaf_engine_options engine = one_at_a_time();
  start(stalls, &engine);
  sheaf_request request = prompt("x");
  uint64_t flying, waiting;
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, &flying), SHEAF_OK);
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, &waiting), SHEAF_OK);
  wait_for_flight(1);
  assert_int_equal(sheaf_client_cancel(client, waiting), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_int_equal(result->index, waiting);
  assert_int_equal(result->error_class, SHEAF_CLASS_CANCELLED);
  assert_false(result->attempted);
  sheaf_result_free(result);
  assert_int_equal(sheaf_client_cancel(client, flying), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_int_equal(result->index, flying);
  assert_false(result->ok);
  assert_true(result->attempted);
  sheaf_result_free(result);
  assert_int_equal(sheaf_client_cancel(client, 1000), SHEAF_E_NOT_FOUND);
  assert_int_equal(sheaf_client_cancel(client, flying), SHEAF_OK); /* over: nothing happens */
}

static void *drain_soon(void *unused) {
  (void)unused;
  wait_for_flight(4);
  sheaf_client_drain(client);
  return NULL;
}

static void a_drain_lets_flights_end_and_cancels_what_waits(void **state) {
  (void)state;
  const char *const options[] = {"latency", "fixed:300", NULL};
  sheaf_engine_options engine = engine_options();
  engine.concurrency = 4;
  start(options, &engine);
  make_prompts();
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, drain_soon, NULL), 0);
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, prompts, 200, &batch), SHEAF_OK);
  pthread_join(thread, NULL);
  size_t ok = sheaf_batch_success_count(batch);
  assert_in_range(ok, 4, 199);
  for (size_t i = 0; i < 200; i++) {
    const sheaf_result *result = sheaf_batch_at(batch, i);
    if (result->ok) continue;
    assert_int_equal(result->error_class, SHEAF_CLASS_CANCELLED);
    assert_false(result->attempted);
    assert_true(result->custom_id.bytes > 0);
  }
  sheaf_batch_free(batch);
  sheaf_stats stats;
  sheaf_client_stats(client, &stats);
  assert_int_equal(stats.succeeded, ok);
  assert_int_equal(stats.not_attempted, 200 - ok);
  assert_int_equal(stats.failed, 0);
  sheaf_request request = prompt("late");
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_E_END);
  assert_int_equal(sheaf_client_batch(client, &request, 1, NULL, &batch, NULL), SHEAF_E_END);
}

static void an_abort_ends_flights_too(void **state) {
  (void)state;
  sheaf_engine_options engine = engine_options();
  engine.concurrency = 2;
  start(stalls, &engine);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 5; i++)
    assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_OK);
  wait_for_flight(2);
  assert_int_equal(sheaf_client_abort(client), SHEAF_OK);
  int attempted = 0;
  for (int i = 0; i < 5; i++) {
    sheaf_result *result = NULL;
    assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
    assert_false(result->ok);
    attempted += result->attempted;
    sheaf_result_free(result);
  }
  assert_int_equal(attempted, 2);
}

static atomic_int free_ok, free_cancelled, free_other;

static void count_end(void *user, const sheaf_result *result) {
  (void)user;
  if (result->ok)
    atomic_fetch_add(&free_ok, 1);
  else if (result->error_class == SHEAF_CLASS_CANCELLED && !result->attempted)
    atomic_fetch_add(&free_cancelled, 1);
  else
    atomic_fetch_add(&free_other, 1);
}

static void free_ends_every_request_that_waits(void **state) {
  (void)state;
  const char *const options[] = {"latency", "fixed:100", NULL};
  sheaf_engine_options engine = one_at_a_time();
  start(options, &engine);
  atomic_store(&free_ok, 0);
  atomic_store(&free_cancelled, 0);
  atomic_store(&free_other, 0);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 50; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count_end, NULL, NULL), SHEAF_OK);
  /* Some are left in the completion queue: they are freed with the client. */
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_OK);
  sheaf_client_free(client);
  client = NULL;
  assert_int_equal(atomic_load(&free_other), 0);
  assert_int_equal(atomic_load(&free_ok) + atomic_load(&free_cancelled), 50);
  assert_true(atomic_load(&free_cancelled) > 0);
}

static void free_of_an_idle_client_returns(void **state) {
  (void)state;
  start(NULL, NULL);
  sheaf_client_free(client);
  client = NULL;
  sheaf_client_free(NULL);
}

/* ---- Keys and places ---- */

static void a_missing_key_is_told_at_once(void **state) {
  (void)state;
  unsetenv("OPENAI_API_KEY");
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  assert_int_equal(sheaf_client_new(&options, &client), SHEAF_E_AUTH);
  setenv("OPENAI_API_KEY", " \n", 1); /* empty is none */
  assert_int_equal(sheaf_client_new(&options, &client), SHEAF_E_AUTH);
  unsetenv("OPENAI_API_KEY");
  options.provider = "nobody";
  assert_int_equal(sheaf_client_new(&options, &client), SHEAF_E_NOT_FOUND);
  assert_null(client);
}

static void ask_once(const char *wanted) {
  const char *one[] = {"hello"};
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, one, 1, &batch), SHEAF_OK);
  assert_string_equal(sheaf_batch_text(batch, 0), wanted);
  sheaf_batch_free(batch);
  sheaf_client_free(client);
  client = NULL;
}

static void the_key_comes_from_the_environment_and_is_trimmed(void **state) {
  (void)state;
  const char *const options[] = {"key", "sk-environment-1", NULL};
  start_sim(options);
  sheaf_client_options given = SHEAF_CLIENT_OPTIONS_INIT;
  given.base_url = base_url;
  given.model = "m";
  setenv("OPENAI_API_KEY", "sk-environment-1\n", 1);
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  unsetenv("OPENAI_API_KEY");
  ask_once("echo: hello");
  given.api_key = "sk-wrong-one-12345";
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  const char *one[] = {"hello"};
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, one, 1, &batch), SHEAF_E_ALL_FAILED);
  assert_int_equal(sheaf_batch_at(batch, 0)->error_class, SHEAF_CLASS_AUTH);
  sheaf_batch_free(batch);
  char line[512];
  sheaf_client_status(client, line, sizeof line);
  assert_non_null(strstr(line, "refused the key"));
  assert_null(strstr(line, "sk-wrong"));
}

static const test_step repeats_the_key[] = {
    {.kind = TEST_READ},
    {.kind = TEST_SEND,
     .data =
         "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 59\r\n\r\n"
         "{\"error\":{\"message\":\"who is sk-repeated-0001?\",\"code\":\"x\"}}"},
    {.kind = TEST_AGAIN}};

static void keep_message(void *user, const sheaf_result *result) {
  snprintf(user, 256, "%.*s", (int)result->error_message.bytes, result->error_message.data);
}

static void a_key_that_the_server_repeats_is_not_shown(void **state) {
  (void)state;
  const test_step *scripts[] = {repeats_the_key};
  test_server *server = test_server_new(scripts, 1);
  sheaf_client_options given = SHEAF_CLIENT_OPTIONS_INIT;
  given.base_url = test_server_url(server, "/v1");
  given.model = "m";
  given.api_key = "sk-repeated-0001";
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  const char *one[] = {"hello"};
  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, one, 1, &batch), SHEAF_E_ALL_FAILED);
  const sheaf_result *result = sheaf_batch_at(batch, 0);
  assert_non_null(strstr(result->error_message.data, "who is ****"));
  assert_null(strstr(result->body.data, "repeated"));
  sheaf_batch_free(batch);
  static char message[256];
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("hello");
  uint64_t id;
  assert_int_equal(sheaf_client_submit(client, &request, keep_message, message, &id), SHEAF_OK);
  sheaf_client_batch_prompts(client, one, 1,
                             &batch); /* behind it in the queue: both are over then */
  sheaf_batch_free(batch);
  sheaf_client_free(client);
  client = NULL;
  assert_non_null(strstr(message, "who is ****"));
  assert_null(strstr(message, "repeated"));
  assert_true(test_server_saw(server, "Bearer sk-repeated-0001"));
  test_server_free(server);
}

static void ollama_is_found_by_its_variable(void **state) {
  (void)state;
  start_sim(NULL);
  sheaf_client_options given = SHEAF_CLIENT_OPTIONS_INIT;
  given.provider = "ollama";
  given.model = "llama3.2";
  setenv("OLLAMA_HOST", sheaf_sim_url(sim) + strlen("http://"), 1);
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  ask_once("echo: hello");
  setenv("OLLAMA_HOST", sheaf_sim_url(sim), 1);
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  unsetenv("OLLAMA_HOST");
  ask_once("echo: hello");
}

static void endpoints_take_their_credentials_later(void **state) {
  (void)state;
  const char *const options[] = {"key", "sk-later-12345", NULL};
  start_sim(options);
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
  endpoint.base_url = sheaf_slice_of(base_url);
  endpoint.model = SHEAF_LITERAL("m");
  endpoint.credential_id = 7;
  sheaf_client_options given = SHEAF_CLIENT_OPTIONS_INIT;
  given.endpoints = &endpoint;
  given.endpoint_count = 1;
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
  assert_int_equal(sheaf_client_set_credential(client, 7, "no url", "k"), SHEAF_E_FIELD);
  assert_int_equal(sheaf_client_set_credential(client, 7, base_url, "sk-later-12345"), SHEAF_OK);
  ask_once("echo: hello");
}

/* ---- Statistics ---- */

static void the_status_line_is_terminated_and_fits(void **state) {
  (void)state;
  start(NULL, NULL);
  char line[512], small[8];
  size_t bytes = sheaf_client_status(client, line, sizeof line);
  assert_int_equal(bytes, strlen(line));
  assert_memory_equal(line, "ok; ", 4);
  bytes = sheaf_client_status(client, small, sizeof small);
  assert_int_equal(bytes, 7);
  assert_memory_equal(small, line, 7);
  assert_int_equal(small[7], 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_list_of_prompts_comes_back_in_order),
      CASE(a_list_by_completion_holds_every_row_once),
      CASE(some_failures_do_not_fail_the_call),
      CASE(a_list_of_which_all_fail_says_so_and_why),
      CASE(an_empty_list_is_a_success),
      CASE(results_are_found_by_their_own_ids),
      CASE(an_empty_prompt_is_a_prompt),
      CASE(a_long_list_passes_through_a_small_queue),
      CASE(streams_give_deltas_and_progress_is_told),
      CASE(lists_of_several_threads_share_the_client),
      CASE(a_duplicate_is_refused_before_anything_is_sent),
      CASE(an_invalid_request_is_named_before_anything_is_sent),
      CASE(submits_of_eight_threads_complete_once_each),
      CASE(a_callback_may_submit_but_not_wait),
      CASE(a_callback_finds_a_full_queue_instead_of_waiting),
      CASE(an_invalid_single_request_ends_as_its_own_failure),
      CASE(results_without_a_callback_wait_in_the_queue),
      CASE(a_cancel_ends_what_waits_and_what_flies),
      CASE(a_drain_lets_flights_end_and_cancels_what_waits),
      CASE(an_abort_ends_flights_too),
      CASE(free_ends_every_request_that_waits),
      CASE(free_of_an_idle_client_returns),
      CASE(a_missing_key_is_told_at_once),
      CASE(the_key_comes_from_the_environment_and_is_trimmed),
      CASE(a_key_that_the_server_repeats_is_not_shown),
      CASE(ollama_is_found_by_its_variable),
      CASE(endpoints_take_their_credentials_later),
      CASE(the_status_line_is_terminated_and_fits),
  };
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
