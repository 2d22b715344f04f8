/* sim_server.c: sockets and time.
 *
 * One thread does everything. libmicrohttpd is run from outside ("external" epoll), so a timer and
 * a socket never meet in two threads:
 *
 *   fire due timers -> MHD_run -> ppoll on {its epoll, watched sockets, wake-up} until a timer
 *
 * A request that has to wait is suspended and put into a heap by (due, sequence). libmicrohttpd
 * does not look at a suspended connection, so the socket of a stalled request is watched here: that
 * the client leaves is the only thing that ends it.
 *
 *   RECEIVING -> (plan) -> WAITING -> READY -> SENDING <-> PAUSED   a stream, between tokens
 *                       -> STALLED -> ABORTED                       the client left, or a stop */
#define _GNU_SOURCE
#include "sim_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 65536u
#define SPARE_MAX 1024u            /* request objects kept for reuse */
#define POOL_BYTES ((size_t)32768) /* libmicrohttpd's memory per connection */
#define BLOCK_BYTES ((size_t)4096) /* a stream is read in blocks of this size */

enum { RECEIVING, WAITING, READY, SENDING, PAUSED, STALLED, ABORTED };

typedef struct sim_request {
  sim_call call;
  sheaf_sim *sim;
  struct MHD_Connection *connection;
  struct sim_request *spare_next;
  uint64_t due_ns;
  uint64_t sequence;
  size_t heap_at;
  size_t sent;      /* of call.out */
  uint64_t next_ns; /* of a stream: when the next token is due */
  uint32_t state;
  bool is_counted; /* as in flight */
  bool is_watched;
  bool is_over; /* of a stream: all is in call.out */
} sim_request;

struct sheaf_sim {
  sheaf_sim_options options;
  char host[64];
  char *key;
  char url[96];
  uint16_t port;
  sim_ledger *ledger;
  sim_limiter *limiter;
  struct MHD_Daemon *daemon;
  int epoll_fd; /* libmicrohttpd's */
  int watch_fd;
  int wake_fd;
  pthread_t thread;
  bool has_thread;
  atomic_bool is_stopping;
  sim_request **heap;
  size_t heap_count;
  size_t heap_room;
  uint64_t sequence;
  sim_request *spare;
  uint32_t spare_count;
};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SIM_SECOND + (uint64_t)now.tv_nsec;
}

static int socket_of(const sim_request *request) {
  return MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
      ->connect_fd;
}

/* ---- The heap of suspended requests ---- */

static bool is_before(const sim_request *a, const sim_request *b) {
  return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->sequence < b->sequence;
}

static void put(sheaf_sim *sim, size_t at, sim_request *request) {
  sim->heap[at] = request;
  request->heap_at = at;
}

static void sift_up(sheaf_sim *sim, size_t at, sim_request *request) {
  while (at > 0 && is_before(request, sim->heap[(at - 1) / 2])) {
    put(sim, at, sim->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  put(sim, at, request);
}

static void sift_down(sheaf_sim *sim, size_t at, sim_request *request) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= sim->heap_count) break;
    if (child + 1 < sim->heap_count && is_before(sim->heap[child + 1], sim->heap[child])) child++;
    if (!is_before(sim->heap[child], request)) break;
    put(sim, at, sim->heap[child]);
    at = child;
  }
  put(sim, at, request);
}

static void heap_remove(sheaf_sim *sim, sim_request *gone) {
  size_t at = gone->heap_at;
  sim_request *last = sim->heap[--sim->heap_count];
  if (last == gone) return;
  if (at > 0 && is_before(last, sim->heap[(at - 1) / 2]))
    sift_up(sim, at, last);
  else
    sift_down(sim, at, last);
}

/* Suspends until due_ns. Without memory it does not wait at all: false. */
static bool suspend(sheaf_sim *sim, sim_request *request, uint64_t due_ns, uint32_t state) {
  if (sim->heap_count == sim->heap_room) {
    size_t room = sim->heap_room ? sim->heap_room * 2 : 256;
    void *heap = realloc(sim->heap, room * sizeof(void *));
    if (!heap) return false;
    sim->heap = heap;
    sim->heap_room = room;
  }
  request->due_ns = due_ns;
  request->sequence = sim->sequence++;
  request->state = state;
  sift_up(sim, sim->heap_count++, request);
  MHD_suspend_connection(request->connection);
  return true;
}

