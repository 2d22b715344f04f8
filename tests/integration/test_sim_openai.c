/* test_sim_openai.c: the simulator's chat completions, models and errors in OpenAI's shape, over
 * real sockets, against what OpenAI documents: its OpenAPI description and the types of its client
 * (openai 6.49, 2026-08), not the program. The other shapes: test_sim_openai_more.c.
 *
 * Outline: chat: answers, parameters, messages, tools, streams; models; errors and headers; other
 * paths. */
#include "sim_openai_test.h"

/* ---- Chat: answers ---- */

static void test_a_chat_answer_has_every_member_of_its_type(void **state) {
  (void)state;
  static const expected wanted[] = {
      {"object", "chat.completion"},
      {"model", "gpt-x"},
      {"choices[0].index", "0"},
      {"choices[0].message.role", "assistant"},
      {"choices[0].message.content", "echo: hello"},
      {"choices[0].message.refusal", "null"},
      {"choices[0].message.annotations", "[]"},
      {"choices[0].message.tool_calls", ""},
      {"choices[0].logprobs", "null"},
      {"choices[0].finish_reason", "stop"},
      {"choices[1]", ""},
      {"usage.prompt_tokens", "2"}, /* 5 bytes and 11 bytes, four a token */
      {"usage.completion_tokens", "3"},
      {"usage.total_tokens", "5"},
      {"usage.prompt_tokens_details.cached_tokens", "0"},
      {"usage.completion_tokens_details.reasoning_tokens", "0"},
      {"service_tier", "default"},
      {NULL, NULL},
  };
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT, "{\"model\":\"gpt-x\"," HELLO "}", NULL);
  assert_picks(&got, wanted);
  assert_begins(pick(&got, "id"), "chatcmpl-");
  assert_true(pick_int(&got, "created") > 1600000000);
  assert_begins(header_of(&got, "x-request-id"), "req_");
  assert_header(&got, "openai-version", "2020-10-01");
  assert_non_null(header_of(&got, "openai-organization"));
  assert_non_null(header_of(&got, "openai-processing-ms"));
  assert_null(header_of(&got, "x-ratelimit-limit-requests"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_text_goes_through_whole_whatever_it_is(void **state) {
  (void)state;
  static const char *const texts[] = {"\\\"quoted\\\" \\\\ \\/ \\b\\f\\n\\r\\t",
                                      "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \\u00e9",
                                      "\\ud83d\\ude00", "\\u0000\\u001f\\u007f"};
  static const char *const plain[] = {"echo: \"quoted\" \\ / \b\f\n\r\t",
                                      "echo: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \xc3\xa9",
                                      "echo: \xf0\x9f\x98\x80", "echo: "};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 4; i++) {
    char body[256];
    reply got;
    snprintf(body, sizeof body,
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", texts[i]);
    fetch_ok(sim, &got, CHAT, body, NULL);
    assert_pick(&got, "choices[0].message.content", plain[i]);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void test_n_choices_are_numbered_and_all_are_counted(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT, "{\"model\":\"m\",\"n\":3," HELLO "}", NULL);
  assert_pick(&got, "choices[0].index", "0");
  assert_pick(&got, "choices[1].index", "1");
  assert_pick(&got, "choices[2].index", "2");
  assert_pick(&got, "choices[2].message.content", "echo: hello");
  assert_pick(&got, "choices[3]", "");
  assert_pick(&got, "usage.completion_tokens", "9");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_ceiling_of_tokens_ends_the_answer_with_length(void **state) {
  (void)state;
  static const char *const names[] = {"max_tokens", "max_completion_tokens"};
  sheaf_sim *sim = start("answer", "lorem", NULL);
  for (size_t i = 0; i < 2; i++) {
    char body[128];
    reply got;
    snprintf(body, sizeof body, "{\"model\":\"m\",\"%s\":2," HELLO "}", names[i]);
    fetch_ok(sim, &got, CHAT, body, NULL);
    assert_pick(&got, "choices[0].finish_reason", "length");
    assert_pick(&got, "usage.completion_tokens", "2");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* ---- Chat: parameters ---- */

static void test_every_documented_parameter_is_accepted(void **state) {
  (void)state;
  static const char *const fragments[] = {
      "\"temperature\":0",
      "\"temperature\":2.0",
      "\"top_p\":1",
      "\"presence_penalty\":-2",
      "\"frequency_penalty\":2",
      "\"n\":128",
      "\"stop\":\"x\"",
      "\"stop\":[\"a\",\"b\"]",
      "\"seed\":-9007199254740993",
      "\"logit_bias\":{\"50256\":-100}",
      "\"logprobs\":true,\"top_logprobs\":20",
      "\"response_format\":{\"type\":\"text\"}",
      "\"reasoning_effort\":\"xhigh\"",
      "\"verbosity\":\"low\"",
      "\"service_tier\":\"flex\"",
      "\"store\":true",
      "\"metadata\":{\"a\":\"b\"}",
      "\"prompt_cache_key\":\"k\"",
      "\"prompt_cache_options\":{}",
      "\"prompt_cache_retention\":\"24h\"",
      "\"safety_identifier\":\"s\"",
      "\"user\":\"u\"",
      "\"moderation\":{}",
      "\"modalities\":[\"text\"]",
      "\"audio\":{\"voice\":\"alloy\",\"format\":\"mp3\"}",
      "\"prediction\":{\"type\":\"content\",\"content\":\"x\"}",
      "\"web_search_options\":{}",
      "\"stream\":false",
      "\"max_tokens\":100000",
      "\"functions\":[{\"name\":\"f\"}],\"function_call\":\"auto\"",
      "\"tools\":[" TOOL "],\"parallel_tool_calls\":false,\"tool_choice\":\"none\"",
  };
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof fragments / sizeof *fragments; i++) {
    char body[1024];
    snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",%s}", fragments[i]);
    assert_ok(sim, CHAT, body);
  }
  sheaf_sim_stop(sim);
}

static void test_optional_parameters_may_be_null(void **state) {
  (void)state;
  static const char *const names[] = {
      "temperature", "top_p",    "n",           "stop",           "seed",  "stream",
      "max_tokens",  "metadata", "logit_bias",  "stream_options", "store", "max_completion_tokens",
      "logprobs",    "audio",    "top_logprobs"};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char body[128];
    snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",\"%s\":null}", names[i]);
    assert_ok(sim, CHAT, body);
  }
  sheaf_sim_stop(sim);
}

static void test_parameters_of_the_wrong_type_or_value_are_refused(void **state) {
  (void)state;
  static const refusal rows[] = {
      {"\"temperature\":\"hot\"", "temperature", "invalid_type",
       "Invalid type for 'temperature': expected a decimal, but got a string instead."},
      {"\"temperature\":2.5", "temperature", "decimal_above_max_value",
       "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 "
       "instead."},
      {"\"temperature\":-1", "temperature", "decimal_below_min_value",
       "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 "
       "instead."},
      {"\"n\":0", "n", "integer_below_min_value",
       "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."},
      {"\"n\":129", "n", "integer_above_max_value", NULL},
      {"\"n\":1.5", "n", "invalid_type",
       "Invalid type for 'n': expected an integer, but got a decimal number instead."},
      {"\"n\":\"2\"", "n", "invalid_type", NULL},
      {"\"max_tokens\":0", "max_tokens", "integer_below_min_value", NULL},
      {"\"max_completion_tokens\":-1", "max_completion_tokens", "integer_below_min_value", NULL},
      {"\"max_tokens\":5,\"max_completion_tokens\":5", "max_tokens", "invalid_value", NULL},
      {"\"top_p\":1.01", "top_p", "decimal_above_max_value", NULL},
      {"\"presence_penalty\":-2.1", "presence_penalty", "decimal_below_min_value", NULL},
      {"\"frequency_penalty\":3e0", "frequency_penalty", "decimal_above_max_value", NULL},
      {"\"top_logprobs\":21", "top_logprobs", "integer_above_max_value", NULL},
      {"\"stop\":5", "stop", "invalid_type",
       "Invalid type for 'stop': expected one of a string or array of strings, but got an integer "
       "instead."},
      {"\"stream\":\"yes\"", "stream", "invalid_type",
       "Invalid type for 'stream': expected a boolean, but got a string instead."},
      {"\"stream_options\":{\"include_usage\":true}", "stream_options", "invalid_value",
       "The 'stream_options' parameter is only allowed when 'stream' is enabled."},
      {"\"stream\":true,\"stream_options\":{\"include_usage\":1}", "stream_options.include_usage",
       "invalid_type", NULL},
      {"\"reasoning_effort\":\"huge\"", "reasoning_effort", "invalid_value",
       "Invalid value: 'huge'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', "
       "'xhigh', and 'max'."},
      {"\"service_tier\":\"gold\"", "service_tier", "invalid_value", NULL},
      {"\"service_tier\":\"au\"", "service_tier", "invalid_value", NULL},
      {"\"metadata\":{\"a\":5}", "metadata.a", "invalid_type", NULL},
      {"\"metadata\":[]", "metadata", "invalid_type", NULL},
      {"\"response_format\":{\"type\":\"xml\"}", "response_format.type", "invalid_value", NULL},
      {"\"response_format\":{}", "response_format.type", "missing_required_parameter",
       "Missing required parameter: 'response_format.type'."},
      {"\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema",
       "missing_required_parameter", NULL},
      {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}",
       "response_format.json_schema.name", "missing_required_parameter", NULL},
      {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a b\"}}",
       "response_format.json_schema.name", "invalid_value", NULL},
      {"\"response_format\":{\"type\":\"json_object\"}", "messages", "invalid_value",
       "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
       "'json_object'."},
      {"\"modalities\":\"text\"", "modalities", "invalid_type",
       "Invalid type for 'modalities': expected an array of strings, but got a string instead."},
      {"\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop", "array_above_max_length",
       "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array "
       "with length 5 instead."},
      {"\"stop\":[]", "stop", "empty_array", NULL},
      {"\"stop\":[\"a\",5]", "stop[1]", "invalid_type", NULL},
      {"\"stop\":[null]", "stop[0]", "invalid_type", NULL},
      {"\"modalities\":[\"smell\"]", "modalities[0]", "invalid_value",
       "Invalid value: 'smell'. Supported values are: 'text' and 'audio'."},
      {"\"logit_bias\":{\"50256\":101}", "logit_bias.50256", "decimal_above_max_value", NULL},
      {"\"audio\":{\"voice\":\"alloy\"}", "audio.format", "missing_required_parameter", NULL},
      {"\"prediction\":{\"type\":\"guess\",\"content\":\"\"}", "prediction.type", "invalid_value",
       "Invalid value: 'guess'. Supported values are: 'content'."},
      {"\"logit_bias\":[]", "logit_bias", "invalid_type",
       "Invalid type for 'logit_bias': expected an object, but got an array instead."},
  };
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[512];
    snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",%s}", rows[i].fragment);
    assert_refused(sim, CHAT, body, 400, rows[i].param, rows[i].code, rows[i].message);
  }
  sheaf_sim_stop(sim);
}

