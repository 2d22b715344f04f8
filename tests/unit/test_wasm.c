/* test_wasm.c: the WebAssembly shell, compiled for this machine: what a host sees of it, and that no
 * handle, number or text of a host's breaks it. The same calls run inside the modules in the package's
 * tests. */
#include "../../wasm/exports.h"

#include "check.h"

#include <math.h>
#include <string.h>

static uint32_t open_with(const char *options) {
  return sheaf_wasm_open(options, (uint32_t)strlen(options), 1, 0, NULL);
}

static bool says(wasm_slice slice, const char *text) {
  return slice.bytes == strlen(text) &&
         (slice.bytes == 0 || memcmp((const char *)slice.data, text, slice.bytes) == 0);
}

static int32_t submit(uint32_t client, const char *line, uint32_t user) {
  return sheaf_wasm_submit(client, line, (uint32_t)strlen(line), user, 0, 0);
}

TEST(a_request_goes_out_and_its_answer_comes_back) {
  uint32_t client = open_with(
      "{\"provider\":\"openai\",\"base_url\":\"http://h/v1\",\"model\":\"m\","
      "\"credential_id\":7,\"concurrency\":2,\"max_retries\":0}");
  CHECK(client != 0);
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(submit(client, "{\"custom_id\":\"a\",\"prompt\":\"hi\"}", 42));
  CHECK(mail->index == 0.0);
  CHECK_OK(sheaf_wasm_end(client, 0));
  CHECK_OK(sheaf_wasm_step(client, 1000.0, 1.7e12));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  CHECK(says(mail->url, "http://h/v1/chat/completions"));
  CHECK(says(mail->method, "POST"));
  CHECK(strstr((const char *)mail->headers.data, ",\"Bearer \",7]") != NULL);
  CHECK(
      says(mail->bytes, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
  CHECK_EQ(mail->user, 42);
  double exchange = mail->exchange;
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_NONE);
  static const char head[] = "content-type: application/json\n";
  static const char body[] =
      "{\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
      "\"assistant\","
      "\"content\":\"o\\u006b\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
      "\"completion_tokens\":1,\"total_tokens\":4}}";
  CHECK_OK(sheaf_wasm_on_head(client, exchange, 200, head, sizeof head - 1));
  CHECK_OK(sheaf_wasm_on_data(client, exchange, body, sizeof body - 1));
  CHECK_OK(sheaf_wasm_on_done(client, exchange, SHEAF_END_OK, 1, NULL, 0));
  CHECK_OK(sheaf_wasm_step(client, 1025.5, 1.7e12));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_RESULT);
  CHECK(says(mail->text, "ok"));
  CHECK(says(mail->custom_id, "a"));
  CHECK(says(mail->model, "m-1"));
  CHECK(says(mail->finish_reason, "stop"));
  CHECK_EQ(mail->flags & WASM_FLAG_OK, WASM_FLAG_OK);
  CHECK(mail->input_tokens == 3.0 && mail->output_tokens == 1.0);
  CHECK(mail->cost_usd == -1.0); /* nobody sells a model of this name */
  CHECK(mail->latency_ms == 25.5);
  CHECK_EQ(mail->fingerprint.bytes, 32);
  CHECK_OK(sheaf_wasm_text(client, 1));
  CHECK(memcmp((const char *)mail->bytes.data, "{\"id\":", 6) == 0);
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_NONE);
  CHECK_EQ(sheaf_wasm_is_idle(client), 1);
  sheaf_wasm_close(client);
}

