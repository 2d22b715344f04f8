/* test_curl.c: the libcurl transport against real servers on loopback: what it reports, and that it never says "not sent" of a
 * request that a server has seen, nor sends one twice.
 *
 * The engine is replaced by the few functions below that note the reports. TLS and HTTP/2 need the programs openssl and
 * nghttpx (Debian: openssl, nghttp2-proxy); without them those tests fail and name the package.
 *
 * Outline: the engine's stand-in, driving, plain replies, broken ones, limits, security, control, TLS and HTTP/2. */
#define _GNU_SOURCE
#include <sheaf/curl.h>

#include "../support/test_front.h"
#include "../support/test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- The engine's stand-in ---- */

enum { NOTES_MAX = 256, GUARD_SECONDS = 20 };

typedef struct note {
  sheaf_exchange exchange;
  sheaf_header headers[8];
  char url[256];
  int heads;
  int dones;
  uint32_t status;
  char head[8192];
  char data[65536];
  size_t data_bytes; /* all that came, also beyond what is kept */
  uint32_t end;
  uint32_t end_status;
  bool retryable;
  char message[1024];
  const char *pulled; /* the body for body_read */
} note;

static note notes[NOTES_MAX];
static size_t ended_count;
static int32_t data_answer = SHEAF_OK;
static int full_answers; /* on_data answers SHEAF_E_FULL so often */
static int misordered;   /* data before the head, anything after the end */

int32_t sheaf_engine_on_head(sheaf_engine *engine, uint64_t exchange, uint32_t http_status,
                             sheaf_slice lines) {
  (void)engine;
  note *at = &notes[exchange];
  if (at->dones > 0) misordered++;
  at->heads++;
  at->status = http_status;
  snprintf(at->head, sizeof(at->head), "%.*s", (int)lines.bytes, lines.data);
  return SHEAF_OK;
}

int32_t sheaf_engine_on_data(sheaf_engine *engine, uint64_t exchange, sheaf_slice bytes) {
  (void)engine;
  note *at = &notes[exchange];
  if (at->dones > 0 || at->heads == 0) misordered++;
  if (full_answers > 0) return full_answers--, SHEAF_E_FULL;
  for (size_t i = 0; i < bytes.bytes; i++) {
    if (at->data_bytes + i < sizeof(at->data) - 1) at->data[at->data_bytes + i] = bytes.data[i];
  }
  at->data_bytes += bytes.bytes;
  return data_answer;
}

int32_t sheaf_engine_on_done(sheaf_engine *engine, uint64_t exchange,
                             const sheaf_exchange_end *end) {
  (void)engine;
  note *at = &notes[exchange];
  at->dones++;
  at->end = end->end;
  at->end_status = end->http_status;
  at->retryable = end->retryable;
  snprintf(at->message, sizeof(at->message), "%.*s", (int)end->message.bytes,
           end->message.data == NULL ? "" : end->message.data);
  ended_count++;
  return SHEAF_OK;
}

int64_t sheaf_engine_body_read(sheaf_engine *engine, uint64_t exchange, uint64_t offset, void *to,
                               size_t capacity) {
  (void)engine;
  const char *body = notes[exchange].pulled;
  size_t left = strlen(body) - (size_t)offset;
  size_t bytes = left < 7 ? left : 7; /* small bites */
  if (bytes > capacity) bytes = capacity;
  memcpy(to, body + offset, bytes);
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
static test_front opened; /* closed after each test, whatever became of it */

static void open_with(const sheaf_curl_options *options) {
  static int nobody;
  assert_int_equal(sheaf_curl_new(options, &curl), SHEAF_OK);
  assert_int_equal(sheaf_curl_bind(curl, (sheaf_engine *)&nobody), SHEAF_OK);
  transport = sheaf_curl_transport(curl);
}

static int set_up(void **state) {
  (void)state;
  memset(notes, 0, sizeof(notes));
  ended_count = 0;
  misordered = 0;
  data_answer = SHEAF_OK;
  full_answers = 0;
  curl = NULL;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  sheaf_curl_free(curl);
  curl = NULL;
  test_front_close(&opened);
  for (size_t i = 0; i < NOTES_MAX; i++) {
    if (notes[i].dones > 1 || notes[i].heads > 1) return -1;
  }
  return misordered == 0 ? 0 : -1;
}

static void open_plain(void) {
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.proxy = "";
  open_with(&options);
}

/* A POST of {"n":1} with one ordinary header; tests change what they are about before begin. */
static note *prepare(uint64_t id, const char *url) {
  note *at = &notes[id];
  snprintf(at->url, sizeof(at->url), "%s", url);
  at->headers[0] = (sheaf_header){.name = SHEAF_LITERAL("Content-Type"),
                                  .value = SHEAF_LITERAL("application/json")};
  at->exchange = (sheaf_exchange){.struct_bytes = sizeof(sheaf_exchange),
                                  .id = id,
                                  .method = "POST",
                                  .url = {at->url, strlen(at->url)},
                                  .headers = at->headers,
                                  .header_count = 1,
                                  .same_key = 7,
                                  .body = SHEAF_LITERAL("{\"n\":1}"),
                                  .body_bytes = 7,
                                  .reply_bytes_max = 1 << 20,
                                  .timeout_ns = UINT64_C(15000000000)};
  return at;
}

static void begin(note *at) {
  assert_int_equal(transport->start(transport->ctx, &at->exchange), SHEAF_OK);
}

static void poll_once(void) {
  assert_int_equal(sheaf_curl_poll(curl, 50000000, -1), SHEAF_OK);
}

/* Polls until so many have ended in all. */
static void run_until(size_t count) {
  uint64_t guard = sheaf_now_ns() + GUARD_SECONDS * UINT64_C(1000000000);
  while (ended_count < count) {
    poll_once();
    if (sheaf_now_ns() > guard) fail_msg("%zu of %zu ended in time", ended_count, count);
  }
}

static note *run_one(uint64_t id, const char *url) {
  note *at = prepare(id, url);
  size_t before = ended_count;
  begin(at);
  run_until(before + 1);
  return at;
}

static void assert_has(const char *text, const char *part) {
  if (strstr(text, part) == NULL) fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void assert_end(const note *at, uint32_t end) {
  if (at->dones != 1 || at->end != end) {
    fail_msg("%d ends, the last %u, not %u: %s", at->dones, at->end, end, at->message);
  }
}

#define SERVE(...)                                          \
  static const test_step script_steps[] = {__VA_ARGS__};    \
  static const test_step *const scripts[] = {script_steps}; \
  test_server *server = test_server_new(scripts, 1)

#define READ \
  { .kind = TEST_READ }
#define SEND(text) \
  { .kind = TEST_SEND, .data = (text) }
#define AGAIN \
  { .kind = TEST_AGAIN }
#define STALL \
  { .kind = TEST_STALL }
#define RESET \
  { .kind = TEST_RESET }
#define CLOSE \
  { .kind = TEST_CLOSE }

#define OK_REPLY "HTTP/1.1 200 OK\r\nX-Name: value\r\ncontent-length: 2\r\n\r\nok"

/* ---- Plain replies ---- */

static void a_reply_is_head_data_end(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  note *at = run_one(1, test_server_url(server, "/v1/x"));
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->heads, 1);
  assert_int_equal(at->status, 200);
  assert_int_equal(at->end_status, 200);
  assert_string_equal(at->head, "X-Name: value\ncontent-length: 2\n");
  assert_string_equal(at->data, "ok");
  assert_true(test_server_saw(server, "POST /v1/x HTTP/1.1\r\n"));
  assert_true(test_server_saw(server, "Content-Type: application/json\r\n"));
  assert_true(test_server_saw(server, "Content-Length: 7\r\n"));
  assert_true(test_server_saw(server, "\r\n\r\n{\"n\":1}"));
  assert_true(test_server_saw(server, "User-Agent: sheaf/" SHEAF_VERSION_STRING "\r\n"));
  assert_false(test_server_saw(server, "Expect:"));
  test_server_free(server);
}

static void any_status_is_an_ordinary_end(void **state) {
  (void)state;
  SERVE(READ, SEND("HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"), AGAIN);
  open_plain();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->status, 429);
  assert_string_equal(at->head, "retry-after: 3\ncontent-length: 0\n");
  test_server_free(server);
}

