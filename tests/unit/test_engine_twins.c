/* test_engine_twins: identical requests share one call; what one call said serves later ones from the cache. */
#include "engine_test.h"

static bench b;

/* ---- A provider that says which bodies are always answered alike: those that begin with "det" ---- */

static uint32_t bodies_read;

static void traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                   sheaf_traits *t) {
  (void)provider, (void)operation;
  bodies_read++;
  t->share = SHEAF_SHARE_NONE;
  t->deterministic = body.bytes >= 3 && memcmp(body.data, "det", 3) == 0;
}
static int32_t share(const sheaf_provider *provider, const sheaf_shared *shared, sheaf_buf *body) {
  (void)provider, (void)shared, (void)body;
  return SHEAF_E_FIELD;
}
static int32_t items(const sheaf_provider *provider, const sheaf_shared *shared,
                     const sheaf_reply *reply, sheaf_slice *to, uint32_t count) {
  (void)provider, (void)shared, (void)reply, (void)to, (void)count;
  return SHEAF_E_FIELD;
}
static int32_t part(const sheaf_provider *provider, const sheaf_shared *shared,
                    const sheaf_reply *reply, const sheaf_part *piece, sheaf_buf *body) {
  (void)provider, (void)shared, (void)reply, (void)piece, (void)body;
  return SHEAF_E_FIELD;
}

static sheaf_provider reader;

static void prepare(void) {
  bench_init(&b);
  reader = bench_provider;
  reader.traits = traits;
  reader.share = share;
  reader.items = items;
  reader.part = part;
  for (uint32_t i = 0; i < 4; i++) b.endpoints[i].provider = &reader;
}

static sheaf_request request_of(const char *prompt) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = sheaf_slice_of(prompt);
  return request;
}

static sheaf_stats stats_now(void) {
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  return s;
}

/* ---- Sharing ---- */

TEST(identical_requests_share_one_call_and_each_has_its_own_result) {
  prepare();
  bench_open(&b);
  for (int i = 0; i < 3; i++) {
    sheaf_request request = request_of("det a");
    char id[16];
    snprintf(id, sizeof id, "id-%d", i);
    request.custom_id = sheaf_slice_of(id);
    request.metadata = i == 2 ? SHEAF_LITERAL("[2]") : SHEAF_LITERAL("");
    bench_submit_request(&b, &request);
  }
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(stats_now().queued, 2);
  CHECK_EQ(sheaf_engine_room(b.engine), b.options.queue_capacity - 2);
  bench_step(&b, 5 * BENCH_MS);
  bench_answer(&b, 0, 200, "", "yes");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) {
    const bench_result *r = &b.results[i];
    CHECK(r->ok && r->attempted);
    CHECK_EQ(r->index, i);
    CHECK_STRING(r->text, "yes");
    CHECK_EQ(r->deduplicated, i > 0);
    CHECK_EQ(r->attempts, i == 0);
    CHECK_EQ(r->cost, i == 0 ? 50 : 0); /* 10 tokens in at 1, 20 out at 2 */
    CHECK_EQ(r->billing, i == 0 ? SHEAF_BILLING_BILLED : SHEAF_BILLING_NOT_SENT);
    CHECK_EQ(r->http_status, 200);
    CHECK_EQ(r->input_tokens, 10);
    CHECK_EQ(r->total_ns, 5 * BENCH_MS);
  }
  CHECK_STRING(b.results[2].id, "id-2");
  CHECK_STRING(b.results[2].metadata, "[2]");
  sheaf_stats s = stats_now();
  CHECK_EQ(s.succeeded, 3);
  CHECK_EQ(s.deduplicated, 2);
  CHECK_EQ(s.input_tokens, 10);
  CHECK_EQ(s.cost_usd_nano, 50);
  CHECK_EQ(s.latency.count, 1);
  CHECK_EQ(s.response.count, 3);
  bench_close(&b);
}

