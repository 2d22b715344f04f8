/* prices.c: what tokens cost: the built-in table, a user's own before it, look-up, and the cost of a usage.
 *
 * Money is in nano-USD, prices in nano-USD per million tokens; all integers, rounded up once at the end.
 * Order: the built-in table, look-up, cost, reading a table. */
#include <sheaf/stats.h>

#include "base/mem.h"

#define ROWS_MAX 100000u
#define PER_TOKENS 1000000
#define NONE SHEAF_ABSENT

#ifdef SHEAF_MODULE

/* Rows come from the host, the user's own and these: a module's memory is no place for a list that most runs need a line of. */
const sheaf_price_table *sheaf_prices_builtin(void) {
  static const sheaf_price_table table = {.date = "", .source = ""};
  return &table;
}

#else

static const sheaf_price price_rows[] = {
#define PRICE(provider, model, in, out, read, write) {#provider, model, in, out, read, write, 0, 0},
#include "flow/price_table.inc"
#undef PRICE
};

const sheaf_price_table *sheaf_prices_builtin(void) {
  static const sheaf_price_table table = {
      .date = PRICE_TABLE_DATE,
      .source = PRICE_TABLE_SOURCE,
      .prices = price_rows,
      .count = sizeof price_rows / sizeof *price_rows,
  };
  return &table;
}

#endif

/* ---- Look-up ---- */

static bool same_text(sheaf_slice slice, const char *text) {
  const size_t bytes = strlen(text);
  return slice.bytes == bytes && (bytes == 0 || memcmp(slice.data, text, bytes) == 0);
}

/* How well a row names the model: 0 not at all, 1 + length of its prefix, or the most for the exact name. */
static size_t model_rank(const char *pattern, sheaf_slice model) {
  const size_t bytes = strlen(pattern);
  if (bytes == 0 || pattern[bytes - 1] != '*') return same_text(model, pattern) ? SIZE_MAX : 0;
  if (model.bytes < bytes - 1) return 0;
  return bytes == 1 || memcmp(model.data, pattern, bytes - 1) == 0 ? bytes : 0;
}

/* Of rows that name the model equally well the one for this very provider wins, then the first. */
const sheaf_price *sheaf_price_find(const sheaf_price_table *table, sheaf_slice provider,
                                    sheaf_slice model) {
  const sheaf_price *best = NULL;
  size_t best_rank = 0;
  bool best_any = false;
  for (uint32_t i = 0; i < table->count; i++) {
    const sheaf_price *row = &table->prices[i];
    const bool any = row->provider[0] == '*' && row->provider[1] == '\0';
    if (!any && !same_text(provider, row->provider)) continue;
    const size_t rank = model_rank(row->model, model);
    if (rank < best_rank || rank == 0) continue;
    if (rank == best_rank && !(best_any && !any)) continue;
    best = row;
    best_rank = rank;
    best_any = any;
  }
  return best;
}

/* ---- Cost ---- */

/* A sum of tokens times price: whole nano-USD, and what is left in millionths of one. */
typedef struct sum {
  int64_t whole;
  int64_t part;
  bool overflows;
} sum;

/* tokens = q * 10^6 + r, so that no product is larger than the answer needs. */
static void add(sum *s, int64_t tokens, int64_t price) {
  int64_t whole = 0;
  int64_t part = 0;
  const bool overflows = __builtin_mul_overflow(tokens / PER_TOKENS, price, &whole) ||
                         __builtin_mul_overflow(tokens % PER_TOKENS, price, &part) ||
                         __builtin_add_overflow(whole, part / PER_TOKENS, &whole) ||
                         __builtin_add_overflow(s->whole, whole, &s->whole);
  s->overflows = s->overflows || overflows;
  s->part += part % PER_TOKENS;
}

static int64_t known(int64_t count) {
  return count > 0 ? count : 0;
}

/* A count that was not told matters only if tokens of its kind cost something: embeddings have no output. */
static bool is_missing(int64_t count, int64_t price) {
  return count < 0 && price != 0;
}

int64_t sheaf_price_cost(const sheaf_price *price, const sheaf_usage *usage) {
  if (!price || !usage) return SHEAF_ABSENT;
  if (price->input < 0 || price->output < 0) return SHEAF_ABSENT;
  if (is_missing(usage->input_total, price->input)) return SHEAF_ABSENT;
  if (is_missing(usage->output_total, price->output)) return SHEAF_ABSENT;
  const int64_t input = known(usage->input_total);
  const int64_t read = known(usage->cache_read) < input ? known(usage->cache_read) : input;
  const int64_t rest = input - read;
  const int64_t write = known(usage->cache_write) < rest ? known(usage->cache_write) : rest;
  sum s = {0};
  add(&s, rest - write, price->input);
  add(&s, read, price->cache_read >= 0 ? price->cache_read : price->input);
  add(&s, write, price->cache_write >= 0 ? price->cache_write : price->input);
  add(&s, known(usage->output_total), price->output);
  const int64_t up = (s.part + PER_TOKENS - 1) / PER_TOKENS;
  if (s.overflows || __builtin_add_overflow(s.whole, up, &s.whole)) return INT64_MAX;
  return s.whole;
}

