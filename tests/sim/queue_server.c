/* queue_server.c: the provider. It speaks OpenAI's language by the core's own table entry, under
 * lower ceilings, and answers by what stands in the bodies alone: a merged chat is read as a
 * model would read it, ids and prompts.
 *
 * Order: prices and ceilings, requests, what a body asks for, fates, replies, spoiling them. */
#include "queue_sim.h"

#include <stdlib.h>
#include <string.h>

/* ---- Prices and ceilings ---- */

static const sheaf_price price = {.provider = "sim",
                                  .model = "*",
                                  .input = QS_PRICE_IN,
                                  .output = QS_PRICE_OUT,
                                  .cache_read = SHEAF_ABSENT,
                                  .cache_write = SHEAF_ABSENT};
const sheaf_price_table qs_prices = {
    .date = "2026-01-01", .source = "the simulator", .prices = &price, .count = 1};

int64_t qs_cost(const qs_exchange *x) {
  return x->input + 3 * x->output;
}

static void read_traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                        sheaf_traits *traits) {
  const qs_config *c = provider->ctx;
  const sheaf_provider *real = sheaf_provider_find(SHEAF_LITERAL("openai"));
  real->traits(real, operation, body, traits);
  if (c->collide) traits->key %= 2; /* a hash is no proof */
  if (traits->share != SHEAF_SHARE_INPUTS) return;
  if (c->inputs_max) traits->inputs_max = c->inputs_max;
  if (c->tokens_max) traits->tokens_max = c->tokens_max;
}

void qs_provider_init(qs_world *w) {
  w->provider = *sheaf_provider_find(SHEAF_LITERAL("openai"));
  w->provider.name = "sim";
  w->provider.base_url = "http://localhost";
  w->provider.ctx = &w->config;
  w->provider.traits = read_traits;
}

/* ---- Requests ---- */

static const char *const models[] = {"alpha", "beta"};
static const char *const trusts[] = {"", "alice", "bob"};
#define SYSTEM_TEXT "be \"brief\" \\ kind"

static sheaf_slice text_of(const qs_world *w, const qs_content *t, uint32_t input,
                           sheaf_buf *text) {
  sheaf_buf_reset(text);
  sheaf_buf_reserve(text, QS_TEXT_BYTES);
  text->bytes = qs_text(&w->config, t->text, input, text->data);
  return sheaf_buf_slice(text);
}

static void put_user(sheaf_buf *body, uint32_t user) {
  sheaf_buf_append_text(body, ",\"user\":\"u");
  sheaf_buf_append_u64(body, user);
  sheaf_buf_append_text(body, "\"");
}

/* Lists and chats of several turns come as whole bodies. */
static void fill_body(const qs_world *w, const qs_content *t, sheaf_request *q, sheaf_buf *text,
                      sheaf_buf *body) {
  sheaf_buf_reset(body);
  sheaf_buf_append_text(body, "{\"model\":\"");
  sheaf_buf_append_text(body, models[t->model]);
  if (t->kind == QS_PLAIN) {
    sheaf_buf_append_text(
        body,
        "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\","
        "\"content\":\"yes?\"},{\"role\":\"user\",\"content\":");
    sheaf_buf_append_string(body, text_of(w, t, 0, text));
    sheaf_buf_append_text(body, "}]");
  } else {
    sheaf_buf_append_text(body, t->kind == QS_EMBED ? "\",\"input\":[" : "\",\"prompt\":[");
    for (uint32_t i = 0; i < t->inputs; i++) {
      if (i) sheaf_buf_append_text(body, ", ");
      sheaf_buf_append_string(body, text_of(w, t, i, text));
    }
    sheaf_buf_append_text(body, "]");
  }
  if (t->max_tokens) {
    sheaf_buf_append_text(body, ",\"max_tokens\":");
    sheaf_buf_append_u64(body, t->max_tokens);
  }
  if (t->user) put_user(body, t->user);
  if (t->variant == 1)
    sheaf_buf_append_text(body, t->kind == QS_EMBED ? ",\"dimensions\":256" : ",\"temperature\":0");
  if (t->variant == 2 && t->kind == QS_EMBED) sheaf_buf_append_text(body, ",\"dimensions\":512");
  sheaf_buf_append_text(body, "}");
  q->body = sheaf_buf_slice(body);
}

