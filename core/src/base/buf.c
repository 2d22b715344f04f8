/* buf.c: the growable byte buffer of sheaf/buf.h.
 *
 * Outline: growth; plain appends and numbers; escaping (plain runs are found eight bytes at a time and copied
 * whole); unescaping. The first failure sticks in status, so chains are checked once. */
#include <sheaf/buf.h>

#include "base/mem.h"
#include "base/swar.h"

#define FIRST_BYTES ((size_t)64)

void sheaf_buf_init(sheaf_buf *buf, const sheaf_allocator *allocator, size_t bytes_max) {
  *buf = (sheaf_buf){.bytes_max = bytes_max, .allocator = allocator, .status = SHEAF_OK};
}

void sheaf_buf_deinit(sheaf_buf *buf) {
  sheaf__free(buf->allocator, buf->data, buf->capacity);
  sheaf_buf_init(buf, buf->allocator, buf->bytes_max);
}

void sheaf_buf_reset(sheaf_buf *buf) {
  buf->bytes = 0;
  buf->status = SHEAF_OK;
}

/* Doubles, or takes just what is wanted where that is more: a body that is reserved whole holds no slack. */
static int32_t grow(sheaf_buf *buf, size_t n) {
  if (n > buf->bytes_max || buf->bytes > buf->bytes_max - n) {
    return buf->status = SHEAF_E_LIMIT;
  }
  size_t wanted = buf->bytes + n;
  size_t capacity = buf->capacity > SIZE_MAX / 2 ? SIZE_MAX : buf->capacity * 2;
  if (capacity < wanted)
    capacity = wanted > SIZE_MAX - FIRST_BYTES
                   ? wanted
                   : (wanted + FIRST_BYTES - 1) / FIRST_BYTES * FIRST_BYTES;
  if (capacity > buf->bytes_max) capacity = buf->bytes_max;
  char *data = sheaf__realloc(buf->allocator, buf->data, buf->capacity, capacity);
  if (!data) return buf->status = SHEAF_E_NOMEM;
  buf->data = data;
  buf->capacity = capacity;
  return SHEAF_OK;
}

int32_t sheaf_buf_reserve(sheaf_buf *buf, size_t n) {
  if (buf->status != SHEAF_OK) return buf->status;
  if (n <= buf->capacity - buf->bytes) return SHEAF_OK;
  return grow(buf, n);
}

int32_t sheaf_buf_append(sheaf_buf *buf, const void *data, size_t bytes) {
  if (buf->status != SHEAF_OK) return buf->status;
  if (bytes == 0) return SHEAF_OK;
  if (bytes > buf->capacity - buf->bytes) {
    int32_t status = grow(buf, bytes);
    if (status != SHEAF_OK) return status;
  }
  memcpy(buf->data + buf->bytes, data, bytes);
  buf->bytes += bytes;
  return SHEAF_OK;
}

int32_t sheaf_buf_append_slice(sheaf_buf *buf, sheaf_slice slice) {
  return sheaf_buf_append(buf, slice.data, slice.bytes);
}

int32_t sheaf_buf_append_text(sheaf_buf *buf, const char *text) {
  return sheaf_buf_append(buf, text, strlen(text));
}

int32_t sheaf_buf_append_u64(sheaf_buf *buf, uint64_t number) {
  char digits[20]; /* 2^64 - 1 has 20 */
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return sheaf_buf_append(buf, digits + at, sizeof digits - at);
}

int32_t sheaf_buf_append_i64(sheaf_buf *buf, int64_t number) {
  if (number >= 0) return sheaf_buf_append_u64(buf, (uint64_t)number);
  sheaf_buf_append(buf, "-", 1);
  return sheaf_buf_append_u64(buf, 0 - (uint64_t)number);
}

/* ---- Escaping ---- */

/* The end of what may be copied as it is: plain bytes and well-formed UTF-8. */
static const char *skip_clean(const char *p, const char *end) {
  for (;;) {
    p = sheaf__skip_plain(p, end);
    const char *behind = sheaf__skip_utf8(p, end);
    if (behind == p) return p;
    p = behind;
  }
}

/* Appends the stand-in of what skip_clean stopped at; answers how many bytes it stands for. */
static size_t append_stand_in(sheaf_buf *buf, const char *p, size_t left) {
  static const char hex[] = "0123456789abcdef";
  unsigned char c = (unsigned char)*p;
  if (c >= 0x80) {
    sheaf_buf_append(buf, "\xEF\xBF\xBD", 3);
    return (size_t)-sheaf__utf8_step(p, left);
  }
  char escape[6] = {'\\', (char)c, '0', '0', 0, 0};
  size_t bytes = 2;
  switch (c) {
    case '"':
    case '\\': break;
    case '\b': escape[1] = 'b'; break;
    case '\f': escape[1] = 'f'; break;
    case '\n': escape[1] = 'n'; break;
    case '\r': escape[1] = 'r'; break;
    case '\t': escape[1] = 't'; break;
    default:
      escape[1] = 'u';
      escape[4] = hex[c >> 4];
      escape[5] = hex[c & 15];
      bytes = 6;
  }
  sheaf_buf_append(buf, escape, bytes);
  return 1;
}

