/* sim_run.c: a host made of numbers: a clock, a transport, a store, a source, a sink; drives one engine after another.
 *
 * Time jumps from one thing that is due to the next. What is due at one instant is reported in one go, in order or
 * shuffled, and one step decides. Order: what is due, the transport, the store, reports, the two faces, hosts. */
#include "../support/test_alloc.h"
#include "sim_world.h"

#include "engine/engine_int.h"

#include <stdlib.h>

enum { DUE_HEAD, DUE_DATA, DUE_REST, DUE_DONE, DUE_LATE, DUE_STORED, DUE_SCANNED, DUE_POKE, DUE_CANCEL, DUE_DRAIN, DUE_ABORT };

typedef struct due {
  uint64_t at_ns, seq, what; /* an exchange's number, a ticket, or an index */
  uint32_t kind;
} due;

typedef struct run {
  sim_world *w;
  sheaf_engine *engine;
  due *dues;
  uint32_t due_count, due_capacity;
  uint64_t told_ns, due_seq, given, steps, puts, nexts, appends, shuffles;
  uint32_t *failed;  /* exchanges whose start failed, until a settle has seen them */
  uint32_t failed_count, failed_capacity;
  uint32_t scanned;
  bool idle, input_ended, moved;
  char prompt[128];
} run;

/* ---- What is due ---- */

static void later(run *r, uint64_t at_ns, uint32_t kind, uint64_t what) {
  if (r->due_count == r->due_capacity) {
    r->due_capacity = r->due_capacity ? 2 * r->due_capacity : 256;
    r->dues = realloc(r->dues, r->due_capacity * sizeof *r->dues);
  }
  uint64_t grid = r->w->config.grid_ns;
  if (at_ns % grid) at_ns += grid - at_ns % grid;
  r->dues[r->due_count++] = (due){at_ns, r->due_seq++, what, kind};
}

