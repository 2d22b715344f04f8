/* store_read.c: notes, jobs, records and totals for those who look, and a person's decisions. */
#include "store_int.h"

#include <string.h>

/* One row, whose text stays until the next statement. SHEAF_OK, SHEAF_E_END, or the failure. */
static int32_t first_row(sheaf_jobs_store *store, sqlite3_stmt *sql) {
  int code = sql != NULL ? sheaf__store_run(sql) : sqlite3_extended_errcode(store->db);
  if (code == SQLITE_ROW) {
    store->kept = sql;
    return SHEAF_OK;
  }
  if (code == SQLITE_DONE) return SHEAF_E_END;
  int32_t status = sheaf__store_sqlite_failed(store, code, false);
  return status == SHEAF_E_IO ? SHEAF_E_STORE : status;
}

static uint64_t unsigned_at(sqlite3_stmt *sql, int at) {
  return (uint64_t)sqlite3_column_int64(sql, at);
}

static int64_t count_at(sqlite3_stmt *sql, int at) {
  return sqlite3_column_type(sql, at) == SQLITE_NULL ? SHEAF_ABSENT : sqlite3_column_int64(sql, at);
}

/* ---- Notes ---- */

int32_t sheaf_jobs_store_set(sheaf_jobs_store *store, const char *key, sheaf_slice value) {
  if (store->read_only) return SHEAF_E_MISUSE;
  if (store->failed) return SHEAF_E_STORE;
  int code = sheaf__store_relax(store, false);
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_META_SET);
  if (code == SQLITE_OK && sql == NULL) code = sqlite3_extended_errcode(store->db);
  if (code == SQLITE_OK) {
    sheaf__store_bind_text(sql, 1, sheaf_slice_of(key));
    sheaf__store_bind_text(sql, 2, value);
    code = sheaf__store_run(sql);
  }
  if (code == SQLITE_DONE) return SHEAF_OK;
  store->failed = true;
  sheaf__store_sqlite_failed(store, code, true);
  return SHEAF_E_STORE;
}

int32_t sheaf_jobs_store_get(sheaf_jobs_store *store, const char *key, sheaf_slice *value) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_META_GET);
  if (sql != NULL) sheaf__store_bind_text(sql, 1, sheaf_slice_of(key));
  int32_t status = first_row(store, sql);
  if (status == SHEAF_E_END) return SHEAF_E_NOT_FOUND;
  if (status == SHEAF_OK) *value = sheaf__store_text(sql, 0);
  return status;
}

/* ---- Jobs and their records ---- */

int32_t sheaf_jobs_store_job_next(sheaf_jobs_store *store, uint64_t after,
                                  sheaf_jobs_store_job *job) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_JOB);
  if (sql != NULL) sheaf__store_bind_u64(sql, 1, after);
  int32_t status = first_row(store, sql);
  if (status != SHEAF_OK) return status;
  *job = (sheaf_jobs_store_job){.struct_bytes = sizeof *job,
                                .flight = unsigned_at(sql, 0),
                                .state = (uint32_t)sqlite3_column_int64(sql, 1),
                                .operation = (uint32_t)sqlite3_column_int64(sql, 2),
                                .is_inline = sqlite3_column_int64(sql, 3) != 0,
                                .is_adopted = sqlite3_column_int64(sql, 4) != 0,
                                .is_over = sqlite3_column_int64(sql, 5) != 0,
                                .provider = sheaf__store_text(sql, 6),
                                .endpoint = sheaf__store_text(sql, 7),
                                .model = sheaf__store_text(sql, 8),
                                .path = sheaf__store_text(sql, 9),
                                .marker = sheaf__store_text(sql, 10),
                                .upload = sheaf__store_text(sql, 11),
                                .file = sheaf__store_text(sql, 12),
                                .job = sheaf__store_text(sql, 13),
                                .output = sheaf__store_text(sql, 14),
                                .errors = sheaf__store_text(sql, 15),
                                .message = sheaf__store_text(sql, 16),
                                .decision = sheaf__store_text(sql, 17),
                                .requests = unsigned_at(sql, 18),
                                .bytes = unsigned_at(sql, 19),
                                .first = unsigned_at(sql, 20),
                                .last = unsigned_at(sql, 21),
                                .total = count_at(sql, 22),
                                .completed = count_at(sql, 23),
                                .failed = count_at(sql, 24),
                                .succeeded = count_at(sql, 25),
                                .rescued = count_at(sql, 26),
                                .missing = count_at(sql, 27),
                                .created_unix_ms = sqlite3_column_int64(sql, 28),
                                .updated_unix_ms = sqlite3_column_int64(sql, 29),
                                .line = unsigned_at(sql, 30),
                                .bound_usd_nano = sqlite3_column_int64(sql, 31)};
  return SHEAF_OK;
}

