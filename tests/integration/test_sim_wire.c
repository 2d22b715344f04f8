/* test_sim_wire.c: the simulator as sockets see it: what each fault of the wire sends and how it
 * ends, the service's places and their queue, browsers, many connections, and a stop at any moment.
 *
 *   wire       a plain socket: bytes, and whether FIN or RST ended them
 *   faults     each of them, by that socket and by libcurl
 *   service    capacity and queue
 *   others     CORS, the ledger's arguments, idle connections, stops */
#define _GNU_SOURCE
#include "../support/sim_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GENERATE "/api/generate"
#define LONG_MS 60000

/* ---- Wire ---- */

enum { STILL_OPEN, ENDED, WAS_RESET };

typedef struct wire {
  int fd;
  int end; /* of what was read */
  sheaf_buf in;
} wire;

static uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int fresh_socket(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  return fd;
}

static int connect_to(int fd, const sheaf_sim *sim) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(sheaf_sim_port(sim))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(fd, (const struct sockaddr *)&to, sizeof to);
}

static int try_dial(const sheaf_sim *sim) {
  int fd = fresh_socket();
  if (connect_to(fd, sim) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static void dial(wire *w, const sheaf_sim *sim) {
  *w = (wire){.fd = try_dial(sim)};
  assert_true(w->fd >= 0);
  sheaf_buf_init(&w->in, &allocator, 256u << 20);
}

static void say(const wire *w, const char *text) {
  size_t bytes = strlen(text);
  assert_int_equal(send(w->fd, text, bytes, MSG_NOSIGNAL), bytes);
}

static void ask(const wire *w, const char *path, const char *headers, const char *body) {
  char text[2048];
  int bytes = snprintf(text, sizeof text,
                       "POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n%s"
                       "content-length: %zu\r\n\r\n%s",
                       path, headers, strlen(body), body);
  assert_in_range(bytes, 1, sizeof text - 1);
  say(w, text);
}

static void ask_fault(const wire *w, const char *path, const char *fault, const char *body) {
  char header[64];
  snprintf(header, sizeof header, "x-sheaf-fault: %s\r\n", fault);
  ask(w, path, header, body);
}

/* Reads until the connection ends, `enough` bytes are there, or nothing has come for patience_ms. */
static void read_wire(wire *w, size_t enough, int patience_ms) {
  struct pollfd fd = {.fd = w->fd, .events = POLLIN};
  w->end = STILL_OPEN;
  while (w->in.bytes < enough && poll(&fd, 1, patience_ms) == 1) {
    assert_int_equal(sheaf_buf_reserve(&w->in, 65536), SHEAF_OK);
    ssize_t got = recv(w->fd, w->in.data + w->in.bytes, 65536, 0);
    if (got <= 0) {
      if (got < 0) assert_int_equal(errno, ECONNRESET);
      w->end = got < 0 ? WAS_RESET : ENDED;
      return;
    }
    w->in.bytes += (size_t)got;
  }
}

static void read_to_end(wire *w) {
  read_wire(w, SIZE_MAX, LONG_MS);
  assert_int_not_equal(w->end, STILL_OPEN);
}

static void hang_up(wire *w) {
  close(w->fd);
  sheaf_buf_deinit(&w->in);
}

/* The head's bytes with its empty line; 0: it is not whole. */
static size_t head_bytes(const wire *w) {
  const char *end = w->in.bytes ? memmem(w->in.data, w->in.bytes, "\r\n\r\n", 4) : NULL;
  return end ? (size_t)(end - w->in.data) + 4 : 0;
}

static sheaf_slice body_of(const wire *w) {
  size_t head = head_bytes(w);
  assert_true(head > 0);
  return (sheaf_slice){w->in.data + head, w->in.bytes - head};
}

/* The number in a header, SIZE_MAX if there is none such. */
static size_t number_in(const wire *w, const char *name) {
  char line[64], head[8192];
  size_t bytes = head_bytes(w);
  assert_in_range(bytes, 1, sizeof head - 1);
  memcpy(head, w->in.data, bytes);
  head[bytes] = 0;
  snprintf(line, sizeof line, "\r\n%s: ", name);
  const char *at = strcasestr(head, line);
  return at ? strtoul(at + strlen(line), NULL, 10) : SIZE_MAX;
}

static bool begins_with(const wire *w, const char *text) {
  return w->in.bytes >= strlen(text) && memcmp(w->in.data, text, strlen(text)) == 0;
}

static bool holds(sheaf_slice in, const char *text) {
  return in.bytes && memmem(in.data, in.bytes, text, strlen(text)) != NULL;
}

static void assert_same(sheaf_slice a, sheaf_slice b) {
  assert_int_equal(a.bytes, b.bytes);
  assert_memory_equal(a.data, b.data, a.bytes);
}

static void wait_for(sheaf_sim *sim, const char *stat, int64_t value) {
  const struct timespec a_moment = {.tv_nsec = 1000000};
  for (int i = 0; i < LONG_MS; i++) {
    if (stat_of(sim, stat) == value) return;
    nanosleep(&a_moment, NULL);
  }
  fail_msg("%s did not become %d", stat, (int)value);
}

/* ---- Shapes that every wire fault is asked of ---- */

typedef struct shape {
  const char *path, *body, *headers;
  bool is_stream;
} shape;

#define OLLAMA_BODY(stream) "{\"model\":\"m\",\"prompt\":\"hello there\",\"stream\":" stream "}"
#define GEMINI_BODY "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello there\"}]}]}"
#define ANTHROPIC_BODY(stream) "{\"model\":\"m\",\"max_tokens\":99,\"stream\":" stream "," HELLO "}"

static const shape shapes[] = {
    {CHAT, CHAT_HELLO, "", false},
    {CHAT, "{\"model\":\"m\",\"stream\":true," HELLO "}", "", true},
    {"/v1/messages", ANTHROPIC_BODY("false"), VERSION "\r\nx-api-key: k\r\n", false},
    {"/v1/messages", ANTHROPIC_BODY("true"), VERSION "\r\nx-api-key: k\r\n", true},
    {"/v1beta/models/m:generateContent", GEMINI_BODY, "", false},
    {"/v1beta/models/m:streamGenerateContent?alt=sse", GEMINI_BODY, "", true},
    {GENERATE, OLLAMA_BODY("false"), "", false},
    {GENERATE, OLLAMA_BODY("true"), "", true},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The answer that a shape gets without a fault: of a fresh simulator, as the first sighting. */
static void plain_body(const shape *what, sheaf_buf *body) {
  sheaf_sim *sim = start(NULL);
  reply got;
  char header[128];
  snprintf(header, sizeof header, "%.*s", (int)strcspn(what->headers, "\r"), what->headers);
  const char *key = what->headers[0] ? "x-api-key: k" : NULL;
  fetch_for(sim, &got, what->path, what->body, header[0] ? header : NULL, key, LONG_MS);
  assert_int_equal(got.code, CURLE_OK);
  assert_int_equal(got.status, 200);
  sheaf_buf_init(body, &allocator, 1u << 20);
  assert_int_equal(sheaf_buf_append_slice(body, sheaf_buf_slice(&got.body)), SHEAF_OK);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Asks a fresh simulator for the fault, with the shape. */
static sheaf_sim *ask_shape(wire *w, const shape *what, const char *fault) {
  sheaf_sim *sim = start("drip", "1", "refuse", "100", NULL);
  char headers[256];
  snprintf(headers, sizeof headers, "%sx-sheaf-fault: %s\r\n", what->headers, fault);
  dial(w, sim);
  ask(w, what->path, headers, what->body);
  return sim;
}

static CURLcode curl_of(const sheaf_sim *sim, const char *fault, const char *body) {
  char header[64];
  snprintf(header, sizeof header, "x-sheaf-fault: %s", fault);
  return code_of(sim, body, header, LONG_MS);
}

/* ---- Faults: nothing but an end ---- */

static void reset_sends_no_byte_and_a_reset(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "reset");
    read_to_end(&w);
    assert_int_equal(w.end, WAS_RESET);
    assert_int_equal(w.in.bytes, 0);
    assert_int_equal(curl_of(sim, "reset", "{\"model\":\"other\"," HELLO "}"), CURLE_RECV_ERROR);
    wait_for(sim, "in_flight", 0);
    assert_int_equal(stat_of(sim, "clients_left"), 0);
    hang_up(&w);
    sheaf_sim_stop(sim);
  }
}

static void stall_sends_nothing_until_the_client_leaves(void **state) {
  (void)state;
  wire w;
  sheaf_sim *sim = ask_shape(&w, &shapes[0], "stall");
  wait_for(sim, "in_flight", 1);
  read_wire(&w, 1, 200);
  assert_int_equal(w.end, STILL_OPEN);
  assert_int_equal(w.in.bytes, 0);
  hang_up(&w);
  wait_for(sim, "in_flight", 0);
  assert_int_equal(stat_of(sim, "clients_left"), 1);
  sheaf_sim_stop(sim);
}

/* ---- Faults: a part of the answer ---- */

static void reset_head_ends_within_the_head(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "reset-head");
    read_to_end(&w);
    assert_int_equal(w.end, WAS_RESET);
    assert_true(begins_with(&w, "HTTP/1.1 200 OK\r\n"));
    assert_int_equal(head_bytes(&w), 0);
    assert_int_equal(curl_of(sim, "reset-head", "{\"model\":\"other\"," HELLO "}"),
                     CURLE_RECV_ERROR);
    hang_up(&w);
    sheaf_sim_stop(sim);
  }
}

