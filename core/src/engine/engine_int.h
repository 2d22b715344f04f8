/* engine_int.h: the state of the corridor. Only the files of this folder include it.
 *
 * Invariants (sheaf__engine_check walks them after every step in tests):
 *   - a row is in exactly one place: queue (its route's, or its company's), wait (timer heap), flight
 * (a call of its own, or a place in a group), behind its twin, done (its event not yet taken), free;
 *   - a call (exchange slot) has one owner from launch until its row's event is taken, its retry
 * begins or the last of its group's members was told;
 *   - a company's sums are those of its members, and it lives while a row belongs to it;
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
       SHEAF__AT_DONE = 4,
       SHEAF__AT_TWIN = 5 /* waits for what the call of an identical row brings: twins.c */
};

typedef struct sheaf__call sheaf__call;
typedef struct sheaf__flight sheaf__flight;
typedef struct sheaf__row sheaf__row;
typedef struct sheaf__company sheaf__company;
typedef struct sheaf__group sheaf__group;

/* An answer that no call of the row's own stands behind: of a hook, or from the cache, which holds
 * it, too. Its slices point into what follows it in memory. */
typedef struct sheaf__answer {
  uint32_t refs;
  uint32_t http_status;
  size_t bytes; /* of the whole block */
  sheaf_slice body;
  sheaf_decoded decoded;
} sheaf__answer;

/* What rows have that may share a call or an answer with others. Made with the row, in bonds.c. */
typedef struct sheaf__bond {
  struct sheaf__bond *next_free;
  sheaf_traits traits; /* of the row's final body */
  uint64_t trust;      /* hash of the trust_key; 0: it has none */
  uint64_t max_wait_ms;
  /* ---- twins.c ---- */
  sheaf__row *row;
  uint64_t twin_hash; /* 0: not a matter of twins */
  /* The leader heads its ring of twins; alone it points to itself. */
  struct sheaf__bond *twin_next, *twin_before;
  struct sheaf__bond *leader;    /* NULL: it leads */
  struct sheaf__bond *same_slot; /* further leaders in its slot of the table */
  bool leads;                    /* it stands in the table */
  /* ---- company.c, groups.c ---- */
  sheaf__company *company; /* with whom it waits; kept until it completes. NULL: it goes alone */
  sheaf__group *group;     /* in flight in a call of several */
  uint32_t group_place;    /* of that group's members */
  uint32_t group_max;      /* what a refused group was cut to; 0: as the options say */
  uint32_t tokens;         /* of its input, as first estimated: sums stay true when it leaves */
} sheaf__bond;

/* One request inside the engine. Its text is one block: body, then custom_id, metadata. */
struct sheaf__row {
  sheaf__queue_item item; /* in its route's queue */
  sheaf__heap_node timer; /* deadline, or the end of a wait, whichever is first */
  char *text;             /* a sheaf_buf's memory, lent to one while it is written: see admit.c */
  uint32_t text_bytes;
  uint32_t text_capacity;
  uint64_t index;
  uint64_t source_ref;
  void *user;
  uint64_t deadline_ns;
  sheaf__call *call; /* FLYING, and DONE when a reply stands behind the result */
  union {
    const char *message;   /* local errors: static */
    sheaf__answer *answer; /* DONE as LOCAL, CACHED or KEPT */
  } said;
  sheaf__answer *kept; /* of an attempt that was made again for its answer; mostly NULL */
  struct sheaf__history *history; /* NULL until a first failure */
  sheaf__bond *bond;              /* NULL: it travels alone */
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
  uint16_t flags;
  sheaf__tries tries;
  uint8_t state;
  uint8_t billing; /* the worst so far */
  uint8_t operation;
  uint8_t lane;
  uint8_t last_place; /* index of the endpoint of the latest attempt */
  uint8_t error_class;
  uint8_t asked_again; /* for its answer's sake */
  bool asks_again;     /* and is about to be */
};

