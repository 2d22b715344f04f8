/* client_open.c: options into an engine and a transport: copies, environment, keys.
 *
 * A key is copied once to trim it, handed to the transport and wiped; the engine and the client never hold it. */
#define _DEFAULT_SOURCE
#include "client_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- Memory ---- */

static void *heap(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx;
  (void)old_bytes;
  if (new_bytes > 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

const sheaf_allocator sheaf__heap = {heap, NULL};

static void keep(sheaf_slice *slice, char **to) {
  if (slice->bytes == 0) return;
  memcpy(*to, slice->data, slice->bytes);
  slice->data = *to;
  *to += slice->bytes;
}

/* The checks of lists look at the options later, so that what they look at is kept. */
static int32_t keep_options(sheaf_client *client) {
  sheaf_engine_options *o = &client->options;
  uint32_t count = o->endpoint_count;
  size_t bytes = o->system.bytes + o->params.bytes + 1;
  for (uint32_t i = 0; i < count; i++) {
    const sheaf_endpoint *e = &o->endpoints[i];
    bytes += e->name.bytes + e->base_url.bytes + e->model.bytes + e->default_url.bytes;
  }
  client->endpoints = calloc(count, sizeof *client->endpoints);
  client->text = malloc(bytes);
  if (client->endpoints == NULL || client->text == NULL) return SHEAF_E_NOMEM;
  char *to = client->text;
  keep(&o->system, &to);
  keep(&o->params, &to);
  for (uint32_t i = 0; i < count; i++) {
    const sheaf_endpoint *given = &o->endpoints[i];
    sheaf_endpoint *e = &client->endpoints[i];
    e->struct_bytes = sizeof *e;
    e->provider = given->provider;
    e->name = given->name;
    e->base_url = given->base_url;
    e->model = given->model;
    e->default_url = given->default_url;
    keep(&e->name, &to);
    keep(&e->base_url, &to);
    keep(&e->model, &to);
    keep(&e->default_url, &to);
  }
  o->endpoints = client->endpoints;
  return SHEAF_OK;
}

/* ---- Where to ---- */

enum { URL_BYTES = 1024 };

/* OLLAMA_HOST may be "host", "host:port" or a URL. A server that listens on all addresses is set up with 0.0.0.0, which
 * is no address to connect to. */
static bool ollama_url(char url[URL_BYTES]) {
  const char *host = getenv("OLLAMA_HOST");
  if (host == NULL || host[0] == 0) return false;
  const char *scheme_end = strstr(host, "://");
  const char *name = scheme_end ? scheme_end + 3 : host;
  bool has_port = strchr(name, ':') != NULL;
  bool is_any = strncmp(name, "0.0.0.0", 7) == 0;
  int n = snprintf(url, URL_BYTES, "%.*s%s%s%s",
                   scheme_end ? (int)(name - host) : (int)strlen("http://"),
                   scheme_end ? host : "http://", is_any ? "127.0.0.1" : "",
                   is_any ? name + 7 : name, has_port || scheme_end ? "" : ":11434");
  return n > 0 && n < URL_BYTES;
}

static bool is_loopback(const char *url) {
  const char *host = strstr(url, "://");
  host = host ? host + 3 : url;
  return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
         strncmp(host, "[::1]", 5) == 0;
}

/* ---- Keys ---- */

static const char *key_from_environment(const char *variables) {
  char name[64];
  for (const char *at = variables; at != NULL && *at;) {
    const char *end = strchr(at, ',');
    size_t bytes = end ? (size_t)(end - at) : strlen(at);
    if (bytes < sizeof name) {
      memcpy(name, at, bytes);
      name[bytes] = 0;
      const char *key = getenv(name);
      if (key != NULL && key[strspn(key, " \t\r\n")]) return key;
    }
    at = end ? end + 1 : NULL;
  }
  return NULL;
}

/* A key often comes with the line end of the file it was read from. */
static int32_t set_key(sheaf_client *client, const char *base_url, const char *key) {
  key += strspn(key, " \t\r\n");
  size_t bytes = strlen(key);
  while (bytes > 0 && strchr(" \t\r\n", key[bytes - 1])) bytes--;
  char *copy = malloc(bytes + 1);
  if (copy == NULL) return SHEAF_E_NOMEM;
  memcpy(copy, key, bytes);
  copy[bytes] = 0;
  int32_t status = sheaf_curl_set_credential(client->curl, 1, base_url, copy);
  explicit_bzero(copy, bytes);
  free(copy);
  return status;
}

/* ---- Opening ---- */

/* The one endpoint that provider, base_url, api_key and model speak of. */
static int32_t simple_endpoint(sheaf_client *client, const sheaf_client_options *given,
                               sheaf_endpoint *e, char url[URL_BYTES]) {
  const char *name = given->provider ? given->provider : "openai";
  const sheaf_provider *provider = sheaf_provider_find(sheaf_slice_of(name));
  if (provider == NULL) return SHEAF_E_NOT_FOUND;
  *e = SHEAF_ENDPOINT_INIT;
  e->provider = provider;
  e->model = sheaf_slice_of(given->model);
  const char *base = given->base_url;
  if (base == NULL && strcmp(provider->name, "ollama") == 0 && ollama_url(url)) base = url;
  bool may_do_without = base != NULL && is_loopback(base);
  if (base == NULL) base = provider->base_url;
  e->base_url = sheaf_slice_of(base);
  const char *key = given->api_key ? given->api_key : key_from_environment(provider->key_variables);
  if (key == NULL && provider->key_variables != NULL && !may_do_without) return SHEAF_E_AUTH;
  if (key == NULL || key[0] == 0) return SHEAF_OK;
  e->credential_id = 1;
  return set_key(client, base, key);
}

static uint64_t draw_seed(void) {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) seed = sheaf_now_ns();
  return seed;
}

static void read_options(sheaf_client *client, const sheaf_engine_options *given) {
  sheaf_engine_options *o = &client->options;
  sheaf_engine_options_init(o);
  if (given != NULL) {
    size_t known = given->struct_bytes < sizeof *o ? given->struct_bytes : sizeof *o;
    memcpy(o, given, known);
    o->struct_bytes = sizeof *o;
  }
  if (o->seed == 0) o->seed = draw_seed();
  if (o->sha256_blocks == NULL) o->sha256_blocks = sheaf_sha256_fastest();
  client->capacity = o->queue_capacity;
  uint64_t cap = o->concurrency ? o->concurrency : o->max_concurrency;
  /* Lists leave half of the places to single requests, which would wait until their end otherwise. */
  uint64_t half = o->queue_capacity > 1 ? o->queue_capacity / 2 : 1;
  client->ahead = cap + SHEAF__LIST_AHEAD < half ? cap + SHEAF__LIST_AHEAD : half;
}

static int32_t join_doors(sheaf_client *client) {
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .ctx = client, .put = sheaf__event_put};
  const sheaf_doors doors = {
      .struct_bytes = sizeof doors, .transport = sheaf_curl_transport(client->curl), .sink = &sink};
  int32_t status = sheaf_curl_bind(client->curl, client->engine);
  return status ? status : sheaf_engine_open(client->engine, &doors);
}

