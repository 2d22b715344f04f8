/* test_sim_faults.c: what the provider simulator does wrong on purpose, and how exactly it repeats
 * it.
 *
 *   draws          the same seed repeats, a retry meets another draw
 *   faults         what curl makes of each, and what the ledger says
 *   limits, load   headers that count down, many at once */
#include "../support/sim_client.h"

/* ---- Draws ---- */

#define DRAWS 60

/* Sends bodies 0..29 twice over and gathers everything that may not depend on time. */
static void gather(const char *seed, sheaf_buf *all) {
  sheaf_sim *sim =
      start("seed", seed, "answer", "lorem:12", "latency", "uniform:5:90", "time-scale", "0.001",
            "fault", "429:0.15,500:0.15,529:5%,truncate:0.05", NULL);
  for (unsigned i = 0; i < DRAWS; i++) {
    char body[128], line[32];
    reply got;
    snprintf(body, sizeof body, "{\"model\":\"m\",\"stream\":%s,\"prompt\":\"row %u\"}",
             i % 3 ? "false" : "true", i % (DRAWS / 2));
    fetch_for(sim, &got, "/api/generate", body, NULL, NULL, 20000);
    snprintf(line, sizeof line, "\n%d %ld ", (int)got.code, got.status);
    sheaf_buf_append_text(all, line);
    sheaf_buf_append_slice(all, sheaf_buf_slice(&got.body));
    reply_deinit(&got);
  }
  assert_int_equal(all->status, SHEAF_OK);
  sheaf_sim_stop(sim);
}

static void the_same_seed_repeats_byte_for_byte(void **state) {
  (void)state;
  sheaf_buf first, second, other;
  sheaf_buf_init(&first, &allocator, 1u << 24);
  sheaf_buf_init(&second, &allocator, 1u << 24);
  sheaf_buf_init(&other, &allocator, 1u << 24);
  gather("7", &first);
  gather("7", &second);
  gather("8", &other);
  assert_int_equal(first.bytes, second.bytes);
  assert_memory_equal(first.data, second.data, first.bytes);
  assert_true(first.bytes != other.bytes || memcmp(first.data, other.data, first.bytes) != 0);
  sheaf_buf_deinit(&first);
  sheaf_buf_deinit(&second);
  sheaf_buf_deinit(&other);
}

static void a_retry_meets_another_draw(void **state) {
  (void)state;
  sheaf_sim *sim = start("fault", "500:0.5", NULL);
  unsigned failed = 0;
  for (unsigned i = 0; i < 40; i++) failed += status_of(sim, CHAT, CHAT_HELLO, NULL) == 500;
  /* Outside 5..35 with odds below one in 10^6 for a fair coin; and it always comes out the same. */
  assert_in_range(failed, 5, 35);
  assert_int_equal(stat_of(sim, "faults.500"), failed);
  sheaf_sim_stop(sim);
}

