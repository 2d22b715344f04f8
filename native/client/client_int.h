/* client_int.h: what the files of the client share.
 *
 *   client.c           life: new, free, stop, start, drain, abort
 *   client_submit.c    handing over: room, submit, cancel; the completion queue
 *   client_handle.c    handles: one result that several threads may wait for
 *   client_ask.c       what only the driver can do and a caller waits for: options, pauses, keys, statistics, health
 *   client_open.c      options into an engine and a transport
 *   client_place.c     where to and with which key: of clients and of jobs
 *   client_copy.c      the options' own copy, which a restart needs
 *   client_driver.c    the thread: feeds the engine, tells who waits, sleeps
 *   client_take.c      what it does with what was handed over
 *   client_live.c      rows inside the engine and how each of them ends
 *   client_hooks.c     the caller's hooks, seen from the engine
 *   client_tasks.c     the caller's own functions on worker threads, as exchanges
 *   client_report.c    statistics as lines
 *   batch.c            a whole list: check, hand over, wait, look up
 *   batch_check.c      every request of a list, before any is sent
 *   batch_stats.c      statistics of one list from its results
 *   result_copy.c      a result of its own, in one block
 *   heap.c             the C library's memory as an allocator
 *
 * Threads: what stands under "shared" in sheaf_client is guarded by its mutex or atomic; what stands under "the driver's own" is
 * touched by the driver thread alone while it runs, and by who holds `life` while it does not; the rest is written before the first
 * thread begins. A callback of the user's runs on the driver thread without the mutex, inside the engine: it may hand over, it may not
 * call the engine.
 *
 * A request is in exactly one place: the inbox, the driver's `waiting`, an unfed position of a list, or a live row; it leaves once. */
#ifndef SHEAF_CLIENT_INT_H
#define SHEAF_CLIENT_INT_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* threads, signals, clocks */
#endif

#include <sheaf/client.h>
#include <sheaf/curl.h>
#include <sheaf/heap.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define SHEAF__SNAPSHOT_NS UINT64_C(100000000) /* statistics are taken anew after this */
#define SHEAF__STARVED_NS UINT64_C(10000000)   /* without memory: try again after this */
/* Results are handed over by so many, or after so long, or before the driver sleeps. */
#define SHEAF__BATCH 256u
#define SHEAF__BATCH_NS UINT64_C(200000)
#define SHEAF__ROW_CHUNK 256u
#define SHEAF__ID_BYTES 32u /* "row-" and a number */
/* Rows of lists that wait inside the engine beyond what may be in flight: as its own read-ahead. */
#define SHEAF__LIST_AHEAD 32u
#define SHEAF__WORKERS_MAX 1024u
#define SHEAF__WORKERS 64u /* unless the options say otherwise */

enum { SHEAF__DO_SUBMIT, SHEAF__DO_CANCEL, SHEAF__DO_LIST, SHEAF__DO_ASK, SHEAF__DO_LATER };

typedef struct sheaf__command {
  struct sheaf__command *next;
  uint32_t kind;  /* SHEAF__DO_* */
  uint32_t bytes; /* of the text of a submit, as it counts for queue_bytes_max */
  uint64_t id;    /* of submit and cancel */
} sheaf__command;

/* ---- Tasks ---- */

enum { /* where a task is; moved under the crew's mutex */
       SHEAF__TASK_IDLE,
       SHEAF__TASK_QUEUED, /* no worker has it yet */
       SHEAF__TASK_RUNNING,
       SHEAF__TASK_RETURNED
};

/* A function under way, attempt by attempt. Lives as long as its row, or until its function has returned. */
typedef struct sheaf__task {
  struct sheaf__task *next;          /* of the crew's queue, or of what has returned or ended */
  struct sheaf__task *newer, *older; /* of those whose exchange is out: the driver's own */
  sheaf_task_fn run;
  void *user;
  uint64_t exchange; /* 0: none is out */
  uint64_t deadline_ns;
  sheaf_task_report report;
  uint32_t state; /* SHEAF__TASK_* */
  uint32_t end;   /* SHEAF_END_*: why its result is not wanted any more; OK: it is */
  bool orphan;    /* its row has ended without it */
  atomic_bool cancelled;
} sheaf__task;

typedef struct sheaf__crew {
  pthread_mutex_t mutex;
  pthread_cond_t ready;
  sheaf__task *first, *last; /* for the next worker */
  sheaf__task *returned;     /* for the driver */
  uint32_t queued, idle, count, max;
  bool quit;
  pthread_t *threads;       /* of max; `count` of them run */
  atomic_bool has_returned; /* the driver looks at this before it takes the mutex */

  /* ---- The driver's own ---- */
  sheaf__task *out;   /* whose exchange is out */
  sheaf__task *ended; /* without a worker: told at the next turn */
  uint64_t check_ns;  /* no deadline is due before */
} sheaf__crew;

