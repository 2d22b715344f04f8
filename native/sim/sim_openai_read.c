/* sim_openai_read.c: what the requests of OpenAI's dialects have in common: the model, streaming,
 * tools, formats, lists, metadata.
 *
 * The responses API writes tools and formats flat where chat nests them in a member. */
#include "sim_openai.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_CHARACTERS 64u

/* The characters of a JSON string's inside: an escape is one. */
static size_t count_characters(sheaf_slice inside) {
  size_t count = 0;
  for (size_t i = 0; i < inside.bytes; i++, count++) {
    if (inside.data[i] == '\\') i += inside.data[i + 1] == 'u' ? 5 : 1;
    while (i + 1 < inside.bytes && ((unsigned char)inside.data[i + 1] & 0xc0) == 0x80) i++;
  }
  return count;
}

uint32_t sheaf__sim_openai_read_model(sim_call *call, sheaf_slice model) {
  if (call->asked.model.bytes) return SIM_ERROR_COUNT;
  call->asked.model = sheaf_json_inside(model);
  if (call->asked.model.bytes) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_MISSING_FIELD, "model", "string", model);
}

uint32_t sheaf__sim_openai_read_stream(sim_call *call, sheaf_slice stream, sheaf_slice options) {
  call->asked.is_stream = sheaf_json_true(stream);
  if (!options.bytes) return SIM_ERROR_COUNT;
  if (!call->asked.is_stream)
    return sheaf__sim_openai_refuse(
        call, "stream_options",
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  call->asked.is_usage_wanted = sheaf_json_true(sheaf_json_member(options, "include_usage"));
  call->asked.is_obfuscated = sheaf_json_true(sheaf_json_member(options, "include_obfuscation"));
  return SIM_ERROR_COUNT;
}

/* ---- Names ---- */

/* Of a function or a schema: ^[a-zA-Z0-9_-]+$, at most 64 (the OpenAPI description of 2026-08). */
static uint32_t check_name(sim_call *call, const char *field, sheaf_slice name) {
  sheaf_slice inside = sheaf_json_inside(name);
  bool is_plain = inside.bytes > 0;
  for (size_t i = 0; i < inside.bytes; i++) {
    char c = inside.data[i];
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' &&
        c != '-')
      is_plain = false;
  }
  if (!is_plain)
    return sheaf__sim_openai_refuse(call, field,
                                    "Invalid name: string does not match pattern. Expected a "
                                    "string that matches the pattern '^[a-zA-Z0-9_-]+$'.");
  if (inside.bytes > NAME_CHARACTERS)
    return sheaf__sim_openai_refuse(
        call, field, "Invalid name: string too long. Expected a string with maximum length 64.");
  return SIM_ERROR_COUNT;
}

/* ---- Tools ---- */

static uint32_t read_nested_tool(sim_call *call, sheaf_slice tool) {
  enum { TYPE, FUNCTION, NAME, DESCRIPTION, PARAMETERS, STRICT, CUSTOM, CUSTOM_NAME, COUNT };
  static const sim_field fields[COUNT] = {
      [TYPE] = {.name = "type",
                .kinds = SIM_IS_STRING,
                .is_required = true,
                .values = " function custom "},
      [FUNCTION] = {.name = "function", .kinds = SIM_IS_OBJECT},
      [NAME] = {.name = "function.name", .kinds = SIM_IS_STRING, .is_required = true},
      [DESCRIPTION] = {.name = "function.description", .kinds = SIM_IS_STRING},
      [PARAMETERS] = {.name = "function.parameters", .kinds = SIM_IS_OBJECT},
      [STRICT] = {.name = "function.strict", .kinds = SIM_IS_BOOL},
      [CUSTOM] = {.name = "custom", .kinds = SIM_IS_OBJECT},
      [CUSTOM_NAME] = {.name = "custom.name", .kinds = SIM_IS_STRING, .is_required = true},
  };
  sheaf_slice values[COUNT];
  uint32_t error = sheaf__sim_check_object(call, tool, fields, COUNT, true, values);
  if (error != SIM_ERROR_COUNT) return error;
  bool is_custom = sheaf_json_equals(values[TYPE], "custom");
  if (!values[is_custom ? CUSTOM : FUNCTION].bytes)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD, is_custom ? "custom" : "function", "object",
                           tool);
  call->asked.prompt_bytes += values[DESCRIPTION].bytes;
  if (is_custom) {
    call->asked.prompt_bytes += values[CUSTOM].bytes;
    return SIM_ERROR_COUNT;
  }
  sheaf__sim_read_tool(call, values[NAME], values[PARAMETERS]);
  return check_name(call, "function.name", values[NAME]);
}

