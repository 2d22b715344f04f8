/* sim_openai_chat.c: chat completions as OpenAI shapes them (protocols 1.1).
 *
 * Outline: the body's table; its messages; the answer; the stream. */
#include "sim_openai.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Reading ---- */

enum {
  MODEL,
  MESSAGES,
  STREAM,
  STREAM_OPTIONS,
  MAX_TOKENS,
  MAX_COMPLETION_TOKENS,
  CHOICES,
  TOOLS,
  TOOL_CHOICE,
  PARALLEL,
  RESPONSE_FORMAT,
  METADATA,
  STOP,
  LOGIT_BIAS,
  MODALITIES,
  FUNCTIONS /* the rows without a name here are only checked */
};

#define TOKENS_HIGHEST 1e15 /* a ceiling only for what no model can mean */

static const sim_field chat_fields[] = {
    [MODEL] = {.name = "model", .kinds = SIM_IS_STRING},
    [MESSAGES] = {.name = "messages", .kinds = SIM_IS_ARRAY, .is_required = true},
    [STREAM] = {.name = "stream", .kinds = SIM_IS_BOOL},
    [STREAM_OPTIONS] = {.name = "stream_options", .kinds = SIM_IS_OBJECT},
    [MAX_TOKENS] = {.name = "max_tokens",
                    .kinds = SIM_IS_NUMBER,
                    .is_integer = true,
                    .min = 1,
                    .max = TOKENS_HIGHEST},
    [MAX_COMPLETION_TOKENS] = {.name = "max_completion_tokens",
                               .kinds = SIM_IS_NUMBER,
                               .is_integer = true,
                               .min = 1,
                               .max = TOKENS_HIGHEST},
    [CHOICES] = {.name = "n", .kinds = SIM_IS_NUMBER, .is_integer = true, .min = 1, .max = 128},
    [TOOLS] = {.name = "tools", .kinds = SIM_IS_ARRAY},
    [TOOL_CHOICE] = {.name = "tool_choice",
                     .kinds = SIM_IS_STRING | SIM_IS_OBJECT,
                     .values = " none auto required "},
    [PARALLEL] = {.name = "parallel_tool_calls", .kinds = SIM_IS_BOOL},
    [RESPONSE_FORMAT] = {.name = "response_format", .kinds = SIM_IS_OBJECT},
    [METADATA] = {.name = "metadata", .kinds = SIM_IS_OBJECT},
    [STOP] = {.name = "stop", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [LOGIT_BIAS] = {.name = "logit_bias", .kinds = SIM_IS_OBJECT},
    [MODALITIES] = {.name = "modalities", .kinds = SIM_IS_ARRAY},
    [FUNCTIONS] = {.name = "functions", .kinds = SIM_IS_ARRAY},
    {.name = "stream_options.include_usage", .kinds = SIM_IS_BOOL},
    {.name = "stream_options.include_obfuscation", .kinds = SIM_IS_BOOL},
    {.name = "temperature", .kinds = SIM_IS_NUMBER, .max = 2},
    {.name = "top_p", .kinds = SIM_IS_NUMBER, .max = 1},
    {.name = "presence_penalty", .kinds = SIM_IS_NUMBER, .min = -2, .max = 2},
    {.name = "frequency_penalty", .kinds = SIM_IS_NUMBER, .min = -2, .max = 2},
    {.name = "seed", .kinds = SIM_IS_NUMBER, .is_integer = true},
    {.name = "logprobs", .kinds = SIM_IS_BOOL},
    {.name = "top_logprobs", .kinds = SIM_IS_NUMBER, .is_integer = true, .max = 20},
    {.name = "reasoning_effort",
     .kinds = SIM_IS_STRING,
     .values = " none minimal low medium high xhigh max "},
    {.name = "verbosity", .kinds = SIM_IS_STRING, .values = " low medium high "},
    {.name = "service_tier",
     .kinds = SIM_IS_STRING,
     .values = " auto default flex scale priority "},
    {.name = "tool_choice.type",
     .kinds = SIM_IS_STRING,
     .is_required = true,
     .values = " function allowed_tools custom "},
    {.name = "audio", .kinds = SIM_IS_OBJECT},
    {.name = "audio.voice", .kinds = SIM_IS_STRING | SIM_IS_OBJECT, .is_required = true},
    {.name = "audio.format",
     .kinds = SIM_IS_STRING,
     .is_required = true,
     .values = " wav aac mp3 flac opus pcm16 "},
    {.name = "prediction", .kinds = SIM_IS_OBJECT},
    {.name = "prediction.type", .kinds = SIM_IS_STRING, .is_required = true, .values = " content "},
    {.name = "prediction.content", .kinds = SIM_IS_STRING | SIM_IS_ARRAY, .is_required = true},
    {.name = "web_search_options", .kinds = SIM_IS_OBJECT},
    {.name = "moderation", .kinds = SIM_IS_OBJECT},
    {.name = "store", .kinds = SIM_IS_BOOL},
    {.name = "user", .kinds = SIM_IS_STRING},
    {.name = "safety_identifier", .kinds = SIM_IS_STRING},
    {.name = "prompt_cache_key", .kinds = SIM_IS_STRING},
    {.name = "prompt_cache_options", .kinds = SIM_IS_OBJECT},
    {.name = "prompt_cache_retention", .kinds = SIM_IS_STRING, .values = " in_memory 24h "},
    {.name = "function_call", .kinds = SIM_IS_STRING | SIM_IS_OBJECT},
};

static uint32_t read_part(sim_call *call, uint32_t n, uint32_t m, sheaf_slice part) {
  enum { TYPE, TEXT, COUNT };
  static const sim_field fields[COUNT] = {
      [TYPE] = {.name = "type",
                .kinds = SIM_IS_STRING,
                .is_required = true,
                .values = " text image_url input_audio refusal audio file "},
      [TEXT] = {.name = "text", .kinds = SIM_IS_STRING},
  };
  sheaf_slice values[COUNT];
  if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT)
    return sheaf__sim_openai_at(call,
                                sheaf__sim_fail(call, SIM_WRONG_TYPE, "content", "object", part),
                                "messages", n, "", m + 1);
  uint32_t error = sheaf__sim_check_object(call, part, fields, COUNT, true, values);
  if (error == SIM_ERROR_COUNT && sheaf_json_equals(values[TYPE], "text") && !values[TEXT].bytes)
    error = sheaf__sim_fail(call, SIM_MISSING_FIELD, "text", "string", part);
  if (error == SIM_ERROR_COUNT) return error;
  char rest[32];
  snprintf(rest, sizeof rest, ".content[%" PRIu32 "]", m);
  return sheaf__sim_openai_at(call, error, "messages", n, rest, 0);
}