/* ---- Reading ---- */

/* A table that was read: the public part first, then what it points into. */
typedef struct read_table {
  sheaf_price_table table;
  sheaf_price *rows;
  uint32_t row_count; /* its own; the built-in ones follow them */
  sheaf_buf text;     /* date, then provider and model of each row, each terminated */
} read_table;

static int32_t fail(sheaf_parse_error *error, int32_t status, sheaf_slice json, sheaf_slice place,
                    const char *field, const char *message) {
  if (!error) return status;
  const size_t offset = place.data ? (size_t)(place.data - json.data) : 0;
  *error =
      (sheaf_parse_error){.status = status, .offset = offset, .field = field, .message = message};
  return status;
}

static int32_t read_money(sheaf_slice json, sheaf_slice value, const char *field, int64_t *money,
                          sheaf_parse_error *error) {
  int64_t number = 0;
  const int32_t status = sheaf_json_nano(value, &number);
  if (status != SHEAF_OK)
    return fail(error, status, json, value, field, "give the price in USD per million tokens");
  if (number < 0) return fail(error, SHEAF_E_RANGE, json, value, field, "a price is not below 0");
  *money = number;
  return SHEAF_OK;
}

/* Puts a string into the table's text, terminated. */
static int32_t read_text(read_table *made, sheaf_slice json, sheaf_slice value, const char *field,
                         sheaf_parse_error *error) {
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING)
    return fail(error, SHEAF_E_TYPE, json, value, field, "give it as a string");
  const size_t from = made->text.bytes;
  int32_t status = sheaf_buf_append_unescaped(&made->text, sheaf_json_inside(value));
  const size_t bytes = made->text.bytes - from;
  if (status == SHEAF_OK && (bytes == 0 || memchr(made->text.data + from, '\0', bytes)))
    status = SHEAF_E_FIELD;
  if (status == SHEAF_OK) status = sheaf_buf_append(&made->text, "", 1);
  if (status == SHEAF_E_NOMEM) return fail(error, status, json, value, field, "out of memory");
  if (status != SHEAF_OK)
    return fail(error, status, json, value, field, "give a name that is not empty");
  return SHEAF_OK;
}

enum {
  PROVIDER,
  MODEL,
  INPUT,
  OUTPUT,
  CACHE_READ,
  CACHE_WRITE,
  BATCH_INPUT,
  BATCH_OUTPUT,
  FIELD_COUNT
};
static const char *const fields[FIELD_COUNT] = {"provider",    "model",       "input",
                                                "output",      "cache_read",  "cache_write",
                                                "batch_input", "batch_output"};

/* The members of one row by field; a name that is none of them is a mistake worth telling. */
static int32_t read_members(sheaf_slice json, sheaf_slice row, sheaf_slice values[FIELD_COUNT],
                            sheaf_parse_error *error) {
  sheaf_json_iter iter;
  if (sheaf_json_kind(row) != SHEAF_JSON_OBJECT || sheaf_json_iter_init(&iter, row) != SHEAF_OK)
    return fail(error, SHEAF_E_TYPE, json, row, "prices", "each price is an object");
  sheaf_slice key;
  sheaf_slice value;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    uint32_t i = 0;
    while (i < FIELD_COUNT && !same_text(key, fields[i])) i++;
    if (i == FIELD_COUNT)
      return fail(error, SHEAF_E_FIELD, json, key, "prices",
                  "a price has provider, model, input, output, cache_read, cache_write, "
                  "batch_input, batch_output");
    values[i] = value;
  }
  for (uint32_t i = PROVIDER; i <= OUTPUT; i++)
    if (values[i].bytes == 0)
      return fail(error, SHEAF_E_FIELD, json, row, fields[i], "a price needs this field");
  return SHEAF_OK;
}

