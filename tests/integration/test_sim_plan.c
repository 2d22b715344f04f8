/* test_sim_plan.c: what the provider simulator makes of its options, and which requests it lets
 * through.
 *
 *   options         values by name, files that cannot be read
 *   models, context what exists and what fits
 *   limits, load    a key's minute in each provider's headers, concurrency, capacity and queue
 *   faults          asked for by header, and by a schedule */
#include "../support/sim_client.h"

#include <sheaf/vocab_files.h>

#define MESSAGES "/v1/messages"
#define MESSAGE_HELLO "{\"model\":\"c\",\"max_tokens\":9," HELLO "}"
#define GEMINI "/v1beta/models/g:generateContent"
#define GEMINI_HELLO "{\"contents\":[{\"parts\":[{\"text\":\"hello\"}]}]}"

/* ---- Options ---- */

static void options_are_read_or_refused_whole(void **state) {
  (void)state;
  static const struct {
    const char *name, *value;
    int32_t status;
  } rows[] = {
      {"latency", "lognormal:80:0.8", SHEAF_OK},
      {"latency", "uniform:50:150", SHEAF_OK},
      {"latency", "fixed:20", SHEAF_OK},
      {"latency", "0.25", SHEAF_OK},
      {"latency", "uniform:150:50", SHEAF_E_FIELD},
      {"latency", "lognormal:80", SHEAF_E_FIELD},
      {"latency", "lognormal:80:5.001", SHEAF_E_FIELD},
      {"latency", "fixed:20:30", SHEAF_E_FIELD},
      {"latency", "fixed:", SHEAF_E_FIELD},
      {"latency", "fixed:86400001", SHEAF_E_FIELD},
      {"latency", "file:", SHEAF_E_FIELD},
      {"latency", "-3", SHEAF_E_FIELD},
      {"itl", "uniform:1.5:2.5", SHEAF_OK},
      {"itl", "soon", SHEAF_E_FIELD},
      {"fault", "429:0.05", SHEAF_OK},
      {"fault", "429:5%,stall:0.5%", SHEAF_OK},
      {"fault", "418:0.5", SHEAF_E_FIELD},
      {"fault", "429:1.1", SHEAF_E_FIELD},
      {"fault", "429:0.6,500:0.6", SHEAF_E_RANGE},
      {"fault", "429", SHEAF_E_FIELD},
      {"fault", "", SHEAF_E_FIELD},
      {"port", "65535", SHEAF_OK},
      {"port", "65536", SHEAF_E_RANGE},
      {"port", "", SHEAF_E_FIELD},
      {"seed", "18446744073709551615", SHEAF_OK},
      {"seed", "18446744073709551616", SHEAF_E_FIELD},
      {"rpm", "1.5", SHEAF_E_FIELD},
      {"otpm", "1000000000001", SHEAF_E_RANGE},
      {"answer", "lorem", SHEAF_OK},
      {"answer", "lorem:60:0.5", SHEAF_OK},
      {"answer", "json", SHEAF_OK},
      {"answer", "tool", SHEAF_OK},
      {"answer", "canned:", SHEAF_E_FIELD},
      {"answer", "canned", SHEAF_E_FIELD},
      {"answer", "ipsum", SHEAF_E_FIELD},
      {"answer", "lorem:0", SHEAF_E_FIELD},
      {"time-scale", "0.1", SHEAF_OK},
      {"time-scale", "1000.001", SHEAF_E_RANGE},
      {"time_scale", "2", SHEAF_OK},
      {"dimensions", "0", SHEAF_E_RANGE},
      {"dimensions", "4097", SHEAF_E_RANGE},
      {"giant-bytes", "0", SHEAF_E_RANGE},
      {"strict", "off", SHEAF_OK},
      {"strict", "maybe", SHEAF_E_FIELD},
      {"key", "", SHEAF_E_FIELD},
      {"colour", "red", SHEAF_E_NOT_FOUND},
      {"ledge", "1", SHEAF_E_NOT_FOUND},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT, before = options;
    char message[160] = "";
    assert_int_equal(
        sheaf_sim_option_set(&options, rows[i].name, rows[i].value, message, sizeof message),
        rows[i].status);
    if (rows[i].status == SHEAF_OK) {
      assert_string_equal(message, "");
      continue;
    }
    assert_memory_equal(&options, &before, sizeof options);
    assert_memory_equal(message, rows[i].name, strlen(rows[i].name)); /* begins with the name */
    assert_non_null(strchr(message, ' '));
  }
}

