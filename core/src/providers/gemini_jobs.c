/* gemini_jobs.c: Gemini's batch API (protocols 3.3).
 *
 * Outline: rows; calls; operations as they are told; lists; results; the table. Few rows travel in
 * the call that creates the batch and come back in the operation itself; many travel as a file,
 * whose upload is begun in a call of its own. Files live beside the versioned root of the API. */
#include "base/mem.h"
#include "providers/gemini.h"
#include "providers/jobs_common.h"
#include "providers/table.h"
#include "wire/http.h"

#if SHEAF__HAS_JOBS

#define METHOD ":generateContent"

static bool starts_with(sheaf_slice text, const char *start) {
  const size_t bytes = strlen(start);
  return text.bytes >= bytes && memcmp(text.data, start, bytes) == 0;
}

static bool ends_with(sheaf_slice text, const char *end) {
  const size_t bytes = strlen(end);
  return text.bytes >= bytes && memcmp(text.data + text.bytes - bytes, end, bytes) == 0;
}

/* A stream has a path of its own. */
static bool offers(const sheaf_job_api *api, uint32_t operation, sheaf_slice path) {
  (void)api;
  return operation == SHEAF__GEMINI_GENERATE && (path.bytes == 0 || ends_with(path, METHOD));
}

/* ---- Rows ---- */

static int32_t put_row(const sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice id,
                       sheaf_slice body, sheaf_buf *to) {
  (void)api;
  const size_t before = to->bytes;
  SHEAF__PUT(to, "{");
  if (!facts->is_inline) {
    sheaf__job_put_text(to, "key", id);
    SHEAF__PUT(to, ",");
  }
  SHEAF__PUT(to, "\"request\":");
  int32_t status = sheaf__job_put_body(to, body);
  if (facts->is_inline) {
    SHEAF__PUT(to, ",\"metadata\":{\"key\":");
    sheaf_buf_append_string(to, id);
    SHEAF__PUT(to, "}},");
  } else {
    SHEAF__PUT(to, "}\n");
  }
  if (status == SHEAF_OK) status = to->status;
  if (status != SHEAF_OK) to->bytes = before;
  return status;
}

static int32_t row_body(const sheaf_job_api *api, sheaf_slice row, sheaf_slice *body) {
  (void)api;
  return sheaf__job_row_member(row, "request", body);
}

/* ---- Calls ---- */

/* "batches/ID" and "files/ID" are names of two steps, in paths too. A bare ID gets its first. */
static void put_name(const char *folder, sheaf_slice name, sheaf_buf *path) {
  SHEAF__PUT(path, "/");
  if (!starts_with(name, folder)) sheaf_buf_append_text(path, folder);
  for (size_t i = 0, from = 0; i <= name.bytes; i++) {
    if (i < name.bytes && name.data[i] != '/') continue;
    sheaf__job_put_segment(path, (sheaf_slice){name.data + from, i - from});
    if (i < name.bytes) SHEAF__PUT(path, "/");
    from = i + 1;
  }
}

/* The base URL without the version at its end: a gateway's path in front of it stays. */
static void put_root(sheaf_slice base, sheaf_buf *path) {
  while (base.bytes > 0 && base.data[base.bytes - 1] == '/') base.bytes--;
  size_t cut = base.bytes;
  while (cut > 0 && base.data[cut - 1] != '/') cut--;
  const sheaf_slice last = sheaf__slice_from(base, cut);
  const bool is_version =
      last.bytes >= 2 && last.data[0] == 'v' && last.data[1] >= '0' && last.data[1] <= '9';
  /* The host of "http://v1" stands behind two slashes. */
  if (is_version && cut >= 2 && base.data[cut - 2] != '/') base.bytes = cut - 1;
  sheaf_buf_append_slice(path, base);
}

/* The model stands in the rows' path, encoded as it has to be; facts.model may be what was asked
 * for before a row's body had its say. */
static void put_method(const sheaf_job_facts *facts, sheaf_buf *path) {
  if (ends_with(facts->path, METHOD)) {
    sheaf_buf_append(path, facts->path.data, facts->path.bytes - (sizeof METHOD - 1));
  } else {
    const bool is_tuned = starts_with(facts->model, "tunedModels/");
    put_name(is_tuned ? "tunedModels/" : "models/", facts->model, path);
  }
  SHEAF__PUT(path, ":batchGenerateContent");
}