static void connections_are_reused(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  for (uint64_t id = 1; id <= 20; id++) {
    assert_end(run_one(id, test_server_url(server, "/")), SHEAF_END_OK);
  }
  assert_int_equal(test_server_requests(server), 20);
  assert_int_equal(test_server_connections(server), 1);
  test_server_free(server);
}

static void chunks_and_trailers(void **state) {
  (void)state;
  SERVE(READ,
        SEND("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n"
             "5\r\nworld\r\n0\r\nx-late: 1\r\n\r\n"),
        AGAIN);
  open_plain();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_OK);
  assert_string_equal(at->data, "hello world");
  assert_string_equal(at->head, "transfer-encoding: chunked\n");
  test_server_free(server);
}

static void informational_replies_are_skipped(void **state) {
  (void)state;
  SERVE(READ,
        SEND("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OK_REPLY),
        AGAIN);
  open_plain();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->status, 200);
  assert_string_equal(at->head, "X-Name: value\ncontent-length: 2\n");
  test_server_free(server);
}

static void a_slow_reply_comes_in_parts(void **state) {
  (void)state;
  SERVE(READ, {.kind = TEST_DRIP, .ms = 1, .data = OK_REPLY}, AGAIN);
  open_plain();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_OK);
  assert_string_equal(at->head, "X-Name: value\ncontent-length: 2\n");
  assert_string_equal(at->data, "ok");
  test_server_free(server);
}

static void methods_go_out_as_given(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/got"));
  at->exchange.method = "GET";
  at->exchange.body = (sheaf_slice){NULL, 0};
  at->exchange.body_bytes = 0;
  begin(at);
  run_until(1);
  at = prepare(2, test_server_url(server, "/gone"));
  at->exchange.method = "DELETE";
  at->exchange.body = (sheaf_slice){NULL, 0};
  at->exchange.body_bytes = 0;
  begin(at);
  run_until(2);
  assert_end(&notes[1], SHEAF_END_OK);
  assert_end(&notes[2], SHEAF_END_OK);
  assert_true(test_server_saw(server, "GET /got HTTP/1.1\r\n"));
  at = prepare(3, test_server_url(server, "/put"));
  at->exchange.method = "PUT";
  begin(at);
  run_until(3);
  assert_end(&notes[3], SHEAF_END_OK);
  assert_true(test_server_saw(server, "DELETE /gone HTTP/1.1\r\n"));
  assert_true(test_server_saw(server, "PUT /put HTTP/1.1\r\n"));
  assert_false(test_server_saw(server, "urlencoded"));
  assert_int_equal(test_server_requests(server), 3);
  test_server_free(server);
}

static void bodies_are_pulled(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/known"));
  at->pulled = "a body of a known length";
  at->exchange.body = (sheaf_slice){NULL, 0};
  at->exchange.body_bytes = strlen(at->pulled);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_true(test_server_saw(server, "Content-Length: 24\r\n"));
  at = prepare(2, test_server_url(server, "/known"));
  at->pulled = "and one that ends when it ends";
  at->exchange.body = (sheaf_slice){NULL, 0};
  at->exchange.body_bytes = SHEAF_NEVER;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_OK);
  assert_true(test_server_saw(server, "Transfer-Encoding: chunked\r\n"));
  assert_end(run_one(3, test_server_url(server, "/known")), SHEAF_END_OK);
  assert_int_equal(test_server_requests(server), 3);
  assert_true(test_server_saw(server, "7\r\nand one\r\n"));
  test_server_free(server);
}

static void a_hundred_at_once(void **state) {
  (void)state;
  SERVE(READ, {.kind = TEST_PAUSE, .ms = 20}, SEND(OK_REPLY), AGAIN);
  open_plain();
  for (int round = 0; round < 2; round++) {
    for (uint64_t id = 1; id <= 100; id++) {
      begin(prepare(id + (uint64_t)round * 100, test_server_url(server, "/")));
    }
    run_until(100 * (size_t)(round + 1));
  }
  for (uint64_t id = 1; id <= 200; id++) assert_end(&notes[id], SHEAF_END_OK);
  assert_int_equal(test_server_requests(server), 200);
  assert_int_equal(test_server_connections(server), 100);
  test_server_free(server);
}

static void connections_stay_within_their_bound(void **state) {
  (void)state;
  SERVE(READ, {.kind = TEST_PAUSE, .ms = 5}, SEND(OK_REPLY), AGAIN);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.max_connections = 5;
  options.shards = 3;
  open_with(&options);
  for (uint64_t id = 1; id <= 40; id++) begin(prepare(id, test_server_url(server, "/")));
  run_until(40);
  for (uint64_t id = 1; id <= 40; id++) assert_end(&notes[id], SHEAF_END_OK);
  assert_true(test_server_connections(server) <= 5);
  test_server_free(server);
}

/* ---- Broken replies ---- */

static void nobody_listens_is_not_sent(void **state) {
  (void)state;
  open_plain();
  char url[64];
  char said[128];
  int port = test_free_port();
  snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
  snprintf(said, sizeof(said),
           "could not connect to 127.0.0.1:%d: Connection refused; is the server running?", port);
  note *at = run_one(1, url);
  assert_end(at, SHEAF_END_NOT_SENT);
  assert_true(at->retryable);
  assert_string_equal(at->message, said);
  assert_int_equal(at->end_status, 0);
  assert_int_equal(at->heads, 0);
}