static void values_arrive_in_their_units(void **state) {
  (void)state;
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sheaf_sim_option_set(&options, "fault", "429:5%,stall:0.000001", NULL, 0);
  assert_int_equal(options.fault_ppm[SHEAF_SIM_FAULT_RATE_LIMIT], 50000);
  assert_int_equal(options.fault_ppm[SHEAF_SIM_FAULT_STALL], 1);
  sheaf_sim_option_set(&options, "fault", "redirect:0.5", NULL, 0); /* the others stay */
  assert_int_equal(options.fault_ppm[SHEAF_SIM_FAULT_RATE_LIMIT], 50000);
  assert_int_equal(options.fault_ppm[SHEAF_SIM_FAULT_REDIRECT], 500000);
  sheaf_sim_option_set(&options, "latency", "lognormal:80.5:0.85", NULL, 0);
  assert_int_equal(options.latency.kind, SHEAF_SIM_SPREAD_LOGNORMAL);
  assert_int_equal(options.latency.us, 80500);
  assert_int_equal(options.latency.sigma_milli, 850);
  sheaf_sim_option_set(&options, "itl", "uniform:0.125:2", NULL, 0);
  assert_int_equal(options.itl.us, 125);
  assert_int_equal(options.itl.high_us, 2000);
  sheaf_sim_option_set(&options, "time-scale", "0.25", NULL, 0);
  assert_int_equal(options.time_scale_milli, 250);
  sheaf_sim_option_set(&options, "answer", "lorem:7:1.5", NULL, 0);
  assert_int_equal(options.answer_words, 7);
  assert_int_equal(options.answer_sigma_milli, 1500);
  sheaf_sim_option_set(&options, "answer", "canned:some:file", NULL, 0);
  assert_string_equal(options.answers, "some:file");
  sheaf_sim_option_set(&options, "strict", "off", NULL, 0);
  assert_true(options.is_lenient);
  sheaf_sim_option_set(&options, "https", "on", NULL, 0);
  assert_true(options.is_https);
  sheaf_sim_option_set(&options, "seed", "18446744073709551615", NULL, 0);
  assert_true(options.seed == UINT64_MAX);
}

/* A vocabulary in which every byte is a token and nothing merges. */
static const char *write_bytes_vocab(char ranks_path[32]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char ranks[256 * 12], message[512];
  size_t bytes = 0;
  for (unsigned i = 0; i < 256; i++) /* base64 of one byte */
    bytes += (size_t)snprintf(ranks + bytes, sizeof ranks - bytes, "%c%c== %u\n", digits[i >> 2],
                              digits[(i & 3) << 4], i);
  copy_text(ranks_path, 32, write_file(ranks));
  const char *path = write_file("");
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  spec.name = SHEAF_LITERAL("bytes");
  spec.pattern = SHEAF_LITERAL("none");
  assert_int_equal(sheaf_vocab_make(ranks_path, path, &spec, message, sizeof message), SHEAF_OK);
  remove(ranks_path);
  return path;
}

