/* engine.c: the engine's life and its clock: create, submit, report, step, end.
 *
 * The corridor (core/README.md) as code: admit.c -> launch.c (queue, gather, gate) -> the transport
 * -> settle.c (decode, settle) -> events.c. This file joins them. State changes here are of the
 * whole engine: draining, aborting, time. */
#include "engine/engine_int.h"

/* ---- Life ---- */

static int32_t copy_options(sheaf_engine *engine, const sheaf_engine_options *given) {
  sheaf_engine_options *o = &engine->options;
  sheaf_engine_options_init(o);
  size_t known = given->struct_bytes < sizeof *o ? given->struct_bytes : sizeof *o;
  memcpy(o, given, known);
  o->struct_bytes = sizeof *o;
  for (uint32_t i = 0;; i++) {
    const sheaf_option *option = sheaf_option_at(i);
    if (option == NULL) break;
    uint64_t value;
    memcpy(&value, (const char *)o + option->offset, sizeof value);
    if ((value < option->min || value > option->max) && value != option->initial)
      return SHEAF_E_RANGE;
  }
  size_t bytes = o->system.bytes + o->params.bytes + 2 + 1 + o->json_schema.bytes;
  char *text = sheaf__alloc_zero(&engine->allocator, bytes);
  if (text == NULL) return SHEAF_E_NOMEM;
  engine->option_text = text;
  engine->option_text_bytes = bytes;
  if (o->system.bytes) memcpy(text, o->system.data, o->system.bytes);
  o->system.data = text;
  text += o->system.bytes;
  *text = '{';
  if (o->params.bytes) memcpy(text + 1, o->params.data, o->params.bytes);
  text[1 + o->params.bytes] = '}';
  if (o->secret != NULL) memcpy(engine->secret, o->secret, sizeof engine->secret);
  engine->has_secret = o->secret != NULL;
  o->secret = engine->secret;
  engine->default_params = (sheaf_slice){text, o->params.bytes + 2};
  o->params.data = text + 1;
  text += o->params.bytes + 2;
  if (o->json_schema.bytes) memcpy(text, o->json_schema.data, o->json_schema.bytes);
  o->json_schema.data = text;
  sheaf_parse_error error;
  return sheaf_json_check(engine->default_params, &error);
}

int32_t sheaf_engine_new(const sheaf_engine_options *options, const sheaf_allocator *allocator,
                         sheaf_engine **out) {
  if (options == NULL || allocator == NULL || allocator->realloc == NULL || out == NULL)
    return SHEAF_E_MISUSE;
  sheaf_engine *engine = sheaf__alloc_zero(allocator, sizeof *engine);
  if (engine == NULL) return SHEAF_E_NOMEM;
  engine->magic = SHEAF__ENGINE_MAGIC;
  engine->allocator = *allocator;
  const sheaf_allocator *a = &engine->allocator;
  sheaf__heap_init(&engine->timers, UINT32_MAX);
  engine->actions.item_bytes = sizeof(sheaf__action_entry);
  engine->events.item_bytes = sizeof(sheaf__event_entry);
  engine->run_deadline_ns = engine->next_start_all_ns = SHEAF_NEVER;
  sheaf_buf_init(&engine->text, a, SIZE_MAX / 2);
  sheaf_buf_init(&engine->delta, a, SIZE_MAX / 2);
  sheaf_buf_init(&engine->raw, a, SIZE_MAX / 2);
  sheaf_buf_init(&engine->checked_text, a, SIZE_MAX / 2);
  sheaf_buf_init(&engine->path_buf, a, 8192);
  sheaf_buf_init(&engine->params_buf, a, SHEAF__BODY_BYTES_MAX);
  sheaf__histogram_init(&engine->queue_times);
  sheaf__histogram_init(&engine->ttft);
  sheaf__histogram_init(&engine->latency);
  sheaf__histogram_init(&engine->response);
  sheaf__histogram_init(&engine->group_waits);
  sheaf__heap_init(&engine->company_timers, UINT32_MAX);
  int32_t status = copy_options(engine, options);
  if (status == SHEAF_OK) status = sheaf__places_init(engine);
#ifndef SHEAF_MODULE
  if (status == SHEAF_OK) status = sheaf__verdicts_init(engine);
#endif
  if (status) {
    sheaf_engine_free(engine);
    return status;
  }
  const sheaf_engine_options *o = &engine->options;
  if (o->tokens != NULL) engine->tokens = *o->tokens;
  sheaf__retry_options_of(o, &engine->retry);
  *out = engine;
  return SHEAF_OK;
}

