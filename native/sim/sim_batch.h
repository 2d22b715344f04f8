/* sim_batch.h: batch jobs and the files that they read and write, whoever's they are.
 *
 *   blob    bytes on disk, without a name there, gone with their last holder
 *   file    a blob's part that a client uploaded, or that a job wrote: named, listed, expiring
 *   job     rows -> the same answers that the live paths give -> result files, over time
 *   lane    what a provider's jobs have of their own: a table of functions
 *
 * All of it belongs to the loop's thread. Times are those of the monotonic clock. */
#ifndef SIM_BATCH_H
#define SIM_BATCH_H

#include "sim_int.h"

#define SIM_ID_BYTES 48u
#define SIM_UPLOAD_MAX (2ull << 30) /* what one upload may have; Gemini's files are the largest */

/* ---- Blobs (sim_blob.c) ---- */

struct sim_blob {
  int fd;
  uint32_t holders;
  uint64_t bytes;
  bool is_broken; /* the disk refused */
};

typedef struct sim_span {
  sim_blob *blob;
  uint64_t from, bytes;
} sim_span;

/* A part of a blob in memory, read only: its pages are the file's. */
typedef struct sim_view {
  void *map;
  size_t map_bytes;
  sheaf_slice text;
} sim_view;

/* Held once; NULL: no descriptor or no memory. */
sim_blob *sheaf__sim_blob_new(void);
sim_blob *sheaf__sim_blob_hold(sim_blob *blob);
void sheaf__sim_blob_drop(sim_blob *blob); /* NULL is fine */
bool sheaf__sim_blob_append(sim_blob *blob, const void *data, size_t bytes);
bool sheaf__sim_view_open(sim_view *view, sim_span span);
void sheaf__sim_view_close(sim_view *view);

/* ---- Multipart forms (sim_form.c) ---- */

typedef struct sim_form_part {
  sheaf_slice name, filename, type; /* plain, without quotes */
  sheaf_slice value;
} sim_form_part;

typedef struct sim_form {
  sheaf_slice rest;
  char boundary[80]; /* with the two hyphens before it */
} sim_form;

/* false: the content type is that of no form. */
bool sheaf__sim_form_open(sim_form *form, const char *content_type, sheaf_slice body);
/* false: there are no more, or what follows is no part. */
bool sheaf__sim_form_next(sim_form *form, sim_form_part *part);

/* ---- Ids that must not come twice (sim_jobs.c) ---- */

/* By hashes of 64 bits: of 100,000 ids two share one in less than one of a billion jobs. */
typedef struct sim_ids {
  uint64_t *hashes; /* an open table */
  uint32_t places, count;
} sim_ids;

/* Notes the id; true: it was met before. */
bool sheaf__sim_ids_meet(sim_ids *ids, sheaf_slice id);
void sheaf__sim_ids_free(sim_ids *ids);

/* ---- Files (sim_store.c) ---- */

enum { SIM_FILES_OPENAI, SIM_FILES_GEMINI, SIM_FILES_GEMINI_OPEN /* an upload under way */ };

struct sim_file {
  sim_file *next, *previous; /* newest first */
  uint64_t number;           /* in the order of their making */
  char id[SIM_ID_BYTES];
  char *name;          /* as the client gave it, cut to a line */
  char *type;          /* of its content; NULL: not told */
  const char *purpose; /* static */
  uint32_t kind;       /* SIM_FILES_ */
  sim_span span;
  uint64_t made_ns;
  uint64_t ready_ns;   /* until then it is not found: see the quirk "late" */
  uint64_t expires_ns; /* UINT64_MAX: never */
  bool is_expiry_told; /* protocols 1.4: the reply to an upload does not tell it yet */
  bool is_made_here;   /* by a job */
};

/* ---- Jobs (sim_jobs.c) ---- */

enum {
  SIM_JOB_VALIDATING,
  SIM_JOB_RUNNING,
  SIM_JOB_FINALIZING,
  SIM_JOB_CANCELLING,
  SIM_JOB_COMPLETED, /* from here on it is over */
  SIM_JOB_FAILED,
  SIM_JOB_EXPIRED,
  SIM_JOB_CANCELLED,
  SIM_JOB_STATES
};

