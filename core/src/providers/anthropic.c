/* anthropic.c: Anthropic's Messages API (version 2023-06-01).
 *
 * Outline: build, of messages and of what counts their tokens; usage; decode; events; limits; tool
 * calls; the entry. Usage differs from everyone else's: input_tokens excludes what the cache served
 * or took, so the total is a sum. */
#include "base/mem.h"
#include "providers/decoding.h"
#include "providers/limits.h"
#include "providers/messages.h"
#include "providers/sharing.h"
#include "providers/table.h"

#define MAX_TOKENS_INITIAL 4096 /* the API requires a cap; this one is sent when none is given */

enum { MESSAGES = 0, COUNT_TOKENS = 1 };

/* ---- Build ---- */

/* User and assistant messages. OpenAI's text parts are Anthropic's text blocks, so content goes out
 * as it is. */
static int32_t put_messages(const sheaf__given *given, sheaf_call *call, bool *has_system) {
  sheaf_buf *body = call->body;
  sheaf_json_iter iter;
  sheaf__message message;
  sheaf_slice messages = given->request->messages;
  int32_t status = sheaf__messages_check(messages, call, has_system);
  if (status != SHEAF_OK) return status;
  status = sheaf__messages_iter(messages, &iter);
  SHEAF__PUT(body, "\"messages\":[");
  while (status == SHEAF_OK) {
    status = sheaf__message_next(&iter, &message);
    if (status != SHEAF_OK || message.role == SHEAF__ROLE_SYSTEM) continue;
    sheaf__comma(body);
    if (message.role == SHEAF__ROLE_USER) {
      SHEAF__PUT(body, "{\"role\":\"user\",\"content\":");
    } else {
      SHEAF__PUT(body, "{\"role\":\"assistant\",\"content\":");
    }
    sheaf_buf_append_slice(body, message.content);
    SHEAF__PUT(body, "}");
  }
  SHEAF__PUT(body, "]");
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

static int32_t put_content(const sheaf__given *given, sheaf_call *call) {
  sheaf_buf *body = call->body;
  bool has_system = false;
  if (given->from == SHEAF__FROM_MESSAGES) {
    sheaf__comma(body);
    int32_t status = put_messages(given, call, &has_system);
    if (status != SHEAF_OK) return status;
  } else if (given->from == SHEAF__FROM_PROMPT) {
    sheaf__comma(body);
    SHEAF__PUT(body, "\"messages\":[{\"role\":\"user\",\"content\":");
    sheaf__put_prompt(given, body);
    SHEAF__PUT(body, "}]");
  }
  if (sheaf__given_has(given, SHEAF__KEY_SYSTEM)) return SHEAF_OK;
  if (!has_system && given->request->system.bytes == 0) return SHEAF_OK;
  sheaf__comma(body);
  SHEAF__PUT(body, "\"system\":");
  if (has_system) {
    sheaf__put_system_string(body, given->request->messages);
  } else {
    sheaf_buf_append_string(body, given->request->system);
  }
  return SHEAF_OK;
}

static void put_cap(const sheaf__given *given, sheaf_call *call) {
  if (sheaf__given_has(given, SHEAF__KEY_MAX_TOKENS)) {
    call->output_tokens_max = sheaf__given_cap(given->values[SHEAF__KEY_MAX_TOKENS]);
    return;
  }
  uint64_t cap = given->request->max_tokens;
  if (cap == 0) cap = MAX_TOKENS_INITIAL;
  sheaf__put_number(call->body, "max_tokens", cap);
  call->output_tokens_max = cap > INT64_MAX ? INT64_MAX : (int64_t)cap;
}

/* What says how to answer is refused where nothing is answered. */
static bool is_counted(sheaf_slice key) {
  static const char *const others[] = {
      "max_tokens", "stream",         "temperature", "top_p",        "top_k",
      "metadata",   "stop_sequences", "container",   "service_tier", "inference_geo",
  };
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    if (sheaf__is(key, others[i])) return false;
  }
  return true;
}