static void test_metadata_keeps_its_limits(void **state) {
  (void)state;
  char body[2048], pairs[1024] = "";
  sheaf_sim *sim = start(NULL);
  for (int i = 0; i < 17; i++) {
    size_t used = strlen(pairs);
    snprintf(pairs + used, sizeof pairs - used, "%s\"k%d\":\"v\"", i ? "," : "", i);
    snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",\"metadata\":{%s}}", pairs);
    if (i < 16)
      assert_ok(sim, CHAT, body);
    else
      assert_refused(sim, CHAT, body, 400, "metadata", "invalid_value", NULL);
  }
  static const struct {
    int key, value;
    bool is_fine;
  } lengths[] = {{64, 512, true}, {65, 1, false}, {1, 513, false}};
  for (size_t i = 0; i < 3; i++) {
    char text[600];
    memset(text, 'x', sizeof text);
    snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",\"metadata\":{\"%.*s\":\"%.*s\"}}",
             lengths[i].key, text, lengths[i].value, text);
    assert_int_equal(status_of(sim, CHAT, body, NULL), lengths[i].is_fine ? 200 : 400);
  }
  sheaf_sim_stop(sim);
}

static void test_an_unknown_argument_is_refused_unless_lenient(void **state) {
  (void)state;
  static const char body[] = "{\"model\":\"m\",\"foo\":1," HELLO "}";
  static const char dotted[] = "{\"model\":\"m\",\"stream_options.include_usage\":1," HELLO "}";
  sheaf_sim *sim = start(NULL);
  assert_refused(sim, CHAT, body, 400, NULL, NULL, "Unrecognized request argument supplied: foo");
  assert_refused(sim, CHAT, dotted, 400, NULL, NULL, NULL);
  assert_refused(sim, RESPONSES, "{\"model\":\"m\",\"input\":\"x\",\"foo\":1}", 400, "foo",
                 "unknown_parameter", "Unknown parameter: 'foo'.");
  sheaf_sim_stop(sim);
  sim = start("strict", "off", NULL);
  assert_ok(sim, CHAT, body);
  sheaf_sim_stop(sim);
}

