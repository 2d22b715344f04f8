/* company.c: rows that wait for one another because they may share a call.
 *
 * A company is found by what its rows have in common: route, path and the key of their bodies and,
 * for prompts, the trust_key. Its members stay queued until the instant they leave (flow/window.h says
 * when); then its item stands in the route's queue, as one row's would, and until the gate has room
 * others join. Who leaves, and in what, is groups.c's.
 *
 * Outline: finding; letting go; its place in the queue; joining and leaving; ceilings; the window;
 * calls; options and time. */
#include "engine/engine_int.h"

#include "flow/window.h"
#include "lanes/prompts.h"

/* Companies that are empty are kept for a while, for they know how fast their rows come. */
#define IDLE_MAX 32u
#define SLOTS_FIRST 64u
/* Bytes a token, where nobody counted: a little under the four of English, because a call that turns
 * out too large is refused and costs another. */
#define BYTES_A_TOKEN 3u
#define NANO_A_TOKEN 1000000 /* prices are nano-USD a million tokens */

static sheaf__row *row_of(sheaf__heap_node *node) {
  return (sheaf__row *)(void *)node; /* the item is the row's first member, the node the item's */
}

/* ---- Finding ---- */

static uint64_t key_of(const sheaf__row *row) {
  const sheaf__bond *b = row->bond;
  uint64_t place = (uint64_t)row->route << 32 | (uint64_t)row->path << 16 |
                   (uint64_t)row->operation << 8 | b->traits.share;
  uint64_t key = sheaf__mix64(b->traits.key ^ sheaf__mix64(place));
  return b->traits.share == SHEAF_SHARE_PROMPTS ? sheaf__mix64(key ^ b->trust) : key;
}

static bool is_of(const sheaf__company *c, uint64_t key, const sheaf__row *row) {
  const sheaf__bond *b = row->bond;
  return c->key == key && c->route == row->route && c->path == row->path &&
         c->operation == row->operation && c->share == b->traits.share &&
         (c->share != SHEAF_SHARE_PROMPTS || c->trust == b->trust);
}

static sheaf__company **slot_of(const sheaf_engine *engine, uint64_t key) {
  return &engine->company_slots[key & (engine->company_slot_count - 1)];
}

/* Twice as many slots; without memory the old ones serve, only slower. */
static int32_t slots_grow(sheaf_engine *engine) {
  uint32_t old = engine->company_slot_count, wanted = old ? old * 2 : SLOTS_FIRST;
  if (engine->company_count < old) return SHEAF_OK;
  sheaf__company **slots = sheaf__alloc_zero(&engine->allocator, wanted * sizeof *slots);
  if (slots == NULL) return old ? SHEAF_OK : SHEAF_E_NOMEM;
  sheaf__free(&engine->allocator, engine->company_slots, old * sizeof *slots);
  engine->company_slots = slots;
  engine->company_slot_count = wanted;
  for (sheaf__company *c = engine->companies; c != NULL; c = c->next) {
    sheaf__company **slot = slot_of(engine, c->key);
    c->same_slot = *slot;
    *slot = c;
  }
  return SHEAF_OK;
}

static int32_t company_make(sheaf_engine *engine, uint64_t key, const sheaf__row *row,
                            sheaf__company **out) {
  int32_t status = slots_grow(engine);
  if (status == SHEAF_OK)
    status = sheaf__heap_reserve(&engine->company_timers, &engine->allocator,
                                 engine->company_slot_count > engine->company_count
                                     ? engine->company_slot_count
                                     : engine->company_count + 1);
  if (status) return status;
  sheaf__company *c = sheaf__alloc_zero(&engine->allocator, sizeof *c);
  if (c == NULL) return SHEAF_E_NOMEM;
  const sheaf_traits *traits = &row->bond->traits;
  c->item.node.tag = SHEAF__ITEM_COMPANY;
  c->key = key;
  c->trust = row->bond->trust;
  c->route = row->route;
  c->path = row->path;
  c->operation = row->operation;
  c->share = traits->share;
  c->inputs_max = traits->inputs_max;
  c->tokens_max = traits->tokens_max;
  c->prefix_bytes = row->body_bytes - sheaf__min_u64(row->body_bytes, traits->own.bytes);
  c->first_ns = c->last_ns = SHEAF_NEVER;
  c->idle = true; /* in neither list yet: see company_wake */
  sheaf__queue_init(&c->members, UINT32_MAX);
  sheaf__company **slot = slot_of(engine, key);
  c->same_slot = *slot;
  *slot = c;
  c->next = engine->companies;
  if (c->next != NULL) c->next->before = c;
  engine->companies = c;
  engine->company_count++;
  *out = c;
  return SHEAF_OK;
}

