/* sheaf/store.h: what is known of provider jobs, kept in one SQLite file, and the rows that wait
 * for their upload beside it.
 *
 *   sheaf_jobs_store_open(&options, &store, message, sizeof message);
 *   sheaf_doors doors = {..., .store = sheaf_jobs_store_door(store),
 *                        .spool = sheaf_jobs_store_spool(store)};
 *   sheaf_engine_open(engine, &doors);
 *   sheaf_jobs_store_bind(store, engine);   // instead of sheaf_files_bind
 *   for (;;) {
 *     sheaf_jobs_store_pump(store);         // instead of sheaf_files_pump, before each step
 *     ...
 *   }
 *
 * The file can be looked at with sqlite3 while a run writes it: the views job_list, event_list and
 * request_list have readable names. It holds no text of rows and no keys. One thread at a time per
 * store. */
#ifndef SHEAF_STORE_H
#define SHEAF_STORE_H

#include <sheaf/files.h>
#include <sheaf/sheaf.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_jobs_store sheaf_jobs_store;

typedef struct sheaf_jobs_store_options {
  uint32_t struct_bytes;
  uint32_t read_only; /* 1: looks only, beside a run or without one; nothing is made */
  const char *path;
  sheaf_files
      *files; /* of the same run: takes the records that are not of jobs, and its output is on
                          the disk before a job is over; outlives the store. NULL: there is none */
  const char *run_id;  /* shown to others who want the file; NULL: made up */
  uint64_t lease_ms;   /* how long another machine takes a silent run to be alive; 0: a minute */
  uint32_t is_network; /* 1: treated as on a network file system, whatever it is on */
  uint32_t reserved;
} sheaf_jobs_store_options;
#define SHEAF_JOBS_STORE_OPTIONS_INIT \
  ((sheaf_jobs_store_options){.struct_bytes = sizeof(sheaf_jobs_store_options)})

/* Opens the file, makes it where there is none, and takes it for this run: no other run has it
 * meanwhile, readers do. On failure message (512 bytes or more) says what and what to do. SHEAF_OK;
 * SHEAF_E_OTHER_RUN (another run is alive, or the file is none of ours: it is left as it is);
 * SHEAF_E_VERSION (a newer sheaf's); SHEAF_E_CORRUPT; SHEAF_E_NOT_FOUND (read_only: nothing there);
 * SHEAF_E_IO; SHEAF_E_NOMEM; SHEAF_E_MISUSE (no path). Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_open(const sheaf_jobs_store_options *options,
                                        sheaf_jobs_store **store, char *message,
                                        size_t message_bytes);
/* Gives the file free for other runs. What append has answered is on the disk already. NULL is
 * fine. Since 0.1. */
SHEAF_API void sheaf_jobs_store_close(sheaf_jobs_store *store);
/* The last failure as one sentence with a remedy; "" if none. Since 0.1. */
SHEAF_API const char *sheaf_jobs_store_message(const sheaf_jobs_store *store);

/* ---- Doors of a run ---- */

/* Records of jobs go into the file, others to the files' own store. An append is durable when it
 * answers, but for rows without their plan, which mean nothing yet. A failed one is final:
 * SHEAF_E_STORE, and nothing is written after it. Lives as long as the store. Since 0.1. */
SHEAF_API const sheaf_store *sheaf_jobs_store_door(sheaf_jobs_store *store);
/* One file a job in the folder PATH.spool, for the owner's eyes only. Lives as long as the store.
 * Since 0.1. */
SHEAF_API const sheaf_spool *sheaf_jobs_store_spool(sheaf_jobs_store *store);
/* The engine told of scanned records, and the files of the same engine. Before the first step.
 * Since 0.1. */
SHEAF_API void sheaf_jobs_store_bind(sheaf_jobs_store *store, sheaf_engine *engine);
/* Hands the engine the records of earlier runs, of jobs first, then the files', which ends its
 * recovery: sheaf_files_pump must not come before it. Renews the hold on the file, too. Call after
 * sheaf_engine_open and before each step. SHEAF_OK, SHEAF_E_STORE (another run took the file over,
 * or it cannot be written), SHEAF_E_CORRUPT, SHEAF_E_NOMEM, SHEAF_E_MISUSE. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_pump(sheaf_jobs_store *store);
/* So many ms may pass until pump is called again: the longest a host should wait. SHEAF_NEVER for
 * readers. Since 0.1. */
SHEAF_API uint64_t sheaf_jobs_store_wait_ms(const sheaf_jobs_store *store);

/* ---- What run ---- */

