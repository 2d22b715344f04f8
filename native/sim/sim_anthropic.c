/* sim_anthropic.c: messages, token counts and models as Anthropic shapes them (protocols 2; what is
 * null there is null in the official SDK's types, too).
 *
 * Outline: usage; the message; a stream's events; models; the table. */
#include "sim_shapes.h"

#include <string.h>

/* ---- Usage ---- */

/* Nothing is ever cached here. */
static void write_usage(sim_call *call, uint64_t output_tokens) {
  if (call->is_usage_hidden) return;
  sheaf__sim_write(&call->out,
                   ",\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
                   "\"cache_read_input_tokens\":0,\"cache_creation\":"
                   "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"
                   "\"output_tokens\":%u,\"output_tokens_details\":null,"
                   "\"server_tool_use\":null,\"service_tier\":\"standard\",\"speed\":null,"
                   "\"inference_geo\":null}",
                   call->input_tokens, output_tokens);
}

/* ---- The message ---- */

/* A call of a tool that was cut short is no call. */
static const char *stop_reason(const sim_call *call) {
  const sim_part *last = sheaf__sim_part_last(call, 0);
  if (last && last->is_cut_short) return "max_tokens";
  return last && last->kind == SIM_PART_TOOL ? "tool_use" : "end_turn";
}

static void write_head(sim_call *call) {
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "msg_", 0, &call->out);
  sheaf__sim_write(&call->out,
                   "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%r\",\"content\":[",
                   &call->asked.model);
}

static void write_tail(sim_call *call, const char *reason, uint64_t output_tokens) {
  sheaf_buf_append_text(&call->out, "],\"stop_reason\":");
  sheaf__sim_write(&call->out, reason ? "\"%s\"" : "null", reason);
  sheaf_buf_append_text(&call->out,
                        ",\"stop_sequence\":null,\"stop_details\":null,\"container\":null,"
                        "\"diagnostics\":null");
  write_usage(call, output_tokens);
  sheaf_buf_append_text(&call->out, "}");
}

/* Up to the value of "input". */
static void write_tool_head(sim_call *call, const sim_part *part) {
  sheaf_buf_append_text(&call->out, "{\"type\":\"tool_use\",\"id\":\"");
  sheaf__sim_id(call, "toolu_", (uint64_t)part->index + 1, &call->out);
  sheaf__sim_write(&call->out, "\",\"name\":\"%r\",\"caller\":{\"type\":\"direct\"},\"input\":",
                   &call->asked.tool[part->tool].name);
}

static void write_block(sim_call *call, const sim_part *part) {
  sheaf_slice text = sheaf__sim_part_text(call, part);
  if (part->kind == SIM_PART_TEXT) {
    sheaf__sim_write(&call->out, "{\"type\":\"text\",\"text\":%q,\"citations\":null}", &text);
    return;
  }
  write_tool_head(call, part);
  sheaf__sim_write(&call->out, "%r}", &text);
}

static void write_message(sim_call *call) {
  bool is_first = true;
  write_head(call);
  for (uint32_t i = 0; i < call->part_count; i++) {
    if (call->parts[i].bytes == 0) continue; /* an empty block is none */
    if (!is_first) sheaf_buf_append_text(&call->out, ",");
    write_block(call, &call->parts[i]);
    is_first = false;
  }
  write_tail(call, stop_reason(call), call->output_tokens);
}

/* ---- Events ---- */

