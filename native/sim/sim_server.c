/* sim_server.c: start and stop, and the one thread between them.
 *
 * One thread does everything. libmicrohttpd is run from outside ("external" epoll) and takes the
 * connections that we accept, so a timer and a socket never meet in two threads:
 *
 *   fire due timers -> MHD_run -> wait for {its epoll, watched sockets, wake-up} until a timer
 *
 * The same thread starts nghttpx, because that dies with the thread that started it. */
#define _GNU_SOURCE
#include "sim_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 65536u
#define POOL_BYTES ((size_t)32768) /* libmicrohttpd's memory per connection */

static int32_t fail(char *message, size_t bytes, int32_t status, const char *what,
                    const char *why) {
  if (message && bytes) snprintf(message, bytes, "%s%s", what, why);
  return status;
}

static bool has_front(const sheaf_sim *sim) {
  return sim->options.is_https || sim->options.is_http2;
}

/* ---- The thread ---- */

static int32_t start_front(sheaf_sim *sim) {
  const sim_front_options options = {.host = sim->host,
                                     .port = sim->port,
                                     .backend_host = "127.0.0.1",
                                     .backend_port = sim->listener.port,
                                     .is_https = sim->options.is_https,
                                     .is_http2 = sim->options.is_http2};
  return sheaf__sim_front_start(&sim->front, &options, sim->message, sizeof sim->message);
}

static int32_t begin(sheaf_sim *sim) {
  if (!sheaf__sim_listen_begin(sim))
    return fail(sim->message, sizeof sim->message, SHEAF_E_IO, "cannot listen: ", strerror(errno));
  return has_front(sim) ? start_front(sim) : SHEAF_OK;
}

/* MHD_get_timeout does not know of connections that were resumed within MHD_run. */
static uint64_t wait_ns(const sheaf_sim *sim) {
  MHD_UNSIGNED_LONG_LONG wanted_ms;
  if (sim->is_resumed) return 0;
  return MHD_get_timeout(sim->daemon, &wanted_ms) == MHD_YES ? wanted_ms * SIM_MS : UINT64_MAX;
}

static void loop(sheaf_sim *sim) {
  while (!atomic_load(&sim->is_stopping)) {
    sheaf__sim_loop_fire(&sim->loop);
    sim->is_resumed = false;
    MHD_run(sim->daemon);
    sheaf__sim_loop_wait(&sim->loop, sim->daemon_fd, wait_ns(sim));
  }
}

static void *run(void *ctx) {
  sheaf_sim *sim = ctx;
  sim->status = begin(sim);
  bool is_begun = sim->status == SHEAF_OK;
  sem_post(&sim->is_ready);
  if (is_begun) loop(sim);
  atomic_store(&sim->is_stopping, true);
  sheaf__sim_front_stop(&sim->front);
  /* libmicrohttpd must not be stopped while a connection is suspended; from here on none will be. */
  while (sim->suspended) sheaf__sim_abort(sim->suspended);
  MHD_run(sim->daemon);
  MHD_stop_daemon(sim->daemon);
  sim->daemon = NULL;
  return NULL;
}

/* ---- Start ---- */

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
  int32_t status = sheaf__sim_options_check(&sim->options, message, bytes);
  if (status != SHEAF_OK) return status;
  const char *host = sim->options.host ? sim->options.host : "127.0.0.1";
  if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
  snprintf(sim->host, sizeof sim->host, "%s", host);
  sim->options.host = sim->host;
  if (sim->options.key) {
    sim->key = strdup(sim->options.key);
    if (!sim->key) return SHEAF_E_NOMEM;
    sim->options.key = sim->key;
  }
  return SHEAF_OK;
}

static int32_t start_daemon(sheaf_sim *sim, char *message, size_t bytes) {
  const unsigned flags =
      MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
  errno = 0;
  sim->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, sheaf__sim_on_request, sim, MHD_OPTION_CONNECTION_LIMIT,
      CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
      sheaf__sim_on_completed, sim, MHD_OPTION_END);
  if (!sim->daemon)
    return fail(message, bytes, SHEAF_E_IO,
                "cannot serve: ", errno ? strerror(errno) : "libmicrohttpd did not start");
  sim->daemon_fd = MHD_get_daemon_info(sim->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  return SHEAF_OK;
}

