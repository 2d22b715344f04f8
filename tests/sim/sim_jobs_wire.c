/* sim_jobs_wire.c: reads calls and writes replies as the providers' documents say, apart from the
 * product's own readers and writers.
 *
 * Order: small readers, replies, uploads, rows of a job, creating, jobs as JSON, lists,
 * cancelling, downloads, live calls, the ways in. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- Small readers ---- */

static sheaf_slice all_of(const sj_text *t) {
  return (sheaf_slice){t->data ? t->data : "", t->bytes};
}

/* The text behind a word of the URL; NULL: it is not there. */
static const char *behind(const sj_call *call, const char *word) {
  const char *at = call->url.data ? strstr(call->url.data, word) : NULL;
  return at ? at + strlen(word) : NULL;
}

static const char *path_part(const char *at, char *to, size_t bytes) {
  size_t n = 0;
  while (at[n] && at[n] != '/' && at[n] != '?' && at[n] != ':' && n + 1 < bytes) to[n] = at[n], n++;
  to[n] = 0;
  return at + n;
}

static void query_of(const sj_call *call, const char *name, char *to, size_t bytes) {
  char wanted[32];
  to[0] = 0;
  const char *at = behind(call, "?");
  snprintf(wanted, sizeof wanted, "%s=", name);
  while (at) {
    if (strncmp(at, wanted, strlen(wanted)) == 0) {
      at += strlen(wanted);
      size_t n = 0;
      while (at[n] && at[n] != '&' && n + 1 < bytes) to[n] = at[n], n++;
      to[n] = 0;
      return;
    }
    at = strchr(at, '&');
    if (at) at++;
  }
}

static void copy_inside(sheaf_slice value, char *to, size_t bytes) {
  sheaf_slice inside = sheaf_json_inside(value);
  size_t n = inside.bytes < bytes - 1 ? inside.bytes : bytes - 1;
  if (n) memcpy(to, inside.data, n);
  to[n] = 0;
}

/* ---- Replies ---- */

static void answer(sj_call *call, uint32_t status) {
  call->status = status;
  call->reply.bytes = call->reply_headers.bytes = 0;
  SJ_PUT(&call->reply_headers, "content-type: application/json\n");
}

static void refuse(const sj_world *w, sj_call *call, uint32_t status, const char *message) {
  answer(call, status);
  uint32_t dialect = w->config.dialect[call->place];
  if (dialect == SJ_ANTHROPIC)
    SJ_PUT(
        &call->reply,
        "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"},\"request_id\":null}",
        status == 404 ? "not_found_error" : "invalid_request_error", message);
  else if (dialect == SJ_GEMINI)
    SJ_PUT(&call->reply, "{\"error\":{\"code\":%u,\"message\":\"%s\",\"status\":\"%s\"}}", status,
           message, status == 404 ? "NOT_FOUND" : "INVALID_ARGUMENT");
  else
    SJ_PUT(&call->reply,
           "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":null,"
           "\"code\":null}}",
           message);
}

/* ---- Uploads ---- */

/* The part of a form that has this name. */
static sheaf_slice form_part(const sj_call *call, const char *name) {
  sheaf_slice nothing = {NULL, 0}, body = all_of(&call->body);
  char wanted[48], edge[100];
  snprintf(wanted, sizeof wanted, "name=\"%s\"", name);
  size_t edge_bytes = 0;
  while (edge_bytes < body.bytes && body.data[edge_bytes] != '\r' && edge_bytes < sizeof edge - 1)
    edge_bytes++;
  memcpy(edge, body.data, edge_bytes);
  edge[edge_bytes] = 0;
  if (edge_bytes < 3 || memcmp(edge, "--", 2) != 0) return nothing;
  if (call->headers.data == NULL || strstr(call->headers.data, edge + 2) == NULL) return nothing;
  const char *head = call->body.data;
  for (;;) {
    const char *blank = strstr(head, "\r\n\r\n");
    if (blank == NULL) return nothing;
    const char *found = strstr(head, wanted);
    const char *end = blank + 4; /* the rows may hold anything but the boundary at a line's start */
    for (size_t left = body.bytes - (size_t)(end - body.data);; end++, left--) {
      if (left < edge_bytes + 2) return nothing;
      if (end[0] == '\r' && end[1] == '\n' && memcmp(end + 2, edge, edge_bytes) == 0) break;
    }
    if (found && found < blank) return (sheaf_slice){blank + 4, (size_t)(end - blank - 4)};
    head = end + 2;
    if (memcmp(head + edge_bytes, "--", 2) == 0) return nothing;
  }
}

