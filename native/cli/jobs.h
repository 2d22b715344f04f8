/* jobs.h: what the jobs commands and a run's view of its jobs share.
 *
 *   jobs_cmd.c      sheaf jobs: finds the subcommand
 *   jobs_run.c      submit, wait, collect: runs that go so far
 *   jobs_ask.c      status --refresh, cancel: asks the provider and moves no row
 *   jobs_foreign.c  cancels jobs by their ids alone
 *   jobs_gc.c       gc: jobs at the provider that no state file knows
 *   jobs_list.c     list, status: what state files tell
 *   jobs_decide.c   decide: what a person knows about a job
 *   jobs_lanes.c    lanes: what providers' batch APIs are like, and the settings in force
 *   jobs_state.c    state files: finding them, their notes
 *   jobs_text.c     a job as a line, as JSON
 *   jobs_watch.c    how fast jobs get on, what they cost
 *   jobs_events.c   --events: one JSON object a line
 *   forecast.c      what a batch will cost, before anything is sent */
#ifndef SHEAF_CLI_JOBS_H
#define SHEAF_CLI_JOBS_H

#include "cli.h"

#include <sheaf/store.h>

/* ---- One job, wherever it is known from ---- */

typedef struct jobs_job {
  uint64_t flight;
  uint32_t state; /* SHEAF_JOB_*_STATE */
  bool is_over;
  sheaf_slice provider, endpoint, model, marker, job, message, decision;
  uint64_t requests;
  int64_t completed, failed; /* SHEAF_ABSENT: not told */
  int64_t ended, rescued;    /* here; SHEAF_ABSENT: not known */
  int64_t created_unix_ms;   /* SHEAF_ABSENT: not created, or not known when */
} jobs_job;
jobs_job jobs_of_status(const sheaf_job_status *status);
jobs_job jobs_of_stored(const sheaf_jobs_store_job *stored);
bool jobs_is_over(uint32_t state);

/* jobs_text.c. "job 3  openai  running  120/1000, 2 failed  batch_1", control bytes replaced. */
void jobs_line(const jobs_job *job, char *text, size_t bytes);
/* Its members, without braces. */
void jobs_json(const jobs_job *job, sheaf_buf *to);
void jobs_table_head(FILE *to);
void jobs_table_row(FILE *to, const jobs_job *job, int64_t now_unix_ms);
/* A path as a shell takes it. */
const char *jobs_quoted(const char *path, char *text, size_t bytes);
/* What a person can decide about it, and how. */
void jobs_say_undecided(FILE *to, const jobs_job *job, const char *state);

/* ---- How fast it goes ---- */

typedef struct jobs_pace {
  uint64_t flight;
  uint64_t rescued; /* as last told */
  bool is_over, has_count;
  uint64_t first_ns, last_ns;     /* of the first and the latest count seen */
  uint64_t first_done, last_done; /* rows */
} jobs_pace;
typedef struct jobs_watch {
  jobs_pace *paces;
  size_t count, room;
} jobs_watch;
void jobs_watch_see(jobs_watch *watch, const jobs_job *job, uint64_t now_ns);
/* Of all jobs seen, those that are over included, which the engine forgets. */
uint64_t jobs_watch_rescued(const jobs_watch *watch);
uint64_t jobs_watch_over(const jobs_watch *watch);
/* By the provider's counts over time; SHEAF_NEVER: they tell nothing yet. */
uint64_t jobs_watch_eta_ns(const jobs_watch *watch, const jobs_job *job, uint64_t now_ns);
void jobs_watch_close(jobs_watch *watch);

/* ---- Money ---- */

/* What rows cost that jobs brought, and what they would have cost live. */
typedef struct jobs_money {
  uint64_t rows, succeeded, failed, unpriced;
  int64_t batch_usd_nano, live_usd_nano;
  int64_t failed_usd_nano; /* of both lanes: what rows cost that failed in the end */
} jobs_money;
void jobs_money_add(jobs_money *money, const cli_args *args, const cli_place *place,
                    const sheaf_result *result);
/* Off the live price in percent; 0 where there is no batch API. */
uint32_t jobs_discount_pct(const sheaf_provider *provider);

/* ---- --events FILE ---- */

typedef struct jobs_events {
  FILE *file; /* NULL: nobody asked for them */
  sheaf_buf line;
  uint64_t next_ns;
  bool failed; /* told once */
} jobs_events;
/* CLI_OK, or CLI_HOST after a sentence. path NULL: there are none. */
int jobs_events_open(jobs_events *events, const char *path);
void jobs_events_job(jobs_events *events, const jobs_job *job, uint64_t eta_ns);
void jobs_events_progress(jobs_events *events, const sheaf_stats *stats,
                          const sheaf_files_report *files);
void jobs_events_end(jobs_events *events, int code);
void jobs_events_close(jobs_events *events);

/* ---- State files ---- */

/* Opens one that is there. CLI_OK, or an exit code after a sentence. */
int jobs_state_open(const char *path, bool read_only, sheaf_jobs_store **store);
/* A note as text of its own (free it); NULL: there is none. */
char *jobs_state_note(sheaf_jobs_store *store, const char *key);
/* The state files of a folder by their names' end, in the order of their names; each call hands one to fn. CLI_OK, or
 * what fn answered first. */
int jobs_state_each(const char *folder, int (*fn)(void *user, const char *path), void *user);
/* --state, or the only one in this folder. CLI_OK, or CLI_USAGE after a sentence. */
int jobs_state_find(const cli_args *args, char *path, size_t bytes);

/* ---- The forecast ---- */

/* On standard error: what the whole input will cost, live and in jobs. CLI_OK, or an exit code after a sentence. */
int cli_forecast(const cli_args *args, const cli_place *place);

/* ---- Subcommands; each answers its exit code ---- */

int cli_jobs(int argc, char **argv);
int jobs_submit(int argc, char **argv);
int jobs_wait(int argc, char **argv);
int jobs_collect(int argc, char **argv);
int jobs_list(int argc, char **argv);
int jobs_status(int argc, char **argv);
int jobs_cancel(int argc, char **argv);
int jobs_gc(int argc, char **argv);
int jobs_decide(int argc, char **argv);
int jobs_lanes(int argc, char **argv);
/* jobs_ask.c: what the provider says now, into the state file. */
int jobs_refresh(int argc, char **argv);
/* jobs_list.c: one state file on standard output; CLI_PARTIAL: something is to be decided. */
int jobs_show(const char *path, bool json);
/* jobs_run.c: the arguments of a command over those that its state file remembers; args->state is that file. */
int jobs_recall(int argc, char **argv, const char *command, cli_args *args);

#endif
