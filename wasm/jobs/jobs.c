/* jobs.c: the calls of jobs.h over the engine's pull face.
 *
 * Outline: clients; records of earlier runs; requests; spools; bodies; what is known of jobs. */
#include "jobs.h"

#include <string.h>

#define PIECE ((size_t)1 << 20) /* of a body, so many bytes at a time */

/* ---- Clients ---- */

typedef struct wasm_jobs {
  wasm_client *client;
  wasm_spool spool;
  sheaf_buf ended; /* a bit for each row whose result is known */
} wasm_jobs;

static wasm_jobs *all[WASM_CLIENTS_MAX];

static wasm_jobs *find(uint32_t handle) {
  const wasm_client *client = sheaf__wasm_find(handle);
  return client != NULL ? all[handle - 1] : NULL;
}

static wasm_jobs *make(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (client == NULL || all[handle - 1] != NULL) return NULL;
  wasm_jobs *jobs = sheaf__wasm_allocator.realloc(NULL, NULL, 0, sizeof *jobs);
  if (jobs == NULL) return NULL;
  memset(jobs, 0, sizeof *jobs);
  jobs->client = client;
  jobs->spool.allocator = &sheaf__wasm_allocator;
  sheaf_buf_init(&jobs->ended, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  return all[handle - 1] = jobs;
}

void sheaf_wasm_close_jobs(uint32_t handle) {
  wasm_jobs *jobs = find(handle);
  sheaf_wasm_close(handle);
  if (jobs == NULL) return;
  all[handle - 1] = NULL;
  sheaf__spool_deinit(&jobs->spool);
  sheaf_buf_deinit(&jobs->ended);
  sheaf__wasm_allocator.realloc(NULL, jobs, sizeof *jobs, 0);
}

static bool whole_of(double number, uint64_t *whole) {
  if (!(number >= 0) || number >= 9e15) return false;
  *whole = (uint64_t)number;
  return true;
}

/* ---- Records of earlier runs ---- */

/* Payloads behind the flight's number are JSON but for rows; those of the host's runs as a whole. */
static void show_frame(sheaf_buf *out, uint32_t type, sheaf_slice payload) {
  uint64_t flight = 0;
  if (type >= SHEAF_RECORD_JOB_FIRST && payload.bytes >= 8) {
    for (size_t i = 0; i < 8; i++) flight |= (uint64_t)(uint8_t)payload.data[i] << (8 * i);
    payload = (sheaf_slice){payload.data + 8, payload.bytes - 8};
  }
  sheaf_buf_append_text(out, out->bytes ? ",[" : "[[");
  sheaf_buf_append_u64(out, flight);
  sheaf_buf_append_text(out, ",");
  sheaf_buf_append_u64(out, type);
  sheaf_buf_append_text(out, ",");
  sheaf_buf_append_slice(out, payload);
  sheaf_buf_append_text(out, "]");
}

static int32_t on_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  wasm_client *client = ctx;
  const sheaf_record record = {.type = type, .payload = payload};
  (void)seq;
  bool is_job = type > SHEAF_RECORD_JOB_ROWS && type <= SHEAF_RECORD_JOB_DECISION;
  if (is_job || type == SHEAF_RECORD_RUN) show_frame(&client->tools, type, payload);
  return sheaf_engine_on_scanned(client->engine, &record, 1);
}

static int32_t read_log(wasm_client *client, sheaf_slice state, uint64_t salt, double unix_ms) {
  sheaf_log_report report = {0};
  sheaf_buf_reset(&client->out);
  sheaf_buf_reset(&client->tools);
  int32_t status = SHEAF_E_PARTIAL;
  if (state.bytes)
    status = sheaf_log_read(&client->log, state, SHEAF_RECORD_JOB_LAST, on_frame, client, &report);
  if (status == SHEAF_E_PARTIAL)
    status = sheaf_log_begin(&client->log, salt, (int64_t)unix_ms, &client->out);
  if (status == SHEAF_OK && client->tools.bytes) status = sheaf_buf_append(&client->tools, "]", 1);
  if (status != SHEAF_OK)
    return sheaf__wasm_fail(client, status, sheaf_status_text(status), "state");
  client->mail.number = (double)report.bytes_valid;
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
  client->mail.text = sheaf__wasm_slice(sheaf_buf_slice(&client->tools));
  return sheaf_engine_on_scanned(client->engine, NULL, 0);
}

/* ---- What the engine asks ---- */

static int32_t has_no_next(void *ctx, sheaf_request *request) {
  (void)ctx, (void)request;
  return SHEAF_E_LATER;
}

static int32_t admit(void *ctx, uint64_t index, const sheaf_request *request,
                     const uint8_t fingerprint[16]) {
  wasm_jobs *jobs = ctx;
  (void)request, (void)fingerprint;
  if (index / 8 >= jobs->ended.bytes) return SHEAF_OK;
  uint32_t bits = (uint8_t)jobs->ended.data[index / 8];
  if (!(bits >> (index % 8) & 1u)) return SHEAF_OK;
  jobs->client->mail.flags = WASM_FLAG_SKIPPED;
  return SHEAF_E_END;
}

