/* tokens_ask.c: sheaf tokens --ask: the provider's own counting endpoint, through the client, with its
 * limits and tries.
 *
 * Outline: arguments; what is asked and what was answered; text files and rows; printing in the order
 * of the input, as soon as all before is there; the whole. Nothing is charged for a count, and the
 * provider limits how many are asked a minute. */
#define _POSIX_C_SOURCE 200809L
#include "tokens_cmd.h"

#include <sheaf/client.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments ---- */

/* Of those of sheaf run. All but the flags have a value. */
static const char *const passed_on[] = {
    "provider",
    "base-url",
    "model",
    "system",
    "template",
    "params",
    "format",
    "limit",
    "config",
    "api-key-file",
    "key-header",
    "query",
    "proxy",
    "ca-file",
    "concurrency",
    "rpm",
    "max-retries",
    "max-throttles",
    "attempt-timeout-ms",
    "deadline-ms",
    "connect-timeout-ms",
    "idle-timeout-ms",
    "run-deadline-ms",
    "first-byte-timeout-ms",
    "http2",
    "on-breaker",
    "max-concurrency",
};

typedef struct ask_args {
  cli_args run;
  const char **files;
  int file_count;
  bool total, help, jsonl;
} ask_args;

static bool is_one_of(const char *const *names, size_t count, const char *name, size_t bytes) {
  for (size_t i = 0; i < count; i++)
    if (strlen(names[i]) == bytes && memcmp(names[i], name, bytes) == 0) return true;
  return false;
}

/* Options of run into passed; the rest is ours. */
static int sort_args(ask_args *args, int argc, char **argv, char **passed, int *passed_count) {
  static const char *const flags[] = {"allow-http"};
  for (int i = 0; i < argc; i++) {
    char *given = argv[i];
    if (given[0] != '-' || given[1] == 0) {
      args->files[args->file_count++] = given;
      continue;
    }
    if (strcmp(given, "--ask") == 0 || strcmp(given, "--count") == 0) continue;
    if (strcmp(given, "--total") == 0 || strcmp(given, "--jsonl") == 0) {
      *(given[2] == 't' ? &args->total : &args->jsonl) = true;
      continue;
    }
    if (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0) {
      args->help = true;
      return CLI_OK;
    }
    const char *equals = strchr(given, '=');
    size_t bytes = equals ? (size_t)(equals - given) : strlen(given);
    bool is_flag =
        bytes > 2 && is_one_of(flags, sizeof flags / sizeof *flags, given + 2, bytes - 2);
    if (bytes < 3 || given[1] != '-' ||
        (!is_flag &&
         !is_one_of(passed_on, sizeof passed_on / sizeof *passed_on, given + 2, bytes - 2)))
      return cli_say("there is no option %.*s with --ask; sheaf help tokens lists them", (int)bytes,
                     given),
             CLI_USAGE;
    passed[(*passed_count)++] = given;
    if (!is_flag && !equals && i + 1 < argc) passed[(*passed_count)++] = argv[++i];
  }
  return CLI_OK;
}

static bool begins(const char *text, const char *beginning) {
  return text && strncmp(text, beginning, strlen(beginning)) == 0;
}

static int check_target(ask_args *args) {
  cli_target *target = &args->run.target;
  if (target->provider == NULL)
    target->provider = begins(target->model, "claude")   ? "anthropic"
                       : begins(target->model, "gemini") ? "gemini"
                                                         : NULL;
  if (target->provider == NULL)
    return cli_say("name who is asked: --provider anthropic or gemini"), CLI_USAGE;
  if (strcmp(target->provider, "anthropic") != 0 && strcmp(target->provider, "gemini") != 0)
    return cli_say(
               "%s has no counting endpoint that sheaf knows: anthropic and gemini have; leave "
               "--ask away to count here",
               target->provider),
           CLI_USAGE;
  if (args->jsonl) args->run.format = "jsonl";
  if (args->jsonl && args->file_count == 0) args->files[args->file_count++] = "-";
  if (args->file_count == 0)
    return cli_say("give the files, as: sheaf tokens --ask --model MODEL notes.txt"), CLI_USAGE;
  args->run.url =
      strcmp(target->provider, "gemini") == 0 ? ":countTokens" : "/v1/messages/count_tokens";
  args->run.engine.system = sheaf_slice_of(args->run.system);
  return cli_params_open(&args->run);
}

