/* admit.c: may this request in, and as what? Fills in defaults, finds its route, builds the final
 * bytes, takes the fingerprint, asks the source whether it is done already, and queues it. */
#include "engine/engine_int.h"

static const sheaf__place *place_for(const sheaf_engine *engine, sheaf_slice wanted) {
  for (uint32_t i = 0; i < engine->place_count; i++) {
    const sheaf_endpoint *o = &engine->places[i].options;
    if (wanted.bytes == 0 || sheaf__slice_equal(wanted, o->name) ||
        sheaf__slice_equal(wanted, sheaf_slice_of(o->provider->name)))
      return &engine->places[i];
  }
  return NULL;
}

/* A caller of an older header knows fewer fields: those are absent. */
void sheaf__request_copy(sheaf_request *to, const sheaf_request *given) {
  memset(to, 0, sizeof *to);
  size_t known = given->struct_bytes < sizeof *to ? given->struct_bytes : sizeof *to;
  memcpy(to, given, known);
  to->struct_bytes = sizeof *to;
}

/* The request with the engine's and the endpoint's defaults. Parameters of the request win: a
 * member that both name is taken from the request alone. */
static int32_t with_defaults(sheaf_engine *engine, const sheaf_request *given,
                             sheaf_request *full) {
  const sheaf_engine_options *o = &engine->options;
  sheaf__request_copy(full, given);
  const sheaf__place *place = place_for(engine, full->endpoint);
  if (full->model.bytes == 0 && full->body.bytes)
    full->model = sheaf_json_inside(sheaf_json_member(full->body, "model"));
  if (full->model.bytes == 0 && place != NULL) full->model = place->options.model;
  if (full->system.bytes == 0) full->system = o->system;
  if (full->max_tokens == 0) full->max_tokens = o->max_tokens;
  if (full->deadline_ms == 0) full->deadline_ms = o->deadline_ms;
  if (o->stream) full->flags |= SHEAF_REQUEST_STREAM;
  if (o->params.bytes == 0 || full->body.bytes) return SHEAF_OK;
  if (full->params.bytes == 0) return full->params = o->params, SHEAF_OK;
  sheaf_buf *buf = &engine->params_buf;
  sheaf_buf_reset(buf);
  sheaf_buf_append_text(buf, "{");
  sheaf_buf_append_slice(buf, full->params);
  sheaf_buf_append_text(buf, "}");
  if (buf->status) return buf->status;
  size_t own = buf->bytes;
  sheaf_json_iter iter;
  sheaf_slice key, value, object = {buf->data, own};
  sheaf_json_iter_init(&iter, engine->default_params);
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    char name[128];
    if (key.bytes >= sizeof name) continue;
    memcpy(name, key.data, key.bytes);
    name[key.bytes] = 0;
    object.data = buf->data;
    if (sheaf_json_member(object, name).bytes) continue;
    sheaf_buf_append_text(buf, ",\"");
    sheaf_buf_append_slice(buf, key);
    sheaf_buf_append_text(buf, "\":");
    sheaf_buf_append_slice(buf, value);
  }
  if (buf->status) return buf->status;
  buf->data[own - 1] = ' '; /* the brace that closed the request's own */
  full->params = (sheaf_slice){buf->data + 1, buf->bytes - 1};
  return SHEAF_OK;
}

static int32_t refuse(sheaf_parse_error *error, int32_t status, const char *field,
                      const char *message) {
  if (error != NULL)
    *error = (sheaf_parse_error){.status = status, .field = field, .message = message};
  return status;
}

/* UINT32_MAX: nobody can tell. */
static uint32_t count_input(sheaf_engine *engine, const sheaf__route *route, sheaf_slice body) {
  const sheaf_token_counter *tokens = &engine->tokens;
  if (tokens->count == NULL) return UINT32_MAX;
  engine->inside = true;
  int64_t count = tokens->count(tokens->ctx, route->provider,
                                (sheaf_slice){route->model, route->model_bytes}, body);
  engine->inside = false;
  return count < 0 ? UINT32_MAX : (uint32_t)sheaf__min_u64((uint64_t)count, UINT32_MAX - 1);
}

