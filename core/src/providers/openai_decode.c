/* openai_decode.c: replies of OpenAI and of servers that speak its language.
 *
 * Outline: usage; text of content; one reader per operation; tool calls. Liberal where
 * protocols 5.3 says that servers differ: missing usage, content as parts, null and missing members
 * are all fine; missing choices are not. */
#include "providers/openai.h"

#include "base/mem.h"

/* ---- Usage ---- */

static void read_details(sheaf_slice object, int64_t *cache_read, int64_t *cache_write,
                         int64_t *reasoning) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (sheaf__is(key, "cached_tokens")) *cache_read = sheaf__count(value);
    if (sheaf__is(key, "cache_write_tokens")) *cache_write = sheaf__count(value);
    if (sheaf__is(key, "reasoning_tokens")) *reasoning = sheaf__count(value);
  }
}

void sheaf__openai_usage(sheaf_slice object, sheaf_usage *usage) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int64_t total = SHEAF_ABSENT;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (sheaf__is(key, "prompt_tokens") || sheaf__is(key, "input_tokens")) {
      usage->input_total = sheaf__count(value);
    } else if (sheaf__is(key, "completion_tokens") || sheaf__is(key, "output_tokens")) {
      usage->output_total = sheaf__count(value);
    } else if (sheaf__is(key, "total_tokens")) {
      total = sheaf__count(value);
    } else if (sheaf__is(key, "prompt_cache_hit_tokens")) { /* DeepSeek */
      usage->cache_read = sheaf__count(value);
    } else if (key.bytes > 15 && memcmp(key.data + key.bytes - 15, "_tokens_details", 15) == 0) {
      read_details(value, &usage->cache_read, &usage->cache_write, &usage->reasoning);
    }
  }
  /* Embeddings have no output and name only the total. */
  if (usage->output_total == SHEAF_ABSENT && usage->input_total != SHEAF_ABSENT &&
      total >= usage->input_total) {
    usage->output_total = total - usage->input_total;
  }
}

/* ---- Chat and completions ---- */

/* A string, or parts of which the text ones count (Mistral). */
static void join_content(sheaf__reading *reading, sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  if (sheaf_json_kind(content) == SHEAF_JSON_STRING) {
    sheaf__join(reading, sheaf_json_inside(content));
    return;
  }
  if (sheaf_json_kind(content) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
    if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT) continue;
    if (!sheaf_json_equals(sheaf_json_member(part, "type"), "text")) continue;
    sheaf__join(reading, sheaf_json_inside(sheaf_json_member(part, "text")));
  }
}

static void fail_inside(sheaf__reading *reading, sheaf_slice error) {
  sheaf__fault fault = {0};
  sheaf__fault_from(&fault, error, (sheaf_slice){NULL, 0});
  sheaf__fault_settle_late(reading, &fault, false);
}

static void keep_finish(sheaf__reading *reading, sheaf_slice value) {
  sheaf_slice kept = sheaf__keep(reading, sheaf_json_inside(value), SHEAF__WORD_BYTES_MAX);
  reading->out->finish_reason = kept;
}

static void keep_model(sheaf__reading *reading, sheaf_slice value) {
  sheaf_slice kept = sheaf__keep(reading, sheaf_json_inside(value), SHEAF__WORD_BYTES_MAX);
  reading->out->model = kept;
}

static void decode_choices(sheaf__reading *reading, uint32_t operation, sheaf_slice body) {
  enum { ERROR, MESSAGE, CONTENT, REFUSAL, TEXT, FINISH, MODEL, USAGE, COUNT };
  static const char *const paths[COUNT] = {
      [ERROR] = "error",
      [MESSAGE] = "choices[0].message",
      [CONTENT] = "choices[0].message.content",
      [REFUSAL] = "choices[0].message.refusal",
      [TEXT] = "choices[0].text",
      [FINISH] = "choices[0].finish_reason",
      [MODEL] = "model",
      [USAGE] = "usage",
  };
  sheaf_slice values[COUNT];
  sheaf_decoded *out = reading->out;
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) != SHEAF_OK) {
    sheaf__invalid(reading, "the reply is not JSON", body);
    return;
  }
  sheaf__openai_usage(values[USAGE], &out->usage);
  if (sheaf__is_error(values[ERROR])) {
    fail_inside(reading, values[ERROR]);
    return;
  }
  bool has_message = sheaf_json_kind(values[MESSAGE]) == SHEAF_JSON_OBJECT;
  bool has_text = sheaf_json_kind(values[TEXT]) == SHEAF_JSON_STRING;
  if (operation == SHEAF__OPENAI_COMPLETIONS ? !has_text && !has_message : !has_message) {
    sheaf__invalid(reading, "the reply has no choices", body);
    return;
  }
  if (has_message) {
    join_content(reading, values[CONTENT]);
    if (out->text_json.bytes == 0) sheaf__join(reading, sheaf_json_inside(values[REFUSAL]));
  } else {
    sheaf__join(reading, sheaf_json_inside(values[TEXT]));
  }
  keep_model(reading, values[MODEL]);
  keep_finish(reading, values[FINISH]);
  if (sheaf_json_equals(values[FINISH], "content_filter")) {
    out->error_class = SHEAF_CLASS_CONTENT_FILTER;
    out->scope = SHEAF_SCOPE_REQUEST;
    out->error_message = SHEAF_LITERAL("the provider's content filter stopped the answer");
  }
}