/* ---- Requests ---- */

/* Whose a result is. */
typedef struct sheaf__whose {
  sheaf_result_fn fn;
  void (*on_event)(void *user, const sheaf_event *event);
  void *user;         /* of both */
  void *request_user; /* as the request gave it */
  sheaf_handle *handle;
  sheaf__task *task;
} sheaf__whose;

/* A request handed over: one block with its text, owned by whoever holds the queue it is in. */
typedef struct sheaf__submit {
  sheaf__command command;
  sheaf__whose whose;
  sheaf_request request; /* its slices point behind */
} sheaf__submit;

/* On the stack of the thread that waits for the answer. act runs on the driver thread outside of the engine, or on the caller's under
 * `life` while there is no driver. */
typedef int32_t (*sheaf__act)(sheaf_client *client, void *ctx);
typedef struct sheaf__ask {
  sheaf__command command;
  sheaf__act act;
  void *ctx;
  int32_t status;
  bool answered; /* under the mutex */
} sheaf__ask;

/* The same for the driver itself, which cannot wait: asked in a callback, done after it. ctx is text in the same block. */
typedef struct sheaf__later {
  sheaf__command command;
  sheaf__act act;
  void *ctx;
} sheaf__later;

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
  struct sheaf__live *same; /* of its bucket; lists have none */
  uint64_t id;
  uint64_t index; /* the engine's */
  uint64_t bytes; /* of its text, where it counts */
  sheaf__whose whose;
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

/* What notices told, for the status line and for healthy. */
typedef struct sheaf__health {
  uint64_t breakers_open; /* a bit an endpoint */
  bool key_stopped;
  bool budget_spent;
  bool late;
  bool broken; /* the transport failed for good */
  bool paused;
} sheaf__health;

/* When a run is to end. The mutex is held; each start begins with zeroes. */
typedef struct sheaf__wish {
  bool draining, aborting;
  bool closing; /* the thread is to end when nothing is left */
  uint64_t stop_ns;
} sheaf__wish;

/* What options point at, as copies. */
typedef struct sheaf__kept {
  sheaf_token_counter tokens;
  sheaf_endpoint *endpoints;
  sheaf_header *headers;
  char *text; /* what slices of options, endpoints and headers point into */
  uint8_t secret[SHEAF_SECRET_BYTES];
} sheaf__kept;

#define SHEAF__URL_BYTES 1024

/* Where requests go. The pointers are the caller's or the environment's, or point at url. */
typedef struct sheaf__place {
  const char *provider; /* NULL: openai */
  const char *base_url;
  const char *key; /* NULL: from the environment; "": none */
  const char *model;
  bool wants_key;
  sheaf_endpoint endpoint;
  char url[SHEAF__URL_BYTES];
} sheaf__place;

struct sheaf_client {
  /* ---- Written before the first thread begins ---- */
  sheaf_client_transport transport;
  sheaf_curl *curl; /* NULL: the transport is the caller's */
  sheaf_hooks hooks;
  bool has_hooks;
  sheaf__kept kept;
  void (*on_event)(void *user, const sheaf_event *event);
  void (*on_report)(void *user, const sheaf_stats *stats);
  void *event_user, *report_user;
  uint64_t report_every_ns; /* 0: never */
  bool draws_secret;        /* a new one for each engine */
  sigset_t signals;         /* of the thread that made the client: workers run with it */

  /* ---- Shared: under `life` ---- */
  pthread_mutex_t life; /* who begins or ends a run; taken before the mutex */
  pthread_t thread;

  /* ---- Shared: under the mutex ---- */
  pthread_mutex_t mutex;
  pthread_cond_t room;     /* for submit */
  pthread_cond_t finished; /* for next */
  pthread_cond_t answered; /* lists, questions and statistics */
  sheaf_engine_options options;
  bool running;
  uint64_t run; /* which one: counts starts */
  sheaf__wish wish;
  uint64_t stats_wanted, stats_given;
  sheaf_stats stats;
  sheaf__health health;
  sheaf__owned *done_first, *done_last;

