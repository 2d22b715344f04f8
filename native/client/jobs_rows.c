/* jobs_rows.c: rows in and out of jobs: the caller's list as a source, results to the caller's
 * function, and which list a state file is.
 *
 * A row that was taken is passed by when its list comes again, and not shown again. What only was
 * cut short is not shown at all: it has no end yet. Outline: the list, the source, results. */
#include "jobs_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which list ---- */

static int32_t not_valid(sheaf__jobs_call *call, uint64_t position, const sheaf_parse_error *e) {
  return sheaf__jobs_say(call->jobs, e->status, "request %" PRIu64 ": %s%s%s", position,
                         e->field ? e->field : "", e->field ? ": " : "",
                         e->message ? e->message : sheaf_status_text(e->status));
}

int32_t sheaf__jobs_list_check(sheaf__jobs_call *call) {
  const sheaf__list *list = call->list;
  sheaf_parse_error error = {0};
  if (list == NULL || list->count == 0) return SHEAF_OK;
  size_t mask = 1;
  while (mask < list->count * 2) mask = mask * 2 + 1;
  if (list->count >= UINT32_MAX / 2) return SHEAF_E_LIMIT;
  uint32_t *table = calloc(mask + 1, sizeof *table);
  if (table == NULL) return SHEAF_E_NOMEM;
  int32_t status = sheaf__list_check(&call->jobs->options, list, table, mask, &error);
  free(table);
  error.status = status;
  return status ? not_valid(call, error.column, &error) : SHEAF_OK;
}

/* All that a request says, ends of fields included. */
static uint64_t hash_list(const sheaf__list *list, char id[SHEAF__ID_BYTES]) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < list->count; i++) {
    sheaf_request r;
    sheaf__list_request(list, i, id, &r);
    const sheaf_slice parts[] = {r.custom_id, r.prompt, r.messages, r.body,     r.url,
                                 r.system,    r.params, r.model,    r.endpoint, r.metadata};
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++)
      hash = (hash ^ (uint64_t)sheaf__id_hash(parts[k]) ^ parts[k].bytes << 7) *
             UINT64_C(1099511628211);
    hash = (hash ^ r.max_tokens ^ (uint64_t)r.flags << 32) * UINT64_C(1099511628211);
  }
  return hash;
}

static bool note_is(sheaf__jobs_call *call, const char *key, sheaf_slice wanted, bool *is_there) {
  sheaf_slice text;
  *is_there = sheaf_jobs_store_get(call->store, key, &text) == SHEAF_OK;
  return *is_there && sheaf__slice_same(text, wanted);
}

static int32_t write_note(sheaf__jobs_call *call, const char *key, const char *text) {
  int32_t status = sheaf_jobs_store_set(call->store, key, sheaf_slice_of(text));
  return status ? sheaf__jobs_say(call->jobs, status, "%s", sheaf_jobs_store_message(call->store))
                : SHEAF_OK;
}

/* The command's own state files have an output that knows what was done, which is not seen here. */
static int32_t meet_command(sheaf__jobs_call *call) {
  bool is_there;
  (void)note_is(call, "output", SHEAF_LITERAL(""), &is_there);
  if (!is_there) return SHEAF_OK;
  return sheaf__jobs_say(
      call->jobs, SHEAF_E_OTHER_RUN,
      "%s is of a run of the command: go on with it by sheaf jobs wait, and give "
      "another state_path here",
      call->jobs->state_path);
}

