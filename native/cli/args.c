/* args.c: the command line and the config file, from one table. A config file is a JSON object with
 * the same names (dashes as underscores); the command line wins. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum {
  KIND_TEXT,
  KIND_FLAG,
  KIND_NUMBER,
  KIND_ORDER,
  KIND_RESUME,
  KIND_NO_RESUME,
  KIND_TARGET,
  KIND_STATE,
  KIND_TEMPERATURE
};
/* FOR_RUN: whatever moves requests, some jobs commands, too; FOR_ASK: jobs commands that ask a provider and move
 * none; FOR_STATE: those that look at files only. */
enum { FOR_RUN = 1, FOR_BENCH = 2, FOR_PLAN = 4, FOR_SERVE = 8, FOR_ASK = 16, FOR_STATE = 32 };
#define FOR_NET (FOR_RUN | FOR_BENCH | FOR_SERVE | FOR_ASK)
#define FOR_PLACE (FOR_RUN | FOR_PLAN | FOR_SERVE | FOR_ASK)

typedef struct arg_row {
  const char *name;
  uint32_t kind;
  uint32_t commands;
  size_t offset;
  uint64_t min, max; /* of numbers */
} arg_row;

#define AT(field) offsetof(cli_args, field)
static const arg_row rows[] = {
    {"output", KIND_TEXT, FOR_RUN, AT(output), 0, 0},
    {"provider", KIND_TEXT, FOR_PLACE, AT(target.provider), 0, 0},
    {"base_url", KIND_TEXT, FOR_PLACE, AT(target.base_url), 0, 0},
    {"model", KIND_TEXT, FOR_PLACE, AT(target.model), 0, 0},
    {"system", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN, AT(system), 0, 0},
    {"template", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN, AT(template_text), 0, 0},
    {"url", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN, AT(url), 0, 0},
    {"params", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN | FOR_SERVE, AT(params), 0, 0},
    {"format", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN, AT(format), 0, 0},
    {"summary", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_SERVE, AT(summary), 0, 0},
    {"metrics", KIND_TEXT, FOR_RUN, AT(metrics), 0, 0},
    {"prices", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN | FOR_SERVE | FOR_ASK, AT(prices), 0, 0},
    {"api_key_file", KIND_TEXT, FOR_NET, AT(api_key_file), 0, 0},
    {"key_header", KIND_TEXT, FOR_NET, AT(key_header), 0, 0},
    {"query", KIND_TEXT, FOR_NET, AT(query), 0, 0},
    {"proxy", KIND_TEXT, FOR_NET, AT(proxy), 0, 0},
    {"ca_file", KIND_TEXT, FOR_NET, AT(ca_file), 0, 0},
    {"allow_http", KIND_FLAG, FOR_RUN | FOR_BENCH | FOR_PLAN | FOR_SERVE | FOR_ASK, AT(allow_http),
     0, 0},
    {"quiet", KIND_FLAG, FOR_NET, AT(quiet), 0, 0},
    {"dry_run", KIND_FLAG, FOR_RUN, AT(dry_run), 0, 0},
    {"retry_failed", KIND_FLAG, FOR_RUN, AT(retry_failed), 0, 0},
    {"sync_full", KIND_FLAG, FOR_RUN, AT(sync_full), 0, 0},
    {"help", KIND_FLAG, FOR_RUN | FOR_BENCH | FOR_PLAN | FOR_SERVE | FOR_ASK | FOR_STATE, AT(help),
     0, 0},
    {"order", KIND_ORDER, FOR_RUN, AT(order), 0, 0},
    {"resume", KIND_RESUME, FOR_RUN, AT(resume), 0, 0},
    {"no_resume", KIND_NO_RESUME, FOR_RUN, AT(resume), 0, 0},
    {"limit", KIND_NUMBER, FOR_RUN | FOR_BENCH | FOR_PLAN, AT(limit), 0, UINT64_MAX / 2},
    {"runs", KIND_NUMBER, FOR_BENCH, AT(runs), 1, 100},
    {"input", KIND_TEXT, FOR_RUN | FOR_BENCH | FOR_PLAN, AT(input), 0, 0},
    {"target", KIND_TARGET, FOR_BENCH, 0, 0, 0},
    {"temperature", KIND_TEMPERATURE, FOR_RUN | FOR_BENCH | FOR_PLAN | FOR_SERVE, AT(temperature),
     0, 0},
    {"connect_timeout_ms", KIND_NUMBER, FOR_NET, AT(connect_timeout_ms), 1, 600000},
    {"first_byte_timeout_ms", KIND_NUMBER, FOR_NET, AT(first_byte_timeout_ms), 0, 86400000},
    {"idle_timeout_ms", KIND_NUMBER, FOR_NET, AT(idle_timeout_ms), 0, 86400000},
    {"shards", KIND_NUMBER, FOR_NET, AT(shards), 0, 64},
    {"vocab", KIND_TEXT, FOR_RUN | FOR_PLAN, AT(vocab), 0, 0},
    {"json", KIND_FLAG, FOR_PLAN | FOR_ASK | FOR_STATE, AT(json), 0, 0},
    {"threads", KIND_NUMBER, FOR_PLAN, AT(threads), 0, SHEAF_TOKEN_THREADS_MAX},
    {"latency_ms", KIND_NUMBER, FOR_PLAN, AT(latency_ms), 1, 86400000},
    {"output_tokens", KIND_NUMBER, FOR_PLAN, AT(output_tokens), 1, 10000000},
    {"port", KIND_NUMBER, FOR_SERVE, AT(port), 0, 65535},
    {"host", KIND_TEXT, FOR_SERVE, AT(host), 0, 0},
    {"access_token_file", KIND_TEXT, FOR_SERVE, AT(access_token_file), 0, 0},
    {"drain_ms", KIND_NUMBER, FOR_SERVE, AT(drain_ms), 0, 86400000},
    {"state", KIND_STATE, FOR_RUN | FOR_ASK | FOR_STATE, 0, 0, 0},
    {"states", KIND_TEXT, FOR_ASK, AT(state_folder), 0, 0},
    {"events", KIND_TEXT, FOR_RUN, AT(events), 0, 0},
    {"timeout_ms", KIND_NUMBER, FOR_RUN, AT(engine.batch_timeout_ms), 0, 2592000000},
    {"refresh", KIND_FLAG, FOR_ASK, AT(refresh), 0, 0},
    {"cancel", KIND_FLAG, FOR_ASK, AT(cancel), 0, 0},
    {"adopt", KIND_TEXT, FOR_STATE, AT(adopt), 0, 0},
    {"resubmit", KIND_FLAG, FOR_STATE, AT(resubmit), 0, 0},
    {"abandon", KIND_FLAG, FOR_STATE, AT(abandon), 0, 0},
    {"json_schema", KIND_TEXT, FOR_RUN, AT(json_schema), 0, 0},
    {"http2", KIND_NUMBER, FOR_NET, AT(http2), 0, 2},
};

