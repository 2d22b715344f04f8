/* test_front.h: nghttpx before a test server: TLS and HTTP/2 with a throwaway certificate made for the occasion. */
#ifndef TEST_FRONT_H
#define TEST_FRONT_H

#include <sys/types.h>

typedef struct test_front {
  pid_t pid;
  int port;
  char url[64];          /* "https://127.0.0.1:PORT/v1" */
  char certificate[128]; /* a file: it vouches for itself */
  char key[128];
  char folder[64];
} test_front;

/* Starts it before the server on a port of 127.0.0.1. parameter: of nghttpx's frontend, as ";no-tls", or "".
 * NULL, or the sentence that says which package is missing. */
const char *test_front_open(test_front *front, int backend_port, const char *parameter);
/* Kills it; its connections die with it. Closing again, or one that is all zeros, does nothing. */
void test_front_close(test_front *front);

#endif
