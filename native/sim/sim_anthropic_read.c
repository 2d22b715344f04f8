/* sim_anthropic_read.c: what a body for /v1/messages or /v1/messages/count_tokens asks for, and
 * whether Anthropic would take it (protocols 2.1 to 2.3; the fields are those of the official SDK's
 * types).
 *
 * Outline: tools; the choice among them; thinking and formats; small fields; the body. Messages are
 * read in sim_anthropic_blocks.c. */
#include "sim_shapes.h"

#include <string.h>

#define NO_MOST 1e18 /* of a number with a lower end only */

#define COUNT_OF(table) ((uint32_t)(sizeof(table) / sizeof *(table)))

static const sheaf_slice nothing = {NULL, 0};

static uint32_t fail(sim_call *call, const char *field, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, sentence, nothing);
}

static uint32_t missing(sim_call *call, const char *field) {
  return sheaf__sim_fail(call, SIM_MISSING_FIELD, field, NULL, nothing);
}

/* From this version on, some things that were fine are refused (protocols 2.1). */
bool sheaf__sim_anthropic_is_new(const sim_call *call) {
  return call->version && strcmp(call->version, "2026-10-21") >= 0;
}

/* ---- Tools ---- */

static bool has_tool(const sim_call *call, sheaf_slice name) {
  for (uint32_t i = 0; i < call->asked.tool_count; i++) {
    sheaf_slice known = call->asked.tool[i].name;
    if (known.bytes == name.bytes && memcmp(known.data, name.data, name.bytes) == 0) return true;
  }
  return false;
}

static uint32_t read_custom_tool(sim_call *call, sheaf_slice tool) {
  static const sim_field fields[] = {
      {.name = "name", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "input_schema", .kinds = SIM_IS_OBJECT, .is_required = true},
      {.name = "input_schema.type",
       .kinds = SIM_IS_STRING,
       .is_required = true,
       .values = " object "},
      {.name = "description", .kinds = SIM_IS_STRING},
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "cache_control", .kinds = SIM_IS_OBJECT},
      {.name = "strict", .kinds = SIM_IS_BOOL},
      {.name = "allowed_callers", .kinds = SIM_IS_ARRAY},
      {.name = "defer_loading", .kinds = SIM_IS_BOOL},
      {.name = "eager_input_streaming", .kinds = SIM_IS_BOOL},
      {.name = "input_examples", .kinds = SIM_IS_ARRAY},
  };
  sheaf_slice values[COUNT_OF(fields)];
  uint32_t error = sheaf__sim_check_object(call, tool, fields, COUNT_OF(fields), false, values);
  if (error != SIM_ERROR_COUNT) return error;
  sheaf_slice name = sheaf_json_inside(values[0]);
  if (!sheaf__sim_anthropic_is_name(name, 128))
    return fail(call, "name", "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'");
  if (has_tool(call, name)) {
    call->where[0] = 0;
    return fail(call, "tools", "Tool names must be unique.");
  }
  call->asked.prompt_bytes += sheaf_json_inside(values[3]).bytes;
  sheaf__sim_read_tool(call, name, values[1]);
  return sheaf__sim_anthropic_cache(call, values[5]);
}

/* Tools that Anthropic runs itself have a type with a date; they count, and are never called. */
static uint32_t read_tools(sim_call *call, sheaf_slice tools) {
  sheaf_json_iter iter;
  sheaf_slice key, tool;
  uint32_t n = 0;
  if (sheaf_json_iter_init(&iter, tools) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (; sheaf_json_iter_next(&iter, &key, &tool) == SHEAF_OK; n++) {
    if (sheaf_json_kind(tool) != SHEAF_JSON_OBJECT)
      return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", tool),
                           "tools.%", n, 0);
    sheaf_slice type = sheaf_json_member(tool, "type");
    if (sheaf_json_kind(type) == SHEAF_JSON_STRING && !sheaf_json_equals(type, "custom")) {
      call->asked.prompt_bytes += tool.bytes;
      continue;
    }
    uint32_t error = read_custom_tool(call, tool);
    if (error != SIM_ERROR_COUNT && call->field && strcmp(call->field, "tools") == 0) return error;
    if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "tools.%.custom", n, 0);
  }
  if (call->asked.tool_count) call->asked.tools = SIM_TOOLS_AUTO;
  return SIM_ERROR_COUNT;
}

