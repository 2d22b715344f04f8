/* test_gemini.c: requests as the bytes that leave for Google's Gemini API (v1beta), and replies,
 * streams and refusals as they come: proto3 JSON as of 2026-11. */
#include "provider_test.h"

#define PATH "/models/g:generateContent"
#define USER(text) "{\"role\":\"user\",\"parts\":[{\"text\":\"" text "\"}]}"

static const wire_build_case builds[] = {
    {.prompt = "a\"",
     .model = "g",
     .path = PATH,
     .output_max = NONE,
     .bytes = "{\"contents\":[" USER("a\\\"") "]}"},
    {.prompt = "a",
     .model = "models/g",
     .system = "s",
     .max_tokens = 5,
     .path = PATH,
     .output_max = 5,
     .bytes = "{\"contents\":[" USER("a") "],\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},"
                                          "\"generationConfig\":{\"maxOutputTokens\":5}}"},
    {.prompt = "a",
     .model = "g",
     .stream = true,
     .path = "/models/g:streamGenerateContent?alt=sse",
     .output_max = NONE,
     .bytes = "{\"contents\":[" USER("a") "]}"},
    {.prompt = "a",
     .model = "g",
     .max_tokens = 5,
     .params = "\"temperature\":0.0,\"top_p\":1,\"topK\":3,\"stop\":\"x\",\"seed\":7,"
               "\"safetySettings\":[],\"max_tokens\":6",
     .path = PATH,
     .output_max = 6,
     .bytes = "{\"contents\":[" USER(
         "a") "],\"generationConfig\":{\"temperature\":0.0,\"topP\":1,\"topK\":3,"
              "\"stopSequences\":[\"x\"],\"seed\":7,\"maxOutputTokens\":6},\"safetySettings\":[]}"},
    {.prompt = "a",
     .model = "g",
     .max_tokens = 5,
     .params = "\"generationConfig\":{ \"temperature\":1 "
               "},\"temperature\":0,\"stop_sequences\":[\"x\"],\"top_p\":1,\"topP\":2",
     .path = PATH,
     .output_max = 5,
     .bytes = "{\"contents\":[" USER(
         "a") "],\"generationConfig\":{\"temperature\":1,\"stopSequences\":[\"x\"],\"topP\":1,"
              "\"maxOutputTokens\":5}}"},
    {.prompt = "a",
     .params = "\"model\":\"p\",\"stream\":false",
     .model = "g",
     .path = "/models/p:generateContent",
     .output_max = NONE,
     .bytes = "{\"contents\":[" USER("a") "]}"},
    {.prompt = "a",
     .model = "tunedModels/my x?",
     .path = "/tunedModels/my%20x%3F:generateContent",
     .output_max = NONE,
     .bytes = "{\"contents\":[" USER("a") "]}"},
    {.url = "/v1beta/models/u:generateContent",
     .prompt = "a",
     .model = "g",
     .path = "/models/u:generateContent",
     .output_max = NONE,
     .bytes = "{\"contents\":[" USER("a") "]}"},
    {.model = "g",
     .messages = "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{"
                 "\"type\":\"text\","
                 "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\","
                 "\"content\":\"c\"}]",
     .path = PATH,
     .output_max = NONE,
     .bytes = "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]},{"
              "\"role\":\"model\",\"parts\":"
              "[{\"text\":\"c\"}]}],\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]}}"},
    {.params = "\"contents\":[],\"temperature\":0",
     .model = "g",
     .system = "s",
     .path = PATH,
     .output_max = NONE,
     .bytes = "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"generationConfig\":{"
              "\"temperature\":0},\"contents\":[]}"},
    {.body = "{\"contents\": []}",
     .model = "g",
     .path = PATH,
     .output_max = NONE,
     .bytes = "{\"contents\": []}"},
    {.body = "{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":3}}",
     .model = "g",
     .max_tokens = 9,
     .params = "\"temperature\":0",
     .path = PATH,
     .output_max = 3,
     .bytes = "{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":3}}"},
    {.body = "{\"contents\":[]}",
     .model = "g",
     .max_tokens = 9,
     .path = PATH,
     .output_max = 9,
     .bytes = "{\"generationConfig\":{\"maxOutputTokens\":9},\"contents\":[]}"},
    {.url = "/v1/chat/completions",
     .prompt = "a",
     .model = "g",
     .output_max = SHEAF_E_UNSUPPORTED,
     .bytes = "gemini offers /v1beta/models/MODEL:generateContent and :countTokens"},
    {.url = "/v1beta/models/g:embedContent",
     .prompt = "a",
     .output_max = SHEAF_E_UNSUPPORTED,
     .bytes = "gemini offers /v1beta/models/MODEL:generateContent and :countTokens"},
    {.prompt = "a",
     .output_max = SHEAF_E_FIELD,
     .bytes = "no model is named; pass --model or give one with the request"},
    {.prompt = "a",
     .model = "g",
     .params = "\"generationConfig\":5",
     .output_max = SHEAF_E_TYPE,
     .bytes = "generationConfig must be an object"},
    {.model = "g",
     .messages = "[{\"role\":\"user\"}]",
     .output_max = SHEAF_E_FIELD,
     .bytes = "messages hold more than plain text (images, tools, names); give a body in the "
              "provider's own shape"},
};

