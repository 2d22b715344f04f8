/* serve_short.c: a request in OpenAI's shape for a provider that speaks otherwise: text goes as
 * the client's short form, common parameters by the provider's names. What cannot be told is
 * refused by its name, because a silent loss would change the question.
 *
 * Outline: what becomes of each parameter, by a table; response_format; chat and completions;
 * embeddings. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <string.h>

/* What becomes of a parameter. */
enum {
  REFUSE,
  KEEP,    /* under its name; the core moves it where the provider has it */
  DROP,    /* says nothing about the answer */
  NEUTRAL, /* dropped where it asks for what is done anyway, else refused */
  CAP,     /* the cap on output tokens */
  STOPS,   /* Anthropic's stop_sequences */
  FORMAT,  /* response_format */
  CONTENT  /* read elsewhere */
};

enum { TO_ANTHROPIC, TO_GEMINI, TO_OLLAMA, TO_OTHERS, DIALECTS };

typedef struct serve_param {
  const char *name;
  unsigned char action[DIALECTS];
  const char *neutral; /* the value that NEUTRAL takes */
} serve_param;

#define ALL(action) \
  { action, action, action, action }

static const serve_param params[] = {
    {"model", ALL(CONTENT), NULL},
    {"messages", ALL(CONTENT), NULL},
    {"prompt", ALL(CONTENT), NULL},
    {"stream", ALL(CONTENT), NULL},
    {"stream_options", ALL(CONTENT), NULL},
    {"max_tokens", ALL(CAP), NULL},
    {"max_completion_tokens", ALL(CAP), NULL},
    {"temperature", ALL(KEEP), NULL},
    {"top_p", ALL(KEEP), NULL},
    {"top_k", ALL(KEEP), NULL},
    {"stop", {STOPS, KEEP, KEEP, KEEP}, NULL},
    {"seed", {DROP, KEEP, KEEP, KEEP}, NULL}, /* best effort, says OpenAI's reference */
    {"presence_penalty", {NEUTRAL, KEEP, KEEP, KEEP}, "0"},
    {"frequency_penalty", {NEUTRAL, KEEP, KEEP, KEEP}, "0"},
    {"response_format", ALL(FORMAT), NULL},
    {"n", ALL(NEUTRAL), "1"},
    {"best_of", ALL(NEUTRAL), "1"},
    {"echo", ALL(NEUTRAL), "false"},
    {"logprobs", ALL(NEUTRAL), "false"},
    {"logit_bias", ALL(NEUTRAL), "{}"},
    {"tools", ALL(NEUTRAL), "[]"},
    {"user", ALL(DROP), NULL},
    {"metadata", ALL(DROP), NULL},
    {"store", ALL(DROP), NULL},
    {"service_tier", ALL(DROP), NULL},
    {"safety_identifier", ALL(DROP), NULL},
    {"prompt_cache_key", ALL(DROP), NULL},
    {"parallel_tool_calls", ALL(DROP), NULL},
};

static uint32_t dialect_of(const sheaf_provider *provider) {
  static const char *const names[] = {
      [TO_ANTHROPIC] = "anthropic", [TO_GEMINI] = "gemini", [TO_OLLAMA] = "ollama"};
  for (uint32_t i = 0; i < TO_OTHERS; i++)
    if (strcmp(provider->name, names[i]) == 0) return i;
  return TO_OTHERS;
}

static bool is_named(sheaf_slice key, const char *name) {
  return strlen(name) == key.bytes && memcmp(name, key.data, key.bytes) == 0;
}

static const serve_param *find_param(sheaf_slice key) {
  for (size_t i = 0; i < sizeof params / sizeof params[0]; i++)
    if (is_named(key, params[i].name)) return &params[i];
  return NULL;
}

static bool refuse_param(serve_call *call, sheaf_slice key) {
  char name[64];
  size_t bytes = key.bytes < sizeof name ? key.bytes : sizeof name - 1;
  memcpy(name, key.data, bytes);
  name[bytes] = 0;
  return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "unsupported_parameter", name,
                             "%s: this cannot be told to %s", name, call->serve->provider->name);
}

/* ---- Members ---- */

