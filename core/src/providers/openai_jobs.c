/* openai_jobs.c: the batch APIs of OpenAI, Azure OpenAI and Groq, which are one but for what they
 * offer (protocols 1.4, 1.5, 1.8 and 6).
 *
 * Outline: operations; rows; files; calls; jobs as replies tell them; lists; results; the tables.
 */
#include "providers/jobs_common.h"

#include "base/mem.h"
#include "providers/openai.h"
#include "providers/table.h"

#if SHEAF__HAS_JOBS

#define DAY_HOURS 24u

/* ---- Operations ---- */

static bool offers(const sheaf_job_api *api, uint32_t operation, sheaf_slice path) {
  static const char *const paths[] = {
      [SHEAF__OPENAI_CHAT] = "/chat/completions",
      [SHEAF__OPENAI_RESPONSES] = "/responses",
      [SHEAF__OPENAI_EMBEDDINGS] = "/embeddings",
      [SHEAF__OPENAI_COMPLETIONS] = "/completions",
  };
  const bool has_chat_only = api == &sheaf__groq_jobs;
  const uint32_t count = has_chat_only ? 1 : sizeof paths / sizeof paths[0];
  return operation < count && sheaf__is(path, paths[operation]);
}

/* Paths carry /v1 whatever the base URL has (Groq's is /openai/v1). */
static void put_endpoint(sheaf_buf *to, const char *name, const sheaf_job_facts *facts) {
  sheaf__comma(to);
  SHEAF__PUT(to, "\"");
  sheaf_buf_append_text(to, name);
  SHEAF__PUT(to, "\":\"/v1");
  sheaf_buf_append_escaped(to, facts->path);
  SHEAF__PUT(to, "\"");
}

/* ---- Rows ---- */

static int32_t row(const sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice id,
                   sheaf_slice body, sheaf_buf *to) {
  (void)api;
  const size_t begin = to->bytes;
  SHEAF__PUT(to, "{");
  sheaf__job_put_text(to, "custom_id", id);
  SHEAF__PUT(to, ",\"method\":\"POST\"");
  put_endpoint(to, "url", facts);
  SHEAF__PUT(to, ",\"body\":");
  int32_t status = sheaf__job_put_body(to, body);
  SHEAF__PUT(to, "}\n");
  if (status == SHEAF_OK) status = to->status;
  if (status != SHEAF_OK) to->bytes = begin; /* never half a row */
  return status;
}

int32_t sheaf__openai_row_body(const sheaf_job_api *api, sheaf_slice text, sheaf_slice *body) {
  (void)api;
  return sheaf__job_row_member(text, "body", body);
}

/* ---- Files ---- */

static int32_t file_path(sheaf_job_call *call, const char *method, sheaf_slice id,
                         const char *behind) {
  if (id.bytes == 0) return SHEAF_E_UNSUPPORTED;
  return sheaf__job_call_by_id(call, method, "/files/", id, behind);
}

static int32_t upload_call(const sheaf_job_facts *facts, sheaf_job_call *call) {
  call->method = "POST";
  SHEAF__PUT(call->path, "/files");
  const int32_t status = sheaf__job_form(facts, call);
  return status == SHEAF_OK ? sheaf__job_call_status(call) : status;
}

int32_t sheaf__openai_file_call(uint32_t step, const sheaf_job_facts *facts, sheaf_job_call *call) {
  switch (step) {
    case SHEAF_JOB_UPLOAD: return upload_call(facts, call);
    case SHEAF_JOB_OUTPUT:
      call->is_streamed = true;
      return file_path(call, "GET", facts->output, "/content");
    case SHEAF_JOB_ERRORS:
      call->is_streamed = true;
      return file_path(call, "GET", facts->errors, "/content");
    case SHEAF_JOB_DISCARD: return file_path(call, "DELETE", facts->file, "");
    default: return SHEAF_E_UNSUPPORTED;
  }
}

int32_t sheaf__openai_file_read(sheaf_slice body, sheaf_buf *scratch, sheaf_job_news *news) {
  static const char *const paths[] = {"id"};
  sheaf_slice id;
  const sheaf_slice document = sheaf__document(body);
  sheaf__job_reading reading = sheaf__job_reading_of(document, scratch);
  if (sheaf_json_kind(document) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(document, paths, 1, &id, NULL, NULL) != SHEAF_OK) {
    return SHEAF_E_SYNTAX;
  }
  news->file = sheaf__job_text(&reading, id);
  if (reading.status != SHEAF_OK) return reading.status;
  return news->file.bytes > 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
}

