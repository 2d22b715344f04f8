/* test_line_in.c: each form of an input line, each member, each way to be wrong. */
#include <sheaf/line.h>

#include "check.h"
#include "test_alloc.h"

#include <stdlib.h>

static test_alloc memory;
static sheaf_allocator allocator;

/* One reading; the line is copied to the heap so that the sanitizer sees reads beyond its end. */
typedef struct one {
  sheaf_buf scratch;
  char *line;
  size_t bytes;
  sheaf_request request;
  sheaf_parse_error error;
} one;

static int32_t read_bytes(one *o, const char *line, size_t bytes) {
  *o = (one){.bytes = bytes};
  sheaf_buf_init(&o->scratch, &allocator, SHEAF_LINE_BYTES_MAX);
  o->line = malloc(bytes + (bytes == 0));
  if (bytes) memcpy(o->line, line, bytes);
  return sheaf_line_read((sheaf_slice){o->line, bytes}, &o->scratch, &o->request, &o->error);
}

static int32_t read_line(one *o, const char *line) {
  return read_bytes(o, line, strlen(line));
}

static void done(one *o) {
  sheaf_buf_deinit(&o->scratch);
  free(o->line);
}

static bool is_borrowed(const one *o, sheaf_slice slice) {
  return slice.data >= o->line && slice.data + slice.bytes <= o->line + o->bytes;
}

/* ---- Forms ---- */

TEST(a_string_is_a_prompt_and_is_not_copied) {
  one o;
  CHECK_OK(read_line(&o, "  \"Say \\\"hi\\\"\\n\" \r"));
  CHECK_TEXT(o.request.prompt, "Say \\\"hi\\\"\\n");
  CHECK_EQ(o.request.flags, SHEAF_REQUEST_PROMPT_ESCAPED);
  CHECK_EQ(o.request.struct_bytes, sizeof(sheaf_request));
  CHECK(is_borrowed(&o, o.request.prompt));
  CHECK_EQ(memory.live_bytes, 0);
  done(&o);
}

TEST(a_prompt_with_neighbours_gives_params_verbatim) {
  one o;
  CHECK_OK(read_line(&o,
                     "{\"prompt\":\"p\\u00e9\", \"temperature\" : 1.50 ,\"stop\":[\"a\", {}],"
                     "\"custom_id\":\"x\"}"));
  CHECK_TEXT(o.request.prompt, "p\\u00e9");
  CHECK_TEXT(o.request.custom_id, "x");
  CHECK_TEXT(o.request.params, "\"temperature\" : 1.50 ,\"stop\":[\"a\", {}]");
  CHECK(is_borrowed(&o, o.request.params));
  CHECK_EQ(o.scratch.bytes, 0);
  done(&o);
}

TEST(scattered_params_are_joined) {
  one o;
  CHECK_OK(read_line(&o,
                     "{\"top_p\":1e0,\"messages\":[{\"role\":\"user\",\"content\":\"}\"}],"
                     "\"seed\": 7 ,\"n\":2,\"max_tokens\":10,\"response_format\":null}"));
  CHECK_TEXT(o.request.messages, "[{\"role\":\"user\",\"content\":\"}\"}]");
  CHECK_TEXT(o.request.params, "\"top_p\":1e0,\"seed\": 7,\"n\":2,\"response_format\":null");
  CHECK_EQ(o.request.max_tokens, 10);
  CHECK_EQ(o.request.flags, 0);
  done(&o);
}

TEST(the_batch_form) {
  one o;
  CHECK_OK(read_line(&o,
                     "{\"custom_id\": \"request-1\", \"method\": \"POST\", "
                     "\"url\": \"/v1/chat/completions\", "
                     "\"body\": {\"model\": \"gpt\", \"max_tokens\": 1.0 }}"));
  CHECK_TEXT(o.request.custom_id, "request-1");
  CHECK_TEXT(o.request.url, "/v1/chat/completions");
  CHECK_TEXT(o.request.body, "{\"model\": \"gpt\", \"max_tokens\": 1.0 }");
  CHECK(is_borrowed(&o, o.request.body));
  CHECK_EQ(o.request.params.bytes, 0);
  CHECK_EQ(o.request.model.bytes, 0);
  done(&o);
}

