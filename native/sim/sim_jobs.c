/* sim_jobs.c: batch jobs over time, whatever their provider calls the states.
 *
 *   VALIDATING -> RUNNING -> FINALIZING -> COMPLETED
 *       |            |-> EXPIRED, with the rows that were done
 *       |-> FAILED   `-> CANCELLING -> CANCELLED
 *
 * A job takes the time of --batch-time: a tenth to validate, a tenth to finalize, between them its
 * rows one after the other. The loop calls sheaf__sim_store_step when something is due; each step
 * works for a few milliseconds, so that a large job does not hold up the others' requests.
 *
 * Outline: making; errors; rows found and checked; rows run; results; the states. */
#define _POSIX_C_SOURCE 200809L
#include "sim_batch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE_NS (4 * SIM_MS) /* of one step */
#define PAUSE_NS (2 * SIM_MS) /* at least, between two steps while rows become due */
#define FLUSH_BYTES 65536u
#define ERRORS_MAX 100u
#define LATE_MS 200u
#define TEXT_MAX_BYTES (1u << 20)

static uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SIM_SECOND + (uint64_t)now.tv_nsec;
}

bool sheaf__sim_job_is_over(const sim_job *job) {
  return job->state >= SIM_JOB_COMPLETED;
}

/* ---- Making ---- */

static void set_state(sim_job *job, uint32_t state, uint64_t now_ns) {
  job->state = state;
  job->at_ns[state] = now_ns;
}

static sheaf_slice keep_text(sim_job *job, sheaf_slice text) {
  sheaf_buf_append_slice(&job->text, text);
  return text;
}

/* The buffer may move while it grows, so the slices are taken when all is in it. */
static bool copy_texts(sim_job *job, const sim_job_make *make) {
  sheaf_buf_init(&job->text, &sheaf__sim_allocator, TEXT_MAX_BYTES);
  sheaf_buf_init(&job->model, &sheaf__sim_allocator, TEXT_MAX_BYTES);
  sheaf_buf_init(&job->errors, &sheaf__sim_allocator, TEXT_MAX_BYTES);
  sheaf_buf_init(&job->good_out, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_init(&job->bad_out, &sheaf__sim_allocator, SIM_REPLY_MAX);
  size_t endpoint = keep_text(job, make->endpoint).bytes, label = keep_text(job, make->label).bytes,
         window = keep_text(job, make->window).bytes;
  sheaf_buf_append_slice(&job->model, make->model);
  if (job->text.status != SHEAF_OK || job->model.status != SHEAF_OK) return false;
  job->endpoint = (sheaf_slice){job->text.data, endpoint};
  job->label = (sheaf_slice){job->text.data + endpoint, label};
  job->window = (sheaf_slice){job->text.data + endpoint + label, window};
  if (endpoint + label + window == 0) job->endpoint = job->label = job->window = (sheaf_slice){0};
  return true;
}

static void copy_id(char to[SIM_ID_BYTES], sheaf_slice id) {
  size_t bytes = id.bytes < SIM_ID_BYTES ? id.bytes : SIM_ID_BYTES - 1;
  if (bytes) memcpy(to, id.data, bytes);
  to[bytes] = 0;
}

static void plan_times(sim_store *store, sim_job *job, const sim_job_make *make, uint64_t now_ns) {
  const sim_world *world = store->world;
  const sheaf_sim_options *options = world->options;
  uint64_t key = sheaf__sim_mix(options->seed, job->number);
  uint64_t whole = sheaf__sim_scaled(world, sheaf__sim_job_ns(world, key));
  uint64_t window_ms = options->batch_expire_ms ? options->batch_expire_ms
                       : make->window_ms        ? make->window_ms
                                                : job->lane->window_ms;
  uint64_t keep_ms = options->batch_keep_ms ? options->batch_keep_ms
                     : make->keep_ms        ? make->keep_ms
                                            : job->lane->keep_ms;
  uint64_t window_ns = sheaf__sim_span_ns(world, window_ms);
  bool is_endless = window_ns == 0 || sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_NO_EXPIRY);
  job->made_ns = job->ready_ns = now_ns;
  if (sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_LATE))
    job->ready_ns += sheaf__sim_span_ns(world, LATE_MS);
  job->running_from_ns = now_ns + (job->lane->is_checked_first ? whole / 10 : 0);
  job->finalizing_from_ns = now_ns + (job->lane->is_checked_first ? whole - whole / 10 : whole);
  job->over_from_ns = now_ns + whole;
  job->expires_ns = is_endless ? UINT64_MAX : now_ns + window_ns;
  job->keep_ns = sheaf__sim_span_ns(world, keep_ms);
  job->gone_ns = UINT64_MAX;
  job->is_stuck = sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_STUCK);
  job->is_expiry_early = sheaf__sim_draw(key, SIM_DRAW_PART, 1000000) < options->batch_partial_ppm;
  job->is_ordered = make->is_ordered || sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_IN_ORDER);
}

