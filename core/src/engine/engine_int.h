/* engine_int.h: the state of the corridor. Only the files of this folder include it.
 *
 * Invariants (sheaf__engine_check walks them after every step in tests):
 *   - a row is in exactly one place: queue, wait (timer heap), flight, done (its event not yet
 * taken), free;
 *   - a call (exchange slot) has one owner from launch until its row's event is taken or its retry
 * begins;
 *   - the sum of the seats' in_flight = calls that are out; each call out holds one reservation of
 * one pool;
 *   - a row completes once: done_rows + inside + free = all rows ever made;
 *   - no START is handed out before the record of its range is stored. */
#ifndef SHEAF_ENGINE_INT_H
#define SHEAF_ENGINE_INT_H

#include "base/histogram.h"
#include "base/mem.h"
#include "base/random.h"
#include "flow/breaker.h"
#include "flow/concurrency.h"
#include "flow/pool.h"
#include "flow/queue.h"
#include "flow/retry.h"
#include "lanes/lane.h"
#include "wire/stream.h"

#include <sheaf/sheaf.h>

/* Ceilings, each with its reason. */
#define SHEAF__ENDPOINTS_MAX 64 /* a quota_group list longer than this is a proxy's job */
#define SHEAF__ROUTES_MAX 256   /* models in one run */
#define SHEAF__POOLS_MAX 1024   /* routes x quota groups */
#define SHEAF__SEATS_MAX 4096
#define SHEAF__PATHS_MAX 1024   /* operations x models, for providers with the model in the path */
#define SHEAF__CALLS_MAX 65535u /* a call's slot is 16 bits of its id */
#define SHEAF__NOTICES_MAX 32   /* untaken; further ones of the same kind and endpoint are merged */
#define SHEAF__MESSAGE_BYTES_MAX 512 /* of a transport's sentence kept with a call */
#define SHEAF__BODY_BYTES_MAX ((size_t)128 << 20)
#define SHEAF__HEADERS_BYTES_MAX ((size_t)64 << 10)
#define SHEAF__KEEP_TEXT_BYTES \
  20480 /* request memory kept with a free row: prompts up to 16 KiB recycle */
#define SHEAF__RANGE_ROWS_MAX 256 /* rows under one range record (algorithms.md 10) */

enum { /* where a row is */
       SHEAF__AT_FREE = 0,
       SHEAF__AT_QUEUE = 1,
       SHEAF__AT_WAIT = 2, /* for a retry */
       SHEAF__AT_FLIGHT = 3,
       SHEAF__AT_DONE = 4
};

typedef struct sheaf__call sheaf__call;
typedef struct sheaf__flight sheaf__flight;

/* One request inside the engine. Its text is one block: body, then custom_id, metadata. */
typedef struct sheaf__row {
  sheaf__queue_item item; /* in its route's queue */
  sheaf__heap_node timer; /* deadline, or the end of a wait, whichever is first */
  char *text;             /* a sheaf_buf's memory, lent to one while it is written: see admit.c */
  uint32_t text_bytes;
  uint32_t text_capacity;
  uint64_t index;
  uint64_t source_ref;
  void *user;
  uint64_t deadline_ns;
  sheaf__call *call;              /* FLYING, and DONE when a reply stands behind the result */
  const char *message;            /* local errors: static */
  struct sheaf__history *history; /* NULL until a first failure */
  uint32_t body_bytes;
  uint32_t output_max; /* tokens; UINT32_MAX: not capped */
  uint32_t counted;    /* input tokens; UINT32_MAX: not counted */
  uint32_t line;
  uint32_t queue_us; /* admission to first start, saturating; UINT32_MAX: not started */
  uint16_t id_bytes;
  uint16_t route;
  uint16_t path;
  uint16_t attempts;
  uint16_t owes_milli; /* of the retry budget, still to be paid before the next try */
  sheaf__tries tries;
  uint8_t state;
  uint8_t flags;
  uint8_t billing; /* the worst so far */
  uint8_t operation;
  uint8_t lane;
  uint8_t last_place; /* index of the endpoint of the latest attempt */
  uint8_t error_class;
} sheaf__row;

enum { /* flags of a row */
       SHEAF__ROW_TASK = 1,
       SHEAF__ROW_STREAM = 2,
       SHEAF__ROW_RANGED = 4, /* a range record covers it */
       SHEAF__ROW_RESENT = 8,
       SHEAF__ROW_CANCEL = 16,         /* cancelled while flying */
       SHEAF__ROW_UNSENT = 32,         /* ends as attempted:false */
       SHEAF__ROW_UNKNOWN_BEFORE = 64, /* an earlier run left it unknown */
};

