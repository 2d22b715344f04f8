/* queue_watch.c: rules about waiting, and about the events of groups.
 *
 * When a row waits for company and where it stands is read from the engine, for nothing outside
 * of it shows that; what should be is computed here. Order: order in the queue, waiting for
 * company, deadlines, groups' events. */
#include "queue_sim.h"

#include "engine/engine_int.h"

/* ---- Order in the queue ---- */

static const sheaf__row *inside_of(const sheaf_engine *engine, const qs_row *row) {
  return sheaf__row_by_index(engine, row->index);
}

static bool has_company(const sheaf__row *inside) {
  return inside->bond != NULL && inside->bond->company != NULL;
}

/* An urgent row that finds nobody of its class, in a queue that owes the class its turn. */
void qs_watch_admitted(qs_world *w, const sheaf_engine *engine, uint32_t me) {
  qs_row *row = &w->rows[me];
  const sheaf__row *inside = inside_of(engine, row);
  if (row->ask.klass || inside == NULL || inside->state != SHEAF__AT_QUEUE || has_company(inside))
    return;
  const sheaf__queue *queue = &engine->routes[inside->route].queue;
  row->fresh = queue->classes[0].count == 1 && queue->finish[0] <= queue->virtual_time;
}

static uint64_t class_wait_ns(const qs_world *w, uint32_t klass) {
  return (&w->options.class_wait_urgent_ms)[klass] * QS_MS;
}

static bool gathers(const sheaf__row *inside) {
  return inside->state == SHEAF__AT_QUEUE && has_company(inside) &&
         inside->bond->company->item.node.at == 0;
}

/* Until when a row may wait for company; by its deadline, half of its time. */
static uint64_t patience_of(const qs_world *w, const qs_row *row) {
  uint64_t ms = row->ask.max_wait_ms ? row->ask.max_wait_ms : w->options.max_wait_ms;
  uint64_t until = row->admitted_ns + ms * QS_MS;
  uint64_t half =
      row->ask.deadline_ms ? row->admitted_ns + row->ask.deadline_ms * QS_MS / 2 : SHEAF_NEVER;
  return until < half ? until : half;
}

/* When a row that stands in the queue is to go next; of several that stand there as one, when those
 * are. */
static uint64_t due_of(const qs_world *w, const qs_row *row, const sheaf__row *inside) {
  uint64_t due = row->admitted_ns + class_wait_ns(w, inside->item.klass);
  if (has_company(inside)) return inside->bond->company->item.node.key;
  return due < row->deadline_ns ? due : row->deadline_ns;
}

/* Did it stand in the queue when this start was decided? All starts of a step are decided before
 * the first is seen. */
static bool stands(const qs_world *w, const qs_row *row, const sheaf__row *inside) {
  if (row->out || (row->exchange != QS_NONE && w->exchanges[row->exchange].started_ns == w->now_ns))
    return false;
  return inside->state == SHEAF__AT_QUEUE || inside->state == SHEAF__AT_FLIGHT;
}

/* A fresh urgent row is passed once at most, unless another urgent one goes before it. */
static void watch_fresh(qs_world *w, const sheaf_engine *engine, const qs_exchange *x,
                        uint32_t klass) {
  for (uint32_t i = 0; i < w->config.rows; i++) {
    qs_row *row = &w->rows[i];
    if (!row->fresh || row->ask.content.model != x->model) continue;
    const sheaf__row *inside = inside_of(engine, row);
    if (inside == NULL || !stands(w, row, inside) || klass == 0) {
      row->fresh = false;
    } else if (++row->others > 1) {
      qs_fail(w, "a fresh urgent row was passed twice", i, x->id >> 16);
    }
  }
}

/* Who is overdue is passed by later ones every second time at most. */
static void watch_overdue(qs_world *w, const sheaf_engine *engine, const qs_exchange *x,
                          uint64_t popped_due) {
  for (uint32_t i = 0; i < w->config.rows; i++) {
    qs_row *row = &w->rows[i];
    if (!row->admitted || row->ends || row->ask.content.model != x->model) continue;
    const sheaf__row *inside = inside_of(engine, row);
    bool waits = inside != NULL && stands(w, row, inside) && !gathers(inside);
    /* A company that had its turn in this step has another due time now. */
    if (waits && has_company(inside))
      waits = inside->state == SHEAF__AT_QUEUE && inside->bond->company->group_id == row->group;
    uint64_t due = waits ? due_of(w, row, inside) : SHEAF_NEVER;
    if (due < w->engine_ns && popped_due > due)
      row->passes++;
    else
      row->passes = 0;
    if (row->passes > 1)
      qs_fail(w, "an overdue row was passed twice in a row", i, w->engine_ns - due);
  }
}

