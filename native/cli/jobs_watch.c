/* jobs_watch.c: how fast jobs get on, by the provider's own counts; and what their rows cost. */
#include "jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- Pace ---- */

static jobs_pace *pace_of(const jobs_watch *watch, uint64_t flight) {
  for (size_t i = 0; i < watch->count; i++)
    if (watch->paces[i].flight == flight) return &watch->paces[i];
  return NULL;
}

static uint64_t done_of(const jobs_job *job) {
  uint64_t done = job->completed > 0 ? (uint64_t)job->completed : 0;
  return done + (job->failed > 0 ? (uint64_t)job->failed : 0);
}

static jobs_pace *pace_new(jobs_watch *watch, uint64_t flight) {
  if (watch->count == watch->room) {
    size_t room = watch->room ? 2 * watch->room : 16;
    jobs_pace *paces = realloc(watch->paces, room * sizeof *paces);
    if (paces == NULL) return NULL; /* no estimate, no harm */
    watch->paces = paces;
    watch->room = room;
  }
  watch->paces[watch->count] = (jobs_pace){.flight = flight};
  return &watch->paces[watch->count++];
}

void jobs_watch_see(jobs_watch *watch, const jobs_job *job, uint64_t now_ns) {
  jobs_pace *pace = pace_of(watch, job->flight);
  if (job->flight == 0) return;
  if (pace == NULL) pace = pace_new(watch, job->flight);
  if (pace == NULL) return;
  pace->is_over = job->is_over;
  if (job->rescued > 0) pace->rescued = (uint64_t)job->rescued;
  if (job->job.bytes == 0 || job->completed == SHEAF_ABSENT) return;
  if (!pace->has_count) {
    pace->has_count = true;
    pace->first_ns = pace->last_ns = now_ns;
    pace->first_done = pace->last_done = done_of(job);
  }
  if (done_of(job) <= pace->last_done) return;
  pace->last_ns = now_ns;
  pace->last_done = done_of(job);
}

uint64_t jobs_watch_eta_ns(const jobs_watch *watch, const jobs_job *job, uint64_t now_ns) {
  const jobs_pace *pace = pace_of(watch, job->flight);
  uint64_t done = done_of(job);
  if (pace == NULL || pace->last_done <= pace->first_done || done >= job->requests)
    return SHEAF_NEVER;
  double each =
      (double)(pace->last_ns - pace->first_ns) / (double)(pace->last_done - pace->first_done);
  double left = each * (double)(job->requests - done), since = (double)(now_ns - pace->last_ns);
  /* Counts come at polls: what may have been done since the last one is taken off. */
  return left > since ? (uint64_t)(left - since) : 0;
}

uint64_t jobs_watch_rescued(const jobs_watch *watch) {
  uint64_t rows = 0;
  for (size_t i = 0; i < watch->count; i++) rows += watch->paces[i].rescued;
  return rows;
}

uint64_t jobs_watch_over(const jobs_watch *watch) {
  uint64_t jobs = 0;
  for (size_t i = 0; i < watch->count; i++) jobs += watch->paces[i].is_over;
  return jobs;
}

void jobs_watch_close(jobs_watch *watch) {
  free(watch->paces);
  *watch = (jobs_watch){NULL, 0, 0};
}

/* ---- Money ---- */

uint32_t jobs_discount_pct(const sheaf_provider *provider) {
  const sheaf_job_api *api = sheaf_job_api_of(provider);
  return api != NULL ? api->traits.discount_pct : 0;
}

void jobs_money_add(jobs_money *money, const cli_args *args, const cli_place *place,
                    const sheaf_result *result) {
  const sheaf_price_table *prices =
      args->engine.prices ? args->engine.prices : sheaf_prices_builtin();
  if (!result->ok && result->cost_usd_nano > 0) money->failed_usd_nano += result->cost_usd_nano;
  if (result->lane != SHEAF_LANE_BATCH) return;
  money->rows++;
  if (result->ok)
    money->succeeded++;
  else
    money->failed++;
  sheaf_slice model = result->model.bytes ? result->model : place->endpoint.model;
  sheaf_slice provider = sheaf_slice_of(place->endpoint.provider->name);
  int64_t live = sheaf_price_cost(sheaf_price_find(prices, provider, model), &result->usage);
  if (result->cost_usd_nano == SHEAF_ABSENT || live == SHEAF_ABSENT) {
    if (result->ok) money->unpriced++;
    return;
  }
  money->batch_usd_nano += result->cost_usd_nano;
  money->live_usd_nano += live;
}
