/* test_sim_ollama.c: the simulator as Ollama: what its server's source and its client's types say,
 * over real sockets.
 *
 *   answers        chat, generate, metrics, models that are only loaded
 *   streams        lines, on unless turned off
 *   tools, JSON    calls, formats
 *   embeddings, tags, show, version
 *   refusals, limits, faults */
#include "../support/sim_events.h"

#define OLLAMA_CHAT "/api/chat"
#define GENERATE "/api/generate"
#define WHOLE ",\"stream\":false"
#define CHAT_BODY(rest) "{\"model\":\"llama\"," HELLO rest "}"
#define GENERATE_BODY(rest) "{\"model\":\"llama\",\"prompt\":\"hello\"" rest "}"

static void ask(const sheaf_sim *sim, reply *got, const char *path, const char *body) {
  fetch(sim, got, path, body, NULL);
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got->body), NULL), SHEAF_OK);
}

static void ask_ok(const sheaf_sim *sim, reply *got, const char *path, const char *body) {
  ask(sim, got, path, body);
  if (got->status != 200) print_error("%s\n", got->text);
  assert_int_equal(got->status, 200);
}

/* ---- Answers ---- */

/* A token is four bytes, rounded up: "hello" is two, "echo: hello" three. */
static void assert_metrics(sheaf_slice json) {
  static const char *const durations[] = {"total_duration", "load_duration", "prompt_eval_duration",
                                          "eval_duration"};
  int64_t sum = 0;
  assert_at(json, "done", "true");
  assert_at(json, "done_reason", "stop");
  assert_at(json, "prompt_eval_count", "2");
  assert_at(json, "eval_count", "3");
  for (size_t i = 0; i < 4; i++) {
    int64_t ns = int_at(json, durations[i]);
    assert_true(ns > 0);
    if (i) sum += ns;
  }
  assert_true(int_at(json, "total_duration") >= sum);
  assert_rfc3339(pick_in(json, "created_at"), true);
  assert_at(json, "model", "llama");
}

