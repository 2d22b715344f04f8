/* body.c: the input tokens of a whole request body, in the shape of any provider.
 *
 *   text        strings, parts with text
 *   messages    chat messages, items of a response's input, turns of contents
 *   the body    which member is what
 *
 * Chat costs more than its text: 3 tokens a message, its role, 1 and the name where it has one, and 3 for the
 * reply's beginning (OpenAI's cookbook; gpt-tokenizer 4.0, functionCalling.js). The text of a response's input and its
 * instructions are messages, too. Tools are sent to the model in a form of OpenAI's own, about as long as their JSON
 * without quotes and commas: their text is counted and 9 more, and the answer is an estimate (ibid.). Schemas of answers
 * likewise. Images, audio and files are not counted, and make it one, too. */
#include <sheaf/tokens.h>

#include "base/mem.h"

#include <string.h>

#define PER_MESSAGE 3u
#define PER_REPLY 3u
#define PER_NAME 1u
#define PER_ROLE 1u /* "user", "system": one token in each of OpenAI's vocabularies */
#define PER_TOOLS 9u
#define DEPTH_MAX 32u /* of nested arrays and objects that are looked into */

enum {
  MODEL,
  MESSAGES,
  INPUT,
  PROMPT,
  SUFFIX,
  SYSTEM,
  INSTRUCTIONS,
  OUTPUT_CAP,
  DIMENSIONS,
  ENCODING_FORMAT,
  CONTENTS,
  SYSTEM_INSTRUCTION,
  SYSTEM_INSTRUCTION_TOO,
  TOOLS,
  FUNCTIONS,
  FORMAT, /* from here on: schemas */
  TEXT_FORMAT,
  OLLAMA_FORMAT,
  OUTPUT_FORMAT,
  GEMINI_SCHEMA,
  GEMINI_JSON_SCHEMA,
  VALUE_COUNT
};
static const char *const paths[VALUE_COUNT] = {"model",
                                               "messages",
                                               "input",
                                               "prompt",
                                               "suffix",
                                               "system",
                                               "instructions",
                                               "max_output_tokens",
                                               "dimensions",
                                               "encoding_format",
                                               "contents",
                                               "systemInstruction",
                                               "system_instruction",
                                               "tools",
                                               "functions",
                                               "response_format",
                                               "text.format",
                                               "format",
                                               "output_config.format",
                                               "generationConfig.responseSchema",
                                               "generationConfig.responseJsonSchema"};

typedef struct body_count {
  sheaf_tokenizer *tokenizer;
  sheaf_buf *scratch;
  size_t count;
  bool is_estimate;
} body_count;

/* The inside of a JSON string. */
static int32_t add_text(body_count *to, sheaf_slice inside) {
  size_t count = 0;
  sheaf_slice text = inside;
  if (inside.bytes && memchr(inside.data, '\\', inside.bytes)) {
    sheaf_buf_reset(to->scratch);
    int32_t status = sheaf_buf_append_unescaped(to->scratch, inside);
    if (status != SHEAF_OK) return status;
    text = sheaf_buf_slice(to->scratch);
  }
  int32_t status = sheaf_tokens_count(to->tokenizer, text, NULL, SIZE_MAX, &count);
  to->count += count;
  return status;
}

static int32_t add_string(body_count *to, sheaf_slice value) {
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING) return SHEAF_OK;
  return add_text(to, sheaf_json_inside(value));
}

/* Every name and text inside of a value: what tools and calls of them come to, roughly. */
static int32_t add_all_text(body_count *to, sheaf_slice value, unsigned depth) {
  uint32_t kind = sheaf_json_kind(value);
  sheaf_json_iter iter;
  sheaf_slice key, item;
  to->is_estimate = true;
  if (kind == SHEAF_JSON_STRING) return add_string(to, value);
  if (kind == SHEAF_JSON_NUMBER || kind == SHEAF_JSON_BOOL) to->count++;
  if ((kind != SHEAF_JSON_ARRAY && kind != SHEAF_JSON_OBJECT) || depth == DEPTH_MAX)
    return SHEAF_OK;
  int32_t status = sheaf_json_iter_init(&iter, value);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK) {
    if (key.bytes) status = add_text(to, key);
    if (status == SHEAF_OK) status = add_all_text(to, item, depth + 1);
  }
  return status;
}

