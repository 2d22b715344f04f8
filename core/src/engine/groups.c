/* groups.c: one call for several rows, from the instant they are gathered until the last of them has
 * its end.
 *
 * Until the gate says yes nothing is decided: the members are taken out of their company in order,
 * most urgent first, and put back if the gate refuses. From the launch on the group owns its call.
 * A member may leave at any time (deadline, cancel): its place stays empty. What the reply means to
 * those that are left is group_end.c's.
 *
 * Outline: memory; gathering; the one body; launch; leaving; calls that never left; the end. */
#include "engine/engine_int.h"

#include "lanes/prompts.h"

/* What an answer costs besides its words: {"id":"<20 characters>","answer":""}, with its comma and a
 * few escapes; random characters are about two thirds of a token each. And the object around all. */
#define PROMPT_OVERHEAD_TOKENS 40
#define PROMPTS_OVERHEAD_TOKENS 32
/* So often a group goes without memory before its members end: a second of turns, 1 ms apart. */
#define STARVED_MAX 1000u
#define KEEP_ITEMS 4096u /* larger arrays are let go with their group */
/* Of one member's weight: 16,384 of them stay below 2^31, and products of two below 2^62. */
#define WEIGHT_MAX ((uint64_t)1 << 17)

_Static_assert(sizeof(((sheaf__group *)0)->ids[0]) == SHEAF__PROMPT_ID_BYTES, "an id's place");

/* ---- Memory ---- */

static void group_buffers(sheaf_engine *engine, sheaf__group *g) {
  const sheaf_allocator *a = &engine->allocator;
  sheaf_buf_init(&g->body, a, SHEAF__BODY_BYTES_MAX);
  sheaf_buf_init(&g->prompt, a, SHEAF__BODY_BYTES_MAX);
  sheaf_buf_init(&g->schema, a, SHEAF__BODY_BYTES_MAX);
  sheaf_buf_init(&g->answers, a, SIZE_MAX / 2);
}

static void recycle(sheaf_engine *engine, sheaf_buf *buf) {
  sheaf_buf_reset(buf);
  if (buf->capacity > engine->options.reply_keep_bytes) sheaf_buf_deinit(buf);
}

static void arrays_free(sheaf_engine *engine, sheaf__group *g) {
  const sheaf_allocator *a = &engine->allocator;
  size_t n = g->capacity;
  sheaf__free(a, g->rows, n * sizeof *g->rows);
  sheaf__free(a, g->bodies, n * sizeof *g->bodies);
  sheaf__free(a, g->traits, n * sizeof *g->traits);
  sheaf__free(a, g->ids, n * sizeof *g->ids);
  sheaf__free(a, g->input_upto, n * sizeof *g->input_upto);
  sheaf__free(a, g->output_upto, n * sizeof *g->output_upto);
  g->rows = NULL;
  g->bodies = NULL;
  g->traits = NULL;
  g->ids = NULL;
  g->input_upto = g->output_upto = NULL;
  g->capacity = 0;
}

/* All arrays of members for n, anew: nothing is in them yet. */
static int32_t arrays_reserve(sheaf_engine *engine, sheaf__group *g, uint32_t wanted) {
  if (wanted <= g->capacity) return SHEAF_OK;
  uint32_t n = 16;
  while (n < wanted) n *= 2;
  arrays_free(engine, g);
  const sheaf_allocator *a = &engine->allocator;
  g->capacity = n;
  g->rows = sheaf__alloc(a, n * sizeof *g->rows);
  g->bodies = sheaf__alloc(a, n * sizeof *g->bodies);
  g->traits = sheaf__alloc(a, n * sizeof *g->traits);
  g->ids = sheaf__alloc(a, n * sizeof *g->ids);
  g->input_upto = sheaf__alloc(a, n * sizeof *g->input_upto);
  g->output_upto = sheaf__alloc(a, n * sizeof *g->output_upto);
  if (g->rows != NULL && g->bodies != NULL && g->traits != NULL && g->ids != NULL &&
      g->input_upto != NULL && g->output_upto != NULL)
    return SHEAF_OK;
  arrays_free(engine, g);
  return SHEAF_E_NOMEM;
}

