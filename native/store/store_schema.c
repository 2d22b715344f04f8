/* store_schema.c: whose file it is, how SQLite is to treat it, and its tables.
 *
 *   look     application_id and user_version, before anything is written: what is not ours stays
 *   pragmas  a write-ahead log, so that readers never wait; on a network file system, where that
 *            log's shared memory cannot work, a rollback journal and a lock for the whole run
 *   migrate  the steps that are missing, the lease, and what a crash left half done, at once */
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/vfs.h>
#elif defined(__APPLE__) || defined(__FreeBSD__)
#include <sys/mount.h>
#include <sys/param.h>
#endif

/* ---- What the file is on ---- */

#if defined(__linux__)
/* Numbers of statfs(2) and linux/magic.h. FUSE may be anything; it is often a remote disk. */
static bool type_is_network(uint32_t type) {
  static const uint32_t types[] = {
      0x00006969u /* NFS */,  0x0000517Bu /* SMB */,    0xFE534D42u /* SMB2 */,
      0xFF534D42u /* CIFS */, 0x65735546u /* FUSE */,   0x01021997u /* 9P */,
      0x00C36400u /* Ceph */, 0x5346414Fu /* AFS */,    0x6B414653u /* kAFS */,
      0x73757245u /* Coda */, 0x47504653u /* GPFS */,   0x0BD00BD0u /* Lustre */,
      0x01161970u /* GFS2 */, 0x7461636Fu /* OCFS2 */,  0x786F4256u /* VirtualBox */,
      0x0000564Cu /* NCP */,  0x19830326u /* BeeGFS */, 0xAAD7AAEAu /* PanFS */};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (types[i] == type) return true;
  }
  return false;
}
#endif

/* The folder of path in to; false: it is too long. */
static bool folder_of(const char *path, char *to, size_t capacity) {
  const char *slash = strrchr(path, '/');
  size_t bytes = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
  if (bytes >= capacity) return false;
  memcpy(to, slash == NULL ? "." : path, bytes);
  to[bytes] = '\0';
  return true;
}

bool sheaf__store_is_network(const char *path) {
  char folder[4096];
  if (!folder_of(path, folder, sizeof folder)) return false;
#if defined(__linux__)
  struct statfs facts;
  return statfs(folder, &facts) == 0 && type_is_network((uint32_t)facts.f_type);
#elif defined(__APPLE__) || defined(__FreeBSD__)
  struct statfs facts;
  return statfs(folder, &facts) == 0 && (facts.f_flags & MNT_LOCAL) == 0;
#else
  return false;
#endif
}

/* ---- Whose it is ---- */

typedef struct identity {
  int64_t application;
  int64_t version;
  int64_t tables;
} identity;

static int look(sheaf_jobs_store *store, identity *is) {
  int code = sheaf__store_number(store, "SELECT count(*) FROM sqlite_schema", &is->tables);
  if (code == SQLITE_OK) {
    code = sheaf__store_number(store, "PRAGMA application_id", &is->application);
  }
  return code == SQLITE_OK ? sheaf__store_number(store, "PRAGMA user_version", &is->version) : code;
}

static int32_t check_identity(sheaf_jobs_store *store, const identity *is) {
  bool empty = is->application == 0 && is->version == 0 && is->tables == 0;
  if (!empty && is->application != SHEAF__STORE_ID) {
    return sheaf__store_say(store, SHEAF_E_OTHER_RUN,
                            "%s is an SQLite file of another program: it is left as it is; use "
                            "another state file",
                            store->path);
  }
  if (is->version > SHEAF__STORE_VERSION) {
    return sheaf__store_say(store, SHEAF_E_VERSION,
                            "%s was written by a newer sheaf (version %lld of its tables, this one "
                            "knows %d); go on with that one",
                            store->path, (long long)is->version, SHEAF__STORE_VERSION);
  }
  if (store->read_only && is->version == 0) {
    return sheaf__store_say(store, SHEAF_E_NOT_FOUND, "%s: holds no jobs", store->path);
  }
  if (store->read_only && is->version < SHEAF__STORE_VERSION) {
    return sheaf__store_say(store, SHEAF_E_VERSION,
                            "%s was written by an older sheaf; a run with it brings it up to date",
                            store->path);
  }
  return SHEAF_OK;
}

/* ---- Tables ---- */

static int set_identity(sheaf_jobs_store *store) {
  char text[96];
  snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%d", SHEAF__STORE_ID,
           SHEAF__STORE_VERSION);
  return sheaf__store_exec(store, text);
}

