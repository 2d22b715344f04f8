/* sim_mistral_batch.c: batch jobs as Mistral has them (protocols 6): one model a job, rows by file or
 * in the body, answers as OpenAI's. Files are those of sim_openai_files.c.
 *
 * Outline: rows and results; a job as JSON; making one; the other paths. */
#include "sim_openai_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 100000u /* the smaller of two numbers that are documented */
#define INLINE_MAX 10000u
#define DAY_MS 86400000ull
#define PAGE_DEFAULT 100u
#define PAGE_MAX 1000u

static const char *const endpoints = " /v1/chat/completions /v1/embeddings ";

/* ---- Rows and results ---- */

static bool is_inline(const sim_job *job) {
  return !job->input_id[0];
}

static bool read_row(sim_job *job, sheaf_slice text, sim_row *row, bool says) {
  static const char *const paths[] = {"custom_id", "body"};
  sheaf_slice values[2];
  bool is_read = sheaf_json_kind(text) == SHEAF_JSON_OBJECT &&
                 sheaf_json_pick(text, paths, 2, values, NULL, NULL) == SHEAF_OK;
  if (!is_read || sheaf_json_kind(values[1]) != SHEAF_JSON_OBJECT) {
    if (says)
      sheaf__sim_job_error(job, "invalid_file", job->line, NULL,
                           "A line of the input is no JSON with a body.", NULL);
    return false;
  }
  *row = (sim_row){.id = sheaf_json_inside(values[0]), .body = values[1]};
  return true;
}

static void path_of(const sim_job *job, const sim_row *row, sheaf_buf *path) {
  (void)row;
  sheaf_buf_append_slice(path, job->endpoint);
}

/* The job's model stands for that of rows that have none. */
static void body_of(const sim_job *job, const sim_row *row, sheaf_buf *body) {
  sheaf_slice model = sheaf_buf_slice(&job->model);
  bool is_given = sheaf_json_member(row->body, "model").bytes != 0;
  if (is_given || !model.bytes) {
    sheaf_buf_append_slice(body, row->body);
    return;
  }
  sheaf_slice rest = {row->body.data + 1, row->body.bytes - 1};
  while (rest.bytes && strchr(" \t\r\n", rest.data[0]))
    rest = (sheaf_slice){rest.data + 1, rest.bytes - 1};
  sheaf__sim_write(body, rest.data[0] == '}' ? "{\"model\":\"%r\"%r" : "{\"model\":\"%r\",%r",
                   &model, &rest);
}

static uint32_t check_row(sim_call *call) {
  if (!call->asked.is_stream) return SIM_ERROR_COUNT;
  return sheaf__sim_openai_refuse(call, "stream", "Streaming is not supported in batches.");
}

static void write_row(sim_job *job, const sim_row *row, uint32_t fate, sim_call *call) {
  if (fate != SIM_ROW_DONE) return;
  bool is_good = call->error == SIM_ERROR_COUNT;
  sheaf_buf *out = is_good || is_inline(job) ? &job->good_out : &job->bad_out;
  sheaf_slice body = sheaf_buf_slice(&call->out);
  char id[40];
  uint64_t high = sheaf__sim_hash(row->id.data, row->id.bytes, job->number);
  snprintf(id, sizeof id, "%016" PRIx64, high);
  if (is_inline(job) && job->good->bytes + out->bytes) sheaf_buf_append_text(out, ",");
  sheaf__sim_write(out,
                   "{\"id\":\"batch-%s\",\"custom_id\":\"%r\",\"response\":{\"status_code\":%u,"
                   "\"body\":%r},\"error\":null}",
                   id, &row->id, (uint64_t)call->status, &body);
  if (!is_inline(job)) sheaf_buf_append_text(out, "\n");
}

const sim_lane sheaf__sim_mistral_lane = {
    .id_prefix = "job-",
    .rows_max = ROWS_MAX,
    .bytes_max = 512ull << 20,
    .window_ms = DAY_MS,
    .keep_ms = DAY_MS,
    .is_checked_first = true,
    .has_bad = true,
    .file_prefix = "file-",
    .good_name = "_output.jsonl",
    .bad_name = "_error.jsonl",
    .purpose = "batch_output",
    .file_kind = SIM_FILES_OPENAI,
    .read_row = read_row,
    .path_of = path_of,
    .body_of = body_of,
    .check_row = check_row,
    .write_row = write_row,
};

/* ---- A job as JSON ---- */

