/* test_openai_replies.c: replies, streams and limits of OpenAI and of servers that speak its
 * language: the API's reference and the oddities of vLLM, llama.cpp, DeepSeek, Groq, Mistral and
 * OpenRouter (2026-11). */
#include "provider_test.h"

enum { CHAT = 0, RESPONSES = 1, EMBEDDINGS = 2, COMPLETIONS = 3 };

/* ---- Replies ---- */

TEST(a_chat_answer_is_borrowed_from_the_body) {
  wire_test test;
  wire_init(&test, "openai");
  CHECK_OK(wire_decode(
      &test, CHAT, "x-request-id: r1\n",
      "{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
      "\"assistant\","
      "\"content\":\"Hi\\n\\\"\",\"refusal\":null},\"finish_reason\":\"stop\"}],\"usage\":{"
      "\"prompt_tokens\":8,\"completion_tokens\":5,\"total_tokens\":13,\"prompt_tokens_details\":{"
      "\"cached_tokens\":3,\"cache_write_tokens\":1},\"completion_tokens_details\":{"
      "\"reasoning_tokens\":2}}}"));
  const sheaf_decoded *d = &test.decoded;
  CHECK_EQ(d->error_class, SHEAF_CLASS_NONE);
  CHECK_EQ(d->billing, SHEAF_BILLING_BILLED);
  CHECK_TEXT(d->text_json, "Hi\\n\\\"");
  CHECK(d->text_json.data > test.copy && d->text_json.data < test.copy + 400);
  CHECK_TEXT(d->finish_reason, "stop");
  CHECK_TEXT(d->model, "m-1");
  CHECK_TEXT(d->request_id, "r1");
  CHECK_EQ(d->usage.input_total, 8);
  CHECK_EQ(d->usage.output_total, 5);
  CHECK_EQ(d->usage.cache_read, 3);
  CHECK_EQ(d->usage.cache_write, 1);
  CHECK_EQ(d->usage.reasoning, 2);
  CHECK_EQ(d->server_ns, SHEAF_NEVER);
  CHECK_EQ(test.memory.calls, 0); /* the common reply costs no memory */
  wire_deinit(&test);
}

