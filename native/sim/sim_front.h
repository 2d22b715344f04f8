/* sim_front.h: nghttpx before a plain server: TLS and HTTP/2 with a throwaway certificate made for
 * the occasion. It needs nothing of the simulator; the transport's tests use it, too. */
#ifndef SIM_FRONT_H
#define SIM_FRONT_H

#include <sheaf/base.h>

#include <sys/types.h>

typedef struct sim_front {
  pid_t pid;             /* 0: none */
  char folder[96];       /* of the two files; empty: none */
  char certificate[128]; /* vouches for itself */
  char key[128];         /* gone once nghttpx has read it */
} sim_front;

typedef struct sim_front_options {
  const char *host; /* a numeric address to listen at */
  uint16_t port;
  const char *backend_host; /* of the plain server */
  uint16_t backend_port;
  bool is_https;
  bool is_http2; /* offered beside HTTP/1.1; without is_https by prior knowledge */
  bool says_via; /* the header, both ways */
} sim_front_options;

/* Starts nghttpx and waits until it listens. On Linux it dies with the thread that called,
 * however that ends. SHEAF_OK; SHEAF_E_IO with a message that names the missing package. */
int32_t sheaf__sim_front_start(sim_front *front, const sim_front_options *options, char *message,
                               size_t bytes);
/* Kills it, and its connections with it. Again, or on one that is all zeros, does nothing. */
void sheaf__sim_front_stop(sim_front *front);

#endif
