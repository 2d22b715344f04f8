/* batch_records.c: a job's records: what is written before each effect, and what a later run reads
 * out of them. Outline: writing; reading. */
#include "base/mem.h"
#include "base/random.h"
#include "lanes/batch_lane.h"

/* ---- Writing ---- */

static void record_init(const sheaf__batch *b, uint32_t type, sheaf_job_record *record) {
  sheaf_job_record_init(record, type);
  record->flight = b->setup->flight;
  record->unix_ms = b->unix_ms;
}

static bool put_record(sheaf__batch *b, const sheaf_job_record *record,
                       sheaf__lane_action *action) {
  sheaf_buf_reset(&b->record);
  if (sheaf_job_record_write(record, &b->record)) {
    action->kind = SHEAF__WANT_MEMORY;
    b->asked = false;
    return true;
  }
  action->kind = SHEAF__WANT_STORE;
  action->record_type = record->type;
  action->record = sheaf_buf_slice(&b->record);
  return true;
}

/* From what the job holds, so that the same rows at another time get another one. */
bool sheaf__batch_make_marker(sheaf__batch *b) {
  static const char hex[] = "0123456789abcdef";
  if (b->marker.bytes) return true;
  uint64_t parts[2] = {sheaf__mix64((uint64_t)b->unix_ms ^ b->setup->options->seed),
                       sheaf__mix64(b->now_ns + b->setup->flight)};
  for (uint64_t place = 0; place < b->rows.count; place++) {
    const sheaf_job_row *row = sheaf__job_rows_at(&b->rows, place);
    parts[0] = sheaf__hash(row->fingerprint, sizeof row->fingerprint, parts[0]);
    parts[1] = sheaf__hash(&row->index, sizeof row->index, parts[1] ^ row->id_hash);
  }
  sheaf_buf_append_text(&b->marker, "sheaf-");
  for (int i = 0; i < 32; i++)
    sheaf_buf_append(&b->marker, &hex[parts[i / 16] >> (4 * (i % 16)) & 15], 1);
  bool ok = b->marker.status == SHEAF_OK;
  if (!ok) sheaf_buf_reset(&b->marker);
  return ok;
}

static bool want_plan(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_job_record record;
  record_init(b, SHEAF_RECORD_JOB_PLAN, &record);
  record.provider = b->setup->provider;
  record.endpoint = b->setup->endpoint;
  record.model = b->setup->model;
  record.path = b->setup->path;
  record.operation = b->setup->operation;
  record.marker = sheaf_buf_slice(&b->marker);
  record.requests = b->rows.count;
  record.bytes = b->bytes;
  record.first = b->rows.lowest;
  record.last = b->rows.highest;
  record.line = b->line;
  record.bound_usd_nano = b->setup->bound_usd_nano;
  record.is_inline = b->is_inline;
  return put_record(b, &record, action);
}

static bool want_rows(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_buf_reset(&b->record);
  uint64_t at = b->at;
  if (sheaf__job_rows_write(&b->rows, &at, &b->record)) {
    action->kind = SHEAF__WANT_MEMORY;
    b->asked = false;
    return true;
  }
  b->at = at;
  action->kind = SHEAF__WANT_STORE;
  action->record_type = SHEAF_RECORD_JOB_ROWS;
  action->record = sheaf_buf_slice(&b->record);
  return true;
}

static bool want_fact(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_job_record record;
  record_init(b, SHEAF_RECORD_JOB_FACT, &record);
  if (b->stage == SHEAF__STAGE_FILE)
    record.file = sheaf_buf_slice(&b->file);
  else
    record.job = sheaf_buf_slice(&b->job);
  record.adopted = b->is_adopted;
  return put_record(b, &record, action);
}

static bool want_note(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_job_record record;
  record_init(b, SHEAF_RECORD_JOB_STATE, &record);
  record.state = b->state;
  record.total = b->total;
  record.completed = b->completed;
  record.failed = b->failed;
  record.output = sheaf_buf_slice(&b->output);
  record.errors = sheaf_buf_slice(&b->errors);
  record.message = sheaf_buf_slice(&b->message);
  return put_record(b, &record, action);
}

static bool want_intent(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_job_record record;
  record_init(b, SHEAF_RECORD_JOB_INTENT, &record);
  record.step = SHEAF_JOB_CREATE;
  record.attempt = b->creates + 1;
  return put_record(b, &record, action);
}

static bool want_over(sheaf__batch *b, sheaf__lane_action *action) {
  sheaf_job_record record;
  record_init(b, SHEAF_RECORD_JOB_OVER, &record);
  record.state = SHEAF_JOB_COLLECTED_STATE;
  record.succeeded = b->succeeded;
  record.failed = (int64_t)b->failed_rows;
  record.missing = b->missing;
  record.rescued = b->setup->rescued;
  action->after_results = true;
  return put_record(b, &record, action);
}

