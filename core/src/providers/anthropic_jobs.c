/* anthropic_jobs.c: Anthropic's Message Batches (protocols 2.4).
 *
 * Outline: rows; calls; batches as they are told; lists; results; the table. The rows travel in the
 * call that creates the batch, nothing of ours stays with it, and its only end is "ended": what
 * became of a row stands in its line of the results. */
#include "base/mem.h"
#include "providers/jobs_common.h"
#include "providers/table.h"
#include "wire/http.h"

#if SHEAF__HAS_JOBS

#define MESSAGES 0u /* the operation that anthropic.c gives to /v1/messages */

static bool offers(const sheaf_job_api *api, uint32_t operation, sheaf_slice path) {
  (void)api, (void)path;
  return operation == MESSAGES;
}

/* ---- Rows ---- */

static int32_t put_row(const sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice id,
                       sheaf_slice body, sheaf_buf *to) {
  (void)api, (void)facts;
  const size_t before = to->bytes;
  SHEAF__PUT(to, "{\"custom_id\":");
  sheaf_buf_append_string(to, id);
  SHEAF__PUT(to, ",\"params\":");
  int32_t status = sheaf__job_put_body(to, body);
  SHEAF__PUT(to, "},");
  if (status == SHEAF_OK) status = to->status;
  if (status != SHEAF_OK) to->bytes = before;
  return status;
}

static int32_t row_body(const sheaf_job_api *api, sheaf_slice row, sheaf_slice *body) {
  (void)api;
  return sheaf__job_row_member(row, "params", body);
}

/* ---- Calls ---- */

/* The base URL is given with and without /v1, as for live calls. */
static void put_batches(const sheaf_job_facts *facts, sheaf_buf *path) {
  sheaf_slice base = facts->base_url;
  while (base.bytes > 0 && base.data[base.bytes - 1] == '/') base.bytes--;
  const bool has_version = base.bytes >= 3 && memcmp(base.data + base.bytes - 3, "/v1", 3) == 0;
  sheaf_buf_append_text(path, has_version ? "/messages/batches" : "/v1/messages/batches");
}

static void put_batch(const sheaf_job_facts *facts, const char *then, sheaf_buf *path) {
  put_batches(facts, path);
  SHEAF__PUT(path, "/");
  sheaf__job_put_segment(path, facts->job);
  sheaf_buf_append_text(path, then);
}

/* The address that the batch told, if it lies where the key may go; a gateway in between may pass
 * on the provider's own, and then the path behind the gateway is the one that answers. */
static void put_results(const sheaf_job_facts *facts, sheaf_buf *path) {
  const sheaf_slice url = facts->output;
  bool is_ours = url.bytes > 0 &&
                 sheaf__slice_equal(sheaf__url_origin(url), sheaf__url_origin(facts->base_url));
  for (size_t i = 0; i < url.bytes; i++) {
    if ((unsigned char)url.data[i] <= ' ') is_ours = false;
  }
  if (is_ours)
    sheaf_buf_append_slice(path, url);
  else
    put_batch(facts, "/results", path);
}

static int32_t write_call(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                          sheaf_job_call *call) {
  (void)api;
  if (step == SHEAF_JOB_POLL || step == SHEAF_JOB_CANCEL || step == SHEAF_JOB_OUTPUT) {
    if (facts->job.bytes == 0) return SHEAF_E_MISUSE;
  }
  call->method = step == SHEAF_JOB_CREATE || step == SHEAF_JOB_CANCEL ? "POST" : "GET";
  call->has_rows = step == SHEAF_JOB_CREATE;
  call->is_streamed = step == SHEAF_JOB_OUTPUT;
  switch (step) {
    case SHEAF_JOB_CREATE:
      put_batches(facts, call->path);
      SHEAF__PUT(call->head, "{\"requests\":[");
      SHEAF__PUT(call->tail, "]}");
      break;
    case SHEAF_JOB_POLL: put_batch(facts, "", call->path); break;
    case SHEAF_JOB_LIST:
      put_batches(facts, call->path);
      SHEAF__PUT(call->path, "?limit=100");
      if (facts->page.bytes == 0) break;
      SHEAF__PUT(call->path, "&after_id=");
      sheaf__job_put_segment(call->path, facts->page);
      break;
    case SHEAF_JOB_CANCEL: put_batch(facts, "/cancel", call->path); break;
    case SHEAF_JOB_OUTPUT: put_results(facts, call->path); break;
    default: return SHEAF_E_UNSUPPORTED;
  }
  return sheaf__job_call_status(call);
}

/* ---- Batches ---- */