static const wire_decode_case decodes[] = {
    /* chat */
    {CHAT, "\n\n \r\n{\"choices\":[{\"message\":{\"content\":\"late\"}}]}", CLASS(NONE), BILLED,
     "late", "", NONE, NONE},
    {CHAT, "\xEF\xBB\xBF{\"choices\":[{\"message\":{\"content\":\"bom\"}}]}", CLASS(NONE), BILLED,
     "bom", "", NONE, NONE},
    {CHAT,
     "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{}]},\"finish_reason\":\"tool_"
     "calls\"}]}",
     CLASS(NONE), BILLED, "", "tool_calls", NONE, NONE},
    {CHAT,
     "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]"
     "}",
     CLASS(NONE), BILLED, "no", "stop", NONE, NONE},
    {CHAT,
     "{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
     "\"thinking\"},{\"type\":"
     "\"text\",\"text\":\"b\\n\"},5]}}]}",
     CLASS(NONE), BILLED, "ab\\n", "", NONE, NONE},
    {CHAT,
     "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"content_filter\"}],"
     "\"usage\":{"
     "\"prompt_tokens\":1,\"completion_tokens\":2}}",
     CLASS(CONTENT_FILTER), BILLED, "x", "content_filter", 1, 2},
    {CHAT,
     "{\"choices\":[{\"message\":{},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,"
     "\"completion_tokens\":null}}",
     CLASS(NONE), BILLED, "", "length", 3, NONE},
    {CHAT,
     "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":7,\"completion_"
     "tokens\":1,"
     "\"prompt_cache_hit_tokens\":4}}",
     CLASS(NONE), BILLED, "x", "", 7, 1},
    {CHAT, "{\"choices\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"choices\":null}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "<html>hello</html>", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":\"cut", CLASS(INVALID_RESPONSE), BILLED, "", "",
     NONE, NONE},
    {CHAT, "[{\"choices\":[]}]", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"error\":null,\"choices\":[{\"message\":{\"content\":\"x\"}}]}", CLASS(NONE), BILLED,
     "x", "", NONE, NONE},
    /* a 200 that is an error */
    {CHAT, "{\"error\":{\"message\":\"m\",\"code\":502}}", CLASS(SERVER), DOUBT, "", "", NONE,
     NONE},
    {CHAT, "{\"error\":{\"message\":\"m\",\"code\":429}}", CLASS(RATE_LIMIT), REFUSED, "", "", NONE,
     NONE},
    {CHAT, "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\"}}", CLASS(QUOTA), REFUSED,
     "", "", NONE, NONE},
    {CHAT, "{\"error\":{\"message\":\"odd\"}}", CLASS(UNKNOWN), DOUBT, "", "", NONE, NONE},
    {CHAT, "{\"error\":\"text\"}", CLASS(UNKNOWN), DOUBT, "", "", NONE, NONE},
    {CHAT, "{\"error\":{\"code\":500},\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}",
     CLASS(SERVER), BILLED, "", "", 1, 1},
    /* completions */
    {COMPLETIONS,
     "{\"choices\":[{\"text\":\" "
     "so\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
     "\"completion_tokens\":1}}",
     CLASS(NONE), BILLED, " so", "length", 1, 1},
    {COMPLETIONS, "{\"choices\":[{}]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    /* embeddings: the vectors stay in the body */
    {EMBEDDINGS,
     "{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\":[0.1]}],\"model\":\"e\",\"usage\":{"
     "\"prompt_tokens\":2,\"total_tokens\":2}}",
     CLASS(NONE), BILLED, "", "", 2, 0},
    {EMBEDDINGS, "{\"data\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    /* responses */
    {RESPONSES,
     "{\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"output\":[{\"type\":"
     "\"reasoning\","
     "\"summary\":[]},{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]"
     "},{\"type\":\"message\","
     "\"content\":[{\"type\":\"output_text\",\"text\":\"b\"},{\"type\":\"output_text\",\"text\":"
     "\"c\"}]}],\"usage\":{"
     "\"input_tokens\":8,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":1,"
     "\"total_tokens\":9}}",
     CLASS(NONE), BILLED, "abc", "completed", 8, 1},
    {RESPONSES,
     "{\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":"
     "\"refusal\","
     "\"refusal\":\"no\"}]}]}",
     CLASS(NONE), BILLED, "no", "completed", NONE, NONE},
    {RESPONSES,
     "{\"status\":\"completed\",\"output\":[{\"type\":\"function_call\",\"name\":\"f\"}]}",
     CLASS(NONE), BILLED, "", "completed", NONE, NONE},
    {RESPONSES,
     "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},"
     "\"output\":[]}",
     CLASS(NONE), BILLED, "", "max_output_tokens", NONE, NONE},
    {RESPONSES,
     "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"},\"output\":"
     "[]}",
     CLASS(CONTENT_FILTER), BILLED, "", "content_filter", NONE, NONE},
    {RESPONSES,
     "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"m\"},\"output\":[]"
     "}",
     CLASS(SERVER), DOUBT, "", "failed", NONE, NONE},
    {RESPONSES,
     "{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"},"
     "\"output\":[]}",
     CLASS(RATE_LIMIT), REFUSED, "", "failed", NONE, NONE},
    {RESPONSES, "{\"status\":\"failed\",\"error\":null,\"output\":[]}", CLASS(SERVER), DOUBT, "",
     "failed", NONE, NONE},
    {RESPONSES, "{\"status\":\"queued\",\"output\":[]}", CLASS(INVALID_RESPONSE), BILLED, "",
     "queued", NONE, NONE},
    {RESPONSES, "{\"status\":\"cancelled\",\"output\":[]}", CLASS(CANCELLED), DOUBT, "",
     "cancelled", NONE, NONE},
    {RESPONSES, "{\"status\":\"completed\"}", CLASS(INVALID_RESPONSE), BILLED, "", "completed",
     NONE, NONE},
};

