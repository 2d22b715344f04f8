/* fuzz_log.c: damaged logs: opening never crashes, is repeatable, and what it leaves can be gone on with.
 *
 * Bytes behind a first byte below 128 are the file itself. Otherwise they are a script: a log is written from it
 * (frames, syncs), then damaged (bytes changed, the end cut), so that checksums do not stop the fuzzer. */
#include <sheaf/line.h>

#include "base/mem.h"

#include "test_alloc.h"

enum { FRAMES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct script {
  const uint8_t *at;
  size_t left;
} script;

static uint8_t next_byte(script *s) {
  if (s->left == 0) return 0;
  s->left--;
  return *s->at++;
}

static int32_t count_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  uint64_t *count = ctx;
  SHEAF_ASSERT(type > 0 && type < 256 && seq == ++*count);
  SHEAF_ASSERT(payload.bytes < SHEAF_LOG_FRAME_BYTES_MAX);
  return SHEAF_OK;
}

/* Writes a log; durable is how many frames some later frame calls durable. */
static void write_log(script *s, sheaf_buf *file, uint64_t *durable) {
  static const char payload[256];
  sheaf_log log;
  SHEAF_ASSERT(sheaf_log_begin(&log, 0x1234567812345678, 1, file) == SHEAF_OK);
  const unsigned frames = next_byte(s) % FRAMES_MAX;
  for (unsigned i = 0; i < frames; i++) {
    const uint8_t op = next_byte(s);
    const sheaf_slice slice = {payload, op >> 1};
    *durable = log.synced;
    SHEAF_ASSERT(sheaf_log_frame(&log, 1 + i % 4, slice, file) == SHEAF_OK);
    if (op & 1) log.synced = log.seq;
  }
}

/* Behind the durable part everything may be torn. */
static void damage_tail(script *s, sheaf_buf *file, size_t from) {
  const unsigned changes = next_byte(s) % 8;
  for (unsigned i = 0; i < changes && from < file->bytes; i++) {
    const size_t place = (size_t)next_byte(s) << 8 | next_byte(s);
    const size_t at = from + place % (file->bytes - from);
    file->data[at] = (char)next_byte(s);
  }
}

/* Opens the file as a host does, twice, and goes on with it. */
static void open_log(const sheaf_allocator *allocator, sheaf_slice file, uint64_t durable) {
  sheaf_log log, again;
  sheaf_log_report report, repeated;
  uint64_t count = 0;
  const int32_t status = sheaf_log_read(&log, file, 4, count_frame, &count, &report);
  const int32_t second = sheaf_log_read(&again, file, 4, NULL, NULL, &repeated);
  SHEAF_ASSERT(second == status && memcmp(&report, &repeated, sizeof report) == 0);
  SHEAF_ASSERT(report.bytes_valid + report.bytes_dropped <= file.bytes);
  SHEAF_ASSERT(durable == 0 || status == SHEAF_OK);
  if (status != SHEAF_OK) return;
  SHEAF_ASSERT(count == report.frames && count == log.seq && count >= durable);

  sheaf_buf next;
  sheaf_buf_init(&next, allocator, SIZE_MAX / 2);
  sheaf_buf_append(&next, file.data, report.bytes_valid);
  SHEAF_ASSERT(sheaf_log_frame(&log, 1, SHEAF_LITERAL("more"), &next) == SHEAF_OK);
  SHEAF_ASSERT(sheaf_log_read(&again, sheaf_buf_slice(&next), 4, NULL, NULL, &repeated) ==
               SHEAF_OK);
  SHEAF_ASSERT(repeated.frames == count + 1 && repeated.bytes_dropped == 0);
  SHEAF_ASSERT(repeated.bytes_valid == next.bytes && again.crc == log.crc);
  sheaf_buf_deinit(&next);
}

static void run_script(const sheaf_allocator *allocator, script *s) {
  sheaf_buf file;
  sheaf_log log;
  sheaf_log_report report;
  uint64_t durable = 0;
  sheaf_buf_init(&file, allocator, SIZE_MAX / 2);
  write_log(s, &file, &durable);
  SHEAF_ASSERT(sheaf_log_read(&log, sheaf_buf_slice(&file), 4, NULL, NULL, &report) == SHEAF_OK);
  SHEAF_ASSERT(report.bytes_valid == file.bytes && log.synced == durable);

  /* Where the durable frames end: read as much as gives that many. */
  size_t from = SHEAF_LOG_HEADER_BYTES;
  for (uint64_t i = 0; i < durable; i++) {
    uint32_t length;
    memcpy(&length, file.data + from, sizeof length);
    from += (length + 11) & ~7u;
  }
  damage_tail(s, &file, from);
  const size_t cut = (size_t)next_byte(s) << 8 | next_byte(s);
  if (file.bytes - from > cut) file.bytes -= cut;
  open_log(allocator, sheaf_buf_slice(&file), durable);

  damage_tail(s, &file, 0); /* now anything may be damaged: any answer, but no crash */
  open_log(allocator, sheaf_buf_slice(&file), 0);
  sheaf_buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  if (bytes == 0) return 0;
  if (data[0] < 128) {
    open_log(&allocator, (sheaf_slice){(const char *)data + 1, bytes - 1}, 0);
  } else {
    script s = {data + 1, bytes - 1};
    run_script(&allocator, &s);
  }
  SHEAF_ASSERT(memory.live_blocks == 0 && !memory.size_mismatch);
  return 0;
}
