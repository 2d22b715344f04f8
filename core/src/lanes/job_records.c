/* job_records.c: the records that bring a job back after a crash.
 *
 *   ROWS                   u64 flight, then rows of 40 bytes: u64 index, u64 spool_at, u64 id_hash,
 *                          fingerprint; all little-endian
 *   PLAN, INTENT, FACT,    u64 flight, then a JSON object: {"v":1,"provider":"openai",...}
 *   STATE, OVER, DECISION
 *
 * Writing leaves the flight's id to whoever stores the record. States and steps stand by name, so
 * that a store can be read by people.
 *
 * Outline: the members of each type; rows; writing; reading. */
#include <sheaf/jobs.h>

#include "base/mem.h"
#include "lanes/job_fields.h"

enum { FLIGHT_BYTES = 8 };

#define BIT(type) (1u << (SHEAF_RECORD_JOB_##type - SHEAF_RECORD_JOB_ROWS))
#define NEWS (BIT(FACT) | BIT(STATE) | BIT(DECISION))
#define NOT_ROWS (BIT(PLAN) | BIT(INTENT) | NEWS | BIT(OVER))

#define FIELD(name, member, kind, where) \
  { (name), offsetof(sheaf_job_record, member), SHEAF__FIELD_##kind, (where) }

static const sheaf__job_field fields[] = {FIELD("provider", provider, TEXT, BIT(PLAN)),
                                          FIELD("endpoint", endpoint, TEXT, BIT(PLAN)),
                                          FIELD("model", model, TEXT, BIT(PLAN)),
                                          FIELD("path", path, TEXT, BIT(PLAN)),
                                          FIELD("marker", marker, TEXT, BIT(PLAN)),
                                          FIELD("requests", requests, U64, BIT(PLAN)),
                                          FIELD("bytes", bytes, U64, BIT(PLAN)),
                                          FIELD("first", first, U64, BIT(PLAN)),
                                          FIELD("last", last, U64, BIT(PLAN)),
                                          FIELD("line", line, U64, BIT(PLAN)),
                                          FIELD("bound_usd_nano", bound_usd_nano, I64, BIT(PLAN)),
                                          FIELD("operation", operation, U32, BIT(PLAN)),
                                          FIELD("inline", is_inline, BOOL, BIT(PLAN)),
                                          FIELD("step", step, STEP, BIT(INTENT)),
                                          FIELD("try", attempt, U32, BIT(INTENT)),
                                          FIELD("decision", decision, TEXT, BIT(DECISION)),
                                          FIELD("state", state, STATE, NEWS),
                                          FIELD("upload", upload, TEXT, NEWS),
                                          FIELD("file", file, TEXT, NEWS),
                                          FIELD("job", job, TEXT, NEWS),
                                          FIELD("output", output, TEXT, NEWS),
                                          FIELD("errors", errors, TEXT, NEWS),
                                          FIELD("adopted", adopted, BOOL, NEWS),
                                          FIELD("total", total, I64, NEWS),
                                          FIELD("completed", completed, I64, NEWS),
                                          FIELD("failed", failed, I64, NEWS | BIT(OVER)),
                                          FIELD("message", message, TEXT, NEWS),
                                          FIELD("succeeded", succeeded, U64, BIT(OVER)),
                                          FIELD("rescued", rescued, U64, BIT(OVER)),
                                          FIELD("missing", missing, U64, BIT(OVER)),
                                          FIELD("unix_ms", unix_ms, I64, NOT_ROWS)};

enum { FIELDS = sizeof fields / sizeof *fields };

static bool is_known(uint32_t type) {
  return type >= SHEAF_RECORD_JOB_ROWS && type <= SHEAF_RECORD_JOB_DECISION;
}

void sheaf_job_record_init(sheaf_job_record *record, uint32_t type) {
  *record = (sheaf_job_record){.struct_bytes = sizeof(sheaf_job_record),
                               .type = type,
                               .total = SHEAF_ABSENT,
                               .completed = SHEAF_ABSENT,
                               .failed = SHEAF_ABSENT,
                               .unix_ms = SHEAF_ABSENT};
}

/* ---- Rows ---- */

_Static_assert(SHEAF_JOB_ROW_BYTES == 3 * 8 + 16, "three numbers and a fingerprint");

void sheaf_job_row_write(const sheaf_job_row *row, uint8_t to[SHEAF_JOB_ROW_BYTES]) {
  sheaf__put_le(to, row->index, 8);
  sheaf__put_le(to + 8, row->spool_at, 8);
  sheaf__put_le(to + 16, row->id_hash, 8);
  memcpy(to + 24, row->fingerprint, sizeof row->fingerprint);
}

void sheaf_job_row_read(const uint8_t from[SHEAF_JOB_ROW_BYTES], sheaf_job_row *row) {
  row->index = sheaf__get_le(from, 8);
  row->spool_at = sheaf__get_le(from + 8, 8);
  row->id_hash = sheaf__get_le(from + 16, 8);
  memcpy(row->fingerprint, from + 24, sizeof row->fingerprint);
}

/* ---- Writing ---- */

int32_t sheaf_job_record_write(const sheaf_job_record *record, sheaf_buf *to) {
  if (!is_known(record->type)) return SHEAF_E_MISUSE;
  if (record->type == SHEAF_RECORD_JOB_ROWS) {
    if (record->rows.bytes % SHEAF_JOB_ROW_BYTES != 0) return SHEAF_E_MISUSE;
    return sheaf_buf_append_slice(to, record->rows);
  }
  const uint32_t bit = 1u << (record->type - SHEAF_RECORD_JOB_ROWS);
  return sheaf__job_fields_write(fields, FIELDS, bit, bit == BIT(PLAN), record, to);
}

/* ---- Reading ---- */

int32_t sheaf_job_record_read(uint32_t type, sheaf_slice payload, sheaf_buf *scratch,
                              sheaf_job_record *record) {
  sheaf_job_record read;
  if (!is_known(type)) return SHEAF_E_VERSION;
  if (payload.bytes < FLIGHT_BYTES) return SHEAF_E_SYNTAX;
  sheaf_job_record_init(&read, type);
  read.flight = sheaf__get_le((const uint8_t *)payload.data, FLIGHT_BYTES);
  payload = sheaf__slice_from(payload, FLIGHT_BYTES);
  if (type == SHEAF_RECORD_JOB_ROWS) {
    if (payload.bytes % SHEAF_JOB_ROW_BYTES != 0) return SHEAF_E_SYNTAX;
    read.rows = payload;
  } else {
    const uint32_t bit = 1u << (type - SHEAF_RECORD_JOB_ROWS);
    const int32_t status = sheaf__job_fields_read(fields, FIELDS, bit, payload, scratch, &read);
    if (status != SHEAF_OK) return status;
  }
  *record = read;
  return SHEAF_OK;
}