static int by_size(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* Ollama tells its duration, so the draws can be read off. */
static void draw_latencies(const char *latency, int64_t *durations, unsigned count) {
  sheaf_sim *sim = start("latency", latency, "time-scale", "0.001", NULL);
  for (unsigned i = 0; i < count; i++) {
    char body[96];
    reply got;
    snprintf(body, sizeof body, "{\"model\":\"m\",\"stream\":false,\"prompt\":\"%u\"}", i);
    fetch(sim, &got, "/api/generate", body, NULL);
    durations[i] = pick_int(&got, "load_duration") + pick_int(&got, "prompt_eval_duration");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
  qsort(durations, count, sizeof *durations, by_size);
}

static void latencies_have_their_distribution(void **state) {
  (void)state;
  int64_t durations[200];
  draw_latencies("uniform:50:150", durations, 200);
  assert_true(durations[0] >= 50000 && durations[199] <= 150000);
  assert_in_range(durations[100], 85000, 115000); /* the median's deviation is 3.5 us */
  draw_latencies("lognormal:80:0.8", durations, 200);
  assert_in_range(durations[100], 60000, 107000);  /* 80 e^(+-4 * 0.071) */
  assert_in_range(durations[168], 120000, 270000); /* 84 %: one sigma, 178 */
  draw_latencies("fixed:20", durations, 10);
  assert_int_equal(durations[0], 20000);
  assert_int_equal(durations[9], 20000);
}

/* ---- Faults ---- */

static void an_asked_fault_comes_once(void **state) {
  (void)state;
  static const struct {
    const char *header, *path, *body, *where, *text;
    long status;
  } rows[] = {
      {"x-sheaf-fault: 429", CHAT, CHAT_HELLO, "error.code", "rate_limit_exceeded", 429},
      {"x-sheaf-fault: quota", CHAT, CHAT_HELLO, "error.type", "insufficient_quota", 429},
      {"x-sheaf-fault: 500", CHAT, CHAT_HELLO, "error.type", "server_error", 500},
      {"x-sheaf-fault: 529", CHAT, CHAT_HELLO, "error.type", "server_error", 503},
      {"x-sheaf-fault: 529", "/api/chat", CHAT_HELLO, "error",
       "server busy, please try again.  maximum pending requests exceeded", 503},
      {"x-sheaf-fault: 529", "/v1/messages", "{\"model\":\"c\",\"max_tokens\":1," HELLO "}",
       "error.type", "overloaded_error", 529},
      {"x-sheaf-fault: quota", "/v1/messages", "{\"model\":\"c\",\"max_tokens\":1," HELLO "}",
       "error.details.error_code", "enforced_spend_limit_reached", 429},
      {"x-sheaf-fault: 429", "/v1beta/models/g:generateContent",
       "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}", "error.details[2].retryDelay", "0.25s",
       429},
      {"x-sheaf-fault: 529", "/v1beta/models/g:generateContent",
       "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}", "error.status", "UNAVAILABLE", 503},
  };
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    reply got;
    fetch_for(sim, &got, rows[i].path, rows[i].body, rows[i].header, VERSION, 20000);
    assert_int_equal(got.status, rows[i].status);
    assert_string_equal(pick(&got, rows[i].where), rows[i].text);
    reply_deinit(&got);
    fetch_for(sim, &got, rows[i].path, rows[i].body, rows[i].header, VERSION, 20000);
    assert_int_equal(got.status, 200);
    reply_deinit(&got);
  }
  for (unsigned i = 0; i < 3; i++)
    assert_int_equal(status_of(sim, CHAT, "{\"model\":\"n\"," HELLO "}", "x-sheaf-fault: 500:2"),
                     i < 2 ? 500 : 200);
  sheaf_sim_stop(sim);
}

static void hints_are_where_the_provider_puts_them(void **state) {
  (void)state;
  sheaf_sim *sim = start("retry-after", "1250", NULL);
  reply got;
  fetch(sim, &got, CHAT, CHAT_HELLO, "x-sheaf-fault: 429");
  assert_header(&got, "retry-after-ms", "1250");
  assert_header(&got, "retry-after", "2");
  reply_deinit(&got);
  fetch(sim, &got, CHAT, CHAT_HELLO, "x-sheaf-fault: quota");
  assert_null(header_of(&got, "retry-after"));
  reply_deinit(&got);
  fetch(sim, &got, "/v1beta/models/g:generateContent",
        "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}", "x-sheaf-fault: 429");
  assert_null(header_of(&got, "retry-after"));
  assert_string_equal(pick(&got, "error.details[2].retryDelay"), "1.25s");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void broken_connections_look_broken(void **state) {
  (void)state;
  static const char stream[] = "{\"model\":\"m\",\"stream\":true," HELLO "}";
  sheaf_sim *sim = start("fault", "reset:0", NULL);
  assert_int_equal(code_of(sim, CHAT_HELLO, "x-sheaf-fault: reset", 20000), CURLE_RECV_ERROR);
  assert_int_equal(code_of(sim, CHAT_HELLO, "x-sheaf-fault: truncate", 20000), CURLE_PARTIAL_FILE);
  assert_int_equal(code_of(sim, CHAT_HELLO, "x-sheaf-fault: cut", 20000), CURLE_PARTIAL_FILE);
  assert_int_equal(code_of(sim, stream, "x-sheaf-fault: cut", 20000), CURLE_PARTIAL_FILE);
  assert_int_equal(code_of(sim, CHAT_HELLO, "x-sheaf-fault: stall", 100), CURLE_OPERATION_TIMEDOUT);
  reply got;
  fetch(sim, &got, CHAT, stream, "x-sheaf-fault: truncate");
  assert_int_equal(got.status, 200); /* ends well for HTTP, not for the protocol in it */
  assert_non_null(strstr(got.text, "\"content\":\"echo\""));
  assert_null(strstr(got.text, "[DONE]"));
  assert_null(strstr(got.text, "\"finish_reason\":\"stop\""));
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "faults.reset"), 1);
  assert_int_equal(stat_of(sim, "faults.stall"), 1);
  assert_int_equal(stat_of(sim, "faults.truncate"), 2);
  assert_int_equal(stat_of(sim, "faults.cut"), 2);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  /* The stalled client is noticed when it leaves; until then it is under way. */
  while (stat_of(sim, "in_flight")) continue;
  assert_int_equal(stat_of(sim, "clients_left"), 1);
  sheaf_sim_stop(sim);
}

