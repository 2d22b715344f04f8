/* client_submit.c: handing over: a request costs its submitter one allocation, one place and one push; the driver takes all at once.
 *
 * The inbox is a stack: a push is one exchange of its head, and the driver takes the whole and turns it round, so that nothing can be
 * taken from it twice. A place is taken before the push and given back by the driver when the row flies. Who finds no place waits
 * under the mutex; the driver looks at `blocked` after it has given places back, the waiter counts itself in before it looks at the
 * places again: one of the two sees the other.
 *
 * Outline: the inbox, room, a request's own block, submit, cancel, the completion queue. */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- The inbox ---- */

void sheaf__wake(sheaf_client *client) {
  if (!atomic_load(&client->asleep)) return;
  if (atomic_exchange(&client->asleep, false)) client->transport.wake(client->transport.ctx);
}

bool sheaf__push(sheaf_client *client, sheaf__command *command) {
  sheaf__command *head = atomic_load_explicit(&client->inbox, memory_order_relaxed);
  do {
    if (head == &sheaf__closed) return false;
    command->next = head;
  } while (!atomic_compare_exchange_weak(&client->inbox, &head, command));
  sheaf__wake(client);
  return true;
}

/* ---- Room ---- */

/* A request that is larger than all the room for bytes still gets in when it is alone. */
static bool take_place(sheaf_client *client, uint32_t bytes) {
  uint64_t taken = atomic_load(&client->taken);
  do {
    if (taken >= atomic_load_explicit(&client->capacity, memory_order_relaxed)) return false;
    if (atomic_load(&client->taken_bytes) >=
        atomic_load_explicit(&client->bytes_max, memory_order_relaxed))
      return false;
  } while (!atomic_compare_exchange_weak(&client->taken, &taken, taken + 1));
  atomic_fetch_add(&client->taken_bytes, bytes);
  return true;
}

static void give_place(sheaf_client *client, uint32_t bytes) {
  atomic_fetch_sub(&client->taken_bytes, bytes);
  atomic_fetch_sub(&client->taken, 1);
}

void sheaf__until(struct timespec *at, uint64_t ms) {
  const uint64_t year_ms = UINT64_C(31536000000);
  if (ms > year_ms) ms = year_ms;
  clock_gettime(CLOCK_MONOTONIC, at);
  at->tv_sec += (time_t)(ms / 1000);
  at->tv_nsec += (long)(ms % 1000) * 1000000;
  if (at->tv_nsec >= 1000000000) at->tv_sec++, at->tv_nsec -= 1000000000;
}

/* The end is looked at first: what it sets free is not for those who wait. */
static int32_t wait_for_place(sheaf_client *client, uint32_t bytes, uint64_t wait_ms) {
  struct timespec until;
  int32_t status = SHEAF_E_LATER;
  bool late = false;
  if (wait_ms != SHEAF_NEVER) sheaf__until(&until, wait_ms);
  pthread_mutex_lock(&client->mutex);
  atomic_fetch_add(&client->blocked, 1);
  while (status == SHEAF_E_LATER) {
    if (atomic_load(&client->refusing))
      status = SHEAF_E_END;
    else if (take_place(client, bytes))
      status = SHEAF_OK;
    else if (late)
      status = SHEAF_E_FULL;
    else if (wait_ms == SHEAF_NEVER)
      pthread_cond_wait(&client->room, &client->mutex);
    else
      late = pthread_cond_timedwait(&client->room, &client->mutex, &until) != 0;
  }
  atomic_fetch_sub(&client->blocked, 1);
  pthread_mutex_unlock(&client->mutex);
  return status;
}

int32_t sheaf__hand_over(sheaf_client *client, sheaf__submit *submit, uint64_t room_wait_ms) {
  uint32_t bytes = submit->command.bytes;
  if (atomic_load(&client->refusing)) return SHEAF_E_END;
  if (!take_place(client, bytes)) {
    if (room_wait_ms == 0 || sheaf__on_driver(client)) return SHEAF_E_FULL;
    int32_t status = wait_for_place(client, bytes, room_wait_ms);
    if (status) return status;
  }
  if (sheaf__push(client, &submit->command)) return SHEAF_OK;
  give_place(client, bytes);
  return SHEAF_E_END;
}

/* ---- A request's own block ---- */

enum { REQUEST_SLICES = 11 };

static void slices_of(sheaf_request *request, sheaf_slice *slices[REQUEST_SLICES]) {
  sheaf_slice *const all[REQUEST_SLICES] = {
      &request->custom_id, &request->prompt,    &request->messages, &request->body,
      &request->url,       &request->system,    &request->params,   &request->model,
      &request->endpoint,  &request->trust_key, &request->metadata};
  memcpy(slices, all, sizeof all);
}