static void link_job(sim_store *store, sim_job *job) {
  job->next = store->jobs;
  if (store->jobs) store->jobs->previous = job;
  store->jobs = job;
  job->active_next = store->active;
  store->active = job;
}

static void begin_rows(sim_store *store, sim_job *job, uint64_t now_ns);

sim_job *sheaf__sim_job_new(sim_store *store, const sim_job_make *make, const sim_call *call,
                            uint64_t now_ns) {
  sim_job *job = calloc(1, sizeof *job);
  if (!job) {
    free(make->places);
    return NULL;
  }
  job->lane = make->lane;
  job->world = store->world;
  job->places = make->places;
  job->count = job->room = make->count;
  job->key_hash = call->key_hash;
  job->has_key = call->given_key != NULL;
  if (call->version && strlen(call->version) < sizeof job->version)
    memcpy(job->version, call->version, strlen(call->version) + 1);
  sheaf__sim_store_id(store, make->lane->id_prefix, job->id);
  job->number = store->number;
  copy_id(job->input_id, make->input_id);
  job->input = make->input;
  if (job->input.blob) sheaf__sim_blob_hold(job->input.blob);
  plan_times(store, job, make, now_ns);
  link_job(store, job);
  job->good = sheaf__sim_blob_new();
  if (make->lane->has_bad) job->bad = sheaf__sim_blob_new();
  if (!copy_texts(job, make) || !job->good || (make->lane->has_bad && !job->bad) ||
      !sheaf__sim_view_open(&job->view, job->input)) {
    sheaf__sim_job_delete(store, job);
    return NULL;
  }
  if (make->lane->is_checked_first)
    set_state(job, SIM_JOB_VALIDATING, now_ns);
  else
    begin_rows(store, job, now_ns);
  store->due_ns = now_ns;
  return job;
}

/* What only a job that goes on needs. */
static void let_go(sim_job *job) {
  sheaf__sim_view_close(&job->view);
  sheaf__sim_blob_drop(job->input.blob);
  job->input.blob = NULL;
  free(job->places);
  sheaf__sim_ids_free(&job->ids);
  job->places = NULL;
  sheaf_buf_deinit(&job->good_out);
  sheaf_buf_deinit(&job->bad_out);
}

static void unlink_active(sim_store *store, sim_job *job) {
  sim_job **at = &store->active;
  while (*at && *at != job) at = &(*at)->active_next;
  if (*at) *at = job->active_next;
}

void sheaf__sim_job_delete(sim_store *store, sim_job *job) {
  unlink_active(store, job);
  if (job->previous)
    job->previous->next = job->next;
  else
    store->jobs = job->next;
  if (job->next) job->next->previous = job->previous;
  let_go(job);
  sheaf__sim_blob_drop(job->good);
  sheaf__sim_blob_drop(job->bad);
  sheaf_buf_deinit(&job->text);
  sheaf_buf_deinit(&job->model);
  sheaf_buf_deinit(&job->errors);
  free(job);
}

