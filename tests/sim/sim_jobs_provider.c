/* sim_jobs_provider.c: what a provider keeps: files, jobs, what becomes of each row, and what it
 * charges.
 *
 * A job's life is drawn when it is created; its state is a function of the time. Order: files,
 * money, jobs, time. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- Files ---- */

sj_file *sj_file_new(sj_world *w, uint32_t place, const char *prefix) {
  if (w->file_count == SJ_FILES_MAX) {
    sj_fail(w, "too many files were uploaded", w->file_count, place);
    return &w->files[0];
  }
  sj_file *file = &w->files[w->file_count++];
  file->place = place;
  snprintf(file->id, sizeof file->id, "%s%u", prefix, w->file_count);
  return file;
}

sj_file *sj_file_find(sj_world *w, uint32_t place, const char *id) {
  for (uint32_t i = 0; i < w->file_count; i++)
    if (w->files[i].place == place && strcmp(w->files[i].id, id) == 0 && !w->files[i].deleted)
      return &w->files[i];
  return NULL;
}

/* ---- Money ---- */

int32_t sj_row_of(const sj_world *w, const char *data, size_t bytes) {
  for (size_t i = 0; i + 4 < bytes; i++) {
    if (data[i] != 'z' || data[i + 1] != 'q' || data[i + 2] < '0' || data[i + 2] > '9') continue;
    uint32_t index = (uint32_t)strtoul(data + i + 2, NULL, 10);
    if (index >= w->config.rows) continue;
    size_t n = strlen(w->rows[index].tag);
    if (i + n <= bytes && memcmp(data + i, w->rows[index].tag, n) == 0) return (int32_t)index;
  }
  return -1;
}

/* Usage: 8 + row % 5 tokens in, 3 out. */
int64_t sj_price(int32_t row, bool live) {
  int64_t full = SJ_NANO_IN * (8 + row % 5) + SJ_NANO_OUT * 3;
  return live ? full : full / 2;
}

void sj_charge(sj_world *w, int32_t row, int64_t nano, bool live) {
  if (row < 0) return;
  sj_row *r = &w->rows[row];
  r->charged += nano;
  r->charges++;
  r->paid += nano > 0;
  w->charged += nano;
  if (w->config.options.resend_unknown == SHEAF_RESEND_NEVER && r->paid > 1 && !w->doubled)
    sj_fail(w, "paid twice though resend_unknown is never", (uint64_t)row, live);
  SJ_NOTE(w, "         charged row %d %s", row, live ? "live" : "in a job");
}

/* ---- Jobs ---- */

static uint32_t by_permille(const sj_config *c, const uint32_t *permille, uint32_t count,
                            uint64_t purpose, uint64_t a, uint64_t b) {
  uint64_t at = sj_draw(c, 1000, purpose, a, b);
  for (uint32_t i = 1; i < count; i++) {
    if (at < permille[i]) return i;
    at -= permille[i];
  }
  return 0;
}

sj_job *sj_job_new(sj_world *w, uint32_t place, uint64_t asked_ns) {
  if (w->job_count == SJ_JOBS_MAX) {
    sj_fail(w, "too many jobs were created", w->job_count, place);
    return &w->jobs[SJ_JOBS_MAX - 1];
  }
  sj_job *job = &w->jobs[w->job_count];
  memset(job, 0, sizeof *job);
  job->number = w->job_count++;
  job->place = place;
  job->asked_ns = asked_ns;
  static const char *const prefixes[SJ_DIALECTS] = {"batch_", "msgbatch_", "batches/",
                                                    "mb-",    "batch_",    "batch_"};
  snprintf(job->id, sizeof job->id, "%s%u%c", prefixes[w->config.dialect[place]], job->number,
           'a' + (int)(job->number % 26));
  return job;
}

static bool id_is_allowed(sheaf_slice id) {
  if (id.bytes == 0 || id.bytes > 64) return false;
  for (size_t i = 0; i < id.bytes; i++) {
    char ch = id.data[i];
    bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
    if (!word && ch != '_' && ch != '-') return false;
  }
  return true;
}