/* Of a whole body, half of the announced bytes, and these are the answer's own. */
static void assert_half(const wire *w, const shape *what) {
  sheaf_buf plain;
  plain_body(what, &plain);
  sheaf_slice body = body_of(w);
  assert_int_equal(number_in(w, "content-length"), plain.bytes);
  assert_int_equal(body.bytes, plain.bytes / 2);
  assert_memory_equal(body.data, plain.data, body.bytes);
  sheaf_buf_deinit(&plain);
}

/* Of a stream, whole events from its beginning, and not its end. */
static void assert_beginning(const wire *w, const shape *what) {
  sheaf_buf plain;
  plain_body(what, &plain);
  sheaf_slice body = body_of(w);
  assert_true(number_in(w, "content-length") == SIZE_MAX);
  assert_true(body.bytes > 0);
  assert_false(holds(body, "\r\n0\r\n")); /* the last chunk */
  const char *data = memchr(body.data, '\n', body.bytes);
  assert_non_null(data);
  size_t line = strcspn(data + 1, "\n");
  assert_memory_equal(data + 1, plain.data, line < plain.bytes ? line : plain.bytes);
  sheaf_buf_deinit(&plain);
}

static void reset_body_ends_within_the_body(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "reset-body");
    read_to_end(&w);
    assert_int_equal(w.end, WAS_RESET);
    if (shapes[i].is_stream)
      assert_beginning(&w, &shapes[i]);
    else
      assert_half(&w, &shapes[i]);
    assert_int_equal(curl_of(sim, "reset-body", "{\"model\":\"other\"," HELLO "}"),
                     CURLE_RECV_ERROR);
    wait_for(sim, "in_flight", 0);
    assert_int_equal(stat_of(sim, "clients_left"), 0);
    hang_up(&w);
    sheaf_sim_stop(sim);
  }
}

static void stall_body_stands_still_within_the_body(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "stall-body");
    read_wire(&w, SIZE_MAX, 200);
    assert_int_equal(w.end, STILL_OPEN);
    if (shapes[i].is_stream)
      assert_beginning(&w, &shapes[i]);
    else
      assert_half(&w, &shapes[i]);
    assert_int_equal(stat_of(sim, "in_flight"), 1);
    hang_up(&w);
    wait_for(sim, "in_flight", 0);
    assert_int_equal(stat_of(sim, "clients_left"), 1);
    sheaf_sim_stop(sim);
  }
}

static void truncate_and_cut_end_a_body_at_its_half(void **state) {
  (void)state;
  for (int i = 0; i < 2 * SHAPES; i++) {
    const shape *what = &shapes[i / 2];
    const char *fault = i % 2 ? "cut" : "truncate";
    if (what->is_stream) continue;
    wire w;
    sheaf_sim *sim = ask_shape(&w, what, fault);
    read_to_end(&w);
    assert_int_equal(w.end, ENDED);
    assert_half(&w, what);
    assert_int_equal(curl_of(sim, fault, "{\"model\":\"other\"," HELLO "}"), CURLE_PARTIAL_FILE);
    hang_up(&w);
    sheaf_sim_stop(sim);
  }
}

