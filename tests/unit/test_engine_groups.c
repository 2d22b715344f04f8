/* test_engine_groups: several requests in one call: who travels with whom, what a reply is to each of them, what the call costs
 * them, and what becomes of them when it fails, is late, or is not wanted any more. */
#include "groups_test.h"

static groups w;

static sheaf_request with_trust(const char *key) {
  sheaf_request r = SHEAF_REQUEST_INIT;
  r.trust_key = sheaf_slice_of(key);
  return r;
}

/* Three lists of one key, in one call that is out. */
static void three_out(void) {
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
}

static void three_chats_out(void) {
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:two", NULL);
  groups_submit(&w, "Pk:three", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
}

static sheaf_stats stats_now(void) {
  sheaf_stats stats;
  sheaf_engine_stats(w.engine, &stats);
  return stats;
}

static void check_answers(uint64_t count, const char *const *texts) {
  CHECK_EQ(w.result_count, count);
  for (uint64_t i = 0; i < count; i++) {
    CHECK(groups_of(&w, i)->ok);
    CHECK_STRING(groups_of(&w, i)->text, texts[i]);
  }
}

static const char *const abc[] = {"=a", "=b", "=c"};
static const char *const numbers[] = {"=one", "=two", "=three"};

/* ---- Lists ---- */

TEST(lists_of_one_key_travel_in_one_call_and_each_gets_its_own_items) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b,c", NULL);
  groups_submit(&w, "Ek:d", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  CHECK_STRING(w.starts[0].body, "Ek:a,b,c,d");
  groups_good(&w, 0);
  groups_step(&w, MS);
  static const char *const texts[] = {"=a", "=b,=c", "=d"};
  check_answers(3, texts);
  for (uint64_t i = 0; i < 3; i++) {
    CHECK_EQ(groups_of(&w, i)->group_members, 3);
    CHECK_EQ(groups_of(&w, i)->group, groups_of(&w, 0)->group);
    CHECK(groups_of(&w, i)->group != 0);
    CHECK_EQ(groups_of(&w, i)->lane, SHEAF_LANE_MERGED);
    CHECK_EQ(groups_of(&w, i)->attempts, 1);
  }
  sheaf_stats s = stats_now();
  CHECK_EQ(s.groups, 1);
  CHECK_EQ(s.grouped, 3);
  CHECK_EQ(s.attempts, 1);
  CHECK_EQ(s.succeeded, 3);
  CHECK_EQ(s.group_max, 2048);
  groups_close(&w);
}

TEST(one_alone_goes_as_it_is) {
  groups_init(&w);
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_STRING(w.starts[0].body, "Ek:a");
  groups_good(&w, 0);
  groups_step(&w, MS);
  check_answers(1, abc);
  CHECK_EQ(groups_of(&w, 0)->group, 0);
  CHECK_EQ(groups_of(&w, 0)->group_members, 0);
  CHECK_EQ(groups_of(&w, 0)->lane, SHEAF_LANE_LIVE);
  CHECK_EQ(stats_now().groups, 0);
  groups_close(&w);
}

TEST(two_keys_and_two_kinds_never_mix) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  for (int i = 0; i < 3; i++) {
    groups_submit(&w, "Ek:a", NULL);
    groups_submit(&w, "El:b", NULL);
    groups_submit(&w, "Pk:c", NULL);
    groups_submit(&w, "Pl:d", NULL);
  }
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 4);
  for (uint32_t i = 0; i < w.start_count; i++) {
    const char *body = w.starts[i].body;
    char own = (char)(body[0] == 'E' ? (body[1] == 'k' ? 'a' : 'b') : (body[1] == 'k' ? 'c' : 'd'));
    if (body[0] == 'E') {
      char wanted[16];
      snprintf(wanted, sizeof wanted, "E%c:%c,%c,%c", body[1], own, own, own);
      CHECK_STRING(body, wanted);
      continue;
    }
    for (char other = 'a'; other <= 'd'; other++) {
      char prompt[32];
      snprintf(prompt, sizeof prompt, "\\\"prompt\\\":\\\"%c\\\"", other);
      CHECK_EQ(strstr(body, prompt) != NULL, other == own);
    }
  }
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 12);
  groups_close(&w);
}

TEST(merging_that_is_off_sends_each_alone) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_OFF;
  groups_open(&w);
  for (int i = 0; i < 3; i++) groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 3);
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().groups, 0);
  groups_close(&w);
}

TEST(a_request_that_asks_to_go_alone_does) {
  groups_init(&w);
  groups_open(&w);
  sheaf_request alone = SHEAF_REQUEST_INIT;
  alone.flags = SHEAF_REQUEST_ALONE;
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", &alone);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 2);
  CHECK(groups_finish(&w));
  check_answers(3, abc);
  CHECK_EQ(groups_of(&w, 1)->group, 0);
  groups_close(&w);
}

/* ---- Ceilings ---- */

TEST(a_call_holds_at_most_max_inputs_and_the_providers_own_ceiling_wins) {
  for (int round = 0; round < 2; round++) {
    groups_init(&w);
    w.options.max_inputs = 4;
    shares_inputs_max = round ? 3 : 0;
    groups_open(&w);
    for (int i = 0; i < 9; i++) groups_submit(&w, "Ek:a", NULL);
    groups_step(&w, 0);
    uint32_t most = round ? 3 : 4;
    for (uint32_t i = 0; i < w.start_count; i++) {
      CHECK(view_of(sheaf_slice_of(w.starts[i].body)).inputs <= most);
    }
    CHECK(view_of(sheaf_slice_of(w.starts[0].body)).inputs == most);
    CHECK(groups_finish(&w));
    for (uint32_t i = 0; i < w.start_count; i++)
      CHECK(view_of(sheaf_slice_of(w.starts[i].body)).inputs <= most);
    CHECK_EQ(stats_now().succeeded, 9);
    groups_close(&w);
  }
}

TEST(inputs_are_counted_not_requests) {
  groups_init(&w);
  w.options.max_inputs = 4;
  groups_open(&w);
  groups_submit(&w, "Ek:a,b,c", NULL);
  groups_submit(&w, "Ek:d,e", NULL);
  groups_submit(&w, "Ek:f", NULL);
  groups_submit(&w, "Ek:g,h,i,j,k", NULL); /* more than any call of several holds: alone */
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  for (uint32_t i = 0; i < w.start_count; i++) {
    uint32_t inputs = view_of(sheaf_slice_of(w.starts[i].body)).inputs;
    CHECK(inputs <= 4 || strcmp(w.starts[i].body, "Ek:g,h,i,j,k") == 0);
  }
  CHECK_EQ(stats_now().succeeded, 4);
  groups_close(&w);
}

