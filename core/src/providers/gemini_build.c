/* gemini_build.c: requests to Google's Gemini API (v1beta).
 *
 * Outline: which names move into generationConfig; the model, which stands in the path; contents;
 * the body, which a count takes as one member. The stream is a matter of the path too. */
#include "providers/gemini.h"

#include "base/mem.h"
#include "providers/decoding.h"
#include "providers/messages.h"

/* The names of protocols 3.1, as users of other providers write them and as Google does. */
static const sheaf__moved moved[] = {
    {"temperature", "temperature", false},
    {"top_p", "topP", false},
    {"topP", "topP", false},
    {"top_k", "topK", false},
    {"topK", "topK", false},
    {"seed", "seed", false},
    {"stop", "stopSequences", true},
    {"stop_sequences", "stopSequences", true},
    {"stopSequences", "stopSequences", true},
    {"max_tokens", "maxOutputTokens", false},
    {"max_completion_tokens", "maxOutputTokens", false},
    {"max_output_tokens", "maxOutputTokens", false},
    {"maxOutputTokens", "maxOutputTokens", false},
    {"n", "candidateCount", false},
    {"candidate_count", "candidateCount", false},
    {"candidateCount", "candidateCount", false},
    {"presence_penalty", "presencePenalty", false},
    {"presencePenalty", "presencePenalty", false},
    {"frequency_penalty", "frequencyPenalty", false},
    {"frequencyPenalty", "frequencyPenalty", false},
    {"response_mime_type", "responseMimeType", false},
    {"responseMimeType", "responseMimeType", false},
    {"response_schema", "responseSchema", false},
    {"responseSchema", "responseSchema", false},
    {"response_json_schema", "responseJsonSchema", false},
    {"responseJsonSchema", "responseJsonSchema", false},
    {"thinking_config", "thinkingConfig", false},
    {"thinkingConfig", "thinkingConfig", false},
    {"response_logprobs", "responseLogprobs", false},
    {"responseLogprobs", "responseLogprobs", false},
    {"logprobs", "logprobs", false},
};

static const char *const dropped[] = {"model", "stream"}; /* both stand in the path */

static const sheaf__nest nest = {
    .name = "generationConfig",
    .key = SHEAF__KEY_GENERATION_CONFIG,
    .cap = "maxOutputTokens",
    .moved = moved,
    .moved_count = sizeof moved / sizeof moved[0],
    .dropped = dropped,
    .dropped_count = sizeof dropped / sizeof dropped[0],
};

/* ---- Path ---- */

static bool starts_with(sheaf_slice text, const char *start) {
  size_t bytes = strlen(start);
  return text.bytes >= bytes && memcmp(text.data, start, bytes) == 0;
}

/* A url may name the whole call: "/v1beta/models/NAME:generateContent". Fills the model and the
 * operation it names. False: some other operation. */
static bool read_url(const sheaf_build *build, sheaf_slice *model, uint32_t *operation) {
  static const char *const methods[] = {":generateContent", ":streamGenerateContent",
                                        ":countTokens"};
  sheaf_slice path = sheaf__operation_path(build);
  *model = (sheaf_slice){NULL, 0};
  *operation = SHEAF__GEMINI_GENERATE;
  if (path.bytes == 0) return true;
  if (starts_with(path, "/v1beta/")) path = sheaf__slice_from(path, 7);
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    size_t bytes = strlen(methods[i]);
    if (path.bytes < bytes) continue;
    if (memcmp(path.data + path.bytes - bytes, methods[i], bytes) != 0) continue;
    if (i == 2) *operation = SHEAF__GEMINI_COUNT;
    sheaf_slice named = {path.data, path.bytes - bytes};
    if (named.bytes == 0) return true;
    if (!starts_with(named, "/models/") && !starts_with(named, "/tunedModels/")) return false;
    *model = sheaf__slice_from(named, 1);
    return true;
  }
  return false;
}