void sheaf_engine_free(sheaf_engine *engine) {
  if (engine == NULL) return;
  SHEAF_ASSERT(engine->magic == SHEAF__ENGINE_MAGIC && !engine->inside);
  sheaf_allocator allocator = engine->allocator;
  sheaf__flights_deinit(engine);
  sheaf__heap_deinit(&engine->timers,
                     &allocator); /* heaps let go of their nodes, so the rows outlive them */
  sheaf__places_deinit(engine);
  sheaf__companies_deinit(engine);
  sheaf__groups_deinit(engine);
  sheaf__slots_deinit(engine);
  sheaf__bonds_deinit(engine);
  sheaf__cache_deinit(engine);
  sheaf__records_deinit(engine);
  sheaf__ring_deinit(&engine->actions, &allocator);
  sheaf__ring_deinit(&engine->events, &allocator);
  sheaf_buf_deinit(&engine->text);
  sheaf_buf_deinit(&engine->delta);
  sheaf_buf_deinit(&engine->raw);
  sheaf_buf_deinit(&engine->checked_text);
#ifndef SHEAF_MODULE
  if (engine->verdicts[0].json.allocator != NULL) sheaf__verdicts_deinit(engine);
#endif
  sheaf_buf_deinit(&engine->path_buf);
  sheaf_buf_deinit(&engine->params_buf);
  sheaf__free(&allocator, engine->option_text, engine->option_text_bytes);
  engine->magic = 0;
  sheaf__free(&allocator, engine, sizeof *engine);
}

/* ---- Requests in ---- */

uint64_t sheaf_engine_room(const sheaf_engine *engine) {
  uint64_t waiting = engine->rows_queued + engine->rows_waiting + engine->rows_twins;
  if (engine->queue_bytes >= engine->options.queue_bytes_max) return 0;
  return engine->options.queue_capacity > waiting ? engine->options.queue_capacity - waiting : 0;
}

/* A request beyond the limit of bytes gets in when nothing else waits: else it never could. */
static bool has_bytes(const sheaf_engine *engine, const sheaf_request *request) {
  uint64_t bytes = sheaf__request_bytes(request), max = engine->options.queue_bytes_max;
  if (sheaf__add_sat(engine->queue_bytes, bytes) <= max) return true;
  return bytes > max && engine->rows_queued + engine->rows_waiting + engine->rows_twins == 0;
}

int32_t sheaf_engine_submit(sheaf_engine *engine, const sheaf_request *request, uint64_t *index,
                            sheaf_parse_error *error) {
  if (engine == NULL || request == NULL || engine->inside) return SHEAF_E_MISUSE;
  if (engine->input_ended || engine->draining) return SHEAF_E_END;
  if (engine->options.queue_capacity <=
      engine->rows_queued + engine->rows_waiting + engine->rows_twins)
    return SHEAF_E_FULL;
  sheaf_request copy; /* a caller of an older header has a shorter one */
  sheaf__request_copy(&copy, request);
  if (!has_bytes(engine, &copy)) return SHEAF_E_FULL;
  sheaf_parse_error unused;
  if (error == NULL) error = &unused;
  memset(error, 0, sizeof *error);
  return sheaf__admit(engine, &copy, index, error, false);
}