static void upload_form(sj_world *w, sj_call *call) {
  sheaf_slice purpose = form_part(call, "purpose"), rows = form_part(call, "file");
  if (purpose.bytes != 5 || memcmp(purpose.data, "batch", 5) != 0 || rows.bytes == 0) {
    sj_fail(w, "an upload that cannot be read", call->body.bytes, call->number);
    refuse(w, call, 400, "no file");
    return;
  }
  sj_file *file = sj_file_new(w, call->place, "file-");
  sj_put_bytes(&file->text, rows.data, rows.bytes);
  answer(call, 200);
  SJ_PUT(&call->reply,
         "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%zu,\"created_at\":%lld,\"expires_at\":null,"
         "\"filename\":\"upload.jsonl\",\"purpose\":\"batch\",\"status\":\"processed\",\"status_"
         "details\":null}",
         file->id, rows.bytes, (long long)(SJ_UNIX_MS / 1000 + (int64_t)(w->now_ns / SJ_SECOND)));
}

/* Gemini: where to, then the bytes. */
static void upload_begin(sj_world *w, sj_call *call) {
  sj_file *file = sj_file_new(w, call->place, "files/u");
  answer(call, 200);
  SJ_PUT(&call->reply_headers, "X-Goog-Upload-URL: https://upload.example/resumable/%s\n",
         file->id);
  SJ_PUT(&call->reply_headers, "x-goog-upload-status: active\n");
  SJ_PUT(&call->reply, "{}");
}

static void upload_bytes(sj_world *w, sj_call *call, const char *id) {
  sj_file *file = sj_file_find(w, call->place, id);
  if (file == NULL || call->headers.data == NULL ||
      strstr(call->headers.data, "finalize") == NULL) {
    sj_fail(w, "an upload that was never begun, or not ended", call->number, 0);
    return;
  }
  file->text.bytes = 0;
  sj_put_bytes(&file->text, call->body.data, call->body.bytes);
  answer(call, 200);
  SJ_PUT(&call->reply, "{\"file\":{\"name\":\"%s\",\"expirationTime\":\"2026-01-01T00:00:00Z\"}}",
         file->id);
}

/* ---- Rows of a job ---- */

static bool add_row(sj_world *w, sj_job *job, sheaf_slice line) {
  static const char *const paths[] = {"custom_id", "params",       "body", "key",
                                      "request",   "metadata.key", "url",  "method"};
  enum { ID, PARAMS, BODY, KEY, REQUEST, INLINE_KEY, URL, METHOD };
  sheaf_slice v[8];
  if (sheaf_json_pick(line, paths, 8, v, NULL, NULL) != SHEAF_OK) {
    sj_fail(w, "a row that is not JSON", job->number, job->count);
    return false;
  }
  uint32_t dialect = w->config.dialect[job->place];
  sheaf_slice id = v[ID], body = v[BODY];
  if (dialect == SJ_ANTHROPIC) body = v[PARAMS];
  if (dialect == SJ_GEMINI) id = v[KEY].bytes ? v[KEY] : v[INLINE_KEY], body = v[REQUEST];
  if (sheaf_json_kind(body) != SHEAF_JSON_OBJECT) {
    sj_fail(w, "a row without its body", job->number, job->count);
    return false;
  }
  if (v[URL].bytes && sheaf_json_kind(sheaf_json_member(body, "stream")) == SHEAF_JSON_BOOL)
    sj_fail(w, "a streamed row in a job", job->number, job->count);
  bool wants_url = dialect == SJ_OPENAI || dialect == SJ_GROQ || dialect == SJ_AZURE;
  if (wants_url && (v[URL].bytes == 0 || !sheaf_json_equals(v[METHOD], "POST")))
    sj_fail(w, "a row without url or method", job->number, job->count);
  if (wants_url) {
    char url[80];
    copy_inside(v[URL], url, sizeof url);
    if (strcmp(url, job->endpoint) != 0) sj_fail(w, "url_mismatch", job->number, job->count);
  }
  int32_t row = sj_row_of(w, body.data, body.bytes);
  if (row >= 0) {
    const char *model = w->rows[row].model ? "mb" : "ma";
    if (job->model[0] && strcmp(job->model, model) != 0)
      sj_fail(w, "a job of two models", job->number, (uint64_t)row);
    snprintf(job->model, sizeof job->model, "%s", model);
  }
  return sj_job_add(w, job, sheaf_json_inside(id), body);
}