/* A label of over 63 bytes is no name (RFC 1035 2.3.4): the resolver says so without asking the network. */
static void an_unknown_host_is_not_sent(void **state) {
  (void)state;
  open_plain();
  note *at = run_one(1,
                     "https://a123456789b123456789c123456789d123456789e123456789f1234567890123"
                     ".invalid/v1");
  assert_end(at, SHEAF_END_NOT_SENT);
  assert_has(at->message, "could not find the host a123456789");
}

static void a_close_or_reset_before_any_reply_is_broken(void **state) {
  (void)state;
  static const test_step closes[] = {READ, CLOSE};
  static const test_step resets[] = {READ, RESET};
  static const test_step *const both[] = {closes, resets};
  test_server *server = test_server_new(both, 2);
  open_plain();
  for (uint64_t id = 1; id <= 2; id++) {
    note *at = run_one(id, test_server_url(server, "/"));
    assert_end(at, SHEAF_END_BROKEN);
    assert_true(at->retryable);
    assert_int_equal(at->heads, 0);
    assert_int_equal(at->end_status, 0);
    assert_has(at->message, "127.0.0.1:");
  }
  assert_int_equal(test_server_requests(server), 2);
  test_server_free(server);
}

static void a_break_within_the_head_is_broken(void **state) {
  (void)state;
  static const test_step resets[] = {
      READ, SEND("HTTP/1.1 200 OK\r\ncontent-le"), {.kind = TEST_PAUSE, .ms = 20}, RESET};
  static const test_step closes[] = {READ, SEND("HTTP/1.1 200 OK\r\ncontent-le"), CLOSE};
  static const test_step *const both[] = {resets, closes};
  test_server *server = test_server_new(both, 2);
  open_plain();
  assert_end(run_one(1, test_server_url(server, "/")), SHEAF_END_BROKEN);
  assert_int_equal(notes[1].heads, 0);
  /* libcurl takes the end of the connection for the end of the head: no body came, so nothing can be mistaken. */
  note *at = run_one(2, test_server_url(server, "/"));
  assert_int_equal(at->dones, 1);
  assert_int_equal(at->data_bytes, 0);
  test_server_free(server);
}

static void a_break_within_the_body_is_broken(void **state) {
  (void)state;
  static const test_step cut[] = {
      READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789"), CLOSE};
  static const test_step reset[] = {
      READ,
      SEND("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789"),
      {.kind = TEST_PAUSE, .ms = 20},
      RESET};
  static const test_step chunk[] = {
      READ, SEND("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n"),
      CLOSE};
  static const test_step *const all[] = {cut, reset, chunk};
  test_server *server = test_server_new(all, 3);
  open_plain();
  for (uint64_t id = 1; id <= 3; id++) {
    note *at = run_one(id, test_server_url(server, "/"));
    assert_end(at, SHEAF_END_BROKEN);
    assert_int_equal(at->heads, 1);
    assert_int_equal(at->end_status, 200);
    assert_string_equal(at->data, "0123456789");
  }
  assert_int_equal(test_server_requests(server), 3);
  test_server_free(server);
}

/* The reused connection dies after it took the second request: libcurl alone would send that again. */
static void die_on_reuse(const test_step *dies, bool is_pulled) {
  static const test_step works[] = {READ, SEND(OK_REPLY), AGAIN};
  const test_step *const both[] = {dies, works};
  test_server *server = test_server_new(both, 2);
  open_plain();
  assert_end(run_one(1, test_server_url(server, "/")), SHEAF_END_OK);
  note *at = prepare(2, test_server_url(server, "/"));
  if (is_pulled) {
    at->pulled = "{\"n\":2}";
    at->exchange.body.data = NULL;
  }
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_BROKEN);
  assert_true(at->retryable);
  assert_int_equal(at->heads, 0);
  assert_int_equal(test_server_requests(server), 2);
  assert_end(run_one(3, test_server_url(server, "/")), SHEAF_END_OK);
  assert_int_equal(test_server_requests(server), 3);
  test_server_free(server);
}

static void a_dead_reused_connection_is_not_replayed(void **state) {
  static const test_step closes[] = {READ, SEND(OK_REPLY), READ, CLOSE};
  static const test_step resets[] = {READ, SEND(OK_REPLY), READ, RESET};
  const test_step *const deaths[] = {closes, resets};
  for (int i = 0; i < 4; i++) {
    set_up(state);
    die_on_reuse(deaths[i / 2], i % 2 == 1);
    if (i < 3) assert_int_equal(tear_down(state), 0);
  }
}

/* As above for a request without a body, which no read callback could stop. */
static void a_dead_reused_connection_does_not_replay_an_empty_post(void **state) {
  (void)state;
  static const test_step dies[] = {READ, SEND(OK_REPLY), READ, CLOSE};
  static const test_step works[] = {READ, SEND(OK_REPLY), AGAIN};
  static const test_step *const both[] = {dies, works};
  test_server *server = test_server_new(both, 2);
  open_plain();
  for (uint64_t id = 1; id <= 2; id++) {
    note *at = prepare(id, test_server_url(server, "/cancel"));
    at->exchange.body = (sheaf_slice){NULL, 0};
    at->exchange.body_bytes = 0;
    begin(at);
    run_until(id);
  }
  assert_end(&notes[1], SHEAF_END_OK);
  assert_end(&notes[2], SHEAF_END_BROKEN);
  assert_int_equal(test_server_requests(server), 2);
  test_server_free(server);
}

/* A second connection is idle when the first dies: a replay would need no connect. */
static void a_replay_on_another_idle_connection_is_stopped(void **state) {
  (void)state;
  static const test_step dies[] = {
      READ, {.kind = TEST_PAUSE, .ms = 30}, SEND(OK_REPLY), READ, CLOSE};
  static const test_step *const all[] = {dies};
  test_server *server = test_server_new(all, 1);
  open_plain();
  for (uint64_t id = 1; id <= 3; id++) begin(prepare(id, test_server_url(server, "/")));
  run_until(3);
  for (uint64_t id = 1; id <= 3; id++) assert_end(&notes[id], SHEAF_END_OK);
  assert_int_equal(test_server_connections(server), 3);
  note *at = run_one(4, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_BROKEN);
  assert_has(at->message, "closed the connection after the request was sent");
  assert_int_equal(test_server_requests(server), 4);
  test_server_free(server);
}

