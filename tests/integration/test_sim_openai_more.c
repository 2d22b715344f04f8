/* test_sim_openai_more.c: the simulator's responses, completions and embeddings in OpenAI's shape;
 * see test_sim_openai.c.
 *
 * Outline: responses: answers, streams, refusals; completions; embeddings; any value in
 * any place. */
#include "sim_openai_test.h"

#include <math.h>

/* ---- Responses ---- */

static void test_a_response_has_every_member_of_its_type(void **state) {
  (void)state;
  static const expected wanted[] = {
      {"object", "response"},
      {"status", "completed"},
      {"error", "null"},
      {"incomplete_details", "null"},
      {"instructions", "null"},
      {"max_output_tokens", "null"},
      {"metadata", "{}"},
      {"model", "m"},
      {"parallel_tool_calls", "true"},
      {"previous_response_id", "null"},
      {"temperature", "1.0"},
      {"top_p", "1.0"},
      {"tool_choice", "auto"},
      {"tools", "[]"},
      {"text.format.type", "text"},
      {"truncation", "disabled"},
      {"output_text", ""}, /* the client's own convenience */
      {"output[0].type", "message"},
      {"output[0].role", "assistant"},
      {"output[0].status", "completed"},
      {"output[0].content[0].type", "output_text"},
      {"output[0].content[0].text", "echo: hello"},
      {"output[0].content[0].annotations", "[]"},
      {"output[1]", ""},
      {"usage.input_tokens", "2"},
      {"usage.output_tokens", "3"},
      {"usage.total_tokens", "5"},
      {"usage.input_tokens_details.cached_tokens", "0"},
      {"usage.output_tokens_details.reasoning_tokens", "0"},
      {NULL, NULL},
  };
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, RESPONSES, "{\"model\":\"m\",\"input\":\"hello\"}", NULL);
  assert_picks(&got, wanted);
  assert_begins(pick(&got, "id"), "resp_");
  assert_begins(pick(&got, "output[0].id"), "msg_");
  assert_true(pick_int(&got, "completed_at") >= pick_int(&got, "created_at"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_response_repeats_what_was_asked(void **state) {
  (void)state;
  static const expected wanted[] = {
      {"instructions", "be brief"},
      {"temperature", "0.5"},
      {"max_output_tokens", "64"},
      {"metadata.k", "v"},
      {"parallel_tool_calls", "false"},
      {"previous_response_id", "resp_x"},
      {"text.verbosity", "low"},
      {"tool_choice", "none"},
      {"tools[0].name", "get_weather"},
      {"tools[0].parameters.required[0]", "city"},
      {"tools[0].strict", "true"},
      {"truncation", "auto"},
      {"user", "u"},
      {NULL, NULL},
  };
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, RESPONSES,
           "{\"model\":\"m\",\"input\":\"x\",\"instructions\":\"be brief\",\"temperature\":0.5,"
           "\"max_output_tokens\":64,\"metadata\":{\"k\":\"v\"},\"parallel_tool_calls\":false,"
           "\"previous_response_id\":\"resp_x\",\"text\":{\"verbosity\":\"low\"},\"tool_choice\":"
           "\"none\",\"tools\":[" FLAT_TOOL "],\"truncation\":\"auto\",\"user\":\"u\"}",
           NULL);
  assert_picks(&got, wanted);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_items_are_read_and_the_last_user_text_answered(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, RESPONSES,
           "{\"model\":\"m\",\"input\":[{\"role\":\"developer\",\"content\":\"d\"},"
           "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":"
           "\"first\"}]},{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]},"
           "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},"
           "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"42\"},"
           "{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"status\":\"completed\","
           "\"content\":[{\"type\":\"output_text\",\"text\":\"t\",\"annotations\":[]}]},"
           "{\"role\":\"user\",\"content\":\"last\"}]}",
           NULL);
  assert_pick(&got, "output[0].content[0].text", "echo: last");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_response_that_is_cut_is_incomplete(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  reply got;
  sheaf_sim *sim = start("answer", "lorem:400:0", NULL);
  fetch_ok(sim, &got, RESPONSES, "{\"model\":\"m\",\"input\":\"x\",\"max_output_tokens\":16}",
           NULL);
  assert_pick(&got, "status", "incomplete");
  assert_pick(&got, "incomplete_details.reason", "max_output_tokens");
  assert_pick(&got, "completed_at", "null");
  assert_pick(&got, "output[0].status", "incomplete");
  assert_pick(&got, "usage.output_tokens", "16");
  reply_deinit(&got);
  fetch(sim, &got, RESPONSES,
        "{\"model\":\"m\",\"input\":\"x\",\"stream\":true,\"max_output_tokens\":16}", NULL);
  size_t count = split_events(&got, events);
  assert_string_equal(events[count - 1].name, "response.incomplete");
  assert_event(&events[count - 1], "response.incomplete_details.reason", "max_output_tokens");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_response_calls_a_demanded_tool(void **state) {
  (void)state;
  reply got;
  char arguments[512];
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, RESPONSES,
           "{\"model\":\"m\",\"input\":\"x\",\"parallel_tool_calls\":false,\"tools\":[" FLAT_TOOL
           "],\"tool_choice\":{\"type\":\"function\",\"name\":\"get_weather\"}}",
           NULL);
  assert_pick(&got, "output[0].type", "function_call");
  assert_pick(&got, "output[0].name", "get_weather");
  assert_pick(&got, "output[0].status", "completed");
  assert_begins(pick(&got, "output[0].id"), "fc_");
  assert_begins(pick(&got, "output[0].call_id"), "call_");
  copy_text(arguments, sizeof arguments, pick(&got, "output[0].arguments"));
  assert_true(strlen(pick_in(sheaf_slice_of(arguments), "city")) > 0);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Each event has its name twice and its number; the order is that of the documentation. */
static void assert_event_order(const event *events, size_t count, const char *const *order,
                               const char *delta) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    assert_event(&events[i], "type", events[i].name);
    assert_event(&events[i], "sequence_number", number);
    if (i && strcmp(events[i].name, delta) == 0 && strcmp(events[i - 1].name, delta) == 0) continue;
    assert_non_null(order[at]);
    assert_string_equal(events[i].name, order[at++]);
  }
  assert_null(order[at]);
}

static void test_a_response_stream_tells_every_step_of_a_message(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  static const char *const order[] = {"response.created",           "response.in_progress",
                                      "response.output_item.added", "response.content_part.added",
                                      "response.output_text.delta", "response.output_text.done",
                                      "response.content_part.done", "response.output_item.done",
                                      "response.completed",         NULL};
  char text[256] = "", item[64];
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, RESPONSES, "{\"model\":\"m\",\"input\":\"hello\",\"stream\":true}", NULL);
  size_t count = split_events(&got, events);
  assert_event_order(events, count, order, "response.output_text.delta");
  assert_event(&events[0], "response.status", "in_progress");
  assert_event(&events[0], "response.output", "[]");
  assert_event(&events[2], "item.status", "in_progress");
  assert_event(&events[2], "item.content", "[]");
  assert_event(&events[2], "output_index", "0");
  assert_event(&events[3], "part.text", "");
  copy_text(item, sizeof item, pick_in(events[2].data, "item.id"));
  for (size_t i = 3; i < count - 2; i++) {
    assert_event(&events[i], "item_id", item);
    assert_event(&events[i], "output_index", "0");
    assert_event(&events[i], "content_index", "0");
    if (strcmp(events[i].name, "response.output_text.delta") != 0) continue;
    assert_event(&events[i], "logprobs", "[]");
    append_pick(text, sizeof text, &events[i], "delta");
  }
  assert_string_equal(text, "echo: hello");
  assert_event(&events[count - 4], "text", "echo: hello");
  assert_event(&events[count - 3], "part.text", "echo: hello");
  assert_event(&events[count - 2], "item.content[0].text", "echo: hello");
  assert_event(&events[count - 2], "item.status", "completed");
  assert_event(&events[count - 1], "response.status", "completed");
  assert_event(&events[count - 1], "response.output[0].id", item);
  assert_event(&events[count - 1], "response.output[0].content[0].text", "echo: hello");
  assert_event(&events[count - 1], "response.usage.total_tokens", "5");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_response_stream_tells_every_step_of_a_call(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  static const char *const order[] = {"response.created",
                                      "response.in_progress",
                                      "response.output_item.added",
                                      "response.function_call_arguments.delta",
                                      "response.function_call_arguments.done",
                                      "response.output_item.done",
                                      "response.completed",
                                      NULL};
  char arguments[512] = "";
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, RESPONSES,
        "{\"model\":\"m\",\"input\":\"x\",\"stream\":true,\"parallel_tool_calls\":false,"
        "\"tool_choice\":\"required\",\"tools\":[" FLAT_TOOL "]}",
        NULL);
  size_t count = split_events(&got, events);
  assert_event_order(events, count, order, "response.function_call_arguments.delta");
  assert_event(&events[2], "item.type", "function_call");
  assert_event(&events[2], "item.arguments", "");
  assert_event(&events[2], "item.name", "get_weather");
  for (size_t i = 3; i < count - 3; i++)
    append_pick(arguments, sizeof arguments, &events[i], "delta");
  assert_event(&events[count - 3], "arguments", arguments);
  assert_event(&events[count - 3], "name", "get_weather");
  assert_event(&events[count - 2], "item.arguments", arguments);
  assert_event(&events[count - 1], "response.output[0].arguments", arguments);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* What is repeated of the request must not break the lines of a stream. */
static void test_a_request_over_many_lines_gives_events_of_one_line_each(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, RESPONSES,
        "{\"model\":\"m\",\n\"input\":\"x\",\r\n\"stream\":true,\n\"metadata\":{\n\"a\":\"b\"\n},"
        "\"tools\":[\n{\n\"type\":\"function\",\n\"name\":\"f\"\n}\n]}",
        NULL);
  size_t count = split_events(&got, events);
  assert_event(&events[0], "response.metadata.a", "b");
  assert_event(&events[count - 1], "response.tools[0].name", "f");
  assert_event(&events[count - 1], "response.tools[0].parameters", "null");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_responses_that_are_asked_for_wrongly_are_refused(void **state) {
  (void)state;
  static const refusal rows[] = {
      {"\"input\":5", "input", "invalid_type",
       "Invalid type for 'input': expected one of a string or array of objects, but got an integer "
       "instead."},
      {"\"store\":true", "input", "invalid_value", NULL},
      {"\"input\":[5]", "input[0]", "invalid_type", NULL},
      {"\"input\":[{\"content\":\"x\"}]", "input[0].role", "missing_required_parameter", NULL},
      {"\"input\":[{\"role\":\"tool\",\"content\":\"x\"}]", "input[0].role", "invalid_value", NULL},
      {"\"input\":[{\"role\":\"user\"}]", "input[0].content", "missing_required_parameter", NULL},
      {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]",
       "input[0].content[0].type", "invalid_value",
       "Invalid value: 'text'. Supported values are: 'input_text', 'input_image', 'output_text', "
       "'refusal', 'input_file', 'computer_screenshot', and 'summary_text'."},
      {"\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\"}]", "input[0].call_id",
       "missing_required_parameter", NULL},
      {"\"input\":\"x\",\"max_output_tokens\":15", "max_output_tokens", "integer_below_min_value",
       "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got "
       "15 instead."},
      {"\"input\":\"x\",\"max_tokens\":16", "max_tokens", "unknown_parameter", NULL},
      {"\"input\":\"x\",\"messages\":[]", "messages", "unknown_parameter", NULL},
      {"\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\"}}",
       "text.format.schema", "missing_required_parameter", NULL},
      {"\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_object\"}}", "input", "invalid_value",
       "Response input messages must contain the word 'json' in some form to use 'text.format' of "
       "type 'json_object'."},
      {"\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]", "tools[0].name",
       "missing_required_parameter", NULL},
      {"\"input\":\"x\",\"truncation\":\"some\"", "truncation", "invalid_value", NULL},
      {"\"input\":\"x\",\"reasoning\":{\"effort\":\"huge\"}", "reasoning.effort", "invalid_value",
       NULL},
      {"\"input\":\"x\",\"include\":[\"everything\"]", "include[0]", "invalid_value", NULL},
      {"\"input\":\"x\",\"tool_choice\":{\"type\":\"text\"}", "tool_choice.type", "invalid_value",
       NULL},
      {"\"input\":\"x\",\"prompt\":{}", "prompt.id", "missing_required_parameter", NULL},
      {"\"input\":\"x\",\"background\":true", "background", "invalid_value", NULL},
  };
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[512];
    snprintf(body, sizeof body, "{\"model\":\"m\",%s}", rows[i].fragment);
    assert_refused(sim, RESPONSES, body, 400, rows[i].param, rows[i].code, rows[i].message);
  }
  assert_refused(sim, RESPONSES, "{\"input\":\"x\"}", 400, "model", "missing_required_parameter",
                 "Missing required parameter: 'model'.");
  sheaf_sim_stop(sim);
}