/* Nothing but places in flight holds the starts of a row's model back. */
static bool is_route_free(const qs_world *w, const sheaf_engine *engine, const sheaf__row *inside) {
  const sheaf_engine_options *o = &w->options;
  const sheaf__route *route = &engine->routes[inside->route];
  if (o->rpm || o->tpm || o->start_interval_ms || w->config.budget || w->config.places > 1)
    return false;
  const sheaf__seat *seat = &engine->seats[route->seats[0]];
  const sheaf__pool *pool = &engine->pools[seat->pool];
  return seat->breaker.state == SHEAF__BREAKER_CLOSED && pool->pause_until_ns <= w->engine_ns &&
         !pool->probing && !pool->learned_wmax && pool->next_start_ns <= w->engine_ns &&
         o->concurrency;
}

/* What waits for one model is not passed by what is less urgent and waits for another. */
static void watch_models(qs_world *w, const sheaf_engine *engine, const qs_exchange *x,
                         uint32_t klass, uint64_t popped_due) {
  if (klass == 0 || popped_due <= w->engine_ns) return;
  for (uint32_t i = 0; i < w->config.rows; i++) {
    qs_row *row = &w->rows[i];
    if (!row->fresh || row->ask.content.model == x->model) continue;
    const sheaf__row *inside = inside_of(engine, row);
    if (inside != NULL && stands(w, row, inside) && is_route_free(w, engine, inside))
      qs_fail(w, "an urgent row was passed by another model's", i, x->id >> 16);
  }
}

void qs_watch_start(qs_world *w, const sheaf_engine *engine, const qs_exchange *x) {
  uint32_t klass = x->shadow ? 4 : 0;
  uint64_t popped = 0; /* not known: taken as due */
  if (w->config.store_late || w->config.starves) return;
  for (uint32_t i = 0; i < x->count && !x->shadow; i++) {
    const sheaf__row *inside = inside_of(engine, &w->rows[x->members[i]]);
    if (i == 0 || inside->item.klass < klass) klass = inside->item.klass;
    if (x->count == 1 && !has_company(inside)) popped = due_of(w, &w->rows[x->members[i]], inside);
  }
  watch_fresh(w, engine, x, klass);
  watch_models(w, engine, x, klass, popped);
  watch_overdue(w, engine, x, popped);
}

/* ---- Waiting for company ---- */

static bool is_call_out(const qs_world *w, const qs_row *row) {
  for (uint32_t i = 0; i < w->exchange_count; i++) {
    const qs_exchange *x = &w->exchanges[i];
    if (x->id == 0 || x->ended || x->shadow) continue;
    if (qs_same_key(&w->rows[x->members[0]].ask, &row->ask)) return true;
  }
  return false;
}

static void watch_company(qs_world *w, const sheaf_engine *engine, uint32_t me) {
  const sheaf_engine_options *o = &w->options;
  const qs_row *row = &w->rows[me];
  uint64_t members = 0, inputs = 0, first = SHEAF_NEVER;
  bool deferrable = true, lists = row->ask.content.kind != QS_CHAT;
  for (uint32_t i = 0; i < w->config.rows; i++) {
    const qs_row *other = &w->rows[i];
    const sheaf__row *inside = other->admitted && !other->ends ? inside_of(engine, other) : NULL;
    if (inside == NULL || !gathers(inside) || !qs_same_key(&row->ask, &other->ask)) continue;
    members++;
    inputs += other->ask.content.inputs;
    if (other->admitted_ns < first) first = other->admitted_ns;
    deferrable = deferrable && inside->item.klass == 4;
  }
  uint64_t most = w->config.inputs_max && w->config.inputs_max < o->max_inputs
                      ? w->config.inputs_max
                      : o->max_inputs;
  if (lists ? inputs >= most : members >= o->max_batch)
    qs_fail(w, "a full company waits", me, members);
  if (deferrable) return;
  if (o->window == SHEAF_WINDOW_FIXED && w->engine_ns >= first + o->window_ms * QS_MS)
    qs_fail(w, "company was waited for beyond the window", me, w->engine_ns - first);
  if (o->window == SHEAF_WINDOW_EAGER && !w->config.store_late && !w->config.collide &&
      !is_call_out(w, row))
    qs_fail(w, "company was waited for though nothing of the key is out", me, members);
}

