/* jobs_int.h: what the files of sheaf_jobs share.
 *
 *   jobs_open.c     options into a handle; what could travel how
 *   jobs_calls.c    the calls: submit, run, status, results, wait, cancel; what the state file tells
 *   jobs_drive.c    one call: store, engine, transport; the loop; what it comes to
 *   jobs_rows.c     rows in and out: the list as a source, results to fn, which list a state file is
 *   jobs_taken.c    which rows were handed out, and which may have been sent live; the store's door
 *
 * One thread, one call at a time: a call opens the store, runs an engine over it to its end, and
 * closes it. Only `stops` is touched by other threads. */
#ifndef SHEAF_JOBS_INT_H
#define SHEAF_JOBS_INT_H

#include "client_int.h"

#include <sheaf/client_jobs.h>
#include <sheaf/store.h>

#define SHEAF__SAID_BYTES 1024

/* Notes in the state file. */
#define SHEAF__NOTE_METADATA "metadata"
#define SHEAF__NOTE_LIST "client.list" /* "COUNT HASH" of the requests; "-": they came one by one */
#define SHEAF__NOTE_WHOLE "client.whole" /* "1": every row is in a job that is prepared, or over */
#define SHEAF__NOTE_TAKEN "client.taken" /* "0-99 105": indices of rows that were handed out */
#define SHEAF__NOTE_LIVE "client.live."  /* and a number: what may have been sent live */

struct sheaf_jobs {
  sheaf_jobs_options given; /* of the caller's version; what it points at is not looked at again */
  sheaf_engine_options options;
  sheaf__kept kept;
  char *state_path, *metadata; /* metadata NULL: none was given */
  sheaf_curl *curl;
  sheaf_engine *stuck; /* an engine that could not end: exchanges point into it. No more calls */
  atomic_uint stops;
  bool inside;
  sheaf_buf shown; /* metadata, handed out */
  char said[SHEAF__SAID_BYTES];
};

/* A set of numbers, a bit each. */
typedef struct sheaf__marks {
  uint64_t *words;
  size_t count;
} sheaf__marks;

/* One call. */
typedef struct sheaf__jobs_call {
  sheaf_jobs *jobs;
  uint64_t mode; /* SHEAF_BATCH_* */
  uint64_t timeout_ms;
  sheaf_jobs_result_fn fn;
  void *user;
  bool drops; /* without fn: what was cancelled is nobody's, and counts as taken */

  /* ---- Where rows come from ---- */
  bool has_list;
  const sheaf__list *list; /* NULL: next */
  sheaf_jobs_next_fn next;
  void *next_user;
  size_t given; /* rows so far */
  bool given_all;
  bool asked_later;
  char id[SHEAF__ID_BYTES];

  /* ---- What it works with ---- */
  sheaf_jobs_store *store;
  sheaf_engine *engine;
  sheaf_store door;

  /* ---- How it goes ---- */
  uint64_t end_ns; /* nothing new begins after it */
  bool draining, aborted, stopped, is_over, key_stopped;
  bool is_ending;   /* a result was not taken: no more are shown */
  bool not_settled; /* settle is not asked again */
  bool held_back;   /* a result came that nobody takes here: the call ends */
  uint64_t unsent;  /* rows that ended unsent, or were not shown: they come again */
  bool is_whole;    /* every row of the list is in a prepared job, or over */
  bool plans_moved; /* look whether it has become so */
  sheaf__marks taken, planned;
  bool has_new_marks;
  uint64_t live_notes;
  sheaf_buf text;  /* of the note at hand */
  int32_t failure; /* what ends it early; said says why */
} sheaf__jobs_call;

/* jobs_drive.c */
/* Runs a call whose first fields are filled. */
int32_t sheaf__jobs_drive(sheaf__jobs_call *call);
/* Says it and answers status, so that a failure is one line. */
int32_t sheaf__jobs_say(sheaf_jobs *jobs, int32_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The first failure of a call counts. Answers what ends the engine's run. */
int32_t sheaf__jobs_fail(sheaf__jobs_call *call, int32_t status, const char *sentence);

/* jobs_rows.c */
/* The list of the call is one that can be sent, and the state file's own. */
int32_t sheaf__jobs_list_check(sheaf__jobs_call *call);
/* Notes of the state file: read; and written, before the first row of a list comes. */
int32_t sheaf__jobs_list_meet(sheaf__jobs_call *call);
/* Whether every row is in a prepared job by now: writes it down. SHEAF_OK, or the store's failure. */
int32_t sheaf__jobs_list_look(sheaf__jobs_call *call);
sheaf_source sheaf__jobs_source(sheaf__jobs_call *call);
int32_t sheaf__jobs_put(void *call, const sheaf_event *event);

/* jobs_taken.c */
bool sheaf__marks_have(const sheaf__marks *marks, uint64_t number);
int32_t sheaf__marks_add(sheaf__marks *marks, uint64_t number); /* SHEAF_E_NOMEM, SHEAF_E_RANGE */
/* What earlier calls wrote down of rows, into the call; of live ones into the engine. */
int32_t sheaf__jobs_taken_read(sheaf__jobs_call *call);
int32_t sheaf__jobs_live_tell(sheaf__jobs_call *call);
/* Settles and writes down what was taken since the last time. */
int32_t sheaf__jobs_taken_save(sheaf__jobs_call *call);
sheaf_store sheaf__jobs_door(sheaf__jobs_call *call);

#endif
