/* engine_test.h: an engine on a bench: a provider of twenty lines, a clock that tests move, and copies of what came out.
 *
 *   bench b; bench_init(&b); b.options.max_retries = 2; bench_open(&b);
 *   bench_submit(&b, "hello"); bench_step(&b, 0);
 *   bench_answer(&b, 0, 429, "retry-after-ms: 700\n", ""); bench_step(&b, 1); ... bench_close(&b); */
#ifndef ENGINE_TEST_H
#define ENGINE_TEST_H

#include "check.h"
#include "test_alloc.h"

#include <sheaf/sheaf.h>

#define BENCH_MS 1000000ull
#define BENCH_SECOND 1000000000ull
#define BENCH_MAX 1024

#define CHECK_STRING(is, wanted)                                                          \
  do {                                                                                    \
    if (strcmp(is, wanted) != 0)                                                          \
      check_bad++, printf("%s:%d: \"%s\", not \"%s\"\n", __FILE__, __LINE__, is, wanted); \
  } while (0)

/* ---- The provider: the body is the prompt, the reply is the answer ---- */

static int32_t bench_build(const sheaf_provider *provider, const sheaf_build *in,
                           sheaf_call *call) {
  (void)provider;
  sheaf_buf_append_text(call->path, "/run");
  if (in->request->prompt.bytes == 0 && in->request->body.bytes == 0) {
    call->error_field = "prompt";
    call->error_message = "a prompt is missing: give one";
    return SHEAF_E_FIELD;
  }
  if (in->request->max_tokens) call->output_tokens_max = (int64_t)in->request->max_tokens;
  return sheaf_buf_append_slice(
      call->body, in->request->prompt.bytes ? in->request->prompt : in->request->body);
}

static int32_t bench_decode(const sheaf_provider *provider, const sheaf_reply *reply,
                            sheaf_buf *scratch, sheaf_decoded *d) {
  (void)provider, (void)scratch;
  if (reply->body.bytes == 3 && memcmp(reply->body.data, "bad", 3) == 0) return SHEAF_E_SYNTAX;
  d->billing = SHEAF_BILLING_BILLED;
  d->text_json = reply->body;
  d->usage.input_total = 10;
  d->usage.output_total = 20;
  return SHEAF_OK;
}

static uint64_t bench_number(sheaf_slice text) {
  uint64_t n = 0;
  for (size_t i = 0; i < text.bytes && text.data[i] >= '0' && text.data[i] <= '9'; i++)
    n = n * 10 + (uint64_t)(text.data[i] - '0');
  return n;
}

static int32_t bench_classify(const sheaf_provider *provider, const sheaf_reply *reply,
                              sheaf_buf *scratch, sheaf_decoded *d) {
  (void)provider, (void)scratch;
  d->billing = SHEAF_BILLING_REFUSED;
  d->retryable = true;
  switch (reply->http_status) {
    case 429: d->error_class = SHEAF_CLASS_RATE_LIMIT; break;
    case 529: d->error_class = SHEAF_CLASS_OVERLOADED; break;
    case 401: d->error_class = SHEAF_CLASS_AUTH; break;
    case 402: d->error_class = SHEAF_CLASS_QUOTA; break;
    case 500: d->error_class = SHEAF_CLASS_SERVER; break;
    default: d->error_class = SHEAF_CLASS_INVALID_REQUEST;
  }
  sheaf_slice wait = sheaf_header_find(reply->headers, "retry-after-ms");
  if (wait.bytes) d->retry_after_ns = bench_number(wait) * BENCH_MS;
  return SHEAF_OK;
}

static int32_t bench_event(const sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                           sheaf_stream *stream) {
  (void)provider, (void)event;
  if (data.bytes == 6 && memcmp(data.data, "[DONE]", 6) == 0) {
    stream->terminal = true;
    return SHEAF_OK;
  }
  if (data.bytes == 10 && memcmp(data.data, "overloaded", 10) == 0) {
    stream->so_far.error_class = SHEAF_CLASS_OVERLOADED;
    stream->so_far.billing = SHEAF_BILLING_REFUSED;
    stream->so_far.retryable = stream->terminal = true;
    return SHEAF_OK;
  }
  return sheaf_buf_append_slice(&stream->text, data);
}

static const sheaf_provider bench_provider = {.struct_bytes = sizeof bench_provider,
                                              .framing = SHEAF_FRAMING_SSE,
                                              .name = "bench",
                                              .base_url = "http://localhost",
                                              .build = bench_build,
                                              .decode = bench_decode,
                                              .classify = bench_classify,
                                              .event = bench_event};

