/* serve.c: start and stop, and the one thread between them.
 *
 *   take the news of the client -> MHD_run -> wait for {its epoll, a wake-up, callers that leave}
 *
 * libmicrohttpd does not look at a suspended connection, so the sockets of all connections are
 * watched here, by edge and for the far side's close alone: that costs two system calls a
 * connection and none a request. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define POOL_BYTES ((size_t)32768)    /* libmicrohttpd's memory per connection */
#define IDLE_SECONDS 120u             /* of a connection that nothing moves on */
#define FLUSH_NS UINT64_C(2000000000) /* to hand out the answers, once all are there */
#define CLOSING_WAIT_MS 20            /* between looks whether they have gone */
#define EVENTS_MAX 64

static int32_t fail(char *message, size_t bytes, int32_t status, const char *what,
                    const char *why) {
  if (message && bytes) snprintf(message, bytes, "%s%s", what, why);
  return status;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- The thread ---- */

void sheaf__serve_wake(const sheaf_serve *serve) {
  const uint64_t one = 1;
  /* Non-blocking, and its only failure is a counter that is set already. */
  if (write(serve->wake_fd, &one, sizeof one) < 0) errno = 0;
}

static void be_quiet(sheaf_serve *serve) {
  if (serve->is_quiet || !atomic_load(&serve->is_draining)) return;
  serve->is_quiet = true;
  MHD_quiesce_daemon(serve->daemon);
  close(serve->listen_fd);
  serve->listen_fd = -1;
}

/* MHD_get_timeout does not know of connections that were resumed since MHD_run began. */
static int wait_ms(const sheaf_serve *serve) {
  MHD_UNSIGNED_LONG_LONG wanted_ms;
  if (serve->is_resumed) return 0;
  if (MHD_get_timeout(serve->daemon, &wanted_ms) != MHD_YES || wanted_ms > 60000) wanted_ms = 60000;
  if (atomic_load(&serve->is_closing) && wanted_ms > CLOSING_WAIT_MS) return CLOSING_WAIT_MS;
  return (int)wanted_ms;
}

static void wait_for_more(sheaf_serve *serve) {
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(serve->epoll_fd, events, EVENTS_MAX, wait_ms(serve));
  for (int i = 0; i < count; i++) {
    void *what = events[i].data.ptr;
    if (what == serve->daemon) continue;
    if (what != serve) {
      sheaf__serve_on_left(serve, what);
      continue;
    }
    uint64_t unused;
    if (read(serve->wake_fd, &unused, sizeof unused) < 0) errno = 0;
  }
}

/* All answers are there: those that are being sent have a while to arrive. */
static bool is_over(const sheaf_serve *serve, uint64_t *until_ns) {
  if (!atomic_load(&serve->is_closing)) return false;
  if (*until_ns == 0) *until_ns = now_ns() + FLUSH_NS;
  return serve->calls == NULL || now_ns() >= *until_ns;
}

static void *run(void *ctx) {
  sheaf_serve *serve = ctx;
  uint64_t until_ns = 0;
  while (!is_over(serve, &until_ns)) {
    be_quiet(serve);
    serve->is_resumed = false;
    sheaf__serve_take_posted(serve);
    MHD_run(serve->daemon);
    wait_for_more(serve);
  }
  be_quiet(serve);
  /* libmicrohttpd must not be stopped while a connection is suspended; none will be from here. */
  serve->is_ending = true;
  sheaf__serve_take_posted(serve);
  sheaf__serve_abort_all(serve);
  MHD_run(serve->daemon);
  MHD_stop_daemon(serve->daemon);
  serve->daemon = NULL;
  return NULL;
}

/* ---- Start ---- */

static int32_t copy_token(sheaf_serve *serve, const char *token, char *message, size_t bytes) {
  if (token == NULL) return SHEAF_OK;
  serve->token_bytes = strlen(token);
  for (const char *c = token; *c; c++)
    if (*c <= ' ' || *c > '~')
      return fail(message, bytes, SHEAF_E_FIELD,
                  "the access token has to be one word of plain characters", "");
  if (serve->token_bytes == 0)
    return fail(message, bytes, SHEAF_E_FIELD, "the access token is empty", "");
  serve->token = strdup(token);
  return serve->token ? SHEAF_OK : SHEAF_E_NOMEM;
}

/* As the inside of a JSON string. */
static bool copy_model(sheaf_serve *serve, const char *model) {
  sheaf_buf buf;
  sheaf_buf_init(&buf, sheaf_heap(), sizeof serve->model - 1);
  sheaf_buf_append_escaped(&buf, sheaf_slice_of(model));
  bool is_good = buf.status == SHEAF_OK;
  if (is_good && buf.bytes) memcpy(serve->model, buf.data, buf.bytes);
  sheaf_buf_deinit(&buf);
  return is_good;
}

static int32_t copy_options(sheaf_serve *serve, const sheaf_serve_options *given, char *message,
                            size_t bytes) {
  sheaf_serve_options *o = &serve->options;
  *o = SHEAF_SERVE_OPTIONS_INIT;
  if (given->struct_bytes < sizeof given->struct_bytes)
    return fail(message, bytes, SHEAF_E_MISUSE, "options: begin with SHEAF_SERVE_OPTIONS_INIT", "");
  memcpy(o, given, given->struct_bytes < sizeof *o ? given->struct_bytes : sizeof *o);
  if (o->client == NULL || o->provider == NULL)
    return fail(message, bytes, SHEAF_E_MISUSE, "options: client and provider are needed", "");
  serve->client = o->client;
  serve->provider = o->provider;
  /* "sim" and a user's own provider may stand on OpenAI's functions. */
  serve->is_openai = o->provider->build == sheaf_provider_find(SHEAF_LITERAL("openai"))->build;
  snprintf(serve->host, sizeof serve->host, "%s", o->host ? o->host : "127.0.0.1");
  if (o->model && !copy_model(serve, o->model))
    return fail(message, bytes, SHEAF_E_FIELD, "the model's name is too long: ", o->model);
  int32_t status = copy_token(serve, o->access_token, message, bytes);
  o->host = o->access_token = o->model = NULL;
  return status;
}

static bool watch(sheaf_serve *serve, int fd, void *what) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
  return epoll_ctl(serve->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static int32_t start_daemon(sheaf_serve *serve, char *message, size_t bytes) {
  const unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME;
  errno = 0;
  serve->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, sheaf__serve_on_request, serve, MHD_OPTION_LISTEN_SOCKET,
      serve->listen_fd, MHD_OPTION_CONNECTION_LIMIT, serve->options.connections_max,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
      MHD_OPTION_NOTIFY_COMPLETED, sheaf__serve_on_completed, serve, MHD_OPTION_NOTIFY_CONNECTION,
      sheaf__serve_on_connection, serve, MHD_OPTION_END);
  if (serve->daemon == NULL)
    return fail(message, bytes, SHEAF_E_IO,
                "cannot serve: ", errno ? strerror(errno) : "libmicrohttpd did not start");
  int daemon_fd = MHD_get_daemon_info(serve->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  if (watch(serve, daemon_fd, serve->daemon) && watch(serve, serve->wake_fd, serve))
    return SHEAF_OK;
  return fail(message, bytes, SHEAF_E_IO, "cannot serve: ", strerror(errno));
}

static int32_t start_thread(sheaf_serve *serve, char *message, size_t bytes) {
  sigset_t all, before;
  sigfillset(&all); /* the program's signals are its own */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&serve->thread, NULL, run, serve);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  serve->has_thread = failed == 0;
  return failed ? fail(message, bytes, SHEAF_E_IO, "cannot start a thread: ", strerror(failed))
                : SHEAF_OK;
}

static int32_t open_all(sheaf_serve *serve, char *message, size_t bytes) {
  int32_t status = sheaf__serve_listen(serve, message, bytes);
  if (status != SHEAF_OK) return status;
  serve->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  serve->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (serve->epoll_fd < 0 || serve->wake_fd < 0)
    return fail(message, bytes, SHEAF_E_IO, "cannot serve: ", strerror(errno));
  status = start_daemon(serve, message, bytes);
  return status == SHEAF_OK ? start_thread(serve, message, bytes) : status;
}

int32_t sheaf_serve_start(const sheaf_serve_options *options, sheaf_serve **serve, char *message,
                          size_t bytes) {
  if (options == NULL || serve == NULL) return SHEAF_E_MISUSE;
  if (message && bytes) message[0] = 0;
  sheaf_serve *fresh = calloc(1, sizeof *fresh);
  if (fresh == NULL) return fail(message, bytes, SHEAF_E_NOMEM, "no memory", "");
  fresh->listen_fd = fresh->epoll_fd = fresh->wake_fd = -1;
  pthread_mutex_init(&fresh->mutex, NULL);
  int32_t status = copy_options(fresh, options, message, bytes);
  if (status == SHEAF_OK) status = open_all(fresh, message, bytes);
  if (status != SHEAF_OK) {
    if (status == SHEAF_E_NOMEM) fail(message, bytes, status, "no memory", "");
    fresh->is_stopped = true; /* the client is not ours to stop yet */
    sheaf_serve_free(fresh);
    return status;
  }
  *serve = fresh;
  return SHEAF_OK;
}

/* ---- Stop, and what can be asked ---- */

void sheaf_serve_stop(sheaf_serve *serve, uint64_t drain_ms) {
  if (serve == NULL || serve->is_stopped) return;
  serve->is_stopped = true;
  atomic_store(&serve->is_draining, true);
  sheaf__serve_wake(serve);
  sheaf_client_stop(serve->client, drain_ms);
  atomic_store(&serve->is_closing, true);
  sheaf__serve_wake(serve);
  pthread_join(serve->thread, NULL);
  serve->has_thread = false;
}

void sheaf_serve_free(sheaf_serve *serve) {
  if (serve == NULL) return;
  sheaf_serve_stop(serve, 0);
  if (serve->daemon) MHD_stop_daemon(serve->daemon);
  if (serve->listen_fd >= 0) close(serve->listen_fd);
  if (serve->epoll_fd >= 0) close(serve->epoll_fd);
  if (serve->wake_fd >= 0) close(serve->wake_fd);
  sheaf__serve_spares_free(serve);
  if (serve->token) {
    explicit_bzero(serve->token, serve->token_bytes);
    free(serve->token);
  }
  pthread_mutex_destroy(&serve->mutex);
  free(serve);
}

const char *sheaf_serve_url(const sheaf_serve *serve) {
  return serve->url;
}

uint16_t sheaf_serve_port(const sheaf_serve *serve) {
  return serve->port;
}

void sheaf_serve_stats_get(sheaf_serve *serve, sheaf_serve_stats *stats) {
  size_t known = stats->struct_bytes < sizeof *stats ? stats->struct_bytes : sizeof *stats;
  pthread_mutex_lock(&serve->mutex);
  serve->stats.struct_bytes = (uint32_t)known;
  memcpy(stats, &serve->stats, known);
  pthread_mutex_unlock(&serve->mutex);
}
