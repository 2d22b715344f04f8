/* batch_lane.c: a provider job as a machine: what it wants next, stage by stage (batch_lane.h draws them).
 *
 * Each effect that cannot be taken back has its record before it: rows and plan before anything is
 * sent, the intent before the create call, the job's id before its first poll, and the end after the
 * last line is written. What comes back after a crash is read from those alone.
 * Outline: life; moving between stages; the present wish; inputs. */
#include "lanes/batch_lane.h"

#include "base/mem.h"
#include "base/random.h"

#define AUTO_TIMEOUT_MS UINT64_C(3600000)
#define TRIES_MAX 10u /* of one call, in a row */

/* ---- Life ---- */

static void buffers_init(sheaf__batch *b, const sheaf_allocator *a) {
  sheaf_buf *const texts[] = {&b->marker,    &b->upload, &b->file,    &b->job,
                              &b->output,    &b->errors, &b->message, &b->page,
                              &b->candidate, &b->path,   &b->text};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) sheaf_buf_init(texts[i], a, 1 << 16);
  sheaf_buf *const large[] = {&b->head,    &b->tail,           &b->record,
                              &b->scratch, &b->inline_results, &b->list_reply};
  for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
    sheaf_buf_init(large[i], a, 2 * SHEAF_LINE_BYTES_MAX);
}

static int32_t batch_open(void *state, const sheaf__lane_setup *setup) {
  sheaf__batch *b = state;
  b->setup = setup;
  buffers_init(b, setup->allocator);
  sheaf__job_rows_init(&b->rows, setup->allocator, SHEAF__JOB_ROWS_MAX);
  sheaf__lines_init(&b->lines, setup->allocator, SHEAF_LINE_BYTES_MAX);
  b->total = b->completed = b->failed = SHEAF_ABSENT;
  b->created_unix_ms = b->intent_unix_ms = SHEAF_ABSENT;
  b->due_ns = b->deadline_ns = SHEAF_NEVER;
  b->state = SHEAF_JOB_PREPARED_STATE;
  return SHEAF_OK;
}

static void batch_close(void *state) {
  sheaf__batch *b = state;
  sheaf_buf *const all[] = {&b->marker,         &b->upload,    &b->file, &b->job,       &b->output,
                            &b->errors,         &b->message,   &b->page, &b->candidate, &b->path,
                            &b->text,           &b->head,      &b->tail, &b->record,    &b->scratch,
                            &b->inline_results, &b->list_reply};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) sheaf_buf_deinit(all[i]);
  sheaf__job_rows_deinit(&b->rows);
  sheaf__lines_deinit(&b->lines);
}

/* ---- Between stages ---- */

void sheaf__batch_go(sheaf__batch *b, sheaf__stage stage) {
  b->stage = stage;
  b->asked = false;
  b->tries = 0;
  b->at = 0;
  b->due_ns = SHEAF_NEVER;
}

void sheaf__batch_wait(sheaf__batch *b, uint64_t wait_ns, sheaf__stage after) {
  b->stage = SHEAF__STAGE_WAIT;
  b->after = after;
  b->asked = false;
  b->due_ns = sheaf__add_sat(b->now_ns, wait_ns);
}

/* +- a tenth, so that jobs of one run do not ask in step. */
static uint64_t jittered(const sheaf__batch *b, uint64_t wait_ns) {
  uint64_t spread = wait_ns / 5;
  uint64_t drawn = sheaf__draw(b->setup->options->seed, spread, SHEAF__DRAW_WAIT, b->setup->flight,
                               b->now_ns / SHEAF__BATCH_MS);
  return wait_ns - spread / 2 + drawn;
}

/* At least what the server asks for, though no more than an hour or the longest wait of one's own. */
static uint64_t hinted(const sheaf__batch *b, uint64_t wait_ns, uint64_t hint_ns) {
  if (hint_ns == SHEAF_NEVER) return wait_ns;
  uint64_t most = sheaf__mul_sat(b->setup->options->poll_max_ms, SHEAF__BATCH_MS);
  most = sheaf__max_u64(most, 3600 * SHEAF__BATCH_SECOND);
  return sheaf__max_u64(wait_ns, sheaf__min_u64(hint_ns, most));
}