static int read_args(ask_args *args, int argc, char **argv) {
  int passed_count = 0;
  char **passed = calloc((size_t)argc + 1, sizeof *passed);
  args->files = calloc((size_t)argc + 1, sizeof *args->files);
  int answer =
      passed && args->files ? sort_args(args, argc, argv, passed, &passed_count) : CLI_HOST;
  if (answer == CLI_OK && !args->help) {
    answer = cli_args_read(passed_count, passed, "run", &args->run);
    if (answer == CLI_OK) answer = check_target(args);
  }
  free(passed);
  return answer;
}

/* ---- what is asked ---- */

enum { ITEM_OPEN = 0, ITEM_COUNTED = 1, ITEM_FAILED = 2, ITEM_BAD = 3 };

typedef struct ask_item {
  const char *path;
  uint64_t line; /* 0: the whole file */
  int64_t tokens;
  char *sentence; /* why there is no count */
  uint32_t state; /* ITEM_* */
} ask_item;

typedef struct asking {
  const ask_args *args;
  cli_place place;
  sheaf_client *client;
  pthread_mutex_t mutex; /* of the items */
  pthread_cond_t moved;
  ask_item *items;
  size_t count, room, printed;
  const char *path; /* of the file that is read */
  uint64_t tokens, counted, failed, bad, rows;
  bool has_no_memory;
} asking;

static char *copy_of(const char *text, size_t bytes) {
  char *copy = malloc(bytes + 1);
  if (!copy) return NULL;
  memcpy(copy, text, bytes);
  copy[bytes] = 0;
  return copy;
}

/* Answers its number, or SIZE_MAX without memory. */
static size_t add_item(asking *it, uint64_t line) {
  size_t number = SIZE_MAX;
  pthread_mutex_lock(&it->mutex);
  if (it->count == it->room) {
    size_t room = it->room ? 2 * it->room : 256;
    ask_item *items = realloc(it->items, room * sizeof *items);
    if (items) it->items = items, it->room = room;
  }
  if (it->count < it->room) {
    number = it->count++;
    it->items[number] = (ask_item){.path = it->path, .line = line};
  } else {
    it->has_no_memory = true;
  }
  pthread_mutex_unlock(&it->mutex);
  return number;
}

static void settle(asking *it, size_t number, uint32_t state, int64_t tokens, char *sentence) {
  pthread_mutex_lock(&it->mutex);
  ask_item *item = &it->items[number];
  item->state = state;
  item->tokens = tokens;
  item->sentence = sentence;
  pthread_cond_signal(&it->moved);
  pthread_mutex_unlock(&it->mutex);
}

/* On the client's own thread. */
static void on_result(void *user, const sheaf_result *result) {
  asking *it = user;
  size_t number = (size_t)result->source_ref;
  if (result->ok && result->usage.input_total != SHEAF_ABSENT) {
    settle(it, number, ITEM_COUNTED, result->usage.input_total, NULL);
    return;
  }
  char text[512], shown[400];
  cli_plain(shown, sizeof shown, result->error_message);
  int bytes = snprintf(text, sizeof text, "%s: %s", sheaf_class_name(result->error_class), shown);
  settle(it, number, ITEM_FAILED, 0, copy_of(text, bytes > 0 ? strlen(text) : 0));
}

/* A row that names a model in its address is counted by that one. */
static void set_url(const sheaf_request *row, const char *url, char text[512],
                    sheaf_request *request) {
  static const char *const methods[] = {":generateContent", ":streamGenerateContent"};
  request->url = sheaf_slice_of(url);
  if (url[0] != ':') return;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    size_t bytes = strlen(methods[i]);
    if (row->url.bytes < bytes || row->url.bytes > 400 ||
        memcmp(row->url.data + row->url.bytes - bytes, methods[i], bytes) != 0)
      continue;
    snprintf(text, 512, "%.*s%s", (int)(row->url.bytes - bytes), row->url.data, url);
    request->url = sheaf_slice_of(text);
  }
}

