/* twins.c: identical requests share one call. The first leads; those that come while it is inside
 * wait behind it and are given what its call brings. Nothing here allocates but the table, ahead of
 * need.
 *
 * Twins are of one route, path, fingerprint and trust_key. A leader that ends by its own cancel or
 * deadline says nothing of the request: its first twin that is still in time leads then. Order: the
 * table; joining and parting; the leader's end. */
#include "engine/engine_int.h"

/* ---- The table of leaders ---- */

static sheaf__bond **slot_of(const sheaf_engine *engine, uint64_t hash) {
  return &engine->leaders[hash & (engine->leader_capacity - 1)];
}

/* Room for one leader more; on average at most one stands in a slot. */
int32_t sheaf__twin_reserve(sheaf_engine *engine) {
  uint32_t old = engine->leader_capacity;
  if (engine->leader_count < old) return SHEAF_OK;
  uint32_t wanted = old ? 2 * old : SHEAF__CHUNK;
  sheaf__bond **before = engine->leaders;
  sheaf__bond **slots = sheaf__alloc_zero(&engine->allocator, wanted * sizeof *slots);
  if (slots == NULL) return SHEAF_E_NOMEM;
  engine->leaders = slots;
  engine->leader_capacity = wanted;
  for (uint32_t i = 0; i < old; i++)
    for (sheaf__bond *bond = before[i], *next; bond != NULL; bond = next) {
      next = bond->same_slot;
      sheaf__bond **slot = slot_of(engine, bond->twin_hash);
      bond->same_slot = *slot;
      *slot = bond;
    }
  sheaf__free(&engine->allocator, before, old * sizeof *before);
  return SHEAF_OK;
}

static void lead(sheaf_engine *engine, sheaf__bond *bond) {
  sheaf__bond **slot = slot_of(engine, bond->twin_hash);
  bond->same_slot = *slot;
  *slot = bond;
  bond->leads = true;
  bond->leader = NULL;
  engine->leader_count++;
}

static void step_down(sheaf_engine *engine, sheaf__bond *bond) {
  sheaf__bond **at = slot_of(engine, bond->twin_hash);
  while (*at != bond) at = &(*at)->same_slot;
  *at = bond->same_slot;
  bond->leads = false;
  engine->leader_count--;
}

static bool are_twins(const sheaf__bond *a, const sheaf__bond *b) {
  return a->twin_hash == b->twin_hash && a->trust == b->trust && a->row->route == b->row->route &&
         a->row->path == b->row->path &&
         memcmp(sheaf__row_fingerprint(a->row), sheaf__row_fingerprint(b->row), 16) == 0;
}

static sheaf__bond *leader_of(const sheaf_engine *engine, const sheaf__bond *bond) {
  if (engine->leader_capacity == 0) return NULL;
  sheaf__bond *at = *slot_of(engine, bond->twin_hash);
  while (at != NULL && !are_twins(at, bond)) at = at->same_slot;
  return at;
}

/* ---- Joining and parting ---- */

/* A leader that still waits goes where the most urgent of its twins would stand. */
void sheaf__row_reclass(sheaf_engine *engine, sheaf__row *row, uint32_t klass) {
  if (klass >= row->item.klass) return;
  if (sheaf__company_belongs(row)) {
    sheaf__company_reclass(engine, row, klass);
    engine->routes[row->route].blocked_until_ns = 0;
    engine->launch_due = true;
    return;
  }
  if (row->state != SHEAF__AT_QUEUE || row->item.node.at == 0) {
    row->item.klass = klass; /* for its next try */
    return;
  }
  sheaf__route *route = &engine->routes[row->route];
  sheaf__queue_remove(&route->queue, &row->item);
  row->item.klass = klass;
  int32_t status =
      sheaf__queue_push(&route->queue, &engine->allocator, &row->item, row->deadline_ns, 0);
  SHEAF_ASSERT(status == SHEAF_OK); /* the row that came has reserved a place in every class */
  route->blocked_until_ns = 0;
  engine->launch_due = true;
}

bool sheaf__twin_join(sheaf_engine *engine, sheaf__row *row) {
  sheaf__bond *bond = row->bond;
  sheaf__answer *kept = sheaf__cache_find(engine, row);
  if (kept != NULL) {
    kept->refs++;
    row->said.answer = kept;
    row->flags |= SHEAF__ROW_CACHED;
    row->state = SHEAF__AT_FLIGHT;
    engine->rows_flying++;
    sheaf__complete(engine, row, SHEAF_CLASS_NONE, NULL);
    return true;
  }
  sheaf__bond *leader = leader_of(engine, bond);
  if (leader == NULL) return false;
  bond->leader = leader; /* the last of the ring */
  bond->twin_next = leader;
  bond->twin_before = leader->twin_before;
  leader->twin_before->twin_next = bond;
  leader->twin_before = bond;
  row->state = SHEAF__AT_TWIN;
  engine->rows_twins++;
  sheaf__row_time(engine, row);
  sheaf__row_reclass(engine, leader->row, row->item.klass);
  return true;
}

