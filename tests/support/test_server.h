/* test_server.h: an HTTP server over real loopback sockets that does what a script says, and remembers what it was sent.
 *
 * Each connection has a thread that walks a script: the n-th connection the n-th script, later ones the last.
 *
 *   static const test_step reply[] = {{.kind = TEST_READ}, {.kind = TEST_SEND, .data = "HTTP/1.1 200 OK\r\n..."},
 *                                     {.kind = TEST_AGAIN}};
 *   const test_step *scripts[] = {reply};
 *   test_server *server = test_server_new(scripts, 1);
 */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  TEST_CLOSE = 0, /* ends the connection; also what an array's zeros mean */
  TEST_READ,  /* one whole request, with its body; the script ends when the peer closes instead */
  TEST_SEND,  /* data; bytes 0: it is terminated text */
  TEST_DRIP,  /* as SEND, byte by byte, ms apart */
  TEST_PAUSE, /* ms */
  TEST_STALL, /* until the peer closes or the server is freed */
  TEST_RESET, /* ends the connection by RST */
  TEST_GET_BYTES, /* reads `bytes` raw bytes, whatever they are; counts as no request */
  TEST_AGAIN      /* from the script's first step */
};

typedef struct test_step {
  int kind;
  unsigned ms;
  const char *data;
  size_t bytes;
} test_step;

typedef struct test_server test_server;

/* Listens on a free port of 127.0.0.1. Aborts where it cannot: a test without its server means nothing. */
test_server *test_server_new(const test_step *const *scripts, size_t count);
void test_server_free(test_server *server);
int test_server_port(const test_server *server);
/* "http://127.0.0.1:PORT" + path; static, four at a time. */
const char *test_server_url(const test_server *server, const char *path);
size_t test_server_requests(test_server *server);    /* whole ones */
size_t test_server_connections(test_server *server); /* accepted */
/* Whether text occurs in what was received, over all connections. */
bool test_server_saw(test_server *server, const char *text);
/* A port of 127.0.0.1 on which nobody listens. */
int test_free_port(void);

#endif