static void ask(asking *it, const sheaf_request *row) {
  char url[512];
  size_t number = add_item(it, row->line);
  if (number == SIZE_MAX) return;
  sheaf_request request = *row;
  request.custom_id = request.metadata = (sheaf_slice){NULL, 0}; /* names may come twice */
  request.flags &= ~SHEAF_REQUEST_STREAM;
  request.source_ref = number;
  set_url(row, it->args->run.url, url, &request);
  int32_t status = sheaf_client_submit(it->client, &request, on_result, it, NULL);
  if (status == SHEAF_OK) return;
  const char *text = sheaf_status_text(status);
  settle(it, number, ITEM_FAILED, 0, copy_of(text, strlen(text)));
}

/* ---- printing ---- */

/* Of --jsonl: a line for each, whatever became of it. */
static void print_json(const ask_item *item, const char *sentence) {
  sheaf_buf line;
  if (item->state == ITEM_COUNTED) {
    printf("{\"count\":%lld}\n", (long long)item->tokens);
    return;
  }
  sheaf_buf_init(&line, sheaf_heap(), 1 << 16);
  sheaf_buf_append_text(&line, "{\"error\":");
  sheaf_buf_append_string(&line, sheaf_slice_of(sentence));
  sheaf_buf_append_text(&line, ",\"line\":");
  sheaf_buf_append_u64(&line, item->line);
  sheaf_buf_append_text(&line, "}\n");
  fwrite(line.data, 1, line.bytes, stdout);
  sheaf_buf_deinit(&line);
}

static void print_item(asking *it, const ask_item *item) {
  const char *sentence = item->sentence ? item->sentence : "out of memory";
  char place[32] = "";
  if (item->line) snprintf(place, sizeof place, ":%llu", (unsigned long long)item->line);
  it->bad += item->state == ITEM_BAD;
  it->counted += item->state == ITEM_COUNTED;
  it->failed += item->state == ITEM_FAILED;
  it->tokens += (uint64_t)item->tokens;
  if (it->args->jsonl)
    print_json(item, sentence);
  else if (item->state == ITEM_BAD) /* the sentence names the line */
    fprintf(stderr, "%s\n", sentence);
  else if (item->state == ITEM_FAILED)
    fprintf(stderr, "%s%s: %s\n", item->path, place, sentence);
  else if (!it->args->total)
    printf("%8llu  %s%s\n", (unsigned long long)item->tokens, item->path, place);
}

/* Those whose turn it is. all: waits for the rest. */
static void print_items(asking *it, bool all) {
  pthread_mutex_lock(&it->mutex);
  while (it->printed < it->count) {
    ask_item *item = &it->items[it->printed];
    if (item->state == ITEM_OPEN) {
      if (!all) break;
      fflush(stdout);
      pthread_cond_wait(&it->moved, &it->mutex);
      continue;
    }
    print_item(it, item);
    if (it->args->jsonl) fflush(stdout);
    free(item->sentence);
    item->sentence = NULL;
    it->printed++;
  }
  pthread_mutex_unlock(&it->mutex);
}

/* ---- files ---- */

static int ask_text(asking *it) {
  size_t bytes;
  char *text = tokens_read(it->path, &bytes);
  if (!text) return CLI_BAD_INPUT;
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = (sheaf_slice){text, bytes};
  ask(it, &request);
  free(text);
  return CLI_OK;
}

/* The sentence begins "FILE:LINE:", where standard input has a name of its own. */
static void on_bad_line(void *user, const char *sentence) {
  asking *it = user;
  size_t named = strlen(it->path);
  if (strncmp(sentence, it->path, named) != 0) named = strcspn(sentence, ":");
  uint64_t line = sentence[named] == ':' ? strtoull(sentence + named + 1, NULL, 10) : 0;
  size_t number = add_item(it, line);
  if (number != SIZE_MAX) settle(it, number, ITEM_BAD, 0, copy_of(sentence, strlen(sentence)));
}

