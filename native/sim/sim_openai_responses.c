/* sim_openai_responses.c: the responses API as OpenAI shapes it (protocols 1.2).
 *
 * Outline: the body's table; its items; the response object, which repeats what was asked; the
 * answer; the stream, whose events are numbered. */
#include "sim_openai.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Reading ---- */

enum {
  MODEL,
  INPUT,
  INSTRUCTIONS,
  STREAM,
  STREAM_OPTIONS,
  OUTPUT_MAX,
  TOOLS,
  TOOL_CHOICE,
  PARALLEL,
  FORMAT,
  METADATA,
  BACKGROUND,
  PREVIOUS,
  CONVERSATION,
  INCLUDE,
  PROMPT /* the rows without a name here are only checked */
};

static const sim_field fields[] = {
    [MODEL] = {.name = "model", .kinds = SIM_IS_STRING},
    [INPUT] = {.name = "input", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [INSTRUCTIONS] = {.name = "instructions", .kinds = SIM_IS_STRING},
    [STREAM] = {.name = "stream", .kinds = SIM_IS_BOOL},
    [STREAM_OPTIONS] = {.name = "stream_options", .kinds = SIM_IS_OBJECT},
    /* The minimum is that of the OpenAPI description of 2026-08. */
    [OUTPUT_MAX] = {.name = "max_output_tokens",
                    .kinds = SIM_IS_NUMBER,
                    .is_integer = true,
                    .min = 16,
                    .max = 1e15},
    [TOOLS] = {.name = "tools", .kinds = SIM_IS_ARRAY},
    [TOOL_CHOICE] = {.name = "tool_choice",
                     .kinds = SIM_IS_STRING | SIM_IS_OBJECT,
                     .values = " none auto required "},
    [PARALLEL] = {.name = "parallel_tool_calls", .kinds = SIM_IS_BOOL},
    [FORMAT] = {.name = "text.format", .kinds = SIM_IS_OBJECT},
    [METADATA] = {.name = "metadata", .kinds = SIM_IS_OBJECT},
    [BACKGROUND] = {.name = "background", .kinds = SIM_IS_BOOL},
    [PREVIOUS] = {.name = "previous_response_id", .kinds = SIM_IS_STRING},
    [CONVERSATION] = {.name = "conversation", .kinds = SIM_IS_STRING | SIM_IS_OBJECT},
    [INCLUDE] = {.name = "include", .kinds = SIM_IS_ARRAY},
    [PROMPT] = {.name = "prompt", .kinds = SIM_IS_OBJECT},
    {.name = "prompt.id", .kinds = SIM_IS_STRING, .is_required = true},
    {.name = "conversation.id", .kinds = SIM_IS_STRING, .is_required = true},
    {.name = "tool_choice.type",
     .kinds = SIM_IS_STRING,
     .is_required = true,
     .values = " function allowed_tools custom mcp file_search web_search web_search_preview "
               "web_search_preview_2025_03_11 computer computer_use computer_use_preview "
               "code_interpreter image_generation apply_patch shell programmatic_tool_calling "},
    {.name = "text", .kinds = SIM_IS_OBJECT},
    {.name = "text.verbosity", .kinds = SIM_IS_STRING, .values = " low medium high "},
    {.name = "stream_options.include_obfuscation", .kinds = SIM_IS_BOOL},
    {.name = "reasoning", .kinds = SIM_IS_OBJECT},
    {.name = "reasoning.effort",
     .kinds = SIM_IS_STRING,
     .values = " none minimal low medium high xhigh max "},
    {.name = "reasoning.summary", .kinds = SIM_IS_STRING, .values = " auto concise detailed "},
    {.name = "temperature", .kinds = SIM_IS_NUMBER, .max = 2},
    {.name = "top_p", .kinds = SIM_IS_NUMBER, .max = 1},
    {.name = "top_logprobs", .kinds = SIM_IS_NUMBER, .is_integer = true, .max = 20},
    {.name = "max_tool_calls", .kinds = SIM_IS_NUMBER, .is_integer = true},
    {.name = "truncation", .kinds = SIM_IS_STRING, .values = " auto disabled "},
    {.name = "service_tier",
     .kinds = SIM_IS_STRING,
     .values = " auto default flex scale priority "},
    {.name = "context_management", .kinds = SIM_IS_ARRAY},
    {.name = "moderation", .kinds = SIM_IS_OBJECT},
    {.name = "store", .kinds = SIM_IS_BOOL},
    {.name = "user", .kinds = SIM_IS_STRING},
    {.name = "personality", .kinds = SIM_IS_STRING},
    {.name = "safety_identifier", .kinds = SIM_IS_STRING},
    {.name = "prompt_cache_key", .kinds = SIM_IS_STRING},
    {.name = "prompt_cache_options", .kinds = SIM_IS_OBJECT},
    {.name = "prompt_cache_retention", .kinds = SIM_IS_STRING, .values = " in_memory 24h "},
};

static uint32_t read_part(sim_call *call, uint32_t n, uint32_t m, sheaf_slice part) {
  enum { TYPE, TEXT, COUNT };
  static const sim_field part_fields[COUNT] = {
      [TYPE] = {.name = "type",
                .kinds = SIM_IS_STRING,
                .is_required = true,
                .values = " input_text input_image output_text refusal input_file "
                          "computer_screenshot summary_text "},
      [TEXT] = {.name = "text", .kinds = SIM_IS_STRING},
  };
  sheaf_slice values[COUNT];
  char rest[32];
  if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT)
    return sheaf__sim_openai_at(call,
                                sheaf__sim_fail(call, SIM_WRONG_TYPE, "content", "object", part),
                                "input", n, "", m + 1);
  uint32_t error = sheaf__sim_check_object(call, part, part_fields, COUNT, true, values);
  if (error == SIM_ERROR_COUNT && !values[TEXT].bytes &&
      (sheaf_json_equals(values[TYPE], "input_text") ||
       sheaf_json_equals(values[TYPE], "output_text")))
    error = sheaf__sim_fail(call, SIM_MISSING_FIELD, "text", "string", part);
  if (error == SIM_ERROR_COUNT) return error;
  snprintf(rest, sizeof rest, ".content[%" PRIu32 "]", m);
  return sheaf__sim_openai_at(call, error, "input", n, rest, 0);
}

