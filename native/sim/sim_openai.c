/* sim_openai.c: chat completions, embeddings and models as OpenAI shapes them (protocols 1). */
#include "sim_int.h"

#include <inttypes.h>
#include <stdio.h>

static uint32_t read_chat(sim_call *call) {
  static const char *const paths[] = {"model",      "messages",
                                      "stream",     "stream_options.include_usage",
                                      "max_tokens", "max_completion_tokens"};
  sheaf_slice values[6];
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, 6, values, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  call->is_stream = sheaf_json_true(values[2]);
  call->stream_type = "text/event-stream; charset=utf-8";
  call->is_usage_wanted = sheaf_json_true(values[3]);
  sheaf__sim_read_limit(call, values[4]);
  sheaf__sim_read_limit(call, values[5]);
  uint32_t error = sheaf__sim_read_model(call, values[0]);
  return error != SIM_ERROR_COUNT ? error : sheaf__sim_read_messages(call, values[1]);
}

static uint32_t read_embed(sim_call *call) {
  static const char *const paths[] = {"model", "input", "dimensions"};
  sheaf_slice values[3];
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, 3, values, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  uint32_t error = sheaf__sim_read_model(call, values[0]);
  return error != SIM_ERROR_COUNT ? error : sheaf__sim_read_embed(call, values[1], values[2]);
}

static uint32_t openai_read(sim_call *call) {
  return call->route->task == SIM_EMBED ? read_embed(call) : read_chat(call);
}

static void write_usage(sim_call *call) {
  sheaf__sim_write(&call->out,
                   "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                   "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
                   "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
                   call->input_tokens, call->output_tokens,
                   call->input_tokens + call->output_tokens);
}

static const char *finish_reason(const sim_call *call) {
  return call->is_cut_short ? "length" : "stop";
}

static void answer_chat(sim_call *call) {
  sheaf_slice text = sheaf_buf_slice(&call->text);
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "chatcmpl-", &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"object\":\"chat.completion\",\"created\":%u,\"model\":\"%r\","
                   "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":%q,"
                   "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                   "\"finish_reason\":\"%s\"}],\"usage\":",
                   sheaf__sim_created(call), &call->model, &text, finish_reason(call));
  write_usage(call);
  sheaf_buf_append_text(&call->out,
                        ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sim\"}");
}

static void openai_answer(sim_call *call) {
  if (call->route->task == SIM_MODELS) {
    sheaf_buf_append_text(&call->out,
                          "{\"object\":\"list\",\"data\":[{\"id\":\"sim-1\",\"object\":\"model\","
                          "\"created\":1767225600,\"owned_by\":\"sheaf\"},{\"id\":\"sim-embed-1\","
                          "\"object\":\"model\",\"created\":1767225600,\"owned_by\":\"sheaf\"}]}");
  } else if (call->route->task == SIM_EMBED) {
    sheaf_buf_append_text(&call->out, "{\"object\":\"list\",\"data\":[");
    sheaf__sim_write_vectors(call, "{\"object\":\"embedding\",\"index\":%u,\"embedding\":", "}");
    sheaf__sim_write(&call->out,
                     "],\"model\":\"%r\",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}",
                     &call->model, call->input_tokens, call->input_tokens);
  } else {
    answer_chat(call);
  }
}

/* ---- Streams ---- */

/* All of a chunk up to its choices. */
static void open_chunk(sim_call *call) {
  sheaf_buf_append_text(&call->out, "data: {\"id\":\"");
  sheaf__sim_id(call, "chatcmpl-", &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"object\":\"chat.completion.chunk\",\"created\":%u,\"model\":\"%r\","
                   "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sim\",\"choices\":[",
                   sheaf__sim_created(call), &call->model);
}

static void close_chunk(sim_call *call) {
  sheaf_buf_append_text(&call->out, call->is_usage_wanted ? "],\"usage\":null}\n\n" : "]}\n\n");
}

static void openai_stream_open(sim_call *call) {
  open_chunk(call);
  sheaf_buf_append_text(&call->out,
                        "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\","
                        "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}");
  close_chunk(call);
}

static void openai_stream_piece(sim_call *call, sheaf_slice piece) {
  open_chunk(call);
  sheaf__sim_write(
      &call->out,
      "{\"index\":0,\"delta\":{\"content\":%q},\"logprobs\":null,\"finish_reason\":null}", &piece);
  close_chunk(call);
}

