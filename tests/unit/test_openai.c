/* test_openai.c: requests as the bytes that leave for OpenAI and compatible servers, and replies as they come: the shapes
 * of the API's reference and the oddities of vLLM, llama.cpp, DeepSeek, Groq, Mistral and OpenRouter (2026-11). */
#include "provider_test.h"

enum { CHAT = 0, RESPONSES = 1, EMBEDDINGS = 2, COMPLETIONS = 3 };

/* ---- Requests ---- */

static const wire_build_case builds[] = {
    /* short forms of chat */
    {.prompt = "Hi \"you\"\n", .model = "m", .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\\"you\\\"\\n\"}]}"},
    {.prompt = "", .model = "m", .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}"},
    {.prompt = "a", .model = "m", .system = "be\tbrief", .max_tokens = 9, .params = "\"temperature\":0.10,\"x\":[1, 2]",
     .path = "/chat/completions", .output_max = 9,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"be\\tbrief\"},{\"role\":\"user\","
              "\"content\":\"a\"}],\"max_tokens\":9,\"temperature\":0.10,\"x\":[1, 2]}"},
    {.prompt = "a", .model = "m", .max_tokens = 9, .params = "\"max_completion_tokens\":5",
     .path = "/chat/completions", .output_max = 5,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_completion_tokens\":5}"},
    {.prompt = "a", .model = "m", .params = " \"model\" : \"p\" ", .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"model\" : \"p\"}"},
    {.prompt = "a", .model = "m", .stream = true, .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true,"
              "\"stream_options\":{\"include_usage\":true}}"},
    {.prompt = "a", .model = "m", .stream = true, .params = "\"stream\":true,\"stream_options\":{}",
     .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true,\"stream_options\":{}}"},
    {.messages = "[ {\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]} ]", .model = "m",
     .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[ {\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]} ]}"},
    {.messages = "[ {\"role\":\"user\",\"content\":\"a\"}]", .model = "m", .system = "s",
     .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"}, {\"role\":\"user\",\"content\":\"a\"}]}"},
    {.messages = "[ ]", .model = "m", .system = "s", .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"} ]}"},
    {.messages = "[{\"role\":\"developer\",\"content\":\"own\"}]", .model = "m", .system = "s",
     .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"own\"}]}"},
    {.url = "/v1/chat/completions", .params = "\"messages\":[]", .model = "m", .path = "/chat/completions",
     .output_max = NONE, .bytes = "{\"model\":\"m\",\"messages\":[]}"},

    /* bodies go out as the bytes they are */
    {.body = " {\"model\":\"b\", \"seed\":1e0}\n", .model = "m", .path = "/chat/completions", .output_max = NONE,
     .bytes = " {\"model\":\"b\", \"seed\":1e0}\n"},
    {.body = "{ \"messages\": [] }", .model = "m", .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"m\", \"messages\": [] }"},
    {.body = "{ }", .model = "m", .path = "/chat/completions", .output_max = NONE, .bytes = "{\"model\":\"m\" }"},
    {.body = "{\"model\":\"b\",\"max_tokens\":7}", .max_tokens = 9, .path = "/chat/completions", .output_max = 7,
     .bytes = "{\"model\":\"b\",\"max_tokens\":7}"},
    {.body = "{\"model\":\"b\"}", .max_tokens = 9, .path = "/chat/completions", .output_max = 9,
     .bytes = "{\"max_tokens\":9,\"model\":\"b\"}"},
    {.body = "{\"model\":\"b\"}", .stream = true, .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\":\"b\"}"},
    {.body = "{\"model\":\"b\",\"stream\":true,\"stream_options\":{\"x\":1}}", .stream = true,
     .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"b\",\"stream\":true,\"stream_options\":{\"x\":1}}"},
    {.body = "{\"model\":\"b\",\"temperature\":1}", .params = "\"temperature\":0,\"top_p\":1",
     .path = "/chat/completions", .output_max = NONE, .bytes = "{\"top_p\":1,\"model\":\"b\",\"temperature\":1}"},
    {.body = "{\"model\":\"b\",\"stream\":false}", .path = "/chat/completions", .output_max = NONE,
     .bytes = "{\"model\":\"b\",\"stream\":false}"},

    /* the other operations */
    {.url = "/v1/responses", .prompt = "a", .model = "m", .system = "s", .max_tokens = 9, .stream = true,
     .path = "/responses", .output_max = 9,
     .bytes = "{\"model\":\"m\",\"input\":\"a\",\"instructions\":\"s\",\"max_output_tokens\":9,\"stream\":true}"},
    {.url = "/responses", .model = "m", .system = "s",
     .messages = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
                 "{\"content\":\"c\",\"role\":\"assistant\",\"refusal\":null}]",
     .path = "/responses", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"a\\nb\"},{\"role\":\"assistant\",\"content\":"
              "\"c\"}],\"instructions\":\"s\"}"},
    {.url = "/v1/embeddings", .prompt = "a", .model = "m", .max_tokens = 9, .system = "s", .path = "/embeddings",
     .output_max = NONE, .bytes = "{\"model\":\"m\",\"input\":\"a\"}"},
    {.url = "/embeddings/", .params = "\"input\":[\"a\",\"b\"]", .model = "m", .path = "/embeddings", .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}"},
    {.url = "/v1/completions", .prompt = "a", .model = "m", .max_tokens = 3, .path = "/completions", .output_max = 3,
     .bytes = "{\"model\":\"m\",\"prompt\":\"a\",\"max_tokens\":3}"},
    {.url = "/v1/completions?x=1", .params = "\"prompt\":[1,2]", .model = "m", .path = "/completions",
     .output_max = NONE, .bytes = "{\"model\":\"m\",\"prompt\":[1,2]}"},

    /* what cannot be sent, and why */
    {.url = "/v1/audio/speech", .prompt = "a", .model = "m", .output_max = SHEAF_E_UNSUPPORTED,
     .bytes = "openai offers /v1/chat/completions, /v1/responses, /v1/embeddings and /v1/completions"},
    {.prompt = "a", .output_max = SHEAF_E_FIELD,
     .bytes = "no model is named; pass --model or give one with the request"},
    {.body = "{\"model\":\"b\",\"stream\":true}", .output_max = SHEAF_E_FIELD,
     .bytes = "remove stream from the body or pass --stream"},
    {.body = "{\"model\":\"b\",\"stream\":false}", .stream = true, .output_max = SHEAF_E_FIELD,
     .bytes = "a stream was asked for but the body turns it off; remove stream from it"},
    {.prompt = "a", .params = "\"stream\":true", .model = "m", .output_max = SHEAF_E_FIELD,
     .bytes = "remove stream from the body or pass --stream"},
    {.model = "m", .params = "\"input\":\"x\"", .output_max = SHEAF_E_FIELD,
     .bytes = "nothing to send; give a prompt, messages or a body, and a url for embeddings and other operations"},
    {.prompt = "a", .body = "{}", .model = "m", .output_max = SHEAF_E_FIELD,
     .bytes = "give only one of prompt, messages and body"},
    {.prompt = "a", .params = "\"messages\":[]", .model = "m", .output_max = SHEAF_E_FIELD,
     .bytes = "give only one of prompt, messages and body"},
    {.body = "[1]", .model = "m", .output_max = SHEAF_E_TYPE, .bytes = "the body must be a JSON object"},
    {.body = "{\"a\":}", .model = "m", .output_max = SHEAF_E_SYNTAX, .bytes = "the body is not valid JSON"},
    {.messages = "{}", .model = "m", .output_max = SHEAF_E_TYPE, .bytes = "messages must be a JSON array"},
    {.messages = "[1", .system = "s", .model = "m", .output_max = SHEAF_E_PARTIAL, .bytes = "messages are not valid JSON"},
    {.url = "/v1/responses", .messages = "[{\"role\":\"tool\",\"content\":\"x\"}]", .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "messages hold more than plain text (images, tools, names); give a body in the provider's own shape"},
    {.url = "/v1/embeddings", .messages = "[]", .model = "m", .output_max = SHEAF_E_FIELD,
     .bytes = "this operation takes no messages; give a prompt or a body"},
    {.url = "/v1/completions", .prompt = "a", .system = "s", .model = "m", .output_max = SHEAF_E_FIELD,
     .bytes = "completions take no system text; make it part of the prompt"},
    {.url = "/v1/embeddings", .prompt = "a", .model = "m", .stream = true, .output_max = SHEAF_E_FIELD,
     .bytes = "embeddings cannot be streamed"},
};