static int32_t put_begin(const sheaf_job_facts *facts, sheaf_job_call *call) {
  put_root(facts->base_url, call->path);
  SHEAF__PUT(call->path, "/upload/v1beta/files");
  SHEAF__PUT(call->head, "{\"file\":{");
  sheaf__job_put_text(call->head, "display_name", facts->marker);
  SHEAF__PUT(call->head, "}}");
  const size_t from = call->text->bytes;
  sheaf_buf_append_u64(call->text, facts->bytes);
  if (call->text->status != SHEAF_OK) return call->text->status;
  const sheaf_slice bytes = {call->text->data + from, call->text->bytes - from};
  int32_t status =
      sheaf__job_header(call, SHEAF_LITERAL("X-Goog-Upload-Protocol"), SHEAF_LITERAL("resumable"));
  if (status == SHEAF_OK)
    status =
        sheaf__job_header(call, SHEAF_LITERAL("X-Goog-Upload-Command"), SHEAF_LITERAL("start"));
  if (status == SHEAF_OK)
    status = sheaf__job_header(call, SHEAF_LITERAL("X-Goog-Upload-Header-Content-Length"), bytes);
  if (status == SHEAF_OK)
    status = sheaf__job_header(call, SHEAF_LITERAL("X-Goog-Upload-Header-Content-Type"),
                               SHEAF_LITERAL("application/jsonl"));
  return status;
}

static int32_t put_upload(const sheaf_job_facts *facts, sheaf_job_call *call) {
  sheaf_buf_append_slice(call->path, facts->upload);
  call->has_rows = true;
  int32_t status =
      sheaf__job_header(call, SHEAF_LITERAL("X-Goog-Upload-Offset"), SHEAF_LITERAL("0"));
  if (status == SHEAF_OK)
    status = sheaf__job_header(call, SHEAF_LITERAL("X-Goog-Upload-Command"),
                               SHEAF_LITERAL("upload, finalize"));
  if (status == SHEAF_OK)
    status =
        sheaf__job_header(call, SHEAF_LITERAL("Content-Type"), SHEAF_LITERAL("application/jsonl"));
  return status;
}

static void put_create(const sheaf_job_facts *facts, sheaf_job_call *call) {
  put_method(facts, call->path);
  call->has_rows = facts->is_inline;
  SHEAF__PUT(call->head, "{\"batch\":{");
  sheaf__job_put_text(call->head, "displayName", facts->marker);
  SHEAF__PUT(call->head, ",\"inputConfig\":{");
  if (facts->is_inline) {
    SHEAF__PUT(call->head, "\"requests\":{\"requests\":[");
    SHEAF__PUT(call->tail, "]}}}}");
  } else {
    sheaf__job_put_text(call->head, "fileName", facts->file);
    SHEAF__PUT(call->head, "}}}");
  }
}

static void put_list(const sheaf_job_facts *facts, sheaf_buf *path) {
  SHEAF__PUT(path, "/batches?pageSize=100");
  if (facts->page.bytes == 0) return;
  SHEAF__PUT(path, "&pageToken=");
  sheaf__job_put_segment(path, facts->page);
}

/* Without a file there is none to upload or to delete, and results that come in the operation have
 * no place of their own. */
static int32_t check_step(uint32_t step, const sheaf_job_facts *facts) {
  bool has_step = true, has_facts = true;
  switch (step) {
    case SHEAF_JOB_BEGIN: has_step = !facts->is_inline; break;
    case SHEAF_JOB_UPLOAD:
      has_step = !facts->is_inline;
      has_facts = facts->upload.bytes > 0;
      break;
    case SHEAF_JOB_CREATE: has_facts = facts->is_inline || facts->file.bytes > 0; break;
    case SHEAF_JOB_POLL:
    case SHEAF_JOB_CANCEL: has_facts = facts->job.bytes > 0; break;
    case SHEAF_JOB_LIST: break;
    case SHEAF_JOB_OUTPUT: has_step = facts->output.bytes > 0; break;
    case SHEAF_JOB_DISCARD: has_step = facts->file.bytes > 0; break;
    default: has_step = false;
  }
  if (!has_step) return SHEAF_E_UNSUPPORTED;
  return has_facts ? SHEAF_OK : SHEAF_E_MISUSE;
}