void qs_request_fill(const qs_world *w, uint32_t row, sheaf_request *q, sheaf_buf *text,
                     sheaf_buf *body) {
  static const char *const urls[] = {"/v1/embeddings", "/v1/completions", "/v1/chat/completions",
                                     "/v1/chat/completions", ""};
  static const uint32_t priorities[] = {100, 75, 0, 25, 10};
  static const char *metadata[] = {"{\"n\":0}", "{\"n\":1}", "{\"n\":2}"};
  const qs_ask *a = &w->rows[row].ask;
  const qs_content *t = &a->content;
  *q = SHEAF_REQUEST_INIT;
  q->flags = a->flags;
  q->user = (void *)(uintptr_t)(row + 1);
  q->url = sheaf_slice_of(urls[t->kind]);
  q->model = sheaf_slice_of(models[t->model]);
  q->trust_key = sheaf_slice_of(trusts[a->trust]);
  q->metadata = sheaf_slice_of(metadata[row % 3]);
  q->priority = priorities[a->klass];
  q->deadline_ms = a->deadline_ms;
  q->max_wait_ms = a->max_wait_ms;
  if (t->kind == QS_TASK) {
    q->max_tokens = t->max_tokens;
  } else if (t->kind == QS_PLAIN || t->inputs > 1) {
    fill_body(w, t, q, text, body);
  } else {
    q->prompt = text_of(w, t, 0, text);
    q->max_tokens = t->max_tokens;
    sheaf_buf_reset(body);
    if (t->user) put_user(body, t->user);
    if (t->variant == 1)
      sheaf_buf_append_text(body,
                            t->kind == QS_EMBED ? ",\"dimensions\":256" : ",\"temperature\":0");
    if (t->variant == 2 && t->kind == QS_EMBED) sheaf_buf_append_text(body, ",\"dimensions\":512");
    if (body->bytes) q->params = (sheaf_slice){body->data + 1, body->bytes - 1};
    if (t->variant == 2 && t->kind == QS_CHAT) q->system = SHEAF_LITERAL(SYSTEM_TEXT);
  }
}

/* ---- What a body asks for ---- */

typedef struct wanted {
  uint32_t text, input;
  sheaf_slice id; /* of a merged prompt; points into the order's document */
} wanted;

typedef struct order {
  wanted *items;
  uint32_t count, capacity;
  bool merged; /* a chat of several */
  sheaf_buf document, text;
} order;

/* What a row asks, to compare with: too large for a small stack. */
static char expected[QS_TEXT_BYTES];

/* The prompt must be one that some row asks for, every byte of it. */
static void add_prompt(qs_world *w, order *o, sheaf_slice inside, sheaf_slice id) {
  wanted item = {.id = id};
  size_t at = 1;
  sheaf_buf_reset(&o->text);
  sheaf_buf_append_unescaped(&o->text, inside);
  sheaf_slice text = sheaf_buf_slice(&o->text);
  bool known = text.bytes > 4 && text.data[0] == 't' && qs_number(text, &at, &item.text) &&
               text.data[at++] == '.' && qs_number(text, &at, &item.input);
  size_t bytes = known ? qs_text(&w->config, item.text, item.input, expected) : 0;
  if (!known || bytes != text.bytes || memcmp(expected, text.data, bytes) != 0)
    qs_fail(w, "a prompt that nobody asked", text.bytes, bytes);
  if (o->count == o->capacity) {
    o->capacity = o->capacity ? 2 * o->capacity : 64;
    o->items = realloc(o->items, o->capacity * sizeof *o->items);
  }
  o->items[o->count++] = item;
}