static int32_t refused(void *ctx, uint64_t index, const sheaf_request *request,
                       const sheaf_parse_error *error) {
  const wasm_jobs *jobs = ctx;
  (void)index, (void)request;
  return sheaf__wasm_fail(jobs->client, error->status,
                          error->message ? error->message : sheaf_status_text(error->status),
                          error->field ? error->field : "");
}

/* The doors that are never used: the host takes actions and events from the mailbox. */
static int32_t never_starts(void *ctx, const sheaf_exchange *exchange) {
  (void)ctx, (void)exchange;
  return SHEAF_E_MISUSE;
}
static void never_cancels(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}
static int32_t never_puts(void *ctx, const sheaf_event *event) {
  (void)ctx, (void)event;
  return SHEAF_E_MISUSE;
}

static int32_t open_doors(wasm_jobs *jobs) {
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = never_starts, .cancel = never_cancels};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = never_puts};
  const sheaf_source source = {.struct_bytes = sizeof source,
                               .ctx = jobs,
                               .next = has_no_next,
                               .admit = admit,
                               .refused = refused};
  const sheaf_spool spool = {.struct_bytes = sizeof spool,
                             .ctx = &jobs->spool,
                             .append = sheaf__spool_append,
                             .seal = sheaf__spool_seal,
                             .read = sheaf__spool_read,
                             .drop = sheaf__spool_drop};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .spool = &spool};
  return sheaf_engine_open(jobs->client->engine, &doors);
}

int32_t sheaf_wasm_use_jobs(uint32_t handle, const char *state, uint32_t bytes, uint32_t salt_low,
                            uint32_t salt_high, double unix_ms) {
  if (!sheaf__wasm_is_memory(state, bytes)) return SHEAF_E_MISUSE;
  wasm_jobs *jobs = make(handle);
  if (jobs == NULL) return SHEAF_E_NOMEM;
  int32_t status = open_doors(jobs);
  if (status == SHEAF_OK) status = sheaf_engine_use_store(jobs->client->engine);
  if (status != SHEAF_OK)
    return sheaf__wasm_fail(jobs->client, status, sheaf_status_text(status), "");
  return read_log(jobs->client, (sheaf_slice){state, bytes}, (uint64_t)salt_high << 32 | salt_low,
                  unix_ms);
}

/* ---- Requests ---- */

int32_t sheaf_wasm_put(uint32_t handle, const char *line, uint32_t bytes, uint32_t flags) {
  wasm_jobs *jobs = find(handle);
  if (jobs == NULL) return sheaf__wasm_no_client();
  wasm_client *client = jobs->client;
  if (!sheaf__wasm_is_memory(line, bytes)) return SHEAF_E_MISUSE;
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_parse_error error = {0};
  int32_t status = SHEAF_OK;
  if (flags & WASM_FLAG_PROMPT)
    request.prompt = (sheaf_slice){line, bytes};
  else
    status = sheaf_line_read((sheaf_slice){line, bytes}, &client->line, &request, &error);
  if (status != SHEAF_OK)
    return sheaf__wasm_fail(client, status,
                            error.message ? error.message : sheaf_status_text(status),
                            error.field ? error.field : "");
  client->mail.flags = 0;
  client->mail.message = (wasm_slice){0};
  uint64_t index = 0;
  status = sheaf_engine_offer(client->engine, &request, &index);
  client->mail.index = (double)index;
  if (status != SHEAF_OK && client->mail.message.bytes == 0)
    return sheaf__wasm_fail(client, status, sheaf_status_text(status), "");
  return status;
}

int32_t sheaf_wasm_ended(uint32_t handle, double index) {
  wasm_jobs *jobs = find(handle);
  uint64_t at;
  if (jobs == NULL || !whole_of(index, &at) || at / 8 >= WASM_TEXT_MAX) return SHEAF_E_MISUSE;
  sheaf_buf *ended = &jobs->ended;
  size_t wanted = (size_t)(at / 8) + 1;
  if (wanted > ended->bytes) {
    int32_t status = sheaf_buf_reserve(ended, wanted - ended->bytes);
    if (status) return status;
    memset(ended->data + ended->bytes, 0, wanted - ended->bytes);
    ended->bytes = wanted;
  }
  ended->data[at / 8] = (char)((uint8_t)ended->data[at / 8] | 1u << (at % 8));
  return SHEAF_OK;
}

/* ---- Spools ---- */

int32_t sheaf_wasm_spool_load(uint32_t handle, double flight, const char *data, uint32_t bytes) {
  wasm_jobs *jobs = find(handle);
  uint64_t job;
  if (jobs == NULL || !whole_of(flight, &job) || !sheaf__wasm_is_memory(data, bytes))
    return SHEAF_E_MISUSE;
  uint64_t at = 0;
  for (const wasm_spooled *each = jobs->spool.first; each != NULL; each = each->next)
    if (each->job == job) at = each->bytes;
  int32_t status = sheaf__spool_append(&jobs->spool, job, at, (sheaf_slice){data, bytes});
  sheaf__spool_loaded(&jobs->spool, job);
  return status;
}