/* A nano-USD for each input token, two for each output token: an answer costs 10 + 2 * 20 = 50. */
static const sheaf_price bench_price = {"bench",      "*",          1000000, 2000000,
                                        SHEAF_ABSENT, SHEAF_ABSENT, 0,       0};
static const sheaf_price_table bench_prices = {
    .date = "2026-01-01", .source = "made up", .prices = &bench_price, .count = 1};

/* ---- The bench ---- */

typedef struct bench_start {
  uint64_t id, index, timeout_ns, at_ns;
  uint32_t endpoint, kind;
  bool stream;
  char body[32];
  void *user;
} bench_start;

typedef struct bench_result {
  uint64_t index, total_ns, queue_ns;
  uint32_t error_class, attempts, throttles, billing, http_status, history_count;
  int64_t cost;
  bool ok, attempted, resent, streamed, deduplicated, cached, local;
  int64_t input_tokens;
  char text[64], id[32], message[128], metadata[32];
} bench_result;

typedef struct bench_append {
  uint64_t ticket, first, last;
  uint32_t type, count;
  bool before_starts; /* no START was handed out in its step yet */
} bench_append;

typedef struct bench {
  test_alloc memory;
  sheaf_engine_options options;
  sheaf_endpoint endpoints[4];
  sheaf_engine *engine;
  uint64_t now_ns;
  bench_start starts[BENCH_MAX];
  uint32_t start_count;
  bench_result results[BENCH_MAX];
  uint32_t result_count;
  bench_append appends[BENCH_MAX];
  uint32_t append_count;
  uint64_t cancels[64];
  uint32_t cancel_count;
  uint32_t notices[16]; /* by kind */
  char raw[BENCH_MAX];  /* of all deltas, one behind the other */
  uint32_t raw_bytes, raw_deltas;
  char events[BENCH_MAX]; /* "d:text " for a delta, "x " for a discard, "r " for a result */
  bool store_answers;     /* each append is stored at once */
} bench;

static inline void bench_init(bench *b) {
  memset(b, 0, sizeof *b);
  sheaf_engine_options_init(&b->options);
  b->options.seed = 7;
  b->options.prices = &bench_prices;
  b->options.endpoints = b->endpoints;
  b->options.endpoint_count = 1;
  for (uint32_t i = 0; i < 4; i++) {
    static const char *const names[] = {"a", "b", "c", "d"};
    b->endpoints[i] = SHEAF_ENDPOINT_INIT;
    b->endpoints[i].provider = &bench_provider;
    b->endpoints[i].name = sheaf_slice_of(names[i]);
    b->endpoints[i].quota_group = b->endpoints[i].name;
    b->endpoints[i].model = SHEAF_LITERAL("m");
  }
  b->now_ns = 100 * BENCH_SECOND;
  b->store_answers = true;
}

static inline void bench_open(bench *b) {
  const sheaf_allocator allocator = test_allocator(&b->memory);
  CHECK_OK(sheaf_engine_new(&b->options, &allocator, &b->engine));
}

static inline void bench_close(bench *b) {
  sheaf_engine_free(b->engine);
  b->engine = NULL;
  CHECK_EQ(b->memory.live_bytes, 0);
  CHECK_EQ(b->memory.live_blocks, 0);
  CHECK(!b->memory.size_mismatch);
}

static inline uint64_t bench_submit_request(bench *b, const sheaf_request *request) {
  uint64_t index = SHEAF_NEVER;
  CHECK_OK(sheaf_engine_submit(b->engine, request, &index, NULL));
  return index;
}

static inline uint64_t bench_submit(bench *b, const char *prompt) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = sheaf_slice_of(prompt);
  return bench_submit_request(b, &request);
}

static inline void bench_copy(char *to, size_t bytes, sheaf_slice from) {
  size_t n = from.bytes < bytes - 1 ? from.bytes : bytes - 1;
  if (n) memcpy(to, from.data, n);
  to[n] = 0;
}

static inline void bench_say(bench *b, const char *kind, sheaf_slice text) {
  size_t at = strlen(b->events);
  if (at + text.bytes + 8 < sizeof b->events)
    snprintf(b->events + at, sizeof b->events - at, "%s%.*s ", kind, (int)text.bytes,
             text.data ? text.data : "");
}