enum { /* flags of a row */
       SHEAF__ROW_TASK = 1,
       SHEAF__ROW_STREAM = 2,
       SHEAF__ROW_RANGED = 4, /* a range record covers it */
       SHEAF__ROW_RESENT = 8,
       SHEAF__ROW_CANCEL = 16,         /* cancelled while flying */
       SHEAF__ROW_UNSENT = 32,         /* ends as attempted:false */
       SHEAF__ROW_UNKNOWN_BEFORE = 64, /* an earlier run left it unknown */
       SHEAF__ROW_TWIN = 0x80,         /* a twin's call ended it */
       SHEAF__ROW_CACHED = 0x100,      /* answered from the cache */
       SHEAF__ROW_LOCAL = 0x200,       /* answered by a hook */
       SHEAF__ROW_RAW = 0x400,         /* its deltas carry the stream's bytes */
       SHEAF__ROW_SOLO = 0x800,        /* it is not merged any more */
       SHEAF__ROW_SHADOW = 0x1000,     /* nobody's request: canary.c */
       SHEAF__ROW_RESCUED = 0x2000,    /* a job gave it back */
       SHEAF__ROW_KEPT = 0x8000        /* an earlier attempt's answer stands: verdict.c */
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
  sheaf__group *group;     /* several rows: row and flight are NULL */
  sheaf__company *company; /* whose key it is out for */
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
  uint32_t shown_by;                  /* twins of its row that show this reply, too */
  uint64_t ticket;                    /* START waits until this is stored */
  struct sheaf__streaming *streaming; /* NULL until a stream came */
  size_t body_fed;                    /* bytes of body already framed */
  size_t text_given;                  /* bytes of the stream's text already in deltas */
  size_t raw_given;                   /* bytes of body already in deltas of a RAW row */
  uint64_t group_id;                  /* 0: never waited for company */
  uint32_t group_members;             /* of the call that the reply came with */
  bool has_share;                     /* the row's share of what its group's call cost: */
  int64_t share_usd_nano;
  sheaf_decoded decoded;
};

typedef struct sheaf__streaming {
  sheaf__framer framer;
  sheaf_stream stream;
  int32_t failure;
  size_t whole; /* of the body: whole events with what ends them; at its end, all */
} sheaf__streaming;

/* A provider endpoint as the options gave it, with its headers ready. */
typedef struct sheaf__place {
  sheaf_endpoint options; /* slices point into block */
  char *block;
  size_t block_bytes;
  sheaf_header *headers;
  uint32_t header_count;
  uint32_t header_capacity;
  bool stopped;   /* its key was refused: nothing more is sent with it */
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
  uint64_t named; /* hash of the model that a reply named last, and its price */
  const sheaf_price *named_price;
  sheaf__queue queue;
  uint32_t gathering;        /* rows in companies, in the queue or not */
  bool rests;                /* it can start nothing more in this launch */
  uint64_t served_seq;       /* of its latest start; 0: none yet */
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
  sheaf__flight *next; /* oldest first */
  const sheaf__lane *lane;
  void *state;
  sheaf__lane_setup setup; /* the lane keeps its address */
  uint64_t id;
  uint32_t route;
  uint32_t path;
  uint32_t seat; /* its account: all its calls go there */
  uint64_t members;
  uint64_t held;        /* of an earlier run's, as its records told */
  uint64_t passed;      /* of an earlier run's: came by in the input */
  uint64_t spool_bytes; /* written so far */
  int64_t reserved_usd_nano;
  bool from_records;
  bool ready; /* full, or of an earlier run: nobody joins any more */
  bool begun;
  bool parked;         /* nothing more in this run */
  bool wants_turn;     /* fewer jobs than max_jobs must be there first */
  bool has_turn;       /* it is one of them */
  bool wants_exchange; /* a wish waits for the gate */
  bool is_out;         /* and now for its reply */
  bool dry;            /* the lane wanted nothing more when last asked */
  bool stuck;          /* action could not be carried out yet: again at the next step */
  uint32_t tag;        /* of the record it waits for */
  uint32_t timer_tag;  /* of the timer */
  uint32_t record_type;
  uint64_t ticket; /* of the record it waits for; 0: none */
  sheaf_buf record;
  sheaf__heap_node timer;
  sheaf__lane_action action;
  sheaf__lane_action wish; /* the action that wants_exchange, or is_out, stands for */
  /* The exchange: its address, and its body as it is pulled. */
  sheaf_buf url;
  sheaf_header *headers;
  uint32_t header_capacity;
  sheaf_buf chunk;     /* of a streamed reply, that the lane is at */
  sheaf_buf entry;     /* an entry on its way into the spool, or out of it */
  uint64_t rows_bytes; /* of the rows in the body */
  uint64_t pulled;     /* of the body so far */
  uint64_t pull_at;    /* in the spool */
  uint64_t pull_left;  /* of the row that is there */
};

