/* test_client_queue.c: the client as a queue, against the simulated provider: handles, backpressure, order, pauses, stop and
 * start, options while it runs.
 *
 * Waits are for events with a far limit, never for a time. Data races: the preset tsan builds and runs this file under
 * ThreadSanitizer (cmake --preset tsan; cmake --build --preset tsan; ctest --preset tsan -R test_client), preset asan under the
 * address and undefined behaviour sanitizers.
 *
 * Outline: many at once, handles, room, order and pauses, stop and start, options. */
#define _POSIX_C_SOURCE 200809L
#include "../support/queue_test.h"

/* ---- Many at once ---- */

enum { THREADS = 8, EACH = 60 };

static counted all[THREADS * EACH];

/* A third each by callback, handle and completion queue, whose results the consumer counts. */
static void *produce_all_ways(void *first) {
  counted *c = first;
  sheaf_handle *handles[EACH] = {NULL};
  for (int i = 0; i < EACH; i++) {
    char text[32];
    snprintf(text, sizeof text, "of %d", i);
    sheaf_request request = prompt(text);
    request.user = &c[i];
    int32_t status = i % 3 == 0   ? sheaf_client_submit(client, &request, count, &c[i], NULL)
                     : i % 3 == 1 ? sheaf_client_send(client, &request, SHEAF_NEVER, &handles[i])
                                  : sheaf_client_submit(client, &request, NULL, NULL, NULL);
    if (status) return NULL;
    memset(text, 0, sizeof text); /* it was copied */
  }
  for (int i = 1; i < EACH; i += 3) {
    const sheaf_result *result = NULL;
    if (sheaf_handle_wait(handles[i], FAR_MS, &result)) return NULL;
    count(result->user, result);
    sheaf_handle_free(handles[i]);
  }
  return first;
}

static void *consume(void *how_many) {
  for (int left = *(int *)how_many; left > 0; left--) {
    sheaf_result *result = NULL;
    if (sheaf_client_next(client, FAR_MS, &result)) return NULL;
    count(result->user, result);
    sheaf_result_free(result);
  }
  return how_many;
}

static void requests_of_many_threads_and_all_ways_complete_once_each(void **state) {
  (void)state;
  const char *const options[] = {"latency", "uniform:1:10", NULL};
  engine.queue_capacity = 20; /* submits must wait for room */
  engine.concurrency = 10;
  start(options);
  memset(all, 0, sizeof all);
  pthread_t threads[THREADS], consumers[2];
  int half = THREADS * EACH / 3 / 2;
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&consumers[i], NULL, consume, &half), 0);
  for (size_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, produce_all_ways, &all[i * EACH]), 0);
  void *good = NULL;
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], &good);
    assert_non_null(good);
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(consumers[i], &good);
    assert_non_null(good);
  }
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  for (size_t i = 0; i < THREADS * EACH; i++) {
    assert_int_equal(atomic_load(&all[i].ended), 1);
    assert_int_equal(atomic_load(&all[i].ok), 1);
  }
  assert_int_equal(stats_now().succeeded, THREADS * EACH);
}

static uint64_t storm_ids[400];

/* Cancels every id of all, from its own place on. */
static void *cancel_all(void *from) {
  size_t count_of = sizeof storm_ids / sizeof *storm_ids, at = *(size_t *)from;
  for (size_t i = 0; i < count_of; i++) sheaf_client_cancel(client, storm_ids[(at + i) % count_of]);
  return NULL;
}

static void a_storm_of_cancels_ends_each_request_once(void **state) {
  (void)state;
  enum { STORM = sizeof storm_ids / sizeof *storm_ids };
  static counted storm[STORM];
  plain_engine(50);
  start(stalls);
  memset(storm, 0, sizeof storm);
  sheaf_request request = prompt("x");
  for (size_t i = 0; i < STORM; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &storm[i], &storm_ids[i]),
                     SHEAF_OK);
  pthread_t threads[4];
  size_t from[4] = {0, 100, 200, 300};
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, cancel_all, &from[i]), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK); /* would stall for ever */
  for (size_t i = 0; i < STORM; i++) {
    assert_int_equal(atomic_load(&storm[i].ended), 1);
    assert_int_equal(atomic_load(&storm[i].cancelled), 1);
  }
}