static void test_a_body_that_is_no_object_of_json_is_refused(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "", "{", "[]", "\"x\"", "{\"model\":\"m\",}", "null", "{\"a\":1}x", "{\"a\":\"\xff\"}"};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    assert_refused(sim, CHAT, bodies[i], 400, NULL, NULL, NULL);
    assert_refused(sim, RESPONSES, bodies[i], 400, NULL, NULL, NULL);
    assert_refused(sim, EMBEDDINGS, bodies[i], 400, NULL, NULL, NULL);
  }
  sheaf_sim_stop(sim);
}

static void test_space_around_the_body_and_repeated_members_are_fine(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT, " \r\n{\"model\":\"a\", " HELLO " ,\"model\" : \"b\"}\n\t", NULL);
  assert_pick(&got, "model", "b");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Chat: messages ---- */

static void test_messages_that_are_wrong_are_named_by_their_place(void **state) {
  (void)state;
  static const refusal rows[] = {
      {"\"hi\"", "messages", "invalid_type",
       "Invalid type for 'messages': expected an array of objects, but got a string instead."},
      {"[]", "messages", "empty_array",
       "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
       "array instead."},
      {"[{\"role\":\"user\",\"content\":\"x\"},\"y\"]", "messages[1]", "invalid_type",
       "Invalid type for 'messages[1]': expected an object, but got a string instead."},
      {"[{\"content\":\"x\"}]", "messages[0].role", "missing_required_parameter",
       "Missing required parameter: 'messages[0].role'."},
      {"[{\"role\":\"bot\",\"content\":\"x\"}]", "messages[0].role", "invalid_value",
       "Invalid value: 'bot'. Supported values are: 'system', 'assistant', 'user', 'function', "
       "'tool', and 'developer'."},
      {"[{\"role\":\"user\"}]", "messages[0].content", "missing_required_parameter", NULL},
      {"[{\"role\":\"user\",\"content\":5}]", "messages[0].content", "invalid_type",
       "Invalid type for 'messages[0].content': expected one of a string or array of objects, but "
       "got an integer instead."},
      {"[{\"role\":\"user\",\"content\":[\"x\"]}]", "messages[0].content[0]", "invalid_type", NULL},
      {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"hologram\"}"
       "]}]",
       "messages[0].content[1].type", "invalid_value", NULL},
      {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "messages[0].content[0].text",
       "missing_required_parameter", NULL},
      {"[{\"role\":\"tool\",\"content\":\"x\"}]", "messages[0].tool_call_id",
       "missing_required_parameter", NULL},
      {"[{\"role\":\"user\",\"content\":\"x\",\"foo\":1}]", "messages[0].foo", "unknown_parameter",
       "Unknown parameter: 'messages[0].foo'."},
  };
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[512];
    snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":%s}", rows[i].fragment);
    assert_refused(sim, CHAT, body, 400, rows[i].param, rows[i].code, rows[i].message);
  }
  assert_refused(sim, CHAT, "{\"model\":\"m\"}", 400, "messages", "missing_required_parameter",
                 "Missing required parameter: 'messages'.");
  assert_refused(sim, CHAT, "{" HELLO "}", 400, "model", "missing_required_parameter",
                 "Missing required parameter: 'model'.");
  assert_refused(sim, CHAT, "{\"model\":5," HELLO "}", 400, "model", "invalid_type", NULL);
  sheaf_sim_stop(sim);
}

/* All roles and parts, and an assistant's message as the provider itself wrote it. */
static void test_a_whole_conversation_is_accepted_and_the_last_user_text_answered(void **state) {
  (void)state;
  static const char body[] =
      "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},"
      "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"s\"}]},"
      "{\"role\":\"user\",\"name\":\"ann\",\"content\":\"weather?\"},"
      "{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"annotations\":[],"
      "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"sun\"}"
      ","
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"and "
      "\"},{\"type\":\"image_url\","
      "\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},{\"type\":\"text\",\"text\":"
      "\"now?\"}]}]}";
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT, body, NULL);
  assert_pick(&got, "choices[0].message.content", "echo: and now?");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Chat: tools ---- */

