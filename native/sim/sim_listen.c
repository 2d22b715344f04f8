/* sim_listen.c: the listening socket is ours and not libmicrohttpd's, so that it can be closed for a
 * while: then the kernel itself refuses connections, as for a server that is down.
 *
 * A second socket is bound to the same port and never listens. Both have SO_REUSEADDR, which Linux
 * allows as long as only one listens; so nobody else gets the port while ours is closed. */
#define _GNU_SOURCE
#include "sim_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_MAX 64                 /* in a row, so that requests have their turn */
#define PAUSE_NS ((uint64_t)10000000)  /* when no descriptor is left */
#define RETRY_NS ((uint64_t)100000000) /* when the port is not free again */

static int32_t fail(char *message, size_t bytes, int32_t status, const char *what,
                    const char *why) {
  if (message && bytes) snprintf(message, bytes, "%s%s", what, why);
  return status;
}

/* ---- Sockets ---- */

static bool read_address(sim_listener *listener, const char *host, uint32_t port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  listener->is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
  if (!listener->is_v6 && inet_pton(AF_INET, host, &v4.sin_addr) != 1) return false;
  listener->address_bytes = listener->is_v6 ? sizeof v6 : sizeof v4;
  memcpy(&listener->address, listener->is_v6 ? (const void *)&v6 : (const void *)&v4,
         listener->address_bytes);
  return true;
}

static int bound_socket(const sim_listener *listener) {
  const int on = 1;
  int fd =
      socket(listener->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener->is_v6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, (const struct sockaddr *)&listener->address, listener->address_bytes) == 0)
    return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static bool listen_again(sim_listener *listener) {
  listener->fd = bound_socket(listener);
  if (listener->fd < 0) return false;
  if (listen(listener->fd, BACKLOG) == 0) return true;
  int error = errno;
  close(listener->fd);
  listener->fd = -1;
  errno = error;
  return false;
}

static void learn_port(sim_listener *listener) {
  socklen_t bytes = sizeof listener->address;
  getsockname(listener->reserve_fd, (struct sockaddr *)&listener->address, &bytes);
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  memcpy(&v4, &listener->address, sizeof v4);
  memcpy(&v6, &listener->address, sizeof v6);
  listener->port = ntohs(listener->is_v6 ? v6.sin6_port : v4.sin_port);
}

/* ---- Accepting ---- */

static void accept_all(sheaf_sim *sim, uint32_t count_max) {
  struct sockaddr_storage from;
  for (uint32_t i = 0; i < count_max; i++) {
    socklen_t bytes = sizeof from;
    int fd =
        accept4(sim->listener.fd, (struct sockaddr *)&from, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      MHD_add_connection(sim->daemon, fd, (const struct sockaddr *)&from, bytes);
      continue;
    }
    /* The waiting connection would wake us again at once. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      if (sheaf__sim_timer_set(&sim->loop, &sim->listener.reopen, sheaf__sim_now() + PAUSE_NS))
        sheaf__sim_watch_clear(&sim->loop, &sim->listener.watch);
    }
    if (errno != ECONNABORTED && errno != EINTR) return;
  }
}

static void on_stir(void *ctx, uint32_t events) {
  (void)events;
  accept_all(ctx, ACCEPTS_MAX);
}

static void on_reopen(void *ctx) {
  sheaf_sim *sim = ctx;
  if (sheaf__sim_listen_begin(sim)) return;
  sheaf__sim_timer_set(&sim->loop, &sim->listener.reopen, sheaf__sim_now() + RETRY_NS);
}

bool sheaf__sim_listen_begin(sheaf_sim *sim) {
  sim_listener *listener = &sim->listener;
  if (listener->fd < 0 && !listen_again(listener)) return false;
  return sheaf__sim_watch_set(&sim->loop, &listener->watch, listener->fd, EPOLLIN);
}

void sheaf__sim_listen_refuse(sheaf_sim *sim, uint64_t for_ns) {
  sim_listener *listener = &sim->listener;
  uint64_t until = sheaf__sim_now() + for_ns;
  if (!for_ns || until < listener->closed_until_ns) return;
  if (!sheaf__sim_timer_set(&sim->loop, &listener->reopen, until)) return;
  listener->closed_until_ns = until;
  if (listener->fd < 0) return;
  accept_all(sim, BACKLOG); /* these are connected already */
  /* accept_all may have paused itself on this timer. */
  sheaf__sim_timer_set(&sim->loop, &listener->reopen, until);
  sheaf__sim_watch_clear(&sim->loop, &listener->watch);
  close(listener->fd);
  listener->fd = -1;
}

/* ---- Open and close ---- */

int32_t sheaf__sim_listen_open(sheaf_sim *sim, const char *host, uint32_t port, char *message,
                               size_t bytes) {
  sim_listener *listener = &sim->listener;
  listener->reopen.fire = on_reopen;
  listener->watch.stir = on_stir;
  listener->reopen.ctx = listener->watch.ctx = sim;
  if (!read_address(listener, host, port))
    return fail(message, bytes, SHEAF_E_FIELD, "host: give a numeric address, not ", host);
  listener->reserve_fd = bound_socket(listener);
  if (listener->reserve_fd >= 0) {
    learn_port(listener);
    if (listen_again(listener)) return SHEAF_OK;
  }
  return fail(message, bytes, SHEAF_E_IO, "cannot listen: ", strerror(errno));
}

void sheaf__sim_listen_close(sheaf_sim *sim) {
  if (sim->listener.fd >= 0) close(sim->listener.fd);
  if (sim->listener.reserve_fd >= 0) close(sim->listener.reserve_fd);
  sim->listener.fd = sim->listener.reserve_fd = -1;
}

void sheaf_sim_raise_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}