int32_t sheaf__jobs_list_meet(sheaf__jobs_call *call) {
  char own[64] = "-";
  bool is_there, unused;
  int32_t status = meet_command(call);
  if (status) return status;
  call->is_whole = note_is(call, SHEAF__NOTE_WHOLE, SHEAF_LITERAL("1"), &unused);
  if (!call->has_list) return SHEAF_OK;
  if (call->list != NULL)
    snprintf(own, sizeof own, "%zu %016" PRIx64, call->list->count,
             hash_list(call->list, call->id));
  bool is_same = note_is(call, SHEAF__NOTE_LIST, sheaf_slice_of(own), &is_there);
  bool is_open = note_is(call, SHEAF__NOTE_LIST, SHEAF_LITERAL("-"), &unused);
  if (is_there && !is_same && !is_open && call->list != NULL)
    return sheaf__jobs_say(
        call->jobs, SHEAF_E_OTHER_RUN,
        "%s is of another list of requests: give this one a state_path of its own",
        call->jobs->state_path);
  if (!is_there) status = write_note(call, SHEAF__NOTE_LIST, own);
  if (status == SHEAF_OK && call->jobs->metadata != NULL)
    status = write_note(call, SHEAF__NOTE_METADATA, call->jobs->metadata);
  return status;
}

int32_t sheaf__jobs_list_look(sheaf__jobs_call *call) {
  sheaf_job_status job = {.struct_bytes = sizeof job};
  if (!call->plans_moved || call->is_whole) return SHEAF_OK;
  if (!call->given_all || call->unsent > 0 || call->draining || call->failure) return SHEAF_OK;
  call->plans_moved = false;
  /* In lane auto live rows may be on their way: then only the end tells. */
  if (!call->is_over && call->jobs->options.lane != SHEAF_LANE_BATCH) return SHEAF_OK;
  for (uint64_t n = 0; sheaf_engine_job_at(call->engine, n, &job) == SHEAF_OK; n++)
    if (!sheaf__marks_have(&call->planned, job.flight)) return SHEAF_OK;
  call->is_whole = true;
  return write_note(call, SHEAF__NOTE_WHOLE, "1");
}

/* ---- The source ---- */

static int32_t given_all(sheaf__jobs_call *call) {
  call->given_all = call->plans_moved = true;
  return SHEAF_E_END;
}

static int32_t next(void *ctx, sheaf_request *request) {
  sheaf__jobs_call *call = ctx;
  if (call->list != NULL) {
    if (call->given == call->list->count) return given_all(call);
    sheaf__list_request(call->list, call->given, call->id, request);
  } else {
    int32_t status = call->next(call->next_user, request);
    if (status == SHEAF_E_END) return given_all(call);
    call->asked_later = status == SHEAF_E_LATER;
    if (call->asked_later) return status;
    if (status) return sheaf__jobs_fail(call, status, "next ended the list with this");
  }
  request->user = NULL; /* who collects may be another process */
  call->given++;
  return SHEAF_OK;
}

static int32_t admit(void *ctx, uint64_t index, const sheaf_request *request,
                     const uint8_t fingerprint[16]) {
  const sheaf__jobs_call *call = ctx;
  (void)request, (void)fingerprint;
  return sheaf__marks_have(&call->taken, index) ? SHEAF_E_END : SHEAF_OK;
}

static int32_t refused(void *ctx, uint64_t index, const sheaf_request *request,
                       const sheaf_parse_error *error) {
  sheaf__jobs_call *call = ctx;
  (void)request;
  if (call->fn != NULL || sheaf__marks_have(&call->taken, index)) return SHEAF_OK;
  not_valid(call, index + 1, error);
  return sheaf__jobs_fail(call, error->status, NULL);
}

sheaf_source sheaf__jobs_source(sheaf__jobs_call *call) {
  return (sheaf_source){.struct_bytes = sizeof(sheaf_source),
                        .ctx = call,
                        .next = next,
                        .admit = admit,
                        .refused = refused};
}

/* ---- Results ---- */

/* It has no end yet: cut short by the end of the call, or a failure that had got another try
 * without it. */
static bool is_cut_short(const sheaf__jobs_call *call, const sheaf_result *r) {
  if (r->error_class == SHEAF_CLASS_STORE) return true;
  if (call->draining || call->failure) return !r->ok;
  return r->error_class == SHEAF_CLASS_CANCELLED && r->lane != SHEAF_LANE_BATCH;
}

/* The call ends, but what is under way is let end: a create call that is broken off leaves a job of
 * which nobody knows whether it exists. Until the engine drains, which keeps this row's job from
 * being over, the row waits. */