int32_t sheaf_jobs_store_event_next(sheaf_jobs_store *store, uint64_t flight, uint64_t after,
                                    sheaf_jobs_store_event *event) {
  sqlite3_stmt *sql =
      sheaf__store_sql(store, flight == 0 ? SHEAF__SQL_EVENTS_ALL : SHEAF__SQL_EVENTS);
  if (sql != NULL) {
    if (flight != 0) sheaf__store_bind_u64(sql, 1, flight);
    sheaf__store_bind_u64(sql, 2, after);
  }
  int32_t status = first_row(store, sql);
  if (status != SHEAF_OK) return status;
  *event = (sheaf_jobs_store_event){.struct_bytes = sizeof *event,
                                    .seq = unsigned_at(sql, 0),
                                    .flight = unsigned_at(sql, 1),
                                    .type = (uint32_t)sqlite3_column_int64(sql, 2),
                                    .unix_ms = sqlite3_column_int64(sql, 3),
                                    .json = sheaf__store_text(sql, 4)};
  return SHEAF_OK;
}

const char *sheaf_jobs_store_event_name(uint32_t type) {
  switch (type) {
    case SHEAF_RECORD_JOB_ROWS: return "rows";
    case SHEAF_RECORD_JOB_PLAN: return "plan";
    case SHEAF_RECORD_JOB_INTENT: return "intent";
    case SHEAF_RECORD_JOB_FACT: return "fact";
    case SHEAF_RECORD_JOB_STATE: return "state";
    case SHEAF_RECORD_JOB_OVER: return "over";
    case SHEAF_RECORD_JOB_DECISION: return "decision";
    default: return "unknown";
  }
}

int32_t sheaf_jobs_store_totals_get(sheaf_jobs_store *store, sheaf_jobs_store_totals *totals) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_TOTALS);
  int32_t status = first_row(store, sql);
  if (status != SHEAF_OK) return status;
  *totals = (sheaf_jobs_store_totals){.struct_bytes = sizeof *totals,
                                      .jobs = unsigned_at(sql, 0),
                                      .jobs_over = unsigned_at(sql, 1),
                                      .jobs_undecided = unsigned_at(sql, 2),
                                      .requests = unsigned_at(sql, 3),
                                      .requests_over = unsigned_at(sql, 4),
                                      .bytes = unsigned_at(sql, 5)};
  sqlite3_reset(sql);
  store->kept = NULL;
  return SHEAF_OK;
}

/* ---- Decisions ---- */

static bool is_text(sheaf_slice slice, const char *text) {
  return slice.bytes == strlen(text) && memcmp(slice.data, text, slice.bytes) == 0;
}

static int32_t check_decision(sheaf_jobs_store *store, sheaf_slice decision, sheaf_slice job) {
  bool adopt = is_text(decision, "adopt");
  bool known = adopt || is_text(decision, "resubmit") || is_text(decision, "abandon") ||
               is_text(decision, "cancel");
  if (!known) {
    return sheaf__store_say(store, SHEAF_E_FIELD,
                            "there is no such decision; use adopt, resubmit, abandon or cancel");
  }
  if (adopt == (job.bytes > 0)) return SHEAF_OK;
  return sheaf__store_say(store, SHEAF_E_FIELD,
                          adopt ? "adopt needs the job's id, as the provider's list shows it"
                                : "a job's id is for adopt alone; leave it away");
}

