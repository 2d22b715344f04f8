/* client.c: what other threads call: life, submit and cancel, the completion queue, statistics.
 *
 * Every call hands something over under the mutex or takes something out of it; the driver does the rest.
 *
 * Outline: life, handing over, submit, cancel, results, ends, statistics. */
#define _POSIX_C_SOURCE 200809L
#include "client_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Life ---- */

static int32_t make_locks(sheaf_client *client) {
  pthread_condattr_t monotonic;
  if (pthread_condattr_init(&monotonic) != 0) return SHEAF_E_NOMEM;
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  bool made = pthread_mutex_init(&client->mutex, NULL) == 0;
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
  pthread_mutex_destroy(&client->mutex);
  while (client->done_first != NULL) {
    sheaf__owned *owned = client->done_first;
    client->done_first = owned->next;
    sheaf_result_free(&owned->result);
  }
  free(client);
}

/* The program's signals are its own: their handlers run in its threads, not in the driver. */
static int32_t start_driver(sheaf_client *client) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&client->thread, NULL, sheaf__drive, client);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed ? SHEAF_E_IO : SHEAF_OK;
}

int32_t sheaf_client_new(const sheaf_client_options *options, sheaf_client **client) {
  if (options == NULL || client == NULL) return SHEAF_E_MISUSE;
  sheaf_client *made = calloc(1, sizeof *made);
  if (made == NULL) return SHEAF_E_NOMEM;
  int32_t status = make_locks(made);
  if (status) {
    free(made);
    return status;
  }
  status = sheaf__client_open(made, options);
  if (status == SHEAF_OK) status = start_driver(made);
  if (status) {
    destroy(made);
    return status;
  }
  *client = made;
  return SHEAF_OK;
}

void sheaf_client_free(sheaf_client *client) {
  if (client == NULL || sheaf__on_driver(client)) return; /* a thread cannot wait for itself */
  pthread_mutex_lock(&client->mutex);
  client->draining = client->closing = true;
  pthread_cond_broadcast(&client->room);
  atomic_store(&client->posted, true);
  pthread_mutex_unlock(&client->mutex);
  sheaf__wake(client);
  pthread_join(client->thread, NULL);
  destroy(client);
}

/* ---- Handing over ---- */

void sheaf__post(sheaf_client *client, sheaf__command *command) {
  command->next = NULL;
  *(client->last == NULL ? &client->first : &client->last->next) = command;
  client->last = command;
  atomic_store(&client->posted, true);
}

void sheaf__wake(sheaf_client *client) {
  if (atomic_exchange(&client->asleep, false)) sheaf_curl_wake(client->curl);
}

static void add_ms(struct timespec *at, uint64_t ms) {
  const uint64_t year_ms = UINT64_C(31536000000);
  if (ms > year_ms) ms = year_ms;
  clock_gettime(CLOCK_MONOTONIC, at);
  at->tv_sec += (time_t)(ms / 1000);
  at->tv_nsec += (long)(ms % 1000) * 1000000;
  if (at->tv_nsec >= 1000000000) at->tv_sec++, at->tv_nsec -= 1000000000;
}

int32_t sheaf_client_set_credential(sheaf_client *client, uint32_t credential_id,
                                    const char *base_url, const char *secret) {
  if (client == NULL || credential_id == 0 || base_url == NULL || secret == NULL)
    return SHEAF_E_MISUSE;
  if (sheaf__on_driver(client))
    return sheaf_curl_set_credential(client->curl, credential_id, base_url, secret);
  sheaf__credential credential = {.command = {.kind = SHEAF__DO_CREDENTIAL},
                                  .credential_id = credential_id,
                                  .base_url = base_url,
                                  .secret = secret};
  pthread_mutex_lock(&client->mutex);
  if (client->gone) {
    pthread_mutex_unlock(&client->mutex);
    return SHEAF_E_END;
  }
  sheaf__post(client, &credential.command);
  pthread_mutex_unlock(&client->mutex);
  sheaf__wake(client);
  pthread_mutex_lock(&client->mutex);
  while (!credential.answered) pthread_cond_wait(&client->answered, &client->mutex);
  pthread_mutex_unlock(&client->mutex);
  return credential.status;
}

/* ---- Submit ---- */

enum { REQUEST_SLICES = 11 };