static void add_file(sj_world *w, sj_job *job, const sj_file *file) {
  const char *at = file->text.data, *end = at + file->text.bytes;
  while (at && at < end) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    size_t bytes = lf ? (size_t)(lf - at) : (size_t)(end - at);
    if (bytes && !add_row(w, job, (sheaf_slice){at, bytes})) return;
    at += bytes + 1;
  }
  if (job->count == 0) sj_fail(w, "an empty job", job->number, 0);
}

static void add_array(sj_world *w, sj_job *job, sheaf_slice array) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_iter_init(&iter, array) != SHEAF_OK) {
    sj_fail(w, "rows that are no list", job->number, 0);
    return;
  }
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (!add_row(w, job, value)) return;
  if (job->count == 0) sj_fail(w, "an empty job", job->number, 0);
}

/* ---- Jobs as JSON ---- */

static void put_time(sj_text *to, uint64_t at_ns, bool iso) {
  int64_t seconds = SJ_UNIX_MS / 1000 + (int64_t)(at_ns / SJ_SECOND);
  if (!iso) {
    SJ_PUT(to, "%lld", (long long)seconds);
    return;
  }
  /* Days to a date: Hinnant, chrono-compatible low-level date algorithms. */
  int64_t days = seconds / 86400 + 719468, rest = seconds % 86400, era = days / 146097;
  int64_t doe = days - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
  int64_t year = yoe + era * 400 + (month <= 2);
  SJ_PUT(to, "\"%04d-%02d-%02dT%02d:%02d:%02d.000123+00:00\"", (int)year, (int)month, (int)day,
         (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
}

static uint32_t count_of(const sj_job *job, bool good) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < job->count; i++) {
    uint32_t f = job->items[i].fate;
    bool bad = f == SJ_REFUSED || f == SJ_FAILS || f == SJ_THROTTLED || f == SJ_EXPIRES;
    if (job->out.bytes == 0) bad = true; /* none succeeded that is not shown */
    n += good ? !bad : bad;
  }
  return n;
}

static void put_openai(sj_world *w, sj_job *job, uint32_t state, sj_text *to) {
  static const char *const words[] = {
      [SHEAF_JOB_VALIDATING_STATE] = "validating", [SHEAF_JOB_RUNNING_STATE] = "in_progress",
      [SHEAF_JOB_ENDING_STATE] = "cancelling",     [SHEAF_JOB_COMPLETED_STATE] = "completed",
      [SHEAF_JOB_FAILED_STATE] = "failed",         [SHEAF_JOB_EXPIRED_STATE] = "expired",
      [SHEAF_JOB_CANCELLED_STATE] = "cancelled"};
  bool over = state >= SHEAF_JOB_COMPLETED_STATE && state != SHEAF_JOB_FAILED_STATE;
  bool azure = w->config.dialect[job->place] == SJ_AZURE;
  char word[24];
  snprintf(word, sizeof word, "%s", words[state]);
  if (azure && job->number % 2) word[0] = (char)(word[0] - 'a' + 'A');
  SJ_PUT(to, "{\"id\":\"%s\",\"object\":\"batch\",\"endpoint\":\"%s\",\"errors\":", job->id,
         job->endpoint);
  if (state == SHEAF_JOB_FAILED_STATE)
    SJ_PUT(to,
           "{\"object\":\"list\",\"data\":[{\"code\":\"%s\",\"line\":null,\"message\":\"%s\","
           "\"param\":null}]}",
           job->fate == SJ_FULL ? "token_limit_exceeded" : "invalid_json_line",
           job->fate == SJ_FULL ? "Enqueued token limit reached for ma"
                                : "This line is not parseable");
  else
    SJ_PUT(to, "null");
  SJ_PUT(to, ",\"input_file_id\":\"%s\",\"completion_window\":\"24h\",\"status\":\"%s\"",
         job->input, word);
  bool shown = over && job->shown_ns <= w->now_ns; /* the ids of the files may come later */
  if (shown && job->out.bytes)
    SJ_PUT(to, ",\"output_file_id\":\"file-out%u\"", job->number);
  else
    SJ_PUT(to, ",\"output_file_id\":null");
  if (shown && (job->errors.bytes || azure))
    SJ_PUT(to, ",\"error_file_id\":\"file-err%u\"", job->number);
  else
    SJ_PUT(to, ",\"error_file_id\":null");
  SJ_PUT(to, ",\"created_at\":");
  put_time(to, job->created_ns, azure && job->number % 3 == 0);
  bool counts = state != SHEAF_JOB_VALIDATING_STATE && state != SHEAF_JOB_FAILED_STATE;
  SJ_PUT(to, ",\"request_counts\":{\"total\":%u,\"completed\":%u,\"failed\":%u},\"metadata\":%s}",
         counts ? job->count : 0, over ? count_of(job, true) : 0, over ? count_of(job, false) : 0,
         job->metadata[0] ? job->metadata : "null");
}

