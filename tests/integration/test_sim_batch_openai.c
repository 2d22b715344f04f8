/* test_sim_batch_openai.c: files and batches of the simulator in OpenAI's shape, over real sockets,
 * against what OpenAI documents and what its service was recorded to do.
 *
 *   files      uploads, lists, content, expiry, refusals
 *   a batch    its states, its results, the same answers as live, other endpoints
 *   ends       failed, expired, cancelled, partly
 *   lists, oddities, the books, faults
 *   sizes      50,000 rows; 200 MB */
#include "../support/sim_batch_test.h"

#define FILES "/v1/files"
#define BATCHES "/v1/batches"
#define ROW(id, rest)                                                 \
  "{\"custom_id\":\"" id                                              \
  "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" \
  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello " id "\"}]" rest "}}\n"
#define THREE ROW("a", "") ROW("b", "") ROW("c", "")
#define BAD_ROW ROW("bad", ",\"temperature\":7")
#define OVER " completed failed expired cancelled "

/* ---- Helpers ---- */

static void make_batch(const sheaf_sim *sim, reply *got, const char *file, const char *endpoint,
                       const char *rest) {
  char body[512];
  snprintf(body, sizeof body,
           "{\"input_file_id\":\"%s\",\"endpoint\":\"%s\",\"completion_window\":\"24h\"%s}", file,
           endpoint, rest);
  fetch(sim, got, BATCHES, body, NULL);
}

/* Uploads, makes the batch and copies its path. */
static void begin(const sheaf_sim *sim, const char *input, char path[PATH_ROOM]) {
  char file[ID_MAX];
  reply got;
  upload_input(sim, input, file);
  make_batch(sim, &got, file, CHAT, "");
  if (got.status != 200) print_error("%s\n", got.text);
  assert_int_equal(got.status, 200);
  join_path(path, BATCHES "/", pick(&got, "id"), "");
  reply_deinit(&got);
}

static void wait_over(const sheaf_sim *sim, const char *path, reply *got) {
  wait_for(sim, got, path, NULL, "status", OVER);
}

/* Fetches the file that the batch names at member. */
static void fetch_result(const sheaf_sim *sim, const reply *batch, const char *member, reply *got) {
  char path[PATH_ROOM];
  join_path(path, FILES "/", pick(batch, member), "/content");
  fetch_200(sim, got, "GET", path, NULL, NULL);
}

/* Runs an input to its end; batch holds the batch. */
static void run(const sheaf_sim *sim, const char *input, reply *batch) {
  char path[PATH_ROOM];
  begin(sim, input, path);
  wait_over(sim, path, batch);
}

static void assert_refusal(const reply *got, long status, const char *param) {
  if (got->status != status) print_error("%s\n", got->text);
  assert_int_equal(got->status, status);
  assert_in(got, "error.type", "invalid_request_error");
  assert_in(got, "error.param", param ? param : "null");
  assert_true(strlen(pick(got, "error.message")) > 8);
}

/* ---- Files ---- */