TEST(replies_of_all_shapes_are_read) {
  wire_check_decodes("openai", decodes, sizeof decodes / sizeof decodes[0]);
}

TEST(several_pieces_and_escaped_words_survive_the_growth_of_scratch) {
  wire_test test;
  char body[3000] = "{\"choices\":[{\"message\":{\"content\":[";
  size_t at = strlen(body);
  char wanted[700] = "";
  for (int i = 0; i < 40; i++) {
    at += (size_t)snprintf(body + at, sizeof body - at,
                           "%s{\"type\":\"text\",\"text\":\"piece %02d\"}", i ? "," : "", i);
    (void)snprintf(wanted + strlen(wanted), 20, "piece %02d", i);
  }
  (void)snprintf(body + at, sizeof body - at,
                 "]},\"finish_reason\":\"st\\u006fp\"}],\"model\":\"a\\/b\"}");
  wire_init(&test, "openai");
  CHECK_OK(wire_decode(&test, CHAT, "", body));
  CHECK_TEXT(test.decoded.text_json, wanted);
  CHECK_TEXT(test.decoded.finish_reason, "stop");
  CHECK_TEXT(test.decoded.model, "a/b");
  for (uint64_t n = 1; n < 20; n++) {
    sheaf_buf_deinit(&test.scratch);
    test.memory.calls = 0;
    test.memory.fail_at = n;
    int32_t status = wire_decode(&test, CHAT, "", body);
    bool reached = test.memory.calls >= n;
    CHECK_STATUS(status, reached ? SHEAF_E_NOMEM : SHEAF_OK);
    if (!reached) break;
  }
  wire_deinit(&test);
}

/* ---- Streams ---- */

