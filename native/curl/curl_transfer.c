/* curl_transfer.c: one exchange on one easy handle.
 *
 * An easy handle is set up once for its route and then sent again and again; per exchange only the body changes. It has no
 * timers of libcurl's: deadlines are numbers here, looked at by the poll, because libcurl's cost a tree insertion each per
 * request.
 *
 * Never sent twice. When a reused connection dies before any byte of a reply, libcurl sends the request again on another
 * one. A body through a read callback whose seek fails stops that, but costs a second system call per request (header and
 * body then leave apart), and is no help for a request without a body. So a body in memory goes through POSTFIELDS, and
 * PREREQFUNCTION, which libcurl calls each time just before it sends, stops the second time; the open-socket callback
 * stops it earlier where a new connection would be made for it. A first try of which nothing at all was sent may be
 * repeated: that is a connect that failed late.
 *
 * Outline: the set-up of a handle, its body, callbacks before the request, the head, the body of the reply, deadlines. */
#define _GNU_SOURCE
#include "curl_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- Before the request ---- */

bool sheaf__transfer_has_left(const sheaf__transfer *transfer) {
  if (transfer->tries == 0) return false;
  /* In HTTP/2 a whole request without a body may leave in a write that then fails. */
  if (transfer->body_bytes == 0 && transfer->route->may_be_http2) return true;
  long sent = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
  return sent > transfer->request_bytes_before;
}

/* The connection that was chosen for the replay may be another transfer's: it counts as reused from now on. */
static void stop_replay(sheaf__transfer *transfer) {
  if (transfer->stop == SHEAF__STOP_NONE) {
    transfer->stop = SHEAF__STOP_REPLAY;
    transfer->is_fresh = transfer->is_fresh && transfer->reuses_before == transfer->shard->reuses;
  }
  transfer->shard->reuses++;
}

static int on_before_request(void *user, char *peer, char *local, int peer_port, int local_port) {
  (void)peer;
  (void)local;
  (void)peer_port;
  (void)local_port;
  sheaf__transfer *transfer = user;
  if (sheaf__transfer_has_left(transfer)) return stop_replay(transfer), CURL_PREREQFUNC_ABORT;
  long connects = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
  curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &transfer->request_bytes_before);
  transfer->is_fresh = connects > 0;
  if (!transfer->is_fresh) transfer->shard->reuses++;
  transfer->reuses_before = transfer->shard->reuses;
  transfer->tries++;
  transfer->sent_ns = transfer->curl->now_ns;
  return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_open_socket(void *user, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
  (void)purpose;
  sheaf__transfer *transfer = user;
  if (sheaf__transfer_has_left(transfer)) return stop_replay(transfer), CURL_SOCKET_BAD;
  if (transfer->connect_ns == SHEAF_NEVER) transfer->connect_ns = transfer->curl->now_ns;
  return sheaf__watch_connect(transfer->curl, address);
}

/* A body of a known length is never asked for more than is left of it, and one that ends before is not whole: libcurl would
 * wait for an answer to half a request. While bytes of it leave, the server owes nothing: the limits of the first byte and
 * of silence count from the last that was read. */
static size_t on_read(char *to, size_t one, size_t count, void *user) {
  sheaf__transfer *transfer = user;
  sheaf_curl *curl = transfer->curl;
  bool is_known = transfer->body_bytes != SHEAF_NEVER;
  uint64_t left = is_known ? transfer->body_bytes - transfer->body_offset : SHEAF_NEVER;
  size_t room = one * count < left ? one * count : (size_t)left;
  transfer->sent_ns = curl->now_ns;
  transfer->last_ns = curl->now_ns;
  if (room == 0) return 0;
  int64_t got = sheaf_engine_body_read(curl->engine, transfer->id, transfer->body_offset, to, room);
  if (got < 0 || (uint64_t)got > room || (got == 0 && is_known)) {
    transfer->stop = SHEAF__STOP_BODY;
    return CURL_READFUNC_ABORT;
  }
  transfer->body_offset += (uint64_t)got;
  return (size_t)got;
}

/* A rewind is a replay. */
static int on_seek(void *user, curl_off_t offset, int origin) {
  (void)offset;
  (void)origin;
  sheaf__transfer *transfer = user;
  stop_replay(transfer);
  return CURL_SEEKFUNC_FAIL;
}

/* ---- The head of the reply ---- */

/* "HTTP/1.1 200 OK" or "HTTP/2 200": libcurl has checked the shape. */
static void read_status_line(sheaf__transfer *transfer, const char *line, size_t bytes) {
  const char *space = memchr(line, ' ', bytes);
  uint32_t status = 0;
  for (size_t i = 1; space != NULL && i <= 3 && space + i < line + bytes; i++) {
    char c = space[i];
    if (c < '0' || c > '9') break;
    status = status * 10 + (uint32_t)(c - '0');
  }
  transfer->http_status = status;
  transfer->route->http_major = (uint32_t)(line[5] - '0');
  transfer->is_in_head = true;
  transfer->head_bytes = 0;
  transfer->head_lines = 0;
}