static void stream_open(sim_call *call) {
  sheaf_buf_append_text(&call->out,
                        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
  write_head(call);
  write_tail(call, NULL, call->output_tokens ? 1 : 0);
  sheaf_buf_append_text(&call->out, "}\n\n");
}

static void write_delta_head(sim_call *call, const sim_part *part) {
  sheaf__sim_write(&call->out,
                   "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                   "\"index\":%u,\"delta\":",
                   (uint64_t)part->index);
}

static void write_json_delta(sim_call *call, const sim_part *part, sheaf_slice piece) {
  write_delta_head(call, part);
  sheaf__sim_write(&call->out, "{\"type\":\"input_json_delta\",\"partial_json\":%q}}\n\n", &piece);
}

static void part_open(sim_call *call, const sim_part *part) {
  if (part->bytes == 0) return;
  sheaf__sim_write(&call->out,
                   "event: content_block_start\ndata: {\"type\":\"content_block_start\","
                   "\"index\":%u,\"content_block\":",
                   (uint64_t)part->index);
  if (part->kind == SIM_PART_TEXT) {
    sheaf_buf_append_text(&call->out, "{\"type\":\"text\",\"text\":\"\",\"citations\":null}}\n\n");
  } else {
    write_tool_head(call, part);
    sheaf_buf_append_text(&call->out, "{}}}\n\n");
  }
  if (part->index == 0)
    sheaf_buf_append_text(&call->out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
  if (part->kind == SIM_PART_TOOL) write_json_delta(call, part, (sheaf_slice){"", 0});
}

static void part_piece(sim_call *call, const sim_part *part, sheaf_slice piece) {
  if (part->kind == SIM_PART_TOOL) {
    write_json_delta(call, part, piece);
    return;
  }
  write_delta_head(call, part);
  sheaf__sim_write(&call->out, "{\"type\":\"text_delta\",\"text\":%q}}\n\n", &piece);
}

static void part_close(sim_call *call, const sim_part *part) {
  if (part->bytes == 0) return;
  sheaf__sim_write(&call->out,
                   "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
                   "\"index\":%u}\n\n",
                   (uint64_t)part->index);
}

static void stream_close(sim_call *call) {
  sheaf__sim_write(&call->out,
                   "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
                   "{\"stop_reason\":\"%s\",\"stop_sequence\":null,\"stop_details\":null,"
                   "\"container\":null}",
                   stop_reason(call));
  if (!call->is_usage_hidden)
    sheaf__sim_write(&call->out,
                     ",\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
                     "\"cache_read_input_tokens\":0,\"output_tokens\":%u,"
                     "\"output_tokens_details\":null,\"server_tool_use\":null}",
                     call->input_tokens, call->output_tokens);
  sheaf_buf_append_text(&call->out,
                        "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

/* ---- Models ---- */

static void write_model(sim_call *call, sheaf_slice name) {
  const uint64_t context = call->world->options->context;
  sheaf__sim_write(&call->out,
                   "{\"type\":\"model\",\"id\":\"%r\",\"display_name\":\"%r\","
                   "\"created_at\":\"2026-01-01T00:00:00Z\",\"capabilities\":null,"
                   "\"lifecycle\":\"active\",\"line\":null,\"deprecated_at\":null,"
                   "\"retires_at\":null,\"max_input_tokens\":",
                   &name, &name);
  sheaf__sim_write(&call->out, context ? "%u,\"max_tokens\":%u}" : "null,\"max_tokens\":null}",
                   context, context);
}

static void write_models(sim_call *call) {
  uint32_t count = 0;
  sheaf_buf_append_text(&call->out, "{\"data\":[");
  for (sheaf_slice name; (name = sheaf__sim_model_at(call->world, count)).bytes; count++) {
    if (count) sheaf_buf_append_text(&call->out, ",");
    write_model(call, name);
  }
  sheaf_slice first = sheaf__sim_model_at(call->world, 0);
  sheaf_slice last = sheaf__sim_model_at(call->world, count ? count - 1 : 0);
  sheaf__sim_write(&call->out, "],\"has_more\":false,\"first_id\":\"%r\",\"last_id\":\"%r\"}",
                   &first, &last);
}

static void anthropic_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_MODELS: write_models(call); break;
    case SIM_MODEL: write_model(call, call->asked.model); break;
    case SIM_COUNT:
      sheaf__sim_write(&call->out, "{\"input_tokens\":%u}", call->input_tokens);
      break;
    default: write_message(call); break;
  }
}

const sim_provider sheaf__sim_anthropic = {
    .name = "anthropic",
    .read = sheaf__sim_anthropic_read,
    .answer = anthropic_answer,
    .stream_open = stream_open,
    .part_open = part_open,
    .part_piece = part_piece,
    .part_close = part_close,
    .stream_close = stream_close,
    .late_error = sheaf__sim_anthropic_late_error,
    .error = sheaf__sim_anthropic_error,
    .headers = sheaf__sim_anthropic_headers,
    .stream_type = "text/event-stream; charset=utf-8",
};