static const char *const states[SIM_JOB_STATES] = {
    [SIM_JOB_VALIDATING] = "QUEUED",        [SIM_JOB_RUNNING] = "RUNNING",
    [SIM_JOB_FINALIZING] = "RUNNING",       [SIM_JOB_CANCELLING] = "CANCELLATION_REQUESTED",
    [SIM_JOB_COMPLETED] = "SUCCESS",        [SIM_JOB_FAILED] = "FAILED",
    [SIM_JOB_EXPIRED] = "TIMEOUT_EXCEEDED", [SIM_JOB_CANCELLED] = "CANCELLED",
};

static void write_text(sheaf_buf *out, const char *name, const char *text) {
  sheaf__sim_write(out, text[0] ? ",\"%s\":\"%s\"" : ",\"%s\":null", name, text);
}

static void write_time(const sim_call *call, const char *name, uint64_t ns, sheaf_buf *out) {
  sheaf__sim_write(out, ",\"%s\":", name);
  sheaf__sim_openai_time(call->world->store, ns, out);
}

/* Alike messages are one error with a count; ours are few and differ. */
static void write_errors(const sim_job *job, sheaf_buf *out) {
  sheaf_json_iter iter;
  sheaf_slice key, error, errors = sheaf_buf_slice(&job->errors);
  sheaf_buf list;
  const char *comma = "";
  sheaf_buf_init(&list, &sheaf__sim_allocator, errors.bytes + 2);
  sheaf__sim_write(&list, "[%r]", &errors);
  sheaf_buf_append_text(out, ",\"errors\":[");
  if (list.status == SHEAF_OK && sheaf_json_iter_init(&iter, sheaf_buf_slice(&list)) == SHEAF_OK)
    while (sheaf_json_iter_next(&iter, &key, &error) == SHEAF_OK) {
      sheaf_slice message = sheaf_json_member(error, "message");
      sheaf__sim_write(out, "%s{\"message\":%r,\"count\":1}", comma, &message);
      comma = ",";
    }
  sheaf_buf_append_text(out, "]");
  sheaf_buf_deinit(&list);
}

static void write_counts(const sim_job *job, sheaf_buf *out) {
  uint64_t done = (uint64_t)job->succeeded + job->errored;
  sheaf__sim_write(out,
                   ",\"total_requests\":%u,\"completed_requests\":%u,\"succeeded_requests\":%u,"
                   "\"failed_requests\":%u",
                   (uint64_t)job->count, done, (uint64_t)job->succeeded, (uint64_t)job->errored);
}

static void write_job(const sim_call *call, const sim_job *job, sheaf_buf *out) {
  sheaf_slice model = sheaf_buf_slice(&job->model);
  bool is_over = sheaf__sim_job_is_over(job);
  sheaf__sim_write(out, "{\"id\":\"%s\",\"object\":\"batch\",\"input_files\":[", job->id);
  if (!is_inline(job)) sheaf__sim_write(out, "\"%s\"", job->input_id);
  sheaf__sim_write(out, "],\"endpoint\":%q,\"agent_id\":null", &job->endpoint);
  sheaf__sim_write(out, model.bytes ? ",\"model\":\"%r\"" : ",\"model\":null", &model);
  if (job->label.bytes)
    sheaf__sim_write(out, ",\"metadata\":%r", &job->label);
  else
    sheaf_buf_append_text(out, ",\"metadata\":null");
  write_text(out, "output_file", job->good_id);
  write_text(out, "error_file", job->bad_id);
  write_errors(job, out);
  sheaf__sim_write(out, ",\"status\":\"%s\"", states[job->state]);
  write_time(call, "created_at", job->made_ns, out);
  write_time(call, "started_at", job->at_ns[SIM_JOB_RUNNING], out);
  write_time(call, "completed_at", is_over ? job->at_ns[job->state] : 0, out);
  write_counts(job, out);
  if (is_over && is_inline(job)) {
    sheaf_buf_append_text(out, ",\"outputs\":[");
    sheaf__sim_job_results(job, out);
    sheaf_buf_append_text(out, "]}");
  } else {
    sheaf_buf_append_text(out, ",\"outputs\":null}");
  }
}

/* ---- Making one ---- */

enum { ENDPOINT, MODEL, INPUTS, REQUESTS, METADATA, HOURS, AGENT, MAKE_FIELDS };