TEST(options_that_are_wrong_say_which_and_why) {
  static const struct {
    const char *options, *field;
    int32_t status;
  } rows[] = {
      {"{\"concurency\":3}", "concurency", SHEAF_E_NOT_FOUND},
      {"{\"provider\":\"opnai\"}", "provider", SHEAF_E_NOT_FOUND},
      {"{\"max_retries\":-1}", "max_retries", SHEAF_E_RANGE},
      {"{\"max_retries\":true}", "max_retries", SHEAF_E_TYPE},
      {"{\"endpoints\":{}}", "endpoints", SHEAF_E_TYPE},
      {"{\"endpoints\":[{\"weight\":1001}]}", "weight", SHEAF_E_RANGE},
      {"{\"endpoints\":[{\"rpm\":5}]}", "rpm", SHEAF_E_NOT_FOUND},
      {"{\"model\":5}", "model", SHEAF_E_TYPE},
      {"{\"headers\":{\"a\":1}}", "headers", SHEAF_E_TYPE},
      {"[]", "", SHEAF_E_TYPE},
      {"{", "", SHEAF_E_PARTIAL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK_EQ(open_with(rows[i].options), 0);
    const wasm_mail *mail = sheaf_wasm_mail(0);
    CHECK_EQ((int32_t)mail->status, rows[i].status);
    CHECK(says(mail->field, rows[i].field));
    CHECK(mail->message.bytes > 0);
  }
}

TEST(a_line_that_is_wrong_is_refused_and_the_client_lives) {
  uint32_t client = open_with("{\"model\":\"m\"}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_EQ(submit(client, "{\"prompt\":5}", 1), SHEAF_E_TYPE);
  CHECK(says(mail->field, "prompt"));
  CHECK_OK(submit(client, "\"a bare string\"", 1));
  CHECK_OK(submit(client, "{\"prompt\":\"again\"}", 2));
  CHECK(mail->index == 1.0);
  sheaf_wasm_close(client);
}

TEST(a_prompt_goes_in_as_it_is) {
  uint32_t client = open_with("{\"base_url\":\"http://h/v1\",\"model\":\"m\"}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  static const char prompt[] = "{\"not\": a line}\n";
  CHECK_OK(sheaf_wasm_submit(client, prompt, sizeof prompt - 1, 1, WASM_FLAG_PROMPT, 0));
  CHECK_OK(submit(client, "\"two\"", 2));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  CHECK(says(mail->bytes,
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
             "\"{\\\"not\\\": a line}\\n\"}]}"));
  const char *headers = (const char *)mail->headers.data;
  CHECK(mail->headers.bytes > 2 && headers[0] == '[');
  double key = mail->same_key;
  char first[512];
  size_t bytes = mail->headers.bytes;
  CHECK(bytes < sizeof first);
  memcpy(first, headers, bytes);
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  CHECK(mail->same_key == key); /* so its headers are the same, too */
  CHECK(mail->headers.bytes == bytes &&
        memcmp((const char *)mail->headers.data, first, bytes) == 0);
  sheaf_wasm_close(client);
}

TEST(a_function_of_the_host_s_runs_under_the_same_limits) {
  uint32_t client = open_with("{\"concurrency\":1,\"max_retries\":2,\"retry_base_ms\":1}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(sheaf_wasm_submit_task(client, 5, 0, 0, 0));
  CHECK_OK(sheaf_wasm_submit_task(client, 6, 0, 0, 0));
  CHECK_OK(sheaf_wasm_end(client, 0));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  CHECK_EQ(mail->flags & WASM_FLAG_TASK, WASM_FLAG_TASK);
  CHECK_EQ(mail->user, 5);
  double first = mail->exchange;
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_NONE); /* one at a time */
  CHECK_OK(sheaf_wasm_on_task(client, first, SHEAF_END_OK, 200, 1, -1, 10, 20, NULL, 0));
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  CHECK_EQ(mail->user, 6);
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_RESULT);
  CHECK_EQ(mail->user, 5);
  CHECK(mail->input_tokens == 10.0 && mail->output_tokens == 20.0);
  sheaf_wasm_close(client);
}

TEST(a_log_is_begun_and_goes_on) {
  uint32_t client = open_with("{\"model\":\"m\",\"base_url\":\"http://h\"}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  char log[4096];
  CHECK_OK(sheaf_wasm_use_log(client, NULL, 0, 7, 8, 1.7e12));
  CHECK_EQ(mail->bytes.bytes, SHEAF_LOG_HEADER_BYTES);
  size_t bytes = mail->bytes.bytes;
  memcpy(log, (const char *)mail->bytes.data, bytes);
  CHECK_OK(submit(client, "\"x\"", 1));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  uint32_t kind = sheaf_wasm_next(client);
  CHECK_EQ(kind, WASM_MAIL_APPEND); /* written before it is sent */
  memcpy(log + bytes, (const char *)mail->bytes.data, mail->bytes.bytes);
  bytes += mail->bytes.bytes;
  CHECK_OK(sheaf_wasm_on_stored(client, mail->ticket, SHEAF_OK));
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  sheaf_wasm_close(client);
  client = open_with("{\"model\":\"m\",\"base_url\":\"http://h\"}");
  mail = sheaf_wasm_mail(client);
  CHECK_OK(sheaf_wasm_use_log(client, log, (uint32_t)bytes, 9, 9, 1.7e12));
  CHECK_EQ(mail->bytes.bytes, 0);
  CHECK(mail->number == (double)bytes);
  sheaf_wasm_close(client);
}

static int32_t offer(uint32_t client, const char *line, uint32_t user) {
  return sheaf_wasm_offer(client, line, (uint32_t)strlen(line), user, 0, user);
}

/* A line of an earlier output, of the request that was offered last. */
static size_t earlier_line(uint32_t client, bool is_ok, char text[1024]) {
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_START);
  double exchange = mail->exchange;
  static const char body[] =
      "{\"choices\":[{\"message\":{\"content\":\"a\",\"tool_calls\":[{\"id\":"
      "\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
      "\"finish_reason\":\"stop\"}]}";
  CHECK_OK(sheaf_wasm_on_head(client, exchange, is_ok ? 200 : 400, NULL, 0));
  CHECK_OK(sheaf_wasm_on_data(client, exchange, body, sizeof body - 1));
  CHECK_OK(sheaf_wasm_on_done(client, exchange, SHEAF_END_OK, 0, NULL, 0));
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_RESULT);
  CHECK_OK(sheaf_wasm_text(client, 1));
  size_t bytes = mail->bytes.bytes - 1;
  CHECK(bytes < 1024);
  memcpy(text, (const char *)mail->bytes.data, bytes);
  return bytes;
}

static uint32_t open_resuming(bool retry_failed) {
  uint32_t client = open_with("{\"model\":\"m\",\"base_url\":\"http://h\",\"queue_capacity\":2}");
  CHECK_OK(sheaf_wasm_use_resume(client, retry_failed));
  return client;
}

TEST(rows_that_have_a_line_do_not_go_in_again) {
  char good[1024], bad[1024];
  uint32_t client = open_resuming(false);
  CHECK_OK(offer(client, "{\"custom_id\":\"a\",\"prompt\":\"x\"}", 1));
  size_t good_bytes = earlier_line(client, true, good);
  CHECK_OK(offer(client, "{\"custom_id\":\"b\",\"prompt\":\"y\"}", 2));
  size_t bad_bytes = earlier_line(client, false, bad);
  CHECK_OK(sheaf_wasm_tools(client, good, (uint32_t)good_bytes));
  CHECK(says(sheaf_wasm_mail(client)->tool_calls,
             "[{\"id\":\"t\",\"name\":\"f\",\"arguments\":\"{}\"}]"));
  sheaf_wasm_close(client);

  for (uint32_t again = 0; again < 2; again++) {
    client = open_resuming(again != 0);
    const wasm_mail *mail = sheaf_wasm_mail(client);
    CHECK_EQ(sheaf_wasm_add_line(client, "{\"some\":1}", 10, 0), SHEAF_E_OTHER_RUN);
    CHECK_OK(sheaf_wasm_add_line(client, bad, (uint32_t)bad_bytes, 0));
    CHECK_OK(sheaf_wasm_add_line(client, good, (uint32_t)good_bytes, 500));
    CHECK_EQ(sheaf_wasm_add_line(client, good, 20, 900), SHEAF_E_SYNTAX);
    CHECK_OK(offer(client, "{\"custom_id\":\"a\",\"prompt\":\"x\"}", 1));
    CHECK_EQ(mail->flags, WASM_FLAG_LINE | WASM_FLAG_SKIPPED | WASM_FLAG_OK);
    CHECK(mail->number == 500.0 && mail->index == 0.0);
    CHECK_OK(offer(client, "{\"custom_id\":\"b\",\"prompt\":\"y\"}", 2));
    CHECK_EQ(mail->flags, WASM_FLAG_LINE | (again ? 0u : WASM_FLAG_SKIPPED));
    CHECK(mail->number == 0.0 && mail->index == 1.0);
    CHECK_EQ(offer(client, "{\"custom_id\":\"a\",\"prompt\":\"z\"}", 3), SHEAF_E_DUPLICATE);
    CHECK(mail->number == 1.0 && says(mail->custom_id, "a"));
    CHECK_EQ(offer(client, "{\"custom_id\":\"a\",\"prompt\":\"z\"}", 3), SHEAF_E_OTHER_RUN);
    CHECK_OK(offer(client, "\"new\"", 4));
    CHECK_EQ(mail->flags, 0);
    CHECK(mail->index == 2.0);
    CHECK_EQ(offer(client, "{\"custom_id\":\"row-3\",\"prompt\":\"x\"}", 5),
             again ? SHEAF_E_FULL : SHEAF_E_DUPLICATE);
    CHECK_EQ(sheaf_wasm_is_replaced(client, good, (uint32_t)good_bytes, 500), 0);
    CHECK_EQ(sheaf_wasm_is_replaced(client, good, (uint32_t)good_bytes, 0), 1);
    sheaf_wasm_close(client);
  }
}

TEST(a_row_that_cannot_be_built_ends_with_a_result_and_takes_an_index) {
  uint32_t client = open_resuming(false);
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(offer(client, "{\"prompt\":\"x\",\"url\":\"/v1/nothing\"}", 7));
  CHECK_EQ(mail->flags, WASM_FLAG_REFUSED);
  CHECK_OK(offer(client, "\"x\"", 8));
  CHECK(mail->index == 1.0);
  CHECK_EQ(offer(client, "{\"prompt\":", 9), SHEAF_E_SYNTAX);
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  uint32_t kind = sheaf_wasm_next(client);
  while (kind != WASM_MAIL_RESULT && kind != WASM_MAIL_NONE) kind = sheaf_wasm_next(client);
  CHECK_EQ(kind, WASM_MAIL_RESULT);
  CHECK_EQ(mail->user, 7);
  CHECK_EQ(mail->error_class, SHEAF_CLASS_INVALID_REQUEST);
  sheaf_wasm_close(client);
  CHECK_EQ(offer(client, "\"x\"", 1), SHEAF_E_MISUSE);
  client = open_with("{\"model\":\"m\",\"base_url\":\"http://h\"}");
  CHECK_EQ(offer(client, "\"x\"", 1), SHEAF_E_MISUSE); /* resuming is not on */
  CHECK_EQ(sheaf_wasm_add_line(client, "{}", 2, 0), SHEAF_E_MISUSE);
  CHECK_OK(sheaf_wasm_log_synced(client));
  sheaf_wasm_close(client);
}

/* ---- The queue ---- */

/* Answers an exchange as a whole. */
static void answer(uint32_t client, double exchange, const char *body) {
  CHECK_OK(sheaf_wasm_on_head(client, exchange, 200, NULL, 0));
  CHECK_OK(sheaf_wasm_on_data(client, exchange, body, (uint32_t)strlen(body)));
  CHECK_OK(sheaf_wasm_on_done(client, exchange, SHEAF_END_OK, 0, NULL, 0));
}

/* The next of a kind, others passed over. */
static bool next_of(uint32_t client, uint32_t kind) {
  uint32_t next;
  while ((next = sheaf_wasm_next(client)) != kind)
    if (next == WASM_MAIL_NONE) return false;
  return true;
}

static int32_t set_option(uint32_t client, const char *name, const char *value) {
  return sheaf_wasm_set(client, name, (uint32_t)strlen(name), value, (uint32_t)strlen(value));
}

#define EMBEDDINGS "{\"base_url\":\"http://h/v1\",\"model\":\"m\",\"url\":\"/v1/embeddings\""

TEST(requests_travel_in_a_group_and_its_states_are_told) {
  uint32_t client = open_with(EMBEDDINGS
                              ",\"window\":\"fixed\",\"window_ms\":100,\"min_batch\":20,"
                              "\"group_events\":true}");
  CHECK(client != 0);
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(sheaf_wasm_step(client, 1000, 0));
  CHECK_OK(submit(client, "{\"input\":\"one\"}", 1));
  CHECK_OK(submit(client, "{\"input\":\"two\"}", 2));
  CHECK_OK(sheaf_wasm_step(client, 1000, 0));
  CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_GROUP);
  CHECK_EQ(mail->group_state, SHEAF_GROUP_ACCUMULATING);
  CHECK(mail->at_ms == 1000.0);
  double group = mail->group;
  CHECK(group > 0);
  CHECK(!next_of(client, WASM_MAIL_START));
  CHECK_OK(sheaf_wasm_step(client, 1100, 0));
  CHECK(next_of(client, WASM_MAIL_START));
  CHECK(says(mail->bytes, "{\"model\":\"m\",\"input\":[\"one\",\"two\"]}"));
  double exchange = mail->exchange;
  uint32_t state = SHEAF_GROUP_ACCUMULATING;
  while (sheaf_wasm_next(client) == WASM_MAIL_GROUP) {
    CHECK(mail->group == group && mail->group_members == 2 && mail->at_ms == 1100.0);
    CHECK(mail->group_state > state);
    state = mail->group_state;
  }
  CHECK_EQ(state, SHEAF_GROUP_AWAITING);
  answer(client, exchange,
         "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":1,\"embedding\":[2]},"
         "{\"object\":\"embedding\",\"index\":0,\"embedding\":[1]}],\"model\":\"m\","
         "\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}");
  CHECK_OK(sheaf_wasm_step(client, 1200, 0));
  for (uint32_t user = 1; user <= 2; user++) {
    CHECK(next_of(client, WASM_MAIL_RESULT));
    CHECK_EQ(mail->user, user);
    CHECK_EQ(mail->flags & WASM_FLAG_OK, WASM_FLAG_OK);
    CHECK(mail->group == group);
    CHECK_EQ(mail->group_members, 2);
    CHECK_EQ(mail->lane, SHEAF_LANE_MERGED);
  }
  sheaf_wasm_close(client);
}

