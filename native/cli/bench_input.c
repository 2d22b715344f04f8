/* bench_input.c: the prompts of a bench: all of them in memory, since every target and every run asks them again.
 *
 * Each target is asked for its own model, so the model of a line is left out. A line in a provider's own shape that holds
 * messages becomes a request of any provider's; others go out as they are, without their model.
 *
 * Outline: bodies, copies, reading. */
#define _POSIX_C_SOURCE 200809L
#include "bench_int.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- Bodies ---- */

static bool key_is(sheaf_slice key, const char *name) {
  return key.bytes == strlen(name) && memcmp(key.data, name, key.bytes) == 0;
}

static void add_member(sheaf_buf *to, sheaf_slice key, sheaf_slice value) {
  if (to->bytes > 1) sheaf_buf_append_text(to, ","); /* 1: the brace */
  sheaf_buf_append_text(to, "\"");
  sheaf_buf_append_slice(to, key);
  sheaf_buf_append_text(to, "\":");
  sheaf_buf_append_slice(to, value);
}

/* Whether the member belongs to the target or has a place of its own in the request. */
static bool take_member(sheaf_request *request, sheaf_slice key, sheaf_slice value, bool chat) {
  int64_t number;
  if (key_is(key, "model") || key_is(key, "stream")) return true;
  if (!chat) return false;
  if (key_is(key, "messages")) return request->messages = value, true;
  bool is_cap = key_is(key, "max_tokens") || key_is(key, "max_completion_tokens");
  if (!is_cap || sheaf_json_int(value, &number) || number <= 0) return false;
  request->max_tokens = (uint64_t)number;
  return true;
}

/* Into text, which holds the new body or the parameters then. */
static int32_t unpack_body(sheaf_request *request, sheaf_buf *text) {
  sheaf_json_iter iter;
  sheaf_slice key, value, body = request->body;
  bool chat = sheaf_json_kind(sheaf_json_member(body, "messages")) == SHEAF_JSON_ARRAY;
  int32_t status = sheaf_json_iter_init(&iter, body);
  if (status) return status;
  sheaf_buf_append_text(text, "{");
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (!take_member(request, key, value, chat)) add_member(text, key, value);
  if (chat) {
    request->body = request->url = (sheaf_slice){NULL, 0};
    request->params = (sheaf_slice){text->data + 1, text->bytes - 1};
  } else {
    sheaf_buf_append_text(text, "}");
    request->body = sheaf_buf_slice(text);
  }
  return text->status;
}

/* ---- Copies ---- */

static void move_slice(sheaf_slice *slice, char **to) {
  if (slice->data == NULL) return;
  if (slice->bytes > 0) memcpy(*to, slice->data, slice->bytes);
  slice->data = *to;
  *to += slice->bytes;
}

static bool make_room(bench_input *input) {
  if (input->count < input->capacity) return true;
  size_t capacity = input->capacity ? input->capacity * 2 : 256;
  sheaf_request *requests = realloc(input->requests, capacity * sizeof *requests);
  if (requests != NULL) input->requests = requests;
  void **blocks = realloc(input->blocks, capacity * sizeof *blocks);
  if (blocks != NULL) input->blocks = blocks;
  if (requests == NULL || blocks == NULL) return false;
  input->capacity = capacity;
  return true;
}

static bool keep(bench_input *input, const sheaf_request *given) {
  if (!make_room(input)) return false;
  sheaf_request request = *given;
  sheaf_slice *const slices[] = {&request.custom_id, &request.prompt, &request.messages,
                                 &request.body,      &request.url,    &request.system,
                                 &request.params};
  size_t bytes = 1;
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) bytes += slices[i]->bytes;
  char *block = malloc(bytes), *to = block;
  if (block == NULL) return false;
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) move_slice(slices[i], &to);
  input->blocks[input->count] = block;
  input->requests[input->count++] = request;
  return true;
}

static bool add(bench_input *input, sheaf_request *request, sheaf_buf *text) {
  request->model = request->endpoint = (sheaf_slice){NULL, 0};
  request->metadata = request->trust_key = (sheaf_slice){NULL, 0};
  request->flags &= SHEAF_REQUEST_PROMPT_ESCAPED;
  request->lane = SHEAF_LANE_LIVE;
  sheaf_buf_reset(text);
  if (request->body.bytes > 0 && unpack_body(request, text)) return false;
  return keep(input, request);
}

void bench_input_free(bench_input *input) {
  for (size_t i = 0; i < input->count; i++) free(input->blocks[i]);
  free(input->blocks);
  free(input->requests);
}

/* ---- Reading ---- */

static int open_input(const cli_args *args, sheaf_files **files) {
  static const char *const formats[] = {"auto", "jsonl", "text", "csv"};
  char message[1024] = "";
  sheaf_files_options options = SHEAF_FILES_OPTIONS_INIT;
  options.input = args->input;
  options.template_text = args->template_text;
  options.limit = args->limit;
  for (uint32_t n = 0; args->format != NULL && n < 4; n++) {
    if (strcmp(args->format, formats[n]) == 0)
      options.format = n;
    else if (n == 3 && options.format == 0 && strcmp(args->format, "auto") != 0)
      return cli_say("--format cannot be \"%s\": give jsonl, text, csv or auto", args->format),
             CLI_USAGE;
  }
  int32_t status = sheaf_files_open(&options, files, message, sizeof message);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s", message[0] ? message : sheaf_status_text(status));
  return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_BAD_INPUT;
}

static void wait_for_input(sheaf_files *files) {
  struct pollfd ready = {.fd = sheaf_files_input_fd(files), .events = POLLIN};
  if (ready.fd >= 0) poll(&ready, 1, -1);
}

int bench_input_read(const cli_args *args, bench_input *input) {
  sheaf_files *files = NULL;
  int answer = open_input(args, &files);
  if (answer) return answer;
  const sheaf_source *source = sheaf_files_source(files);
  sheaf_buf text;
  sheaf_buf_init(&text, sheaf_heap(), (size_t)128 << 20);
  int32_t status = SHEAF_OK;
  while (answer == CLI_OK && status != SHEAF_E_END) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    status = source->next(source->ctx, &request);
    if (status == SHEAF_E_LATER) {
      wait_for_input(files);
    } else if (status == SHEAF_OK) {
      if (!add(input, &request, &text)) answer = CLI_HOST;
    } else if (status != SHEAF_E_END) {
      cli_say("%s", sheaf_files_message(files));
      answer = CLI_BAD_INPUT;
    }
  }
  if (answer == CLI_HOST) cli_say("out of memory for the prompts: give --limit N");
  if (answer == CLI_OK && input->count == 0) {
    cli_say("%s holds no prompts", args->input);
    answer = CLI_BAD_INPUT;
  }
  sheaf_buf_deinit(&text);
  sheaf_files_close(files);
  return answer;
}
