/* test_sim_anthropic.c: the simulator as Anthropic: what the official SDK's types and the service's
 * published errors and headers say, over real sockets.
 *
 *   messages       fields, usage, blocks, the ceiling
 *   streams        order of events, joined deltas
 *   tools, JSON    choice, arguments, schemas
 *   counts, models
 *   refusals       bodies, keys, versions, models, context
 *   limits, faults headers and bodies */
#include "../support/sim_events.h"

#define MESSAGES "/v1/messages"
#define NEW_VERSION "anthropic-version: 2026-10-21"
#define BODY(rest) "{\"model\":\"claude-x\",\"max_tokens\":64," HELLO rest "}"
#define TOOLS                                                                            \
  ",\"tools\":[{\"name\":\"get_unit\",\"description\":\"d\",\"input_schema\":{\"type\":" \
  "\"object\",\"properties\":{\"unit\":{\"type\":\"string\",\"enum\":[\"kelvin\"]}},"    \
  "\"required\":[\"unit\"],\"additionalProperties\":false}},{\"name\":\"other\","        \
  "\"input_schema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","   \
  "\"minimum\":7,\"maximum\":7}},\"required\":[\"n\"],\"additionalProperties\":false}}]"

static void ask(const sheaf_sim *sim, reply *got, const char *body) {
  fetch(sim, got, MESSAGES, body, VERSION);
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got->body), NULL), SHEAF_OK);
}

static void ask_ok(const sheaf_sim *sim, reply *got, const char *body) {
  ask(sim, got, body);
  if (got->status != 200) print_error("%s\n", got->text);
  assert_int_equal(got->status, 200);
}

/* ---- Messages ---- */

static void a_message_has_the_fields_of_the_type(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, BODY());
  assert_begins(pick(&got, "id"), "msg_");
  assert_in(&got, "type", "message");
  assert_in(&got, "role", "assistant");
  assert_in(&got, "model", "claude-x");
  assert_in(&got, "content[0].type", "text");
  assert_in(&got, "content[0].text", "echo: hello");
  assert_in(&got, "content[0].citations", "null");
  assert_in(&got, "content[1]", "");
  assert_in(&got, "stop_reason", "end_turn");
  static const char *const nulls[] = {"stop_sequence",
                                      "stop_details",
                                      "container",
                                      "diagnostics",
                                      "usage.output_tokens_details",
                                      "usage.server_tool_use",
                                      "usage.speed",
                                      "usage.inference_geo"};
  for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) assert_in(&got, nulls[i], "null");
  assert_header(&got, "content-type", "application/json");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* A token is four bytes, rounded up: "hello" is two, "echo: hello" three. */
static void usage_counts_quarters_of_bytes_and_matches_the_stats(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, BODY());
  assert_int_equal(pick_int(&got, "usage.input_tokens"), 2);
  assert_int_equal(pick_int(&got, "usage.output_tokens"), 3);
  assert_int_equal(pick_int(&got, "usage.cache_creation_input_tokens"), 0);
  assert_int_equal(pick_int(&got, "usage.cache_read_input_tokens"), 0);
  assert_int_equal(pick_int(&got, "usage.cache_creation.ephemeral_5m_input_tokens"), 0);
  assert_int_equal(pick_int(&got, "usage.cache_creation.ephemeral_1h_input_tokens"), 0);
  assert_in(&got, "usage.service_tier", "standard");
  assert_int_equal(stat_of(sim, "billed.requests"), 1);
  assert_int_equal(stat_of(sim, "billed.input_tokens"), 2);
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 3);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* system 4 + blocks 2 + 2 bytes are two tokens. */
static void blocks_and_a_system_prompt_are_read(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got,
         "{\"model\":\"m\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"abcd\"}],"
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"ab\","
         "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"cd\"}]}]}");
  assert_in(&got, "content[0].text", "echo: abcd");
  assert_int_equal(pick_int(&got, "usage.input_tokens"), 2);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void all_documented_parameters_are_accepted(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got,
         BODY(",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":5,\"stop_sequences\":[\"x\"],"
              "\"system\":\"s\",\"metadata\":{\"user_id\":\"u\"},\"service_tier\":\"auto\","
              "\"inference_geo\":null,\"speed\":\"standard\",\"container\":\"c\","
              "\"cache_control\":{\"type\":\"ephemeral\"},\"thinking\":{\"type\":\"disabled\"},"
              "\"output_config\":{\"effort\":\"low\"},\"tool_choice\":{\"type\":\"none\"},"
              "\"diagnostics\":{\"previous_message_id\":null}"));
  reply_deinit(&got);
  ask_ok(sim, &got,
         "{\"model\":\"m\",\"max_tokens\":4096,\"thinking\":{\"type\":\"enabled\","
         "\"budget_tokens\":1024}," HELLO "}");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void max_tokens_cuts_the_answer(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, "{\"model\":\"m\",\"max_tokens\":2," HELLO "}");
  assert_in(&got, "stop_reason", "max_tokens");
  assert_int_equal(pick_int(&got, "usage.output_tokens"), 2);
  assert_in(&got, "content[0].text", "echo: he");
  reply_deinit(&got);
  ask_ok(sim, &got, "{\"model\":\"m\",\"max_tokens\":0," HELLO "}");
  assert_in(&got, "content", "[]");
  assert_in(&got, "stop_reason", "max_tokens");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Streams ---- */