static int ask_rows(asking *it) {
  char message[1024] = "";
  sheaf_files *files;
  sheaf_files_options options = SHEAF_FILES_OPTIONS_INIT;
  options.input = it->path;
  options.template_text = it->args->run.template_text;
  options.limit = it->args->run.limit;
  options.scan_all = 1;
  options.on_bad_line = on_bad_line;
  options.user = it;
  if (cli_format(&it->args->run, &options.format)) return CLI_USAGE;
  int32_t status = sheaf_files_open(&options, &files, message, sizeof message);
  if (status != SHEAF_OK) {
    cli_say("%s", message[0] ? message : sheaf_status_text(status));
    return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_BAD_INPUT;
  }
  const sheaf_source *source = sheaf_files_source(files);
  while (status == SHEAF_OK && !it->has_no_memory) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    status = source->next(source->ctx, &request);
    if (status == SHEAF_E_LATER) { /* a pipe that has nothing yet */
      struct pollfd input = {.fd = sheaf_files_input_fd(files), .events = POLLIN};
      poll(&input, 1, 100);
      status = SHEAF_OK;
    } else if (status == SHEAF_OK) {
      it->rows++;
      ask(it, &request);
    }
    print_items(it, false);
  }
  if (status != SHEAF_E_END && !it->has_no_memory) cli_say("%s", sheaf_files_message(files));
  sheaf_files_close(files);
  return status == SHEAF_E_END ? CLI_OK : CLI_BAD_INPUT;
}

/* ---- the whole ---- */

static int open_client(asking *it) {
  const cli_args *args = &it->args->run;
  int answer = cli_place_open(args, &args->target, &it->place);
  if (answer) return answer;
  sheaf_curl_options curl = cli_transport_options(args);
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  char message[512] = "", base[1024];
  it->place.endpoint.default_url = (sheaf_slice){NULL, 0};
  options.endpoints = &it->place.endpoint;
  options.endpoint_count = 1;
  options.engine = &args->engine;
  options.curl = &curl;
  options.message = message;
  options.message_bytes = sizeof message;
  int32_t status = sheaf_client_new(&options, &it->client);
  if (status != SHEAF_OK)
    return cli_say("%s", message[0] ? message : sheaf_status_text(status)),
           status == SHEAF_E_NOMEM ? CLI_HOST : CLI_USAGE;
  if (it->place.endpoint.credential_id == 0) return CLI_OK;
  snprintf(base, sizeof base, "%.*s", (int)it->place.endpoint.base_url.bytes,
           it->place.endpoint.base_url.data);
  status = sheaf_client_set_credential(it->client, 1, base, it->place.secret);
  cli_place_wipe(&it->place);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("the key or the base URL cannot be used: a key is one line of plain characters");
  return CLI_USAGE;
}

static int ask_files(asking *it) {
  int worst = CLI_OK;
  for (int i = 0; i < it->args->file_count && worst != CLI_HOST && worst != CLI_USAGE; i++) {
    tokens_args like = {.format = it->args->run.format};
    it->path = it->args->files[i];
    int answer = tokens_is_rows(&like, it->path) ? ask_rows(it) : ask_text(it);
    if (answer > worst || answer == CLI_USAGE) worst = answer;
    print_items(it, false);
  }
  print_items(it, true);
  if (it->has_no_memory) return cli_say("out of memory"), CLI_HOST;
  if (worst == CLI_HOST || worst == CLI_USAGE) return worst;
  if (it->failed && !it->counted) return CLI_ALL_FAILED;
  if (!it->args->jsonl) {
    printf("%8llu  total", (unsigned long long)it->tokens);
    if (it->rows) printf(" of %llu requests", (unsigned long long)it->counted);
    printf(", as %s counts\n", it->args->run.target.provider);
  }
  if (it->failed) return CLI_PARTIAL;
  return it->bad ? CLI_BAD_INPUT : worst;
}

int tokens_ask(int argc, char **argv) {
  static ask_args args;
  static asking it;
  it.args = &args;
  int answer = read_args(&args, argc, argv);
  if (answer == CLI_OK && args.help) {
    answer = cli_help(stdout, "tokens");
  } else if (answer == CLI_OK) {
    pthread_mutex_init(&it.mutex, NULL);
    pthread_cond_init(&it.moved, NULL);
    answer = open_client(&it);
    if (answer == CLI_OK) answer = ask_files(&it);
    sheaf_client_free(it.client);
    cli_place_close(&it.place);
    pthread_cond_destroy(&it.moved);
    pthread_mutex_destroy(&it.mutex);
  }
  free(it.items);
  free(args.files);
  return answer;
}
