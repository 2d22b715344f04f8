/* sim_check.c: rules that the engine must keep, computed here from what was reported to it and what it did.
 *
 * Nothing of the engine's own state is read but its statistics at the end. Numbers (98 %, 500 ms, 5 in a row, ...) are
 * those of algorithms.md 1, 2, 4, 6, 7. Order: starts, what a settled report means, results, the end. */
#include "sim_world.h"

#include <string.h>

#define MINUTE ((int64_t)60000000000)

static sim_seat *seat_of(sim_world *w, const sim_exchange *x) {
  return &w->seats[x->place * SIM_POOLS_MAX + x->pool];
}

/* With a store that answers late, a START decided before a refusal may be handed out after it. */
static bool is_strict(const sim_world *w) {
  return !w->config.store_late;
}

/* ---- Starts ---- */

/* Taken in any window: at most the bucket and what it gained. low is the least of (taken - gained) so far. */
static void check_rate(sim_world *w, sim_pool *p) {
  const sheaf_engine_options *o = &w->config.options;
  uint64_t gap = p->last_start_ns ? w->engine_ns - p->last_start_ns : SHEAF_NEVER;
  if (gap < o->start_interval_ms * SIM_MS && is_strict(w))
    sim_fail(w, "starts too close together", gap, 0);
  p->last_start_ns = w->engine_ns;
  if (o->rpm == 0 || w->config.headers) return; /* headers may raise the level */
  uint64_t limit = o->rpm * o->rate_safety_pct / 100;
  uint64_t cap = limit * o->burst_ms / 60000;
  if (cap == 0) cap = 1;
  int64_t gained = (int64_t)(limit * (w->engine_ns - w->begun_ns));
  int64_t before = p->net * MINUTE - gained;
  if (!p->low_set || before < p->low) p->low = before;
  p->low_set = true;
  p->net++;
  int64_t used = p->net * MINUTE - gained - p->low;
  if (is_strict(w) && used > (int64_t)cap * MINUTE + (int64_t)limit * 2000)
    sim_fail(w, "more starts than the rate allows", (uint64_t)used, cap);
}

static void check_pause(sim_world *w, sim_pool *p, const sim_exchange *x) {
  if (w->keys_stopped >> x->place & 1) sim_fail(w, "a start on a stopped key", x->index, x->place);
  if (w->engine_ns < p->pause_until_ns)
    sim_fail(w, "a start within a pause", x->index, p->pause_until_ns - w->engine_ns);
  if (p->probing && w->engine_ns < p->probe_until_ns)
    sim_fail(w, "a second start before the probe's head", x->index, x->pool);
  if (!p->probe_due) return;
  p->probe_due = false;
  p->probing = true;
  p->probe_exchange = x->id;
  p->probe_until_ns = w->engine_ns + 2 * SIM_SECOND;
}

enum { CLOSED, OPEN, HALF_OPEN };

static void check_breaker(sim_world *w, sim_seat *s, const sim_exchange *x) {
  if (s->lost_until_ns) {
    if (w->engine_ns >= s->lost_until_ns) return; /* may be either: nothing to hold it to */
    s->lost_until_ns = 0;                         /* not lost: it would still be open */
  }
  if (s->state == CLOSED) return;
  if (s->state == HALF_OPEN && s->probing) {
    if (w->engine_ns < s->probe_until_ns) {
      sim_fail(w, "a second probe of a breaker", x->index, x->place);
      return;
    }
    s->state = OPEN; /* the probe is lost: open again, for at least as long */
    s->open_until_ns = s->probe_until_ns + 8 * SIM_SECOND;
  }
  if (s->state == OPEN && w->engine_ns < s->open_until_ns)
    sim_fail(w, "a start on an open breaker", x->index, x->place);
  if (s->state == OPEN) s->state = HALF_OPEN, s->successes = 0;
  s->probing = true;
  s->probe_exchange = x->id;
  s->probe_until_ns = x->timeout_ns == SHEAF_NEVER ? SHEAF_NEVER : w->engine_ns + x->timeout_ns;
}