bool sheaf__batch_again(sheaf__batch *b, uint64_t retry_after_ns) {
  if (++b->tries > TRIES_MAX) return false;
  const sheaf_engine_options *o = b->setup->options;
  uint64_t wait_ms = o->retry_base_ms;
  for (uint32_t i = 1; i < b->tries && wait_ms < o->retry_max_ms; i++) wait_ms *= 2;
  uint64_t wait_ns =
      jittered(b, sheaf__mul_sat(sheaf__min_u64(wait_ms, o->retry_max_ms), SHEAF__BATCH_MS));
  wait_ns = hinted(b, wait_ns, retry_after_ns);
  sheaf__batch_wait(b, wait_ns, b->stage);
  return true;
}

void sheaf__batch_facts(const sheaf__batch *b, sheaf_job_facts *facts) {
  const sheaf__lane_setup *s = b->setup;
  *facts = (sheaf_job_facts){.struct_bytes = sizeof *facts,
                             .operation = s->operation,
                             .base_url = s->base_url,
                             .path = s->path,
                             .model = s->model,
                             .marker = sheaf_buf_slice(&b->marker),
                             .requests = b->rows.count,
                             .bytes = b->bytes,
                             .is_inline = b->is_inline,
                             .window_hours = (uint32_t)s->options->completion_window_hours,
                             .upload = sheaf_buf_slice(&b->upload),
                             .file = sheaf_buf_slice(&b->file),
                             .job = sheaf_buf_slice(&b->job),
                             .output = sheaf_buf_slice(&b->output),
                             .errors = sheaf_buf_slice(&b->errors),
                             .page = sheaf_buf_slice(&b->page)};
  if (facts->window_hours == 0 && s->api != NULL) facts->window_hours = s->api->traits.window_hours;
}

/* Without memory the sentence is cut or empty: it decides nothing. */
void sheaf__batch_say(sheaf__batch *b, const char *text, sheaf_slice more) {
  sheaf_buf_reset(&b->message);
  sheaf_buf_append_text(&b->message, text);
  if (more.bytes) {
    sheaf_buf_append_text(&b->message, ": ");
    sheaf_buf_append(&b->message, more.data, more.bytes < 500 ? more.bytes : 500);
  }
  b->news_due = true;
}

bool sheaf__batch_is_terminal(uint32_t state) {
  return state == SHEAF_JOB_COMPLETED_STATE || state == SHEAF_JOB_FAILED_STATE ||
         state == SHEAF_JOB_EXPIRED_STATE || state == SHEAF_JOB_CANCELLED_STATE;
}

void sheaf__batch_created(sheaf__batch *b, bool is_adopted) {
  sheaf_buf job = b->candidate; /* needs no memory */
  b->candidate = b->job;
  b->job = job;
  sheaf_buf_reset(&b->candidate);
  b->is_adopted = is_adopted;
  b->is_unknown = false;
  b->state = SHEAF_JOB_QUEUED_STATE;
  b->created_unix_ms = b->unix_ms;
  b->news_due = true;
  sheaf_buf_reset(&b->message); /* of the time when it was not known */
  sheaf__batch_go(b, SHEAF__STAGE_JOB);
}

static uint64_t poll_first_ns(const sheaf__batch *b) {
  uint64_t ms = b->setup->options->poll_interval_ms;
  if (ms < b->setup->api->traits.poll_min_ms) ms = b->setup->api->traits.poll_min_ms;
  return sheaf__mul_sat(ms, SHEAF__BATCH_MS);
}

/* The deadline stands from the job's creation, also across runs. */
static void set_deadline(sheaf__batch *b) {
  uint64_t limit_ms = b->setup->options->batch_timeout_ms;
  if (limit_ms == 0 && b->setup->is_auto) limit_ms = AUTO_TIMEOUT_MS;
  b->deadline_ns = SHEAF_NEVER;
  if (limit_ms == 0 || b->created_unix_ms == SHEAF_ABSENT) return;
  int64_t passed_ms = b->unix_ms - b->created_unix_ms;
  uint64_t left_ms = passed_ms <= 0                    ? limit_ms
                     : (uint64_t)passed_ms >= limit_ms ? 0
                                                       : limit_ms - (uint64_t)passed_ms;
  b->deadline_ns = sheaf__add_sat(b->now_ns, sheaf__mul_sat(left_ms, SHEAF__BATCH_MS));
}