TEST(a_request_waits_for_company_as_long_as_it_says) {
  static const double waits[] = {600, 0, -5, (double)NAN, 1e300};
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    uint32_t client = open_with(EMBEDDINGS
                                ",\"window\":\"fixed\",\"window_ms\":5000,\"min_batch\":20,"
                                "\"max_wait_ms\":2000}");
    static const char line[] = "{\"input\":\"one\"}";
    CHECK_OK(sheaf_wasm_submit(client, line, sizeof line - 1, 1, 0, waits[i]));
    CHECK_OK(sheaf_wasm_step(client, 1000, 0));
    CHECK(!next_of(client, WASM_MAIL_START));
    CHECK_OK(sheaf_wasm_step(client, 1600, 0));
    CHECK_EQ(next_of(client, WASM_MAIL_START), waits[i] == 600);
    CHECK_OK(sheaf_wasm_step(client, 3000, 0));
    CHECK_EQ(next_of(client, WASM_MAIL_START), waits[i] != 600);
    sheaf_wasm_close(client);
  }
}

TEST(prompts_are_merged_where_there_is_a_secret) {
  static const char options[] =
      "{\"base_url\":\"http://h/v1\",\"model\":\"m\",\"merge\":\"prompts\",\"window\":\"fixed\","
      "\"window_ms\":100,\"min_batch\":20,\"max_tokens\":9,\"concurrency\":9}";
  static const uint8_t secret[SHEAF_SECRET_BYTES] = {1, 2, 3};
  for (uint32_t has = 0; has < 2; has++) {
    uint32_t client = sheaf_wasm_open(options, sizeof options - 1, 1, 0, has ? secret : NULL),
             starts = 0;
    static const char *const lines[] = {
        "{\"prompt\":\"a\",\"trust_key\":\"t\"}", "{\"prompt\":\"b\",\"trust_key\":\"t\"}",
        "{\"prompt\":\"c\",\"trust_key\":\"u\"}", "{\"prompt\":\"d\",\"trust_key\":\"t\"}"};
    for (uint32_t i = 0; i < 4; i++)
      CHECK_OK(sheaf_wasm_submit(client, lines[i], (uint32_t)strlen(lines[i]), i,
                                 i == 3 ? WASM_FLAG_ALONE : 0u, 0));
    CHECK_OK(sheaf_wasm_step(client, 1, 0));
    CHECK_OK(sheaf_wasm_step(client, 101, 0));
    while (next_of(client, WASM_MAIL_START)) starts++;
    CHECK_EQ(starts, has ? 3 : 4); /* a with b; c is somebody else's, d goes alone */
    sheaf_wasm_close(client);
  }
}

