/* serve_int.h: what the files of the endpoint share.
 *
 *   serve.c           start, stop, the one thread
 *   serve_listen.c    addresses: which, and whether they are this machine's own
 *   serve_http.c      libmicrohttpd: connections, one request from its first byte to its end
 *   serve_accept.c    what is looked at before the body: path, origin, token, headers
 *   serve_request.c   a body into a request for the client
 *   serve_short.c     the same for providers other than OpenAI: what can be told to them
 *   serve_result.c    the client's results and deltas into bytes for the caller
 *   serve_reply.c     replies and chunks in OpenAI's shape
 *   serve_error.c     failures in OpenAI's shape: status, type, code, when to come back
 *   serve_pages.c     health, metrics, models
 *
 * Threads: the endpoint's own thread runs libmicrohttpd and hands requests to the client; the
 * client's driver thread calls back with deltas and results. The two meet in a call's inbox and in
 * the list of calls that have news, both under the mutex; a call is freed by the endpoint's thread
 * alone, once its connection has let go of it and the client has ended it.
 *
 *   RECEIVING -> WAITING -> READY -> SENDING <-> PAUSED    a stream, until there is more
 *                    `-> ABORTED <--------------- '        the caller left, or the end came */
#ifndef SERVE_INT_H
#define SERVE_INT_H

#include <sheaf/heap.h>
#include <sheaf/serve.h>

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
  SERVE_RECEIVING,
  SERVE_WAITING, /* suspended until the client has an answer */
  SERVE_READY,   /* resumed, to be answered */
  SERVE_SENDING,
  SERVE_PAUSED, /* a stream, suspended until there is more */
  SERVE_ABORTED /* libmicrohttpd is to let go of it */
};

enum {
  SERVE_CHAT,
  SERVE_COMPLETIONS,
  SERVE_EMBEDDINGS,
  SERVE_RESPONSES,
  SERVE_MODELS,
  SERVE_MODEL,
  SERVE_HEALTH,
  SERVE_METRICS
};

enum { SERVE_NAME_BYTES = 128, SERVE_MODELS_MAX = 64 };

typedef struct serve_conn serve_conn;

/* One request of a caller, and its answer. */
typedef struct serve_call {
  sheaf_serve *serve;
  struct MHD_Connection *connection; /* NULL: it has let go */
  serve_conn *conn;
  struct serve_call *next, *previous; /* of all that have a connection or a row */
  struct serve_call *spare_next;
  uint32_t state;
  uint32_t page; /* SERVE_CHAT, ... */
  sheaf_buf body;
  uint64_t discarded;   /* bytes of the body that are not kept */
  uint64_t charged;     /* of the body, to the sum of all */
  uint32_t refusal;     /* status of what is known to be wrong before the body is here; 0 */
  bool is_early;        /* ... and is told without waiting for it */
  sheaf_request wanted; /* what the headers ask for */
  char trust_key[SERVE_NAME_BYTES];
  /* Written before it is submitted. */
  char model[SERVE_NAME_BYTES]; /* as asked for, as the inside of a JSON string */
  int64_t created_s;
  uint64_t number; /* for ids */
  uint64_t id;     /* the client's */
  bool is_passed;  /* the provider speaks as OpenAI does: bytes pass as they are */
  bool is_stream, wants_usage, wants_base64;
  bool is_submitted, is_cancelled;
  /* ---- Shared: under the mutex, and until is_finished ---- */
  sheaf_buf inbox; /* of a stream whole events; else the body of the answer */
  size_t out_bytes;
  uint32_t status;        /* of the answer, once it is finished */
  uint64_t retry_after_s; /* 0: none */
  bool is_final;          /* the caller is asked not to try again: that was done */
  bool is_posted;         /* in the list of news */
  bool is_finished;       /* the client will not call back any more */
  bool is_committed;      /* a stream: 200 is told, or will be */
  bool is_closed;         /* a stream: no byte follows */
  bool is_cut;            /* by an error inside the stream: the row is to be cancelled */
  bool is_drained;        /* the end of the endpoint cancelled it */
  bool has_begun;         /* chunks of our own: the role is told */
  struct serve_call *next_posted;
  uint64_t raw_bytes; /* of the provider's stream, as far as it was handed on */
  char request_id[SERVE_NAME_BYTES];
  uint32_t attempts;
  const char *answered_by; /* static */
  const char *content_type, *allow;
  /* ---- The endpoint's thread ---- */
  sheaf_buf out;
  size_t sent;
} serve_call;

struct serve_conn {
  struct MHD_Connection *connection;
  serve_conn *next, *previous;
  serve_call *call; /* the one that is being served */
  int fd;
  bool is_left;
};

struct sheaf_serve {
  sheaf_serve_options options;
  char host[64], url[96];
  char *token; /* wiped */
  size_t token_bytes;
  char model[SERVE_NAME_BYTES];
  uint16_t port;
  bool is_loopback;
  bool is_openai;
  const sheaf_provider *provider;
  sheaf_client *client;
  int listen_fd, epoll_fd, wake_fd;
  struct MHD_Daemon *daemon;
  pthread_t thread;
  bool has_thread, is_stopped;
  atomic_bool is_draining; /* accepts no more */
  atomic_bool is_closing;  /* the client has ended everything */