/* 3 a message, the role, the text, 3 for the reply's beginning; the answer is cut after its tokens. */
static void tokens_are_counted_by_a_vocabulary(void **state) {
  (void)state;
  static const char head[] =
      "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":"
      "\"hello\"}]";
  char body[256], ranks_path[32];
  const char *path = write_bytes_vocab(ranks_path);
  sheaf_sim *sim = start("vocab", path, NULL);
  reply got;
  for (int is_cut = 0; is_cut < 2; is_cut++) {
    snprintf(body, sizeof body, "%s%s}", head, is_cut ? ",\"max_tokens\":4" : "");
    fetch(sim, &got, CHAT, body, NULL);
    assert_int_equal(pick_int(&got, "usage.prompt_tokens"), 3 + 4 + 5 + 3);
    assert_int_equal(pick_int(&got, "usage.completion_tokens"), is_cut ? 4 : 11);
    assert_non_null(strstr(got.text, is_cut ? "\"content\":\"echo\"" : "\"echo: hello\""));
    assert_non_null(strstr(got.text, is_cut ? "\"length\"" : "\"stop\""));
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
  remove(path);
}

/* What the header names can be set. */
static void every_option_and_fault_has_a_name(void **state) {
  (void)state;
  static const char wanted[] =
      " port host key seed latency itl time-scale rpm tpm itpm otpm concurrency capacity queue "
      "retry-after answer dimensions ledger models context faults giant-bytes drip refuse strict "
      "fault https http2 vocab batch-time batch-fail batch-partial batch-expire batch-keep "
      "batch-rows batch-tokens batch-queue batch-quirk ";
  const char *name, *value, *about;
  uint32_t count = 0, spaces = 0;
  while (sheaf_sim_option_at(count, &name, &value, &about)) {
    char spaced[32];
    snprintf(spaced, sizeof spaced, " %s ", name);
    assert_non_null(strstr(wanted, spaced));
    assert_true(*value && *about);
    count++;
  }
  for (const char *at = wanted; *at; at++) spaces += *at == ' ';
  assert_int_equal(count, spaces - 1);
  for (uint32_t i = 0; i < SHEAF_SIM_FAULT_COUNT; i++) assert_non_null(sheaf_sim_fault_name(i));
  assert_null(sheaf_sim_fault_name(SHEAF_SIM_FAULT_COUNT));
}

static void a_file_that_cannot_be_used_is_named_with_its_line(void **state) {
  (void)state;
  static const struct {
    const char *name, *prefix, *text;
  } rows[] = {
      {"faults", "", "{\"fault\":\"500\"}\n{\"fault\":\"418\"}\n"},
      {"faults", "", "{\"fault\":\"500\"}\n{\"fault\":\"500\",\"colour\":1}\n"},
      {"latency", "file:", "10 1\nsoon\n"},
      {"itl", "file:", "10 1\nsoon\n"},
      {"answer", "canned:", "{\"answer\":\"a\"}\n{\"prompt\":\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
    sheaf_sim *sim = NULL;
    char message[256] = "", value[64];
    const char *file = write_file(rows[i].text);
    snprintf(value, sizeof value, "%s%s", rows[i].prefix, file);
    assert_int_equal(sheaf_sim_option_set(&options, rows[i].name, value, NULL, 0), SHEAF_OK);
    assert_int_not_equal(sheaf_sim_start(&options, &sim, message, sizeof message), SHEAF_OK);
    assert_null(sim);
    assert_non_null(strstr(message, file));
    assert_non_null(strstr(message, "line 2"));
    remove(file);
    assert_int_not_equal(sheaf_sim_start(&options, &sim, message, sizeof message), SHEAF_OK);
    assert_non_null(strstr(message, file));
  }
}

/* ---- Models and context ---- */

static void only_the_models_named_exist(void **state) {
  (void)state;
  static const struct {
    const char *path, *body, *where, *text;
    long status;
  } rows[] = {
      {CHAT, "{\"model\":\"none\"," HELLO "}", "error.code", "model_not_found", 404},
      {"/v1/embeddings", "{\"model\":\"none\",\"input\":\"x\"}", "error.code", "model_not_found",
       404},
      {MESSAGES, "{\"model\":\"none\",\"max_tokens\":9," HELLO "}", "error.type", "not_found_error",
       404},
      {"/v1beta/models/none:generateContent", GEMINI_HELLO, "error.status", "NOT_FOUND", 404},
      {"/api/chat", "{\"model\":\"none\"," HELLO "}", "error", "model 'none' not found", 404},
  };
  sheaf_sim *sim = start("models", "one,c,g", NULL);
  reply got;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fetch(sim, &got, rows[i].path, rows[i].body, VERSION);
    assert_int_equal(got.status, rows[i].status);
    assert_string_equal(pick(&got, rows[i].where), rows[i].text);
    reply_deinit(&got);
  }
  assert_int_equal(status_of(sim, CHAT, "{\"model\":\"one\"," HELLO "}", NULL), 200);
  assert_int_equal(status_of(sim, MESSAGES, MESSAGE_HELLO, VERSION), 200);
  assert_int_equal(status_of(sim, GEMINI, GEMINI_HELLO, NULL), 200);
  assert_int_equal(
      status_of(sim, "/api/chat", "{\"model\":\"one:latest\",\"stream\":false," HELLO "}", NULL),
      200);
  fetch(sim, &got, "/v1/models", NULL, NULL);
  assert_string_equal(pick(&got, "data[0].id"), "one");
  assert_string_equal(pick(&got, "data[2].id"), "g");
  assert_string_equal(pick(&got, "data[3].id"), "");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/v1/models/one", NULL, NULL), 200);
  assert_int_equal(status_of(sim, "/v1/models/none", NULL, NULL), 404);
  assert_int_equal(stat_of(sim, "billed.requests"), 4);
  sheaf_sim_stop(sim);
}

/* "hello" is 2 tokens of input. */
static void input_and_max_tokens_share_the_context(void **state) {
  (void)state;
  sheaf_sim *sim = start("context", "10", NULL);
  reply got;
  fetch(sim, &got, CHAT, "{\"model\":\"m\",\"max_tokens\":9," HELLO "}", NULL);
  assert_int_equal(got.status, 400);
  assert_string_equal(pick(&got, "error.code"), "context_length_exceeded");
  assert_non_null(strstr(pick(&got, "error.message"), "10"));
  reply_deinit(&got);
  assert_int_equal(status_of(sim, CHAT, "{\"model\":\"m\",\"max_tokens\":8," HELLO "}", NULL), 200);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  fetch(sim, &got, MESSAGES, MESSAGE_HELLO, VERSION);
  assert_int_equal(got.status, 400);
  assert_string_equal(pick(&got, "error.type"), "invalid_request_error");
  reply_deinit(&got);
  /* Gemini compares the input alone. */
  assert_int_equal(status_of(sim, GEMINI,
                             "{\"contents\":[{\"parts\":[{\"text\":\"hello\"}]}],"
                             "\"generationConfig\":{\"maxOutputTokens\":100}}",
                             NULL),
                   200);
  fetch(sim, &got, GEMINI,
        "{\"contents\":[{\"parts\":[{\"text\":\"these are more than forty bytes of plain text\"}]}"
        "]}",
        NULL);
  assert_int_equal(got.status, 400);
  assert_string_equal(pick(&got, "error.status"), "INVALID_ARGUMENT");
  reply_deinit(&got);
  assert_string_equal(newest(sim, "error"), "context");
  assert_string_equal(newest(sim, "billed"), "false");
  sheaf_sim_stop(sim);
}

static void unknown_fields_are_refused_unless_it_is_lenient(void **state) {
  (void)state;
  static const char body[] = "{\"model\":\"m\",\"colour\":1," HELLO "}";
  sheaf_sim *strict = start(NULL, NULL), *lenient = start("strict", "off", NULL);
  assert_int_equal(status_of(strict, CHAT, body, NULL), 400);
  assert_string_equal(newest(strict, "error"), "unknown_field");
  assert_int_equal(status_of(lenient, CHAT, body, NULL), 200);
  sheaf_sim_stop(strict);
  sheaf_sim_stop(lenient);
}

/* ---- Limits ---- */

/* "hello" takes 2 tokens in and 3 out ("echo: hello"). */
static void input_and_output_tokens_have_buckets_of_their_own(void **state) {
  (void)state;
  sheaf_sim *sim = start("itpm", "5", "otpm", "100", NULL);
  static const char hello[] = "{\"model\":\"c\",\"max_tokens\":9," HELLO "}";
  reply got;
  fetch_for(sim, &got, MESSAGES, hello, VERSION, "x-api-key: a", 20000);
  assert_int_equal(got.status, 200);
  assert_header(&got, "anthropic-ratelimit-input-tokens-limit", "5");
  assert_header(&got, "anthropic-ratelimit-input-tokens-remaining", "3");
  assert_header(&got, "anthropic-ratelimit-output-tokens-limit", "100");
  assert_header(&got, "anthropic-ratelimit-output-tokens-remaining", "97");
  assert_null(header_of(&got, "anthropic-ratelimit-requests-limit"));
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES, hello, VERSION, "x-api-key: a", 20000);
  assert_int_equal(got.status, 200);
  reply_deinit(&got);
  fetch_for(sim, &got, MESSAGES, hello, VERSION, "x-api-key: a", 20000);
  assert_int_equal(got.status, 429);
  assert_string_equal(pick(&got, "error.type"), "rate_limit_error");
  assert_in_range(strtoul(header_of(&got, "retry-after"), NULL, 10), 1, 13);
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "limited.input_tokens"), 1);
  assert_string_equal(newest(sim, "error"), "input_tokens");
  fetch_for(sim, &got, MESSAGES, hello, VERSION, "x-api-key: b", 20000);
  assert_int_equal(got.status, 200); /* another key, another minute */
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.input_tokens"), 3 * 2);
  sheaf_sim_stop(sim);
  sim = start("otpm", "3", NULL);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 429);
  assert_int_equal(stat_of(sim, "limited.output_tokens"), 1);
  sheaf_sim_stop(sim);
}

