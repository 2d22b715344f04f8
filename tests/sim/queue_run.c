/* queue_run.c: drives one engine from its first request to its end.
 *
 * Time jumps from one thing that is due to the next. What is due at one instant is reported in
 * one go, in order or shuffled, and one step decides; then requests come. Order: requests in,
 * events out, turns, plans, the run. */
#include "../support/test_alloc.h"
#include "queue_host.h"

#include "engine/engine_int.h"

#include <stdlib.h>

/* ---- Requests in ---- */

/* A request is refused for lack of room, and only then. */
static void check_room(qs_world *w, const sheaf_stats *before, uint32_t me, int32_t status,
                       size_t bytes) {
  const sheaf_engine_options *o = &w->options;
  uint64_t inside = before->queued + before->waiting_retry;
  if (status == SHEAF_OK && inside >= o->queue_capacity)
    qs_fail(w, "taken beyond the capacity", me, inside);
  if (status == SHEAF_OK && inside && before->queue_bytes + bytes > o->queue_bytes_max)
    qs_fail(w, "taken beyond the limit of bytes", me, before->queue_bytes);
  bool room = inside < o->queue_capacity && before->queue_bytes + bytes + 4096 < o->queue_bytes_max;
  if (status == SHEAF_E_FULL && room) qs_fail(w, "refused though there is room", me, inside);
  if (status == SHEAF_E_END && !w->stopping) qs_fail(w, "refused though nothing has ended", me, 0);
  if (status == SHEAF_E_NOMEM && w->starved) return;
  if (status && status != SHEAF_E_FULL && status != SHEAF_E_END)
    qs_fail(w, "submit failed", (uint64_t)-status, me);
}

static void admitted(qs_host *h, uint32_t me, uint64_t index) {
  qs_world *w = h->w;
  const qs_config *c = &w->config;
  qs_row *row = &w->rows[me];
  if (index != w->indexes || index >= QS_ROWS_MAX)
    qs_fail(w, "an index out of order", index, w->indexes);
  row->index = index;
  w->row_of[w->indexes++] = me;
  w->admitted++;
  row->admitted = h->moved = true;
  row->admitted_ns = w->engine_ns;
  row->deadline_ns =
      row->ask.deadline_ms ? w->engine_ns + row->ask.deadline_ms * QS_MS : SHEAF_NEVER;
  if (w->run_end_ns < row->deadline_ns) row->deadline_ns = w->run_end_ns;
  row->twins =
      qs_eligible(w, &row->ask) && !row->answered && !row->refused && !h->engine->recovering;
  row->unknown = row->covered = index < w->unknown;
  if (row->unknown && w->options.resend_unknown == SHEAF_RESEND_NEVER) row->twins = false;
  row->counted = c->counter ? w->last_count : 0;
  if (c->cancels && qs_chance(c, 200, QS_DRAW_ROW, me, 20))
    qs_later(h, w->now_ns + qs_draw(c, 4 * c->reply_ms * QS_MS, QS_DRAW_ROW, me, 21), QS_DUE_CANCEL,
             me);
  qs_watch_admitted(w, h->engine, me);
  qs_trace(w, 4, me, w->now_ns);
  qs_say(w, "  in: row, text, class", me, row->ask.content.text, row->ask.klass);
}

/* False: it waits outside. */
static bool submit(qs_host *h, uint32_t me) {
  qs_world *w = h->w;
  sheaf_request q;
  sheaf_stats before;
  uint64_t index = SHEAF_NEVER;
  qs_request_fill(w, me, &q, &h->text, &h->body);
  sheaf_engine_stats(h->engine, &before);
  int32_t status = sheaf_engine_submit(h->engine, &q, &index, NULL);
  check_room(w, &before, me, status, q.prompt.bytes + q.body.bytes);
  if (status == SHEAF_OK) admitted(h, me, index);
  if (status == SHEAF_E_NOMEM || (status == SHEAF_E_FULL && !w->config.rejects)) return false;
  if (status) w->rows[me].rejected = true;
  return true;
}

static void submit_some(qs_host *h) {
  qs_world *w = h->w;
  while (h->next < w->config.rows && w->rows[h->next].arrives_ns <= w->now_ns) h->next++;
  while (h->waiting < h->next && !w->failure[0] && submit(h, h->waiting)) h->waiting++;
  if (h->waiting < w->config.rows || h->input_ended) return;
  sheaf_engine_end_input(h->engine);
  h->input_ended = w->input_ended = h->moved = true;
}