static void test_a_demanded_tool_is_called_and_content_is_null(void **state) {
  (void)state;
  static const char *const choices[] = {
      "\"required\"", "{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}",
      "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":[]}}"};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 3; i++) {
    char body[1024], arguments[512];
    reply got;
    snprintf(body, sizeof body,
             "{\"model\":\"m\",\"parallel_tool_calls\":false,\"tools\":[" TOOL
             "],\"tool_choice\":%s," HELLO "}",
             choices[i]);
    fetch_ok(sim, &got, CHAT, body, NULL);
    assert_pick(&got, "choices[0].message.content", "null");
    assert_pick(&got, "choices[0].message.refusal", "null");
    assert_pick(&got, "choices[0].finish_reason", "tool_calls");
    assert_pick(&got, "choices[0].message.tool_calls[0].type", "function");
    assert_pick(&got, "choices[0].message.tool_calls[0].function.name", "get_weather");
    assert_begins(pick(&got, "choices[0].message.tool_calls[0].id"), "call_");
    assert_pick(&got, "choices[0].message.tool_calls[1]", "");
    copy_text(arguments, sizeof arguments,
              pick(&got, "choices[0].message.tool_calls[0].function.arguments"));
    assert_true(strlen(pick_in(sheaf_slice_of(arguments), "city")) > 0);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void test_the_named_one_of_several_tools_is_called(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT,
           "{\"model\":\"m\",\"tools\":[" TOOL "," OTHER_TOOL
           "],\"parallel_tool_calls\":false,\"tool_choice\":"
           "{\"type\":\"function\",\"function\":{\"name\":\"other\"}}," HELLO "}",
           NULL);
  assert_pick(&got, "choices[0].message.tool_calls[0].function.name", "other");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_tools_that_are_not_demanded_are_left_alone(void **state) {
  (void)state;
  static const char *const rests[] = {
      "\"tools\":[" TOOL "]", "\"tools\":[" TOOL "],\"tool_choice\":\"auto\"",
      "\"tools\":[" TOOL "],\"tool_choice\":\"none\"",
      "\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}],\"tool_choice\":\"required\""};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 4; i++) {
    char body[1024];
    reply got;
    snprintf(body, sizeof body, "{\"model\":\"m\",%s," HELLO "}", rests[i]);
    fetch_ok(sim, &got, CHAT, body, NULL);
    assert_pick(&got, "choices[0].message.content", "echo: hello");
    assert_pick(&got, "choices[0].finish_reason", "stop");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void test_tools_that_are_wrong_are_refused(void **state) {
  (void)state;
  static const refusal rows[] = {
      {"\"tools\":{}", "tools", "invalid_type",
       "Invalid type for 'tools': expected an array of objects, but got an object instead."},
      {"\"tools\":[]", "tools", "empty_array", NULL},
      {"\"tools\":[1]", "tools[0]", "invalid_type", NULL},
      {"\"tools\":[" TOOL ",{\"function\":{\"name\":\"f\"}}]", "tools[1].type",
       "missing_required_parameter", "Missing required parameter: 'tools[1].type'."},
      {"\"tools\":[{\"type\":\"web\"}]", "tools[0].type", "invalid_value",
       "Invalid value: 'web'. Supported values are: 'function' and 'custom'."},
      {"\"tools\":[{\"type\":\"function\"}]", "tools[0].function", "missing_required_parameter",
       NULL},
      {"\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name",
       "missing_required_parameter", NULL},
      {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]",
       "tools[0].function.name", "invalid_value", NULL},
      {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":[]}}]",
       "tools[0].function.parameters", "invalid_type", NULL},
      {"\"tool_choice\":\"auto\"", "tool_choice", "invalid_value",
       "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
       "specified."},
      {"\"parallel_tool_calls\":true", "parallel_tool_calls", "invalid_value", NULL},
      {"\"tools\":[" TOOL "],\"tool_choice\":\"any\"", "tool_choice", "invalid_value",
       "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'."},
      {"\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"x\"}}",
       "tool_choice", "invalid_value", "Tool choice 'function' not found in 'tools' parameter."},
      {"\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"text\"}", "tool_choice.type",
       "invalid_value", NULL},
      {"\"tools\":[" TOOL "],\"tool_choice\":{}", "tool_choice.type", "missing_required_parameter",
       NULL},
      {"\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"function\"}", "tool_choice.function.name",
       "missing_required_parameter", NULL},
  };
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[1024];
    snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",%s}", rows[i].fragment);
    assert_refused(sim, CHAT, body, 400, rows[i].param, rows[i].code, rows[i].message);
  }
  sheaf_sim_stop(sim);
}

static void test_no_more_than_128_tools_fit(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL);
  char body[16384];
  for (int count = 128; count <= 129; count++) {
    size_t used = (size_t)snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",\"tools\":[");
    for (int i = 0; i < count; i++)
      used += (size_t)snprintf(body + used, sizeof body - used,
                               "%s{\"type\":\"function\",\"function\":{\"name\":\"f%d\"}}",
                               i ? "," : "", i);
    snprintf(body + used, sizeof body - used, "]}");
    assert_int_equal(status_of(sim, CHAT, body, NULL), count == 128 ? 200 : 400);
  }
  sheaf_sim_stop(sim);
}

