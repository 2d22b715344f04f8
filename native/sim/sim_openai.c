/* sim_openai.c: embeddings and models as OpenAI shapes them (protocols 1.3), and what its dialects
 * write alike.
 *
 * Anthropic lists its models at the same path; whoever sends its version header gets its shape. */
#include "sim_openai.h"

/* ---- What the dialects share ---- */

void sheaf__sim_openai_usage(sim_call *call) {
  sheaf__sim_write(&call->out,
                   "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
                   "\"prompt_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0,"
                   "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
                   "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                   "\"rejected_prediction_tokens\":0}}",
                   call->input_tokens, call->output_tokens,
                   call->input_tokens + call->output_tokens);
}

uint32_t sheaf__sim_openai_choice_end(const sim_call *call, uint32_t i) {
  uint32_t choice = call->parts[i].choice;
  while (i < call->part_count && call->parts[i].choice == choice) i++;
  return i;
}

bool sheaf__sim_openai_is_last(const sim_call *call, const sim_part *part) {
  const sim_part *end = call->parts + call->part_count;
  return part + 1 == end || part[1].choice != part->choice;
}

void sheaf__sim_openai_obfuscation(sim_call *call, uint64_t n) {
  static const char letters[] = "aB3dE7fG1hJ9kLm5";
  sheaf_slice padding = {letters, 1 + (size_t)sheaf__sim_draw(call->key, SIM_DRAW_ID + n, 16)};
  sheaf__sim_write(&call->out, ",\"obfuscation\":%q", &padding);
}

/* ---- Embeddings ---- */

enum { INPUT_TOKENS_MAX = 8192, REQUEST_TOKENS_MAX = 300000, INPUTS_MAX = 2048 };

enum { MODEL, INPUT, DIMENSIONS, ENCODING };

static const sim_field fields[] = {
    [MODEL] = {.name = "model", .kinds = SIM_IS_STRING},
    [INPUT] = {.name = "input", .kinds = SIM_IS_STRING | SIM_IS_ARRAY, .is_required = true},
    [DIMENSIONS] = {.name = "dimensions",
                    .kinds = SIM_IS_NUMBER,
                    .is_integer = true,
                    .min = 1,
                    .max = SIM_DIMENSIONS_MAX},
    [ENCODING] = {.name = "encoding_format", .kinds = SIM_IS_STRING, .values = " float base64 "},
    {.name = "user", .kinds = SIM_IS_STRING},
};

static uint32_t refuse_input(sim_call *call) {
  return sheaf__sim_openai_refuse(call, "input",
                                  "'$.input' is invalid. Please check the API reference: "
                                  "https://platform.openai.com/docs/api-reference.");
}

/* One input: a text that is not empty, or token numbers. */
static uint32_t read_one(sim_call *call, sheaf_slice input) {
  sheaf_json_iter iter;
  sheaf_slice key, token;
  uint64_t before = call->asked.prompt_bytes;
  bool is_list = sheaf_json_kind(input) == SHEAF_JSON_ARRAY;
  if (!is_list && sheaf_json_kind(input) != SHEAF_JSON_STRING) return refuse_input(call);
  if (is_list && sheaf_json_iter_init(&iter, input) == SHEAF_OK)
    while (sheaf_json_iter_next(&iter, &key, &token) == SHEAF_OK)
      if (sheaf_json_kind(token) != SHEAF_JSON_NUMBER) return refuse_input(call);
  sheaf__sim_read_content(call, input, false);
  uint64_t bytes = call->asked.prompt_bytes - before;
  if (bytes == 0) return refuse_input(call);
  if (sheaf__sim_tokens(bytes) <= INPUT_TOKENS_MAX) return SIM_ERROR_COUNT;
  call->input_tokens = sheaf__sim_tokens(bytes);
  call->context = INPUT_TOKENS_MAX;
  return SIM_CONTEXT;
}

