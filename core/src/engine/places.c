/* places.c: where requests can go.
 *
 * A place is an endpoint of the options with its headers ready. A route is one provider and model
 * with the seats that serve it; a seat is a place in a pool, with its own concurrency and breaker.
 * All are made at need, found by hash, and stay for the engine's life. */
#include "engine/engine_int.h"

static sheaf_slice place_copy(char **to, sheaf_slice from) {
  sheaf_slice copy = {*to, from.bytes};
  if (from.bytes) memcpy(*to, from.data, from.bytes);
  *to += from.bytes;
  return copy;
}

/* scheme://host[:port] of a URL: the part a key is bound to. */
static sheaf_slice origin_of(sheaf_slice url) {
  size_t i = 0, slashes = 0;
  for (; i < url.bytes; i++)
    if (url.data[i] == '/' && ++slashes == 3) break;
  return (sheaf_slice){url.data, i};
}

static uint64_t group_of(const sheaf_endpoint *e) {
  if (e->quota_group.bytes) return sheaf__hash(e->quota_group.data, e->quota_group.bytes, 1);
  sheaf_slice origin = origin_of(e->base_url);
  uint64_t hash = sheaf__hash(origin.data, origin.bytes, 2);
  return sheaf__hash(e->provider->name, strlen(e->provider->name), hash ^ e->credential_id);
}

/* Base URLs end without a slash; one of OpenAI's kind without any path gets /v1, as its SDKs are
 * configured. */
static sheaf_slice base_of(const sheaf_endpoint *e, bool *needs_v1) {
  sheaf_slice base = e->base_url.bytes ? e->base_url : sheaf_slice_of(e->provider->base_url);
  while (base.bytes && base.data[base.bytes - 1] == '/') base.bytes--;
  *needs_v1 = strcmp(e->provider->name, "openai") == 0 && origin_of(base).bytes == base.bytes &&
              base.bytes > 0;
  return base;
}

static void headers_make(sheaf__place *place, const sheaf_endpoint *e, char **to) {
  const sheaf_provider *provider = e->provider;
  for (uint32_t i = 0; i < provider->header_count; i++) {
    sheaf_header header = provider->headers[i];
    if (header.credential_id) {
      if (e->credential_id == 0) continue;
      header.credential_id = e->credential_id;
      if (e->key_header.bytes) {
        header.name = place_copy(to, e->key_header);
        header.value = (sheaf_slice){NULL, 0};
      }
    }
    place->headers[place->header_count++] = header;
  }
  for (uint32_t i = 0; i < e->header_count; i++) {
    sheaf_header header = e->headers[i];
    header.name = place_copy(to, header.name);
    header.value = place_copy(to, header.value);
    place->headers[place->header_count++] = header;
  }
}

static int32_t place_make(sheaf_engine *engine, sheaf__place *place, const sheaf_endpoint *e) {
  if (e->provider == NULL || e->provider->build == NULL || e->provider->decode == NULL ||
      e->header_count > 16)
    return SHEAF_E_MISUSE;
  bool needs_v1;
  sheaf_slice base = base_of(e, &needs_v1);
  sheaf_slice name = e->name.bytes ? e->name : sheaf_slice_of(e->provider->name);
  size_t bytes = base.bytes + 3 + name.bytes + e->model.bytes + e->default_url.bytes +
                 e->quota_group.bytes + e->key_header.bytes * 2 + e->query.bytes + 1;
  for (uint32_t i = 0; i < e->header_count; i++)
    bytes += e->headers[i].name.bytes + e->headers[i].value.bytes;
  uint32_t headers = e->provider->header_count + e->header_count;
  char *block = sheaf__alloc(&engine->allocator, bytes);
  if (block == NULL) return SHEAF_E_NOMEM;
  place->block = block;
  place->block_bytes = bytes;
  place->headers = sheaf__alloc_zero(&engine->allocator, (headers + 1) * sizeof *place->headers);
  if (place->headers == NULL) return SHEAF_E_NOMEM;
  place->header_capacity = headers + 1;
  char *to = block;
  sheaf_endpoint *o = &place->options;
  *o = *e;
  o->base_url = place_copy(&to, base);
  if (needs_v1) o->base_url.bytes += place_copy(&to, SHEAF_LITERAL("/v1")).bytes;
  o->name = place_copy(&to, name);
  o->model = place_copy(&to, e->model);
  o->default_url = place_copy(&to, e->default_url);
  o->quota_group = place_copy(&to, e->quota_group);
  o->key_header = place_copy(&to, e->key_header);
  o->query = place_copy(&to, e->query);
  o->weight = e->weight ? e->weight : 1;
  headers_make(place, e, &to);
  o->headers = NULL;
  place->group = group_of(o);
  return SHEAF_OK;
}

