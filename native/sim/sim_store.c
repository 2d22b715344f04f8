/* sim_store.c: files and jobs by name, and what the paths of all providers do with them alike.
 *
 * Outline: the store; its clock and ids; files; enqueued rows; answers from disk; queries, times. */
#define _POSIX_C_SOURCE 200809L
#include "sim_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_MAX_BYTES 255u
#define LATE_MS 200u /* how long the quirk "late" hides what is new; scaled */

/* ---- The store ---- */

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SIM_SECOND + (uint64_t)now.tv_nsec;
}

sim_store *sheaf__sim_store_new(const sim_world *world) {
  struct timespec real;
  sim_store *store = calloc(1, sizeof *store);
  if (!store) return NULL;
  clock_gettime(CLOCK_REALTIME, &real);
  store->world = world;
  store->base_ns = now_ns();
  store->base_unix_us = (int64_t)real.tv_sec * 1000000 + real.tv_nsec / 1000;
  store->due_ns = UINT64_MAX;
  sheaf__sim_call_init(&store->row);
  store->row.world = world;
  return store;
}

void sheaf__sim_store_free(sim_store *store) {
  if (!store) return;
  while (store->jobs) sheaf__sim_job_delete(store, store->jobs);
  while (store->files) sheaf__sim_file_delete(store, store->files);
  sheaf__sim_call_deinit(&store->row);
  free(store);
}

bool sheaf__sim_quirk(const sim_store *store, uint32_t quirk) {
  return store->world->options->batch_quirks >> quirk & 1;
}

/* ---- Clock and ids ---- */

int64_t sheaf__sim_unix_us(const sim_store *store, uint64_t ns) {
  int64_t since_ns = (int64_t)(ns - store->base_ns); /* what came before the start is below 0 */
  return store->base_unix_us + since_ns / (int64_t)SIM_US;
}

uint64_t sheaf__sim_span_ns(const sim_world *world, uint64_t ms) {
  uint64_t ns;
  if (__builtin_mul_overflow(ms * SIM_US, (uint64_t)world->options->time_scale_milli, &ns))
    return UINT64_MAX / 4;
  return ns;
}

void sheaf__sim_store_id(sim_store *store, const char *prefix, char id[SIM_ID_BYTES]) {
  static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
  uint64_t low = sheaf__sim_mix(store->world->options->seed, ++store->number);
  uint64_t high = sheaf__sim_mix(low, SIM_DRAW_ID);
  size_t at = (size_t)snprintf(id, SIM_ID_BYTES - 24, "%s", prefix);
  for (size_t i = 0; i < 12; i++) id[at++] = digits[low >> (5 * i) & 31];
  for (size_t i = 0; i < 12; i++) id[at++] = digits[high >> (5 * i) & 31];
  id[at] = 0;
}

/* ---- Files ---- */

static char *copy_line(sheaf_slice text) {
  size_t bytes = text.bytes < NAME_MAX_BYTES ? text.bytes : NAME_MAX_BYTES;
  char *copy = malloc(bytes + 1);
  if (!copy) return NULL;
  if (bytes) memcpy(copy, text.data, bytes);
  copy[bytes] = 0;
  return copy;
}

sim_file *sheaf__sim_file_new(sim_store *store, uint32_t kind, const char *id_prefix,
                              const char *purpose, sheaf_slice name, sim_span span,
                              uint64_t made_ns, uint64_t keep_ms) {
  sim_file *file = calloc(1, sizeof *file);
  char *copy = copy_line(name);
  if (!file || !copy) {
    free(file);
    free(copy);
    return NULL;
  }
  sheaf__sim_store_id(store, id_prefix, file->id);
  file->number = store->number;
  file->kind = kind;
  file->name = copy;
  file->purpose = purpose;
  file->span = span;
  sheaf__sim_blob_hold(span.blob);
  file->made_ns = file->ready_ns = made_ns;
  if (sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_LATE))
    file->ready_ns += sheaf__sim_span_ns(store->world, LATE_MS);
  uint64_t keep_ns = sheaf__sim_span_ns(store->world, keep_ms);
  file->expires_ns = keep_ns ? made_ns + keep_ns : UINT64_MAX;
  file->next = store->files;
  if (store->files) store->files->previous = file;
  store->files = file;
  return file;
}