static void openai_stream_close(sim_call *call) {
  open_chunk(call);
  sheaf__sim_write(&call->out,
                   "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}",
                   finish_reason(call));
  close_chunk(call);
  if (call->is_usage_wanted) {
    open_chunk(call);
    sheaf_buf_append_text(&call->out, "],\"usage\":");
    write_usage(call);
    sheaf_buf_append_text(&call->out, "}\n\n");
  }
  sheaf_buf_append_text(&call->out, "data: [DONE]\n\n");
}

/* ---- Errors and headers ---- */

typedef struct openai_error_row {
  uint32_t status;
  const char *type;
  const char *code; /* NULL: null */
} openai_error_row;

static uint32_t openai_error(sim_call *call, uint32_t error) {
  static const openai_error_row rows[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] = {400, "invalid_request_error", NULL},
      [SIM_MISSING_FIELD] = {400, "invalid_request_error", "missing_required_parameter"},
      [SIM_BAD_FIELD] = {400, "invalid_request_error", "invalid_value"},
      [SIM_NO_KEY] = {401, "invalid_request_error", NULL},
      [SIM_WRONG_KEY] = {401, "invalid_request_error", "invalid_api_key"},
      [SIM_NO_PATH] = {404, "invalid_request_error", NULL},
      [SIM_WRONG_METHOD] = {405, "invalid_request_error", "method_not_supported"},
      [SIM_TOO_LARGE] = {413, "invalid_request_error", NULL},
      [SIM_RATE_REQUESTS] = {429, "requests", "rate_limit_exceeded"},
      [SIM_RATE_TOKENS] = {429, "tokens", "rate_limit_exceeded"},
      [SIM_RATE_NEVER] = {429, "tokens", "rate_limit_exceeded"},
      [SIM_BUSY] = {429, "requests", "rate_limit_exceeded"},
      [SIM_QUOTA] = {429, "insufficient_quota", "credit_balance_exhausted"},
      [SIM_SERVER_ERROR] = {500, "server_error", NULL},
      [SIM_OVERLOADED] = {503, "server_error", "server_overloaded"},
  };
  const openai_error_row *row = &rows[error];
  sheaf_buf_append_text(&call->out, "{\"error\":{\"message\":\"");
  sheaf__sim_error_text(call, error, &call->out);
  sheaf__sim_write(&call->out, "\",\"type\":\"%s\",\"param\":", row->type);
  if (error == SIM_MISSING_FIELD)
    sheaf__sim_write(&call->out, "\"%s\"", call->detail);
  else
    sheaf_buf_append_text(&call->out, "null");
  if (row->code)
    sheaf__sim_write(&call->out, ",\"code\":\"%s\"}}", row->code);
  else
    sheaf_buf_append_text(&call->out, ",\"code\":null}}");
  return row->status;
}

static void limit_headers(sim_call *call, const sim_budget *budget, const char *const names[3]) {
  char reset[40];
  if (!budget->limit) return;
  sheaf__sim_go_duration(budget->full_after_ns, reset, sizeof reset);
  sheaf__sim_header_u64(call, names[0], budget->limit);
  sheaf__sim_header_u64(call, names[1], budget->remaining);
  sheaf__sim_header(call, names[2], reset);
}

static void openai_headers(sim_call *call, int64_t unix_s) {
  static const char *const requests[] = {
      "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"};
  static const char *const tokens[] = {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
                                       "x-ratelimit-reset-tokens"};
  (void)unix_s;
  char text[40];
  snprintf(text, sizeof text, "req_%016" PRIx64 "%016" PRIx64, call->key,
           sheaf__sim_mix(call->key, SIM_DRAW_ID));
  sheaf__sim_header(call, "x-request-id", text);
  sheaf__sim_header(call, "openai-version", "2020-10-01");
  sheaf__sim_header(call, "openai-organization", "sim");
  sheaf__sim_header_u64(call, "openai-processing-ms", call->delay_ns / SIM_MS);
  if (call->is_limited) {
    limit_headers(call, &call->quota.requests, requests);
    limit_headers(call, &call->quota.tokens, tokens);
  }
  if (call->retry_after_ns) {
    uint64_t ms = (call->retry_after_ns + SIM_MS - 1) / SIM_MS;
    sheaf__sim_header_u64(call, "retry-after-ms", ms);
    sheaf__sim_header_u64(call, "retry-after", (ms + 999) / 1000);
  }
}

const sim_provider sheaf__sim_openai = {
    .read = openai_read,
    .answer = openai_answer,
    .stream_open = openai_stream_open,
    .stream_piece = openai_stream_piece,
    .stream_close = openai_stream_close,
    .error = openai_error,
    .headers = openai_headers,
};