sim_place *sheaf__sim_places(sheaf_slice text, sheaf_slice array, uint32_t count) {
  sheaf_json_iter iter;
  sheaf_slice key, row;
  sim_place *places = calloc(count ? count : 1, sizeof *places);
  if (!places || sheaf_json_iter_init(&iter, array) != SHEAF_OK) return places;
  for (uint32_t n = 0; n < count && sheaf_json_iter_next(&iter, &key, &row) == SHEAF_OK; n++)
    places[n] = (sim_place){(uint64_t)(row.data - text.data), (uint32_t)row.bytes};
  return places;
}

/* ---- Errors ---- */

void sheaf__sim_job_error(sim_job *job, const char *code, uint64_t line, const char *param,
                          const char *message, const sheaf_slice *hole) {
  if (job->error_count++ >= ERRORS_MAX) return;
  sheaf_buf *out = &job->errors;
  sheaf__sim_write(
      out, out->bytes ? ",{\"code\":\"%s\",\"message\":\"" : "{\"code\":\"%s\",\"message\":\"",
      code);
  sheaf__sim_write(out, message, hole);
  sheaf_buf_append_text(out, "\",\"param\":");
  if (param)
    sheaf__sim_write(out, "\"%s\"", param);
  else
    sheaf_buf_append_text(out, "null");
  if (line)
    sheaf__sim_write(out, ",\"line\":%u}", line);
  else
    sheaf_buf_append_text(out, ",\"line\":null}");
}

/* ---- Rows found and checked ---- */

static sheaf_slice text_at(const sim_job *job, uint32_t n) {
  return (sheaf_slice){job->view.text.data + job->places[n].from, job->places[n].bytes};
}

static bool add_place(sim_job *job, sheaf_slice text) {
  if (job->count == job->room) {
    uint32_t room = job->room ? job->room * 2 : 256;
    sim_place *places = realloc(job->places, room * sizeof *places);
    if (!places) return false;
    job->places = places;
    job->room = room;
  }
  job->places[job->count++] =
      (sim_place){(uint64_t)(text.data - job->view.text.data), (uint32_t)text.bytes};
  return true;
}

static void put_id(uint64_t *hashes, uint32_t places, uint64_t hash) {
  uint32_t at = (uint32_t)hash & (places - 1);
  while (hashes[at]) at = (at + 1) & (places - 1);
  hashes[at] = hash;
}

bool sheaf__sim_ids_meet(sim_ids *ids, sheaf_slice id) {
  uint64_t hash = sheaf__sim_hash(id.data, id.bytes, 0x1d) | 1;
  if (ids->count >= ids->places / 2) {
    uint32_t places = ids->places ? ids->places * 2 : 1024;
    uint64_t *hashes = calloc(places, sizeof *hashes);
    if (!hashes) return false;
    for (uint32_t i = 0; i < ids->places; i++)
      if (ids->hashes[i]) put_id(hashes, places, ids->hashes[i]);
    free(ids->hashes);
    ids->hashes = hashes;
    ids->places = places;
  }
  uint32_t at = (uint32_t)hash & (ids->places - 1);
  for (; ids->hashes[at]; at = (at + 1) & (ids->places - 1))
    if (ids->hashes[at] == hash) return true;
  ids->hashes[at] = hash;
  ids->count++;
  return false;
}

void sheaf__sim_ids_free(sim_ids *ids) {
  free(ids->hashes);
  *ids = (sim_ids){NULL, 0, 0};
}

static uint32_t rows_max(const sim_store *store, const sim_job *job) {
  return store->world->options->batch_rows ? store->world->options->batch_rows
                                           : job->lane->rows_max;
}