/* How many starts two equal requests with these flags make. */
static uint32_t starts_of_two(uint64_t dedup, uint32_t flags, const char *prompt) {
  prepare();
  b.options.dedup = dedup;
  bench_open(&b);
  sheaf_request request = request_of(flags & SHEAF_REQUEST_TASK ? "" : prompt);
  request.flags = flags;
  bench_submit_request(&b, &request);
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  uint32_t starts = b.start_count;
  const char *answer = flags & SHEAF_REQUEST_STREAM ? "data: ok\n\ndata: [DONE]\n\n" : "ok";
  for (uint32_t i = 0; i < starts; i++) bench_answer(&b, i, 200, "", answer);
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  bench_close(&b);
  return starts;
}

TEST(who_shares_follows_from_the_option_and_the_request) {
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_AUTO, 0, "det"), 1);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_AUTO, 0, "any"), 2);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_AUTO, SHEAF_REQUEST_DETERMINISTIC, "any"), 1);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_ALL, 0, "any"), 1);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_OFF, SHEAF_REQUEST_DETERMINISTIC, "det"), 2);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_ALL, SHEAF_REQUEST_ALONE, "det"), 2);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_ALL, SHEAF_REQUEST_STREAM, "det"), 2);
  CHECK_EQ(starts_of_two(SHEAF_DEDUP_ALL, SHEAF_REQUEST_TASK, ""), 2);
}

TEST(a_body_is_read_once_and_only_where_it_matters) {
  static const struct {
    uint64_t merge, dedup, reads;
  } cases[] = {{SHEAF_MERGE_OFF, SHEAF_DEDUP_OFF, 0},
               {SHEAF_MERGE_OFF, SHEAF_DEDUP_ALL, 0},
               {SHEAF_MERGE_OFF, SHEAF_DEDUP_AUTO, 2},
               {SHEAF_MERGE_LOSSLESS, SHEAF_DEDUP_OFF, 2},
               {SHEAF_MERGE_LOSSLESS, SHEAF_DEDUP_ALL, 2}};
  for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    prepare();
    b.options.merge = cases[i].merge;
    b.options.dedup = cases[i].dedup;
    bench_open(&b);
    bodies_read = 0;
    bench_submit(&b, "det");
    bench_submit(&b, "det");
    bench_step(&b, 0);
    bench_answer(&b, 0, 500, "", ""); /* its second try does not read it again */
    while (b.start_count < 2 && bench_wait(&b)) {
    }
    CHECK_EQ(bodies_read, cases[i].reads);
    CHECK_OK(sheaf_engine_abort(b.engine));
    bench_close(&b);
  }
}

TEST(what_differs_in_body_model_or_trust_is_no_twin) {
  prepare();
  bench_open(&b);
  sheaf_request request = request_of("det a");
  bench_submit_request(&b, &request);
  request.prompt = SHEAF_LITERAL("det b");
  bench_submit_request(&b, &request);
  request.prompt = SHEAF_LITERAL("det a");
  request.model = SHEAF_LITERAL("other");
  bench_submit_request(&b, &request);
  request.model = SHEAF_LITERAL("");
  request.trust_key = SHEAF_LITERAL("alice");
  bench_submit_request(&b, &request);
  request.trust_key = SHEAF_LITERAL("bob");
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 5);
  bench_submit_request(&b, &request); /* bob again */
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 5);
  for (uint32_t i = 0; i < 5; i++) bench_answer(&b, i, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 6);
  bench_close(&b);
}

TEST(twins_wait_while_their_leader_is_tried_again) {
  prepare();
  bench_open(&b);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 0);
  bench_submit(&b, "det"); /* joins the one that waits for its retry */
  while (b.start_count < 2 && bench_wait(&b)) {
  }
  bench_answer(&b, 1, 200, "", "late");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(b.result_count, 3);
  CHECK_EQ(b.results[0].attempts, 2);
  CHECK_EQ(b.results[1].attempts, 0);
  CHECK_STRING(b.results[2].text, "late");
  bench_close(&b);
}

