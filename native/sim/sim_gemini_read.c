/* sim_gemini_read.c: what a body for Gemini asks for, and whether the API would take it (protocols
 * 3.1; the fields are those of its discovery document and what the official SDK writes).
 *
 * Names are taken in camelCase and in snake_case, whole numbers as strings too, and one object
 * where a list of them is meant: so does the parser of the real API. A row of a table whose name
 * has two words is followed by the same row in snake_case.
 *
 * Outline: lists of one; parts; contents; tools; formats; generationConfig; embeddings; bodies. */
#include "sim_shapes.h"

#include <string.h>

/* An image is 258 tokens (the vendor's guide to tokens); other media are taken for as much. */
#define MEDIA_BYTES 1032u
#define CANDIDATES_MAX 8
#define INT32_MOST 2147483647.0

#define COUNT_OF(table) ((uint32_t)(sizeof(table) / sizeof *(table)))

#define IS_MESSAGE (SIM_IS_OBJECT)
#define IS_LIST (SIM_IS_ARRAY | SIM_IS_OBJECT) /* of messages */
#define IS_INT (SIM_IS_NUMBER | SIM_IS_STRING)

/* A row, and a row under both of its names. */
#define ONE(its_name, its_kinds) \
  { .name = its_name, .kinds = (its_kinds) }
#define BOTH(camel, snake, its_kinds) ONE(camel, its_kinds), ONE(snake, its_kinds)
#define RANGE(camel, snake, its_kinds, whole, least, most)                                       \
  {.name = camel, .kinds = (its_kinds), .is_integer = (whole), .min = (least), .max = (most)}, { \
    .name = snake, .kinds = (its_kinds), .is_integer = (whole), .min = (least), .max = (most)    \
  }
#define WORDS(camel, snake, list)                              \
  {.name = camel, .kinds = SIM_IS_STRING, .values = (list)}, { \
    .name = snake, .kinds = SIM_IS_STRING, .values = (list)    \
  }
#define EITHER(values, at) sheaf__sim_either((values)[at], (values)[(at) + 1])

static const sheaf_slice nothing = {NULL, 0};

static uint32_t fail(sim_call *call, const char *field, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, sentence, nothing);
}

static uint32_t missing(sim_call *call, const char *field) {
  return sheaf__sim_fail(call, SIM_MISSING_FIELD, field, NULL, nothing);
}

/* ---- Lists of one ---- */

typedef struct list {
  sheaf_json_iter iter;
  sheaf_slice only;
} list;

static void list_init(list *of, sheaf_slice value) {
  memset(of, 0, sizeof *of);
  if (sheaf_json_kind(value) != SHEAF_JSON_ARRAY)
    of->only = value;
  else if (sheaf_json_iter_init(&of->iter, value) != SHEAF_OK)
    memset(&of->iter, 0, sizeof of->iter);
}

static bool list_next(list *of, sheaf_slice *item) {
  sheaf_slice key;
  *item = of->only;
  of->only = nothing;
  if (item->bytes) return true;
  return of->iter.at && sheaf_json_iter_next(&of->iter, &key, item) == SHEAF_OK;
}

/* ---- Parts ---- */

/* The first ones are the part's data: one of them must be there. */
enum {
  P_TEXT,
  P_CALL,
  P_RESPONSE = P_CALL + 2,
  P_INLINE = P_RESPONSE + 2,
  P_FILE = P_INLINE + 2,
  P_CODE = P_FILE + 2,
  P_CODE_RESULT = P_CODE + 2,
  P_TOOL_CALL = P_CODE_RESULT + 2,
  P_TOOL_RESPONSE = P_TOOL_CALL + 2,
  P_OTHERS = P_TOOL_RESPONSE + 2
};