/* ---- Letting go ---- */

static void idle_unlink(sheaf_engine *engine, sheaf__company *c) {
  if (c->idle_before != NULL)
    c->idle_before->idle_next = c->idle_next;
  else
    engine->idle_first = c->idle_next;
  if (c->idle_next != NULL)
    c->idle_next->idle_before = c->idle_before;
  else
    engine->idle_last = c->idle_before;
  c->idle_next = c->idle_before = NULL;
  engine->idle_count--;
}

static void company_free(sheaf_engine *engine, sheaf__company *c) {
  sheaf__company **slot = slot_of(engine, c->key);
  while (*slot != c) slot = &(*slot)->same_slot;
  *slot = c->same_slot;
  if (c->before != NULL)
    c->before->next = c->next;
  else
    engine->companies = c->next;
  if (c->next != NULL) c->next->before = c->before;
  for (sheaf__company **at = &engine->companies_look; c->to_look; at = &(*at)->look_next)
    if (*at == c) {
      *at = c->look_next;
      break;
    }
  sheaf__heap_remove(&engine->company_timers, &c->timer);
  sheaf__queue_deinit(&c->members, &engine->allocator);
  sheaf__free(&engine->allocator, c, sizeof *c);
  engine->company_count--;
}

/* Nobody belongs to it any more and nothing is out for it: it stays for a while. */
static void company_rest(sheaf_engine *engine, sheaf__company *c) {
  if (c->idle || c->refs || c->calls_out) return;
  SHEAF_ASSERT(c->members.count == 0 && c->item.node.at == 0);
  c->idle = true;
  c->idle_before = engine->idle_last;
  if (c->idle_before != NULL)
    c->idle_before->idle_next = c;
  else
    engine->idle_first = c;
  engine->idle_last = c;
  if (++engine->idle_count <= IDLE_MAX) return;
  sheaf__company *oldest = engine->idle_first;
  idle_unlink(engine, oldest);
  company_free(engine, oldest);
}

void sheaf__companies_deinit(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  sheaf__heap_deinit(&engine->company_timers, a);
  for (sheaf__company *c = engine->companies, *next; c != NULL; c = next) {
    next = c->next;
    sheaf__queue_deinit(&c->members, a);
    sheaf__free(a, c, sizeof *c);
  }
  engine->companies = NULL;
  sheaf__free(a, engine->company_slots, engine->company_slot_count * sizeof(sheaf__company *));
}

/* ---- Who belongs ---- */

static bool may_share(const sheaf_engine *engine, const sheaf__row *row, uint32_t klass) {
  const sheaf_engine_options *o = &engine->options;
  const uint32_t never = SHEAF__ROW_SOLO | SHEAF__ROW_SHADOW | SHEAF__ROW_STREAM | SHEAF__ROW_TASK;
  if (row->bond == NULL || (row->flags & never)) return false;
  const sheaf_traits *traits = &row->bond->traits;
  if (traits->share == SHEAF_SHARE_INPUTS) {
    uint64_t most = o->max_inputs;
    if (traits->inputs_max) most = sheaf__min_u64(most, traits->inputs_max);
    return o->merge >= SHEAF_MERGE_LOSSLESS && traits->inputs > 0 && traits->inputs < most;
  }
  /* A merged reply is as long as all its answers together: who is in a hurry does not wait for it. */
  return traits->share == SHEAF_SHARE_PROMPTS && o->merge == SHEAF_MERGE_PROMPTS &&
         o->max_batch > 1 && engine->has_secret && !engine->stats.merge_stopped && klass != 0;
}

