/* blocks.c: lines of a file at scattered offsets, through 64 cached blocks of 64 KiB.
 *
 * Lines that finished out of order lie near where their neighbours lie, so that a rewrite in input order wanders over
 * the file in a narrow band: it stays inside of the 4 MiB, and each block is read about once. A line far away
 * costs one block. The least recently used block makes room. */
#include "files_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void sheaf__blocks_init(sheaf__blocks *blocks, int fd) {
  *blocks = (sheaf__blocks){.fd = fd};
}

void sheaf__blocks_deinit(sheaf__blocks *blocks) {
  free(blocks->data);
  *blocks = (sheaf__blocks){.fd = -1};
}

void sheaf__blocks_reset(sheaf__blocks *blocks) {
  blocks->count = 0;
}

/* Reads a block as far as the file goes. */
static int32_t load(sheaf__blocks *blocks, uint32_t slot, uint64_t number) {
  char *to = blocks->data + slot * SHEAF__BLOCK_BYTES;
  sheaf__block *block = &blocks->block[slot];
  size_t bytes = 0;
  block->number = SHEAF_NEVER;
  while (bytes < SHEAF__BLOCK_BYTES) {
    ssize_t got = pread(blocks->fd, to + bytes, SHEAF__BLOCK_BYTES - bytes,
                        (off_t)(number * SHEAF__BLOCK_BYTES + bytes));
    if (got == 0) break;
    if (got > 0) {
      bytes += (size_t)got;
    } else if (errno != EINTR) {
      blocks->error = errno;
      return SHEAF_E_IO;
    }
  }
  block->number = number;
  block->bytes = bytes;
  return SHEAF_OK;
}

static int32_t find(sheaf__blocks *blocks, uint64_t number, uint32_t *slot) {
  uint32_t oldest = 0;
  blocks->clock++;
  for (uint32_t i = 0; i < blocks->count; i++) {
    if (blocks->block[i].number == number) {
      blocks->block[i].used = blocks->clock;
      *slot = i;
      return SHEAF_OK;
    }
    if (blocks->block[i].used < blocks->block[oldest].used) oldest = i;
  }
  if (blocks->data == NULL) {
    blocks->data = malloc(SHEAF__BLOCKS_MAX * SHEAF__BLOCK_BYTES);
    if (blocks->data == NULL) return SHEAF_E_NOMEM;
  }
  if (blocks->count < SHEAF__BLOCKS_MAX) oldest = blocks->count++;
  blocks->block[oldest].used = blocks->clock;
  *slot = oldest;
  return load(blocks, oldest, number);
}

int32_t sheaf__blocks_line(sheaf__blocks *blocks, uint64_t offset, sheaf_buf *out) {
  size_t before = out->bytes;
  for (;;) {
    uint32_t slot;
    int32_t status = find(blocks, offset / SHEAF__BLOCK_BYTES, &slot);
    if (status != SHEAF_OK) return status;
    size_t at = (size_t)(offset % SHEAF__BLOCK_BYTES);
    if (at >= blocks->block[slot].bytes) break;
    const char *from = blocks->data + slot * SHEAF__BLOCK_BYTES + at;
    size_t left = blocks->block[slot].bytes - at;
    const char *lf = memchr(from, '\n', left);
    size_t take = lf == NULL ? left : (size_t)(lf - from) + 1;
    if (sheaf_buf_append(out, from, take) != SHEAF_OK) return SHEAF_E_NOMEM;
    if (lf != NULL) return SHEAF_OK;
    offset += take;
  }
  out->bytes = before;
  return SHEAF_E_CORRUPT;
}
