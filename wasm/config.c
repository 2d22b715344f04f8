/* config.c: an engine from JSON: the numbers by the names of sheaf_option_at, and where requests go.
 *
 *   {"provider":"openai","model":"m","concurrency":8,"max_retries":3}
 *   {"endpoints":[{"provider":"openai","base_url":"https://...","weight":2}, ...], "rpm":500}
 *   {"model":"m","prices":["openai","m",2500000000,10000000000,null,null,0,0, ...]}
 *
 * Unknown members are errors. Text is unescaped into one buffer that lives until the engine has copied
 * it. A key has no place here: an endpoint has a credential_id, and the host fills the slot. */
#include "wasm_int.h"

#include <string.h>

#define ENDPOINTS_MAX 16u
#define HEADERS_MAX 16u

typedef struct reading {
  wasm_client *client;
  sheaf_engine_options options;
  sheaf_endpoint endpoints[ENDPOINTS_MAX];
  sheaf_header headers[ENDPOINTS_MAX][HEADERS_MAX];
  sheaf_buf text; /* reserved whole, so that slices of it stay where they are */
} reading;

static bool is_named(sheaf_slice key, const char *name) {
  return key.bytes == strlen(name) && memcmp(key.data, name, key.bytes) == 0;
}

int32_t sheaf__wasm_fail_option(wasm_client *client, int32_t status, const char *message,
                                sheaf_slice name) {
  size_t bytes = name.bytes < sizeof client->field ? name.bytes : sizeof client->field - 1;
  if (bytes) memcpy(client->field, name.data, bytes);
  client->field[bytes] = 0;
  return sheaf__wasm_fail(client, status, message, client->field);
}

static int32_t fail(reading *r, int32_t status, sheaf_slice name, const char *message) {
  return sheaf__wasm_fail_option(r->client, status, message, name);
}

static int32_t unescape(reading *r, sheaf_slice inside, sheaf_slice *text) {
  size_t from = r->text.bytes;
  sheaf_buf_append_unescaped(&r->text, inside);
  *text = (sheaf_slice){r->text.data + from, r->text.bytes - from};
  return r->text.status;
}

static int32_t read_text(reading *r, sheaf_slice key, sheaf_slice value, sheaf_slice *text) {
  if (sheaf_json_kind(value) == SHEAF_JSON_NULL) return SHEAF_OK;
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING)
    return fail(r, SHEAF_E_TYPE, key, "give a string");
  int32_t status = unescape(r, sheaf_json_inside(value), text);
  return status == SHEAF_OK ? SHEAF_OK : fail(r, status, key, "no memory");
}

static int32_t read_u32(reading *r, sheaf_slice key, sheaf_slice value, int64_t max,
                        uint32_t *number) {
  int64_t given;
  if (sheaf_json_int(value, &given) != SHEAF_OK || given < 0 || given > max)
    return fail(r, SHEAF_E_RANGE, key, "give a whole number within its range");
  *number = (uint32_t)given;
  return SHEAF_OK;
}

static int32_t read_headers(reading *r, uint32_t at, sheaf_slice key, sheaf_slice value) {
  sheaf_endpoint *endpoint = &r->endpoints[at];
  sheaf_json_iter iter;
  sheaf_slice name, item;
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT || sheaf_json_iter_init(&iter, value) != SHEAF_OK)
    return fail(r, SHEAF_E_TYPE, key, "give an object of names and strings");
  while (sheaf_json_iter_next(&iter, &name, &item) == SHEAF_OK) {
    if (endpoint->header_count == HEADERS_MAX)
      return fail(r, SHEAF_E_LIMIT, key, "give at most 16 headers");
    sheaf_header *header = &r->headers[at][endpoint->header_count++];
    int32_t status = unescape(r, name, &header->name);
    if (status == SHEAF_OK) status = read_text(r, key, item, &header->value);
    if (status != SHEAF_OK) return status;
  }
  endpoint->headers = r->headers[at];
  return SHEAF_OK;
}

static int32_t read_provider(reading *r, uint32_t at, sheaf_slice key, sheaf_slice value) {
  sheaf_slice name = {0};
  int32_t status = read_text(r, key, value, &name);
  if (status != SHEAF_OK) return status;
  r->endpoints[at].provider = sheaf_provider_find(name);
  if (r->endpoints[at].provider) return SHEAF_OK;
  return fail(r, SHEAF_E_NOT_FOUND, key,
              "there is no such provider: give openai, anthropic, gemini or ollama");
}