bool sj_job_add(sj_world *w, sj_job *job, sheaf_slice id, sheaf_slice body) {
  if (!id_is_allowed(id)) {
    sj_fail(w, "an id that providers refuse", job->number, job->count);
    return false;
  }
  job->items = realloc(job->items, (job->count + 1) * sizeof *job->items);
  if (job->items == NULL) abort();
  sj_item *item = &job->items[job->count];
  memset(item, 0, sizeof *item);
  memcpy(item->id, id.data, id.bytes);
  for (uint32_t i = 0; i < job->count; i++)
    if (strcmp(job->items[i].id, item->id) == 0) sj_fail(w, "an id twice in a job", i, job->count);
  item->row = sj_row_of(w, body.data, body.bytes);
  item->body_hash = sj_hash(body.data, body.bytes);
  if (item->row < 0 && !job->foreign) sj_fail(w, "a row that nobody gave", job->number, job->count);
  job->count++;
  return true;
}

void sj_job_created(sj_world *w, sj_job *job) {
  const sj_config *c = &w->config;
  uint64_t n = job->number;
  job->created_ns = w->now_ns;
  job->visible_ns = w->now_ns + sj_draw(c, c->list_ns + 1, SJ_JOB, n, 1);
  if (c->slow_list)
    job->visible_ns = w->now_ns + c->list_ns / 2 + sj_draw(c, c->list_ns, SJ_JOB, n, 1);
  job->known_ns = w->now_ns;
  if (sj_chance(c, 300, SJ_JOB, n, 2)) job->known_ns += sj_draw(c, 20 * SJ_SECOND, SJ_JOB, n, 3);
  if (!sj_calm(w) && sj_chance(c, 15, SJ_JOB, n, 11))
    job->known_ns += 2 * SJ_HOUR; /* another key's */
  if (!sj_calm(w)) job->fate = by_permille(c, c->job_permille, SJ_JOB_FATES, SJ_JOB, n, 4);
  job->valid_ns = w->now_ns + SJ_SECOND + sj_draw(c, c->job_ns / 4, SJ_JOB, n, 5);
  uint64_t span = 1 + sj_draw(c, c->job_ns, SJ_JOB, n, 6);
  job->ends_ns = job->fate == SJ_STUCK ? w->now_ns + 24 * SJ_HOUR : job->valid_ns + span;
  job->ready_ns = sj_chance(c, 300, SJ_JOB, n, 7) ? sj_draw(c, 10 * SJ_SECOND, SJ_JOB, n, 8) : 0;
  if (!sj_calm(w) && sj_chance(c, 15, SJ_JOB, n, 10))
    job->ready_ns = SHEAF_NEVER; /* lost for good */
  for (uint32_t i = 0; i < job->count; i++) {
    sj_item *item = &job->items[i];
    item->done_ns = job->valid_ns + sj_draw(c, span, SJ_ITEM, n, 3 * i);
    if (job->fate == SJ_STUCK && sj_chance(c, 500, SJ_ITEM, n, 3 * i + 1))
      item->done_ns = SHEAF_NEVER;
    if (!sj_calm(w) || c->exhaustive)
      item->fate = by_permille(c, c->item_permille, SJ_ITEM_FATES, SJ_ITEM, n, 3 * i + 2);
  }
  SJ_NOTE(w, "         provider: job %s of %u rows, fate %u, ends at %.0f s, listed from %.0f s%s",
          job->id, job->count, job->fate, (double)job->ends_ns / 1e9, (double)job->visible_ns / 1e9,
          job->foreign ? ", a stranger's" : "");
  if (!job->foreign) sj_check_create(w, job);
}

sj_job *sj_job_find(sj_world *w, uint32_t place, const char *id) {
  for (uint32_t i = 0; i < w->job_count; i++)
    if (w->jobs[i].place == place && strcmp(w->jobs[i].id, id) == 0 &&
        w->jobs[i].created_ns <= w->now_ns)
      return &w->jobs[i];
  return NULL;
}

bool sj_job_listed(const sj_world *w, const sj_job *job) {
  return job->created_ns <= w->now_ns && job->visible_ns <= w->now_ns;
}

/* ---- Time ---- */

static bool has_partial(const sj_world *w, const sj_job *job) {
  const sheaf_provider *p =
      sheaf_provider_find(sheaf_slice_of(sj_dialect_names[w->config.dialect[job->place]]));
  return (p->jobs->traits.flags & SHEAF_JOBS_PARTIAL) != 0;
}

