/* test_engine_answers: structured answers in the engine: judged, asked again within bounds, never the
 * reason why a row fails. */
#include "engine_test.h"

static bench b;

/* What the latest results said of their answers; slices do not live long enough. */
static struct {
  bool judged;
  uint32_t repairs, score, faults;
  char json[64], fault[96], endpoint[8];
  char line[200];       /* of the output line, the member "json" and on */
  uint32_t first_class; /* of the history */
} said[8];

static void keep_line(const sheaf_result *result, char *to, size_t bytes) {
  const sheaf_allocator allocator = test_allocator(&b.memory);
  sheaf_buf line;
  sheaf_buf_init(&line, &allocator, 1 << 16);
  CHECK_OK(sheaf_line_write(result, &line));
  CHECK_OK(sheaf_json_check(sheaf_buf_slice(&line), NULL));
  CHECK_OK(sheaf_buf_append(&line, "", 1));
  const char *from = strstr(line.data, ",\"json\":");
  snprintf(to, bytes, "%s", from ? from : "");
  char *behind = strstr(to, ",\"attempts\"");
  if (behind != NULL) *behind = 0;
  sheaf_buf_deinit(&line);
}

static void take(uint64_t ns) {
  sheaf_event e;
  b.now_ns += ns;
  CHECK_OK(sheaf_engine_step(b.engine, b.now_ns, 0));
  bench_take_actions(&b);
  while (sheaf_engine_next_event(b.engine, &e) == SHEAF_OK) {
    if (e.kind != SHEAF_EVENT_RESULT || b.result_count == 8) continue;
    const sheaf_result *r = e.result;
    uint32_t n = b.result_count;
    bench_take_result(&b, r);
    if (b.memory.fail_at == 0) keep_line(r, said[n].line, sizeof said[n].line);
    said[n].judged = r->answer_judged;
    said[n].repairs = r->answer_repairs;
    said[n].score = r->answer_score;
    said[n].faults = r->answer_faults;
    said[n].first_class = r->history_count ? r->history[0].error_class : UINT32_MAX;
    bench_copy(said[n].json, sizeof said[n].json, r->answer_json);
    bench_copy(said[n].fault, sizeof said[n].fault, r->answer_fault);
    bench_copy(said[n].endpoint, sizeof said[n].endpoint, r->endpoint);
  }
}

static void open_with(const char *schema, uint64_t retries) {
  memset(said, 0, sizeof said);
  bench_init(&b);
  b.options.json = 1;
  b.options.json_retries = retries;
  b.options.json_schema = sheaf_slice_of(schema);
}

/* The latest start gets this answer, the inside of a JSON string. */
static void answer(const char *inside) {
  bench_answer(&b, b.start_count - 1, 200, "", inside);
  take(BENCH_MS);
}

TEST(a_good_answer_is_asked_for_once) {
  open_with(NULL, 1);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("{\\\"a\\\": 1}");
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.result_count, 1);
  CHECK(said[0].judged);
  CHECK_EQ(said[0].score, 100);
  CHECK_STRING(said[0].json, "{\"a\": 1}");
  CHECK_STRING(said[0].fault, "");
  CHECK_STRING(said[0].line, ",\"json\":{\"value\":{\"a\": 1},\"score\":100}");
  bench_close(&b);
}

TEST(without_the_option_nothing_is_judged) {
  open_with(NULL, 1);
  b.options.json = 0;
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("no JSON");
  CHECK_EQ(b.start_count, 1);
  CHECK(!said[0].judged);
  CHECK_EQ(said[0].score, 0);
  CHECK_STRING(said[0].line, "");
  bench_close(&b);
}

TEST(what_can_be_mended_is_not_asked_again) {
  open_with(NULL, 1);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("```json\\n{a:1}\\n```");
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(said[0].repairs, SHEAF_REPAIR_FENCE | SHEAF_REPAIR_UNQUOTED_KEY);
  CHECK_EQ(said[0].score, 93);
  CHECK_STRING(said[0].json, "{\"a\":1}");
  CHECK_STRING(
      said[0].line,
      ",\"json\":{\"value\":{\"a\":1},\"score\":93,\"repaired\":[\"fence\",\"unquoted_key\"]}");
  bench_close(&b);
}

TEST(an_answer_without_json_is_asked_for_again_and_billed) {
  open_with(NULL, 1);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("Sorry, no.");
  CHECK_EQ(b.result_count, 0);
  CHECK_EQ(b.start_count, 2); /* at once */
  answer("[1]");
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].attempts, 2);
  CHECK_EQ(b.results[0].history_count, 2);
  CHECK_EQ(said[0].first_class, SHEAF_CLASS_INVALID_RESPONSE);
  CHECK_EQ(b.results[0].cost, 100); /* 50 each */
  CHECK_EQ(said[0].score, 100);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.retries, 1);
  CHECK_EQ(stats.succeeded, 1);
  bench_close(&b);
}