static void add_list(qs_world *w, order *o, sheaf_slice list) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_kind(list) == SHEAF_JSON_STRING) {
    add_prompt(w, o, sheaf_json_inside(list), (sheaf_slice){NULL, 0});
    return;
  }
  if (sheaf_json_iter_init(&iter, list)) qs_fail(w, "no list of inputs", 0, 0);
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    add_prompt(w, o, sheaf_json_inside(value), (sheaf_slice){NULL, 0});
}

/* The user's one text is a document of its own, and the schema names the ids. */
static void add_prompts(qs_world *w, order *o, sheaf_slice content, sheaf_slice schema) {
  static const char *const paths[] = {"requests"};
  static const char *const names[] = {"properties.answers.items.properties.id.enum"};
  sheaf_json_iter iter;
  sheaf_slice key, value, requests, ids;
  uint32_t named = 0;
  o->merged = true;
  sheaf_buf_reset(&o->document);
  sheaf_buf_append_unescaped(&o->document, sheaf_json_inside(content));
  if (sheaf_json_pick(sheaf_buf_slice(&o->document), paths, 1, &requests, NULL, NULL) ||
      sheaf_json_iter_init(&iter, requests)) {
    qs_fail(w, "the merged prompts are no document", 0, 0);
    return;
  }
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    add_prompt(w, o, sheaf_json_inside(sheaf_json_member(value, "prompt")),
               sheaf_json_inside(sheaf_json_member(value, "id")));
  if (sheaf_json_pick(schema, names, 1, &ids, NULL, NULL) || sheaf_json_iter_init(&iter, ids)) {
    qs_fail(w, "the schema names no ids", 0, 0);
    return;
  }
  for (; sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK; named++) {
    sheaf_slice id = sheaf_json_inside(value);
    if (named >= o->count || id.bytes != 20 || memcmp(id.data, o->items[named].id.data, 20) != 0)
      qs_fail(w, "the schema names other ids", named, o->count);
  }
  if (named != o->count) qs_fail(w, "the schema names other ids", named, o->count);
}

static sheaf_slice last_content(sheaf_slice messages, sheaf_slice *first) {
  sheaf_json_iter iter;
  sheaf_slice key, value, last = {NULL, 0};
  *first = last;
  if (sheaf_json_iter_init(&iter, messages)) return last;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    last = sheaf_json_member(value, "content");
    if (first->bytes == 0) *first = last;
  }
  return last;
}

/* All that the members have in common is in the call as in each of them. */
static void check_common(qs_world *w, const qs_content *t, const order *o, const sheaf_slice *v,
                         sheaf_slice system, int64_t caps) {
  enum { MODEL, INPUT, PROMPT, MESSAGES, SCHEMA, TEMPERATURE, MAX_TOKENS, DIMENSIONS, USER };
  int64_t number = -1;
  if (!sheaf_json_equals(v[MODEL], models[t->model]))
    qs_fail(w, "another model", t->text, t->model);
  bool cold = t->variant == 1 && t->kind != QS_EMBED;
  if ((v[TEMPERATURE].bytes != 0) != cold || (cold && v[TEMPERATURE].data[0] != '0'))
    qs_fail(w, "another temperature", t->text, cold);
  if (v[DIMENSIONS].bytes) sheaf_json_int(v[DIMENSIONS], &number);
  int64_t dimensions = t->kind != QS_EMBED || t->variant == 0 ? -1 : (int64_t)t->variant * 256;
  if (number != dimensions) qs_fail(w, "other dimensions", t->text, (uint64_t)number);
  char user[16];
  snprintf(user, sizeof user, "u%u", (unsigned)t->user);
  if (t->user ? !sheaf_json_equals(v[USER], user) : v[USER].bytes != 0)
    qs_fail(w, "another user", t->text, t->user);
  number = 0;
  if (v[MAX_TOKENS].bytes) sheaf_json_int(v[MAX_TOKENS], &number);
  if (o->merged ? number < caps || (number == 0) != (caps == 0) : number != t->max_tokens)
    qs_fail(w, "another cap on the output", (uint64_t)number, (uint64_t)caps);
  if (t->kind != QS_CHAT || t->variant != 2) return;
  sheaf_slice inside = sheaf_json_inside(system);
  static const char wanted_text[] = "be \\\"brief\\\" \\\\ kind";
  if (inside.bytes < sizeof wanted_text - 1 ||
      memcmp(inside.data, wanted_text, sizeof wanted_text - 1) != 0)
    qs_fail(w, "another system text", t->text, inside.bytes);
}