static const char said[] =
    "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";

TEST(twins_share_a_call_and_later_ones_the_kept_answer) {
  uint32_t client = open_with("{\"base_url\":\"http://h/v1\",\"model\":\"m\",\"cache_entries\":5}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  static const uint32_t flags[] = {WASM_FLAG_DETERMINISTIC, WASM_FLAG_DETERMINISTIC,
                                   WASM_FLAG_DETERMINISTIC | WASM_FLAG_ALONE, 0};
  for (uint32_t i = 0; i < 4; i++) CHECK_OK(sheaf_wasm_submit(client, "\"p\"", 3, i, flags[i], 0));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  double exchanges[4];
  uint32_t starts = 0;
  while (starts < 4 && next_of(client, WASM_MAIL_START)) exchanges[starts++] = mail->exchange;
  CHECK_EQ(starts, 3); /* the second is the first's twin */
  while (starts) answer(client, exchanges[--starts], said);
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  uint32_t shared = 0;
  while (next_of(client, WASM_MAIL_RESULT)) {
    CHECK_EQ(mail->flags & (WASM_FLAG_OK | WASM_FLAG_CACHED), WASM_FLAG_OK);
    if (!(mail->flags & WASM_FLAG_DEDUPLICATED)) continue;
    CHECK_EQ(mail->user, 1);
    CHECK(mail->cost_usd <= 0 && says(mail->text, "x"));
    shared++;
  }
  CHECK_EQ(shared, 1);
  CHECK_OK(sheaf_wasm_submit(client, "\"p\"", 3, 9, WASM_FLAG_DETERMINISTIC, 0));
  CHECK_OK(sheaf_wasm_step(client, 3, 0));
  CHECK(next_of(client, WASM_MAIL_RESULT));
  CHECK_EQ(mail->flags & (WASM_FLAG_OK | WASM_FLAG_CACHED), WASM_FLAG_OK | WASM_FLAG_CACHED);
  sheaf_wasm_close(client);
}

