/* dry_run.c: reads the whole input, builds every request, sends nothing: every bad line is named,
 * tokens and cost are estimated. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <poll.h>
#include <string.h>

typedef struct dry_state {
  uint64_t good, bad, bytes, output_cap;
  int64_t cost;
  bool cost_known;
} dry_state;

static void on_bad_line(void *user, const char *sentence) {
  dry_state *dry = user;
  dry->bad++;
  fprintf(stderr, "%s\n", sentence);
}

static void weigh(dry_state *dry, const cli_args *args, const sheaf_provider *provider,
                  const sheaf_request *request, const sheaf_call *call) {
  uint64_t cap = call->output_tokens_max > 0
                     ? (uint64_t)call->output_tokens_max
                     : 512; /* where no cap is given: the engine's first guess */
  sheaf_usage usage = {.input_total = (int64_t)(call->body->bytes / 4),
                       .output_total = (int64_t)cap,
                       .cache_read = SHEAF_ABSENT,
                       .cache_write = SHEAF_ABSENT,
                       .reasoning = SHEAF_ABSENT};
  const sheaf_price_table *prices =
      args->engine.prices ? args->engine.prices : sheaf_prices_builtin();
  int64_t cost = sheaf_price_cost(
      sheaf_price_find(prices, sheaf_slice_of(provider->name), request->model), &usage);
  if (cost == SHEAF_ABSENT)
    dry->cost_known = false;
  else
    dry->cost += cost;
  dry->bytes += call->body->bytes;
  dry->output_cap += cap;
  dry->good++;
}

static void build_one(dry_state *dry, const cli_args *args, const cli_place *place,
                      sheaf_request *request, sheaf_buf *path, sheaf_buf *body) {
  const sheaf_provider *provider = place->endpoint.provider;
  if (request->model.bytes == 0 && request->body.bytes)
    request->model = sheaf_json_inside(sheaf_json_member(request->body, "model"));
  if (request->model.bytes == 0) request->model = place->endpoint.model;
  if (request->system.bytes == 0) request->system = sheaf_slice_of(args->system);
  if (request->max_tokens == 0) request->max_tokens = args->engine.max_tokens;
  sheaf_buf_reset(path);
  sheaf_buf_reset(body);
  const sheaf_build build = {
      .struct_bytes = sizeof build,
      .stream = (request->flags & SHEAF_REQUEST_STREAM) || args->engine.stream,
      .request = request,
      .base_url = place->endpoint.base_url,
      .default_url = place->endpoint.default_url};
  sheaf_call call = {
      .struct_bytes = sizeof call, .path = path, .body = body, .output_tokens_max = SHEAF_ABSENT};
  int32_t status = provider->build(provider, &build, &call);
  if (status == SHEAF_OK) {
    weigh(dry, args, provider, request, &call);
    return;
  }
  dry->bad++;
  fprintf(stderr, "%s:%u: %s%s%s\n", args->input, (unsigned)request->line,
          call.error_field ? call.error_field : "", call.error_field ? ": " : "",
          call.error_message ? call.error_message : sheaf_status_text(status));
}

int cli_dry_run(const cli_args *args, const cli_place *place, uint32_t format) {
  dry_state dry = {.cost_known = true};
  char message[1024] = "";
  sheaf_files_options options = SHEAF_FILES_OPTIONS_INIT;
  sheaf_files *files;
  options.input = args->input;
  options.template_text = args->template_text;
  options.limit = args->limit;
  options.format = format;
  options.scan_all = 1;
  options.on_bad_line = on_bad_line;
  options.user = &dry;
  int32_t status = sheaf_files_open(&options, &files, message, sizeof message);
  if (status) return cli_say("%s", message[0] ? message : sheaf_status_text(status)), CLI_BAD_INPUT;
  const sheaf_source *source = sheaf_files_source(files);
  sheaf_buf path, body;
  sheaf_buf_init(&path, &cli_allocator, 1 << 16);
  sheaf_buf_init(&body, &cli_allocator, (size_t)128 << 20);
  for (;;) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    status = source->next(source->ctx, &request);
    if (status == SHEAF_E_LATER) { /* a pipe that has nothing yet */
      struct pollfd input = {.fd = sheaf_files_input_fd(files), .events = POLLIN};
      poll(&input, 1, -1);
      continue;
    }
    if (status) break;
    build_one(&dry, args, place, &request, &path, &body);
  }
  if (status != SHEAF_E_END) cli_say("%s", sheaf_files_message(files));
  sheaf_buf_deinit(&path);
  sheaf_buf_deinit(&body);
  sheaf_files_close(files);
  printf(
      "%llu requests are good, %llu are not; about %llu input tokens (an estimate: bytes / 4) and "
      "at most %llu output tokens\n",
      (unsigned long long)dry.good, (unsigned long long)dry.bad,
      (unsigned long long)(dry.bytes / 4), (unsigned long long)dry.output_cap);
  if (dry.cost_known && dry.good)
    printf("at most about $%.4f at prices of %s\n", (double)dry.cost / 1e9,
           args->engine.prices ? args->engine.prices->date : sheaf_prices_builtin()->date);
  else if (dry.good)
    printf("no price is known for some of the models: give --prices FILE to see the cost\n");
  return dry.bad || status != SHEAF_E_END ? CLI_BAD_INPUT : CLI_OK;
}