static int32_t write_call(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                          sheaf_job_call *call) {
  (void)api;
  int32_t status = check_step(step, facts);
  if (status != SHEAF_OK) return status;
  call->method = "POST";
  call->has_rows = false;
  call->is_streamed = step == SHEAF_JOB_OUTPUT;
  switch (step) {
    case SHEAF_JOB_BEGIN: status = put_begin(facts, call); break;
    case SHEAF_JOB_UPLOAD: status = put_upload(facts, call); break;
    case SHEAF_JOB_CREATE: put_create(facts, call); break;
    case SHEAF_JOB_CANCEL:
      put_name("batches/", facts->job, call->path);
      SHEAF__PUT(call->path, ":cancel");
      SHEAF__PUT(call->head, "{}");
      break;
    case SHEAF_JOB_OUTPUT:
      call->method = "GET";
      put_root(facts->base_url, call->path);
      SHEAF__PUT(call->path, "/download/v1beta");
      put_name("files/", facts->output, call->path);
      SHEAF__PUT(call->path, ":download?alt=media");
      break;
    case SHEAF_JOB_DISCARD:
      call->method = "DELETE";
      put_name("files/", facts->file, call->path);
      break;
    default:
      call->method = "GET";
      if (step == SHEAF_JOB_LIST)
        put_list(facts, call->path);
      else
        put_name("batches/", facts->job, call->path);
  }
  return status != SHEAF_OK ? status : sheaf__job_call_status(call);
}

/* ---- Operations ---- */

/* The words behind BATCH_STATE_, which SDKs rename to JOB_STATE_. */
static const sheaf__job_word states[] = {
    {"pending", SHEAF_JOB_QUEUED_STATE},      {"queued", SHEAF_JOB_QUEUED_STATE},
    {"running", SHEAF_JOB_RUNNING_STATE},     {"updating", SHEAF_JOB_RUNNING_STATE},
    {"cancelling", SHEAF_JOB_ENDING_STATE},   {"succeeded", SHEAF_JOB_COMPLETED_STATE},
    {"failed", SHEAF_JOB_FAILED_STATE},       {"partially_succeeded", SHEAF_JOB_COMPLETED_STATE},
    {"cancelled", SHEAF_JOB_CANCELLED_STATE}, {"expired", SHEAF_JOB_EXPIRED_STATE},
};

static uint32_t state_of(sheaf_slice value) {
  static const char infix[] = "_STATE_";
  const size_t bytes = sizeof infix - 1;
  sheaf_slice word = sheaf_json_inside(value);
  for (size_t i = 0; i + bytes <= word.bytes; i++) {
    if (memcmp(word.data + i, infix, bytes) != 0) continue;
    word = sheaf__slice_from(word, i + bytes);
    break;
  }
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    if (sheaf__equals_nocase(word, states[i].word)) return states[i].state;
  }
  return SHEAF_JOB_UNKNOWN_STATE;
}

enum {
  NAME,
  STATE,
  MARKER,
  CREATED,
  TOTAL,
  SUCCEEDED,
  FAILED,
  FILE_NAME,
  INLINED,
  END_FILE_NAME,
  END_INLINED,
  DONE,
  ERROR,
  ERROR_CODE,
  ERROR_STATUS,
  ERROR_MESSAGE,
  COUNT
};
static const char *const paths[COUNT] = {
    [NAME] = "name",
    [STATE] = "metadata.state",
    [MARKER] = "metadata.displayName",
    [CREATED] = "metadata.createTime",
    [TOTAL] = "metadata.batchStats.requestCount",
    [SUCCEEDED] = "metadata.batchStats.successfulRequestCount",
    [FAILED] = "metadata.batchStats.failedRequestCount",
    [FILE_NAME] = "metadata.output.responsesFile",
    [INLINED] = "metadata.output.inlinedResponses.inlinedResponses",
    [END_FILE_NAME] = "response.responsesFile",
    [END_INLINED] = "response.inlinedResponses.inlinedResponses",
    [DONE] = "done",
    [ERROR] = "error",
    [ERROR_CODE] = "error.code",
    [ERROR_STATUS] = "error.status",
    [ERROR_MESSAGE] = "error.message",
};