int32_t sheaf__places_init(sheaf_engine *engine) {
  const sheaf_engine_options *o = &engine->options;
  if (o->endpoint_count == 0 || o->endpoint_count > SHEAF__ENDPOINTS_MAX || o->endpoints == NULL)
    return SHEAF_E_MISUSE;
  engine->places =
      sheaf__alloc_zero(&engine->allocator, o->endpoint_count * sizeof *engine->places);
  if (engine->places == NULL) return SHEAF_E_NOMEM;
  engine->place_count = o->endpoint_count;
  for (uint32_t i = 0; i < o->endpoint_count; i++) {
    int32_t status = place_make(engine, &engine->places[i], &o->endpoints[i]);
    if (status) return status;
  }
  engine->route_last = engine->path_last = UINT32_MAX;
  return SHEAF_OK;
}

static void path_free(sheaf_engine *engine, sheaf__path *path) {
  const sheaf_allocator *a = &engine->allocator;
  bool made = path->urls != NULL && path->url_bytes != NULL;
  for (uint32_t i = 0; made && i < engine->place_count; i++)
    sheaf__free(a, path->urls[i], path->url_bytes[i]);
  sheaf__free(a, path->urls, engine->place_count * sizeof *path->urls);
  sheaf__free(a, path->url_bytes, engine->place_count * sizeof *path->url_bytes);
  sheaf__free(a, path->text, path->bytes);
}

void sheaf__places_deinit(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  for (uint32_t i = 0; i < engine->path_count; i++) path_free(engine, &engine->paths[i]);
  sheaf__free(a, engine->paths, engine->path_capacity * sizeof *engine->paths);
  for (uint32_t i = 0; i < engine->route_count; i++) {
    sheaf__queue_deinit(&engine->routes[i].queue, a);
    sheaf__free(a, engine->routes[i].model, engine->routes[i].model_bytes);
  }
  sheaf__free(a, engine->routes, engine->route_capacity * sizeof *engine->routes);
  sheaf__free(a, engine->seats, engine->seat_capacity * sizeof *engine->seats);
  sheaf__free(a, engine->pools, engine->pool_capacity * sizeof *engine->pools);
  sheaf__free(a, engine->pool_keys, engine->pool_key_capacity * sizeof *engine->pool_keys);
  for (uint32_t i = 0; i < engine->place_count; i++) {
    sheaf__place *place = &engine->places[i];
    sheaf__free(a, place->headers, place->header_capacity * sizeof *place->headers);
    sheaf__free(a, place->block, place->block_bytes);
  }
  sheaf__free(a, engine->places, engine->place_count * sizeof *engine->places);
}

/* ---- Pools and seats ---- */

static int32_t pool_find(sheaf_engine *engine, uint64_t key, const sheaf_provider *provider,
                         uint32_t *pool) {
  for (uint32_t i = 0; i < engine->pool_count; i++)
    if (engine->pool_keys[i] == key) return *pool = i, SHEAF_OK;
  int32_t status = sheaf__grow(&engine->allocator, &engine->pools, &engine->pool_capacity,
                               engine->pool_count, sizeof *engine->pools, SHEAF__POOLS_MAX);
  if (status) return status;
  status = sheaf__grow(&engine->allocator, &engine->pool_keys, &engine->pool_key_capacity,
                       engine->pool_count, sizeof *engine->pool_keys, SHEAF__POOLS_MAX);
  if (status) return status;
  const sheaf_engine_options *o = &engine->options;
  sheaf__pool_options options = {.rpm = o->rpm,
                                 .tpm = o->tpm,
                                 .input_tpm = o->input_tpm,
                                 .output_tpm = o->output_tpm,
                                 .rate_safety_pct = o->rate_safety_pct,
                                 .burst_ms = o->burst_ms,
                                 .start_interval_ms = o->start_interval_ms,
                                 .charge_tokens = provider->charge_tokens,
                                 .charge_output = provider->charge_output,
                                 .seed = o->seed,
                                 .key = key};
  sheaf__pool_init(&engine->pools[engine->pool_count], &options, engine->now_ns);
  engine->pool_keys[engine->pool_count] = key;
  *pool = engine->pool_count++;
  return SHEAF_OK;
}