static void a_cut_stream_ends_without_its_last_chunk_and_a_truncated_one_with_it(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    if (!shapes[i].is_stream) continue;
    wire w;
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "cut");
    read_to_end(&w);
    assert_int_equal(w.end, ENDED);
    assert_beginning(&w, &shapes[i]);
    hang_up(&w);
    sheaf_sim_stop(sim);
    sim = ask_shape(&w, &shapes[i], "truncate");
    read_wire(&w, SIZE_MAX, 200);
    assert_int_equal(w.end, STILL_OPEN); /* for the next request */
    assert_true(w.in.bytes > 7);
    assert_memory_equal(w.in.data + w.in.bytes - 7, "\r\n0\r\n\r\n", 7);
    hang_up(&w);
    sheaf_sim_stop(sim);
  }
}

/* ---- Faults: the whole answer, in odd ways ---- */

static void drip_sends_the_answer_a_few_bytes_at_a_time(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_buf plain;
    plain_body(&shapes[i], &plain);
    uint64_t begin = clock_ns();
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "drip");
    read_to_end(&w);
    /* At most 16 bytes a millisecond. */
    assert_true((clock_ns() - begin) / 1000000 + 1 >= w.in.bytes / 16);
    assert_int_equal(w.end, ENDED);
    assert_int_equal(number_in(&w, "content-length"), plain.bytes);
    assert_same(body_of(&w), sheaf_buf_slice(&plain));
    hang_up(&w);
    sheaf_buf_deinit(&plain);
    sheaf_sim_stop(sim);
  }
}

static void drip_obeys_the_time_scale(void **state) {
  (void)state;
  sheaf_sim *sim = start("drip", "3600000", "time-scale", "0", NULL);
  reply got;
  fetch(sim, &got, CHAT, CHAT_HELLO, "x-sheaf-fault: drip");
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void length_announces_half_of_the_body(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_buf plain;
    plain_body(&shapes[i], &plain);
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "length");
    read_to_end(&w);
    assert_int_equal(w.end, ENDED);
    assert_int_equal(number_in(&w, "content-length"), plain.bytes / 2);
    assert_same(body_of(&w), sheaf_buf_slice(&plain));
    hang_up(&w);
    reply got;
    fetch(sim, &got, CHAT, "{\"model\":\"other\"," HELLO "}", "x-sheaf-fault: length");
    assert_int_equal(got.status, 200);
    assert_int_not_equal(got.body.data[got.body.bytes - 1], '}');
    reply_deinit(&got);
    sheaf_buf_deinit(&plain);
    sheaf_sim_stop(sim);
  }
}

static void garbage_head_is_no_http(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "garbage-head");
    read_to_end(&w);
    assert_int_equal(w.end, ENDED);
    assert_true(w.in.bytes > 16);
    assert_false(begins_with(&w, "H"));
    assert_int_equal(curl_of(sim, "garbage-head", "{\"model\":\"other\"," HELLO "}"),
                     CURLE_UNSUPPORTED_PROTOCOL);
    hang_up(&w);
    sheaf_sim_stop(sim);
  }
}

/* Reads a chunked body by RFC 9112 section 7.1.3: the size's digits up to ';' or the line's end. */
static void unchunk(sheaf_slice in, sheaf_buf *out, sheaf_slice *trailer) {
  for (;;) {
    const char *line = memmem(in.data, in.bytes, "\r\n", 2);
    assert_non_null(line);
    size_t head = (size_t)(line - in.data), digits = strspn(in.data, "0123456789abcdefABCDEF");
    assert_in_range(digits, 1, head);
    assert_true(in.data[digits] == ';' || digits == head);
    size_t size = strtoul(in.data, NULL, 16);
    in.data += head + 2;
    in.bytes -= head + 2;
    if (size == 0) break;
    assert_true(in.bytes >= size + 2);
    assert_memory_equal(in.data + size, "\r\n", 2);
    assert_int_equal(sheaf_buf_append(out, in.data, size), SHEAF_OK);
    in.data += size + 2;
    in.bytes -= size + 2;
  }
  *trailer = in;
}

static void chunks_are_odd_and_legal(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_buf plain, joined;
    sheaf_slice trailer;
    plain_body(&shapes[i], &plain);
    sheaf_buf_init(&joined, &allocator, 1u << 20);
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "chunks");
    read_to_end(&w);
    assert_int_equal(w.end, ENDED);
    unchunk(body_of(&w), &joined, &trailer);
    assert_same(sheaf_buf_slice(&joined), sheaf_buf_slice(&plain));
    assert_true(holds(trailer, "x-sheaf-trailer: "));
    assert_memory_equal(trailer.data + trailer.bytes - 4, "\r\n\r\n", 4);
    assert_true(holds(body_of(&w), ";sheaf=") && holds(body_of(&w), ";a=\""));
    hang_up(&w);
    reply got;
    fetch(sim, &got, CHAT, "{\"model\":\"other\"," HELLO "}", "x-sheaf-fault: chunks");
    assert_string_equal(pick(&got, "choices[0].message.content"), "echo: hello");
    reply_deinit(&got);
    sheaf_buf_deinit(&plain);
    sheaf_buf_deinit(&joined);
    sheaf_sim_stop(sim);
  }
}

static void chunks_bad_has_a_size_that_is_none(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    wire w;
    sheaf_buf plain;
    plain_body(&shapes[i], &plain);
    sheaf_sim *sim = ask_shape(&w, &shapes[i], "chunks-bad");
    read_to_end(&w);
    assert_int_equal(w.end, ENDED);
    sheaf_slice body = body_of(&w);
    const char *line = memmem(body.data, body.bytes, "\r\n", 2);
    assert_non_null(line);
    size_t size = strtoul(body.data, NULL, 16), head = (size_t)(line - body.data) + 2;
    assert_int_equal(size, plain.bytes / 2);
    assert_true(body.bytes > head + size + 2);
    assert_memory_equal(body.data + head, plain.data, size);
    assert_null(strchr("0123456789abcdefABCDEF", body.data[head + size + 2]));
    assert_int_equal(curl_of(sim, "chunks-bad", "{\"model\":\"other\"," HELLO "}"),
                     CURLE_RECV_ERROR);
    hang_up(&w);
    sheaf_buf_deinit(&plain);
    sheaf_sim_stop(sim);
  }
}

/* ---- Refusing ---- */