static int64_t count_tokens(void *ctx, const sheaf_provider *provider, sheaf_slice model,
                            sheaf_slice body) {
  qs_world *w = ctx;
  (void)provider, (void)model;
  return w->last_count = (int64_t)(body.bytes / 4);
}

/* ---- Events out ---- */

void qs_take_event(qs_host *h, const sheaf_event *e) {
  qs_world *w = h->w;
  h->moved = true;
  qs_trace(w, 10 + e->kind, e->index, w->now_ns);
  switch (e->kind) {
    case SHEAF_EVENT_RESULT:
      qs_say(w, "  out: index, class, group", e->result->index, e->result->error_class,
             e->result->group);
      qs_trace(w, e->result->error_class, e->result->attempts, e->result->group);
      for (size_t i = 0; i < e->result->text.bytes; i++)
        qs_trace(w, (uint64_t)e->result->text.data[i] & 255, i, 0);
      qs_check_result(w, e->result);
      return;
    case SHEAF_EVENT_GROUP:
      qs_say(w, "    group, state, members", e->group, e->group_state, e->group_members);
      qs_trace(w, e->group, e->group_state, e->group_members);
      qs_watch_group(w, e);
      return;
    case SHEAF_EVENT_NOTICE:
      qs_trace(w, e->notice, e->number, e->endpoint);
      if (e->notice != SHEAF_NOTICE_MERGE_OFF) return;
      if (w->merge_off) qs_fail(w, "merging stopped twice", 0, 0);
      w->merge_off = true;
      return;
    case SHEAF_EVENT_DELTA:
    case SHEAF_EVENT_DISCARD:
      if (!w->config.streams || w->rows[w->row_of[e->index]].ends)
        qs_fail(w, "text of what is no stream", e->index, e->kind);
      return;
    default: qs_fail(w, "an event of another kind", e->kind, e->index);
  }
}

/* ---- Turns ---- */

static void pull_turn(qs_host *h) {
  qs_world *w = h->w;
  sheaf_action action;
  sheaf_event event;
  int32_t status = sheaf_engine_step(h->engine, h->told_ns, (int64_t)(w->now_ns / QS_MS));
  if (status && !(status == SHEAF_E_NOMEM && w->starved))
    qs_fail(w, "step failed", (uint64_t)-status, 0);
  while (!w->failure[0] && sheaf_engine_next_action(h->engine, &action) == SHEAF_OK) {
    if (action.kind == SHEAF_ACTION_START) {
      qs_start(h, action.exchange);
    } else if (action.kind == SHEAF_ACTION_CANCEL) {
      qs_cancel(h, action.exchange_id);
    } else {
      status = qs_append(h, action.ticket, action.records, action.record_count);
      if (status) sheaf_engine_on_stored(h->engine, action.ticket, SHEAF_OK);
    }
  }
  uint32_t left = w->config.few_events ? 3 : UINT32_MAX;
  while (!w->failure[0] && left-- > 0 && sheaf_engine_next_event(h->engine, &event) == SHEAF_OK)
    qs_take_event(h, &event);
}

/* Now and then a turn finds no memory at all, or only a little. */
static void starve(qs_host *h) {
  qs_world *w = h->w;
  w->starved = w->config.starves && !qs_liveness(w) &&
               qs_chance(&w->config, 150, QS_DRAW_HOST, h->steps, 50);
  h->memory->fail_after = w->starved;
  h->memory->fail_at =
      w->starved ? h->memory->calls + 1 + qs_draw(&w->config, 6, QS_DRAW_HOST, h->steps, 51) : 0;
  if (!w->starved) return;
  qs_later(h, w->now_ns + QS_MS, QS_DUE_POKE, 0);
  w->hungry_until_ns = w->now_ns + 2 * QS_MS + w->config.grid_ns;
}

static void turn(qs_host *h) {
  qs_world *w = h->w;
  starve(h);
  if (w->engine_ns >= w->run_end_ns) w->stopping = true;
  if (w->config.doors) {
    int32_t status = sheaf_engine_run_once(h->engine, h->told_ns, (int64_t)(w->now_ns / QS_MS));
    h->idle = status == SHEAF_E_END;
    if (status && status != SHEAF_E_END && !(status == SHEAF_E_NOMEM && w->starved))
      qs_fail(w, "run_once failed", (uint64_t)-status, 0);
  } else {
    pull_turn(h);
    h->idle = false;
  }
  uint32_t broken = sheaf__engine_check(h->engine);
  if (broken) qs_fail(w, "an invariant of the engine does not hold", broken, 0);
  if (!w->failure[0])
    qs_watch_turn(w, h->engine,
                  !w->config.few_events && !w->config.slow_takes && !w->config.store_late);
  if (!w->failure[0]) submit_some(h);
  h->memory->fail_at = 0;
  h->memory->fail_after = false;
  if (!w->config.doors) h->idle = sheaf_engine_is_idle(h->engine);
}