/* What a walk over the events found; the walk itself checks their order. */
typedef struct walked {
  char text[1024]; /* of all text deltas */
  char json[1024]; /* of all input_json deltas of the last block */
  unsigned blocks, deltas, pings;
  char stop_reason[32], block_type[32], tool_name[64];
  int64_t input_tokens, output_tokens, first_output_tokens;
  bool is_closed, has_usage;
} walked;

enum { BEFORE, IN_MESSAGE, IN_BLOCK, AFTER_DELTA, ENDED };

static uint32_t take_block_start(walked *w, const sim_event *event) {
  assert_int_equal(int_at(event->data, "index"), w->blocks);
  copy_text(w->block_type, sizeof w->block_type, pick_in(event->data, "content_block.type"));
  copy_text(w->tool_name, sizeof w->tool_name, pick_in(event->data, "content_block.name"));
  if (strcmp(w->block_type, "text") == 0) {
    assert_at(event->data, "content_block.text", "");
  } else {
    assert_at(event->data, "content_block.input", "{}");
    assert_begins(pick_in(event->data, "content_block.id"), "toolu_");
    assert_at(event->data, "content_block.caller.type", "direct");
  }
  w->json[0] = 0;
  return IN_BLOCK;
}

static void take_delta(walked *w, const sim_event *event) {
  assert_int_equal(int_at(event->data, "index"), w->blocks);
  bool is_text = strcmp(w->block_type, "text") == 0;
  assert_at(event->data, "delta.type", is_text ? "text_delta" : "input_json_delta");
  if (is_text)
    append_at(w->text, sizeof w->text, event->data, "delta.text");
  else
    append_at(w->json, sizeof w->json, event->data, "delta.partial_json");
  w->deltas++;
}

static uint32_t take_message_start(walked *w, const sim_event *event) {
  assert_begins(pick_in(event->data, "message.id"), "msg_");
  assert_at(event->data, "message.type", "message");
  assert_at(event->data, "message.role", "assistant");
  assert_at(event->data, "message.content", "[]");
  assert_at(event->data, "message.stop_reason", "null");
  w->has_usage = pick_in(event->data, "message.usage")[0] != 0;
  if (w->has_usage) {
    w->input_tokens = int_at(event->data, "message.usage.input_tokens");
    w->first_output_tokens = int_at(event->data, "message.usage.output_tokens");
  }
  return IN_MESSAGE;
}

static uint32_t take_message_delta(walked *w, const sim_event *event) {
  copy_text(w->stop_reason, sizeof w->stop_reason, pick_in(event->data, "delta.stop_reason"));
  assert_at(event->data, "delta.stop_sequence", "null");
  if (w->has_usage) {
    w->output_tokens = int_at(event->data, "usage.output_tokens");
    assert_int_equal(int_at(event->data, "usage.input_tokens"), w->input_tokens);
  } else {
    assert_at(event->data, "usage", "");
  }
  return AFTER_DELTA;
}

/* One event in the order that the documentation gives; answers where the stream then stands. */
static uint32_t take_event(walked *w, const sim_event *event, uint32_t at) {
  assert_at(event->data, "type", event->name);
  if (strcmp(event->name, "ping") == 0) {
    w->pings++;
    return at;
  }
  switch (at) {
    case BEFORE:
      assert_string_equal(event->name, "message_start");
      return take_message_start(w, event);
    case IN_MESSAGE:
      if (strcmp(event->name, "content_block_start") == 0) return take_block_start(w, event);
      assert_string_equal(event->name, "message_delta");
      return take_message_delta(w, event);
    case IN_BLOCK:
      if (strcmp(event->name, "content_block_delta") == 0) {
        take_delta(w, event);
        return IN_BLOCK;
      }
      assert_string_equal(event->name, "content_block_stop");
      assert_int_equal(int_at(event->data, "index"), w->blocks++);
      return IN_MESSAGE;
    case AFTER_DELTA: assert_string_equal(event->name, "message_stop"); return ENDED;
    default: fail_msg("an event after message_stop: %s", event->name); return ENDED;
  }
}

