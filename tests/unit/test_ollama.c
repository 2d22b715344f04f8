/* test_ollama.c: requests as the bytes that leave for Ollama's own API, and replies and NDJSON
 * streams as they come: its docs and source as of 2026-08. */
#include "provider_test.h"

enum { CHAT = 0, GENERATE = 1, EMBED = 2 };

static const wire_build_case builds[] = {
    {.prompt = "a",
     .model = "l",
     .path = "/api/chat",
     .output_max = NONE,
     .bytes =
         "{\"model\":\"l\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":false}"},
    {.prompt = "a",
     .model = "l",
     .system = "s",
     .max_tokens = 5,
     .stream = true,
     .params = "\"temperature\":0,\"keep_alive\":\"5m\",\"num_ctx\":8192,\"stop\":\"x\"",
     .path = "/api/chat",
     .output_max = 5,
     .bytes = "{\"model\":\"l\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":"
              "\"user\",\"content\":\"a\"}],"
              "\"stream\":true,\"options\":{\"temperature\":0,\"num_ctx\":8192,\"stop\":[\"x\"],"
              "\"num_predict\":5},"
              "\"keep_alive\":\"5m\"}"},
    {.prompt = "a",
     .model = "l",
     .max_tokens = 5,
     .params = "\"options\":{\"num_predict\":3},\"seed\":1,\"stream\":false",
     .path = "/api/chat",
     .output_max = 3,
     .bytes = "{\"model\":\"l\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"options\":{"
              "\"num_predict\":3,\"seed\":1},"
              "\"stream\":false}"},
    {.prompt = "a",
     .model = "l",
     .params = "\"options\":{}",
     .path = "/api/chat",
     .output_max = NONE,
     .bytes =
         "{\"model\":\"l\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":false}"},
    {.model = "l",
     .system = "s",
     .messages =
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
         "\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":\"c\"}]",
     .path = "/api/chat",
     .output_max = NONE,
     .bytes = "{\"model\":\"l\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":"
              "\"user\",\"content\":\"a\\nb\"},"
              "{\"role\":\"assistant\",\"content\":\"c\"}],\"stream\":false}"},
    {.model = "l",
     .system = "s",
     .messages = "[{\"role\":\"developer\",\"content\":\"d\"}]",
     .path = "/api/chat",
     .output_max = NONE,
     .bytes = "{\"model\":\"l\",\"messages\":[{\"role\":\"system\",\"content\":\"d\"}],\"stream\":"
              "false}"},
    {.url = "/api/generate",
     .prompt = "a",
     .model = "l",
     .system = "s",
     .path = "/api/generate",
     .output_max = NONE,
     .bytes = "{\"model\":\"l\",\"prompt\":\"a\",\"system\":\"s\",\"stream\":false}"},
    {.url = "/api/embed",
     .prompt = "a",
     .model = "l",
     .max_tokens = 5,
     .system = "s",
     .params = "\"truncate\":true,\"num_ctx\":9",
     .path = "/api/embed",
     .output_max = NONE,
     .bytes = "{\"model\":\"l\",\"input\":\"a\",\"options\":{\"num_ctx\":9},\"truncate\":true}"},
    {.url = "/api/embed",
     .params = "\"input\":[\"a\"]",
     .model = "l",
     .path = "/api/embed",
     .output_max = NONE,
     .bytes = "{\"model\":\"l\",\"input\":[\"a\"]}"},
    {.body = "{\"model\":\"b\",\"messages\":[]}",
     .path = "/api/chat",
     .output_max = NONE,
     .bytes = "{\"stream\":false,\"model\":\"b\",\"messages\":[]}"},
    {.body = "{\"model\":\"b\",\"stream\":false,\"options\":{\"num_predict\":4}}",
     .max_tokens = 9,
     .path = "/api/chat",
     .output_max = 4,
     .bytes = "{\"model\":\"b\",\"stream\":false,\"options\":{\"num_predict\":4}}"},
    {.url = "/v1/chat/completions",
     .prompt = "a",
     .model = "l",
     .output_max = SHEAF_E_UNSUPPORTED,
     .bytes = "ollama offers /api/chat, /api/generate and /api/embed"},
    {.url = "/api/generate",
     .messages = "[]",
     .model = "l",
     .output_max = SHEAF_E_FIELD,
     .bytes = "this operation takes no messages; use /api/chat"},
    {.prompt = "a",
     .model = "l",
     .params = "\"options\":[]",
     .output_max = SHEAF_E_TYPE,
     .bytes = "options must be an object"},
    {.url = "/api/embed",
     .prompt = "a",
     .model = "l",
     .stream = true,
     .output_max = SHEAF_E_FIELD,
     .bytes = "embeddings cannot be streamed"},
    {.prompt = "a",
     .output_max = SHEAF_E_FIELD,
     .bytes = "no model is named; pass --model or give one with the request"},
};

TEST(requests_leave_as_these_bytes) {
  wire_check_builds("ollama", builds, sizeof builds / sizeof builds[0]);
}

