/* openai_build.c: requests to OpenAI and every server that speaks its language.
 *
 * Outline: which operation; content of each; the cap on output; the short form; a body of the
 * user's own. Paths carry no /v1: the base URL ends in it. */
#include "providers/openai.h"

#include "base/mem.h"
#include "providers/messages.h"

typedef struct operation {
  const char *path;
  uint32_t content_key;
  const char *cap; /* the name of the cap on output tokens, NULL: there is none */
} operation;

static const operation operations[] = {
    [SHEAF__OPENAI_CHAT] = {"/chat/completions", SHEAF__KEY_MESSAGES, "max_tokens"},
    [SHEAF__OPENAI_RESPONSES] = {"/responses", SHEAF__KEY_INPUT, "max_output_tokens"},
    [SHEAF__OPENAI_EMBEDDINGS] = {"/embeddings", SHEAF__KEY_INPUT, NULL},
    [SHEAF__OPENAI_COMPLETIONS] = {"/completions", SHEAF__KEY_PROMPT, "max_tokens"},
};

static bool find_operation(const sheaf_build *build, uint32_t *found) {
  sheaf_slice path = sheaf__operation_path(build);
  *found = SHEAF__OPENAI_CHAT;
  if (path.bytes == 0) return true;
  for (uint32_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
    *found = i;
    if (sheaf__is(path, operations[i].path)) return true;
  }
  return false;
}

/* ---- Content ---- */

static void put_text_message(sheaf_buf *body, const char *role, sheaf_slice text) {
  sheaf__comma(body);
  SHEAF__PUT(body, "{\"role\":\"");
  sheaf_buf_append_text(body, role);
  SHEAF__PUT(body, "\",\"content\":");
  sheaf_buf_append_string(body, text);
  SHEAF__PUT(body, "}");
}

static void put_chat_prompt(const sheaf__given *given, sheaf_buf *body) {
  sheaf__comma(body);
  SHEAF__PUT(body, "\"messages\":[");
  if (given->request->system.bytes > 0) put_text_message(body, "system", given->request->system);
  sheaf__comma(body);
  SHEAF__PUT(body, "{\"role\":\"user\",\"content\":");
  sheaf__put_prompt(given, body);
  SHEAF__PUT(body, "}]");
}

/* The array goes out as it is; a system text is put in front of its messages unless they hold one.
 */
static int32_t put_chat_messages(const sheaf__given *given, sheaf_call *call) {
  sheaf_buf *body = call->body;
  sheaf_slice messages = given->request->messages;
  bool has_system = true;
  while (messages.bytes > 0 && (unsigned char)messages.data[0] <= ' ') {
    messages = sheaf__slice_from(messages, 1);
  }
  if (messages.bytes == 0 || messages.data[0] != '[') {
    return sheaf__build_fail(call, SHEAF_E_TYPE, "messages", "messages must be a JSON array");
  }
  if (given->request->system.bytes > 0) {
    int32_t status = sheaf__messages_have_system(messages, call, &has_system);
    if (status != SHEAF_OK) return status;
  }
  sheaf__comma(body);
  SHEAF__PUT(body, "\"messages\":");
  if (!has_system) {
    SHEAF__PUT(body, "[");
    put_text_message(body, "system", given->request->system);
    messages = sheaf__slice_from(messages, 1);
    size_t at = 0;
    while ((unsigned char)messages.data[at] <= ' ') at++;
    if (messages.data[at] != ']') sheaf__comma(body);
  }
  sheaf_buf_append_slice(body, messages);
  return SHEAF_OK;
}

/* Responses take the roles of chat, but other types of parts: text is given as strings. */
static int32_t put_responses_messages(const sheaf__given *given, sheaf_call *call,
                                      bool *has_system) {
  static const char *const roles[] = {"system", "user", "assistant"};
  sheaf_buf *body = call->body;
  sheaf_json_iter iter;
  sheaf__message message;
  int32_t status = sheaf__messages_check(given->request->messages, call, has_system);
  if (status != SHEAF_OK) return status;
  status = sheaf__messages_iter(given->request->messages, &iter);
  sheaf__comma(body);
  SHEAF__PUT(body, "\"input\":[");
  while (status == SHEAF_OK) {
    status = sheaf__message_next(&iter, &message);
    if (status != SHEAF_OK) break;
    sheaf__comma(body);
    SHEAF__PUT(body, "{\"role\":\"");
    sheaf_buf_append_text(body, roles[message.role]);
    SHEAF__PUT(body, "\",\"content\":\"");
    sheaf__put_content_inside(body, message.content);
    SHEAF__PUT(body, "\"}");
  }
  SHEAF__PUT(body, "]");
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

static int32_t put_responses_content(const sheaf__given *given, sheaf_call *call) {
  bool has_system = false;
  if (given->from == SHEAF__FROM_MESSAGES) {
    int32_t status = put_responses_messages(given, call, &has_system);
    if (status != SHEAF_OK) return status;
  } else if (given->from == SHEAF__FROM_PROMPT) {
    sheaf__comma(call->body);
    SHEAF__PUT(call->body, "\"input\":");
    sheaf__put_prompt(given, call->body);
  }
  if (given->request->system.bytes == 0 || has_system) return SHEAF_OK;
  if (sheaf__given_has(given, SHEAF__KEY_INSTRUCTIONS)) return SHEAF_OK;
  sheaf__comma(call->body);
  SHEAF__PUT(call->body, "\"instructions\":");
  sheaf_buf_append_string(call->body, given->request->system);
  return SHEAF_OK;
}

/* Embeddings and completions know neither messages nor a system text. */
static int32_t put_plain_content(const sheaf__given *given, const char *key, sheaf_call *call) {
  if (given->from == SHEAF__FROM_MESSAGES) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "messages",
                             "this operation takes no messages; give a prompt or a body");
  }
  if (given->request->system.bytes > 0 && call->operation == SHEAF__OPENAI_COMPLETIONS) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "system",
                             "completions take no system text; make it part of the prompt");
  }
  if (given->from != SHEAF__FROM_PROMPT) return SHEAF_OK;
  sheaf__comma(call->body);
  sheaf_buf_append_text(call->body, key);
  sheaf__put_prompt(given, call->body);
  return SHEAF_OK;
}