/* ---- Handles ---- */

static const sheaf_result *waited[THREADS];
static sheaf_handle *shared_handle;

static void *wait_for_shared(void *place) {
  const sheaf_result *result = NULL;
  if (sheaf_handle_wait(shared_handle, SHEAF_NEVER, &result) == SHEAF_OK)
    *(const sheaf_result **)place = result;
  return NULL;
}

static void all_who_wait_for_a_handle_see_one_result(void **state) {
  (void)state;
  const char *const options[] = {"latency", "fixed:50", NULL};
  start(options);
  sheaf_request request = prompt("hello");
  request.metadata = SHEAF_LITERAL("[1]");
  assert_int_equal(sheaf_client_send(client, &request, SHEAF_NEVER, &shared_handle), SHEAF_OK);
  pthread_t threads[THREADS];
  memset(waited, 0, sizeof waited);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, wait_for_shared, &waited[i]), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_non_null(waited[0]);
  for (int i = 0; i < THREADS; i++) assert_ptr_equal(waited[i], waited[0]);
  /* It outlives the client. */
  sheaf_client_free(client);
  client = NULL;
  assert_true(waited[0]->ok);
  assert_slice(waited[0]->text, "echo: hello");
  assert_slice(waited[0]->metadata, "[1]");
  const sheaf_result *again = NULL;
  assert_int_equal(sheaf_handle_wait(shared_handle, 0, &again), SHEAF_OK);
  assert_ptr_equal(again, waited[0]);
  assert_int_equal(sheaf_handle_cancel(shared_handle), SHEAF_OK); /* over: nothing happens */
  sheaf_handle_free(shared_handle);
  sheaf_handle_free(NULL);
}

static void a_handle_answers_later_until_it_is_over_and_can_be_cancelled(void **state) {
  (void)state;
  plain_engine(1);
  start(stalls);
  sheaf_request request = prompt("x");
  sheaf_handle *handle = NULL;
  const sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_send(client, &request, SHEAF_NEVER, &handle), SHEAF_OK);
  assert_int_equal(sheaf_handle_wait(handle, 0, &result), SHEAF_E_LATER);
  assert_int_equal(sheaf_handle_wait(handle, 5, &result), SHEAF_E_LATER);
  assert_null(result);
  assert_int_equal(sheaf_handle_cancel(handle), SHEAF_OK);
  assert_int_equal(sheaf_handle_wait(handle, FAR_MS, &result), SHEAF_OK);
  assert_int_equal(result->error_class, SHEAF_CLASS_CANCELLED);
  sheaf_handle_free(handle);
}

static void a_handle_let_go_early_drops_the_result_only(void **state) {
  (void)state;
  const char *const options[] = {"latency", "fixed:20", NULL};
  start(options);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 20; i++) {
    sheaf_handle *handle = NULL;
    assert_int_equal(sheaf_client_send(client, &request, SHEAF_NEVER, &handle), SHEAF_OK);
    sheaf_handle_free(handle);
  }
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(stats_now().succeeded, 20);
}

static atomic_int callback_status;
static sheaf_handle *callback_handle;

static void wait_in_callback(void *user, const sheaf_result *result) {
  const sheaf_result *unused;
  (void)user, (void)result;
  atomic_store(&callback_status, sheaf_handle_wait(callback_handle, 1000, &unused));
}

