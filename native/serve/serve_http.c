/* serve_http.c: libmicrohttpd: connections, and one request from its first byte to its end.
 *
 * A call is in exactly one of these places: with a connection (its body comes, it waits, it is
 * answered), with a row of the client's that nobody waits for any more, or spare.
 *
 * Outline: suspending; calls; news; streams; answers; connections; requests. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SPARE_MAX 1024u               /* calls kept for reuse */
#define KEEP_BYTES ((size_t)65536)    /* memory of a buffer that a spare call keeps */
#define BLOCK_BYTES ((size_t)16384)   /* a stream is read in blocks of this size */
#define DISCARD_FACTOR 4u             /* of body_bytes_max: what is read to be thrown away */
#define ANSWER_ROOM ((size_t)1 << 33) /* the client's own ceilings are lower */

/* ---- Suspending ---- */

static void suspend(serve_call *call, uint32_t state) {
  call->state = state;
  MHD_suspend_connection(call->connection);
}

static bool is_suspended(const serve_call *call) {
  return call->state == SERVE_WAITING || call->state == SERVE_PAUSED;
}

static void resume(serve_call *call, uint32_t state) {
  bool was = is_suspended(call);
  call->state = state;
  if (!was) return;
  MHD_resume_connection(call->connection);
  call->serve->is_resumed = true;
}

/* ---- Calls ---- */

static serve_call *take_call(sheaf_serve *serve) {
  serve_call *taken = serve->spare;
  if (taken) {
    serve->spare = taken->spare_next;
    serve->spare_count--;
  } else {
    taken = calloc(1, sizeof *taken);
    if (taken == NULL) return NULL;
    sheaf_buf_init(&taken->body, sheaf_heap(), serve->options.body_bytes_max + 1);
    sheaf_buf_init(&taken->inbox, sheaf_heap(), ANSWER_ROOM);
    sheaf_buf_init(&taken->out, sheaf_heap(), ANSWER_ROOM);
  }
  taken->serve = serve;
  taken->state = SERVE_RECEIVING;
  taken->number = serve->next_number++;
  taken->previous = NULL;
  taken->next = serve->calls;
  if (serve->calls) serve->calls->previous = taken;
  serve->calls = taken;
  return taken;
}

static void free_call(serve_call *call) {
  sheaf_buf_deinit(&call->body);
  sheaf_buf_deinit(&call->inbox);
  sheaf_buf_deinit(&call->out);
  free(call);
}

/* What it kept apart, it is as it was made. */
static void clear_call(serve_call *call) {
  sheaf_buf kept[] = {call->body, call->inbox, call->out};
  for (size_t i = 0; i < 3; i++) {
    if (kept[i].capacity > KEEP_BYTES) sheaf_buf_deinit(&kept[i]);
    sheaf_buf_reset(&kept[i]);
  }
  memset(call, 0, sizeof *call);
  call->body = kept[0];
  call->inbox = kept[1];
  call->out = kept[2];
}

static void give_call(serve_call *call) {
  sheaf_serve *serve = call->serve;
  *(call->previous ? &call->previous->next : &serve->calls) = call->next;
  if (call->next) call->next->previous = call->previous;
  serve->bodies_bytes -= call->charged;
  if (serve->spare_count == SPARE_MAX) {
    free_call(call);
    return;
  }
  clear_call(call);
  call->spare_next = serve->spare;
  serve->spare = call;
  serve->spare_count++;
}

void sheaf__serve_spares_free(sheaf_serve *serve) {
  while (serve->spare) {
    serve_call *gone = serve->spare;
    serve->spare = gone->spare_next;
    free_call(gone);
  }
  while (serve->calls) { /* of a client that did not end them */
    serve_call *gone = serve->calls;
    serve->calls = gone->next;
    free_call(gone);
  }
}

static void cancel(serve_call *call) {
  if (!call->is_submitted || call->is_cancelled) return;
  call->is_cancelled = true;
  sheaf_client_cancel(call->serve->client, call->id);
}

/* ---- News ---- */

bool sheaf__serve_post(serve_call *call) {
  sheaf_serve *serve = call->serve;
  if (call->is_posted) return false;
  bool is_first = serve->posted == NULL;
  call->is_posted = true;
  call->next_posted = serve->posted;
  serve->posted = call;
  return is_first;
}

/* What the news mean for a stream that has not been answered yet. With the mutex. */
static bool may_answer(serve_call *call) {
  if (!call->is_stream) return call->is_finished;
  if (call->is_committed || (call->is_finished && call->status != MHD_HTTP_OK)) return true;
  call->is_committed = call->inbox.bytes > 0 || call->is_finished;
  return call->is_committed;
}

static void take_news(serve_call *call) {
  sheaf_serve *serve = call->serve;
  pthread_mutex_lock(&serve->mutex);
  call->is_posted = false;
  bool is_finished = call->is_finished;
  bool is_cut = call->is_cut && !is_finished;
  bool is_due = call->connection != NULL && may_answer(call);
  pthread_mutex_unlock(&serve->mutex);
  if (is_cut) cancel(call);
  if (call->connection == NULL) {
    if (is_finished) give_call(call);
    return;
  }
  if (!is_due) return;
  if (call->state == SERVE_WAITING) resume(call, SERVE_READY);
  if (call->state == SERVE_PAUSED) resume(call, SERVE_SENDING);
}

