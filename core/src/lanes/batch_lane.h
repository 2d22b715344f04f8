/* batch_lane.h: the parts of the batch lane: one provider job from its first row to its last.
 *
 *   joining -> sealed -> planned -> (turn) -> uploaded -> created -> polled ... -> collected -> over
 *                                                  |
 *                             whether it was created is not known: found in the list, created
 *                             again, or left for a person
 *
 * batch_lane.c is the machine, batch_join.c the way in, batch_records.c what is written of it,
 * batch_replies.c what replies do to it, batch_results.c the lines. */
#ifndef SHEAF_BATCH_LANE_H
#define SHEAF_BATCH_LANE_H

#include "lanes/batch_lines.h"
#include "lanes/batch_rows.h"
#include "lanes/lane.h"

#include <sheaf/line.h>

/* Of a row's place in the spool: its result needs what stands there. */
#define SHEAF__SPOOL_NEEDED (UINT64_C(1) << 62)

/* What is next. Each stage wants one thing, hears how it went, and names the next stage. */
typedef uint32_t sheaf__stage;
enum {
  SHEAF__STAGE_JOIN, /* rows come */
  SHEAF__STAGE_SEAL,
  SHEAF__STAGE_ROWS,
  SHEAF__STAGE_PLAN,
  SHEAF__STAGE_TURN,
  SHEAF__STAGE_BEGIN,
  SHEAF__STAGE_UPLOAD,
  SHEAF__STAGE_FILE, /* the file's id, durable */
  SHEAF__STAGE_INTENT,
  SHEAF__STAGE_CREATE,
  SHEAF__STAGE_JOB, /* the job's id, durable */
  SHEAF__STAGE_POLL,
  SHEAF__STAGE_NOTE, /* its new state, durable */
  SHEAF__STAGE_CANCEL,
  SHEAF__STAGE_OUTPUT,
  SHEAF__STAGE_ERRORS,
  SHEAF__STAGE_INLINE, /* results that came with the poll */
  SHEAF__STAGE_REST,   /* rows that have no line */
  SHEAF__STAGE_OVER,
  SHEAF__STAGE_DISCARD,
  SHEAF__STAGE_GONE,
  SHEAF__STAGE_LIST,
  SHEAF__STAGE_UNDECIDED,
  SHEAF__STAGE_PARK,
  SHEAF__STAGE_PARKED,
  SHEAF__STAGE_WAIT /* a timer, then `after` */
};

typedef struct sheaf__batch {
  const sheaf__lane_setup *setup;
  sheaf__job_rows rows;
  sheaf_job_row joining; /* its entry is on its way into the spool */
  uint64_t joining_bytes, joining_tokens, joining_inputs;
  uint64_t bytes, tokens, inputs;
  uint64_t line; /* of the input, of the first row; 0: none */
  bool is_inline;

  sheaf__stage stage, after;
  uint32_t tag; /* of the action that it waits for */
  bool asked;   /* it waits */
  bool news_due;
  bool begun;
  bool is_planned;   /* the plan is durable */
  bool is_recovered; /* of an earlier run */
  uint64_t at;       /* ROWS, REST, HOLDS: the next place */
  uint64_t now_ns;
  int64_t unix_ms;

  /* ---- What is known of the job ---- */
  uint32_t state; /* SHEAF_JOB_*_STATE */
  sheaf_buf marker, upload, file, job, output, errors, message, page;
  int64_t total, completed, failed;
  int64_t created_unix_ms; /* as we know it: when its id came */
  bool is_adopted;
  uint32_t creates;       /* intents so far */
  uint32_t strays;        /* creates without an answer that were not found: they may show up yet */
  int64_t intent_unix_ms; /* of the first that has no answer */
  bool is_unknown;        /* an intent without an answer */

  /* ---- Waiting ---- */
  uint64_t poll_ns;       /* the wait before the next poll */
  uint64_t due_ns;        /* of the timer */
  uint64_t note_after_ns; /* NOTE then WAIT: the timer's time */
  uint64_t deadline_ns;   /* SHEAF_NEVER: none */
  uint64_t cancelled_ns;  /* when it was; 0: not */
  bool is_late;           /* cancelled because of its deadline */
  bool is_unwanted;       /* cancelled because somebody wanted so */
  uint32_t tries;         /* of the present stage */
  uint32_t lost;          /* polls in a row that found no job */

  /* ---- The list ---- */
  uint32_t rounds;
  uint32_t pages;
  uint32_t candidates;
  uint32_t doubts; /* of its size, but before its time */
  sheaf_buf candidate;
  uint64_t listed_ns;      /* the first round */
  sheaf_job_status listed; /* SURVEY: the one that is told */
  size_t list_at;
  sheaf_buf list_reply;
  bool is_listing;

  /* ---- Results ---- */
  sheaf__lines lines;
  sheaf_slice held; /* a line that there was no memory to read */
  sheaf_buf inline_results;
  bool has_lines_left;  /* the download is over, its last lines are not */
  bool is_incomplete;   /* some of the results cannot be had */
  uint64_t line_number; /* of this pass: rows without ids come in order */
  uint64_t succeeded, failed_rows, missing, foreign;

  sheaf_buf path, head, tail, text, record, scratch;
  sheaf_job_call call;
} sheaf__batch;

