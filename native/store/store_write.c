/* store_write.c: records into tables.
 *
 *   append   what is of jobs in one transaction, the rest to the files' own store
 *   event    every record as it came, in its order: what scan gives back
 *   job      the same, as the state of its job, for people and for sheaf jobs
 *   rows     forty bytes a row, many to a statement
 *
 * A commit waits for the disk, but for one of rows alone: they mean nothing before their plan,
 * whose commit syncs them, too, as both are in one log. */
#include "store_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_ROWS_TEXT 96

static int32_t write_failed(sheaf_jobs_store *store, int code) {
  store->failed = true;
  sheaf__store_sqlite_failed(store, code, true);
  return SHEAF_E_STORE;
}

/* ---- Statements with a job and a time ---- */

static sqlite3_stmt *begin(sheaf_jobs_store *store, uint32_t which, uint64_t flight,
                           int64_t unix_ms) {
  sqlite3_stmt *sql = sheaf__store_sql(store, which);
  if (sql == NULL) return NULL;
  sheaf__store_bind_u64(sql, 1, flight);
  sqlite3_bind_int64(sql, 2, unix_ms);
  return sql;
}

/* SQLITE_OK or the failure; sql NULL is one. */
static int finish(sheaf_jobs_store *store, sqlite3_stmt *sql) {
  if (sql == NULL) return sqlite3_extended_errcode(store->db);
  int code = sheaf__store_run(sql);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int put_event(sheaf_jobs_store *store, const sheaf_job_record *record, int64_t unix_ms,
                     sheaf_slice json) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_EVENT);
  if (sql == NULL) return sqlite3_extended_errcode(store->db);
  sheaf__store_bind_u64(sql, 1, record->flight);
  sqlite3_bind_int64(sql, 2, record->type);
  sqlite3_bind_int64(sql, 3, unix_ms);
  sheaf__store_bind_text(sql, 4, json);
  return finish(store, sql);
}

/* ---- Rows ---- */

static void bind_row(sqlite3_stmt *sql, int at, uint64_t place, const char *bytes,
                     sheaf_job_row *row) {
  sheaf_job_row_read((const uint8_t *)bytes, row);
  sheaf__store_bind_u64(sql, at, place);
  sheaf__store_bind_u64(sql, at + 1, row->index);
  sheaf__store_bind_u64(sql, at + 2, row->spool_at);
  sheaf__store_bind_u64(sql, at + 3, row->id_hash);
  sqlite3_bind_blob(sql, at + 4, row->fingerprint, sizeof row->fingerprint, SQLITE_STATIC);
}

/* count rows by one statement: 1 or SHEAF__ROWS_AT_ONCE. */
static int put_some(sheaf_jobs_store *store, uint64_t flight, const char *bytes, uint32_t count) {
  sheaf_job_row rows[SHEAF__ROWS_AT_ONCE];
  sqlite3_stmt *sql = sheaf__store_sql(store, count == 1 ? SHEAF__SQL_ROW : SHEAF__SQL_ROWS);
  if (sql == NULL) return sqlite3_extended_errcode(store->db);
  sheaf__store_bind_u64(sql, 1, flight);
  for (uint32_t i = 0; i < count; i++) {
    bind_row(sql, 2 + 5 * (int)i, store->place + i, bytes + (size_t)i * SHEAF_JOB_ROW_BYTES,
             &rows[i]);
  }
  int code = finish(store, sql);
  if (code == SQLITE_OK) store->place += count;
  return code;
}

/* Where the next row of a flight stands. */
static int find_place(sheaf_jobs_store *store, uint64_t flight) {
  if (store->place_flight == flight) return SQLITE_OK;
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_PLACE);
  if (sql == NULL) return sqlite3_extended_errcode(store->db);
  sheaf__store_bind_u64(sql, 1, flight);
  int code = sheaf__store_run(sql);
  if (code != SQLITE_ROW) return code;
  store->place = (uint64_t)sqlite3_column_int64(sql, 0);
  store->place_flight = flight;
  return sqlite3_reset(sql);
}

