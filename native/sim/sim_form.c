/* sim_form.c: multipart/form-data (RFC 7578), part by part. What a part holds is not copied. */
#define _GNU_SOURCE
#include "sim_batch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *find(sheaf_slice in, const char *what, size_t bytes) {
  return in.bytes ? memmem(in.data, in.bytes, what, bytes) : NULL;
}

static sheaf_slice after(sheaf_slice text, const char *at) {
  return (sheaf_slice){at, (size_t)(text.data + text.bytes - at)};
}

static bool begins(sheaf_slice text, const char *with) {
  size_t bytes = strlen(with);
  return text.bytes >= bytes && memcmp(text.data, with, bytes) == 0;
}

/* The value of name=... in a header, with its quotes taken off; empty where it is not there. */
static sheaf_slice parameter(sheaf_slice header, const char *name) {
  size_t bytes = strlen(name);
  for (sheaf_slice rest = header; rest.bytes;) {
    const char *semicolon = memchr(rest.data, ';', rest.bytes);
    if (!semicolon) break;
    rest = after(rest, semicolon + 1);
    while (rest.bytes && (*rest.data == ' ' || *rest.data == '\t'))
      rest = after(rest, rest.data + 1);
    if (rest.bytes <= bytes || strncasecmp(rest.data, name, bytes) || rest.data[bytes] != '=')
      continue;
    rest = after(rest, rest.data + bytes + 1);
    bool is_quoted = begins(rest, "\"");
    if (is_quoted) rest = after(rest, rest.data + 1);
    size_t end = 0;
    while (end < rest.bytes && !strchr(is_quoted ? "\"\r\n" : "; \t\r\n", rest.data[end])) end++;
    return (sheaf_slice){rest.data, end};
  }
  return (sheaf_slice){0};
}

bool sheaf__sim_form_open(sim_form *form, const char *content_type, sheaf_slice body) {
  static const char wanted[] = "multipart/form-data";
  if (!content_type || strncasecmp(content_type, wanted, sizeof wanted - 1) != 0) return false;
  sheaf_slice boundary = parameter(sheaf_slice_of(content_type), "boundary");
  if (boundary.bytes == 0 || boundary.bytes > 70) return false; /* RFC 2046, 5.1.1 */
  snprintf(form->boundary, sizeof form->boundary, "\r\n--%.*s", (int)boundary.bytes, boundary.data);
  /* The first delimiter may stand at the very beginning, without its line break. */
  size_t bytes = strlen(form->boundary);
  if (begins(body, form->boundary + 2)) {
    form->rest = after(body, body.data + bytes - 2);
    return true;
  }
  const char *first = find(body, form->boundary, bytes);
  if (!first) return false;
  form->rest = after(body, first + bytes);
  return true;
}

static void read_header(sheaf_slice line, sim_form_part *part) {
  static const char disposition[] = "content-disposition:", type[] = "content-type:";
  if (line.bytes > sizeof disposition &&
      strncasecmp(line.data, disposition, sizeof disposition - 1) == 0) {
    part->name = parameter(line, "name");
    part->filename = parameter(line, "filename");
  } else if (line.bytes > sizeof type && strncasecmp(line.data, type, sizeof type - 1) == 0) {
    part->type = after(line, line.data + sizeof type - 1);
    while (part->type.bytes && *part->type.data == ' ')
      part->type = after(part->type, part->type.data + 1);
  }
}

bool sheaf__sim_form_next(sim_form *form, sim_form_part *part) {
  sheaf_slice rest = form->rest;
  *part = (sim_form_part){0};
  if (!begins(rest, "\r\n")) return false; /* "--" ends the form */
  rest = after(rest, rest.data + 2);
  while (!begins(rest, "\r\n")) {
    const char *end = find(rest, "\r\n", 2);
    if (!end) return false;
    read_header((sheaf_slice){rest.data, (size_t)(end - rest.data)}, part);
    rest = after(rest, end + 2);
  }
  /* The break after the headers may be the one before the delimiter: an empty part. */
  const char *end = find(rest, form->boundary, strlen(form->boundary));
  if (!end) return false;
  const char *from = rest.data + 2;
  part->value = (sheaf_slice){from, end > from ? (size_t)(end - from) : 0};
  form->rest = after(rest, end + strlen(form->boundary));
  return true;
}
