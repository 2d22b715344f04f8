/* sim_shapes.c: small things that Anthropic's, Gemini's and Ollama's shapes have in common: paths
 * of fields, and pieces of error sentences. */
#include "sim_shapes.h"

#include <stdio.h>
#include <string.h>

#define SAID_VALUE_MAX 100u /* bytes of a wrong value that an error repeats */

uint32_t sheaf__sim_at(sim_call *call, uint32_t error, const char *path, uint32_t n, uint32_t m) {
  size_t at = 0, room = sizeof call->where;
  if (error == SIM_ERROR_COUNT) return error;
  for (; *path && at + 1 < room; path++) {
    if (*path != '%') {
      call->where[at++] = *path;
      continue;
    }
    int bytes = snprintf(call->where + at, room - at, "%u", (unsigned)n);
    if (bytes > 0) at += (size_t)bytes < room - at ? (size_t)bytes : room - at - 1;
    n = m;
  }
  call->where[at] = 0;
  return error;
}

void sheaf__sim_say_value(sheaf_slice value, sheaf_buf *out) {
  bool is_long = value.bytes > SAID_VALUE_MAX;
  sheaf_buf_append(out, value.data, is_long ? SAID_VALUE_MAX : value.bytes);
  if (is_long) sheaf_buf_append_text(out, "...");
}

void sheaf__sim_say_inside(sheaf_slice inside, sheaf_buf *out) {
  if (inside.bytes > SAID_VALUE_MAX || sheaf_buf_append_unescaped(out, inside) != SHEAF_OK)
    sheaf__sim_say_value(inside, out);
}

void sheaf__sim_say_grouped(uint64_t number, sheaf_buf *out) {
  char digits[24], text[32];
  size_t at = sizeof text, count = 0;
  int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  for (int i = length; i > 0; i--, count++) {
    if (count && count % 3 == 0) text[--at] = ',';
    text[--at] = digits[i - 1];
  }
  sheaf_buf_append(out, text + at, sizeof text - at);
}

sheaf_slice sheaf__sim_either(sheaf_slice first, sheaf_slice second) {
  return first.bytes ? first : second;
}

bool sheaf__sim_in_list(const char *list, sheaf_slice word) {
  if (!word.bytes || memchr(word.data, ' ', word.bytes)) return false;
  for (const char *at = list; (at = strchr(at, ' ')) != NULL && at[1]; at++)
    if (strncmp(at + 1, word.data, word.bytes) == 0 && at[1 + word.bytes] == ' ') return true;
  return false;
}

bool sheaf__sim_route_ends(const sim_call *call, const char *end) {
  const char *path = call->route ? call->route->path : call->path;
  size_t bytes = strlen(path), end_bytes = strlen(end);
  return bytes >= end_bytes && strcmp(path + bytes - end_bytes, end) == 0;
}
