/* batch.c: a whole list: checked, handed over, waited for; then the finished batch and its look-ups.
 *
 * The driver reads the requests where the caller has them, a few ahead of what may be in flight, so that a long list is not held
 * twice. Each result is one block of the batch's. The table for look-ups by custom_id serves the search for duplicates first.
 *
 * Outline: requests by position, the table, results, running, look-ups. */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

struct sheaf_batch {
  size_t count;
  size_t succeeded;
  sheaf_result **results;
  uint32_t *table; /* of mask + 1 places: a place in results + 1, 0: none */
  size_t mask;
  bool by_completion;
  sheaf_stats stats;
};

/* ---- Requests by position ---- */

/* Each submit makes one: snprintf took a tenth of a submit's time. */
sheaf_slice sheaf__row_name(uint64_t number, char id[SHEAF__ID_BYTES]) {
  char *at = id + SHEAF__ID_BYTES;
  number++;
  do *--at = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  at -= 4;
  memcpy(at, "row-", 4);
  return (sheaf_slice){at, (size_t)(id + SHEAF__ID_BYTES - at)};
}

void sheaf__list_request(const sheaf__list *list, size_t position, char id[SHEAF__ID_BYTES],
                         sheaf_request *request) {
  *request = SHEAF_REQUEST_INIT;
  if (list->prompts != NULL) {
    request->prompt = sheaf_slice_of(list->prompts[position]);
  } else {
    const void *given = (const char *)list->requests + position * list->stride;
    memcpy(request, given, list->stride < sizeof *request ? list->stride : sizeof *request);
    request->struct_bytes = sizeof *request;
  }
  if (request->custom_id.bytes == 0) request->custom_id = sheaf__row_name(position, id);
}

/* ---- The table ---- */

/* FNV-1a, and a last mix because the table takes the low bits. */
size_t sheaf__id_hash(sheaf_slice id) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < id.bytes; i++) {
    hash = (hash ^ (uint8_t)id.data[i]) * UINT64_C(1099511628211);
  }
  return (size_t)(hash ^ (hash >> 32));
}

bool sheaf__slice_same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static void index_results(sheaf_batch *batch) {
  memset(batch->table, 0, (batch->mask + 1) * sizeof *batch->table);
  for (size_t i = 0; i < batch->count; i++) {
    size_t at = sheaf__id_hash(batch->results[i]->custom_id) & batch->mask;
    while (batch->table[at] != 0) at = (at + 1) & batch->mask;
    batch->table[at] = (uint32_t)i + 1;
  }
}

/* ---- Results ---- */

void sheaf__list_put(sheaf__list *list, size_t position, sheaf_result *result) {
  sheaf_batch *batch = list->batch;
  result->ok = result->error_class == SHEAF_CLASS_NONE;
  if (result->ok) batch->succeeded++;
  batch->results[batch->by_completion ? list->ended : position] = result;
  list->ended++;
}

static sheaf_batch *make_batch(size_t count) {
  if (count >= UINT32_MAX / 4) return NULL;
  sheaf_batch *batch = calloc(1, sizeof *batch);
  if (batch == NULL) return NULL;
  size_t places = 4;
  while (places < count * 2) places *= 2;
  batch->count = count;
  batch->mask = places - 1;
  batch->table = calloc(places, sizeof *batch->table);
  batch->results = calloc(count + 1, sizeof *batch->results);
  if (batch->table != NULL && batch->results != NULL) return batch;
  sheaf_batch_free(batch);
  return NULL;
}

void sheaf_batch_free(sheaf_batch *batch) {
  if (batch == NULL) return;
  for (size_t i = 0; batch->results != NULL && i < batch->count; i++)
    sheaf_result_free(batch->results[i]);
  free(batch->results);
  free(batch->table);
  free(batch);
}

/* ---- Running ---- */

/* Hands the list over and waits until it is over. */
static int32_t run(sheaf_client *client, sheaf__list *list) {
  if (atomic_load(&client->refusing) || !sheaf__push(client, &list->command)) return SHEAF_E_END;
  pthread_mutex_lock(&client->mutex);
  while (!list->over) pthread_cond_wait(&client->answered, &client->mutex);
  list->batch->stats = client->stats;
  pthread_mutex_unlock(&client->mutex);
  return SHEAF_OK;
}