static int32_t build(sheaf_engine *engine, const sheaf_request *request, sheaf__row *row,
                     sheaf_buf *text, sheaf_parse_error *error) {
  uint32_t route_at, path_at;
  int32_t status = sheaf__route_find(engine, request, &route_at, error);
  if (status) return status;
  const sheaf__route *route = &engine->routes[route_at];
  const sheaf__place *place = &engine->places[engine->seats[route->seats[0]].place];
  row->route = (uint16_t)route_at;
  if (request->flags & SHEAF_REQUEST_TASK) {
    row->flags |= SHEAF__ROW_TASK;
    row->path = UINT16_MAX;
    row->counted = UINT32_MAX;
    row->output_max = request->max_tokens
                          ? (uint32_t)sheaf__min_u64(request->max_tokens, UINT32_MAX - 1)
                          : UINT32_MAX;
    return SHEAF_OK;
  }
  sheaf_build in = {
      .struct_bytes = sizeof in,
      .stream = (request->flags & SHEAF_REQUEST_STREAM) != 0 && route->provider->event != NULL,
      .request = request,
      .base_url = place->options.base_url,
      .default_url = place->options.default_url};
  sheaf_buf_reset(&engine->path_buf);
  sheaf_call out = {.struct_bytes = sizeof out,
                    .path = &engine->path_buf,
                    .body = text,
                    .output_tokens_max = SHEAF_ABSENT};
  status = route->provider->build(route->provider, &in, &out);
  if (status == SHEAF_OK) status = engine->path_buf.status ? engine->path_buf.status : text->status;
  if (status == SHEAF_OK)
    status = sheaf__path_find(engine, sheaf_buf_slice(&engine->path_buf), &path_at);
  if (status == SHEAF_E_LIMIT)
    return refuse(error, SHEAF_E_TOO_LONG, "body", "the request is larger than 128 MiB");
  if (status)
    return refuse(error, status, out.error_field,
                  out.error_message ? out.error_message : sheaf_status_text(status));
  if (in.stream) row->flags |= SHEAF__ROW_STREAM;
  row->path = (uint16_t)path_at;
  row->operation = (uint8_t)out.operation;
  row->body_bytes = (uint32_t)text->bytes;
  row->counted = count_input(engine, route, sheaf_buf_slice(text));
  row->output_max = out.output_tokens_max < 0
                        ? UINT32_MAX
                        : (uint32_t)sheaf__min_u64((uint64_t)out.output_tokens_max, UINT32_MAX - 1);
  return SHEAF_OK;
}

/* A row's memory as a buffer, and back: the buffer's own fields would cost each waiting row 32
 * bytes. */
static sheaf_buf text_borrow(sheaf_engine *engine, const sheaf__row *row) {
  sheaf_buf text;
  sheaf_buf_init(&text, &engine->allocator, SHEAF__BODY_BYTES_MAX);
  text.data = row->text;
  text.capacity = row->text_capacity;
  return text;
}

/* What a request's text comes to, or nearly so: one allocation without slack, for many of them wait. */
size_t sheaf__request_bytes(const sheaf_request *request) {
  return request->body.bytes + request->messages.bytes + request->prompt.bytes +
         request->params.bytes + request->system.bytes + request->model.bytes +
         request->metadata.bytes + request->custom_id.bytes + 192;
}

static void text_return(sheaf_engine *engine, sheaf__row *row, const sheaf_buf *text) {
  engine->queue_bytes += text->capacity;
  engine->queue_bytes -= row->text_capacity;
  row->text = text->data;
  row->text_bytes = (uint32_t)text->bytes;
  row->text_capacity = (uint32_t)text->capacity;
}

/* Appends id, fingerprint and metadata behind the body. */
static int32_t finish_text(sheaf_engine *engine, const sheaf_request *request, sheaf__row *row,
                           sheaf_buf *text) {
  size_t before = text->bytes;
  if (request->custom_id.bytes > SHEAF_CUSTOM_ID_BYTES_MAX) return SHEAF_E_TOO_LONG;
  if (request->custom_id.bytes) {
    sheaf_buf_append_slice(text, request->custom_id);
  } else {
    sheaf_buf_append_text(text, "row-");
    sheaf_buf_append_u64(text, engine->next_index + 1);
  }
  row->id_bytes = (uint16_t)(text->bytes - before);
  uint8_t fingerprint[16] = {0};
  if (row->body_bytes)
    sheaf_fingerprint(sheaf_slice_of(engine->routes[row->route].provider->name),
                      sheaf_buf_slice(&engine->path_buf),
                      (sheaf_slice){text->data, row->body_bytes}, engine->options.sha256_blocks,
                      fingerprint);
  sheaf_buf_append(text, fingerprint, sizeof fingerprint);
  sheaf_buf_append_slice(text, request->metadata);
  return text->status;
}

