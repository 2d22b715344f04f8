/* jobs_decide.c: sheaf jobs decide: what a person knows about a job that sheaf cannot know: which one of the provider's
 * list it is, that it was never made, or that nobody wants it any more. The next run acts on it. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <stdlib.h>

static int complain(sheaf_jobs_store *store, unsigned long long flight, int32_t status) {
  const char *message = sheaf_jobs_store_message(store);
  if (message[0])
    cli_say("%s", message);
  else if (status == SHEAF_E_NOT_FOUND)
    cli_say("there is no job %llu in this file; sheaf jobs list shows them", flight);
  else if (status == SHEAF_E_END)
    cli_say("job %llu is over: there is nothing to decide", flight);
  else
    cli_say("job %llu: %s", flight, sheaf_status_text(status));
  return status == SHEAF_E_STORE ? CLI_HOST : CLI_BAD_INPUT;
}

int jobs_decide(int argc, char **argv) {
  static cli_args args;
  char path[4096], quoted[4200], *end = NULL;
  sheaf_jobs_store *store;
  int answer = cli_args_read(argc, argv, "jobs decide", &args);
  if (answer) return answer;
  if (args.help) return cli_help(stdout, "jobs");
  unsigned long long flight = args.word_count == 1 ? strtoull(args.words[0], &end, 10) : 0;
  if (flight == 0 || *end != 0)
    return cli_say("give one job by its number, as: sheaf jobs decide 1 --resubmit --state FILE"),
           CLI_USAGE;
  if ((args.adopt != NULL) + args.resubmit + args.abandon != 1)
    return cli_say("give one of --adopt ID, --resubmit and --abandon"), CLI_USAGE;
  answer = jobs_state_find(&args, path, sizeof path);
  if (answer == CLI_OK) answer = jobs_state_open(path, true, &store);
  if (answer != CLI_OK) return answer;
  const char *decision = args.adopt ? "adopt" : args.resubmit ? "resubmit" : "abandon";
  int32_t status =
      sheaf_jobs_store_decide(store, flight, sheaf_slice_of(decision), sheaf_slice_of(args.adopt));
  if (status != SHEAF_OK) answer = complain(store, flight, status);
  sheaf_jobs_store_close(store);
  if (answer == CLI_OK)
    printf("job %llu: %s%s%s. The next run acts on it: sheaf jobs wait --state %s\n", flight,
           decision, args.adopt ? " " : "", args.adopt ? args.adopt : "",
           jobs_quoted(path, quoted, sizeof quoted));
  return answer;
}
