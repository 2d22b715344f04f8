/* sim_anthropic.c: messages and models as Anthropic shapes them (protocols 2). */
#include "sim_int.h"

#include <string.h>

/* From this version on, sampling parameters are refused (protocols 2.1). */
static bool refuses_sampling(const sim_call *call) {
  return strcmp(call->version, "2026-10-21") >= 0;
}

static uint32_t anthropic_read(sim_call *call) {
  static const char *const paths[] = {"model",  "messages",    "stream", "max_tokens",
                                      "system", "temperature", "top_p",  "top_k"};
  sheaf_slice values[8];
  if (!call->version) {
    call->detail = "anthropic-version: header is required";
    return SIM_BAD_FIELD;
  }
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, 8, values, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  if (refuses_sampling(call) && (values[5].bytes || values[6].bytes || values[7].bytes)) {
    call->detail = "temperature, top_p and top_k are not supported in this version.";
    return SIM_BAD_FIELD;
  }
  call->is_stream = sheaf_json_true(values[2]);
  call->stream_type = "text/event-stream; charset=utf-8";
  uint32_t error = sheaf__sim_read_model(call, values[0]);
  if (error != SIM_ERROR_COUNT) return error;
  if (sheaf_json_kind(values[3]) != SHEAF_JSON_NUMBER) {
    call->detail = "max_tokens";
    return SIM_MISSING_FIELD;
  }
  sheaf__sim_read_limit(call, values[3]);
  if (values[4].bytes) sheaf__sim_read_also(call, values[4]);
  return sheaf__sim_read_messages(call, values[1]);
}

static const char *stop_reason(const sim_call *call) {
  return call->is_cut_short ? "max_tokens" : "end_turn";
}

static void write_head(sim_call *call) {
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "msg_", &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%r\",\"content\":[",
                   &call->model);
}

static void write_usage(sim_call *call, uint64_t output_tokens) {
  sheaf__sim_write(&call->out,
                   "\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
                   "\"cache_read_input_tokens\":0,\"output_tokens\":%u,"
                   "\"service_tier\":\"standard\"}",
                   call->input_tokens, output_tokens);
}

static void anthropic_answer(sim_call *call) {
  if (call->route->task == SIM_MODELS) {
    sheaf_buf_append_text(
        &call->out,
        "{\"data\":[{\"type\":\"model\",\"id\":\"sim-1\",\"display_name\":\"Sim 1\","
        "\"created_at\":\"2026-01-01T00:00:00Z\"}],\"has_more\":false,\"first_id\":\"sim-1\","
        "\"last_id\":\"sim-1\"}");
    return;
  }
  sheaf_slice text = sheaf_buf_slice(&call->text);
  write_head(call);
  sheaf__sim_write(&call->out,
                   "{\"type\":\"text\",\"text\":%q}],\"stop_reason\":\"%s\","
                   "\"stop_sequence\":null,",
                   &text, stop_reason(call));
  write_usage(call, call->output_tokens);
  sheaf_buf_append_text(&call->out, "}");
}