static void get_models(wire *w) {
  size_t before = w->in.bytes;
  say(w, "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n");
  read_wire(w, before + 1, LONG_MS);
  assert_memory_equal(w->in.data + before, "HTTP/1.1 200 OK\r\n", 17);
  sheaf_slice all = sheaf_buf_slice(&w->in);
  while (!holds((sheaf_slice){all.data + before, all.bytes - before}, "]}")) {
    read_wire(w, w->in.bytes + 1, LONG_MS);
    all = sheaf_buf_slice(&w->in);
  }
}

static void refuse_closes_the_door_for_a_while(void **state) {
  (void)state;
  sheaf_sim *sim = start("refuse", "1500", NULL);
  uint16_t port = sheaf_sim_port(sim);
  wire open, drew;
  dial(&open, sim);
  get_models(&open);
  dial(&drew, sim);
  uint64_t begin = clock_ns();
  ask_fault(&drew, CHAT, "refuse", CHAT_HELLO);
  read_to_end(&drew);
  assert_int_equal(drew.end, WAS_RESET);
  assert_int_equal(drew.in.bytes, 0);
  assert_int_equal(try_dial(sim), -1);
  assert_int_equal(errno, ECONNREFUSED);
  assert_int_equal(code_of(sim, CHAT_HELLO, NULL, LONG_MS), CURLE_COULDNT_CONNECT);
  get_models(&open); /* who is inside stays inside */
  int fd;
  while ((fd = try_dial(sim)) < 0) {
    assert_int_equal(errno, ECONNREFUSED);
    assert_true(clock_ns() - begin < (uint64_t)LONG_MS * 1000000);
    usleep(10000);
  }
  assert_true(clock_ns() - begin >= 1500000000u);
  close(fd);
  assert_int_equal(sheaf_sim_port(sim), port);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  hang_up(&open);
  hang_up(&drew);
  sheaf_sim_stop(sim);
}

static void the_port_stays_ours_while_the_door_is_closed(void **state) {
  (void)state;
  sheaf_sim *sim = start("refuse", "600000", NULL);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(sheaf_sim_port(sim))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(curl_of(sim, "refuse", CHAT_HELLO), CURLE_RECV_ERROR);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (const struct sockaddr *)&to, sizeof to), -1);
  assert_int_equal(errno, EADDRINUSE);
  close(fd);
  sheaf_sim_stop(sim); /* in the window */
}

static void refusing_twice_lasts_until_the_later_end(void **state) {
  (void)state;
  sheaf_sim *sim = start("refuse", "300", NULL);
  wire first, second;
  dial(&first, sim);
  dial(&second, sim);
  get_models(&second);
  ask_fault(&first, CHAT, "refuse", CHAT_HELLO);
  read_to_end(&first);
  uint64_t begin = clock_ns();
  ask_fault(&second, CHAT, "refuse", "{\"model\":\"n\"," HELLO "}");
  read_to_end(&second);
  int fd;
  while ((fd = try_dial(sim)) < 0) usleep(5000);
  assert_true(clock_ns() - begin >= 300000000u);
  close(fd);
  hang_up(&first);
  hang_up(&second);
  sheaf_sim_stop(sim);
}

/* ---- The service ---- */

enum { QUEUED = 10 };

/* Asks one after the other, each when the one before has arrived. */
static void ask_in_order(sheaf_sim *sim, wire *wires, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    char body[96];
    snprintf(body, sizeof body, "{\"model\":\"m%u\"," HELLO "}", i);
    dial(&wires[i], sim);
    ask(&wires[i], CHAT, "", body);
    wait_for(sim, "received", i + 1);
  }
}

static void overload_is_served_in_rounds_in_order_of_arrival(void **state) {
  (void)state;
  sheaf_sim *sim = start("capacity", "2", "latency", "fixed:100", NULL);
  wire wires[QUEUED];
  struct pollfd fds[QUEUED];
  uint64_t begin = clock_ns();
  ask_in_order(sim, wires, QUEUED);
  for (unsigned i = 0; i < QUEUED; i++) fds[i] = (struct pollfd){wires[i].fd, POLLIN, 0};
  for (unsigned left = QUEUED; left > 0;) {
    assert_true(poll(fds, QUEUED, LONG_MS) > 0);
    uint64_t took = clock_ns() - begin;
    bool is_answered[QUEUED];
    for (unsigned i = 0; i < QUEUED; i++) is_answered[i] = fds[i].fd < 0 || fds[i].revents;
    for (unsigned i = 0; i < QUEUED; i++) {
      if (fds[i].fd < 0 || !fds[i].revents) continue;
      /* Two at a time, each 100 ms, and nobody before those who came two places earlier. */
      assert_true(took >= (i / 2 + 1) * 100000000ull);
      if (i >= 2) assert_true(is_answered[i - 2]);
      fds[i].fd = -1;
      left--;
    }
  }
  for (unsigned i = 0; i < QUEUED; i++) {
    read_wire(&wires[i], 1, LONG_MS);
    assert_true(begins_with(&wires[i], "HTTP/1.1 200 OK\r\n"));
    hang_up(&wires[i]);
  }
  assert_int_equal(stat_of(sim, "waiting_max"), QUEUED - 2);
  assert_int_equal(stat_of(sim, "waiting"), 0);
  sheaf_sim_stop(sim);
}

static void a_full_queue_refuses_and_bills_nothing(void **state) {
  (void)state;
  static const struct {
    const char *path, *body, *headers;
    const char *status;
  } refusals[] = {
      {CHAT, CHAT_HELLO, "", "HTTP/1.1 503 "},
      {"/v1/messages", ANTHROPIC_BODY("false"), VERSION "\r\nx-api-key: k\r\n", "HTTP/1.1 529 "},
      {"/v1beta/models/m:generateContent", GEMINI_BODY, "", "HTTP/1.1 503 "},
      {GENERATE, OLLAMA_BODY("false"), "", "HTTP/1.1 503 "},
  };
  sheaf_sim *sim = start("capacity", "1", "queue", "2", "latency", "fixed:3600000", NULL);
  wire waiting[3], late;
  ask_in_order(sim, waiting, 3);
  assert_int_equal(stat_of(sim, "waiting"), 2);
  assert_int_equal(stat_of(sim, "billed.requests"), 3);
  for (unsigned i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    dial(&late, sim);
    ask(&late, refusals[i].path, refusals[i].headers, refusals[i].body);
    read_wire(&late, 1, LONG_MS);
    assert_true(begins_with(&late, refusals[i].status));
    hang_up(&late);
    wait_for(sim, "in_flight", 3);
  }
  assert_int_equal(stat_of(sim, "limited.queue"), 4);
  assert_int_equal(stat_of(sim, "billed.requests"), 3);
  assert_int_equal(status_of(sim, "/v1/models", NULL, NULL), 200); /* no work, no place */
  for (int i = 0; i < 3; i++) hang_up(&waiting[i]);
  sheaf_sim_stop(sim);
}

