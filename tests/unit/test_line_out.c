/* test_line_out.c: output lines: valid JSON on one line for any reply, and read back as what they were.
 *
 * cJSON is the second opinion on what was written. */
#include <sheaf/line.h>

#include <cjson/cJSON.h>

#include "check.h"
#include "test_alloc.h"

#include <stdlib.h>

static test_alloc memory;
static sheaf_allocator allocator;

/* A plain success; tests change what they are about. */
static sheaf_result good_result(void) {
  static const char body[] = "{\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}";
  sheaf_result result = {
      .struct_bytes = sizeof(sheaf_result),
      .index = 41,
      .custom_id = SHEAF_LITERAL("row-42"),
      .text = SHEAF_LITERAL("Hi"),
      .text_json = SHEAF_LITERAL("Hi"),
      .body = {body, sizeof body - 1},
      .request_id = SHEAF_LITERAL("req_abc"),
      .model = SHEAF_LITERAL("gpt-x"),
      .finish_reason = SHEAF_LITERAL("stop"),
      .provider = SHEAF_LITERAL("openai"),
      .endpoint = SHEAF_LITERAL("main"),
      .usage = {12, 3, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0, 0},
      .cost_usd_nano = 1250000,
      .queue_ns = 1999999,
      .first_byte_ns = SHEAF_NEVER,
      .ttft_ns = SHEAF_NEVER,
      .latency_ns = 12345678,
      .server_ns = SHEAF_NEVER,
      .generation_ns = SHEAF_NEVER,
      .attempts = 1,
      .http_status = 200,
      .billing = SHEAF_BILLING_BILLED,
      .ok = true,
      .attempted = true,
  };
  for (uint8_t i = 0; i < 16; i++) result.fingerprint[i] = (uint8_t)(i * 17);
  return result;
}