static const wire_decode_case decodes[] = {
    {CHAT,
     "{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"thinking\":\"x\"},"
     "\"done\":true,"
     "\"done_reason\":\"stop\",\"prompt_eval_count\":26,\"eval_count\":298}",
     CLASS(NONE), BILLED, "Hi", "stop", 26, 298},
    {CHAT,
     "{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{}]},\"done\":true}",
     CLASS(NONE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"response\":\"x\"}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {GENERATE, "{\"response\":\"x\\n\",\"done\":true,\"done_reason\":\"length\",\"eval_count\":1}",
     CLASS(NONE), BILLED, "x\\n", "length", NONE, 1},
    {GENERATE, "{\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}", CLASS(NONE), BILLED,
     "", "load", NONE, NONE},
    {GENERATE, "{\"message\":{}}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {EMBED, "{\"model\":\"l\",\"embeddings\":[[0.1]],\"prompt_eval_count\":3}", CLASS(NONE), BILLED,
     "", "", 3, 0},
    {EMBED, "{\"embeddings\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"error\":\"something broke\"}", CLASS(UNKNOWN), DOUBT, "", "", NONE, NONE},
    {CHAT, "", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
};

TEST(replies_of_all_shapes_are_read) {
  wire_check_decodes("ollama", decodes, sizeof decodes / sizeof decodes[0]);
}

TEST(durations_are_nanoseconds_and_zero_is_no_duration) {
  wire_test test;
  wire_init(&test, "ollama");
  CHECK_OK(wire_decode(
      &test, GENERATE, "",
      "{\"response\":\"x\",\"total_duration\":10706818083,\"eval_duration\":4709213000}"));
  CHECK_EQ(test.decoded.server_ns, 10706818083);
  CHECK_EQ(test.decoded.generation_ns, 4709213000);
  CHECK_OK(wire_decode(&test, GENERATE, "", "{\"response\":\"x\",\"total_duration\":0}"));
  CHECK_EQ(test.decoded.server_ns, SHEAF_NEVER);
  CHECK_EQ(test.decoded.generation_ns, SHEAF_NEVER);
  wire_deinit(&test);
}

static const wire_stream_case streams[] = {
    {"{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"H\"},\"done\":false}\n\n"
     "{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"i\"},\"done\":false}\r\n"
     "{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_"
     "reason\":\"stop\","
     "\"prompt_eval_count\":26,\"eval_count\":2,\"total_duration\":5,\"eval_duration\":3}",
     CHAT, CLASS(NONE), BILLED, "Hi", "stop", true, true},
    {"{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":true}\n", GENERATE,
     CLASS(NONE), BILLED, "ab", "", true, true},
    {"{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"error\":\"an error was encountered "
     "while running the model\"}\n",
     CHAT, CLASS(UNKNOWN), DOUBT, "a", "", true, false},
    {"{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"message\":{\"con", CHAT, CLASS(NONE),
     DOUBT, "a", "", false, false},
    {"{\"message\":{\"thinking\":\"a\"},\"done\":false}\n", CHAT, CLASS(NONE), DOUBT, "", "", false,
     false},
    {"oops\n", CHAT, CLASS(INVALID_RESPONSE), BILLED, "", "", true, false},
};

TEST(streams_of_all_shapes_are_read_at_any_chunking) {
  wire_check_streams("ollama", streams, sizeof streams / sizeof streams[0]);
}

TEST(the_last_line_of_a_stream_holds_the_metrics) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "ollama");
  wire_stream(&feed, &test, CHAT, streams[0].body);
  CHECK_EQ(feed.stream.so_far.usage.input_total, 26);
  CHECK_EQ(feed.stream.so_far.usage.output_total, 2);
  CHECK_EQ(feed.stream.so_far.server_ns, 5);
  CHECK_EQ(feed.stream.so_far.generation_ns, 3);
  CHECK_EQ(feed.stream.tokens_seen, 2);
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

TEST(tool_calls_have_objects_for_arguments) {
  sheaf_tool_call call;
  sheaf_result result = {
      .struct_bytes = sizeof result, .provider = TEXT("ollama"), .operation = CHAT};
  result.body = TEXT(
      "{\"message\":{\"tool_calls\":[{\"function\":{\"index\":0,\"name\":\"f\",\"arguments\":{"
      "\"a\":1}}}]}}");
  CHECK_OK(sheaf_result_tool_call(&result, 0, &call));
  CHECK_TEXT(call.name, "f");
  CHECK_TEXT(call.arguments, "{\"a\":1}");
  CHECK(!call.arguments_escaped);
  CHECK_STATUS(sheaf_result_tool_call(&result, 1, &call), SHEAF_E_NOT_FOUND);
  result.operation = GENERATE;
  CHECK_STATUS(sheaf_result_tool_call(&result, 0, &call), SHEAF_E_UNSUPPORTED);
}

int main(void) {
  RUN(requests_leave_as_these_bytes);
  RUN(replies_of_all_shapes_are_read);
  RUN(durations_are_nanoseconds_and_zero_is_no_duration);
  RUN(streams_of_all_shapes_are_read_at_any_chunking);
  RUN(the_last_line_of_a_stream_holds_the_metrics);
  RUN(tool_calls_have_objects_for_arguments);
  return check_report();
}
