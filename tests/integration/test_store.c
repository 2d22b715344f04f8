/* test_store.c: the store of provider jobs on real SQLite files: what is appended comes back in its
 * order after any kill; damage and strangers' files are refused with a sentence; one run at a time.
 *
 * The engine is a stand-in that writes down what it is told, so that the order is seen as it is. */
#include "../support/files_bench.h"

#include <sheaf/store.h>
#include <sqlite3.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- The engine: a list of what it was told ---- */

static struct {
  char text[65536];
  size_t bytes;
  uint32_t ends;
  bool closed; /* it is not open yet */
} heard;
static char engine_stands_here;
static sheaf_engine *const the_engine = (sheaf_engine *)(void *)&engine_stands_here;

static uint64_t number_of(const char *bytes) {
  uint64_t number = 0;
  for (size_t i = 8; i-- > 0;) number = number << 8 | (unsigned char)bytes[i];
  return number;
}

/* "17:1{...}\n"; rows as "16:1[index,spool_at,id_hash,fingerprint[0]] ...\n". */
static void hear(const sheaf_record *record) {
  char *to = heard.text + heard.bytes;
  size_t room = sizeof heard.text - heard.bytes;
  size_t used = (size_t)snprintf(to, room, "%" PRIu32 ":", record->type);
  if (record->type < SHEAF_RECORD_JOB_FIRST) {
    used += (size_t)snprintf(to + used, room - used, "%zu\n", record->payload.bytes);
  } else {
    uint64_t flight = number_of(record->payload.data);
    used += (size_t)snprintf(to + used, room - used, "%" PRIu64, flight);
    const char *rest = record->payload.data + 8;
    size_t bytes = record->payload.bytes - 8;
    for (; record->type == SHEAF_RECORD_JOB_ROWS && bytes > 0; bytes -= SHEAF_JOB_ROW_BYTES) {
      used += (size_t)snprintf(to + used, room - used, "[%" PRIu64 ",%" PRIu64 ",%" PRIx64 ",%u]",
                               number_of(rest), number_of(rest + 8), number_of(rest + 16),
                               (unsigned char)rest[24]);
      rest += SHEAF_JOB_ROW_BYTES;
    }
    used += (size_t)snprintf(to + used, room - used, "%.*s\n", (int)bytes, rest);
  }
  assert_true(used < room);
  heard.bytes += used;
}

int32_t sheaf_engine_on_scanned(sheaf_engine *engine, const sheaf_record *records, uint32_t count) {
  assert_ptr_equal(engine, the_engine);
  if (heard.closed || heard.ends > 0) return SHEAF_E_MISUSE;
  for (uint32_t i = 0; i < count; i++) hear(&records[i]);
  if (count == 0) heard.ends++;
  return SHEAF_OK;
}

/* ---- Stores ---- */

#define STATE "state"

typedef struct stored {
  sheaf_jobs_store_options options;
  sheaf_jobs_store *store;
  char message[1024];
} stored;

static stored the_store(void) {
  stored it = {.options = SHEAF_JOBS_STORE_OPTIONS_INIT};
  it.options.path = STATE;
  return it;
}

static int32_t try_store(stored *it) {
  it->store = NULL;
  return sheaf_jobs_store_open(&it->options, &it->store, it->message, sizeof it->message);
}

/* Opens, and tells the stand-in what there is; answers it. */
static const char *open_store(stored *it) {
  int32_t status = try_store(it);
  if (status != SHEAF_OK) print_error("open: %s\n", it->message);
  assert_int_equal(status, SHEAF_OK);
  memset(&heard, 0, sizeof heard);
  if (it->options.read_only) return "";
  sheaf_jobs_store_bind(it->store, the_engine);
  assert_int_equal(sheaf_jobs_store_pump(it->store), SHEAF_OK);
  return heard.text;
}

static void close_store(stored *it) {
  sheaf_jobs_store_close(it->store);
  it->store = NULL;
}

static void remove_state(void) {
  static const char *const names[] = {STATE, STATE "-wal", STATE "-shm", STATE "-journal", "copy"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
  DIR *folder = opendir(STATE ".spool");
  for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL;
       entry = readdir(folder)) {
    char path[512];
    snprintf(path, sizeof path, STATE ".spool/%s", entry->d_name);
    unlink(path);
  }
  if (folder != NULL) closedir(folder);
  rmdir(STATE ".spool");
}

static int fresh_store(void **state) {
  remove_state();
  return fresh(state);
}

static int leave_store(void **state) {
  remove_state();
  return leave(state);
}

/* ---- Records ---- */

typedef struct letter { /* a record with its payload */
  char payload[4096];
  sheaf_record record;
} letter;

static void put_id(char *to, uint64_t number) {
  for (size_t i = 0; i < 8; i++) to[i] = (char)(number >> (8 * i) & 0xFF);
}

static sheaf_record *json_letter(letter *it, uint32_t type, uint64_t flight, const char *json) {
  size_t bytes = strlen(json);
  assert_true(bytes + 8 <= sizeof it->payload);
  put_id(it->payload, flight);
  memcpy(it->payload + 8, json, bytes);
  it->record = (sheaf_record){.type = type, .payload = {it->payload, bytes + 8}};
  return &it->record;
}

static sheaf_record *rows_letter(letter *it, uint64_t flight, uint64_t first, uint32_t count) {
  assert_true(8 + (size_t)count * SHEAF_JOB_ROW_BYTES <= sizeof it->payload);
  put_id(it->payload, flight);
  for (uint32_t i = 0; i < count; i++) {
    char *at = it->payload + 8 + (size_t)i * SHEAF_JOB_ROW_BYTES;
    put_id(at, first + i);
    put_id(at + 8, 100 * (first + i));
    put_id(at + 16, UINT64_MAX - first - i);
    memset(at + 24, (int)((first + i) & 0x7F), 16);
  }
  it->record = (sheaf_record){.type = SHEAF_RECORD_JOB_ROWS,
                              .payload = {it->payload, 8 + (size_t)count * SHEAF_JOB_ROW_BYTES}};
  return &it->record;
}

