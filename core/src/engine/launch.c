/* launch.c: what leaves now? Gathers from the queues (live groups are of one), asks the gate, takes
 * a call and hands it to the transport as an action, behind the record that covers it. */
#include "engine/engine_int.h"

/* The upper bound of what an exchange may cost; 0 when no price is known. */
int64_t sheaf__cost_bound(const sheaf_engine *engine, const sheaf__row *row,
                          const sheaf__cost *cost) {
  const sheaf__route *route = &engine->routes[row->route];
  if (route->price == NULL) return 0;
  uint64_t output = row->output_max == UINT32_MAX ? cost->output_tokens : row->output_max;
  sheaf_usage usage = {.input_total = cost->input_tokens,
                       .output_total = (int64_t)output,
                       .cache_read = SHEAF_ABSENT,
                       .cache_write = SHEAF_ABSENT,
                       .reasoning = SHEAF_ABSENT};
  int64_t nano = sheaf_price_cost(route->price, &usage);
  return nano == SHEAF_ABSENT ? 0 : nano;
}

/* 0: the cap allows it. Else SHEAF_NEVER: ask again when something has settled. */
bool sheaf__budget_allows(const sheaf_engine *engine, int64_t bound) {
  if (engine->options.budget_usd_nano == SHEAF_NEVER) return true;
  int64_t used = sheaf__add_sat_i64(engine->spent_usd_nano, engine->reserved_usd_nano);
  used = sheaf__add_sat_i64(used, engine->stats.unknown_usd_nano);
  used = sheaf__add_sat_i64(used, bound);
  return used >= 0 && (uint64_t)used <= engine->options.budget_usd_nano;
}

typedef struct seat_choice {
  uint32_t seat;
  uint64_t wait_until_ns; /* when none is free */
  uint32_t limited_by;
  bool found;
  bool all_broken; /* each seat that is not stopped has its breaker open */
} seat_choice;

/* One endpoint's say: 0 yes, else when to ask again. */
static uint64_t seat_gate(sheaf_engine *engine, sheaf__seat *seat, const sheaf__cost *cost,
                          uint32_t *limited_by) {
  uint64_t now = engine->now_ns;
  if (engine->places[seat->place].stopped) {
    *limited_by = SHEAF_LIMITED_BY_PAUSE;
    return SHEAF_NEVER;
  }
  if (!sheaf__concurrency_may(&seat->concurrency, now)) {
    *limited_by = SHEAF_LIMITED_BY_CONCURRENCY;
    return SHEAF_NEVER; /* until something ends; the rebound is looked at once a second */
  }
  uint64_t wait = sheaf__breaker_gate(&seat->breaker, now);
  if (wait) {
    *limited_by = SHEAF_LIMITED_BY_BREAKER;
    return wait;
  }
  return sheaf__pool_gate(&engine->pools[seat->pool], cost, now, limited_by);
}

/* Of the seats that allow a start now: an endpoint not tried yet first, then the emptiest for its
 * weight, ties by index. */
static seat_choice choose_seat(sheaf_engine *engine, const sheaf__route *route,
                               const sheaf__row *row, const sheaf__cost *cost) {
  seat_choice best = {.wait_until_ns = SHEAF_NEVER, .all_broken = true};
  uint64_t best_load = SHEAF_NEVER;
  for (uint32_t i = 0; i < route->seat_count; i++) {
    uint32_t at = route->seats[i];
    sheaf__seat *seat = &engine->seats[at];
    uint32_t limited_by = SHEAF_LIMITED_BY_NOTHING;
    uint64_t wait = seat_gate(engine, seat, cost, &limited_by);
    if (wait) {
      if (limited_by != SHEAF_LIMITED_BY_BREAKER && !engine->places[seat->place].stopped)
        best.all_broken = false;
      if (wait < best.wait_until_ns || best.limited_by == SHEAF_LIMITED_BY_NOTHING)
        best.limited_by = limited_by;
      if (wait < best.wait_until_ns) best.wait_until_ns = wait;
      continue;
    }
    if (route->seat_count == 1) return (seat_choice){.seat = at, .found = true};
    uint64_t limit = sheaf__concurrency_limit_milli(&seat->concurrency, engine->now_ns);
    uint64_t load = (uint64_t)seat->concurrency.in_flight * 1000000000ull /
                    (limit * engine->places[seat->place].options.weight + 1);
    if (row->attempts && row->last_place == seat->place) load += 1ull << 60;
    if (load < best_load) {
      best_load = load;
      best.seat = at;
      best.found = true;
    }
  }
  return best;
}

