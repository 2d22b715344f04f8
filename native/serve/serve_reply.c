/* serve_reply.c: replies and chunks in OpenAI's shape, of answers that came in another; and
 * OpenAI's own events, as they were asked for.
 *
 * Outline: reasons and usage; replies; chunks; embeddings; events that pass. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUT(buf, text) sheaf_buf_append((buf), (text), sizeof(text) - 1)

/* ---- Reasons and usage ---- */

/* The providers' words for why an answer ended, as OpenAI says it (each provider's reference,
 * 2026). */
static const char *finish_of(sheaf_slice reason) {
  static const struct {
    const char *given, *told;
  } words[] = {
      {"max_tokens", "length"},
      {"MAX_TOKENS", "length"},
      {"length", "length"},
      {"model_context_window_exceeded", "length"},
      {"tool_use", "tool_calls"},
      {"tool_calls", "tool_calls"},
      {"refusal", "content_filter"},
      {"content_filter", "content_filter"},
      {"SAFETY", "content_filter"},
      {"RECITATION", "content_filter"},
      {"BLOCKLIST", "content_filter"},
      {"PROHIBITED_CONTENT", "content_filter"},
      {"SPII", "content_filter"},
      {"LANGUAGE", "content_filter"},
  };
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (strlen(words[i].given) == reason.bytes &&
        memcmp(words[i].given, reason.data, reason.bytes) == 0)
      return words[i].told;
  return "stop";
}

static int64_t or_zero(int64_t count) {
  return count == SHEAF_ABSENT ? 0 : count;
}

static bool has_usage(const sheaf_usage *usage) {
  return usage->input_total != SHEAF_ABSENT || usage->output_total != SHEAF_ABSENT;
}

static void put_count(sheaf_buf *to, const char *name, int64_t count) {
  sheaf_buf_append_text(to, name);
  sheaf_buf_append_i64(to, or_zero(count));
}

static void put_usage(sheaf_buf *to, const sheaf_usage *usage) {
  put_count(to, "{\"prompt_tokens\":", usage->input_total);
  put_count(to, ",\"completion_tokens\":", usage->output_total);
  put_count(to, ",\"total_tokens\":", or_zero(usage->input_total) + or_zero(usage->output_total));
  if (usage->cache_read != SHEAF_ABSENT) {
    put_count(to, ",\"prompt_tokens_details\":{\"cached_tokens\":", usage->cache_read);
    PUT(to, "}");
  }
  if (usage->reasoning != SHEAF_ABSENT) {
    put_count(to, ",\"completion_tokens_details\":{\"reasoning_tokens\":", usage->reasoning);
    PUT(to, "}");
  }
  PUT(to, "}");
}

/* ---- Replies ---- */

static void put_model(const serve_call *call, const sheaf_result *result, sheaf_buf *to) {
  PUT(to, ",\"model\":");
  if (result && result->model.bytes) {
    sheaf_buf_append_string(to, result->model);
    return;
  }
  PUT(to, "\"");
  sheaf_buf_append_text(to, call->model);
  PUT(to, "\"");
}

static void put_head(const serve_call *call, const char *object, const sheaf_result *result,
                     sheaf_buf *to) {
  sheaf_buf_append_text(
      to, call->page == SERVE_CHAT ? "{\"id\":\"chatcmpl-sheaf-" : "{\"id\":\"cmpl-sheaf-");
  sheaf_buf_append_i64(to, call->created_s);
  PUT(to, "-");
  sheaf_buf_append_u64(to, call->number);
  PUT(to, "\",\"object\":\"");
  sheaf_buf_append_text(to, object);
  PUT(to, "\",\"created\":");
  sheaf_buf_append_i64(to, call->created_s);
  put_model(call, result, to);
}

static void put_finish(sheaf_slice reason, sheaf_buf *to) {
  PUT(to, ",\"finish_reason\":\"");
  sheaf_buf_append_text(to, finish_of(reason));
  PUT(to, "\"}]");
}