static int32_t append(stored *it, const sheaf_record *record) {
  const sheaf_store *door = sheaf_jobs_store_door(it->store);
  return door->append(door->ctx, 1, record, 1);
}

static void append_ok(stored *it, const sheaf_record *record) {
  int32_t status = append(it, record);
  if (status != SHEAF_E_END) print_error("append: %s\n", sheaf_jobs_store_message(it->store));
  assert_int_equal(status, SHEAF_E_END);
}

static void append_json(stored *it, uint32_t type, uint64_t flight, const char *json) {
  letter one;
  append_ok(it, json_letter(&one, type, flight, json));
}

#define PLAN                                                                                     \
  "{\"v\":1,\"provider\":\"openai\",\"endpoint\":\"main\",\"model\":\"m\",\"path\":\"/chat/"     \
  "completions\",\"marker\":\"sheaf-0123\",\"requests\":3,\"bytes\":300,\"first\":7,\"last\":9," \
  "\"line\":8,\"bound_usd_nano\":5000,\"operation\":2,\"inline\":false,\"unix_ms\":1000}"

/* The life of job 1, in its order. */
static const struct {
  uint32_t type;
  const char *json; /* NULL: rows 7 to 9 */
} life[] = {
    {SHEAF_RECORD_JOB_ROWS, NULL},
    {SHEAF_RECORD_JOB_PLAN, PLAN},
    {SHEAF_RECORD_JOB_INTENT, "{\"v\":1,\"step\":\"upload\",\"try\":1,\"unix_ms\":1100}"},
    {SHEAF_RECORD_JOB_FACT, "{\"v\":1,\"file\":\"file-\\u00e9\\\"x\",\"unix_ms\":1200}"},
    {SHEAF_RECORD_JOB_INTENT, "{\"v\":1,\"step\":\"create\",\"try\":2,\"unix_ms\":1300}"},
    {SHEAF_RECORD_JOB_FACT, "{\"v\":1,\"job\":\"batch_1\",\"adopted\":true,\"unix_ms\":1400}"},
    {SHEAF_RECORD_JOB_STATE,
     "{\"v\":1,\"state\":\"running\",\"total\":3,\"completed\":1,\"failed\":0,\"unix_ms\":1500}"},
    {SHEAF_RECORD_JOB_DECISION, "{\"v\":1,\"decision\":\"cancel\",\"unix_ms\":1600}"},
    {SHEAF_RECORD_JOB_STATE,
     "{\"v\":1,\"state\":\"cancelled\",\"output\":\"file-out\",\"message\":\"why\","
     "\"unix_ms\":1700}"},
    {SHEAF_RECORD_JOB_OVER,
     "{\"v\":1,\"succeeded\":2,\"failed\":0,\"rescued\":1,\"missing\":0,\"unix_ms\":1800}"}};
enum { LIFE = sizeof life / sizeof *life };

#define ROWS_TEXT                                                          \
  "16:1[7,700,fffffffffffffff8,7][8,800,fffffffffffffff7,8][9,900,fffffff" \
  "ffffffff6,9]\n"

static void append_life(stored *it, uint32_t from, uint32_t to) {
  letter one;
  for (uint32_t i = from; i < to; i++) {
    if (life[i].json == NULL) {
      append_ok(it, rows_letter(&one, 1, 7, 3));
    } else {
      append_ok(it, json_letter(&one, life[i].type, 1, life[i].json));
    }
  }
}

/* What a scan must tell after the first count records of that life. */
static const char *told_of_life(uint32_t count) {
  static char text[8192];
  size_t used = 0;
  text[0] = '\0';
  if (count == LIFE) {
    /* that it is over, and which job it was: a job in the provider's list that is nobody's otherwise
     * might be taken for another's */
    snprintf(text, sizeof text, "19:1%s\n21:1%s\n", life[5].json, life[LIFE - 1].json);
    return text;
  }
  for (uint32_t i = 0; count > 1 && i < count; i++) { /* rows alone mean nothing */
    if (life[i].json == NULL) {
      used += (size_t)snprintf(text + used, sizeof text - used, "%s", ROWS_TEXT);
    } else {
      used += (size_t)snprintf(text + used, sizeof text - used, "%" PRIu32 ":1%s\n", life[i].type,
                               life[i].json);
    }
  }
  return text;
}

/* ---- SQLite from outside ---- */

static void raw(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  char *error = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s: %s", sql, error);
  sqlite3_close(db);
}

static int64_t raw_number(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return number;
}

/* ---- Records and their order ---- */

static void records_come_back_in_their_order_after_every_one(void **state) {
  for (uint32_t count = 0; count <= LIFE; count++) {
    fresh_store(state);
    stored it = the_store();
    open_store(&it);
    append_life(&it, 0, count);
    close_store(&it);
    assert_string_equal(open_store(&it), told_of_life(count));
    assert_int_equal(heard.ends, count > 1);
    close_store(&it);
    assert_string_equal(open_store(&it), told_of_life(count)); /* looking changes nothing */
    close_store(&it);
  }
}

static void a_kill_between_any_two_records_loses_none(void **state) {
  for (uint32_t count = 0; count <= LIFE; count++) {
    fresh_store(state);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      stored it = the_store();
      open_store(&it);
      append_life(&it, 0, count);
      kill(getpid(), SIGKILL);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    stored it = the_store(); /* takes over at once: the process is gone */
    assert_string_equal(open_store(&it), told_of_life(count));
    append_life(&it, count == 1 ? 0 : count, LIFE);
    close_store(&it);
    assert_string_equal(open_store(&it), told_of_life(LIFE));
    close_store(&it);
  }
}