static const sim_field part_fields[] = {
    ONE("text", SIM_IS_STRING),
    BOTH("functionCall", "function_call", IS_MESSAGE),
    BOTH("functionResponse", "function_response", IS_MESSAGE),
    BOTH("inlineData", "inline_data", IS_MESSAGE),
    BOTH("fileData", "file_data", IS_MESSAGE),
    BOTH("executableCode", "executable_code", IS_MESSAGE),
    BOTH("codeExecutionResult", "code_execution_result", IS_MESSAGE),
    BOTH("toolCall", "tool_call", IS_MESSAGE),
    BOTH("toolResponse", "tool_response", IS_MESSAGE),
    ONE("thought", SIM_IS_BOOL),
    BOTH("thoughtSignature", "thought_signature", SIM_IS_STRING),
    BOTH("videoMetadata", "video_metadata", IS_MESSAGE),
    BOTH("mediaResolution", "media_resolution", IS_MESSAGE | SIM_IS_STRING),
    BOTH("partMetadata", "part_metadata", IS_MESSAGE),
    BOTH("mediaProcessing", "media_processing", IS_MESSAGE | SIM_IS_STRING),
    BOTH("speechMetadata", "speech_metadata", IS_MESSAGE),
    BOTH("audioTranscription", "audio_transcription", IS_MESSAGE),
};

/* Texts are not counted here. */
static uint32_t check_part(sim_call *call, sheaf_slice part) {
  sheaf_slice values[COUNT_OF(part_fields)];
  uint32_t error =
      sheaf__sim_check_object(call, part, part_fields, COUNT_OF(part_fields), false, values);
  if (error != SIM_ERROR_COUNT || values[P_TEXT].bytes) return error;
  if (EITHER(values, P_INLINE).bytes || EITHER(values, P_FILE).bytes) {
    call->asked.prompt_bytes += MEDIA_BYTES;
    return error;
  }
  for (uint32_t i = P_CALL; i < P_OTHERS; i++) {
    call->asked.prompt_bytes += values[i].bytes;
    if (values[i].bytes) return error;
  }
  return fail(call, "data", "required oneof field 'data' must have one initialized field");
}

/* ---- Contents ---- */

/* `path` is the content's; '%' in it stands for n. */
static uint32_t check_content(sim_call *call, sheaf_slice content, const char *path,
                              const char *parts_path, uint32_t n, sheaf_slice values[2]) {
  static const sim_field fields[] = {ONE("parts", IS_LIST), ONE("role", SIM_IS_STRING)};
  list parts;
  sheaf_slice part;
  uint32_t m = 0;
  if (sheaf_json_kind(content) != SHEAF_JSON_OBJECT)
    return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", content), path,
                         n, 0);
  uint32_t error = sheaf__sim_check_object(call, content, fields, 2, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, path, n, 0);
  list_init(&parts, values[0]);
  for (; list_next(&parts, &part); m++) {
    if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT)
      error = sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", part);
    else
      error = check_part(call, part);
    if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, parts_path, n, m);
  }
  if (m == 0)
    return sheaf__sim_at(call, fail(call, "parts", "contents.parts must not be empty."), path, n,
                         0);
  return SIM_ERROR_COUNT;
}

static uint32_t read_contents(sim_call *call, sheaf_slice contents) {
  list of;
  sheaf_slice content, values[2];
  uint32_t n = 0;
  list_init(&of, contents);
  for (; list_next(&of, &content); n++) {
    uint32_t error = check_content(call, content, "contents[%]", "contents[%].parts[%]", n, values);
    if (error != SIM_ERROR_COUNT) return error;
    bool is_user = !values[1].bytes || sheaf_json_equals(values[1], "user");
    if (!is_user && !sheaf_json_equals(values[1], "model") &&
        !sheaf_json_equals(values[1], "function"))
      return fail(call, NULL, "Please use a valid role: user, model.");
    sheaf__sim_read_content(call, values[0], is_user);
  }
  return n ? SIM_ERROR_COUNT : missing(call, "contents");
}

static uint32_t read_system(sim_call *call, sheaf_slice system) {
  sheaf_slice values[2];
  if (!system.bytes) return SIM_ERROR_COUNT;
  uint32_t error =
      check_content(call, system, "system_instruction", "system_instruction.parts[%]", 0, values);
  if (error == SIM_ERROR_COUNT) sheaf__sim_read_content(call, values[0], false);
  return error;
}

/* ---- Tools ---- */

static bool is_allowed(sheaf_slice allowed, sheaf_slice name) {
  list names;
  sheaf_slice one;
  if (!allowed.bytes) return true;
  list_init(&names, allowed);
  while (list_next(&names, &one))
    if (one.bytes == name.bytes && memcmp(one.data, name.data, name.bytes) == 0) return true;
  return false;
}

