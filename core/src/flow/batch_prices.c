/* batch_prices.c: what usage costs in a batch job: the price's own batch columns, else the live price
 * less the API's discount. */
#include <sheaf/stats.h>

int64_t sheaf_price_batch_cost(const sheaf_price *price, const sheaf_usage *usage,
                               uint32_t discount_pct) {
  sheaf_price batch = *price;
  bool has_own = price->batch_input > 0 || price->batch_output > 0;
  if (has_own) {
    if (price->batch_input > 0) batch.input = price->batch_input;
    if (price->batch_output > 0) batch.output = price->batch_output;
    batch.cache_read = batch.cache_write = SHEAF_ABSENT;
    return sheaf_price_cost(&batch, usage);
  }
  int64_t live = sheaf_price_cost(price, usage);
  if (live == SHEAF_ABSENT || discount_pct > 100) return live;
  return live / 100 * (100 - (int64_t)discount_pct) +
         live % 100 * (100 - (int64_t)discount_pct) / 100;
}
