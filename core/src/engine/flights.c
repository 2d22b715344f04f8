/* flights.c: lanes of many rows: members join one by one and leave the engine's memory; the lane's
 * wishes are carried out.
 *
 * A flight lives from the first member that joins until the lane says it is over, across restarts:
 * its records bring it back. Its exchanges pass the same gate as everything else. Outline: making
 * and finding; joining; carrying out wishes; replies; recovery. */
#include "engine/engine_int.h"

/* ---- Making, finding, ending ---- */

static sheaf__flight *flight_find(const sheaf_engine *engine, uint64_t id) {
  for (sheaf__flight *f = engine->flights; f != NULL; f = f->next)
    if (f->id == id) return f;
  return NULL;
}

static int32_t flight_new(sheaf_engine *engine, const sheaf__lane *lane, uint64_t id,
                          uint32_t route, sheaf__flight **out) {
  sheaf__flight *f = sheaf__alloc_zero(&engine->allocator, sizeof *f);
  if (f == NULL) return SHEAF_E_NOMEM;
  f->lane = lane;
  f->id = id;
  f->route = route;
  f->timer.tag = SHEAF__TIMER_FLIGHT;
  sheaf_buf_init(&f->record, &engine->allocator, SHEAF_LOG_FRAME_BYTES_MAX);
  f->state = sheaf__alloc_zero(&engine->allocator, lane->flight_bytes);
  int32_t status = f->state ? lane->open(f->state, &engine->allocator, id) : SHEAF_E_NOMEM;
  if (status == SHEAF_OK)
    status = sheaf__heap_reserve(&engine->timers, &engine->allocator,
                                 engine->rows_made + engine->flight_count + 1);
  if (status) {
    sheaf__free(&engine->allocator, f->state, lane->flight_bytes);
    sheaf__free(&engine->allocator, f, sizeof *f);
    return status;
  }
  f->next = engine->flights;
  engine->flights = f;
  engine->flight_count++;
  *out = f;
  return SHEAF_OK;
}

static void flight_free(sheaf_engine *engine, sheaf__flight *f) {
  sheaf__heap_remove(&engine->timers, &f->timer);
  f->lane->close(f->state);
  sheaf_buf_deinit(&f->record);
  sheaf__free(&engine->allocator, f->state, f->lane->flight_bytes);
  sheaf__free(&engine->allocator, f, sizeof *f);
  engine->flight_count--;
}

static void flight_over(sheaf_engine *engine, sheaf__flight *f) {
  for (sheaf__flight **at = &engine->flights; *at != NULL; at = &(*at)->next)
    if (*at == f) {
      *at = f->next;
      break;
    }
  flight_free(engine, f);
}

void sheaf__flights_deinit(sheaf_engine *engine) {
  while (sheaf__first_flight(engine) != NULL) flight_over(engine, engine->flights);
  sheaf__free(&engine->allocator, engine->held.items,
              engine->held.capacity * sizeof *engine->held.items);
}

int32_t sheaf__engine_set_lane(sheaf_engine *engine, const sheaf__lane *lane) {
  if (engine->stepped || lane->kind == SHEAF_LANE_LIVE || lane->kind > SHEAF_LANE_BATCH)
    return SHEAF_E_MISUSE;
  engine->lanes[lane->kind] = lane;
  return SHEAF_OK;
}

/* ---- Joining ---- */

/* Takes a freshly built row into the open flight of its route; the row's memory is free again
 * afterwards. */
int32_t sheaf__flight_join(sheaf_engine *engine, const sheaf__lane *lane, const sheaf__row *row) {
  sheaf__flight *f = engine->flights;
  while (f != NULL && (f->lane != lane || f->route != row->route || f->begun || f->ready))
    f = f->next;
  if (f == NULL) {
    int32_t status = flight_new(engine, lane, ++engine->flight_seq, row->route, &f);
    if (status) return status;
  }
  sheaf__member member = {.index = row->index,
                          .source_ref = row->source_ref,
                          .custom_id = sheaf__row_id(row),
                          .body = sheaf__row_body(row)};
  member.id_hash = sheaf__hash(member.custom_id.data, member.custom_id.bytes, 0);
  memcpy(member.fingerprint, sheaf__row_fingerprint(row), sizeof member.fingerprint);
  int32_t status = lane->join(f->state, &member);
  if (status) return status;
  engine->rows_held++;
  f->members++;
  f->ready = f->members >= lane->members_max;
  return SHEAF_OK;
}

