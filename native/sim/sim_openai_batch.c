/* sim_openai_batch.c: batches in OpenAI's shape (protocols 1.5), with Azure's oddities to order (1.8);
 * Groq's are the same.
 *
 * Outline: rows and results; a batch as JSON; making one; the other paths. */
#include "sim_openai_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 50000u
#define WINDOW_MS 86400000u
#define LIST_DEFAULT 20u
#define LIST_MAX 100u

static const char *const endpoints =
    " /v1/responses /v1/chat/completions /v1/embeddings "
    "/v1/completions /chat/completions /responses /embeddings "
    "/completions ";

/* ---- Rows ---- */

enum { CUSTOM_ID, METHOD, URL, BODY, MODEL, ROW_FIELDS };

/* Azure takes paths with and without /v1, also mixed. */
static sheaf_slice bare(sheaf_slice url) {
  if (url.bytes > 3 && memcmp(url.data, "/v1", 3) == 0)
    return (sheaf_slice){url.data + 3, url.bytes - 3};
  return url;
}

static bool is_same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static bool lacks(sim_job *job, const sheaf_slice *values) {
  static const char *const names[] = {"custom_id", "method", "url", "body"};
  for (uint32_t i = 0; i < BODY + 1; i++) {
    uint32_t wanted = i == BODY ? SHEAF_JSON_OBJECT : SHEAF_JSON_STRING;
    if (sheaf_json_kind(values[i]) == wanted) continue;
    sheaf_slice name = sheaf_slice_of(names[i]);
    sheaf__sim_job_error(job, "invalid_request", job->line, names[i],
                         values[i].bytes ? "Invalid value for '%r' in this line."
                                         : "Missing required parameter: '%r'.",
                         &name);
    return true;
  }
  return false;
}

static bool check_values(sim_job *job, const sheaf_slice *values) {
  if (lacks(job, values)) return false;
  sheaf_slice url = sheaf_json_inside(values[URL]), model = sheaf_json_inside(values[MODEL]);
  if (!sheaf_json_equals(values[METHOD], "POST"))
    sheaf__sim_job_error(job, "invalid_request", job->line, "method",
                         "The method for this request must be POST.", NULL);
  if (!is_same(bare(url), bare(job->endpoint)))
    sheaf__sim_job_error(job, "url_mismatch", job->line, "url",
                         "The provided URL '%r' does not match the endpoint of this batch.", &url);
  if (job->model.bytes == 0 && model.bytes) {
    sheaf_buf_append_slice(&job->model, model);
    if (!sheaf__sim_model_is_known(job->world, model))
      sheaf__sim_job_error(job, "model_not_found", job->line, "body.model",
                           "The provided model '%r' is not supported by the Batch API.", &model);
  }
  if (model.bytes && !is_same(model, sheaf_buf_slice(&job->model)))
    sheaf__sim_job_error(job, "model_mismatch", job->line, "body.model",
                         "The provided model '%r' does not match the model of the first request. "
                         "Each batch must contain requests to a single model.",
                         &model);
  return true;
}

static bool read_row(sim_job *job, sheaf_slice text, sim_row *row, bool says) {
  static const char *const paths[] = {"custom_id", "method", "url", "body", "body.model"};
  sheaf_slice values[ROW_FIELDS];
  if (sheaf_json_kind(text) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(text, paths, ROW_FIELDS, values, NULL, NULL) != SHEAF_OK) {
    if (says)
      sheaf__sim_job_error(job, "invalid_json_line", job->line, NULL,
                           "This line is not parseable as valid JSON.", NULL);
    return false;
  }
  if (says && !check_values(job, values)) return false;
  *row =
      (sim_row){sheaf_json_inside(values[CUSTOM_ID]), sheaf_json_inside(values[URL]), values[BODY]};
  return true;
}