static void counting_takes_a_request_and_no_tokens(void **state) {
  (void)state;
  sheaf_sim *sim = start("rpm", "2", "tpm", "1", NULL);
  static const char count[] = "{\"model\":\"c\"," HELLO "}";
  static const char path[] = "/v1/messages/count_tokens";
  reply got;
  fetch(sim, &got, path, count, VERSION);
  assert_int_equal(got.status, 200);
  assert_int_equal(pick_int(&got, "input_tokens"), 2);
  reply_deinit(&got);
  assert_int_equal(status_of(sim, path, count, VERSION), 200);
  assert_int_equal(status_of(sim, path, count, VERSION), 429);
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(status_of(sim, "/v1/models", NULL, VERSION), 200);
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  assert_int_equal(stat_of(sim, "limited.requests"), 1);
  sheaf_sim_stop(sim);
}

/* Two stalled requests of one key are all it may have; another key has its own two. */
static void concurrency_is_counted_by_key(void **state) {
  (void)state;
  sheaf_sim *sim = start("concurrency", "2", NULL);
  CURLM *multi = curl_multi_init();
  CURL *easies[2];
  reply replies[2];
  struct curl_slist *headers = curl_slist_append(NULL, "x-sheaf-fault: stall:2");
  headers = curl_slist_append(headers, "api-key: a");
  for (unsigned i = 0; i < 2; i++) {
    reply_init(&replies[i]);
    easies[i] = make(sim, &replies[i], CHAT, CHAT_HELLO, headers, 60000);
    curl_multi_add_handle(multi, easies[i]);
  }
  int running = 2;
  while (stat_of(sim, "faults.stall") != 2) {
    curl_multi_perform(multi, &running);
    curl_multi_poll(multi, NULL, 0, 10, NULL);
  }
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "api-key: a"), 429);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "api-key: b"), 200);
  assert_int_equal(stat_of(sim, "limited.concurrency"), 1);
  for (unsigned i = 0; i < 2; i++) {
    curl_multi_remove_handle(multi, easies[i]);
    curl_easy_cleanup(easies[i]);
    reply_deinit(&replies[i]);
  }
  curl_multi_cleanup(multi);
  curl_slist_free_all(headers);
  settle(sim);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "api-key: a"), 200);
  sheaf_sim_stop(sim);
}

