/* sim_jobs_host.c: one engine after the other over what the last one left, until every row has its
 * line.
 *
 * Order: memory, the source, the sink, the store's scan, making an engine, the pull face, time, a
 * host's life, probing what the records say at any point, the world. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- Memory that is short at times ---- */

static void *short_memory(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  sj_world *w = ctx;
  bool may_fail = w->config.nomem && !sj_calm(w) && w->engine != NULL && !w->probing;
  if (new_bytes && may_fail && sj_chance(&w->config, 3, SJ_MEMORY, w->memory.calls, 0)) {
    w->memory.calls++;
    return NULL;
  }
  return test_alloc_realloc(&w->memory, ptr, old_bytes, new_bytes);
}

/* ---- The source ---- */

static bool comes_later(sj_world *w, bool wanted, uint32_t *count, uint64_t key) {
  if (!wanted || w->probing || !sj_chance(&w->config, 150, SJ_HOST, (*count)++, key)) return false;
  sj_later(w, w->now_ns + sj_draw(&w->config, 100 * SJ_MS, SJ_HOST, *count, key + 1), SJ_DUE_POKE,
           0);
  return true;
}

static int32_t source_next(void *ctx, sheaf_request *q) {
  sj_world *w = ctx;
  const sj_config *c = &w->config;
  if (w->dead) return SHEAF_E_LATER;
  if (comes_later(w, c->source_later, &w->nexts, 20)) return SHEAF_E_LATER;
  if (w->given == c->rows) return SHEAF_E_END;
  uint32_t i = w->given++;
  sj_row *row = &w->rows[i];
  /* What a request points at lives until the next call only. */
  w->prompt.bytes = 0;
  sj_put_bytes(&w->prompt, row->text, strlen(row->text));
  if (w->changed == i + 1) sj_put_bytes(&w->prompt, "!", 1);
  sheaf_slice text = sheaf_slice_of(w->prompt.data);
  q->deadline_ms = row->deadline_ms;
  if (row->kind == SJ_MESSAGES)
    q->messages = text;
  else if (row->kind == SJ_BODY || row->kind == SJ_STREAMED)
    q->body = text;
  else if (row->kind != SJ_BAD)
    q->prompt = text;
  q->custom_id = (sheaf_slice){row->id, row->id_bytes};
  q->metadata = sheaf_slice_of(row->metadata);
  q->model = row->model ? SHEAF_LITERAL("mb") : SHEAF_LITERAL("ma");
  q->endpoint = row->place ? SHEAF_LITERAL("two") : SHEAF_LITERAL("one");
  q->line = i + 1;
  q->source_ref = i + 100;
  q->max_tokens = row->kind == SJ_BODY || row->kind == SJ_STREAMED ? 0 : 64;
  q->lane = row->kind == SJ_LIVE ? SHEAF_LANE_LIVE : (uint32_t)c->options.lane;
  row->given = !w->probing;
  return SHEAF_OK;
}

static int32_t source_admit(void *ctx, uint64_t index, const sheaf_request *q,
                            const uint8_t fingerprint[16]) {
  sj_world *w = ctx;
  (void)q;
  if (w->dead) return SHEAF_OK;
  if (index >= w->config.rows) {
    sj_fail(w, "a row got another's index", index, w->given);
    return SHEAF_OK;
  }
  sj_row *row = &w->rows[index];
  if (w->changed == index + 1) {
    SJ_NOTE(w, "         row %llu comes with another text", (unsigned long long)index);
    return row->has_line ? SHEAF_E_END : SHEAF_OK;
  }
  if (row->fingerprint_known && memcmp(row->fingerprint, fingerprint, 16) != 0)
    sj_fail(w, "a row's fingerprint changed", index, 0);
  memcpy(row->fingerprint, fingerprint, 16);
  row->fingerprint_known = true;
  return row->has_line ? SHEAF_E_END : SHEAF_OK;
}

static int32_t source_refused(void *ctx, uint64_t index, const sheaf_request *q,
                              const sheaf_parse_error *error) {
  sj_world *w = ctx;
  (void)q;
  if (w->dead) return SHEAF_OK;
  SJ_NOTE(w, "         row %llu refused: %s", (unsigned long long)index,
          error->message ? error->message : "?");
  bool may_be = index < w->config.rows &&
                (w->rows[index].kind == SJ_BAD || w->rows[index].kind == SJ_STREAMED);
  if (!may_be) sj_fail(w, "a good row was refused", index, (uint64_t)-error->status);
  return SHEAF_OK;
}

