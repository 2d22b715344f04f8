/* sim_gemini.c: generateContent and its stream, embeddings, token counts and models as the Gemini
 * API shapes them (protocols 3). The model is in the path. JSON is that of proto3: what is zero is
 * left out.
 *
 * A stream is events with alt=sse, each a whole response with what is new in it; without, one JSON
 * array of the same, sent in pieces. A function call is never parted.
 *
 * Outline: usage; candidates; responses; the stream; embeddings; models; the table. */
#include "sim_shapes.h"

/* ---- Usage ---- */

static void write_count(sim_call *call, const char *name, const char *details, uint64_t tokens) {
  if (tokens == 0) return;
  sheaf__sim_write(&call->out, "\"%s\":%u,\"%s\":[{\"modality\":\"TEXT\",\"tokenCount\":%u}],",
                   name, tokens, details, tokens);
}

/* Takes the last comma back. */
static void end_counts(sim_call *call) {
  sheaf_buf *out = &call->out;
  if (out->status == SHEAF_OK && out->bytes && out->data[out->bytes - 1] == ',') out->bytes--;
  sheaf_buf_append_text(out, "}");
}

static void write_usage(sim_call *call, uint64_t output_tokens) {
  if (call->is_usage_hidden) return;
  sheaf_buf_append_text(&call->out, ",\"usageMetadata\":{");
  write_count(call, "promptTokenCount", "promptTokensDetails", call->input_tokens);
  write_count(call, "candidatesTokenCount", "candidatesTokensDetails", output_tokens);
  sheaf__sim_write(&call->out, "\"totalTokenCount\":%u}", call->input_tokens + output_tokens);
}

/* ---- Candidates ---- */

static const char *finish_reason(const sim_call *call, uint32_t choice) {
  const sim_part *last = sheaf__sim_part_last(call, choice);
  return last && last->is_cut_short ? "MAX_TOKENS" : "STOP";
}

static void write_function_call(sim_call *call, const sim_part *part) {
  sheaf_slice arguments = sheaf__sim_part_text(call, part);
  sheaf_buf_append_text(&call->out, "{\"functionCall\":{\"id\":\"");
  sheaf__sim_id(call, "", ((uint64_t)part->choice << 32) + part->index + 1, &call->out);
  sheaf__sim_write(&call->out, "\",\"name\":\"%r\",\"args\":%r}}",
                   &call->asked.tool[part->tool].name, &arguments);
}

static void write_part(sim_call *call, const sim_part *part) {
  sheaf_slice text = sheaf__sim_part_text(call, part);
  if (part->kind == SIM_PART_TOOL)
    write_function_call(call, part);
  else
    sheaf__sim_write(&call->out, "{\"text\":%q}", &text);
}

/* Ends the parts and the candidate. */
static void write_candidate_tail(sim_call *call, uint32_t choice, bool is_last) {
  sheaf_buf_append_text(&call->out, "],\"role\":\"model\"}");
  if (is_last)
    sheaf__sim_write(&call->out, ",\"finishReason\":\"%s\"", finish_reason(call, choice));
  sheaf__sim_write(&call->out, ",\"index\":%u}", (uint64_t)choice);
}

#define CANDIDATE_HEAD "{\"content\":{\"parts\":["

static void write_candidate(sim_call *call, uint32_t choice) {
  bool is_first = true;
  sheaf_buf_append_text(&call->out, CANDIDATE_HEAD);
  for (uint32_t i = 0; i < call->part_count; i++) {
    if (call->parts[i].choice != choice) continue;
    if (!is_first) sheaf_buf_append_text(&call->out, ",");
    write_part(call, &call->parts[i]);
    is_first = false;
  }
  write_candidate_tail(call, choice, true);
}

/* ---- Responses ---- */

static void write_response_head(sim_call *call) {
  sheaf_buf_append_text(&call->out, "{\"candidates\":[");
}