  /* ---- Shared: atomic ---- */
  _Atomic(sheaf__command *) inbox; /* a stack, newest first; sheaf__closed: nothing is taken */
  atomic_uint_fast64_t next_id;
  atomic_uint_fast64_t taken;       /* places in the queue */
  atomic_uint_fast64_t taken_bytes; /* of texts inside */
  atomic_uint_fast64_t capacity;    /* options in force */
  atomic_uint_fast64_t bytes_max;
  atomic_uint_fast32_t blocked; /* threads that wait for room */
  atomic_bool refusing;         /* no request is taken any more */
  atomic_bool posted;           /* something but the inbox changed since the driver looked */
  atomic_bool asleep;           /* the driver may be waiting: wake it */
  sheaf__crew crew;

  /* ---- The driver's own ---- */
  sheaf_engine *engine;
  sheaf__command *waiting_first, *waiting_last; /* submits taken, not admitted yet */
  uint64_t waiting_count;
  uint64_t held;       /* of `taken`, by what the driver has */
  uint64_t bytes_over; /* of `taken_bytes`, to be given back */
  uint64_t ahead;      /* rows of lists that may wait in the engine */
  sheaf__list *lists;
  sheaf__list *feed_at; /* whose turn it is; NULL: the first's */
  sheaf__live *live;    /* all rows inside */
  sheaf__live *spare;
  sheaf__live_chunk *chunks;
  sheaf__live **buckets; /* of mask + 1: single rows by id */
  size_t mask, bucketed;
  /* Results that threads wait for, not handed over yet. */
  sheaf__owned *batch_first, *batch_last; /* for the completion queue */
  sheaf_handle *batch_handles;
  uint32_t batch_count;
  uint64_t batch_since_ns; /* of the oldest */
  sheaf__health seen;
  bool drained, aborted, starved, took;
  sheaf__wish wish_seen;
  uint64_t now_ns, snapshot_ns, report_ns, stats_seen;
  uint64_t refused, unsent; /* that ended without the engine: statistics add them */
};

extern sheaf__command sheaf__closed;

/* client_copy.c */
/* Makes what options point at our own. SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_MISUSE: without endpoints. */
int32_t sheaf__keep_options(sheaf_engine_options *options, sheaf__kept *kept);
void sheaf__kept_free(sheaf__kept *kept);
/* The options in force, on any thread. */
void sheaf__options_now(sheaf_client *client, sheaf_engine_options *options);

/* client_place.c */
/* Finds provider, address and key; what is found takes the place of what was given. sentence is written on failure only:
 * SHEAF_E_NOT_FOUND, SHEAF_E_AUTH, SHEAF_E_FIELD (no address). */
int32_t sheaf__place_find(sheaf__place *place, char *sentence, size_t bytes);
typedef int32_t (*sheaf__set_credential)(void *ctx, uint32_t credential_id, const char *base_url,
                                         const char *secret);
/* Hands the key over, if there is one. */
int32_t sheaf__place_key(const sheaf__place *place, sheaf__set_credential set, void *ctx);
/* Endpoints of the caller's own have addresses, or SHEAF_E_FIELD and a sentence. */
int32_t sheaf__endpoints_check(const sheaf_endpoint *endpoints, uint32_t count, char *sentence,
                               size_t bytes);

/* client_open.c. */
/* The caller's version over the defaults, with a seed and the quickest hash. given may be NULL. */
void sheaf__options_read(sheaf_engine_options *options, const sheaf_engine_options *given);
/* SHEAF_OK, or SHEAF_E_RANGE and a sentence. */
int32_t sheaf__options_check(const sheaf_engine_options *options, char *sentence, size_t bytes);
/* What sheaf_client_new answers; leaves made what sheaf__client_close takes apart. */
int32_t sheaf__client_open(sheaf_client *client, const sheaf_client_options *options);
void sheaf__client_close(sheaf_client *client);
/* An engine with the options in force, joined to the transport, in place of the one before. */
int32_t sheaf__engine_renew(sheaf_client *client);
/* After a change of the options: what the client itself goes by. The mutex is held, or nothing runs yet. */
void sheaf__options_apply(sheaf_client *client);

/* client_submit.c */
/* Puts a command into the inbox and wakes the driver. False: it is closed. */
bool sheaf__push(sheaf_client *client, sheaf__command *command);
/* Makes the driver look, if it may be asleep. */
void sheaf__wake(sheaf_client *client);
/* The request's own block. NULL: no memory. */
sheaf__submit *sheaf__copy_request(sheaf_client *client, const sheaf_request *given);
/* Waits for room at most room_wait_ms and hands over. Not SHEAF_OK: the block is the caller's still. */
int32_t sheaf__hand_over(sheaf_client *client, sheaf__submit *submit, uint64_t room_wait_ms);
int32_t sheaf__cancel_id(sheaf_client *client, uint64_t id);
void sheaf__until(struct timespec *at, uint64_t ms); /* for waits on conditions */

