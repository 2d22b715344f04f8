/* spool.c: input order on a stream, which cannot be rewritten: lines that are early wait for the others.
 *
 *   [ 0 .. filed )            in an unlinked temporary file
 *   [ filed .. filed + bytes) in memory
 *
 * Lines lie in the order in which they finished; places tells where. Rows finish nearly in order, so that what waits is
 * little: memory that is full is first cleared of what has gone out, and goes to the file only if that does not help. */
#include "files_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_BYTES ((size_t)8 << 20)
#define HOLE SHEAF__PLACE_FAILED /* the row is over and has no line */

void sheaf__spool_deinit(sheaf__spool *spool) {
  sheaf_buf_deinit(&spool->memory);
  sheaf__blocks_deinit(&spool->blocks);
  if (spool->fd >= 0) close(spool->fd);
  spool->fd = -1;
}

/* ---- Room ---- */

/* The length of the line at offset in memory, with its LF. */
static size_t line_bytes(const sheaf__spool *spool, size_t offset) {
  const char *line = spool->memory.data + offset;
  const char *lf = memchr(line, '\n', spool->memory.bytes - offset);
  return lf == NULL ? spool->memory.bytes - offset : (size_t)(lf - line) + 1;
}

/* Memory without what has gone out. Only while nothing is filed. */
static int32_t clear_gone(sheaf_files *files) {
  sheaf__spool *spool = &files->spool;
  sheaf_buf kept;
  sheaf_buf_init(&kept, sheaf_heap(), SIZE_MAX / 2);
  for (uint64_t row = spool->next; row < files->places.end; row++) {
    uint64_t place = sheaf__line_map_get(&files->places, row);
    if (place == SHEAF__PLACE_NONE || place == HOLE) continue;
    uint64_t moved = kept.bytes;
    sheaf_buf_append(&kept, spool->memory.data + place, line_bytes(spool, (size_t)place));
    if (kept.status != SHEAF_OK) break;
    sheaf__line_map_set(&files->places, row, moved); /* an entry that exists cannot fail */
  }
  if (kept.status != SHEAF_OK) {
    sheaf_buf_deinit(&kept);
    return SHEAF_E_NOMEM;
  }
  sheaf_buf_deinit(&spool->memory);
  spool->memory = kept;
  return SHEAF_OK;
}

static int open_temporary(void) {
  const char *directory = getenv("TMPDIR");
  char *path = sheaf__text_join(directory != NULL && directory[0] != '\0' ? directory : P_tmpdir,
                                "/sheaf-spool-XXXXXX");
  if (path == NULL) return -1;
  int fd = mkstemp(path);
  if (fd >= 0) unlink(path);
  free(path);
  return fd;
}

static int32_t file_memory(sheaf_files *files) {
  sheaf__spool *spool = &files->spool;
  size_t done = 0;
  if (spool->fd < 0) {
    spool->fd = open_temporary();
    sheaf__blocks_init(&spool->blocks, spool->fd);
  }
  if (spool->fd < 0 ||
      !sheaf__write_all(spool->fd, spool->memory.data, spool->memory.bytes, spool->filed, &done)) {
    return sheaf__say(
        &files->said, SHEAF_E_IO,
        "lines that wait for earlier ones cannot be kept in a temporary file: %s; set TMPDIR to a "
        "place with room, or use --order completion",
        strerror(errno));
  }
  spool->filed += done;
  sheaf_buf_reset(&spool->memory);
  sheaf__blocks_reset(&spool->blocks); /* the last block may have been read when it was shorter */
  return SHEAF_OK;
}

static int32_t make_room(sheaf_files *files) {
  sheaf__spool *spool = &files->spool;
  size_t most = spool->memory_max != 0 ? spool->memory_max : MEMORY_BYTES;
  if (spool->memory.bytes < most) return SHEAF_OK;
  if (spool->filed == 0) {
    int32_t status = clear_gone(files);
    if (status != SHEAF_OK) return sheaf__say(&files->said, status, "out of memory");
    if (spool->memory.bytes < most / 2) return SHEAF_OK;
  }
  return file_memory(files);
}

