/* client_live.c: rows inside the engine, and how each of them ends: by the engine's result, or by one made here for what
 * never got in.
 *
 * A row ends when its result has been taken: by a callback, the completion queue or its list. Without memory for a copy
 * nothing changes and the engine offers the result again.
 *
 * Outline: the pool of rows, delivery, events, admission, ends without the engine. */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- The pool ---- */

static bool grow_pool(sheaf_client *client) {
  sheaf__live_chunk *chunk = malloc(sizeof *chunk);
  if (chunk == NULL) return false;
  chunk->next = client->chunks;
  client->chunks = chunk;
  for (uint32_t i = 0; i < SHEAF__ROW_CHUNK; i++) {
    chunk->rows[i].next = client->spare;
    client->spare = &chunk->rows[i];
  }
  return true;
}

static sheaf__live *live_take(sheaf_client *client) {
  if (client->spare == NULL && !grow_pool(client)) return NULL;
  sheaf__live *live = client->spare;
  client->spare = live->next;
  memset(live, 0, sizeof *live);
  live->next = client->live;
  if (live->next != NULL) live->next->prev = live;
  client->live = live;
  return live;
}

static void live_release(sheaf_client *client, sheaf__live *live) {
  *(live->prev == NULL ? &client->live : &live->prev->next) = live->next;
  if (live->next != NULL) live->next->prev = live->prev;
  live->next = client->spare;
  client->spare = live;
}

/* ---- Delivery ---- */

static void push_done(sheaf_client *client, sheaf__owned *owned) {
  pthread_mutex_lock(&client->mutex);
  *(client->done_last == NULL ? &client->done_first : &client->done_last->next) = owned;
  client->done_last = owned;
  pthread_cond_signal(&client->finished);
  pthread_mutex_unlock(&client->mutex);
}

/* Hands a result to whom its row belongs. The index becomes the caller's: the position in the list, or the id. */
static int32_t deliver(sheaf_client *client, const sheaf__live *live, const sheaf_result *result) {
  sheaf_result shown = *result;
  shown.user = live->request_user;
  shown.index = live->list ? live->position : live->id;
  bool calls_back = live->list == NULL && live->fn != NULL;
  if (calls_back && shown.ok) {
    live->fn(live->user, &shown);
    return SHEAF_OK;
  }
  sheaf__owned *owned = sheaf__result_copy(&shown);
  if (owned == NULL) {
    client->starved = true;
    return SHEAF_E_NOMEM;
  }
  /* Servers have repeated the key in their refusals. */
  if (!shown.ok) sheaf_curl_redact(client->curl, owned->text, owned->text_bytes);
  if (calls_back) {
    live->fn(live->user, &owned->result);
    sheaf_result_free(&owned->result);
    return SHEAF_OK;
  }
  if (live->list != NULL)
    sheaf__list_put(live->list, live->position, &owned->result);
  else
    push_done(client, owned);
  return SHEAF_OK;
}

/* ---- Events ---- */

static void on_stream(const sheaf_event *event) {
  const sheaf__live *live = event->user;
  const sheaf__list *list = live->list;
  if (list == NULL || list->options->on_event == NULL) return;
  sheaf_event shown = *event;
  shown.index = live->position;
  shown.user = live->request_user;
  list->options->on_event(list->options->user, &shown);
}

static void on_notice(sheaf_client *client, const sheaf_event *event) {
  sheaf__health *seen = &client->seen;
  switch (event->notice) {
    case SHEAF_NOTICE_BREAKER_OPEN: seen->breaker_open = true; break;
    case SHEAF_NOTICE_BREAKER_CLOSED: seen->breaker_open = false; break;
    case SHEAF_NOTICE_KEY_STOPPED: seen->key_stopped = true; break;
    case SHEAF_NOTICE_BUDGET: seen->budget_spent = true; break;
    case SHEAF_NOTICE_RUN_DEADLINE: seen->late = true; break;
    default: break; /* pauses stand in the statistics */
  }
}

int32_t sheaf__event_put(void *ctx, const sheaf_event *event) {
  sheaf_client *client = ctx;
  switch (event->kind) {
    case SHEAF_EVENT_RESULT: {
      sheaf__live *live = event->result->user;
      if (deliver(client, live, event->result) != SHEAF_OK) return SHEAF_E_LATER;
      live_release(client, live);
      return SHEAF_OK;
    }
    case SHEAF_EVENT_DELTA:
    case SHEAF_EVENT_DISCARD: on_stream(event); return SHEAF_OK;
    case SHEAF_EVENT_NOTICE: on_notice(client, event); return SHEAF_OK;
    default: return SHEAF_OK;
  }
}

/* ---- Ends without the engine ---- */

static uint64_t *ends_of(sheaf_client *client, uint32_t error_class) {
  return error_class == SHEAF_CLASS_INVALID_REQUEST ? &client->refused : &client->unsent;
}

