/* sim_ollama_read.c: what a body for Ollama asks for, and whether its server would take it, in the
 * order and the words of that server (protocols 4). Fields that it does not know it ignores.
 *
 * Outline: Go's complaints; formats; options; tools; messages; chat and generate; embed; show. */
#include "sim_shapes.h"

#include <string.h>

#define COUNT_OF(table) ((uint32_t)(sizeof(table) / sizeof *(table)))
#define IMAGE_BYTES 1032u /* 258 tokens: what image encoders of small models give */
#define ONE(its_name, its_kinds) \
  { .name = its_name, .kinds = (its_kinds) }

static const sheaf_slice nothing = {NULL, 0};

static uint32_t fail(sim_call *call, const char *field, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, sentence, nothing);
}

static uint32_t no_model(sim_call *call) {
  return sheaf__sim_fail(call, SIM_MISSING_FIELD, "model", NULL, nothing);
}

/* Go decodes a body into a struct; a wrong type is told with the struct's name. */
static uint32_t check(sim_call *call, const char *type, const sim_field *fields, uint32_t count,
                      sheaf_slice *values) {
  return sheaf__sim_at(call, sheaf__sim_check(call, fields, count, true, values), type, 0, 0);
}

/* ---- Formats ---- */

/* "json", or a JSON schema; an empty string is none. */
static uint32_t read_format(sim_call *call, sheaf_slice format) {
  uint32_t kind = sheaf_json_kind(format);
  if (kind == SHEAF_JSON_NONE || sheaf_json_equals(format, "")) return SIM_ERROR_COUNT;
  if (kind == SHEAF_JSON_OBJECT) {
    call->asked.format = SIM_FORMAT_SCHEMA;
    call->asked.schema = format;
    return SIM_ERROR_COUNT;
  }
  if (!sheaf_json_equals(format, "json"))
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "format", NULL, format);
  call->asked.format = SIM_FORMAT_JSON;
  return SIM_ERROR_COUNT;
}

/* ---- Options ---- */

typedef struct option_row {
  const char *name;
  uint32_t kind;
  const char *type; /* in the server's words */
} option_row;

static uint32_t read_options(sim_call *call, sheaf_slice options) {
  static const option_row rows[] = {
      {"num_predict", SHEAF_JSON_NUMBER, "integer"},
      {"num_ctx", SHEAF_JSON_NUMBER, "integer"},
      {"num_keep", SHEAF_JSON_NUMBER, "integer"},
      {"num_batch", SHEAF_JSON_NUMBER, "integer"},
      {"num_gpu", SHEAF_JSON_NUMBER, "integer"},
      {"num_thread", SHEAF_JSON_NUMBER, "integer"},
      {"seed", SHEAF_JSON_NUMBER, "integer"},
      {"top_k", SHEAF_JSON_NUMBER, "integer"},
      {"repeat_last_n", SHEAF_JSON_NUMBER, "integer"},
      {"temperature", SHEAF_JSON_NUMBER, "float32"},
      {"top_p", SHEAF_JSON_NUMBER, "float32"},
      {"min_p", SHEAF_JSON_NUMBER, "float32"},
      {"typical_p", SHEAF_JSON_NUMBER, "float32"},
      {"repeat_penalty", SHEAF_JSON_NUMBER, "float32"},
      {"presence_penalty", SHEAF_JSON_NUMBER, "float32"},
      {"frequency_penalty", SHEAF_JSON_NUMBER, "float32"},
      {"stop", SHEAF_JSON_ARRAY, "array"},
  };
  int64_t tokens_max;
  if (!options.bytes) return SIM_ERROR_COUNT;
  for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
    sheaf_slice value = sheaf_json_member(options, rows[i].name);
    uint32_t kind = sheaf_json_kind(value);
    if (kind == SHEAF_JSON_NONE || kind == SHEAF_JSON_NULL || kind == rows[i].kind) continue;
    sheaf__sim_fail(call, SIM_BAD_VALUE, rows[i].name, rows[i].type, value);
    return sheaf__sim_at(call, SIM_BAD_VALUE, "options", 0, 0);
  }
  sheaf_slice limit = sheaf_json_member(options, "num_predict"); /* below 0: no limit */
  if (sheaf_json_int(limit, &tokens_max) == SHEAF_OK && tokens_max > 0)
    call->asked.tokens_max = (uint64_t)tokens_max;
  return SIM_ERROR_COUNT;
}

/* ---- Tools and messages ---- */

