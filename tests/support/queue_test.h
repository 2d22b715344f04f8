/* queue_test.h: what the tests of the client as a queue share: a simulator, a client, counters. */
#ifndef QUEUE_TEST_H
#define QUEUE_TEST_H

#include <sheaf/client.h>
#include <sheaf/curl.h>
#include <sheaf/sim.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FAR_MS = 30000 };

static sheaf_sim *sim;
static sheaf_client *client;
static char base_url[256];
static sheaf_engine_options engine;
static sheaf_client_options given;

/* options: name, value, ... NULL */
static inline void start_sim(const char *const *options) {
  sheaf_sim_options chosen = SHEAF_SIM_OPTIONS_INIT;
  char message[256] = "";
  for (; options != NULL && options[0] != NULL; options += 2)
    assert_int_equal(sheaf_sim_option_set(&chosen, options[0], options[1], message, sizeof message),
                     SHEAF_OK);
  assert_int_equal(sheaf_sim_start(&chosen, &sim, message, sizeof message), SHEAF_OK);
  snprintf(base_url, sizeof base_url, "%s/v1", sheaf_sim_url(sim));
}

typedef struct counted {
  atomic_int ended, ok, cancelled, last_status;
} counted;

static inline void count(void *user, const sheaf_result *result) {
  counted *c = user;
  atomic_store(&c->last_status, (int)result->error_class);
  atomic_fetch_add(&c->ended, 1);
  if (result->error_class == SHEAF_CLASS_CANCELLED) atomic_fetch_add(&c->cancelled, 1);
  if (result->ok) atomic_fetch_add(&c->ok, 1);
}

/* What most tests count with. It outlives each of them: a callback may still be at it when its test has seen enough. */
static counted tally;

/* With `engine` and `given` as the test left them. */
static inline void start(const char *const *sim_options) {
  start_sim(sim_options);
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_OK);
}

static inline int set_up(void **state) {
  (void)state;
  client = NULL;
  sim = NULL;
  memset(&tally, 0, sizeof tally);
  sheaf_engine_options_init(&engine);
  given = SHEAF_CLIENT_OPTIONS_INIT;
  given.base_url = base_url;
  given.api_key = "sk-test-0123456789";
  given.model = "gpt-4o-mini";
  given.engine = &engine;
  return 0;
}

static inline int tear_down(void **state) {
  (void)state;
  sheaf_client_stop(client, 0); /* free would wait for what stalls */
  sheaf_client_free(client);
  sheaf_sim_stop(sim);
  client = NULL;
  sim = NULL;
  return 0;
}

static inline sheaf_request prompt(const char *text) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = sheaf_slice_of(text);
  return request;
}

static inline void assert_slice(sheaf_slice slice, const char *text) {
  assert_int_equal(slice.bytes, strlen(text));
  assert_memory_equal(slice.data ? slice.data : "", text, slice.bytes);
}

static inline sheaf_stats stats_now(void) {
  sheaf_stats stats;
  sheaf_client_stats(client, &stats);
  return stats;
}

/* Waits until an expression holds; statistics are asked meanwhile, so that the driver takes turns. */
#define WAIT_UNTIL(condition)                                            \
  do {                                                                   \
    uint64_t limit_ns = sheaf_now_ns() + (uint64_t)FAR_MS * 1000000;     \
    while (!(condition) && sheaf_now_ns() < limit_ns) (void)stats_now(); \
    assert_true(condition);                                              \
  } while (0)

static const char *const stalls[] = {"fault", "stall:1", NULL}; /* no answer, ever */

/* Nothing is tried again, so many run at a time. */
static inline void plain_engine(uint64_t concurrency) {
  engine.concurrency = concurrency;
  engine.max_retries = 0;
}

/* Submits and waits for the answer. */
static inline sheaf_result *ask(const char *text, void *user, uint64_t *id) {
  sheaf_request request = prompt(text);
  sheaf_result *result = NULL;
  request.user = user;
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, id), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  return result;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define run_cases(tests)                                                         \
  (setenv("no_proxy", "127.0.0.1", 1), /* the simulator is not behind a proxy */ \
   cmocka_run_group_tests(tests, NULL, NULL))

#endif