/* SHEAF_E_EMPTY: the key is no member of an endpoint. */
static int32_t read_endpoint_member(reading *r, uint32_t at, sheaf_slice key, sheaf_slice value) {
  sheaf_endpoint *endpoint = &r->endpoints[at];
  if (is_named(key, "provider")) return read_provider(r, at, key, value);
  if (is_named(key, "name")) return read_text(r, key, value, &endpoint->name);
  if (is_named(key, "base_url")) return read_text(r, key, value, &endpoint->base_url);
  if (is_named(key, "model")) return read_text(r, key, value, &endpoint->model);
  if (is_named(key, "url")) return read_text(r, key, value, &endpoint->default_url);
  if (is_named(key, "quota_group")) return read_text(r, key, value, &endpoint->quota_group);
  if (is_named(key, "key_header")) return read_text(r, key, value, &endpoint->key_header);
  if (is_named(key, "query")) return read_text(r, key, value, &endpoint->query);
  if (is_named(key, "headers")) return read_headers(r, at, key, value);
  if (is_named(key, "weight")) return read_u32(r, key, value, 1000, &endpoint->weight);
  if (is_named(key, "credential_id"))
    return read_u32(r, key, value, INT32_MAX, &endpoint->credential_id);
  return SHEAF_E_EMPTY;
}

static int32_t read_endpoints(reading *r, sheaf_slice key, sheaf_slice value) {
  sheaf_json_iter list, members;
  sheaf_slice none, item, name, member;
  if (sheaf_json_kind(value) != SHEAF_JSON_ARRAY || sheaf_json_iter_init(&list, value) != SHEAF_OK)
    return fail(r, SHEAF_E_TYPE, key, "give an array of endpoints");
  r->options.endpoint_count = 0;
  while (sheaf_json_iter_next(&list, &none, &item) == SHEAF_OK) {
    uint32_t at = r->options.endpoint_count;
    if (at == ENDPOINTS_MAX) return fail(r, SHEAF_E_LIMIT, key, "give at most 16 endpoints");
    if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT ||
        sheaf_json_iter_init(&members, item) != SHEAF_OK)
      return fail(r, SHEAF_E_TYPE, key, "each endpoint is an object");
    while (sheaf_json_iter_next(&members, &name, &member) == SHEAF_OK) {
      int32_t status = read_endpoint_member(r, at, name, member);
      if (status == SHEAF_E_EMPTY)
        return fail(r, SHEAF_E_NOT_FOUND, name, "an endpoint has no such option");
      if (status != SHEAF_OK) return status;
    }
    r->options.endpoint_count++;
  }
  return SHEAF_OK;
}

static uint32_t count_elements(sheaf_slice array) {
  sheaf_json_iter iter;
  sheaf_slice none, item;
  uint32_t count = 0;
  if (sheaf_json_kind(array) != SHEAF_JSON_ARRAY || sheaf_json_iter_init(&iter, array) != SHEAF_OK)
    return 0;
  while (sheaf_json_iter_next(&iter, &none, &item) == SHEAF_OK) count++;
  return count;
}

static int32_t read_name(sheaf_buf *text, sheaf_slice value, const char **name) {
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING) return SHEAF_E_TYPE;
  *name = text->data + text->bytes;
  sheaf_buf_append_unescaped(text, sheaf_json_inside(value));
  return sheaf_buf_append(text, "", 1);
}

static int32_t read_money(sheaf_slice value, int64_t *money) {
  *money = SHEAF_ABSENT;
  return sheaf_json_kind(value) == SHEAF_JSON_NULL ? SHEAF_OK : sheaf_json_int(value, money);
}

/* Prices as the host has them ready, in one array: provider, model, then in nano-USD a million tokens
 * input, output, read from the cache and written to it (null: as input), input and output of batch jobs
 * (0: by the discount); and so on with the next. */