static bool turn_is_due(qs_host *h) {
  qs_world *w = h->w;
  uint64_t at = qs_first_due(h), wake = sheaf_engine_timeout_ns(h->engine);
  if (h->moved) wake = 0; /* more to submit, or to take */
  if (wake < at) at = wake;
  if (h->next < w->config.rows && w->rows[h->next].arrives_ns < at)
    at = w->rows[h->next].arrives_ns;
  if (at == SHEAF_NEVER) {
    qs_fail(w, "stuck: nothing is due", h->engine->rows_inside, h->engine->calls_out);
    return false;
  }
  if (at > w->now_ns) w->now_ns = at;
  /* After the faults: the longest pause, an open breaker, then all rows at the slowest rate
   * there can be. */
  uint64_t bound = w->config.safety_ns + (3600 + w->config.rows * 30ull) * QS_SECOND;
  if (w->now_ns - w->begun_ns > bound)
    qs_fail(w, "not over though the faults are", h->engine->rows_inside, h->engine->calls_out);
  return w->failure[0] == 0;
}

/* ---- Plans ---- */

static uint64_t some_time(const qs_config *c, uint64_t what) {
  return qs_draw(c, c->safety_ns, QS_DRAW_HOST, what, 30);
}

static void plan_users(qs_host *h) {
  const qs_config *c = &h->w->config;
  uint64_t now = h->w->now_ns;
  for (uint64_t i = 0; c->pauses && i < 3; i++) {
    uint64_t at = now + some_time(c, 100 + i);
    qs_later(h, at, QS_DUE_PAUSE, 0);
    qs_later(h, at + qs_draw(c, 8 * QS_SECOND, QS_DRAW_HOST, 110 + i, 31), QS_DUE_RESUME, 0);
  }
  if (c->pauses) qs_later(h, now + c->safety_ns + 10 * QS_SECOND, QS_DUE_RESUME, 0);
  for (uint64_t i = 0; c->sets && i < 12; i++)
    qs_later(h, now + some_time(c, 200 + i) / (1 + i % 3 * 10), QS_DUE_SET, i);
  for (uint64_t i = 0; c->storm && i < 2; i++)
    qs_later(h, now + some_time(c, 300 + i), QS_DUE_STORM, i);
  if (c->resets) qs_later(h, now + some_time(c, 400), QS_DUE_RESET, 0);
  if (c->drains) qs_later(h, now + some_time(c, 401) / 2, QS_DUE_DRAIN, 0);
  if (c->aborts) qs_later(h, now + some_time(c, 402) / 2, QS_DUE_ABORT, 0);
}

/* ---- The run ---- */

/* What an earlier run may have left: it covered the first few rows, and has no line of theirs. */
static int32_t scan(qs_host *h) {
  qs_world *w = h->w;
  uint8_t payload[SHEAF_RANGE_BYTES];
  const sheaf_record record = {.type = SHEAF_RECORD_RANGE,
                               .payload = {(const char *)payload, sizeof payload}};
  if (w->config.recovers) {
    w->unknown = 1 + (uint32_t)qs_draw(&w->config, 8, QS_DRAW_STORE, 0, 9);
    sheaf_range_write(&(sheaf_range){.first = 0, .last = w->unknown - 1}, payload);
    int32_t status = sheaf_engine_on_scanned(h->engine, &record, 1);
    if (status) return status;
  }
  return sheaf_engine_on_scanned(h->engine, NULL, 0);
}

static int32_t make_engine(qs_host *h, const sheaf_allocator *allocator) {
  qs_world *w = h->w;
  const qs_config *c = &w->config;
  static const char *const names[] = {"one", "two"};
  sheaf_endpoint endpoints[2];
  const sheaf_token_counter tokens = {
      .struct_bytes = sizeof tokens, .ctx = w, .count = count_tokens};
  for (uint32_t i = 0; i < c->places; i++) {
    endpoints[i] = SHEAF_ENDPOINT_INIT;
    endpoints[i].provider = &w->provider;
    endpoints[i].name = sheaf_slice_of(names[i]);
    endpoints[i].quota_group = SHEAF_LITERAL("all");
  }
  sheaf_engine_options options = c->options;
  options.endpoints = endpoints;
  options.endpoint_count = c->places;
  options.tokens = c->counter ? &tokens : NULL;
  int32_t status = sheaf_engine_new(&options, allocator, &h->engine);
  if (status == SHEAF_OK && c->doors) return qs_open_doors(h);
  if (status == SHEAF_OK && c->store) {
    status = sheaf_engine_use_store(h->engine);
    if (status == SHEAF_OK) status = scan(h);
  }
  return status;
}