static void test_the_schema_of_a_response_is_written_flat(void **state) {
  (void)state;
  reply got;
  char text[512];
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, RESPONSES,
           "{\"model\":\"m\",\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\","
           "\"name\":\"n\",\"schema\":{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":"
           "\"boolean\"}},\"required\":[\"ok\"]}}}}",
           NULL);
  copy_text(text, sizeof text, pick(&got, "output[0].content[0].text"));
  const char *ok = pick_in(sheaf_slice_of(text), "ok");
  assert_true(strcmp(ok, "true") == 0 || strcmp(ok, "false") == 0);
  assert_pick(&got, "text.format.name", "n");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_input_tokens_are_counted_without_an_answer(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, RESPONSES "/input_tokens",
           "{\"model\":\"m\",\"input\":\"12345678\",\"instructions\":\"1234\"}", NULL);
  assert_string_equal(got.text, "{\"object\":\"response.input_tokens\",\"input_tokens\":3}");
  reply_deinit(&got);
  fetch_ok(sim, &got, RESPONSES "/input_tokens", "{\"input\":\"12345\"}", NULL);
  assert_pick(&got, "input_tokens", "2");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Completions ---- */

static void test_a_completion_has_a_choice_for_each_prompt_and_n(void **state) {
  (void)state;
  static const expected wanted[] = {
      {"object", "text_completion"},
      {"choices[0].index", "0"},
      {"choices[0].text", "echo: one"},
      {"choices[0].logprobs", "null"},
      {"choices[0].finish_reason", "stop"},
      {"choices[1].text", "echo: one"},
      {"choices[2].index", "2"},
      {"choices[2].text", "echo: two"},
      {"choices[3].text", "echo: two"},
      {"choices[4]", ""},
      {"usage.prompt_tokens", "2"},
      {"usage.completion_tokens", "12"},
      {NULL, NULL},
  };
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, COMPLETIONS, "{\"model\":\"m\",\"prompt\":[\"one\",\"two\"],\"n\":2}", NULL);
  assert_picks(&got, wanted);
  assert_begins(pick(&got, "id"), "cmpl-");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_prompts_may_be_text_tokens_or_absent(void **state) {
  (void)state;
  static const struct {
    const char *fragment, *text;
  } rows[] = {{"\"prompt\":\"one\"", "echo: one"},
              {"\"prompt\":\"one\",\"echo\":true", "oneecho: one"},
              {"\"prompt\":[1,2,3]", "echo: 1 2 3"},
              {"\"prompt\":[[1,2],[3]]", "echo: 1 2"},
              {"\"user\":\"u\"", "echo: <|endoftext|>"}};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[128];
    reply got;
    snprintf(body, sizeof body, "{\"model\":\"m\",%s}", rows[i].fragment);
    fetch_ok(sim, &got, COMPLETIONS, body, NULL);
    assert_pick(&got, "choices[0].text", rows[i].text);
    reply_deinit(&got);
  }
  assert_refused(sim, COMPLETIONS, "{\"model\":\"m\",\"prompt\":{}}", 400, "prompt", "invalid_type",
                 NULL);
  assert_refused(sim, COMPLETIONS, "{\"model\":\"m\",\"prompt\":[]}", 400, "prompt", "empty_array",
                 NULL);
  assert_refused(sim, COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\",\"n\":3,\"best_of\":2}", 400,
                 "best_of", "invalid_value", NULL);
  assert_refused(sim, COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\",\"logprobs\":6}", 400,
                 "logprobs", "integer_above_max_value", NULL);
  sheaf_sim_stop(sim);
}

