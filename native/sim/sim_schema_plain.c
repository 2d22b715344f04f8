/* sim_schema_plain.c: strings and numbers drawn from schemas.
 *
 *   string   by pattern, else by format, else words; then its length
 *   number   a whole number of steps, a step being what "multipleOf" wants or a power of ten
 *
 * Expressions and formats that are not known give words; bounds count for more than formats, which
 * most validators do not look at. */
#include "sim_schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_ATTEMPTS 48u
#define NUMBER_ATTEMPTS 64u
#define LENGTH_MAX 1048576u        /* longer strings are not made, whatever minLength says */
#define WORDS_MORE 4u              /* of a string without bounds: one word to so many more */
#define FREE_LETTERS 5u            /* of an address or a path: so many, up to twice */
#define PATTERN_MORE 8u            /* characters beyond a pattern's least, without bounds */
#define WHOLE_MAX 9007199254740991 /* 2^53 - 1: beyond it doubles skip numbers */

enum { /* purposes of draws */
       DRAW_LENGTH = 1,
       DRAW_WORDS,
       DRAW_NUMBER,
       DRAW_PART = 100
};

/* ---- Formats ---- */

typedef struct bounds {
  uint64_t least, most; /* characters */
} bounds;

static uint64_t part(uint64_t key, uint64_t n, uint64_t below) {
  return sheaf__sim_draw(key, DRAW_PART + n, below);
}

static void write_date(uint64_t key, sheaf_buf *out) {
  char text[48];
  snprintf(text, sizeof text, "20%02u-%02u-%02u", (unsigned)part(key, 0, 40),
           (unsigned)part(key, 1, 12) + 1, (unsigned)part(key, 2, 28) + 1);
  sheaf_buf_append_text(out, text);
}

static void write_time(uint64_t key, sheaf_buf *out) {
  char text[48];
  snprintf(text, sizeof text, "%02u:%02u:%02uZ", (unsigned)part(key, 3, 24),
           (unsigned)part(key, 4, 60), (unsigned)part(key, 5, 60));
  sheaf_buf_append_text(out, text);
}

static void write_date_time(uint64_t key, sheaf_buf *out) {
  write_date(key, out);
  sheaf_buf_append(out, "T", 1);
  write_time(key, out);
}

static void write_duration(uint64_t key, sheaf_buf *out) {
  sheaf__sim_write(out, "P%uDT%uH", part(key, 6, 30), part(key, 7, 24));
}

/* Version 4, variant 1: RFC 9562, 5.4. */
static void write_uuid(uint64_t key, sheaf_buf *out) {
  char text[48];
  uint64_t high = sheaf__sim_mix(key, DRAW_PART), low = sheaf__sim_mix(key, DRAW_PART + 1);
  snprintf(text, sizeof text, "%08" PRIx32 "-%04x-4%03x-%04x-%012" PRIx64, (uint32_t)(high >> 32),
           (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xfff),
           (unsigned)(low >> 48 & 0x3fff) | 0x8000u, low & 0xffffffffffffu);
  sheaf_buf_append_text(out, text);
}

/* From the networks that are kept for documentation: RFC 5737 and RFC 3849. */
static void write_ipv4(uint64_t key, sheaf_buf *out) {
  sheaf__sim_write(out, "192.0.2.%u", part(key, 8, 256));
}

static void write_ipv6(uint64_t key, sheaf_buf *out) {
  char text[48];
  snprintf(text, sizeof text, "2001:db8::%x", (unsigned)part(key, 9, 65535) + 1);
  sheaf_buf_append_text(out, text);
}

static void write_base64(uint64_t key, sheaf_buf *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint64_t count = 4 * (1 + part(key, 10, 4));
  for (uint64_t i = 0; i < count; i++) sheaf_buf_append(out, &digits[part(key, 11 + i, 64)], 1);
}

static const struct fixed_format {
  const char *name;
  void (*write)(uint64_t key, sheaf_buf *out);
} fixed_formats[] = {
    {"date-time", write_date_time}, {"date", write_date},   {"time", write_time},
    {"duration", write_duration},   {"uuid", write_uuid},   {"ipv4", write_ipv4},
    {"ipv6", write_ipv6},           {"byte", write_base64}, {"base64", write_base64}};

