/* sim_exchange.c: one request, from its first byte to its end.
 *
 *   RECEIVING -> (plan) -> QUEUED -> WAITING -> READY -> SENDING <-> PAUSED   a stream, between tokens
 *                                            -> RAW -> ENDING -> ABORTED      written by hand
 *                                                   -> STALLED -> ABORTED     until the client leaves
 *
 * A request that has to wait is suspended. libmicrohttpd does not look at a suspended connection, so
 * its socket is watched here meanwhile: the client that leaves gives its place back at once. Only
 * between the tokens of a stream it is not; there the next token finds out. */
#define _GNU_SOURCE
#include "sim_batch.h"
#include "sim_server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SPARE_MAX 1024u                /* request objects kept for reuse */
#define BLOCK_BYTES ((size_t)4096)     /* a stream is read in blocks of this size */
#define ARRIVAL_NS ((uint64_t)1000000) /* between two looks whether all has arrived */
#define ARRIVAL_MAX_NS ((uint64_t)2 * SIM_SECOND)
#define PREFLIGHT_SECONDS "86400"

int sheaf__sim_socket(const sim_request *request) {
  return MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
      ->connect_fd;
}

/* ---- Suspending ---- */

static void suspend(sim_request *request, uint32_t state) {
  sheaf_sim *sim = request->sim;
  request->state = state;
  if (request->is_suspended) return;
  request->is_suspended = true;
  request->previous = NULL;
  request->next = sim->suspended;
  if (sim->suspended) sim->suspended->previous = request;
  sim->suspended = request;
  MHD_suspend_connection(request->connection);
}

static void resume(sim_request *request, uint32_t state) {
  sheaf_sim *sim = request->sim;
  sheaf__sim_timer_clear(&sim->loop, &request->timer);
  sheaf__sim_watch_clear(&sim->loop, &request->watch);
  request->state = state;
  if (!request->is_suspended) return;
  request->is_suspended = false;
  if (request->previous)
    request->previous->next = request->next;
  else
    sim->suspended = request->next;
  if (request->next) request->next->previous = request->previous;
  MHD_resume_connection(request->connection);
  sim->is_resumed = true;
}

/* Without the watch nobody would learn that the client left; it is then noticed at the answer. */
static void watch_leaving(sim_request *request) {
  sheaf__sim_watch_set(&request->sim->loop, &request->watch, sheaf__sim_socket(request),
                       EPOLLRDHUP);
}

static void serve_next(sim_request *next);

/* Gives back what the request holds of the service. */
static void leave_service(sim_request *request) {
  sheaf_sim *sim = request->sim;
  uint32_t waiting = sim->service.waiting;
  sim_request *next = sheaf__sim_service_leave(&sim->service, request);
  if (sim->service.waiting != waiting)
    sheaf__sim_ledger_queue(sim->world.ledger, sim->service.waiting);
  if (next) serve_next(next);
}

void sheaf__sim_abort(sim_request *request) {
  leave_service(request);
  resume(request, SIM_ABORTED);
}

/* ---- Request objects ---- */

static void on_timer(void *ctx);
static void on_stir(void *ctx, uint32_t events);

static sim_request *take_request(sheaf_sim *sim) {
  sim_request *taken = sim->spare;
  if (taken) {
    sim->spare = taken->spare_next;
    sim->spare_count--;
    return taken;
  }
  taken = calloc(1, sizeof *taken);
  if (!taken) return NULL;
  sheaf__sim_call_init(&taken->call);
  taken->call.world = &sim->world;
  taken->sim = sim;
  taken->timer.fire = on_timer;
  taken->watch.stir = on_stir;
  taken->timer.ctx = taken->watch.ctx = taken;
  return taken;
}

static void free_request(sim_request *request) {
  sheaf__sim_call_deinit(&request->call);
  free(request);
}