void sim_check_start(sim_world *w, const sheaf_engine *engine, sim_exchange *x) {
  (void)engine;
  const sim_config *c = &w->config;
  sim_row *row = &w->rows[x->index];
  sim_seat *seat = seat_of(w, x);
  uint64_t cap = c->options.concurrency ? c->options.concurrency : c->options.max_concurrency;
  w->requests_ever++;
  w->starts++;
  if (!row->admitted) sim_fail(w, "a start of a row that was not admitted", x->index, 0);
  if (row->ends) sim_fail(w, "a start of a row that is over", x->index, 0);
  if (row->out) sim_fail(w, "two exchanges of one row", x->index, 0);
  if (row->line) sim_fail(w, "a start of a row that has its line", x->index, 0);
  if (row->cancelled) sim_fail(w, "a start of a cancelled row", x->index, 0);
  if (row->unknown && c->options.resend_unknown == SHEAF_RESEND_NEVER)
    sim_fail(w, "a start of an unknown row against the policy", x->index, 0);
  if (c->store && !row->covered) sim_fail(w, "a start that no stored range covers", x->index, 0);
  if (c->store && w->store_failed) sim_fail(w, "a start on a failed store", x->index, 0);
  if (w->engine_ns >= row->deadline_ns)
    sim_fail(w, "a start at or after the deadline", x->index, w->engine_ns - row->deadline_ns);
  if (row->deadline_ns != SHEAF_NEVER &&
      (x->timeout_ns == SHEAF_NEVER || w->engine_ns + x->timeout_ns > row->deadline_ns))
    sim_fail(w, "a timeout beyond the deadline", x->index, x->timeout_ns);
  if (w->stopping) sim_fail(w, "a start after a drain", x->index, 0);
  if (++w->in_flight > cap) sim_fail(w, "more in flight than allowed", w->in_flight, cap);
  check_rate(w, &w->pools[x->pool]);
  if (is_strict(w)) {
    check_pause(w, &w->pools[x->pool], x);
    check_breaker(w, seat, x);
  }
  if (row->starts && row->last_full_price &&
      !(row->last_unknown && c->options.resend_unknown == SHEAF_RESEND_ALWAYS))
    w->full_price_retries++;
  if (row->starts && row->last_unknown && c->options.resend_unknown == SHEAF_RESEND_NEVER)
    sim_fail(w, "an unknown outcome was sent again", x->index, 0);
  uint64_t seconds = (w->engine_ns - w->begun_ns) / SIM_SECOND + 1,
           pools = c->pools_shared ? c->models : c->models * c->places;
  uint64_t bound = pools * (50 + seconds / 10 + 1) + w->completions / 5;
  if (w->full_price_retries > bound)
    sim_fail(w, "more full-price retries than the budget has", w->full_price_retries, bound);
  row->out = true;
  row->starts++;
}

/* ---- What a report means once it is settled ---- */

static void settle_head(sim_world *w, const sim_exchange *x) {
  sim_pool *p = &w->pools[x->pool];
  if (x->status >= 200 && x->status < 300 && p->probing && p->probe_exchange == x->id)
    p->probing = false;
}

static void settle_refusal(sim_world *w, const sim_exchange *x) {
  sim_pool *p = &w->pools[x->pool];
  uint64_t least = x->wait_ns != SHEAF_NEVER ? x->wait_ns : x->limits_told ? 0 : 500 * SIM_MS;
  if (w->engine_ns + least > p->pause_until_ns) p->pause_until_ns = w->engine_ns + least;
  p->probe_due = true;
  p->probing = false;
}

static int outcome_of(const sim_world *w, const sim_exchange *x) {
  if (x->status >= 300) return x->status == 500 ? 0 : -1;
  switch (x->end_kind) {
    case SHEAF_END_OK:
      if (x->fate == SIM_OK) return sim_refuses(&w->config, x->index, x->attempt) ? -1 : 1;
      return x->stream && !x->plain
                 ? 0
                 : -1; /* a stream without its end marker broke; a body is invalid */
    case SHEAF_END_NOT_SENT:
    case SHEAF_END_BROKEN:
    case SHEAF_END_TIMEOUT: return 0;
    default: return -1;
  }
}

static void open_breaker(sim_seat *s, uint64_t at_ns) {
  s->state = OPEN;
  s->probing = false;
  s->open_until_ns = at_ns + 8 * SIM_SECOND; /* 10 s less a fifth, at least */
}

/* The probe's end. One that comes when its lease is over counts only if nothing looked at the breaker in between, which
 * is not seen from here: it is taken as counted, and the first start tells (check_breaker). */
