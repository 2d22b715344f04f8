/* sim_ollama.c: chat, generate, embed, tags and version as Ollama shapes them (protocols 4).
 * Streaming is the default there. */
#include "sim_int.h"

static uint32_t read_embed(sim_call *call) {
  static const char *const paths[] = {"model", "input", "dimensions"};
  sheaf_slice values[3];
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, 3, values, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  uint32_t error = sheaf__sim_read_model(call, values[0]);
  return error != SIM_ERROR_COUNT ? error : sheaf__sim_read_embed(call, values[1], values[2]);
}

static uint32_t read_chat(sim_call *call) {
  static const char *const paths[] = {
      "model", "messages", "prompt", "system", "options.num_predict", "stream"};
  sheaf_slice values[6];
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), paths, 6, values, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  call->is_stream = !values[5].bytes || sheaf_json_true(values[5]);
  call->stream_type = "application/x-ndjson";
  sheaf__sim_read_limit(call, values[4]);
  uint32_t error = sheaf__sim_read_model(call, values[0]);
  if (error != SIM_ERROR_COUNT) return error;
  if (call->route->task == SIM_CHAT) return sheaf__sim_read_messages(call, values[1]);
  if (values[3].bytes) sheaf__sim_read_also(call, values[3]);
  if (sheaf_json_kind(values[2]) != SHEAF_JSON_STRING) {
    call->detail = "prompt";
    return SIM_MISSING_FIELD;
  }
  sheaf__sim_read_prompt(call, values[2]);
  return SIM_ERROR_COUNT;
}

static uint32_t ollama_read(sim_call *call) {
  return call->route->task == SIM_EMBED ? read_embed(call) : read_chat(call);
}

/* All of an object up to its "done". */
static void write_head(sim_call *call, sheaf_slice text) {
  char created[32];
  sheaf__sim_rfc3339((int64_t)sheaf__sim_created(call), created, sizeof created);
  const char *format = call->route->task == SIM_CHAT
                           ? "{\"model\":\"%r\",\"created_at\":\"%s\",\"message\":"
                             "{\"role\":\"assistant\",\"content\":%q}"
                           : "{\"model\":\"%r\",\"created_at\":\"%s\",\"response\":%q";
  sheaf__sim_write(&call->out, format, &call->model, created, &text);
}

/* Durations are nanoseconds, and zero ones are left out. */
static void write_done(sim_call *call) {
  uint64_t eval_ns = call->itl_ns * call->output_tokens;
  sheaf__sim_write(&call->out, ",\"done\":true,\"done_reason\":\"%s\"",
                   call->is_cut_short ? "length" : "stop");
  if (call->ttft_ns + eval_ns)
    sheaf__sim_write(&call->out, ",\"total_duration\":%u", call->ttft_ns + eval_ns);
  sheaf__sim_write(&call->out, ",\"prompt_eval_count\":%u", call->input_tokens);
  if (call->output_tokens) sheaf__sim_write(&call->out, ",\"eval_count\":%u", call->output_tokens);
  if (eval_ns) sheaf__sim_write(&call->out, ",\"eval_duration\":%u", eval_ns);
  sheaf_buf_append_text(&call->out, "}");
}

static void ollama_answer(sim_call *call) {
  if (call->route->task == SIM_VERSION) {
    sheaf_buf_append_text(&call->out, "{\"version\":\"0.0.0-sim\"}");
  } else if (call->route->task == SIM_MODELS) {
    sheaf_buf_append_text(&call->out,
                          "{\"models\":[{\"name\":\"sim-1:latest\",\"model\":\"sim-1:latest\","
                          "\"modified_at\":\"2026-01-01T00:00:00Z\",\"size\":1,\"digest\":\"sim\","
                          "\"details\":{\"family\":\"sim\",\"parameter_size\":\"1B\","
                          "\"quantization_level\":\"F32\"}}]}");
  } else if (call->route->task == SIM_EMBED) {
    sheaf__sim_write(&call->out, "{\"model\":\"%r\",\"embeddings\":[", &call->model);
    sheaf__sim_write_vectors(call, "", "");
    sheaf__sim_write(&call->out, "],\"prompt_eval_count\":%u}", call->input_tokens);
  } else {
    write_head(call, sheaf_buf_slice(&call->text));
    write_done(call);
  }
}

static void ollama_stream_open(sim_call *call) {
  (void)call;
}

static void ollama_stream_piece(sim_call *call, sheaf_slice piece) {
  write_head(call, piece);
  sheaf_buf_append_text(&call->out, ",\"done\":false}\n");
}

static void ollama_stream_close(sim_call *call) {
  write_head(call, (sheaf_slice){0});
  write_done(call);
  sheaf_buf_append_text(&call->out, "\n");
}

static uint32_t ollama_error(sim_call *call, uint32_t error) {
  static const uint32_t statuses[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] = 400,     [SIM_MISSING_FIELD] = 400, [SIM_BAD_FIELD] = 400,
      [SIM_NO_KEY] = 401,       [SIM_WRONG_KEY] = 401,     [SIM_NO_PATH] = 404,
      [SIM_WRONG_METHOD] = 405, [SIM_TOO_LARGE] = 413,     [SIM_RATE_REQUESTS] = 429,
      [SIM_RATE_TOKENS] = 429,  [SIM_RATE_NEVER] = 429,    [SIM_BUSY] = 503,
      [SIM_QUOTA] = 429,        [SIM_SERVER_ERROR] = 500,  [SIM_OVERLOADED] = 503,
  };
  sheaf_buf_append_text(&call->out, "{\"error\":\"");
  if (error == SIM_NO_KEY || error == SIM_WRONG_KEY)
    sheaf_buf_append_text(&call->out, "unauthorized");
  else if (error == SIM_MISSING_FIELD)
    sheaf__sim_write(&call->out, "%s is required", call->detail);
  else if (error == SIM_BUSY || error == SIM_OVERLOADED)
    sheaf_buf_append_text(&call->out,
                          "server busy, please try again.  maximum pending requests exceeded");
  else
    sheaf__sim_error_text(call, error, &call->out);
  sheaf_buf_append_text(&call->out, "\"}");
  return statuses[error];
}

static void ollama_headers(sim_call *call, int64_t unix_s) {
  (void)unix_s;
  if (call->retry_after_ns && call->status == 429)
    sheaf__sim_header_u64(call, "retry-after",
                          (call->retry_after_ns + SIM_SECOND - 1) / SIM_SECOND);
}

const sim_provider sheaf__sim_ollama = {
    .read = ollama_read,
    .answer = ollama_answer,
    .stream_open = ollama_stream_open,
    .stream_piece = ollama_stream_piece,
    .stream_close = ollama_stream_close,
    .error = ollama_error,
    .headers = ollama_headers,
};