static void path_of(const sim_job *job, const sim_row *row, sheaf_buf *path) {
  (void)row;
  sheaf_slice rest = bare(job->endpoint);
  sheaf_buf_append_text(path, "/v1");
  sheaf_buf_append_slice(path, rest);
}

static uint32_t check_row(sim_call *call) {
  if (!call->asked.is_stream) return SIM_ERROR_COUNT;
  return sheaf__sim_openai_refuse(call, "stream", "Streaming is not supported in batches.");
}

/* ---- Results ---- */

static void write_start(const sim_job *job, const sim_row *row, sheaf_buf *out) {
  char id[40];
  uint64_t high = sheaf__sim_hash(row->id.data, row->id.bytes, job->number);
  snprintf(id, sizeof id, "%016" PRIx64 "%08" PRIx32, high,
           (uint32_t)sheaf__sim_mix(high, SIM_DRAW_ID));
  sheaf__sim_write(out, "{\"id\":\"batch_req_%s\",\"custom_id\":\"%r\",\"response\":", id,
                   &row->id);
}

static void write_row(sim_job *job, const sim_row *row, uint32_t fate, sim_call *call) {
  if (fate == SIM_ROW_CANCELLED) return; /* it is in neither file */
  if (fate == SIM_ROW_EXPIRED) {
    write_start(job, row, &job->bad_out);
    sheaf_buf_append_text(&job->bad_out,
                          "null,\"error\":{\"code\":\"batch_expired\",\"message\":\"This request "
                          "could not be executed before the completion window expired.\"}}\n");
    return;
  }
  sheaf_buf *out = call->error == SIM_ERROR_COUNT ? &job->good_out : &job->bad_out;
  sheaf_slice body = sheaf_buf_slice(&call->out);
  char request[40];
  snprintf(request, sizeof request, "%016" PRIx64 "%016" PRIx64, call->key,
           sheaf__sim_mix(call->key, SIM_DRAW_ID));
  write_start(job, row, out);
  sheaf__sim_write(out, "{\"status_code\":%u,\"request_id\":\"%s\",\"body\":%r},\"error\":null}\n",
                   (uint64_t)call->status, request, &body);
}

const sim_lane sheaf__sim_openai_lane = {
    .id_prefix = "batch_",
    .rows_max = ROWS_MAX,
    .bytes_max = SIM_OPENAI_INPUT_MAX,
    .window_ms = WINDOW_MS,
    .keep_ms = SIM_OPENAI_KEEP_MS,
    .is_checked_first = true,
    .has_bad = true,
    .file_prefix = "file-",
    .good_name = "_output.jsonl",
    .bad_name = "_error.jsonl",
    .purpose = "batch_output",
    .file_kind = SIM_FILES_OPENAI,
    .read_row = read_row,
    .path_of = path_of,
    .check_row = check_row,
    .write_row = write_row,
};

/* ---- A batch as JSON ---- */

static const char *const states[SIM_JOB_STATES] = {
    [SIM_JOB_VALIDATING] = "validating", [SIM_JOB_RUNNING] = "in_progress",
    [SIM_JOB_FINALIZING] = "finalizing", [SIM_JOB_CANCELLING] = "cancelling",
    [SIM_JOB_COMPLETED] = "completed",   [SIM_JOB_FAILED] = "failed",
    [SIM_JOB_EXPIRED] = "expired",       [SIM_JOB_CANCELLED] = "cancelled",
};

static void write_status(const sim_store *store, const sim_job *job, sheaf_buf *out) {
  char text[16];
  snprintf(text, sizeof text, "%s", states[job->state]);
  if (sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_CAPITAL)) text[0] = (char)(text[0] - 'a' + 'A');
  sheaf__sim_write(out, ",\"status\":\"%s\"", text);
}

static void write_file_id(sheaf_buf *out, const char *name, const char *id) {
  sheaf__sim_write(out, id[0] ? ",\"%s\":\"%s\"" : ",\"%s\":null", name, id);
}