/* In order, all inputs of all members, and nothing else. */
static void check_members(qs_world *w, const qs_exchange *x, const order *o) {
  uint32_t at = 0;
  for (uint32_t i = 0; i < x->count && !x->shadow; i++) {
    const qs_content *t = &w->rows[x->members[i]].ask.content;
    for (uint32_t k = 0; k < t->inputs; k++, at++)
      if (at >= o->count || o->items[at].text != t->text || o->items[at].input != k)
        qs_fail(w, "the body does not hold its members in order", x->members[i], at);
  }
  if (!x->shadow && at != o->count)
    qs_fail(w, "the body holds more than its members", at, o->count);
}

static void read_order(qs_world *w, const qs_exchange *x, const sheaf_exchange *e, order *o) {
  static const char *const paths[] = {
      "model",       "input",      "prompt",     "messages", "response_format.json_schema.schema",
      "temperature", "max_tokens", "dimensions", "user"};
  sheaf_slice v[9], system;
  int64_t caps = 0;
  if (sheaf_json_pick(e->body, paths, 9, v, NULL, NULL)) {
    qs_fail(w, "the body is not JSON", x->id, e->body.bytes);
    return;
  }
  if (v[1].bytes) add_list(w, o, v[1]);
  if (v[2].bytes) add_list(w, o, v[2]);
  sheaf_slice content = last_content(v[3], &system);
  if (content.bytes && v[4].bytes)
    add_prompts(w, o, content, v[4]);
  else if (content.bytes)
    add_prompt(w, o, sheaf_json_inside(content), (sheaf_slice){NULL, 0});
  if (w->failure[0] || x->shadow) return;
  check_members(w, x, o);
  for (uint32_t i = 0; i < x->count; i++) caps += w->rows[x->members[i]].ask.content.max_tokens;
  check_common(w, &w->rows[x->members[0]].ask.content, o, v, system, caps);
}

/* ---- Fates ---- */

/* The provider's own limiter, by a log of what it counted in the last minute. */
static bool over_limit(qs_world *w, uint32_t model) {
  uint32_t limit = w->config.limit_rpm, size = 1024, counted = 0;
  if (limit == 0) return false;
  for (uint32_t i = 0; i < w->limited_count[model] && i < size; i++) {
    uint64_t at = w->limited_at_ns[model][(w->limited_count[model] - 1 - i) % size];
    if (at + 60 * QS_SECOND <= w->now_ns) break;
    counted++;
  }
  if (counted >= limit) return true;
  w->limited_at_ns[model][w->limited_count[model]++ % size] = w->now_ns;
  return false;
}

static bool is_poisoned(const qs_world *w, const qs_exchange *x) {
  for (uint32_t i = 0; i < x->count && w->config.poison && !x->shadow; i++)
    if (w->rows[x->members[i]].ask.content.text % 11 == 3) return true;
  return false;
}

static uint32_t fate_of(qs_world *w, const qs_exchange *x) {
  const qs_config *c = &w->config;
  uint64_t number = x->id >> 16;
  if (over_limit(w, x->model)) return QS_LIMITED;
  if (is_poisoned(w, x)) return QS_INVALID;
  if (c->context_members && x->count > c->context_members) return QS_CONTEXT;
  if (qs_liveness(w)) return QS_OK;
  if (c->bursts && (w->now_ns - w->begun_ns) / (7 * QS_SECOND) % 3 != 1) return QS_OK;
  uint64_t at = qs_draw(c, 1000, QS_DRAW_FATE, number, 1);
  for (uint32_t f = QS_OK + 1; f < QS_FATES; f++) {
    if (at < c->fate_permille[f]) return f;
    at -= c->fate_permille[f];
  }
  return QS_OK;
}

