/* take.c: what the engine wants done and what it has to tell, into the mailbox. */
#include "wasm_int.h"

#include <string.h>

#define TOOLS_MAX 128u /* calls of one reply that are read out */

static double ms_of(uint64_t ns) {
  return ns == SHEAF_NEVER ? -1.0 : (double)ns / 1e6;
}

static double count_of(int64_t count) {
  return count == SHEAF_ABSENT ? -1.0 : (double)count;
}

static void clear(wasm_client *client, uint32_t kind) {
  memset(&client->mail, 0, sizeof client->mail);
  client->mail.kind = kind;
}

/* ---- Actions ---- */

static int32_t write_headers(wasm_client *client, const sheaf_exchange *exchange) {
  sheaf_buf *out = &client->headers;
  if (exchange->same_key && exchange->same_key == client->headers_key) return SHEAF_OK;
  client->headers_key = 0;
  sheaf_buf_reset(out);
  sheaf_buf_append(out, "[", 1);
  for (uint32_t i = 0; i < exchange->header_count; i++) {
    const sheaf_header *header = &exchange->headers[i];
    sheaf_buf_append_text(out, i ? ",[" : "[");
    sheaf_buf_append_string(out, header->name);
    sheaf_buf_append(out, ",", 1);
    sheaf_buf_append_string(out, header->value);
    sheaf_buf_append(out, ",", 1);
    sheaf_buf_append_u64(out, header->credential_id);
    sheaf_buf_append(out, "]", 1);
  }
  if (sheaf_buf_append(out, "]", 1) == SHEAF_OK) client->headers_key = exchange->same_key;
  return out->status;
}

static void take_start(wasm_client *client, const sheaf_exchange *exchange) {
  wasm_mail *mail = &client->mail;
  clear(client, WASM_MAIL_START);
  mail->status = (uint32_t)write_headers(client, exchange);
  mail->exchange = (double)exchange->id;
  mail->index = (double)exchange->index;
  mail->same_key = (double)exchange->same_key;
  mail->timeout_ms = ms_of(exchange->timeout_ns);
  mail->endpoint = exchange->endpoint;
  mail->user = (uint32_t)(uintptr_t)exchange->user;
  mail->flags = (exchange->stream ? WASM_FLAG_STREAM : 0u) |
                (exchange->kind == SHEAF_EXCHANGE_TASK ? WASM_FLAG_TASK : 0u);
  mail->method = sheaf__wasm_slice(sheaf_slice_of(exchange->method));
  mail->url = sheaf__wasm_slice(exchange->url);
  mail->headers = sheaf__wasm_slice(sheaf_buf_slice(&client->headers));
  mail->bytes = sheaf__wasm_slice(exchange->body);
#ifdef SHEAF_MODULE_JOBS
  /* What is pulled by sheaf_wasm_body. */
  if (exchange->body.data == NULL) mail->number = (double)exchange->body_bytes;
#endif
}

static void take_append(wasm_client *client, const sheaf_action *action) {
  clear(client, WASM_MAIL_APPEND);
  sheaf_buf_reset(&client->out);
  for (uint32_t i = 0; i < action->record_count; i++)
    sheaf_log_frame(&client->log, action->records[i].type, action->records[i].payload,
                    &client->out);
  client->mail.status = (uint32_t)client->out.status;
  client->mail.ticket = (double)action->ticket;
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
}

uint32_t sheaf__wasm_take_action(wasm_client *client) {
  sheaf_action action;
  if (sheaf_engine_next_action(client->engine, &action) != SHEAF_OK) return WASM_MAIL_NONE;
  switch (action.kind) {
    case SHEAF_ACTION_START: take_start(client, action.exchange); break;
    case SHEAF_ACTION_CANCEL:
      clear(client, WASM_MAIL_CANCEL);
      client->mail.exchange = (double)action.exchange_id;
      break;
    default: take_append(client, &action);
  }
  return client->mail.kind;
}

/* ---- Events ---- */

void sheaf__wasm_write_tools(wasm_client *client, const sheaf_result *result) {
  sheaf_buf *out = &client->tools;
  sheaf_tool_call call;
  sheaf_buf_reset(out);
  for (uint32_t n = 0; n < TOOLS_MAX; n++) {
    if (sheaf_result_tool_call(result, n, &call) != SHEAF_OK) break;
    sheaf_buf_append_text(out, n ? ",{\"id\":" : "[{\"id\":");
    sheaf_buf_append_string(out, call.id);
    sheaf_buf_append_text(out, ",\"name\":");
    sheaf_buf_append_string(out, call.name);
    sheaf_buf_append_text(out, ",\"arguments\":");
    if (call.arguments_escaped) {
      sheaf_buf_append(out, "\"", 1);
      sheaf_buf_append_slice(out, call.arguments);
      sheaf_buf_append(out, "\"", 1);
    } else {
      sheaf_buf_append_string(out, call.arguments);
    }
    sheaf_buf_append(out, "}", 1);
  }
  if (out->bytes) sheaf_buf_append(out, "]", 1);
  client->mail.tool_calls = sheaf__wasm_slice(sheaf_buf_slice(out));
}