static uint32_t read_flat_tool(sim_call *call, sheaf_slice tool) {
  enum { TYPE, NAME, DESCRIPTION, PARAMETERS, STRICT, COUNT };
  static const sim_field fields[COUNT] = {
      [TYPE] = {.name = "type", .kinds = SIM_IS_STRING, .is_required = true},
      [NAME] = {.name = "name", .kinds = SIM_IS_STRING},
      [DESCRIPTION] = {.name = "description", .kinds = SIM_IS_STRING},
      [PARAMETERS] = {.name = "parameters", .kinds = SIM_IS_OBJECT},
      [STRICT] = {.name = "strict", .kinds = SIM_IS_BOOL},
  };
  sheaf_slice values[COUNT];
  uint32_t error = sheaf__sim_check_object(call, tool, fields, COUNT, true, values);
  if (error != SIM_ERROR_COUNT) return error;
  if (!sheaf_json_equals(values[TYPE], "function")) { /* custom, or the provider's own */
    call->asked.prompt_bytes += tool.bytes;
    return SIM_ERROR_COUNT;
  }
  if (!values[NAME].bytes) return sheaf__sim_fail(call, SIM_MISSING_FIELD, "name", "string", tool);
  call->asked.prompt_bytes += values[DESCRIPTION].bytes;
  sheaf__sim_read_tool(call, values[NAME], values[PARAMETERS]);
  return check_name(call, "name", values[NAME]);
}

static uint32_t read_tool_list(sim_call *call, sheaf_slice tools, bool is_flat) {
  static const sim_field row = {.name = "tools", .kinds = SIM_IS_ARRAY, .max = 128};
  sheaf_json_iter iter;
  sheaf_slice key, tool;
  uint32_t count = 0;
  if (sheaf_json_iter_init(&iter, tools) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (; sheaf_json_iter_next(&iter, &key, &tool) == SHEAF_OK; count++) {
    if (count == 128) {
      sheaf__sim_fail(call, SIM_BAD_VALUE, "tools", "maximum", tools);
      call->row = &row;
      return SIM_BAD_VALUE;
    }
    if (sheaf_json_kind(tool) != SHEAF_JSON_OBJECT)
      return sheaf__sim_openai_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, "", "object", tool),
                                  "tools", count, "", 0);
    uint32_t error = is_flat ? read_flat_tool(call, tool) : read_nested_tool(call, tool);
    if (error != SIM_ERROR_COUNT) return sheaf__sim_openai_at(call, error, "tools", count, "", 0);
  }
  if (count || is_flat) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_BAD_VALUE, "tools", "minimum", tools);
}

static bool is_known_tool(const sim_asked *asked, sheaf_slice name) {
  for (uint32_t i = 0; i < asked->tool_count; i++)
    if (asked->tool[i].name.bytes == name.bytes &&
        memcmp(asked->tool[i].name.data, name.data, name.bytes) == 0)
      return true;
  return false;
}

/* {"type":"function",...}, {"type":"allowed_tools",...}; others name what is not called here. */
static uint32_t read_choice_object(sim_call *call, sheaf_slice choice, bool is_flat) {
  sim_asked *asked = &call->asked;
  sheaf_slice type = sheaf_json_member(choice, "type");
  if (sheaf_json_equals(type, "allowed_tools")) {
    sheaf_slice inner = is_flat ? choice : sheaf_json_member(choice, "allowed_tools");
    bool is_required = sheaf_json_kind(inner) == SHEAF_JSON_OBJECT &&
                       sheaf_json_equals(sheaf_json_member(inner, "mode"), "required");
    if (is_required) asked->tools = SIM_TOOLS_REQUIRED;
    return SIM_ERROR_COUNT;
  }
  if (!sheaf_json_equals(type, "function")) return SIM_ERROR_COUNT;
  sheaf_slice inner = is_flat ? choice : sheaf_json_member(choice, "function");
  sheaf_slice name = {0};
  if (sheaf_json_kind(inner) == SHEAF_JSON_OBJECT)
    name = sheaf_json_inside(sheaf_json_member(inner, "name"));
  if (!name.bytes)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD,
                           is_flat ? "tool_choice.name" : "tool_choice.function.name", "string",
                           choice);
  if (!is_known_tool(asked, name))
    return sheaf__sim_openai_refuse(call, "tool_choice",
                                    "Tool choice 'function' not found in 'tools' parameter.");
  asked->tools = SIM_TOOLS_NAMED;
  asked->tool_name = name;
  return SIM_ERROR_COUNT;
}