static const sim_field fields[MAKE_FIELDS] = {
    [ENDPOINT] = {.name = "endpoint", .kinds = SIM_IS_STRING, .is_required = true},
    [MODEL] = {.name = "model", .kinds = SIM_IS_STRING},
    [INPUTS] = {.name = "input_files", .kinds = SIM_IS_ARRAY},
    [REQUESTS] = {.name = "requests", .kinds = SIM_IS_ARRAY},
    [METADATA] = {.name = "metadata", .kinds = SIM_IS_OBJECT},
    [HOURS] =
        {.name = "timeout_hours", .kinds = SIM_IS_NUMBER, .is_integer = true, .min = 1, .max = 168},
    [AGENT] = {.name = "agent_id", .kinds = SIM_IS_STRING},
};

static uint32_t count_requests(sim_call *call, sheaf_slice requests, uint32_t *count) {
  sheaf_json_iter iter;
  sheaf_slice key, request;
  *count = 0;
  if (sheaf_json_iter_init(&iter, requests) != SHEAF_OK) return SIM_ERROR_COUNT;
  for (; sheaf_json_iter_next(&iter, &key, &request) == SHEAF_OK; ++*count)
    if (sheaf_json_kind(request) != SHEAF_JSON_OBJECT ||
        sheaf_json_kind(sheaf_json_member(request, "body")) != SHEAF_JSON_OBJECT)
      return sheaf__sim_openai_refuse(call, "requests", "Each request needs a body.");
  if (*count == 0 || *count >= INLINE_MAX)
    return sheaf__sim_openai_refuse(call, "requests", "Give from 1 to 9999 requests.");
  return SIM_ERROR_COUNT;
}

/* The first file only: several are rare, and their rows would be one job all the same. */
static uint32_t find_input(sim_call *call, sheaf_slice inputs) {
  sheaf_json_iter iter;
  sheaf_slice key, first = {NULL, 0}, second;
  if (sheaf_json_iter_init(&iter, inputs) != SHEAF_OK ||
      sheaf_json_iter_next(&iter, &key, &first) != SHEAF_OK ||
      sheaf_json_iter_next(&iter, &key, &second) == SHEAF_OK)
    return sheaf__sim_openai_refuse(call, "input_files", "Give one file.");
  call->file = sheaf__sim_file_find(call->world->store, sheaf_json_inside(first), call->now_ns);
  if (call->file && call->file->kind == SIM_FILES_OPENAI) return SIM_ERROR_COUNT;
  call->file = NULL;
  return sheaf__sim_openai_refuse(call, "input_files", "There is no such file.");
}

static uint32_t read_make(sim_call *call, sheaf_slice *values, uint32_t *count) {
  char word[48];
  *count = 0;
  uint32_t error = sheaf__sim_check(call, fields, MAKE_FIELDS, false, values);
  if (error != SIM_ERROR_COUNT) return error;
  sheaf_slice endpoint = sheaf_json_inside(values[ENDPOINT]);
  if (endpoint.bytes > sizeof word - 3) endpoint.bytes = 0;
  snprintf(word, sizeof word, " %.*s ", (int)endpoint.bytes, endpoint.bytes ? endpoint.data : "");
  if (!endpoint.bytes || !strstr(endpoints, word))
    return sheaf__sim_openai_refuse(call, "endpoint",
                                    "Give /v1/chat/completions or /v1/embeddings.");
  if ((values[INPUTS].bytes != 0) == (values[REQUESTS].bytes != 0))
    return sheaf__sim_openai_refuse(call, "input_files", "Give either input_files or requests.");
  call->asked.model = sheaf_json_inside(values[MODEL]);
  if (call->asked.model.bytes && !sheaf__sim_model_is_known(call->world, call->asked.model))
    return SIM_UNKNOWN_MODEL;
  return values[INPUTS].bytes ? find_input(call, values[INPUTS])
                              : count_requests(call, values[REQUESTS], count);
}

static void answer_create(sim_call *call) {
  sheaf_slice values[MAKE_FIELDS];
  uint32_t count;
  int64_t hours = 0;
  if (read_make(call, values, &count) != SIM_ERROR_COUNT) return;
  if (values[HOURS].bytes) sheaf_json_int(values[HOURS], &hours);
  sim_job_make make = {.lane = &sheaf__sim_mistral_lane,
                       .endpoint = sheaf_json_inside(values[ENDPOINT]),
                       .model = sheaf_json_inside(values[MODEL]),
                       .label = values[METADATA],
                       .window_ms = (uint64_t)hours * 3600000,
                       .count = count};
  sim_blob *blob = NULL;
  if (call->file) {
    make.input = call->file->span;
    make.input_id = sheaf_slice_of(call->file->id);
  } else {
    blob = sheaf__sim_blob_new();
    if (!blob) return;
    make.places = sheaf__sim_places(sheaf_buf_slice(&call->body), values[REQUESTS], count);
    sheaf__sim_blob_append(blob, call->body.data, call->body.bytes);
    make.input = (sim_span){blob, 0, call->body.bytes};
  }
  sim_job *job = sheaf__sim_job_new(call->world->store, &make, call, call->now_ns);
  sheaf__sim_blob_drop(blob);
  if (job) write_job(call, job, &call->out);
}

