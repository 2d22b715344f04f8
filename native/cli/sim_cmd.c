/* sim_cmd.c: sheaf sim: the simulator as a program of its own, until a signal comes. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifdef SHEAF_SIM

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
  (void)number;
  stopped = 1;
}

static int read_options(int argc, char **argv, sheaf_sim_options *options) {
  char message[256] = "", name[64];
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "--", 2) != 0)
      return cli_say("sheaf sim takes options only, not \"%s\"", argv[i]), CLI_USAGE;
    const char *equals = strchr(argv[i], '=');
    size_t bytes = equals ? (size_t)(equals - argv[i]) - 2 : strlen(argv[i]) - 2;
    if (bytes == 0 || bytes >= sizeof name)
      return cli_say("there is no option %s; sheaf help sim lists them", argv[i]), CLI_USAGE;
    memcpy(name, argv[i] + 2, bytes);
    name[bytes] = 0;
    const char *value = equals ? equals + 1 : i + 1 < argc ? argv[i + 1] : NULL;
    if (value == NULL) return cli_say("%s needs a value", argv[i]), CLI_USAGE;
    int32_t status = sheaf_sim_option_set(options, name, value, message, sizeof message);
    if (status == SHEAF_E_NOT_FOUND)
      return cli_say("there is no option %s; sheaf help sim lists them", argv[i]), CLI_USAGE;
    if (status) return cli_say("--%s", message), CLI_USAGE;
    if (equals == NULL) i++;
  }
  return CLI_OK;
}

int cli_sim(int argc, char **argv) {
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
    cli_help(stdout, "sim");
    return CLI_OK;
  }
  int answer = read_options(argc, argv, &options);
  if (answer) return answer;
  struct sigaction action = {.sa_handler = on_signal};
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked,
              &before); /* between the test of `stopped` and the wait no signal may be lost */
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  char message[256] = "";
  sheaf_sim *sim;
  if (sheaf_sim_start(&options, &sim, message, sizeof message) != SHEAF_OK) {
    cli_say("%s", message[0] ? message : "the simulator did not start");
    return CLI_HOST;
  }
  printf("%s\n", sheaf_sim_url(sim));
  fflush(stdout);
  while (!stopped) sigsuspend(&before);
  sheaf_buf json;
  sheaf_buf_init(&json, &cli_allocator, 1 << 20);
  if (sheaf_sim_stats(sim, &json) == SHEAF_OK)
    fprintf(stderr, "%.*s\n", (int)json.bytes, json.data);
  sheaf_buf_deinit(&json);
  sheaf_sim_stop(sim);
  return CLI_OK;
}

#else

int cli_sim(int argc, char **argv) {
  (void)argc;
  (void)argv;
  cli_say("this sheaf was built without the simulator (SHEAF_SIM was off)");
  return CLI_USAGE;
}

#endif