#define CODE_CANCELLED 1 /* of google.rpc.Code */
#define CODE_EXHAUSTED 8

static bool is_over(uint32_t state) {
  return state >= SHEAF_JOB_COMPLETED_STATE && state <= SHEAF_JOB_CANCELLED_STATE;
}

/* What the operation's end says where its state does not. Results beside an error are results. */
static void settle_state(const sheaf_slice values[COUNT], sheaf_job_news *news) {
  const bool has_results = news->output.bytes > 0 || news->results.bytes > 0;
  if (!sheaf_json_true(values[DONE])) return;
  if (sheaf_json_kind(values[ERROR]) != SHEAF_JSON_OBJECT) {
    if (!is_over(news->state)) news->state = SHEAF_JOB_COMPLETED_STATE;
  } else if (news->state == SHEAF_JOB_COMPLETED_STATE ? !has_results : !is_over(news->state)) {
    const bool is_cancelled = sheaf__count(values[ERROR_CODE]) == CODE_CANCELLED;
    news->state = is_cancelled ? SHEAF_JOB_CANCELLED_STATE : SHEAF_JOB_FAILED_STATE;
  }
  if (news->state != SHEAF_JOB_FAILED_STATE || news->completed > 0) return;
  news->is_full = sheaf__count(values[ERROR_CODE]) == CODE_EXHAUSTED ||
                  sheaf__job_is_full(news->error_code, news->error_message);
}

/* Of proto3's counts a 0 is left out, and no batch has no rows: without their number (while a file
 * is looked through) none is told. */
static int64_t count_of(sheaf_slice value) {
  const int64_t count = sheaf__count(value);
  return count == SHEAF_ABSENT ? 0 : count;
}

static int32_t read_operation(sheaf_slice operation, sheaf_buf *scratch, sheaf_job_news *news) {
  static const uint32_t texts[] = {NAME,       MARKER,       FILE_NAME,    END_FILE_NAME,
                                   ERROR_CODE, ERROR_STATUS, ERROR_MESSAGE};
  sheaf_slice values[COUNT];
  sheaf__job_reading reading = {.scratch = scratch};
  sheaf_job_news_init(news);
  if (sheaf_json_kind(operation) != SHEAF_JSON_OBJECT ||
      sheaf_json_pick(operation, paths, COUNT, values, NULL, NULL) != SHEAF_OK)
    return SHEAF_E_SYNTAX;
  /* Room for the texts alone: results may lie in the operation by the megabyte. */
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    reading.room += values[texts[i]].bytes;
  }
  const uint32_t file = values[FILE_NAME].bytes > 0 ? FILE_NAME : END_FILE_NAME;
  news->job = sheaf__job_text(&reading, values[NAME]);
  news->marker = sheaf__job_text(&reading, values[MARKER]);
  news->output = sheaf__job_text(&reading, values[file]);
  news->results = values[values[INLINED].bytes > 0 ? INLINED : END_INLINED];
  if (sheaf_json_kind(news->results) != SHEAF_JSON_ARRAY) news->results = (sheaf_slice){NULL, 0};
  news->error_code =
      sheaf__job_text(&reading, values[values[ERROR_STATUS].bytes > 0 ? ERROR_STATUS : ERROR_CODE]);
  news->error_message = sheaf__job_text(&reading, values[ERROR_MESSAGE]);
  news->created_unix_ms = sheaf__job_time_ms(values[CREATED]);
  news->state = state_of(values[STATE]);
  news->total = sheaf__count(values[TOTAL]);
  if (news->total != SHEAF_ABSENT) {
    news->completed = count_of(values[SUCCEEDED]);
    news->failed = count_of(values[FAILED]);
  }
  settle_state(values, news);
  if (reading.status != SHEAF_OK) return reading.status;
  return news->job.bytes > 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
}

static int32_t read_upload(sheaf_slice body, sheaf_buf *scratch, sheaf_job_news *news) {
  static const char *const name[] = {"file.name"};
  sheaf_slice value;
  sheaf_job_news_init(news);
  if (sheaf_json_pick(body, name, 1, &value, NULL, NULL) != SHEAF_OK) return SHEAF_E_SYNTAX;
  sheaf__job_reading reading = sheaf__job_reading_of(value, scratch);
  news->file = sheaf__job_text(&reading, value);
  if (reading.status != SHEAF_OK) return reading.status;
  return news->file.bytes > 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
}