TEST(input_alone_is_content_among_the_params) {
  one o;
  CHECK_OK(
      read_line(&o,
                "{\"custom_id\":\"e\",\"input\":[\"a\",\"b\"],\"dimensions\":3,\"model\":\"m\","
                "\"url\":\"/v1/embeddings\",\"max_tokens\":4,\"priority\":\"low\"}"));
  CHECK_TEXT(o.request.params, "\"input\":[\"a\",\"b\"],\"dimensions\":3");
  CHECK_TEXT(o.request.model, "m");
  CHECK_TEXT(o.request.url, "/v1/embeddings");
  CHECK_EQ(o.request.body.bytes, 0);
  CHECK_EQ(o.request.max_tokens, 4);
  CHECK_EQ(o.request.priority, SHEAF_PRIORITY_LOW);
  CHECK_EQ(o.scratch.bytes, 0);
  done(&o);
}

TEST(input_beside_a_prompt_is_a_param) {
  one o;
  CHECK_OK(read_line(&o, "{\"prompt\":\"p\",\"input\":1}"));
  CHECK_TEXT(o.request.params, "\"input\":1");
  CHECK_EQ(o.request.body.bytes, 0);
  done(&o);
}

/* ---- Members ---- */

TEST(every_control_member_arrives) {
  one o;
  CHECK_OK(read_line(
      &o,
      "{\"custom_id\":\"c\",\"prompt\":\"p\",\"model\":\"m\",\"provider\":\"openai\","
      "\"system\":\"s\",\"max_tokens\":5,\"priority\":100,\"deadline_ms\":60000,"
      "\"lane\":\"batch\",\"trust_key\":\"t\",\"metadata\":{\"k\":[1, 2]},\"stream\":true}"));
  CHECK_TEXT(o.request.custom_id, "c");
  CHECK_TEXT(o.request.model, "m");
  CHECK_TEXT(o.request.endpoint, "openai");
  CHECK_TEXT(o.request.system, "s");
  CHECK_EQ(o.request.max_tokens, 5);
  CHECK_EQ(o.request.priority, 100);
  CHECK_EQ(o.request.deadline_ms, 60000);
  CHECK_EQ(o.request.lane, SHEAF_LANE_BATCH);
  CHECK_TEXT(o.request.trust_key, "t");
  CHECK_TEXT(o.request.metadata, "{\"k\":[1, 2]}");
  CHECK_EQ(o.request.flags, SHEAF_REQUEST_PROMPT_ESCAPED | SHEAF_REQUEST_STREAM);
  CHECK_EQ(o.request.params.bytes, 0);
  done(&o);
}

TEST(escaped_text_is_unescaped_and_stays_where_it_is) {
  one o;
  CHECK_OK(read_line(&o,
                     "{\"custom_id\":\"a\\nb\",\"system\":\"\\u00e9\\\"\",\"x\":1,"
                     "\"model\":\"m\\/n\",\"y\":\"\\u00e9\",\"endpoint\":\"\\t\","
                     "\"trust_key\":\"\\ud83d\\ude00\",\"messages\":[]}"));
  CHECK_TEXT(o.request.custom_id, "a\nb");
  CHECK_TEXT(o.request.system, "\xc3\xa9\"");
  CHECK_TEXT(o.request.model, "m/n");
  CHECK_TEXT(o.request.endpoint, "\t");
  CHECK_TEXT(o.request.trust_key, "\xf0\x9f\x98\x80");
  CHECK_TEXT(o.request.params, "\"x\":1,\"y\":\"\\u00e9\"");
  CHECK(memory.live_blocks == 1);
  done(&o);
}

TEST(scratch_is_reset_between_lines) {
  one o;
  CHECK_OK(read_line(&o, "{\"custom_id\":\"a\\nb\",\"prompt\":\"\"}"));
  CHECK_EQ(o.scratch.bytes, 3);
  CHECK_OK(sheaf_line_read(SHEAF_LITERAL("\"p\""), &o.scratch, &o.request, NULL));
  CHECK_EQ(o.scratch.bytes, 0);
  CHECK_EQ(o.request.custom_id.bytes, 0);
  done(&o);
}

