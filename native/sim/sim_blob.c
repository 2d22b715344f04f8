/* sim_blob.c: bytes on disk: uploads, what jobs write, and views of them.
 *
 * A blob has no name in the file system, so that nothing of it stays behind whatever ends the
 * program; it holds a descriptor. */
#define _GNU_SOURCE
#include "sim_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_nameless(void) {
  char path[256];
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/sheaf-sim-XXXXXX", folder && *folder ? folder : "/tmp");
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd >= 0) unlink(path);
  return fd;
}

sim_blob *sheaf__sim_blob_new(void) {
  sim_blob *blob = calloc(1, sizeof *blob);
  if (!blob) return NULL;
  blob->fd = open_nameless();
  blob->holders = 1;
  if (blob->fd >= 0) return blob;
  free(blob);
  return NULL;
}

sim_blob *sheaf__sim_blob_hold(sim_blob *blob) {
  blob->holders++;
  return blob;
}

void sheaf__sim_blob_drop(sim_blob *blob) {
  if (!blob || --blob->holders) return;
  close(blob->fd);
  free(blob);
}

bool sheaf__sim_blob_append(sim_blob *blob, const void *data, size_t bytes) {
  const char *at = data;
  while (bytes && !blob->is_broken) {
    ssize_t written = pwrite(blob->fd, at, bytes, (off_t)blob->bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      blob->is_broken = true;
      break;
    }
    at += written;
    bytes -= (size_t)written;
    blob->bytes += (uint64_t)written;
  }
  return !blob->is_broken;
}

bool sheaf__sim_view_open(sim_view *view, sim_span span) {
  *view = (sim_view){.text = {"", 0}};
  if (!span.blob || span.from + span.bytes > span.blob->bytes) return false;
  if (span.bytes == 0) return true;
  size_t bytes = (size_t)(span.from + span.bytes);
  void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, span.blob->fd, 0);
  if (map == MAP_FAILED) return false;
  view->map = map;
  view->map_bytes = bytes;
  view->text = (sheaf_slice){(const char *)map + span.from, (size_t)span.bytes};
  return true;
}

void sheaf__sim_view_close(sim_view *view) {
  if (view->map) munmap(view->map, view->map_bytes);
  *view = (sim_view){.text = {"", 0}};
}
