/* test_readme_client.c: the README's program as it stands there: it is short, it answers, and it tells of failure. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/client.h>
#include <sheaf/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Its main becomes a function of this program, which prints into memory. */
static char printed[4096];
static int put_line(const char *text) {
  size_t bytes = strlen(printed);
  snprintf(printed + bytes, sizeof printed - bytes, "%s\n", text);
  return 0;
}

int readme_main(int argc, char **argv);
#define main readme_main
#define puts put_line
#include "readme_client.c"
#undef puts
#undef main

static int run(const char *base_url) {
  char name[] = "readme_client", url[256];
  char *argv[] = {name, url, NULL};
  printed[0] = 0;
  snprintf(url, sizeof url, "%s", base_url);
  return readme_main(2, argv);
}

static void answers_every_prompt_in_its_order(void **state) {
  (void)state;
  sheaf_sim *sim = NULL;
  char url[256];
  assert_int_equal(sheaf_sim_start(NULL, &sim, NULL, 0), SHEAF_OK);
  snprintf(url, sizeof url, "%s/v1", sheaf_sim_url(sim));
  assert_int_equal(run(url), 0);
  sheaf_sim_stop(sim);
  assert_string_equal(printed,
                      "echo: Why is the sky blue?\n"
                      "echo: Name a river.\n"
                      "echo: Translate to French: bread\n");
}

static void tells_of_failure_by_its_exit_code(void **state) {
  (void)state;
  assert_int_equal(run("no url at all"), 1);
}

static void main_is_shorter_than_twenty_lines(void **state) {
  (void)state;
  FILE *file = fopen(SHEAF_SOURCE_DIR "/tests/integration/readme_client.c", "r");
  assert_non_null(file);
  char line[256];
  int count = 0, inside = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "int main", 8) == 0) inside = 1;
    count += inside;
    if (strcmp(line, "}\n") == 0) inside = 0;
  }
  fclose(file);
  assert_in_range(count, 5, 19);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_every_prompt_in_its_order),
      cmocka_unit_test(tells_of_failure_by_its_exit_code),
      cmocka_unit_test(main_is_shorter_than_twenty_lines),
  };
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
