/* batch_check.c: looks at every request of a list before any is sent: used twice, or not one the provider can be asked.
 *
 * A request is built as the engine will build it, on the caller's thread, and thrown away. Plain prompts differ in nothing that
 * can be refused, so one of them speaks for all. */
#include "client_int.h"

#include <string.h>

#define BODY_BYTES_MAX ((size_t)128 << 20)
#define PATH_BYTES_MAX 8192u

typedef struct checker {
  sheaf_engine_options options; /* in force now */
  sheaf_buf path, body;
  bool prompt_is_good;
} checker;

static int32_t refuse(sheaf_parse_error *error, int32_t status, const char *field,
                      const char *message) {
  *error = (sheaf_parse_error){.status = status, .field = field, .message = message};
  return status;
}

/* ---- Duplicates ---- */

static int32_t check_ids(const sheaf__list *list, uint32_t *table, size_t mask,
                         sheaf_parse_error *error) {
  char id[SHEAF__ID_BYTES], earlier_id[SHEAF__ID_BYTES];
  sheaf_request request, earlier;
  for (size_t i = 0; i < list->count; i++) {
    sheaf__list_request(list, i, id, &request);
    size_t at = sheaf__id_hash(request.custom_id) & mask;
    for (; table[at] != 0; at = (at + 1) & mask) {
      size_t before = table[at] - 1;
      sheaf__list_request(list, before, earlier_id, &earlier);
      if (!sheaf__slice_same(request.custom_id, earlier.custom_id)) continue;
      refuse(error, SHEAF_E_DUPLICATE, "custom_id",
             "a custom_id stands twice in the list: column is the later one's position from 1, "
             "offset the earlier one's from 0");
      error->column = (uint32_t)i + 1;
      error->offset = before;
      return SHEAF_E_DUPLICATE;
    }
    table[at] = (uint32_t)i + 1;
  }
  return SHEAF_OK;
}

/* ---- Validity ---- */

static const sheaf_endpoint *endpoint_for(const sheaf_engine_options *o, sheaf_slice wanted) {
  for (uint32_t i = 0; i < o->endpoint_count; i++) {
    const sheaf_endpoint *e = &o->endpoints[i];
    if (wanted.bytes == 0 || sheaf__slice_same(wanted, e->name) ||
        sheaf__slice_same(wanted, sheaf_slice_of(e->provider->name)))
      return e;
  }
  return NULL;
}

/* Nothing but a prompt: all the rest comes from the options. */
static bool is_plain(const sheaf_request *r) {
  return r->prompt.data != NULL && r->messages.bytes == 0 && r->body.bytes == 0 &&
         r->url.bytes == 0 && r->system.bytes == 0 && r->params.bytes == 0 && r->model.bytes == 0 &&
         r->endpoint.bytes == 0 && r->flags == 0 && r->max_tokens == 0;
}

static void fill_in(const sheaf_engine_options *o, const sheaf_endpoint *e, sheaf_request *r) {
  if (r->model.bytes == 0 && r->body.bytes > 0 && sheaf_json_check(r->body, NULL) == SHEAF_OK)
    r->model = sheaf_json_inside(sheaf_json_member(r->body, "model"));
  if (r->model.bytes == 0) r->model = e->model;
  if (r->system.bytes == 0) r->system = o->system;
  if (r->params.bytes == 0 && r->body.bytes == 0) r->params = o->params;
  if (r->max_tokens == 0) r->max_tokens = o->max_tokens;
  if (o->stream) r->flags |= SHEAF_REQUEST_STREAM;
}

/* The price that a budget needs, as the engine looks for it. */
static bool has_price(const sheaf_engine_options *o, const sheaf_endpoint *e, sheaf_slice model) {
  const sheaf_price_table *prices = o->prices ? o->prices : sheaf_prices_builtin();
  return sheaf_price_find(prices, sheaf_slice_of(e->provider->name), model) != NULL;
}