static void put_key(sheaf_buf *to, sheaf_slice key) {
  if (to->bytes > 0) sheaf_buf_append_text(to, ",");
  sheaf_buf_append_text(to, "\"");
  sheaf_buf_append_slice(to, key);
  sheaf_buf_append_text(to, "\":");
}

static void put_member(sheaf_buf *to, sheaf_slice key, sheaf_slice value) {
  put_key(to, key);
  sheaf_buf_append_slice(to, value);
}

static void put_stops(sheaf_buf *to, sheaf_slice value) {
  bool is_alone = sheaf_json_kind(value) == SHEAF_JSON_STRING;
  put_key(to, SHEAF_LITERAL("stop_sequences"));
  if (is_alone) sheaf_buf_append_text(to, "[");
  sheaf_buf_append_slice(to, value);
  if (is_alone) sheaf_buf_append_text(to, "]");
}

/* By value and not by spelling: 0, 0.0 and -0 are one. */
static bool is_neutral(sheaf_slice value, const char *neutral) {
  int64_t given, wanted;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return is_named(value, neutral);
  return sheaf_json_nano(value, &given) == SHEAF_OK &&
         sheaf_json_nano(sheaf_slice_of(neutral), &wanted) == SHEAF_OK && given == wanted;
}

static bool read_cap(serve_call *call, sheaf_slice key, sheaf_slice value, serve_short *to) {
  int64_t cap;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER || sheaf_json_int(value, &cap) != SHEAF_OK ||
      cap < 1)
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "invalid_request",
                               is_named(key, "max_tokens") ? "max_tokens" : "max_completion_tokens",
                               "%.*s: has to be a whole number from 1", (int)key.bytes, key.data);
  to->max_tokens = (uint64_t)cap;
  return true;
}

/* text, json_object, or json_schema with its schema; Anthropic's messages know the first alone. */
static bool put_format(serve_call *call, uint32_t dialect, sheaf_slice key, sheaf_slice value,
                       serve_short *to) {
  const char *const paths[] = {"type", "json_schema.schema"};
  sheaf_slice found[2];
  if (sheaf_json_pick(value, paths, 2, found, NULL, NULL) != SHEAF_OK)
    return refuse_param(call, key);
  if (sheaf_json_equals(found[0], "text")) return true;
  bool has_schema =
      sheaf_json_equals(found[0], "json_schema") && sheaf_json_kind(found[1]) == SHEAF_JSON_OBJECT;
  if (!has_schema && !sheaf_json_equals(found[0], "json_object")) return refuse_param(call, key);
  if (dialect == TO_GEMINI) {
    put_member(&to->params, SHEAF_LITERAL("response_mime_type"),
               SHEAF_LITERAL("\"application/json\""));
    if (has_schema) put_member(&to->params, SHEAF_LITERAL("response_json_schema"), found[1]);
    return true;
  }
  if (dialect != TO_OLLAMA) return refuse_param(call, key);
  put_member(&to->params, SHEAF_LITERAL("format"),
             has_schema ? found[1] : SHEAF_LITERAL("\"json\""));
  return true;
}

static bool take_param(serve_call *call, uint32_t dialect, sheaf_slice key, sheaf_slice value,
                       serve_short *to) {
  const serve_param *param = find_param(key);
  if (sheaf_json_kind(value) == SHEAF_JSON_NULL) return true;
  switch (param ? param->action[dialect] : (unsigned char)REFUSE) {
    case KEEP: put_member(&to->params, key, value); return true;
    case CONTENT:
    case DROP: return true;
    case NEUTRAL: return is_neutral(value, param->neutral) || refuse_param(call, key);
    case CAP: return read_cap(call, key, value, to);
    case STOPS: put_stops(&to->params, value); return true;
    case FORMAT: return put_format(call, dialect, key, value, to);
    default: return refuse_param(call, key);
  }
}

/* ---- Chat and completions ---- */

/* A string, or a list of one. */
static bool read_prompt(serve_call *call, sheaf_slice value, serve_short *to) {
  sheaf_json_iter iter;
  sheaf_slice key, item, second;
  if (sheaf_json_kind(value) == SHEAF_JSON_ARRAY &&
      sheaf_json_iter_init(&iter, value) == SHEAF_OK &&
      sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK &&
      sheaf_json_iter_next(&iter, &key, &second) == SHEAF_E_END)
    value = item;
  to->prompt = sheaf_json_inside(value);
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) return true;
  return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "unsupported_parameter", "prompt",
                             "prompt: %s takes one text", call->serve->provider->name);
}