int32_t sheaf_engine_end_input(sheaf_engine *engine) {
  if (engine == NULL) return SHEAF_E_MISUSE;
  engine->input_ended = true;
  if (engine->rows_gathering) engine->launch_due = true; /* who waits for company waits in vain */
  return SHEAF_OK;
}

void sheaf__call_cancel(sheaf_engine *engine, sheaf__call *call) {
  if (call->cancelling || !call->out) return;
  call->cancelling = true;
  if (!call->handed_out) return; /* next_action will find it and end it unsent */
  if (sheaf__ring_reserve(&engine->actions, &engine->allocator, 1)) {
    call->cancelling = false; /* without memory the attempt runs to its own end */
    return;
  }
  sheaf__action_entry *entry = sheaf__ring_push(&engine->actions);
  *entry = (sheaf__action_entry){
      .kind = SHEAF_ACTION_CANCEL, .slot = call->slot, .id = call->exchange.id};
}

/* A START that is not handed out any more: nothing was sent. */
void sheaf__call_unsent(sheaf_engine *engine, sheaf__call *call) {
  sheaf_exchange_end_init(&call->end);
  call->end.end = call->cancelling       ? SHEAF_END_CANCELLED
                  : engine->store_failed ? SHEAF_END_REFUSED
                                         : SHEAF_END_TIMEOUT;
  call->end.message =
      call->cancelling ? SHEAF_LITERAL("cancelled before it was sent")
      : engine->store_failed
          ? SHEAF_LITERAL("not sent: the run log could not be written")
          : SHEAF_LITERAL("not sent: the deadline passed while the run log was written");
  call->ticket = SHEAF_NEVER; /* tells settle that it never left */
  call->has_end = true;
  if (!call->recorded) {
    call->recorded = true;
    engine->recorded[engine->recorded_count++] = call->exchange.id;
  }
}

int32_t sheaf_engine_drain(sheaf_engine *engine) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  if (engine->draining) return SHEAF_OK;
  engine->draining = engine->input_ended = true;
  sheaf__end_waiting(engine, SHEAF_CLASS_CANCELLED, "the run was stopped before this was sent",
                     NULL);
  for (uint32_t i = 0; i < engine->call_count;
       i++) /* decided, but nobody has taken the START yet: it stays here */
    if (engine->calls[i]->out && !engine->calls[i]->handed_out) engine->calls[i]->cancelling = true;
  sheaf__shadows_drop(engine);
  return SHEAF_OK;
}

int32_t sheaf_engine_abort(sheaf_engine *engine) {
  int32_t status = sheaf_engine_drain(engine);
  if (status) return status;
  for (uint32_t i = 0; i < engine->call_count; i++) {
    sheaf__call *call = engine->calls[i];
    if (!call->out) continue;
    if (call->row != NULL) call->row->flags |= SHEAF__ROW_CANCEL;
    if (call->group != NULL) sheaf__group_cancel(call->group);
    sheaf__call_cancel(engine, call);
  }
  return SHEAF_OK;
}

/* ---- Replies in: recorded here, decided in step ---- */

static sheaf__call *reported(sheaf_engine *engine, uint64_t exchange) {
  sheaf__call *call = sheaf__call_find(engine, exchange);
  return call != NULL && call->out && !call->has_end ? call : NULL;
}

static void record(sheaf_engine *engine, sheaf__call *call) {
  if (call->recorded) return;
  call->recorded = true;
  engine->recorded[engine->recorded_count++] = call->exchange.id;
}

int32_t sheaf_engine_on_head(sheaf_engine *engine, uint64_t exchange, uint32_t http_status,
                             sheaf_slice headers) {
  sheaf__call *call = reported(engine, exchange);
  if (call == NULL) return SHEAF_E_NOT_FOUND;
  if (call->has_head) return SHEAF_E_MISUSE;
  call->http_status = http_status;
  call->has_head = true;
  record(engine, call);
  return sheaf_buf_append_slice(&call->headers, headers);
}

