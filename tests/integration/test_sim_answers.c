/* test_sim_answers.c: what the simulator answers, and how long it takes.
 *
 *   kinds          echo, lorem, canned, json, tool; by option and by header
 *   cuts, choices  max_tokens, n, many prompts
 *   distributions  of words, latencies and gaps, against theory: no clock
 *   files          recorded latencies, canned answers, and what is said of bad lines
 *   pieces         how a text is parted for a stream
 *
 * Statistical bounds are five standard deviations of the estimate, odds of one in a million each;
 * and since all follows from seeds, they always come out the same. */
#include "sim_client.h"

#include "sim/sim_schema.h"

#include <math.h>

#define DRAWS 10000
#define RECIPE                                                                                  \
  "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"minutes\":{\"type\":" \
  "\"integer\",\"minimum\":5,\"maximum\":90},\"spicy\":{\"type\":\"boolean\"}},\"required\":["  \
  "\"title\",\"minutes\",\"spicy\"],\"additionalProperties\":false}"
#define TOOLS                                                                                \
  "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"cook\",\"parameters\":" RECIPE \
  "}},{\"type\":\"function\",\"function\":{\"name\":\"order\",\"parameters\":{\"type\":"     \
  "\"object\",\"properties\":{\"dish\":{\"enum\":[\"soup\"]}},\"required\":[\"dish\"]}}}]"
#define CONTENT "choices[0].message.content"
#define CALLED "choices[0].message.tool_calls[0].function.name"
#define ARGUMENTS "choices[0].message.tool_calls[0].function.arguments"

/* ---- Asking ---- */

/* The value at path of the answer to {"model":"m",HELLO,extra}; good until the next call. */
static const char *ask(const sheaf_sim *sim, const char *extra, const char *header,
                       const char *path) {
  char body[4096];
  reply got;
  snprintf(body, sizeof body, "{\"model\":\"m\"," HELLO "%s%s}", *extra ? "," : "", extra);
  fetch(sim, &got, CHAT, body, header);
  if (got.status != 200) print_error("%s\n", got.text);
  assert_int_equal(got.status, 200);
  const char *value = pick(&got, path);
  reply_deinit(&got);
  return value;
}

static bool is_json(const char *text) {
  return sheaf_json_check(sheaf_slice_of(text), NULL) == SHEAF_OK;
}

static void assert_valid(const char *schema, const char *text) {
  sim_making making = {.root = sheaf_slice_of(schema)};
  assert_true(is_json(text));
  assert_true(sheaf__sim_fits(&making, making.root, sheaf_slice_of(text), 0));
}

/* ---- Calls without a server ---- */

typedef struct bench {
  sheaf_sim_options options;
  sim_world world;
  sim_route route;
  sim_call call;
} bench;

static void bench_init(bench *b, uint32_t task) {
  memset(b, 0, sizeof *b);
  b->options = SHEAF_SIM_OPTIONS_INIT;
  b->world.options = &b->options;
  b->route.task = task;
  sheaf__sim_call_init(&b->call);
}

/* A request for a chat that says "hello", anew. */
static void bench_ask(bench *b, uint64_t key) {
  sheaf__sim_call_reset(&b->call);
  b->call.world = &b->world;
  b->call.route = &b->route;
  b->call.provider = &sheaf__sim_openai_chat;
  b->call.key = key;
  b->call.fault = SIM_NO_FAULT;
  b->call.asked.tokens_max = UINT64_MAX;
  b->call.asked.choices = 1;
  b->call.asked.prompt_bytes = 5;
  sheaf_buf_append_text(&b->call.prompt, "hello");
}

static void bench_deinit(bench *b) {
  sheaf__sim_call_deinit(&b->call);
}

static void assert_part(const bench *b, uint32_t i, const char *text) {
  assert_true(i < b->call.part_count);
  sheaf_slice part = sheaf__sim_part_text(&b->call, &b->call.parts[i]);
  assert_int_equal(part.bytes, strlen(text));
  assert_memory_equal(part.data, text, part.bytes);
}

/* ---- Kinds ---- */

static void a_header_asks_for_any_kind(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  assert_string_equal(ask(sim, "", NULL, CONTENT), "echo: hello");
  assert_string_equal(ask(sim, "", "x-sheaf-answer: echo", CONTENT), "echo: hello");
  assert_string_equal(ask(sim, "", "x-sheaf-answer: canned", CONTENT), "echo: hello");
  assert_string_equal(ask(sim, "", "x-sheaf-answer: tool", CONTENT), "echo: hello");
  assert_null(strstr(ask(sim, "", "x-sheaf-answer: lorem", CONTENT), "hello"));
  assert_true(*ask(sim, "", "x-sheaf-answer: json", CONTENT) == '{');
  assert_true(is_json(ask(sim, "", "x-sheaf-answer: json", CONTENT)));
  sheaf_sim_stop(sim);
}

static void the_option_sets_the_kind_and_the_header_overrides_it(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "json", NULL);
  assert_true(is_json(ask(sim, "", NULL, CONTENT)));
  assert_string_equal(ask(sim, "", "x-sheaf-answer: echo", CONTENT), "echo: hello");
  sheaf_sim_stop(sim);
}