/* May a start leave now, and does nothing else wait for it? For those who would rather not leave. */
bool sheaf__gate_open(sheaf_engine *engine, const sheaf__route *route) {
  const sheaf_engine_options *o = &engine->options;
  uint64_t cap = o->concurrency ? o->concurrency : o->max_concurrency;
  const sheaf__cost nothing = {0, 0};
  sheaf__row nobody = {.attempts = 0};
  return route->queue.count == 0 && engine->calls_out < cap &&
         choose_seat(engine, route, &nobody, &nothing).found;
}

/* Everything a start of n rows will push has room: from here on it cannot fail. */
static int32_t start_reserve(sheaf_engine *engine, uint32_t n) {
  const sheaf_allocator *a = &engine->allocator;
  int32_t status = sheaf__ring_reserve(&engine->actions, a, engine->launched_count + 4);
  if (status == SHEAF_OK)
    status = sheaf__grow(a, &engine->launched, &engine->launched_capacity, engine->launched_count,
                         sizeof(uint32_t), UINT32_MAX);
  if (status == SHEAF_OK && engine->store_used) {
    status = sheaf__grow(a, &engine->fresh, &engine->fresh_capacity, engine->fresh_count + n - 1,
                         sizeof(uint64_t), UINT32_MAX);
    if (status == SHEAF_OK) /* at worst each is a range of its own */
      status = sheaf__grow(a, &engine->records, &engine->record_capacity,
                           engine->record_count + engine->fresh_count + n, sizeof(sheaf_range),
                           UINT32_MAX);
  }
  return status;
}

static void fill_exchange(const sheaf_engine *engine, sheaf__call *call, const sheaf__row *row,
                          sheaf_slice url) {
  const sheaf_engine_options *o = &engine->options;
  const sheaf__place *place = &engine->places[engine->seats[call->seat].place];
  sheaf_exchange *x = &call->exchange;
  bool task = (row->flags & SHEAF__ROW_TASK) != 0;
  x->kind = task ? SHEAF_EXCHANGE_TASK : SHEAF_EXCHANGE_HTTP;
  x->method = "POST";
  x->url = url;
  x->headers = place->headers;
  x->header_count = place->header_count;
  x->endpoint = engine->seats[call->seat].place;
  x->same_key = ((uint64_t)row->path << 16 | x->endpoint) + 1;
  x->body = sheaf__row_body(row);
  x->body_bytes = row->body_bytes;
  x->reply_bytes_max = o->reply_bytes_max;
  x->stream = (row->flags & SHEAF__ROW_STREAM) != 0;
  x->index = row->index;
  x->user = row->user;
  x->timeout_ns =
      o->attempt_timeout_ms ? sheaf__mul_sat(o->attempt_timeout_ms, SHEAF__MS) : SHEAF_NEVER;
  uint64_t deadline = sheaf__min_u64(row->deadline_ns, engine->run_deadline_ns);
  if (deadline != SHEAF_NEVER)
    x->timeout_ns = sheaf__min_u64(x->timeout_ns, deadline - engine->now_ns);
}

/* A call leaves: everything that is reserved for it. */
static void begin(sheaf_engine *engine, sheaf__call *call, const sheaf__cost *cost, int64_t bound) {
  sheaf__seat *seat = &engine->seats[call->seat];
  call->cost = *cost;
  call->started_ns = engine->now_ns;
  call->reserved_usd_nano = bound;
  call->out = true;
  sheaf__pool_take(&engine->pools[seat->pool], cost, call->exchange.id, engine->now_ns);
  sheaf__concurrency_on_start(&seat->concurrency, engine->now_ns);
  sheaf__breaker_on_start(&seat->breaker, call->exchange.id, call->exchange.timeout_ns,
                          engine->now_ns);
  engine->reserved_usd_nano = sheaf__add_sat_i64(engine->reserved_usd_nano, bound);
  engine->calls_out++;
  if (engine->calls_out > engine->stats.in_flight_max)
    engine->stats.in_flight_max = engine->calls_out;
  engine->launched[engine->launched_count++] = call->slot;
}

/* A row left its queue for a call. */
void sheaf__row_launched(sheaf_engine *engine, sheaf__row *row, uint32_t place) {
  row->state = SHEAF__AT_FLIGHT;
  row->last_place = (uint8_t)place;
  if (row->attempts < UINT16_MAX) row->attempts++;
  if (row->queue_us == UINT32_MAX)
    row->queue_us =
        (uint32_t)sheaf__min_u64((engine->now_ns - row->item.enqueued_ns) / 1000, UINT32_MAX - 1);
  engine->rows_queued--;
  engine->rows_flying++;
  if (engine->store_used && !(row->flags & SHEAF__ROW_RANGED)) {
    row->flags |= SHEAF__ROW_RANGED;
    engine->fresh[engine->fresh_count++] = row->index;
  }
}