/* ---- Carrying out wishes ---- */

static int32_t want_store(sheaf_engine *engine, sheaf__flight *f,
                          const sheaf__lane_action *action) {
  const sheaf_allocator *a = &engine->allocator;
  int32_t status = sheaf__ring_reserve(&engine->actions, a, 1);
  if (status) return status;
  /* The record begins with the flight's id, by which recovery finds it again. */
  sheaf_buf_reset(&f->record);
  uint8_t id[8];
  for (int i = 0; i < 8; i++) id[i] = (uint8_t)(f->id >> (8 * i));
  sheaf_buf_append(&f->record, id, sizeof id);
  sheaf_buf_append_slice(&f->record, action->record);
  if (f->record.status) return f->record.status;
  f->record_type = action->record_type;
  f->tag = action->tag;
  f->ticket = ++engine->ticket;
  sheaf__action_entry *entry = sheaf__ring_push(&engine->actions);
  *entry = (sheaf__action_entry){
      .kind = SHEAF_ACTION_APPEND, .slot = SHEAF__FLIGHT_RECORD, .id = f->ticket};
  return SHEAF_OK;
}

/* A member ended: its result needs a row to be shown from, and a call to hold the reply's bytes. */
static int32_t row_done(sheaf_engine *engine, sheaf__flight *f, const sheaf__lane_action *action) {
  sheaf__row *row;
  sheaf__call *call = NULL;
  int32_t status = sheaf__row_take(engine, &row);
  if (status) return status;
  status = sheaf__call_take(engine, &call);
  if (status == SHEAF_OK) status = sheaf_buf_append_slice(&call->body, action->body);
  if (status == SHEAF_OK) status = sheaf__row_stand_in(engine, row, action);
  if (status) {
    if (call != NULL && call->exchange.id) sheaf__call_release(engine, call);
    sheaf__row_release(engine, row);
    return status;
  }
  row->route = (uint16_t)f->route;
  row->lane = (uint8_t)f->lane->kind;
  row->call = call;
  row->attempts = 1;
  row->state = SHEAF__AT_FLIGHT;
  engine->rows_flying++;
  engine->rows_held--;
  call->row = row;
  call->seat = engine->routes[f->route].seats[0];
  call->http_status = action->decoded.error_class ? 0 : 200;
  call->started_ns = call->ended_ns = engine->now_ns;
  call->reserved_usd_nano = 0;
  call->decoded = action->decoded;
  row->billing = (uint8_t)action->decoded.billing;
  const sheaf_provider *provider = engine->routes[f->route].provider;
  if (action->body.bytes && action->decoded.error_class == SHEAF_CLASS_NONE) {
    sheaf_reply reply = {.struct_bytes = sizeof reply,
                         .http_status = 200,
                         .body = sheaf_buf_slice(&call->body),
                         .unix_ms = engine->unix_ms};
    sheaf_decoded_init(&call->decoded);
    if (provider->decode(provider, &reply, &call->scratch, &call->decoded))
      call->decoded.error_class = SHEAF_CLASS_INVALID_RESPONSE;
  }
  sheaf__tally_attempt(engine, row, call);
  sheaf__complete(engine, row, call->decoded.error_class, NULL);
  return SHEAF_OK;
}

/* A member goes back to the queue: the source reads it again, for it left the engine's memory long
 * ago. */
static int32_t want_requeue(sheaf_engine *engine, const sheaf__lane_action *action) {
  if (engine->source.reread == NULL) return SHEAF_E_UNSUPPORTED;
  sheaf_request request = SHEAF_REQUEST_INIT;
  engine->inside = true;
  int32_t status = engine->source.reread(engine->source.ctx, action->source_ref, &request);
  engine->inside = false;
  if (status) return status;
  request.lane = SHEAF_LANE_LIVE;
  status = sheaf__admit_again(engine, &request, action->index);
  if (status == SHEAF_OK) engine->rows_held--;
  return status;
}