static void write_times(const sim_store *store, const sim_job *job, sheaf_buf *out) {
  const struct {
    const char *name;
    uint64_t ns;
  } times[] = {
      {"created_at", job->made_ns},
      {"in_progress_at", job->at_ns[SIM_JOB_RUNNING]},
      {"expires_at", job->expires_ns},
      {"finalizing_at", job->at_ns[SIM_JOB_FINALIZING]},
      {"completed_at", job->at_ns[SIM_JOB_COMPLETED]},
      {"failed_at", job->at_ns[SIM_JOB_FAILED]},
      {"expired_at", job->at_ns[SIM_JOB_EXPIRED]},
      {"cancelling_at", job->at_ns[SIM_JOB_CANCELLING]},
      {"cancelled_at", job->at_ns[SIM_JOB_CANCELLED]},
  };
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    sheaf__sim_write(out, ",\"%s\":", times[i].name);
    sheaf__sim_openai_time(store, times[i].ns, out);
  }
}

/* All 0 while it validates, and where nothing ran (protocols 1.5). */
static void write_counts(const sim_store *store, const sim_job *job, sheaf_buf *out) {
  bool is_known = job->at_ns[SIM_JOB_RUNNING] != 0;
  if (sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_NULL_COUNTS) && !sheaf__sim_job_is_over(job)) {
    sheaf_buf_append_text(
        out, ",\"request_counts\":{\"total\":null,\"completed\":null,\"failed\":null}");
    return;
  }
  sheaf__sim_write(out, ",\"request_counts\":{\"total\":%u,\"completed\":%u,\"failed\":%u}",
                   is_known ? (uint64_t)job->count : 0, (uint64_t)job->succeeded,
                   (uint64_t)job->errored + job->expired);
}

static void write_job(const sim_call *call, const sim_job *job, sheaf_buf *out) {
  const sim_store *store = call->world->store;
  sheaf_slice errors = sheaf_buf_slice(&job->errors), model = sheaf_buf_slice(&job->model);
  sheaf__sim_write(out, "{\"id\":\"%s\",\"object\":\"batch\",\"endpoint\":%q", job->id,
                   &job->endpoint);
  if (model.bytes) sheaf__sim_write(out, ",\"model\":\"%r\"", &model);
  if (job->state == SIM_JOB_FAILED)
    sheaf__sim_write(out, ",\"errors\":{\"object\":\"list\",\"data\":[%r]}", &errors);
  else
    sheaf_buf_append_text(out, ",\"errors\":null");
  sheaf__sim_write(out, ",\"input_file_id\":\"%s\",\"completion_window\":\"%r\"", job->input_id,
                   &job->window);
  write_status(store, job, out);
  write_file_id(out, "output_file_id", job->good_id);
  write_file_id(out, "error_file_id", job->bad_id);
  write_times(store, job, out);
  write_counts(store, job, out);
  if (job->label.bytes)
    sheaf__sim_write(out, ",\"metadata\":%r", &job->label);
  else
    sheaf_buf_append_text(out, ",\"metadata\":null");
  sheaf__sim_write(out,
                   ",\"usage\":{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":0},"
                   "\"output_tokens\":%u,\"output_tokens_details\":{\"reasoning_tokens\":0},"
                   "\"total_tokens\":%u}}",
                   job->input_tokens, job->output_tokens, job->input_tokens + job->output_tokens);
}

/* ---- Making one ---- */

enum { INPUT, ENDPOINT, WINDOW, METADATA, EXPIRES, ANCHOR, SECONDS, MAKE_FIELDS };

