/* lane.h: how a flight travels. A lane is a pure machine: inputs in, actions out; it never calls
 * the gate, the transport or the store. The engine owns the flight's memory and carries its actions
 * out. */
#ifndef SHEAF_LANE_H
#define SHEAF_LANE_H

#include <sheaf/engine.h>

/* A row as a lane sees it: when it joins, with its text; later by its place and index alone. */
typedef struct sheaf__member {
  uint64_t index;
  uint64_t source_ref;
  uint64_t id_hash;
  sheaf_slice custom_id; /* while joining and on reread only */
  sheaf_slice body;
  uint8_t fingerprint[16];
} sheaf__member;

/* What happened to a flight. */
enum {
  SHEAF__IN_BEGIN = 1,  /* all members have joined */
  SHEAF__IN_REPLY = 2,  /* an exchange it asked for ended */
  SHEAF__IN_CHUNK = 3,  /* bytes of a reply it asked to have streamed */
  SHEAF__IN_STORED = 4, /* the record it asked for is durable */
  SHEAF__IN_TIMER = 5,  /* the time it waited for has come */
  SHEAF__IN_RECORD = 6  /* recovering: one of its records of an earlier run, oldest first */
};

typedef struct sheaf__lane_input {
  uint32_t kind;
  uint32_t tag;             /* of the action it answers */
  const sheaf_reply *reply; /* REPLY; NULL when none came */
  /* REPLY: class and billing, by status where the lane decodes itself */
  const sheaf_decoded *decoded;
  sheaf_slice bytes; /* CHUNK, RECORD */
  uint64_t now_ns;
} sheaf__lane_input;

/* What a flight wants. */
enum {
  SHEAF__WANT_EXCHANGE = 1, /* through the gate, as everything */
  SHEAF__WANT_STORE = 2,    /* a record; nothing else of the flight happens before it is durable */
  SHEAF__WANT_TIMER = 3,
  SHEAF__WANT_REQUEUE = 4, /* a row goes back to the queue, for `lane` */
  SHEAF__ROW_DONE = 5,     /* a row ended; decoded says how */
  SHEAF__FLIGHT_OVER = 6,  /* the flight has no members left and wants nothing more */
  SHEAF__HOLDS = 7         /* recovering: the rows index..index_last are its members */
};

typedef struct sheaf__lane_action {
  uint32_t kind;
  uint32_t tag;         /* handed back with the input that answers */
  uint64_t at_ns;       /* TIMER */
  uint64_t index;       /* ROW_DONE, REQUEUE, HOLDS */
  uint64_t index_last;  /* HOLDS */
  uint64_t source_ref;  /* REQUEUE: the source rereads the row */
  uint32_t lane;        /* REQUEUE: SHEAF_LANE_* */
  uint32_t record_type; /* STORE */
  sheaf_slice record;   /* STORE: lives until the next call on the lane */
  const char *method;   /* EXCHANGE */
  sheaf_slice path;     /* EXCHANGE: joined to the endpoint's base URL */
  sheaf_slice body;  /* EXCHANGE: lives until its reply. ROW_DONE: the row's own reply, lives until
                        the next call */
  bool stream_reply; /* EXCHANGE: hand the reply over in CHUNKs */
  sheaf_decoded decoded; /* ROW_DONE */
  sheaf_slice custom_id; /* ROW_DONE */
} sheaf__lane_action;

typedef struct sheaf__lane {
  const char *name;
  uint32_t kind;         /* SHEAF_LANE_* */
  uint32_t flight_bytes; /* of the lane's own state in each flight */
  uint32_t members_max;
  /* state is flight_bytes long, cleared at first. All answer SHEAF_OK or SHEAF_E_NOMEM. */
  int32_t (*open)(void *state, const sheaf_allocator *allocator, uint64_t flight_id);
  void (*close)(void *state);
  /* A row joins: the engine lets go of its text afterwards, so the lane keeps what it needs (a
   * batch job spools it). */
  int32_t (*join)(void *state, const sheaf__member *member);
  int32_t (*on_input)(void *state, const sheaf__lane_input *input);
  /* The next thing it wants; false: nothing more until the next input. */
  bool (*next)(void *state, sheaf__lane_action *action);
} sheaf__lane;

#endif
