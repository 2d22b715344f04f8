/* test_readme_jobs.c: the README's program of batch jobs: it answers, a second start asks nothing
 * again, it tells of failure, it is short. test_readme_client.c looks whether the README shows it. */
#define _DEFAULT_SOURCE
#include <sheaf/client_jobs.h>
#include <sheaf/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

int readme_jobs_main(int argc, char **argv);
#define main readme_jobs_main
#include "readme_jobs.c"
#undef main

static char got[4096];

/* Its standard output, while it runs, is a file. */
static int run(const char *base_url, const char *state_path) {
  char name[] = "readme_jobs", url[256], state[256];
  char *argv[] = {name, url, state, NULL};
  snprintf(url, sizeof url, "%s", base_url);
  snprintf(state, sizeof state, "%s", state_path);
  FILE *file = tmpfile();
  assert_non_null(file);
  fflush(stdout);
  int before = dup(STDOUT_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  int answer = readme_jobs_main(3, argv);
  fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);
  rewind(file);
  size_t bytes = fread(got, 1, sizeof got - 1, file);
  got[bytes] = 0;
  fclose(file);
  return answer;
}

static void answers_once_and_is_done_when_started_again(void **state) {
  (void)state;
  sheaf_sim *sim = NULL;
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  char url[256], folder[] = "/tmp/sheaf-readme-XXXXXX", path[128], spool[160];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/questions.sqlite", folder);
  snprintf(spool, sizeof spool, "%s.spool", path);
  options.batch_time.us = 0;
  assert_int_equal(sheaf_sim_start(&options, &sim, NULL, 0), SHEAF_OK);
  snprintf(url, sizeof url, "%s/v1", sheaf_sim_url(sim));
  setenv("OPENAI_API_KEY", "sk-test-0123456789", 1);
  assert_int_equal(run(url, path), 0);
  assert_non_null(strstr(got, "row-1: echo: Why is the sky blue?\n"));
  assert_non_null(strstr(got, "row-2: echo: Name a river.\n"));
  assert_int_equal(run(url, path), 0);
  assert_string_equal(got, "");
  sheaf_sim_stop(sim);
  rmdir(spool);
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
}

static void tells_of_failure_by_its_exit_code(void **state) {
  (void)state;
  unsetenv("OPENAI_API_KEY");
  assert_int_equal(run("https://nowhere.example/v1", "/nowhere/questions.sqlite"), 1);
  setenv("OPENAI_API_KEY", "sk-test-0123456789", 1);
  assert_int_equal(run("http://127.0.0.1:9/v1", "/nowhere/questions.sqlite"), 1);
}

static void main_is_short(void **state) {
  (void)state;
  FILE *file = fopen(SHEAF_SOURCE_DIR "/tests/integration/readme_jobs.c", "r");
  assert_non_null(file);
  char line[256];
  int count = 0, inside = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "int main", 8) == 0) inside = 1;
    count += inside;
    if (strcmp(line, "}\n") == 0) inside = 0;
  }
  fclose(file);
  assert_in_range(count, 5, 25);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_once_and_is_done_when_started_again),
      cmocka_unit_test(tells_of_failure_by_its_exit_code),
      cmocka_unit_test(main_is_short),
  };
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