static void group_destroy(sheaf_engine *engine, sheaf__group *g) {
  arrays_free(engine, g);
  sheaf__free(&engine->allocator, g->items, g->item_capacity * sizeof *g->items);
  sheaf_buf_deinit(&g->body);
  sheaf_buf_deinit(&g->prompt);
  sheaf_buf_deinit(&g->schema);
  sheaf_buf_deinit(&g->answers);
  sheaf__free(&engine->allocator, g, sizeof *g);
}

static int32_t group_take(sheaf_engine *engine, sheaf__group **out) {
  sheaf__group *g = engine->groups_free;
  if (g != NULL) {
    engine->groups_free = g->next;
    g->next = NULL;
  } else {
    g = sheaf__alloc_zero(&engine->allocator, sizeof *g);
    if (g == NULL) return SHEAF_E_NOMEM;
    group_buffers(engine, g);
  }
  *out = g;
  return SHEAF_OK;
}

/* Its memory serves the next one, unless it is much. */
static void group_release(sheaf_engine *engine, sheaf__group *g) {
  sheaf__group keep = *g;
  memset(g, 0, sizeof *g);
  g->capacity = keep.capacity;
  g->rows = keep.rows;
  g->bodies = keep.bodies;
  g->traits = keep.traits;
  g->ids = keep.ids;
  g->input_upto = keep.input_upto;
  g->output_upto = keep.output_upto;
  g->items = keep.items;
  g->item_capacity = keep.item_capacity;
  g->body = keep.body;
  g->prompt = keep.prompt;
  g->schema = keep.schema;
  g->answers = keep.answers;
  if (g->capacity > KEEP_ITEMS) arrays_free(engine, g);
  if (g->item_capacity > KEEP_ITEMS) {
    sheaf__free(&engine->allocator, g->items, g->item_capacity * sizeof *g->items);
    g->items = NULL;
    g->item_capacity = 0;
  }
  recycle(engine, &g->body);
  recycle(engine, &g->prompt);
  recycle(engine, &g->schema);
  recycle(engine, &g->answers);
  g->next = engine->groups_free;
  engine->groups_free = g;
}

void sheaf__groups_deinit(sheaf_engine *engine) {
  for (uint32_t i = 0; i < engine->call_count; i++) /* out, or with a reply that is being told */
    if (engine->calls[i]->exchange.id && engine->calls[i]->group != NULL)
      group_destroy(engine, engine->calls[i]->group);
  for (sheaf__group *g = engine->groups_free, *next; g != NULL; g = next) {
    next = g->next;
    group_destroy(engine, g);
  }
  engine->groups_free = NULL;
}

/* ---- Gathering ---- */

/* The ceilings of one call, and how much of them is taken. */
typedef struct room {
  uint64_t members, inputs, tokens, context;
  const sheaf__pool *pool;
} room;

static uint64_t context_of(const sheaf__row *row) {
  return (uint64_t)row->bond->tokens + (row->output_max == UINT32_MAX ? 0 : row->output_max) +
         PROMPT_OVERHEAD_TOKENS;
}

