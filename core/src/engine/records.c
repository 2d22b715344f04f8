/* records.c: promises before deeds. A range record is appended before the first of its rows is
 * sent; rows that are known not to have been billed are taken back by a void record, so that a
 * resume does not call them unknown. */
#include "engine/engine_int.h"

int32_t sheaf__records_cover(sheaf_engine *engine) {
  sheaf__sort_u64(engine->fresh, engine->fresh_count);
  uint32_t first_record = engine->record_count;
  int64_t bound = engine->reserved_usd_nano;
  for (uint32_t i = 0; i < engine->fresh_count;) {
    uint32_t n = 1;
    while (i + n < engine->fresh_count && engine->fresh[i + n] == engine->fresh[i] + n &&
           n < SHEAF__RANGE_ROWS_MAX)
      n++;
    SHEAF_ASSERT(engine->record_count < engine->record_capacity);
    engine->records[engine->record_count++] = (sheaf_range){
        .first = engine->fresh[i], .last = engine->fresh[i] + n - 1, .cost_max_usd_nano = bound};
    i += n;
  }
  engine->fresh_count = 0;
  sheaf__action_entry *entry = sheaf__ring_push(&engine->actions);
  *entry = (sheaf__action_entry){.kind = SHEAF_ACTION_APPEND,
                                 .slot = SHEAF_RECORD_RANGE,
                                 .id = ++engine->ticket,
                                 .first = first_record,
                                 .count = engine->record_count - first_record};
  return SHEAF_OK;
}

/* Best effort: without memory the row stays covered, and a resume is more careful than it need be.
 */
void sheaf__records_void(sheaf_engine *engine, const sheaf__row *row) {
  if (!engine->store_used || engine->store_failed || !(row->flags & SHEAF__ROW_RANGED)) return;
  if (row->billing >= SHEAF_BILLING_UNKNOWN || (row->flags & SHEAF__ROW_UNKNOWN_BEFORE)) return;
  if (sheaf__ring_reserve(&engine->actions, &engine->allocator, 2) ||
      sheaf__grow(&engine->allocator, &engine->records, &engine->record_capacity,
                  engine->record_count, sizeof(sheaf_range), UINT32_MAX))
    return;
  engine->records[engine->record_count] =
      (sheaf_range){.first = row->index, .last = row->index, .cost_max_usd_nano = SHEAF_ABSENT};
  sheaf__action_entry *entry = sheaf__ring_push(&engine->actions);
  *entry = (sheaf__action_entry){.kind = SHEAF_ACTION_APPEND,
                                 .slot = SHEAF_RECORD_VOID,
                                 .id = ++engine->ticket,
                                 .first = engine->record_count++,
                                 .count = 1};
}

/* ---- What earlier runs promised: sorted ranges that do not touch ---- */