int32_t sheaf_engine_on_data(sheaf_engine *engine, uint64_t exchange, sheaf_slice bytes) {
  sheaf__call *call = reported(engine, exchange);
  if (call == NULL) return SHEAF_E_NOT_FOUND;
  if (call->over_limit) return SHEAF_E_LIMIT;
  if (sheaf__is_flown(call) && call->exchange.stream && call->http_status == 200 &&
      call->body.bytes > SHEAF__FLIGHT_BYTES_MAX)
    return SHEAF_E_FULL;
  call->has_data = true;
  record(engine, call);
  int32_t status = sheaf_buf_append_slice(&call->body, bytes);
  if (status) call->over_limit = true;
  return status;
}

int32_t sheaf_engine_on_done(sheaf_engine *engine, uint64_t exchange,
                             const sheaf_exchange_end *end) {
  sheaf__call *call = reported(engine, exchange);
  if (call == NULL || end == NULL) return SHEAF_E_NOT_FOUND;
  sheaf_exchange_end_init(&call->end);
  size_t known = end->struct_bytes < sizeof *end ? end->struct_bytes : sizeof *end;
  memcpy(&call->end, end, known);
  sheaf_slice message = call->end.message; /* of the known part: an older end has none */
  if (message.bytes) {
    if (call->message == NULL)
      call->message = sheaf__alloc(&engine->allocator, SHEAF__MESSAGE_BYTES_MAX);
    size_t bytes = (size_t)sheaf__min_u64(message.bytes, SHEAF__MESSAGE_BYTES_MAX);
    if (call->message != NULL) memcpy(call->message, message.data, bytes);
    call->end.message = call->message ? (sheaf_slice){call->message, bytes}
                                      : SHEAF_LITERAL("the connection failed");
  }
  call->has_end = true;
  record(engine, call);
  return SHEAF_OK;
}

int64_t sheaf_engine_body_read(sheaf_engine *engine, uint64_t exchange, uint64_t offset, void *to,
                               size_t capacity) {
  sheaf__call *call = sheaf__call_find(engine, exchange);
  if (call == NULL || !call->out) return SHEAF_E_NOT_FOUND;
  sheaf_slice body = call->exchange.body;
  if (sheaf__is_flown(call) && body.data == NULL)
    return sheaf__flight_body(engine, call->flight, offset, to, capacity);
  if (offset >= body.bytes) return 0;
  size_t bytes = (size_t)sheaf__min_u64(body.bytes - offset, capacity);
  memcpy(to, body.data + offset, bytes);
  return (int64_t)bytes;
}

void sheaf_exchange_end_init(sheaf_exchange_end *end) {
  *end = (sheaf_exchange_end){
      .struct_bytes = sizeof *end,
      .retryable = true,
      .retry_after_ns = SHEAF_NEVER,
      .usage = {SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0}};
}

/* ---- Time ---- */

/* The first half of a step: the clock, what was recorded, what is due. */
void sheaf__step_settle(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms) {
  if (!engine->stepped) {
    engine->stepped = true;
    engine->stats.started_ns = engine->now_ns = engine->area_since_ns = now_ns;
    engine->rate_second = now_ns / SHEAF__SECOND;
    if (engine->options.run_deadline_ms)
      engine->run_deadline_ns =
          sheaf__add_sat(now_ns, sheaf__mul_sat(engine->options.run_deadline_ms, SHEAF__MS));
    /* What was submitted before the first step came in at its time. */
    for (uint32_t i = 0; i < engine->row_chunk_count; i++)
      for (uint32_t k = 0; k < SHEAF__CHUNK; k++) sheaf__restamp(engine, &engine->row_chunks[i][k]);
    sheaf__companies_restamp(engine);
  }
  if (now_ns > engine->now_ns) engine->now_ns = now_ns;
  engine->unix_ms = unix_ms;
  sheaf__tally_time(engine);
  if (engine->recorded_count) sheaf__settle(engine);
  sheaf__timers_run(engine);
  if (engine->stop_class)
    sheaf__stopped_routes(engine); /* behind the timers: they bring rows back to stopped routes */
  if (engine->pumped_first != NULL) sheaf__groups_run(engine);
  if (SHEAF__HAS_LANES) {
    if (SHEAF__HAS_AUTO) sheaf__survey(engine);
    if (SHEAF__HAS_AUTO) sheaf__auto_decide(engine);
    if (sheaf__first_flight(engine) != NULL) sheaf__flights_run(engine);
  }
  if (!engine->run_late && engine->run_deadline_ns <= engine->now_ns) {
    engine->run_late = true;
    sheaf__notice(engine, SHEAF_NOTICE_RUN_DEADLINE, 0, 0);
    sheaf__end_waiting(engine, SHEAF_CLASS_DEADLINE,
                       "the run's deadline passed before this was sent", NULL);
    engine->draining = engine->input_ended = true;
  }
  if (engine->store_failed && !engine->draining) {
    sheaf__notice(engine, SHEAF_NOTICE_STORE_FAILED, 0, 0);
    sheaf__end_waiting(engine, SHEAF_CLASS_STORE,
                       "the run log could not be written; nothing more was sent", NULL);
    engine->draining = engine->input_ended = true;
  }
}

