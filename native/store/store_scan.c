/* store_scan.c: the records of earlier runs, to the engine: of jobs first, in the order in which
 * they were written, then the files', whose end is the end of recovery. Of a job that is over the
 * engine only hears what its id was, so that no other takes it for its own, and that it is over: its
 * rows have their lines, and its number is not used again. */
#include "store_int.h"

#include <string.h>

/* ---- Payloads: u64 flight, then what the record was ---- */

static void begin_payload(sheaf_jobs_store *store, uint64_t flight) {
  char id[8];
  for (size_t i = 0; i < sizeof id; i++) id[i] = (char)(flight >> (8 * i) & 0xFF);
  sheaf_buf_reset(&store->payload);
  sheaf_buf_append(&store->payload, id, sizeof id);
}

static uint64_t unsigned_at(sqlite3_stmt *sql, int at) {
  return (uint64_t)sqlite3_column_int64(sql, at);
}

static int32_t damaged(sheaf_jobs_store *store, uint64_t flight) {
  return sheaf__store_say(
      store, SHEAF_E_CORRUPT,
      "%s is damaged: rows of job %llu are missing in it. Restore it from a copy, or move it away "
      "and look at the provider's own list of jobs first",
      store->path, (unsigned long long)flight);
}

static int32_t append_row(sheaf_jobs_store *store, sqlite3_stmt *sql) {
  uint8_t bytes[SHEAF_JOB_ROW_BYTES];
  sheaf_job_row row = {.index = unsigned_at(sql, 1),
                       .spool_at = unsigned_at(sql, 2),
                       .id_hash = unsigned_at(sql, 3)};
  const void *fingerprint = sqlite3_column_blob(sql, 4);
  if (fingerprint == NULL || sqlite3_column_bytes(sql, 4) != (int)sizeof row.fingerprint) {
    return SHEAF_E_CORRUPT;
  }
  memcpy(row.fingerprint, fingerprint, sizeof row.fingerprint);
  sheaf_job_row_write(&row, bytes);
  return sheaf_buf_append(&store->payload, bytes, sizeof bytes);
}

/* The rows that an event {"place","rows"} stands for. */
static int32_t append_rows(sheaf_jobs_store *store, uint64_t flight, sheaf_slice json) {
  static const char *const paths[] = {"place", "rows"};
  sheaf_slice values[2];
  int64_t place = -1;
  int64_t rows = -1;
  int32_t status = sheaf_json_pick(json, paths, 2, values, NULL, NULL);
  if (status == SHEAF_OK) status = sheaf_json_int(values[0], &place);
  if (status == SHEAF_OK) status = sheaf_json_int(values[1], &rows);
  if (status != SHEAF_OK || place < 0 || rows < 0 || rows > INT64_MAX - place) {
    return damaged(store, flight);
  }
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_SCAN_ROWS);
  if (sql == NULL) {
    return sheaf__store_sqlite_failed(store, sqlite3_extended_errcode(store->db), false);
  }
  sheaf__store_bind_u64(sql, 1, flight);
  sqlite3_bind_int64(sql, 2, place);
  sqlite3_bind_int64(sql, 3, place + rows);
  int code = sqlite3_step(sql);
  for (; status == SHEAF_OK && code == SQLITE_ROW; code = sqlite3_step(sql)) {
    status = sqlite3_column_int64(sql, 0) == place++ ? append_row(store, sql) : SHEAF_E_CORRUPT;
    rows--;
  }
  sqlite3_reset(sql);
  if (status == SHEAF_OK && code != SQLITE_DONE) {
    return sheaf__store_sqlite_failed(store, code, false);
  }
  if (status == SHEAF_OK && rows != 0) status = SHEAF_E_CORRUPT;
  return status == SHEAF_E_CORRUPT ? damaged(store, flight) : status;
}

/* A job that was given up without saying that it is over. */
static int32_t append_over(sheaf_jobs_store *store) {
  sheaf_job_record over;
  sheaf_job_record_init(&over, SHEAF_RECORD_JOB_OVER);
  over.unix_ms = sheaf__store_unix_ms();
  return sheaf_job_record_write(&over, &store->payload);
}

