/* test_job_rows.c: the table of a job's rows, against a plain array. */
#include "base/random.h"
#include "lanes/batch_rows.h"

#include "check.h"
#include "test_alloc.h"

enum { ROWS = 5000 };

static test_alloc memory;
static sheaf_allocator allocator;
static uint64_t draws;

/* Memory that is not zero at first, as it is after a while. */
static void *realloc_filled(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  char *block = test_alloc_realloc(ctx, ptr, old_bytes, new_bytes);
  if (block && new_bytes > old_bytes) memset(block + old_bytes, 0xA5, new_bytes - old_bytes);
  return block;
}

static uint64_t draw(uint64_t n) {
  return sheaf__draw(13, n, SHEAF__DRAW_TEST, draws++, 0);
}

static sheaf_job_row row_with(uint64_t index) {
  sheaf_job_row row = {
      .index = index, .spool_at = index * 700 + 3, .id_hash = sheaf__mix64(index + 1)};
  for (uint8_t i = 0; i < 16; i++) row.fingerprint[i] = (uint8_t)(index * 31 + i);
  return row;
}

static bool is_row(const sheaf_job_row *row, uint64_t index) {
  const sheaf_job_row wanted = row_with(index);
  return row && row->index == index && row->spool_at == wanted.spool_at &&
         row->id_hash == wanted.id_hash && memcmp(row->fingerprint, wanted.fingerprint, 16) == 0;
}

static void add_rows(sheaf__job_rows *rows, const uint64_t *indices, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const sheaf_job_row row = row_with(indices[i]);
    CHECK_OK(sheaf__job_rows_add(rows, &row));
  }
}

static void finish(sheaf__job_rows *rows) {
  sheaf__job_rows_deinit(rows);
  CHECK_EQ(rows->count, 0);
  CHECK_EQ(memory.live_blocks, 0);
  CHECK(!memory.size_mismatch);
}

static void check_found(sheaf__job_rows *rows, const uint64_t *indices, size_t count) {
  CHECK_EQ(rows->count, count);
  for (size_t place = 0; place < count; place++) {
    CHECK(is_row(sheaf__job_rows_at(rows, place), indices[place]));
    CHECK_EQ(sheaf__job_rows_find(rows, indices[place]), place);
  }
  CHECK(!sheaf__job_rows_at(rows, count));
  CHECK(!sheaf__job_rows_at(rows, SHEAF__NO_PLACE));
}

static bool is_among(const uint64_t *indices, size_t count, uint64_t index) {
  for (size_t i = 0; i < count; i++)
    if (indices[i] == index) return true;
  return false;
}

TEST(rows_are_found_by_place_and_index) {
  static uint64_t indices[ROWS];
  for (uint64_t gap = 0; gap < 4; gap++) {
    sheaf__job_rows rows;
    uint64_t index = draw(100);
    for (size_t i = 0; i < ROWS; i++, index += 1 + draw(gap)) indices[i] = index;
    sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
    CHECK(sheaf__job_rows_find(&rows, 0) == SHEAF__NO_PLACE);
    add_rows(&rows, indices, ROWS);
    CHECK(rows.is_ascending);
    check_found(&rows, indices, ROWS);
    CHECK_EQ(rows.lowest, indices[0]);
    CHECK_EQ(rows.highest, indices[ROWS - 1]);
    for (uint64_t i = 0, at = 0; i <= indices[ROWS - 1] + 2; i++) {
      const bool is_there = at < ROWS && indices[at] == i;
      CHECK_EQ(sheaf__job_rows_find(&rows, i), is_there ? at : SHEAF__NO_PLACE);
      at += is_there;
    }
    CHECK(sheaf__job_rows_find(&rows, UINT64_MAX) == SHEAF__NO_PLACE);
    finish(&rows);
  }
}

TEST(few_rows_and_indices_at_the_ends_of_their_range_are_found) {
  static const uint64_t indices[] = {0, 1, 5, UINT64_MAX - 1, UINT64_MAX};
  for (size_t count = 1; count <= 5; count++) {
    sheaf__job_rows rows;
    sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
    add_rows(&rows, indices + 5 - count, count);
    check_found(&rows, indices + 5 - count, count);
    CHECK(sheaf__job_rows_find(&rows, 7) == SHEAF__NO_PLACE);
    finish(&rows);
  }
}

TEST(rows_out_of_order_are_found) {
  static uint64_t indices[ROWS];
  sheaf__job_rows rows;
  enum { COUNT = 1500 };
  for (uint64_t i = 0; i < COUNT; i++) indices[i] = 40 + 2 * i;
  for (size_t i = COUNT - 1; i > 0; i--) {
    const size_t other = (size_t)draw(i);
    const uint64_t t = indices[i];
    indices[i] = indices[other];
    indices[other] = t;
  }
  sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
  add_rows(&rows, indices, COUNT);
  CHECK(!rows.is_ascending);
  check_found(&rows, indices, COUNT);
  for (int i = 0; i < 200; i++) {
    const uint64_t index = draw(2 * COUNT + 80);
    const uint64_t place = sheaf__job_rows_find(&rows, index);
    CHECK_EQ(place != SHEAF__NO_PLACE, is_among(indices, COUNT, index));
    if (place != SHEAF__NO_PLACE) CHECK_EQ(indices[place], index);
  }
  finish(&rows);
}