/* Grows by half up to its maximum; the provider's own hint wins where it is longer. */
void sheaf__batch_poll_later(sheaf__batch *b, uint64_t hint_ns) {
  uint64_t most = sheaf__mul_sat(b->setup->options->poll_max_ms, SHEAF__BATCH_MS);
  uint64_t first = poll_first_ns(b);
  if (b->poll_ns < first) b->poll_ns = first;
  uint64_t wait = hinted(b, jittered(b, b->poll_ns), hint_ns);
  uint64_t min_ns = b->setup->api->traits.poll_min_ms * SHEAF__BATCH_MS;
  if (wait < min_ns) wait = min_ns;
  b->poll_ns += b->poll_ns / 2;
  if (b->poll_ns > most && most > first) b->poll_ns = most;
  if (most <= first) b->poll_ns = first;
  if (b->deadline_ns > b->now_ns && b->cancelled_ns == 0)
    wait = sheaf__min_u64(wait, b->deadline_ns - b->now_ns);
  sheaf__batch_wait(b, wait, SHEAF__STAGE_POLL);
}

/* ---- Calls ---- */

static uint32_t step_of(sheaf__stage stage) {
  switch (stage) {
    case SHEAF__STAGE_BEGIN: return SHEAF_JOB_BEGIN;
    case SHEAF__STAGE_UPLOAD: return SHEAF_JOB_UPLOAD;
    case SHEAF__STAGE_CREATE: return SHEAF_JOB_CREATE;
    case SHEAF__STAGE_POLL: return SHEAF_JOB_POLL;
    case SHEAF__STAGE_CANCEL: return SHEAF_JOB_CANCEL;
    case SHEAF__STAGE_OUTPUT: return SHEAF_JOB_OUTPUT;
    case SHEAF__STAGE_ERRORS: return SHEAF_JOB_ERRORS;
    case SHEAF__STAGE_DISCARD: return SHEAF_JOB_DISCARD;
    default: return SHEAF_JOB_LIST;
  }
}

/* Where a stage leads that its API does not have. */
static sheaf__stage skipped(const sheaf__batch *b) {
  switch (b->stage) {
    case SHEAF__STAGE_BEGIN: return SHEAF__STAGE_UPLOAD;
    case SHEAF__STAGE_UPLOAD: return SHEAF__STAGE_INTENT;
    case SHEAF__STAGE_CANCEL: return SHEAF__STAGE_POLL;
    case SHEAF__STAGE_OUTPUT: return SHEAF__STAGE_ERRORS;
    case SHEAF__STAGE_ERRORS: return SHEAF__STAGE_REST;
    case SHEAF__STAGE_DISCARD: return SHEAF__STAGE_GONE;
    case SHEAF__STAGE_LIST: return SHEAF__STAGE_UNDECIDED;
    default: return SHEAF__STAGE_PARK;
  }
}

/* False: there is no such step, and the stage has changed. */
static bool want_call(sheaf__batch *b, sheaf__lane_action *action) {
  const sheaf_job_api *api = b->setup->api;
  sheaf_buf *const parts[] = {&b->path, &b->head, &b->tail, &b->text};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) sheaf_buf_reset(parts[i]);
  b->call = (sheaf_job_call){.struct_bytes = sizeof b->call,
                             .method = "GET",
                             .path = &b->path,
                             .head = &b->head,
                             .tail = &b->tail,
                             .text = &b->text};
  sheaf_job_facts facts;
  sheaf__batch_facts(b, &facts);
  int32_t status = api->call(api, step_of(b->stage), &facts, &b->call);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == SHEAF_OK; i++)
    status = parts[i]->status;
  if (status == SHEAF_E_NOMEM) {
    b->asked = false;
    action->kind = SHEAF__WANT_MEMORY;
    return true;
  }
  if (status) {
    sheaf__batch_go(b, skipped(b));
    return false;
  }
  if (b->stage == SHEAF__STAGE_OUTPUT || b->stage == SHEAF__STAGE_ERRORS)
    sheaf__batch_lines_begin(b);
  action->kind = SHEAF__WANT_EXCHANGE;
  action->call = &b->call;
  action->path = sheaf_buf_slice(&b->path);
  return true;
}

/* ---- The present wish ---- */