/* ---- The sink and the store's scan ---- */

static int32_t sink_put(void *ctx, const sheaf_event *e) {
  sj_world *w = ctx;
  if (w->dead) return SHEAF_E_LATER;
  if (w->probing) return SHEAF_OK;
  if (comes_later(w, w->config.sink_later, &w->puts, 30)) return SHEAF_E_LATER;
  if (!sj_effect(w, "event", e->kind, e->index)) return SHEAF_E_LATER;
  if (e->kind == SHEAF_EVENT_RESULT)
    sj_check_result(w, e->result);
  else
    sj_check_event(w, e);
  return SHEAF_OK;
}

static int32_t store_append(void *ctx, uint64_t ticket, const sheaf_record *records,
                            uint32_t count) {
  return sj_append(ctx, ticket, records, count);
}

static int32_t store_scan(void *ctx) {
  sj_world *w = ctx;
  if (w->record_count == 0) return SHEAF_E_END;
  sj_later(w, w->now_ns + SJ_MS, SJ_DUE_SCANNED, 0);
  return SHEAF_OK;
}

static void scanned(sj_world *w, uint32_t count) {
  for (uint32_t i = 0; i < count;) {
    sheaf_record some[4];
    uint32_t n = 1 + (uint32_t)sj_draw(&w->config, 4, SJ_DISK, i, 40);
    if (n > count - i) n = count - i;
    for (uint32_t k = 0; k < n; k++)
      some[k] = (sheaf_record){w->records[i + k].type,
                               0,
                               {w->records[i + k].payload.data, w->records[i + k].payload.bytes}};
    int32_t status = sheaf_engine_on_scanned(w->engine, some, n);
    if (status == SHEAF_E_NOMEM && w->config.nomem && !w->probing) {
      w->dead = true; /* a host that cannot even read its records gives up */
      return;
    }
    if (status) {
      sj_fail(w, "records that an engine wrote are refused", i, (uint64_t)-status);
      return;
    }
    i += n;
  }
  sheaf_engine_on_scanned(w->engine, NULL, 0);
  w->scanned = true;
}

/* ---- Making an engine ---- */

static int32_t door_start(void *ctx, const sheaf_exchange *e) {
  return sj_start(ctx, e);
}
static void door_cancel(void *ctx, uint64_t id) {
  sj_cancel_call(ctx, id);
}

static uint64_t mode_of(const sj_world *w) {
  const sj_config *c = &w->config;
  if (w->probing) return SHEAF_BATCH_STATUS;
  if (!c->modes || w->host >= 8) return SHEAF_BATCH_RUN;
  static const uint64_t modes[] = {SHEAF_BATCH_RUN,     SHEAF_BATCH_SUBMIT,  SHEAF_BATCH_SUBMIT,
                                   SHEAF_BATCH_COLLECT, SHEAF_BATCH_STATUS,  SHEAF_BATCH_RUN,
                                   SHEAF_BATCH_SURVEY,  SHEAF_BATCH_COLLECT, SHEAF_BATCH_CANCEL};
  uint64_t mode = modes[sj_draw(c, c->cancels ? 9 : 8, SJ_HOST, w->host, 50)];
  return mode;
}

static int32_t make_engine(sj_world *w, const sheaf_allocator *allocator) {
  const sj_config *c = &w->config;
  static const char *const names[] = {"one", "two"};
  sheaf_endpoint endpoints[SJ_PLACES_MAX];
  for (uint32_t i = 0; i < c->places; i++) {
    endpoints[i] = SHEAF_ENDPOINT_INIT;
    endpoints[i].provider = sheaf_provider_find(sheaf_slice_of(sj_dialect_names[c->dialect[i]]));
    endpoints[i].name = sheaf_slice_of(names[i]);
    endpoints[i].credential_id = i + 1;
    if (c->dialect[i] == SJ_AZURE)
      endpoints[i].base_url = SHEAF_LITERAL("https://res.openai.azure.com/openai/v1");
  }
  sheaf_engine_options options = c->options;
  options.endpoints = endpoints;
  options.endpoint_count = c->places;
  options.batch_mode = mode_of(w);
  if (w->host >= 6) options.budget_usd_nano = SHEAF_NEVER;
  SJ_NOTE(w, "host %u, mode %llu", w->host, (unsigned long long)options.batch_mode);
  int32_t status = sheaf_engine_new(&options, allocator, &w->engine);
  if (status) return status;
  const sheaf_transport transport = {sizeof transport, 0, w, door_start, door_cancel};
  const sheaf_store store = {sizeof store, 0, w, store_append, store_scan};
  const sheaf_source source = {.struct_bytes = sizeof source,
                               .ctx = w,
                               .next = source_next,
                               .admit = source_admit,
                               .refused = source_refused};
  const sheaf_sink sink = {sizeof sink, 0, w, sink_put};
  sheaf_spool spool = sj_spool_door;
  spool.ctx = w;
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .store = &store,
                             .spool = &spool};
  return sheaf_engine_open(w->engine, &doors);
}