static void json_is_json_whatever_the_kind(void **state) {
  (void)state;
  static const char *const kinds[] = {"x-sheaf-answer: echo", "x-sheaf-answer: lorem",
                                      "x-sheaf-answer: canned", "x-sheaf-answer: json",
                                      "x-sheaf-answer: tool"};
  static const char schema[] =
      "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"r\","
      "\"schema\":" RECIPE "}}";
  static const char object[] =
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"as \\\"json\\\"\"}],"
      "\"response_format\":{\"type\":\"json_object\"}}";
  sheaf_sim *sim = start(NULL, NULL);
  for (unsigned i = 0; i < 5; i++) {
    reply got;
    assert_valid(RECIPE, ask(sim, schema, kinds[i], CONTENT));
    assert_string_equal(ask(sim, schema, kinds[i], "choices[0].finish_reason"), "stop");
    fetch(sim, &got, CHAT, object, kinds[i]);
    assert_int_equal(got.status, 200);
    assert_true(*pick(&got, CONTENT) == '{');
    assert_true(is_json(pick(&got, CONTENT)));
    reply_deinit(&got);
  }
  reply got;
  fetch(sim, &got, CHAT, object, NULL);
  assert_string_equal(pick(&got, CONTENT), "{\"answer\":\"echo: as \\\"json\\\"\"}");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Two prompts in one call: the ids as asked for, and as the schema allows. */
#define TWO(asked, allowed, more)                                                              \
  "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Answer each.\"},"         \
  "{\"role\":\"user\",\"content\":\"{\\\"requests\\\":[" asked                                 \
  "]}\"}],\"response_format\":{"                                                               \
  "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answers\",\"strict\":true,\"schema\":" \
  "{\"type\":\"object\",\"properties\":{\"answers\":{\"type\":\"array\",\"items\":{\"type\":"  \
  "\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"enum\":[" allowed                  \
  "]},\"answer\":"                                                                             \
  "{\"type\":\"string\"}},\"required\":[\"id\",\"answer\"],\"additionalProperties\":false}}}," \
  "\"required\":[\"answers\"],\"additionalProperties\":false}}}" more "}"
#define FIRST "{\\\"id\\\":\\\"a1\\\",\\\"prompt\\\":\\\"one \\\\\\\"1\\\\\\\"\\\"}"
#define SECOND "{\\\"id\\\":\\\"b2\\\",\\\"prompt\\\":\\\"two\\\"}"

static void several_prompts_in_a_call_are_answered_one_by_one(void **state) {
  (void)state;
  const char *file = write_file("{\"match\":\"two\",\"answer\":\"2\"}\n");
  char canned[64];
  snprintf(canned, sizeof canned, "canned:%s", file);
  sheaf_sim *sim = start("answer", canned, NULL);
  reply got;
  fetch(sim, &got, CHAT, TWO(FIRST "," SECOND, "\"a1\",\"b2\"", ""), NULL);
  assert_string_equal(pick(&got, CONTENT),
                      "{\"answers\":[{\"id\":\"a1\",\"answer\":\"echo: one \\\"1\\\"\"},"
                      "{\"id\":\"b2\",\"answer\":\"2\"}]}");
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "stop");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, TWO(FIRST "," SECOND, "\"a1\",\"b2\"", ",\"max_tokens\":5"), NULL);
  assert_string_equal(pick(&got, CONTENT), "{\"answers\":[{\"id\":\"a"); /* 20 bytes */
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "length");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
  unlink(file);
}

/* Then it is a schema like any other, and the answer is drawn from it. */
static void what_only_looks_like_several_prompts_is_not_taken_for_them(void **state) {
  (void)state;
  static const char *const bodies[] = {
      TWO(SECOND, "\"a1\",\"b2\"", ""),
      TWO(FIRST "," SECOND, "\"a1\"", ""),
      TWO(FIRST "," SECOND, "\"b2\",\"a1\"", ""),
      TWO(FIRST ",{\\\"id\\\":\\\"b2\\\"}", "\"a1\",\"b2\"", ""),
      TWO(FIRST ",{\\\"id\\\":\\\"b2\\\",\\\"prompt\\\":3}", "\"a1\",\"b2\"", ""),
      TWO(FIRST ",[]", "\"a1\",\"b2\"", "")};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    reply got;
    fetch(sim, &got, CHAT, bodies[i], NULL);
    assert_int_equal(got.status, 200);
    assert_true(is_json(pick(&got, CONTENT)));
    assert_null(strstr(pick(&got, CONTENT), "echo"));
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* Gemini's text/x.enum wants one of a list, as plain text. */
static void an_enum_is_answered_without_quotes(void **state) {
  (void)state;
  unsigned met[2] = {0};
  bench b;
  bench_init(&b, SIM_CHAT);
  for (uint64_t key = 0; key < 64; key++) {
    bench_ask(&b, key);
    b.call.asked.format = SIM_FORMAT_ENUM;
    b.call.asked.schema = SHEAF_LITERAL("{\"type\":\"STRING\",\"enum\":[\"A \\\"b\\\"\",\"c\"]}");
    sheaf__sim_answer(&b.call);
    sheaf_slice text = sheaf__sim_part_text(&b.call, &b.call.parts[0]);
    met[text.bytes == 1]++;
    assert_part(&b, 0, text.bytes == 1 ? "c" : "A \"b\"");
  }
  assert_in_range(met[0], 12, 52); /* a half: 5 deviations of 4 */
  bench_deinit(&b);
}

static void tools_are_called_where_they_have_to_be(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (unsigned i = 0; i < 20; i++) {
    const char *name = ask(sim, TOOLS ",\"tool_choice\":\"required\"", NULL, CALLED);
    assert_true(strcmp(name, "cook") == 0 || strcmp(name, "order") == 0);
  }
  static const char named[] =
      TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"order\"}}";
  for (unsigned i = 0; i < 20; i++) assert_string_equal(ask(sim, named, NULL, CALLED), "order");
  assert_string_equal(ask(sim, named, NULL, ARGUMENTS), "{\"dish\":\"soup\"}");
  assert_string_equal(ask(sim, named, NULL, "choices[0].finish_reason"), "tool_calls");
  assert_string_equal(ask(sim, TOOLS, NULL, CONTENT), "echo: hello");
  assert_true(*ask(sim, TOOLS, "x-sheaf-answer: tool", CALLED));
  assert_string_equal(ask(sim, TOOLS ",\"tool_choice\":\"none\"", "x-sheaf-answer: tool", CONTENT),
                      "echo: hello");
  sheaf_sim_stop(sim);
}

/* Sightings draw anew, so both tools and both numbers of calls come up. */
static void tools_and_their_number_are_drawn(void **state) {
  (void)state;
  static const char required[] =
      "{\"model\":\"m\"," HELLO "," TOOLS ",\"tool_choice\":\"required\"}";
  static const char one_only[] = "{\"model\":\"m\"," HELLO "," TOOLS
                                 ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false}";
  unsigned cooks = 0, doubles = 0;
  sheaf_sim *sim = start(NULL, NULL);
  for (unsigned i = 0; i < 100; i++) {
    reply got;
    fetch(sim, &got, CHAT, required, NULL);
    cooks += strcmp(pick(&got, CALLED), "cook") == 0;
    doubles += *pick(&got, "choices[0].message.tool_calls[1].id") != 0;
    if (strcmp(pick(&got, CALLED), "cook") == 0) assert_valid(RECIPE, pick(&got, ARGUMENTS));
    reply_deinit(&got);
    fetch(sim, &got, CHAT, one_only, NULL);
    assert_string_equal(pick(&got, "choices[0].message.tool_calls[1].id"), "");
    reply_deinit(&got);
  }
  assert_in_range(cooks, 25, 75);  /* a half: 5 deviations of 5 */
  assert_in_range(doubles, 4, 46); /* a quarter: of 4.33 */
  sheaf_sim_stop(sim);
}

