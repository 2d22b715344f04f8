/* members.c: what was given for a request, and writing members of its body.
 *
 * Outline: failing; the members of params; reading what was given; the operation; writing members.
 * A body goes out as the bytes it is: members it lacks are spliced in front of its first one,
 * nothing is printed again. */
#include "providers/messages.h"

#include "base/mem.h"

static const char *const key_names[SHEAF__KEY_COUNT] = {
    [SHEAF__KEY_MODEL] = "model",
    [SHEAF__KEY_STREAM] = "stream",
    [SHEAF__KEY_STREAM_OPTIONS] = "stream_options",
    [SHEAF__KEY_MAX_TOKENS] = "max_tokens",
    [SHEAF__KEY_MAX_COMPLETION_TOKENS] = "max_completion_tokens",
    [SHEAF__KEY_MAX_OUTPUT_TOKENS] = "max_output_tokens",
    [SHEAF__KEY_MESSAGES] = "messages",
    [SHEAF__KEY_INPUT] = "input",
    [SHEAF__KEY_PROMPT] = "prompt",
    [SHEAF__KEY_CONTENTS] = "contents",
    [SHEAF__KEY_SYSTEM] = "system",
    [SHEAF__KEY_INSTRUCTIONS] = "instructions",
    [SHEAF__KEY_SYSTEM_INSTRUCTION] = "systemInstruction",
    [SHEAF__KEY_OPTIONS] = "options",
    [SHEAF__KEY_GENERATION_CONFIG] = "generationConfig",
};

int32_t sheaf__build_fail(sheaf_call *call, int32_t status, const char *field,
                          const char *message) {
  call->error_field = field;
  call->error_message = message;
  return status;
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool names(const char *name, sheaf_slice key) {
  return strlen(name) == key.bytes && memcmp(name, key.data, key.bytes) == 0;
}

static sheaf_slice trimmed(sheaf_slice text) {
  while (text.bytes > 0 && is_space(text.data[0])) text = sheaf__slice_from(text, 1);
  while (text.bytes > 0 && is_space(text.data[text.bytes - 1])) text.bytes--;
  return text;
}

/* ---- Members of params ---- */

void sheaf__members_init(sheaf__members *members, sheaf_slice params) {
  members->at = params.data;
  members->end = params.bytes > 0 ? params.data + params.bytes : params.data;
  members->has_begun = false;
}

static void skip_space(sheaf__members *members) {
  while (members->at < members->end && is_space(*members->at)) members->at++;
}

/* p is behind the opening quote; answers the place behind the closing one, or NULL. */
static const char *string_end(const char *p, const char *end) {
  while (p < end && *p != '"') {
    size_t step = *p == '\\' ? 2 : 1;
    if ((size_t)(end - p) < step) return NULL;
    p += step;
  }
  return p < end ? p + 1 : NULL;
}

/* The end of a value by its brackets alone; what lies between is checked afterwards. */
static const char *value_end(const char *p, const char *end) {
  size_t depth = 0;
  while (p && p < end) {
    switch (*p) {
      case '"':
        p = string_end(p + 1, end);
        if (depth == 0) return p;
        continue;
      case '{':
      case '[': depth++; break;
      case '}':
      case ']':
        if (depth == 0) return p;
        if (--depth == 0) return p + 1;
        break;
      default:
        if (depth == 0 && (*p == ',' || is_space(*p))) return p;
    }
    p++;
  }
  return depth == 0 ? p : NULL;
}

int32_t sheaf__members_next(sheaf__members *members, sheaf_slice *key, sheaf_slice *value) {
  skip_space(members);
  if (members->at == members->end) return SHEAF_E_END;
  if (members->has_begun) {
    if (*members->at++ != ',') return SHEAF_E_SYNTAX;
    skip_space(members);
  }
  members->has_begun = true;
  const char *from = members->at;
  if (from == members->end || *from != '"') return SHEAF_E_SYNTAX;
  const char *to = string_end(from + 1, members->end);
  if (!to) return SHEAF_E_SYNTAX;
  *key = (sheaf_slice){from + 1, (size_t)(to - from) - 2};
  int32_t status = sheaf_json_check((sheaf_slice){from, (size_t)(to - from)}, NULL);
  if (status != SHEAF_OK) return status;
  members->at = to;
  skip_space(members);
  if (members->at == members->end || *members->at++ != ':') return SHEAF_E_SYNTAX;
  skip_space(members);
  from = members->at;
  to = value_end(from, members->end);
  if (!to) return SHEAF_E_SYNTAX;
  *value = (sheaf_slice){from, (size_t)(to - from)};
  members->at = to;
  return sheaf_json_check(*value, NULL);
}

/* ---- What was given ---- */

static int32_t read_params(sheaf__given *given, sheaf_call *call) {
  sheaf__members members;
  sheaf_slice key, value;
  sheaf__members_init(&members, given->params);
  for (;;) {
    int32_t status = sheaf__members_next(&members, &key, &value);
    if (status == SHEAF_E_END) return SHEAF_OK;
    if (status != SHEAF_OK) {
      return sheaf__build_fail(call, status, "params",
                               "params are not JSON members; write them as \"temperature\":0");
    }
    for (uint32_t i = 0; i < SHEAF__KEY_COUNT; i++) {
      if (names(key_names[i], key) && given->values[i].bytes == 0) given->values[i] = value;
    }
  }
}

static int32_t read_body(sheaf__given *given, sheaf_call *call) {
  sheaf_slice body = trimmed(given->request->body);
  int32_t status = sheaf_json_pick(body, key_names, SHEAF__KEY_COUNT, given->values, NULL, NULL);
  if (status != SHEAF_OK) {
    return sheaf__build_fail(call, status, "body", "the body is not valid JSON");
  }
  if (sheaf_json_kind(body) != SHEAF_JSON_OBJECT) {
    return sheaf__build_fail(call, SHEAF_E_TYPE, "body", "the body must be a JSON object");
  }
  given->body = given->request->body;
  return SHEAF_OK;
}

static int32_t check_stream(const sheaf__given *given, sheaf_call *call) {
  sheaf_slice value = given->values[SHEAF__KEY_STREAM];
  if (value.bytes == 0 || sheaf_json_true(value) == given->build->stream) return SHEAF_OK;
  if (sheaf_json_true(value)) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, "stream",
                             "remove stream from the body or pass --stream");
  }
  return sheaf__build_fail(
      call, SHEAF_E_FIELD, "stream",
      "a stream was asked for but the body turns it off; remove stream from it");
}

