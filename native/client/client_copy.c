/* client_copy.c: the options' own copy: a restart makes an engine from it, and the checks of lists look at it while they run.
 *
 * All text is one block, measured by the same walk that fills it. */
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
static void keep_endpoint(sheaf_client *client, keeper *k, sheaf_endpoint *e) {
  keep(k, &e->name);
  keep(k, &e->base_url);
  keep(k, &e->model);
  keep(k, &e->default_url);
  keep(k, &e->quota_group);
  keep(k, &e->key_header);
  keep(k, &e->query);
  const sheaf_header *given = e->headers;
  if (k->to != NULL && e->header_count > 0) e->headers = client->headers + k->headers;
  for (uint32_t i = 0; i < e->header_count; i++) {
    sheaf_header header = given[i];
    keep(k, &header.name);
    keep(k, &header.value);
    if (k->to != NULL) client->headers[k->headers] = header;
    k->headers++;
  }
}

static void keep_all(sheaf_client *client, keeper *k) {
  sheaf_engine_options *o = &client->options;
  keep(k, &o->system);
  keep(k, &o->params);
  keep(k, &o->json_schema);
  for (uint32_t i = 0; i < o->endpoint_count; i++) keep_endpoint(client, k, &client->endpoints[i]);
}

int32_t sheaf__keep_options(sheaf_client *client) {
  sheaf_engine_options *o = &client->options;
  if (o->endpoints == NULL) return SHEAF_E_MISUSE;
  client->endpoints = calloc((size_t)o->endpoint_count + 1, sizeof *client->endpoints);
  if (client->endpoints == NULL) return SHEAF_E_NOMEM;
  for (uint32_t i = 0; i < o->endpoint_count; i++) client->endpoints[i] = o->endpoints[i];
  o->endpoints = client->endpoints;
  keeper k = {0};
  keep_all(client, &k);
  client->text = malloc(k.bytes + 1);
  client->headers = calloc(k.headers + 1, sizeof *client->headers);
  if (client->text == NULL || client->headers == NULL) return SHEAF_E_NOMEM;
  k = (keeper){.to = client->text};
  keep_all(client, &k);
  if (o->tokens != NULL) {
    client->tokens = *o->tokens;
    o->tokens = &client->tokens;
  }
  if (o->secret != NULL) {
    memcpy(client->secret, o->secret, sizeof client->secret);
    o->secret = client->secret;
  }
  return SHEAF_OK;
}

void sheaf__options_now(sheaf_client *client, sheaf_engine_options *options) {
  pthread_mutex_lock(&client->mutex);
  *options = client->options;
  pthread_mutex_unlock(&client->mutex);
}
