/* sheaf/buf.h: a growable byte buffer with a ceiling, and the JSON span scanner.
 *
 * For those who write a provider; everyone else meets neither. */
#ifndef SHEAF_BUF_H
#define SHEAF_BUF_H

#include <sheaf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that grow up to a ceiling. The first failure sticks: appends after it do nothing, so a
 * chain of appends is checked once, by status. Fields are for reading. */
typedef struct sheaf_buf {
  char *data;
  size_t bytes;
  size_t capacity;
  size_t bytes_max;
  const sheaf_allocator *allocator;
  int32_t status; /* SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT */
} sheaf_buf;

/* Makes an empty buffer in the caller's storage; allocates at the first append. allocator outlives
 * it. */
SHEAF_API void sheaf_buf_init(sheaf_buf *buf, const sheaf_allocator *allocator, size_t bytes_max);
/* Frees what it holds and makes it empty again. */
SHEAF_API void sheaf_buf_deinit(sheaf_buf *buf);
/* Forgets the content and the failure; keeps the memory. */
SHEAF_API void sheaf_buf_reset(sheaf_buf *buf);
/* Room for n more bytes; the caller writes at data + bytes and then adds to bytes. */
SHEAF_API int32_t sheaf_buf_reserve(sheaf_buf *buf, size_t n);
SHEAF_API int32_t sheaf_buf_append(sheaf_buf *buf, const void *data, size_t bytes);
SHEAF_API int32_t sheaf_buf_append_slice(sheaf_buf *buf, sheaf_slice slice);
SHEAF_API int32_t sheaf_buf_append_text(sheaf_buf *buf, const char *text); /* terminated */
SHEAF_API int32_t sheaf_buf_append_u64(sheaf_buf *buf, uint64_t number);
SHEAF_API int32_t sheaf_buf_append_i64(sheaf_buf *buf, int64_t number);
/* Appends text as the inside of a JSON string: quotes, backslashes and control bytes escaped,
 * invalid UTF-8 replaced by U+FFFD. */
SHEAF_API int32_t sheaf_buf_append_escaped(sheaf_buf *buf, sheaf_slice text);
/* The same with its quotes. */
SHEAF_API int32_t sheaf_buf_append_string(sheaf_buf *buf, sheaf_slice text);
/* Appends the plain text of a JSON string's inside; a lone surrogate becomes U+FFFD.
 * SHEAF_E_SYNTAX for a broken escape (then what was appended is taken back). */
SHEAF_API int32_t sheaf_buf_append_unescaped(sheaf_buf *buf, sheaf_slice inside);
static inline sheaf_slice sheaf_buf_slice(const sheaf_buf *buf) {
  sheaf_slice slice = {buf->data, buf->bytes};
  return slice;
}

/* ---- JSON spans: values are slices of the document, nothing is copied, no tree is made ---- */

#define SHEAF_JSON_DEPTH_MAX 64 /* deeper documents are refused: SHEAF_E_DEPTH */
#define SHEAF_JSON_PICK_MAX 32  /* paths in one pick */

enum {
  SHEAF_JSON_NONE = 0, /* empty slice */
  SHEAF_JSON_NULL,
  SHEAF_JSON_BOOL,
  SHEAF_JSON_NUMBER,
  SHEAF_JSON_STRING,
  SHEAF_JSON_ARRAY,
  SHEAF_JSON_OBJECT
};

/* What one walk learnt about a document besides its values. */
typedef struct sheaf_json_facts {
  bool has_line_break; /* CR or LF between tokens: the text is not one line */
  bool has_invalid_utf8;
  size_t bytes_used; /* up to the end of the value, trailing space apart */
} sheaf_json_facts;

/* One walk over a document: checks all of it and notes where the wanted values lie.
 * paths  as "choices[0].message.content"; keys are compared by their bytes as written.
 * values[i]  is the value's span (a string with its quotes), or empty where there is none; of a
 * repeated key the last counts. facts, error  may be NULL. SHEAF_OK, SHEAF_E_SYNTAX, SHEAF_E_DEPTH,
 * SHEAF_E_PARTIAL, SHEAF_E_MISUSE (more than 32 paths, or a path of over 8 steps). Does not
 * allocate. Since 0.1. */
SHEAF_API int32_t sheaf_json_pick(sheaf_slice text, const char *const *paths, uint32_t count,
                                  sheaf_slice *values, sheaf_json_facts *facts,
                                  sheaf_parse_error *error);
/* Checks a document (pick without paths). */
SHEAF_API int32_t sheaf_json_check(sheaf_slice text, sheaf_parse_error *error);
/* What a span is, by its first byte. Leading space is not a span. */
SHEAF_API uint32_t sheaf_json_kind(sheaf_slice value);
/* The members of an object or elements of an array, in order. The value must have been checked. */
typedef struct sheaf_json_iter {
  const char *at;
  const char *end;
  bool is_object;
} sheaf_json_iter;
SHEAF_API int32_t sheaf_json_iter_init(sheaf_json_iter *iter, sheaf_slice value); /* SHEAF_E_TYPE */
/* key: the inside of the key's string (empty in an array). SHEAF_OK or SHEAF_E_END. */
SHEAF_API int32_t sheaf_json_iter_next(sheaf_json_iter *iter, sheaf_slice *key, sheaf_slice *value);
/* The inside of a string span: quotes off, escapes kept. Other kinds give the empty slice. */
SHEAF_API sheaf_slice sheaf_json_inside(sheaf_slice value);
/* A member of a checked object; empty if absent. */
SHEAF_API sheaf_slice sheaf_json_member(sheaf_slice object, const char *key);
/* A whole number, also from "123" (Google) and 1e3 or 12.0; SHEAF_E_TYPE, SHEAF_E_RANGE. */
SHEAF_API int32_t sheaf_json_int(sheaf_slice value, int64_t *number);
/* A decimal number times 10^9, rounded toward zero: 0.25 -> 250000000. SHEAF_E_TYPE, SHEAF_E_RANGE.
 */
SHEAF_API int32_t sheaf_json_nano(sheaf_slice value, int64_t *number);
SHEAF_API bool sheaf_json_true(sheaf_slice value);
/* Whether a string span equals terminated plain ASCII text. */
SHEAF_API bool sheaf_json_equals(sheaf_slice value, const char *text);

#ifdef __cplusplus
}
#endif

#endif
