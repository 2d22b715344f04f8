/* sim_openai_completions.c: the completions of old as OpenAI shapes them: prompts that go on. One
 * choice for each prompt and n; a text has no role and no tools. */
#include "sim_openai.h"

enum {
  MODEL,
  PROMPT,
  STREAM,
  STREAM_OPTIONS,
  MAX_TOKENS,
  CHOICES,
  BEST_OF,
  ECHO,
  STOP,
  LOGIT_BIAS
};

/* What the provider gives where max_tokens is not said (the OpenAPI description of 2026-08). */
#define TOKENS_USUAL 16u

static const sim_field fields[] = {
    [MODEL] = {.name = "model", .kinds = SIM_IS_STRING},
    [PROMPT] = {.name = "prompt", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [STREAM] = {.name = "stream", .kinds = SIM_IS_BOOL},
    [STREAM_OPTIONS] = {.name = "stream_options", .kinds = SIM_IS_OBJECT},
    [MAX_TOKENS] = {.name = "max_tokens", .kinds = SIM_IS_NUMBER, .is_integer = true, .max = 1e15},
    [CHOICES] = {.name = "n", .kinds = SIM_IS_NUMBER, .is_integer = true, .min = 1, .max = 128},
    [BEST_OF] = {.name = "best_of", .kinds = SIM_IS_NUMBER, .is_integer = true, .max = 20},
    [ECHO] = {.name = "echo", .kinds = SIM_IS_BOOL},
    [STOP] = {.name = "stop", .kinds = SIM_IS_STRING | SIM_IS_ARRAY},
    [LOGIT_BIAS] = {.name = "logit_bias", .kinds = SIM_IS_OBJECT},
    {.name = "stream_options.include_usage", .kinds = SIM_IS_BOOL},
    {.name = "stream_options.include_obfuscation", .kinds = SIM_IS_BOOL},
    {.name = "suffix", .kinds = SIM_IS_STRING},
    {.name = "temperature", .kinds = SIM_IS_NUMBER, .max = 2},
    {.name = "top_p", .kinds = SIM_IS_NUMBER, .max = 1},
    {.name = "presence_penalty", .kinds = SIM_IS_NUMBER, .min = -2, .max = 2},
    {.name = "frequency_penalty", .kinds = SIM_IS_NUMBER, .min = -2, .max = 2},
    {.name = "logprobs", .kinds = SIM_IS_NUMBER, .is_integer = true, .max = 5},
    {.name = "seed", .kinds = SIM_IS_NUMBER, .is_integer = true},
    {.name = "user", .kinds = SIM_IS_STRING},
};

/* Without a prompt the text begins a document of its own. */
static uint32_t read_prompt(sim_call *call, sheaf_slice prompt) {
  static const char fresh[] = "\"<|endoftext|>\"";
  call->asked.inputs = prompt.bytes ? prompt : SHEAF_LITERAL(fresh);
  sheaf__sim_read_content(call, call->asked.inputs, false);
  uint32_t count = sheaf__sim_input_count(call);
  if (count == 0) return sheaf__sim_fail(call, SIM_BAD_VALUE, "prompt", "minimum", prompt);
  if (count > SIM_PARTS_MAX / call->asked.choices)
    return sheaf__sim_openai_refuse(call, "prompt",
                                    "Too many completions: 'n' times the number of prompts is at "
                                    "most 4096.");
  return SIM_ERROR_COUNT;
}

static uint32_t completions_read(sim_call *call) {
  sheaf_slice values[SIM_ROWS(fields)];
  int64_t choices = 1, best_of;
  uint32_t error = sheaf__sim_check(call, fields, SIM_ROWS(fields), false, values);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_openai_read_model(call, values[MODEL]);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_stream(call, values[STREAM], values[STREAM_OPTIONS]);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_list(call, values[STOP], &sheaf__sim_openai_stop, false);
  if (error == SIM_ERROR_COUNT)
    error = sheaf__sim_openai_read_map(call, values[LOGIT_BIAS], &sheaf__sim_openai_bias);
  if (error != SIM_ERROR_COUNT) return error;
  call->asked.tokens_max = TOKENS_USUAL;
  sheaf__sim_read_limit(call, values[MAX_TOKENS]);
  call->asked.is_echo = sheaf_json_true(values[ECHO]);
  if (values[CHOICES].bytes && sheaf_json_int(values[CHOICES], &choices) == SHEAF_OK)
    call->asked.choices = (uint32_t)choices;
  if (values[BEST_OF].bytes && sheaf_json_int(values[BEST_OF], &best_of) == SHEAF_OK &&
      best_of < choices)
    return sheaf__sim_openai_refuse(call, "best_of",
                                    "You requested that the server return more "
                                    "choices than it will generate: 'best_of' "
                                    "must be at least 'n'.");
  return read_prompt(call, values[PROMPT]);
}

/* ---- The answer ---- */

static void open_completion(sim_call *call) {
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "cmpl-", 0, &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"object\":\"text_completion\",\"created\":%u,\"model\":\"%r\","
                   "\"system_fingerprint\":\"fp_sim\",\"choices\":[",
                   sheaf__sim_created(call), &call->asked.model);
}