static uint32_t first_at_or_after(const sheaf__ranges *r,
                                  uint64_t index) { /* the first whose last >= index */
  uint32_t low = 0, high = r->count;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    if (r->items[mid].last < index)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

bool sheaf__ranges_hold(const sheaf__ranges *r, uint64_t index) {
  uint32_t at = first_at_or_after(r, index);
  return at < r->count && r->items[at].first <= index;
}

int32_t sheaf__ranges_add(sheaf_engine *engine, sheaf__ranges *r, uint64_t first, uint64_t last) {
  uint32_t at = first_at_or_after(r, first ? first - 1 : 0), end = at;
  while (end < r->count && r->items[end].first <= sheaf__add_sat(last, 1)) {
    first = sheaf__min_u64(first, r->items[end].first);
    last = sheaf__max_u64(last, r->items[end].last);
    end++;
  }
  if (at == end) {
    int32_t status = sheaf__grow(&engine->allocator, &r->items, &r->capacity, r->count,
                                 sizeof *r->items, UINT32_MAX);
    if (status) return status;
  }
  memmove(&r->items[at + 1], &r->items[end], (r->count - end) * sizeof *r->items);
  r->count = r->count + 1 - (end - at);
  r->items[at] = (sheaf_range){.first = first, .last = last, .cost_max_usd_nano = SHEAF_ABSENT};
  return SHEAF_OK;
}

static int32_t ranges_cut(sheaf_engine *engine, uint64_t index) {
  sheaf__ranges *r = &engine->unknown;
  uint32_t at = first_at_or_after(r, index);
  if (at >= r->count || r->items[at].first > index) return SHEAF_OK;
  sheaf_range *range = &r->items[at];
  if (range->first == index && range->last == index) {
    memmove(range, range + 1, (r->count - at - 1) * sizeof *range);
    r->count--;
  } else if (range->first == index) {
    range->first++;
  } else if (range->last == index) {
    range->last--;
  } else {
    int32_t status = sheaf__grow(&engine->allocator, &r->items, &r->capacity, r->count,
                                 sizeof *r->items, UINT32_MAX);
    if (status) return status;
    range = &r->items[at];
    memmove(range + 1, range, (r->count - at) * sizeof *range);
    r->count++;
    range[0].last = index - 1;
    range[1].first = index + 1;
  }
  return SHEAF_OK;
}

int32_t sheaf_engine_on_scanned(sheaf_engine *engine, const sheaf_record *records, uint32_t count) {
  if (engine == NULL || !engine->recovering) return SHEAF_E_MISUSE;
  if (count == 0) {
    /* Rows that were submitted meanwhile meet what was found, too. */
    for (uint32_t i = 0; engine->unknown.count && i < engine->row_chunk_count; i++)
      for (uint32_t k = 0; k < SHEAF__CHUNK; k++)
        if (engine->row_chunks[i][k].state == SHEAF__AT_QUEUE)
          sheaf__meets_unknown(engine, &engine->row_chunks[i][k]);
    engine->recovering = false;
    engine->launch_due = true;
    return SHEAF_OK;
  }
  for (uint32_t i = 0; i < count; i++) {
    sheaf_range range;
    int32_t status = SHEAF_OK;
    if (records[i].type >= SHEAF_RECORD_JOB_FIRST && records[i].type <= SHEAF_RECORD_JOB_LAST)
      status = SHEAF__HAS_LANES /* else its rows would be sent a second time */
                   ? sheaf__flight_record(engine, records[i].type, records[i].payload)
                   : SHEAF_E_UNSUPPORTED;
    if (status) return status;
    if (records[i].type != SHEAF_RECORD_RANGE && records[i].type != SHEAF_RECORD_VOID) continue;
    status = sheaf_range_read(records[i].payload, &range);
    if (status || range.last < range.first || range.last - range.first >= SHEAF__RANGE_ROWS_MAX)
      return SHEAF_E_CORRUPT;
    if (records[i].type == SHEAF_RECORD_RANGE)
      status = sheaf__ranges_add(engine, &engine->unknown, range.first, range.last);
    for (uint64_t k = range.first;
         records[i].type == SHEAF_RECORD_VOID && status == SHEAF_OK && k <= range.last; k++)
      status = ranges_cut(engine, k);
    if (status) return status;
  }
  return SHEAF_OK;
}

int32_t sheaf_engine_use_store(sheaf_engine *engine) {
  if (engine == NULL || engine->stepped) return SHEAF_E_MISUSE;
  engine->store_used = engine->recovering = true;
  return SHEAF_OK;
}

int32_t sheaf_engine_on_stored(sheaf_engine *engine, uint64_t ticket, int32_t status) {
  if (engine == NULL || ticket > engine->ticket) return SHEAF_E_MISUSE;
  if (status < 0) {
    engine->store_failed = true;
    return SHEAF_OK;
  }
  if (ticket > engine->ticket_stored) engine->ticket_stored = ticket;
  return SHEAF_OK;
}

void sheaf__records_deinit(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  sheaf__free(a, engine->records, engine->record_capacity * sizeof *engine->records);
  sheaf__free(a, engine->fresh, engine->fresh_capacity * sizeof *engine->fresh);
  sheaf__free(a, engine->launched, engine->launched_capacity * sizeof *engine->launched);
  sheaf__free(a, engine->shown_records, engine->shown_capacity * sizeof *engine->shown_records);
  sheaf__free(a, engine->shown_payloads,
              engine->shown_payload_capacity * sizeof *engine->shown_payloads);
  sheaf__free(a, engine->unknown.items, engine->unknown.capacity * sizeof *engine->unknown.items);
}