static uint32_t read_parts(sim_call *call, uint32_t n, sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  uint32_t m = 0;
  if (sheaf_json_kind(content) != SHEAF_JSON_ARRAY) return SIM_ERROR_COUNT;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (; sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK; m++) {
    uint32_t error = read_part(call, n, m, part);
    if (error != SIM_ERROR_COUNT) return error;
  }
  return SIM_ERROR_COUNT;
}

enum { TYPE, ROLE, CONTENT, CALL_ID, NAME, ARGUMENTS, OUTPUT, ITEM_COUNT };

static const sim_field item_fields[ITEM_COUNT] = {
    [TYPE] = {.name = "type", .kinds = SIM_IS_STRING},
    [ROLE] = {.name = "role",
              .kinds = SIM_IS_STRING,
              .values = " assistant system developer user "},
    [CONTENT] = {.name = "content", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [CALL_ID] = {.name = "call_id", .kinds = SIM_IS_STRING},
    [NAME] = {.name = "name", .kinds = SIM_IS_STRING},
    [ARGUMENTS] = {.name = "arguments", .kinds = SIM_IS_ANY},
    [OUTPUT] = {.name = "output", .kinds = SIM_IS_ANY},
};

/* Which field an item lacks; of types that only the provider itself makes, none. */
static const char *missing_of(const sheaf_slice *values) {
  sheaf_slice type = values[TYPE];
  if (!type.bytes || sheaf_json_equals(type, "message"))
    return !values[ROLE].bytes ? "role" : !values[CONTENT].bytes ? "content" : NULL;
  bool is_call = sheaf_json_equals(type, "function_call");
  bool is_output = sheaf_json_equals(type, "function_call_output");
  if ((is_call || is_output) && !values[CALL_ID].bytes) return "call_id";
  if (is_call && !values[NAME].bytes) return "name";
  if (is_call && !values[ARGUMENTS].bytes) return "arguments";
  if (is_output && !values[OUTPUT].bytes) return "output";
  return NULL;
}

static uint32_t read_item(sim_call *call, uint32_t n, sheaf_slice item) {
  sheaf_slice values[ITEM_COUNT];
  uint32_t error;
  if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) {
    error = sheaf__sim_fail(call, SIM_WRONG_TYPE, "", "object", item);
    return sheaf__sim_openai_at(call, error, "input", n, "", 0);
  }
  error = sheaf__sim_check_object(call, item, item_fields, ITEM_COUNT, true, values);
  const char *missing = error == SIM_ERROR_COUNT ? missing_of(values) : NULL;
  if (missing) error = sheaf__sim_fail(call, SIM_MISSING_FIELD, missing, "string", item);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_openai_at(call, error, "input", n, "", 0);
  error = read_parts(call, n, values[CONTENT]);
  sheaf__sim_read_content(call, values[CONTENT], sheaf_json_equals(values[ROLE], "user"));
  call->asked.prompt_bytes += values[ARGUMENTS].bytes + values[OUTPUT].bytes;
  return error;
}