/* ---- In and out ---- */

static void empty(sheaf__spool *spool) {
  sheaf_buf_reset(&spool->memory);
  if (spool->filed == 0) return;
  sheaf__blocks_reset(&spool->blocks);
  spool->filed = 0;
  if (ftruncate(spool->fd, 0) != 0) return; /* the room stays taken: it is overwritten */
}

/* The line of a row that is in the spool, into pending. */
static int32_t take_out(sheaf_files *files, uint64_t place) {
  sheaf__spool *spool = &files->spool;
  sheaf_buf *pending = &files->output.pending;
  int32_t status;
  if (place < spool->filed) {
    status = sheaf__blocks_line(&spool->blocks, place, pending);
  } else {
    size_t offset = (size_t)(place - spool->filed);
    status = sheaf_buf_append(pending, spool->memory.data + offset, line_bytes(spool, offset));
  }
  if (status != SHEAF_OK) {
    pending->status = SHEAF_OK;
    return sheaf__say(&files->said, status, "a result that waited cannot be read back: %s",
                      status == SHEAF_E_NOMEM ? "out of memory" : strerror(spool->blocks.error));
  }
  files->output.pending_lines++;
  spool->waiting--;
  return status;
}

/* Everything from next on that is there. */
static int32_t let_out(sheaf_files *files) {
  sheaf__spool *spool = &files->spool;
  for (;;) {
    uint64_t place = sheaf__line_map_get(&files->places, spool->next);
    if (place == SHEAF__PLACE_NONE) break;
    if (place != HOLE) {
      int32_t status = take_out(files, place);
      if (status != SHEAF_OK) return status;
    }
    spool->next++;
    sheaf__line_map_pass(&files->places, spool->next);
    if (!files->output.failed && files->output.pending.bytes >= SHEAF__WRITE_BYTES) {
      int32_t status = sheaf__output_flush(files);
      if (status != SHEAF_OK) return status;
    }
  }
  if (spool->waiting == 0) empty(spool);
  return SHEAF_OK;
}

static int32_t note(sheaf_files *files, uint64_t index, uint64_t place) {
  int32_t status = sheaf__line_map_set(&files->places, index, place);
  if (status == SHEAF_OK) return status;
  return sheaf__say(&files->said, status, "out of memory for the order of lines");
}

int32_t sheaf__spool_put(sheaf_files *files, const sheaf_result *result, bool wanted) {
  sheaf__spool *spool = &files->spool;
  bool now = result->index == spool->next;
  uint64_t place = HOLE;
  if (wanted) {
    sheaf_buf *to = now ? &files->output.pending : &spool->memory;
    size_t before = to->bytes;
    int32_t status = sheaf_line_write(result, to);
    if (status != SHEAF_OK) {
      to->bytes = before;
      to->status = SHEAF_OK;
      return sheaf__say(&files->said, status, "out of memory for the result of line %u",
                        result->line);
    }
    files->lines_written++;
    place = spool->filed + before;
    if (now) files->output.pending_lines++;
    if (!now) spool->waiting++;
  }
  if (now) {
    spool->next++;
    sheaf__line_map_pass(&files->places, spool->next);
    return let_out(files);
  }
  int32_t status = note(files, result->index, place);
  return status == SHEAF_OK ? make_room(files) : status;
}

int32_t sheaf__spool_drain(sheaf_files *files) {
  sheaf__spool *spool = &files->spool;
  int32_t status = let_out(files);
  while (status == SHEAF_OK && spool->next < files->places.end) {
    spool->next++; /* a row that never came */
    sheaf__line_map_pass(&files->places, spool->next);
    status = let_out(files);
  }
  return status;
}