/* The front's port is found, or tried, by listening there. What stays bound to it keeps others away
 * until nghttpx listens, and afterwards does no harm. */
static int32_t choose_port(sheaf_sim *sim, char *message, size_t bytes) {
  int32_t status = sheaf__sim_listen_open(sim, sim->host, sim->options.port, message, bytes);
  if (status != SHEAF_OK) return status;
  sim->port = sim->listener.port;
  snprintf(sim->url, sizeof sim->url, sim->listener.is_v6 ? "http%s://[%s]:%u" : "http%s://%s:%u",
           sim->options.is_https ? "s" : "", sim->host, (unsigned)sim->port);
  if (!has_front(sim)) return SHEAF_OK;
  sim->front_fd = sim->listener.reserve_fd;
  sim->listener.reserve_fd = -1;
  sheaf__sim_listen_close(sim);
  return sheaf__sim_listen_open(sim, "127.0.0.1", 0, message, bytes);
}

static int32_t open_all(sheaf_sim *sim, char *message, size_t bytes) {
  int32_t status = sheaf__sim_world_open(&sim->world, &sim->options, message, bytes);
  if (status != SHEAF_OK) return status;
  sim->world.start_ns = sheaf__sim_now();
  sim->jobs_timer.fire = sheaf__sim_on_jobs_due;
  sim->jobs_timer.ctx = sim;
  sim->service.capacity = sim->options.capacity;
  sim->service.queue_max = sim->options.queue_max;
  if (!sheaf__sim_loop_open(&sim->loop))
    return fail(message, bytes, SHEAF_E_IO, "no descriptors left: ", strerror(errno));
  status = choose_port(sim, message, bytes);
  if (status == SHEAF_OK) status = start_daemon(sim, message, bytes);
  if (status != SHEAF_OK) return status;
  int error = pthread_create(&sim->thread, NULL, run, sim);
  if (error) return fail(message, bytes, SHEAF_E_IO, "no thread: ", strerror(error));
  sim->has_thread = true;
  while (sem_wait(&sim->is_ready) != 0) continue; /* a signal came */
  return sim->status == SHEAF_OK ? SHEAF_OK : fail(message, bytes, sim->status, sim->message, "");
}

int32_t sheaf_sim_start(const sheaf_sim_options *options, sheaf_sim **sim, char *message,
                        size_t bytes) {
  if (!sim) return SHEAF_E_MISUSE;
  if (message && bytes) message[0] = 0;
  sheaf_sim *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return fail(message, bytes, SHEAF_E_NOMEM, "no memory", "");
  fresh->loop.epoll_fd = fresh->loop.wake_fd = -1;
  fresh->listener.fd = fresh->listener.reserve_fd = fresh->front_fd = -1;
  sem_init(&fresh->is_ready, 0, 0);
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

/* ---- Stop, and what can be asked ---- */

void sheaf_sim_stop(sheaf_sim *sim) {
  if (!sim) return;
  if (sim->has_thread) {
    atomic_store(&sim->is_stopping, true);
    sheaf__sim_loop_wake(&sim->loop);
    pthread_join(sim->thread, NULL);
  }
  if (sim->daemon) MHD_stop_daemon(sim->daemon);
  sheaf__sim_listen_close(sim);
  if (sim->front_fd >= 0) close(sim->front_fd);
  sheaf__sim_loop_close(&sim->loop);
  sheaf__sim_spares_free(sim);
  sheaf__sim_world_close(&sim->world);
  sem_destroy(&sim->is_ready);
  free(sim->key);
  free(sim);
}

uint16_t sheaf_sim_port(const sheaf_sim *sim) {
  return sim->port;
}

const char *sheaf_sim_url(const sheaf_sim *sim) {
  return sim->url;
}

const char *sheaf_sim_certificate(const sheaf_sim *sim) {
  return sim->options.is_https ? sim->front.certificate : NULL;
}

int32_t sheaf_sim_stats(sheaf_sim *sim, sheaf_buf *json) {
  if (!sim || !json) return SHEAF_E_MISUSE;
  sheaf__sim_ledger_write_stats(sim->world.ledger, sim->options.seed, json);
  return json->status;
}