/* What became of a row. */
enum { SIM_ROW_DONE, SIM_ROW_EXPIRED, SIM_ROW_CANCELLED };

/* One row of a job's input. Slices lie in the input. */
typedef struct sim_row {
  sheaf_slice id;   /* the inside of a JSON string, as written; or a whole value: see the lane */
  sheaf_slice path; /* where the body would go if it were sent live; empty: the job's endpoint */
  sheaf_slice body;
} sim_row;

typedef struct sim_place { /* of a row in the input */
  uint64_t from;
  uint32_t bytes;
} sim_place;

/* What a job's maker says; slices are copied. */
typedef struct sim_job_make {
  const sim_lane *lane;
  sim_span input;
  sheaf_slice input_id; /* of the file; may be empty */
  sheaf_slice endpoint; /* the live path of the rows */
  sheaf_slice model;    /* where the job has one */
  sheaf_slice label;    /* metadata, or a name: JSON as written */
  sheaf_slice window;   /* as the client wrote it */
  uint64_t window_ms;   /* 0: the lane's */
  uint64_t keep_ms;     /* of its result files; 0: the lane's */
  bool is_ordered;      /* results come in the order of the rows */
  sim_place *places;    /* rows that are known already, taken over; NULL: lines to be found */
  uint32_t count;
} sim_job_make;

struct sim_job {
  sim_job *next, *previous; /* newest first */
  sim_job *active_next;
  uint64_t number;
  char id[SIM_ID_BYTES];
  const sim_lane *lane;
  const sim_world *world;
  uint32_t state;
  uint32_t ending; /* the state that it goes to while its last rows are written; 0: none */
  uint64_t key_hash;
  bool has_key;
  bool is_stuck, is_ordered, is_expiry_early, is_archived;
  char version[32]; /* anthropic-version of its maker; empty: none */
  char input_id[SIM_ID_BYTES], good_id[SIM_ID_BYTES], bad_id[SIM_ID_BYTES];
  sheaf_buf text; /* endpoint, model, label, window behind one another */
  sheaf_slice endpoint, label, window;
  sheaf_buf model;                /* the inside of a JSON string */
  uint64_t at_ns[SIM_JOB_STATES]; /* when it came into each state; 0: never */
  uint64_t made_ns, ready_ns;
  uint64_t expires_ns;                                        /* UINT64_MAX: never */
  uint64_t running_from_ns, finalizing_from_ns, over_from_ns; /* as planned */
  uint64_t cancelled_from_ns, keep_ns, gone_ns;
  sim_span input;
  sim_view view;
  sim_place *places;
  uint32_t count, room;
  sim_ids ids; /* of the rows, while they are checked */
  size_t read; /* of the input, while its lines are found */
  uint64_t line;
  uint32_t first, step; /* the n-th result is that of row first + n * step */
  uint32_t rows_until;  /* it stops there */
  uint32_t done;        /* rows that have their result */
  uint32_t succeeded, errored, expired, cancelled;
  uint64_t input_tokens, output_tokens, enqueued_tokens;
  sim_blob *good, *bad; /* results; without a failure file all are in the first */
  sheaf_buf good_out, bad_out;
  sheaf_buf errors; /* JSON objects with commas between them */
  uint32_t error_count;
};

struct sim_lane {
  const char *id_prefix;
  uint32_t rows_max;  /* in one job */
  uint64_t bytes_max; /* of its input */
  uint64_t window_ms, keep_ms;
  bool is_checked_first;                          /* it validates before it runs */
  bool has_bad;                                   /* failures go to a file of their own */
  bool is_all_or_none;                            /* only a completed job has results */
  bool takes_repeats;                             /* ids may come twice */
  const char *file_prefix, *good_name, *bad_name; /* of result files */
  const char *purpose;
  uint32_t file_kind;
  /* Reads a row. false: it is none; where `says`, the job's errors tell why. */
  bool (*read_row)(sim_job *job, sheaf_slice text, sim_row *row, bool says);
  /* The live path that the row stands for. */
  void (*path_of)(const sim_job *job, const sim_row *row, sheaf_buf *path);
  /* The live body, where that is not the row's as it stands. NULL: it is. */
  void (*body_of)(const sim_job *job, const sim_row *row, sheaf_buf *body);
  /* Refuses what the live path takes and a job does not. SIM_ERROR_COUNT, or the error. NULL: none. */
  uint32_t (*check_row)(sim_call *call);
  /* Appends the result to job->good_out or bad_out. call: only with SIM_ROW_DONE. */
  void (*write_row)(sim_job *job, const sim_row *row, uint32_t fate, sim_call *call);
};