/* Of several that stand in the queue as one, nobody is due much before they are: by no more than it
 * would wait for company, for whoever is let in for its impatience goes first. */
static void watch_together(qs_world *w, uint32_t me, const sheaf__row *inside) {
  const qs_row *row = &w->rows[me];
  uint64_t due = inside->bond->company->item.node.key;
  if (row->odd || w->config.starves) return; /* other options, or no memory for its place */
  if (due > patience_of(w, row) + class_wait_ns(w, inside->item.klass))
    qs_fail(w, "a member is due long before its company", me, due - row->admitted_ns);
}

static void watch_gathering(qs_world *w, const sheaf_engine *engine, uint32_t me,
                            const sheaf__row *inside) {
  const sheaf_engine_options *o = &w->options;
  const qs_row *row = &w->rows[me];
  uint64_t until = patience_of(w, row), wakes = sheaf_engine_timeout_ns(engine);
  bool lists = row->ask.content.kind != QS_CHAT;
  if (w->stopping || w->paused) return;
  if (!qs_mergeable(&row->ask))
    qs_fail(w, "what travels alone waits for company", me, row->ask.content.kind);
  if (o->merge < (lists ? SHEAF_MERGE_LOSSLESS : SHEAF_MERGE_PROMPTS))
    qs_fail(w, "company is waited for though merging is off", me, o->merge);
  if (row->ask.klass == 0) qs_fail(w, "an urgent row waits for company", me, 0);
  if (inside->attempts) qs_fail(w, "a retry waits for company", me, inside->attempts);
  if (w->input_ended) qs_fail(w, "company is waited for though nobody can come", me, 0);
  if (w->engine_ns >= until)
    qs_fail(w, "company was waited for beyond max_wait", me, w->engine_ns - until);
  if (wakes > until) qs_fail(w, "nobody wakes who waits for company", me, wakes);
  if (!w->config.starves) watch_company(w, engine, me);
}

/* ---- After a step ---- */

/* Nothing that the engine knows of holds a start back: then nobody who may leave is left. */
static bool is_gate_open(const qs_world *w, const sheaf_engine *engine) {
  const qs_config *c = &w->config;
  const sheaf_engine_options *o = &w->options;
  if (o->rpm || o->tpm || o->start_interval_ms || c->budget || c->store_late || c->starves ||
      w->paused || w->stopping)
    return false;
  if (c->places > 1 || o->concurrency == 0 ? w->in_flight > 0 : w->in_flight >= o->concurrency)
    return false;
  for (uint32_t i = 0; i < engine->pool_count; i++) {
    const sheaf__pool *p = &engine->pools[i];
    if (p->pause_until_ns > w->engine_ns || p->probing || p->learned_wmax ||
        p->next_start_ns > w->engine_ns)
      return false;
  }
  for (uint32_t i = 0; i < engine->seat_count; i++)
    if (engine->seats[i].breaker.state != SHEAF__BREAKER_CLOSED) return false;
  return true;
}

/* A call that nobody waits for any more is cancelled. */
static void watch_deserted(qs_world *w) {
  for (uint32_t i = 0; i < w->exchange_count; i++) {
    const qs_exchange *x = &w->exchanges[i];
    uint32_t left = 0;
    if (x->id == 0 || x->ended || x->asked || x->shadow) continue;
    for (uint32_t k = 0; k < x->count; k++) left += w->rows[x->members[k]].ends == 0;
    if (left == 0) qs_fail(w, "a call that nobody waits for goes on", x->id, x->count);
  }
}

static void watch_cache(qs_world *w, const sheaf_engine *engine) {
  sheaf_stats s;
  sheaf_engine_stats(engine, &s);
  if (s.cache_entries > w->options.cache_entries)
    qs_fail(w, "more answers kept than may be", s.cache_entries, 0);
  if (s.cache_bytes > w->options.cache_bytes_max)
    qs_fail(w, "more bytes kept than may be", s.cache_bytes, 0);
}

