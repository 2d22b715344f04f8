/* test_serve_start.c: the endpoint inside a program of one's own: options, start, statistics,
 * ends.
 *
 * What it answers over HTTP is test_serve.py's. Waits are for events with a far limit, never for a
 * time.
 *
 * Outline: set-up, options, answers, ends. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/client.h>
#include <sheaf/serve.h>
#include <sheaf/sim.h>

#include <curl/curl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { FAR_MS = 30000, CALLERS = 24 };

/* ---- Set-up ---- */

static sheaf_sim *sim;
static sheaf_client *client;

static void start_client(const char *latency) {
  sheaf_sim_options chosen = SHEAF_SIM_OPTIONS_INIT;
  char message[256] = "", base_url[256];
  assert_int_equal(sheaf_sim_option_set(&chosen, "latency", latency, message, sizeof message),
                   SHEAF_OK);
  assert_int_equal(sheaf_sim_start(&chosen, &sim, message, sizeof message), SHEAF_OK);
  snprintf(base_url, sizeof base_url, "%s/v1", sheaf_sim_url(sim));
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.base_url = base_url;
  options.api_key = "sk-test-0123456789";
  options.model = "gpt-sim";
  assert_int_equal(sheaf_client_new(&options, &client), SHEAF_OK);
}

static sheaf_serve_options plain_options(void) {
  sheaf_serve_options options = SHEAF_SERVE_OPTIONS_INIT;
  options.client = client;
  options.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
  options.model = "gpt-sim";
  return options;
}

static sheaf_serve *start(const sheaf_serve_options *options) {
  char message[256] = "";
  sheaf_serve *serve = NULL;
  assert_int_equal(sheaf_serve_start(options, &serve, message, sizeof message), SHEAF_OK);
  return serve;
}

static int end(void **state) {
  (void)state;
  sheaf_client_free(client);
  sheaf_sim_stop(sim);
  client = NULL;
  sim = NULL;
  return 0;
}

typedef struct answer {
  CURLcode code;
  long status;
  size_t bytes;
  char text[2048];
} answer;

static size_t keep(char *data, size_t size, size_t count, void *ctx) {
  answer *to = ctx;
  for (size_t i = 0; i < size * count; i++)
    if (to->bytes < sizeof to->text - 1) to->text[to->bytes++] = data[i];
  return size * count;
}

/* body NULL: GET. header: one, or NULL. */
static answer fetch(const char *url, const char *path, const char *body, const char *header) {
  answer got = {0};
  char whole[256];
  struct curl_slist *headers = header ? curl_slist_append(NULL, header) : NULL;
  CURL *easy = curl_easy_init();
  assert_non_null(easy);
  snprintf(whole, sizeof whole, "%s%s", url, path);
  curl_easy_setopt(easy, CURLOPT_URL, whole);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)FAR_MS);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &got);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  if (body) curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
  got.code = curl_easy_perform(easy);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &got.status);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  return got;
}

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"gpt-sim\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"

static void wait_for_open(sheaf_serve *serve, uint64_t count) {
  const struct timespec pause = {.tv_nsec = 5000000};
  sheaf_serve_stats stats = {.struct_bytes = sizeof stats};
  for (int i = 0; i < FAR_MS / 5; i++) {
    sheaf_serve_stats_get(serve, &stats);
    if (stats.open == count) return;
    nanosleep(&pause, NULL);
  }
  assert_int_equal(stats.open, count);
}

/* ---- Options ---- */

static void options_that_cannot_be_are_refused_with_a_sentence(void **state) {
  (void)state;
  start_client("fixed:1");
  static const struct {
    const char *host, *token, *word;
    int32_t status;
  } cases[] = {
      {"0.0.0.0", NULL, "0.0.0.0", SHEAF_E_AUTH},      {"::", NULL, "::", SHEAF_E_AUTH},
      {"example.com", NULL, "numeric", SHEAF_E_FIELD}, {"127.0.0.1", "a b", "token", SHEAF_E_FIELD},
      {"127.0.0.1", "", "token", SHEAF_E_FIELD},       {"127.0.0.1", "a\n", "token", SHEAF_E_FIELD},
      {"192.0.2.1", "token", "listen", SHEAF_E_IO},
  };
  char message[256];
  sheaf_serve *serve = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_serve_options options = plain_options();
    options.host = cases[i].host;
    options.access_token = cases[i].token;
    assert_int_equal(sheaf_serve_start(&options, &serve, message, sizeof message), cases[i].status);
    assert_non_null(strstr(message, cases[i].word));
    assert_null(serve);
  }
  sheaf_serve_options options = plain_options();
  options.client = NULL;
  assert_int_equal(sheaf_serve_start(&options, &serve, message, sizeof message), SHEAF_E_MISUSE);
  options = plain_options();
  options.provider = NULL;
  assert_int_equal(sheaf_serve_start(&options, &serve, NULL, 0), SHEAF_E_MISUSE);
  assert_int_equal(sheaf_serve_start(NULL, &serve, NULL, 0), SHEAF_E_MISUSE);
  assert_true(sheaf_client_healthy(client)); /* a start that failed leaves it alone */
}