/* ---- Replies ---- */

typedef struct writing {
  qs_world *w;
  qs_exchange *x;
  const order *o;
  sheaf_buf *out;
} writing;

static void put_answer(sheaf_buf *out, const wanted *item, uint32_t number) {
  char text[QS_ANSWER_BYTES];
  size_t bytes = qs_answer(item->text, item->input, number, text);
  sheaf_buf_append_string(out, (sheaf_slice){text, bytes});
}

static void put_u(sheaf_buf *out, const char *before, uint64_t number) {
  sheaf_buf_append_text(out, before);
  sheaf_buf_append_u64(out, number);
}

static void put_list_item(const writing *g, uint32_t which, uint32_t index) {
  const wanted *item = &g->o->items[which];
  uint32_t number = (uint32_t)(g->x->id >> 16);
  if (g->x->kind == QS_EMBED) {
    put_u(g->out, "{\"object\":\"embedding\",\"embedding\":[", item->text);
    put_u(g->out, ",", item->input);
    put_u(g->out, ",", number);
    put_u(g->out, ",0.25],\"index\":", index);
  } else {
    sheaf_buf_append_text(g->out, "{\"text\":");
    put_answer(g->out, item, number);
    put_u(g->out, ",\"finish_reason\":\"stop\",\"logprobs\":null,\"index\":", index);
  }
  sheaf_buf_append_text(g->out, "}");
}

/* A list's items, each with its index, unless spoiled. */
static void put_list(const writing *g) {
  uint32_t n = g->o->count, spoil = g->x->spoil;
  uint32_t victim = (uint32_t)qs_draw(&g->w->config, n, QS_DRAW_SPOIL, g->x->id, 2);
  bool any = false;
  sheaf_buf_append_text(
      g->out, g->x->kind == QS_EMBED ? "{\"object\":\"list\",\"data\":[" : "{\"choices\":[");
  for (uint32_t i = 0; i < n; i++) {
    uint32_t which = spoil == QS_REORDER ? n - 1 - i : i, index = which;
    if (which == victim) {
      if (spoil == QS_MISSING) continue;
      if (spoil == QS_REPEATED) index = (which + 1) % n;
      if (spoil == QS_RENUMBERED) index = n + 3;
    }
    if (any) sheaf_buf_append_text(g->out, ",");
    any = true;
    put_list_item(g, which, index);
  }
  if (spoil == QS_EXTRA) {
    sheaf_buf_append_text(g->out, ",");
    put_list_item(g, victim, n);
  }
  sheaf_buf_append_text(g->out, "]");
}

static void put_member(const writing *g, sheaf_buf *to, uint32_t i, sheaf_slice id,
                       sheaf_slice named) {
  char text[QS_ANSWER_BYTES + 32];
  bool mapped = g->x->spoil == QS_MAPPED;
  size_t bytes = qs_answer(g->o->items[i].text, 0, (uint32_t)(g->x->id >> 16), text);
  sheaf_buf_append_text(to, mapped ? "\"" : "{\"id\":\"");
  sheaf_buf_append_slice(to, id);
  sheaf_buf_append_text(to, mapped ? "\":" : "\",\"answer\":");
  if (named.bytes) {
    memcpy(text + bytes, named.data, named.bytes);
    bytes += named.bytes;
  }
  sheaf_buf_append_string(to, (sheaf_slice){text, bytes});
  if (!mapped) sheaf_buf_append_text(to, "}");
}