static void take_fields(sheaf_engine *engine, const sheaf_request *request, sheaf__row *row) {
  row->index = engine->next_index++;
  row->source_ref = request->source_ref;
  row->user = request->user;
  row->line = request->line;
  row->lane = SHEAF_LANE_LIVE;
  row->queue_us = UINT32_MAX;
  row->item.enqueued_ns = engine->now_ns;
  row->item.klass = sheaf__queue_class_of(request->priority);
  row->item.node.seq = row->timer.seq = row->index;
  if ((row->flags & SHEAF__ROW_STREAM) && (request->flags & SHEAF_REQUEST_RAW))
    row->flags |= SHEAF__ROW_RAW;
  row->deadline_ns =
      request->deadline_ms
          ? sheaf__add_sat(engine->now_ns, sheaf__mul_sat(request->deadline_ms, SHEAF__MS))
          : SHEAF_NEVER;
  sheaf__row_index(engine, row);
}

/* up: it is in; else it did not get in after all. */
static void count_admitted(sheaf_engine *engine, const sheaf__row *row, bool up) {
  uint64_t one = up ? 1 : UINT64_MAX;
  engine->stats.admitted += one;
  if (row->item.klass == 0) engine->stats.urgent += one;
  if (row->item.klass >= 3) engine->stats.background += one;
}

/* A row that an earlier run may have sent: the policy speaks before anything else. */
bool sheaf__meets_unknown(sheaf_engine *engine, sheaf__row *row) {
  if (!sheaf__ranges_hold(&engine->unknown, row->index)) return false;
  engine->stats.recovered_unknown++;
  row->flags |= SHEAF__ROW_UNKNOWN_BEFORE | SHEAF__ROW_RANGED;
  row->billing = SHEAF_BILLING_UNKNOWN;
  if (engine->options.resend_unknown == SHEAF_RESEND_NEVER) {
    if (row->state != SHEAF__AT_QUEUE) { /* complete() takes it from where it is */
      engine->rows_flying++;
      row->state = SHEAF__AT_FLIGHT;
    }
    sheaf__complete(engine, row, SHEAF_CLASS_UNKNOWN_OUTCOME,
                    "an earlier run sent this and died before the reply: it may have been billed; "
                    "run again with resend_unknown to send it once more");
    return true;
  }
  row->flags |= SHEAF__ROW_RESENT;
  engine->stats.unknown_resent++;
  sheaf__notice(engine, SHEAF_NOTICE_RESENT_UNKNOWN, 0, row->index);
  return false;
}

static int64_t known(uint32_t number) {
  return number == UINT32_MAX ? SHEAF_ABSENT : (int64_t)number;
}

sheaf__cost sheaf__row_cost(const sheaf__row *row, const sheaf__pool *pool) {
  return sheaf__pool_estimate(pool, row->body_bytes, known(row->counted), known(row->output_max));
}

/* Ends a row that was just admitted, unsent. */
static void end_unsent(sheaf_engine *engine, sheaf__row *row, uint32_t error_class,
                       const char *message) {
  row->state = SHEAF__AT_FLIGHT;
  engine->rows_flying++;
  sheaf__complete(engine, row, error_class, message);
}

static bool exceeds_context(const sheaf_engine *engine, const sheaf__row *row) {
  if (engine->options.context_tokens == 0 || row->counted == UINT32_MAX) return false;
  uint64_t output = row->output_max == UINT32_MAX ? 0 : row->output_max;
  return row->counted + output > engine->options.context_tokens;
}

/* Its deadline is watched from here on. */
void sheaf__row_time(sheaf_engine *engine, sheaf__row *row) {
  uint64_t deadline = sheaf__min_u64(row->deadline_ns, engine->run_deadline_ns);
  if (deadline == SHEAF_NEVER) return;
  row->timer.key = deadline;
  int32_t status = sheaf__heap_push(&engine->timers, &engine->allocator, &row->timer);
  SHEAF_ASSERT(status == SHEAF_OK); /* reserved when the row was made */
}

