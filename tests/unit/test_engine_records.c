/* test_engine_records: promises before deeds: ranges, withheld starts, a failing store, unknown rows of an earlier run. */
#include "engine_test.h"

static bench b;

static void open_with_store(uint64_t concurrency, uint64_t policy) {
  bench_init(&b);
  b.options.concurrency = concurrency;
  b.options.resend_unknown = policy;
  bench_open(&b);
  CHECK_OK(sheaf_engine_use_store(b.engine));
}

static void scanned(uint32_t type, uint64_t first, uint64_t last) {
  uint8_t payload[SHEAF_RANGE_BYTES];
  sheaf_range range = {first, last, SHEAF_ABSENT};
  sheaf_range_write(&range, payload);
  const sheaf_record record = {.type = type, .payload = {(const char *)payload, sizeof payload}};
  CHECK_OK(sheaf_engine_on_scanned(b.engine, &record, 1));
}

static void nothing_scanned(void) {
  CHECK_OK(sheaf_engine_on_scanned(b.engine, NULL, 0));
}

/* ---- Before sending ---- */

TEST(nothing_starts_while_recovering) {
  open_with_store(4, SHEAF_RESEND_ALWAYS);
  bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, 0);
  CHECK_EQ(b.start_count, 0);
  nothing_scanned();
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_STATUS(sheaf_engine_on_scanned(b.engine, NULL, 0), SHEAF_E_MISUSE);
  bench_close(&b);
}

TEST(one_range_covers_neighbours_and_comes_before_their_starts) {
  open_with_store(4, SHEAF_RESEND_ALWAYS);
  nothing_scanned();
  for (int i = 0; i < 4; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, 1);
  CHECK(b.appends[0].before_starts);
  CHECK_EQ(b.appends[0].type, SHEAF_RECORD_RANGE);
  CHECK_EQ(b.appends[0].first, 0);
  CHECK_EQ(b.appends[0].last, 3);
  CHECK_EQ(b.start_count, 4);
  bench_close(&b);
}

TEST(a_range_holds_256_rows_at_most) {
  bench_init(&b);
  b.options.concurrency = 300;
  bench_open(&b);
  CHECK_OK(sheaf_engine_use_store(b.engine));
  nothing_scanned();
  for (int i = 0; i < 300; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, 1);
  CHECK_EQ(b.appends[0].count, 2);
  CHECK_EQ(b.appends[0].last - b.appends[0].first, 255);
  bench_close(&b);
}

TEST(starts_wait_until_their_record_is_stored) {
  open_with_store(2, SHEAF_RESEND_ALWAYS);
  b.store_answers = false;
  nothing_scanned();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, 1);
  CHECK_EQ(b.start_count, 0);
  bench_step(&b, BENCH_SECOND);
  CHECK_EQ(b.start_count, 0);
  CHECK_STATUS(sheaf_engine_on_stored(b.engine, b.appends[0].ticket + 1, SHEAF_OK), SHEAF_E_MISUSE);
  CHECK_OK(sheaf_engine_on_stored(b.engine, b.appends[0].ticket, SHEAF_OK));
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  bench_close(&b);
}

TEST(a_retry_writes_no_second_range) {
  open_with_store(2, SHEAF_RESEND_ALWAYS);
  nothing_scanned();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_NOT_SENT);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 2);
  CHECK_EQ(b.append_count, 1);
  bench_close(&b);
}

TEST(a_deadline_that_passes_while_the_store_writes_sends_nothing) {
  open_with_store(2, SHEAF_RESEND_ALWAYS);
  b.store_answers = false;
  nothing_scanned();
  sheaf_request q = SHEAF_REQUEST_INIT;
  q.prompt = SHEAF_LITERAL("x");
  q.deadline_ms = 100;
  bench_submit_request(&b, &q);
  q.deadline_ms = 500;
  bench_submit_request(&b, &q);
  bench_step(&b, 0);
  b.now_ns += 200 * BENCH_MS;
  CHECK_OK(sheaf_engine_on_stored(b.engine, b.appends[0].ticket, SHEAF_OK));
  bench_step(&b, 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.starts[0].index, 1);
  CHECK_EQ(b.starts[0].timeout_ns, 300 * BENCH_MS); /* what is left */
  CHECK_EQ(b.results[0].index, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_DEADLINE);
  CHECK(!b.results[0].attempted);
  bench_close(&b);
}