TEST(ids_may_be_whole_numbers) {
  one o;
  CHECK_OK(read_line(&o, "{\"custom_id\":12345678901234567890123,\"prompt\":\"\"}"));
  CHECK_TEXT(o.request.custom_id, "12345678901234567890123");
  done(&o);
  CHECK_OK(read_line(&o, "{\"custom_id\":-7,\"prompt\":\"\"}"));
  CHECK_TEXT(o.request.custom_id, "-7");
  done(&o);
}

TEST(priorities_and_lanes_have_names) {
  static const struct {
    const char *line;
    uint32_t priority, lane;
  } cases[] = {{"{\"prompt\":\"\",\"priority\":\"urgent\",\"lane\":\"live\"}", 100, 0},
               {"{\"prompt\":\"\",\"priority\":\"high\",\"lane\":\"merged\"}", 75, 1},
               {"{\"prompt\":\"\",\"priority\":\"normal\",\"lane\":\"batch\"}", 50, 2},
               {"{\"prompt\":\"\",\"priority\":\"low\",\"lane\":\"auto\"}", 25, 3},
               {"{\"prompt\":\"\",\"priority\":\"deferrable\"}", 10, 0},
               {"{\"prompt\":\"\",\"priority\":1}", 1, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    one o;
    CHECK_OK(read_line(&o, cases[i].line));
    CHECK_EQ(o.request.priority, cases[i].priority);
    CHECK_EQ(o.request.lane, cases[i].lane);
    done(&o);
  }
}

TEST(null_members_count_as_absent) {
  one o;
  CHECK_OK(read_line(&o,
                     "{\"prompt\":\"p\",\"messages\":null,\"body\":null,\"custom_id\":null,"
                     "\"max_tokens\":null,\"metadata\":null,\"stream\":null}"));
  CHECK_TEXT(o.request.prompt, "p");
  CHECK_EQ(o.request.custom_id.bytes, 0);
  CHECK_EQ(o.request.metadata.bytes, 0);
  done(&o);
}

TEST(an_id_of_512_bytes_is_the_longest) {
  char line[700];
  for (int n = 512; n <= 513; n++) {
    one o;
    char id[600];
    memset(id, 'i', sizeof id);
    snprintf(line, sizeof line, "{\"custom_id\":\"%.*s\",\"prompt\":\"p\"}", n, id);
    CHECK_STATUS(read_line(&o, line), n == 512 ? SHEAF_OK : SHEAF_E_TOO_LONG);
    done(&o);
  }
}

/* ---- Wrong lines ---- */

typedef struct wrong {
  const char *line;
  int32_t status;
  uint32_t column; /* counted by hand */
  const char *field;
} wrong;

static const wrong wrongs[] = {
    {"", SHEAF_E_SYNTAX, 1, NULL},
    {"{\"prompt\":\"p\"", SHEAF_E_SYNTAX, 14, NULL},
    {"{\"prompt\":'p'}", SHEAF_E_SYNTAX, 11, NULL},
    {"\"a\" \"b\"", SHEAF_E_SYNTAX, 5, NULL},
    {"7", SHEAF_E_TYPE, 1, NULL},
    {" [\"p\"]", SHEAF_E_TYPE, 2, NULL},
    {"null", SHEAF_E_TYPE, 1, NULL},
    {"\"a\xff\"", SHEAF_E_UTF8, 3, NULL},
    {"{\"prompt\":\"\xc3\xa9\xed\xa0\x80\"}", SHEAF_E_UTF8, 14, NULL},
    {"{}", SHEAF_E_FIELD, 1, "prompt"},
    {"{\"custom_id\":\"a\",\"contents\":[]}", SHEAF_E_FIELD, 1, "prompt"},
    {"{\"prompt\":[\"p\"]}", SHEAF_E_TYPE, 11, "prompt"},
    {"{\"messages\":\"p\"}", SHEAF_E_TYPE, 13, "messages"},
    {"{\"body\":[]}", SHEAF_E_TYPE, 9, "body"},
    {"{\"prompt\":\"p\",\"messages\":[]}", SHEAF_E_FIELD, 2, "prompt"},
    {"{\"body\":{},\"prompt\":\"p\"}", SHEAF_E_FIELD, 12, "prompt"},
    {"{\"body\":{},\"messages\":[]}", SHEAF_E_FIELD, 12, "messages"},
    {"{\"body\":{},\"system\":\"s\"}", SHEAF_E_FIELD, 12, "system"},
    {"{\"body\":{},\"max_tokens\":1}", SHEAF_E_FIELD, 12, "max_tokens"},
    {"{\"body\":{},\"temperature\":1}", SHEAF_E_FIELD, 12, "body"},
    {"{\"prompt\":\"a\",\"prompt\":\"b\"}", SHEAF_E_FIELD, 15, "prompt"},
    {"{\"prompt\":\"\",\"custom_id\":\"\"}", SHEAF_E_FIELD, 26, "custom_id"},
    {"{\"prompt\":\"\",\"custom_id\":1.5}", SHEAF_E_TYPE, 26, "custom_id"},
    {"{\"prompt\":\"\",\"custom_id\":1e3}", SHEAF_E_TYPE, 26, "custom_id"},
    {"{\"prompt\":\"\",\"custom_id\":[]}", SHEAF_E_TYPE, 26, "custom_id"},
    {"{\"prompt\":\"\",\"custom_id\":true}", SHEAF_E_TYPE, 26, "custom_id"},
    {"{\"prompt\":\"\",\"method\":\"GET\"}", SHEAF_E_FIELD, 23, "method"},
    {"{\"prompt\":\"\",\"method\":1}", SHEAF_E_TYPE, 23, "method"},
    {"{\"prompt\":\"\",\"url\":\"\"}", SHEAF_E_FIELD, 20, "url"},
    {"{\"prompt\":\"\",\"url\":\"https://x/v1\"}", SHEAF_E_FIELD, 20, "url"},
    {"{\"prompt\":\"\",\"url\":\"/a b\"}", SHEAF_E_FIELD, 20, "url"},
    {"{\"prompt\":\"\",\"url\":\"/a\\r\\nHost: x\"}", SHEAF_E_FIELD, 20, "url"},
    {"{\"prompt\":\"\",\"url\":\"/\xc3\xa9\"}", SHEAF_E_FIELD, 20, "url"},
    {"{\"prompt\":\"\",\"url\":7}", SHEAF_E_TYPE, 20, "url"},
    {"{\"prompt\":\"\",\"model\":7}", SHEAF_E_TYPE, 22, "model"},
    {"{\"prompt\":\"\",\"provider\":\"a\",\"endpoint\":\"b\"}", SHEAF_E_FIELD, 29, "endpoint"},
    {"{\"prompt\":\"\",\"system\":{}}", SHEAF_E_TYPE, 23, "system"},
    {"{\"prompt\":\"\",\"trust_key\":1}", SHEAF_E_TYPE, 26, "trust_key"},
    {"{\"prompt\":\"\",\"max_tokens\":0}", SHEAF_E_FIELD, 27, "max_tokens"},
    {"{\"prompt\":\"\",\"max_tokens\":-1}", SHEAF_E_FIELD, 27, "max_tokens"},
    {"{\"prompt\":\"\",\"max_tokens\":1.5}", SHEAF_E_TYPE, 27, "max_tokens"},
    {"{\"prompt\":\"\",\"max_tokens\":\"9\"}", SHEAF_E_TYPE, 27, "max_tokens"},
    {"{\"prompt\":\"\",\"max_tokens\":1e30}", SHEAF_E_FIELD, 27, "max_tokens"},
    {"{\"prompt\":\"\",\"priority\":0}", SHEAF_E_FIELD, 25, "priority"},
    {"{\"prompt\":\"\",\"priority\":101}", SHEAF_E_FIELD, 25, "priority"},
    {"{\"prompt\":\"\",\"priority\":\"max\"}", SHEAF_E_FIELD, 25, "priority"},
    {"{\"prompt\":\"\",\"priority\":true}", SHEAF_E_TYPE, 25, "priority"},
    {"{\"prompt\":\"\",\"deadline_ms\":0}", SHEAF_E_FIELD, 28, "deadline_ms"},
    {"{\"prompt\":\"\",\"deadline_ms\":9223372036855}", SHEAF_E_FIELD, 28, "deadline_ms"},
    {"{\"prompt\":\"\",\"lane\":\"fast\"}", SHEAF_E_FIELD, 21, "lane"},
    {"{\"prompt\":\"\",\"lane\":1}", SHEAF_E_TYPE, 21, "lane"},
    {"{\"prompt\":\"\",\"stream\":\"yes\"}", SHEAF_E_TYPE, 23, "stream"},
};

TEST(wrong_lines_are_refused_with_their_place_and_a_remedy) {
  for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
    const wrong *w = &wrongs[i];
    one o;
    const int32_t status = read_line(&o, w->line);
    const bool same_field =
        w->field ? o.error.field && strcmp(o.error.field, w->field) == 0 : !o.error.field;
    if (status != w->status || o.error.status != status || o.error.column != w->column ||
        !same_field || !o.error.message)
      printf("in %s: %s at %u, %s\n", w->line, sheaf_status_name(status), (unsigned)o.error.column,
             o.error.field ? o.error.field : "no field");
    CHECK_STATUS(status, w->status);
    CHECK_STATUS(o.error.status, w->status);
    CHECK_EQ(o.error.column, w->column);
    CHECK_EQ(o.error.offset, w->column - 1);
    CHECK(same_field);
    CHECK(o.error.message != NULL);
    done(&o);
  }
}