static int32_t enqueue_new(sheaf_engine *engine, sheaf__row *row) {
  sheaf__route *route = &engine->routes[row->route];
  sheaf__pool *pool = &engine->pools[engine->seats[route->seats[0]].pool];
  sheaf__cost cost = sheaf__row_cost(row, pool);
  uint64_t units = ((uint64_t)cost.input_tokens + cost.output_tokens) / 256;
  row->item.cost = units == 0 ? 1 : (uint32_t)sheaf__min_u64(units, UINT32_MAX);
  bool twins = row->bond != NULL && row->bond->twin_hash != 0;
  if (twins && sheaf__twin_join(engine, row)) {
    sheaf__company_forget(engine, row);
    return SHEAF_OK;
  }
  int32_t status = SHEAF_OK;
  if (sheaf__company_belongs(row))
    sheaf__company_join(engine, row);
  else
    status = sheaf__queue_push(&route->queue, &engine->allocator, &row->item, row->deadline_ns, 0);
  if (status) return status;
  row->state = SHEAF__AT_QUEUE;
  engine->rows_queued++;
  sheaf__row_time(engine, row);
  if (twins) sheaf__twin_lead(engine, row);
  route->blocked_until_ns = 0;
  engine->launch_due = true;
  return SHEAF_OK;
}

/* The source's say: was it done in an earlier run? */
static int32_t ask_admit(sheaf_engine *engine, sheaf_request *request, const sheaf__row *row,
                         uint64_t *index) {
  if (engine->source.admit == NULL) return SHEAF_OK;
  request->custom_id = sheaf__row_id(row);
  engine->inside = true;
  int32_t status = engine->source.admit(engine->source.ctx, engine->next_index, request,
                                        sheaf__row_fingerprint(row));
  engine->inside = false;
  if (status == SHEAF_E_END) {
    engine->stats.skipped++;
    if (index != NULL) *index = engine->next_index;
    engine->next_index++;
  }
  return status;
}

/* A row that the preprocess hook has answered or refused. */
static int32_t admit_answered(sheaf_engine *engine, sheaf_request *request, uint64_t *index,
                              sheaf_slice text, bool ask_source) {
  sheaf__answer *answer = sheaf__answer_of_text(engine, text);
  if (answer == NULL) return SHEAF_E_NOMEM;
  sheaf__row *row;
  int32_t status = sheaf__row_take(engine, &row);
  if (status) {
    sheaf__answer_release(engine, answer);
    return status;
  }
  sheaf_buf buf = text_borrow(engine, row);
  status = finish_text(engine, request, row, &buf);
  text_return(engine, row, &buf);
  if (status == SHEAF_OK && ask_source) status = ask_admit(engine, request, row, index);
  if (status) {
    sheaf__answer_release(engine, answer);
    sheaf__row_release(engine, row);
    return status;
  }
  if (index != NULL) *index = engine->next_index;
  take_fields(engine, request, row);
  count_admitted(engine, row, true);
  row->path = row->route = UINT16_MAX;
  row->said.answer = answer;
  row->flags |= SHEAF__ROW_LOCAL;
  row->state = SHEAF__AT_FLIGHT;
  engine->rows_flying++;
  sheaf__complete(engine, row, SHEAF_CLASS_NONE, NULL);
  return SHEAF_OK;
}

/* ---- Jobs ---- */

/* A job of an earlier run holds this row: it goes by, and its job hears whether it is done. */
static int32_t pass_by(sheaf_engine *engine, sheaf_request *request, sheaf__row *row,
                       bool ask_source) {
  int32_t status = SHEAF_OK;
  if (ask_source && engine->source.admit != NULL) {
    request->custom_id = sheaf__row_id(row);
    engine->inside = true;
    status = engine->source.admit(engine->source.ctx, engine->next_index, request,
                                  sheaf__row_fingerprint(row));
    engine->inside = false;
  }
  bool is_done = status == SHEAF_E_END;
  if (is_done) status = SHEAF_OK;
  if (status == SHEAF_OK) status = sheaf__flight_pass(engine, row, is_done);
  row->state = SHEAF__AT_FREE;
  sheaf__row_release(engine, row);
  if (status == SHEAF_OK) engine->next_index++;
  return status;
}

