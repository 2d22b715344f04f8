/* batch_results.c: results, line by line: which row each belongs to, and what becomes of rows that
 * have none. A job's own "completed" is never taken as proof. */
#include "lanes/batch_lane.h"

#include "base/mem.h"

void sheaf__batch_lines_begin(sheaf__batch *b) {
  sheaf__lines_reset(&b->lines);
  b->has_lines_left = false;
  b->line_number = 0;
}

static void fill(const sheaf__batch *b, const sheaf_job_row *row, sheaf__lane_action *action) {
  action->line = sheaf__batch_line(b, row->index);
  action->kind = SHEAF__ROW_DONE;
  action->index = row->index;
  action->id_hash = row->id_hash;
  action->spool_at = row->spool_at & ~SHEAF__SPOOL_NEEDED;
  memcpy(action->fingerprint, row->fingerprint, sizeof action->fingerprint);
}

/* A row that never ran, or may not have. */
static void fill_end(const sheaf__batch *b, uint32_t error_class, uint32_t billing,
                     const char *message, sheaf__lane_action *action) {
  action->http_status = 0;
  action->error_class = error_class;
  action->billing = billing;
  action->message = b->message.bytes && error_class == SHEAF_CLASS_MISSING
                        ? sheaf_buf_slice(&b->message)
                        : sheaf_slice_of(message);
}

static void fill_cancelled(const sheaf__batch *b, sheaf__lane_action *action) {
  if (b->is_late)
    fill_end(b, SHEAF_CLASS_EXPIRED, SHEAF_BILLING_REFUSED, "its job was not done in time", action);
  else
    fill_end(b, SHEAF_CLASS_CANCELLED, SHEAF_BILLING_REFUSED, "its job was cancelled", action);
}

/* One line as the end of its row. False: it is nobody's, or of a row that has its end. */
static bool take_line(sheaf__batch *b, sheaf_slice line, sheaf__lane_action *action,
                      int32_t *status) {
  sheaf_job_item item = {.struct_bytes = sizeof item};
  sheaf_job_id id = {.place = b->line_number++};
  sheaf_buf_reset(&b->scratch);
  *status = b->setup->api->item(b->setup->api, line, &b->scratch, &item);
  if (*status == SHEAF_OK) *status = b->scratch.status;
  if (*status == SHEAF_E_NOMEM) {
    b->line_number--;
    return false;
  }
  bool has_id = *status == SHEAF_OK && item.id.bytes != 0;
  bool is_foreign = *status != SHEAF_OK || (has_id && sheaf_job_id_read(item.id, &id) != SHEAF_OK);
  *status = SHEAF_OK;
  const sheaf_job_row *row = is_foreign ? NULL : sheaf__job_rows_at(&b->rows, id.place);
  if (row == NULL || (has_id && row->id_hash != id.hash)) {
    b->foreign++;
    return false;
  }
  if (!sheaf__job_rows_mark_ended(&b->rows, id.place)) return false;
  fill(b, row, action);
  if (!(row->spool_at & SHEAF__SPOOL_NEEDED)) action->custom_id = id.custom_id;
  if (item.kind == SHEAF_JOB_ITEM_EXPIRED) {
    fill_end(b, SHEAF_CLASS_EXPIRED, SHEAF_BILLING_REFUSED, "its job's window ended before it ran",
             action);
    b->failed_rows++;
    return true;
  }
  if (item.kind == SHEAF_JOB_ITEM_CANCELLED) {
    fill_cancelled(b, action);
    b->failed_rows++;
    return true;
  }
  action->http_status = item.http_status;
  action->body = item.body;
  action->request_id = item.request_id;
  bool good = item.http_status >= 200 && item.http_status < 300;
  if (good) b->succeeded++;
  if (!good) b->failed_rows++;
  return true;
}

static bool open_inline(sheaf__batch *b) {
  if (b->has_lines_left) return true;
  sheaf__batch_lines_begin(b);
  if (sheaf__lines_open_array(&b->lines, sheaf_buf_slice(&b->inline_results))) return false;
  return b->has_lines_left = true;
}