/* The members of the params and of the body that count, so that a body is counted as it would be
 * sent. */
static void put_counted(const sheaf__given *given, sheaf_buf *body) {
  sheaf__members members;
  sheaf_json_iter iter;
  sheaf_slice key, value;
  bool has_body = given->from == SHEAF__FROM_BODY;
  sheaf__members_init(&members, given->params);
  while (sheaf__members_next(&members, &key, &value) == SHEAF_OK) {
    bool is_told = has_body && sheaf__body_has(given, key);
    if (!is_told && is_counted(key)) sheaf__put_member(body, key, value);
  }
  if (has_body && sheaf_json_iter_init(&iter, sheaf__document(given->body)) == SHEAF_OK) {
    while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
      if (is_counted(key)) sheaf__put_member(body, key, value);
    }
  }
  SHEAF__PUT(body, "}");
}

/* The base URL is given with and without /v1: both are in use. */
static void put_path(const sheaf_build *build, uint32_t operation, sheaf_buf *path) {
  sheaf_slice base = build->base_url;
  while (base.bytes > 0 && base.data[base.bytes - 1] == '/') base.bytes--;
  bool has_version = base.bytes >= 3 && memcmp(base.data + base.bytes - 3, "/v1", 3) == 0;
  sheaf_buf_append_text(path, has_version ? "/messages" : "/v1/messages");
  if (operation == COUNT_TOKENS) sheaf_buf_append_text(path, "/count_tokens");
}

static int32_t choose_operation(const sheaf_build *build, sheaf_call *call) {
  sheaf_slice path = sheaf__operation_path(build);
  call->operation = sheaf__is(path, "/messages/count_tokens") ? COUNT_TOKENS : MESSAGES;
  if (call->operation == COUNT_TOKENS && build->stream)
    return sheaf__build_fail(call, SHEAF_E_FIELD, "stream", "a count cannot be streamed");
  if (call->operation == COUNT_TOKENS || path.bytes == 0 || sheaf__is(path, "/messages"))
    return SHEAF_OK;
  return sheaf__build_fail(call, SHEAF_E_UNSUPPORTED, "url",
                           "anthropic offers /v1/messages and /v1/messages/count_tokens");
}

static int32_t build_call(const sheaf_provider *provider, const sheaf_build *build,
                          sheaf_call *call) {
  (void)provider;
  sheaf__given given;
  const sheaf_request *request = build->request;
  call->output_tokens_max = SHEAF_ABSENT;
  int32_t status = choose_operation(build, call);
  if (status == SHEAF_OK) status = sheaf__given_read(build, SHEAF__KEY_MESSAGES, call, &given);
  if (status == SHEAF_OK) status = sheaf__need_model(&given, call);
  if (status != SHEAF_OK) return status;
  bool counts = call->operation == COUNT_TOKENS;
  put_path(build, call->operation, call->path);
  sheaf_buf *body = call->body;
  sheaf_buf_reserve(body, request->prompt.bytes + request->messages.bytes + request->body.bytes +
                              request->system.bytes + request->params.bytes + request->model.bytes +
                              192);
  SHEAF__PUT(body, "{");
  sheaf__put_model(&given, body);
  if (counts)
    call->output_tokens_max = 0;
  else
    put_cap(&given, call);
  if (given.from != SHEAF__FROM_BODY) status = put_content(&given, call);
  if (status != SHEAF_OK) return status;
  if (build->stream && !sheaf__given_has(&given, SHEAF__KEY_STREAM)) {
    sheaf__comma(body);
    SHEAF__PUT(body, "\"stream\":true");
  }
  if (counts) {
    put_counted(&given, body);
  } else {
    sheaf__put_params(&given, body);
    if (given.from == SHEAF__FROM_BODY)
      sheaf__put_rest_of_body(&given, body);
    else
      SHEAF__PUT(body, "}");
  }
  return body->status != SHEAF_OK ? body->status : call->path->status;
}

/* ---- Usage ---- */