static void slices_of(sheaf_request *request, sheaf_slice *slices[REQUEST_SLICES]) {
  sheaf_slice *const all[REQUEST_SLICES] = {
      &request->custom_id, &request->prompt,    &request->messages, &request->body,
      &request->url,       &request->system,    &request->params,   &request->model,
      &request->endpoint,  &request->trust_key, &request->metadata};
  memcpy(slices, all, sizeof all);
}

/* One block: the command and the text behind it. */
static sheaf__submit *copy_request(const sheaf_request *given, uint64_t id) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  size_t known = given->struct_bytes < sizeof request ? given->struct_bytes : sizeof request;
  memcpy(&request, given, known);
  request.struct_bytes = sizeof request;
  char name[SHEAF__ID_BYTES];
  if (request.custom_id.bytes == 0) request.custom_id = sheaf__row_name(id, name);
  sheaf_slice *slices[REQUEST_SLICES];
  slices_of(&request, slices);
  size_t bytes = sizeof(sheaf__submit);
  for (size_t i = 0; i < REQUEST_SLICES; i++) bytes += slices[i]->bytes;
  sheaf__submit *submit = malloc(bytes);
  if (submit == NULL) return NULL;
  char *to = (char *)(submit + 1);
  for (size_t i = 0; i < REQUEST_SLICES; i++) {
    if (slices[i]->data == NULL) continue; /* an empty prompt is still one */
    if (slices[i]->bytes > 0) memcpy(to, slices[i]->data, slices[i]->bytes);
    slices[i]->data = to;
    to += slices[i]->bytes;
  }
  submit->request = request;
  return submit;
}

/* Waits for room and hands over. The driver must not wait for itself. */
static int32_t hand_over(sheaf_client *client, sheaf__submit *submit) {
  int32_t status = SHEAF_OK;
  pthread_mutex_lock(&client->mutex);
  while (!client->draining && client->queued + client->inside >= client->capacity) {
    if (sheaf__on_driver(client)) {
      status = SHEAF_E_FULL;
      break;
    }
    client->blocked++;
    pthread_cond_wait(&client->room, &client->mutex);
    client->blocked--;
  }
  if (client->draining) status = SHEAF_E_END;
  if (status == SHEAF_OK) {
    client->queued++;
    sheaf__post(client, &submit->command);
  }
  pthread_mutex_unlock(&client->mutex);
  if (status == SHEAF_OK) sheaf__wake(client);
  return status;
}

int32_t sheaf_client_submit(sheaf_client *client, const sheaf_request *request, sheaf_result_fn fn,
                            void *user, uint64_t *id) {
  sheaf_parse_error unused;
  if (client == NULL || request == NULL) return SHEAF_E_MISUSE;
  if (request->struct_bytes < offsetof(sheaf_request, reserved)) return SHEAF_E_MISUSE;
  int32_t status = sheaf__request_form(request, &unused);
  if (status) return status;
  uint64_t own_id = atomic_fetch_add(&client->next_id, 1);
  sheaf__submit *submit = copy_request(request, own_id);
  if (submit == NULL) return SHEAF_E_NOMEM;
  submit->command = (sheaf__command){.kind = SHEAF__DO_SUBMIT, .id = own_id};
  submit->fn = fn;
  submit->user = user;
  if (id != NULL) *id = own_id; /* before: the callback may look for it */
  status = hand_over(client, submit);
  if (status) free(submit);
  return status;
}

/* ---- Cancel ---- */

int32_t sheaf_client_cancel(sheaf_client *client, uint64_t id) {
  if (client == NULL) return SHEAF_E_MISUSE;
  if (id >= atomic_load(&client->next_id)) return SHEAF_E_NOT_FOUND;
  sheaf__command *command = malloc(sizeof *command);
  if (command == NULL) return SHEAF_E_NOMEM;
  *command = (sheaf__command){.kind = SHEAF__DO_CANCEL, .id = id};
  pthread_mutex_lock(&client->mutex);
  bool gone = client->gone;
  if (!gone) sheaf__post(client, command);
  pthread_mutex_unlock(&client->mutex);
  if (gone)
    free(command);
  else
    sheaf__wake(client);
  return gone ? SHEAF_E_END : SHEAF_OK;
}

static int32_t stop(sheaf_client *client, bool abort_too) {
  if (client == NULL) return SHEAF_E_MISUSE;
  pthread_mutex_lock(&client->mutex);
  client->draining = true;
  if (abort_too) client->aborting = true;
  pthread_cond_broadcast(&client->room);
  atomic_store(&client->posted, true);
  pthread_mutex_unlock(&client->mutex);
  sheaf__wake(client);
  return SHEAF_OK;
}