static void check_line(sim_job *job, sheaf_slice text) {
  sim_row row = {.id = {NULL, 0}};
  if (!job->lane->read_row(job, text, &row, true)) return;
  if (row.id.bytes && !job->lane->takes_repeats && sheaf__sim_ids_meet(&job->ids, row.id))
    sheaf__sim_job_error(
        job, "duplicate_custom_id", job->line, "custom_id",
        "The custom_id '%r' for this request is a duplicate of another request. The "
        "custom_id parameter must be unique for each request in a batch.",
        &row.id);
  add_place(job, text);
}

/* Finds and checks lines until the slice is over; true: all of them were. */
static bool read_lines(sim_store *store, sim_job *job, uint64_t until_ns) {
  sheaf_slice all = job->view.text;
  for (uint32_t n = 0; job->read < all.bytes; n++) {
    if (n % 16 == 15 && clock_ns() >= until_ns) return false;
    const char *from = all.data + job->read;
    const char *end = memchr(from, '\n', all.bytes - job->read);
    size_t bytes = end ? (size_t)(end - from) : all.bytes - job->read;
    job->read += bytes + (end != NULL);
    job->line++;
    while (bytes && strchr(" \t\r", from[bytes - 1])) bytes--;
    if (bytes == 0) continue;
    if (job->count == rows_max(store, job)) {
      sheaf__sim_job_error(job, "too_many_tasks", 0, NULL,
                           "The number of requests in the batch exceeds the maximum allowed.",
                           NULL);
      job->read = all.bytes;
      return true;
    }
    check_line(job, (sheaf_slice){from, bytes});
  }
  return true;
}

/* ---- Rows run ---- */

static uint32_t divisor(uint32_t a, uint32_t b) {
  while (b) {
    uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* The n-th result is that of row first + n * step. `first` is never row 0, so that two results and
 * more are always in another order. */
static void set_order(const sim_store *store, sim_job *job) {
  job->first = 0;
  job->step = 1;
  if (job->is_ordered || job->count < 2) return;
  uint64_t key = sheaf__sim_mix(store->world->options->seed, job->number);
  job->first = 1 + (uint32_t)sheaf__sim_draw(key, SIM_DRAW_ORDER, job->count - 1);
  job->step = 1 + (uint32_t)sheaf__sim_draw(key, SIM_DRAW_ORDER + 1, job->count - 1);
  while (divisor(job->step, job->count) != 1) job->step--;
}

static void begin_rows(sim_store *store, sim_job *job, uint64_t now_ns) {
  set_state(job, SIM_JOB_RUNNING, now_ns);
  set_order(store, job);
  job->rows_until = job->is_stuck ? 0 : job->is_expiry_early ? job->count / 2 : job->count;
}

static bool ready_call(sim_store *store, sim_job *job, const sim_row *row, sheaf_buf *path) {
  sim_call *call = &store->row;
  sheaf__sim_call_reset(call);
  sheaf_buf_reset(path);
  job->lane->path_of(job, row, path);
  sheaf_buf_append(path, "", 1);
  if (job->lane->body_of)
    job->lane->body_of(job, row, &call->body);
  else
    sheaf_buf_append_slice(&call->body, row->body);
  if (path->status != SHEAF_OK || call->body.status != SHEAF_OK) return false;
  call->method = "POST";
  call->path = path->data;
  call->route = sheaf__sim_route_find("POST", path->data, &call->asked.model, &call->allow);
  if (!call->route) return false;
  call->provider = call->route->provider;
  call->key_hash = job->key_hash;
  call->given_key = store->world->options->key;
  if (!call->given_key && job->has_key) call->given_key = "";
  call->version = job->version[0] ? job->version : NULL;
  call->batch = job->id;
  return true;
}

static void flush(sim_job *job, size_t least) {
  if (job->good_out.bytes >= least && job->good_out.bytes) {
    sheaf__sim_blob_append(job->good, job->good_out.data, job->good_out.bytes);
    sheaf_buf_reset(&job->good_out);
  }
  if (job->bad && job->bad_out.bytes >= least && job->bad_out.bytes) {
    sheaf__sim_blob_append(job->bad, job->bad_out.data, job->bad_out.bytes);
    sheaf_buf_reset(&job->bad_out);
  }
}

/* As an id, or as the JSON value that it is where Gemini has them. */
static void write_foreign(sim_job *job, sim_row row, sim_call *call) {
  const char first = row.id.bytes ? row.id.data[0] : 0;
  row.id = first == '{'   ? SHEAF_LITERAL("{\"key\":\"sheaf-nobody-gave-this\"}")
           : first == '"' ? SHEAF_LITERAL("\"sheaf-nobody-gave-this\"")
                          : SHEAF_LITERAL("sheaf-nobody-gave-this");
  job->lane->write_row(job, &row, SIM_ROW_DONE, call);
}

static void run_row(sim_store *store, sim_job *job, const sim_row *row, uint64_t now_ns) {
  sim_call *call = &store->row;
  sheaf_buf path;
  sheaf_buf_init(&path, &sheaf__sim_allocator, 4096);
  if (ready_call(store, job, row, &path)) {
    sheaf_buf id;
    sheaf_buf_init(&id, &sheaf__sim_allocator, 256);
    sheaf_buf_append_slice(&id, row->id);
    sheaf_buf_append(&id, "", 1);
    call->client_id = id.status == SHEAF_OK ? id.data : NULL;
    sheaf__sim_plan_row(call, job->lane->check_row, now_ns);
    bool is_good = call->error == SIM_ERROR_COUNT;
    if (is_good) {
      job->input_tokens += call->input_tokens;
      job->output_tokens += call->output_tokens;
      job->succeeded++;
    } else {
      job->errored++;
    }
    bool is_missing =
        job->done + 1 == job->count && sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_MISSING);
    if (!is_missing) job->lane->write_row(job, row, SIM_ROW_DONE, call);
    if (job->done == 0 && sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_DUPLICATE))
      job->lane->write_row(job, row, SIM_ROW_DONE, call);
    if (job->done == 0 && sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_FOREIGN))
      write_foreign(job, *row, call);
    sheaf_buf_deinit(&id);
  }
  sheaf_buf_deinit(&path);
}

