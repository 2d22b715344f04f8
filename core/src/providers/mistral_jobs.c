/* mistral_jobs.c: Mistral's batch jobs (protocols 6): files and results as OpenAI's, one model a
 * job, lists by page number.
 *
 * Outline: rows; calls; jobs as replies tell them; lists; the table. */
#include "providers/jobs_common.h"

#include "base/mem.h"
#include "providers/openai.h"
#include "providers/table.h"
#include "wire/http.h"

#if SHEAF__HAS_JOBS

#define PAGE_JOBS 100u /* what its own client asks for */

/* ---- Rows ---- */

static bool offers(const sheaf_job_api *api, uint32_t operation, sheaf_slice path) {
  (void)api;
  return (operation == SHEAF__OPENAI_CHAT && sheaf__is(path, "/chat/completions")) ||
         (operation == SHEAF__OPENAI_EMBEDDINGS && sheaf__is(path, "/embeddings"));
}

static int32_t row(const sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice id,
                   sheaf_slice body, sheaf_buf *to) {
  (void)api, (void)facts;
  const size_t begin = to->bytes;
  SHEAF__PUT(to, "{");
  sheaf__job_put_text(to, "custom_id", id);
  SHEAF__PUT(to, ",\"body\":");
  int32_t status = sheaf__job_put_body(to, body);
  SHEAF__PUT(to, "}\n");
  if (status == SHEAF_OK) status = to->status;
  if (status != SHEAF_OK) to->bytes = begin; /* never half a row */
  return status;
}

/* ---- Calls ---- */

static int32_t create_call(const sheaf_job_api *api, const sheaf_job_facts *facts,
                           sheaf_job_call *call) {
  sheaf_buf *body = call->head;
  const uint32_t hours = facts->window_hours ? facts->window_hours : api->traits.window_hours;
  if (facts->file.bytes == 0) return SHEAF_E_MISUSE;
  call->method = "POST";
  SHEAF__PUT(call->path, "/batch/jobs");
  SHEAF__PUT(body, "{\"input_files\":[");
  sheaf_buf_append_string(body, facts->file);
  SHEAF__PUT(body, "],\"endpoint\":\"/v1");
  sheaf_buf_append_escaped(body, facts->path);
  SHEAF__PUT(body, "\"");
  if (facts->model.bytes > 0) sheaf__job_put_text(body, "model", facts->model);
  sheaf__put_number(body, "timeout_hours", hours);
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
  SHEAF__PUT(call->path, "/batch/jobs?page=");
  if (facts->page.bytes > 0) {
    sheaf__job_put_segment(call->path, facts->page);
  } else {
    SHEAF__PUT(call->path, "0");
  }
  SHEAF__PUT(call->path, "&page_size=");
  sheaf_buf_append_u64(call->path, PAGE_JOBS);
  SHEAF__PUT(call->path, "&order_by=-created");
  return sheaf__job_call_status(call);
}

static int32_t job_call(sheaf_job_call *call, const char *method, sheaf_slice job,
                        const char *behind) {
  if (job.bytes == 0) return SHEAF_E_MISUSE;
  return sheaf__job_call_by_id(call, method, "/batch/jobs/", job, behind);
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

static const sheaf__job_word words[] = {
    {"queued", SHEAF_JOB_QUEUED_STATE},
    {"running", SHEAF_JOB_RUNNING_STATE},
    {"success", SHEAF_JOB_COMPLETED_STATE},
    {"failed", SHEAF_JOB_FAILED_STATE},
    {"timeout_exceeded", SHEAF_JOB_EXPIRED_STATE},
    {"cancellation_requested", SHEAF_JOB_ENDING_STATE},
    {"cancelled", SHEAF_JOB_CANCELLED_STATE},
};

static int32_t read_job(sheaf_slice object, sheaf_buf *scratch, sheaf_job_news *news) {
  static const char *const paths[SHEAF__JOB_PATHS] = {
      [SHEAF__JOB_AT_ID] = "id",
      [SHEAF__JOB_AT_STATUS] = "status",
      [SHEAF__JOB_AT_OUTPUT] = "output_file",
      [SHEAF__JOB_AT_ERRORS] = "error_file",
      [SHEAF__JOB_AT_MARKER] = "metadata.sheaf",
      [SHEAF__JOB_AT_CODE] = "errors[0].code", /* there is none as yet */
      [SHEAF__JOB_AT_MESSAGE] = "errors[0].message",
      [SHEAF__JOB_AT_TOTAL] = "total_requests",
      [SHEAF__JOB_AT_DONE] = "succeeded_requests", /* completed_requests are these and the failed */
      [SHEAF__JOB_AT_FAILED] = "failed_requests",
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

static uint64_t count_of(sheaf_slice array) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint64_t count = 0;
  if (sheaf_json_iter_init(&iter, array) != SHEAF_OK) return 0;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) count++;
  return count;
}

/* Pages are numbers from 0, and a page does not tell its own: *page brings it. How many jobs a page
 * holds is the server's to decide, so that only the total, or an empty page, tells where the list
 * ends: what is not found in it is created again. */
static int32_t page_end(sheaf_slice body, sheaf_buf *scratch, sheaf_slice *page) {
  static const char *const paths[] = {"data", "total"};
  sheaf_slice values[2];
  if (sheaf_json_pick(sheaf__document(body), paths, 2, values, NULL, NULL) != SHEAF_OK ||
      sheaf_json_kind(values[0]) != SHEAF_JSON_ARRAY) {
    return SHEAF_E_SYNTAX;
  }
  const int64_t asked = page->bytes ? sheaf__decimal(*page) : 0;
  const int64_t total = sheaf__count(values[1]);
  const uint64_t count = count_of(values[0]);
  const uint64_t next = asked >= 0 ? (uint64_t)asked + 1 : 1;
  *page = (sheaf_slice){NULL, 0};
  if (count == 0) return SHEAF_E_END;
  if (total != SHEAF_ABSENT && (uint64_t)total <= sheaf__mul_sat(next, count)) return SHEAF_E_END;
  const size_t from = scratch->bytes;
  if (sheaf_buf_append_u64(scratch, next) != SHEAF_OK) return scratch->status;
  *page = (sheaf_slice){scratch->data + from, scratch->bytes - from};
  return SHEAF_E_END;
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

/* ---- The table. Numbers: protocols 6 and 10; of two that are documented the smaller. ---- */

const sheaf_job_api sheaf__mistral_jobs = {
    .struct_bytes = sizeof(sheaf_job_api),
    .name = "mistral",
    .traits = {.requests_max = 100000,
               .bytes_max = 512000000,
               .flags =
                   SHEAF_JOBS_FILES | SHEAF_JOBS_MARKER | SHEAF_JOBS_PARTIAL | SHEAF_JOBS_ONE_MODEL,
               .window_hours = 24,
               .expires_hours = 24,
               .retention_hours = 24,
               .discount_pct = 50,
               .id_rule = "any text, each once",
               .caveats = "Chat and embeddings. Results stay for a day only: collect them in "
                          "time."},
    .offers = offers,
    .row = row,
    .row_body = sheaf__openai_row_body,
    .call = write_call,
    .read = read_reply,
    .listed = listed,
    .item = sheaf__openai_item,
};

#endif
