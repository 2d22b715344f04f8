/* sim_gemini_batch.c: batch jobs as the Gemini API has them (protocols 3.3): long-running operations
 * over rows in the body, whose answers come in the operation, or over a file, whose answers come as
 * one.
 *
 * Outline: rows and results; an operation as JSON; making one; the other paths. */
#include "sim_gemini_batch.h"

#include <stdlib.h>
#include <string.h>

#define API "type.googleapis.com/google.ai.generativelanguage.v1main."
#define INLINE_MAX (20u << 20)
#define FILE_BYTES_MAX (2ull << 30)
#define JOBS_MAX 100u /* of a key at once */
#define ROWS_MAX 10000000u
#define PAGE_DEFAULT 50u
#define PAGE_MAX 1000u

static const sheaf_slice nothing = {NULL, 0};

/* ---- Rows ---- */

static bool is_inline(const sim_job *job) {
  return !job->input_id[0];
}

/* The id is a whole value: of rows in the body their metadata, of lines their key. */
static bool read_row(sim_job *job, sheaf_slice text, sim_row *row, bool says) {
  static const char *const paths[] = {"key", "request", "metadata"};
  sheaf_slice values[3];
  bool is_read = sheaf_json_kind(text) == SHEAF_JSON_OBJECT &&
                 sheaf_json_pick(text, paths, 3, values, NULL, NULL) == SHEAF_OK;
  if (!is_read || sheaf_json_kind(values[1]) != SHEAF_JSON_OBJECT) {
    if (says)
      sheaf__sim_job_error(job, "3", job->line, NULL,
                           "A line of the input file is no JSON with a request.", NULL);
    return false;
  }
  *row = (sim_row){.id = is_inline(job) ? values[2] : values[0], .body = values[1]};
  return true;
}

static void path_of(const sim_job *job, const sim_row *row, sheaf_buf *path) {
  (void)row;
  sheaf_buf_append_slice(path, job->endpoint);
}

/* ---- Results ---- */

/* The codes of google.rpc.Code that belong to the statuses of HTTP. */
static uint64_t rpc_code(uint32_t status) {
  switch (status) {
    case 400:
    case 413: return 3;
    case 401: return 16;
    case 403: return 7;
    case 404: return 5;
    case 408: return 4;
    case 429: return 8;
    case 503: return 14;
    default: return 13;
  }
}

static void write_failure(const sim_call *call, sheaf_buf *out) {
  static const char *const paths[] = {"error.message", "error.details"};
  sheaf_slice values[2] = {{NULL, 0}, {NULL, 0}};
  sheaf_json_pick(sheaf_buf_slice(&call->out), paths, 2, values, NULL, NULL);
  sheaf__sim_write(out, "\"error\":{\"code\":%u,\"message\":%r", rpc_code(call->status),
                   &values[0]);
  if (values[1].bytes) sheaf__sim_write(out, ",\"details\":%r", &values[1]);
  sheaf_buf_append_text(out, "}");
}

/* Rows that are not done leave nothing: only a job that succeeded has results. */
static void write_row(sim_job *job, const sim_row *row, uint32_t fate, sim_call *call) {
  sheaf_buf *out = &job->good_out;
  if (fate != SIM_ROW_DONE) return;
  bool is_first = job->good->bytes + out->bytes == 0;
  const char *name = is_inline(job) ? "metadata" : "key";
  sheaf_slice body = sheaf_buf_slice(&call->out);
  sheaf_buf_append_text(out, is_inline(job) && !is_first ? ",{" : "{");
  if (row->id.bytes) sheaf__sim_write(out, "\"%s\":%r,", name, &row->id);
  if (call->error == SIM_ERROR_COUNT)
    sheaf__sim_write(out, "\"response\":%r", &body);
  else
    write_failure(call, out);
  sheaf_buf_append_text(out, is_inline(job) ? "}" : "}\n");
}

const sim_lane sheaf__sim_gemini_lane = {
    .id_prefix = "",
    .rows_max = ROWS_MAX,
    .bytes_max = FILE_BYTES_MAX,
    .window_ms = 2 * SIM_GEMINI_DAY_MS,
    .keep_ms = 2 * SIM_GEMINI_DAY_MS,
    .is_checked_first = true,
    .is_all_or_none = true,
    .takes_repeats = true,
    .file_prefix = "batch-",
    .good_name = "",
    .purpose = "responses",
    .file_kind = SIM_FILES_GEMINI,
    .read_row = read_row,
    .path_of = path_of,
    .write_row = write_row,
};