#define CHUNK(delta, finish)                                                                       \
  "data: "                                                                                         \
  "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":" \
  "[{\"index\":0,"                                                                                 \
  "\"delta\":" delta ",\"finish_reason\":" finish "}],\"usage\":null}\n\n"

TEST(a_chat_stream_gives_text_finish_and_usage) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "openai");
  wire_stream(&feed, &test, CHAT,
              CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
              ": keep-alive\n\n" /* a comment */
              CHUNK("{\"content\":\"H\\u00e9\"}", "null") CHUNK("{\"content\":\"llo\"}", "null")
                  CHUNK("{}", "\"stop\"")
              "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,"
              "\"completion_tokens\":1}}\n\n"
              "data: [DONE]\n\ndata: {\"error\":{\"message\":\"after the end\"}}\n\n");
  const sheaf_stream *s = &feed.stream;
  CHECK_TEXT(sheaf_buf_slice(&s->text), "H\\u00e9llo");
  CHECK_TEXT(s->so_far.finish_reason, "stop");
  CHECK_TEXT(s->so_far.model, "m");
  CHECK_EQ(s->so_far.usage.input_total, 8);
  CHECK_EQ(s->so_far.usage.output_total, 1);
  CHECK_EQ(s->so_far.error_class, SHEAF_CLASS_NONE);
  CHECK_EQ(s->so_far.billing, SHEAF_BILLING_BILLED);
  CHECK(s->terminal && s->finished);
  CHECK_EQ(s->tokens_seen, 2);
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

static const wire_stream_case streams[] = {
    /* no [DONE], no space after the colon, usage on the last chunk, reasoning beside content */
    {"data:{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\ndata:{\"choices\":[{"
     "\"delta\":{\"content\":\"a\"},"
     "\"finish_reason\":\"eos\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
     CHAT, CLASS(NONE), BILLED, "a", "eos", false, true},
    /* several choices: the first is the answer */
    {"data: "
     "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"B\"},\"finish_reason\":\"stop\"}]}\n\n"
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"}}]}\n\n",
     CHAT, CLASS(NONE), DOUBT, "A", "", false, false},
    /* an error after the 200, before and after any text */
    {"data: {\"error\":{\"message\":\"slow\",\"code\":\"rate_limit_exceeded\"}}\n\ndata: "
     "[DONE]\n\n",
     CHAT, CLASS(RATE_LIMIT), REFUSED, "", "", true, false},
    {CHUNK("{\"content\":\"a\"}",
           "null") "data: {\"error\":{\"message\":\"slow\",\"code\":\"rate_limit_exceeded\"}}\n\n",
     CHAT, CLASS(RATE_LIMIT), DOUBT, "a", "", true, false},
    {CHUNK("{\"content\":\"a\"}",
           "null") "data: {\"error\":{\"message\":\"m\",\"code\":500}}\n\ndata: [DONE]\n\n",
     CHAT, CLASS(SERVER), DOUBT, "a", "", true, false},
    /* [DONE] alone does not prove success */
    {CHUNK("{\"content\":\"a\"}", "null") "data: [DONE]\n\n", CHAT, CLASS(INVALID_RESPONSE), BILLED,
     "a", "", true, false},
    {CHUNK("{\"content\":\"a\"}", "\"\"") "data:  [DONE] \n\n", CHAT, CLASS(NONE), BILLED, "a", "",
     true, true},
    /* cut in the middle of an event */
    {CHUNK("{\"content\":\"a\"}", "null") "data: {\"choices\":[{\"delta\":{\"cont", CHAT,
     CLASS(NONE), DOUBT, "a", "", false, false},
    {"data: {broken}\n\n", CHAT, CLASS(INVALID_RESPONSE), BILLED, "", "", true, false},
    {CHUNK("{\"content\":\"a\"}", "\"content_filter\"") "data: [DONE]\n\n", CHAT,
     CLASS(CONTENT_FILTER), BILLED, "a", "content_filter", true, true},
    {"data: {\"choices\":null}\n\ndata: {\"choices\":[{}]}\n\ndata: "
     "{\"choices\":[{\"delta\":null}]}\n\ndata: 5\n\ndata:\n\n",
     CHAT, CLASS(NONE), DOUBT, "", "", false, false},
    {"data: "
     "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_"
     "tokens\":4}}}\n\n",
     CHAT, CLASS(NONE), BILLED, "", "stop", false, true},
    /* completions */
    {"data: {\"choices\":[{\"text\":\"a\",\"index\":0}]}\n\ndata: "
     "{\"choices\":[{\"text\":\"b\",\"finish_reason\":\"length\"}]}\n\n"
     "data: [DONE]\n\n",
     COMPLETIONS, CLASS(NONE), BILLED, "ab", "length", true, true},
    /* responses */
    {"event: response.created\ndata: "
     "{\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\"}}\n\n"
     "event: response.output_text.delta\ndata: "
     "{\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":"
     "\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[]}\n\nevent: "
     "response.completed\ndata: "
     "{\"type\":\"response.completed\",\"sequence_number\":9,\"response\":{\"id\":\"resp_1\","
     "\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"message\","
     "\"content\":[{\"type\":"
     "\"output_text\",\"text\":\"Hi\"}]}],\"usage\":{\"input_tokens\":8,\"output_tokens\":1}}}\n\n",
     RESPONSES, CLASS(NONE), BILLED, "Hi", "completed", true, true},
    {"data: "
     "{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[{"
     "\"type\":\"message\","
     "\"content\":[{\"type\":\"output_text\",\"text\":\"a\"},{\"type\":\"output_text\",\"text\":"
     "\"b\"}]}]}}\n\n",
     RESPONSES, CLASS(NONE), BILLED, "ab", "completed", true, true},
    {"data: "
     "{\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\",\"incomplete_"
     "details\":{\"reason\":"
     "\"max_output_tokens\"}}}\n\n",
     RESPONSES, CLASS(NONE), BILLED, "", "max_output_tokens", true, true},
    {"data: "
     "{\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":"
     "\"server_error\","
     "\"message\":\"m\"}}}\n\n",
     RESPONSES, CLASS(SERVER), DOUBT, "", "failed", true, true},
    {"event: error\ndata:  "
     "{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null}\n\n",
     RESPONSES, CLASS(RATE_LIMIT), REFUSED, "", "", true, false},
    {"data: {\"type\":\"response.new_thing\"}\n\ndata: [DONE]\n\n", RESPONSES, CLASS(NONE), DOUBT,
     "", "", false, false},
};

TEST(streams_of_all_shapes_are_read_at_any_chunking) {
  wire_check_streams("openai", streams, sizeof streams / sizeof streams[0]);
}

TEST(notes_of_a_stream_stay_right_when_their_memory_moves) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "openai");
  wire_feed_init(&feed, &test, CHAT);
  CHECK_OK(wire_feed_all(
      &feed,
      "data: {\"model\":\"first\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
      7));
  for (int i = 0; i < 200; i++)
    CHECK_EQ(sheaf_stream_note(&feed.stream, TEXT("0123456789")).bytes, 10);
  CHECK_TEXT(feed.stream.so_far.model, "first");
  CHECK_TEXT(feed.stream.so_far.finish_reason, "stop");
  test.memory.fail_at = test.memory.calls + 1;
  test.memory.fail_after = true;
  sheaf_slice note = TEXT("x");
  for (int i = 0; i < 100000 && note.bytes > 0; i++)
    note = sheaf_stream_note(&feed.stream, TEXT("more"));
  CHECK_EQ(note.bytes, 0);
  CHECK_STATUS(feed.stream.notes.status, SHEAF_E_NOMEM);
  CHECK_TEXT(feed.stream.so_far.model, "first");
  test.memory.fail_at = 0;
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