static void give_request(sheaf_sim *sim, sim_request *given) {
  sheaf_buf_deinit(&given->raw);
  if (sim->spare_count == SPARE_MAX) {
    free_request(given);
    return;
  }
  sheaf__sim_call_reset(&given->call);
  given->connection = NULL;
  given->sent = 0;
  given->next_ns = given->until_ns = 0;
  given->state = SIM_RECEIVING;
  given->is_counted = given->is_broken = given->is_left = given->is_over = given->is_cors = false;
  given->spare_next = sim->spare;
  sim->spare = given;
  sim->spare_count++;
}

void sheaf__sim_spares_free(sheaf_sim *sim) {
  while (sim->spare) {
    sim_request *gone = sim->spare;
    sim->spare = gone->spare_next;
    free_request(gone);
  }
}

void sheaf__sim_on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                             enum MHD_RequestTerminationCode why) {
  sheaf_sim *sim = ctx;
  sim_request *done = *slot;
  (void)connection;
  if (!done) return;
  *slot = NULL;
  leave_service(done);
  bool is_left = why != MHD_REQUEST_TERMINATED_COMPLETED_OK && !done->is_broken;
  if (atomic_load(&sim->is_stopping)) is_left = false;
  if (done->is_counted) {
    sheaf__sim_ledger_ended(sim->world.ledger, &done->call, is_left || done->is_left,
                            sheaf__sim_now());
    sheaf__sim_limiter_end(sim->world.limiter, done->call.key_hash);
  }
  give_request(sim, done);
}

/* ---- Ends that are no ends ---- */