static void resume(sheaf_sim *sim, sim_request *request, bool is_aborted) {
  heap_remove(sim, request);
  if (is_aborted)
    request->state = ABORTED;
  else
    request->state = request->state == PAUSED ? SENDING : READY;
  if (request->is_watched) {
    epoll_ctl(sim->watch_fd, EPOLL_CTL_DEL, socket_of(request), NULL);
    request->is_watched = false;
  }
  MHD_resume_connection(request->connection);
}

/* ---- Requests ---- */

static sim_request *take_request(sheaf_sim *sim) {
  sim_request *taken = sim->spare;
  if (taken) {
    sim->spare = taken->spare_next;
    sim->spare_count--;
  } else {
    taken = calloc(1, sizeof *taken);
    if (!taken) return NULL;
    sheaf__sim_call_init(&taken->call);
    taken->sim = sim;
  }
  return taken;
}

static void free_request(sim_request *request) {
  sheaf__sim_call_deinit(&request->call);
  free(request);
}

static void give_request(sheaf_sim *sim, sim_request *given) {
  if (sim->spare_count == SPARE_MAX) {
    free_request(given);
    return;
  }
  sheaf__sim_call_reset(&given->call);
  given->connection = NULL;
  given->sent = 0;
  given->next_ns = 0;
  given->state = RECEIVING;
  given->is_counted = given->is_watched = given->is_over = false;
  given->spare_next = sim->spare;
  sim->spare = given;
  sim->spare_count++;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode why) {
  sheaf_sim *sim = ctx;
  sim_request *done = *slot;
  (void)connection;
  if (!done) return;
  *slot = NULL;
  bool was_broken = done->call.fault == SHEAF_SIM_FAULT_RESET ||
                    done->call.fault == SHEAF_SIM_FAULT_TRUNCATE ||
                    done->call.fault == SHEAF_SIM_FAULT_CUT;
  if (done->is_counted) {
    sheaf__sim_ledger_end(sim->ledger);
    if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK && !was_broken &&
        !atomic_load(&sim->is_stopping))
      sheaf__sim_ledger_left(sim->ledger);
  }
  give_request(sim, done);
}

/* ---- Answers ---- */

static ssize_t copy_out(sim_request *request, char *to, size_t room, size_t end) {
  size_t bytes = end - request->sent;
  if (bytes > room) bytes = room;
  memcpy(to, request->call.out.data + request->sent, bytes);
  request->sent += bytes;
  return (ssize_t)bytes;
}

/* Ends the connection in the middle. libmicrohttpd 0.9.75 forgets a connection whose reader fails
 * until its socket stirs again (the chunked case leaves handle_idle without cleaning up), so the
 * socket is shut down here. */
static ssize_t break_off(const sim_request *request) {
  shutdown(socket_of(request), SHUT_RDWR);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Half of the body that was announced, then the close. */
static ssize_t read_half(void *ctx, uint64_t at, char *to, size_t room) {
  sim_request *request = ctx;
  (void)at;
  size_t end = request->call.out.bytes / 2;
  if (request->sent == end) return break_off(request);
  return copy_out(request, to, room, end);
}

/* The due time of a token counts from the one before, not from when that was sent: lateness does
 * not add up. */
static ssize_t read_stream(void *ctx, uint64_t at, char *to, size_t room) {
  sim_request *request = ctx;
  sim_call *call = &request->call;
  size_t filled = 0;
  (void)at;
  if (request->state == ABORTED || atomic_load(&request->sim->is_stopping))
    return break_off(request);
  for (;;) {
    if (request->sent < call->out.bytes)
      filled += (size_t)copy_out(request, to + filled, room - filled, call->out.bytes);
    if (filled == room) return (ssize_t)filled;
    if (call->out.status != SHEAF_OK) return break_off(request);
    if (request->is_over) break;
    if (call->itl_ns && call->is_open && request->next_ns > now_ns()) {
      if (filled) return (ssize_t)filled;
      if (suspend(request->sim, request, request->next_ns, PAUSED)) return 0;
    }
    sheaf_buf_reset(&call->out);
    request->sent = 0;
    request->is_over = !sheaf__sim_stream_step(call);
    request->next_ns += call->itl_ns;
  }
  if (filled) return (ssize_t)filled;
  return call->fault == SHEAF_SIM_FAULT_CUT ? break_off(request) : MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *make_response(sim_request *request) {
  sim_call *call = &request->call;
  if (call->is_stream) {
    request->next_ns = now_ns();
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, request,
                                             NULL);
  }
  if (call->out.status != SHEAF_OK) return NULL;
  if (call->fault == SHEAF_SIM_FAULT_TRUNCATE || call->fault == SHEAF_SIM_FAULT_CUT)
    return MHD_create_response_from_callback(call->out.bytes, BLOCK_BYTES, read_half, request,
                                             NULL);
  return MHD_create_response_from_buffer(call->out.bytes, call->out.data, MHD_RESPMEM_PERSISTENT);
}

/* The body stays in the request, which lives until on_completed. */
static enum MHD_Result respond(sim_request *request) {
  sim_call *call = &request->call;
  struct MHD_Response *response = make_response(request);
  if (!response) return MHD_NO;
  request->state = SENDING;
  for (uint32_t i = 0; i < call->header_count; i++)
    MHD_add_response_header(response, call->headers[i].name, call->headers[i].value);
  enum MHD_Result queued = MHD_queue_response(request->connection, call->status, response);
  MHD_destroy_response(response);
  return queued;
}

/* Closing with linger 0 makes the kernel send RST. */
static enum MHD_Result reset_connection(sim_request *request) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_of(request), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  return MHD_NO;
}