/* Notes for those who come later, by key: "input", "output", "options" (JSON) are the command's.
 * set: an earlier value is replaced. SHEAF_E_STORE, SHEAF_E_MISUSE (read only). get: the slice
 * lives until the next call on the store. SHEAF_E_NOT_FOUND, SHEAF_E_STORE. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_set(sheaf_jobs_store *store, const char *key, sheaf_slice value);
SHEAF_API int32_t sheaf_jobs_store_get(sheaf_jobs_store *store, const char *key,
                                       sheaf_slice *value);

/* Who has the file. */
typedef struct sheaf_jobs_store_run {
  uint32_t struct_bytes;
  uint32_t is_live; /* 1: it goes on, as far as can be told from here */
  int64_t pid;
  sheaf_slice host;
  sheaf_slice run_id;
  int64_t started_unix_ms;
  int64_t expires_unix_ms;
} sheaf_jobs_store_run;
/* The run that has the file, or died having it. Slices as of get. SHEAF_E_NOT_FOUND: none. Since
 * 0.1. */
SHEAF_API int32_t sheaf_jobs_store_run_get(sheaf_jobs_store *store, sheaf_jobs_store_run *run);

/* ---- What jobs ---- */

/* A job as far as its records tell. */
typedef struct sheaf_jobs_store_job {
  uint32_t struct_bytes;
  uint32_t state; /* SHEAF_JOB_*_STATE */
  uint64_t flight;
  uint32_t operation;
  bool is_inline;
  bool is_adopted; /* found in the provider's list after its creation's answer was lost */
  bool is_over;
  sheaf_slice provider, endpoint, model, path, marker;
  sheaf_slice upload, file, job, output, errors;
  sheaf_slice message;
  sheaf_slice decision; /* a person's, that no run has met yet: "adopt batch_1"; else empty */
  uint64_t requests, bytes, first, last;
  int64_t total, completed, failed;    /* SHEAF_ABSENT: not told */
  int64_t succeeded, rescued, missing; /* SHEAF_ABSENT: it is not over */
  int64_t created_unix_ms, updated_unix_ms;
  uint64_t line;          /* of the input, of the first row; 0: none */
  int64_t bound_usd_nano; /* what all of it may cost at most; 0: not known */
} sheaf_jobs_store_job;
/* The first job whose flight is above after (0: the first of all). Slices as of get. SHEAF_OK,
 * SHEAF_E_END, SHEAF_E_STORE. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_job_next(sheaf_jobs_store *store, uint64_t after,
                                            sheaf_jobs_store_job *job);

/* One record as it was written. */
typedef struct sheaf_jobs_store_event {
  uint32_t struct_bytes;
  uint32_t type; /* SHEAF_RECORD_JOB_* */
  uint64_t seq;
  uint64_t flight;
  int64_t unix_ms;
  sheaf_slice json; /* ROWS: {"place":0,"rows":1024} */
} sheaf_jobs_store_event;
/* The first record of a flight (0: of all) behind seq after (0: the first). Slices as of get.
 * SHEAF_OK, SHEAF_E_END, SHEAF_E_STORE. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_event_next(sheaf_jobs_store *store, uint64_t flight,
                                              uint64_t after, sheaf_jobs_store_event *event);
/* "plan"; static; "unknown" for numbers that are none. Since 0.1. */
SHEAF_API const char *sheaf_jobs_store_event_name(uint32_t type);

typedef struct sheaf_jobs_store_totals {
  uint32_t struct_bytes;
  uint32_t reserved;
  uint64_t jobs;
  uint64_t jobs_over;
  uint64_t jobs_undecided;
  uint64_t requests;      /* of all jobs */
  uint64_t requests_over; /* of those that are over */
  uint64_t bytes;
} sheaf_jobs_store_totals;
/* Over all jobs that are prepared. SHEAF_OK, SHEAF_E_STORE. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_totals_get(sheaf_jobs_store *store,
                                              sheaf_jobs_store_totals *totals);

/* Writes down what a person decided about a job: "adopt" (job: the provider's id), "resubmit",
 * "abandon" or "cancel"; the next run acts on it. Also with a store opened read only, if no run has
 * the file: it is taken for the moment. SHEAF_OK; SHEAF_E_OTHER_RUN (a run is alive);
 * SHEAF_E_NOT_FOUND (no such job); SHEAF_E_END (it is over); SHEAF_E_FIELD (no such decision, or no
 * id to adopt); SHEAF_E_STORE. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_store_decide(sheaf_jobs_store *store, uint64_t flight,
                                          sheaf_slice decision, sheaf_slice job);

#ifdef __cplusplus
}
#endif

#endif