TEST(a_row_ends_once_and_passes_once) {
  static bool ended[ROWS], passed[ROWS];
  sheaf__job_rows rows;
  sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
  CHECK(!sheaf__job_rows_mark_ended(&rows, 0));
  CHECK(sheaf__job_rows_next_not_ended(&rows, 0) == SHEAF__NO_PLACE);
  for (uint64_t i = 0; i < ROWS; i++) add_rows(&rows, &i, 1);
  uint64_t ends = 0, passes = 0;
  for (int i = 0; i < 3 * ROWS; i++) {
    const uint64_t place = draw(ROWS + 10);
    const bool is_end = draw(1);
    bool *bits = is_end ? ended : passed;
    const bool is_new = place < ROWS && !bits[place];
    if (is_new) bits[place] = true, *(is_end ? &ends : &passes) += 1;
    if (is_end) {
      CHECK_EQ(sheaf__job_rows_mark_ended(&rows, place), is_new);
    } else {
      CHECK_EQ(sheaf__job_rows_mark_passed(&rows, place), is_new);
    }
  }
  CHECK_EQ(rows.ended, ends);
  CHECK_EQ(rows.passed, passes);
  CHECK(ends > ROWS / 2 && ends < ROWS && passes > ROWS / 2);
  for (uint64_t place = 0; place < ROWS; place++) {
    CHECK_EQ(sheaf__job_rows_is_ended(&rows, place), ended[place]);
    CHECK_EQ(sheaf__job_rows_is_passed(&rows, place), passed[place]);
    uint64_t open = place;
    while (open < ROWS && ended[open]) open++;
    CHECK_EQ(sheaf__job_rows_next_not_ended(&rows, place), open < ROWS ? open : SHEAF__NO_PLACE);
  }
  CHECK(!sheaf__job_rows_is_ended(&rows, ROWS));
  for (uint64_t place = 0; place < ROWS; place++) (void)sheaf__job_rows_mark_ended(&rows, place);
  CHECK_EQ(rows.ended, ROWS);
  CHECK(sheaf__job_rows_next_not_ended(&rows, 0) == SHEAF__NO_PLACE);
  CHECK(sheaf__job_rows_next_not_ended(&rows, UINT64_MAX) == SHEAF__NO_PLACE);
  finish(&rows);
}

/* Each index is in one range, and no two ranges touch. */
TEST(ranges_cover_the_rows_and_nothing_else) {
  static const uint64_t indices[] = {3, 4, 5, 9, 11, 12, 7, 8, 8, UINT64_MAX, 0};
  static const uint64_t wanted[][2] = {
      {3, 5}, {9, 9}, {11, 12}, {7, 8}, {8, 8}, {UINT64_MAX, UINT64_MAX}, {0, 0}};
  sheaf__job_rows rows;
  uint64_t place = 0, first = 0, last = 0;
  sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
  CHECK(!sheaf__job_rows_range(&rows, &place, &first, &last));
  add_rows(&rows, indices, sizeof indices / sizeof *indices);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    CHECK(sheaf__job_rows_range(&rows, &place, &first, &last));
    CHECK(first == wanted[i][0] && last == wanted[i][1]);
  }
  CHECK(!sheaf__job_rows_range(&rows, &place, &first, &last));
  finish(&rows);
}

TEST(a_range_goes_on_over_blocks) {
  sheaf__job_rows rows;
  uint64_t place = 0, first = 0, last = 0;
  sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
  for (uint64_t i = 100; i < 100 + ROWS; i++) add_rows(&rows, &i, 1);
  CHECK(sheaf__job_rows_range(&rows, &place, &first, &last));
  CHECK(first == 100 && last == 100 + ROWS - 1 && place == ROWS);
  finish(&rows);
}

TEST(rows_written_in_chunks_are_read_back) {
  static const size_t counts[] = {0, 1, 1023, 1024, 1025, 2048, ROWS};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    sheaf__job_rows rows, again;
    sheaf_buf chunk;
    uint64_t place = 0;
    size_t chunks = 0;
    sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
    sheaf__job_rows_init(&again, &allocator, SHEAF__JOB_ROWS_MAX);
    sheaf_buf_init(&chunk, &allocator, SIZE_MAX / 2);
    for (uint64_t n = 0; n < counts[i]; n++) {
      const uint64_t index = 10 + n * 3;
      add_rows(&rows, &index, 1);
    }
    for (;; chunks++) {
      sheaf_buf_reset(&chunk);
      const int32_t status = sheaf__job_rows_write(&rows, &place, &chunk);
      if (status == SHEAF_E_END) break;
      CHECK_OK(status);
      CHECK(chunk.bytes <= 1024 * 40);
      CHECK_OK(sheaf__job_rows_read(&again, sheaf_buf_slice(&chunk)));
      if (status != SHEAF_OK) break;
    }
    CHECK_EQ(chunks, (counts[i] + 1023) / 1024);
    CHECK_EQ(again.count, counts[i]);
    CHECK_EQ(again.is_ascending, true);
    CHECK_EQ(again.ended + again.passed, 0);
    for (uint64_t n = 0; n < counts[i]; n++)
      CHECK(is_row(sheaf__job_rows_at(&again, n), 10 + n * 3));
    sheaf_buf_deinit(&chunk);
    sheaf__job_rows_deinit(&again);
    finish(&rows);
  }
}