static void several_jobs_keep_the_order_of_their_records(void **state) {
  (void)state;
  stored it = the_store();
  letter letters[3];
  open_store(&it);
  sheaf_record batch[3] = {*rows_letter(&letters[0], 1, 0, 2), *rows_letter(&letters[1], 2, 5, 1),
                           *rows_letter(&letters[2], 1, 2, 1)};
  const sheaf_store *door = sheaf_jobs_store_door(it.store);
  assert_int_equal(door->append(door->ctx, 1, batch, 3), SHEAF_E_END);
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 2, "{\"v\":1,\"requests\":1}");
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 1, "{\"v\":1,\"requests\":3}");
  append_ok(&it, rows_letter(&letters[0], 3, 9, 1)); /* never planned */
  append_json(&it, SHEAF_RECORD_JOB_OVER, 2, "{\"v\":1,\"succeeded\":1}");
  close_store(&it);
  assert_string_equal(
      open_store(&it),
      "16:1[0,0,ffffffffffffffff,0][1,100,fffffffffffffffe,1]\n16:1[2,200,fffffffffffffffd,2]\n"
      "17:1{\"v\":1,\"requests\":3}\n21:2{\"v\":1,\"succeeded\":1}\n");
  close_store(&it);
  assert_int_equal(raw_number(STATE, "SELECT count(*) FROM requests WHERE flight=3"), 0);
  assert_int_equal(raw_number(STATE, "SELECT count(*) FROM jobs"), 2);
}

static void a_job_given_up_is_told_as_over(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  append_life(&it, 0, 4);
  append_json(&it, SHEAF_RECORD_JOB_STATE, 1, "{\"v\":1,\"state\":\"abandoned\",\"unix_ms\":5}");
  close_store(&it);
  assert_int_equal(strncmp(open_store(&it), "21:1{", 5), 0);
  assert_null(strstr(strchr(heard.text, '\n') + 1, "\n"));
  close_store(&it);
}

static void nothing_is_written_before_earlier_jobs_were_told(void **state) {
  (void)state;
  stored it = the_store();
  letter one;
  open_store(&it);
  append_life(&it, 0, 4);
  close_store(&it);
  assert_int_equal(try_store(&it), SHEAF_OK);
  assert_int_equal(append(&it, json_letter(&one, SHEAF_RECORD_JOB_PLAN, 2, "{\"v\":1}")),
                   SHEAF_E_STORE);
  assert_non_null(strstr(sheaf_jobs_store_message(it.store), "not handed over"));
  close_store(&it);
}

static void an_engine_that_is_not_open_hears_later(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  append_life(&it, 0, 4);
  close_store(&it);
  assert_int_equal(try_store(&it), SHEAF_OK);
  memset(&heard, 0, sizeof heard);
  heard.closed = true;
  sheaf_jobs_store_bind(it.store, the_engine);
  assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_OK);
  heard.closed = false;
  const sheaf_store *door = sheaf_jobs_store_door(it.store);
  assert_int_equal(door->scan(door->ctx), SHEAF_OK);
  assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_OK);
  assert_string_equal(heard.text, told_of_life(4));
  assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_OK); /* once */
  assert_int_equal(heard.ends, 1);
  close_store(&it);
}

/* ---- Beside the files ---- */

static sheaf_record *range_letter(letter *it, uint64_t first, uint64_t last) {
  sheaf_range range = {first, last, SHEAF_ABSENT};
  sheaf_range_write(&range, (uint8_t *)it->payload);
  it->record =
      (sheaf_record){.type = SHEAF_RECORD_RANGE, .payload = {it->payload, SHEAF_RANGE_BYTES}};
  return &it->record;
}

static void records_of_live_rows_go_beside_the_output_and_come_behind_those_of_jobs(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench files = the_bench("in.jsonl");
  stored it = the_store();
  bench_open(&files);
  it.options.files = files.files;
  open_store(&it);
  letter letters[3];
  sheaf_record batch[3] = {*range_letter(&letters[0], 0, 1),
                           *json_letter(&letters[1], SHEAF_RECORD_JOB_PLAN, 1, "{\"v\":1}"),
                           *range_letter(&letters[2], 2, 2)};
  const sheaf_store *door = sheaf_jobs_store_door(it.store);
  assert_int_equal(door->append(door->ctx, 1, batch, 3), SHEAF_E_END);
  assert_int_equal(raw_number(STATE, "SELECT count(*) FROM events"), 1);
  close_store(&it);
  bench_close(&files);
  bench_open(&files);
  it.options.files = files.files;
  /* 1: the run, 2: two ranges of 24 bytes */
  const char *told = open_store(&it);
  const char *jobs = "17:1{\"v\":1}\n1:";
  assert_int_equal(strncmp(told, jobs, strlen(jobs)), 0);
  assert_non_null(strstr(told, "\n2:24\n2:24\n"));
  assert_int_equal(heard.ends, 1);
  close_store(&it);
  bench_close(&files);
}

static void results_are_in_the_file_before_their_job_is_over(void **state) {
  (void)state;
  write_text("in.jsonl", three);
  bench files = the_bench("in.jsonl");
  stored it = the_store();
  size_t bytes;
  bench_open(&files);
  pull_all(&files);
  it.options.files = files.files;
  open_store(&it);
  finish_row(&files, 1, "2", true);
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 1, "{\"v\":1}");
  free(read_text("out", &bytes));
  assert_int_equal(bytes, 0); /* still in memory */
  append_json(&it, SHEAF_RECORD_JOB_OVER, 1, "{\"v\":1}");
  assert_string_equal(summary("out"), "b=2");
  close_store(&it);
  bench_close(&files);
}

static void a_job_is_not_over_when_its_results_cannot_be_written(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  write_text("in.jsonl", three);
  bench files = the_bench("in.jsonl");
  stored it = the_store();
  letter one;
  bench_open(&files);
  pull_all(&files);
  it.options.files = files.files;
  open_store(&it);
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 1, "{\"v\":1}");
  finish_row(&files, 1, "2", true);
  limit_file_size(5);
  assert_int_equal(append(&it, json_letter(&one, SHEAF_RECORD_JOB_OVER, 1, "{\"v\":1}")),
                   SHEAF_E_STORE);
  limit_file_size(RLIM_INFINITY);
  assert_non_null(strstr(sheaf_jobs_store_message(it.store), "out: cannot be written"));
  close_store(&it);
  assert_int_equal(raw_number(STATE, "SELECT is_over FROM jobs"), 0);
  bench_close(&files);
}