/* Exactly one of prompt, messages and body, or none when params hold the content. */
static int32_t choose_source(sheaf__given *given, uint32_t content_key, sheaf_call *call) {
  const sheaf_request *request = given->request;
  bool has_prompt = request->prompt.data != NULL; /* an empty prompt is one */
  bool has_messages = request->messages.bytes > 0;
  bool has_body = request->body.bytes > 0;
  int count = has_prompt + has_messages + has_body;
  bool in_params = !has_body && sheaf__given_has(given, content_key);
  if (count + in_params > 1) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, key_names[content_key],
                             "give only one of prompt, messages and body");
  }
  if (count == 0 && !in_params) {
    return sheaf__build_fail(call, SHEAF_E_FIELD, key_names[content_key],
                             "nothing to send; give a prompt, messages or a body, and a url for "
                             "embeddings and other operations");
  }
  given->from = has_prompt     ? SHEAF__FROM_PROMPT
                : has_messages ? SHEAF__FROM_MESSAGES
                : has_body     ? SHEAF__FROM_BODY
                               : SHEAF__FROM_PARAMS;
  return SHEAF_OK;
}

int32_t sheaf__given_read(const sheaf_build *build, uint32_t content_key, sheaf_call *call,
                          sheaf__given *given) {
  memset(given, 0, sizeof *given);
  given->build = build;
  given->request = build->request;
  given->params = trimmed(build->request->params);
  int32_t status = SHEAF_OK;
  if (build->request->body.bytes > 0) status = read_body(given, call);
  if (status == SHEAF_OK && given->params.bytes > 0) status = read_params(given, call);
  if (status == SHEAF_OK) status = choose_source(given, content_key, call);
  if (status == SHEAF_OK) status = check_stream(given, call);
  return status;
}

int32_t sheaf__need_model(const sheaf__given *given, sheaf_call *call) {
  if (given->request->model.bytes > 0 || sheaf__given_has(given, SHEAF__KEY_MODEL)) return SHEAF_OK;
  return sheaf__build_fail(call, SHEAF_E_FIELD, "model",
                           "no model is named; pass --model or give one with the request");
}

int64_t sheaf__given_cap(sheaf_slice value) {
  int64_t number = 0;
  if (value.bytes == 0 || sheaf_json_int(value, &number) != SHEAF_OK) return SHEAF_ABSENT;
  return number < 0 ? SHEAF_ABSENT : number;
}