static void replace(int64_t *count, sheaf_slice value) {
  int64_t told = sheaf__count(value);
  if (told != SHEAF_ABSENT) *count = told;
}

/* What is told replaces what was known (message_delta is cumulative), what is null or missing
 * leaves it. */
static void read_usage(sheaf_slice object, sheaf_usage *usage) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return;
  /* The plain input of before, taken out of the total again. */
  int64_t plain = usage->input_total;
  if (plain != SHEAF_ABSENT) {
    if (usage->cache_read != SHEAF_ABSENT) plain -= usage->cache_read;
    if (usage->cache_write != SHEAF_ABSENT) plain -= usage->cache_write;
  }
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (sheaf__is(key, "input_tokens")) {
      replace(&plain, value);
    } else if (sheaf__is(key, "output_tokens")) {
      replace(&usage->output_total, value);
    } else if (sheaf__is(key, "cache_creation_input_tokens")) {
      replace(&usage->cache_write, value);
    } else if (sheaf__is(key, "cache_read_input_tokens")) {
      replace(&usage->cache_read, value);
    } else if (sheaf__is(key, "output_tokens_details") &&
               sheaf_json_kind(value) == SHEAF_JSON_OBJECT) {
      replace(&usage->reasoning, sheaf_json_member(value, "thinking_tokens"));
    }
  }
  if (plain == SHEAF_ABSENT) return;
  usage->input_total =
      sheaf__count_sum(sheaf__count_sum(plain, usage->cache_read), usage->cache_write);
}

/* ---- Decode ---- */

static void set_refusal(sheaf_decoded *out) {
  out->error_class = SHEAF_CLASS_CONTENT_FILTER;
  out->scope = SHEAF_SCOPE_REQUEST;
  out->billing = SHEAF_BILLING_BILLED;
  out->error_code = SHEAF_LITERAL("refusal");
  out->error_message = SHEAF_LITERAL("the model refused the request");
}

static void join_blocks(sheaf__reading *reading, sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, block;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &block) == SHEAF_OK) {
    if (sheaf_json_kind(block) != SHEAF_JSON_OBJECT) continue;
    if (!sheaf_json_equals(sheaf_json_member(block, "type"), "text")) continue;
    sheaf__join(reading, sheaf_json_inside(sheaf_json_member(block, "text")));
  }
}

static void decode_message(sheaf__reading *reading, sheaf_slice body) {
  enum { ERROR, CONTENT, STOP, MODEL, USAGE, COUNT };
  static const char *const paths[COUNT] = {
      [ERROR] = "error", [CONTENT] = "content", [STOP] = "stop_reason",
      [MODEL] = "model", [USAGE] = "usage",
  };
  sheaf_slice values[COUNT];
  sheaf_decoded *out = reading->out;
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) != SHEAF_OK) {
    sheaf__invalid(reading, "the reply is not JSON", body);
    return;
  }
  read_usage(values[USAGE], &out->usage);
  if (sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], (sheaf_slice){NULL, 0});
    sheaf__fault_settle_late(reading, &fault, false);
    return;
  }
  if (sheaf_json_kind(values[CONTENT]) != SHEAF_JSON_ARRAY) {
    sheaf__invalid(reading, "the reply has no content", body);
    return;
  }
  join_blocks(reading, values[CONTENT]);
  sheaf_slice model = sheaf__keep(reading, sheaf_json_inside(values[MODEL]), SHEAF__WORD_BYTES_MAX);
  out->model = model;
  sheaf_slice stop = sheaf__keep(reading, sheaf_json_inside(values[STOP]), SHEAF__WORD_BYTES_MAX);
  out->finish_reason = stop;
  if (sheaf__is(stop, "refusal")) set_refusal(out);
}

static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *decoded) {
  (void)provider;
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf_decoded_init(decoded);
  decoded->billing = SHEAF_BILLING_BILLED;
  sheaf__read_reply_headers(&reading, reply);
  sheaf__fault fault;
  if (reply->operation == COUNT_TOKENS)
    sheaf__read_count(&reading, "input_tokens", sheaf__document(reply->body), &fault);
  else
    decode_message(&reading, sheaf__document(reply->body));
  return scratch->status;
}