/* A connection that the server closed while idle is noticed, and another one is made: nothing was sent on the dead one. */
static void an_idle_connection_closed_by_the_server_costs_nothing(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), CLOSE);
  open_plain();
  for (uint64_t id = 1; id <= 5; id++) {
    assert_end(run_one(id, test_server_url(server, "/")), SHEAF_END_OK);
    for (int i = 0; i < 3; i++) sheaf_curl_poll(curl, 5000000, -1);
  }
  assert_int_equal(test_server_requests(server), 5);
  assert_int_equal(test_server_connections(server), 5);
  test_server_free(server);
}

/* Idle connections whose server has gone wake a waiting poll once each, not for ever. */
static void closed_idle_connections_do_not_spin(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), CLOSE);
  open_plain();
  assert_end(run_one(1, test_server_url(server, "/")), SHEAF_END_OK);
  int polls = 0;
  uint64_t end = sheaf_now_ns() + 200000000;
  while (sheaf_now_ns() < end) {
    sheaf_curl_poll(curl, 50000000, -1);
    polls++;
  }
  assert_true(polls < 20);
  test_server_free(server);
}

/* ---- Limits ---- */

static void first_byte_timeout(void **state) {
  (void)state;
  SERVE(READ, STALL);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.first_byte_timeout_ms = 60;
  open_with(&options);
  uint64_t before = sheaf_now_ns();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_TIMEOUT);
  assert_true(sheaf_now_ns() - before >= 60000000);
  assert_has(at->message, "within 60 ms");
  test_server_free(server);
}

static void total_timeout_after_sending(void **state) {
  (void)state;
  SERVE(READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), STALL);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/"));
  at->exchange.timeout_ns = 80000000;
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_TIMEOUT);
  assert_int_equal(at->end_status, 200);
  assert_has(at->message, "no complete reply");
  assert_has(at->message, "within 80 ms");
  test_server_free(server);
}

static void idle_timeout_counts_from_the_last_byte(void **state) {
  (void)state;
  SERVE(READ, SEND("HTTP/1.1 200 OK\r\n\r\n"),
        {.kind = TEST_DRIP, .ms = 20, .data = ": comment\n\n"}, STALL);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.idle_timeout_ms = 120;
  open_with(&options);
  uint64_t before = sheaf_now_ns();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_TIMEOUT);
  assert_string_equal(at->data, ": comment\n\n");
  assert_true(sheaf_now_ns() - before >= 320000000); /* 10 pauses of 20 ms, then 120 */
  test_server_free(server);
}

/* A listener whose queue is full: the kernel drops further connects. */
static void connect_timeout_is_not_sent(void **state) {
  (void)state;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof(address);
  assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
  assert_int_equal(listen(listener, 0), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
  int fillers[4];
  for (size_t i = 0; i < 4; i++) {
    fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fillers[i], (struct sockaddr *)&address, bytes) == 0) continue;
  }
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.connect_timeout_ms = 80;
  open_with(&options);
  char url[64];
  snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
  note *at = run_one(1, url);
  assert_end(at, SHEAF_END_NOT_SENT);
  assert_has(at->message, "within 80 ms");
  at = prepare(2, url);
  at->exchange.timeout_ns = 40000000;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_NOT_SENT);
  for (size_t i = 0; i < 4; i++) close(fillers[i]);
  close(listener);
}

static void a_reply_over_its_cap_is_too_large(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/"));
  at->exchange.reply_bytes_max = 1;
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_TOO_LARGE);
  assert_int_equal(at->data_bytes, 0);
  at = prepare(2, test_server_url(server, "/"));
  at->exchange.reply_bytes_max = 2;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_OK);
  data_answer = SHEAF_E_LIMIT;
  assert_end(run_one(3, test_server_url(server, "/")), SHEAF_END_TOO_LARGE);
  data_answer = SHEAF_E_NOMEM;
  assert_end(run_one(4, test_server_url(server, "/")), SHEAF_END_BROKEN);
  data_answer = SHEAF_E_NOT_FOUND;
  assert_end(run_one(5, test_server_url(server, "/")), SHEAF_END_OK);
  test_server_free(server);
}

/* An engine that is full is offered the same bytes again, once a poll, and nothing is lost or doubled. */
static void a_full_engine_pauses_the_reply(void **state) {
  (void)state;
  static char reply[60100];
  int head = snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n");
  for (int i = 0; i < 60000; i++) reply[head + i] = (char)('a' + i % 26);
  const test_step steps[] = {
      READ, {.kind = TEST_SEND, .data = reply, .bytes = (size_t)head + 60000}, AGAIN};
  const test_step *const scripts[] = {steps};
  test_server *server = test_server_new(scripts, 1);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/"));
  full_answers = 5;
  begin(at);
  for (int before = full_answers; ended_count == 0; before = full_answers) {
    assert_int_equal(sheaf_curl_poll(curl, 1000000, -1), SHEAF_OK);
    assert_true(before - full_answers <= 1);
  }
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->data_bytes, 60000);
  assert_memory_equal(at->data, reply + head, 60000);
  full_answers = 1000000; /* for ever: cancel, cap and time still end it */
  at = prepare(2, test_server_url(server, "/"));
  begin(at);
  while (full_answers > 999990) sheaf_curl_poll(curl, 1000000, -1);
  transport->cancel(transport->ctx, 2);
  run_until(2);
  assert_end(at, SHEAF_END_CANCELLED);
  at = prepare(3, test_server_url(server, "/"));
  at->exchange.timeout_ns = 50000000;
  begin(at);
  run_until(3);
  assert_end(at, SHEAF_END_TIMEOUT);
  full_answers = 1;
  data_answer = SHEAF_E_LIMIT;
  assert_end(run_one(4, test_server_url(server, "/")), SHEAF_END_TOO_LARGE);
  test_server_free(server);
}

static void headers_over_their_cap_are_too_large(void **state) {
  (void)state;
  static char long_head[80000] = "HTTP/1.1 200 OK\r\n";
  static char many_lines[4000] = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 9; i++) {
    char line[8200];
    snprintf(line, sizeof(line), "x: %08000d\r\n", i);
    strcat(long_head, line);
  }
  for (int i = 0; i < 201; i++) strcat(many_lines, "a: b\r\n");
  strcat(long_head, "\r\n");
  strcat(many_lines, "\r\n");
  const test_step lengthy[] = {READ, SEND(long_head), CLOSE};
  const test_step lines[] = {READ, SEND(many_lines), CLOSE};
  const test_step *const both[] = {lengthy, lines};
  test_server *server = test_server_new(both, 2);
  open_plain();
  for (uint64_t id = 1; id <= 2; id++) {
    note *at = run_one(id, test_server_url(server, "/"));
    assert_end(at, SHEAF_END_TOO_LARGE);
    assert_int_equal(at->heads, 0);
  }
  test_server_free(server);
}

