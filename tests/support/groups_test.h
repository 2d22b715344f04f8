/* groups_test.h: an engine whose provider shares calls, on a bench of its own.
 *
 * A body is its kind, its key, and its own: "E<key>:a,b" is a list of two inputs, "P<key>:text" a chat. One of several is the
 * same with everybody's own. A reply is "<input tokens>/<output tokens>/<finish>;" and its items or its text, an item being
 * the input with "=" before it. So whoever holds an answer can tell whose it is.
 *
 *   groups w; groups_init(&w); w.options.merge = ...; groups_open(&w);
 *   groups_submit(&w, "Ek:a", NULL); groups_step(&w, 0); groups_good(&w, 0); groups_step(&w, 1); ... groups_close(&w); */
#ifndef GROUPS_TEST_H
#define GROUPS_TEST_H

#include "check.h"
#include "test_alloc.h"

#include <sheaf/sheaf.h>

#define MS 1000000ull
#define SECOND 1000000000ull
#define GROUPS_MAX 4096
#define GROUPS_REPLY_BYTES 65536

/* ---- The provider ---- */

typedef struct body_view {
  sheaf_slice key, own;
  uint32_t inputs;
  bool is_list;
} body_view;

static inline body_view view_of(sheaf_slice body) {
  body_view v = {.is_list = body.bytes > 0 && body.data[0] == 'E'};
  const char *colon = body.bytes ? memchr(body.data, ':', body.bytes) : NULL;
  if (colon == NULL) return v;
  v.key = (sheaf_slice){body.data + 1, (size_t)(colon - body.data) - 1};
  v.own = (sheaf_slice){colon + 1, body.bytes - v.key.bytes - 2};
  v.inputs = 1;
  for (size_t i = 0; i < v.own.bytes; i++) v.inputs += v.own.data[i] == ',';
  return v;
}

static inline int32_t shares_build(const sheaf_provider *provider, const sheaf_build *in,
                                   sheaf_call *call) {
  (void)provider;
  const sheaf_request *r = in->request;
  call->operation = r->prompt.bytes && r->prompt.data[0] == 'E' ? 1 : 2;
  sheaf_buf_append_text(call->path, call->operation == 1 ? "/lists" : "/chats");
  if (r->max_tokens) call->output_tokens_max = (int64_t)r->max_tokens;
  return sheaf_buf_append_slice(call->body, r->prompt);
}

static inline int64_t number_at(sheaf_slice *text) {
  int64_t n = 0;
  size_t i = 0;
  for (; i < text->bytes && text->data[i] >= '0' && text->data[i] <= '9'; i++)
    n = n * 10 + (text->data[i] - '0');
  *text = (sheaf_slice){text->data + i, text->bytes - i};
  if (text->bytes) text->data++, text->bytes--;
  return n;
}

/* "in/out/finish;text" */
static inline int32_t shares_decode(const sheaf_provider *provider, const sheaf_reply *reply,
                                    sheaf_buf *scratch, sheaf_decoded *d) {
  (void)provider, (void)scratch;
  const char *semicolon =
      reply->body.bytes ? memchr(reply->body.data, ';', reply->body.bytes) : NULL;
  if (semicolon == NULL) return SHEAF_E_SYNTAX;
  sheaf_slice head = {reply->body.data, (size_t)(semicolon - reply->body.data)};
  d->billing = SHEAF_BILLING_BILLED;
  d->usage.input_total = number_at(&head);
  d->usage.output_total = number_at(&head);
  d->finish_reason = head;
  d->text_json =
      (sheaf_slice){semicolon + 1, reply->body.bytes - (size_t)(semicolon + 1 - reply->body.data)};
  return SHEAF_OK;
}

