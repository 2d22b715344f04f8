/* test_sim.c: the provider simulator's answers, seen through libcurl as any client sees them.
 *
 *   shapes, streams   each provider's whole and streamed answers
 *   errors            refusals in each provider's words
 *   life              starts that cannot work, old layouts, stopping under load */
#include "../support/sim_client.h"

#include <pthread.h>

/* ---- Shapes ---- */

static void openai_answers_a_chat_completion(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(
      sim, &got, CHAT,
      "{\"model\":\"gpt-x\",\"messages\":[{\"role\":\"system\",\"content\":\"be\"},"
      "{\"role\":\"user\",\"content\":\"first\"},{\"role\":\"assistant\",\"content\":\"no\"},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\\u00e9 \\\"q\\\"\\n\"}]}]}",
      NULL);
  assert_int_equal(got.status, 200);
  assert_string_equal(pick(&got, "object"), "chat.completion");
  assert_string_equal(pick(&got, "model"), "gpt-x");
  assert_string_equal(pick(&got, "choices[0].message.role"), "assistant");
  assert_string_equal(pick(&got, "choices[0].message.content"), "echo: h\xc3\xa9 \"q\"\n");
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "stop");
  int64_t input = pick_int(&got, "usage.prompt_tokens");
  int64_t output = pick_int(&got, "usage.completion_tokens");
  assert_int_equal(output, 4); /* 6 + 8 bytes, by four, rounded up */
  assert_true(input > 0);
  assert_int_equal(pick_int(&got, "usage.total_tokens"), input + output);
  assert_header(&got, "content-type", "application/json");
  assert_non_null(header_of(&got, "x-request-id"));
  assert_header(&got, "openai-version", "2020-10-01");
  assert_null(header_of(&got, "x-ratelimit-limit-requests"));
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/chat/completions", CHAT_HELLO, NULL), 200);
  sheaf_sim_stop(sim);
}