/* Closing with linger 0 makes the kernel send RST. */
static void reset_at_close(int fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* A close with unread bytes would be a reset, too. */
static void drain(int fd) {
  char bytes[4096];
  while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
}

/* A reset throws away what the peer's kernel does not have yet. */
static bool has_arrived(sim_request *request) {
  int waiting = 0;
  if (ioctl(sheaf__sim_socket(request), SIOCOUTQ, &waiting) != 0 || waiting == 0) return true;
  return sheaf__sim_now() >= request->until_ns;
}

void sheaf__sim_end(sim_request *request) {
  sheaf_sim *sim = request->sim;
  int fd = sheaf__sim_socket(request);
  if (request->end == SIM_END_STALL) {
    request->state = SIM_STALLED;
    sheaf__sim_timer_clear(&sim->loop, &request->timer);
    watch_leaving(request);
    return;
  }
  if (request->state != SIM_ENDING) request->until_ns = sheaf__sim_now() + ARRIVAL_MAX_NS;
  request->state = SIM_ENDING;
  if (request->end == SIM_END_RESET) {
    if (!has_arrived(request) &&
        sheaf__sim_timer_set(&sim->loop, &request->timer, sheaf__sim_now() + ARRIVAL_NS)) {
      watch_leaving(request);
      return;
    }
    reset_at_close(fd);
  } else {
    drain(fd);
  }
  request->is_broken = true;
  sheaf__sim_abort(request);
}

/* libmicrohttpd 0.9.75 forgets a connection whose reader fails until its socket stirs again (the
 * chunked case leaves handle_idle without cleaning up), so the socket is shut down here; before a
 * reset on our side only, which the peer does not see. */
static ssize_t break_off(sim_request *request) {
  bool is_reset = request->is_broken && request->end == SIM_END_RESET;
  shutdown(sheaf__sim_socket(request), is_reset ? SHUT_RD : SHUT_RDWR);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* ---- Answers ---- */

static ssize_t copy_out(sim_request *request, char *to, size_t room) {
  size_t bytes = request->call.out.bytes - request->sent;
  if (bytes > room) bytes = room;
  if (bytes) memcpy(to, request->call.out.data + request->sent, bytes);
  request->sent += bytes;
  return (ssize_t)bytes;
}

/* The fault that comes after all pieces of a stream. 0: later, the connection is suspended. */
static ssize_t end_stream(sim_request *request) {
  switch (request->call.fault) {
    case SHEAF_SIM_FAULT_CUT: request->is_broken = true; return break_off(request);
    case SHEAF_SIM_FAULT_RESET_BODY: request->end = SIM_END_RESET; break;
    case SHEAF_SIM_FAULT_STALL_BODY: request->end = SIM_END_STALL; break;
    default: return MHD_CONTENT_READER_END_OF_STREAM;
  }
  suspend(request, SIM_ENDING);
  request->until_ns = sheaf__sim_now() + ARRIVAL_MAX_NS;
  sheaf__sim_end(request);
  return 0;
}

/* Suspends until the next token. false: it is due. */
static bool pause_stream(sim_request *request) {
  if (request->next_ns <= sheaf__sim_now()) return false;
  if (!sheaf__sim_timer_set(&request->sim->loop, &request->timer, request->next_ns)) return false;
  suspend(request, SIM_PAUSED);
  return true;
}

/* The due time of a token counts from the one before, not from when that was sent: lateness does
 * not add up. */
static ssize_t read_stream(void *ctx, uint64_t at, char *to, size_t room) {
  sim_request *request = ctx;
  sim_call *call = &request->call;
  size_t filled = 0;
  (void)at;
  if (request->state == SIM_ABORTED || atomic_load(&request->sim->is_stopping))
    return break_off(request);
  for (;;) {
    filled += (size_t)copy_out(request, to + filled, room - filled);
    if (filled == room) return (ssize_t)filled;
    if (call->out.status != SHEAF_OK) return break_off(request);
    if (request->is_over) return filled ? (ssize_t)filled : end_stream(request);
    if (request->next_ns > 0 && filled && request->next_ns > sheaf__sim_now())
      return (ssize_t)filled;
    if (request->next_ns > 0 && pause_stream(request)) return 0;
    uint64_t gap_ns = 0;
    sheaf_buf_reset(&call->out);
    request->sent = 0;
    request->is_over = !sheaf__sim_stream_step(call, &gap_ns);
    if (gap_ns && request->next_ns == 0) request->next_ns = sheaf__sim_now();
    if (request->next_ns > 0) request->next_ns += gap_ns;
  }
}

/* libmicrohttpd closes the descriptor that it is given. */
static struct MHD_Response *send_blob(const sim_call *call) {
  if (call->send_bytes == 0)
    return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  int fd = dup(call->send->fd);
  if (fd < 0) return NULL;
  struct MHD_Response *response =
      MHD_create_response_from_fd_at_offset64(call->send_bytes, fd, call->send_from);
  if (!response) close(fd);
  return response;
}

/* The body stays in the request, which lives until on_completed. */
static struct MHD_Response *make_response(sim_request *request) {
  sim_call *call = &request->call;
  if (call->is_stream)
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, request,
                                             NULL);
  if (call->out.status != SHEAF_OK) return NULL;
  if (call->send) return send_blob(call);
  return MHD_create_response_from_buffer(call->out.bytes, call->out.data, MHD_RESPMEM_PERSISTENT);
}

/* Pages in a browser may read everything: the simulator keeps no secrets. */
static void add_cors(struct MHD_Response *response) {
  MHD_add_response_header(response, "access-control-allow-origin", "*");
  MHD_add_response_header(response, "access-control-expose-headers", "*");
}

static enum MHD_Result respond(sim_request *request) {
  sim_call *call = &request->call;
  struct MHD_Response *response = make_response(request);
  if (!response) return MHD_NO;
  request->state = SIM_SENDING;
  for (uint32_t i = 0; i < call->header_count; i++)
    MHD_add_response_header(response, call->headers[i].name, call->headers[i].value);
  if (request->is_cors) add_cors(response);
  enum MHD_Result queued = MHD_queue_response(request->connection, call->status, response);
  MHD_destroy_response(response);
  return queued;
}

/* "*" does not stand for authorization (Fetch, section 3.3.3), so what is asked for is allowed. */
static enum MHD_Result answer_preflight(sim_request *request, const char *headers) {
  struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  if (!response) return MHD_NO;
  add_cors(response);
  MHD_add_response_header(response, "access-control-allow-methods", "GET, POST, DELETE, OPTIONS");
  MHD_add_response_header(response, "access-control-allow-headers", headers ? headers : "*");
  MHD_add_response_header(response, "access-control-max-age", PREFLIGHT_SECONDS);
  MHD_add_response_header(response, "access-control-allow-private-network", "true");
  enum MHD_Result queued = MHD_queue_response(request->connection, MHD_HTTP_NO_CONTENT, response);
  MHD_destroy_response(response);
  return queued;
}

/* ---- What came ---- */

typedef struct asking {
  const char *bearer, *x_api_key, *goog_key, *api_key, *url_key;
  const char *version, *fault, *answer, *client_id, *request_id;
  const char *origin, *preflight_method, *preflight_headers;
  const char *alt, *after, *limit;
  sim_query query;
} asking;

typedef struct wanted {
  const char *name;
  size_t at; /* in asking */
} wanted;

static const wanted wanted_headers[] = {
    {"authorization", offsetof(asking, bearer)},
    {"x-api-key", offsetof(asking, x_api_key)},
    {"x-goog-api-key", offsetof(asking, goog_key)},
    {"api-key", offsetof(asking, api_key)},
    {"anthropic-version", offsetof(asking, version)},
    {"x-sheaf-fault", offsetof(asking, fault)},
    {"x-sheaf-answer", offsetof(asking, answer)},
    {"x-client-request-id", offsetof(asking, client_id)},
    {"x-request-id", offsetof(asking, request_id)},
    {"origin", offsetof(asking, origin)},
    {"access-control-request-method", offsetof(asking, preflight_method)},
    {"access-control-request-headers", offsetof(asking, preflight_headers)},
    {"content-type", offsetof(asking, query.content_type)},
    {"host", offsetof(asking, query.host)},
    {"x-goog-upload-protocol", offsetof(asking, query.upload_protocol)},
    {"x-goog-upload-command", offsetof(asking, query.upload_command)},
    {"x-goog-upload-offset", offsetof(asking, query.upload_offset)},
    {"x-goog-upload-header-content-length", offsetof(asking, query.upload_bytes)},
    {"x-goog-upload-header-content-type", offsetof(asking, query.upload_type)},
    {NULL, 0},
};

static const wanted wanted_arguments[] = {
    {"key", offsetof(asking, url_key)},
    {"alt", offsetof(asking, alt)},
    {"after", offsetof(asking, after)},
    {"limit", offsetof(asking, limit)},
    {"after_id", offsetof(asking, after)},
    {"before_id", offsetof(asking, query.before)},
    {"pageSize", offsetof(asking, limit)},
    {"page_size", offsetof(asking, limit)},
    {"pageToken", offsetof(asking, after)},
    {"page", offsetof(asking, query.page)},
    {"order", offsetof(asking, query.order)},
    {"purpose", offsetof(asking, query.purpose)},
    {"upload_id", offsetof(asking, query.upload)},
    {NULL, 0},
};

static void note(const wanted *table, asking *asked, const char *name, const char *value) {
  for (const wanted *row = table; row->name; row++) {
    if ((name[0] | 0x20) != row->name[0] || strcasecmp(name, row->name) != 0) continue;
    const char **place = (const char **)(void *)((char *)asked + row->at);
    if (!*place) *place = value ? value : "";
    return;
  }
}

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
  (void)kind;
  note(wanted_headers, ctx, name, value);
  return MHD_YES;
}