static int put_rows(sheaf_jobs_store *store, const sheaf_job_record *record, int64_t unix_ms) {
  const char *at = record->rows.data;
  uint64_t left = record->rows.bytes / SHEAF_JOB_ROW_BYTES;
  char json[EVENT_ROWS_TEXT];
  int code = find_place(store, record->flight);
  if (code != SQLITE_OK) return code;
  snprintf(json, sizeof json, "{\"place\":%" PRIu64 ",\"rows\":%" PRIu64 "}", store->place, left);
  code = put_event(store, record, unix_ms, sheaf_slice_of(json));
  while (code == SQLITE_OK && left > 0) {
    uint32_t count = left >= SHEAF__ROWS_AT_ONCE ? SHEAF__ROWS_AT_ONCE : 1;
    code = put_some(store, record->flight, at, count);
    at += (size_t)count * SHEAF_JOB_ROW_BYTES;
    left -= count;
  }
  return code;
}

/* ---- What a record says of its job ---- */

static void bind_plan(sqlite3_stmt *sql, const sheaf_job_record *record) {
  sheaf__store_bind_text(sql, 3, record->provider);
  sheaf__store_bind_text(sql, 4, record->endpoint);
  sheaf__store_bind_text(sql, 5, record->model);
  sheaf__store_bind_text(sql, 6, record->path);
  sheaf__store_bind_text(sql, 7, record->marker);
  sqlite3_bind_int64(sql, 8, record->operation);
  sqlite3_bind_int64(sql, 9, record->is_inline);
  sheaf__store_bind_u64(sql, 10, record->requests);
  sheaf__store_bind_u64(sql, 11, record->bytes);
  sheaf__store_bind_u64(sql, 12, record->first);
  sheaf__store_bind_u64(sql, 13, record->last);
  sheaf__store_bind_u64(sql, 14, record->line);
  sqlite3_bind_int64(sql, 15, record->bound_usd_nano);
}

static void bind_state(sqlite3_stmt *sql, const sheaf_job_record *record) {
  sqlite3_bind_int64(sql, 3, record->state);
  sheaf__store_bind_count(sql, 4, record->total);
  sheaf__store_bind_count(sql, 5, record->completed);
  sheaf__store_bind_count(sql, 6, record->failed);
  sheaf__store_bind_text(sql, 7, record->message);
  sheaf__store_bind_text(sql, 8, record->output);
  sheaf__store_bind_text(sql, 9, record->errors);
  sheaf__store_bind_text(sql, 10, record->job);
  sheaf__store_bind_text(sql, 11, record->file);
  sheaf__store_bind_text(sql, 12, record->upload);
}

static void bind_others(sqlite3_stmt *sql, const sheaf_job_record *record) {
  switch (record->type) {
    case SHEAF_RECORD_JOB_INTENT:
      sqlite3_bind_int64(sql, 3, record->step);
      sqlite3_bind_int64(sql, 4, record->attempt);
      break;
    case SHEAF_RECORD_JOB_FACT:
      sheaf__store_bind_text(sql, 3, record->upload);
      sheaf__store_bind_text(sql, 4, record->file);
      sheaf__store_bind_text(sql, 5, record->job);
      sqlite3_bind_int64(sql, 6, record->adopted);
      break;
    case SHEAF_RECORD_JOB_OVER:
      sheaf__store_bind_count(sql, 3, record->failed);
      sheaf__store_bind_u64(sql, 4, record->succeeded);
      sheaf__store_bind_u64(sql, 5, record->rescued);
      sheaf__store_bind_u64(sql, 6, record->missing);
      break;
    default: /* DECISION */
      sheaf__store_bind_text(sql, 3, record->decision);
      sheaf__store_bind_text(sql, 4, record->job);
      break;
  }
}