void sheaf__twin_lead(sheaf_engine *engine, sheaf__row *row) {
  lead(engine, row->bond);
}

static void unlink_bond(sheaf__bond *bond) {
  bond->twin_before->twin_next = bond->twin_next;
  bond->twin_next->twin_before = bond->twin_before;
  bond->twin_next = bond->twin_before = bond;
}

void sheaf__twin_part(sheaf_engine *engine, sheaf__row *row) {
  unlink_bond(row->bond);
  row->bond->leader = NULL;
  engine->rows_twins--;
}

/* ---- The leader's end ---- */

/* Did the leader end by what is its own, and not the request's? */
static bool is_own(const sheaf_engine *engine, const sheaf__row *row, uint32_t error_class) {
  return error_class == SHEAF_CLASS_CANCELLED || error_class == SHEAF_CLASS_DEADLINE ||
         (error_class == SHEAF_CLASS_TIMEOUT && row->deadline_ns <= engine->now_ns);
}

/* The first twin in time takes the lead; the others stand behind it from now on. */
static void promote(sheaf_engine *engine, sheaf__bond *old) {
  sheaf__bond *heir;
  for (;;) {
    heir = old->twin_next;
    if (heir == old) return;
    if (sheaf__min_u64(heir->row->deadline_ns, engine->run_deadline_ns) > engine->now_ns) break;
    sheaf__complete(engine, heir->row, SHEAF_CLASS_DEADLINE,
                    "the deadline passed before it could be sent");
  }
  unlink_bond(old);
  lead(engine, heir);
  sheaf__row *row = heir->row;
  for (sheaf__bond *bond = heir->twin_next; bond != heir; bond = bond->twin_next) {
    bond->leader = heir;
    if (bond->row->item.klass < row->item.klass) row->item.klass = bond->row->item.klass;
  }
  row->state = SHEAF__AT_FLIGHT;
  engine->rows_twins--;
  engine->rows_flying++;
  sheaf__requeue(engine, row, 0);
}

/* The leader's time was up in a run that is being stopped: its twins end as all that waits does. */
static void end_stopped(sheaf_engine *engine, sheaf__bond *old) {
  while (old->twin_next != old) {
    sheaf__row *row = old->twin_next->row;
    if (row->billing <= SHEAF_BILLING_REFUSED) row->flags |= SHEAF__ROW_UNSENT;
    sheaf__complete(engine, row, SHEAF_CLASS_CANCELLED,
                    "the run was stopped before this was sent by itself");
  }
}

static void end_like(sheaf_engine *engine, sheaf__row *row, sheaf__row *leader,
                     uint32_t error_class, const char *message, bool unsent) {
  row->flags |= SHEAF__ROW_TWIN;
  if (unsent && row->billing <= SHEAF_BILLING_REFUSED) row->flags |= SHEAF__ROW_UNSENT;
  if (leader->call != NULL) {
    leader->call->shown_by++;
    row->call = leader->call;
    if (error_class) message = "the call of an identical request failed";
  }
  sheaf__complete(engine, row, error_class, message);
}

void sheaf__twins_end(sheaf_engine *engine, sheaf__row *leader, uint32_t error_class,
                      const char *message) {
  sheaf__bond *bond = leader->bond;
  step_down(engine, bond);
  if (error_class == SHEAF_CLASS_NONE) sheaf__cache_keep(engine, leader);
  if (bond->twin_next == bond) return;
  bool own = is_own(engine, leader, error_class);
  if (own && !engine->draining) {
    promote(engine, bond);
    return;
  }
  if (own && error_class != SHEAF_CLASS_CANCELLED) { /* nobody takes the lead any more */
    end_stopped(engine, bond);
    return;
  }
  /* A fallback may have answered the leader; its twins ask it for themselves. */
  bool unsent = (leader->flags & SHEAF__ROW_UNSENT) != 0 || error_class == SHEAF_CLASS_CANCELLED ||
                (leader->attempts == 0 && error_class != SHEAF_CLASS_NONE);
  while (bond->twin_next != bond)
    end_like(engine, bond->twin_next->row, leader, error_class, message, unsent);
}