/* ---- Embeddings ---- */

static void decode_embeddings(sheaf__reading *reading, sheaf_slice body) {
  enum { ERROR, FIRST, MODEL, USAGE, COUNT };
  static const char *const paths[COUNT] = {
      [ERROR] = "error", [FIRST] = "data[0]", [MODEL] = "model", [USAGE] = "usage"};
  sheaf_slice values[COUNT];
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) != SHEAF_OK) {
    sheaf__invalid(reading, "the reply is not JSON", body);
    return;
  }
  sheaf__openai_usage(values[USAGE], &reading->out->usage);
  if (sheaf__is_error(values[ERROR])) {
    fail_inside(reading, values[ERROR]);
  } else if (values[FIRST].bytes == 0) {
    sheaf__invalid(reading, "the reply has no embeddings", body);
  } else {
    keep_model(reading, values[MODEL]);
  }
}

/* ---- Responses ---- */

/* Joins the parts of one kind of one message: output_text.text or refusal.refusal. */
static void join_parts(sheaf__reading *reading, sheaf_slice content, const char *type,
                       const char *member) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  if (sheaf_json_kind(content) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
    if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT) continue;
    if (!sheaf_json_equals(sheaf_json_member(part, "type"), type)) continue;
    sheaf__join(reading, sheaf_json_inside(sheaf_json_member(part, member)));
  }
}

static void join_items(sheaf__reading *reading, sheaf_slice output, const char *type,
                       const char *member) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  if (sheaf_json_iter_init(&iter, output) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK) {
    if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) continue;
    if (!sheaf_json_equals(sheaf_json_member(item, "type"), "message")) continue;
    join_parts(reading, sheaf_json_member(item, "content"), type, member);
  }
}

bool sheaf__openai_output_text(sheaf__reading *reading, sheaf_slice output) {
  if (sheaf_json_kind(output) != SHEAF_JSON_ARRAY) return false;
  join_items(reading, output, "output_text", "text");
  if (reading->joined == 0) join_items(reading, output, "refusal", "refusal");
  return true;
}

void sheaf__openai_response_status(sheaf__reading *reading, sheaf_slice status, sheaf_slice error,
                                   sheaf_slice reason, bool worked) {
  sheaf_decoded *out = reading->out;
  keep_finish(reading, reason.bytes > 0 ? reason : status);
  if (sheaf_json_equals(status, "failed") || sheaf__is_error(error)) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, error, (sheaf_slice){NULL, 0});
    sheaf__fault_settle_late(reading, &fault, worked);
    if (out->error_class == SHEAF_CLASS_UNKNOWN) out->error_class = SHEAF_CLASS_SERVER;
    if (out->error_message.bytes == 0) out->error_message = SHEAF_LITERAL("the response failed");
  } else if (sheaf_json_equals(reason, "content_filter")) {
    out->error_class = SHEAF_CLASS_CONTENT_FILTER;
    out->scope = SHEAF_SCOPE_REQUEST;
    out->error_message = SHEAF_LITERAL("the provider's content filter stopped the answer");
  } else if (sheaf_json_equals(status, "cancelled")) {
    out->error_class = SHEAF_CLASS_CANCELLED;
    out->billing = SHEAF_BILLING_UNKNOWN;
    out->error_message = SHEAF_LITERAL("the response was cancelled at the provider");
  } else if (sheaf_json_equals(status, "queued") || sheaf_json_equals(status, "in_progress")) {
    out->error_class = SHEAF_CLASS_INVALID_RESPONSE;
    out->billing = SHEAF_BILLING_BILLED;
    out->retryable = false; /* each try would start one more */
    out->error_message =
        SHEAF_LITERAL("the response is not finished; remove background from the request");
  }
}

