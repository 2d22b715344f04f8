/* sim_gemini.c: generateContent, streamGenerateContent and models as the Gemini API shapes them
 * (protocols 3). The model is in the path. */
#include "sim_int.h"

static uint32_t gemini_read(sim_call *call) {
  static const char *const paths[] = {
      "contents",
      "systemInstruction.parts",
      "system_instruction.parts",
      "generationConfig.maxOutputTokens",
      "generation_config.max_output_tokens",
  };
  sheaf_slice values[5];
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, 5, values, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  call->is_stream = call->route->streams;
  call->stream_type = call->is_sse ? "text/event-stream" : "application/json; charset=UTF-8";
  if (values[1].bytes) sheaf__sim_read_also(call, values[1]);
  if (values[2].bytes) sheaf__sim_read_also(call, values[2]);
  sheaf__sim_read_limit(call, values[3]);
  sheaf__sim_read_limit(call, values[4]);
  return sheaf__sim_read_messages(call, values[0]);
}

/* One GenerateContentResponse. Zero counts are left out, as proto3 does. */
static void write_response(sim_call *call, sheaf_slice text, const char *reason,
                           uint64_t output_tokens) {
  sheaf__sim_write(&call->out,
                   "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":%q}],\"role\":\"model\"},",
                   &text);
  if (reason) sheaf__sim_write(&call->out, "\"finishReason\":\"%s\",", reason);
  sheaf__sim_write(&call->out, "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":%u,",
                   call->input_tokens);
  if (output_tokens) sheaf__sim_write(&call->out, "\"candidatesTokenCount\":%u,", output_tokens);
  sheaf__sim_write(&call->out, "\"totalTokenCount\":%u},\"modelVersion\":\"%r\",\"responseId\":\"",
                   call->input_tokens + output_tokens, &call->model);
  sheaf__sim_id(call, "", &call->out);
  sheaf_buf_append_text(&call->out, "\"}");
}

static const char *finish_reason(const sim_call *call) {
  return call->is_cut_short ? "MAX_TOKENS" : "STOP";
}

static void gemini_answer(sim_call *call) {
  if (call->route->task == SIM_MODELS)
    sheaf_buf_append_text(
        &call->out,
        "{\"models\":[{\"name\":\"models/sim-1\",\"version\":\"1\",\"displayName\":\"Sim 1\","
        "\"inputTokenLimit\":1048576,\"outputTokenLimit\":65536,"
        "\"supportedGenerationMethods\":[\"generateContent\"]}]}");
  else
    write_response(call, sheaf_buf_slice(&call->text), finish_reason(call), call->output_tokens);
}

/* Events end in CRLF CRLF; without alt=sse the whole is one array, sent in pieces. */
static void gemini_stream_open(sim_call *call) {
  if (!call->is_sse) sheaf_buf_append_text(&call->out, "[");
}

static void gemini_stream_piece(sim_call *call, sheaf_slice piece) {
  uint64_t sent = call->pieces_sent < call->output_tokens ? call->pieces_sent : call->output_tokens;
  sheaf_buf_append_text(&call->out, call->is_sse ? "data: " : "");
  write_response(call, piece, NULL, sent);
  sheaf_buf_append_text(&call->out, call->is_sse ? "\r\n\r\n" : ",\r\n");
}

static void gemini_stream_close(sim_call *call) {
  sheaf_buf_append_text(&call->out, call->is_sse ? "data: " : "");
  write_response(call, (sheaf_slice){0}, finish_reason(call), call->output_tokens);
  sheaf_buf_append_text(&call->out, call->is_sse ? "\r\n\r\n" : "]\r\n");
}

typedef struct gemini_error_row {
  uint32_t status;
  const char *name;
} gemini_error_row;

#define GOOGLE_RPC "type.googleapis.com/google.rpc."

/* The hint when to come back is in the body only; "PerDay" in quotaId is what tells money from
 * minutes (protocols 3.4). */