/* Room for n, in steps that keep the number of moves small. */
static int32_t reserve_class(sheaf_engine *engine, sheaf__heap *heap, uint32_t n) {
  uint32_t wanted = heap->capacity ? heap->capacity : 16;
  while (wanted < n) wanted = wanted > UINT32_MAX / 2 ? UINT32_MAX : wanted * 2;
  return sheaf__heap_reserve(heap, &engine->allocator, wanted);
}

/* Finds a new row its company, with room for it, so that joining, now or after a retry, cannot fail.
 * The row belongs to it until sheaf__company_forget. */
int32_t sheaf__company_reserve(sheaf_engine *engine, sheaf__row *row, uint32_t klass) {
  if (!may_share(engine, row, klass)) return SHEAF_OK;
  uint64_t key = key_of(row);
  sheaf__company *c = engine->company_slot_count ? *slot_of(engine, key) : NULL;
  while (c != NULL && !is_of(c, key, row)) c = c->same_slot;
  int32_t status = c == NULL ? company_make(engine, key, row, &c) : SHEAF_OK;
  if (status) return status;
  if (c->idle && (c->idle_before != NULL || engine->idle_first == c)) idle_unlink(engine, c);
  c->idle = false;
  status = reserve_class(engine, &c->members.classes[klass], c->refs + 1);
  if (status) {
    company_rest(engine, c);
    return status;
  }
  sheaf__bond *b = row->bond;
  b->tokens = row->counted != UINT32_MAX
                  ? row->counted
                  : (uint32_t)sheaf__min_u64(b->traits.own.bytes / BYTES_A_TOKEN + 1, UINT32_MAX);
  b->company = c;
  c->refs++;
  return SHEAF_OK;
}

/* The row goes its own way from here on; it stands in no place of the company's. */
void sheaf__company_forget(sheaf_engine *engine, sheaf__row *row) {
  if (row->bond == NULL || row->bond->company == NULL) return;
  sheaf__company *c = row->bond->company;
  row->bond->company = NULL;
  c->refs--;
  company_rest(engine, c);
}

/* ---- Its place in the route's queue ---- */

static void to_look(sheaf_engine *engine, sheaf__company *c) {
  if (c->to_look) return;
  c->to_look = true;
  c->look_next = engine->companies_look;
  engine->companies_look = c;
}

sheaf__row *sheaf__company_first(const sheaf__company *c) {
  for (uint32_t k = 0; k < SHEAF__CLASS_COUNT; k++)
    if (c->members.classes[k].count) return row_of(c->members.classes[k].nodes[0]);
  return NULL;
}

/* The least of the members' due times. */
static uint64_t due_of(const sheaf__company *c) {
  uint64_t due = SHEAF_NEVER;
  for (uint32_t k = 0; k < SHEAF__CLASS_COUNT; k++)
    if (c->members.classes[k].count) due = sheaf__min_u64(due, c->members.classes[k].nodes[0]->key);
  return due;
}

static uint64_t first_of(sheaf__company *c) {
  if (c->first_ns != SHEAF_NEVER) return c->first_ns;
  for (uint32_t k = 0; k < SHEAF__CLASS_COUNT; k++)
    for (uint32_t i = 0; i < c->members.classes[k].count; i++)
      c->first_ns =
          sheaf__min_u64(c->first_ns, row_of(c->members.classes[k].nodes[i])->item.enqueued_ns);
  return c->first_ns;
}

/* When it is to go next, as of rows: what its members wait for company at most has no say, for they
 * have company, and others wait for the gate, too. Of each class its head speaks. */
static uint64_t queue_due_of(const sheaf_engine *engine, const sheaf__company *c) {
  const uint64_t *waits = engine->routes[c->route].queue.class_wait_ns;
  uint64_t due = SHEAF_NEVER;
  for (uint32_t k = 0; k < SHEAF__CLASS_COUNT; k++) {
    if (c->members.classes[k].count == 0) continue;
    const sheaf__row *row = row_of(c->members.classes[k].nodes[0]);
    due = sheaf__min_u64(due, row->deadline_ns);
    due = sheaf__min_u64(due, sheaf__add_sat(row->item.enqueued_ns, waits[k]));
  }
  return due;
}

