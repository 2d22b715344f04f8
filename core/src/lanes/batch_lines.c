/* batch_lines.c: results, one at a time.
 *
 *   chunks    |...\n{"custom_id":...}\n{"cus|tom_id":...}\n...|
 *                   `-- in place ---'   `- torn: copied -'
 *
 * Whether a line is too long is decided by its bytes in front of the LF, CR and byte order mark
 * among them: so it does not depend on where the chunks were cut.
 *
 * Outline: beginning and ending; what of the bytes is the line; torn lines; the next one. */
#include "lanes/batch_lines.h"

#include "base/mem.h"

/* ---- Beginning and ending ---- */

void sheaf__lines_init(sheaf__lines *lines, const sheaf_allocator *allocator, size_t bytes_max) {
  *lines = (sheaf__lines){.bytes_max = bytes_max};
  sheaf_buf_init(&lines->torn, allocator, bytes_max);
}

void sheaf__lines_deinit(sheaf__lines *lines) {
  sheaf_buf_deinit(&lines->torn);
  sheaf__lines_reset(lines);
}

void sheaf__lines_reset(sheaf__lines *lines) {
  sheaf_buf torn = lines->torn;
  sheaf_buf_reset(&torn);
  *lines = (sheaf__lines){.torn = torn, .bytes_max = lines->bytes_max};
}

int32_t sheaf__lines_feed(sheaf__lines *lines, sheaf_slice chunk) {
  if (lines->is_array || lines->is_ended || lines->at != lines->end) return SHEAF_E_MISUSE;
  if (chunk.bytes == 0) return SHEAF_OK;
  lines->at = chunk.data;
  lines->end = chunk.data + chunk.bytes;
  return SHEAF_OK;
}

void sheaf__lines_end(sheaf__lines *lines) {
  lines->is_ended = true;
}

int32_t sheaf__lines_open_array(sheaf__lines *lines, sheaf_slice array) {
  if (sheaf_json_kind(array) != SHEAF_JSON_ARRAY) return SHEAF_E_TYPE;
  const int32_t status = sheaf_json_check(array, NULL);
  if (status != SHEAF_OK) return status;
  lines->is_array = true;
  return sheaf_json_iter_init(&lines->items, array);
}

/* ---- What of the bytes is the line ---- */

static bool is_blank(sheaf_slice line) {
  for (size_t i = 0; i < line.bytes; i++) {
    const char c = line.data[i];
    if (c != ' ' && c != '\t' && c != '\r') return false;
  }
  return true;
}

/* Of all bytes in front of the LF. False: nothing stands there. */
static bool strip(sheaf__lines *lines, sheaf_slice bytes, sheaf_slice *line) {
  const bool is_first = !lines->is_begun;
  lines->is_begun = true;
  if (is_first && bytes.bytes >= 3 && memcmp(bytes.data, "\xEF\xBB\xBF", 3) == 0)
    bytes = sheaf__slice_from(bytes, 3);
  if (bytes.bytes && bytes.data[bytes.bytes - 1] == '\r') bytes.bytes--;
  if (is_blank(bytes)) return false;
  *line = bytes;
  return true;
}

/* ---- Torn lines ---- */

/* Passes over the line; its memory goes, since no other may need as much. */
static int32_t refuse(sheaf__lines *lines, const char *line_end) {
  sheaf_buf_deinit(&lines->torn);
  lines->is_begun = true;
  lines->is_skipping = line_end == NULL;
  lines->at = line_end ? line_end + 1 : lines->end;
  return SHEAF_E_TOO_LONG;
}

/* Takes `bytes` of the chunk into torn. */
static int32_t keep(sheaf__lines *lines, size_t bytes) {
  const int32_t status = sheaf_buf_append(&lines->torn, lines->at, bytes);
  if (status == SHEAF_OK) {
    lines->at += bytes;
    return SHEAF_OK;
  }
  lines->torn.status = SHEAF_OK; /* it holds what it held: the call may be made again */
  return status;
}

/* The last line, if the download ended without LF. */
static int32_t next_at_end(sheaf__lines *lines, sheaf_slice *line) {
  const sheaf_slice bytes = sheaf_buf_slice(&lines->torn);
  if (bytes.bytes == 0) return SHEAF_E_END;
  lines->is_given = true;
  return strip(lines, bytes, line) ? SHEAF_OK : SHEAF_E_END;
}

/* ---- The next one ---- */

/* One step in a chunk that has bytes left. SHEAF_E_LATER: no line yet, go on. */
static int32_t step(sheaf__lines *lines, sheaf_slice *line) {
  const size_t left = (size_t)(lines->end - lines->at);
  const char *line_end = memchr(lines->at, '\n', left);
  if (lines->is_skipping) {
    lines->is_skipping = line_end == NULL;
    lines->at = line_end ? line_end + 1 : lines->end;
    return SHEAF_E_LATER;
  }
  const size_t bytes = line_end ? (size_t)(line_end - lines->at) : left;
  if (bytes > lines->bytes_max - lines->torn.bytes) return refuse(lines, line_end);
  sheaf_slice all = {lines->at, bytes};
  if (!line_end || lines->torn.bytes) {
    const int32_t status = keep(lines, bytes);
    if (status != SHEAF_OK) return status;
    if (!line_end) return SHEAF_E_LATER;
    all = sheaf_buf_slice(&lines->torn);
    lines->is_given = true;
  }
  lines->at = line_end + 1;
  return strip(lines, all, line) ? SHEAF_OK : SHEAF_E_LATER;
}

int32_t sheaf__lines_next(sheaf__lines *lines, sheaf_slice *line) {
  sheaf_slice key;
  if (lines->is_array) return sheaf_json_iter_next(&lines->items, &key, line);
  for (;;) {
    if (lines->is_given) {
      sheaf_buf_reset(&lines->torn);
      lines->is_given = false;
    }
    if (lines->at == lines->end) return lines->is_ended ? next_at_end(lines, line) : SHEAF_E_EMPTY;
    const int32_t status = step(lines, line);
    if (status != SHEAF_E_LATER) return status;
  }
}