TEST(a_call_of_lists_holds_at_most_the_providers_tokens) {
  groups_init(&w);
  shares_tokens_max = 10;
  groups_open(&w);
  /* Nine bytes are estimated at no fewer than two tokens and no more than nine. */
  for (int i = 0; i < 8; i++) groups_submit(&w, "Ek:ninebytes", NULL);
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  for (uint32_t i = 0; i < w.start_count; i++)
    CHECK(view_of(sheaf_slice_of(w.starts[i].body)).inputs <= 5);
  CHECK_EQ(stats_now().succeeded, 8);
  groups_close(&w);
}

TEST(a_call_of_prompts_holds_at_most_max_batch) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.max_batch = 3;
  groups_open(&w);
  for (int i = 0; i < 8; i++) groups_submit(&w, "Pk:x", NULL);
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  CHECK(w.start_count >= 3);
  for (uint32_t i = 0; i < w.result_count; i++) CHECK(w.results[i].group_members <= 3);
  CHECK_EQ(stats_now().succeeded, 8);
  CHECK_EQ(stats_now().group_max, 3);
  groups_close(&w);
}

static int64_t count_100(void *ctx, const sheaf_provider *provider, sheaf_slice model,
                         sheaf_slice body) {
  (void)ctx, (void)provider, (void)model, (void)body;
  return 100;
}

TEST(merged_prompts_with_their_answers_stay_within_context_tokens) {
  groups_init(&w);
  const sheaf_token_counter counter = {.struct_bytes = sizeof counter, .count = count_100};
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.tokens = &counter;
  w.options.context_tokens = 1000;
  w.options.max_tokens = 150;
  groups_open(&w);
  for (int i = 0; i < 9; i++) groups_submit(&w, "Pk:x", NULL);
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 9);
  for (uint32_t i = 0; i < w.result_count; i++) {
    CHECK(w.results[i].group_members <= 4); /* 4 * (100 + 150) */
  }
  CHECK(stats_now().groups > 0);
  groups_close(&w);
}

TEST(a_call_never_costs_more_than_a_whole_minute_of_tokens) {
  groups_init(&w);
  const sheaf_token_counter counter = {.struct_bytes = sizeof counter, .count = count_100};
  w.options.tokens = &counter;
  w.options.input_tpm = 350;
  w.options.burst_ms = 60000;
  groups_open(&w);
  for (int i = 0; i < 6; i++) groups_submit(&w, "Ek:x", NULL);
  groups_step(&w, 0);
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 6);
  for (uint32_t i = 0; i < w.start_count; i++)
    CHECK(view_of(sheaf_slice_of(w.starts[i].body)).inputs <= 3);
  groups_close(&w);
}

/* ---- Prompts ---- */

TEST(prompts_travel_together_only_when_asked_for_and_with_a_secret) {
  for (int round = 0; round < 3; round++) {
    groups_init(&w);
    w.options.merge = round == 0 ? SHEAF_MERGE_LOSSLESS : SHEAF_MERGE_PROMPTS;
    if (round == 1) w.options.secret = NULL;
    groups_open(&w);
    for (int i = 0; i < 3; i++) groups_submit(&w, "Pk:x", NULL);
    groups_step(&w, 0);
    CHECK_EQ(w.start_count, round == 2 ? 1 : 3);
    CHECK(groups_finish(&w));
    CHECK_EQ(stats_now().succeeded, 3);
    groups_close(&w);
  }
}

TEST(each_prompt_gets_the_answer_under_its_id) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  three_chats_out();
  groups_good(&w, 0);
  groups_step(&w, MS);
  check_answers(3, numbers);
  groups_close(&w);
}

TEST(prompts_of_two_trust_keys_never_mix) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  sheaf_request ann = with_trust("ann"), bob = with_trust("bob");
  groups_submit(&w, "Pk:ann1", &ann);
  groups_submit(&w, "Pk:bob1", &bob);
  groups_submit(&w, "Pk:none1", NULL);
  groups_submit(&w, "Pk:ann2", &ann);
  groups_submit(&w, "Pk:bob2", &bob);
  groups_submit(&w, "Pk:none2", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 3);
  static const char *const names[] = {"ann", "bob", "none"};
  for (uint32_t i = 0; i < w.start_count; i++) {
    uint32_t found = 0;
    for (int n = 0; n < 3; n++) found += strstr(w.starts[i].body, names[n]) != NULL;
    CHECK_EQ(found, 1);
  }
  CHECK(groups_finish(&w));
  groups_close(&w);
}

TEST(lists_need_no_trust) {
  groups_init(&w);
  groups_open(&w);
  sheaf_request ann = with_trust("ann"), bob = with_trust("bob");
  groups_submit(&w, "Ek:a", &ann);
  groups_submit(&w, "Ek:b", &bob);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  CHECK(groups_finish(&w));
  groups_close(&w);
}

/* ---- Money ---- */

static void check_sums(uint32_t members, int64_t input, int64_t output, int64_t cost) {
  int64_t inputs = 0, outputs = 0, costs = 0;
  CHECK_EQ(w.result_count, members);
  for (uint32_t i = 0; i < w.result_count; i++) {
    inputs += w.results[i].input;
    outputs += w.results[i].output;
    costs += w.results[i].cost;
    CHECK(w.results[i].cost >= 0);
  }
  CHECK_EQ(inputs, input);
  CHECK_EQ(outputs, output);
  CHECK_EQ(costs, cost);
}

TEST(shares_of_usage_and_cost_add_up_to_the_calls_exactly) {
  for (uint32_t members = 2; members <= 10; members++) {
    groups_init(&w);
    w.options.merge = SHEAF_MERGE_PROMPTS;
    groups_open(&w);
    char prompt[40] = "Pk:";
    for (uint32_t i = 0; i < members; i++) {
      memset(prompt + 3, 'x', 3 * i + 1);
      groups_submit(&w, prompt, NULL);
    }
    groups_step(&w, 0);
    CHECK_EQ(w.start_count, 1);
    groups_good(&w, 0); /* 100 in at 1 nano-USD, 60 out at 2 */
    groups_step(&w, MS);
    check_sums(members, 100, 60, 220);
    CHECK_EQ(stats_now().input_tokens, 100);
    CHECK_EQ(stats_now().output_tokens, 60);
    CHECK_EQ(stats_now().cost_usd_nano, 220);
    CHECK(groups_of(&w, members - 1)->input > groups_of(&w, 0)->input); /* the longest pays most */
    groups_close(&w);
  }
}

TEST(shares_of_a_cost_below_a_unit_a_token_add_up_too) {
  groups_init(&w);
  static const sheaf_price third = {"shares",     "*",          333333, 333333,
                                    SHEAF_ABSENT, SHEAF_ABSENT, 0,      0};
  static const sheaf_price_table thirds = {
      .date = "2026-01-01", .source = "made up", .prices = &third, .count = 1};
  w.options.prices = &thirds;
  groups_open(&w);
  for (int i = 0; i < 30; i++) groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0); /* 100 tokens: 33.3333, rounded up */
  groups_step(&w, MS);
  check_sums(30, 100, 0, 34);
  groups_close(&w);
}

