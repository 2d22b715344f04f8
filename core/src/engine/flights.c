/* flights.c: flights of many rows: their lives, and how what a lane wants is carried out.
 *
 * A flight lives from the first member that joins until the lane says it is over, across restarts:
 * its records bring it back. Its exchanges pass the same gate as everything else. Outline: making
 * and ending; turns; wishes; what moves when. */
#include "engine/engine_int.h"
#include "lanes/job_fields.h"

/* ---- Making, ending ---- */

static uint64_t job_hash(sheaf_slice job) {
  return sheaf__hash(job.data, job.bytes, 0);
}

int32_t sheaf__flight_remember(sheaf_engine *engine, const sheaf__flight *f) {
  sheaf_job_status status = {.struct_bytes = sizeof status};
  f->lane->status(f->state, &status);
  if (status.job.bytes == 0) return SHEAF_OK;
  int32_t grown = sheaf__grow(&engine->allocator, &engine->jobs_past, &engine->jobs_past_capacity,
                              engine->jobs_past_count, sizeof *engine->jobs_past, UINT32_MAX);
  if (grown) return grown;
  engine->jobs_past[engine->jobs_past_count++] = job_hash(status.job);
  return SHEAF_OK;
}

static bool is_claimed(const void *ctx, uint64_t flight, sheaf_slice job) {
  const sheaf_engine *engine = ctx;
  for (uint32_t i = 0; i < engine->jobs_past_count; i++)
    if (engine->jobs_past[i] == job_hash(job)) return true;
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next) {
    sheaf_job_status status = {.struct_bytes = sizeof status};
    f->lane->status(f->state, &status);
    if (f->id != flight && sheaf__slice_equal(status.job, job)) return true;
  }
  return false;
}

static bool is_unknown_elsewhere(const void *ctx, uint64_t flight, uint64_t requests) {
  const sheaf_engine *engine = ctx;
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next) {
    sheaf_job_status status = {.struct_bytes = sizeof status};
    f->lane->status(f->state, &status);
    if (f->id == flight || !f->lane->is_unknown(f->state)) continue;
    if (requests ? status.requests == requests : !f->parked) return true;
  }
  return false;
}

static void setup_fill(sheaf_engine *engine, sheaf__flight *f) {
  const sheaf__place *place = &engine->places[engine->seats[f->seat].place];
  f->setup.allocator = &engine->allocator;
  f->setup.options = &engine->options;
  f->setup.flight = f->id;
  f->setup.provider = sheaf_slice_of(place->options.provider->name);
  f->setup.endpoint = place->options.name;
  f->setup.base_url = place->options.base_url;
  f->setup.api = sheaf_job_api_of(place->options.provider);
  if (f->route != UINT32_MAX)
    f->setup.model =
        (sheaf_slice){engine->routes[f->route].model, engine->routes[f->route].model_bytes};
  if (f->path != UINT32_MAX)
    f->setup.path = (sheaf_slice){engine->paths[f->path].text, engine->paths[f->path].bytes};
}

/* route and path may be UINT32_MAX: not known yet. */
int32_t sheaf__flight_new(sheaf_engine *engine, uint64_t id, uint32_t route, uint32_t path,
                          sheaf__flight **out) {
  const sheaf_allocator *a = &engine->allocator;
  const sheaf__lane *lane = &sheaf__batch_lane;
  sheaf__flight *f = sheaf__alloc_zero(a, sizeof *f);
  if (f == NULL) return SHEAF_E_NOMEM;
  f->lane = lane;
  f->id = id;
  f->route = route;
  f->path = path;
  if (route != UINT32_MAX) f->seat = engine->routes[route].seats[0];
  f->timer.tag = SHEAF__TIMER_FLIGHT;
  sheaf_buf_init(&f->record, a, 2 * SHEAF_LINE_BYTES_MAX);
  sheaf_buf_init(&f->url, a, 1 << 16);
  sheaf_buf_init(&f->entry, a, 2 * SHEAF_LINE_BYTES_MAX);
  sheaf_buf_init(&f->chunk, a, (size_t)engine->options.reply_bytes_max);
  if (route != UINT32_MAX) setup_fill(engine, f);
  f->setup.allocator = a;
  f->setup.options = &engine->options;
  f->setup.flight = id;
  f->setup.is_claimed = is_claimed;
  f->setup.is_unknown_elsewhere = is_unknown_elsewhere;
  f->setup.engine = engine;
  f->state = sheaf__alloc_zero(a, lane->flight_bytes);
  int32_t status = f->state ? lane->open(f->state, &f->setup) : SHEAF_E_NOMEM;
  if (status == SHEAF_OK) {
    status = sheaf__heap_reserve(&engine->timers, a, engine->rows_made + engine->flight_count + 1);
    if (status) lane->close(f->state);
  }
  if (status) {
    sheaf__free(a, f->state, lane->flight_bytes);
    sheaf__free(a, f, sizeof *f);
    return status;
  }
  sheaf__flight **at = &engine->flights;
  while (*at != NULL) at = &(*at)->next;
  *at = f;
  engine->flight_count++;
  *out = f;
  return SHEAF_OK;
}