/* Text, a part with text, or an array of them. */
static int32_t add_content(body_count *to, sheaf_slice content, unsigned depth) {
  uint32_t kind = sheaf_json_kind(content);
  sheaf_json_iter iter;
  sheaf_slice key, item;
  if (kind == SHEAF_JSON_STRING) return add_string(to, content);
  if (kind == SHEAF_JSON_OBJECT) {
    sheaf_slice text = sheaf_json_member(content, "text");
    if (sheaf_json_kind(text) == SHEAF_JSON_STRING) return add_string(to, text);
    to->is_estimate = true; /* an image, a file, a tool's result or call */
    sheaf_slice inner = sheaf_json_member(content, "content");
    if (inner.bytes == 0) return add_all_text(to, sheaf_json_member(content, "input"), depth);
    return depth < DEPTH_MAX ? add_content(to, inner, depth + 1) : SHEAF_OK;
  }
  if (kind != SHEAF_JSON_ARRAY) return SHEAF_OK;
  int32_t status = sheaf_json_iter_init(&iter, content);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK)
    status = depth < DEPTH_MAX ? add_content(to, item, depth + 1) : SHEAF_OK;
  return status;
}

/* Members of a message that are neither text nor name, and items of a response's input that are no messages: calls of
 * tools, their results, thoughts. */
static int32_t add_rest(body_count *to, sheaf_slice message) {
  static const char *const members[] = {"tool_calls", "function_call", "arguments", "output",
                                        "images"};
  int32_t status = SHEAF_OK;
  for (size_t i = 0; i < sizeof members / sizeof *members && status == SHEAF_OK; i++) {
    sheaf_slice value = sheaf_json_member(message, members[i]);
    uint32_t kind = sheaf_json_kind(value);
    if (kind == SHEAF_JSON_NONE || kind == SHEAF_JSON_NULL) continue;
    to->is_estimate = true;
    if (i < 4) status = add_all_text(to, value, 0); /* images are base64, and cost something else */
  }
  return status;
}

static int32_t add_message(body_count *to, sheaf_slice message) {
  sheaf_slice name = sheaf_json_member(message, "name");
  sheaf_slice role = sheaf_json_member(message, "role");
  sheaf_slice content = sheaf_json_member(message, "content");
  if (content.bytes == 0) content = sheaf_json_member(message, "parts"); /* Gemini */
  to->count += PER_MESSAGE;
  if (role.bytes == 0) to->is_estimate = true;
  int32_t status = add_string(to, role);
  if (status == SHEAF_OK) status = add_content(to, content, 0);
  if (status == SHEAF_OK && sheaf_json_kind(name) == SHEAF_JSON_STRING) {
    to->count += PER_NAME;
    status = add_string(to, name);
  }
  return status == SHEAF_OK ? add_rest(to, message) : status;
}

static int32_t add_messages(body_count *to, sheaf_slice messages) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  int32_t status = sheaf_json_iter_init(&iter, messages);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK)
    if (sheaf_json_kind(item) == SHEAF_JSON_OBJECT) status = add_message(to, item);
  to->count += PER_REPLY;
  return status;
}

/* The numbers of an array, which are tokens already. */
static int32_t add_numbers(body_count *to, sheaf_slice numbers) {
  sheaf_json_iter iter;
  sheaf_slice key, number;
  int32_t status = sheaf_json_iter_init(&iter, numbers);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &number) == SHEAF_OK) to->count++;
  return status;
}

/* "input" of embeddings and responses, "prompt" of completions: text, texts, token numbers, or messages. */
static int32_t add_input(body_count *to, sheaf_slice input) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  if (sheaf_json_kind(input) != SHEAF_JSON_ARRAY) return add_content(to, input, 0);
  int32_t status = sheaf_json_iter_init(&iter, input);
  bool has_messages = false;
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK) {
    uint32_t kind = sheaf_json_kind(item);
    if (kind == SHEAF_JSON_NUMBER) to->count++;
    if (kind == SHEAF_JSON_STRING) status = add_string(to, item);
    if (kind == SHEAF_JSON_OBJECT) status = add_message(to, item), has_messages = true;
    if (kind == SHEAF_JSON_ARRAY) status = add_numbers(to, item);
  }
  if (has_messages) to->count += PER_REPLY;
  return status;
}