int32_t sheaf_engine_step(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  sheaf__shown_release(engine);
  sheaf__step_settle(engine, now_ns, unix_ms);
  int32_t status = SHEAF_OK;
  if (engine->launch_due || engine->next_start_all_ns <= engine->now_ns)
    status = sheaf__launch(engine);
  SHEAF_CHECKED(engine);
  return status;
}

uint64_t sheaf_engine_timeout_ns(const sheaf_engine *engine) {
  if (engine->recorded_count || (engine->launch_due && engine->rows_queued && !engine->recovering &&
                                 !engine->draining && !engine->paused))
    return 0;
  if (engine->store_failed && !engine->draining) return 0;
  if (engine->pull_due && !engine->input_ended) return 0;
  if (SHEAF__HAS_LANES && (sheaf__flights_may_move(engine) ||
                           (engine->auto_rows && engine->input_ended && !engine->draining)))
    return 0;
  if (engine->opened && engine->events.count && !engine->event_pending)
    return 0; /* run_once ended before its work did */
  uint64_t at = SHEAF_NEVER;
  const sheaf__action_entry *action = sheaf__ring_peek(&engine->actions);
  bool is_pending = engine->request_pending && !engine->input_ended;
  /* A record that there was no memory to show. */
  if (action != NULL && action->kind == SHEAF_ACTION_APPEND && !engine->store_failed)
    is_pending = true;
  if ((is_pending || (SHEAF__HAS_AUTO && sheaf__auto_due(engine))) &&
      !engine->recovering) /* there was no memory for it */
    at = sheaf__add_sat(engine->now_ns, SHEAF__MS);
  const sheaf__heap_node *first = sheaf__heap_peek(&engine->timers);
  if (first != NULL) at = sheaf__min_u64(at, first->key);
  if (engine->pumped_first != NULL && engine->rows_done < SHEAF__FLIGHT_RESULTS_MAX)
    at = sheaf__min_u64(at, engine->pump_again_ns); /* members whose reply came are to be told */
  if ((engine->rows_queued || sheaf__first_flight(engine) != NULL) && !engine->draining &&
      !engine->paused)
    at = sheaf__min_u64(at, engine->next_start_all_ns);
  if (engine->run_deadline_ns != SHEAF_NEVER && !engine->run_late)
    at = sheaf__min_u64(at, engine->run_deadline_ns);
  return at;
}

bool sheaf_engine_is_idle(const sheaf_engine *engine) {
  return engine->input_ended && engine->events.count == 0 && !engine->event_pending &&
         engine->shown == NULL && engine->rows_inside == 0 && engine->calls_out == 0 &&
         !engine->recovering &&
         (!SHEAF__HAS_LANES ||
          (sheaf__flights_rest(engine) && (engine->draining || sheaf__flights_over(engine))));
}