TEST(deep_lines_are_refused) {
  char line[200] = "{\"prompt\":\"\",\"x\":";
  const size_t head = strlen(line);
  one o;
  memset(line + head, '[', 64);
  memset(line + head + 64, ']', 64);
  memcpy(line + head + 128, "}", 2);
  CHECK_STATUS(read_line(&o, line), SHEAF_E_DEPTH);
  done(&o);
}

TEST(every_prefix_of_a_line_is_a_syntax_error) {
  static const char line[] =
      "{\"custom_id\":\"a\\u00e9\",\"messages\":[{\"a\":-1.5e3}],\"x\":true}";
  for (size_t n = 0; n + 1 < sizeof line; n++) {
    one o;
    CHECK_STATUS(read_bytes(&o, line, n), n + 1 == sizeof line ? SHEAF_OK : SHEAF_E_SYNTAX);
    done(&o);
  }
}

TEST(a_line_over_64_mib_is_refused) {
  sheaf_buf scratch;
  sheaf_request request;
  sheaf_parse_error error;
  sheaf_buf_init(&scratch, &allocator, 100);
  const sheaf_slice line = {"", SHEAF_LINE_BYTES_MAX + 1};
  CHECK_STATUS(sheaf_line_read(line, &scratch, &request, &error), SHEAF_E_TOO_LONG);
  CHECK(error.message != NULL);
}

