/* readme_jobs.c: the README's program of batch jobs. test_readme_jobs.c compiles and runs what
 * stands between the marks. */
/* BEGIN */
#include <sheaf/client_jobs.h>
#include <stdio.h>

static int32_t take(void *user, const sheaf_result *result) {
  const sheaf_slice text = result->ok ? result->text : result->error_message;
  fprintf(user, "%.*s: %.*s\n", (int)result->custom_id.bytes, result->custom_id.data,
          (int)text.bytes, text.data);
  return SHEAF_OK; /* anything else: not taken, it comes again */
}

int main(int argc, char **argv) {
  sheaf_request requests[] = {SHEAF_REQUEST_INIT, SHEAF_REQUEST_INIT};
  requests[0].prompt = SHEAF_LITERAL("Why is the sky blue?");
  requests[1].prompt = SHEAF_LITERAL("Name a river.");
  char message[512] = "";
  sheaf_jobs_options options = SHEAF_JOBS_OPTIONS_INIT;
  options.model = "gpt-4o-mini"; /* the key comes from OPENAI_API_KEY */
  options.base_url = argc > 1 ? argv[1] : NULL;
  options.state_path = argc > 2 ? argv[2] : "questions.jobs.sqlite";
  options.message = message;
  options.message_bytes = sizeof message;
  sheaf_jobs *jobs = NULL;
  int32_t status = sheaf_jobs_open(&options, &jobs);
  /* Creates the jobs and ends; a second start finds them in the state file and goes on. */
  if (status == SHEAF_OK) status = sheaf_jobs_submit(jobs, requests, 2, take, stdout);
  /* Hours later, here or in another process: sheaf_jobs_results for what is done by now, or */
  if (status == SHEAF_OK) status = sheaf_jobs_wait(jobs, SHEAF_NEVER, take, stdout);
  if (status != SHEAF_OK) fprintf(stderr, "%s%s\n", message, sheaf_jobs_message(jobs));
  sheaf_jobs_close(jobs);
  return status == SHEAF_OK ? 0 : 1;
}
/* END */