static int32_t put_content(const sheaf__given *given, sheaf_call *call) {
  switch (call->operation) {
    case SHEAF__OPENAI_RESPONSES: return put_responses_content(given, call);
    case SHEAF__OPENAI_EMBEDDINGS: return put_plain_content(given, "\"input\":", call);
    case SHEAF__OPENAI_COMPLETIONS: return put_plain_content(given, "\"prompt\":", call);
    default: break;
  }
  if (given->from == SHEAF__FROM_MESSAGES) return put_chat_messages(given, call);
  if (given->from == SHEAF__FROM_PROMPT) put_chat_prompt(given, call->body);
  return SHEAF_OK;
}

/* ---- The rest ---- */

static void put_cap(const sheaf__given *given, sheaf_call *call) {
  const char *cap = operations[call->operation].cap;
  static const uint32_t keys[] = {SHEAF__KEY_MAX_COMPLETION_TOKENS, SHEAF__KEY_MAX_TOKENS,
                                  SHEAF__KEY_MAX_OUTPUT_TOKENS};
  if (!cap) return;
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    if (!sheaf__given_has(given, keys[i])) continue;
    call->output_tokens_max = sheaf__given_cap(given->values[keys[i]]);
    return;
  }
  uint64_t asked = given->request->max_tokens;
  if (asked == 0) return;
  sheaf__put_number(call->body, cap, asked);
  call->output_tokens_max = asked > INT64_MAX ? INT64_MAX : (int64_t)asked;
}

static void put_stream(const sheaf__given *given, sheaf_call *call) {
  if (!given->build->stream) return;
  if (!sheaf__given_has(given, SHEAF__KEY_STREAM)) {
    sheaf__comma(call->body);
    SHEAF__PUT(call->body, "\"stream\":true");
  }
  /* Responses tell usage in their last event unasked. */
  if (call->operation == SHEAF__OPENAI_RESPONSES) return;
  if (sheaf__given_has(given, SHEAF__KEY_STREAM_OPTIONS)) return;
  sheaf__comma(call->body);
  SHEAF__PUT(call->body, "\"stream_options\":{\"include_usage\":true}");
}

/* What the bodies of most requests need, so that memory is asked for once. */
static size_t expected_bytes(const sheaf_request *request) {
  return request->prompt.bytes + request->messages.bytes + request->body.bytes +
         request->system.bytes + request->params.bytes + request->model.bytes + 192;
}

int32_t sheaf__openai_build(const sheaf_provider *provider, const sheaf_build *build,
                            sheaf_call *call) {
  (void)provider;
  sheaf__given given;
  call->output_tokens_max = SHEAF_ABSENT;
  if (!find_operation(build, &call->operation)) {
    return sheaf__build_fail(
        call, SHEAF_E_UNSUPPORTED, "url",
        "openai offers /v1/chat/completions, /v1/responses, /v1/embeddings and "
        "/v1/completions");
  }
  const operation *op = &operations[call->operation];
  if (build->stream && call->operation == SHEAF__OPENAI_EMBEDDINGS) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "stream", "embeddings cannot be streamed");
  }
  int32_t status = sheaf__given_read(build, op->content_key, call, &given);
  if (status == SHEAF_OK) status = sheaf__need_model(&given, call);
  if (status != SHEAF_OK) return status;
  sheaf_buf_append_text(call->path, op->path);
  sheaf_buf *body = call->body;
  sheaf_buf_reserve(body, expected_bytes(build->request));
  SHEAF__PUT(body, "{");
  sheaf__put_model(&given, body);
  if (given.from != SHEAF__FROM_BODY) status = put_content(&given, call);
  if (status != SHEAF_OK) return status;
  put_cap(&given, call);
  put_stream(&given, call);
  sheaf__put_params(&given, body);
  if (given.from == SHEAF__FROM_BODY) {
    sheaf__put_rest_of_body(&given, body);
  } else {
    SHEAF__PUT(body, "}");
  }
  return body->status != SHEAF_OK ? body->status : call->path->status;
}
