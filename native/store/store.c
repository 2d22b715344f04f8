/* store.c: sheaf_jobs_store from the outside: open, close, doors; and what all parts use: sentences
 * and statements. */
#include "store_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEASE_MS 60000u /* a run that died in another container holds others up so long at most */
#define LEASE_MS_MIN 1000u /* below it, one slow sync would cost a living run its hold */
#define BUSY_MS 5000       /* a reader that checkpoints, or a decision being written */
#define RECORD_BYTES_MAX ((size_t)64 << 20)

/* ---- Small things ---- */

int64_t sheaf__store_unix_ms(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int32_t sheaf__store_say(sheaf_jobs_store *store, int32_t status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(store->said, sizeof store->said, format, arguments);
  va_end(arguments);
  return status;
}

/* What the system said, where SQLite knows it; else what SQLite says. */
static const char *reason(const sheaf_jobs_store *store, int code) {
  int system = store->db != NULL ? sqlite3_system_errno(store->db) : 0;
  int kind = code & 0xFF;
  bool has_system = kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN || kind == SQLITE_FULL;
  if (has_system && system != 0) return strerror(system);
  return store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
}

int32_t sheaf__store_sqlite_failed(sheaf_jobs_store *store, int code, bool writing) {
  const char *path = store->path;
  const char *why = reason(store, code);
  switch (code & 0xFF) {
    case SQLITE_NOMEM:
      return sheaf__store_say(store, SHEAF_E_NOMEM, "%s: out of memory; free some", path);
    case SQLITE_NOTADB:
      return sheaf__store_say(
          store, SHEAF_E_OTHER_RUN,
          "%s is no SQLite file, or its beginning is damaged: it is left as it is; use another "
          "state file",
          path);
    case SQLITE_CORRUPT:
      return sheaf__store_say(
          store, SHEAF_E_CORRUPT,
          "%s is damaged (%s): which jobs there are is not known for sure. Restore it from a copy, "
          "or move it away and look at the provider's own list of jobs first",
          path, why);
    case SQLITE_BUSY:
      return sheaf__store_say(store, SHEAF_E_OTHER_RUN,
                              "%s: another process is using it; wait for that one and try again",
                              path);
    default: break;
  }
  return writing ? sheaf__store_say(
                       store, SHEAF_E_STORE,
                       "%s: cannot be written: %s; nothing more is sent; mend that (free some "
                       "space?) and run the same command again",
                       path, why)
                 : sheaf__store_say(store, SHEAF_E_IO,
                                    "%s: cannot be read: %s; mend that, or use another state file",
                                    path, why);
}

/* ---- Statements ---- */

sqlite3_stmt *sheaf__store_sql(sheaf_jobs_store *store, uint32_t which) {
  sqlite3_stmt **at = &store->sql[which];
  if (store->kept != NULL) sqlite3_reset(store->kept); /* a reader goes on to what is new */
  store->kept = NULL;
  if (*at != NULL) {
    sqlite3_reset(*at);
    return *at;
  }
  if (sqlite3_prepare_v3(store->db, sheaf__store_texts[which], -1, SQLITE_PREPARE_PERSISTENT, at,
                         NULL) != SQLITE_OK) {
    return NULL;
  }
  return *at;
}

int sheaf__store_run(sqlite3_stmt *sql) {
  int code = sqlite3_step(sql);
  if (code == SQLITE_ROW) return code;
  int failure = sqlite3_reset(sql);
  return code == SQLITE_DONE ? code : failure;
}

int sheaf__store_do(sheaf_jobs_store *store, uint32_t which) {
  sqlite3_stmt *sql = sheaf__store_sql(store, which);
  if (sql == NULL) return sqlite3_extended_errcode(store->db);
  int code = sheaf__store_run(sql);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int sheaf__store_exec(sheaf_jobs_store *store, const char *text) {
  return sqlite3_exec(store->db, text, NULL, NULL, NULL);
}

int sheaf__store_number(sheaf_jobs_store *store, const char *text, int64_t *value) {
  sqlite3_stmt *sql = NULL;
  int code = sqlite3_prepare_v2(store->db, text, -1, &sql, NULL);
  if (code != SQLITE_OK) return code;
  if (sqlite3_step(sql) == SQLITE_ROW) *value = sqlite3_column_int64(sql, 0);
  return sqlite3_finalize(sql);
}

void sheaf__store_bind_text(sqlite3_stmt *sql, int at, sheaf_slice text) {
  sqlite3_bind_text64(sql, at, text.bytes > 0 ? text.data : "", text.bytes, SQLITE_STATIC,
                      SQLITE_UTF8);
}

void sheaf__store_bind_u64(sqlite3_stmt *sql, int at, uint64_t value) {
  int64_t kept;
  memcpy(&kept, &value, sizeof kept);
  sqlite3_bind_int64(sql, at, kept);
}

void sheaf__store_bind_count(sqlite3_stmt *sql, int at, int64_t value) {
  if (value == SHEAF_ABSENT) {
    sqlite3_bind_null(sql, at);
  } else {
    sqlite3_bind_int64(sql, at, value);
  }
}

sheaf_slice sheaf__store_text(sqlite3_stmt *sql, int at) {
  const void *text = sqlite3_column_text(sql, at);
  return (sheaf_slice){text, (size_t)sqlite3_column_bytes(sql, at)};
}

/* A rollback journal comes back when the folder was not synced after its deletion, and takes the
 * last commit with it: EXTRA syncs that, too. It is never relaxed. */
int sheaf__store_relax(sheaf_jobs_store *store, bool relaxed) {
  if (store->network || store->relaxed == relaxed) return SQLITE_OK;
  int code =
      sheaf__store_exec(store, relaxed ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
  if (code == SQLITE_OK) store->relaxed = relaxed;
  return code;
}

/* ---- Opening ---- */

static char *copy_text(const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = malloc(bytes);
  if (copy != NULL) memcpy(copy, text, bytes);
  return copy;
}

static int32_t make_token(sheaf_jobs_store *store) {
  static const char digits[] = "0123456789abcdef";
  unsigned char random[(SHEAF__TOKEN_BYTES - 1) / 2];
  if (getentropy(random, sizeof random) != 0) {
    return sheaf__store_say(store, SHEAF_E_IO, "no random numbers from the system: %s",
                            strerror(errno));
  }
  for (size_t i = 0; i < sizeof random; i++) {
    store->token[2 * i] = digits[random[i] >> 4];
    store->token[2 * i + 1] = digits[random[i] & 15];
  }
  return SHEAF_OK;
}

static int32_t take_options(sheaf_jobs_store *store, const sheaf_jobs_store_options *given,
                            sheaf_jobs_store_options *options) {
  size_t bytes = given->struct_bytes < sizeof *options ? given->struct_bytes : sizeof *options;
  memset(options, 0, sizeof *options);
  memcpy(options, given, bytes);
  if (options->path == NULL || options->path[0] == '\0') {
    return sheaf__store_say(store, SHEAF_E_MISUSE, "no state file is given; name one");
  }
  store->path = copy_text(options->path);
  if (store->path == NULL) return sheaf__store_say(store, SHEAF_E_NOMEM, "out of memory");
  store->read_only = options->read_only != 0;
  store->network = options->is_network != 0 || sheaf__store_is_network(store->path);
  store->lease_ms = options->lease_ms == 0 ? LEASE_MS : options->lease_ms;
  if (store->lease_ms < LEASE_MS_MIN) store->lease_ms = LEASE_MS_MIN;
  store->files = options->files;
  store->files_store = options->files != NULL ? sheaf_files_store(options->files) : NULL;
  return make_token(store);
}

static int32_t open_file(sheaf_jobs_store *store) {
  int flags = store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  if (store->read_only && access(store->path, F_OK) != 0) {
    return sheaf__store_say(store, SHEAF_E_NOT_FOUND,
                            "%s: is not there: no jobs were made with it; check the name",
                            store->path);
  }
  int code = sqlite3_open_v2(store->path, &store->db,
                             flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
  if (store->db == NULL) return sheaf__store_say(store, SHEAF_E_NOMEM, "out of memory");
  sqlite3_extended_result_codes(store->db, 1);
  sqlite3_busy_timeout(store->db, BUSY_MS);
  return code == SQLITE_OK ? SHEAF_OK : sheaf__store_sqlite_failed(store, code, false);
}

static int32_t open_all(sheaf_jobs_store *store, const sheaf_jobs_store_options *given) {
  sheaf_jobs_store_options options;
  int32_t status = take_options(store, given, &options);
  if (status == SHEAF_OK) status = open_file(store);
  if (status == SHEAF_OK) status = sheaf__store_begin(store, options.run_id);
  if (status == SHEAF_OK) status = sheaf__jobs_spool_init(store);
  if (status == SHEAF_OK && !store->read_only) sheaf__jobs_spool_tidy(store);
  return status;
}

int32_t sheaf_jobs_store_open(const sheaf_jobs_store_options *options, sheaf_jobs_store **made,
                              char *message, size_t message_bytes) {
  if (message_bytes > 0) message[0] = '\0';
  sheaf_jobs_store *store = calloc(1, sizeof *store);
  if (store == NULL) return SHEAF_E_NOMEM;
  sheaf_buf_init(&store->scratch, sheaf_heap(), RECORD_BYTES_MAX);
  sheaf_buf_init(&store->payload, sheaf_heap(), RECORD_BYTES_MAX);
  int32_t status = open_all(store, options);
  if (status != SHEAF_OK) {
    if (message_bytes > 0) snprintf(message, message_bytes, "%s", store->said);
    sheaf_jobs_store_close(store);
    return status;
  }
  store->door = (sheaf_store){.struct_bytes = sizeof(sheaf_store),
                              .ctx = store,
                              .append = sheaf__store_append,
                              .scan = sheaf__store_scan};
  *made = store;
  return SHEAF_OK;
}

void sheaf_jobs_store_close(sheaf_jobs_store *store) {
  if (store == NULL) return;
  sheaf__jobs_spool_deinit(store);
  sheaf__lease_drop(store);
  for (uint32_t i = 0; i < SHEAF__SQL_COUNT; i++) sqlite3_finalize(store->sql[i]);
  sqlite3_close(store->db);
  sheaf_buf_deinit(&store->scratch);
  sheaf_buf_deinit(&store->payload);
  free(store->others);
  free(store->path);
  free(store);
}

/* ---- Doors ---- */

const char *sheaf_jobs_store_message(const sheaf_jobs_store *store) {
  return store->said;
}

const sheaf_store *sheaf_jobs_store_door(sheaf_jobs_store *store) {
  return &store->door;
}

const sheaf_spool *sheaf_jobs_store_spool(sheaf_jobs_store *store) {
  return &store->spool_door;
}

void sheaf_jobs_store_bind(sheaf_jobs_store *store, sheaf_engine *engine) {
  store->engine = engine;
  if (store->files != NULL) sheaf_files_bind(store->files, engine);
}