static int32_t start(sheaf_engine *engine, sheaf__route *route, sheaf__row *row, uint32_t seat_at,
                     const sheaf__cost *cost, int64_t bound) {
  sheaf__seat *seat = &engine->seats[seat_at];
  sheaf_slice url = {NULL, 0};
  sheaf__call *call;
  int32_t status = start_reserve(engine, 1);
  if (status == SHEAF_OK && !(row->flags & SHEAF__ROW_TASK))
    status = sheaf__url(engine, row->path, seat->place, &url);
  if (status == SHEAF_OK) status = sheaf__call_take(engine, &call);
  if (status) return status;

  call->row = row;
  call->seat = seat_at;
  fill_exchange(engine, call, row, url);
  begin(engine, call, cost, bound);
  if (sheaf__company_belongs(row)) { /* one of several that could not or need not travel along */
    call->group_members = 1;
    sheaf__company_call_out(engine, row->bond->company, call);
    sheaf__company_take(engine, row->bond->company, row);
    sheaf__company_left(engine, row->bond->company, row->item.cost);
  } else {
    sheaf__queue_pop(&route->queue, &row->item, engine->now_ns);
  }
  sheaf__heap_remove(&engine->timers, &row->timer);
  row->call = call;
  sheaf__row_launched(engine, row, seat->place);
  return SHEAF_OK;
}

/* ---- One start ---- */

/* No seat: when to ask again. */
static int32_t blocked(sheaf_engine *engine, sheaf__route *route, const seat_choice *choice) {
  uint64_t wait_until_ns = choice->wait_until_ns;
  engine->stats.limited_by = choice->limited_by;
  if (choice->limited_by == SHEAF_LIMITED_BY_CONCURRENCY)
    wait_until_ns = engine->now_ns + SHEAF__SECOND;
  route->blocked_until_ns = wait_until_ns;
  bool broken = choice->all_broken && choice->limited_by == SHEAF_LIMITED_BY_BREAKER;
  return broken ? SHEAF_E_LATER : SHEAF_E_EMPTY;
}

static int32_t over_budget(sheaf_engine *engine, sheaf__route *route) {
  engine->stats.limited_by = SHEAF_LIMITED_BY_BUDGET;
  route->blocked_until_ns = SHEAF_NEVER;
  if (engine->calls_out == 0) { /* nothing will settle and make room */
    if (!engine->budget_hit)
      sheaf__notice(engine, SHEAF_NOTICE_BUDGET, 0, engine->options.budget_usd_nano);
    engine->budget_hit = true;
  }
  return SHEAF_E_EMPTY;
}

static int32_t launch_row(sheaf_engine *engine, sheaf__route *route, sheaf__row *row) {
  const sheaf__pool *pool = &engine->pools[engine->seats[route->seats[0]].pool];
  sheaf__cost cost = sheaf__row_cost(row, pool);
  seat_choice choice = choose_seat(engine, route, row, &cost);
  if (!choice.found) return blocked(engine, route, &choice);
  int64_t bound = sheaf__cost_bound(engine, row, &cost);
  if (!sheaf__budget_allows(engine, bound)) return over_budget(engine, route);
  return start(engine, route, row, choice.seat, &cost, bound);
}

static void fill_group_exchange(const sheaf_engine *engine, sheaf__call *call,
                                const sheaf__group *g, sheaf_slice url) {
  const sheaf__company *c = g->company;
  sheaf__row as = {.path = c->path,
                   .index = g->rows[0]->index,
                   .text = g->body.data,
                   .body_bytes = (uint32_t)g->body.bytes,
                   .deadline_ns = SHEAF_NEVER};
  fill_exchange(engine, call, &as, url);
}

/* All that can fail of a group's start; then its start. */
static int32_t start_group(sheaf_engine *engine, sheaf__group *g, uint32_t seat_at) {
  sheaf_slice url = {NULL, 0};
  sheaf__call *call;
  int32_t status = start_reserve(engine, g->count);
  if (status == SHEAF_OK)
    status = sheaf__url(engine, g->company->path, engine->seats[seat_at].place, &url);
  if (status == SHEAF_OK) status = sheaf__call_take(engine, &call);
  if (status) return status;
  call->seat = seat_at;
  fill_group_exchange(engine, call, g, url);
  begin(engine, call, &g->cost, g->bound_usd_nano);
  sheaf__group_launched(engine, g, call);
  return SHEAF_OK;
}

