/* test_anthropic.c: requests as the bytes that leave for Anthropic, and replies, streams and limits
 * as they come: shapes of the Messages API, version 2023-06-01, as of 2026-11. */
#include "provider_test.h"

static const wire_build_case builds[] = {
    {.prompt = "a",
     .model = "c",
     .path = "/v1/messages",
     .output_max = 4096,
     .bytes = "{\"model\":\"c\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":"
              "\"a\"}]}"},
    {.prompt = "a",
     .model = "c",
     .system = "s",
     .max_tokens = 10,
     .stream = true,
     .params = "\"thinking\":{}",
     .path = "/v1/messages",
     .output_max = 10,
     .bytes = "{\"model\":\"c\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":"
              "\"a\"}],\"system\":\"s\","
              "\"stream\":true,\"thinking\":{}}"},
    {.prompt = "a",
     .model = "c",
     .system = "s",
     .max_tokens = 10,
     .params = "\"max_tokens\":5,\"system\":[]",
     .path = "/v1/messages",
     .output_max = 5,
     .bytes = "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_"
              "tokens\":5,\"system\":[]}"},
    {.url = "/v1/messages",
     .model = "c",
     .system = "not this",
     .messages =
         "[{\"role\":\"system\",\"content\":\"s\\n\"},{\"role\":\"user\",\"content\":\"a\"},"
         "{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"developer\",\"content\":[{"
         "\"type\":\"text\","
         "\"text\":\"t\"}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"c\"}]}]",
     .path = "/v1/messages",
     .output_max = 4096,
     .bytes = "{\"model\":\"c\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":"
              "\"a\"},{\"role\":"
              "\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
              "\"text\":\"c\"}]}],"
              "\"system\":\"s\\n\\n\\nt\"}"},
    {.params = "\"messages\":[]",
     .model = "c",
     .path = "/v1/messages",
     .output_max = 4096,
     .bytes = "{\"model\":\"c\",\"max_tokens\":4096,\"messages\":[]}"},
    {.body = "{\"model\":\"c\",\"max_tokens\":1,\"messages\":[]}",
     .system = "s",
     .path = "/v1/messages",
     .output_max = 1,
     .bytes = "{\"model\":\"c\",\"max_tokens\":1,\"messages\":[]}"},
    {.body = "{\"messages\":[]}",
     .model = "c",
     .stream = true,
     .path = "/v1/messages",
     .output_max = 4096,
     .bytes = "{\"model\":\"c\",\"max_tokens\":4096,\"stream\":true,\"messages\":[]}"},
    {.url = "/v1/chat/completions",
     .prompt = "a",
     .model = "c",
     .output_max = SHEAF_E_UNSUPPORTED,
     .bytes = "anthropic offers /v1/messages and /v1/messages/count_tokens"},
    {.model = "c",
     .messages = "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]",
     .output_max = SHEAF_E_FIELD,
     .bytes = "messages hold more than plain text (images, tools, names); give a body in the "
              "provider's own shape"},
    {.model = "c",
     .messages = "[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{}]}]",
     .output_max = SHEAF_E_FIELD,
     .bytes = "messages hold more than plain text (images, tools, names); give a body in the "
              "provider's own shape"},
    {.model = "c",
     .messages = "[5]",
     .output_max = SHEAF_E_FIELD,
     .bytes = "messages hold more than plain text (images, tools, names); give a body in the "
              "provider's own shape"},
    {.model = "c",
     .messages = "\"x\"",
     .output_max = SHEAF_E_TYPE,
     .bytes = "messages must be a JSON array"},
    {.prompt = "a",
     .output_max = SHEAF_E_FIELD,
     .bytes = "no model is named; pass --model or give one with the request"},
};

TEST(requests_leave_as_these_bytes) {
  wire_check_builds("anthropic", builds, sizeof builds / sizeof builds[0]);
}

