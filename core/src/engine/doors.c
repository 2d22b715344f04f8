/* doors.c: the pull face driven over vtables: one turn of the loop that every host runs. */
#include "engine/engine_int.h"

/* Copies the known prefix of a vtable. */
static void door_copy(void *to, size_t bytes, const void *from, uint32_t struct_bytes) {
  memset(to, 0, bytes);
  memcpy(to, from, struct_bytes < bytes ? struct_bytes : bytes);
}

int32_t sheaf_engine_open(sheaf_engine *engine, const sheaf_doors *given) {
  if (engine == NULL || given == NULL || engine->stepped || engine->opened) return SHEAF_E_MISUSE;
  sheaf_doors copy;
  const sheaf_doors *doors = &copy;
  door_copy(&copy, sizeof copy, given, given->struct_bytes);
  if (doors->transport == NULL || doors->transport->start == NULL ||
      doors->transport->cancel == NULL || doors->sink == NULL || doors->sink->put == NULL)
    return SHEAF_E_MISUSE;
  door_copy(&engine->transport, sizeof engine->transport, doors->transport,
            doors->transport->struct_bytes);
  door_copy(&engine->sink, sizeof engine->sink, doors->sink, doors->sink->struct_bytes);
  if (doors->source != NULL) {
    door_copy(&engine->source, sizeof engine->source, doors->source, doors->source->struct_bytes);
    if (engine->source.next == NULL) return SHEAF_E_MISUSE;
    engine->has_source = true;
  }
  if (doors->store != NULL) {
    door_copy(&engine->store, sizeof engine->store, doors->store, doors->store->struct_bytes);
    if (engine->store.append == NULL || engine->store.scan == NULL) return SHEAF_E_MISUSE;
    engine->has_store = engine->store_used = engine->recovering = true;
  }
  if (doors->host != NULL)
    door_copy(&engine->host, sizeof engine->host, doors->host, doors->host->struct_bytes);
  if (SHEAF__HAS_LANES && doors->spool != NULL) {
    int32_t status = sheaf_engine_use_spool(engine, doors->spool);
    if (status) return status;
  }
  if (doors->hooks != NULL)
    door_copy(&engine->hooks, sizeof engine->hooks, doors->hooks, doors->hooks->struct_bytes);
  engine->opened = true;
  return SHEAF_OK;
}

static void stop_by(sheaf_engine *engine, int32_t status) {
  if (engine->stopped_by == SHEAF_OK) engine->stopped_by = engine->failure = status;
}

static void begin_scan(sheaf_engine *engine) {
  engine->scan_started = true;
  engine->inside = true;
  int32_t status = engine->store.scan(engine->store.ctx);
  engine->inside = false;
  if (status == SHEAF_E_END) {
    sheaf_engine_on_scanned(engine, NULL, 0);
  } else if (status) {
    stop_by(engine, status);
    engine->store_failed = true;
    engine->recovering = false;
  }
}

/* Hands events to the sink until there are none or it says later. */
static bool deliver(sheaf_engine *engine) {
  bool moved = false;
  for (;;) {
    if (!engine->event_pending) {
      if (sheaf_engine_next_event(engine, &engine->pending_event) != SHEAF_OK) return moved;
      engine->event_pending = true;
    }
    engine->inside = true;
    int32_t status = engine->sink.put(engine->sink.ctx, &engine->pending_event);
    engine->inside = false;
    if (status == SHEAF_E_LATER) return moved;
    engine->event_pending = false;
    moved = true;
    if (status && engine->stopped_by == SHEAF_OK) {
      stop_by(engine, status);
      sheaf__shown_release(engine);
      sheaf_engine_abort(engine);
    }
  }
}

/* A request that cannot be built is the row's own failure if the source wants it so; anything else
 * ends the input. */
static int32_t admit_pulled(sheaf_engine *engine, const sheaf_request *request) {
  sheaf_parse_error error = {0};
  uint64_t index = engine->next_index;
  int32_t status = sheaf__admit(engine, request, NULL, &error, true);
  if (status == SHEAF_OK || status == SHEAF_E_END || status == SHEAF_E_NOMEM)
    return status == SHEAF_E_END ? SHEAF_OK : status;
  bool not_valid = status <= SHEAF_E_SYNTAX && status > SHEAF_E_IO;
  if ((!not_valid && status != SHEAF_E_UNSUPPORTED && status != SHEAF_E_LIMIT) ||
      engine->source.refused == NULL)
    return status;
  error.status = status;
  engine->inside = true;
  int32_t answer = engine->source.refused(engine->source.ctx, index, request, &error);
  engine->inside = false;
  return answer == SHEAF_OK ? sheaf__admit_refused(engine, request, &error) : answer;
}

int32_t sheaf_engine_offer(sheaf_engine *engine, const sheaf_request *request, uint64_t *index) {
  if (engine == NULL || request == NULL || engine->inside || !engine->has_source)
    return SHEAF_E_MISUSE;
  if (engine->input_ended || engine->draining) return SHEAF_E_END;
  if (sheaf_engine_room(engine) == 0) return SHEAF_E_FULL;
  if (index != NULL) *index = engine->next_index;
  return admit_pulled(engine, request);
}