/* ---- An operation as JSON ---- */

static const char *const states[SIM_JOB_STATES] = {
    [SIM_JOB_VALIDATING] = "PENDING",  [SIM_JOB_RUNNING] = "RUNNING",
    [SIM_JOB_FINALIZING] = "RUNNING",  [SIM_JOB_CANCELLING] = "RUNNING",
    [SIM_JOB_COMPLETED] = "SUCCEEDED", [SIM_JOB_FAILED] = "FAILED",
    [SIM_JOB_EXPIRED] = "EXPIRED",     [SIM_JOB_CANCELLED] = "CANCELLED",
};

/* 64-bit numbers are text, and a 0 is not told. */
static void write_count(const char *name, uint64_t number, bool is_first, sheaf_buf *out) {
  if (number) sheaf__sim_write(out, is_first ? "\"%s\":\"%u\"" : ",\"%s\":\"%u\"", name, number);
}

static void write_stats(const sim_job *job, sheaf_buf *out) {
  sheaf_buf_append_text(out, ",\"batchStats\":{");
  write_count("requestCount", job->count, true, out);
  write_count("successfulRequestCount", job->succeeded, false, out);
  write_count("failedRequestCount", job->errored, false, out);
  uint64_t done = (uint64_t)job->succeeded + job->errored;
  write_count("pendingRequestCount", sheaf__sim_job_is_over(job) ? 0 : job->count - done, false,
              out);
  sheaf_buf_append_text(out, "}");
}

static bool is_embedding(const sim_job *job) {
  return job->endpoint.bytes > 13 &&
         memcmp(job->endpoint.data + job->endpoint.bytes - 13, ":embedContent", 13) == 0;
}

static void write_output(const sim_job *job, const char *type, sheaf_buf *out) {
  sheaf_buf_append_text(out, "{");
  if (type) sheaf__sim_write(out, "\"@type\":\"" API "%s\",", type);
  if (is_inline(job)) {
    sheaf_buf_append_text(out, "\"inlinedResponses\":{\"inlinedResponses\":[");
    sheaf__sim_job_results(job, out);
    sheaf_buf_append_text(out, "]}}");
  } else {
    sheaf__sim_write(out, "\"responsesFile\":\"files/%s\"}", job->good_id);
  }
}

static void write_metadata(const sim_call *call, const sim_job *job, sheaf_buf *out) {
  bool is_over = sheaf__sim_job_is_over(job);
  sheaf_slice model = sheaf_buf_slice(&job->model);
  sheaf__sim_write(out,
                   "\"metadata\":{\"@type\":\"" API
                   "%s\",\"model\":\"models/%r\",\"name\":"
                   "\"batches/%s\"",
                   is_embedding(job) ? "EmbedContentBatch" : "GenerateContentBatch", &model,
                   job->id);
  if (job->label.bytes) sheaf__sim_write(out, ",\"displayName\":%r", &job->label);
  if (!is_inline(job))
    sheaf__sim_write(out, ",\"inputConfig\":{\"fileName\":\"files/%s\"}", job->input_id);
  sheaf__sim_gemini_time(call, "createTime", job->made_ns, out);
  sheaf__sim_gemini_time(call, "updateTime", job->at_ns[job->state], out);
  if (is_over) sheaf__sim_gemini_time(call, "endTime", job->at_ns[job->state], out);
  write_stats(job, out);
  sheaf__sim_write(out, ",\"state\":\"BATCH_STATE_%s\"", states[job->state]);
  if (job->state == SIM_JOB_COMPLETED) {
    sheaf_buf_append_text(out, ",\"output\":");
    write_output(job, NULL, out);
  }
  sheaf_buf_append_text(out, "}");
}

static void write_end(const sim_job *job, sheaf_buf *out) {
  if (job->state == SIM_JOB_COMPLETED) {
    sheaf_buf_append_text(out, ",\"done\":true,\"response\":");
    write_output(job, is_embedding(job) ? "EmbedContentBatchOutput" : "GenerateContentBatchOutput",
                 out);
    return;
  }
  if (job->state == SIM_JOB_FAILED) {
    static const char *const path[] = {"[0].message"};
    sheaf_slice said = nothing, errors = sheaf_buf_slice(&job->errors);
    sheaf_buf list;
    sheaf_buf_init(&list, &sheaf__sim_allocator, errors.bytes + 2);
    sheaf__sim_write(&list, "[%r]", &errors);
    sheaf_json_pick(sheaf_buf_slice(&list), path, 1, &said, NULL, NULL);
    sheaf__sim_write(out, ",\"done\":true,\"error\":{\"code\":3,\"message\":%r}", &said);
    sheaf_buf_deinit(&list);
    return;
  }
  sheaf_buf_append_text(
      out, job->state == SIM_JOB_CANCELLED
               ? ",\"done\":true,\"error\":{\"code\":1,\"message\":\"The batch was cancelled.\"}"
               : ",\"done\":true,\"error\":{\"code\":4,\"message\":\"The batch expired.\"}");
}

