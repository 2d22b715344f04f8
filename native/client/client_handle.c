/* client_handle.c: a handle: one request whose result several threads may wait for.
 *
 * It has two owners, the caller and the request, and goes with the later of them; the client is asked for nothing once the request is
 * over, so that a handle may outlive it. The result is the driver's copy, made only while the caller still has the handle. */
#include "client_int.h"

#include <stdlib.h>

struct sheaf_handle {
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  sheaf_client *client; /* until it is over */
  uint64_t id;
  sheaf_handle *next; /* of those that the driver ends together */
  sheaf__owned *owned;
  uint32_t waiters; /* under the mutex */
  bool is_waited;   /* when it ended */
  atomic_uint owners;
  atomic_bool over; /* set under the mutex; read without it by who need not wait */
};

static sheaf_handle *handle_new(sheaf_client *client, uint64_t id) {
  sheaf_handle *handle = malloc(sizeof *handle);
  pthread_condattr_t monotonic;
  if (handle == NULL) return NULL;
  if (pthread_condattr_init(&monotonic) != 0) {
    free(handle);
    return NULL;
  }
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  bool has_mutex = pthread_mutex_init(&handle->mutex, NULL) == 0;
  bool has_cond = has_mutex && pthread_cond_init(&handle->ended, &monotonic) == 0;
  pthread_condattr_destroy(&monotonic);
  if (!has_cond) {
    if (has_mutex) pthread_mutex_destroy(&handle->mutex);
    free(handle);
    return NULL;
  }
  handle->client = client;
  handle->id = id;
  handle->next = NULL;
  handle->owned = NULL;
  handle->waiters = 0;
  handle->is_waited = false;
  atomic_init(&handle->owners, 2);
  atomic_init(&handle->over, false);
  return handle;
}

static void handle_destroy(sheaf_handle *handle) {
  if (handle->owned != NULL) sheaf_result_free(&handle->owned->result);
  pthread_cond_destroy(&handle->ended);
  pthread_mutex_destroy(&handle->mutex);
  free(handle);
}

static void let_go(sheaf_handle *handle) {
  if (atomic_fetch_sub(&handle->owners, 1) == 1) handle_destroy(handle);
}

/* ---- The request's side ---- */

bool sheaf__handle_wanted(const sheaf_handle *handle) {
  return atomic_load(&handle->owners) > 1;
}

void sheaf__handle_end(sheaf_client *client, sheaf_handle *handle, sheaf__owned *owned) {
  handle->owned = owned;
  handle->next = client->batch_handles;
  client->batch_handles = handle;
}

static void show(sheaf_handle *handle) {
  pthread_mutex_lock(&handle->mutex);
  handle->client = NULL;
  handle->is_waited = handle->waiters > 0;
  atomic_store(&handle->over, true);
  pthread_mutex_unlock(&handle->mutex);
}

/* First all are over, then who waits is woken: a thread that waits for one after the other runs once for all of them. */
void sheaf__handles_flush(sheaf_client *client) {
  for (sheaf_handle *handle = client->batch_handles; handle != NULL; handle = handle->next)
    show(handle);
  for (sheaf_handle *handle = client->batch_handles, *next; handle != NULL; handle = next) {
    next = handle->next;
    if (handle->is_waited) pthread_cond_broadcast(&handle->ended);
    let_go(handle);
  }
  client->batch_handles = NULL;
}

/* ---- The caller's side ---- */

int32_t sheaf_client_send(sheaf_client *client, const sheaf_request *request, uint64_t room_wait_ms,
                          sheaf_handle **out) {
  sheaf_parse_error unused;
  if (client == NULL || request == NULL || out == NULL) return SHEAF_E_MISUSE;
  if (request->struct_bytes < offsetof(sheaf_request, reserved)) return SHEAF_E_MISUSE;
  int32_t status = sheaf__request_form(request, &unused);
  if (status) return status;
  sheaf__submit *submit = sheaf__copy_request(client, request);
  if (submit == NULL) return SHEAF_E_NOMEM;
  sheaf_handle *handle = handle_new(client, submit->command.id);
  submit->whose.handle = handle;
  status = handle ? sheaf__hand_over(client, submit, room_wait_ms) : SHEAF_E_NOMEM;
  if (status) {
    if (handle != NULL) handle_destroy(handle);
    free(submit);
    return status;
  }
  *out = handle;
  return SHEAF_OK;
}

/* The mutex is held. SHEAF_OK: it is over. */
static int32_t wait_for_end(sheaf_handle *handle, uint64_t wait_ms) {
  struct timespec until;
  bool late = wait_ms == 0;
  if (!late && handle->client != NULL && sheaf__on_driver(handle->client)) return SHEAF_E_MISUSE;
  if (!late && wait_ms != SHEAF_NEVER) sheaf__until(&until, wait_ms);
  handle->waiters++;
  while (!atomic_load(&handle->over) && !late) {
    if (wait_ms == SHEAF_NEVER)
      pthread_cond_wait(&handle->ended, &handle->mutex);
    else
      late = pthread_cond_timedwait(&handle->ended, &handle->mutex, &until) != 0;
  }
  handle->waiters--;
  return atomic_load(&handle->over) ? SHEAF_OK : SHEAF_E_LATER;
}

int32_t sheaf_handle_wait(sheaf_handle *handle, uint64_t wait_ms, const sheaf_result **result) {
  if (handle == NULL || result == NULL) return SHEAF_E_MISUSE;
  int32_t status = SHEAF_OK;
  if (!atomic_load(&handle->over)) {
    pthread_mutex_lock(&handle->mutex);
    status = wait_for_end(handle, wait_ms);
    pthread_mutex_unlock(&handle->mutex);
  }
  if (status == SHEAF_OK) *result = &handle->owned->result;
  return status;
}

/* The driver waits for the mutex before it ends the request, so that the client is there as long as it is held here. */
int32_t sheaf_handle_cancel(sheaf_handle *handle) {
  if (handle == NULL) return SHEAF_E_MISUSE;
  int32_t status = SHEAF_OK;
  pthread_mutex_lock(&handle->mutex);
  if (handle->client != NULL) status = sheaf__cancel_id(handle->client, handle->id);
  pthread_mutex_unlock(&handle->mutex);
  return status;
}

void sheaf_handle_free(sheaf_handle *handle) {
  if (handle != NULL) let_go(handle);
}