/* client_driver.c */
void *sheaf__drive(void *client);
/* Whether the calling thread is the driver of this client; of any. */
bool sheaf__on_driver(const sheaf_client *client);
bool sheaf__on_any_driver(void);
void sheaf__stats_take(const sheaf_client *client, sheaf_stats *stats);

/* client_take.c */
/* Obeys what was handed over since, in its order. Answers up to which number statistics were asked for. */
uint64_t sheaf__take(sheaf_client *client);
void sheaf__feed_submits(sheaf_client *client);
/* Takes command out of what waits; before is the one before it. */
void sheaf__wait_remove(sheaf_client *client, sheaf__command *before, sheaf__command *command);

/* client_ask.c: has act done where it may be done, and waits for its answer. */
int32_t sheaf__ask_driver(sheaf_client *client, sheaf__act act, void *ctx);

/* client_live.c */
int32_t sheaf__event_put(void *client, const sheaf_event *event);
/* Hands a submit or the list's next position to the engine. SHEAF_OK: it is inside, or over already. SHEAF_E_FULL, SHEAF_E_NOMEM: not
 * yet, nothing changed. */
int32_t sheaf__admit_submit(sheaf_client *client, sheaf__submit *submit);
int32_t sheaf__admit_next(sheaf_client *client, sheaf__list *list);
/* Ends what never entered the engine. SHEAF_E_NOMEM: nothing changed. */
int32_t sheaf__end_submit(sheaf_client *client, const sheaf__submit *submit, uint32_t error_class,
                          const char *message);
int32_t sheaf__end_next(sheaf_client *client, sheaf__list *list, uint32_t error_class,
                        const char *message);
/* Ends a live row that the engine will not end. */
int32_t sheaf__end_live(sheaf_client *client, sheaf__live *live, uint32_t error_class,
                        const char *message);
sheaf__live *sheaf__live_find(const sheaf_client *client, uint64_t id); /* NULL: none */
/* Hands over what threads wait for. */
void sheaf__flush_done(sheaf_client *client);

/* client_hooks.c: what the engine is given for the caller's hooks. */
sheaf_hooks sheaf__hooks_for(sheaf_client *client);

/* client_handle.c */
/* False: nobody waits for the result any more, which then need not be made. */
bool sheaf__handle_wanted(const sheaf_handle *handle);
/* Ends it with a result, which it then owns; NULL: unwanted. Seen at the next flush. */
void sheaf__handle_end(sheaf_client *client, sheaf_handle *handle, sheaf__owned *owned);
void sheaf__handles_flush(sheaf_client *client);

/* client_tasks.c */
int32_t sheaf__crew_open(sheaf_client *client, uint32_t max);
void sheaf__crew_close(sheaf_client *client);
/* Waits for every function to return and ends the threads. The driver's end. */
void sheaf__crew_dismiss(sheaf_client *client);
int32_t sheaf__task_start(sheaf_client *client, sheaf__task *task, const sheaf_exchange *exchange);
/* False: no task has this exchange. */
bool sheaf__task_cancel(sheaf_client *client, uint64_t exchange);
/* Tells the engine what returned and ends what is late. */
void sheaf__tasks_turn(sheaf_client *client);
/* When tasks want a turn though nothing returned. */
uint64_t sheaf__tasks_due_ns(const sheaf_client *client);
/* The row is gone: the task goes too, now or when its function returns. NULL is fine. */
void sheaf__task_release(sheaf_client *client, sheaf__task *task);
/* Whether the calling thread is a worker of this client. */
bool sheaf__on_worker(const sheaf_client *client);

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
int32_t sheaf__list_check(const sheaf_engine_options *options, const sheaf__list *list,
                          uint32_t *table, size_t mask, sheaf_parse_error *error);
size_t sheaf__id_hash(sheaf_slice id);
/* What can be seen of a request without the provider's dialect. An empty prompt is one. */
int32_t sheaf__request_form(const sheaf_request *request, sheaf_parse_error *error);

/* batch_stats.c. Replaces in stats what the results tell of themselves. SHEAF_E_NOMEM: the quantiles are left out. */
int32_t sheaf__batch_stats(sheaf_stats *stats, sheaf_result *const *results, size_t count);

/* result_copy.c. NULL: no memory. */
sheaf__owned *sheaf__result_copy(const sheaf_result *result);

#endif