/* The members go as several in one call, or the most urgent of them as it is. */
static int32_t launch_company(sheaf_engine *engine, sheaf__route *route, sheaf__company *c) {
  sheaf__row *first = sheaf__company_first(c);
  sheaf__cost cost = sheaf__company_cost(engine, c);
  seat_choice choice = choose_seat(engine, route, first, &cost);
  if (!choice.found) return blocked(engine, route, &choice);
  sheaf__group *g;
  int32_t status = sheaf__group_gather(engine, c, &g);
  if (status) return status;
  if (g->count == 1) {
    sheaf__group_scatter(engine, g);
    return launch_row(engine, route, first);
  }
  choice = choose_seat(engine, route, first, &g->cost);
  bool affordable = sheaf__budget_allows(engine, g->bound_usd_nano);
  if (choice.found && affordable) {
    status = sheaf__group_build(engine, g);
    bool apart = status != SHEAF_OK && status != SHEAF_E_NOMEM;
    if (apart) sheaf__group_apart(g); /* whatever their keys say, they cannot share */
    if (status == SHEAF_OK) status = start_group(engine, g, choice.seat);
    if (status == SHEAF_OK) return SHEAF_OK;
    sheaf__group_scatter(engine, g);
    return apart ? SHEAF_OK : status;
  }
  c->refused = g->cost;
  bool smaller = !affordable && engine->calls_out == 0;
  sheaf__group_scatter(engine, g);
  c->was_refused = !choice.found;
  if (!choice.found) return blocked(engine, route, &choice);
  /* What is left of the budget may do for one when it does not for all. */
  return smaller ? launch_row(engine, route, first) : over_budget(engine, route);
}

/* One start from a route. SHEAF_OK: one left. SHEAF_E_EMPTY: none can now. */
static int32_t launch_one(sheaf_engine *engine, sheaf__route *route) {
  sheaf__queue_item *item = sheaf__queue_peek(&route->queue, engine->now_ns);
  if (item == NULL) return SHEAF_E_EMPTY;
  uint64_t cap =
      engine->options.concurrency ? engine->options.concurrency : engine->options.max_concurrency;
  if (engine->calls_out >= cap) {
    engine->stats.limited_by = SHEAF_LIMITED_BY_CONCURRENCY;
    route->blocked_until_ns = SHEAF_NEVER; /* until something ends */
    return SHEAF_E_EMPTY;
  }
  /* The item is the first member of either. */
  if (SHEAF__HAS_COMPANY && item->node.tag == SHEAF__ITEM_COMPANY)
    return launch_company(engine, route, (sheaf__company *)(void *)item);
  return launch_row(engine, route, (sheaf__row *)(void *)item);
}

/* An exchange of a flight: the same gate, reserved as one request without tokens of its own. */
static int32_t launch_flight(sheaf_engine *engine, sheaf__flight *f) {
  const sheaf__cost cost = {0, 0};
  uint32_t limited_by = SHEAF_LIMITED_BY_NOTHING;
  uint64_t wait = seat_gate(engine, &engine->seats[f->seat], &cost, &limited_by);
  if (wait) {
    engine->next_start_all_ns = sheaf__min_u64(engine->next_start_all_ns, wait);
    return SHEAF_E_EMPTY;
  }
  sheaf__call *call;
  int32_t status = start_reserve(engine, 1);
  if (status == SHEAF_OK) status = sheaf__call_take(engine, &call);
  if (status) return status;
  call->seat = f->seat;
  status = sheaf__flight_call(engine, f, call);
  if (status) {
    sheaf__call_release(engine, call);
    return status;
  }
  begin(engine, call, &cost, 0);
  return SHEAF_OK;
}

static void hand_out(sheaf_engine *engine) {
  if (engine->fresh_count) sheaf__records_cover(engine);
  for (uint32_t i = 0; i < engine->launched_count; i++) {
    sheaf__call *call = engine->calls[engine->launched[i]];
    call->ticket = engine->ticket;
    sheaf__action_entry *entry = sheaf__ring_push(&engine->actions);
    *entry = (sheaf__action_entry){
        .kind = SHEAF_ACTION_START, .slot = call->slot, .id = call->exchange.id};
  }
  engine->launched_count = 0;
}

/* ---- Routes take turns ---- */