static void a_client_that_leaves_frees_its_place(void **state) {
  (void)state;
  sheaf_sim *sim = start("capacity", "1", "latency", "fixed:3600000", NULL);
  wire wires[4];
  ask_in_order(sim, wires, 4);
  assert_int_equal(stat_of(sim, "waiting"), 3);
  hang_up(&wires[2]); /* from the queue */
  wait_for(sim, "waiting", 2);
  hang_up(&wires[0]); /* from its place, which the second takes */
  wait_for(sim, "waiting", 1);
  hang_up(&wires[1]);
  wait_for(sim, "waiting", 0);
  assert_int_equal(stat_of(sim, "in_flight"), 1);
  hang_up(&wires[3]);
  wait_for(sim, "in_flight", 0);
  assert_int_equal(stat_of(sim, "clients_left"), 4);
  sheaf_sim_stop(sim);
}

static void broken_and_stalled_answers_hold_their_place_to_their_end(void **state) {
  (void)state;
  sheaf_sim *sim = start("capacity", "1", "latency", "fixed:1", NULL);
  wire stalled, next;
  dial(&stalled, sim);
  ask_fault(&stalled, CHAT, "stall-body", CHAT_HELLO);
  read_wire(&stalled, 1, LONG_MS);
  dial(&next, sim);
  ask_fault(&next, CHAT, "reset-body", "{\"model\":\"n\"," HELLO "}");
  wait_for(sim, "waiting", 1);
  hang_up(&stalled);
  read_to_end(&next);
  assert_int_equal(next.end, WAS_RESET);
  hang_up(&next);
  for (unsigned i = 0; i < 3; i++) assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  sheaf_sim_stop(sim);
}

static void a_stream_holds_its_place_until_its_last_token(void **state) {
  (void)state;
  sheaf_sim *sim = start("capacity", "1", "itl", "fixed:3600000", NULL);
  wire stream, next;
  dial(&stream, sim);
  ask(&stream, GENERATE, "", OLLAMA_BODY("true"));
  read_wire(&stream, 1, LONG_MS);
  dial(&next, sim);
  ask(&next, GENERATE, "", "{\"model\":\"n\",\"prompt\":\"\",\"stream\":false}");
  wait_for(sim, "waiting", 1);
  assert_int_equal(stat_of(sim, "in_flight"), 2);
  hang_up(&next);
  wait_for(sim, "waiting", 0);
  hang_up(&stream);
  sheaf_sim_stop(sim);
}

static void keys_are_counted_apart(void **state) {
  (void)state;
  sheaf_sim *sim = start("concurrency", "1", "latency", "fixed:3600000", NULL);
  wire one, two, again;
  dial(&one, sim);
  ask(&one, CHAT, "authorization: Bearer one\r\n", CHAT_HELLO);
  wait_for(sim, "received", 1);
  dial(&two, sim);
  ask(&two, CHAT, "authorization: Bearer two\r\n", CHAT_HELLO);
  wait_for(sim, "received", 2);
  dial(&again, sim);
  ask(&again, CHAT, "authorization: Bearer one\r\n", CHAT_HELLO);
  read_wire(&again, 1, LONG_MS);
  assert_true(begins_with(&again, "HTTP/1.1 429 "));
  assert_int_equal(stat_of(sim, "limited.concurrency"), 1);
  hang_up(&again);
  hang_up(&one);
  wait_for(sim, "in_flight", 1);
  dial(&one, sim);
  ask(&one, CHAT, "authorization: Bearer one\r\n", CHAT_HELLO);
  wait_for(sim, "in_flight", 2);
  assert_int_equal(stat_of(sim, "limited.concurrency"), 1);
  hang_up(&one);
  hang_up(&two);
  sheaf_sim_stop(sim);
}

/* ---- Browsers ---- */