static void test_json_that_was_asked_for_is_json(void **state) {
  (void)state;
  reply got;
  char content[1024];
  sheaf_sim *sim = start(NULL);
  fetch_ok(
      sim, &got, CHAT,
      "{\"model\":\"m\",\"response_format\":{\"type\":\"json_object\"},\"messages\":[{\"role\":"
      "\"user\",\"content\":\"some JSON\"}]}",
      NULL);
  copy_text(content, sizeof content, pick(&got, "choices[0].message.content"));
  assert_int_equal(content[0], '{');
  assert_int_equal(sheaf_json_check(sheaf_slice_of(content), NULL), SHEAF_OK);
  reply_deinit(&got);
  fetch_ok(
      sim, &got, CHAT,
      "{\"model\":\"m\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
      "\"a\",\"strict\":true,\"schema\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":"
      "\"string\"},\"count\":{\"type\":\"integer\"}},\"required\":[\"city\",\"count\"],"
      "\"additionalProperties\":false}}}," HELLO "}",
      NULL);
  copy_text(content, sizeof content, pick(&got, "choices[0].message.content"));
  const char *const paths[] = {"city", "count"};
  sheaf_slice values[2];
  assert_int_equal(sheaf_json_pick(sheaf_slice_of(content), paths, 2, values, NULL, NULL),
                   SHEAF_OK);
  assert_int_equal(sheaf_json_kind(values[0]), SHEAF_JSON_STRING);
  assert_int_equal(sheaf_json_kind(values[1]), SHEAF_JSON_NUMBER);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Chat: streams ---- */

static void test_a_chat_stream_is_chunks_and_done(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  char text[256] = "", id[64];
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"stream\":true," HELLO "}", NULL);
  size_t count = split_events(&got, events);
  assert_true(count >= 4); /* role, text, finish, done */
  copy_text(id, sizeof id, pick_in(events[0].data, "id"));
  for (size_t i = 0; i + 1 < count; i++) {
    assert_string_equal(events[i].name, "");
    assert_event(&events[i], "object", "chat.completion.chunk");
    assert_event(&events[i], "id", id);
    assert_event(&events[i], "model", "m");
    assert_event(&events[i], "choices[0].index", "0");
    assert_event(&events[i], "usage", "");       /* nobody asked */
    assert_event(&events[i], "obfuscation", ""); /* nor for this */
    assert_event(&events[i], "choices[0].delta.role", i == 0 ? "assistant" : "");
    assert_event(&events[i], "choices[0].finish_reason", i + 2 == count ? "stop" : "null");
    append_pick(text, sizeof text, &events[i], "choices[0].delta.content");
  }
  assert_event(&events[0], "choices[0].delta.content", "");
  assert_event(&events[count - 2], "choices[0].delta", "{}");
  assert_string_equal(text, "echo: hello");
  assert_true(is_done(&events[count - 1]));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_usage_comes_in_a_chunk_of_its_own_before_done(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, CHAT,
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO "}",
        NULL);
  size_t count = split_events(&got, events);
  assert_true(count > 3);
  for (size_t i = 0; i + 2 < count; i++) assert_event(&events[i], "usage", "null");
  assert_event(&events[count - 2], "choices", "[]");
  assert_event(&events[count - 2], "usage.prompt_tokens", "2");
  assert_event(&events[count - 2], "usage.completion_tokens", "3");
  assert_event(&events[count - 2], "usage.total_tokens", "5");
  assert_true(is_done(&events[count - 1]));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_obfuscation_pads_chunks_where_it_was_asked_for(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  size_t padded = 0;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, CHAT,
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_obfuscation\":true}," HELLO
        "}",
        NULL);
  size_t count = split_events(&got, events);
  for (size_t i = 0; i + 1 < count; i++) {
    bool has_text = strlen(pick_in(events[i].data, "choices[0].delta.content")) > 0;
    size_t bytes = strlen(pick_in(events[i].data, "obfuscation"));
    if (has_text) assert_true(bytes > 0);
    padded += bytes > 0;
  }
  assert_true(padded > 0);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_the_choices_of_a_stream_interleave_and_each_is_whole(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  char texts[2][256] = {"", ""};
  size_t ends[2] = {0, 0}, first_text[2] = {0, 0};
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"stream\":true,\"n\":2," HELLO "}", NULL);
  size_t count = split_events(&got, events);
  for (size_t i = 0; i + 1 < count; i++) {
    size_t choice = (size_t)atoi(pick_in(events[i].data, "choices[0].index"));
    assert_true(choice < 2);
    assert_int_equal(ends[choice], 0); /* nothing follows an end */
    append_pick(texts[choice], sizeof texts[0], &events[i], "choices[0].delta.content");
    if (!first_text[choice] && texts[choice][0]) first_text[choice] = i;
    if (strcmp(pick_in(events[i].data, "choices[0].finish_reason"), "stop") == 0) ends[choice] = i;
  }
  assert_string_equal(texts[0], "echo: hello");
  assert_string_equal(texts[1], "echo: hello");
  assert_true(first_text[1] < ends[0]);
  assert_true(ends[0] && ends[1]);
  assert_true(is_done(&events[count - 1]));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_streamed_call_begins_with_its_name_and_goes_on_in_fragments(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  char arguments[512] = "";
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, CHAT,
        "{\"model\":\"m\",\"stream\":true,\"parallel_tool_calls\":false,\"tools\":[" TOOL
        "],\"tool_choice\":\"required\"," HELLO "}",
        NULL);
  size_t count = split_events(&got, events);
  assert_true(count > 5); /* role, name, two fragments or more, finish, done */
  assert_event(&events[0], "choices[0].delta.role", "assistant");
  assert_event(&events[0], "choices[0].delta.content", "null");
  assert_begins(pick_in(events[1].data, "choices[0].delta.tool_calls[0].id"), "call_");
  assert_event(&events[1], "choices[0].delta.tool_calls[0].type", "function");
  assert_event(&events[1], "choices[0].delta.tool_calls[0].function.name", "get_weather");
  for (size_t i = 1; i + 2 < count; i++) {
    assert_event(&events[i], "choices[0].delta.tool_calls[0].index", "0");
    assert_event(&events[i], "choices[0].delta.content", "");
    append_pick(arguments, sizeof arguments, &events[i],
                "choices[0].delta.tool_calls[0].function.arguments");
    if (i > 1) assert_event(&events[i], "choices[0].delta.tool_calls[0].id", "");
    if (i > 1) assert_event(&events[i], "choices[0].delta.tool_calls[0].function.name", "");
  }
  assert_event(&events[count - 2], "choices[0].finish_reason", "tool_calls");
  assert_true(strlen(pick_in(sheaf_slice_of(arguments), "city")) > 0);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* One in four answers that may call several tools does (README of the simulator): with 64 bodies,
 * that none would is less likely than 10^-7. */
static void test_parallel_calls_have_indexes_and_ids_of_their_own(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  unsigned pairs = 0;
  sheaf_sim *sim = start(NULL);
  for (unsigned n = 0; n < 64; n++) {
    char body[1024], ids[2][64] = {"", ""};
    reply got;
    snprintf(body, sizeof body,
             "{\"model\":\"m%u\",\"stream\":true,\"tools\":[" TOOL "," OTHER_TOOL
             "],\"tool_choice\":\"required\"," HELLO "}",
             n);
    fetch(sim, &got, CHAT, body, NULL);
    size_t count = split_events(&got, events);
    for (size_t i = 0; i + 1 < count; i++) {
      if (!*pick_in(events[i].data, "choices[0].delta.tool_calls[0].id")) continue;
      size_t index = (size_t)atoi(pick_in(events[i].data, "choices[0].delta.tool_calls[0].index"));
      assert_true(index < 2);
      append_pick(ids[index], sizeof ids[0], &events[i], "choices[0].delta.tool_calls[0].id");
    }
    assert_true(ids[0][0]);
    if (ids[1][0]) {
      pairs++;
      assert_string_not_equal(ids[0], ids[1]);
    }
    reply_deinit(&got);
  }
  assert_true(pairs > 0);
  sheaf_sim_stop(sim);
}

/* ---- Models ---- */

static void test_models_are_listed_and_one_is_shown(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("models", "gpt-a,gpt-b", NULL);
  fetch_ok(sim, &got, "/v1/models", NULL, NULL);
  assert_pick(&got, "object", "list");
  assert_pick(&got, "data[0].id", "gpt-a");
  assert_pick(&got, "data[0].object", "model");
  assert_true(pick_int(&got, "data[0].created") > 0);
  assert_true(strlen(pick(&got, "data[0].owned_by")) > 0);
  assert_pick(&got, "data[1].id", "gpt-b");
  assert_pick(&got, "data[2]", "");
  reply_deinit(&got);
  fetch_ok(sim, &got, "/v1/models/gpt-b", NULL, NULL);
  assert_pick(&got, "id", "gpt-b");
  assert_pick(&got, "object", "model");
  reply_deinit(&got);
  fetch(sim, &got, "/v1/models/gpt-c", NULL, NULL);
  assert_error(&got, 404, "invalid_request_error", "model", "model_not_found",
               "The model 'gpt-c' does not exist");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_whoever_speaks_anthropic_gets_its_models(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("models", "a", NULL);
  fetch_ok(sim, &got, "/v1/models", NULL, VERSION);
  assert_pick(&got, "data[0].type", "model");
  assert_pick(&got, "has_more", "false");
  assert_non_null(header_of(&got, "request-id"));
  reply_deinit(&got);
  fetch(sim, &got, "/v1/models/b", NULL, VERSION);
  assert_int_equal(got.status, 404);
  assert_pick(&got, "error.type", "not_found_error");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_an_unknown_model_is_not_found(void **state) {
  (void)state;
  static const char *const paths[] = {CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS};
  static const char *const rests[] = {HELLO, "\"input\":\"x\"", "\"prompt\":\"x\"",
                                      "\"input\":\"x\""};
  sheaf_sim *sim = start("models", "known", NULL);
  for (size_t i = 0; i < 4; i++) {
    char body[128];
    snprintf(body, sizeof body, "{\"model\":\"gpt-9\",%s}", rests[i]);
    assert_refused(sim, paths[i], body, 404, NULL, "model_not_found",
                   "The model `gpt-9` does not exist or you do not have access to it.");
    snprintf(body, sizeof body, "{\"model\":\"known\",%s}", rests[i]);
    assert_ok(sim, paths[i], body);
  }
  sheaf_sim_stop(sim);
}

/* ---- Errors and headers ---- */

static void test_keys_are_checked_and_never_repeated_whole(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("key", "sk-right", NULL);
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_error(&got, 401, "invalid_request_error", NULL, NULL, NULL);
  assert_begins(pick(&got, "error.message"), "You didn't provide an API key.");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, CHAT_HELLO, "Authorization: Bearer sk-proj-0123456789abcdefWXYZ");
  assert_error(&got, 401, "invalid_request_error", NULL, "invalid_api_key", NULL);
  assert_begins(pick(&got, "error.message"), "Incorrect API key provided: sk-proj-***");
  assert_non_null(strstr(pick(&got, "error.message"), "***WXYZ. You can find your API key at "));
  assert_null(strstr(got.text, "0123456789"));
  reply_deinit(&got);
  fetch(sim, &got, CHAT, CHAT_HELLO, "Authorization: Bearer short\"key");
  assert_error(&got, 401, "invalid_request_error", NULL, "invalid_api_key", NULL);
  assert_null(strstr(pick(&got, "error.message"), "short"));
  reply_deinit(&got);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "Authorization: Bearer sk-right"), 200);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "api-key: sk-right"), 200);
  sheaf_sim_stop(sim);
}