/* An object that is one of several by its type; only some members belong to each. */
static uint32_t check_tagged(sim_call *call, sheaf_slice object, const char *field,
                             const char *types, sheaf_slice *type) {
  *type = sheaf_json_member(object, "type");
  if (!type->bytes) return sheaf__sim_at(call, missing(call, "type"), field, 0, 0);
  if (sheaf__sim_in_list(types, sheaf_json_inside(*type))) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, types, *type);
}

static uint32_t choose_tool(sim_call *call, sheaf_slice choice) {
  static const sim_field fields[] = {
      {.name = "name", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "disable_parallel_tool_use", .kinds = SIM_IS_BOOL},
  };
  sheaf_slice values[3];
  uint32_t error = sheaf__sim_check_object(call, choice, fields, 3, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "tool_choice.tool", 0, 0);
  call->asked.tools = SIM_TOOLS_NAMED;
  call->asked.tool_name = sheaf_json_inside(values[0]);
  if (has_tool(call, call->asked.tool_name)) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_BAD_VALUE, "tool_choice", NULL, values[0]);
}

static uint32_t read_tool_choice(sim_call *call, sheaf_slice choice, bool has_tools) {
  static const sim_field fields[] = {
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "disable_parallel_tool_use", .kinds = SIM_IS_BOOL},
  };
  sheaf_slice type, values[2];
  uint32_t error = check_tagged(call, choice, "tool_choice", " auto any tool none ", &type);
  if (error != SIM_ERROR_COUNT) return error;
  bool is_none = sheaf_json_equals(type, "none"), is_named = sheaf_json_equals(type, "tool");
  if (!is_none && !has_tools)
    return fail(call, "tool_choice", "tool_choice may only be specified while providing tools.");
  if (sheaf_json_true(sheaf_json_member(choice, fields[1].name))) call->asked.is_parallel = false;
  if (is_named) return choose_tool(call, choice);
  error = sheaf__sim_check_object(call, choice, fields, is_none ? 1 : 2, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "tool_choice", 0, 0);
  if (is_none) call->asked.tools = SIM_TOOLS_NONE;
  if (sheaf_json_equals(type, "any")) call->asked.tools = SIM_TOOLS_REQUIRED;
  return SIM_ERROR_COUNT;
}

/* ---- Thinking and formats ---- */

static uint32_t check_thinking(sim_call *call, sheaf_slice thinking, uint64_t tokens_max) {
  static const sim_field fields[] = {
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "display", .kinds = SIM_IS_STRING, .values = " summarized omitted "},
      {.name = "budget_tokens",
       .kinds = SIM_IS_NUMBER,
       .is_required = true,
       .is_integer = true,
       .min = 1024,
       .max = NO_MOST},
  };
  static const char types[] = " enabled disabled adaptive between_tools ";
  sheaf_slice values[3], type;
  int64_t budget;
  uint32_t error = check_tagged(call, thinking, "thinking", types, &type);
  if (error != SIM_ERROR_COUNT) return error;
  bool is_enabled = sheaf_json_equals(type, "enabled");
  bool is_adaptive = sheaf_json_equals(type, "adaptive");
  error = sheaf__sim_check_object(call, thinking, fields,
                                  is_enabled    ? 3
                                  : is_adaptive ? 2
                                                : 1,
                                  false, values);
  if (error != SIM_ERROR_COUNT)
    return sheaf__sim_at(call, error, is_enabled ? "thinking.enabled" : "thinking", 0, 0);
  if (is_enabled && sheaf_json_int(values[2], &budget) == SHEAF_OK &&
      (uint64_t)budget >= tokens_max)
    return fail(call, NULL, "`max_tokens` must be greater than `thinking.budget_tokens`.");
  return error;
}

/* {"type":"json_schema","schema":{...}} */
static uint32_t read_format(sim_call *call, sheaf_slice format, const char *path) {
  static const sim_field fields[] = {
      {.name = "type", .kinds = SIM_IS_STRING, .is_required = true, .values = " json_schema "},
      {.name = "schema", .kinds = SIM_IS_OBJECT, .is_required = true},
  };
  sheaf_slice values[2];
  if (!format.bytes) return SIM_ERROR_COUNT;
  uint32_t error = sheaf__sim_check_object(call, format, fields, 2, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, path, 0, 0);
  call->asked.format = SIM_FORMAT_SCHEMA;
  call->asked.schema = values[1];
  call->asked.prompt_bytes += values[1].bytes;
  return error;
}