/* Where jobs carry no marker, only one create call at a time has no answer yet: else two lost answers
 * could not be told apart. */
static bool must_be_alone(const sheaf__batch *b) {
  return !(b->setup->api->traits.flags & SHEAF_JOBS_MARKER) &&
         b->setup->is_unknown_elsewhere(b->setup->engine, b->setup->flight, 0);
}

/* Stages that pass on without a wish. True: the stage has changed. */
static bool passes(sheaf__batch *b) {
  switch (b->stage) {
    case SHEAF__STAGE_BEGIN:
    case SHEAF__STAGE_UPLOAD:
      if (!b->is_unwanted && !b->is_inline && b->file.bytes == 0) return false;
      sheaf__batch_go(b, SHEAF__STAGE_INTENT);
      return true;
    case SHEAF__STAGE_INTENT:
      if (b->is_unwanted) { /* before it was created */
        sheaf__batch_end(b, SHEAF_JOB_CANCELLED_STATE);
        return true;
      }
      if (!must_be_alone(b)) return false;
      sheaf__batch_wait(b, SHEAF__BATCH_SECOND, SHEAF__STAGE_INTENT);
      return true;
    case SHEAF__STAGE_DISCARD:
      /* Another job may stand on it, too, or this one may still run. */
      if (b->file.bytes && b->strays == 0 && !b->is_incomplete) return false;
      sheaf__batch_go(b, SHEAF__STAGE_GONE);
      return true;
    case SHEAF__STAGE_ROWS:
      if (b->at < b->rows.count) return false;
      sheaf__batch_go(b, SHEAF__STAGE_PLAN);
      return true;
    default: return false;
  }
}

/* Rows that have lines, then rows that have none, then their end. */
static bool next_result(sheaf__batch *b, sheaf__lane_action *action) {
  if (b->stage == SHEAF__STAGE_REST) {
    if (sheaf__batch_next_missing(b, action)) return true;
    sheaf__batch_go(b, b->is_planned ? SHEAF__STAGE_OVER : SHEAF__STAGE_GONE);
    return false;
  }
  uint32_t found = sheaf__batch_next_line(b, action);
  if (found == SHEAF__LINES_ROW) return true;
  if (found == SHEAF__LINES_STARVED) {
    action->kind = SHEAF__WANT_MEMORY;
    return true;
  }
  if (found != SHEAF__LINES_END) return false;
  b->has_lines_left = false;
  sheaf__batch_go(b, b->stage == SHEAF__STAGE_OUTPUT ? SHEAF__STAGE_ERRORS : SHEAF__STAGE_REST);
  return false;
}

static bool want(sheaf__batch *b, sheaf__lane_action *action) {
  switch (b->stage) {
    case SHEAF__STAGE_SEAL:
      if (!sheaf__batch_make_marker(b)) {
        action->kind = SHEAF__WANT_MEMORY;
        b->asked = false;
        return true;
      }
      action->kind = SHEAF__WANT_SEAL;
      sheaf__batch_go(b, SHEAF__STAGE_ROWS);
      return true;
    case SHEAF__STAGE_TURN: action->kind = SHEAF__WANT_TURN; return true;
    case SHEAF__STAGE_ROWS:
    case SHEAF__STAGE_PLAN:
    case SHEAF__STAGE_FILE:
    case SHEAF__STAGE_JOB:
    case SHEAF__STAGE_INTENT:
    case SHEAF__STAGE_NOTE:
    case SHEAF__STAGE_UNDECIDED:
    case SHEAF__STAGE_OVER: return sheaf__batch_want_record(b, action);
    case SHEAF__STAGE_WAIT:
      action->kind = SHEAF__WANT_TIMER;
      action->at_ns = b->due_ns;
      return true;
    case SHEAF__STAGE_PARK:
      action->kind = SHEAF__FLIGHT_PARKED;
      sheaf__batch_go(b, SHEAF__STAGE_PARKED);
      return true;
    case SHEAF__STAGE_GONE: action->kind = SHEAF__FLIGHT_OVER; return true;
    default: return want_call(b, action);
  }
}

/* While recovering only: which rows are its own. */
static bool next_held(sheaf__batch *b, sheaf__lane_action *action) {
  if (!b->is_planned) return false;
  action->kind = SHEAF__HOLDS;
  return sheaf__job_rows_range(&b->rows, &b->at, &action->index, &action->index_last);
}

