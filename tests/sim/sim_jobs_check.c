/* sim_jobs_check.c: what must hold, computed apart from the engine.
 *
 * Order: results, events, creating, live calls, the end of a host, the end of the world. */
#include "sim_jobs.h"

#include <string.h>

static bool is(sheaf_slice slice, const char *text, size_t bytes) {
  return slice.bytes == bytes && (bytes == 0 || memcmp(slice.data, text, bytes) == 0);
}

/* ---- Results ---- */

static void check_names(sj_world *w, const sheaf_result *r, const sj_row *row) {
  char id[32];
  int n = snprintf(id, sizeof id, "row-%llu", (unsigned long long)r->index + 1);
  bool own =
      row->id_bytes ? is(r->custom_id, row->id, row->id_bytes) : is(r->custom_id, id, (size_t)n);
  if (!own) sj_fail(w, "a result with another's custom_id", r->index, r->lane);
  if (!is(r->metadata, row->metadata, strlen(row->metadata)))
    sj_fail(w, "a result with another's metadata", r->index, r->lane);
  if (r->line != 0 && r->line != r->index + 1)
    sj_fail(w, "a result with another's line", r->index, r->line);
  if (r->source_ref != 0 && r->source_ref != r->index + 100)
    sj_fail(w, "a result with another's source_ref", r->index, r->source_ref);
  if (row->fingerprint_known && memcmp(row->fingerprint, r->fingerprint, 16) != 0)
    sj_fail(w, "a result with another's fingerprint", r->index, r->lane);
}

static void check_money(sj_world *w, const sheaf_result *r, const sj_row *row) {
  if (r->attempted && !w->doubled && r->billing <= SHEAF_BILLING_REFUSED && row->charged > 0)
    sj_fail(w, "said to be not billed, but it was", r->index, r->error_class);
  if (r->ok && r->billing == SHEAF_BILLING_BILLED && row->charges == 1 &&
      r->cost_usd_nano < row->charged)
    sj_fail(w, "costs more than was said", r->index, (uint64_t)row->charged);
}

/* Whether the job that the records name has brought a good line for this row, and it could be
 * fetched. */
static bool has_result(sj_world *w, uint64_t index) {
  const sj_row *row = &w->rows[index];
  const sj_config *c = &w->config;
  if (row->flight == 0 || w->doubled || c->nomem || c->call_permille[SJ_SILENT_CUT]) return false;
  const sj_flight *f = &w->flights[row->flight];
  const sj_job *job = f->job[0] ? sj_job_find(w, row->place, f->job) : NULL;
  if (job == NULL || job->ready_ns == SHEAF_NEVER || job->foreign || !job->final ||
      job->cancel_ns || f->abandoned)
    return false;
  if (job->final_state != SHEAF_JOB_COMPLETED_STATE || job->fate == SJ_INVALID) return false;
  for (uint32_t i = 0; i < job->count; i++)
    if (job->items[i].row == (int32_t)index)
      return job->items[i].fate == SJ_DONE || job->items[i].fate == SJ_TWICE;
  return false;
}

void sj_check_result(sj_world *w, const sheaf_result *r) {
  if (r->index >= w->config.rows) {
    sj_fail(w, "a result of a row that there is not", r->index, 0);
    return;
  }
  sj_row *row = &w->rows[r->index];
  SJ_NOTE(w, "         row %llu ends: %s %.*s, billing %u, lane %u, %s",
          (unsigned long long)r->index, sheaf_class_name(r->error_class),
          (int)r->error_message.bytes, r->error_message.bytes ? r->error_message.data : "",
          r->billing, r->lane, r->attempted ? "attempted" : "not attempted");
  /* A refused row is refused again; a sink that has its line writes no second one. */
  bool refused = row->kind == SJ_BAD || row->kind == SJ_STREAMED;
  if (refused && row->has_line && !row->ended && r->error_class == SHEAF_CLASS_INVALID_REQUEST)
    return;
  if (row->ended) sj_fail(w, "a row ended twice", r->index, r->error_class);
  if (row->has_line) sj_fail(w, "a row that has its line ended again", r->index, r->error_class);
  row->ended = true;
  if (row->kind != SJ_BAD) check_names(w, r, row);
  check_money(w, r, row);
  if (r->ok) {
    char text[200];
    sj_expected_text(w, r->index, text, sizeof text);
    if (!is(r->text, text, strlen(text)) && !w->config.nomem) {
      SJ_NOTE(w, "         not %s but %.*s", text, (int)r->text.bytes,
              r->text.bytes ? r->text.data : "");
      sj_fail(w, "a result with another's text", r->index, r->text.bytes);
    }
    if (row->charges == 0) sj_fail(w, "a result out of nothing", r->index, 0);
  } else if (r->lane == SHEAF_LANE_BATCH && r->attempted && has_result(w, r->index)) {
    sj_fail(w, "its job has a good line for it, and it failed", r->index, r->error_class);
  } else if (r->error_class == SHEAF_CLASS_INTERNAL) {
    sj_fail(w, "an internal error", r->index, 0);
  }
  /* The house's rule: what was never attempted has no line, so that a resume runs it. */
  if (!r->attempted && r->error_class != SHEAF_CLASS_INVALID_REQUEST) {
    if (row->charged && !row->ranged &&
        !w->doubled) /* what an earlier host sent, its range tells the next */
      sj_fail(w, "not attempted, but it was paid for", r->index, r->error_class);
    return;
  }
  if (w->line_count == sizeof w->lines / sizeof *w->lines) {
    sj_fail(w, "too many lines", r->index, 0);
    return;
  }
  row->has_line = true;
  row->lines++;
  w->lines[w->line_count++] = (sj_line){.index = r->index};
}