static void write_response_tail(sim_call *call, uint64_t output_tokens) {
  sheaf_buf_append_text(&call->out, "]");
  write_usage(call, output_tokens);
  sheaf__sim_write(&call->out, ",\"modelVersion\":\"%r\",\"responseId\":\"", &call->asked.model);
  sheaf__sim_id(call, "", 0, &call->out);
  sheaf_buf_append_text(&call->out, "\"}");
}

static void write_whole(sim_call *call) {
  write_response_head(call);
  for (uint32_t i = 0; i < call->asked.choices; i++) {
    if (i) sheaf_buf_append_text(&call->out, ",");
    write_candidate(call, i);
  }
  write_response_tail(call, call->output_tokens);
}

/* ---- The stream ---- */

static void stream_open(sim_call *call) {
  if (!call->is_sse) sheaf_buf_append_text(&call->out, "[");
}

static void write_chunk_head(sim_call *call) {
  if (call->is_sse) sheaf_buf_append_text(&call->out, "data: ");
  write_response_head(call);
}

static void write_chunk_tail(sim_call *call, bool is_last) {
  uint64_t sent = call->tokens_sent < call->output_tokens ? call->tokens_sent : call->output_tokens;
  write_response_tail(call, is_last ? call->output_tokens : sent);
  sheaf_buf_append_text(&call->out, call->is_sse ? "\r\n\r\n"
                                    : is_last    ? "\r\n]\r\n"
                                                 : "\r\n,\r\n");
}

static void part_piece(sim_call *call, const sim_part *part, sheaf_slice piece) {
  if (part->kind == SIM_PART_TOOL) return;
  write_chunk_head(call);
  sheaf__sim_write(&call->out, CANDIDATE_HEAD "{\"text\":%q}", &piece);
  write_candidate_tail(call, part->choice, false);
  write_chunk_tail(call, false);
}

static void part_close(sim_call *call, const sim_part *part) {
  if (part->kind != SIM_PART_TOOL) return;
  write_chunk_head(call);
  sheaf_buf_append_text(&call->out, CANDIDATE_HEAD);
  write_function_call(call, part);
  write_candidate_tail(call, part->choice, false);
  write_chunk_tail(call, false);
}

/* The last response holds nothing but why all ended (protocols 11). */
static void stream_close(sim_call *call) {
  write_chunk_head(call);
  for (uint32_t i = 0; i < call->asked.choices; i++) {
    if (i) sheaf_buf_append_text(&call->out, ",");
    sheaf_buf_append_text(&call->out, CANDIDATE_HEAD "{\"text\":\"\"}");
    write_candidate_tail(call, i, true);
  }
  write_chunk_tail(call, true);
}

/* ---- Embeddings ---- */

static sheaf_slice dimensions_of(sheaf_slice object) {
  return sheaf__sim_either(sheaf_json_member(object, "outputDimensionality"),
                           sheaf_json_member(object, "output_dimensionality"));
}

/* An EmbedContentRequest's vector, of the length that it asks for. */
static void write_embedding(sim_call *call, sheaf_slice request) {
  sheaf_slice config = sheaf__sim_either(sheaf_json_member(request, "embedContentConfig"),
                                         sheaf_json_member(request, "embed_content_config"));
  sheaf_slice wanted = sheaf__sim_either(dimensions_of(request), dimensions_of(config));
  uint64_t usual = call->asked.dimensions;
  int64_t dimensions;
  if (sheaf_json_int(wanted, &dimensions) == SHEAF_OK && dimensions > 0)
    call->asked.dimensions = (uint64_t)dimensions;
  sheaf_buf_reset(&call->text);
  call->asked.inputs = sheaf_json_member(request, "content");
  sheaf__sim_input(call, 0, &call->text);
  sheaf_buf_append_text(&call->out, "{\"values\":");
  sheaf__sim_write_vector(call, sheaf_buf_slice(&call->text));
  sheaf_buf_append_text(&call->out, "}");
  call->asked.dimensions = usual;
}