static void anthropic_answers_a_message(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(sim, &got, "/v1/messages", "{\"model\":\"c\",\"max_tokens\":9,\"system\":\"be\"," HELLO "}",
        VERSION);
  assert_int_equal(got.status, 200);
  assert_string_equal(pick(&got, "type"), "message");
  assert_string_equal(pick(&got, "content[0].text"), "echo: hello");
  assert_string_equal(pick(&got, "stop_reason"), "end_turn");
  assert_int_equal(pick_int(&got, "usage.input_tokens"), 2); /* 2 + 5 bytes */
  assert_int_equal(pick_int(&got, "usage.output_tokens"), 3);
  assert_non_null(header_of(&got, "request-id"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void gemini_answers_with_the_model_from_the_path(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(sim, &got, "/v1beta/models/gemini-9.1:generateContent",
        "{\"contents\":[{\"parts\":[{\"text\":\"hel\"},{\"text\":\"lo\"}]}]}", NULL);
  assert_int_equal(got.status, 200);
  assert_string_equal(pick(&got, "candidates[0].content.parts[0].text"), "echo: hello");
  assert_string_equal(pick(&got, "candidates[0].finishReason"), "STOP");
  assert_string_equal(pick(&got, "modelVersion"), "gemini-9.1");
  assert_int_equal(pick_int(&got, "usageMetadata.totalTokenCount"), 5);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void ollama_answers_chat_and_generate(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:3", NULL);
  reply got;
  fetch(sim, &got, "/api/chat", "{\"model\":\"l\",\"stream\":false," HELLO "}", NULL);
  assert_string_equal(pick(&got, "message.content"), "echo: hello");
  assert_string_equal(pick(&got, "done"), "true");
  assert_int_equal(pick_int(&got, "eval_count"), 3);
  assert_int_equal(pick_int(&got, "load_duration") + pick_int(&got, "prompt_eval_duration"),
                   3000000);
  reply_deinit(&got);
  fetch(sim, &got, "/api/generate", "{\"model\":\"l\",\"stream\":false,\"prompt\":\"hello\"}",
        NULL);
  assert_string_equal(pick(&got, "response"), "echo: hello");
  assert_string_equal(pick(&got, "done_reason"), "stop");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void embeddings_belong_to_their_text(void **state) {
  (void)state;
  sheaf_sim *sim = start("dimensions", "3", NULL);
  reply got;
  char first[64];
  fetch(sim, &got, "/v1/embeddings", "{\"model\":\"e\",\"input\":[\"a\",\"b\",\"a\"]}", NULL);
  assert_string_equal(pick(&got, "object"), "list");
  assert_int_equal(pick_int(&got, "data[2].index"), 2);
  copy_text(first, sizeof first, pick(&got, "data[0].embedding"));
  assert_int_equal(first[0], '[');
  assert_string_equal(pick(&got, "data[2].embedding"), first);
  assert_string_not_equal(pick(&got, "data[1].embedding"), first);
  assert_string_equal(pick(&got, "data[0].embedding[3]"), "");
  reply_deinit(&got);
  fetch(sim, &got, "/v1/embeddings", "{\"model\":\"e\",\"input\":\"a\",\"dimensions\":5}", NULL);
  assert_string_not_equal(pick(&got, "data[0].embedding[4]"), "");
  assert_string_equal(pick(&got, "data[0].embedding[5]"), "");
  reply_deinit(&got);
  fetch(sim, &got, "/api/embed", "{\"model\":\"e\",\"input\":[\"a\"]}", NULL);
  assert_string_equal(pick(&got, "embeddings[0]"), first);
  reply_deinit(&got);
  assert_int_equal(
      status_of(sim, "/v1/embeddings", "{\"model\":\"e\",\"input\":\"a\",\"dimensions\":0}", NULL),
      400);
  assert_int_equal(status_of(sim, "/v1/embeddings", "{\"model\":\"e\"}", NULL), 400);
  sheaf_sim_stop(sim);
}

static void model_lists_are_each_providers_own(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  fetch(sim, &got, "/v1/models", NULL, NULL);
  assert_string_equal(pick(&got, "data[0].object"), "model");
  reply_deinit(&got);
  fetch(sim, &got, "/v1/models", NULL, VERSION);
  assert_string_equal(pick(&got, "data[0].type"), "model");
  reply_deinit(&got);
  fetch(sim, &got, "/v1beta/models", NULL, NULL);
  assert_string_equal(pick(&got, "models[0].name"), "models/sim-1");
  reply_deinit(&got);
  fetch(sim, &got, "/api/tags", NULL, NULL);
  assert_string_equal(pick(&got, "models[0].name"), "sim-1:latest");
  reply_deinit(&got);
  fetch(sim, &got, "/api/version", NULL, NULL);
  assert_string_not_equal(pick(&got, "version"), "");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_body_of_megabytes_comes_back(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  const size_t size = 3u << 20;
  static const char head[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"";
  char *body = malloc(size + 200);
  assert_non_null(body);
  memcpy(body, head, sizeof head - 1);
  memset(body + sizeof head - 1, 'x', size);
  memcpy(body + sizeof head - 1 + size, "\"}]}", 5);
  reply got;
  fetch(sim, &got, CHAT, body, NULL);
  assert_int_equal(got.status, 200);
  assert_true(got.body.bytes > size);
  assert_int_equal(pick_int(&got, "usage.prompt_tokens"), size / 4);
  reply_deinit(&got);
  free(body);
  sheaf_sim_stop(sim);
}

static void max_tokens_ends_words_early(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "lorem:50:0", NULL);
  reply got;
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"max_tokens\":7," HELLO "}", NULL);
  assert_int_equal(pick_int(&got, "usage.completion_tokens"), 7);
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "length");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"max_tokens\":70," HELLO "}", NULL);
  assert_int_equal(pick_int(&got, "usage.completion_tokens"), 50); /* sigma 0: the median */
  assert_string_equal(pick(&got, "choices[0].finish_reason"), "stop");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Streams ---- */

static void openai_streams_end_with_done(void **state) {
  (void)state;
  sheaf_sim *sim = start("itl", "1", NULL);
  reply got;
  char text[256];
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"stream\":true," HELLO "}", NULL);
  assert_header(&got, "content-type", "text/event-stream; charset=utf-8");
  assert_int_equal(join(&got, "data: ", "choices[0].delta.content", text, sizeof text), 5);
  assert_string_equal(text, "echo: hello");
  assert_non_null(strstr(got.text, "\"finish_reason\":\"stop\""));
  assert_null(strstr(got.text, "usage"));
  assert_string_equal(got.text + strlen(got.text) - 14, "data: [DONE]\n\n");
  reply_deinit(&got);
  fetch(sim, &got, CHAT,
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO "}",
        NULL);
  join(&got, "data: ", "usage.completion_tokens", text, sizeof text);
  assert_string_equal(text, "3"); /* once; null elsewhere has no member */
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void anthropic_streams_end_with_message_stop(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  char text[256];
  fetch(sim, &got, "/v1/messages", "{\"model\":\"c\",\"max_tokens\":9,\"stream\":true," HELLO "}",
        VERSION);
  join(&got, "data: ", "delta.text", text, sizeof text);
  assert_string_equal(text, "echo: hello");
  join(&got, "data: ", "delta.stop_reason", text, sizeof text);
  assert_string_equal(text, "end_turn");
  join(&got, "data: ", "type", text, sizeof text);
  assert_memory_equal(text, "message_startcontent_block_startping", 36);
  assert_string_equal(text + strlen(text) - 43, "content_block_stopmessage_deltamessage_stop");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void gemini_streams_events_or_one_array(void **state) {
  (void)state;
  static const char hello[] =
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]}";
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  char text[256];
  fetch(sim, &got, "/v1beta/models/g:streamGenerateContent?alt=sse", hello, NULL);
  assert_header(&got, "content-type", "text/event-stream");
  join(&got, "data: ", "candidates[0].content.parts[0].text", text, sizeof text);
  assert_string_equal(text, "echo: hello");
  join(&got, "data: ", "candidates[0].finishReason", text, sizeof text);
  assert_string_equal(text, "STOP");
  assert_string_equal(got.text + strlen(got.text) - 4, "\r\n\r\n");
  reply_deinit(&got);
  fetch(sim, &got, "/v1beta/models/g:streamGenerateContent", hello, NULL);
  assert_string_equal(pick(&got, "[0].candidates[0].content.parts[0].text"), "echo");
  assert_string_equal(pick(&got, "[3].candidates[0].finishReason"), "STOP");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void ollama_streams_lines_unless_told_not_to(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  char text[256];
  fetch(sim, &got, "/api/chat", "{\"model\":\"l\"," HELLO "}", NULL);
  assert_header(&got, "content-type", "application/x-ndjson");
  assert_int_equal(join(&got, "", "message.content", text, sizeof text), 4);
  assert_string_equal(text, "echo: hello");
  join(&got, "", "done", text, sizeof text);
  assert_string_equal(text, "falsefalsefalsetrue");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_delay_is_at_least_what_was_asked(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "30", "itl", "10", NULL);
  reply got;
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"stream\":true," HELLO "}", NULL);
  assert_true(got.seconds >= 0.050); /* three tokens */
  reply_deinit(&got);
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_true(got.seconds >= 0.050);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Errors ---- */

static void refusals_are_in_the_providers_words(void **state) {
  (void)state;
  static const struct {
    const char *path, *body, *header, *where, *text;
    long status;
  } rows[] = {
      {CHAT, "{\"model\":", NULL, "error.type", "invalid_request_error", 400},
      {CHAT, "{" HELLO "}", NULL, "error.param", "model", 400},
      {CHAT, "{\"model\":\"m\"}", NULL, "error.param", "messages", 400},
      {CHAT, "{\"model\":\"m\",\"messages\":[]}", NULL, "error.param", "messages", 400},
      {CHAT, "", NULL, "error.type", "invalid_request_error", 400},
      {"/v1/nothing", "{}", NULL, "error.message", "Invalid URL (POST /v1/nothing)", 404},
      {CHAT, NULL, NULL, "error.code", "method_not_supported", 405},
      {"/v1/messages", "{\"model\":\"c\",\"max_tokens\":1," HELLO "}", NULL, "error.message",
       "anthropic-version: header is required", 400},
      {"/v1/messages", "{\"model\":\"c\"," HELLO "}", VERSION, "error.message",
       "max_tokens: Field required", 400},
      {"/v1/messages", "{\"model\":\"c\",\"temperature\":1,\"max_tokens\":1," HELLO "}",
       "anthropic-version: 2026-10-21", "error.type", "invalid_request_error", 400},
      {"/v1/messages/x", "{}", NULL, "error.type", "not_found_error", 404},
      {"/v1beta/models/g:generateContent", "[]", NULL, "error.status", "INVALID_ARGUMENT", 400},
      {"/v1beta/models/\"g:generateContent", "{}", NULL, "error.status", "NOT_FOUND", 404},
      {"/api/chat", "{\"messages\":[]}", NULL, "error", "model is required", 400},
      {"/api/none", NULL, NULL, "error", "404 page not found", 404},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    fetch(sim, &got, rows[i].path, rows[i].body, rows[i].header);
    assert_int_equal(got.status, rows[i].status);
    assert_string_equal(pick(&got, rows[i].where), rows[i].text);
    if (got.status == 405) assert_header(&got, "allow", "POST");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void only_the_given_key_is_accepted(void **state) {
  (void)state;
  sheaf_sim *sim = start("key", "sk-1", NULL);
  static const char gemini[] = "/v1beta/models/g:generateContent";
  static const char hello[] = "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}";
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 401);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "Authorization: Bearer sk-2"), 401);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "Authorization: Bearer sk-1"), 200);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "api-key: sk-1"), 200);
  assert_int_equal(status_of(sim, "/v1/models", NULL, NULL), 401);
  assert_int_equal(status_of(sim, gemini, hello, NULL), 403);
  assert_int_equal(status_of(sim, gemini, hello, "x-goog-api-key: sk-2"), 400);
  assert_int_equal(status_of(sim, gemini, hello, "x-goog-api-key: sk-1"), 200);
  assert_int_equal(status_of(sim, "/v1beta/models/g:generateContent?key=sk-1", hello, NULL), 200);
  reply got;
  fetch_for(sim, &got, "/v1/messages", "{\"model\":\"c\",\"max_tokens\":9," HELLO "}", VERSION,
            "x-api-key: sk-1", 20000);
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Life ---- */