TEST(deltas_carry_the_stream_where_it_is_asked_for) {
  static const char event[] = "data: {\"choices\":[{\"delta\":{\"content\":\"h\"}}]}\n\n";
  for (uint32_t raw = 0; raw < 2; raw++) {
    uint32_t client = open_with("{\"base_url\":\"http://h/v1\",\"model\":\"m\"}");
    const wasm_mail *mail = sheaf_wasm_mail(client);
    CHECK_OK(
        sheaf_wasm_submit(client, "\"p\"", 3, 1, WASM_FLAG_STREAM | (raw ? WASM_FLAG_RAW : 0u), 0));
    CHECK_OK(sheaf_wasm_step(client, 1, 0));
    CHECK(next_of(client, WASM_MAIL_START));
    static const char head[] = "content-type: text/event-stream\n";
    CHECK_OK(sheaf_wasm_on_head(client, mail->exchange, 200, head, sizeof head - 1));
    CHECK_OK(sheaf_wasm_on_data(client, mail->exchange, event, sizeof event - 1));
    CHECK_OK(sheaf_wasm_step(client, 2, 0));
    CHECK(next_of(client, WASM_MAIL_DELTA));
    CHECK(says(mail->text, "h"));
    CHECK(says(mail->bytes, raw ? event : ""));
    sheaf_wasm_close(client);
  }
}