/* With a store that always answers a step late, an APPEND is under way at any time: what was handed out must not pile up. */
TEST(records_that_were_handed_out_take_no_memory) {
  open_with_store(2, SHEAF_RESEND_ALWAYS);
  b.store_answers = false;
  nothing_scanned();
  size_t after_some = 0;
  uint32_t answered = 0, submitted = 0;
  for (uint32_t i = 0; i < 400; i++) {
    if (submitted < b.result_count + 4) bench_submit(&b, "x"), submitted++;
    uint32_t before = b.append_count;
    bench_step(&b, BENCH_MS);
    if (before > 0)
      CHECK_OK(sheaf_engine_on_stored(b.engine, b.appends[before - 1].ticket, SHEAF_OK));
    for (; answered < b.start_count; answered++) bench_answer(&b, answered, 200, "", "ok");
    if (i == 100) after_some = b.memory.live_bytes;
  }
  CHECK(b.result_count > 100);
  CHECK(b.memory.live_bytes <= after_some + 4096);
  bench_close(&b);
}

/* ---- The store fails ---- */

TEST(a_failing_store_stops_everything_and_nothing_was_sent) {
  open_with_store(2, SHEAF_RESEND_ALWAYS);
  b.store_answers = false;
  nothing_scanned();
  for (int i = 0; i < 4; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_on_stored(b.engine, b.appends[0].ticket, SHEAF_E_IO));
  CHECK_EQ(sheaf_engine_timeout_ns(b.engine), 0);
  bench_step(&b, 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 0);
  CHECK_EQ(b.result_count, 4);
  for (uint32_t i = 0; i < 4; i++) {
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_STORE);
    CHECK(!b.results[i].attempted);
    CHECK_EQ(b.results[i].attempts, 0);
  }
  CHECK_EQ(b.notices[SHEAF_NOTICE_STORE_FAILED], 1);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

/* ---- Voids ---- */

TEST(a_drained_row_that_was_not_billed_is_taken_back) {
  open_with_store(1, SHEAF_RESEND_ALWAYS);
  nothing_scanned();
  bench_submit(&b, "x");
  bench_submit(&b, "never sent");
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, 1 + (b.start_count > 1)); /* the second may have started */
  CHECK_OK(sheaf_engine_drain(b.engine));
  uint32_t before = b.append_count;
  bench_step(&b, 0);
  CHECK_EQ(b.append_count, before + 1);
  CHECK_EQ(b.appends[before].type, SHEAF_RECORD_VOID);
  CHECK_EQ(b.appends[before].first, 0);
  CHECK_EQ(b.appends[before].last, 0);
  bench_close(&b);
}

TEST(a_drain_while_the_record_is_written_sends_nothing_and_takes_it_back) {
  open_with_store(1, SHEAF_RESEND_ALWAYS);
  b.store_answers = false;
  nothing_scanned();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_drain(b.engine));
  CHECK_OK(sheaf_engine_on_stored(b.engine, b.appends[0].ticket, SHEAF_OK));
  bench_step(&b, 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 0);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_CANCELLED);
  CHECK(!b.results[0].attempted);
  CHECK_EQ(b.append_count, 2);
  CHECK_EQ(b.appends[1].type, SHEAF_RECORD_VOID);
  CHECK(sheaf_engine_is_idle(b.engine));
  bench_close(&b);
}

/* ---- An earlier run ---- */

TEST(unknown_rows_end_under_never_and_voids_are_known) {
  open_with_store(8, SHEAF_RESEND_NEVER);
  scanned(SHEAF_RECORD_RANGE, 0, 3);
  scanned(SHEAF_RECORD_VOID, 1, 1);
  nothing_scanned();
  for (int i = 0; i < 6; i++) bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 3);
  static const uint64_t unknown[] = {0, 2, 3};
  for (uint32_t i = 0; i < 3; i++) {
    CHECK_EQ(b.results[i].index, unknown[i]);
    CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_UNKNOWN_OUTCOME);
    CHECK(b.results[i].attempted); /* the output says so, and a resume does not ask again */
    CHECK_EQ(b.results[i].attempts, 0);
  }
  CHECK_EQ(b.start_count, 3);
  CHECK_EQ(b.starts[0].index, 1);
  sheaf_stats stats;
  sheaf_engine_stats(b.engine, &stats);
  CHECK_EQ(stats.recovered_unknown, 3);
  bench_close(&b);
}