static void anthropic_stream_open(sim_call *call) {
  sheaf_buf_append_text(&call->out,
                        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
  write_head(call);
  sheaf_buf_append_text(&call->out, "],\"stop_reason\":null,\"stop_sequence\":null,");
  write_usage(call, 1);
  sheaf_buf_append_text(&call->out,
                        "}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\","
                        "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                        "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static void anthropic_stream_piece(sim_call *call, sheaf_slice piece) {
  sheaf__sim_write(&call->out,
                   "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                   "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":%q}}\n\n",
                   &piece);
}

static void anthropic_stream_close(sim_call *call) {
  sheaf__sim_write(&call->out,
                   "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}"
                   "\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
                   "{\"stop_reason\":\"%s\",\"stop_sequence\":null},\"usage\":"
                   "{\"output_tokens\":%u}}\n\n"
                   "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                   stop_reason(call), call->output_tokens);
}

typedef struct anthropic_error_row {
  uint32_t status;
  const char *type;
} anthropic_error_row;

static uint32_t anthropic_error(sim_call *call, uint32_t error) {
  static const anthropic_error_row rows[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] = {400, "invalid_request_error"},
      [SIM_MISSING_FIELD] = {400, "invalid_request_error"},
      [SIM_BAD_FIELD] = {400, "invalid_request_error"},
      [SIM_NO_KEY] = {401, "authentication_error"},
      [SIM_WRONG_KEY] = {401, "authentication_error"},
      [SIM_NO_PATH] = {404, "not_found_error"},
      [SIM_WRONG_METHOD] = {405, "invalid_request_error"},
      [SIM_TOO_LARGE] = {413, "request_too_large"},
      [SIM_RATE_REQUESTS] = {429, "rate_limit_error"},
      [SIM_RATE_TOKENS] = {429, "rate_limit_error"},
      [SIM_RATE_NEVER] = {429, "rate_limit_error"},
      [SIM_BUSY] = {429, "rate_limit_error"},
      [SIM_QUOTA] = {429, "rate_limit_error"},
      [SIM_SERVER_ERROR] = {500, "api_error"},
      [SIM_OVERLOADED] = {529, "overloaded_error"},
  };
  sheaf__sim_write(&call->out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"",
                   rows[error].type);
  if (error == SIM_MISSING_FIELD)
    sheaf__sim_write(&call->out, "%s: Field required", call->detail);
  else if (error == SIM_OVERLOADED)
    sheaf_buf_append_text(&call->out, "Overloaded");
  else
    sheaf__sim_error_text(call, error, &call->out);
  sheaf_buf_append_text(&call->out, "\"");
  if (error == SIM_QUOTA)
    sheaf_buf_append_text(&call->out,
                          ",\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}");
  sheaf_buf_append_text(&call->out, "},\"request_id\":\"");
  sheaf__sim_id(call, "req_", &call->out);
  sheaf_buf_append_text(&call->out, "\"}");
  return rows[error].status;
}

/* Token remainders are told in thousands (protocols 2.6); a small limit would only ever show 0, so
 * those stay exact. */
static uint64_t told(uint64_t remaining, uint64_t limit) {
  return limit < 10000 ? remaining : (remaining + 500) / 1000 * 1000;
}

static void limit_headers(sim_call *call, const sim_budget *budget, int64_t unix_s, bool is_tokens,
                          const char *const names[3]) {
  char reset[40];
  if (!budget->limit) return;
  uint64_t seconds = (budget->full_after_ns + SIM_SECOND - 1) / SIM_SECOND;
  sheaf__sim_rfc3339(unix_s + (int64_t)seconds, reset, sizeof reset);
  sheaf__sim_header_u64(call, names[0], budget->limit);
  sheaf__sim_header_u64(call, names[1],
                        is_tokens ? told(budget->remaining, budget->limit) : budget->remaining);
  sheaf__sim_header(call, names[2], reset);
}

static void anthropic_headers(sim_call *call, int64_t unix_s) {
  static const char *const requests[] = {"anthropic-ratelimit-requests-limit",
                                         "anthropic-ratelimit-requests-remaining",
                                         "anthropic-ratelimit-requests-reset"};
  static const char *const tokens[] = {"anthropic-ratelimit-tokens-limit",
                                       "anthropic-ratelimit-tokens-remaining",
                                       "anthropic-ratelimit-tokens-reset"};
  char text[48];
  sheaf_buf id;
  sheaf_buf_init(&id, &sheaf__sim_allocator, sizeof text - 1);
  sheaf__sim_id(call, "req_", &id);
  if (id.status == SHEAF_OK) {
    memcpy(text, id.data, id.bytes);
    text[id.bytes] = 0;
    sheaf__sim_header(call, "request-id", text);
  }
  sheaf_buf_deinit(&id);
  sheaf__sim_header(call, "anthropic-organization-id", "00000000-0000-4000-8000-000000000001");
  if (call->is_limited) {
    limit_headers(call, &call->quota.requests, unix_s, false, requests);
    limit_headers(call, &call->quota.tokens, unix_s, true, tokens);
  }
  if (call->retry_after_ns)
    sheaf__sim_header_u64(call, "retry-after",
                          (call->retry_after_ns + SIM_SECOND - 1) / SIM_SECOND);
}

const sim_provider sheaf__sim_anthropic = {
    .read = anthropic_read,
    .answer = anthropic_answer,
    .stream_open = anthropic_stream_open,
    .stream_piece = anthropic_stream_piece,
    .stream_close = anthropic_stream_close,
    .error = anthropic_error,
    .headers = anthropic_headers,
};