static void after_a_tool_s_result_comes_text(void **state) {
  (void)state;
  static const char *const lasts[] = {
      "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"4\"}",
      "{\"role\":\"user\",\"content\":\"say \\\"tool_result\\\"\"}"};
  sheaf_sim *sim = start("answer", "tool", NULL);
  for (unsigned i = 0; i < 2; i++) {
    char body[4096];
    reply got;
    snprintf(body, sizeof body,
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"go\"},{\"role\":"
             "\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":"
             "{\"name\":\"cook\",\"arguments\":\"{}\"}}]},%s]," TOOLS "}",
             lasts[i]);
    fetch(sim, &got, CHAT, body, NULL);
    assert_int_equal(got.status, 200);
    assert_string_equal(pick(&got, "choices[0].finish_reason"), i == 0 ? "stop" : "tool_calls");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* ---- Repetition ---- */

/* All kinds, streamed and not, to each provider once. */
static void gather(const char *seed, sheaf_buf *all) {
  static const char *const kinds[] = {"x-sheaf-answer: echo", "x-sheaf-answer: lorem",
                                      "x-sheaf-answer: json", "x-sheaf-answer: tool"};
  static const struct {
    const char *path, *body;
  } rows[] = {
      {CHAT, "{\"model\":\"m\",\"n\":2," HELLO "," TOOLS "}"},
      {CHAT, "{\"model\":\"m\",\"stream\":true,\"n\":2," HELLO "," TOOLS "}"},
      {"/v1/completions", "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2}"},
      {"/v1/messages", "{\"model\":\"c\",\"max_tokens\":50," HELLO "}"},
      {"/v1/messages", "{\"model\":\"c\",\"max_tokens\":50,\"stream\":true," HELLO "}"},
      {"/v1beta/models/g:generateContent", "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}"},
      {"/v1beta/models/g:streamGenerateContent", "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}"},
      {"/api/chat", "{\"model\":\"m\"," HELLO "}"},
      {"/api/generate", "{\"model\":\"m\",\"prompt\":\"x\",\"stream\":false}"},
  };
  sheaf_sim *sim = start("seed", seed, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (unsigned n = 0; n < 4; n++) {
      reply got;
      fetch_for(sim, &got, rows[i].path, rows[i].body, kinds[n], VERSION, 20000);
      if (got.status != 200) print_error("%s: %s\n", rows[i].path, got.text);
      assert_int_equal(got.status, 200);
      sheaf_buf_append_slice(all, sheaf_buf_slice(&got.body));
      reply_deinit(&got);
    }
  assert_int_equal(all->status, SHEAF_OK);
  sheaf_sim_stop(sim);
}

static void the_same_seed_and_request_give_the_same_bytes(void **state) {
  (void)state;
  sheaf_buf all[3];
  for (unsigned i = 0; i < 3; i++) {
    sheaf_buf_init(&all[i], &allocator, 1u << 24);
    gather(i < 2 ? "21" : "22", &all[i]);
  }
  assert_int_equal(all[0].bytes, all[1].bytes);
  assert_memory_equal(all[0].data, all[1].data, all[0].bytes);
  assert_true(all[0].bytes != all[2].bytes || memcmp(all[0].data, all[2].data, all[0].bytes) != 0);
  for (unsigned i = 0; i < 3; i++) sheaf_buf_deinit(&all[i]);
}

/* ---- Cuts ---- */

static void words_are_cut_at_max_tokens(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start("answer", "lorem:30:0", NULL);
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"max_tokens\":3," HELLO "}", NULL);
  unsigned spaces = 0;
  for (const char *c = pick(&got, CONTENT); *c; c++) spaces += *c == ' ';
  assert_int_equal(spaces, 2);
  assert_int_equal(pick_int(&got, "usage.completion_tokens"), 3);
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "length");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"max_tokens\":30," HELLO "}", NULL);
  assert_int_equal(pick_int(&got, "usage.completion_tokens"), 30);
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "stop");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* Four bytes are a token, and no character is cut through. */
static void other_texts_are_cut_at_characters(void **state) {
  (void)state;
  static const struct {
    const char *prompt, *text;
    uint64_t tokens_max, tokens;
    bool is_cut;
  } rows[] = {
      {"hello", "echo: hello", 3, 3, false},
      {"hello", "echo: he", 2, 2, true},
      {"hello", "echo", 1, 1, true},
      {"12", "echo: 12", 2, 2, false},
      {"\xc3\xa9\xc3\xa9\xc3\xa9", "echo: \xc3\xa9", 2, 2, true},
      {"x\xc3\xa9\xc3\xa9", "echo: x", 2, 2, true},
      {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "echo: ", 2, 2, true},
      {"hello", "echo: hello", UINT64_MAX - 1, 3, false},
  };
  bench b;
  bench_init(&b, SIM_CHAT);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bench_ask(&b, i);
    sheaf_buf_reset(&b.call.prompt);
    sheaf_buf_append_text(&b.call.prompt, rows[i].prompt);
    b.call.asked.tokens_max = rows[i].tokens_max;
    sheaf__sim_answer(&b.call);
    assert_part(&b, 0, rows[i].text);
    assert_int_equal(b.call.output_tokens, rows[i].tokens);
    assert_int_equal(b.call.parts[0].is_cut_short, rows[i].is_cut);
  }
  bench_deinit(&b);
}