  /* ---- The endpoint's thread ---- */
  serve_conn *connections;
  serve_call *calls, *spare;
  uint32_t spare_count;
  bool is_quiet;   /* libmicrohttpd listens no more */
  bool is_ending;  /* nothing is suspended any more */
  bool is_resumed; /* a connection, since MHD_run began */
  uint64_t bodies_bytes, next_number;

  /* ---- Shared ---- */
  pthread_mutex_t mutex;
  serve_call *posted;
  sheaf_serve_stats stats;
  char models[SERVE_MODELS_MAX][SERVE_NAME_BYTES]; /* that answered, as insides of JSON strings */
  uint32_t model_count;
};

/* serve_listen.c. SHEAF_OK, or a status and a sentence. Sets listen_fd, port, url, is_loopback. */
int32_t sheaf__serve_listen(sheaf_serve *serve, char *message, size_t bytes);
/* "localhost", 127.x.x.x, [::1], each with or without a port: what a Host header may say. */
bool sheaf__serve_is_loopback_name(const char *host);

/* serve_http.c */
enum MHD_Result sheaf__serve_on_request(void *ctx, struct MHD_Connection *connection,
                                        const char *url, const char *method, const char *version,
                                        const char *data, size_t *bytes, void **slot);
void sheaf__serve_on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                               enum MHD_RequestTerminationCode why);
void sheaf__serve_on_connection(void *ctx, struct MHD_Connection *connection, void **slot,
                                enum MHD_ConnectionNotificationCode what);
/* The caller has closed its side. */
void sheaf__serve_on_left(sheaf_serve *serve, serve_conn *conn);
/* Takes the news of all calls that have some. */
void sheaf__serve_take_posted(sheaf_serve *serve);
/* Lets go of everything that is suspended. */
void sheaf__serve_abort_all(sheaf_serve *serve);
void sheaf__serve_spares_free(sheaf_serve *serve);
/* Any thread, with the mutex: the call has news. Answers whether the thread has to be woken. */
bool sheaf__serve_post(serve_call *call);
void sheaf__serve_wake(const sheaf_serve *serve);

/* serve_accept.c. Looks at path, method and headers; sets page, wanted, refusal and the error's
 * body in out. */
void sheaf__serve_accept(serve_call *call, const char *method, const char *url);

/* serve_request.c. Reads the body and hands the request to the client. false: refused, the answer
 * is in out. */
bool sheaf__serve_submit(serve_call *call);

/* serve_short.c: what is asked for, in the client's short form. false: refused, the answer is in
 * out. */
typedef struct serve_short {
  sheaf_slice messages, prompt; /* one of them, or is_body */
  const char *url;
  uint64_t max_tokens;
  bool is_body;     /* params is the inside of a whole body */
  sheaf_buf params; /* members without braces */
  sheaf_buf model;  /* plain */
} serve_short;
bool sheaf__serve_shorten(serve_call *call, sheaf_slice body, serve_short *to);

/* serve_result.c: on the client's driver thread. */
void sheaf__serve_on_result(void *user, const sheaf_result *result);
void sheaf__serve_on_event(void *user, const sheaf_event *event);

/* serve_reply.c: append to a buffer. */
void sheaf__serve_put_reply(const serve_call *call, const sheaf_result *result, sheaf_buf *to);
/* An OpenAI reply. */
void sheaf__serve_put_body(const serve_call *call, const sheaf_result *result, sheaf_buf *to);
void sheaf__serve_put_chunk(serve_call *call, sheaf_slice text, sheaf_buf *to);
/* The last chunk, that of usage where it was asked for, and the end marker. */
void sheaf__serve_put_last(serve_call *call, const sheaf_result *result, sheaf_buf *to);
/* An Ollama embedding's reply as OpenAI's. false: it is none. */
bool sheaf__serve_put_embeddings(const serve_call *call, const sheaf_result *result, sheaf_buf *to);
/* Events of an OpenAI stream as the caller asked for them: without the one of usage, unless it
 * did. */
void sheaf__serve_put_events(const serve_call *call, sheaf_slice raw, sheaf_buf *to);

/* serve_error.c */
typedef struct serve_error {
  uint32_t status;
  const char *type; /* NULL: by the status */
  const char *code, *param;
} serve_error;
/* Makes it the answer. false, for those that answer it. */
bool sheaf__serve_refuse(serve_call *call, uint32_t status, const char *code, const char *param,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A failed result as the answer: status, body, when to come back. paused_ns: how long the provider
 * asked to wait, 0. */
void sheaf__serve_fail(serve_call *call, const sheaf_result *result, uint64_t paused_ns,
                       sheaf_buf *to);
/* An event that ends a stream which had begun. */
void sheaf__serve_put_error_event(sheaf_buf *to, const char *code, const char *message);

/* serve_pages.c: health, metrics, models: fills out, sets status and content_type. */
void sheaf__serve_page(serve_call *call, const char *url);
/* A model has answered. The mutex is held. */
void sheaf__serve_note_model(sheaf_serve *serve, sheaf_slice model);

#endif