static void decode_response(sheaf__reading *reading, sheaf_slice body) {
  enum { ERROR, STATUS, REASON, OUTPUT, MODEL, USAGE, COUNT };
  static const char *const paths[COUNT] = {
      [ERROR] = "error",   [STATUS] = "status", [REASON] = "incomplete_details.reason",
      [OUTPUT] = "output", [MODEL] = "model",   [USAGE] = "usage",
  };
  sheaf_slice values[COUNT];
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) != SHEAF_OK) {
    sheaf__invalid(reading, "the reply is not JSON", body);
    return;
  }
  sheaf__openai_usage(values[USAGE], &reading->out->usage);
  bool has_output = sheaf__openai_output_text(reading, values[OUTPUT]);
  keep_model(reading, values[MODEL]);
  sheaf__openai_response_status(reading, values[STATUS], values[ERROR], values[REASON],
                                reading->joined > 0);
  if (!has_output && reading->out->error_class == SHEAF_CLASS_NONE) {
    sheaf__invalid(reading, "the reply has no output", body);
  }
}

int32_t sheaf__openai_decode(const sheaf_provider *provider, const sheaf_reply *reply,
                             sheaf_buf *scratch, sheaf_decoded *decoded) {
  (void)provider;
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf_decoded_init(decoded);
  decoded->billing = SHEAF_BILLING_BILLED;
  sheaf__read_reply_headers(&reading, reply);
  sheaf_slice body = sheaf__document(reply->body);
  switch (reply->operation) {
    case SHEAF__OPENAI_RESPONSES: decode_response(&reading, body); break;
    case SHEAF__OPENAI_EMBEDDINGS: decode_embeddings(&reading, body); break;
    default: decode_choices(&reading, reply->operation, body);
  }
  return scratch->status;
}

/* ---- Tool calls ---- */

static int32_t chat_tool_call(sheaf_slice body, uint32_t n, sheaf_tool_call *call) {
  static const char *const paths[] = {"choices[0].message.tool_calls"};
  sheaf_slice calls, key, item;
  sheaf_json_iter iter;
  if (sheaf_json_pick(body, paths, 1, &calls, NULL, NULL) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_kind(calls) != SHEAF_JSON_ARRAY) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_iter_init(&iter, calls) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  do {
    if (sheaf_json_iter_next(&iter, &key, &item) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  } while (n-- > 0);
  if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) return SHEAF_E_NOT_FOUND;
  bool is_custom = sheaf_json_equals(sheaf_json_member(item, "type"), "custom");
  sheaf_slice named = sheaf_json_member(item, is_custom ? "custom" : "function");
  if (sheaf_json_kind(named) != SHEAF_JSON_OBJECT) return SHEAF_E_NOT_FOUND;
  sheaf_slice arguments = sheaf_json_member(named, is_custom ? "input" : "arguments");
  call->id = sheaf_json_inside(sheaf_json_member(item, "id"));
  call->name = sheaf_json_inside(sheaf_json_member(named, "name"));
  /* Some servers give the arguments as an object. */
  call->arguments_escaped = sheaf_json_kind(arguments) == SHEAF_JSON_STRING;
  call->arguments = call->arguments_escaped ? sheaf_json_inside(arguments) : arguments;
  return SHEAF_OK;
}

static int32_t response_tool_call(sheaf_slice body, uint32_t n, sheaf_tool_call *call) {
  static const char *const paths[] = {"output"};
  sheaf_slice output, key, item;
  sheaf_json_iter iter;
  if (sheaf_json_pick(body, paths, 1, &output, NULL, NULL) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_kind(output) != SHEAF_JSON_ARRAY) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_iter_init(&iter, output) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  while (sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK) {
    if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) continue;
    if (!sheaf_json_equals(sheaf_json_member(item, "type"), "function_call")) continue;
    if (n-- > 0) continue;
    call->id = sheaf_json_inside(sheaf_json_member(item, "call_id"));
    call->name = sheaf_json_inside(sheaf_json_member(item, "name"));
    call->arguments = sheaf_json_inside(sheaf_json_member(item, "arguments"));
    call->arguments_escaped = true;
    return SHEAF_OK;
  }
  return SHEAF_E_NOT_FOUND;
}

int32_t sheaf__openai_tool_call(const sheaf_provider *provider, const sheaf_result *result,
                                uint32_t n, sheaf_tool_call *call) {
  (void)provider;
  /* A streamed body is events; its calls lie about in fragments. */
  if (result->streamed) return SHEAF_E_UNSUPPORTED;
  sheaf_slice body = sheaf__document(result->body);
  switch (result->operation) {
    case SHEAF__OPENAI_CHAT: return chat_tool_call(body, n, call);
    case SHEAF__OPENAI_RESPONSES: return response_tool_call(body, n, call);
    default: return SHEAF_E_UNSUPPORTED;
  }
}