static uint32_t read_declaration(sim_call *call, sheaf_slice declaration, sheaf_slice allowed) {
  static const sim_field fields[] = {
      ONE("name", SIM_IS_STRING),
      ONE("description", SIM_IS_STRING),
      ONE("parameters", IS_MESSAGE),
      BOTH("parametersJsonSchema", "parameters_json_schema", SIM_IS_ANY),
      ONE("response", IS_MESSAGE),
      BOTH("responseJsonSchema", "response_json_schema", SIM_IS_ANY),
      {.name = "behavior", .kinds = SIM_IS_STRING, .values = " UNSPECIFIED BLOCKING NON_BLOCKING "},
  };
  sheaf_slice values[COUNT_OF(fields)];
  if (sheaf_json_kind(declaration) != SHEAF_JSON_OBJECT)
    return sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", declaration);
  uint32_t error =
      sheaf__sim_check_object(call, declaration, fields, COUNT_OF(fields), false, values);
  if (error != SIM_ERROR_COUNT) return error;
  if (values[0].bytes <= 2) return missing(call, "name");
  call->asked.prompt_bytes += sheaf_json_inside(values[1]).bytes;
  if (is_allowed(allowed, values[0]))
    sheaf__sim_read_tool(call, values[0], sheaf__sim_either(values[2], EITHER(values, 3)));
  return SIM_ERROR_COUNT;
}

/* Tools that the service runs itself count, and are never called. */
static uint32_t read_tool(sim_call *call, sheaf_slice tool, sheaf_slice allowed, uint32_t n) {
  static const sim_field fields[] = {
      BOTH("functionDeclarations", "function_declarations", IS_LIST),
      BOTH("googleSearch", "google_search", IS_MESSAGE),
      BOTH("googleSearchRetrieval", "google_search_retrieval", IS_MESSAGE),
      BOTH("codeExecution", "code_execution", IS_MESSAGE),
      BOTH("urlContext", "url_context", IS_MESSAGE),
      BOTH("computerUse", "computer_use", IS_MESSAGE),
      BOTH("fileSearch", "file_search", IS_MESSAGE),
      BOTH("googleMaps", "google_maps", IS_MESSAGE),
      BOTH("mcpServers", "mcp_servers", IS_LIST),
  };
  sheaf_slice values[COUNT_OF(fields)], declaration;
  list declarations;
  if (sheaf_json_kind(tool) != SHEAF_JSON_OBJECT)
    return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", tool),
                         "tools[%]", n, 0);
  uint32_t error = sheaf__sim_check_object(call, tool, fields, COUNT_OF(fields), false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "tools[%]", n, 0);
  list_init(&declarations, EITHER(values, 0));
  for (uint32_t m = 0; list_next(&declarations, &declaration); m++) {
    error = read_declaration(call, declaration, allowed);
    if (error != SIM_ERROR_COUNT)
      return sheaf__sim_at(call, error, "tools[%].function_declarations[%]", n, m);
  }
  return SIM_ERROR_COUNT;
}

static uint32_t read_tools(sim_call *call, sheaf_slice tools, sheaf_slice allowed) {
  list of;
  sheaf_slice tool;
  uint32_t error = SIM_ERROR_COUNT;
  list_init(&of, tools);
  for (uint32_t n = 0; error == SIM_ERROR_COUNT && list_next(&of, &tool); n++)
    error = read_tool(call, tool, allowed, n);
  if (call->asked.tool_count) call->asked.tools = SIM_TOOLS_AUTO;
  return error;
}

