/* test_curl_jobs.c: the libcurl transport where jobs need it: bodies of hundreds of megabytes
 * that are pulled, results that stream into an engine that is full now and then, and addresses
 * of other origins.
 *
 * The engine is replaced by the functions below, the provider is libmicrohttpd on loopback,
 * behind nghttpx where HTTP/2 is meant. Bodies are a pattern of a prime number of bytes over and
 * over, so that a piece that is lost, doubled or moved shows.
 *
 * Outline: pattern, provider, the engine's stand-in, driving, uploads, downloads, origins. */
#define _GNU_SOURCE
#include <sheaf/curl.h>

#include "../support/test_front.h"
#include "../support/test_server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define MB ((uint64_t)1 << 20)

enum { NOTES_MAX = 32, GUARD_SECONDS = 100, PATTERN_BYTES = 65521 };

/* ---- Pattern ---- */

static char pattern[2 * PATTERN_BYTES];

static void fill_pattern(void) {
  uint32_t state = 1;
  for (size_t i = 0; i < PATTERN_BYTES; i++) {
    state = state * 1664525u + 1013904223u; /* Numerical Recipes */
    pattern[i] = pattern[i + PATTERN_BYTES] = (char)(state >> 24);
  }
}

static size_t copy_pattern(uint64_t at, char *to, size_t bytes) {
  if (bytes > PATTERN_BYTES) bytes = PATTERN_BYTES;
  memcpy(to, pattern + at % PATTERN_BYTES, bytes);
  return bytes;
}

static bool is_pattern(uint64_t at, const char *data, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    size_t part = bytes - done < PATTERN_BYTES ? bytes - done : PATTERN_BYTES;
    if (memcmp(data + done, pattern + (at + done) % PATTERN_BYTES, part) != 0) return false;
    done += part;
  }
  return true;
}

/* ---- Provider ---- */

/* What it was sent and what it gives, read and written by its one thread; the counters by both. */
typedef struct provider {
  struct MHD_Daemon *daemon;
  int port;
  unsigned pause_us;    /* for every piece of a body that it reads */
  uint64_t reply_bytes; /* of the pattern, to a GET */
  const char *packed;   /* gzip instead of the pattern */
  size_t packed_bytes;
  atomic_uint whole;    /* requests whose body came whole */
  atomic_uint broken;   /* requests that were cut off */
  atomic_uint bad;      /* bodies that are not the pattern */
  atomic_ullong taken;  /* bytes of bodies */
  atomic_ullong length; /* Content-Length of the last request with a body */
  atomic_bool has_expect;
  atomic_bool has_key;
} provider;

static provider shop;

typedef struct visit {
  uint64_t bytes;
  bool is_bad;
} visit;

static ssize_t give_pattern(void *nothing, uint64_t at, char *to, size_t bytes) {
  (void)nothing;
  return (ssize_t)copy_pattern(at, to, bytes);
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response) {
  enum MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result give(struct MHD_Connection *connection, const char *path) {
  if (strcmp(path, "/moved") == 0) {
    struct MHD_Response *moved = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(moved, "Location", "http://127.0.0.1:9/elsewhere");
    return reply(connection, MHD_HTTP_FOUND, moved);
  }
  if (shop.packed != NULL) {
    struct MHD_Response *packed = MHD_create_response_from_buffer(
        shop.packed_bytes, (void *)(uintptr_t)shop.packed, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(packed, "Content-Encoding", "gzip");
    return reply(connection, MHD_HTTP_OK, packed);
  }
  return reply(
      connection, MHD_HTTP_OK,
      MHD_create_response_from_callback(shop.reply_bytes, 65536, give_pattern, NULL, NULL));
}

static void look_at_headers(struct MHD_Connection *connection) {
  const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
  if (length != NULL) shop.length = strtoull(length, NULL, 10);
  if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect")) shop.has_expect = true;
  if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization")) {
    shop.has_key = true;
  }
}

static enum MHD_Result serve(void *nothing, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version, const char *data,
                             size_t *bytes, void **place) {
  (void)nothing;
  (void)version;
  visit *at = *place;
  if (at == NULL) {
    at = calloc(1, sizeof(*at));
    if (at == NULL) return MHD_NO;
    *place = at;
    look_at_headers(connection);
    return MHD_YES;
  }
  if (*bytes > 0) {
    if (!is_pattern(at->bytes, data, *bytes)) at->is_bad = true;
    at->bytes += *bytes;
    shop.taken += *bytes;
    *bytes = 0;
    if (shop.pause_us > 0) usleep(shop.pause_us);
    return MHD_YES;
  }
  if (at->is_bad) shop.bad++;
  shop.whole++;
  if (strcmp(method, "GET") == 0) return give(connection, path);
  return reply(
      connection, MHD_HTTP_OK,
      MHD_create_response_from_buffer(2, (void *)(uintptr_t) "{}", MHD_RESPMEM_PERSISTENT));
}

static void on_completed(void *nothing, struct MHD_Connection *connection, void **place,
                         enum MHD_RequestTerminationCode code) {
  (void)nothing;
  (void)connection;
  if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) shop.broken++;
  free(*place);
  *place = NULL;
}

