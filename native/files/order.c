/* order.c: the finished output in input order, one line a row.
 *
 * The file is rewritten beside itself and renamed over, so that at any instant one of the two is complete:
 *
 *   lines of rows, by index | lines that belong to no row of this input, as they stood    (order input)
 *   all lines but those that a better one replaced                                        (order completion)
 *
 * "No row" happens: an earlier run without --limit, or rows since taken out of the input. Those lines were paid for and
 * stay. Telling them from replaced ones needs a sorted copy of the offsets, 8 bytes a row, only then. */
#define _GNU_SOURCE /* sync_file_range */
#include "files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct plan {
  sheaf__offsets strays;   /* of no row, in file order */
  sheaf__offsets replaced; /* sorted */
} plan;

/* ---- What is to be done ---- */

static uint64_t line_of(const sheaf_files *files, uint64_t index) {
  uint64_t place = sheaf__line_map_get(&files->places, index);
  return place == SHEAF__PLACE_NONE ? place : place & SHEAF__PLACE_OFFSET;
}

/* Whether the lines of rows, and then the strays, stand in rising order. */
static bool is_in_order(const sheaf_files *files, const plan *it) {
  uint64_t before = 0;
  bool first = true;
  for (uint64_t index = 0; index < files->places.end; index++) {
    uint64_t offset = line_of(files, index);
    if (offset == SHEAF__PLACE_NONE) continue;
    if (!first && offset < before) return false;
    before = offset;
    first = false;
  }
  return first || it->strays.count == 0 || before < it->strays.items[0];
}

/* A line of no row: replaced by a better one of the same request, or a stray. A request that could not be built has the
 * fingerprint 0, and any other line of its id is better. */
static int32_t sort_out(sheaf_files *files, const sheaf__text_line *line, sheaf_buf *scratch,
                        plan *it) {
  sheaf_line_facts facts;
  uint64_t better = line->offset;
  if (sheaf_line_facts_read(line->text, &facts) == SHEAF_OK) {
    sheaf_buf_reset(scratch);
    sheaf_buf_append_unescaped(scratch, facts.custom_id);
    if (scratch->status == SHEAF_E_NOMEM) return SHEAF_E_NOMEM;
    static const uint8_t none[16] = {0};
    int32_t found = sheaf_resume_find(files->resume, sheaf_buf_slice(scratch), facts.fingerprint,
                                      false, &better);
    if (found == SHEAF_E_OTHER_RUN && memcmp(facts.fingerprint, none, sizeof none) == 0) {
      return sheaf__offsets_push(&it->replaced, line->offset);
    }
  }
  bool is_replaced = better != line->offset || sheaf__offsets_has(&files->losers, line->offset);
  return sheaf__offsets_push(is_replaced ? &it->replaced : &it->strays, line->offset);
}

