/* store_log.c: OUT.sheaf, the framed log beside the output: what may be sent is written there before it is sent.
 *
 *   read    an earlier log: checked, its run compared with this one, its ranges noted; nothing on disk changes
 *   begin   a torn tail cut, or a new log; then this run's record
 *   append  the engine's records, at once; with sync full they are on the disk when it answers
 *   pump    the records of earlier runs, to the engine
 *   end     the log goes away when every row has its line */
#include "files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#define RUN_HEAD_BYTES 4096u /* of the input, that tell one input from another */
#define PUMP_RECORDS 256u    /* told to the engine at once */

/* ---- Spans: rows that may have been sent ---- */

/* Puts spans [from, to) away and with them room for count new ones. */
static int32_t splice(sheaf__runlog *it, size_t from, size_t to, const sheaf__span *spans,
                      size_t count) {
  size_t total = it->span_count - (to - from) + count;
  if (total > it->span_capacity) {
    size_t capacity = total + total / 2 + 16;
    sheaf__span *grown = realloc(it->spans, capacity * sizeof *grown);
    if (grown == NULL) return SHEAF_E_NOMEM;
    it->spans = grown;
    it->span_capacity = capacity;
  }
  if (it->span_count > to) {
    memmove(it->spans + from + count, it->spans + to, (it->span_count - to) * sizeof *spans);
  }
  if (count > 0) memcpy(it->spans + from, spans, count * sizeof *spans);
  it->span_count = total;
  return SHEAF_OK;
}