static void cut_json_is_cut_json(void **state) {
  (void)state;
  bench b;
  char whole[4096];
  bench_init(&b, SIM_CHAT);
  bench_ask(&b, 9);
  b.call.asked.format = SIM_FORMAT_SCHEMA;
  b.call.asked.schema = SHEAF_LITERAL(RECIPE);
  sheaf__sim_answer(&b.call);
  sheaf_slice text = sheaf__sim_part_text(&b.call, &b.call.parts[0]);
  assert_true(text.bytes > 8 && text.bytes < sizeof whole);
  memcpy(whole, text.data, text.bytes);
  whole[text.bytes] = 0;
  assert_valid(RECIPE, whole);
  assert_int_equal(b.call.output_tokens, (text.bytes + 3) / 4);
  bench_ask(&b, 9);
  b.call.asked.format = SIM_FORMAT_SCHEMA;
  b.call.asked.schema = SHEAF_LITERAL(RECIPE);
  b.call.asked.tokens_max = 2;
  sheaf__sim_answer(&b.call);
  whole[8] = 0;
  assert_part(&b, 0, whole);
  assert_true(b.call.parts[0].is_cut_short);
  bench_deinit(&b);
}

static void a_ceiling_is_for_all_calls_of_a_choice(void **state) {
  (void)state;
  unsigned cut = 0;
  bench b;
  bench_init(&b, SIM_CHAT);
  for (uint64_t key = 0; key < 50; key++) {
    bench_ask(&b, key);
    b.call.asked.tools = SIM_TOOLS_REQUIRED;
    b.call.asked.is_parallel = true;
    b.call.asked.tool_count = 1;
    b.call.asked.tool[0] = (sim_tool){SHEAF_LITERAL("cook"), SHEAF_LITERAL(RECIPE)};
    b.call.asked.tokens_max = 15;
    sheaf__sim_answer(&b.call);
    assert_true(b.call.output_tokens <= 15);
    assert_in_range(b.call.part_count, 1, 2);
    cut += b.call.parts[b.call.part_count - 1].is_cut_short;
  }
  assert_in_range(cut, 1, 49);
  bench_deinit(&b);
}

static void arguments_are_an_object_whatever_the_schema_says(void **state) {
  (void)state;
  static const char *const schemas[] = {"{\"type\":\"string\"}", "{\"enum\":[]}", "", "{}"};
  bench b;
  bench_init(&b, SIM_CHAT);
  for (unsigned i = 0; i < 4; i++) {
    bench_ask(&b, i);
    b.call.asked.tools = SIM_TOOLS_REQUIRED;
    b.call.asked.tool_count = 1;
    b.call.asked.tool[0] = (sim_tool){SHEAF_LITERAL("cook"), sheaf_slice_of(schemas[i])};
    sheaf__sim_answer(&b.call);
    assert_int_equal(b.call.parts[0].kind, SIM_PART_TOOL);
    assert_part(&b, 0, "{}");
  }
  bench_deinit(&b);
}

/* ---- Choices ---- */

static void the_first_of_many_choices_is_the_only_one_of_one(void **state) {
  (void)state;
  bench b;
  char first[4096];
  bench_init(&b, SIM_CHAT);
  b.options.answer_kind = SHEAF_SIM_ANSWER_LOREM;
  bench_ask(&b, 4);
  sheaf__sim_answer(&b.call);
  sheaf_slice text = sheaf__sim_part_text(&b.call, &b.call.parts[0]);
  assert_true(text.bytes < sizeof first);
  memcpy(first, text.data, text.bytes);
  first[text.bytes] = 0;
  bench_ask(&b, 4);
  b.call.asked.choices = 3;
  sheaf__sim_answer(&b.call);
  assert_int_equal(b.call.part_count, 3);
  assert_part(&b, 0, first);
  uint64_t tokens = 0;
  for (uint32_t i = 0; i < 3; i++) {
    sheaf_slice one = sheaf__sim_part_text(&b.call, &b.call.parts[i]);
    sheaf_slice next = sheaf__sim_part_text(&b.call, &b.call.parts[(i + 1) % 3]);
    assert_int_equal(b.call.parts[i].choice, i);
    assert_true(one.bytes != next.bytes || memcmp(one.data, next.data, one.bytes) != 0);
    tokens += b.call.parts[i].tokens;
  }
  assert_int_equal(b.call.output_tokens, tokens);
  bench_deinit(&b);
}