static enum MHD_Result on_argument(void *ctx, enum MHD_ValueKind kind, const char *name,
                                   const char *value) {
  (void)kind;
  note(wanted_arguments, ctx, name, value);
  return MHD_YES;
}

static const char *key_of(const asking *asked) {
  if (asked->bearer)
    return strncasecmp(asked->bearer, "bearer ", 7) == 0 ? asked->bearer + 7 : asked->bearer;
  if (asked->x_api_key) return asked->x_api_key;
  if (asked->goog_key) return asked->goog_key;
  return asked->api_key ? asked->api_key : asked->url_key;
}

/* false: it is no number. */
static bool read_number(const char *text, uint64_t *number) {
  if (!text) return true;
  uint64_t read = 0;
  if (!*text) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9' || read > (UINT64_MAX - 9) / 10) return false;
    read = read * 10 + (uint64_t)(*text - '0');
  }
  *number = read;
  return true;
}

static void read_asking(sim_request *request, asking *asked) {
  sim_call *call = &request->call;
  MHD_get_connection_values(request->connection, MHD_HEADER_KIND, on_header, asked);
  MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, on_argument, asked);
  request->is_cors = asked->origin != NULL;
  call->version = asked->version;
  call->given_key = key_of(asked);
  call->asked_fault = asked->fault;
  call->asked_answer = asked->answer;
  call->client_id = asked->client_id ? asked->client_id : asked->request_id;
  call->query = asked->query;
  call->query.after = asked->after;
  call->query.limit = asked->limit;
  call->is_sse = asked->alt && strcmp(asked->alt, "sse") == 0;
}

