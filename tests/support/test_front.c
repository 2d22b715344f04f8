/* test_front.c: the simulator's front (native/sim/sim_front.c) before a test server. */
#include "test_front.h"

#include "test_server.h"

#include <stdio.h>
#include <string.h>

const char *test_front_open(test_front *front, int backend_port, const char *parameter) {
  *front = (test_front){.port = test_free_port()};
  const sim_front_options options = {.host = "127.0.0.1",
                                     .port = (uint16_t)front->port,
                                     .backend_host = "127.0.0.1",
                                     .backend_port = (uint16_t)backend_port,
                                     .is_https = strcmp(parameter, ";no-tls") != 0,
                                     .is_http2 = true,
                                     .says_via = true};
  snprintf(front->url, sizeof(front->url), "https://127.0.0.1:%d/v1", front->port);
  if (sheaf__sim_front_start(&front->front, &options, front->message, sizeof(front->message)))
    return front->message;
  front->certificate = front->front.certificate;
  return NULL;
}

void test_front_close(test_front *front) {
  sheaf__sim_front_stop(&front->front);
}
