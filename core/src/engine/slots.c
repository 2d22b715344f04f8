/* slots.c: rows and calls come from pools that grow to the window and stay: in steady state nothing
 * is allocated. */
#include "engine/engine_int.h"

_Static_assert(sizeof(sheaf__row) <= 200,
               "a queued request costs at most 200 bytes besides its text");

/* ---- From an index to its row: linear probing, at most half full ---- */

/* Indexes come one after the other; spread out, runs of neighbours do not grow together. */
static uint32_t index_slot(const sheaf_engine *engine, uint64_t index) {
  return (uint32_t)((index * 0x9e3779b97f4a7c15ull) >> 32) & (engine->rows_by_index_capacity - 1);
}

static uint32_t index_after(const sheaf_engine *engine, uint32_t slot) {
  return (slot + 1) & (engine->rows_by_index_capacity - 1);
}

void sheaf__row_index(sheaf_engine *engine, sheaf__row *row) {
  uint32_t at = index_slot(engine, row->index);
  while (engine->rows_by_index[at] != NULL) at = index_after(engine, at);
  engine->rows_by_index[at] = row;
}

static int32_t index_reserve(sheaf_engine *engine, uint32_t rows) {
  uint32_t old = engine->rows_by_index_capacity, wanted = old ? old : 2 * SHEAF__CHUNK;
  while (wanted < 2 * rows) wanted *= 2;
  if (wanted == old) return SHEAF_OK;
  sheaf__row **before = engine->rows_by_index;
  sheaf__row **slots = sheaf__alloc_zero(&engine->allocator, wanted * sizeof *slots);
  if (slots == NULL) return SHEAF_E_NOMEM;
  engine->rows_by_index = slots;
  engine->rows_by_index_capacity = wanted;
  for (uint32_t i = 0; i < old; i++)
    if (before[i] != NULL) sheaf__row_index(engine, before[i]);
  sheaf__free(&engine->allocator, before, old * sizeof *before);
  return SHEAF_OK;
}

sheaf__row *sheaf__row_by_index(const sheaf_engine *engine, uint64_t index) {
  if (engine->rows_by_index_capacity == 0) return NULL;
  uint32_t at = index_slot(engine, index);
  while (engine->rows_by_index[at] != NULL && engine->rows_by_index[at]->index != index)
    at = index_after(engine, at);
  return engine->rows_by_index[at];
}

/* Closes the gap: what stands behind it and may stand in it moves up. */
void sheaf__row_unindex(sheaf_engine *engine, sheaf__row *row) {
  uint32_t mask = engine->rows_by_index_capacity - 1;
  uint32_t gap = index_slot(engine, row->index);
  while (engine->rows_by_index[gap] != NULL && engine->rows_by_index[gap] != row)
    gap = index_after(engine, gap);
  if (engine->rows_by_index[gap] == NULL) return; /* a row that never had an index of its own */
  for (uint32_t at = index_after(engine, gap); engine->rows_by_index[at] != NULL;
       at = index_after(engine, at)) {
    uint32_t home = index_slot(engine, engine->rows_by_index[at]->index);
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    engine->rows_by_index[gap] = engine->rows_by_index[at];
    gap = at;
  }
  engine->rows_by_index[gap] = NULL;
}

/* ---- Rows ---- */

/* A row has at most one result, one discard and one delta untaken. */
uint64_t sheaf__events_room(const sheaf_engine *engine, uint32_t rows) {
  return (uint64_t)rows * 3 + SHEAF__NOTICES_MAX + engine->group_events_queued + engine->news_count;
}

