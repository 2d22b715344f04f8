/* batch_rows.c: the rows of a job.
 *
 * Blocks of 1,024 rows with their bits, and one table that points at them: rows never move, and a
 * growing table has no slack but in its last block. 40.25 bytes a row and 8 to 16 a block.
 *
 * Outline: growth; rows; places; bits; ranges; records. */
#include "lanes/batch_rows.h"

#include "base/mem.h"

enum { BLOCK_ROWS = SHEAF__JOB_ROWS_CHUNK, WORDS = BLOCK_ROWS / 64, FIRST_ROOM = 4 };

typedef struct sheaf__job_block {
  sheaf_job_row rows[BLOCK_ROWS];
  uint64_t ended[WORDS];
  uint64_t passed[WORDS];
} sheaf__job_block;

_Static_assert(sizeof(sheaf__job_block) <= BLOCK_ROWS * 41 - 16, "at most 41 bytes a row");

/* ---- Growth ---- */

void sheaf__job_rows_init(sheaf__job_rows *rows, const sheaf_allocator *allocator,
                          uint64_t rows_max) {
  *rows = (sheaf__job_rows){
      .allocator = allocator, .rows_max = rows_max, .lowest = UINT64_MAX, .is_ascending = true};
}

void sheaf__job_rows_deinit(sheaf__job_rows *rows) {
  for (size_t i = 0; i < rows->block_count; i++)
    sheaf__free(rows->allocator, rows->blocks[i], sizeof(sheaf__job_block));
  sheaf__free(rows->allocator, rows->blocks, rows->block_room * sizeof(sheaf__job_block *));
  sheaf__job_rows_init(rows, rows->allocator, rows->rows_max);
}

static int32_t add_block(sheaf__job_rows *rows) {
  if (rows->block_count == rows->block_room) {
    const size_t room = rows->block_room ? rows->block_room * 2 : FIRST_ROOM;
    const size_t entry = sizeof(sheaf__job_block *);
    sheaf__job_block **blocks =
        sheaf__realloc(rows->allocator, rows->blocks, rows->block_room * entry, room * entry);
    if (!blocks) return SHEAF_E_NOMEM;
    rows->blocks = blocks;
    rows->block_room = room;
  }
  sheaf__job_block *block = sheaf__alloc(rows->allocator, sizeof *block);
  if (!block) return SHEAF_E_NOMEM;
  memset(block->ended, 0, sizeof block->ended);
  memset(block->passed, 0, sizeof block->passed);
  rows->blocks[rows->block_count++] = block;
  return SHEAF_OK;
}