static bool batch_next(void *state, sheaf__lane_action *action) {
  sheaf__batch *b = state;
  memset(action, 0, sizeof *action);
  if (!b->begun) return b->is_recovered && next_held(b, action);
  if (b->news_due) {
    b->news_due = false;
    action->kind = SHEAF__WANT_NEWS;
    return true;
  }
  if (b->is_listing) return sheaf__batch_next_listed(b, action);
  for (;;) {
    if (b->has_lines_left || b->stage == SHEAF__STAGE_REST || b->stage == SHEAF__STAGE_INLINE ||
        (b->asked && (b->stage == SHEAF__STAGE_OUTPUT || b->stage == SHEAF__STAGE_ERRORS))) {
      sheaf__stage before = b->stage;
      if (next_result(b, action)) return true;
      if (b->stage == before) return false;
      continue;
    }
    if (b->asked || b->stage == SHEAF__STAGE_PARKED || b->stage == SHEAF__STAGE_JOIN) return false;
    if (passes(b)) continue;
    b->asked = true;
    action->tag = ++b->tag;
    if (want(b, action)) return true;
  }
}

/* ---- Inputs ---- */

/* What a run that only looks after jobs does not do. */
static bool may_submit(const sheaf__batch *b) {
  return b->setup->options->batch_mode <= SHEAF_BATCH_SUBMIT;
}

static void park(sheaf__batch *b, const char *why) {
  if (why != NULL) sheaf__batch_say(b, why, (sheaf_slice){NULL, 0});
  b->news_due = true;
  sheaf__batch_go(b, SHEAF__STAGE_PARK);
}

/* Its rows have their end without a job: the records say so first, for a run that died in between
 * would create a job of all of them. */
void sheaf__batch_end(sheaf__batch *b, uint32_t state) {
  b->state = state;
  sheaf__batch_go(b, b->is_planned ? SHEAF__STAGE_NOTE : SHEAF__STAGE_REST);
  b->after = SHEAF__STAGE_REST;
  b->news_due = true;
}

static void end_unwanted(sheaf__batch *b) {
  b->is_unwanted = true;
  sheaf__batch_end(b, SHEAF_JOB_CANCELLED_STATE);
}

/* A job of an earlier run: from where its records end. */
static void go_on(sheaf__batch *b) {
  b->news_due = true;
  if (b->setup->api == NULL) {
    park(b, "its provider is not the one of this run, or has no batch jobs");
  } else if (b->state == SHEAF_JOB_ABANDONED_STATE) {
    b->is_incomplete = true;
    sheaf__batch_go(b, SHEAF__STAGE_REST);
  } else if (sheaf__job_rows_next_not_ended(&b->rows, 0) == SHEAF__NO_PLACE && b->rows.count) {
    sheaf__batch_go(b, SHEAF__STAGE_OVER); /* the output has them all; its end was not written */
  } else if (b->job.bytes) {
    set_deadline(b);
    bool cancel = b->setup->options->batch_mode == SHEAF_BATCH_CANCEL || b->is_unwanted;
    if (cancel) b->is_unwanted = true;
    sheaf__batch_go(b, cancel ? SHEAF__STAGE_CANCEL : SHEAF__STAGE_POLL);
  } else if (sheaf__batch_is_terminal(b->state)) { /* its rows were on their way out */
    b->is_incomplete = b->is_unknown && b->state != SHEAF_JOB_FAILED_STATE;
    sheaf__batch_go(b, SHEAF__STAGE_REST);
  } else if (b->is_unknown) {
    b->state = SHEAF_JOB_SUBMITTING_STATE;
    sheaf__batch_go(b, SHEAF__STAGE_LIST);
  } else if (b->setup->options->batch_mode == SHEAF_BATCH_CANCEL || b->is_unwanted) {
    end_unwanted(b);
  } else if (!may_submit(b)) {
    park(b, NULL);
  } else {
    sheaf__batch_go(b, SHEAF__STAGE_TURN);
  }
}