void sheaf__sim_file_delete(sim_store *store, sim_file *file) {
  if (file->previous)
    file->previous->next = file->next;
  else
    store->files = file->next;
  if (file->next) file->next->previous = file->previous;
  sheaf__sim_blob_drop(file->span.blob);
  free(file->type);
  free(file->name);
  free(file);
}

static bool is_id(const char *id, sheaf_slice wanted) {
  return strlen(id) == wanted.bytes && memcmp(id, wanted.data, wanted.bytes) == 0;
}

/* What has expired goes when somebody looks for anything. */
static void forget_expired(sim_store *store, uint64_t at_ns) {
  for (sim_file *file = store->files, *next; file; file = next) {
    next = file->next;
    if (file->expires_ns <= at_ns) sheaf__sim_file_delete(store, file);
  }
}

sim_file *sheaf__sim_file_find(sim_store *store, sheaf_slice id, uint64_t at_ns) {
  forget_expired(store, at_ns);
  if (!id.bytes) return NULL;
  for (sim_file *file = store->files; file; file = file->next)
    if (is_id(file->id, id)) return file->ready_ns <= at_ns ? file : NULL;
  return NULL;
}

/* ---- Jobs by name ---- */

sim_job *sheaf__sim_job_find(sim_store *store, sheaf_slice id, uint64_t at_ns) {
  if (!id.bytes) return NULL;
  for (sim_job *job = store->jobs; job; job = job->next)
    if (is_id(job->id, id)) return job->ready_ns <= at_ns ? job : NULL;
  return NULL;
}

void sheaf__sim_jobs_enqueued(const sim_store *store, uint64_t key_hash, const sheaf_buf *model,
                              uint64_t *requests, uint64_t *tokens) {
  *requests = *tokens = 0;
  for (const sim_job *job = store->active; job; job = job->active_next) {
    bool is_same =
        !model || (job->model.bytes == model->bytes &&
                   (!model->bytes || memcmp(job->model.data, model->data, model->bytes) == 0));
    if (job->key_hash != key_hash || !is_same || sheaf__sim_job_is_over(job)) continue;
    *requests += job->count - job->done;
    *tokens += job->enqueued_tokens;
  }
}

uint32_t sheaf__sim_jobs_active(const sim_store *store, uint64_t key_hash, const sim_lane *lane) {
  uint32_t count = 0;
  for (const sim_job *job = store->active; job; job = job->active_next)
    if (job->key_hash == key_hash && job->lane == lane && !sheaf__sim_job_is_over(job)) count++;
  return count;
}

/* ---- Answers from disk ---- */

void sheaf__sim_send_span(sim_call *call, sim_span span) {
  sim_view view;
  if (call->fault == SIM_NO_FAULT) {
    call->send = sheaf__sim_blob_hold(span.blob);
    call->send_from = span.from;
    call->send_bytes = span.bytes;
    return;
  }
  if (!sheaf__sim_view_open(&view, span)) return;
  sheaf_buf_append_slice(&call->out, view.text);
  sheaf__sim_view_close(&view);
}

void sheaf__sim_job_results(const sim_job *job, sheaf_buf *out) {
  sim_view view;
  if (!sheaf__sim_view_open(&view, (sim_span){job->good, 0, job->good->bytes})) return;
  sheaf_buf_append_slice(out, view.text);
  sheaf__sim_view_close(&view);
}

/* ---- Queries and times ---- */

bool sheaf__sim_page_limit(const char *text, uint64_t min, uint64_t max, uint64_t *limit) {
  uint64_t number;
  if (!text) return true;
  if (!sheaf__sim_value_decimal(text, 0, &number) || number < min || number > max) return false;
  *limit = number;
  return true;
}

void sheaf__sim_write_time(const sim_store *store, uint64_t ns, const char *zone, sheaf_buf *out) {
  char seconds[40], text[64];
  if (ns == 0 || ns == UINT64_MAX) {
    sheaf_buf_append_text(out, "null");
    return;
  }
  int64_t us = sheaf__sim_unix_us(store, ns);
  sheaf__sim_rfc3339(us / 1000000, seconds, sizeof seconds);
  seconds[strlen(seconds) - 1] = 0; /* the Z */
  snprintf(text, sizeof text, "\"%s.%06" PRIu64 "%s\"", seconds, (uint64_t)(us % 1000000), zone);
  sheaf_buf_append_text(out, text);
}