static void put_anthropic(sj_job *job, uint32_t state, sj_text *to) {
  bool over = state >= SHEAF_JOB_COMPLETED_STATE;
  SJ_PUT(
      to,
      "{\"id\":\"%s\",\"type\":\"message_batch\",\"processing_status\":\"%s\",\"request_counts\":{"
      "\"processing\":%u,\"succeeded\":%u,\"errored\":%u,\"canceled\":0,\"expired\":0},\"created_"
      "at\":",
      job->id,
      over                              ? "ended"
      : state == SHEAF_JOB_ENDING_STATE ? "canceling"
                                        : "in_progress",
      over ? 0 : job->count, over ? count_of(job, true) : 0, over ? count_of(job, false) : 0);
  put_time(to, job->created_ns, true);
  SJ_PUT(to, ",\"expires_at\":");
  put_time(to, job->created_ns + 24 * SJ_HOUR, true);
  SJ_PUT(to, ",\"ended_at\":%s,\"cancel_initiated_at\":null,\"archived_at\":null,\"results_url\":",
         over ? "\"2025-10-10T00:00:00Z\"" : "null");
  if (over)
    SJ_PUT(to, "\"https://api.anthropic.com/v1/messages/batches/%s/results\"}", job->id);
  else
    SJ_PUT(to, "null}");
}

/* The lines as they stand in an inline reply. */
static void put_inline(sj_job *job, sj_text *to) {
  SJ_PUT(to, "\"inlinedResponses\":{\"inlinedResponses\":[");
  bool first = true;
  for (const char *at = job->out.data, *end = at ? at + job->out.bytes : at; at < end;) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    size_t bytes = lf ? (size_t)(lf - at) : (size_t)(end - at);
    const char *colon = bytes > 8 && memcmp(at, "{\"key\":", 7) == 0 ? strstr(at, "\",\"") : NULL;
    if (colon && colon < at + bytes) { /* {"key":"K",… is {"metadata":{"key":"K"},… there */
      SJ_PUT(to, "%s{\"metadata\":{", first ? "" : ",");
      sj_put_bytes(to, at + 1, (size_t)(colon - at));
      SJ_PUT(to, "}");
      sj_put_bytes(to, colon + 1, bytes - (size_t)(colon + 1 - at));
      first = false;
    }
    at += bytes + 1;
  }
  SJ_PUT(to, "]}");
}

