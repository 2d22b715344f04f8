/* sim_anthropic_batch.c: Message Batches (protocols 2.4): rows in the body, counts at the end only,
 * results as lines.
 *
 * Outline: rows and results; a batch as JSON; making one; lists; the other paths. */
#include "sim_batch.h"
#include "sim_shapes.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX 100000u
#define BYTES_MAX (256ull << 20)
#define DAY_MS 86400000ull
#define LIST_DEFAULT 20u
#define LIST_MAX 1000u
#define POLL_HINT "10" /* seconds, with a batch that is not done: recorded */

static const sheaf_slice nothing = {NULL, 0};

/* ---- Rows and results ---- */

static bool read_row(sim_job *job, sheaf_slice text, sim_row *row, bool says) {
  (void)job;
  (void)says;
  *row = (sim_row){.id = sheaf_json_inside(sheaf_json_member(text, "custom_id")),
                   .body = sheaf_json_member(text, "params")};
  return true;
}

static void path_of(const sim_job *job, const sim_row *row, sheaf_buf *path) {
  (void)job;
  (void)row;
  sheaf_buf_append_text(path, "/v1/messages");
}

static uint32_t check_row(sim_call *call) {
  static const char *const speed[] = {"speed"};
  sheaf_slice value;
  if (call->asked.is_stream)
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "stream", "Not supported in a batch.", nothing);
  if (call->asked.tokens_max == 0)
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "max_tokens", "0 is not supported in a batch.",
                           nothing);
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), speed, 1, &value, NULL, NULL) == SHEAF_OK &&
      value.bytes)
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "speed", "Not supported in a batch.", nothing);
  return SIM_ERROR_COUNT;
}

/* An error's body is what the live path answers, in one more coat. */
static void write_row(sim_job *job, const sim_row *row, uint32_t fate, sim_call *call) {
  sheaf_buf *out = &job->good_out;
  sheaf__sim_write(out, "{\"custom_id\":\"%r\",\"result\":{\"type\":", &row->id);
  if (fate == SIM_ROW_DONE) {
    sheaf_slice body = sheaf_buf_slice(&call->out);
    bool is_good = call->error == SIM_ERROR_COUNT;
    sheaf__sim_write(
        out, is_good ? "\"succeeded\",\"message\":%r}}\n" : "\"errored\",\"error\":%r}}\n", &body);
  } else {
    sheaf_buf_append_text(out, fate == SIM_ROW_EXPIRED ? "\"expired\"}}\n" : "\"canceled\"}}\n");
  }
}

const sim_lane sheaf__sim_anthropic_lane = {
    .id_prefix = "msgbatch_",
    .rows_max = ROWS_MAX,
    .bytes_max = BYTES_MAX,
    .window_ms = DAY_MS,
    .keep_ms = 29 * DAY_MS,
    .read_row = read_row,
    .path_of = path_of,
    .check_row = check_row,
    .write_row = write_row,
};

/* ---- A batch as JSON ---- */

static bool is_archived(const sim_call *call, const sim_job *job) {
  return sheaf__sim_job_is_over(job) && call->now_ns >= job->gone_ns;
}

static void write_counts(const sim_job *job, sheaf_buf *out) {
  bool is_over = sheaf__sim_job_is_over(job); /* none is told before */
  sheaf__sim_write(out,
                   "{\"processing\":%u,\"succeeded\":%u,\"errored\":%u,\"canceled\":%u,"
                   "\"expired\":%u}",
                   is_over ? 0 : (uint64_t)job->count, is_over ? (uint64_t)job->succeeded : 0,
                   is_over ? (uint64_t)job->errored : 0, is_over ? (uint64_t)job->cancelled : 0,
                   is_over ? (uint64_t)job->expired : 0);
}

static void write_url(const sim_call *call, const sim_job *job, sheaf_buf *out) {
  sheaf_slice host = sheaf_slice_of(call->query.host ? call->query.host : "127.0.0.1");
  if (!sheaf__sim_job_is_over(job) || is_archived(call, job)) {
    sheaf_buf_append_text(out, "null");
    return;
  }
  sheaf__sim_write(out, "\"http%s://%e/v1/messages/batches/%s/results\"",
                   call->world->options->is_https ? "s" : "", &host, job->id);
}

