/* template.c: a prompt with {name} placeholders; {{ and }} stand for braces.
 *
 * The text is cut into parts once. A value goes in as it is: what stands in a value is never read as a
 * placeholder. */
#include "files_int.h"

#include <stdlib.h>
#include <string.h>

static int32_t add_part(sheaf__template *it, size_t begin, size_t end, uint32_t column) {
  if (begin == end && column == SHEAF__LITERAL) return SHEAF_OK;
  if ((it->count & (it->count - 1)) == 0) { /* full at each power of two */
    size_t room = it->count == 0 ? 1 : (size_t)it->count * 2;
    sheaf__template_part *parts = realloc(it->parts, room * sizeof *parts);
    if (parts == NULL) return SHEAF_E_NOMEM;
    it->parts = parts;
  }
  it->parts[it->count++] = (sheaf__template_part){begin, end, column};
  return SHEAF_OK;
}

/* The placeholder whose { stands at open; *next is behind its }. */
static int32_t add_placeholder(sheaf__template *it, size_t open, size_t *next, sheaf__said *said) {
  size_t end = open + 1;
  while (it->text[end] != '\0' && it->text[end] != '}' && it->text[end] != '{') end++;
  if (it->text[end] != '}' || end == open + 1) {
    return sheaf__say(said, SHEAF_E_SYNTAX,
                      "template, byte %zu: { begins no placeholder as {name}; write {{ for a brace",
                      open + 1);
  }
  *next = end + 1;
  return add_part(it, open + 1, end, 0);
}

int32_t sheaf__template_init(sheaf__template *it, const char *text, sheaf__said *said) {
  *it = (sheaf__template){.text = text};
  size_t literal = 0;
  size_t at = 0;
  int32_t status = SHEAF_OK;
  while (status == SHEAF_OK && text[at] != '\0') {
    char c = text[at];
    if (c != '{' && c != '}') {
      at++;
    } else if (text[at + 1] ==
               c) { /* the literal takes the first brace and the second is left out */
      status = add_part(it, literal, at + 1, SHEAF__LITERAL);
      at += 2;
      literal = at;
    } else if (c == '{') {
      status = add_part(it, literal, at, SHEAF__LITERAL);
      if (status == SHEAF_OK) status = add_placeholder(it, at, &at, said);
      literal = at;
    } else {
      status = sheaf__say(said, SHEAF_E_SYNTAX,
                          "template, byte %zu: } closes nothing; write }} for a brace", at + 1);
    }
  }
  if (status == SHEAF_OK) status = add_part(it, literal, at, SHEAF__LITERAL);
  if (status == SHEAF_E_NOMEM) sheaf__say(said, status, "out of memory");
  return status;
}

void sheaf__template_deinit(sheaf__template *it) {
  free(it->parts);
  *it = (sheaf__template){0};
}

/* The columns' names for a sentence, as many as fit. */
static void list_columns(const sheaf_slice *columns, uint32_t count, char *text, size_t bytes) {
  size_t used = 0;
  text[0] = '\0';
  for (uint32_t i = 0; i < count; i++) {
    sheaf__shown shown;
    const char *name = sheaf__show(columns[i], &shown);
    size_t length = strlen(name);
    if (used + length + 8 > bytes) {
      memcpy(text + used, ", ...", 6);
      return;
    }
    if (i > 0) {
      memcpy(text + used, ", ", 2);
      used += 2;
    }
    memcpy(text + used, name, length + 1);
    used += length;
  }
}

int32_t sheaf__template_bind(sheaf__template *it, const sheaf_slice *columns, uint32_t count,
                             const char *where, sheaf__said *said) {
  for (uint32_t i = 0; i < it->count; i++) {
    sheaf__template_part *part = &it->parts[i];
    if (part->column == SHEAF__LITERAL) continue;
    sheaf_slice name = {it->text + part->begin, part->end - part->begin};
    uint32_t column = 0;
    while (column < count && (columns[column].bytes != name.bytes ||
                              memcmp(columns[column].data, name.data, name.bytes) != 0)) {
      column++;
    }
    if (column == count) {
      char names[400];
      sheaf__shown shown;
      list_columns(columns, count, names, sizeof names);
      return sheaf__say(said, SHEAF_E_FIELD,
                        "%s: the template names {%s}, and there is no such column; there is: %s",
                        where, sheaf__show(name, &shown), names);
    }
    part->column = column;
  }
  return SHEAF_OK;
}

int32_t sheaf__template_apply(const sheaf__template *it, const sheaf_slice *values,
                              sheaf_buf *out) {
  for (uint32_t i = 0; i < it->count; i++) {
    const sheaf__template_part *part = &it->parts[i];
    if (part->column == SHEAF__LITERAL) {
      sheaf_buf_append(out, it->text + part->begin, part->end - part->begin);
    } else {
      sheaf_buf_append_slice(out, values[part->column]);
    }
  }
  return out->status;
}
