/* run_end.c: the end of a run: the exit code, the summary, and what to do next. */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <string.h>

bool run_nothing_answers(const sheaf_stats *s) {
  uint64_t others = 0;
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++)
    if (i != SHEAF_CLASS_NETWORK) others += s->attempt_errors_by_class[i];
  return s->succeeded == 0 && s->bytes_received == 0 && s->unknown_outcomes == 0 && others == 0;
}

static int exit_code(const run_state *run, const sheaf_stats *s, const sheaf_files_report *files,
                     const run_jobs_left *left) {
  switch (run->failure) {
    case SHEAF_OK: break;
    case SHEAF_E_IO:
    case SHEAF_E_STORE:
    case SHEAF_E_NOMEM: return CLI_HOST;
    default: return CLI_BAD_INPUT;
  }
  if (run->draining || run->run_late) return CLI_INTERRUPTED;
  if (run->budget) return CLI_BUDGET;
  if (run->unreachable) return CLI_ALL_FAILED;
  /* A run to the end has left jobs behind, or one that submits has not made them all. */
  const uint64_t mode = run->args.engine.batch_mode;
  const uint64_t behind = left->unsent + (mode == SHEAF_BATCH_RUN ? left->rows : 0);
  if (left->undecided || (behind > 0 && mode <= SHEAF_BATCH_SUBMIT)) return CLI_PARTIAL;
  uint64_t failed_before = files->rows_failed_before;
  /* Rows that wait in jobs have not failed. */
  if (left->jobs > 0 && s->failed + failed_before == 0) return CLI_OK;
  if (s->failed + s->not_attempted + failed_before == 0) return CLI_OK;
  return s->succeeded + s->skipped == failed_before ? CLI_ALL_FAILED : CLI_PARTIAL;
}

/* What the summary does not say: why it ended, and what to do. */
static void say_what_next(const run_state *run, const sheaf_stats *s,
                          const sheaf_files_report *files, const run_jobs_left *jobs, int code) {
  const cli_args *args = &run->args;
  bool resumable = strcmp(args->output, "-") != 0;
  /* What was cancelled has no line: the same command runs it. */
  uint64_t cut = s->failed_by_class[SHEAF_CLASS_CANCELLED];
  unsigned long long failed = s->failed - cut + files->rows_failed_before,
                     left = s->not_attempted + cut,
                     all = s->failed + s->succeeded + s->skipped + s->not_attempted;
  const char *message = sheaf_files_message(run->files);
  if (message[0] == 0 && run->jobs.store != NULL)
    message = sheaf_jobs_store_message(run->jobs.store);
  if (run->failure == SHEAF_E_OTHER_RUN && message[0] == 0 && run->jobs.store != NULL)
    cli_say(
        "%s is not the input that the jobs of %s were made of, or the options that make requests "
        "differ: give those of the submission, or another --state and output",
        args->input, run->jobs.state);
  else if (run->failure && run->failure != SHEAF_E_END)
    cli_say("%s", message[0] ? message : sheaf_status_text(run->failure));
  if (code == CLI_BAD_INPUT && all > 0)
    fprintf(stderr,
            "What was finished before is kept. All lines are checked by: the same command "
            "with --dry-run\n");
  if (run->unreachable)
    fprintf(stderr,
            "ERROR: %.*s cannot be reached (%s): check the address, and that the server "
            "runs\n",
            (int)run->place.endpoint.base_url.bytes, run->place.endpoint.base_url.data,
            run->first_error[0] ? run->first_error : "network");
  else if (code == CLI_ALL_FAILED)
    fprintf(stderr, "ERROR: every request failed (%llu). The first: %s\n", failed + left,
            run->first_error[0] ? run->first_error : "see its line");
  else if (failed)
    fprintf(stderr, "WARNING: %llu of %llu requests failed; each has a line with its error.%s%s\n",
            failed, all, run->first_error[0] ? " The first: " : "", run->first_error);
  if (failed && resumable && code != CLI_BAD_INPUT)
    fprintf(stderr, "To run what failed again: the same command with --retry-failed\n");
  run_jobs_say_next(run, jobs);
  if (left && resumable && jobs->jobs == 0 && code != CLI_BAD_INPUT)
    fprintf(stderr,
            "%llu requests that were read have no result yet. To go on: the same command again%s\n",
            left, code == CLI_BUDGET ? ", with a larger budget" : "");
}

int run_finish(run_state *run, int32_t ended) {
  const cli_args *args = &run->args;
  sheaf_stats stats;
  sheaf_files_report report;
  if (run->failure == SHEAF_OK) run->failure = ended;
  int32_t flushed = sheaf_files_flush(run->files);
  sheaf_engine_stats(run->engine, &stats);
  const run_jobs_left left = run_jobs_look(run);
  bool whole = run->failure == SHEAF_OK && flushed == SHEAF_OK && stats.not_attempted == 0 &&
               left.rows + left.unsent == 0;
  int32_t finished = sheaf_files_finish(run->files, whole);
  if (run->failure == SHEAF_OK) run->failure = flushed ? flushed : finished;
  sheaf_files_report_get(run->files, &report);
  if (run->progress.terminal) run_draw(run, true);
  cli_progress_close(&run->progress);
  if (run->failure == SHEAF_OK && !run->draining && report.has_total && report.rows == 0) {
    run->failure = SHEAF_E_END; /* a pipe tells so late that it brings nothing */
    cli_say("standard input is empty; give at least one row");
  }
  int code = exit_code(run, &stats, &report, &left);
  run->unreachable |= code == CLI_ALL_FAILED && stats.attempts > 0 && stats.failed == 0 &&
                      run_nothing_answers(&stats);
  bool nothing = stats.attempts + stats.failed + stats.skipped == 0;
  const bool is_part = args->engine.batch_mode != SHEAF_BATCH_RUN; /* submit, collect */
  if (!args->quiet && !((run->failure || is_part) && nothing)) {
    cli_summary_print(stderr, &stats, &report, args);
    cli_judged_print(&run->judged, stderr);
    run_jobs_summary(run, stderr);
    cli_run_counter_print(&run->counter, stderr);
  }
  say_what_next(run, &stats, &report, &left, code);
  if (args->summary != NULL && cli_summary_write(args->summary, &stats, false)) code = CLI_HOST;
  if (args->metrics != NULL && cli_summary_write(args->metrics, &stats, true)) code = CLI_HOST;
  return code;
}
