/* main.c: the sheaf command: finds the subcommand; memory, messages and small files for all of
 * them. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void cli_say(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("sheaf: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  va_end(list);
}

char *cli_read_file(const char *path, size_t bytes_max, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    cli_say("cannot read %s: %s", path, strerror(errno));
    return NULL;
  }
  char *text = malloc(bytes_max + 1);
  size_t n = text ? fread(text, 1, bytes_max + 1, file) : 0;
  bool bad = text == NULL || ferror(file) != 0;
  fclose(file);
  if (bad || n > bytes_max) {
    if (n > bytes_max)
      cli_say("%s is larger than %zu bytes", path, bytes_max);
    else
      cli_say("cannot read %s", path);
    free(text);
    return NULL;
  }
  text[n] = 0;
  *bytes = n;
  return text;
}

/* Many systems begin with room for 1,024. */
void cli_raise_descriptors(uint64_t wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted < limit.rlim_max ? (rlim_t)wanted : limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
  static const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core); /* a core file would hold the keys */
  signal(SIGPIPE, SIG_IGN);
  const char *command = argc > 1 ? argv[1] : "";
  if (strcmp(command, "run") == 0) return cli_run(argc - 2, argv + 2);
  if (strcmp(command, "plan") == 0) return cli_plan(argc - 2, argv + 2);
  if (strcmp(command, "tokens") == 0) return cli_tokens(argc - 2, argv + 2);
  if (strcmp(command, "bench") == 0) return cli_bench(argc - 2, argv + 2);
  if (strcmp(command, "sim") == 0) return cli_sim(argc - 2, argv + 2);
  if (strcmp(command, "serve") == 0) return cli_serve(argc - 2, argv + 2);
  if (strcmp(command, "jobs") == 0) return cli_jobs(argc - 2, argv + 2);
  if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
    printf("sheaf %s\n", sheaf_version());
    return CLI_OK;
  }
  if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 ||
      strcmp(command, "-h") == 0) {
    return cli_help(stdout, argc > 2 ? argv[2] : NULL);
  }
  if (command[0])
    cli_say("there is no command \"%s\"; sheaf --help lists them", command);
  else
    cli_help(stderr, NULL);
  return CLI_USAGE;
}