static void each_prompt_has_its_choices(void **state) {
  (void)state;
  static const char *const texts[] = {"aecho: a", "aecho: a", "becho: b", "becho: b"};
  static const char body[] =
      "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2,\"echo\":true,\"max_tokens\":50}";
  reply got;
  sheaf_sim *sim = start(NULL, NULL);
  fetch(sim, &got, "/v1/completions", body, NULL);
  for (unsigned i = 0; i < 5; i++) {
    char path[32];
    snprintf(path, sizeof path, "choices[%u].text", i);
    assert_string_equal(pick(&got, path), i < 4 ? texts[i] : "");
    snprintf(path, sizeof path, "choices[%u].index", i);
    if (i < 4) assert_int_equal(pick_int(&got, path), i);
  }
  assert_int_equal(pick_int(&got, "usage.completion_tokens"), 4 * 2); /* "echo: a": 7 bytes */
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void counting_and_embedding_generate_nothing(void **state) {
  (void)state;
  static const uint32_t tasks[] = {SIM_EMBED, SIM_COUNT};
  for (unsigned i = 0; i < 2; i++) {
    bench b;
    bench_init(&b, tasks[i]);
    bench_ask(&b, 1);
    b.call.asked.prompt_bytes = 41;
    sheaf__sim_answer(&b.call);
    assert_int_equal(b.call.part_count, 0);
    assert_int_equal(sheaf__sim_input_tokens(&b.call), 11); /* ceil(41 / 4) */
    assert_int_equal(b.call.output_tokens, 0);
    bench_deinit(&b);
  }
}

/* ---- Canned answers ---- */

static void canned_answers_come_from_the_file(void **state) {
  (void)state;
  static const char lines[] =
      "{\"prompt\":\"hello\",\"answer\":\"first\"}\n\n"
      "{\"prompt\":\"hello\",\"answer\":\"second\"}\r\n"
      "{\"match\":\"hel\",\"answer\":\"part\"}\n"
      "{\"match\":\"elp\",\"answer\":\"later part\"}\n"
      "{\"prompt\":\"caf\\u00e9\",\"answer\":{\"a\": [1]}}\n"
      "{\"prompt\":\"\",\"answer\":\"silence\"}";
  static const struct {
    const char *prompt, *answer;
  } rows[] = {{"hello", "first"},     {"hellos", "part"}, {"help", "part"},
              {"yelp", "later part"}, {"Hello", NULL},    {"caf\xc3\xa9", "{\"a\": [1]}"},
              {"", "silence"},        {"unknown", NULL}};
  char option[128], path[64];
  copy_text(path, sizeof path, write_file(lines));
  snprintf(option, sizeof option, "canned:%s", path);
  sheaf_sim *sim = start("answer", option, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char body[256], echoed[64];
    reply got;
    snprintf(body, sizeof body,
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
             rows[i].prompt);
    snprintf(echoed, sizeof echoed, "echo: %s", rows[i].prompt);
    fetch(sim, &got, CHAT, body, NULL);
    assert_string_equal(pick(&got, CONTENT), rows[i].answer ? rows[i].answer : echoed);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
  remove(path);
}

/* What the file says counts for more than a schema, if it is JSON at all. */
static void canned_json_is_given_where_json_is_wanted(void **state) {
  (void)state;
  static const uint32_t formats[] = {SIM_FORMAT_SCHEMA, SIM_FORMAT_JSON};
  bench b;
  bench_init(&b, SIM_CHAT);
  b.options.answer_kind = SHEAF_SIM_ANSWER_CANNED;
  const char *path = write_file(
      "{\"prompt\":\"hello\",\"answer\":[1, 2]}\n"
      "{\"answer\":\"no JSON\"}");
  assert_int_equal(sheaf__sim_canned_load(&b.world.canned, path, NULL, 0), SHEAF_OK);
  remove(path);
  for (unsigned i = 0; i < 2; i++) {
    bench_ask(&b, 1);
    b.call.asked.format = formats[i];
    b.call.asked.schema = SHEAF_LITERAL("{\"const\":5}");
    sheaf__sim_answer(&b.call);
    assert_part(&b, 0, "[1, 2]");
    bench_ask(&b, 1);
    sheaf_buf_append_text(&b.call.prompt, "!");
    b.call.asked.format = formats[i];
    b.call.asked.schema = SHEAF_LITERAL("{\"const\":5}");
    sheaf__sim_answer(&b.call);
    assert_part(&b, 0, i == 0 ? "5" : "{\"answer\":\"no JSON\"}");
  }
  sheaf__sim_canned_free(b.world.canned);
  bench_deinit(&b);
}

static void one_answer_may_be_for_the_rest(void **state) {
  (void)state;
  sim_canned *canned = NULL;
  sheaf_slice answer;
  const char *path = write_file(
      "\xef\xbb\xbf{\"answer\":\"rest\"}\n{\"answer\":\"no\"}\n"
      "{\"prompt\":\"p\",\"answer\":\"own\"}");
  assert_int_equal(sheaf__sim_canned_load(&canned, path, NULL, 0), SHEAF_OK);
  assert_true(sheaf__sim_canned_find(canned, SHEAF_LITERAL("p"), &answer));
  assert_memory_equal(answer.data, "own", 3);
  assert_true(sheaf__sim_canned_find(canned, (sheaf_slice){0}, &answer));
  assert_int_equal(answer.bytes, 4);
  assert_memory_equal(answer.data, "rest", 4);
  sheaf__sim_canned_free(canned);
  remove(path);
}

/* A thousand prompts, more than the first table has places for. */
static void many_prompts_are_all_found(void **state) {
  (void)state;
  sim_canned *canned = NULL;
  sheaf_buf file;
  sheaf_buf_init(&file, &allocator, 1u << 20);
  for (unsigned i = 0; i < 1000; i++) {
    char line[64];
    snprintf(line, sizeof line, "{\"prompt\":\"p%u\",\"answer\":\"a%u\"}\n", i, i);
    sheaf_buf_append_text(&file, line);
  }
  sheaf_buf_append(&file, "", 1);
  const char *path = write_file(file.data);
  assert_int_equal(sheaf__sim_canned_load(&canned, path, NULL, 0), SHEAF_OK);
  for (unsigned i = 0; i < 1001; i++) {
    char prompt[16], wanted[16];
    sheaf_slice answer;
    snprintf(prompt, sizeof prompt, "p%u", i);
    snprintf(wanted, sizeof wanted, "a%u", i);
    assert_int_equal(sheaf__sim_canned_find(canned, sheaf_slice_of(prompt), &answer), i < 1000);
    if (i < 1000) assert_int_equal(answer.bytes, strlen(wanted));
    if (i < 1000) assert_memory_equal(answer.data, wanted, answer.bytes);
  }
  sheaf__sim_canned_free(canned);
  sheaf_buf_deinit(&file);
  remove(path);
}

/* ---- What is said of bad lines ---- */

typedef int32_t (*load_fn)(const char *path, char *message, size_t bytes);

static int32_t load_canned(const char *path, char *message, size_t bytes) {
  sim_canned *canned = NULL;
  int32_t status = sheaf__sim_canned_load(&canned, path, message, bytes);
  sheaf__sim_canned_free(canned);
  return status;
}

static int32_t load_samples(const char *path, char *message, size_t bytes) {
  sim_samples samples;
  int32_t status = sheaf__sim_samples_load(&samples, path, message, bytes);
  sheaf__sim_samples_free(&samples);
  return status;
}

static int32_t load_schedule(const char *path, char *message, size_t bytes) {
  sim_schedule *schedule = NULL;
  int32_t status = sheaf__sim_schedule_load(&schedule, path, message, bytes);
  sheaf__sim_schedule_free(schedule);
  return status;
}

static void bad_lines_are_told_with_file_line_and_field(void **state) {
  (void)state;
  static const struct {
    load_fn load;
    const char *text, *place, *field;
  } rows[] = {
      {load_canned, "{\"prompt\":\"a\"}", "line 1", "\"answer\""},
      {load_canned, "\n\n{\"prompt\":1,\"answer\":\"x\"}", "line 3", "\"prompt\""},
      {load_canned, "{\"match\":[],\"answer\":\"x\"}", "line 1", "\"match\""},
      {load_canned, "{\"prompt\":\"a\",\"match\":\"b\",\"answer\":\"x\"}", "line 1", "\"match\""},
      {load_canned, "{\"promt\":\"a\",\"answer\":\"x\"}", "line 1", "\"promt\""},
      {load_canned, "{\"answer\":\"x\"}\nno", "line 2", "JSON"},
      {load_canned, "[1]", "line 1", "object"},
      {load_canned, "{\"answer\":\"\\ud800x\",\"prompt\":\"\\q\"}", "line 1", "JSON"},
      {load_samples, "12\nx", "line 2", "TTFT_MS"},
      {load_samples, "-1", "line 1", "TTFT_MS"},
      {load_samples, "1 2 3", "line 1", "TTFT_MS"},
      {load_samples, "1 b", "line 1", "TTFT_MS"},
      {load_samples, "86400001", "line 1", "TTFT_MS"},
      {load_samples, ",#", "line 1", "TTFT_MS"},
      {load_samples, "# nothing\n", "line 1", "latency"},
      {load_schedule, "{}", "line 1", "\"fault\""},
      {load_schedule, "{\"fault\":\"501\"}", "line 1", "\"fault\""},
      {load_schedule, "{\"fault\":500}", "line 1", "\"fault\""},
      {load_schedule, "{\"fault\":\"500\",\"rate\":1.1}", "line 1", "\"rate\""},
      {load_schedule, "{\"fault\":\"500\",\"rate\":\"1\"}", "line 1", "\"rate\""},
      {load_schedule, "{\"fault\":\"500\"}\n{\"fault\":\"500\",\"every\":0}", "line 2",
       "\"every\""},
      {load_schedule, "{\"fault\":\"500\",\"first\":0}", "line 1", "\"first\""},
      {load_schedule, "{\"fault\":\"500\",\"skip\":-1}", "line 1", "\"skip\""},
      {load_schedule, "{\"fault\":\"500\",\"skip\":1.5}", "line 1", "\"skip\""},
      {load_schedule, "{\"fault\":\"500\",\"from_ms\":9,\"to_ms\":9}", "line 1", "\"to_ms\""},
      {load_schedule, "{\"fault\":\"500\",\"path\":\"\"}", "line 1", "\"path\""},
      {load_schedule, "{\"fault\":\"500\",\"model\":7}", "line 1", "\"model\""},
      {load_schedule, "{\"fault\":\"500\",\"match\":true}", "line 1", "\"match\""},
      {load_schedule, "{\"fault\":\"500\",\"times\":3}", "line 1", "\"times\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char message[160] = "", path[64];
    copy_text(path, sizeof path, write_file(rows[i].text));
    assert_int_equal(rows[i].load(path, message, sizeof message), SHEAF_E_FIELD);
    if (!strstr(message, rows[i].field)) print_error("%s: %s\n", rows[i].text, message);
    assert_non_null(strstr(message, path));
    assert_non_null(strstr(message, rows[i].place));
    assert_non_null(strstr(message, rows[i].field));
    assert_true(strlen(message) < sizeof message - 1); /* none is cut short */
    remove(path);
  }
  char message[160] = "";
  assert_int_equal(load_schedule("/nowhere/at/all", message, sizeof message), SHEAF_E_IO);
  assert_non_null(strstr(message, "/nowhere/at/all"));
}

/* ---- Distributions ---- */

static int by_size(const void *a, const void *b) {
  const uint64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static uint64_t drawn[DRAWS];

static void sort_draws(void) {
  qsort(drawn, DRAWS, sizeof *drawn, by_size);
}

static double share_below(uint64_t bound) {
  unsigned count = 0;
  for (unsigned i = 0; i < DRAWS; i++) count += drawn[i] < bound;
  return (double)count / DRAWS;
}

/* The share p of the draws lies below the bound, to five deviations of sqrt(p (1 - p) / n). */
static void assert_share_below(double bound, double p) {
  double found = share_below((uint64_t)ceil(bound)), deviation = sqrt(p * (1 - p) / DRAWS);
  if (fabs(found - p) > 5 * deviation) print_error("below %f: %f, not %f\n", bound, found, p);
  assert_true(fabs(found - p) <= 5 * deviation);
}

/* The normal distribution at -2, -1, 0, 1 and 2 deviations. */
static const double normal[] = {0.022750, 0.158655, 0.5, 0.841345, 0.977250};

static void the_number_of_words_is_lognormal(void **state) {
  (void)state;
  bench b;
  bench_init(&b, SIM_CHAT);
  b.options.answer_kind = SHEAF_SIM_ANSWER_LOREM;
  b.options.answer_words = 400;
  b.options.answer_sigma_milli = 500;
  for (unsigned i = 0; i < DRAWS; i++) {
    bench_ask(&b, sheaf__sim_mix(77, i));
    sheaf__sim_answer(&b.call);
    drawn[i] = b.call.output_tokens;
    uint64_t spaces = 0;
    for (size_t n = 0; n < b.call.text.bytes; n++) spaces += b.call.text.data[n] == ' ';
    assert_int_equal(spaces + 1, drawn[i]);
  }
  /* What is drawn is rounded down, so that "below a whole number" stays what it was. */
  for (int z = -2; z <= 2; z++) assert_share_below(ceil(400 * exp(0.5 * z)), normal[z + 2]);
  bench_deinit(&b);
}

static void draw_ttft(const bench *b) {
  for (unsigned i = 0; i < DRAWS; i++) {
    uint64_t ns = sheaf__sim_ttft_ns(&b->world, sheaf__sim_mix(5, i));
    assert_int_equal(ns % 1000, 0);
    drawn[i] = ns / 1000;
  }
  sort_draws();
}

static void latencies_are_distributed_as_ordered(void **state) {
  (void)state;
  bench b;
  bench_init(&b, SIM_CHAT);
  b.options.latency = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_FIXED, .us = 1500};
  draw_ttft(&b);
  assert_int_equal(drawn[0], 1500);
  assert_int_equal(drawn[DRAWS - 1], 1500);
  b.options.latency =
      (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_UNIFORM, .us = 50000, .high_us = 150000};
  draw_ttft(&b);
  assert_in_range(drawn[0], 50000, 50200); /* of 10,000 all miss 200 us with odds of e^-20 */
  assert_in_range(drawn[DRAWS - 1], 149800, 150000);
  for (unsigned i = 1; i < 10; i++) assert_share_below(50000 + 10000.0 * i, i / 10.0);
  b.options.latency =
      (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_LOGNORMAL, .us = 80000, .sigma_milli = 800};
  draw_ttft(&b);
  for (int z = -2; z <= 2; z++) assert_share_below(80000 * exp(0.8 * z), normal[z + 2]);
  bench_deinit(&b);
}

static void gaps_are_drawn_for_each_token(void **state) {
  (void)state;
  bench b;
  bench_init(&b, SIM_CHAT);
  b.options.itl =
      (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_LOGNORMAL, .us = 20000, .sigma_milli = 400};
  for (unsigned i = 0; i < DRAWS; i++)
    drawn[i] = sheaf__sim_gap_ns(&b.world, 6 + i / 100, 1 + i % 100) / 1000;
  for (int z = -2; z <= 2; z++) assert_share_below(20000 * exp(0.4 * z), normal[z + 2]);
  sort_draws();
  unsigned equal = 0;
  for (unsigned i = 1; i < DRAWS; i++) equal += drawn[i] == drawn[i - 1];
  assert_true(equal < DRAWS / 2); /* of about 50,000 likely values */
  bench_deinit(&b);
}

static void a_whole_answer_takes_the_gaps_of_its_stream(void **state) {
  (void)state;
  static const uint32_t kinds[] = {SHEAF_SIM_SPREAD_FIXED, SHEAF_SIM_SPREAD_UNIFORM,
                                   SHEAF_SIM_SPREAD_LOGNORMAL};
  bench b;
  bench_init(&b, SIM_CHAT);
  for (unsigned i = 0; i < 3; i++) {
    b.options.itl =
        (sheaf_sim_spread){.kind = kinds[i], .us = 900, .high_us = 2000, .sigma_milli = 700};
    for (uint64_t count = 0; count < 50; count++) {
      uint64_t sum = 0;
      for (uint64_t n = 1; n < count; n++) sum += sheaf__sim_gap_ns(&b.world, 3, n);
      assert_int_equal(sheaf__sim_gaps_ns(&b.world, 3, count), sum);
    }
    /* Answers that are longer than anybody draws for still come to an end: a day. */
    assert_true(sheaf__sim_gaps_ns(&b.world, 3, UINT64_MAX) == 86400 * SIM_SECOND);
  }
  b.options.itl = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_UNIFORM, .us = 10, .high_us = 30};
  double mean = (double)sheaf__sim_gaps_ns(&b.world, 3, 1000001) / 1e6;
  assert_true(fabs(mean - 20000) < 5 * 6055.3 / sqrt(16384)); /* sqrt((21^2 - 1) / 12) us */
  bench_deinit(&b);
}

static void the_scale_multiplies_and_ends_at_a_day(void **state) {
  (void)state;
  static const struct {
    uint32_t milli;
    uint64_t ns, scaled;
  } rows[] = {
      {1000, 123456789, 123456789},
      {0, 123456789, 0},
      {100, 1000, 100},
      {1, 999, 0},
      {2500, 4, 10},
      {1000, UINT64_MAX, 86400 * SIM_SECOND},
      {UINT32_MAX, 86400 * SIM_SECOND, 86400 * SIM_SECOND},
      {500, 86400 * SIM_SECOND, 43200 * SIM_SECOND},
  };
  bench b;
  bench_init(&b, SIM_CHAT);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    b.options.time_scale_milli = rows[i].milli;
    assert_true(sheaf__sim_scaled(&b.world, rows[i].ns) == rows[i].scaled);
  }
  bench_deinit(&b);
}

/* ---- The recorded file ---- */

static void recorded_latencies_are_drawn_line_by_line(void **state) {
  (void)state;
  static const char lines[] = "# TTFT ITL\n120 10\n\n250.5 20.25 # slow\n90\n1e3, 5\n";
  static const struct {
    uint64_t ttft_us, itl_us;
  } rows[] = {{120000, 10000}, {250500, 20250}, {90000, 0}, {1000000, 5000}};
  unsigned met[4] = {0};
  bench b;
  bench_init(&b, SIM_CHAT);
  char path[64];
  copy_text(path, sizeof path, write_file(lines));
  b.options.latency = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_FILE, .path = path};
  assert_int_equal(sheaf__sim_samples_load(&b.world.latency, path, NULL, 0), SHEAF_OK);
  assert_int_equal(b.world.latency.count, 4);
  for (uint64_t key = 0; key < DRAWS; key++) {
    uint64_t ttft = sheaf__sim_ttft_ns(&b.world, key) / 1000, i = 0;
    while (i < 4 && rows[i].ttft_us != ttft) i++;
    assert_true(i < 4);
    met[i]++;
    /* The line's two numbers belong together, for all of its tokens. */
    assert_int_equal(sheaf__sim_gap_ns(&b.world, key, 1) / 1000, rows[i].itl_us);
    assert_int_equal(sheaf__sim_gaps_ns(&b.world, key, 11) / 10000, rows[i].itl_us);
  }
  for (unsigned i = 0; i < 4; i++) assert_in_range(met[i], 2500 - 217, 2500 + 217);
  b.options.itl = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_FIXED, .us = 7};
  assert_int_equal(sheaf__sim_gap_ns(&b.world, 1, 1), 7000); /* what was said counts for more */
  sheaf__sim_samples_free(&b.world.latency);
  remove(path);
  bench_deinit(&b);
}