TEST(requests_leave_as_these_bytes) {
  wire_check_builds("gemini", builds, sizeof builds / sizeof builds[0]);
}

/* The whole request is counted, with the system's text and the options. */
#define COUNT_PATH "/models/g:countTokens"
static const wire_build_case counts[] = {
    {.url = "/v1beta/models/g:countTokens",
     .prompt = "a",
     .path = COUNT_PATH,
     .output_max = 0,
     .bytes =
         "{\"generateContentRequest\":{\"model\":\"models/g\",\"contents\":[{\"role\":\"user\","
         "\"parts\":[{\"text\":\"a\"}]}]}}"},
    {.url = ":countTokens",
     .messages = "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a\"}]",
     .model = "models/g",
     .max_tokens = 9,
     .path = COUNT_PATH,
     .output_max = 0,
     .bytes =
         "{\"generateContentRequest\":{\"model\":\"models/g\",\"contents\":[{\"role\":\"user\","
         "\"parts\":[{\"text\":\"a\"}]}],\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},"
         "\"generationConfig\":{\"maxOutputTokens\":9}}}"},
    {.url = ":countTokens",
     .params = "\"contents\":[],\"tools\":[]",
     .model = "g",
     .path = COUNT_PATH,
     .output_max = 0,
     .bytes = "{\"generateContentRequest\":{\"model\":\"models/g\",\"contents\":[],\"tools\":[]}}"},
    {.url = ":countTokens",
     .body = " {\"contents\":[],\"tools\":[{}]} ",
     .model = "g",
     .path = COUNT_PATH,
     .output_max = 0,
     .bytes =
         "{\"generateContentRequest\":{\"model\":\"models/g\",\"contents\":[],\"tools\":[{}]}}"},
    {.url = ":countTokens",
     .body = "{\"model\":\"models/g\",\"contents\":[]}",
     .path = COUNT_PATH,
     .output_max = 0,
     .bytes = "{\"generateContentRequest\":{\"model\":\"models/g\",\"contents\":[]}}"},
    {.url = ":countTokens",
     .body = "{\"generateContentRequest\":{\"contents\":[]}}",
     .model = "g",
     .path = COUNT_PATH,
     .output_max = 0,
     .bytes = "{\"generateContentRequest\":{\"contents\":[]}}"},
    {.url = ":countTokens",
     .prompt = "a",
     .model = "g",
     .stream = true,
     .output_max = SHEAF_E_FIELD,
     .bytes = "a count cannot be streamed"},
};

TEST(a_count_is_asked_for_with_the_request_as_a_member) {
  wire_check_builds("gemini", counts, sizeof counts / sizeof counts[0]);
}

