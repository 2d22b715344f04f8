/* ids.c: no custom_id twice in one input.
 *
 * sheaf_resume knows hashes only and answers "very likely"; before a run is refused, the earlier line is read again and its
 * id compared. Marks say where some rows begin, so that little has to be read for it.
 *
 * A row without an id is called row-N, N = index + 1, and a given id may read the same. Generated ids are not noted, as
 * most inputs have no others:
 *   - a given row-N of an earlier row: a bit per row says whether that one brought its own id; the bits exist
 *     only where rows with and without ids are mixed;
 *   - a given row-N of a row to come: from then on generated ids are noted too. */
#include "files_int.h"

#include <stdlib.h>
#include <string.h>

void sheaf__ids_deinit(sheaf__ids *ids) {
  free(ids->marks);
  free(ids->own);
  *ids = (sheaf__ids){0};
}

sheaf_slice sheaf__files_row_id(uint64_t index, char text[32]) {
  char digits[20];
  size_t count = 0;
  uint64_t number = index + 1;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  memcpy(text, "row-", 4);
  for (size_t i = 0; i < count; i++) text[4 + i] = digits[count - 1 - i];
  return (sheaf_slice){text, 4 + count};
}

/* The index of the row that "row-N" names; false for any other id. */
static bool names_row(sheaf_slice id, uint64_t *index) {
  if (id.bytes < 5 || id.bytes > 23 || memcmp(id.data, "row-", 4) != 0 || id.data[4] == '0') {
    return false;
  }
  uint64_t number = 0;
  for (size_t i = 4; i < id.bytes; i++) {
    if (id.data[i] < '0' || id.data[i] > '9') return false;
    number = number * 10 + (uint64_t)(id.data[i] - '0'); /* at most 19 digits: fits */
  }
  *index = number - 1;
  return true;
}

/* ---- Marks ---- */

static int32_t add_mark(sheaf__ids *ids, const sheaf__rows *rows) {
  if (ids->marks == NULL) {
    ids->marks = calloc(SHEAF__MARKS_MAX, sizeof *ids->marks);
    if (ids->marks == NULL) return SHEAF_E_NOMEM;
    ids->mark_stride = 1;
  }
  if (ids->rows % ids->mark_stride != 0) return SHEAF_OK;
  if (ids->mark_count == SHEAF__MARKS_MAX) {
    for (uint32_t i = 0; i < SHEAF__MARKS_MAX / 2; i++) ids->marks[i] = ids->marks[2 * i];
    ids->mark_count = SHEAF__MARKS_MAX / 2;
    ids->mark_stride *= 2;
  }
  ids->marks[ids->mark_count++] = (sheaf__mark){ids->rows, rows->line - 1, rows->offset};
  return SHEAF_OK;
}

