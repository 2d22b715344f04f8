/* exports.c: the calls of exports.h over the pull face of the engine. */
#include "exports.h"

#include <string.h>

#define MS 1e6 /* nanoseconds */

static wasm_client *clients[WASM_CLIENTS_MAX];
static wasm_client nobody; /* the mailbox of failures that have no client */

wasm_client *sheaf__wasm_find(uint32_t handle) {
  if (handle == 0 || handle > WASM_CLIENTS_MAX) return NULL;
  return clients[handle - 1];
}

int32_t sheaf__wasm_fail(wasm_client *client, int32_t status, const char *message,
                         const char *field) {
  client->mail.status = (uint32_t)status;
  client->mail.message = sheaf__wasm_slice(sheaf_slice_of(message));
  client->mail.field = sheaf__wasm_slice(sheaf_slice_of(field));
  return status;
}

int32_t sheaf__wasm_no_client(void) {
  return sheaf__wasm_fail(&nobody, SHEAF_E_MISUSE, "the client is closed", "");
}

/* A span or a time of the host's, in ms, may be anything that a double can be. */
static uint64_t ns_of(double ms) {
  if (!(ms > 0)) return 0;
  return ms < 9e12 ? (uint64_t)(ms * MS) : SHEAF_NEVER - 1;
}

static int64_t count_of(double count) {
  return count >= 0 && count < 9e15 ? (int64_t)count : SHEAF_ABSENT;
}

/* 0: none was given. */
static uint64_t whole_of(double number) {
  return number > 0 && number < 9e15 ? (uint64_t)number : 0;
}

static sheaf_slice slice_at(const char *data, uint32_t bytes) {
  return (sheaf_slice){data, bytes};
}

/* ---- Memory ---- */

uint32_t sheaf_wasm_version(void) {
  return WASM_ABI_VERSION << 24 | SHEAF_VERSION_MAJOR << 16 | SHEAF_VERSION_MINOR << 8 |
         SHEAF_VERSION_PATCH;
}

void *sheaf_wasm_alloc(uint32_t bytes) {
  return sheaf__wasm_allocator.realloc(NULL, NULL, 0, bytes ? bytes : 1);
}

void sheaf_wasm_free(void *data) {
  if (data) sheaf__wasm_allocator.realloc(NULL, data, 0, 0);
}

/* ---- Life ---- */

static void drop(wasm_client *client) {
  sheaf_engine_free(client->engine);
  sheaf_wasm_free(client->price_rows);
  sheaf_buf_deinit(&client->price_text);
  sheaf_buf_deinit(&client->line);
  sheaf_buf_deinit(&client->headers);
  sheaf_buf_deinit(&client->tools);
  sheaf_buf_deinit(&client->out);
  sheaf_buf_deinit(&client->id);
  sheaf_resume_free(client->resume);
  sheaf__wasm_allocator.realloc(NULL, client, sizeof *client, 0);
}

