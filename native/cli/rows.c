/* rows.c: a whole input read, built and counted on several threads, and nothing sent: what plan, tokens
 * and run --dry-run stand on.
 *
 * Rows are read one after another into a group; the threads build and count those of a group; then they
 * are handed on in their order. Memory is bounded by the group, whatever the input's size. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_ROWS 4096u
#define GROUP_BYTES ((size_t)8 << 20)
#define BODY_BYTES_MAX ((size_t)128 << 20)

typedef struct entry {
  sheaf_request request; /* its slices point into the group's text */
  sheaf_slice sentence;  /* of a line that could not be read */
  cli_row row;
} entry;

typedef struct lane {
  sheaf_buf path, body;
  char apart[64]; /* so that no two threads write to one cache line */
} lane;

typedef struct scan {
  const cli_args *args;
  const cli_place *place;
  cli_counting *counting;
  cli_row_fn fn;
  void *user;
  sheaf_files *files;
  lane *lanes;
  entry *entries;
  size_t count;
  char *text;
  size_t text_bytes, text_room;
  bool has_failed; /* out of memory */
} scan;

/* ---- the group ---- */

static bool contains(sheaf_slice text, const char *word) {
  size_t bytes = strlen(word);
  for (size_t at = 0; at + bytes <= text.bytes; at++)
    if (memcmp(text.data + at, word, bytes) == 0) return true;
  return false;
}

static void build_one(void *ctx, sheaf_tokenizer *tokenizer, uint32_t thread, size_t item) {
  scan *it = ctx;
  entry *at = &it->entries[item];
  lane *own = &it->lanes[thread];
  (void)tokenizer;
  if (at->sentence.bytes) return;
  sheaf_request *request = &at->request;
  const sheaf_provider *provider = it->place->endpoint.provider;
  if (request->model.bytes == 0 && request->body.bytes)
    request->model = sheaf_json_inside(sheaf_json_member(request->body, "model"));
  if (request->model.bytes == 0) request->model = it->place->endpoint.model;
  if (request->system.bytes == 0) request->system = sheaf_slice_of(it->args->system);
  if (request->max_tokens == 0) request->max_tokens = it->args->engine.max_tokens;
  if (request->params.bytes == 0 && request->body.bytes == 0)
    request->params = it->args->engine.params;
  sheaf_buf_reset(&own->path);
  sheaf_buf_reset(&own->body);
  const sheaf_build build = {
      .struct_bytes = sizeof build,
      .stream = (request->flags & SHEAF_REQUEST_STREAM) || it->args->engine.stream,
      .request = request,
      .base_url = it->place->endpoint.base_url,
      .default_url = it->place->endpoint.default_url};
  sheaf_call call = {.struct_bytes = sizeof call,
                     .path = &own->path,
                     .body = &own->body,
                     .output_tokens_max = SHEAF_ABSENT};
  cli_row *row = &at->row;
  row->status = provider->build(provider, &build, &call);
  if (row->status == SHEAF_OK) row->status = own->body.status;
  row->error_field = call.error_field;
  row->error_message = call.error_message;
  row->request = request;
  row->output_max = call.output_tokens_max;
  row->body_bytes = own->body.bytes;
  row->is_embedding = contains(sheaf_buf_slice(&own->path), "embed");
  if (row->status == SHEAF_OK && row->is_embedding) {
    sheaf_slice input = sheaf_json_member(sheaf_buf_slice(&own->body), "input");
    row->has_one_input = sheaf_json_kind(input) == SHEAF_JSON_STRING;
  }
  if (row->status == SHEAF_OK)
    row->count = cli_count_body(it->counting, thread, provider->name, request->model,
                                sheaf_buf_slice(&own->body));
}

static void hand_on(scan *it) {
  sheaf_token_pool_each(it->counting->pool, it->count, build_one, it);
  for (size_t i = 0; i < it->count; i++) {
    entry *at = &it->entries[i];
    if (at->sentence.bytes) at->row.sentence = at->sentence.data;
    it->fn(it->user, &at->row);
  }
  it->count = 0;
  it->text_bytes = 0;
}

/* Room for that many bytes; what is in the group goes on its way first if they do not fit. */
static bool make_room(scan *it, size_t bytes) {
  if (it->count == GROUP_ROWS || (it->count && it->text_room - it->text_bytes < bytes)) hand_on(it);
  if (it->text_room - it->text_bytes >= bytes) return true;
  char *text = realloc(it->text, bytes); /* the group is empty: nothing points here */
  if (text == NULL) return false;
  it->text = text;
  it->text_room = bytes;
  return true;
}

static void keep(scan *it, sheaf_slice *slice) {
  if (slice->bytes == 0) return;
  memcpy(it->text + it->text_bytes, slice->data, slice->bytes);
  slice->data = it->text + it->text_bytes;
  it->text_bytes += slice->bytes;
}