TEST(nothing_starts_while_a_client_is_paused) {
  uint32_t client = open_with("{\"base_url\":\"http://h/v1\",\"model\":\"m\"}");
  CHECK_EQ(sheaf_wasm_is_paused(client), 0);
  CHECK_OK(sheaf_wasm_pause(client, 1));
  CHECK_EQ(sheaf_wasm_is_paused(client), 1);
  CHECK_OK(submit(client, "\"p\"", 1));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  CHECK(!next_of(client, WASM_MAIL_START));
  CHECK_OK(sheaf_wasm_pause(client, 0));
  CHECK_EQ(sheaf_wasm_is_paused(client), 0);
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  CHECK(next_of(client, WASM_MAIL_START));
  sheaf_wasm_close(client);
  CHECK_EQ(sheaf_wasm_pause(client, 1), SHEAF_E_MISUSE);
  CHECK_EQ(sheaf_wasm_is_paused(client), 0);
}

TEST(an_option_is_set_while_the_client_runs) {
  uint32_t client = open_with("{\"base_url\":\"http://h/v1\",\"model\":\"m\",\"concurrency\":1}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(submit(client, "\"a\"", 1));
  CHECK_OK(submit(client, "\"b\"", 2));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  CHECK(next_of(client, WASM_MAIL_START));
  CHECK(!next_of(client, WASM_MAIL_START));
  CHECK_OK(set_option(client, "concurrency", "2"));
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  CHECK(next_of(client, WASM_MAIL_START));
  static const struct {
    const char *name, *value;
    int32_t status;
  } rows[] = {
      {"nonsense", "1", SHEAF_E_NOT_FOUND},
      {"", "", SHEAF_E_NOT_FOUND},
      {"max_retries", "many", SHEAF_E_TYPE},
      {"max_retries", "", SHEAF_E_TYPE},
      {"max_retries", "101", SHEAF_E_RANGE},
      {"dedup", "maybe", SHEAF_E_RANGE},
      {"reply_bytes_max", "2048", SHEAF_E_UNSUPPORTED},
      {"budget_usd", "1", SHEAF_E_FIELD}, /* nobody sells a model of this name */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK_EQ(set_option(client, rows[i].name, rows[i].value), rows[i].status);
    CHECK_EQ((int32_t)mail->status, rows[i].status);
    CHECK(says(mail->field, rows[i].name));
    CHECK(mail->message.bytes > 0);
  }
  char name[5000];
  memset(name, 'x', sizeof name);
  CHECK_EQ(sheaf_wasm_set(client, name, sizeof name, name, sizeof name), SHEAF_E_NOT_FOUND);
  CHECK(mail->field.bytes > 0 && mail->field.bytes < sizeof name);
  CHECK_EQ(sheaf_wasm_set(client, "max_retries", 11, name, sizeof name), SHEAF_E_TYPE);
  CHECK_EQ(sheaf_wasm_set(client, NULL, 5, "1", 1), SHEAF_E_MISUSE);
  CHECK_EQ(sheaf_wasm_set(client, "rpm", 3, NULL, 5), SHEAF_E_MISUSE);
  CHECK_EQ(sheaf_wasm_set(client, NULL, 0, NULL, 0), SHEAF_E_NOT_FOUND);
  sheaf_wasm_close(client);
  CHECK_EQ(set_option(client, "rpm", "1"), SHEAF_E_MISUSE);
}

