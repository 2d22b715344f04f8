/* http.c: values of HTTP headers: durations, dates, numbers. Everything unreadable is "absent", never an error.
 *
 * Outline: bytes and case; header blocks; decimals and durations; dates; waits.
 *
 * Sources: durations as Go's time.ParseDuration writes and reads them; RFC 3339 section 5.6; HTTP dates of RFC 9110
 * section 5.6.7; retry-after of RFC 9110 section 10.2.3. */
#include "wire/http.h"

#include <sheaf/provider.h>

#include "base/mem.h"

/* ---- Bytes and case ---- */

static inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static sheaf_slice trim(sheaf_slice s) {
  while (s.bytes > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) s = sheaf__slice_from(s, 1);
  while (s.bytes > 0) {
    char last = s.data[s.bytes - 1];
    if (last != ' ' && last != '\t' && last != '\r') break;
    s.bytes--;
  }
  return s;
}

sheaf_slice sheaf__url_origin(sheaf_slice url) {
  size_t i = 0, slashes = 0;
  for (; i < url.bytes; i++) {
    if (url.data[i] == '/' && ++slashes == 3) break;
  }
  return (sheaf_slice){url.data, i};
}

bool sheaf__equals_nocase(sheaf_slice text, const char *wanted) {
  for (size_t i = 0; i < text.bytes; i++) {
    if (wanted[i] == '\0' || lower(text.data[i]) != lower(wanted[i])) return false;
  }
  return wanted[text.bytes] == '\0';
}

/* ---- Header blocks ---- */

/* Lines without a colon (a status line) or without a name (a folded continuation, obsolete) are passed over. */
int32_t sheaf__header_next(sheaf_slice headers, size_t *at, sheaf_slice *name, sheaf_slice *value) {
  while (*at < headers.bytes) {
    const char *line = headers.data + *at;
    size_t left = headers.bytes - *at;
    const char *lf = memchr(line, '\n', left);
    size_t bytes = lf ? (size_t)(lf - line) : left;
    *at += bytes + (lf ? 1 : 0);
    const char *colon = bytes ? memchr(line, ':', bytes) : NULL;
    if (!colon || colon == line || *line == ' ' || *line == '\t') continue;
    *name = (sheaf_slice){line, (size_t)(colon - line)};
    *value = trim((sheaf_slice){colon + 1, bytes - name->bytes - 1});
    return SHEAF_OK;
  }
  return SHEAF_E_END;
}

/* Of a repeated header the first counts. The colon is looked for only where the wanted name would end. */
sheaf_slice sheaf_header_find(sheaf_slice headers, const char *name) {
  size_t name_bytes = strlen(name);
  const char *p = headers.data, *end = headers.bytes ? headers.data + headers.bytes : headers.data;
  while (p < end) {
    size_t left = (size_t)(end - p);
    const char *lf = memchr(p, '\n', left);
    size_t bytes = lf ? (size_t)(lf - p) : left;
    if (bytes > name_bytes && p[name_bytes] == ':' && name_bytes > 0 &&
        sheaf__equals_nocase((sheaf_slice){p, name_bytes}, name)) {
      return trim((sheaf_slice){p + name_bytes + 1, bytes - name_bytes - 1});
    }
    if (!lf) break;
    p = lf + 1;
  }
  return (sheaf_slice){NULL, 0};
}

/* ---- Decimals and durations ---- */

int64_t sheaf__decimal(sheaf_slice text) {
  text = trim(text);
  bool negative = text.bytes > 0 && text.data[0] == '-';
  if (text.bytes > 0 && (negative || text.data[0] == '+')) text = sheaf__slice_from(text, 1);
  if (text.bytes == 0) return SHEAF_ABSENT;
  uint64_t number = 0;
  for (size_t i = 0; i < text.bytes; i++) {
    if (!is_digit(text.data[i])) return SHEAF_ABSENT;
    if (sheaf__mul_overflows(number, 10, &number)) return SHEAF_ABSENT;
    if (sheaf__add_overflows(number, (uint64_t)(text.data[i] - '0'), &number)) return SHEAF_ABSENT;
  }
  if (number > INT64_MAX) return SHEAF_ABSENT;
  return negative ? -(int64_t)number : (int64_t)number;
}

