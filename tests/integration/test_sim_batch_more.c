/* test_sim_batch_more.c: the simulator's batch jobs as Mistral and Groq have them, over real sockets,
 * against the types of their clients (mistralai 2.7, groq-sdk 1.6); and what all of them share.
 *
 *   Mistral    by file, in the body, ends, refusals, lists
 *   Groq       OpenAI's shape at another path, longer windows
 *   options    values that are none; a job's time, scaled; many jobs beside live requests */
#include "../support/sim_batch_test.h"

#define JOBS "/v1/batch/jobs"
#define LINE(id, rest)                                                                           \
  "{\"custom_id\":\"" id "\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"hello " id \
  "\"}]" rest "}}"
#define THREE LINE("a", "") "\n" LINE("b", ",\"temperature\":7") "\n" LINE("c", "") "\n"
#define OVER " SUCCESS FAILED TIMEOUT_EXCEEDED CANCELLED "

/* ---- Helpers ---- */

static void begin(const sheaf_sim *sim, const char *body, char path[PATH_ROOM]) {
  reply got;
  fetch_200(sim, &got, "POST", JOBS, body, NULL);
  join_path(path, JOBS "/", pick(&got, "id"), "");
  reply_deinit(&got);
}

static void begin_file(const sheaf_sim *sim, const char *text, char path[PATH_ROOM]) {
  char file[ID_MAX], body[256];
  upload_input(sim, text, file);
  snprintf(body, sizeof body,
           "{\"input_files\":[\"%s\"],\"endpoint\":\"" CHAT
           "\",\"model\":\"mis\",\"metadata\":"
           "{\"run\":\"7\"}}",
           file);
  begin(sim, body, path);
}

/* ---- Mistral ---- */