/* ---- Calls ---- */

/* "24h", and whole days beyond: Groq's example is "7d". */
static void put_window(sheaf_buf *to, uint32_t hours) {
  const bool is_days = hours > DAY_HOURS && hours % DAY_HOURS == 0;
  SHEAF__PUT(to, ",\"completion_window\":\"");
  sheaf_buf_append_u64(to, is_days ? hours / DAY_HOURS : hours);
  sheaf_buf_append_text(to, is_days ? "d\"" : "h\"");
}

static int32_t create_call(const sheaf_job_api *api, const sheaf_job_facts *facts,
                           sheaf_job_call *call) {
  sheaf_buf *body = call->head;
  if (facts->file.bytes == 0) return SHEAF_E_MISUSE;
  call->method = "POST";
  SHEAF__PUT(call->path, "/batches");
  SHEAF__PUT(body, "{");
  sheaf__job_put_text(body, "input_file_id", facts->file);
  put_endpoint(body, "endpoint", facts);
  put_window(body, facts->window_hours ? facts->window_hours : api->traits.window_hours);
  if (facts->marker.bytes > 0) {
    SHEAF__PUT(body, ",\"metadata\":{");
    sheaf__job_put_text(body, "sheaf", facts->marker);
    SHEAF__PUT(body, "}");
  }
  SHEAF__PUT(body, "}");
  return sheaf__job_call_status(call);
}

static int32_t list_call(const sheaf_job_facts *facts, sheaf_job_call *call) {
  call->method = "GET";
  SHEAF__PUT(call->path, "/batches?limit=100"); /* the most it gives */
  if (facts->page.bytes > 0) {
    SHEAF__PUT(call->path, "&after=");
    sheaf__job_put_segment(call->path, facts->page);
  }
  return sheaf__job_call_status(call);
}

static int32_t job_call(sheaf_job_call *call, const char *method, sheaf_slice job,
                        const char *behind) {
  if (job.bytes == 0) return SHEAF_E_MISUSE;
  return sheaf__job_call_by_id(call, method, "/batches/", job, behind);
}

static int32_t write_call(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                          sheaf_job_call *call) {
  switch (step) {
    case SHEAF_JOB_CREATE: return create_call(api, facts, call);
    case SHEAF_JOB_POLL: return job_call(call, "GET", facts->job, "");
    case SHEAF_JOB_LIST: return list_call(facts, call);
    case SHEAF_JOB_CANCEL: return job_call(call, "POST", facts->job, "/cancel");
    default: return sheaf__openai_file_call(step, facts, call);
  }
}

/* ---- Jobs as replies tell them ---- */

/* Azure writes them with a capital. */
static const sheaf__job_word words[] = {
    {"validating", SHEAF_JOB_VALIDATING_STATE}, {"in_progress", SHEAF_JOB_RUNNING_STATE},
    {"finalizing", SHEAF_JOB_ENDING_STATE},     {"completed", SHEAF_JOB_COMPLETED_STATE},
    {"failed", SHEAF_JOB_FAILED_STATE},         {"expired", SHEAF_JOB_EXPIRED_STATE},
    {"cancelling", SHEAF_JOB_ENDING_STATE},     {"cancelled", SHEAF_JOB_CANCELLED_STATE},
};

static int32_t read_job(sheaf_slice object, sheaf_buf *scratch, sheaf_job_news *news) {
  static const char *const paths[SHEAF__JOB_PATHS] = {
      [SHEAF__JOB_AT_ID] = "id",
      [SHEAF__JOB_AT_STATUS] = "status",
      [SHEAF__JOB_AT_OUTPUT] = "output_file_id",
      [SHEAF__JOB_AT_ERRORS] = "error_file_id",
      [SHEAF__JOB_AT_MARKER] = "metadata.sheaf",
      [SHEAF__JOB_AT_CODE] = "errors.data[0].code",
      [SHEAF__JOB_AT_MESSAGE] = "errors.data[0].message",
      [SHEAF__JOB_AT_TOTAL] = "request_counts.total",
      [SHEAF__JOB_AT_DONE] = "request_counts.completed",
      [SHEAF__JOB_AT_FAILED] = "request_counts.failed",
      [SHEAF__JOB_AT_CREATED] = "created_at",
  };
  return sheaf__job_read_object(object, paths, words, sizeof words / sizeof words[0], scratch,
                                news);
}