/* A proxy may have taken the request-id header away; the body repeats it. */
static void keep_body_id(sheaf__reading *reading, sheaf_slice body) {
  static const char *const paths[] = {"request_id"};
  sheaf_slice id;
  if (sheaf_json_pick(sheaf__document(body), paths, 1, &id, NULL, NULL) != SHEAF_OK) return;
  sheaf_slice kept = sheaf__keep(reading, sheaf_json_inside(id), SHEAF__WORD_BYTES_MAX);
  reading->out->request_id = kept;
}

static int32_t classify(const sheaf_provider *provider, const sheaf_reply *reply,
                        sheaf_buf *scratch, sheaf_decoded *decoded) {
  (void)provider;
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf__fault fault;
  sheaf_decoded_init(decoded);
  sheaf__classify(&reading, reply, &fault);
  if (decoded->request_id.bytes == 0) keep_body_id(&reading, reply->body);
  return scratch->status;
}

/* ---- Events ---- */

static void on_delta(sheaf_stream *stream, sheaf_slice delta) {
  if (sheaf_json_kind(delta) != SHEAF_JSON_OBJECT) return;
  sheaf_slice type = sheaf_json_member(delta, "type");
  if (sheaf_json_equals(type, "text_delta")) {
    sheaf__stream_text(stream, sheaf_json_inside(sheaf_json_member(delta, "text")));
  } else if (sheaf_json_equals(type, "thinking_delta") ||
             sheaf_json_equals(type, "input_json_delta")) {
    stream->tokens_seen++;
  }
}

static void on_message_delta(sheaf_stream *stream, sheaf_slice delta, sheaf_slice usage) {
  read_usage(usage, &stream->so_far.usage);
  if (sheaf_json_kind(delta) != SHEAF_JSON_OBJECT) return;
  sheaf_slice stop = sheaf_json_inside(sheaf_json_member(delta, "stop_reason"));
  sheaf__stream_finish(stream, stop);
  if (sheaf__is(stop, "refusal")) set_refusal(&stream->so_far);
}

static int32_t on_event(const sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                        sheaf_stream *stream) {
  (void)provider, (void)event; /* the type in the JSON says the same */
  enum { TYPE, DELTA, USAGE, BLOCK_TEXT, MODEL, START_USAGE, ERROR, COUNT };
  static const char *const paths[COUNT] = {
      [TYPE] = "type",           [DELTA] = "delta",
      [USAGE] = "usage",         [BLOCK_TEXT] = "content_block.text",
      [MODEL] = "message.model", [START_USAGE] = "message.usage",
      [ERROR] = "error",
  };
  sheaf_slice values[COUNT];
  if (stream->terminal || data.bytes == 0) return SHEAF_OK;
  if (sheaf__stream_pick(stream, data, paths, COUNT, values) != SHEAF_OK) {
    return sheaf__stream_status(stream);
  }
  sheaf_slice type = values[TYPE];
  if (sheaf_json_equals(type, "content_block_delta")) {
    on_delta(stream, values[DELTA]);
  } else if (sheaf_json_equals(type, "message_delta")) {
    on_message_delta(stream, values[DELTA], values[USAGE]);
  } else if (sheaf_json_equals(type, "message_start")) {
    sheaf__stream_model(stream, sheaf_json_inside(values[MODEL]));
    read_usage(values[START_USAGE], &stream->so_far.usage);
  } else if (sheaf_json_equals(type, "content_block_start")) {
    sheaf__stream_text(stream, sheaf_json_inside(values[BLOCK_TEXT]));
  } else if (sheaf_json_equals(type, "message_stop")) {
    stream->terminal = true;
    stream->finished = true;
    if (stream->so_far.error_class == SHEAF_CLASS_NONE)
      stream->so_far.billing = SHEAF_BILLING_BILLED;
  } else if (sheaf_json_equals(type, "error") || sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], sheaf__document(data));
    sheaf__stream_fault(stream, &fault);
  }
  return sheaf__stream_status(stream);
}