static void write_details(sim_call *call, uint32_t error) {
  const char *quota = NULL;
  if (error == SIM_RATE_REQUESTS || error == SIM_BUSY)
    quota = "GenerateRequestsPerMinutePerProjectPerModel";
  if (error == SIM_RATE_TOKENS || error == SIM_RATE_NEVER)
    quota = "GenerateContentInputTokensPerMinutePerProjectPerModel";
  if (error == SIM_QUOTA) quota = "GenerateRequestsPerDayPerProjectPerModel";
  if (error == SIM_WRONG_KEY)
    sheaf_buf_append_text(&call->out, ",\"details\":[{\"@type\":\"" GOOGLE_RPC
                                      "ErrorInfo\",\"reason\":\"API_KEY_INVALID\","
                                      "\"domain\":\"googleapis.com\"}]");
  if (!quota) return;
  sheaf__sim_write(&call->out,
                   ",\"details\":[{\"@type\":\"" GOOGLE_RPC
                   "QuotaFailure\",\"violations\":[{\"quotaMetric\":"
                   "\"generativelanguage.googleapis.com/generate_content\",\"quotaId\":\"%s\"}]}",
                   quota);
  if (call->retry_after_ns) {
    uint64_t ms = (call->retry_after_ns + SIM_MS - 1) / SIM_MS;
    char fraction[] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                       (char)('0' + ms % 10), 0};
    for (size_t end = 3; end && (fraction[end] == '0' || fraction[end] == '.'); end--)
      fraction[end] = 0;
    if (ms % 1000 == 0) fraction[0] = 0;
    sheaf__sim_write(&call->out,
                     ",{\"@type\":\"" GOOGLE_RPC "RetryInfo\",\"retryDelay\":\"%u%ss\"}", ms / 1000,
                     fraction);
  }
  sheaf_buf_append_text(&call->out, "]");
}

static void write_message(sim_call *call, uint32_t error) {
  sheaf_buf *out = &call->out;
  if (error == SIM_MISSING_FIELD)
    sheaf_buf_append_text(out, "* GenerateContentRequest.contents: contents is not specified");
  else if (error == SIM_NO_KEY)
    sheaf_buf_append_text(out, "Method doesn't allow unregistered callers.");
  else if (error == SIM_WRONG_KEY)
    sheaf_buf_append_text(out, "API key not valid. Please pass a valid API key.");
  else if (error == SIM_OVERLOADED)
    sheaf_buf_append_text(out, "The model is overloaded. Please try again later.");
  else
    sheaf__sim_error_text(call, error, out);
}

static uint32_t gemini_error(sim_call *call, uint32_t error) {
  static const gemini_error_row rows[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] = {400, "INVALID_ARGUMENT"},
      [SIM_MISSING_FIELD] = {400, "INVALID_ARGUMENT"},
      [SIM_BAD_FIELD] = {400, "INVALID_ARGUMENT"},
      [SIM_NO_KEY] = {403, "PERMISSION_DENIED"},
      [SIM_WRONG_KEY] = {400, "INVALID_ARGUMENT"},
      [SIM_NO_PATH] = {404, "NOT_FOUND"},
      [SIM_WRONG_METHOD] = {405, "UNIMPLEMENTED"},
      [SIM_TOO_LARGE] = {413, "INVALID_ARGUMENT"},
      [SIM_RATE_REQUESTS] = {429, "RESOURCE_EXHAUSTED"},
      [SIM_RATE_TOKENS] = {429, "RESOURCE_EXHAUSTED"},
      [SIM_RATE_NEVER] = {429, "RESOURCE_EXHAUSTED"},
      [SIM_BUSY] = {429, "RESOURCE_EXHAUSTED"},
      [SIM_QUOTA] = {429, "RESOURCE_EXHAUSTED"},
      [SIM_SERVER_ERROR] = {500, "INTERNAL"},
      [SIM_OVERLOADED] = {503, "UNAVAILABLE"},
  };
  sheaf__sim_write(&call->out, "{\"error\":{\"code\":%u,\"message\":\"",
                   (uint64_t)rows[error].status);
  write_message(call, error);
  sheaf__sim_write(&call->out, "\",\"status\":\"%s\"", rows[error].name);
  write_details(call, error);
  sheaf_buf_append_text(&call->out, "}}");
  return rows[error].status;
}

/* No rate-limit headers are documented, and none is sent. */
static void gemini_headers(sim_call *call, int64_t unix_s) {
  (void)unix_s;
  sheaf__sim_header(call, "vary", "Origin, X-Origin, Referer");
}

const sim_provider sheaf__sim_gemini = {
    .read = gemini_read,
    .answer = gemini_answer,
    .stream_open = gemini_stream_open,
    .stream_piece = gemini_stream_piece,
    .stream_close = gemini_stream_close,
    .error = gemini_error,
    .headers = gemini_headers,
};
