/* client_int.h: what the files of the client share.
 *
 *   client.c         life, submit, cancel, the completion queue, statistics: what other threads call
 *   client_open.c    options into an engine and a transport; keys
 *   client_driver.c  the thread: takes commands, feeds the engine, waits
 *   client_live.c    rows inside the engine and how each of them ends
 *   batch.c          a whole list: check, hand over, wait, look up
 *   batch_check.c    every request of a list, before any is sent
 *   batch_stats.c    statistics of one list from its results
 *   result_copy.c    a result of its own, in one block
 *
 * Threads: what stands under "shared" in sheaf_client is guarded by its mutex; what stands under "the driver's own" is touched
 * by the driver thread alone once it runs; the rest is written before the thread begins and only read from then on. A callback
 * of the user's runs on the driver thread without the mutex, inside the engine: it may hand over, it may not call the engine.
 *
 * A request is in exactly one place: a command in the queue, a command in the driver's `waiting`, an unfed position of a list,
 * or a live row; it leaves by sheaf__row_end, once. */
#ifndef SHEAF_CLIENT_INT_H
#define SHEAF_CLIENT_INT_H

#include <sheaf/client.h>
#include <sheaf/curl.h>

#include <pthread.h>
#include <stdatomic.h>

#define SHEAF__SNAPSHOT_NS UINT64_C(100000000) /* statistics are taken anew after this */
#define SHEAF__STARVED_NS UINT64_C(10000000)   /* without memory: try again after this */
#define SHEAF__ROW_CHUNK 256u
#define SHEAF__ID_BYTES 32u /* "row-" and a number */
/* Rows of lists that wait inside the engine beyond what may be in flight: as its own read-ahead. */
#define SHEAF__LIST_AHEAD 32u

enum { SHEAF__DO_SUBMIT, SHEAF__DO_CANCEL, SHEAF__DO_LIST, SHEAF__DO_CREDENTIAL };

typedef struct sheaf__command {
  struct sheaf__command *next;
  uint32_t kind; /* SHEAF__DO_* */
  uint64_t id;   /* of submit and cancel */
} sheaf__command;

/* A request handed over: one block with its text, owned by whoever holds the queue it is in. */
typedef struct sheaf__submit {
  sheaf__command command;
  sheaf_result_fn fn;
  void *user;
  sheaf_request request; /* its slices point behind */
} sheaf__submit;

/* On the stack of the thread that waits for the answer. */
typedef struct sheaf__credential {
  sheaf__command command;
  uint32_t credential_id;
  const char *base_url;
  const char *secret;
  int32_t status;
  bool answered; /* under the mutex */
} sheaf__credential;

/* A list that runs. The caller's requests are read where they are: the caller waits until it is over. */
typedef struct sheaf__list {
  sheaf__command command;
  struct sheaf__list *next;      /* of the driver's lists */
  const sheaf_request *requests; /* or prompts */
  const char *const *prompts;
  size_t stride; /* from one request to the next: an older caller's struct is shorter */
  size_t count;
  size_t fed; /* positions that entered the engine, or ended without it */
  size_t ended;
  const sheaf_batch_options *options;
  uint64_t progress_ns; /* when it is told next */
  sheaf_batch *batch;
  bool over; /* under the mutex */
} sheaf__list;

/* A row inside the engine. */
typedef struct sheaf__live {
  struct sheaf__live *next, *prev;
  uint64_t id;
  uint64_t index; /* the engine's */
  sheaf_result_fn fn;
  void *user;
  void *request_user;
  sheaf__list *list; /* NULL: submitted alone */
  size_t position;
} sheaf__live;

typedef struct sheaf__live_chunk {
  struct sheaf__live_chunk *next;
  sheaf__live rows[SHEAF__ROW_CHUNK];
} sheaf__live_chunk;

/* A result that is its own. */
typedef struct sheaf__owned {
  struct sheaf__owned *next;
  char *text; /* where all slices of the result point into */
  size_t text_bytes;
  sheaf_result result;
} sheaf__owned;

/* What notices told, for the status line. */
typedef struct sheaf__health {
  bool breaker_open;
  bool key_stopped;
  bool budget_spent;
  bool late;
  bool broken; /* the transport failed for good */
} sheaf__health;

struct sheaf_client {
  /* ---- Written before the driver begins ---- */
  sheaf_engine_options options; /* its slices and the endpoints' are in text */
  sheaf_endpoint *endpoints;
  char *text;
  uint64_t capacity; /* requests that may wait */
  uint64_t ahead;    /* of them, rows of lists */
  pthread_t thread;