void sheaf__flight_settle_in(sheaf_engine *engine, sheaf__flight *f, uint32_t route,
                             uint32_t path) {
  f->route = route;
  f->path = path;
  f->seat = engine->routes[route].seats[0];
  setup_fill(engine, f);
}

static void turn_back(sheaf_engine *engine, sheaf__flight *f) {
  if (f->has_turn) engine->jobs_turned--;
  f->has_turn = f->wants_turn = false;
}

static void flight_free(sheaf_engine *engine, sheaf__flight *f) {
  const sheaf_allocator *a = &engine->allocator;
  turn_back(engine, f);
  engine->reserved_usd_nano -= f->reserved_usd_nano;
  sheaf__heap_remove(&engine->timers, &f->timer);
  f->lane->close(f->state);
  sheaf_buf_deinit(&f->record);
  sheaf_buf_deinit(&f->url);
  sheaf_buf_deinit(&f->entry);
  sheaf_buf_deinit(&f->chunk);
  sheaf__free(a, f->headers, f->header_capacity * sizeof *f->headers);
  sheaf__free(a, f->state, f->lane->flight_bytes);
  sheaf__free(a, f, sizeof *f);
  engine->flight_count--;
}

void sheaf__flight_forget(sheaf_engine *engine, sheaf__flight *f) {
  for (sheaf__flight **at = &engine->flights; *at != NULL; at = &(*at)->next)
    if (*at == f) {
      *at = f->next;
      break;
    }
  flight_free(engine, f);
}

static int32_t flight_over(sheaf_engine *engine, sheaf__flight *f) {
  int32_t status = sheaf__flight_remember(engine, f);
  if (status) return status;
  if (engine->has_spool) {
    bool was_inside = engine->inside;
    engine->inside = true;
    engine->spool.drop(engine->spool.ctx, f->id);
    engine->inside = was_inside;
  }
  sheaf__flight_forget(engine, f);
  return SHEAF_OK;
}

void sheaf__flights_deinit(sheaf_engine *engine) {
  while (sheaf__first_flight(engine) != NULL) sheaf__flight_forget(engine, engine->flights);
  sheaf__free(&engine->allocator, engine->held.items,
              engine->held.capacity * sizeof *engine->held.items);
  sheaf__free(&engine->allocator, engine->jobs_past,
              engine->jobs_past_capacity * sizeof *engine->jobs_past);
  sheaf__job_news_deinit(engine);
}

/* ---- Turns: not more jobs at the provider than max_jobs ---- */

static uint64_t jobs_allowed(const sheaf_engine *engine, const sheaf__flight *f) {
  if (engine->options.max_jobs) return engine->options.max_jobs;
  if (f->setup.api != NULL && f->setup.api->traits.jobs_max) return f->setup.api->traits.jobs_max;
  /* What only is submitted waits for nobody here. */
  return engine->options.batch_mode == SHEAF_BATCH_SUBMIT ? SHEAF_NEVER : SHEAF__JOBS_MAX;
}

/* A job that was submitted in an earlier run has had its turn, whatever the number is now. */
static bool may_turn(const sheaf_engine *engine, const sheaf__flight *f) {
  return f->has_turn || engine->jobs_turned < jobs_allowed(engine, f);
}

static int32_t give_turn(sheaf_engine *engine, sheaf__flight *f) {
  f->wants_turn = false;
  if (!f->has_turn) engine->jobs_turned++;
  f->has_turn = true;
  f->dry = false;
  return sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_TURN});
}

/* ---- Carrying out wishes ---- */

/* Every row so far has its end, also those that jobs gave back, and the caller has taken it. What a drain
 * cut short has not. */
static bool results_are_out(const sheaf_engine *engine) {
  return engine->rows_done == 0 && engine->rows_rescued == 0 && !engine->event_pending &&
         !engine->draining;
}