uint32_t sheaf__batch_next_line(sheaf__batch *b, sheaf__lane_action *action) {
  if (b->stage == SHEAF__STAGE_INLINE && !open_inline(b)) {
    b->is_incomplete = true;
    return SHEAF__LINES_END;
  }
  for (;;) {
    sheaf_slice line;
    int32_t status = SHEAF_OK;
    if (b->held.bytes) { /* there was no memory to read it */
      line = b->held;
      b->held = (sheaf_slice){NULL, 0};
    } else {
      status = sheaf__lines_next(&b->lines, &line);
    }
    if (status == SHEAF_E_NOMEM) return SHEAF__LINES_STARVED;
    if (status == SHEAF_E_TOO_LONG) {
      b->foreign++;
      continue;
    }
    if (status == SHEAF_E_EMPTY) return SHEAF__LINES_DRY;
    if (status) return SHEAF__LINES_END;
    if (take_line(b, line, action, &status)) return SHEAF__LINES_ROW;
    if (status == SHEAF_E_NOMEM) {
      b->held = line;
      return SHEAF__LINES_STARVED;
    }
  }
}

/* A job that ended early tells of rows that never ran, by lines of theirs or by counting none as done. A row
 * without either may have run. */
static bool ran_nothing(const sheaf__batch *b) {
  return !b->is_incomplete && b->completed == 0 && b->failed <= 0 && b->output.bytes == 0 &&
         b->errors.bytes == 0 && b->inline_results.bytes == 0;
}

/* What a row without a line comes to, by what the provider says of the whole job. */
static void fill_missing(sheaf__batch *b, sheaf__lane_action *action) {
  uint32_t billing = ran_nothing(b) ? SHEAF_BILLING_REFUSED : SHEAF_BILLING_UNKNOWN;
  switch (b->state) {
    case SHEAF_JOB_EXPIRED_STATE:
      fill_end(b, SHEAF_CLASS_EXPIRED, billing, "its job's window ended before it ran", action);
      break;
    case SHEAF_JOB_CANCELLED_STATE:
      if (!b->is_planned) {
        fill_end(b, SHEAF_CLASS_CANCELLED, SHEAF_BILLING_NOT_SENT,
                 "the run was stopped before this was sent", action);
        break;
      }
      fill_cancelled(b, action);
      if (b->job.bytes) action->billing = billing;
      break;
    case SHEAF_JOB_FAILED_STATE: /* by its validation, as a rule: nothing ran */
      if (!b->is_incomplete && b->completed <= 0 && b->output.bytes == 0)
        billing = SHEAF_BILLING_REFUSED;
      fill_end(b, SHEAF_CLASS_MISSING, billing, "its job failed", action);
      break;
    case SHEAF_JOB_ABANDONED_STATE:
      fill_end(b, SHEAF_CLASS_UNKNOWN_OUTCOME, SHEAF_BILLING_UNKNOWN,
               "its job was given up: whether it ran is not known", action);
      break;
    default: /* completed, they say, or cancelled and never seen to end */
      if (b->is_late)
        fill_end(b, SHEAF_CLASS_EXPIRED, SHEAF_BILLING_UNKNOWN, "its job was not done in time",
                 action);
      else if (b->foreign)
        fill_end(b, SHEAF_CLASS_MISMATCHED, SHEAF_BILLING_UNKNOWN,
                 "its job's results hold lines that are nobody's, and none for it", action);
      else
        fill_end(b, SHEAF_CLASS_MISSING, SHEAF_BILLING_UNKNOWN,
                 "its job's results hold no line for it", action);
  }
}

bool sheaf__batch_next_missing(sheaf__batch *b, sheaf__lane_action *action) {
  uint64_t place = sheaf__job_rows_next_not_ended(&b->rows, b->at);
  if (place == SHEAF__NO_PLACE) return false;
  b->at = place + 1;
  sheaf__job_rows_mark_ended(&b->rows, place);
  fill(b, sheaf__job_rows_at(&b->rows, place), action);
  fill_missing(b, action);
  b->missing++;
  return true;
}