static int put_job(sheaf_jobs_store *store, const sheaf_job_record *record, int64_t unix_ms) {
  static const uint32_t statements[] = {SHEAF__SQL_PLAN,  SHEAF__SQL_INTENT, SHEAF__SQL_FACT,
                                        SHEAF__SQL_STATE, SHEAF__SQL_OVER,   SHEAF__SQL_DECISION};
  sqlite3_stmt *sql =
      begin(store, statements[record->type - SHEAF_RECORD_JOB_PLAN], record->flight, unix_ms);
  if (sql == NULL) return sqlite3_extended_errcode(store->db);
  if (record->type == SHEAF_RECORD_JOB_PLAN) {
    bind_plan(sql, record);
  } else if (record->type == SHEAF_RECORD_JOB_STATE) {
    bind_state(sql, record);
  } else {
    bind_others(sql, record);
  }
  return finish(store, sql);
}

/* ---- One record, one transaction ---- */

static int32_t unreadable(sheaf_jobs_store *store, const sheaf_record *record, int32_t status) {
  store->failed = true;
  return sheaf__store_say(store, SHEAF_E_STORE,
                          "%s: a record of type %u cannot be kept: %s; nothing more is sent",
                          store->path, record->type, sheaf_status_text(status));
}

static int32_t put_record(sheaf_jobs_store *store, const sheaf_record *given) {
  sheaf_job_record record;
  sheaf_buf_reset(&store->scratch);
  int32_t status = sheaf_job_record_read(given->type, given->payload, &store->scratch, &record);
  bool known = given->type >= SHEAF_RECORD_JOB_ROWS && given->type <= SHEAF_RECORD_JOB_DECISION;
  if (status == SHEAF_OK && !known) status = SHEAF_E_VERSION;
  bool numbered = status == SHEAF_OK && record.flight > 0 && record.flight <= INT64_MAX;
  if (status == SHEAF_OK && !numbered) status = SHEAF_E_RANGE;
  if (status != SHEAF_OK) return unreadable(store, given, status);
  bool rows = given->type == SHEAF_RECORD_JOB_ROWS;
  int64_t unix_ms =
      rows || record.unix_ms == SHEAF_ABSENT ? sheaf__store_unix_ms() : record.unix_ms;
  int code = finish(store, begin(store, SHEAF__SQL_ENSURE, record.flight, unix_ms));
  if (code == SQLITE_OK && rows) {
    code = put_rows(store, &record, unix_ms);
  } else if (code == SQLITE_OK) {
    sheaf_slice json = {given->payload.data + 8, given->payload.bytes - 8};
    code = put_event(store, &record, unix_ms, json);
    if (code == SQLITE_OK) code = put_job(store, &record, unix_ms);
  }
  return code == SQLITE_OK ? SHEAF_OK : write_failed(store, code);
}

/* Inside the transaction, so that nobody can take the file over between this and its commit. */
static int32_t check_hold(sheaf_jobs_store *store) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_HOLD);
  if (sql == NULL) return write_failed(store, sqlite3_extended_errcode(store->db));
  sheaf__store_bind_text(sql, 1, sheaf_slice_of(store->token));
  int code = sheaf__store_run(sql);
  if (code == SQLITE_ROW) {
    sqlite3_reset(sql);
    return SHEAF_OK;
  }
  if (code != SQLITE_DONE) return write_failed(store, code);
  store->failed = true;
  return sheaf__store_say(store, SHEAF_E_STORE,
                          "%s: another run took it over while this one was silent; this one ends",
                          store->path);
}

