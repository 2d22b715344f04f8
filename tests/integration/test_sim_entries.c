/* test_sim_entries.c: the simulator's books against what a client saw: what is billed, entry by
 * entry, and the ring that the entries are kept in. */
#include "../support/sim_client.h"

#define MESSAGES "/v1/messages"

/* ---- Each kind of fault ---- */

typedef struct expected {
  const char *fault; /* NULL: none */
  int status;        /* of a body in one piece; a stream that breaks has begun with 200 */
  bool is_billed, is_whole;
  bool is_broken;
} expected;

static const expected bodies[] = {
    {NULL, 200, true, true, false},           {"429", 429, false, false, false},
    {"500", 500, false, false, false},        {"529", 503, false, false, false},
    {"reset", 0, false, false, true},         {"truncate", 200, true, false, true},
    {"quota", 429, false, false, false},      {"cut", 200, true, false, true},
    {"408", 408, false, false, false},        {"502", 502, false, false, false},
    {"503", 503, false, false, false},        {"429-bare", 429, false, false, false},
    {"reset-head", 200, true, false, true},   {"reset-body", 200, true, false, true},
    {"drip", 200, true, true, false},         {"length", 200, true, false, false},
    {"garbage", 200, true, false, false},     {"garbage-head", 0, true, false, true},
    {"late-error", 200, false, false, false}, {"no-end", 200, true, false, false},
    {"no-usage", 200, true, true, false},     {"blank", 200, true, true, false},
    {"giant", 200, true, true, false},        {"gzip", 200, true, true, false},
    {"gzip-bad", 200, true, false, false},    {"chunks", 200, true, true, false},
    {"chunks-bad", 200, true, false, true},   {"redirect", 307, false, false, false},
    {"refuse", 0, false, false, true},
};

/* Asks for the fault and compares the entry with the row; answers whether it was billed. "hello" is
 * 2 tokens in and 3 out, whatever becomes of the answer. */
static void compare(sheaf_sim *sim, const expected *row, const char *body, bool is_stream) {
  char header[64];
  reply got;
  snprintf(header, sizeof header, "x-sheaf-fault: %s", row->fault ? row->fault : "429:0");
  bool ends_well = strcmp(row->fault ? row->fault : "", "truncate") != 0 || !is_stream;
  bool is_billed = row->is_billed || (is_stream && strcmp(header + 15, "late-error") == 0);
  fetch_for(sim, &got, CHAT, body, header, NULL, 20000);
  reply_deinit(&got);
  settle(sim);
  if (row->fault && strcmp(newest(sim, "fault"), row->fault) != 0) print_error("%s\n", row->fault);
  assert_string_equal(newest(sim, "fault"), row->fault ? row->fault : "null");
  assert_int_equal(atoi(newest(sim, "status")), row->status);
  assert_string_equal(newest(sim, "billed"), is_billed ? "true" : "false");
  assert_string_equal(newest(sim, "whole"), row->is_whole ? "true" : "false");
  assert_string_equal(newest(sim, "ended"), row->is_broken && ends_well ? "broken" : "answered");
  assert_string_equal(newest(sim, "stream"), is_stream ? "true" : "false");
  assert_string_equal(newest(sim, "input_tokens"), "2");
  assert_string_equal(newest(sim, "output_tokens"), "3");
}

static void each_fault_is_billed_by_the_rule(void **state) {
  (void)state;
  for (unsigned stream = 0; stream < 2; stream++) {
    sheaf_sim *sim = start("giant-bytes", "100000", "drip", "0", "refuse", "0", NULL);
    unsigned billed = 0, whole = 0;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
      char body[160];
      snprintf(body, sizeof body, "{\"model\":\"m%zu\",\"stream\":%s," HELLO "}", i,
               stream ? "true" : "false");
      compare(sim, &bodies[i], body, stream);
      billed += bodies[i].is_billed ||
                (stream && bodies[i].fault && strcmp(bodies[i].fault, "late-error") == 0);
      whole += bodies[i].is_whole;
      assert_string_equal(newest(sim, "sighting"), "0");
    }
    assert_int_equal(stat_of(sim, "billed.requests"), billed);
    assert_int_equal(stat_of(sim, "billed.input_tokens"), 2 * billed);
    assert_int_equal(stat_of(sim, "billed.output_tokens"), 3 * billed);
    assert_int_equal(stat_of(sim, "again.billed"), 0);
    assert_int_equal(stat_of(sim, "clients_left"), 0);
    assert_true(whole > 0);
    sheaf_sim_stop(sim);
  }
}