/* ---- The other paths ---- */

static bool is_listed(const sim_call *call, const sim_job *job) {
  return job->lane == &sheaf__sim_mistral_lane && job->ready_ns <= call->now_ns;
}

static bool read_page(const sim_call *call, uint64_t *page, uint64_t *limit) {
  *page = 0;
  *limit = PAGE_DEFAULT;
  return sheaf__sim_page_limit(call->query.limit, 1, PAGE_MAX, limit) &&
         sheaf__sim_page_limit(call->query.page, 0, UINT32_MAX, page);
}

static void answer_list(sim_call *call) {
  uint64_t page, limit, n = 0;
  const char *comma = "";
  read_page(call, &page, &limit);
  sheaf_buf_append_text(&call->out, "{\"object\":\"list\",\"data\":[");
  for (const sim_job *job = call->world->store->jobs; job; job = job->next) {
    if (!is_listed(call, job)) continue;
    if (n >= page * limit && n < (page + 1) * limit) {
      sheaf_buf_append_text(&call->out, comma);
      write_job(call, job, &call->out);
      comma = ",";
    }
    n++;
  }
  sheaf__sim_write(&call->out, "],\"total\":%u}", n);
}

static uint32_t batch_read(sim_call *call) {
  uint32_t task = call->route->task, count;
  sheaf_slice values[MAKE_FIELDS];
  uint64_t page, limit;
  if (task == SIM_JOB_CREATE) return read_make(call, values, &count);
  if (task == SIM_JOB_LIST)
    return read_page(call, &page, &limit)
               ? SIM_ERROR_COUNT
               : sheaf__sim_openai_refuse(call, "page_size", "Give a page and its size.");
  call->job = sheaf__sim_job_find(call->world->store, call->asked.model, call->now_ns);
  if (!call->job || call->job->lane != &sheaf__sim_mistral_lane) return SIM_NO_THING;
  bool is_over = sheaf__sim_job_is_over(call->job);
  if (task == SIM_JOB_DELETE && !is_over)
    return sheaf__sim_fail(call, SIM_CONFLICT, NULL, "The job is not over.", (sheaf_slice){0});
  return SIM_ERROR_COUNT;
}

static void batch_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_JOB_CREATE: answer_create(call); return;
    case SIM_JOB_LIST: answer_list(call); return;
    case SIM_JOB_DELETE:
      sheaf__sim_write(&call->out, "{\"id\":\"%s\",\"object\":\"batch\",\"deleted\":true}",
                       call->job->id);
      sheaf__sim_job_delete(call->world->store, call->job);
      call->job = NULL;
      return;
    case SIM_JOB_CANCEL: sheaf__sim_job_cancel(call->world->store, call->job, call->now_ns); break;
    default: break;
  }
  write_job(call, call->job, &call->out);
}

/* Mistral's errors are flat: the inside of OpenAI's. */
static uint32_t batch_error(sim_call *call) {
  static const char *const paths[] = {"error.message", "error.type", "error.param", "error.code"};
  sheaf_slice v[4];
  uint32_t status = sheaf__sim_openai_batch_error(call);
  sheaf_buf flat;
  sheaf_buf_init(&flat, &sheaf__sim_allocator, 1u << 20);
  if (sheaf_json_pick(sheaf_buf_slice(&call->out), paths, 4, v, NULL, NULL) == SHEAF_OK)
    sheaf__sim_write(&flat,
                     "{\"object\":\"error\",\"message\":%r,\"type\":%r,\"param\":%r,\"code\":%r}",
                     &v[0], &v[1], &v[2], &v[3]);
  if (flat.status == SHEAF_OK && flat.bytes) {
    sheaf_buf_reset(&call->out);
    sheaf_buf_append_slice(&call->out, sheaf_buf_slice(&flat));
  }
  sheaf_buf_deinit(&flat);
  return status;
}

const sim_provider sheaf__sim_mistral_batch = {
    .name = "mistral",
    .read = batch_read,
    .answer = batch_answer,
    .late_error = sheaf__sim_openai_late_error,
    .error = batch_error,
    .headers = sheaf__sim_openai_headers,
};