/* What the model says to several prompts at once. */
static void put_members(const writing *g, sheaf_buf *to) {
  uint32_t n = g->o->count, spoil = g->x->spoil;
  uint32_t victim = (uint32_t)qs_draw(&g->w->config, n, QS_DRAW_SPOIL, g->x->id, 2);
  bool any = false;
  if (spoil == QS_PROSE) sheaf_buf_append_text(to, "Here are the answers [all of them]:\n");
  if (spoil == QS_FENCED) sheaf_buf_append_text(to, "```json\n");
  sheaf_buf_append_text(to, spoil == QS_MAPPED ? "{" : "{\"answers\":[");
  for (uint32_t k = 0; k < n; k++) {
    uint32_t i = spoil == QS_REORDER ? n - 1 - k : k;
    sheaf_slice id = g->o->items[i].id, named = {NULL, 0};
    if (i == victim) {
      if (spoil == QS_MISSING) continue;
      if (spoil == QS_REPEATED) id = g->o->items[(i + 1) % n].id;
      if (spoil == QS_RENUMBERED) id = SHEAF_LITERAL("00000000000000000000");
      if (spoil == QS_OBEYED) named = g->o->items[(i + 1) % n].id;
    }
    if (any) sheaf_buf_append_text(to, ",");
    any = true;
    put_member(g, to, i, id, named);
  }
  if (spoil == QS_EXTRA) {
    sheaf_buf_append_text(to, ",");
    put_member(g, to, victim, SHEAF_LITERAL("vvvvvvvvvvvvvvvvvvvv"), (sheaf_slice){NULL, 0});
  }
  sheaf_buf_append_text(to, spoil == QS_MAPPED ? "}" : "]}");
  if (spoil == QS_CUT)
    to->bytes -= 5 + (size_t)qs_draw(&g->w->config, to->bytes / 2, QS_DRAW_SPOIL, g->x->id, 3);
  if (spoil == QS_PROSE) sheaf_buf_append_text(to, "\nAnything else?");
  if (spoil == QS_FENCED) sheaf_buf_append_text(to, "\n```");
}