#define PRICE_FIELDS 8u
static int32_t read_prices(reading *r, sheaf_slice key, sheaf_slice value) {
  wasm_client *client = r->client;
  uint32_t count = count_elements(value) / PRICE_FIELDS;
  sheaf_price *rows =
      sheaf__wasm_allocator.realloc(NULL, client->price_rows, 0, count * sizeof *rows);
  client->price_rows = rows;
  sheaf_buf_reset(&client->price_text);
  int32_t status =
      sheaf_buf_reserve(&client->price_text, value.bytes); /* names stay where they are */
  if (status != SHEAF_OK || (count && !rows)) return fail(r, SHEAF_E_NOMEM, key, "no memory");
  sheaf_json_iter iter;
  sheaf_slice none, item;
  sheaf_json_iter_init(&iter, value);
  for (uint32_t i = 0; i < count; i++) {
    int64_t *const money[] = {&rows[i].input,       &rows[i].output,      &rows[i].cache_read,
                              &rows[i].cache_write, &rows[i].batch_input, &rows[i].batch_output};
    for (uint32_t k = 0; k < PRICE_FIELDS && status == SHEAF_OK; k++) {
      sheaf_json_iter_next(&iter, &none, &item);
      status = k == 0   ? read_name(&client->price_text, item, &rows[i].provider)
               : k == 1 ? read_name(&client->price_text, item, &rows[i].model)
                        : read_money(item, money[k - 2]);
    }
    if (status != SHEAF_OK) return fail(r, status, key, "no price table");
  }
  client->prices = (sheaf_price_table){.date = "", .source = "", .prices = rows, .count = count};
  r->options.prices = &client->prices;
  return SHEAF_OK;
}

/* The members without braces. */
static int32_t read_params(reading *r, sheaf_slice key, sheaf_slice value) {
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT || value.bytes < 2)
    return fail(r, SHEAF_E_TYPE, key, "give an object of body fields");
  r->options.params = (sheaf_slice){value.data + 1, value.bytes - 2};
  return SHEAF_OK;
}

static int32_t read_number(reading *r, sheaf_slice key, sheaf_slice value) {
  sheaf_slice text = sheaf_json_kind(value) == SHEAF_JSON_STRING ? sheaf_json_inside(value) : value;
  int32_t status =
      sheaf_option_set(&r->options, key, text, r->client->message, sizeof r->client->message);
  if (status == SHEAF_OK) return SHEAF_OK;
  if (status == SHEAF_E_NOT_FOUND) return fail(r, status, key, "there is no such option");
  return fail(r, status, key, r->client->message);
}

static int32_t read_member(reading *r, sheaf_slice key, sheaf_slice value) {
  if (is_named(key, "endpoints")) return read_endpoints(r, key, value);
  if (is_named(key, "prices")) return read_prices(r, key, value);
  if (is_named(key, "params")) return read_params(r, key, value);
  if (is_named(key, "system")) return read_text(r, key, value, &r->options.system);
  int32_t status = read_endpoint_member(r, 0, key, value);
  return status == SHEAF_E_EMPTY ? read_number(r, key, value) : status;
}

static int32_t read_all(reading *r, sheaf_slice json) {
  sheaf_parse_error error = {0};
  sheaf_json_iter iter;
  sheaf_slice key, value, none = {0};
  int32_t status = sheaf_json_check(json, &error);
  if (status != SHEAF_OK) return fail(r, status, none, error.message);
  if (sheaf_json_kind(json) != SHEAF_JSON_OBJECT || sheaf_json_iter_init(&iter, json) != SHEAF_OK)
    return fail(r, SHEAF_E_TYPE, none, "give an object of options");
  status = sheaf_buf_reserve(&r->text, json.bytes);
  if (status != SHEAF_OK) return fail(r, status, none, "no memory");
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    status = read_member(r, key, value);
    if (status != SHEAF_OK) return status;
  }
  for (uint32_t i = 0; i < r->options.endpoint_count; i++)
    if (r->endpoints[i].provider == NULL) r->endpoints[i].provider = sheaf_provider_at(0);
  status = sheaf_engine_new(&r->options, &sheaf__wasm_allocator, &r->client->engine);
  if (status != SHEAF_OK) return fail(r, status, none, sheaf_status_text(status));
  return SHEAF_OK;
}

int32_t sheaf__wasm_configure(wasm_client *client, sheaf_slice json, uint64_t seed,
                              const uint8_t *secret) {
  reading *r = sheaf__wasm_allocator.realloc(NULL, NULL, 0, sizeof *r);
  if (r == NULL) return sheaf__wasm_fail(client, SHEAF_E_NOMEM, "no memory", "");
  memset(r, 0, sizeof *r);
  r->client = client;
  sheaf_engine_options_init(&r->options);
  for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) r->endpoints[i] = SHEAF_ENDPOINT_INIT;
  r->options.endpoints = r->endpoints;
  r->options.endpoint_count = 1;
  r->options.seed = seed;
  r->options.secret = secret;
  sheaf_buf_init(&r->text, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  int32_t status = read_all(r, json);
  sheaf_buf_deinit(&r->text);
  sheaf__wasm_allocator.realloc(NULL, r, sizeof *r, 0);
  return status;
}