static void a_taken_port_is_told(void **state) {
  (void)state;
  start_client("fixed:1");
  sheaf_serve_options options = plain_options();
  sheaf_serve *first = start(&options), *second = NULL;
  char message[256];
  options.port = sheaf_serve_port(first);
  assert_int_equal(sheaf_serve_start(&options, &second, message, sizeof message), SHEAF_E_IO);
  assert_non_null(strstr(message, "listen"));
  assert_int_equal(fetch(sheaf_serve_url(first), CHAT, HELLO, NULL).status, 200);
  sheaf_serve_free(first);
}

static void options_are_copied(void **state) {
  (void)state;
  start_client("fixed:1");
  char host[] = "127.0.0.1", token[] = "let-me-in", model[] = "a \"model\"";
  sheaf_serve_options options = plain_options();
  options.host = host;
  options.access_token = token;
  options.model = model;
  sheaf_serve *serve = start(&options);
  memset(host, 'x', sizeof host);
  memset(token, 'x', sizeof token);
  memset(model, 'x', sizeof model);
  memset(&options, 0x55, sizeof options);
  const char *url = sheaf_serve_url(serve);
  assert_int_equal(fetch(url, "/v1/models", NULL, NULL).status, 401);
  answer got = fetch(url, "/v1/models", NULL, "Authorization: Bearer let-me-in");
  assert_int_equal(got.status, 200);
  assert_non_null(strstr(got.text, "\"id\":\"a \\\"model\\\"\""));
  sheaf_serve_free(serve);
}

static void ceilings_are_those_of_the_options(void **state) {
  (void)state;
  start_client("fixed:1");
  sheaf_serve_options options = plain_options();
  options.body_bytes_max = sizeof HELLO - 1;
  sheaf_serve *serve = start(&options);
  assert_int_equal(fetch(sheaf_serve_url(serve), CHAT, HELLO, NULL).status, 200);
  assert_int_equal(fetch(sheaf_serve_url(serve), CHAT, HELLO " ", NULL).status, 413);
  sheaf_serve_free(serve);
  sheaf_client_start(client);
  options = plain_options();
  options.bodies_bytes_max = 10;
  serve = start(&options);
  assert_int_equal(fetch(sheaf_serve_url(serve), CHAT, HELLO, NULL).status, 503);
  sheaf_serve_free(serve);
}

/* ---- Answers ---- */

static void a_program_serves_and_counts(void **state) {
  (void)state;
  start_client("fixed:1");
  sheaf_serve_options options = plain_options();
  sheaf_serve *serve = start(&options);
  const char *url = sheaf_serve_url(serve);
  char wanted[64];
  snprintf(wanted, sizeof wanted, "http://127.0.0.1:%u", (unsigned)sheaf_serve_port(serve));
  assert_string_equal(url, wanted);
  answer got = fetch(url, CHAT, HELLO, NULL);
  assert_int_equal(got.status, 200);
  assert_non_null(strstr(got.text, "echo: hello"));
  assert_int_equal(fetch(url, CHAT, "{", NULL).status, 400);
  assert_int_equal(fetch(url, CHAT, "{\"messages\":[],\"what\":1}", NULL).status, 400);
  sheaf_serve_stop(serve, FAR_MS);
  sheaf_serve_stats stats = {.struct_bytes = sizeof stats};
  sheaf_serve_stats_get(serve, &stats);
  assert_int_equal(stats.requests, 2);
  assert_int_equal(stats.succeeded, 1);
  assert_int_equal(stats.failed, 1);
  assert_int_equal(stats.refused, 1);
  assert_int_equal(stats.open, 0);
  sheaf_serve_free(serve);
}

