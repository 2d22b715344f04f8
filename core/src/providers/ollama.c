/* ollama.c: Ollama's own API (chat, generate, embed).
 *
 * Outline: which operation; build (options have an object of their own; stream is on unless told
 * otherwise); metrics; decode; events (NDJSON lines); tool calls; the entry. Durations are
 * nanoseconds. */
#include "providers/ollama.h"

#include "base/mem.h"
#include "providers/decoding.h"
#include "providers/messages.h"
#include "providers/sharing.h"
#include "providers/table.h"

enum {
  CHAT = SHEAF__OLLAMA_CHAT,
  GENERATE = SHEAF__OLLAMA_GENERATE,
  EMBED = SHEAF__OLLAMA_EMBED,
  OPERATIONS = 3
};

static const struct {
  const char *path;
  uint32_t content_key;
} operations[OPERATIONS] = {
    [CHAT] = {"/api/chat", SHEAF__KEY_MESSAGES},
    [GENERATE] = {"/api/generate", SHEAF__KEY_PROMPT},
    [EMBED] = {"/api/embed", SHEAF__KEY_INPUT},
};

/* ---- Build ---- */

/* The names of protocols 4, and what users of other providers call them. */
static const sheaf__moved moved[] = {
    {"num_ctx", "num_ctx", false},
    {"num_predict", "num_predict", false},
    {"max_tokens", "num_predict", false},
    {"max_completion_tokens", "num_predict", false},
    {"temperature", "temperature", false},
    {"top_k", "top_k", false},
    {"top_p", "top_p", false},
    {"min_p", "min_p", false},
    {"typical_p", "typical_p", false},
    {"seed", "seed", false},
    {"stop", "stop", true},
    {"repeat_penalty", "repeat_penalty", false},
    {"repeat_last_n", "repeat_last_n", false},
    {"presence_penalty", "presence_penalty", false},
    {"frequency_penalty", "frequency_penalty", false},
    {"num_keep", "num_keep", false},
    {"num_batch", "num_batch", false},
    {"num_gpu", "num_gpu", false},
    {"main_gpu", "main_gpu", false},
    {"use_mmap", "use_mmap", false},
    {"num_thread", "num_thread", false},
};

static const sheaf__nest nest = {
    .name = "options",
    .key = SHEAF__KEY_OPTIONS,
    .cap = "num_predict",
    .moved = moved,
    .moved_count = sizeof moved / sizeof moved[0],
};

/* Embeddings have no output to cap. */
static const sheaf__nest embed_nest = {
    .name = "options",
    .key = SHEAF__KEY_OPTIONS,
    .moved = moved,
    .moved_count = sizeof moved / sizeof moved[0],
};

static bool find_operation(const sheaf_build *build, uint32_t *found) {
  sheaf_slice path = sheaf__operation_path(build);
  *found = CHAT;
  if (path.bytes == 0) return true;
  for (uint32_t i = 0; i < OPERATIONS; i++) {
    *found = i;
    if (sheaf__is(path, operations[i].path)) return true;
  }
  return false;
}

static void put_message(sheaf_buf *body, uint32_t role, sheaf_slice content) {
  static const char *const roles[] = {"system", "user", "assistant"};
  sheaf__comma(body);
  SHEAF__PUT(body, "{\"role\":\"");
  sheaf_buf_append_text(body, roles[role]);
  SHEAF__PUT(body, "\",\"content\":\"");
  sheaf__put_content_inside(body, content);
  SHEAF__PUT(body, "\"}");
}

static void put_system_message(sheaf_buf *body, sheaf_slice system) {
  if (system.bytes == 0) return;
  SHEAF__PUT(body, "{\"role\":\"system\",\"content\":");
  sheaf_buf_append_string(body, system);
  SHEAF__PUT(body, "}");
}