/* Bytes that mean something else in a path are written as %XX. */
static void put_path_text(sheaf_buf *path, sheaf_slice text) {
  static const char hex[] = "0123456789ABCDEF";
  static const char plain[] = "-._~/@";
  for (size_t i = 0; i < text.bytes; i++) {
    unsigned char c = (unsigned char)text.data[i];
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c != 0 && strchr(plain, c) != NULL);
    char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
    sheaf_buf_append(path, is_plain ? &text.data[i] : escaped, is_plain ? 1 : 3);
  }
}

static bool is_full(sheaf_slice model) {
  return starts_with(model, "models/") || starts_with(model, "tunedModels/");
}

static void put_path(const sheaf_build *build, sheaf_slice model, sheaf_call *call) {
  sheaf_buf_append_text(call->path, is_full(model) ? "/" : "/models/");
  put_path_text(call->path, model);
  if (call->operation == SHEAF__GEMINI_COUNT) {
    sheaf_buf_append_text(call->path, ":countTokens");
  } else {
    sheaf_buf_append_text(call->path,
                          build->stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
  }
}

/* The body's or params' model counts first, as it does for every other provider. */
static sheaf_slice choose_model(const sheaf__given *given, sheaf_slice in_url) {
  sheaf_slice model = sheaf_json_inside(given->values[SHEAF__KEY_MODEL]);
  if (model.bytes > 0) return model;
  return in_url.bytes > 0 ? in_url : given->request->model;
}

/* ---- Contents ---- */

static void put_parts(sheaf_buf *body, sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  SHEAF__PUT(body, "\"parts\":[");
  if (sheaf_json_kind(content) == SHEAF_JSON_STRING) {
    SHEAF__PUT(body, "{\"text\":");
    sheaf_buf_append_slice(body, content);
    SHEAF__PUT(body, "}");
  } else if (sheaf_json_iter_init(&iter, content) == SHEAF_OK) {
    while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
      sheaf__comma(body);
      SHEAF__PUT(body, "{\"text\":");
      sheaf_buf_append_slice(body, sheaf_json_member(part, "text"));
      SHEAF__PUT(body, "}");
    }
  }
  SHEAF__PUT(body, "]");
}

static int32_t put_messages(const sheaf__given *given, sheaf_call *call, bool *has_system) {
  sheaf_buf *body = call->body;
  sheaf_json_iter iter;
  sheaf__message message;
  int32_t status = sheaf__messages_check(given->request->messages, call, has_system);
  if (status != SHEAF_OK) return status;
  status = sheaf__messages_iter(given->request->messages, &iter);
  SHEAF__PUT(body, "\"contents\":[");
  while (status == SHEAF_OK) {
    status = sheaf__message_next(&iter, &message);
    if (status != SHEAF_OK || message.role == SHEAF__ROLE_SYSTEM) continue;
    sheaf__comma(body);
    if (message.role == SHEAF__ROLE_USER) {
      SHEAF__PUT(body, "{\"role\":\"user\",");
    } else {
      SHEAF__PUT(body, "{\"role\":\"model\",");
    }
    put_parts(body, message.content);
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
    SHEAF__PUT(body, "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":");
    sheaf__put_prompt(given, body);
    SHEAF__PUT(body, "}]}]");
  }
  if (sheaf__given_has(given, SHEAF__KEY_SYSTEM_INSTRUCTION)) return SHEAF_OK;
  if (!has_system && given->request->system.bytes == 0) return SHEAF_OK;
  sheaf__comma(body);
  SHEAF__PUT(body, "\"systemInstruction\":{\"parts\":[{\"text\":");
  if (has_system) {
    sheaf__put_system_string(body, given->request->messages);
  } else {
    sheaf_buf_append_string(body, given->request->system);
  }
  SHEAF__PUT(body, "}]}");
  return SHEAF_OK;
}

/* The stream stands in the path, so that a body that says it too is wrong either way. */
static int32_t check_given(const sheaf__given *given, sheaf_slice model, sheaf_call *call) {
  if (model.bytes == 0) return sheaf__need_model(given, call);
  if (call->operation == SHEAF__GEMINI_COUNT && given->build->stream)
    return sheaf__build_fail(call, SHEAF_E_FIELD, "stream", "a count cannot be streamed");
  if (given->from == SHEAF__FROM_BODY && given->build->stream &&
      sheaf__given_has(given, SHEAF__KEY_STREAM)) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "stream", "remove stream from the body");
  }
  sheaf_slice object = given->values[SHEAF__KEY_GENERATION_CONFIG];
  if (object.bytes > 0 && sheaf_json_kind(object) != SHEAF_JSON_OBJECT) {
    return sheaf__build_fail(call, SHEAF_E_TYPE, "generationConfig",
                             "generationConfig must be an object");
  }
  return SHEAF_OK;
}