static uint32_t read_input(sim_call *call, sheaf_slice input) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  uint32_t count = 0;
  if (sheaf_json_kind(input) != SHEAF_JSON_ARRAY) {
    sheaf__sim_read_content(call, input, true);
    return SIM_ERROR_COUNT;
  }
  if (sheaf_json_iter_init(&iter, input) != SHEAF_OK) return SIM_BAD_JSON;
  for (; sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK; count++) {
    uint32_t error = read_item(call, count, item);
    if (error != SIM_ERROR_COUNT) return error;
  }
  return SIM_ERROR_COUNT;
}

/* A prompt template may name the model, and counting takes none. */
static uint32_t read_model(sim_call *call, const sheaf_slice *values) {
  if (!values[MODEL].bytes && (call->route->task == SIM_COUNT || values[PROMPT].bytes))
    return SIM_ERROR_COUNT;
  return sheaf__sim_openai_read_model(call, values[MODEL]);
}

static uint32_t read_words(sim_call *call, const sheaf_slice *values) {
  bool has_input = values[INPUT].bytes || values[PREVIOUS].bytes || values[CONVERSATION].bytes ||
                   values[PROMPT].bytes;
  if (!has_input && call->route->task != SIM_COUNT) {
    sheaf__sim_openai_refuse(call, "input",
                             "One of 'input' or 'previous_response_id' or 'prompt' or "
                             "'conversation' must be provided.");
    return SIM_BAD_VALUE;
  }
  if (sheaf_json_true(values[BACKGROUND]))
    return sheaf__sim_openai_refuse(call, "background",
                                    "Unsupported parameter: 'background' is not supported here.");
  sheaf__sim_read_content(call, values[INSTRUCTIONS], false);
  return read_input(call, values[INPUT]);
}

static uint32_t responses_read(sim_call *call) {
  static const sim_field included = {
      .name = "include",
      .kinds = SIM_IS_STRING,
      .values =
          " file_search_call.results web_search_call.results "
          "web_search_call.action.sources message.input_image.image_url "
          "computer_call_output.output.image_url code_interpreter_call.outputs "
          "reasoning.encrypted_content message.output_text.logprobs "};
  sheaf_slice values[SIM_ROWS(fields)];
  uint32_t error = sheaf__sim_check(call, fields, SIM_ROWS(fields), false, values);
  if (error == SIM_ERROR_COUNT) error = read_model(call, values);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_stream(call, values[STREAM], values[STREAM_OPTIONS]);
  if (error == SIM_ERROR_COUNT) error = read_words(call, values);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_tools(call, values[TOOLS], values[TOOL_CHOICE], values[PARALLEL],
                                         true);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_format(call, values[FORMAT], "text.format", true);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_openai_read_metadata(call, values[METADATA]);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_list(call, values[INCLUDE], &included, true);
  if (error != SIM_ERROR_COUNT) return error;
  sheaf__sim_read_limit(call, values[OUTPUT_MAX]);
  if (call->asked.format == SIM_FORMAT_JSON && !sheaf__sim_openai_says_json(values[INPUT]) &&
      !sheaf__sim_openai_says_json(values[INSTRUCTIONS]))
    return sheaf__sim_openai_refuse(call, "input",
                                    "Response input messages must contain the word 'json' in some "
                                    "form to use 'text.format' of type 'json_object'.");
  return SIM_ERROR_COUNT;
}