static int32_t want_store(sheaf_engine *engine, sheaf__flight *f,
                          const sheaf__lane_action *action) {
  if (action->after_results && !results_are_out(engine)) return SHEAF_E_LATER;
  int32_t status = sheaf__ring_reserve(&engine->actions, &engine->allocator, 1);
  if (status) return status;
  /* The record begins with the flight's id, by which recovery finds it again. */
  sheaf_buf_reset(&f->record);
  uint8_t id[8];
  sheaf__put_le(id, f->id, sizeof id);
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

static int32_t want_timer(sheaf_engine *engine, sheaf__flight *f,
                          const sheaf__lane_action *action) {
  sheaf__heap_remove(&engine->timers, &f->timer);
  f->timer.key = action->at_ns;
  f->timer.seq = f->id;
  f->timer_tag = action->tag;
  return sheaf__heap_push(&engine->timers, &engine->allocator, &f->timer);
}

static int32_t want_seal(sheaf_engine *engine, const sheaf__flight *f) {
  bool was_inside = engine->inside;
  engine->inside = true;
  int32_t status = engine->spool.seal(engine->spool.ctx, f->id);
  engine->inside = was_inside;
  return status;
}

static int32_t carry_out(sheaf_engine *engine, sheaf__flight *f) {
  const sheaf__lane_action *action = &f->action;
  switch (action->kind) {
    case SHEAF__WANT_EXCHANGE:
      f->wish = *action;
      f->wants_exchange = true;
      engine->launch_due = true;
      return SHEAF_OK;
    case SHEAF__WANT_STORE: return want_store(engine, f, action);
    case SHEAF__WANT_TIMER: return want_timer(engine, f, action);
    case SHEAF__WANT_TURN: f->wants_turn = true; return SHEAF_OK;
    case SHEAF__WANT_SEAL: return want_seal(engine, f);
    case SHEAF__WANT_NEWS: return sheaf__job_news_push(engine, f, action->news);
    case SHEAF__ROW_DONE: {
      int32_t status = sheaf__flight_row_done(engine, f, action);
      if (status == SHEAF_OK || status == SHEAF_E_NOMEM) return status;
      return sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_BROKEN});
    }
    case SHEAF__FLIGHT_PARKED:
      f->parked = true;
      turn_back(engine, f);
      return SHEAF_OK;
    default: return SHEAF_E_INTERNAL;
  }
}

static bool has_room(const sheaf_engine *engine) {
  return engine->rows_done + engine->rows_queued < SHEAF__FLIGHT_RESULTS_MAX;
}

static bool is_waiting(const sheaf__flight *f) {
  return !f->begun || f->parked || f->ticket != 0 || f->wants_exchange || f->wants_turn;
}

/* Until the lane wants nothing, or waits for something, or the caller must first take results. */
static int32_t pump(sheaf_engine *engine, sheaf__flight *f) {
  while (!is_waiting(f) && has_room(engine)) {
    if (!f->stuck && !f->lane->next(f->state, &f->action)) {
      f->dry = true;
      return SHEAF_OK;
    }
    f->dry = false;
    if (f->action.kind == SHEAF__WANT_MEMORY) return SHEAF_E_NOMEM;
    if (f->action.kind == SHEAF__FLIGHT_OVER) {
      f->stuck = true; /* it is gone with its end, or wants it again */
      return flight_over(engine, f);
    }
    int32_t status = carry_out(engine, f);
    f->stuck = status != SHEAF_OK; /* the same wish is carried out at a later step */
    if (status == SHEAF_E_LATER) return SHEAF_OK;
    if (status == SHEAF_E_IO || status == SHEAF_E_STORE)
      engine->store_failed = true; /* the spool */
    if (status) return status;
  }
  return SHEAF_OK;
}

int32_t sheaf__flight_tell(sheaf_engine *engine, sheaf__flight *f, sheaf__lane_input *input) {
  input->now_ns = engine->now_ns;
  input->unix_ms = engine->unix_ms;
  f->dry = false;
  return f->lane->on_input(f->state, input);
}

void sheaf__flight_timer(sheaf_engine *engine, sheaf__heap_node *node) {
  sheaf__flight *f = (sheaf__flight *)(void *)((char *)node - offsetof(sheaf__flight, timer));
  sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_TIMER, .tag = f->timer_tag});
}

/* Those of an earlier run begin when the input has shown which of their rows are done. */
static bool may_begin(const sheaf_engine *engine, const sheaf__flight *f) {
  if (f->begun || engine->recovering) return false;
  if (f->from_records) return engine->input_ended || f->passed >= f->members;
  return f->ready || engine->input_ended;
}

