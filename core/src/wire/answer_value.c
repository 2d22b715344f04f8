/* answer_value.c: JSON values by what they mean, for schemas: texts, numbers, equality.
 *
 * Outline: texts; decimals; multiples; equality.
 *
 * Numbers are compared as the decimals they are written as, so that 0.1 is 0.1 and 2^53 + 1 is not
 * 2^53. Values have been checked by json_scan.c. */
#include "wire/answer_int.h"

#include "base/mem.h"
#include "base/swar.h"

/* ---- Texts ---- */

static uint32_t hex4(const char *p, const char *end) {
  uint32_t number = 0;
  if (end - p < 4) return UINT32_MAX;
  for (int i = 0; i < 4; i++) {
    unsigned char c = (unsigned char)p[i];
    uint32_t digit = c <= '9' ? (uint32_t)c - '0' : (uint32_t)(c | 0x20) - 'a' + 10;
    if (digit > 15) return UINT32_MAX;
    number = number << 4 | digit;
  }
  return number;
}

/* *at is behind the backslash. */
static uint32_t next_escaped(const char **at, const char *end) {
  if (*at == end) return 0xFFFD;
  char c = *(*at)++;
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u': break;
    default: return (unsigned char)c;
  }
  uint32_t code = hex4(*at, end);
  if (code == UINT32_MAX) return 0xFFFD;
  *at += 4;
  if (code < 0xD800 || code > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
    return code;
  uint32_t low = hex4(*at + 2, end);
  if (low < 0xDC00 || low > 0xDFFF) return code;
  *at += 6;
  return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

uint32_t sheaf__text_next(const char **at, const char *end) {
  if (*at == end) return UINT32_MAX;
  const unsigned char *p = (const unsigned char *)*at;
  if (*p == '\\') {
    (*at)++;
    return next_escaped(at, end);
  }
  int step = sheaf__utf8_step(*at, (size_t)(end - *at));
  *at += step < 0 ? -step : step;
  switch (step) {
    case 1: return *p;
    case 2: return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    case 3: return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    case 4:
      return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
             (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    default: return 0xFFFD;
  }
}

static bool has_escape(sheaf_slice inside) {
  return inside.bytes && memchr(inside.data, '\\', inside.bytes) != NULL;
}

bool sheaf__text_equal(sheaf_slice inside, sheaf_slice other) {
  if (sheaf__slice_equal(inside, other)) return true;
  if (!has_escape(inside) && !has_escape(other)) return false;
  const char *a = inside.data, *b = other.data;
  const char *a_end = a + inside.bytes, *b_end = b + other.bytes;
  for (;;) {
    uint32_t code = sheaf__text_next(&a, a_end);
    if (code != sheaf__text_next(&b, b_end)) return false;
    if (code == UINT32_MAX) return true;
  }
}

uint64_t sheaf__text_count(sheaf_slice inside, uint64_t most) {
  uint64_t count = 0;
  const char *p = inside.data, *end = p + inside.bytes;
  while (count < most && sheaf__text_next(&p, end) != UINT32_MAX) count++;
  return count;
}

/* ---- Decimals: 0.DDD times 10^point, D beginning and ending with a digit that is not 0 ---- */

typedef struct decimal {
  const char *at, *end; /* digits, maybe a point among them; empty: 0 */
  int64_t point;
  int64_t digits;
  bool negative;
} decimal;

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int64_t exponent_of(const char *p, const char *end) {
  bool negative = false;
  int64_t number = 0;
  if (p < end && (*p == '+' || *p == '-')) negative = *p++ == '-';
  for (; p < end && is_digit(*p); p++)
    if (number < INT64_MAX / 1000) number = number * 10 + (*p - '0'); /* far beyond any use */
  return negative ? -number : number;
}

static decimal decimal_of(sheaf_slice number) {
  const char *p = number.data, *end = p + number.bytes;
  decimal d = {.negative = p < end && *p == '-'};
  if (d.negative) p++;
  const char *whole = p;
  while (p < end && is_digit(*p)) p++;
  const char *whole_end = p;
  if (p < end && *p == '.')
    for (p++; p < end && is_digit(*p); p++) continue;
  d.at = whole;
  d.end = p;
  int64_t exponent = p < end ? exponent_of(p + 1, end) : 0;
  while (d.end > d.at && (d.end[-1] == '0' || d.end[-1] == '.')) d.end--;
  while (d.at < d.end && (*d.at == '0' || *d.at == '.')) d.at++;
  int64_t lead = d.at <= whole_end ? whole_end - d.at : whole_end + 1 - d.at;
  d.point = lead + exponent;
  d.digits = d.end - d.at;
  if (d.at < whole_end && d.end > whole_end) d.digits--; /* the point among them */
  if (d.digits == 0) d.negative = false;
  return d;
}

static int next_digit(decimal *d) {
  if (d->at < d->end && *d->at == '.') d->at++;
  return d->at < d->end ? *d->at++ - '0' : -1;
}

static int compare_sizes(decimal a, decimal b) {
  if (a.digits == 0 || b.digits == 0) return (a.digits > 0) - (b.digits > 0);
  if (a.point != b.point) return a.point < b.point ? -1 : 1;
  for (;;) {
    int x = next_digit(&a), y = next_digit(&b);
    if (x != y) return x < y ? -1 : 1;
    if (x < 0) return 0;
  }
}

int sheaf__number_compare(sheaf_slice a, sheaf_slice b) {
  decimal x = decimal_of(a), y = decimal_of(b);
  if (x.negative != y.negative) return x.negative ? -1 : 1;
  int sizes = compare_sizes(x, y);
  return x.negative ? -sizes : sizes;
}

bool sheaf__number_is_whole(sheaf_slice number) {
  decimal d = decimal_of(number);
  return d.digits == 0 || d.point >= d.digits;
}

int sheaf__number_sign(sheaf_slice number) {
  decimal d = decimal_of(number);
  return d.digits == 0 ? 0 : d.negative ? -1 : 1;
}

/* ---- Multiples ---- */

/* Both are whole numbers without a zero at their end, times a power of ten: a = A 10^i, b = B 10^j.
 * With i < j the quotient would make A end in a zero. Otherwise A 10^(i-j) must divide by B, and
 * more than 60 tens add no factor that a B below 10^18 still lacks. */
int sheaf__number_is_multiple(sheaf_slice a, sheaf_slice b) {
  decimal x = decimal_of(a), y = decimal_of(b);
  if (x.digits == 0) return 1;
  if (y.digits == 0 || y.digits > 18) return -1;
  int64_t tens = (x.point - x.digits) - (y.point - y.digits);
  if (tens < 0) return 0;
  uint64_t divisor = 0, rest = 0;
  for (int digit; (digit = next_digit(&y)) >= 0;) divisor = divisor * 10 + (uint64_t)digit;
  for (int digit; (digit = next_digit(&x)) >= 0;) rest = (rest * 10 + (uint64_t)digit) % divisor;
  for (int64_t i = 0; i < tens && i < 64; i++) rest = rest * 10 % divisor;
  return rest == 0;
}

/* ---- Equality ---- */

sheaf_slice sheaf__value_member(sheaf_slice object, sheaf_slice key) {
  sheaf_json_iter iter;
  sheaf_slice found = {NULL, 0}, name, value;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return found;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return found;
  while (sheaf_json_iter_next(&iter, &name, &value) == SHEAF_OK)
    if (sheaf__text_equal(name, key)) found = value;
  return found;
}

/* Takes the work of looking at a value; false: there is none left. */
static bool spend(uint32_t *work, size_t bytes) {
  size_t price = 1 + bytes / 64;
  *work = price < *work ? *work - (uint32_t)price : 0;
  return *work > 0;
}

static bool arrays_equal(sheaf_slice a, sheaf_slice b, uint32_t *work) {
  sheaf_json_iter one, other;
  sheaf_slice key, x, y;
  if (sheaf_json_iter_init(&one, a) || sheaf_json_iter_init(&other, b)) return false;
  while (sheaf_json_iter_next(&one, &key, &x) == SHEAF_OK)
    if (sheaf_json_iter_next(&other, &key, &y) || !sheaf__value_equal(x, y, work)) return false;
  return sheaf_json_iter_next(&other, &key, &y) != SHEAF_OK;
}

/* Every member of a is one of b. */
static bool members_in(sheaf_slice a, sheaf_slice b, uint32_t *work) {
  sheaf_json_iter iter;
  sheaf_slice key, x;
  if (sheaf_json_iter_init(&iter, a)) return false;
  while (sheaf_json_iter_next(&iter, &key, &x) == SHEAF_OK) {
    if (!spend(work, a.bytes + b.bytes)) return true;
    sheaf_slice y = sheaf__value_member(b, key);
    if (y.bytes == 0 || !sheaf__value_equal(sheaf__value_member(a, key), y, work)) return false;
  }
  return true;
}

static bool keys_in(sheaf_slice a, sheaf_slice b, uint32_t *work) {
  sheaf_json_iter iter;
  sheaf_slice key, x;
  if (sheaf_json_iter_init(&iter, a)) return false;
  while (sheaf_json_iter_next(&iter, &key, &x) == SHEAF_OK) {
    if (!spend(work, b.bytes)) return true;
    if (sheaf__value_member(b, key).bytes == 0) return false;
  }
  return true;
}

bool sheaf__value_equal(sheaf_slice a, sheaf_slice b, uint32_t *work) {
  if (!spend(work, a.bytes)) return true;
  uint32_t kind = sheaf_json_kind(a);
  if (kind != sheaf_json_kind(b)) return false;
  switch (kind) {
    case SHEAF_JSON_NUMBER: return sheaf__number_compare(a, b) == 0;
    case SHEAF_JSON_STRING: return sheaf__text_equal(sheaf_json_inside(a), sheaf_json_inside(b));
    case SHEAF_JSON_ARRAY: return arrays_equal(a, b, work);
    case SHEAF_JSON_OBJECT: return keys_in(b, a, work) && members_in(a, b, work);
    default: return sheaf__slice_equal(a, b);
  }
}
