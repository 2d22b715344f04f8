/* client_copy.c: the options' own copy: a restart makes an engine from it, and the checks of lists look at it while they run.
 *
 * All text is one block, measured by the same walk that fills it. */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

/* Measures while `to` is NULL, then moves. */
typedef struct keeper {
  char *to;
  size_t bytes;
  size_t headers;
} keeper;

static void keep(keeper *k, sheaf_slice *slice) {
  if (slice->bytes == 0) return;
  if (k->to != NULL) {
    memcpy(k->to + k->bytes, slice->data, slice->bytes);
    slice->data = k->to + k->bytes;
  }
  k->bytes += slice->bytes;
}

/* Endpoints grow at the end; the known ones are of one size with the caller's. */
static void keep_endpoint(sheaf__kept *kept, keeper *k, sheaf_endpoint *e) {
  keep(k, &e->name);
  keep(k, &e->base_url);
  keep(k, &e->model);
  keep(k, &e->default_url);
  keep(k, &e->quota_group);
  keep(k, &e->key_header);
  keep(k, &e->query);
  const sheaf_header *given = e->headers;
  if (k->to != NULL && e->header_count > 0) e->headers = kept->headers + k->headers;
  for (uint32_t i = 0; i < e->header_count; i++) {
    sheaf_header header = given[i];
    keep(k, &header.name);
    keep(k, &header.value);
    if (k->to != NULL) kept->headers[k->headers] = header;
    k->headers++;
  }
}

static void keep_all(sheaf_engine_options *o, sheaf__kept *kept, keeper *k) {
  keep(k, &o->system);
  keep(k, &o->params);
  keep(k, &o->json_schema);
  for (uint32_t i = 0; i < o->endpoint_count; i++) keep_endpoint(kept, k, &kept->endpoints[i]);
}

int32_t sheaf__keep_options(sheaf_engine_options *o, sheaf__kept *kept) {
  if (o->endpoints == NULL) return SHEAF_E_MISUSE;
  kept->endpoints = calloc((size_t)o->endpoint_count + 1, sizeof *kept->endpoints);
  if (kept->endpoints == NULL) return SHEAF_E_NOMEM;
  for (uint32_t i = 0; i < o->endpoint_count; i++) kept->endpoints[i] = o->endpoints[i];
  o->endpoints = kept->endpoints;
  keeper k = {0};
  keep_all(o, kept, &k);
  kept->text = malloc(k.bytes + 1);
  kept->headers = calloc(k.headers + 1, sizeof *kept->headers);
  if (kept->text == NULL || kept->headers == NULL) return SHEAF_E_NOMEM;
  k = (keeper){.to = kept->text};
  keep_all(o, kept, &k);
  if (o->tokens != NULL) {
    kept->tokens = *o->tokens;
    o->tokens = &kept->tokens;
  }
  if (o->secret != NULL) {
    memcpy(kept->secret, o->secret, sizeof kept->secret);
    o->secret = kept->secret;
  }
  return SHEAF_OK;
}

void sheaf__kept_free(sheaf__kept *kept) {
  free(kept->endpoints);
  free(kept->headers);
  free(kept->text);
  explicit_bzero(kept->secret, sizeof kept->secret);
}

void sheaf__options_now(sheaf_client *client, sheaf_engine_options *options) {
  pthread_mutex_lock(&client->mutex);
  *options = client->options;
  pthread_mutex_unlock(&client->mutex);
}