static void answers_to_pages_may_be_read(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL);
  static const char *const faults[] = {"429", "chunks"};
  reply got;
  fetch(sim, &got, CHAT, CHAT_HELLO, "Origin: http://localhost:8000");
  assert_header(&got, "access-control-allow-origin", "*");
  assert_header(&got, "access-control-expose-headers", "*");
  reply_deinit(&got);
  fetch(sim, &got, "/_sim/stats", NULL, "Origin: null");
  assert_header(&got, "access-control-allow-origin", "*");
  reply_deinit(&got);
  for (int i = 0; i < 2; i++) {
    char header[64];
    snprintf(header, sizeof header, "x-sheaf-fault: %s", faults[i]);
    fetch_for(sim, &got, CHAT, CHAT_HELLO, "Origin: http://localhost:8000", header, LONG_MS);
    assert_header(&got, "access-control-allow-origin", "*");
    reply_deinit(&got);
  }
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_null(header_of(&got, "access-control-allow-origin"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_preflight_is_allowed_what_it_asks_for(void **state) {
  (void)state;
  sheaf_sim *sim = start("key", "secret", NULL);
  wire w;
  dial(&w, sim);
  say(&w,
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\norigin: http://localhost\r\n"
      "access-control-request-method: POST\r\n"
      "access-control-request-headers: authorization, content-type, x-stainless-os\r\n\r\n");
  read_wire(&w, 1, LONG_MS);
  assert_true(begins_with(&w, "HTTP/1.1 204 "));
  sheaf_slice head = sheaf_buf_slice(&w.in);
  assert_true(holds(head, "access-control-allow-origin: *\r\n"));
  assert_true(holds(head, "access-control-allow-methods: GET, POST, DELETE, OPTIONS\r\n"));
  assert_true(
      holds(head, "access-control-allow-headers: authorization, content-type, x-stainless-os"));
  assert_int_equal(stat_of(sim, "received"), 0);
  hang_up(&w);
  sheaf_sim_stop(sim);
}

/* ---- The simulator's own pages ---- */

static void the_ledger_takes_numbers_only(void **state) {
  (void)state;
  static const char *const bad[] = {"/_sim/ledger?after=x", "/_sim/ledger?limit=-1",
                                    "/_sim/ledger?after=", "/_sim/ledger?after",
                                    "/_sim/ledger?limit=99999999999999999999"};
  sheaf_sim *sim = start(NULL);
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(status_of(sim, bad[i], NULL, NULL), 400);
  assert_int_equal(status_of(sim, "/_sim/ledger", NULL, NULL), 200);
  assert_int_equal(status_of(sim, "/_sim/ledger?after=0&limit=1", NULL, NULL), 200);
  sheaf_sim_stop(sim);
}

static void a_client_that_waits_in_vain_leaves_a_mark(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:3600000", NULL);
  wire w;
  dial(&w, sim);
  ask(&w, CHAT, "", CHAT_HELLO);
  wait_for(sim, "in_flight", 1);
  hang_up(&w);
  wait_for(sim, "in_flight", 0); /* long before its answer would have been due */
  assert_int_equal(stat_of(sim, "clients_left"), 1);
  sheaf_sim_stop(sim);
}

/* ---- Many ---- */

static void a_thousand_idle_connections_are_in_nobodys_way(void **state) {
  (void)state;
  enum { IDLE = 1000 };
  static int idle[IDLE];
  sheaf_sim_raise_descriptors();
  sheaf_sim *sim = start(NULL);
  for (int i = 0; i < IDLE; i++) {
    idle[i] = try_dial(sim);
    assert_true(idle[i] >= 0);
  }
  for (int i = 0; i < 20; i++) assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  for (int i = 0; i < IDLE; i++) close(idle[i]);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  sheaf_sim_stop(sim);
}

/* Half of the connections find no descriptor on the simulator's side until the others are gone. */
static void without_descriptors_connections_wait_and_are_served_later(void **state) {
  (void)state;
  enum { ALL = 40, FREE = 20 };
  wire wires[ALL];
  struct rlimit before, few;
  sheaf_sim *sim = start(NULL);
  for (int i = 0; i < ALL; i++) {
    wires[i] = (wire){.fd = fresh_socket()};
    sheaf_buf_init(&wires[i].in, &allocator, 1u << 20);
  }
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  few = before;
  few.rlim_cur = (rlim_t)wires[ALL - 1].fd + FREE;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int i = 0; i < ALL; i++) {
    assert_int_equal(connect_to(wires[i].fd, sim), 0);
    ask(&wires[i], CHAT, "", CHAT_HELLO);
  }
  for (int i = 0; i < ALL; i++) {
    read_wire(&wires[i], 1, LONG_MS); /* the later ones get theirs as the earlier ones leave */
    assert_true(begins_with(&wires[i], "HTTP/1.1 200 OK\r\n"));
    hang_up(&wires[i]);
  }
  assert_int_equal(stat_of(sim, "received"), ALL);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  sheaf_sim_stop(sim);
}

static void requests_in_a_row_are_answered_in_order(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:1", NULL);
  wire w;
  dial(&w, sim);
  for (unsigned i = 0; i < 3; i++) {
    char body[64];
    snprintf(body, sizeof body, "{\"model\":\"m%u\"," HELLO "}", i);
    ask(&w, CHAT, "", body);
  }
  while (!holds(sheaf_buf_slice(&w.in), "\"model\":\"m2\"")) {
    size_t before = w.in.bytes;
    read_wire(&w, before + 1, LONG_MS);
    assert_true(w.in.bytes > before);
  }
  const char *at = w.in.data, *end = at + w.in.bytes;
  for (unsigned i = 0; i < 3; i++) {
    char mark[32];
    snprintf(mark, sizeof mark, "\"model\":\"m%u\"", i);
    at = memmem(at, (size_t)(end - at), mark, strlen(mark));
    assert_non_null(at); /* after the one before */
  }
  hang_up(&w);
  sheaf_sim_stop(sim);
}

/* ---- Stops ---- */

static void nothing(wire *w) {
  (void)w;
}
static void half_a_head(wire *w) {
  say(w, "POST /v1/chat/completions HTTP/1.1\r\nhost:");
}
static void half_a_body(wire *w) {
  say(w, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"mo");
}
static void an_answer_to_come(wire *w) {
  ask(w, CHAT, "", CHAT_HELLO);
}
static void a_stream_to_come(wire *w) {
  ask(w, GENERATE, "", OLLAMA_BODY("true"));
}
static void a_stall(wire *w) {
  ask_fault(w, CHAT, "stall:2", CHAT_HELLO);
}
static void a_stalled_body(wire *w) {
  ask_fault(w, CHAT, "stall-body:2", CHAT_HELLO);
}
static void a_stalled_stream(wire *w) {
  ask_fault(w, GENERATE, "stall-body:2", OLLAMA_BODY("true"));
}
static void a_drip(wire *w) {
  ask_fault(w, CHAT, "drip:2", CHAT_HELLO);
}
static void a_refusal(wire *w) {
  ask_fault(w, CHAT, "refuse", CHAT_HELLO);
}
static void a_giant(wire *w) {
  ask_fault(w, CHAT, "giant:2", CHAT_HELLO);
}
static void a_giant_stream(wire *w) {
  ask_fault(w, GENERATE, "giant:2", OLLAMA_BODY("true"));
}

static void a_stop_ends_every_connection_in_every_state(void **state) {
  (void)state;
  static const struct {
    void (*act)(wire *w);
    const char *latency, *itl;
    int64_t in_flight;
  } cases[] = {
      {nothing, "0", "0", 0},
      {half_a_head, "0", "0", 0},
      {half_a_body, "0", "0", 0},
      {an_answer_to_come, "fixed:3600000", "0", 2},
      {a_stream_to_come, "fixed:3600000", "0", 2},
      {a_stream_to_come, "0", "fixed:3600000", 2},
      {a_stall, "0", "0", 2},
      {a_stalled_body, "0", "0", 2},
      {a_stalled_stream, "0", "0", 2},
      {a_drip, "0", "0", 2},
      {a_refusal, "0", "0", 0},
      {a_giant, "0", "0", 2},
      {a_giant_stream, "0", "0", 2},
  };
  for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
    const char *capacity = i % 2 ? "1" : "0"; /* with a place, and in the queue before it */
    sheaf_sim *sim =
        start("latency", cases[i / 2].latency, "itl", cases[i / 2].itl, "drip", "3600000", "refuse",
              "3600000", "capacity", capacity, "giant-bytes", "33554432", NULL);
    wire one, two;
    dial(&one, sim);
    dial(&two, sim);
    get_models(&two);
    cases[i / 2].act(&one);
    if (cases[i / 2].act != a_refusal) cases[i / 2].act(&two);
    wait_for(sim, "in_flight", cases[i / 2].in_flight);
    if (cases[i / 2].act == a_refusal) read_to_end(&one);
    sheaf_sim_stop(sim);
    read_to_end(&two);
    hang_up(&one);
    hang_up(&two);
  }
}