static uint32_t read_tools(sim_call *call, sheaf_slice tools) {
  sheaf_json_iter iter;
  sheaf_slice key, tool;
  if (sheaf_json_iter_init(&iter, tools) != SHEAF_OK) return SIM_ERROR_COUNT;
  while (sheaf_json_iter_next(&iter, &key, &tool) == SHEAF_OK) {
    if (sheaf_json_kind(tool) != SHEAF_JSON_OBJECT)
      return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, "tools", "api.Tool", tool),
                           "ChatRequest", 0, 0);
    sheaf_slice function = sheaf_json_member(tool, "function");
    if (sheaf_json_kind(function) != SHEAF_JSON_OBJECT) continue;
    sheaf_slice name = sheaf_json_member(function, "name");
    call->asked.prompt_bytes += sheaf_json_inside(sheaf_json_member(function, "description")).bytes;
    if (name.bytes > 2) sheaf__sim_read_tool(call, name, sheaf_json_member(function, "parameters"));
  }
  if (call->asked.tool_count) call->asked.tools = SIM_TOOLS_AUTO;
  return SIM_ERROR_COUNT;
}

static uint32_t read_message(sim_call *call, sheaf_slice message) {
  static const sim_field fields[] = {
      ONE("role", SIM_IS_STRING),  ONE("content", SIM_IS_STRING),   ONE("thinking", SIM_IS_STRING),
      ONE("images", SIM_IS_ARRAY), ONE("tool_calls", SIM_IS_ARRAY), ONE("tool_name", SIM_IS_STRING),
  };
  sheaf_slice values[COUNT_OF(fields)], key, image;
  sheaf_json_iter iter;
  if (sheaf_json_kind(message) != SHEAF_JSON_OBJECT) {
    sheaf__sim_fail(call, SIM_WRONG_TYPE, "messages", "api.Message", message);
    return sheaf__sim_at(call, SIM_WRONG_TYPE, "ChatRequest", 0, 0);
  }
  uint32_t error = sheaf__sim_check_object(call, message, fields, COUNT_OF(fields), true, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "Alias", 0, 0);
  sheaf__sim_read_content(call, values[1], sheaf_json_equals(values[0], "user"));
  call->asked.prompt_bytes += values[4].bytes;
  if (values[3].bytes && sheaf_json_iter_init(&iter, values[3]) == SHEAF_OK)
    while (sheaf_json_iter_next(&iter, &key, &image) == SHEAF_OK)
      call->asked.prompt_bytes += IMAGE_BYTES;
  return SIM_ERROR_COUNT;
}