static void a_full_disk_ends_all_writing(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  stored it = the_store();
  letter one;
  open_store(&it);
  append_life(&it, 0, 3);
  size_t bytes;
  free(read_text(STATE "-wal", &bytes));
  limit_file_size((rlim_t)bytes + 100);
  assert_int_equal(append(&it, json_letter(&one, SHEAF_RECORD_JOB_PLAN, 2, "{\"v\":1}")),
                   SHEAF_E_STORE);
  limit_file_size(RLIM_INFINITY);
  assert_non_null(strstr(sheaf_jobs_store_message(it.store), "nothing more is sent"));
  assert_int_equal(append(&it, json_letter(&one, SHEAF_RECORD_JOB_PLAN, 3, "{\"v\":1}")),
                   SHEAF_E_STORE);
  assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_E_STORE);
  close_store(&it);
  assert_string_equal(open_store(&it), told_of_life(3));
  close_store(&it);
}

static void a_record_that_cannot_be_read_is_refused(void **state) {
  (void)state;
  static const struct {
    uint32_t type;
    const char *json;
  } bad[] = {
      {SHEAF_RECORD_JOB_PLAN, "{\"v\":1"}, {40, "{\"v\":1}"}, {SHEAF_RECORD_JOB_ROWS, "abc"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    stored it = the_store();
    letter one;
    open_store(&it);
    assert_int_equal(append(&it, json_letter(&one, bad[i].type, 1, bad[i].json)), SHEAF_E_STORE);
    assert_non_null(strstr(sheaf_jobs_store_message(it.store), "cannot be kept"));
    close_store(&it);
  }
  assert_int_equal(raw_number(STATE, "SELECT count(*) FROM events"), 0);
}

/* ---- Whose file it is ---- */

static void refused_and_left(int32_t status, const char *word) {
  size_t before;
  size_t after;
  char *was = read_text(STATE, &before);
  stored it = the_store();
  assert_int_equal(try_store(&it), status);
  assert_non_null(strstr(it.message, word));
  assert_non_null(strstr(it.message, STATE));
  char *is = read_text(STATE, &after);
  assert_int_equal(before, after);
  assert_memory_equal(was, is, before);
  free(was);
  free(is);
}

static void strangers_files_are_left_as_they_are(void **state) {
  write_text(STATE,
             "{\"custom_id\":\"a\",\"note\":\"somebody's results, much longer than a header "
             "is, so that it could be one, and then some more\"}\n");
  refused_and_left(SHEAF_E_OTHER_RUN, "no SQLite file");
  fresh_store(state);
  raw(STATE, "CREATE TABLE bookmarks(url TEXT)");
  refused_and_left(SHEAF_E_OTHER_RUN, "another program");
  fresh_store(state);
  raw(STATE, "PRAGMA user_version=1");
  refused_and_left(SHEAF_E_OTHER_RUN, "another program");
}

static void a_newer_file_is_left_to_the_newer_program(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  append_life(&it, 0, 4);
  close_store(&it);
  raw(STATE, "PRAGMA journal_mode=DELETE; PRAGMA user_version=2");
  refused_and_left(SHEAF_E_VERSION, "newer");
  it.options.read_only = 1;
  assert_int_equal(try_store(&it), SHEAF_E_VERSION);
}

static void an_older_file_is_brought_up_to_date(void **state) {
  (void)state;
  raw(STATE, "PRAGMA application_id=1936222818"); /* "shjb", version 0: no tables yet */
  stored it = the_store();
  it.options.read_only = 1;
  assert_int_equal(try_store(&it), SHEAF_E_NOT_FOUND);
  it.options.read_only = 0;
  open_store(&it);
  append_life(&it, 0, LIFE);
  close_store(&it);
  assert_int_equal(raw_number(STATE, "PRAGMA user_version"), 1);
  assert_int_equal(raw_number(STATE, "PRAGMA application_id"), 0x73686A62);
  assert_int_equal(raw_number(STATE,
                              "SELECT count(*) FROM pragma_table_list WHERE strict=0 AND"
                              " type='table' AND name NOT LIKE 'sqlite%'"),
                   0);
}

static void an_empty_file_is_taken(void **state) {
  (void)state;
  write_text(STATE, "");
  stored it = the_store();
  assert_string_equal(open_store(&it), "");
  close_store(&it);
}

static void damage_is_told_with_a_sentence(void **state) {
  stored it = the_store();
  letter one;
  open_store(&it);
  for (uint64_t flight = 1; flight <= 20; flight++) {
    append_ok(&it, rows_letter(&one, flight, 100 * flight, 100));
    append_json(&it, SHEAF_RECORD_JOB_PLAN, flight, PLAN);
  }
  close_store(&it);
  size_t bytes;
  char *whole = read_text(STATE, &bytes);
  size_t pages = bytes / 4096;
  assert_true(pages > 8);
  for (size_t page = 1; page < pages; page++) { /* torn between pages, then a page of noise */
    fresh_store(state);
    write_bytes(STATE, whole, page * 4096);
    assert_int_equal(try_store(&it), SHEAF_E_CORRUPT);
    assert_non_null(strstr(it.message, "damaged"));
  }
  uint32_t noticed = 0;
  for (size_t page = 1; page < pages; page++) {
    fresh_store(state);
    char *spoilt = malloc(bytes);
    assert_non_null(spoilt);
    memcpy(spoilt, whole, bytes);
    memset(spoilt + page * 4096, 0x5A, 4096);
    write_bytes(STATE, spoilt, bytes);
    free(spoilt);
    int32_t status = try_store(&it);
    if (status != SHEAF_OK) {
      noticed++;
      assert_int_equal(status, SHEAF_E_CORRUPT);
    }
    close_store(&it);
  }
  assert_int_equal(noticed, pages - 1);
  free(whole);
}

static void rows_that_are_missing_are_damage(void **state) {
  for (uint32_t place = 0; place < 3; place++) {
    char sql[64];
    fresh_store(state);
    stored it = the_store();
    open_store(&it);
    append_life(&it, 0, 4);
    close_store(&it);
    snprintf(sql, sizeof sql, "DELETE FROM requests WHERE place=%u", (unsigned)place);
    raw(STATE, sql);
    assert_int_equal(try_store(&it), SHEAF_OK);
    memset(&heard, 0, sizeof heard);
    sheaf_jobs_store_bind(it.store, the_engine);
    assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_E_CORRUPT);
    assert_non_null(strstr(sheaf_jobs_store_message(it.store), "rows of job 1"));
    assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_E_STORE); /* half told, not once more */
    assert_int_equal(heard.ends, 0);
    close_store(&it);
  }
}