/* ---- The response object ---- */

/* A value of the body on one line, as an event needs it: line breaks stand between tokens only. */
static void write_line(sheaf_buf *out, sheaf_slice value) {
  const char *end = value.data + value.bytes;
  for (const char *at = value.data; at < end;) {
    const char *stop = at;
    while (stop < end && *stop != '\n' && *stop != '\r') stop++;
    sheaf_buf_append(out, at, (size_t)(stop - at));
    at = stop < end ? stop + 1 : end;
  }
}

/* A function's tool is told with its `strict` and `parameters`, also where it was given without. */
static void write_tools(sim_call *call, sheaf_slice tools) {
  sheaf_json_iter iter;
  sheaf_slice key, tool;
  sheaf_buf *out = &call->out;
  bool is_first = true;
  sheaf_buf_append(out, "[", 1);
  if (sheaf_json_iter_init(&iter, tools) == SHEAF_OK) {
    for (; sheaf_json_iter_next(&iter, &key, &tool) == SHEAF_OK; is_first = false) {
      if (!is_first) sheaf_buf_append(out, ",", 1);
      bool is_function = sheaf_json_equals(sheaf_json_member(tool, "type"), "function");
      write_line(out, (sheaf_slice){tool.data, tool.bytes - 1});
      if (is_function && !sheaf_json_member(tool, "parameters").bytes)
        sheaf_buf_append_text(out, ",\"parameters\":null");
      if (is_function && !sheaf_json_member(tool, "strict").bytes)
        sheaf_buf_append_text(out, ",\"strict\":true");
      sheaf_buf_append(out, "}", 1);
    }
  }
  sheaf_buf_append(out, "]", 1);
}

typedef struct told {
  const char *name;     /* of the body and of the response */
  const char *fallback; /* where the body has none */
} told;

/* Sorted by nothing; the order of the wire. */
static const told repeated[] = {
    {"instructions", "null"},
    {"max_output_tokens", "null"},
    {"max_tool_calls", "null"},
    {"metadata", "{}"},
    {"parallel_tool_calls", "true"},
    {"previous_response_id", "null"},
    {"prompt_cache_key", "null"},
    {"reasoning", "{\"effort\":null,\"summary\":null}"},
    {"safety_identifier", "null"},
    {"store", "true"},
    {"temperature", "1.0"},
    {"text", "{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"}"},
    {"tool_choice", "\"auto\""},
    {"top_logprobs", "0"},
    {"top_p", "1.0"},
    {"truncation", "\"disabled\""},
    {"user", "null"},
    {"tools", "[]"},
};
#define REPEATED (sizeof repeated / sizeof *repeated)

static void write_repeated(sim_call *call) {
  const char *paths[REPEATED];
  sheaf_slice values[REPEATED];
  for (size_t i = 0; i < REPEATED; i++) paths[i] = repeated[i].name;
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, REPEATED, values, NULL, NULL) !=
      SHEAF_OK)
    return;
  for (size_t i = 0; i < REPEATED; i++) {
    uint32_t kind = sheaf_json_kind(values[i]);
    sheaf__sim_write(&call->out, ",\"%s\":", paths[i]);
    if (kind == SHEAF_JSON_NONE || kind == SHEAF_JSON_NULL)
      sheaf_buf_append_text(&call->out, repeated[i].fallback);
    else if (i + 1 == REPEATED)
      write_tools(call, values[i]);
    else
      write_line(&call->out, values[i]);
  }
}

static void write_part(sim_call *call, sheaf_slice text) {
  sheaf__sim_write(&call->out,
                   "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":%q}",
                   &text);
}