/* ---- The pull face ---- */

static void pull_actions(sj_world *w) {
  sheaf_action action;
  while (!w->dead && sheaf_engine_next_action(w->engine, &action) == SHEAF_OK) {
    if (action.kind == SHEAF_ACTION_START) {
      sj_start(w, action.exchange);
    } else if (action.kind == SHEAF_ACTION_CANCEL) {
      sj_cancel_call(w, action.exchange_id);
    } else {
      int32_t status = sj_append(w, action.ticket, action.records, action.record_count);
      if (status && !w->dead)
        sheaf_engine_on_stored(w->engine, action.ticket, status == SHEAF_E_END ? SHEAF_OK : status);
    }
  }
}

static void pull_source(sj_world *w) {
  while (!w->input_ended && !w->dead) {
    if (!w->has_request) {
      w->request = SHEAF_REQUEST_INIT;
      int32_t status = source_next(w, &w->request);
      if (status == SHEAF_E_LATER) return;
      if (status == SHEAF_E_END) {
        sheaf_engine_end_input(w->engine);
        w->input_ended = w->moved = true;
        return;
      }
      w->has_request = true;
    }
    int32_t status = sheaf_engine_offer(w->engine, &w->request, NULL);
    if (status == SHEAF_E_FULL || (status == SHEAF_E_NOMEM && w->config.nomem)) {
      if (status == SHEAF_E_NOMEM) sj_later(w, w->now_ns + SJ_MS, SJ_DUE_POKE, 0);
      return;
    }
    w->moved = true;
    w->has_request = false;
    if (status == SHEAF_E_END) {
      w->rows[w->given - 1].given = false; /* a drain came first */
      w->input_ended = true;
    } else if (status && !(w->spool_failed && status == SHEAF_E_IO) &&
               !(w->changed && status == SHEAF_E_OTHER_RUN)) {
      sj_fail(w, "offer failed", (uint64_t)-status, w->given);
    } else if (status) {
      w->rows[w->given - 1].given = false;
      sheaf_engine_drain(w->engine);
      w->input_ended = true;
    }
  }
}

static int32_t pull_turn(sj_world *w, int64_t wall_ms) {
  sheaf_event event;
  w->moved = false;
  int32_t status = sheaf_engine_step(w->engine, w->now_ns, wall_ms);
  pull_actions(w);
  while (!w->dead && sheaf_engine_next_event(w->engine, &event) == SHEAF_OK) {
    if (!sj_effect(w, "event", event.kind, event.index)) break;
    if (event.kind == SHEAF_EVENT_RESULT)
      sj_check_result(w, event.result);
    else
      sj_check_event(w, &event);
  }
  if (w->scanned) pull_source(w);
  if (w->moved) sj_later(w, w->now_ns, SJ_DUE_POKE, 0); /* more to submit, or to take */
  if (status == SHEAF_OK && sheaf_engine_is_idle(w->engine)) return SHEAF_E_END;
  return status;
}

/* ---- Time ---- */