/* ---- Events ---- */

void sj_check_event(sj_world *w, const sheaf_event *e) {
  if (e->kind == SHEAF_EVENT_NOTICE)
    SJ_NOTE(w, "         notice %u: %.*s", e->notice, (int)e->text.bytes,
            e->text.bytes ? e->text.data : "");
  if (e->kind != SHEAF_EVENT_JOB) return;
  const sheaf_job_status *s = e->job;
  SJ_NOTE(w, "         job event: flight %llu %s %.*s %llu/%llu ended, %.*s",
          (unsigned long long)s->flight, sheaf_job_state_name(s->state), (int)s->job.bytes,
          s->job.bytes ? s->job.data : "", (unsigned long long)s->ended,
          (unsigned long long)s->requests, (int)s->message.bytes,
          s->message.bytes ? s->message.data : "");
  if (s->state > SHEAF_JOB_ABANDONED_STATE) sj_fail(w, "a job's state", s->state, s->flight);
  if (s->ended > s->requests) sj_fail(w, "more ends than rows", s->ended, s->requests);
  if (s->rescued > s->ended && s->rescued > s->requests)
    sj_fail(w, "more rescued than rows", s->rescued, s->requests);
}

/* ---- Creating ---- */

static bool shares_row(const sj_job *a, int32_t row) {
  for (uint32_t i = 0; i < a->count; i++)
    if (a->items[i].row == row) return true;
  return false;
}

/* Two jobs of one row: only with evidence that the first is nothing, or where it could not be
 * seen. */
static void check_again(sj_world *w, const sj_job *first, const sj_job *job) {
  sj_flight *f = &w->flights[job->flight];
  if (first->told_failed || f->resubmit || f->abandoned) return;
  if (first->final && w->flights[first->flight].over) return; /* its row had no end that counts */
  w->doubled = true;
  if (first->visible_ns > first->asked_ns + 60 * SJ_SECOND) {
    w->excused_jobs++;
    bool is_other = w->flights[first->flight].over; /* its rows came back without it */
    if (f->repeats == 0 && !is_other)
      sj_fail(w, "created again, and no record says so", first->number, job->number);
    return;
  }
  sj_fail(w, "created twice without need", first->number, job->number);
}

void sj_check_create(sj_world *w, sj_job *job) {
  int32_t row = job->count ? job->items[0].row : -1;
  if (row < 0) return;
  job->flight = w->rows[row].flight;
  sj_flight *f = &w->flights[job->flight];
  SJ_NOTE(w, "         of flight %llu, rows %d..%d", (unsigned long long)job->flight, row,
          job->items[job->count - 1].row);
  if (job->flight == 0 || !f->planned)
    sj_fail(w, "created without a plan", job->number, job->flight);
  if (f->intents <= f->creates) sj_fail(w, "created without an intent", job->number, job->flight);
  /* One intent may have been on its way to the disk. */
  if (f->unwanted && f->intents > f->intents_then + 1)
    sj_fail(w, "created though somebody had cancelled it", job->number, job->flight);
  f->creates++;
  for (uint32_t i = 0; i < job->count; i++) {
    sj_row *r = &w->rows[job->items[i].row];
    if (r->flight != job->flight) sj_fail(w, "a row of another plan in a job", job->number, i);
    if (r->has_line && !w->doubled && !f->resubmit && !f->abandoned)
      sj_fail(w, "a row that has its line travels again", (uint64_t)job->items[i].row, job->number);
    r->jobs++;
  }
  for (uint32_t k = 0; k < job->number && !w->failure[0]; k++)
    if (!w->jobs[k].foreign && w->jobs[k].place == job->place && shares_row(&w->jobs[k], row))
      check_again(w, &w->jobs[k], job);
}

/* Whoever asks for a job by its id has that id in a durable record. */
void sj_check_known(sj_world *w, const sj_job *job) {
  for (uint32_t i = 0; i < SJ_FLIGHTS_MAX; i++)
    if (strcmp(w->flights[i].job, job->id) == 0 || strcmp(w->flights[i].wanted, job->id) == 0)
      return;
  sj_fail(w, "asked for a job that no record knows", job->number, 0);
}