static void settle_probe(const sim_world *w, sim_seat *s, int outcome) {
  bool late = w->engine_ns >= s->probe_until_ns;
  s->probing = false;
  if (outcome == 0) {
    open_breaker(s, late ? s->probe_until_ns : w->engine_ns);
    return;
  }
  if (outcome == 1 && ++s->successes == 2) *s = (sim_seat){.probe_until_ns = s->probe_until_ns};
  if (late) s->lost_until_ns = s->probe_until_ns + 8 * SIM_SECOND;
}

static void settle_breaker(const sim_world *w, sim_seat *s, const sim_exchange *x, int outcome) {
  if (s->state == HALF_OPEN) {
    if (s->probing && s->probe_exchange == x->id) settle_probe(w, s, outcome);
    return;
  }
  if (s->state == OPEN || outcome < 0) return;
  s->ring = (s->ring << 1 | (outcome == 0)) & 0xfffff;
  if (s->ring_count < 20) s->ring_count++;
  s->in_a_row = outcome == 0 ? s->in_a_row + 1 : 0;
  uint32_t failed = (uint32_t)__builtin_popcount(s->ring);
  if (s->in_a_row >= 5 || (s->ring_count >= 10 && 2 * failed >= s->ring_count))
    open_breaker(s, w->engine_ns);
}

static void settle_money(sim_world *w, const sim_exchange *x) {
  int64_t cost = (int64_t)sim_input_tokens(&w->config, x->index) +
                 3 * (int64_t)sim_output_tokens(&w->config, x->index, x->attempt);
  if (x->status >= 300 || x->end_kind == SHEAF_END_NOT_SENT) return;
  if (x->task && (x->end_kind != SHEAF_END_OK))
    cost -= (int64_t)sim_input_tokens(&w->config, x->index); /* nobody can know it */
  w->charged += cost; /* whatever became of the reply, the work may have been done */
  if (x->end_kind == SHEAF_END_OK && x->fate == SIM_OK)
    w->spent += cost, w->rows[x->index].cost += cost;
  else
    w->rows[x->index].cost_unknown = true;
  uint64_t cap = w->config.options.budget_usd_nano;
  if (cap != SHEAF_NEVER && (uint64_t)w->charged > cap)
    sim_fail(w, "the spend passed its cap", (uint64_t)w->charged, cap);
}

void sim_check_settled(sim_world *w, sim_exchange *x) {
  sim_pool *p = &w->pools[x->pool];
  sim_row *row = &w->rows[x->index];
  if (x->has_head && !x->head_checked) x->head_checked = true, settle_head(w, x);
  if (!x->has_end || x->end_checked) return;
  x->end_checked = true;
  row->out = false;
  w->in_flight--;
  if (!x->has_head && p->probing && p->probe_exchange == x->id) {
    p->probing = false;
    if (w->engine_ns < p->probe_until_ns) p->probe_due = true;
  }
  if (x->end_kind == SHEAF_END_NOT_SENT && w->config.options.rpm) {
    int64_t gained = (int64_t)(w->config.options.rpm * w->config.options.rate_safety_pct / 100 *
                               (w->engine_ns - w->begun_ns));
    p->net--;
    if (p->net * MINUTE - gained < p->low) p->low = p->net * MINUTE - gained;
  }
  int outcome = outcome_of(w, x);
  settle_breaker(w, seat_of(w, x), x, outcome);
  if (x->status == 429 || x->status == 529) settle_refusal(w, x);
  if (x->status == 401) w->keys_stopped |= 1ull << x->place;
  if (outcome == 1 || x->status == 400 || x->status == 401 || x->end_kind == SHEAF_END_CANCELLED)
    w->completions++;
  settle_money(w, x);
  bool broke =
      x->status < 300 && (x->end_kind == SHEAF_END_BROKEN || x->end_kind == SHEAF_END_TIMEOUT);
  bool cut = x->status < 300 && x->end_kind == SHEAF_END_OK && outcome == 0;
  row->last_unknown = broke || cut;
  row->last_full_price = row->last_unknown || x->status == 500 ||
                         (x->end_kind == SHEAF_END_OK && x->status < 300 && outcome < 0);
  row->last_fate = x->fate;
  if (x->cancelled && outcome != 1)
    row->cancelled = true; /* final: nothing of it may start any more */
}

/* ---- Results and the end ---- */

