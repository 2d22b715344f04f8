/* sim_lines.c: a file's lines, and complaints that name file and line. */
#include "sim_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_SHOWN_MAX 48u /* of a longer path, its end is shown: messages are short */

/* Where the shown part of the path begins. */
static const char *shown_path(const char *path) {
  size_t bytes = strlen(path);
  return bytes > PATH_SHOWN_MAX ? path + (bytes - PATH_SHOWN_MAX) : path;
}

int32_t sheaf__sim_lines_open(sim_lines *lines, const char *path, char *message, size_t bytes) {
  *lines = (sim_lines){.path = path, .message = message, .message_bytes = bytes};
  sheaf_buf_init(&lines->text, &sheaf__sim_allocator, SIM_FILE_MAX);
  int32_t status = sheaf__sim_read_file(path, &lines->text);
  if (status == SHEAF_OK) return status;
  const char *why = "cannot be read; give the path of a file that exists and may be read";
  if (status == SHEAF_E_LIMIT) why = "is larger than 64 MiB; split it";
  if (status == SHEAF_E_NOMEM) why = "does not fit into memory";
  if (message && bytes) snprintf(message, bytes, "%s %s", shown_path(path), why);
  sheaf_buf_deinit(&lines->text);
  return status;
}

void sheaf__sim_lines_close(sim_lines *lines) {
  sheaf_buf_deinit(&lines->text);
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

bool sheaf__sim_line_next(sim_lines *lines, sheaf_slice *line) {
  const char *data = lines->text.data;
  size_t end = lines->text.bytes;
  if (lines->at == 0 && end >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) lines->at = 3;
  while (lines->at < end) {
    const char *from = data + lines->at;
    const char *stop = memchr(from, '\n', end - lines->at);
    size_t bytes = stop ? (size_t)(stop - from) : end - lines->at;
    lines->at += bytes + (stop ? 1 : 0);
    lines->number++;
    while (bytes && is_space(*from)) from++, bytes--;
    while (bytes && is_space(from[bytes - 1])) bytes--;
    *line = (sheaf_slice){from, bytes};
    if (bytes) return true;
  }
  return false;
}

int32_t sheaf__sim_line_fail(const sim_lines *lines, int32_t status, const char *field,
                             const char *sentence) {
  char column[32] = "", name[40] = "";
  if (status != SHEAF_E_NOMEM && status != SHEAF_E_LIMIT) status = SHEAF_E_FIELD;
  if (!lines->message || !lines->message_bytes) return status;
  if (lines->column) snprintf(column, sizeof column, ", byte %" PRIu64, lines->column);
  if (field) snprintf(name, sizeof name, ", \"%.32s\"", field);
  snprintf(lines->message, lines->message_bytes, "%s, line %" PRIu64 "%s%s: %s",
           shown_path(lines->path), lines->number, column, name, sentence);
  return status;
}

static uint32_t find_name(sheaf_slice key, const char *const *names, uint32_t count) {
  uint32_t i = 0;
  while (i < count && (strlen(names[i]) != key.bytes || memcmp(names[i], key.data, key.bytes) != 0))
    i++;
  return i;
}

int32_t sheaf__sim_line_object(sim_lines *lines, sheaf_slice line, const char *const *names,
                               uint32_t count, sheaf_slice *values) {
  sheaf_json_iter iter;
  sheaf_parse_error error = {0};
  sheaf_slice key, value;
  int32_t status = sheaf_json_check(line, &error);
  if (status != SHEAF_OK) {
    lines->column = error.offset + 1;
    return sheaf__sim_line_fail(lines, status, NULL, "not JSON; write an object a line");
  }
  if (sheaf_json_iter_init(&iter, line) != SHEAF_OK || sheaf_json_kind(line) != SHEAF_JSON_OBJECT)
    return sheaf__sim_line_fail(lines, SHEAF_E_TYPE, NULL, "not an object; write {...} a line");
  for (uint32_t i = 0; i < count; i++) values[i] = (sheaf_slice){0};
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    uint32_t i = find_name(key, names, count);
    if (i == count) {
      char name[33];
      snprintf(name, sizeof name, "%.*s", (int)(key.bytes < 32 ? key.bytes : 32), key.data);
      return sheaf__sim_line_fail(lines, SHEAF_E_FIELD, name, "is not known; leave it out");
    }
    if (sheaf_json_kind(value) != SHEAF_JSON_NULL) values[i] = value;
  }
  return SHEAF_OK;
}

bool sheaf__sim_contains(sheaf_slice text, sheaf_slice part) {
  if (part.bytes == 0) return true;
  const char *at = text.data, *end = text.data + text.bytes;
  while (at && (size_t)(end - at) >= part.bytes) {
    at = memchr(at, part.data[0], (size_t)(end - at) - part.bytes + 1);
    if (!at) return false;
    if (memcmp(at, part.data, part.bytes) == 0) return true;
    at++;
  }
  return false;
}