/* A small receive buffer: what stands in the kernel is then little, and the client's pulls show
 * how far the server is. */
static int listen_small(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int bytes = 65536;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  assert_true(fd >= 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
  assert_int_equal(listen(fd, 64), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static void open_shop(bool is_small) {
  int fd = -1;
  shop.port = test_free_port();
  if (is_small) fd = listen_small(&shop.port);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)shop.port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct MHD_OptionItem options[] = {
      {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, 131072, NULL},
      {is_small ? MHD_OPTION_LISTEN_SOCKET : MHD_OPTION_SOCK_ADDR,
       is_small ? (intptr_t)fd : (intptr_t)0, is_small ? NULL : (void *)&address},
      {MHD_OPTION_END, 0, NULL}};
  shop.daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL,
                                 serve, NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
  assert_non_null(shop.daemon);
}

static void close_shop(void) {
  if (shop.daemon != NULL) MHD_stop_daemon(shop.daemon);
  shop.daemon = NULL;
}

static const char *shop_url(const char *path) {
  static char url[128];
  snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", shop.port, path);
  return url;
}

/* ---- The engine's stand-in ---- */

typedef struct note {
  sheaf_exchange exchange;
  sheaf_header headers[2];
  char url[256];
  int heads;
  int dones;
  uint32_t status;
  uint32_t end;
  bool retryable;
  char message[1024];
  uint64_t pulled;
  uint64_t fails_at; /* where a pull is answered by the next; SHEAF_NEVER: nowhere */
  int64_t failure;
  bool is_torn; /* a pull that does not go on where the last one ended */
  uint64_t received;
  bool is_bad;        /* what came is not what was sent */
  const char *wanted; /* NULL: the pattern */
} note;

static note notes[NOTES_MAX];
static size_t ended_count;
static uint64_t room = SHEAF_NEVER; /* bytes of streams that the engine takes before it is full */
static uint64_t full_count;

int32_t sheaf_engine_on_head(sheaf_engine *engine, uint64_t exchange, uint32_t http_status,
                             sheaf_slice lines) {
  (void)engine;
  (void)lines;
  notes[exchange].heads++;
  notes[exchange].status = http_status;
  return SHEAF_OK;
}

int32_t sheaf_engine_on_data(sheaf_engine *engine, uint64_t exchange, sheaf_slice bytes) {
  (void)engine;
  note *at = &notes[exchange];
  if (at->exchange.stream) {
    if (room == 0) return full_count++, SHEAF_E_FULL;
    if (room != SHEAF_NEVER) room = bytes.bytes < room ? room - bytes.bytes : 0;
    bool is_same = at->wanted == NULL
                       ? is_pattern(at->received, bytes.data, bytes.bytes)
                       : memcmp(at->wanted + at->received, bytes.data, bytes.bytes) == 0;
    if (!is_same) at->is_bad = true;
  }
  at->received += bytes.bytes;
  return SHEAF_OK;
}

int32_t sheaf_engine_on_done(sheaf_engine *engine, uint64_t exchange,
                             const sheaf_exchange_end *end) {
  (void)engine;
  note *at = &notes[exchange];
  at->dones++;
  at->end = end->end;
  at->retryable = end->retryable;
  snprintf(at->message, sizeof(at->message), "%.*s", (int)end->message.bytes,
           end->message.data == NULL ? "" : end->message.data);
  ended_count++;
  return SHEAF_OK;
}

int64_t sheaf_engine_body_read(sheaf_engine *engine, uint64_t exchange, uint64_t offset, void *to,
                               size_t capacity) {
  (void)engine;
  note *at = &notes[exchange];
  if (offset != at->pulled) at->is_torn = true;
  if (offset >= at->fails_at) return at->failure;
  if (offset >= at->exchange.body_bytes) return 0;
  uint64_t end = at->fails_at < at->exchange.body_bytes ? at->fails_at : at->exchange.body_bytes;
  uint64_t left = end - offset;
  size_t bytes = copy_pattern(offset, to, capacity < left ? capacity : (size_t)left);
  at->pulled += bytes;
  return (int64_t)bytes;
}

void sheaf_exchange_end_init(sheaf_exchange_end *end) {
  memset(end, 0, sizeof(*end));
  end->struct_bytes = sizeof(*end);
  end->retry_after_ns = SHEAF_NEVER;
}

/* ---- Driving ---- */

static sheaf_curl *curl;
static const sheaf_transport *transport;
static test_front opened;

static int set_up(void **state) {
  (void)state;
  memset(notes, 0, sizeof(notes));
  memset(&shop, 0, sizeof(shop));
  ended_count = 0;
  room = SHEAF_NEVER;
  full_count = 0;
  curl = NULL;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  sheaf_curl_free(curl);
  curl = NULL;
  test_front_close(&opened);
  close_shop();
  for (size_t i = 0; i < NOTES_MAX; i++) {
    if (notes[i].dones > 1 || notes[i].heads > 1 || notes[i].is_torn) return -1;
  }
  return 0;
}

static void open_curl(sheaf_curl_options options) {
  static int nobody;
  options.proxy = "";
  assert_int_equal(sheaf_curl_new(&options, &curl), SHEAF_OK);
  assert_int_equal(sheaf_curl_bind(curl, (sheaf_engine *)&nobody), SHEAF_OK);
  transport = sheaf_curl_transport(curl);
}

/* HTTP/2 over TLS before the shop. */
static void open_front(void) {
  const char *missing = test_front_open(&opened, shop.port, "");
  if (missing != NULL) fail_msg("%s", missing);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.ca_file = opened.certificate;
  open_curl(options);
}

static note *prepare(uint64_t id, const char *method, const char *url) {
  note *at = &notes[id];
  snprintf(at->url, sizeof(at->url), "%s", url);
  at->fails_at = SHEAF_NEVER;
  at->headers[0] = (sheaf_header){.name = SHEAF_LITERAL("Content-Type"),
                                  .value = SHEAF_LITERAL("application/jsonl")};
  at->exchange = (sheaf_exchange){.struct_bytes = sizeof(sheaf_exchange),
                                  .id = id,
                                  .method = method,
                                  .url = {at->url, strlen(at->url)},
                                  .headers = at->headers,
                                  .header_count = 1,
                                  .reply_bytes_max = MB,
                                  .timeout_ns = (GUARD_SECONDS + 10) * UINT64_C(1000000000)};
  return at;
}

static note *prepare_upload(uint64_t id, const char *url, uint64_t bytes) {
  note *at = prepare(id, "POST", url);
  at->exchange.body_bytes = bytes; /* and body.data is NULL */
  return at;
}

static note *prepare_download(uint64_t id, const char *url) {
  note *at = prepare(id, "GET", url);
  at->exchange.stream = true;
  at->exchange.reply_bytes_max = SHEAF_NEVER;
  return at;
}

static void begin(note *at) {
  assert_int_equal(transport->start(transport->ctx, &at->exchange), SHEAF_OK);
}

static void poll_once(void) {
  assert_int_equal(sheaf_curl_poll(curl, 50000000, -1), SHEAF_OK);
}

/* step_bytes: what the engine has room for again after each step. */
static void run_with(size_t count, uint64_t step_bytes) {
  uint64_t guard = sheaf_now_ns() + GUARD_SECONDS * UINT64_C(1000000000);
  while (ended_count < count) {
    room = step_bytes;
    poll_once();
    if (sheaf_now_ns() > guard) fail_msg("%zu of %zu ended in time", ended_count, count);
  }
}

static void run_until(size_t count) {
  run_with(count, SHEAF_NEVER);
}

static void assert_end(const note *at, uint32_t end) {
  if (at->dones != 1 || at->end != end) {
    fail_msg("%d ends, the last %u, not %u: %s", at->dones, at->end, end, at->message);
  }
}

static void assert_has(const char *text, const char *part) {
  if (strstr(text, part) == NULL) fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* ---- Uploads ---- */

static void upload_whole(const char *url, uint64_t bytes) {
  note *at = prepare_upload(1, url, bytes);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->status, 200);
  assert_true(at->pulled == bytes);
  assert_true(shop.taken == bytes);
  assert_true(shop.length == bytes);
  assert_int_equal(shop.whole, 1);
  assert_int_equal(shop.bad, 0);
  assert_false(shop.has_expect); /* a second of waiting where a server does not know it */
}

static void a_large_body_is_pulled_whole(void **state) {
  (void)state;
  open_shop(false);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  upload_whole(shop_url("/v1/files"), 300 * MB + 1);
}

static void a_large_body_is_pulled_whole_over_http2(void **state) {
  (void)state;
  open_shop(false);
  open_front();
  upload_whole(opened.url, 100 * MB + 1);
}

/* The shop must not take a part for the whole, and is not asked again. */
static void fail_upload(const char *url, uint64_t fails_at, int64_t failure) {
  note *at = prepare_upload(1, url, 8 * MB);
  at->fails_at = fails_at;
  at->failure = failure;
  begin(at);
  run_until(1);
  assert_int_equal(at->dones, 1);
  assert_true(at->end == SHEAF_END_BROKEN || at->end == SHEAF_END_NOT_SENT);
  assert_false(at->retryable);
  assert_int_equal(at->heads, 0);
  assert_has(at->message, "the body for 127.0.0.1");
  assert_has(at->message, "could not be read");
  assert_int_equal(shop.whole, 0);
  assert_true(shop.taken < 8 * MB);
  at = prepare(2, "POST", url); /* what comes after is not disturbed */
  at->exchange.body = (sheaf_slice){pattern, 7};
  at->exchange.body_bytes = 7;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(shop.whole, 1);
  assert_int_equal(shop.bad, 0);
}

static void a_body_that_fails_is_never_taken_for_whole(void **state) {
  const uint64_t places[] = {0, 3 * MB, 8 * MB - 1};
  for (size_t i = 0; i < 6; i++) { /* by an error, and by an end that comes too soon */
    set_up(state);
    open_shop(false);
    open_curl(SHEAF_CURL_OPTIONS_INIT);
    fail_upload(shop_url("/v1/files"), places[i / 2], i % 2 == 0 ? SHEAF_E_IO : 0);
    if (i < 5) assert_int_equal(tear_down(state), 0);
  }
}

static void a_body_that_fails_over_http2(void **state) {
  (void)state;
  open_shop(false);
  open_front();
  fail_upload(opened.url, 3 * MB, SHEAF_E_CORRUPT);
}

enum { PACE_LIMIT_MS = 2000 };

/* 30 MB at the pace of a slow server: longer than the limit in all, but never nearly so long
 * without a byte. */
static void upload_at_a_slow_pace(const sheaf_curl_options *options, bool wants_interim) {
  shop.pause_us = 6000;
  open_shop(true);
  open_curl(*options);
  note *at = prepare_upload(1, shop_url("/v1/files"), 30 * MB);
  if (wants_interim) {
    at->headers[1] =
        (sheaf_header){.name = SHEAF_LITERAL("Expect"), .value = SHEAF_LITERAL("100-continue")};
    at->exchange.header_count = 2;
  }
  uint64_t begun = sheaf_now_ns();
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_true(sheaf_now_ns() - begun > PACE_LIMIT_MS * UINT64_C(1000000)); /* else it was no test */
  assert_int_equal(shop.bad, 0);
  assert_int_equal(shop.has_expect, wants_interim);
}

static void the_first_byte_is_not_waited_for_while_the_body_leaves(void **state) {
  (void)state;
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.first_byte_timeout_ms = PACE_LIMIT_MS;
  upload_at_a_slow_pace(&options, false);
}

/* An interim reply is a byte of a reply: the limit of silence must not run from it meanwhile. */
static void an_interim_reply_does_not_start_the_idle_time(void **state) {
  (void)state;
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.idle_timeout_ms = PACE_LIMIT_MS;
  upload_at_a_slow_pace(&options, true);
}

static void a_server_that_stops_reading_is_too_slow(void **state) {
  (void)state;
  static const test_step stops[] = {{.kind = TEST_GET_BYTES, .bytes = 1000},
                                    {.kind = TEST_PAUSE, .ms = 60000}};
  static const test_step *const scripts[] = {stops};
  test_server *server = test_server_new(scripts, 1);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.first_byte_timeout_ms = 200;
  open_curl(options);
  note *at = prepare_upload(1, test_server_url(server, "/v1/files"), 100 * MB);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_TIMEOUT);
  assert_true(at->pulled < 100 * MB);
  test_server_free(server);
}

static void an_answer_that_comes_before_the_body_ended_counts(void **state) {
  (void)state;
  static const test_step steps[] = {
      {.kind = TEST_GET_BYTES, .bytes = 100000},
      {.kind = TEST_SEND,
       .data = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge"},
      {.kind = TEST_STALL}};
  static const test_step *const scripts[] = {steps};
  test_server *server = test_server_new(scripts, 1);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  note *at = prepare_upload(1, test_server_url(server, "/v1/files"), 40 * MB);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->status, 413);
  assert_int_equal(at->received, 5);
  test_server_free(server);
}

/* ---- Downloads ---- */

static void download_in_steps(const char *url, uint64_t bytes) {
  shop.reply_bytes = bytes;
  note *at = prepare_download(1, url);
  begin(at);
  run_with(1, 256 << 10);
  assert_end(at, SHEAF_END_OK);
  assert_true(at->received == bytes);
  assert_false(at->is_bad);
  assert_true(full_count > 0);
}

static void a_full_engine_gets_a_download_in_steps(void **state) {
  (void)state;
  open_shop(false);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  download_in_steps(shop_url("/v1/files/1/content"), 64 * MB + 3);
}

static void a_full_engine_gets_a_download_in_steps_over_http2(void **state) {
  (void)state;
  open_shop(false);
  open_front();
  download_in_steps(opened.url, 64 * MB + 3);
}

/* Whoever is full for longer than a reply may stand still makes no server late, and does not
 * spin. */
static void stay_full(const char *url, note *others[], size_t other_count) {
  shop.reply_bytes = 32 * MB;
  note *at = prepare_download(1, url);
  room = 256 << 10;
  begin(at);
  while (full_count == 0) poll_once();
  for (size_t i = 0; i < other_count; i++) begin(others[i]);
  unsigned polls = 0;
  for (uint64_t until = sheaf_now_ns() + UINT64_C(600000000); sheaf_now_ns() < until; polls++) {
    poll_once();
  }
  assert_int_equal(at->dones, 0);
  assert_true(polls < 200);
  for (size_t i = 0; i < other_count; i++) assert_end(others[i], SHEAF_END_OK);
  run_until(1 + other_count);
  assert_end(at, SHEAF_END_OK);
  assert_true(at->received == 32 * MB);
  assert_false(at->is_bad);
}

static void a_paused_download_is_not_idle_and_does_not_spin(void **state) {
  (void)state;
  open_shop(false);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.idle_timeout_ms = 100;
  open_curl(options);
  stay_full(shop_url("/v1/files/1/content"), NULL, 0);
}

static void what_shares_a_connection_with_a_paused_download_goes_on(void **state) {
  (void)state;
  open_shop(false);
  open_front();
  note *others[4];
  for (size_t i = 0; i < 4; i++) {
    others[i] = prepare(2 + i, "POST", opened.url);
    others[i]->exchange.body = (sheaf_slice){pattern, 7};
    others[i]->exchange.body_bytes = 7;
  }
  stay_full(opened.url, others, 4);
}

static void a_cancel_ends_a_paused_download(void **state) {
  (void)state;
  open_shop(false);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  shop.reply_bytes = 32 * MB;
  note *at = prepare_download(1, shop_url("/v1/files/1/content"));
  room = 256 << 10;
  begin(at);
  while (full_count == 0) poll_once();
  transport->cancel(transport->ctx, 1);
  run_with(1, 0);
  assert_end(at, SHEAF_END_CANCELLED);
}

/* Results of a job in which every row has the same answer of 2 KB. */
static char *lines_alike(size_t bytes) {
  char *lines = malloc(bytes + 4096);
  assert_non_null(lines);
  char answer[2048];
  for (size_t i = 0; i < sizeof(answer); i++) answer[i] = (char)('a' + (i * i + i / 7) % 26);
  size_t at = 0;
  for (unsigned row = 0; at < bytes; row++) {
    at += (size_t)sprintf(lines + at, "{\"custom_id\":\"r%u-row%u\",\"text\":\"%.*s\"}\n", row, row,
                          (int)sizeof(answer), answer);
  }
  return lines;
}

static char *pack(const char *data, size_t bytes, size_t *packed_bytes) {
  z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)bytes};
  assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  size_t most = deflateBound(&stream, bytes);
  char *packed = malloc(most);
  assert_non_null(packed);
  stream.next_out = (Bytef *)packed;
  stream.avail_out = (uInt)most;
  assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
  *packed_bytes = stream.total_out;
  deflateEnd(&stream);
  return packed;
}