/* What failed attempts left behind. */
typedef struct sheaf__history {
  uint32_t count; /* of all, kept: the first and the latest */
  uint32_t throttles;
  int64_t spent_usd_nano;
  sheaf_attempt attempts[SHEAF_HISTORY_MAX];
} sheaf__history;

/* An exchange slot. */
struct sheaf__call {
  sheaf_exchange exchange; /* what the transport sees; exchange.id == 0: free */
  sheaf__row *row;         /* live lane */
  sheaf__flight *flight;   /* other lanes */
  uint32_t slot;
  uint32_t seat;
  uint32_t flight_tag;
  sheaf__cost cost;
  uint64_t started_ns;
  uint64_t head_ns;  /* SHEAF_NEVER: no head yet */
  uint64_t token_ns; /* first streamed token */
  uint64_t ended_ns;
  int64_t reserved_usd_nano;
  sheaf_buf headers;
  sheaf_buf body;
  sheaf_buf scratch;
  char *message; /* SHEAF__MESSAGE_BYTES_MAX, made at need */
  sheaf_exchange_end end;
  uint32_t http_status;
  bool out;        /* the transport has it, or will */
  bool handed_out; /* the transport has it */
  bool recorded;   /* in the list of calls that step must look at */
  bool has_head, has_data, has_end;
  bool head_seen; /* step has dealt with the head */
  bool over_limit;
  bool cancelling;
  bool delta_queued;
  bool delta_taken;                   /* the caller saw text of this attempt */
  uint64_t ticket;                    /* START waits until this is stored */
  struct sheaf__streaming *streaming; /* NULL until a stream came */
  size_t body_fed;                    /* bytes of body already framed */
  size_t text_given;                  /* bytes of the stream's text already in deltas */
  sheaf_decoded decoded;
};

typedef struct sheaf__streaming {
  sheaf__framer framer;
  sheaf_stream stream;
  int32_t failure;
} sheaf__streaming;

/* A provider endpoint as the options gave it, with its headers ready. */
typedef struct sheaf__place {
  sheaf_endpoint options; /* slices point into block */
  char *block;
  size_t block_bytes;
  sheaf_header *headers;
  uint32_t header_count;
  uint32_t header_capacity;
  bool stopped; /* its key was refused: nothing more is sent with it */
  uint64_t group; /* hash of the quota group */
} sheaf__place;

/* An endpoint within a pool. */
typedef struct sheaf__seat {
  uint32_t place;
  uint32_t pool;
  sheaf__concurrency concurrency;
  sheaf__breaker breaker;
} sheaf__seat;

/* Where a request can run: one provider, one model, the seats that serve it. */
typedef struct sheaf__route {
  uint64_t key;
  const sheaf_provider *provider;
  char *model;
  uint32_t model_bytes;
  uint32_t seat_count;
  uint16_t seats[SHEAF__ENDPOINTS_MAX];
  const sheaf_price *price;
  sheaf__queue queue;
  uint64_t blocked_until_ns; /* launch need not look before this unless something happened */
} sheaf__route;

/* An operation's path and its URL at each endpoint, made at need. */
typedef struct sheaf__path {
  uint64_t hash;
  char *text;
  uint32_t bytes;
  char **urls; /* one per place; NULL until used */
  uint32_t *url_bytes;
} sheaf__path;

/* A flight of a lane of many rows. Its members are in the lane's own state. */
struct sheaf__flight {
  sheaf__flight *next;
  const sheaf__lane *lane;
  void *state;
  uint64_t id;
  uint32_t route;
  uint32_t members;
  bool ready; /* full, or of an earlier run: nobody joins any more */
  bool begun;
  bool wants_exchange; /* action waits for the gate, then for its reply */
  bool dry;            /* the lane wanted nothing more when last asked */
  bool stuck;   /* action could not be carried out for lack of memory: again at the next step */
  uint32_t tag; /* of the record or timer it waits for */
  uint32_t record_type;
  uint64_t ticket; /* of the record it waits for; 0: none */
  sheaf_buf record;
  sheaf__heap_node timer;
  sheaf__lane_action action;
};

#define SHEAF__TIMER_FLIGHT 1u /* tag of a flight's node in the heap of timers; rows have 0 */
#define SHEAF__FLIGHT_RECORD UINT32_MAX /* an APPEND entry whose record stands in its flight */
#define SHEAF__FLIGHT_RESULTS_MAX 256   /* results of flights that may wait to be taken */
#define SHEAF__FLIGHT_BYTES_MAX \
  ((size_t)256 << 10) /* of a streamed reply that its lane has not taken */