/* 16 where nothing is said: the default of max_tokens. */
static void test_a_completion_ends_after_sixteen_tokens(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("answer", "lorem:400:0", NULL);
  fetch_ok(sim, &got, COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\"}", NULL);
  assert_pick(&got, "choices[0].finish_reason", "length");
  assert_pick(&got, "usage.completion_tokens", "16");
  reply_deinit(&got);
  fetch_ok(sim, &got, COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":1000}", NULL);
  assert_pick(&got, "choices[0].finish_reason", "stop");
  assert_pick(&got, "usage.completion_tokens", "400");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_a_completion_streams(void **state) {
  (void)state;
  static event events[EVENTS_MAX];
  char text[256] = "";
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch(sim, &got, COMPLETIONS,
        "{\"model\":\"m\",\"prompt\":\"hello\",\"stream\":true,\"stream_options\":"
        "{\"include_usage\":true}}",
        NULL);
  size_t count = split_events(&got, events);
  assert_true(count > 4);
  for (size_t i = 0; i + 2 < count; i++) {
    assert_event(&events[i], "object", "text_completion");
    assert_event(&events[i], "usage", "null");
    assert_event(&events[i], "choices[0].finish_reason", i + 3 == count ? "stop" : "null");
    append_pick(text, sizeof text, &events[i], "choices[0].text");
  }
  assert_string_equal(text, "echo: hello");
  assert_event(&events[count - 2], "choices", "[]");
  assert_event(&events[count - 2], "usage.completion_tokens", "3");
  assert_true(is_done(&events[count - 1]));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Embeddings ---- */

#define DIMENSIONS_MAX 4096

/* RFC 4648 base64 of little-endian floats. Answers how many. */
static size_t decode_floats(const char *text, float *floats) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned char bytes[4 * DIMENSIONS_MAX + 4];
  size_t length = strlen(text), count = 0;
  assert_int_equal(length % 4, 0);
  uint32_t bits = 0;
  unsigned have = 0;
  for (size_t i = 0; i < length && text[i] != '='; i++) {
    const char *digit = strchr(digits, text[i]);
    assert_non_null(digit);
    bits = bits << 6 | (uint32_t)(digit - digits);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    bytes[count++] = (unsigned char)(bits >> have);
  }
  assert_int_equal(count % 4, 0);
  for (size_t i = 0; i < count; i += 4) {
    uint32_t word = (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8 |
                    (uint32_t)bytes[i + 2] << 16 | (uint32_t)bytes[i + 3] << 24;
    memcpy(&floats[i / 4], &word, 4);
  }
  return count / 4;
}

/* The embedding's numbers, of either encoding. */
static size_t floats_of(const reply *got, const char *path, float *floats) {
  sheaf_slice value, key, number;
  sheaf_json_iter iter;
  size_t count = 0;
  assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got->body), &path, 1, &value, NULL, NULL),
                   SHEAF_OK);
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) {
    sheaf_slice inside = sheaf_json_inside(value);
    char *text = calloc(1, inside.bytes + 1);
    assert_non_null(text);
    memcpy(text, inside.data, inside.bytes);
    count = decode_floats(text, floats);
    free(text);
    return count;
  }
  assert_int_equal(sheaf_json_iter_init(&iter, value), SHEAF_OK);
  while (sheaf_json_iter_next(&iter, &key, &number) == SHEAF_OK) {
    assert_true(count < DIMENSIONS_MAX);
    floats[count++] = strtof(number.data, NULL);
  }
  return count;
}

