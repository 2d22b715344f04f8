/* serve_accept.c: what is looked at before the body: the path, who asks, and the headers that say
 * how.
 *
 * Who may ask: on loopback without a token every program of this machine may, and no web page: a
 * page's requests carry an Origin, or the name by which it reached this address as their Host.
 * With a token whoever has it. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct serve_route {
  const char *path;
  const char *method;
  uint32_t page;
} serve_route;

static const serve_route routes[] = {
    {"/v1/chat/completions", "POST", SERVE_CHAT},
    {"/v1/completions", "POST", SERVE_COMPLETIONS},
    {"/v1/embeddings", "POST", SERVE_EMBEDDINGS},
    {"/v1/responses", "POST", SERVE_RESPONSES},
    {"/v1/models", "GET", SERVE_MODELS},
    {"/v1/models/", "GET", SERVE_MODEL}, /* and a name */
    {"/health", "GET", SERVE_HEALTH},
    {"/metrics", "GET", SERVE_METRICS},
};

static const serve_route *find_route(const char *url) {
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    const serve_route *route = &routes[i];
    size_t bytes = strlen(route->path);
    bool is_prefix = route->page == SERVE_MODEL;
    if (strncmp(url, route->path, bytes) == 0 && (is_prefix ? url[bytes] != 0 : url[bytes] == 0))
      return route;
  }
  return NULL;
}

static const char *header(const serve_call *call, const char *name) {
  return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

/* ---- Who asks ---- */

/* Looks at every byte of the token, however early they differ. */
static bool is_token(const sheaf_serve *serve, const char *given) {
  size_t bytes = strlen(given);
  volatile unsigned char differ = bytes != serve->token_bytes;
  for (size_t i = 0; i < serve->token_bytes; i++)
    differ |= (unsigned char)(serve->token[i] ^ given[bytes ? i % bytes : 0]);
  return differ == 0;
}

static bool has_token(const serve_call *call) {
  const char *given = header(call, MHD_HTTP_HEADER_AUTHORIZATION);
  if (given == NULL || strncasecmp(given, "bearer ", 7) != 0) return false;
  return is_token(call->serve, given + 7 + strspn(given + 7, " "));
}

static bool check_caller(serve_call *call) {
  const sheaf_serve *serve = call->serve;
  if (serve->token) {
    if (call->page == SERVE_HEALTH || has_token(call)) return true;
    return sheaf__serve_refuse(
        call, MHD_HTTP_UNAUTHORIZED, "invalid_api_key", NULL,
        "this endpoint wants its access token, as Authorization: Bearer TOKEN");
  }
  const char *host = header(call, MHD_HTTP_HEADER_HOST);
  if (header(call, "origin"))
    return sheaf__serve_refuse(call, MHD_HTTP_FORBIDDEN, "origin", NULL,
                               "web pages are not served without an access token");
  if (host && !sheaf__serve_is_loopback_name(host))
    return sheaf__serve_refuse(call, MHD_HTTP_FORBIDDEN, "host", NULL,
                               "without an access token this endpoint has to be called by "
                               "127.0.0.1 or localhost");
  return true;
}

/* ---- How ---- */

/* A whole number up to max that is not 0. */
static bool read_number(const char *text, uint64_t max, uint64_t *number) {
  uint64_t read = 0;
  if (*text == 0) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9' || read > (UINT64_MAX - 9) / 10) return false;
    read = read * 10 + (uint64_t)(*text - '0');
  }
  *number = read;
  return read > 0 && read <= max;
}

static bool read_priority(serve_call *call) {
  static const struct {
    const char *name;
    uint32_t priority;
  } names[] = {{"urgent", SHEAF_PRIORITY_URGENT},
               {"high", SHEAF_PRIORITY_HIGH},
               {"normal", SHEAF_PRIORITY_NORMAL},
               {"low", SHEAF_PRIORITY_LOW},
               {"deferrable", SHEAF_PRIORITY_DEFERRABLE}};
  const char *given = header(call, "x-sheaf-priority");
  uint64_t number;
  if (given == NULL) return true;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcasecmp(given, names[i].name) == 0) {
      call->wanted.priority = names[i].priority;
      return true;
    }
  if (!read_number(given, 100, &number))
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "header", "x-sheaf-priority",
                               "x-sheaf-priority: give urgent, high, normal, low, deferrable or a "
                               "number from 1 to 100");
  call->wanted.priority = (uint32_t)number;
  return true;
}