typedef struct sheaf__event_entry {
  uint32_t kind;
  uint32_t notice;
  uint64_t exchange; /* DELTA: void when the slot moved on */
  sheaf__row *row;   /* RESULT, DISCARD */
  uint64_t number;
  uint32_t endpoint;
} sheaf__event_entry;

typedef struct sheaf__action_entry {
  uint32_t kind;
  uint32_t slot;
  uint64_t id;           /* exchange or ticket */
  uint32_t first, count; /* APPEND: in records */
} sheaf__action_entry;

/* A ring that never grows past its ceiling. */
typedef struct sheaf__ring {
  void *items;
  uint32_t item_bytes;
  uint32_t capacity; /* a power of two */
  uint32_t head;
  uint32_t count;
} sheaf__ring;

/* Rows that an earlier run may have sent, as sorted ranges that do not touch. */
typedef struct sheaf__ranges {
  sheaf_range *items;
  uint32_t count;
  uint32_t capacity;
} sheaf__ranges;

struct sheaf_engine {
  uint64_t magic;
  sheaf_allocator allocator;
  sheaf_engine_options options; /* slices point into option_text */
  char *option_text;
  size_t option_text_bytes;
  sheaf_slice default_params; /* the options' params with their braces */
  sheaf__retry_options retry;

  uint64_t now_ns;
  int64_t unix_ms;
  bool stepped;
  bool inside; /* a vtable slot is running */
  bool input_ended;
  bool draining;
  bool recovering;
  bool store_used;
  bool store_failed;
  bool budget_hit;
  bool run_late;
  uint32_t stop_class; /* why a key was stopped: auth or quota */
  bool launch_due;     /* something happened that may let a start through */

  sheaf__place *places;
  uint32_t place_count;
  sheaf__pool *pools; /* arrays of at most their ceilings, grown by doubling */
  uint64_t *pool_keys;
  uint32_t pool_count, pool_capacity, pool_key_capacity;
  sheaf__seat *seats;
  uint32_t seat_count, seat_capacity;
  sheaf__route *routes;
  uint32_t route_count, route_capacity;
  sheaf__path *paths;
  uint32_t path_count, path_capacity;
  uint32_t route_last, path_last; /* the latest looked up: runs repeat themselves */

  sheaf__row **row_chunks; /* of SHEAF__CHUNK rows */
  uint32_t row_chunk_count, row_chunk_capacity;
  sheaf__row **rows_free;
  uint32_t rows_free_count, rows_free_capacity, rows_made;
  uint64_t rows_inside; /* not free */
  uint64_t rows_queued, rows_waiting, rows_flying, rows_done;
  sheaf__heap timers;

  sheaf__call **calls; /* by slot */
  uint32_t call_count, call_capacity;
  uint32_t *calls_free;
  uint32_t calls_free_count, calls_free_capacity;
  uint32_t calls_out;
  uint64_t exchange_seq;
  uint64_t *recorded; /* exchange ids that step must look at */
  uint32_t recorded_count, recorded_capacity;

  sheaf__ring actions;
  sheaf__ring events;
  uint32_t notices_queued;
  sheaf__row *shown; /* the row whose result the caller is looking at */
  sheaf_result result;
  /* plain text of the delta being shown: outlives its attempt while a sink says later */
  sheaf_buf delta;
  sheaf_buf checked_text; /* as text, of a result that the validate hook is looking at */
  sheaf_buf text;         /* of the shown result, where it had escapes */
  sheaf_buf path_buf;
  sheaf_buf params_buf;

  uint64_t next_index;
  uint64_t next_start_all_ns; /* spacing is per pool; this is the earliest time launch should look
                                 again */
  uint64_t run_deadline_ns;

  /* durable records */
  uint64_t ticket; /* of the latest APPEND */
  uint64_t ticket_stored;
  sheaf_range *records; /* payload sources of APPENDs not yet taken */
  uint32_t record_count, record_capacity;
  sheaf_record *shown_records;
  uint8_t (*shown_payloads)[SHEAF_RANGE_BYTES];
  uint32_t shown_capacity, shown_payload_capacity;
  uint64_t *fresh; /* indexes launched in this step that no range covers yet */
  uint32_t fresh_count, fresh_capacity;
  uint32_t *launched; /* slots launched in this step: their STARTs follow the APPEND */
  uint32_t launched_count, launched_capacity;
  sheaf__ranges unknown;