static void walk(const sheaf_sim *sim, const char *body, const char *header, walked *w) {
  reply got;
  sim_event event;
  uint32_t at = BEFORE;
  memset(w, 0, sizeof *w);
  fetch_for(sim, &got, MESSAGES, body, VERSION, header, 20000);
  assert_int_equal(got.code, CURLE_OK);
  assert_int_equal(got.status, 200);
  assert_begins(header_of(&got, "content-type"), "text/event-stream");
  sheaf_slice text = sheaf_buf_slice(&got.body);
  while (next_event(&text, &event)) at = take_event(w, &event, at);
  w->is_closed = at == ENDED;
  reply_deinit(&got);
}

static void a_stream_has_the_documented_order_and_the_whole_text(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  walked w;
  walk(sim, BODY(",\"stream\":true"), NULL, &w);
  assert_true(w.is_closed);
  assert_string_equal(w.text, "echo: hello");
  assert_int_equal(w.blocks, 1);
  assert_int_equal(w.deltas, 3); /* one a token */
  assert_in_range(w.pings, 1, 100);
  assert_string_equal(w.stop_reason, "end_turn");
  assert_int_equal(w.input_tokens, 2);
  assert_int_equal(w.output_tokens, 3);
  assert_in_range(w.first_output_tokens, 0, 3);
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 3);
  sheaf_sim_stop(sim);
}

/* Characters of two, three and four bytes, a quote, a backslash and a line break. */
static void a_stream_parts_no_character(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  walked w;
  walk(sim,
       "{\"model\":\"m\",\"max_tokens\":99,\"stream\":true,\"messages\":[{\"role\":\"user\","
       "\"content\":\"aé€😀\\\"\\\\\\n\\u00e9z\"}]}",
       NULL, &w);
  assert_string_equal(w.text,
                      "echo: aé€😀\"\\\né"
                      "z");
  sheaf_sim_stop(sim);
}

static void a_stream_without_a_token_has_no_block(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  walked w;
  walk(sim, "{\"model\":\"m\",\"max_tokens\":0,\"stream\":true," HELLO "}", NULL, &w);
  assert_true(w.is_closed);
  assert_int_equal(w.blocks, 0);
  assert_int_equal(w.output_tokens, 0);
  assert_string_equal(w.stop_reason, "max_tokens");
  sheaf_sim_stop(sim);
}

static void a_lorem_stream_sends_a_word_a_token(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "lorem:12:0", NULL);
  walked w;
  walk(sim, BODY(",\"stream\":true"), NULL, &w);
  unsigned words = 1;
  for (const char *at = w.text; *at; at++) words += *at == ' ';
  assert_int_equal(words, 12);
  assert_int_equal(w.deltas, 12);
  assert_int_equal(w.output_tokens, 12);
  sheaf_sim_stop(sim);
}

/* ---- Tools and JSON ---- */

static void a_tool_is_called_with_arguments_of_its_schema(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got,
         BODY(TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"get_unit\","
                    "\"disable_parallel_tool_use\":true}"));
  assert_in(&got, "content[0].type", "tool_use");
  assert_begins(pick(&got, "content[0].id"), "toolu_");
  assert_in(&got, "content[0].name", "get_unit");
  assert_in(&got, "content[0].input.unit", "kelvin");
  assert_in(&got, "content[0].caller.type", "direct");
  assert_in(&got, "content[1]", "");
  assert_in(&got, "stop_reason", "tool_use");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Two calls in one answer come by chance, one answer in four: in 40 none has them with odds of one
 * in 10^5, and it always comes out the same. None has them where that is not wanted. */
static void several_tools_may_be_called_at_once(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "tool", NULL);
  unsigned several = 0;
  for (unsigned i = 0; i < 40; i++) {
    char body[1024];
    reply got;
    walked w;
    snprintf(body, sizeof body, "{\"model\":\"m%u\",\"max_tokens\":64," HELLO TOOLS "}", i);
    ask_ok(sim, &got, body);
    assert_in(&got, "content[0].type", "tool_use");
    if (pick(&got, "content[1].type")[0]) {
      char first[64];
      copy_text(first, sizeof first, pick(&got, "content[0].id"));
      assert_true(strcmp(first, pick(&got, "content[1].id")) != 0);
      several++;
    }
    reply_deinit(&got);
    snprintf(body, sizeof body,
             "{\"model\":\"m%u\",\"max_tokens\":64," HELLO TOOLS
             ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}}",
             i);
    ask_ok(sim, &got, body);
    assert_in(&got, "content[1].type", "");
    reply_deinit(&got);
    snprintf(body, sizeof body,
             "{\"model\":\"m%u\",\"max_tokens\":64,\"stream\":true," HELLO TOOLS "}", i);
    walk(sim, body, NULL, &w);
    assert_true(w.is_closed);
    assert_in_range(w.blocks, 1, 2);
    several += w.blocks == 2;
  }
  assert_true(several > 0);
  sheaf_sim_stop(sim);
}