/* A cancel is answered with an empty object. */
static int32_t read_cancel(sheaf_slice body, sheaf_job_news *news) {
  sheaf_job_news_init(news);
  if (body.bytes > 0 && sheaf_json_check(body, NULL) != SHEAF_OK) return SHEAF_E_SYNTAX;
  news->state = SHEAF_JOB_ENDING_STATE;
  return SHEAF_OK;
}

static int32_t read_reply(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                          const sheaf_reply *reply, sheaf_buf *scratch, sheaf_job_news *news) {
  (void)api;
  const sheaf_slice body = sheaf__document(reply->body);
  switch (step) {
    case SHEAF_JOB_BEGIN:
      sheaf_job_news_init(news);
      news->upload = sheaf_header_find(reply->headers, "x-goog-upload-url");
      /* Rows leave in plain text only where the endpoint's own calls do. */
      return starts_with(news->upload, "https://") || (starts_with(news->upload, "http://") &&
                                                       starts_with(facts->base_url, "http://"))
                 ? SHEAF_OK
                 : SHEAF_E_SYNTAX;
    case SHEAF_JOB_UPLOAD: return read_upload(body, scratch, news);
    case SHEAF_JOB_CREATE:
    case SHEAF_JOB_POLL: return read_operation(body, scratch, news);
    case SHEAF_JOB_CANCEL: return read_cancel(body, news);
    default: return SHEAF_E_UNSUPPORTED;
  }
}

/* ---- Lists ---- */

static int32_t read_page(sheaf_slice body, sheaf_buf *scratch, sheaf_slice *page) {
  static const char *const name[] = {"nextPageToken"};
  sheaf_slice value;
  *page = (sheaf_slice){NULL, 0};
  if (sheaf_json_pick(sheaf__document(body), name, 1, &value, NULL, NULL) != SHEAF_OK)
    return SHEAF_E_SYNTAX;
  sheaf__job_reading reading = sheaf__job_reading_of(value, scratch);
  *page = sheaf__job_text(&reading, value);
  return reading.status != SHEAF_OK ? reading.status : SHEAF_E_END;
}

static int32_t listed(const sheaf_job_api *api, const sheaf_reply *reply, size_t *at,
                      sheaf_buf *scratch, sheaf_job_news *news, sheaf_slice *page) {
  (void)api;
  sheaf_slice element;
  const int32_t status = sheaf__job_next(reply->body, "operations", at, &element);
  if (status == SHEAF_E_END) return read_page(reply->body, scratch, page);
  return status == SHEAF_OK ? read_operation(element, scratch, news) : status;
}

/* ---- Results ---- */

/* google.rpc.Code in HTTP's terms, as google/rpc/code.proto has them; words as a live reply has
 * them. All else is the server's fault. */
static const struct {
  int64_t code;
  uint32_t status;
  const char *word;
} codes[] = {
    {3, 400, "INVALID_ARGUMENT"},  {4, 504, "DEADLINE_EXCEEDED"},  {5, 404, "NOT_FOUND"},
    {7, 403, "PERMISSION_DENIED"}, {8, 429, "RESOURCE_EXHAUSTED"}, {9, 400, "FAILED_PRECONDITION"},
    {11, 400, "OUT_OF_RANGE"},     {13, 500, "INTERNAL"},          {14, 503, "UNAVAILABLE"},
    {16, 401, "UNAUTHENTICATED"},
};

enum { I_KEY, I_META_KEY, I_RESPONSE, I_ERROR, I_CODE, I_MESSAGE, I_STATUS, I_DETAILS, I_COUNT };
static const char *const item_paths[I_COUNT] = {
    [I_KEY] = "key",
    [I_META_KEY] = "metadata.key",
    [I_RESPONSE] = "response",
    [I_ERROR] = "error",
    [I_CODE] = "error.code",
    [I_MESSAGE] = "error.message",
    [I_STATUS] = "error.status",
    [I_DETAILS] = "error.details",
};