/* What became known of a job, kept until the caller was shown it. */
typedef struct sheaf__job_news {
  struct sheaf__job_news *next;
  size_t bytes; /* of the whole block */
  sheaf_job_status status;
} sheaf__job_news;

/* Rows that wait for one another because they may share a call: company.c. Its item stands in the
 * route's queue as soon as they may leave; until the gate has room, others join. */
struct sheaf__company {
  sheaf__queue_item item;        /* the first member, as of a row; its tag tells which it is */
  sheaf__heap_node timer;        /* when to ask again whether they leave; in company_timers */
  sheaf__company *next, *before; /* all of them */
  sheaf__company *same_slot;     /* of the table */
  sheaf__company *look_next;     /* to be asked in this launch */
  sheaf__company *idle_next, *idle_before;
  uint64_t key, trust;
  uint16_t route;
  uint16_t path;
  uint8_t operation;
  bool to_look;
  bool idle; /* empty, with nothing out: it may be let go */
  uint32_t share;
  uint32_t inputs_max; /* of one call, by the provider; 0: none known */
  uint64_t tokens_max;
  uint64_t prefix_bytes; /* what its bodies have in common */
  sheaf__queue members;
  uint64_t inputs, tokens, bytes; /* of all members */
  uint32_t hurried;               /* members that do not wait for company */
  uint32_t refs;                  /* rows that belong to it, wherever they are */
  uint32_t calls_out;
  uint64_t first_ns;   /* the oldest member came; SHEAF_NEVER: to be found anew */
  uint64_t last_ns;    /* the latest new row came; SHEAF_NEVER: none yet */
  uint64_t gap_ns;     /* between new rows, the mean; 0: not known yet */
  uint64_t group_id;   /* of the group that gathers; 0: it is empty */
  sheaf__cost refused; /* by the gate: nobody is gathered in vain for the same again */
  bool was_refused;
};

enum { /* what the end of a group's call means to its members */
       SHEAF__FATE_OPEN = 0,
       SHEAF__FATE_PARTS = 1,  /* each has its part of the reply */
       SHEAF__FATE_EACH = 2,   /* each meets the failure as if it had been its own */
       SHEAF__FATE_ALONE = 3,  /* each is sent by itself */
       SHEAF__FATE_HALVES = 4, /* in groups of half the size */
       SHEAF__FATE_LOST = 5    /* without memory for too long: they end here */
};

/* One call for several rows, from its launch to the last member's end: groups.c. */
struct sheaf__group {
  sheaf__group *next; /* of the free ones, or of those whose reply came */
  uint64_t id;        /* as in group events */
  sheaf__company *company;
  sheaf__call *call;             /* out, and then kept until each member has its part */
  uint32_t count;                /* members at its launch */
  uint32_t left;                 /* of those, still in it */
  uint32_t at;                   /* the next whose end is to be told */
  uint32_t apart;                /* members when the reply came */
  uint32_t parted, items_parted; /* INPUTS: of so many members the items were counted */
  uint32_t fate;
  uint32_t starved; /* turns without memory */
  bool paid;        /* the retry budget, once for all */
  bool retried;
  bool dissolved;    /* a member left before the call did: the others go back */
  uint64_t wait_ns;  /* those that try again meet again */
  const char *why;   /* why the reply was discarded; static */
  uint32_t capacity; /* of the arrays of members */
  sheaf__row **rows; /* NULL: it left */
  sheaf_slice *bodies;
  sheaf_traits *traits;
  char (*ids)[20];      /* PROMPTS: SHEAF__PROMPT_ID_BYTES */
  uint64_t *input_upto; /* what of the input is the members' up to each, in parts of the last */
  uint64_t *output_upto;
  sheaf_slice *items; /* of the reply: one per input, or one answer per member */
  uint32_t item_count, item_capacity;
  sheaf_slice span; /* INPUTS: the reply's bytes from its first item to the end of its last */
  sheaf_shared shared;
  uint64_t bytes;    /* of all members' bodies */
  uint64_t first_ns; /* the oldest member came */
  uint64_t units;    /* of the queue's accounts */
  sheaf__cost cost;
  int64_t bound_usd_nano;
  int64_t cost_usd_nano; /* of the call; SHEAF_ABSENT: not known */
  sheaf_buf body;
  sheaf_buf prompt;
  sheaf_buf schema;
  sheaf_buf answers; /* as read from the reply: items point into it */
};