TEST(lack_of_memory_in_a_stream_is_told) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "openai");
  wire_feed_init(&feed, &test, CHAT);
  test.memory.fail_at = 1;
  test.memory.fail_after = true;
  CHECK_STATUS(
      test.provider->event(test.provider, TEXT(""),
                           TEXT("{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}"), &feed.stream),
      SHEAF_E_NOMEM);
  test.memory.fail_at = 0;
  wire_feed_deinit(&feed);
  wire_deinit(&test);
}

/* ---- Limits ---- */

TEST(limits_are_read_from_headers) {
  wire_test test;
  sheaf_limit limits[SHEAF_LIMITS_MAX];
  wire_init(&test, "openai");
  CHECK_EQ(
      wire_limits(
          &test, 200,
          "date: x\r\nx-ratelimit-limit-requests: 5000\r\nX-RateLimit-Remaining-Requests: 4999\r\n"
          "x-ratelimit-reset-requests: 12ms\r\nx-ratelimit-limit-tokens: 160000\r\n"
          "x-ratelimit-remaining-tokens: 159976\r\nx-ratelimit-reset-tokens: 1m0.5s\r\n"
          "x-ratelimit-limit-project-tokens: 1\r\nx-ratelimit-unheard-of: 1\r\n",
          "", limits),
      2);
  CHECK_EQ(limits[0].resource, SHEAF_RESOURCE_REQUESTS);
  CHECK_EQ(limits[0].limit, 5000);
  CHECK_EQ(limits[0].remaining, 4999);
  CHECK_EQ(limits[0].reset_ns, 12000000);
  CHECK(!limits[0].is_window);
  CHECK_EQ(limits[1].resource, SHEAF_RESOURCE_TOKENS);
  CHECK_EQ(limits[1].limit, 160000);
  CHECK_EQ(limits[1].remaining, 159976);
  CHECK_EQ(limits[1].reset_ns, 60500000000);

  CHECK_EQ(wire_limits(&test, 200,
                       "x-ratelimit-remaining-tokens: -27689\nx-ratelimit-limit-tokens: -1\n", "",
                       limits),
           1);
  CHECK_EQ(limits[0].remaining, -27689);
  CHECK_EQ(limits[0].limit, -1);
  CHECK_EQ(limits[0].reset_ns, SHEAF_NEVER);
  CHECK_EQ(wire_limits(&test, 200, "x-ratelimit-limit-tokens: many\nx-ratelimit-reset-tokens: soon",
                       "", limits),
           1);
  CHECK_EQ(limits[0].limit, SHEAF_ABSENT);
  CHECK_EQ(limits[0].reset_ns, SHEAF_NEVER);
  CHECK_EQ(wire_limits(&test, 200,
                       "content-type: x\nx-ratelimit\nx-ratelimit-\nx-ratelimit-limit-token: 1\n",
                       "", limits),
           0);
  CHECK_EQ(wire_limits(&test, 200, "", "", limits), 0);
  wire_deinit(&test);
}