/* dashes -> underscores, at most 63 bytes */
static sheaf_slice canonical(const char *name, size_t bytes, char *to) {
  if (bytes > 63) bytes = 63;
  for (size_t i = 0; i < bytes; i++) to[i] = name[i] == '-' ? '_' : name[i];
  to[bytes] = 0;
  return (sheaf_slice){to, bytes};
}

static const arg_row *row_find(const char *name, uint32_t command) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (strcmp(rows[i].name, name) == 0 && (rows[i].commands & command)) return &rows[i];
  return NULL;
}

static bool whole_number(const char *text, uint64_t *number) {
  int64_t parsed;
  if (sheaf_json_int(sheaf_slice_of(text), &parsed) || parsed < 0) return false;
  *number = (uint64_t)parsed;
  return true;
}

/* The name as it is given on a command line. */
static const char *dashed(const char *name, char to[64]) {
  size_t i = 0;
  for (; name[i] && i < 63; i++) to[i] = name[i] == '_' ? '-' : name[i];
  to[i] = 0;
  return to;
}

static int bad_value(const char *name, const char *value, const char *remedy) {
  char shown[64];
  cli_say("--%s cannot be \"%s\": %s", dashed(name, shown), value, remedy);
  return CLI_USAGE;
}

static int set_temperature(cli_args *args, const char *value) {
  int64_t nano;
  if (sheaf_json_nano(sheaf_slice_of(value), &nano))
    return bad_value("temperature", value, "give a number, as 0.2");
  snprintf(args->temperature, sizeof args->temperature, "%s", value);
  return CLI_OK;
}