static void write_fingerprint(wasm_client *client, const uint8_t bytes[16]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < 16; i++) {
    client->fingerprint[2 * i] = digits[bytes[i] >> 4];
    client->fingerprint[2 * i + 1] = digits[bytes[i] & 15];
  }
  client->mail.fingerprint = (wasm_slice){(wasm_address)client->fingerprint, 32};
}

static uint32_t flags_of(const sheaf_result *result) {
  return (result->ok ? WASM_FLAG_OK : 0u) | (result->attempted ? WASM_FLAG_ATTEMPTED : 0u) |
         (result->retryable ? WASM_FLAG_RETRYABLE : 0u) |
         (result->streamed ? WASM_FLAG_STREAMED : 0u) |
         (result->resent_unknown ? WASM_FLAG_RESENT : 0u) |
         (result->usage.estimated ? WASM_FLAG_ESTIMATED : 0u) |
         (result->deduplicated ? WASM_FLAG_DEDUPLICATED : 0u) |
         (result->cached ? WASM_FLAG_CACHED : 0u);
}

static void take_numbers(wasm_mail *mail, const sheaf_result *result) {
  mail->index = (double)result->index;
  mail->user = (uint32_t)(uintptr_t)result->user;
  mail->flags = flags_of(result);
  mail->error_class = result->error_class;
  mail->http_status = result->http_status;
  mail->billing = result->billing;
  mail->lane = result->lane;
  mail->attempts = result->attempts;
  mail->throttles = result->throttles;
  mail->input_tokens = count_of(result->usage.input_total);
  mail->output_tokens = count_of(result->usage.output_total);
  mail->cached_tokens = count_of(result->usage.cache_read);
  mail->cache_write_tokens = count_of(result->usage.cache_write);
  mail->reasoning_tokens = count_of(result->usage.reasoning);
  mail->cost_usd =
      result->cost_usd_nano == SHEAF_ABSENT ? -1.0 : (double)result->cost_usd_nano / 1e9;
  mail->queue_ms = ms_of(result->queue_ns);
  mail->ttft_ms = ms_of(result->ttft_ns);
  mail->latency_ms = ms_of(result->latency_ns);
  mail->total_ms = ms_of(result->total_ns);
  mail->group = (double)result->group;
  mail->group_members = result->group_members;
}

static void take_result(wasm_client *client, const sheaf_result *result) {
  wasm_mail *mail = &client->mail;
  clear(client, WASM_MAIL_RESULT);
  take_numbers(mail, result);
  mail->custom_id = sheaf__wasm_slice(result->custom_id);
  mail->text = sheaf__wasm_slice(result->text);
  mail->bytes = sheaf__wasm_slice(result->body);
  mail->model = sheaf__wasm_slice(result->model);
  mail->finish_reason = sheaf__wasm_slice(result->finish_reason);
  mail->request_id = sheaf__wasm_slice(result->request_id);
  mail->provider = sheaf__wasm_slice(result->provider);
  mail->endpoint_name = sheaf__wasm_slice(result->endpoint);
  mail->metadata = sheaf__wasm_slice(result->metadata);
  mail->error_code = sheaf__wasm_slice(result->error_code);
  mail->error_message = sheaf__wasm_slice(result->error_message);
  write_fingerprint(client, result->fingerprint);
  sheaf__wasm_write_tools(client, result);
}

uint32_t sheaf__wasm_take_event(wasm_client *client) {
  static const uint32_t kinds[] = {[SHEAF_EVENT_DELTA] = WASM_MAIL_DELTA,
                                   [SHEAF_EVENT_DISCARD] = WASM_MAIL_DISCARD,
                                   [SHEAF_EVENT_NOTICE] = WASM_MAIL_NOTICE,
                                   [SHEAF_EVENT_GROUP] = WASM_MAIL_GROUP};
  sheaf_event event;
  if (sheaf_engine_next_event(client->engine, &event) != SHEAF_OK) return WASM_MAIL_NONE;
  if (event.kind == SHEAF_EVENT_RESULT) {
    client->result = event.result;
    take_result(client, event.result);
    return WASM_MAIL_RESULT;
  }
#ifdef SHEAF_MODULE_JOBS
  if (event.kind == SHEAF_EVENT_JOB) return sheaf__wasm_take_job(client, event.job);
#endif
  clear(client, kinds[event.kind]);
  wasm_mail *mail = &client->mail;
  mail->index = (double)event.index;
  mail->number = (double)event.number;
  mail->notice = event.notice;
  mail->endpoint = event.endpoint;
  mail->user = (uint32_t)(uintptr_t)event.user;
  mail->custom_id = sheaf__wasm_slice(event.custom_id);
  mail->bytes = sheaf__wasm_slice(event.raw);
  mail->group = (double)event.group;
  mail->group_members = (uint32_t)event.group_members;
  mail->group_state = event.group_state;
  mail->at_ms = (double)event.at_ns / 1e6;
  if (event.kind == SHEAF_EVENT_NOTICE)
    mail->message = sheaf__wasm_slice(event.text);
  else
    mail->text = sheaf__wasm_slice(event.text);
  return mail->kind;
}