/* Bits of a deflate stream, lowest first (RFC 1951). */
typedef struct bits {
  unsigned char *bytes;
  size_t count;
} bits;

static void put(bits *to, unsigned value, unsigned count) {
  for (unsigned i = 0; i < count; i++, to->count++) {
    if (((value >> i) & 1u) != 0)
      to->bytes[to->count / 8] |= (unsigned char)(1u << (to->count % 8));
  }
}

static uint32_t crc_of_zeros(size_t count) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < count; i++) {
    for (int k = 0; k < 9; k++)
      crc = k == 0 ? crc : (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0);
  }
  return ~crc;
}

/* gzip of 1 + 258 * runs zero bytes: one literal, then copies of 258 from distance 1, in the fixed code: 13 bits for 258
 * bytes, 158 to 1. Answers its size. */
static size_t gzip_zeros(unsigned char *to, size_t runs) {
  static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  memcpy(to, header, sizeof(header));
  bits stream = {to + sizeof(header), 0};
  put(&stream, 1, 1);    /* the last block */
  put(&stream, 1, 2);    /* fixed codes */
  put(&stream, 0x0c, 8); /* literal 0: 00110000, written from its highest bit */
  for (size_t i = 0; i < runs; i++) {
    put(&stream, 0xa3, 8); /* length code 285: 11000101 */
    put(&stream, 0, 5);    /* distance code 0 */
  }
  put(&stream, 0, 7); /* end of block */
  size_t at = sizeof(header) + (stream.count + 7) / 8;
  uint32_t tail[2] = {crc_of_zeros(1 + 258 * runs), (uint32_t)(1 + 258 * runs)};
  for (size_t i = 0; i < 8; i++) to[at++] = (unsigned char)(tail[i / 4] >> (8 * (i % 4)));
  return at;
}

static void gzip_is_decoded_and_bombs_are_stopped(void **state) {
  (void)state;
  enum { SMALL = 40, BIG = 100000 };
  unsigned char *small = calloc(1, SMALL * 2 + 64);
  unsigned char *big = calloc(1, BIG * 2 + 64);
  assert_non_null(small);
  assert_non_null(big);
  size_t small_bytes = gzip_zeros(small, SMALL);
  size_t big_bytes = gzip_zeros(big, BIG);
  const char head[] = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
  const test_step plain[] = {
      READ, SEND(head), {.kind = TEST_SEND, .data = (char *)small, .bytes = small_bytes}, CLOSE};
  const test_step bomb[] = {
      READ, SEND(head), {.kind = TEST_SEND, .data = (char *)big, .bytes = big_bytes}, CLOSE};
  const test_step *const both[] = {plain, bomb};
  test_server *server = test_server_new(both, 2);
  open_plain();
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->data_bytes, 1 + 258 * SMALL);
  assert_true(test_server_saw(server, "Accept-Encoding: gzip\r\n"));
  at = prepare(2, test_server_url(server, "/"));
  at->exchange.reply_bytes_max = UINT64_C(1) << 40;
  begin(at);
  run_until(2);
  assert_end(at, SHEAF_END_TOO_LARGE);
  assert_has(at->message, "expands more than 100 times");
  assert_true(at->data_bytes < 258 * BIG);
  /* the cap counts decompressed bytes */
  at = prepare(3, test_server_url(server, "/"));
  at->exchange.reply_bytes_max = 500000;
  begin(at);
  run_until(3);
  assert_end(at, SHEAF_END_TOO_LARGE);
  assert_has(at->message, "larger than 500000 bytes");
  assert_true(at->data_bytes <= 500000);
  test_server_free(server);
  free(small);
  free(big);
}

/* ---- Security ---- */

static void with_key(note *at) {
  at->headers[1] = (sheaf_header){.name = SHEAF_LITERAL("Authorization"),
                                  .value = SHEAF_LITERAL("Bearer "),
                                  .credential_id = 5};
  at->exchange.header_count = 2;
}

static const char secret[] = "sk-canary-0123456789";

static void a_key_goes_to_its_origin_only(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  test_server *other = test_server_new(scripts, 1);
  open_plain();
  assert_int_equal(sheaf_curl_set_credential(curl, 5, test_server_url(server, "/v1"), secret),
                   SHEAF_OK);
  note *at = prepare(1, test_server_url(server, "/v1/chat"));
  with_key(at);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_true(test_server_saw(server, "Authorization: Bearer sk-canary-0123456789\r\n"));
  /* the same key number, so that a cache that trusts it would send the key */
  at = prepare(2, test_server_url(other, "/v1/chat"));
  with_key(at);
  begin(at);
  assert_int_equal(at->dones, 0); /* slots never report */
  run_until(2);
  assert_end(at, SHEAF_END_REFUSED);
  assert_false(at->retryable);
  assert_has(at->message, "another origin");
  at = prepare(3, test_server_url(server, "/v1/chat"));
  with_key(at);
  at->headers[1].credential_id = 6;
  begin(at);
  run_until(3);
  assert_end(at, SHEAF_END_REFUSED);
  assert_int_equal(test_server_requests(server), 1);
  assert_int_equal(test_server_connections(other), 0);
  test_server_free(server);
  test_server_free(other);
}

static void a_new_key_takes_the_old_ones_place(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  for (uint64_t id = 1; id <= 2; id++) {
    assert_int_equal(sheaf_curl_set_credential(curl, 5, test_server_url(server, "/"),
                                               id == 1 ? "first-key" : "second-key"),
                     SHEAF_OK);
    note *at = prepare(id, test_server_url(server, "/"));
    with_key(at);
    begin(at);
    run_until(id);
    assert_end(at, SHEAF_END_OK);
    assert_true(
        test_server_saw(server, id == 1 ? "Bearer first-key\r\n" : "Bearer second-key\r\n"));
  }
  test_server_free(server);
}

static void credentials_are_checked(void **state) {
  (void)state;
  open_plain();
  assert_int_equal(sheaf_curl_set_credential(curl, 1, "https://a.example", "a\r\nb"),
                   SHEAF_E_FIELD);
  assert_int_equal(sheaf_curl_set_credential(curl, 1, "https://a.example", ""), SHEAF_E_FIELD);
  assert_int_equal(sheaf_curl_set_credential(curl, 1, "no url", "key"), SHEAF_E_FIELD);
  assert_int_equal(sheaf_curl_set_credential(curl, 1, "https://u:p@a.example", "key"),
                   SHEAF_E_FIELD);
  assert_int_equal(sheaf_curl_set_credential(curl, 0, "https://a.example", "key"), SHEAF_E_MISUSE);
}

