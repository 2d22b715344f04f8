/* sim_anthropic_blocks.c: the content of messages to Anthropic: strings and blocks, and whether the
 * service would take them. Objects are closed, as its OpenAPI document has them; of blocks that
 * stand for other things than text and tools only the type is looked at.
 *
 * Outline: marks of a cache; names; text; tools; any block; content; messages. */
#include "sim_shapes.h"

/* An image is about 1,600 tokens at most, whatever its bytes are (the vendor's guide to vision); a
 * page of a document is taken for as much. */
#define IMAGE_BYTES 6400u

#define COUNT_OF(table) ((uint32_t)(sizeof(table) / sizeof *(table)))

static const sheaf_slice nothing = {NULL, 0};

static uint32_t fail(sim_call *call, const char *field, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, sentence, nothing);
}

static uint32_t wrong_type(sim_call *call, const char *expected, sheaf_slice got) {
  return sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, expected, got);
}

/* ---- Marks of a cache ---- */

uint32_t sheaf__sim_anthropic_cache(sim_call *call, sheaf_slice mark) {
  static const sim_field fields[] = {
      {.name = "cache_control.type",
       .kinds = SIM_IS_STRING,
       .is_required = true,
       .values = " ephemeral "},
      {.name = "cache_control.ttl", .kinds = SIM_IS_STRING, .values = " 5m 1h "},
  };
  sheaf_slice key, value, type = nothing;
  sheaf_json_iter iter;
  if (!mark.bytes || sheaf_json_iter_init(&iter, mark) != SHEAF_OK) return SIM_ERROR_COUNT;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    bool is_type = sheaf__sim_in_list(" type ", key), is_ttl = sheaf__sim_in_list(" ttl ", key);
    const sim_field *row = &fields[is_ttl];
    if (!is_type && !is_ttl) return fail(call, "cache_control", "Extra inputs are not permitted");
    if (is_type) type = value;
    if (sheaf__sim_in_list(row->values, sheaf_json_inside(value))) continue;
    sheaf__sim_fail(call, SIM_BAD_VALUE, row->name, row->values, value);
    call->row = row;
    return SIM_BAD_VALUE;
  }
  if (type.bytes) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_MISSING_FIELD, fields[0].name, NULL, nothing);
}

/* ---- Names: ^[a-zA-Z0-9_-]{1,most}$ ---- */

bool sheaf__sim_anthropic_is_name(sheaf_slice name, size_t most) {
  for (size_t i = 0; i < name.bytes; i++) {
    char c = name.data[i];
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_plain && c != '_' && c != '-') return false;
  }
  return name.bytes >= 1 && name.bytes <= most;
}

static uint32_t check_id(sim_call *call, const char *field, sheaf_slice id) {
  if (sheaf__sim_anthropic_is_name(sheaf_json_inside(id), SIZE_MAX)) return SIM_ERROR_COUNT;
  return fail(call, field, "String should match pattern '^[a-zA-Z0-9_-]+$'");
}

/* ---- Text and tools ---- */

static uint32_t check_text(sim_call *call, sheaf_slice block, bool is_user) {
  static const sim_field fields[] = {
      {.name = "text", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "cache_control", .kinds = SIM_IS_OBJECT},
      {.name = "citations", .kinds = SIM_IS_ARRAY},
  };
  sheaf_slice values[COUNT_OF(fields)];
  uint32_t error = sheaf__sim_check_object(call, block, fields, COUNT_OF(fields), false, values);
  if (error != SIM_ERROR_COUNT) return error;
  if (values[0].bytes <= 2) return fail(call, "text", "text content blocks must be non-empty");
  if (sheaf__sim_anthropic_is_new(call) && is_user && values[3].bytes > 2)
    return fail(call, "citations", "citations are not permitted on user text blocks");
  return sheaf__sim_anthropic_cache(call, values[2]);
}

static uint32_t check_use(sim_call *call, sheaf_slice block) {
  static const sim_field fields[] = {
      {.name = "id", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "input", .kinds = SIM_IS_OBJECT, .is_required = true},
      {.name = "name", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "cache_control", .kinds = SIM_IS_OBJECT},
      {.name = "caller", .kinds = SIM_IS_OBJECT},
      {.name = "toolset_name", .kinds = SIM_IS_STRING},
  };
  sheaf_slice values[COUNT_OF(fields)];
  uint32_t error = sheaf__sim_check_object(call, block, fields, COUNT_OF(fields), false, values);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.prompt_bytes += values[1].bytes + values[2].bytes;
  error = check_id(call, "id", values[0]);
  return error != SIM_ERROR_COUNT ? error : sheaf__sim_anthropic_cache(call, values[4]);
}