static uint32_t read_inputs(sim_call *call, sheaf_slice inputs) {
  sheaf_json_iter iter;
  sheaf_slice key, input;
  uint32_t count = 0;
  call->asked.inputs = inputs;
  if (sheaf_json_kind(inputs) == SHEAF_JSON_STRING) return read_one(call, inputs);
  if (sheaf_json_iter_init(&iter, inputs) != SHEAF_OK) return refuse_input(call);
  while (sheaf_json_iter_next(&iter, &key, &input) == SHEAF_OK) {
    if (count == 0 && sheaf_json_kind(input) == SHEAF_JSON_NUMBER) return read_one(call, inputs);
    if (++count > INPUTS_MAX) return refuse_input(call);
    uint32_t error = read_one(call, input);
    if (error != SIM_ERROR_COUNT) return error;
  }
  if (count == 0) return refuse_input(call);
  if (sheaf__sim_tokens(call->asked.prompt_bytes) <= REQUEST_TOKENS_MAX) return SIM_ERROR_COUNT;
  return sheaf__sim_openai_refuse(call, NULL,
                                  "Requested more than 300000 tokens, max 300000 tokens "
                                  "per request");
}

static uint32_t openai_read(sim_call *call) {
  sheaf_slice values[SIM_ROWS(fields)];
  int64_t dimensions;
  uint32_t error = sheaf__sim_check(call, fields, SIM_ROWS(fields), false, values);
  if (error == SIM_ERROR_COUNT) error = sheaf__sim_openai_read_model(call, values[MODEL]);
  if (error != SIM_ERROR_COUNT) return error;
  if (values[DIMENSIONS].bytes && sheaf_json_int(values[DIMENSIONS], &dimensions) == SHEAF_OK)
    call->asked.dimensions = (uint64_t)dimensions;
  call->asked.is_base64 = sheaf_json_equals(values[ENCODING], "base64");
  return read_inputs(call, values[INPUT]);
}

static void write_embeddings(sim_call *call) {
  sim_inputs inputs;
  sheaf_buf text;
  uint64_t index = 0;
  sheaf_buf_init(&text, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf__sim_inputs_init(call, &inputs);
  sheaf_buf_append_text(&call->out, "{\"object\":\"list\",\"data\":[");
  while (sheaf__sim_inputs_next(&inputs, &text)) {
    sheaf__sim_write(&call->out,
                     index ? ",{\"object\":\"embedding\",\"index\":%u,\"embedding\":"
                           : "{\"object\":\"embedding\",\"index\":%u,\"embedding\":",
                     index);
    sheaf__sim_write_vector(call, sheaf_buf_slice(&text));
    sheaf_buf_append(&call->out, "}", 1);
    sheaf_buf_reset(&text);
    index++;
  }
  sheaf_buf_deinit(&text);
  sheaf__sim_write(&call->out, "],\"model\":\"%r\"", &call->asked.model);
  if (!call->is_usage_hidden)
    sheaf__sim_write(&call->out, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}",
                     call->input_tokens, call->input_tokens);
  sheaf_buf_append(&call->out, "}", 1);
}

/* ---- Models ---- */

static void write_model(sim_call *call, sheaf_slice name) {
  sheaf__sim_write(&call->out,
                   "{\"id\":%q,\"object\":\"model\",\"created\":1767225600,"
                   "\"owned_by\":\"sheaf\"}",
                   &name);
}

static void write_models(sim_call *call) {
  sheaf_buf_append_text(&call->out, "{\"object\":\"list\",\"data\":[");
  for (uint32_t n = 0;; n++) {
    sheaf_slice name = sheaf__sim_model_at(call->world, n);
    if (!name.bytes) break;
    if (n) sheaf_buf_append(&call->out, ",", 1);
    write_model(call, name);
  }
  sheaf_buf_append_text(&call->out, "]}");
}

/* Hands the call over, for all that is still to be written of it. */
static bool is_for_anthropic(sim_call *call) {
  bool is_models =
      call->route && (call->route->task == SIM_MODELS || call->route->task == SIM_MODEL);
  if (!is_models || !call->version) return false;
  call->provider = &sheaf__sim_anthropic;
  return true;
}

static void openai_answer(sim_call *call) {
  if (is_for_anthropic(call))
    call->provider->answer(call);
  else if (call->route->task == SIM_EMBED)
    write_embeddings(call);
  else if (call->route->task == SIM_MODEL)
    write_model(call, call->asked.model);
  else if (call->route->task == SIM_MODELS)
    write_models(call);
}

static uint32_t openai_error(sim_call *call) {
  return is_for_anthropic(call) ? call->provider->error(call) : sheaf__sim_openai_error(call);
}

const sim_provider sheaf__sim_openai = {
    .name = "openai",
    .read = openai_read,
    .answer = openai_answer,
    .late_error = sheaf__sim_openai_late_error,
    .error = openai_error,
    .headers = sheaf__sim_openai_headers,
    .stream_type = "text/event-stream; charset=utf-8",
};