static enum MHD_Result stall(sheaf_sim *sim, sim_request *request) {
  int fd = socket_of(request);
  struct epoll_event event = {.events = EPOLLRDHUP | EPOLLHUP | EPOLLERR, .data.ptr = request};
  if (!suspend(sim, request, UINT64_MAX, STALLED)) return MHD_NO;
  request->is_watched = epoll_ctl(sim->watch_fd, EPOLL_CTL_ADD, fd, &event) == 0;
  return MHD_YES;
}

static const char *header_of(sim_request *request, const char *name) {
  return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static const char *key_of(sim_request *request) {
  const char *key = header_of(request, "authorization");
  if (key && strncasecmp(key, "bearer ", 7) == 0) return key + 7;
  if (!key) key = header_of(request, "x-api-key");
  if (!key) key = header_of(request, "x-goog-api-key");
  if (!key) key = header_of(request, "api-key");
  if (!key) key = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "key");
  return key;
}

static enum MHD_Result answer_stats(sheaf_sim *sim, sim_request *request) {
  sheaf__sim_ledger_write(sim->ledger, sim->options.seed, &request->call.out);
  request->call.status = 200;
  sheaf__sim_header(&request->call, "content-type", "application/json");
  return respond(request);
}

static enum MHD_Result start_answer(sheaf_sim *sim, sim_request *request, const char *method,
                                    const char *path) {
  sim_call *call = &request->call;
  call->method = method;
  call->path = path;
  call->route = sheaf__sim_route_find(method, path, &call->model, &call->allow);
  if (call->route && call->route->task == SIM_STATS) return answer_stats(sim, request);
  call->provider = call->route ? call->route->provider : sheaf__sim_provider_guess(path);
  call->version = header_of(request, "anthropic-version");
  if (call->route && call->route->task == SIM_MODELS && call->version)
    call->provider = &sheaf__sim_anthropic; /* both say /v1/models */
  call->given_key = key_of(request);
  call->asked_fault = header_of(request, "x-sheaf-fault");
  const char *alt = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "alt");
  call->is_sse = alt && strcmp(alt, "sse") == 0;
  call->in_flight = sheaf__sim_ledger_begin(sim->ledger);
  request->is_counted = true;

  const sim_plan_context context = {&sim->options, sim->ledger, sim->limiter};
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  uint64_t now = now_ns();
  sheaf__sim_plan(&context, call, now, (int64_t)wall.tv_sec);
  if (call->fault == SHEAF_SIM_FAULT_RESET) return reset_connection(request);
  if (call->fault == SHEAF_SIM_FAULT_STALL) return stall(sim, request);
  if (call->delay_ns && suspend(sim, request, now + call->delay_ns, WAITING)) return MHD_YES;
  return respond(request);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *bytes, void **slot) {
  sheaf_sim *sim = ctx;
  sim_request *request = *slot;
  (void)version;
  if (!request) {
    request = take_request(sim);
    if (!request) return MHD_NO;
    request->connection = connection;
    *slot = request;
    return MHD_YES;
  }
  if (*bytes) {
    if (sheaf_buf_append(&request->call.body, data, *bytes) != SHEAF_OK)
      request->call.is_too_large = true;
    *bytes = 0;
    return MHD_YES;
  }
  if (atomic_load(&sim->is_stopping)) return MHD_NO; /* else stopping would suspend anew */
  if (request->state == RECEIVING) return start_answer(sim, request, method, url);
  if (request->state == READY) return respond(request);
  return MHD_NO;
}