static void test_what_exceeds_the_context_is_refused(void **state) {
  (void)state;
  sheaf_sim *sim = start("context", "10", NULL);
  assert_refused(
      sim, CHAT,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
      "\"0123456789012345678901234567890123456789xyz\"}]}",
      400, "messages", "context_length_exceeded",
      "This model's maximum context length is 10 tokens. However, your messages resulted "
      "in 11 tokens. Please reduce the length of the messages.");
  assert_refused(
      sim, CHAT, "{\"model\":\"m\",\"max_tokens\":9," HELLO "}", 400, "messages",
      "context_length_exceeded",
      "This model's maximum context length is 10 tokens. However, you requested 11 tokens "
      "(2 in the messages, 9 in the completion). Please reduce the length of the "
      "messages or completion.");
  assert_ok(sim, CHAT, "{\"model\":\"m\",\"max_tokens\":8," HELLO "}");
  assert_refused(sim, RESPONSES, "{\"model\":\"m\",\"input\":\"x\",\"max_output_tokens\":16}", 400,
                 "input", "context_length_exceeded", NULL);
  assert_refused(
      sim, COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":10}", 400, NULL,
      "context_length_exceeded",
      "This model's maximum context length is 10 tokens, however you requested 11 tokens "
      "(1 in your prompt; 10 for the completion). Please reduce your prompt; or "
      "completion length.");
  sheaf_sim_stop(sim);
}

