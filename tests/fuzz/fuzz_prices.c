/* fuzz_prices.c: any bytes as a price file. A table that is read holds only sound prices and gives a
 * cost that never falls when usage grows; every other is refused with a place and a sentence. */
#include <sheaf/stats.h>

#include "base/mem.h"

#include "test_alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static sheaf_usage usage_of(int64_t input, int64_t output, int64_t read) {
  return (sheaf_usage){.input_total = input,
                       .output_total = output,
                       .cache_read = read,
                       .cache_write = SHEAF_ABSENT,
                       .reasoning = SHEAF_ABSENT};
}

static void check_price(const sheaf_price *price) {
  SHEAF_ASSERT(price->provider[0] != '\0' && price->model[0] != '\0');
  SHEAF_ASSERT(price->input >= 0 && price->output >= 0);
  SHEAF_ASSERT(price->cache_read >= SHEAF_ABSENT && price->cache_write >= SHEAF_ABSENT);
  SHEAF_ASSERT(price->batch_input >= 0 && price->batch_output >= 0);
  const sheaf_usage few = usage_of(10, 10, SHEAF_ABSENT), more = usage_of(20, 30, SHEAF_ABSENT);
  int64_t little = sheaf_price_cost(price, &few), much = sheaf_price_cost(price, &more);
  SHEAF_ASSERT(little >= 0 && much >= little);
  SHEAF_ASSERT(sheaf_price_batch_cost(price, &more, 0) >= sheaf_price_batch_cost(price, &few, 0));
  if (price->batch_input == 0 && price->batch_output == 0) {
    SHEAF_ASSERT(sheaf_price_batch_cost(price, &more, 50) <= much);
    SHEAF_ASSERT(sheaf_price_batch_cost(price, &more, 0) == much);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static test_alloc memory;
  memset(&memory, 0, sizeof memory);
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_slice json = {(const char *)data, bytes};
  sheaf_price_table *table = NULL;
  sheaf_parse_error error = {.status = SHEAF_OK};
  const int32_t status = sheaf_prices_read(json, &allocator, &table, &error);
  if (status == SHEAF_OK) {
    uint32_t built_in = sheaf_prices_builtin()->count;
    SHEAF_ASSERT(table->count >= built_in);
    for (uint32_t i = 0; i < table->count - built_in; i++) check_price(&table->prices[i]);
    SHEAF_ASSERT(sheaf_price_find(table, SHEAF_LITERAL("openai"), SHEAF_LITERAL("gpt-4o")) != NULL);
    sheaf_prices_free(table, &allocator);
  } else {
    SHEAF_ASSERT(table == NULL && error.status == status);
    SHEAF_ASSERT(error.message != NULL && error.offset <= bytes);
  }
  SHEAF_ASSERT(memory.live_bytes == 0 && !memory.size_mismatch);
  return 0;
}
