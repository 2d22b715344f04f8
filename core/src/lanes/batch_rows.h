/* batch_rows.h: the rows of a job: all that is kept of each while its text waits in the spool. */
#ifndef SHEAF_BATCH_ROWS_H
#define SHEAF_BATCH_ROWS_H

#include <sheaf/jobs.h>

#define SHEAF__JOB_ROWS_MAX \
  ((uint64_t)1 << 24)              /* of a job; no provider takes more than 10^5 or so */
#define SHEAF__JOB_ROWS_CHUNK 1024 /* rows of a record */
#define SHEAF__NO_PLACE UINT64_MAX

struct sheaf__job_block;

/* A row's place is the order in which it was added. Two bits a row: "ended" and "passed" (it came
 * by in the input of a later run). Fields are for reading. */
typedef struct sheaf__job_rows {
  const sheaf_allocator *allocator;
  struct sheaf__job_block **blocks;
  size_t block_count;
  size_t block_room;
  uint64_t rows_max;
  uint64_t count;
  uint64_t ended;
  uint64_t passed;
  uint64_t lowest; /* indices; of no rows: UINT64_MAX and 0 */
  uint64_t highest;
  uint64_t expected; /* where the last search by index would go on */
  bool is_ascending; /* each index is above the one before */
} sheaf__job_rows;

/* rows_max: SHEAF__JOB_ROWS_MAX. Allocates at the first row. */
void sheaf__job_rows_init(sheaf__job_rows *rows, const sheaf_allocator *allocator,
                          uint64_t rows_max);
/* Frees all and makes it empty again. */
void sheaf__job_rows_deinit(sheaf__job_rows *rows);
/* Room for n more: adding them cannot fail. SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT. */
int32_t sheaf__job_rows_reserve(sheaf__job_rows *rows, uint64_t n);
/* SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT. Its place is the count before. */
int32_t sheaf__job_rows_add(sheaf__job_rows *rows, const sheaf_job_row *row);
/* NULL: there is no such place. Lives as long as the table. */
const sheaf_job_row *sheaf__job_rows_at(const sheaf__job_rows *rows, uint64_t place);
/* The place of the row with this index of the run, or SHEAF__NO_PLACE. O(log n) in ascending
 * tables; in others O(1) for one that follows the one found last, else O(n). */
uint64_t sheaf__job_rows_find(sheaf__job_rows *rows, uint64_t index);
/* False: it was so already, or there is no such place. */
bool sheaf__job_rows_mark_ended(sheaf__job_rows *rows, uint64_t place);
bool sheaf__job_rows_mark_passed(sheaf__job_rows *rows, uint64_t place);
bool sheaf__job_rows_is_ended(const sheaf__job_rows *rows, uint64_t place);
bool sheaf__job_rows_is_passed(const sheaf__job_rows *rows, uint64_t place);
/* The first place, `from` or above, whose row has not ended, or SHEAF__NO_PLACE. */
uint64_t sheaf__job_rows_next_not_ended(const sheaf__job_rows *rows, uint64_t from);
/* The next run of rows whose indices follow one another: *place is 0 at first, and behind it
 * afterwards. False: no more. */
bool sheaf__job_rows_range(const sheaf__job_rows *rows, uint64_t *place, uint64_t *first,
                           uint64_t *last);
/* Appends at most SHEAF__JOB_ROWS_CHUNK rows as a ROWS record holds them; *place is 0 at first, and
 * behind them afterwards. SHEAF_OK; SHEAF_E_END: no more; SHEAF_E_NOMEM or what the buffer says. */
int32_t sheaf__job_rows_write(const sheaf__job_rows *rows, uint64_t *place, sheaf_buf *to);
/* Adds the rows of a ROWS record, all or none. SHEAF_E_SYNTAX, SHEAF_E_NOMEM, SHEAF_E_LIMIT. */
int32_t sheaf__job_rows_read(sheaf__job_rows *rows, sheaf_slice bytes);

#endif