static uint32_t add_u32(uint32_t a, uint32_t b) {
  return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* The first member fits in any case: alone it goes as it is. */
static bool fits(const sheaf__group *g, room *left, const sheaf__row *row,
                 const sheaf__cost *cost) {
  const sheaf__bond *b = row->bond;
  bool prompts = b->traits.share == SHEAF_SHARE_PROMPTS;
  uint64_t members = left->members;
  if (b->group_max) members = sheaf__min_u64(members, b->group_max);
  if (g->count) {
    sheaf__cost sum = {add_u32(g->cost.input_tokens, cost->input_tokens),
                       add_u32(g->cost.output_tokens, cost->output_tokens)};
    if (g->count >= members || g->bytes + row->body_bytes > SHEAF__GROUP_BODY_BYTES_MAX)
      return false;
    if (!prompts && (b->traits.inputs > left->inputs || b->tokens > left->tokens)) return false;
    if (prompts && context_of(row) > left->context) return false;
    /* A call that costs more than a whole limit could never pass. */
    if (sheaf__pool_too_large(left->pool, &sum)) return false;
  }
  left->members = members;
  left->inputs -= sheaf__min_u64(left->inputs, b->traits.inputs);
  left->tokens -= sheaf__min_u64(left->tokens, b->tokens);
  left->context -= sheaf__min_u64(left->context, context_of(row));
  return true;
}

uint64_t sheaf__weight(uint64_t n) {
  return n == 0 ? 1 : sheaf__min_u64(n, WEIGHT_MAX);
}

static void take_in(sheaf_engine *engine, sheaf__group *g, sheaf__row *row,
                    const sheaf__cost *cost) {
  uint32_t i = g->count++;
  sheaf__company_take(engine, g->company, row);
  g->rows[i] = row;
  g->bodies[i] = sheaf__row_body(row);
  g->traits[i] = row->bond->traits;
  row->bond->group_place = i;
  g->input_upto[i] = (i ? g->input_upto[i - 1] : 0) + sheaf__weight(row->bond->tokens);
  g->item_count += row->bond->traits.inputs;
  g->bytes += row->body_bytes;
  g->units += row->item.cost;
  g->first_ns = sheaf__min_u64(g->first_ns, row->item.enqueued_ns);
  g->cost.input_tokens = add_u32(g->cost.input_tokens, cost->input_tokens);
  g->cost.output_tokens = add_u32(g->cost.output_tokens, cost->output_tokens);
  g->bound_usd_nano = sheaf__add_sat_i64(g->bound_usd_nano, sheaf__cost_bound(engine, row, cost));
}

/* Takes as many members out of a company as one call holds, at least one. SHEAF_E_NOMEM: none. */
int32_t sheaf__group_gather(sheaf_engine *engine, sheaf__company *c, sheaf__group **out) {
  const sheaf_engine_options *o = &engine->options;
  const sheaf__route *route = &engine->routes[c->route];
  bool prompts = c->share == SHEAF_SHARE_PROMPTS;
  room left = {.members = sheaf__company_members_max(engine, c),
               .inputs = sheaf__company_inputs_max(engine, c),
               .tokens = c->tokens_max ? c->tokens_max : UINT64_MAX,
               .context = o->context_tokens && prompts ? o->context_tokens : UINT64_MAX,
               .pool = &engine->pools[engine->seats[route->seats[0]].pool]};
  sheaf__group *g;
  int32_t status = group_take(engine, &g);
  if (status) return status;
  status = arrays_reserve(engine, g, (uint32_t)sheaf__min_u64(left.members, c->members.count));
  if (status) {
    group_release(engine, g);
    return status;
  }
  g->company = c;
  g->first_ns = SHEAF_NEVER;
  for (sheaf__row *row; (row = sheaf__company_first(c)) != NULL;) {
    sheaf__cost cost = sheaf__row_cost(row, left.pool);
    if (!fits(g, &left, row, &cost)) break;
    take_in(engine, g, row, &cost);
  }
  *out = g;
  return SHEAF_OK;
}

/* From now on each goes alone. */
void sheaf__group_apart(sheaf__group *g) {
  for (uint32_t i = 0; i < g->count; i++) g->rows[i]->bond->group_max = 1;
}

/* As if nobody had been gathered. */
void sheaf__group_scatter(sheaf_engine *engine, sheaf__group *g) {
  for (uint32_t i = 0; i < g->count; i++) sheaf__company_untake(engine, g->company, g->rows[i]);
  group_release(engine, g);
}

/* ---- The one body ---- */

static int32_t build_prompts(sheaf_engine *engine, sheaf__group *g) {
  sheaf_shared *s = &g->shared;
  int64_t cap = PROMPTS_OVERHEAD_TOKENS;
  for (uint32_t i = 0; i < g->count; i++) {
    sheaf__prompt_id(engine->secret, g->company->group_id, i, g->ids[i]);
    g->items[i] = g->traits[i].own;
    bool capped = cap != SHEAF_ABSENT && g->traits[i].output_cap != SHEAF_ABSENT;
    cap = capped ? cap + g->traits[i].output_cap + PROMPT_OVERHEAD_TOKENS : SHEAF_ABSENT;
  }
  const char(*ids)[SHEAF__PROMPT_ID_BYTES] = (const char(*)[SHEAF__PROMPT_ID_BYTES])g->ids;
  int32_t status = sheaf__prompts_schema(ids, g->count, &g->schema);
  if (status == SHEAF_OK) status = sheaf__prompts_write(ids, g->items, g->count, &g->prompt);
  s->instructions = sheaf__prompts_instructions();
  s->prompt = sheaf_buf_slice(&g->prompt);
  s->schema = sheaf_buf_slice(&g->schema);
  s->output_cap = cap;
  return status;
}

/* SHEAF_E_NOMEM, or another status: these cannot share after all. */
int32_t sheaf__group_build(sheaf_engine *engine, sheaf__group *g) {
  const sheaf__company *c = g->company;
  const sheaf_provider *provider = engine->routes[c->route].provider;
  const sheaf_allocator *a = &engine->allocator;
  uint32_t wanted = c->share == SHEAF_SHARE_PROMPTS ? g->count : g->item_count;
  g->item_count = wanted;
  int32_t status =
      sheaf__grow(a, &g->items, &g->item_capacity, wanted - 1, sizeof *g->items, UINT32_MAX);
  if (status) return SHEAF_E_NOMEM;
  g->shared = (sheaf_shared){.struct_bytes = sizeof g->shared,
                             .share = c->share,
                             .operation = c->operation,
                             .count = g->count,
                             .bodies = g->bodies,
                             .traits = g->traits,
                             .output_cap = SHEAF_ABSENT};
  sheaf_buf_reset(&g->body);
  sheaf_buf_reset(&g->prompt);
  sheaf_buf_reset(&g->schema);
  if (c->share == SHEAF_SHARE_PROMPTS) status = build_prompts(engine, g);
  if (status == SHEAF_OK) status = provider->share(provider, &g->shared, &g->body);
  if (status == SHEAF_OK) status = g->body.status;
  return status;
}

/* ---- Launch ---- */

/* The call was taken and the gate has reserved: from here on the members fly. */
void sheaf__group_launched(sheaf_engine *engine, sheaf__group *g, sheaf__call *call) {
  sheaf__company *c = g->company;
  const sheaf__seat *seat = &engine->seats[call->seat];
  g->call = call;
  g->left = g->count;
  g->id = c->group_id;
  call->group = g;
  call->group_members = g->count;
  sheaf__company_call_out(engine, c, call);
  sheaf__company_left(engine, c, g->units);
  sheaf__histogram_add(&engine->group_waits, engine->now_ns - g->first_ns);
  for (uint32_t i = 0; i < g->count; i++) {
    sheaf__row *row = g->rows[i];
    row->bond->group = g;
    sheaf__row_launched(engine, row, seat->place);
  }
}

void sheaf__group_handed_out(sheaf_engine *engine, sheaf__call *call) {
  sheaf__group *g = call->group;
  if (g == NULL) {
    if (call->company != NULL) sheaf__group_event(engine, call->group_id, SHEAF_GROUP_AWAITING, 1);
    return;
  }
  sheaf_stats *s = &engine->stats;
  s->attempts++;
  s->bytes_sent += g->body.bytes;
  s->groups++;
  s->grouped += g->left;
  s->group_max = sheaf__company_members_max(engine, g->company);
  sheaf__group_event(engine, g->id, SHEAF_GROUP_AWAITING, g->left);
}

/* ---- Leaving ---- */

void sheaf__group_detach(sheaf__group *g, sheaf__row *row) {
  uint32_t i = row->bond->group_place;
  SHEAF_ASSERT(g->rows[i] == row);
  g->rows[i] = NULL;
  g->bodies[i] = g->traits[i].own = (sheaf_slice){NULL, 0}; /* its text is let go with the row */
  row->bond->group = NULL;
  g->left--;
}

/* A member ends while its call is out: its place stays empty, and what it may have been billed is not
 * known. A call that has not left yet does not leave: it holds the member's text. */
void sheaf__group_leave(sheaf_engine *engine, sheaf__row *row) {
  sheaf__group *g = row->bond->group;
  sheaf__call *call = g->call;
  if (!call->out) { /* the reply came, and waits for its turn: what it cost is known */
    row->billing = (uint8_t)sheaf__max_u64(row->billing, call->decoded.billing);
    int64_t cost = sheaf__group_cost_share(engine, g, row);
    (void)sheaf__keep_history(engine, row, call, &call->decoded, cost); /* without memory: unsaid */
    sheaf__group_detach(g, row);
    return;
  }
  sheaf__group_detach(g, row);
  if (call->handed_out) {
    row->billing = (uint8_t)sheaf__max_u64(row->billing, SHEAF_BILLING_UNKNOWN);
    if (g->left == 0) sheaf__call_cancel(engine, call);
    return;
  }
  g->dissolved = true;
  call->cancelling = true;
  if (row->attempts) row->attempts--;
  if (row->billing <= SHEAF_BILLING_REFUSED) row->flags |= SHEAF__ROW_UNSENT;
}

/* Each member ends as cancelled when the call does. */
void sheaf__group_cancel(sheaf__group *g) {
  for (uint32_t i = 0; i < g->count; i++)
    if (g->rows[i] != NULL) g->rows[i]->flags |= SHEAF__ROW_CANCEL;
}

/* ---- Calls that never left ---- */

static void group_over(sheaf_engine *engine, sheaf__group *g) {
  sheaf__call *call = g->call;
  call->group = NULL;
  sheaf__call_release(engine, call);
  group_release(engine, g);
}

/* The members go back to their company, or end unsent. */
void sheaf__group_unsent(sheaf_engine *engine, sheaf__call *call, bool back) {
  sheaf__group *g = call->group;
  uint32_t end = call->end.end;
  uint32_t error_class = end == SHEAF_END_CANCELLED ? SHEAF_CLASS_CANCELLED
                         : end == SHEAF_END_TIMEOUT ? SHEAF_CLASS_DEADLINE
                                                    : SHEAF_CLASS_STORE;
  const char *message = call->end.message.data; /* a literal */
  back = back || (g->dissolved && end == SHEAF_END_CANCELLED);
  back = back && !engine->draining;
  sheaf__call_taken_back(engine, call);
  sheaf__group_event(engine, g->id, SHEAF_GROUP_FAILED, g->left);
  for (uint32_t i = 0; i < g->count; i++) {
    sheaf__row *row = g->rows[i];
    if (row == NULL) continue;
    sheaf__group_detach(g, row);
    row->attempts--;
    if (back) {
      sheaf__requeue(engine, row, 0);
      continue;
    }
    if (row->billing <= SHEAF_BILLING_REFUSED) row->flags |= SHEAF__ROW_UNSENT;
    sheaf__complete(engine, row, error_class, message);
  }
  group_over(engine, g);
}

/* Decided, not handed out yet, and to be decided again later. */
void sheaf__group_put_back(sheaf_engine *engine, sheaf__call *call) {
  sheaf_exchange_end_init(&call->end);
  call->end.end = SHEAF_END_CANCELLED;
  call->end.message = SHEAF_LITERAL("cancelled before it was sent");
  sheaf__group_unsent(engine, call, true);
}

/* ---- The end ---- */

/* What follows for all members at once: the books of merging, and who is asked next. */
static void count_end(sheaf_engine *engine, sheaf__group *g) {
  sheaf_stats *s = &engine->stats;
  bool parts = g->fate == SHEAF__FATE_PARTS;
  bool apart = g->fate == SHEAF__FATE_ALONE || g->fate == SHEAF__FATE_HALVES;
  if (g->left) {
    if (!parts) s->groups_failed++;
    if (apart) s->merge_fallbacks += g->left;
    if (g->company->share == SHEAF_SHARE_PROMPTS && (parts || apart))
      sheaf__merge_seen(engine, apart);
  }
  sheaf__group_event(engine, g->id, parts ? SHEAF_GROUP_PROCESSING : SHEAF_GROUP_FAILED, g->left);
}

/* A group's call ended: the controllers hear of it as of any other, once; then the members are told,
 * as results are taken. False: without memory to read the reply; nothing was decided. */
bool sheaf__group_ends(sheaf_engine *engine, sheaf__call *call) {
  sheaf__group *g = call->group;
  if (!call->handed_out) {
    sheaf__group_unsent(engine, call, false);
    return true;
  }
  call->ended_ns = engine->now_ns;
  sheaf__call_read(engine, call, &call->decoded);
  if (!sheaf__group_read(engine, g)) {
    sheaf_buf_reset(&call->scratch);
    if (g->starved++ < STARVED_MAX) return false;
    g->fate = SHEAF__FATE_LOST;
  }
  g->starved = 0;
  g->apart = g->left;
  sheaf__call_settle(engine, call, g->bytes, g->count);
  sheaf__row nobody = {.route = g->company->route};
  g->cost_usd_nano = sheaf__tally_attempt(engine, &nobody, call);
  call->out = false;
  engine->calls_out--;
  sheaf__call_steer(engine, call);
  engine->routes[g->company->route].blocked_until_ns = 0;
  engine->launch_due = true;
  for (uint32_t i = 0; i < g->count; i++) /* the reply came in time, whenever it is taken */
    if (g->rows[i] != NULL) sheaf__heap_remove(&engine->timers, &g->rows[i]->timer);
  sheaf__group_weigh(g);
  count_end(engine, g);
  sheaf__company_call_over(engine, call, true);
  g->company = NULL; /* from here on it lives for its rows' sake alone */
  g->next = NULL;
  if (engine->pumped_last != NULL)
    engine->pumped_last->next = g;
  else
    engine->pumped_first = g;
  engine->pumped_last = g;
  engine->pump_again_ns = 0;
  return true;
}

/* Tells members their end, until all are told, too many results wait to be taken, or memory lacks. */
static bool pump(sheaf_engine *engine, sheaf__group *g) {
  for (; g->at < g->count; g->at++) {
    sheaf__row *row = g->rows[g->at];
    if (row == NULL) continue;
    if (engine->rows_done >= SHEAF__FLIGHT_RESULTS_MAX) return false;
    if (sheaf__group_tell(engine, g, row) == SHEAF_OK) continue;
    if (g->starved++ == STARVED_MAX) g->fate = SHEAF__FATE_LOST;
    engine->pump_again_ns = engine->now_ns + SHEAF__MS;
    return false;
  }
  return true;
}

/* In the order in which the replies came. */
void sheaf__groups_run(sheaf_engine *engine) {
  if (engine->pump_again_ns > engine->now_ns) return;
  engine->pump_again_ns = 0;
  while (engine->pumped_first != NULL) {
    sheaf__group *g = engine->pumped_first;
    if (!pump(engine, g)) return;
    engine->pumped_first = g->next;
    if (g->next == NULL) engine->pumped_last = NULL;
    if (g->fate == SHEAF__FATE_PARTS)
      sheaf__group_event(engine, g->id, SHEAF_GROUP_COMPLETED, g->count);
    group_over(engine, g);
  }
}