static void results_that_compress_well_are_no_bomb(void **state) {
  (void)state;
  size_t bytes = 48 * MB;
  char *lines = lines_alike(bytes);
  char *packed = pack(lines, bytes, &shop.packed_bytes);
  shop.packed = packed;
  assert_true(bytes / shop.packed_bytes > 100);
  open_shop(false);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  note *at = prepare_download(1, shop_url("/v1/files/1/content"));
  at->wanted = lines;
  begin(at);
  run_with(1, 256 << 10);
  assert_end(at, SHEAF_END_OK);
  assert_true(at->received == bytes);
  assert_false(at->is_bad);
  assert_true(full_count > 0);
  /* With a cap the reply is kept whole: then it is one. */
  at = prepare_download(2, shop_url("/v1/files/1/content"));
  at->wanted = lines;
  at->exchange.reply_bytes_max = 1024 * MB;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_TOO_LARGE);
  assert_has(at->message, "expands more than 100 times");
  close_shop(); /* it may still be sending */
  free(packed);
  free(lines);
}

/* ---- Origins ---- */

static const char other_url[] = "http://storage.example:8080/upload/1";

static void an_address_of_another_origin_is_used_without_the_key(void **state) {
  (void)state;
  open_shop(false);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  assert_int_equal(
      sheaf_curl_set_credential(curl, 5, "https://api.example/v1", "secret-key-of-the-api"),
      SHEAF_OK);
  note *at = prepare_upload(1, shop_url("/upload/1"), 3 * MB); /* loopback: plain http may go */
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_false(shop.has_key);
  assert_int_equal(shop.whole, 1);
  at = prepare_upload(2, shop_url("/upload/1"), 3 * MB);
  at->headers[1] = (sheaf_header){.name = SHEAF_LITERAL("Authorization"),
                                  .value = SHEAF_LITERAL("Bearer "),
                                  .credential_id = 5};
  at->exchange.header_count = 2;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_REFUSED);
  assert_has(at->message, "another origin");
  at = prepare_upload(3, other_url, 3 * MB);
  begin(at);
  run_until(3);
  assert_end(at, SHEAF_END_REFUSED);
  assert_has(at->message, "plain http is for loopback hosts only");
  assert_int_equal(shop.whole, 1);
  assert_int_equal(at->pulled, 0);
}