static int32_t read_row(read_table *made, sheaf_slice json, sheaf_slice row, sheaf_price *price,
                        sheaf_parse_error *error) {
  sheaf_slice values[FIELD_COUNT] = {{NULL, 0}};
  *price = (sheaf_price){.cache_read = SHEAF_ABSENT, .cache_write = SHEAF_ABSENT};
  int64_t *const money[FIELD_COUNT] = {NULL,
                                       NULL,
                                       &price->input,
                                       &price->output,
                                       &price->cache_read,
                                       &price->cache_write,
                                       &price->batch_input,
                                       &price->batch_output};
  int32_t status = read_members(json, row, values, error);
  for (uint32_t i = PROVIDER; i <= MODEL && status == SHEAF_OK; i++)
    status = read_text(made, json, values[i], fields[i], error);
  for (uint32_t i = INPUT; i < FIELD_COUNT && status == SHEAF_OK; i++) {
    const uint32_t kind = sheaf_json_kind(values[i]);
    const bool absent = kind == SHEAF_JSON_NONE || (kind == SHEAF_JSON_NULL && i > OUTPUT);
    if (!absent) status = read_money(json, values[i], fields[i], money[i], error);
  }
  return status;
}

static uint32_t count_rows(sheaf_slice array) {
  sheaf_json_iter iter;
  sheaf_slice key;
  sheaf_slice value;
  uint32_t count = 0;
  if (sheaf_json_iter_init(&iter, array) != SHEAF_OK) return 0;
  while (count <= ROWS_MAX && sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) count++;
  return count;
}

/* The text no longer moves: gives each row its names. */
static void point_into_text(read_table *made, bool has_date) {
  const char *at = made->text.data;
  if (has_date) {
    made->table.date = at;
    at += strlen(at) + 1;
  }
  for (uint32_t i = 0; i < made->row_count; i++) {
    made->rows[i].provider = at;
    at += strlen(at) + 1;
    made->rows[i].model = at;
    at += strlen(at) + 1;
  }
}

static int32_t read_rows(read_table *made, sheaf_slice json, sheaf_slice date, sheaf_slice array,
                         const sheaf_allocator *allocator, sheaf_parse_error *error) {
  const uint32_t own = count_rows(array);
  if (own > ROWS_MAX)
    return fail(error, SHEAF_E_LIMIT, json, array, "prices", "at most 100000 prices");
  const sheaf_price_table *builtin = sheaf_prices_builtin();
  const uint32_t count = own + builtin->count;
  made->rows = sheaf__alloc_zero(allocator, count * sizeof *made->rows);
  if (!made->rows) return fail(error, SHEAF_E_NOMEM, json, array, "prices", "out of memory");
  made->row_count = own;
  made->table =
      (sheaf_price_table){.date = "", .source = "user", .prices = made->rows, .count = count};
  memcpy(made->rows + own, builtin->prices, builtin->count * sizeof *made->rows);
  if (date.bytes) {
    const int32_t status = read_text(made, json, date, "date", error);
    if (status != SHEAF_OK) return status;
  }
  sheaf_json_iter iter;
  sheaf_slice key;
  sheaf_slice row;
  if (sheaf_json_iter_init(&iter, array) != SHEAF_OK) return SHEAF_E_INTERNAL;
  for (uint32_t i = 0; i < own && sheaf_json_iter_next(&iter, &key, &row) == SHEAF_OK; i++) {
    const int32_t status = read_row(made, json, row, &made->rows[i], error);
    if (status != SHEAF_OK) return status;
  }
  point_into_text(made, date.bytes != 0);
  return SHEAF_OK;
}

int32_t sheaf_prices_read(sheaf_slice json, const sheaf_allocator *allocator,
                          sheaf_price_table **table, sheaf_parse_error *error) {
  static const char *const paths[] = {"date", "prices"};
  sheaf_slice found[2] = {{NULL, 0}, {NULL, 0}};
  int32_t status = sheaf_json_pick(json, paths, 2, found, NULL, error);
  if (status != SHEAF_OK) return status;
  if (found[1].bytes == 0)
    return fail(error, SHEAF_E_FIELD, json, json, "prices", "give the prices as an array");
  if (sheaf_json_kind(found[1]) != SHEAF_JSON_ARRAY)
    return fail(error, SHEAF_E_TYPE, json, found[1], "prices", "give the prices as an array");
  read_table *made = sheaf__alloc_zero(allocator, sizeof *made);
  if (!made) return fail(error, SHEAF_E_NOMEM, json, json, NULL, "out of memory");
  sheaf_buf_init(&made->text, allocator, SIZE_MAX / 2);
  status = read_rows(made, json, found[0], found[1], allocator, error);
  if (status != SHEAF_OK) {
    sheaf_prices_free(&made->table, allocator);
    return status;
  }
  *table = &made->table;
  return SHEAF_OK;
}

void sheaf_prices_free(sheaf_price_table *table, const sheaf_allocator *allocator) {
  const sheaf_price_table *builtin = sheaf_prices_builtin();
  if (!table || table == builtin) return;
  read_table *made = (read_table *)(void *)table;
  made->text.allocator = allocator;
  sheaf_buf_deinit(&made->text);
  sheaf__free(allocator, made->rows, (made->row_count + builtin->count) * sizeof *made->rows);
  sheaf__free(allocator, made, sizeof *made);
}