#define SHEAF__ITEM_COMPANY 1u /* tag of a company's item in a route's queue; rows have 0 */

#define SHEAF__TIMER_FLIGHT 1u /* tag of a flight's node in the heap of timers; rows have 0 */
#define SHEAF__FLIGHT_RECORD UINT32_MAX /* an APPEND entry whose record stands in its flight */
#define SHEAF__FLIGHT_RESULTS_MAX 256   /* results of flights that may wait to be taken */
#define SHEAF__FLIGHT_BYTES_MAX \
  ((size_t)256 << 10)             /* of a streamed reply that its lane has not taken */
#define SHEAF__JOB_NEWS_MAX 1024u /* that nobody takes; more are dropped */
#define SHEAF__JOBS_MAX 64u       /* side by side, where the provider names no number */

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

/* Answers kept for later twins: least recently used last in a ring, found by hash. */
typedef struct sheaf__cached {
  struct sheaf__cached *newer, *older;
  struct sheaf__cached *same_slot;
  uint64_t hash, trust, kept_ns;
  uint8_t fingerprint[16];
  uint16_t route;
  uint16_t path;
  sheaf__answer *answer;
} sheaf__cached;

typedef struct sheaf__cache {
  sheaf__cached **slots; /* a power of two */
  uint32_t slot_count;
  uint32_t count;
  uint64_t bytes;
  sheaf__cached *newest, *oldest;
} sheaf__cache;

/* Rows that an earlier run may have sent, as sorted ranges that do not touch. */
typedef struct sheaf__ranges {
  sheaf_range *items;
  uint32_t count;
  uint32_t capacity;
} sheaf__ranges;