static inline int32_t shares_classify(const sheaf_provider *provider, const sheaf_reply *reply,
                                      sheaf_buf *scratch, sheaf_decoded *d) {
  (void)provider, (void)scratch;
  d->billing = SHEAF_BILLING_REFUSED;
  d->retryable = true;
  d->error_message = reply->body;
  switch (reply->http_status) {
    case 429: d->error_class = SHEAF_CLASS_RATE_LIMIT; break;
    case 401: d->error_class = SHEAF_CLASS_AUTH; break;
    case 413: d->error_class = SHEAF_CLASS_CONTEXT_LENGTH; break;
    case 451: d->error_class = SHEAF_CLASS_CONTENT_FILTER; break;
    case 500: d->error_class = SHEAF_CLASS_SERVER; break;
    case 529: d->error_class = SHEAF_CLASS_OVERLOADED; break;
    default: d->error_class = SHEAF_CLASS_INVALID_REQUEST;
  }
  sheaf_slice wait = sheaf_header_find(reply->headers, "retry-after-ms");
  if (wait.bytes) d->retry_after_ns = (uint64_t)number_at(&wait) * MS;
  return SHEAF_OK;
}

static uint32_t shares_inputs_max;
static uint64_t shares_tokens_max;
static bool shares_refuses;    /* share says that the bodies cannot */
static bool shares_part_fails; /* part finds nothing to write */

static inline void shares_traits(const sheaf_provider *provider, uint32_t operation,
                                 sheaf_slice body, sheaf_traits *t) {
  (void)provider, (void)operation;
  body_view v = view_of(body);
  if (v.own.data == NULL) return;
  t->share = v.is_list ? SHEAF_SHARE_INPUTS : SHEAF_SHARE_PROMPTS;
  t->inputs = v.is_list ? v.inputs : 1;
  t->inputs_max = v.is_list ? shares_inputs_max : 0;
  t->tokens_max = v.is_list ? shares_tokens_max : 0;
  t->own = v.own;
  t->key = v.is_list;
  for (size_t i = 0; i < v.key.bytes; i++) t->key = t->key * 131 + (uint8_t)v.key.data[i];
}

static inline int32_t shares_share(const sheaf_provider *provider, const sheaf_shared *s,
                                   sheaf_buf *body) {
  (void)provider;
  if (shares_refuses) return SHEAF_E_FIELD;
  body_view first = view_of(s->bodies[0]);
  sheaf_buf_append_text(body, first.is_list ? "E" : "P");
  sheaf_buf_append_slice(body, first.key);
  sheaf_buf_append_text(body, ":");
  if (!first.is_list) return sheaf_buf_append_slice(body, s->prompt);
  for (uint32_t i = 0; i < s->count; i++) {
    if (i) sheaf_buf_append_text(body, ",");
    sheaf_buf_append_slice(body, view_of(s->bodies[i]).own);
  }
  return body->status;
}

static inline int32_t shares_items(const sheaf_provider *provider, const sheaf_shared *s,
                                   const sheaf_reply *reply, sheaf_slice *items, uint32_t count) {
  (void)provider, (void)s;
  const char *at = memchr(reply->body.data, ';', reply->body.bytes);
  if (at == NULL) return SHEAF_E_FIELD;
  const char *end = reply->body.data + reply->body.bytes;
  uint32_t n = 0;
  for (at++; at <= end; n++) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    if (comma == NULL) comma = end;
    if (n == count) return SHEAF_E_FIELD;
    items[n] = (sheaf_slice){at, (size_t)(comma - at)};
    at = comma + 1;
  }
  return n == count ? SHEAF_OK : SHEAF_E_FIELD;
}

static inline int32_t shares_part(const sheaf_provider *provider, const sheaf_shared *s,
                                  const sheaf_reply *reply, const sheaf_part *part,
                                  sheaf_buf *body) {
  (void)provider, (void)s, (void)reply;
  if (shares_part_fails) return SHEAF_E_FIELD;
  sheaf_buf_append_i64(body, part->usage.input_total);
  sheaf_buf_append_text(body, "/");
  sheaf_buf_append_i64(body, part->usage.output_total);
  sheaf_buf_append_text(body, "/stop;");
  for (uint32_t i = 0; i < part->item_count; i++) {
    if (i) sheaf_buf_append_text(body, ",");
    sheaf_buf_append_slice(body, part->items[i]);
  }
  sheaf_buf_append_slice(body, part->text_json);
  return body->status;
}

static const sheaf_provider shares_provider = {.struct_bytes = sizeof shares_provider,
                                               .name = "shares",
                                               .base_url = "http://localhost",
                                               .build = shares_build,
                                               .decode = shares_decode,
                                               .classify = shares_classify,
                                               .traits = shares_traits,
                                               .share = shares_share,
                                               .items = shares_items,
                                               .part = shares_part};

