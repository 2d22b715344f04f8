/* test_sim_batch_anthropic.c: the simulator's Message Batches over real sockets, against the types of
 * Anthropic's client, its documentation and recorded replies.
 *
 *   a batch   its fields, no counts before its end, results in another order, as live
 *   rows      errored one by one; what batches refuse
 *   refusals  of the whole: ids, sizes, versions, queues
 *   ends      canceled, expired, deleted, archived
 *   lists, the books, sizes */
#include "../support/sim_batch_test.h"

#define MESSAGES "/v1/messages"
#define BATCHES "/v1/messages/batches"
#define PARAMS(text, rest)                                                                         \
  "{\"model\":\"claude-x\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"" text \
  "\"}]" rest "}"
#define ROW(id, rest) "{\"custom_id\":\"" id "\",\"params\":" PARAMS("hello " id, rest) "}"
#define REQUESTS(rows) "{\"requests\":[" rows "]}"
#define THREE REQUESTS(ROW("a", "") "," ROW("b", "") "," ROW("c", ""))

/* ---- Helpers ---- */

static void begin(const sheaf_sim *sim, const char *body, char path[PATH_ROOM]) {
  reply got;
  fetch_200(sim, &got, "POST", BATCHES, body, VERSION);
  join_path(path, BATCHES "/", pick(&got, "id"), "");
  reply_deinit(&got);
}

static void wait_ended(const sheaf_sim *sim, const char *path, reply *got) {
  wait_for(sim, got, path, VERSION, "processing_status", " ended ");
}

static void fetch_results(const sheaf_sim *sim, const char *path, reply *got) {
  char results[PATH_ROOM];
  join_path(results, path, "", "/results");
  fetch_200(sim, got, "GET", results, NULL, VERSION);
}

static void assert_counts(const reply *got, int processing, int succeeded, int errored,
                          int canceled, int expired) {
  assert_int_equal(pick_int(got, "request_counts.processing"), processing);
  assert_int_equal(pick_int(got, "request_counts.succeeded"), succeeded);
  assert_int_equal(pick_int(got, "request_counts.errored"), errored);
  assert_int_equal(pick_int(got, "request_counts.canceled"), canceled);
  assert_int_equal(pick_int(got, "request_counts.expired"), expired);
}

static void assert_refusal(const reply *got, long status, const char *type, const char *message) {
  if (got->status != status) print_error("%ld %s\n", got->status, got->text);
  assert_int_equal(got->status, status);
  assert_in(got, "type", "error");
  assert_in(got, "error.type", type);
  if (message) assert_begins(pick(got, "error.message"), message);
}

/* "2026-01-02T03:04:05.678901+00:00", as it was recorded. */
static int64_t seconds_of(const char *text) {
  int year, month, day, hour, minute, second, micros, used = 0;
  assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6d+00:00%n", &year, &month, &day, &hour,
                          &minute, &second, &micros, &used),
                   7);
  assert_int_equal(used, 32);
  /* Days since 1970 by the civil calendar: March is the first month. */
  int64_t y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;
  int64_t days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
  return days * 86400 + hour * 3600 + minute * 60 + second;
}

/* ---- A batch ---- */

static void a_new_batch_counts_all_rows_as_processing(void **state) {
  (void)state;
  static const char *const nulls[] = {"ended_at", "cancel_initiated_at", "archived_at",
                                      "results_url"};
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  fetch_200(sim, &got, "POST", BATCHES, THREE, VERSION);
  assert_begins(pick(&got, "id"), "msgbatch_");
  assert_in(&got, "type", "message_batch");
  assert_in(&got, "processing_status", "in_progress");
  assert_counts(&got, 3, 0, 0, 0, 0);
  for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) assert_in(&got, nulls[i], "null");
  int64_t created = seconds_of(pick(&got, "created_at"));
  assert_int_equal(seconds_of(pick(&got, "expires_at")), created + 86400);
  assert_true(created > 1600000000);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Rows are done while the first polls come; their counts stay at nothing. */
