/* sim_call.c: one request and its answer: storage, headers, ids, pieces, the usual error sentences.
 * */
#include "sim_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEEP_BYTES 65536u /* a buffer larger than this is not kept for the next request */

void sheaf__sim_call_init(sim_call *call) {
  memset(call, 0, sizeof *call);
  sheaf_buf_init(&call->body, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_init(&call->prompt, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_init(&call->text, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_init(&call->out, &sheaf__sim_allocator, SIM_REPLY_MAX);
}

static void recycle(sheaf_buf *buf) {
  if (buf->capacity > KEEP_BYTES)
    sheaf_buf_deinit(buf);
  else
    sheaf_buf_reset(buf);
}

/* The headers are most of the structure and their count says how many are real, so they are not
 * cleared. */
void sheaf__sim_call_reset(sim_call *call) {
  sheaf_buf body = call->body, prompt = call->prompt, text = call->text, out = call->out;
  memset(call, 0, offsetof(sim_call, headers));
  call->body = body;
  call->prompt = prompt;
  call->text = text;
  call->out = out;
  recycle(&call->body);
  recycle(&call->prompt);
  recycle(&call->text);
  recycle(&call->out);
}

void sheaf__sim_call_deinit(sim_call *call) {
  sheaf_buf_deinit(&call->body);
  sheaf_buf_deinit(&call->prompt);
  sheaf_buf_deinit(&call->text);
  sheaf_buf_deinit(&call->out);
}

void sheaf__sim_header(sim_call *call, const char *name, const char *value) {
  if (call->header_count == SIM_HEADERS_MAX) return;
  sim_header *header = &call->headers[call->header_count++];
  header->name = name;
  snprintf(header->value, sizeof header->value, "%s", value);
}

void sheaf__sim_header_u64(sim_call *call, const char *name, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, value);
  sheaf__sim_header(call, name, text);
}

void sheaf__sim_id(const sim_call *call, const char *prefix, sheaf_buf *out) {
  static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
  char id[24];
  uint64_t low = sheaf__sim_mix(call->key, SIM_DRAW_ID);
  uint64_t high = sheaf__sim_mix(low, SIM_DRAW_ID);
  for (size_t i = 0; i < 12; i++) id[i] = digits[low >> (5 * i) & 31];
  for (size_t i = 0; i < 12; i++) id[12 + i] = digits[high >> (5 * i) & 31];
  sheaf_buf_append_text(out, prefix);
  sheaf_buf_append(out, id, sizeof id);
}

uint64_t sheaf__sim_created(const sim_call *call) {
  return 1767225600u + call->key % 31536000u; /* somewhere in 2026 */
}

/* Words come with the space before them. Four bytes are drawn out to the end of a UTF-8 character.
 * */
bool sheaf__sim_piece_next(sim_call *call, sheaf_slice *piece) {
  const char *text = call->text.data;
  size_t bytes = call->text.bytes, from = call->text_at, to = from;
  if (from >= bytes) return false;
  if (call->is_words) {
    to++;
    while (to < bytes && text[to] != ' ') to++;
  } else {
    to = bytes - from < 4 ? bytes : from + 4;
    while (to < bytes && ((unsigned char)text[to] & 0xc0) == 0x80) to++;
  }
  *piece = (sheaf_slice){text + from, to - from};
  call->text_at = to;
  call->pieces_sent++;
  return true;
}

void sheaf__sim_error_text(const sim_call *call, uint32_t error, sheaf_buf *out) {
  static const char *const sentences[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] = "We could not parse the JSON body of your request.",
      [SIM_NO_KEY] = "You didn't provide an API key.",
      [SIM_WRONG_KEY] = "Incorrect API key provided.",
      [SIM_TOO_LARGE] = "The request body is too large.",
      [SIM_RATE_REQUESTS] = "Rate limit reached on requests per min (RPM).",
      [SIM_RATE_TOKENS] = "Rate limit reached on tokens per min (TPM).",
      [SIM_RATE_NEVER] = "Request too large: it needs more than all tokens per min (TPM).",
      [SIM_BUSY] = "Number of concurrent connections has exceeded your rate limit.",
      [SIM_QUOTA] = "You exceeded your current quota, please check your plan and billing details.",
      [SIM_SERVER_ERROR] = "The server had an error while processing your request.",
      [SIM_OVERLOADED] = "The engine is currently overloaded, please try again later.",
  };
  sheaf_slice path = sheaf_slice_of(call->path);
  if (error == SIM_MISSING_FIELD)
    sheaf__sim_write(out, "Missing required parameter: '%s'.", call->detail);
  else if (error == SIM_BAD_FIELD)
    sheaf_buf_append_text(out, call->detail);
  else if (error == SIM_NO_PATH)
    sheaf__sim_write(out, "Invalid URL (%s %e)", call->method, &path);
  else if (error == SIM_WRONG_METHOD)
    sheaf__sim_write(out, "Not allowed to %s on %e; it takes %s.", call->method, &path,
                     call->allow);
  else
    sheaf_buf_append_text(out, sentences[error]);
}