static int32_t make_record(sheaf_jobs_store *store, sqlite3_stmt *sql, sheaf_record *record) {
  uint64_t flight = unsigned_at(sql, 1);
  bool ends = sqlite3_column_int64(sql, 4) != 0;
  int32_t status = SHEAF_OK;
  record->type = (uint32_t)sqlite3_column_int64(sql, 2);
  begin_payload(store, flight);
  if (ends) {
    record->type = SHEAF_RECORD_JOB_OVER;
    status = append_over(store);
  } else if (record->type == SHEAF_RECORD_JOB_ROWS) {
    status = append_rows(store, flight, sheaf__store_text(sql, 3));
  } else {
    sheaf_buf_append_slice(&store->payload, sheaf__store_text(sql, 3));
  }
  if (status == SHEAF_OK) status = store->payload.status;
  if (status == SHEAF_E_NOMEM || status == SHEAF_E_LIMIT) {
    return sheaf__store_say(store, SHEAF_E_NOMEM, "%s: out of memory to read it; free some",
                            store->path);
  }
  record->payload = sheaf_buf_slice(&store->payload);
  return status;
}

/* ---- Telling ---- */

/* What the engine answered to a record, in words where the store has none yet. */
static int32_t not_taken(sheaf_jobs_store *store, int32_t status) {
  return sheaf__store_say(store, status, "%s: what it says of earlier jobs cannot be used: %s",
                          store->path, sheaf_status_text(status));
}

static int32_t tell(sheaf_jobs_store *store, uint64_t *count) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_SCAN);
  if (sql == NULL) {
    return sheaf__store_sqlite_failed(store, sqlite3_extended_errcode(store->db), false);
  }
  int32_t status = SHEAF_OK;
  int code = sqlite3_step(sql);
  for (; code == SQLITE_ROW; code = sqlite3_step(sql)) {
    sheaf_record record = {0};
    status = make_record(store, sql, &record);
    if (status != SHEAF_OK) break;
    status = sheaf_engine_on_scanned(store->engine, &record, 1);
    if (status == SHEAF_E_MISUSE && *count == 0 && !store->wanted) break;
    if (status != SHEAF_OK) {
      status = not_taken(store, status);
      break;
    }
    *count += 1;
  }
  sqlite3_reset(sql);
  if (status != SHEAF_OK || code == SQLITE_DONE) return status;
  return sheaf__store_sqlite_failed(store, code, false);
}

/* The files hand theirs over, and with them the end; without any the end is ours to tell. */
static int32_t tell_rest(sheaf_jobs_store *store) {
  const sheaf_store *files = store->files_store;
  int32_t status = files != NULL ? files->scan(files->ctx) : SHEAF_E_END;
  if (status == SHEAF_E_END) {
    status = sheaf_engine_on_scanned(store->engine, NULL, 0);
    return status == SHEAF_OK ? SHEAF_OK : not_taken(store, status);
  }
  if (status == SHEAF_OK) status = sheaf_files_pump(store->files);
  if (status == SHEAF_OK) return SHEAF_OK;
  return sheaf__store_say(store, status, "%s", sheaf_files_message(store->files));
}

int32_t sheaf__store_scan(void *ctx) {
  sheaf_jobs_store *store = ctx;
  if (store->failed) return SHEAF_E_STORE;
  if (!store->told) {
    store->wanted = true;
    return SHEAF_OK;
  }
  const sheaf_store *files = store->files_store;
  return files != NULL ? files->scan(files->ctx) : SHEAF_E_END;
}

/* An engine with a store is recovering from the start, so nothing has to wait for its asking. One
 * that is not open yet answers that it is misused: the records stay for the next time. */
int32_t sheaf_jobs_store_pump(sheaf_jobs_store *store) {
  if (store->failed) return SHEAF_E_STORE;
  int32_t status = store->held ? sheaf__lease_renew(store) : SHEAF_OK;
  if (status != SHEAF_OK) return status;
  if (store->told) return store->files != NULL ? sheaf_files_pump(store->files) : SHEAF_OK;
  if (store->engine == NULL) return store->wanted ? SHEAF_E_MISUSE : SHEAF_OK;
  uint64_t count = 0;
  status = tell(store, &count);
  if (status == SHEAF_E_MISUSE && count == 0 && !store->wanted) return SHEAF_OK;
  if (status == SHEAF_OK) status = tell_rest(store);
  store->told = status == SHEAF_OK;
  store->failed = status != SHEAF_OK; /* half told is not told again */
  return status;
}