TEST(a_void_replys_cost_is_shared_by_those_it_was_meant_for) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  three_chats_out();
  groups_reply(&w, 0, REPLY_SHORT);
  groups_step(&w, MS);
  CHECK(groups_finish(&w));
  check_answers(3, numbers);
  int64_t costs = 0;
  for (uint32_t i = 0; i < 3; i++) costs += w.results[i].cost;
  CHECK_EQ(costs, 4 * 220); /* the void one and three of their own */
  CHECK_EQ(stats_now().cost_usd_nano, 4 * 220);
  CHECK_EQ(stats_now().wasted_tokens, 160);
  groups_close(&w);
}

TEST(the_spend_cap_holds_back_a_group_that_would_pass_it) {
  groups_init(&w);
  const sheaf_token_counter counter = {.struct_bytes = sizeof counter, .count = count_100};
  w.options.tokens = &counter;
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.max_tokens = 50;
  w.options.budget_usd_nano = 450; /* one may cost 100 + 2 * 50: two fit, three do not */
  groups_open(&w);
  for (int i = 0; i < 3; i++) groups_submit(&w, "Pk:x", NULL);
  groups_step(&w, 0);
  CHECK(w.start_count <= 2);
  for (uint32_t i = 0; i < w.start_count; i++) CHECK(strstr(w.starts[i].body, "requests") == NULL);
  CHECK(groups_finish(&w));
  CHECK(stats_now().cost_usd_nano <= 450);
  CHECK_EQ(w.result_count, 3);
  groups_close(&w);
}

/* ---- Doubt and refusals ---- */

TEST(any_doubt_voids_the_reply_and_the_members_go_alone) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  three_chats_out();
  groups_reply(&w, 0, REPLY_SHORT);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 0); /* two answers were there, and none is used */
  CHECK_EQ(w.start_count, 4);
  CHECK_STRING(w.starts[1].body, "Pk:one");
  CHECK_STRING(w.starts[2].body, "Pk:two");
  CHECK_STRING(w.starts[3].body, "Pk:three");
  CHECK(groups_finish(&w));
  check_answers(3, numbers);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.merge_fallbacks, 3);
  CHECK_EQ(s.groups_failed, 1);
  CHECK_EQ(s.groups_retried, 0);
  CHECK_EQ(s.retries, 0); /* nobody is charged for it */
  for (uint64_t i = 0; i < 3; i++) CHECK_EQ(groups_of(&w, i)->attempts, 2);
  groups_close(&w);
}

TEST(a_list_with_an_item_missing_is_void_too) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  groups_reply(&w, 0, REPLY_SHORT);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 0);
  CHECK_EQ(w.start_count, 4);
  CHECK(groups_finish(&w));
  check_answers(3, abc);
  groups_close(&w);
}

TEST(a_reply_that_cannot_be_read_sends_the_members_alone) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  groups_answer(&w, 0, 200, "", "nonsense");
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 4);
  CHECK(groups_finish(&w));
  check_answers(3, abc);
  groups_close(&w);
}

/* Refuses every call that holds the poison; answers how many calls there were. */
static uint32_t run_poisoned(uint32_t status) {
  for (uint32_t turn = 0; turn < 200; turn++) {
    bool moved = false;
    for (uint32_t i = 0; i < w.start_count; i++) {
      if (w.starts[i].over) continue;
      if (strstr(w.starts[i].body, "poison"))
        groups_answer(&w, i, status, "", "it is poison");
      else
        groups_good(&w, i);
      moved = true;
    }
    if (moved) groups_step(&w, MS);
    if (!moved && !groups_wait(&w, 10 * SECOND)) break;
  }
  return w.start_count;
}

TEST(a_refused_list_is_halved_until_the_one_that_is_wrong_stands_alone) {
  groups_init(&w);
  groups_open(&w);
  char body[16];
  for (int i = 0; i < 16; i++) {
    snprintf(body, sizeof body, i == 5 ? "Ek:poison" : "Ek:v%d", i);
    groups_submit(&w, body, NULL);
  }
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  uint32_t calls = run_poisoned(400);
  CHECK_EQ(w.result_count, 16);
  for (uint64_t i = 0; i < 16; i++) {
    CHECK_EQ(groups_of(&w, i)->ok, i != 5);
    snprintf(body, sizeof body, "=v%d", (int)i);
    if (i != 5) CHECK_STRING(groups_of(&w, i)->text, body);
  }
  CHECK_EQ(groups_of(&w, 5)->error_class, SHEAF_CLASS_INVALID_REQUEST);
  CHECK_STRING(groups_of(&w, 5)->message, "it is poison");
  CHECK_EQ(groups_of(&w, 5)->attempts, 5); /* of 16, 8, 4, 2 and 1 */
  CHECK_EQ(calls, 9);                      /* two more with each halving */
  CHECK_EQ(stats_now().retries, 0);
  groups_close(&w);
}

TEST(merged_prompts_too_long_for_the_model_are_halved) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  for (int i = 0; i < 8; i++) groups_submit(&w, "Pk:x", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  groups_answer(&w, 0, 413, "", "too long");
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 3);
  for (uint32_t i = 1; i < 3; i++) {
    uint32_t prompts = 0;
    for (const char *at = w.starts[i].body; (at = strstr(at, "prompt")) != NULL; at++) prompts++;
    CHECK_EQ(prompts, 4);
  }
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 8);
  CHECK_EQ(stats_now().merge_fallbacks, 8);
  groups_close(&w);
}

TEST(answers_that_were_cut_off_are_asked_for_in_halves) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  for (int i = 0; i < 4; i++) groups_submit(&w, "Pk:x", NULL);
  groups_step(&w, 0);
  groups_reply(&w, 0, REPLY_CUT);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 0);
  CHECK_EQ(w.start_count, 3);
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 4);
  groups_close(&w);
}

TEST(a_content_filter_sends_each_prompt_by_itself_and_only_the_guilty_one_fails) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  groups_submit(&w, "Pk:one", NULL);
  groups_submit(&w, "Pk:poison", NULL);
  groups_submit(&w, "Pk:three", NULL);
  groups_step(&w, 0);
  CHECK_EQ(run_poisoned(451), 4);
  CHECK(groups_of(&w, 0)->ok);
  CHECK_EQ(groups_of(&w, 1)->error_class, SHEAF_CLASS_CONTENT_FILTER);
  CHECK(groups_of(&w, 2)->ok);
  groups_close(&w);
}

TEST(bodies_that_the_provider_will_not_share_after_all_go_alone) {
  groups_init(&w);
  groups_open(&w);
  shares_refuses = true;
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 3);
  CHECK(groups_finish(&w));
  check_answers(3, abc);
  groups_close(&w);
}

