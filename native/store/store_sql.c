/* store_sql.c: all SQL: the tables by steps, the views, and every statement that runs more than
 * once.
 *
 * Whole numbers without a sign are kept as SQLite's with one, so that hashes may look negative;
 * the views show them as hex. */
#include "store_int.h"

/* ---- Tables ---- */

#define WHEN(name, number, text) " WHEN " #number " THEN '" text "'"
#define TIME(column) "strftime('%Y-%m-%dT%H:%M:%fZ'," column "/1000.0,'unixepoch')"

/* In order; a step makes its version out of the one before. Released ones never change. */
const sheaf__store_step sheaf__store_steps[] = {
    {1,
     "CREATE TABLE meta("
     " key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

     "CREATE TABLE lease("
     " id INTEGER PRIMARY KEY CHECK(id=1), token TEXT NOT NULL, run_id TEXT NOT NULL,"
     " pid INTEGER NOT NULL, pid_started INTEGER NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL,"
     " started_unix_ms INTEGER NOT NULL, expires_unix_ms INTEGER NOT NULL) STRICT;"

     "CREATE TABLE jobs("
     " flight INTEGER PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0,"
     " is_planned INTEGER NOT NULL DEFAULT 0, is_over INTEGER NOT NULL DEFAULT 0,"
     " provider TEXT NOT NULL DEFAULT '', endpoint TEXT NOT NULL DEFAULT '',"
     " model TEXT NOT NULL DEFAULT '', path TEXT NOT NULL DEFAULT '',"
     " marker TEXT NOT NULL DEFAULT '', operation INTEGER NOT NULL DEFAULT 0,"
     " is_inline INTEGER NOT NULL DEFAULT 0, requests INTEGER NOT NULL DEFAULT 0,"
     " bytes INTEGER NOT NULL DEFAULT 0, first_index INTEGER NOT NULL DEFAULT 0,"
     " last_index INTEGER NOT NULL DEFAULT 0, first_line INTEGER NOT NULL DEFAULT 0,"
     " bound_usd_nano INTEGER NOT NULL DEFAULT 0, step INTEGER NOT NULL DEFAULT 0,"
     " attempt INTEGER NOT NULL DEFAULT 0, upload TEXT NOT NULL DEFAULT '',"
     " file TEXT NOT NULL DEFAULT '', job TEXT NOT NULL DEFAULT '',"
     " output TEXT NOT NULL DEFAULT '', errors TEXT NOT NULL DEFAULT '',"
     " is_adopted INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',"
     " decision TEXT NOT NULL DEFAULT '', total INTEGER, completed INTEGER, failed INTEGER,"
     " succeeded INTEGER, rescued INTEGER, missing INTEGER,"
     " created_unix_ms INTEGER NOT NULL, updated_unix_ms INTEGER NOT NULL) STRICT;"},

    {1,
     "CREATE TABLE requests("
     " flight INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE, place INTEGER NOT NULL,"
     " idx INTEGER NOT NULL, spool_at INTEGER NOT NULL, id_hash INTEGER NOT NULL,"
     " fingerprint BLOB NOT NULL, PRIMARY KEY(flight,place)) STRICT, WITHOUT ROWID;"

     "CREATE TABLE events("
     " seq INTEGER PRIMARY KEY, flight INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,"
     " type INTEGER NOT NULL, unix_ms INTEGER NOT NULL, json TEXT NOT NULL) STRICT;"
     "CREATE INDEX events_of_flight ON events(flight,seq);"},

    {1,
     "CREATE VIEW job_list AS SELECT flight,"
     " CASE state" SHEAF_JOB_STATE_MAP(
         WHEN) " END AS state,"
               " provider, endpoint, model, path, requests, bytes, completed, failed, succeeded, "
               "rescued,"
               " missing, job, file, output, errors, marker, decision, message,"
               " " TIME("created_unix_ms") " AS created, " TIME(
                   "updated_unix_ms") " AS updated FROM jobs;"

                                      "CREATE VIEW event_list AS SELECT seq, flight, " TIME(
                                          "unix_ms") " AS at,"
                                                     " CASE type WHEN 16 THEN 'rows' WHEN 17 THEN "
                                                     "'plan' WHEN 18 THEN 'intent' WHEN 19 THEN "
                                                     "'fact'"
                                                     " WHEN 20 THEN 'state' WHEN 21 THEN 'over' "
                                                     "WHEN 22 THEN 'decision' END AS type, json"
                                                     " FROM events;"

                                                     "CREATE VIEW request_list AS SELECT flight, "
                                                     "place, idx, spool_at,"
                                                     " printf('%016x',id_hash) AS id_hash, "
                                                     "lower(hex(fingerprint)) AS fingerprint FROM "
                                                     "requests;"},
    {0, NULL}};

