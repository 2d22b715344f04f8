/* test_sim_gemini.c: the simulator as the Gemini API: what the official SDK's types and the
 * service's published errors say, over real sockets.
 *
 *   answers        candidates, usage, names in camelCase and snake_case
 *   streams        events and the array
 *   tools, JSON    modes, arguments, schemas
 *   embeddings, counts, models
 *   refusals, limits, faults */
#include "../support/sim_events.h"

#define MODEL "/v1beta/models/gemini-x"
#define GENERATE MODEL ":generateContent"
#define STREAM MODEL ":streamGenerateContent"
#define SSE STREAM "?alt=sse"
#define CONTENTS "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]"
#define BODY(rest) "{" CONTENTS rest "}"
#define API "type.googleapis.com/google.ai.generativelanguage.v1beta."
#define BAD_REQUEST "type.googleapis.com/google.rpc.BadRequest"

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

static void a_response_has_candidates_and_usage(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, GENERATE, BODY());
  assert_in(&got, "candidates[0].content.parts[0].text", "echo: hello");
  assert_in(&got, "candidates[0].content.parts[1]", "");
  assert_in(&got, "candidates[0].content.role", "model");
  assert_in(&got, "candidates[0].finishReason", "STOP");
  assert_in(&got, "candidates[0].index", "0");
  assert_in(&got, "candidates[1]", "");
  assert_in(&got, "modelVersion", "gemini-x");
  assert_true(pick(&got, "responseId")[0] != 0);
  /* A token is four bytes, rounded up. */
  assert_in(&got, "usageMetadata.promptTokenCount", "2");
  assert_in(&got, "usageMetadata.candidatesTokenCount", "3");
  assert_in(&got, "usageMetadata.totalTokenCount", "5");
  assert_in(&got, "usageMetadata.promptTokensDetails[0].modality", "TEXT");
  assert_in(&got, "usageMetadata.promptTokensDetails[0].tokenCount", "2");
  assert_in(&got, "usageMetadata.candidatesTokensDetails[0].tokenCount", "3");
  assert_begins(header_of(&got, "content-type"), "application/json");
  assert_int_equal(stat_of(sim, "billed.input_tokens"), 2);
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 3);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* "abcd" and "efghi" are nine bytes: three tokens. */
static void names_are_taken_in_both_cases_and_lists_of_one(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "{\"contents\":[{\"parts\":[{\"text\":\"abcd\"}]}],\"systemInstruction\":{\"parts\":[{"
      "\"text\":\"efghi\"}]},\"generationConfig\":{\"maxOutputTokens\":2}}",
      "{\"contents\":[{\"parts\":[{\"text\":\"abcd\"}]}],\"system_instruction\":{\"parts\":[{"
      "\"text\":\"efghi\"}]},\"generation_config\":{\"max_output_tokens\":2}}",
      "{\"contents\":{\"parts\":{\"text\":\"abcd\"}},\"system_instruction\":{\"parts\":{\"text\":"
      "\"efghi\"}},\"generationConfig\":{\"maxOutputTokens\":\"2\"}}"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    reply got;
    ask_ok(sim, &got, GENERATE, bodies[i]);
    assert_in(&got, "candidates[0].content.parts[0].text", "echo: ab");
    assert_in(&got, "candidates[0].finishReason", "MAX_TOKENS");
    assert_in(&got, "usageMetadata.promptTokenCount", "3");
    assert_in(&got, "usageMetadata.candidatesTokenCount", "2");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void several_candidates_are_numbered(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "lorem:5:0", NULL);
  reply got;
  ask_ok(sim, &got, GENERATE, BODY(",\"generationConfig\":{\"candidateCount\":3}"));
  for (int i = 0; i < 3; i++) {
    char path[64], number[16];
    snprintf(path, sizeof path, "candidates[%d].index", i);
    snprintf(number, sizeof number, "%d", i);
    assert_in(&got, path, number);
    snprintf(path, sizeof path, "candidates[%d].content.parts[0].text", i);
    assert_true(pick(&got, path)[0] != 0);
  }
  assert_in(&got, "candidates[3]", "");
  assert_in(&got, "usageMetadata.candidatesTokenCount", "15");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void all_documented_fields_are_accepted(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(
      sim, &got, GENERATE,
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"},{\"inlineData\":{"
      "\"mimeType\":\"image/png\",\"data\":\"AA==\"}},{\"file_data\":{\"file_uri\":\"u\"}}]},"
      "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}},"
      "\"thoughtSignature\":\"AA==\"}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{"
      "\"name\":\"f\",\"response\":{\"a\":1}}},{\"text\":\"hello\"}]}],\"safetySettings\":[{}],"
      "\"cachedContent\":\"c\",\"generationConfig\":{\"temperature\":1.5,\"topP\":0.5,\"topK\":4,"
      "\"stopSequences\":[\"x\"],\"seed\":7,\"presencePenalty\":0.1,\"frequencyPenalty\":0.1,"
      "\"responseLogprobs\":false,\"thinkingConfig\":{\"thinkingBudget\":0}},\"tools\":[{"
      "\"googleSearch\":{}}]}");
  assert_in(&got, "candidates[0].content.parts[0].text", "echo: hello");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Streams ---- */

typedef struct gathered {
  char text[1024];
  unsigned chunks;
  char reason[32], id[64];
  int64_t prompt, candidates, total;
} gathered;

/* One fragment: a whole response. Counts run up, and the reason comes last. */
static void take_chunk(gathered *g, sheaf_slice chunk) {
  assert_string_equal(g->reason, "");
  append_at(g->text, sizeof g->text, chunk, "candidates[0].content.parts[0].text");
  assert_at(chunk, "candidates[0].content.role", "model");
  assert_at(chunk, "modelVersion", "gemini-x");
  if (g->chunks == 0)
    copy_text(g->id, sizeof g->id, pick_in(chunk, "responseId"));
  else
    assert_at(chunk, "responseId", g->id);
  copy_text(g->reason, sizeof g->reason, pick_in(chunk, "candidates[0].finishReason"));
  g->prompt = int_at(chunk, "usageMetadata.promptTokenCount");
  int64_t total = int_at(chunk, "usageMetadata.totalTokenCount");
  assert_true(total >= g->total);
  g->total = total;
  g->chunks++;
  if (g->reason[0]) g->candidates = int_at(chunk, "usageMetadata.candidatesTokenCount");
}

static void assert_whole(const gathered *g) {
  assert_string_equal(g->text, "echo: hello");
  assert_string_equal(g->reason, "STOP");
  assert_int_equal(g->prompt, 2);
  assert_int_equal(g->candidates, 3);
  assert_int_equal(g->total, 5);
  assert_true(g->chunks >= 3);
}

static void events_join_to_the_text(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  gathered g = {{0}, 0, {0}, {0}, 0, 0, 0};
  reply got;
  sim_event event;
  fetch(sim, &got, SSE, BODY(), NULL);
  assert_int_equal(got.status, 200);
  assert_begins(header_of(&got, "content-type"), "text/event-stream");
  for (sheaf_slice text = sheaf_buf_slice(&got.body); next_event(&text, &event);) {
    assert_string_equal(event.name, "");
    take_chunk(&g, event.data);
  }
  assert_whole(&g);
  assert_int_equal(stat_of(sim, "billed.output_tokens"), 3);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void without_alt_sse_a_stream_is_an_array(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  gathered g = {{0}, 0, {0}, {0}, 0, 0, 0};
  reply got;
  sheaf_slice key, chunk;
  sheaf_json_iter iter;
  ask_ok(sim, &got, STREAM, BODY());
  assert_begins(header_of(&got, "content-type"), "application/json");
  assert_int_equal(sheaf_json_kind(sheaf_buf_slice(&got.body)), SHEAF_JSON_ARRAY);
  assert_int_equal(sheaf_json_iter_init(&iter, sheaf_buf_slice(&got.body)), SHEAF_OK);
  while (sheaf_json_iter_next(&iter, &key, &chunk) == SHEAF_OK) take_chunk(&g, chunk);
  assert_whole(&g);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Tools and JSON ---- */

#define UNIT                                                                              \
  "{\"name\":\"get_unit\",\"description\":\"d\",\"parameters\":{\"type\":\"OBJECT\","     \
  "\"properties\":{\"unit\":{\"type\":\"STRING\",\"enum\":[\"kelvin\"]},\"n\":{\"type\":" \
  "\"INTEGER\",\"minimum\":7,\"maximum\":7}},\"required\":[\"unit\",\"n\"]}}"
#define OTHER                                                                          \
  "{\"name\":\"other\",\"parametersJsonSchema\":{\"type\":\"object\",\"properties\":{" \
  "\"b\":{\"const\":true}},\"required\":[\"b\"],\"additionalProperties\":false}}"
#define TOOLS ",\"tools\":[{\"functionDeclarations\":[" UNIT "," OTHER "]}]"
#define MODE(mode) ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"" mode "\"}}"
#define ONLY(name)                                                   \
  ",\"tool_config\":{\"function_calling_config\":{\"mode\":\"ANY\"," \
  "\"allowed_function_names\":[\"" name "\"]}}"

static void an_allowed_function_is_called_with_arguments_of_its_schema(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, GENERATE, BODY(TOOLS ONLY("get_unit")));
#define CALL "candidates[0].content.parts[0].functionCall"
  assert_in(&got, CALL ".name", "get_unit");
  assert_in(&got, CALL ".args.unit", "kelvin");
  assert_in(&got, CALL ".args.n", "7");
  assert_in(&got, "candidates[0].finishReason", "STOP");
  reply_deinit(&got);
  ask_ok(sim, &got, GENERATE, BODY(TOOLS ONLY("other")));
  assert_in(&got, CALL ".name", "other");
  assert_in(&got, CALL ".args.b", "true");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void the_mode_says_whether_a_function_is_called(void **state) {
  (void)state;
  static const char *const bodies[] = {BODY(TOOLS), BODY(TOOLS MODE("AUTO")),
                                       BODY(TOOLS MODE("NONE")), BODY(TOOLS MODE("ANY"))};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < 4; i++) {
    reply got;
    ask_ok(sim, &got, GENERATE, bodies[i]);
    assert_int_equal(pick(&got, CALL)[0] != 0, i == 3);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void by_itself_a_function_is_called_where_calls_are_the_answer(void **state) {
  (void)state;
  static const char *const bodies[] = {BODY(TOOLS), BODY(TOOLS MODE("AUTO")),
                                       BODY(TOOLS MODE("VALIDATED")), BODY(TOOLS MODE("NONE"))};
  sheaf_sim *sim = start("answer", "tool", NULL);
  for (size_t i = 0; i < 4; i++) {
    reply got;
    ask_ok(sim, &got, GENERATE, bodies[i]);
    assert_int_equal(pick(&got, CALL)[0] != 0, i < 3);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_streamed_call_is_whole(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "tool", NULL);
  reply got;
  sim_event event;
  unsigned calls = 0, reasons = 0;
  fetch(sim, &got, SSE, BODY(TOOLS ONLY("get_unit")), NULL);
  assert_int_equal(got.status, 200);
  for (sheaf_slice text = sheaf_buf_slice(&got.body); next_event(&text, &event);) {
    if (pick_in(event.data, CALL ".name")[0]) {
      assert_at(event.data, CALL ".args.unit", "kelvin");
      assert_at(event.data, CALL ".args.n", "7");
      calls++;
    }
    reasons += pick_in(event.data, "candidates[0].finishReason")[0] != 0;
  }
  assert_in_range(calls, 1, 2); /* now and then the same twice, at once */
  assert_int_equal(reasons, 1);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_schema_makes_the_text_json(void **state) {
  (void)state;
  static const char *const bodies[] = {
      BODY(",\"generationConfig\":{\"responseMimeType\":\"application/json\",\"responseSchema\":{"
           "\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"INTEGER\",\"minimum\":3,"
           "\"maximum\":3},\"b\":{\"type\":\"ARRAY\",\"items\":{\"type\":\"STRING\",\"enum\":["
           "\"x\"]},\"minItems\":\"1\",\"maxItems\":\"1\"}},\"required\":[\"a\",\"b\"]}}"),
      BODY(",\"generation_config\":{\"response_mime_type\":\"application/json\","
           "\"response_json_schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"const\":3},"
           "\"b\":{\"type\":\"array\",\"items\":{\"const\":\"x\"},\"minItems\":1,\"maxItems\":1}},"
           "\"required\":[\"a\",\"b\"]}}")};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < 2; i++) {
    reply got;
    char text[1024];
    ask_ok(sim, &got, GENERATE, bodies[i]);
    copy_text(text, sizeof text, pick(&got, "candidates[0].content.parts[0].text"));
    assert_at(sheaf_slice_of(text), "a", "3");
    assert_at(sheaf_slice_of(text), "b[0]", "x");
    assert_at(sheaf_slice_of(text), "b[1]", "");
    reply_deinit(&got);
  }
  reply got;
  char text[1024];
  ask_ok(sim, &got, GENERATE,
         BODY(",\"generationConfig\":{\"responseMimeType\":\"text/x.enum\",\"responseSchema\":{"
              "\"type\":\"STRING\",\"enum\":[\"a \\\"b\\\"\"]}}"));
  assert_in(&got, "candidates[0].content.parts[0].text", "a \"b\"");
  reply_deinit(&got);
  ask_ok(sim, &got, GENERATE,
         BODY(",\"generationConfig\":{\"responseMimeType\":\"application/json\"}"));
  copy_text(text, sizeof text, pick(&got, "candidates[0].content.parts[0].text"));
  assert_int_equal(sheaf_json_check(sheaf_slice_of(text), NULL), SHEAF_OK);
  assert_int_equal(sheaf_json_kind(sheaf_slice_of(text)), SHEAF_JSON_OBJECT);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Embeddings, counts and models ---- */

static uint32_t count_numbers(const reply *got, const char *path) {
  sheaf_slice values, key, value;
  sheaf_json_iter iter;
  uint32_t count = 0;
  assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got->body), &path, 1, &values, NULL, NULL),
                   SHEAF_OK);
  assert_int_equal(sheaf_json_kind(values), SHEAF_JSON_ARRAY);
  assert_int_equal(sheaf_json_iter_init(&iter, values), SHEAF_OK);
  for (; sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK; count++)
    assert_int_equal(sheaf_json_kind(value), SHEAF_JSON_NUMBER);
  return count;
}

static void embeddings_belong_to_their_text(void **state) {
  (void)state;
  sheaf_sim *sim = start("dimensions", "5", NULL);
  reply one, many;
  char first[512], second[512], third[512];
  ask_ok(sim, &one, MODEL ":embedContent",
         "{\"model\":\"models/gemini-x\",\"content\":{\"parts\":[{\"text\":\"cat\"}]}}");
  assert_int_equal(count_numbers(&one, "embedding.values"), 5);
  assert_in(&one, "usageMetadata.promptTokenCount", "1");
  assert_in(&one, "usageMetadata.promptTokenDetails[0].modality", "TEXT");
  ask_ok(
      sim, &many, MODEL ":batchEmbedContents",
      "{\"requests\":[{\"model\":\"models/gemini-x\",\"content\":{\"parts\":[{\"text\":\"dog\"}]},"
      "\"taskType\":\"RETRIEVAL_DOCUMENT\",\"title\":\"t\"},{\"model\":\"models/gemini-x\","
      "\"content\":{\"parts\":[{\"text\":\"cat\"}]}},{\"model\":\"models/gemini-x\",\"content\":{"
      "\"parts\":[{\"text\":\"cat\"}]},\"outputDimensionality\":3},{\"content\":{\"parts\":[{"
      "\"text\":\"cat\"}]},\"embedContentConfig\":{\"outputDimensionality\":2}}]}");
  assert_in(&many, "usageMetadata.promptTokenCount", "3"); /* four words of three bytes */
  copy_text(first, sizeof first, pick(&one, "embedding.values"));
  copy_text(second, sizeof second, pick(&many, "embeddings[0].values"));
  copy_text(third, sizeof third, pick(&many, "embeddings[1].values"));
  assert_string_equal(first, third);
  assert_true(strcmp(first, second) != 0);
  assert_int_equal(count_numbers(&many, "embeddings[2].values"), 3);
  assert_int_equal(count_numbers(&many, "embeddings[3].values"), 2);
  assert_in(&many, "embeddings[4]", "");
  reply_deinit(&one);
  reply_deinit(&many);
  sheaf_sim_stop(sim);
}

static void what_to_embed_is_checked(void **state) {
  (void)state;
#define CAT "\"content\":{\"parts\":[{\"text\":\"cat\"}]}"
  static const char *const rows[][3] = {
      {":embedContent", "{}", "* EmbedContentRequest.content: content is not specified\n"},
      {":embedContent", "{" CAT ",\"foo\":1}",
       "Invalid JSON payload received. Unknown name \"foo\": Cannot find field."},
      {":embedContent", "{" CAT ",\"embedContentConfig\":{\"outputDimensionality\":\"x\"}}", NULL},
      {":embedContent", "{" CAT ",\"outputDimensionality\":0}", NULL},
      {":batchEmbedContents", "{}",
       "* BatchEmbedContentsRequest.requests: requests is not specified\n"},
      {":batchEmbedContents", "{\"requests\":[{" CAT "},{" CAT ",\"foo\":1}]}",
       "Invalid JSON payload received. Unknown name \"foo\" at 'requests[1]': Cannot find field."},
      {":batchEmbedContents", "{\"requests\":[{" CAT "}],\"foo\":1}",
       "Invalid JSON payload received. Unknown name \"foo\": Cannot find field."},
      {":countTokens", "{}", "* CountTokensRequest.contents: contents is not specified\n"},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    char path[64];
    snprintf(path, sizeof path, MODEL "%s", rows[i][0]);
    ask(sim, &got, path, rows[i][1]);
    assert_int_equal(got.status, 400);
    assert_in(&got, "error.status", "INVALID_ARGUMENT");
    if (rows[i][2]) assert_in(&got, "error.message", rows[i][2]);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void counting_tokens_answers_what_a_prompt_is_charged(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask_ok(sim, &got, MODEL ":countTokens", BODY());
  assert_in(&got, "totalTokens", "2");
  assert_in(&got, "promptTokensDetails[0].modality", "TEXT");
  assert_in(&got, "promptTokensDetails[0].tokenCount", "2");
  reply_deinit(&got);
  ask_ok(sim, &got, MODEL ":countTokens",
         "{\"contents\":[{\"parts\":[{\"text\":\"x\"},{\"inlineData\":{\"mimeType\":\"image/png\","
         "\"data\":\"AA==\"}}]}]}");
  assert_true(pick_int(&got, "totalTokens") > 258); /* of an image, the vendor's guide to tokens */
  reply_deinit(&got);
  ask_ok(sim, &got, MODEL ":countTokens",
         "{\"generateContentRequest\":{\"model\":\"models/gemini-x\"," CONTENTS
         ",\"systemInstruction\":{\"parts\":[{\"text\":\"abcdefg\"}]}}}");
  assert_in(&got, "totalTokens", "3");
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  sheaf_sim_stop(sim);
}

static void models_are_listed_and_found(void **state) {
  (void)state;
  sheaf_sim *sim = start("models", "gemini-x,gemini-y", NULL);
  reply got;
  ask_ok(sim, &got, "/v1beta/models", NULL);
  assert_in(&got, "models[0].name", "models/gemini-x");
  assert_in(&got, "models[1].name", "models/gemini-y");
  assert_in(&got, "models[2]", "");
  assert_in(&got, "models[0].supportedGenerationMethods[0]", "generateContent");
  assert_true(pick_int(&got, "models[0].inputTokenLimit") > 0);
  assert_true(pick_int(&got, "models[0].outputTokenLimit") > 0);
  reply_deinit(&got);
  ask_ok(sim, &got, "/v1beta/models/gemini-y", NULL);
  assert_in(&got, "name", "models/gemini-y");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Refusals ---- */

static void assert_refused(const reply *got, long status, const char *name, const char *message) {
  char code[16];
  if (got->status != status) print_error("%s\n", got->text);
  assert_int_equal(got->status, status);
  snprintf(code, sizeof code, "%ld", status);
  assert_in(got, "error.code", code);
  assert_in(got, "error.status", name);
  if (message) assert_in(got, "error.message", message);
}

#define CONFIG(config) BODY(",\"generationConfig\":{" config "}")
#define UNKNOWN "Invalid JSON payload received. Unknown name \"foo\""

static void bodies_are_refused_in_the_services_words(void **state) {
  (void)state;
  /* body, message, field of the violation; NULL: no violation is given. */
  static const char *const rows[][3] = {
      {"{}", "* GenerateContentRequest.contents: contents is not specified\n", NULL},
      {"{\"contents\":[]}", "* GenerateContentRequest.contents: contents is not specified\n", NULL},
      {BODY(",\"foo\":1"), UNKNOWN ": Cannot find field.", ""},
      {CONFIG("\"foo\":1"), UNKNOWN " at 'generation_config': Cannot find field.",
       "generation_config"},
      {"{\"contents\":[{\"parts\":[{\"text\":\"x\"}],\"foo\":1}]}",
       UNKNOWN " at 'contents[0]': Cannot find field.", "contents[0]"},
      {"{\"contents\":[{\"parts\":[{\"text\":\"x\"},{\"text\":\"x\",\"foo\":1}]}]}",
       UNKNOWN " at 'contents[0].parts[1]': Cannot find field.", "contents[0].parts[1]"},
      {BODY(",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"foo\":1}]}]"),
       UNKNOWN " at 'tools[0].function_declarations[0]': Cannot find field.",
       "tools[0].function_declarations[0]"},
      {CONFIG("\"maxOutputTokens\":\"abc\""),
       "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), \"abc\"",
       "generation_config.max_output_tokens"},
      {CONFIG("\"temperature\":\"hot\""),
       "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"",
       "generation_config.temperature"},
      {"{\"contents\":[{\"parts\":[{\"text\":5}]}]}",
       "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 5",
       "contents[0].parts[0].text"},
      {"{\"contents\":\"hi\"}",
       "Invalid value at 'contents' (type.googleapis.com/google.ai.generativelanguage.v1beta."
       "Content), \"hi\"",
       "contents"},
      {BODY(MODE("SOME")),
       "Invalid value at 'tool_config.function_calling_config.mode' (type.googleapis.com/"
       "google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \"SOME\"",
       "tool_config.function_calling_config.mode"},
      {CONFIG("\"thinkingConfig\":{\"foo\":1}"),
       UNKNOWN " at 'generation_config.thinking_config': Cannot find field.",
       "generation_config.thinking_config"},
      {BODY(",\"toolConfig\":{\"foo\":1}"), UNKNOWN " at 'tool_config': Cannot find field.",
       "tool_config"},
      {BODY(",\"serviceTier\":\"x\""),
       "Invalid value at 'service_tier' (type.googleapis.com/google.ai.generativelanguage.v1beta."
       "ServiceTier), \"x\"",
       "service_tier"},
      {CONFIG("\"responseLogprobs\":1"),
       "Invalid value at 'generation_config.response_logprobs' (TYPE_BOOL), 1",
       "generation_config.response_logprobs"},
      {"{\"contents\":[5]}", "Invalid value at 'contents[0]' (" API "Content), 5", "contents[0]"},
      {"{\"contents\":[{\"parts\":[5]}]}",
       "Invalid value at 'contents[0].parts[0]' (" API "Part), 5", "contents[0].parts[0]"},
      {BODY(",\"tools\":[5]"), "Invalid value at 'tools[0]' (" API "Tool), 5", "tools[0]"},
      {BODY(",\"tools\":[{\"functionDeclarations\":[5]}]"),
       "Invalid value at 'tools[0].function_declarations[0]' (" API "FunctionDeclaration), 5",
       "tools[0].function_declarations[0]"},
      {BODY(",\"generationConfig\":[]"),
       "Invalid JSON payload received. Unknown name \"generationConfig\": Proto field is not "
       "repeating, cannot start list.",
       NULL},
      {"{\"contents\":[{\"role\":\"user\",\"parts\":[]}]}",
       "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n", NULL},
      {"{\"contents\":[{\"parts\":[{}]}]}",
       "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data' must have "
       "one initialized field\n",
       NULL},
      {"{\"contents\":[{\"role\":\"assistant\",\"parts\":[{\"text\":\"x\"}]}]}",
       "Please use a valid role: user, model.", NULL},
      {CONFIG("\"responseMimeType\":\"text/html\""),
       "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are "
       "`text/plain`, `application/json`, `application/xml`, `application/yaml` and "
       "`text/x.enum`.\n",
       NULL},
      {BODY(MODE("ANY")), "Function calling config is set without function_declarations.", NULL},
      {CONFIG("\"candidateCount\":9"),
       "Unable to submit request because it has a candidateCount value of 9 but the supported "
       "range is from 1 (inclusive) to 8 (inclusive). Update the value and try again.",
       NULL},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    ask(sim, &got, GENERATE, rows[i][0]);
    assert_refused(&got, 400, "INVALID_ARGUMENT", rows[i][1]);
    if (rows[i][2]) {
      assert_in(&got, "error.details[0].@type", BAD_REQUEST);
      assert_in(&got, "error.details[0].fieldViolations[0].field", rows[i][2]);
      assert_in(&got, "error.details[0].fieldViolations[0].description", rows[i][1]);
    }
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_body_that_is_no_object_is_refused(void **state) {
  (void)state;
  static const char *const paths[] = {":generateContent", ":embedContent", ":batchEmbedContents",
                                      ":countTokens"};
  static const char *const bodies[] = {"{", "[]", "7", "{\"contents\":\"\xff\"}"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < 16; i++) {
    reply got;
    char path[64];
    snprintf(path, sizeof path, MODEL "%s", paths[i / 4]);
    ask(sim, &got, path, bodies[i % 4]);
    assert_refused(&got, 400, "INVALID_ARGUMENT", NULL);
    assert_begins(pick(&got, "error.message"), "Invalid JSON payload received.");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void keys_and_models_are_checked(void **state) {
  (void)state;
  sheaf_sim *sim = start("key", "AIza", "models", "gemini-x", NULL);
  reply got;
  ask(sim, &got, GENERATE, BODY());
  assert_refused(&got, 403, "PERMISSION_DENIED", NULL);
  reply_deinit(&got);
  fetch(sim, &got, GENERATE, BODY(), "x-goog-api-key: wrong");
  assert_refused(&got, 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.");
  assert_in(&got, "error.details[0].@type", "type.googleapis.com/google.rpc.ErrorInfo");
  assert_in(&got, "error.details[0].reason", "API_KEY_INVALID");
  assert_in(&got, "error.details[0].domain", "googleapis.com");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, GENERATE, BODY(), "x-goog-api-key: AIza"), 200);
  assert_int_equal(status_of(sim, GENERATE "?key=AIza", BODY(), NULL), 200);
  assert_int_equal(status_of(sim, SSE "&key=AIza", BODY(), NULL), 200);
  fetch(sim, &got, "/v1beta/models/gemini-z:generateContent", BODY(), "x-goog-api-key: AIza");
  assert_refused(&got, 404, "NOT_FOUND", NULL);
  assert_begins(pick(&got, "error.message"),
                "models/gemini-z is not found for API version v1beta, or is not supported for "
                "generateContent.");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_prompt_beyond_the_context_is_refused(void **state) {
  (void)state;
  sheaf_sim *sim = start("context", "1", NULL);
  reply got;
  ask(sim, &got, GENERATE, BODY());
  assert_refused(&got, 400, "INVALID_ARGUMENT",
                 "The input token count (2) exceeds the maximum number of tokens allowed (1).");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Limits and faults ---- */

#define RPC "type.googleapis.com/google.rpc."

static void limits_are_told_in_the_body(void **state) {
  (void)state;
  sheaf_sim *sim = start("rpm", "1", NULL);
  reply got;
  ask_ok(sim, &got, GENERATE, BODY());
  reply_deinit(&got);
  ask(sim, &got, GENERATE, BODY());
  assert_refused(&got, 429, "RESOURCE_EXHAUSTED", NULL);
  assert_null(header_of(&got, "retry-after"));
  assert_in(&got, "error.details[0].@type", RPC "QuotaFailure");
  assert_non_null(strstr(pick(&got, "error.details[0].violations[0].quotaId"), "PerMinute"));
  assert_non_null(strstr(pick(&got, "error.message"), "limit: 1, model: gemini-x"));
  assert_in(&got, "error.details[0].violations[0].quotaValue", "1");
  assert_in(&got, "error.details[0].violations[0].quotaDimensions.model", "gemini-x");
  assert_in(&got, "error.details[1].@type", RPC "Help");
  assert_in(&got, "error.details[2].@type", RPC "RetryInfo");
  const char *delay = pick(&got, "error.details[2].retryDelay");
  size_t digits = strspn(delay, "0123456789.");
  assert_true(digits > 0);
  assert_string_equal(delay + digits, "s");
  assert_in_range(atoi(delay), 1, 60);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_drawn_429_has_the_hint_that_was_asked_for(void **state) {
  (void)state;
  static const char *const rows[][2] = {{"250", "0.25s"}, {"37000", "37s"}, {"1005", "1.005s"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_sim *sim = start("retry-after", rows[i][0], NULL);
    reply got;
    fetch(sim, &got, GENERATE, BODY(), "x-sheaf-fault: 429");
    assert_refused(&got, 429, "RESOURCE_EXHAUSTED", NULL);
    assert_in(&got, "error.details[2].retryDelay", rows[i][1]);
    reply_deinit(&got);
    sheaf_sim_stop(sim);
  }
}

static void quota_is_of_the_day_and_without_a_hint(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(sim, &got, GENERATE, BODY(), "x-sheaf-fault: quota");
  assert_refused(&got, 429, "RESOURCE_EXHAUSTED", NULL);
  assert_non_null(strstr(pick(&got, "error.details[0].violations[0].quotaId"), "PerDay"));
  assert_null(strstr(got.text, "RetryInfo"));
  reply_deinit(&got);
  fetch(sim, &got, GENERATE, BODY(), "x-sheaf-fault: 429-bare");
  assert_refused(&got, 429, "RESOURCE_EXHAUSTED", NULL);
  assert_in(&got, "error.details", "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

typedef struct fault_row {
  const char *header;
  long status;
  const char *name;
} fault_row;

static void failures_have_the_services_names(void **state) {
  (void)state;
  static const fault_row rows[] = {{"x-sheaf-fault: 500", 500, "INTERNAL"},
                                   {"x-sheaf-fault: 529", 503, "UNAVAILABLE"},
                                   {"x-sheaf-fault: 503", 503, "UNAVAILABLE"},
                                   {"x-sheaf-fault: 408", 408, "DEADLINE_EXCEEDED"}};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    fetch(sim, &got, SSE, BODY(), rows[i].header);
    assert_refused(&got, rows[i].status, rows[i].name, NULL);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void an_array_stream_fails_as_an_array_of_one(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  ask(sim, &got, STREAM, "{}");
  assert_int_equal(got.status, 400);
  assert_int_equal(sheaf_json_kind(sheaf_buf_slice(&got.body)), SHEAF_JSON_ARRAY);
  assert_int_equal(sheaf_json_kind(sheaf_slice_of(got.text + 1)), SHEAF_JSON_OBJECT);
  assert_non_null(strstr(got.text, "INVALID_ARGUMENT"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_stream_can_fail_inside(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  sim_event event = {{0}, {NULL, 0}};
  unsigned count = 0;
  fetch(sim, &got, SSE, BODY(), "x-sheaf-fault: late-error");
  assert_int_equal(got.status, 200);
  for (sheaf_slice text = sheaf_buf_slice(&got.body); next_event(&text, &event);) count++;
  assert_true(count >= 2);
  assert_at(event.data, "error.code", "503");
  assert_at(event.data, "error.status", "UNAVAILABLE");
  reply_deinit(&got);
  /* As an array it stays valid JSON, with the error as the last element. Faults are owed to a path
   * and a body, so this is another body. */
  fetch(sim, &got, STREAM, BODY(",\"tools\":[]"), "x-sheaf-fault: late-error");
  assert_int_equal(got.status, 200);
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got.body), NULL), SHEAF_OK);
  sheaf_slice key, element, last = {NULL, 0};
  sheaf_json_iter iter;
  assert_int_equal(sheaf_json_iter_init(&iter, sheaf_buf_slice(&got.body)), SHEAF_OK);
  while (sheaf_json_iter_next(&iter, &key, &element) == SHEAF_OK) last = element;
  assert_at(last, "error.status", "UNAVAILABLE");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void usage_can_be_left_out(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(sim, &got, GENERATE, BODY(), "x-sheaf-fault: no-usage");
  assert_int_equal(got.status, 200);
  assert_in(&got, "candidates[0].content.parts[0].text", "echo: hello");
  assert_in(&got, "usageMetadata", "");
  reply_deinit(&got);
  fetch(sim, &got, SSE, BODY(), "x-sheaf-fault: no-usage");
  assert_int_equal(got.status, 200);
  assert_non_null(strstr(got.text, "\"STOP\""));
  assert_null(strstr(got.text, "usageMetadata"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_response_has_candidates_and_usage),
      cmocka_unit_test(names_are_taken_in_both_cases_and_lists_of_one),
      cmocka_unit_test(several_candidates_are_numbered),
      cmocka_unit_test(all_documented_fields_are_accepted),
      cmocka_unit_test(events_join_to_the_text),
      cmocka_unit_test(without_alt_sse_a_stream_is_an_array),
      cmocka_unit_test(an_allowed_function_is_called_with_arguments_of_its_schema),
      cmocka_unit_test(the_mode_says_whether_a_function_is_called),
      cmocka_unit_test(by_itself_a_function_is_called_where_calls_are_the_answer),
      cmocka_unit_test(a_streamed_call_is_whole),
      cmocka_unit_test(a_schema_makes_the_text_json),
      cmocka_unit_test(embeddings_belong_to_their_text),
      cmocka_unit_test(what_to_embed_is_checked),
      cmocka_unit_test(counting_tokens_answers_what_a_prompt_is_charged),
      cmocka_unit_test(models_are_listed_and_found),
      cmocka_unit_test(bodies_are_refused_in_the_services_words),
      cmocka_unit_test(a_body_that_is_no_object_is_refused),
      cmocka_unit_test(keys_and_models_are_checked),
      cmocka_unit_test(a_prompt_beyond_the_context_is_refused),
      cmocka_unit_test(limits_are_told_in_the_body),
      cmocka_unit_test(a_drawn_429_has_the_hint_that_was_asked_for),
      cmocka_unit_test(quota_is_of_the_day_and_without_a_hint),
      cmocka_unit_test(failures_have_the_services_names),
      cmocka_unit_test(an_array_stream_fails_as_an_array_of_one),
      cmocka_unit_test(a_stream_can_fail_inside),
      cmocka_unit_test(usage_can_be_left_out),
  };
  RUN_SUITE(tests);
}
