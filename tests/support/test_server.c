/* test_server.c: a scripted HTTP server over loopback: one thread accepts, one per connection walks its script.
 *
 * Outline: reading, the steps, connections, life. */
#define _GNU_SOURCE
#include "test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 2048, LOG_BYTES_MAX = 64 << 20 };

struct test_server {
  const test_step *const *scripts;
  size_t script_count;
  int listener;
  int stop_fd; /* readable when the server ends */
  int port;
  pthread_t acceptor;
  pthread_mutex_t lock; /* of all below */
  pthread_t threads[CONNECTIONS_MAX];
  size_t connections;
  size_t requests;
  char *log;
  size_t log_bytes;
};

typedef struct connection {
  test_server *server;
  const test_step *script;
  int fd;
  char *in;
  size_t bytes;
  size_t capacity;
} connection;

static void must(bool is_fine, const char *what) {
  if (is_fine) return;
  perror(what);
  abort();
}

/* ---- Reading ---- */

static void remember(test_server *server, const char *data, size_t bytes) {
  pthread_mutex_lock(&server->lock);
  if (server->log_bytes + bytes < LOG_BYTES_MAX) {
    server->log = realloc(server->log, server->log_bytes + bytes + 1);
    must(server->log != NULL, "log");
    memcpy(server->log + server->log_bytes, data, bytes);
    server->log_bytes += bytes;
  }
  pthread_mutex_unlock(&server->lock);
}

/* Waits for bytes, the peer's end, the server's end, or the time. 1: readable; 0: time; -1: the server ends. */
static int wait_for(const connection *at, bool wants_bytes, int ms) {
  struct pollfd fds[2] = {{.fd = at->server->stop_fd, .events = POLLIN},
                          {.fd = wants_bytes ? at->fd : -1, .events = POLLIN}};
  int count = poll(fds, 2, ms);
  if (fds[0].revents != 0) return -1;
  return count > 0 ? 1 : 0;
}

static bool receive(connection *at) {
  if (wait_for(at, true, -1) < 1) return false;
  if (at->capacity - at->bytes < 65536) {
    at->capacity = at->capacity * 2 + 131072;
    at->in = realloc(at->in, at->capacity);
    must(at->in != NULL, "input");
  }
  ssize_t got = recv(at->fd, at->in + at->bytes, at->capacity - at->bytes, 0);
  if (got <= 0) return false;
  remember(at->server, at->in + at->bytes, (size_t)got);
  at->bytes += (size_t)got;
  return true;
}

static void drop(connection *at, size_t bytes) {
  memmove(at->in, at->in + bytes, at->bytes - bytes);
  at->bytes -= bytes;
}

/* The size of the body behind a head; SIZE_MAX: chunked. */
static size_t body_size(const char *head, size_t bytes) {
  char *copy = strndup(head, bytes);
  must(copy != NULL, "head");
  const char *length = strcasestr(copy, "\r\ncontent-length:");
  size_t size = strcasestr(copy, "\r\ntransfer-encoding: chunked") != NULL ? SIZE_MAX : 0;
  if (length != NULL) size = strtoul(length + 17, NULL, 10);
  free(copy);
  return size;
}

static bool read_request(connection *at) {
  for (;;) {
    const char *end = at->bytes == 0 ? NULL : memmem(at->in, at->bytes, "\r\n\r\n", 4);
    if (end != NULL) {
      size_t head = (size_t)(end - at->in) + 4;
      size_t body = body_size(at->in, head);
      size_t all = head + body;
      if (body == SIZE_MAX) {
        const char *last = memmem(at->in + head, at->bytes - head, "0\r\n\r\n", 5);
        all = last == NULL ? SIZE_MAX : (size_t)(last - at->in) + 5;
      }
      if (all <= at->bytes) {
        drop(at, all);
        pthread_mutex_lock(&at->server->lock);
        at->server->requests++;
        pthread_mutex_unlock(&at->server->lock);
        return true;
      }
    }
    if (!receive(at)) return false;
  }
}

/* ---- The steps ---- */

static bool send_all(const connection *at, const char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t sent = send(at->fd, data, bytes, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    bytes -= (size_t)sent;
  }
  return true;
}

static bool drip(const connection *at, const test_step *step, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    if (!send_all(at, step->data + i, 1)) return false;
    if (wait_for(at, false, (int)step->ms) < 0) return false;
  }
  return true;
}