static void the_choice_says_whether_a_tool_is_called(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {BODY(TOOLS), "text"}, /* auto, and the answer is an echo */
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"auto\"}"), "text"},
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"none\"}"), "text"},
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"any\"}"), "tool_use"},
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"other\"}"), "tool_use"},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    ask_ok(sim, &got, rows[i][0]);
    assert_in(&got, "content[0].type", rows[i][1]);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_streamed_call_joins_to_its_arguments(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "tool", NULL);
  walked w;
  walk(sim, BODY(TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"other\"},\"stream\":true"),
       NULL, &w);
  assert_true(w.is_closed);
  assert_string_equal(w.block_type, "tool_use");
  assert_string_equal(w.tool_name, "other");
  assert_string_equal(w.stop_reason, "tool_use");
  assert_at(sheaf_slice_of(w.json), "n", "7");
  sheaf_sim_stop(sim);
}

static void a_schema_makes_the_text_json(void **state) {
  (void)state;
#define FORMAT                                                                           \
  "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"properties\":" \
  "{\"a\":{\"type\":\"integer\",\"minimum\":3,\"maximum\":3},\"b\":{\"enum\":[\"x\"]}}," \
  "\"required\":[\"a\",\"b\"],\"additionalProperties\":false}}"
  static const char *const bodies[] = {
      BODY(",\"output_config\":{" FORMAT "}"),
      "{\"model\":\"m\",\"max_tokens\":64," HELLO
      ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
      "\"properties\":{\"a\":{\"enum\":[3]},\"b\":{\"enum\":[\"x\"]}},\"required\":[\"a\",\"b\"],"
      "\"additionalProperties\":false}}}"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < 2; i++) {
    reply got;
    char text[512];
    ask_ok(sim, &got, bodies[i]);
    copy_text(text, sizeof text, pick(&got, "content[0].text"));
    assert_at(sheaf_slice_of(text), "a", "3");
    assert_at(sheaf_slice_of(text), "b", "x");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* ---- Counts and models ---- */

static void counting_tokens_answers_what_a_message_is_charged(void **state) {
  (void)state;
  sheaf_sim *sim = start("models", "claude-x", NULL);
  reply got, counted;
  ask_ok(sim, &got, BODY(",\"system\":\"be brief\"" TOOLS));
  fetch(sim, &counted, MESSAGES "/count_tokens",
        "{\"model\":\"claude-x\"," HELLO ",\"system\":\"be brief\"" TOOLS "}", VERSION);
  assert_int_equal(counted.status, 200);
  assert_int_equal(pick_int(&counted, "input_tokens"), pick_int(&got, "usage.input_tokens"));
  assert_true(pick_int(&counted, "input_tokens") > 2);
  assert_int_equal(stat_of(sim, "billed.requests"), 1);
  reply_deinit(&got);
  reply_deinit(&counted);
  fetch(sim, &counted, MESSAGES "/count_tokens", BODY(), VERSION);
  assert_int_equal(counted.status, 400);
  assert_in(&counted, "error.message", "max_tokens: Extra inputs are not permitted");
  reply_deinit(&counted);
  sheaf_sim_stop(sim);
}

static void models_are_listed_and_found(void **state) {
  (void)state;
  sheaf_sim *sim = start("models", "claude-a,claude-b", NULL);
  reply got;
  fetch(sim, &got, "/v1/models", NULL, VERSION);
  assert_int_equal(got.status, 200);
  assert_in(&got, "data[0].type", "model");
  assert_in(&got, "data[0].id", "claude-a");
  assert_in(&got, "data[1].id", "claude-b");
  assert_in(&got, "data[2]", "");
  assert_rfc3339(pick(&got, "data[0].created_at"), false);
  assert_true(pick(&got, "data[0].display_name")[0] != 0);
  assert_in(&got, "data[0].lifecycle", "active");
  assert_in(&got, "has_more", "false");
  assert_in(&got, "first_id", "claude-a");
  assert_in(&got, "last_id", "claude-b");
  reply_deinit(&got);
  fetch(sim, &got, "/v1/models/claude-b", NULL, VERSION);
  assert_int_equal(got.status, 200);
  assert_in(&got, "type", "model");
  assert_in(&got, "id", "claude-b");
  reply_deinit(&got);
  fetch(sim, &got, "/v1/models/claude-c", NULL, VERSION);
  assert_int_equal(got.status, 404);
  assert_in(&got, "type", "error");
  assert_in(&got, "error.type", "not_found_error");
  assert_in(&got, "error.message", "model: claude-c");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Refusals ---- */

static void assert_refused(const reply *got, long status, const char *type, const char *message) {
  if (got->status != status) print_error("%s\n", got->text);
  assert_int_equal(got->status, status);
  assert_in(got, "type", "error");
  assert_in(got, "error.type", type);
  if (message) assert_in(got, "error.message", message);
  char id[64];
  copy_text(id, sizeof id, pick(got, "request_id"));
  assert_begins(id, "req_");
  assert_header(got, "request-id", id);
}

#define M "\"model\":\"m\","
#define T "\"max_tokens\":9,"
#define MESSAGE(message) "{" M T "\"messages\":[" message "]}"
#define TOOL(tool) "{" M T HELLO ",\"tools\":[" tool "]}"

static void bodies_are_refused_in_the_services_words(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"{" T HELLO "}", "model: Field required"},
      {"{" M HELLO "}", "max_tokens: Field required"},
      {"{" M T "\"stream\":false}", "messages: Field required"},
      {"{" T HELLO ",\"model\":7}", "model: Input should be a valid string"},
      {"{" M HELLO ",\"max_tokens\":\"9\"}", "max_tokens: Input should be a valid integer"},
      {"{" M HELLO ",\"max_tokens\":1.5}", "max_tokens: Input should be a valid integer"},
      {"{" M HELLO ",\"max_tokens\":-1}", "max_tokens: Input should be greater than or equal to 0"},
      {BODY(",\"stream\":\"yes\""), "stream: Input should be a valid boolean"},
      {BODY(",\"temperature\":1.5"), "temperature: Input should be less than or equal to 1"},
      {BODY(",\"temperature\":\"hot\""), "temperature: Input should be a valid number"},
      {BODY(",\"foo\":1"), "foo: Extra inputs are not permitted"},
      {BODY(",\"service_tier\":\"x\""), "service_tier: Input should be 'auto' or 'standard_only'"},
      {"{" M T "\"messages\":{}}", "messages: Input should be a valid array"},
      {MESSAGE(""), "messages: at least one message is required"},
      {MESSAGE("5"), "messages.0: Input should be an object"},
      {MESSAGE("{\"content\":\"x\"}"), "messages.0.role: Field required"},
      {MESSAGE("{\"role\":\"user\"}"), "messages.0.content: Field required"},
      {MESSAGE("{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"robot\",\"content\":\"x\"}"),
       "messages.1.role: Input should be 'user', 'assistant' or 'system'"},
      {MESSAGE("{\"role\":\"user\",\"content\":\"x\",\"name\":\"n\"}"),
       "messages.0.name: Extra inputs are not permitted"},
      {MESSAGE("{\"role\":\"user\",\"content\":\"\"}"),
       "messages.0: user messages must have non-empty content"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}"),
       "messages.0.content.0.type: Field required"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}"),
       "messages.0.content.0.text.text: Field required"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\"}]}"),
       "messages.0.content.0.tool_result.tool_use_id: Field required"},
      {TOOL("{\"name\":\"f\"}"), "tools.0.custom.input_schema: Field required"},
      {TOOL("{\"name\":\"f\",\"input_schema\":{}}"),
       "tools.0.custom.input_schema.type: Field required"},
      {TOOL("{\"name\":\"f g\",\"input_schema\":{\"type\":\"object\"}}"),
       "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"},
      {TOOL("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}},"
            "{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}"),
       "tools: Tool names must be unique."},
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"tool\"}"), "tool_choice.tool.name: Field required"},
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"nope\"}"),
       "tool_choice: Tool 'nope' not found in provided tools"},
      {BODY(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":10}"),
       "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"},
      {BODY(",\"thinking\":{\"type\":\"disabled\",\"budget_tokens\":2000}"),
       "thinking.budget_tokens: Extra inputs are not permitted"},
      {BODY(",\"thinking\":{\"type\":\"x\"}"),
       "thinking: Input tag 'x' found using 'type' does not match any of the expected tags: "
       "'enabled', 'disabled', 'adaptive', 'between_tools'"},
      {BODY(TOOLS ",\"tool_choice\":{\"type\":\"x\"}"),
       "tool_choice: Input tag 'x' found using 'type' does not match any of the expected tags: "
       "'auto', 'any', 'tool', 'none'"},
      {BODY(",\"tool_choice\":{\"type\":\"any\"}"),
       "tool_choice: tool_choice may only be specified while providing tools."},
      {BODY(",\"metadata\":{\"x\":1}"), "metadata.x: Extra inputs are not permitted"},
      {BODY(",\"system\":[\"x\"]"), "system.0: Input should be an object"},
      {BODY(",\"system\":[{\"type\":\"image\"}]"), "system.0.type: Input should be 'text'"},
      {BODY(",\"stop_sequences\":[\"x\",7]"), "stop_sequences.1: Input should be a valid string"},
      {BODY(",\"cache_control\":{}"), "cache_control.type: Field required"},
      {BODY(",\"cache_control\":{\"type\":\"x\"}"),
       "cache_control.type: Input should be 'ephemeral'"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\","
               "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"2h\"}}]}"),
       "messages.0.content.0.text.cache_control.ttl: Input should be '5m' or '1h'"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\",\"foo\":1}]}"),
       "messages.0.content.0.text.foo: Extra inputs are not permitted"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"}]}"),
       "messages.0.content.0.text.text: text content blocks must be non-empty"},
      {MESSAGE("{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a b\","
               "\"name\":\"f\",\"input\":{}}]}"),
       "messages.0.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"},
      {MESSAGE("{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\"}]}"),
       "messages.0.content.0.tool_use.input: Field required"},
      {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
               "\"tool_use_id\":\"\"}]}"),
       "messages.0.content.0.tool_result.tool_use_id: String should match pattern "
       "'^[a-zA-Z0-9_-]+$'"},
      {BODY(",\"tool_choice\":{\"type\":\"none\",\"disable_parallel_tool_use\":true}"),
       "tool_choice.disable_parallel_tool_use: Extra inputs are not permitted"},
      {BODY(",\"container\":7"), "container: Input should be a valid string or object"},
      {BODY(",\"container\":{}"), "container: Input should be a valid string"},
      {BODY(",\"container\":{\"id\":\"x\",\"foo\":1}"),
       "container.foo: Extra inputs are not permitted"},
      {"{\"model\":\"\"," T HELLO "}", "model: String should have at least 1 character"},
      {BODY(",\"output_config\":{\"format\":{\"type\":\"json_schema\"}}"),
       "output_config.format.schema: Field required"},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    ask(sim, &got, rows[i][0]);
    assert_refused(&got, 400, "invalid_request_error", rows[i][1]);
    reply_deinit(&got);
  }
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