static int32_t end_call(sheaf__jobs_call *call, int32_t status, const char *sentence) {
  sheaf__jobs_fail(call, status, sentence);
  call->is_ending = true;
  return SHEAF_E_LATER;
}

/* Without anybody to take it: what the call comes to. */
static int32_t nobody_takes(sheaf__jobs_call *call, const sheaf_result *r) {
  char sentence[SHEAF__SAID_BYTES];
  if (call->mode != SHEAF_BATCH_SUBMIT || (r->lane == SHEAF_LANE_BATCH && r->attempted)) {
    call->held_back = true;
    return end_call(call, SHEAF_E_LATER,
                    "jobs of this state file are done: take their results first "
                    "(sheaf_jobs_results), or give fn");
  }
  snprintf(sentence, sizeof sentence, "request %" PRIu64 " ended without a job: %.*s", r->index + 1,
           (int)(r->error_message.bytes < 512 ? r->error_message.bytes : 512),
           r->error_message.data ? r->error_message.data : "");
  bool is_money = r->error_class == SHEAF_CLASS_BUDGET;
  return end_call(call, is_money ? SHEAF_E_LIMIT : SHEAF_E_FIELD, sentence);
}

/* Servers have repeated the key in their refusals. */
static int32_t hand_out(sheaf__jobs_call *call, const sheaf_result *r) {
  if (r->ok) return call->fn(call->user, r);
  sheaf__owned *owned = sheaf__result_copy(r);
  if (owned == NULL) return SHEAF_E_NOMEM;
  sheaf_curl_redact(call->jobs->curl, owned->text, owned->text_bytes);
  int32_t status = call->fn(call->user, &owned->result);
  sheaf_result_free(&owned->result);
  return status;
}

static void show_job(const sheaf__jobs_call *call, const sheaf_job_status *job) {
  const sheaf_jobs_options *given = &call->jobs->given;
  char text[SHEAF__SAID_BYTES];
  sheaf_job_status shown = *job;
  if (given->on_progress == NULL) return;
  if (shown.message.bytes > sizeof text) shown.message.bytes = sizeof text;
  if (shown.message.bytes > 0) memcpy(text, shown.message.data, shown.message.bytes);
  sheaf_curl_redact(call->jobs->curl, text, shown.message.bytes);
  shown.message.data = text;
  given->on_progress(given->user, &shown);
}

static int32_t put_result(sheaf__jobs_call *call, const sheaf_result *r) {
  if (sheaf__marks_have(&call->taken, r->index)) return SHEAF_OK;
  if (call->is_ending) return call->draining ? SHEAF_OK : SHEAF_E_LATER;
  if (is_cut_short(call, r)) {
    call->unsent++;
    return SHEAF_OK;
  }
  bool drops = call->drops && r->error_class == SHEAF_CLASS_CANCELLED;
  if (call->fn == NULL && !drops) return nobody_takes(call, r);
  int32_t status = call->fn != NULL ? hand_out(call, r) : SHEAF_OK;
  if (status) return end_call(call, status, "fn did not take a result");
  /* What never was sent is sent when its list comes again, unless it cannot be. */
  if (!r->attempted && r->error_class != SHEAF_CLASS_INVALID_REQUEST) {
    call->unsent++;
    return SHEAF_OK;
  }
  status = sheaf__marks_add(&call->taken, r->index);
  call->has_new_marks = true;
  return status ? end_call(call, status, NULL) : SHEAF_OK;
}

int32_t sheaf__jobs_put(void *ctx, const sheaf_event *event) {
  sheaf__jobs_call *call = ctx;
  const sheaf_jobs_options *given = &call->jobs->given;
  switch (event->kind) {
    case SHEAF_EVENT_RESULT: return put_result(call, event->result);
    case SHEAF_EVENT_JOB: show_job(call, event->job); return SHEAF_OK;
    case SHEAF_EVENT_NOTICE:
      if (event->notice == SHEAF_NOTICE_KEY_STOPPED) call->key_stopped = true;
      if (given->on_event != NULL) given->on_event(given->user, event);
      return SHEAF_OK;
    default: return SHEAF_OK;
  }
}