/* Puts its item where it belongs: the class of the most urgent member, the due time of the most due.
 * Without memory for the class it waits another millisecond, or stays where it stands. */
static void place(sheaf_engine *engine, sheaf__company *c) {
  sheaf__queue *queue = &engine->routes[c->route].queue;
  const sheaf__row *first = sheaf__company_first(c);
  uint64_t due = queue_due_of(engine, c);
  bool stands = c->item.node.at != 0;
  if (stands && c->item.klass == first->item.klass && c->item.node.key == due) return;
  if (reserve_class(engine, &queue->classes[first->item.klass], queue->count + 1)) {
    if (stands) return;
    c->timer.key = engine->now_ns + SHEAF__MS;
    int32_t timed = sheaf__heap_push(&engine->company_timers, &engine->allocator, &c->timer);
    SHEAF_ASSERT(timed == SHEAF_OK); /* reserved with the company */
    return;
  }
  if (stands) sheaf__queue_remove(queue, &c->item);
  c->item.klass = first->item.klass;
  c->item.cost = first->item.cost;
  c->item.enqueued_ns = first->item.enqueued_ns;
  c->item.node.seq = first->item.node.seq;
  int32_t status = sheaf__queue_push(queue, &engine->allocator, &c->item, due, 0);
  SHEAF_ASSERT(status == SHEAF_OK);
  if (stands) return;
  engine->routes[c->route].blocked_until_ns = 0;
  sheaf__group_event(engine, c->group_id, SHEAF_GROUP_READY, c->members.count);
}

/* ---- Joining and leaving ---- */

static void look(sheaf_engine *engine, sheaf__company *c);

/* Who waited before, or is in a hurry, does not wait for company; others may take the chance. */
static bool hurries(const sheaf__row *row) {
  return row->item.klass == 0 || row->attempts || row->bond->group_max;
}

/* When a row has waited for company enough: after its max_wait, or when half of the time that it has
 * is gone, for the call itself needs time, too, and nobody knows how much. */
static uint64_t patience_of(const sheaf_engine *engine, const sheaf__row *row) {
  uint64_t ms = row->bond->max_wait_ms ? row->bond->max_wait_ms : engine->options.max_wait_ms;
  uint64_t from = row->item.enqueued_ns;
  uint64_t until = sheaf__add_sat(from, sheaf__mul_sat(ms, SHEAF__MS));
  if (row->deadline_ns == SHEAF_NEVER || row->deadline_ns < from) return until;
  return sheaf__min_u64(until, from + (row->deadline_ns - from) / 2);
}

static void count_member(sheaf_engine *engine, sheaf__company *c, const sheaf__row *row, bool in) {
  const sheaf__bond *b = row->bond;
  uint64_t sign = in ? 1 : UINT64_MAX;
  c->inputs += sign * b->traits.inputs;
  c->tokens += sign * b->tokens;
  c->bytes += sign * row->body_bytes;
  c->hurried += (uint32_t)sign * hurries(row);
  engine->rows_gathering += sign;
  engine->routes[c->route].gathering += (uint32_t)sign;
}

static void put(sheaf_engine *engine, sheaf__company *c, sheaf__row *row) {
  memcpy(c->members.class_wait_ns, engine->routes[c->route].queue.class_wait_ns,
         sizeof c->members.class_wait_ns); /* as the options say now */
  int32_t status =
      sheaf__queue_push(&c->members, &engine->allocator, &row->item, patience_of(engine, row), 0);
  SHEAF_ASSERT(status == SHEAF_OK); /* sheaf__company_reserve */
  count_member(engine, c, row, true);
}