void sim_check_result(sim_world *w, const sheaf_result *r) {
  const sim_config *c = &w->config;
  if (r->index >= c->rows) {
    sim_fail(w, "a result of no row", r->index, 0);
    return;
  }
  sim_row *row = &w->rows[r->index];
  char text[32];
  snprintf(text, sizeof text, "text-%u.", (unsigned)r->index);
  if (!row->admitted) sim_fail(w, "a result of a row that was not admitted", r->index, 0);
  if (row->ends++) sim_fail(w, "a row ended twice", r->index, 0);
  if (row->out) sim_fail(w, "a row ended while its exchange is out", r->index, r->error_class);
  if (r->attempts != row->starts)
    sim_fail(w, "attempts are not what was started", r->attempts, row->starts);
  if (r->ok != (r->error_class == SHEAF_CLASS_NONE))
    sim_fail(w, "ok and class differ", r->index, r->error_class);
  if (r->ok && row->last_fate != SIM_OK)
    sim_fail(w, "called good what was not", r->index, row->last_fate);
  bool task = sim_is_task(c, r->index);
  if (r->ok && !task &&
      (r->text.bytes != strlen(text) || memcmp(r->text.data, text, r->text.bytes) != 0))
    sim_fail(w, "a row has another's text", r->index, r->text.bytes);
  if (r->ok && !r->attempted) sim_fail(w, "a success that was not attempted", r->index, 0);
  if (!r->attempted && r->billing > SHEAF_BILLING_REFUSED)
    sim_fail(w, "called unsent what may have been billed", r->index, r->billing);
  if (r->attempted && row->starts == 0 && !row->unknown)
    sim_fail(w, "called attempted what was never sent", r->index, r->error_class);
  if (r->ok && r->cost_usd_nano != row->cost)
    sim_fail(w, "a row's cost is not the sum of its attempts", (uint64_t)r->cost_usd_nano,
             (uint64_t)row->cost);
  if (r->error_class == SHEAF_CLASS_INTERNAL) sim_fail(w, "an internal error", r->index, 0);
  if (row->unknown && c->options.resend_unknown == SHEAF_RESEND_NEVER &&
      r->error_class != SHEAF_CLASS_UNKNOWN_OUTCOME)
    sim_fail(w, "an unknown row ended otherwise", r->index, r->error_class);
  if (row->unknown && row->starts && !r->resent_unknown)
    sim_fail(w, "an unknown row was sent again in silence", r->index, 0);
  if (r->attempted) {
    if (row->line) sim_fail(w, "two lines of one row", r->index, 0);
    row->line = true;
  }
}

void sim_check_end(sim_world *w, const sheaf_engine *engine) {
  const sim_config *c = &w->config;
  sheaf_stats s;
  sheaf_engine_stats(engine, &s);
  uint64_t admitted = 0;
  for (uint32_t i = 0; i < c->rows; i++) {
    const sim_row *row = &w->rows[i];
    admitted += row->admitted;
    if (row->admitted && row->ends != 1) sim_fail(w, "a row without an end", i, row->ends);
    if (!row->admitted && !row->line && !w->stopping && !w->store_failed &&
        !c->options.run_deadline_ms)
      sim_fail(w, "a row that never got in", i, 0);
  }
  if (w->in_flight) sim_fail(w, "idle with exchanges out", w->in_flight, 0);
  if (s.admitted != admitted) sim_fail(w, "admitted is not what went in", s.admitted, admitted);
  if (s.succeeded + s.failed + s.not_attempted != admitted)
    sim_fail(w, "ends do not add up", s.succeeded + s.failed + s.not_attempted, admitted);
  if (s.attempts != w->starts)
    sim_fail(w, "statistics count other attempts", s.attempts, w->starts);
  if (s.in_flight || s.queued || s.waiting_retry)
    sim_fail(w, "idle but not empty", s.in_flight, s.queued);
  int64_t cost = s.cost_usd_nano == SHEAF_ABSENT ? 0 : s.cost_usd_nano;
  if (cost != w->spent)
    sim_fail(w, "the spend is not the sum of the usages", (uint64_t)cost, (uint64_t)w->spent);
  if (cost + s.unknown_usd_nano < w->charged)
    sim_fail(w, "spend and unknown are less than what was charged",
             (uint64_t)(cost + s.unknown_usd_nano), (uint64_t)w->charged);
}