static int32_t read_reply(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                          const sheaf_reply *reply, sheaf_buf *scratch, sheaf_job_news *news) {
  (void)api, (void)facts;
  sheaf_job_news_init(news);
  if (step == SHEAF_JOB_UPLOAD) return sheaf__openai_file_read(reply->body, scratch, news);
  return read_job(sheaf__document(reply->body), scratch, news);
}

/* ---- Lists ---- */

/* A page that says that there is more, but not where, must not pass for the last: what is not found
 * in a list is created again. */
static int32_t page_end(sheaf_slice body, sheaf_buf *scratch, sheaf_slice *page) {
  enum { DATA, MORE, LAST, COUNT };
  static const char *const paths[COUNT] = {"data", "has_more", "last_id"};
  sheaf_slice values[COUNT];
  const sheaf_slice document = sheaf__document(body);
  *page = (sheaf_slice){NULL, 0};
  if (sheaf_json_pick(document, paths, COUNT, values, NULL, NULL) != SHEAF_OK ||
      sheaf_json_kind(values[DATA]) != SHEAF_JSON_ARRAY) {
    return SHEAF_E_SYNTAX;
  }
  if (!sheaf_json_true(values[MORE])) return SHEAF_E_END;
  sheaf__job_reading reading = sheaf__job_reading_of(document, scratch);
  *page = sheaf__job_text(&reading, values[LAST]);
  if (reading.status != SHEAF_OK) return reading.status;
  return page->bytes > 0 ? SHEAF_E_END : SHEAF_E_SYNTAX;
}

static int32_t listed(const sheaf_job_api *api, const sheaf_reply *reply, size_t *at,
                      sheaf_buf *scratch, sheaf_job_news *news, sheaf_slice *page) {
  (void)api;
  sheaf_slice job;
  sheaf_job_news_init(news);
  const int32_t status = sheaf__job_next(reply->body, "data", at, &job);
  if (status == SHEAF_E_END) return page_end(reply->body, scratch, page);
  return status == SHEAF_OK ? read_job(job, scratch, news) : status;
}

/* ---- Results ---- */

/* The HTTP status of an error that has none: what a live request with it would have got. A retry
 * settles what is not known here. */
static uint32_t status_of(sheaf_slice code) {
  static const struct {
    const char *part;
    uint32_t status;
  } codes[] = {{"not_found", 404}, {"invalid", 400},        {"mismatch", 400},
               {"duplicate", 400}, {"rate_limit", 429},     {"too_many", 429},
               {"quota", 429},     {"limit_exceeded", 429}, {"content_filter", 400}};
  int64_t number = 0;
  if (sheaf_json_int(code, &number) == SHEAF_OK && number >= 400 && number <= 599) {
    return (uint32_t)number;
  }
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    if (sheaf__contains_nocase(sheaf_json_inside(code), codes[i].part)) return codes[i].status;
  }
  return 500;
}

static uint32_t http_status(sheaf_slice value) {
  int64_t number = 0;
  if (sheaf_json_int(value, &number) != SHEAF_OK) return 0;
  return number >= 100 && number <= 599 ? (uint32_t)number : 0;
}

/* A row that was not answered: its error says why. `status`: of a response without a body, or 0. */
static int32_t settle_error(sheaf_slice error, sheaf_slice code, uint32_t status,
                            sheaf_buf *scratch, sheaf_job_item *item) {
  if (sheaf_json_equals(code, "batch_expired")) {
    item->kind = SHEAF_JOB_ITEM_EXPIRED;
    return SHEAF_OK;
  }
  if (sheaf_json_equals(code, "batch_cancelled") || sheaf_json_equals(code, "batch_canceled")) {
    item->kind = SHEAF_JOB_ITEM_CANCELLED;
    return SHEAF_OK;
  }
  const size_t from = scratch->bytes;
  SHEAF__PUT(scratch, "{\"error\":");
  sheaf_buf_append_slice(scratch, error);
  SHEAF__PUT(scratch, "}");
  if (scratch->status != SHEAF_OK) return scratch->status;
  item->http_status = status >= 400 ? status : status_of(code);
  item->body = (sheaf_slice){scratch->data + from, scratch->bytes - from};
  return SHEAF_OK;
}