static void a_callback_may_look_at_a_handle_but_not_wait_for_it(void **state) {
  (void)state;
  const char *const options[] = {"latency", "fixed:50", NULL};
  plain_engine(1);
  start(options);
  sheaf_request request = prompt("x");
  const sheaf_result *result = NULL;
  atomic_store(&callback_status, 0);
  assert_int_equal(sheaf_client_pause(client), SHEAF_OK); /* the callback comes first */
  assert_int_equal(sheaf_client_submit(client, &request, wait_in_callback, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_send(client, &request, SHEAF_NEVER, &callback_handle), SHEAF_OK);
  assert_int_equal(sheaf_client_resume(client), SHEAF_OK);
  assert_int_equal(sheaf_handle_wait(callback_handle, FAR_MS, &result), SHEAF_OK);
  assert_int_equal(atomic_load(&callback_status), SHEAF_E_MISUSE);
  sheaf_handle_free(callback_handle);
}

/* ---- Room ---- */

static atomic_int late_submits;

static void *submit_late(void *unused) {
  sheaf_request request = prompt("late");
  if (sheaf_client_submit(client, &request, NULL, NULL, NULL) == SHEAF_OK)
    atomic_fetch_add(&late_submits, 1);
  return unused;
}

/* One in flight for good, three that wait: full. */
static void fill(uint64_t ids[4]) {
  sheaf_request request = prompt("x");
  plain_engine(1);
  engine.queue_capacity = 3;
  start(stalls);
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, &ids[0]), SHEAF_OK);
  WAIT_UNTIL(stats_now().in_flight == 1);
  for (int i = 1; i < 4; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, &ids[i]), SHEAF_OK);
}

static void a_full_queue_refuses_at_once_or_after_a_while(void **state) {
  (void)state;
  uint64_t ids[4];
  fill(ids);
  sheaf_request request = prompt("y");
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  sheaf_handle *handle = NULL;
  options.room_wait_ms = 0;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_E_FULL);
  assert_int_equal(sheaf_client_send(client, &request, 0, &handle), SHEAF_E_FULL);
  options.room_wait_ms = 10;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_E_FULL);
  assert_int_equal(sheaf_client_send(client, &request, 10, &handle), SHEAF_E_FULL);
  assert_null(handle);
  assert_int_equal(stats_now().queued, 3);
  assert_false(sheaf_client_healthy(client)); /* there is no room */
}

static void a_full_queue_blocks_until_there_is_room(void **state) {
  (void)state;
  uint64_t ids[4];
  pthread_t threads[2];
  fill(ids);
  atomic_store(&late_submits, 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, submit_late, NULL), 0);
  assert_int_equal(sheaf_client_cancel(client, ids[2]), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&late_submits) == 1); /* one place, one submit */
  assert_int_equal(atomic_load(&tally.cancelled), 1);
  assert_int_equal(stats_now().queued, 3);
  assert_int_equal(sheaf_client_cancel(client, ids[3]), SHEAF_OK);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&late_submits), 2);
}

static void who_waits_for_room_is_refused_when_the_client_stops(void **state) {
  (void)state;
  uint64_t ids[4];
  pthread_t threads[3];
  fill(ids);
  atomic_store(&late_submits, 0);
  for (int i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, submit_late, NULL), 0);
  assert_int_equal(sheaf_client_stop(client, 0), SHEAF_OK);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&late_submits), 0);
  assert_int_equal(atomic_load(&tally.ended), 4);
}

static void text_beyond_queue_bytes_max_finds_no_room(void **state) {
  (void)state;
  static char long_text[600001];
  memset(long_text, 'x', sizeof long_text - 1);
  plain_engine(1);
  engine.queue_bytes_max = 1 << 20;
  start(stalls);
  sheaf_request request = prompt(long_text);
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  uint64_t id;
  options.room_wait_ms = 0;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, &id), SHEAF_OK);
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_E_FULL);
  /* What is over takes no room. */
  sheaf_result *result = NULL;
  assert_int_equal(sheaf_client_cancel(client, id), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  sheaf_result_free(result);
  options.room_wait_ms = FAR_MS;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_OK);
}

/* ---- Order and pauses ---- */

static char order[16], marks[] = "unb";
static atomic_int ordered;

static void note_order(void *user, const sheaf_result *result) {
  order[atomic_load(&ordered)] = result->ok ? *(char *)user : '!';
  atomic_fetch_add(&ordered, 1);
}