static const sim_field fields[MAKE_FIELDS] = {
    [INPUT] = {.name = "input_file_id", .kinds = SIM_IS_STRING, .is_required = true},
    [ENDPOINT] = {.name = "endpoint", .kinds = SIM_IS_STRING, .is_required = true},
    [WINDOW] = {.name = "completion_window", .kinds = SIM_IS_STRING, .is_required = true},
    [METADATA] = {.name = "metadata", .kinds = SIM_IS_OBJECT},
    [EXPIRES] = {.name = "output_expires_after", .kinds = SIM_IS_OBJECT},
    [ANCHOR] = {.name = "output_expires_after.anchor",
                .kinds = SIM_IS_STRING,
                .is_required = true,
                .values = " created_at "},
    [SECONDS] = {.name = "output_expires_after.seconds",
                 .kinds = SIM_IS_NUMBER,
                 .is_required = true,
                 .is_integer = true,
                 .min = SIM_OPENAI_EXPIRY_MIN,
                 .max = SIM_OPENAI_EXPIRY_MAX},
};

/* "24h"; behind /openai also up to "7d", as Groq has it. 0: it is none. */
static uint64_t window_ms(const sim_call *call, sheaf_slice window) {
  bool is_other = strncmp(call->path, "/openai", 7) == 0;
  uint64_t number = 0;
  if (window.bytes == 3 && memcmp(window.data, "24h", 3) == 0) return WINDOW_MS;
  if (!is_other || window.bytes < 2 || window.bytes > 4) return 0;
  for (size_t i = 0; i + 1 < window.bytes; i++) {
    if (window.data[i] < '0' || window.data[i] > '9') return 0;
    number = number * 10 + (uint64_t)(window.data[i] - '0');
  }
  char unit = window.data[window.bytes - 1];
  uint64_t hours = unit == 'd' ? number * 24 : unit == 'h' ? number : 0;
  return hours >= 24 && hours <= 168 ? hours * 3600000 : 0;
}

static uint32_t read_make(sim_call *call, sheaf_slice *values) {
  uint32_t error = sheaf__sim_check(call, fields, MAKE_FIELDS, false, values);
  if (error != SIM_ERROR_COUNT) return error;
  sheaf_slice endpoint = sheaf_json_inside(values[ENDPOINT]);
  char word[40];
  if (endpoint.bytes < sizeof word - 2) {
    snprintf(word, sizeof word, " %.*s ", (int)endpoint.bytes, endpoint.data);
    if (!strstr(endpoints, word)) endpoint.bytes = 0;
  }
  if (endpoint.bytes == 0 || endpoint.bytes >= sizeof word - 2)
    return sheaf__sim_openai_refuse(call, "endpoint",
                                    "Invalid value for 'endpoint'. Supported values are: "
                                    "'/v1/responses', '/v1/chat/completions', '/v1/embeddings', "
                                    "and '/v1/completions'.");
  if (!window_ms(call, sheaf_json_inside(values[WINDOW])))
    return sheaf__sim_openai_refuse(call, "completion_window",
                                    "Invalid value for 'completion_window'. Supported values are: "
                                    "'24h'.");
  error = sheaf__sim_openai_read_metadata(call, values[METADATA]);
  if (error != SIM_ERROR_COUNT) return error;
  call->file =
      sheaf__sim_file_find(call->world->store, sheaf_json_inside(values[INPUT]), call->now_ns);
  if (!call->file || call->file->kind != SIM_FILES_OPENAI)
    return sheaf__sim_openai_refuse(call, "input_file_id",
                                    "Invalid 'input_file_id': no such File object.");
  if (strcmp(call->file->purpose, "batch") != 0)
    return sheaf__sim_openai_refuse(call, "input_file_id",
                                    "Invalid 'input_file_id': the file's purpose is not 'batch'.");
  return SIM_ERROR_COUNT;
}