static const sheaf__job_word states[] = {
    {"in_progress", SHEAF_JOB_RUNNING_STATE},
    {"canceling", SHEAF_JOB_ENDING_STATE},
    {"ended", SHEAF_JOB_COMPLETED_STATE},
};

enum {
  ID,
  STATUS,
  CREATED,
  ARCHIVED,
  URL,
  PROCESSING,
  SUCCEEDED,
  ERRORED,
  CANCELED,
  EXPIRED,
  COUNT
};
static const char *const paths[COUNT] = {
    [ID] = "id",
    [STATUS] = "processing_status",
    [CREATED] = "created_at",
    [ARCHIVED] = "archived_at",
    [URL] = "results_url",
    [PROCESSING] = "request_counts.processing",
    [SUCCEEDED] = "request_counts.succeeded",
    [ERRORED] = "request_counts.errored",
    [CANCELED] = "request_counts.canceled",
    [EXPIRED] = "request_counts.expired",
};

static int32_t read_batch(sheaf_slice batch, sheaf_buf *scratch, sheaf_job_news *news) {
  sheaf_slice values[COUNT];
  sheaf_job_news_init(news);
  if (sheaf_json_kind(batch) != SHEAF_JSON_OBJECT) return SHEAF_E_SYNTAX;
  if (sheaf_json_pick(batch, paths, COUNT, values, NULL, NULL) != SHEAF_OK) return SHEAF_E_SYNTAX;
  sheaf__job_reading reading = sheaf__job_reading_of(batch, scratch);
  news->job = sheaf__job_text(&reading, values[ID]);
  news->output = sheaf__job_text(&reading, values[URL]);
  news->state = sheaf__job_state(values[STATUS], states, sizeof states / sizeof states[0]);
  news->created_unix_ms = sheaf__job_time_ms(values[CREATED]);
  news->completed = sheaf__count(values[SUCCEEDED]);
  news->failed = sheaf__count_sum(sheaf__count(values[ERRORED]), sheaf__count(values[EXPIRED]));
  news->failed = sheaf__count_sum(news->failed, sheaf__count(values[CANCELED]));
  news->total = sheaf__count_sum(sheaf__count(values[PROCESSING]), news->completed);
  news->total = sheaf__count_sum(news->total, news->failed);
  if (news->output.bytes == 0 && sheaf_json_kind(values[ARCHIVED]) == SHEAF_JSON_STRING) {
    news->error_code = SHEAF_LITERAL("archived");
    news->error_message = SHEAF_LITERAL("the provider keeps the results no longer");
  }
  if (reading.status != SHEAF_OK) return reading.status;
  return news->job.bytes > 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
}

static int32_t read_reply(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                          const sheaf_reply *reply, sheaf_buf *scratch, sheaf_job_news *news) {
  (void)api, (void)facts;
  if (step != SHEAF_JOB_CREATE && step != SHEAF_JOB_POLL && step != SHEAF_JOB_CANCEL)
    return SHEAF_E_UNSUPPORTED;
  return read_batch(sheaf__document(reply->body), scratch, news);
}

/* ---- Lists ---- */

static int32_t read_page(sheaf_slice body, sheaf_buf *scratch, sheaf_slice *page) {
  static const char *const names[] = {"has_more", "last_id"};
  sheaf_slice values[2];
  *page = (sheaf_slice){NULL, 0};
  if (sheaf_json_pick(sheaf__document(body), names, 2, values, NULL, NULL) != SHEAF_OK)
    return SHEAF_E_SYNTAX;
  if (!sheaf_json_true(values[0])) return SHEAF_E_END;
  sheaf__job_reading reading = sheaf__job_reading_of(values[1], scratch);
  *page = sheaf__job_text(&reading, values[1]);
  return reading.status != SHEAF_OK ? reading.status : SHEAF_E_END;
}

static int32_t listed(const sheaf_job_api *api, const sheaf_reply *reply, size_t *at,
                      sheaf_buf *scratch, sheaf_job_news *news, sheaf_slice *page) {
  (void)api;
  sheaf_slice element;
  const int32_t status = sheaf__job_next(reply->body, "data", at, &element);
  if (status == SHEAF_E_END) return read_page(reply->body, scratch, page);
  return status == SHEAF_OK ? read_batch(element, scratch, news) : status;
}

/* ---- Results ---- */

/* The statuses that the live API answers with these errors (protocols 2.5). */
static uint32_t status_of(sheaf_slice type) {
  static const struct {
    const char *type;
    uint32_t status;
  } errors[] = {
      {"invalid_request_error", 400}, {"authentication_error", 401},
      {"billing_error", 402},         {"permission_error", 403},
      {"not_found_error", 404},       {"request_too_large", 413},
      {"rate_limit_error", 429},      {"api_error", 500},
      {"timeout_error", 504},         {"overloaded_error", 529},
  };
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
    if (sheaf_json_equals(type, errors[i].type)) return errors[i].status;
  }
  return 500;
}