uint32_t sheaf__sim_openai_read_tools(sim_call *call, sheaf_slice tools, sheaf_slice choice,
                                      sheaf_slice parallel, bool is_flat) {
  sim_asked *asked = &call->asked;
  asked->is_parallel = !parallel.bytes || sheaf_json_true(parallel);
  asked->tools = SIM_TOOLS_AUTO;
  if (tools.bytes) {
    uint32_t error = read_tool_list(call, tools, is_flat);
    if (error != SIM_ERROR_COUNT) return error;
  } else if (choice.bytes && !is_flat && !sheaf_json_equals(choice, "none")) {
    return sheaf__sim_openai_refuse(call, "tool_choice",
                                    "Invalid value for 'tool_choice': 'tool_choice' is only "
                                    "allowed when 'tools' are specified.");
  } else if (parallel.bytes && !is_flat) {
    return sheaf__sim_openai_refuse(call, "parallel_tool_calls",
                                    "Invalid value for 'parallel_tool_calls': "
                                    "'parallel_tool_calls' is only allowed when 'tools' are "
                                    "specified.");
  }
  if (sheaf_json_equals(choice, "none")) asked->tools = SIM_TOOLS_NONE;
  if (sheaf_json_equals(choice, "required")) asked->tools = SIM_TOOLS_REQUIRED;
  if (sheaf_json_kind(choice) == SHEAF_JSON_OBJECT)
    return read_choice_object(call, choice, is_flat);
  return SIM_ERROR_COUNT;
}

/* ---- Formats ---- */

enum { TYPE, OUTER, NAME, SCHEMA, STRICT, DESCRIPTION, FORMAT_COUNT };

static const sim_field nested_format[FORMAT_COUNT] = {
    [TYPE] = {.name = "type",
              .kinds = SIM_IS_STRING,
              .is_required = true,
              .values = " json_object json_schema text "},
    [OUTER] = {.name = "json_schema", .kinds = SIM_IS_OBJECT},
    [NAME] = {.name = "json_schema.name", .kinds = SIM_IS_STRING, .is_required = true},
    [SCHEMA] = {.name = "json_schema.schema", .kinds = SIM_IS_OBJECT},
    [STRICT] = {.name = "json_schema.strict", .kinds = SIM_IS_BOOL},
    [DESCRIPTION] = {.name = "json_schema.description", .kinds = SIM_IS_STRING},
};

static const sim_field flat_format[FORMAT_COUNT] = {
    [TYPE] = {.name = "type",
              .kinds = SIM_IS_STRING,
              .is_required = true,
              .values = " json_object json_schema text "},
    [OUTER] = {.name = "json_schema", .kinds = SIM_IS_ANY},
    [NAME] = {.name = "name", .kinds = SIM_IS_STRING},
    [SCHEMA] = {.name = "schema", .kinds = SIM_IS_OBJECT},
    [STRICT] = {.name = "strict", .kinds = SIM_IS_BOOL},
    [DESCRIPTION] = {.name = "description", .kinds = SIM_IS_STRING},
};

static uint32_t read_format(sim_call *call, sheaf_slice format, bool is_flat) {
  const sim_field *fields = is_flat ? flat_format : nested_format;
  sheaf_slice values[FORMAT_COUNT];
  uint32_t error = sheaf__sim_check_object(call, format, fields, FORMAT_COUNT, true, values);
  if (error != SIM_ERROR_COUNT) return error;
  if (sheaf_json_equals(values[TYPE], "json_object")) call->asked.format = SIM_FORMAT_JSON;
  if (!sheaf_json_equals(values[TYPE], "json_schema")) return SIM_ERROR_COUNT;
  if (!is_flat && !values[OUTER].bytes)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD, "json_schema", "object", format);
  if (is_flat && !values[NAME].bytes)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD, "name", "string", format);
  if (is_flat && !values[SCHEMA].bytes)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD, "schema", "object", format);
  call->asked.format = SIM_FORMAT_SCHEMA;
  call->asked.schema = values[SCHEMA];
  call->asked.prompt_bytes += values[SCHEMA].bytes;
  return check_name(call, fields[NAME].name, values[NAME]);
}