/* Ollama's own: the queue of OLLAMA_MAX_QUEUE is full. */
static void a_full_queue_of_ollamas_says_busy(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:3600000", "capacity", "1", "queue", "0", NULL);
  reply got, waiting;
  reply_init(&waiting);
  CURLM *multi = curl_multi_init();
  CURL *easy = make(sim, &waiting, CHAT, CHAT_HELLO, NULL, 60000);
  curl_multi_add_handle(multi, easy);
  int running = 1;
  while (stat_of(sim, "received") != 1) {
    curl_multi_perform(multi, &running);
    curl_multi_poll(multi, NULL, 0, 10, NULL);
  }
  fetch(sim, &got, "/api/chat", "{\"model\":\"l\"," HELLO "}", NULL);
  assert_int_equal(got.status, 503);
  assert_string_equal(pick(&got, "error"),
                      "server busy, please try again.  maximum pending requests exceeded");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/api/tags", NULL, NULL), 200); /* does no work */
  curl_multi_remove_handle(multi, easy);
  curl_easy_cleanup(easy);
  curl_multi_cleanup(multi);
  reply_deinit(&waiting);
  sheaf_sim_stop(sim);
}

static void capacity_lets_the_others_queue(void **state) {
  (void)state;
  sheaf_sim *sim =
      start("latency", "fixed:300", "capacity", "2", "queue", "3", "concurrency", "100", NULL);
  assert_int_equal(run_many(sim, 9, 200), 5);
  assert_int_equal(stat_of(sim, "answered.503"), 4);
  assert_int_equal(stat_of(sim, "limited.queue"), 4);
  assert_int_equal(stat_of(sim, "waiting_max"), 3);
  settle(sim);
  assert_int_equal(stat_of(sim, "waiting"), 0);
  assert_int_equal(stat_of(sim, "billed.requests"), 5);
  sheaf_sim_stop(sim);
}

/* ---- Faults ---- */