static void a_file_gives_two_files(void **state) {
  (void)state;
  char path[PATH_ROOM], content[PATH_ROOM];
  reply got, lines;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  begin_file(sim, THREE, path);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_in(&got, "status", "SUCCESS");
  assert_in(&got, "object", "batch");
  assert_in(&got, "model", "mis");
  assert_in(&got, "metadata.run", "7");
  assert_in(&got, "errors", "[]");
  assert_in(&got, "outputs", "null");
  assert_int_equal(pick_int(&got, "total_requests"), 3);
  assert_int_equal(pick_int(&got, "completed_requests"), 3);
  assert_int_equal(pick_int(&got, "succeeded_requests"), 2);
  assert_int_equal(pick_int(&got, "failed_requests"), 1);
  assert_true(pick_int(&got, "completed_at") >= pick_int(&got, "started_at"));
  join_path(content, "/v1/files/", pick(&got, "output_file"), "/content");
  fetch_200(sim, &lines, "GET", content, NULL, NULL);
  assert_int_equal(count_lines(&lines), 2);
  sheaf_slice line = line_of(&lines, "custom_id", "c");
  assert_at(line, "response.status_code", "200");
  assert_at(line, "response.request_id", "");
  assert_at(line, "response.body.model", "mis"); /* the job's */
  assert_at(line, "response.body.choices[0].message.content", "echo: hello c");
  reply_deinit(&lines);
  join_path(content, "/v1/files/", pick(&got, "error_file"), "/content");
  fetch_200(sim, &lines, "GET", content, NULL, NULL);
  assert_int_equal(count_lines(&lines), 1);
  assert_at(line_at(&lines, 0), "response.status_code", "400");
  reply_deinit(&lines);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void rows_in_the_body_are_answered_in_the_job(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "0", NULL);
  begin(sim,
        "{\"requests\":[" LINE("a", "") "," LINE("b", "") "],\"endpoint\":\"" CHAT
                                                          "\",\"model\":\"mis\"}",
        path);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_in(&got, "status", "SUCCESS");
  assert_in(&got, "input_files", "[]");
  assert_in(&got, "output_file", "null");
  assert_in(&got, "outputs[0].custom_id", "b");
  assert_in(&got, "outputs[1].custom_id", "a");
  assert_in(&got, "outputs[1].response.body.choices[0].message.content", "echo: hello a");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void jobs_fail_time_out_and_are_cancelled(void **state) {
  (void)state;
  char path[PATH_ROOM], cancel[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "100", "batch-quirk", "stuck", NULL);
  begin_file(sim, "no JSON\n", path);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_in(&got, "status", "FAILED");
  assert_int_equal(pick_int(&got, "errors[0].count"), 1);
  assert_true(strlen(pick(&got, "errors[0].message")) > 8);
  reply_deinit(&got);
  begin_file(sim, THREE, path);
  join_path(cancel, path, "", "/cancel");
  fetch_200(sim, &got, "POST", cancel, "", NULL);
  assert_in(&got, "status", "CANCELLATION_REQUESTED");
  reply_deinit(&got);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_in(&got, "status", "CANCELLED");
  reply_deinit(&got);
  fetch_200(sim, &got, "DELETE", path, NULL, NULL);
  assert_in(&got, "deleted", "true");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, path, NULL, NULL), 404);
  sheaf_sim_stop(sim);
  sim = start("batch-time", "0", "batch-partial", "1", NULL);
  begin_file(sim, THREE, path);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_in(&got, "status", "TIMEOUT_EXCEEDED");
  assert_int_equal(pick_int(&got, "completed_requests"), 1);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void refusals_are_flat(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "{\"endpoint\":\"" CHAT "\"}",
      "{\"endpoint\":\"/v1/holiday\",\"input_files\":[\"x\"]}",
      "{\"endpoint\":\"" CHAT "\",\"input_files\":[\"file-none\"]}",
      "{\"endpoint\":\"" CHAT "\",\"requests\":[]}",
      "{\"endpoint\":\"" CHAT "\",\"requests\":[{\"custom_id\":\"a\"}]}",
      "{\"endpoint\":\"" CHAT "\",\"requests\":[" LINE("a", "") "],\"input_files\":[\"x\"]}"};
  reply got;
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    fetch(sim, &got, JOBS, bodies[i], NULL);
    assert_int_equal(got.status, 400);
    assert_in(&got, "object", "error");
    assert_in(&got, "type", "invalid_request_error");
    assert_true(strlen(pick(&got, "message")) > 4);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void jobs_are_listed_by_page(void **state) {
  (void)state;
  char paths[5][PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  for (int i = 0; i < 5; i++) begin_file(sim, THREE, paths[i]);
  fetch_200(sim, &got, "GET", JOBS "?page=1&page_size=2", NULL, NULL);
  assert_in(&got, "object", "list");
  assert_int_equal(pick_int(&got, "total"), 5);
  assert_in(&got, "data[0].id", paths[2] + strlen(JOBS "/"));
  assert_in(&got, "data[1].id", paths[1] + strlen(JOBS "/"));
  assert_in(&got, "data[2]", "");
  assert_in(&got, "data[0].status", "QUEUED");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Groq ---- */

static void groq_takes_windows_of_up_to_seven_days(void **state) {
  (void)state;
  static const char *const fields[] = {"purpose", "batch", NULL};
  static const struct {
    const char *window;
    long status, seconds;
  } rows[] = {{"24h", 200, 86400}, {"7d", 200, 7 * 86400}, {"8d", 400, 0}, {"12h", 400, 0}};
  static const char text[] =
      "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/"
      "completions\",\"body\":" CHAT_HELLO "}\n";
  char file[ID_MAX], body[256];
  reply got;
  sheaf_sim *sim = start("batch-time", "600000", NULL);
  upload_form(sim, &got, "/openai/v1/files", fields, "x.jsonl", text, strlen(text));
  assert_int_equal(got.status, 200);
  copy_text(file, sizeof file, pick(&got, "id"));
  reply_deinit(&got);
  for (size_t i = 0; i < 4; i++) {
    snprintf(body, sizeof body,
             "{\"input_file_id\":\"%s\",\"endpoint\":\"" CHAT "\",\"completion_window\":\"%s\"}",
             file, rows[i].window);
    fetch(sim, &got, "/openai/v1/batches", body, NULL);
    assert_int_equal(got.status, rows[i].status);
    if (rows[i].status == 200)
      assert_int_equal(pick_int(&got, "expires_at") - pick_int(&got, "created_at"),
                       rows[i].seconds);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* ---- Options ---- */

static void values_that_are_none_are_refused(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"batch-time", "file:x"},  {"batch-time", "uniform:5"}, {"batch-fail", "1.1"},
      {"batch-partial", "half"}, {"batch-quirk", "none"},     {"batch-quirk", "late,"},
      {"batch-quirk", ""},       {"batch-expire", "-1"},      {"batch-rows", "x"}};
  static const char *const good[][2] = {{"batch-time", "lognormal:100:0.5"},
                                        {"batch-time", "uniform:1:2"},
                                        {"batch-fail", "0.000001"},
                                        {"batch-partial", "1"},
                                        {"batch-quirk", "late,azure,stuck"}};
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char message[160] = "";
    assert_int_not_equal(
        sheaf_sim_option_set(&options, rows[i][0], rows[i][1], message, sizeof message), SHEAF_OK);
    assert_true(strlen(message) > 8);
  }
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(sheaf_sim_option_set(&options, good[i][0], good[i][1], NULL, 0), SHEAF_OK);
  assert_int_equal(options.batch_fail_ppm, 1);
  assert_int_equal(options.batch_partial_ppm, 1000000);
  assert_true(options.batch_quirks & 1u << SHEAF_SIM_QUIRK_STUCK);
  assert_true(options.batch_quirks & 1u << SHEAF_SIM_QUIRK_ISO);
  assert_string_equal(sheaf_sim_quirk_name(SHEAF_SIM_QUIRK_LATE), "late");
  assert_null(sheaf_sim_quirk_name(SHEAF_SIM_QUIRK_COUNT));
}

/* A job of a day: without the scale the test would not end. */
static void time_is_compressed(void **state) {
  (void)state;
  char path[PATH_ROOM];
  reply got;
  sheaf_sim *sim = start("batch-time", "86400000", "time-scale", "0", NULL);
  begin_file(sim, THREE, path);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_in(&got, "status", "SUCCESS");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* A large job is worked on in slices: a request gets its answer while the job is under way. */
static void a_large_job_does_not_hold_up_live_requests(void **state) {
  (void)state;
  const unsigned count = 30000;
  char *input = malloc(count * 128u), *at = input, path[PATH_ROOM];
  reply got;
  assert_non_null(input);
  for (unsigned i = 0; i < count; i++)
    at += sprintf(at,
                  "{\"custom_id\":\"%u\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":"
                  "\"%u\"}]}}\n",
                  i, i);
  sheaf_sim *sim = start("batch-time", "0", "ledger", "0", NULL);
  begin_file(sim, input, path);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  assert_true(stat_of(sim, "billed.requests") < count);
  wait_for(sim, &got, path, NULL, "status", OVER);
  assert_int_equal(pick_int(&got, "succeeded_requests"), count);
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), count + 1);
  sheaf_sim_stop(sim);
  free(input);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_gives_two_files),
      cmocka_unit_test(rows_in_the_body_are_answered_in_the_job),
      cmocka_unit_test(jobs_fail_time_out_and_are_cancelled),
      cmocka_unit_test(refusals_are_flat),
      cmocka_unit_test(jobs_are_listed_by_page),
      cmocka_unit_test(groq_takes_windows_of_up_to_seven_days),
      cmocka_unit_test(values_that_are_none_are_refused),
      cmocka_unit_test(time_is_compressed),
      cmocka_unit_test(a_large_job_does_not_hold_up_live_requests),
  };
  RUN_SUITE(tests);
}