TEST(unknown_rows_are_sent_again_and_told_where_that_is_the_policy) {
  open_with_store(8, SHEAF_RESEND_WITHIN_BUDGET);
  scanned(SHEAF_RECORD_RANGE, 0, 0);
  nothing_scanned();
  bench_submit(&b, "x");
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.append_count, 0); /* the earlier range covers it */
  CHECK_EQ(b.notices[SHEAF_NOTICE_RESENT_UNKNOWN], 1);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK(b.results[0].ok && b.results[0].resent);
  bench_close(&b);
}

TEST(rows_submitted_before_the_scan_ended_meet_the_policy_too) {
  open_with_store(8, SHEAF_RESEND_NEVER);
  bench_submit(&b, "x");
  bench_submit(&b, "y");
  bench_step(&b, 0);
  scanned(SHEAF_RECORD_RANGE, 1, 1);
  nothing_scanned();
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 1);
  CHECK_EQ(b.starts[0].index, 0);
  CHECK_EQ(b.result_count, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_UNKNOWN_OUTCOME);
  bench_close(&b);
}

TEST(damaged_ranges_are_refused) {
  open_with_store(8, SHEAF_RESEND_NEVER);
  uint8_t payload[SHEAF_RANGE_BYTES];
  static const sheaf_range bad[] = {{5, 4, 0}, {0, 256, 0}, {0, UINT64_MAX, 0}};
  for (int i = 0; i < 3; i++) {
    sheaf_range_write(&bad[i], payload);
    sheaf_record record = {.type = SHEAF_RECORD_RANGE,
                           .payload = {(const char *)payload, sizeof payload}};
    CHECK_STATUS(sheaf_engine_on_scanned(b.engine, &record, 1), SHEAF_E_CORRUPT);
    record.payload.bytes--;
    CHECK_STATUS(sheaf_engine_on_scanned(b.engine, &record, 1), SHEAF_E_CORRUPT);
  }
  const sheaf_record other = {.type = SHEAF_RECORD_RUN, .payload = SHEAF_LITERAL("{}")};
  CHECK_OK(sheaf_engine_on_scanned(b.engine, &other, 1));
  bench_close(&b);
}

/* Ranges and voids in any order against a plain array. */
TEST(ranges_are_kept_as_a_set) {
  for (uint64_t seed = 1; seed < 60; seed++) {
    bool held[64] = {false};
    open_with_store(64, SHEAF_RESEND_NEVER);
    uint64_t x = seed;
    for (int i = 0; i < 12; i++) {
      x = x * 6364136223846793005ull + 1442695040888963407ull;
      uint64_t first = x >> 33 & 63, last = first + (x >> 40) % (64 - first);
      bool is_void = (x >> 60) % 2;
      scanned(is_void ? SHEAF_RECORD_VOID : SHEAF_RECORD_RANGE, first, last);
      for (uint64_t k = first; k <= last; k++) held[k] = !is_void;
    }
    nothing_scanned();
    for (int i = 0; i < 64; i++) bench_submit(&b, "x");
    bench_step(&b, 0);
    for (uint32_t i = 0; i < b.start_count; i++) CHECK(!held[b.starts[i].index]);
    for (uint32_t i = 0; i < b.result_count; i++) CHECK(held[b.results[i].index]);
    CHECK_EQ(b.start_count + b.result_count, 64);
    bench_close(&b);
  }
}

int main(void) {
  RUN(nothing_starts_while_recovering);
  RUN(one_range_covers_neighbours_and_comes_before_their_starts);
  RUN(a_range_holds_256_rows_at_most);
  RUN(starts_wait_until_their_record_is_stored);
  RUN(a_retry_writes_no_second_range);
  RUN(a_deadline_that_passes_while_the_store_writes_sends_nothing);
  RUN(records_that_were_handed_out_take_no_memory);
  RUN(a_failing_store_stops_everything_and_nothing_was_sent);
  RUN(a_drained_row_that_was_not_billed_is_taken_back);
  RUN(a_drain_while_the_record_is_written_sends_nothing_and_takes_it_back);
  RUN(unknown_rows_end_under_never_and_voids_are_known);
  RUN(unknown_rows_are_sent_again_and_told_where_that_is_the_policy);
  RUN(rows_submitted_before_the_scan_ended_meet_the_policy_too);
  RUN(damaged_ranges_are_refused);
  RUN(ranges_are_kept_as_a_set);
  return check_report();
}
