/* check.c: the invariants of engine_int.h, walked. Compiled in always, called after every step
 * where SHEAF_CHECKS is defined. Answers the number of the first that does not hold. */
#include "engine/engine_int.h"

/* Its sums are those of its members; it stands in the route's queue only with members, and it is
 * counted as idle only without anybody. */
static uint32_t check_company(const sheaf_engine *engine, const sheaf__company *c) {
  uint64_t inputs = 0, tokens = 0, bytes = 0, hurried = 0, calls = 0, count = 0;
  for (uint32_t k = 0; k < SHEAF__CLASS_COUNT; k++)
    for (uint32_t i = 0; i < c->members.classes[k].count; i++) {
      const sheaf__row *row = (const sheaf__row *)(const void *)c->members.classes[k].nodes[i];
      if (row->bond == NULL || row->bond->company != c || row->item.klass != k) return 30;
      if (row->state != SHEAF__AT_QUEUE) return 31;
      if (c->first_ns != SHEAF_NEVER && row->item.enqueued_ns < c->first_ns) return 38;
      count++;
      inputs += row->bond->traits.inputs;
      tokens += row->bond->tokens;
      bytes += row->body_bytes;
      hurried += row->item.klass == 0 || row->attempts || row->bond->group_max;
    }
  if (count != c->members.count || inputs != c->inputs || tokens != c->tokens) return 32;
  if (bytes != c->bytes || hurried != c->hurried) return 33;
  for (uint32_t i = 0; i < engine->call_count; i++)
    calls += engine->calls[i]->exchange.id != 0 && engine->calls[i]->out &&
             engine->calls[i]->company == c;
  if (calls != c->calls_out) return 34;
  if (c->members.count == 0 && (c->item.node.at || c->timer.at || c->group_id)) return 35;
  if (c->members.count && c->group_id == 0) return 36;
  if (c->idle != (c->refs == 0 && c->calls_out == 0)) return 37;
  return 0;
}

uint32_t sheaf__engine_check(const sheaf_engine *engine) {
  uint64_t gathering = 0, refs = 0;
  uint64_t queued = 0, waiting = 0, flying = 0, done = 0, twins = 0, timed = 0, bytes = 0;
  for (uint32_t i = 0; i < engine->row_chunk_count; i++)
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) {
      const sheaf__row *row = &engine->row_chunks[i][k];
      bool in_queue = row->item.node.at != 0;
      bool in_group = row->bond != NULL && row->bond->group != NULL;
      bool belongs = row->bond != NULL && row->bond->company != NULL;
      timed += row->timer.at != 0;
      refs += belongs;
      gathering += belongs && row->state == SHEAF__AT_QUEUE;
      if (in_group && row->state != SHEAF__AT_FLIGHT) return 19;
      if (belongs && (row->state == SHEAF__AT_DONE || row->state == SHEAF__AT_TWIN)) return 20;
      if (row->state != SHEAF__AT_FREE) bytes += row->text_capacity;
      switch (row->state) {
        case SHEAF__AT_FREE:
          if (in_queue || row->timer.at || row->call) return 1;
          break;
        case SHEAF__AT_QUEUE:
          queued++;
          if (!in_queue || row->call) return 2;
          break;
        case SHEAF__AT_WAIT:
          waiting++;
          if (in_queue || row->call || !row->timer.at) return 3;
          break;
        case SHEAF__AT_FLIGHT:
          flying++;
          if (in_group) { /* its deadline is watched while its call is out */
            const sheaf__group *g = row->bond->group;
            if (in_queue || row->call || g->call == NULL || g->call->group != g) return 21;
            if (row->bond->group_place >= g->count || g->rows[row->bond->group_place] != row)
              return 22;
            break;
          }
          if (in_queue || row->timer.at || row->call == NULL || row->call->row != row) return 4;
          break;
        case SHEAF__AT_DONE:
          done++;
          if (in_queue || row->timer.at || (row->call && row->call->out)) return 5;
          break;
        case SHEAF__AT_TWIN:
          twins++;
          if (in_queue || row->call || row->bond == NULL || row->bond->leader == NULL) return 16;
          if (!row->bond->leader->leads || row->bond->leader->leader != NULL) return 17;
          break;
        default: return 6;
      }
    }
  if (queued != engine->rows_queued || waiting != engine->rows_waiting ||
      flying != engine->rows_flying || done != engine->rows_done || twins != engine->rows_twins)
    return 7;
  if (queued + waiting + flying + done + twins != engine->rows_inside) return 8;
  if (bytes != engine->queue_bytes) return 18;
  if (engine->rows_inside + engine->rows_free_count != engine->rows_made) return 9;
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next) timed += f->timer.at != 0;
  if (timed != engine->timers.count) return 10;
  if (gathering != engine->rows_gathering) return 23;
  for (const sheaf__company *c = engine->companies; c != NULL; c = c->next) {
    uint32_t broken = check_company(engine, c);
    if (broken) return broken;
    refs -= c->refs;
    gathering -= c->members.count;
  }
  if (refs || gathering) return 24;
  uint64_t out = 0, in_flight = 0;
  int64_t reserved = 0;
  for (uint32_t i = 0; i < engine->call_count; i++) {
    const sheaf__call *call = engine->calls[i];
    if (!call->out) continue;
    out++;
    reserved += call->reserved_usd_nano;
    if (call->exchange.id == 0) return 11;
  }
  for (uint32_t i = 0; i < engine->seat_count; i++) {
    const sheaf__seat *seat = &engine->seats[i];
    in_flight += seat->concurrency.in_flight;
    if (seat->concurrency.in_flight > seat->concurrency.max && !engine->limits_lowered) return 12;
  }
  if (out != engine->calls_out || in_flight != out) return 13;
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next)
    reserved += f->reserved_usd_nano;
  if (reserved != engine->reserved_usd_nano) return 14;
  uint64_t finished = engine->stats.succeeded + engine->stats.failed + engine->stats.not_attempted;
  if (finished + queued + waiting + flying + twins + engine->rows_held !=
      engine->stats.admitted + engine->shadows)
    return 15;
  return 0;
}
