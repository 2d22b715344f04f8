/* test_readme_client.c: the README's programs: they stand there as they are here, they answer, the first is short and tells of
 * failure. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/client.h>
#include <sheaf/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

int readme_queue_main(int argc, char **argv);
#define main readme_queue_main
#include "readme_queue.c"
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

/* Its standard output, while it runs, is a file. */
static void one_by_one_by_handle_and_by_callback(void **state) {
  (void)state;
  sheaf_sim *sim = NULL;
  char name[] = "readme_queue", url[256], got[256] = "";
  char *argv[] = {name, url, NULL};
  assert_int_equal(sheaf_sim_start(NULL, &sim, NULL, 0), SHEAF_OK);
  snprintf(url, sizeof url, "%s/v1", sheaf_sim_url(sim));
  FILE *file = tmpfile();
  assert_non_null(file);
  fflush(stdout);
  int before = dup(STDOUT_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  int answer = readme_queue_main(2, argv);
  fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);
  rewind(file);
  size_t bytes = fread(got, 1, sizeof got - 1, file);
  fclose(file);
  sheaf_sim_stop(sim);
  got[bytes] = 0;
  assert_int_equal(answer, 0);
  assert_non_null(strstr(got, "urgent: echo: A name for a river\n"));
  assert_int_equal(strlen(got),
                   strlen("urgent: echo: A name for a river\necho: A name for a river\n"));
}

static void read_whole(const char *path, char *text, size_t room) {
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  size_t bytes = fread(text, 1, room - 1, file);
  assert_true(bytes > 0 && bytes < room - 1);
  text[bytes] = 0;
  fclose(file);
}

/* What stands between the marks, without the indent of its first line, stands in the README. */
static void assert_shown(const char *path) {
  static char source[8192], readme[65536], shown[8192];
  read_whole(path, source, sizeof source);
  read_whole(SHEAF_SOURCE_DIR "/README.md", readme, sizeof readme);
  const char *at = strchr(strstr(source, "/* BEGIN */"), '\n') + 1;
  const char *end = strstr(source, "/* END */");
  assert_non_null(end);
  size_t indent = strspn(at, " "), bytes = 0;
  while (at + indent < end) {
    const char *next = strchr(at, '\n') + 1;
    if (strncmp(at, "        ", indent) == 0) at += indent;
    memcpy(shown + bytes, at, (size_t)(next - at));
    bytes += (size_t)(next - at);
    at = next;
  }
  shown[bytes] = 0;
  assert_true(bytes > 200);
  assert_non_null(strstr(readme, shown));
}

static void the_readme_shows_them_all(void **state) {
  (void)state;
  assert_shown(SHEAF_SOURCE_DIR "/tests/integration/readme_client.c");
  assert_shown(SHEAF_SOURCE_DIR "/tests/integration/readme_queue.c");
  assert_shown(SHEAF_SOURCE_DIR "/tests/integration/readme_jobs.c");
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
      cmocka_unit_test(one_by_one_by_handle_and_by_callback),
      cmocka_unit_test(the_readme_shows_them_all),
      cmocka_unit_test(tells_of_failure_by_its_exit_code),
      cmocka_unit_test(main_is_shorter_than_twenty_lines),
  };
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