static int32_t put_messages(const sheaf__given *given, sheaf_call *call) {
  sheaf_buf *body = call->body;
  sheaf_json_iter iter;
  sheaf__message message;
  bool has_system;
  int32_t status = sheaf__messages_check(given->request->messages, call, &has_system);
  if (status != SHEAF_OK) return status;
  status = sheaf__messages_iter(given->request->messages, &iter);
  sheaf__comma(body);
  SHEAF__PUT(body, "\"messages\":[");
  if (!has_system) put_system_message(body, given->request->system);
  while (status == SHEAF_OK) {
    status = sheaf__message_next(&iter, &message);
    if (status == SHEAF_OK) put_message(body, message.role, message.content);
  }
  SHEAF__PUT(body, "]");
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

static void put_chat_prompt(const sheaf__given *given, sheaf_buf *body) {
  sheaf__comma(body);
  SHEAF__PUT(body, "\"messages\":[");
  put_system_message(body, given->request->system);
  sheaf__comma(body);
  SHEAF__PUT(body, "{\"role\":\"user\",\"content\":");
  sheaf__put_prompt(given, body);
  SHEAF__PUT(body, "}]");
}

static int32_t put_content(const sheaf__given *given, sheaf_call *call) {
  sheaf_buf *body = call->body;
  bool has_prompt = given->from == SHEAF__FROM_PROMPT;
  if (call->operation == CHAT) {
    if (given->from == SHEAF__FROM_MESSAGES) return put_messages(given, call);
    if (has_prompt) put_chat_prompt(given, body);
    return SHEAF_OK;
  }
  if (given->from == SHEAF__FROM_MESSAGES) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "messages",
                             "this operation takes no messages; use /api/chat");
  }
  if (has_prompt) {
    sheaf__comma(body);
    sheaf_buf_append_text(body, call->operation == EMBED ? "\"input\":" : "\"prompt\":");
    sheaf__put_prompt(given, body);
  }
  if (call->operation == GENERATE && given->request->system.bytes > 0 &&
      !sheaf__given_has(given, SHEAF__KEY_SYSTEM)) {
    sheaf__comma(body);
    SHEAF__PUT(body, "\"system\":");
    sheaf_buf_append_string(body, given->request->system);
  }
  return SHEAF_OK;
}

static int32_t check_given(const sheaf__given *given, sheaf_call *call) {
  sheaf_slice options = given->values[SHEAF__KEY_OPTIONS];
  if (options.bytes > 0 && sheaf_json_kind(options) != SHEAF_JSON_OBJECT) {
    return sheaf__build_fail(call, SHEAF_E_TYPE, "options", "options must be an object");
  }
  if (given->build->stream && call->operation == EMBED) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "stream", "embeddings cannot be streamed");
  }
  return sheaf__need_model(given, call);
}

static int32_t build_call(const sheaf_provider *provider, const sheaf_build *build,
                          sheaf_call *call) {
  (void)provider;
  sheaf__given given;
  const sheaf_request *request = build->request;
  call->output_tokens_max = SHEAF_ABSENT;
  if (!find_operation(build, &call->operation)) {
    return sheaf__build_fail(call, SHEAF_E_UNSUPPORTED, "url",
                             "ollama offers /api/chat, /api/generate and /api/embed");
  }
  uint32_t content_key = operations[call->operation].content_key;
  int32_t status = sheaf__given_read(build, content_key, call, &given);
  if (status == SHEAF_OK) status = check_given(&given, call);
  if (status != SHEAF_OK) return status;
  sheaf_buf_append_text(call->path, operations[call->operation].path);
  sheaf_buf *body = call->body;
  sheaf_buf_reserve(body, request->prompt.bytes + request->messages.bytes + request->body.bytes +
                              request->system.bytes + request->params.bytes + request->model.bytes +
                              192);
  SHEAF__PUT(body, "{");
  sheaf__put_model(&given, body);
  if (given.from != SHEAF__FROM_BODY) status = put_content(&given, call);
  if (status != SHEAF_OK) return status;
  if (call->operation != EMBED && !sheaf__given_has(&given, SHEAF__KEY_STREAM)) {
    sheaf__comma(body);
    sheaf_buf_append_text(body, build->stream ? "\"stream\":true" : "\"stream\":false");
  }
  const sheaf__nest *options = call->operation == EMBED ? &embed_nest : &nest;
  sheaf__put_nest(&given, options, body);
  sheaf__put_unnested(&given, options, body);
  call->output_tokens_max = sheaf__nest_cap(&given, options);
  if (given.from == SHEAF__FROM_BODY) {
    sheaf__put_rest_of_body(&given, body);
  } else {
    SHEAF__PUT(body, "}");
  }
  return body->status != SHEAF_OK ? body->status : call->path->status;
}