/* Formats that have a part of any length: what stands before and behind it, and where that is too
 * long, what is shorter. */
static const struct free_format {
  const char *name, *before, *behind, *short_before, *short_behind;
} free_formats[] = {{"email", "", "@example.com", "", "@x.io"},
                    {"idn-email", "", "@example.com", "", "@x.io"},
                    {"hostname", "", ".example.com", "", ".io"},
                    {"idn-hostname", "", ".example.com", "", ".io"},
                    {"uri", "https://example.com/", "", "x://y/", ""},
                    {"url", "https://example.com/", "", "x://y/", ""},
                    {"iri", "https://example.com/", "", "x://y/", ""},
                    {"uri-reference", "/", "", "", ""},
                    {"iri-reference", "/", "", "", ""},
                    {"uri-template", "/", "", "", ""},
                    {"json-pointer", "/", "", "/", ""},
                    {"regex", "", "", "", ""}};

/* Letters, and a dot now and then, because a part of a host's name has 63 at most (RFC 1035). */
static void write_free(const struct free_format *format, uint64_t key, bounds b, sheaf_buf *out) {
  bool is_short = strlen(format->before) + strlen(format->behind) + 1 > b.most;
  const char *before = is_short ? format->short_before : format->before;
  const char *behind = is_short ? format->short_behind : format->behind;
  uint64_t fixed = strlen(before) + strlen(behind);
  uint64_t letters = FREE_LETTERS + part(key, 12, FREE_LETTERS);
  if (letters + fixed > b.most) letters = b.most > fixed ? b.most - fixed : 1;
  if (letters + fixed < b.least) letters = b.least - fixed;
  sheaf_buf_append_text(out, before);
  for (uint64_t i = 1; i <= letters; i++) {
    char letter = (char)('a' + part(key, 12 + i, 26));
    sheaf_buf_append(out, i % 40 == 0 && i < letters ? "." : &letter, 1);
  }
  sheaf_buf_append_text(out, behind);
}

/* False: a format that is not known. */
static bool write_format(sheaf_slice format, uint64_t key, bounds b, sheaf_buf *out) {
  for (uint32_t i = 0; i < sizeof fixed_formats / sizeof *fixed_formats; i++)
    if (sheaf_json_equals(format, fixed_formats[i].name)) {
      fixed_formats[i].write(key, out);
      return true;
    }
  for (uint32_t i = 0; i < sizeof free_formats / sizeof *free_formats; i++)
    if (sheaf_json_equals(format, free_formats[i].name)) {
      write_free(&free_formats[i], key, b, out);
      return true;
    }
  return false;
}

/* ---- Strings ---- */

static uint64_t characters(const sheaf_buf *text) {
  uint64_t count = 0;
  for (size_t i = 0; i < text->bytes; i++) count += ((unsigned char)text->data[i] & 0xc0) != 0x80;
  return count;
}

static bool is_within(const sheaf_buf *text, bounds b) {
  uint64_t count = characters(text);
  return count >= b.least && count <= b.most;
}

static bool fits_patterns(const sim_schemas *all, const sheaf_buf *text) {
  for (uint32_t i = 0; i < all->count; i++) {
    sheaf_slice pattern = sheaf_json_inside(all->at[i].word[SIM_KW_PATTERN]);
    if (pattern.bytes && !sheaf__sim_pattern_fits(pattern, sheaf_buf_slice(text))) return false;
  }
  return true;
}

/* Words of plain ASCII, cut where they get too long. */
static void write_words(uint64_t key, bounds b, sheaf_buf *text) {
  uint64_t words = 1 + sheaf__sim_draw(key, DRAW_WORDS, WORDS_MORE);
  sheaf__sim_lorem(key, words, text);
  while (text->bytes < b.least && text->status == SHEAF_OK) {
    key = sheaf__sim_mix(key, DRAW_WORDS);
    sheaf_buf_append(text, " ", 1);
    sheaf__sim_lorem(key, 16, text);
    if (text->bytes > b.least) text->bytes = b.least;
  }
  if (text->bytes > b.most) text->bytes = b.most;
}