static void write_item_id(sim_call *call, const sim_part *part) {
  sheaf__sim_id(call, part->kind == SIM_PART_TEXT ? "msg_" : "fc_", 1 + (uint64_t)part->index,
                &call->out);
}

static const char *item_status(const sim_part *part) {
  return part->is_cut_short ? "incomplete" : "completed";
}

/* status "in_progress": still without what it will hold. */
static void write_item(sim_call *call, const sim_part *part, const char *status) {
  sheaf_slice text = sheaf__sim_part_text(call, part);
  bool is_begun = strcmp(status, "in_progress") == 0;
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  write_item_id(call, part);
  if (part->kind == SIM_PART_TEXT) {
    sheaf__sim_write(&call->out, "\",\"type\":\"message\",\"status\":\"%s\",\"content\":[", status);
    if (!is_begun) write_part(call, text);
    sheaf_buf_append_text(&call->out, "],\"role\":\"assistant\"}");
    return;
  }
  if (is_begun) text = (sheaf_slice){0};
  sheaf__sim_write(&call->out,
                   "\",\"type\":\"function_call\",\"status\":\"%s\",\"arguments\":%q,"
                   "\"call_id\":\"",
                   status, &text);
  sheaf__sim_id(call, "call_", 1 + (uint64_t)part->index, &call->out);
  sheaf__sim_write(&call->out, "\",\"name\":\"%r\"}", &call->asked.tool[part->tool].name);
}

static void write_usage(sim_call *call) {
  sheaf__sim_write(&call->out,
                   "{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":0,"
                   "\"cache_write_tokens\":0},\"output_tokens\":%u,\"output_tokens_details\":"
                   "{\"reasoning_tokens\":0},\"total_tokens\":%u}",
                   call->input_tokens, call->output_tokens,
                   call->input_tokens + call->output_tokens);
}

static void write_response(sim_call *call, const char *status) {
  bool is_failed = strcmp(status, "failed") == 0, is_begun = strcmp(status, "in_progress") == 0;
  bool is_ended = !is_failed && !is_begun, is_completed = strcmp(status, "completed") == 0;
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "resp_", 0, &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"object\":\"response\",\"created_at\":%u,\"status\":\"%s\","
                   "\"background\":false,\"completed_at\":",
                   sheaf__sim_created(call), status);
  if (is_completed)
    sheaf_buf_append_u64(&call->out, sheaf__sim_created(call) + call->delay_ns / SIM_SECOND);
  else
    sheaf_buf_append_text(&call->out, "null");
  sheaf__sim_write(&call->out,
                   ",\"error\":%s,\"incomplete_details\":%s,\"model\":\"%r\",\"output\":[",
                   is_failed ? "{\"code\":\"server_error\",\"message\":\"The server had an error "
                               "while processing your request. Sorry about that!\"}"
                             : "null",
                   is_ended && !is_completed ? "{\"reason\":\"max_output_tokens\"}" : "null",
                   &call->asked.model);
  for (uint32_t i = 0; i < call->part_count && is_ended; i++) {
    if (i) sheaf_buf_append(&call->out, ",", 1);
    write_item(call, &call->parts[i], item_status(&call->parts[i]));
  }
  sheaf_buf_append(&call->out, "]", 1);
  write_repeated(call);
  sheaf_buf_append_text(&call->out, ",\"service_tier\":\"default\",\"usage\":");
  if (is_ended && !call->is_usage_hidden)
    write_usage(call);
  else
    sheaf_buf_append_text(&call->out, "null");
  sheaf_buf_append(&call->out, "}", 1);
}

static const char *end_status(const sim_call *call) {
  bool is_cut = call->part_count && call->parts[call->part_count - 1].is_cut_short;
  return is_cut ? "incomplete" : "completed";
}

static void responses_answer(sim_call *call) {
  if (call->route->task == SIM_COUNT)
    sheaf__sim_write(&call->out, "{\"object\":\"response.input_tokens\",\"input_tokens\":%u}",
                     call->input_tokens);
  else
    write_response(call, end_status(call));
}

/* ---- The stream ---- */

/* Everything up to the event's own members. */
static void open_event(sim_call *call, const char *type) {
  sheaf__sim_write(&call->out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%u", type,
                   type, call->events++);
}