static void the_ledger_knows_what_was_billed_twice(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "x-sheaf-fault: 429"), 429);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  assert_int_equal(stat_of(sim, "billed.requests"), 1);
  assert_int_equal(stat_of(sim, "again.answered"), 0);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  assert_int_equal(code_of(sim, CHAT_HELLO, "x-sheaf-fault: truncate", 20000), CURLE_PARTIAL_FILE);
  reply got;
  fetch(sim, &got, "/_sim/stats", NULL, NULL);
  assert_int_equal(pick_int(&got, "received"), 4);
  assert_int_equal(pick_int(&got, "received_by_path./v1/chat/completions"), 4);
  assert_int_equal(pick_int(&got, "answered.200"), 3);
  assert_int_equal(pick_int(&got, "answered.429"), 1);
  assert_int_equal(pick_int(&got, "billed.requests"), 3);
  assert_int_equal(pick_int(&got, "billed.input_tokens"), 3 * 2);
  assert_int_equal(pick_int(&got, "billed.output_tokens"), 3 * 3);
  assert_int_equal(pick_int(&got, "again.answered"), 1);
  assert_int_equal(pick_int(&got, "again.billed"), 2);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Limits and load ---- */

static void requests_per_minute_count_down(void **state) {
  (void)state;
  sheaf_sim *sim = start("rpm", "3", NULL);
  static const char *const remaining[] = {"2", "1", "0"};
  reply got;
  for (unsigned i = 0; i < 3; i++) {
    fetch(sim, &got, CHAT, CHAT_HELLO, "Authorization: Bearer a");
    assert_int_equal(got.status, 200);
    assert_header(&got, "x-ratelimit-limit-requests", "3");
    assert_header(&got, "x-ratelimit-remaining-requests", remaining[i]);
    assert_null(header_of(&got, "x-ratelimit-limit-tokens"));
    reply_deinit(&got);
  }
  fetch(sim, &got, CHAT, CHAT_HELLO, "Authorization: Bearer a");
  assert_int_equal(got.status, 429);
  assert_string_equal(pick(&got, "error.type"), "requests");
  assert_in_range(strtoul(header_of(&got, "retry-after"), NULL, 10), 1, 20);
  assert_in_range(strtoul(header_of(&got, "retry-after-ms"), NULL, 10), 1, 20000);
  const char *reset = header_of(&got, "x-ratelimit-reset-requests");
  assert_non_null(reset);
  assert_int_equal(reset[strlen(reset) - 1], 's');
  reply_deinit(&got);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "Authorization: Bearer b"), 200);
  assert_int_equal(stat_of(sim, "limited.requests"), 1);
  sheaf_sim_stop(sim);
}