static void an_asked_fault_has_to_be_one(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  static const char *const wrong[] = {
      "x-sheaf-fault: 418", "x-sheaf-fault: 429:", "x-sheaf-fault: 429:often", "x-sheaf-fault: 42"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    reply got;
    fetch(sim, &got, CHAT, CHAT_HELLO, wrong[i]);
    assert_int_equal(got.status, 400);
    assert_non_null(strstr(got.text, "x-sheaf-fault"));
    reply_deinit(&got);
  }
  assert_int_equal(status_of(sim, "/v1/models", NULL, "x-sheaf-fault: 500"), 500);
  assert_int_equal(status_of(sim, "/v1/models", NULL, "x-sheaf-fault: 500"), 200);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "x-sheaf-fault: 500:0"), 200);
  sheaf_sim_stop(sim);
}

static void a_request_may_ask_for_another_answer(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "lorem:5:0", NULL);
  reply got;
  fetch(sim, &got, CHAT, CHAT_HELLO, "x-sheaf-answer: echo");
  assert_string_equal(pick(&got, "choices[0].message.content"), "echo: hello");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_int_equal(pick_int(&got, "usage.completion_tokens"), 5);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* The schedule comes before the drawn faults and after the asked ones, and sees only what the limits
 * let through. */
static void a_schedule_gives_faults_in_turn(void **state) {
  (void)state;
  const char *file = write_file(
      "{\"fault\":\"500\",\"path\":\"/v1/chat/*\",\"first\":2}\n"
      "{\"fault\":\"408\",\"model\":\"slow\"}\n");
  sheaf_sim *sim = start("faults", file, "fault", "529:1", NULL);
  remove(file);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "x-sheaf-fault: quota"), 429);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 500);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 500);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 503);
  assert_int_equal(status_of(sim, CHAT, "{\"model\":\"slow\"," HELLO "}", NULL), 408);
  assert_int_equal(status_of(sim, MESSAGES, MESSAGE_HELLO, VERSION), 529);
  assert_int_equal(stat_of(sim, "faults.500"), 2);
  assert_int_equal(stat_of(sim, "faults.408"), 1);
  assert_int_equal(stat_of(sim, "faults.529"), 2);
  assert_int_equal(stat_of(sim, "faults.quota"), 1);
  sheaf_sim_stop(sim);
}

/* What depends on the clock is no sighting: after a refusal the draws are what they would have been
 * without it. */
static void a_refusal_by_the_clock_moves_no_draw(void **state) {
  (void)state;
  sheaf_sim *free_one = start("answer", "lorem:12", NULL);
  sheaf_sim *tight = start("answer", "lorem:12", "rpm", "1", NULL);
  reply first, second;
  assert_int_equal(status_of(free_one, CHAT, CHAT_HELLO, NULL), 200);
  fetch(free_one, &first, CHAT, CHAT_HELLO, NULL);
  assert_int_equal(status_of(tight, CHAT, CHAT_HELLO, "api-key: a"), 200);
  assert_int_equal(status_of(tight, CHAT, CHAT_HELLO, "api-key: a"), 429);
  fetch(tight, &second, CHAT, CHAT_HELLO, "api-key: b");
  assert_int_equal(second.status, 200);
  assert_string_equal(second.text, first.text);
  reply_deinit(&first);
  reply_deinit(&second);
  sheaf_sim_stop(free_one);
  sheaf_sim_stop(tight);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_are_read_or_refused_whole),
      cmocka_unit_test(values_arrive_in_their_units),
      cmocka_unit_test(every_option_and_fault_has_a_name),
      cmocka_unit_test(tokens_are_counted_by_a_vocabulary),
      cmocka_unit_test(a_file_that_cannot_be_used_is_named_with_its_line),
      cmocka_unit_test(only_the_models_named_exist),
      cmocka_unit_test(input_and_max_tokens_share_the_context),
      cmocka_unit_test(unknown_fields_are_refused_unless_it_is_lenient),
      cmocka_unit_test(input_and_output_tokens_have_buckets_of_their_own),
      cmocka_unit_test(counting_takes_a_request_and_no_tokens),
      cmocka_unit_test(concurrency_is_counted_by_key),
      cmocka_unit_test(a_full_queue_of_ollamas_says_busy),
      cmocka_unit_test(capacity_lets_the_others_queue),
      cmocka_unit_test(an_asked_fault_has_to_be_one),
      cmocka_unit_test(a_request_may_ask_for_another_answer),
      cmocka_unit_test(a_schedule_gives_faults_in_turn),
      cmocka_unit_test(a_refusal_by_the_clock_moves_no_draw),
  };
  RUN_SUITE(tests);
}
