/* test_prices.c: look-up, cost and reading of prices. */
#include <sheaf/stats.h>

#include "../support/check.h"
#include "../support/test_alloc.h"

#define USD 1000000000ll /* nano */

static sheaf_slice text(const char *t) {
  return (sheaf_slice){t, strlen(t)};
}

static const sheaf_price *builtin_price(const char *provider, const char *model) {
  return sheaf_price_find(sheaf_prices_builtin(), text(provider), text(model));
}

static sheaf_usage usage(int64_t input, int64_t output) {
  return (sheaf_usage){.input_total = input,
                       .output_total = output,
                       .cache_read = SHEAF_ABSENT,
                       .cache_write = SHEAF_ABSENT,
                       .reasoning = SHEAF_ABSENT};
}

/* ---- The built-in table ---- */

/* Published list prices of models whose price has not changed since they appeared. */
TEST(well_known_prices_are_right) {
  const sheaf_price *p = builtin_price("openai", "gpt-4o-mini");
  CHECK(p && p->input == 150000000 && p->output == 600000000 && p->cache_read == 75000000);
  p = builtin_price("openai", "gpt-4o-2024-08-06");
  CHECK(p && p->input == 2500000000 && p->output == 10 * USD);
  p = builtin_price("anthropic", "claude-sonnet-4-5-20250929");
  CHECK(p && p->input == 3 * USD && p->output == 15 * USD && p->cache_read == 300000000);
  CHECK(p && p->cache_write == 3750000000);
  p = builtin_price("gemini", "gemini-2.5-flash");
  CHECK(p && p->input == 300000000 && p->output == 2500000000);
  p = builtin_price("openai", "text-embedding-3-small");
  CHECK(p && p->input == 20000000 && p->output == 0);
}

TEST(each_row_is_well_formed) {
  const sheaf_price_table *table = sheaf_prices_builtin();
  CHECK(table->count >= 60);
  CHECK_EQ(strlen(table->date), 10);
  CHECK(strlen(table->source) > 0);
  for (uint32_t i = 0; i < table->count; i++) {
    const sheaf_price *row = &table->prices[i];
    CHECK(row->provider[0] != '\0' && row->model[0] != '\0');
    CHECK(row->input >= 0 && row->output >= 0);
    CHECK(row->input <= 1000 * USD && row->output <= 1000 * USD);
    CHECK(row->cache_read == SHEAF_ABSENT ||
          (row->cache_read >= 0 && row->cache_read <= row->input));
    CHECK(row->cache_write == SHEAF_ABSENT || row->cache_write >= 0);
    for (uint32_t j = 0; j < i; j++)
      CHECK(strcmp(row->provider, table->prices[j].provider) != 0 ||
            strcmp(row->model, table->prices[j].model) != 0);
    const char *star = strchr(row->model, '*');
    CHECK(!star || star[1] == '\0');
  }
}

TEST(local_servers_cost_nothing_and_strangers_are_unknown) {
  CHECK(builtin_price("ollama", "anything:7b") != NULL);
  const sheaf_usage u = usage(1000, 1000);
  CHECK_EQ(sheaf_price_cost(builtin_price("ollama", "x"), &u), 0);
  CHECK_EQ(sheaf_price_cost(builtin_price("sim", ""), &u), 0);
  CHECK(builtin_price("openai", "no-such-model") == NULL);
  CHECK(builtin_price("nobody", "gpt-4o") == NULL);
  CHECK(builtin_price("", "") == NULL);
  CHECK(sheaf_price_find(sheaf_prices_builtin(), (sheaf_slice){NULL, 0}, (sheaf_slice){NULL, 0}) ==
        NULL);
}

/* ---- Look-up ---- */

static const sheaf_price rows[] = {
    {"a", "m*", 1, 0, 0, 0, 0, 0},      {"a", "model*", 2, 0, 0, 0, 0, 0},
    {"a", "model-1", 3, 0, 0, 0, 0, 0}, {"*", "model-1", 4, 0, 0, 0, 0, 0},
    {"*", "z*", 5, 0, 0, 0, 0, 0},      {"a", "z*", 6, 0, 0, 0, 0, 0},
    {"a", "z*", 7, 0, 0, 0, 0, 0},      {"b", "*", 8, 0, 0, 0, 0, 0},
};
static const sheaf_price_table small = {"", "", rows, sizeof rows / sizeof *rows, 0};

static int64_t found(const char *provider, const char *model) {
  const sheaf_price *p = sheaf_price_find(&small, text(provider), text(model));
  return p ? p->input : 0;
}