int32_t sheaf__store_write(sheaf_jobs_store *store, const sheaf_record *records, uint32_t count) {
  bool relaxed = true;
  for (uint32_t i = 0; i < count; i++) {
    if (records[i].type != SHEAF_RECORD_JOB_ROWS) relaxed = false;
  }
  int code = sheaf__store_relax(store, relaxed);
  if (code == SQLITE_OK) code = sheaf__store_do(store, SHEAF__SQL_BEGIN);
  if (code != SQLITE_OK) return write_failed(store, code);
  int32_t status = check_hold(store);
  for (uint32_t i = 0; status == SHEAF_OK && i < count; i++) {
    status = put_record(store, &records[i]);
  }
  if (status == SHEAF_OK) {
    code = sheaf__store_do(store, SHEAF__SQL_COMMIT);
    if (code != SQLITE_OK) status = write_failed(store, code);
  }
  /* SQLite rolls some failures back by itself; then there is nothing to roll back. */
  if (status != SHEAF_OK && !sqlite3_get_autocommit(store->db)) {
    sheaf__store_do(store, SHEAF__SQL_ROLLBACK);
  }
  return status;
}

/* ---- The door ---- */

static bool is_of_jobs(const sheaf_record *record) {
  return record->type >= SHEAF_RECORD_JOB_FIRST && record->type <= SHEAF_RECORD_JOB_LAST;
}

static int32_t files_failed(sheaf_jobs_store *store) {
  store->failed = true;
  return sheaf__store_say(store, SHEAF_E_STORE, "%s", sheaf_files_message(store->files));
}

/* A job is over when its rows' lines are on the disk. */
static int32_t sync_results(sheaf_jobs_store *store, const sheaf_record *records, uint32_t count) {
  if (store->files == NULL) return SHEAF_OK;
  for (uint32_t i = 0; i < count; i++) {
    if (records[i].type != SHEAF_RECORD_JOB_OVER) continue;
    return sheaf_files_sync(store->files) == SHEAF_OK ? SHEAF_OK : files_failed(store);
  }
  return SHEAF_OK;
}

/* Puts a batch's records of jobs in front, the others behind. */
static int32_t sort_out(sheaf_jobs_store *store, const sheaf_record *records, uint32_t count,
                        uint32_t *of_jobs) {
  if (count > store->others_capacity) {
    sheaf_record *grown = realloc(store->others, count * sizeof *grown);
    if (grown == NULL) {
      store->failed = true;
      return sheaf__store_say(store, SHEAF_E_STORE, "out of memory; nothing more is sent");
    }
    store->others = grown;
    store->others_capacity = count;
  }
  uint32_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (is_of_jobs(&records[i])) store->others[at++] = records[i];
  }
  *of_jobs = at;
  for (uint32_t i = 0; i < count; i++) {
    if (!is_of_jobs(&records[i])) store->others[at++] = records[i];
  }
  return SHEAF_OK;
}

int32_t sheaf__store_append(void *ctx, uint64_t ticket, const sheaf_record *records,
                            uint32_t count) {
  sheaf_jobs_store *store = ctx;
  uint32_t of_jobs = 0;
  if (store->failed || store->read_only) return SHEAF_E_STORE;
  if (!store->told) { /* a host that forgot to pump would make the same jobs again */
    store->failed = true;
    return sheaf__store_say(store, SHEAF_E_STORE,
                            "%s: the jobs of earlier runs were not handed over; nothing is sent",
                            store->path);
  }
  int32_t status = sort_out(store, records, count, &of_jobs);
  if (status == SHEAF_OK) status = sync_results(store, store->others, of_jobs);
  if (status == SHEAF_OK && of_jobs > 0) status = sheaf__store_write(store, store->others, of_jobs);
  if (status != SHEAF_OK) return SHEAF_E_STORE;
  if (of_jobs == count || store->files_store == NULL) return SHEAF_E_END;
  /* They may be answered later, by the files: what is of jobs is durable by then. */
  status = store->files_store->append(store->files_store->ctx, ticket, store->others + of_jobs,
                                      count - of_jobs);
  return status == SHEAF_OK || status == SHEAF_E_END ? status : files_failed(store);
}