/* Until the lane wants nothing, or waits for something, or the caller must first take results. */
static int32_t pump(sheaf_engine *engine, sheaf__flight *f) {
  while (f->ticket == 0 && !f->wants_exchange &&
         engine->rows_done + engine->rows_queued < SHEAF__FLIGHT_RESULTS_MAX) {
    if (!f->stuck && !f->lane->next(f->state, &f->action)) {
      f->dry = true;
      return SHEAF_OK;
    }
    f->dry = false;
    const sheaf__lane_action *action = &f->action;
    int32_t status = SHEAF_OK;
    switch (action->kind) {
      case SHEAF__WANT_EXCHANGE:
        f->wants_exchange = true;
        engine->launch_due = true;
        break;
      case SHEAF__WANT_STORE: status = want_store(engine, f, action); break;
      case SHEAF__WANT_TIMER:
        sheaf__heap_remove(&engine->timers, &f->timer);
        f->timer.key = action->at_ns;
        f->timer.seq = f->id;
        f->tag = action->tag;
        status = sheaf__heap_push(&engine->timers, &engine->allocator, &f->timer);
        break;
      case SHEAF__WANT_REQUEUE: status = want_requeue(engine, action); break;
      case SHEAF__ROW_DONE: status = row_done(engine, f, action); break;
      case SHEAF__FLIGHT_OVER: flight_over(engine, f); return SHEAF_OK;
      default: return SHEAF_E_INTERNAL;
    }
    f->stuck =
        status != SHEAF_OK; /* without memory the same wish is carried out at the next step */
    if (status) return status;
  }
  return SHEAF_OK;
}

static int32_t tell(sheaf__flight *f, const sheaf__lane_input *input) {
  return f->lane->on_input(f->state, input);
}

void sheaf__flight_timer(sheaf_engine *engine, sheaf__heap_node *node) {
  sheaf__flight *f = (sheaf__flight *)(void *)((char *)node - offsetof(sheaf__flight, timer));
  tell(f, &(sheaf__lane_input){.kind = SHEAF__IN_TIMER, .tag = f->tag, .now_ns = engine->now_ns});
}

int32_t sheaf__flights_run(sheaf_engine *engine) {
  bool ended = engine->input_ended && !engine->recovering;
  int32_t status = SHEAF_OK;
  for (sheaf__flight *f = engine->flights, *next; f != NULL && status == SHEAF_OK; f = next) {
    next = f->next;
    if (!f->begun && (f->ready || ended)) {
      f->begun = true;
      status = tell(f, &(sheaf__lane_input){.kind = SHEAF__IN_BEGIN, .now_ns = engine->now_ns});
    }
    if (f->ticket && f->ticket <= engine->ticket_stored) {
      f->ticket = 0;
      status = tell(f, &(sheaf__lane_input){
                           .kind = SHEAF__IN_STORED, .tag = f->tag, .now_ns = engine->now_ns});
    }
    if (status == SHEAF_OK && f->begun) status = pump(engine, f);
  }
  return status;
}

/* ---- Exchanges: through the gate, and back ---- */