static inline void bench_take_actions(bench *b) {
  sheaf_action a;
  uint32_t starts = b->start_count;
  while (sheaf_engine_next_action(b->engine, &a) == SHEAF_OK) {
    if (a.kind == SHEAF_ACTION_START && b->start_count < BENCH_MAX) {
      const sheaf_exchange *x = a.exchange;
      bench_start *s = &b->starts[b->start_count++];
      *s = (bench_start){.id = x->id,
                         .index = x->index,
                         .timeout_ns = x->timeout_ns,
                         .at_ns = b->now_ns,
                         .endpoint = x->endpoint,
                         .kind = x->kind,
                         .stream = x->stream,
                         .user = x->user};
      bench_copy(s->body, sizeof s->body, x->body);
    } else if (a.kind == SHEAF_ACTION_CANCEL && b->cancel_count < 64) {
      b->cancels[b->cancel_count++] = a.exchange_id;
    } else if (a.kind == SHEAF_ACTION_APPEND && b->append_count < BENCH_MAX) {
      bench_append *p = &b->appends[b->append_count++];
      sheaf_range range = {0};
      CHECK(a.record_count > 0);
      CHECK_OK(sheaf_range_read(a.records[0].payload, &range));
      *p = (bench_append){.ticket = a.ticket,
                          .first = range.first,
                          .last = range.last,
                          .type = a.records[0].type,
                          .count = a.record_count,
                          .before_starts = b->start_count == starts};
      if (b->store_answers) CHECK_OK(sheaf_engine_on_stored(b->engine, a.ticket, SHEAF_OK));
    }
  }
}

static inline void bench_take_result(bench *b, const sheaf_result *r) {
  if (b->result_count == BENCH_MAX) return;
  bench_result *to = &b->results[b->result_count++];
  *to = (bench_result){.index = r->index,
                       .total_ns = r->total_ns,
                       .queue_ns = r->queue_ns,
                       .error_class = r->error_class,
                       .attempts = r->attempts,
                       .throttles = r->throttles,
                       .billing = r->billing,
                       .http_status = r->http_status,
                       .history_count = r->history_count,
                       .cost = r->cost_usd_nano,
                       .ok = r->ok,
                       .attempted = r->attempted,
                       .resent = r->resent_unknown,
                       .streamed = r->streamed,
                       .deduplicated = r->deduplicated,
                       .cached = r->cached,
                       .local = r->local,
                       .input_tokens = r->usage.input_total};
  bench_copy(to->text, sizeof to->text, r->text);
  bench_copy(to->id, sizeof to->id, r->custom_id);
  bench_copy(to->message, sizeof to->message, r->error_message);
  bench_copy(to->metadata, sizeof to->metadata, r->metadata);
}

static inline void bench_take_events(bench *b) {
  sheaf_event e;
  while (sheaf_engine_next_event(b->engine, &e) == SHEAF_OK) {
    switch (e.kind) {
      case SHEAF_EVENT_RESULT:
        bench_take_result(b, e.result);
        bench_say(b, "r", (sheaf_slice){NULL, 0});
        break;
      case SHEAF_EVENT_DELTA:
        bench_say(b, "d:", e.text);
        b->raw_deltas += e.raw.bytes > 0;
        if (e.raw.bytes && b->raw_bytes + e.raw.bytes < sizeof b->raw) {
          memcpy(b->raw + b->raw_bytes, e.raw.data, e.raw.bytes);
          b->raw_bytes += (uint32_t)e.raw.bytes;
        }
        break;
      case SHEAF_EVENT_DISCARD: bench_say(b, "x", (sheaf_slice){NULL, 0}); break;
      default: b->notices[e.notice & 15]++;
    }
  }
}

/* Time moves by ns, then one step, and everything is taken. */
static inline void bench_step(bench *b, uint64_t ns) {
  b->now_ns += ns;
  CHECK_OK(sheaf_engine_step(b->engine, b->now_ns, 0));
  bench_take_actions(b);
  bench_take_events(b);
}

/* To the time at which the engine wants to be called; false when it wants nothing. */
static inline bool bench_wait(bench *b) {
  uint64_t at = sheaf_engine_timeout_ns(b->engine);
  if (at == SHEAF_NEVER) return false;
  bench_step(b, at > b->now_ns ? at - b->now_ns : 0);
  return true;
}

static inline void bench_head(bench *b, uint32_t start, uint32_t status, const char *headers) {
  CHECK_OK(sheaf_engine_on_head(b->engine, b->starts[start].id, status, sheaf_slice_of(headers)));
}
static inline void bench_data(bench *b, uint32_t start, const char *body) {
  CHECK_OK(sheaf_engine_on_data(b->engine, b->starts[start].id, sheaf_slice_of(body)));
}
static inline void bench_done(bench *b, uint32_t start, uint32_t how) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.end = how;
  CHECK_OK(sheaf_engine_on_done(b->engine, b->starts[start].id, &end));
}
static inline void bench_answer(bench *b, uint32_t start, uint32_t status, const char *headers,
                                const char *body) {
  bench_head(b, start, status, headers);
  bench_data(b, start, body);
  bench_done(b, start, SHEAF_END_OK);
}

#endif