static bool keep_line(sheaf__transfer *transfer, const char *line, size_t bytes) {
  size_t wanted = transfer->head_bytes + bytes + 1;
  if (wanted > SHEAF__HEAD_BYTES_MAX || ++transfer->head_lines > SHEAF__HEAD_LINES_MAX) {
    transfer->stop = SHEAF__STOP_HEAD_TOO_LARGE;
    return false;
  }
  if (wanted > transfer->head_capacity) {
    char *more = realloc(transfer->head, wanted * 2);
    if (more == NULL) {
      transfer->stop = SHEAF__STOP_ENGINE;
      return false;
    }
    transfer->head = more;
    transfer->head_capacity = wanted * 2;
  }
  memcpy(transfer->head + transfer->head_bytes, line, bytes);
  transfer->head[transfer->head_bytes + bytes] = '\n';
  transfer->head_bytes = wanted;
  return true;
}

/* Whether the engine took it. An id it does not know any more is no error: the cancel is on its way. */
static bool is_taken(sheaf__transfer *transfer, int32_t status) {
  transfer->curl->is_reporting = false;
  if (status == SHEAF_OK || status == SHEAF_E_NOT_FOUND) return true;
  transfer->stop = status == SHEAF_E_LIMIT ? SHEAF__STOP_TOO_LARGE : SHEAF__STOP_ENGINE;
  return false;
}

static bool report_head(sheaf__transfer *transfer) {
  sheaf_curl *curl = transfer->curl;
  transfer->is_head_done = true;
  curl->has_reported = true;
  curl->is_reporting = true;
  sheaf_slice lines = {transfer->head, transfer->head_bytes};
  return is_taken(transfer,
                  sheaf_engine_on_head(curl->engine, transfer->id, transfer->http_status, lines));
}

/* Lines come one by one: status line, headers, an empty line; then again for the reply after a 1xx. What comes after the
 * head was reported are trailers. */
static size_t on_header(char *line, size_t one, size_t count, void *user) {
  sheaf__transfer *transfer = user;
  size_t all = one * count;
  size_t bytes = all;
  transfer->has_byte = true;
  transfer->last_ns = transfer->curl->now_ns;
  if (transfer->is_head_done) return all;
  while (bytes > 0 && (line[bytes - 1] == '\n' || line[bytes - 1] == '\r')) bytes--;
  if (!transfer->is_in_head) {
    if (bytes > 8 && memcmp(line, "HTTP/", 5) == 0) read_status_line(transfer, line, bytes);
    return all;
  }
  if (bytes > 0) return keep_line(transfer, line, bytes) ? all : 0;
  transfer->is_in_head = false;
  if (transfer->http_status < 200) return all;
  return report_head(transfer) ? all : 0;
}

/* ---- The body of the reply ---- */

/* Whether the engine takes it in pieces and lets go of them: the results of a job. */
static bool is_download(const sheaf_exchange *exchange) {
  return exchange->stream && exchange->reply_bytes_max == SHEAF_NEVER;
}

/* Decompressed against wire bytes. libcurl counts a chunked body's bytes after it hands them on, so that its number
 * may lag by one of its buffers, 16 KiB. A download has no ratio: honest results of one and the same answer compress as well
 * as deflate can (1,032:1, RFC 1951), and there is no memory that they could fill. */
static bool is_bomb(const sheaf__transfer *transfer, uint64_t received) {
  if (received <= SHEAF__RATIO_FREE_BYTES || is_download(transfer->exchange)) return false;
  curl_off_t wire = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
  uint64_t bytes = (wire > 0 ? (uint64_t)wire : 0) + CURL_MAX_WRITE_SIZE;
  return received / bytes >= transfer->curl->options.max_ratio;
}

static size_t on_body(char *data, size_t one, size_t count, void *user) {
  sheaf__transfer *transfer = user;
  sheaf_curl *curl = transfer->curl;
  size_t bytes = one * count;
  transfer->has_byte = true;
  transfer->last_ns = curl->now_ns;
  uint64_t received = transfer->received + bytes;
  if (received > transfer->exchange->reply_bytes_max) {
    transfer->stop = SHEAF__STOP_TOO_LARGE;
    return 0;
  }
  if (is_bomb(transfer, received)) {
    transfer->stop = SHEAF__STOP_RATIO;
    return 0;
  }
  curl->is_reporting = true;
  sheaf_slice slice = {data, bytes};
  int32_t status = sheaf_engine_on_data(curl->engine, transfer->id, slice);
  curl->is_reporting = false;
  if (status == SHEAF_E_FULL) {
    transfer->is_paused = true;
    curl->paused_count++;
    return CURL_WRITEFUNC_PAUSE;
  }
  curl->has_reported = true;
  transfer->received = received;
  return is_taken(transfer, status) ? bytes : 0;
}