static void a_client_that_leaves_is_noted(void **state) {
  (void)state;
  static const char *const kinds[] = {"stall", "stall-body"};
  sheaf_sim *sim = start(NULL, NULL);
  for (unsigned i = 0; i < 2; i++) {
    char header[64];
    snprintf(header, sizeof header, "x-sheaf-fault: %s", kinds[i]);
    assert_int_equal(code_of(sim, CHAT_HELLO, header, 300), CURLE_OPERATION_TIMEDOUT);
    settle(sim);
    assert_string_equal(newest(sim, "fault"), kinds[i]);
    assert_string_equal(newest(sim, "ended"), "left");
    assert_string_equal(newest(sim, "billed"), i ? "true" : "false");
    assert_int_equal(stat_of(sim, "clients_left"), i + 1);
  }
  sheaf_sim_stop(sim);
}

/* ---- A client's account ---- */

typedef struct shape {
  const char *path, *body, *input, *output;
} shape;

static const shape shapes[] = {
    {CHAT, "{\"model\":\"row-%u\"," HELLO "}", "usage.prompt_tokens", "usage.completion_tokens"},
    {MESSAGES, "{\"model\":\"row-%u\",\"max_tokens\":99," HELLO "}", "usage.input_tokens",
     "usage.output_tokens"},
    {"/v1beta/models/g:generateContent", "{\"contents\":[{\"parts\":[{\"text\":\"row %u\"}]}]}",
     "usageMetadata.promptTokenCount", "usageMetadata.candidatesTokenCount"},
    {"/api/generate", "{\"model\":\"l\",\"stream\":false,\"prompt\":\"row %u\"}",
     "prompt_eval_count", "eval_count"},
    {"/v1/responses", "{\"model\":\"m\",\"input\":\"row %u\"}", "usage.input_tokens",
     "usage.output_tokens"},
};
#define SHAPE_COUNT (sizeof shapes / sizeof *shapes)
#define ROWS 60

static void body_of(char *body, size_t room, const shape *form, unsigned row) {
  const char *hole = strstr(form->body, "%u");
  snprintf(body, room, "%.*s%u%s", (int)(hole - form->body), form->body, row, hole + 2);
}

/* What came back whole and good, by the client's own reckoning, stands in the ledger the same, entry
 * by entry; and the sums of the entries are the sums of the ledger. */
static void the_clients_account_is_the_ledgers(void **state) {
  (void)state;
  sheaf_sim *sim =
      start("answer", "lorem:9", "fault", "429:0.1,500:0.1,truncate:0.1,cut:0.05,garbage:0.05",
            "latency", "0.1", NULL);
  reply got, ledger;
  int64_t input = 0, output = 0, billed = 0;
  for (unsigned row = 0; row < ROWS; row++) {
    char body[160];
    const shape *form = &shapes[row % SHAPE_COUNT];
    body_of(body, sizeof body, form, row);
    fetch_for(sim, &got, form->path, body, VERSION, NULL, 20000);
    bool is_good = got.code == CURLE_OK && got.status == 200 && got.text[0] == '{';
    fetch_ledger(sim, &ledger, row, 1);
    assert_int_equal(pick_int(&ledger, "entries[0].seq"), row + 1);
    assert_int_equal(pick_int(&ledger, "entries[0].status"), got.status);
    assert_string_equal(pick(&ledger, "entries[0].whole"), is_good ? "true" : "false");
    if (is_good) {
      assert_int_equal(pick_int(&ledger, "entries[0].input_tokens"), pick_int(&got, form->input));
      assert_int_equal(pick_int(&ledger, "entries[0].output_tokens"), pick_int(&got, form->output));
    }
    if (strcmp(pick(&ledger, "entries[0].billed"), "true") == 0) {
      input += pick_int(&ledger, "entries[0].input_tokens");
      output += pick_int(&ledger, "entries[0].output_tokens");
      billed++;
    } else {
      assert_false(is_good);
    }
    reply_deinit(&ledger);
    reply_deinit(&got);
  }
  assert_in_range(billed, ROWS / 2, ROWS - 1); /* most, and not all */
  assert_int_equal(stat_of(sim, "billed.requests"), billed);
  assert_int_equal(stat_of(sim, "billed.input_tokens"), input);
  assert_int_equal(stat_of(sim, "billed.output_tokens"), output);
  sheaf_sim_stop(sim);
}