static void counts_come_when_all_is_over(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "300", NULL);
  begin(sim, THREE, path);
  while (stat_of(sim, "billed.requests") < 2) rest_ms(1);
  fetch_200(sim, &got, "GET", path, NULL, VERSION);
  if (strcmp(pick(&got, "processing_status"), "in_progress") == 0) {
    assert_counts(&got, 3, 0, 0, 0, 0);
    assert_header(&got, "retry-after", "10"); /* recorded */
  }
  reply_deinit(&got);
  wait_ended(sim, path, &got);
  assert_counts(&got, 0, 3, 0, 0, 0);
  assert_null(header_of(&got, "retry-after"));
  assert_true(seconds_of(pick(&got, "ended_at")) >= seconds_of(pick(&got, "created_at")));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void results_are_lines_in_another_order(void **state) {
  (void)state;
  char path[PATH_ROOM], url[PATH_ROOM], wanted[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  begin(sim, THREE, path);
  wait_ended(sim, path, &got);
  copy_text(url, sizeof url, pick(&got, "results_url"));
  join_path(wanted, sheaf_sim_url(sim), path, "/results");
  assert_string_equal(url, wanted);
  reply_deinit(&got);
  fetch_results(sim, path, &got);
  assert_begins(header_of(&got, "content-disposition"), "attachment; filename=\"msgbatch_");
  assert_non_null(strstr(header_of(&got, "content-disposition"), "_results.jsonl\""));
  assert_int_equal(count_lines(&got), 3);
  assert_true(strcmp(pick_in(line_at(&got, 0), "custom_id"), "a") != 0);
  sheaf_slice line = line_of(&got, "custom_id", "b");
  assert_at(line, "result.type", "succeeded");
  assert_at(line, "result.message.type", "message");
  assert_at(line, "result.message.content[0].text", "echo: hello b");
  assert_at(line, "result.message.stop_reason", "end_turn");
  assert_at(line, "result.message.usage.input_tokens", "2");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_row_gets_byte_by_byte_what_its_params_get_live(void **state) {
  (void)state;
  static const char *const bodies[] = {
      PARAMS("x", ""), PARAMS("\\u00e9 \\\"", ",\"system\":\"be brief\""),
      PARAMS("y", ",\"temperature\":7"),
      "{\"model\":\"claude-x\",\"messages\":[{\"role\":\"user\",\"content\":\"z\"}]}",
      PARAMS("n", ",\"no_such\":1")};
  static const char *const message[] = {"result.message"}, *const wrong[] = {"result.error.error"},
                           *const live_wrong[] = {"error"};
  char body[4096] = "{\"requests\":[", path[PATH_ROOM];
  reply got, live;
  sheaf_sim *sim = start("batch-time", "0", "answer", "lorem:20", NULL);
  sheaf_sim *other = start("answer", "lorem:20", NULL);
  for (size_t i = 0; i < 5; i++)
    snprintf(body + strlen(body), sizeof body - strlen(body),
             "%s{\"custom_id\":\"r%zu\",\"params\":%s}", i ? "," : "", i, bodies[i]);
  copy_text(body + strlen(body), sizeof body - strlen(body), "]}");
  begin(sim, body, path);
  wait_ended(sim, path, &got);
  assert_counts(&got, 0, 2, 3, 0, 0);
  reply_deinit(&got);
  fetch_results(sim, path, &got);
  for (size_t i = 0; i < 5; i++) {
    char id[8];
    sheaf_slice in_batch, whole;
    snprintf(id, sizeof id, "r%zu", i);
    sheaf_slice line = line_of(&got, "custom_id", id);
    fetch(other, &live, MESSAGES, bodies[i], VERSION);
    assert_at(line, "result.type", i < 2 ? "succeeded" : "errored");
    assert_int_equal(sheaf_json_pick(line, i < 2 ? message : wrong, 1, &in_batch, NULL, NULL),
                     SHEAF_OK);
    whole = sheaf_buf_slice(&live.body);
    if (i >= 2) {
      assert_int_equal(sheaf_json_pick(whole, live_wrong, 1, &whole, NULL, NULL), SHEAF_OK);
      assert_at(line, "result.error.type", "error");
      assert_int_equal(live.status, 400);
    }
    assert_int_equal(in_batch.bytes, whole.bytes);
    assert_memory_equal(in_batch.data, whole.data, whole.bytes);
    reply_deinit(&live);
  }
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), 2); /* errored rows are not billed */
  assert_int_equal(stat_of(sim, "billed_batch.requests"), 2);
  sheaf_sim_stop(other);
  sheaf_sim_stop(sim);
}