/* ---- Pages of the simulator's own ---- */

static bool is_own_page(const sim_call *call) {
  return call->route && (call->route->task == SIM_STATS || call->route->task == SIM_LEDGER ||
                         call->route->task == SIM_RESET);
}

static enum MHD_Result answer_own_page(sim_request *request, const asking *asked) {
  sim_call *call = &request->call;
  const sim_world *world = call->world;
  call->status = MHD_HTTP_OK;
  call->ledger_limit = UINT64_MAX;
  if (!read_number(asked->after, &call->ledger_after) ||
      !read_number(asked->limit, &call->ledger_limit)) {
    call->status = MHD_HTTP_BAD_REQUEST;
    sheaf_buf_append_text(&call->out,
                          "{\"error\":{\"message\":\"after and limit are whole numbers\"}}");
  } else if (call->route->task == SIM_STATS) {
    sheaf__sim_ledger_write_stats(world->ledger, world->options->seed, &call->out);
  } else if (call->route->task == SIM_LEDGER) {
    sheaf__sim_ledger_write_entries(world->ledger, call->ledger_after, call->ledger_limit,
                                    &call->out);
  } else {
    sheaf__sim_ledger_reset(world->ledger);
    sheaf__sim_limiter_reset(world->limiter);
    sheaf_buf_append_text(&call->out, "{}");
  }
  sheaf__sim_header(call, "content-type", "application/json");
  return respond(request);
}

/* ---- From the plan to the answer ---- */

/* The answer is due. */
static void on_due(sim_request *request) {
  if (!sheaf__sim_raw_wants(&request->call)) {
    resume(request, SIM_READY);
    return;
  }
  sheaf__sim_watch_clear(&request->sim->loop, &request->watch);
  sheaf__sim_raw_start(request);
}

static void on_timer(void *ctx) {
  sim_request *request = ctx;
  if (request->state == SIM_WAITING)
    on_due(request);
  else if (request->state == SIM_PAUSED)
    resume(request, SIM_SENDING);
  else if (request->state == SIM_RAW)
    sheaf__sim_raw_continue(request);
  else if (request->state == SIM_ENDING)
    sheaf__sim_end(request);
}

static void on_stir(void *ctx, uint32_t events) {
  sim_request *request = ctx;
  if (request->state == SIM_RAW && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
    sheaf__sim_raw_continue(request);
    return;
  }
  request->is_left = true;
  sheaf__sim_abort(request);
}

/* It stood in the queue and has a place now. By the timer even without delay: libmicrohttpd may be
 * calling us about the one that left. */
static void serve_next(sim_request *next) {
  next->state = SIM_WAITING;
  if (sheaf__sim_timer_set(&next->sim->loop, &next->timer, sheaf__sim_now() + next->call.delay_ns))
    return;
  resume(next, SIM_READY);
}

static enum MHD_Result serve(sim_request *request, uint64_t now) {
  sim_call *call = &request->call;
  if (call->wants_service && !sheaf__sim_service_enter(&request->sim->service, request)) {
    suspend(request, SIM_QUEUED);
    watch_leaving(request);
    sheaf__sim_ledger_queue(call->world->ledger, request->sim->service.waiting);
    return MHD_YES;
  }
  if (call->delay_ns &&
      sheaf__sim_timer_set(&request->sim->loop, &request->timer, now + call->delay_ns)) {
    suspend(request, SIM_WAITING);
    watch_leaving(request);
    return MHD_YES;
  }
  if (!sheaf__sim_raw_wants(call)) return respond(request);
  suspend(request, SIM_RAW);
  sheaf__sim_raw_start(request);
  return MHD_YES;
}

