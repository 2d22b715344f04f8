/* sim_transport.c: what a host's world does to it: a transport with faults, a store, and reports when they are due.
 *
 * Order: what is due, the transport, the store, reports. */
#include "sim_host.h"

#include "engine/engine_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- What is due ---- */

void sim_later(sim_host *r, uint64_t at_ns, uint32_t kind, uint64_t what) {
  if (r->due_count == r->due_capacity) {
    r->due_capacity = r->due_capacity ? 2 * r->due_capacity : 256;
    r->dues = realloc(r->dues, r->due_capacity * sizeof *r->dues);
  }
  uint64_t grid = r->w->config.grid_ns;
  if (at_ns % grid) at_ns += grid - at_ns % grid;
  r->dues[r->due_count++] = (sim_due){at_ns, r->due_seq++, what, kind};
}

static int by_time(const void *a, const void *b) {
  const sim_due *x = a, *y = b;
  if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

uint64_t sim_first_due(const sim_host *r) {
  uint64_t at = SHEAF_NEVER;
  for (uint32_t i = 0; i < r->due_count; i++)
    if (r->dues[i].at_ns < at) at = r->dues[i].at_ns;
  return at;
}

static bool is_report(const sim_due *d) {
  return d->kind <= DUE_STORED;
}
static bool may_swap(const sim_due *a, const sim_due *b) {
  if (!is_report(a) || !is_report(b)) return false;
  bool stores = a->kind == DUE_STORED && b->kind == DUE_STORED;
  bool same = a->kind != DUE_STORED && b->kind != DUE_STORED && a->what == b->what;
  return !stores && !same; /* of one exchange order is kept, and of the store */
}

static void shuffle(sim_host *r, sim_due *batch, uint32_t count) {
  for (uint32_t round = 0; round < count && round < 12; round++)
    for (uint32_t i = 0; i + 1 < count; i++)
      if (may_swap(&batch[i], &batch[i + 1]) &&
          sim_chance(&r->w->config, 500, SIM_DRAW_SHUFFLE, r->shuffles++, 0)) {
        sim_due one = batch[i];
        batch[i] = batch[i + 1];
        batch[i + 1] = one;
      }
}

/* ---- The transport ---- */

static sim_exchange *exchange_at(sim_world *w, uint64_t number) {
  if (number >= w->exchange_capacity) {
    uint32_t capacity = w->exchange_capacity ? w->exchange_capacity : 256;
    while (capacity <= number) capacity *= 2;
    w->exchanges = realloc(w->exchanges, capacity * sizeof *w->exchanges);
    memset(w->exchanges + w->exchange_capacity, 0,
           (capacity - w->exchange_capacity) * sizeof *w->exchanges);
    w->exchange_capacity = capacity;
  }
  if (number >= w->exchange_count) w->exchange_count = (uint32_t)number + 1;
  return &w->exchanges[number];
}

static void mark_failed(sim_host *r, const sim_exchange *x) {
  if (r->failed_count == r->failed_capacity) {
    r->failed_capacity = r->failed_capacity ? 2 * r->failed_capacity : 64;
    r->failed = realloc(r->failed, r->failed_capacity * sizeof *r->failed);
  }
  r->failed[r->failed_count++] = (uint32_t)(x->id >> 16);
}

/* Starts that failed inside of run_once are settled in its next turn: then nothing is recorded any more. */
void sim_check_failed(sim_host *r) {
  if (r->failed_count == 0 || r->engine->recorded_count) return;
  for (uint32_t i = 0; i < r->failed_count; i++)
    sim_check_settled(r->w, &r->w->exchanges[r->failed[i]]);
  r->failed_count = 0;
}

static void plan(sim_host *r, sim_exchange *x) {
  sim_world *w = r->w;
  const sim_config *c = &w->config;
  uint64_t number = x->id >> 16, now = w->now_ns, key = x->index * 4096 + x->attempt;
  uint64_t took =
      c->reply_ms * SIM_MS / 2 + sim_draw(c, c->reply_ms * SIM_MS, SIM_DRAW_TIME, key, 0) + 1;
  if (sim_liveness(w) && took > SIM_SECOND) took = SIM_SECOND;
  if (x->fate != SIM_OK && x->fate != SIM_BREAKS_LATE && x->fate != SIM_TRUNCATED)
    took = 1 + sim_draw(c, 40 * SIM_MS, SIM_DRAW_TIME, key, 1);
  if (x->fate == SIM_STALLS || took >= x->timeout_ns) {
    x->fate = SIM_STALLS;
    took = x->timeout_ns == SHEAF_NEVER ? 700 * SIM_SECOND : x->timeout_ns;
  }
  bool headless = x->task || x->fate == SIM_NOT_SENT || x->fate == SIM_BREAKS ||
                  (x->fate == SIM_STALLS && key % 2);
  if (!headless) sim_later(r, now + took / 4, DUE_HEAD, number);
  if (!headless && x->fate != SIM_STALLS && x->fate != SIM_BREAKS_LATE) {
    sim_later(r, now + took / 2, DUE_DATA, number);
    sim_later(r, now + took - took / 4, DUE_REST, number);
  }
  if (x->fate == SIM_STALLS) { /* a timeout is exact */
    uint64_t grid = w->config.grid_ns;
    w->config.grid_ns = 1;
    sim_later(r, now + took, DUE_DONE, number);
    w->config.grid_ns = grid;
  } else {
    sim_later(r, now + took, DUE_DONE, number);
  }
}

bool sim_start(sim_host *r, const sheaf_exchange *e) {
  sim_world *w = r->w;
  sim_check_failed(r);
  sim_exchange *x = exchange_at(w, e->id >> 16);
  if (x->id) sim_fail(w, "an exchange was started twice", e->id, e->index);
  uint32_t model = sim_model_of(&w->config, e->index);
  *x = (sim_exchange){.id = e->id,
                      .index = e->index,
                      .started_ns = w->now_ns,
                      .timeout_ns = e->timeout_ns,
                      .place = e->endpoint,
                      .pool = sim_pool_of(&w->config, e->endpoint, model),
                      .attempt = ++w->rows[e->index].starts_ever,
                      .wait_ns = SHEAF_NEVER,
                      .stream = e->stream,
                      .task = e->kind == SHEAF_EXCHANGE_TASK};
  x->plain = x->stream && sim_chance(&w->config, 100, SIM_DRAW_FATE, e->index, 900 + x->attempt);
  if (x->task != sim_is_task(&w->config, e->index)) sim_fail(w, "a task is no task", e->index, 0);
  sim_trace(w, 1, e->index << 16 | e->endpoint, w->now_ns);
  sim_check_start(w, r->engine, x);
  x->fate = sim_fate(w, x, x->attempt);
  if (x->task && (x->fate == SIM_TRUNCATED || x->fate == SIM_GARBLED || x->fate == SIM_TOO_LARGE ||
                  x->fate == SIM_BREAKS_LATE))
    x->fate = SIM_OK;
  r->moved = true;
  if (x->fate == SIM_START_FAILS) {
    x->has_end = x->ended = true;
    x->end_kind = SHEAF_END_NOT_SENT;
    mark_failed(r, x);
    return false;
  }
  plan(r, x);
  return true;
}

void sim_cancel(sim_host *r, uint64_t id) {
  sim_exchange *x = exchange_at(r->w, id >> 16);
  sim_trace(r->w, 2, x->index, r->w->now_ns);
  r->moved = true;
  if (x->id != id) sim_fail(r->w, "a cancel of what was not started", id, 0);
  if (x->ended || x->cancelled) return;
  if (sim_chance(&r->w->config, 300, SIM_DRAW_FATE, x->index, 700 + x->attempt))
    return; /* too late: it ends by itself */
  x->cancelled = true;
  sim_later(r, r->w->now_ns + SIM_MS, DUE_DONE, id >> 16);
}

/* ---- The store ---- */

void sim_apply_record(sim_world *w, sim_record *record) {
  sheaf_range range;
  record->stored = true;
  sheaf_range_read((sheaf_slice){(const char *)record->payload, sizeof record->payload}, &range);
  for (uint64_t i = range.first; i <= range.last && i < SIM_ROWS_MAX; i++)
    w->rows[i].covered = record->type == SHEAF_RECORD_RANGE;
}

static void stored_up_to(sim_world *w, uint64_t ticket) {
  for (uint32_t i = 0; i < w->log_count; i++)
    if (!w->log[i].stored && w->log[i].ticket <= ticket) sim_apply_record(w, &w->log[i]);
}

/* Answers what sheaf_store.append would: OK, END (written already), or an error. */
int32_t sim_append(sim_host *r, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  sim_world *w = r->w;
  r->moved = true;
  r->appends++;
  if (w->config.store_fails && !sim_liveness(w) &&
      sim_chance(&w->config, 60, SIM_DRAW_STORE, r->appends, w->host)) {
    w->store_failed = true;
    return SHEAF_E_IO;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (w->log_count == SIM_LOG_MAX) return sim_fail(w, "the log is full", 0, 0), SHEAF_E_IO;
    sim_record *record = &w->log[w->log_count++];
    *record = (sim_record){.type = records[i].type, .ticket = ticket};
    if (records[i].payload.bytes != sizeof record->payload)
      sim_fail(w, "a record of another size", records[i].payload.bytes, 0);
    else
      memcpy(record->payload, records[i].payload.data, sizeof record->payload);
    sim_trace(w, 3, records[i].type, record->payload[0]);
  }
  if (!w->config.store_late) {
    stored_up_to(w, ticket);
    return SHEAF_E_END;
  }
  sim_later(
      r, w->now_ns + sim_draw(&w->config, 80 * SIM_MS, SIM_DRAW_STORE, r->appends, 100 + w->host),
      DUE_STORED, ticket);
  return SHEAF_OK;
}

/* Three records at a time, then the end. */
static void scan_some(sim_host *r) {
  sim_world *w = r->w;
  sheaf_record records[3];
  uint32_t n = 0;
  for (; n < 3 && r->scanned < w->log_count; n++, r->scanned++)
    records[n] =
        (sheaf_record){.type = w->log[r->scanned].type,
                       .payload = {(const char *)w->log[r->scanned].payload, SHEAF_RANGE_BYTES}};
  if (sheaf_engine_on_scanned(r->engine, records, n))
    sim_fail(w, "a scan was refused", r->scanned, n);
  if (n) sim_later(r, w->now_ns + SIM_MS, DUE_SCANNED, 0);
}

/* ---- Reports ---- */

static uint32_t status_of(uint32_t fate) {
  switch (fate) {
    case SIM_LIMITED: return 429;
    case SIM_OVERLOADED: return 529;
    case SIM_SERVER: return 500;
    case SIM_INVALID: return 400;
    case SIM_AUTH: return 401;
    default: return 200;
  }
}

static void report_head(sim_host *r, sim_exchange *x) {
  const sim_config *c = &r->w->config;
  char headers[160];
  size_t n = (size_t)snprintf(headers, sizeof headers, "content-type: %s\n",
                              x->plain ? "application/json" : "text/event-stream");
  x->status = status_of(x->fate);
  x->has_head = true;
  if (c->hints && x->status > 400 && x->index % 4) {
    x->wait_ns = (1 + sim_draw(c, 9000, SIM_DRAW_FATE, x->index, 300 + x->attempt)) * SIM_MS;
    n += (size_t)snprintf(headers + n, sizeof headers - n, "x-wait-ms: %u\n",
                          (unsigned)(x->wait_ns / SIM_MS));
  }
  if (c->headers && c->limit_kind) {
    uint64_t left = x->fate == SIM_LIMITED
                        ? 0
                        : sim_draw(c, c->limit_rpm, SIM_DRAW_FATE, x->index, 500 + x->attempt);
    n += (size_t)snprintf(headers + n, sizeof headers - n, "x-left: %u,%u\n",
                          (unsigned)c->limit_rpm, (unsigned)left);
    x->limits_told = true;
  }
  int32_t status = sheaf_engine_on_head(r->engine, x->id, x->status, (sheaf_slice){headers, n});
  if (status) sim_fail(r->w, "a head was refused", x->id, (uint64_t)-status);
}

static void report_data(sim_host *r, sim_exchange *x, bool rest) {
  const sim_config *c = &r->w->config;
  static const char much[5000];
  char body[128];
  if (x->fate == SIM_TOO_LARGE) {
    if (!rest &&
        sheaf_engine_on_data(r->engine, x->id, (sheaf_slice){much, sizeof much}) != SHEAF_E_LIMIT)
      sim_fail(r->w, "too much was taken", x->index, 0);
    return;
  }
  unsigned input = (unsigned)sim_input_tokens(c, x->index),
           output = (unsigned)sim_output_tokens(c, x->index, x->attempt);
  bool stream = x->stream && !x->plain && x->status < 300;
  size_t n = (size_t)(stream ? snprintf(body, sizeof body, "data: text-%u.\n\ndata: ok:%u,%u,\n\n",
                                        (unsigned)x->index, input, output)
                             : snprintf(body, sizeof body, "ok:%u,%u,text-%u.", input, output,
                                        (unsigned)x->index));
  if (x->fate == SIM_GARBLED && !stream) body[1] = '?';
  if (x->fate == SIM_TRUNCATED || (x->fate == SIM_GARBLED && stream)) n -= 8;
  size_t cut = (size_t)sim_draw(c, n, SIM_DRAW_TIME, x->index, 50 + x->attempt);
  sheaf_slice part = rest ? (sheaf_slice){body + cut, n - cut} : (sheaf_slice){body, cut};
  int32_t status = sheaf_engine_on_data(r->engine, x->id, part);
  if (status) sim_fail(r->w, "data was refused", x->id, (uint64_t)-status);
}

static uint32_t end_of(const sim_exchange *x) {
  if (x->cancelled) return SHEAF_END_CANCELLED;
  switch (x->fate) {
    case SIM_NOT_SENT: return SHEAF_END_NOT_SENT;
    case SIM_BREAKS:
    case SIM_BREAKS_LATE: return SHEAF_END_BROKEN;
    case SIM_STALLS: return SHEAF_END_TIMEOUT;
    case SIM_TOO_LARGE: return SHEAF_END_TOO_LARGE;
    default: return SHEAF_END_OK;
  }
}

static void report_done(sim_host *r, sim_exchange *x) {
  const sim_config *c = &r->w->config;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  x->end_kind = end.end = end_of(x);
  x->has_end = x->ended = true;
  if (end.end) end.message = SHEAF_LITERAL("the simulated connection ended");
  if (x->task && end.end == SHEAF_END_OK) {
    x->status = end.http_status = status_of(x->fate);
    end.usage.input_total = (int64_t)sim_input_tokens(c, x->index);
    end.usage.output_total = (int64_t)sim_output_tokens(c, x->index, x->attempt);
    if (c->hints && x->status > 400) end.retry_after_ns = x->wait_ns = 700 * SIM_MS;
  }
  int32_t status = sheaf_engine_on_done(r->engine, x->id, &end);
  if (status) sim_fail(r->w, "an end was refused", x->id, (uint64_t)-status);
  if (!c->late_events) return;
  sim_later(r, r->w->now_ns, DUE_LATE, x->id >> 16);
  sim_later(r, r->w->now_ns + 3 * SIM_MS, DUE_LATE, x->id >> 16);
}

static void report_late(sim_host *r, const sim_exchange *x) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  bool refused =
      sheaf_engine_on_done(r->engine, x->id, &end) == SHEAF_E_NOT_FOUND &&
      sheaf_engine_on_head(r->engine, x->id, 200, (sheaf_slice){NULL, 0}) == SHEAF_E_NOT_FOUND &&
      sheaf_engine_on_data(r->engine, x->id, SHEAF_LITERAL("x")) == SHEAF_E_NOT_FOUND;
  if (!refused) sim_fail(r->w, "a late event was taken", x->index, 0);
}