/* A nano-USD an input token, two an output token. */
static const sheaf_price shares_price = {"shares",     "*",          1000000, 2000000,
                                         SHEAF_ABSENT, SHEAF_ABSENT, 0,       0};
static const sheaf_price_table shares_prices = {
    .date = "2026-01-01", .source = "made up", .prices = &shares_price, .count = 1};
static const uint8_t shares_secret[SHEAF_SECRET_BYTES] = "a secret of thirty-two bytes....";

/* ---- The bench ---- */

typedef struct groups_start {
  uint64_t id, index, at_ns;
  uint32_t endpoint;
  bool over, cancelled;
  char *body;
} groups_start;

typedef struct groups_result {
  uint64_t index, group;
  uint32_t error_class, attempts, billing, group_members, lane, throttles;
  int64_t cost, input, output;
  bool ok, attempted, deduplicated;
  char text[64], message[96];
} groups_result;

typedef struct groups {
  test_alloc memory;
  sheaf_engine_options options;
  sheaf_endpoint endpoints[2];
  sheaf_engine *engine;
  uint64_t now_ns;
  groups_start *starts;
  uint32_t start_count;
  groups_result results[GROUPS_MAX];
  uint32_t result_count;
  uint32_t notices[16];
  uint32_t cancels;
  char states[GROUPS_MAX]; /* "<group>:<state>/<members> " of each group event */
  uint64_t state_ns;       /* of the latest of them */
  uint64_t first_range, last_range;
  uint32_t ranges, voids;
  bool store_waits; /* appends are stored when the test says so */
  uint64_t ticket;
} groups;

static inline void groups_init(groups *w) {
  memset(w, 0, sizeof *w);
  w->starts = calloc(GROUPS_MAX, sizeof *w->starts);
  sheaf_engine_options_init(&w->options);
  w->options.seed = 7;
  w->options.prices = &shares_prices;
  w->options.endpoints = w->endpoints;
  w->options.endpoint_count = 1;
  w->options.dedup = SHEAF_DEDUP_OFF;
  w->options.canary_pct = 0;
  w->options.secret = shares_secret;
  w->options.concurrency = 100;
  for (uint32_t i = 0; i < 2; i++) {
    w->endpoints[i] = SHEAF_ENDPOINT_INIT;
    w->endpoints[i].provider = &shares_provider;
    w->endpoints[i].name = i ? SHEAF_LITERAL("b") : SHEAF_LITERAL("a");
    w->endpoints[i].quota_group = w->endpoints[i].name;
    w->endpoints[i].credential_id = i + 1;
    w->endpoints[i].model = SHEAF_LITERAL("m");
  }
  w->now_ns = 100 * SECOND;
  shares_inputs_max = 0;
  shares_tokens_max = 0;
  shares_refuses = shares_part_fails = false;
}

static inline void groups_open(groups *w) {
  const sheaf_allocator allocator = test_allocator(&w->memory);
  CHECK_OK(sheaf_engine_new(&w->options, &allocator, &w->engine));
}

static inline void groups_free(groups *w) {
  sheaf_engine_free(w->engine);
  for (uint32_t i = 0; i < w->start_count; i++) free(w->starts[i].body);
  free(w->starts);
}

static inline void groups_close(groups *w) {
  groups_free(w);
  CHECK_EQ(w->memory.live_bytes, 0);
  CHECK_EQ(w->memory.live_blocks, 0);
  CHECK(!w->memory.size_mismatch);
}

static inline uint64_t groups_submit(groups *w, const char *prompt, const sheaf_request *like) {
  sheaf_request request = like ? *like : SHEAF_REQUEST_INIT;
  uint64_t index = SHEAF_NEVER;
  request.prompt = sheaf_slice_of(prompt);
  CHECK_OK(sheaf_engine_submit(w->engine, &request, &index, NULL));
  return index;
}

static inline void groups_copy(char *to, size_t bytes, sheaf_slice from) {
  size_t n = from.bytes < bytes - 1 ? from.bytes : bytes - 1;
  if (n) memcpy(to, from.data, n);
  to[n] = 0;
}