/* Walks over the file and sorts out the lines that no row points at. */
static int32_t find_others(sheaf_files *files, plan *it) {
  sheaf__offsets taken = {0};
  sheaf_buf scratch;
  sheaf__input input;
  sheaf__text_line line;
  int32_t status = SHEAF_OK;
  sheaf_buf_init(&scratch, sheaf_heap(), SHEAF_LINE_BYTES_MAX);
  sheaf__input_init(&input, files->output.fd, true, 0, 0);
  for (uint64_t index = 0; index < files->places.end && status == SHEAF_OK; index++) {
    uint64_t offset = line_of(files, index);
    if (offset != SHEAF__PLACE_NONE) status = sheaf__offsets_push(&taken, offset);
  }
  sheaf__offsets_sort(&taken);
  sheaf__offsets_sort(&files->losers);
  for (size_t at = 0; status == SHEAF_OK;) {
    status = sheaf__input_line(&input, &line);
    if (status != SHEAF_OK) break;
    if (at < taken.count && taken.items[at] == line.offset) {
      at++;
    } else if (!sheaf__text_is_blank(line.text)) {
      status = sort_out(files, &line, &scratch, it);
    }
  }
  errno = input.error;
  sheaf__input_deinit(&input);
  sheaf_buf_deinit(&scratch);
  sheaf__offsets_deinit(&taken);
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

/* ---- The copy ---- */

typedef struct copy {
  int fd;
  uint64_t bytes;
  uint64_t given; /* on their way to the disk */
  uint64_t gone;  /* and there */
  sheaf_buf out;
  sheaf__blocks blocks;
} copy;

#define PART_BYTES (UINT64_C(8) << 20)

#ifdef __linux__
/* A failure that is told here is not told by fsync once more. File systems that cannot do it say so. */
static bool sync_range(int fd, uint64_t from, uint64_t bytes, unsigned how) {
  if (sync_file_range(fd, (off_t)from, (off_t)bytes, how) == 0) return true;
  return errno == EINVAL || errno == ENOSYS || errno == ESPIPE;
}
#endif

/* The copy is synced at its end: what is written may as well be on its way to the disk at once, and
 * leave the cache when it is there. A copy of any size then has the use of a few MB, the same all the
 * time: no fresh memory, and nothing of other programs makes room for it. */
static bool let_go(copy *to) {
#ifdef __linux__
  const unsigned wait =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  uint64_t full = to->bytes / PART_BYTES * PART_BYTES;
  if (full == to->given) return true;
  if (!sync_range(to->fd, to->given, full - to->given, SYNC_FILE_RANGE_WRITE)) return false;
  uint64_t before = to->given - to->gone;
  if (before > 0 && !sync_range(to->fd, to->gone, before, wait)) return false;
  if (before > 0) posix_fadvise(to->fd, (off_t)to->gone, (off_t)before, POSIX_FADV_DONTNEED);
  to->gone = to->given;
  to->given = full;
#else
  (void)to;
#endif
  return true;
}

static int32_t copy_flush(copy *to) {
  size_t done;
  if (!sheaf__write_all(to->fd, to->out.data, to->out.bytes, to->bytes, &done)) return SHEAF_E_IO;
  to->bytes += done;
  sheaf_buf_reset(&to->out);
  return let_go(to) ? SHEAF_OK : SHEAF_E_IO;
}

static int32_t copy_line(copy *to, uint64_t offset) {
  int32_t status = sheaf__blocks_line(&to->blocks, offset, &to->out);
  if (status == SHEAF_E_IO) errno = to->blocks.error;
  if (status == SHEAF_E_CORRUPT) errno = EIO;
  if (status != SHEAF_OK || to->out.bytes < SHEAF__WRITE_BYTES) return status;
  return copy_flush(to);
}

static int32_t copy_by_index(sheaf_files *files, const plan *it, copy *to) {
  int32_t status = SHEAF_OK;
  for (uint64_t index = 0; index < files->places.end && status == SHEAF_OK; index++) {
    uint64_t offset = line_of(files, index);
    if (offset != SHEAF__PLACE_NONE) status = copy_line(to, offset);
  }
  for (size_t i = 0; i < it->strays.count && status == SHEAF_OK; i++) {
    status = copy_line(to, it->strays.items[i]);
  }
  return status;
}

static int32_t copy_as_it_stands(sheaf_files *files, const plan *it, copy *to) {
  sheaf__input input;
  sheaf__text_line line;
  int32_t status = SHEAF_OK;
  size_t at = 0;
  sheaf__input_init(&input, files->output.fd, true, 0, 0);
  while (status == SHEAF_OK && (status = sheaf__input_line(&input, &line)) == SHEAF_OK) {
    if (at < it->replaced.count && it->replaced.items[at] == line.offset) {
      at++;
      continue;
    }
    sheaf_buf_append_slice(&to->out, line.text);
    sheaf_buf_append(&to->out, "\n", 1);
    if (to->out.status != SHEAF_OK) status = SHEAF_E_NOMEM;
    if (status == SHEAF_OK && to->out.bytes >= SHEAF__WRITE_BYTES) status = copy_flush(to);
  }
  if (input.error != 0) errno = input.error;
  sheaf__input_deinit(&input);
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

static int32_t write_copy(sheaf_files *files, const plan *it, copy *to, const char *path) {
  struct stat facts;
  to->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (to->fd < 0 || !sheaf__lock(to->fd)) return SHEAF_E_IO;
  if (fstat(files->output.fd, &facts) != 0 || fchmod(to->fd, facts.st_mode & 07777) != 0) {
    return SHEAF_E_IO;
  }
  bool by_index = files->options.order == SHEAF_ORDER_INPUT;
  int32_t status = by_index ? copy_by_index(files, it, to) : copy_as_it_stands(files, it, to);
  if (status == SHEAF_OK) status = copy_flush(to);
  if (status == SHEAF_OK && fsync(to->fd) != 0) status = SHEAF_E_IO;
  if (status == SHEAF_OK && rename(path, files->output_path) != 0) status = SHEAF_E_IO;
  return status;
}

static int32_t rewrite(sheaf_files *files, const plan *it) {
  char *path = sheaf__text_join(files->output_path, ".tmp");
  if (path == NULL) return SHEAF_E_NOMEM;
  copy to = {.fd = -1};
  sheaf_buf_init(&to.out, sheaf_heap(), SIZE_MAX / 2);
  sheaf__blocks_init(&to.blocks, files->output.fd);
  int32_t status = write_copy(files, it, &to, path);
  int error = errno;
  if (status == SHEAF_OK) {
    sheaf__sync_directory(
        files->output_path); /* the name is the new file's; a crash may still show the old */
    close(files->output.fd);
    files->output.fd = to.fd; /* with its lock, until sheaf_files_close */
    files->output.bytes = to.bytes;
    files->output.unsynced = false;
  } else if (to.fd >= 0) {
    unlink(path);
    close(to.fd);
  }
  sheaf__blocks_deinit(&to.blocks);
  sheaf_buf_deinit(&to.out);
  free(path);
  errno = error;
  return status;
}

int32_t sheaf__order_restore(sheaf_files *files) {
  plan it = {0};
  int32_t status = SHEAF_OK;
  bool by_index = files->options.order == SHEAF_ORDER_INPUT;
  if (files->output.lines > files->places.count) status = find_others(files, &it);
  if (status == SHEAF_OK && (it.replaced.count > 0 || (by_index && !is_in_order(files, &it)))) {
    status = rewrite(files, &it);
  }
  sheaf__offsets_deinit(&it.strays);
  sheaf__offsets_deinit(&it.replaced);
  if (status == SHEAF_OK) return status;
  return sheaf__say(
      &files->said, status,
      "%s: all results are there, but not yet in order (%s); mend that and run the same command "
      "again, it sends nothing twice",
      files->output_name, status == SHEAF_E_NOMEM ? "out of memory" : strerror(errno));
}