TEST(the_last_answer_counts_whatever_it_is_worth) {
  open_with(NULL, 2);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("no");
  answer("{\\\"a\\\":1,\\\"b\\\":oops}");
  answer("never");
  CHECK_EQ(b.start_count, 3);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_NONE);
  CHECK_STRING(b.results[0].text, "never");
  CHECK(said[0].judged);
  CHECK_EQ(said[0].score, 0);
  CHECK_STRING(said[0].json, "");
  CHECK_STRING(said[0].fault, "the answer holds no JSON");
  CHECK_STRING(said[0].line, ",\"json\":{\"score\":0,\"fault\":\"the answer holds no JSON\"}");
  bench_close(&b);
}

TEST(with_no_retries_the_first_answer_counts) {
  open_with(NULL, 0);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("no");
  CHECK_EQ(b.start_count, 1);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].history_count, 0);
  bench_close(&b);
}

TEST(asking_again_is_no_matter_of_max_retries) {
  open_with(NULL, 5);
  b.options.max_retries = 0;
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  for (int i = 0; i < 6; i++) answer("no");
  CHECK_EQ(b.start_count, 6);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK_EQ(b.results[0].attempts, 6);
  bench_close(&b);
}

#define SCHEMA "{\"type\":\"object\",\"required\":[\"n\"],\"properties\":{\"n\":{\"minimum\":5}}}"

TEST(faults_against_the_schema_are_asked_again_and_lower_the_score) {
  open_with(SCHEMA, 1);
  b.options.json = 0; /* the schema says enough */
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("{}");
  answer("{\\\"n\\\":3,}");
  CHECK_EQ(b.start_count, 2);
  CHECK(b.results[0].ok);
  CHECK_EQ(said[0].faults, 1);
  CHECK_EQ(said[0].score, 100 - 5 - SHEAF_ANSWER_FAULT_COST);
  CHECK_STRING(said[0].json, "{\"n\":3}");
  CHECK_STRING(said[0].fault, "/n: below the minimum of 5");
  CHECK_STRING(
      said[0].line,
      ",\"json\":{\"value\":{\"n\":3},\"score\":80,\"repaired\":[\"trailing_comma\"],\"faults\":1,"
      "\"fault\":\"/n: below the minimum of 5\"}");
  bench_close(&b);
}

TEST(a_schema_that_is_none_makes_no_engine) {
  open_with("{\"type\":7}", 1);
  sheaf_engine *engine = NULL;
  const sheaf_allocator allocator = test_allocator(&b.memory);
  CHECK_STATUS(sheaf_engine_new(&b.options, &allocator, &engine), SHEAF_E_TYPE);
  CHECK_EQ(b.memory.live_blocks, 0);
}

TEST(where_a_later_attempt_fails_the_answer_before_it_stands) {
  open_with(NULL, 1);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("almost {\\\"a\\\":1,\\\"b\\\":oops}");
  CHECK_EQ(b.start_count, 2);
  bench_answer(&b, 1, 400, "", "");
  take(BENCH_MS);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK(b.results[0].attempted);
  CHECK(!b.results[0].local);
  CHECK(!b.results[0].cached);
  CHECK_EQ(b.results[0].attempts, 2);
  CHECK_EQ(b.results[0].cost, 50); /* the refusal cost nothing */
  CHECK_STRING(b.results[0].text, "almost {\"a\":1,\"b\":oops}");
  CHECK_STRING(said[0].json, "{\"a\":1}");
  CHECK_STRING(said[0].endpoint, "a");
  CHECK(said[0].repairs & SHEAF_REPAIR_BROKEN);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.succeeded, 1);
  CHECK_EQ(stats.failed, 0);
  bench_close(&b);
}

TEST(a_run_that_stops_keeps_the_answer) {
  open_with(NULL, 1);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("no");
  CHECK_EQ(b.start_count, 2);
  CHECK_OK(sheaf_engine_abort(b.engine));
  take(0);
  bench_done(&b, 1, SHEAF_END_CANCELLED);
  take(BENCH_MS);
  CHECK_EQ(b.result_count, 1); /* an abort cancels rows one by one: their caller wants them gone */
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  bench_close(&b);

  open_with(NULL, 1);
  b.options.run_deadline_ms = 1000;
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("no");
  bench_answer(&b, 1, 429, "retry-after-ms: 5000\n", "");
  take(BENCH_MS);
  take(2 * BENCH_SECOND);
  CHECK_EQ(b.result_count, 1);
  CHECK(b.results[0].ok);
  CHECK_STRING(b.results[0].text, "no");
  bench_close(&b);
}