/* Nearer deadlines than this are no matter for jobs: what the fastest of them take. */
#define NEAR_MS UINT64_C(3600000)

/* A run for jobs of earlier ones: other rows are not its business. */
static bool only_looks_after(const sheaf_engine *engine) {
  return SHEAF__HAS_LANES && engine->options.batch_mode > SHEAF_BATCH_SUBMIT;
}

/* How a row travels: SHEAF_LANE_LIVE, _BATCH, or _AUTO while that is open. */
static uint32_t choose_lane(const sheaf_engine *engine, const sheaf_request *request,
                            const sheaf__row *row, sheaf_parse_error *error, int32_t *status) {
  const sheaf_engine_options *o = &engine->options;
  uint32_t lane = request->lane == SHEAF_LANE_LIVE ? (uint32_t)o->lane : request->lane;
  if (!SHEAF__HAS_LANES || lane < SHEAF_LANE_BATCH || only_looks_after(engine))
    return SHEAF_LANE_LIVE;
  const char *why = sheaf__jobs_refuse(engine, row);
  if (lane == SHEAF_LANE_BATCH) {
    if (why != NULL) *status = refuse(error, SHEAF_E_UNSUPPORTED, "lane", why);
    return SHEAF_LANE_BATCH;
  }
  bool is_near = (request->deadline_ms && request->deadline_ms < NEAR_MS) ||
                 (o->run_deadline_ms && o->run_deadline_ms < NEAR_MS);
  if (why != NULL || is_near) return SHEAF_LANE_LIVE;
  if (SHEAF__HAS_AUTO && !engine->auto_decided) return SHEAF_LANE_AUTO;
  return SHEAF_LANE_BATCH;
}

/* The flight keeps what it needs of a row that was just admitted; its memory is free again. */
static int32_t join_job(sheaf_engine *engine, sheaf__row *row) {
  bool is_auto = engine->auto_decided;
  int32_t status = sheaf__flight_join(engine, row, is_auto);
  if (status == SHEAF_OK) {
    sheaf__row_unindex(engine, row);
    row->state = SHEAF__AT_FREE;
    sheaf__row_release(engine, row);
    return SHEAF_OK;
  }
  if (status == SHEAF_E_LIMIT) {
    end_unsent(engine, row, SHEAF_CLASS_BUDGET,
               "the budget is spent; raise budget_usd and run again to go on");
    return SHEAF_OK;
  }
  if (status == SHEAF_E_FIELD || status == SHEAF_E_TOO_LONG) {
    if (is_auto) return enqueue_new(engine, row);
    end_unsent(
        engine, row, SHEAF_CLASS_INVALID_REQUEST,
        status == SHEAF_E_FIELD
            ? "this cannot travel in a batch job (it asks for a stream, or its custom_id is no "
              "UTF-8?): use lane live"
            : "this request alone is larger than a batch job may be: use lane live");
    return SHEAF_OK;
  }
  engine->next_index--;
  count_admitted(engine, row, false);
  sheaf__row_unindex(engine, row);
  row->state = SHEAF__AT_FREE;
  sheaf__row_release(engine, row);
  return status;
}

/* Out of the queue without an end: the row is in a job now. */
void sheaf__row_leave(sheaf_engine *engine, sheaf__row *row) {
  sheaf__queue_remove(&engine->routes[row->route].queue, &row->item);
  engine->rows_queued--;
  sheaf__heap_remove(&engine->timers, &row->timer);
  sheaf__row_unindex(engine, row);
  row->state = SHEAF__AT_FREE;
  sheaf__row_release(engine, row);
}

/* How many inputs a request holds, where the protocol takes lists. */
uint64_t sheaf__row_inputs(const sheaf_engine *engine, const sheaf__row *row) {
  const sheaf_provider *provider = engine->routes[row->route].provider;
  if (provider->traits == NULL) return 1;
  sheaf_traits traits = {.struct_bytes = sizeof traits, .inputs = 1};
  provider->traits(provider, row->operation, sheaf__row_body(row), &traits);
  return traits.share == SHEAF_SHARE_INPUTS ? traits.inputs : 1;
}

/* ---- Admitting ---- */

