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

/* An option whose value is "on | off" may stand alone: --https. */
static bool is_switch(const char *wanted) {
  const char *name, *value, *about;
  for (uint32_t i = 0; sheaf_sim_option_at(i, &name, &value, &about); i++)
    if (strcmp(name, wanted) == 0) return strcmp(value, "on | off") == 0;
  return false;
}

static bool is_option(const char *wanted) {
  const char *name, *value, *about;
  for (uint32_t i = 0; sheaf_sim_option_at(i, &name, &value, &about); i++)
    if (strcmp(name, wanted) == 0) return true;
  return false;
}

static int set_option(sheaf_sim_options *options, const char *name, const char *value) {
  char message[256] = "";
  if (value == NULL) return cli_say("--%s needs a value", name), CLI_USAGE;
  int32_t status = sheaf_sim_option_set(options, name, value, message, sizeof message);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("--%s", message[0] ? message : name);
  return CLI_USAGE;
}

/* "--name value", "--name=value", and of a switch "--name" alone. */
static int read_options(int argc, char **argv, sheaf_sim_options *options) {
  char name[64];
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "--", 2) != 0)
      return cli_say("sheaf sim takes options only, not \"%s\"", argv[i]), CLI_USAGE;
    const char *equals = strchr(argv[i], '=');
    size_t bytes = equals ? (size_t)(equals - argv[i]) - 2 : strlen(argv[i]) - 2;
    if (bytes < sizeof name) {
      memcpy(name, argv[i] + 2, bytes);
      name[bytes] = 0;
    }
    if (bytes >= sizeof name || !is_option(name))
      return cli_say("there is no option %s; sheaf help sim lists them", argv[i]), CLI_USAGE;
    const char *value = equals ? equals + 1 : i + 1 < argc ? argv[i + 1] : NULL;
    bool is_alone = !equals && is_switch(name) && (!value || strncmp(value, "--", 2) == 0);
    int answer = set_option(options, name, is_alone ? "on" : value);
    if (answer) return answer;
    if (!equals && !is_alone) i++;
  }
  return CLI_OK;
}

/* The address, and where it is HTTPS the certificate to trust, each on a line. */
static void print_address(const sheaf_sim *sim) {
  const char *certificate = sheaf_sim_certificate(sim);
  printf("%s\n", sheaf_sim_url(sim));
  if (certificate) printf("%s\n", certificate);
  fflush(stdout);
}

int cli_sim(int argc, char **argv) {
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  for (int i = 0; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
      return cli_help(stdout, "sim");
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
  char message[512] = "";
  sheaf_sim *sim;
  sheaf_sim_raise_descriptors();
  if (sheaf_sim_start(&options, &sim, message, sizeof message) != SHEAF_OK) {
    cli_say("%s", message[0] ? message : "the simulator did not start");
    return CLI_HOST;
  }
  print_address(sim);
  while (!stopped) sigsuspend(&before);
  sheaf_buf json;
  sheaf_buf_init(&json, sheaf_heap(), 1 << 20);
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