static void put_gemini(sj_job *job, uint32_t state, sj_text *to) {
  static const char *const words[] = {
      [SHEAF_JOB_VALIDATING_STATE] = "PENDING", [SHEAF_JOB_RUNNING_STATE] = "RUNNING",
      [SHEAF_JOB_ENDING_STATE] = "RUNNING",     [SHEAF_JOB_COMPLETED_STATE] = "SUCCEEDED",
      [SHEAF_JOB_FAILED_STATE] = "FAILED",      [SHEAF_JOB_EXPIRED_STATE] = "EXPIRED",
      [SHEAF_JOB_CANCELLED_STATE] = "CANCELLED"};
  bool over = state >= SHEAF_JOB_COMPLETED_STATE;
  SJ_PUT(to,
         "{\"name\":\"%s\",\"metadata\":{\"@type\":\"type.googleapis.com/"
         "x.GenerateContentBatch\",\"model\":"
         "\"models/%s\",\"displayName\":\"%s\",\"createTime\":",
         job->id, job->model, job->marker);
  put_time(to, job->created_ns, true);
  SJ_PUT(to, ",\"batchStats\":{\"requestCount\":\"%u\"", job->count);
  if (!over) SJ_PUT(to, ",\"pendingRequestCount\":\"%u\"", job->count);
  SJ_PUT(to, "},\"state\":\"BATCH_STATE_%s\",\"name\":\"%s\"}", words[state], job->id);
  if (over) SJ_PUT(to, ",\"done\":true");
  if (state == SHEAF_JOB_FAILED_STATE)
    SJ_PUT(to, ",\"error\":{\"code\":%d,\"message\":\"m\"}", job->fate == SJ_FULL ? 8 : 3);
  if (over && state != SHEAF_JOB_FAILED_STATE) {
    SJ_PUT(to, ",\"response\":{\"@type\":\"type.googleapis.com/x.GenerateContentBatchOutput\",");
    if (job->input[0])
      SJ_PUT(to, "\"responsesFile\":\"files/batch-%u\"", job->number);
    else
      put_inline(job, to);
    SJ_PUT(to, "}");
  }
  SJ_PUT(to, "}");
}

static void put_mistral(sj_job *job, uint32_t state, sj_text *to) {
  static const char *const words[] = {[SHEAF_JOB_VALIDATING_STATE] = "QUEUED",
                                      [SHEAF_JOB_RUNNING_STATE] = "RUNNING",
                                      [SHEAF_JOB_ENDING_STATE] = "CANCELLATION_REQUESTED",
                                      [SHEAF_JOB_COMPLETED_STATE] = "SUCCESS",
                                      [SHEAF_JOB_FAILED_STATE] = "FAILED",
                                      [SHEAF_JOB_EXPIRED_STATE] = "TIMEOUT_EXCEEDED",
                                      [SHEAF_JOB_CANCELLED_STATE] = "CANCELLED"};
  bool over = state >= SHEAF_JOB_COMPLETED_STATE && state != SHEAF_JOB_FAILED_STATE;
  SJ_PUT(to,
         "{\"id\":\"%s\",\"object\":\"batch\",\"input_files\":[\"%s\"],\"endpoint\":\"%s\","
         "\"model\":\"%s\","
         "\"metadata\":%s,\"status\":\"%s\",\"created_at\":",
         job->id, job->input, job->endpoint, job->model, job->metadata[0] ? job->metadata : "null",
         words[state]);
  put_time(to, job->created_ns, false);
  if (over && job->out.bytes)
    SJ_PUT(to, ",\"output_file\":\"file-out%u\"", job->number);
  else
    SJ_PUT(to, ",\"output_file\":null");
  if (over && job->errors.bytes)
    SJ_PUT(to, ",\"error_file\":\"file-err%u\"", job->number);
  else
    SJ_PUT(to, ",\"error_file\":null");
  SJ_PUT(
      to,
      ",\"errors\":[%s],\"total_requests\":%u,\"completed_requests\":%u,\"succeeded_requests\":%u,"
      "\"failed_requests\":%u}",
      state == SHEAF_JOB_FAILED_STATE ? "{\"message\":\"bad\",\"count\":1}" : "", job->count,
      over ? job->count : 0, over ? count_of(job, true) : 0, over ? count_of(job, false) : 0);
}