TEST(exact_names_go_before_prefixes_and_longer_before_shorter) {
  CHECK_EQ(found("a", "model-1"), 3);
  CHECK_EQ(found("a", "model-12"), 2);
  CHECK_EQ(found("a", "mode"), 1);
  CHECK_EQ(found("a", "m"), 1);
  CHECK_EQ(found("a", "x"), 0);
  CHECK_EQ(found("b", ""), 8);
}

TEST(the_own_provider_goes_before_any_and_the_first_of_equals_wins) {
  CHECK_EQ(found("c", "model-1"), 4);
  CHECK_EQ(found("b", "model-1"), 4); /* exact for any provider, before a prefix of its own */
  CHECK_EQ(found("a", "zz"), 6);
  CHECK_EQ(found("c", "zz"), 5);
}

/* ---- Cost ---- */

TEST(cost_is_tokens_times_price_rounded_up_once) {
  const sheaf_price p = {"a", "m", 150000000, 600000000, 75000000, SHEAF_ABSENT, 0, 0};
  sheaf_usage u = usage(1000000, 1000000);
  CHECK_EQ(sheaf_price_cost(&p, &u), 750000000);
  u = usage(1, 0);
  CHECK_EQ(sheaf_price_cost(&p, &u), 150);
  u = usage(0, 0);
  CHECK_EQ(sheaf_price_cost(&p, &u), 0);
  const sheaf_price odd = {"a", "m", 1, 1, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  u = usage(1, 1);
  CHECK_EQ(sheaf_price_cost(&odd, &u), 1); /* two millionths: up, once */
  u = usage(999999, 2);
  CHECK_EQ(sheaf_price_cost(&odd, &u), 2);
}

TEST(cached_input_costs_its_own_price_where_one_is_known) {
  const sheaf_price p = {"a", "m", 1000000, 0, 100000, 2000000, 0, 0};
  sheaf_usage u = usage(100, 0);
  u.cache_read = 60;
  u.cache_write = 30;
  CHECK_EQ(sheaf_price_cost(&p, &u), 10 + 6 + 60);
  const sheaf_price plain = {"a", "m", 1000000, 0, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  CHECK_EQ(sheaf_price_cost(&plain, &u), 100);
  u.cache_read = 1000; /* more than all input: nonsense is held to what there is */
  CHECK_EQ(sheaf_price_cost(&p, &u), 10);
}

/* A million input and two million output tokens of 3 and 15 dollars are 33 dollars, half of it in a job. */
TEST(a_batch_job_costs_the_live_price_less_its_discount) {
  const sheaf_price live = {"a", "m", 3 * USD, 15 * USD, USD, SHEAF_ABSENT, 0, 0};
  sheaf_usage u = usage(1000000, 2000000);
  CHECK_EQ(sheaf_price_batch_cost(&live, &u, 50), 33 * USD / 2);
  CHECK_EQ(sheaf_price_batch_cost(&live, &u, 0), 33 * USD);
  u.cache_read = 1000000; /* all of the input, at a dollar */
  CHECK_EQ(sheaf_price_batch_cost(&live, &u, 50), 31 * USD / 2);
  u.output_total = SHEAF_ABSENT;
  CHECK_EQ(sheaf_price_batch_cost(&live, &u, 50), SHEAF_ABSENT);
}

TEST(batch_columns_of_a_price_go_before_the_discount) {
  const sheaf_price both = {"a", "m", 3 * USD, 15 * USD, USD, SHEAF_ABSENT, 2 * USD, 4 * USD};
  const sheaf_price one = {"a", "m", 3 * USD, 15 * USD, USD, SHEAF_ABSENT, 0, 4 * USD};
  sheaf_usage u = usage(1000000, 1000000);
  u.cache_read = 500000;
  CHECK_EQ(sheaf_price_batch_cost(&both, &u, 50), 6 * USD);
  u.cache_read = SHEAF_ABSENT;
  CHECK_EQ(sheaf_price_batch_cost(&one, &u, 50), 3 * USD / 2 + 4 * USD);
}

TEST(what_is_not_known_has_no_cost) {
  const sheaf_price p = {"a", "m", 5, 5, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  sheaf_usage u = usage(SHEAF_ABSENT, 5);
  CHECK_EQ(sheaf_price_cost(&p, &u), SHEAF_ABSENT);
  u = usage(5, SHEAF_ABSENT);
  CHECK_EQ(sheaf_price_cost(&p, &u), SHEAF_ABSENT);
  CHECK_EQ(sheaf_price_cost(NULL, &u), SHEAF_ABSENT);
  CHECK_EQ(sheaf_price_cost(&p, NULL), SHEAF_ABSENT);
  const sheaf_price embeddings = {"a", "m", 1000000, 0, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  CHECK_EQ(sheaf_price_cost(&embeddings, &u), 5); /* no output, and none is charged */
}

TEST(enormous_costs_stop_at_the_end_of_the_range) {
  const sheaf_price p = {"a", "m", INT64_MAX, INT64_MAX, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  sheaf_usage u = usage(INT64_MAX, INT64_MAX);
  CHECK_EQ(sheaf_price_cost(&p, &u), INT64_MAX);
  u = usage(3, 0);
  CHECK_EQ(sheaf_price_cost(&p, &u), INT64_MAX);
  const sheaf_price dear = {"a", "m", 1000 * USD, 0, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  u = usage(1000000000, 0);
  CHECK_EQ(sheaf_price_cost(&dear, &u), 1000000 * USD);
}

__extension__ typedef __int128 wide;

TEST(cost_agrees_with_wide_arithmetic) {
  uint64_t state = 88172645463325252ull;
  for (int i = 0; i < 200000; i++) {
    int64_t n[6];
    for (int j = 0; j < 6; j++) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      n[j] = (int64_t)(state >> (24 + state % 39));
    }
    const sheaf_price p = {"a", "m", n[0], n[1], n[2], SHEAF_ABSENT, 0, 0};
    sheaf_usage u = usage(n[3], n[4]);
    u.cache_read = n[5] < n[3] ? n[5] : n[3];
    const wide sum =
        (wide)(n[3] - u.cache_read) * n[0] + (wide)u.cache_read * n[2] + (wide)n[4] * n[1];
    const wide cost = (sum + 999999) / 1000000;
    if (cost > INT64_MAX / 2) continue;
    if (sheaf_price_cost(&p, &u) == (int64_t)cost) continue;
    CHECK_EQ(sheaf_price_cost(&p, &u), (int64_t)cost);
    return;
  }
}

/* ---- Reading ---- */

static int32_t read_text(const char *json, sheaf_price_table **table, test_alloc *memory,
                         sheaf_parse_error *error) {
  const sheaf_allocator allocator = test_allocator(memory);
  return sheaf_prices_read(text(json), &allocator, table, error);
}

static const char *const sample =
    "{\"date\": \"2030-01-02\", \"prices\": [\n"
    "{\"provider\": \"openai\", \"model\": \"gpt-4o-mini\", \"input\": 0.25, \"output\": 2,"
    " \"batch_input\": 0.1, \"batch_output\": 0.75},\n"
    "{\"provider\": \"*\", \"model\": \"mine\\/x*\", \"input\": 1e-3, \"output\": 0,"
    " \"cache_read\": 0.0005, \"cache_write\": null}]}";

TEST(a_users_prices_come_before_the_built_in_ones) {
  test_alloc memory = {0};
  sheaf_price_table *table = NULL;
  CHECK_OK(read_text(sample, &table, &memory, NULL));
  if (!table) return;
  CHECK(strcmp(table->date, "2030-01-02") == 0);
  const sheaf_price *p = sheaf_price_find(table, text("openai"), text("gpt-4o-mini"));
  CHECK(p && p->input == 250000000 && p->output == 2000000000);
  CHECK(p && p->cache_read == SHEAF_ABSENT && p->cache_write == SHEAF_ABSENT);
  CHECK(p && p->batch_input == 100000000 && p->batch_output == 750000000);
  p = sheaf_price_find(table, text("whoever"), text("mine/x-large"));
  CHECK(p && p->input == 1000000 && p->output == 0 && p->cache_read == 500000);
  CHECK(p && p->cache_write == SHEAF_ABSENT);
  p = sheaf_price_find(table, text("openai"), text("gpt-4o"));
  CHECK(p && p->input == 2500000000);
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_prices_free(table, &allocator);
  CHECK_EQ(memory.live_bytes, 0);
  CHECK(!memory.size_mismatch);
}

TEST(an_empty_list_gives_the_built_in_prices) {
  test_alloc memory = {0};
  sheaf_price_table *table = NULL;
  CHECK_OK(read_text("{\"prices\":[]}", &table, &memory, NULL));
  if (!table) return;
  CHECK_EQ(table->count, sheaf_prices_builtin()->count);
  CHECK(strcmp(table->date, "") == 0);
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_prices_free(table, &allocator);
  sheaf_prices_free(NULL, &allocator);
  CHECK_EQ(memory.live_bytes, 0);
}

#define ROW(rest) "{\"prices\":[{\"provider\":\"a\",\"model\":\"b\"," rest "}]}"

TEST(what_is_wrong_with_a_file_is_told) {
  static const struct {
    const char *json;
    int32_t status;
    const char *field;
  } cases[] = {
      {"", SHEAF_E_PARTIAL, NULL},
      {"{\"prices\":[", SHEAF_E_PARTIAL, NULL},
      {"{\"prices\":[}", SHEAF_E_SYNTAX, NULL},
      {"{}", SHEAF_E_FIELD, "prices"},
      {"[]", SHEAF_E_FIELD, "prices"},
      {"{\"prices\":{}}", SHEAF_E_TYPE, "prices"},
      {"{\"prices\":[1]}", SHEAF_E_TYPE, "prices"},
      {"{\"prices\":[[]]}", SHEAF_E_TYPE, "prices"},
      {"{\"date\":1,\"prices\":[]}", SHEAF_E_TYPE, "date"},
      {"{\"prices\":[{}]}", SHEAF_E_FIELD, "provider"},
      {ROW("\"input\":1"), SHEAF_E_FIELD, "output"},
      {ROW("\"output\":1"), SHEAF_E_FIELD, "input"},
      {ROW("\"input\":\"1\",\"output\":1"), SHEAF_E_TYPE, "input"},
      {ROW("\"input\":1,\"output\":null"), SHEAF_E_TYPE, "output"},
      {ROW("\"input\":-1,\"output\":1"), SHEAF_E_RANGE, "input"},
      {ROW("\"input\":1e30,\"output\":1"), SHEAF_E_RANGE, "input"},
      {ROW("\"input\":1,\"output\":1,\"cache_reads\":1"), SHEAF_E_FIELD, "prices"},
      {"{\"prices\":[{\"provider\":\"\",\"model\":\"b\",\"input\":1,\"output\":1}]}", SHEAF_E_FIELD,
       "provider"},
      {"{\"prices\":[{\"provider\":\"a\",\"model\":\"b\\u0000c\",\"input\":1,\"output\":1}]}",
       SHEAF_E_FIELD, "model"},
      {"{\"prices\":[{\"provider\":\"a\",\"model\":7,\"input\":1,\"output\":1}]}", SHEAF_E_TYPE,
       "model"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    test_alloc memory = {0};
    sheaf_price_table *table = NULL;
    sheaf_parse_error error = {0};
    CHECK_STATUS(read_text(cases[i].json, &table, &memory, &error), cases[i].status);
    CHECK(table == NULL);
    CHECK_EQ(error.status, cases[i].status);
    if (cases[i].field) CHECK(error.field && strcmp(error.field, cases[i].field) == 0);
    CHECK(error.message != NULL);
    CHECK(error.offset <= strlen(cases[i].json));
    CHECK_EQ(memory.live_bytes, 0);
    CHECK_STATUS(read_text(cases[i].json, &table, &memory, NULL), cases[i].status);
  }
}

TEST(each_failing_allocation_is_survived) {
  test_alloc memory = {0};
  sheaf_price_table *table = NULL;
  const sheaf_allocator allocator = test_allocator(&memory);
  CHECK_OK(sheaf_prices_read(text(sample), &allocator, &table, NULL));
  sheaf_prices_free(table, &allocator);
  const uint64_t calls = memory.calls;
  CHECK(calls >= 3);
  for (uint64_t n = 1; n <= calls; n++) {
    test_alloc failing = {.fail_at = n};
    const sheaf_allocator refusing = test_allocator(&failing);
    table = NULL;
    CHECK_STATUS(sheaf_prices_read(text(sample), &refusing, &table, NULL), SHEAF_E_NOMEM);
    CHECK(table == NULL);
    CHECK_EQ(failing.live_bytes, 0);
  }
}

int main(void) {
  RUN(well_known_prices_are_right);
  RUN(each_row_is_well_formed);
  RUN(local_servers_cost_nothing_and_strangers_are_unknown);
  RUN(exact_names_go_before_prefixes_and_longer_before_shorter);
  RUN(the_own_provider_goes_before_any_and_the_first_of_equals_wins);
  RUN(cost_is_tokens_times_price_rounded_up_once);
  RUN(cached_input_costs_its_own_price_where_one_is_known);
  RUN(a_batch_job_costs_the_live_price_less_its_discount);
  RUN(batch_columns_of_a_price_go_before_the_discount);
  RUN(what_is_not_known_has_no_cost);
  RUN(enormous_costs_stop_at_the_end_of_the_range);
  RUN(cost_agrees_with_wide_arithmetic);
  RUN(a_users_prices_come_before_the_built_in_ones);
  RUN(an_empty_list_gives_the_built_in_prices);
  RUN(what_is_wrong_with_a_file_is_told);
  RUN(each_failing_allocation_is_survived);
  return check_report();
}