void qs_watch_turn(qs_world *w, const sheaf_engine *engine, bool all_taken) {
  if (w->now_ns < w->hungry_until_ns) return;
  const bool open = is_gate_open(w, engine);
  watch_cache(w, engine);
  for (uint32_t i = 0; i < w->config.rows && !w->failure[0]; i++) {
    qs_row *row = &w->rows[i];
    if (!row->admitted || row->ends) continue;
    const sheaf__row *inside = inside_of(engine, row);
    if (inside == NULL) {
      qs_fail(w, "a row is lost", i, row->index);
      return;
    }
    bool clear = all_taken && !w->stopping &&
                 !(row->out && w->config.backwards); /* by which clock did it time out? */
    if (clear && w->engine_ns >= row->deadline_ns)
      qs_fail(w, "still inside after its deadline", i, w->engine_ns - row->deadline_ns);
    bool together = inside->state == SHEAF__AT_QUEUE && has_company(inside) && !gathers(inside);
    row->group = together ? inside->bond->company->group_id : 0;
    if (together) watch_together(w, i, inside);
    if (gathers(inside))
      watch_gathering(w, engine, i, inside);
    else if (inside->state == SHEAF__AT_QUEUE && open)
      qs_fail(w, "left in the queue though the gate is open", i, w->in_flight);
    if (inside->state == SHEAF__AT_TWIN &&
        inside->bond->leader->row->item.klass > inside->item.klass && !w->config.starves)
      qs_fail(w, "a twin behind a less urgent leader", i, inside->item.klass);
  }
  if (all_taken) watch_deserted(w);
}

/* ---- Events of groups ---- */

static bool may_follow(uint32_t before, uint32_t after) {
  switch (after) {
    case SHEAF_GROUP_ACCUMULATING: return before == 0;
    case SHEAF_GROUP_READY: return before == SHEAF_GROUP_ACCUMULATING;
    case SHEAF_GROUP_SENDING: return before == SHEAF_GROUP_READY;
    case SHEAF_GROUP_AWAITING: return before == SHEAF_GROUP_SENDING;
    case SHEAF_GROUP_PROCESSING: return before == SHEAF_GROUP_AWAITING;
    case SHEAF_GROUP_COMPLETED:
      return before == SHEAF_GROUP_PROCESSING || before == SHEAF_GROUP_AWAITING;
    case SHEAF_GROUP_FAILED: return before != 0 && before < SHEAF_GROUP_COMPLETED;
    default: return false;
  }
}

void qs_watch_group(qs_world *w, const sheaf_event *e) {
  if (e->group == 0 || e->group >= QS_GROUPS_MAX) {
    qs_fail(w, "a group of no number", e->group, e->group_state);
    return;
  }
  qs_group *g = &w->groups[e->group];
  if (!w->config.options.group_events)
    qs_fail(w, "an event of a group that nobody asked for", e->group, 0);
  if (w->config.starves) return; /* without memory events of groups are dropped */
  if (!may_follow(g->state, e->group_state))
    qs_fail(w, "a group went from one state to another", g->state, e->group_state);
  if (e->at_ns < g->at_ns || e->at_ns < w->group_at_ns)
    qs_fail(w, "a group's time went back", e->group, e->at_ns);
  if (e->at_ns > w->engine_ns)
    qs_fail(w, "a group of the future", e->group, e->at_ns - w->engine_ns);
  if (e->group_state == SHEAF_GROUP_ACCUMULATING && e->group <= w->groups_seen)
    qs_fail(w, "a group's number was used before", e->group, w->groups_seen);
  if (e->group > w->groups_seen) w->groups_seen = e->group;
  if (e->group_members == 0 && e->group_state != SHEAF_GROUP_FAILED &&
      e->group_state != SHEAF_GROUP_PROCESSING)
    qs_fail(w, "a group of nobody", e->group, e->group_state);
  if (e->group_state == SHEAF_GROUP_AWAITING && e->group_members > g->members)
    qs_fail(w, "a group grew on its way", e->group, e->group_members);
  w->group_at_ns = e->at_ns;
  *g = (qs_group){e->group_state, e->at_ns, e->group_members};
}

void qs_watch_end(qs_world *w) {
  if (w->config.starves) return;
  for (uint64_t i = 1; i <= w->groups_seen; i++)
    if (w->groups[i].state && w->groups[i].state < SHEAF_GROUP_COMPLETED)
      qs_fail(w, "a group that never ended", i, w->groups[i].state);
}