/* Without a message the model is loaded and nothing said: no choice. */
static uint32_t read_messages(sim_call *call, sheaf_slice messages) {
  sheaf_json_iter iter;
  sheaf_slice key, message;
  uint32_t count = 0;
  call->asked.choices = 0;
  if (sheaf_json_iter_init(&iter, messages) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (; sheaf_json_iter_next(&iter, &key, &message) == SHEAF_OK; count++) {
    uint32_t error = read_message(call, message);
    if (error != SIM_ERROR_COUNT) return error;
  }
  call->asked.choices = count ? 1 : 0;
  return SIM_ERROR_COUNT;
}

/* ---- Chat and generate ---- */

enum {
  F_MODEL,
  F_MESSAGES,
  F_PROMPT,
  F_SYSTEM,
  F_FORMAT,
  F_OPTIONS,
  F_STREAM,
  F_TOOLS,
  F_TRUNCATE,
  F_TOP_LOGPROBS,
  F_FIELDS = 15
};

static const sim_field body_fields[F_FIELDS] = {
    [F_MODEL] = ONE("model", SIM_IS_STRING),
    [F_MESSAGES] = ONE("messages", SIM_IS_ARRAY),
    [F_PROMPT] = ONE("prompt", SIM_IS_STRING),
    [F_SYSTEM] = ONE("system", SIM_IS_STRING),
    [F_FORMAT] = ONE("format", SIM_IS_ANY),
    [F_OPTIONS] = ONE("options", SIM_IS_OBJECT),
    [F_STREAM] = ONE("stream", SIM_IS_BOOL),
    [F_TOOLS] = ONE("tools", SIM_IS_ARRAY),
    [F_TRUNCATE] = ONE("truncate", SIM_IS_BOOL),
    [F_TOP_LOGPROBS] = {.name = "top_logprobs", .kinds = SIM_IS_NUMBER, .is_integer = true},
    ONE("logprobs", SIM_IS_BOOL),
    ONE("suffix", SIM_IS_STRING),
    ONE("template", SIM_IS_STRING),
    ONE("images", SIM_IS_ARRAY),
    ONE("raw", SIM_IS_BOOL),
};

/* What does not fit is cut away without a word (protocols 4), unless truncate is false; half of the
 * context is left for the answer. */
static void truncate_prompt(sim_call *call, sheaf_slice truncate) {
  uint64_t context = call->world->options->context;
  sim_asked *asked = &call->asked;
  if (!context || (truncate.bytes && !sheaf_json_true(truncate))) return;
  if (sheaf__sim_tokens(asked->prompt_bytes) > context) asked->prompt_bytes = context / 2 * 4;
  uint64_t left = context - sheaf__sim_tokens(asked->prompt_bytes);
  if (asked->tokens_max != UINT64_MAX && asked->tokens_max > left) asked->tokens_max = left;
}

static uint32_t read_text(sim_call *call, const sheaf_slice *values, bool is_chat) {
  if (is_chat) {
    uint32_t error = read_messages(call, values[F_MESSAGES]);
    return error == SIM_ERROR_COUNT && values[F_TOOLS].bytes ? read_tools(call, values[F_TOOLS])
                                                             : error;
  }
  call->asked.choices = values[F_PROMPT].bytes > 2 ? 1 : 0;
  sheaf__sim_read_content(call, values[F_SYSTEM], false);
  sheaf__sim_read_content(call, values[F_PROMPT], true);
  return SIM_ERROR_COUNT;
}

static uint32_t read_chat(sim_call *call) {
  sheaf_slice values[F_FIELDS];
  int64_t logprobs;
  bool is_chat = sheaf__sim_route_ends(call, "/chat");
  uint32_t error =
      check(call, is_chat ? "ChatRequest" : "GenerateRequest", body_fields, F_FIELDS, values);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.model = sheaf_json_inside(values[F_MODEL]);
  call->asked.is_usage_wanted = true;
  error = read_text(call, values, is_chat);
  if (error != SIM_ERROR_COUNT) return error;
  if (sheaf_json_int(values[F_TOP_LOGPROBS], &logprobs) == SHEAF_OK &&
      (logprobs < 0 || logprobs > 20))
    return fail(call, "top_logprobs", "top_logprobs must be between 0 and 20");
  if (!call->asked.model.bytes) return no_model(call);
  error = read_options(call, values[F_OPTIONS]);
  if (error == SIM_ERROR_COUNT) error = read_format(call, values[F_FORMAT]);
  truncate_prompt(call, values[F_TRUNCATE]);
  call->asked.is_stream =
      call->asked.choices != 0 && (!values[F_STREAM].bytes || sheaf_json_true(values[F_STREAM]));
  return error;
}

/* ---- Embeddings ---- */

static uint32_t check_inputs(sim_call *call, sheaf_slice inputs) {
  sheaf_json_iter iter;
  sheaf_slice key, input;
  uint32_t kind = sheaf_json_kind(inputs);
  if (kind == SHEAF_JSON_NONE || kind == SHEAF_JSON_STRING) return SIM_ERROR_COUNT;
  if (sheaf_json_iter_init(&iter, inputs) != SHEAF_OK || kind != SHEAF_JSON_ARRAY)
    return fail(call, "input", "invalid input type");
  while (sheaf_json_iter_next(&iter, &key, &input) == SHEAF_OK)
    if (sheaf_json_kind(input) != SHEAF_JSON_STRING)
      return fail(call, "input", "invalid input type");
  return SIM_ERROR_COUNT;
}

static uint32_t read_embed(sim_call *call, bool is_old) {
  static const sim_field fields[] = {
      ONE("model", SIM_IS_STRING),
      ONE("input", SIM_IS_ANY),
      ONE("prompt", SIM_IS_STRING),
      {.name = "dimensions", .kinds = SIM_IS_NUMBER, .is_integer = true},
      ONE("truncate", SIM_IS_BOOL),
      ONE("options", SIM_IS_OBJECT),
  };
  sheaf_slice values[COUNT_OF(fields)];
  int64_t dimensions;
  uint32_t error =
      check(call, is_old ? "EmbeddingRequest" : "EmbedRequest", fields, COUNT_OF(fields), values);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.model = sheaf_json_inside(values[0]);
  if (!call->asked.model.bytes) return no_model(call);
  if (!is_old) error = check_inputs(call, values[1]);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.inputs = values[is_old ? 2 : 1];
  sheaf__sim_read_content(call, call->asked.inputs, false);
  /* A model cannot give more than it has. */
  if (sheaf_json_int(values[3], &dimensions) == SHEAF_OK && dimensions > 0)
    call->asked.dimensions =
        dimensions < (int64_t)SIM_DIMENSIONS_MAX ? (uint64_t)dimensions : SIM_DIMENSIONS_MAX;
  truncate_prompt(call, values[4]);
  return read_options(call, values[5]);
}

/* ---- Show ---- */

static uint32_t read_show(sim_call *call) {
  static const sim_field fields[] = {ONE("model", SIM_IS_STRING), ONE("name", SIM_IS_STRING)};
  sheaf_slice values[2];
  uint32_t error = check(call, "ShowRequest", fields, 2, values);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.model = sheaf_json_inside(sheaf__sim_either(values[0], values[1]));
  return call->asked.model.bytes ? SIM_ERROR_COUNT : no_model(call);
}

uint32_t sheaf__sim_ollama_read(sim_call *call) {
  if (call->body.bytes == 0)
    return sheaf__sim_fail(call, SIM_BAD_JSON, NULL, "missing request body", nothing);
  if (call->route->task == SIM_MODEL) return read_show(call);
  if (call->route->task != SIM_EMBED) return read_chat(call);
  return read_embed(call, sheaf__sim_route_ends(call, "/embeddings"));
}