/* --params and --temperature may come in either order; together they are one list of members. */
static int join_temperature(cli_args *args) {
  if (args->temperature[0] == 0) return CLI_OK;
  const char *params = args->params ? args->params : "";
  size_t bytes = strlen(params);
  if (bytes > 1 && params[0] == '{' && params[bytes - 1] == '}') params++, bytes -= 2;
  char *text = malloc(bytes + sizeof args->temperature + 32); /* lives as long as the process */
  if (text == NULL) return CLI_HOST;
  snprintf(text, bytes + sizeof args->temperature + 32, "%.*s%s\"temperature\":%s", (int)bytes,
           params, bytes ? "," : "", args->temperature);
  args->params = text;
  return CLI_OK;
}

/* ---- What was given, and by whom ---- */

/* What an earlier submission said of itself, or what belongs to one command only: a later command says its own. */
static bool is_kept(const char *name) {
  static const char *const others[] = {"input",   "output", "resume",  "no_resume",
                                       "dry_run", "help",   "quiet",   "state",
                                       "states",  "events", "summary", "metrics"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    if (strcmp(name, others[i]) == 0) return false;
  return true;
}

/* Files are named from the folder that the command runs in; a later command may run elsewhere. */
static char *whole_path(const char *name, const char *value) {
  static const char *const files[] = {"api_key_file", "ca_file", "json_schema", "prices", "vocab"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
    if (strcmp(name, files[i]) == 0) return realpath(value, NULL);
  return NULL;
}

/* Remembers an option for the state file, and where its value comes from. */
static void note_given(cli_args *args, const char *name, const char *value, bool on) {
  sheaf_buf *given = &args->given;
  cli_setting_note(args, name);
  if (!is_kept(name)) return;
  if (given->allocator == NULL) sheaf_buf_init(given, sheaf_heap(), (size_t)16 << 20);
  char *path = value ? whole_path(name, value) : NULL;
  sheaf_buf_append_text(given, given->bytes ? "," : "");
  sheaf_buf_append_string(given, sheaf_slice_of(name));
  sheaf_buf_append_text(given, ":");
  if (value == NULL)
    sheaf_buf_append_text(given, on ? "true" : "false");
  else
    sheaf_buf_append_string(given, sheaf_slice_of(path ? path : value));
  free(path);
}

/* Sets one option of the table. value NULL: none was given. */
static int row_set(cli_args *args, const arg_row *row, const char *value, bool on) {
  void *field = (char *)args + row->offset;
  note_given(args, row->name, value, on);
  uint64_t number = 0;
  switch (row->kind) {
    case KIND_TEXT: memcpy(field, &value, sizeof value); return CLI_OK;
    case KIND_FLAG: memcpy(field, &on, sizeof on); return CLI_OK;
    case KIND_RESUME: args->resume = on ? SHEAF_RESUME_REQUIRED : SHEAF_RESUME_NEVER; return CLI_OK;
    case KIND_NO_RESUME: args->resume = on ? SHEAF_RESUME_NEVER : SHEAF_RESUME_AUTO; return CLI_OK;
    case KIND_NUMBER:
      if (!whole_number(value, &number) || number < row->min || number > row->max) {
        char remedy[96];
        snprintf(remedy, sizeof remedy, "give a whole number from %llu to %llu",
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return bad_value(row->name, value, remedy);
      }
      memcpy(field, &number, sizeof number);
      return CLI_OK;
    case KIND_ORDER:
      if (strcmp(value, "input") && strcmp(value, "completion"))
        return bad_value("order", value, "give input or completion");
      args->order = value[0] == 'i' ? SHEAF_ORDER_INPUT : SHEAF_ORDER_COMPLETION;
      return CLI_OK;
    case KIND_TEMPERATURE: return set_temperature(args, value);
    case KIND_STATE:
      if (args->state_count == CLI_STATES_MAX) return bad_value("state", value, "that is too many");
      args->state = args->states[args->state_count++] = value;
      return CLI_OK;
    default:
      if (args->target_count == 32) return bad_value("target", value, "at most 32 targets");
      args->targets[args->target_count++] = value;
      return CLI_OK;
  }
}

static bool takes_value(const arg_row *row) {
  return row == NULL ||
         (row->kind != KIND_FLAG && row->kind != KIND_RESUME && row->kind != KIND_NO_RESUME);
}

#ifdef SHEAF_SIM
static int sim_set(cli_args *args, sheaf_slice name, const char *value) {
  char shown[64], message[256] = "";
  const char *own = dashed(name.data, shown) + 4;
  int32_t status = sheaf_sim_option_set(&args->sim, own, value, message, sizeof message);
  if (status == SHEAF_OK) {
    note_given(args, name.data, value, true);
    return CLI_OK;
  }
  if (status == SHEAF_E_NOT_FOUND)
    cli_say("there is no option --%s; sheaf help sim lists them, without --sim", shown);
  else
    cli_say("--sim-%s", message[0] ? message : sheaf_status_text(status));
  return CLI_USAGE;
}
#endif

/* The engine's and the simulator's own tables. */
static int foreign_set(cli_args *args, sheaf_slice name, const char *value) {
  char shown[64], message[256] = "", choice[64];
  dashed(name.data, shown);
#ifdef SHEAF_SIM
  if (name.bytes > 4 && memcmp(name.data, "sim_", 4) == 0) return sim_set(args, name, value);
#endif
  const sheaf_option *option = sheaf_option_find(name);
  if (strcmp(name.data, "batch_mode") == 0)
    return cli_say("how far jobs are taken is a command's: see sheaf help jobs"), CLI_USAGE;
  if (strcmp(name.data, "lane") == 0 && strcmp(value, "merged") == 0)
    return bad_value("lane", value, "give live, batch or auto");
  sheaf_slice given = sheaf_slice_of(value);
  if (option != NULL && option->choices != NULL) /* within-budget, as the help writes it */
    given = canonical(value, strlen(value), choice);
  int32_t status = sheaf_option_set(&args->engine, name, given, message, sizeof message);
  if (status == SHEAF_OK) {
    note_given(args, name.data, value, true);
    return CLI_OK;
  }
  if (status == SHEAF_E_NOT_FOUND)
    cli_say("there is no option --%s; --help lists them", shown);
  else /* the message begins with the name, in its other spelling */
    cli_say("--%s%s", shown, strlen(message) > name.bytes ? message + name.bytes : message);
  return CLI_USAGE;
}

bool cli_is_job_option(const sheaf_option *option) {
  return option->offset >= offsetof(sheaf_engine_options, lane) &&
         option->offset <= offsetof(sheaf_engine_options, batch_mode);
}

/* Options of the two other tables, where the command has a use for them. */
static bool known_elsewhere(sheaf_slice name, uint32_t command) {
  const sheaf_option *option = sheaf_option_find(name);
  if (command == FOR_STATE) return false;
  if (option != NULL)
    return !cli_is_job_option(option) || (command & (FOR_RUN | FOR_PLAN | FOR_ASK)) != 0;
  return name.bytes > 4 && memcmp(name.data, "sim_", 4) == 0;
}

/* ---- The config file ---- */

/* Options point into these texts, which live as long as the process. The command line may take an option
 * away from one of them: the chain still knows it. */
typedef struct kept_text {
  struct kept_text *next;
  char *text;
} kept_text;
static kept_text *kept_texts;

static char *keep_text(char *text) {
  kept_text *kept = text ? malloc(sizeof *kept) : NULL;
  if (kept == NULL) {
    free(text);
    return NULL;
  }
  *kept = (kept_text){kept_texts, text};
  kept_texts = kept;
  return text;
}

static char *plain_value(sheaf_slice value) {
  sheaf_buf buf;
  sheaf_buf_init(&buf, sheaf_heap(), 1 << 20);
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING)
    sheaf_buf_append_unescaped(&buf, sheaf_json_inside(value));
  else
    sheaf_buf_append_slice(&buf, value);
  sheaf_buf_append(&buf, "", 1);
  if (buf.status == SHEAF_OK) return keep_text(buf.data);
  sheaf_buf_deinit(&buf);
  return NULL;
}

static bool is_key(const char *name) {
  if (strcmp(name, "access_token") == 0) {
    cli_say(
        "an access token does not belong where others can read it: use SHEAF_ACCESS_TOKEN or "
        "--access-token-file FILE");
    return true;
  }
  if (strcmp(name, "api_key") != 0) return false;
  cli_say(
      "a key does not belong where others can read it: use the provider's environment variable or "
      "--api-key-file FILE (api_key_file in a config file)");
  return true;
}

static int config_member(cli_args *args, const char *path, uint32_t command, sheaf_slice key,
                         sheaf_slice value) {
  char name[64];
  sheaf_slice canon = canonical(key.data, key.bytes, name);
  const arg_row *row = row_find(name, command);
  uint32_t kind = sheaf_json_kind(value);
  if (is_key(name)) return CLI_USAGE;
  if (row == NULL && !known_elsewhere(canon, command)) {
    cli_say("%s: there is no option \"%s\"; remove it or see --help", path, name);
    return CLI_USAGE;
  }
  bool is_params = row != NULL && strcmp(row->name, "params") == 0;
  if (kind == SHEAF_JSON_ARRAY && row != NULL && row->kind == KIND_TARGET) {
    sheaf_json_iter iter;
    sheaf_slice unused, item;
    sheaf_json_iter_init(&iter, value);
    while (sheaf_json_iter_next(&iter, &unused, &item) == SHEAF_OK)
      if (row_set(args, row, plain_value(item), true)) return CLI_USAGE;
    return CLI_OK;
  }
  if (kind == SHEAF_JSON_ARRAY || kind == SHEAF_JSON_NULL ||
      (kind == SHEAF_JSON_OBJECT && !is_params)) {
    cli_say("%s: \"%s\" must be a string, a number or true/false", path, name);
    return CLI_USAGE;
  }
  if (!takes_value(row)) {
    if (kind != SHEAF_JSON_BOOL)
      return cli_say("%s: \"%s\" must be true or false", path, name), CLI_USAGE;
    return row_set(args, row, NULL, sheaf_json_true(value));
  }
  char *text = plain_value(value);
  if (text == NULL) return CLI_HOST;
  return row ? row_set(args, row, text, true) : foreign_set(args, canon, text);
}

/* Strings point into copies; the text itself may go. */
static int config_text(cli_args *args, const char *path, sheaf_slice all, uint32_t command) {
  sheaf_parse_error error;
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int answer = CLI_OK;
  while (all.bytes && strchr(" \t\r\n", all.data[0])) all.data++, all.bytes--;
  if (sheaf_json_check(all, &error)) {
    cli_say("%s: byte %zu: %s", path, error.offset + 1, error.message);
    answer = CLI_USAGE;
  } else if (sheaf_json_kind(all) != SHEAF_JSON_OBJECT || sheaf_json_iter_init(&iter, all)) {
    cli_say("%s must be a JSON object of options", path);
    answer = CLI_USAGE;
  } else {
    while (answer == CLI_OK && sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
      answer = config_member(args, path, command, key, value);
  }
  return answer;
}

static int config_read(cli_args *args, const char *path, uint32_t command) {
  size_t bytes;
  char *text = cli_read_file(path, 1 << 20, &bytes);
  if (text == NULL) return CLI_USAGE;
  int answer = config_text(args, path, (sheaf_slice){text, bytes}, command);
  free(text);
  return answer;
}

/* ---- The command line ---- */

/* --name, --name=value, --name value, -o, -h. Moves *at past what it used. */
static int option_read(cli_args *args, int argc, char **argv, int *at, uint32_t command) {
  const char *given = argv[*at];
  if (strcmp(given, "-o") == 0) given = "--output";
  if (strcmp(given, "-h") == 0) given = "--help";
  if (strcmp(given, "-q") == 0) given = "--quiet";
  const char *name_text = given + 2, *equals = strchr(name_text, '=');
  if (given[0] != '-' || given[1] != '-') {
    cli_say("there is no option %s; --help lists them", given);
    return CLI_USAGE;
  }
  char name[64];
  sheaf_slice canon =
      canonical(name_text, equals ? (size_t)(equals - name_text) : strlen(name_text), name);
  if (is_key(name)) return CLI_USAGE;
  const arg_row *row = row_find(name, command);
  if (row == NULL && !known_elsewhere(canon, command)) {
    cli_say("there is no option --%.*s; --help lists them", (int)strcspn(name_text, "="),
            name_text);
    return CLI_USAGE;
  }
  if (!takes_value(row)) return row_set(args, row, NULL, true);
  bool is_flag = strcmp(name, "stream") == 0 || strcmp(name, "json") == 0;
  if (row == NULL && is_flag && equals == NULL) return foreign_set(args, canon, "yes");
  const char *value = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
  if (value == NULL) {
    cli_say("%s needs a value", given);
    return CLI_USAGE;
  }
  return row ? row_set(args, row, value, true) : foreign_set(args, canon, value);
}

int cli_format(const cli_args *args, uint32_t *format) {
  static const char *const names[] = {"auto", "jsonl", "text",
                                      "csv"}; /* by the numbers of SHEAF_FORMAT_* */
  *format = SHEAF_FORMAT_AUTO;
  if (args->format == NULL) return CLI_OK;
  while (*format < 4 && strcmp(args->format, names[*format]) != 0) ++*format;
  return *format < 4 ? CLI_OK : bad_value("format", args->format, "give jsonl, text, csv or auto");
}

void cli_engine_defaults(bool over_files, sheaf_engine_options *options) {
  if (!over_files) {
    sheaf_engine_options_init_queue(options);
    return;
  }
  sheaf_engine_options_init(options);
  options->merge = SHEAF_MERGE_OFF; /* each row is its own call, and its reply its own bytes */
  options->dedup = SHEAF_DEDUP_OFF;
}

static const struct {
  const char *name;
  uint32_t bits;
} commands[] = {
    {"run", FOR_RUN},          {"bench", FOR_BENCH},     {"plan", FOR_PLAN},
    {"serve", FOR_SERVE},      {"jobs submit", FOR_RUN}, {"jobs wait", FOR_RUN},
    {"jobs collect", FOR_RUN}, {"jobs status", FOR_ASK}, {"jobs cancel", FOR_ASK},
    {"jobs gc", FOR_ASK},      {"jobs list", FOR_STATE}, {"jobs decide", FOR_STATE},
    {"jobs lanes", FOR_STATE},
};

static uint32_t command_bits(const char *name) {
  size_t i = 0;
  while (strcmp(commands[i].name, name) != 0) i++;
  return commands[i].bits;
}

static void begin(cli_args *args, uint32_t command) {
  memset(args, 0, sizeof *args);
  cli_engine_defaults(command != FOR_SERVE, &args->engine);
#ifdef SHEAF_SIM
  args->sim = SHEAF_SIM_OPTIONS_INIT;
#endif
  args->connect_timeout_ms = 10000;
  args->http2 = 1;
  args->runs = 3;
  args->drain_ms = 10000;
}

/* What is no option: an input, or of jobs commands the numbers of jobs. */
static int word_read(cli_args *args, const char *word, const char *command) {
  bool takes_many = strcmp(command, "jobs cancel") == 0 || strcmp(command, "jobs decide") == 0 ||
                    strcmp(command, "jobs gc") == 0;
  bool takes_none =
      !takes_many && strncmp(command, "jobs ", 5) == 0 && strcmp(command, "jobs submit");
  if (takes_none && strcmp(command, "jobs list") != 0) {
    cli_say("sheaf %s takes options only, not \"%s\"", command, word);
    return CLI_USAGE;
  }
  if (takes_many) {
    if (args->word_count == CLI_WORDS_MAX) return cli_say("too many jobs are named"), CLI_USAGE;
    args->words[args->word_count++] = word;
    return CLI_OK;
  }
  if (args->input != NULL && strcmp(command, "bench") != 0) {
    cli_say("one input at a time: \"%s\" comes after \"%s\"", word, args->input);
    return CLI_USAGE;
  }
  args->input = word;
  return CLI_OK;
}

/* The config file is first, so that the command line wins. */
static int configs_read(int argc, char **argv, uint32_t command, cli_args *args) {
  args->source = CLI_FROM_CONFIG;
  for (int i = 0; i < argc; i++) {
    int answer = CLI_OK;
    if (strncmp(argv[i], "--config=", 9) == 0) answer = config_read(args, argv[i] + 9, command);
    if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
      answer = config_read(args, argv[i + 1], command);
    if (answer) return answer;
  }
  return CLI_OK;
}

static int line_read(int argc, char **argv, const char *name, cli_args *args) {
  args->source = CLI_FROM_LINE;
  for (int i = 0; i < argc; i++) {
    int answer = CLI_OK;
    if (strncmp(argv[i], "--config=", 9) == 0) continue;
    if (strcmp(argv[i], "--config") == 0) {
      if (++i == argc) return cli_say("--config needs a file"), CLI_USAGE;
    } else if (argv[i][0] == '-' && argv[i][1]) {
      answer = option_read(args, argc, argv, &i, command_bits(name));
    } else {
      answer = word_read(args, argv[i], name);
    }
    if (answer) return answer;
  }
  return CLI_OK;
}

int cli_args_read_after(int argc, char **argv, const char *command_name, const char *state,
                        sheaf_slice stored, cli_args *args) {
  uint32_t command = command_bits(command_name);
  begin(args, command);
  int answer = configs_read(argc, argv, command, args);
  if (answer == CLI_OK && (command & (FOR_RUN | FOR_PLAN | FOR_ASK | FOR_STATE)))
    answer = cli_settings_read(args);
  args->source = CLI_FROM_STATE;
  if (answer == CLI_OK && stored.bytes) answer = config_text(args, state, stored, FOR_RUN);
  if (answer == CLI_OK) answer = line_read(argc, argv, command_name, args);
  return answer == CLI_OK ? join_temperature(args) : answer;
}

int cli_args_read(int argc, char **argv, const char *command, cli_args *args) {
  return cli_args_read_after(argc, argv, command, NULL, (sheaf_slice){NULL, 0}, args);
}

/* ---- Options that need a second look ---- */

int cli_prices_open(cli_args *args, sheaf_price_table **prices) {
  if (args->prices == NULL) return CLI_OK;
  size_t bytes;
  char *text = cli_read_file(args->prices, 1 << 20, &bytes);
  if (text == NULL) return CLI_BAD_INPUT;
  sheaf_parse_error error = {0};
  int32_t status = sheaf_prices_read((sheaf_slice){text, bytes}, sheaf_heap(), prices, &error);
  free(text);
  if (status)
    return cli_say("%s: %s", args->prices,
                   error.message ? error.message : sheaf_status_text(status)),
           CLI_BAD_INPUT;
  args->engine.prices = *prices;
  return CLI_OK;
}

int cli_params_open(cli_args *args) {
  sheaf_slice params = sheaf_slice_of(args->params);
  if (params.bytes == 0) return CLI_OK;
  if (params.bytes > 1 && params.data[0] == '{' && params.data[params.bytes - 1] == '}') {
    params.data++;
    params.bytes -= 2;
  }
  sheaf_buf whole;
  sheaf_buf_init(&whole, sheaf_heap(), (size_t)16 << 20);
  sheaf_buf_append_text(&whole, "{");
  sheaf_buf_append_slice(&whole, params);
  sheaf_buf_append_text(&whole, "}");
  bool good = whole.status == SHEAF_OK && sheaf_json_check(sheaf_buf_slice(&whole), NULL) == 0;
  sheaf_buf_deinit(&whole);
  args->engine.params = params;
  if (good) return CLI_OK;
  cli_say("--params is not a JSON object: give it as '{\"top_p\":0.9}'");
  return CLI_USAGE;
}