/* The row waits in its company; the caller counts it as queued. */
void sheaf__company_join(sheaf_engine *engine, sheaf__row *row) {
  sheaf__company *c = row->bond->company;
  bool was_empty = c->members.count == 0;
  put(engine, c, row);
  if (was_empty)
    c->first_ns = row->item.enqueued_ns;
  else if (c->first_ns != SHEAF_NEVER)
    c->first_ns = sheaf__min_u64(c->first_ns, row->item.enqueued_ns);
  if (row->attempts == 0) { /* a retry says nothing of how fast rows come */
    uint64_t now = engine->now_ns;
    if (c->last_ns != SHEAF_NEVER) c->gap_ns = sheaf__window_gap(c->gap_ns, now - c->last_ns);
    c->last_ns = now;
  }
  if (was_empty) {
    c->group_id = ++engine->group_seq;
    sheaf__group_event(engine, c->group_id, SHEAF_GROUP_ACCUMULATING, 1);
  }
  if (c->item.node.at) place(engine, c);
  to_look(engine, c);
}

/* Out of its place, for a launch or for good. */
void sheaf__company_take(sheaf_engine *engine, sheaf__company *c, sheaf__row *row) {
  sheaf__queue_remove(&c->members, &row->item);
  count_member(engine, c, row, false);
  c->was_refused = false;
  if (row->item.enqueued_ns <= c->first_ns) c->first_ns = SHEAF_NEVER;
}

/* Back, as if it had never been taken. */
void sheaf__company_untake(sheaf_engine *engine, sheaf__company *c, sheaf__row *row) {
  put(engine, c, row);
}

/* Those that were taken have left with a call. What is left is decided anew. */
void sheaf__company_left(sheaf_engine *engine, sheaf__company *c, uint64_t units) {
  sheaf__queue *queue = &engine->routes[c->route].queue;
  c->item.cost = units == 0 ? 1 : (uint32_t)sheaf__min_u64(units, UINT32_MAX);
  sheaf__queue_pop(queue, &c->item, engine->now_ns);
  c->group_id = 0;
  if (c->members.count == 0) return;
  c->group_id = ++engine->group_seq;
  sheaf__group_event(engine, c->group_id, SHEAF_GROUP_ACCUMULATING, c->members.count);
  look(engine, c);
}

/* A member ends while it waits. */
void sheaf__company_leave(sheaf_engine *engine, sheaf__row *row) {
  sheaf__company *c = row->bond->company;
  sheaf__company_take(engine, c, row);
  if (c->members.count) {
    /* It stood there with the class of its most urgent member, which may be the one that left. */
    if (c->item.node.at) place(engine, c);
    to_look(engine, c);
    return;
  }
  sheaf__queue_remove(&engine->routes[c->route].queue, &c->item);
  sheaf__heap_remove(&engine->company_timers, &c->timer);
  sheaf__group_event(engine, c->group_id, SHEAF_GROUP_FAILED, 0);
  c->group_id = 0;
}

/* False: no memory for it; it stays as it is. */
bool sheaf__company_reclass(sheaf_engine *engine, sheaf__row *row, uint32_t klass) {
  sheaf__company *c = row->bond->company;
  if (reserve_class(engine, &c->members.classes[klass], c->refs)) return false;
  bool waits = row->state == SHEAF__AT_QUEUE;
  if (waits) sheaf__company_take(engine, c, row);
  row->item.klass = klass;
  if (!waits) return true;
  put(engine, c, row);
  if (c->item.node.at) place(engine, c);
  to_look(engine, c);
  engine->launch_due = true;
  return true;
}

/* ---- Ceilings ---- */

uint32_t sheaf__company_members_max(const sheaf_engine *engine, const sheaf__company *c) {
  const sheaf_engine_options *o = &engine->options;
  if (c->share == SHEAF_SHARE_INPUTS)
    return o->merge >= SHEAF_MERGE_LOSSLESS ? (uint32_t)o->max_inputs : 1;
  bool merges = o->merge == SHEAF_MERGE_PROMPTS && !engine->stats.merge_stopped;
  return merges ? (uint32_t)sheaf__min_u64(o->max_batch, SHEAF__PROMPTS_MAX) : 1;
}