/* Text as "input" is a user's message of a response, but what is embedded is text alone. The body does not say which
 * it is: models that embed have it in their names, and only a response has instructions or a cap. */
static bool is_response(const sheaf_slice *values) {
  static const char word[] = "embed";
  sheaf_slice model = sheaf_json_inside(values[MODEL]);
  if (values[INSTRUCTIONS].bytes || values[OUTPUT_CAP].bytes || values[TEXT_FORMAT].bytes)
    return true;
  for (size_t at = 0; at + sizeof word - 1 <= model.bytes; at++)
    if (memcmp(model.data + at, word, sizeof word - 1) == 0) return false;
  return values[DIMENSIONS].bytes == 0 && values[ENCODING_FORMAT].bytes == 0;
}

static int32_t add_inputs(body_count *to, const sheaf_slice *values) {
  int32_t status = SHEAF_OK;
  if (values[INPUT].bytes) status = add_input(to, values[INPUT]);
  if (sheaf_json_kind(values[INPUT]) == SHEAF_JSON_STRING && is_response(values))
    to->count += PER_MESSAGE + PER_ROLE + PER_REPLY;
  if (sheaf_json_kind(values[INSTRUCTIONS]) == SHEAF_JSON_STRING)
    to->count += PER_MESSAGE + PER_ROLE;
  if (status == SHEAF_OK) status = add_content(to, values[INSTRUCTIONS], 0);
  if (status == SHEAF_OK && values[PROMPT].bytes) status = add_input(to, values[PROMPT]);
  if (status == SHEAF_OK) status = add_content(to, values[SUFFIX], 0);
  return status;
}

/* "text" and "json_object" say how to answer and are not shown to the model. */
static bool is_schema(sheaf_slice format) {
  if (sheaf_json_kind(format) != SHEAF_JSON_OBJECT) return false;
  sheaf_slice type = sheaf_json_member(format, "type");
  return !sheaf_json_equals(type, "text") && !sheaf_json_equals(type, "json_object");
}

/* Tools in any shape, and schemas of what is to be answered. */
static int32_t add_extras(body_count *to, const sheaf_slice *values) {
  int32_t status = SHEAF_OK;
  for (size_t i = TOOLS; i <= FUNCTIONS && status == SHEAF_OK; i++)
    if (sheaf_json_kind(values[i]) == SHEAF_JSON_ARRAY) {
      to->count += PER_TOOLS;
      status = add_all_text(to, values[i], 0);
    }
  for (size_t i = FORMAT; i < VALUE_COUNT && status == SHEAF_OK; i++)
    if (is_schema(values[i])) status = add_all_text(to, values[i], 0);
  return status;
}

int32_t sheaf_tokens_count_body(sheaf_tokenizer *tokenizer, sheaf_slice body, sheaf_buf *scratch,
                                size_t *count, bool *is_estimate) {
  sheaf_slice values[VALUE_COUNT];
  if (tokenizer == NULL || scratch == NULL || count == NULL) return SHEAF_E_MISUSE;
  body_count to = {.tokenizer = tokenizer, .scratch = scratch};
  int32_t status = sheaf_json_pick(body, paths, VALUE_COUNT, values, NULL, NULL);
  if (status == SHEAF_OK && values[MESSAGES].bytes) status = add_messages(&to, values[MESSAGES]);
  if (status == SHEAF_OK && values[CONTENTS].bytes) status = add_messages(&to, values[CONTENTS]);
  if (status == SHEAF_OK) status = add_inputs(&to, values);
  if (status == SHEAF_OK) status = add_content(&to, values[SYSTEM], 0);
  for (size_t i = SYSTEM_INSTRUCTION; i <= SYSTEM_INSTRUCTION_TOO && status == SHEAF_OK; i++)
    if (values[i].bytes) status = add_content(&to, sheaf_json_member(values[i], "parts"), 0);
  if (status == SHEAF_OK) status = add_extras(&to, values);
  if (status != SHEAF_OK) return status;
  *count = to.count;
  if (is_estimate != NULL) *is_estimate = to.is_estimate;
  return SHEAF_OK;
}