/* Fills a call for a flight that wants one; launch.c has asked the gate. */
int32_t sheaf__flight_call(sheaf_engine *engine, sheaf__flight *f, sheaf__call *call) {
  uint32_t path;
  int32_t status = sheaf__path_find(engine, f->action.path, &path);
  sheaf_slice url;
  if (status == SHEAF_OK) status = sheaf__url(engine, path, engine->seats[call->seat].place, &url);
  if (status) return status;
  const sheaf__place *place = &engine->places[engine->seats[call->seat].place];
  sheaf_exchange *x = &call->exchange;
  x->kind = SHEAF_EXCHANGE_HTTP;
  x->method = f->action.method;
  x->url = url;
  x->headers = place->headers;
  x->header_count = place->header_count;
  x->endpoint = engine->seats[call->seat].place;
  x->same_key = 0;
  x->body = f->action.body;
  x->body_bytes = f->action.body.bytes;
  x->reply_bytes_max = engine->options.reply_bytes_max;
  uint64_t limit_ms = engine->options.attempt_timeout_ms;
  x->timeout_ns = limit_ms ? sheaf__mul_sat(limit_ms, SHEAF__MS) : SHEAF_NEVER;
  x->stream = f->action.stream_reply;
  x->index = SHEAF_NEVER;
  x->user = NULL;
  call->flight = f;
  call->flight_tag = f->action.tag;
  f->wants_exchange = false;
  return SHEAF_OK;
}

/* Bytes of a streamed reply: handed on when the lane has dealt with those before, and let go, so
 * that a large download never stands in memory. Answers whether all were handed on. */
bool sheaf__flight_chunk(sheaf_engine *engine, sheaf__call *call) {
  if (!call->exchange.stream || call->http_status != 200 || call->body.bytes == 0) return true;
  if (!call->flight->dry) return false;
  sheaf__lane_input input = {.kind = SHEAF__IN_CHUNK,
                             .tag = call->flight_tag,
                             .bytes = sheaf_buf_slice(&call->body),
                             .now_ns = engine->now_ns};
  tell(call->flight, &input);
  sheaf_buf_reset(&call->body);
  call->flight->dry = false;
  return false; /* the end of the reply is told when the lane is through with its bytes */
}

void sheaf__flight_reply(sheaf_engine *engine, sheaf__call *call) {
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = call->http_status,
                       .headers = sheaf_buf_slice(&call->headers),
                       .body = sheaf_buf_slice(&call->body),
                       .unix_ms = engine->unix_ms};
  sheaf__lane_input input = {.kind = SHEAF__IN_REPLY,
                             .tag = call->flight_tag,
                             .reply = call->end.end == SHEAF_END_OK ? &reply : NULL,
                             .decoded = &call->decoded,
                             .now_ns = engine->now_ns};
  tell(call->flight, &input);
}

/* ---- Recovery ---- */

/* A record of a flight of an earlier run: u64 id, then the lane's own bytes. */
int32_t sheaf__flight_record(sheaf_engine *engine, uint32_t type, sheaf_slice payload) {
  const sheaf__lane *lane = sheaf__lane_of(engine, SHEAF_LANE_BATCH);
  if (lane == NULL || payload.bytes < 8)
    return SHEAF_OK; /* not ours to read: kept for those who can */
  uint64_t id = 0;
  for (int i = 7; i >= 0; i--) id = id << 8 | (uint8_t)payload.data[i];
  if (id > engine->flight_seq) engine->flight_seq = id;
  sheaf__flight *f = flight_find(engine, id);
  if (f == NULL) {
    sheaf_request request = SHEAF_REQUEST_INIT;
    request.model = engine->places[0].options.model;
    uint32_t route;
    int32_t status = sheaf__route_find(engine, &request, &route, NULL);
    if (status == SHEAF_OK) status = flight_new(engine, lane, id, route, &f);
    if (status) return status;
    f->ready = true;
  }
  int32_t status = tell(f, &(sheaf__lane_input){.kind = SHEAF__IN_RECORD,
                                                .tag = type,
                                                .bytes = sheaf__slice_from(payload, 8),
                                                .now_ns = engine->now_ns});
  /* While recovering a lane may only say which rows it holds, so that the source's rows pass by
   * them. */
  while (status == SHEAF_OK && f->lane->next(f->state, &f->action)) {
    if (f->action.kind != SHEAF__HOLDS || f->action.index_last < f->action.index)
      return SHEAF_E_INTERNAL;
    uint64_t rows = f->action.index_last - f->action.index + 1;
    status = sheaf__ranges_add(engine, &engine->held, f->action.index, f->action.index_last);
    engine->rows_held += rows;
    engine->stats.admitted += rows;
  }
  return status;
}