static uint32_t read_output_config(sim_call *call, sheaf_slice config) {
  static const sim_field fields[] = {
      {.name = "effort", .kinds = SIM_IS_STRING, .values = " low medium high xhigh max "},
      {.name = "format", .kinds = SIM_IS_OBJECT},
      {.name = "task_budget", .kinds = SIM_IS_OBJECT},
  };
  sheaf_slice values[3];
  if (!config.bytes) return SIM_ERROR_COUNT;
  uint32_t error = sheaf__sim_check_object(call, config, fields, 3, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "output_config", 0, 0);
  return read_format(call, values[1], "output_config.format");
}

/* ---- Small fields ---- */

static uint32_t check_stops(sim_call *call, sheaf_slice stops) {
  sheaf_json_iter iter;
  sheaf_slice key, stop;
  if (!stops.bytes || sheaf_json_iter_init(&iter, stops) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (uint32_t n = 0; sheaf_json_iter_next(&iter, &key, &stop) == SHEAF_OK; n++)
    if (sheaf_json_kind(stop) != SHEAF_JSON_STRING)
      return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "string", stop),
                           "stop_sequences.%", n, 0);
  return SIM_ERROR_COUNT;
}

static uint32_t check_metadata(sim_call *call, sheaf_slice metadata) {
  static const sim_field fields[] = {{.name = "user_id", .kinds = SIM_IS_STRING}};
  sheaf_slice value[1];
  if (!metadata.bytes) return SIM_ERROR_COUNT;
  return sheaf__sim_at(call, sheaf__sim_check_object(call, metadata, fields, 1, false, value),
                       "metadata", 0, 0);
}

/* A container's name, or what to load into one. */
static uint32_t check_container(sim_call *call, sheaf_slice container) {
  static const sim_field fields[] = {{.name = "id", .kinds = SIM_IS_STRING},
                                     {.name = "skills", .kinds = SIM_IS_ARRAY}};
  sheaf_slice values[2];
  if (sheaf_json_kind(container) != SHEAF_JSON_OBJECT) return SIM_ERROR_COUNT;
  uint32_t error = sheaf__sim_check_object(call, container, fields, 2, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "container", 0, 0);
  if (values[0].bytes || values[1].bytes) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_WRONG_TYPE, "container", "string", container);
}

/* ---- The body ---- */

/* count_tokens takes the first ones only. */
enum {
  F_MODEL,
  F_MESSAGES,
  F_SYSTEM,
  F_TOOLS,
  F_TOOL_CHOICE,
  F_THINKING,
  F_OUTPUT_CONFIG,
  F_OUTPUT_FORMAT,
  F_CACHE_CONTROL,
  F_SPEED,
  F_USER_PROFILE,
  F_WORKSPACE,
  F_MCP_SERVERS,
  F_CONTEXT_MANAGEMENT,
  F_MAX_TOKENS,
  F_STREAM,
  F_TEMPERATURE,
  F_TOP_P,
  F_TOP_K,
  F_STOP_SEQUENCES,
  F_METADATA,
  F_SERVICE_TIER,
  F_CONTAINER,
  F_DIAGNOSTICS,
  F_INFERENCE_GEO,
  F_FIELDS,
  F_COUNT_FIELDS = F_MAX_TOKENS
};