/* Whatever says how to answer is left away: the service refuses it where nothing is answered. */
static const wire_build_case counts[] = {
    {.url = "/v1/messages/count_tokens",
     .prompt = "a",
     .model = "c",
     .system = "s",
     .max_tokens = 10,
     .params = "\"temperature\":1,\"thinking\":{\"type\":\"disabled\"},\"stop_sequences\":[\"x\"]",
     .path = "/v1/messages/count_tokens",
     .output_max = 0,
     .bytes = "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
              "\"system\":\"s\",\"thinking\":{\"type\":\"disabled\"}}"},
    {.url = "/messages/count_tokens",
     .body = " {\"max_tokens\":5, \"stream\":false,\"tools\" : [{}],\"messages\":[],\"top_p\":1}\n",
     .model = "c",
     .params = "\"tools\":[],\"tool_choice\":{}",
     .path = "/v1/messages/count_tokens",
     .output_max = 0,
     .bytes = "{\"model\":\"c\",\"tool_choice\":{},\"tools\":[{}],\"messages\":[]}"},
    {.url = "/v1/messages/count_tokens",
     .prompt = "a",
     .model = "c",
     .stream = true,
     .output_max = SHEAF_E_FIELD,
     .bytes = "a count cannot be streamed"},
    {.url = "/v1/messages/count_tokens",
     .prompt = "a",
     .output_max = SHEAF_E_FIELD,
     .bytes = "no model is named; pass --model or give one with the request"},
};

TEST(a_count_is_asked_for_without_what_says_how_to_answer) {
  wire_check_builds("anthropic", counts, sizeof counts / sizeof counts[0]);
}

TEST(a_base_url_with_its_version_gets_a_path_without) {
  wire_test test;
  wire_init(&test, "anthropic");
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = TEXT("a");
  request.model = TEXT("c");
  test.base_url = TEXT("http://127.0.0.1:9/v1/");
  CHECK_OK(wire_build(&test, &request));
  CHECK_TEXT(sheaf_buf_slice(&test.path), "/messages");
  wire_deinit(&test);
}

static const wire_decode_case decodes[] = {
    {0,
     "{\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"x\"},{\"type\":"
     "\"text\",\"text\":\"Hi\"}],"
     "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":9,\"output_tokens\":3}}",
     CLASS(NONE), BILLED, "Hi", "end_turn", 9, 3},
    {0,
     "{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\",\"input\":{}},{"
     "\"type\":\"text\",\"text\":\"b\"}],"
     "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":"
     "20,"
     "\"cache_read_input_tokens\":300,\"output_tokens\":3}}",
     CLASS(NONE), BILLED, "ab", "tool_use", 321, 3},
    {0,
     "{\"content\":[],\"stop_reason\":\"refusal\",\"stop_details\":{\"type\":\"refusal\"},"
     "\"usage\":{\"input_tokens\":1,"
     "\"output_tokens\":1,\"cache_creation_input_tokens\":null,\"cache_read_input_tokens\":null}}",
     CLASS(CONTENT_FILTER), BILLED, "", "refusal", 1, 1},
    {0, "{\"content\":[],\"stop_reason\":\"model_context_window_exceeded\"}", CLASS(NONE), BILLED,
     "", "model_context_window_exceeded", NONE, NONE},
    {0, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
     CLASS(OVERLOADED), REFUSED, "", "", NONE, NONE},
    {0, "{\"content\":null}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {0, "not json", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    /* a count is answered, and nothing is charged */
    {1, "{\"input_tokens\":2095}", CLASS(NONE), REFUSED, "", "", 2095, NONE},
    {1, "{\"input_tokens\":0}", CLASS(NONE), REFUSED, "", "", 0, NONE},
    {1, "{\"input_tokens\":-1}", CLASS(INVALID_RESPONSE), REFUSED, "", "", NONE, NONE},
    {1, "{\"content\":[]}", CLASS(INVALID_RESPONSE), REFUSED, "", "", NONE, NONE},
    {1, "not json", CLASS(INVALID_RESPONSE), REFUSED, "", "", NONE, NONE},
    {1, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
     CLASS(OVERLOADED), REFUSED, "", "", NONE, NONE},
};

TEST(replies_of_all_shapes_are_read) {
  wire_check_decodes("anthropic", decodes, sizeof decodes / sizeof decodes[0]);
}

TEST(usage_keeps_cache_and_thinking_apart) {
  wire_test test;
  wire_init(&test, "anthropic");
  CHECK_OK(wire_decode(
      &test, 0, "request-id: req_1\n",
      "{\"model\":\"claude-x\",\"content\":[],\"usage\":{\"cache_read_input_tokens\":5,\"input_"
      "tokens\":2,"
      "\"cache_creation_input_tokens\":0,\"output_tokens\":7,\"output_tokens_details\":{"
      "\"thinking_tokens\":4}}}"));
  CHECK_EQ(test.decoded.usage.input_total, 7);
  CHECK_EQ(test.decoded.usage.cache_read, 5);
  CHECK_EQ(test.decoded.usage.cache_write, 0);
  CHECK_EQ(test.decoded.usage.reasoning, 4);
  CHECK_TEXT(test.decoded.request_id, "req_1");
  CHECK_TEXT(test.decoded.model, "claude-x");
  wire_deinit(&test);
}

#define EVENT(name, data) "event: " name "\ndata: " data "\n\n"
#define START                                                                                      \
  EVENT("message_start",                                                                           \
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":" \
        "\"assistant\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"usage\":{"     \
        "\"input_tokens\":9,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":1,"      \
        "\"output_tokens\":1}}}")
#define HI                                                                                    \
  EVENT("content_block_start",                                                                \
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\"," \
        "\"text\":\"\"}}")                                                                    \
  EVENT("ping", "{\"type\":\"ping\"}")                                                        \
  EVENT("content_block_delta",                                                                \
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","   \
        "\"text\":\"Hi\"}}")                                                                  \
  EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}")