static inline void groups_started(groups *w, const sheaf_exchange *x) {
  if (w->start_count == GROUPS_MAX) return;
  groups_start *s = &w->starts[w->start_count++];
  *s = (groups_start){.id = x->id, .index = x->index, .at_ns = w->now_ns, .endpoint = x->endpoint};
  s->body = malloc(x->body.bytes + 1);
  groups_copy(s->body, x->body.bytes + 1, x->body);
}

static inline void groups_actions(groups *w) {
  sheaf_action a;
  while (sheaf_engine_next_action(w->engine, &a) == SHEAF_OK) {
    if (a.kind == SHEAF_ACTION_START) {
      groups_started(w, a.exchange);
    } else if (a.kind == SHEAF_ACTION_CANCEL) {
      w->cancels++;
      for (uint32_t i = 0; i < w->start_count; i++)
        if (w->starts[i].id == a.exchange_id) w->starts[i].cancelled = true;
    } else if (a.kind == SHEAF_ACTION_APPEND) {
      for (uint32_t i = 0; i < a.record_count; i++) {
        sheaf_range range = {0};
        CHECK_OK(sheaf_range_read(a.records[i].payload, &range));
        if (a.records[i].type == SHEAF_RECORD_VOID) w->voids++;
        if (a.records[i].type != SHEAF_RECORD_RANGE) continue;
        if (w->ranges++ == 0) w->first_range = range.first;
        w->last_range = range.last;
      }
      w->ticket = a.ticket;
      if (!w->store_waits) CHECK_OK(sheaf_engine_on_stored(w->engine, a.ticket, SHEAF_OK));
    }
  }
}

static inline void groups_result_of(groups *w, const sheaf_result *r) {
  if (w->result_count == GROUPS_MAX) return;
  groups_result *to = &w->results[w->result_count++];
  *to = (groups_result){.index = r->index,
                        .group = r->group,
                        .error_class = r->error_class,
                        .attempts = r->attempts,
                        .billing = r->billing,
                        .group_members = r->group_members,
                        .lane = r->lane,
                        .throttles = r->throttles,
                        .cost = r->cost_usd_nano,
                        .input = r->usage.input_total,
                        .output = r->usage.output_total,
                        .ok = r->ok,
                        .attempted = r->attempted,
                        .deduplicated = r->deduplicated};
  groups_copy(to->text, sizeof to->text, r->text);
  groups_copy(to->message, sizeof to->message, r->error_message);
}

static inline void groups_events(groups *w) {
  sheaf_event e;
  while (sheaf_engine_next_event(w->engine, &e) == SHEAF_OK) {
    if (e.kind == SHEAF_EVENT_RESULT) groups_result_of(w, e.result);
    if (e.kind == SHEAF_EVENT_NOTICE) w->notices[e.notice & 15]++;
    if (e.kind != SHEAF_EVENT_GROUP) continue;
    size_t at = strlen(w->states);
    snprintf(w->states + at, sizeof w->states - at, "%" PRIu64 ":%s/%" PRIu64 " ", e.group,
             sheaf_group_state_name(e.group_state), e.group_members);
    w->state_ns = e.at_ns;
  }
}

static inline void groups_step(groups *w, uint64_t ns) {
  w->now_ns += ns;
  CHECK_OK(sheaf_engine_step(w->engine, w->now_ns, 0));
  groups_actions(w);
  groups_events(w);
}

/* Time moves to when the engine asks to be called; false: never, or not before the limit. */
static inline bool groups_wait(groups *w, uint64_t limit_ns) {
  uint64_t at = sheaf_engine_timeout_ns(w->engine);
  if (at > w->now_ns + limit_ns) return false;
  groups_step(w, at > w->now_ns ? at - w->now_ns : 0);
  return true;
}

static inline void groups_end(groups *w, uint32_t start, uint32_t how) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.end = how;
  end.message = SHEAF_LITERAL("the line broke");
  w->starts[start].over = true;
  CHECK_OK(sheaf_engine_on_done(w->engine, w->starts[start].id, &end));
}

static inline void groups_answer(groups *w, uint32_t start, uint32_t status, const char *headers,
                                 const char *body) {
  CHECK_OK(sheaf_engine_on_head(w->engine, w->starts[start].id, status, sheaf_slice_of(headers)));
  CHECK_OK(sheaf_engine_on_data(w->engine, w->starts[start].id, sheaf_slice_of(body)));
  groups_end(w, start, SHEAF_END_OK);
}