/* The numbers begin as sheaf_stats does. */
static sheaf_stats counted(uint32_t client) {
  const wasm_mail *mail = sheaf_wasm_mail(client);
  sheaf_stats stats;
  memset(&stats, 255, sizeof stats);
  CHECK_OK(sheaf_wasm_text(client, 0));
  CHECK(mail->bytes.bytes >= sizeof stats);
  if (mail->bytes.bytes >= sizeof stats)
    memcpy(&stats, (const void *)mail->bytes.data, sizeof stats);
  return stats;
}

TEST(statistics_begin_again) {
  uint32_t client = open_with("{\"base_url\":\"http://h/v1\",\"model\":\"m\"}");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_OK(sheaf_wasm_submit(client, "\"p\"", 3, 1, WASM_FLAG_DETERMINISTIC, 0));
  CHECK_OK(sheaf_wasm_submit(client, "\"p\"", 3, 2, WASM_FLAG_DETERMINISTIC, 0));
  CHECK_OK(sheaf_wasm_step(client, 1, 0));
  CHECK(next_of(client, WASM_MAIL_START));
  answer(client, mail->exchange, said);
  CHECK_OK(sheaf_wasm_step(client, 2, 0));
  CHECK(next_of(client, WASM_MAIL_RESULT));
  CHECK(next_of(client, WASM_MAIL_RESULT));
  CHECK_EQ(counted(client).deduplicated, 1);
  CHECK_EQ(counted(client).groups, 0);
  CHECK_OK(sheaf_wasm_stats_reset(client));
  CHECK_EQ(counted(client).deduplicated, 0);
  CHECK_EQ(counted(client).succeeded, 0);
  sheaf_wasm_close(client);
  CHECK_EQ(sheaf_wasm_stats_reset(client), SHEAF_E_MISUSE);
}

TEST(a_secret_or_options_outside_of_the_memory_are_refused) {
  CHECK_EQ(sheaf_wasm_open(NULL, 2, 1, 0, NULL), 0);
  CHECK_EQ((int32_t)sheaf_wasm_mail(0)->status, SHEAF_E_MISUSE);
  CHECK_EQ(sheaf_wasm_open("{}", 2, 1, 0, (const uint8_t *)(UINTPTR_MAX - 8)), 0);
  CHECK_EQ((int32_t)sheaf_wasm_mail(0)->status, SHEAF_E_MISUSE);
}

TEST(numbers_and_handles_of_any_kind_are_answered) {
  const double odd[] = {-1.0, 1e300, -1e300, 0.5, (double)NAN, (double)INFINITY};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    uint32_t client = open_with("{\"model\":\"m\",\"base_url\":\"http://h\"}");
    CHECK(client != 0);
    sheaf_wasm_step(client, odd[i], odd[i]);
    CHECK(sheaf_wasm_cancel(client, odd[i]) != SHEAF_OK);
    CHECK(sheaf_wasm_on_head(client, odd[i], 200, NULL, 0) != SHEAF_OK);
    CHECK(sheaf_wasm_on_data(client, odd[i], NULL, 0) != SHEAF_OK);
    CHECK(sheaf_wasm_on_done(client, odd[i], 99, 0, NULL, 0) != SHEAF_OK);
    CHECK(sheaf_wasm_on_data(client, 1, NULL, 5) != SHEAF_OK);
    sheaf_wasm_submit_task(client, 1, 5000, odd[i], odd[i]);
    sheaf_wasm_close(client);
    CHECK_EQ(submit(client, "\"x\"", 1), SHEAF_E_MISUSE); /* closed */
    CHECK_EQ(sheaf_wasm_next(client), WASM_MAIL_NONE);
    CHECK_EQ(sheaf_wasm_is_idle(client), 1);
    sheaf_wasm_close(client);
  }
  CHECK_EQ(submit(0, "\"x\"", 1), SHEAF_E_MISUSE);
  CHECK_EQ(submit(4000000000u, "\"x\"", 1), SHEAF_E_MISUSE);
}