#define STOP(reason, usage)                                                               \
  EVENT("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" reason \
                         ",\"stop_sequence\":null},\"usage\":" usage "}")
#define LAST EVENT("message_stop", "{\"type\":\"message_stop\"}")

static const wire_stream_case streams[] = {
    {START HI STOP("\"end_turn\"", "{\"output_tokens\":3}") LAST, 0, CLASS(NONE), BILLED, "Hi",
     "end_turn", true, true},
    /* several message_deltas, unknown events, thinking and tool input */
    {START EVENT("new", "{\"type\":\"new\"}")
         EVENT("content_block_delta",
               "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\","
               "\"thinking\":\"x\"}}")
             EVENT("content_block_delta",
                   "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\","
                   "\"partial_json\":\"{\"}}") HI STOP("null", "{\"output_tokens\":2}")
                 STOP("\"tool_use\"", "{\"output_tokens\":3}") LAST,
     0, CLASS(NONE), BILLED, "Hi", "tool_use", true, true},
    {START HI STOP("\"refusal\"", "{\"output_tokens\":3}") LAST, 0, CLASS(CONTENT_FILTER), BILLED,
     "Hi", "refusal", true, true},
    {EVENT("error",
           "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
           "\"Overloaded\"}}"),
     0, CLASS(OVERLOADED), REFUSED, "", "", true, false},
    {EVENT("ping", "{\"type\":\"ping\"}") EVENT(
         "error", "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}") LAST,
     0, CLASS(SERVER), DOUBT, "", "", true, false},
    {START HI, 0, CLASS(NONE), DOUBT, "Hi", "", false, false},
    {START HI STOP("\"end_turn\"", "null"), 0, CLASS(NONE), BILLED, "Hi", "end_turn", false, true},
    {"data: x\n\n", 0, CLASS(INVALID_RESPONSE), BILLED, "", "", true, false},
};

TEST(streams_of_all_shapes_are_read_at_any_chunking) {
  wire_check_streams("anthropic", streams, sizeof streams / sizeof streams[0]);
}

TEST(the_usage_of_message_delta_replaces_that_of_the_start) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "anthropic");
  wire_stream(&feed, &test, 0,
              START HI STOP("null", "{\"output_tokens\":3,\"input_tokens\":null}")
                  STOP("\"end_turn\"", "{\"output_tokens\":5,\"cache_read_input_tokens\":4}") LAST);
  const sheaf_usage *usage = &feed.stream.so_far.usage;
  CHECK_EQ(usage->output_total, 5);
  CHECK_EQ(usage->cache_write, 2);
  CHECK_EQ(usage->cache_read, 4);
  CHECK_EQ(usage->input_total, 9 + 2 + 4);
  CHECK_TEXT(feed.stream.so_far.model, "claude-x");
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

