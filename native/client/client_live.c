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
  if (client->spare == NULL && !grow_pool(client)) {
    client->starved = true;
    return NULL;
  }
  sheaf__live *live = client->spare;
  client->spare = live->next;
  memset(live, 0, sizeof *live);
  live->next = client->live;
  if (live->next != NULL) live->next->prev = live;
  client->live = live;
  return live;
}

/* ---- Single rows by id: ids are a sequence, so that neighbours lie side by side and chains are short ---- */

static bool grow_buckets(sheaf_client *client) {
  size_t count = client->buckets == NULL ? SHEAF__ROW_CHUNK : (client->mask + 1) * 2;
  sheaf__live **buckets = calloc(count, sizeof(sheaf__live *));
  if (buckets == NULL) return false;
  for (size_t i = 0; client->buckets != NULL && i <= client->mask; i++)
    for (sheaf__live *live = client->buckets[i], *same; live != NULL; live = same) {
      same = live->same;
      live->same = buckets[live->id & (count - 1)];
      buckets[live->id & (count - 1)] = live;
    }
  free(client->buckets);
  client->buckets = buckets;
  client->mask = count - 1;
  return true;
}

static bool bucket_put(sheaf_client *client, sheaf__live *live) {
  if ((client->buckets == NULL || client->bucketed > client->mask) && !grow_buckets(client)) {
    client->starved = true;
    return false;
  }
  sheaf__live **bucket = &client->buckets[live->id & client->mask];
  live->same = *bucket;
  *bucket = live;
  client->bucketed++;
  return true;
}

sheaf__live *sheaf__live_find(const sheaf_client *client, uint64_t id) {
  if (client->buckets == NULL) return NULL;
  sheaf__live *live = client->buckets[id & client->mask];
  while (live != NULL && live->id != id) live = live->same;
  return live;
}

static void bucket_remove(sheaf_client *client, sheaf__live *live) {
  sheaf__live **at = &client->buckets[live->id & client->mask];
  while (*at != live) at = &(*at)->same;
  *at = live->same;
  client->bucketed--;
}

/* The row's place in memory; what it stood for has gone elsewhere. */
static void live_return(sheaf_client *client, sheaf__live *live) {
  *(live->prev == NULL ? &client->live : &live->prev->next) = live->next;
  if (live->next != NULL) live->next->prev = live->prev;
  live->next = client->spare;
  client->spare = live;
}

/* The row is over. */
static void live_release(sheaf_client *client, sheaf__live *live) {
  if (live->list == NULL) bucket_remove(client, live);
  client->bytes_over += live->bytes;
  sheaf__task_release(client, live->whose.task);
  live_return(client, live);
}

/* ---- Delivery ---- */

/* Results for threads that wait are handed over together: each of them would be a switch of threads otherwise. */
static void push_done(sheaf_client *client, sheaf__owned *owned) {
  *(client->batch_last == NULL ? &client->batch_first : &client->batch_last->next) = owned;
  client->batch_last = owned;
}

static void count_batch(sheaf_client *client) {
  if (client->batch_count++ == 0) client->batch_since_ns = client->now_ns;
}

void sheaf__flush_done(sheaf_client *client) {
  if (client->batch_count == 0) return;
  client->batch_count = 0;
  sheaf__handles_flush(client);
  if (client->batch_first == NULL) return;
  pthread_mutex_lock(&client->mutex);
  *(client->done_last == NULL ? &client->done_first : &client->done_last->next) =
      client->batch_first;
  client->done_last = client->batch_last;
  pthread_mutex_unlock(&client->mutex);
  pthread_cond_broadcast(&client->finished);
  client->batch_first = client->batch_last = NULL;
}

/* A result of its own. Servers have repeated the key in their refusals. */
static sheaf__owned *own(sheaf_client *client, const sheaf_result *shown) {
  sheaf__owned *owned = sheaf__result_copy(shown);
  if (owned == NULL)
    client->starved = true;
  else if (!shown->ok && client->transport.redact != NULL)
    client->transport.redact(client->transport.ctx, owned->text, owned->text_bytes);
  return owned;
}

/* Hands a result to whom its row belongs. The index becomes the caller's: the position in the list, or the id. */
static int32_t deliver(sheaf_client *client, const sheaf__live *live, const sheaf_result *result) {
  const sheaf__whose *whose = &live->whose;
  sheaf_result shown = *result;
  shown.user = whose->request_user;
  shown.index = live->list ? live->position : live->id;
  bool calls_back = live->list == NULL && whose->fn != NULL;
  if (calls_back && shown.ok) {
    whose->fn(whose->user, &shown);
    return SHEAF_OK;
  }
  if (whose->handle != NULL && !sheaf__handle_wanted(whose->handle)) {
    sheaf__handle_end(client, whose->handle, NULL);
    count_batch(client);
    return SHEAF_OK;
  }
  sheaf__owned *owned = own(client, &shown);
  if (owned == NULL) return SHEAF_E_NOMEM;
  if (calls_back) {
    whose->fn(whose->user, &owned->result);
    sheaf_result_free(&owned->result);
  } else if (live->list != NULL) {
    sheaf__list_put(live->list, live->position, &owned->result);
  } else {
    if (whose->handle != NULL)
      sheaf__handle_end(client, whose->handle, owned);
    else
      push_done(client, owned);
    count_batch(client);
  }
  return SHEAF_OK;
}