/* ---- The loop ---- */

static void fire_timers(sheaf_sim *sim) {
  if (!sim->heap_count) return;
  uint64_t now = now_ns();
  while (sim->heap_count && sim->heap[0]->due_ns <= now) resume(sim, sim->heap[0], false);
}

static void drop_watched(sheaf_sim *sim) {
  struct epoll_event events[64];
  int count = epoll_wait(sim->watch_fd, events, 64, 0);
  for (int i = 0; i < count; i++) resume(sim, events[i].data.ptr, true);
}

static void wait_for_work(sheaf_sim *sim) {
  struct pollfd fds[] = {{.fd = sim->epoll_fd, .events = POLLIN},
                         {.fd = sim->wake_fd, .events = POLLIN},
                         {.fd = sim->watch_fd, .events = POLLIN}};
  uint64_t wait_ns = UINT64_MAX;
  MHD_UNSIGNED_LONG_LONG wanted_ms;
  if (MHD_get_timeout(sim->daemon, &wanted_ms) == MHD_YES) wait_ns = wanted_ms * SIM_MS;
  if (sim->heap_count && sim->heap[0]->due_ns != UINT64_MAX) {
    uint64_t now = now_ns(), due = sim->heap[0]->due_ns;
    uint64_t left = due > now ? due - now : 0;
    if (left < wait_ns) wait_ns = left;
  }
  struct timespec wait = {.tv_sec = (time_t)(wait_ns / SIM_SECOND),
                          .tv_nsec = (long)(wait_ns % SIM_SECOND)};
  int ready = ppoll(fds, 3, wait_ns == UINT64_MAX ? NULL : &wait, NULL);
  if (ready > 0 && fds[2].revents) drop_watched(sim);
}

static void *run(void *ctx) {
  sheaf_sim *sim = ctx;
  while (!atomic_load(&sim->is_stopping)) {
    fire_timers(sim);
    MHD_run(sim->daemon);
    wait_for_work(sim);
  }
  /* libmicrohttpd must not be stopped while a connection is suspended; from here on none will be.
   * */
  while (sim->heap_count) resume(sim, sim->heap[0], true);
  MHD_run(sim->daemon);
  MHD_stop_daemon(sim->daemon);
  sim->daemon = NULL;
  return NULL;
}

/* ---- Start and stop ---- */

static int32_t fail(char *message, size_t bytes, int32_t status, const char *what,
                    const char *why) {
  if (message && bytes) snprintf(message, bytes, "%s%s", what, why);
  return status;
}

static int32_t copy_options(sheaf_sim *sim, const sheaf_sim_options *given, char *message,
                            size_t bytes) {
  sim->options = SHEAF_SIM_OPTIONS_INIT;
  if (given) {
    size_t known =
        given->struct_bytes < sizeof sim->options ? given->struct_bytes : sizeof sim->options;
    if (known < sizeof given->struct_bytes)
      return fail(message, bytes, SHEAF_E_MISUSE, "options: begin with SHEAF_SIM_OPTIONS_INIT", "");
    memcpy(&sim->options, given, known);
  }
  const sheaf_sim_options *options = &sim->options;
  uint64_t faults = 0;
  for (uint32_t i = 0; i < SHEAF_SIM_FAULT_ROOM; i++) faults += options->fault_ppm[i];
  if (faults > 1000000)
    return fail(message, bytes, SHEAF_E_RANGE, "fault: the shares of all kinds exceed 1.", "");
  if (options->port > 65535 || options->time_scale_milli > 1000000 ||
      options->answer_words > SIM_WORDS_MAX ||
      options->latency_kind > SHEAF_SIM_LATENCY_LOGNORMAL || options->latency_sigma_milli > 5000 ||
      options->answer_sigma_milli > 5000 || options->answer_kind > SHEAF_SIM_ANSWER_LOREM ||
      options->dimensions > SIM_DIMENSIONS_MAX)
    return fail(message, bytes, SHEAF_E_RANGE, "options: a value is outside its range.", "");
  const char *host = options->host ? options->host : "127.0.0.1";
  if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
  snprintf(sim->host, sizeof sim->host, "%s", host);
  sim->options.host = sim->host;
  if (options->key) {
    sim->key = strdup(options->key);
    if (!sim->key) return SHEAF_E_NOMEM;
    sim->options.key = sim->key;
  }
  return SHEAF_OK;
}

