/* run.h: one run over a provider, as the files of sheaf run and of the jobs commands share it.
 *
 *   run.c        set-up, signals, events on their way to the files, the loop
 *   run_end.c    the end: exit code, summary, what to do next
 *   run_jobs.c   what a run has to do with jobs: the state file, the forecast, what became of them */
#ifndef SHEAF_CLI_RUN_H
#define SHEAF_CLI_RUN_H

#include "cli.h"
#include "jobs.h"

#define RUN_PATH_BYTES 4096u

/* Jobs of a run. */
typedef struct run_jobs {
  sheaf_jobs_store *store; /* NULL: the run has nothing to do with jobs */
  char state[RUN_PATH_BYTES];
  char input[RUN_PATH_BYTES]; /* where standard input was copied to; "" */
  uint64_t before;            /* jobs of earlier runs */
  uint64_t over_before;       /* of those, over */
  jobs_watch watch;
  jobs_money money;
  jobs_events events;
} run_jobs;

typedef struct run_state {
  cli_args args;
  cli_place place;
  sheaf_files *files; /* NULL: the run asks about jobs and moves no rows */
  sheaf_curl *curl;
  sheaf_engine *engine;
  sheaf_price_table *prices;
  sheaf_sink file_sink; /* the files' own; events pass by here first */
  cli_failures failures;
  cli_run_counter counter;
  cli_judged judged;
  cli_progress progress;
  run_jobs jobs;
  /* Of commands that look at jobs: hands on what became known. NULL: nobody wants it. */
  void (*on_job)(void *user, const sheaf_job_status *status);
  void *user;
  bool draining, aborted, budget, key_stopped, run_late, unreachable;
  uint32_t openings;   /* of the breaker, since something last worked */
  uint64_t metrics_ns; /* when they are written next */
  int32_t failure;     /* what ended the run early, of a door */
  char first_error[512];
} run_state;

/* run.c. All of a run whose arguments are read; answers its exit code. */
int run_go(run_state *run);
/* The set-up and the loop alone, for commands with an end of their own; run_close in any case. */
int run_open(run_state *run);
int32_t run_loop(run_state *run);
void run_close(run_state *run);
void run_draw(run_state *run, bool force);

/* run_end.c */
/* Nothing ever came back and nothing was ever sent: the address is wrong, or nobody listens there. */
bool run_nothing_answers(const sheaf_stats *stats);
/* Files and summary at their end; the exit code. */
int run_finish(run_state *run, int32_t ended);

/* run_jobs.c */
/* Rows of this run are held by jobs, or may come to be: before the files are opened. CLI_OK, or an exit code after a
 * sentence. */
int run_jobs_prepare(run_state *run);
/* The state file and what it remembers; the forecast. After the files. */
int run_jobs_open(run_state *run);
void run_jobs_event(run_state *run, const sheaf_event *event);
/* When its next line of events is due; writes it if that time has come. */
uint64_t run_jobs_tick(run_state *run, uint64_t now);
/* What stands open when the run ends. */
typedef struct run_jobs_left {
  uint64_t jobs, undecided; /* undecided: of jobs */
  uint64_t rows;            /* of jobs that were created */
  uint64_t unsent;          /* of jobs that were not */
  uint64_t rescued;
} run_jobs_left;
run_jobs_left run_jobs_look(const run_state *run);
/* Lines of the summary, and which command goes on. */
void run_jobs_summary(const run_state *run, FILE *to);
void run_jobs_say_next(const run_state *run, const run_jobs_left *left);
void run_jobs_close(run_state *run, int code);

/* jobs_foreign.c. Cancels jobs of the provider by their ids, over the transport of a run whose engine is idle; done[i]:
 * the i-th is ending, or was over. */
int32_t jobs_foreign_cancel(run_state *run, const char *const *ids, size_t count, bool *done);

#endif