static void write_choice(sim_call *call, const sim_part *part, sheaf_slice text, bool is_end) {
  const char *reason = part->is_cut_short ? "\"length\"" : "\"stop\"";
  sheaf__sim_write(&call->out, "{\"text\":%q,\"index\":%u,\"logprobs\":null,\"finish_reason\":%s}",
                   &text, (uint64_t)part->choice, is_end ? reason : "null");
}

static void completions_answer(sim_call *call) {
  open_completion(call);
  for (uint32_t i = 0; i < call->part_count; i++) {
    if (i) sheaf_buf_append(&call->out, ",", 1);
    write_choice(call, &call->parts[i], sheaf__sim_part_text(call, &call->parts[i]), true);
  }
  sheaf_buf_append(&call->out, "]", 1);
  if (!call->is_usage_hidden) {
    sheaf_buf_append_text(&call->out, ",\"usage\":");
    sheaf__sim_openai_usage(call);
  }
  sheaf_buf_append(&call->out, "}", 1);
}

/* ---- The stream ---- */

static void write_chunk(sim_call *call, const sim_part *part, sheaf_slice text, bool is_end) {
  sheaf_buf_append_text(&call->out, "data: ");
  open_completion(call);
  write_choice(call, part, text, is_end);
  sheaf_buf_append(&call->out, "]", 1);
  if (call->asked.is_usage_wanted) sheaf_buf_append_text(&call->out, ",\"usage\":null");
  if (!is_end && call->asked.is_obfuscated) sheaf__sim_openai_obfuscation(call, call->events++);
  sheaf_buf_append_text(&call->out, "}\n\n");
}

static void completions_part_piece(sim_call *call, const sim_part *part, sheaf_slice piece) {
  write_chunk(call, part, piece, false);
}

static void completions_part_close(sim_call *call, const sim_part *part) {
  write_chunk(call, part, (sheaf_slice){0}, true);
}

static void completions_stream_close(sim_call *call) {
  if (call->asked.is_usage_wanted && !call->is_usage_hidden) {
    sheaf_buf_append_text(&call->out, "data: ");
    open_completion(call);
    sheaf_buf_append_text(&call->out, "],\"usage\":");
    sheaf__sim_openai_usage(call);
    sheaf_buf_append_text(&call->out, "}\n\n");
  }
  sheaf_buf_append_text(&call->out, "data: [DONE]\n\n");
}

const sim_provider sheaf__sim_openai_completions = {
    .name = "openai",
    .read = completions_read,
    .answer = completions_answer,
    .part_piece = completions_part_piece,
    .part_close = completions_part_close,
    .stream_close = completions_stream_close,
    .late_error = sheaf__sim_openai_late_error,
    .error = sheaf__sim_openai_error,
    .headers = sheaf__sim_openai_headers,
    .stream_type = "text/event-stream; charset=utf-8",
};