TEST(a_failure_of_the_call_is_the_failure_of_all) {
  prepare();
  bench_open(&b);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  bench_answer(&b, 0, 400, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.result_count, 2);
  const bench_result *twin = &b.results[1];
  CHECK_EQ(twin->error_class, SHEAF_CLASS_INVALID_REQUEST);
  CHECK_STRING(twin->message, "the call of an identical request failed");
  CHECK(twin->attempted && !twin->deduplicated && !twin->ok);
  CHECK_EQ(twin->attempts, 0);
  CHECK_EQ(twin->http_status, 400);
  CHECK_EQ(twin->cost, 0);
  CHECK_EQ(stats_now().failed, 2);
  CHECK_EQ(stats_now().deduplicated, 0);
  bench_close(&b);
}

/* A refused key ends what was not sent as not attempted: a resume runs it. So it is with its twins. */
TEST(a_key_that_is_refused_leaves_twins_unsent) {
  prepare();
  bench_open(&b);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  bench_answer(&b, 0, 401, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_AUTH);
  CHECK(!b.results[0].attempted && !b.results[1].attempted);
  bench_close(&b);
}

TEST(a_finished_call_serves_nobody_without_a_cache) {
  prepare();
  bench_open(&b);
  for (uint32_t i = 0; i < 2; i++) {
    bench_submit(&b, "det");
    bench_step(&b, 0);
    bench_answer(&b, i, 200, "", "ok");
    bench_step(&b, 0);
  }
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(b.results[1].deduplicated, false);
  bench_close(&b);
}

/* ---- Leaders and twins that leave ---- */

TEST(a_leader_that_is_cancelled_while_it_waits_leaves_the_lead_to_its_twin) {
  prepare();
  b.options.concurrency = 1;
  bench_open(&b);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  uint64_t leader = bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, leader));
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(b.starts[1].index, leader + 1);
  bench_answer(&b, 1, 200, "", "shared");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 4);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(b.results[2].ok && !b.results[2].deduplicated);
  CHECK(b.results[3].ok && b.results[3].deduplicated);
  bench_close(&b);
}

TEST(a_leader_that_is_cancelled_in_flight_leaves_the_lead_to_its_twin) {
  prepare();
  bench_open(&b);
  uint64_t leader = bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, leader));
  bench_step(&b, 0);
  CHECK_EQ(b.cancel_count, 1);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 1);
  CHECK_EQ(b.start_count, 2);
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(b.results[1].ok && !b.results[1].deduplicated);
  CHECK_EQ(b.results[1].attempts, 1);
  bench_close(&b);
}

TEST(a_leader_past_its_deadline_leaves_the_lead_to_the_first_twin_in_time) {
  prepare();
  b.options.concurrency = 1;
  bench_open(&b);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  sheaf_request request = request_of("det");
  request.deadline_ms = 10;
  bench_submit_request(&b, &request);
  bench_submit_request(&b, &request);
  request.deadline_ms = 0;
  uint64_t last = bench_submit_request(&b, &request);
  bench_step(&b, 10 * BENCH_MS);
  CHECK_EQ(b.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_DEADLINE);
    CHECK(!b.results[i].attempted);
  }
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[1].index, last);
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 4);
  bench_close(&b);
}

TEST(twins_leave_by_their_own_cancel_or_deadline_and_the_call_goes_on) {
  prepare();
  bench_open(&b);
  bench_submit(&b, "det");
  uint64_t second = bench_submit(&b, "det");
  sheaf_request request = request_of("det");
  request.deadline_ms = 10;
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, second));
  CHECK_STATUS(sheaf_engine_cancel(b.engine, second), SHEAF_E_NOT_FOUND);
  bench_step(&b, 10 * BENCH_MS);
  CHECK_EQ(b.cancel_count, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_DEADLINE);
  CHECK(!b.results[0].attempted && !b.results[1].attempted);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(b.results[2].ok);
  bench_close(&b);
}