TEST(rows_that_are_not_whole_are_refused) {
  static const char bytes[80];
  sheaf__job_rows rows;
  sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
  for (size_t n = 0; n <= 80; n++) {
    const int32_t wanted = n % 40 == 0 ? SHEAF_OK : SHEAF_E_SYNTAX;
    CHECK_STATUS(sheaf__job_rows_read(&rows, (sheaf_slice){bytes, n}), wanted);
  }
  CHECK_EQ(rows.count, 3);
  finish(&rows);
}

TEST(the_ceiling_holds) {
  sheaf__job_rows rows;
  sheaf__job_rows_init(&rows, &allocator, 1100);
  for (uint64_t i = 0; i < 1100; i++) add_rows(&rows, &i, 1);
  const sheaf_job_row more = row_with(1100);
  const char bytes[40] = {0};
  CHECK_STATUS(sheaf__job_rows_add(&rows, &more), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf__job_rows_read(&rows, (sheaf_slice){bytes, 40}), SHEAF_E_LIMIT);
  CHECK_EQ(rows.count, 1100);
  CHECK_EQ(rows.highest, 1099);
  finish(&rows);
}

/* Of 200,000 rows, with all that the table allocates. */
TEST(a_row_takes_at_most_41_bytes) {
  sheaf__job_rows rows;
  sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
  for (uint64_t i = 0; i < 200000; i++) add_rows(&rows, &i, 1);
  CHECK(memory.live_bytes <= 200000 * 41);
  finish(&rows);
}

TEST(every_refused_allocation_leaves_the_table_as_it_was) {
  static char bytes[3000 * SHEAF_JOB_ROW_BYTES];
  for (uint64_t i = 0; i < 3000; i++) {
    const sheaf_job_row row = row_with(i);
    sheaf_job_row_write(&row, (uint8_t *)bytes + i * SHEAF_JOB_ROW_BYTES);
  }
  uint32_t refusals = 0;
  for (uint64_t fail_at = 1; fail_at < 14; fail_at++) {
    sheaf__job_rows rows;
    sheaf_buf chunk;
    uint64_t place = 0;
    memory.calls = 0;
    memory.fail_at = fail_at;
    sheaf__job_rows_init(&rows, &allocator, SHEAF__JOB_ROWS_MAX);
    const sheaf_slice all = {bytes, sizeof bytes};
    int32_t status = sheaf__job_rows_read(&rows, all);
    if (status != SHEAF_OK) {
      CHECK_STATUS(status, SHEAF_E_NOMEM);
      CHECK_EQ(rows.count, 0);
      refusals++;
      CHECK_OK(sheaf__job_rows_read(&rows, all));
    }
    for (uint64_t i = 3000; i < 6000; i++) {
      const sheaf_job_row row = row_with(i);
      status = sheaf__job_rows_add(&rows, &row);
      if (status == SHEAF_OK) continue;
      CHECK_STATUS(status, SHEAF_E_NOMEM);
      CHECK_EQ(rows.count, i);
      refusals++;
      CHECK_OK(sheaf__job_rows_add(&rows, &row));
    }
    for (uint64_t i = 0; i < 6000; i++) CHECK(is_row(sheaf__job_rows_at(&rows, i), i));
    sheaf_buf_init(&chunk, &allocator, SIZE_MAX / 2);
    memory.calls = 0;
    memory.fail_at = 1;
    CHECK_STATUS(sheaf__job_rows_write(&rows, &place, &chunk), SHEAF_E_NOMEM);
    CHECK_EQ(place, 0);
    memory.fail_at = 0;
    sheaf_buf_deinit(&chunk);
    finish(&rows);
  }
  CHECK_EQ(refusals, 8); /* six blocks, and their table of 4 and of 8 */
}

int main(void) {
  allocator = (sheaf_allocator){realloc_filled, &memory};
  RUN(rows_are_found_by_place_and_index);
  RUN(few_rows_and_indices_at_the_ends_of_their_range_are_found);
  RUN(rows_out_of_order_are_found);
  RUN(a_row_ends_once_and_passes_once);
  RUN(ranges_cover_the_rows_and_nothing_else);
  RUN(a_range_goes_on_over_blocks);
  RUN(rows_written_in_chunks_are_read_back);
  RUN(rows_that_are_not_whole_are_refused);
  RUN(the_ceiling_holds);
  RUN(a_row_takes_at_most_41_bytes);
  RUN(every_refused_allocation_leaves_the_table_as_it_was);
  return check_report();
}