static int by_time(const void *a, const void *b) {
  const due *x = a, *y = b;
  if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static uint64_t first_due(const run *r) {
  uint64_t at = SHEAF_NEVER;
  for (uint32_t i = 0; i < r->due_count; i++)
    if (r->dues[i].at_ns < at) at = r->dues[i].at_ns;
  return at;
}

static bool is_report(const due *d) { return d->kind <= DUE_STORED; }
static bool may_swap(const due *a, const due *b) {
  if (!is_report(a) || !is_report(b)) return false;
  bool stores = a->kind == DUE_STORED && b->kind == DUE_STORED;
  bool same = a->kind != DUE_STORED && b->kind != DUE_STORED && a->what == b->what;
  return !stores && !same; /* of one exchange order is kept, and of the store */
}

static void shuffle(run *r, due *batch, uint32_t count) {
  for (uint32_t round = 0; round < count && round < 12; round++)
    for (uint32_t i = 0; i + 1 < count; i++)
      if (may_swap(&batch[i], &batch[i + 1]) && sim_chance(&r->w->config, 500, SIM_DRAW_SHUFFLE, r->shuffles++, 0)) {
        due one = batch[i];
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
    memset(w->exchanges + w->exchange_capacity, 0, (capacity - w->exchange_capacity) * sizeof *w->exchanges);
    w->exchange_capacity = capacity;
  }
  if (number >= w->exchange_count) w->exchange_count = (uint32_t)number + 1;
  return &w->exchanges[number];
}

static void mark_failed(run *r, const sim_exchange *x) {
  if (r->failed_count == r->failed_capacity) {
    r->failed_capacity = r->failed_capacity ? 2 * r->failed_capacity : 64;
    r->failed = realloc(r->failed, r->failed_capacity * sizeof *r->failed);
  }
  r->failed[r->failed_count++] = (uint32_t)(x->id >> 16);
}

/* Starts that failed inside of run_once are settled in its next turn: then nothing is recorded any more. */
static void check_failed(run *r) {
  if (r->failed_count == 0 || r->engine->recorded_count) return;
  for (uint32_t i = 0; i < r->failed_count; i++) sim_check_settled(r->w, &r->w->exchanges[r->failed[i]]);
  r->failed_count = 0;
}

static void plan(run *r, sim_exchange *x) {
  sim_world *w = r->w;
  const sim_config *c = &w->config;
  uint64_t number = x->id >> 16, now = w->now_ns, key = x->index * 4096 + x->attempt;
  uint64_t took = c->reply_ms * SIM_MS / 2 + sim_draw(c, c->reply_ms * SIM_MS, SIM_DRAW_TIME, key, 0) + 1;
  if (sim_liveness(w) && took > SIM_SECOND) took = SIM_SECOND;
  if (x->fate != SIM_OK && x->fate != SIM_BREAKS_LATE && x->fate != SIM_TRUNCATED) took = 1 + sim_draw(c, 40 * SIM_MS, SIM_DRAW_TIME, key, 1);
  if (x->fate == SIM_STALLS || took >= x->timeout_ns) {
    x->fate = SIM_STALLS;
    took = x->timeout_ns == SHEAF_NEVER ? 700 * SIM_SECOND : x->timeout_ns;
  }
  bool headless = x->task || x->fate == SIM_NOT_SENT || x->fate == SIM_BREAKS || (x->fate == SIM_STALLS && key % 2);
  if (!headless) later(r, now + took / 4, DUE_HEAD, number);
  if (!headless && x->fate != SIM_STALLS && x->fate != SIM_BREAKS_LATE) {
    later(r, now + took / 2, DUE_DATA, number);
    later(r, now + took - took / 4, DUE_REST, number);
  }
  if (x->fate == SIM_STALLS) { /* a timeout is exact */
    uint64_t grid = w->config.grid_ns;
    w->config.grid_ns = 1;
    later(r, now + took, DUE_DONE, number);
    w->config.grid_ns = grid;
  } else {
    later(r, now + took, DUE_DONE, number);
  }
}

static bool start(run *r, const sheaf_exchange *e) {
  sim_world *w = r->w;
  check_failed(r);
  sim_exchange *x = exchange_at(w, e->id >> 16);
  if (x->id) sim_fail(w, "an exchange was started twice", e->id, e->index);
  uint32_t model = sim_model_of(&w->config, e->index);
  *x = (sim_exchange){.id = e->id, .index = e->index, .started_ns = w->now_ns, .timeout_ns = e->timeout_ns, .place = e->endpoint,
                      .pool = sim_pool_of(&w->config, e->endpoint, model), .attempt = ++w->rows[e->index].starts_ever,
                      .wait_ns = SHEAF_NEVER, .stream = e->stream, .task = e->kind == SHEAF_EXCHANGE_TASK};
  x->plain = x->stream && sim_chance(&w->config, 100, SIM_DRAW_FATE, e->index, 900 + x->attempt);
  if (x->task != sim_is_task(&w->config, e->index)) sim_fail(w, "a task is no task", e->index, 0);
  sim_trace(w, 1, e->index << 16 | e->endpoint, w->now_ns);
  sim_check_start(w, r->engine, x);
  x->fate = sim_fate(w, x, x->attempt);
  if (x->task && (x->fate == SIM_TRUNCATED || x->fate == SIM_GARBLED || x->fate == SIM_TOO_LARGE || x->fate == SIM_BREAKS_LATE)) x->fate = SIM_OK;
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

static void cancel(run *r, uint64_t id) {
  sim_exchange *x = exchange_at(r->w, id >> 16);
  sim_trace(r->w, 2, x->index, r->w->now_ns);
  r->moved = true;
  if (x->id != id) sim_fail(r->w, "a cancel of what was not started", id, 0);
  if (x->ended || x->cancelled) return;
  if (sim_chance(&r->w->config, 300, SIM_DRAW_FATE, x->index, 700 + x->attempt)) return; /* too late: it ends by itself */
  x->cancelled = true;
  later(r, r->w->now_ns + SIM_MS, DUE_DONE, id >> 16);
}

/* ---- The store ---- */

static void apply_record(sim_world *w, sim_record *record) {
  sheaf_range range;
  record->stored = true;
  sheaf_range_read((sheaf_slice){(const char *)record->payload, sizeof record->payload}, &range);
  for (uint64_t i = range.first; i <= range.last && i < SIM_ROWS_MAX; i++) w->rows[i].covered = record->type == SHEAF_RECORD_RANGE;
}

static void stored_up_to(sim_world *w, uint64_t ticket) {
  for (uint32_t i = 0; i < w->log_count; i++)
    if (!w->log[i].stored && w->log[i].ticket <= ticket) apply_record(w, &w->log[i]);
}

/* Answers what sheaf_store.append would: OK, END (written already), or an error. */
static int32_t append(run *r, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  sim_world *w = r->w;
  r->moved = true;
  r->appends++;
  if (w->config.store_fails && !sim_liveness(w) && sim_chance(&w->config, 60, SIM_DRAW_STORE, r->appends, w->host)) {
    w->store_failed = true;
    return SHEAF_E_IO;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (w->log_count == SIM_LOG_MAX) return sim_fail(w, "the log is full", 0, 0), SHEAF_E_IO;
    sim_record *record = &w->log[w->log_count++];
    *record = (sim_record){.type = records[i].type, .ticket = ticket};
    if (records[i].payload.bytes != sizeof record->payload) sim_fail(w, "a record of another size", records[i].payload.bytes, 0);
    else memcpy(record->payload, records[i].payload.data, sizeof record->payload);
    sim_trace(w, 3, records[i].type, record->payload[0]);
  }
  if (!w->config.store_late) {
    stored_up_to(w, ticket);
    return SHEAF_E_END;
  }
  later(r, w->now_ns + sim_draw(&w->config, 80 * SIM_MS, SIM_DRAW_STORE, r->appends, 100 + w->host), DUE_STORED, ticket);
  return SHEAF_OK;
}

/* Three records at a time, then the end. */
static void scan_some(run *r) {
  sim_world *w = r->w;
  sheaf_record records[3];
  uint32_t n = 0;
  for (; n < 3 && r->scanned < w->log_count; n++, r->scanned++)
    records[n] = (sheaf_record){.type = w->log[r->scanned].type,
                                .payload = {(const char *)w->log[r->scanned].payload, SHEAF_RANGE_BYTES}};
  if (sheaf_engine_on_scanned(r->engine, records, n)) sim_fail(w, "a scan was refused", r->scanned, n);
  if (n) later(r, w->now_ns + SIM_MS, DUE_SCANNED, 0);
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

static void report_head(run *r, sim_exchange *x) {
  const sim_config *c = &r->w->config;
  char headers[160];
  size_t n = (size_t)snprintf(headers, sizeof headers, "content-type: %s\n", x->plain ? "application/json" : "text/event-stream");
  x->status = status_of(x->fate);
  x->has_head = true;
  if (c->hints && x->status > 400 && x->index % 4) {
    x->wait_ns = (1 + sim_draw(c, 9000, SIM_DRAW_FATE, x->index, 300 + x->attempt)) * SIM_MS;
    n += (size_t)snprintf(headers + n, sizeof headers - n, "x-wait-ms: %u\n", (unsigned)(x->wait_ns / SIM_MS));
  }
  if (c->headers && c->limit_kind) {
    uint64_t left = x->fate == SIM_LIMITED ? 0 : sim_draw(c, c->limit_rpm, SIM_DRAW_FATE, x->index, 500 + x->attempt);
    n += (size_t)snprintf(headers + n, sizeof headers - n, "x-left: %u,%u\n", (unsigned)c->limit_rpm, (unsigned)left);
    x->limits_told = true;
  }
  int32_t status = sheaf_engine_on_head(r->engine, x->id, x->status, (sheaf_slice){headers, n});
  if (status) sim_fail(r->w, "a head was refused", x->id, (uint64_t)-status);
}

static void report_data(run *r, sim_exchange *x, bool rest) {
  const sim_config *c = &r->w->config;
  static const char much[5000];
  char body[128];
  if (x->fate == SIM_TOO_LARGE) {
    if (!rest && sheaf_engine_on_data(r->engine, x->id, (sheaf_slice){much, sizeof much}) != SHEAF_E_LIMIT)
      sim_fail(r->w, "too much was taken", x->index, 0);
    return;
  }
  unsigned input = (unsigned)sim_input_tokens(c, x->index), output = (unsigned)sim_output_tokens(c, x->index, x->attempt);
  bool stream = x->stream && !x->plain && x->status < 300;
  size_t n = (size_t)(stream ? snprintf(body, sizeof body, "data: text-%u.\n\ndata: ok:%u,%u,\n\n", (unsigned)x->index, input, output)
                             : snprintf(body, sizeof body, "ok:%u,%u,text-%u.", input, output, (unsigned)x->index));
  if (x->fate == SIM_GARBLED && !stream) body[1] = '?';
  if (x->fate == SIM_TRUNCATED || (x->fate == SIM_GARBLED && stream)) n -= 8;
  size_t cut = sim_draw(c, n, SIM_DRAW_TIME, x->index, 50 + x->attempt);
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

static void report_done(run *r, sim_exchange *x) {
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
  later(r, r->w->now_ns, DUE_LATE, x->id >> 16);
  later(r, r->w->now_ns + 3 * SIM_MS, DUE_LATE, x->id >> 16);
}

static void report_late(run *r, const sim_exchange *x) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  bool refused = sheaf_engine_on_done(r->engine, x->id, &end) == SHEAF_E_NOT_FOUND &&
                 sheaf_engine_on_head(r->engine, x->id, 200, (sheaf_slice){NULL, 0}) == SHEAF_E_NOT_FOUND &&
                 sheaf_engine_on_data(r->engine, x->id, SHEAF_LITERAL("x")) == SHEAF_E_NOT_FOUND;
  if (!refused) sim_fail(r->w, "a late event was taken", x->index, 0);
}

static void do_cancel(run *r, uint64_t index) {
  sim_row *row = &r->w->rows[index];
  if (!row->admitted) return;
  int32_t status = sheaf_engine_cancel(r->engine, index);
  if (status == SHEAF_OK && !row->out) row->cancelled = true;
  if (status == SHEAF_E_NOT_FOUND && row->out) sim_fail(r->w, "a row in flight is not there", index, 0);
}

static void report(run *r, const due *d) {
  sim_world *w = r->w;
  switch (d->kind) {
    case DUE_STORED: stored_up_to(w, d->what), sheaf_engine_on_stored(r->engine, d->what, SHEAF_OK); return;
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
  if (d->kind == DUE_HEAD) report_head(r, x);
  else if (d->kind == DUE_DONE) report_done(r, x);
  else report_data(r, x, d->kind == DUE_REST);
}

/* All that is due now, then what it means in order of launch. Answers how many there were. */
static uint32_t report_due(run *r) {
  sim_world *w = r->w;
  if (r->due_count == 0) return 0;
  qsort(r->dues, r->due_count, sizeof *r->dues, by_time);
  uint32_t count = 0;
  while (count < r->due_count && r->dues[count].at_ns <= w->now_ns) count++;
  if (count == 0) return 0;
  due batch[512];
  if (count > 512) count = 512;
  memcpy(batch, r->dues, count * sizeof *batch);
  memmove(r->dues, r->dues + count, (r->due_count - count) * sizeof *r->dues);
  r->due_count -= count;
  if (w->shuffle) shuffle(r, batch, count);
  for (uint32_t i = 0; i < count; i++) report(r, &batch[i]);
  for (uint32_t i = 0; i < w->exchange_count; i++)
    if (w->exchanges[i].touched) w->exchanges[i].touched = false, sim_check_settled(w, &w->exchanges[i]);
  return count;
}

/* ---- Rows in, events out: shared by both faces ---- */

static void fill_request(run *r, uint64_t index, sheaf_request *q) {
  const sim_config *c = &r->w->config;
  size_t bytes = 12 + index % 3 * 40;
  memset(r->prompt, 'p', sizeof r->prompt);
  if (sim_is_task(c, index)) q->flags |= SHEAF_REQUEST_TASK;
  else q->prompt = (sheaf_slice){r->prompt, bytes};
  if (c->stream && index % 2) q->flags |= SHEAF_REQUEST_STREAM;
  q->model = sim_model_of(c, index) ? SHEAF_LITERAL("b") : SHEAF_LITERAL("a");
  q->max_tokens = 64;
  q->deadline_ms = sim_deadline_ms(c, index);
  static const uint32_t priorities[] = {0, 10, 25, 75, 100};
  if (c->priorities) q->priority = priorities[index % 5];
}

static void admitted(run *r, uint64_t index) {
  sim_world *w = r->w;
  const sim_config *c = &w->config;
  sim_row *row = &w->rows[index];
  uint64_t ms = sim_deadline_ms(c, index), run_ms = c->options.run_deadline_ms;
  row->admitted = true;
  row->admitted_ns = w->engine_ns;
  row->deadline_ns = ms ? w->engine_ns + ms * SIM_MS : SHEAF_NEVER;
  uint64_t run_end = w->run_ns + run_ms * SIM_MS;
  if (run_ms && run_end < row->deadline_ns) row->deadline_ns = run_end;
  if (c->cancels && sim_chance(c, 200, SIM_DRAW_ROW, index, 9))
    later(r, w->now_ns + sim_draw(c, 4 * c->reply_ms * SIM_MS, SIM_DRAW_ROW, index, 10), DUE_CANCEL, index);
}

static void take_event(run *r, const sheaf_event *e) {
  sim_world *w = r->w;
  r->moved = true;
  sim_trace(w, 10 + e->kind, e->index, w->now_ns);
  if (e->kind == SHEAF_EVENT_RESULT) {
    sim_trace(w, e->result->error_class, e->result->attempts, e->result->billing);
    sim_check_result(w, e->result);
  } else if (e->kind == SHEAF_EVENT_NOTICE) {
    sim_trace(w, e->notice, e->number, e->endpoint);
  } else if (e->kind == SHEAF_EVENT_DELTA && (e->text.bytes == 0 || w->rows[e->index].ends)) {
    sim_fail(w, "a delta without text or after the end", e->index, e->text.bytes);
  }
  for (size_t i = 0; e->kind == SHEAF_EVENT_DELTA && i < e->text.bytes; i++) sim_trace(w, (uint64_t)e->text.data[i], 0, 0);
}

/* ---- The pull face ---- */

static void submit_some(run *r) {
  sim_world *w = r->w;
  const sim_config *c = &w->config;
  uint64_t most = 1 + sim_draw(c, 40, SIM_DRAW_HOST, r->steps, 1);
  while (!r->input_ended && most-- > 0) {
    if (r->given == c->rows) {
      sheaf_engine_end_input(r->engine);
      r->input_ended = r->moved = true;
      return;
    }
    sheaf_request q = SHEAF_REQUEST_INIT;
    fill_request(r, r->given, &q);
    uint64_t index;
    int32_t status = sheaf_engine_submit(r->engine, &q, &index, NULL);
    if (status == SHEAF_E_FULL) return;
    if (status == SHEAF_E_END) {
      r->input_ended = r->moved = true;
      return;
    }
    if (status || index != r->given) sim_fail(w, "submit failed", (uint64_t)-status, r->given);
    r->moved = true;
    admitted(r, r->given++);
  }
}

static void pull_turn(run *r) {
  sim_world *w = r->w;
  sheaf_action action;
  sheaf_event event;
  int32_t status = sheaf_engine_step(r->engine, r->told_ns, (int64_t)(w->now_ns / SIM_MS));
  if (status) sim_fail(w, "step failed", (uint64_t)-status, 0);
  while (sheaf_engine_next_action(r->engine, &action) == SHEAF_OK) {
    if (action.kind == SHEAF_ACTION_START) {
      start(r, action.exchange);
    } else if (action.kind == SHEAF_ACTION_CANCEL) {
      cancel(r, action.exchange_id);
    } else {
      status = append(r, action.ticket, action.records, action.record_count);
      if (status) sheaf_engine_on_stored(r->engine, action.ticket, status == SHEAF_E_END ? SHEAF_OK : status);
    }
  }
  while (sheaf_engine_next_event(r->engine, &event) == SHEAF_OK) take_event(r, &event);
  submit_some(r);
  r->idle = sheaf_engine_is_idle(r->engine);
}

/* ---- The doors ---- */

static int32_t door_start(void *ctx, const sheaf_exchange *e) { return start(ctx, e) ? SHEAF_OK : SHEAF_E_IO; }
static void door_cancel(void *ctx, uint64_t id) { cancel(ctx, id); }
static int32_t door_append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  return append(ctx, ticket, records, count);
}
static int32_t door_scan(void *ctx) {
  run *r = ctx;
  if (r->w->log_count == 0) return SHEAF_E_END;
  later(r, r->w->now_ns + SIM_MS, DUE_SCANNED, 0);
  return SHEAF_OK;
}
static int32_t door_next(void *ctx, sheaf_request *q) {
  run *r = ctx;
  const sim_config *c = &r->w->config;
  if (c->source_later && sim_chance(c, 200, SIM_DRAW_DOOR, r->nexts++, 1)) {
    later(r, r->w->now_ns + sim_draw(c, 100 * SIM_MS, SIM_DRAW_DOOR, r->nexts, 2), DUE_POKE, 0);
    return SHEAF_E_LATER;
  }
  if (r->given == c->rows) return SHEAF_E_END;
  fill_request(r, r->given++, q);
  return SHEAF_OK;
}
static int32_t door_admit(void *ctx, uint64_t index, const sheaf_request *q, const uint8_t fingerprint[16]) {
  run *r = ctx;
  (void)q, (void)fingerprint;
  if (index != r->given - 1) sim_fail(r->w, "a row got another's index", index, r->given);
  if (r->w->rows[index].line) return SHEAF_E_END;
  admitted(r, index);
  return SHEAF_OK;
}
static int32_t door_put(void *ctx, const sheaf_event *e) {
  run *r = ctx;
  const sim_config *c = &r->w->config;
  check_failed(r);
  if (c->sink_later && sim_chance(c, 150, SIM_DRAW_DOOR, r->puts++, 3)) {
    later(r, r->w->now_ns + sim_draw(c, 50 * SIM_MS, SIM_DRAW_DOOR, r->puts, 4), DUE_POKE, 0);
    return SHEAF_E_LATER;
  }
  take_event(r, e);
  return SHEAF_OK;
}
static int32_t door_validate(void *ctx, const sheaf_result *result) {
  run *r = ctx;
  const sim_exchange *x = NULL; /* the latest of the row */
  for (uint32_t i = 0; i < r->w->exchange_count; i++)
    if (r->w->exchanges[i].id && r->w->exchanges[i].index == result->index) x = &r->w->exchanges[i];
  return x && sim_refuses(&r->w->config, x->index, x->attempt) ? SHEAF_E_FIELD : SHEAF_OK;
}

static int32_t open_doors(run *r) {
  const sheaf_transport transport = {sizeof transport, 0, r, door_start, door_cancel};
  const sheaf_store store = {sizeof store, 0, r, door_append, door_scan};
  const sheaf_source source = {.struct_bytes = sizeof source, .ctx = r, .next = door_next, .admit = door_admit};
  const sheaf_sink sink = {sizeof sink, 0, r, door_put};
  const sheaf_hooks hooks = {sizeof hooks, 0, r, door_validate};
  const sheaf_doors doors = {.struct_bytes = sizeof doors, .transport = &transport, .sink = &sink, .source = &source,
                             .store = r->w->config.store ? &store : NULL, .hooks = r->w->config.validate ? &hooks : NULL};
  return sheaf_engine_open(r->engine, &doors);
}

static void door_turn(run *r) {
  int32_t status = sheaf_engine_run_once(r->engine, r->told_ns, (int64_t)(r->w->now_ns / SIM_MS));
  check_failed(r);
  r->idle = status == SHEAF_E_END;
  if (status != SHEAF_OK) later(r, r->w->now_ns, DUE_POKE, 0); /* call on to drain */
  if (status && status != SHEAF_E_END && !(r->w->store_failed && status == SHEAF_E_IO)) sim_fail(r->w, "run_once failed", (uint64_t)-status, 0);
}

/* ---- Hosts ---- */

static int32_t make_engine(run *r, const sheaf_allocator *allocator) {
  const sim_config *c = &r->w->config;
  static const char *const names[] = {"one", "two", "three", "four"};
  sheaf_endpoint endpoints[SIM_PLACES_MAX];
  for (uint32_t i = 0; i < c->places; i++) {
    endpoints[i] = SHEAF_ENDPOINT_INIT;
    endpoints[i].provider = &sim_provider;
    endpoints[i].name = sheaf_slice_of(names[i]);
    endpoints[i].quota_group = c->pools_shared ? SHEAF_LITERAL("all") : endpoints[i].name;
    endpoints[i].weight = i + 1;
  }
  sheaf_engine_options options = c->options;
  options.endpoints = endpoints;
  options.endpoint_count = c->places;
  int32_t status = sheaf_engine_new(&options, allocator, &r->engine);
  if (status == SHEAF_OK && c->doors) status = open_doors(r);
  if (status == SHEAF_OK && c->store && !c->doors) {
    status = sheaf_engine_use_store(r->engine);
    later(r, r->w->now_ns, DUE_SCANNED, 0);
  }
  return status;
}

/* What the next host finds: stored records, some that were under way, and lines, of which the latest may be torn. */
static void forget_host(sim_world *w) {
  uint32_t unstored = 0;
  for (uint32_t i = 0; i < w->log_count; i++) unstored += !w->log[i].stored;
  uint32_t kept = w->log_count - unstored + (uint32_t)sim_draw(&w->config, unstored + 1, SIM_DRAW_HOST, w->host, 10);
  w->log_count = kept;
  for (uint32_t i = 0; i < kept; i++) {
    if (!w->log[i].stored) apply_record(w, &w->log[i]);
    w->log[i].ticket = 0;
  }
  for (uint32_t i = 0; i < w->config.rows; i++) {
    sim_row *row = &w->rows[i];
    bool torn = row->line && row->ends && row->covered && sim_chance(&w->config, 50, SIM_DRAW_HOST, w->host, 100 + i);
    sim_row kept_row = {.starts_ever = row->starts_ever, .line = row->line && !torn, .covered = row->covered};
    kept_row.unknown = row->covered && !kept_row.line;
    if (row->out && !row->covered && w->config.store) sim_fail(w, "out when the host died, and not covered", i, 0);
    *row = kept_row;
  }
  memset(w->exchanges, 0, w->exchange_capacity * sizeof *w->exchanges);
  w->exchange_count = w->in_flight = w->full_price_retries = w->completions = w->starts = 0;
  w->spent = w->charged = 0;
  w->stopping = w->store_failed = false;
  memset(w->seats, 0, sizeof w->seats);
  for (uint32_t i = 0; i < SIM_POOLS_MAX; i++) {
    sim_pool *p = &w->pools[i]; /* what the provider counted stays */
    p->pause_until_ns = p->probe_until_ns = p->last_start_ns = 0;
    p->probe_due = p->probing = p->stopped = p->low_set = false;
    p->net = p->low = 0;
  }
}

static bool turn_is_due(run *r) {
  sim_world *w = r->w;
  uint64_t at = first_due(r), wake = sheaf_engine_timeout_ns(r->engine);
  if (r->moved && !w->config.doors) wake = 0; /* more to submit, or to take */
  if (wake < at) at = wake;
  if (at == SHEAF_NEVER) {
    sim_fail(w, "stuck: nothing is due", r->engine->rows_inside, r->engine->calls_out);
    return false;
  }
  if (at > w->now_ns) w->now_ns = at;
  /* After the faults: the longest pause, an open breaker, then all rows at the slowest rate there can be. */
  uint64_t rate = w->config.limit_kind ? w->config.limit_rpm : 60;
  uint64_t bound = w->config.safety_ns + (3600 + w->config.rows * (20 + 2 * 60 / (rate < 60 ? rate : 60))) * SIM_SECOND;
  if (w->now_ns - w->begun_ns > bound) sim_fail(w, "not over though the faults are", r->engine->rows_inside, r->engine->calls_out);
  return w->failure[0] == 0;
}

/* One engine until it is idle or its host dies. True: died. */
static bool live(run *r) {
  sim_world *w = r->w;
  const sim_config *c = &w->config;
  uint64_t dies = c->crashes && w->host < 3 ? 1 + sim_draw(c, 300, SIM_DRAW_HOST, w->host, 20) : SHEAF_NEVER;
  uint32_t still = 0;
  bool first = true;
  if (c->drains && w->host == 0) later(r, w->now_ns + sim_draw(c, 20 * SIM_SECOND, SIM_DRAW_HOST, 0, 30), DUE_DRAIN, 0);
  if (c->aborts && w->host == 0) later(r, w->now_ns + sim_draw(c, 20 * SIM_SECOND, SIM_DRAW_HOST, 0, 31), DUE_ABORT, 0);
  while (!w->failure[0]) {
    if (!first && !turn_is_due(r)) break;
    if (++r->steps > dies) return true;
    uint64_t before = w->engine_ns;
    bool back = !first && c->backwards && sim_chance(c, 100, SIM_DRAW_HOST, r->steps, 2);
    r->told_ns = w->now_ns - (back ? SIM_SECOND : 0);
    if (r->told_ns > w->engine_ns) w->engine_ns = r->told_ns;
    r->moved = report_due(r) > 0 || w->engine_ns > before || first;
    first = false;
    c->doors ? door_turn(r) : pull_turn(r);
    if (r->idle) {
      sim_check_end(w, r->engine);
      break;
    }
    still = r->moved ? 0 : still + 1;
    if (still > 70) sim_fail(w, "spins: asked to be called and did nothing", r->engine->rows_inside, r->engine->calls_out);
  }
  return false;
}

bool sim_run(sim_world *w, uint64_t seed, bool shuffled) {
  memset(w, 0, sizeof *w);
  sim_config_draw(&w->config, seed);
  w->shuffle = shuffled;
  w->begun_ns = w->now_ns = w->engine_ns = 1000 * SIM_SECOND + seed % 1000;
  bool died = true;
  for (; died && !w->failure[0]; w->host++) {
    test_alloc memory = {0};
    const sheaf_allocator allocator = test_allocator(&memory);
    run r = {.w = w};
    w->run_ns = w->now_ns;
    if (make_engine(&r, &allocator)) sim_fail(w, "no engine", 0, 0);
    else died = live(&r);
    sim_trace(w, 99, died, w->now_ns);
    sheaf_engine_free(r.engine);
    if (memory.live_bytes || memory.live_blocks) sim_fail(w, "memory was left", memory.live_bytes, memory.live_blocks);
    if (memory.size_mismatch) sim_fail(w, "memory was freed by a wrong size", 0, 0);
    free(r.dues);
    free(r.failed);
    if (died) forget_host(w);
  }
  free(w->exchanges);
  w->exchanges = NULL;
  return w->failure[0] == 0;
}