static void write_job(const sim_call *call, const sim_job *job, sheaf_buf *out) {
  sheaf__sim_write(out, "{\"name\":\"batches/%s\",", job->id);
  write_metadata(call, job, out);
  if (sheaf__sim_job_is_over(job)) write_end(job, out);
  sheaf_buf_append_text(out, "}");
}

/* ---- Making one ---- */

typedef struct make_body {
  sheaf_slice name, requests, file;
} make_body;

static uint32_t refuse(sim_call *call, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, NULL, sentence, nothing);
}

static uint32_t check_requests(sim_call *call, sheaf_slice requests, uint32_t *count) {
  sheaf_json_iter iter;
  sheaf_slice key, request;
  *count = 0;
  if (call->body.bytes > INLINE_MAX) return SIM_TOO_LARGE;
  if (sheaf_json_iter_init(&iter, requests) != SHEAF_OK)
    return refuse(call, "batch.input_config.requests.requests has to be a list.");
  for (; sheaf_json_iter_next(&iter, &key, &request) == SHEAF_OK; ++*count)
    if (sheaf_json_kind(request) != SHEAF_JSON_OBJECT ||
        sheaf_json_kind(sheaf_json_member(request, "request")) != SHEAF_JSON_OBJECT)
      return refuse(call, "batch.input_config.requests.requests: each one needs a request.");
  uint32_t most = call->world->options->batch_rows;
  if (most && *count > most) return refuse(call, "The batch has too many requests.");
  return *count ? SIM_ERROR_COUNT : refuse(call, "The batch has no requests.");
}

static uint32_t find_file(sim_call *call, sheaf_slice name) {
  static const char head[] = "files/";
  sheaf_slice id = sheaf_json_inside(name);
  size_t bytes = sizeof head - 1;
  if (id.bytes > bytes && memcmp(id.data, head, bytes) == 0)
    id = (sheaf_slice){id.data + bytes, id.bytes - bytes};
  call->file = sheaf__sim_file_find(call->world->store, id, call->now_ns);
  if (call->file && call->file->kind == SIM_FILES_GEMINI) return SIM_ERROR_COUNT;
  call->file = NULL;
  return refuse(call, "The file of batch.input_config does not exist.");
}