/* The run is stopped while rows still join: they end unsent, as all that waits. */
static int32_t stop_joining(sheaf_engine *engine, sheaf__flight *f) {
  f->begun = true;
  int32_t status = sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_CANCEL});
  if (status == SHEAF_OK)
    status = sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_BEGIN});
  return status;
}

static bool stops_joining(const sheaf_engine *engine, const sheaf__flight *f) {
  return engine->draining && !engine->recovering && !f->begun && !f->from_records;
}

/* Its key was refused earlier: the wish is answered as that call was. */
static int32_t refuse_exchange(sheaf_engine *engine, sheaf__flight *f) {
  sheaf_decoded decoded;
  sheaf_decoded_init(&decoded);
  decoded.error_class = engine->stop_class;
  decoded.billing = SHEAF_BILLING_NOT_SENT;
  decoded.error_message = SHEAF_LITERAL("the key was refused earlier in this run");
  f->wants_exchange = false;
  return sheaf__flight_tell(
      engine, f,
      &(sheaf__lane_input){.kind = SHEAF__IN_REPLY, .tag = f->wish.tag, .decoded = &decoded});
}

static bool is_stopped(const sheaf_engine *engine, const sheaf__flight *f) {
  return f->wants_exchange && engine->stop_class &&
         engine->places[engine->seats[f->seat].place].stopped;
}

/* One flight's part of a step. */
static int32_t run_one(sheaf_engine *engine, sheaf__flight *f) {
  int32_t status = SHEAF_OK;
  if (may_begin(engine, f) && !engine->draining) {
    f->begun = true;
    status = sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_BEGIN});
  }
  if (status == SHEAF_OK && stops_joining(engine, f)) status = stop_joining(engine, f);
  if (status == SHEAF_OK && is_stopped(engine, f)) status = refuse_exchange(engine, f);
  if (f->ticket && f->ticket <= engine->ticket_stored) {
    f->ticket = 0;
    status = sheaf__flight_tell(engine, f,
                                &(sheaf__lane_input){.kind = SHEAF__IN_STORED, .tag = f->tag});
  }
  if (status == SHEAF_OK && f->wants_turn && may_turn(engine, f)) status = give_turn(engine, f);
  return status == SHEAF_OK ? pump(engine, f) : status;
}

/* Without memory all wait; a spool that fails is no reason for the others to. */
int32_t sheaf__flights_run(sheaf_engine *engine) {
  int32_t first = SHEAF_OK;
  for (sheaf__flight *f = engine->flights, *next; f != NULL && first != SHEAF_E_NOMEM; f = next) {
    next = f->next;
    int32_t status = run_one(engine, f);
    if (first == SHEAF_OK || status == SHEAF_E_NOMEM) first = status;
  }
  return first;
}

/* ---- What moves when ---- */

bool sheaf__flights_may_move(const sheaf_engine *engine) {
  if (engine->recovering || engine->store_failed) return false;
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next) {
    if (may_begin(engine, f) && !engine->draining) return true;
    if (stops_joining(engine, f) || is_stopped(engine, f)) return true;
    if (f->ticket && f->ticket <= engine->ticket_stored) return true;
    if (f->wants_turn && may_turn(engine, f)) return true;
    if (is_waiting(f) || f->dry || !has_room(engine)) continue;
    if (!f->stuck || !f->action.after_results || results_are_out(engine)) return true;
  }
  return false;
}

/* A wish for a turn that nobody in this run gives back, as when the others only are submitted. */
static bool waits_in_vain(const sheaf_engine *engine, const sheaf__flight *f) {
  if (!f->wants_turn || may_turn(engine, f)) return false;
  for (const sheaf__flight *other = engine->flights; other != NULL; other = other->next)
    if (other->has_turn && !other->parked) return false;
  return true;
}

bool sheaf__flights_over(const sheaf_engine *engine) {
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next)
    if (!f->parked && !waits_in_vain(engine, f)) return false;
  return true;
}

/* While draining nothing new starts; what is on its way into the store is let end. */
bool sheaf__flights_rest(const sheaf_engine *engine) {
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next)
    if (stops_joining(engine, f))
      return false;
    else if (f->begun && !engine->store_failed &&
             (f->ticket != 0 || f->is_out ||
              (!is_waiting(f) && !f->dry && !(f->stuck && f->action.after_results))))
      return false;
  return true;
}
