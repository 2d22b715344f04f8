/* fuzz_job_records.c: any bytes as what jobs keep or get back: records, spool entries, ids, result
 * lines. What reads is written and reads again, and writing that gives the same bytes.
 *
 * The first byte chooses: 0 to 6 a record of that type, 7 an entry, 8 an id, 9 lines in two chunks
 * (the second byte says where the first ends). */
#include <sheaf/jobs.h>

#include "base/mem.h"
#include "lanes/batch_lines.h"
#include "lanes/batch_rows.h"

#include "test_alloc.h"

enum { KIND_ENTRY = 7, KIND_ID = 8, KIND_LINES = 9, KINDS = 10, LINE_BYTES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool is_failure(int32_t status) {
  return status == SHEAF_E_SYNTAX || status == SHEAF_E_VERSION;
}

/* The payload of a record: the flight's id, then what is written. */
static void write_record(const sheaf_job_record *record, sheaf_buf *to) {
  uint8_t flight[8];
  for (unsigned i = 0; i < 8; i++) flight[i] = (uint8_t)(record->flight >> (8 * i));
  SHEAF_ASSERT(sheaf_buf_append(to, flight, sizeof flight) == SHEAF_OK);
  SHEAF_ASSERT(sheaf_job_record_write(record, to) == SHEAF_OK);
}

static void check_rows(const sheaf_allocator *allocator, sheaf_slice bytes) {
  sheaf__job_rows rows;
  sheaf_buf again;
  uint64_t place = 0;
  sheaf__job_rows_init(&rows, allocator, SHEAF__JOB_ROWS_MAX);
  sheaf_buf_init(&again, allocator, SIZE_MAX / 2);
  SHEAF_ASSERT(sheaf__job_rows_read(&rows, bytes) == SHEAF_OK);
  while (sheaf__job_rows_write(&rows, &place, &again) == SHEAF_OK) continue;
  SHEAF_ASSERT(sheaf__slice_equal(sheaf_buf_slice(&again), bytes));
  for (uint64_t i = 0; i < rows.count; i++) {
    const uint64_t index = sheaf__job_rows_at(&rows, i)->index;
    const uint64_t found = sheaf__job_rows_find(&rows, index);
    SHEAF_ASSERT(found < rows.count && sheaf__job_rows_at(&rows, found)->index == index);
  }
  sheaf_buf_deinit(&again);
  sheaf__job_rows_deinit(&rows);
}

static void check_record(const sheaf_allocator *allocator, uint32_t type, sheaf_slice payload) {
  sheaf_buf scratch, once, twice;
  sheaf_job_record record;
  sheaf_buf_init(&scratch, allocator, SIZE_MAX / 2);
  sheaf_buf_init(&once, allocator, SIZE_MAX / 2);
  sheaf_buf_init(&twice, allocator, SIZE_MAX / 2);
  const int32_t status = sheaf_job_record_read(type, payload, &scratch, &record);
  SHEAF_ASSERT(status == SHEAF_OK || is_failure(status));
  if (status == SHEAF_OK) {
    write_record(&record, &once);
    SHEAF_ASSERT(sheaf_job_record_read(type, sheaf_buf_slice(&once), &scratch, &record) ==
                 SHEAF_OK);
    write_record(&record, &twice);
    SHEAF_ASSERT(sheaf__slice_equal(sheaf_buf_slice(&once), sheaf_buf_slice(&twice)));
    if (type == SHEAF_RECORD_JOB_ROWS) check_rows(allocator, record.rows);
  } else {
    SHEAF_ASSERT(scratch.bytes == 0);
  }
  sheaf_buf_deinit(&scratch);
  sheaf_buf_deinit(&once);
  sheaf_buf_deinit(&twice);
}

static void check_entry(const sheaf_allocator *allocator, sheaf_slice bytes) {
  sheaf_buf scratch, once, twice;
  sheaf_job_entry entry;
  uint64_t whole, again;
  sheaf_buf_init(&scratch, allocator, SIZE_MAX / 2);
  sheaf_buf_init(&once, allocator, SIZE_MAX / 2);
  sheaf_buf_init(&twice, allocator, SIZE_MAX / 2);
  const int32_t status = sheaf_job_entry_read(bytes, &scratch, &whole, &entry);
  SHEAF_ASSERT(status == SHEAF_OK || is_failure(status) || status == SHEAF_E_PARTIAL);
  if (status == SHEAF_E_PARTIAL) SHEAF_ASSERT(whole ? whole > bytes.bytes : bytes.bytes < 8);
  if (status == SHEAF_OK) {
    SHEAF_ASSERT(whole <= bytes.bytes && entry.row.data + entry.row.bytes == bytes.data + whole);
    SHEAF_ASSERT(sheaf_job_entry_write(&entry, &once) == SHEAF_OK);
    SHEAF_ASSERT(sheaf_job_entry_read(sheaf_buf_slice(&once), &scratch, &again, &entry) ==
                 SHEAF_OK);
    SHEAF_ASSERT(again == once.bytes);
    SHEAF_ASSERT(sheaf_job_entry_write(&entry, &twice) == SHEAF_OK);
    SHEAF_ASSERT(sheaf__slice_equal(sheaf_buf_slice(&once), sheaf_buf_slice(&twice)));
  }
  sheaf_buf_deinit(&scratch);
  sheaf_buf_deinit(&once);
  sheaf_buf_deinit(&twice);
}

/* As an id that came, and as a custom_id that goes. */
static void check_id(sheaf_slice bytes) {
  char id[SHEAF_JOB_ID_BYTES_MAX];
  sheaf_job_id read;
  if (sheaf_job_id_read(bytes, &read) == SHEAF_OK && read.custom_id.bytes) {
    const sheaf_slice same = sheaf_job_id_write(read.place, read.custom_id, id);
    SHEAF_ASSERT(sheaf__slice_equal(same, bytes));
  }
  const uint64_t place = bytes.bytes * 977;
  const sheaf_slice written = sheaf_job_id_write(place, bytes, id);
  SHEAF_ASSERT(written.bytes <= SHEAF_JOB_ID_BYTES_MAX);
  SHEAF_ASSERT(sheaf_job_id_read(written, &read) == SHEAF_OK);
  SHEAF_ASSERT(read.place == place && read.hash == sheaf_job_id_hash(bytes));
}

/* A hash over all lines and refusals, in order. */
static uint64_t take_lines(sheaf__lines *lines, uint64_t hash) {
  for (;;) {
    sheaf_slice line = {NULL, 0};
    const int32_t status = sheaf__lines_next(lines, &line);
    if (status == SHEAF_E_EMPTY || status == SHEAF_E_END) return hash;
    SHEAF_ASSERT(status == SHEAF_E_TOO_LONG || (status == SHEAF_OK && line.bytes > 0));
    SHEAF_ASSERT(line.bytes <= LINE_BYTES_MAX &&
                 !memchr(line.bytes ? line.data : "", '\n', line.bytes));
    hash = (hash ^ sheaf_job_id_hash(line)) * 31 + 1;
  }
}

static void check_lines(const sheaf_allocator *allocator, sheaf_slice bytes) {
  sheaf__lines lines;
  if (bytes.bytes == 0) return;
  const size_t first = (uint8_t)bytes.data[0];
  bytes = sheaf__slice_from(bytes, 1);
  uint64_t hashes[2] = {0, 0};
  for (int cut = 0; cut < 2; cut++) {
    const size_t at = cut && first < bytes.bytes ? first : bytes.bytes;
    sheaf__lines_init(&lines, allocator, LINE_BYTES_MAX);
    SHEAF_ASSERT(sheaf__lines_feed(&lines, (sheaf_slice){bytes.data, at}) == SHEAF_OK);
    hashes[cut] = take_lines(&lines, 0);
    SHEAF_ASSERT(sheaf__lines_feed(&lines, sheaf__slice_from(bytes, at)) == SHEAF_OK);
    hashes[cut] = take_lines(&lines, hashes[cut]);
    sheaf__lines_end(&lines);
    hashes[cut] = take_lines(&lines, hashes[cut]);
    sheaf__lines_deinit(&lines);
  }
  SHEAF_ASSERT(hashes[0] == hashes[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  test_alloc memory = {0};
  const sheaf_allocator allocator = test_allocator(&memory);
  if (bytes == 0) return 0;
  const sheaf_slice rest = {(const char *)data + 1, bytes - 1};
  const uint32_t kind = data[0] % KINDS;
  if (kind == KIND_ENTRY) {
    check_entry(&allocator, rest);
  } else if (kind == KIND_ID) {
    check_id(rest);
  } else if (kind == KIND_LINES) {
    check_lines(&allocator, rest);
  } else {
    check_record(&allocator, SHEAF_RECORD_JOB_ROWS + kind, rest);
  }
  SHEAF_ASSERT(memory.live_blocks == 0 && !memory.size_mismatch);
  return 0;
}