static void the_port_is_free_after_a_stop(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL);
  char port[16];
  snprintf(port, sizeof port, "%u", (unsigned)sheaf_sim_port(sim));
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  sheaf_sim_stop(sim);
  sim = start("port", port, NULL);
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sheaf_sim *second = NULL;
  char message[160];
  options.port = sheaf_sim_port(sim);
  assert_int_equal(sheaf_sim_start(&options, &second, message, sizeof message), SHEAF_E_IO);
  assert_non_null(strstr(message, "in use"));
  sheaf_sim_stop(sim);
}

/* ---- The front: nghttpx, of the package nghttp2-proxy ---- */

typedef struct road {
  const char *https, *http2;
  long asked, used; /* CURL_HTTP_VERSION_ */
} road;

static const road roads[] = {
    {"on", "off", CURL_HTTP_VERSION_2TLS, CURL_HTTP_VERSION_1_1},
    {"on", "on", CURL_HTTP_VERSION_2TLS, CURL_HTTP_VERSION_2_0},
    {"on", "on", CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_1_1},
    {"off", "on", CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, CURL_HTTP_VERSION_2_0},
    {"off", "on", CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_1_1},
};

enum { ROADS = sizeof roads / sizeof *roads };

static CURLcode fetch_over(const sheaf_sim *sim, const road *by, reply *got, const char *host,
                           const char *fault) {
  char url[128], header[64];
  const char *certificate = sheaf_sim_certificate(sim);
  snprintf(url, sizeof url, "http%s://%s:%u" CHAT, certificate ? "s" : "", host,
           (unsigned)sheaf_sim_port(sim));
  snprintf(header, sizeof header, "x-sheaf-fault: %s", fault ? fault : "");
  struct curl_slist *headers = fault ? curl_slist_append(NULL, header) : NULL;
  char body[96];
  snprintf(body, sizeof body, "{\"model\":\"%s\"," HELLO "}", fault ? fault : "m");
  reply_init(got);
  CURL *easy = make(sim, got, CHAT, body, headers, LONG_MS);
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, by->asked);
  if (certificate) curl_easy_setopt(easy, CURLOPT_CAINFO, certificate);
  got->code = curl_easy_perform(easy);
  finish(easy, got);
  long used = 0;
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &used);
  if (got->code == CURLE_OK) assert_int_equal(used, by->used);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  return got->code;
}

static void the_front_speaks_tls_and_http2_as_told(void **state) {
  (void)state;
  for (int i = 0; i < ROADS; i++) {
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    sheaf_sim *sim = start("https", roads[i].https, "http2", roads[i].http2, NULL);
    bool is_https = strcmp(roads[i].https, "on") == 0;
    assert_true((sheaf_sim_certificate(sim) != NULL) == is_https);
    assert_int_equal(strncmp(sheaf_sim_url(sim), "https:", 6) == 0, is_https);
    for (int k = 0; k < 2; k++) {
      reply got;
      assert_int_equal(fetch_over(sim, &roads[i], &got, hosts[k], NULL), CURLE_OK);
      assert_int_equal(got.status, 200);
      assert_string_equal(pick(&got, "choices[0].message.content"), "echo: hello");
      reply_deinit(&got);
    }
    assert_int_equal(stat_of(sim, "received"), 2);
    sheaf_sim_stop(sim);
  }
}

