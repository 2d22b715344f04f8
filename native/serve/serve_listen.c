/* serve_listen.c: the listening socket, and which addresses are this machine's own. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

typedef union serve_address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} serve_address;

static int32_t fail(char *message, size_t bytes, int32_t status, const char *what,
                    const char *why) {
  if (message && bytes) snprintf(message, bytes, "%s%s", what, why);
  return status;
}

/* 127.0.0.0/8, as digits and dots, of which inet_pton has seen to it that there are four. */
static bool is_v4_loopback(const char *host, size_t bytes) {
  char text[INET_ADDRSTRLEN];
  struct in_addr address;
  if (bytes >= sizeof text) return false;
  memcpy(text, host, bytes);
  text[bytes] = 0;
  return inet_pton(AF_INET, text, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

bool sheaf__serve_is_loopback_name(const char *host) {
  static const char *const names[] = {"localhost", "[::1]"};
  size_t bytes = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
  if (strlen(host) < bytes) return false;
  const char *rest = host + bytes;
  if (rest[0] && (rest[0] != ':' || rest[1 + strspn(rest + 1, "0123456789")])) return false;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strlen(names[i]) == bytes && strncasecmp(host, names[i], bytes) == 0) return true;
  return is_v4_loopback(host, bytes);
}

static bool read_address(const char *host, uint32_t port, serve_address *address,
                         socklen_t *bytes) {
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)port);
    *bytes = sizeof address->v4;
    return true;
  }
  if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) != 1) return false;
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons((uint16_t)port);
  *bytes = sizeof address->v6;
  return true;
}

static bool is_loopback(const serve_address *address) {
  if (address->any.sa_family == AF_INET) return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
  return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static bool open_socket(sheaf_serve *serve, serve_address *address, socklen_t bytes) {
  const int on = 1;
  bool is_v6 = address->any.sa_family == AF_INET6;
  int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return false;
  serve->listen_fd = fd;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (is_v6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, &address->any, bytes) != 0 || listen(fd, BACKLOG) != 0) return false;
  if (getsockname(fd, &address->any, &bytes) != 0) return false;
  serve->port = ntohs(is_v6 ? address->v6.sin6_port : address->v4.sin_port);
  snprintf(serve->url, sizeof serve->url, is_v6 ? "http://[%s]:%u" : "http://%s:%u", serve->host,
           (unsigned)serve->port);
  return true;
}

int32_t sheaf__serve_listen(sheaf_serve *serve, char *message, size_t bytes) {
  serve_address address;
  socklen_t address_bytes;
  if (strcmp(serve->host, "localhost") == 0) snprintf(serve->host, sizeof serve->host, "127.0.0.1");
  if (serve->options.port > 65535 ||
      !read_address(serve->host, serve->options.port, &address, &address_bytes))
    return fail(message, bytes, SHEAF_E_FIELD,
                "give a numeric address and a port up to 65535, not ", serve->host);
  serve->is_loopback = is_loopback(&address);
  if (!serve->is_loopback && serve->token == NULL)
    return fail(message, bytes, SHEAF_E_AUTH,
                "others can reach this address, and would spend your money: it needs an access "
                "token: ",
                serve->host);
  if (open_socket(serve, &address, address_bytes)) return SHEAF_OK;
  return fail(message, bytes, SHEAF_E_IO, "cannot listen: ", strerror(errno));
}