static void redirects_are_reported_not_followed(void **state) {
  (void)state;
  static const test_step works[] = {READ, SEND(OK_REPLY), AGAIN};
  static const test_step *const other_scripts[] = {works};
  test_server *other = test_server_new(other_scripts, 1);
  char reply[256];
  snprintf(reply, sizeof(reply),
           "HTTP/1.1 307 Elsewhere\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n",
           test_server_url(other, "/stolen"));
  const test_step moved[] = {READ, SEND(reply), AGAIN};
  const test_step *const moved_scripts[] = {moved};
  test_server *server = test_server_new(moved_scripts, 1);
  open_plain();
  assert_int_equal(sheaf_curl_set_credential(curl, 5, test_server_url(server, "/"), secret),
                   SHEAF_OK);
  note *at = prepare(1, test_server_url(server, "/"));
  with_key(at);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_int_equal(at->status, 307);
  assert_int_equal(test_server_connections(other), 0);
  test_server_free(server);
  test_server_free(other);
}

static void what_may_not_be_sent_is_refused(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  static const char *const urls[] = {
      "http://10.1.2.3/v1",        "http://example.com/", "http://127.0.0.1.example/",
      "http://localhost.example/", "ftp://127.0.0.1/",    "file:///etc/passwd",
      "http://u:p@127.0.0.1/",     "not a url",           "http://[::2]/",
      "http://128.0.0.1/"};
  uint64_t id = 1;
  for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++, id++) {
    note *at = run_one(id, urls[i]);
    if (at->end != SHEAF_END_REFUSED) fail_msg("%s: %s", urls[i], at->message);
    assert_false(at->retryable);
    assert_has(at->message, "not sent: ");
  }
  static const sheaf_header bad[] = {{.name = {"X-A", 3}, .value = {"a\r\nX-B: c", 9}},
                                     {.name = {"X-A", 3}, .value = {"a\0b", 3}},
                                     {.name = {"X A", 3}, .value = {"a", 1}},
                                     {.name = {"", 0}, .value = {"a", 1}},
                                     {.name = {"X:", 2}, .value = {"a", 1}}};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++, id++) {
    note *at = prepare(id, test_server_url(server, "/"));
    at->headers[0] = bad[i];
    begin(at);
    run_until(id);
    assert_end(at, SHEAF_END_REFUSED);
  }
  note *at = prepare(id, test_server_url(server, "/"));
  at->exchange.method = "POST / HTTP/1.1\r\nX: y";
  begin(at);
  run_until(id);
  assert_end(at, SHEAF_END_REFUSED);
  assert_int_equal(test_server_connections(server), 0);
  test_server_free(server);
}

static void plain_http_to_loopback_names_is_sent(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  char url[64];
  snprintf(url, sizeof(url), "http://localhost:%d/", test_server_port(server));
  assert_end(run_one(1, url), SHEAF_END_OK);
  snprintf(url, sizeof(url), "http://LOCALHOST:%d/", test_server_port(server));
  assert_end(run_one(2, url), SHEAF_END_OK);
  snprintf(url, sizeof(url), "http://[::1]:%d/", test_server_port(server));
  assert_end(run_one(3, url), SHEAF_END_NOT_SENT); /* allowed, but nobody listens there */
  test_server_free(server);
}

static void empty_header_values_are_sent_empty(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/"));
  at->headers[1] = (sheaf_header){.name = SHEAF_LITERAL("X-Empty")};
  at->exchange.header_count = 2;
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_OK);
  assert_true(test_server_saw(server, "X-Empty:\r\n"));
  test_server_free(server);
}

/* The proxy sees a CONNECT that it declines: the request itself never left, and neither did the key. */
static void a_proxy_that_declines_is_not_sent(void **state) {
  (void)state;
  SERVE(READ, SEND("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"), CLOSE);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  char proxy[64];
  snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", test_server_port(server));
  options.proxy = proxy;
  open_with(&options);
  memset(proxy, 'x', sizeof(proxy)); /* options are copied */
  assert_int_equal(sheaf_curl_set_credential(curl, 5, "https://api.example/", secret), SHEAF_OK);
  note *at = prepare(1, "https://api.example/v1");
  with_key(at);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_NOT_SENT);
  assert_int_equal(at->heads, 0);
  assert_true(test_server_saw(server, "CONNECT api.example:443"));
  assert_false(test_server_saw(server, "canary"));
  test_server_free(server);
}

static void redaction_covers_every_run_of_eight(void **state) {
  (void)state;
  open_plain();
  assert_int_equal(sheaf_curl_set_credential(curl, 1, "https://a.example", "abcdefghij"), SHEAF_OK);
  assert_int_equal(sheaf_curl_set_credential(curl, 2, "https://b.example", "AAAAAAAAB"), SHEAF_OK);
  static const char *const cases[][2] = {{"abcdefghij", "**********"},
                                         {"[abcdefghi]", "[*********]"},
                                         {"xbcdefghix", "x********x"},
                                         {"abcdefg", "abcdefg"},
                                         {"abcdefgXij", "abcdefgXij"},
                                         {"AAAAAAAAAAAAB", "*************"},
                                         {"key abcdefghij.", "key **********."},
                                         {"", ""},
                                         {"abcdefghabcdefghij", "******************"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char text[64];
    snprintf(text, sizeof(text), "%s", cases[i][0]);
    sheaf_curl_redact(curl, text, strlen(text));
    assert_string_equal(text, cases[i][1]);
  }
}

/* ---- Control ---- */

static void cancel_is_reported_by_the_next_poll(void **state) {
  (void)state;
  SERVE(READ, STALL);
  open_plain();
  note *at = prepare(1, test_server_url(server, "/"));
  begin(at);
  while (test_server_requests(server) == 0) poll_once();
  transport->cancel(transport->ctx, 1);
  transport->cancel(transport->ctx, 1);
  transport->cancel(transport->ctx, 99);
  assert_int_equal(at->dones, 0);
  run_until(1);
  assert_end(at, SHEAF_END_CANCELLED);
  sheaf_curl_poll(curl, 0, -1);
  assert_int_equal(at->dones, 1);
  test_server_free(server);
}

static void cancel_before_the_first_poll_sends_nothing(void **state) {
  (void)state;
  SERVE(READ, STALL);
  open_plain();
  begin(prepare(1, test_server_url(server, "/")));
  transport->cancel(transport->ctx, 1);
  run_until(1);
  assert_end(&notes[1], SHEAF_END_CANCELLED);
  assert_int_equal(test_server_requests(server), 0);
  test_server_free(server);
}

static void freeing_ends_what_is_under_way(void **state) {
  (void)state;
  SERVE(READ, STALL);
  open_plain();
  for (uint64_t id = 1; id <= 3; id++) begin(prepare(id, test_server_url(server, "/")));
  while (test_server_requests(server) < 2) poll_once();
  transport->cancel(transport->ctx, 1);
  sheaf_curl_free(curl);
  curl = NULL;
  assert_int_equal(ended_count, 0);
  test_server_free(server);
}

static void *wake_later(void *argument) {
  usleep(30000);
  sheaf_curl_wake(argument);
  return NULL;
}

static void wake_ends_an_endless_poll(void **state) {
  (void)state;
  open_plain();
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, wake_later, curl), 0);
  assert_int_equal(sheaf_curl_poll(curl, SHEAF_NEVER, -1), SHEAF_OK);
  pthread_join(thread, NULL);
  sheaf_curl_wake(curl); /* before the poll counts too */
  sheaf_curl_wake(curl);
  assert_int_equal(sheaf_curl_poll(curl, SHEAF_NEVER, -1), SHEAF_OK);
}