uint32_t sheaf_wasm_open(const char *options, uint32_t bytes, uint32_t seed_low, uint32_t seed_high,
                         const uint8_t *secret) {
  uint32_t at = 0;
  while (at < WASM_CLIENTS_MAX && clients[at]) at++;
  if (at == WASM_CLIENTS_MAX)
    return sheaf__wasm_fail(&nobody, SHEAF_E_LIMIT, "too many clients are open", ""), 0;
  if (!sheaf__wasm_is_memory(options, bytes) ||
      (secret && !sheaf__wasm_is_memory(secret, SHEAF_SECRET_BYTES)))
    return sheaf__wasm_fail(&nobody, SHEAF_E_MISUSE, "options are outside of the memory", ""), 0;
  wasm_client *client = sheaf__wasm_allocator.realloc(NULL, NULL, 0, sizeof *client);
  if (!client) return sheaf__wasm_fail(&nobody, SHEAF_E_NOMEM, "no memory", ""), 0;
  memset(client, 0, sizeof *client);
  sheaf_buf_init(&client->line, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_buf_init(&client->headers, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_buf_init(&client->tools, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_buf_init(&client->out, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_buf_init(&client->id, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_buf_init(&client->price_text, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  uint64_t seed = (uint64_t)seed_high << 32 | seed_low;
  if (sheaf__wasm_configure(client, slice_at(options, bytes), seed, secret) != SHEAF_OK) {
    memcpy(nobody.message, client->message, sizeof nobody.message);
    memcpy(nobody.field, client->field, sizeof nobody.field);
    nobody.mail.status = client->mail.status;
    /* Static sentences stay; one in the client's own text moves with it. */
    bool is_own = client->mail.message.data == (wasm_address)client->message;
    nobody.mail.message =
        is_own ? sheaf__wasm_slice(sheaf_slice_of(nobody.message)) : client->mail.message;
    nobody.mail.field = sheaf__wasm_slice(sheaf_slice_of(nobody.field));
    drop(client);
    return 0;
  }
  clients[at] = client;
  return at + 1;
}

void sheaf_wasm_close(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return;
  clients[handle - 1] = NULL;
  drop(client);
}

const wasm_mail *sheaf_wasm_mail(uint32_t handle) {
  const wasm_client *client = sheaf__wasm_find(handle);
  return client ? &client->mail : &nobody.mail;
}

/* ---- Requests in ---- */

uint32_t sheaf__wasm_request_flags(uint32_t flags) {
  return (flags & WASM_FLAG_STREAM ? SHEAF_REQUEST_STREAM : 0u) |
         (flags & WASM_FLAG_DETERMINISTIC ? SHEAF_REQUEST_DETERMINISTIC : 0u) |
         (flags & WASM_FLAG_ALONE ? SHEAF_REQUEST_ALONE : 0u) |
         (flags & WASM_FLAG_RAW ? SHEAF_REQUEST_RAW : 0u);
}

static int32_t submit(wasm_client *client, const sheaf_request *request) {
  sheaf_parse_error error = {0};
  uint64_t index = 0;
  int32_t status = sheaf_engine_submit(client->engine, request, &index, &error);
  client->mail.index = (double)index;
  if (status == SHEAF_OK) return SHEAF_OK;
  return sheaf__wasm_fail(client, status, error.message ? error.message : sheaf_status_text(status),
                          error.field ? error.field : "");
}

int32_t sheaf_wasm_submit(uint32_t handle, const char *line, uint32_t bytes, uint32_t user,
                          uint32_t flags, double max_wait_ms) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  if (!sheaf__wasm_is_memory(line, bytes))
    return sheaf__wasm_fail(client, SHEAF_E_MISUSE, "the line is outside of the memory", "");
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_parse_error error = {0};
  int32_t status = SHEAF_OK;
  if (flags & WASM_FLAG_PROMPT)
    request.prompt = slice_at(line, bytes);
  else
    status = sheaf_line_read(slice_at(line, bytes), &client->line, &request, &error);
  if (status != SHEAF_OK)
    return sheaf__wasm_fail(client, status,
                            error.message ? error.message : sheaf_status_text(status),
                            error.field ? error.field : "");
  request.user = (void *)(uintptr_t)user;
  request.flags |= sheaf__wasm_request_flags(flags);
  request.max_wait_ms = whole_of(max_wait_ms);
  return submit(client, &request);
}

int32_t sheaf_wasm_submit_task(uint32_t handle, uint32_t user, uint32_t priority,
                               double deadline_ms, double max_tokens) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.flags = SHEAF_REQUEST_TASK;
  request.user = (void *)(uintptr_t)user;
  request.priority = priority;
  request.deadline_ms = whole_of(deadline_ms);
  request.max_tokens = whole_of(max_tokens);
  return submit(client, &request);
}

int32_t sheaf_wasm_cancel(uint32_t handle, double index) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  return index >= 0 && index < 9e15 ? sheaf_engine_cancel(client->engine, (uint64_t)index)
                                    : SHEAF_E_NOT_FOUND;
}

enum { END_INPUT, END_DRAIN, END_ABORT };

int32_t sheaf_wasm_end(uint32_t handle, uint32_t how) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  if (how == END_INPUT) return sheaf_engine_end_input(client->engine);
  if (how == END_DRAIN) return sheaf_engine_drain(client->engine);
  return sheaf_engine_abort(client->engine);
}

uint32_t sheaf_wasm_room(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t room = client ? sheaf_engine_room(client->engine) : 0;
  return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

/* ---- A running client is told otherwise ---- */

int32_t sheaf_wasm_pause(uint32_t handle, uint32_t on) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  return on ? sheaf_engine_pause(client->engine) : sheaf_engine_resume(client->engine);
}

uint32_t sheaf_wasm_is_paused(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  return client && sheaf_engine_is_paused(client->engine);
}

int32_t sheaf_wasm_set(uint32_t handle, const char *name, uint32_t name_bytes, const char *value,
                       uint32_t value_bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  if (!sheaf__wasm_is_memory(name, name_bytes) || !sheaf__wasm_is_memory(value, value_bytes))
    return sheaf__wasm_fail(client, SHEAF_E_MISUSE, "the option is outside of the memory", "");
  sheaf_slice option = slice_at(name, name_bytes);
  client->message[0] = 0;
  int32_t status = sheaf_engine_set(client->engine, option, slice_at(value, value_bytes),
                                    client->message, sizeof client->message);
  if (status == SHEAF_OK) return SHEAF_OK;
  return sheaf__wasm_fail_option(
      client, status, client->message[0] ? client->message : sheaf_status_text(status), option);
}

int32_t sheaf_wasm_stats_reset(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  sheaf_engine_stats_reset(client->engine);
  return SHEAF_OK;
}

/* ---- Time ---- */

int32_t sheaf_wasm_step(uint32_t handle, double now_ms, double unix_ms) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  int64_t wall_ms = unix_ms > -9e15 && unix_ms < 9e15 ? (int64_t)unix_ms : 0;
  return sheaf_engine_step(client->engine, ns_of(now_ms), wall_ms);
}

double sheaf_wasm_timeout(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t at = client ? sheaf_engine_timeout_ns(client->engine) : SHEAF_NEVER;
  return at == SHEAF_NEVER ? -1.0 : (double)at / MS;
}

uint32_t sheaf_wasm_is_idle(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  return !client || sheaf_engine_is_idle(client->engine);
}

/* ---- What is to be done, what happened ---- */

uint32_t sheaf_wasm_next(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return WASM_MAIL_NONE;
  client->result = NULL;
  uint32_t kind = sheaf__wasm_take_action(client);
  return kind ? kind : sheaf__wasm_take_event(client);
}

/* ---- Replies in ---- */

static bool id_of(double exchange, uint64_t *id) {
  if (!(exchange >= 0) || exchange >= 9e15) return false;
  *id = (uint64_t)exchange;
  return true;
}

int32_t sheaf_wasm_on_head(uint32_t handle, double exchange, uint32_t http_status,
                           const char *headers, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t id;
  if (!client) return sheaf__wasm_no_client();
  if (!id_of(exchange, &id) || !sheaf__wasm_is_memory(headers, bytes)) return SHEAF_E_MISUSE;
  return sheaf_engine_on_head(client->engine, id, http_status, slice_at(headers, bytes));
}

int32_t sheaf_wasm_on_data(uint32_t handle, double exchange, const char *data, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t id;
  if (!client) return sheaf__wasm_no_client();
  if (!id_of(exchange, &id) || !sheaf__wasm_is_memory(data, bytes)) return SHEAF_E_MISUSE;
  return sheaf_engine_on_data(client->engine, id, slice_at(data, bytes));
}

static int32_t end_exchange(wasm_client *client, double exchange, sheaf_exchange_end *end,
                            const char *message, uint32_t bytes) {
  uint64_t id;
  if (!id_of(exchange, &id) || !sheaf__wasm_is_memory(message, bytes)) return SHEAF_E_MISUSE;
  end->message = slice_at(message, bytes);
  return sheaf_engine_on_done(client->engine, id, end);
}

int32_t sheaf_wasm_on_done(uint32_t handle, double exchange, uint32_t end, uint32_t is_retryable,
                           const char *message, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  sheaf_exchange_end ended;
  sheaf_exchange_end_init(&ended);
  ended.end = end;
  ended.retryable = is_retryable != 0;
  return end_exchange(client, exchange, &ended, message, bytes);
}

int32_t sheaf_wasm_on_task(uint32_t handle, double exchange, uint32_t end, uint32_t http_status,
                           uint32_t is_retryable, double retry_after_ms, double input_tokens,
                           double output_tokens, const char *message, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  sheaf_exchange_end ended;
  sheaf_exchange_end_init(&ended);
  ended.end = end;
  ended.http_status = http_status;
  ended.retryable = is_retryable != 0;
  if (retry_after_ms >= 0) ended.retry_after_ns = ns_of(retry_after_ms);
  ended.usage.input_total = count_of(input_tokens);
  ended.usage.output_total = count_of(output_tokens);
  return end_exchange(client, exchange, &ended, message, bytes);
}

/* ---- The log ---- */

/* The engine is told of every record; the host, of the runs that wrote them. */
static int32_t on_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  wasm_client *client = ctx;
  const sheaf_record record = {.type = type, .payload = payload};
  (void)seq;
  if (type == SHEAF_RECORD_RUN && sheaf_json_check(payload, NULL) == SHEAF_OK) {
    sheaf_buf_append(&client->tools, client->tools.bytes ? "," : "[", 1);
    sheaf_buf_append_slice(&client->tools, payload);
  }
  return sheaf_engine_on_scanned(client->engine, &record, 1);
}

