/* sim_read.c: what the providers' request bodies have in common: messages with text, a token
 * ceiling, tools, things to embed or to go on from.
 *
 * Outline: content as plain text; messages; limits and tools; inputs; vectors. */
#include "sim_int.h"

#include <math.h>
#include <string.h>

/* ---- Content ---- */

/* The text of whatever holds some: appended to out where that is given; answers its bytes. A number
 * is a token, and a token four bytes (see sheaf__sim_tokens). */
static uint64_t take_text(sheaf_slice value, sheaf_buf *out) {
  uint64_t bytes = 0;
  sheaf_json_iter iter;
  sheaf_slice key, part;
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_STRING:
      part = sheaf_json_inside(value);
      if (out) sheaf_buf_append_unescaped(out, part);
      return part.bytes;
    case SHEAF_JSON_NUMBER:
      if (out && out->bytes) sheaf_buf_append(out, " ", 1);
      if (out) sheaf_buf_append_slice(out, value);
      return 4;
    case SHEAF_JSON_OBJECT:
      part = sheaf_json_member(value, "text");
      if (!part.bytes) part = sheaf_json_member(value, "parts");
      if (!part.bytes) part = sheaf_json_member(value, "content");
      return take_text(part, out);
    case SHEAF_JSON_ARRAY:
      if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return 0;
      while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) bytes += take_text(part, out);
      return bytes;
    default: return 0;
  }
}

void sheaf__sim_read_content(sim_call *call, sheaf_slice content, bool keep) {
  if (keep) sheaf_buf_reset(&call->prompt);
  call->asked.prompt_bytes += take_text(content, keep ? &call->prompt : NULL);
}

/* ---- Messages ---- */

/* Gemini says contents, parts and a role that may lack; the others messages, content, role. */
uint32_t sheaf__sim_read_messages(sim_call *call, sheaf_slice messages, const char *field) {
  sheaf_json_iter iter;
  sheaf_slice key, message;
  uint32_t count = 0;
  if (!messages.bytes) return sheaf__sim_fail(call, SIM_MISSING_FIELD, field, "array", messages);
  if (sheaf_json_kind(messages) != SHEAF_JSON_ARRAY ||
      sheaf_json_iter_init(&iter, messages) != SHEAF_OK)
    return sheaf__sim_fail(call, SIM_WRONG_TYPE, field, "array", messages);
  while (sheaf_json_iter_next(&iter, &key, &message) == SHEAF_OK) {
    count++;
    if (sheaf_json_kind(message) != SHEAF_JSON_OBJECT) {
      sheaf__sim_fail(call, SIM_WRONG_TYPE, field, "object", message);
      call->element = count;
      return SIM_WRONG_TYPE;
    }
    sheaf_slice role = sheaf_json_member(message, "role");
    sheaf_slice content = sheaf_json_member(message, "content");
    if (!content.bytes) content = sheaf_json_member(message, "parts");
    sheaf__sim_read_content(call, content, !role.bytes || sheaf_json_equals(role, "user"));
    call->asked.prompt_bytes += sheaf_json_member(message, "tool_calls").bytes;
  }
  if (count) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, "minimum", messages);
}

/* ---- Limits and tools ---- */

void sheaf__sim_read_limit(sim_call *call, sheaf_slice value) {
  int64_t limit;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return;
  if (sheaf_json_int(value, &limit) == SHEAF_OK && limit >= 0)
    call->asked.tokens_max = (uint64_t)limit;
}

void sheaf__sim_read_tool(sim_call *call, sheaf_slice name, sheaf_slice schema) {
  sim_asked *asked = &call->asked;
  if (sheaf_json_kind(name) == SHEAF_JSON_STRING) name = sheaf_json_inside(name);
  asked->prompt_bytes += name.bytes + schema.bytes;
  if (asked->tool_count == SIM_TOOLS_MAX) return;
  asked->tool[asked->tool_count++] = (sim_tool){.name = name, .schema = schema};
}

/* ---- Inputs ---- */

static bool is_list(sheaf_slice inputs) {
  sheaf_json_iter iter;
  sheaf_slice key, first;
  if (sheaf_json_kind(inputs) != SHEAF_JSON_ARRAY) return false;
  if (sheaf_json_iter_init(&iter, inputs) != SHEAF_OK) return false;
  return sheaf_json_iter_next(&iter, &key, &first) != SHEAF_OK ||
         sheaf_json_kind(first) != SHEAF_JSON_NUMBER;
}

void sheaf__sim_inputs_init(const sim_call *call, sim_inputs *inputs) {
  memset(inputs, 0, sizeof *inputs);
  if (!is_list(call->asked.inputs))
    inputs->only = call->asked.inputs;
  else if (sheaf_json_iter_init(&inputs->iter, call->asked.inputs) != SHEAF_OK)
    memset(&inputs->iter, 0, sizeof inputs->iter);
}

