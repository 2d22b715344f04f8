/* test_sim_batch_gemini.c: the simulator's batch jobs and files as the Gemini API has them, over real
 * sockets, against Google's discovery document, its client and its published examples.
 *
 *   files     resumable uploads in one piece and in several, lists, downloads
 *   inline    operations over time, answers in the order of the requests, as live
 *   by file   lines with keys, a response file
 *   ends      failed, cancelled, expired; refusals; lists */
#include "../support/sim_batch_test.h"

#define MODEL "/v1beta/models/gem-x"
#define CREATE MODEL ":batchGenerateContent"
#define KEY "x-goog-api-key: k"
#define CONTENT(text, rest) \
  "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"" text "\"}]}]" rest "}"
#define ROW(key, rest) \
  "{\"request\":" CONTENT("hello " key, rest) ",\"metadata\":{\"key\":\"" key "\"}}"
#define INLINE(rows)                                                                            \
  "{\"batch\":{\"displayName\":\"my batch\",\"inputConfig\":{\"requests\":{\"requests\":[" rows \
  "]}}}}"
#define THREE INLINE(ROW("a", "") "," ROW("b", "") "," ROW("c", ""))
#define LINE(key, rest) "{\"key\":\"" key "\",\"request\":" CONTENT("hello " key, rest) "}\n"
#define BAD ",\"generationConfig\":{\"temperature\":9}"
#define OVER " BATCH_STATE_SUCCEEDED BATCH_STATE_FAILED BATCH_STATE_CANCELLED BATCH_STATE_EXPIRED "

/* ---- Helpers ---- */

/* Posts bytes with two headers of an upload. */
static void post(const sheaf_sim *sim, reply *got, const char *path, const char *bytes,
                 const char *first, const char *second) {
  fetch_with(sim, got, "POST", path, bytes, first, second);
}

/* Begins an upload and copies where its bytes go. */
static void begin_upload(const sheaf_sim *sim, char path[PATH_ROOM]) {
  reply got;
  struct curl_slist *headers = curl_slist_append(NULL, "X-Goog-Upload-Protocol: resumable");
  headers = curl_slist_append(headers, "X-Goog-Upload-Command: start");
  headers = curl_slist_append(headers, "X-Goog-Upload-Header-Content-Type: application/jsonl");
  reply_init(&got);
  CURL *easy = make(sim, &got, "/upload/v1beta/files", "{\"file\":{\"display_name\":\"my rows\"}}",
                    headers, 20000);
  got.code = curl_easy_perform(easy);
  assert_int_equal(got.code, CURLE_OK);
  finish(easy, &got);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  assert_int_equal(got.status, 200);
  assert_header(&got, "x-goog-upload-status", "active");
  const char *url = header_of(&got, "x-goog-upload-url"), *base = sheaf_sim_url(sim);
  assert_non_null(url);
  assert_begins(url, base);
  copy_text(path, PATH_ROOM, url + strlen(base));
  reply_deinit(&got);
}

static void upload_lines(const sheaf_sim *sim, const char *text, char name[ID_MAX]) {
  char path[PATH_ROOM];
  reply got;
  begin_upload(sim, path);
  post(sim, &got, path, text, "X-Goog-Upload-Offset: 0", "X-Goog-Upload-Command: upload, finalize");
  assert_int_equal(got.status, 200);
  assert_header(&got, "x-goog-upload-status", "final");
  copy_text(name, ID_MAX, pick(&got, "file.name"));
  reply_deinit(&got);
}

static void begin(const sheaf_sim *sim, const char *body, char path[PATH_ROOM]) {
  reply got;
  fetch_200(sim, &got, "POST", CREATE, body, KEY);
  join_path(path, "/v1beta/", pick(&got, "name"), "");
  reply_deinit(&got);
}

static void begin_file(const sheaf_sim *sim, const char *text, char path[PATH_ROOM]) {
  char name[ID_MAX], body[256];
  upload_lines(sim, text, name);
  snprintf(body, sizeof body, "{\"batch\":{\"inputConfig\":{\"fileName\":\"%s\"}}}", name);
  begin(sim, body, path);
}

