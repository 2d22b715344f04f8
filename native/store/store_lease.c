/* store_lease.c: one run at a time has the file.
 *
 * A row says who: process, host, boot, and until when. Whoever comes and finds one asks whether it
 * is still alive. Of a process that can be seen from here that is known: it is there, with the
 * time it started at, or it is gone; a run that only was silent for long, in a suspended machine,
 * is not robbed of its jobs. Of others (another machine, another container, a boot ago where the
 * boot is not known) the lease's end alone tells. Every transaction of a run looks whether the row
 * is still its own, so that one that was taken over writes nothing more. */
#include "store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Who this is ---- */

typedef struct identity {
  int64_t pid;
  int64_t started; /* ticks after the boot; 0: not known */
  char host[256];
  char boot[128]; /* and the space of process ids; empty: not known */
} identity;

static size_t read_small(const char *path, char *to, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, to, capacity - 1);
  if (fd >= 0) close(fd);
  to[got > 0 ? got : 0] = '\0';
  return got > 0 ? (size_t)got : 0;
}

/* Field 22 of /proc/PID/stat (proc(5)); the name before it may hold anything, so it is counted from
 * the last bracket. -1: it has ended, and nobody has asked for its exit code yet (state Z or X). */
static int64_t started_of(int64_t pid) {
  char path[64];
  char text[1024];
  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
  if (read_small(path, text, sizeof text) == 0) return 0;
  const char *at = strrchr(text, ')');
  if (at != NULL && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X')) return -1;
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoll(at, NULL, 10);
}

/* Containers share a boot, but not their processes' numbers. */
static void find_boot(char *to, size_t capacity) {
  char boot[64];
  char space[48];
  size_t bytes = read_small("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
  while (bytes > 0 && boot[bytes - 1] == '\n') boot[--bytes] = '\0';
  ssize_t got = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  space[got > 0 ? got : 0] = '\0';
  to[0] = '\0';
  if (bytes > 0 && got > 0) snprintf(to, capacity, "%s %s", boot, space);
}

static void find_identity(identity *is) {
  memset(is, 0, sizeof *is);
  is->pid = getpid();
  is->started = started_of(is->pid);
  if (gethostname(is->host, sizeof is->host - 1) != 0) is->host[0] = '\0';
  find_boot(is->boot, sizeof is->boot);
}

static bool is_text(sheaf_slice slice, const char *text) {
  return slice.bytes == strlen(text) && memcmp(slice.data, text, slice.bytes) == 0;
}

/* Whether the run of a row of SHEAF__SQL_RUN goes on. */
static bool is_alive(sqlite3_stmt *sql) {
  identity here;
  find_identity(&here);
  int64_t pid = sqlite3_column_int64(sql, 0);
  int64_t started = sqlite3_column_int64(sql, 1);
  if (here.boot[0] != '\0' && is_text(sheaf__store_text(sql, 3), here.boot)) {
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) return false;
    int64_t now = started_of(pid);
    if (now < 0) return false;
    return started == 0 || now == 0 || started == now;
  }
  return sqlite3_column_int64(sql, 6) > sheaf__store_unix_ms();
}

/* ---- Taking, renewing, dropping ---- */

static int32_t refuse(sheaf_jobs_store *store, sqlite3_stmt *sql) {
  sheaf_slice host = sheaf__store_text(sql, 2);
  sheaf_slice run = sheaf__store_text(sql, 4);
  return sheaf__store_say(
      store, SHEAF_E_OTHER_RUN,
      "%s: the run %.*s has it (process %lld on %.*s); wait for that one or end "
      "it, or use another state file",
      store->path, (int)run.bytes, run.data, (long long)sqlite3_column_int64(sql, 0),
      (int)host.bytes, host.data);
}

static int put(sheaf_jobs_store *store, const identity *is, const char *run_id) {
  sqlite3_stmt *sql = NULL;
  int code = sqlite3_prepare_v2(
      store->db, "INSERT OR REPLACE INTO lease VALUES(1,?1,?2,?3,?4,?5,?6,?7,?8)", -1, &sql, NULL);
  if (code != SQLITE_OK) return code;
  int64_t now = sheaf__store_unix_ms();
  char name[17];
  snprintf(name, sizeof name, "%.16s", store->token);
  sheaf__store_bind_text(sql, 1, sheaf_slice_of(store->token));
  sheaf__store_bind_text(sql, 2, sheaf_slice_of(run_id != NULL ? run_id : name));
  sqlite3_bind_int64(sql, 3, is->pid);
  sqlite3_bind_int64(sql, 4, is->started);
  sheaf__store_bind_text(sql, 5, sheaf_slice_of(is->host));
  sheaf__store_bind_text(sql, 6, sheaf_slice_of(is->boot));
  sqlite3_bind_int64(sql, 7, now);
  sqlite3_bind_int64(sql, 8, now + (int64_t)store->lease_ms);
  sqlite3_step(sql);
  store->renewed_unix_ms = now;
  return sqlite3_finalize(sql);
}

int32_t sheaf__lease_take(sheaf_jobs_store *store, const char *run_id) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_RUN);
  if (sql == NULL) {
    return sheaf__store_sqlite_failed(store, sqlite3_extended_errcode(store->db), false);
  }
  int code = sheaf__store_run(sql);
  if (code == SQLITE_ROW && is_alive(sql)) {
    int32_t status = refuse(store, sql);
    sqlite3_reset(sql);
    return status;
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    return sheaf__store_sqlite_failed(store, code, false);
  }
  sqlite3_reset(sql);
  identity is;
  find_identity(&is);
  code = put(store, &is, run_id);
  return code == SQLITE_OK ? SHEAF_OK : sheaf__store_sqlite_failed(store, code, true);
}