TEST(requests_leave_as_these_bytes) {
  wire_check_builds("openai", builds, sizeof builds / sizeof builds[0]);
}

TEST(an_escaped_prompt_is_spliced_as_it_is) {
  wire_test test;
  wire_init(&test, "openai");
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.flags = SHEAF_REQUEST_PROMPT_ESCAPED;
  request.prompt = TEXT("a\\n\\u00e9");
  request.model = TEXT("m");
  CHECK_OK(wire_build(&test, &request));
  CHECK_TEXT(sheaf_buf_slice(&test.body),
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\n\\u00e9\"}]}");
  wire_deinit(&test);
}

TEST(the_endpoints_default_operation_counts_where_the_request_names_none) {
  wire_test test;
  wire_init(&test, "openai");
  test.default_url = TEXT("/v1/embeddings");
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = TEXT("a");
  request.model = TEXT("m");
  CHECK_OK(wire_build(&test, &request));
  CHECK_TEXT(sheaf_buf_slice(&test.path), "/embeddings");
  CHECK_EQ(test.call.operation, EMBEDDINGS);
  request.url = TEXT("/v1/chat/completions");
  CHECK_OK(wire_build(&test, &request));
  CHECK_EQ(test.call.operation, CHAT);
  wire_deinit(&test);
}

