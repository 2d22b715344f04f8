/* queue_host.c: what a host does to the engine: a transport with faults, a store, doors with
 * hooks, and reports when they are due.
 *
 * Order: what is due, the transport, the store, reports, what users do, doors. */
#include "queue_host.h"

#include "engine/engine_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- What is due ---- */

static uint64_t on_grid(const qs_host *h, uint64_t at_ns) {
  uint64_t grid = h->w->config.grid_ns;
  return at_ns % grid ? at_ns + grid - at_ns % grid : at_ns;
}

static void later_exactly(qs_host *h, uint64_t at_ns, uint32_t kind, uint64_t what) {
  if (h->due_count == h->due_capacity) {
    h->due_capacity = h->due_capacity ? 2 * h->due_capacity : 256;
    h->dues = realloc(h->dues, h->due_capacity * sizeof *h->dues);
  }
  h->dues[h->due_count++] = (qs_due){at_ns, h->due_seq++, what, kind};
}

void qs_later(qs_host *h, uint64_t at_ns, uint32_t kind, uint64_t what) {
  later_exactly(h, on_grid(h, at_ns), kind, what);
}

static int by_time(const void *a, const void *b) {
  const qs_due *x = a, *y = b;
  if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

uint64_t qs_first_due(const qs_host *h) {
  uint64_t at = SHEAF_NEVER;
  for (uint32_t i = 0; i < h->due_count; i++)
    if (h->dues[i].at_ns < at) at = h->dues[i].at_ns;
  return at;
}

/* Reports of different exchanges may come in any order within one step. */
static bool may_swap(const qs_due *a, const qs_due *b) {
  if (a->kind > QS_DUE_STORED || b->kind > QS_DUE_STORED) return false;
  bool stores = a->kind == QS_DUE_STORED && b->kind == QS_DUE_STORED;
  bool same = a->kind != QS_DUE_STORED && b->kind != QS_DUE_STORED && a->what == b->what;
  return !stores && !same;
}

static void shuffle(qs_host *h, qs_due *batch, uint32_t count) {
  for (uint32_t round = 0; round < count && round < 12; round++)
    for (uint32_t i = 0; i + 1 < count; i++)
      if (may_swap(&batch[i], &batch[i + 1]) &&
          qs_chance(&h->w->config, 500, QS_DRAW_SHUFFLE, h->shuffles++, 0)) {
        qs_due one = batch[i];
        batch[i] = batch[i + 1];
        batch[i + 1] = one;
      }
}

/* ---- The transport ---- */

static qs_exchange *exchange_at(qs_world *w, uint64_t number) {
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

/* Who is in the call. The server then looks whether the body says the same. */
static void read_members(qs_host *h, qs_exchange *x) {
  qs_world *w = h->w;
  const sheaf__call *call = sheaf__call_find(h->engine, x->id);
  x->count = call->group ? call->group->count : 1;
  x->members = malloc(x->count * sizeof *x->members);
  x->shadow = call->row && (call->row->flags & SHEAF__ROW_SHADOW);
  for (uint32_t i = 0; i < x->count; i++) {
    const sheaf__row *row = call->group ? call->group->rows[i] : call->row;
    if (row == NULL || (!x->shadow && row->index >= w->indexes)) {
      qs_fail(w, "nobody's place in a call that leaves", x->id, i);
      x->members[i] = 0;
      continue;
    }
    x->members[i] = x->shadow ? QS_NONE : w->row_of[row->index];
  }
  if (x->shadow) {
    x->kind = QS_CHAT;
    x->model = sheaf_json_equals(sheaf_json_member(call->exchange.body, "model"), "beta");
    return;
  }
  x->kind = w->rows[x->members[0]].ask.content.kind;
  x->model = w->rows[x->members[0]].ask.content.model;
}

static void plan(qs_host *h, qs_exchange *x) {
  const qs_config *c = &h->w->config;
  uint64_t number = x->id >> 16, now = h->w->now_ns;
  uint64_t took =
      c->reply_ms * QS_MS / 2 + qs_draw(c, c->reply_ms * QS_MS, QS_DRAW_TIME, number, 0) + 1;
  if (qs_liveness(h->w) && took > QS_SECOND) took = QS_SECOND;
  if (x->fate != QS_OK && x->fate < QS_LENGTH)
    took = 1 + qs_draw(c, 40 * QS_MS, QS_DRAW_TIME, number, 1);
  uint64_t done = on_grid(h, now + took);
  if (x->fate == QS_STALLS || done - now >= x->timeout_ns) {
    x->fate = QS_STALLS; /* a timeout is exact */
    took = x->timeout_ns == SHEAF_NEVER ? 700 * QS_SECOND : x->timeout_ns;
    later_exactly(h, now + took, QS_DUE_DONE, number);
    if (number % 2 && !x->task) later_exactly(h, now + took / 4, QS_DUE_HEAD, number);
    return;
  }
  later_exactly(h, done, QS_DUE_DONE, number);
  if (x->task || x->fate == QS_NOT_SENT) return;
  later_exactly(h, now + took / 4, QS_DUE_HEAD, number);
  if (x->fate == QS_BREAKS) return;
  later_exactly(h, now + took / 2, QS_DUE_DATA, number);
  later_exactly(h, now + took - took / 4, QS_DUE_REST, number);
}

bool qs_start(qs_host *h, const sheaf_exchange *e) {
  qs_world *w = h->w;
  uint64_t number = e->id >> 16;
  qs_exchange *x = exchange_at(w, number);
  if (x->id) qs_fail(w, "an exchange was started twice", e->id, e->index);
  *x = (qs_exchange){.id = e->id,
                     .started_ns = w->now_ns,
                     .timeout_ns = e->timeout_ns,
                     .wait_ns = SHEAF_NEVER,
                     .place = e->endpoint,
                     .stream = e->stream,
                     .task = e->kind == SHEAF_EXCHANGE_TASK};
  read_members(h, x);
  h->moved = true;
  if (w->failure[0]) return true;
  qs_trace(w, 1, (uint64_t)x->count << 32 | x->members[0], w->now_ns);
  qs_watch_start(w, h->engine, x);
  qs_check_start(w, h->engine, x);
  qs_serve(w, x, e);
  if (x->fate == QS_NOT_SENT && w->config.doors && number % 2) {
    x->ended = true;
    x->ended_ns = w->now_ns;
    x->end_kind = SHEAF_END_NOT_SENT;
    x->settled = true;
    qs_check_ended(w, x);
    return false;
  }
  plan(h, x);
  qs_say(w, "start: number, fate, spoil", number, x->fate, x->spoil);
  for (uint32_t i = 0; i < x->count && !x->shadow; i++)
    qs_say(w, "       of row, text, model", x->members[i], w->rows[x->members[i]].ask.content.text,
           x->model);
  return true;
}

void qs_cancel(qs_host *h, uint64_t id) {
  qs_exchange *x = exchange_at(h->w, id >> 16);
  qs_trace(h->w, 2, id >> 16, h->w->now_ns);
  h->moved = true;
  x->asked = true;
  if (x->id != id) qs_fail(h->w, "a cancel of what was not started", id, 0);
  if (x->ended || x->cancelled) return;
  if (qs_chance(&h->w->config, 300, QS_DRAW_FATE, id >> 16, 700))
    return; /* too late: it ends by itself */
  x->cancelled = true;
  qs_later(h, h->w->now_ns + QS_MS, QS_DUE_DONE, id >> 16);
}

/* ---- The store ---- */

static void apply_record(qs_world *w, qs_record *record) {
  sheaf_range range;
  record->stored = true;
  sheaf_range_read((sheaf_slice){(const char *)record->payload, sizeof record->payload}, &range);
  for (uint64_t i = range.first; i <= range.last && i < w->indexes; i++)
    w->rows[w->row_of[i]].covered = record->type == SHEAF_RECORD_RANGE;
}

static void stored_up_to(qs_world *w, uint64_t ticket) {
  for (uint32_t i = 0; i < w->log_count; i++)
    if (!w->log[i].stored && w->log[i].ticket <= ticket) apply_record(w, &w->log[i]);
}

/* Answers what sheaf_store.append would: OK, or END (written already). */
int32_t qs_append(qs_host *h, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  qs_world *w = h->w;
  h->moved = true;
  h->appends++;
  for (uint32_t i = 0; i < count; i++) {
    if (w->log_count == w->log_capacity) {
      w->log_capacity = w->log_capacity ? 2 * w->log_capacity : 64;
      w->log = realloc(w->log, w->log_capacity * sizeof *w->log);
    }
    qs_record *record = &w->log[w->log_count++];
    *record = (qs_record){.type = records[i].type, .ticket = ticket};
    if (records[i].payload.bytes != sizeof record->payload)
      qs_fail(w, "a record of another size", records[i].payload.bytes, 0);
    else
      memcpy(record->payload, records[i].payload.data, sizeof record->payload);
    qs_trace(w, 3, records[i].type, record->payload[0]);
  }
  if (!w->config.store_late) {
    stored_up_to(w, ticket);
    return SHEAF_E_END;
  }
  qs_later(h, w->now_ns + qs_draw(&w->config, 80 * QS_MS, QS_DRAW_STORE, h->appends, 1),
           QS_DUE_STORED, ticket);
  return SHEAF_OK;
}

/* ---- Reports ---- */

static void report_head(qs_host *h, qs_exchange *x) {
  const qs_config *c = &h->w->config;
  char headers[160];
  size_t n =
      (size_t)snprintf(headers, sizeof headers, "content-type: %s\n",
                       x->stream && x->status == 200 ? "text/event-stream" : "application/json");
  x->has_head = true;
  if (c->hints && x->status > 400 && x->id >> 16 & 3) {
    x->wait_ns = (1 + qs_draw(c, 9000, QS_DRAW_FATE, x->id >> 16, 300)) * QS_MS;
    n += (size_t)snprintf(headers + n, sizeof headers - n, "retry-after-ms: %u\n",
                          (unsigned)(x->wait_ns / QS_MS));
  }
  int32_t status = sheaf_engine_on_head(h->engine, x->id, x->status, (sheaf_slice){headers, n});
  if (status) qs_fail(h->w, "a head was refused", x->id, (uint64_t)-status);
}

static void report_data(qs_host *h, qs_exchange *x, bool rest) {
  size_t n = x->reply_bytes, cut = (size_t)qs_draw(&h->w->config, n, QS_DRAW_TIME, x->id >> 16, 50);
  sheaf_slice part = rest ? (sheaf_slice){x->reply + cut, n - cut} : (sheaf_slice){x->reply, cut};
  int32_t status = sheaf_engine_on_data(h->engine, x->id, part);
  if (status == SHEAF_E_LIMIT && x->reply_bytes > h->w->config.options.reply_bytes_max)
    x->too_large = true;
  else if (status)
    qs_fail(h->w, "data was refused", x->id, (uint64_t)-status);
}

static uint32_t end_of(const qs_exchange *x) {
  if (x->cancelled) return SHEAF_END_CANCELLED;
  if (x->too_large) return SHEAF_END_TOO_LARGE;
  switch (x->fate) {
    case QS_NOT_SENT: return SHEAF_END_NOT_SENT;
    case QS_BREAKS: return SHEAF_END_BROKEN;
    case QS_STALLS: return SHEAF_END_TIMEOUT;
    default: return SHEAF_END_OK;
  }
}

static void report_done(qs_host *h, qs_exchange *x) {
  const qs_config *c = &h->w->config;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  x->end_kind = end.end = end_of(x);
  x->ended = true;
  x->ended_ns = h->w->engine_ns;
  if (end.end) end.message = SHEAF_LITERAL("the simulated connection ended");
  if (x->task && end.end == SHEAF_END_OK) {
    end.http_status = x->status;
    end.usage.input_total = x->input;
    end.usage.output_total = x->output;
    if (c->hints && x->status > 400) end.retry_after_ns = x->wait_ns = 700 * QS_MS;
  }
  int32_t status = sheaf_engine_on_done(h->engine, x->id, &end);
  if (status) qs_fail(h->w, "an end was refused", x->id, (uint64_t)-status);
  if (!c->late_events) return;
  qs_later(h, h->w->now_ns, QS_DUE_LATE, x->id >> 16);
  qs_later(h, h->w->now_ns + 3 * QS_MS, QS_DUE_LATE, x->id >> 16);
}

static void report_late(qs_host *h, const qs_exchange *x) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  bool refused =
      sheaf_engine_on_done(h->engine, x->id, &end) == SHEAF_E_NOT_FOUND &&
      sheaf_engine_on_head(h->engine, x->id, 200, (sheaf_slice){NULL, 0}) == SHEAF_E_NOT_FOUND &&
      sheaf_engine_on_data(h->engine, x->id, SHEAF_LITERAL("x")) == SHEAF_E_NOT_FOUND;
  if (!refused) qs_fail(h->w, "a late event was taken", x->id, 0);
}

/* ---- What users do ---- */

static void do_cancel(qs_host *h, uint32_t me) {
  qs_row *row = &h->w->rows[me];
  if (!row->admitted || row->ends) return;
  int32_t status = sheaf_engine_cancel(h->engine, row->index);
  bool alone = row->out && h->w->exchanges[row->exchange].count == 1;
  if (status == SHEAF_OK) row->cancelled = true;
  if (status == SHEAF_E_NOT_FOUND && alone) qs_fail(h->w, "a row in flight is not there", me, 0);
  h->moved = true;
}

static void do_set(qs_host *h, uint64_t n) {
  qs_world *w = h->w;
  char value[32], message[256];
  const char *name = qs_setting(&w->config, n, value, sizeof value);
  if (strcmp(name, "concurrency") == 0 && w->options.concurrency == 0)
    return; /* adaptive stays so */
  int32_t status = sheaf_engine_set(h->engine, sheaf_slice_of(name), sheaf_slice_of(value), message,
                                    sizeof message);
  if (status) qs_fail(w, "an option was refused", n, (uint64_t)-status);
  sheaf_option_set(&w->options, sheaf_slice_of(name), sheaf_slice_of(value), message,
                   sizeof message);
  uint64_t cap = w->options.concurrency ? w->options.concurrency : w->options.max_concurrency;
  if (w->options.max_batch > w->most_batch) w->most_batch = w->options.max_batch;
  if (w->options.max_inputs > w->most_inputs) w->most_inputs = w->options.max_inputs;
  if (w->options.canary_pct > w->most_canary) w->most_canary = w->options.canary_pct;
  if (w->options.merge > w->most_merge) w->most_merge = w->options.merge;
  if (cap > w->most_concurrency) w->most_concurrency = cap;
  for (uint32_t i = 0; i < w->config.rows; i++) {
    w->rows[i].odd = w->rows[i].odd || (w->rows[i].admitted && !w->rows[i].ends);
    w->rows[i].passes = 0;
  }
  h->moved = true;
}

static void do_pause(qs_host *h, bool pause) {
  qs_world *w = h->w;
  if ((pause ? sheaf_engine_pause : sheaf_engine_resume)(h->engine))
    qs_fail(w, "pause failed", pause, 0);
  w->paused = pause;
  h->moved = true;
  if (sheaf_engine_is_paused(h->engine) != pause) qs_fail(w, "paused or not", pause, 0);
}

static void do_other(qs_host *h, const qs_due *d) {
  qs_world *w = h->w;
  switch (d->kind) {
    case QS_DUE_STORED:
      stored_up_to(w, d->what);
      sheaf_engine_on_stored(h->engine, d->what, SHEAF_OK);
      return;
    case QS_DUE_CANCEL: do_cancel(h, (uint32_t)d->what); return;
    case QS_DUE_STORM:
      for (uint32_t i = 0; i < w->config.rows; i++)
        if (qs_chance(&w->config, 700, QS_DRAW_HOST, i, 40)) do_cancel(h, i);
      return;
    case QS_DUE_PAUSE: do_pause(h, true); return;
    case QS_DUE_RESUME: do_pause(h, false); return;
    case QS_DUE_SET: do_set(h, d->what); return;
    case QS_DUE_RESET:
      sheaf_engine_stats_reset(h->engine);
      w->reset = true;
      return;
    case QS_DUE_DRAIN:
      sheaf_engine_drain(h->engine);
      w->stopping = h->moved = true;
      return;
    case QS_DUE_ABORT:
      sheaf_engine_abort(h->engine);
      w->stopping = h->moved = true;
      return;
    default: return; /* a poke */
  }
}

static void report(qs_host *h, const qs_due *d) {
  qs_say(h->w, "report: kind, what", d->kind, d->what, 0);
  if (d->kind > QS_DUE_LATE) {
    do_other(h, d);
    return;
  }
  qs_exchange *x = exchange_at(h->w, d->what);
  if (d->kind == QS_DUE_LATE) {
    report_late(h, x);
    return;
  }
  if (x->ended || ((x->cancelled || x->too_large) && d->kind != QS_DUE_DONE)) return;
  if (d->kind == QS_DUE_HEAD)
    report_head(h, x);
  else if (d->kind == QS_DUE_DONE)
    report_done(h, x);
  else
    report_data(h, x, d->kind == QS_DUE_REST);
}

/* All that is due now, then what it means in order of launch. */
uint32_t qs_report_due(qs_host *h) {
  qs_world *w = h->w;
  qs_due batch[512];
  uint32_t count = 0;
  if (h->due_count == 0) return 0;
  qsort(h->dues, h->due_count, sizeof *h->dues, by_time);
  while (count < h->due_count && count < 512 && h->dues[count].at_ns <= w->now_ns) count++;
  if (count == 0) return 0;
  memcpy(batch, h->dues, count * sizeof *batch);
  memmove(h->dues, h->dues + count, (h->due_count - count) * sizeof *h->dues);
  h->due_count -= count;
  if (w->shuffle) shuffle(h, batch, count);
  for (uint32_t i = 0; i < count; i++) report(h, &batch[i]);
  for (uint32_t i = 0; i < w->exchange_count; i++) {
    qs_exchange *x = &w->exchanges[i];
    if (!x->id || !x->ended || x->settled) continue;
    x->settled = true;
    qs_check_ended(w, x);
  }
  return count;
}

/* ---- Doors ---- */

static int32_t door_start(void *ctx, const sheaf_exchange *e) {
  return qs_start(ctx, e) ? SHEAF_OK : SHEAF_E_IO;
}

static void door_cancel(void *ctx, uint64_t id) {
  qs_cancel(ctx, id);
}

static int32_t door_append(void *ctx, uint64_t ticket, const sheaf_record *records,
                           uint32_t count) {
  return qs_append(ctx, ticket, records, count);
}

static int32_t door_scan(void *ctx) {
  (void)ctx;
  return SHEAF_E_END;
}

static int32_t door_put(void *ctx, const sheaf_event *e) {
  qs_host *h = ctx;
  const qs_config *c = &h->w->config;
  if (c->slow_takes && qs_chance(c, 150, QS_DRAW_HOST, h->puts++, 3)) {
    qs_later(h, h->w->now_ns + qs_draw(c, 50 * QS_MS, QS_DRAW_HOST, h->puts, 4), QS_DUE_POKE, 0);
    return SHEAF_E_LATER;
  }
  qs_take_event(h, e);
  return SHEAF_OK;
}

static int32_t hook_preprocess(void *ctx, sheaf_request *request, sheaf_slice *answer) {
  const qs_host *h = ctx;
  const qs_config *c = &h->w->config;
  uint64_t me = (uintptr_t)request->user - 1;
  qs_row *row = &h->w->rows[me];
  if (qs_chance(c, 200, QS_DRAW_HOOK, me, 1)) request->priority = SHEAF_PRIORITY_LOW;
  if (qs_chance(c, 50, QS_DRAW_HOOK, me, 2)) {
    row->refused = true;
    return SHEAF_E_FIELD;
  }
  if (!qs_chance(c, 150, QS_DRAW_HOOK, me, 3)) return SHEAF_OK;
  row->answered = true;
  *answer = SHEAF_LITERAL("answered \"here\"\n");
  return SHEAF_E_END;
}

static int32_t hook_fallback(void *ctx, const sheaf_result *failed, sheaf_slice *answer) {
  const qs_host *h = ctx;
  if (failed->error_class == SHEAF_CLASS_CANCELLED || failed->ok)
    qs_fail(h->w, "a fallback is asked for what did not fail", failed->index, failed->error_class);
  if (!qs_chance(&h->w->config, 500, QS_DRAW_HOOK, (uintptr_t)failed->user, 4))
    return SHEAF_E_FIELD;
  *answer = SHEAF_LITERAL("fallback \\ then");
  return SHEAF_OK;
}

static int32_t hook_validate(void *ctx, const sheaf_result *result) {
  const qs_host *h = ctx;
  if (qs_liveness(h->w)) return SHEAF_OK;
  return qs_chance(&h->w->config, 80, QS_DRAW_HOOK, (uintptr_t)result->user, 50 + result->attempts)
             ? SHEAF_E_FIELD
             : SHEAF_OK;
}

int32_t qs_open_doors(qs_host *h) {
  const qs_config *c = &h->w->config;
  const sheaf_transport transport = {sizeof transport, 0, h, door_start, door_cancel};
  const sheaf_store store = {sizeof store, 0, h, door_append, door_scan};
  const sheaf_sink sink = {sizeof sink, 0, h, door_put};
  const sheaf_hooks hooks = {.struct_bytes = sizeof hooks,
                             .ctx = h,
                             .validate = c->validate ? hook_validate : NULL,
                             .preprocess = c->preprocess ? hook_preprocess : NULL,
                             .fallback = c->fallback ? hook_fallback : NULL};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .store = c->store ? &store : NULL,
                             .hooks = &hooks};
  return sheaf_engine_open(h->engine, &doors);
}