uint64_t sheaf__company_inputs_max(const sheaf_engine *engine, const sheaf__company *c) {
  if (c->share != SHEAF_SHARE_INPUTS) return UINT64_MAX;
  uint64_t most = engine->options.max_inputs;
  return c->inputs_max ? sheaf__min_u64(most, c->inputs_max) : most;
}

/* What the gate is asked before anybody is gathered: no more than the call will cost, so that nobody
 * is held back who may go. */
sheaf__cost sheaf__company_cost(const sheaf_engine *engine, const sheaf__company *c) {
  if (c->was_refused) return c->refused; /* who joined since makes it no cheaper */
  const sheaf__route *route = &engine->routes[c->route];
  return sheaf__row_cost(sheaf__company_first(c),
                         &engine->pools[engine->seats[route->seats[0]].pool]);
}

/* Nobody else can travel along, or nobody else can come. */
static bool is_full(const sheaf_engine *engine, const sheaf__company *c) {
  return c->members.count >= sheaf__company_members_max(engine, c) ||
         c->inputs >= sheaf__company_inputs_max(engine, c) ||
         (c->tokens_max && c->tokens >= c->tokens_max) || c->bytes >= SHEAF__GROUP_BODY_BYTES_MAX ||
         engine->input_ended || sheaf_engine_room(engine) == 0;
}

/* ---- The window ---- */

/* What one more member spares: a call, or the input tokens of what all prompts begin with. */
static uint64_t saving_of(const sheaf_engine *engine, const sheaf__company *c) {
  uint64_t saving = engine->options.call_cost_nano;
  const sheaf_price *price = engine->routes[c->route].price;
  if (c->share != SHEAF_SHARE_PROMPTS || price == NULL || price->input <= 0) return saving;
  uint64_t tokens = c->prefix_bytes / 4;
  return sheaf__max_u64(saving, sheaf__mul_sat(tokens, (uint64_t)price->input) / NANO_A_TOKEN);
}

/* A second of waiting, for the mean member: the option speaks of a normal one, and the classes are to
 * one another as their weights are (100, 75, 50, 25, 10). */
static uint64_t delay_cost_of(const sheaf_engine *engine, const sheaf__company *c) {
  static const uint64_t weights[SHEAF__CLASS_COUNT] = {SHEAF_PRIORITY_URGENT, SHEAF_PRIORITY_HIGH,
                                                       SHEAF_PRIORITY_NORMAL, SHEAF_PRIORITY_LOW,
                                                       SHEAF_PRIORITY_DEFERRABLE};
  uint64_t sum = 0;
  for (uint32_t k = 0; k < SHEAF__CLASS_COUNT; k++) sum += weights[k] * c->members.classes[k].count;
  return sheaf__mul_sat(engine->options.delay_cost_nano, sum) /
         (SHEAF_PRIORITY_NORMAL * (uint64_t)c->members.count);
}

static uint64_t leaves_at(sheaf_engine *engine, sheaf__company *c) {
  const sheaf_engine_options *o = &engine->options;
  const sheaf__window_rule rule = {.kind = (uint32_t)o->window,
                                   .min_batch = (uint32_t)o->min_batch,
                                   .window_ns = sheaf__mul_sat(o->window_ms, SHEAF__MS)};
  const sheaf__route *route = &engine->routes[c->route];
  const uint32_t deferrable = SHEAF__CLASS_COUNT - 1;
  if (is_full(engine, c)) return 0;
  sheaf__window_group group = {
      .members = c->members.count,
      .urgent = c->hurried > 0,
      .only_deferrable = c->members.classes[deferrable].count == c->members.count,
      .calls_out = c->calls_out > 0,
      .first_ns = first_of(c),
      .last_ns = c->last_ns == SHEAF_NEVER ? engine->now_ns : c->last_ns,
      .due_ns = due_of(c),
      .gap_ns = c->gap_ns,
      .saving_nano = saving_of(engine, c),
      .delay_cost_nano = delay_cost_of(engine, c)};
  if (rule.kind == SHEAF_WINDOW_FIXED && group.members >= rule.min_batch)
    group.gate_idle = route->queue.count == 0 && sheaf__gate_open(engine, route);
  return sheaf__window_close(&rule, &group, engine->now_ns);
}