TEST(no_memory_is_said_and_leaks_nothing) {
  static const char line[] =
      "{\"custom_id\":\"a\\n\",\"prompt\":\"p\",\"a\":1,\"model\":\"\",\"b\":2}";
  for (uint64_t n = 1;; n++) {
    one o;
    memory.calls = 0;
    memory.fail_at = n;
    const int32_t status = read_line(&o, line);
    memory.fail_at = 0;
    if (status != SHEAF_OK) CHECK_STATUS(status, SHEAF_E_NOMEM);
    done(&o);
    CHECK_EQ(memory.live_blocks, 0);
    if (status == SHEAF_OK) break;
  }
}

int main(void) {
  allocator = test_allocator(&memory);
  RUN(a_string_is_a_prompt_and_is_not_copied);
  RUN(a_prompt_with_neighbours_gives_params_verbatim);
  RUN(scattered_params_are_joined);
  RUN(the_batch_form);
  RUN(input_alone_is_content_among_the_params);
  RUN(input_beside_a_prompt_is_a_param);
  RUN(every_control_member_arrives);
  RUN(escaped_text_is_unescaped_and_stays_where_it_is);
  RUN(scratch_is_reset_between_lines);
  RUN(ids_may_be_whole_numbers);
  RUN(priorities_and_lanes_have_names);
  RUN(null_members_count_as_absent);
  RUN(an_id_of_512_bytes_is_the_longest);
  RUN(wrong_lines_are_refused_with_their_place_and_a_remedy);
  RUN(deep_lines_are_refused);
  RUN(every_prefix_of_a_line_is_a_syntax_error);
  RUN(a_line_over_64_mib_is_refused);
  RUN(no_memory_is_said_and_leaks_nothing);
  CHECK_EQ(memory.live_bytes, 0);
  CHECK(!memory.size_mismatch);
  return check_report() || check_bad;
}