/* mode and the names that may be called. */
static uint32_t check_tool_config(sim_call *call, sheaf_slice config, sheaf_slice *mode,
                                  sheaf_slice *allowed) {
  static const sim_field outer[] = {
      BOTH("functionCallingConfig", "function_calling_config", IS_MESSAGE),
      BOTH("retrievalConfig", "retrieval_config", IS_MESSAGE),
      BOTH("includeServerSideToolInvocations", "include_server_side_tool_invocations",
           SIM_IS_BOOL)};
  static const sim_field inner[] = {
      {.name = "mode",
       .kinds = SIM_IS_STRING,
       .values = " MODE_UNSPECIFIED AUTO ANY NONE VALIDATED "},
      BOTH("allowedFunctionNames", "allowed_function_names", SIM_IS_ARRAY),
      BOTH("streamFunctionCallArguments", "stream_function_call_arguments", SIM_IS_BOOL)};
  sheaf_slice out[COUNT_OF(outer)], in[COUNT_OF(inner)];
  *mode = *allowed = nothing;
  if (!config.bytes) return SIM_ERROR_COUNT;
  uint32_t error = sheaf__sim_check_object(call, config, outer, COUNT_OF(outer), false, out);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "tool_config", 0, 0);
  sheaf_slice calling = EITHER(out, 0);
  if (!calling.bytes) return SIM_ERROR_COUNT;
  error = sheaf__sim_check_object(call, calling, inner, COUNT_OF(inner), false, in);
  *mode = in[0];
  *allowed = EITHER(in, 1);
  return sheaf__sim_at(call, error, "tool_config.function_calling_config", 0, 0);
}

/* The service wants one of the allowed ones called, so the others are not even read. */
static uint32_t read_tools_and_config(sim_call *call, sheaf_slice tools, sheaf_slice config) {
  sheaf_slice mode, allowed;
  uint32_t error = check_tool_config(call, config, &mode, &allowed);
  if (error != SIM_ERROR_COUNT) return error;
  bool is_any = sheaf_json_equals(mode, "ANY");
  if (allowed.bytes > 2 && !is_any && !sheaf_json_equals(mode, "VALIDATED"))
    return fail(call, NULL,
                "Allowed function names should be set only when function calling mode is ANY.");
  error = read_tools(call, tools, allowed.bytes > 2 ? allowed : nothing);
  if (error != SIM_ERROR_COUNT) return error;
  if (sheaf_json_equals(mode, "NONE")) call->asked.tools = SIM_TOOLS_NONE;
  if (!is_any) return SIM_ERROR_COUNT;
  if (call->asked.tool_count == 0)
    return fail(call, NULL, "Function calling config is set without function_declarations.");
  call->asked.tools = SIM_TOOLS_REQUIRED;
  return SIM_ERROR_COUNT;
}

/* ---- generationConfig ---- */

enum {
  C_MAX,
  C_CANDIDATES = C_MAX + 2,
  C_MIME = C_CANDIDATES + 2,
  C_SCHEMA = C_MIME + 2,
  C_JSON_SCHEMA = C_SCHEMA + 2,
  C_OLD_SCHEMA = C_JSON_SCHEMA + 2,
  C_THINKING
};

static const sim_field config_fields[] = {
    RANGE("maxOutputTokens", "max_output_tokens", IS_INT, true, 1, INT32_MOST),
    RANGE("candidateCount", "candidate_count", IS_INT, true, 1, CANDIDATES_MAX),
    BOTH("responseMimeType", "response_mime_type", SIM_IS_STRING),
    BOTH("responseSchema", "response_schema", IS_MESSAGE),
    BOTH("responseJsonSchema", "response_json_schema", SIM_IS_ANY),
    ONE("_responseJsonSchema", SIM_IS_ANY), /* its name in preview */
    BOTH("thinkingConfig", "thinking_config", IS_MESSAGE),
    {.name = "temperature", .kinds = SIM_IS_NUMBER, .max = 2},
    RANGE("topP", "top_p", SIM_IS_NUMBER, false, 0, 1),
    RANGE("topK", "top_k", IS_INT, true, 0, 0),
    BOTH("stopSequences", "stop_sequences", SIM_IS_ARRAY | SIM_IS_STRING),
    {.name = "seed", .kinds = IS_INT, .is_integer = true},
    BOTH("presencePenalty", "presence_penalty", SIM_IS_NUMBER),
    BOTH("frequencyPenalty", "frequency_penalty", SIM_IS_NUMBER),
    BOTH("responseLogprobs", "response_logprobs", SIM_IS_BOOL),
    {.name = "logprobs", .kinds = IS_INT, .is_integer = true},
    BOTH("responseModalities", "response_modalities", SIM_IS_ARRAY),
    WORDS("mediaResolution", "media_resolution",
          " MEDIA_RESOLUTION_UNSPECIFIED MEDIA_RESOLUTION_LOW MEDIA_RESOLUTION_MEDIUM "
          "MEDIA_RESOLUTION_HIGH "),
    BOTH("speechConfig", "speech_config", IS_MESSAGE),
    BOTH("imageConfig", "image_config", IS_MESSAGE),
    BOTH("audioTranscriptionConfig", "audio_transcription_config", IS_MESSAGE),
    BOTH("responseFormat", "response_format", IS_LIST),
    BOTH("enableEnhancedCivicAnswers", "enable_enhanced_civic_answers", SIM_IS_BOOL),
    BOTH("translationConfig", "translation_config", IS_MESSAGE),
};