/* ---- Live calls ---- */

/* The job that the records name failed because too much was queued already, and said so. */
static bool is_only_full(sj_world *w, const sj_row *row) {
  const sj_flight *f = &w->flights[row->flight];
  const sj_job *job = row->flight && f->job[0] ? sj_job_find(w, row->place, f->job) : NULL;
  if (job == NULL || job->foreign || job->fate != SJ_FULL || !job->final || job->cancel_ns)
    return false;
  uint32_t dialect = w->config.dialect[row->place];
  return dialect != SJ_MISTRAL && dialect != SJ_ANTHROPIC; /* these have no word for it */
}

void sj_check_live(sj_world *w, int32_t row, uint32_t place) {
  if (row < 0) {
    sj_fail(w, "a live call of no row", place, 0);
    return;
  }
  sj_row *r = &w->rows[row];
  if (r->place != place) sj_fail(w, "a row was sent to another endpoint", (uint64_t)row, place);
  for (uint32_t i = 0; i < w->job_count; i++)
    if (!w->jobs[i].foreign) sj_job_settle(w, &w->jobs[i]);
  if (r->has_line || r->ended) sj_fail(w, "sent live after its end", (uint64_t)row, 0);
  const sj_config *c = &w->config;
  bool rejected = c->call_permille[SJ_REJECTS] || c->cancels || w->decisions || w->doubled;
  if (is_only_full(w, r) && !rejected)
    sj_fail(w, "sent live though its job may go later", (uint64_t)row, 0);
  if (has_result(w, (uint64_t)row))
    sj_fail(w, "sent live though its job has a good line for it", (uint64_t)row, 0);
  for (uint32_t i = 0; i < w->job_count; i++) {
    sj_job *job = &w->jobs[i];
    if (job->foreign || job->final || !shares_row(job, row) || w->doubled) continue;
    if (job->cancel_ns) continue; /* it was waited for long enough: unknown, as the policy lets */
    if (w->flights[job->flight].abandoned || w->flights[job->flight].resubmit) continue;
    sj_fail(w, "sent live while its job goes on", (uint64_t)row, job->number);
  }
  if (w->config.options.resend_unknown == SHEAF_RESEND_NEVER && r->charged && !w->doubled)
    sj_fail(w, "sent live though it was paid for, and resend_unknown is never", (uint64_t)row, 0);
}

/* ---- Ends ---- */

void sj_check_host_end(sj_world *w) {
  sheaf_job_status s;
  w->parked = w->undecided = 0;
  for (uint64_t n = 0; sheaf_engine_job_at(w->engine, n, &s) == SHEAF_OK; n++) {
    bool over = s.state == SHEAF_JOB_COLLECTED_STATE;
    w->parked += !over;
    if (s.state == SHEAF_JOB_UNDECIDED_STATE && s.flight < SJ_FLIGHTS_MAX) {
      w->undecided++;
      w->flights[s.flight].undecided = true;
      if (s.message.bytes == 0 && !w->config.nomem)
        sj_fail(w, "undecided, and nobody is told what to do", s.flight, 0);
    }
  }
  sheaf_stats stats;
  sheaf_engine_stats(w->engine, &stats);
  if (stats.cost_usd_nano != SHEAF_ABSENT) w->reported += stats.cost_usd_nano;
  w->reported += stats.unknown_usd_nano;
  bool told =
      w->config.budget && w->host < 6 && !w->crashed_ever && !w->doubled && w->decisions == 0;
  if (told && w->charged - w->charged_before > (int64_t)w->config.options.budget_usd_nano)
    sj_fail(w, "more was charged than the budget", (uint64_t)(w->charged - w->charged_before),
            w->config.options.budget_usd_nano);
  for (uint32_t i = 0; i < w->config.rows && !w->store_failed && !w->spool_failed; i++) {
    sj_row *r = &w->rows[i];
    if (!r->given || r->ended || r->has_line || w->changed == i + 1) continue;
    if (r->flight == 0 || !w->flights[r->flight].planned || w->flights[r->flight].over)
      sj_fail(w, "a row was given, and nothing tells of it", i, r->flight);
  }
}

void sj_check_world_end(sj_world *w) {
  uint32_t open = 0;
  for (uint32_t i = 0; i < w->config.rows; i++) {
    sj_row *r = &w->rows[i];
    if (r->lines > 1) sj_fail(w, "more than one line", i, r->lines);
    if (r->has_line) continue;
    open++; /* what it comes to is not known yet, and not reported */
    bool left = w->config.no_decision && r->flight && w->flights[r->flight].undecided;
    if (!left) sj_fail(w, "a row has no line", i, r->flight);
  }
  if (open == 0 && !w->crashed_ever && !w->doubled && !w->config.nomem && !w->store_failed &&
      w->decisions == 0 && w->reported < w->charged)
    sj_fail(w, "more was charged than reported", (uint64_t)w->charged, (uint64_t)w->reported);
}
