/* json_value.c: what the spans of a checked document say: kinds, members, numbers, comparisons.
 *
 * Outline: kinds; passing over values; iterators and members; numbers; truth and text.
 *
 * The walk of json_scan.c has checked the document, so nothing is checked twice. Bytes that were not checked give
 * nonsense, but nothing outside them is read. */
#include <sheaf/buf.h>

#include "base/mem.h"
#include "base/swar.h"

static inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static inline bool is_hex(char c) {
  return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

uint32_t sheaf_json_kind(sheaf_slice value) {
  if (value.bytes == 0) return SHEAF_JSON_NONE;
  switch (value.data[0]) {
    case '{': return SHEAF_JSON_OBJECT;
    case '[': return SHEAF_JSON_ARRAY;
    case '"': return SHEAF_JSON_STRING;
    case 't':
    case 'f': return SHEAF_JSON_BOOL;
    case 'n': return SHEAF_JSON_NULL;
    default: return SHEAF_JSON_NUMBER;
  }
}

static const char *pass_space(const char *p, const char *end) {
  while (p < end && (unsigned char)*p <= ' ') p++;
  return p;
}

/* p is at a quote; the answer is behind the closing one. */
static const char *pass_string(const char *p, const char *end) {
  for (p++; p < end;) {
    uint64_t mask = end - p >= 8 ? sheaf__string_ends(sheaf__load8(p)) : 0;
    if (mask) {
      p += sheaf__first_byte(mask);
    } else if (end - p >= 8) {
      p += 8;
      continue;
    }
    if (*p == '"') return p + 1;
    p += *p == '\\' && end - p > 1 ? 2 : 1;
  }
  return end;
}

static const char *pass_value(const char *p, const char *end) {
  size_t depth = 0;
  while (p < end) {
    char c = *p;
    if (c == '"') {
      p = pass_string(p, end);
      if (depth == 0) return p;
      continue;
    }
    if (c == '{' || c == '[') {
      depth++;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return p; /* the end of the container around a bare word or number */
      if (--depth == 0) return p + 1;
    } else if (depth == 0 && (c == ',' || (unsigned char)c <= ' ')) {
      return p;
    }
    p++;
  }
  return end;
}

int32_t sheaf_json_iter_init(sheaf_json_iter *iter, sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  if (kind != SHEAF_JSON_ARRAY && kind != SHEAF_JSON_OBJECT) return SHEAF_E_TYPE;
  iter->at = value.data + 1;
  iter->end = value.data + value.bytes;
  iter->is_object = kind == SHEAF_JSON_OBJECT;
  return SHEAF_OK;
}

int32_t sheaf_json_iter_next(sheaf_json_iter *iter, sheaf_slice *key, sheaf_slice *value) {
  const char *p = iter->at, *end = iter->end;
  while (p < end && ((unsigned char)*p <= ' ' || *p == ',')) p++;
  if (p == end || *p == '}' || *p == ']') return SHEAF_E_END;
  sheaf_slice name = {NULL, 0};
  if (iter->is_object) {
    const char *behind = pass_string(p, end);
    if (behind - p >= 2) name = (sheaf_slice){p + 1, (size_t)(behind - p) - 2};
    p = pass_space(behind, end);
    if (p < end) p = pass_space(p + 1, end);
  }
  const char *behind = pass_value(p, end);
  if (behind == p) return SHEAF_E_END;
  *key = name;
  *value = (sheaf_slice){p, (size_t)(behind - p)};
  iter->at = behind;
  return SHEAF_OK;
}

sheaf_slice sheaf_json_inside(sheaf_slice value) {
  if (value.bytes < 2 || value.data[0] != '"') return (sheaf_slice){NULL, 0};
  return (sheaf_slice){value.data + 1, value.bytes - 2};
}

sheaf_slice sheaf_json_member(sheaf_slice object, const char *key) {
  sheaf_slice found = {NULL, 0}, name, value, wanted = sheaf_slice_of(key);
  sheaf_json_iter iter;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return found;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return found;
  while (sheaf_json_iter_next(&iter, &name, &value) == SHEAF_OK) {
    if (sheaf__slice_equal(name, wanted)) found = value; /* of a repeated key the last counts */
  }
  return found;
}

/* ---- Numbers ---- */

/* A decimal number taken apart: sign, digits (with a point among them that `digits` spans), and where the point
 * lies: the value is 0.DDD times 10^point, D beginning with the first digit that is not 0. */
typedef struct decimal {
  const char *digits;
  const char *digits_end;
  int64_t point;
  bool negative;
} decimal;

static bool read_exponent(const char *p, const char *end, int64_t *exponent) {
  bool negative = false;
  if (p < end && (*p == '+' || *p == '-')) negative = *p++ == '-';
  if (p == end) return false;
  int64_t number = 0;
  for (; p < end && is_digit(*p); p++) {
    if (number < INT64_MAX / 100)
      number = number * 10 + (*p - '0'); /* far beyond any use either way */
  }
  *exponent = negative ? -number : number;
  return p == end;
}

/* Zeros at both ends say nothing once the point is known. */
static void trim_zeros(decimal *d) {
  while (d->digits_end > d->digits && (d->digits_end[-1] == '0' || d->digits_end[-1] == '.'))
    d->digits_end--;
  while (d->digits < d->digits_end && (*d->digits == '0' || *d->digits == '.')) d->digits++;
}

/* The text of a number, by JSON's grammar (the inside of a string was not checked for it). */
static bool read_decimal(const char *p, const char *end, decimal *d) {
  d->negative = p < end && *p == '-';
  if (d->negative) p++;
  const char *whole = p;
  while (p < end && is_digit(*p)) p++;
  const char *whole_end = p;
  if (p == whole || (*whole == '0' && p - whole > 1)) return false;
  if (p < end && *p == '.') {
    const char *fraction = ++p;
    while (p < end && is_digit(*p)) p++;
    if (p == fraction) return false;
  }
  d->digits = whole;
  d->digits_end = p;
  int64_t exponent = 0;
  if (p < end) {
    if ((*p | 0x20) != 'e' || !read_exponent(p + 1, end, &exponent)) return false;
  }
  trim_zeros(d);
  int64_t lead = d->digits <= whole_end ? whole_end - d->digits : whole_end + 1 - d->digits;
  d->point = lead + exponent;
  return true;
}

/* The value times 10^scale toward zero; *exact tells whether nothing was cut. False: outside int64_t. */
static bool scale_decimal(const decimal *d, int64_t scale, int64_t *number, bool *exact) {
  int64_t take = d->point + scale; /* digits before the new point */
  uint64_t sum = 0;
  const char *p = d->digits;
  *exact = true;
  if (p < d->digits_end && take > 19) return false; /* 10^19 > 2^63 */
  for (; p < d->digits_end && take > 0; p++) {
    if (*p == '.') continue;
    if (sheaf__mul_overflows(sum, 10, &sum) ||
        sheaf__add_overflows(sum, (uint64_t)(*p - '0'), &sum)) {
      return false;
    }
    take--;
  }
  if (p < d->digits_end)
    *exact = false; /* what is left begins or ends with a digit that is not 0 */
  for (; sum > 0 && take > 0; take--) {
    if (sheaf__mul_overflows(sum, 10, &sum)) return false;
  }
  if (sum > INT64_MAX) return false; /* INT64_MIN too: it means absent */
  *number = d->negative ? -(int64_t)sum : (int64_t)sum;
  return true;
}

int32_t sheaf_json_int(sheaf_slice value, int64_t *number) {
  uint32_t kind = sheaf_json_kind(value);
  if (kind == SHEAF_JSON_STRING) {
    value = sheaf_json_inside(value);
  } else if (kind != SHEAF_JSON_NUMBER) {
    return SHEAF_E_TYPE;
  }
  decimal d;
  bool exact;
  int64_t result = 0;
  if (value.bytes == 0 || !read_decimal(value.data, value.data + value.bytes, &d))
    return SHEAF_E_TYPE;
  if (!scale_decimal(&d, 0, &result, &exact)) return SHEAF_E_RANGE;
  if (!exact) return SHEAF_E_TYPE;
  *number = result;
  return SHEAF_OK;
}

int32_t sheaf_json_nano(sheaf_slice value, int64_t *number) {
  decimal d;
  bool exact;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return SHEAF_E_TYPE;
  if (!read_decimal(value.data, value.data + value.bytes, &d)) return SHEAF_E_TYPE;
  int64_t result = 0;
  if (!scale_decimal(&d, 9, &result, &exact)) return SHEAF_E_RANGE;
  *number = result;
  return SHEAF_OK;
}

bool sheaf_json_true(sheaf_slice value) {
  return value.bytes == 4 && memcmp(value.data, "true", 4) == 0;
}

/* One character of a string's inside; *p moves on. -1 for what is not plain ASCII. */
static int next_ascii(const char **p, const char *end) {
  static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
  char c = *(*p)++;
  if (c != '\\') return (unsigned char)c < 0x80 ? c : -1;
  if (*p == end) return -1;
  c = *(*p)++;
  if (c != 'u') {
    const char *name = c ? strchr(names, c) : NULL;
    return name ? bytes[name - names] : -1;
  }
  if (end - *p < 4 || (*p)[0] != '0' || (*p)[1] != '0') return -1;
  int code = 0;
  for (int i = 2; i < 4; i++) {
    char digit = (*p)[i];
    if (!is_hex(digit)) return -1;
    code = code * 16 + (is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
  }
  *p += 4;
  return code < 0x80 ? code : -1;
}

bool sheaf_json_equals(sheaf_slice value, const char *text) {
  sheaf_slice inside = sheaf_json_inside(value);
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING) return false;
  size_t bytes = strlen(text);
  if (inside.bytes < bytes) return false;
  if (inside.bytes == bytes)
    return memcmp(inside.data, text, bytes) == 0 && !memchr(text, '\\', bytes);
  const char *p = inside.data,
             *end = p + inside.bytes; /* longer: equal only if something is escaped */
  for (; *text != '\0'; text++) {
    if (p == end || next_ascii(&p, end) != *text) return false;
  }
  return p == end;
}
