/* curl_route.c: what exchanges of one same_key share, made once: the parsed URL, the header list with its secrets, and the
 * easy handles that are set up for both.
 *
 * The security rules are decided here, when a route is made: the scheme, plain http to loopback hosts only, header text
 * without line breaks, and a credential to its own origin only. The URL that was judged is the parsed object that libcurl
 * then connects to, so there is no second parser to disagree with the first. same_key only finds a route; whether it fits
 * is told by comparing, since a wrong hit would send a key and a body to the wrong place.
 *
 * Outline: judging, header list, making, matching, the list of routes. */
#define _GNU_SOURCE
#include "curl_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const char no_secret[] = "no key was set for its credential id";
static const char other_origin[] = "its key belongs to another origin (scheme, host or port)";
static const char bad_header[] = "a header name is no token or a value holds a line break";
static const char bad_url[] = "the URL is not an http or https URL without user and password";
static const char plain_http[] = "plain http is for loopback hosts only; use https or allow_http";
static const char bad_method[] = "the method is no token";

/* ---- Judging ---- */

static bool is_loopback(const char *host) {
  if (curl_strequal(host, "localhost")) return true;
  unsigned char four[4];
  if (inet_pton(AF_INET, host, four) == 1) return four[0] == 127;
  static const unsigned char one[16] = {[15] = 1};
  unsigned char sixteen[16];
  char plain[64];
  size_t bytes = strlen(host);
  if (bytes < 3 || bytes >= sizeof(plain) || host[0] != '[') return false;
  memcpy(plain, host + 1, bytes - 2);
  plain[bytes - 2] = '\0';
  return inet_pton(AF_INET6, plain, sixteen) == 1 && memcmp(sixteen, one, sizeof(one)) == 0;
}

static bool is_token(sheaf_slice text) {
  static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */
  for (size_t i = 0; i < text.bytes; i++) {
    char c = text.data[i];
    bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_alnum && (c == '\0' || strchr(others, c) == NULL)) return false;
  }
  return text.bytes > 0;
}

static bool is_line(sheaf_slice text) {
  for (size_t i = 0; i < text.bytes; i++) {
    char c = text.data[i];
    if (c == '\r' || c == '\n' || c == '\0') return false;
  }
  return true;
}

static const char *judge_url(const sheaf_curl *curl, const sheaf__route *route) {
  bool is_https = strcmp(route->origin.scheme, "https") == 0;
  if (!is_https && strcmp(route->origin.scheme, "http") != 0) return bad_url;
  if (!is_https && !route->is_loopback && curl->options.allow_http == 0) return plain_http;
  return NULL;
}

/* ---- Header list ---- */

/* Appends text to the list; the list takes a copy. */
static bool add_line(struct curl_slist **list, const char *text) {
  struct curl_slist *longer = curl_slist_append(*list, text);
  if (longer == NULL) return false;
  *list = longer;
  return true;
}

/* "name: value" with the secret behind the value. libcurl reads "name:" as "leave this header out" and "name;" as
 * "send it empty". */
static int32_t add_header(struct curl_slist **list, const sheaf_header *header,
                          const sheaf__secret *secret) {
  size_t secret_bytes = secret == NULL ? 0 : secret->bytes;
  size_t bytes = header->name.bytes + header->value.bytes + secret_bytes + 3;
  char *line = malloc(bytes);
  if (line == NULL) return SHEAF_E_NOMEM;
  char *at = mempcpy(line, header->name.data, header->name.bytes);
  if (header->value.bytes + secret_bytes == 0) {
    at = mempcpy(at, ";", 1);
  } else {
    at = mempcpy(at, ": ", 2);
    if (header->value.bytes > 0) at = mempcpy(at, header->value.data, header->value.bytes);
    if (secret != NULL) at = mempcpy(at, secret->text, secret_bytes);
  }
  *at = '\0';
  bool is_added = add_line(list, line);
  sheaf__wipe(line, bytes);
  free(line);
  return is_added ? SHEAF_OK : SHEAF_E_NOMEM;
}

static bool has_header(const sheaf__route *route, const char *name) {
  size_t bytes = strlen(name);
  for (uint32_t i = 0; i < route->header_count; i++) {
    sheaf_slice mine = route->headers[i].name;
    if (mine.bytes == bytes && curl_strnequal(mine.data, name, bytes)) return true;
  }
  return false;
}