int32_t sheaf__admit(sheaf_engine *engine, const sheaf_request *given, uint64_t *index,
                     sheaf_parse_error *error, bool ask_source) {
  sheaf_request request, seen;
  if (SHEAF__HAS_HOOK(engine, preprocess)) {
    sheaf_slice answer;
    sheaf__request_copy(&seen, given);
    int32_t said = sheaf__preprocess(engine, &seen, &answer);
    if (said == SHEAF_E_END) return admit_answered(engine, &seen, index, answer, ask_source);
    if (said != SHEAF_OK) {
      if (index != NULL) *index = engine->next_index;
      return sheaf__admit_refused(
          engine, &seen,
          &(sheaf_parse_error){.message = "the preprocess hook refused the request"});
    }
    given = &seen;
  }
  int32_t status = with_defaults(engine, given, &request);
  if (status) return status;
  int forms = (request.prompt.bytes > 0) + (request.messages.bytes > 0) + (request.body.bytes > 0) +
              ((request.flags & SHEAF_REQUEST_TASK) != 0);
  if (forms > 1)
    return refuse(error, SHEAF_E_FIELD, "prompt",
                  "give one of prompt, messages and body, not several");
  sheaf__row *row;
  status = sheaf__row_take(engine, &row);
  if (status) return status;
  sheaf_buf text = text_borrow(engine, row);
  sheaf_buf_reserve(&text, sheaf__request_bytes(&request));
  status = build(engine, &request, row, &text, error);
  if (status == SHEAF_OK) status = finish_text(engine, &request, row, &text);
  text_return(engine, row, &text);
  if (SHEAF__HAS_LANES && status == SHEAF_OK && engine->held.count &&
      sheaf__ranges_hold(&engine->held, engine->next_index) &&
      sheaf__flight_holds(engine, engine->next_index)) {
    if (index != NULL) *index = engine->next_index;
    return pass_by(engine, &request, row, ask_source);
  }
  const uint32_t lane =
      status == SHEAF_OK ? choose_lane(engine, &request, row, error, &status) : SHEAF_LANE_LIVE;
  if (status == SHEAF_OK && lane == SHEAF_LANE_LIVE)
    status = sheaf__bond_make(engine, row, &request);
  if (status == SHEAF_E_TOO_LONG && error != NULL && error->message == NULL)
    refuse(error, status, "custom_id", "custom_id is longer than 512 bytes: shorten it");
  if (status == SHEAF_OK) { /* with room in the queue now, the push below cannot fail half-way */
    status = sheaf__queue_reserve(&engine->routes[row->route].queue, &engine->allocator,
                                  engine->routes[row->route].queue.count + 1);
  }
  if (status == SHEAF_OK && row->bond != NULL)
    status = sheaf__company_reserve(engine, row, sheaf__queue_class_of(request.priority));
  if (status == SHEAF_OK && ask_source) status = ask_admit(engine, &request, row, index);
  if (status) {
    row->state = SHEAF__AT_FREE;
    sheaf__row_release(engine, row);
    return status;
  }
  if (index != NULL) *index = engine->next_index;
  take_fields(engine, &request, row);
  count_admitted(engine, row, true);
  if (only_looks_after(engine)) {
    end_unsent(engine, row, SHEAF_CLASS_CANCELLED, "this run only looks after earlier jobs");
    return SHEAF_OK;
  }
  if (sheaf__meets_unknown(engine, row)) return SHEAF_OK;
  if (SHEAF__HAS_LANES && lane == SHEAF_LANE_BATCH) return join_job(engine, row);
  if (sheaf__route_stopped(engine, &engine->routes[row->route])) {
    end_unsent(engine, row, engine->stop_class,
               "the key was stopped by an earlier refusal; nothing was sent");
    return SHEAF_OK;
  }
  if (exceeds_context(engine, row)) {
    end_unsent(engine, row, SHEAF_CLASS_CONTEXT_LENGTH,
               "input and max_tokens exceed context_tokens: shorten the request; nothing was sent");
    return SHEAF_OK;
  }
  if (SHEAF__HAS_AUTO && lane == SHEAF_LANE_AUTO) {
    row->lane = SHEAF_LANE_AUTO;
    engine->auto_rows++;
  }
  return enqueue_new(engine, row);
}