sheaf_slice sheaf__operation_path(const sheaf_build *build) {
  sheaf_slice path = build->request->url.bytes > 0 ? build->request->url : build->default_url;
  if (path.bytes == 0) return path;
  const char *query = memchr(path.data, '?', path.bytes);
  if (query) path.bytes = (size_t)(query - path.data);
  while (path.bytes > 0 && path.data[path.bytes - 1] == '/') path.bytes--;
  if (path.bytes > 3 && memcmp(path.data, "/v1/", 4) == 0) path = sheaf__slice_from(path, 3);
  return path;
}

/* ---- Writing ---- */

void sheaf__comma(sheaf_buf *buf) {
  char last = buf->bytes > 0 ? buf->data[buf->bytes - 1] : '{';
  if (last != '{' && last != '[') sheaf_buf_append(buf, ",", 1);
}

void sheaf__put_member(sheaf_buf *buf, sheaf_slice key, sheaf_slice value) {
  sheaf__comma(buf);
  SHEAF__PUT(buf, "\"");
  sheaf_buf_append_slice(buf, key);
  SHEAF__PUT(buf, "\":");
  sheaf_buf_append_slice(buf, value);
}

void sheaf__put_number(sheaf_buf *buf, const char *key, uint64_t number) {
  sheaf__comma(buf);
  SHEAF__PUT(buf, "\"");
  sheaf_buf_append_text(buf, key);
  SHEAF__PUT(buf, "\":");
  sheaf_buf_append_u64(buf, number);
}

void sheaf__put_prompt(const sheaf__given *given, sheaf_buf *buf) {
  const sheaf_request *request = given->request;
  if ((request->flags & SHEAF_REQUEST_PROMPT_ESCAPED) == 0) {
    sheaf_buf_append_string(buf, request->prompt);
    return;
  }
  SHEAF__PUT(buf, "\"");
  sheaf_buf_append_slice(buf, request->prompt);
  SHEAF__PUT(buf, "\"");
}

void sheaf__put_model(const sheaf__given *given, sheaf_buf *buf) {
  if (sheaf__given_has(given, SHEAF__KEY_MODEL) || given->request->model.bytes == 0) return;
  sheaf__comma(buf);
  SHEAF__PUT(buf, "\"model\":");
  sheaf_buf_append_string(buf, given->request->model);
}

/* A rare path: params beside a whole body. */
bool sheaf__body_has(const sheaf__given *given, sheaf_slice key) {
  sheaf_json_iter iter;
  sheaf_slice member, value;
  if (sheaf_json_iter_init(&iter, trimmed(given->body)) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &member, &value) == SHEAF_OK) {
    if (sheaf__slice_equal(member, key)) return true;
  }
  return false;
}

void sheaf__put_params(const sheaf__given *given, sheaf_buf *buf) {
  if (given->params.bytes == 0) return;
  if (given->from != SHEAF__FROM_BODY) {
    sheaf__comma(buf);
    sheaf_buf_append_slice(buf, given->params);
    return;
  }
  sheaf__members members;
  sheaf_slice key, value;
  sheaf__members_init(&members, given->params);
  while (sheaf__members_next(&members, &key, &value) == SHEAF_OK) {
    if (!sheaf__body_has(given, key)) sheaf__put_member(buf, key, value);
  }
}

void sheaf__put_rest_of_body(const sheaf__given *given, sheaf_buf *buf) {
  if (buf->bytes == 1) { /* nothing but the opening brace */
    sheaf_buf_reset(buf);
    sheaf_buf_append_slice(buf, given->body);
    return;
  }
  sheaf_slice rest = sheaf__slice_from(trimmed(given->body), 1);
  sheaf_slice inside = trimmed(rest);
  if (inside.data[0] != '}') sheaf__comma(buf);
  sheaf_buf_append_slice(buf, rest);
}

/* ---- Options in an object of their own ---- */

static const sheaf__moved *moved_find(const sheaf__nest *nest, sheaf_slice key) {
  for (size_t i = 0; i < nest->moved_count; i++) {
    if (names(nest->moved[i].given, key)) return &nest->moved[i];
  }
  return NULL;
}

static bool is_dropped(const sheaf__nest *nest, sheaf_slice key) {
  for (size_t i = 0; i < nest->dropped_count; i++) {
    if (names(nest->dropped[i], key)) return true;
  }
  return false;
}

/* The object under the nest's own name, empty if there is none. */
static sheaf_slice nest_object(const sheaf__given *given, const sheaf__nest *nest) {
  sheaf_slice object = given->values[nest->key];
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return (sheaf_slice){NULL, 0};
  return object;
}

/* A moved param that holds the cap. */
static sheaf_slice moved_cap(const sheaf__given *given, const sheaf__nest *nest) {
  sheaf__members members;
  sheaf_slice key, value, found = {NULL, 0};
  sheaf__members_init(&members, given->params);
  while (sheaf__members_next(&members, &key, &value) == SHEAF_OK) {
    const sheaf__moved *moved = moved_find(nest, key);
    if (moved && nest->cap && strcmp(moved->name, nest->cap) == 0) found = value;
  }
  return found;
}