static void answer_create(sim_call *call) {
  sheaf_slice values[MAKE_FIELDS];
  int64_t seconds = 0;
  if (read_make(call, values) != SIM_ERROR_COUNT) return;
  if (values[SECONDS].bytes) sheaf_json_int(values[SECONDS], &seconds);
  sim_job_make make = {
      .lane = &sheaf__sim_openai_lane,
      .input = call->file->span,
      .input_id = sheaf_slice_of(call->file->id),
      .endpoint = sheaf_json_inside(values[ENDPOINT]),
      .label = values[METADATA],
      .window = sheaf_json_inside(values[WINDOW]),
      .window_ms = window_ms(call, sheaf_json_inside(values[WINDOW])),
      .keep_ms = (uint64_t)seconds * 1000,
  };
  sim_job *job = sheaf__sim_job_new(call->world->store, &make, call, call->now_ns);
  if (job) write_job(call, job, &call->out);
}

/* ---- The other paths ---- */

static bool is_listed(const sim_call *call, const sim_job *job) {
  return job->lane == &sheaf__sim_openai_lane && job->ready_ns <= call->now_ns;
}

static void answer_list(sim_call *call) {
  const char *first = NULL, *last = NULL;
  uint64_t limit = LIST_DEFAULT, count = 0;
  bool has_more = false;
  sheaf__sim_page_limit(call->query.limit, 1, LIST_MAX, &limit);
  sheaf_buf_append_text(&call->out, "{\"object\":\"list\",\"data\":[");
  for (const sim_job *job = call->job ? call->job->next : call->world->store->jobs; job;
       job = job->next) {
    if (!is_listed(call, job)) continue;
    if (count == limit) {
      has_more = true;
      break;
    }
    if (count++) sheaf_buf_append_text(&call->out, ",");
    write_job(call, job, &call->out);
    if (!first) first = job->id;
    last = job->id;
  }
  sheaf__sim_openai_list_end(call, first, last, has_more);
}

static uint32_t check_cancel(sim_call *call) {
  static const char *const sentences[SIM_JOB_STATES] = {
      [SIM_JOB_FINALIZING] = "Cannot cancel a batch with status 'finalizing'.",
      [SIM_JOB_COMPLETED] = "Cannot cancel a batch with status 'completed'.",
      [SIM_JOB_FAILED] = "Cannot cancel a batch with status 'failed'.",
      [SIM_JOB_EXPIRED] = "Cannot cancel a batch with status 'expired'.",
      [SIM_JOB_CANCELLED] = "Cannot cancel a batch with status 'cancelled'.",
  };
  const char *sentence = sentences[call->job->state];
  if (!sentence) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_CONFLICT, NULL, sentence, (sheaf_slice){0});
}

static uint32_t batch_read(sim_call *call) {
  uint32_t task = call->route->task;
  sheaf_slice values[MAKE_FIELDS];
  uint64_t limit;
  if (task == SIM_JOB_CREATE) return read_make(call, values);
  sheaf_slice id = task == SIM_JOB_LIST ? sheaf_slice_of(call->query.after) : call->asked.model;
  call->job = sheaf__sim_job_find(call->world->store, id, call->now_ns);
  if (call->job && call->job->lane != &sheaf__sim_openai_lane) call->job = NULL;
  if (task == SIM_JOB_LIST && id.bytes && !call->job)
    return sheaf__sim_openai_refuse(call, "after", "Invalid 'after': no such batch.");
  if (task == SIM_JOB_LIST) return sheaf__sim_openai_page(call, LIST_MAX, &limit);
  if (!call->job) return SIM_NO_THING;
  return task == SIM_JOB_CANCEL ? check_cancel(call) : SIM_ERROR_COUNT;
}

static void batch_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_JOB_CREATE: answer_create(call); return;
    case SIM_JOB_LIST: answer_list(call); return;
    case SIM_JOB_CANCEL: sheaf__sim_job_cancel(call->world->store, call->job, call->now_ns); break;
    default: break;
  }
  write_job(call, call->job, &call->out);
}

const sim_provider sheaf__sim_openai_batch = {
    .name = "openai",
    .read = batch_read,
    .answer = batch_answer,
    .late_error = sheaf__sim_openai_late_error,
    .error = sheaf__sim_openai_batch_error,
    .headers = sheaf__sim_openai_headers,
};