/* Texts of the pattern, until one has a good length and satisfies all the others. The last one
 * stays where none does. `more` is corrected by what the last text had too much or too little. */
static bool write_pattern(const sim_schemas *all, const sim_pattern *pattern, uint64_t key,
                          bounds b, sheaf_buf *text) {
  uint64_t least = pattern->node[pattern->root].least;
  uint64_t wanted = b.least > least ? b.least : least;
  uint64_t room = b.most > wanted ? b.most - wanted : 0;
  wanted += sheaf__sim_draw(key, DRAW_LENGTH, (room < PATTERN_MORE ? room : PATTERN_MORE) + 1);
  uint64_t more = wanted - least;
  for (uint32_t attempt = 0; attempt < STRING_ATTEMPTS; attempt++) {
    sheaf_buf_reset(text);
    sheaf__sim_pattern_write(pattern, sheaf__sim_mix(key, attempt), more, text);
    if (text->status != SHEAF_OK) return false;
    if (is_within(text, b) && fits_patterns(all, text)) return true;
    uint64_t count = characters(text);
    if (count < b.least) {
      size_t bytes = text->bytes;
      for (; count < b.least; count++) sheaf_buf_append(text, "x", 1);
      if (fits_patterns(all, text)) return true;
      if (text->status == SHEAF_OK) text->bytes = bytes;
      more += b.least - characters(text);
    } else if (count > b.most) {
      more -= more < count - b.most ? more : count - b.most;
    } else {
      more = sheaf__sim_draw(key, DRAW_LENGTH + attempt, PATTERN_MORE + attempt);
    }
  }
  return false;
}

static bool make_patterned(const sim_schemas *all, uint64_t key, bounds b, sheaf_buf *text) {
  bool is_made = false;
  sim_pattern *pattern = malloc(sizeof *pattern);
  sheaf_buf plain;
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_BODY_MAX);
  for (uint32_t i = 0; pattern && !is_made && i < all->count; i++) {
    sheaf_slice inside = sheaf_json_inside(all->at[i].word[SIM_KW_PATTERN]);
    if (!inside.bytes) continue;
    sheaf_buf_reset(&plain);
    sheaf_buf_append_unescaped(&plain, inside);
    is_made = sheaf__sim_pattern_read(pattern, sheaf_buf_slice(&plain)) &&
              write_pattern(all, pattern, sheaf__sim_mix(key, i), b, text);
  }
  sheaf_buf_deinit(&plain);
  free(pattern);
  return is_made;
}

static bool make_formatted(const sim_schemas *all, uint64_t key, bounds b, sheaf_buf *text) {
  for (uint32_t i = 0; i < all->count; i++) {
    sheaf_slice format = all->at[i].word[SIM_KW_FORMAT];
    if (!format.bytes) continue;
    for (uint32_t attempt = 0; attempt < STRING_ATTEMPTS; attempt++) {
      sheaf_buf_reset(text);
      if (!write_format(format, sheaf__sim_mix(key, attempt), b, text)) break;
      if (is_within(text, b)) return true;
    }
  }
  return false;
}

bool sheaf__sim_make_string(sim_making *making, const sim_schemas *all, uint64_t key) {
  bounds b = {0, UINT64_MAX};
  bool has_pattern = false;
  sheaf_buf text;
  for (uint32_t i = 0; i < all->count; i++) {
    uint64_t least = sheaf__sim_schema_count(&all->at[i], SIM_KW_MIN_LENGTH, 0);
    uint64_t most = sheaf__sim_schema_count(&all->at[i], SIM_KW_MAX_LENGTH, UINT64_MAX);
    if (least > b.least) b.least = least;
    if (most < b.most) b.most = most;
    has_pattern = has_pattern || all->at[i].word[SIM_KW_PATTERN].bytes;
  }
  if (b.least > b.most || b.least > LENGTH_MAX) return false;
  sheaf_buf_init(&text, &sheaf__sim_allocator, SIM_REPLY_MAX);
  bool is_made =
      has_pattern ? make_patterned(all, key, b, &text) : make_formatted(all, key, b, &text);
  if (!is_made && !(has_pattern && text.bytes && is_within(&text, b))) {
    sheaf_buf_reset(&text);
    write_words(key, b, &text);
  }
  sheaf_buf_append_string(making->out, sheaf_buf_slice(&text));
  is_made = text.status == SHEAF_OK && making->out->status == SHEAF_OK;
  sheaf_buf_deinit(&text);
  return is_made;
}