static uint32_t read_parts(sim_call *call, uint32_t n, sheaf_slice content) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  uint32_t m = 0;
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (; sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK; m++) {
    uint32_t error = read_part(call, n, m, part);
    if (error != SIM_ERROR_COUNT) return error;
  }
  return SIM_ERROR_COUNT;
}

enum { ROLE, CONTENT, TOOL_CALLS, TOOL_CALL_ID, FUNCTION_CALL };

/* Also what an assistant's message of a reply has, since those are sent back as they came. */
static const sim_field message_fields[] = {
    [ROLE] = {.name = "role",
              .kinds = SIM_IS_STRING,
              .is_required = true,
              .values = " system assistant user function tool developer "},
    [CONTENT] = {.name = "content", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [TOOL_CALLS] = {.name = "tool_calls", .kinds = SIM_IS_ARRAY},
    [TOOL_CALL_ID] = {.name = "tool_call_id", .kinds = SIM_IS_STRING},
    [FUNCTION_CALL] = {.name = "function_call", .kinds = SIM_IS_OBJECT},
    {.name = "name", .kinds = SIM_IS_STRING},
    {.name = "refusal", .kinds = SIM_IS_STRING},
    {.name = "audio", .kinds = SIM_IS_OBJECT},
    {.name = "annotations", .kinds = SIM_IS_ARRAY},
};

static uint32_t read_message(sim_call *call, uint32_t n, sheaf_slice message) {
  sheaf_slice values[SIM_ROWS(message_fields)];
  uint32_t error = sheaf__sim_check_object(call, message, message_fields, SIM_ROWS(message_fields),
                                           false, values);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_openai_at(call, error, "messages", n, "", 0);
  bool is_assistant = sheaf_json_equals(values[ROLE], "assistant");
  if (sheaf_json_equals(values[ROLE], "tool") && !values[TOOL_CALL_ID].bytes)
    error = sheaf__sim_fail(call, SIM_MISSING_FIELD, "tool_call_id", "string", message);
  else if (!values[CONTENT].bytes && !is_assistant)
    error = sheaf__sim_fail(call, SIM_MISSING_FIELD, "content", "string", message);
  if (error != SIM_ERROR_COUNT) return sheaf__sim_openai_at(call, error, "messages", n, "", 0);
  if (sheaf_json_kind(values[CONTENT]) == SHEAF_JSON_ARRAY) {
    error = read_parts(call, n, values[CONTENT]);
    if (error != SIM_ERROR_COUNT) return error;
  }
  sheaf__sim_read_content(call, values[CONTENT], sheaf_json_equals(values[ROLE], "user"));
  call->asked.prompt_bytes += values[TOOL_CALLS].bytes + values[FUNCTION_CALL].bytes;
  return SIM_ERROR_COUNT;
}

static uint32_t read_messages(sim_call *call, sheaf_slice messages) {
  sheaf_json_iter iter;
  sheaf_slice key, message;
  uint32_t count = 0;
  if (sheaf_json_iter_init(&iter, messages) != SHEAF_OK) return SIM_BAD_JSON;
  for (; sheaf_json_iter_next(&iter, &key, &message) == SHEAF_OK; count++) {
    uint32_t error;
    if (sheaf_json_kind(message) == SHEAF_JSON_OBJECT) {
      error = read_message(call, count, message);
    } else {
      error = sheaf__sim_fail(call, SIM_WRONG_TYPE, "messages", "object", message);
      call->element = count + 1;
    }
    if (error != SIM_ERROR_COUNT) return error;
  }
  if (count) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_BAD_VALUE, "messages", "minimum", messages);
}

