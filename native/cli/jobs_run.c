/* jobs_run.c: sheaf jobs submit, wait and collect: runs that take jobs so far and no further.
 *
 * wait and collect know nothing but the state file: it remembers input, output and options. */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <stdlib.h>

int jobs_submit(int argc, char **argv) {
  static run_state run; /* large, and there is one */
  int answer = cli_args_read(argc, argv, "jobs submit", &run.args);
  if (answer) return answer;
  if (run.args.help) return cli_help(stdout, "jobs");
  if (run.args.input == NULL || run.args.output == NULL)
    return cli_say("give input and output, as: sheaf jobs submit prompts.jsonl -o results.jsonl"),
           CLI_USAGE;
  if (run.args.engine.lane != SHEAF_LANE_AUTO) run.args.engine.lane = SHEAF_LANE_BATCH;
  run.args.engine.batch_mode = SHEAF_BATCH_SUBMIT;
  return run_go(&run);
}

/* What the state file remembers of the command that submitted; the texts live as long as the process. */
static int recall(const char *path, char **input, char **output, char **options) {
  sheaf_jobs_store *store;
  int answer = jobs_state_open(path, true, &store);
  if (answer != CLI_OK) return answer;
  *input = jobs_state_note(store, "input");
  *output = jobs_state_note(store, "output");
  *options = jobs_state_note(store, "options");
  sheaf_jobs_store_close(store);
  if (*input != NULL && *output != NULL && *options != NULL) return CLI_OK;
  cli_say(
      "%s does not say which input its jobs are of: give the command that made them once more, "
      "with --state %s",
      path, path);
  return CLI_BAD_INPUT;
}

int jobs_recall(int argc, char **argv, const char *command, cli_args *args) {
  static char path[RUN_PATH_BYTES];
  char *input = NULL, *output = NULL, *options = NULL;
  int answer = cli_args_read(argc, argv, command, args);
  if (answer || args->help) return answer;
  answer = jobs_state_find(args, path, sizeof path);
  if (answer == CLI_OK) answer = recall(path, &input, &output, &options);
  if (args->given.allocator != NULL) sheaf_buf_deinit(&args->given); /* it is read anew */
  if (answer == CLI_OK)
    answer = cli_args_read_after(argc, argv, command, path, sheaf_slice_of(options), args);
  free(options);
  if (answer == CLI_OK && args->input == NULL) {
    args->input = input;
    input = NULL;
  }
  if (answer == CLI_OK && args->output == NULL) {
    args->output = output;
    output = NULL;
  }
  free(input);
  free(output);
  args->state = path;
  return answer;
}

static int go_on(int argc, char **argv, const char *command, uint64_t mode) {
  static run_state run;
  int answer = jobs_recall(argc, argv, command, &run.args);
  if (answer) return answer;
  if (run.args.help) return cli_help(stdout, "jobs");
  run.args.engine.batch_mode = mode;
  return run_go(&run);
}

int jobs_wait(int argc, char **argv) {
  return go_on(argc, argv, "jobs wait", SHEAF_BATCH_RUN);
}

int jobs_collect(int argc, char **argv) {
  return go_on(argc, argv, "jobs collect", SHEAF_BATCH_COLLECT);
}