static void report_due(sj_world *w, uint32_t scan_count) {
  for (;;) {
    uint32_t at = UINT32_MAX;
    for (uint32_t i = 0; i < w->due_count; i++)
      if (w->dues[i].at_ns <= w->now_ns &&
          (at == UINT32_MAX || w->dues[i].at_ns < w->dues[at].at_ns ||
           (w->dues[i].at_ns == w->dues[at].at_ns && w->dues[i].seq < w->dues[at].seq)))
        at = i;
    if (at == UINT32_MAX || w->dead || w->failure[0]) return;
    sj_due due = w->dues[at];
    w->dues[at] = w->dues[--w->due_count];
    w->moved = true;
    switch (due.kind) {
      case SJ_DUE_STORED:
        if (sj_effect(w, "stored", due.what, 0)) {
          sj_stored(w, due.what);
          if (!w->dead) sheaf_engine_on_stored(w->engine, due.what, SHEAF_OK);
        }
        break;
      case SJ_DUE_SCANNED: scanned(w, scan_count); break;
      case SJ_DUE_DRAIN:
        if (sj_effect(w, "drain", 0, 0)) sheaf_engine_drain(w->engine);
        break;
      case SJ_DUE_CANCEL_JOB:
        if (sj_effect(w, "cancel job", due.what, 0) &&
            sheaf_engine_job_cancel(w->engine, due.what) == SHEAF_OK) {
          w->flights[due.what].unwanted = true;
          w->flights[due.what].intents_then = w->flights[due.what].intents;
        }
        break;
      case SJ_DUE_PAUSE:
        if (!sj_effect(w, "pause", 0, 0)) break;
        sheaf_engine_pause(w->engine);
        sj_later(w, w->now_ns + sj_draw(&w->config, 600 * SJ_SECOND, SJ_HOST, w->draws++, 76),
                 SJ_DUE_RESUME, 0);
        break;
      case SJ_DUE_RESUME:
        if (sj_effect(w, "resume", 0, 0)) sheaf_engine_resume(w->engine);
        break;
      case SJ_DUE_POKE: break;
      default: sj_call_due(w, &due); break;
    }
    if (due.kind == SJ_DUE_DATA) return; /* full means: after the next step */
  }
}

static bool wait_on(sj_world *w) {
  uint64_t at = w->engine ? sheaf_engine_timeout_ns(w->engine) : SHEAF_NEVER;
  for (uint32_t i = 0; i < w->due_count; i++)
    if (w->dues[i].at_ns < at) at = w->dues[i].at_ns;
  if (at == SHEAF_NEVER) {
    sj_fail(w, "stuck: nothing is due", w->given, w->host_effects);
    return false;
  }
  if (at > w->now_ns) w->now_ns = at;
  return true;
}

/* ---- A host's life ---- */

static int64_t unix_ms(sj_world *w) {
  const sj_config *c = &w->config;
  if (c->clock_jumps && w->steps % 50 == 0)
    w->skew_ms = sj_chance(c, 500, SJ_HOST, w->steps, w->host)
                     ? (int64_t)sj_draw(c, 172800000, SJ_HOST, w->steps, 61) - 86400000
                     : 0;
  return SJ_UNIX_MS + (int64_t)(w->now_ns / SJ_MS) + w->skew_ms;
}

static bool may_answer(const sj_world *w, int32_t status) {
  if (status == SHEAF_E_OTHER_RUN) return w->changed != 0;
  if (status == SHEAF_OK || status == SHEAF_E_END) return true;
  if (status == SHEAF_E_NOMEM) return w->config.nomem;
  if (status == SHEAF_E_IO || status == SHEAF_E_STORE) return w->store_failed || w->spool_failed;
  return false;
}

/* True: it came to its end; false: it died. */
static bool live(sj_world *w) {
  uint64_t begun = w->now_ns;
  w->scanned = w->has_request = w->input_ended = false;
  if (w->config.pull) sj_later(w, w->now_ns, SJ_DUE_SCANNED, 0);
  w->steps = 0;
  for (bool first = true; !w->failure[0] && !w->dead; first = false) {
    uint64_t before = w->now_ns;
    if (!first && !wait_on(w)) return false;
    w->moved = false;
    report_due(w, w->record_count);
    if (w->dead || w->failure[0]) return false;
    w->steps++;
    int32_t status = w->config.pull ? pull_turn(w, unix_ms(w))
                                    : sheaf_engine_run_once(w->engine, w->now_ns, unix_ms(w));
    if (w->dead) return false;
    if (status == SHEAF_E_END) return true;
    if (!may_answer(w, status)) sj_fail(w, "run_once failed", (uint64_t)-status, 0);
    if (status != SHEAF_OK) sj_later(w, w->now_ns + SJ_MS, SJ_DUE_POKE, 0);
    w->still = w->moved || before < w->now_ns ? 0 : w->still + 1;
    if (w->still > 200) sj_fail(w, "spins: asked to be called and did nothing", w->given, w->steps);
    if (w->now_ns - begun > 10 * 24 * SJ_HOUR)
      sj_fail(w, "not over after ten days", w->given, w->steps);
    if (w->steps > 300000 + 70 * ((w->now_ns - begun) / SJ_SECOND))
      sj_fail(w, "too many steps", w->given, w->host_effects);
  }
  return false;
}