int32_t sheaf_client_drain(sheaf_client *client) {
  return stop(client, false);
}

int32_t sheaf_client_abort(sheaf_client *client) {
  return stop(client, true);
}

/* ---- Results ---- */

int32_t sheaf_client_next(sheaf_client *client, uint64_t wait_ms, sheaf_result **result) {
  if (client == NULL || result == NULL) return SHEAF_E_MISUSE;
  struct timespec until;
  bool may_wait = wait_ms > 0 && !sheaf__on_driver(client);
  if (may_wait) add_ms(&until, wait_ms);
  pthread_mutex_lock(&client->mutex);
  while (client->done_first == NULL && may_wait)
    may_wait = pthread_cond_timedwait(&client->finished, &client->mutex, &until) == 0;
  sheaf__owned *owned = client->done_first;
  if (owned != NULL) {
    client->done_first = owned->next;
    if (client->done_first == NULL) client->done_last = NULL;
    *result = &owned->result;
  }
  pthread_mutex_unlock(&client->mutex);
  return owned != NULL ? SHEAF_OK : SHEAF_E_EMPTY;
}

/* ---- Statistics ---- */

/* Asks the driver; a callback that takes longer than a second leaves the latest snapshot, of 100 ms before it. */
static void look(sheaf_client *client, sheaf_stats *stats, sheaf__health *health, bool *draining) {
  struct timespec until;
  add_ms(&until, 1000);
  pthread_mutex_lock(&client->mutex);
  uint64_t wanted = ++client->stats_wanted;
  atomic_store(&client->posted, true);
  pthread_mutex_unlock(&client->mutex);
  sheaf__wake(client);
  pthread_mutex_lock(&client->mutex);
  while (client->stats_given < wanted && !client->gone)
    if (pthread_cond_timedwait(&client->answered, &client->mutex, &until) != 0) break;
  *stats = client->stats;
  *health = client->health;
  *draining = client->draining;
  pthread_mutex_unlock(&client->mutex);
}

static void look_here(sheaf_client *client, sheaf_stats *stats, sheaf__health *health,
                      bool *draining) {
  sheaf__stats_take(client, stats);
  *health = client->seen;
  *draining = client->drained;
}

void sheaf_client_stats(sheaf_client *client, sheaf_stats *stats) {
  if (client == NULL || stats == NULL) return;
  sheaf__health health;
  bool draining;
  (sheaf__on_driver(client) ? look_here : look)(client, stats, &health, &draining);
}

static void name_health(const sheaf_stats *stats, const sheaf__health *health, bool draining,
                        char *text, size_t bytes) {
  bool paused = stats->paused_until_ns != SHEAF_NEVER && stats->paused_until_ns > stats->now_ns;
  uint64_t left_ms = paused ? (stats->paused_until_ns - stats->now_ns) / 1000000 : 0;
  const char *name = "ok";
  if (health->broken)
    name = "broken: the transport failed";
  else if (health->key_stopped)
    name = "stopped: the provider refused the key";
  else if (health->budget_spent)
    name = "stopped: the budget is spent";
  else if (health->late)
    name = "stopped: the run's deadline has passed";
  else if (draining)
    name = "draining";
  else if (health->breaker_open)
    name = "failing: the circuit breaker is open";
  else if (paused)
    name = NULL;
  if (name != NULL)
    snprintf(text, bytes, "%s", name);
  else
    snprintf(text, bytes, "paused for %llu ms", (unsigned long long)left_ms);
}

size_t sheaf_client_status(sheaf_client *client, char *line, size_t bytes) {
  if (client == NULL || line == NULL || bytes == 0) return 0;
  sheaf_stats stats;
  sheaf__health health;
  bool draining;
  char state[64], numbers[256];
  (sheaf__on_driver(client) ? look_here : look)(client, &stats, &health, &draining);
  name_health(&stats, &health, draining, state, sizeof state);
  sheaf_stats_line(&stats, numbers, sizeof numbers);
  int n = snprintf(line, bytes, "%s; %s; %llu waiting, held back by %s", state, numbers,
                   (unsigned long long)(stats.queued + stats.waiting_retry),
                   sheaf_limited_by_name(stats.limited_by));
  if (n < 0) return line[0] = 0, 0;
  return (size_t)n < bytes ? (size_t)n : bytes - 1;
}
