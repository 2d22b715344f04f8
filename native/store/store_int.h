/* store_int.h: the parts of a sheaf_jobs_store and what they offer one another.
 *
 *   schema   whose file it is, pragmas, tables by ordered steps      (store_schema.c)
 *   lease    one run at a time, told from a dead one                 (store_lease.c)
 *   write    records into tables                                     (store_write.c)
 *   scan     records of earlier runs, to the engine                  (store_scan.c)
 *   read     jobs, events, notes, decisions                          (store_read.c)
 *   spool    rows on their way, one file a job                       (store_spool.c) */
#ifndef SHEAF_STORE_INT_H
#define SHEAF_STORE_INT_H

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* getentropy, statfs beside strict C11 */
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE 1
#endif

#include <sheaf/heap.h>
#include <sheaf/store.h>
#include <sqlite3.h>

#if defined(__GNUC__)
#define SHEAF__PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define SHEAF__PRINTF(at, first)
#endif

/* Every statement that is run more than once; their texts stand in store_sql.c. */
enum {
  SHEAF__SQL_BEGIN,
  SHEAF__SQL_COMMIT,
  SHEAF__SQL_ROLLBACK,
  SHEAF__SQL_HOLD, /* is the lease still ours */
  SHEAF__SQL_RENEW,
  SHEAF__SQL_ENSURE, /* a job's row */
  SHEAF__SQL_EVENT,
  SHEAF__SQL_PLACE, /* how many rows a job has */
  SHEAF__SQL_ROW,
  SHEAF__SQL_ROWS, /* SHEAF__ROWS_AT_ONCE of them */
  SHEAF__SQL_PLAN,
  SHEAF__SQL_INTENT,
  SHEAF__SQL_FACT,
  SHEAF__SQL_STATE,
  SHEAF__SQL_OVER,
  SHEAF__SQL_DECISION,
  SHEAF__SQL_SCAN,
  SHEAF__SQL_SCAN_ROWS,
  SHEAF__SQL_META_SET,
  SHEAF__SQL_META_GET,
  SHEAF__SQL_RUN,
  SHEAF__SQL_JOB,
  SHEAF__SQL_EVENTS,
  SHEAF__SQL_EVENTS_ALL,
  SHEAF__SQL_TOTALS,
  SHEAF__SQL_OPEN_JOB,
  SHEAF__SQL_COUNT
};
/* Rows of one insert: a statement costs about as much as eight rows. */
#define SHEAF__ROWS_AT_ONCE 64u

/* ---- Spool ---- */

#define SHEAF__SPOOL_OPEN_MAX 64u /* descriptors; the least recently used is closed for another */
#define SHEAF__SPOOL_BUFFER ((size_t)256 << 10)

typedef struct sheaf__spool_file {
  uint64_t job; /* 0: the place is free */
  uint64_t used;
  uint64_t filed; /* bytes in the file; the buffer goes on from there */
  int fd;
  size_t waiting; /* bytes in the buffer */
  char *buffer;   /* NULL: nothing was appended since it was opened or sealed */
} sheaf__spool_file;

typedef struct sheaf__jobs_spool {
  sheaf__spool_file files[SHEAF__SPOOL_OPEN_MAX];
  uint64_t clock;
  char *folder;
  bool sync_failed; /* the kernel may have dropped pages: never asked again */
} sheaf__jobs_spool;

/* ---- The store ---- */

#define SHEAF__TOKEN_BYTES 33

struct sheaf_jobs_store {
  sqlite3 *db;
  sqlite3_stmt *sql[SHEAF__SQL_COUNT];
  sqlite3_stmt *kept; /* its row's text was handed out, until the next statement */
  char *path;
  sheaf_files *files;
  const sheaf_store *files_store; /* NULL: there is none */
  sheaf_engine *engine;
  bool read_only;
  bool network;
  bool held;    /* the lease is ours */
  bool failed;  /* a write failed: final */
  bool told;    /* the engine has the records of earlier runs, or there are none */
  bool wanted;  /* it asked for them */
  bool relaxed; /* commits are not synced now */
  uint64_t lease_ms;
  int64_t renewed_unix_ms;
  char token[SHEAF__TOKEN_BYTES];
  char said[1024];