/* ---- Failures of the call ---- */

TEST(a_rate_limited_group_is_sent_again_as_a_group) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  groups_answer(&w, 0, 429, "retry-after-ms: 700\n", "");
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  CHECK_EQ(w.result_count, 0);
  while (w.start_count == 1 && groups_wait(&w, 10 * SECOND)) {
  }
  CHECK_EQ(w.start_count, 2);
  CHECK(w.starts[1].at_ns >= w.starts[0].at_ns + 700 * MS);
  CHECK_STRING(w.starts[1].body, "Ek:a,b,c");
  groups_good(&w, 1);
  groups_step(&w, MS);
  check_answers(3, abc);
  for (uint64_t i = 0; i < 3; i++) {
    CHECK_EQ(groups_of(&w, i)->attempts, 2);
    CHECK_EQ(groups_of(&w, i)->throttles, 1);
  }
  sheaf_stats s = stats_now();
  CHECK_EQ(s.groups, 2);
  CHECK_EQ(s.groups_failed, 1);
  CHECK_EQ(s.groups_retried, 1);
  CHECK_EQ(s.throttles, 1);
  CHECK_EQ(s.merge_fallbacks, 0);
  groups_close(&w);
}

TEST(after_a_server_error_the_members_meet_again) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  groups_answer(&w, 0, 500, "", "");
  groups_step(&w, MS);
  CHECK_EQ(stats_now().waiting_retry, 3);
  while (w.start_count == 1 && groups_wait(&w, 100 * SECOND)) {
  }
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:a,b,c");
  CHECK_EQ(stats_now().retries, 1); /* one call is made again */
  CHECK(groups_finish(&w));
  check_answers(3, abc);
  groups_close(&w);
}

/* The budget holds 50 retries, and 0.1 a second: 80 members' one retry each would take minutes. */
TEST(a_group_pays_once_for_its_retry_not_once_a_member) {
  groups_init(&w);
  w.options.retry_base_ms = w.options.retry_max_ms = 1;
  groups_open(&w);
  for (int i = 0; i < 80; i++) groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_answer(&w, 0, 500, "", "");
  groups_step(&w, MS);
  while (w.start_count == 1 && groups_wait(&w, 1000 * SECOND)) {
  }
  CHECK_EQ(w.start_count, 2);
  CHECK(w.now_ns < 101 * SECOND);
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 80);
  groups_close(&w);
}

TEST(a_list_that_failed_twice_is_halved) {
  groups_init(&w);
  w.options.retry_base_ms = w.options.retry_max_ms = 1;
  groups_open(&w);
  for (const char *name = "abcd"; *name; name++) {
    const char body[] = {'E', 'k', ':', *name, 0};
    groups_submit(&w, body, NULL);
  }
  groups_step(&w, 0);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK_STRING(w.starts[i].body, "Ek:a,b,c,d");
    groups_answer(&w, i, 500, "", "");
    groups_step(&w, MS);
    while (w.start_count == i + 1 && groups_wait(&w, 1000 * SECOND)) {
    }
  }
  CHECK_EQ(w.start_count, 4);
  CHECK_STRING(w.starts[2].body, "Ek:a,b");
  CHECK_STRING(w.starts[3].body, "Ek:c,d");
  CHECK_EQ(stats_now().merge_fallbacks, 4);
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 4);
  groups_close(&w);
}

TEST(prompts_that_failed_twice_go_alone) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.retry_base_ms = w.options.retry_max_ms = 1;
  groups_open(&w);
  three_chats_out();
  for (uint32_t i = 0; i < 2; i++) {
    groups_answer(&w, i, 500, "", "");
    groups_step(&w, MS);
    while (w.start_count == i + 1 && groups_wait(&w, 1000 * SECOND)) {
    }
  }
  CHECK_EQ(w.start_count, 5);
  CHECK_STRING(w.starts[2].body, "Pk:one");
  CHECK_STRING(w.starts[3].body, "Pk:two");
  CHECK_STRING(w.starts[4].body, "Pk:three");
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 3);
  groups_close(&w);
}

TEST(a_group_that_keeps_failing_fails_for_each_member_with_the_providers_words) {
  groups_init(&w);
  w.options.max_retries = 2;
  groups_open(&w);
  three_out();
  for (uint32_t turn = 0; turn < 100 && w.result_count < 3; turn++) {
    for (uint32_t i = 0; i < w.start_count; i++)
      if (!w.starts[i].over) groups_answer(&w, i, 500, "", "down");
    groups_step(&w, MS);
    groups_wait(&w, 1000 * SECOND);
  }
  CHECK_EQ(w.start_count, 4); /* twice together, then in halves */
  CHECK_EQ(w.result_count, 3);
  for (uint64_t i = 0; i < 3; i++) {
    CHECK_EQ(groups_of(&w, i)->error_class, SHEAF_CLASS_SERVER);
    CHECK_STRING(groups_of(&w, i)->message, "down");
    CHECK_EQ(groups_of(&w, i)->attempts, 3);
    CHECK(groups_of(&w, i)->attempted);
  }
  groups_close(&w);
}

TEST(a_broken_line_is_told_to_each_member) {
  groups_init(&w);
  w.options.resend_unknown = SHEAF_RESEND_NEVER;
  groups_open(&w);
  three_out();
  groups_end(&w, 0, SHEAF_END_BROKEN);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  for (uint64_t i = 0; i < 3; i++) {
    CHECK_EQ(groups_of(&w, i)->error_class, SHEAF_CLASS_UNKNOWN_OUTCOME);
    CHECK_EQ(groups_of(&w, i)->billing, SHEAF_BILLING_UNKNOWN);
    CHECK_STRING(groups_of(&w, i)->message, "the line broke");
  }
  CHECK_EQ(stats_now().unknown_outcomes, 1);
  groups_close(&w);
}

TEST(a_refused_key_ends_the_members_resumable_or_moves_them_to_another) {
  for (uint32_t endpoints = 1; endpoints <= 2; endpoints++) {
    groups_init(&w);
    w.options.endpoint_count = endpoints;
    groups_open(&w);
    three_out();
    groups_answer(&w, 0, 401, "", "bad key");
    groups_step(&w, MS);
    CHECK_EQ(w.notices[SHEAF_NOTICE_KEY_STOPPED], 1);
    if (endpoints == 1) {
      CHECK_EQ(w.result_count, 3);
      for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_AUTH);
        CHECK(!w.results[i].attempted);
      }
    } else {
      CHECK_EQ(w.start_count, 2);
      CHECK(w.starts[1].endpoint != w.starts[0].endpoint);
      CHECK_STRING(w.starts[1].body, "Ek:a,b,c");
      CHECK(groups_finish(&w));
      check_answers(3, abc);
    }
    groups_close(&w);
  }
}

/* ---- Members that leave ---- */