/* The next row of the order: run, or written as what became of it. */
static void do_row(sim_store *store, sim_job *job, uint32_t fate, uint64_t now_ns) {
  uint32_t n = (uint32_t)((job->first + (uint64_t)job->done * job->step) % job->count);
  sim_row row = {.id = {NULL, 0}};
  if (job->lane->read_row(job, text_at(job, n), &row, false)) {
    if (fate == SIM_ROW_DONE) {
      run_row(store, job, &row, now_ns);
    } else {
      job->lane->write_row(job, &row, fate, NULL);
      if (fate == SIM_ROW_EXPIRED)
        job->expired++;
      else
        job->cancelled++;
    }
  }
  job->done++;
  flush(job, FLUSH_BYTES);
}

/* How many rows are to be done by now. */
static uint32_t rows_due(const sim_job *job, uint64_t now_ns) {
  uint64_t from = job->running_from_ns, to = job->finalizing_from_ns;
  if (now_ns >= to || to <= from) return job->rows_until;
  if (now_ns <= from) return 0;
  double share = (double)(now_ns - from) / (double)(to - from);
  uint32_t due = (uint32_t)(share * (double)job->count);
  return due < job->rows_until ? due : job->rows_until;
}

/* ---- Results ---- */

static void name_file(sim_store *store, sim_job *job, sim_blob *blob, const char *end,
                      char id[SIM_ID_BYTES], uint64_t now_ns) {
  const sim_lane *lane = job->lane;
  sheaf_buf name;
  sheaf_buf_init(&name, &sheaf__sim_allocator, 256);
  sheaf__sim_write(&name, "%s%s", job->id, end);
  sim_file *file =
      sheaf__sim_file_new(store, lane->file_kind, lane->file_prefix, lane->purpose,
                          sheaf_buf_slice(&name), (sim_span){blob, 0, blob->bytes}, now_ns, 0);
  if (file) {
    if (job->keep_ns) file->expires_ns = now_ns + job->keep_ns;
    file->is_expiry_told = file->is_made_here = true;
    memcpy(id, file->id, SIM_ID_BYTES);
  }
  sheaf_buf_deinit(&name);
}