/* ---- The set-up of a handle ---- */

/* The first option that libcurl refuses fails the set-up: none of these may silently be missing. */
#define SET(option, value)                                     \
  do {                                                         \
    CURLcode set_code = curl_easy_setopt(easy, option, value); \
    if (set_code != CURLE_OK) return set_code;                 \
  } while (0)

static CURLcode set_security(CURL *easy, const sheaf_curl *curl) {
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  SET(CURLOPT_REDIR_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (curl->options.ca_file != NULL) SET(CURLOPT_CAINFO, curl->options.ca_file);
  if (curl->options.ca_path != NULL) SET(CURLOPT_CAPATH, curl->options.ca_path);
  return CURLE_OK;
}

/* Plain http to this machine never goes through a proxy: its loopback is another one, and the key would pass in clear. */
static CURLcode set_network(CURL *easy, const sheaf__route *route, const sheaf_curl *curl) {
  bool is_plain = strcmp(route->origin.scheme, "http") == 0;
  if (!curl->has_proxy || (is_plain && route->is_loopback)) {
    SET(CURLOPT_PROXY, "");
  } else if (curl->options.proxy != NULL) {
    SET(CURLOPT_PROXY, curl->options.proxy);
  }
  long version = curl->options.http2 == 2   ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                 : curl->options.http2 == 1 ? CURL_HTTP_VERSION_2TLS
                                            : CURL_HTTP_VERSION_1_1;
  SET(CURLOPT_HTTP_VERSION, version);
  /* libcurl 7.88 fails all but the first request on such a connection (CURLE_HTTP2). */
  unsigned int number = curl_version_info(CURLVERSION_NOW)->version_num;
  if (is_plain && curl->options.http2 == 2 && number >> 8 == 0x0758) {
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
  }
  /* A reply may take minutes; NATs forget idle connections sooner. */
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
  SET(CURLOPT_QUICK_EXIT, 1L); /* a cancel must not wait for a resolver's thread */
#endif
  SET(CURLOPT_ACCEPT_ENCODING, "");
  /* Half of libcurl's own: with 1,000 in flight it counts in MB, and most replies are smaller. */
  SET(CURLOPT_BUFFERSIZE, 8192L);
  return CURLE_OK;
}

static CURLcode set_callbacks(CURL *easy, sheaf__transfer *transfer) {
  SET(CURLOPT_PREREQFUNCTION, on_before_request);
  SET(CURLOPT_PREREQDATA, transfer);
  SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  SET(CURLOPT_OPENSOCKETDATA, transfer);
  SET(CURLOPT_CLOSESOCKETFUNCTION, sheaf__watch_on_close);
  SET(CURLOPT_CLOSESOCKETDATA, transfer->curl);
  SET(CURLOPT_READFUNCTION, on_read);
  SET(CURLOPT_READDATA, transfer);
  SET(CURLOPT_SEEKFUNCTION, on_seek);
  SET(CURLOPT_SEEKDATA, transfer);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, transfer);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, transfer);
  SET(CURLOPT_PRIVATE, transfer);
  SET(CURLOPT_ERRORBUFFER, transfer->error);
  return CURLE_OK;
}

static CURLcode set_route(CURL *easy, const sheaf__route *route) {
  SET(CURLOPT_CURLU, route->url);
  if (route->has_body) {
    SET(CURLOPT_POST, 1L);
  } else {
    SET(CURLOPT_HTTPGET, 1L);
  }
  bool is_usual = strcmp(route->method.data, route->has_body ? "POST" : "GET") == 0;
  if (!is_usual) SET(CURLOPT_CUSTOMREQUEST, route->method.data);
  return CURLE_OK;
}

static CURLcode set_up(sheaf__transfer *transfer) {
  CURLcode code = set_security(transfer->easy, transfer->curl);
  if (code == CURLE_OK) code = set_network(transfer->easy, transfer->route, transfer->curl);
  if (code == CURLE_OK) code = set_callbacks(transfer->easy, transfer);
  if (code == CURLE_OK) code = set_route(transfer->easy, transfer->route);
  return code;
}

sheaf__transfer *sheaf__transfer_take(sheaf_curl *curl, sheaf__route *route) {
  sheaf__transfer *transfer = route->idle;
  if (transfer != NULL) {
    route->idle = transfer->next;
    return transfer;
  }
  transfer = calloc(1, sizeof(*transfer));
  if (transfer == NULL) return NULL;
  transfer->curl = curl;
  transfer->route = route;
  transfer->easy = curl_easy_init();
  if (transfer->easy != NULL && set_up(transfer) == CURLE_OK) return transfer;
  sheaf__transfer_free(transfer);
  return NULL;
}