static int32_t make_rows(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  uint32_t total = engine->rows_made + SHEAF__CHUNK;
  int32_t status = sheaf__grow(a, &engine->row_chunks, &engine->row_chunk_capacity,
                               engine->row_chunk_count, sizeof(sheaf__row *), 1u << 20);
  if (status) return status;
  /* Everything a row will ever be pushed into has room before the row exists, so that no push can
   * fail. */
  status = sheaf__heap_reserve(&engine->timers, a, total + engine->flight_count);
  if (status) return status;
  status = sheaf__ring_reserve(
      &engine->events, a, (uint32_t)(sheaf__events_room(engine, total) - engine->events.count));
  if (status) return status;
  status = sheaf__grow(a, &engine->rows_free, &engine->rows_free_capacity, total - 1,
                       sizeof(sheaf__row *), UINT32_MAX);
  if (status) return status;
  status = index_reserve(engine, total);
  if (status) return status;
  sheaf__row *chunk = sheaf__alloc_zero(a, SHEAF__CHUNK * sizeof *chunk);
  if (chunk == NULL) return SHEAF_E_NOMEM;
  engine->row_chunks[engine->row_chunk_count++] = chunk;
  for (uint32_t i = SHEAF__CHUNK; i-- > 0;)
    engine->rows_free[engine->rows_free_count++] = &chunk[i];
  engine->rows_made = total;
  return SHEAF_OK;
}

int32_t sheaf__row_take(sheaf_engine *engine, sheaf__row **row) {
  if (engine->rows_free_count == 0) {
    int32_t status = make_rows(engine);
    if (status) return status;
  }
  *row = engine->rows_free[--engine->rows_free_count];
  engine->rows_inside++;
  engine->queue_bytes += (*row)->text_capacity;
  return SHEAF_OK;
}

void sheaf__restamp(sheaf_engine *engine, sheaf__row *row) {
  if (row->state == SHEAF__AT_FREE) return;
  row->item.enqueued_ns = engine->now_ns;
  row->item.node.key =
      sheaf__add_sat(row->item.node.key, engine->now_ns); /* all move alike: heaps stay heaps */
  row->timer.key = sheaf__add_sat(row->timer.key, engine->now_ns);
  row->deadline_ns = sheaf__add_sat(row->deadline_ns, engine->now_ns);
}

void sheaf__row_release(sheaf_engine *engine, sheaf__row *row) {
  SHEAF_ASSERT(row->item.node.at == 0 && row->timer.at == 0 && row->call == NULL);
  if (row->history != NULL) sheaf__free(&engine->allocator, row->history, sizeof *row->history);
  if (row->bond != NULL) sheaf__bond_release(engine, row);
  if (row->flags & (SHEAF__ROW_LOCAL | SHEAF__ROW_CACHED | SHEAF__ROW_KEPT))
    sheaf__answer_release(engine, row->said.answer);
#ifndef SHEAF_MODULE
  sheaf__answer_release(engine, row->kept);
#endif
  sheaf__row_unindex(engine, row);
  char *text = row->text;
  uint32_t capacity = row->text_capacity;
  engine->queue_bytes -= capacity;
  if (capacity > SHEAF__KEEP_TEXT_BYTES) {
    sheaf__free(&engine->allocator, text, capacity);
    text = NULL;
    capacity = 0;
  }
  memset(row, 0, sizeof *row);
  row->text = text;
  row->text_capacity = capacity;
  engine->rows_free[engine->rows_free_count++] = row;
  engine->rows_inside--;
}

/* Frees what never served a request yet, too: called with half-made calls. */
static void call_free(sheaf_engine *engine, sheaf__call *call) {
  sheaf__stream_free(engine, call);
  sheaf_buf_deinit(&call->headers);
  sheaf_buf_deinit(&call->body);
  sheaf_buf_deinit(&call->scratch);
  sheaf__free(&engine->allocator, call->message, SHEAF__MESSAGE_BYTES_MAX);
  sheaf__free(&engine->allocator, call, sizeof *call);
}

static int32_t make_call(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  uint32_t count = engine->call_count;
  int32_t status = sheaf__grow(a, &engine->calls, &engine->call_capacity, count,
                               sizeof(sheaf__call *), SHEAF__CALLS_MAX);
  if (status == SHEAF_OK)
    status = sheaf__grow(a, &engine->calls_free, &engine->calls_free_capacity, count,
                         sizeof(uint32_t), SHEAF__CALLS_MAX);
  if (status == SHEAF_OK)
    status = sheaf__grow(a, &engine->recorded, &engine->recorded_capacity, count, sizeof(uint64_t),
                         SHEAF__CALLS_MAX);
  if (status) return status;
  sheaf__call *call = sheaf__alloc_zero(a, sizeof *call);
  if (call == NULL) return SHEAF_E_NOMEM;
  call->slot = engine->call_count;
  sheaf_buf_init(&call->headers, a, SHEAF__HEADERS_BYTES_MAX);
  sheaf_buf_init(&call->body, a, (size_t)engine->options.reply_bytes_max);
  sheaf_buf_init(&call->scratch, a, (size_t)engine->options.reply_bytes_max);
  engine->calls[engine->call_count++] = call;
  engine->calls_free[engine->calls_free_count++] = call->slot;
  return SHEAF_OK;
}