/* The first span that ends at row or behind it. */
static size_t span_at(const sheaf__runlog *it, uint64_t row) {
  size_t low = 0;
  size_t high = it->span_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (it->spans[middle].last < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static int32_t add_span(sheaf__runlog *it, uint64_t first, uint64_t last) {
  size_t from = span_at(it, first == 0 ? 0 : first - 1); /* what only touches it joins it too */
  size_t to = from;
  sheaf__span joined = {first, last};
  while (to < it->span_count && (last == UINT64_MAX || it->spans[to].first <= last + 1)) {
    if (it->spans[to].first < joined.first) joined.first = it->spans[to].first;
    if (it->spans[to].last > joined.last) joined.last = it->spans[to].last;
    to++;
  }
  return splice(it, from, to, &joined, 1);
}

static int32_t remove_span(sheaf__runlog *it, uint64_t first, uint64_t last) {
  size_t from = span_at(it, first);
  size_t to = from;
  sheaf__span rest[2];
  size_t count = 0;
  while (to < it->span_count && it->spans[to].first <= last) {
    sheaf__span span = it->spans[to++];
    if (span.first < first) rest[count++] = (sheaf__span){span.first, first - 1};
    if (span.last > last) rest[count++] = (sheaf__span){last + 1, span.last};
  }
  return splice(it, from, to, rest, count);
}

bool sheaf__runlog_may_have_sent(sheaf__runlog *it, uint64_t index) {
  while (it->span_at < it->span_count && it->spans[it->span_at].last < index) it->span_at++;
  return it->span_at < it->span_count && it->spans[it->span_at].first <= index;
}

/* ---- This run's record ---- */

/* FNV-1a: tells inputs apart by accident, not by design; each row's fingerprint does the real check. */
static uint64_t hash_head(int fd, bool *known) {
  char head[RUN_HEAD_BYTES];
  ssize_t got = pread(fd, head, sizeof head, 0);
  uint64_t hash = 0xcbf29ce484222325u;
  for (ssize_t i = 0; i < got; i++) hash = (hash ^ (unsigned char)head[i]) * 0x100000001b3u;
  *known = got >= 0;
  return hash;
}

static int64_t unix_ms(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t make_run_record(sheaf_files *files) {
  sheaf_buf *run = &files->runlog.run;
  const char *slash = strrchr(files->input_name, '/');
  sheaf_buf_reset(run);
  sheaf_buf_append_text(run, "{\"input\":");
  sheaf_buf_append_string(run, sheaf_slice_of(slash != NULL ? slash + 1 : files->input_name));
  if (files->input_bytes != SHEAF_NEVER) {
    bool known;
    uint64_t hash = hash_head(files->rows.input.fd, &known);
    sheaf_buf_append_text(run, ",\"input_bytes\":");
    sheaf_buf_append_u64(run, files->input_bytes);
    sheaf_buf_append_text(run, ",\"input_head\":\"");
    sheaf_buf_append_u64(run, known ? hash : 0);
    sheaf_buf_append_text(run, "\"");
  }
  sheaf_buf_append_text(run, ",\"version\":");
  sheaf_buf_append_string(run, sheaf_slice_of(sheaf_version()));
  sheaf_buf_append_text(run, ",\"created_unix_ms\":");
  sheaf_buf_append_i64(run, unix_ms());
  sheaf_buf_append_text(run, "}");
  return run->status;
}

static bool same_text(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Whether an earlier run had another input. A name alone may change, and so may the content of an input that was mended
 * or grew; a pipe has neither size nor head to compare. */
static bool has_other_input(sheaf_files *files, sheaf_slice earlier) {
  static const char *const paths[] = {"input", "input_bytes", "input_head"};
  sheaf_slice was[3];
  sheaf_slice is[3];
  sheaf_slice run = sheaf_buf_slice(&files->runlog.run);
  if (sheaf_json_pick(earlier, paths, 3, was, NULL, NULL) != SHEAF_OK) return false;
  if (sheaf_json_pick(run, paths, 3, is, NULL, NULL) != SHEAF_OK) return false;
  if (same_text(was[0], is[0]) || was[1].bytes == 0 || is[1].bytes == 0) return false;
  return !same_text(was[1], is[1]) || !same_text(was[2], is[2]);
}

/* ---- Reading an earlier log ---- */

static int32_t take_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  sheaf_files *files = ctx;
  (void)seq;
  if (type == SHEAF_RECORD_RUN && has_other_input(files, payload)) return SHEAF_E_OTHER_RUN;
  if (type != SHEAF_RECORD_RANGE && type != SHEAF_RECORD_VOID) return SHEAF_OK;
  sheaf_range range;
  if (sheaf_range_read(payload, &range) != SHEAF_OK || range.last < range.first) {
    return SHEAF_E_CORRUPT;
  }
  return type == SHEAF_RECORD_RANGE ? add_span(&files->runlog, range.first, range.last)
                                    : remove_span(&files->runlog, range.first, range.last);
}

static int32_t log_failed(sheaf_files *files, int32_t status) {
  const char *log = files->log_path;
  const char *output = files->output_name;
  switch (status) {
    case SHEAF_E_OTHER_RUN:
      return sheaf__say(&files->said, status,
                        "%s belongs to a run of another input; use another -o, or --no-resume to "
                        "start over (the old "
                        "file is kept as %s.bak)",
                        output, output);
    case SHEAF_E_VERSION:
      return sheaf__say(
          &files->said, status,
          "%s was written by a newer sheaf; go on with that one, or use --no-resume to start over",
          log);
    case SHEAF_E_NOMEM:
      return sheaf__say(&files->said, status, "%s: out of memory to read it; free some", log);
    case SHEAF_E_IO:
      return sheaf__say(&files->said, status, "%s: %s; mend that, or use another -o", log,
                        strerror(errno));
    default:
      return sheaf__say(
          &files->said, SHEAF_E_CORRUPT,
          "%s is damaged: what was sent before is not known for sure. Move it away to go on (rows "
          "in "
          "flight at the end of that run may be sent again), or use --no-resume to start over",
          log);
  }
}

/* The whole log in memory: about 60 bytes for 256 rows. */
static int32_t load(sheaf__runlog *it) {
  struct stat facts;
  if (fstat(it->fd, &facts) != 0) return SHEAF_E_IO;
  size_t bytes = (size_t)facts.st_size;
  it->earlier = malloc(bytes + 1);
  if (it->earlier == NULL) return SHEAF_E_NOMEM;
  while (it->earlier_bytes < bytes) {
    ssize_t got = pread(it->fd, it->earlier + it->earlier_bytes, bytes - it->earlier_bytes,
                        (off_t)it->earlier_bytes);
    if (got == 0) break;
    if (got < 0 && errno != EINTR) return SHEAF_E_IO;
    if (got > 0) it->earlier_bytes += (size_t)got;
  }
  return SHEAF_OK;
}

/* A log whose output was deleted speaks of results that nobody has: it is set aside. */
static int32_t drop_orphan(sheaf_files *files) {
  char *backup = sheaf__text_join(files->log_path, ".bak");
  bool moved = backup != NULL && (rename(files->log_path, backup) == 0 || errno == ENOENT);
  free(backup);
  return moved ? SHEAF_OK : log_failed(files, SHEAF_E_IO);
}

int32_t sheaf__runlog_read(sheaf_files *files) {
  sheaf__runlog *it = &files->runlog;
  sheaf_log_report report;
  if (make_run_record(files) != SHEAF_OK) return log_failed(files, SHEAF_E_NOMEM);
  if (!files->output.existed) return drop_orphan(files);
  it->fd = open(files->log_path, O_RDWR | O_CLOEXEC);
  if (it->fd < 0 && errno == ENOENT) return SHEAF_OK;
  int32_t status = it->fd < 0 ? SHEAF_E_IO : load(it);
  if (status != SHEAF_OK) return log_failed(files, status);
  sheaf_slice bytes = {it->earlier, it->earlier_bytes};
  status = sheaf_log_read(&it->log, bytes, SHEAF_RECORD_END, take_frame, files, &report);
  if (status == SHEAF_E_PARTIAL) { /* it died while the header was written: nothing was promised */
    free(it->earlier);
    it->earlier = NULL;
    it->earlier_bytes = 0;
    return SHEAF_OK;
  }
  if (status != SHEAF_OK) return log_failed(files, status);
  it->bytes = report.bytes_valid;
  it->earlier_bytes = (size_t)report.bytes_valid;
  return SHEAF_OK;
}

/* ---- Writing ---- */

static bool is_synced(const sheaf_files *files) {
  return files->options.sync == SHEAF_SYNC_FULL;
}

static int32_t write_failed(sheaf_files *files) {
  files->runlog.failed = true;
  return sheaf__say(
      &files->said, SHEAF_E_STORE,
      "%s: cannot be written: %s; nothing more is sent; mend that and run the same command again",
      files->log_path, strerror(errno));
}

/* Writes frames. A failure is final, for a store that failed once is not trusted again; what was torn by it is cut. */
static int32_t write_frames(sheaf_files *files) {
  sheaf__runlog *it = &files->runlog;
  size_t done;
  if (it->frames.status != SHEAF_OK) {
    errno = ENOMEM;
    return write_failed(files);
  }
  if (!sheaf__write_all(it->fd, it->frames.data, it->frames.bytes, it->bytes, &done)) {
    int32_t status = write_failed(files);
    if (ftruncate(it->fd, (off_t)it->bytes) != 0)
      return status; /* the torn tail stays: opening cuts it */
    return status;
  }
  it->bytes += done;
  if (!is_synced(files)) return SHEAF_OK;
  if (fdatasync(it->fd) != 0) return write_failed(files);
  it->log.synced = it->log.seq;
  return SHEAF_OK;
}

static int32_t append_run(sheaf_files *files) {
  sheaf__runlog *it = &files->runlog;
  sheaf_log_frame(&it->log, SHEAF_RECORD_RUN, sheaf_buf_slice(&it->run), &it->frames);
  return write_frames(files);
}

int32_t sheaf__runlog_begin(sheaf_files *files) {
  sheaf__runlog *it = &files->runlog;
  sheaf_buf_reset(&it->frames);
  if (it->earlier != NULL) {
    if (ftruncate(it->fd, (off_t)it->bytes) != 0) return log_failed(files, SHEAF_E_IO);
    return append_run(files);
  }
  if (it->fd < 0) it->fd = open(files->log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  uint64_t salt = 0;
  if (it->fd < 0 || ftruncate(it->fd, 0) != 0 || getentropy(&salt, sizeof salt) != 0) {
    return log_failed(files, SHEAF_E_IO);
  }
  it->bytes = 0;
  sheaf_log_begin(&it->log, salt, unix_ms(), &it->frames);
  int32_t status = append_run(files);
  if (status == SHEAF_OK && is_synced(files) && !sheaf__sync_directory(files->log_path)) {
    return write_failed(files);
  }
  return status;
}

static int32_t append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  sheaf_files *files = ctx;
  sheaf__runlog *it = &files->runlog;
  (void)ticket;
  if (it->failed) return SHEAF_E_STORE;
  sheaf_buf_reset(&it->frames);
  for (uint32_t i = 0; i < count; i++) {
    int32_t status = sheaf_log_frame(&it->log, records[i].type, records[i].payload, &it->frames);
    if (status == SHEAF_E_TOO_LONG) errno = EMSGSIZE;
    if (status == SHEAF_E_NOMEM) errno = ENOMEM;
    if (status != SHEAF_OK) return write_failed(files);
  }
  int32_t status = write_frames(files);
  return status == SHEAF_OK ? SHEAF_E_END : status; /* written already, no answer follows */
}

int32_t sheaf__runlog_end(sheaf_files *files, bool remove_it) {
  sheaf__runlog *it = &files->runlog;
  if (it->fd < 0 || it->failed) return SHEAF_OK;
  if (remove_it) {
    if (unlink(files->log_path) != 0 && errno != ENOENT) return log_failed(files, SHEAF_E_IO);
    close(it->fd);
    it->fd = -1;
    return SHEAF_OK;
  }
  sheaf_slice nothing = {NULL, 0};
  sheaf_buf_reset(&it->frames);
  sheaf_log_frame(&it->log, SHEAF_RECORD_END, nothing, &it->frames);
  return write_frames(files);
}

/* ---- Telling the engine ---- */

static int32_t scan(void *ctx) {
  sheaf_files *files = ctx;
  if (files->runlog.earlier == NULL) return SHEAF_E_END; /* there are none, or pump was first */
  files->runlog.wanted = true;
  return SHEAF_OK;
}

typedef struct telling {
  sheaf_engine *engine;
  sheaf_record records[PUMP_RECORDS];
  uint32_t count;
} telling;

static int32_t tell(telling *it) {
  uint32_t count = it->count;
  it->count = 0;
  return count == 0 ? SHEAF_OK : sheaf_engine_on_scanned(it->engine, it->records, count);
}

static int32_t tell_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  telling *it = ctx;
  (void)seq;
  it->records[it->count++] = (sheaf_record){.type = type, .payload = payload};
  return it->count == PUMP_RECORDS ? tell(it) : SHEAF_OK;
}

/* An engine with a store is recovering from the start, so nothing has to wait for its asking. One that is not open yet, or
 * has no store, answers that it is misused: unless it asked, that is no failure, and the records stay. */
int32_t sheaf_files_pump(sheaf_files *files) {
  sheaf__runlog *it = &files->runlog;
  if (it->earlier == NULL) return SHEAF_OK;
  if (files->engine == NULL) return it->wanted ? SHEAF_E_MISUSE : SHEAF_OK;
  telling all = {.engine = files->engine};
  sheaf_log log; /* the open one goes on behind this run's record */
  sheaf_log_report report;
  sheaf_slice bytes = {it->earlier, it->earlier_bytes};
  int32_t status = sheaf_log_read(&log, bytes, SHEAF_RECORD_END, tell_frame, &all, &report);
  if (status == SHEAF_OK) status = tell(&all);
  if (status == SHEAF_OK) status = sheaf_engine_on_scanned(files->engine, NULL, 0);
  if (status == SHEAF_E_MISUSE && !it->wanted) return SHEAF_OK;
  if (status != SHEAF_OK) return log_failed(files, status);
  free(it->earlier);
  it->earlier = NULL;
  return SHEAF_OK;
}

void sheaf__runlog_deinit(sheaf__runlog *it) {
  if (it->fd >= 0) close(it->fd);
  free(it->earlier);
  free(it->spans);
  sheaf_buf_deinit(&it->run);
  sheaf_buf_deinit(&it->frames);
  *it = (sheaf__runlog){.fd = -1};
}

void sheaf__store_bind(sheaf_files *files) {
  files->store = (sheaf_store){
      .struct_bytes = sizeof(sheaf_store), .ctx = files, .append = append, .scan = scan};
}