/* The tags are many, so that their beginning is enough. */
static void a_block_of_an_unknown_type_is_refused(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask(sim, &got, MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"x\"}]}"));
  assert_refused(&got, 400, "invalid_request_error", NULL);
  assert_begins(pick(&got, "error.message"),
                "messages.0.content.0: Input tag 'x' found using 'type' does not match any of the "
                "expected tags: ");
  assert_non_null(strstr(got.text, "'text', "));
  assert_non_null(strstr(got.text, "'tool_result', "));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_body_that_is_no_object_is_refused(void **state) {
  (void)state;
  static const char *const bodies[] = {"", "{", "[]", "7", "{\"model\":\"\xff\"}"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    reply got;
    ask(sim, &got, bodies[i]);
    assert_refused(&got, 400, "invalid_request_error", NULL);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_lenient_simulator_accepts_what_it_does_not_know(void **state) {
  (void)state;
  sheaf_sim *sim = start("strict", "off", NULL);
  reply got;
  ask_ok(sim, &got, BODY(",\"foo\":1"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void the_new_version_refuses_what_the_old_one_took(void **state) {
  (void)state;
  static const char *const bodies[] = {
      BODY(",\"temperature\":0.5"), BODY(",\"top_p\":0.5"), BODY(",\"top_k\":5"),
      "{" M T
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\","
      "\"content\":[{\"type\":\"document\",\"source\":{}}]},{\"role\":\"user\",\"content\":\"y\"}]"
      "}",
      "{" M T
      "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\","
      "\"citations\":[{}]}]}]}"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    reply got;
    assert_int_equal(status_of(sim, MESSAGES, bodies[i], VERSION), 200);
    fetch(sim, &got, MESSAGES, bodies[i], NEW_VERSION);
    assert_refused(&got, 400, "invalid_request_error", NULL);
    reply_deinit(&got);
  }
  assert_int_equal(status_of(sim, MESSAGES, BODY(), NEW_VERSION), 200);
  reply got;
  fetch(sim, &got, MESSAGES, BODY(), NULL);
  assert_refused(&got, 400, "invalid_request_error", "anthropic-version: header is required");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void keys_and_models_are_checked(void **state) {
  (void)state;
  sheaf_sim *sim = start("key", "sk-ant-1", "models", "claude-x", NULL);
  reply got;
  ask(sim, &got, BODY());
  assert_refused(&got, 401, "authentication_error", "x-api-key header is required");
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES, BODY(), VERSION, "x-api-key: sk-ant-2", 20000);
  assert_refused(&got, 401, "authentication_error", "invalid x-api-key");
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES, BODY(), VERSION, "x-api-key: sk-ant-1", 20000);
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES, "{" M T HELLO "}", VERSION, "x-api-key: sk-ant-1", 20000);
  assert_refused(&got, 404, "not_found_error", "model: m");
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES "/nope", BODY(), VERSION, NULL, 20000);
  assert_refused(&got, 404, "not_found_error", NULL);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* "hello" is two tokens, which fit, and 64 more do not. */
static void a_full_context_is_refused(void **state) {
  (void)state;
  sheaf_sim *sim = start("context", "10", NULL);
  reply got;
  ask(sim, &got, BODY());
  assert_refused(&got, 400, "invalid_request_error",
                 "input length and `max_tokens` exceed context limit: 2 + 64 > 10, decrease input "
                 "length or `max_tokens` and try again");
  reply_deinit(&got);
  ask(sim, &got,
      MESSAGE("{\"role\":\"user\",\"content\":\"0123456789012345678901234567890123456789!\"}"));
  assert_refused(&got, 400, "invalid_request_error", "prompt is too long: 11 tokens > 10 maximum");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Limits and faults ---- */

static void limits_are_told_in_headers(void **state) {
  (void)state;
  sheaf_sim *sim = start("rpm", "2", "tpm", "1000", "itpm", "400", "otpm", "300", NULL);
  static const char *const kinds[][2] = {
      {"requests", "2"}, {"tokens", NULL}, {"input-tokens", "400"}, {"output-tokens", "300"}};
  reply got;
  ask_ok(sim, &got, BODY());
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char name[80];
    snprintf(name, sizeof name, "anthropic-ratelimit-%s-limit", kinds[i][0]);
    assert_non_null(header_of(&got, name));
    if (kinds[i][1]) assert_header(&got, name, kinds[i][1]);
    snprintf(name, sizeof name, "anthropic-ratelimit-%s-reset", kinds[i][0]);
    assert_rfc3339(header_of(&got, name), false);
  }
  assert_header(&got, "anthropic-ratelimit-requests-remaining", "1");
  assert_header(&got, "anthropic-ratelimit-input-tokens-remaining", "398");
  assert_header(&got, "anthropic-ratelimit-output-tokens-remaining", "297");
  /* The tightest one, protocols 2.6. */
  assert_header(&got, "anthropic-ratelimit-tokens-remaining", "297");
  assert_null(header_of(&got, "retry-after"));
  reply_deinit(&got);
  ask_ok(sim, &got, BODY());
  reply_deinit(&got);
  ask(sim, &got, BODY());
  assert_refused(&got, 429, "rate_limit_error", NULL);
  assert_non_null(strstr(pick(&got, "error.message"), "rate limit of 2 requests per minute"));
  const char *after = header_of(&got, "retry-after");
  assert_non_null(after);
  assert_int_equal(after[strspn(after, "0123456789")], 0);
  assert_in_range(atoi(after), 1, 60);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Remainders are rounded to thousands, protocols 2.6: 19,998 are left. */
static void large_remainders_are_rounded(void **state) {
  (void)state;
  sheaf_sim *sim = start("itpm", "20000", "tpm", "50000", NULL);
  reply got;
  ask_ok(sim, &got, BODY());
  assert_header(&got, "anthropic-ratelimit-input-tokens-remaining", "20000");
  assert_header(&got, "anthropic-ratelimit-input-tokens-limit", "20000");
  assert_null(header_of(&got, "anthropic-ratelimit-requests-limit"));
  assert_null(header_of(&got, "anthropic-ratelimit-output-tokens-limit"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_request_larger_than_a_minute_is_refused(void **state) {
  (void)state;
  sheaf_sim *sim = start("tpm", "4", "otpm", "9", NULL);
  reply got;
  ask(sim, &got, BODY());
  assert_refused(&got, 429, "rate_limit_error", NULL);
  assert_non_null(strstr(pick(&got, "error.message"), "rate limit of 4 tokens per minute"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void each_token_limit_is_named(void **state) {
  (void)state;
  static const char *const rows[][3] = {{"itpm", "3", "3 input tokens per minute"},
                                        {"otpm", "4", "4 output tokens per minute"},
                                        {"tpm", "6", "6 tokens per minute"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_sim *sim = start(rows[i][0], rows[i][1], NULL);
    reply got;
    ask_ok(sim, &got, BODY());
    reply_deinit(&got);
    ask(sim, &got, BODY());
    assert_refused(&got, 429, "rate_limit_error", NULL);
    assert_non_null(strstr(pick(&got, "error.message"), rows[i][2]));
    reply_deinit(&got);
    sheaf_sim_stop(sim);
  }
}

typedef struct fault_row {
  const char *header;
  long status;
  const char *type;
} fault_row;

static void faults_have_the_services_types(void **state) {
  (void)state;
  static const fault_row rows[] = {{"x-sheaf-fault: 429", 429, "rate_limit_error"},
                                   {"x-sheaf-fault: 500", 500, "api_error"},
                                   {"x-sheaf-fault: 529", 529, "overloaded_error"},
                                   {"x-sheaf-fault: 503", 503, "api_error"},
                                   {"x-sheaf-fault: 408", 408, "timeout_error"},
                                   {"x-sheaf-fault: 429-bare", 429, "rate_limit_error"},
                                   {"x-sheaf-fault: quota", 429, "rate_limit_error"}};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    fetch_for(sim, &got, MESSAGES, BODY(), VERSION, rows[i].header, 20000);
    assert_refused(&got, rows[i].status, rows[i].type, NULL);
    bool is_hinted = i == 0;
    assert_int_equal(header_of(&got, "retry-after") != NULL, is_hinted);
    bool is_quota = strstr(rows[i].header, "quota") != NULL;
    assert_in(&got, "error.details.error_code", is_quota ? "enforced_spend_limit_reached" : "");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_stream_can_fail_inside(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  sim_event event = {{0}, {NULL, 0}};
  unsigned count = 0;
  fetch_for(sim, &got, MESSAGES, BODY(",\"stream\":true"), VERSION, "x-sheaf-fault: late-error",
            20000);
  assert_int_equal(got.status, 200);
  for (sheaf_slice text = sheaf_buf_slice(&got.body); next_event(&text, &event);) count++;
  assert_true(count > 2);
  assert_string_equal(event.name, "error");
  assert_at(event.data, "type", "error");
  assert_at(event.data, "error.type", "overloaded_error");
  assert_at(event.data, "error.message", "Overloaded");
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES, BODY(), VERSION, "x-sheaf-fault: late-error", 20000);
  assert_int_equal(got.status, 200);
  assert_in(&got, "type", "error");
  assert_in(&got, "error.type", "overloaded_error");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void usage_can_be_left_out(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  walked w;
  fetch_for(sim, &got, MESSAGES, BODY(), VERSION, "x-sheaf-fault: no-usage", 20000);
  assert_int_equal(got.status, 200);
  assert_in(&got, "content[0].text", "echo: hello");
  assert_in(&got, "usage", "");
  reply_deinit(&got);
  walk(sim, BODY(",\"stream\":true"), "x-sheaf-fault: no-usage", &w);
  assert_true(w.is_closed);
  assert_false(w.has_usage);
  assert_string_equal(w.text, "echo: hello");
  sheaf_sim_stop(sim);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_has_the_fields_of_the_type),
      cmocka_unit_test(usage_counts_quarters_of_bytes_and_matches_the_stats),
      cmocka_unit_test(blocks_and_a_system_prompt_are_read),
      cmocka_unit_test(all_documented_parameters_are_accepted),
      cmocka_unit_test(max_tokens_cuts_the_answer),
      cmocka_unit_test(a_stream_has_the_documented_order_and_the_whole_text),
      cmocka_unit_test(a_stream_parts_no_character),
      cmocka_unit_test(a_stream_without_a_token_has_no_block),
      cmocka_unit_test(a_lorem_stream_sends_a_word_a_token),
      cmocka_unit_test(a_tool_is_called_with_arguments_of_its_schema),
      cmocka_unit_test(several_tools_may_be_called_at_once),
      cmocka_unit_test(the_choice_says_whether_a_tool_is_called),
      cmocka_unit_test(a_streamed_call_joins_to_its_arguments),
      cmocka_unit_test(a_schema_makes_the_text_json),
      cmocka_unit_test(counting_tokens_answers_what_a_message_is_charged),
      cmocka_unit_test(models_are_listed_and_found),
      cmocka_unit_test(bodies_are_refused_in_the_services_words),
      cmocka_unit_test(a_block_of_an_unknown_type_is_refused),
      cmocka_unit_test(a_body_that_is_no_object_is_refused),
      cmocka_unit_test(a_lenient_simulator_accepts_what_it_does_not_know),
      cmocka_unit_test(the_new_version_refuses_what_the_old_one_took),
      cmocka_unit_test(keys_and_models_are_checked),
      cmocka_unit_test(a_full_context_is_refused),
      cmocka_unit_test(limits_are_told_in_headers),
      cmocka_unit_test(large_remainders_are_rounded),
      cmocka_unit_test(a_request_larger_than_a_minute_is_refused),
      cmocka_unit_test(each_token_limit_is_named),
      cmocka_unit_test(faults_have_the_services_types),
      cmocka_unit_test(a_stream_can_fail_inside),
      cmocka_unit_test(usage_can_be_left_out),
  };
  RUN_SUITE(tests);
}