void sheaf__transfer_free(sheaf__transfer *transfer) {
  if (transfer->easy != NULL) curl_easy_cleanup(transfer->easy);
  free(transfer->head);
  free(transfer);
}

/* ---- One exchange ---- */

/* HTTP/1.1 must not wait; what may be HTTP/2 waits for the connection under way to tell, or a thousand requests would
 * make a thousand TLS handshakes. */
static CURLcode set_waiting(CURL *easy, sheaf__transfer *transfer) {
  const sheaf__route *route = transfer->route;
  bool is_waiting = sheaf__route_is_multiplexed(route);
  if (is_waiting == transfer->is_waiting_set) return CURLE_OK;
  SET(CURLOPT_PIPEWAIT, is_waiting ? 1L : 0L);
  transfer->is_waiting_set = is_waiting;
  return CURLE_OK;
}

static CURLcode set_body(CURL *easy, sheaf__transfer *transfer, const sheaf_exchange *exchange) {
  sheaf__route *route = transfer->route;
  bool has_body = route->has_body;
  bool is_pulled = has_body && exchange->body.data == NULL && exchange->body_bytes > 0;
  bool is_chunked = is_pulled && exchange->body_bytes == SHEAF_NEVER;
  transfer->body_bytes = is_pulled ? exchange->body_bytes : has_body ? exchange->body.bytes : 0;
  struct curl_slist *list = is_chunked                                 ? &route->chunked
                            : transfer->body_bytes > SHEAF__LARGE_BODY ? &route->large
                                                                       : route->list;
  if (list != transfer->list) SET(CURLOPT_HTTPHEADER, list);
  transfer->list = list;
  if (is_pulled) {
    SET(CURLOPT_POSTFIELDS, NULL); /* libcurl then reads */
    SET(CURLOPT_POSTFIELDSIZE_LARGE,
        is_chunked ? (curl_off_t)-1 : (curl_off_t)transfer->body_bytes);
  } else if (has_body) {
    SET(CURLOPT_POSTFIELDS, exchange->body.data == NULL ? "" : exchange->body.data);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_bytes);
  }
  return CURLE_OK;
}

CURLcode sheaf__transfer_prepare(sheaf__transfer *transfer, const sheaf_exchange *exchange) {
  transfer->exchange = exchange;
  transfer->id = exchange->id;
  transfer->next = NULL;
  transfer->body_offset = 0;
  transfer->received = 0;
  transfer->request_bytes_before = 0;
  transfer->stop = SHEAF__STOP_NONE;
  transfer->tries = 0;
  transfer->http_status = 0;
  transfer->head_bytes = 0;
  transfer->head_lines = 0;
  transfer->is_in_head = false;
  transfer->is_head_done = false;
  transfer->is_paused = false;
  transfer->has_byte = false;
  transfer->error[0] = '\0';
  CURLcode code = set_waiting(transfer->easy, transfer);
  return code == CURLE_OK ? set_body(transfer->easy, transfer, exchange) : code;
}

/* ---- Deadlines ---- */

static void sooner(uint64_t *deadline, uint32_t *stop, uint64_t from_ns, uint64_t limit_ms,
                   uint32_t why) {
  if (limit_ms == 0 || from_ns == SHEAF_NEVER) return;
  uint64_t limit_ns = 0;
  uint64_t end_ns = 0;
  if (__builtin_mul_overflow(limit_ms, (uint64_t)SHEAF__NS_PER_MS, &limit_ns)) return;
  if (__builtin_add_overflow(from_ns, limit_ns, &end_ns) || end_ns >= *deadline) return;
  *deadline = end_ns;
  *stop = why;
}

uint64_t sheaf__transfer_deadline(const sheaf__transfer *transfer, uint32_t *stop) {
  const sheaf_curl_options *options = &transfer->curl->options;
  uint64_t deadline = transfer->deadline_ns;
  *stop = SHEAF__STOP_TOTAL_TIMEOUT;
  if (transfer->tries == 0) {
    sooner(&deadline, stop, transfer->connect_ns, options->connect_timeout_ms,
           SHEAF__STOP_CONNECT_TIMEOUT);
  } else if (!transfer->has_byte) {
    sooner(&deadline, stop, transfer->sent_ns, options->first_byte_timeout_ms,
           SHEAF__STOP_FIRST_BYTE_TIMEOUT);
  } else if (!transfer->is_paused) {
    sooner(&deadline, stop, transfer->last_ns, options->idle_timeout_ms, SHEAF__STOP_IDLE_TIMEOUT);
  }
  return deadline;
}