/* A result as the engine would make it for a row that was never sent. */
static int32_t end_unsent(sheaf_client *client, const sheaf__live *live,
                          const sheaf_request *request, uint32_t error_class, const char *message) {
  sheaf_result result;
  memset(&result, 0, sizeof result);
  result.struct_bytes = sizeof result;
  result.first_byte_ns = result.ttft_ns = result.server_ns = result.generation_ns = SHEAF_NEVER;
  result.usage =
      (sheaf_usage){SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  result.cost_usd_nano = SHEAF_ABSENT;
  result.error_class = error_class;
  result.error_message = sheaf_slice_of(message);
  if (request != NULL) {
    result.custom_id = request->custom_id;
    result.metadata = request->metadata;
    result.source_ref = request->source_ref;
    result.line = request->line;
  }
  int32_t status = deliver(client, live, &result);
  if (status == SHEAF_OK) ++*ends_of(client, error_class);
  return status;
}

int32_t sheaf__end_submit(sheaf_client *client, const sheaf__submit *submit, uint32_t error_class,
                          const char *message) {
  const sheaf__live live = {.id = submit->command.id,
                            .fn = submit->fn,
                            .user = submit->user,
                            .request_user = submit->request.user};
  return end_unsent(client, &live, &submit->request, error_class, message);
}

static int32_t end_position(sheaf_client *client, sheaf__list *list, const sheaf_request *request,
                            uint32_t error_class, const char *message) {
  const sheaf__live live = {.list = list, .position = list->fed, .request_user = request->user};
  int32_t status = end_unsent(client, &live, request, error_class, message);
  if (status == SHEAF_OK) list->fed++;
  return status;
}

int32_t sheaf__end_next(sheaf_client *client, sheaf__list *list, uint32_t error_class,
                        const char *message) {
  char id[SHEAF__ID_BYTES];
  sheaf_request request;
  sheaf__list_request(list, list->fed, id, &request);
  return end_position(client, list, &request, error_class, message);
}

int32_t sheaf__end_live(sheaf_client *client, sheaf__live *live, uint32_t error_class,
                        const char *message) {
  char id[SHEAF__ID_BYTES];
  sheaf_request request = SHEAF_REQUEST_INIT;
  if (live->list != NULL)
    sheaf__list_request(live->list, live->position, id, &request);
  else
    request.custom_id = sheaf__row_name(live->id, id);
  int32_t status = end_unsent(client, live, &request, error_class, message);
  if (status == SHEAF_OK) live_release(client, live);
  return status;
}

/* ---- Admission ---- */

static const char *reason(int32_t status, const sheaf_parse_error *error) {
  return error->message ? error->message : sheaf_status_text(status);
}

/* What the engine says of a row: taken, not now, never again, or not valid. */
static int32_t admit(sheaf_client *client, sheaf__live *live, const sheaf_request *request,
                     sheaf_parse_error *error) {
  sheaf_request given = *request;
  given.user = live;
  live->request_user = request->user;
  int32_t status = sheaf_engine_submit(client->engine, &given, &live->index, error);
  if (status != SHEAF_OK) live_release(client, live);
  if (status == SHEAF_E_NOMEM) client->starved = true;
  return status;
}

static uint32_t class_of(int32_t status) {
  return status == SHEAF_E_END ? SHEAF_CLASS_CANCELLED : SHEAF_CLASS_INVALID_REQUEST;
}

static const char closed[] = "the client was stopped before this was sent";

int32_t sheaf__admit_submit(sheaf_client *client, const sheaf__submit *submit) {
  sheaf__live *live = live_take(client);
  if (live == NULL) {
    client->starved = true;
    return SHEAF_E_NOMEM;
  }
  live->id = submit->command.id;
  live->fn = submit->fn;
  live->user = submit->user;
  sheaf_parse_error error = {0};
  int32_t status = admit(client, live, &submit->request, &error);
  if (status == SHEAF_OK || status == SHEAF_E_FULL || status == SHEAF_E_NOMEM) return status;
  return sheaf__end_submit(client, submit, class_of(status),
                           status == SHEAF_E_END ? closed : reason(status, &error));
}

int32_t sheaf__admit_next(sheaf_client *client, sheaf__list *list) {
  sheaf__live *live = live_take(client);
  if (live == NULL) {
    client->starved = true;
    return SHEAF_E_NOMEM;
  }
  char id[SHEAF__ID_BYTES];
  sheaf_request request;
  sheaf__list_request(list, list->fed, id, &request);
  live->list = list;
  live->position = list->fed;
  sheaf_parse_error error = {0};
  int32_t status = admit(client, live, &request, &error);
  if (status == SHEAF_OK) list->fed++;
  if (status == SHEAF_OK || status == SHEAF_E_FULL || status == SHEAF_E_NOMEM) return status;
  return end_position(client, list, &request, class_of(status),
                      status == SHEAF_E_END ? closed : reason(status, &error));
}