static void write_job(const sim_call *call, const sim_job *job, sheaf_buf *out) {
  const sim_store *store = call->world->store;
  bool is_over = sheaf__sim_job_is_over(job);
  const char *status = is_over                            ? "ended"
                       : job->state == SIM_JOB_CANCELLING ? "canceling"
                                                          : "in_progress";
  /* A window without an end is told as the day that it is held to be. */
  uint64_t expires_ns =
      job->expires_ns == UINT64_MAX ? job->made_ns + DAY_MS * SIM_MS : job->expires_ns;
  const struct {
    const char *name;
    uint64_t ns;
  } times[] = {{"created_at", job->made_ns},
               {"expires_at", expires_ns},
               {"ended_at", is_over ? job->at_ns[job->state] : 0},
               {"cancel_initiated_at", job->at_ns[SIM_JOB_CANCELLING]},
               {"archived_at", is_archived(call, job) ? job->gone_ns : 0}};
  sheaf__sim_write(out,
                   "{\"id\":\"%s\",\"type\":\"message_batch\",\"processing_status\":\"%s\","
                   "\"request_counts\":",
                   job->id, status);
  write_counts(job, out);
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    sheaf__sim_write(out, ",\"%s\":", times[i].name);
    sheaf__sim_write_time(store, times[i].ns, "+00:00", out);
  }
  sheaf_buf_append_text(out, ",\"results_url\":");
  write_url(call, job, out);
  sheaf_buf_append_text(out, "}");
}

/* ---- Making one ---- */

static uint32_t check_request(sim_call *call, sheaf_slice request, sim_ids *ids) {
  static const sim_field fields[] = {
      {.name = "custom_id", .kinds = SIM_IS_STRING, .is_required = true},
      {.name = "params", .kinds = SIM_IS_OBJECT, .is_required = true},
  };
  sheaf_slice values[2];
  if (sheaf_json_kind(request) != SHEAF_JSON_OBJECT)
    return sheaf__sim_fail(call, SIM_WRONG_TYPE, NULL, "object", request);
  uint32_t error = sheaf__sim_check_object(call, request, fields, 2, false, values);
  if (error != SIM_ERROR_COUNT) return error;
  sheaf_slice id = sheaf_json_inside(values[0]);
  if (!sheaf__sim_anthropic_is_name(id, 64))
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "custom_id",
                           "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'", nothing);
  if (sheaf__sim_ids_meet(ids, id))
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "custom_id", "custom_id must be unique", nothing);
  return SIM_ERROR_COUNT;
}

static uint32_t check_requests(sim_call *call, sheaf_slice requests, uint32_t *count) {
  uint32_t most = call->world->options->batch_rows, error = SIM_ERROR_COUNT;
  sheaf_json_iter iter;
  sheaf_slice key, request;
  sim_ids ids = {NULL, 0, 0};
  *count = 0;
  if (!most) most = ROWS_MAX;
  if (sheaf_json_iter_init(&iter, requests) != SHEAF_OK) return SIM_ERROR_COUNT;
  while (error == SIM_ERROR_COUNT && sheaf_json_iter_next(&iter, &key, &request) == SHEAF_OK) {
    if (*count == most) {
      error = sheaf__sim_fail(call, SIM_BAD_VALUE, "requests",
                              "List should have fewer items after validation", nothing);
      break;
    }
    error = check_request(call, request, &ids);
    if (error != SIM_ERROR_COUNT) sheaf__sim_at(call, error, "requests.%", *count, 0);
    ++*count;
  }
  sheaf__sim_ids_free(&ids);
  if (error == SIM_ERROR_COUNT && *count == 0)
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "requests",
                           "List should have at least 1 item after validation, not 0", nothing);
  return error;
}