static void put_job(sj_world *w, sj_job *job, sj_text *to) {
  uint32_t state = sj_job_state(w, job);
  if (state == SHEAF_JOB_FAILED_STATE) job->told_failed = true;
  switch (w->config.dialect[job->place]) {
    case SJ_ANTHROPIC: put_anthropic(job, state, to); break;
    case SJ_GEMINI: put_gemini(job, state, to); break;
    case SJ_MISTRAL: put_mistral(job, state, to); break;
    default: put_openai(w, job, state, to); break;
  }
}

/* ---- Creating ---- */

static void use_file(sj_world *w, sj_call *call, sj_job *job, sheaf_slice id) {
  copy_inside(id, job->input, sizeof job->input);
  const sj_file *file = sj_file_find(w, call->place, job->input);
  if (file == NULL)
    sj_fail(w, "a job of a file that is not there", call->number, 0);
  else
    add_file(w, job, file);
}

static void create(sj_world *w, sj_call *call) {
  static const char *const paths[] = {"input_file_id",
                                      "endpoint",
                                      "metadata",
                                      "requests",
                                      "input_files[0]",
                                      "model",
                                      "batch.displayName",
                                      "batch.inputConfig.fileName",
                                      "batch.inputConfig.requests.requests",
                                      "completion_window"};
  enum { FILE_ID, ENDPOINT, METADATA, REQUESTS, FILES, MODEL, NAME, FILE_NAME, INLINE, WINDOW };
  sheaf_slice v[10];
  if (sheaf_json_pick(all_of(&call->body), paths, 10, v, NULL, NULL) != SHEAF_OK) {
    sj_fail(w, "a create that is not JSON", call->number, call->body.bytes);
    return;
  }
  uint32_t dialect = w->config.dialect[call->place];
  sj_job *job = sj_job_new(w, call->place, call->started_ns);
  copy_inside(v[ENDPOINT], job->endpoint, sizeof job->endpoint);
  if (v[METADATA].bytes && v[METADATA].bytes < sizeof job->metadata)
    memcpy(job->metadata, v[METADATA].data, v[METADATA].bytes);
  if (dialect == SJ_GEMINI) {
    copy_inside(v[NAME], job->marker, sizeof job->marker);
    if (v[FILE_NAME].bytes)
      use_file(w, call, job, v[FILE_NAME]);
    else
      add_array(w, job, v[INLINE]);
  } else if (dialect == SJ_ANTHROPIC) {
    add_array(w, job, v[REQUESTS]);
  } else if (dialect == SJ_MISTRAL) {
    if (v[FILES].bytes)
      use_file(w, call, job, v[FILES]);
    else
      add_array(w, job, v[REQUESTS]);
  } else {
    if (v[WINDOW].bytes == 0) sj_fail(w, "no completion_window", call->number, 0);
    use_file(w, call, job, v[FILE_ID]);
  }
  if (w->failure[0]) return;
  sj_job_created(w, job);
  answer(call, 200);
  put_job(w, job, &call->reply);
}

/* ---- Lists, newest first ---- */

static int newer(const void *a, const void *b) {
  const sj_job *const *x = a, *const *y = b;
  if ((*x)->created_ns != (*y)->created_ns) return (*x)->created_ns > (*y)->created_ns ? -1 : 1;
  return (*x)->number > (*y)->number ? -1 : 1;
}