static void urgent_goes_first_and_background_last(void **state) {
  (void)state;
  plain_engine(1);
  start(NULL);
  memset(order, 0, sizeof order);
  atomic_store(&ordered, 0);
  sheaf_request request = prompt("x");
  request.priority = SHEAF_PRIORITY_URGENT; /* background does not listen to it */
  assert_int_equal(sheaf_client_pause(client), SHEAF_OK);
  assert_int_equal(sheaf_client_submit_background(client, &request, note_order, &marks[2], NULL),
                   0);
  request.priority = 0;
  assert_int_equal(sheaf_client_submit(client, &request, note_order, &marks[1], NULL), SHEAF_OK);
  request.priority = SHEAF_PRIORITY_LOW; /* nor urgent */
  assert_int_equal(sheaf_client_submit_urgent(client, &request, note_order, &marks[0], NULL),
                   SHEAF_OK);
  WAIT_UNTIL(stats_now().queued == 3);
  assert_int_equal(sheaf_client_resume(client), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&ordered) == 3);
  assert_string_equal(order, "unb");
  sheaf_stats stats = stats_now();
  assert_int_equal(stats.urgent, 1);
  assert_int_equal(stats.background, 1);
}

static void a_pause_starts_nothing_and_takes_requests(void **state) {
  (void)state;
  char line[256];
  start(NULL);
  assert_int_equal(sheaf_client_pause(client), SHEAF_OK);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 10; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(stats_now().queued == 10);
  sheaf_stats stats = stats_now();
  assert_int_equal(stats.attempts, 0);
  assert_true(stats.paused);
  sheaf_client_status(client, line, sizeof line);
  assert_non_null(strstr(line, "paused by the caller"));
  assert_int_equal(sheaf_client_resume(client), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ok) == 10);
  assert_false(stats_now().paused);
}

static void pause_in_callback(void *user, const sheaf_result *result) {
  count(user, result);
  atomic_store(&callback_status, sheaf_client_pause(client));
}

static void a_pause_out_of_a_callback_holds_after_it(void **state) {
  (void)state;
  plain_engine(1);
  start(NULL);
  sheaf_request request = prompt("x");
  atomic_store(&callback_status, -1);
  assert_int_equal(sheaf_client_submit(client, &request, pause_in_callback, &tally, NULL),
                   SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 1 && stats_now().paused);
  assert_int_equal(atomic_load(&callback_status), SHEAF_OK);
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(stats_now().queued == 1);
  assert_int_equal(atomic_load(&tally.ended), 1);
  assert_int_equal(sheaf_client_resume(client), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 2);
}

/* ---- Stop and start ---- */

static void a_stop_without_end_finishes_everything(void **state) {
  (void)state;
  const char *const options[] = {"latency", "uniform:1:5", NULL};
  plain_engine(4);
  start(options);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 100; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(atomic_load(&tally.ok), 100);
  assert_int_equal(sheaf_client_stop(client, 0), SHEAF_OK); /* again: nothing to do */
}

static void a_stop_without_time_cancels_everything(void **state) {
  (void)state;
  plain_engine(4);
  start(stalls);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 50; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_stop(client, 0), SHEAF_OK);
  assert_int_equal(atomic_load(&tally.ended), 50);
  assert_int_equal(atomic_load(&tally.cancelled), 50);
}

static void a_stop_ends_what_is_not_done_in_time(void **state) {
  (void)state;
  plain_engine(10);
  start(stalls);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 20; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(stats_now().in_flight == 10);
  assert_int_equal(sheaf_client_stop(client, 20), SHEAF_OK);
  assert_int_equal(atomic_load(&tally.cancelled), 20);
}