static int32_t build(checker *check, const sheaf_endpoint *e, const sheaf_request *request,
                     sheaf_parse_error *error) {
  sheaf_buf_reset(&check->path);
  sheaf_buf_reset(&check->body);
  const sheaf_build in = {
      .struct_bytes = sizeof in,
      .stream = (request->flags & SHEAF_REQUEST_STREAM) != 0 && e->provider->event != NULL,
      .request = request,
      .base_url = e->base_url.bytes ? e->base_url : sheaf_slice_of(e->provider->base_url),
      .default_url = e->default_url};
  sheaf_call call = {.struct_bytes = sizeof call,
                     .path = &check->path,
                     .body = &check->body,
                     .output_tokens_max = SHEAF_ABSENT};
  int32_t status = e->provider->build(e->provider, &in, &call);
  if (status == SHEAF_OK) status = check->path.status ? check->path.status : check->body.status;
  if (status == SHEAF_E_LIMIT)
    return refuse(error, SHEAF_E_TOO_LONG, "body", "the request is larger than 128 MiB");
  if (status == SHEAF_OK) return SHEAF_OK;
  return refuse(error, status, call.error_field,
                call.error_message ? call.error_message : sheaf_status_text(status));
}

int32_t sheaf__request_form(const sheaf_request *r, sheaf_parse_error *error) {
  int forms = (r->prompt.data != NULL) + (r->messages.bytes > 0) + (r->body.bytes > 0);
  if (r->flags & SHEAF_REQUEST_TASK)
    return refuse(error, SHEAF_E_UNSUPPORTED, "flags",
                  "a task is handed over by sheaf_client_submit_task");
  if (forms > 1)
    return refuse(error, SHEAF_E_FIELD, "prompt",
                  "give one of prompt, messages and body, not several");
  if (forms == 0 && r->params.bytes == 0) /* parameters may hold the content */
    return refuse(error, SHEAF_E_FIELD, "prompt",
                  "the request is empty: give a prompt, messages or a body");
  if (r->custom_id.bytes > SHEAF_CUSTOM_ID_BYTES_MAX)
    return refuse(error, SHEAF_E_TOO_LONG, "custom_id",
                  "custom_id is longer than 512 bytes: shorten it");
  return SHEAF_OK;
}

static int32_t check_one(checker *check, const sheaf_request *given, sheaf_parse_error *error) {
  const sheaf_engine_options *o = &check->options;
  sheaf_request request = *given;
  int32_t status = sheaf__request_form(&request, error);
  if (status) return status;
  bool plain = is_plain(&request);
  if (plain && check->prompt_is_good) return SHEAF_OK;
  const sheaf_endpoint *e = endpoint_for(o, request.endpoint);
  if (e == NULL)
    return refuse(error, SHEAF_E_FIELD, "endpoint",
                  "no endpoint of this name or provider is configured");
  fill_in(o, e, &request);
  if (o->budget_usd_nano != SHEAF_NEVER && !has_price(o, e, request.model))
    return refuse(error, SHEAF_E_FIELD, "model",
                  "no price is known for this model, so a budget cannot be kept");
  status = build(check, e, &request, error);
  if (plain && status == SHEAF_OK) check->prompt_is_good = true;
  return status;
}

/* Whether the request begins with the size that all have. */
static bool has_size(const sheaf__list *list, size_t position) {
  if (list->requests == NULL) return true;
  if (list->stride < offsetof(sheaf_request, reserved)) return false;
  uint32_t bytes;
  memcpy(&bytes, (const char *)list->requests + position * list->stride, sizeof bytes);
  return bytes == list->stride;
}

static int32_t check_all(checker *check, const sheaf__list *list, sheaf_parse_error *error) {
  char id[SHEAF__ID_BYTES];
  sheaf_request request;
  for (size_t i = 0; i < list->count; i++) {
    if (!has_size(list, i)) {
      refuse(error, SHEAF_E_MISUSE, NULL, "fill every request with SHEAF_REQUEST_INIT first");
      error->column = (uint32_t)i + 1;
      return SHEAF_E_MISUSE;
    }
    sheaf__list_request(list, i, id, &request);
    int32_t status = check_one(check, &request, error);
    if (status) {
      error->column = (uint32_t)i + 1;
      return status;
    }
  }
  return SHEAF_OK;
}

int32_t sheaf__list_check(const sheaf_engine_options *options, const sheaf__list *list,
                          uint32_t *table, size_t mask, sheaf_parse_error *error) {
  checker check = {.options = *options};
  sheaf_buf_init(&check.path, sheaf_heap(), PATH_BYTES_MAX);
  sheaf_buf_init(&check.body, sheaf_heap(), BODY_BYTES_MAX);
  int32_t status = check_all(&check, list, error);
  sheaf_buf_deinit(&check.path);
  sheaf_buf_deinit(&check.body);
  /* Made ids of bare prompts differ by their making. */
  if (status == SHEAF_OK && list->prompts == NULL) status = check_ids(list, table, mask, error);
  return status;
}