TEST(a_member_whose_deadline_passes_ends_then_and_the_others_get_their_parts) {
  groups_init(&w);
  groups_open(&w);
  sheaf_request hurried = SHEAF_REQUEST_INIT;
  hurried.deadline_ms = 200;
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", &hurried);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, 0);
  while (w.start_count == 0 && groups_wait(&w, SECOND)) {
  }
  CHECK_EQ(w.start_count, 1);
  CHECK_EQ(sheaf_engine_timeout_ns(w.engine), 100 * SECOND + 200 * MS);
  groups_step(&w, 200 * MS);
  CHECK_EQ(w.result_count, 1);
  CHECK_EQ(w.results[0].index, 1);
  CHECK_EQ(w.results[0].error_class, SHEAF_CLASS_DEADLINE);
  CHECK_EQ(w.results[0].billing, SHEAF_BILLING_UNKNOWN);
  CHECK(w.results[0].attempted);
  CHECK_EQ(w.cancels, 0);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  CHECK_STRING(groups_of(&w, 0)->text, "=a");
  CHECK_STRING(groups_of(&w, 2)->text, "=c");
  groups_close(&w);
}

TEST(a_cancelled_member_ends_at_once_and_the_others_get_their_parts) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  three_chats_out();
  CHECK_OK(sheaf_engine_cancel(w.engine, 1));
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 1);
  CHECK_EQ(w.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(w.cancels, 0);
  CHECK_STATUS(sheaf_engine_cancel(w.engine, 1), SHEAF_E_NOT_FOUND);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_STRING(groups_of(&w, 0)->text, "=one");
  CHECK_STRING(groups_of(&w, 2)->text, "=three");
  groups_close(&w);
}

TEST(when_no_member_is_left_the_call_is_cancelled) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  for (uint64_t i = 0; i < 3; i++) CHECK_OK(sheaf_engine_cancel(w.engine, i));
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  CHECK_EQ(w.cancels, 1);
  CHECK(w.starts[0].cancelled);
  CHECK_EQ(stats_now().in_flight, 1);
  groups_end(&w, 0, SHEAF_END_CANCELLED);
  groups_step(&w, MS);
  CHECK_EQ(stats_now().in_flight, 0);
  CHECK_EQ(w.result_count, 3);
  groups_close(&w);
}

TEST(a_late_reply_to_a_group_without_members_is_paid_for_and_given_to_nobody) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  for (uint64_t i = 0; i < 3; i++) CHECK_OK(sheaf_engine_cancel(w.engine, i));
  groups_step(&w, MS);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) CHECK(!w.results[i].ok);
  CHECK_EQ(stats_now().cost_usd_nano, 100);
  groups_close(&w);
}

TEST(one_that_leaves_before_the_call_does_is_not_sent_and_the_others_are) {
  groups_init(&w);
  w.store_waits = true;
  groups_open(&w);
  CHECK_OK(sheaf_engine_use_store(w.engine));
  CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_submit(&w, "Ek:c", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0); /* the call waits for its record */
  CHECK_OK(sheaf_engine_cancel(w.engine, 1));
  CHECK_OK(sheaf_engine_on_stored(w.engine, w.ticket, SHEAF_OK));
  w.store_waits = false;
  groups_step(&w, MS);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  CHECK_STRING(w.starts[0].body, "Ek:a,c");
  CHECK_EQ(w.result_count, 1);
  CHECK_EQ(w.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(!w.results[0].attempted);
  CHECK_EQ(w.voids, 1);
  CHECK(groups_finish(&w));
  CHECK_STRING(groups_of(&w, 0)->text, "=a");
  CHECK_STRING(groups_of(&w, 2)->text, "=c");
  CHECK_EQ(groups_of(&w, 0)->attempts, 1);
  groups_close(&w);
}

/* ---- Durable records ---- */

TEST(one_record_covers_all_members_before_their_call_leaves) {
  groups_init(&w);
  groups_open(&w);
  CHECK_OK(sheaf_engine_use_store(w.engine));
  CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
  three_out();
  CHECK_EQ(w.ranges, 1);
  CHECK_EQ(w.first_range, 0);
  CHECK_EQ(w.last_range, 2);
  groups_answer(&w, 0, 429, "retry-after-ms: 10\n", "");
  CHECK(groups_finish(&w));
  CHECK_EQ(w.ranges, 1); /* it speaks of the rows, not of the try */
  check_answers(3, abc);
  groups_close(&w);
}

TEST(members_of_a_call_that_an_earlier_run_left_open_behave_as_any_row) {
  for (uint32_t round = 0; round < 4; round++) {
    uint32_t policy = round % 2 ? SHEAF_RESEND_WITHIN_BUDGET : SHEAF_RESEND_NEVER;
    bool early = round >= 2;
    groups_init(&w);
    w.options.resend_unknown = policy;
    groups_open(&w);
    CHECK_OK(sheaf_engine_use_store(w.engine));
    sheaf_range range = {.first = 0, .last = 1, .cost_max_usd_nano = 5};
    uint8_t bytes[SHEAF_RANGE_BYTES];
    sheaf_range_write(&range, bytes);
    sheaf_record record = {.type = SHEAF_RECORD_RANGE,
                           .payload = {(const char *)bytes, sizeof bytes}};
    if (early) {
      for (int i = 0; i < 3; i++)
        groups_submit(&w, i == 0 ? "Ek:a" : i == 1 ? "Ek:b" : "Ek:c", NULL);
      groups_step(&w, 0);
      CHECK_EQ(w.start_count, 0); /* nothing leaves before the records are read */
    }
    CHECK_OK(sheaf_engine_on_scanned(w.engine, &record, 1));
    CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
    if (early)
      groups_step(&w, 0);
    else
      three_out();
    bool resent = policy != SHEAF_RESEND_NEVER;
    CHECK_STRING(w.starts[0].body, resent ? "Ek:a,b,c" : "Ek:c");
    CHECK(groups_finish(&w));
    CHECK_EQ(groups_of(&w, 0)->ok, resent);
    CHECK_EQ(groups_of(&w, 1)->ok, resent);
    CHECK(groups_of(&w, 2)->ok);
    groups_close(&w);
  }
}

/* ---- Drain and abort ---- */

TEST(a_drain_ends_those_who_wait_for_company_unsent) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.group_events = 1;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  CHECK_OK(sheaf_engine_drain(w.engine));
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 1);
  CHECK(!w.results[0].attempted);
  CHECK_STRING(w.states, "1:accumulating/1 1:failed/0 ");
  CHECK(sheaf_engine_is_idle(w.engine));
  groups_close(&w);
}

TEST(a_drain_stops_a_group_that_waits_for_the_gate) {
  groups_init(&w);
  w.options.concurrency = 1;
  groups_open(&w);
  groups_submit(&w, "El:x", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  CHECK_OK(sheaf_engine_drain(w.engine));
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 2);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  CHECK(groups_of(&w, 0)->ok);
  CHECK(sheaf_engine_is_idle(w.engine));
  groups_close(&w);
}