static void a_start_that_cannot_work_says_why(void **state) {
  (void)state;
  sheaf_sim *first = start(NULL, NULL), *second = NULL;
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  char message[160];
  options.port = sheaf_sim_port(first);
  assert_int_equal(sheaf_sim_start(&options, &second, message, sizeof message), SHEAF_E_IO);
  assert_true(message[0] != 0);
  options.port = 0;
  options.host = "not.an.address";
  assert_int_equal(sheaf_sim_start(&options, &second, message, sizeof message), SHEAF_E_FIELD);
  options.host = NULL;
  options.fault_ppm[0] = 600000;
  options.fault_ppm[1] = 600000;
  assert_int_equal(sheaf_sim_start(&options, &second, NULL, 0), SHEAF_E_RANGE);
  options.struct_bytes = 0;
  assert_int_equal(sheaf_sim_start(&options, &second, NULL, 0), SHEAF_E_MISUSE);
  assert_int_equal(sheaf_sim_start(NULL, NULL, NULL, 0), SHEAF_E_MISUSE);
  assert_null(second);
  sheaf_sim_stop(first);
  sheaf_sim_stop(NULL);
}

static void a_shorter_layout_keeps_the_defaults(void **state) {
  (void)state;
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sheaf_sim *sim;
  options.answer_kind = SHEAF_SIM_ANSWER_LOREM; /* beyond the prefix, so not seen */
  options.struct_bytes = offsetof(sheaf_sim_options, latency);
  assert_int_equal(sheaf_sim_start(&options, &sim, NULL, 0), SHEAF_OK);
  reply got;
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_string_equal(pick(&got, "choices[0].message.content"), "echo: hello");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* One waits for its latency, one for its next token, one is stalled, and the simulator goes. */
static void stopping_ends_what_is_under_way(void **state) {
  (void)state;
  static const char *const faults[] = {"x-none: 1", "x-none: 1", "x-sheaf-fault: stall"};
  sheaf_sim *slow = start("latency", "fixed:3600000", NULL);
  sheaf_sim *dripping = start("itl", "3600000", NULL);
  sheaf_sim *const sims[] = {slow, dripping, dripping};
  CURLM *multi = curl_multi_init();
  CURL *easies[3];
  struct curl_slist *headers[3];
  reply replies[3];
  for (unsigned i = 0; i < 3; i++) {
    reply_init(&replies[i]);
    headers[i] = curl_slist_append(NULL, faults[i]);
    easies[i] = make(sims[i], &replies[i], CHAT, "{\"model\":\"m\",\"stream\":true," HELLO "}",
                     headers[i], 60000);
    curl_multi_add_handle(multi, easies[i]);
  }
  int running = 3;
  while (stat_of(slow, "in_flight") != 1 || stat_of(dripping, "in_flight") != 2 ||
         !replies[1].body.bytes) {
    curl_multi_perform(multi, &running);
    curl_multi_poll(multi, NULL, 0, 10, NULL);
  }
  assert_int_equal(running, 3);
  sheaf_sim_stop(slow);
  sheaf_sim_stop(dripping);
  while (running) {
    curl_multi_perform(multi, &running);
    if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  int left, ended = 0;
  for (CURLMsg *done; (done = curl_multi_info_read(multi, &left)) != NULL; ended++)
    assert_int_not_equal(done->data.result, CURLE_OK);
  assert_int_equal(ended, 3);
  for (unsigned i = 0; i < 3; i++) {
    curl_multi_remove_handle(multi, easies[i]);
    curl_easy_cleanup(easies[i]);
    curl_slist_free_all(headers[i]);
    reply_deinit(&replies[i]);
  }
  curl_multi_cleanup(multi);
}

/* Asks again and again, whatever comes back, until nobody listens. The simulator may be gone, so
 * only its URL is used. */
static void *pester(void *url) {
  CURL *easy = curl_easy_init();
  CURLcode code = CURLE_OK;
  sheaf_buf body;
  sheaf_buf_init(&body, &allocator, 1u << 20);
  curl_easy_setopt(easy, CURLOPT_URL, (const char *)url);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, CHAT_HELLO);
  while (code != CURLE_COULDNT_CONNECT) {
    sheaf_buf_reset(&body);
    code = curl_easy_perform(easy);
  }
  curl_easy_cleanup(easy);
  sheaf_buf_deinit(&body);
  return NULL;
}

/* Once, clients that came back at once kept the last loop supplied with waiting requests, and
 * stopping never ended. */
static void stopping_does_not_wait_for_clients_to_stop(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:5", NULL);
  pthread_t threads[6];
  char url[PATH_BYTES_MAX];
  snprintf(url, sizeof url, "%s" CHAT, sheaf_sim_url(sim));
  for (unsigned i = 0; i < 6; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, pester, url), 0);
  while (stat_of(sim, "received") < 60) continue;
  sheaf_sim_stop(sim);
  for (unsigned i = 0; i < 6; i++) pthread_join(threads[i], NULL);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(openai_answers_a_chat_completion),
      cmocka_unit_test(anthropic_answers_a_message),
      cmocka_unit_test(gemini_answers_with_the_model_from_the_path),
      cmocka_unit_test(ollama_answers_chat_and_generate),
      cmocka_unit_test(embeddings_belong_to_their_text),
      cmocka_unit_test(model_lists_are_each_providers_own),
      cmocka_unit_test(a_body_of_megabytes_comes_back),
      cmocka_unit_test(max_tokens_ends_words_early),
      cmocka_unit_test(openai_streams_end_with_done),
      cmocka_unit_test(anthropic_streams_end_with_message_stop),
      cmocka_unit_test(gemini_streams_events_or_one_array),
      cmocka_unit_test(ollama_streams_lines_unless_told_not_to),
      cmocka_unit_test(a_delay_is_at_least_what_was_asked),
      cmocka_unit_test(refusals_are_in_the_providers_words),
      cmocka_unit_test(only_the_given_key_is_accepted),
      cmocka_unit_test(a_start_that_cannot_work_says_why),
      cmocka_unit_test(a_shorter_layout_keeps_the_defaults),
      cmocka_unit_test(stopping_ends_what_is_under_way),
      cmocka_unit_test(stopping_does_not_wait_for_clients_to_stop),
  };
  RUN_SUITE(tests);
}