static void do_cancel(sim_host *r, uint64_t index) {
  sim_row *row = &r->w->rows[index];
  if (!row->admitted) return;
  int32_t status = sheaf_engine_cancel(r->engine, index);
  if (status == SHEAF_OK && !row->out) row->cancelled = true;
  if (status == SHEAF_E_NOT_FOUND && row->out)
    sim_fail(r->w, "a row in flight is not there", index, 0);
}

static void report(sim_host *r, const sim_due *d) {
  sim_world *w = r->w;
  switch (d->kind) {
    case DUE_STORED:
      stored_up_to(w, d->what), sheaf_engine_on_stored(r->engine, d->what, SHEAF_OK);
      return;
    case DUE_SCANNED: scan_some(r); return;
    case DUE_POKE: return;
    case DUE_CANCEL: do_cancel(r, d->what); return;
    case DUE_DRAIN: sheaf_engine_drain(r->engine), w->stopping = true; return;
    case DUE_ABORT: sheaf_engine_abort(r->engine), w->stopping = true; return;
    default: break;
  }
  sim_exchange *x = exchange_at(w, d->what);
  if (d->kind == DUE_LATE) {
    report_late(r, x);
    return;
  }
  if (x->ended || (x->cancelled && d->kind != DUE_DONE)) return;
  x->touched = true;
  if (d->kind == DUE_HEAD)
    report_head(r, x);
  else if (d->kind == DUE_DONE)
    report_done(r, x);
  else
    report_data(r, x, d->kind == DUE_REST);
}

/* All that is due now, then what it means in order of launch. Answers how many there were. */
uint32_t sim_report_due(sim_host *r) {
  sim_world *w = r->w;
  if (r->due_count == 0) return 0;
  qsort(r->dues, r->due_count, sizeof *r->dues, by_time);
  uint32_t count = 0;
  while (count < r->due_count && r->dues[count].at_ns <= w->now_ns) count++;
  if (count == 0) return 0;
  sim_due batch[512];
  if (count > 512) count = 512;
  memcpy(batch, r->dues, count * sizeof *batch);
  memmove(r->dues, r->dues + count, (r->due_count - count) * sizeof *r->dues);
  r->due_count -= count;
  if (w->shuffle) shuffle(r, batch, count);
  for (uint32_t i = 0; i < count; i++) report(r, &batch[i]);
  for (uint32_t i = 0; i < w->exchange_count; i++)
    if (w->exchanges[i].touched)
      w->exchanges[i].touched = false, sim_check_settled(w, &w->exchanges[i]);
  return count;
}