static void test_failures_have_the_types_and_codes_of_the_provider(void **state) {
  (void)state;
  static const struct {
    const char *fault;
    long status;
    const char *type, *code;
    bool has_hint;
  } rows[] = {
      {"429", 429, "requests", "rate_limit_exceeded", true},
      {"429-bare", 429, "requests", "rate_limit_exceeded", false},
      {"quota", 429, "insufficient_quota", "credit_balance_exhausted", false},
      {"500", 500, "server_error", NULL, false},
      {"529", 503, "server_error", "server_overloaded", false},
      {"408", 408, "server_error", NULL, false},
  };
  sheaf_sim *sim = start("retry-after", "1500", NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char header[64];
    reply got;
    snprintf(header, sizeof header, "x-sheaf-fault: %s", rows[i].fault);
    fetch(sim, &got, CHAT, CHAT_HELLO, header);
    assert_error(&got, rows[i].status, rows[i].type, NULL, rows[i].code, NULL);
    assert_non_null(header_of(&got, "x-request-id"));
    if (rows[i].has_hint) {
      assert_header(&got, "retry-after-ms", "1500");
      assert_header(&got, "retry-after", "2");
    } else if (strcmp(rows[i].fault, "529") != 0) {
      assert_null(header_of(&got, "retry-after-ms"));
    }
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* As llama.cpp's server says it: OpenAI's own never loads anything. */
static void test_a_model_that_is_loading_has_a_code_that_is_a_number(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, CHAT, CHAT_HELLO, "x-sheaf-fault: 503");
  assert_int_equal(got.status, 503);
  assert_string_equal(
      got.text,
      "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_paths_and_methods_that_are_unknown_are_told(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  assert_refused(sim, "/v1/foo", "{}", 404, NULL, NULL, "Invalid URL (POST /v1/foo)");
  fetch(sim, &got, CHAT, NULL, NULL);
  assert_error(&got, 405, "invalid_request_error", NULL, "method_not_supported", NULL);
  assert_header(&got, "allow", "POST");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void assert_go_duration(const char *text) {
  bool has_unit = false;
  assert_non_null(text);
  assert_true(*text >= '0' && *text <= '9');
  while (*text) {
    size_t digits = strspn(text, "0123456789.");
    assert_true(digits > 0);
    text += digits;
    size_t unit = strncmp(text, "ms", 2) == 0 ? 2 : strchr("hms", *text) && *text ? 1 : 0;
    assert_true(unit > 0);
    text += unit;
    has_unit = true;
  }
  assert_true(has_unit);
}

static void test_limits_are_told_in_headers_and_in_the_refusal(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("rpm", "2", "tpm", "1000", NULL);
  fetch_ok(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_header(&got, "x-ratelimit-limit-requests", "2");
  assert_header(&got, "x-ratelimit-remaining-requests", "1");
  assert_header(&got, "x-ratelimit-limit-tokens", "1000");
  assert_header(&got, "x-ratelimit-remaining-tokens", "995"); /* 2 in, 3 out */
  assert_go_duration(header_of(&got, "x-ratelimit-reset-requests"));
  assert_go_duration(header_of(&got, "x-ratelimit-reset-tokens"));
  reply_deinit(&got);
  assert_ok(sim, CHAT, CHAT_HELLO);
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_error(&got, 429, "requests", NULL, "rate_limit_exceeded", NULL);
  assert_begins(pick(&got, "error.message"),
                "Rate limit reached for m in organization org-sim on requests per min (RPM): "
                "Limit 2, Used 2, Requested 1. Please try again in ");
  assert_header(&got, "x-ratelimit-remaining-requests", "0");
  assert_go_duration(header_of(&got, "x-ratelimit-reset-requests"));
  assert_true(atoi(header_of(&got, "retry-after-ms")) > 0);
  assert_true(atoi(header_of(&got, "retry-after")) >= 1);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
  sim = start("tpm", "4", NULL);
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_error(&got, 429, "tokens", NULL, "rate_limit_exceeded", NULL);
  assert_begins(pick(&got, "error.message"),
                "Request too large for m in organization org-sim on tokens per min (TPM): "
                "Limit 4, Requested 5");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_late_error_hides_behind_a_200(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  static const char fault[] = "x-sheaf-fault: late-error";
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT, CHAT_HELLO, fault);
  assert_pick(&got, "error.type", "server_error");
  assert_pick(&got, "choices", "");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"stream\":true," HELLO "}", fault);
  size_t count = split_events(&got, events);
  assert_true(count > 1);
  assert_event(&events[count - 1], "error.type", "server_error");
  assert_event(&events[0], "choices[0].delta.role", "assistant");
  reply_deinit(&got);
  fetch_ok(sim, &got, RESPONSES, "{\"model\":\"m\",\"input\":\"x\"}", fault);
  assert_pick(&got, "status", "failed");
  assert_pick(&got, "error.code", "server_error");
  assert_pick(&got, "output", "[]");
  assert_pick(&got, "completed_at", "null");
  reply_deinit(&got);
  fetch(sim, &got, RESPONSES, "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}", fault);
  count = split_events(&got, events);
  assert_string_equal(events[0].name, "response.created");
  assert_string_equal(events[count - 1].name, "response.failed");
  assert_event(&events[count - 1], "response.status", "failed");
  assert_event(&events[count - 1], "response.error.code", "server_error");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_usage_can_be_left_out(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  static const char fault[] = "x-sheaf-fault: no-usage";
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, CHAT, CHAT_HELLO, fault);
  assert_pick(&got, "usage", "");
  assert_pick(&got, "choices[0].message.content", "echo: hello");
  reply_deinit(&got);
  fetch(sim, &got, CHAT,
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO "}",
        fault);
  size_t count = split_events(&got, events);
  for (size_t i = 0; i + 1 < count; i++) assert_event(&events[i], "usage", "null");
  assert_true(is_done(&events[count - 1]));
  reply_deinit(&got);
  fetch_ok(sim, &got, RESPONSES, "{\"model\":\"m\",\"input\":\"x\"}", fault);
  assert_pick(&got, "usage", "null");
  reply_deinit(&got);
  fetch_ok(sim, &got, COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\"}", fault);
  assert_pick(&got, "usage", "");
  reply_deinit(&got);
  fetch_ok(sim, &got, EMBEDDINGS, "{\"model\":\"m\",\"input\":\"x\"}", fault);
  assert_pick(&got, "usage", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* A wrong value that is long, escaped or of many bytes a character goes into valid JSON. */
static void test_errors_repeat_wrong_values_safely(void **state) {
  (void)state;
  static const char *const values[] = {"\\\"", "a\\u0041\\n", "\xc3\xa9\xf0\x9f\x98\x80"};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 3; i++) {
    for (unsigned times = 1; times <= 300; times += 299) {
      char body[8192];
      reply got;
      size_t used =
          (size_t)snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",\"verbosity\":\"");
      for (unsigned n = 0; n < times; n++)
        used += (size_t)snprintf(body + used, sizeof body - used, "%s", values[i]);
      snprintf(body + used, sizeof body - used, "\"}");
      fetch(sim, &got, CHAT, body, NULL);
      assert_error(&got, 400, "invalid_request_error", "verbosity", "invalid_value", NULL);
      assert_true(got.body.bytes < 1000);
      reply_deinit(&got);
      used = (size_t)snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO ",\"");
      for (unsigned n = 0; n < times; n++)
        used += (size_t)snprintf(body + used, sizeof body - used, "%s", values[i]);
      snprintf(body + used, sizeof body - used, "\":1}");
      fetch(sim, &got, CHAT, body, NULL);
      assert_error(&got, 400, "invalid_request_error", NULL, NULL, NULL);
      reply_deinit(&got);
    }
  }
  sheaf_sim_stop(sim);
}

/* ---- Other paths to the same ---- */

static void test_the_paths_of_compatible_services_lead_to_the_same(void **state) {
  (void)state;
  static const char *const prefixes[] = {"", "/openai/v1", "/v1beta/openai"};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < 3; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s/chat/completions", prefixes[i]);
    assert_ok(sim, path, CHAT_HELLO);
    snprintf(path, sizeof path, "%s/embeddings", prefixes[i]);
    assert_ok(sim, path, "{\"model\":\"m\",\"input\":\"x\"}");
    snprintf(path, sizeof path, "%s/models", prefixes[i]);
    assert_ok(sim, path, NULL);
  }
  sheaf_sim_stop(sim);
}

static void test_a_deployment_names_the_model(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, "/openai/deployments/gpt-4.1/chat/completions?api-version=2024-10-21",
           "{" HELLO "}", "api-key: k");
  assert_pick(&got, "model", "gpt-4.1");
  reply_deinit(&got);
  fetch_ok(sim, &got, "/openai/deployments/emb/embeddings?api-version=2024-10-21",
           "{\"input\":\"x\"}", NULL);
  assert_pick(&got, "model", "emb");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_chat_answer_has_every_member_of_its_type),
      cmocka_unit_test(test_text_goes_through_whole_whatever_it_is),
      cmocka_unit_test(test_n_choices_are_numbered_and_all_are_counted),
      cmocka_unit_test(test_a_ceiling_of_tokens_ends_the_answer_with_length),
      cmocka_unit_test(test_every_documented_parameter_is_accepted),
      cmocka_unit_test(test_optional_parameters_may_be_null),
      cmocka_unit_test(test_parameters_of_the_wrong_type_or_value_are_refused),
      cmocka_unit_test(test_metadata_keeps_its_limits),
      cmocka_unit_test(test_an_unknown_argument_is_refused_unless_lenient),
      cmocka_unit_test(test_a_body_that_is_no_object_of_json_is_refused),
      cmocka_unit_test(test_space_around_the_body_and_repeated_members_are_fine),
      cmocka_unit_test(test_messages_that_are_wrong_are_named_by_their_place),
      cmocka_unit_test(test_a_whole_conversation_is_accepted_and_the_last_user_text_answered),
      cmocka_unit_test(test_a_demanded_tool_is_called_and_content_is_null),
      cmocka_unit_test(test_the_named_one_of_several_tools_is_called),
      cmocka_unit_test(test_tools_that_are_not_demanded_are_left_alone),
      cmocka_unit_test(test_tools_that_are_wrong_are_refused),
      cmocka_unit_test(test_no_more_than_128_tools_fit),
      cmocka_unit_test(test_json_that_was_asked_for_is_json),
      cmocka_unit_test(test_a_chat_stream_is_chunks_and_done),
      cmocka_unit_test(test_usage_comes_in_a_chunk_of_its_own_before_done),
      cmocka_unit_test(test_obfuscation_pads_chunks_where_it_was_asked_for),
      cmocka_unit_test(test_the_choices_of_a_stream_interleave_and_each_is_whole),
      cmocka_unit_test(test_a_streamed_call_begins_with_its_name_and_goes_on_in_fragments),
      cmocka_unit_test(test_parallel_calls_have_indexes_and_ids_of_their_own),
      cmocka_unit_test(test_models_are_listed_and_one_is_shown),
      cmocka_unit_test(test_whoever_speaks_anthropic_gets_its_models),
      cmocka_unit_test(test_an_unknown_model_is_not_found),
      cmocka_unit_test(test_keys_are_checked_and_never_repeated_whole),
      cmocka_unit_test(test_what_exceeds_the_context_is_refused),
      cmocka_unit_test(test_failures_have_the_types_and_codes_of_the_provider),
      cmocka_unit_test(test_a_model_that_is_loading_has_a_code_that_is_a_number),
      cmocka_unit_test(test_paths_and_methods_that_are_unknown_are_told),
      cmocka_unit_test(test_limits_are_told_in_headers_and_in_the_refusal),
      cmocka_unit_test(test_a_late_error_hides_behind_a_200),
      cmocka_unit_test(test_usage_can_be_left_out),
      cmocka_unit_test(test_errors_repeat_wrong_values_safely),
      cmocka_unit_test(test_the_paths_of_compatible_services_lead_to_the_same),
      cmocka_unit_test(test_a_deployment_names_the_model),
  };
  RUN_SUITE(tests);
}