  /* money */
  int64_t spent_usd_nano;
  int64_t reserved_usd_nano;

  /* doors */
  sheaf_transport transport;
  sheaf_store store;
  sheaf_source source;
  sheaf_sink sink;
  sheaf_host host;
  sheaf_token_counter tokens; /* count NULL: none */
  sheaf_hooks hooks;
  bool opened, has_source, has_store, event_pending, scan_started;
  int32_t failure;    /* what run_once owes its caller */
  int32_t stopped_by; /* the door's answer that ended the run */
  sheaf_event pending_event;
  sheaf_request pending_request; /* read from the source, not admitted for lack of memory */
  bool request_pending;
  bool pull_due; /* rows were passed by: the source may have more for now */

  /* other lanes */
  const sheaf__lane *lanes[4];
  sheaf__flight *flights;
  uint32_t flight_count;
  uint64_t flight_seq;
  uint64_t rows_held; /* members of flights: outside of the engine's memory, not over */
  sheaf__ranges held; /* indexes that flights of earlier runs hold */

  /* statistics */
  sheaf_stats stats;
  sheaf__histogram queue_times, ttft, latency;
  uint64_t area_milli_ns; /* in flight x time, for the mean */
  uint64_t area_since_ns;
  uint64_t series_area; /* of the span that is not over: in flight x us */
  uint32_t rate_slots[10];
  uint64_t rate_second;
};

#define SHEAF__ENGINE_MAGIC 0x7368656166656e67ull
#define SHEAF__CHUNK 64u

static inline sheaf_slice sheaf__row_body(const sheaf__row *row) {
  sheaf_slice s = {row->text, row->body_bytes};
  return s;
}
static inline sheaf_slice sheaf__row_id(const sheaf__row *row) {
  sheaf_slice s = {row->text + row->body_bytes, row->id_bytes};
  return s;
}
static inline sheaf_slice sheaf__row_metadata(const sheaf__row *row) {
  size_t from = (size_t)row->body_bytes + row->id_bytes + 16;
  sheaf_slice s = {row->text + from, row->text_bytes - from};
  return s;
}
static inline const uint8_t *sheaf__row_fingerprint(const sheaf__row *row) {
  return (const uint8_t *)row->text + row->body_bytes + row->id_bytes;
}

/* ring.c */
int32_t sheaf__ring_reserve(sheaf__ring *ring, const sheaf_allocator *allocator, uint32_t more);
void *sheaf__ring_push(sheaf__ring *ring); /* room was reserved */
void *sheaf__ring_peek(const sheaf__ring *ring);
void sheaf__ring_pop(sheaf__ring *ring);
void sheaf__ring_deinit(sheaf__ring *ring, const sheaf_allocator *allocator);
/* Grows *items to hold one more of item_bytes, at most max. */
int32_t sheaf__grow(const sheaf_allocator *allocator, void *items_ptr, uint32_t *capacity,
                    uint32_t count, size_t item_bytes, uint32_t max);
void sheaf__sort_u64(uint64_t *numbers, uint32_t count); /* rising */

/* places.c: endpoints, routes, pools, seats, paths */
int32_t sheaf__places_init(sheaf_engine *engine);
void sheaf__places_deinit(sheaf_engine *engine);
int32_t sheaf__route_find(sheaf_engine *engine, const sheaf_request *request, uint32_t *route,
                          sheaf_parse_error *error);
bool sheaf__route_stopped(const sheaf_engine *engine, const sheaf__route *route); /* every key */
int32_t sheaf__path_find(sheaf_engine *engine, sheaf_slice text, uint32_t *path);
int32_t sheaf__url(sheaf_engine *engine, uint32_t path, uint32_t place, sheaf_slice *url);

/* slots.c: rows and calls */
int32_t sheaf__row_take(sheaf_engine *engine, sheaf__row **row);
void sheaf__row_release(sheaf_engine *engine, sheaf__row *row);
int32_t sheaf__call_take(sheaf_engine *engine, sheaf__call **call);
void sheaf__call_release(sheaf_engine *engine, sheaf__call *call);
sheaf__call *sheaf__call_find(const sheaf_engine *engine, uint64_t exchange);
void sheaf__slots_deinit(sheaf_engine *engine);

/* admit.c */
int32_t sheaf__admit(sheaf_engine *engine, const sheaf_request *request, uint64_t *index,
                     sheaf_parse_error *error, bool ask_source);