static void begin(sheaf__batch *b) {
  b->begun = true;
  b->at = 0;
  if (b->setup->options->batch_mode == SHEAF_BATCH_SURVEY && !b->is_recovered)
    sheaf__batch_go(b, b->setup->api ? SHEAF__STAGE_LIST : SHEAF__STAGE_GONE);
  else if (b->is_recovered && !b->is_planned)
    sheaf__batch_go(b, SHEAF__STAGE_GONE); /* a run died while it was prepared: nothing was sent */
  else if (b->is_recovered && b->setup->options->batch_mode == SHEAF_BATCH_SURVEY)
    park(b, NULL);
  else if (b->is_recovered)
    go_on(b);
  else if (b->rows.count == 0)
    sheaf__batch_go(b, SHEAF__STAGE_GONE); /* its first row could not join after all */
  else if (b->is_unwanted)
    end_unwanted(b); /* the run is stopped before its rows were all there */
  else
    sheaf__batch_go(b, SHEAF__STAGE_SEAL);
}

/* An intent is part of its call's try. */
static void create_now(sheaf__batch *b) {
  uint32_t tries = b->tries;
  sheaf__batch_go(b, SHEAF__STAGE_CREATE);
  b->tries = tries;
}

static void on_stored(sheaf__batch *b) {
  switch (b->stage) {
    case SHEAF__STAGE_ROWS: b->asked = false; break; /* the next chunk */
    case SHEAF__STAGE_PLAN:
      b->is_planned = b->news_due = true;
      sheaf__batch_go(b, SHEAF__STAGE_TURN);
      break;
    case SHEAF__STAGE_FILE: sheaf__batch_go(b, SHEAF__STAGE_INTENT); break;
    case SHEAF__STAGE_INTENT:
      if (!b->is_unknown) b->intent_unix_ms = b->unix_ms;
      b->is_unknown = true; /* until an answer comes */
      b->creates++;
      create_now(b);
      break;
    case SHEAF__STAGE_JOB:
      set_deadline(b);
      if (b->is_unwanted)
        sheaf__batch_go(b, SHEAF__STAGE_CANCEL);
      else if (b->setup->options->batch_mode == SHEAF_BATCH_SUBMIT)
        sheaf__batch_go(b, SHEAF__STAGE_PARK);
      else if (may_submit(b))
        sheaf__batch_poll_later(b, SHEAF_NEVER);
      else
        sheaf__batch_go(b, SHEAF__STAGE_POLL);
      break;
    case SHEAF__STAGE_NOTE:
      sheaf__batch_go(b, b->after);
      if (b->stage == SHEAF__STAGE_WAIT) {
        b->after = SHEAF__STAGE_POLL;
        b->due_ns = b->note_after_ns;
      }
      break;
    case SHEAF__STAGE_UNDECIDED: sheaf__batch_go(b, SHEAF__STAGE_PARK); break;
    case SHEAF__STAGE_OVER:
      b->state = SHEAF_JOB_COLLECTED_STATE;
      b->news_due = true;
      sheaf__batch_go(b, SHEAF__STAGE_DISCARD);
      break;
    default: break;
  }
}

static void on_timer(sheaf__batch *b) {
  sheaf__stage after = b->after;
  uint32_t tries = b->tries;
  /* Again while nothing shows that it was heard. */
  bool unheard = b->cancelled_ns == 0 || b->state != SHEAF_JOB_ENDING_STATE;
  if (after == SHEAF__STAGE_POLL && (b->is_unwanted || b->is_late) && unheard)
    after = SHEAF__STAGE_CANCEL;
  if (after == SHEAF__STAGE_POLL && b->deadline_ns <= b->now_ns && b->cancelled_ns == 0) {
    b->is_late = true;
    after = SHEAF__STAGE_CANCEL;
  }
  sheaf__batch_go(b, after);
  b->tries = tries; /* the same call goes on being tried */
}

/* Somebody wants the job ended. What is under way comes to its end first. */
static void on_cancel(sheaf__batch *b) {
  b->is_unwanted = true;
  if (!b->begun) return;
  if (b->stage == SHEAF__STAGE_TURN)
    end_unwanted(b);
  else if (b->stage == SHEAF__STAGE_WAIT && b->after == SHEAF__STAGE_POLL && b->cancelled_ns == 0)
    sheaf__batch_go(b, SHEAF__STAGE_CANCEL);
}