static const sim_field body_fields[F_FIELDS] = {
    [F_MODEL] = {.name = "model", .kinds = SIM_IS_STRING, .is_required = true},
    [F_MESSAGES] = {.name = "messages", .kinds = SIM_IS_ARRAY, .is_required = true},
    [F_SYSTEM] = {.name = "system", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [F_TOOLS] = {.name = "tools", .kinds = SIM_IS_ARRAY},
    [F_TOOL_CHOICE] = {.name = "tool_choice", .kinds = SIM_IS_OBJECT},
    [F_THINKING] = {.name = "thinking", .kinds = SIM_IS_OBJECT},
    [F_OUTPUT_CONFIG] = {.name = "output_config", .kinds = SIM_IS_OBJECT},
    [F_OUTPUT_FORMAT] = {.name = "output_format", .kinds = SIM_IS_OBJECT}, /* its name in beta */
    [F_CACHE_CONTROL] = {.name = "cache_control", .kinds = SIM_IS_OBJECT},
    [F_SPEED] = {.name = "speed", .kinds = SIM_IS_STRING, .values = " standard fast "},
    [F_USER_PROFILE] = {.name = "user_profile_id", .kinds = SIM_IS_STRING},
    [F_WORKSPACE] = {.name = "workspace_id", .kinds = SIM_IS_STRING},
    [F_MCP_SERVERS] = {.name = "mcp_servers", .kinds = SIM_IS_ARRAY},
    [F_CONTEXT_MANAGEMENT] = {.name = "context_management", .kinds = SIM_IS_OBJECT},
    [F_MAX_TOKENS] = {.name = "max_tokens",
                      .kinds = SIM_IS_NUMBER,
                      .is_required = true,
                      .is_integer = true,
                      .max = NO_MOST},
    [F_STREAM] = {.name = "stream", .kinds = SIM_IS_BOOL},
    [F_TEMPERATURE] = {.name = "temperature", .kinds = SIM_IS_NUMBER, .max = 1},
    [F_TOP_P] = {.name = "top_p", .kinds = SIM_IS_NUMBER, .max = 1},
    [F_TOP_K] = {.name = "top_k", .kinds = SIM_IS_NUMBER, .is_integer = true, .max = NO_MOST},
    [F_STOP_SEQUENCES] = {.name = "stop_sequences", .kinds = SIM_IS_ARRAY},
    [F_METADATA] = {.name = "metadata", .kinds = SIM_IS_OBJECT},
    [F_SERVICE_TIER] = {.name = "service_tier",
                        .kinds = SIM_IS_STRING,
                        .values = " auto standard_only "},
    [F_CONTAINER] = {.name = "container", .kinds = SIM_IS_STRING | SIM_IS_OBJECT},
    [F_DIAGNOSTICS] = {.name = "diagnostics", .kinds = SIM_IS_OBJECT},
    [F_INFERENCE_GEO] = {.name = "inference_geo", .kinds = SIM_IS_STRING},
};

static uint32_t check_sampling(sim_call *call, const sheaf_slice *values) {
  for (uint32_t i = F_TEMPERATURE; i <= F_TOP_K; i++)
    if (values[i].bytes && sheaf__sim_anthropic_is_new(call))
      return fail(call, body_fields[i].name, "not supported from version 2026-10-21 on");
  return SIM_ERROR_COUNT;
}

static uint32_t read_tools_and_choice(sim_call *call, const sheaf_slice *values) {
  uint32_t error = SIM_ERROR_COUNT;
  if (values[F_TOOLS].bytes) error = read_tools(call, values[F_TOOLS]);
  if (error == SIM_ERROR_COUNT && values[F_TOOL_CHOICE].bytes)
    error = read_tool_choice(call, values[F_TOOL_CHOICE], values[F_TOOLS].bytes > 2);
  return error;
}

static uint32_t read_small(sim_call *call, const sheaf_slice *values) {
  uint32_t error = check_sampling(call, values);
  if (error == SIM_ERROR_COUNT) error = check_stops(call, values[F_STOP_SEQUENCES]);
  if (error == SIM_ERROR_COUNT) error = check_metadata(call, values[F_METADATA]);
  if (error == SIM_ERROR_COUNT) error = check_container(call, values[F_CONTAINER]);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_anthropic_cache(call, values[F_CACHE_CONTROL]);
  if (error == SIM_ERROR_COUNT && values[F_THINKING].bytes)
    error = check_thinking(call, values[F_THINKING], call->asked.tokens_max);
  if (error == SIM_ERROR_COUNT) error = read_output_config(call, values[F_OUTPUT_CONFIG]);
  if (error == SIM_ERROR_COUNT) error = read_format(call, values[F_OUTPUT_FORMAT], "output_format");
  return error;
}

uint32_t sheaf__sim_anthropic_read(sim_call *call) {
  sheaf_slice values[F_FIELDS] = {{NULL, 0}};
  int64_t tokens_max;
  uint32_t count = call->route->task == SIM_COUNT ? F_COUNT_FIELDS : F_FIELDS;
  uint32_t error = sheaf__sim_check(call, body_fields, count, false, values);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.model = sheaf_json_inside(values[F_MODEL]);
  call->asked.is_stream = sheaf_json_true(values[F_STREAM]);
  call->asked.is_usage_wanted = true;
  call->asked.is_parallel = true;
  if (sheaf_json_int(values[F_MAX_TOKENS], &tokens_max) == SHEAF_OK)
    call->asked.tokens_max = (uint64_t)tokens_max;
  if (!call->asked.model.bytes)
    return fail(call, "model", "String should have at least 1 character");
  error = sheaf__sim_anthropic_messages(call, values[F_MESSAGES]);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_anthropic_system(call, values[F_SYSTEM]);
  if (error == SIM_ERROR_COUNT) error = read_tools_and_choice(call, values);
  return error != SIM_ERROR_COUNT ? error : read_small(call, values);
}
