/* sim_server.h: what the files of the server share.
 *
 *   server    start, stop, the one thread
 *   loop      timers and watched descriptors
 *   listen    the listening socket, which a fault may close for a while
 *   exchange  one request, from its first byte to its end
 *   service   the places of --capacity and the queue before them
 *   raw       answers that libmicrohttpd cannot give, byte by byte
 *   front     nghttpx before it all, for TLS and HTTP/2 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "sim_front.h"
#include "sim_int.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* ---- The loop (sim_loop.c) ---- */

typedef struct sim_timer {
  void (*fire)(void *ctx);
  void *ctx;
  uint64_t due_ns, sequence;
  size_t at; /* in the heap */
  bool is_set;
} sim_timer;

typedef struct sim_watch {
  void (*stir)(void *ctx, uint32_t events); /* EPOLL... */
  void *ctx;
  int fd;
  uint32_t events;
  bool is_on;
} sim_watch;

typedef struct sim_loop {
  int epoll_fd; /* of the watches */
  int wake_fd;
  sim_timer **heap; /* by due_ns, then sequence */
  size_t count, room;
  uint64_t sequence;
} sim_loop;

uint64_t sheaf__sim_now(void);
/* false: no descriptors, see errno. */
bool sheaf__sim_loop_open(sim_loop *loop);
void sheaf__sim_loop_close(sim_loop *loop);
/* From any thread: the wait that is under way, or the next one, ends at once. */
void sheaf__sim_loop_wake(sim_loop *loop);
/* Sets the timer, anew if it was set. false: no memory, it is not set. */
bool sheaf__sim_timer_set(sim_loop *loop, sim_timer *timer, uint64_t due_ns);
void sheaf__sim_timer_clear(sim_loop *loop, sim_timer *timer);
/* Watches fd for events, or for others than before. */
bool sheaf__sim_watch_set(sim_loop *loop, sim_watch *watch, int fd, uint32_t events);
void sheaf__sim_watch_clear(sim_loop *loop, sim_watch *watch);
void sheaf__sim_loop_fire(sim_loop *loop);
/* Waits until `also` is readable, a watched descriptor stirs, a timer is due, or wait_ns are over;
 * then tells those watches. */
void sheaf__sim_loop_wait(sim_loop *loop, int also, uint64_t wait_ns);

/* ---- Listening (sim_listen.c) ---- */

typedef struct sim_listener {
  struct sockaddr_storage address;
  socklen_t address_bytes;
  int fd;         /* -1: closed */
  int reserve_fd; /* bound and never listening: the port stays ours while fd is closed */
  uint16_t port;
  bool is_v6;
  uint64_t closed_until_ns;
  sim_timer reopen;
  sim_watch watch;
} sim_listener;

/* SHEAF_OK, SHEAF_E_FIELD, SHEAF_E_IO, and a message. */
int32_t sheaf__sim_listen_open(sheaf_sim *sim, const char *host, uint32_t port, char *message,
                               size_t bytes);
/* In the loop's thread: begins to accept. */
bool sheaf__sim_listen_begin(sheaf_sim *sim);
void sheaf__sim_listen_close(sheaf_sim *sim);
/* No connection is accepted for so long. Those that are open go on. */
void sheaf__sim_listen_refuse(sheaf_sim *sim, uint64_t for_ns);

/* ---- Exchanges (sim_exchange.c) ---- */

enum {
  SIM_RECEIVING,
  SIM_QUEUED,  /* for a place of the service */
  SIM_WAITING, /* until the answer is due */
  SIM_READY,   /* resumed, to be answered */
  SIM_SENDING,
  SIM_PAUSED,  /* a stream, between tokens */
  SIM_RAW,     /* sim_raw writes, libmicrohttpd looks away */
  SIM_ENDING,  /* all is written; the reset waits until it has arrived */
  SIM_STALLED, /* until the client leaves */
  SIM_ABORTED  /* libmicrohttpd is to let go of it */
};

enum { SIM_END_CLOSE, SIM_END_RESET, SIM_END_STALL };

typedef struct sim_request {
  sim_call call;
  sheaf_sim *sim;
  struct MHD_Connection *connection;
  struct sim_request *spare_next;
  struct sim_request *next, *previous;             /* suspended ones */
  struct sim_request *queue_next, *queue_previous; /* see sim_service */
  sim_timer timer;
  sim_watch watch;
  uint32_t state;
  uint32_t end;      /* SIM_END_, of what is broken */
  size_t sent;       /* of call.out, or of raw */
  sheaf_buf raw;     /* the answer's bytes as they go over the wire */
  uint64_t next_ns;  /* of a stream: when the next token is due; of a drip: the next bytes */
  uint64_t until_ns; /* of SIM_ENDING */
  bool is_counted;   /* as in flight */
  bool is_suspended;
  bool is_queued;
  bool is_broken; /* by us */
  bool is_left;   /* by the client */
  bool is_over;   /* of a stream: all is in call.out */
  bool is_cors;
} sim_request;

enum MHD_Result sheaf__sim_on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *bytes, void **slot);
void sheaf__sim_on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                             enum MHD_RequestTerminationCode why);
/* Sets the timer for the next thing that a batch job does. */
void sheaf__sim_arm_jobs(sheaf_sim *sim);
void sheaf__sim_on_jobs_due(void *ctx);
int sheaf__sim_socket(const sim_request *request);
/* Suspended -> libmicrohttpd is told to end the connection. */
void sheaf__sim_abort(sim_request *request);
/* Ends a suspended one as request->end says, once what was written has arrived. */
void sheaf__sim_end(sim_request *request);
void sheaf__sim_spares_free(sheaf_sim *sim);

/* ---- The service (sim_service.c) ---- */

typedef struct sim_service {
  uint32_t capacity; /* 0: everybody is served */
  uint32_t queue_max;
  uint32_t served, waiting;
  sim_request *first, *last; /* of those that wait */
} sim_service;

/* Whether the next to come would have to be refused. */
bool sheaf__sim_service_is_full(const sim_service *service);
/* true: it has a place (or needs none). false: it waits. */
bool sheaf__sim_service_enter(sim_service *service, sim_request *request);
/* Gives the place back, or leaves the queue; nothing if it has neither. Answers whose turn it is
 * now, which has the place already, or NULL. */
sim_request *sheaf__sim_service_leave(sim_service *service, sim_request *request);

/* ---- Raw answers (sim_raw.c) ---- */

/* Whether the call's fault has to be written by hand. */
bool sheaf__sim_raw_wants(const sim_call *call);
/* Begins on a suspended request, goes on when its timer fires or its socket takes more. */
void sheaf__sim_raw_start(sim_request *request);
void sheaf__sim_raw_continue(sim_request *request);

/* ---- Everything ---- */

struct sheaf_sim {
  sheaf_sim_options options;
  sim_world world;
  char host[64];
  char *key;
  char url[96];
  uint16_t port; /* the one that clients use */
  sim_loop loop;
  sim_timer jobs_timer;
  sim_listener listener;
  sim_service service;
  sim_front front;
  int front_fd; /* bound to the front's port; -1: none */
  struct MHD_Daemon *daemon;
  int daemon_fd; /* libmicrohttpd's epoll */
  pthread_t thread;
  bool has_thread;
  atomic_bool is_stopping;
  bool is_resumed; /* a connection, since MHD_run began */
  sem_t is_ready;  /* the thread has started, with `status` and `message` */
  int32_t status;
  char message[256];
  sim_request *suspended;
  sim_request *spare;
  uint32_t spare_count;
};

#endif
