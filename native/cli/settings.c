/* settings.c: what the environment says about jobs: SHEAF_BATCH_*. A flag wins over it, it wins over a config file. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const struct {
  const char *variable;
  const char *option; /* of the engine's table; NULL: whether there are jobs at all */
} settings[CLI_SETTING_COUNT] = {
    [CLI_SETTING_ENABLED] = {"SHEAF_BATCH_ENABLED", NULL},
    [CLI_SETTING_THRESHOLD] = {"SHEAF_BATCH_THRESHOLD", "batch_threshold"},
    [CLI_SETTING_POLL] = {"SHEAF_BATCH_POLL_INTERVAL_MS", "poll_interval_ms"},
    [CLI_SETTING_TIMEOUT] = {"SHEAF_BATCH_TIMEOUT_MS", "batch_timeout_ms"},
    [CLI_SETTING_REQUESTS] = {"SHEAF_BATCH_MAX_REQUESTS", "max_requests_per_job"},
};

void cli_setting_note(cli_args *args, const char *option) {
  if (strcmp(option, "timeout_ms") == 0) option = "batch_timeout_ms"; /* the flag's short name */
  for (uint32_t i = 1; i < CLI_SETTING_COUNT; i++)
    if (strcmp(option, settings[i].option) == 0) args->from[i] = (uint8_t)args->source;
}

static int read_enabled(cli_args *args, const char *value) {
  static const char *const on[] = {"1", "true", "yes", "on"};
  static const char *const off[] = {"0", "false", "no", "off"};
  for (size_t i = 0; i < 4; i++) {
    if (strcmp(value, off[i]) == 0) args->batch_disabled = true;
    if (strcmp(value, off[i]) == 0 || strcmp(value, on[i]) == 0) {
      args->from[CLI_SETTING_ENABLED] = CLI_FROM_ENVIRONMENT;
      return CLI_OK;
    }
  }
  cli_say("SHEAF_BATCH_ENABLED cannot be \"%s\": give 1 or 0", value);
  return CLI_USAGE;
}

int cli_settings_read(cli_args *args) {
  args->source = CLI_FROM_ENVIRONMENT;
  for (uint32_t i = 0; i < CLI_SETTING_COUNT; i++) {
    const char *value = getenv(settings[i].variable), *option = settings[i].option;
    char message[256] = "";
    if (value == NULL || value[0] == 0) continue;
    if (option == NULL) {
      if (read_enabled(args, value)) return CLI_USAGE;
      continue;
    }
    if (sheaf_option_set(&args->engine, sheaf_slice_of(option), sheaf_slice_of(value), message,
                         sizeof message) != SHEAF_OK) {
      size_t name = strlen(option); /* the message begins with it */
      cli_say("%s%s", settings[i].variable, strlen(message) > name ? message + name : message);
      return CLI_USAGE;
    }
    args->from[i] = CLI_FROM_ENVIRONMENT;
  }
  return CLI_OK;
}

cli_setting cli_setting_at(const cli_args *args, uint32_t n) {
  static const char *const sources[] = {"default", "config file", "environment", "state file",
                                        "command line"};
  cli_setting it = {settings[n].variable, settings[n].option, "", sources[args->from[n]]};
  if (n == CLI_SETTING_ENABLED) {
    snprintf(it.value, sizeof it.value, "%s", args->batch_disabled ? "0" : "1");
    return it;
  }
  uint64_t number;
  const sheaf_option *option = sheaf_option_find(sheaf_slice_of(it.option));
  memcpy(&number, (const char *)&args->engine + option->offset, sizeof number);
  snprintf(it.value, sizeof it.value, "%llu", (unsigned long long)number);
  return it;
}