_Static_assert(sizeof config_fields / sizeof *config_fields <= SIM_FIELDS_MAX, "table too long");

/* Numbers in strings were not compared with their row. */
static uint32_t read_whole(sim_call *call, sheaf_slice value, const sim_field *row,
                           uint64_t *number) {
  int64_t read;
  if (!value.bytes) return SIM_ERROR_COUNT;
  int32_t status = sheaf_json_int(value, &read);
  bool is_wrong = status == SHEAF_E_TYPE;
  bool is_outside = status == SHEAF_OK && ((double)read < row->min || (double)read > row->max);
  if (is_wrong || is_outside || status != SHEAF_OK) {
    sheaf__sim_fail(call, is_wrong ? SIM_WRONG_TYPE : SIM_BAD_VALUE, row->name,
                    is_wrong ? "integer" : "maximum", value);
    call->row = row;
    return is_wrong ? SIM_WRONG_TYPE : SIM_BAD_VALUE;
  }
  *number = (uint64_t)read;
  return SIM_ERROR_COUNT;
}

static uint32_t read_format(sim_call *call, sheaf_slice mime, sheaf_slice schema) {
  bool is_json = sheaf_json_equals(mime, "application/json");
  bool is_enum = sheaf_json_equals(mime, "text/x.enum");
  bool is_plain = !mime.bytes || sheaf_json_equals(mime, "text/plain");
  if (!is_json && !is_enum && !is_plain && !sheaf_json_equals(mime, "application/xml") &&
      !sheaf_json_equals(mime, "application/yaml"))
    return fail(call, "response_mime_type",
                "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, "
                "`application/yaml` and `text/x.enum`.");
  if (schema.bytes && !is_json && !is_enum)
    return fail(call, "response_schema",
                "only allowed for response mime type in {'application/json', 'text/x.enum'}");
  if (is_json) call->asked.format = schema.bytes ? SIM_FORMAT_SCHEMA : SIM_FORMAT_JSON;
  if (is_enum && schema.bytes) call->asked.format = SIM_FORMAT_ENUM;
  call->asked.schema = schema;
  call->asked.prompt_bytes += schema.bytes;
  return SIM_ERROR_COUNT;
}

static uint32_t check_thinking(sim_call *call, sheaf_slice thinking) {
  static const sim_field fields[] = {
      BOTH("includeThoughts", "include_thoughts", SIM_IS_BOOL),
      RANGE("thinkingBudget", "thinking_budget", IS_INT, true, 0, 0),
      WORDS("thinkingLevel", "thinking_level",
            " THINKING_LEVEL_UNSPECIFIED MINIMAL LOW MEDIUM HIGH "),
  };
  sheaf_slice values[COUNT_OF(fields)];
  if (!thinking.bytes) return SIM_ERROR_COUNT;
  return sheaf__sim_check_object(call, thinking, fields, COUNT_OF(fields), false, values);
}

static uint32_t read_config(sim_call *call, sheaf_slice config) {
  sheaf_slice values[COUNT_OF(config_fields)];
  uint64_t candidates = 1;
  if (!config.bytes) return SIM_ERROR_COUNT;
  uint32_t error =
      sheaf__sim_check_object(call, config, config_fields, COUNT_OF(config_fields), false, values);
  if (error == SIM_ERROR_COUNT)
    error = read_whole(call, EITHER(values, C_MAX), &config_fields[C_MAX], &call->asked.tokens_max);
  if (error == SIM_ERROR_COUNT)
    error =
        read_whole(call, EITHER(values, C_CANDIDATES), &config_fields[C_CANDIDATES], &candidates);
  sheaf_slice schema = sheaf__sim_either(EITHER(values, C_JSON_SCHEMA), values[C_OLD_SCHEMA]);
  schema = sheaf__sim_either(EITHER(values, C_SCHEMA), schema);
  if (error == SIM_ERROR_COUNT) error = read_format(call, EITHER(values, C_MIME), schema);
  if (error == SIM_ERROR_COUNT) {
    error = check_thinking(call, EITHER(values, C_THINKING));
    if (error != SIM_ERROR_COUNT)
      return sheaf__sim_at(call, error, "generation_config.thinking_config", 0, 0);
  }
  call->asked.choices = (uint32_t)candidates;
  return sheaf__sim_at(call, error, "generation_config", 0, 0);
}