static void a_stop_of_a_paused_client_cancels_what_waits(void **state) {
  (void)state;
  start(NULL);
  sheaf_request request = prompt("x");
  assert_int_equal(sheaf_client_pause(client), SHEAF_OK);
  for (int i = 0; i < 5; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(atomic_load(&tally.cancelled), 5);
}

static void *stop_for_good(void *unused) {
  sheaf_client_stop(client, SHEAF_NEVER);
  return unused;
}

static void the_shortest_of_several_stops_counts(void **state) {
  (void)state;
  pthread_t thread;
  plain_engine(1);
  start(stalls);
  sheaf_request request = prompt("x");
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(pthread_create(&thread, NULL, stop_for_good, NULL), 0);
  assert_int_equal(sheaf_client_stop(client, 1), SHEAF_OK);
  pthread_join(thread, NULL);
  assert_int_equal(atomic_load(&tally.cancelled), 1);
}

static void after_a_stop_all_hand_overs_answer_end(void **state) {
  (void)state;
  start(NULL);
  sheaf_request request = prompt("x");
  sheaf_handle *handle = NULL;
  sheaf_batch *batch = NULL;
  sheaf_result *result = NULL;
  char line[256];
  assert_true(sheaf_client_healthy(client));
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_E_END);
  assert_int_equal(sheaf_client_submit_urgent(client, &request, NULL, NULL, NULL), SHEAF_E_END);
  assert_int_equal(sheaf_client_send(client, &request, SHEAF_NEVER, &handle), SHEAF_E_END);
  assert_int_equal(sheaf_client_batch(client, &request, 1, NULL, &batch, NULL), SHEAF_E_END);
  assert_int_equal(sheaf_client_cancel(client, 0), SHEAF_E_END);
  assert_int_equal(sheaf_client_pause(client), SHEAF_E_END);
  /* What was finished can still be taken. */
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_true(result->ok);
  sheaf_result_free(result);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_E_END);
  assert_false(sheaf_client_healthy(client));
  sheaf_client_status(client, line, sizeof line);
  assert_memory_equal(line, "stopped; ", 9);
  assert_int_equal(stats_now().succeeded, 1);
}

/* Producers that go on until they are refused; how many were taken, and how many ended. */
static atomic_int taken, ended_at_stop, ended_after;
static atomic_bool stopped;

static void count_ended(void *user, const sheaf_result *result) {
  (void)user, (void)result;
  atomic_fetch_add(atomic_load(&stopped) ? &ended_after : &ended_at_stop, 1);
}

static void *produce_until_end(void *way) {
  sheaf_request request = prompt("x");
  for (;;) {
    sheaf_handle *handle = NULL;
    const sheaf_result *result = NULL;
    int32_t status = *(int *)way == 0
                         ? sheaf_client_submit(client, &request, count_ended, NULL, NULL)
                         : sheaf_client_send(client, &request, SHEAF_NEVER, &handle);
    if (status == SHEAF_E_END) return way;
    if (status) return NULL;
    atomic_fetch_add(&taken, 1);
    if (handle == NULL) continue;
    if (sheaf_handle_wait(handle, FAR_MS, &result)) return NULL;
    count_ended(NULL, result);
    sheaf_handle_free(handle);
  }
}

static void a_stop_at_any_instant_completes_each_request_once(void **state) {
  (void)state;
  const char *const options[] = {"latency", "uniform:0:3", NULL};
  engine.queue_capacity = 30;
  engine.concurrency = 8;
  start(options);
  for (int round = 0; round < 20; round++) {
    pthread_t threads[4];
    int ways[4] = {0, 1, 0, 1};
    atomic_store(&taken, 0);
    atomic_store(&ended_at_stop, 0);
    atomic_store(&ended_after, 0);
    atomic_store(&stopped, false);
    for (int i = 0; i < 4; i++)
      assert_int_equal(pthread_create(&threads[i], NULL, produce_until_end, &ways[i]), 0);
    while (atomic_load(&taken) < round * 7) continue;
    uint64_t wait_ms = round % 3 == 0 ? 0 : round % 3 == 1 ? 2 : SHEAF_NEVER;
    assert_int_equal(sheaf_client_stop(client, wait_ms), SHEAF_OK);
    sheaf_stats stats = stats_now();
    void *good = NULL;
    for (int i = 0; i < 4; i++) {
      pthread_join(threads[i], &good);
      assert_non_null(good);
    }
    atomic_store(&stopped, true);
    assert_int_equal(atomic_load(&ended_at_stop), atomic_load(&taken));
    assert_int_equal(stats.succeeded + stats.failed + stats.not_attempted, atomic_load(&taken));
    assert_int_equal(stats.queued + stats.in_flight + stats.waiting_retry, 0);
    assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  }
  assert_int_equal(atomic_load(&ended_after), 0);
}

