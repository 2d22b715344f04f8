/* sim_run.c: a host made of numbers; drives one engine after another.
 *
 * Time jumps from one thing that is due to the next. What is due at one instant is reported in one go, in order or
 * shuffled, and one step decides. Order: rows and events, the pull face, the doors, hosts. */
#include "../support/test_alloc.h"
#include "sim_host.h"

#include "engine/engine_int.h"

#include <stdlib.h>

/* ---- Rows in, events out: shared by both faces ---- */

static void fill_request(sim_host *r, uint64_t index, sheaf_request *q) {
  const sim_config *c = &r->w->config;
  size_t bytes = 12 + index % 3 * 40;
  memset(r->prompt, 'p', sizeof r->prompt);
  if (sim_is_task(c, index))
    q->flags |= SHEAF_REQUEST_TASK;
  else
    q->prompt = (sheaf_slice){r->prompt, bytes};
  if (c->stream && index % 2) q->flags |= SHEAF_REQUEST_STREAM;
  q->model = sim_model_of(c, index) ? SHEAF_LITERAL("b") : SHEAF_LITERAL("a");
  q->max_tokens = 64;
  q->deadline_ms = sim_deadline_ms(c, index);
  static const uint32_t priorities[] = {0, 10, 25, 75, 100};
  if (c->priorities) q->priority = priorities[index % 5];
}

static void admitted(sim_host *r, uint64_t index) {
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
    sim_later(r, w->now_ns + sim_draw(c, 4 * c->reply_ms * SIM_MS, SIM_DRAW_ROW, index, 10),
              DUE_CANCEL, index);
}

static void take_event(sim_host *r, const sheaf_event *e) {
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
  for (size_t i = 0; e->kind == SHEAF_EVENT_DELTA && i < e->text.bytes; i++)
    sim_trace(w, (uint64_t)e->text.data[i], 0, 0);
}

/* ---- The pull face ---- */

static void submit_some(sim_host *r) {
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

static void pull_turn(sim_host *r) {
  sim_world *w = r->w;
  sheaf_action action;
  sheaf_event event;
  int32_t status = sheaf_engine_step(r->engine, r->told_ns, (int64_t)(w->now_ns / SIM_MS));
  if (status) sim_fail(w, "step failed", (uint64_t)-status, 0);
  while (sheaf_engine_next_action(r->engine, &action) == SHEAF_OK) {
    if (action.kind == SHEAF_ACTION_START) {
      sim_start(r, action.exchange);
    } else if (action.kind == SHEAF_ACTION_CANCEL) {
      sim_cancel(r, action.exchange_id);
    } else {
      status = sim_append(r, action.ticket, action.records, action.record_count);
      if (status)
        sheaf_engine_on_stored(r->engine, action.ticket, status == SHEAF_E_END ? SHEAF_OK : status);
    }
  }
  while (sheaf_engine_next_event(r->engine, &event) == SHEAF_OK) take_event(r, &event);
  submit_some(r);
  r->idle = sheaf_engine_is_idle(r->engine);
}

/* ---- The doors ---- */

static int32_t door_start(void *ctx, const sheaf_exchange *e) {
  return sim_start(ctx, e) ? SHEAF_OK : SHEAF_E_IO;
}
static void door_cancel(void *ctx, uint64_t id) {
  sim_cancel(ctx, id);
}
static int32_t door_append(void *ctx, uint64_t ticket, const sheaf_record *records,
                           uint32_t count) {
  return sim_append(ctx, ticket, records, count);
}
static int32_t door_scan(void *ctx) {
  sim_host *r = ctx;
  if (r->w->log_count == 0) return SHEAF_E_END;
  sim_later(r, r->w->now_ns + SIM_MS, DUE_SCANNED, 0);
  return SHEAF_OK;
}
static int32_t door_next(void *ctx, sheaf_request *q) {
  sim_host *r = ctx;
  const sim_config *c = &r->w->config;
  if (c->source_later && sim_chance(c, 200, SIM_DRAW_DOOR, r->nexts++, 1)) {
    sim_later(r, r->w->now_ns + sim_draw(c, 100 * SIM_MS, SIM_DRAW_DOOR, r->nexts, 2), DUE_POKE, 0);
    return SHEAF_E_LATER;
  }
  if (r->given == c->rows) return SHEAF_E_END;
  fill_request(r, r->given++, q);
  return SHEAF_OK;
}
static int32_t door_admit(void *ctx, uint64_t index, const sheaf_request *q,
                          const uint8_t fingerprint[16]) {
  sim_host *r = ctx;
  (void)q, (void)fingerprint;
  if (index != r->given - 1) sim_fail(r->w, "a row got another's index", index, r->given);
  if (r->w->rows[index].line) return SHEAF_E_END;
  admitted(r, index);
  return SHEAF_OK;
}
static int32_t door_put(void *ctx, const sheaf_event *e) {
  sim_host *r = ctx;
  const sim_config *c = &r->w->config;
  sim_check_failed(r);
  if (c->sink_later && sim_chance(c, 150, SIM_DRAW_DOOR, r->puts++, 3)) {
    sim_later(r, r->w->now_ns + sim_draw(c, 50 * SIM_MS, SIM_DRAW_DOOR, r->puts, 4), DUE_POKE, 0);
    return SHEAF_E_LATER;
  }
  take_event(r, e);
  return SHEAF_OK;
}
static int32_t door_validate(void *ctx, const sheaf_result *result) {
  sim_host *r = ctx;
  const sim_exchange *x = NULL; /* the latest of the row */
  for (uint32_t i = 0; i < r->w->exchange_count; i++)
    if (r->w->exchanges[i].id && r->w->exchanges[i].index == result->index) x = &r->w->exchanges[i];
  return x && sim_refuses(&r->w->config, x->index, x->attempt) ? SHEAF_E_FIELD : SHEAF_OK;
}

static int32_t open_doors(sim_host *r) {
  const sheaf_transport transport = {sizeof transport, 0, r, door_start, door_cancel};
  const sheaf_store store = {sizeof store, 0, r, door_append, door_scan};
  const sheaf_source source = {
      .struct_bytes = sizeof source, .ctx = r, .next = door_next, .admit = door_admit};
  const sheaf_sink sink = {sizeof sink, 0, r, door_put};
  const sheaf_hooks hooks = {.struct_bytes = sizeof hooks, .ctx = r, .validate = door_validate};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .store = r->w->config.store ? &store : NULL,
                             .hooks = r->w->config.validate ? &hooks : NULL};
  return sheaf_engine_open(r->engine, &doors);
}