bool sheaf__meets_unknown(sheaf_engine *engine, sheaf__row *row);
sheaf__cost sheaf__row_cost(const sheaf__row *row, const sheaf__pool *pool);
int32_t sheaf__admit_again(sheaf_engine *engine, const sheaf_request *request, uint64_t index);
int32_t sheaf__row_stand_in(sheaf_engine *engine, sheaf__row *row,
                            const sheaf__lane_action *action);
int32_t sheaf__admit_refused(sheaf_engine *engine, const sheaf_request *request,
                             const sheaf_parse_error *error);

/* Times of a row that came before the first step are of the first step. */
void sheaf__restamp(sheaf_engine *engine, sheaf__row *row);

/* engine.c */
void sheaf__step_settle(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms);
void sheaf__call_unsent(sheaf_engine *engine,
                        sheaf__call *call); /* a START that will not be handed out */

/* flights.c: lanes of many rows */
int32_t sheaf__engine_set_lane(sheaf_engine *engine,
                               const sheaf__lane *lane); /* before the first step */
int32_t sheaf__flight_join(sheaf_engine *engine, const sheaf__lane *lane, const sheaf__row *row);
int32_t sheaf__flights_run(sheaf_engine *engine);
void sheaf__flight_timer(sheaf_engine *engine, sheaf__heap_node *node);
int32_t sheaf__flight_call(sheaf_engine *engine, sheaf__flight *flight, sheaf__call *call);
bool sheaf__flight_chunk(sheaf_engine *engine, sheaf__call *call);
void sheaf__flight_reply(sheaf_engine *engine, sheaf__call *call);
int32_t sheaf__flight_record(sheaf_engine *engine, uint32_t type, sheaf_slice payload);
void sheaf__flights_deinit(sheaf_engine *engine);

/* launch.c */
int32_t sheaf__launch(sheaf_engine *engine);

/* settle.c */
int32_t sheaf__settle(sheaf_engine *engine);
void sheaf__timers_run(sheaf_engine *engine);
void sheaf__complete(sheaf_engine *engine, sheaf__row *row, uint32_t error_class,
                     const char *message);
void sheaf__requeue(sheaf_engine *engine, sheaf__row *row, uint64_t wait_ns);
void sheaf__end_waiting(sheaf_engine *engine, uint32_t error_class, const char *message,
                        const sheaf__route *only);
void sheaf__call_cancel(sheaf_engine *engine, sheaf__call *call);

void sheaf__stopped_routes(sheaf_engine *engine);

/* stream_in.c */
int32_t sheaf__stream_begin(sheaf_engine *engine, sheaf__call *call);
void sheaf__stream_feed(sheaf_engine *engine, sheaf__call *call, bool at_end);
void sheaf__stream_free(sheaf_engine *engine, sheaf__call *call);

/* records.c */
int32_t sheaf__records_cover(sheaf_engine *engine);
void sheaf__records_void(sheaf_engine *engine, const sheaf__row *row);
int32_t sheaf__ranges_add(sheaf_engine *engine, sheaf__ranges *ranges, uint64_t first,
                          uint64_t last);
bool sheaf__ranges_hold(const sheaf__ranges *ranges, uint64_t index);
void sheaf__records_deinit(sheaf_engine *engine);

/* events.c */
void sheaf__notice(sheaf_engine *engine, uint32_t notice, uint32_t endpoint, uint64_t number);
void sheaf__event_push(sheaf_engine *engine, uint32_t kind, sheaf__row *row, uint64_t exchange);
void sheaf__shown_release(sheaf_engine *engine);

/* tally.c */
void sheaf__tally_time(sheaf_engine *engine);
void sheaf__tally_done(sheaf_engine *engine, const sheaf__row *row, uint32_t error_class,
                       bool attempted);
int64_t sheaf__tally_attempt(sheaf_engine *engine, const sheaf__row *row, const sheaf__call *call);

/* result.c */
bool sheaf__valid(sheaf_engine *engine, sheaf__call *call);
void sheaf__result_fill(sheaf_engine *engine, const sheaf__row *row, sheaf_result *result,
                        sheaf_buf *text);

/* check.c: walks every invariant; 0 or the number of the first that does not hold. Tests only. */
uint32_t sheaf__engine_check(const sheaf_engine *engine);
#ifdef SHEAF_CHECKS
#define SHEAF_CHECKED(engine) SHEAF_ASSERT(sheaf__engine_check(engine) == 0)
#else
#define SHEAF_CHECKED(engine) ((void)(engine))
#endif

#endif