/* ---- Limits ---- */

static uint32_t read_limits(const sheaf_provider *provider, const sheaf_reply *reply,
                            sheaf_limit *limits) {
  (void)provider;
  static const sheaf__limit_name names[] = {
      {"requests", SHEAF_RESOURCE_REQUESTS},
      {"input-tokens", SHEAF_RESOURCE_INPUT_TOKENS},
      {"output-tokens", SHEAF_RESOURCE_OUTPUT_TOKENS},
      {"tokens", SHEAF_RESOURCE_TOKENS},
  };
  uint32_t count = sheaf__read_limits(reply, "anthropic-ratelimit-", true, names, 4, limits);
  /* "tokens" repeats the tightest of the finer limits: beside one of those it is no limit of its
   * own. */
  bool is_finer = false;
  for (uint32_t i = 0; i < count; i++) {
    if (limits[i].resource == SHEAF_RESOURCE_INPUT_TOKENS) is_finer = true;
    if (limits[i].resource == SHEAF_RESOURCE_OUTPUT_TOKENS) is_finer = true;
  }
  if (is_finer && limits[count - 1].resource == SHEAF_RESOURCE_TOKENS) count--;
  return count;
}

/* ---- Tool calls ---- */

static int32_t tool_call(const sheaf_provider *provider, const sheaf_result *result, uint32_t n,
                         sheaf_tool_call *call) {
  (void)provider;
  static const char *const paths[] = {"content"};
  sheaf_slice content, key, block;
  sheaf_json_iter iter;
  if (result->streamed) return SHEAF_E_UNSUPPORTED;
  sheaf_slice body = sheaf__document(result->body);
  if (sheaf_json_pick(body, paths, 1, &content, NULL, NULL) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_kind(content) != SHEAF_JSON_ARRAY) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  while (sheaf_json_iter_next(&iter, &key, &block) == SHEAF_OK) {
    if (sheaf_json_kind(block) != SHEAF_JSON_OBJECT) continue;
    if (!sheaf_json_equals(sheaf_json_member(block, "type"), "tool_use")) continue;
    if (n-- > 0) continue;
    call->id = sheaf_json_inside(sheaf_json_member(block, "id"));
    call->name = sheaf_json_inside(sheaf_json_member(block, "name"));
    call->arguments = sheaf_json_member(block, "input");
    call->arguments_escaped = false;
    return SHEAF_OK;
  }
  return SHEAF_E_NOT_FOUND;
}

static const sheaf_header headers[] = {
    {.name = SHEAF__TEXT("x-api-key"), .credential_id = 1},
    {.name = SHEAF__TEXT("anthropic-version"), .value = SHEAF__TEXT("2023-06-01")},
    {.name = SHEAF__TEXT("Content-Type"), .value = SHEAF__TEXT("application/json")},
};

const sheaf_provider sheaf__anthropic = {
    .struct_bytes = sizeof(sheaf_provider),
    .framing = SHEAF_FRAMING_SSE,
    .name = "anthropic",
    .base_url = "https://api.anthropic.com",
    .key_variables = "ANTHROPIC_API_KEY",
    .headers = headers,
    .header_count = sizeof headers / sizeof headers[0],
    .charge_tokens = SHEAF_CHARGE_UNCACHED_INPUT,
    .charge_output = SHEAF_CHARGE_ACTUAL,
    .build = build_call,
    .decode = decode,
    .classify = classify,
    .event = SHEAF__EVENT(on_event),
    .read_limits = read_limits,
    .tool_call = tool_call,
    .traits = sheaf__anthropic_traits,
    .share = sheaf__anthropic_share,
    .items = sheaf__anthropic_items,
    .part = sheaf__anthropic_part,
    .jobs = SHEAF__JOBS(sheaf__anthropic_jobs),
};