int32_t sheaf__openai_item(const sheaf_job_api *api, sheaf_slice line, sheaf_buf *scratch,
                           sheaf_job_item *item) {
  enum { ID, CUSTOM_ID, RESPONSE, STATUS, REQUEST, BODY, ERROR, CODE, COUNT };
  static const char *const paths[COUNT] = {"id",
                                           "custom_id",
                                           "response",
                                           "response.status_code",
                                           "response.request_id",
                                           "response.body",
                                           "error",
                                           "error.code"};
  sheaf_slice v[COUNT];
  (void)api;
  *item = (sheaf_job_item){.struct_bytes = sizeof *item, .kind = SHEAF_JOB_ITEM_REPLY};
  const sheaf_slice document = sheaf__document(line);
  if (sheaf_json_kind(document) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(document, paths, COUNT, v, NULL, NULL) != SHEAF_OK) {
    return SHEAF_E_SYNTAX;
  }
  /* Room for all that may go to scratch, so that the id does not move when the error follows it. */
  sheaf__job_reading reading = {.scratch = scratch};
  reading.room = v[CUSTOM_ID].bytes + v[REQUEST].bytes + v[ID].bytes + v[ERROR].bytes + 16;
  item->id = sheaf__job_text(&reading, v[CUSTOM_ID]);
  item->request_id = sheaf__job_text(&reading, v[REQUEST]);
  if (item->request_id.bytes == 0) item->request_id = sheaf__job_text(&reading, v[ID]);
  if (reading.status != SHEAF_OK) return reading.status;
  if (item->id.bytes == 0) return SHEAF_E_FIELD;

  const uint32_t status = http_status(v[STATUS]);
  const bool has_body = sheaf_json_kind(v[BODY]) > SHEAF_JSON_NULL;
  const bool is_error = sheaf__is_error(v[ERROR]);
  if (is_error && !(has_body && status >= 400)) {
    return settle_error(v[ERROR], v[CODE], status, scratch, item);
  }
  if (!has_body && status < 400) return SHEAF_E_FIELD;
  item->http_status = status ? status : 200; /* a body without one: decode finds what is wrong */
  if (has_body) item->body = v[BODY];
  return SHEAF_OK;
}

/* ---- The tables. Numbers: protocols 1.5, 1.8, 6 and 10; MB are taken as 10^6. ---- */

#define DIALECT                                                                                 \
  .struct_bytes = sizeof(sheaf_job_api), .offers = offers, .row = row,                          \
  .row_body = sheaf__openai_row_body, .call = write_call, .read = read_reply, .listed = listed, \
  .item = sheaf__openai_item
#define FLAGS (SHEAF_JOBS_FILES | SHEAF_JOBS_MARKER | SHEAF_JOBS_PARTIAL | SHEAF_JOBS_ONE_MODEL)

const sheaf_job_api sheaf__openai_jobs = {
    DIALECT,
    .name = "openai",
    .traits = {.requests_max = 50000,
               .bytes_max = 200000000,
               .inputs_max = 50000,
               .flags = FLAGS,
               .window_hours = DAY_HOURS,
               .expires_hours = DAY_HOURS,
               .retention_hours = 30 * DAY_HOURS,
               .discount_pct = 50,
               .id_rule = "any text, each once",
               .caveats = "Each model has a limit of prompt tokens in the queue; a job beyond it "
                          "fails at once. At most 2,000 jobs are created an hour."},
};

const sheaf_job_api sheaf__azure_jobs = {
    DIALECT,
    .name = "azure",
    .traits = {.requests_max = 100000,
               .bytes_max = 200000000,
               .poll_min_ms = 60000,
               .flags = FLAGS,
               .window_hours = DAY_HOURS,
               .discount_pct = 50,
               .id_rule = "any text, each once",
               .caveats = "Needs a Global-Batch or Data Zone Batch deployment, whose name is the "
                          "model of every row. Jobs go on beyond 24 hours; a resource keeps 500 "
                          "files."},
};

const sheaf_job_api sheaf__groq_jobs = {
    DIALECT,
    .name = "groq",
    .traits = {.requests_max = 50000,
               .bytes_max = 100000000,
               .flags = FLAGS,
               .window_hours = DAY_HOURS,
               .expires_hours = DAY_HOURS,
               .retention_hours = 30 * DAY_HOURS,
               .discount_pct = 50,
               .id_rule = "any text, each once",
               .caveats = "Chat only. A window of 24 hours to 7 days may be asked for."},
};

#endif