/* The error comes in the coat that a live reply has; one without is given it. *from: where it
 * begins in scratch, or SIZE_MAX if it lies in the line. */
static int32_t read_errored(sheaf_slice error, sheaf_buf *scratch, sheaf_job_item *item,
                            size_t *from) {
  if (sheaf_json_kind(error) != SHEAF_JSON_OBJECT) return SHEAF_E_FIELD;
  const sheaf_slice inner = sheaf_json_member(error, "error");
  const bool is_dressed = sheaf_json_kind(inner) == SHEAF_JSON_OBJECT;
  item->http_status = status_of(sheaf_json_member(is_dressed ? inner : error, "type"));
  item->body = error;
  if (is_dressed) return SHEAF_OK;
  *from = scratch->bytes;
  SHEAF__PUT(scratch, "{\"type\":\"error\",\"error\":");
  sheaf_buf_append_slice(scratch, error);
  SHEAF__PUT(scratch, "}");
  item->body.bytes = scratch->bytes - *from;
  return scratch->status;
}

enum { R_ID, R_TYPE, R_MESSAGE, R_ERROR, R_REQUEST_ID, R_COUNT };
static const char *const result_paths[R_COUNT] = {
    [R_ID] = "custom_id",
    [R_TYPE] = "result.type",
    [R_MESSAGE] = "result.message",
    [R_ERROR] = "result.error",
    [R_REQUEST_ID] = "result.error.request_id",
};

static int32_t read_item(const sheaf_job_api *api, sheaf_slice line, sheaf_buf *scratch,
                         sheaf_job_item *item) {
  (void)api;
  sheaf_slice values[R_COUNT];
  size_t from = SIZE_MAX;
  int32_t status = SHEAF_OK;
  line = sheaf__document(line);
  if (sheaf_json_pick(line, result_paths, R_COUNT, values, NULL, NULL) != SHEAF_OK)
    return SHEAF_E_SYNTAX;
  sheaf_job_item read = {.struct_bytes = sizeof read, .kind = SHEAF_JOB_ITEM_REPLY};
  if (sheaf_json_equals(values[R_TYPE], "succeeded")) {
    if (sheaf_json_kind(values[R_MESSAGE]) != SHEAF_JSON_OBJECT) return SHEAF_E_FIELD;
    read.http_status = 200;
    read.body = values[R_MESSAGE];
  } else if (sheaf_json_equals(values[R_TYPE], "errored")) {
    status = read_errored(values[R_ERROR], scratch, &read, &from);
  } else if (sheaf_json_equals(values[R_TYPE], "canceled")) {
    read.kind = SHEAF_JOB_ITEM_CANCELLED;
  } else if (sheaf_json_equals(values[R_TYPE], "expired")) {
    read.kind = SHEAF_JOB_ITEM_EXPIRED;
  } else {
    return SHEAF_E_FIELD;
  }
  if (status != SHEAF_OK) return status;
  sheaf__job_reading reading = sheaf__job_reading_of(line, scratch);
  read.id = sheaf__job_text(&reading, values[R_ID]);
  read.request_id = sheaf__job_text(&reading, values[R_REQUEST_ID]);
  if (reading.status != SHEAF_OK) return reading.status;
  if (from != SIZE_MAX) read.body.data = scratch->data + from;
  *item = read;
  return SHEAF_OK;
}

/* ---- The table ---- */

/* Numbers: protocols 2.4. Megabytes are taken as the smaller ones. There is no upper bound on
 * batches side by side, but one on the requests in all of them, by tier. */
const sheaf_job_api sheaf__anthropic_jobs = {
    .struct_bytes = sizeof(sheaf_job_api),
    .name = "anthropic",
    .traits = {.requests_max = 100000,
               .bytes_max = 256000000,
               .inline_bytes_max = 256000000,
               .id_bytes_max = 64,
               .flags = SHEAF_JOBS_INLINE | SHEAF_JOBS_PARTIAL,
               .window_hours = 24,
               .expires_hours = 24,
               .retention_hours = 29 * 24,
               .discount_pct = 50,
               .id_rule = "[a-zA-Z0-9_-]{1,64}",
               .caveats = "Counts stay 0 until the whole batch has ended. Rows with speed or "
                          "max_tokens 0 come back as errors."},
    .offers = offers,
    .row = put_row,
    .row_body = row_body,
    .call = write_call,
    .read = read_reply,
    .listed = listed,
    .item = read_item,
};

#endif
