/* lane.h: how a flight of many rows travels. A lane is a pure machine: inputs in, actions out; it
 * never calls the gate, the transport, the store or the spool. The engine owns the flight's memory
 * and carries its actions out. */
#ifndef SHEAF_LANE_H
#define SHEAF_LANE_H

#include <sheaf/engine.h>
#include <sheaf/jobs.h>

/* What a flight is made for. Its slices live as long as the engine. */
typedef struct sheaf__lane_setup {
  const sheaf_allocator *allocator;
  const sheaf_engine_options *options;
  const sheaf_job_api *api; /* NULL in a flight of records whose provider is gone */
  uint64_t flight;
  sheaf_slice provider;
  sheaf_slice endpoint;
  sheaf_slice base_url;
  sheaf_slice model;
  sheaf_slice path; /* of the rows' operation, as build made it */
  uint32_t operation;
  bool is_auto;           /* lane auto chose it: other defaults hold */
  int64_t bound_usd_nano; /* of all its rows */
  uint64_t rescued;       /* rows that the engine had run live */
  /* Whether another flight has this job already. */
  bool (*is_claimed)(const void *engine, uint64_t flight, sheaf_slice job);
  /* Whether the answer to another flight's create call is missing: of one with so many rows; of any that
   * is under way (0). */
  bool (*is_unknown_elsewhere)(const void *engine, uint64_t flight, uint64_t requests);
  const void *engine;
} sheaf__lane_setup;

/* A row as a lane sees it when it joins. */
typedef struct sheaf__member {
  uint64_t index;
  uint64_t source_ref;
  sheaf_slice custom_id;
  sheaf_slice body;
  sheaf_slice metadata;
  uint64_t tokens;   /* of its input, counted or estimated */
  uint64_t inputs;   /* embeddings: how many it holds; else 1 */
  uint64_t spool_at; /* where its entry will begin */
  uint32_t line;
  uint32_t priority;
  uint8_t fingerprint[16];
} sheaf__member;

/* What happened to a flight. */
enum {
  SHEAF__IN_BEGIN = 1,  /* all members have joined, or those of an earlier run were passed by */
  SHEAF__IN_REPLY = 2,  /* an exchange it asked for ended */
  SHEAF__IN_CHUNK = 3,  /* bytes of a reply it asked to have streamed */
  SHEAF__IN_STORED = 4, /* the record it asked for is durable */
  SHEAF__IN_TIMER = 5,  /* the time it waited for has come */
  SHEAF__IN_RECORD = 6, /* recovering: one of its records of an earlier run, oldest first */
  SHEAF__IN_CANCEL = 7, /* the caller wants the job ended: collected as far as it got */
  SHEAF__IN_TURN = 8,   /* it may go on to the provider: fewer than max_jobs are there */
  SHEAF__IN_BROKEN = 9  /* what its spool holds of a row cannot be read, or is another row's */
};

typedef struct sheaf__lane_input {
  uint32_t kind;
  uint32_t tag;             /* of the action it answers; RECORD: its type */
  const sheaf_reply *reply; /* REPLY; NULL when none came */
  /* REPLY: class, billing and wait, by status */
  const sheaf_decoded *decoded;
  /* CHUNK: lives until the next one; RECORD: the payload with the flight's id */
  sheaf_slice bytes;
  uint64_t now_ns;
  int64_t unix_ms;
} sheaf__lane_input;

/* What a flight wants. */
enum {
  SHEAF__WANT_EXCHANGE = 1, /* through the gate, as everything */
  SHEAF__WANT_STORE = 2,    /* a record; nothing else of the flight happens before it is durable */
  SHEAF__WANT_TIMER = 3,
  SHEAF__WANT_TURN = 4,   /* to be told when it may go to the provider */
  SHEAF__ROW_DONE = 5,    /* a row is out of the job: the engine completes it, or has it run live */
  SHEAF__FLIGHT_OVER = 6, /* the flight has no members left and wants nothing more */
  SHEAF__HOLDS = 7,       /* recovering: the rows index..index_last are its members */
  SHEAF__WANT_NEWS = 8,   /* its status changed, or `news` was found: an event tells */
  SHEAF__WANT_SEAL = 9,   /* the spool as durable as records are */
  SHEAF__FLIGHT_PARKED = 10, /* nothing more in this run, though it has members */
  SHEAF__WANT_MEMORY = 11    /* there was none: asked again later */
};

typedef struct sheaf__lane_action {
  uint32_t kind;
  uint32_t tag;        /* handed back with the input that answers */
  uint64_t at_ns;      /* TIMER */
  uint64_t index;      /* ROW_DONE, HOLDS */
  uint64_t index_last; /* HOLDS */
  uint64_t spool_at;   /* ROW_DONE: where its entry begins */
  /* STORE */
  uint32_t record_type;
  bool after_results; /* the sink has taken every result so far before it is written */
  sheaf_slice record; /* lives until the next call on the lane */
  /* EXCHANGE: all lives until its reply */
  const sheaf_job_call *call;
  sheaf_slice path;             /* joined to the endpoint's base URL, or a whole URL */
  const sheaf_job_status *news; /* NEWS: of a job of the provider's list; NULL: its own */
  /* ROW_DONE. http_status and body as a live reply had them, for the provider to decode; status
   * 0: none came, class, billing and message are here. They live until the next call. */
  uint32_t line;
  uint64_t id_hash; /* of its custom_id */
  uint32_t http_status;
  uint32_t error_class;
  uint32_t billing;
  sheaf_slice body;
  sheaf_slice message;
  sheaf_slice request_id;
  sheaf_slice custom_id; /* empty: it stands in the spool */
  uint8_t fingerprint[16];
} sheaf__lane_action;

typedef struct sheaf__lane {
  const char *name;
  uint32_t kind;         /* SHEAF_LANE_* */
  uint32_t flight_bytes; /* of the lane's own state in each flight */
  /* state is flight_bytes long, cleared at first. All answer SHEAF_OK or SHEAF_E_NOMEM unless they
   * say more. setup and what it points at live as long as the flight. */
  int32_t (*open)(void *state, const sheaf__lane_setup *setup);
  void (*close)(void *state);
  /* A row joins: its entry is appended to `entry`, from where the engine spools it; the engine lets go
   * of its text afterwards. SHEAF_E_FULL: it belongs into the next flight. SHEAF_E_FIELD,
   * SHEAF_E_TOO_LONG: it cannot travel so. */
  int32_t (*join)(void *state, const sheaf__member *member, sheaf_buf *entry);
  /* The entry is in the spool: the row is in. Cannot fail; without it the row is not. */
  void (*joined)(void *state);
  bool (*holds)(void *state, uint64_t index);
  /* A row of an earlier run's flight comes by in the input: is_done where its line is in the output
   * already. SHEAF_E_NOT_FOUND: not its own. SHEAF_E_OTHER_RUN: its text changed. */
  int32_t (*pass)(void *state, uint64_t index, const uint8_t fingerprint[16], bool is_done);
  int32_t (*on_input)(void *state, const sheaf__lane_input *input);
  /* The next thing it wants; false: nothing more until the next input. */
  bool (*next)(void *state, sheaf__lane_action *action);
  void (*status)(const void *state, sheaf_job_status *status); /* slices live as the flight */
  bool (*is_unknown)(const void *state);       /* an answer to its create call is missing */
  uint64_t (*upload_bytes)(const void *state); /* of the rows in a body */
} sheaf__lane;

/* Provider jobs: batch_lane.c. */
extern const sheaf__lane sheaf__batch_lane;

#endif