/* The last mark not behind a row, or not behind a line. */
static const sheaf__mark *mark_before(const sheaf__ids *ids, uint64_t row, uint64_t line) {
  uint32_t low = 0;
  uint32_t high = ids->mark_count;
  while (low + 1 < high) {
    uint32_t middle = low + (high - low) / 2;
    const sheaf__mark *mark = &ids->marks[middle];
    if (mark->row <= row && mark->line < line) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return &ids->marks[low];
}

/* ---- Which rows brought their id ---- */

static int32_t own_reach(sheaf__ids *ids, size_t bytes) {
  if (bytes <= ids->own_bytes) return SHEAF_OK;
  size_t room = bytes + bytes / 2 + 64;
  uint8_t *own = realloc(ids->own, room);
  if (own == NULL) return SHEAF_E_NOMEM;
  memset(own + ids->own_bytes, 0, room - ids->own_bytes);
  ids->own = own;
  ids->own_bytes = room;
  return SHEAF_OK;
}

static void own_set(sheaf__ids *ids, uint64_t row) {
  ids->own[row / 8] = (uint8_t)(ids->own[row / 8] | 1u << (row % 8));
}

static int32_t note_own(sheaf__ids *ids, bool has_id) {
  if (ids->rows == 0) ids->first_has_id = has_id;
  if (ids->same_rows == ids->rows && has_id == ids->first_has_id) {
    ids->same_rows++;
    return SHEAF_OK;
  }
  int32_t status = own_reach(ids, (size_t)(ids->rows / 8) + 1);
  if (status != SHEAF_OK) return status;
  if (has_id) own_set(ids, ids->rows);
  return SHEAF_OK;
}

static bool has_own(const sheaf__ids *ids, uint64_t row) {
  if (row < ids->same_rows) return ids->first_has_id;
  return ((unsigned)ids->own[row / 8] >> (row % 8) & 1u) != 0;
}

/* ---- Reading again ---- */

/* Whether the row at line (or, line 0, the row with index) bears id; its line in *line. Where the input cannot be read
 * again, the hash is believed. */
static bool really_is(const sheaf_files *files, uint64_t index, uint64_t *line, sheaf_slice id) {
  if (!files->rows.input.regular || files->ids.mark_count == 0) return true;
  uint64_t by_line = *line == 0 ? SHEAF_NEVER : *line;
  const sheaf__mark *mark = mark_before(&files->ids, *line == 0 ? index : SHEAF_NEVER, by_line);
  uint64_t row = mark->row;
  bool is = true;
  sheaf__said said;
  sheaf__rows again;
  sheaf__rows_init(&again, files->rows.format, files->rows.name, files->rows.template_,
                   files->rows.columns, &said);
  sheaf__input_init(&again.input, files->rows.input.fd, true, mark->offset, mark->line);
  sheaf_request request;
  for (;;) {
    int32_t status = sheaf__rows_next(&again, &request);
    if (status != SHEAF_OK && !sheaf__status_is_bad_line(status)) break;
    if (again.line > by_line) break;
    if (status == SHEAF_OK && (*line == 0 ? row == index : again.line == by_line)) {
      char text[32];
      sheaf_slice has =
          request.custom_id.bytes > 0 ? request.custom_id : sheaf__files_row_id(row, text);
      is = has.bytes == id.bytes && memcmp(has.data, id.data, id.bytes) == 0;
      *line = again.line;
      break;
    }
    if (status == SHEAF_OK) row++;
  }
  sheaf__rows_deinit(&again);
  return is;
}

/* ---- The check ---- */

static int32_t used_before(sheaf_files *files, sheaf_slice id, uint64_t line) {
  sheaf__shown shown;
  return sheaf__say(
      &files->said, SHEAF_E_DUPLICATE,
      "%s: line %llu: custom_id \"%s\" was used before on line %llu; give each line its own",
      files->rows.name, (unsigned long long)files->rows.line, sheaf__show(id, &shown),
      (unsigned long long)line);
}

/* A given id that names an earlier row, which has none of its own. */
static int32_t check_generated(sheaf_files *files, sheaf_slice id, uint64_t index) {
  uint64_t line = 0;
  sheaf__shown shown;
  if (!really_is(files, index, &line, id)) return SHEAF_OK;
  if (line != 0) return used_before(files, id, line);
  return sheaf__say(
      &files->said, SHEAF_E_DUPLICATE,
      "%s: line %llu: custom_id \"%s\" is what row %llu, which has none, is called; give each line "
      "its own",
      files->rows.name, (unsigned long long)files->rows.line, sheaf__show(id, &shown),
      (unsigned long long)index + 1);
}

/* Notes an id under its line. */
static int32_t note(sheaf_files *files, sheaf_slice id) {
  uint64_t number = files->rows.line;
  uint32_t earlier = 0;
  uint32_t place = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
  int32_t status = sheaf_resume_note_id(files->resume, id, place, &earlier);
  if (status == SHEAF_E_NOMEM) {
    return sheaf__say(&files->said, status, "%s: out of memory for ids; free some and resume",
                      files->rows.name);
  }
  if (status != SHEAF_E_DUPLICATE) return status;
  uint64_t line = earlier;
  if (earlier != UINT32_MAX && !really_is(files, 0, &line, id)) return SHEAF_OK;
  return used_before(files, id, line);
}

int32_t sheaf__ids_note(sheaf_files *files, sheaf_slice id) {
  sheaf__ids *ids = &files->ids;
  char text[32];
  int32_t status = SHEAF_OK;
  uint64_t index;
  if (id.bytes == 0) {
    if (ids->note_generated) status = note(files, sheaf__files_row_id(ids->rows, text));
  } else {
    bool looks_generated = names_row(id, &index);
    if (looks_generated && index < ids->rows && !has_own(ids, index)) {
      status = check_generated(files, id, index);
    }
    if (status == SHEAF_OK) status = note(files, id);
    if (status == SHEAF_OK && looks_generated && index > ids->rows) ids->note_generated = true;
  }
  if (status != SHEAF_OK) return status;
  status = note_own(ids, id.bytes > 0);
  if (status == SHEAF_OK) status = add_mark(ids, &files->rows);
  if (status != SHEAF_OK) return sheaf__say(&files->said, status, "out of memory for ids");
  ids->rows++;
  return SHEAF_OK;
}
