/* job_ids.c: what a provider is given as the id of a row, and the way back.
 *
 *   r 2s - user-17                     place 100; the custom_id itself
 *   r 2s _ 00f1e2d3c4b5a697            place 100; the hash of a custom_id that cannot stand here
 *
 * (without the spaces). Digits of base 36 hold neither '-' nor '_', so the first of them ends the
 * place whatever the custom_id is. Each row has a place of its own, so no two ids are equal.
 *
 * Outline: the letters allowed; writing; reading, which accepts only what writing makes. */
#include <sheaf/jobs.h>

#include "base/mem.h"
#include "base/random.h"

/* Far above the rows of any job (2^24), and low enough that places never wrap. */
#define PLACE_MAX ((uint64_t)1 << 40)
enum { PLACE_DIGITS_MAX = 13, HASH_DIGITS = 16 }; /* 36^13 > 2^64 */

_Static_assert(1 + PLACE_DIGITS_MAX + 1 + HASH_DIGITS <= SHEAF_JOB_ID_BYTES_MAX, "a hash fits");

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static bool is_allowed(char c) {
  const char low = (char)(c | 0x20);
  return (c >= '0' && c <= '9') || (low >= 'a' && low <= 'z') || c == '-' || c == '_';
}

static bool is_plain(sheaf_slice text) {
  for (size_t i = 0; i < text.bytes; i++)
    if (!is_allowed(text.data[i])) return false;
  return true;
}

uint64_t sheaf_job_id_hash(sheaf_slice custom_id) {
  return sheaf__hash(custom_id.data, custom_id.bytes, 0);
}

/* ---- Writing ---- */

static size_t write_place(uint64_t place, char *to) {
  char reversed[PLACE_DIGITS_MAX];
  size_t count = 0;
  do {
    reversed[count++] = digits[place % 36];
    place /= 36;
  } while (place > 0);
  for (size_t i = 0; i < count; i++) to[i] = reversed[count - 1 - i];
  return count;
}

sheaf_slice sheaf_job_id_write(uint64_t place, sheaf_slice custom_id,
                               char to[SHEAF_JOB_ID_BYTES_MAX]) {
  size_t at = 1 + write_place(place, to + 1);
  to[0] = 'r';
  if (custom_id.bytes <= SHEAF_JOB_ID_BYTES_MAX - at - 1 && is_plain(custom_id)) {
    to[at++] = '-';
    if (custom_id.bytes) memcpy(to + at, custom_id.data, custom_id.bytes);
    return (sheaf_slice){to, at + custom_id.bytes};
  }
  const uint64_t hash = sheaf_job_id_hash(custom_id);
  to[at++] = '_';
  for (unsigned i = 0; i < HASH_DIGITS; i++) to[at++] = digits[hash >> (60 - 4 * i) & 15];
  return (sheaf_slice){to, at};
}

/* ---- Reading ---- */

/* A digit of base 36 as its number; -1 for anything else, capital letters too. */
static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;
}

/* Answers how many bytes the place has; 0: it is none that write_place makes. */
static size_t read_place(sheaf_slice text, uint64_t *place) {
  uint64_t number = 0;
  size_t at = 0;
  for (; at < text.bytes && number <= PLACE_MAX; at++) {
    const int digit = digit_of(text.data[at]);
    if (digit < 0) break;
    if (at == 1 && number == 0) return 0; /* a leading zero */
    number = number * 36 + (uint64_t)digit;
  }
  *place = number;
  return number <= PLACE_MAX ? at : 0;
}

static bool read_hash(sheaf_slice text, uint64_t *hash) {
  uint64_t number = 0;
  if (text.bytes != HASH_DIGITS) return false;
  for (size_t i = 0; i < HASH_DIGITS; i++) {
    const int digit = digit_of(text.data[i]);
    if (digit < 0 || digit > 15) return false;
    number = number << 4 | (uint64_t)digit;
  }
  *hash = number;
  return true;
}

int32_t sheaf_job_id_read(sheaf_slice text, sheaf_job_id *id) {
  sheaf_job_id read = {0};
  if (text.bytes < 3 || text.bytes > SHEAF_JOB_ID_BYTES_MAX) return SHEAF_E_SYNTAX;
  if (text.data[0] != 'r') return SHEAF_E_SYNTAX;
  text = sheaf__slice_from(text, 1);
  const size_t place_bytes = read_place(text, &read.place);
  if (place_bytes == 0 || place_bytes == text.bytes) return SHEAF_E_SYNTAX;
  const char mark = text.data[place_bytes];
  text = sheaf__slice_from(text, place_bytes + 1);
  if (mark == '_') {
    if (!read_hash(text, &read.hash)) return SHEAF_E_SYNTAX;
  } else if (mark == '-' && is_plain(text)) {
    read.custom_id = text;
    read.hash = sheaf_job_id_hash(text);
  } else {
    return SHEAF_E_SYNTAX;
  }
  *id = read;
  return SHEAF_OK;
}