static void test_both_encodings_hold_the_same_numbers(void **state) {
  (void)state;
  static float plain[DIMENSIONS_MAX], packed[DIMENSIONS_MAX];
  static const size_t sizes[] = {1, 2, 3, 256, 1536, 4096};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char body[160];
    reply got;
    for (int is_packed = 0; is_packed < 2; is_packed++) {
      snprintf(
          body, sizeof body,
          "{\"model\":\"m\",\"input\":\"hello\",\"dimensions\":%zu,\"encoding_format\":\"%s\"}",
          sizes[i], is_packed ? "base64" : "float");
      fetch_ok(sim, &got, EMBEDDINGS, body, NULL);
      assert_int_equal(floats_of(&got, "data[0].embedding", is_packed ? packed : plain), sizes[i]);
      reply_deinit(&got);
    }
    assert_memory_equal(plain, packed, sizes[i] * sizeof *plain);
    double squares = 0;
    for (size_t j = 0; j < sizes[i]; j++) squares += (double)plain[j] * (double)plain[j];
    assert_true(fabs(squares - 1) < 1e-5);
  }
  sheaf_sim_stop(sim);
}

static void test_embeddings_are_in_order_and_belong_to_their_text(void **state) {
  (void)state;
  float first[16], second[16], again[16];
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"one\",\"two\",\"one\"]}", NULL);
  assert_pick(&got, "object", "list");
  assert_pick(&got, "model", "m");
  assert_pick(&got, "data[0].object", "embedding");
  assert_pick(&got, "data[0].index", "0");
  assert_pick(&got, "data[2].index", "2");
  assert_pick(&got, "data[3]", "");
  assert_pick(&got, "usage.prompt_tokens", "3"); /* 9 bytes */
  assert_pick(&got, "usage.total_tokens", "3");
  assert_int_equal(floats_of(&got, "data[0].embedding", first), 16);
  assert_int_equal(floats_of(&got, "data[1].embedding", second), 16);
  assert_int_equal(floats_of(&got, "data[2].embedding", again), 16);
  assert_memory_equal(first, again, sizeof first);
  assert_memory_not_equal(first, second, sizeof first);
  reply_deinit(&got);
  fetch_ok(sim, &got, EMBEDDINGS, "{\"model\":\"m\",\"input\":\"two\"}", NULL);
  assert_int_equal(floats_of(&got, "data[0].embedding", again), 16);
  assert_memory_equal(second, again, sizeof second);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_token_numbers_are_one_input_and_lists_of_them_many(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL);
  fetch_ok(sim, &got, EMBEDDINGS, "{\"model\":\"m\",\"input\":[15339,1917]}", NULL);
  assert_pick(&got, "data[1]", "");
  assert_pick(&got, "usage.prompt_tokens", "2");
  reply_deinit(&got);
  fetch_ok(sim, &got, EMBEDDINGS, "{\"model\":\"m\",\"input\":[[15339,1917],[1]]}", NULL);
  assert_pick(&got, "data[1].index", "1");
  assert_pick(&got, "data[2]", "");
  assert_pick(&got, "usage.prompt_tokens", "3");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void test_embeddings_keep_their_limits(void **state) {
  (void)state;
  static const refusal rows[] = {
      {"\"input\":\"\"", "input", "invalid_value", NULL},
      {"\"input\":[]", "input", "invalid_value", NULL},
      {"\"input\":[\"a\",\"\"]", "input", "invalid_value", NULL},
      {"\"input\":[\"a\",5]", "input", "invalid_value", NULL},
      {"\"input\":[1,\"a\"]", "input", "invalid_value", NULL},
      {"\"input\":5", "input", "invalid_type", NULL},
      {"\"user\":\"u\"", "input", "missing_required_parameter",
       "Missing required parameter: 'input'."},
      {"\"input\":\"x\",\"dimensions\":0", "dimensions", "integer_below_min_value", NULL},
      {"\"input\":\"x\",\"dimensions\":4097", "dimensions", "integer_above_max_value", NULL},
      {"\"input\":\"x\",\"encoding_format\":\"hex\"", "encoding_format", "invalid_value",
       "Invalid value: 'hex'. Supported values are: 'float' and 'base64'."},
      {"\"input\":\"x\",\"stream\":true", NULL, NULL,
       "Unrecognized request argument supplied: stream"},
  };
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[160];
    snprintf(body, sizeof body, "{\"model\":\"m\",%s}", rows[i].fragment);
    assert_refused(sim, EMBEDDINGS, body, 400, rows[i].param, rows[i].code, rows[i].message);
  }
  sheaf_sim_stop(sim);
}

