/* concurrency.c: how many exchanges at once (algorithms.md 4).
 *
 *   START --- first cut ---> REBOUND --- breaker closed ---> START at min(8, wmax)
 *
 * START doubles after each round of clean successes under use. A cut remembers the limit as wmax; from then on the limit
 * is a function of time alone: 0.7 of wmax at once, wmax again after 30 s, more later, never above twice the recent use.
 * Latency is not looked at: it follows the length of the answers. Order: limits, gate, events. */
#include "flow/concurrency.h"

#include "base/mem.h"
#include "flow/pool.h"

/* All chosen by simulation, algorithms.md 4. */
#define START_LIMIT 8u
#define ROUND_MIN 4u
#define USE_FLOOR 4u
#define REBOUND_MS 30000
#define CUT_GAP_NS (5 * SHEAF__SECOND)
#define PEAK_HALF_NS (30 * SHEAF__SECOND)

static uint64_t since(uint64_t then_ns, uint64_t now_ns) {
  return now_ns > then_ns ? now_ns - then_ns : 0;
}

static uint32_t larger(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

/* Most in flight during the last 30 to 60 s. */
static uint32_t recent_peak(const sheaf__concurrency *c, uint64_t now_ns) {
  const uint64_t age = since(c->peak_window_ns, now_ns);
  if (age >= 2 * PEAK_HALF_NS) return c->in_flight;
  if (age >= PEAK_HALF_NS) return larger(c->peak_now, c->in_flight);
  return larger(larger(c->peak_before, c->peak_now), c->in_flight);
}

/* Lets the halves move on; in between, in flight only fell, so what is there now was there all along. */
static void note_peak(sheaf__concurrency *c, uint64_t now_ns) {
  const uint64_t age = since(c->peak_window_ns, now_ns);
  if (age >= PEAK_HALF_NS) {
    c->peak_before = age >= 2 * PEAK_HALF_NS ? c->in_flight : c->peak_now;
    c->peak_now = c->in_flight;
    c->peak_window_ns = now_ns;
  }
  c->peak_now = larger(c->peak_now, c->in_flight);
}

static uint64_t rebound_milli(const sheaf__concurrency *c, uint64_t now_ns) {
  const uint64_t dt_ms = sheaf__min_u64(since(c->cut_ns, now_ns) / SHEAF__MS, 4 * REBOUND_MS);
  return (uint64_t)sheaf__rebound((int64_t)c->wmax_milli, (int64_t)dt_ms, REBOUND_MS);
}

static void begin_round(sheaf__concurrency *c, uint64_t now_ns) {
  c->round_need = larger((uint32_t)(c->limit_milli / 1000), ROUND_MIN);
  c->round_got = 0;
  c->round_peak = 0;
  c->round_began_ns = now_ns;
}

static void begin_start(sheaf__concurrency *c, uint64_t limit_milli, uint64_t now_ns) {
  c->starting = true;
  c->limit_milli = limit_milli;
  begin_round(c, now_ns);
}

void sheaf__concurrency_init(sheaf__concurrency *c, uint32_t fixed, uint32_t max, uint64_t now_ns) {
  *c = (sheaf__concurrency){.fixed = fixed != 0, .peak_window_ns = now_ns};
  c->max = larger(fixed ? fixed : max, 1);
  const uint32_t first = c->max < START_LIMIT ? c->max : START_LIMIT;
  begin_start(c, (uint64_t)first * 1000, now_ns);
}

/* From fixed to adaptive what was in use is where the search begins; an adaptive limit goes on under
 * its new ceiling. */
void sheaf__concurrency_set(sheaf__concurrency *c, uint32_t fixed, uint32_t max, uint64_t now_ns) {
  const bool was_fixed = c->fixed;
  const uint32_t ceiling = larger(fixed ? fixed : max, 1);
  if (was_fixed == (fixed != 0) && c->max == ceiling) return;
  c->fixed = fixed != 0;
  c->max = ceiling;
  if (was_fixed && !c->fixed) {
    c->peak_now = c->peak_before = c->in_flight;
    c->peak_window_ns = now_ns;
    const uint32_t first = larger(START_LIMIT, c->in_flight);
    begin_start(c, (uint64_t)(first < ceiling ? first : ceiling) * 1000, now_ns);
  }
  c->limit_milli = sheaf__min_u64(c->limit_milli, (uint64_t)ceiling * 1000);
}

uint64_t sheaf__concurrency_limit_milli(const sheaf__concurrency *c, uint64_t now_ns) {
  const uint64_t max_milli = (uint64_t)c->max * 1000;
  if (c->fixed) return max_milli;
  if (c->starting) return c->limit_milli;
  const uint64_t used_milli = 2000ull * recent_peak(c, now_ns);
  const uint64_t ceiling =
      sheaf__min_u64(max_milli, sheaf__max_u64(USE_FLOOR * 1000ull, used_milli));
  return sheaf__max_u64(1000, sheaf__min_u64(rebound_milli(c, now_ns), ceiling));
}

bool sheaf__concurrency_may(const sheaf__concurrency *c, uint64_t now_ns) {
  return ((uint64_t)c->in_flight + 1) * 1000 <= sheaf__concurrency_limit_milli(c, now_ns);
}

/* The curve is flat after 4 K. Without a new one a limit cut down to 1 by a long outage would stay below 10 for ever: so
 * the limit reached becomes the next wmax, and its curve is entered at K, where it equals wmax. */
static void continue_curve(sheaf__concurrency *c, uint64_t now_ns) {
  if (since(c->cut_ns, now_ns) < 4ull * REBOUND_MS * SHEAF__MS) return;
  c->wmax_milli = sheaf__concurrency_limit_milli(c, now_ns);
  c->cut_ns = now_ns - REBOUND_MS * SHEAF__MS;
}

void sheaf__concurrency_on_start(sheaf__concurrency *c, uint64_t now_ns) {
  SHEAF_ASSERT(c->in_flight < UINT32_MAX);
  if (!c->fixed) note_peak(c, now_ns);
  c->in_flight++;
  if (c->fixed) return;
  c->peak_now = larger(c->peak_now, c->in_flight);
  if (c->starting)
    c->round_peak = larger(c->round_peak, c->in_flight);
  else
    continue_curve(c, now_ns);
}

void sheaf__concurrency_on_end(sheaf__concurrency *c, bool clean, uint64_t started_ns,
                               uint64_t now_ns) {
  SHEAF_ASSERT(c->in_flight > 0);
  if (!c->fixed) note_peak(c, now_ns);
  c->in_flight--;
  if (c->fixed || !c->starting || !clean || started_ns < c->round_began_ns) return;
  if (c->round_got < UINT32_MAX) c->round_got++;
  const bool used = (uint64_t)c->round_peak * 1000 * 10 >= c->limit_milli * 8;
  if (c->round_got < c->round_need || !used) return;
  c->limit_milli = sheaf__min_u64(2 * c->limit_milli, (uint64_t)c->max * 1000);
  begin_round(c, now_ns);
}

void sheaf__concurrency_cut(sheaf__concurrency *c, uint64_t now_ns) {
  if (c->fixed) return;
  if (!c->starting && since(c->cut_ns, now_ns) < CUT_GAP_NS) return;
  c->wmax_milli = sheaf__concurrency_limit_milli(c, now_ns);
  c->cut_ns = now_ns;
  c->starting = false;
}

void sheaf__concurrency_restart(sheaf__concurrency *c, uint64_t now_ns) {
  if (c->fixed) return;
  const uint64_t known = c->starting ? c->limit_milli : c->wmax_milli;
  const uint64_t whole = sheaf__max_u64(1000, known - known % 1000);
  begin_start(c, sheaf__min_u64(whole, START_LIMIT * 1000ull), now_ns);
}