TEST(a_drain_keeps_a_group_that_waits_for_its_record) {
  groups_init(&w);
  w.store_waits = true;
  groups_open(&w);
  CHECK_OK(sheaf_engine_use_store(w.engine));
  CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_OK(sheaf_engine_drain(w.engine));
  groups_step(&w, MS);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 0);
  CHECK_EQ(w.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_CANCELLED);
    CHECK(!w.results[i].attempted);
    CHECK_EQ(w.results[i].attempts, 0);
  }
  CHECK(sheaf_engine_is_idle(w.engine));
  groups_close(&w);
}

TEST(a_drain_lets_a_call_that_is_out_end_and_its_members_with_it) {
  for (int bad = 0; bad < 3; bad++) {
    groups_init(&w);
    groups_open(&w);
    three_out();
    CHECK_OK(sheaf_engine_drain(w.engine));
    groups_step(&w, MS);
    CHECK_EQ(w.result_count, 0);
    if (bad == 0) groups_good(&w, 0);
    if (bad == 1) groups_answer(&w, 0, 500, "", "");
    if (bad == 2) groups_reply(&w, 0, REPLY_SHORT);
    groups_step(&w, MS);
    CHECK_EQ(w.result_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
      CHECK_EQ(w.results[i].ok, bad == 0);
      if (bad) CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_CANCELLED);
    }
    CHECK_EQ(w.start_count, 1);
    CHECK(sheaf_engine_is_idle(w.engine));
    groups_close(&w);
  }
}

TEST(an_abort_cancels_the_call_and_each_member_ends_with_an_unknown_outcome) {
  groups_init(&w);
  groups_open(&w);
  three_out();
  CHECK_OK(sheaf_engine_abort(w.engine));
  groups_step(&w, MS);
  CHECK_EQ(w.cancels, 1);
  groups_end(&w, 0, SHEAF_END_CANCELLED);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) {
    CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_CANCELLED);
    CHECK_EQ(w.results[i].billing, SHEAF_BILLING_UNKNOWN);
  }
  CHECK(sheaf_engine_is_idle(w.engine));
  groups_close(&w);
}

TEST(a_pause_takes_back_a_group_that_has_not_left) {
  groups_init(&w);
  w.store_waits = true;
  groups_open(&w);
  CHECK_OK(sheaf_engine_use_store(w.engine));
  CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_OK(sheaf_engine_pause(w.engine));
  CHECK_OK(sheaf_engine_on_stored(w.engine, w.ticket, SHEAF_OK));
  w.store_waits = false;
  groups_step(&w, SECOND);
  CHECK_EQ(w.start_count, 0);
  CHECK_EQ(stats_now().queued, 2);
  CHECK_OK(sheaf_engine_resume(w.engine));
  groups_step(&w, SECOND);
  CHECK_EQ(w.start_count, 1);
  CHECK_STRING(w.starts[0].body, "Ek:a,b");
  CHECK(groups_finish(&w));
  check_answers(2, abc);
  CHECK_EQ(groups_of(&w, 0)->attempts, 1);
  groups_close(&w);
}

/* ---- Hooks ---- */

static int32_t no_b(void *ctx, const sheaf_result *result) {
  uint32_t *refused = ctx;
  if (result->text.bytes != 2 || result->text.data[1] != 'b' || *refused) return SHEAF_OK;
  ++*refused;
  return SHEAF_E_FIELD;
}
static int32_t put_result(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind == SHEAF_EVENT_RESULT) groups_result_of(&w, event->result);
  return SHEAF_OK;
}
static int32_t door_start(void *ctx, const sheaf_exchange *x) {
  (void)ctx;
  groups_started(&w, x);
  return SHEAF_OK;
}
static void door_cancel(void *ctx, uint64_t id) {
  (void)ctx, (void)id;
}

TEST(a_part_that_the_validate_hook_refuses_is_asked_for_again) {
  groups_init(&w);
  groups_open(&w);
  uint32_t refused = 0;
  const sheaf_hooks hooks = {.struct_bytes = sizeof hooks, .ctx = &refused, .validate = no_b};
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = door_start, .cancel = door_cancel};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put_result};
  const sheaf_doors doors = {
      .struct_bytes = sizeof doors, .transport = &transport, .sink = &sink, .hooks = &hooks};
  CHECK_OK(sheaf_engine_open(w.engine, &doors));
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  CHECK_OK(sheaf_engine_run_once(w.engine, w.now_ns, 0));
  CHECK_EQ(w.start_count, 1);
  groups_good(&w, 0);
  CHECK_OK(sheaf_engine_run_once(w.engine, w.now_ns += MS, 0));
  CHECK_EQ(refused, 1);
  CHECK_EQ(w.result_count, 1);
  CHECK_OK(sheaf_engine_run_once(w.engine, w.now_ns += 10 * SECOND, 0));
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:b");
  groups_good(&w, 1);
  CHECK_OK(sheaf_engine_run_once(w.engine, w.now_ns += MS, 0));
  check_answers(2, abc);
  /* 100 input tokens for both together, then 100 for the second alone. */
  CHECK_EQ(w.results[0].cost + w.results[1].cost, 200);
  CHECK_EQ(stats_now().cost_usd_nano, 200);
  groups_close(&w);
}

TEST(results_of_a_large_group_wait_until_they_are_taken) {
  groups_init(&w);
  w.options.max_inputs = 2048;
  groups_open(&w);
  for (int i = 0; i < 1000; i++) groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  groups_good(&w, 0);
  CHECK_OK(sheaf_engine_step(w.engine, w.now_ns + MS, 0));
  groups_events(&w);
  CHECK(w.result_count < 1000); /* not all of them held a slot at once */
  CHECK(w.result_count > 0);
  while (w.result_count < 1000 && groups_wait(&w, SECOND)) {
  }
  CHECK_EQ(w.result_count, 1000);
  int64_t input = 0;
  for (uint32_t i = 0; i < 1000; i++) input += w.results[i].input;
  CHECK_EQ(input, 100);
  groups_close(&w);
}

/* ---- More of the same ---- */

TEST(a_member_cancelled_while_its_part_waits_to_be_taken_keeps_its_share_of_the_cost) {
  groups_init(&w);
  w.options.max_inputs = 600;
  groups_open(&w);
  for (int i = 0; i < 600; i++) groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0);
  CHECK_OK(
      sheaf_engine_step(w.engine, w.now_ns += MS, 0)); /* not all parts fit among the results */
  CHECK_OK(sheaf_engine_cancel(w.engine, 599));
  groups_step(&w, 0);
  while (w.result_count < 600 && groups_wait(&w, SECOND)) {
  }
  CHECK_EQ(w.result_count, 600);
  CHECK_EQ(groups_of(&w, 599)->error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(groups_of(&w, 599)->billing, SHEAF_BILLING_BILLED);
  int64_t costs = 0;
  for (uint32_t i = 0; i < w.result_count; i++) costs += w.results[i].cost;
  CHECK_EQ(costs, 100);
  groups_close(&w);
}