/* ---- Events ---- */

static void on_stream(const sheaf_event *event) {
  const sheaf__live *live = event->user;
  if (live == NULL) return;
  const sheaf__list *list = live->list;
  sheaf_event shown = *event;
  shown.index = list ? live->position : live->id;
  shown.user = live->whose.request_user;
  if (list == NULL && live->whose.on_event != NULL) live->whose.on_event(live->whose.user, &shown);
  if (list != NULL && list->options->on_event != NULL)
    list->options->on_event(list->options->user, &shown);
}

static void on_notice(sheaf_client *client, const sheaf_event *event) {
  sheaf__health *seen = &client->seen;
  uint64_t endpoint = UINT64_C(1) << (event->endpoint & 63);
  switch (event->notice) {
    case SHEAF_NOTICE_BREAKER_OPEN: seen->breakers_open |= endpoint; break;
    case SHEAF_NOTICE_BREAKER_CLOSED: seen->breakers_open &= ~endpoint; break;
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
    case SHEAF_EVENT_NOTICE: on_notice(client, event); break;
    default: break;
  }
  if (client->on_event != NULL) client->on_event(client->event_user, event);
  return SHEAF_OK;
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
  const sheaf__live live = {.id = submit->command.id, .whose = submit->whose};
  int32_t status = end_unsent(client, &live, &submit->request, error_class, message);
  if (status) return status;
  client->bytes_over += submit->command.bytes;
  sheaf__task_release(client, submit->whose.task);
  return SHEAF_OK;
}

static int32_t end_position(sheaf_client *client, sheaf__list *list, const sheaf_request *request,
                            uint32_t error_class, const char *message) {
  const sheaf__live live = {
      .list = list, .position = list->fed, .whose = {.request_user = request->user}};
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
static int32_t admit(sheaf_client *client, sheaf__live *live, sheaf_request *request,
                     sheaf_parse_error *error) {
  request->user = live; /* its own is in whose */
  int32_t status = sheaf_engine_submit(client->engine, request, &live->index, error);
  if (status == SHEAF_E_NOMEM) client->starved = true;
  return status;
}

static uint32_t class_of(int32_t status) {
  return status == SHEAF_E_END ? SHEAF_CLASS_CANCELLED : SHEAF_CLASS_INVALID_REQUEST;
}

static const char closed[] = "the client was stopped before this was sent";

int32_t sheaf__admit_submit(sheaf_client *client, sheaf__submit *submit) {
  sheaf__live *live = live_take(client);
  if (live == NULL) return SHEAF_E_NOMEM;
  live->id = submit->command.id;
  live->bytes = submit->command.bytes;
  live->whose = submit->whose;
  if (!bucket_put(client, live)) {
    live_return(client, live);
    return SHEAF_E_NOMEM;
  }
  sheaf_parse_error error = {0};
  int32_t status = admit(client, live, &submit->request, &error);
  if (status == SHEAF_OK) return SHEAF_OK;
  bucket_remove(client, live);
  live_return(client, live);
  if (status == SHEAF_E_FULL || status == SHEAF_E_NOMEM) return status;
  return sheaf__end_submit(client, submit, class_of(status),
                           status == SHEAF_E_END ? closed : reason(status, &error));
}

int32_t sheaf__admit_next(sheaf_client *client, sheaf__list *list) {
  sheaf__live *live = live_take(client);
  if (live == NULL) return SHEAF_E_NOMEM;
  char id[SHEAF__ID_BYTES];
  sheaf_request request;
  sheaf__list_request(list, list->fed, id, &request);
  live->list = list;
  live->position = list->fed;
  void *user = request.user;
  live->whose.request_user = user;
  sheaf_parse_error error = {0};
  int32_t status = admit(client, live, &request, &error);
  if (status == SHEAF_OK) {
    list->fed++;
    return SHEAF_OK;
  }
  live_return(client, live);
  if (status == SHEAF_E_FULL || status == SHEAF_E_NOMEM) return status;
  request.user = user;
  return end_position(client, list, &request, class_of(status),
                      status == SHEAF_E_END ? closed : reason(status, &error));
}