/* ---- Embeddings ---- */

#define TASKS                                                                      \
  " TASK_TYPE_UNSPECIFIED RETRIEVAL_QUERY RETRIEVAL_DOCUMENT SEMANTIC_SIMILARITY " \
  "CLASSIFICATION CLUSTERING QUESTION_ANSWERING FACT_VERIFICATION CODE_RETRIEVAL_QUERY "
#define DIMENSIONS \
  RANGE("outputDimensionality", "output_dimensionality", IS_INT, true, 1, SIM_DIMENSIONS_MAX)

static uint32_t check_embed_config(sim_call *call, sheaf_slice config) {
  static const sim_field fields[] = {
      DIMENSIONS,
      WORDS("taskType", "task_type", TASKS),
      ONE("title", SIM_IS_STRING),
      BOTH("autoTruncate", "auto_truncate", SIM_IS_BOOL),
      BOTH("documentOcr", "document_ocr", SIM_IS_BOOL),
      BOTH("audioTrackExtraction", "audio_track_extraction", SIM_IS_BOOL),
  };
  sheaf_slice values[COUNT_OF(fields)];
  uint64_t dimensions;
  if (!config.bytes) return SIM_ERROR_COUNT;
  uint32_t error = sheaf__sim_check_object(call, config, fields, COUNT_OF(fields), false, values);
  if (error != SIM_ERROR_COUNT) return error;
  return read_whole(call, EITHER(values, 0), &fields[0], &dimensions);
}

enum { E_MODEL, E_CONTENT, E_DIMENSIONS, E_CONFIG = E_DIMENSIONS + 2 };

/* One EmbedContentRequest, alone or the n-th of several. */
static uint32_t check_embed(sim_call *call, sheaf_slice request, const char *path,
                            const char *content_path, const char *parts_path, uint32_t n) {
  static const sim_field fields[] = {
      ONE("model", SIM_IS_STRING),
      ONE("content", IS_MESSAGE),
      DIMENSIONS,
      BOTH("embedContentConfig", "embed_content_config", IS_MESSAGE),
      WORDS("taskType", "task_type", TASKS),
      ONE("title", SIM_IS_STRING),
  };
  sheaf_slice values[COUNT_OF(fields)], content[2];
  uint64_t dimensions;
  if (sheaf_json_kind(request) != SHEAF_JSON_OBJECT)
    return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", request), path,
                         n, 0);
  uint32_t error = sheaf__sim_check_object(call, request, fields, COUNT_OF(fields), false, values);
  if (error == SIM_ERROR_COUNT && !values[E_CONTENT].bytes) error = missing(call, "content");
  if (error == SIM_ERROR_COUNT)
    error = read_whole(call, EITHER(values, E_DIMENSIONS), &fields[E_DIMENSIONS], &dimensions);
  if (error == SIM_ERROR_COUNT) error = check_embed_config(call, EITHER(values, E_CONFIG));
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, path, n, 0);
  error = check_content(call, values[E_CONTENT], content_path, parts_path, n, content);
  if (error == SIM_ERROR_COUNT) sheaf__sim_read_content(call, content[0], false);
  return error;
}

static uint32_t read_batch(sim_call *call) {
  static const sim_field fields[] = {ONE("requests", IS_LIST), ONE("model", SIM_IS_STRING)};
  sheaf_slice values[2], request;
  list requests;
  uint32_t n = 0;
  uint32_t error = sheaf__sim_check(call, fields, 2, false, values);
  if (error != SIM_ERROR_COUNT) return error;
  list_init(&requests, values[0]);
  for (; error == SIM_ERROR_COUNT && list_next(&requests, &request); n++)
    error = check_embed(call, request, "requests[%]", "requests[%].content",
                        "requests[%].content.parts[%]", n);
  if (error == SIM_ERROR_COUNT && n == 0) error = missing(call, "requests");
  call->asked.inputs = values[0];
  return error;
}

