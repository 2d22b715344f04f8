/* jobs_cmd.c: sheaf jobs: finds the subcommand. */
#include "jobs.h"

#include <string.h>

int cli_jobs(int argc, char **argv) {
  static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
  } commands[] = {{"submit", jobs_submit}, {"wait", jobs_wait},     {"collect", jobs_collect},
                  {"list", jobs_list},     {"status", jobs_status}, {"cancel", jobs_cancel},
                  {"gc", jobs_gc},         {"decide", jobs_decide}, {"lanes", jobs_lanes}};
  const char *name = argc > 0 ? argv[0] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return cli_help(stdout, "jobs");
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
    if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  if (name[0])
    cli_say("there is no command \"jobs %s\"; sheaf help jobs lists them", name);
  else
    cli_help(stderr, "jobs");
  return CLI_USAGE;
}