static int32_t listen_at(sheaf_sim *sim, char *message, size_t bytes) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sim->options.port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                            .sin6_port = htons((uint16_t)sim->options.port)};
  unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME;
  const void *address = &v4;
  bool is_v6 = inet_pton(AF_INET6, sim->host, &v6.sin6_addr) == 1;
  if (is_v6) {
    address = &v6;
    flags |= MHD_USE_IPv6;
  } else if (inet_pton(AF_INET, sim->host, &v4.sin_addr) != 1) {
    return fail(message, bytes, SHEAF_E_FIELD, "host: give a numeric address, not ", sim->host);
  }
  errno = 0;
  sim->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, sim, MHD_OPTION_SOCK_ADDR,
                                 address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES,
                                 MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_NOTIFY_COMPLETED,
                                 on_completed, sim, MHD_OPTION_END);
  if (!sim->daemon)
    return fail(message, bytes, SHEAF_E_IO,
                "cannot listen: ", errno ? strerror(errno) : "the server did not start");
  sim->port = MHD_get_daemon_info(sim->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
  sim->epoll_fd = MHD_get_daemon_info(sim->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  snprintf(sim->url, sizeof sim->url, is_v6 ? "http://[%s]:%u" : "http://%s:%u", sim->host,
           (unsigned)sim->port);
  return SHEAF_OK;
}

static int32_t open_all(sheaf_sim *sim, char *message, size_t bytes) {
  sim->ledger = sheaf__sim_ledger_new();
  sim->limiter = sheaf__sim_limiter_new(sim->options.rpm, sim->options.tpm);
  if (!sim->ledger || !sim->limiter) return SHEAF_E_NOMEM;
  sim->watch_fd = epoll_create1(EPOLL_CLOEXEC);
  sim->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (sim->watch_fd < 0 || sim->wake_fd < 0)
    return fail(message, bytes, SHEAF_E_IO, "no descriptors left: ", strerror(errno));
  int32_t status = listen_at(sim, message, bytes);
  if (status != SHEAF_OK) return status;
  int error = pthread_create(&sim->thread, NULL, run, sim);
  if (error) return fail(message, bytes, SHEAF_E_IO, "no thread: ", strerror(error));
  sim->has_thread = true;
  return SHEAF_OK;
}

int32_t sheaf_sim_start(const sheaf_sim_options *options, sheaf_sim **sim, char *message,
                        size_t bytes) {
  if (!sim) return SHEAF_E_MISUSE;
  if (message && bytes) message[0] = 0;
  sheaf_sim *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return fail(message, bytes, SHEAF_E_NOMEM, "no memory", "");
  fresh->watch_fd = fresh->wake_fd = -1;
  int32_t status = copy_options(fresh, options, message, bytes);
  if (status == SHEAF_OK) status = open_all(fresh, message, bytes);
  if (status != SHEAF_OK) {
    if (status == SHEAF_E_NOMEM) fail(message, bytes, status, "no memory", "");
    sheaf_sim_stop(fresh);
    return status;
  }
  *sim = fresh;
  return SHEAF_OK;
}

void sheaf_sim_stop(sheaf_sim *sim) {
  if (!sim) return;
  if (sim->has_thread) {
    const uint64_t one = 1;
    atomic_store(&sim->is_stopping, true);
    /* Non-blocking, and its only failure is a counter that is set already. */
    if (write(sim->wake_fd, &one, sizeof one) < 0) errno = 0;
    pthread_join(sim->thread, NULL);
  }
  if (sim->daemon) MHD_stop_daemon(sim->daemon);
  if (sim->watch_fd >= 0) close(sim->watch_fd);
  if (sim->wake_fd >= 0) close(sim->wake_fd);
  while (sim->spare) {
    sim_request *gone = sim->spare;
    sim->spare = gone->spare_next;
    free_request(gone);
  }
  sheaf__sim_ledger_free(sim->ledger);
  sheaf__sim_limiter_free(sim->limiter);
  free(sim->heap);
  free(sim->key);
  free(sim);
}

uint16_t sheaf_sim_port(const sheaf_sim *sim) {
  return sim->port;
}

const char *sheaf_sim_url(const sheaf_sim *sim) {
  return sim->url;
}

int32_t sheaf_sim_stats(sheaf_sim *sim, sheaf_buf *json) {
  if (!sim || !json) return SHEAF_E_MISUSE;
  sheaf__sim_ledger_write(sim->ledger, sim->options.seed, json);
  return json->status;
}
