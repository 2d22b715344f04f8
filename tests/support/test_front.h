/* test_front.h: nghttpx before a test server: TLS and HTTP/2 with a throwaway certificate made for
 * the occasion. */
#ifndef TEST_FRONT_H
#define TEST_FRONT_H

#include "../../native/sim/sim_front.h"

typedef struct test_front {
  sim_front front;
  int port;
  char url[64];            /* "https://127.0.0.1:PORT/v1" */
  const char *certificate; /* a file: it vouches for itself */
  char message[128];
} test_front;

/* Starts it before the server on a port of 127.0.0.1. parameter: ";no-tls", or "".
 * NULL, or the sentence that says which package is missing. */
const char *test_front_open(test_front *front, int backend_port, const char *parameter);
/* Kills it; its connections die with it. Closing again, or one that is all zeros, does nothing. */
void test_front_close(test_front *front);

#endif