static bool read_ms(serve_call *call, const char *name, uint64_t max, uint64_t *ms) {
  const char *given = header(call, name);
  if (given == NULL || read_number(given, max, ms)) return true;
  return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "header", name,
                             "%s: give a whole number of milliseconds from 1 to %llu", name,
                             (unsigned long long)max);
}

static bool read_trust_key(serve_call *call) {
  const char *given = header(call, "x-sheaf-trust-key");
  if (given == NULL) return true;
  size_t bytes = strlen(given);
  if (bytes >= sizeof call->trust_key)
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "header", "x-sheaf-trust-key",
                               "x-sheaf-trust-key: at most %u bytes",
                               (unsigned)sizeof call->trust_key - 1);
  memcpy(call->trust_key, given, bytes + 1);
  call->wanted.trust_key = (sheaf_slice){call->trust_key, bytes};
  return true;
}

static bool read_dedup(serve_call *call) {
  const char *given = header(call, "x-sheaf-dedup");
  if (given == NULL) return true;
  if (strcasecmp(given, "off") == 0)
    call->wanted.flags |= SHEAF_REQUEST_ALONE;
  else if (strcasecmp(given, "on") == 0)
    call->wanted.flags |= SHEAF_REQUEST_DETERMINISTIC;
  else
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "header", "x-sheaf-dedup",
                               "x-sheaf-dedup: give off or on");
  return true;
}

static bool read_headers(serve_call *call) {
  const uint64_t week_ms = UINT64_C(604800000); /* the range of the engine's deadline_ms */
  call->wanted = SHEAF_REQUEST_INIT;
  return read_priority(call) &&
         read_ms(call, "x-sheaf-deadline-ms", week_ms, &call->wanted.deadline_ms) &&
         read_ms(call, "x-sheaf-max-wait-ms", week_ms, &call->wanted.max_wait_ms) &&
         read_trust_key(call) && read_dedup(call);
}

/* ---- The body's size, and everything ---- */

/* A body that would be thrown away for long is not read; the connection ends with the answer. */
static bool check_size(serve_call *call) {
  const char *given = header(call, MHD_HTTP_HEADER_CONTENT_LENGTH);
  const uint64_t max = call->serve->options.body_bytes_max;
  if (given == NULL) return true;
  unsigned long long bytes = strtoull(given, NULL, 10);
  if (bytes <= max) return true;
  call->is_early = bytes / 4 > max;
  return sheaf__serve_refuse(call, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large", NULL,
                             "the body is larger than %llu bytes", (unsigned long long)max);
}

static bool check_state(serve_call *call) {
  if (call->page >= SERVE_MODELS || !atomic_load(&call->serve->is_draining)) return true;
  return sheaf__serve_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "draining", NULL,
                             "this endpoint is stopping");
}

void sheaf__serve_accept(serve_call *call, const char *method, const char *url) {
  const serve_route *route = find_route(url);
  call->page = route ? route->page : SERVE_MODELS;
  if (!check_size(call) || !check_caller(call)) return;
  if (route == NULL) {
    bool is_v1 = strncmp(url, "/v1/", 4) == 0;
    sheaf__serve_refuse(call, MHD_HTTP_NOT_FOUND, "unknown_url", NULL, "there is no %.200s here%s",
                        url, is_v1 ? "" : "; the base URL ends in /v1");
    return;
  }
  if (strcmp(method, route->method) != 0) {
    call->allow = route->method;
    sheaf__serve_refuse(call, MHD_HTTP_METHOD_NOT_ALLOWED, "method", NULL, "%s takes %s, not %.20s",
                        route->path, route->method, method);
    return;
  }
  if (check_state(call)) read_headers(call);
}