static void wait_over(const sheaf_sim *sim, const char *path, reply *got) {
  wait_for(sim, got, path, KEY, "metadata.state", OVER);
}

static void assert_refusal(const reply *got, long status, const char *name) {
  if (got->status != status) print_error("%s\n", got->text);
  assert_int_equal(got->status, status);
  assert_int_equal(pick_int(got, "error.code"), status);
  assert_in(got, "error.status", name);
  assert_true(strlen(pick(got, "error.message")) > 4);
}

/* ---- Files ---- */

static void an_upload_in_one_piece_is_a_file(void **state) {
  (void)state;
  char name[ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  upload_lines(sim, "{}\n", name);
  assert_begins(name, "files/");
  join_path(path, "/v1beta/", name, "");
  fetch_200(sim, &got, "GET", path, NULL, KEY);
  assert_in(&got, "name", name);
  assert_in(&got, "displayName", "my rows");
  assert_in(&got, "mimeType", "application/jsonl");
  assert_in(&got, "sizeBytes", "3");
  assert_in(&got, "state", "ACTIVE");
  assert_in(&got, "source", "UPLOADED");
  assert_int_equal(strlen(pick(&got, "expirationTime")), strlen("2026-01-02T03:04:05.678901Z"));
  reply_deinit(&got);
  fetch_200(sim, &got, "DELETE", path, NULL, KEY);
  assert_string_equal(got.text, "{}");
  reply_deinit(&got);
  fetch_with(sim, &got, "GET", path, NULL, KEY, NULL);
  assert_refusal(&got, 403, "PERMISSION_DENIED");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void an_upload_in_pieces_goes_on_where_it_stands(void **state) {
  (void)state;
  char path[PATH_ROOM], name[ID_MAX], content[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  begin_upload(sim, path);
  post(sim, &got, path, "first,", "X-Goog-Upload-Offset: 0", "X-Goog-Upload-Command: upload");
  assert_header(&got, "x-goog-upload-status", "active");
  reply_deinit(&got);
  post(sim, &got, path, "lost", "X-Goog-Upload-Offset: 7", "X-Goog-Upload-Command: upload");
  assert_refusal(&got, 400, "INVALID_ARGUMENT");
  reply_deinit(&got);
  post(sim, &got, path, "", "X-Goog-Upload-Command: query", NULL);
  assert_header(&got, "x-goog-upload-status", "active");
  assert_header(&got, "x-goog-upload-size-received", "6");
  reply_deinit(&got);
  post(sim, &got, path, "second", "X-Goog-Upload-Offset: 6",
       "X-Goog-Upload-Command: upload, finalize");
  assert_header(&got, "x-goog-upload-status", "final");
  assert_in(&got, "file.sizeBytes", "12");
  copy_text(name, sizeof name, pick(&got, "file.name"));
  reply_deinit(&got);
  post(sim, &got, path, "more", "X-Goog-Upload-Offset: 12", "X-Goog-Upload-Command: upload");
  assert_refusal(&got, 400, "FAILED_PRECONDITION");
  reply_deinit(&got);
  join_path(content, "/download/v1beta/", name, ":download?alt=media");
  fetch_200(sim, &got, "GET", content, NULL, KEY);
  assert_string_equal(got.text, "first,second");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void what_is_not_finalized_is_no_file(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  begin_upload(sim, path);
  fetch_200(sim, &got, "GET", "/v1beta/files", NULL, KEY);
  assert_string_equal(got.text, "{}");
  reply_deinit(&got);
  post(sim, &got, "/upload/v1beta/files", "{}", "X-Goog-Upload-Protocol: raw", NULL);
  assert_refusal(&got, 400, "INVALID_ARGUMENT");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void files_are_listed_in_pages(void **state) {
  (void)state;
  char names[3][ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  for (int i = 0; i < 3; i++) upload_lines(sim, "{}\n", names[i]);
  fetch_200(sim, &got, "GET", "/v1beta/files?pageSize=2", NULL, KEY);
  assert_in(&got, "files[0].name", names[2]);
  assert_in(&got, "files[1].name", names[1]);
  assert_in(&got, "files[2]", "");
  join_path(path, "/v1beta/files?pageSize=2&pageToken=", pick(&got, "nextPageToken"), "");
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", path, NULL, KEY);
  assert_in(&got, "files[0].name", names[0]);
  assert_in(&got, "nextPageToken", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Inline ---- */

static void a_new_job_is_pending(void **state) {
  (void)state;
  static const char *const absent[] = {"done",
                                       "response",
                                       "error",
                                       "metadata.endTime",
                                       "metadata.output",
                                       "metadata.batchStats.successfulRequestCount"};
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  fetch_200(sim, &got, "POST", CREATE, THREE, KEY);
  assert_begins(pick(&got, "name"), "batches/");
  assert_in(&got, "metadata.model", "models/gem-x");
  assert_in(&got, "metadata.displayName", "my batch");
  assert_in(&got, "metadata.state", "BATCH_STATE_PENDING");
  assert_in(&got, "metadata.batchStats.requestCount", "3");
  assert_in(&got, "metadata.batchStats.pendingRequestCount", "3");
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) assert_in(&got, absent[i], "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void inline_answers_come_in_the_order_of_the_requests(void **state) {
  (void)state;
  static const char *const places[] = {"metadata.output", "response"};
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  begin(sim, INLINE(ROW("a", "") "," ROW("b", BAD) "," ROW("c", "")), path);
  wait_over(sim, path, &got);
  assert_in(&got, "metadata.state", "BATCH_STATE_SUCCEEDED"); /* although one row failed */
  assert_in(&got, "done", "true");
  assert_in(&got, "metadata.batchStats.requestCount", "3");
  assert_in(&got, "metadata.batchStats.successfulRequestCount", "2");
  assert_in(&got, "metadata.batchStats.failedRequestCount", "1");
  assert_in(&got, "metadata.batchStats.pendingRequestCount", "");
  assert_true(strlen(pick(&got, "metadata.endTime")) > 0);
  for (size_t i = 0; i < 2; i++) {
    char at[96];
    sheaf_slice row;
    for (unsigned n = 0; n < 3; n++) {
      static const char *const keys[] = {"a", "b", "c"};
      snprintf(at, sizeof at, "%s.inlinedResponses.inlinedResponses[%u]", places[i], n);
      const char *const paths[] = {at};
      assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got.body), paths, 1, &row, NULL, NULL),
                       SHEAF_OK);
      assert_at(row, "metadata.key", keys[n]);
      if (n == 1) {
        assert_at(row, "error.code", "3"); /* google.rpc.Code INVALID_ARGUMENT */
        assert_at(row, "response", "");
      } else {
        char text[32];
        snprintf(text, sizeof text, "echo: hello %s", keys[n]);
        assert_at(row, "response.candidates[0].content.parts[0].text", text);
        assert_at(row, "response.candidates[0].finishReason", "STOP");
        assert_at(row, "error", "");
      }
    }
  }
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed_batch.requests"), 2);
  sheaf_sim_stop(sim);
}

static void a_row_that_is_nobodys_is_an_inline_answer_with_a_key_of_its_own(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "duplicate,foreign", NULL);
  begin(sim, INLINE(ROW("a", "")), path);
  wait_over(sim, path, &got);
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got.body), NULL), SHEAF_OK);
  assert_in(&got, "response.inlinedResponses.inlinedResponses[0].metadata.key", "a");
  assert_in(&got, "response.inlinedResponses.inlinedResponses[1].metadata.key", "a");
  assert_in(&got, "response.inlinedResponses.inlinedResponses[2].metadata.key",
            "sheaf-nobody-gave-this");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void embeddings_run_in_jobs_of_their_own(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "dimensions", "4", NULL);
  fetch_200(sim, &got, "POST", MODEL ":asyncBatchEmbedContent",
            INLINE("{\"request\":{\"content\":{\"parts\":[{\"text\":\"x\"}]}}}"), KEY);
  join_path(path, "/v1beta/", pick(&got, "name"), "");
  reply_deinit(&got);
  wait_over(sim, path, &got);
  assert_true(strlen(pick(&got,
                          "response.inlinedResponses.inlinedResponses[0].response."
                          "embedding.values[3]")) > 0);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- By file ---- */

static void a_file_of_lines_gives_a_file_of_lines(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got, results;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  begin_file(sim, LINE("a", "") LINE("b", BAD) LINE("c", ""), path);
  wait_over(sim, path, &got);
  assert_in(&got, "metadata.state", "BATCH_STATE_SUCCEEDED");
  assert_begins(pick(&got, "metadata.output.responsesFile"), "files/batch-");
  join_path(path, "/download/v1beta/", pick(&got, "response.responsesFile"), ":download?alt=media");
  fetch_200(sim, &results, "GET", path, NULL, KEY);
  assert_int_equal(count_lines(&results), 3);
  assert_true(strcmp(pick_in(line_at(&results, 0), "key"), "a") != 0);
  assert_at(line_of(&results, "key", "c"), "response.candidates[0].content.parts[0].text",
            "echo: hello c");
  assert_at(line_of(&results, "key", "b"), "error.code", "3");
  assert_true(strlen(pick_in(line_of(&results, "key", "b"), "error.message")) > 8);
  reply_deinit(&results);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_row_gets_byte_by_byte_what_its_request_gets_live(void **state) {
  (void)state;
  static const char *const response[] = {"response"};
  static const char body[] = CONTENT("x", ",\"generationConfig\":{\"maxOutputTokens\":5}");
  char path[PATH_ROOM], lines[512];
  sheaf_slice row;
  reply got, results, live;
  sheaf_sim *sim = start("batch-time", "0", "answer", "lorem:20", NULL);
  sheaf_sim *other = start("answer", "lorem:20", NULL);
  snprintf(lines, sizeof lines, "{\"key\":\"a\",\"request\":%s}\n", body);
  begin_file(sim, lines, path);
  wait_over(sim, path, &got);
  join_path(path, "/v1beta/", pick(&got, "response.responsesFile"), ":download?alt=media");
  fetch_200(sim, &results, "GET", path, NULL, KEY);
  fetch_200(other, &live, "POST", MODEL ":generateContent", body, KEY);
  assert_int_equal(sheaf_json_pick(line_at(&results, 0), response, 1, &row, NULL, NULL), SHEAF_OK);
  assert_int_equal(row.bytes, live.body.bytes);
  assert_memory_equal(row.data, live.body.data, row.bytes);
  reply_deinit(&live);
  reply_deinit(&results);
  reply_deinit(&got);
  sheaf_sim_stop(other);
  sheaf_sim_stop(sim);
}

/* ---- Ends ---- */

static void a_file_that_is_wrong_fails_the_job(void **state) {
  (void)state;
  static const char *const inputs[] = {LINE("a", "") "no JSON\n", "{\"key\":\"a\"}\n", "\n"};
  sheaf_sim *sim = start("batch-time", "0", NULL);
  for (size_t i = 0; i < 3; i++) {
    char path[PATH_ROOM];
    reply got;
    begin_file(sim, inputs[i], path);
    wait_over(sim, path, &got);
    assert_in(&got, "metadata.state", "BATCH_STATE_FAILED");
    assert_in(&got, "done", "true");
    assert_in(&got, "error.code", "3");
    assert_true(strlen(pick(&got, "error.message")) > 8);
    assert_in(&got, "response", "");
    reply_deinit(&got);
  }
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

static void a_cancelled_job_is_done_without_results(void **state) {
  (void)state;
  char path[PATH_ROOM], cancel[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "100", "batch-quirk", "stuck", NULL);
  begin(sim, THREE, path);
  join_path(cancel, path, ":cancel", "");
  fetch_200(sim, &got, "POST", cancel, "{}", KEY);
  assert_string_equal(got.text, "{}");
  reply_deinit(&got);
  wait_over(sim, path, &got);
  assert_in(&got, "metadata.state", "BATCH_STATE_CANCELLED");
  assert_in(&got, "done", "true");
  assert_in(&got, "error.code", "1"); /* google.rpc.Code CANCELLED */
  assert_in(&got, "metadata.output", "");
  reply_deinit(&got);
  fetch_200(sim, &got, "DELETE", path, NULL, KEY);
  reply_deinit(&got);
  fetch_with(sim, &got, "GET", path, NULL, KEY, NULL);
  assert_refusal(&got, 404, "NOT_FOUND");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_job_expires_without_results(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "stuck", "batch-expire", "40", NULL);
  begin(sim, THREE, path);
  wait_over(sim, path, &got);
  assert_in(&got, "metadata.state", "BATCH_STATE_EXPIRED");
  assert_in(&got, "done", "true");
  assert_in(&got, "response", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void jobs_that_are_wrong_are_refused(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "{}",
      "[]",
      "{\"batch\":{\"inputConfig\":{}}}",
      INLINE(""),
      INLINE("{}"),
      INLINE("7"),
      "{\"batch\":{\"inputConfig\":{\"fileName\":\"files/none\"}}}",
      "{\"batch\":{\"inputConfig\":{\"fileName\":\"files/x\",\"requests\":{\"requests\":[]}}}}"};
  reply got;
  sheaf_sim *sim = start("models", "gem-x", "key", "k", NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    fetch(sim, &got, CREATE, bodies[i], KEY);
    assert_refusal(&got, 400, "INVALID_ARGUMENT");
    reply_deinit(&got);
  }
  fetch(sim, &got, "/v1beta/models/other:batchGenerateContent", THREE, KEY);
  assert_refusal(&got, 404, "NOT_FOUND");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/v1beta/batches", NULL, NULL), 403);
  assert_int_equal(status_of(sim, "/v1beta/batches?key=k", NULL, NULL), 200);
  sheaf_sim_stop(sim);
}

/* protocols 3.3: 100 at once. */
static void a_hundred_jobs_are_under_way_at_most(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  for (int i = 0; i < 100; i++) begin(sim, INLINE(ROW("a", "")), path);
  fetch(sim, &got, CREATE, THREE, KEY);
  assert_refusal(&got, 429, "RESOURCE_EXHAUSTED");
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", "/v1beta/batches?pageSize=99", NULL, KEY);
  assert_in(&got, "operations[99]", "");
  assert_true(strlen(pick(&got, "operations[98].name")) > 8);
  join_path(path, "/v1beta/batches?pageToken=", pick(&got, "nextPageToken"), "");
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", path, NULL, KEY);
  assert_true(strlen(pick(&got, "operations[0].name")) > 8);
  assert_in(&got, "operations[1]", "");
  assert_in(&got, "nextPageToken", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_upload_in_one_piece_is_a_file),
      cmocka_unit_test(an_upload_in_pieces_goes_on_where_it_stands),
      cmocka_unit_test(what_is_not_finalized_is_no_file),
      cmocka_unit_test(files_are_listed_in_pages),
      cmocka_unit_test(a_new_job_is_pending),
      cmocka_unit_test(inline_answers_come_in_the_order_of_the_requests),
      cmocka_unit_test(a_row_that_is_nobodys_is_an_inline_answer_with_a_key_of_its_own),
      cmocka_unit_test(embeddings_run_in_jobs_of_their_own),
      cmocka_unit_test(a_file_of_lines_gives_a_file_of_lines),
      cmocka_unit_test(a_row_gets_byte_by_byte_what_its_request_gets_live),
      cmocka_unit_test(a_file_that_is_wrong_fails_the_job),
      cmocka_unit_test(a_cancelled_job_is_done_without_results),
      cmocka_unit_test(a_job_expires_without_results),
      cmocka_unit_test(jobs_that_are_wrong_are_refused),
      cmocka_unit_test(a_hundred_jobs_are_under_way_at_most),
  };
  RUN_SUITE(tests);
}