static sheaf_result bad_result(void) {
  sheaf_result result = good_result();
  result.ok = false;
  result.error_class = SHEAF_CLASS_TIMEOUT;
  result.retryable = true;
  result.http_status = 0;
  result.body = result.text = result.text_json = result.request_id = (sheaf_slice){NULL, 0};
  result.model = result.finish_reason = (sheaf_slice){NULL, 0};
  result.usage =
      (sheaf_usage){SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  result.cost_usd_nano = SHEAF_ABSENT;
  result.error_message = SHEAF_LITERAL("no reply within 60 s");
  return result;
}

/* A line that was written, as text and as a tree. */
typedef struct written {
  sheaf_buf out;
  cJSON *tree;
} written;

static bool is_valid_utf8(sheaf_slice text) {
  sheaf_json_facts facts;
  return sheaf_json_pick(text, NULL, 0, NULL, &facts, NULL) == SHEAF_OK && !facts.has_invalid_utf8;
}

/* Writes and checks what holds for every line. */
static written write_result(const sheaf_result *result) {
  written w;
  sheaf_buf_init(&w.out, &allocator, SHEAF_LINE_BYTES_MAX);
  CHECK_OK(sheaf_line_write(result, &w.out));
  CHECK(w.out.bytes > 0 && w.out.data[w.out.bytes - 1] == '\n');
  CHECK(!memchr(w.out.data, '\n', w.out.bytes - 1));
  CHECK(!memchr(w.out.data, '\r', w.out.bytes));
  CHECK(is_valid_utf8(sheaf_buf_slice(&w.out)));
  w.tree = cJSON_ParseWithLength(w.out.data, w.out.bytes);
  CHECK(w.tree != NULL);

  sheaf_line_facts facts;
  CHECK_OK(sheaf_line_facts_read(sheaf_buf_slice(&w.out), &facts));
  CHECK_EQ(facts.index, result->index);
  CHECK_EQ(facts.ok, result->ok);
  CHECK_EQ(facts.error_class, result->error_class);
  CHECK(facts.has_sheaf);
  CHECK(memcmp(facts.fingerprint, result->fingerprint, 16) == 0);
  return w;
}

static void done(written *w) {
  cJSON_Delete(w->tree);
  sheaf_buf_deinit(&w->out);
}

/* "response.body" and the like; NULL if absent. */
static const cJSON *at(const written *w, const char *path) {
  const cJSON *node = w->tree;
  char key[64];
  while (node && *path) {
    const size_t n = strcspn(path, ".");
    snprintf(key, sizeof key, "%.*s", (int)n, path);
    node = cJSON_GetObjectItemCaseSensitive(node, key);
    path += n + (path[n] == '.');
  }
  return node;
}

/* Compares the printed value, so that one check serves every type. */
static void check_value(const written *w, const char *path, const char *expected, int line) {
  const cJSON *node = at(w, path);
  char *text = node ? cJSON_PrintUnformatted(node) : NULL;
  const bool same = expected ? text && strcmp(text, expected) == 0 : !node;
  if (!same)
    check_bad++, printf("%s:%d: %s is %s, not %s\n", __FILE__, line, path, text ? text : "absent",
                        expected ? expected : "absent");
  cJSON_free(text);
}
#define VALUE(path, expected) check_value(&w, (path), (expected), __LINE__)

/* ---- The shape ---- */

TEST(a_success_in_full) {
  const sheaf_result result = good_result();
  written w = write_result(&result);
  static const char expected[] =
      "{\"id\":\"req_41\",\"custom_id\":\"row-42\",\"response\":{\"status_code\":200,"
      "\"request_id\":\"req_abc\",\"body\":{\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}},"
      "\"error\":null,\"sheaf\":{\"index\":41,"
      "\"fingerprint\":\"00112233445566778899aabbccddeeff\",\"text\":\"Hi\","
      "\"finish_reason\":\"stop\",\"model\":\"gpt-x\",\"attempts\":1,\"throttles\":0,"
      "\"latency_ms\":12.345,\"queue_ms\":1.999,"
      "\"usage\":{\"input_total\":12,\"output_total\":3,\"reasoning\":0},\"cost_usd\":0.00125,"
      "\"lane\":\"live\",\"endpoint\":\"main\",\"provider\":\"openai\",\"billing\":\"billed\","
      "\"error_class\":null}}\n";
  CHECK_EQ(w.out.bytes, sizeof expected - 1);
  if (w.out.bytes == sizeof expected - 1) CHECK(memcmp(w.out.data, expected, w.out.bytes) == 0);
  done(&w);
}

TEST(a_failure_without_a_reply) {
  const sheaf_result result = bad_result();
  written w = write_result(&result);
  VALUE("response", "null");
  VALUE("error", "{\"code\":\"timeout\",\"message\":\"no reply within 60 s\"}");
  VALUE("sheaf.error_class", "\"timeout\"");
  VALUE("sheaf.retryable", "true");
  VALUE("sheaf.text", NULL);
  VALUE("sheaf.usage", NULL);
  VALUE("sheaf.cost_usd", NULL);
  VALUE("sheaf.finish_reason", NULL);
  VALUE("sheaf.model", NULL);
  VALUE("sheaf.metadata", NULL);
  VALUE("sheaf.history", NULL);
  done(&w);
}

TEST(a_failure_with_a_reply_keeps_it) {
  sheaf_result result = bad_result();
  result.http_status = 400;
  result.error_class = SHEAF_CLASS_INVALID_REQUEST;
  result.retryable = false;
  result.error_code = SHEAF_LITERAL("bad\"code");
  result.body = SHEAF_LITERAL("{\n  \"error\": {\r\n    \"message\": \"a\\nb\"\n  }\n}\n");
  written w = write_result(&result);
  VALUE("response.status_code", "400");
  VALUE("response.request_id", NULL);
  VALUE("response.body", "{\"error\":{\"message\":\"a\\nb\"}}");
  VALUE("error.code", "\"bad\\\"code\"");
  VALUE("sheaf.retryable", "false");
  VALUE("sheaf.body_not_json", NULL);
  done(&w);
}

TEST(retries_and_their_history) {
  const sheaf_attempt history[] = {
      {SHEAF_CLASS_RATE_LIMIT, 429, SHEAF_BILLING_REFUSED, 0, 0, 5000},
      {SHEAF_CLASS_NETWORK, 0, SHEAF_BILLING_UNKNOWN, 1, 2000000000, 1000},
      {SHEAF_CLASS_NONE, 200, SHEAF_BILLING_BILLED, 0, 3000000000, 999}};
  sheaf_result result = good_result();
  result.attempts = 3;
  result.throttles = 1;
  result.history = history;
  result.history_count = 3;
  result.resent_unknown = true;
  written w = write_result(&result);
  VALUE("sheaf.attempts", "3");
  VALUE("sheaf.throttles", "1");
  VALUE("sheaf.resent_unknown", "true");
  VALUE("sheaf.history",
        "[{\"error_class\":\"rate_limit\",\"http_status\":429,\"billing\":\"refused\",\"endpoint\":"
        "0,\"started_ms\":0,\"took_ms\":0.005},{\"error_class\":\"network\",\"billing\":"
        "\"unknown\",\"endpoint\":1,\"started_ms\":2000,\"took_ms\":0.001},{\"error_class\":null,"
        "\"http_status\":200,\"billing\":\"billed\",\"endpoint\":0,\"started_ms\":3000,"
        "\"took_ms\":0}]");
  done(&w);
}

TEST(an_answer_that_came_with_others_says_so) {
  sheaf_result result = good_result();
  result.group_members = 12;
  result.deduplicated = result.cached = result.local = true;
  written w = write_result(&result);
  VALUE("sheaf.group_members", "12");
  VALUE("sheaf.deduplicated", "true");
  VALUE("sheaf.cached", "true");
  VALUE("sheaf.local", "true");
  done(&w);
}

TEST(an_answer_of_its_own_call_says_nothing_of_it) {
  sheaf_result result = good_result();
  result.group_members = 1;
  written w = write_result(&result);
  CHECK(cJSON_GetObjectItem(cJSON_GetObjectItem(w.tree, "sheaf"), "group_members") == NULL);
  done(&w);
}

TEST(numbers_have_no_floating_point_noise) {
  static const struct {
    int64_t nano;
    const char *text;
  } cases[] = {{0, "\"cost_usd\":0,"},           {1, "\"cost_usd\":0.000000001,"},
               {1000000000, "\"cost_usd\":1,"},  {12345678901, "\"cost_usd\":12.345678901,"},
               {100000000, "\"cost_usd\":0.1,"}, {INT64_MAX, "\"cost_usd\":9223372036.854775807,"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_result result = good_result();
    result.cost_usd_nano = cases[i].nano;
    result.ttft_ns = 1000000;
    result.latency_ns = UINT64_MAX - 1;
    written w = write_result(&result);
    CHECK_OK(sheaf_buf_append(&w.out, "", 1));
    CHECK(strstr(w.out.data, cases[i].text) != NULL);
    CHECK(strstr(w.out.data, "\"ttft_ms\":1.000,") != NULL);
    CHECK(strstr(w.out.data, "\"latency_ms\":18446744073709.551,") != NULL);
    done(&w);
  }
}

TEST(metadata_comes_back_on_one_line) {
  sheaf_result result = good_result();
  result.metadata = SHEAF_LITERAL("{\n \"k\": [1,\r\n2], \"s\": \"a\\nb\" }");
  written w = write_result(&result);
  VALUE("sheaf.metadata", "{\"k\":[1,2],\"s\":\"a\\nb\"}");
  done(&w);
  result.metadata = SHEAF_LITERAL("no json");
  w = write_result(&result);
  VALUE("sheaf.metadata", "\"no json\"");
  done(&w);
}

TEST(a_row_without_an_id_gets_the_default_one) {
  sheaf_result result = good_result();
  result.custom_id = (sheaf_slice){NULL, 0};
  written w = write_result(&result);
  VALUE("custom_id", "\"row-42\"");
  done(&w);
}

TEST(ids_of_any_bytes_come_back) {
  sheaf_result result = good_result();
  result.custom_id = SHEAF_LITERAL("a\"\\\n\x01\xc3\xa9");
  written w = write_result(&result);
  CHECK(strcmp(cJSON_GetStringValue(at(&w, "custom_id")), "a\"\\\n\x01\xc3\xa9") == 0);
  done(&w);
}

TEST(text_is_taken_as_json_or_as_plain_text) {
  sheaf_result result = good_result();
  result.text_json = SHEAF_LITERAL("a\\n\\u00e9\xc3\xa9");
  written w = write_result(&result);
  CHECK(strcmp(cJSON_GetStringValue(at(&w, "sheaf.text")), "a\n\xc3\xa9\xc3\xa9") == 0);
  done(&w);
  result.text_json = (sheaf_slice){NULL, 0};
  result.text = SHEAF_LITERAL("q\"\n");
  w = write_result(&result);
  CHECK(strcmp(cJSON_GetStringValue(at(&w, "sheaf.text")), "q\"\n") == 0);
  done(&w);
  result.text = (sheaf_slice){NULL, 0};
  w = write_result(&result);
  VALUE("sheaf.text", "\"\"");
  done(&w);
}

/* ---- Bodies ---- */

TEST(a_clean_body_is_kept_byte_for_byte) {
  sheaf_result result = good_result();
  result.body = SHEAF_LITERAL(" {\"a\" : 1.50e0, \"b\":\"\\u00e9/\\/\"}\t");
  written w = write_result(&result);
  CHECK_OK(sheaf_buf_append(&w.out, "", 1));
  CHECK(strstr(w.out.data, "\"body\":{\"a\" : 1.50e0, \"b\":\"\\u00e9/\\/\"}},") != NULL);
  done(&w);
}

TEST(a_body_that_is_no_json_is_a_flagged_string) {
  static const struct {
    const char *body;
    const char *text;
  } cases[] = {{"<html>\n\"502\"\xff</html>", "<html>\n\"502\"\xef\xbf\xbd</html>"},
               {"{\"cut\":", "{\"cut\":"},
               {"{} {}", "{} {}"},
               {" \n", " \n"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_result result = bad_result();
    result.http_status = 502;
    result.body = sheaf_slice_of(cases[i].body);
    written w = write_result(&result);
    VALUE("sheaf.body_not_json", "true");
    const char *text = cJSON_GetStringValue(at(&w, "response.body"));
    CHECK(text && strcmp(text, cases[i].text) == 0);
    done(&w);
  }
}

TEST(an_empty_body_is_null) {
  sheaf_result result = bad_result();
  result.http_status = 503;
  written w = write_result(&result);
  VALUE("response", "{\"status_code\":503,\"body\":null}");
  done(&w);
}

TEST(invalid_utf8_in_a_body_never_reaches_the_file) {
  sheaf_result result = good_result();
  result.body = SHEAF_LITERAL("{\"a\":\"x\xff\xe2\x82y\xed\xa0\x80\"}");
  result.text_json = SHEAF_LITERAL("x\xff\xe2\x82y");
  written w = write_result(&result);
  /* One U+FFFD for each maximal subpart: Unicode 15, table 3-8. */
  VALUE("response.body.a", "\"x\xef\xbf\xbd\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  VALUE("sheaf.text", "\"x\xef\xbf\xbd\xef\xbf\xbdy\"");
  done(&w);
}

/* The reader stops at 64, and the body stands two deep in the line. */
TEST(a_deep_body_is_a_string_rather_than_a_line_that_cannot_be_read) {
  char body[200];
  for (unsigned depth = 60; depth <= 64; depth++) {
    memset(body, '[', depth);
    memset(body + depth, ']', depth);
    sheaf_result result = good_result();
    result.body = (sheaf_slice){body, 2 * depth};
    written w = write_result(&result);
    VALUE("sheaf.body_not_json", depth > 62 ? "true" : NULL);
    done(&w);
    result.streamed = true;
    memmove(body + 6, body, 2 * depth);
    memcpy(body, "data: ", 6);
    memcpy(body + 6 + 2 * depth, "\n\n", 2);
    result.body = (sheaf_slice){body, 2 * depth + 8};
    w = write_result(&result);
    const cJSON *first = cJSON_GetArrayItem(at(&w, "response.body"), 0);
    CHECK_EQ(cJSON_IsString(first), depth > 61);
    done(&w);
    result = good_result();
    memset(body, '[', depth);
    memset(body + depth, ']', depth);
    result.metadata = (sheaf_slice){body, 2 * depth};
    w = write_result(&result);
    CHECK_EQ(cJSON_IsString(at(&w, "sheaf.metadata")), depth > 62);
    done(&w);
  }
}

TEST(many_brackets_are_not_depth) {
  char body[400] = "[";
  for (int i = 0; i < 70; i++) strcat(body, i % 2 ? "[]," : "\"[\\\"{\",");
  strcat(body, "0]");
  sheaf_result result = good_result();
  result.body = sheaf_slice_of(body);
  written w = write_result(&result);
  CHECK_EQ(cJSON_GetArraySize(at(&w, "response.body")), 71);
  done(&w);
}

/* ---- Streams ---- */

TEST(a_stream_is_the_array_of_its_payloads) {
  static const struct {
    const char *body;
    const char *array;
  } cases[] = {
      {"data: {\"a\":1}\n\ndata: {\"b\":\ndata: 2}\n\n: ping\n\ndata: [DONE]\n\n",
       "[{\"a\":1},{\"b\":2},\"[DONE]\"]"},
      {"event: x\r\ndata: {\"a\":1}\r\n\r\n", "[{\"a\":1}]"},
      {"data: {\"a\":1}\n\ndata: {\"tor", "[{\"a\":1}]"},
      {"{\"a\":1}\n{\"b\":2}\n", "[{\"a\":1},{\"b\":2}]"},
      {"{\"a\":1}\n", "[{\"a\":1}]"},
      {"{\n\"a\":1}", "[{\"a\":1}]"},
      {"data: {\"a\":\"\xff\"}\n\n", "[{\"a\":\"\xef\xbf\xbd\"}]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_result result = good_result();
    result.streamed = true;
    result.body = sheaf_slice_of(cases[i].body);
    written w = write_result(&result);
    VALUE("response.body", cases[i].array);
    VALUE("sheaf.body_not_json", NULL);
    done(&w);
  }
}

TEST(a_stream_without_events_is_not_lost) {
  sheaf_result result = good_result();
  result.streamed = true;
  result.body = SHEAF_LITERAL("<html>busy</html>\n");
  written w = write_result(&result);
  VALUE("response.body", "\"<html>busy</html>\\n\"");
  VALUE("sheaf.body_not_json", "true");
  done(&w);
}

TEST(a_refusal_of_a_stream_is_an_ordinary_body) {
  sheaf_result result = bad_result();
  result.streamed = true;
  result.http_status = 429;
  result.body = SHEAF_LITERAL("{\"error\":{}}");
  written w = write_result(&result);
  VALUE("response.body", "{\"error\":{}}");
  done(&w);
}

/* ---- Failing ---- */

TEST(no_half_line_is_left_when_memory_ends) {
  sheaf_result result = good_result();
  result.streamed = true;
  result.body = SHEAF_LITERAL("data: {\"a\":\ndata: 1}\n\n");
  result.metadata = SHEAF_LITERAL("{\"k\":1}");
  for (int after = 0; after < 2; after++) {
    for (uint64_t n = 1;; n++) {
      sheaf_buf out;
      sheaf_buf_init(&out, &allocator, SHEAF_LINE_BYTES_MAX);
      memory.calls = 0;
      memory.fail_at = n;
      memory.fail_after = after == 1;
      const int32_t status = sheaf_line_write(&result, &out);
      memory.fail_at = 0;
      const size_t bytes = out.bytes;
      sheaf_buf_deinit(&out);
      CHECK_EQ(memory.live_blocks, 0);
      if (status == SHEAF_OK) break;
      CHECK_STATUS(status, SHEAF_E_NOMEM);
      CHECK_EQ(bytes, 0);
    }
  }
}

TEST(a_full_buffer_keeps_its_earlier_lines) {
  sheaf_result result = good_result();
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, 900);
  CHECK_OK(sheaf_line_write(&result, &out));
  const size_t bytes = out.bytes;
  CHECK_STATUS(sheaf_line_write(&result, &out), SHEAF_E_LIMIT);
  CHECK_EQ(out.bytes, bytes);
  sheaf_buf_deinit(&out);
}

/* ---- Facts ---- */

TEST(lines_of_other_programs_are_read_without_our_object) {
  static const struct {
    const char *line;
    bool ok;
  } cases[] = {
      {"{\"id\":\"batch_req_1\",\"custom_id\":\"a\",\"response\":{\"status_code\":200,"
       "\"request_id\":\"r\",\"body\":{}},\"error\":null}",
       true},
      {"{\"custom_id\":\"a\",\"response\":{\"status_code\":400,\"body\":{}},\"error\":null}",
       false},
      {"{\"custom_id\":\"a\",\"response\":null,\"error\":{\"code\":\"batch_expired\"}}", false},
      {"{\"custom_id\":\"a\",\"response\":{\"status_code\":204}}", true}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_line_facts facts;
    CHECK_OK(sheaf_line_facts_read(sheaf_slice_of(cases[i].line), &facts));
    CHECK_TEXT(facts.custom_id, "a");
    CHECK_EQ(facts.ok, cases[i].ok);
    CHECK_EQ(facts.error_class, cases[i].ok ? SHEAF_CLASS_NONE : SHEAF_CLASS_UNKNOWN);
    CHECK(!facts.has_sheaf);
  }
}

TEST(what_is_no_output_line_is_told_from_what_is_torn) {
  static const struct {
    const char *line;
    int32_t status;
  } cases[] = {
      {"", SHEAF_E_SYNTAX},
      {"{\"custom_id\":\"a\",\"error\":nul", SHEAF_E_SYNTAX},
      {"{\"custom_id\":\"a\",\"error\":null}{}", SHEAF_E_SYNTAX},
      {"[]", SHEAF_E_FIELD},
      {"{\"custom_id\":\"a\",\"body\":{}}", SHEAF_E_FIELD},
      {"{\"custom_id\":7,\"error\":null}", SHEAF_E_FIELD},
      {"{\"error\":null}", SHEAF_E_FIELD},
      {"{\"custom_id\":\"a\",\"error\":null,\"sheaf\":{}}", SHEAF_E_FIELD},
      {"{\"custom_id\":\"a\",\"error\":null,\"sheaf\":{\"index\":0,\"fingerprint\":\"00\"}}",
       SHEAF_E_FIELD},
      {"{\"custom_id\":\"a\",\"error\":null,\"sheaf\":{\"index\":-1,"
       "\"fingerprint\":\"00112233445566778899aabbccddeeff\"}}",
       SHEAF_E_FIELD},
      {"{\"custom_id\":\"a\",\"error\":null,\"sheaf\":{\"index\":0,"
       "\"fingerprint\":\"0011223344556677889 aabbccddeeff\"}}",
       SHEAF_E_FIELD}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_line_facts facts = {.index = 77};
    CHECK_STATUS(sheaf_line_facts_read(sheaf_slice_of(cases[i].line), &facts), cases[i].status);
    CHECK_EQ(facts.index, 77);
  }
}

TEST(every_class_comes_back_and_an_unknown_one_is_a_failure) {
  for (uint32_t i = 1; i < SHEAF_CLASS_COUNT; i++) {
    sheaf_result result = bad_result();
    result.error_class = i;
    written w = write_result(&result); /* compares the class */
    done(&w);
  }
  sheaf_line_facts facts;
  CHECK_OK(sheaf_line_facts_read(
      SHEAF_LITERAL("{\"custom_id\":\"a\",\"error\":{},\"sheaf\":{\"index\":0,\"fingerprint\":"
                    "\"00112233445566778899aabbccddeeff\",\"error_class\":\"later\"}}"),
      &facts));
  CHECK(!facts.ok);
  CHECK_EQ(facts.error_class, SHEAF_CLASS_UNKNOWN);
}

TEST(every_prefix_of_a_line_is_torn) {
  const sheaf_result result = good_result();
  written w = write_result(&result);
  for (size_t n = 0; n + 1 < w.out.bytes; n++) {
    sheaf_line_facts facts;
    char *prefix = malloc(n + 1);
    memcpy(prefix, w.out.data, n);
    const int32_t status = sheaf_line_facts_read((sheaf_slice){prefix, n}, &facts);
    free(prefix);
    CHECK_STATUS(status, SHEAF_E_SYNTAX);
  }
  done(&w);
}

int main(void) {
  allocator = test_allocator(&memory);
  RUN(a_success_in_full);
  RUN(a_failure_without_a_reply);
  RUN(a_failure_with_a_reply_keeps_it);
  RUN(retries_and_their_history);
  RUN(an_answer_that_came_with_others_says_so);
  RUN(an_answer_of_its_own_call_says_nothing_of_it);
  RUN(numbers_have_no_floating_point_noise);
  RUN(metadata_comes_back_on_one_line);
  RUN(a_row_without_an_id_gets_the_default_one);
  RUN(ids_of_any_bytes_come_back);
  RUN(text_is_taken_as_json_or_as_plain_text);
  RUN(a_clean_body_is_kept_byte_for_byte);
  RUN(a_body_that_is_no_json_is_a_flagged_string);
  RUN(an_empty_body_is_null);
  RUN(invalid_utf8_in_a_body_never_reaches_the_file);
  RUN(a_deep_body_is_a_string_rather_than_a_line_that_cannot_be_read);
  RUN(many_brackets_are_not_depth);
  RUN(a_stream_is_the_array_of_its_payloads);
  RUN(a_stream_without_events_is_not_lost);
  RUN(a_refusal_of_a_stream_is_an_ordinary_body);
  RUN(no_half_line_is_left_when_memory_ends);
  RUN(a_full_buffer_keeps_its_earlier_lines);
  RUN(lines_of_other_programs_are_read_without_our_object);
  RUN(what_is_no_output_line_is_told_from_what_is_torn);
  RUN(every_class_comes_back_and_an_unknown_one_is_a_failure);
  RUN(every_prefix_of_a_line_is_torn);
  CHECK_EQ(memory.live_bytes, 0);
  CHECK(!memory.size_mismatch);
  return check_report() || check_bad;
}
