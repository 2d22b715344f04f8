/* blocks.c: lines of a file at scattered offsets, through 32 cached blocks of 64 KiB.
 *
 * Lines that finished out of order lie near where their neighbours lie, so that a rewrite in
 * input order wanders over the file in a narrow band: it stays inside of the 2 MiB, and each
 * block is read about once. The least recently used block makes room.
 *
 * Results of jobs come in no order at all: a block read for a single line is then read for
 * nothing, and costs as much as eight lines read alone (6 against 0.8 us). So blocks have to
 * earn what they cost: a line found in one earns 1, one that is read costs 8, and while there is
 * too little lines are read alone, but for a block now and then, which tells when lines lie near
 * each other again.
 *
 * Outline: reading; blocks; lines alone; lines. */
#include "files_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  BLOCK_COST = 8,
  CREDIT_FIRST = 32 * BLOCK_COST, /* the cache may be filled once */
  CREDIT_MAX = 256 * BLOCK_COST,
  TRY_EVERY = 128, /* lines alone */
  LINE_BYTES_FIRST = 1024,
  LINE_BYTES_LEAST = 128
};

void sheaf__blocks_init(sheaf__blocks *blocks, int fd) {
  *blocks = (sheaf__blocks){.fd = fd, .credit = CREDIT_FIRST, .line_bytes = LINE_BYTES_FIRST};
}

void sheaf__blocks_deinit(sheaf__blocks *blocks) {
  free(blocks->data);
  *blocks = (sheaf__blocks){.fd = -1};
}

void sheaf__blocks_reset(sheaf__blocks *blocks) {
  blocks->count = 0;
}

/* ---- Reading ---- */

/* As far as the file goes. */
static int32_t read_at(sheaf__blocks *blocks, char *to, size_t wanted, uint64_t offset,
                       size_t *bytes) {
  *bytes = 0;
  while (*bytes < wanted) {
    ssize_t got = pread(blocks->fd, to + *bytes, wanted - *bytes, (off_t)(offset + *bytes));
    if (got == 0) break;
    if (got > 0) {
      *bytes += (size_t)got;
    } else if (errno != EINTR) {
      blocks->error = errno;
      return SHEAF_E_IO;
    }
  }
  return SHEAF_OK;
}

/* ---- Blocks ---- */

static int32_t load(sheaf__blocks *blocks, uint32_t slot, uint64_t number) {
  sheaf__block *block = &blocks->block[slot];
  block->number = SHEAF_NEVER;
  int32_t status = read_at(blocks, blocks->data + slot * SHEAF__BLOCK_BYTES, SHEAF__BLOCK_BYTES,
                           number * SHEAF__BLOCK_BYTES, &block->bytes);
  if (status == SHEAF_OK) block->number = number;
  return status;
}

/* Whether a block may be read that no line has asked for before. */
static bool may_load(sheaf__blocks *blocks) {
  if (blocks->credit >= BLOCK_COST) {
    blocks->credit -= BLOCK_COST;
    return true;
  }
  if (++blocks->alone < TRY_EVERY) return false;
  blocks->alone = 0;
  return true;
}

/* SHEAF_E_EMPTY: it is not here, and is not worth reading. */
static int32_t find(sheaf__blocks *blocks, uint64_t number, bool must, uint32_t *slot) {
  uint32_t oldest = 0;
  blocks->clock++;
  for (uint32_t i = 0; i < blocks->count; i++) {
    if (blocks->block[i].number == number) {
      blocks->block[i].used = blocks->clock;
      if (blocks->credit < CREDIT_MAX) blocks->credit++;
      *slot = i;
      return SHEAF_OK;
    }
    if (blocks->block[i].used < blocks->block[oldest].used) oldest = i;
  }
  if (!must && !may_load(blocks)) return SHEAF_E_EMPTY;
  if (blocks->data == NULL) {
    blocks->data = malloc(SHEAF__BLOCKS_MAX * SHEAF__BLOCK_BYTES);
    if (blocks->data == NULL) return SHEAF_E_NOMEM;
  }
  if (blocks->count < SHEAF__BLOCKS_MAX) oldest = blocks->count++;
  blocks->block[oldest].used = blocks->clock;
  *slot = oldest;
  return load(blocks, oldest, number);
}

/* ---- Lines alone ---- */

/* Reads half as much again as lines have on average: most come whole at once. */
static int32_t read_alone(sheaf__blocks *blocks, uint64_t offset, sheaf_buf *out) {
  size_t before = out->bytes;
  size_t wanted = blocks->line_bytes + blocks->line_bytes / 2;
  for (;;) {
    size_t bytes;
    if (sheaf_buf_reserve(out, wanted) != SHEAF_OK) return SHEAF_E_NOMEM;
    char *to = out->data + out->bytes;
    int32_t status = read_at(blocks, to, wanted, offset + (out->bytes - before), &bytes);
    if (status != SHEAF_OK) return status;
    if (bytes == 0) return SHEAF_E_CORRUPT;
    const char *lf = memchr(to, '\n', bytes);
    out->bytes += lf == NULL ? bytes : (size_t)(lf - to) + 1;
    if (lf != NULL) break;
    if (wanted < SHEAF__BLOCK_BYTES) wanted *= 2;
  }
  size_t line = out->bytes - before;
  if (line > SHEAF__BLOCK_BYTES) line = SHEAF__BLOCK_BYTES;
  blocks->line_bytes += ((uint32_t)line + 3) / 4 - blocks->line_bytes / 4;
  if (blocks->line_bytes < LINE_BYTES_LEAST) blocks->line_bytes = LINE_BYTES_LEAST;
  return SHEAF_OK;
}

/* ---- Lines ---- */

static int32_t append_line(sheaf__blocks *blocks, uint64_t offset, sheaf_buf *out) {
  for (bool has_begun = false;; has_begun = true) {
    uint32_t slot;
    int32_t status = find(blocks, offset / SHEAF__BLOCK_BYTES, has_begun, &slot);
    if (status == SHEAF_E_EMPTY) return read_alone(blocks, offset, out);
    if (status != SHEAF_OK) return status;
    size_t at = (size_t)(offset % SHEAF__BLOCK_BYTES);
    if (at >= blocks->block[slot].bytes) return SHEAF_E_CORRUPT;
    const char *from = blocks->data + slot * SHEAF__BLOCK_BYTES + at;
    size_t left = blocks->block[slot].bytes - at;
    const char *lf = memchr(from, '\n', left);
    size_t take = lf == NULL ? left : (size_t)(lf - from) + 1;
    if (sheaf_buf_append(out, from, take) != SHEAF_OK) return SHEAF_E_NOMEM;
    if (lf != NULL) return SHEAF_OK;
    offset += take;
  }
}

int32_t sheaf__blocks_line(sheaf__blocks *blocks, uint64_t offset, sheaf_buf *out) {
  size_t before = out->bytes;
  int32_t status = append_line(blocks, offset, out);
  if (status != SHEAF_OK) out->bytes = before; /* never half a line */
  return status;
}