static void write_embed_usage(sim_call *call) {
  if (call->is_usage_hidden) return;
  sheaf_buf_append_text(&call->out, ",\"usageMetadata\":{");
  write_count(call, "promptTokenCount", "promptTokenDetails", call->input_tokens);
  end_counts(call);
}

static void write_batch(sim_call *call, sheaf_slice requests) {
  sheaf_slice key, request;
  sheaf_json_iter iter;
  bool is_first = true;
  if (sheaf_json_kind(requests) == SHEAF_JSON_OBJECT) {
    write_embedding(call, requests);
  } else if (sheaf_json_iter_init(&iter, requests) == SHEAF_OK) {
    for (; sheaf_json_iter_next(&iter, &key, &request) == SHEAF_OK; is_first = false) {
      if (!is_first) sheaf_buf_append_text(&call->out, ",");
      write_embedding(call, request);
    }
  }
}

static void write_embeddings(sim_call *call) {
  sheaf_slice requests = call->asked.inputs;
  if (sheaf__sim_route_ends(call, ":batchEmbedContents")) {
    sheaf_buf_append_text(&call->out, "{\"embeddings\":[");
    write_batch(call, requests);
    sheaf_buf_append_text(&call->out, "]");
  } else {
    sheaf_buf_append_text(&call->out, "{\"embedding\":");
    write_embedding(call, requests);
  }
  write_embed_usage(call);
  sheaf_buf_append_text(&call->out, "}");
}

/* ---- Models ---- */

#define LIMIT_USUAL 1048576u

static void write_model(sim_call *call, sheaf_slice name) {
  uint64_t context = call->world->options->context;
  sheaf__sim_write(&call->out,
                   "{\"name\":\"models/%r\",\"version\":\"1\",\"displayName\":\"%r\","
                   "\"description\":\"A simulated model.\",\"inputTokenLimit\":%u,"
                   "\"outputTokenLimit\":65536,\"supportedGenerationMethods\":"
                   "[\"generateContent\",\"countTokens\",\"embedContent\"],\"temperature\":1,"
                   "\"topP\":0.95,\"topK\":64,\"maxTemperature\":2}",
                   &name, &name, context ? context : LIMIT_USUAL);
}

static void write_models(sim_call *call) {
  uint32_t count = 0;
  sheaf_buf_append_text(&call->out, "{\"models\":[");
  for (sheaf_slice name; (name = sheaf__sim_model_at(call->world, count)).bytes; count++) {
    if (count) sheaf_buf_append_text(&call->out, ",");
    write_model(call, name);
  }
  sheaf_buf_append_text(&call->out, "]}");
}

static void gemini_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_MODELS: write_models(call); break;
    case SIM_MODEL: write_model(call, call->asked.model); break;
    case SIM_EMBED: write_embeddings(call); break;
    case SIM_COUNT:
      sheaf_buf_append_text(&call->out, "{");
      write_count(call, "totalTokens", "promptTokensDetails", call->input_tokens);
      end_counts(call);
      break;
    default: write_whole(call); break;
  }
}

/* No rate-limit headers are documented, and none is sent. */
static void gemini_headers(sim_call *call, int64_t unix_s) {
  (void)unix_s;
  sheaf__sim_header(call, "vary", "Origin, X-Origin, Referer");
}

const sim_provider sheaf__sim_gemini = {
    .name = "gemini",
    .read = sheaf__sim_gemini_read,
    .answer = gemini_answer,
    .stream_open = stream_open,
    .part_piece = part_piece,
    .part_close = part_close,
    .stream_close = stream_close,
    .late_error = sheaf__sim_gemini_late_error,
    .error = sheaf__sim_gemini_error,
    .headers = gemini_headers,
    .stream_type = "text/event-stream",
};