/* The result files, where the lane has some and the input was one, and the end. */
static void finish(sim_store *store, sim_job *job, uint32_t state, uint64_t now_ns) {
  const sim_lane *lane = job->lane;
  flush(job, 0);
  if (job->keep_ns) job->gone_ns = job->made_ns + job->keep_ns;
  bool is_whole = state == SIM_JOB_COMPLETED;
  bool has_files =
      job->input_id[0] && state != SIM_JOB_FAILED && (is_whole || !lane->is_all_or_none);
  bool wants_empty = is_whole && sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_EMPTY_ERROR);
  if (lane->good_name && has_files && job->good->bytes)
    name_file(store, job, job->good, lane->good_name, job->good_id, now_ns);
  if (lane->bad_name && has_files && (job->bad->bytes || wants_empty))
    name_file(store, job, job->bad, lane->bad_name, job->bad_id, now_ns);
  set_state(job, state, now_ns);
  let_go(job);
}

/* ---- The states ---- */

/* The input tokens of all rows, as the live path would count them. */
static uint64_t count_tokens(sim_store *store, sim_job *job) {
  uint64_t tokens = 0;
  sheaf_buf path;
  sheaf_buf_init(&path, &sheaf__sim_allocator, 4096);
  for (uint32_t n = 0; n < job->count; n++) {
    sim_row row = {.id = {NULL, 0}};
    if (!job->lane->read_row(job, text_at(job, n), &row, false) ||
        !ready_call(store, job, &row, &path))
      continue;
    if (store->row.provider->read(&store->row) == SIM_ERROR_COUNT)
      tokens += sheaf__sim_input_tokens(&store->row);
  }
  sheaf_buf_deinit(&path);
  return tokens;
}

/* protocols 1.5: a job that does not fit is made, and then fails. */
static bool fits_the_queue(sim_store *store, sim_job *job) {
  const sheaf_sim_options *options = store->world->options;
  uint64_t requests, tokens, mine;
  if (!options->batch_tokens && !options->batch_queue) return true;
  mine = options->batch_tokens ? count_tokens(store, job) : 0;
  sheaf__sim_jobs_enqueued(store, job->key_hash, &job->model, &requests, &tokens);
  bool is_over = (options->batch_tokens && tokens + mine > options->batch_tokens) ||
                 (options->batch_queue && requests > options->batch_queue);
  if (!is_over) {
    job->enqueued_tokens = mine;
    return true;
  }
  sheaf_slice model = sheaf_buf_slice(&job->model);
  sheaf__sim_job_error(job, "token_limit_exceeded", 0, NULL,
                       "Enqueued token limit reached for %r in organization org-sim. Please try "
                       "again once some in_progress batches have been completed.",
                       &model);
  return false;
}

/* Each answers when it wants to go on; UINT64_MAX: the job is over. */
static uint64_t validate(sim_store *store, sim_job *job, uint64_t now_ns, uint64_t until_ns) {
  bool has_lines = job->input_id[0] != 0; /* else the rows are known already */
  if (has_lines && !read_lines(store, job, until_ns)) return now_ns;
  if (now_ns < job->running_from_ns) return job->running_from_ns;
  if (job->count == 0 && job->error_count == 0)
    sheaf__sim_job_error(
        job, job->view.text.bytes ? "empty_batch" : "empty_file", 0, NULL,
        job->view.text.bytes ? "The input file has no requests." : "The input file is empty.",
        NULL);
  if (job->error_count || !fits_the_queue(store, job)) {
    finish(store, job, SIM_JOB_FAILED, now_ns);
    return UINT64_MAX;
  }
  sheaf__sim_ids_free(&job->ids);
  begin_rows(store, job, now_ns);
  return now_ns;
}