/* The record that the present stage stands for. Without memory it is asked for again. */
bool sheaf__batch_want_record(sheaf__batch *b, sheaf__lane_action *action) {
  switch (b->stage) {
    case SHEAF__STAGE_ROWS: return want_rows(b, action);
    case SHEAF__STAGE_PLAN: return want_plan(b, action);
    case SHEAF__STAGE_INTENT: return want_intent(b, action);
    case SHEAF__STAGE_NOTE:
    case SHEAF__STAGE_UNDECIDED: return want_note(b, action);
    case SHEAF__STAGE_OVER: return want_over(b, action);
    default: return want_fact(b, action);
  }
}

/* ---- Reading ---- */

static int32_t keep(sheaf_buf *to, sheaf_slice text) {
  if (text.bytes == 0) return SHEAF_OK;
  sheaf_buf_reset(to);
  return sheaf_buf_append_slice(to, text);
}

/* A time before 1970 comes from a damaged file. */
static int64_t time_of(const sheaf_job_record *r) {
  return r->unix_ms < 0 ? SHEAF_ABSENT : r->unix_ms;
}

static int32_t take_decision(sheaf__batch *b, const sheaf_job_record *r) {
  if (sheaf__slice_equal(r->decision, SHEAF_LITERAL("adopt"))) {
    b->is_adopted = true;
    b->is_unknown = false;
    b->state = SHEAF_JOB_QUEUED_STATE;
    b->created_unix_ms = time_of(r);
    return keep(&b->job, r->job);
  }
  if (sheaf__slice_equal(r->decision, SHEAF_LITERAL("resubmit"))) {
    b->is_unknown = false;
    b->strays++;
    b->state = SHEAF_JOB_PREPARED_STATE;
    sheaf_buf_reset(&b->job);
  } else if (sheaf__slice_equal(r->decision, SHEAF_LITERAL("abandon"))) {
    b->state = SHEAF_JOB_ABANDONED_STATE;
  } else if (sheaf__slice_equal(r->decision, SHEAF_LITERAL("cancel"))) {
    b->is_unwanted = true;
  }
  return SHEAF_OK;
}

static int32_t take_record(sheaf__batch *b, const sheaf_job_record *r) {
  int32_t status = SHEAF_OK;
  switch (r->type) {
    case SHEAF_RECORD_JOB_ROWS: return sheaf__job_rows_read(&b->rows, r->rows);
    case SHEAF_RECORD_JOB_PLAN:
      if (r->requests != b->rows.count) return SHEAF_OK; /* rows are lost: it was never whole */
      b->is_planned = true;
      b->is_inline = r->is_inline;
      b->line = r->line;
      b->bytes = r->bytes;
      return keep(&b->marker, r->marker);
    case SHEAF_RECORD_JOB_INTENT:
      if (r->step != SHEAF_JOB_CREATE) return SHEAF_OK;
      if (!b->is_unknown) b->intent_unix_ms = time_of(r);
      if (b->is_unknown) b->strays++;
      b->is_unknown = true;
      b->state = SHEAF_JOB_SUBMITTING_STATE;
      b->creates = r->attempt;
      sheaf_buf_reset(&b->job); /* the one before ran nothing, or was decided upon */
      return SHEAF_OK;
    case SHEAF_RECORD_JOB_FACT:
      status = keep(&b->file, r->file);
      if (status == SHEAF_OK) status = keep(&b->job, r->job);
      if (r->job.bytes) {
        b->is_unknown = false;
        b->is_adopted = r->adopted;
        b->created_unix_ms = time_of(r);
        b->state = SHEAF_JOB_QUEUED_STATE;
      }
      return status;
    case SHEAF_RECORD_JOB_STATE:
      b->state = r->state;
      if (r->state == SHEAF_JOB_PREPARED_STATE && b->is_unknown) { /* the list has shown so */
        b->is_unknown = false;
        b->strays++;
      }
      b->total = r->total;
      b->completed = r->completed;
      b->failed = r->failed;
      return keep(&b->message, r->message);
    case SHEAF_RECORD_JOB_DECISION: return take_decision(b, r);
    default: return SHEAF_OK;
  }
}

int32_t sheaf__batch_on_record(sheaf__batch *b, const sheaf__lane_input *in) {
  sheaf_job_record record;
  sheaf_buf_reset(&b->scratch);
  b->is_recovered = true;
  int32_t status = sheaf_job_record_read(in->tag, in->bytes, &b->scratch, &record);
  if (status == SHEAF_OK) status = take_record(b, &record);
  if (status == SHEAF_OK && in->tag != SHEAF_RECORD_JOB_PLAN) b->at = b->rows.count;
  if (in->tag == SHEAF_RECORD_JOB_PLAN) b->at = 0; /* from here on it holds its rows */
  return status;
}