static bool next_input(sim_inputs *inputs, sheaf_slice *input) {
  sheaf_slice key;
  *input = inputs->only;
  inputs->only = (sheaf_slice){0};
  if (input->bytes) return true;
  return inputs->iter.at && sheaf_json_iter_next(&inputs->iter, &key, input) == SHEAF_OK;
}

bool sheaf__sim_inputs_next(sim_inputs *inputs, sheaf_buf *out) {
  sheaf_slice input;
  if (!next_input(inputs, &input)) return false;
  take_text(input, out);
  return true;
}

uint32_t sheaf__sim_input_count(const sim_call *call) {
  sim_inputs inputs;
  sheaf_slice input;
  uint32_t count = 0;
  sheaf__sim_inputs_init(call, &inputs);
  while (next_input(&inputs, &input)) count++;
  return count;
}

void sheaf__sim_input(const sim_call *call, uint32_t n, sheaf_buf *out) {
  sim_inputs inputs;
  sheaf_slice input;
  sheaf__sim_inputs_init(call, &inputs);
  while (next_input(&inputs, &input))
    if (n-- == 0) {
      take_text(input, out);
      return;
    }
}

/* ---- Vectors ---- */

/* "-0.01234567" at p, which has room for 12 bytes. */
static char *write_decimal(char *p, int32_t number) {
  uint32_t size = number < 0 ? (uint32_t)-number : (uint32_t)number;
  if (number < 0) *p++ = '-';
  *p++ = size >= 100000000 ? '1' : '0';
  *p++ = '.';
  for (unsigned i = 8; i-- > 0; size /= 10) p[i] = (char)('0' + size % 10);
  return p + 8;
}

/* The nearest float of a decimal, by way of the nearest double: what a reader of the text makes of
 * it, so that both encodings hold the same numbers. Little-endian. */
static void store_float(unsigned char *p, int32_t number) {
  float single = (float)((double)number / 1e8);
  uint32_t bits;
  memcpy(&bits, &single, 4);
  for (unsigned i = 0; i < 4; i++) p[i] = (unsigned char)(bits >> (8 * i));
}

/* RFC 4648, section 4. */
static char *write_base64(char *to, const unsigned char *from, size_t bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (; bytes >= 3; from += 3, bytes -= 3) {
    uint32_t group = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
    for (unsigned i = 0; i < 4; i++) *to++ = digits[group >> (18 - 6 * i) & 63];
  }
  if (bytes) {
    uint32_t group = (uint32_t)from[0] << 16 | (bytes == 2 ? (uint32_t)from[1] << 8 : 0u);
    *to++ = digits[group >> 18];
    *to++ = digits[group >> 12 & 63];
    *to++ = bytes == 2 ? digits[group >> 6 & 63] : '=';
    *to++ = '=';
  }
  return to;
}

/* Draws a direction and gives it the length 1, in units of 10^-8. A shorter vector is the start of
 * a longer one, but for its length. */
static size_t draw_vector(const sim_call *call, sheaf_slice text, int32_t *vector) {
  size_t count = call->asked.dimensions < SIM_DIMENSIONS_MAX ? (size_t)call->asked.dimensions
                                                             : SIM_DIMENSIONS_MAX;
  uint64_t key = sheaf__sim_hash(text.data, text.bytes, call->world->options->seed);
  double squares = 0;
  for (size_t i = 0; i < count; i++) {
    /* Never 0, so that the length is not. */
    int32_t size = 1 + (int32_t)sheaf__sim_draw(key, 2 * i, 1000000);
    vector[i] = sheaf__sim_draw(key, 2 * i + 1, 2) ? size : -size;
    squares += (double)size * (double)size;
  }
  double scale = 1e8 / sqrt(squares);
  for (size_t i = 0; i < count; i++) {
    double value = (double)vector[i] * scale;
    vector[i] = (int32_t)(value < 0 ? value - 0.5 : value + 0.5);
  }
  return count;
}

void sheaf__sim_write_vector(sim_call *call, sheaf_slice text) {
  int32_t vector[SIM_DIMENSIONS_MAX];
  unsigned char bytes[4 * SIM_DIMENSIONS_MAX];
  size_t count = draw_vector(call, text, vector);
  if (sheaf_buf_reserve(&call->out, 12 * count + 4) != SHEAF_OK) return;
  char *p = call->out.data + call->out.bytes;
  *p++ = call->asked.is_base64 ? '"' : '[';
  if (call->asked.is_base64) {
    for (size_t i = 0; i < count; i++) store_float(bytes + 4 * i, vector[i]);
    p = write_base64(p, bytes, 4 * count);
  } else {
    for (size_t i = 0; i < count; i++) {
      if (i) *p++ = ',';
      p = write_decimal(p, vector[i]);
    }
  }
  *p++ = call->asked.is_base64 ? '"' : ']';
  call->out.bytes = (size_t)(p - call->out.data);
}