static void door_turn(sim_host *r) {
  int32_t status = sheaf_engine_run_once(r->engine, r->told_ns, (int64_t)(r->w->now_ns / SIM_MS));
  sim_check_failed(r);
  r->idle = status == SHEAF_E_END;
  if (status != SHEAF_OK) sim_later(r, r->w->now_ns, DUE_POKE, 0); /* call on to drain */
  if (status && status != SHEAF_E_END && !(r->w->store_failed && status == SHEAF_E_IO))
    sim_fail(r->w, "run_once failed", (uint64_t)-status, 0);
}

/* ---- Hosts ---- */

static int32_t make_engine(sim_host *r, const sheaf_allocator *allocator) {
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
    sim_later(r, r->w->now_ns, DUE_SCANNED, 0);
  }
  return status;
}

/* What the next host finds: stored records, some that were under way, and lines, of which the latest may be torn. */
static void forget_host(sim_world *w) {
  uint32_t unstored = 0;
  for (uint32_t i = 0; i < w->log_count; i++) unstored += !w->log[i].stored;
  uint32_t kept = w->log_count - unstored +
                  (uint32_t)sim_draw(&w->config, unstored + 1, SIM_DRAW_HOST, w->host, 10);
  w->log_count = kept;
  for (uint32_t i = 0; i < kept; i++) {
    if (!w->log[i].stored) sim_apply_record(w, &w->log[i]);
    w->log[i].ticket = 0;
  }
  for (uint32_t i = 0; i < w->config.rows; i++) {
    sim_row *row = &w->rows[i];
    bool torn = row->line && row->ends && row->covered &&
                sim_chance(&w->config, 50, SIM_DRAW_HOST, w->host, 100 + i);
    sim_row kept_row = {
        .starts_ever = row->starts_ever, .line = row->line && !torn, .covered = row->covered};
    kept_row.unknown = row->covered && !kept_row.line;
    if (row->out && !row->covered && w->config.store)
      sim_fail(w, "out when the host died, and not covered", i, 0);
    *row = kept_row;
  }
  if (w->exchanges) memset(w->exchanges, 0, w->exchange_capacity * sizeof *w->exchanges);
  w->exchange_count = w->in_flight = w->full_price_retries = w->completions = w->starts = 0;
  w->spent = w->charged = 0;
  w->stopping = w->store_failed = false;
  memset(w->seats, 0, sizeof w->seats);
  w->keys_stopped = 0;
  for (uint32_t i = 0; i < SIM_POOLS_MAX; i++) {
    sim_pool *p = &w->pools[i]; /* what the provider counted stays */
    p->pause_until_ns = p->probe_until_ns = p->last_start_ns = 0;
    p->probe_due = p->probing = p->low_set = false;
    p->net = p->low = 0;
  }
}