static void reset(const connection *at) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(at->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* Whether the script goes on. */
static bool walk(connection *at, const test_step *step) {
  size_t bytes = step->bytes == 0 && step->data != NULL ? strlen(step->data) : step->bytes;
  switch (step->kind) {
    case TEST_READ: return read_request(at);
    case TEST_SEND: return send_all(at, step->data, bytes);
    case TEST_DRIP: return drip(at, step, bytes);
    case TEST_PAUSE: return wait_for(at, false, (int)step->ms) >= 0;
    case TEST_STALL:
      while (receive(at)) continue;
      return false;
    case TEST_RESET: reset(at); return false;
    case TEST_GET_BYTES:
      while (at->bytes < bytes) {
        if (!receive(at)) return false;
      }
      drop(at, bytes);
      return true;
    default: return false;
  }
}

/* ---- Connections ---- */

static void *serve(void *argument) {
  connection *at = argument;
  const test_step *step = at->script;
  for (;;) {
    if (step->kind == TEST_AGAIN) {
      step = at->script;
    } else if (walk(at, step)) {
      step++;
    } else {
      break;
    }
  }
  close(at->fd);
  free(at->in);
  free(at);
  return NULL;
}

static void begin(test_server *server, int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  connection *at = calloc(1, sizeof(*at));
  must(at != NULL, "connection");
  at->server = server;
  at->fd = fd;
  pthread_mutex_lock(&server->lock);
  size_t number = server->connections++;
  must(number < CONNECTIONS_MAX, "connections");
  size_t last = server->script_count - 1;
  at->script = server->scripts[number < last ? number : last];
  must(pthread_create(&server->threads[number], NULL, serve, at) == 0, "thread");
  pthread_mutex_unlock(&server->lock);
}

static void *accept_all(void *argument) {
  test_server *server = argument;
  for (;;) {
    struct pollfd fds[2] = {{.fd = server->stop_fd, .events = POLLIN},
                            {.fd = server->listener, .events = POLLIN}};
    poll(fds, 2, -1);
    if (fds[0].revents != 0) return NULL;
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) begin(server, fd);
  }
}

/* ---- Life ---- */

static int listen_on_loopback(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof(address);
  must(bind(fd, (struct sockaddr *)&address, bytes) == 0, "bind");
  must(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0, "getsockname");
  *port = ntohs(address.sin_port);
  return fd;
}

int test_free_port(void) {
  int port = 0;
  close(listen_on_loopback(&port));
  return port;
}

test_server *test_server_new(const test_step *const *scripts, size_t count) {
  test_server *server = calloc(1, sizeof(*server));
  must(server != NULL, "server");
  server->scripts = scripts;
  server->script_count = count;
  pthread_mutex_init(&server->lock, NULL);
  server->stop_fd = eventfd(0, EFD_CLOEXEC);
  must(server->stop_fd >= 0, "eventfd");
  server->listener = listen_on_loopback(&server->port);
  must(listen(server->listener, 1024) == 0, "listen");
  must(pthread_create(&server->acceptor, NULL, accept_all, server) == 0, "thread");
  return server;
}

void test_server_free(test_server *server) {
  if (server == NULL) return;
  const uint64_t one = 1;
  must(write(server->stop_fd, &one, sizeof(one)) == sizeof(one), "stop");
  pthread_join(server->acceptor, NULL);
  for (size_t i = 0; i < server->connections; i++) pthread_join(server->threads[i], NULL);
  close(server->listener);
  close(server->stop_fd);
  pthread_mutex_destroy(&server->lock);
  free(server->log);
  free(server);
}

int test_server_port(const test_server *server) {
  return server->port;
}

const char *test_server_url(const test_server *server, const char *path) {
  static char urls[4][256];
  static unsigned turn;
  char *url = urls[turn++ % 4];
  snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%d%s", server->port, path);
  return url;
}

size_t test_server_requests(test_server *server) {
  pthread_mutex_lock(&server->lock);
  size_t requests = server->requests;
  pthread_mutex_unlock(&server->lock);
  return requests;
}

size_t test_server_connections(test_server *server) {
  pthread_mutex_lock(&server->lock);
  size_t connections = server->connections;
  pthread_mutex_unlock(&server->lock);
  return connections;
}

bool test_server_saw(test_server *server, const char *text) {
  pthread_mutex_lock(&server->lock);
  bool saw =
      server->log_bytes > 0 && memmem(server->log, server->log_bytes, text, strlen(text)) != NULL;
  pthread_mutex_unlock(&server->lock);
  return saw;
}
