/* sim_read.c: what the providers' request bodies have in common: a model, messages with text, a
 * token ceiling, things to embed. */
#include "sim_int.h"

static uint32_t missing(sim_call *call, const char *field) {
  call->detail = field;
  return SIM_MISSING_FIELD;
}

uint32_t sheaf__sim_read_model(sim_call *call, sheaf_slice value) {
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING || value.bytes <= 2)
    return missing(call, "model");
  call->model = sheaf_json_inside(value);
  return SIM_ERROR_COUNT;
}

/* The text of a part: {"type":"text","text":...} or {"text":...}; empty for an image. */
static sheaf_slice part_text(sheaf_slice part) {
  if (sheaf_json_kind(part) == SHEAF_JSON_STRING) return sheaf_json_inside(part);
  if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT) return (sheaf_slice){0};
  return sheaf_json_inside(sheaf_json_member(part, "text"));
}

/* Counts content's bytes; with `keep`, its plain text becomes the prompt. */
static void read_content(sim_call *call, sheaf_slice content, bool keep) {
  if (keep) sheaf_buf_reset(&call->prompt);
  sheaf_json_iter iter;
  if (sheaf_json_kind(content) != SHEAF_JSON_ARRAY) {
    sheaf_slice text = part_text(content);
    call->prompt_bytes += text.bytes;
    if (keep) sheaf_buf_append_unescaped(&call->prompt, text);
    return;
  }
  if (sheaf_json_iter_init(&iter, content) != SHEAF_OK) return;
  sheaf_slice key, part;
  while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
    sheaf_slice text = part_text(part);
    call->prompt_bytes += text.bytes;
    if (keep) sheaf_buf_append_unescaped(&call->prompt, text);
  }
}

void sheaf__sim_read_prompt(sim_call *call, sheaf_slice content) {
  read_content(call, content, true);
}

void sheaf__sim_read_also(sim_call *call, sheaf_slice content) {
  read_content(call, content, false);
}

/* Gemini says contents, parts and a role that may lack; the others messages, content, role. */
uint32_t sheaf__sim_read_messages(sim_call *call, sheaf_slice messages) {
  sheaf_json_iter iter;
  if (sheaf_json_kind(messages) != SHEAF_JSON_ARRAY) return missing(call, "messages");
  if (sheaf_json_iter_init(&iter, messages) != SHEAF_OK) return missing(call, "messages");
  sheaf_slice key, message;
  uint32_t count = 0;
  while (sheaf_json_iter_next(&iter, &key, &message) == SHEAF_OK) {
    count++;
    if (sheaf_json_kind(message) != SHEAF_JSON_OBJECT) return missing(call, "messages");
    sheaf_slice role = sheaf_json_member(message, "role");
    sheaf_slice content = sheaf_json_member(message, "content");
    if (!content.bytes) content = sheaf_json_member(message, "parts");
    read_content(call, content, !role.bytes || sheaf_json_equals(role, "user"));
  }
  return count ? SIM_ERROR_COUNT : missing(call, "messages");
}

void sheaf__sim_read_limit(sim_call *call, sheaf_slice value) {
  int64_t limit;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return;
  if (sheaf_json_int(value, &limit) == SHEAF_OK && limit > 0) call->tokens_max = (uint64_t)limit;
}

/* [1,2,3] is one input of tokens, ["a","b"] and [[1],[2]] are two. */
static bool is_list_of_inputs(sheaf_slice input) {
  sheaf_json_iter iter;
  sheaf_slice key, first;
  if (sheaf_json_kind(input) != SHEAF_JSON_ARRAY) return false;
  if (sheaf_json_iter_init(&iter, input) != SHEAF_OK) return false;
  return sheaf_json_iter_next(&iter, &key, &first) == SHEAF_OK &&
         sheaf_json_kind(first) != SHEAF_JSON_NUMBER;
}

uint32_t sheaf__sim_read_embed(sim_call *call, sheaf_slice input, sheaf_slice dimensions) {
  int64_t wanted;
  uint32_t kind = sheaf_json_kind(input);
  if ((kind != SHEAF_JSON_STRING && kind != SHEAF_JSON_ARRAY) || input.bytes <= 2)
    return missing(call, "input");
  if (dimensions.bytes && sheaf_json_kind(dimensions) != SHEAF_JSON_NULL) {
    if (sheaf_json_int(dimensions, &wanted) != SHEAF_OK || wanted < 1 ||
        wanted > (int64_t)SIM_DIMENSIONS_MAX) {
      call->detail = "Invalid value for 'dimensions'.";
      return SIM_BAD_FIELD;
    }
    call->dimensions = (uint64_t)wanted;
  }
  call->input = input;
  read_content(call, input, false);
  if (call->prompt_bytes == 0) call->prompt_bytes = input.bytes; /* token numbers */
  return SIM_ERROR_COUNT;
}

static void write_vector(sim_call *call, sheaf_slice input, uint64_t index, const char *open,
                         const char *close) {
  if (index) sheaf_buf_append(&call->out, ",", 1);
  sheaf__sim_write(&call->out, open, index);
  sheaf__sim_vector(call->seed, input, call->dimensions, &call->out);
  sheaf_buf_append_text(&call->out, close);
}

void sheaf__sim_write_vectors(sim_call *call, const char *open, const char *close) {
  if (!is_list_of_inputs(call->input)) {
    write_vector(call, call->input, 0, open, close);
    return;
  }
  sheaf_json_iter iter;
  sheaf_slice key, input;
  uint64_t index = 0;
  if (sheaf_json_iter_init(&iter, call->input) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &input) == SHEAF_OK)
    write_vector(call, input, index++, open, close);
}
