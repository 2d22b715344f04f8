/* check.c: the invariants of engine_int.h, walked. Compiled in always, called after every step
 * where SHEAF_CHECKS is defined. Answers the number of the first that does not hold. */
#include "engine/engine_int.h"

uint32_t sheaf__engine_check(const sheaf_engine *engine) {
  uint64_t queued = 0, waiting = 0, flying = 0, done = 0, timed = 0;
  for (uint32_t i = 0; i < engine->row_chunk_count; i++)
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) {
      const sheaf__row *row = &engine->row_chunks[i][k];
      bool in_queue = row->item.node.at != 0;
      timed += row->timer.at != 0;
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
          if (in_queue || row->timer.at || row->call == NULL || row->call->row != row) return 4;
          break;
        case SHEAF__AT_DONE:
          done++;
          if (in_queue || row->timer.at || (row->call && row->call->out)) return 5;
          break;
        default: return 6;
      }
    }
  if (queued != engine->rows_queued || waiting != engine->rows_waiting ||
      flying != engine->rows_flying || done != engine->rows_done)
    return 7;
  if (queued + waiting + flying + done != engine->rows_inside) return 8;
  if (engine->rows_inside + engine->rows_free_count != engine->rows_made) return 9;
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next) timed += f->timer.at != 0;
  if (timed != engine->timers.count) return 10;
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
    if (seat->concurrency.in_flight > seat->concurrency.max) return 12;
  }
  if (out != engine->calls_out || in_flight != out) return 13;
  if (reserved != engine->reserved_usd_nano) return 14;
  uint64_t finished = engine->stats.succeeded + engine->stats.failed + engine->stats.not_attempted;
  if (finished + queued + waiting + flying + engine->rows_held != engine->stats.admitted) return 15;
  return 0;
}