TEST(an_error_after_text_and_usage_is_billed) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "anthropic");
  wire_stream(&feed, &test, 0,
              START HI EVENT("error",
                             "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                             "\"message\":\"m\\u0021\"}}"));
  CHECK_EQ(feed.stream.so_far.error_class, SHEAF_CLASS_OVERLOADED);
  CHECK_EQ(feed.stream.so_far.billing, SHEAF_BILLING_BILLED); /* message_start told of output */
  CHECK_TEXT(feed.stream.so_far.error_message, "m!");
  CHECK_TEXT(feed.stream.so_far.error_code, "overloaded_error");
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

TEST(limits_are_read_against_the_replys_own_clock) {
  wire_test test;
  sheaf_limit limits[SHEAF_LIMITS_MAX];
  wire_init(&test, "anthropic");
  CHECK_EQ(
      wire_limits(
          &test, 200,
          "Date: Wed, 18 Nov 2026 12:00:00 GMT\r\nanthropic-ratelimit-requests-limit: 1000\r\n"
          "anthropic-ratelimit-requests-remaining: 999\r\n"
          "anthropic-ratelimit-requests-reset: 2026-11-18T12:00:01Z\r\n"
          "anthropic-ratelimit-input-tokens-limit: 400000\r\n"
          "anthropic-ratelimit-input-tokens-remaining: 398000\r\n"
          "anthropic-ratelimit-input-tokens-reset: 2026-11-18T12:00:00.5+00:00\r\n"
          "Anthropic-RateLimit-Output-Tokens-Limit: 80000\r\n"
          "anthropic-ratelimit-tokens-limit: 80000\r\nanthropic-priority-input-tokens-limit: 1\r\n",
          "", limits),
      3); /* "tokens" repeats the tightest of the others */
  CHECK_EQ(limits[0].resource, SHEAF_RESOURCE_REQUESTS);
  CHECK_EQ(limits[0].limit, 1000);
  CHECK_EQ(limits[0].remaining, 999);
  CHECK_EQ(limits[0].reset_ns, 1000000000);
  CHECK_EQ(limits[1].resource, SHEAF_RESOURCE_INPUT_TOKENS);
  CHECK_EQ(limits[1].reset_ns, 500000000);
  CHECK_EQ(limits[2].resource, SHEAF_RESOURCE_OUTPUT_TOKENS);
  CHECK_EQ(limits[2].remaining, SHEAF_ABSENT);
  CHECK_EQ(wire_limits(&test, 200, "anthropic-ratelimit-tokens-remaining: 5\n", "", limits), 1);
  CHECK_EQ(limits[0].resource, SHEAF_RESOURCE_TOKENS);
  CHECK_EQ(wire_limits(&test, 200, "x-ratelimit-limit-requests: 5\n", "", limits), 0);
  wire_deinit(&test);
}

TEST(tool_calls_are_found_in_the_body) {
  sheaf_tool_call call;
  sheaf_result result = {.struct_bytes = sizeof result, .provider = TEXT("anthropic")};
  result.body = TEXT(
      "{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\",\"id\":\"t1\","
      "\"name\":\"f\","
      "\"input\":{\"a\":[1]}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}]}");
  CHECK_OK(sheaf_result_tool_call(&result, 1, &call));
  CHECK_TEXT(call.id, "t2");
  CHECK_OK(sheaf_result_tool_call(&result, 0, &call));
  CHECK_TEXT(call.id, "t1");
  CHECK_TEXT(call.name, "f");
  CHECK_TEXT(call.arguments, "{\"a\":[1]}");
  CHECK(!call.arguments_escaped);
  CHECK_STATUS(sheaf_result_tool_call(&result, 2, &call), SHEAF_E_NOT_FOUND);
}

int main(void) {
  RUN(requests_leave_as_these_bytes);
  RUN(a_count_is_asked_for_without_what_says_how_to_answer);
  RUN(a_base_url_with_its_version_gets_a_path_without);
  RUN(replies_of_all_shapes_are_read);
  RUN(usage_keeps_cache_and_thinking_apart);
  RUN(streams_of_all_shapes_are_read_at_any_chunking);
  RUN(the_usage_of_message_delta_replaces_that_of_the_start);
  RUN(an_error_after_text_and_usage_is_billed);
  RUN(limits_are_read_against_the_replys_own_clock);
  RUN(tool_calls_are_found_in_the_body);
  return check_report();
}