static void settle_items(sj_world *w, sj_job *job, uint64_t until_ns) {
  bool gives = job->final_state == SHEAF_JOB_COMPLETED_STATE || has_partial(w, job);
  for (uint32_t i = 0; i < job->count; i++) {
    sj_item *item = &job->items[i];
    if (item->done_ns > until_ns || !gives) item->fate = SJ_EXPIRES;
    bool paid = item->fate == SJ_DONE || item->fate == SJ_LOST_PAID || item->fate == SJ_TWICE ||
                item->fate == SJ_BOTH_FILES || item->fate == SJ_WRONG_ID ||
                item->fate == SJ_BAD_LINE;
    if (item->fate == SJ_DONE && job->fate == SJ_INVALID &&
        w->config.dialect[job->place] == SJ_ANTHROPIC)
      paid = false; /* Anthropic: every row refused */
    /* What is said to have failed, too, costs nothing. */
    bool both = item->fate == SJ_BOTH_FILES;
    if (paid) sj_charge(w, item->row, both ? 0 : sj_price(item->row, false), false);
  }
}

void sj_job_settle(sj_world *w, sj_job *job) {
  if (job->final || job->created_ns > w->now_ns) return;
  bool is_anthropic = w->config.dialect[job->place] == SJ_ANTHROPIC; /* it never fails as a whole */
  bool fails = (job->fate == SJ_INVALID || job->fate == SJ_FULL) && !is_anthropic;
  if (fails && !(job->cancel_ns && job->cancel_ns < job->valid_ns)) {
    if (w->now_ns < job->valid_ns) return;
    job->final = true;
    job->final_state = SHEAF_JOB_FAILED_STATE;
    SJ_NOTE(w, "         provider: job %s failed", job->id);
    return;
  }
  uint64_t end = job->ends_ns, until = job->ends_ns;
  job->final_state = job->fate == SJ_STUCK ? SHEAF_JOB_EXPIRED_STATE : SHEAF_JOB_COMPLETED_STATE;
  if (job->cancel_ns) {
    uint64_t cancelled =
        job->cancel_ns + SJ_SECOND + sj_draw(&w->config, 300 * SJ_SECOND, SJ_JOB, job->number, 9);
    if (cancelled < end) {
      end = cancelled;
      until = job->cancel_ns;
      job->final_state = SHEAF_JOB_CANCELLED_STATE;
    }
  }
  if (w->now_ns < end) return;
  job->final = true;
  job->cut = until != job->ends_ns;
  if (sj_chance(&w->config, 80, SJ_JOB, job->number, 12))
    job->shown_ns = w->now_ns + sj_draw(&w->config, 100 * SJ_SECOND, SJ_JOB, job->number, 13);
  if (job->ready_ns && job->ready_ns != SHEAF_NEVER) job->ready_ns += w->now_ns;
  SJ_NOTE(w, "         provider: job %s is over, state %s", job->id,
          sheaf_job_state_name(job->final_state));
  settle_items(w, job, until);
  sj_render_results(w, job);
}

uint32_t sj_job_state(sj_world *w, sj_job *job) {
  sj_job_settle(w, job);
  if (job->final) return job->final_state;
  if (job->cancel_ns) return SHEAF_JOB_ENDING_STATE;
  if (w->now_ns < job->valid_ns) return SHEAF_JOB_VALIDATING_STATE;
  return SHEAF_JOB_RUNNING_STATE;
}

/* ---- Others ---- */

void sj_provider_foreign(sj_world *w) {
  const sj_config *c = &w->config;
  uint64_t count = c->foreign ? 1 + sj_draw(c, 12, SJ_JOB, 1, 90) : 0;
  for (uint64_t i = 0; i < count; i++) {
    sj_job *job = sj_job_new(w, (uint32_t)sj_draw(c, c->places, SJ_JOB, i, 91), 0);
    job->foreign = true;
    snprintf(job->model, sizeof job->model, "ma");
    snprintf(job->endpoint, sizeof job->endpoint, "/v1/chat/completions");
    if (i % 3 == 0)
      snprintf(job->marker, sizeof job->marker, "nightly \\\"run\\\" %llu", (unsigned long long)i);
    if (i % 3 == 1)
      snprintf(job->marker, sizeof job->marker, "sheaf-0123456789abcdef0123456789abcd%02llx",
               (unsigned long long)i);
    uint64_t rows = 1 + sj_draw(c, 6, SJ_JOB, i, 92);
    for (uint64_t k = 0; k < rows; k++) {
      char id[32];
      snprintf(id, sizeof id, "r%llu-strange", (unsigned long long)k);
      sj_job_add(w, job, sheaf_slice_of(id), SHEAF_LITERAL("{}"));
    }
    uint64_t at = w->now_ns;
    w->now_ns += sj_draw(c, c->job_ns * 2, SJ_JOB, i, 93);
    sj_job_created(w, job);
    w->now_ns = at;
  }
}