/* Where a proxy stands in for the network, the first thing it sees tells that the exchange was
 * let out. */
static void plain_http_elsewhere_leaves_where_it_is_allowed(void **state) {
  (void)state;
  static int nobody;
  static const test_step steps[] = {
      {.kind = TEST_READ},
      {.kind = TEST_SEND, .data = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"},
      {.kind = TEST_AGAIN}};
  static const test_step *const scripts[] = {steps};
  test_server *proxy = test_server_new(scripts, 1);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.allow_http = 1;
  options.proxy = test_server_url(proxy, "");
  assert_int_equal(sheaf_curl_new(&options, &curl), SHEAF_OK);
  assert_int_equal(sheaf_curl_bind(curl, (sheaf_engine *)&nobody), SHEAF_OK);
  transport = sheaf_curl_transport(curl);
  note *at = prepare_upload(1, other_url, 100000);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_true(test_server_saw(proxy, "POST http://storage.example:8080/upload/1 HTTP/1.1\r\n"));
  assert_false(test_server_saw(proxy, "Authorization"));
  test_server_free(proxy);
}

static void a_redirected_download_is_reported_not_followed(void **state) {
  (void)state;
  open_shop(false);
  open_curl(SHEAF_CURL_OPTIONS_INIT);
  note *at = prepare_download(1, shop_url("/moved"));
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->status, 302);
  assert_int_equal(at->received, 0);
  assert_int_equal(shop.whole, 1);
}