/* Where the elements of a checked array lie in the text around it; NULL without memory. */
sim_place *sheaf__sim_places(sheaf_slice text, sheaf_slice array, uint32_t count);
/* Adds to the job's errors; line 0: none, param NULL: null. The message may have one %q or %r. */
void sheaf__sim_job_error(sim_job *job, const char *code, uint64_t line, const char *param,
                          const char *message, const sheaf_slice *hole);
bool sheaf__sim_job_is_over(const sim_job *job);

/* ---- The store (sim_store.c) ---- */

typedef struct sim_store sim_store;

struct sim_store {
  const sim_world *world;
  sim_file *files;
  sim_job *jobs;
  sim_job *active; /* those that are not over */
  uint64_t number; /* of files and jobs made */
  uint64_t base_ns;
  int64_t base_unix_us;
  uint64_t due_ns; /* when the next job wants to go on; UINT64_MAX: none does */
  sim_call row;    /* the one that all rows use in turn */
};

sim_store *sheaf__sim_store_new(const sim_world *world);
void sheaf__sim_store_free(sim_store *store);
bool sheaf__sim_quirk(const sim_store *store, uint32_t quirk);
/* Microseconds since 1970. */
int64_t sheaf__sim_unix_us(const sim_store *store, uint64_t ns);
/* Times --time-scale, without the end that delays have. */
uint64_t sheaf__sim_span_ns(const sim_world *world, uint64_t ms);
/* "file-" and 24 characters. */
void sheaf__sim_store_id(sim_store *store, const char *prefix, char id[SIM_ID_BYTES]);
/* Takes hold of the span's blob. keep_ms 0: for ever. NULL without memory. */
sim_file *sheaf__sim_file_new(sim_store *store, uint32_t kind, const char *id_prefix,
                              const char *purpose, sheaf_slice name, sim_span span, uint64_t now_ns,
                              uint64_t keep_ms);
sim_file *sheaf__sim_file_find(sim_store *store, sheaf_slice id, uint64_t now_ns);
void sheaf__sim_file_delete(sim_store *store, sim_file *file);
sim_job *sheaf__sim_job_new(sim_store *store, const sim_job_make *make, const sim_call *call,
                            uint64_t now_ns);
sim_job *sheaf__sim_job_find(sim_store *store, sheaf_slice id, uint64_t now_ns);
void sheaf__sim_job_cancel(sim_store *store, sim_job *job, uint64_t now_ns);
void sheaf__sim_job_delete(sim_store *store, sim_job *job);
/* The key's requests and input tokens in jobs that are not over; of one model where that is given. */
void sheaf__sim_jobs_enqueued(const sim_store *store, uint64_t key_hash, const sheaf_buf *model,
                              uint64_t *requests, uint64_t *tokens);
uint32_t sheaf__sim_jobs_active(const sim_store *store, uint64_t key_hash, const sim_lane *lane);
/* Lets jobs go on, for a few milliseconds, and sets due_ns. */
void sheaf__sim_store_step(sim_store *store, uint64_t now_ns);

/* ---- What the shapes share (sim_store.c) ---- */

/* Sends this part of a blob as the body; where a fault bends bodies, from memory. */
void sheaf__sim_send_span(sim_call *call, sim_span span);
/* A number from a query; absent is fine. false: none, or out of its range. */
bool sheaf__sim_page_limit(const char *text, uint64_t min, uint64_t max, uint64_t *limit);
/* What a job has of results so far, read into out. */
void sheaf__sim_job_results(const sim_job *job, sheaf_buf *out);
/* "2026-01-02T03:04:05.678901Z", or "null". With the quotes. */
void sheaf__sim_write_time(const sim_store *store, uint64_t ns, const char *zone, sheaf_buf *out);

extern const sim_lane sheaf__sim_openai_lane, sheaf__sim_anthropic_lane, sheaf__sim_gemini_lane,
    sheaf__sim_mistral_lane;

#endif