/* Content, options and params, or the body with what it lacks, into an object that is open. */
static int32_t put_request(const sheaf__given *given, sheaf_call *call) {
  if (given->from != SHEAF__FROM_BODY) {
    int32_t status = put_content(given, call);
    if (status != SHEAF_OK) return status;
  }
  sheaf__put_nest(given, &nest, call->body);
  call->output_tokens_max = sheaf__nest_cap(given, &nest);
  sheaf__put_unnested(given, &nest, call->body);
  if (given->from == SHEAF__FROM_BODY) {
    sheaf__put_rest_of_body(given, call->body);
  } else {
    SHEAF__PUT(call->body, "}");
  }
  return SHEAF_OK;
}

static bool body_has(const sheaf__given *given, const char *name) {
  return given->from == SHEAF__FROM_BODY && sheaf__body_has(given, sheaf_slice_of(name));
}

/* What is counted stands in a member, which a body may have already. */
static int32_t put_counted(const sheaf__given *given, sheaf_slice model, sheaf_call *call) {
  int32_t status = SHEAF_OK;
  sheaf_buf *body = call->body;
  if (body_has(given, "generateContentRequest") || body_has(given, "generate_content_request")) {
    sheaf__put_rest_of_body(given, body);
  } else {
    SHEAF__PUT(body, "\"generateContentRequest\":{");
    if (!body_has(given, "model")) {
      SHEAF__PUT(body, "\"model\":\"");
      if (!is_full(model)) SHEAF__PUT(body, "models/");
      sheaf_buf_append_escaped(body, model);
      SHEAF__PUT(body, "\"");
    }
    status = put_request(given, call);
    SHEAF__PUT(body, "}");
  }
  call->output_tokens_max = 0;
  return status;
}

int32_t sheaf__gemini_build(const sheaf_provider *provider, const sheaf_build *build,
                            sheaf_call *call) {
  (void)provider;
  sheaf__given given;
  sheaf_slice in_url;
  const sheaf_request *request = build->request;
  call->output_tokens_max = SHEAF_ABSENT;
  if (!read_url(build, &in_url, &call->operation)) {
    return sheaf__build_fail(call, SHEAF_E_UNSUPPORTED, "url",
                             "gemini offers /v1beta/models/MODEL:generateContent and "
                             ":countTokens");
  }
  int32_t status = sheaf__given_read(build, SHEAF__KEY_CONTENTS, call, &given);
  if (status != SHEAF_OK) return status;
  sheaf_slice model = choose_model(&given, in_url);
  status = check_given(&given, model, call);
  if (status != SHEAF_OK) return status;
  put_path(build, model, call);
  sheaf_buf *body = call->body;
  sheaf_buf_reserve(body, request->prompt.bytes + request->messages.bytes + request->body.bytes +
                              request->system.bytes + request->params.bytes + 256);
  SHEAF__PUT(body, "{");
  status = call->operation == SHEAF__GEMINI_COUNT ? put_counted(&given, model, call)
                                                  : put_request(&given, call);
  if (status != SHEAF_OK) return status;
  return body->status != SHEAF_OK ? body->status : call->path->status;
}