static void put_chat(const writing *g) {
  sheaf_buf_append_text(
      g->out, "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
  if (g->o->merged) {
    sheaf_buf said;
    sheaf_buf_init(&said, qs_malloc(), SIZE_MAX / 2);
    put_members(g, &said);
    while (said.bytes && ((unsigned char)said.data[said.bytes - 1] & 0x80))
      said.bytes--; /* no half characters */
    sheaf_buf_append_string(g->out, sheaf_buf_slice(&said));
    sheaf_buf_deinit(&said);
  } else {
    put_answer(g->out, &g->o->items[0], (uint32_t)(g->x->id >> 16));
  }
  sheaf_buf_append_text(g->out, g->x->fate == QS_LENGTH ? "},\"finish_reason\":\"length\"}]"
                                                        : "},\"finish_reason\":\"stop\"}]");
}

static void put_reply(const writing *g) {
  const qs_exchange *x = g->x;
  if (x->kind == QS_EMBED || x->kind == QS_COMPLETE)
    put_list(g);
  else
    put_chat(g);
  put_u(g->out, ",\"model\":\"", (uint64_t)x->model);
  put_u(g->out, "\",\"usage\":{\"prompt_tokens\":", (uint64_t)x->input);
  if (x->kind != QS_EMBED) put_u(g->out, ",\"completion_tokens\":", (uint64_t)x->output);
  put_u(g->out, ",\"total_tokens\":", (uint64_t)(x->input + x->output));
  sheaf_buf_append_text(g->out, "}}");
  if (x->fate == QS_GARBLED) g->out->bytes -= g->out->bytes / 2;
}

/* The same as a stream of events. */
static void put_stream(const writing *g) {
  sheaf_buf_append_text(g->out, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":");
  put_answer(g->out, &g->o->items[0], (uint32_t)(g->x->id >> 16));
  sheaf_buf_append_text(
      g->out,
      "},\"finish_reason\":null}]}\n\ndata: "
      "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
  put_u(g->out, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":", (uint64_t)g->x->input);
  put_u(g->out, ",\"completion_tokens\":", (uint64_t)g->x->output);
  sheaf_buf_append_text(g->out, "}}\n\ndata: [DONE]\n\n");
  if (g->x->fate == QS_GARBLED) g->out->bytes = 20;
}

static void put_refusal(const qs_exchange *x, sheaf_buf *out) {
  switch (x->fate) {
    case QS_LIMITED:
      sheaf_buf_append_text(out,
                            "{\"error\":{\"message\":\"slow "
                            "down\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}");
      break;
    case QS_SERVER:
      sheaf_buf_append_text(out, "{\"error\":{\"message\":\"oops\",\"type\":\"server_error\"}}");
      break;
    case QS_CONTEXT:
      sheaf_buf_append_text(
          out,
          "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"code\":"
          "\"context_length_exceeded\"}}");
      break;
    default:
      sheaf_buf_append_text(
          out,
          "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"code\":\"bad\"}}");
  }
}

/* ---- An exchange ---- */

/* What the work comes to: of a body alone a quarter of its bytes, which is what the counter
 * says; of several no more than alone, for they share what is common. Output below each cap. */
static void measure(qs_world *w, qs_exchange *x, const order *o, const sheaf_exchange *e) {
  const qs_config *c = &w->config;
  uint64_t output = 0, number = x->id >> 16;
  for (uint32_t i = 0; i < x->count; i++) {
    const qs_content *t = x->shadow ? NULL : &w->rows[x->members[i]].ask.content;
    uint64_t cap = t && t->max_tokens ? t->max_tokens : t ? 60 : 8;
    output += 1 + qs_draw(c, cap, QS_DRAW_FATE, number, 10 + i);
  }
  x->output = x->kind == QS_EMBED ? 0 : (int64_t)output;
  x->input = x->task ? 7 : (int64_t)(e->body.bytes / 4);
  if (x->count < 2) return;
  x->input = 0;
  for (uint32_t i = 0; i < o->count; i++)
    x->input += (int64_t)(qs_text(c, o->items[i].text, o->items[i].input, expected) / 4);
}

static uint32_t spoil_of(const qs_world *w, const qs_exchange *x) {
  if (x->fate != QS_SPOILED || x->count < 2) return QS_CLEAN;
  bool list = x->kind == QS_EMBED || x->kind == QS_COMPLETE;
  uint32_t spoil = 1 + (uint32_t)qs_draw(&w->config, QS_SPOILS - 1, QS_DRAW_SPOIL, x->id, 1);
  if (list && (spoil == QS_CUT || spoil == QS_OBEYED)) return QS_MISSING;
  return list && spoil > QS_REORDER ? QS_REORDER : spoil;
}

void qs_serve(qs_world *w, qs_exchange *x, const sheaf_exchange *e) {
  order o = {0};
  sheaf_buf out;
  sheaf_buf_init(&o.document, qs_malloc(), SIZE_MAX / 2);
  sheaf_buf_init(&o.text, qs_malloc(), SIZE_MAX / 2);
  sheaf_buf_init(&out, qs_malloc(), SIZE_MAX / 2);
  if (!x->task) read_order(w, x, e, &o);
  measure(w, x, &o, e);
  x->fate = fate_of(w, x);
  x->spoil = spoil_of(w, x);
  if (x->task && x->fate >= QS_BREAKS && x->fate != QS_STALLS) x->fate = QS_OK;
  if (x->task && x->fate == QS_CONTEXT) x->fate = QS_INVALID;
  if (x->fate == QS_LENGTH && x->kind < QS_CHAT) x->fate = QS_OK;
  x->void_reply = (x->spoil > QS_CLEAN && x->spoil < QS_REORDER && x->count > 1) ||
                  (x->fate == QS_LENGTH && x->count > 1);
  x->status = x->fate == QS_LIMITED                            ? 429
              : x->fate == QS_SERVER                           ? 500
              : x->fate == QS_INVALID || x->fate == QS_CONTEXT ? 400
                                                               : 200;
  writing g = {w, x, &o, &out};
  if (!x->task && !w->failure[0]) {
    if (x->status == 200 && x->stream)
      put_stream(&g);
    else if (x->status == 200)
      put_reply(&g);
    else
      put_refusal(x, &out);
  }
  x->reply_bytes = out.bytes;
  x->reply = malloc(out.bytes + 1);
  if (out.bytes) memcpy(x->reply, out.data, out.bytes);
  sheaf_buf_deinit(&out);
  sheaf_buf_deinit(&o.text);
  sheaf_buf_deinit(&o.document);
  free(o.items);
}