/* Reads ahead as far as starts may need, and a little more: what is read is held in memory. */
static uint64_t read_ahead(const sheaf_engine *engine) {
  uint64_t cap =
      engine->options.concurrency ? engine->options.concurrency : engine->options.max_concurrency;
  uint64_t open = cap > engine->calls_out ? cap - engine->calls_out : 0;
  uint64_t wanted = open + 32;
  if (SHEAF__HAS_AUTO && engine->auto_rows) /* as many as tell how they travel */
    wanted = sheaf__max_u64(wanted, sheaf__add_sat(engine->options.batch_threshold, 1));
  /* Those that wait for company are no reason to read less: they wait for what is read. */
  uint64_t waiting =
      engine->rows_queued - engine->rows_gathering + engine->rows_waiting + engine->rows_done;
  return wanted > waiting ? sheaf__min_u64(wanted - waiting, sheaf_engine_room(engine)) : 0;
}

static void pull(sheaf_engine *engine) {
  uint64_t inside = engine->rows_inside, taken = 0;
  engine->pull_due = false;
  for (uint64_t n = read_ahead(engine); n > 0 && !engine->input_ended && !engine->event_pending;
       n--) {
    if (!engine->request_pending) {
      sheaf_request *request = &engine->pending_request;
      *request = SHEAF_REQUEST_INIT;
      engine->inside = true;
      int32_t status = engine->source.next(engine->source.ctx, request);
      engine->inside = false;
      if (status == SHEAF_E_LATER) return;
      if (status == SHEAF_E_END) {
        sheaf_engine_end_input(engine);
        return;
      }
      if (status) {
        stop_by(engine, status);
        sheaf_engine_drain(engine);
        return;
      }
    }
    int32_t status = admit_pulled(engine, &engine->pending_request);
    engine->request_pending = status == SHEAF_E_NOMEM;
    if (status == SHEAF_E_NOMEM) return;
    taken++;
    if (status) {
      stop_by(engine, status);
      sheaf_engine_drain(engine);
      return;
    }
  }
  /* Rows that were done already took turns without filling anything: there may be more to read at
   * once. */
  engine->pull_due = engine->rows_inside - inside < taken;
  /* Or they wait for company, and are read until a group is full or nobody else has room. */
  if (engine->rows_gathering && taken && !engine->event_pending) engine->pull_due = true;
}

static void act(sheaf_engine *engine) {
  sheaf_action action;
  while (sheaf_engine_next_action(engine, &action) == SHEAF_OK) {
    int32_t status = SHEAF_OK;
    engine->inside = true;
    if (action.kind == SHEAF_ACTION_START)
      status = engine->transport.start(engine->transport.ctx, action.exchange);
    else if (action.kind == SHEAF_ACTION_CANCEL)
      engine->transport.cancel(engine->transport.ctx, action.exchange_id);
    else
      status = engine->store.append(engine->store.ctx, action.ticket, action.records,
                                    action.record_count);
    engine->inside = false;
    if (action.kind == SHEAF_ACTION_APPEND && status != SHEAF_OK) {
      if (status != SHEAF_E_END) stop_by(engine, status);
      sheaf_engine_on_stored(engine, action.ticket, status == SHEAF_E_END ? SHEAF_OK : status);
    } else if (action.kind == SHEAF_ACTION_START && status != SHEAF_OK) {
      sheaf_exchange_end end;
      sheaf_exchange_end_init(&end);
      end.end = SHEAF_END_NOT_SENT;
      end.message = SHEAF_LITERAL("the transport could not start the exchange");
      sheaf_engine_on_done(engine, action.exchange->id, &end);
    }
  }
}

int32_t sheaf_engine_run_once(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms) {
  if (engine == NULL || !engine->opened || engine->inside) return SHEAF_E_MISUSE;
  if (engine->recovering && engine->has_store && !engine->scan_started) begin_scan(engine);
  bool moved = true;
  for (uint32_t turn = 0; moved && turn < 64; turn++) {
    sheaf__step_settle(engine, now_ns, unix_ms);
    moved = deliver(engine);
    if (engine->has_source && !engine->input_ended && !engine->recovering) pull(engine);
    int32_t status = SHEAF_OK;
    if (engine->launch_due || engine->next_start_all_ns <= engine->now_ns)
      status = sheaf__launch(engine);
    act(engine);
    SHEAF_CHECKED(engine);
    if (status == SHEAF_E_NOMEM && engine->calls_out == 0) return status;
    if (engine->request_pending && !engine->input_ended && engine->rows_inside == 0)
      return SHEAF_E_NOMEM;
    moved |= engine->recorded_count > 0 || (engine->events.count > 0 && !engine->event_pending) ||
             engine->pull_due || (engine->store_failed && !engine->draining) ||
             (SHEAF__HAS_LANES && sheaf__flights_may_move(engine));
  }
  if (engine->host.wake_at != NULL)
    engine->host.wake_at(engine->host.ctx, sheaf_engine_timeout_ns(engine));
  if (engine->failure) {
    int32_t failure = engine->failure;
    engine->failure = SHEAF_OK;
    return failure;
  }
  return sheaf_engine_is_idle(engine) && !engine->event_pending ? SHEAF_E_END : SHEAF_OK;
}