int32_t sheaf_wasm_use_log(uint32_t handle, const char *state, uint32_t bytes, uint32_t salt_low,
                           uint32_t salt_high, double unix_ms) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  if (!sheaf__wasm_is_memory(state, bytes)) return SHEAF_E_MISUSE;
  int32_t status = sheaf_engine_use_store(client->engine);
  if (status != SHEAF_OK) return status;
  sheaf_buf_reset(&client->out);
  sheaf_buf_reset(&client->tools);
  sheaf_log_report report = {0};
  status = SHEAF_E_PARTIAL;
  if (bytes)
    status = sheaf_log_read(&client->log, slice_at(state, bytes), SHEAF_RECORD_END, on_frame,
                            client, &report);
  if (status == SHEAF_E_PARTIAL) {
    uint64_t salt = (uint64_t)salt_high << 32 | salt_low;
    status = sheaf_log_begin(&client->log, salt, (int64_t)unix_ms, &client->out);
  }
  if (status == SHEAF_OK && client->tools.bytes) status = sheaf_buf_append(&client->tools, "]", 1);
  if (status != SHEAF_OK)
    return sheaf__wasm_fail(client, status, sheaf_status_text(status), "state");
  client->mail.number = (double)report.bytes_valid;
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
  client->mail.text = sheaf__wasm_slice(sheaf_buf_slice(&client->tools));
  return sheaf_engine_on_scanned(client->engine, NULL, 0);
}

int32_t sheaf_wasm_on_stored(uint32_t handle, double ticket, int32_t status) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t id;
  if (!client) return sheaf__wasm_no_client();
  return id_of(ticket, &id) ? sheaf_engine_on_stored(client->engine, id, status) : SHEAF_E_MISUSE;
}

/* ---- Text ---- */

enum { TEXT_STATS, TEXT_LINE };

int32_t sheaf_wasm_text(uint32_t handle, uint32_t what) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  int32_t status = SHEAF_E_EMPTY;
  sheaf_buf_reset(&client->out);
  if (what == TEXT_LINE) {
    if (client->result) status = sheaf_line_write(client->result, &client->out);
  } else if (what == TEXT_STATS) {
    sheaf_stats stats = {.struct_bytes = sizeof stats};
    sheaf_engine_stats(client->engine, &stats);
    status = sheaf_stats_numbers(&stats, &client->out);
  }
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
  return status;
}