static const wire_decode_case decodes[] = {
    {0,
     "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"hm\",\"thought\":"
     "true},{\"text\":\"Hi\"},"
     "{\"functionCall\":{}},{\"text\":\"!\"}]},\"finishReason\":\"STOP\",\"index\":0}],"
     "\"usageMetadata\":{"
     "\"promptTokenCount\":4,\"candidatesTokenCount\":1,\"thoughtsTokenCount\":12,"
     "\"totalTokenCount\":17}}",
     CLASS(NONE), BILLED, "Hi!", "STOP", 4, 13},
    {0,
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}],"
     "\"usageMetadata\":{"
     "\"promptTokenCount\":\"9007199254740993\",\"toolUsePromptTokenCount\":\"2\","
     "\"candidatesTokenCount\":\"3\"}}",
     CLASS(NONE), BILLED, "a", "STOP", 9007199254740995, 3},
    {0,
     "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":4}}",
     CLASS(CONTENT_FILTER), BILLED, "", "SAFETY", 4, NONE},
    {0, "{\"candidates\":[{\"finishReason\":\"RECITATION\",\"index\":0}]}", CLASS(CONTENT_FILTER),
     BILLED, "", "RECITATION", NONE, NONE},
    {0, "{\"candidates\":[{\"content\":{\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\"}]}",
     CLASS(NONE), BILLED, "", "MAX_TOKENS", NONE, NONE},
    {0, "{\"candidates\":[{\"content\":{},\"finishReason\":\"MALFORMED_FUNCTION_CALL\"}]}",
     CLASS(INVALID_RESPONSE), BILLED, "", "MALFORMED_FUNCTION_CALL", NONE, NONE},
    {0,
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":"
     "\"CONTINUATION\"}]}",
     CLASS(NONE), BILLED, "a", "CONTINUATION", NONE, NONE},
    {0, "{\"candidates\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {0, "{}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {0, "", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {0, "{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}",
     CLASS(OVERLOADED), REFUSED, "", "", NONE, NONE},
    /* a count is answered, and nothing is charged */
    {1, "{\"totalTokens\":31,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":31}]}",
     CLASS(NONE), REFUSED, "", "", 31, NONE},
    {1, "{\"candidates\":[]}", CLASS(INVALID_RESPONSE), REFUSED, "", "", NONE, NONE},
    {1,
     "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{"
     "\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"3s\"}]}}",
     CLASS(RATE_LIMIT), REFUSED, "", "", NONE, NONE},
};

TEST(replies_of_all_shapes_are_read) {
  wire_check_decodes("gemini", decodes, sizeof decodes / sizeof decodes[0]);
}

TEST(cache_thoughts_model_and_id_are_told) {
  wire_test test;
  wire_init(&test, "gemini");
  CHECK_OK(
      wire_decode(&test, 0, "",
                  "{\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":9,"
                  "\"cachedContentTokenCount\":\"7\","
                  "\"thoughtsTokenCount\":2},\"modelVersion\":\"g-1\",\"responseId\":\"rid\"}"));
  CHECK_EQ(test.decoded.usage.cache_read, 7);
  CHECK_EQ(test.decoded.usage.reasoning, 2);
  CHECK_EQ(test.decoded.usage.output_total, 2);
  CHECK_TEXT(test.decoded.model, "g-1");
  CHECK_TEXT(test.decoded.request_id, "rid");
  wire_deinit(&test);
}

#define DATA(json) "data: " json "\r\n\r\n"
#define PART(part, rest)                                                         \
  "{\"candidates\":[{\"content\":{\"parts\":[" part "],\"role\":\"model\"}" rest \
  ",\"index\":0}],\"modelVersion\":\"g\"}"

static const wire_stream_case streams[] = {
    {DATA("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}],\"role\":\"model\"},"
          "\"index\":0}],\"usageMetadata\":{"
          "\"promptTokenCount\":4,\"totalTokenCount\":4},\"modelVersion\":\"g\"}")
         DATA("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
              "\"finishReason\":\"STOP\","
              "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":1,"
              "\"thoughtsTokenCount\":12,"
              "\"totalTokenCount\":17}}"),
     0, CLASS(NONE), BILLED, "Hi", "STOP", false, true},
    {DATA(PART("{\"text\":\"hm\",\"thought\":true}", ""))
         DATA(PART("{\"text\":\"a\"},{\"text\":\"b\"}", ",\"finishReason\":\"SAFETY\"")),
     0, CLASS(CONTENT_FILTER), BILLED, "ab", "SAFETY", false, true},
    {DATA("{\"promptFeedback\":{\"blockReason\":\"OTHER\"}}"), 0, CLASS(CONTENT_FILTER), BILLED, "",
     "OTHER", false, true},
    {DATA(PART("{\"text\":\"a\"}", "")), 0, CLASS(NONE), DOUBT, "a", "", false, false},
    {DATA(PART("{\"text\":\"a\"}", ""))
         DATA("{\"error\":{\"code\":500,\"message\":\"m\",\"status\":\"INTERNAL\"}}"),
     0, CLASS(SERVER), DOUBT, "a", "", true, false},
    {DATA("{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}"), 0,
     CLASS(RATE_LIMIT), REFUSED, "", "", true, false},
};