  uint64_t place_flight; /* the flight whose next row has place */
  uint64_t place;
  sheaf_buf scratch;    /* text of the record at hand */
  sheaf_buf payload;    /* of the record handed over */
  sheaf_record *others; /* of an append, not of jobs */
  uint32_t others_capacity;

  sheaf__jobs_spool spool;
  sheaf_store door;
  sheaf_spool spool_door;
};

/* ---- Small things all parts use ---- */

int64_t sheaf__store_unix_ms(void);
/* Says it and answers status, so that a failure is one line. */
int32_t sheaf__store_say(sheaf_jobs_store *store, int32_t status, const char *format, ...)
    SHEAF__PRINTF(3, 4);
/* The failure SQLite told of last, as a status and a sentence. */
int32_t sheaf__store_sqlite_failed(sheaf_jobs_store *store, int code, bool writing);
/* A prepared statement, reset; NULL: SQLite refused. */
sqlite3_stmt *sheaf__store_sql(sheaf_jobs_store *store, uint32_t which);
/* Runs one to its end: SQLITE_DONE, or SQLITE_ROW where there is a first row, which stays until the
 * statement's next use. Else the failure. */
int sheaf__store_run(sqlite3_stmt *sql);
int sheaf__store_do(sheaf_jobs_store *store, uint32_t which); /* SQLITE_OK or the failure */
int sheaf__store_exec(sheaf_jobs_store *store, const char *text);
/* The first number of a query, *value untouched where it has no row. */
int sheaf__store_number(sheaf_jobs_store *store, const char *text, int64_t *value);
void sheaf__store_bind_text(sqlite3_stmt *sql, int at, sheaf_slice text); /* lives until it ran */
void sheaf__store_bind_u64(sqlite3_stmt *sql, int at, uint64_t value);
void sheaf__store_bind_count(sqlite3_stmt *sql, int at, int64_t value); /* SHEAF_ABSENT: NULL */
sheaf_slice sheaf__store_text(sqlite3_stmt *sql, int at);               /* until its next use */
/* Commits survive a power cut (FULL), or may be lost with those behind them. */
int sheaf__store_relax(sheaf_jobs_store *store, bool relaxed);

extern const char *const sheaf__store_texts[SHEAF__SQL_COUNT];
typedef struct sheaf__store_step {
  int64_t version; /* 0: there are no more */
  const char *text;
} sheaf__store_step;
extern const sheaf__store_step sheaf__store_steps[];
#define SHEAF__STORE_VERSION 1
#define SHEAF__STORE_ID 0x73686A62 /* "shjb" */

/* Checks whose file it is, makes the tables, takes the lease. */
int32_t sheaf__store_begin(sheaf_jobs_store *store, const char *run_id);
bool sheaf__store_is_network(const char *path);

/* Inside a transaction: takes the file for this run. SHEAF_E_OTHER_RUN. */
int32_t sheaf__lease_take(sheaf_jobs_store *store, const char *run_id);
/* Renews it when a third has passed. SHEAF_E_STORE: it is another's now. */
int32_t sheaf__lease_renew(sheaf_jobs_store *store);
void sheaf__lease_drop(sheaf_jobs_store *store);

int32_t sheaf__store_append(void *ctx, uint64_t ticket, const sheaf_record *records,
                            uint32_t count);
/* One transaction of records that are all of jobs. */
int32_t sheaf__store_write(sheaf_jobs_store *store, const sheaf_record *records, uint32_t count);
int32_t sheaf__store_scan(void *ctx);

int32_t sheaf__jobs_spool_init(sheaf_jobs_store *store);
/* Deletes files of jobs that need them no more. */
void sheaf__jobs_spool_tidy(sheaf_jobs_store *store);
void sheaf__jobs_spool_deinit(sheaf_jobs_store *store);
bool sheaf__store_sync_folder(const char *folder);

#endif