TEST(no_more_clients_than_there_are_places) {
  uint32_t clients[WASM_CLIENTS_MAX], count = 0;
  while (count < WASM_CLIENTS_MAX) {
    clients[count] = open_with("{\"model\":\"m\"}");
    CHECK(clients[count] != 0);
    count++;
  }
  CHECK_EQ(open_with("{\"model\":\"m\"}"), 0);
  CHECK_EQ((int32_t)sheaf_wasm_mail(0)->status, SHEAF_E_LIMIT);
  while (count) sheaf_wasm_close(clients[--count]);
  clients[0] = open_with("{\"model\":\"m\"}");
  CHECK(clients[0] != 0);
  sheaf_wasm_close(clients[0]);
}

static int64_t number_at(sheaf_slice json, const char *path) {
  sheaf_slice value;
  int64_t number = -1;
  CHECK_OK(sheaf_json_pick(json, &path, 1, &value, NULL, NULL));
  CHECK_OK(sheaf_json_int(value, &number));
  return number;
}

TEST(the_description_is_that_of_the_structs) {
  const char *text = sheaf_wasm_abi();
  uint32_t bytes;
  CHECK(text != NULL);
  memcpy(&bytes, text - 4, 4); /* little-endian, as every module is */
  sheaf_slice json = {text, bytes};
  CHECK_OK(sheaf_json_check(json, NULL));
  CHECK_EQ(number_at(json, "version"), sheaf_wasm_version());
  CHECK_EQ(sheaf_wasm_version() >> 24, WASM_ABI_VERSION);
  CHECK_EQ(number_at(json, "mail.bytes"), (int64_t)sizeof(wasm_mail));
  CHECK_EQ(number_at(json, "mail.fields.kind[1]"), 0);
  CHECK_EQ(number_at(json, "mail.fields.exchange[1]"), (int64_t)offsetof(wasm_mail, exchange));
  CHECK_EQ(number_at(json, "mail.fields.total_ms[1]"), (int64_t)offsetof(wasm_mail, total_ms));
  CHECK_EQ(number_at(json, "constants.MAIL_RESULT"), WASM_MAIL_RESULT);
  CHECK_EQ(number_at(json, "constants.END_BROKEN"), SHEAF_END_BROKEN);
  CHECK_EQ(number_at(json, "constants.MAIL_GROUP"), WASM_MAIL_GROUP);
  CHECK_EQ(number_at(json, "constants.FLAG_CACHED"), WASM_FLAG_CACHED);
  CHECK_EQ(number_at(json, "constants.NOTICE_MERGE_OFF"), SHEAF_NOTICE_MERGE_OFF);
  CHECK_EQ(number_at(json, "mail.fields.group_state[1]"),
           (int64_t)offsetof(wasm_mail, group_state));
  static const char *const state = "group_states[4]";
  sheaf_slice name;
  CHECK_OK(sheaf_json_pick(json, &state, 1, &name, NULL, NULL));
  CHECK(sheaf_json_equals(name, "awaiting_response"));
  CHECK_EQ(number_at(json, "status.E_FULL"), SHEAF_E_FULL);
  CHECK(sheaf_wasm_abi() == text);
}

int main(void) {
  RUN(a_request_goes_out_and_its_answer_comes_back);
  RUN(options_that_are_wrong_say_which_and_why);
  RUN(a_line_that_is_wrong_is_refused_and_the_client_lives);
  RUN(a_prompt_goes_in_as_it_is);
  RUN(a_function_of_the_host_s_runs_under_the_same_limits);
  RUN(a_log_is_begun_and_goes_on);
  RUN(rows_that_have_a_line_do_not_go_in_again);
  RUN(a_row_that_cannot_be_built_ends_with_a_result_and_takes_an_index);
  RUN(requests_travel_in_a_group_and_its_states_are_told);
  RUN(a_request_waits_for_company_as_long_as_it_says);
  RUN(prompts_are_merged_where_there_is_a_secret);
  RUN(twins_share_a_call_and_later_ones_the_kept_answer);
  RUN(deltas_carry_the_stream_where_it_is_asked_for);
  RUN(nothing_starts_while_a_client_is_paused);
  RUN(an_option_is_set_while_the_client_runs);
  RUN(statistics_begin_again);
  RUN(a_secret_or_options_outside_of_the_memory_are_refused);
  RUN(numbers_and_handles_of_any_kind_are_answered);
  RUN(no_more_clients_than_there_are_places);
  RUN(the_description_is_that_of_the_structs);
  return check_report();
}