/* A body of count inputs of bytes each; the caller frees it. */
static char *make_inputs(size_t count, size_t bytes) {
  size_t room = 64 + count * (bytes + 3), used;
  char *body = malloc(room);
  assert_non_null(body);
  used = (size_t)snprintf(body, room, "{\"model\":\"m\",\"dimensions\":1,\"input\":[");
  for (size_t i = 0; i < count; i++) {
    if (i) body[used++] = ',';
    body[used++] = '"';
    memset(body + used, 'x', bytes);
    used += bytes;
    body[used++] = '"';
  }
  memcpy(body + used, "]}", 3);
  return body;
}

static void test_embeddings_count_inputs_and_tokens(void **state) {
  (void)state;
  static const struct {
    size_t count, bytes;
    long status;
  } rows[] = {{2048, 1, 200},      {2049, 1, 400},     {1, 4 * 8192, 200}, {1, 4 * 8192 + 1, 400},
              {36, 4 * 8192, 200}, {37, 4 * 8192, 400}}; /* 294,912 and 303,104 tokens */
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    char *body = make_inputs(rows[i].count, rows[i].bytes);
    fetch(sim, &got, EMBEDDINGS, body, NULL);
    assert_int_equal(got.status, rows[i].status);
    assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got.body), NULL), SHEAF_OK);
    reply_deinit(&got);
    free(body);
  }
  sheaf_sim_stop(sim);
}