/* ---- One run at a time ---- */

static void one_run_has_the_file_and_readers_look_beside_it(void **state) {
  (void)state;
  stored it = the_store();
  it.options.run_id = "first-run";
  open_store(&it);
  append_life(&it, 0, 7);
  stored second = the_store();
  assert_int_equal(try_store(&second), SHEAF_E_OTHER_RUN);
  assert_non_null(strstr(second.message, "first-run"));
  stored reader = the_store();
  reader.options.read_only = 1;
  open_store(&reader);
  sheaf_jobs_store_job job;
  assert_int_equal(sheaf_jobs_store_job_next(reader.store, 0, &job), SHEAF_OK);
  assert_int_equal(job.state, SHEAF_JOB_RUNNING_STATE);
  append_life(&it, 7, 9); /* the reader does not hold the run up, and sees what is new */
  assert_int_equal(sheaf_jobs_store_job_next(reader.store, 0, &job), SHEAF_OK);
  assert_int_equal(job.state, SHEAF_JOB_CANCELLED_STATE);
  sheaf_jobs_store_run run;
  assert_int_equal(sheaf_jobs_store_run_get(reader.store, &run), SHEAF_OK);
  assert_int_equal(run.is_live, 1);
  assert_int_equal(run.pid, getpid());
  assert_int_equal(run.run_id.bytes, 9);
  letter one;
  assert_int_equal(append(&reader, json_letter(&one, SHEAF_RECORD_JOB_PLAN, 2, "{\"v\":1}")),
                   SHEAF_E_STORE);
  assert_int_equal(sheaf_jobs_store_set(reader.store, "input", SHEAF_LITERAL("x")), SHEAF_E_MISUSE);
  assert_int_equal(sheaf_jobs_store_wait_ms(reader.store), SHEAF_NEVER);
  close_store(&it);
  assert_int_equal(sheaf_jobs_store_run_get(reader.store, &run), SHEAF_E_NOT_FOUND);
  close_store(&reader);
}

static void a_reader_makes_nothing(void **state) {
  (void)state;
  stored reader = the_store();
  reader.options.read_only = 1;
  assert_int_equal(try_store(&reader), SHEAF_E_NOT_FOUND);
  assert_false(is_there(STATE));
  reader.options.path = NULL;
  assert_int_equal(try_store(&reader), SHEAF_E_MISUSE);
}

static void a_silent_run_of_this_machine_keeps_its_file(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  raw(STATE, "UPDATE lease SET expires_unix_ms=1");
  stored second = the_store();
  assert_int_equal(try_store(&second), SHEAF_E_OTHER_RUN);
  close_store(&it);
}

static void a_run_elsewhere_is_taken_over_when_its_lease_is_out_and_writes_no_more(void **state) {
  (void)state;
  stored it = the_store();
  letter one;
  open_store(&it);
  append_life(&it, 0, 4);
  raw(STATE, "UPDATE lease SET host='elsewhere',boot='other'");
  stored second = the_store();
  assert_int_equal(try_store(&second), SHEAF_E_OTHER_RUN);
  assert_non_null(strstr(second.message, "elsewhere"));
  raw(STATE, "UPDATE lease SET expires_unix_ms=1");
  assert_string_equal(open_store(&second), told_of_life(4));
  assert_int_equal(append(&it, json_letter(&one, SHEAF_RECORD_JOB_PLAN, 2, "{\"v\":1}")),
                   SHEAF_E_STORE);
  assert_non_null(strstr(sheaf_jobs_store_message(it.store), "took it over"));
  close_store(&it);
  append_life(&second, 4, LIFE); /* the loser's end does not take the winner's hold */
  close_store(&second);
  assert_int_equal(raw_number(STATE, "SELECT count(*) FROM jobs"), 1);
}

static void a_process_with_the_number_of_a_dead_one_is_not_taken_for_it(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  raw(STATE, "UPDATE lease SET pid_started=pid_started+1 WHERE pid_started>0");
  stored second = the_store();
  bool known = raw_number(STATE, "SELECT pid_started FROM lease") > 0;
  assert_int_equal(try_store(&second), known ? SHEAF_OK : SHEAF_E_OTHER_RUN);
  close_store(&second);
  close_store(&it);
}

static void a_lease_is_renewed_in_time(void **state) {
  (void)state;
  stored it = the_store();
  it.options.lease_ms = 1; /* the least there is: 1 s */
  open_store(&it);
  raw(STATE, "UPDATE lease SET expires_unix_ms=1");
  assert_true(sheaf_jobs_store_wait_ms(it.store) <= 334);
  while (sheaf_jobs_store_wait_ms(it.store) > 0) continue;
  assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_OK);
  assert_true(raw_number(STATE, "SELECT expires_unix_ms FROM lease") > 1);
  raw(STATE, "UPDATE lease SET token='another'");
  while (sheaf_jobs_store_wait_ms(it.store) > 0) continue;
  assert_int_equal(sheaf_jobs_store_pump(it.store), SHEAF_E_STORE);
  close_store(&it);
  assert_int_equal(raw_number(STATE, "SELECT count(*) FROM lease"), 1);
}

static void a_network_file_system_gets_a_journal_and_a_lock(void **state) {
  (void)state;
  stored it = the_store();
  it.options.is_network = 1;
  open_store(&it);
  append_life(&it, 0, 4);
  assert_false(is_there(STATE "-wal"));
  assert_false(is_there(STATE "-shm"));
  close_store(&it);
  assert_string_equal(open_store(&it), told_of_life(4));
  close_store(&it);
  it.options.is_network = 0; /* and the other way round */
  assert_string_equal(open_store(&it), told_of_life(4));
  assert_true(is_there(STATE "-wal"));
  close_store(&it);
  it.options.is_network = 1;
  assert_string_equal(open_store(&it), told_of_life(4));
  close_store(&it);
}

/* ---- Looking, deciding ---- */