int32_t sheaf__client_open(sheaf_client *client, const sheaf_client_options *options) {
  sheaf_client_options given = SHEAF_CLIENT_OPTIONS_INIT;
  if (options->struct_bytes < sizeof options->struct_bytes) return SHEAF_E_MISUSE;
  memcpy(&given, options,
         options->struct_bytes < sizeof given ? options->struct_bytes : sizeof given);
  read_options(client, given.engine);
  int32_t status = sheaf_curl_new(given.curl, &client->curl);
  if (status) return status;
  sheaf_endpoint own;
  char url[URL_BYTES];
  client->options.endpoints = given.endpoints;
  client->options.endpoint_count = given.endpoint_count;
  if (given.endpoints == NULL) {
    status = simple_endpoint(client, &given, &own, url);
    client->options.endpoints = &own;
    client->options.endpoint_count = 1;
  }
  if (status == SHEAF_OK)
    status = sheaf_engine_new(&client->options, &sheaf__heap, &client->engine);
  if (status == SHEAF_OK) status = keep_options(client);
  return status == SHEAF_OK ? join_doors(client) : status;
}

void sheaf__client_close(sheaf_client *client) {
  sheaf_curl_free(client->curl);
  sheaf_engine_free(client->engine);
  while (client->chunks != NULL) {
    sheaf__live_chunk *chunk = client->chunks;
    client->chunks = chunk->next;
    free(chunk);
  }
  free(client->endpoints);
  free(client->text);
}