static bool shorten_text(serve_call *call, uint32_t dialect, sheaf_slice object, serve_short *to) {
  static const char *const chat_urls[DIALECTS] = {[TO_ANTHROPIC] = "/v1/messages",
                                                  [TO_GEMINI] = "",
                                                  [TO_OLLAMA] = "/api/chat",
                                                  [TO_OTHERS] = ""};
  sheaf_json_iter iter;
  sheaf_slice key, value;
  to->url = chat_urls[dialect];
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (!take_param(call, dialect, key, value, to)) return false;
  if (call->page == SERVE_CHAT) {
    to->messages = sheaf_json_member(object, "messages");
    return true;
  }
  return read_prompt(call, sheaf_json_member(object, "prompt"), to);
}

/* ---- Embeddings ---- */

static bool is_texts(sheaf_slice input) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  if (sheaf_json_kind(input) == SHEAF_JSON_STRING) return true;
  if (sheaf_json_kind(input) != SHEAF_JSON_ARRAY) return false;
  if (sheaf_json_iter_init(&iter, input) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK)
    if (sheaf_json_kind(item) != SHEAF_JSON_STRING) return false;
  return true;
}

/* Ollama's body for embeddings has OpenAI's names, and no choice of encoding. */
static bool shorten_embeddings(serve_call *call, sheaf_slice object, serve_short *to) {
  static const char *const kept[] = {"model", "input", "dimensions", "truncate"};
  static const char *const dropped[] = {"encoding_format", "user"};
  sheaf_json_iter iter;
  sheaf_slice key, value;
  to->url = "/api/embed";
  to->is_body = true;
  if (!is_texts(sheaf_json_member(object, "input")))
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "unsupported_parameter", "input",
                               "input: %s takes texts, not tokens", call->serve->provider->name);
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return false;
  sheaf_buf members;
  sheaf_buf_init(&members, sheaf_heap(), to->params.bytes_max);
  bool is_known = true;
  while (is_known && sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    bool is_kept = false, is_dropped = sheaf_json_kind(value) == SHEAF_JSON_NULL;
    for (size_t i = 0; i < 4; i++) is_kept |= is_named(key, kept[i]);
    for (size_t i = 0; i < 2; i++) is_dropped |= is_named(key, dropped[i]);
    if (is_kept && !is_dropped) put_member(&members, key, value);
    is_known = is_kept || is_dropped || refuse_param(call, key);
  }
  sheaf_buf_append_text(&to->params, "{");
  sheaf_buf_append_slice(&to->params, sheaf_buf_slice(&members));
  sheaf_buf_append_text(&to->params, "}");
  if (members.status != SHEAF_OK) to->params.status = members.status;
  sheaf_buf_deinit(&members);
  return is_known;
}

static bool refuse_page(serve_call *call) {
  static const char *const names[] = {[SERVE_CHAT] = "chat",
                                      [SERVE_COMPLETIONS] = "completions",
                                      [SERVE_EMBEDDINGS] = "embeddings",
                                      [SERVE_RESPONSES] = "responses"};
  return sheaf__serve_refuse(call, MHD_HTTP_NOT_FOUND, "unsupported_operation", NULL,
                             "there are no %s here: the provider is %s", names[call->page],
                             call->serve->provider->name);
}

bool sheaf__serve_shorten(serve_call *call, sheaf_slice body, serve_short *to) {
  uint32_t dialect = dialect_of(call->serve->provider);
  while (body.bytes && strchr(" \t\r\n", body.data[0])) body.data++, body.bytes--;
  while (body.bytes && strchr(" \t\r\n", body.data[body.bytes - 1])) body.bytes--;
  sheaf_buf_append_unescaped(&to->model, sheaf_slice_of(call->model));
  if (call->page == SERVE_RESPONSES) return refuse_page(call);
  if (call->page != SERVE_EMBEDDINGS) return shorten_text(call, dialect, body, to);
  return dialect == TO_OLLAMA ? shorten_embeddings(call, body, to) : refuse_page(call);
}