TEST(a_part_that_cannot_be_written_is_asked_for_again) {
  for (int chats = 0; chats < 2; chats++) {
    groups_init(&w);
    w.options.merge = SHEAF_MERGE_PROMPTS;
    groups_open(&w);
    shares_part_fails = true;
    groups_submit(&w, chats ? "Pk:one" : "Ek:a", NULL);
    groups_submit(&w, chats ? "Pk:two" : "Ek:b", NULL);
    groups_step(&w, 0);
    groups_good(&w, 0);
    groups_step(&w, MS);
    CHECK_EQ(w.result_count, 0);
    shares_part_fails = false;
    CHECK(groups_finish(&w));
    check_answers(2, chats ? numbers : abc);
    if (chats) CHECK_EQ(groups_of(&w, 0)->group, 0); /* prompts go alone afterwards */
    groups_close(&w);
  }
}

TEST(without_retries_a_part_that_cannot_be_written_fails_its_member_alone) {
  groups_init(&w);
  w.options.max_retries = 0;
  groups_open(&w);
  shares_part_fails = true;
  three_out();
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_INVALID_RESPONSE);
  CHECK_EQ(stats_now().wasted_tokens, 100);
  groups_close(&w);
}

TEST(a_group_larger_than_the_limit_that_refused_it_is_halved) {
  groups_init(&w);
  const sheaf_token_counter counter = {.struct_bytes = sizeof counter, .count = count_100};
  w.options.tokens = &counter;
  w.options.burst_ms = 60000;
  groups_open(&w);
  for (int i = 0; i < 4; i++) groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_STRING(w.starts[0].body, "Ek:a,a,a,a");
  char message[256];
  CHECK_OK(sheaf_engine_set(w.engine, SHEAF_LITERAL("input_tpm"), SHEAF_LITERAL("300"), message,
                            sizeof message));
  groups_answer(&w, 0, 429, "retry-after-ms: 10\n", "");
  groups_step(&w, MS);
  while (w.start_count == 1 && groups_wait(&w, 600 * SECOND)) {
  }
  CHECK_STRING(w.starts[1].body, "Ek:a,a");
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 4);
  groups_close(&w);
}

TEST(costs_that_are_not_known_are_not_made_up) {
  groups_init(&w);
  static const sheaf_price_table none = {.date = "2026-01-01", .source = "made up"};
  w.options.prices = &none;
  groups_open(&w);
  three_out();
  groups_good(&w, 0);
  groups_step(&w, MS);
  for (uint32_t i = 0; i < 3; i++) CHECK_EQ(w.results[i].cost, SHEAF_ABSENT);
  CHECK_EQ(w.results[0].input + w.results[1].input + w.results[2].input, 100);
  groups_close(&w);
}

TEST(free_tokens_cost_each_member_nothing) {
  groups_init(&w);
  static const sheaf_price zero = {"shares", "*", 0, 0, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  static const sheaf_price_table gratis = {
      .date = "2026-01-01", .source = "made up", .prices = &zero, .count = 1};
  w.options.prices = &gratis;
  groups_open(&w);
  three_out();
  groups_good(&w, 0);
  groups_step(&w, MS);
  for (uint32_t i = 0; i < 3; i++) CHECK_EQ(w.results[i].cost, 0);
  groups_close(&w);
}

TEST(a_store_that_fails_ends_a_group_unsent) {
  groups_init(&w);
  w.store_waits = true;
  groups_open(&w);
  CHECK_OK(sheaf_engine_use_store(w.engine));
  CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_OK(sheaf_engine_on_stored(w.engine, w.ticket, SHEAF_E_IO));
  groups_step(&w, MS);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 0);
  CHECK_EQ(w.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_STORE);
    CHECK(!w.results[i].attempted);
  }
  groups_close(&w);
}

TEST(the_runs_deadline_ends_the_members_of_a_call_that_is_out) {
  groups_init(&w);
  w.options.run_deadline_ms = 1000;
  groups_open(&w);
  groups_step(&w, 0);
  three_out();
  groups_step(&w, 1000 * MS);
  CHECK_EQ(w.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) CHECK_EQ(w.results[i].error_class, SHEAF_CLASS_DEADLINE);
  CHECK_EQ(w.cancels, 1);
  groups_end(&w, 0, SHEAF_END_CANCELLED);
  groups_step(&w, MS);
  CHECK(sheaf_engine_is_idle(w.engine));
  groups_close(&w);
}

TEST(a_twin_shares_a_members_answer) {
  groups_init(&w);
  w.options.dedup = SHEAF_DEDUP_ALL;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  CHECK_STRING(w.starts[0].body, "Ek:a,b");
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 3);
  CHECK_STRING(groups_of(&w, 2)->text, "=a");
  CHECK(groups_of(&w, 2)->deduplicated);
  CHECK_EQ(groups_of(&w, 0)->cost + groups_of(&w, 1)->cost, 100);
  CHECK_EQ(groups_of(&w, 2)->cost, 0);
  groups_close(&w);
}

TEST(an_urgent_twin_hurries_the_one_it_waits_for) {
  groups_init(&w);
  w.options.dedup = SHEAF_DEDUP_ALL;
  groups_open(&w);
  groups_submit(&w, "Ek:x", NULL);
  groups_step(&w, 0);
  groups_submit(&w, "Ek:b", NULL);
  groups_submit(&w, "Ek:a", NULL);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 1);
  sheaf_request urgent = SHEAF_REQUEST_INIT;
  urgent.priority = SHEAF_PRIORITY_URGENT;
  groups_submit(&w, "Ek:a", &urgent);
  groups_step(&w, MS);
  CHECK_EQ(w.start_count, 2);
  CHECK_STRING(w.starts[1].body, "Ek:a,b");
  CHECK(groups_finish(&w));
  CHECK_EQ(stats_now().succeeded, 4);
  groups_close(&w);
}

TEST(many_keys_come_and_go_without_staying_in_memory) {
  groups_init(&w);
  groups_open(&w);
  char body[32];
  size_t before = 0;
  for (uint32_t i = 0; i < 3000; i++) {
    snprintf(body, sizeof body, "Ekey%u:a", i);
    groups_submit(&w, body, NULL);
    groups_step(&w, MS);
    groups_good(&w, w.start_count - 1);
    groups_step(&w, MS);
    if (i == 200) before = w.memory.live_bytes;
  }
  CHECK_EQ(w.result_count, 3000);
  CHECK(w.memory.live_bytes <= before);
  groups_close(&w);
}