uint32_t sheaf__sim_openai_read_format(sim_call *call, sheaf_slice format, const char *field,
                                       bool is_flat) {
  if (!format.bytes) return SIM_ERROR_COUNT;
  uint32_t error = read_format(call, format, is_flat);
  if (error != SIM_ERROR_COUNT) snprintf(call->where, sizeof call->where, "%s", field);
  return error;
}

bool sheaf__sim_openai_says_json(sheaf_slice text) {
  for (size_t i = 0; i + 4 <= text.bytes; i++)
    if ((text.data[i] | 0x20) == 'j' && (text.data[i + 1] | 0x20) == 's' &&
        (text.data[i + 2] | 0x20) == 'o' && (text.data[i + 3] | 0x20) == 'n')
      return true;
  return false;
}

/* ---- Lists and maps ---- */

const sim_field sheaf__sim_openai_stop = {.name = "stop", .kinds = SIM_IS_STRING, .max = 4};
const sim_field sheaf__sim_openai_bias = {
    .name = "logit_bias", .kinds = SIM_IS_NUMBER, .is_required = true, .min = -100, .max = 100};

uint32_t sheaf__sim_openai_read_list(sim_call *call, sheaf_slice list, const sim_field *item,
                                     bool may_be_empty) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint32_t count = 0;
  if (sheaf_json_kind(list) != SHEAF_JSON_ARRAY) return SIM_ERROR_COUNT;
  if (sheaf_json_iter_init(&iter, list) != SHEAF_OK) return SIM_ERROR_COUNT;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    uint32_t error = SIM_ERROR_COUNT;
    if (sheaf_json_kind(value) == SHEAF_JSON_NULL)
      error = sheaf__sim_fail(call, SIM_WRONG_TYPE, item->name, "string", value);
    else
      error = sheaf__sim_check_value(call, item, value);
    count++;
    if (error == SIM_ERROR_COUNT) continue;
    call->element = count;
    return error;
  }
  if (count == 0 && !may_be_empty)
    return sheaf__sim_fail(call, SIM_BAD_VALUE, item->name, "minimum", list);
  if (item->max <= 0 || count <= item->max) return SIM_ERROR_COUNT;
  sheaf__sim_fail(call, SIM_BAD_VALUE, item->name, "maximum", list);
  call->row = item;
  return SIM_BAD_VALUE;
}

/* The member is named where its key is plain enough to be repeated. */
static uint32_t at_member(sim_call *call, uint32_t error, const char *map, sheaf_slice key) {
  bool is_plain = key.bytes && key.bytes <= 64 && !memchr(key.data, '\\', key.bytes);
  if (is_plain)
    snprintf(call->where, sizeof call->where, "%s.%.*s", map, (int)key.bytes, key.data);
  else
    snprintf(call->where, sizeof call->where, "%s", map);
  call->field = "";
  return error;
}

uint32_t sheaf__sim_openai_read_map(sim_call *call, sheaf_slice map, const sim_field *item) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (!map.bytes || sheaf_json_iter_init(&iter, map) != SHEAF_OK) return SIM_ERROR_COUNT;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    uint32_t error = sheaf__sim_check_value(call, item, value);
    if (error != SIM_ERROR_COUNT) return at_member(call, error, item->name, key);
  }
  return SIM_ERROR_COUNT;
}

uint32_t sheaf__sim_openai_read_metadata(sim_call *call, sheaf_slice metadata) {
  static const sim_field item = {.name = "metadata", .kinds = SIM_IS_STRING, .is_required = true};
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint32_t count = 0;
  uint32_t error = sheaf__sim_openai_read_map(call, metadata, &item);
  if (error != SIM_ERROR_COUNT || !metadata.bytes) return error;
  if (sheaf_json_iter_init(&iter, metadata) != SHEAF_OK) return SIM_ERROR_COUNT;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (++count > 16)
      return sheaf__sim_openai_refuse(call, "metadata",
                                      "Invalid 'metadata': too many properties. Expected an object "
                                      "with at most 16 properties.");
    if (count_characters(key) > 64)
      return sheaf__sim_openai_refuse(call, "metadata",
                                      "Invalid 'metadata': property name too long. Expected one "
                                      "with maximum length 64.");
    if (count_characters(sheaf_json_inside(value)) > 512)
      return sheaf__sim_openai_refuse(call, "metadata",
                                      "Invalid 'metadata': string too long. Expected a string with "
                                      "maximum length 512.");
  }
  return SIM_ERROR_COUNT;
}