/* Blocks made before a refusal are used later. */
int32_t sheaf__job_rows_reserve(sheaf__job_rows *rows, uint64_t n) {
  if (n > rows->rows_max - rows->count) return SHEAF_E_LIMIT;
  while ((uint64_t)rows->block_count * BLOCK_ROWS < rows->count + n) {
    const int32_t status = add_block(rows);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

/* ---- Rows ---- */

static sheaf__job_block *block_of(const sheaf__job_rows *rows, uint64_t place) {
  return rows->blocks[place / BLOCK_ROWS];
}

static sheaf_job_row *row_of(const sheaf__job_rows *rows, uint64_t place) {
  return &block_of(rows, place)->rows[place % BLOCK_ROWS];
}

/* Where there is room. */
static void put_row(sheaf__job_rows *rows, const sheaf_job_row *row) {
  if (rows->count && row->index <= row_of(rows, rows->count - 1)->index) rows->is_ascending = false;
  rows->lowest = sheaf__min_u64(rows->lowest, row->index);
  rows->highest = sheaf__max_u64(rows->highest, row->index);
  *row_of(rows, rows->count) = *row;
  rows->count++;
}

int32_t sheaf__job_rows_add(sheaf__job_rows *rows, const sheaf_job_row *row) {
  const int32_t status = sheaf__job_rows_reserve(rows, 1);
  if (status == SHEAF_OK) put_row(rows, row);
  return status;
}

const sheaf_job_row *sheaf__job_rows_at(const sheaf__job_rows *rows, uint64_t place) {
  return place < rows->count ? row_of(rows, place) : NULL;
}

/* ---- Places ---- */

/* Ascending indices: a place is at most its index's distance from the lowest one. In a job of rows
 * that follow one another it is just that, and the first look finds it. */
static uint64_t find_ascending(const sheaf__job_rows *rows, uint64_t index) {
  uint64_t low = 0, high = sheaf__min_u64(index - rows->lowest, rows->count - 1);
  uint64_t middle = high;
  while (low <= high) {
    const uint64_t seen = row_of(rows, middle)->index;
    if (seen == index) return middle;
    if (seen < index) {
      low = middle + 1;
    } else if (middle == 0) {
      break;
    } else {
      high = middle - 1;
    }
    middle = low + (high - low) / 2;
  }
  return SHEAF__NO_PLACE;
}

/* Once around, from where the next one would be if rows come by in the order in which they lie. */
static uint64_t find_linear(const sheaf__job_rows *rows, uint64_t index) {
  uint64_t place = rows->expected < rows->count ? rows->expected : 0;
  for (uint64_t looks = 0; looks < rows->count; looks++) {
    if (row_of(rows, place)->index == index) return place;
    if (++place == rows->count) place = 0;
  }
  return SHEAF__NO_PLACE;
}

uint64_t sheaf__job_rows_find(sheaf__job_rows *rows, uint64_t index) {
  if (rows->count == 0 || index < rows->lowest || index > rows->highest) return SHEAF__NO_PLACE;
  if (rows->is_ascending) return find_ascending(rows, index);
  const uint64_t place = find_linear(rows, index);
  if (place != SHEAF__NO_PLACE) rows->expected = place + 1;
  return place;
}

/* ---- Bits ---- */

static bool has_bit(const uint64_t *words, uint64_t place) {
  const uint64_t bit = place % BLOCK_ROWS;
  return words[bit / 64] >> (bit % 64) & 1;
}

static bool set_bit(uint64_t *words, uint64_t place) {
  const uint64_t bit = place % BLOCK_ROWS;
  if (has_bit(words, place)) return false;
  words[bit / 64] |= (uint64_t)1 << (bit % 64);
  return true;
}

bool sheaf__job_rows_mark_ended(sheaf__job_rows *rows, uint64_t place) {
  if (place >= rows->count || !set_bit(block_of(rows, place)->ended, place)) return false;
  rows->ended++;
  return true;
}

bool sheaf__job_rows_mark_passed(sheaf__job_rows *rows, uint64_t place) {
  if (place >= rows->count || !set_bit(block_of(rows, place)->passed, place)) return false;
  rows->passed++;
  return true;
}

bool sheaf__job_rows_is_ended(const sheaf__job_rows *rows, uint64_t place) {
  return place < rows->count && has_bit(block_of(rows, place)->ended, place);
}

bool sheaf__job_rows_is_passed(const sheaf__job_rows *rows, uint64_t place) {
  return place < rows->count && has_bit(block_of(rows, place)->passed, place);
}

/* Sixty-four rows a look: it is asked again after every row that ends. */
uint64_t sheaf__job_rows_next_not_ended(const sheaf__job_rows *rows, uint64_t from) {
  for (uint64_t place = from; place < rows->count; place = (place | 63) + 1) {
    const uint64_t word = block_of(rows, place)->ended[place % BLOCK_ROWS / 64];
    const uint64_t open = ~word >> (place % 64);
    if (!open) continue;
    place += (uint64_t)__builtin_ctzll(open);
    return place < rows->count ? place : SHEAF__NO_PLACE;
  }
  return SHEAF__NO_PLACE;
}

/* ---- Ranges ---- */

bool sheaf__job_rows_range(const sheaf__job_rows *rows, uint64_t *place, uint64_t *first,
                           uint64_t *last) {
  uint64_t at = *place;
  if (at >= rows->count) return false;
  *first = *last = row_of(rows, at)->index;
  for (at++; at < rows->count; at++) {
    const uint64_t index = row_of(rows, at)->index;
    if (*last == UINT64_MAX || index != *last + 1) break;
    *last = index;
  }
  *place = at;
  return true;
}

/* ---- Records ---- */

int32_t sheaf__job_rows_write(const sheaf__job_rows *rows, uint64_t *place, sheaf_buf *to) {
  if (*place >= rows->count) return SHEAF_E_END;
  const uint64_t n = sheaf__min_u64(rows->count - *place, SHEAF__JOB_ROWS_CHUNK);
  const int32_t status = sheaf_buf_reserve(to, (size_t)n * SHEAF_JOB_ROW_BYTES);
  if (status != SHEAF_OK) return status;
  for (uint64_t i = 0; i < n; i++) {
    sheaf_job_row_write(row_of(rows, *place + i), (uint8_t *)to->data + to->bytes);
    to->bytes += SHEAF_JOB_ROW_BYTES;
  }
  *place += n;
  return SHEAF_OK;
}

int32_t sheaf__job_rows_read(sheaf__job_rows *rows, sheaf_slice bytes) {
  if (bytes.bytes % SHEAF_JOB_ROW_BYTES != 0) return SHEAF_E_SYNTAX;
  const size_t n = bytes.bytes / SHEAF_JOB_ROW_BYTES;
  const int32_t status = sheaf__job_rows_reserve(rows, n);
  if (status != SHEAF_OK) return status;
  for (size_t i = 0; i < n; i++) {
    sheaf_job_row row;
    sheaf_job_row_read((const uint8_t *)bytes.data + i * SHEAF_JOB_ROW_BYTES, &row);
    put_row(rows, &row);
  }
  return SHEAF_OK;
}