int32_t sheaf__call_take(sheaf_engine *engine, sheaf__call **call) {
  if (engine->calls_free_count == 0) {
    int32_t status = make_call(engine);
    if (status) return status;
  }
  sheaf__call *c = engine->calls[engine->calls_free[--engine->calls_free_count]];
  c->exchange.struct_bytes = sizeof c->exchange;
  c->exchange.id = (++engine->exchange_seq << 16) | c->slot;
  c->head_ns = c->token_ns = SHEAF_NEVER;
  c->ended_ns = 0;
  c->http_status = 0;
  c->out = c->recorded = c->has_head = c->has_data = c->has_end = c->head_seen = false;
  c->handed_out = c->over_limit = c->cancelling = c->delta_queued = c->delta_taken = false;
  c->ticket = 0;
  c->row = NULL;
  c->flight = NULL;
  c->group = NULL;
  c->company = NULL;
  c->group_id = 0;
  c->group_members = 0;
  c->has_share = false;
  c->body_fed = c->text_given = c->raw_given = 0;
  c->shown_by = 0;
  *call = c;
  return SHEAF_OK;
}

static void recycle(sheaf_buf *buf, uint64_t keep) {
  sheaf_buf_reset(buf);
  if (buf->capacity > keep) sheaf_buf_deinit(buf);
}

void sheaf__call_release(sheaf_engine *engine, sheaf__call *call) {
  SHEAF_ASSERT(!call->out);
  if (call->row != NULL) call->row->call = NULL;
  sheaf__stream_free(engine, call);
  recycle(&call->headers, engine->options.reply_keep_bytes);
  recycle(&call->body, engine->options.reply_keep_bytes);
  recycle(&call->scratch, engine->options.reply_keep_bytes);
  call->exchange.id = 0;
  call->row = NULL;
  engine->calls_free[engine->calls_free_count++] = call->slot;
}

sheaf__call *sheaf__call_find(const sheaf_engine *engine, uint64_t exchange) {
  uint64_t slot = exchange & 0xffff;
  if (slot >= engine->call_count) return NULL;
  sheaf__call *call = engine->calls[slot];
  return call->exchange.id == exchange ? call : NULL;
}

void sheaf__slots_deinit(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  for (uint32_t i = 0; i < engine->call_count; i++) call_free(engine, engine->calls[i]);
  sheaf__free(a, engine->calls, engine->call_capacity * sizeof *engine->calls);
  sheaf__free(a, engine->calls_free, engine->calls_free_capacity * sizeof *engine->calls_free);
  sheaf__free(a, engine->recorded, engine->recorded_capacity * sizeof *engine->recorded);
  for (uint32_t i = 0; i < engine->row_chunk_count; i++) {
    sheaf__row *chunk = engine->row_chunks[i];
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) {
      if (chunk[k].flags & (SHEAF__ROW_LOCAL | SHEAF__ROW_CACHED | SHEAF__ROW_KEPT))
        sheaf__answer_release(engine, chunk[k].said.answer);
#ifndef SHEAF_MODULE
      sheaf__answer_release(engine, chunk[k].kept);
#endif
      sheaf__free(a, chunk[k].text, chunk[k].text_capacity);
      sheaf__free(a, chunk[k].history, sizeof(sheaf__history));
    }
    sheaf__free(a, chunk, SHEAF__CHUNK * sizeof *chunk);
  }
  sheaf__free(a, engine->row_chunks, engine->row_chunk_capacity * sizeof *engine->row_chunks);
  sheaf__free(a, engine->rows_free, engine->rows_free_capacity * sizeof *engine->rows_free);
  sheaf__free(a, engine->rows_by_index,
              engine->rows_by_index_capacity * sizeof *engine->rows_by_index);
}