static void recorded_gaps_are_drawn_for_each_token(void **state) {
  (void)state;
  unsigned met[2] = {0};
  bench b;
  bench_init(&b, SIM_CHAT);
  char path[64];
  copy_text(path, sizeof path, write_file("3\n100 8\n"));
  b.options.itl = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_FILE, .path = path};
  assert_int_equal(sheaf__sim_samples_load(&b.world.itl, path, NULL, 0), SHEAF_OK);
  for (uint64_t n = 1; n <= 1000; n++) {
    uint64_t us = sheaf__sim_gap_ns(&b.world, 9, n) / 1000;
    assert_true(us == 3000 || us == 8000);
    met[us == 8000]++;
  }
  assert_in_range(met[0], 421, 579); /* a half: 5 deviations of 15.8 */
  sheaf__sim_samples_free(&b.world.itl);
  remove(path);
  bench_deinit(&b);
}

/* ---- Pieces ---- */

/* Takes the stream of the call apart and puts it together again by parts. */
static void pieces_join_to_the_text(bench *b, uint64_t pieces_least, uint64_t pieces_most) {
  uint64_t gap_ns, steps = 0;
  b->call.is_stream = true;
  b->call.content_type = "text/event-stream";
  bool is_more = true;
  while (is_more) {
    is_more = sheaf__sim_stream_step(&b->call, &gap_ns);
    steps++;
    assert_true(b->call.out.status == SHEAF_OK);
    if (is_more)
      assert_int_equal(gap_ns, sheaf__sim_gap_ns(&b->world, b->call.key, b->call.tokens_sent));
    else
      assert_int_equal(gap_ns, 0);
  }
  assert_in_range(b->call.tokens_sent, pieces_least, pieces_most);
  assert_true(steps <= b->call.tokens_sent + 1);
  reply got;
  reply_init(&got);
  sheaf_buf_append_slice(&got.body, sheaf_buf_slice(&b->call.out));
  for (uint32_t i = 0; i < b->call.part_count; i++) {
    sheaf_slice text = sheaf__sim_part_text(&b->call, &b->call.parts[i]);
    sheaf_buf joined;
    sheaf_buf_init(&joined, &allocator, 1u << 20);
    const char *at = got.body.data, *end = at + got.body.bytes;
    for (const char *line; at < end; at = line) {
      line = memchr(at, '\n', (size_t)(end - at));
      line = line ? line + 1 : end;
      sheaf_slice json = {at + 6, (size_t)(line - at) - 7}, index;
      if (line - at < 8 || memcmp(at, "data: {", 7) != 0) continue;
      static const char *const paths[] = {"choices[0].index", "choices[0].delta.content"};
      sheaf_slice values[2];
      assert_int_equal(sheaf_json_pick(json, paths, 2, values, NULL, NULL), SHEAF_OK);
      index = values[0];
      int64_t choice;
      if (sheaf_json_int(index, &choice) != SHEAF_OK || choice != b->call.parts[i].choice) continue;
      sheaf_slice piece = sheaf_json_inside(values[1]);
      sheaf_buf_append_unescaped(&joined, piece);
      /* A character that was cut in two would have become a replacement. */
      for (size_t n = 0; n + 2 < piece.bytes; n++)
        assert_true(memcmp(piece.data + n, "\xef\xbf\xbd", 3) != 0);
    }
    assert_int_equal(joined.bytes, text.bytes);
    assert_memory_equal(joined.data, text.data, text.bytes);
    sheaf_buf_deinit(&joined);
  }
  reply_deinit(&got);
}