TEST(params_that_are_not_members_are_refused) {
  static const char *const wrong[] = {"{\"a\":1}", "\"a\"", "\"a\":", "\"a\":1,", ",\"a\":1", "\"a\":1 \"b\":2", "a:1",
                                      "\"a\":tru", "\"a\":[1", "\"a\":{\"b\":1", "\"a\":\"x", "\"a\":1}", "\"a\\x\":1", "\"", "\"a\":\"\\"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    wire_test test;
    wire_init(&test, "openai");
    sheaf_request request = SHEAF_REQUEST_INIT;
    request.prompt = TEXT("a");
    request.model = TEXT("m");
    request.params = wire_copy(&test, wrong[i], strlen(wrong[i]));
    CHECK(wire_build(&test, &request) != SHEAF_OK);
    if (wire_build(&test, &request) == SHEAF_OK) printf("  accepted: %s\n", wrong[i]);
    CHECK_TEXT(sheaf_slice_of(test.call.error_field), "params");
    wire_deinit(&test);
  }
}

/* ---- Replies ---- */

TEST(a_chat_answer_is_borrowed_from_the_body) {
  wire_test test;
  wire_init(&test, "openai");
  CHECK_OK(wire_decode(&test, CHAT, "x-request-id: r1\n",
                       "{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
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
    {CHAT, "\n\n \r\n{\"choices\":[{\"message\":{\"content\":\"late\"}}]}", CLASS(NONE), BILLED, "late", "", NONE, NONE},
    {CHAT, "\xEF\xBB\xBF{\"choices\":[{\"message\":{\"content\":\"bom\"}}]}", CLASS(NONE), BILLED, "bom", "", NONE, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{}]},\"finish_reason\":\"tool_calls\"}]}",
     CLASS(NONE), BILLED, "", "tool_calls", NONE, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]}", CLASS(NONE),
     BILLED, "no", "stop", NONE, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"thinking\"},{\"type\":"
     "\"text\",\"text\":\"b\\n\"},5]}}]}", CLASS(NONE), BILLED, "ab\\n", "", NONE, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"content_filter\"}],\"usage\":{"
     "\"prompt_tokens\":1,\"completion_tokens\":2}}", CLASS(CONTENT_FILTER), BILLED, "x", "content_filter", 1, 2},
    {CHAT, "{\"choices\":[{\"message\":{},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,"
     "\"completion_tokens\":null}}", CLASS(NONE), BILLED, "", "length", 3, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1,"
     "\"prompt_cache_hit_tokens\":4}}", CLASS(NONE), BILLED, "x", "", 7, 1},
    {CHAT, "{\"choices\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"choices\":null}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "<html>hello</html>", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"choices\":[{\"message\":{\"content\":\"cut", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "[{\"choices\":[]}]", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    {CHAT, "{\"error\":null,\"choices\":[{\"message\":{\"content\":\"x\"}}]}", CLASS(NONE), BILLED, "x", "", NONE, NONE},
    /* a 200 that is an error */
    {CHAT, "{\"error\":{\"message\":\"m\",\"code\":502}}", CLASS(SERVER), DOUBT, "", "", NONE, NONE},
    {CHAT, "{\"error\":{\"message\":\"m\",\"code\":429}}", CLASS(RATE_LIMIT), REFUSED, "", "", NONE, NONE},
    {CHAT, "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\"}}", CLASS(QUOTA), REFUSED, "", "", NONE, NONE},
    {CHAT, "{\"error\":{\"message\":\"odd\"}}", CLASS(UNKNOWN), DOUBT, "", "", NONE, NONE},
    {CHAT, "{\"error\":\"text\"}", CLASS(UNKNOWN), DOUBT, "", "", NONE, NONE},
    {CHAT, "{\"error\":{\"code\":500},\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}", CLASS(SERVER), BILLED,
     "", "", 1, 1},
    /* completions */
    {COMPLETIONS, "{\"choices\":[{\"text\":\" so\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
     "\"completion_tokens\":1}}", CLASS(NONE), BILLED, " so", "length", 1, 1},
    {COMPLETIONS, "{\"choices\":[{}]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    /* embeddings: the vectors stay in the body */
    {EMBEDDINGS, "{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\":[0.1]}],\"model\":\"e\",\"usage\":{"
     "\"prompt_tokens\":2,\"total_tokens\":2}}", CLASS(NONE), BILLED, "", "", 2, 0},
    {EMBEDDINGS, "{\"data\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "", NONE, NONE},
    /* responses */
    {RESPONSES, "{\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"output\":[{\"type\":\"reasoning\","
     "\"summary\":[]},{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]},{\"type\":\"message\","
     "\"content\":[{\"type\":\"output_text\",\"text\":\"b\"},{\"type\":\"output_text\",\"text\":\"c\"}]}],\"usage\":{"
     "\"input_tokens\":8,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":1,\"total_tokens\":9}}",
     CLASS(NONE), BILLED, "abc", "completed", 8, 1},
    {RESPONSES, "{\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"refusal\","
     "\"refusal\":\"no\"}]}]}", CLASS(NONE), BILLED, "no", "completed", NONE, NONE},
    {RESPONSES, "{\"status\":\"completed\",\"output\":[{\"type\":\"function_call\",\"name\":\"f\"}]}", CLASS(NONE), BILLED,
     "", "completed", NONE, NONE},
    {RESPONSES, "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"output\":[]}",
     CLASS(NONE), BILLED, "", "max_output_tokens", NONE, NONE},
    {RESPONSES, "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"},\"output\":[]}",
     CLASS(CONTENT_FILTER), BILLED, "", "content_filter", NONE, NONE},
    {RESPONSES, "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"m\"},\"output\":[]}",
     CLASS(SERVER), DOUBT, "", "failed", NONE, NONE},
    {RESPONSES, "{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"},\"output\":[]}",
     CLASS(RATE_LIMIT), REFUSED, "", "failed", NONE, NONE},
    {RESPONSES, "{\"status\":\"failed\",\"error\":null,\"output\":[]}", CLASS(SERVER), DOUBT, "", "failed", NONE, NONE},
    {RESPONSES, "{\"status\":\"queued\",\"output\":[]}", CLASS(INVALID_RESPONSE), BILLED, "", "queued", NONE, NONE},
    {RESPONSES, "{\"status\":\"cancelled\",\"output\":[]}", CLASS(CANCELLED), DOUBT, "", "cancelled", NONE, NONE},
    {RESPONSES, "{\"status\":\"completed\"}", CLASS(INVALID_RESPONSE), BILLED, "", "completed", NONE, NONE},
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
    at += (size_t)snprintf(body + at, sizeof body - at, "%s{\"type\":\"text\",\"text\":\"piece %02d\"}", i ? "," : "", i);
    (void)snprintf(wanted + strlen(wanted), 20, "piece %02d", i);
  }
  (void)snprintf(body + at, sizeof body - at, "]},\"finish_reason\":\"st\\u006fp\"}],\"model\":\"a\\/b\"}");
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

