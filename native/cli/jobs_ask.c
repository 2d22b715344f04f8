/* jobs_ask.c: sheaf jobs cancel and sheaf jobs status --refresh: the provider is asked or told about jobs of a state
 * file, and no row is moved. What it answers is in the file afterwards and shown from there. */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <stdlib.h>
#include <string.h>

/* The exit code of a conversation that is over. */
static int ended(run_state *run, int32_t status) {
  sheaf_stats stats;
  sheaf_engine_stats(run->engine, &stats);
  cli_progress_close(&run->progress);
  const char *message = sheaf_jobs_store_message(run->jobs.store);
  if (run->draining) return CLI_INTERRUPTED;
  if (status != SHEAF_OK) {
    cli_say("%s", message[0] ? message : sheaf_status_text(status));
    return CLI_HOST;
  }
  const char *worst = cli_worst_class(&stats);
  if (worst == NULL) return CLI_OK;
  const sheaf_slice base = run->place.endpoint.base_url;
  fprintf(stderr, "WARNING: %.*s did not answer every question (%s)\n", (int)base.bytes, base.data,
          worst);
  return CLI_PARTIAL;
}

static int converse(run_state *run, uint64_t mode) {
  run->args.engine.batch_mode = mode;
  int answer = run_open(run);
  if (answer == CLI_OK) answer = ended(run, run_loop(run));
  run_jobs_close(run, answer);
  run_close(run);
  return answer;
}

int jobs_refresh(int argc, char **argv) {
  static run_state run;
  int answer = jobs_recall(argc, argv, "jobs status", &run.args);
  if (answer) return answer;
  run.args.quiet = true;
  return converse(&run, SHEAF_BATCH_STATUS);
}

/* Written down first: what a run was told to do is done by the next one that can. */
static int decide_cancel(const cli_args *args) {
  sheaf_jobs_store *store;
  int answer = jobs_state_open(args->state, true, &store);
  for (uint32_t i = 0; i < args->word_count && answer == CLI_OK; i++) {
    char *end;
    unsigned long long flight = strtoull(args->words[i], &end, 10);
    if (*end != 0 || flight == 0) {
      cli_say("\"%s\" is no job: give numbers as sheaf jobs list shows them", args->words[i]);
      answer = CLI_USAGE;
      break;
    }
    int32_t status =
        sheaf_jobs_store_decide(store, flight, SHEAF_LITERAL("cancel"), (sheaf_slice){NULL, 0});
    const char *message = sheaf_jobs_store_message(store);
    if (status == SHEAF_OK) continue;
    cli_say("job %llu: %s", flight, message[0] ? message : sheaf_status_text(status));
    answer = status == SHEAF_E_STORE ? CLI_HOST : CLI_BAD_INPUT;
  }
  if (store != NULL) sheaf_jobs_store_close(store);
  return answer;
}

int jobs_cancel(int argc, char **argv) {
  static run_state run;
  char quoted[RUN_PATH_BYTES + 64];
  int answer = jobs_recall(argc, argv, "jobs cancel", &run.args);
  if (answer) return answer;
  if (run.args.help) return cli_help(stdout, "jobs");
  const bool some = run.args.word_count > 0;
  const bool is_quiet = run.args.quiet;
  run.args.quiet = true;
  if (some) answer = decide_cancel(&run.args);
  if (answer == CLI_OK) answer = converse(&run, some ? SHEAF_BATCH_STATUS : SHEAF_BATCH_CANCEL);
  if (answer != CLI_OK || is_quiet) return answer;
  answer = jobs_show(run.args.state, false);
  fprintf(stderr, "What they brought until then is fetched by: sheaf jobs collect --state %s\n",
          jobs_quoted(run.args.state, quoted, sizeof quoted));
  return answer;
}