static int32_t run_list(sheaf_client *client, sheaf__list *list, sheaf_batch **out,
                        sheaf_parse_error *error) {
  sheaf_batch *batch = make_batch(list->count);
  if (batch == NULL) return SHEAF_E_NOMEM;
  batch->by_completion = list->options->order == 1;
  list->batch = batch;
  sheaf_engine_options options;
  sheaf__options_now(client, &options);
  int32_t status = sheaf__list_check(&options, list, batch->table, batch->mask, error);
  uint64_t started_ns = sheaf_now_ns();
  if (status == SHEAF_OK) status = run(client, list);
  if (status) {
    sheaf_batch_free(batch);
    return status;
  }
  index_results(batch);
  sheaf__batch_stats(&batch->stats, batch->results, batch->count);
  batch->stats.started_ns = started_ns;
  batch->stats.now_ns = sheaf_now_ns();
  *out = batch;
  return batch->count > 0 && batch->succeeded == 0 ? SHEAF_E_ALL_FAILED : SHEAF_OK;
}

static int32_t begin(sheaf_client *client, sheaf__list *list, const sheaf_batch_options *given,
                     sheaf_batch **batch, sheaf_parse_error *error) {
  sheaf_batch_options options = SHEAF_BATCH_OPTIONS_INIT;
  sheaf_parse_error unused;
  if (sheaf__on_driver(client)) return SHEAF_E_MISUSE; /* the driver cannot wait for itself */
  if (given != NULL) {
    if (given->struct_bytes < sizeof given->struct_bytes) return SHEAF_E_MISUSE;
    memcpy(&options, given,
           given->struct_bytes < sizeof options ? given->struct_bytes : sizeof options);
  }
  if (options.order > 1) return SHEAF_E_RANGE;
  list->command.kind = SHEAF__DO_LIST;
  list->options = &options;
  return run_list(client, list, batch, error ? error : &unused);
}

int32_t sheaf_client_batch(sheaf_client *client, const sheaf_request *requests, size_t count,
                           const sheaf_batch_options *options, sheaf_batch **batch,
                           sheaf_parse_error *error) {
  if (client == NULL || batch == NULL || (requests == NULL && count > 0)) return SHEAF_E_MISUSE;
  sheaf__list list = {.requests = requests, .count = count};
  list.stride = count > 0 ? requests->struct_bytes : 0;
  return begin(client, &list, options, batch, error);
}

int32_t sheaf_client_batch_prompts(sheaf_client *client, const char *const *prompts, size_t count,
                                   sheaf_batch **batch) {
  if (client == NULL || batch == NULL || (prompts == NULL && count > 0)) return SHEAF_E_MISUSE;
  sheaf__list list = {.prompts = prompts, .count = count};
  return begin(client, &list, NULL, batch, NULL);
}

/* ---- Look-ups ---- */

size_t sheaf_batch_count(const sheaf_batch *batch) {
  return batch == NULL ? 0 : batch->count;
}

const sheaf_result *sheaf_batch_at(const sheaf_batch *batch, size_t n) {
  return batch != NULL && n < batch->count ? batch->results[n] : NULL;
}

const sheaf_result *sheaf_batch_find(const sheaf_batch *batch, const char *custom_id) {
  if (batch == NULL || custom_id == NULL) return NULL;
  sheaf_slice id = sheaf_slice_of(custom_id);
  for (size_t at = sheaf__id_hash(id) & batch->mask; batch->table[at] != 0;
       at = (at + 1) & batch->mask) {
    const sheaf_result *result = batch->results[batch->table[at] - 1];
    if (sheaf__slice_same(result->custom_id, id)) return result;
  }
  return NULL;
}

const char *sheaf_batch_text(const sheaf_batch *batch, size_t n) {
  const sheaf_result *result = sheaf_batch_at(batch, n);
  return result != NULL && result->ok ? result->text.data : "";
}

bool sheaf_batch_all_succeeded(const sheaf_batch *batch) {
  return batch != NULL && batch->succeeded == batch->count;
}

size_t sheaf_batch_success_count(const sheaf_batch *batch) {
  return batch == NULL ? 0 : batch->succeeded;
}

size_t sheaf_batch_failure_count(const sheaf_batch *batch) {
  return batch == NULL ? 0 : batch->count - batch->succeeded;
}

const sheaf_stats *sheaf_batch_stats(const sheaf_batch *batch) {
  return batch == NULL ? NULL : &batch->stats;
}