static bool add_request(scan *it, const sheaf_request *request) {
  size_t bytes = request->custom_id.bytes + request->prompt.bytes + request->messages.bytes +
                 request->body.bytes + request->url.bytes + request->system.bytes +
                 request->params.bytes + request->model.bytes;
  if (!make_room(it, bytes)) return false;
  entry *at = &it->entries[it->count++];
  *at = (entry){.request = *request, .row = {.line = request->line}};
  sheaf_request *own = &at->request;
  sheaf_slice *const slices[] = {&own->custom_id, &own->prompt, &own->messages, &own->body,
                                 &own->url,       &own->system, &own->params,   &own->model};
  for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) keep(it, slices[i]);
  own->endpoint = own->trust_key = own->metadata = (sheaf_slice){NULL, 0};
  return true;
}

/* The sentence begins "FILE:LINE:". */
static uint64_t line_of(const scan *it, const char *sentence) {
  size_t bytes = strlen(it->args->input);
  uint64_t line = 0;
  if (strncmp(sentence, it->args->input, bytes) != 0) {
    const char *colon = strchr(sentence, ':'); /* standard input has a name of its own */
    bytes = colon ? (size_t)(colon - sentence) : strlen(sentence);
  }
  if (sentence[bytes] != ':') return 0;
  for (const char *c = sentence + bytes + 1; *c >= '0' && *c <= '9' && line < UINT32_MAX; c++)
    line = line * 10 + (uint64_t)(*c - '0');
  return line;
}

static void on_bad_line(void *user, const char *sentence) {
  scan *it = user;
  size_t bytes = strlen(sentence) + 1;
  if (!make_room(it, bytes)) {
    it->has_failed = true;
    return;
  }
  entry *at = &it->entries[it->count++];
  *at = (entry){.sentence = {sentence, bytes},
                .row = {.status = SHEAF_E_FIELD, .line = line_of(it, sentence)}};
  keep(it, &at->sentence);
}

/* ---- the whole ---- */

static int open_scan(scan *it, uint32_t format) {
  char message[1024] = "";
  sheaf_files_options options = SHEAF_FILES_OPTIONS_INIT;
  options.input = it->args->input;
  options.template_text = it->args->template_text;
  options.limit = it->args->limit;
  options.format = format;
  options.scan_all = 1;
  options.on_bad_line = on_bad_line;
  options.user = it;
  it->text_room = GROUP_BYTES;
  it->text = malloc(it->text_room);
  it->entries = calloc(GROUP_ROWS, sizeof *it->entries);
  it->lanes = calloc(it->counting->threads, sizeof *it->lanes);
  if (!it->text || !it->entries || !it->lanes) return cli_say("out of memory"), CLI_HOST;
  for (uint32_t i = 0; i < it->counting->threads; i++) {
    sheaf_buf_init(&it->lanes[i].path, sheaf_heap(), 1 << 16);
    sheaf_buf_init(&it->lanes[i].body, sheaf_heap(), BODY_BYTES_MAX);
  }
  int32_t status = sheaf_files_open(&options, &it->files, message, sizeof message);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s", message[0] ? message : sheaf_status_text(status));
  return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_BAD_INPUT;
}

static void close_scan(scan *it) {
  for (uint32_t i = 0; it->lanes && i < it->counting->threads; i++) {
    sheaf_buf_deinit(&it->lanes[i].path);
    sheaf_buf_deinit(&it->lanes[i].body);
  }
  free(it->lanes);
  free(it->entries);
  free(it->text);
  if (it->files) sheaf_files_close(it->files);
}

static int read_all(scan *it) {
  const sheaf_source *source = sheaf_files_source(it->files);
  int32_t status = SHEAF_OK;
  while (status == SHEAF_OK && !it->has_failed) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    status = source->next(source->ctx, &request);
    if (status == SHEAF_E_LATER) { /* a pipe that has nothing yet */
      struct pollfd input = {.fd = sheaf_files_input_fd(it->files), .events = POLLIN};
      poll(&input, 1, -1);
      status = SHEAF_OK;
    } else if (status == SHEAF_OK) {
      it->has_failed |= !add_request(it, &request);
    }
  }
  hand_on(it);
  if (it->has_failed) return cli_say("out of memory for a row of %s", it->args->input), CLI_HOST;
  if (status == SHEAF_E_END) return CLI_OK;
  cli_say("%s", sheaf_files_message(it->files));
  return CLI_BAD_INPUT;
}

int cli_rows_scan(const cli_args *args, const cli_place *place, uint32_t format,
                  cli_counting *counting, cli_row_fn fn, void *user) {
  scan it = {.args = args, .place = place, .counting = counting, .fn = fn, .user = user};
  int answer = open_scan(&it, format);
  if (answer == CLI_OK) answer = read_all(&it);
  close_scan(&it);
  return answer;
}

/* A row that is not good, as one sentence. */
void cli_row_complain(const cli_args *args, const cli_row *row) {
  if (row->sentence) {
    fprintf(stderr, "%s\n", row->sentence);
    return;
  }
  fprintf(stderr, "%s:%llu: %s%s%s\n", args->input, (unsigned long long)row->line,
          row->error_field ? row->error_field : "", row->error_field ? ": " : "",
          row->error_message ? row->error_message : sheaf_status_text(row->status));
}