void sheaf__serve_put_reply(const serve_call *call, const sheaf_result *result, sheaf_buf *to) {
  bool is_chat = call->page == SERVE_CHAT;
  put_head(call, is_chat ? "chat.completion" : "text_completion", result, to);
  sheaf_buf_append_text(
      to, is_chat ? ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
                  : ",\"choices\":[{\"index\":0,\"text\":\"");
  sheaf_buf_append_slice(to, result->text_json);
  sheaf_buf_append_text(
      to, is_chat ? "\",\"refusal\":null},\"logprobs\":null" : "\",\"logprobs\":null");
  put_finish(result->finish_reason, to);
  if (has_usage(&result->usage)) {
    PUT(to, ",\"usage\":");
    put_usage(to, &result->usage);
  }
  PUT(to, "}");
}

static void put_embedding_usage(sheaf_buf *to, const sheaf_usage *usage) {
  put_count(to, "{\"prompt_tokens\":", usage->input_total);
  put_count(to, ",\"total_tokens\":", usage->input_total);
  PUT(to, "}");
}

/* A member of a group has usage null in its body, because its share is reckoned and not told;
 * callers count on numbers. */
void sheaf__serve_put_body(const serve_call *call, const sheaf_result *result, sheaf_buf *to) {
  const char *path = "usage";
  sheaf_slice body = result->body, usage = {NULL, 0};
  bool is_due = result->group && has_usage(&result->usage) &&
                sheaf_json_pick(body, &path, 1, &usage, NULL, NULL) == SHEAF_OK &&
                sheaf_json_kind(usage) == SHEAF_JSON_NULL;
  if (!is_due) {
    sheaf_buf_append_slice(to, body);
    return;
  }
  const char *rest = usage.data + usage.bytes;
  sheaf_buf_append(to, body.data, (size_t)(usage.data - body.data));
  (call->page == SERVE_EMBEDDINGS ? put_embedding_usage : put_usage)(to, &result->usage);
  sheaf_buf_append(to, rest, (size_t)(body.data + body.bytes - rest));
}

/* ---- Chunks ---- */

static void begin_chunk(const serve_call *call, sheaf_buf *to) {
  PUT(to, "data: ");
  put_head(call, call->page == SERVE_CHAT ? "chat.completion.chunk" : "text_completion", NULL, to);
}

static void end_chunk(const serve_call *call, sheaf_buf *to) {
  if (call->wants_usage) PUT(to, ",\"usage\":null");
  PUT(to, "}\n\n");
}

static void put_piece(const serve_call *call, const char *delta, sheaf_slice text, sheaf_buf *to) {
  begin_chunk(call, to);
  sheaf_buf_append_text(to, call->page == SERVE_CHAT ? ",\"choices\":[{\"index\":0,\"delta\":{"
                                                     : ",\"choices\":[{\"index\":0,");
  sheaf_buf_append_text(to, delta);
  sheaf_buf_append_string(to, text);
  if (call->page == SERVE_CHAT) PUT(to, "}");
  PUT(to, ",\"logprobs\":null,\"finish_reason\":null}]");
  end_chunk(call, to);
}

void sheaf__serve_put_chunk(serve_call *call, sheaf_slice text, sheaf_buf *to) {
  bool is_chat = call->page == SERVE_CHAT;
  if (!call->has_begun && is_chat)
    put_piece(call, "\"role\":\"assistant\",\"content\":", (sheaf_slice){NULL, 0}, to);
  call->has_begun = true;
  if (text.bytes) put_piece(call, is_chat ? "\"content\":" : "\"text\":", text, to);
}

void sheaf__serve_put_last(serve_call *call, const sheaf_result *result, sheaf_buf *to) {
  bool is_chat = call->page == SERVE_CHAT;
  sheaf__serve_put_chunk(call, (sheaf_slice){NULL, 0}, to);
  begin_chunk(call, to);
  sheaf_buf_append_text(to, is_chat ? ",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null"
                                    : ",\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null");
  put_finish(result->finish_reason, to);
  end_chunk(call, to);
  if (call->wants_usage && has_usage(&result->usage)) {
    begin_chunk(call, to);
    PUT(to, ",\"choices\":[],\"usage\":");
    put_usage(to, &result->usage);
    PUT(to, "}\n\n");
  }
  PUT(to, "data: [DONE]\n\n");
}

/* ---- Embeddings ---- */