static enum MHD_Result start_answer(sim_request *request, const char *method, const char *path) {
  sheaf_sim *sim = request->sim;
  sim_call *call = &request->call;
  asking asked = {.bearer = NULL};
  read_asking(request, &asked);
  if (asked.preflight_method && strcmp(method, "OPTIONS") == 0)
    return answer_preflight(request, asked.preflight_headers);
  call->method = method;
  call->path = path;
  call->route = sheaf__sim_route_find(method, path, &call->asked.model, &call->allow);
  if (is_own_page(call)) return answer_own_page(request, &asked);
  call->provider = call->route ? call->route->provider : sheaf__sim_provider_guess(path);
  bool is_list = call->route && (call->route->task == SIM_MODELS || call->route->task == SIM_MODEL);
  if (is_list && call->provider == &sheaf__sim_openai && (call->version || asked.x_api_key))
    call->provider = &sheaf__sim_anthropic; /* both say /v1/models */
  const char *key = call->given_key ? call->given_key : "";
  call->key_hash = sheaf__sim_hash(key, strlen(key), 0);
  call->in_flight = sheaf__sim_limiter_begin(sim->world.limiter, call->key_hash);
  sheaf__sim_ledger_begin(sim->world.ledger);
  request->is_counted = true;
  call->is_queue_full = sheaf__sim_service_is_full(&sim->service);

  uint64_t now = sheaf__sim_now();
  sheaf__sim_plan(call, now, (int64_t)time(NULL));
  sheaf__sim_arm_jobs(sim);
  return serve(request, now);
}

/* Uploads go to disk as they come; without a file for them they are as good as too large. */
static void spool_body(sim_request *request, const char *method, const char *path) {
  sim_call *call = &request->call;
  if (!sheaf__sim_is_spooled(sheaf__sim_route_find(method, path, &call->asked.model, &call->allow)))
    return;
  call->spool = sheaf__sim_blob_new();
  if (!call->spool) call->is_too_large = true;
}

/* ---- Jobs that go on by themselves ---- */

void sheaf__sim_arm_jobs(sheaf_sim *sim) {
  uint64_t due_ns = sim->world.store->due_ns;
  if (due_ns == UINT64_MAX)
    sheaf__sim_timer_clear(&sim->loop, &sim->jobs_timer);
  else if (!sim->jobs_timer.is_set || sim->jobs_timer.due_ns != due_ns)
    sheaf__sim_timer_set(&sim->loop, &sim->jobs_timer, due_ns);
}

void sheaf__sim_on_jobs_due(void *ctx) {
  sheaf_sim *sim = ctx;
  sheaf__sim_store_step(sim->world.store, sheaf__sim_now());
  sheaf__sim_arm_jobs(sim);
}

enum MHD_Result sheaf__sim_on_request(void *ctx, struct MHD_Connection *connection, const char *url,
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
    spool_body(request, method, url);
    return MHD_YES;
  }
  if (*bytes) {
    if (request->call.spool) {
      sim_blob *spool = request->call.spool;
      if (spool->bytes + *bytes > SIM_UPLOAD_MAX || !sheaf__sim_blob_append(spool, data, *bytes))
        request->call.is_too_large = true;
    } else if (sheaf_buf_append(&request->call.body, data, *bytes) != SHEAF_OK)
      request->call.is_too_large = true;
    *bytes = 0;
    return MHD_YES;
  }
  if (atomic_load(&sim->is_stopping)) return MHD_NO; /* else stopping would suspend anew */
  if (request->state == SIM_RECEIVING) return start_answer(request, method, url);
  if (request->state == SIM_READY) return respond(request);
  return MHD_NO;
}