/* ---- Any value in any place ---- */

/* The end of the value at `at`: before the comma or bracket that follows it. */
static size_t skip_value(const char *text, size_t at) {
  unsigned depth = 0;
  bool in_string = false;
  for (; text[at]; at++) {
    if (in_string) {
      if (text[at] == '\\') at++;
      if (text[at] == '"') in_string = false;
      continue;
    }
    if (text[at] == '"') in_string = true;
    if (text[at] == '[' || text[at] == '{') depth++;
    if (strchr(",]}", text[at]) && depth == 0) break;
    if (text[at] == ']' || text[at] == '}') depth--;
  }
  return at;
}

static void assert_strict(const sheaf_sim *sim, const char *path, const char *body) {
  static event events[EVENTS_MAX];
  reply got;
  fetch(sim, &got, path, body, NULL);
  const char *type = header_of(&got, "content-type");
  assert_non_null(type);
  if (got.status == 200 && strncmp(type, "text/event-stream", 17) == 0) {
    assert_true(split_events(&got, events) > 1);
  } else {
    sheaf_json_facts facts;
    assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got.body), NULL, 0, NULL, &facts, NULL),
                     SHEAF_OK);
    assert_false(facts.has_invalid_utf8);
    if (got.status != 200) {
      if (got.status != 400) print_error("%s\n%s\n", body, got.text);
      assert_int_equal(got.status, 400);
      assert_pick(&got, "error.type", "invalid_request_error");
      assert_true(strlen(pick(&got, "error.message")) > 0);
    }
  }
  reply_deinit(&got);
}

