/* test_engine_stats: what the numbers say of a run whose course is known. */
#include "engine_test.h"

static bench b;

TEST(concurrency_over_time_is_the_mean_of_each_span) {
  bench_init(&b);
  b.options.concurrency = 4;
  bench_open(&b);
  for (int i = 0; i < 2; i++) bench_submit(&b, "hello");
  bench_step(&b, 0); /* two in flight from here */
  bench_step(&b, 150 * BENCH_MS);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0); /* one from here */
  bench_step(&b, 150 * BENCH_MS);
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  CHECK_EQ(s.series_span_ns, 100 * BENCH_MS);
  CHECK_EQ(s.series_count, 3);
  CHECK_EQ(s.series_milli[0], 2000);
  CHECK_EQ(s.series_milli[1], 1500);
  CHECK_EQ(s.series_milli[2], 1000);
  CHECK_EQ(s.in_flight_max, 2);
  CHECK_EQ(s.in_flight_mean_milli, 1500);
  bench_answer(&b, 1, 200, "", "ok");
  bench_step(&b, 0);
  bench_close(&b);
}

/* 64 spans of 100 ms are 6.4 s; 20 s take spans of 400 ms: 50 of them, with one in flight in each. */
TEST(a_full_series_joins_its_neighbours_and_goes_on) {
  bench_init(&b);
  bench_open(&b);
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  for (int i = 0; i < 500; i++) bench_step(&b, 40 * BENCH_MS);
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  CHECK_EQ(s.series_span_ns, 400 * BENCH_MS);
  CHECK_EQ(s.series_count, 50);
  for (uint32_t i = 0; i < s.series_count; i++) CHECK_EQ(s.series_milli[i], 1000);
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  bench_close(&b);
}

TEST(a_long_silence_is_one_step) {
  bench_init(&b);
  bench_open(&b);
  bench_step(&b, 0);
  bench_step(&b, 30ull * 24 * 3600 * 1000 * BENCH_MS);
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  CHECK(s.series_count >= SHEAF_SERIES_MAX / 2 && s.series_count <= SHEAF_SERIES_MAX);
  for (uint32_t i = 0; i < s.series_count; i++) CHECK_EQ(s.series_milli[i], 0);
  bench_close(&b);
}

int main(void) {
  RUN(concurrency_over_time_is_the_mean_of_each_span);
  RUN(a_full_series_joins_its_neighbours_and_goes_on);
  RUN(a_long_silence_is_one_step);
  return check_report();
}