/* ---- Replies ---- */

enum {
  ERROR,
  MESSAGE,
  CONTENT,
  THOUGHT,
  RESPONSE,
  THINKING,
  EMBEDDING,
  DONE,
  REASON,
  MODEL,
  INPUT,
  OUTPUT,
  TOTAL,
  GENERATED,
  COUNT
};
static const char *const paths[COUNT] = {
    [ERROR] = "error",
    [MESSAGE] = "message",
    [CONTENT] = "message.content",
    [THOUGHT] = "message.thinking",
    [RESPONSE] = "response",
    [THINKING] = "thinking",
    [EMBEDDING] = "embeddings[0]",
    [DONE] = "done",
    [REASON] = "done_reason",
    [MODEL] = "model",
    [INPUT] = "prompt_eval_count",
    [OUTPUT] = "eval_count",
    [TOTAL] = "total_duration",
    [GENERATED] = "eval_duration",
};

/* Metrics are left out when they are 0 or not known: a duration of 0 is no duration. */
static void read_metrics(const sheaf_slice values[COUNT], sheaf_decoded *out) {
  int64_t input = sheaf__count(values[INPUT]);
  int64_t output = sheaf__count(values[OUTPUT]);
  int64_t total = sheaf__count(values[TOTAL]);
  int64_t generated = sheaf__count(values[GENERATED]);
  if (input != SHEAF_ABSENT) out->usage.input_total = input;
  if (output != SHEAF_ABSENT) out->usage.output_total = output;
  if (total > 0) out->server_ns = (uint64_t)total;
  if (generated > 0) out->generation_ns = (uint64_t)generated;
}

static void decode_values(sheaf__reading *reading, const sheaf_slice values[COUNT],
                          uint32_t operation, sheaf_slice body) {
  sheaf_decoded *out = reading->out;
  read_metrics(values, out);
  if (sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], (sheaf_slice){NULL, 0});
    sheaf__fault_settle_late(reading, &fault, false);
    return;
  }
  bool is_answer = operation == EMBED      ? values[EMBEDDING].bytes > 0
                   : operation == GENERATE ? sheaf_json_kind(values[RESPONSE]) == SHEAF_JSON_STRING
                                           : sheaf_json_kind(values[MESSAGE]) == SHEAF_JSON_OBJECT;
  if (!is_answer) {
    sheaf__invalid(reading, "the reply holds no answer", body);
    return;
  }
  if (operation == CHAT) sheaf__join(reading, sheaf_json_inside(values[CONTENT]));
  if (operation == GENERATE) sheaf__join(reading, sheaf_json_inside(values[RESPONSE]));
  sheaf_slice kept = sheaf__keep(reading, sheaf_json_inside(values[MODEL]), SHEAF__WORD_BYTES_MAX);
  out->model = kept;
  kept = sheaf__keep(reading, sheaf_json_inside(values[REASON]), SHEAF__WORD_BYTES_MAX);
  out->finish_reason = kept;
  /* Embeddings have no output; an absent count would leave their cost unknown. */
  if (operation == EMBED && out->usage.input_total != SHEAF_ABSENT) out->usage.output_total = 0;
}

static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *decoded) {
  (void)provider;
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf_slice values[COUNT];
  sheaf_slice body = sheaf__document(reply->body);
  sheaf_decoded_init(decoded);
  decoded->billing = SHEAF_BILLING_BILLED;
  sheaf__read_reply_headers(&reading, reply);
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) == SHEAF_OK) {
    decode_values(&reading, values, reply->operation, body);
  } else {
    sheaf__invalid(&reading, "the reply is not JSON", body);
  }
  return scratch->status;
}