static uint32_t read_limits(sim_call *call, const sheaf_slice *values) {
  int64_t choices = 1;
  if (values[MAX_TOKENS].bytes && values[MAX_COMPLETION_TOKENS].bytes)
    return sheaf__sim_openai_refuse(
        call, "max_tokens",
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
  sheaf__sim_read_limit(call, values[MAX_TOKENS]);
  sheaf__sim_read_limit(call, values[MAX_COMPLETION_TOKENS]);
  if (values[CHOICES].bytes && sheaf_json_int(values[CHOICES], &choices) == SHEAF_OK)
    call->asked.choices = (uint32_t)choices;
  return SIM_ERROR_COUNT;
}

static uint32_t read_lists(sim_call *call, const sheaf_slice *values) {
  static const sim_field modality = {
      .name = "modalities", .kinds = SIM_IS_STRING, .values = " text audio "};
  uint32_t error = sheaf__sim_openai_read_list(call, values[STOP], &sheaf__sim_openai_stop, false);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_list(call, values[MODALITIES], &modality, true);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_map(call, values[LOGIT_BIAS], &sheaf__sim_openai_bias);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_openai_read_metadata(call, values[METADATA]);
  return error;
}

static uint32_t chat_read(sim_call *call) {
  sheaf_slice values[SIM_ROWS(chat_fields)];
  uint32_t error = sheaf__sim_check(call, chat_fields, SIM_ROWS(chat_fields), false, values);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_openai_read_model(call, values[MODEL]);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_stream(call, values[STREAM], values[STREAM_OPTIONS]);
  if (error == SIM_ERROR_COUNT) error = read_limits(call, values);
  if (error == SIM_ERROR_COUNT) error = read_messages(call, values[MESSAGES]);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_tools(call, values[TOOLS], values[TOOL_CHOICE], values[PARALLEL],
                                         false);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_format(call, values[RESPONSE_FORMAT], "response_format", false);
  if (error == SIM_ERROR_COUNT) error = read_lists(call, values);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.prompt_bytes += values[FUNCTIONS].bytes;
  if (call->asked.format == SIM_FORMAT_JSON && !sheaf__sim_openai_says_json(values[MESSAGES]))
    return sheaf__sim_openai_refuse(call, "messages",
                                    "'messages' must contain the word 'json' in some form, to use "
                                    "'response_format' of type 'json_object'.");
  return SIM_ERROR_COUNT;
}

/* ---- The answer ---- */

static const char *finish_reason(const sim_part *last) {
  return last->is_cut_short ? "length" : last->kind == SIM_PART_TOOL ? "tool_calls" : "stop";
}

static void write_call_id(sim_call *call, const sim_part *part) {
  sheaf__sim_id(call, "call_", 1 + (uint64_t)part->choice * SIM_PARTS_MAX + part->index,
                &call->out);
}

static void write_tool_call(sim_call *call, const sim_part *part) {
  sheaf_slice arguments = sheaf__sim_part_text(call, part);
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  write_call_id(call, part);
  sheaf__sim_write(&call->out,
                   "\",\"type\":\"function\",\"function\":{\"name\":\"%r\",\"arguments\":%q}}",
                   &call->asked.tool[part->tool].name, &arguments);
}

/* Content is null where there are only calls. */
static void write_content(sim_call *call, uint32_t from, uint32_t to) {
  bool is_open = false;
  for (uint32_t i = from; i < to; i++) {
    if (call->parts[i].kind != SIM_PART_TEXT) continue;
    if (!is_open) sheaf_buf_append(&call->out, "\"", 1);
    is_open = true;
    sheaf_buf_append_escaped(&call->out, sheaf__sim_part_text(call, &call->parts[i]));
  }
  sheaf_buf_append_text(&call->out, is_open ? "\"" : "null");
}

static void write_choice(sim_call *call, uint32_t from, uint32_t to) {
  bool has_calls = false;
  sheaf__sim_write(&call->out, "{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":",
                   (uint64_t)call->parts[from].choice);
  write_content(call, from, to);
  sheaf_buf_append_text(&call->out, ",\"refusal\":null,\"annotations\":[]");
  for (uint32_t i = from; i < to; i++) {
    if (call->parts[i].kind != SIM_PART_TOOL) continue;
    sheaf_buf_append_text(&call->out, has_calls ? "," : ",\"tool_calls\":[");
    write_tool_call(call, &call->parts[i]);
    has_calls = true;
  }
  sheaf__sim_write(&call->out, "%s},\"logprobs\":null,\"finish_reason\":\"%s\"}",
                   has_calls ? "]" : "", finish_reason(&call->parts[to - 1]));
}

static void chat_answer(sim_call *call) {
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "chatcmpl-", 0, &call->out);
  sheaf__sim_write(
      &call->out, "\",\"object\":\"chat.completion\",\"created\":%u,\"model\":\"%r\",\"choices\":[",
      sheaf__sim_created(call), &call->asked.model);
  for (uint32_t i = 0, end; i < call->part_count; i = end) {
    end = sheaf__sim_openai_choice_end(call, i);
    if (i) sheaf_buf_append(&call->out, ",", 1);
    write_choice(call, i, end);
  }
  sheaf_buf_append(&call->out, "]", 1);
  if (!call->is_usage_hidden) {
    sheaf_buf_append_text(&call->out, ",\"usage\":");
    sheaf__sim_openai_usage(call);
  }
  sheaf_buf_append_text(&call->out,
                        ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sim\"}");
}