/* ---- Rows ---- */

/* protocols 2.4: fine or not fine live, refused in a batch, and only the row suffers. */
static void what_batches_refuse_is_errored_row_by_row(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  begin(sim,
        REQUESTS(ROW("stream", ",\"stream\":true") "," ROW(
            "speed", ",\"speed\":\"fast\"") ","
                                            "{\"custom_id\":\"zero\",\"params\":{\"model\":\"m\","
                                            "\"max_tokens\":0," HELLO "}},"
                                            "{\"custom_id\":\"empty\",\"params\":{}}," ROW(
                                                "good", ",\"stream\":false")),
        path);
  wait_ended(sim, path, &got);
  assert_counts(&got, 0, 1, 4, 0, 0);
  reply_deinit(&got);
  fetch_results(sim, path, &got);
  assert_at(line_of(&got, "custom_id", "good"), "result.type", "succeeded");
  static const char *const bad[] = {"stream", "speed", "zero", "empty"};
  for (size_t i = 0; i < 4; i++) {
    sheaf_slice line = line_of(&got, "custom_id", bad[i]);
    assert_at(line, "result.type", "errored");
    assert_at(line, "result.error.error.type", "invalid_request_error");
  }
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void rows_fail_as_often_as_they_are_told_to(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-fail", "1", NULL);
  begin(sim, THREE, path);
  wait_ended(sim, path, &got);
  assert_counts(&got, 0, 0, 3, 0, 0);
  reply_deinit(&got);
  fetch_results(sim, path, &got);
  assert_at(line_at(&got, 0), "result.error.error.type", "api_error");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Refusals ---- */

static void one_bad_request_refuses_the_whole_batch(void **state) {
  (void)state;
  static const struct {
    const char *body, *message;
  } rows[] = {
      {REQUESTS(ROW("a", "") "," ROW("b c", "")),
       "requests.1.custom_id: String should match pattern"},
      {REQUESTS(ROW("", "")), "requests.0.custom_id: String should match pattern"},
      {REQUESTS(ROW("a", "") "," ROW("a", "")), "requests.1.custom_id: "},
      {REQUESTS("{\"params\":{}}"), "requests.0.custom_id: Field required"},
      {REQUESTS("{\"custom_id\":\"a\"}"), "requests.0.params: Field required"},
      {REQUESTS("{\"custom_id\":\"a\",\"params\":[]}"), "requests.0.params: Input should be"},
      {REQUESTS("{\"custom_id\":\"a\",\"params\":{},\"x\":1}"),
       "requests.0.x: Extra inputs are not permitted"},
      {REQUESTS("7"), "requests.0: Input should be"},
      {REQUESTS(""), "requests: List should have at least 1 item"},
      {"{}", "requests: Field required"},
      {"{\"requests\":{}}", "requests: Input should be a valid array"},
      {"[]", NULL},
      {"{\"requests\":[", NULL},
      {REQUESTS(ROW("a", "") "," ROW("b", "") "," ROW("c", "") "," ROW("d", "")), "requests: "}};
  reply got;
  sheaf_sim *sim = start("batch-rows", "3", NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fetch(sim, &got, BATCHES, rows[i].body, VERSION);
    assert_refusal(&got, 400, "invalid_request_error", rows[i].message);
    reply_deinit(&got);
  }
  char id[80], body[512]; /* 64 characters are fine, 65 are not */
  memset(id, 'x', 65);
  id[65] = 0;
  snprintf(body, sizeof body, "{\"requests\":[{\"custom_id\":\"%s\",\"params\":{}}]}", id);
  fetch(sim, &got, BATCHES, body, VERSION);
  assert_refusal(&got, 400, "invalid_request_error", "requests.0.custom_id: ");
  reply_deinit(&got);
  snprintf(body, sizeof body, "{\"requests\":[{\"custom_id\":\"%s\",\"params\":{}}]}", id + 1);
  fetch_200(sim, &got, "POST", BATCHES, body, VERSION);
  reply_deinit(&got);
  fetch_200(sim, &got, "GET", BATCHES, NULL, VERSION);
  assert_in(&got, "data[1]", ""); /* none of the others was made */
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void keys_and_versions_are_wanted(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("key", "right", NULL);
  fetch_with(sim, &got, "GET", BATCHES, NULL, "x-api-key: wrong", VERSION);
  assert_refusal(&got, 401, "authentication_error", NULL);
  reply_deinit(&got);
  fetch_with(sim, &got, "POST", BATCHES, THREE, "x-api-key: right", NULL);
  assert_refusal(&got, 400, "invalid_request_error", "anthropic-version");
  reply_deinit(&got);
  fetch_with(sim, &got, "POST", BATCHES, THREE, "x-api-key: right", VERSION);
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_full_queue_is_a_rate_limit_of_that_key(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("batch-quirk", "stuck", "batch-queue", "5", NULL);
  fetch_with(sim, &got, "POST", BATCHES, THREE, "x-api-key: one", VERSION);
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  fetch_with(sim, &got, "POST", BATCHES, THREE, "x-api-key: one", VERSION);
  assert_refusal(&got, 429, "rate_limit_error", NULL);
  reply_deinit(&got);
  fetch_with(sim, &got, "POST", BATCHES, THREE, "x-api-key: two", VERSION);
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Ends ---- */

static void a_canceled_batch_ends_with_canceled_rows(void **state) {
  (void)state;
  char path[PATH_ROOM], cancel[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "1000", "batch-quirk", "stuck", NULL);
  begin(sim, THREE, path);
  join_path(cancel, path, "", "/cancel");
  fetch_200(sim, &got, "POST", cancel, "", VERSION);
  assert_in(&got, "processing_status", "canceling");
  assert_true(seconds_of(pick(&got, "cancel_initiated_at")) > 0);
  assert_counts(&got, 3, 0, 0, 0, 0);
  reply_deinit(&got);
  wait_ended(sim, path, &got);
  assert_counts(&got, 0, 0, 0, 3, 0);
  reply_deinit(&got);
  fetch_results(sim, path, &got);
  assert_int_equal(count_lines(&got), 3);
  assert_at(line_of(&got, "custom_id", "c"), "result.type", "canceled");
  reply_deinit(&got);
  fetch_with(sim, &got, "POST", cancel, "", VERSION, NULL);
  assert_refusal(&got, 400, "invalid_request_error", NULL);
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

static void rows_expire_one_by_one_and_the_batch_just_ends(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-partial", "1", NULL);
  begin(sim, REQUESTS(ROW("a", "") "," ROW("b", "") "," ROW("c", "") "," ROW("d", "")), path);
  wait_ended(sim, path, &got);
  assert_counts(&got, 0, 2, 0, 0, 2);
  reply_deinit(&got);
  fetch_results(sim, path, &got);
  assert_int_equal(count_lines(&got), 4);
  unsigned expired = 0;
  for (unsigned i = 0; i < 4; i++)
    expired += strcmp(pick_in(line_at(&got, i), "result.type"), "expired") == 0;
  assert_int_equal(expired, 2);
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), 2);
  sheaf_sim_stop(sim);
}

static void only_an_ended_batch_is_deleted_or_has_results(void **state) {
  (void)state;
  char path[PATH_ROOM], results[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL), *quick = start("batch-time", "0", NULL);
  begin(sim, THREE, path);
  join_path(results, path, "", "/results");
  fetch_with(sim, &got, "GET", results, NULL, VERSION, NULL);
  assert_refusal(&got, 404, "not_found_error", NULL);
  reply_deinit(&got);
  fetch_with(sim, &got, "DELETE", path, NULL, VERSION, NULL);
  assert_refusal(&got, 400, "invalid_request_error", NULL);
  reply_deinit(&got);
  begin(quick, THREE, path);
  wait_ended(quick, path, &got);
  char id[ID_MAX];
  copy_text(id, sizeof id, pick(&got, "id"));
  reply_deinit(&got);
  fetch_200(quick, &got, "DELETE", path, NULL, VERSION);
  assert_in(&got, "id", id);
  assert_in(&got, "type", "message_batch_deleted");
  reply_deinit(&got);
  fetch_with(quick, &got, "GET", path, NULL, VERSION, NULL);
  assert_refusal(&got, 404, "not_found_error", NULL);
  reply_deinit(&got);
  sheaf_sim_stop(quick);
  sheaf_sim_stop(sim);
}

static void results_are_archived_when_their_time_is_over(void **state) {
  (void)state;
  char path[PATH_ROOM], results[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", "batch-keep", "100", NULL);
  begin(sim, THREE, path);
  join_path(results, path, "", "/results");
  for (int tries = 0; tries < 4000; tries++) {
    fetch_200(sim, &got, "GET", path, NULL, VERSION);
    if (strcmp(pick(&got, "archived_at"), "null") != 0) break;
    reply_deinit(&got);
    rest_ms(5);
  }
  assert_true(seconds_of(pick(&got, "archived_at")) > 0);
  assert_in(&got, "processing_status", "ended");
  assert_in(&got, "results_url", "null");
  assert_counts(&got, 0, 3, 0, 0, 0);
  reply_deinit(&got);
  assert_int_equal(status_of(sim, results, NULL, VERSION), 404);
  sheaf_sim_stop(sim);
}

/* ---- Lists ---- */

static void batches_are_listed_forwards_and_backwards(void **state) {
  (void)state;
  char ids[6][ID_MAX], path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  for (int i = 5; i >= 0; i--) { /* ids[0] is the newest */
    fetch_200(sim, &got, "POST", BATCHES, THREE, VERSION);
    copy_text(ids[i], ID_MAX, pick(&got, "id"));
    reply_deinit(&got);
  }
  fetch_200(sim, &got, "GET", BATCHES "?limit=2", NULL, VERSION);
  assert_in(&got, "first_id", ids[0]);
  assert_in(&got, "last_id", ids[1]);
  assert_in(&got, "has_more", "true");
  reply_deinit(&got);
  join_path(path, BATCHES "?limit=4&after_id=", ids[1], "");
  fetch_200(sim, &got, "GET", path, NULL, VERSION);
  assert_in(&got, "data[0].id", ids[2]);
  assert_in(&got, "data[3].id", ids[5]);
  assert_in(&got, "has_more", "false");
  reply_deinit(&got);
  join_path(path, BATCHES "?limit=2&before_id=", ids[4], "");
  fetch_200(sim, &got, "GET", path, NULL, VERSION);
  assert_in(&got, "data[0].id", ids[2]);
  assert_in(&got, "data[1].id", ids[3]);
  assert_in(&got, "data[2]", "");
  assert_in(&got, "has_more", "true");
  reply_deinit(&got);
  join_path(path, BATCHES "?before_id=", ids[0], "");
  fetch_200(sim, &got, "GET", path, NULL, VERSION);
  assert_in(&got, "data", "[]");
  assert_in(&got, "first_id", "null");
  assert_in(&got, "has_more", "false");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, BATCHES "?limit=1001", NULL, VERSION), 400);
  assert_int_equal(status_of(sim, BATCHES "?after_id=msgbatch_no", NULL, VERSION), 400);
  sheaf_sim_stop(sim);
}

/* The same ids are accepted again, at double cost (protocols 8.3). */
static void the_same_batch_twice_is_billed_twice(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  for (int i = 0; i < 2; i++) {
    begin(sim, THREE, path);
    wait_ended(sim, path, &got);
    reply_deinit(&got);
  }
  assert_int_equal(stat_of(sim, "billed.requests"), 6);
  assert_int_equal(stat_of(sim, "again.billed"), 3);
  sheaf_sim_stop(sim);
}

/* ---- Sizes ---- */

static void a_hundred_thousand_rows_are_one_batch_and_one_more_is_not(void **state) {
  (void)state;
  const unsigned count = 100000;
  char *body = malloc((count + 1) * 112u + 32), *at = body, path[PATH_ROOM];
  reply got;
  assert_non_null(body);
  at += sprintf(at, "{\"requests\":[");
  for (unsigned i = 0; i <= count; i++) {
    if (i == count) { /* without the last one first */
      memcpy(at, "]}", 3);
      sheaf_sim *sim = start("batch-time", "0", "ledger", "0", NULL);
      begin(sim, body, path);
      wait_ended(sim, path, &got);
      assert_counts(&got, 0, (int)count, 0, 0, 0);
      reply_deinit(&got);
      fetch_results(sim, path, &got);
      sheaf_slice rest = sheaf_buf_slice(&got.body);
      unsigned lines = 0;
      for (; rest.bytes; lines++) take_line(&rest);
      assert_int_equal(lines, count);
      reply_deinit(&got);
      sheaf_sim_stop(sim);
    }
    at +=
        sprintf(at,
                "%s{\"custom_id\":\"%u\",\"params\":{\"model\":\"m\",\"max_tokens\":9,\"messages\":"
                "[{\"role\":\"user\",\"content\":\"%u\"}]}}",
                i ? "," : "", i, i);
  }
  memcpy(at, "]}", 3);
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, BATCHES, body, VERSION);
  assert_refusal(&got, 400, "invalid_request_error", "requests: ");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
  free(body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_new_batch_counts_all_rows_as_processing),
      cmocka_unit_test(counts_come_when_all_is_over),
      cmocka_unit_test(results_are_lines_in_another_order),
      cmocka_unit_test(a_row_gets_byte_by_byte_what_its_params_get_live),
      cmocka_unit_test(what_batches_refuse_is_errored_row_by_row),
      cmocka_unit_test(rows_fail_as_often_as_they_are_told_to),
      cmocka_unit_test(one_bad_request_refuses_the_whole_batch),
      cmocka_unit_test(keys_and_versions_are_wanted),
      cmocka_unit_test(a_full_queue_is_a_rate_limit_of_that_key),
      cmocka_unit_test(a_canceled_batch_ends_with_canceled_rows),
      cmocka_unit_test(rows_expire_one_by_one_and_the_batch_just_ends),
      cmocka_unit_test(only_an_ended_batch_is_deleted_or_has_results),
      cmocka_unit_test(results_are_archived_when_their_time_is_over),
      cmocka_unit_test(batches_are_listed_forwards_and_backwards),
      cmocka_unit_test(the_same_batch_twice_is_billed_twice),
      cmocka_unit_test(a_hundred_thousand_rows_are_one_batch_and_one_more_is_not),
  };
  RUN_SUITE(tests);
}
