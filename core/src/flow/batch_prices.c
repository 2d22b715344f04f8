/* batch_prices.c: what usage costs in a batch job: the price's own batch columns, and for what they do
 * not give the live price less the API's discount. */
#include <sheaf/stats.h>

static int64_t less(int64_t price, uint32_t discount_pct) {
  if (price < 0 || discount_pct > 100) return price;
  int64_t left = 100 - (int64_t)discount_pct;
  return price / 100 * left + price % 100 * left / 100;
}

int64_t sheaf_price_batch_cost(const sheaf_price *price, const sheaf_usage *usage,
                               uint32_t discount_pct) {
  if (price == NULL) return SHEAF_ABSENT;
  bool has_own = price->batch_input > 0; /* then cached input costs as much */
  const sheaf_price batch = {
      .provider = price->provider,
      .model = price->model,
      .input = has_own ? price->batch_input : less(price->input, discount_pct),
      .output = price->batch_output > 0 ? price->batch_output : less(price->output, discount_pct),
      .cache_read = has_own ? SHEAF_ABSENT : less(price->cache_read, discount_pct),
      .cache_write = has_own ? SHEAF_ABSENT : less(price->cache_write, discount_pct)};
  return sheaf_price_cost(&batch, usage);
}