static void a_start_after_a_stop_keeps_options_and_keys(void **state) {
  (void)state;
  const char *const options[] = {"key", "sk-test-0123456789", "latency", "fixed:20", NULL};
  char message[256];
  plain_engine(8);
  engine.system = SHEAF_LITERAL("be kind");
  start(options);
  assert_int_equal(sheaf_client_start(client), SHEAF_E_MISUSE); /* it runs */
  assert_int_equal(sheaf_client_set(client, "concurrency", "2", message, sizeof message), SHEAF_OK);
  sheaf_request request = prompt("x");
  for (int run = 0; run < 3; run++) {
    uint64_t id = 0;
    for (int i = 0; i < 10; i++)
      assert_int_equal(sheaf_client_submit(client, &request, count, &tally, &id), SHEAF_OK);
    assert_int_equal(id, (uint64_t)run * 10 + 9); /* ids go on */
    assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
    assert_int_equal(atomic_load(&tally.ok), (run + 1) * 10);
    sheaf_stats stats = stats_now();
    assert_int_equal(stats.succeeded, 10); /* they begin anew */
    assert_int_equal(stats.in_flight_max, 2);
    assert_int_equal(sheaf_client_start(client), SHEAF_OK);
    assert_true(sheaf_client_healthy(client));
  }
  /* What is set while it is stopped counts from the next start on: also what is fixed in a run. */
  assert_int_equal(sheaf_client_set(client, "reply_bytes_max", "1024", message, sizeof message),
                   SHEAF_E_UNSUPPORTED);
  assert_true(strlen(message) > 0);
  assert_int_equal(sheaf_client_stop(client, 0), SHEAF_OK);
  assert_int_equal(sheaf_client_set(client, "concurrency", "3", message, sizeof message), SHEAF_OK);
  assert_int_equal(sheaf_client_set(client, "reply_bytes_max", "1048576", message, sizeof message),
                   SHEAF_OK);
  assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  for (int i = 0; i < 10; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(stats_now().in_flight_max, 3);
}

static atomic_int stop_status, start_status;

static void stop_in_callback(void *user, const sheaf_result *result) {
  atomic_store(&stop_status, sheaf_client_stop(client, 0));
  atomic_store(&start_status, sheaf_client_start(client));
  count(user, result);
}

static void callbacks_cannot_stop_or_start_the_client(void **state) {
  (void)state;
  start(NULL);
  sheaf_request request = prompt("x");
  assert_int_equal(sheaf_client_submit(client, &request, stop_in_callback, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ok) == 1);
  assert_int_equal(atomic_load(&stop_status), SHEAF_E_MISUSE);
  assert_int_equal(atomic_load(&start_status), SHEAF_E_MISUSE);
}

/* The driver sleeps while nothing happens: a request that comes then is not older than its submit. */
static void the_time_of_a_request_begins_with_its_submit(void **state) {
  (void)state;
  const struct timespec idle = {.tv_nsec = 300000000};
  start(NULL);
  (void)stats_now();
  nanosleep(&idle, NULL);
  sheaf_request request = prompt("x");
  sheaf_result *result = NULL;
  uint64_t begun_ns = sheaf_now_ns();
  assert_int_equal(sheaf_client_submit(client, &request, NULL, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_next(client, FAR_MS, &result), SHEAF_OK);
  assert_true(result->total_ns < sheaf_now_ns() - begun_ns + 200000000u);
  sheaf_result_free(result);
}

/* ---- Options ---- */

static void more_concurrency_counts_at_once(void **state) {
  (void)state;
  char message[256];
  plain_engine(1);
  start(stalls);
  sheaf_request request = prompt("x");
  for (int i = 0; i < 12; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(stats_now().in_flight == 1);
  assert_int_equal(sheaf_client_set(client, "concurrency", "8", message, sizeof message), SHEAF_OK);
  assert_string_equal(message, "");
  WAIT_UNTIL(stats_now().in_flight == 8);
  assert_int_equal(stats_now().queued, 4);
}

static void a_rate_limit_can_be_put_on_and_taken_off(void **state) {
  (void)state;
  start(NULL);
  sheaf_request request = prompt("x");
  assert_int_equal(sheaf_client_set(client, "rpm", "1", NULL, 0), SHEAF_OK);
  for (int i = 0; i < 10; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(stats_now().limited_by == SHEAF_LIMITED_BY_RATE);
  assert_in_range(stats_now().queued, 8, 10);
  assert_int_equal(sheaf_client_set(client, "rpm", "0", NULL, 0), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ok) == 10);
}

static void more_room_counts_at_once(void **state) {
  (void)state;
  uint64_t ids[4];
  fill(ids);
  sheaf_request request = prompt("x");
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  options.room_wait_ms = 0;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_E_FULL);
  assert_int_equal(sheaf_client_set(client, "queue_capacity", "5", NULL, 0), SHEAF_OK);
  options.room_wait_ms = FAR_MS;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_OK);
  options.room_wait_ms = 0;
  assert_int_equal(sheaf_client_submit_with(client, &request, &options, NULL), SHEAF_E_FULL);
}

static void a_setting_that_is_none_is_refused_with_its_range(void **state) {
  (void)state;
  char message[256];
  start(NULL);
  assert_int_equal(sheaf_client_set(client, "rpm", "150000001", message, sizeof message),
                   SHEAF_E_RANGE);
  assert_non_null(strstr(message, "rpm"));
  assert_non_null(strstr(message, "150000000"));
  assert_int_equal(sheaf_client_set(client, "merge", "perhaps", message, sizeof message),
                   SHEAF_E_RANGE);
  assert_non_null(strstr(message, "off|lossless|prompts"));
  assert_int_equal(sheaf_client_set(client, "nonsense", "1", message, sizeof message),
                   SHEAF_E_NOT_FOUND);
  assert_non_null(strstr(message, "nonsense"));
  char tiny[4] = "???";
  assert_int_equal(sheaf_client_set(client, "rpm", "many", tiny, sizeof tiny), SHEAF_E_TYPE);
  assert_string_equal(tiny, "rpm");
}

static atomic_int set_good, set_bad;

static void set_in_callback(void *user, const sheaf_result *result) {
  atomic_store(&set_good, sheaf_client_set(client, "concurrency", "3", NULL, 0));
  atomic_store(&set_bad, sheaf_client_set(client, "concurrency", "many", NULL, 0));
  count(user, result);
}

static void a_callback_may_set_options(void **state) {
  (void)state;
  const char *const options[] = {"latency", "fixed:30", NULL};
  plain_engine(1);
  start(options);
  sheaf_request request = prompt("x");
  assert_int_equal(sheaf_client_submit(client, &request, set_in_callback, &tally, NULL), SHEAF_OK);
  for (int i = 0; i < 9; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_stop(client, SHEAF_NEVER), SHEAF_OK);
  assert_int_equal(atomic_load(&set_good), SHEAF_OK);
  assert_int_equal(atomic_load(&set_bad), SHEAF_E_TYPE);
  assert_int_equal(stats_now().in_flight_max, 3);
}

static void an_option_out_of_its_range_is_refused_by_name(void **state) {
  (void)state;
  char message[256] = "";
  given.message = message;
  given.message_bytes = sizeof message;
  engine.queue_capacity = 0;
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_E_RANGE);
  assert_non_null(strstr(message, "queue_capacity"));
  assert_non_null(strstr(message, "from 1 to 1000000"));
  sheaf_engine_options_init(&engine);
  given.workers_max = 1025;
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_E_RANGE);
  assert_non_null(strstr(message, "workers_max"));
  assert_non_null(strstr(message, "1024"));
  given.workers_max = 0;
  given.provider = "nobody";
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_E_NOT_FOUND);
  assert_non_null(strstr(message, "nobody"));
  given.provider = NULL;
  given.api_key = given.base_url = NULL;
  unsetenv("OPENAI_API_KEY");
  assert_int_equal(sheaf_client_new(&given, &client), SHEAF_E_AUTH);
  assert_non_null(strstr(message, "OPENAI_API_KEY"));
  assert_null(client);
}