#define CHUNK(delta, finish) \
  "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," \
  "\"delta\":" delta ",\"finish_reason\":" finish "}],\"usage\":null}\n\n"

TEST(a_chat_stream_gives_text_finish_and_usage) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "openai");
  wire_stream(&feed, &test, CHAT,
              CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null") ": keep-alive\n\n" CHUNK("{\"content\":\"H\\u00e9\"}", "null")
                  CHUNK("{\"content\":\"llo\"}", "null") CHUNK("{}", "\"stop\"")
              "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\n"
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
    {"data:{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"},"
     "\"finish_reason\":\"eos\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
     CHAT, CLASS(NONE), BILLED, "a", "eos", false, true},
    /* several choices: the first is the answer */
    {"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"B\"},\"finish_reason\":\"stop\"}]}\n\n"
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"}}]}\n\n",
     CHAT, CLASS(NONE), DOUBT, "A", "", false, false},
    /* an error after the 200, before and after any text */
    {"data: {\"error\":{\"message\":\"slow\",\"code\":\"rate_limit_exceeded\"}}\n\ndata: [DONE]\n\n", CHAT,
     CLASS(RATE_LIMIT), REFUSED, "", "", true, false},
    {CHUNK("{\"content\":\"a\"}", "null") "data: {\"error\":{\"message\":\"slow\",\"code\":\"rate_limit_exceeded\"}}\n\n", CHAT,
     CLASS(RATE_LIMIT), DOUBT, "a", "", true, false},
    {CHUNK("{\"content\":\"a\"}", "null") "data: {\"error\":{\"message\":\"m\",\"code\":500}}\n\ndata: [DONE]\n\n", CHAT,
     CLASS(SERVER), DOUBT, "a", "", true, false},
    /* [DONE] alone does not prove success */
    {CHUNK("{\"content\":\"a\"}", "null") "data: [DONE]\n\n", CHAT, CLASS(INVALID_RESPONSE), BILLED, "a", "", true, false},
    {CHUNK("{\"content\":\"a\"}", "\"\"") "data:  [DONE] \n\n", CHAT, CLASS(NONE), BILLED, "a", "", true, true},
    /* cut in the middle of an event */
    {CHUNK("{\"content\":\"a\"}", "null") "data: {\"choices\":[{\"delta\":{\"cont", CHAT, CLASS(NONE), DOUBT, "a", "",
     false, false},
    {"data: {broken}\n\n", CHAT, CLASS(INVALID_RESPONSE), BILLED, "", "", true, false},
    {CHUNK("{\"content\":\"a\"}", "\"content_filter\"") "data: [DONE]\n\n", CHAT, CLASS(CONTENT_FILTER), BILLED, "a",
     "content_filter", true, true},
    {"data: {\"choices\":null}\n\ndata: {\"choices\":[{}]}\n\ndata: {\"choices\":[{\"delta\":null}]}\n\ndata: 5\n\ndata:\n\n", CHAT,
     CLASS(NONE), DOUBT, "", "", false, false},
    {"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":4}}}\n\n", CHAT,
     CLASS(NONE), BILLED, "", "stop", false, true},
    /* completions */
    {"data: {\"choices\":[{\"text\":\"a\",\"index\":0}]}\n\ndata: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"length\"}]}\n\n"
     "data: [DONE]\n\n", COMPLETIONS, CLASS(NONE), BILLED, "ab", "length", true, true},
    /* responses */
    {"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\"}}\n\n"
     "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":"
     "\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[]}\n\nevent: "
     "response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":9,\"response\":{\"id\":\"resp_1\","
     "\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":"
     "\"output_text\",\"text\":\"Hi\"}]}],\"usage\":{\"input_tokens\":8,\"output_tokens\":1}}}\n\n",
     RESPONSES, CLASS(NONE), BILLED, "Hi", "completed", true, true},
    {"data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":\"message\","
     "\"content\":[{\"type\":\"output_text\",\"text\":\"a\"},{\"type\":\"output_text\",\"text\":\"b\"}]}]}}\n\n",
     RESPONSES, CLASS(NONE), BILLED, "ab", "completed", true, true},
    {"data: {\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
     "\"max_output_tokens\"}}}\n\n", RESPONSES, CLASS(NONE), BILLED, "", "max_output_tokens", true, true},
    {"data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\","
     "\"message\":\"m\"}}}\n\n", RESPONSES, CLASS(SERVER), DOUBT, "", "failed", true, true},
    {"event: error\ndata:  {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null}\n\n", RESPONSES,
     CLASS(RATE_LIMIT), REFUSED, "", "", true, false},
    {"data: {\"type\":\"response.new_thing\"}\n\ndata: [DONE]\n\n", RESPONSES, CLASS(NONE), DOUBT, "", "", false, false},
};