/* Writes what became of the rows that were not done, then ends. */
static uint64_t end_rows(sim_store *store, sim_job *job, uint64_t now_ns, uint64_t until_ns) {
  uint32_t fate = job->ending == SIM_JOB_EXPIRED ? SIM_ROW_EXPIRED : SIM_ROW_CANCELLED;
  for (uint32_t n = 0; job->places && job->done < job->count; n++) {
    if (n % 16 == 15 && clock_ns() >= until_ns) return now_ns;
    do_row(store, job, fate, now_ns);
  }
  finish(store, job, job->ending, now_ns);
  return UINT64_MAX;
}

/* A job that is to expire early does so when its half of the rows is done. */
static uint64_t expiry_of(const sim_job *job) {
  bool is_early = job->is_expiry_early && job->done == job->rows_until;
  return is_early ? job->over_from_ns : job->expires_ns;
}

static uint64_t run_rows(sim_store *store, sim_job *job, uint64_t now_ns, uint64_t until_ns) {
  if (now_ns >= expiry_of(job)) {
    job->ending = SIM_JOB_EXPIRED;
    return end_rows(store, job, now_ns, until_ns);
  }
  uint32_t due = rows_due(job, now_ns);
  for (uint32_t n = 0; job->done < due; n++) {
    if (n % 16 == 15 && clock_ns() >= until_ns) return now_ns;
    do_row(store, job, SIM_ROW_DONE, now_ns);
  }
  if (job->done == job->count) {
    set_state(job, SIM_JOB_FINALIZING, now_ns);
    return job->over_from_ns;
  }
  if (job->done == job->rows_until) return expiry_of(job);
  return now_ns + PAUSE_NS < job->finalizing_from_ns ? now_ns + PAUSE_NS : job->finalizing_from_ns;
}

static uint64_t advance(sim_store *store, sim_job *job, uint64_t now_ns, uint64_t until_ns) {
  switch (job->state) {
    case SIM_JOB_VALIDATING: return validate(store, job, now_ns, until_ns);
    case SIM_JOB_RUNNING:
      return job->ending ? end_rows(store, job, now_ns, until_ns)
                         : run_rows(store, job, now_ns, until_ns);
    case SIM_JOB_FINALIZING:
      if (now_ns < job->over_from_ns) return job->over_from_ns;
      finish(store, job, SIM_JOB_COMPLETED, now_ns);
      return UINT64_MAX;
    case SIM_JOB_CANCELLING:
      if (now_ns < job->cancelled_from_ns) return job->cancelled_from_ns;
      job->ending = SIM_JOB_CANCELLED;
      return end_rows(store, job, now_ns, until_ns);
    default: return UINT64_MAX;
  }
}

/* The cancellation takes as long as the validation did, and no more than the ten minutes of protocols
 * 1.5. */
void sheaf__sim_job_cancel(sim_store *store, sim_job *job, uint64_t now_ns) {
  const uint64_t most = 600 * SIM_SECOND;
  uint64_t takes = (job->over_from_ns - job->made_ns) / 10;
  if (job->state >= SIM_JOB_CANCELLING) return;
  job->cancelled_from_ns = now_ns + (takes < most ? takes : most);
  set_state(job, SIM_JOB_CANCELLING, now_ns);
  store->due_ns = now_ns;
}

void sheaf__sim_store_step(sim_store *store, uint64_t now_ns) {
  uint64_t until_ns = clock_ns() + SLICE_NS;
  store->due_ns = UINT64_MAX;
  for (sim_job **at = &store->active; *at;) {
    sim_job *job = *at;
    uint64_t due_ns = advance(store, job, now_ns, until_ns);
    if (due_ns <= now_ns) due_ns = now_ns + 1;
    if (sheaf__sim_job_is_over(job)) {
      *at = job->active_next;
      continue;
    }
    if (due_ns < store->due_ns) store->due_ns = due_ns;
    at = &job->active_next;
  }
}