int32_t sheaf__admit_refused(sheaf_engine *engine, const sheaf_request *request,
                             const sheaf_parse_error *error) {
  sheaf__row *row;
  int32_t status = sheaf__row_take(engine, &row);
  if (status) return status;
  sheaf_buf text = text_borrow(engine, row);
  status = finish_text(engine, request, row, &text);
  text_return(engine, row, &text);
  if (status) {
    sheaf__row_release(engine, row);
    return status;
  }
  take_fields(engine, request, row);
  count_admitted(engine, row, true);
  row->path = row->route = UINT16_MAX;
  row->state = SHEAF__AT_FLIGHT;
  engine->rows_flying++;
  sheaf__complete(engine, row, SHEAF_CLASS_INVALID_REQUEST,
                  error != NULL && error->message ? error->message : "the request is not valid");
  return SHEAF_OK;
}

/* A row that left with a flight comes back as itself: same index, no new admission. */
int32_t sheaf__admit_again(sheaf_engine *engine, const sheaf_request *given, uint64_t index,
                           sheaf__row **out) {
  sheaf_request request;
  sheaf__row *row;
  int32_t status = with_defaults(engine, given, &request);
  if (status == SHEAF_OK) status = sheaf__row_take(engine, &row);
  if (status) return status;
  uint64_t next = engine->next_index;
  engine->next_index = index; /* generated ids follow the index */
  sheaf_buf text = text_borrow(engine, row);
  status = build(engine, &request, row, &text, NULL);
  if (status == SHEAF_OK) status = finish_text(engine, &request, row, &text);
  text_return(engine, row, &text);
  if (status == SHEAF_OK) {
    take_fields(engine, &request, row);
    row->lane = SHEAF_LANE_LIVE;
    status = enqueue_new(engine, row);
  }
  engine->next_index = next;
  if (status) {
    row->state = SHEAF__AT_FREE;
    sheaf__row_release(engine, row);
  }
  *out = row;
  return status;
}

/* A row that nobody submitted: with the body of a member and its merged answer as metadata. It is of
 * the lowest class, and the records cover it as they cover the member. */
int32_t sheaf__row_shadow(sheaf_engine *engine, sheaf__row *row, const sheaf__row *of,
                          sheaf_slice answer) {
  sheaf_buf text = text_borrow(engine, row);
  size_t head = (size_t)of->body_bytes + of->id_bytes + 16; /* body, id, fingerprint */
  sheaf_buf_reserve(&text, head + answer.bytes);
  sheaf_buf_append(&text, of->text, head);
  sheaf_buf_append_slice(&text, answer);
  int32_t status = text.status;
  text_return(engine, row, &text);
  if (status) return status;
  row->index = of->index;
  row->deadline_ns = SHEAF_NEVER;
  row->body_bytes = of->body_bytes;
  row->id_bytes = of->id_bytes;
  row->output_max = of->output_max;
  row->counted = of->counted;
  row->queue_us = UINT32_MAX;
  row->route = of->route;
  row->path = of->path;
  row->operation = of->operation;
  row->lane = SHEAF_LANE_LIVE;
  row->flags = SHEAF__ROW_SHADOW | SHEAF__ROW_SOLO | SHEAF__ROW_RANGED;
  row->item.enqueued_ns = engine->now_ns;
  row->item.cost = of->item.cost;
  row->item.klass = SHEAF__CLASS_COUNT - 1;
  row->item.node.seq = row->timer.seq = of->index;
  return SHEAF_OK;
}

/* A row for a result whose request is long gone. */
int32_t sheaf__row_stand_in(sheaf_engine *engine, sheaf__row *row, const sheaf_request *request,
                            uint64_t index, const uint8_t fingerprint[16]) {
  uint64_t next = engine->next_index;
  engine->next_index = index; /* generated ids follow the index */
  sheaf_buf text = text_borrow(engine, row);
  int32_t status = finish_text(engine, request, row, &text);
  text_return(engine, row, &text);
  engine->next_index = next;
  if (status) return status;
  memcpy(row->text + row->id_bytes, fingerprint, 16);
  row->index = index;
  row->source_ref = request->source_ref;
  row->line = request->line;
  row->item.enqueued_ns = engine->now_ns;
  return SHEAF_OK;
}