/* What an answer's JSON is worth. */
typedef struct sheaf__verdict {
  sheaf_buf json;
  sheaf_answer answer;
  sheaf_schema_fault fault;
  const char *why; /* what is wrong; empty: nothing */
} sheaf__verdict;

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
  bool paused;
  bool limits_lowered; /* more may be in flight than the limits of now allow */
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
  uint64_t served_seq;            /* counts starts, so that routes take turns */

  sheaf__row **row_chunks; /* of SHEAF__CHUNK rows */
  uint32_t row_chunk_count, row_chunk_capacity;
  sheaf__row **rows_free;
  uint32_t rows_free_count, rows_free_capacity, rows_made;
  uint64_t rows_inside; /* not free */
  uint64_t rows_queued, rows_waiting, rows_flying, rows_done, rows_twins;
  uint64_t queue_bytes;       /* memory of the text of rows that are not free */
  sheaf__row **rows_by_index; /* open addressing; a power of two, at most half full */
  uint32_t rows_by_index_capacity;
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
  sheaf_buf raw;          /* the bytes of its stream, for the same reason */
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

  /* rows that share: bonds.c, twins.c, cache.c */
  sheaf__bond **bond_chunks;
  uint32_t bond_chunk_count, bond_chunk_capacity;
  sheaf__bond *bonds_free;
  sheaf__bond **leaders; /* by hash; a power of two */
  uint32_t leader_capacity, leader_count;
  sheaf__cache cache;

  /* calls of several rows: company.c, groups.c, canary.c */
  uint8_t secret[SHEAF_SECRET_BYTES];
  bool has_secret;
  sheaf__company **company_slots; /* by key; a power of two */
  uint32_t company_slot_count, company_count;
  sheaf__company *companies, *companies_look;
  sheaf__company *idle_first, *idle_last; /* oldest first */
  uint32_t idle_count;
  sheaf__heap company_timers;
  uint64_t rows_gathering;
  uint64_t group_seq;
  sheaf__group *groups_free;
  sheaf__group *pumped_first, *pumped_last; /* whose reply came */
  uint64_t pump_again_ns;                   /* without memory; 0: at once */
  uint32_t group_events_queued;
  uint64_t shadows;       /* rows inside that nobody submitted */
  uint64_t canary_sum;    /* agreement in 1/1000, of all canaries */
  uint32_t merge_history; /* of the last 32 merged prompts' calls: 1 for a discarded one */
  uint32_t merge_seen;    /* of those, up to 32 */
  sheaf__histogram group_waits;

  /* jobs: flights.c, flight_calls.c, flight_rows.c, flight_records.c */
  sheaf__flight *flights;
  uint32_t flight_count;
  uint64_t flight_seq;
  sheaf__job_news *news_first, *news_last, *news_shown;
  uint32_t news_count;
  uint64_t jobs_turned; /* flights that have their turn */
  uint64_t auto_rows;   /* of lane auto, in the queue until it is decided how they travel */
  bool auto_decided;
  bool surveyed;
  sheaf_spool spool;
  bool has_spool;
  uint64_t rows_rescued; /* that jobs gave back and that are inside */
  uint64_t rows_held;    /* members of flights: outside of the engine's memory, not over */
  sheaf__ranges held;    /* indexes that flights of earlier runs hold */
  uint64_t *jobs_past;   /* hashes of the ids of jobs that are over: nobody else's */
  uint32_t jobs_past_count, jobs_past_capacity;

  /* statistics */
  sheaf_stats stats;
  sheaf__histogram queue_times, ttft, latency, response;
  uint64_t area_milli_ns; /* in flight x time, for the mean */
  uint64_t area_since_ns;
  uint64_t series_area; /* of the span that is not over: in flight x us */
  uint32_t rate_slots[10];
  uint64_t rate_second;

  /* structured answers: verdict.c */
  sheaf_schema *schema;       /* NULL: none */
  sheaf__verdict verdicts[2]; /* of the result that is shown; of one that is looked at inside */
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

/* In the package's modules (SHEAF_MODULE) nothing ever sets a hook or a log, and jobs have a module of
 * their own: the code behind them falls away. */
#ifdef SHEAF_MODULE
#define SHEAF__HAS_HOOK(engine, slot) false
#define SHEAF__HAS_LOG(engine) false
#else
#define SHEAF__HAS_HOOK(engine, slot) ((engine)->hooks.slot != NULL)
#define SHEAF__HAS_LOG(engine) ((engine)->host.log != NULL)
#endif
#if defined(SHEAF_MODULE) && !defined(SHEAF_MODULE_JOBS)
#define SHEAF__HAS_LANES false
#else
#define SHEAF__HAS_LANES true
#endif
/* In the module for jobs every row travels alone, live or in a job; which, its host has said. Lane auto
 * and the provider's own list are the command's. */
#ifdef SHEAF_MODULE_JOBS
#define SHEAF__HAS_COMPANY false
#define SHEAF__HAS_AUTO false
#else
#define SHEAF__HAS_COMPANY true
#define SHEAF__HAS_AUTO SHEAF__HAS_LANES
#endif
/* Structured answers are judged by the package itself. */
#ifdef SHEAF_MODULE
#define SHEAF__HAS_ANSWERS(engine) false
#else
#define SHEAF__HAS_ANSWERS(engine) ((engine)->options.json || (engine)->schema != NULL)
#endif
static inline sheaf__flight *sheaf__first_flight(const sheaf_engine *engine) {
  return SHEAF__HAS_LANES ? engine->flights : NULL;
}
static inline bool sheaf__is_flown(const sheaf__call *call) {
  return SHEAF__HAS_LANES && call->flight != NULL;
}

#include "engine/engine_calls.h"

#endif