/* A job that is at the provider is not made a second time, nor taken for another. */
static int32_t check_known(sheaf_jobs_store *store, uint64_t flight, sheaf_slice decision,
                           uint32_t state, const char *job) {
  bool makes_new = is_text(decision, "resubmit") || is_text(decision, "adopt");
  bool is_open = job == NULL || job[0] == 0 || state == SHEAF_JOB_UNDECIDED_STATE ||
                 state == SHEAF_JOB_SUBMITTING_STATE;
  if (!makes_new || is_open) return SHEAF_OK;
  return sheaf__store_say(
      store, SHEAF_E_FIELD,
      "job %llu is at the provider, as %.200s (%s): cancel it first, or abandon it",
      (unsigned long long)flight, job, sheaf_job_state_name(state));
}

static int32_t check_job(sheaf_jobs_store *store, uint64_t flight, sheaf_slice decision) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_OPEN_JOB);
  if (sql != NULL) sheaf__store_bind_u64(sql, 1, flight);
  int32_t status = first_row(store, sql);
  if (status == SHEAF_E_END) {
    return sheaf__store_say(store, SHEAF_E_NOT_FOUND,
                            "%s: there is no job %llu; the list of jobs shows their numbers",
                            store->path, (unsigned long long)flight);
  }
  if (status != SHEAF_OK) return status;
  bool is_over = sqlite3_column_int64(sql, 0) != 0;
  if (!is_over)
    status = check_known(store, flight, decision, (uint32_t)sqlite3_column_int64(sql, 1),
                         (const char *)sqlite3_column_text(sql, 2));
  sqlite3_reset(sql);
  store->kept = NULL;
  if (!is_over) return status;
  return sheaf__store_say(store, SHEAF_E_END, "%s: job %llu is over; there is nothing to decide",
                          store->path, (unsigned long long)flight);
}

static int32_t write_decision(sheaf_jobs_store *store, uint64_t flight, sheaf_slice decision,
                              sheaf_slice job) {
  sheaf_job_record record;
  char id[8];
  sheaf_job_record_init(&record, SHEAF_RECORD_JOB_DECISION);
  record.flight = flight;
  record.decision = decision;
  record.job = job;
  record.unix_ms = sheaf__store_unix_ms();
  for (size_t i = 0; i < sizeof id; i++) id[i] = (char)(flight >> (8 * i) & 0xFF);
  sheaf_buf_reset(&store->payload);
  sheaf_buf_append(&store->payload, id, sizeof id);
  int32_t status = sheaf_job_record_write(&record, &store->payload);
  if (status != SHEAF_OK) return sheaf__store_say(store, status, "out of memory");
  sheaf_record one = {.type = record.type, .payload = sheaf_buf_slice(&store->payload)};
  return sheaf__store_write(store, &one, 1);
}

/* A reader takes the file for the moment, by a second opening. */
static int32_t decide_beside(sheaf_jobs_store *store, uint64_t flight, sheaf_slice decision,
                             sheaf_slice job) {
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  sheaf_jobs_store *writer = NULL;
  options.path = store->path;
  options.is_network = store->network;
  options.run_id = "decision";
  if (store->kept != NULL) sqlite3_reset(store->kept);
  store->kept = NULL;
  int32_t status = sheaf_jobs_store_open(&options, &writer, store->said, sizeof store->said);
  if (status != SHEAF_OK) return status;
  status = sheaf_jobs_store_decide(writer, flight, decision, job);
  if (status != SHEAF_OK) memcpy(store->said, writer->said, sizeof store->said);
  sheaf_jobs_store_close(writer);
  return status;
}

int32_t sheaf_jobs_store_decide(sheaf_jobs_store *store, uint64_t flight, sheaf_slice decision,
                                sheaf_slice job) {
  if (store->failed) return SHEAF_E_STORE;
  int32_t status = check_decision(store, decision, job);
  if (status != SHEAF_OK) return status;
  if (store->read_only) return decide_beside(store, flight, decision, job);
  if (store->engine != NULL) {
    return sheaf__store_say(store, SHEAF_E_OTHER_RUN,
                            "%s: this run goes on and would not hear of it; end it first",
                            store->path);
  }
  status = check_job(store, flight, decision);
  if (status == SHEAF_OK) status = write_decision(store, flight, decision, job);
  if (status == SHEAF_OK) store->told = false; /* there is something to tell an engine now */
  return status;
}