static void an_older_programs_statistics_are_not_written_beyond(void **state) {
  (void)state;
  start_client("fixed:1");
  sheaf_serve_options options = plain_options();
  sheaf_serve *serve = start(&options);
  sheaf_serve_stats stats;
  memset(&stats, 0x55, sizeof stats);
  stats.struct_bytes = offsetof(sheaf_serve_stats, succeeded);
  sheaf_serve_stats_get(serve, &stats);
  assert_int_equal(stats.requests, 0);
  assert_int_equal(stats.succeeded, 0x5555555555555555);
  sheaf_serve_free(serve);
}

/* ---- Ends ---- */

typedef struct caller {
  pthread_t thread;
  const char *url;
  answer got;
} caller;

static void *call(void *ctx) {
  caller *it = ctx;
  it->got = fetch(it->url, CHAT, HELLO, "x-sheaf-dedup: off");
  return NULL;
}

/* Callers that wait while the endpoint ends, with that much time. */
static void end_under_callers(const char *latency, uint64_t drain_ms, long status) {
  start_client(latency);
  sheaf_serve_options options = plain_options();
  sheaf_serve *serve = start(&options);
  static caller callers[CALLERS];
  for (size_t i = 0; i < CALLERS; i++) {
    callers[i] = (caller){.url = sheaf_serve_url(serve)};
    assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
  }
  wait_for_open(serve, CALLERS);
  sheaf_serve_stop(serve, drain_ms);
  for (size_t i = 0; i < CALLERS; i++) {
    pthread_join(callers[i].thread, NULL);
    assert_int_equal(callers[i].got.code, CURLE_OK);
    assert_int_equal(callers[i].got.status, status);
  }
  assert_int_equal(fetch(sheaf_serve_url(serve), CHAT, HELLO, NULL).code, CURLE_COULDNT_CONNECT);
  assert_false(sheaf_client_healthy(client));
  sheaf_serve_stats stats = {.struct_bytes = sizeof stats};
  sheaf_serve_stats_get(serve, &stats);
  assert_int_equal(stats.open, 0);
  assert_int_equal(stats.cancelled, status == 200 ? 0 : CALLERS);
  sheaf_serve_free(serve);
}

static void a_stop_lets_callers_have_their_answers(void **state) {
  (void)state;
  end_under_callers("fixed:300", FAR_MS, 200);
}

static void a_stop_without_time_tells_callers_so(void **state) {
  (void)state;
  end_under_callers("fixed:600000", 0, 503);
}

static void a_second_stop_and_nothing_at_all_are_harmless(void **state) {
  (void)state;
  start_client("fixed:1");
  sheaf_serve_options options = plain_options();
  sheaf_serve *serve = start(&options);
  sheaf_serve_stop(serve, 0);
  sheaf_serve_stop(serve, 0);
  sheaf_serve_free(serve);
  sheaf_serve_stop(NULL, 0);
  sheaf_serve_free(NULL);
}

static void an_endpoint_starts_again_before_a_client_that_does(void **state) {
  (void)state;
  start_client("fixed:1");
  for (int i = 0; i < 3; i++) {
    sheaf_serve_options options = plain_options();
    sheaf_serve *serve = start(&options);
    assert_int_equal(fetch(sheaf_serve_url(serve), CHAT, HELLO, NULL).status, 200);
    sheaf_serve_free(serve);
    assert_int_equal(sheaf_client_start(client), SHEAF_OK);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(options_that_cannot_be_are_refused_with_a_sentence, end),
      cmocka_unit_test_teardown(a_taken_port_is_told, end),
      cmocka_unit_test_teardown(options_are_copied, end),
      cmocka_unit_test_teardown(ceilings_are_those_of_the_options, end),
      cmocka_unit_test_teardown(a_program_serves_and_counts, end),
      cmocka_unit_test_teardown(an_older_programs_statistics_are_not_written_beyond, end),
      cmocka_unit_test_teardown(a_stop_lets_callers_have_their_answers, end),
      cmocka_unit_test_teardown(a_stop_without_time_tells_callers_so, end),
      cmocka_unit_test_teardown(a_second_stop_and_nothing_at_all_are_harmless, end),
      cmocka_unit_test_teardown(an_endpoint_starts_again_before_a_client_that_does, end),
  };
  curl_global_init(CURL_GLOBAL_DEFAULT);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