static void forget_host(sj_world *w) {
  for (uint32_t i = 0; i < SJ_FLIGHTS_MAX; i++) w->flights[i].unwanted = false;
  for (uint32_t i = 0; i < w->config.rows; i++) w->rows[i].given = w->rows[i].ended = false;
  w->given = w->still = 0;
  w->host_effects = 0;
  w->store_failed = w->spool_failed = w->dead = false;
}

/* Somebody edits the input: a row that a job holds. It is given back the old text for the next
 * host. */
static uint32_t draw_changed(const sj_world *w) {
  const sj_config *c = &w->config;
  if (!c->changes || w->host == 0 || w->host > 4) return 0;
  uint32_t at = (uint32_t)sj_draw(c, c->rows, SJ_HOST, w->host, 77);
  for (uint32_t n = 0; n < c->rows; n++, at = (at + 1) % c->rows) {
    const sj_row *row = &w->rows[at];
    const sj_flight *f = &w->flights[row->flight];
    if (row->kind == SJ_PROMPT && !row->has_line && row->flight && f->planned && !f->over)
      return at + 1;
  }
  return 0;
}

static uint64_t dies_at(const sj_world *w) {
  const sj_config *c = &w->config;
  if (c->exhaustive) return w->host < 2 ? c->crash_at[w->host] : 0;
  if (w->host >= c->crashes) return 0;
  static const uint64_t within[] = {20, 100, 600, 3000};
  uint64_t most = within[sj_draw(c, 4, SJ_HOST, w->host, 70)];
  return 1 + sj_draw(c, most, SJ_HOST, w->host, 71);
}

static bool one_host(sj_world *w) {
  memset(&w->memory, 0, sizeof w->memory);
  const sheaf_allocator allocator = {short_memory, w};
  const sj_config *c = &w->config;
  w->engine = NULL;
  w->crash_at = dies_at(w);
  w->changed = draw_changed(w);
  bool over = false;
  if (make_engine(w, &allocator))
    sj_fail(w, "no engine", 0, 0);
  else {
    if (c->drains && w->host < 3)
      sj_later(w, w->now_ns + sj_draw(c, 2 * c->job_ns, SJ_HOST, w->host, 72), SJ_DUE_DRAIN, 0);
    if (c->cancels && w->host < 4)
      sj_later(w, w->now_ns + sj_draw(c, 2 * c->job_ns, SJ_HOST, w->host, 73), SJ_DUE_CANCEL_JOB,
               1 + sj_draw(c, 4, SJ_HOST, w->host, 74));
    if (c->pauses && w->host < 4)
      sj_later(w, w->now_ns + sj_draw(c, c->job_ns, SJ_HOST, w->host, 75), SJ_DUE_PAUSE, 0);
    w->charged_before = w->charged;
    over = live(w);
  }
  if (over) sj_check_host_end(w);
  sheaf_engine_free(w->engine);
  w->engine = NULL;
  if (w->memory.live_bytes || w->memory.live_blocks)
    sj_fail(w, "memory was left", w->memory.live_bytes, w->memory.live_blocks);
  if (w->memory.size_mismatch) sj_fail(w, "memory was freed by a wrong size", 0, 0);
  if (!over) w->crashed_ever = true;
  sj_net_crash(w);
  sj_disk_crash(w, over);
  return over;
}

/* ---- Any durable prefix of the records can be read ---- */