TEST(a_row_cancelled_by_its_caller_is_cancelled) {
  open_with(NULL, 1);
  bench_open(&b);
  uint64_t index = bench_submit(&b, "q");
  take(0);
  answer("no");
  CHECK_OK(sheaf_engine_cancel(b.engine, index));
  take(0);
  bench_done(&b, 1, SHEAF_END_CANCELLED);
  take(BENCH_MS);
  CHECK_EQ(b.result_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  bench_close(&b);
}

TEST(twins_share_what_was_kept) {
  open_with(NULL, 1);
  b.options.dedup = SHEAF_DEDUP_ALL;
  bench_open(&b);
  bench_submit(&b, "q");
  bench_submit(&b, "q");
  take(0);
  CHECK_EQ(b.start_count, 1);
  answer("no");
  CHECK_EQ(b.start_count, 2);
  bench_answer(&b, 1, 400, "", "");
  take(BENCH_MS);
  CHECK_EQ(b.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK(b.results[i].ok);
    CHECK(b.results[i].attempted);
    CHECK_STRING(b.results[i].text, "no");
    CHECK(said[i].judged);
  }
  bench_close(&b);
}

TEST(an_empty_answer_is_judged_and_not_asked_again) {
  open_with(NULL, 1);
  bench_open(&b);
  bench_submit(&b, "q");
  take(0);
  answer("");
  CHECK_EQ(b.start_count, 1);
  CHECK(b.results[0].ok);
  CHECK(said[0].judged);
  CHECK_EQ(said[0].score, 0);
  bench_close(&b);
}

TEST(a_streamed_answer_is_voided_and_asked_again) {
  open_with(NULL, 1);
  b.options.stream = 1;
  bench_open(&b);
  bench_submit(&b, "q");
  bench_step(&b, 0);
  for (uint32_t i = 0; i < 2; i++) {
    bench_head(&b, i, 200, "content-type: text/event-stream\n");
    bench_data(&b, i, i == 0 ? "data: no\n\n" : "data: [7]\n\n");
    bench_step(&b, BENCH_MS);
    bench_data(&b, i, "data: [DONE]\n\n");
    bench_done(&b, i, SHEAF_END_OK);
    bench_step(&b, BENCH_MS);
  }
  CHECK_STRING(b.events, "d:no x d:[7] r ");
  CHECK_STRING(b.results[0].text, "[7]");
  CHECK_EQ(b.results[0].attempts, 2);
  bench_close(&b);
}

/* Any allocation may fail: the row ends once, as a success wherever an answer came. */
TEST(without_memory_no_row_is_lost) {
  for (uint64_t n = 1; n < 200; n++) {
    open_with(SCHEMA, 1);
    bench_open(&b);
    bench_submit(&b, "q");
    take(0);
    bench_answer(&b, 0, 200, "", "```\\n{\\\"n\\\":4}\\n```");
    b.memory.fail_at = b.memory.calls + n;
    take(BENCH_MS);
    bool failed = b.memory.calls >= b.memory.fail_at;
    b.memory.fail_at = 0;
    while (b.result_count == 0 && b.start_count == 2) answer("{\\\"n\\\":6}");
    take(BENCH_MS);
    CHECK_EQ(b.result_count, 1);
    CHECK(b.results[0].ok);
    bench_close(&b);
    if (!failed) {
      CHECK(n > 1);
      return;
    }
  }
  CHECK(false); /* the scenario never ran through */
}

int main(void) {
  RUN(a_good_answer_is_asked_for_once);
  RUN(without_the_option_nothing_is_judged);
  RUN(what_can_be_mended_is_not_asked_again);
  RUN(an_answer_without_json_is_asked_for_again_and_billed);
  RUN(the_last_answer_counts_whatever_it_is_worth);
  RUN(with_no_retries_the_first_answer_counts);
  RUN(asking_again_is_no_matter_of_max_retries);
  RUN(faults_against_the_schema_are_asked_again_and_lower_the_score);
  RUN(a_schema_that_is_none_makes_no_engine);
  RUN(where_a_later_attempt_fails_the_answer_before_it_stands);
  RUN(a_run_that_stops_keeps_the_answer);
  RUN(a_row_cancelled_by_its_caller_is_cancelled);
  RUN(twins_share_what_was_kept);
  RUN(an_empty_answer_is_judged_and_not_asked_again);
  RUN(a_streamed_answer_is_voided_and_asked_again);
  RUN(without_memory_no_row_is_lost);
  return check_report();
}