/* Digits with an optional point: read first, valued once their unit is known. */
typedef struct amount {
  sheaf_slice whole;
  sheaf_slice fraction;
} amount;

/* "12", "12.", "12.5", ".5". Answers the bytes read, 0 for none. */
static size_t read_amount(sheaf_slice text, amount *out) {
  size_t at = 0;
  while (at < text.bytes && is_digit(text.data[at])) at++;
  out->whole = (sheaf_slice){text.data, at};
  out->fraction = (sheaf_slice){NULL, 0};
  if (at == text.bytes || text.data[at] != '.') return at;
  size_t from = ++at;
  while (at < text.bytes && is_digit(text.data[at])) at++;
  out->fraction = (sheaf_slice){text.data + from, at - from};
  return out->whole.bytes + out->fraction.bytes > 0 ? at : 0;
}

/* amount * unit in ns, rounded up, because a wait is never to be cut short; saturating. */
static uint64_t amount_ns(const amount *a, uint64_t unit) {
  uint64_t whole = 0, part = 0, place = unit;
  bool is_cut = false;
  for (size_t i = 0; i < a->whole.bytes; i++) {
    whole = sheaf__add_sat(sheaf__mul_sat(whole, 10), (uint64_t)(a->whole.data[i] - '0'));
  }
  for (size_t i = 0; i < a->fraction.bytes; i++) {
    uint64_t digit = (uint64_t)(a->fraction.data[i] - '0');
    if (place % 10 != 0 || place == 0) {
      is_cut =
          is_cut || digit > 0; /* units are 6^k * 10^n ns: what is cut is below some tens of ns */
      place = 0;
      continue;
    }
    place /= 10;
    part += digit * place;
  }
  return sheaf__add_sat(sheaf__mul_sat(whole, unit), part + (is_cut ? 1 : 0));
}

/* The unit at the start of text; the longer of two that begin alike comes first. Answers its bytes, 0 for none. */
static size_t read_unit(sheaf_slice text, uint64_t *unit_ns) {
  static const struct {
    const char *name;
    uint64_t ns;
  } units[] = {{"ms", 1000000},     {"ns", 1},          {"us", 1000},
               {"\xC2\xB5s", 1000}, /* the micro sign */
               {"\xCE\xBCs", 1000}, /* the Greek letter */
               {"s", 1000000000},   {"m", 60000000000}, {"h", 3600000000000}};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    size_t bytes = strlen(units[i].name);
    if (text.bytes < bytes || memcmp(text.data, units[i].name, bytes) != 0) continue;
    *unit_ns = units[i].ns;
    return bytes;
  }
  return 0;
}

/* The greatest wait is one below "never". */
static uint64_t below_never(uint64_t ns) {
  return ns == SHEAF_NEVER ? SHEAF_NEVER - 1 : ns;
}

uint64_t sheaf__duration_ns(sheaf_slice text) {
  text = trim(text);
  if (text.bytes == 0) return SHEAF_NEVER;
  uint64_t sum = 0;
  for (bool first = true; text.bytes > 0; first = false) {
    amount a;
    uint64_t unit = SHEAF__SECOND;
    size_t used = read_amount(text, &a);
    if (used == 0) return SHEAF_NEVER;
    text = sheaf__slice_from(text, used);
    if (text.bytes == 0) { /* a bare number is seconds, but only alone */
      if (!first) return SHEAF_NEVER;
    } else {
      used = read_unit(text, &unit);
      if (used == 0) return SHEAF_NEVER;
      text = sheaf__slice_from(text, used);
    }
    sum = sheaf__add_sat(sum, amount_ns(&a, unit));
  }
  return below_never(sum);
}

/* ---- Dates ---- */

typedef struct moment {
  int32_t year, month, day, hour, minute, second;
  int32_t milli;
  int32_t offset_minutes; /* of local time from UTC */
} moment;