static int migrate(sheaf_jobs_store *store, int64_t version) {
  int code = SQLITE_OK;
  for (const sheaf__store_step *step = sheaf__store_steps; code == SQLITE_OK && step->version != 0;
       step++) {
    if (step->version > version) code = sheaf__store_exec(store, step->text);
  }
  if (code == SQLITE_OK && version < SHEAF__STORE_VERSION) code = set_identity(store);
  return code;
}

/* Rows without the plan behind them are of a run that died while it prepared a job: nothing was
 * sent of it, and its number may be used again. */
static int drop_unplanned(sheaf_jobs_store *store) {
  return sheaf__store_exec(store,
                           "DELETE FROM jobs WHERE is_planned=0 AND NOT EXISTS"
                           " (SELECT 1 FROM events WHERE events.flight=jobs.flight AND type<>16)");
}

/* The whole file is looked through: damage found now stops nothing that is paid for. */
static int32_t check_pages(sheaf_jobs_store *store) {
  sqlite3_stmt *sql = NULL;
  int code = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &sql, NULL);
  if (code == SQLITE_OK) code = sqlite3_step(sql);
  bool good = code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(sql, 0), "ok") == 0;
  int finished = sqlite3_finalize(sql);
  if (good) return SHEAF_OK;
  if (code == SQLITE_ROW) code = SQLITE_CORRUPT;
  return sheaf__store_sqlite_failed(store, finished != SQLITE_OK ? finished : code, false);
}

/* ---- Opening ---- */

static int set_pragmas(sheaf_jobs_store *store) {
  /* The log is let grow to 16 MB: a job of 50,000 rows is written without a checkpoint between. */
  static const char local[] =
      "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4096;"
      "PRAGMA journal_size_limit=16777216";
  static const char network[] = "PRAGMA synchronous=EXTRA";
  int code = sheaf__store_exec(store,
                               "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                               "PRAGMA cell_size_check=ON; PRAGMA cache_size=-8192");
  if (code != SQLITE_OK || store->read_only) return code;
  code = sheaf__store_exec(store, store->network ? network : local);
  if (code != SQLITE_OK) return code;
  return sheaf__store_exec(
      store, store->network ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL");
}

/* In a transaction, as two may open it at once. */
static int32_t settle(sheaf_jobs_store *store, const char *run_id) {
  identity is = {0};
  int code = look(store, &is);
  if (code != SQLITE_OK) return sheaf__store_sqlite_failed(store, code, false);
  int32_t status = check_identity(store, &is);
  if (status != SHEAF_OK) return status;
  code = migrate(store, is.version);
  if (code != SQLITE_OK) return sheaf__store_sqlite_failed(store, code, true);
  status = sheaf__lease_take(store, run_id);
  if (status != SHEAF_OK) return status;
  code = drop_unplanned(store);
  return code == SQLITE_OK ? SHEAF_OK : sheaf__store_sqlite_failed(store, code, true);
}

static int32_t find_what_to_tell(sheaf_jobs_store *store) {
  int64_t events = 0;
  int code = sheaf__store_number(store, "SELECT EXISTS(SELECT 1 FROM events)", &events);
  store->told = events == 0;
  return code == SQLITE_OK ? SHEAF_OK : sheaf__store_sqlite_failed(store, code, false);
}

static int32_t begin_writing(sheaf_jobs_store *store, const char *run_id) {
  int32_t status = check_pages(store);
  if (status != SHEAF_OK) return status;
  int code = sheaf__store_do(store, SHEAF__SQL_BEGIN);
  if (code != SQLITE_OK) return sheaf__store_sqlite_failed(store, code, true);
  status = settle(store, run_id);
  if (status != SHEAF_OK) {
    sheaf__store_do(store, SHEAF__SQL_ROLLBACK);
    return status;
  }
  code = sheaf__store_do(store, SHEAF__SQL_COMMIT);
  if (code != SQLITE_OK) return sheaf__store_sqlite_failed(store, code, true);
  store->held = true;
  char folder[4096];
  if (folder_of(store->path, folder, sizeof folder)) sheaf__store_sync_folder(folder);
  return find_what_to_tell(store);
}

int32_t sheaf__store_begin(sheaf_jobs_store *store, const char *run_id) {
  identity is = {0};
  int code = SQLITE_OK;
  if (store->network && !store->read_only) {
    code = sheaf__store_exec(store, "PRAGMA locking_mode=EXCLUSIVE");
  }
  if (code == SQLITE_OK) code = look(store, &is);
  if (code != SQLITE_OK) return sheaf__store_sqlite_failed(store, code, false);
  int32_t status = check_identity(store, &is);
  if (status != SHEAF_OK) return status;
  code = set_pragmas(store);
  if (code != SQLITE_OK) return sheaf__store_sqlite_failed(store, code, !store->read_only);
  store->told = true;
  return store->read_only ? SHEAF_OK : begin_writing(store, run_id);
}