/* The body has been checked here, so that a path may be named in it. */
static uint32_t read_embed(sim_call *call) {
  sheaf_slice whole[1];
  uint32_t error = sheaf__sim_check(call, NULL, 0, true, whole);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.inputs = sheaf_buf_slice(&call->body);
  while (call->asked.inputs.bytes && *call->asked.inputs.data != '{') {
    call->asked.inputs.data++;
    call->asked.inputs.bytes--;
  }
  return check_embed(call, call->asked.inputs, "", "content", "content.parts[%]", 0);
}

/* ---- Bodies ---- */

enum {
  G_CONTENTS,
  G_SYSTEM,
  G_CONFIG = G_SYSTEM + 2,
  G_TOOLS = G_CONFIG + 2,
  G_TOOL_CONFIG,
  G_FIELDS = 19
};

static const sim_field body_fields[] = {
    ONE("contents", IS_LIST),
    BOTH("systemInstruction", "system_instruction", IS_MESSAGE),
    BOTH("generationConfig", "generation_config", IS_MESSAGE),
    ONE("tools", IS_LIST),
    BOTH("toolConfig", "tool_config", IS_MESSAGE),
    BOTH("safetySettings", "safety_settings", IS_LIST),
    BOTH("cachedContent", "cached_content", SIM_IS_STRING),
    WORDS("serviceTier", "service_tier", " unspecified standard flex priority "),
    BOTH("continuationToken", "continuation_token", SIM_IS_STRING),
    ONE("model", SIM_IS_STRING),
    ONE("store", SIM_IS_BOOL),
    ONE("labels", IS_MESSAGE),
};

_Static_assert(sizeof body_fields / sizeof *body_fields == G_FIELDS, "count the rows");

static uint32_t read_values(sim_call *call, const sheaf_slice *values) {
  uint32_t error = read_contents(call, values[G_CONTENTS]);
  if (error == SIM_ERROR_COUNT) error = read_system(call, EITHER(values, G_SYSTEM));
  if (error == SIM_ERROR_COUNT) error = read_config(call, EITHER(values, G_CONFIG));
  if (error == SIM_ERROR_COUNT)
    error = read_tools_and_config(call, values[G_TOOLS], EITHER(values, G_TOOL_CONFIG));
  return error;
}

static uint32_t read_generate(sim_call *call) {
  sheaf_slice values[G_FIELDS];
  uint32_t error = sheaf__sim_check(call, body_fields, G_FIELDS, false, values);
  return error == SIM_ERROR_COUNT ? read_values(call, values) : error;
}

/* Contents alone, or a whole request to count. */
static uint32_t read_count(sim_call *call) {
  static const sim_field fields[] = {
      ONE("contents", IS_LIST),
      BOTH("generateContentRequest", "generate_content_request", IS_MESSAGE),
  };
  sheaf_slice outer[3], values[G_FIELDS];
  uint32_t error = sheaf__sim_check(call, fields, 3, false, outer);
  if (error != SIM_ERROR_COUNT) return error;
  sheaf_slice request = EITHER(outer, 1);
  if (!request.bytes) return read_contents(call, outer[0]);
  error = sheaf__sim_check_object(call, request, body_fields, G_FIELDS, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "generate_content_request", 0, 0);
  return read_values(call, values);
}

uint32_t sheaf__sim_gemini_read(sim_call *call) {
  call->asked.is_stream = call->route->streams;
  call->asked.is_usage_wanted = true;
  call->asked.is_parallel = true;
  if (call->body.bytes == 0) sheaf_buf_append_text(&call->body, "{}"); /* as the service takes it */
  if (call->route->task == SIM_COUNT) return read_count(call);
  if (call->route->task != SIM_EMBED) return read_generate(call);
  return sheaf__sim_route_ends(call, ":batchEmbedContents") ? read_batch(call) : read_embed(call);
}