void sheaf__serve_take_posted(sheaf_serve *serve) {
  pthread_mutex_lock(&serve->mutex);
  serve_call *call = serve->posted;
  serve->posted = NULL;
  pthread_mutex_unlock(&serve->mutex);
  while (call) {
    serve_call *next = call->next_posted; /* it may be posted anew as soon as it is taken */
    take_news(call);
    call = next;
  }
}

/* ---- Streams ---- */

/* libmicrohttpd 0.9.75 forgets a connection whose reader fails until its socket stirs again, so
 * the socket is shut down. */
static ssize_t break_off(serve_call *call) {
  shutdown(call->conn->fd, SHUT_RDWR);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

static size_t copy_out(serve_call *call, char *to, size_t room) {
  size_t bytes = call->out.bytes - call->sent;
  if (bytes > room) bytes = room;
  if (bytes) memcpy(to, call->out.data + call->sent, bytes);
  call->sent += bytes;
  return bytes;
}

/* Exchanges what was sent for what came meanwhile. Answers whether nothing will follow that. */
static bool take_inbox(serve_call *call) {
  pthread_mutex_lock(&call->serve->mutex);
  sheaf_buf sent = call->out;
  call->out = call->inbox;
  call->inbox = sent;
  sheaf_buf_reset(&call->inbox);
  call->sent = 0;
  call->out_bytes = call->out.bytes;
  bool is_closed = call->is_closed;
  pthread_mutex_unlock(&call->serve->mutex);
  return is_closed;
}

static ssize_t read_stream(void *ctx, uint64_t at, char *to, size_t room) {
  serve_call *call = ctx;
  size_t filled = 0;
  (void)at;
  for (;;) {
    if (call->state == SERVE_ABORTED || call->serve->is_ending) return break_off(call);
    filled += copy_out(call, to + filled, room - filled);
    if (filled == room) return (ssize_t)filled;
    bool is_closed = take_inbox(call);
    if (call->out.bytes > 0) continue;
    if (filled > 0) return (ssize_t)filled;
    if (is_closed) return MHD_CONTENT_READER_END_OF_STREAM;
    if (call->conn->is_left) return break_off(call);
    suspend(call, SERVE_PAUSED);
    return 0;
  }
}

/* ---- Answers ---- */

static void add_number(struct MHD_Response *response, const char *name, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  MHD_add_response_header(response, name, text);
}

static void add_headers(const serve_call *call, struct MHD_Response *response) {
  const char *type = call->content_type ? call->content_type : "application/json";
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  if (call->is_committed) MHD_add_response_header(response, "cache-control", "no-cache");
  if (call->request_id[0]) MHD_add_response_header(response, "x-request-id", call->request_id);
  if (call->answered_by)
    MHD_add_response_header(response, "x-sheaf-answered-by", call->answered_by);
  if (call->attempts) add_number(response, "x-sheaf-attempts", call->attempts);
  if (call->retry_after_s) add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, call->retry_after_s);
  if (call->is_final) MHD_add_response_header(response, "x-should-retry", "false");
  if (call->allow) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, call->allow);
  if (call->refusal == MHD_HTTP_UNAUTHORIZED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
  if (call->is_early || atomic_load(&call->serve->is_draining))
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static struct MHD_Response *make_response(serve_call *call) {
  if (call->is_committed) {
    call->content_type = "text/event-stream; charset=utf-8";
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, call,
                                             NULL);
  }
  if (call->is_submitted) take_inbox(call);
  if (call->out.status != SHEAF_OK) return NULL;
  /* The body stays in the call, which lives until on_completed. */
  return MHD_create_response_from_buffer(call->out.bytes, call->out.data, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result respond(serve_call *call) {
  struct MHD_Response *response = make_response(call);
  if (response == NULL) return MHD_NO;
  call->state = SERVE_SENDING;
  add_headers(call, response);
  uint32_t status = call->is_committed ? MHD_HTTP_OK : call->status;
  enum MHD_Result queued = MHD_queue_response(call->connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

/* ---- Connections ---- */

void sheaf__serve_on_connection(void *ctx, struct MHD_Connection *connection, void **slot,
                                enum MHD_ConnectionNotificationCode what) {
  sheaf_serve *serve = ctx;
  serve_conn *conn = *slot;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    *slot = conn = calloc(1, sizeof *conn);
    if (conn == NULL) return; /* its requests are refused */
    conn->connection = connection;
    conn->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    conn->next = serve->connections;
    if (conn->next) conn->next->previous = conn;
    serve->connections = conn;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    /* Without the watch it is noticed at the answer only that the caller left. */
    epoll_ctl(serve->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event);
    return;
  }
  if (conn == NULL) return;
  epoll_ctl(serve->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
  *(conn->previous ? &conn->previous->next : &serve->connections) = conn->next;
  if (conn->next) conn->next->previous = conn->previous;
  free(conn);
  *slot = NULL;
}

void sheaf__serve_on_left(sheaf_serve *serve, serve_conn *conn) {
  serve_call *call = conn->call;
  (void)serve;
  conn->is_left = true;
  if (call == NULL || !is_suspended(call)) return; /* libmicrohttpd looks after it */
  cancel(call);
  resume(call, SERVE_ABORTED);
}

void sheaf__serve_abort_all(sheaf_serve *serve) {
  for (serve_call *call = serve->calls; call; call = call->next)
    if (call->connection && is_suspended(call)) resume(call, SERVE_ABORTED);
}

/* ---- Requests ---- */

/* Sums are kept for requests that reached the client; the others were refused. */
static void count_end(sheaf_serve *serve, const serve_call *call, bool is_whole) {
  sheaf_serve_stats *stats = &serve->stats;
  if (!call->is_submitted) {
    if (call->refusal || call->status >= 400) stats->refused++;
    return;
  }
  stats->open--;
  if (!is_whole) stats->clients_left++;
  if (is_whole && call->is_drained) stats->cancelled++;
  bool is_good = is_whole && call->is_finished && call->status == MHD_HTTP_OK && !call->is_cut;
  ++*(is_good ? &stats->succeeded : &stats->failed);
}

void sheaf__serve_on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                               enum MHD_RequestTerminationCode why) {
  sheaf_serve *serve = ctx;
  serve_call *call = *slot;
  (void)connection;
  if (call == NULL) return;
  *slot = NULL;
  if (call->conn) call->conn->call = NULL;
  pthread_mutex_lock(&serve->mutex);
  bool is_kept = call->is_posted || (call->is_submitted && !call->is_finished);
  bool is_finished = call->is_finished;
  count_end(serve, call, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
  pthread_mutex_unlock(&serve->mutex);
  call->connection = NULL;
  call->conn = NULL;
  if (!is_finished) cancel(call);
  if (!is_kept) give_call(call);
}

/* Everything is here. */
static enum MHD_Result serve_call_now(serve_call *call, const char *url) {
  sheaf_serve *serve = call->serve;
  if (call->refusal) return respond(call);
  if (call->page >= SERVE_MODELS) {
    sheaf__serve_page(call, url);
    return respond(call);
  }
  if (call->conn->is_left) return MHD_NO; /* nobody waits for it */
  bool is_accepted = sheaf__serve_submit(call);
  serve->bodies_bytes -= call->charged; /* the client has a copy of its own */
  call->charged = 0;
  if (call->body.capacity > KEEP_BYTES) sheaf_buf_deinit(&call->body);
  if (!is_accepted) return respond(call);
  suspend(call, SERVE_WAITING);
  return MHD_YES;
}

static enum MHD_Result receive(serve_call *call, const char *data, size_t bytes) {
  sheaf_serve *serve = call->serve;
  const sheaf_serve_options *o = &serve->options;
  if (!call->refusal && call->body.bytes + bytes > o->body_bytes_max)
    sheaf__serve_refuse(call, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large", NULL,
                        "the body is larger than %llu bytes",
                        (unsigned long long)o->body_bytes_max);
  if (!call->refusal && serve->bodies_bytes + bytes > o->bodies_bytes_max) {
    call->retry_after_s = 1;
    sheaf__serve_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "queue_full", NULL,
                        "too many large requests are being received");
  }
  if (!call->refusal) {
    if (sheaf_buf_append(&call->body, data, bytes) != SHEAF_OK) return MHD_NO;
    call->charged += bytes;
    serve->bodies_bytes += bytes;
    return MHD_YES;
  }
  /* It is read to its end, so that the caller, who is still writing, gets to the answer. */
  call->discarded += bytes;
  return call->discarded / DISCARD_FACTOR > o->body_bytes_max ? MHD_NO : MHD_YES;
}

static enum MHD_Result begin(sheaf_serve *serve, struct MHD_Connection *connection, const char *url,
                             const char *method, void **slot) {
  serve_conn *conn =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
  serve_call *call = conn ? take_call(serve) : NULL;
  if (call == NULL) return MHD_NO;
  call->connection = connection;
  call->conn = conn;
  conn->call = call;
  *slot = call;
  sheaf__serve_accept(call, method, url);
  return call->is_early ? respond(call) : MHD_YES;
}

enum MHD_Result sheaf__serve_on_request(void *ctx, struct MHD_Connection *connection,
                                        const char *url, const char *method, const char *version,
                                        const char *data, size_t *bytes, void **slot) {
  sheaf_serve *serve = ctx;
  serve_call *call = *slot;
  (void)version;
  if (call == NULL) return begin(serve, connection, url, method, slot);
  if (*bytes) {
    size_t taken = *bytes;
    *bytes = 0;
    return receive(call, data, taken);
  }
  if (serve->is_ending) return MHD_NO; /* else stopping would suspend anew */
  if (call->state == SERVE_RECEIVING) return serve_call_now(call, url);
  if (call->state == SERVE_READY) return respond(call);
  return MHD_NO;
}