static uint32_t check_result(sim_call *call, sheaf_slice block) {
  static const sim_field fields[] = {
      {.name = "tool_use_id", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "content", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
      {.name = "is_error", .kinds = SIM_IS_BOOL},
      {.name = "type", .kinds = SIM_IS_STRING},
      {.name = "cache_control", .kinds = SIM_IS_OBJECT},
      {.name = "toolset_name", .kinds = SIM_IS_STRING},
  };
  sheaf_slice values[COUNT_OF(fields)];
  uint32_t error = sheaf__sim_check_object(call, block, fields, COUNT_OF(fields), false, values);
  if (error == SIM_ERROR_COUNT) error = check_id(call, "tool_use_id", values[0]);
  return error != SIM_ERROR_COUNT ? error : sheaf__sim_anthropic_cache(call, values[4]);
}

/* ---- Any block ---- */

static const char block_types[] =
    " text image document search_result thinking redacted_thinking tool_use tool_result "
    "server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result "
    "bash_code_execution_tool_result text_editor_code_execution_tool_result "
    "tool_search_tool_result tool_reference container_upload mcp_tool_use mcp_tool_result "
    "compaction browser_state browser_tool_use computer_tool_use ";

static uint32_t check_other(sim_call *call, sheaf_slice block, sheaf_slice type, bool is_user) {
  bool is_document = sheaf_json_equals(type, "document");
  if (is_document && !is_user && sheaf__sim_anthropic_is_new(call))
    return fail(call, NULL, "document blocks are not permitted in assistant messages");
  call->asked.prompt_bytes +=
      is_document || sheaf_json_equals(type, "image") ? IMAGE_BYTES : block.bytes;
  return SIM_ERROR_COUNT;
}

/* Blocks are tagged by their type, and paths of fields in them go through the tag. Texts and tools'
 * results are not counted here: see sheaf__sim_read_content. */
static uint32_t check_block(sim_call *call, sheaf_slice block, bool is_user, uint32_t message,
                            uint32_t n) {
  static const char path[] = "messages.%.content.%";
  if (sheaf_json_kind(block) != SHEAF_JSON_OBJECT)
    return sheaf__sim_at(call, wrong_type(call, "object", block), path, message, n);
  sheaf_slice type = sheaf_json_member(block, "type");
  if (!type.bytes)
    return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_MISSING_FIELD, "type", NULL, nothing),
                         path, message, n);
  if (sheaf_json_equals(type, "text"))
    return sheaf__sim_at(call, check_text(call, block, is_user), "messages.%.content.%.text",
                         message, n);
  if (sheaf_json_equals(type, "tool_use"))
    return sheaf__sim_at(call, check_use(call, block), "messages.%.content.%.tool_use", message, n);
  if (sheaf_json_equals(type, "tool_result"))
    return sheaf__sim_at(call, check_result(call, block), "messages.%.content.%.tool_result",
                         message, n);
  if (!sheaf__sim_in_list(block_types, sheaf_json_inside(type)))
    return sheaf__sim_at(call, sheaf__sim_fail(call, SIM_BAD_VALUE, NULL, block_types, type), path,
                         message, n);
  return sheaf__sim_at(call, check_other(call, block, type, is_user), path, message, n);
}

/* ---- Messages ---- */

static uint32_t read_message(sim_call *call, sheaf_slice message, uint32_t n) {
  static const sim_field fields[] = {
      {.name = "role",
       .kinds = SIM_IS_STRING,
       .is_required = true,
       .values = " user assistant system "},
      {.name = "content", .kinds = SIM_IS_STRING | SIM_IS_ARRAY, .is_required = true},
  };
  sheaf_slice values[2], key, block;
  sheaf_json_iter iter;
  if (sheaf_json_kind(message) != SHEAF_JSON_OBJECT)
    return sheaf__sim_at(call, wrong_type(call, "object", message), "messages.%", n, 0);
  uint32_t error = sheaf__sim_check_object(call, message, fields, 2, false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "messages.%", n, 0);
  bool is_user = sheaf_json_equals(values[0], "user");
  if (is_user && values[1].bytes <= 2)
    return sheaf__sim_at(call, fail(call, NULL, "user messages must have non-empty content"),
                         "messages.%", n, 0);
  uint32_t count = 0;
  if (sheaf_json_kind(values[1]) == SHEAF_JSON_ARRAY &&
      sheaf_json_iter_init(&iter, values[1]) == SHEAF_OK) {
    while (error == SIM_ERROR_COUNT && sheaf_json_iter_next(&iter, &key, &block) == SHEAF_OK)
      error = check_block(call, block, is_user, n, count++);
  }
  if (error == SIM_ERROR_COUNT) sheaf__sim_read_content(call, values[1], is_user);
  return error;
}

uint32_t sheaf__sim_anthropic_messages(sim_call *call, sheaf_slice messages) {
  sheaf_json_iter iter;
  sheaf_slice key, message;
  uint32_t error = SIM_ERROR_COUNT, count = 0;
  if (sheaf_json_iter_init(&iter, messages) != SHEAF_OK) return SIM_BAD_JSON;
  while (error == SIM_ERROR_COUNT && sheaf_json_iter_next(&iter, &key, &message) == SHEAF_OK)
    error = read_message(call, message, count++);
  if (error == SIM_ERROR_COUNT && count == 0)
    error = fail(call, "messages", "at least one message is required");
  return error;
}

/* A string, or blocks of text. */
uint32_t sheaf__sim_anthropic_system(sim_call *call, sheaf_slice system) {
  sheaf_json_iter iter;
  sheaf_slice key, block;
  uint32_t n = 0;
  if (sheaf_json_kind(system) == SHEAF_JSON_ARRAY &&
      sheaf_json_iter_init(&iter, system) == SHEAF_OK) {
    for (; sheaf_json_iter_next(&iter, &key, &block) == SHEAF_OK; n++) {
      uint32_t error = SIM_ERROR_COUNT;
      if (sheaf_json_kind(block) != SHEAF_JSON_OBJECT)
        error = wrong_type(call, "object", block);
      else if (!sheaf_json_equals(sheaf_json_member(block, "type"), "text"))
        error = fail(call, "type", "Input should be 'text'");
      else
        error = check_text(call, block, false);
      if (error != SIM_ERROR_COUNT) return sheaf__sim_at(call, error, "system.%", n, 0);
    }
  }
  sheaf__sim_read_content(call, system, false);
  return SIM_ERROR_COUNT;
}