/* ---- Statements ---- */

#define ROW "(?1,?,?,?,?,?)"
#define ROWS_8 ROW "," ROW "," ROW "," ROW "," ROW "," ROW "," ROW "," ROW
#define INSERT_ROW "INSERT INTO requests(flight,place,idx,spool_at,id_hash,fingerprint) VALUES"
/* A text that a record brings, or the one that is there. */
#define KEEP(column, at) column "=CASE WHEN " at "='' THEN " column " ELSE " at " END"

const char *const sheaf__store_texts[SHEAF__SQL_COUNT] = {
    [SHEAF__SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SHEAF__SQL_COMMIT] = "COMMIT",
    [SHEAF__SQL_ROLLBACK] = "ROLLBACK",
    [SHEAF__SQL_HOLD] = "SELECT 1 FROM lease WHERE token=?1",
    [SHEAF__SQL_RENEW] = "UPDATE lease SET expires_unix_ms=?2 WHERE token=?1",
    [SHEAF__SQL_ENSURE] = "INSERT INTO jobs(flight,created_unix_ms,updated_unix_ms)"
                          " VALUES(?1,?2,?2) ON CONFLICT DO NOTHING",
    [SHEAF__SQL_EVENT] = "INSERT INTO events(flight,type,unix_ms,json) VALUES(?1,?2,?3,?4)",
    [SHEAF__SQL_PLACE] = "SELECT COALESCE(MAX(place)+1,0) FROM requests WHERE flight=?1",
    [SHEAF__SQL_ROW] = INSERT_ROW ROW,
    [SHEAF__SQL_ROWS] = INSERT_ROW ROWS_8 "," ROWS_8 "," ROWS_8 "," ROWS_8 "," ROWS_8 "," ROWS_8
                                          "," ROWS_8 "," ROWS_8,
    [SHEAF__SQL_PLAN] =
        "UPDATE jobs SET is_planned=1,state=1,provider=?3,endpoint=?4,model=?5,path=?6,marker=?7,"
        "operation=?8,is_inline=?9,requests=?10,bytes=?11,first_index=?12,last_index=?13,"
        "first_line=?14,bound_usd_nano=?15,"
        "created_unix_ms=?2,updated_unix_ms=?2 WHERE flight=?1",
    /* Steps 1 to 3 bring the job into being; others change nothing before their answer. */
    [SHEAF__SQL_INTENT] = "UPDATE jobs SET step=?3,attempt=?4,decision='',"
                          "state=CASE WHEN ?3 BETWEEN 1 AND 3 THEN 2 ELSE state END,"
                          "updated_unix_ms=?2 WHERE flight=?1",
    /* With the provider's id it is at least being looked at. */
    [SHEAF__SQL_FACT] =
        "UPDATE jobs SET " KEEP("upload", "?3") "," KEEP("file", "?4") "," KEEP("job", "?5") ","
        "is_adopted=max(is_adopted,?6),decision='',"
        "state=CASE WHEN ?5<>'' AND (state<3 OR state=12) THEN 3 ELSE state END,"
        "message=CASE WHEN ?5<>'' THEN '' ELSE message END,"
        "updated_unix_ms=?2 WHERE flight=?1",
    [SHEAF__SQL_STATE] =
        "UPDATE jobs SET state=?3,total=COALESCE(?4,total),completed=COALESCE(?5,completed),"
        "failed=COALESCE(?6,failed),message=?7," KEEP("output", "?8") "," KEEP("errors", "?9") ","
        KEEP("job", "?10") "," KEEP("file", "?11") "," KEEP("upload", "?12") ","
        "decision='',is_over=max(is_over,?3=13),updated_unix_ms=?2 WHERE flight=?1",
    [SHEAF__SQL_OVER] =
        "UPDATE jobs SET is_over=1,state=CASE WHEN state=13 THEN 13 ELSE 11 END,"
        "failed=COALESCE(?3,failed),succeeded=?4,rescued=?5,missing=?6,decision='',"
        "updated_unix_ms=?2 WHERE flight=?1",
    [SHEAF__SQL_DECISION] = "UPDATE jobs SET decision=trim(?3||' '||?4),updated_unix_ms=?2"
                            " WHERE flight=?1",
    /* What is over keeps its number known, and its job's id: the fact (19) that has one, and the end
     * (21). The last column: no end was written, this record stands for it. */
    [SHEAF__SQL_SCAN] =
        "SELECT e.seq,e.flight,e.type,e.json,j.is_over AND NOT EXISTS(SELECT 1 FROM events"
        "  WHERE flight=e.flight AND type=21) AS ends FROM events e JOIN jobs j USING(flight)"
        " WHERE j.is_over=0 OR (NOT ends AND (e.type=21 OR"
        "  (e.type=19 AND instr(e.json,'\"job\":\"')>0))) OR (ends AND"
        "  e.seq=(SELECT MAX(seq) FROM events WHERE flight=e.flight)) ORDER BY e.seq",
    [SHEAF__SQL_SCAN_ROWS] = "SELECT place,idx,spool_at,id_hash,fingerprint FROM requests"
                             " WHERE flight=?1 AND place>=?2 AND place<?3 ORDER BY place",
    [SHEAF__SQL_META_SET] = "INSERT INTO meta(key,value) VALUES(?1,?2)"
                            " ON CONFLICT(key) DO UPDATE SET value=excluded.value",
    [SHEAF__SQL_META_GET] = "SELECT value FROM meta WHERE key=?1",
    [SHEAF__SQL_RUN] = "SELECT pid,pid_started,host,boot,run_id,started_unix_ms,expires_unix_ms,"
                       "token FROM lease WHERE id=1",
    [SHEAF__SQL_JOB] =
        "SELECT flight,state,operation,is_inline,is_adopted,is_over,provider,endpoint,model,path,"
        "marker,upload,file,job,output,errors,message,decision,requests,bytes,first_index,"
        "last_index,total,completed,failed,succeeded,rescued,missing,created_unix_ms,"
        "updated_unix_ms,first_line,bound_usd_nano FROM jobs"
        " WHERE flight>?1 ORDER BY flight LIMIT 1",
    [SHEAF__SQL_EVENTS] = "SELECT seq,flight,type,unix_ms,json FROM events"
                          " WHERE flight=?1 AND seq>?2 ORDER BY seq LIMIT 1",
    [SHEAF__SQL_EVENTS_ALL] = "SELECT seq,flight,type,unix_ms,json FROM events"
                              " WHERE seq>?2 ORDER BY seq LIMIT 1",
    [SHEAF__SQL_TOTALS] =
        "SELECT COUNT(*),TOTAL(is_over),TOTAL(state=12),TOTAL(requests),"
        "TOTAL(requests*is_over),TOTAL(bytes) FROM jobs WHERE is_planned",
    [SHEAF__SQL_OPEN_JOB] = "SELECT is_over,state,job FROM jobs WHERE flight=?1"};