static int32_t seat_find(sheaf_engine *engine, uint32_t place, uint32_t pool, uint32_t *seat) {
  for (uint32_t i = 0; i < engine->seat_count; i++)
    if (engine->seats[i].place == place && engine->seats[i].pool == pool)
      return *seat = i, SHEAF_OK;
  int32_t status = sheaf__grow(&engine->allocator, &engine->seats, &engine->seat_capacity,
                               engine->seat_count, sizeof *engine->seats, SHEAF__SEATS_MAX);
  if (status) return status;
  sheaf__seat *s = &engine->seats[engine->seat_count];
  const sheaf_engine_options *o = &engine->options;
  s->place = place;
  s->pool = pool;
  sheaf__concurrency_init(&s->concurrency, (uint32_t)o->concurrency,
                          (uint32_t)(o->concurrency ? o->concurrency : o->max_concurrency),
                          engine->now_ns);
  sheaf__breaker_init(&s->breaker, o->seed, ((uint64_t)pool << 32) | place, engine->now_ns);
  *seat = engine->seat_count++;
  return SHEAF_OK;
}

/* ---- Routes ---- */

static bool place_serves(const sheaf__place *place, const sheaf_provider *provider,
                         sheaf_slice wanted) {
  const sheaf_endpoint *o = &place->options;
  if (provider != NULL && o->provider != provider) return false;
  return wanted.bytes == 0 || sheaf__slice_equal(wanted, o->name) ||
         sheaf__slice_equal(wanted, sheaf_slice_of(o->provider->name));
}

static void refuse(sheaf_parse_error *error, int32_t status, const char *field,
                   const char *message) {
  if (error == NULL) return;
  *error = (sheaf_parse_error){.status = status, .field = field, .message = message};
}

static int32_t route_make(sheaf_engine *engine, sheaf__route *route, sheaf_slice wanted,
                          sheaf_slice model, sheaf_parse_error *error) {
  const sheaf_engine_options *o = &engine->options;
  for (uint32_t i = 0; i < engine->place_count; i++) {
    const sheaf__place *place = &engine->places[i];
    if (!place_serves(place, route->provider, wanted)) continue;
    if (route->provider == NULL) route->provider = place->options.provider;
    const sheaf_provider *provider = route->provider;
    uint64_t family = provider->quota_class ? provider->quota_class(provider, model)
                                            : sheaf__hash(model.data, model.bytes, 3);
    uint32_t pool, seat;
    int32_t status = pool_find(engine, sheaf__mix64(place->group ^ family), provider, &pool);
    if (status == SHEAF_OK) status = seat_find(engine, i, pool, &seat);
    if (status) return status;
    route->seats[route->seat_count++] = (uint16_t)seat;
  }
  if (route->seat_count == 0)
    return refuse(error, SHEAF_E_FIELD, "provider",
                  "no endpoint of this name or provider is configured"),
           SHEAF_E_FIELD;
  const sheaf_price_table *prices = o->prices ? o->prices : sheaf_prices_builtin();
  route->price = sheaf_price_find(prices, sheaf_slice_of(route->provider->name), model);
  if (o->budget_usd_nano != SHEAF_NEVER && route->price == NULL)
    return refuse(error, SHEAF_E_FIELD, "model",
                  "no price is known for this model, so a budget cannot be kept: give one in a "
                  "price file or drop budget_usd"),
           SHEAF_E_FIELD;
  route->model = sheaf__alloc(&engine->allocator, model.bytes ? model.bytes : 1);
  if (route->model == NULL) return SHEAF_E_NOMEM;
  route->model_bytes = model.bytes ? (uint32_t)model.bytes : 1;
  if (model.bytes) memcpy(route->model, model.data, model.bytes);
  sheaf__queue_init(&route->queue, UINT32_MAX);
  sheaf__class_waits(engine, &route->queue);
  return SHEAF_OK;
}