static void list(sj_world *w, sj_call *call) {
  uint32_t dialect = w->config.dialect[call->place], count = 0, at = 0;
  sj_job **jobs = malloc(SJ_JOBS_MAX * sizeof *jobs);
  if (jobs == NULL) abort();
  for (uint32_t i = 0; i < w->job_count; i++)
    if (w->jobs[i].place == call->place && sj_job_listed(w, &w->jobs[i]))
      jobs[count++] = &w->jobs[i];
  qsort(jobs, count, sizeof *jobs, newer);
  char after[64], size[16], page[16];
  query_of(call,
           dialect == SJ_ANTHROPIC ? "after_id"
           : dialect == SJ_GEMINI  ? "pageToken"
                                   : "after",
           after, sizeof after);
  query_of(call,
           dialect == SJ_GEMINI    ? "pageSize"
           : dialect == SJ_MISTRAL ? "page_size"
                                   : "limit",
           size, sizeof size);
  query_of(call, "page", page, sizeof page);
  uint32_t most = size[0] ? (uint32_t)strtoul(size, NULL, 10) : 20;
  if (dialect == SJ_MISTRAL)
    at =
        (uint32_t)strtoul(page, NULL, 10) * most; /* exactly as many as asked: there is no "more" */
  else if (most > w->config.page_rows)
    most = w->config.page_rows;
  if (after[0] && dialect != SJ_MISTRAL) {
    while (at < count && strcmp(jobs[at]->id + (dialect == SJ_GEMINI ? 8 : 0), after) != 0) at++;
    at++;
  }
  uint32_t end = at + most < count ? at + most : count;
  answer(call, 200);
  SJ_PUT(&call->reply, "{\"object\":\"list\",\"%s\":[",
         dialect == SJ_GEMINI ? "operations" : "data");
  for (uint32_t i = at; i < end; i++) {
    if (i > at) SJ_PUT(&call->reply, ",");
    put_job(w, jobs[i], &call->reply);
  }
  SJ_PUT(&call->reply, "]");
  bool more = end < count;
  if (dialect == SJ_GEMINI && more)
    SJ_PUT(&call->reply, ",\"nextPageToken\":\"%s\"", jobs[end - 1]->id + 8);
  else if (dialect == SJ_MISTRAL)
    SJ_PUT(&call->reply, ",\"total\":%u", count);
  else if (dialect != SJ_GEMINI)
    SJ_PUT(&call->reply, ",\"first_id\":\"%s\",\"last_id\":\"%s\",\"has_more\":%s",
           at < end ? jobs[at]->id : "", at < end ? jobs[end - 1]->id : "",
           more ? "true" : "false");
  SJ_PUT(&call->reply, "}");
  free(jobs);
}

/* ---- One job ---- */

static void one_job(sj_world *w, sj_call *call, const char *id, bool cancels) {
  sj_job *job = sj_job_find(w, call->place, id);
  if (job == NULL || job->known_ns > w->now_ns) {
    refuse(w, call, 404, "No batch found");
    return;
  }
  sj_check_known(w, job);
  uint32_t state = sj_job_state(w, job);
  if (cancels && job->final && w->config.dialect[job->place] != SJ_GEMINI) {
    refuse(w, call, 409, "Cannot cancel a batch that is over");
    return;
  }
  (void)state;
  if (cancels && !job->final && !job->cancel_ns) job->cancel_ns = w->now_ns;
  answer(call, 200);
  if (w->config.dialect[job->place] == SJ_ANTHROPIC && !job->final)
    SJ_PUT(&call->reply_headers, "retry-after: 10\n");
  if (cancels && w->config.dialect[job->place] == SJ_GEMINI)
    SJ_PUT(&call->reply, "{}");
  else
    put_job(w, job, &call->reply);
}

static void download(sj_world *w, sj_call *call, sj_job *job, bool errors) {
  if (job != NULL) sj_job_settle(w, job);
  if (job == NULL || !job->final || job->ready_ns > w->now_ns) {
    refuse(w, call, 404, "No such File object");
    return;
  }
  const sj_text *text = errors ? &job->errors : &job->out;
  answer(call, 200);
  call->reply_headers.bytes = 0;
  SJ_PUT(&call->reply_headers, "content-type: application/octet-stream\n");
  sj_put_bytes(&call->reply, text->data, text->bytes);
}

static void file_call(sj_world *w, sj_call *call, const char *at) {
  char id[64];
  uint32_t number;
  const char *rest = path_part(at, id, sizeof id);
  bool deletes = strcmp(call->method, "DELETE") == 0;
  if (!deletes &&
      (sscanf(id, "file-out%u", &number) == 1 || sscanf(id, "file-err%u", &number) == 1) &&
      number < w->job_count && strncmp(rest, "/content", 8) == 0) {
    download(w, call, &w->jobs[number], id[5] == 'e');
    return;
  }
  char name[72];
  snprintf(name, sizeof name, "%s%s", w->config.dialect[call->place] == SJ_GEMINI ? "files/" : "",
           id);
  sj_file *file = sj_file_find(w, call->place, name);
  if (file == NULL) {
    refuse(w, call, 404, "No such File object");
    return;
  }
  for (uint32_t i = 0; deletes && !w->doubled && i < w->job_count; i++)
    if (w->jobs[i].place == call->place && strcmp(w->jobs[i].input, name) == 0 &&
        !w->jobs[i].final && !w->flights[w->jobs[i].flight].abandoned)
      sj_fail(w, "the input of a job that is not over was deleted", i, call->number);
  if (deletes) file->deleted = true;
  answer(call, 200);
  SJ_PUT(&call->reply, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}", file->id);
}