#define CHECK_SLICE(slice, text) \
  assert_true((slice).bytes == strlen(text) && memcmp((slice).data, text, strlen(text)) == 0)

static void a_job_shows_what_its_records_say(void **state) {
  (void)state;
  stored it = the_store();
  sheaf_jobs_store_job job;
  sheaf_jobs_store_totals totals;
  open_store(&it);
  append_life(&it, 0, 2);
  assert_int_equal(sheaf_jobs_store_job_next(it.store, 0, &job), SHEAF_OK);
  assert_int_equal(job.state, SHEAF_JOB_PREPARED_STATE);
  CHECK_SLICE(job.provider, "openai");
  CHECK_SLICE(job.endpoint, "main");
  CHECK_SLICE(job.path, "/chat/completions");
  CHECK_SLICE(job.marker, "sheaf-0123");
  assert_int_equal(job.requests, 3);
  assert_int_equal(job.first, 7);
  assert_int_equal(job.last, 9);
  assert_int_equal(job.operation, 2);
  assert_int_equal(job.line, 8);
  assert_int_equal(job.bound_usd_nano, 5000);
  assert_int_equal(job.created_unix_ms, 1000);
  assert_true(job.completed == SHEAF_ABSENT);
  append_life(&it, 2, 5);
  assert_int_equal(sheaf_jobs_store_job_next(it.store, 0, &job), SHEAF_OK);
  assert_int_equal(job.state, SHEAF_JOB_SUBMITTING_STATE);
  CHECK_SLICE(job.file, "file-\xc3\xa9\"x");
  append_life(&it, 5, 8);
  assert_int_equal(sheaf_jobs_store_job_next(it.store, 0, &job), SHEAF_OK);
  assert_int_equal(job.state, SHEAF_JOB_RUNNING_STATE);
  CHECK_SLICE(job.job, "batch_1");
  CHECK_SLICE(job.decision, "cancel");
  assert_true(job.is_adopted);
  assert_int_equal(job.total, 3);
  assert_int_equal(job.completed, 1);
  append_life(&it, 8, LIFE);
  assert_int_equal(sheaf_jobs_store_job_next(it.store, 0, &job), SHEAF_OK);
  assert_int_equal(job.state, SHEAF_JOB_COLLECTED_STATE);
  assert_true(job.is_over);
  CHECK_SLICE(job.output, "file-out");
  CHECK_SLICE(job.message, "why");
  CHECK_SLICE(job.decision, "");
  assert_int_equal(job.succeeded, 2);
  assert_int_equal(job.rescued, 1);
  assert_int_equal(job.updated_unix_ms, 1800);
  assert_int_equal(sheaf_jobs_store_job_next(it.store, 1, &job), SHEAF_E_END);
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 9, "{\"v\":1,\"requests\":5,\"bytes\":50}");
  append_json(&it, SHEAF_RECORD_JOB_STATE, 9, "{\"v\":1,\"state\":\"undecided\"}");
  assert_int_equal(sheaf_jobs_store_totals_get(it.store, &totals), SHEAF_OK);
  assert_int_equal(totals.jobs, 2);
  assert_int_equal(totals.jobs_over, 1);
  assert_int_equal(totals.jobs_undecided, 1);
  assert_int_equal(totals.requests, 8);
  assert_int_equal(totals.requests_over, 3);
  assert_int_equal(totals.bytes, 350);
  close_store(&it);
}

static void events_are_the_records_one_by_one(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 2, "{\"v\":1}");
  append_life(&it, 0, LIFE);
  sheaf_jobs_store_event event;
  uint64_t seq = 0;
  for (uint32_t i = 0; i < LIFE; i++) {
    assert_int_equal(sheaf_jobs_store_event_next(it.store, 1, seq, &event), SHEAF_OK);
    assert_int_equal(event.type, life[i].type);
    assert_true(event.seq > seq);
    CHECK_SLICE(event.json, life[i].json != NULL ? life[i].json : "{\"place\":0,\"rows\":3}");
    seq = event.seq;
  }
  assert_int_equal(event.unix_ms, 1800);
  assert_int_equal(sheaf_jobs_store_event_next(it.store, 1, seq, &event), SHEAF_E_END);
  assert_int_equal(sheaf_jobs_store_event_next(it.store, 0, 0, &event), SHEAF_OK);
  assert_int_equal(event.flight, 2);
  assert_string_equal(sheaf_jobs_store_event_name(SHEAF_RECORD_JOB_OVER), "over");
  assert_string_equal(sheaf_jobs_store_event_name(99), "unknown");
  close_store(&it);
}

static void notes_outlive_the_run(void **state) {
  (void)state;
  stored it = the_store();
  sheaf_slice value;
  open_store(&it);
  assert_int_equal(sheaf_jobs_store_get(it.store, "input", &value), SHEAF_E_NOT_FOUND);
  assert_int_equal(sheaf_jobs_store_set(it.store, "input", SHEAF_LITERAL("a.jsonl")), SHEAF_OK);
  assert_int_equal(sheaf_jobs_store_set(it.store, "input", SHEAF_LITERAL("b.jsonl")), SHEAF_OK);
  close_store(&it);
  it.options.read_only = 1;
  open_store(&it);
  assert_int_equal(sheaf_jobs_store_get(it.store, "input", &value), SHEAF_OK);
  CHECK_SLICE(value, "b.jsonl");
  close_store(&it);
}