/* ---- Entries ---- */

static void an_entry_says_who_asked_for_what(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  char key[16], hash[32];
  fetch_for(sim, &got, CHAT, "{\"model\":\"m\\u00e9\\\"\"," HELLO "}", "x-client-request-id: c\"1",
            "Authorization: Bearer sk-secret", 20000);
  reply_deinit(&got);
  assert_string_equal(newest(sim, "path"), CHAT);
  assert_string_equal(newest(sim, "model"), "m\xc3\xa9\"");
  assert_string_equal(newest(sim, "client"), "c\"1");
  copy_text(key, sizeof key, newest(sim, "key"));
  copy_text(hash, sizeof hash, newest(sim, "body_hash"));
  assert_int_equal(strlen(key), 8);
  assert_int_equal(strlen(hash), 16);
  fetch_for(sim, &got, CHAT, CHAT_HELLO, "x-request-id: 2", "api-key: sk-secret", 20000);
  reply_deinit(&got);
  assert_string_equal(newest(sim, "client"), "2");
  assert_string_equal(newest(sim, "key"), key);
  assert_string_not_equal(newest(sim, "body_hash"), hash);
  fetch(sim, &got, CHAT, CHAT_HELLO, "api-key: sk-other");
  reply_deinit(&got);
  assert_string_not_equal(newest(sim, "key"), key);
  assert_string_equal(newest(sim, "sighting"), "1");
  assert_string_equal(newest(sim, "client"), "null");
  assert_int_equal(status_of(sim, CHAT, "{\"model\":1}", NULL), 400);
  assert_string_equal(newest(sim, "error"), "wrong_type");
  assert_string_equal(newest(sim, "key"), "null");
  assert_string_equal(newest(sim, "body_hash"), "null");
  assert_string_equal(newest(sim, "model"), "null");
  assert_int_equal(status_of(sim, "/nowhere", "{}", NULL), 404);
  assert_string_equal(newest(sim, "path"), "unknown");
  fetch_ledger(sim, &got, 0, 100);
  assert_null(strstr(got.text, "secret"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* A name is cut where no escape and no character is cut. */
static void long_names_are_cut_between_characters(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  char body[512], name[256] = "";
  for (unsigned i = 0; i < 15; i++) strcat(name, "abcd");
  strcat(name, "\\u00e9\\u00e9"); /* 60 + 6 > 64 */
  snprintf(body, sizeof body, "{\"model\":\"%s\"," HELLO "}", name);
  assert_int_equal(status_of(sim, CHAT, body, NULL), 200);
  name[60] = 0;
  assert_string_equal(newest(sim, "model"), name);
  snprintf(body, sizeof body, "{\"model\":\"%sabc\xc3\xa9\"," HELLO "}", name);
  assert_int_equal(status_of(sim, CHAT, body, NULL), 200);
  strcat(name, "abc");
  assert_string_equal(newest(sim, "model"), name);
  sheaf_sim_stop(sim);
}

static void the_ring_keeps_the_newest_and_counts_the_rest(void **state) {
  (void)state;
  sheaf_sim *sim = start("ledger", "4", NULL);
  reply got;
  for (unsigned i = 0; i < 10; i++) assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  fetch_ledger(sim, &got, 0, 100);
  assert_int_equal(pick_int(&got, "lost"), 6);
  assert_int_equal(pick_int(&got, "next"), 10);
  assert_int_equal(pick_int(&got, "entries[0].seq"), 7);
  assert_int_equal(pick_int(&got, "entries[3].seq"), 10);
  assert_int_equal(pick_int(&got, "entries[3].sighting"), 9);
  assert_string_equal(pick(&got, "entries[4]"), "");
  reply_deinit(&got);
  fetch_ledger(sim, &got, 7, 2);
  assert_int_equal(pick_int(&got, "lost"), 0);
  assert_int_equal(pick_int(&got, "next"), 9);
  assert_int_equal(pick_int(&got, "entries[0].seq"), 8);
  assert_int_equal(pick_int(&got, "entries[1].seq"), 9);
  assert_string_equal(pick(&got, "entries[2]"), "");
  reply_deinit(&got);
  fetch_ledger(sim, &got, 10, 5);
  assert_int_equal(pick_int(&got, "next"), 10);
  assert_string_equal(pick(&got, "entries"), "[]");
  reply_deinit(&got);
  fetch_ledger(sim, &got, 99, 5); /* nothing is there yet */
  assert_int_equal(pick_int(&got, "next"), 99);
  assert_int_equal(pick_int(&got, "lost"), 0);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
  sim = start("ledger", "0", NULL);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  fetch_ledger(sim, &got, 0, 5);
  assert_string_equal(pick(&got, "entries"), "[]");
  assert_int_equal(pick_int(&got, "lost"), 1);
  reply_deinit(&got);
  assert_int_equal(stat_of(sim, "billed.requests"), 1);
  sheaf_sim_stop(sim);
}

static void a_reset_forgets_all_but_what_is_under_way(void **state) {
  (void)state;
  sheaf_sim *sim = start("answer", "lorem:12", "rpm", "2", NULL);
  reply first, second;
  fetch(sim, &first, CHAT, CHAT_HELLO, NULL);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "x-sheaf-fault: 500"), 500);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 200);
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, NULL), 429);
  settle(sim);
  assert_int_equal(status_of(sim, "/_sim/reset", "", NULL), 200);
  assert_int_equal(stat_of(sim, "received"), 0);
  assert_int_equal(stat_of(sim, "billed.requests"), 0);
  assert_int_equal(stat_of(sim, "faults.500"), 0);
  assert_int_equal(stat_of(sim, "limited.requests"), 0);
  fetch_ledger(sim, &second, 0, 5);
  assert_string_equal(pick(&second, "entries"), "[]");
  assert_int_equal(pick_int(&second, "lost"), 0);
  reply_deinit(&second);
  fetch(sim, &second, CHAT, CHAT_HELLO, NULL); /* the first sighting again */
  assert_int_equal(second.status, 200);
  assert_string_equal(second.text, first.text);
  reply_deinit(&first);
  reply_deinit(&second);
  assert_string_equal(newest(sim, "seq"), "5"); /* sequences go on */
  assert_string_equal(newest(sim, "sighting"), "0");
  assert_int_equal(status_of(sim, CHAT, CHAT_HELLO, "x-sheaf-fault: 500"), 500);
  sheaf_sim_stop(sim);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_fault_is_billed_by_the_rule),
      cmocka_unit_test(a_client_that_leaves_is_noted),
      cmocka_unit_test(the_clients_account_is_the_ledgers),
      cmocka_unit_test(an_entry_says_who_asked_for_what),
      cmocka_unit_test(long_names_are_cut_between_characters),
      cmocka_unit_test(the_ring_keeps_the_newest_and_counts_the_rest),
      cmocka_unit_test(a_reset_forgets_all_but_what_is_under_way),
  };
  RUN_SUITE(tests);
}