static int32_t classify(const sheaf_provider *provider, const sheaf_reply *reply,
                        sheaf_buf *scratch, sheaf_decoded *decoded) {
  (void)provider;
  sheaf_classify_common(reply, scratch, decoded);
  return scratch->status;
}

static int32_t on_event(const sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                        sheaf_stream *stream) {
  (void)provider, (void)event;
  sheaf_slice values[COUNT];
  if (stream->terminal || data.bytes == 0) return SHEAF_OK;
  if (sheaf__stream_pick(stream, data, paths, COUNT, values) != SHEAF_OK) {
    return sheaf__stream_status(stream);
  }
  read_metrics(values, &stream->so_far);
  if (sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], (sheaf_slice){NULL, 0});
    sheaf__stream_fault(stream, &fault);
    return sheaf__stream_status(stream);
  }
  sheaf__stream_model(stream, sheaf_json_inside(values[MODEL]));
  sheaf__stream_text(stream, sheaf_json_inside(values[CONTENT]));
  sheaf__stream_text(stream, sheaf_json_inside(values[RESPONSE]));
  if (sheaf_json_inside(values[THOUGHT]).bytes > 0 ||
      sheaf_json_inside(values[THINKING]).bytes > 0) {
    stream->tokens_seen++;
  }
  if (sheaf_json_true(values[DONE])) {
    sheaf__stream_finish(stream, sheaf_json_inside(values[REASON]));
    stream->finished = true;
    stream->terminal = true;
    stream->so_far.billing = SHEAF_BILLING_BILLED;
  }
  return sheaf__stream_status(stream);
}

/* ---- Tool calls ---- */

static int32_t tool_call(const sheaf_provider *provider, const sheaf_result *result, uint32_t n,
                         sheaf_tool_call *call) {
  (void)provider;
  static const char *const wanted[] = {"message.tool_calls"};
  sheaf_slice calls, key, item;
  sheaf_json_iter iter;
  if (result->streamed || result->operation != CHAT) return SHEAF_E_UNSUPPORTED;
  sheaf_slice body = sheaf__document(result->body);
  if (sheaf_json_pick(body, wanted, 1, &calls, NULL, NULL) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_kind(calls) != SHEAF_JSON_ARRAY) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_iter_init(&iter, calls) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  do {
    if (sheaf_json_iter_next(&iter, &key, &item) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  } while (n-- > 0);
  if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) return SHEAF_E_NOT_FOUND;
  sheaf_slice function = sheaf_json_member(item, "function");
  if (sheaf_json_kind(function) != SHEAF_JSON_OBJECT) return SHEAF_E_NOT_FOUND;
  call->id = sheaf_json_inside(sheaf_json_member(item, "id"));
  call->name = sheaf_json_inside(sheaf_json_member(function, "name"));
  call->arguments = sheaf_json_member(function, "arguments"); /* an object, unlike OpenAI's */
  call->arguments_escaped = false;
  return SHEAF_OK;
}

static const sheaf_header headers[] = {
    /* ollama.com wants a key, a local server none: the host leaves the slot out when the endpoint
       has none. */
    {.name = SHEAF__TEXT("Authorization"), .value = SHEAF__TEXT("Bearer "), .credential_id = 1},
    {.name = SHEAF__TEXT("Content-Type"), .value = SHEAF__TEXT("application/json")},
};

const sheaf_provider sheaf__ollama = {
    .struct_bytes = sizeof(sheaf_provider),
    .framing = SHEAF_FRAMING_NDJSON,
    .name = "ollama",
    .base_url = "http://127.0.0.1:11434",
    .headers = headers,
    .header_count = sizeof headers / sizeof headers[0],
    .charge_tokens = SHEAF_CHARGE_ACTUAL,
    .charge_output = SHEAF_CHARGE_ACTUAL,
    .build = build_call,
    .decode = decode,
    .classify = classify,
    .event = on_event,
    .tool_call = tool_call,
    .traits = sheaf__ollama_traits,
    .share = sheaf__ollama_share,
    .items = sheaf__ollama_items,
    .part = sheaf__ollama_part,
};