static void poll_waits_no_longer_than_told_and_no_shorter(void **state) {
  (void)state;
  open_plain();
  uint64_t before = sheaf_now_ns();
  assert_int_equal(sheaf_curl_poll(curl, 30000000, -1), SHEAF_OK);
  assert_true(sheaf_now_ns() - before >= 30000000);
  assert_int_equal(sheaf_curl_poll(curl, 0, -1), SHEAF_OK);
}

static void an_extra_descriptor_ends_a_poll(void **state) {
  (void)state;
  open_plain();
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  assert_int_equal(write(pipes[1], "x", 1), 1);
  assert_int_equal(sheaf_curl_poll(curl, SHEAF_NEVER, pipes[0]), SHEAF_OK);
  assert_int_equal(sheaf_curl_poll(curl, SHEAF_NEVER, pipes[0]), SHEAF_OK);
  uint64_t before = sheaf_now_ns();
  assert_int_equal(sheaf_curl_poll(curl, 20000000, -1), SHEAF_OK);
  assert_true(sheaf_now_ns() - before >= 20000000);
  close(pipes[0]);
  close(pipes[1]);
}

static void options_are_checked(void **state) {
  (void)state;
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.shards = 65;
  assert_int_equal(sheaf_curl_new(&options, &curl), SHEAF_E_RANGE);
  options = SHEAF_CURL_OPTIONS_INIT;
  options.http2 = 3;
  assert_int_equal(sheaf_curl_new(&options, &curl), SHEAF_E_RANGE);
  options = SHEAF_CURL_OPTIONS_INIT;
  options.struct_bytes = 0;
  assert_int_equal(sheaf_curl_new(&options, &curl), SHEAF_E_RANGE);
  options = SHEAF_CURL_OPTIONS_INIT;
  options.user_agent = "a\r\nb";
  assert_int_equal(sheaf_curl_new(&options, &curl), SHEAF_E_RANGE);
  assert_null(curl);
  open_with(NULL);
}

static void tasks_and_unbound_engines_are_not_taken(void **state) {
  (void)state;
  assert_int_equal(sheaf_curl_new(NULL, &curl), SHEAF_OK);
  transport = sheaf_curl_transport(curl);
  note *at = prepare(1, "http://127.0.0.1/");
  assert_int_equal(transport->start(transport->ctx, &at->exchange), SHEAF_E_MISUSE);
  static int nobody;
  assert_int_equal(sheaf_curl_bind(curl, (sheaf_engine *)&nobody), SHEAF_OK);
  at->exchange.kind = SHEAF_EXCHANGE_TASK;
  assert_int_equal(transport->start(transport->ctx, &at->exchange), SHEAF_E_UNSUPPORTED);
}

static void many_routes_are_kept_apart(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_plain();
  for (uint64_t id = 1; id <= 100; id++) {
    char path[32];
    char line[48];
    snprintf(path, sizeof(path), "/p%d", (int)(id % 50));
    note *at = prepare(id, test_server_url(server, path));
    at->exchange.same_key = id % 50;
    begin(at);
    run_until(id);
    assert_end(at, SHEAF_END_OK);
    snprintf(line, sizeof(line), "POST %s HTTP/1.1\r\n", path);
    assert_true(test_server_saw(server, line));
  }
  assert_int_equal(test_server_requests(server), 100);
  assert_int_equal(test_server_connections(server), 1);
  test_server_free(server);
}

/* ---- TLS and HTTP/2 ---- */

/* A skipped test would pass for a passed one, so a missing program fails it. */
static void open_front(const test_server *server, const char *parameter) {
  const char *missing = test_front_open(&opened, test_server_port(server), parameter);
  if (missing != NULL) fail_msg("%s", missing);
}

static void an_untrusted_certificate_is_refused(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_front(server, "");
  open_plain();
  assert_int_equal(sheaf_curl_set_credential(curl, 5, opened.url, secret), SHEAF_OK);
  note *at = prepare(1, opened.url);
  with_key(at);
  begin(at);
  run_until(1);
  assert_end(at, SHEAF_END_NOT_SENT);
  assert_false(at->retryable);
  assert_has(at->message, "certificate");
  assert_int_equal(test_server_requests(server), 0);
  test_server_free(server);
}

static void https_speaks_http2_and_multiplexes(void **state) {
  (void)state;
  SERVE(READ, {.kind = TEST_PAUSE, .ms = 10}, SEND(OK_REPLY), AGAIN);
  open_front(server, "");
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.ca_file = opened.certificate;
  options.proxy = "";
  open_with(&options);
  for (uint64_t id = 1; id <= 100; id++) begin(prepare(id, opened.url));
  run_until(100);
  for (uint64_t id = 1; id <= 100; id++) {
    assert_end(&notes[id], SHEAF_END_OK);
    assert_string_equal(notes[id].data, "ok");
  }
  assert_true(test_server_saw(server, "via: 2 nghttpx") ||
              test_server_saw(server, "Via: 2 nghttpx"));
  assert_int_equal(test_server_requests(server), 100);
  note *at = prepare(101, opened.url); /* a pulled body, its length not known */
  at->pulled = "{\"pulled\":true}";
  at->exchange.body = (sheaf_slice){NULL, 0};
  at->exchange.body_bytes = SHEAF_NEVER;
  begin(at);
  run_until(101);
  assert_end(at, SHEAF_END_OK);
  test_server_free(server);
}

static void https_without_http2(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_front(server, "");
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.ca_file = opened.certificate;
  options.http2 = 0;
  open_with(&options);
  for (uint64_t id = 1; id <= 30; id++) begin(prepare(id, opened.url));
  run_until(30);
  for (uint64_t id = 1; id <= 30; id++) assert_end(&notes[id], SHEAF_END_OK);
  assert_true(test_server_saw(server, "via: 1.1 nghttpx") ||
              test_server_saw(server, "Via: 1.1 nghttpx"));
  test_server_free(server);
}