static void other_providers_tell_limits_their_way(void **state) {
  (void)state;
  sheaf_sim *sim = start("rpm", "1", NULL);
  static const char message[] = "{\"model\":\"c\",\"max_tokens\":1," HELLO "}";
  static const char gemini[] = "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}";
  reply got;
  fetch_for(sim, &got, "/v1/messages", message, VERSION, "x-api-key: a", 20000);
  assert_header(&got, "anthropic-ratelimit-requests-limit", "1");
  assert_header(&got, "anthropic-ratelimit-requests-remaining", "0");
  const char *reset = header_of(&got, "anthropic-ratelimit-requests-reset");
  assert_non_null(reset);
  assert_int_equal(strlen(reset), strlen("2026-01-02T03:04:05Z"));
  reply_deinit(&got);
  fetch_for(sim, &got, "/v1/messages", message, VERSION, "x-api-key: a", 20000);
  assert_int_equal(got.status, 429);
  assert_string_equal(pick(&got, "error.type"), "rate_limit_error");
  assert_in_range(strtoul(header_of(&got, "retry-after"), NULL, 10), 30, 60);
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/v1beta/models/g:generateContent", gemini, "x-goog-api-key: g"),
                   200);
  fetch(sim, &got, "/v1beta/models/g:generateContent", gemini, "x-goog-api-key: g");
  assert_int_equal(got.status, 429);
  assert_string_equal(pick(&got, "error.status"), "RESOURCE_EXHAUSTED");
  assert_in_range(strtoul(pick(&got, "error.details[2].retryDelay"), NULL, 10), 30, 60);
  assert_null(header_of(&got, "retry-after"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void tokens_per_minute_are_input_and_output(void **state) {
  (void)state;
  sheaf_sim *sim = start("tpm", "12", NULL); /* "hello" takes 2 + 3 */
  reply got;
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_header(&got, "x-ratelimit-limit-tokens", "12");
  assert_header(&got, "x-ratelimit-remaining-tokens", "7");
  reply_deinit(&got);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  fetch(sim, &got, CHAT, CHAT_HELLO, NULL);
  assert_int_equal(got.status, 429);
  assert_string_equal(pick(&got, "error.type"), "tokens");
  assert_non_null(header_of(&got, "retry-after"));
  reply_deinit(&got);
  fetch(sim, &got, CHAT,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
        "\"longer than a whole minute may take\"}]}",
        NULL);
  assert_int_equal(got.status, 429);
  assert_memory_equal(pick(&got, "error.message"), "Request too large", 17);
  assert_null(header_of(&got, "retry-after"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* 400 connections are 800 descriptors in one process: below the usual soft limit of 1,024. */
static void hundreds_wait_at_once(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:2000", NULL);
  assert_int_equal(run_many(sim, 400, 200), 400);
  assert_int_equal(stat_of(sim, "in_flight_max"), 400);
  assert_int_equal(stat_of(sim, "answered.200"), 400);
  sheaf_sim_stop(sim);
}

static void concurrency_above_the_limit_is_refused(void **state) {
  (void)state;
  sheaf_sim *sim = start("latency", "fixed:1000", "concurrency", "5", NULL);
  assert_int_equal(run_many(sim, 20, 200), 5);
  assert_int_equal(stat_of(sim, "limited.concurrency"), 15);
  assert_int_equal(stat_of(sim, "answered.429"), 15);
  sheaf_sim_stop(sim);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_seed_repeats_byte_for_byte),
      cmocka_unit_test(a_retry_meets_another_draw),
      cmocka_unit_test(latencies_have_their_distribution),
      cmocka_unit_test(an_asked_fault_comes_once),
      cmocka_unit_test(hints_are_where_the_provider_puts_them),
      cmocka_unit_test(broken_connections_look_broken),
      cmocka_unit_test(the_ledger_knows_what_was_billed_twice),
      cmocka_unit_test(requests_per_minute_count_down),
      cmocka_unit_test(other_providers_tell_limits_their_way),
      cmocka_unit_test(tokens_per_minute_are_input_and_output),
      cmocka_unit_test(hundreds_wait_at_once),
      cmocka_unit_test(concurrency_above_the_limit_is_refused),
  };
  RUN_SUITE(tests);
}