static void put_base64(sheaf_buf *to, const unsigned char *bytes, size_t count) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < count; i += 3) {
    size_t left = count - i;
    uint32_t three = (uint32_t)bytes[i] << 16;
    if (left > 1) three |= (uint32_t)bytes[i + 1] << 8;
    if (left > 2) three |= bytes[i + 2];
    char four[4] = {digits[three >> 18], digits[three >> 12 & 63], digits[three >> 6 & 63],
                    digits[three & 63]};
    if (left < 3) four[3] = '=';
    if (left < 2) four[2] = '=';
    sheaf_buf_append(to, four, 4);
  }
}

/* The numbers as 32-bit floats, little end first, in base64: OpenAI's other encoding. 24 floats
 * are 96 bytes, a multiple of 3, so that blocks can follow one another. */
static void put_floats(sheaf_slice numbers, sheaf_buf *to) {
  unsigned char block[96];
  size_t filled = 0;
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_iter_init(&iter, numbers) != SHEAF_OK) return;
  PUT(to, "\"");
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    /* A checked document, in which something that is no digit follows every number. */
    float number = strtof(value.data, NULL);
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    for (uint32_t i = 0; i < 4; i++) block[filled++] = (unsigned char)(bits >> 8 * i);
    if (filled < sizeof block) continue;
    put_base64(to, block, filled);
    filled = 0;
  }
  put_base64(to, block, filled);
  PUT(to, "\"");
}

bool sheaf__serve_put_embeddings(const serve_call *call, const sheaf_result *result,
                                 sheaf_buf *to) {
  const char *path = "embeddings";
  sheaf_json_iter iter;
  sheaf_slice vectors, key, vector;
  if (sheaf_json_pick(result->body, &path, 1, &vectors, NULL, NULL) != SHEAF_OK) return false;
  if (sheaf_json_kind(vectors) != SHEAF_JSON_ARRAY) return false;
  sheaf_json_iter_init(&iter, vectors);
  PUT(to, "{\"object\":\"list\",\"data\":[");
  for (uint64_t i = 0; sheaf_json_iter_next(&iter, &key, &vector) == SHEAF_OK; i++) {
    sheaf_buf_append_text(
        to, i ? ",{\"object\":\"embedding\",\"index\":" : "{\"object\":\"embedding\",\"index\":");
    sheaf_buf_append_u64(to, i);
    PUT(to, ",\"embedding\":");
    if (call->wants_base64)
      put_floats(vector, to);
    else
      sheaf_buf_append_slice(to, vector);
    PUT(to, "}");
  }
  PUT(to, "]");
  put_model(call, result, to);
  PUT(to, ",\"usage\":");
  put_embedding_usage(to, &result->usage);
  PUT(to, "}");
  return true;
}

/* ---- Events that pass ---- */

/* The client asks for usage on its own account. That event has no choices and says so. */
static bool is_usage_event(sheaf_slice event) {
  static const char field[] = "data:";
  const char *const paths[] = {"choices", "choices[0]", "usage"};
  sheaf_slice found[3], data = {memmem(event.data, event.bytes, field, 5), 0};
  if (data.data == NULL || memmem(event.data, event.bytes, "\"usage\"", 7) == NULL) return false;
  data.data += 5;
  data.bytes = event.bytes - (size_t)(data.data - event.data);
  if (sheaf_json_pick(data, paths, 3, found, NULL, NULL) != SHEAF_OK) return false;
  return sheaf_json_kind(found[0]) == SHEAF_JSON_ARRAY && found[1].bytes == 0 &&
         sheaf_json_kind(found[2]) == SHEAF_JSON_OBJECT;
}

/* Behind the empty line that ends the first event; all, where none does. */
static size_t event_bytes(sheaf_slice raw) {
  for (size_t i = 0; i + 1 < raw.bytes; i++) {
    if (raw.data[i] != '\n') continue;
    size_t next = i + 1;
    if (raw.data[next] == '\r') next++;
    if (next < raw.bytes && raw.data[next] == '\n') return next + 1;
  }
  return raw.bytes;
}

void sheaf__serve_put_events(const serve_call *call, sheaf_slice raw, sheaf_buf *to) {
  if (call->wants_usage || call->page == SERVE_RESPONSES) {
    sheaf_buf_append_slice(to, raw);
    return;
  }
  while (raw.bytes > 0) {
    sheaf_slice event = {raw.data, event_bytes(raw)};
    if (!is_usage_event(event)) sheaf_buf_append_slice(to, event);
    raw.data += event.bytes;
    raw.bytes -= event.bytes;
  }
}