TEST(many_keys_wait_at_once_and_each_finds_its_own) {
  groups_init(&w);
  w.options.window = SHEAF_WINDOW_FIXED;
  w.options.queue_capacity = 2000;
  w.options.min_batch = 20;
  groups_open(&w);
  char body[32];
  for (uint32_t i = 0; i < 1000; i++) {
    snprintf(body, sizeof body, "Ekey%u:a", i % 500);
    groups_submit(&w, body, NULL);
  }
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 0);
  groups_step(&w, 100 * MS);
  CHECK(groups_finish(&w));
  CHECK_EQ(w.start_count, 500);
  CHECK_EQ(stats_now().grouped, 1000);
  CHECK_EQ(stats_now().succeeded, 1000);
  groups_close(&w);
}

TEST(a_steady_stream_of_groups_allocates_nothing) {
  groups_init(&w);
  w.options.concurrency = 4;
  groups_open(&w);
  uint64_t before = 0;
  for (uint32_t i = 0; i < 200; i++) {
    for (int k = 0; k < 5; k++) groups_submit(&w, "Ek:some text", NULL);
    groups_step(&w, MS);
    groups_good(&w, w.start_count - 1);
    groups_step(&w, MS);
    if (i == 99) before = w.memory.calls;
  }
  CHECK_EQ(w.result_count, 1000);
  CHECK_EQ(w.memory.calls, before);
  groups_close(&w);
}

TEST(an_engine_that_is_freed_with_calls_out_leaves_nothing) {
  groups_init(&w);
  w.options.merge = SHEAF_MERGE_PROMPTS;
  groups_open(&w);
  three_chats_out();
  groups_submit(&w, "Pk:four", NULL);
  groups_step(&w, MS);
  groups_submit(&w, "Ek:five", NULL);
  groups_submit(&w, "Ek:six", NULL);
  groups_step(&w, MS);
  groups_good(&w, 1);
  CHECK_OK(sheaf_engine_step(w.engine, w.now_ns += MS, 0));
  groups_close(&w);
}

int main(void) {
  RUN(lists_of_one_key_travel_in_one_call_and_each_gets_its_own_items);
  RUN(one_alone_goes_as_it_is);
  RUN(two_keys_and_two_kinds_never_mix);
  RUN(merging_that_is_off_sends_each_alone);
  RUN(a_request_that_asks_to_go_alone_does);
  RUN(a_call_holds_at_most_max_inputs_and_the_providers_own_ceiling_wins);
  RUN(inputs_are_counted_not_requests);
  RUN(a_call_of_lists_holds_at_most_the_providers_tokens);
  RUN(a_call_of_prompts_holds_at_most_max_batch);
  RUN(merged_prompts_with_their_answers_stay_within_context_tokens);
  RUN(a_call_never_costs_more_than_a_whole_minute_of_tokens);
  RUN(prompts_travel_together_only_when_asked_for_and_with_a_secret);
  RUN(each_prompt_gets_the_answer_under_its_id);
  RUN(prompts_of_two_trust_keys_never_mix);
  RUN(lists_need_no_trust);
  RUN(shares_of_usage_and_cost_add_up_to_the_calls_exactly);
  RUN(shares_of_a_cost_below_a_unit_a_token_add_up_too);
  RUN(a_void_replys_cost_is_shared_by_those_it_was_meant_for);
  RUN(the_spend_cap_holds_back_a_group_that_would_pass_it);
  RUN(any_doubt_voids_the_reply_and_the_members_go_alone);
  RUN(a_list_with_an_item_missing_is_void_too);
  RUN(a_reply_that_cannot_be_read_sends_the_members_alone);
  RUN(a_refused_list_is_halved_until_the_one_that_is_wrong_stands_alone);
  RUN(merged_prompts_too_long_for_the_model_are_halved);
  RUN(answers_that_were_cut_off_are_asked_for_in_halves);
  RUN(a_content_filter_sends_each_prompt_by_itself_and_only_the_guilty_one_fails);
  RUN(bodies_that_the_provider_will_not_share_after_all_go_alone);
  RUN(a_rate_limited_group_is_sent_again_as_a_group);
  RUN(after_a_server_error_the_members_meet_again);
  RUN(a_group_pays_once_for_its_retry_not_once_a_member);
  RUN(a_list_that_failed_twice_is_halved);
  RUN(prompts_that_failed_twice_go_alone);
  RUN(a_group_that_keeps_failing_fails_for_each_member_with_the_providers_words);
  RUN(a_broken_line_is_told_to_each_member);
  RUN(a_refused_key_ends_the_members_resumable_or_moves_them_to_another);
  RUN(a_member_whose_deadline_passes_ends_then_and_the_others_get_their_parts);
  RUN(a_cancelled_member_ends_at_once_and_the_others_get_their_parts);
  RUN(when_no_member_is_left_the_call_is_cancelled);
  RUN(a_late_reply_to_a_group_without_members_is_paid_for_and_given_to_nobody);
  RUN(one_that_leaves_before_the_call_does_is_not_sent_and_the_others_are);
  RUN(one_record_covers_all_members_before_their_call_leaves);
  RUN(members_of_a_call_that_an_earlier_run_left_open_behave_as_any_row);
  RUN(a_drain_ends_those_who_wait_for_company_unsent);
  RUN(a_drain_stops_a_group_that_waits_for_the_gate);
  RUN(a_drain_keeps_a_group_that_waits_for_its_record);
  RUN(a_drain_lets_a_call_that_is_out_end_and_its_members_with_it);
  RUN(an_abort_cancels_the_call_and_each_member_ends_with_an_unknown_outcome);
  RUN(a_pause_takes_back_a_group_that_has_not_left);
  RUN(a_part_that_the_validate_hook_refuses_is_asked_for_again);
  RUN(results_of_a_large_group_wait_until_they_are_taken);
  RUN(a_member_cancelled_while_its_part_waits_to_be_taken_keeps_its_share_of_the_cost);
  RUN(a_part_that_cannot_be_written_is_asked_for_again);
  RUN(without_retries_a_part_that_cannot_be_written_fails_its_member_alone);
  RUN(a_group_larger_than_the_limit_that_refused_it_is_halved);
  RUN(costs_that_are_not_known_are_not_made_up);
  RUN(free_tokens_cost_each_member_nothing);
  RUN(a_store_that_fails_ends_a_group_unsent);
  RUN(the_runs_deadline_ends_the_members_of_a_call_that_is_out);
  RUN(a_twin_shares_a_members_answer);
  RUN(an_urgent_twin_hurries_the_one_it_waits_for);
  RUN(many_keys_come_and_go_without_staying_in_memory);
  RUN(many_keys_wait_at_once_and_each_finds_its_own);
  RUN(a_steady_stream_of_groups_allocates_nothing);
  RUN(an_engine_that_is_freed_with_calls_out_leaves_nothing);
  return check_report();
}