/* ---- Tool calls ---- */

TEST(tool_calls_are_found_in_the_body) {
  sheaf_tool_call call;
  sheaf_result result = {
      .struct_bytes = sizeof result, .provider = TEXT("openai"), .operation = CHAT};
  result.body = TEXT(
      "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":"
      "\"function\","
      "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"t2\",\"type\":"
      "\"custom\","
      "\"custom\":{\"name\":\"g\",\"input\":\"x\"}},{\"function\":{\"name\":\"h\",\"arguments\":{"
      "\"b\":2}}}]}}]}");
  CHECK_OK(sheaf_result_tool_call(&result, 0, &call));
  CHECK_TEXT(call.id, "t1");
  CHECK_TEXT(call.name, "f");
  CHECK_TEXT(call.arguments, "{\\\"a\\\":1}");
  CHECK(call.arguments_escaped);
  CHECK_OK(sheaf_result_tool_call(&result, 1, &call));
  CHECK_TEXT(call.name, "g");
  CHECK_TEXT(call.arguments, "x");
  CHECK_OK(sheaf_result_tool_call(&result, 2, &call));
  CHECK_TEXT(call.arguments, "{\"b\":2}");
  CHECK(!call.arguments_escaped);
  CHECK_STATUS(sheaf_result_tool_call(&result, 3, &call), SHEAF_E_NOT_FOUND);

  result.operation = RESPONSES;
  result.body = TEXT(
      "{\"output\":[{\"type\":\"message\"},{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":"
      "\"f\","
      "\"arguments\":\"{}\"}]}");
  CHECK_OK(sheaf_result_tool_call(&result, 0, &call));
  CHECK_TEXT(call.id, "c1");
  CHECK_STATUS(sheaf_result_tool_call(&result, 1, &call), SHEAF_E_NOT_FOUND);

  result.body = TEXT("{");
  CHECK_STATUS(sheaf_result_tool_call(&result, 0, &call), SHEAF_E_NOT_FOUND);
  result.operation = EMBEDDINGS;
  CHECK_STATUS(sheaf_result_tool_call(&result, 0, &call), SHEAF_E_UNSUPPORTED);
  result.operation = CHAT;
  result.streamed = true;
  CHECK_STATUS(sheaf_result_tool_call(&result, 0, &call), SHEAF_E_UNSUPPORTED);
  result.provider = TEXT("someone");
  CHECK_STATUS(sheaf_result_tool_call(&result, 0, &call), SHEAF_E_UNSUPPORTED);
}

int main(void) {
  RUN(a_chat_answer_is_borrowed_from_the_body);
  RUN(replies_of_all_shapes_are_read);
  RUN(several_pieces_and_escaped_words_survive_the_growth_of_scratch);
  RUN(a_chat_stream_gives_text_finish_and_usage);
  RUN(streams_of_all_shapes_are_read_at_any_chunking);
  RUN(notes_of_a_stream_stay_right_when_their_memory_moves);
  RUN(lack_of_memory_in_a_stream_is_told);
  RUN(limits_are_read_from_headers);
  RUN(tool_calls_are_found_in_the_body);
  return check_report();
}