static void probe(sj_world *w, uint32_t count) {
  const sheaf_allocator allocator = {short_memory, w};
  memset(&w->memory, 0, sizeof w->memory);
  bool verbose = w->verbose;
  uint32_t dues = w->due_count;
  w->verbose = false;
  w->probing = true;
  w->given = w->changed = 0;
  w->engine = NULL;
  if (make_engine(w, &allocator)) sj_fail(w, "no engine", 1, 0);
  for (uint32_t n = 0; n < 300 && !w->failure[0]; n++) {
    int32_t status = sheaf_engine_run_once(w->engine, w->now_ns + n * SJ_SECOND, SJ_UNIX_MS);
    for (uint32_t i = dues; i < w->due_count; i++)
      if (w->dues[i].kind == SJ_DUE_SCANNED) scanned(w, count);
    w->due_count = dues;
    if (status == SHEAF_E_END) break;
    if (status != SHEAF_OK && status != SHEAF_E_IO && status != SHEAF_E_STORE)
      sj_fail(w, "a prefix of the records cannot be gone on from", count, (uint64_t)-status);
  }
  sheaf_engine_free(w->engine);
  w->engine = NULL;
  if (w->memory.live_bytes) sj_fail(w, "memory was left by a probe", w->memory.live_bytes, count);
  w->probing = false;
  w->verbose = verbose;
}

/* ---- The world ---- */

static bool all_have_lines(const sj_world *w) {
  for (uint32_t i = 0; i < w->config.rows; i++)
    if (!w->rows[i].has_line) return false;
  return true;
}

static bool only_undecided_left(const sj_world *w) {
  for (uint32_t i = 0; i < w->config.rows; i++)
    if (!w->rows[i].has_line && !(w->rows[i].flight && w->flights[w->rows[i].flight].undecided))
      return false;
  return true;
}

static bool is_over(const sj_world *w) {
  bool jobs_over = true;
  for (uint32_t i = 0; i < SJ_FLIGHTS_MAX; i++)
    if (w->flights[i].planned && !w->flights[i].over) jobs_over = false;
  return (all_have_lines(w) && jobs_over) || (w->config.no_decision && only_undecided_left(w));
}

bool sj_run(sj_world *w, const sj_config *config) {
  bool verbose = w->verbose;
  memset(w, 0, sizeof *w);
  w->verbose = verbose;
  w->config = *config;
  w->now_ns = 1000 * SJ_SECOND;
  w->config.calm_ns += w->now_ns;
  if (config->exhaustive) w->config.calm_ns = 0;
  w->doubled = config->slow_list; /* what is not shown for minutes may be paid for twice */
  sj_rows_make(w);
  sj_provider_foreign(w);
  for (bool over = false; !over && !w->failure[0]; w->host++) {
    if (w->host == SJ_HOSTS_MAX) {
      sj_fail(w, "not over after so many hosts", w->parked, w->undecided);
      break;
    }
    bool ended = one_host(w);
    over = ended && is_over(w);
    if (w->verbose && ended) printf("host %u ended; over: %d\n", w->host, over);
    if (ended && !w->config.no_decision) sj_decide(w);
    forget_host(w);
    if (!config->exhaustive && sj_chance(config, 300, SJ_HOST, w->host, 80))
      w->now_ns += sj_draw(config, 3 * SJ_HOUR, SJ_HOST, w->host, 81);
    if (w->host >= 10 && !sj_calm(w)) w->now_ns = w->config.calm_ns;
  }
  if (!w->failure[0]) sj_check_world_end(w);
  bool all = config->exhaustive && !config->crash_at[0];
  for (uint32_t i = 0; i < (all ? w->record_count : 3) && !w->failure[0]; i++)
    probe(w, all ? i : (uint32_t)sj_draw(config, w->record_count + 1, SJ_PROBE, i, 0));
  return w->failure[0] == 0;
}

void sj_world_free(sj_world *w) {
  for (uint32_t i = 0; i < w->job_count; i++) {
    free(w->jobs[i].items);
    sj_text_free(&w->jobs[i].out);
    sj_text_free(&w->jobs[i].errors);
  }
  for (uint32_t i = 0; i < w->file_count; i++) sj_text_free(&w->files[i].text);
  for (uint32_t i = 0; i < w->record_count; i++) sj_text_free(&w->records[i].payload);
  for (uint32_t i = 0; i < SJ_FLIGHTS_MAX; i++) sj_text_free(&w->spools[i].text);
  for (uint32_t i = 0; i < SJ_CALLS_MAX; i++) sj_call_free(&w->calls[i]);
  for (uint32_t i = 0; i < w->config.rows; i++) free(w->rows[i].text);
  sj_text_free(&w->prompt);
  w->job_count = w->file_count = w->record_count = 0;
}