/* ---- Replies ---- */

enum { REPLY_GOOD, REPLY_SHORT, REPLY_SWAPPED, REPLY_CUT };

/* The answers to a chat of several: each prompt with "=" before it, under its id. */
static inline void chat_reply(const char *body, char *to, size_t bytes, int how) {
  size_t n = (size_t)snprintf(to, bytes, "100/60/%s;", how == REPLY_CUT ? "length" : "stop");
  const char *at = strstr(body, "\\\"id\\\":\\\"");
  if (at == NULL) { /* of one */
    snprintf(to + n, bytes - n, "=%s", strchr(body, ':') + 1);
    return;
  }
  n += (size_t)snprintf(to + n, bytes - n, "{\\\"answers\\\":[");
  for (uint32_t i = 0; at != NULL; i++) {
    const char *id = at + 9, *text = strstr(id, "\\\"prompt\\\":\\\"") + 13;
    const char *end = strstr(text, "\\\"}"), *next = strstr(end, "\\\"id\\\":\\\"");
    bool drop = how == REPLY_SHORT && next == NULL;
    if (!drop)
      n += (size_t)snprintf(to + n, bytes - n,
                            "%s{\\\"id\\\":\\\"%.20s\\\",\\\"answer\\\":\\\"=%.*s\\\"}",
                            i ? "," : "", id, (int)(end - text), text);
    at = next;
  }
  snprintf(to + n, bytes - n, "]}");
}

static inline void list_reply(const char *body, char *to, size_t bytes, int how) {
  size_t n = (size_t)snprintf(to, bytes, "100/0/;");
  const char *at = strchr(body, ':') + 1;
  for (uint32_t i = 0; at != NULL; i++) {
    const char *comma = strchr(at, ',');
    int length = comma ? (int)(comma - at) : (int)strlen(at);
    bool drop = how == REPLY_SHORT && comma == NULL && i > 0;
    if (!drop) n += (size_t)snprintf(to + n, bytes - n, "%s=%.*s", i ? "," : "", length, at);
    at = comma ? comma + 1 : NULL;
  }
}

static inline void groups_reply(groups *w, uint32_t start, int how) {
  static char reply[GROUPS_REPLY_BYTES];
  const char *body = w->starts[start].body;
  if (body[0] == 'E')
    list_reply(body, reply, sizeof reply, how);
  else
    chat_reply(body, reply, sizeof reply, how);
  groups_answer(w, start, 200, "request-id: r1\n", reply);
}
static inline void groups_good(groups *w, uint32_t start) {
  groups_reply(w, start, REPLY_GOOD);
}

/* Good answers to everything until nothing moves; answers whether the engine has nothing inside. */
static inline bool groups_finish(groups *w) {
  for (uint32_t turn = 0; turn < 10000; turn++) {
    bool moved = false;
    for (uint32_t i = 0; i < w->start_count; i++) {
      if (w->starts[i].over) continue;
      if (w->starts[i].cancelled)
        groups_end(w, i, SHEAF_END_CANCELLED);
      else
        groups_good(w, i);
      moved = true;
    }
    if (moved)
      groups_step(w, MS);
    else if (!groups_wait(w, 3600 * SECOND))
      break;
  }
  sheaf_stats stats;
  sheaf_engine_stats(w->engine, &stats);
  return stats.queued == 0 && stats.in_flight == 0 && stats.waiting_retry == 0;
}

/* The result of an index; an empty one: none yet. */
static inline const groups_result *groups_of(const groups *w, uint64_t index) {
  static const groups_result none = {.index = SHEAF_NEVER, .text = "no result yet"};
  for (uint32_t i = 0; i < w->result_count; i++)
    if (w->results[i].index == index) return &w->results[i];
  return &none;
}

#define CHECK_STRING(is, wanted)                                                                \
  do {                                                                                          \
    const char *check_is = (is) ? (is) : "nothing";                                             \
    if (strcmp(check_is, wanted) != 0)                                                          \
      check_bad++, printf("%s:%d: \"%s\", not \"%s\"\n", __FILE__, __LINE__, check_is, wanted); \
  } while (0)

#endif