static void put_member(sheaf_buf *to, const char *name, sheaf_slice value) {
  if (value.bytes == 0) return;
  SHEAF__PUT(to, ",\"");
  sheaf_buf_append_text(to, name);
  SHEAF__PUT(to, "\":");
  sheaf_buf_append_slice(to, value);
}

/* A row's error is a google.rpc.Status; the live API dresses it in HTTP's number and the code's
 * name. A code that is HTTP's already stays. */
static void put_error(const sheaf_slice values[I_COUNT], sheaf_buf *scratch, sheaf_job_item *item) {
  const int64_t code = sheaf__count(values[I_CODE]);
  const char *word = "UNKNOWN";
  item->http_status = code >= 400 && code <= 599 ? (uint32_t)code : 500;
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    if (codes[i].code != code) continue;
    item->http_status = codes[i].status;
    word = codes[i].word;
  }
  SHEAF__PUT(scratch, "{\"error\":{\"code\":");
  sheaf_buf_append_u64(scratch, item->http_status);
  const bool is_text = sheaf_json_kind(values[I_ERROR]) == SHEAF_JSON_STRING;
  put_member(scratch, "message", values[is_text ? I_ERROR : I_MESSAGE]);
  if (values[I_STATUS].bytes > 0) {
    put_member(scratch, "status", values[I_STATUS]);
  } else if (code < 400) {
    SHEAF__PUT(scratch, ",\"status\":\"");
    sheaf_buf_append_text(scratch, word);
    SHEAF__PUT(scratch, "\"");
  }
  put_member(scratch, "details", values[I_DETAILS]);
  SHEAF__PUT(scratch, "}}");
}

static int32_t read_item(const sheaf_job_api *api, sheaf_slice line, sheaf_buf *scratch,
                         sheaf_job_item *item) {
  (void)api;
  sheaf_slice values[I_COUNT];
  line = sheaf__document(line);
  if (sheaf_json_pick(line, item_paths, I_COUNT, values, NULL, NULL) != SHEAF_OK)
    return SHEAF_E_SYNTAX;
  sheaf_job_item read = {.struct_bytes = sizeof read, .kind = SHEAF_JOB_ITEM_REPLY};
  const size_t from = scratch->bytes;
  size_t bytes = 0;
  if (sheaf__is_error(values[I_ERROR])) {
    if (sheaf__count(values[I_CODE]) == CODE_CANCELLED) {
      read.kind = SHEAF_JOB_ITEM_CANCELLED;
    } else {
      put_error(values, scratch, &read);
      bytes = scratch->bytes - from;
    }
  } else if (sheaf_json_kind(values[I_RESPONSE]) == SHEAF_JSON_OBJECT) {
    read.http_status = 200;
    read.body = values[I_RESPONSE];
  } else {
    return SHEAF_E_FIELD;
  }
  if (scratch->status != SHEAF_OK) return scratch->status;
  const sheaf_slice key = values[values[I_KEY].bytes > 0 ? I_KEY : I_META_KEY];
  sheaf__job_reading reading = sheaf__job_reading_of(key, scratch);
  read.id = sheaf__job_text(&reading, key);
  if (reading.status != SHEAF_OK) return reading.status;
  if (bytes > 0) read.body = (sheaf_slice){scratch->data + from, bytes};
  *item = read;
  return SHEAF_OK;
}

/* ---- The table ---- */

/* Numbers: protocols 3.3. How many requests a batch may have is not stated; what may wait in all
 * batches is counted in tokens, by model and tier. */
const sheaf_job_api sheaf__gemini_jobs = {
    .struct_bytes = sizeof(sheaf_job_api),
    .name = "gemini",
    .traits = {.bytes_max = 2000000000,
               .inline_bytes_max = 20000000,
               .jobs_max = 100,
               .flags =
                   SHEAF_JOBS_FILES | SHEAF_JOBS_INLINE | SHEAF_JOBS_MARKER | SHEAF_JOBS_ONE_MODEL,
               .window_hours = 24,
               .expires_hours = 48,
               .retention_hours = 48,
               .discount_pct = 50,
               .id_rule = "any text",
               .caveats = "A batch that expired or was cancelled gives no results. Files are kept "
                          "for 48 hours."},
    .offers = offers,
    .row = put_row,
    .row_body = row_body,
    .call = write_call,
    .read = read_reply,
    .listed = listed,
    .item = read_item,
};

#endif