static void look(sheaf_engine *engine, sheaf__company *c) {
  sheaf__heap_remove(&engine->company_timers, &c->timer);
  if (c->members.count == 0 || c->item.node.at) return;
  uint64_t at = leaves_at(engine, c);
  if (at == 0) {
    place(engine, c);
  } else if (at != SHEAF_NEVER) {
    c->timer.key = at;
    c->timer.seq = c->group_id;
    int32_t status = sheaf__heap_push(&engine->company_timers, &engine->allocator, &c->timer);
    SHEAF_ASSERT(status == SHEAF_OK); /* reserved with the company */
  }
}

/* Asks those for whom something changed: a member, a call's end, the time. Where the rule looks at the
 * gate, or nobody else can come, all are asked. */
void sheaf__companies_run(sheaf_engine *engine) {
  if (engine->companies == NULL) return;
  for (sheaf__heap_node *node; (node = sheaf__heap_peek(&engine->company_timers)) != NULL;) {
    if (node->key > engine->now_ns) break;
    sheaf__heap_pop(&engine->company_timers);
    to_look(engine, (sheaf__company *)(void *)((char *)node - offsetof(sheaf__company, timer)));
  }
  bool all = engine->options.window == SHEAF_WINDOW_FIXED || engine->input_ended ||
             sheaf_engine_room(engine) == 0;
  for (sheaf__company *c = engine->companies; all && c != NULL; c = c->next)
    if (c->members.count && c->item.node.at == 0) to_look(engine, c);
  while (engine->companies_look != NULL) {
    sheaf__company *c = engine->companies_look;
    engine->companies_look = c->look_next;
    c->to_look = false;
    look(engine, c);
  }
}

/* ---- Calls ---- */

/* A call of its key leaves: of a group, or of one member by itself. */
void sheaf__company_call_out(sheaf_engine *engine, sheaf__company *c, sheaf__call *call) {
  call->company = c;
  call->group_id = c->group_id;
  c->calls_out++;
  sheaf__group_event(engine, call->group_id, SHEAF_GROUP_SENDING, call->group_members);
}

/* It ended, or was taken back. A group of several tells its states itself. */
void sheaf__company_call_over(sheaf_engine *engine, sheaf__call *call, bool good) {
  sheaf__company *c = call->company;
  if (c == NULL) return;
  call->company = NULL;
  if (call->group == NULL)
    sheaf__group_event(engine, call->group_id, good ? SHEAF_GROUP_COMPLETED : SHEAF_GROUP_FAILED,
                       1);
  c->calls_out--;
  to_look(engine, c);
  company_rest(engine, c);
}

/* ---- Options and time ---- */

static void due_anew(sheaf_engine *engine, sheaf__row *row) {
  if (row->state != SHEAF__AT_QUEUE || !sheaf__company_belongs(row)) return;
  sheaf__company *c = row->bond->company;
  memcpy(c->members.class_wait_ns, engine->routes[c->route].queue.class_wait_ns,
         sizeof c->members.class_wait_ns);
  sheaf__queue_due_anew(&c->members, &row->item, patience_of(engine, row), 0);
}

void sheaf__companies_changed(sheaf_engine *engine) {
  for (uint32_t i = 0; engine->companies != NULL && i < engine->row_chunk_count; i++)
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) due_anew(engine, &engine->row_chunks[i][k]);
  for (sheaf__company *c = engine->companies; c != NULL; c = c->next) {
    c->was_refused = false;
    if (c->item.node.at) place(engine, c); /* due anew, as rows are */
    to_look(engine, c);
  }
  engine->launch_due = true;
}

/* What came before the first step came at its time: see sheaf__restamp. */
void sheaf__companies_restamp(sheaf_engine *engine) {
  for (sheaf__company *c = engine->companies; c != NULL; c = c->next) {
    c->first_ns = sheaf__add_sat(c->first_ns, engine->now_ns);
    c->last_ns = sheaf__add_sat(c->last_ns, engine->now_ns);
  }
}