/* ---- The stream ---- */

/* All of a chunk up to its choices. */
static void open_chunk(sim_call *call) {
  sheaf_buf_append_text(&call->out, "data: {\"id\":\"");
  sheaf__sim_id(call, "chatcmpl-", 0, &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"object\":\"chat.completion.chunk\",\"created\":%u,\"model\":\"%r\","
                   "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sim\",\"choices\":[",
                   sheaf__sim_created(call), &call->asked.model);
}

static void close_chunk(sim_call *call, bool has_text) {
  sheaf_buf_append(&call->out, "]", 1);
  if (call->asked.is_usage_wanted) sheaf_buf_append_text(&call->out, ",\"usage\":null");
  if (has_text && call->asked.is_obfuscated) sheaf__sim_openai_obfuscation(call, call->events++);
  sheaf_buf_append_text(&call->out, "}\n\n");
}

static void chat_stream_open(sim_call *call) {
  for (uint32_t i = 0; i < call->part_count; i = sheaf__sim_openai_choice_end(call, i)) {
    open_chunk(call);
    sheaf__sim_write(&call->out,
                     "{\"index\":%u,\"delta\":{\"role\":\"assistant\",\"content\":%s,"
                     "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}",
                     (uint64_t)call->parts[i].choice,
                     call->parts[i].kind == SIM_PART_TEXT ? "\"\"" : "null");
    close_chunk(call, false);
  }
}