static void a_chat_answers_one_object_when_the_stream_is_off(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, OLLAMA_CHAT, CHAT_BODY(WHOLE));
  assert_in(&got, "message.role", "assistant");
  assert_in(&got, "message.content", "echo: hello");
  assert_in(&got, "message.tool_calls", "");
  assert_metrics(sheaf_buf_slice(&got.body));
  assert_begins(header_of(&got, "content-type"), "application/json");
  assert_int_equal(stat_of(sim, "billed.input_tokens"), 2);
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 3);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void generate_answers_a_response_and_its_context(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, GENERATE, GENERATE_BODY(WHOLE));
  assert_in(&got, "response", "echo: hello");
  assert_in(&got, "message", "");
  assert_metrics(sheaf_buf_slice(&got.body));
  assert_true(pick_int(&got, "context[4]") >= 0); /* of two and three tokens */
  assert_in(&got, "context[5]", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* 100 ms to the first token and 10 ms for each of the two after it, in nanoseconds. */
static void durations_are_those_of_the_latency(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:100", "itl", "fixed:10", NULL);
  reply got;
  ask_ok(sim, &got, OLLAMA_CHAT, CHAT_BODY(WHOLE));
  assert_int_equal(pick_int(&got, "eval_duration"), 20000000);
  assert_int_equal(pick_int(&got, "load_duration") + pick_int(&got, "prompt_eval_duration"),
                   100000000);
  assert_int_equal(pick_int(&got, "total_duration"), 120000000);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void num_predict_cuts_the_answer(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, OLLAMA_CHAT, CHAT_BODY(WHOLE ",\"options\":{\"num_predict\":2,\"x\":1}"));
  assert_in(&got, "message.content", "echo: he");
  assert_in(&got, "done_reason", "length");
  assert_in(&got, "eval_count", "2");
  reply_deinit(&got);
  ask_ok(sim, &got, GENERATE, GENERATE_BODY(WHOLE ",\"options\":{\"num_predict\":-1}"));
  assert_in(&got, "response", "echo: hello");
  assert_in(&got, "done_reason", "stop");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void without_a_prompt_the_model_is_only_loaded(void **state) {
  (void)state;
  static const char *const rows[][3] = {
      {OLLAMA_CHAT, "{\"model\":\"llama\"}", "load"},
      {OLLAMA_CHAT, "{\"model\":\"llama\",\"messages\":[],\"keep_alive\":0}", "unload"},
      {GENERATE, "{\"model\":\"llama\"}", "load"},
      {GENERATE, "{\"model\":\"llama\",\"keep_alive\":5}", "load"},
      {GENERATE, "{\"model\":\"llama\",\"prompt\":\"\",\"keep_alive\":\"5m\"}", "load"},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    ask_ok(sim, &got, rows[i][0], rows[i][1]);
    assert_in(&got, "done", "true");
    assert_in(&got, "done_reason", rows[i][2]);
    assert_in(&got, i < 2 ? "message.content" : "response", "");
    assert_in(&got, "eval_count", "");
    reply_deinit(&got);
  }
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 0);
  sheaf_sim_stop(sim);
}

/* What an image costs is not published; that it costs is. */
static void images_and_tools_are_charged(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, OLLAMA_CHAT,
         "{\"model\":\"llama\",\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"hello\",\"images\":[\"AA==\",\"AA==\"]}]}");
  assert_in(&got, "message.content", "echo: hello");
  assert_true(pick_int(&got, "prompt_eval_count") > 100);
  reply_deinit(&got);
  ask_ok(sim, &got, OLLAMA_CHAT,
         CHAT_BODY(WHOLE ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                         "\"description\":\"0123456789012345678901234567890123456789\"}}]"));
  /* 5 of the prompt, 1 of the name, 40 of the description. */
  assert_int_equal(pick_int(&got, "prompt_eval_count"), 12);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void fields_that_are_not_known_are_ignored(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(
      sim, &got, OLLAMA_CHAT,
      CHAT_BODY(WHOLE
                ",\"foo\":1,\"keep_alive\":-1,\"think\":\"low\",\"top_logprobs\":0,\"format\":\"\","
                "\"options\":{\"temperature\":0.5,\"stop\":[\"x\"],\"num_ctx\":4096}"));
  assert_in(&got, "message.content", "echo: hello");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Streams ---- */

/* Joins the lines' texts; the last one is left in `last`. Every line is an object; all but the last
 * say that more will come. */
static unsigned gather(const reply *got, const char *path, char *text, size_t room,
                       sheaf_slice *last) {
  unsigned count = 0;
  sheaf_slice rest = sheaf_buf_slice(&got->body);
  text[0] = 0;
  for (; rest.bytes; count++) {
    *last = take_line(&rest);
    assert_int_equal(sheaf_json_check(*last, NULL), SHEAF_OK);
    assert_at(*last, "model", "llama");
    assert_at(*last, "done", rest.bytes ? "false" : "true");
    assert_rfc3339(pick_in(*last, "created_at"), true);
    append_at(text, room, *last, path);
  }
  return count;
}

static void a_stream_is_the_default_and_joins_to_the_text(void **state) {
  (void)state;
  static const char *const rows[][3] = {
      {OLLAMA_CHAT, CHAT_BODY(), "message.content"},
      {OLLAMA_CHAT, CHAT_BODY(",\"stream\":true"), "message.content"},
      {GENERATE, GENERATE_BODY(), "response"},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    char text[256];
    sheaf_slice last;
    fetch(sim, &got, rows[i][0], rows[i][1], NULL);
    assert_int_equal(got.status, 200);
    assert_begins(header_of(&got, "content-type"), "application/x-ndjson");
    assert_int_equal(gather(&got, rows[i][2], text, sizeof text, &last), 4); /* a token each, end */
    assert_string_equal(text, "echo: hello");
    assert_metrics(last);
    reply_deinit(&got);
  }
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 9);
  sheaf_sim_stop(sim);
}

/* ---- Tools and JSON ---- */

#define TOOLS                                                                                \
  ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_unit\",\"description\":"  \
  "\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{\"unit\":{\"type\":\"string\"," \
  "\"enum\":[\"kelvin\"]}},\"required\":[\"unit\"],\"additionalProperties\":false}}}]"

static void a_tool_call_has_an_object_of_arguments(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "tool", NULL);
  reply got;
  ask_ok(sim, &got, OLLAMA_CHAT, CHAT_BODY(TOOLS WHOLE));
#define CALL "message.tool_calls[0].function"
  assert_in(&got, CALL ".name", "get_unit");
  assert_in(&got, CALL ".index", "0");
  assert_in(&got, CALL ".arguments.unit", "kelvin");
  assert_in(&got, "message.content", "");
  assert_in(&got, "done_reason", "stop");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_streamed_call_is_whole(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "tool", NULL);
  reply got;
  char text[256];
  sheaf_slice last;
  fetch(sim, &got, OLLAMA_CHAT, CHAT_BODY(TOOLS), NULL);
  gather(&got, "message.content", text, sizeof text, &last);
  assert_string_equal(text, "");
  assert_at(last, "message.tool_calls", "");
  sheaf_slice rest = sheaf_buf_slice(&got.body);
  sheaf_slice first = take_line(&rest);
  assert_at(first, CALL ".name", "get_unit");
  assert_at(first, CALL ".arguments.unit", "kelvin");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_format_makes_the_text_json(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  char text[512];
  ask_ok(sim, &got, OLLAMA_CHAT,
         CHAT_BODY(WHOLE ",\"format\":{\"type\":\"object\",\"properties\":{\"a\":{\"const\":3}},"
                         "\"required\":[\"a\"],\"additionalProperties\":false}"));
  copy_text(text, sizeof text, pick(&got, "message.content"));
  assert_at(sheaf_slice_of(text), "a", "3");
  reply_deinit(&got);
  ask_ok(sim, &got, GENERATE, GENERATE_BODY(WHOLE ",\"format\":\"json\""));
  copy_text(text, sizeof text, pick(&got, "response"));
  assert_int_equal(sheaf_json_check(sheaf_slice_of(text), NULL), SHEAF_OK);
  assert_int_equal(sheaf_json_kind(sheaf_slice_of(text)), SHEAF_JSON_OBJECT);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Embeddings, tags, show, version ---- */

static void embeddings_belong_to_their_input(void **state) {
  (void)state;
  sheaf_sim *sim = start("dimensions", "3", NULL);
  reply one, many;
  char first[256], second[256];
  ask_ok(sim, &one, "/api/embed", "{\"model\":\"llama\",\"input\":\"cat\"}");
  ask_ok(sim, &many, "/api/embed",
         "{\"model\":\"llama\",\"input\":[\"dog\",\"cat\"],\"truncate\":true}");
  assert_in(&one, "model", "llama");
  assert_in(&one, "prompt_eval_count", "1");
  assert_true(pick_int(&one, "total_duration") > 0);
  assert_true(pick_int(&one, "load_duration") > 0);
  copy_text(first, sizeof first, pick(&one, "embeddings[0]"));
  copy_text(second, sizeof second, pick(&many, "embeddings[1]"));
  assert_string_equal(first, second);
  assert_true(strcmp(first, pick(&many, "embeddings[0]")) != 0);
  assert_in(&one, "embeddings[0][3]", "");
  assert_true(pick(&one, "embeddings[0][2]")[0] != 0);
  assert_in(&one, "embeddings[1]", "");
  assert_in(&many, "embeddings[2]", "");
  reply_deinit(&many);
  ask_ok(sim, &many, "/api/embeddings", "{\"model\":\"llama\",\"prompt\":\"cat\"}");
  assert_in(&many, "embedding", first);
  reply_deinit(&one);
  reply_deinit(&many);
  sheaf_sim_stop(sim);
}

static void nothing_to_embed_gives_no_vector(void **state) {
  (void)state;
  static const char *const bodies[] = {"{\"model\":\"llama\"}",
                                       "{\"model\":\"llama\",\"input\":\"\"}",
                                       "{\"model\":\"llama\",\"input\":[]}"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < 3; i++) {
    reply got;
    ask_ok(sim, &got, "/api/embed", bodies[i]);
    assert_in(&got, "embeddings", "[]");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void models_are_told(void **state) {
  (void)state;
  sheaf_sim *sim = start("models", "llama,qwen:7b", NULL);
  reply got;
  ask_ok(sim, &got, "/api/tags", NULL);
  assert_in(&got, "models[0].name", "llama:latest");
  assert_in(&got, "models[0].model", "llama:latest");
  assert_in(&got, "models[1].name", "qwen:7b");
  assert_in(&got, "models[2]", "");
  assert_rfc3339(pick(&got, "models[0].modified_at"), false);
  assert_true(pick_int(&got, "models[0].size") > 0);
  assert_int_equal(strlen(pick(&got, "models[0].digest")), 64); /* of SHA-256, in hexadecimal */
  assert_in(&got, "models[0].details.format", "gguf");
  assert_true(pick(&got, "models[0].details.families[0]")[0] != 0);
  reply_deinit(&got);
  ask_ok(sim, &got, "/api/ps", NULL);
  assert_in(&got, "models[0].model", "llama:latest");
  assert_rfc3339(pick(&got, "models[0].expires_at"), false);
  assert_true(pick_int(&got, "models[0].size_vram") > 0);
  reply_deinit(&got);
  ask_ok(sim, &got, "/api/version", NULL);
  assert_true(pick(&got, "version")[0] != 0);
  reply_deinit(&got);
  ask_ok(sim, &got, "/api/show", "{\"model\":\"qwen:7b\"}");
  assert_in(&got, "details.format", "gguf");
  assert_in(&got, "capabilities[0]", "completion");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/api/show", "{\"model\":\"nope\"}", NULL), 404);
  /* The tag "latest" goes without saying. */
  assert_int_equal(status_of(sim, OLLAMA_CHAT, "{\"model\":\"llama:latest\"," HELLO "}", NULL),
                   200);
  sheaf_sim_stop(sim);
}

/* ---- Refusals ---- */

typedef struct refusal {
  const char *path, *body;
  long status;
  const char *message;
} refusal;

static void assert_refused(const reply *got, long status, const char *message) {
  if (got->status != status) print_error("%s\n", got->text);
  assert_int_equal(got->status, status);
  assert_in(got, "error", message);
}

static void bodies_are_refused_in_the_servers_words(void **state) {
  (void)state;
  static const refusal rows[] = {
      {OLLAMA_CHAT, "", 400, "missing request body"},
      {OLLAMA_CHAT, "{\"model\":", 400, "unexpected EOF"},
      {OLLAMA_CHAT, "{" HELLO "}", 400, "model is required"},
      {GENERATE, "{\"prompt\":\"x\"}", 404, "model '' not found"},
      {OLLAMA_CHAT, "{\"model\":\"nope\"," HELLO "}", 404, "model 'nope' not found"},
      {GENERATE, "{\"model\":\"nope\",\"prompt\":\"x\"}", 404, "model 'nope' not found"},
      {"/api/embed", "{\"model\":\"nope\",\"input\":\"x\"}", 404, "model 'nope' not found"},
      {OLLAMA_CHAT, "{\"model\":7," HELLO "}", 400,
       "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"},
      {GENERATE, "{\"model\":\"llama\",\"prompt\":[]}", 400,
       "json: cannot unmarshal array into Go struct field GenerateRequest.prompt of type string"},
      {OLLAMA_CHAT, "{\"model\":\"llama\",\"messages\":\"x\"}", 400,
       "json: cannot unmarshal string into Go struct field ChatRequest.messages of type "
       "[]api.Message"},
      {OLLAMA_CHAT, "{\"model\":\"llama\",\"messages\":[{\"role\":\"user\",\"content\":[]}]}", 400,
       "json: cannot unmarshal array into Go struct field Alias.content of type string"},
      {OLLAMA_CHAT, CHAT_BODY(",\"stream\":1"), 400,
       "json: cannot unmarshal number into Go struct field ChatRequest.stream of type bool"},
      {OLLAMA_CHAT, CHAT_BODY(",\"options\":true"), 400,
       "json: cannot unmarshal bool into Go struct field ChatRequest.options of type "
       "map[string]interface {}"},
      {GENERATE, "{\"model\":{},\"prompt\":\"x\"}", 400,
       "json: cannot unmarshal object into Go struct field GenerateRequest.model of type string"},
      {OLLAMA_CHAT, CHAT_BODY(",\"tools\":[7]"), 400,
       "json: cannot unmarshal number into Go struct field ChatRequest.tools of type api.Tool"},
      {OLLAMA_CHAT, CHAT_BODY(",\"top_logprobs\":1.5"), 400,
       "json: cannot unmarshal number 1.5 into Go struct field ChatRequest.top_logprobs of type "
       "int"},
      {OLLAMA_CHAT, CHAT_BODY(",\"top_logprobs\":21"), 400,
       "top_logprobs must be between 0 and 20"},
      {"/api/embed", "{\"model\":\"llama\",\"input\":7}", 400, "invalid input type"},
      {"/api/embed", "{\"model\":\"llama\",\"input\":[7]}", 400, "invalid input type"},
      {OLLAMA_CHAT, CHAT_BODY(",\"options\":{\"num_predict\":\"9\"}"), 500,
       "option \"num_predict\" must be of type integer"},
      {"/api/show", "{}", 400, "model is required"},
      {"/api/nope", "{}", 404, "404 page not found"},
  };
  sheaf_sim *sim = start("models", "llama", NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    ask(sim, &got, rows[i].path, rows[i].body);
    assert_refused(&got, rows[i].status, rows[i].message);
    reply_deinit(&got);
  }
  reply got;
  ask(sim, &got, OLLAMA_CHAT, CHAT_BODY(",\"format\":\"xml\""));
  assert_int_equal(got.status, 500);
  assert_begins(pick(&got, "error"), "invalid format: ");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_prompt_beyond_the_context_is_truncated(void **state) {
  (void)state;
  static const char body[] =
      "{\"model\":\"llama\",\"prompt\":\"0123456789012345678901234567890123456789\""
      ",\"stream\":false";
  sheaf_sim *sim = start("context", "8", NULL);
  char text[256];
  reply got;
  snprintf(text, sizeof text, "%s}", body);
  ask_ok(sim, &got, GENERATE, text);
  assert_in_range(pick_int(&got, "prompt_eval_count"), 1, 8);
  reply_deinit(&got);
  snprintf(text, sizeof text, "%s,\"truncate\":false}", body);
  ask(sim, &got, GENERATE, text);
  assert_refused(&got, 400, "the input length exceeds the context length");
  reply_deinit(&got);
  ask_ok(sim, &got, GENERATE, GENERATE_BODY(WHOLE ",\"options\":{\"num_predict\":100}"));
  assert_in(&got, "response", "echo: hello");
  reply_deinit(&got);
#define LONG "\"0123456789012345678901234567890123456789\""
  ask_ok(sim, &got, "/api/embed", "{\"model\":\"llama\",\"input\":" LONG "}");
  assert_in_range(pick_int(&got, "prompt_eval_count"), 1, 8);
  reply_deinit(&got);
  ask(sim, &got, "/api/embed", "{\"model\":\"llama\",\"input\":" LONG ",\"truncate\":false}");
  assert_refused(&got, 400, "the input length exceeds the context length");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Limits and faults ---- */

#define BUSY "server busy, please try again.  maximum pending requests exceeded"

static void faults_have_the_servers_words(void **state) {
  (void)state;
  static const refusal rows[] = {
      {"x-sheaf-fault: 529", NULL, 503, BUSY},
      {"x-sheaf-fault: 503", NULL, 503, "llm server loading model"},
      {"x-sheaf-fault: 500", NULL, 500,
       "an error was encountered while running the model: unexpected EOF"},
      {"x-sheaf-fault: 429", NULL, 429, "too many requests"},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    fetch(sim, &got, OLLAMA_CHAT, CHAT_BODY(), rows[i].path);
    assert_refused(&got, rows[i].status, rows[i].message);
    assert_begins(header_of(&got, "content-type"), "application/json");
    assert_int_equal(header_of(&got, "retry-after") != NULL, rows[i].status == 429);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_key_may_be_asked_for(void **state) {
  (void)state;
  sheaf_sim *sim = start("key", "k", NULL);
  reply got;
  ask(sim, &got, OLLAMA_CHAT, CHAT_BODY());
  assert_refused(&got, 401, "unauthorized");
  assert_true(pick(&got, "signin_url")[0] != 0);
  reply_deinit(&got);
  assert_int_equal(status_of(sim, OLLAMA_CHAT, CHAT_BODY(), "Authorization: Bearer k"), 200);
  sheaf_sim_stop(sim);
}

static void a_stream_can_fail_inside(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  sheaf_slice line = {NULL, 0};
  unsigned count = 0;
  fetch(sim, &got, OLLAMA_CHAT, CHAT_BODY(), "x-sheaf-fault: late-error");
  assert_int_equal(got.status, 200);
  for (sheaf_slice rest = sheaf_buf_slice(&got.body); rest.bytes; count++) {
    line = take_line(&rest);
    assert_int_equal(sheaf_json_check(line, NULL), SHEAF_OK);
  }
  assert_true(count >= 2);
  assert_begins(pick_in(line, "error"), "an error was encountered while running the model");
  assert_at(line, "done", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void usage_can_be_left_out(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(sim, &got, OLLAMA_CHAT, CHAT_BODY(), "x-sheaf-fault: no-usage");
  assert_int_equal(got.status, 200);
  assert_non_null(strstr(got.text, "\"done\":true"));
  assert_null(strstr(got.text, "eval_count"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_chat_answers_one_object_when_the_stream_is_off),
      cmocka_unit_test(generate_answers_a_response_and_its_context),
      cmocka_unit_test(durations_are_those_of_the_latency),
      cmocka_unit_test(num_predict_cuts_the_answer),
      cmocka_unit_test(without_a_prompt_the_model_is_only_loaded),
      cmocka_unit_test(images_and_tools_are_charged),
      cmocka_unit_test(fields_that_are_not_known_are_ignored),
      cmocka_unit_test(a_stream_is_the_default_and_joins_to_the_text),
      cmocka_unit_test(a_tool_call_has_an_object_of_arguments),
      cmocka_unit_test(a_streamed_call_is_whole),
      cmocka_unit_test(a_format_makes_the_text_json),
      cmocka_unit_test(embeddings_belong_to_their_input),
      cmocka_unit_test(nothing_to_embed_gives_no_vector),
      cmocka_unit_test(models_are_told),
      cmocka_unit_test(bodies_are_refused_in_the_servers_words),
      cmocka_unit_test(a_prompt_beyond_the_context_is_truncated),
      cmocka_unit_test(faults_have_the_servers_words),
      cmocka_unit_test(a_key_may_be_asked_for),
      cmocka_unit_test(a_stream_can_fail_inside),
      cmocka_unit_test(usage_can_be_left_out),
  };
  RUN_SUITE(tests);
}