static void a_decision_waits_for_the_next_run(void **state) {
  (void)state;
  const sheaf_slice none = {NULL, 0};
  stored it = the_store();
  open_store(&it);
  append_life(&it, 0, 5);
  append_json(&it, SHEAF_RECORD_JOB_STATE, 1, "{\"v\":1,\"state\":\"undecided\"}");
  stored reader = the_store();
  reader.options.read_only = 1;
  open_store(&reader);
  sheaf_jobs_store *looks = reader.store;
  assert_int_equal(sheaf_jobs_store_decide(looks, 1, SHEAF_LITERAL("resubmit"), none),
                   SHEAF_E_OTHER_RUN);
  assert_int_equal(sheaf_jobs_store_decide(it.store, 1, SHEAF_LITERAL("resubmit"), none),
                   SHEAF_E_OTHER_RUN);
  close_store(&it);
  assert_int_equal(sheaf_jobs_store_decide(looks, 1, SHEAF_LITERAL("guess"), none), SHEAF_E_FIELD);
  assert_int_equal(sheaf_jobs_store_decide(looks, 1, SHEAF_LITERAL("adopt"), none), SHEAF_E_FIELD);
  assert_int_equal(sheaf_jobs_store_decide(looks, 7, SHEAF_LITERAL("cancel"), none),
                   SHEAF_E_NOT_FOUND);
  assert_non_null(strstr(sheaf_jobs_store_message(looks), "no job 7"));
  assert_int_equal(
      sheaf_jobs_store_decide(looks, 1, SHEAF_LITERAL("adopt"), SHEAF_LITERAL("batch_9")),
      SHEAF_OK);
  sheaf_jobs_store_job job;
  assert_int_equal(sheaf_jobs_store_job_next(looks, 0, &job), SHEAF_OK);
  CHECK_SLICE(job.decision, "adopt batch_9");
  close_store(&reader);
  const char *told = open_store(&it);
  const char *before = told_of_life(5);
  assert_int_equal(strncmp(told, before, strlen(before)), 0);
  const char *last = strstr(told + strlen(before), "22:1{");
  assert_non_null(last);
  assert_non_null(strstr(last, "\"adopt\""));
  assert_non_null(strstr(last, "\"batch_9\""));
  append_life(&it, 5, LIFE);
  close_store(&it);
  open_store(&reader);
  assert_int_equal(sheaf_jobs_store_decide(reader.store, 1, SHEAF_LITERAL("cancel"), none),
                   SHEAF_E_END);
  close_store(&reader);
}

static void a_job_at_the_provider_is_neither_made_again_nor_taken_for_another(void **state) {
  (void)state;
  const sheaf_slice none = {NULL, 0};
  stored it = the_store();
  open_store(&it);
  append_json(&it, SHEAF_RECORD_JOB_PLAN, 1, "{\"v\":1,\"requests\":0}");
  append_json(&it, SHEAF_RECORD_JOB_FACT, 1, "{\"v\":1,\"job\":\"batch_7\"}");
  append_json(&it, SHEAF_RECORD_JOB_STATE, 1, "{\"v\":1,\"state\":\"running\"}");
  close_store(&it);
  it.options.read_only = 1;
  open_store(&it);
  assert_int_equal(sheaf_jobs_store_decide(it.store, 1, SHEAF_LITERAL("resubmit"), none),
                   SHEAF_E_FIELD);
  assert_non_null(strstr(sheaf_jobs_store_message(it.store), "batch_7 (running)"));
  assert_int_equal(
      sheaf_jobs_store_decide(it.store, 1, SHEAF_LITERAL("adopt"), SHEAF_LITERAL("batch_9")),
      SHEAF_E_FIELD);
  assert_int_equal(sheaf_jobs_store_decide(it.store, 1, SHEAF_LITERAL("abandon"), none), SHEAF_OK);
  close_store(&it);
}

static void people_read_it_with_other_programs(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  append_life(&it, 0, 7);
  FILE *python = popen(
      "python3 -c \"import sqlite3\n"
      "db = sqlite3.connect('file:" STATE
      "?mode=ro', uri=True)\n"
      "print(*[t for t, in db.execute('select type from event_list')])\n"
      "print(*db.execute('select state, model, requests, created from job_list').fetchone())\n"
      "print(*db.execute('select idx, id_hash, fingerprint from request_list').fetchone())\n"
      "\" 2>&1",
      "r");
  assert_non_null(python);
  char text[1024];
  size_t bytes = fread(text, 1, sizeof text - 1, python);
  int how = pclose(python);
  close_store(&it);
  if (WIFEXITED(how) && WEXITSTATUS(how) == 127) skip(); /* no Python here */
  text[bytes] = '\0';
  assert_string_equal(text,
                      "rows plan intent fact intent fact state\n"
                      "running m 3 1970-01-01T00:00:01.000Z\n"
                      "7 fffffffffffffff8 07070707070707070707070707070707\n");
}

/* ---- Spool ---- */

static int32_t spool(stored *it, uint64_t job, uint64_t offset, const char *text) {
  const sheaf_spool *door = sheaf_jobs_store_spool(it->store);
  return door->append(door->ctx, job, offset, sheaf_slice_of(text));
}

static const char *spooled(stored *it, uint64_t job, uint64_t offset) {
  static char text[64];
  const sheaf_spool *door = sheaf_jobs_store_spool(it->store);
  int64_t got = door->read(door->ctx, job, offset, text, sizeof text - 1);
  assert_true(got >= 0);
  text[got] = '\0';
  return text;
}