/* ---- batch_lane.c ---- */
void sheaf__batch_go(sheaf__batch *b, sheaf__stage stage);
/* Waits, then goes to a stage; its tries go on. */
void sheaf__batch_wait(sheaf__batch *b, uint64_t wait_ns, sheaf__stage after);
/* Waits for another try of the present stage: a backoff, and at least what the server asked for. False:
 * it was tried often enough. */
bool sheaf__batch_again(sheaf__batch *b, uint64_t retry_after_ns);
/* The line of the input that a row stood in, where nothing else is kept. */
uint32_t sheaf__batch_line(const sheaf__batch *b, uint64_t index);
void sheaf__batch_facts(const sheaf__batch *b, sheaf_job_facts *facts);
void sheaf__batch_say(sheaf__batch *b, const char *text, sheaf_slice more);
/* Its id is known, the candidate: it is polled from now on. */
void sheaf__batch_created(sheaf__batch *b, bool is_adopted);
bool sheaf__batch_is_terminal(uint32_t state);
/* There is no job, nor will there be: its rows end as the state says. */
void sheaf__batch_end(sheaf__batch *b, uint32_t state);
void sheaf__batch_poll_later(sheaf__batch *b, uint64_t hint_ns);

/* ---- batch_join.c: as the lane's slots ---- */
int32_t sheaf__batch_join(void *state, const sheaf__member *member, sheaf_buf *to);
void sheaf__batch_joined(void *state);

/* ---- batch_records.c ---- */
/* False: no memory. */
bool sheaf__batch_make_marker(sheaf__batch *b);
bool sheaf__batch_want_record(sheaf__batch *b, sheaf__lane_action *action);
int32_t sheaf__batch_on_record(sheaf__batch *b, const sheaf__lane_input *in);

/* ---- batch_replies.c ---- */
void sheaf__batch_reply(sheaf__batch *b, const sheaf__lane_input *in);
/* SURVEY: the next job of the page that came. */
bool sheaf__batch_next_listed(sheaf__batch *b, sheaf__lane_action *action);

/* ---- batch_results.c ---- */
enum { SHEAF__LINES_ROW = 1, SHEAF__LINES_DRY = 2, SHEAF__LINES_END = 3, SHEAF__LINES_STARVED = 4 };
/* The next row that has a line. */
uint32_t sheaf__batch_next_line(sheaf__batch *b, sheaf__lane_action *action);
/* The next row that has none. False: every row has its end. */
bool sheaf__batch_next_missing(sheaf__batch *b, sheaf__lane_action *action);
void sheaf__batch_lines_begin(sheaf__batch *b);

#define SHEAF__BATCH_MS UINT64_C(1000000)
#define SHEAF__BATCH_SECOND UINT64_C(1000000000)

#endif
