/* client_place.c: where requests go and with which key, from options and environment: of clients
 * and of jobs.
 *
 * A key is copied once to trim it, handed to the transport and wiped; nobody else holds it.
 *
 * Outline: addresses, keys, sentences, the place, endpoints of the caller's own. */
#define _DEFAULT_SOURCE
#include "client_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Addresses ---- */

/* OLLAMA_HOST may be "host", "host:port" or a URL. A server that listens on all addresses is set up
 * with 0.0.0.0, which is no address to connect to. */
static bool ollama_url(char url[SHEAF__URL_BYTES]) {
  const char *host = getenv("OLLAMA_HOST");
  if (host == NULL || host[0] == 0) return false;
  const char *scheme_end = strstr(host, "://");
  const char *name = scheme_end ? scheme_end + 3 : host;
  bool has_port = strchr(name, ':') != NULL;
  bool is_any = strncmp(name, "0.0.0.0", 7) == 0;
  int n = snprintf(url, SHEAF__URL_BYTES, "%.*s%s%s%s",
                   scheme_end ? (int)(name - host) : (int)strlen("http://"),
                   scheme_end ? host : "http://", is_any ? "127.0.0.1" : "",
                   is_any ? name + 7 : name, has_port || scheme_end ? "" : ":11434");
  return n > 0 && n < SHEAF__URL_BYTES;
}

/* Only what is this machine for sure: 127.0.0.1.example is not. */
static bool is_loopback(const char *url) {
  static const char *const names[] = {"localhost", "[::1]"};
  const char *host = strstr(url, "://");
  host = host ? host + 3 : url;
  size_t bytes = host[0] == '[' ? strcspn(host, "/?#@]") + 1 : strcspn(host, ":/?#@");
  if (strspn(host, "0123456789.") == bytes && strncmp(host, "127.", 4) == 0) return true;
  for (size_t i = 0; i < 2; i++)
    if (strlen(names[i]) == bytes && strncmp(host, names[i], bytes) == 0) return true;
  return false;
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
int32_t sheaf__place_key(const sheaf__place *place, sheaf__set_credential set, void *ctx) {
  const char *key = place->key;
  if (key == NULL) return SHEAF_OK;
  key += strspn(key, " \t\r\n");
  size_t bytes = strlen(key);
  while (bytes > 0 && strchr(" \t\r\n", key[bytes - 1])) bytes--;
  char *copy = malloc(bytes + 1);
  if (copy == NULL) return SHEAF_E_NOMEM;
  memcpy(copy, key, bytes);
  copy[bytes] = 0;
  int32_t status = set(ctx, place->endpoint.credential_id, place->base_url, copy);
  explicit_bzero(copy, bytes);
  free(copy);
  return status;
}

/* ---- Sentences ---- */

static int32_t no_provider(const char *name, char *sentence, size_t bytes) {
  size_t at =
      (size_t)snprintf(sentence, bytes, "there is no provider \"%.60s\": give one of", name);
  for (uint32_t i = 0; sheaf_provider_at(i) != NULL && at < bytes; i++)
    at += (size_t)snprintf(sentence + at, bytes - at, "%s %s", i ? "," : "",
                           sheaf_provider_at(i)->name);
  return SHEAF_E_NOT_FOUND;
}

/* Only Azure gives every customer an address of their own. */
static int32_t no_address(const sheaf_provider *provider, char *sentence, size_t bytes) {
  snprintf(sentence, bytes,
           "%s has no address of its own: give base_url "
           "https://RESOURCE.openai.azure.com/openai/v1",
           provider->name);
  return SHEAF_E_FIELD;
}

/* ---- The place ---- */

int32_t sheaf__place_find(sheaf__place *place, char *sentence, size_t bytes) {
  const char *name = place->provider ? place->provider : "openai";
  const sheaf_provider *provider = sheaf_provider_find(sheaf_slice_of(name));
  if (provider == NULL) return no_provider(name, sentence, bytes);
  sheaf_endpoint *e = &place->endpoint;
  *e = SHEAF_ENDPOINT_INIT;
  e->provider = provider;
  e->model = sheaf_slice_of(place->model);
  const char *base = place->base_url;
  if (base == NULL && strcmp(provider->name, "ollama") == 0 && ollama_url(place->url))
    base = place->url;
  bool may_do_without = base != NULL && is_loopback(base);
  if (base == NULL || base[0] == 0) base = provider->base_url;
  if (base[0] == 0) return no_address(provider, sentence, bytes);
  place->base_url = base;
  e->base_url = sheaf_slice_of(base);
  if (!place->wants_key) return SHEAF_OK;
  if (place->key == NULL) place->key = key_from_environment(provider->key_variables);
  if (place->key == NULL && provider->key_variables != NULL && !may_do_without) {
    snprintf(sentence, bytes, "no key was found: give api_key, or set %s", provider->key_variables);
    return SHEAF_E_AUTH;
  }
  if (place->key != NULL && place->key[0] == 0) place->key = NULL;
  if (place->key != NULL) e->credential_id = 1;
  return SHEAF_OK;
}

/* ---- Endpoints of the caller's own ---- */

int32_t sheaf__endpoints_check(const sheaf_endpoint *endpoints, uint32_t count, char *sentence,
                               size_t bytes) {
  for (uint32_t i = 0; i < count; i++) {
    const sheaf_provider *provider = endpoints[i].provider;
    bool has_own = provider != NULL && provider->base_url != NULL && provider->base_url[0] != 0;
    if (provider != NULL && !has_own && endpoints[i].base_url.bytes == 0)
      return no_address(provider, sentence, bytes);
  }
  return SHEAF_OK;
}