static void close_event(sim_call *call) {
  sheaf_buf_append_text(&call->out, "}\n\n");
}

static void write_response_event(sim_call *call, const char *type, const char *status) {
  open_event(call, type);
  sheaf_buf_append_text(&call->out, ",\"response\":");
  write_response(call, status);
  close_event(call);
}

static void write_item_event(sim_call *call, const char *type, const sim_part *part,
                             const char *status) {
  open_event(call, type);
  sheaf__sim_write(&call->out, ",\"output_index\":%u,\"item\":", (uint64_t)part->index);
  write_item(call, part, status);
  close_event(call);
}

/* An event about what an item holds. */
static void open_inner_event(sim_call *call, const char *type, const sim_part *part) {
  open_event(call, type);
  sheaf_buf_append_text(&call->out, ",\"item_id\":\"");
  write_item_id(call, part);
  sheaf__sim_write(&call->out, "\",\"output_index\":%u", (uint64_t)part->index);
  if (part->kind == SIM_PART_TEXT) sheaf_buf_append_text(&call->out, ",\"content_index\":0");
}

static void responses_stream_open(sim_call *call) {
  write_response_event(call, "response.created", "in_progress");
  write_response_event(call, "response.in_progress", "in_progress");
}

static void write_part_event(sim_call *call, const char *type, const sim_part *part,
                             sheaf_slice text) {
  open_inner_event(call, type, part);
  sheaf_buf_append_text(&call->out, ",\"part\":");
  write_part(call, text);
  close_event(call);
}

static void responses_part_open(sim_call *call, const sim_part *part) {
  write_item_event(call, "response.output_item.added", part, "in_progress");
  if (part->kind == SIM_PART_TEXT)
    write_part_event(call, "response.content_part.added", part, (sheaf_slice){0});
}

static void responses_part_piece(sim_call *call, const sim_part *part, sheaf_slice piece) {
  bool is_text = part->kind == SIM_PART_TEXT;
  open_inner_event(
      call, is_text ? "response.output_text.delta" : "response.function_call_arguments.delta",
      part);
  sheaf__sim_write(&call->out, ",\"delta\":%q", &piece);
  if (is_text) sheaf_buf_append_text(&call->out, ",\"logprobs\":[]");
  if (call->asked.is_obfuscated) sheaf__sim_openai_obfuscation(call, call->events);
  close_event(call);
}

static void responses_part_close(sim_call *call, const sim_part *part) {
  sheaf_slice text = sheaf__sim_part_text(call, part);
  if (part->kind == SIM_PART_TEXT) {
    open_inner_event(call, "response.output_text.done", part);
    sheaf__sim_write(&call->out, ",\"text\":%q,\"logprobs\":[]", &text);
    close_event(call);
    write_part_event(call, "response.content_part.done", part, text);
  } else {
    open_inner_event(call, "response.function_call_arguments.done", part);
    sheaf__sim_write(&call->out, ",\"name\":\"%r\",\"arguments\":%q",
                     &call->asked.tool[part->tool].name, &text);
    close_event(call);
  }
  write_item_event(call, "response.output_item.done", part, item_status(part));
}

static void responses_stream_close(sim_call *call) {
  const char *status = end_status(call);
  bool is_completed = strcmp(status, "completed") == 0;
  write_response_event(call, is_completed ? "response.completed" : "response.incomplete", status);
}

static void responses_late_error(sim_call *call) {
  if (call->is_stream)
    write_response_event(call, "response.failed", "failed");
  else
    write_response(call, "failed");
}

const sim_provider sheaf__sim_openai_responses = {
    .name = "openai",
    .read = responses_read,
    .answer = responses_answer,
    .stream_open = responses_stream_open,
    .part_open = responses_part_open,
    .part_piece = responses_part_piece,
    .part_close = responses_part_close,
    .stream_close = responses_stream_close,
    .late_error = responses_late_error,
    .error = sheaf__sim_openai_error,
    .headers = sheaf__sim_openai_headers,
    .stream_type = "text/event-stream; charset=utf-8",
};