TEST(a_more_urgent_twin_moves_its_leader_up) {
  prepare();
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request request = request_of("first");
  request.priority = SHEAF_PRIORITY_DEFERRABLE; /* its class has had its turn */
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  request.prompt = SHEAF_LITERAL("det");
  uint64_t leader = bench_submit_request(&b, &request);
  for (int i = 0; i < 3; i++) bench_submit(&b, "other");
  request.priority = SHEAF_PRIORITY_URGENT;
  bench_submit_request(&b, &request);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[1].index, leader);
  bench_close(&b);
}

TEST(an_heir_stands_where_the_most_urgent_of_the_rest_would) {
  prepare();
  b.options.concurrency = 1;
  bench_open(&b);
  sheaf_request request = request_of("first");
  request.priority = SHEAF_PRIORITY_DEFERRABLE; /* its class has had its turn */
  bench_submit_request(&b, &request);
  bench_step(&b, 0);
  request.prompt = SHEAF_LITERAL("det");
  uint64_t leader = bench_submit_request(&b, &request);
  bench_submit_request(&b, &request);
  request.priority = SHEAF_PRIORITY_URGENT;
  bench_submit_request(&b, &request);
  bench_submit(&b, "other");
  CHECK_OK(sheaf_engine_cancel(b.engine, leader));
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.starts[1].index, leader + 1);
  bench_close(&b);
}

/* ---- Ends of everything ---- */

