/* jobs_lanes.c: sheaf jobs lanes: what each provider's batch API is like, and the settings of jobs in force. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <string.h>

static const struct {
  uint32_t flag;
  const char *name;
} kinds[] = {{SHEAF_JOBS_FILES, "files"},
             {SHEAF_JOBS_INLINE, "inline"},
             {SHEAF_JOBS_MARKER, "marker"},
             {SHEAF_JOBS_PARTIAL, "partial"},
             {SHEAF_JOBS_ONE_MODEL, "one_model"}};

/* Every number of the table once: its name in JSON, and how people read it. */
typedef struct number {
  const char *name, *text;
  uint64_t value;
} number;
#define NUMBERS 10u
static void numbers_of(const sheaf_job_traits *t, number to[NUMBERS]) {
  const number all[NUMBERS] = {{"requests_max", "requests a job", t->requests_max},
                               {"bytes_max", "bytes a job", t->bytes_max},
                               {"inline_bytes_max", "bytes without a file", t->inline_bytes_max},
                               {"inputs_max", "inputs to embed a job", t->inputs_max},
                               {"jobs_max", "jobs side by side", t->jobs_max},
                               {"window_hours", "hours it means to take", t->window_hours},
                               {"expires_hours", "hours until it gives up", t->expires_hours},
                               {"retention_hours", "hours results stay", t->retention_hours},
                               {"discount_pct", "% off the live price", t->discount_pct},
                               {"poll_min_ms", "ms between two polls", t->poll_min_ms}};
  memcpy(to, all, sizeof all);
}

/* ---- For people ---- */

static void print_lane(const sheaf_provider *provider) {
  const sheaf_job_api *api = sheaf_job_api_of(provider);
  number numbers[NUMBERS];
  printf("%s\n", provider->name);
  if (api == NULL) {
    puts("  no batch API: its requests run live");
    return;
  }
  numbers_of(&api->traits, numbers);
  for (size_t i = 0; i < NUMBERS; i++)
    if (numbers[i].value)
      printf("  %-24s %llu\n", numbers[i].text, (unsigned long long)numbers[i].value);
  printf("  %-24s %s\n", "ids", api->traits.id_rule);
  if ((api->traits.flags & SHEAF_JOBS_PARTIAL) == 0)
    puts("  a job that expired or was cancelled brings nothing");
  if ((api->traits.flags & SHEAF_JOBS_MARKER) == 0)
    puts("  jobs carry no mark of ours: after a crash one is known by its size and time");
  if (api->traits.caveats[0]) printf("  caveats: %s\n", api->traits.caveats);
}

static void print_settings(const cli_args *args) {
  puts("settings (a flag wins over the environment, the environment over a config file)");
  for (uint32_t i = 0; i < CLI_SETTING_COUNT; i++) {
    const cli_setting it = cli_setting_at(args, i);
    printf("  %-30s %-10s %s\n", it.variable, it.value, it.source);
  }
}

/* ---- JSON ---- */

static void put_text(sheaf_buf *out, const char *name, const char *text) {
  sheaf_buf_append_text(out, ",\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
  sheaf_buf_append_string(out, sheaf_slice_of(text));
}

static void put_lane(sheaf_buf *out, const sheaf_provider *provider) {
  const sheaf_job_api *api = sheaf_job_api_of(provider);
  number numbers[NUMBERS];
  sheaf_buf_append_text(out, "{\"provider\":");
  sheaf_buf_append_string(out, sheaf_slice_of(provider->name));
  sheaf_buf_append_text(out, ",\"live\":true,\"batch\":");
  if (api == NULL) {
    sheaf_buf_append_text(out, "null}");
    return;
  }
  numbers_of(&api->traits, numbers);
  sheaf_buf_append_text(out, "{\"api\":");
  sheaf_buf_append_string(out, sheaf_slice_of(api->name));
  for (size_t i = 0; i < NUMBERS; i++) {
    sheaf_buf_append_text(out, ",\"");
    sheaf_buf_append_text(out, numbers[i].name);
    sheaf_buf_append_text(out, "\":");
    sheaf_buf_append_u64(out, numbers[i].value);
  }
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    sheaf_buf_append_text(out, ",\"");
    sheaf_buf_append_text(out, kinds[i].name);
    sheaf_buf_append_text(out, api->traits.flags & kinds[i].flag ? "\":true" : "\":false");
  }
  put_text(out, "id_rule", api->traits.id_rule);
  put_text(out, "caveats", api->traits.caveats);
  sheaf_buf_append_text(out, "}}");
}

static int print_json(const cli_args *args) {
  sheaf_buf out;
  const sheaf_provider *provider;
  sheaf_buf_init(&out, sheaf_heap(), 1 << 20);
  sheaf_buf_append_text(&out, "{\"lanes\":[");
  for (uint32_t n = 0; (provider = sheaf_provider_at(n)) != NULL; n++) {
    if (n) sheaf_buf_append_text(&out, ",");
    put_lane(&out, provider);
  }
  sheaf_buf_append_text(&out, "],\"settings\":[");
  for (uint32_t i = 0; i < CLI_SETTING_COUNT; i++) {
    const cli_setting it = cli_setting_at(args, i);
    sheaf_buf_append_text(&out, i ? ",{\"variable\":" : "{\"variable\":");
    sheaf_buf_append_string(&out, sheaf_slice_of(it.variable));
    sheaf_buf_append_text(&out, ",\"value\":");
    sheaf_buf_append_text(&out, it.value);
    put_text(&out, "source", it.source);
    sheaf_buf_append_text(&out, "}");
  }
  sheaf_buf_append_text(&out, "]}\n");
  bool good = out.status == SHEAF_OK && fwrite(out.data, 1, out.bytes, stdout) == out.bytes;
  sheaf_buf_deinit(&out);
  return good && fflush(stdout) == 0 ? CLI_OK : CLI_HOST;
}

int jobs_lanes(int argc, char **argv) {
  static cli_args args;
  const sheaf_provider *provider;
  int answer = cli_args_read(argc, argv, "jobs lanes", &args);
  if (answer) return answer;
  if (args.help) return cli_help(stdout, "jobs");
  if (args.json) return print_json(&args);
  for (uint32_t n = 0; (provider = sheaf_provider_at(n)) != NULL; n++) print_lane(provider);
  print_settings(&args);
  return CLI_OK;
}