TEST(streams_of_all_shapes_are_read_at_any_chunking) {
  wire_check_streams("gemini", streams, sizeof streams / sizeof streams[0]);
}

TEST(usage_of_a_stream_is_a_running_total) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "gemini");
  wire_stream(&feed, &test, 0, streams[0].body);
  CHECK_EQ(feed.stream.so_far.usage.input_total, 4);
  CHECK_EQ(feed.stream.so_far.usage.output_total, 13);
  CHECK_EQ(feed.stream.so_far.usage.reasoning, 12);
  CHECK_TEXT(feed.stream.so_far.model, "g");
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

#define QUOTA(id, metric)                                                                          \
  "{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"m\",\"details\":[{\"@" \
  "type\":\"type.googleapis.com/google.rpc.QuotaFailure\","                                        \
  "\"violations\":[{\"quotaMetric\":\"" metric "\",\"quotaId\":\"" id                              \
  "\",\"quotaValue\":\"15\"}]}]}}"

TEST(a_refusal_tells_the_limit_that_was_passed) {
  wire_test test;
  sheaf_limit limits[SHEAF_LIMITS_MAX];
  wire_init(&test, "gemini");
  CHECK_EQ(wire_limits(&test, 429, "",
                       QUOTA("GenerateRequestsPerMinutePerProject",
                             "x/generate_content_free_tier_requests"),
                       limits),
           1);
  CHECK_EQ(limits[0].resource, SHEAF_RESOURCE_REQUESTS);
  CHECK_EQ(limits[0].limit, 15);
  CHECK_EQ(limits[0].remaining, 0);
  CHECK_EQ(
      wire_limits(&test, 429, "", QUOTA("InputTokensPerMinute", "x/input_token_count"), limits), 1);
  CHECK_EQ(limits[0].resource, SHEAF_RESOURCE_INPUT_TOKENS);
  CHECK_EQ(wire_limits(&test, 429, "", QUOTA("RequestsPerDay", "x/requests"), limits), 0);
  CHECK_EQ(wire_limits(&test, 429, "", "busy", limits), 0);
  CHECK_EQ(wire_limits(&test, 200, "", QUOTA("RequestsPerMinute", "x/requests"), limits), 0);
  wire_deinit(&test);
}

TEST(tool_calls_are_found_in_the_body) {
  sheaf_tool_call call;
  sheaf_result result = {.struct_bytes = sizeof result, .provider = TEXT("gemini")};
  result.body = TEXT(
      "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"},{\"functionCall\":{\"name\":"
      "\"f\",\"args\":{"
      "\"a\":1}}}]}}]}");
  CHECK_OK(sheaf_result_tool_call(&result, 0, &call));
  CHECK_TEXT(call.id, "");
  CHECK_TEXT(call.name, "f");
  CHECK_TEXT(call.arguments, "{\"a\":1}");
  CHECK_STATUS(sheaf_result_tool_call(&result, 1, &call), SHEAF_E_NOT_FOUND);
}

int main(void) {
  RUN(requests_leave_as_these_bytes);
  RUN(a_count_is_asked_for_with_the_request_as_a_member);
  RUN(replies_of_all_shapes_are_read);
  RUN(cache_thoughts_model_and_id_are_told);
  RUN(streams_of_all_shapes_are_read_at_any_chunking);
  RUN(usage_of_a_stream_is_a_running_total);
  RUN(a_refusal_tells_the_limit_that_was_passed);
  RUN(tool_calls_are_found_in_the_body);
  return check_report();
}