static void the_front_stands_at_the_host_it_is_told(void **state) {
  (void)state;
  static const char *const hosts[][2] = {{"127.0.0.2", "127.0.0.2"}, {"::1", "[::1]"}};
  for (int i = 0; i < 2; i++) {
    int fd = socket(i ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is_there = i == 0 || bind(fd, (const struct sockaddr *)&v6, sizeof v6) == 0;
    close(fd);
    if (!is_there) continue; /* a machine without IPv6 */
    sheaf_sim *sim = start("https", "on", "http2", "on", "host", hosts[i][0], NULL);
    char url[64];
    snprintf(url, sizeof url, "https://%s:%u", hosts[i][1], (unsigned)sheaf_sim_port(sim));
    assert_string_equal(sheaf_sim_url(sim), url);
    reply got;
    assert_int_equal(fetch_over(sim, &roads[1], &got, hosts[i][1], NULL), CURLE_OK);
    assert_int_equal(got.status, 200);
    reply_deinit(&got);
    sheaf_sim_stop(sim);
  }
}

static void an_unknown_certificate_is_not_trusted(void **state) {
  (void)state;
  sheaf_sim *sim = start("https", "on", NULL);
  reply got;
  fetch_for(sim, &got, CHAT, CHAT_HELLO, NULL, NULL, LONG_MS);
  assert_int_equal(got.code, CURLE_PEER_FAILED_VERIFICATION);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* What breaks before the answer becomes the proxy's 502, what breaks within it a broken answer; and
 * the proxy asks once only. */
static void behind_the_front_a_fault_arrives_once_and_translated(void **state) {
  (void)state;
  static const struct {
    const char *name;
    long status; /* 0: the answer is broken */
  } faults[] = {{"429", 429},          {"reset", 502},  {"reset-head", 502}, {"reset-body", 0},
                {"truncate", 0},       {"cut", 0},      {"drip", 200},       {"length", 200},
                {"garbage-head", 502}, {"chunks", 200}, {"chunks-bad", 0}};
  enum { FAULTS = sizeof faults / sizeof *faults };
  for (int i = 0; i < ROADS; i++) {
    sheaf_sim *sim = start("https", roads[i].https, "http2", roads[i].http2, "drip", "1", NULL);
    for (unsigned k = 0; k < FAULTS; k++) {
      reply got;
      CURLcode code = fetch_over(sim, &roads[i], &got, "127.0.0.1", faults[k].name);
      if (faults[k].status)
        assert_int_equal(got.status, faults[k].status);
      else
        assert_int_not_equal(code, CURLE_OK);
      reply_deinit(&got);
      assert_int_equal(stat_of(sim, "received"), k + 1);
    }
    sheaf_sim_stop(sim);
  }
}

static void refuse_behind_the_front_is_a_502_until_it_is_over(void **state) {
  (void)state;
  sheaf_sim *sim = start("http2", "on", "refuse", "300", NULL);
  const road *by = &roads[4];
  reply got;
  fetch_over(sim, by, &got, "127.0.0.1", "refuse");
  assert_int_equal(got.status, 502);
  reply_deinit(&got);
  for (long status = 0, i = 0; status != 200; i++) {
    assert_in_range(i, 0, 10000);
    fetch_over(sim, by, &got, "127.0.0.1", NULL);
    status = got.status;
    if (status != 200) assert_int_equal(status, 502);
    reply_deinit(&got);
    usleep(5000);
  }
  sheaf_sim_stop(sim);
}

/* Whether somebody listens there. */
static bool is_open(uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool is_connected = connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
  close(fd);
  return is_connected;
}

static void the_front_and_its_files_go_with_the_simulator(void **state) {
  (void)state;
  sheaf_sim *sim = start("https", "on", NULL);
  uint16_t port = sheaf_sim_port(sim);
  char certificate[256];
  copy_text(certificate, sizeof certificate, sheaf_sim_certificate(sim));
  assert_int_equal(access(certificate, R_OK), 0);
  assert_true(is_open(port));
  sheaf_sim_stop(sim);
  assert_false(is_open(port));
  assert_int_equal(access(certificate, R_OK), -1);
}

static void be_a_simulator(int port_to) {
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sheaf_sim *sim;
  options.is_http2 = true;
  if (sheaf_sim_start(&options, &sim, NULL, 0) != SHEAF_OK) _exit(1);
  uint16_t port = sheaf_sim_port(sim);
  if (write(port_to, &port, sizeof port) != sizeof port) _exit(1);
  for (;;) pause();
}

static void the_front_dies_with_a_simulator_that_is_killed(void **state) {
  (void)state;
  int port_pipe[2];
  uint16_t port = 0;
  assert_int_equal(pipe(port_pipe), 0);
  pid_t child = fork();
  if (child == 0) be_a_simulator(port_pipe[1]);
  assert_true(child > 0);
  assert_int_equal(read(port_pipe[0], &port, sizeof port), sizeof port);
  assert_true(is_open(port));
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
  for (int i = 0; is_open(port); i++) {
    assert_in_range(i, 0, 10000);
    usleep(5000);
  }
  close(port_pipe[0]);
  close(port_pipe[1]);
}

static void a_front_that_cannot_be_bound_is_an_error(void **state) {
  (void)state;
  sheaf_sim *first = start(NULL);
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sheaf_sim *second = NULL;
  char message[160];
  options.port = sheaf_sim_port(first);
  options.is_https = true;
  assert_int_equal(sheaf_sim_start(&options, &second, message, sizeof message), SHEAF_E_IO);
  assert_non_null(strstr(message, "in use"));
  sheaf_sim_stop(first);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reset_sends_no_byte_and_a_reset),
      cmocka_unit_test(stall_sends_nothing_until_the_client_leaves),
      cmocka_unit_test(reset_head_ends_within_the_head),
      cmocka_unit_test(reset_body_ends_within_the_body),
      cmocka_unit_test(stall_body_stands_still_within_the_body),
      cmocka_unit_test(truncate_and_cut_end_a_body_at_its_half),
      cmocka_unit_test(a_cut_stream_ends_without_its_last_chunk_and_a_truncated_one_with_it),
      cmocka_unit_test(drip_sends_the_answer_a_few_bytes_at_a_time),
      cmocka_unit_test(drip_obeys_the_time_scale),
      cmocka_unit_test(length_announces_half_of_the_body),
      cmocka_unit_test(garbage_head_is_no_http),
      cmocka_unit_test(chunks_are_odd_and_legal),
      cmocka_unit_test(chunks_bad_has_a_size_that_is_none),
      cmocka_unit_test(refuse_closes_the_door_for_a_while),
      cmocka_unit_test(the_port_stays_ours_while_the_door_is_closed),
      cmocka_unit_test(refusing_twice_lasts_until_the_later_end),
      cmocka_unit_test(overload_is_served_in_rounds_in_order_of_arrival),
      cmocka_unit_test(a_full_queue_refuses_and_bills_nothing),
      cmocka_unit_test(a_client_that_leaves_frees_its_place),
      cmocka_unit_test(broken_and_stalled_answers_hold_their_place_to_their_end),
      cmocka_unit_test(a_stream_holds_its_place_until_its_last_token),
      cmocka_unit_test(keys_are_counted_apart),
      cmocka_unit_test(answers_to_pages_may_be_read),
      cmocka_unit_test(a_preflight_is_allowed_what_it_asks_for),
      cmocka_unit_test(the_ledger_takes_numbers_only),
      cmocka_unit_test(a_client_that_waits_in_vain_leaves_a_mark),
      cmocka_unit_test(a_thousand_idle_connections_are_in_nobodys_way),
      cmocka_unit_test(without_descriptors_connections_wait_and_are_served_later),
      cmocka_unit_test(requests_in_a_row_are_answered_in_order),
      cmocka_unit_test(a_stop_ends_every_connection_in_every_state),
      cmocka_unit_test(the_port_is_free_after_a_stop),
      cmocka_unit_test(the_front_speaks_tls_and_http2_as_told),
      cmocka_unit_test(the_front_stands_at_the_host_it_is_told),
      cmocka_unit_test(an_unknown_certificate_is_not_trusted),
      cmocka_unit_test(behind_the_front_a_fault_arrives_once_and_translated),
      cmocka_unit_test(refuse_behind_the_front_is_a_502_until_it_is_over),
      cmocka_unit_test(the_front_and_its_files_go_with_the_simulator),
      cmocka_unit_test(the_front_dies_with_a_simulator_that_is_killed),
      cmocka_unit_test(a_front_that_cannot_be_bound_is_an_error),
  };
  RUN_SUITE(tests);
}