static uint32_t check_body(sim_call *call, sheaf_slice body, sheaf_slice *requests) {
  static const sim_field field = {.name = "requests", .kinds = SIM_IS_ARRAY, .is_required = true};
  if (body.bytes > BYTES_MAX) return SIM_TOO_LARGE;
  while (body.bytes && strchr(" \t\r\n", body.data[0]))
    body = (sheaf_slice){body.data + 1, body.bytes - 1};
  if (sheaf_json_kind(body) != SHEAF_JSON_OBJECT || sheaf_json_check(body, NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  return sheaf__sim_check_object(call, body, &field, 1, false, requests);
}

/* The view stays open: requests lie in it. */
static uint32_t read_make(sim_call *call, sim_view *view, sheaf_slice *requests, uint32_t *count) {
  uint64_t queued, tokens, most = call->world->options->batch_queue;
  *requests = nothing;
  if (!call->spool || !sheaf__sim_view_open(view, (sim_span){call->spool, 0, call->spool->bytes}))
    return SIM_TOO_LARGE;
  uint32_t error = check_body(call, view->text, requests);
  if (error == SIM_ERROR_COUNT) error = check_requests(call, *requests, count);
  if (error != SIM_ERROR_COUNT || !most) return error;
  sheaf__sim_jobs_enqueued(call->world->store, call->key_hash, NULL, &queued, &tokens);
  return queued + *count > most ? SIM_RATE_REQUESTS : SIM_ERROR_COUNT;
}

/* The slices of an error would lie in the view. */
static uint32_t check_make(sim_call *call) {
  sim_view view = {0};
  sheaf_slice requests;
  uint32_t count, error = read_make(call, &view, &requests, &count);
  if (call->got.bytes && sheaf_buf_append_slice(&call->text, call->got) == SHEAF_OK)
    call->got = sheaf_buf_slice(&call->text);
  sheaf__sim_view_close(&view);
  return error;
}

static void answer_create(sim_call *call) {
  sim_view view = {0};
  sheaf_slice requests;
  uint32_t count;
  if (read_make(call, &view, &requests, &count) == SIM_ERROR_COUNT) {
    sim_job_make make = {.lane = &sheaf__sim_anthropic_lane,
                         .input = {call->spool, 0, call->spool->bytes},
                         .places = sheaf__sim_places(view.text, requests, count),
                         .count = count};
    sim_job *job =
        make.places ? sheaf__sim_job_new(call->world->store, &make, call, call->now_ns) : NULL;
    if (job) write_job(call, job, &call->out);
  }
  sheaf__sim_view_close(&view);
}

/* ---- Lists ---- */

static bool is_listed(const sim_call *call, const sim_job *job) {
  return job->lane == &sheaf__sim_anthropic_lane && job->ready_ns <= call->now_ns;
}

static const sim_job *step_job(const sim_call *call, const sim_job *job, bool is_newer) {
  do {
    job = is_newer ? job->previous : job->next;
  } while (job && !is_listed(call, job));
  return job;
}

static const sim_job *newest(const sim_call *call) {
  const sim_job *job = call->world->store->jobs;
  return !job || is_listed(call, job) ? job : step_job(call, job, false);
}

/* before_id gives the page that ends just before that batch. */
static void answer_list(sim_call *call) {
  uint64_t limit = LIST_DEFAULT, count = 0;
  const char *first = NULL, *last = NULL;
  bool has_more = false, is_before = call->job && call->query.before;
  const sim_job *job = newest(call);
  sheaf__sim_page_limit(call->query.limit, 1, LIST_MAX, &limit);
  if (call->job) job = step_job(call, call->job, is_before);
  if (is_before && job) {
    const sim_job *newer;
    for (uint64_t n = 1; n < limit && (newer = step_job(call, job, true)) != NULL; n++) job = newer;
    has_more = step_job(call, job, true) != NULL;
  }
  sheaf_buf_append_text(&call->out, "{\"data\":[");
  for (; job && !(is_before && job == call->job); job = step_job(call, job, false)) {
    if (count == limit) {
      has_more = true;
      break;
    }
    if (count++) sheaf_buf_append_text(&call->out, ",");
    write_job(call, job, &call->out);
    if (!first) first = job->id;
    last = job->id;
  }
  sheaf__sim_write(&call->out, "],\"has_more\":%s", has_more ? "true" : "false");
  sheaf__sim_write(&call->out, first ? ",\"first_id\":\"%s\"" : ",\"first_id\":null", first);
  sheaf__sim_write(&call->out, last ? ",\"last_id\":\"%s\"}" : ",\"last_id\":null}", last);
}

static uint32_t check_list(sim_call *call) {
  const sim_query *query = &call->query;
  const char *given = query->after ? query->after : query->before;
  uint64_t limit;
  if (!sheaf__sim_page_limit(query->limit, 1, LIST_MAX, &limit))
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "limit", "Input should be from 1 to 1000", nothing);
  if (query->after && query->before)
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "after_id",
                           "Only one of after_id and before_id may be given", nothing);
  if (!given) return SIM_ERROR_COUNT;
  call->job = sheaf__sim_job_find(call->world->store, sheaf_slice_of(given), call->now_ns);
  if (call->job && is_listed(call, call->job)) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(call, SIM_BAD_VALUE, query->after ? "after_id" : "before_id",
                         "There is no such message batch", nothing);
}