static void streams_are_parted_about_a_token_at_a_time(void **state) {
  (void)state;
  static const char *const prompts[] = {"",
                                        "hello",
                                        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
                                        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
                                        "a\xf0\x9f\x98\x80_\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
                                        "line\nbreak \"quoted\" \\ end"};
  bench b;
  bench_init(&b, SIM_CHAT);
  b.options.itl = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_UNIFORM, .us = 5, .high_us = 500};
  for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
    bench_ask(&b, i);
    sheaf_buf_reset(&b.call.prompt);
    sheaf_buf_append_text(&b.call.prompt, prompts[i]);
    sheaf__sim_answer(&b.call);
    pieces_join_to_the_text(&b, b.call.output_tokens - 1, b.call.output_tokens);
  }
  b.options.answer_kind = SHEAF_SIM_ANSWER_LOREM;
  for (uint64_t key = 0; key < 20; key++) {
    bench_ask(&b, key);
    b.call.asked.choices = 3;
    sheaf__sim_answer(&b.call);
    pieces_join_to_the_text(&b, b.call.output_tokens, b.call.output_tokens);
  }
  bench_deinit(&b);
}

static void choices_take_turns(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "lorem:6:0", NULL);
  reply got;
  char order[256] = "";
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"n\":2,\"stream\":true," HELLO "}", NULL);
  const char *at = got.body.data, *end = at + got.body.bytes;
  for (const char *line; at < end; at = line) {
    line = memchr(at, '\n', (size_t)(end - at));
    line = line ? line + 1 : end;
    if (line - at < 8 || memcmp(at, "data: {", 7) != 0) continue;
    sheaf_slice json = {at + 6, (size_t)(line - at) - 7};
    if (*pick_in(json, "choices[0].delta.content"))
      copy_text(order + strlen(order), sizeof order - strlen(order),
                pick_in(json, "choices[0].index"));
  }
  assert_string_equal(order, "010101010101");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_header_asks_for_any_kind),
      cmocka_unit_test(the_option_sets_the_kind_and_the_header_overrides_it),
      cmocka_unit_test(json_is_json_whatever_the_kind),
      cmocka_unit_test(several_prompts_in_a_call_are_answered_one_by_one),
      cmocka_unit_test(what_only_looks_like_several_prompts_is_not_taken_for_them),
      cmocka_unit_test(an_enum_is_answered_without_quotes),
      cmocka_unit_test(tools_are_called_where_they_have_to_be),
      cmocka_unit_test(tools_and_their_number_are_drawn),
      cmocka_unit_test(after_a_tool_s_result_comes_text),
      cmocka_unit_test(the_same_seed_and_request_give_the_same_bytes),
      cmocka_unit_test(words_are_cut_at_max_tokens),
      cmocka_unit_test(other_texts_are_cut_at_characters),
      cmocka_unit_test(cut_json_is_cut_json),
      cmocka_unit_test(a_ceiling_is_for_all_calls_of_a_choice),
      cmocka_unit_test(arguments_are_an_object_whatever_the_schema_says),
      cmocka_unit_test(the_first_of_many_choices_is_the_only_one_of_one),
      cmocka_unit_test(each_prompt_has_its_choices),
      cmocka_unit_test(counting_and_embedding_generate_nothing),
      cmocka_unit_test(canned_answers_come_from_the_file),
      cmocka_unit_test(canned_json_is_given_where_json_is_wanted),
      cmocka_unit_test(one_answer_may_be_for_the_rest),
      cmocka_unit_test(many_prompts_are_all_found),
      cmocka_unit_test(bad_lines_are_told_with_file_line_and_field),
      cmocka_unit_test(the_number_of_words_is_lognormal),
      cmocka_unit_test(latencies_are_distributed_as_ordered),
      cmocka_unit_test(gaps_are_drawn_for_each_token),
      cmocka_unit_test(a_whole_answer_takes_the_gaps_of_its_stream),
      cmocka_unit_test(the_scale_multiplies_and_ends_at_a_day),
      cmocka_unit_test(recorded_latencies_are_drawn_line_by_line),
      cmocka_unit_test(recorded_gaps_are_drawn_for_each_token),
      cmocka_unit_test(streams_are_parted_about_a_token_at_a_time),
      cmocka_unit_test(choices_take_turns),
  };
  RUN_SUITE(tests);
}