int64_t sheaf__nest_cap(const sheaf__given *given, const sheaf__nest *nest) {
  if (!nest->cap) return SHEAF_ABSENT;
  sheaf_slice object = nest_object(given, nest);
  sheaf_slice cap = object.bytes > 0 ? sheaf_json_member(object, nest->cap) : object;
  if (cap.bytes > 0) return sheaf__given_cap(cap);
  /* A body's own object is left alone, so nothing else can have set one. */
  if (object.bytes > 0 && given->from == SHEAF__FROM_BODY) return SHEAF_ABSENT;
  cap = moved_cap(given, nest);
  if (cap.bytes > 0) return sheaf__given_cap(cap);
  uint64_t asked = given->request->max_tokens;
  return asked == 0 || asked > INT64_MAX ? SHEAF_ABSENT : (int64_t)asked;
}

/* Two spellings of one option in params ("top_p" and "topP"): the first is sent. */
static bool moved_before(const sheaf__given *given, const sheaf__nest *nest, const char *name,
                         const char *until) {
  sheaf__members members;
  sheaf_slice key, value;
  sheaf__members_init(&members, given->params);
  while (sheaf__members_next(&members, &key, &value) == SHEAF_OK) {
    if (key.data >= until) return false;
    const sheaf__moved *moved = moved_find(nest, key);
    if (moved && strcmp(moved->name, name) == 0) return true;
  }
  return false;
}

static void put_moved(const sheaf__given *given, const sheaf__nest *nest, sheaf_slice object,
                      sheaf_buf *buf) {
  sheaf__members members;
  sheaf_slice key, value;
  sheaf__members_init(&members, given->params);
  while (sheaf__members_next(&members, &key, &value) == SHEAF_OK) {
    const sheaf__moved *moved = moved_find(nest, key);
    if (!moved || moved_before(given, nest, moved->name, key.data)) continue;
    if (object.bytes > 0 && sheaf_json_member(object, moved->name).bytes > 0) continue;
    bool wraps = moved->as_array && sheaf_json_kind(value) == SHEAF_JSON_STRING;
    sheaf__comma(buf);
    SHEAF__PUT(buf, "\"");
    sheaf_buf_append_text(buf, moved->name);
    sheaf_buf_append_text(buf, wraps ? "\":[" : "\":");
    sheaf_buf_append_slice(buf, value);
    if (wraps) SHEAF__PUT(buf, "]");
  }
}

void sheaf__put_nest(const sheaf__given *given, const sheaf__nest *nest, sheaf_buf *buf) {
  sheaf_slice object = nest_object(given, nest);
  if (given->from == SHEAF__FROM_BODY && sheaf__given_has(given, nest->key) &&
      sheaf__body_has(given, sheaf_slice_of(nest->name))) {
    return;
  }
  size_t mark = buf->bytes;
  sheaf__comma(buf);
  SHEAF__PUT(buf, "\"");
  sheaf_buf_append_text(buf, nest->name);
  SHEAF__PUT(buf, "\":{");
  size_t empty = buf->bytes;
  if (object.bytes > 2) {
    sheaf_slice inside = trimmed((sheaf_slice){object.data + 1, object.bytes - 2});
    sheaf_buf_append_slice(buf, inside);
  }
  put_moved(given, nest, object, buf);
  if (nest->cap && given->request->max_tokens > 0) {
    bool in_object = object.bytes > 0 && sheaf_json_member(object, nest->cap).bytes > 0;
    if (!in_object && moved_cap(given, nest).bytes == 0) {
      sheaf__put_number(buf, nest->cap, given->request->max_tokens);
    }
  }
  if (buf->status == SHEAF_OK && buf->bytes == empty) {
    buf->bytes = mark; /* no options: no object */
    return;
  }
  SHEAF__PUT(buf, "}");
}

void sheaf__put_unnested(const sheaf__given *given, const sheaf__nest *nest, sheaf_buf *buf) {
  sheaf__members members;
  sheaf_slice key, value;
  sheaf__members_init(&members, given->params);
  while (sheaf__members_next(&members, &key, &value) == SHEAF_OK) {
    if (moved_find(nest, key) || is_dropped(nest, key) || names(nest->name, key)) continue;
    if (given->from == SHEAF__FROM_BODY && sheaf__body_has(given, key)) continue;
    sheaf__put_member(buf, key, value);
  }
}