/* Nothing comes of an engine that is idle, however long one waits. */
static void check_silence(qs_host *h) {
  sheaf_event event;
  sheaf_action action;
  for (uint32_t i = 0; i < 3 && !h->w->config.doors; i++) {
    h->w->now_ns += 600 * QS_SECOND;
    sheaf_engine_step(h->engine, h->w->now_ns, 0);
    while (sheaf_engine_next_event(h->engine, &event) !=
           SHEAF_E_EMPTY) /* the run's deadline may pass afterwards */
      if (event.kind != SHEAF_EVENT_NOTICE)
        qs_fail(h->w, "an event of an idle engine", event.kind, i);
    if (sheaf_engine_next_action(h->engine, &action) != SHEAF_E_EMPTY)
      qs_fail(h->w, "an action of an idle engine", action.kind, i);
  }
}

static void live(qs_host *h) {
  qs_world *w = h->w;
  const qs_config *c = &w->config;
  uint32_t still = 0;
  uint64_t dies = c->dies ? 1 + qs_draw(c, 200, QS_DRAW_HOST, 0, 20) : SHEAF_NEVER;
  plan_users(h);
  if (c->early) submit_some(h);
  for (bool first = true; !w->failure[0]; first = false) {
    if (!first && !turn_is_due(h)) return;
    uint64_t before = w->engine_ns;
    bool back = !first && c->backwards && qs_chance(c, 100, QS_DRAW_HOST, h->steps, 2);
    if (++h->steps > dies) return;
    h->told_ns = w->now_ns - (back ? QS_SECOND : 0);
    if (h->told_ns > w->engine_ns) w->engine_ns = h->told_ns;
    h->moved = false;
    h->moved = qs_report_due(h) > 0 || w->engine_ns > before || first;
    turn(h);
    if (h->idle) break;
    still = h->moved ? 0 : still + 1;
    if (still > 70 && !c->starves)
      qs_fail(w, "spins: asked to be called and did nothing", h->engine->rows_inside,
              h->engine->calls_out);
  }
  if (w->failure[0]) return;
  qs_check_end(w, h->engine);
  qs_watch_end(w);
  check_silence(h);
}

void qs_free(qs_world *w) {
  for (uint32_t i = 0; i < w->exchange_count; i++) {
    free(w->exchanges[i].members);
    free(w->exchanges[i].reply);
  }
  free(w->exchanges);
  free(w->log);
  w->exchanges = NULL;
  w->log = NULL;
  w->exchange_count = 0;
}

bool qs_run(qs_world *w, uint64_t seed, bool shuffled, bool verbose) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  qs_host h = {.w = w, .memory = &memory};
  memset(w, 0, sizeof *w);
  qs_config_draw(&w->config, seed);
  w->options = w->config.options;
  w->most_batch = w->options.max_batch;
  w->most_inputs = w->options.max_inputs;
  w->most_merge = w->options.merge;
  w->most_canary = w->options.canary_pct;
  w->most_concurrency =
      w->options.concurrency ? w->options.concurrency : w->options.max_concurrency;
  w->shuffle = shuffled;
  w->verbose = verbose;
  w->begun_ns = w->now_ns = w->engine_ns = 1000 * QS_SECOND + seed % 1000;
  w->run_end_ns =
      w->options.run_deadline_ms ? w->now_ns + w->options.run_deadline_ms * QS_MS : SHEAF_NEVER;
  qs_provider_init(w);
  qs_rows_draw(w);
  sheaf_buf_init(&h.text, qs_malloc(), SIZE_MAX / 2);
  sheaf_buf_init(&h.body, qs_malloc(), SIZE_MAX / 2);
  if (make_engine(&h, &allocator))
    qs_fail(w, "no engine", 0, 0);
  else
    live(&h);
  sheaf_engine_free(h.engine);
  if (memory.live_bytes || memory.live_blocks)
    qs_fail(w, "memory was left", memory.live_bytes, memory.live_blocks);
  if (memory.size_mismatch) qs_fail(w, "memory was freed by a wrong size", 0, 0);
  sheaf_buf_deinit(&h.text);
  sheaf_buf_deinit(&h.body);
  free(h.dues);
  return w->failure[0] == 0;
}