/* What a route that can start nothing means to those who wait in it. */
static void route_rests(sheaf_engine *engine, const sheaf__route *route, int32_t status) {
  if (status == SHEAF_E_LATER && engine->options.on_breaker == SHEAF_ON_BREAKER_FAIL)
    sheaf__end_waiting(engine, SHEAF_CLASS_BREAKER_OPEN,
                       "the circuit breaker is open and on_breaker is fail", route);
}

static int32_t serve_one(sheaf_engine *engine, sheaf__route *route) {
  int32_t status = SHEAF_E_EMPTY;
  do status = route->queue.count ? launch_one(engine, route) : SHEAF_E_EMPTY;
  while (status == SHEAF_OK);
  route_rests(engine, route, status);
  return status;
}

/* A head that is past its due time is as urgent as any: so no model's requests wait for ever. */
static uint32_t urgency(const sheaf_engine *engine, sheaf__route *route) {
  const sheaf__queue_item *head = sheaf__queue_peek(&route->queue, engine->now_ns);
  return head->node.key < engine->now_ns ? 0 : head->klass;
}

/* One start at a time goes to the route whose head is most urgent, and of equals to the one that was
 * served least recently, so that one model cannot starve another however few places there are. A
 * route that cannot start anything now is passed over, and the next has its turn. Inside a route the
 * classes share by their weights; between routes an urgent head goes first, because what it waits for
 * is its own. */
static int32_t serve_all(sheaf_engine *engine) {
  int32_t status = SHEAF_OK;
  for (uint32_t i = 0; i < engine->route_count; i++) engine->routes[i].rests = false;
  for (;;) {
    sheaf__route *best = NULL;
    uint32_t best_urgency = 0;
    for (uint32_t i = 0; i < engine->route_count; i++) {
      sheaf__route *route = &engine->routes[i];
      if (route->rests || route->queue.count == 0) continue;
      uint32_t urgent = urgency(engine, route);
      if (best != NULL && (urgent > best_urgency ||
                           (urgent == best_urgency && route->served_seq >= best->served_seq)))
        continue;
      best = route;
      best_urgency = urgent;
    }
    if (best == NULL) return SHEAF_E_EMPTY;
    status = launch_one(engine, best);
    if (status == SHEAF_OK) {
      best->served_seq = ++engine->served_seq;
      continue;
    }
    best->rests = true;
    route_rests(engine, best, status);
    if (status < SHEAF_E_END) return status; /* without memory nobody starts */
  }
}

int32_t sheaf__launch(sheaf_engine *engine) {
  if (engine->draining || engine->recovering || engine->store_failed || engine->paused)
    return SHEAF_OK;
  engine->launch_due = false;
  if (SHEAF__HAS_AUTO && engine->auto_rows) { /* how they travel is not decided */
    engine->next_start_all_ns = SHEAF_NEVER;
    return SHEAF_OK;
  }
  int32_t status = SHEAF_OK;
  engine->stats.limited_by = engine->rows_queued == 0 && engine->rows_waiting
                                 ? SHEAF_LIMITED_BY_RETRY
                                 : SHEAF_LIMITED_BY_INPUT;
  uint64_t look_again = SHEAF_NEVER;
  sheaf__companies_run(engine);
  if (engine->route_count == 1)
    status = serve_one(engine, &engine->routes[0]);
  else
    status = serve_all(engine);
  engine->next_start_all_ns = SHEAF_NEVER;
  for (sheaf__flight *f = sheaf__first_flight(engine); f != NULL && status >= SHEAF_E_LATER;
       f = f->next)
    if (f->wants_exchange) status = launch_flight(engine, f);
  look_again = engine->next_start_all_ns;
  hand_out(engine);
  for (uint32_t i = 0; i < engine->route_count; i++)
    if (engine->routes[i].queue.count && engine->routes[i].blocked_until_ns)
      look_again = sheaf__min_u64(look_again, engine->routes[i].blocked_until_ns);
  const sheaf__heap_node *company = sheaf__heap_peek(&engine->company_timers);
  if (company != NULL) look_again = sheaf__min_u64(look_again, company->key);
  if (status <= SHEAF_E_NOMEM)
    look_again =
        sheaf__min_u64(look_again, engine->now_ns + SHEAF__MS); /* what waits is still there */
  engine->next_start_all_ns = look_again;
  if (engine->budget_hit) {
    sheaf__end_waiting(engine, SHEAF_CLASS_BUDGET,
                       "the budget is spent; raise budget_usd and run again to go on", NULL);
  }
  return status <= SHEAF_E_NOMEM ? status : SHEAF_OK;
}