/* Headers that libcurl could make of options. It would format those twice per request, at about 30 ns a byte: for the same
 * reason gzip alone is announced, which every server has; all that libcurl can decode is decoded. */
static int32_t add_own_headers(const sheaf_curl *curl, sheaf__route *route) {
  const char *agent = curl->options.user_agent;
  const sheaf_header own[] = {
      {.name = SHEAF_LITERAL("User-Agent"), .value = {agent, strlen(agent)}},
      {.name = SHEAF_LITERAL("Accept-Encoding"), .value = SHEAF_LITERAL("gzip")}};
  for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
    if (has_header(route, own[i].name.data)) continue;
    int32_t status = add_header(&route->list, &own[i], NULL);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

static int32_t make_list(const sheaf_curl *curl, sheaf__route *route, const char **refusal) {
  for (uint32_t i = 0; i < route->header_count; i++) {
    const sheaf_header *header = &route->headers[i];
    if (!is_token(header->name) || !is_line(header->value)) {
      *refusal = bad_header;
      return SHEAF_E_FIELD;
    }
    const sheaf__secret *secret = NULL;
    if (header->credential_id != 0) {
      secret = sheaf__secret_find(curl, header->credential_id);
      if (secret == NULL || !sheaf__origin_equal(&secret->origin, &route->origin)) {
        *refusal = secret == NULL ? no_secret : other_origin;
        return SHEAF_E_FIELD;
      }
    }
    int32_t status = add_header(&route->list, header, secret);
    if (status != SHEAF_OK) return status;
  }
  int32_t status = add_own_headers(curl, route);
  if (status != SHEAF_OK) return status;
  static char expect[] = "Expect:";
  static char chunked[] = "Transfer-Encoding: chunked";
  route->large = (struct curl_slist){.data = expect, .next = route->list};
  route->chunked = (struct curl_slist){.data = chunked, .next = &route->large};
  route->credentials_version = curl->credentials_version;
  return SHEAF_OK;
}

/* ---- Making ---- */

static void free_route(sheaf__route *route) {
  while (route->idle != NULL) {
    sheaf__transfer *transfer = route->idle;
    route->idle = transfer->next;
    sheaf__transfer_free(transfer);
  }
  sheaf__wipe_list(route->list);
  curl_url_cleanup(route->url);
  sheaf__origin_deinit(&route->origin);
  free(route->headers);
  free(route->text);
  free(route);
}

static sheaf_slice keep(char **at, sheaf_slice text) {
  sheaf_slice kept = {*at, text.bytes};
  if (text.bytes > 0) memcpy(*at, text.data, text.bytes);
  (*at)[text.bytes] = '\0'; /* method and URL are handed to libcurl as terminated text */
  *at += text.bytes + 1;
  return kept;
}

static int32_t copy_text(sheaf__route *route, const sheaf_exchange *exchange) {
  sheaf_slice method = {exchange->method, strlen(exchange->method)};
  size_t bytes = method.bytes + exchange->url.bytes + 2;
  for (uint32_t i = 0; i < exchange->header_count; i++) {
    bytes += exchange->headers[i].name.bytes + exchange->headers[i].value.bytes + 2;
  }
  route->text = malloc(bytes);
  route->headers = calloc(exchange->header_count + 1u, sizeof(*route->headers));
  if (route->text == NULL || route->headers == NULL) return SHEAF_E_NOMEM;
  char *at = route->text;
  route->method = keep(&at, method);
  route->url_text = keep(&at, exchange->url);
  route->header_count = exchange->header_count;
  for (uint32_t i = 0; i < exchange->header_count; i++) {
    route->headers[i].name = keep(&at, exchange->headers[i].name);
    route->headers[i].value = keep(&at, exchange->headers[i].value);
    route->headers[i].credential_id = exchange->headers[i].credential_id;
  }
  return SHEAF_OK;
}

static int32_t fill_route(const sheaf_curl *curl, sheaf__route *route,
                          const sheaf_exchange *exchange, const char **refusal) {
  int32_t status = copy_text(route, exchange);
  if (status != SHEAF_OK) return status;
  *refusal = !is_token(route->method) ? bad_method : !is_line(route->url_text) ? bad_url : NULL;
  if (*refusal != NULL) return SHEAF_E_FIELD;
  status = sheaf__origin_parse(route->url_text.data, &route->origin, &route->url);
  if (status == SHEAF_E_FIELD) *refusal = bad_url;
  if (status != SHEAF_OK) return status;
  route->same_key = exchange->same_key;
  route->is_loopback = is_loopback(route->origin.host);
  const char *method = route->method.data;
  route->has_body =
      strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
  route->may_be_http2 = curl->options.http2 == 2 ||
                        (curl->options.http2 == 1 && strcmp(route->origin.scheme, "https") == 0);
  *refusal = judge_url(curl, route);
  if (*refusal != NULL) return SHEAF_E_FIELD;
  return make_list(curl, route, refusal);
}

static int32_t make_route(const sheaf_curl *curl, const sheaf_exchange *exchange,
                          sheaf__route **route, const char **refusal) {
  sheaf__route *made = calloc(1, sizeof(*made));
  if (made == NULL) return SHEAF_E_NOMEM;
  int32_t status = fill_route(curl, made, exchange, refusal);
  if (status == SHEAF_OK) {
    *route = made;
  } else {
    free_route(made);
  }
  return status;
}

/* ---- Matching ---- */

static bool is_same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static bool fits(const sheaf_curl *curl, const sheaf__route *route,
                 const sheaf_exchange *exchange) {
  if (route->same_key != exchange->same_key) return false;
  if (route->credentials_version != curl->credentials_version) return false;
  if (strcmp(route->method.data, exchange->method) != 0) return false;
  if (!is_same(route->url_text, exchange->url)) return false;
  if (route->header_count != exchange->header_count) return false;
  for (uint32_t i = 0; i < route->header_count; i++) {
    const sheaf_header *mine = &route->headers[i];
    const sheaf_header *theirs = &exchange->headers[i];
    if (mine->credential_id != theirs->credential_id) return false;
    if (!is_same(mine->name, theirs->name) || !is_same(mine->value, theirs->value)) return false;
  }
  return true;
}

/* ---- The list of routes, the latest used first ---- */

static void unlink_route(sheaf_curl *curl, sheaf__route *route) {
  *(route->newer == NULL ? &curl->newest : &route->newer->older) = route->older;
  *(route->older == NULL ? &curl->oldest : &route->older->newer) = route->newer;
}

static void link_newest(sheaf_curl *curl, sheaf__route *route) {
  route->newer = NULL;
  route->older = curl->newest;
  *(curl->newest == NULL ? &curl->oldest : &curl->newest->newer) = route;
  curl->newest = route;
}

static void drop(sheaf_curl *curl, sheaf__route *route) {
  unlink_route(curl, route);
  free_route(route);
  curl->route_count--;
}

/* Routes in use stay, so the list may for a while be longer than its bound. */
static void evict(sheaf_curl *curl) {
  sheaf__route *route = curl->oldest;
  while (route != NULL && curl->route_count >= SHEAF__ROUTES_MAX) {
    sheaf__route *newer = route->newer;
    if (route->active_count == 0) drop(curl, route);
    route = newer;
  }
}

void sheaf__routes_trim(sheaf_curl *curl) {
  sheaf__route *route = curl->oldest;
  while (route != NULL) {
    sheaf__route *newer = route->newer;
    bool is_stale = route->credentials_version != curl->credentials_version;
    if (is_stale && route->active_count == 0) drop(curl, route);
    route = newer;
  }
}

int32_t sheaf__route_of(sheaf_curl *curl, const sheaf_exchange *exchange, sheaf__route **route,
                        const char **refusal) {
  for (sheaf__route *at = curl->newest; at != NULL; at = at->older) {
    if (!fits(curl, at, exchange)) continue;
    if (at != curl->newest) {
      unlink_route(curl, at);
      link_newest(curl, at);
    }
    *route = at;
    return SHEAF_OK;
  }
  int32_t status = make_route(curl, exchange, route, refusal);
  if (status != SHEAF_OK) return status;
  evict(curl);
  link_newest(curl, *route);
  curl->route_count++;
  return SHEAF_OK;
}

bool sheaf__route_is_multiplexed(const sheaf__route *route) {
  return route->may_be_http2 && route->http_major != 1;
}

void sheaf__routes_free(sheaf_curl *curl) {
  while (curl->newest != NULL) {
    sheaf__route *route = curl->newest;
    curl->newest = route->older;
    free_route(route);
  }
  curl->oldest = NULL;
  curl->route_count = 0;
}
