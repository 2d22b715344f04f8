/* input.c: the bytes of a descriptor as lines, in one buffer that is used again and again.
 *
 * A line is borrowed in place. The buffer grows only for a line that does not fit, up to the ceiling of a line.
 * Only LF ends a line: U+2028 and its like are legal inside JSON strings. A pipe is asked by poll before each
 * read, so that no call waits; the descriptor's own flags, which other processes share, are left alone. */
#include "files_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES ((size_t)512 << 10)

void sheaf__input_init(sheaf__input *input, int fd, bool regular, uint64_t offset, uint64_t line) {
  *input =
      (sheaf__input){.fd = fd, .regular = regular, .start = offset, .offset = offset, .line = line};
}

void sheaf__input_deinit(sheaf__input *input) {
  free(input->data);
  if (input->owned) close(input->fd);
  *input = (sheaf__input){.fd = -1};
}

/* Room behind end: moves the rest of the last line to the front, or grows. */
static int32_t make_room(sheaf__input *input) {
  if (input->end < input->capacity) return SHEAF_OK;
  if (input->begin > 0) {
    input->end -= input->begin;
    memmove(input->data, input->data + input->begin, input->end);
    input->begin = 0;
    if (input->end <= input->capacity / 2) return SHEAF_OK;
  }
  size_t capacity = input->capacity == 0 ? FIRST_BYTES : input->capacity * 2;
  char *data = realloc(input->data, capacity);
  if (data == NULL) return SHEAF_E_NOMEM;
  input->data = data;
  input->capacity = capacity;
  return SHEAF_OK;
}

static bool is_ready(int fd) {
  struct pollfd ask = {.fd = fd, .events = POLLIN};
  int count = poll(&ask, 1, 0);
  return count != 0 && (count > 0 || errno != EINTR);
}

static int32_t fill(sheaf__input *input) {
  int32_t status = make_room(input);
  if (status != SHEAF_OK) return status;
  if (!input->regular && !is_ready(input->fd)) return SHEAF_E_LATER;
  char *to = input->data + input->end;
  size_t room = input->capacity - input->end;
  ssize_t got;
  do {
    uint64_t at = input->offset + (input->end - input->begin);
    got = input->regular ? pread(input->fd, to, room, (off_t)at) : read(input->fd, to, room);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return SHEAF_E_LATER;
  if (got < 0) {
    input->error = errno;
    return SHEAF_E_IO;
  }
  if (got == 0) input->ended = true;
  input->end += (size_t)got;
  return SHEAF_OK;
}

/* Hands out length bytes from begin, which take up used bytes of the input. */
static int32_t hand_out(sheaf__input *input, size_t length, size_t used, sheaf__text_line *line) {
  if (length > SHEAF_LINE_BYTES_MAX) return SHEAF_E_TOO_LONG; /* not counted: it ends the input */
  const char *text = input->data + input->begin;
  *line = (sheaf__text_line){.text = {text, length},
                             .number = input->line + 1,
                             .offset = input->offset,
                             .whole = used > length};
  bool first = input->offset == 0 && input->start == 0;
  if (first && length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
    line->text.data += 3;
    line->text.bytes -= 3;
  }
  input->line++;
  input->begin += used;
  input->offset += used;
  input->searched = 0;
  return SHEAF_OK;
}

int32_t sheaf__input_line(sheaf__input *input, sheaf__text_line *line) {
  for (;;) {
    size_t have = input->end - input->begin;
    if (have > input->searched) {
      const char *from = input->data + input->begin;
      const char *lf = memchr(from + input->searched, '\n', have - input->searched);
      if (lf != NULL) {
        size_t length = (size_t)(lf - from);
        return hand_out(input, length, length + 1, line);
      }
      input->searched = have;
    }
    if (input->ended) return have == 0 ? SHEAF_E_END : hand_out(input, have, have, line);
    if (have > SHEAF_LINE_BYTES_MAX) return SHEAF_E_TOO_LONG;
    int32_t status = fill(input);
    if (status != SHEAF_OK) return status;
  }
}

bool sheaf__text_is_blank(sheaf_slice text) {
  for (size_t i = 0; i < text.bytes; i++) {
    char c = text.data[i];
    if (c != ' ' && c != '\t' && c != '\r') return false;
  }
  return true;
}