uint32_t sheaf_wasm_spool_take(uint32_t handle) {
  wasm_jobs *jobs = find(handle);
  const wasm_spooled *taken = jobs ? sheaf__spool_take(&jobs->spool) : NULL;
  if (taken == NULL) return 0;
  jobs->client->mail.number = (double)taken->job;
  return 1;
}

int32_t sheaf_wasm_spool_piece(uint32_t handle, double flight, double offset) {
  wasm_jobs *jobs = find(handle);
  uint64_t job, at;
  if (jobs == NULL || !whole_of(flight, &job) || !whole_of(offset, &at)) return SHEAF_E_MISUSE;
  jobs->client->mail.bytes = sheaf__wasm_slice(sheaf__spool_piece(&jobs->spool, job, at));
  return SHEAF_OK;
}

double sheaf_wasm_spool_forget(uint32_t handle) {
  wasm_jobs *jobs = find(handle);
  return jobs ? (double)sheaf__spool_forget(&jobs->spool) : 0;
}

/* ---- Bodies ---- */

int32_t sheaf_wasm_body(uint32_t handle, double exchange, double offset) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t id, at;
  if (client == NULL || !whole_of(exchange, &id) || !whole_of(offset, &at)) return SHEAF_E_MISUSE;
  sheaf_buf_reset(&client->out);
  int32_t status = sheaf_buf_reserve(&client->out, PIECE);
  if (status != SHEAF_OK) return status;
  int64_t got = sheaf_engine_body_read(client->engine, id, at, client->out.data, PIECE);
  if (got < 0) return (int32_t)got;
  client->out.bytes = (size_t)got;
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
  return SHEAF_OK;
}

/* ---- What is known of jobs ---- */

static void put_text(sheaf_buf *out, const char *name, sheaf_slice text) {
  if (text.bytes == 0) return;
  sheaf_buf_append_text(out, ",\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
  sheaf_buf_append_string(out, text);
}

static void put_number(sheaf_buf *out, const char *name, int64_t number) {
  if (number == SHEAF_ABSENT) return;
  sheaf_buf_append_text(out, ",\"");
  sheaf_buf_append_text(out, name);
  sheaf_buf_append_text(out, "\":");
  sheaf_buf_append_i64(out, number);
}

static void show_job(wasm_client *client, const sheaf_job_status *job) {
  sheaf_buf *out = &client->tools;
  sheaf_buf_reset(out);
  sheaf_buf_append_text(out, "{\"flight\":");
  sheaf_buf_append_u64(out, job->flight);
  put_text(out, "state", sheaf_slice_of(sheaf_job_state_name(job->state)));
  put_text(out, "provider", job->provider);
  put_text(out, "endpoint", job->endpoint);
  put_text(out, "model", job->model);
  put_text(out, "marker", job->marker);
  put_text(out, "job", job->job);
  put_text(out, "message", job->message);
  put_number(out, "requests", (int64_t)job->requests);
  put_number(out, "bytes", (int64_t)job->bytes);
  put_number(out, "completed", job->completed);
  put_number(out, "failed", job->failed);
  put_number(out, "ended", (int64_t)job->ended);
  put_number(out, "rescued", (int64_t)job->rescued);
  put_number(out, "created_unix_ms", job->created_unix_ms);
  if (job->next_poll_ns != SHEAF_NEVER)
    put_number(out, "next_poll_ms", (int64_t)(job->next_poll_ns / 1000000u));
  sheaf_buf_append(out, "}", 1);
  client->mail.text = sheaf__wasm_slice(sheaf_buf_slice(out));
}

uint32_t sheaf__wasm_take_job(wasm_client *client, const sheaf_job_status *job) {
  memset(&client->mail, 0, sizeof client->mail);
  client->mail.kind = WASM_MAIL_JOB;
  client->mail.number = (double)job->flight;
  show_job(client, job);
  return WASM_MAIL_JOB;
}

int32_t sheaf_wasm_job_at(uint32_t handle, uint32_t n) {
  wasm_client *client = sheaf__wasm_find(handle);
  sheaf_job_status job = {.struct_bytes = sizeof job};
  if (client == NULL) return sheaf__wasm_no_client();
  int32_t status = sheaf_engine_job_at(client->engine, n, &job);
  if (status == SHEAF_OK) show_job(client, &job);
  return status;
}

int32_t sheaf_wasm_line(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (client == NULL) return sheaf__wasm_no_client();
  if (client->result == NULL) return SHEAF_E_EMPTY;
  sheaf_buf_reset(&client->out);
  int32_t status = sheaf_line_write(client->result, &client->out);
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
  return status;
}

int32_t sheaf_wasm_job_cancel(uint32_t handle, double flight) {
  wasm_client *client = sheaf__wasm_find(handle);
  uint64_t job;
  if (client == NULL) return sheaf__wasm_no_client();
  return whole_of(flight, &job) ? sheaf_engine_job_cancel(client->engine, job) : SHEAF_E_NOT_FOUND;
}