/* ---- The other paths ---- */

static uint32_t batch_read(sim_call *call) {
  uint32_t task = call->route->task;
  if (task == SIM_JOB_CREATE_ROWS) return check_make(call);
  if (task == SIM_JOB_LIST) return check_list(call);
  call->job = sheaf__sim_job_find(call->world->store, call->asked.model, call->now_ns);
  if (!call->job || call->job->lane != &sheaf__sim_anthropic_lane) return SIM_NO_THING;
  bool is_over = sheaf__sim_job_is_over(call->job);
  if (task == SIM_JOB_RESULTS && (!is_over || is_archived(call, call->job)))
    return sheaf__sim_fail(call, SIM_NO_THING, NULL, "The batch has no results available.",
                           nothing);
  if (task == SIM_JOB_CANCEL && is_over)
    return sheaf__sim_fail(call, SIM_CONFLICT, NULL, "The batch has ended and cannot be canceled.",
                           nothing);
  if (task == SIM_JOB_DELETE && !is_over)
    return sheaf__sim_fail(call, SIM_CONFLICT, NULL,
                           "The batch is being processed; cancel it before it is deleted.",
                           nothing);
  return SIM_ERROR_COUNT;
}

static void answer_results(sim_call *call) {
  char header[160];
  snprintf(header, sizeof header, "attachment; filename=\"%s_results.jsonl\"", call->job->id);
  sheaf__sim_header(call, "content-disposition", header);
  call->content_type = "application/binary";
  sheaf__sim_send_span(call, (sim_span){call->job->good, 0, call->job->good->bytes});
}

static void batch_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_JOB_CREATE_ROWS: answer_create(call); return;
    case SIM_JOB_LIST: answer_list(call); return;
    case SIM_JOB_RESULTS: answer_results(call); return;
    case SIM_JOB_DELETE:
      sheaf__sim_write(&call->out, "{\"id\":\"%s\",\"type\":\"message_batch_deleted\"}",
                       call->job->id);
      sheaf__sim_job_delete(call->world->store, call->job);
      call->job = NULL;
      return;
    case SIM_JOB_CANCEL: sheaf__sim_job_cancel(call->world->store, call->job, call->now_ns); break;
    default: break;
  }
  if (!sheaf__sim_job_is_over(call->job)) sheaf__sim_header(call, "retry-after", POLL_HINT);
  write_job(call, call->job, &call->out);
}

static uint32_t batch_error(sim_call *call) {
  if (call->error != SIM_NO_THING && call->error != SIM_CONFLICT)
    return sheaf__sim_anthropic_error(call);
  bool is_missing = call->error == SIM_NO_THING;
  sheaf_slice message =
      sheaf_slice_of(call->expected ? call->expected : "There is no such message batch.");
  sheaf__sim_write(&call->out,
                   "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":%q},"
                   "\"request_id\":\"",
                   is_missing ? "not_found_error" : "invalid_request_error", &message);
  sheaf__sim_id(call, "req_", UINT64_MAX, &call->out);
  sheaf_buf_append_text(&call->out, "\"}");
  return is_missing ? 404 : 400;
}

const sim_provider sheaf__sim_anthropic_batch = {
    .name = "anthropic",
    .read = batch_read,
    .answer = batch_answer,
    .late_error = sheaf__sim_anthropic_late_error,
    .error = batch_error,
    .headers = sheaf__sim_anthropic_headers,
};