int32_t sheaf_buf_append_escaped(sheaf_buf *buf, sheaf_slice text) {
  if (text.bytes == 0) return buf->status;
  const char *p = text.data, *end = text.data + text.bytes;
  sheaf_buf_reserve(buf, text.bytes); /* most text needs no more; a failure here is final anyway */
  while (buf->status == SHEAF_OK) {
    const char *clean = skip_clean(p, end);
    sheaf_buf_append(buf, p, (size_t)(clean - p));
    if (clean == end) break;
    p = clean + append_stand_in(buf, clean, (size_t)(end - clean));
    if (p == end) break;
  }
  return buf->status;
}

int32_t sheaf_buf_append_string(sheaf_buf *buf, sheaf_slice text) {
  sheaf_buf_append(buf, "\"", 1);
  sheaf_buf_append_escaped(buf, text);
  return sheaf_buf_append(buf, "\"", 1);
}

/* ---- Unescaping ---- */

/* Four hexadecimal digits as a number, or -1. */
static int32_t read_hex4(const char *p, const char *end) {
  if (end - p < 4) return -1;
  int32_t number = 0;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    int32_t digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = (c | 0x20) - 'a' + 10;
    } else {
      return -1;
    }
    number = number * 16 + digit;
  }
  return number;
}

static void append_code_point(sheaf_buf *buf, uint32_t code) {
  char utf8[4];
  size_t bytes;
  if (code < 0x80) {
    utf8[0] = (char)code;
    bytes = 1;
  } else if (code < 0x800) {
    utf8[0] = (char)(0xC0 | code >> 6);
    utf8[1] = (char)(0x80 | (code & 0x3F));
    bytes = 2;
  } else if (code < 0x10000) {
    utf8[0] = (char)(0xE0 | code >> 12);
    utf8[1] = (char)(0x80 | (code >> 6 & 0x3F));
    utf8[2] = (char)(0x80 | (code & 0x3F));
    bytes = 3;
  } else {
    utf8[0] = (char)(0xF0 | code >> 18);
    utf8[1] = (char)(0x80 | (code >> 12 & 0x3F));
    utf8[2] = (char)(0x80 | (code >> 6 & 0x3F));
    utf8[3] = (char)(0x80 | (code & 0x3F));
    bytes = 4;
  }
  sheaf_buf_append(buf, utf8, bytes);
}

/* p is behind "\u". Takes a following low surrogate along; half a pair becomes U+FFFD. NULL if broken. */
static const char *append_unicode(sheaf_buf *buf, const char *p, const char *end) {
  int32_t first = read_hex4(p, end);
  if (first < 0) return NULL;
  p += 4;
  uint32_t code = (uint32_t)first;
  if (code >= 0xD800 && code < 0xE000) {
    int32_t second = -1;
    if (code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u')
      second = read_hex4(p + 2, end);
    if (second >= 0xDC00 && second < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + ((uint32_t)second - 0xDC00);
      p += 6;
    } else {
      code = 0xFFFD;
    }
  }
  append_code_point(buf, code);
  return p;
}

/* p is at a backslash. Answers what follows the escape, or NULL if it is broken. */
static const char *append_escape(sheaf_buf *buf, const char *p, const char *end) {
  if (end - p < 2) return NULL;
  char plain;
  switch (p[1]) {
    case '"':
    case '\\':
    case '/': plain = p[1]; break;
    case 'b': plain = '\b'; break;
    case 'f': plain = '\f'; break;
    case 'n': plain = '\n'; break;
    case 'r': plain = '\r'; break;
    case 't': plain = '\t'; break;
    case 'u': return append_unicode(buf, p + 2, end);
    default: return NULL;
  }
  sheaf_buf_append(buf, &plain, 1);
  return p + 2;
}

int32_t sheaf_buf_append_unescaped(sheaf_buf *buf, sheaf_slice inside) {
  if (inside.bytes == 0) return buf->status;
  const char *p = inside.data, *end = inside.data + inside.bytes;
  size_t before = buf->bytes;
  /* Plain text is never longer than its escaped form, but it may be shorter: only room that is sure to be
   * allowed is asked for at once. */
  if (inside.bytes <= buf->bytes_max - buf->bytes) sheaf_buf_reserve(buf, inside.bytes);
  while (buf->status == SHEAF_OK && p < end) {
    const char *escape = memchr(p, '\\', (size_t)(end - p));
    sheaf_buf_append(buf, p, (size_t)((escape ? escape : end) - p));
    if (!escape) break;
    p = append_escape(buf, escape, end);
    if (!p) {
      buf->bytes = before;
      return buf->status != SHEAF_OK ? buf->status : SHEAF_E_SYNTAX;
    }
  }
  return buf->status;
}