/* The place of a call among the calls of its choice. */
static uint64_t call_index(const sim_part *part) {
  uint64_t count = 0;
  for (uint32_t i = 1; i <= part->index; i++) count += part[-(ptrdiff_t)i].kind == SIM_PART_TOOL;
  return count;
}

static void chat_part_open(sim_call *call, const sim_part *part) {
  if (part->kind != SIM_PART_TOOL) return;
  open_chunk(call);
  sheaf__sim_write(&call->out, "{\"index\":%u,\"delta\":{\"tool_calls\":[{\"index\":%u,\"id\":\"",
                   (uint64_t)part->choice, call_index(part));
  write_call_id(call, part);
  sheaf__sim_write(&call->out,
                   "\",\"type\":\"function\",\"function\":{\"name\":\"%r\",\"arguments\":\"\"}}]},"
                   "\"logprobs\":null,\"finish_reason\":null}",
                   &call->asked.tool[part->tool].name);
  close_chunk(call, false);
}

static void chat_part_piece(sim_call *call, const sim_part *part, sheaf_slice piece) {
  open_chunk(call);
  if (part->kind == SIM_PART_TOOL)
    sheaf__sim_write(&call->out,
                     "{\"index\":%u,\"delta\":{\"tool_calls\":[{\"index\":%u,\"function\":"
                     "{\"arguments\":%q}}]},\"logprobs\":null,\"finish_reason\":null}",
                     (uint64_t)part->choice, call_index(part), &piece);
  else
    sheaf__sim_write(&call->out,
                     "{\"index\":%u,\"delta\":{\"content\":%q},\"logprobs\":null,"
                     "\"finish_reason\":null}",
                     (uint64_t)part->choice, &piece);
  close_chunk(call, true);
}

/* A choice ends when its last part does, while others may go on. */
static void chat_part_close(sim_call *call, const sim_part *part) {
  if (!sheaf__sim_openai_is_last(call, part)) return;
  open_chunk(call);
  sheaf__sim_write(&call->out,
                   "{\"index\":%u,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}",
                   (uint64_t)part->choice, finish_reason(part));
  close_chunk(call, false);
}

static void chat_stream_close(sim_call *call) {
  if (call->asked.is_usage_wanted && !call->is_usage_hidden) {
    open_chunk(call);
    sheaf_buf_append_text(&call->out, "],\"usage\":");
    sheaf__sim_openai_usage(call);
    sheaf_buf_append_text(&call->out, "}\n\n");
  }
  sheaf_buf_append_text(&call->out, "data: [DONE]\n\n");
}

const sim_provider sheaf__sim_openai_chat = {
    .name = "openai",
    .read = chat_read,
    .answer = chat_answer,
    .stream_open = chat_stream_open,
    .part_open = chat_part_open,
    .part_piece = chat_part_piece,
    .part_close = chat_part_close,
    .stream_close = chat_stream_close,
    .late_error = sheaf__sim_openai_late_error,
    .error = sheaf__sim_openai_error,
    .headers = sheaf__sim_openai_headers,
    .stream_type = "text/event-stream; charset=utf-8",
};
