/* sim_jobs_world.c: what a seed turns on, and the rows.
 *
 * Order: draws and text, the configuration, rows. Every draw is keyed by what it is for. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

const char *const sj_dialect_names[SJ_DIALECTS] = {"openai",  "anthropic", "gemini",
                                                   "mistral", "groq",      "azure"};

static const sheaf_price price = {.provider = "*",
                                  .model = "*",
                                  .input = SJ_NANO_IN * 1000000,
                                  .output = SJ_NANO_OUT * 1000000,
                                  .cache_read = SHEAF_ABSENT,
                                  .cache_write = SHEAF_ABSENT};
const sheaf_price_table sj_prices = {
    .date = "2026-01-01", .source = "the simulator", .prices = &price, .count = 1};

/* ---- Draws and text ---- */

static uint64_t mix(uint64_t x) { /* the finaliser of splitmix64 */
  x ^= x >> 30, x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27, x *= 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

uint64_t sj_draw(const sj_config *c, uint64_t below, uint64_t purpose, uint64_t a, uint64_t b) {
  return below ? mix(mix(mix(mix(c->seed + 9) ^ purpose) ^ a) ^ (b + 77)) % below : 0;
}

bool sj_chance(const sj_config *c, uint32_t permille, uint64_t purpose, uint64_t a, uint64_t b) {
  return sj_draw(c, 1000, purpose, a, b) < permille;
}

uint64_t sj_hash(const void *data, size_t bytes) { /* FNV-1a */
  const unsigned char *at = data;
  uint64_t hash = 0xcbf29ce484222325ull;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * 0x100000001b3ull;
  return hash;
}

void sj_put_bytes(sj_text *t, const void *data, size_t bytes) {
  if (t->bytes + bytes + 1 > t->capacity) {
    size_t capacity = 2 * (t->bytes + bytes) + 64;
    char *grown = realloc(t->data, capacity);
    if (grown == NULL) abort();
    t->data = grown;
    t->capacity = capacity;
  }
  if (bytes) memcpy(t->data + t->bytes, data, bytes);
  t->bytes += bytes;
  t->data[t->bytes] = 0;
}

void sj_text_free(sj_text *t) {
  free(t->data);
  memset(t, 0, sizeof *t);
}

void sj_stamp(const sj_world *w) {
  printf("%u %11.3f  ", w->host, (double)w->now_ns / 1e9);
}

void sj_fail(sj_world *w, const char *what, uint64_t a, uint64_t b) {
  if (w->failure[0]) return;
  snprintf(w->failure, sizeof w->failure, "%s (%llu, %llu) at %.3f s, host %u, effect %llu", what,
           (unsigned long long)a, (unsigned long long)b, (double)w->now_ns / 1e9, w->host,
           (unsigned long long)w->host_effects);
  SJ_NOTE(w, "FAILURE %s", w->failure);
}

bool sj_calm(const sj_world *w) {
  return w->now_ns >= w->config.calm_ns;
}

/* ---- The configuration: a random part of everything is off ---- */

static bool on(const sj_config *c, uint64_t what, uint32_t permille) {
  return sj_chance(c, permille, SJ_CONFIG, what, 0);
}

static uint64_t pick(const sj_config *c, uint64_t what, const uint64_t *of, uint64_t count) {
  return of[sj_draw(c, count, SJ_CONFIG, what, 1)];
}

static bool exists(uint32_t dialect) {
  const sheaf_provider *p = sheaf_provider_find(sheaf_slice_of(sj_dialect_names[dialect]));
  return p != NULL && p->jobs != NULL;
}

static void draw_fates(sj_config *c) {
  static const uint64_t rates[] = {10, 40, 120};
  for (uint32_t f = 1; f < SJ_CALL_FATES; f++)
    if (on(c, 100 + f, 350)) c->call_permille[f] = (uint32_t)pick(c, 120 + f, rates, 3);
  if (c->call_permille[SJ_REFUSES_KEY]) c->call_permille[SJ_REFUSES_KEY] = 4; /* ends a run */
  for (uint32_t f = 1; f < SJ_ITEM_FATES; f++)
    if (on(c, 140 + f, 300)) c->item_permille[f] = (uint32_t)pick(c, 160 + f, rates, 3);
  /* Half of a file and a second word in the other: nobody can know then. */
  if (c->call_permille[SJ_SILENT_CUT]) c->item_permille[SJ_BOTH_FILES] = 0;
  for (uint32_t f = 1; f < SJ_JOB_FATES; f++)
    if (on(c, 180 + f, 250)) c->job_permille[f] = (uint32_t)pick(c, 190 + f, rates, 3) * 2;
}

static void draw_options(sj_config *c) {
  static const uint64_t per_job[] = {0, 1, 2, 5, 20, 50};
  static const uint64_t jobs_max[] = {0, 0, 1, 2, 4};
  static const uint64_t polls[] = {1000, 30000, 300000};
  static const uint64_t timeouts[] = {0, 0, 600000, 7200000};
  static const uint64_t attempts[] = {20000, 120000, 600000};
  sheaf_engine_options *o = &c->options;
  sheaf_engine_options_init(o);
  o->seed = c->seed;
  o->prices = &sj_prices;
  o->lane = SHEAF_LANE_BATCH;
  if (on(c, 1, 100)) o->lane = SHEAF_LANE_AUTO;
  o->max_requests_per_job = pick(c, 2, per_job, 6);
  o->max_jobs = pick(c, 3, jobs_max, 5);
  o->poll_interval_ms = pick(c, 4, polls, 3);
  o->batch_timeout_ms = pick(c, 5, timeouts, 4);
  o->attempt_timeout_ms = pick(c, 6, attempts, 3);
  o->resend_unknown = sj_draw(c, 3, SJ_CONFIG, 7, 0);
  o->rescue = on(c, 8, 200) ? SHEAF_RESCUE_OFF : SHEAF_RESCUE_LIVE;
  o->concurrency = on(c, 9, 300) ? 1 + sj_draw(c, 8, SJ_CONFIG, 10, 0) : 0;
  if (on(c, 11, 150)) o->max_job_tokens = 50 + sj_draw(c, 400, SJ_CONFIG, 12, 0);
  if (on(c, 13, 200)) o->queue_capacity = 1 + sj_draw(c, 30, SJ_CONFIG, 14, 0);
}

static void draw_places(sj_config *c) {
  c->places = 1 + on(c, 20, 150);
  c->models = 1 + on(c, 21, 200);
  for (uint32_t i = 0; i < c->places; i++) {
    uint32_t d = (uint32_t)sj_draw(c, SJ_DIALECTS, SJ_CONFIG, 22, i);
    for (uint32_t n = 0; n < SJ_DIALECTS && !exists(d); n++) d = (d + 1) % SJ_DIALECTS;
    c->dialect[i] = d;
  }
}

void sj_config_draw(sj_config *c, uint64_t seed) {
  static const uint64_t rows[] = {1, 3, 8, 20, 60, 150};
  static const uint64_t durations[] = {5, 60, 1800, 7200};
  static const uint64_t lists[] = {0, 0, 2, 20};
  memset(c, 0, sizeof *c);
  c->seed = seed;
  c->rows = (uint32_t)pick(c, 30, rows, 6);
  draw_places(c);
  bool *const features[] = {&c->store_late,   &c->short_reads, &c->sink_later,
                            &c->source_later, &c->foreign,     &c->twice_told};
  for (uint32_t i = 0; i < sizeof features / sizeof *features; i++)
    *features[i] = on(c, 40 + i, 350);
  c->store_fails = on(c, 50, 50);
  c->spool_fails = on(c, 51, 40);
  c->drains = on(c, 52, 80);
  c->clock_jumps = on(c, 53, 150);
  c->slow_list = on(c, 54, 100);
  c->no_decision = on(c, 55, 300);
  c->nomem = on(c, 56, 120);
  c->modes = on(c, 57, 250);
  c->power_loss = on(c, 58, 300);
  c->cancels = on(c, 59, 100);
  c->deadlines = on(c, 70, 100);
  c->budget = on(c, 71, 80);
  c->pauses = on(c, 72, 100);
  c->big = on(c, 73, 100);
  c->pull = on(c, 75, 200);
  c->changes = on(c, 76, 100);
  if (c->big && c->rows > 20) c->rows = 20;
  c->crashes = on(c, 60, 500) ? 1 + (uint32_t)sj_draw(c, 4, SJ_CONFIG, 61, 0) : 0;
  c->job_ns = pick(c, 62, durations, 4) * SJ_SECOND;
  c->list_ns = c->slow_list ? 600 * SJ_SECOND : pick(c, 63, lists, 4) * SJ_SECOND;
  c->page_rows = 2 + (uint32_t)sj_draw(c, 8, SJ_CONFIG, 64, 0);
  c->calm_ns = (60 + sj_draw(c, 20000, SJ_CONFIG, 65, 0)) * SJ_SECOND;
  draw_options(c);
  if (on(c, 66, 850)) draw_fates(c);
  static const uint64_t nano_a_row[] = {10, 100, 300};
  if (c->budget) c->options.budget_usd_nano = c->rows * pick(c, 74, nano_a_row, 3);
}

/* Few rows and no chance: the crashes are all there is. */
void sj_config_small(sj_config *c, uint64_t seed) {
  memset(c, 0, sizeof *c);
  c->seed = seed;
  c->places = c->models = 1;
  uint32_t d = (uint32_t)(seed % SJ_DIALECTS);
  for (uint32_t n = 0; n < SJ_DIALECTS && !exists(d); n++) d = (d + 1) % SJ_DIALECTS;
  c->dialect[0] = d;
  c->rows = 3;
  c->exhaustive = true;
  c->store_late = seed & 8;
  c->power_loss = seed & 16;
  c->pull = seed & 64;
  c->foreign = seed & 32;
  c->job_ns = 60 * SJ_SECOND;
  c->list_ns = 5 * SJ_SECOND;
  c->page_rows = 2;
  draw_options(c);
  c->options.lane = SHEAF_LANE_BATCH;
  c->options.max_requests_per_job = 2;
  c->options.max_jobs = 0;
  c->options.batch_timeout_ms = 0;
  c->options.queue_capacity = 1000;
  c->options.max_job_tokens = 0;
  c->item_permille[SJ_FAILS] = 200;
}

void sj_config_print(const sj_config *c) {
  const sheaf_engine_options *o = &c->options;
  printf(
      "  rows %u models %u places %s%s%s crashes %u per_job %llu max_jobs %llu tokens %llu lane "
      "%llu\n",
      c->rows, c->models, sj_dialect_names[c->dialect[0]], c->places > 1 ? "+" : "",
      c->places > 1 ? sj_dialect_names[c->dialect[1]] : "", c->crashes,
      (unsigned long long)o->max_requests_per_job, (unsigned long long)o->max_jobs,
      (unsigned long long)o->max_job_tokens, (unsigned long long)o->lane);
  printf("  resend %llu rescue %llu timeout %llu s calm %llu s job %llu s list %llu s\n ",
         (unsigned long long)o->resend_unknown, (unsigned long long)o->rescue,
         (unsigned long long)o->batch_timeout_ms / 1000,
         (unsigned long long)(c->calm_ns / SJ_SECOND), (unsigned long long)(c->job_ns / SJ_SECOND),
         (unsigned long long)(c->list_ns / SJ_SECOND));
  const bool flags[] = {c->power_loss,  c->store_late, c->store_fails,  c->spool_fails,
                        c->short_reads, c->sink_later, c->source_later, c->drains,
                        c->clock_jumps, c->foreign,    c->slow_list,    c->no_decision,
                        c->nomem,       c->modes,      c->twice_told,   c->cancels,
                        c->deadlines,   c->budget,     c->pauses,       c->big,
                        c->pull,        c->changes};
  static const char *const names[] = {
      "power_loss",   "store_late", "store_fails", "spool_fails", "short_reads", "sink_later",
      "source_later", "drains",     "clock_jumps", "foreign",     "slow_list",   "no_decision",
      "nomem",        "modes",      "twice_told",  "cancels",     "deadlines",   "budget",
      "pauses",       "big",        "pull",        "changes"};
  for (uint32_t i = 0; i < sizeof flags / sizeof *flags; i++)
    if (flags[i]) printf(" %s", names[i]);
  printf("\n  calls");
  for (uint32_t i = 1; i < SJ_CALL_FATES; i++) printf(" %u", c->call_permille[i]);
  printf("  rows");
  for (uint32_t i = 1; i < SJ_ITEM_FATES; i++) printf(" %u", c->item_permille[i]);
  printf("  jobs");
  for (uint32_t i = 1; i < SJ_JOB_FATES; i++) printf(" %u", c->job_permille[i]);
  printf("\n");
}

/* ---- Rows ---- */

static void make_id(const sj_world *w, sj_row *row, uint32_t i) {
  static const char odd[] = "q\"uote\\ \xc3\xa4\n\t\xf0\x9f\x98\x80/";
  int n = 0;
  switch (sj_draw(&w->config, 8, SJ_ROW, i, 1)) {
    case 0: break; /* none: "row-N" */
    case 1: n = snprintf(row->id, sizeof row->id, "%s%u", odd, i); break;
    case 2: n = snprintf(row->id, sizeof row->id, "%0*u", 300 + (int)i, i); break;
    case 3: n = snprintf(row->id, sizeof row->id, "r%u-other", i + 1); break; /* looks like ours */
    case 4: n = snprintf(row->id, sizeof row->id, "%060u", i); break;
    case 5: n = snprintf(row->id, sizeof row->id, "r%u_0123456789abcdef", i + 3); break;
    case 6: n = snprintf(row->id, sizeof row->id, "with space %u", i); break;
    default: n = snprintf(row->id, sizeof row->id, "id_%u-A", i); break;
  }
  row->id_bytes = (size_t)n;
}

/* Some are larger than what is read of a spool at once. */
static void make_text(const sj_world *w, sj_row *row, uint32_t i) {
  const sj_config *c = &w->config;
  const char *model = row->model ? "mb" : "ma";
  const char *stream = row->kind == SJ_STREAMED ? ",\"stream\":true" : "";
  sj_text t = {0}, padding = {0};
  uint64_t most =
      c->big && sj_chance(c, 400, SJ_ROW, i, 8) ? 300 + sj_draw(c, 2000, SJ_ROW, i, 9) : 0;
  sj_put_bytes(&padding, "", 0);
  for (uint64_t n = 0; n < most; n++) SJ_PUT(&padding, " word %u", (unsigned)n);
  switch (row->kind) {
    case SJ_MESSAGES:
      SJ_PUT(&t, "[{\"role\":\"user\",\"content\":\"m \\\"%s\\\" \\u00e4", row->tag);
      sj_put_bytes(&t, padding.data, padding.bytes);
      SJ_PUT(&t, "\"}]");
      break;
    case SJ_BODY:
    case SJ_STREAMED:
      if (c->dialect[row->place] == SJ_GEMINI)
        SJ_PUT(&t, "{\"contents\":[{\"parts\":[{\"text\":\"%s", row->tag);
      else
        SJ_PUT(
            &t,
            "{\"model\":\"%s\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"%s",
            model, row->tag);
      sj_put_bytes(&t, padding.data, padding.bytes);
      if (c->dialect[row->place] == SJ_GEMINI)
        SJ_PUT(&t, "\"}]}]}");
      else
        SJ_PUT(&t, "\"}],\"x\":1.50%s}", stream);
      break;
    default:
      SJ_PUT(&t, "p \"%s\" \\ \n\xc3\xa4", row->tag);
      sj_put_bytes(&t, padding.data, padding.bytes);
      break;
  }
  sj_text_free(&padding);
  row->text = t.data;
}

void sj_rows_make(sj_world *w) {
  const sj_config *c = &w->config;
  for (uint32_t i = 0; i < c->rows; i++) {
    sj_row *row = &w->rows[i];
    static const uint32_t kinds[] = {SJ_PROMPT,   SJ_PROMPT, SJ_PROMPT,
                                     SJ_MESSAGES, SJ_BODY,   SJ_BODY};
    row->kind = kinds[sj_draw(c, 6, SJ_ROW, i, 2)];
    uint64_t odd = c->exhaustive ? 99 : sj_draw(c, 100, SJ_ROW, i, 3);
    if (odd < 3) row->kind = SJ_BAD;
    if (odd >= 3 && odd < 6) row->kind = SJ_LIVE;
    row->place = (uint32_t)sj_draw(c, c->places, SJ_ROW, i, 4);
    row->model = (uint32_t)sj_draw(c, c->models, SJ_ROW, i, 5);
    if (odd >= 6 && odd < 9 && c->dialect[row->place] != SJ_GEMINI) row->kind = SJ_STREAMED;
    snprintf(row->tag, sizeof row->tag, "zq%ux%08llxqz", i,
             (unsigned long long)(sj_draw(c, UINT64_MAX, SJ_ROW, i, 6) & 0xffffffff));
    if (sj_chance(c, 400, SJ_ROW, i, 7))
      snprintf(row->metadata, sizeof row->metadata, "{\"n\":%u,\"s\":\"\\u00e4\"}", i);
    make_id(w, row, i);
    if (c->deadlines && sj_chance(c, 300, SJ_ROW, i, 10))
      row->deadline_ms = 60000 + sj_draw(c, 7200000, SJ_ROW, i, 11);
    make_text(w, row, i);
  }
}