int32_t sheaf__lease_renew(sheaf_jobs_store *store) {
  int64_t now = sheaf__store_unix_ms();
  int64_t since = now - store->renewed_unix_ms;
  if (since >= 0 && since < (int64_t)store->lease_ms / 3) return SHEAF_OK;
  int code = sheaf__store_relax(store, true); /* a lost renewal costs nothing */
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_RENEW);
  if (code == SQLITE_OK && sql == NULL) code = sqlite3_extended_errcode(store->db);
  if (code == SQLITE_OK) {
    sheaf__store_bind_text(sql, 1, sheaf_slice_of(store->token));
    sqlite3_bind_int64(sql, 2, now + (int64_t)store->lease_ms);
    code = sheaf__store_run(sql);
  }
  if (code != SQLITE_DONE) {
    store->failed = true;
    sheaf__store_sqlite_failed(store, code, true);
    return SHEAF_E_STORE;
  }
  if (sqlite3_changes(store->db) != 1) {
    store->failed = true;
    return sheaf__store_say(store, SHEAF_E_STORE,
                            "%s: another run took it over while this one was silent; this one ends",
                            store->path);
  }
  store->renewed_unix_ms = now;
  return SHEAF_OK;
}

void sheaf__lease_drop(sheaf_jobs_store *store) {
  if (!store->held) return;
  store->held = false;
  sqlite3_stmt *sql = NULL;
  if (sqlite3_prepare_v2(store->db, "DELETE FROM lease WHERE token=?1", -1, &sql, NULL) ==
      SQLITE_OK) {
    sheaf__store_bind_text(sql, 1, sheaf_slice_of(store->token));
    sqlite3_step(sql); /* whoever comes next sees that the process is gone, at the latest */
  }
  sqlite3_finalize(sql);
}

uint64_t sheaf_jobs_store_wait_ms(const sheaf_jobs_store *store) {
  if (!store->held) return SHEAF_NEVER;
  int64_t since = sheaf__store_unix_ms() - store->renewed_unix_ms;
  int64_t rest = (int64_t)store->lease_ms / 3 - (since > 0 ? since : 0);
  return rest > 0 ? (uint64_t)rest : 0;
}

int32_t sheaf_jobs_store_run_get(sheaf_jobs_store *store, sheaf_jobs_store_run *run) {
  sqlite3_stmt *sql = sheaf__store_sql(store, SHEAF__SQL_RUN);
  int code = sql != NULL ? sheaf__store_run(sql) : sqlite3_extended_errcode(store->db);
  if (code == SQLITE_DONE) return SHEAF_E_NOT_FOUND;
  if (code != SQLITE_ROW) return sheaf__store_sqlite_failed(store, code, false);
  store->kept = sql;
  *run = (sheaf_jobs_store_run){.struct_bytes = sizeof *run,
                                .is_live = is_alive(sql),
                                .pid = sqlite3_column_int64(sql, 0),
                                .host = sheaf__store_text(sql, 2),
                                .run_id = sheaf__store_text(sql, 4),
                                .started_unix_ms = sqlite3_column_int64(sql, 5),
                                .expires_unix_ms = sqlite3_column_int64(sql, 6)};
  return SHEAF_OK;
}