/* ---- Numbers ---- */

typedef struct range {
  double low, high;
  bool has_low, has_high, is_low_out, is_high_out; /* out: the bound itself does not belong */
  uint64_t step_nano; /* the least that all multipleOf divide; 0: none */
} range;

static void raise_low(range *r, double bound, bool is_out) {
  if (r->has_low && (bound < r->low || (bound == r->low && !is_out))) return;
  r->low = bound;
  r->is_low_out = is_out;
  r->has_low = true;
}

static void lower_high(range *r, double bound, bool is_out) {
  if (r->has_high && (bound > r->high || (bound == r->high && !is_out))) return;
  r->high = bound;
  r->is_high_out = is_out;
  r->has_high = true;
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* The least common multiple; one that does not fit is none. */
static void combine_step(range *r, uint64_t nano) {
  uint64_t step;
  if (nano == 0) return;
  if (r->step_nano == 0)
    r->step_nano = nano;
  else if (!__builtin_mul_overflow(r->step_nano / common_divisor(r->step_nano, nano), nano, &step))
    r->step_nano = step;
}

static void read_range(const sim_schema *schema, range *r) {
  const sheaf_slice *word = schema->word;
  double bound;
  int64_t nano;
  if (sheaf__sim_json_double(word[SIM_KW_MINIMUM], &bound))
    raise_low(r, bound, sheaf_json_true(word[SIM_KW_MINIMUM_EXCLUSIVE]));
  if (sheaf__sim_json_double(word[SIM_KW_MAXIMUM], &bound))
    lower_high(r, bound, sheaf_json_true(word[SIM_KW_MAXIMUM_EXCLUSIVE]));
  if (sheaf__sim_json_double(word[SIM_KW_MINIMUM_EXCLUSIVE], &bound)) raise_low(r, bound, true);
  if (sheaf__sim_json_double(word[SIM_KW_MAXIMUM_EXCLUSIVE], &bound)) lower_high(r, bound, true);
  if (!word[SIM_KW_MULTIPLE_OF].bytes) return;
  if (sheaf_json_nano(word[SIM_KW_MULTIPLE_OF], &nano) == SHEAF_OK && nano > 0)
    combine_step(r, (uint64_t)nano);
}

static bool is_inside(const sim_schemas *all, const range *r, double number) {
  if (number < r->low || (number == r->low && r->is_low_out)) return false;
  if (number > r->high || (number == r->high && r->is_high_out)) return false;
  for (uint32_t i = 0; i < all->count; i++) {
    double multiple;
    if (sheaf__sim_json_double(all->at[i].word[SIM_KW_MULTIPLE_OF], &multiple) &&
        !sheaf__sim_is_multiple(number, multiple))
      return false;
  }
  return true;
}

/* Appends n steps of numerator/denominator, the denominator a power of ten. */
static void write_steps(int64_t n, uint64_t numerator, uint64_t denominator, sheaf_buf *out) {
  uint64_t size = (n < 0 ? 0 - (uint64_t)n : (uint64_t)n) * numerator;
  uint64_t whole = size / denominator, rest = size % denominator;
  if (n < 0 && size) sheaf_buf_append(out, "-", 1);
  sheaf_buf_append_u64(out, whole);
  if (rest == 0) return;
  sheaf_buf_append(out, ".", 1);
  for (uint64_t digit = denominator / 10; rest; digit /= 10) {
    char c = (char)('0' + rest / digit);
    sheaf_buf_append(out, &c, 1);
    rest %= digit;
  }
}

/* A number of steps between the bounds. False: there is none that doubles can tell apart. */
static bool draw_steps(const sim_schemas *all, const range *r, uint64_t numerator,
                       uint64_t denominator, uint64_t key, sheaf_buf *out) {
  double step = (double)numerator / (double)denominator;
  double first = ceil(r->low / step), last = floor(r->high / step);
  if (first < -(double)WHOLE_MAX) first = -(double)WHOLE_MAX;
  if (last > (double)WHOLE_MAX) last = (double)WHOLE_MAX;
  if (!(first <= last)) return false;
  int64_t from = (int64_t)first;
  uint64_t count = (uint64_t)((int64_t)last - from) + 1;
  for (uint32_t attempt = 0; attempt < NUMBER_ATTEMPTS; attempt++) {
    /* The ends are tried, too, and whole numbers, which are multiples in every arithmetic. */
    uint64_t place = attempt < NUMBER_ATTEMPTS / 2
                         ? sheaf__sim_draw(key, DRAW_NUMBER + attempt, count)
                         : (attempt - NUMBER_ATTEMPTS / 2) % count;
    int64_t n = from + (int64_t)place;
    uint64_t steps = n < 0 ? 0 - (uint64_t)n : (uint64_t)n, size;
    if (__builtin_mul_overflow(steps, numerator, &size) || size > WHOLE_MAX) continue;
    double number = (double)size / (double)denominator;
    if (!is_inside(all, r, n < 0 ? -number : number)) continue;
    write_steps(n, numerator, denominator, out);
    return true;
  }
  return false;
}

/* Where the bounds are closer than steps or larger than whole numbers: one of them, or between. */
static bool write_between(const sim_schemas *all, const range *r, bool is_integer, sheaf_buf *out) {
  const double tries[] = {
      r->low + (r->high - r->low) / 2, r->low,       r->high,       nextafter(r->low, r->high),
      nextafter(r->high, r->low),      ceil(r->low), floor(r->high)};
  char text[64];
  for (uint32_t i = 0; i < sizeof tries / sizeof *tries; i++) {
    if (!is_inside(all, r, tries[i]) || (is_integer && floor(tries[i]) != tries[i])) continue;
    /* %.0f writes a large whole number out; a locale's comma is none of JSON's. */
    if (is_integer && fabs(tries[i]) < 1e40)
      snprintf(text, sizeof text, "%.0f", tries[i]);
    else
      snprintf(text, sizeof text, "%.17g", tries[i]);
    for (char *c = text; *c; c++)
      if (*c == ',') *c = '.';
    sheaf_buf_append_text(out, text);
    return true;
  }
  return false;
}

/* Bounds that nobody gave are chosen near those that somebody did, so that numbers are handy. */
static void close_range(range *r, bool is_integer, uint32_t widening) {
  double span = is_integer ? 1000 : 100, step = (double)r->step_nano / 1e9;
  if (step * 100 > span) span = step * 100;
  span = ldexp(span, (int)widening);
  if (!r->has_low) r->low = !r->has_high || r->high > 0 ? 0 : r->high - span;
  if (!r->has_high) r->high = r->low + span;
}

bool sheaf__sim_make_number(sim_making *making, const sim_schemas *all, bool is_integer,
                            uint64_t key) {
  static const uint64_t powers[] = {100, 1, 10, 10000, 1000000, 1000000000, 1000000000000};
  range r = {0};
  for (uint32_t i = 0; i < all->count; i++) read_range(&all->at[i], &r);
  close_range(&r, is_integer, making->widening);
  if (r.low > r.high) return false;
  uint64_t step = r.step_nano, whole = 1000000000;
  if (is_integer) {
    /* Multiples of p/q that are whole are those of p, where p/q cannot be reduced. */
    step = step ? step / common_divisor(step, whole) : 1;
    whole = 1;
  }
  if (step) {
    if (draw_steps(all, &r, step, whole, key, making->out)) return true;
    return write_between(all, &r, is_integer, making->out);
  }
  for (uint32_t i = 0; i < sizeof powers / sizeof *powers; i++)
    if (draw_steps(all, &r, 1, powers[i], key, making->out)) return true;
  return write_between(all, &r, is_integer, making->out);
}