TEST(a_drained_engine_lets_twins_share_what_is_in_flight) {
  prepare();
  bench_open(&b);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_drain(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 0);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK(b.results[1].ok && b.results[1].deduplicated);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(a_drained_engine_ends_twins_of_what_waits) {
  prepare();
  b.options.concurrency = 1;
  bench_open(&b);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  CHECK_OK(sheaf_engine_drain(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_CANCELLED);
    CHECK(!b.results[i].attempted);
  }
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(an_aborted_engine_ends_twins_as_cancelled) {
  prepare();
  bench_open(&b);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_abort(b.engine));
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK(b.results[0].attempted);
  CHECK_EQ(b.results[1].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(!b.results[1].attempted); /* nothing was sent for it: a resume runs it */
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(twins_of_a_leader_that_met_the_run_deadline_end_with_it) {
  prepare();
  b.options.concurrency = 1;
  b.options.run_deadline_ms = 100;
  bench_open(&b);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  bench_submit(&b, "det");
  bench_submit(&b, "det");
  bench_step(&b, 100 * BENCH_MS);
  CHECK_EQ(b.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_DEADLINE);
  bench_done(&b, 0, SHEAF_END_TIMEOUT);
  bench_step(&b, 0);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

TEST(what_an_earlier_run_may_have_sent_has_no_twins) {
  prepare();
  bench_open(&b);
  CHECK_OK(sheaf_engine_use_store(b.engine));
  bench_submit(&b, "det"); /* while records are read nobody knows */
  bench_submit(&b, "det");
  sheaf_range range = {1, 3, 0};
  uint8_t bytes[SHEAF_RANGE_BYTES];
  sheaf_range_write(&range, bytes);
  const sheaf_record record = {.type = SHEAF_RECORD_RANGE,
                               .payload = {(const char *)bytes, sizeof bytes}};
  CHECK_OK(sheaf_engine_on_scanned(b.engine, &record, 1));
  CHECK_OK(sheaf_engine_on_scanned(b.engine, NULL, 0));
  bench_submit(&b, "det"); /* index 2: unknown; sent again as the default allows, by itself */
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 3);
  for (uint32_t i = 0; i < 3; i++) bench_answer(&b, i, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 3);
  CHECK(!b.results[0].resent && b.results[1].resent && b.results[2].resent);
  bench_close(&b);
}

/* ---- The cache ---- */

static void ask(const char *prompt, const char *answer) {
  uint32_t starts = b.start_count;
  bench_submit(&b, prompt);
  bench_step(&b, 0);
  if (b.start_count > starts) bench_answer(&b, starts, 200, "", answer);
  bench_step(&b, 0);
}

static bool was_cached(const char *prompt) {
  uint32_t starts = b.start_count;
  ask(prompt, "anew");
  CHECK_EQ(b.results[b.result_count - 1].cached, b.start_count == starts);
  return b.start_count == starts;
}

TEST(a_kept_answer_ends_a_later_twin_at_once) {
  prepare();
  b.options.cache_entries = 4;
  bench_open(&b);
  ask("det a", "an\\nswer");
  CHECK_EQ(b.results[0].cached, false);
  ask("det a", "");
  CHECK_EQ(b.start_count, 1);
  const bench_result *r = &b.results[1];
  CHECK(r->ok && r->cached && r->attempted && !r->deduplicated);
  CHECK_STRING(r->text, "an\nswer");
  CHECK_EQ(r->attempts, 0);
  CHECK_EQ(r->cost, 0);
  CHECK_EQ(r->http_status, 200);
  CHECK_EQ(r->input_tokens, 10);
  CHECK_EQ(r->billing, SHEAF_BILLING_NOT_SENT);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.cache_hits, 1);
  CHECK_EQ(s.cache_entries, 1);
  CHECK(s.cache_bytes > 8);
  CHECK_EQ(s.input_tokens, 10);
  bench_close(&b);
}

TEST(an_answer_is_kept_as_long_as_was_said) {
  prepare();
  b.options.cache_entries = 4;
  b.options.cache_ttl_ms = 1000;
  bench_open(&b);
  ask("det a", "one");
  b.now_ns += 999 * BENCH_MS;
  CHECK_OK(sheaf_engine_step(b.engine, b.now_ns, 0));
  CHECK(was_cached("det a"));
  b.now_ns += BENCH_MS; /* a hit does not make it younger */
  CHECK_OK(sheaf_engine_step(b.engine, b.now_ns, 0));
  CHECK(!was_cached("det a"));
  CHECK_EQ(stats_now().cache_entries, 1);
  bench_close(&b);
}

TEST(the_least_recently_used_answer_goes_first) {
  prepare();
  b.options.cache_entries = 2;
  bench_open(&b);
  ask("det a", "a");
  ask("det b", "b");
  CHECK(was_cached("det a"));
  ask("det c", "c"); /* b has to go */
  CHECK(was_cached("det a"));
  CHECK(was_cached("det c"));
  CHECK(!was_cached("det b"));
  CHECK_EQ(stats_now().cache_entries, 2);
  bench_close(&b);
}

TEST(the_cache_keeps_to_its_bytes) {
  static char large[40000];
  prepare();
  b.options.cache_entries = 100;
  b.options.cache_bytes_max = 65536;
  bench_open(&b);
  memset(large, 'x', sizeof large - 1);
  ask("det a", large);
  CHECK(stats_now().cache_bytes > 39999 && stats_now().cache_bytes < 65536);
  ask("det b", large);
  CHECK_EQ(stats_now().cache_entries, 1);
  CHECK(was_cached("det b"));
  CHECK(!was_cached("det a"));
  bench_close(&b);
}

TEST(what_fails_or_is_larger_than_the_cache_is_not_kept) {
  static char large[70000];
  prepare();
  b.options.cache_entries = 100;
  b.options.cache_bytes_max = 65536;
  bench_open(&b);
  memset(large, 'x', sizeof large - 1);
  ask("det a", large);
  CHECK_EQ(stats_now().cache_entries, 0);
  bench_submit(&b, "det b");
  bench_step(&b, 0);
  bench_answer(&b, 1, 400, "", "");
  bench_step(&b, 0);
  CHECK_EQ(stats_now().cache_entries, 0);
  bench_close(&b);
}

TEST(a_cache_that_is_turned_off_forgets_all) {
  prepare();
  b.options.cache_entries = 4;
  bench_open(&b);
  ask("det a", "a");
  CHECK_OK(sheaf_engine_set(b.engine, SHEAF_LITERAL("cache_entries"), SHEAF_LITERAL("0"), NULL, 0));
  CHECK_EQ(stats_now().cache_entries, 0);
  CHECK_EQ(stats_now().cache_bytes, 0);
  CHECK(!was_cached("det a"));
  CHECK(!was_cached("det a"));
  bench_close(&b);
}

TEST(a_hit_that_nobody_has_taken_yet_outlives_its_entry) {
  prepare();
  b.options.cache_entries = 1;
  bench_open(&b);
  ask("det a", "a");
  bench_submit(&b, "det a");
  CHECK_OK(sheaf_engine_set(b.engine, SHEAF_LITERAL("cache_entries"), SHEAF_LITERAL("0"), NULL, 0));
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK(b.results[1].cached);
  CHECK_STRING(b.results[1].text, "a");
  bench_close(&b);
}

/* ---- Random scripts ---- */

static uint64_t draw_state;

static uint32_t draw(uint32_t below) {
  draw_state ^= draw_state << 13;
  draw_state ^= draw_state >> 7;
  draw_state ^= draw_state << 17;
  return (uint32_t)((draw_state >> 11) % below);
}

#define SCRIPT_ROWS 60

/* Ends one random exchange that is out. */
static void end_one(bool *ended) {
  uint32_t open[BENCH_MAX], count = 0;
  for (uint32_t i = 0; i < b.start_count; i++)
    if (!ended[i]) open[count++] = i;
  if (count == 0) return;
  uint32_t at = open[draw(count)];
  ended[at] = true;
  for (uint32_t i = 0; i < b.cancel_count; i++)
    if (b.cancels[i] == b.starts[at].id) {
      bench_done(&b, at, SHEAF_END_CANCELLED);
      return;
    }
  switch (draw(8)) {
    case 0: bench_answer(&b, at, 500, "", ""); break;
    case 1: bench_answer(&b, at, 429, "retry-after-ms: 5\n", ""); break;
    case 2: bench_answer(&b, at, 400, "", ""); break;
    case 3: bench_done(&b, at, SHEAF_END_BROKEN); break;
    default: bench_answer(&b, at, 200, "", b.starts[at].body); /* the answer is the body */
  }
}

static void script(uint64_t seed) {
  static bool ended[BENCH_MAX];
  static uint32_t given[SCRIPT_ROWS], results[SCRIPT_ROWS];
  memset(ended, 0, sizeof ended);
  memset(results, 0, sizeof results);
  draw_state = seed * 0x9e3779b97f4a7c15ull + 1;
  prepare();
  b.options.concurrency = 1 + draw(4);
  b.options.dedup = SHEAF_DEDUP_ALL;
  b.options.cache_entries = draw(3) * 2;
  b.options.cache_ttl_ms = 20;
  b.options.max_retries = 2;
  bench_open(&b);
  uint32_t rows = 0;
  for (uint32_t turn = 0; turn < 400 && (rows < SCRIPT_ROWS || turn < 200); turn++) {
    uint32_t what = draw(10);
    if (what < 4 && rows < SCRIPT_ROWS) {
      static const char *const prompts[] = {"p0", "p1", "p2", "p3"};
      static const uint32_t priorities[] = {0, 100, 75, 25, 1};
      sheaf_request request = request_of(prompts[given[rows] = draw(4)]);
      request.priority = priorities[draw(5)];
      request.deadline_ms = draw(4) ? 0 : 1 + draw(40);
      CHECK_EQ(bench_submit_request(&b, &request), rows);
      rows++;
    } else if (what == 4 && rows) {
      sheaf_engine_cancel(b.engine, draw(rows));
    } else if (what == 5) {
      CHECK_OK(draw(2) ? sheaf_engine_pause(b.engine) : sheaf_engine_resume(b.engine));
    } else if (what == 6) {
      CHECK_OK(sheaf_engine_set(b.engine, SHEAF_LITERAL("concurrency"),
                                draw(2) ? SHEAF_LITERAL("1") : SHEAF_LITERAL("5"), NULL, 0));
    } else {
      end_one(ended);
    }
    if (draw(2)) bench_step(&b, draw(6) * BENCH_MS);
  }
  CHECK_OK(sheaf_engine_resume(b.engine));
  if (draw(3) == 0) CHECK_OK(draw(2) ? sheaf_engine_drain(b.engine) : sheaf_engine_abort(b.engine));
  CHECK_OK(sheaf_engine_end_input(b.engine));
  for (uint32_t turn = 0; turn < 5000 && !sheaf_engine_is_idle(b.engine); turn++) {
    end_one(ended);
    bench_step(&b, BENCH_MS);
    if (turn % 8 == 7) bench_wait(&b);
  }
  CHECK(sheaf_engine_is_idle(b.engine));
  CHECK_EQ(b.result_count, rows);
  for (uint32_t i = 0; i < b.result_count; i++) {
    const bench_result *r = &b.results[i];
    results[r->index]++;
    char wanted[4] = {'p', (char)('0' + given[r->index]), 0};
    if (r->ok) CHECK_STRING(r->text, wanted);
    if (r->cached || r->deduplicated) CHECK(r->ok && r->attempts == 0 && r->cost == 0);
  }
  for (uint32_t i = 0; i < rows; i++) CHECK_EQ(results[i], 1);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.queue_bytes, 0);
  CHECK(s.cache_entries <= b.options.cache_entries);
  if (check_bad) printf("seed %llu\n", (unsigned long long)seed);
  bench_close(&b);
}

TEST(random_scripts_end_every_request_once_with_its_own_answer) {
  for (uint64_t seed = 1; seed <= 300 && !check_bad; seed++) script(seed);
}

int main(void) {
  RUN(identical_requests_share_one_call_and_each_has_its_own_result);
  RUN(who_shares_follows_from_the_option_and_the_request);
  RUN(a_body_is_read_once_and_only_where_it_matters);
  RUN(what_differs_in_body_model_or_trust_is_no_twin);
  RUN(twins_wait_while_their_leader_is_tried_again);
  RUN(a_failure_of_the_call_is_the_failure_of_all);
  RUN(a_key_that_is_refused_leaves_twins_unsent);
  RUN(a_finished_call_serves_nobody_without_a_cache);
  RUN(a_leader_that_is_cancelled_while_it_waits_leaves_the_lead_to_its_twin);
  RUN(a_leader_that_is_cancelled_in_flight_leaves_the_lead_to_its_twin);
  RUN(a_leader_past_its_deadline_leaves_the_lead_to_the_first_twin_in_time);
  RUN(twins_leave_by_their_own_cancel_or_deadline_and_the_call_goes_on);
  RUN(a_more_urgent_twin_moves_its_leader_up);
  RUN(an_heir_stands_where_the_most_urgent_of_the_rest_would);
  RUN(a_drained_engine_lets_twins_share_what_is_in_flight);
  RUN(a_drained_engine_ends_twins_of_what_waits);
  RUN(an_aborted_engine_ends_twins_as_cancelled);
  RUN(twins_of_a_leader_that_met_the_run_deadline_end_with_it);
  RUN(what_an_earlier_run_may_have_sent_has_no_twins);
  RUN(a_kept_answer_ends_a_later_twin_at_once);
  RUN(an_answer_is_kept_as_long_as_was_said);
  RUN(the_least_recently_used_answer_goes_first);
  RUN(the_cache_keeps_to_its_bytes);
  RUN(what_fails_or_is_larger_than_the_cache_is_not_kept);
  RUN(a_cache_that_is_turned_off_forgets_all);
  RUN(a_hit_that_nobody_has_taken_yet_outlives_its_entry);
  RUN(random_scripts_end_every_request_once_with_its_own_answer);
  return check_report();
}
