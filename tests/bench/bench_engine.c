/* bench_engine: requests a second of the engine alone: a transport that answers at once, a provider without JSON.
 *
 *   bench_engine [REQUESTS] [CONCURRENCY]          prints one JSON line; asserts every row before it prints
 */
#include <sheaf/sheaf.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *heap(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

static int32_t build(const sheaf_provider *provider, const sheaf_build *in, sheaf_call *call) {
  (void)provider;
  sheaf_buf_append_text(call->path, "/run");
  return sheaf_buf_append_slice(call->body, in->request->prompt);
}

static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *d) {
  (void)provider, (void)scratch;
  d->billing = SHEAF_BILLING_BILLED;
  d->text_json = reply->body;
  d->usage.input_total = 10;
  d->usage.output_total = 20;
  return SHEAF_OK;
}

static const sheaf_provider bare = {.struct_bytes = sizeof bare,
                                    .name = "bare",
                                    .base_url = "http://localhost",
                                    .build = build,
                                    .decode = decode};

static sheaf_engine *engine;
static uint64_t total, given, succeeded, pending_count;
static uint64_t pending[70000];

static int32_t next(void *ctx, sheaf_request *request) {
  (void)ctx;
  if (given == total) return SHEAF_E_END;
  given++;
  request->prompt = SHEAF_LITERAL(
      "a prompt of ordinary length, say about eighty bytes, which is what chats often have");
  return SHEAF_OK;
}
static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind == SHEAF_EVENT_RESULT) succeeded += event->result->ok;
  return SHEAF_OK;
}
static int32_t start(void *ctx, const sheaf_exchange *exchange) {
  (void)ctx;
  pending[pending_count++] = exchange->id;
  return SHEAF_OK;
}
static void cancel(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}

static uint64_t now_ns(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
  total = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  options.concurrency = argc > 2 ? strtoull(argv[2], NULL, 10) : 64;
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = &bare;
  endpoint.model = SHEAF_LITERAL("m");
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  const sheaf_allocator allocator = {heap, NULL};
  if (sheaf_engine_new(&options, &allocator, &engine)) return 1;
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_source source = {.struct_bytes = sizeof source, .next = next};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_doors doors = {
      .struct_bytes = sizeof doors, .transport = &transport, .sink = &sink, .source = &source};
  if (sheaf_engine_open(engine, &doors)) return 1;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  uint64_t begun = now_ns();
  for (;;) {
    int32_t status = sheaf_engine_run_once(engine, now_ns(), 0);
    if (status == SHEAF_E_END) break;
    if (status != SHEAF_OK || pending_count == 0)
      return fprintf(stderr, "stuck: %s\n", sheaf_status_name(status)), 1;
    uint64_t n = pending_count;
    pending_count = 0;
    for (uint64_t i = 0; i < n; i++) {
      sheaf_engine_on_head(engine, pending[i], 200, (sheaf_slice){NULL, 0});
      sheaf_engine_on_data(engine, pending[i],
                           SHEAF_LITERAL("a reply of forty bytes, or nearly so, ok"));
      sheaf_engine_on_done(engine, pending[i], &end);
    }
  }
  uint64_t took = now_ns() - begun;
  if (succeeded != total)
    return fprintf(stderr, "%llu of %llu succeeded\n", (unsigned long long)succeeded,
                   (unsigned long long)total),
           1;
  printf("{\"n\":%llu,\"wall_s\":%.6f,\"requests_per_s\":%.0f}\n", (unsigned long long)total,
         (double)took / 1e9, (double)total * 1e9 / (double)took);
  sheaf_engine_free(engine);
  return 0;
}