int32_t sheaf__route_find(sheaf_engine *engine, const sheaf_request *request, uint32_t *found,
                          sheaf_parse_error *error) {
  sheaf_slice wanted = request->endpoint, model = request->model;
  uint64_t key = sheaf__hash(wanted.data, wanted.bytes, sheaf__hash(model.data, model.bytes, 5));
  if (engine->route_last < engine->route_count && engine->routes[engine->route_last].key == key)
    return *found = engine->route_last, SHEAF_OK;
  for (uint32_t i = 0; i < engine->route_count; i++)
    if (engine->routes[i].key == key) return *found = engine->route_last = i, SHEAF_OK;
  int32_t status = sheaf__grow(&engine->allocator, &engine->routes, &engine->route_capacity,
                               engine->route_count, sizeof *engine->routes, SHEAF__ROUTES_MAX);
  if (status == SHEAF_E_LIMIT)
    refuse(error, status, "model", "more than 256 models in one run: split the input");
  if (status) return status;
  sheaf__route *route = &engine->routes[engine->route_count];
  memset(route, 0, sizeof *route);
  route->key = key;
  status = route_make(engine, route, wanted, model, error);
  if (status) return status;
  *found = engine->route_last = engine->route_count++;
  return SHEAF_OK;
}

bool sheaf__route_stopped(const sheaf_engine *engine, const sheaf__route *route) {
  for (uint32_t i = 0; i < route->seat_count; i++)
    if (!engine->places[engine->seats[route->seats[i]].place].stopped) return false;
  return true;
}

/* ---- Paths ---- */

static bool path_is(const sheaf__path *path, uint64_t hash, sheaf_slice text) {
  return path->hash == hash && path->bytes == (text.bytes ? text.bytes : 1) &&
         (text.bytes == 0 || memcmp(path->text, text.data, text.bytes) == 0);
}

int32_t sheaf__path_find(sheaf_engine *engine, sheaf_slice text, uint32_t *found) {
  uint64_t hash = sheaf__hash(text.data, text.bytes, 7);
  if (engine->path_last < engine->path_count &&
      path_is(&engine->paths[engine->path_last], hash, text))
    return *found = engine->path_last, SHEAF_OK;
  for (uint32_t i = 0; i < engine->path_count; i++)
    if (path_is(&engine->paths[i], hash, text)) return *found = engine->path_last = i, SHEAF_OK;
  const sheaf_allocator *a = &engine->allocator;
  int32_t status = sheaf__grow(a, &engine->paths, &engine->path_capacity, engine->path_count,
                               sizeof *engine->paths, SHEAF__PATHS_MAX);
  if (status) return status;
  sheaf__path path = {.hash = hash, .bytes = (uint32_t)(text.bytes ? text.bytes : 1)};
  path.text = sheaf__alloc_zero(a, path.bytes);
  path.urls = sheaf__alloc_zero(a, engine->place_count * sizeof *path.urls);
  path.url_bytes = sheaf__alloc_zero(a, engine->place_count * sizeof *path.url_bytes);
  if (path.text == NULL || path.urls == NULL || path.url_bytes == NULL) {
    path_free(engine, &path);
    return SHEAF_E_NOMEM;
  }
  if (text.bytes) memcpy(path.text, text.data, text.bytes);
  engine->paths[engine->path_count] = path;
  *found = engine->path_last = engine->path_count++;
  return SHEAF_OK;
}

int32_t sheaf__url(sheaf_engine *engine, uint32_t at, uint32_t place, sheaf_slice *url) {
  sheaf__path *path = &engine->paths[at];
  if (path->urls[place] == NULL) {
    const sheaf_endpoint *o = &engine->places[place].options;
    sheaf_slice text = {path->text, path->bytes};
    bool has_query = memchr(path->text, '?', path->bytes) != NULL;
    size_t bytes = o->base_url.bytes + text.bytes + (o->query.bytes ? o->query.bytes + 1 : 0);
    char *to = sheaf__alloc(&engine->allocator, bytes);
    if (to == NULL) return SHEAF_E_NOMEM;
    path->urls[place] = to;
    path->url_bytes[place] = (uint32_t)bytes;
    place_copy(&to, o->base_url);
    place_copy(&to, text);
    if (o->query.bytes) *to++ = has_query ? '&' : '?', place_copy(&to, o->query);
  }
  *url = (sheaf_slice){path->urls[place], path->url_bytes[place]};
  return SHEAF_OK;
}