/* HTTP/2 by hand (RFC 9113 4.1): a frame is length (24 bits), type, flags, stream (32 bits), payload. */
#define H2_SETTINGS "\0\0\0\4\0\0\0\0\0"
#define H2_RST(stream, code) "\0\0\4\3\0\0\0\0" stream "\0\0\0" code
#define H2_PREFACE_BYTES 24

static void a_refused_stream_is_not_sent(void **state) {
  (void)state;
  static const char frames[] = H2_SETTINGS H2_RST("\1", "\7"); /* REFUSED_STREAM */
  static const test_step refuses[] = {
      {.kind = TEST_GET_BYTES, .bytes = H2_PREFACE_BYTES + 100},
      {.kind = TEST_SEND, .data = frames, .bytes = sizeof(frames) - 1},
      STALL};
  static const test_step *const scripts[] = {refuses};
  test_server *server = test_server_new(scripts, 1);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.http2 = 2;
  open_with(&options);
  note *at = run_one(1, test_server_url(server, "/"));
  assert_end(at, SHEAF_END_NOT_SENT);
  assert_true(at->retryable);
  assert_has(at->message, "refused the HTTP/2 stream");
  test_server_free(server);
}

static void a_cancelled_stream_is_broken(void **state) {
  (void)state;
  static const char frames[] = H2_SETTINGS H2_RST("\1", "\2"); /* INTERNAL_ERROR */
  static const test_step resets[] = {
      {.kind = TEST_GET_BYTES, .bytes = H2_PREFACE_BYTES + 100},
      {.kind = TEST_SEND, .data = frames, .bytes = sizeof(frames) - 1},
      STALL};
  static const test_step *const scripts[] = {resets};
  test_server *server = test_server_new(scripts, 1);
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.http2 = 2;
  open_with(&options);
  assert_end(run_one(1, test_server_url(server, "/")), SHEAF_END_BROKEN);
  test_server_free(server);
}

/* Several streams share a connection that dies after they were sent. libcurl would send all of them again, also the one that
 * made the connection, which became a reused one by the others: none may pass for unsent. */
static void streams_of_a_dead_connection_are_broken(void **state) {
  (void)state;
  SERVE(READ, STALL);
  open_front(server, "");
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.ca_file = opened.certificate;
  options.proxy = "";
  open_with(&options);
  for (uint64_t id = 1; id <= 4; id++) begin(prepare(id, opened.url));
  while (test_server_requests(server) < 4) poll_once();
  test_front_close(&opened);
  run_until(4);
  for (uint64_t id = 1; id <= 4; id++) assert_end(&notes[id], SHEAF_END_BROKEN);
  assert_int_equal(test_server_requests(server), 4);
  test_server_free(server);
}

/* Also with a libcurl that cannot reuse such connections (7.88). */
static void prior_knowledge_works_again_and_again(void **state) {
  (void)state;
  SERVE(READ, SEND(OK_REPLY), AGAIN);
  open_front(server, ";no-tls");
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  options.http2 = 2;
  open_with(&options);
  char url[64];
  snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", opened.port);
  for (uint64_t id = 1; id <= 10; id++) begin(prepare(id, url));
  run_until(10);
  for (uint64_t id = 1; id <= 10; id++) assert_end(&notes[id], SHEAF_END_OK);
  assert_end(run_one(11, url), SHEAF_END_OK);
  assert_true(test_server_saw(server, "via: 2 nghttpx") ||
              test_server_saw(server, "Via: 2 nghttpx"));
  test_server_free(server);
}

/* ---- All ---- */

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  const struct CMUnitTest tests[] = {
      CASE(a_reply_is_head_data_end),
      CASE(any_status_is_an_ordinary_end),
      CASE(connections_are_reused),
      CASE(chunks_and_trailers),
      CASE(informational_replies_are_skipped),
      CASE(a_slow_reply_comes_in_parts),
      CASE(methods_go_out_as_given),
      CASE(bodies_are_pulled),
      CASE(a_hundred_at_once),
      CASE(connections_stay_within_their_bound),
      CASE(nobody_listens_is_not_sent),
      CASE(an_unknown_host_is_not_sent),
      CASE(a_close_or_reset_before_any_reply_is_broken),
      CASE(a_break_within_the_head_is_broken),
      CASE(a_break_within_the_body_is_broken),
      CASE(a_dead_reused_connection_is_not_replayed),
      CASE(a_dead_reused_connection_does_not_replay_an_empty_post),
      CASE(a_replay_on_another_idle_connection_is_stopped),
      CASE(an_idle_connection_closed_by_the_server_costs_nothing),
      CASE(closed_idle_connections_do_not_spin),
      CASE(first_byte_timeout),
      CASE(total_timeout_after_sending),
      CASE(idle_timeout_counts_from_the_last_byte),
      CASE(connect_timeout_is_not_sent),
      CASE(a_reply_over_its_cap_is_too_large),
      CASE(a_full_engine_pauses_the_reply),
      CASE(headers_over_their_cap_are_too_large),
      CASE(gzip_is_decoded_and_bombs_are_stopped),
      CASE(a_key_goes_to_its_origin_only),
      CASE(a_new_key_takes_the_old_ones_place),
      CASE(credentials_are_checked),
      CASE(redirects_are_reported_not_followed),
      CASE(what_may_not_be_sent_is_refused),
      CASE(plain_http_to_loopback_names_is_sent),
      CASE(empty_header_values_are_sent_empty),
      CASE(a_proxy_that_declines_is_not_sent),
      CASE(redaction_covers_every_run_of_eight),
      CASE(cancel_is_reported_by_the_next_poll),
      CASE(cancel_before_the_first_poll_sends_nothing),
      CASE(freeing_ends_what_is_under_way),
      CASE(wake_ends_an_endless_poll),
      CASE(poll_waits_no_longer_than_told_and_no_shorter),
      CASE(an_extra_descriptor_ends_a_poll),
      CASE(options_are_checked),
      CASE(tasks_and_unbound_engines_are_not_taken),
      CASE(many_routes_are_kept_apart),
      CASE(an_untrusted_certificate_is_refused),
      CASE(https_speaks_http2_and_multiplexes),
      CASE(https_without_http2),
      CASE(a_refused_stream_is_not_sent),
      CASE(a_cancelled_stream_is_broken),
      CASE(streams_of_a_dead_connection_are_broken),
      CASE(prior_knowledge_works_again_and_again),
  };
  int failed = cmocka_run_group_tests_name("curl", tests, NULL, NULL);
  size_t count = sizeof(tests) / sizeof(tests[0]);
  printf("%zu passed, %d failed\n", count - (size_t)failed, failed);
  return failed;
}