static int32_t batch_on_input(void *state, const sheaf__lane_input *in) {
  sheaf__batch *b = state;
  b->now_ns = in->now_ns;
  b->unix_ms = in->unix_ms;
  if (in->kind == SHEAF__IN_RECORD) return sheaf__batch_on_record(b, in);
  if (in->kind == SHEAF__IN_BEGIN) return begin(b), SHEAF_OK;
  if (in->kind == SHEAF__IN_BROKEN) {
    b->has_lines_left = false;
    b->held = (sheaf_slice){NULL, 0};
    park(b,
         "what the spool holds of its rows cannot be read: restore the spool, then go on; or give "
         "the job up (abandon)");
    return SHEAF_OK;
  }
  if (in->kind == SHEAF__IN_CANCEL) return on_cancel(b), SHEAF_OK;
  if (in->kind == SHEAF__IN_TURN) {
    b->state = SHEAF_JOB_SUBMITTING_STATE;
    if (b->is_unwanted) return end_unwanted(b), SHEAF_OK;
    return sheaf__batch_go(b, SHEAF__STAGE_BEGIN), SHEAF_OK;
  }
  if (!b->asked || in->tag != b->tag) return SHEAF_OK; /* it waits for this no longer */
  switch (in->kind) {
    case SHEAF__IN_STORED: on_stored(b); break;
    case SHEAF__IN_TIMER: on_timer(b); break;
    case SHEAF__IN_CHUNK: return sheaf__lines_feed(&b->lines, in->bytes);
    case SHEAF__IN_REPLY: sheaf__batch_reply(b, in); break;
    default: break;
  }
  return SHEAF_OK;
}

static bool batch_holds(void *state, uint64_t index) {
  sheaf__batch *b = state;
  return b->is_planned && sheaf__job_rows_find(&b->rows, index) != SHEAF__NO_PLACE;
}

static int32_t batch_pass(void *state, uint64_t index, const uint8_t fingerprint[16],
                          bool is_done) {
  sheaf__batch *b = state;
  if (!b->is_planned) return SHEAF_E_NOT_FOUND;
  uint64_t place = sheaf__job_rows_find(&b->rows, index);
  if (place == SHEAF__NO_PLACE) return SHEAF_E_NOT_FOUND;
  if (memcmp(sheaf__job_rows_at(&b->rows, place)->fingerprint, fingerprint, 16) != 0)
    return SHEAF_E_OTHER_RUN;
  sheaf__job_rows_mark_passed(&b->rows, place);
  if (is_done) sheaf__job_rows_mark_ended(&b->rows, place);
  return SHEAF_OK;
}

static void batch_status(const void *state, sheaf_job_status *status) {
  const sheaf__batch *b = state;
  status->state = b->state;
  status->marker = sheaf_buf_slice(&b->marker);
  status->job = sheaf_buf_slice(&b->job);
  status->message = sheaf_buf_slice(&b->message);
  status->requests = b->rows.count;
  status->bytes = b->bytes;
  status->completed = b->completed;
  status->failed = b->failed;
  status->ended = b->rows.ended;
  status->created_unix_ms = b->created_unix_ms;
  status->next_poll_ns = b->stage == SHEAF__STAGE_WAIT ? b->due_ns : SHEAF_NEVER;
}

/* From the moment on at which it means to be created: the record may be on its way. */
static bool batch_is_unknown(const void *state) {
  const sheaf__batch *b = state;
  return b->is_unknown || (b->stage == SHEAF__STAGE_INTENT && b->asked);
}

static uint64_t batch_upload_bytes(const void *state) {
  const sheaf__batch *b = state;
  return b->is_inline && b->bytes ? b->bytes - 1 : b->bytes; /* the last comma is none */
}

const sheaf__lane sheaf__batch_lane = {.name = "batch",
                                       .kind = SHEAF_LANE_BATCH,
                                       .flight_bytes = sizeof(sheaf__batch),
                                       .open = batch_open,
                                       .close = batch_close,
                                       .join = sheaf__batch_join,
                                       .joined = sheaf__batch_joined,
                                       .holds = batch_holds,
                                       .pass = batch_pass,
                                       .on_input = batch_on_input,
                                       .next = batch_next,
                                       .status = batch_status,
                                       .is_unknown = batch_is_unknown,
                                       .upload_bytes = batch_upload_bytes};
