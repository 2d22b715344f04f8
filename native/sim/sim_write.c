/* sim_write.c: text for bodies and headers: the template writer, durations, dates; a file read
 * whole. */
#define _POSIX_C_SOURCE 200809L
#include "sim_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *host_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx;
  (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

const sheaf_allocator sheaf__sim_allocator = {.realloc = host_realloc, .ctx = NULL};

static void write_hole(sheaf_buf *out, char kind, va_list *holes) {
  if (kind == 's') {
    sheaf_buf_append_text(out, va_arg(*holes, const char *));
  } else if (kind == 'u') {
    sheaf_buf_append_u64(out, va_arg(*holes, uint64_t));
  } else {
    sheaf_slice slice = *va_arg(*holes, const sheaf_slice *);
    if (kind == 'q')
      sheaf_buf_append_string(out, slice);
    else if (kind == 'e')
      sheaf_buf_append_escaped(out, slice);
    else
      sheaf_buf_append_slice(out, slice);
  }
}

void sheaf__sim_write(sheaf_buf *out, const char *format, ...) {
  va_list holes;
  va_start(holes, format);
  const char *hole = strchr(format, '%');
  while (hole) {
    sheaf_buf_append(out, format, (size_t)(hole - format));
    write_hole(out, hole[1], &holes);
    format = hole + 2;
    hole = strchr(format, '%');
  }
  sheaf_buf_append_text(out, format);
  va_end(holes);
}

void sheaf__sim_go_duration(uint64_t ns, char *text, size_t bytes) {
  uint64_t ms = ns / SIM_MS + (ns % SIM_MS != 0);
  if (ms == 0) {
    snprintf(text, bytes, "0s");
    return;
  }
  if (ms < 1000) {
    snprintf(text, bytes, "%" PRIu64 "ms", ms);
    return;
  }
  uint64_t hours = ms / 3600000, minutes = ms / 60000 % 60, seconds = ms / 1000 % 60;
  char fraction[8] = "";
  if (ms % 1000) {
    snprintf(fraction, sizeof fraction, ".%03u", (unsigned)(ms % 1000));
    for (size_t end = 3; fraction[end] == '0'; end--) fraction[end] = 0;
  }
  if (hours)
    snprintf(text, bytes, "%" PRIu64 "h%" PRIu64 "m%" PRIu64 "%ss", hours, minutes, seconds,
             fraction);
  else if (minutes)
    snprintf(text, bytes, "%" PRIu64 "m%" PRIu64 "%ss", minutes, seconds, fraction);
  else
    snprintf(text, bytes, "%" PRIu64 "%ss", seconds, fraction);
}

void sheaf__sim_rfc3339(int64_t unix_s, char *text, size_t bytes) {
  time_t seconds = (time_t)unix_s;
  struct tm parts;
  if (!gmtime_r(&seconds, &parts) || !strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &parts))
    snprintf(text, bytes, "1970-01-01T00:00:00Z");
}

int32_t sheaf__sim_read_file(const char *path, sheaf_buf *out) {
  char chunk[16384];
  FILE *file = fopen(path, "rb");
  if (!file) return SHEAF_E_IO;
  size_t bytes = fread(chunk, 1, sizeof chunk, file);
  for (; bytes && out->status == SHEAF_OK; bytes = fread(chunk, 1, sizeof chunk, file))
    sheaf_buf_append(out, chunk, bytes);
  int32_t status = ferror(file) ? SHEAF_E_IO : out->status;
  fclose(file);
  return status;
}