TEST(streams_of_all_shapes_are_read_at_any_chunking) {
  wire_check_streams("openai", streams, sizeof streams / sizeof streams[0]);
}

TEST(notes_of_a_stream_stay_right_when_their_memory_moves) {
  wire_test test;
  wire_feed feed;
  wire_init(&test, "openai");
  wire_feed_init(&feed, &test, CHAT);
  CHECK_OK(wire_feed_all(&feed,
                         "data: {\"model\":\"first\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", 7));
  for (int i = 0; i < 200; i++) CHECK_EQ(sheaf_stream_note(&feed.stream, TEXT("0123456789")).bytes, 10);
  CHECK_TEXT(feed.stream.so_far.model, "first");
  CHECK_TEXT(feed.stream.so_far.finish_reason, "stop");
  test.memory.fail_at = test.memory.calls + 1;
  test.memory.fail_after = true;
  sheaf_slice note = TEXT("x");
  for (int i = 0; i < 100000 && note.bytes > 0; i++) note = sheaf_stream_note(&feed.stream, TEXT("more"));
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
  CHECK_STATUS(test.provider->event(test.provider, TEXT(""),
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
  CHECK_EQ(wire_limits(&test, 200,
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

  CHECK_EQ(wire_limits(&test, 200, "x-ratelimit-remaining-tokens: -27689\nx-ratelimit-limit-tokens: -1\n", "", limits), 1);
  CHECK_EQ(limits[0].remaining, -27689);
  CHECK_EQ(limits[0].limit, -1);
  CHECK_EQ(limits[0].reset_ns, SHEAF_NEVER);
  CHECK_EQ(wire_limits(&test, 200, "x-ratelimit-limit-tokens: many\nx-ratelimit-reset-tokens: soon", "", limits), 1);
  CHECK_EQ(limits[0].limit, SHEAF_ABSENT);
  CHECK_EQ(limits[0].reset_ns, SHEAF_NEVER);
  CHECK_EQ(wire_limits(&test, 200, "content-type: x\nx-ratelimit\nx-ratelimit-\nx-ratelimit-limit-token: 1\n", "", limits), 0);
  CHECK_EQ(wire_limits(&test, 200, "", "", limits), 0);
  wire_deinit(&test);
}

/* ---- Tool calls ---- */

TEST(tool_calls_are_found_in_the_body) {
  sheaf_tool_call call;
  sheaf_result result = {.struct_bytes = sizeof result, .provider = TEXT("openai"), .operation = CHAT};
  result.body = TEXT("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\","
                     "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"t2\",\"type\":\"custom\","
                     "\"custom\":{\"name\":\"g\",\"input\":\"x\"}},{\"function\":{\"name\":\"h\",\"arguments\":{\"b\":2}}}]}}]}");
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
  result.body = TEXT("{\"output\":[{\"type\":\"message\"},{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\","
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

/* ---- The table ---- */

TEST(the_table_lists_four_providers_and_no_more) {
  static const char *const names[] = {"openai", "anthropic", "gemini", "ollama"};
  for (uint32_t i = 0; i < 4; i++) {
    const sheaf_provider *p = sheaf_provider_at(i);
    CHECK_TEXT(sheaf_slice_of(p->name), names[i]);
    CHECK(sheaf_provider_find(sheaf_slice_of(names[i])) == p);
    CHECK(p->build && p->decode && p->classify && p->event);
    CHECK_EQ(p->struct_bytes, sizeof(sheaf_provider));
    uint32_t slots = 0;
    for (uint32_t j = 0; j < p->header_count; j++) slots += p->headers[j].credential_id == 1;
    CHECK_EQ(slots, 1);
  }
  CHECK(sheaf_provider_at(4) == NULL);
  CHECK(sheaf_provider_find(TEXT("")) == NULL);
  CHECK(sheaf_provider_find(TEXT("openai2")) == NULL);
}

int main(void) {
  RUN(requests_leave_as_these_bytes);
  RUN(an_escaped_prompt_is_spliced_as_it_is);
  RUN(the_endpoints_default_operation_counts_where_the_request_names_none);
  RUN(params_that_are_not_members_are_refused);
  RUN(a_chat_answer_is_borrowed_from_the_body);
  RUN(replies_of_all_shapes_are_read);
  RUN(several_pieces_and_escaped_words_survive_the_growth_of_scratch);
  RUN(a_chat_stream_gives_text_finish_and_usage);
  RUN(streams_of_all_shapes_are_read_at_any_chunking);
  RUN(notes_of_a_stream_stay_right_when_their_memory_moves);
  RUN(lack_of_memory_in_a_stream_is_told);
  RUN(limits_are_read_from_headers);
  RUN(tool_calls_are_found_in_the_body);
  RUN(the_table_lists_four_providers_and_no_more);
  return check_report();
}