/* ---- Live calls ---- */

static void live(sj_world *w, sj_call *call) {
  int32_t row = sj_row_of(w, call->body.data, call->body.bytes);
  if (row < 0) {
    sj_fail(w, "a live call of no row", call->number, 0);
    return;
  }
  w->lives++;
  w->rows[row].lives++;
  uint64_t fate = sj_calm(w) ? 999 : sj_draw(&w->config, 1000, SJ_CALL, call->number, 40);
  if (fate < 30) {
    refuse(w, call, 400, "m");
    return;
  }
  sj_charge(w, row, sj_price(row, true), true);
  answer(call, 200);
  sj_render_reply(&call->reply, w->config.dialect[call->place], w, row,
                  sj_hash(call->body.data, call->body.bytes));
}

/* ---- The ways in ---- */

static const char *const job_words[SJ_DIALECTS] = {
    "/v1/batches", "/v1/messages/batches", "/batches", "/v1/batch/jobs", "/v1/batches", "/batches"};

bool sj_is_job_call(const sj_call *call) {
  static const char *const words[] = {"/batches", "/batch/jobs", "/files", ":batchGenerateContent",
                                      "/resumable/"};
  for (uint32_t i = 0; i < 5; i++)
    if (behind(call, words[i])) return true;
  return false;
}

bool sj_is_create(const sj_world *w, const sj_call *call) {
  if (strcmp(call->method, "POST") != 0) return false;
  if (w->config.dialect[call->place] == SJ_GEMINI)
    return behind(call, ":batchGenerateContent") != NULL;
  const char *at = behind(call, job_words[w->config.dialect[call->place]]);
  return at && (*at == 0 || *at == '?');
}

static void gemini(sj_world *w, sj_call *call) {
  char id[64], name[80];
  const char *at;
  if (behind(call, ":batchGenerateContent")) {
    create(w, call);
  } else if ((at = behind(call, "/resumable/"))) {
    upload_bytes(w, call, at);
  } else if (behind(call, "/upload/v1beta/files")) {
    upload_begin(w, call);
  } else if ((at = behind(call, "/download/v1beta/files/batch-"))) {
    uint32_t number = (uint32_t)strtoul(at, NULL, 10);
    download(w, call, number < w->job_count ? &w->jobs[number] : NULL, false);
  } else if ((at = behind(call, "/files/"))) {
    file_call(w, call, at);
  } else if ((at = behind(call, "/batches/"))) {
    at = path_part(at, id, sizeof id);
    snprintf(name, sizeof name, "batches/%s", id);
    one_job(w, call, name, strncmp(at, ":cancel", 7) == 0);
  } else if (behind(call, "/batches")) {
    list(w, call);
  } else {
    live(w, call);
  }
}

void sj_act(sj_world *w, sj_call *call) {
  char id[64];
  call->acted = true;
  if (w->config.dialect[call->place] == SJ_GEMINI) {
    gemini(w, call);
    return;
  }
  const char *at = behind(call, "/files");
  if (at) {
    if (strcmp(call->method, "POST") == 0)
      upload_form(w, call);
    else
      file_call(w, call, *at == '/' ? at + 1 : at);
    return;
  }
  at = behind(call, job_words[w->config.dialect[call->place]]);
  if (at == NULL) {
    live(w, call);
  } else if (*at == '/') {
    at = path_part(at + 1, id, sizeof id);
    if (strncmp(at, "/results", 8) == 0)
      download(w, call, sj_job_find(w, call->place, id), false);
    else
      one_job(w, call, id, strncmp(at, "/cancel", 7) == 0);
  } else if (strcmp(call->method, "POST") == 0) {
    create(w, call);
  } else {
    list(w, call);
  }
}