static uint32_t read_make(sim_call *call, make_body *made, uint32_t *count) {
  static const char *const known[] = {"batch"};
  sheaf_slice body = sheaf_buf_slice(&call->body), batch, config;
  *made = (make_body){{NULL, 0}, {NULL, 0}, {NULL, 0}};
  *count = 0;
  if (sheaf_json_kind(body) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(body, known, 1, &batch, NULL, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  config = sheaf__sim_gemini_member(batch, "inputConfig", "input_config");
  made->name = sheaf__sim_gemini_member(batch, "displayName", "display_name");
  made->file = sheaf__sim_gemini_member(config, "fileName", "file_name");
  sheaf_slice requests = sheaf__sim_gemini_member(config, "requests", "requests");
  made->requests = sheaf__sim_gemini_member(requests, "requests", "requests");
  if (sheaf_json_kind(made->name) != SHEAF_JSON_STRING) made->name = nothing;
  if (!sheaf__sim_model_is_known(call->world, call->asked.model)) return SIM_UNKNOWN_MODEL;
  if ((made->file.bytes != 0) == (made->requests.bytes != 0))
    return refuse(call, "batch.input_config needs either requests or a file_name.");
  uint32_t error =
      made->file.bytes ? find_file(call, made->file) : check_requests(call, made->requests, count);
  if (error != SIM_ERROR_COUNT) return error;
  bool is_full = sheaf__sim_jobs_active(call->world->store, call->key_hash,
                                        &sheaf__sim_gemini_lane) >= JOBS_MAX;
  return is_full ? SIM_RATE_REQUESTS : SIM_ERROR_COUNT;
}

/* Rows in the body go to a blob of their own, so that the job has them when the call is over. */
static bool keep_body(sim_call *call, sim_job_make *make, sheaf_slice requests) {
  make->input.blob = sheaf__sim_blob_new();
  if (!make->input.blob) return false;
  make->input.bytes = call->body.bytes;
  make->places = sheaf__sim_places(sheaf_buf_slice(&call->body), requests, make->count);
  return make->places &&
         sheaf__sim_blob_append(make->input.blob, call->body.data, call->body.bytes);
}

static void answer_create(sim_call *call) {
  make_body made;
  uint32_t count;
  if (read_make(call, &made, &count) != SIM_ERROR_COUNT) return;
  bool embeds = sheaf__sim_route_ends(call, ":asyncBatchEmbedContent");
  sheaf__sim_write(&call->text,
                   embeds ? "/v1beta/models/%r:embedContent" : "/v1beta/models/%r:generateContent",
                   &call->asked.model);
  sim_job_make make = {.lane = &sheaf__sim_gemini_lane,
                       .endpoint = sheaf_buf_slice(&call->text),
                       .model = call->asked.model,
                       .label = made.name,
                       .is_ordered = made.requests.bytes != 0,
                       .count = count};
  if (call->file) {
    make.input = call->file->span;
    make.input_id = sheaf_slice_of(call->file->id);
  } else if (!keep_body(call, &make, made.requests)) {
    sheaf__sim_blob_drop(make.input.blob);
    free(make.places);
    return;
  }
  sim_job *job = sheaf__sim_job_new(call->world->store, &make, call, call->now_ns);
  if (!call->file) sheaf__sim_blob_drop(make.input.blob);
  if (job) write_job(call, job, &call->out);
}

/* ---- The other paths ---- */

static bool is_listed(const sim_call *call, const sim_job *job) {
  return job->lane == &sheaf__sim_gemini_lane && job->ready_ns <= call->now_ns;
}

static void answer_list(sim_call *call) {
  const sim_job *job = call->job ? call->job->next : call->world->store->jobs, *last = NULL;
  uint64_t limit = PAGE_DEFAULT, count = 0;
  sheaf__sim_page_limit(call->query.limit, 1, PAGE_MAX, &limit);
  sheaf_buf_append_text(&call->out, "{");
  for (; job; job = job->next) {
    if (!is_listed(call, job)) continue;
    if (count == limit) break;
    sheaf_buf_append_text(&call->out, count++ ? "," : "\"operations\":[");
    write_job(call, job, &call->out);
    last = job;
  }
  if (count) sheaf_buf_append_text(&call->out, "]");
  if (job && last) sheaf__sim_write(&call->out, ",\"nextPageToken\":\"%s\"", last->id);
  sheaf_buf_append_text(&call->out, "}");
}

static uint32_t batch_read(sim_call *call) {
  uint32_t task = call->route->task, count;
  make_body made;
  uint64_t limit;
  if (task == SIM_JOB_CREATE) return read_make(call, &made, &count);
  sheaf_slice id = task == SIM_JOB_LIST ? sheaf_slice_of(call->query.after) : call->asked.model;
  call->job = sheaf__sim_job_find(call->world->store, id, call->now_ns);
  if (call->job && call->job->lane != &sheaf__sim_gemini_lane) call->job = NULL;
  if (task != SIM_JOB_LIST) return call->job ? SIM_ERROR_COUNT : SIM_NO_THING;
  if (id.bytes && !call->job) return refuse(call, "The page token is not valid.");
  if (!sheaf__sim_page_limit(call->query.limit, 1, PAGE_MAX, &limit))
    return refuse(call, "page_size has to be from 1 to 1000.");
  return SIM_ERROR_COUNT;
}

static void batch_answer(sim_call *call) {
  sim_store *store = call->world->store;
  switch (call->route->task) {
    case SIM_JOB_CREATE: answer_create(call); return;
    case SIM_JOB_LIST: answer_list(call); return;
    case SIM_JOB_GET: write_job(call, call->job, &call->out); return;
    case SIM_JOB_CANCEL: sheaf__sim_job_cancel(store, call->job, call->now_ns); break;
    default: sheaf__sim_job_delete(store, call->job); call->job = NULL;
  }
  sheaf_buf_append_text(&call->out, "{}");
}

const sim_provider sheaf__sim_gemini_batch = {
    .name = "gemini",
    .read = batch_read,
    .answer = batch_answer,
    .late_error = sheaf__sim_gemini_late_error,
    .error = sheaf__sim_gemini_batch_error,
    .headers = sheaf__sim_gemini_batch_headers,
};