/* ---- All ---- */

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  fill_pattern();
  const struct CMUnitTest tests[] = {
      CASE(a_large_body_is_pulled_whole),
      CASE(a_large_body_is_pulled_whole_over_http2),
      CASE(a_body_that_fails_is_never_taken_for_whole),
      CASE(a_body_that_fails_over_http2),
      CASE(the_first_byte_is_not_waited_for_while_the_body_leaves),
      CASE(a_server_that_stops_reading_is_too_slow),
      CASE(an_interim_reply_does_not_start_the_idle_time),
      CASE(an_answer_that_comes_before_the_body_ended_counts),
      CASE(a_full_engine_gets_a_download_in_steps),
      CASE(a_full_engine_gets_a_download_in_steps_over_http2),
      CASE(a_paused_download_is_not_idle_and_does_not_spin),
      CASE(what_shares_a_connection_with_a_paused_download_goes_on),
      CASE(a_cancel_ends_a_paused_download),
      CASE(results_that_compress_well_are_no_bomb),
      CASE(an_address_of_another_origin_is_used_without_the_key),
      CASE(plain_http_elsewhere_leaves_where_it_is_allowed),
      CASE(a_redirected_download_is_reported_not_followed),
  };
  int failed = cmocka_run_group_tests_name("curl_jobs", tests, NULL, NULL);
  size_t count = sizeof(tests) / sizeof(tests[0]);
  printf("%zu passed, %d failed\n", count - (size_t)failed, failed);
  return failed;
}