  /* ---- Shared ---- */
  pthread_mutex_t mutex;
  pthread_cond_t room;     /* for submit */
  pthread_cond_t finished; /* for next */
  pthread_cond_t answered; /* lists, credentials and statistics */
  sheaf__command *first, *last;
  uint64_t queued;  /* submits in the queue */
  uint64_t inside;  /* that wait behind it: what the driver last saw */
  uint32_t blocked; /* threads that wait for room */
  bool draining, aborting, closing, gone;
  uint64_t stats_wanted, stats_given;
  sheaf_stats stats;
  sheaf__health health;
  sheaf__owned *done_first, *done_last;

  atomic_uint_fast64_t next_id;
  atomic_bool posted; /* something was handed over since the driver looked */
  atomic_bool asleep; /* the driver may be waiting: wake it */

  /* ---- The driver's own ---- */
  sheaf_engine *engine;
  sheaf_curl *curl;
  sheaf__command *waiting_first, *waiting_last; /* submits taken, not admitted yet */
  uint64_t waiting_count;
  sheaf__list *lists;
  sheaf__list *feed_at; /* whose turn it is; NULL: the first's */
  sheaf__live *live;    /* all rows inside */
  sheaf__live *spare;
  sheaf__live_chunk *chunks;
  sheaf__health seen;
  bool drained, aborted, starved;
  uint64_t now_ns, snapshot_ns;
  uint64_t refused, unsent; /* that ended without the engine: statistics add them */
};

/* client_open.c. What sheaf_client_new answers; leaves made what sheaf__client_close takes apart. */
int32_t sheaf__client_open(sheaf_client *client, const sheaf_client_options *options);
void sheaf__client_close(sheaf_client *client);
extern const sheaf_allocator sheaf__heap;

/* client.c. The mutex is held. */
void sheaf__post(sheaf_client *client, sheaf__command *command);
/* Makes the driver look, if it may be asleep. Without the mutex. */
void sheaf__wake(sheaf_client *client);
/* Whether the calling thread is the driver of this client. */
bool sheaf__on_driver(const sheaf_client *client);

/* client_driver.c */
void *sheaf__drive(void *client);
void sheaf__stats_take(const sheaf_client *client, sheaf_stats *stats);

/* client_live.c */
int32_t sheaf__event_put(void *client, const sheaf_event *event);
/* Hands a submit or the list's next position to the engine. SHEAF_OK: it is inside, or over already. SHEAF_E_FULL, SHEAF_E_NOMEM: not
 * yet, nothing changed. */
int32_t sheaf__admit_submit(sheaf_client *client, const sheaf__submit *submit);
int32_t sheaf__admit_next(sheaf_client *client, sheaf__list *list);
/* Ends what never entered the engine. SHEAF_E_NOMEM: nothing changed. */
int32_t sheaf__end_submit(sheaf_client *client, const sheaf__submit *submit, uint32_t error_class,
                          const char *message);
int32_t sheaf__end_next(sheaf_client *client, sheaf__list *list, uint32_t error_class,
                        const char *message);
/* Ends a live row that the engine will not end. */
int32_t sheaf__end_live(sheaf_client *client, sheaf__live *live, uint32_t error_class,
                        const char *message);

/* batch.c */
/* The request at a position, as it goes to the engine; id is its memory for a made custom_id. */
void sheaf__list_request(const sheaf__list *list, size_t position, char id[SHEAF__ID_BYTES],
                         sheaf_request *request);
/* Puts a result, which the batch then owns, in its place. */
void sheaf__list_put(sheaf__list *list, size_t position, sheaf_result *result);
/* "row-N" of a 0-based number. */
sheaf_slice sheaf__row_name(uint64_t number, char id[SHEAF__ID_BYTES]);
bool sheaf__slice_same(sheaf_slice a, sheaf_slice b);

/* batch_check.c. table: places of 2^bits - 1 & mask, each a position + 1 or 0. */
int32_t sheaf__list_check(const sheaf_client *client, const sheaf__list *list, uint32_t *table,
                          size_t mask, sheaf_parse_error *error);
size_t sheaf__id_hash(sheaf_slice id);
/* What can be seen of a request without the provider's dialect. An empty prompt is one. */
int32_t sheaf__request_form(const sheaf_request *request, sheaf_parse_error *error);

/* batch_stats.c. Replaces in stats what the results tell of themselves. SHEAF_E_NOMEM: the quantiles are left out. */
int32_t sheaf__batch_stats(sheaf_stats *stats, sheaf_result *const *results, size_t count);

/* result_copy.c. NULL: no memory. */
sheaf__owned *sheaf__result_copy(const sheaf_result *result);

#endif