sheaf__submit *sheaf__copy_request(sheaf_client *client, const sheaf_request *given) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  size_t known = given->struct_bytes < sizeof request ? given->struct_bytes : sizeof request;
  memcpy(&request, given, known);
  request.struct_bytes = sizeof request;
  uint64_t id = atomic_fetch_add_explicit(&client->next_id, 1, memory_order_relaxed);
  char name[SHEAF__ID_BYTES];
  if (request.custom_id.bytes == 0) request.custom_id = sheaf__row_name(id, name);
  sheaf_slice *slices[REQUEST_SLICES];
  slices_of(&request, slices);
  size_t text = 0;
  for (size_t i = 0; i < REQUEST_SLICES; i++) text += slices[i]->bytes;
  sheaf__submit *submit = malloc(sizeof *submit + text);
  if (submit == NULL) return NULL;
  char *to = (char *)(submit + 1);
  for (size_t i = 0; i < REQUEST_SLICES; i++) {
    if (slices[i]->data == NULL) continue; /* an empty prompt is still one */
    if (slices[i]->bytes > 0) memcpy(to, slices[i]->data, slices[i]->bytes);
    slices[i]->data = to;
    to += slices[i]->bytes;
  }
  submit->command = (sheaf__command){
      .kind = SHEAF__DO_SUBMIT, .bytes = text < UINT32_MAX ? (uint32_t)text : UINT32_MAX, .id = id};
  submit->whose = (sheaf__whose){.request_user = request.user};
  submit->request = request;
  return submit;
}

/* ---- Submit ---- */

/* Looks at what can be looked at without the provider; a request that it cannot be asked ends as its own failure. */
static int32_t submit(sheaf_client *client, const sheaf_request *request,
                      const sheaf_submit_options *options, uint32_t priority, uint64_t *id) {
  sheaf_parse_error unused;
  if (client == NULL || request == NULL) return SHEAF_E_MISUSE;
  if (request->struct_bytes < offsetof(sheaf_request, reserved)) return SHEAF_E_MISUSE;
  int32_t status = sheaf__request_form(request, &unused);
  if (status) return status;
  sheaf__submit *made = sheaf__copy_request(client, request);
  if (made == NULL) return SHEAF_E_NOMEM;
  if (priority != 0) made->request.priority = priority;
  made->whose.fn = options->fn;
  made->whose.on_event = options->on_event;
  made->whose.user = options->user;
  if (id != NULL) *id = made->command.id; /* before: the callback may look for it */
  status = sheaf__hand_over(client, made, options->room_wait_ms);
  if (status) free(made);
  return status;
}

static int32_t submit_plain(sheaf_client *client, const sheaf_request *request, sheaf_result_fn fn,
                            void *user, uint32_t priority, uint64_t *id) {
  const sheaf_submit_options options = {
      .struct_bytes = sizeof options, .fn = fn, .user = user, .room_wait_ms = SHEAF_NEVER};
  return submit(client, request, &options, priority, id);
}

int32_t sheaf_client_submit(sheaf_client *client, const sheaf_request *request, sheaf_result_fn fn,
                            void *user, uint64_t *id) {
  return submit_plain(client, request, fn, user, 0, id);
}

int32_t sheaf_client_submit_urgent(sheaf_client *client, const sheaf_request *request,
                                   sheaf_result_fn fn, void *user, uint64_t *id) {
  return submit_plain(client, request, fn, user, SHEAF_PRIORITY_URGENT, id);
}

int32_t sheaf_client_submit_background(sheaf_client *client, const sheaf_request *request,
                                       sheaf_result_fn fn, void *user, uint64_t *id) {
  return submit_plain(client, request, fn, user, SHEAF_PRIORITY_LOW, id);
}

int32_t sheaf_client_submit_with(sheaf_client *client, const sheaf_request *request,
                                 const sheaf_submit_options *given, uint64_t *id) {
  sheaf_submit_options options = SHEAF_SUBMIT_OPTIONS_INIT;
  if (given != NULL) {
    if (given->struct_bytes < sizeof given->struct_bytes) return SHEAF_E_MISUSE;
    memcpy(&options, given,
           given->struct_bytes < sizeof options ? given->struct_bytes : sizeof options);
  }
  return submit(client, request, &options, 0, id);
}

/* ---- Cancel ---- */

int32_t sheaf__cancel_id(sheaf_client *client, uint64_t id) {
  sheaf__command *command = malloc(sizeof *command);
  if (command == NULL) return SHEAF_E_NOMEM;
  *command = (sheaf__command){.kind = SHEAF__DO_CANCEL, .id = id};
  if (sheaf__push(client, command)) return SHEAF_OK;
  free(command);
  return SHEAF_E_END;
}

int32_t sheaf_client_cancel(sheaf_client *client, uint64_t id) {
  if (client == NULL) return SHEAF_E_MISUSE;
  if (id >= atomic_load(&client->next_id)) return SHEAF_E_NOT_FOUND;
  return sheaf__cancel_id(client, id);
}

/* ---- The completion queue ---- */

/* The mutex is held. A stopped client finishes nothing more; one that was started again may. */
static bool may_finish(sheaf_client *client) {
  return atomic_load(&client->inbox) != &sheaf__closed;
}

int32_t sheaf_client_next(sheaf_client *client, uint64_t wait_ms, sheaf_result **result) {
  if (client == NULL || result == NULL) return SHEAF_E_MISUSE;
  struct timespec until;
  bool may_wait = wait_ms > 0 && !sheaf__on_driver(client);
  if (may_wait) sheaf__until(&until, wait_ms);
  pthread_mutex_lock(&client->mutex);
  while (client->done_first == NULL && may_wait && may_finish(client))
    may_wait = pthread_cond_timedwait(&client->finished, &client->mutex, &until) == 0;
  sheaf__owned *owned = client->done_first;
  int32_t status = may_finish(client) ? SHEAF_E_EMPTY : SHEAF_E_END;
  if (owned != NULL) {
    client->done_first = owned->next;
    if (client->done_first == NULL) client->done_last = NULL;
    *result = &owned->result;
    status = SHEAF_OK;
  }
  pthread_mutex_unlock(&client->mutex);
  return status;
}