static void statistics_begin_anew_after_a_reset(void **state) {
  (void)state;
  start(NULL);
  sheaf_request request = prompt("x"), bad = prompt("x");
  bad.params = SHEAF_LITERAL("not json");
  for (int i = 0; i < 5; i++)
    assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  assert_int_equal(sheaf_client_submit(client, &bad, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 6);
  assert_int_equal(stats_now().succeeded, 5);
  assert_int_equal(stats_now().failed, 1);
  sheaf_client_stats_reset(client);
  sheaf_stats stats = stats_now();
  assert_int_equal(stats.succeeded + stats.failed + stats.admitted, 0);
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 7);
  assert_int_equal(stats_now().succeeded, 1);
}

static void a_refused_key_is_not_healthy(void **state) {
  (void)state;
  const char *const options[] = {"key", "sk-another", NULL};
  start(options);
  sheaf_request request = prompt("x");
  assert_true(sheaf_client_healthy(client));
  assert_int_equal(sheaf_client_submit(client, &request, count, &tally, NULL), SHEAF_OK);
  WAIT_UNTIL(atomic_load(&tally.ended) == 1 && !sheaf_client_healthy(client));
  assert_int_equal(atomic_load(&tally.last_status), SHEAF_CLASS_AUTH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(requests_of_many_threads_and_all_ways_complete_once_each),
      CASE(a_storm_of_cancels_ends_each_request_once),
      CASE(all_who_wait_for_a_handle_see_one_result),
      CASE(a_handle_answers_later_until_it_is_over_and_can_be_cancelled),
      CASE(a_handle_let_go_early_drops_the_result_only),
      CASE(a_callback_may_look_at_a_handle_but_not_wait_for_it),
      CASE(a_full_queue_refuses_at_once_or_after_a_while),
      CASE(a_full_queue_blocks_until_there_is_room),
      CASE(who_waits_for_room_is_refused_when_the_client_stops),
      CASE(text_beyond_queue_bytes_max_finds_no_room),
      CASE(urgent_goes_first_and_background_last),
      CASE(a_pause_starts_nothing_and_takes_requests),
      CASE(a_pause_out_of_a_callback_holds_after_it),
      CASE(a_stop_without_end_finishes_everything),
      CASE(a_stop_without_time_cancels_everything),
      CASE(a_stop_ends_what_is_not_done_in_time),
      CASE(a_stop_of_a_paused_client_cancels_what_waits),
      CASE(the_shortest_of_several_stops_counts),
      CASE(after_a_stop_all_hand_overs_answer_end),
      CASE(a_stop_at_any_instant_completes_each_request_once),
      CASE(a_start_after_a_stop_keeps_options_and_keys),
      CASE(callbacks_cannot_stop_or_start_the_client),
      CASE(the_time_of_a_request_begins_with_its_submit),
      CASE(more_concurrency_counts_at_once),
      CASE(a_rate_limit_can_be_put_on_and_taken_off),
      CASE(more_room_counts_at_once),
      CASE(a_setting_that_is_none_is_refused_with_its_range),
      CASE(a_callback_may_set_options),
      CASE(an_option_out_of_its_range_is_refused_by_name),
      CASE(statistics_begin_anew_after_a_reset),
      CASE(a_refused_key_is_not_healthy),
  };
  return run_cases(tests);
}