static void rows_wait_at_their_offsets(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  const sheaf_spool *door = sheaf_jobs_store_spool(it.store);
  assert_string_equal(spooled(&it, 1, 0), "");
  assert_int_equal(spool(&it, 1, 0, "hello "), SHEAF_OK);
  assert_int_equal(spool(&it, 1, 6, "world"), SHEAF_OK);
  assert_int_equal(spool(&it, 2, 0, "other"), SHEAF_OK);
  assert_string_equal(spooled(&it, 1, 6), "world");
  assert_string_equal(spooled(&it, 1, 11), "");
  assert_int_equal(spool(&it, 1, 6, "moon"), SHEAF_OK); /* cut in the file */
  assert_int_equal(spool(&it, 1, 8, "uth"), SHEAF_OK);  /* cut in the buffer */
  assert_int_equal(spool(&it, 1, 99, "gap"), SHEAF_E_IO);
  assert_int_equal(door->seal(door->ctx, 1), SHEAF_OK);
  assert_string_equal(spooled(&it, 1, 0), "hello mouth");
  struct stat facts;
  assert_int_equal(stat(STATE ".spool", &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0700);
  assert_int_equal(stat(STATE ".spool/1.rows", &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0600);
  door->drop(door->ctx, 2);
  assert_true(is_there(STATE ".spool/1.rows"));
  assert_false(is_there(STATE ".spool/2.rows"));
  door->drop(door->ctx, 1);
  assert_false(is_there(STATE ".spool"));
  door->drop(door->ctx, 1); /* once more does no harm */
  assert_int_equal(spool(&it, 3, 0, "again"), SHEAF_OK);
  assert_string_equal(spooled(&it, 3, 0), "again");
  close_store(&it);
}

static void long_rows_and_many_jobs_go_through_few_descriptors(void **state) {
  (void)state;
  enum { JOBS = 150, BYTES = 300000, TURNS = 3 };
  static char text[BYTES];
  stored it = the_store();
  open_store(&it);
  const sheaf_spool *door = sheaf_jobs_store_spool(it.store);
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlim_t was = limit.rlim_cur;
  limit.rlim_cur = 100;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  for (uint64_t turn = 0; turn < TURNS; turn++) {
    for (uint64_t job = 1; job <= JOBS; job++) {
      char one[32];
      snprintf(one, sizeof one, "%03u-%02u;", (unsigned)job, (unsigned)turn);
      assert_int_equal(spool(&it, job, turn * 7, one), SHEAF_OK);
    }
  }
  assert_string_equal(spooled(&it, 1, 0), "001-00;001-01;001-02;");
  assert_string_equal(spooled(&it, JOBS, 7), "150-01;150-02;");
  memset(text, 'x', sizeof text);
  sheaf_slice big = {text, sizeof text};
  assert_int_equal(door->append(door->ctx, 1, 21, big), SHEAF_OK);
  assert_int_equal(spool(&it, 1, 21 + BYTES, "end"), SHEAF_OK);
  assert_string_equal(spooled(&it, 1, 21 + BYTES - 1), "xend");
  limit.rlim_cur = was;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  close_store(&it);
}

static void a_link_to_the_file_leads_to_the_same_rows(void **state) {
  (void)state;
  stored it = the_store();
  open_store(&it);
  append_life(&it, 0, 2);
  assert_int_equal(spool(&it, 1, 0, "rows"), SHEAF_OK);
  close_store(&it);
  assert_int_equal(symlink(STATE, "link"), 0);
  it.options.path = "link";
  open_store(&it);
  assert_string_equal(spooled(&it, 1, 0), "rows");
  close_store(&it);
}

static void a_spool_outlives_a_kill_and_goes_with_its_job(void **state) {
  (void)state;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    stored it = the_store();
    open_store(&it);
    const sheaf_spool *door = sheaf_jobs_store_spool(it.store);
    for (uint64_t job = 1; job <= 3; job++) {
      spool(&it, job, 0, "rows");
      door->seal(door->ctx, job);
    }
    append_life(&it, 0, 2); /* 1 is planned */
    append_json(&it, SHEAF_RECORD_JOB_PLAN, 3, "{\"v\":1}");
    append_json(&it, SHEAF_RECORD_JOB_OVER, 3, "{\"v\":1}"); /* over, not dropped yet */
    spool(&it, 1, 4, "lost with the buffer");
    kill(getpid(), SIGKILL);
  }
  int how = 0;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFSIGNALED(how));
  stored it = the_store();
  open_store(&it);
  assert_string_equal(spooled(&it, 1, 0), "rows");
  assert_false(is_there(STATE ".spool/2.rows"));
  assert_false(is_there(STATE ".spool/3.rows"));
  close_store(&it);
}

static void a_spool_that_cannot_be_written_says_so(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  stored it = the_store();
  open_store(&it);
  const sheaf_spool *door = sheaf_jobs_store_spool(it.store);
  assert_int_equal(spool(&it, 1, 0, "0123456789"), SHEAF_OK);
  limit_file_size(4);
  assert_int_equal(door->seal(door->ctx, 1), SHEAF_E_IO);
  limit_file_size(RLIM_INFINITY);
  assert_non_null(strstr(sheaf_jobs_store_message(it.store), "cannot be written"));
  close_store(&it);
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup(name, fresh_store)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(records_come_back_in_their_order_after_every_one),
      CASE(a_kill_between_any_two_records_loses_none),
      CASE(several_jobs_keep_the_order_of_their_records),
      CASE(a_job_given_up_is_told_as_over),
      CASE(nothing_is_written_before_earlier_jobs_were_told),
      CASE(an_engine_that_is_not_open_hears_later),
      CASE(records_of_live_rows_go_beside_the_output_and_come_behind_those_of_jobs),
      CASE(results_are_in_the_file_before_their_job_is_over),
      CASE(a_job_is_not_over_when_its_results_cannot_be_written),
      CASE(a_full_disk_ends_all_writing),
      CASE(a_record_that_cannot_be_read_is_refused),
      CASE(strangers_files_are_left_as_they_are),
      CASE(a_newer_file_is_left_to_the_newer_program),
      CASE(an_older_file_is_brought_up_to_date),
      CASE(an_empty_file_is_taken),
      CASE(damage_is_told_with_a_sentence),
      CASE(rows_that_are_missing_are_damage),
      CASE(one_run_has_the_file_and_readers_look_beside_it),
      CASE(a_reader_makes_nothing),
      CASE(a_silent_run_of_this_machine_keeps_its_file),
      CASE(a_run_elsewhere_is_taken_over_when_its_lease_is_out_and_writes_no_more),
      CASE(a_process_with_the_number_of_a_dead_one_is_not_taken_for_it),
      CASE(a_lease_is_renewed_in_time),
      CASE(a_network_file_system_gets_a_journal_and_a_lock),
      CASE(a_job_shows_what_its_records_say),
      CASE(events_are_the_records_one_by_one),
      CASE(notes_outlive_the_run),
      CASE(a_decision_waits_for_the_next_run),
      CASE(a_job_at_the_provider_is_neither_made_again_nor_taken_for_another),
      CASE(people_read_it_with_other_programs),
      CASE(rows_wait_at_their_offsets),
      CASE(long_rows_and_many_jobs_go_through_few_descriptors),
      CASE(a_link_to_the_file_leads_to_the_same_rows),
      CASE(a_spool_outlives_a_kill_and_goes_with_its_job),
      CASE(a_spool_that_cannot_be_written_says_so),
  };
  return cmocka_run_group_tests_name("store", tests, in_its_own_directory, leave_store);
}