/* Days from 1970-01-01 by the proleptic Gregorian calendar (Howard Hinnant, days_from_civil); year at least 0. */
static int64_t days_from_civil(int64_t year, int32_t month, int32_t day) {
  int64_t y = year - (month <= 2) + 400; /* keeps January of year 0 positive */
  int64_t era = y / 400, year_of_era = y % 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return (era - 1) * 146097 + day_of_era - 719468;
}

static int64_t unix_ms_of(const moment *m) {
  static const int32_t days_in[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (m->month < 1 || m->month > 12) return INT64_MIN;
  bool leap = (m->year % 4 == 0 && m->year % 100 != 0) || m->year % 400 == 0;
  int32_t days = days_in[m->month - 1] + (m->month == 2 && leap);
  if (m->day < 1 || m->day > days) return INT64_MIN;
  if (m->hour > 23 || m->minute > 59 || m->second > 60) return INT64_MIN; /* 60: a leap second */
  int64_t minutes = days_from_civil(m->year, m->month, m->day) * 1440 + m->hour * 60 + m->minute;
  return ((minutes - m->offset_minutes) * 60 + m->second) * 1000 + m->milli;
}

/* A cursor over a date's text; the first failure sticks. */
typedef struct cursor {
  const char *at;
  const char *end;
  bool bad;
} cursor;

static int32_t take_digits(cursor *c, int count) {
  int32_t number = 0;
  for (int i = 0; i < count; i++) {
    if (c->at == c->end || !is_digit(*c->at)) {
      c->bad = true;
      return 0;
    }
    number = number * 10 + (*c->at++ - '0');
  }
  return number;
}

static bool take_if(cursor *c, char wanted) {
  if (c->at == c->end || lower(*c->at) != wanted) return false;
  c->at++;
  return true;
}

static void take(cursor *c, char wanted) {
  if (!take_if(c, wanted)) c->bad = true;
}

static void take_clock(cursor *c, moment *m) {
  m->hour = take_digits(c, 2);
  take(c, ':');
  m->minute = take_digits(c, 2);
  take(c, ':');
  m->second = take_digits(c, 2);
}

/* Digits behind the point; those beyond milliseconds are cut. */
static int32_t take_fraction(cursor *c) {
  int32_t milli = 0, place = 100;
  if (c->at == c->end || !is_digit(*c->at)) c->bad = true;
  for (; c->at < c->end && is_digit(*c->at); c->at++, place /= 10) milli += (*c->at - '0') * place;
  return milli;
}

/* 2006-01-02T15:04:05.999Z, with a numeric offset, T or z in either case, and a space for the T (RFC 3339 allows). */
static int64_t read_rfc3339(cursor c) {
  moment m = {0};
  m.year = take_digits(&c, 4);
  take(&c, '-');
  m.month = take_digits(&c, 2);
  take(&c, '-');
  m.day = take_digits(&c, 2);
  if (!take_if(&c, 't')) take(&c, ' ');
  take_clock(&c, &m);
  if (take_if(&c, '.')) m.milli = take_fraction(&c);
  if (!take_if(&c, 'z')) {
    int32_t sign = take_if(&c, '-') ? -1 : 1;
    if (sign > 0) take(&c, '+');
    int32_t hours = take_digits(&c, 2);
    take(&c, ':');
    int32_t minutes = take_digits(&c, 2);
    if (hours > 23 || minutes > 59) c.bad = true;
    m.offset_minutes = sign * (hours * 60 + minutes);
  }
  return c.bad || c.at != c.end ? INT64_MIN : unix_ms_of(&m);
}

static int32_t take_month(cursor *c) {
  static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
  if (c->end - c->at >= 3) {
    for (int32_t i = 0; i < 12; i++) {
      const char *name = names + 3 * i;
      if (lower(c->at[0]) != name[0] || lower(c->at[1]) != name[1] || lower(c->at[2]) != name[2])
        continue;
      c->at += 3;
      return i + 1;
    }
  }
  c->bad = true;
  return 0;
}

/* Behind "Sun, ": 06 Nov 1994 08:49:37 GMT, or with the RFC 850's hyphens and two digits of the year. RFC 9110 reads those
 * as the past where they are over 50 years ahead; without a clock the pivot is fixed, as in POSIX: 69..99 are 19xx. */
static int64_t read_imf_or_850(cursor c) {
  moment m = {0};
  take(&c, ' ');
  m.day = take_digits(&c, 2);
  bool old = take_if(&c, '-');
  if (!old) take(&c, ' ');
  m.month = take_month(&c);
  take(&c, old ? '-' : ' ');
  m.year = take_digits(&c, old ? 2 : 4);
  if (old) m.year += m.year < 69 ? 2000 : 1900;
  take(&c, ' ');
  take_clock(&c, &m);
  take(&c, ' ');
  take(&c, 'g');
  take(&c, 'm');
  take(&c, 't');
  return c.bad || c.at != c.end ? INT64_MIN : unix_ms_of(&m);
}

/* Behind "Sun": " Nov  6 08:49:37 1994". */
static int64_t read_asctime(cursor c) {
  moment m = {0};
  take(&c, ' ');
  m.month = take_month(&c);
  take(&c, ' ');
  m.day = take_if(&c, ' ') ? take_digits(&c, 1) : take_digits(&c, 2);
  take(&c, ' ');
  take_clock(&c, &m);
  take(&c, ' ');
  m.year = take_digits(&c, 4);
  return c.bad || c.at != c.end ? INT64_MIN : unix_ms_of(&m);
}

/* The weekday's name is passed over unread: it says nothing the date does not. */
int64_t sheaf__date_unix_ms(sheaf_slice text) {
  text = trim(text);
  if (text.bytes == 0) return INT64_MIN;
  cursor c = {text.data, text.data + text.bytes, false};
  if (is_digit(*c.at)) return read_rfc3339(c);
  while (c.at < c.end && lower(*c.at) >= 'a' && lower(*c.at) <= 'z') c.at++;
  if (c.at - text.data < 3) return INT64_MIN;
  return take_if(&c, ',') ? read_imf_or_850(c) : read_asctime(c);
}

/* ---- Waits ---- */

static uint64_t ns_until(int64_t unix_ms, int64_t now_unix_ms) {
  if (unix_ms <= now_unix_ms) return 0;
  return below_never(sheaf__mul_sat((uint64_t)unix_ms - (uint64_t)now_unix_ms, SHEAF__MS));
}

/* A bare number of ten digits and more is a date too: 10^9 seconds are 31 years, which no reset takes, and in Unix time
 * 2001; 10^12 and more are Unix milliseconds (some gateways send either). */
uint64_t sheaf__reset_ns(sheaf_slice text, int64_t now_unix_ms) {
  int64_t number = sheaf__decimal(text);
  if (number >= 1000000000000) return ns_until(number, now_unix_ms);
  if (number >= 1000000000) return ns_until(number * 1000, now_unix_ms);
  uint64_t ns = sheaf__duration_ns(text);
  if (ns != SHEAF_NEVER) return ns;
  int64_t unix_ms = sheaf__date_unix_ms(text);
  return unix_ms == INT64_MIN ? SHEAF_NEVER : ns_until(unix_ms, now_unix_ms);
}

int64_t sheaf__reply_unix_ms(sheaf_slice headers, int64_t unix_ms) {
  int64_t date = sheaf__date_unix_ms(sheaf_header_find(headers, "date"));
  return date == INT64_MIN ? unix_ms : date;
}

/* The milliseconds may be fractional; whatever is not a plain amount falls through to retry-after. */
uint64_t sheaf__retry_after_ns(sheaf_slice headers, int64_t unix_ms) {
  sheaf_slice text = sheaf_header_find(headers, "retry-after-ms");
  amount a;
  if (text.bytes > 0 && read_amount(text, &a) == text.bytes)
    return below_never(amount_ns(&a, SHEAF__MS));
  text = sheaf_header_find(headers, "retry-after");
  if (text.bytes == 0) return SHEAF_NEVER;
  uint64_t ns = sheaf__duration_ns(text);
  if (ns != SHEAF_NEVER) return ns;
  int64_t date = sheaf__date_unix_ms(text);
  if (date == INT64_MIN) return SHEAF_NEVER;
  return ns_until(date, sheaf__reply_unix_ms(headers, unix_ms));
}