static void an_upload_is_a_file_whose_expiry_is_told_later(void **state) {
  (void)state;
  static const char *const fields[] = {"purpose", "batch", NULL};
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  upload_form(sim, &got, FILES, fields, "in put.jsonl", THREE, strlen(THREE));
  assert_int_equal(got.status, 200);
  assert_begins(pick(&got, "id"), "file-");
  assert_in(&got, "object", "file");
  assert_int_equal(pick_int(&got, "bytes"), strlen(THREE));
  assert_in(&got, "filename", "in put.jsonl");
  assert_in(&got, "purpose", "batch");
  assert_in(&got, "status", "processed");
  assert_in(&got, "expires_at", "null"); /* protocols 1.4: recorded so */
  int64_t created = pick_int(&got, "created_at");
  assert_true(created > 1600000000);
  join_path(path, FILES "/", pick(&got, "id"), "");
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_int_equal(pick_int(&got, "expires_at"), created + 30 * 86400);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void an_upload_says_when_it_expires(void **state) {
  (void)state;
  static const char *const names[][2] = {{"expires_after[anchor]", "expires_after[seconds]"},
                                         {"expires_after.anchor", "expires_after.seconds"}};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 2; i++) {
    const char *const fields[] = {"purpose",   "batch", names[i][0], "created_at",
                                  names[i][1], "3600",  NULL};
    reply got;
    upload_form(sim, &got, FILES, fields, "x.jsonl", "{}", 2);
    assert_int_equal(got.status, 200);
    assert_int_equal(pick_int(&got, "expires_at"), pick_int(&got, "created_at") + 3600);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void content_comes_back_byte_by_byte(void **state) {
  (void)state;
  static const char text[] = "\r\n--x\r\n\0\xff no JSON\r\n\r\n";
  static const char *const fields[] = {"purpose", "user_data", NULL};
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  upload_form(sim, &got, FILES, fields, "data.bin", text, sizeof text - 1);
  assert_int_equal(got.status, 200);
  assert_int_equal(pick_int(&got, "bytes"), sizeof text - 1);
  join_path(path, FILES "/", pick(&got, "id"), "/content");
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_int_equal(got.body.bytes, sizeof text - 1);
  assert_memory_equal(got.body.data, text, sizeof text - 1);
  assert_header(&got, "content-type", "application/octet-stream");
  assert_header(&got, "content-disposition", "attachment; filename=\"data.bin\"");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void uploads_that_are_wrong_are_refused(void **state) {
  (void)state;
  static const char *const none[] = {NULL}, *const batch[] = {"purpose", "batch", NULL},
                           *const other[] = {"purpose", "holiday", NULL},
                           *const soon[] = {"purpose",
                                            "batch",
                                            "expires_after[anchor]",
                                            "created_at",
                                            "expires_after[seconds]",
                                            "3599",
                                            NULL},
                           *const anchor[] = {"purpose",
                                              "batch",
                                              "expires_after[anchor]",
                                              "now",
                                              "expires_after[seconds]",
                                              "3600",
                                              NULL};
  static const struct {
    const char *const *fields;
    const char *name, *text, *param;
  } rows[] = {{none, "x.jsonl", "{}", "purpose"},         {batch, NULL, NULL, "file"},
              {other, "x.jsonl", "{}", "purpose"},        {soon, "x.jsonl", "{}", "expires_after"},
              {anchor, "x.jsonl", "{}", "expires_after"}, {batch, "notes.txt", "{}", NULL}};
  reply got;
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    upload_form(sim, &got, FILES, rows[i].fields, rows[i].name, rows[i].text,
                rows[i].text ? strlen(rows[i].text) : 0);
    assert_refusal(&got, 400, rows[i].param);
    reply_deinit(&got);
  }
  fetch(sim, &got, FILES, "{\"purpose\":\"batch\"}", NULL); /* no form */
  assert_refusal(&got, 400, NULL);
  reply_deinit(&got);
  upload_form(sim, &got, FILES, batch, NULL, "{}", 2); /* the recorded one had no ending */
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Forms that end too early, without delimiters, or with parts that are none: refused, whatever they
 * hold, and nothing is made of them. */
static void broken_forms_are_refused(void **state) {
  (void)state;
  static const char whole[] =
      "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n"
      "Content-Disposition: form-data; name=\"file\"; filename=\"x.jsonl\"\r\n\r\n{}\r\n--b--\r\n";
  static const char *const types[] = {
      "Content-Type: multipart/form-data", "Content-Type: multipart/form-data; boundary=",
      "Content-Type: multipart/form-data; boundary=other", "Content-Type: text/plain; boundary=b"};
  static const char good[] = "Content-Type: multipart/form-data; boundary=\"b\"";
  char part[sizeof whole];
  reply got;
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 4; i++) {
    reply_init(&got);
    struct curl_slist *headers = curl_slist_append(NULL, types[i]);
    CURL *easy = make(sim, &got, FILES, whole, headers, 20000);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    finish(easy, &got);
    assert_refusal(&got, 400, NULL);
    reply_deinit(&got);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
  const size_t needed = sizeof whole - 1 - strlen("--\r\n"); /* with the last delimiter it is one */
  for (size_t bytes = 0; bytes <= needed; bytes++) {
    memcpy(part, whole, bytes);
    part[bytes] = 0;
    reply_init(&got);
    struct curl_slist *headers = curl_slist_append(NULL, good);
    CURL *easy = make(sim, &got, FILES, part, headers, 20000);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    finish(easy, &got);
    if (got.status != (bytes == needed ? 200 : 400)) print_error("%zu: %s\n", bytes, got.text);
    assert_int_equal(got.status, bytes == needed ? 200 : 400);
    reply_deinit(&got);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
  fetch_200(sim, &got, "GET", FILES, NULL, NULL);
  assert_in(&got, "data[1]", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void files_are_listed_in_pages_newest_first(void **state) {
  (void)state;
  char ids[5][ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  for (int i = 0; i < 5; i++) upload_input(sim, "{}", ids[i]);
  fetch_200(sim, &got, "GET", FILES "?limit=2", NULL, NULL);
  assert_in(&got, "object", "list");
  assert_in(&got, "data[0].id", ids[4]);
  assert_in(&got, "data[1].id", ids[3]);
  assert_in(&got, "data[2]", "");
  assert_in(&got, "first_id", ids[4]);
  assert_in(&got, "last_id", ids[3]);
  assert_in(&got, "has_more", "true");
  reply_deinit(&got);
  snprintf(path, sizeof path, FILES "?limit=3&after=%s", ids[3]);
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_in(&got, "data[0].id", ids[2]);
  assert_in(&got, "data[2].id", ids[0]);
  assert_in(&got, "has_more", "false");
  reply_deinit(&got);
  snprintf(path, sizeof path, FILES "?order=asc&after=%s&purpose=batch", ids[0]);
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_in(&got, "data[0].id", ids[1]);
  assert_in(&got, "data[3].id", ids[4]);
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", FILES "?purpose=user_data", NULL, NULL);
  assert_in(&got, "data", "[]");
  assert_in(&got, "first_id", "null");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_deleted_file_is_gone(void **state) {
  (void)state;
  char id[ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start(NULL);
  upload_input(sim, "{}", id);
  join_path(path, FILES "/", id, "");
  fetch_200(sim, &got, "DELETE", path, NULL, NULL);
  assert_in(&got, "id", id);
  assert_in(&got, "object", "file");
  assert_in(&got, "deleted", "true");
  reply_deinit(&got);
  fetch_with(sim, &got, "GET", path, NULL, NULL, NULL);
  assert_refusal(&got, 404, "id");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void files_go_when_their_time_is_over(void **state) {
  (void)state;
  char id[ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-keep", "30", NULL);
  upload_input(sim, "{}", id);
  join_path(path, FILES "/", id, "");
  long status = 200;
  for (int tries = 0; status == 200 && tries < 4000; tries++) {
    rest_ms(5);
    fetch_with(sim, &got, "GET", path, NULL, NULL, NULL);
    status = got.status;
    reply_deinit(&got);
  }
  assert_int_equal(status, 404);
  sheaf_sim_stop(sim);
}

/* ---- A batch ---- */

static void a_new_batch_validates_and_counts_nothing(void **state) {
  (void)state;
  static const char *const nulls[] = {
      "errors",       "output_file_id", "error_file_id", "in_progress_at", "finalizing_at",
      "completed_at", "failed_at",      "expired_at",    "cancelling_at",  "cancelled_at"};
  char file[ID_MAX];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  upload_input(sim, THREE, file);
  make_batch(sim, &got, file, CHAT, ",\"metadata\":{\"run\":\"7\"}");
  assert_int_equal(got.status, 200);
  assert_begins(pick(&got, "id"), "batch_");
  assert_in(&got, "object", "batch");
  assert_in(&got, "endpoint", CHAT);
  assert_in(&got, "input_file_id", file);
  assert_in(&got, "completion_window", "24h");
  assert_in(&got, "status", "validating");
  assert_in(&got, "metadata.run", "7");
  assert_int_equal(pick_int(&got, "expires_at"), pick_int(&got, "created_at") + 86400);
  assert_int_equal(pick_int(&got, "request_counts.total"), 0);
  assert_int_equal(pick_int(&got, "request_counts.completed"), 0);
  assert_int_equal(pick_int(&got, "request_counts.failed"), 0);
  for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) assert_in(&got, nulls[i], "null");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_batch_in_progress_knows_its_total(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "stuck", NULL);
  begin(sim, THREE, path);
  wait_for(sim, &got, path, NULL, "status", " in_progress ");
  assert_int_equal(pick_int(&got, "request_counts.total"), 3);
  assert_int_equal(pick_int(&got, "request_counts.completed"), 0);
  assert_true(pick_int(&got, "in_progress_at") >= pick_int(&got, "created_at"));
  assert_in(&got, "output_file_id", "null");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_completed_batch_has_each_row_once_in_another_order(void **state) {
  (void)state;
  static const char *const ids[] = {"a", "b", "c"};
  reply batch, got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  run(sim, THREE, &batch);
  assert_in(&batch, "status", "completed");
  assert_in(&batch, "model", "m");
  assert_int_equal(pick_int(&batch, "request_counts.total"), 3);
  assert_int_equal(pick_int(&batch, "request_counts.completed"), 3);
  assert_int_equal(pick_int(&batch, "request_counts.failed"), 0);
  assert_in(&batch, "error_file_id", "null");
  assert_in(&batch, "errors", "null");
  assert_true(pick_int(&batch, "completed_at") >= pick_int(&batch, "finalizing_at"));
  assert_int_equal(pick_int(&batch, "usage.input_tokens"), 6);   /* 7 bytes, four a token */
  assert_int_equal(pick_int(&batch, "usage.output_tokens"), 12); /* 13 bytes */
  assert_int_equal(pick_int(&batch, "usage.total_tokens"), 18);
  fetch_result(sim, &batch, "output_file_id", &got);
  assert_int_equal(count_lines(&got), 3);
  assert_true(strcmp(pick_in(line_at(&got, 0), "custom_id"), "a") != 0);
  for (size_t i = 0; i < 3; i++) {
    char text[32];
    sheaf_slice line = line_of(&got, "custom_id", ids[i]);
    assert_true(line.bytes > 0);
    assert_begins(pick_in(line, "id"), "batch_req_");
    assert_at(line, "response.status_code", "200");
    assert_true(strlen(pick_in(line, "response.request_id")) > 8);
    snprintf(text, sizeof text, "echo: hello %s", ids[i]);
    assert_at(line, "response.body.object", "chat.completion");
    assert_at(line, "response.body.choices[0].message.content", text);
    assert_at(line, "error", "null");
  }
  reply_deinit(&got);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
}

/* The input is uploaded first, so that live and batch meet bodies that nobody sent before. */
static void a_row_gets_byte_by_byte_what_its_body_gets_live(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"n\":2}",
      ("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 \\\"\"}],"
       "\"max_tokens\":3}"),
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"t\"}],\"top_p\":9}",
      "{\"model\":\"m\",\"messages\":[]}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"t\"}],\"no_such\":1}"};
  char input[4096] = "";
  reply batch, good, bad, live;
  sheaf_sim *sim = start("batch-time", "0", "answer", "lorem:20", NULL);
  sheaf_sim *other = start("answer", "lorem:20", NULL);
  for (size_t i = 0; i < 5; i++)
    snprintf(input + strlen(input), sizeof input - strlen(input),
             "{\"custom_id\":\"r%zu\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":%s}\n", i,
             bodies[i]);
  run(sim, input, &batch);
  assert_in(&batch, "status", "completed");
  assert_int_equal(pick_int(&batch, "request_counts.completed"), 2);
  assert_int_equal(pick_int(&batch, "request_counts.failed"), 3);
  fetch_result(sim, &batch, "output_file_id", &good);
  fetch_result(sim, &batch, "error_file_id", &bad);
  for (size_t i = 0; i < 5; i++) {
    static const char *const member[] = {"response.body"};
    char id[8], status[8];
    sheaf_slice body;
    snprintf(id, sizeof id, "r%zu", i);
    fetch(other, &live, CHAT, bodies[i], NULL);
    sheaf_slice line = line_of(i < 2 ? &good : &bad, "custom_id", id);
    assert_int_equal(sheaf_json_pick(line, member, 1, &body, NULL, NULL), SHEAF_OK);
    assert_int_equal(body.bytes, live.body.bytes);
    assert_memory_equal(body.data, live.body.data, body.bytes);
    snprintf(status, sizeof status, "%ld", live.status);
    assert_at(line, "response.status_code", status);
    assert_at(line, "error", "null");
    reply_deinit(&live);
  }
  reply_deinit(&good);
  reply_deinit(&bad);
  reply_deinit(&batch);
  sheaf_sim_stop(other);
  sheaf_sim_stop(sim);
}

static void every_endpoint_answers_in_its_own_shape(void **state) {
  (void)state;
  static const struct {
    const char *endpoint, *body, *path, *value;
  } rows[] = {
      {"/v1/responses", "{\"model\":\"m\",\"input\":\"x\"}", "response.body.object", "response"},
      {"/v1/embeddings", "{\"model\":\"m\",\"input\":[\"x\",\"y\"]}",
       "response.body.data[1].object", "embedding"},
      {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\"}", "response.body.object",
       "text_completion"}};
  sheaf_sim *sim = start("batch-time", "0", NULL);
  for (size_t i = 0; i < 3; i++) {
    char file[ID_MAX], input[256], path[PATH_ROOM];
    reply got, batch;
    snprintf(input, sizeof input,
             "{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"%s\",\"body\":%s}",
             rows[i].endpoint, rows[i].body); /* no break at the end */
    upload_input(sim, input, file);
    make_batch(sim, &got, file, rows[i].endpoint, "");
    assert_int_equal(got.status, 200);
    join_path(path, BATCHES "/", pick(&got, "id"), "");
    reply_deinit(&got);
    wait_over(sim, path, &batch);
    fetch_result(sim, &batch, "output_file_id", &got);
    assert_at(line_at(&got, 0), rows[i].path, rows[i].value);
    reply_deinit(&got);
    reply_deinit(&batch);
  }
  sheaf_sim_stop(sim);
}

static void batches_that_are_wrong_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *body, *param;
  } rows[] = {
      {"{\"endpoint\":\"" CHAT "\",\"completion_window\":\"24h\"}", "input_file_id"},
      {"{\"input_file_id\":\"FILE\",\"completion_window\":\"24h\"}", "endpoint"},
      {"{\"input_file_id\":\"FILE\",\"endpoint\":\"" CHAT "\"}", "completion_window"},
      {"{\"input_file_id\":\"FILE\",\"endpoint\":\"/v1/fine\",\"completion_window\":\"24h\"}",
       "endpoint"},
      {"{\"input_file_id\":\"FILE\",\"endpoint\":\"" CHAT "\",\"completion_window\":\"7d\"}",
       "completion_window"},
      {"{\"input_file_id\":\"file-no\",\"endpoint\":\"" CHAT "\",\"completion_window\":\"24h\"}",
       "input_file_id"},
      {"{\"input_file_id\":\"FILE\",\"endpoint\":\"" CHAT "\",\"completion_window\":\"24h\","
       "\"metadata\":{\"a\":1}}",
       "metadata.a"},
      {"{\"input_file_id\":\"FILE\",\"endpoint\":\"" CHAT "\",\"completion_window\":\"24h\","
       "\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3599}}",
       "output_expires_after.seconds"}};
  static const char *const fields[] = {"purpose", "user_data", NULL};
  char file[ID_MAX];
  reply got;
  sheaf_sim *sim = start(NULL);
  upload_input(sim, THREE, file);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[384] = "";
    const char *name = strstr(rows[i].body, "FILE");
    size_t head = name ? (size_t)(name - rows[i].body) : 0;
    memcpy(body, rows[i].body, head);
    if (name) copy_text(body + head, sizeof body - head, file);
    copy_text(body + strlen(body), sizeof body - strlen(body), name ? name + 4 : rows[i].body);
    fetch(sim, &got, BATCHES, body, NULL);
    if (got.status != 400) print_error("%s\n", body);
    assert_int_equal(got.status, 400);
    if (i != 6) assert_refusal(&got, 400, rows[i].param);
    reply_deinit(&got);
  }
  upload_form(sim, &got, FILES, fields, "x.jsonl", THREE, strlen(THREE));
  copy_text(file, sizeof file, pick(&got, "id"));
  reply_deinit(&got);
  make_batch(sim, &got, file, CHAT, ""); /* not uploaded for batches */
  assert_refusal(&got, 400, "input_file_id");
  reply_deinit(&got);
  fetch_with(sim, &got, "GET", BATCHES "/batch_no", NULL, NULL, NULL);
  assert_refusal(&got, 404, NULL);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Ends ---- */

/* The codes are those that Azure documents and OpenAI's service was seen with (protocols 1.8). */
static void inputs_that_are_wrong_fail_with_code_and_line(void **state) {
  (void)state;
  static const struct {
    const char *input, *code, *line;
  } rows[] = {
      {ROW("a", "") "{\"custom_id\":\n" ROW("b", ""), "invalid_json_line", "2"},
      {ROW("a", "") "\n" ROW("a", ""), "duplicate_custom_id", "3"},
      {ROW("a", "") "{\"custom_id\":\"b\",\"method\":\"POST\",\"url\":\"" CHAT
                    "\",\"body\":{\"model\":\"other\"}}\n",
       "model_mismatch", "2"},
      {"{\"custom_id\":\"b\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{\"model\":"
       "\"m\"}}\n",
       "url_mismatch", "1"},
      {"{\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}\n", "invalid_request",
       "1"},
      {"{\"custom_id\":\"a\",\"method\":\"GET\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}\n",
       "invalid_request", "1"},
      {"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"" CHAT
       "\",\"body\":{\"model\":\"gone\"}}\n",
       "model_not_found", "1"},
      {ROW("a", "") ROW("b", "") ROW("c", "") ROW("d", ""), "too_many_tasks", "null"},
      {"\xef\xbb\xbf" ROW("a", ""), "invalid_json_line", "1"},
      {"", "empty_file", "null"},
      {"\n\n", "empty_batch", "null"}};
  sheaf_sim *sim = start("batch-time", "0", "models", "m,other", "batch-rows", "3", NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    run(sim, rows[i].input, &got);
    assert_in(&got, "status", "failed");
    assert_in(&got, "errors.object", "list");
    assert_in(&got, "errors.data[0].code", rows[i].code);
    assert_in(&got, "errors.data[0].line", rows[i].line);
    assert_in(&got, "errors.data[1]", "");
    assert_true(strlen(pick(&got, "errors.data[0].message")) > 8);
    assert_in(&got, "output_file_id", "null");
    assert_in(&got, "error_file_id", "null");
    assert_int_equal(pick_int(&got, "request_counts.total"), 0);
    assert_true(pick_int(&got, "failed_at") > 0);
    reply_deinit(&got);
  }
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

static void a_stream_is_refused_row_by_row(void **state) {
  (void)state;
  reply batch, got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  run(sim, ROW("a", ",\"stream\":true") ROW("b", ",\"stream\":false"), &batch);
  assert_in(&batch, "status", "completed");
  fetch_result(sim, &batch, "error_file_id", &got);
  assert_int_equal(count_lines(&got), 1);
  assert_at(line_at(&got, 0), "custom_id", "a");
  assert_at(line_at(&got, 0), "response.status_code", "400");
  assert_at(line_at(&got, 0), "response.body.error.param", "stream");
  reply_deinit(&got);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
}

static void an_expired_batch_has_what_was_done_and_says_what_was_not(void **state) {
  (void)state;
  reply batch, good, bad;
  sheaf_sim *sim = start("batch-time", "0", "batch-partial", "1", NULL);
  run(sim, ROW("a", "") ROW("b", "") ROW("c", "") ROW("d", "") ROW("e", ""), &batch);
  assert_in(&batch, "status", "expired");
  assert_true(pick_int(&batch, "expired_at") > 0);
  assert_in(&batch, "completed_at", "null");
  assert_int_equal(pick_int(&batch, "request_counts.total"), 5);
  assert_int_equal(pick_int(&batch, "request_counts.completed"), 2);
  fetch_result(sim, &batch, "output_file_id", &good);
  fetch_result(sim, &batch, "error_file_id", &bad);
  assert_int_equal(count_lines(&good), 2);
  assert_int_equal(count_lines(&bad), 3);
  for (char id[2] = "a"; id[0] <= 'e'; id[0]++) {
    bool is_good = line_of(&good, "custom_id", id).bytes > 0;
    sheaf_slice lost = line_of(&bad, "custom_id", id);
    assert_true(is_good != (lost.bytes > 0));
    if (is_good) continue;
    assert_at(lost, "response", "null");
    assert_at(lost, "error.code", "batch_expired");
  }
  assert_int_equal(stat_of(sim, "billed.requests"), 2); /* protocols 1.5: those that finished */
  reply_deinit(&good);
  reply_deinit(&bad);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
}

static void a_batch_expires_when_its_window_is_over(void **state) {
  (void)state;
  reply batch, got;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "stuck", "batch-expire", "50", NULL);
  run(sim, THREE, &batch);
  assert_in(&batch, "status", "expired");
  assert_in(&batch, "output_file_id", "null");
  fetch_result(sim, &batch, "error_file_id", &got);
  assert_int_equal(count_lines(&got), 3);
  reply_deinit(&got);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
}

static void a_cancelled_batch_ends_cancelled_and_only_once(void **state) {
  (void)state;
  char path[PATH_ROOM], cancel[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "1000", "batch-quirk", "stuck", NULL);
  begin(sim, THREE, path);
  join_path(cancel, path, "", "/cancel");
  fetch_200(sim, &got, "POST", cancel, "", NULL);
  assert_in(&got, "status", "cancelling");
  assert_true(pick_int(&got, "cancelling_at") > 0);
  reply_deinit(&got);
  wait_over(sim, path, &got);
  assert_in(&got, "status", "cancelled");
  assert_true(pick_int(&got, "cancelled_at") >= pick_int(&got, "cancelling_at"));
  assert_in(&got, "output_file_id", "null");
  reply_deinit(&got);
  fetch_with(sim, &got, "POST", cancel, "", NULL, NULL);
  assert_refusal(&got, 409, NULL);
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

static void rows_fail_as_often_as_they_are_told_to(void **state) {
  (void)state;
  reply batch, got;
  sheaf_sim *sim = start("batch-time", "0", "batch-fail", "1", NULL);
  run(sim, THREE, &batch);
  assert_in(&batch, "status", "completed");
  assert_in(&batch, "output_file_id", "null");
  assert_int_equal(pick_int(&batch, "request_counts.failed"), 3);
  fetch_result(sim, &batch, "error_file_id", &got);
  assert_at(line_at(&got, 2), "response.status_code", "500");
  assert_at(line_at(&got, 2), "response.body.error.type", "server_error");
  assert_at(line_at(&got, 2), "error", "null");
  reply_deinit(&got);
  reply_deinit(&batch);
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

/* "hello a" is two tokens: one job of three rows fits into six, a second beside it does not. */
static void a_job_beyond_the_enqueued_tokens_fails(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "stuck", "batch-tokens", "6", NULL);
  begin(sim, THREE, path);
  wait_for(sim, &got, path, NULL, "status", " in_progress ");
  reply_deinit(&got);
  begin(sim, THREE, path);
  wait_over(sim, path, &got);
  assert_in(&got, "status", "failed");
  assert_in(&got, "errors.data[0].code", "token_limit_exceeded");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void result_files_go_when_their_time_is_over(void **state) {
  (void)state;
  char file[ID_MAX], path[PATH_ROOM];
  reply batch, got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  upload_input(sim, THREE, file);
  make_batch(sim, &got, file, CHAT,
             ",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3600}");
  assert_int_equal(got.status, 200);
  join_path(path, BATCHES "/", pick(&got, "id"), "");
  reply_deinit(&got);
  wait_over(sim, path, &batch);
  join_path(path, FILES "/", pick(&batch, "output_file_id"), "");
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_in(&got, "purpose", "batch_output");
  assert_int_equal(pick_int(&got, "expires_at"), pick_int(&got, "created_at") + 3600);
  reply_deinit(&got);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
}

/* ---- Lists ---- */

static void batches_are_listed_twenty_at_a_time(void **state) {
  (void)state;
  char file[ID_MAX], ids[23][ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  upload_input(sim, THREE, file);
  for (int i = 0; i < 23; i++) {
    make_batch(sim, &got, file, CHAT, "");
    copy_text(ids[i], ID_MAX, pick(&got, "id"));
    reply_deinit(&got);
  }
  fetch_200(sim, &got, "GET", BATCHES, NULL, NULL);
  assert_in(&got, "object", "list");
  assert_in(&got, "data[0].id", ids[22]);
  assert_in(&got, "data[19].id", ids[3]);
  assert_in(&got, "data[20]", "");
  assert_in(&got, "first_id", ids[22]);
  assert_in(&got, "last_id", ids[3]);
  assert_in(&got, "has_more", "true");
  reply_deinit(&got);
  snprintf(path, sizeof path, BATCHES "?limit=100&after=%s", ids[3]);
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_in(&got, "data[0].id", ids[2]);
  assert_in(&got, "last_id", ids[0]);
  assert_in(&got, "has_more", "false");
  reply_deinit(&got);
  fetch_with(sim, &got, "GET", BATCHES "?limit=101", NULL, NULL, NULL);
  assert_refusal(&got, 400, "limit");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Oddities ---- */

static void azure_capitalises_and_keeps_an_empty_error_file(void **state) {
  (void)state;
  char file[ID_MAX], path[PATH_ROOM];
  reply got, content;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "azure", NULL);
  upload_input(sim, THREE, file);
  make_batch(sim, &got, file, "/chat/completions", "");
  assert_int_equal(got.status, 200);
  assert_in(&got, "status", "Validating");
  assert_in(&got, "expires_at", "null"); /* its jobs run on */
  assert_in(&got, "request_counts.total", "null");
  assert_int_equal(strlen(pick(&got, "created_at")), strlen("2026-01-02T03:04:05.678901+00:00"));
  join_path(path, "/openai/batches/", pick(&got, "id"), "?api-version=2024-10-21");
  reply_deinit(&got);
  wait_for(sim, &got, path, "api-key: k", "status", " Completed ");
  assert_in(&got, "request_counts.total", "3");
  join_path(path, "/openai/files/", pick(&got, "error_file_id"), "/content");
  fetch_200(sim, &content, "GET", path, NULL, NULL);
  assert_int_equal(content.body.bytes, 0);
  reply_deinit(&content);
  join_path(path, "/openai/files/", pick(&got, "output_file_id"), "/content");
  fetch_200(sim, &content, "GET", path, NULL, NULL);
  assert_int_equal(count_lines(&content), 3);
  reply_deinit(&content);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void what_is_new_is_not_found_for_a_moment(void **state) {
  (void)state;
  static const char *const fields[] = {"purpose", "batch", NULL};
  char path[PATH_ROOM], input[ID_MAX];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-quirk", "late", NULL);
  upload_form(sim, &got, FILES, fields, "x.jsonl", THREE, strlen(THREE));
  copy_text(input, sizeof input, pick(&got, "id"));
  join_path(path, FILES "/", input, "");
  reply_deinit(&got);
  wait_for(sim, &got, path, NULL, "object", " file ");
  reply_deinit(&got);
  make_batch(sim, &got, input, CHAT, "");
  assert_int_equal(got.status, 200);
  join_path(path, BATCHES "/", pick(&got, "id"), "");
  reply_deinit(&got);
  wait_over(sim, path, &got);
  assert_in(&got, "status", "completed");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void results_may_lack_a_row_or_have_one_too_many(void **state) {
  (void)state;
  static const struct {
    const char *quirk;
    unsigned lines;
  } rows[] = {{"missing", 2}, {"duplicate", 4}, {"foreign", 4}, {"in-order", 3}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply batch, got;
    sheaf_sim *sim = start("batch-time", "0", "batch-quirk", rows[i].quirk, NULL);
    run(sim, THREE, &batch);
    assert_in(&batch, "status", "completed"); /* it says so all the same */
    assert_int_equal(pick_int(&batch, "request_counts.completed"), 3);
    fetch_result(sim, &batch, "output_file_id", &got);
    assert_int_equal(count_lines(&got), rows[i].lines);
    if (strcmp(rows[i].quirk, "in-order") == 0) {
      assert_at(line_at(&got, 0), "custom_id", "a");
      assert_at(line_at(&got, 2), "custom_id", "c");
    }
    reply_deinit(&got);
    reply_deinit(&batch);
    sheaf_sim_stop(sim);
  }
}

/* ---- The books and faults ---- */

static void rows_are_billed_once_and_marked(void **state) {
  (void)state;
  char wanted[ID_MAX];
  reply batch, got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  run(sim, ROW("a", "") BAD_ROW, &batch);
  copy_text(wanted, sizeof wanted, pick(&batch, "id"));
  reply_deinit(&batch);
  assert_int_equal(stat_of(sim, "billed.requests"), 1);
  assert_int_equal(stat_of(sim, "billed_batch.requests"), 1);
  assert_int_equal(stat_of(sim, "billed_batch.input_tokens"), 2);
  assert_int_equal(stat_of(sim, "billed_batch.output_tokens"), 4);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  assert_int_equal(stat_of(sim, "billed.requests"), 2);
  assert_int_equal(stat_of(sim, "billed_batch.requests"), 1);
  fetch_ledger(sim, &got, 0, 1000);
  unsigned rows = 0;
  for (unsigned i = 0;; i++) {
    char path[64], client[8];
    snprintf(path, sizeof path, "entries[%u].batch", i);
    if (strcmp(pick(&got, path), "") == 0) break;
    if (strcmp(pick(&got, path), wanted) != 0) continue;
    rows++;
    snprintf(path, sizeof path, "entries[%u].client", i);
    copy_text(client, sizeof client, pick(&got, path));
    snprintf(path, sizeof path, "entries[%u].billed", i);
    assert_string_equal(pick(&got, path), strcmp(client, "a") == 0 ? "true" : "false");
    snprintf(path, sizeof path, "entries[%u].status", i);
    assert_string_equal(pick(&got, path), strcmp(client, "a") == 0 ? "200" : "400");
  }
  assert_int_equal(rows, 2);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* What a fault says decides whether the job is there: a proxy's page says that nothing came through,
 * an answer that breaks off was one. */
static void a_lost_answer_leaves_a_job_behind_and_a_refusal_does_not(void **state) {
  (void)state;
  static const struct {
    const char *fault;
    bool is_made;
  } rows[] = {{"x-sheaf-fault: 500", false},      {"x-sheaf-fault: 502", false},
              {"x-sheaf-fault: reset", false},    {"x-sheaf-fault: reset-head", true},
              {"x-sheaf-fault: truncate", true},  {"x-sheaf-fault: giant", true},
              {"x-sheaf-fault: redirect", false}, {"x-sheaf-fault: late-error", false},
              {"x-sheaf-fault: stall-body", true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char file[ID_MAX], body[256];
    reply got;
    sheaf_sim *sim = start("batch-time", "600000", "giant-bytes", "5000", NULL);
    upload_input(sim, THREE, file);
    snprintf(body, sizeof body,
             "{\"input_file_id\":\"%s\",\"endpoint\":\"" CHAT "\",\"completion_window\":\"24h\"}",
             file);
    fetch_for(sim, &got, BATCHES, body, rows[i].fault, NULL, 500);
    reply_deinit(&got);
    fetch_200(sim, &got, "GET", BATCHES, NULL, NULL);
    if (strcmp(pick(&got, "data[0].object"), rows[i].is_made ? "batch" : "") != 0)
      print_error("%s\n", rows[i].fault);
    assert_in(&got, "data[0].object", rows[i].is_made ? "batch" : "");
    assert_in(&got, "data[1]", "");
    reply_deinit(&got);
    sheaf_sim_stop(sim);
  }
}

static void polls_and_downloads_meet_the_schedule_s_faults(void **state) {
  (void)state;
  char path[PATH_ROOM], name[64];
  reply batch, got;
  copy_text(name, sizeof name,
            write_file("{\"fault\":\"429\",\"path\":\"/v1/batches/*\",\"first\":2}\n"
                       "{\"fault\":\"truncate\",\"path\":\"/v1/files/*\",\"first\":1}\n"));
  sheaf_sim *sim = start("batch-time", "0", "faults", name, NULL);
  begin(sim, THREE, path);
  assert_int_equal(status_of(sim, path, NULL, NULL), 429);
  assert_int_equal(status_of(sim, path, NULL, NULL), 429);
  wait_over(sim, path, &batch);
  join_path(path, FILES "/", pick(&batch, "output_file_id"), "/content");
  fetch_for(sim, &got, path, NULL, NULL, NULL, 20000);
  assert_int_equal(got.code, CURLE_PARTIAL_FILE);
  size_t torn = got.body.bytes;
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", path, NULL, NULL);
  assert_true(torn < got.body.bytes);
  assert_int_equal(count_lines(&got), 3);
  reply_deinit(&got);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
  remove(name);
}

static void files_and_batches_want_the_key(void **state) {
  (void)state;
  static const char *const paths[] = {FILES, BATCHES, FILES "/file-x/content", BATCHES "/batch_x"};
  sheaf_sim *sim = start("key", "right", NULL);
  for (size_t i = 0; i < 4; i++) assert_int_equal(status_of(sim, paths[i], NULL, NULL), 401);
  assert_int_equal(status_of(sim, BATCHES, NULL, "Authorization: Bearer right"), 200);
  sheaf_sim_stop(sim);
}

/* ---- Sizes ---- */

static void fifty_thousand_rows_are_one_batch(void **state) {
  (void)state;
  const unsigned count = 50000;
  char *input = malloc(count * 192u), *at = input;
  char *seen = calloc(count, 1);
  reply batch, got;
  assert_true(input && seen);
  for (unsigned i = 0; i < count; i++)
    at += sprintf(
        at,
        "{\"custom_id\":\"%u\",\"method\":\"POST\",\"url\":\"" CHAT
        "\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%u\"}]}}\n",
        i, i);
  sheaf_sim *sim = start("batch-time", "0", "ledger", "0", NULL);
  run(sim, input, &batch);
  assert_in(&batch, "status", "completed");
  assert_int_equal(pick_int(&batch, "request_counts.completed"), count);
  fetch_result(sim, &batch, "output_file_id", &got);
  sheaf_slice rest = sheaf_buf_slice(&got.body);
  unsigned lines = 0;
  for (; rest.bytes; lines++) {
    sheaf_slice line = take_line(&rest);
    unsigned n = (unsigned)strtoul(pick_in(line, "custom_id"), NULL, 10);
    assert_true(n < count && !seen[n]);
    seen[n] = 1;
  }
  assert_int_equal(lines, count);
  reply_deinit(&got);
  reply_deinit(&batch);
  sheaf_sim_stop(sim);
  free(input);
  free(seen);
}

static void one_row_too_many_fails_and_one_byte_too_many_is_refused(void **state) {
  (void)state;
  const unsigned count = 50001;
  char *input = malloc(count * 3u + 1);
  reply batch, got;
  assert_non_null(input);
  for (unsigned i = 0; i < count; i++) memcpy(input + i * 3u, "{}\n", 4);
  sheaf_sim *sim = start("batch-time", "0", NULL);
  run(sim, input, &batch);
  assert_in(&batch, "status", "failed");
  reply_deinit(&batch);
  free(input);
  const size_t most = (size_t)200 << 20; /* protocols 1.5 */
  char *large = calloc(1, most + 1);
  static const char *const fields[] = {"purpose", "batch", NULL};
  assert_non_null(large);
  upload_form(sim, &got, FILES, fields, "x.jsonl", large, most);
  assert_int_equal(got.status, 200);
  assert_int_equal(pick_int(&got, "bytes"), most);
  reply_deinit(&got);
  upload_form(sim, &got, FILES, fields, "x.jsonl", large, most + 1);
  assert_refusal(&got, 413, NULL);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
  free(large);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_upload_is_a_file_whose_expiry_is_told_later),
      cmocka_unit_test(an_upload_says_when_it_expires),
      cmocka_unit_test(content_comes_back_byte_by_byte),
      cmocka_unit_test(uploads_that_are_wrong_are_refused),
      cmocka_unit_test(broken_forms_are_refused),
      cmocka_unit_test(files_are_listed_in_pages_newest_first),
      cmocka_unit_test(a_deleted_file_is_gone),
      cmocka_unit_test(files_go_when_their_time_is_over),
      cmocka_unit_test(a_new_batch_validates_and_counts_nothing),
      cmocka_unit_test(a_batch_in_progress_knows_its_total),
      cmocka_unit_test(a_completed_batch_has_each_row_once_in_another_order),
      cmocka_unit_test(a_row_gets_byte_by_byte_what_its_body_gets_live),
      cmocka_unit_test(every_endpoint_answers_in_its_own_shape),
      cmocka_unit_test(batches_that_are_wrong_are_refused),
      cmocka_unit_test(inputs_that_are_wrong_fail_with_code_and_line),
      cmocka_unit_test(a_stream_is_refused_row_by_row),
      cmocka_unit_test(an_expired_batch_has_what_was_done_and_says_what_was_not),
      cmocka_unit_test(a_batch_expires_when_its_window_is_over),
      cmocka_unit_test(a_cancelled_batch_ends_cancelled_and_only_once),
      cmocka_unit_test(rows_fail_as_often_as_they_are_told_to),
      cmocka_unit_test(a_job_beyond_the_enqueued_tokens_fails),
      cmocka_unit_test(result_files_go_when_their_time_is_over),
      cmocka_unit_test(batches_are_listed_twenty_at_a_time),
      cmocka_unit_test(azure_capitalises_and_keeps_an_empty_error_file),
      cmocka_unit_test(what_is_new_is_not_found_for_a_moment),
      cmocka_unit_test(results_may_lack_a_row_or_have_one_too_many),
      cmocka_unit_test(rows_are_billed_once_and_marked),
      cmocka_unit_test(a_lost_answer_leaves_a_job_behind_and_a_refusal_does_not),
      cmocka_unit_test(polls_and_downloads_meet_the_schedule_s_faults),
      cmocka_unit_test(files_and_batches_want_the_key),
      cmocka_unit_test(fifty_thousand_rows_are_one_batch),
      cmocka_unit_test(one_row_too_many_fails_and_one_byte_too_many_is_refused),
  };
  RUN_SUITE(tests);
}