/* Each member's value in turn is exchanged for values of every kind: whatever the verdict is, a
 * strict client can read it. */
static void test_any_value_in_any_place_gets_a_reply_that_can_be_read(void **state) {
  (void)state;
  static const struct {
    const char *path, *body;
  } seeds[] = {
      {CHAT,
       "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":["
       "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"json\"}]},{\"role\":\"tool\","
       "\"tool_call_id\":\"x\",\"content\":\"y\"}],\"tools\":[" OTHER_TOOL "],\"tool_choice\":"
       "{\"type\":\"function\",\"function\":{\"name\":\"other\"}},\"response_format\":{\"type\":"
       "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}}"},
      {CHAT,
       "{\"model\":\"m\"," HELLO ",\"n\":1,\"stop\":[\"x\"],\"seed\":1,\"logit_bias\":{\"1\":2},"
       "\"metadata\":{\"a\":\"b\"},\"max_tokens\":5,\"modalities\":[\"text\"]}"},
      {RESPONSES,
       "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
       "\"text\":\"x\"}]},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"o\"}],"
       "\"instructions\":\"i\",\"stream\":true,\"tools\":[" FLAT_TOOL
       "],\"tool_choice\":\"required\","
       "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{}}},\"user\":"
       "\"u\"}"},
      {COMPLETIONS,
       "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2,\"stream\":true,\"echo\":true}"},
      {EMBEDDINGS,
       "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":3,\"encoding_format\":\"float\"}"},
  };
  static const char *const values[] = {"null",
                                       "true",
                                       "-1",
                                       "0",
                                       "7",
                                       "1.5",
                                       "1e400",
                                       "\"\"",
                                       "\"x\"",
                                       "\"json\"",
                                       "[]",
                                       "[[]]",
                                       "[1]",
                                       "[null]",
                                       "[\"x\",{},5]",
                                       "{}",
                                       "{\"type\":\"function\"}",
                                       "\"\\u0000\\ud800\\\"\"",
                                       "\"\xc3\xa9\xf0\x9f\x98\x80\""};
  sheaf_sim *sim = start(NULL);
  for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
    const char *seed = seeds[i].body;
    for (size_t at = 0; seed[at]; at++) {
      if (seed[at] != ':') continue;
      for (size_t n = 0; n < sizeof values / sizeof *values; n++) {
        char body[2048];
        snprintf(body, sizeof body, "%.*s%s%s", (int)at + 1, seed, values[n],
                 seed + skip_value(seed, at + 1));
        assert_strict(sim, seeds[i].path, body);
      }
    }
  }
  sheaf_sim_stop(sim);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_response_has_every_member_of_its_type),
      cmocka_unit_test(test_a_response_repeats_what_was_asked),
      cmocka_unit_test(test_items_are_read_and_the_last_user_text_answered),
      cmocka_unit_test(test_a_response_that_is_cut_is_incomplete),
      cmocka_unit_test(test_a_response_calls_a_demanded_tool),
      cmocka_unit_test(test_a_response_stream_tells_every_step_of_a_message),
      cmocka_unit_test(test_a_response_stream_tells_every_step_of_a_call),
      cmocka_unit_test(test_a_request_over_many_lines_gives_events_of_one_line_each),
      cmocka_unit_test(test_responses_that_are_asked_for_wrongly_are_refused),
      cmocka_unit_test(test_the_schema_of_a_response_is_written_flat),
      cmocka_unit_test(test_input_tokens_are_counted_without_an_answer),
      cmocka_unit_test(test_a_completion_has_a_choice_for_each_prompt_and_n),
      cmocka_unit_test(test_prompts_may_be_text_tokens_or_absent),
      cmocka_unit_test(test_a_completion_ends_after_sixteen_tokens),
      cmocka_unit_test(test_a_completion_streams),
      cmocka_unit_test(test_both_encodings_hold_the_same_numbers),
      cmocka_unit_test(test_embeddings_are_in_order_and_belong_to_their_text),
      cmocka_unit_test(test_token_numbers_are_one_input_and_lists_of_them_many),
      cmocka_unit_test(test_embeddings_keep_their_limits),
      cmocka_unit_test(test_embeddings_count_inputs_and_tokens),
      cmocka_unit_test(test_any_value_in_any_place_gets_a_reply_that_can_be_read),
  };
  RUN_SUITE(tests);
}