static bool turn_is_due(sim_host *r) {
  sim_world *w = r->w;
  uint64_t at = sim_first_due(r), wake = sheaf_engine_timeout_ns(r->engine);
  if (r->moved && !w->config.doors) wake = 0; /* more to submit, or to take */
  if (wake < at) at = wake;
  if (at == SHEAF_NEVER) {
    sim_fail(w, "stuck: nothing is due", r->engine->rows_inside, r->engine->calls_out);
    return false;
  }
  if (at > w->now_ns) w->now_ns = at;
  /* After the faults: the longest pause, an open breaker, then all rows at the slowest rate there can be. */
  uint64_t rate = w->config.limit_kind ? w->config.limit_rpm : 60;
  uint64_t bound = w->config.safety_ns +
                   (3600 + w->config.rows * (20 + 2 * 60 / (rate < 60 ? rate : 60))) * SIM_SECOND;
  if (w->now_ns - w->begun_ns > bound)
    sim_fail(w, "not over though the faults are", r->engine->rows_inside, r->engine->calls_out);
  return w->failure[0] == 0;
}

/* One engine until it is idle or its host dies. True: died. */
static bool live(sim_host *r) {
  sim_world *w = r->w;
  const sim_config *c = &w->config;
  uint64_t dies =
      c->crashes && w->host < 3 ? 1 + sim_draw(c, 300, SIM_DRAW_HOST, w->host, 20) : SHEAF_NEVER;
  uint32_t still = 0;
  bool first = true;
  if (c->drains && w->host == 0)
    sim_later(r, w->now_ns + sim_draw(c, 20 * SIM_SECOND, SIM_DRAW_HOST, 0, 30), DUE_DRAIN, 0);
  if (c->aborts && w->host == 0)
    sim_later(r, w->now_ns + sim_draw(c, 20 * SIM_SECOND, SIM_DRAW_HOST, 0, 31), DUE_ABORT, 0);
  while (!w->failure[0]) {
    if (!first && !turn_is_due(r)) break;
    if (++r->steps > dies) return true;
    uint64_t before = w->engine_ns;
    bool back = !first && c->backwards && sim_chance(c, 100, SIM_DRAW_HOST, r->steps, 2);
    r->told_ns = w->now_ns - (back ? SIM_SECOND : 0);
    if (r->told_ns > w->engine_ns) w->engine_ns = r->told_ns;
    r->moved = sim_report_due(r) > 0 || w->engine_ns > before || first;
    first = false;
    c->doors ? door_turn(r) : pull_turn(r);
    if (r->idle) {
      sim_check_end(w, r->engine);
      break;
    }
    still = r->moved ? 0 : still + 1;
    if (still > 70)
      sim_fail(w, "spins: asked to be called and did nothing", r->engine->rows_inside,
               r->engine->calls_out);
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
    sim_host r = {.w = w};
    w->run_ns = w->now_ns;
    if (make_engine(&r, &allocator))
      sim_fail(w, "no engine", 0, 0);
    else
      died = live(&r);
    sim_trace(w, 99, died, w->now_ns);
    sheaf_engine_free(r.engine);
    if (memory.live_bytes || memory.live_blocks)
      sim_fail(w, "memory was left", memory.live_bytes, memory.live_blocks);
    if (memory.size_mismatch) sim_fail(w, "memory was freed by a wrong size", 0, 0);
    free(r.dues);
    free(r.failed);
    if (died) forget_host(w);
  }
  free(w->exchanges);
  w->exchanges = NULL;
  return w->failure[0] == 0;
}
