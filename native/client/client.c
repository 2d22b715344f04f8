/* client.c: the client's life: made, stopped, started again, freed.
 *
 * A run lasts from a start to the end of the driver thread. `run` counts them, so that who asks one to end cannot end the next.
 *
 * Outline: making and freeing, a run, its end. */
#include "client_int.h"

#include <stdlib.h>

/* ---- Making and freeing ---- */

/* A mark, not a command: the inbox points at it while no run takes anything. */
sheaf__command sheaf__closed;

static int32_t make_locks(sheaf_client *client) {
  pthread_condattr_t monotonic;
  if (pthread_condattr_init(&monotonic) != 0) return SHEAF_E_NOMEM;
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  bool made = pthread_mutex_init(&client->mutex, NULL) == 0;
  made = pthread_mutex_init(&client->life, NULL) == 0 && made;
  made = pthread_cond_init(&client->room, &monotonic) == 0 && made;
  made = pthread_cond_init(&client->finished, &monotonic) == 0 && made;
  made = pthread_cond_init(&client->answered, &monotonic) == 0 && made;
  pthread_condattr_destroy(&monotonic);
  return made ? SHEAF_OK : SHEAF_E_NOMEM;
}

static void destroy(sheaf_client *client) {
  sheaf__client_close(client);
  pthread_cond_destroy(&client->answered);
  pthread_cond_destroy(&client->finished);
  pthread_cond_destroy(&client->room);
  pthread_mutex_destroy(&client->life);
  pthread_mutex_destroy(&client->mutex);
  while (client->done_first != NULL) {
    sheaf__owned *owned = client->done_first;
    client->done_first = owned->next;
    sheaf_result_free(&owned->result);
  }
  free(client);
}

static int32_t begin_run(sheaf_client *client);

int32_t sheaf_client_new(const sheaf_client_options *options, sheaf_client **client) {
  if (options == NULL || client == NULL) return SHEAF_E_MISUSE;
  sheaf_client *made = calloc(1, sizeof *made);
  if (made == NULL) return SHEAF_E_NOMEM;
  int32_t status = make_locks(made);
  if (status) {
    free(made);
    return status;
  }
  atomic_store(&made->inbox, &sheaf__closed);
  status = sheaf__client_open(made, options);
  if (status == SHEAF_OK) status = begin_run(made);
  if (status) {
    made->transport.free = NULL; /* it is the caller's still */
    destroy(made);
    return status;
  }
  *client = made;
  return SHEAF_OK;
}

/* ---- A run ---- */

/* The program's signals are its own: their handlers run in its threads, not in the driver. */
static int32_t start_driver(sheaf_client *client) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &client->signals);
  int failed = pthread_create(&client->thread, NULL, sheaf__drive, client);
  pthread_sigmask(SIG_SETMASK, &client->signals, NULL);
  return failed ? SHEAF_E_IO : SHEAF_OK;
}

static void begin_anew(sheaf_client *client) {
  client->seen = (sheaf__health){0};
  client->drained = client->aborted = client->starved = client->took = false;
  client->snapshot_ns = client->report_ns = 0;
  client->wish_seen = (sheaf__wish){.stop_ns = SHEAF_NEVER};
  client->refused = client->unsent = 0;
  client->feed_at = NULL;
}

/* `life` is held, or nobody knows the client yet. The thread waits until the door is open: without one nothing may come in. */
static int32_t begin_run(sheaf_client *client) {
  begin_anew(client);
  int32_t status = start_driver(client);
  if (status) return status;
  pthread_mutex_lock(&client->mutex);
  client->wish = (sheaf__wish){.stop_ns = SHEAF_NEVER};
  client->health = (sheaf__health){0};
  client->run++;
  client->running = true;
  atomic_store(&client->inbox, NULL);
  atomic_store(&client->refusing, false);
  pthread_cond_broadcast(&client->answered);
  pthread_mutex_unlock(&client->mutex);
  return SHEAF_OK;
}

int32_t sheaf_client_start(sheaf_client *client) {
  if (client == NULL || sheaf__on_driver(client) || sheaf__on_worker(client)) return SHEAF_E_MISUSE;
  pthread_mutex_lock(&client->life);
  pthread_mutex_lock(&client->mutex);
  bool running = client->running;
  pthread_mutex_unlock(&client->mutex);
  int32_t status = running ? SHEAF_E_MISUSE : sheaf__engine_renew(client);
  if (status == SHEAF_OK) status = begin_run(client);
  pthread_mutex_unlock(&client->life);
  return status;
}

/* ---- Its end ---- */

/* Says how the run shall end; each wish only adds to those before. Answers which run it is; 0: none. */
static uint64_t wish(sheaf_client *client, const sheaf__wish *more) {
  pthread_mutex_lock(&client->mutex);
  uint64_t run = client->running ? client->run : 0;
  if (run != 0) {
    sheaf__wish *all = &client->wish;
    all->draining |= more->draining;
    all->aborting |= more->aborting;
    all->closing |= more->closing;
    if (more->stop_ns < all->stop_ns) all->stop_ns = more->stop_ns;
    atomic_store(&client->refusing, true);
    pthread_cond_broadcast(&client->room);
    atomic_store(&client->posted, true);
  }
  pthread_mutex_unlock(&client->mutex);
  if (run != 0) sheaf__wake(client);
  return run;
}

/* Waits until the run is over. Another who waits for the same may have joined the thread. */
static void end_run(sheaf_client *client, uint64_t run) {
  pthread_mutex_lock(&client->life);
  pthread_mutex_lock(&client->mutex);
  bool is_mine = client->running && client->run == run;
  pthread_mutex_unlock(&client->mutex);
  if (is_mine) {
    pthread_join(client->thread, NULL);
    pthread_mutex_lock(&client->mutex);
    client->running = false;
    pthread_mutex_unlock(&client->mutex);
  }
  pthread_mutex_unlock(&client->life);
}

static uint64_t ns_from_now(uint64_t ms) {
  uint64_t ns, at;
  if (ms == SHEAF_NEVER || __builtin_mul_overflow(ms, UINT64_C(1000000), &ns) ||
      __builtin_add_overflow(sheaf_now_ns(), ns, &at))
    return SHEAF_NEVER;
  return at;
}

int32_t sheaf_client_stop(sheaf_client *client, uint64_t timeout_ms) {
  if (client == NULL || sheaf__on_driver(client) || sheaf__on_worker(client)) return SHEAF_E_MISUSE;
  const sheaf__wish stop = {.closing = true, .stop_ns = timeout_ms ? ns_from_now(timeout_ms) : 0};
  end_run(client, wish(client, &stop));
  return SHEAF_OK;
}

void sheaf_client_free(sheaf_client *client) {
  /* A thread cannot wait for itself. */
  if (client == NULL || sheaf__on_driver(client) || sheaf__on_worker(client)) return;
  const sheaf__wish drain = {.draining = true, .closing = true, .stop_ns = SHEAF_NEVER};
  end_run(client, wish(client, &drain));
  destroy(client);
}

int32_t sheaf_client_drain(sheaf_client *client) {
  const sheaf__wish drain = {.draining = true, .stop_ns = SHEAF_NEVER};
  if (client == NULL) return SHEAF_E_MISUSE;
  wish(client, &drain);
  return SHEAF_OK;
}

int32_t sheaf_client_abort(sheaf_client *client) {
  const sheaf__wish abort_too = {.draining = true, .aborting = true, .stop_ns = SHEAF_NEVER};
  if (client == NULL) return SHEAF_E_MISUSE;
  wish(client, &abort_too);
  return SHEAF_OK;
}
