/* split.c: split patterns without a regular-expression engine.
 *
 * Outline: classes of code points; runs; contractions; words, of three kinds; white space; and
 * sheaf__scan, which tries the alternatives of a pattern in their order. Each rule quotes the part
 * of the pattern it stands for. A piece is found in time linear in its length and in the length of
 * the run behind it that decides it; what such a run decides once it does not decide again, so that
 * a whole text takes linear time (tokens/README.md gives the argument). */
#include "tokens/split.h"

#include "tokens/unicode_table.inc"

#define BIT(class) (1u << SHEAF__CLASS_##class)
#define LETTERS (BIT(UPPER) | BIT(LOWER) | BIT(LETTER))
#define SPACES (BIT(SPACE) | BIT(NEWLINE))
#define EITHER_CASE (BIT(LETTER) | BIT(MARK)) /* in both sets of the cased pattern */
#define NOT_LOWER (BIT(UPPER) | EITHER_CASE)  /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
#define NOT_UPPER (BIT(LOWER) | EITHER_CASE)  /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
#define PUNCTUATION (BIT(OTHER) | BIT(MARK))  /* [^\s\p{L}\p{N}] */

typedef struct place {
  const uint8_t *end;
  bool open;
} place;

/* O: other, S: space, N: number, U: upper, L: lower, B: line break. */
enum { O = 0, S = 1, N = 2, U = 3, L = 4, B = 7 };
static const uint8_t ascii_class[128] = {
    O, O, O, O, O, O, O, O, O, S, B, S, S, B, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O};

static inline uint32_t table_class(uint32_t c) {
  if (c >= UNICODE_TABLE_END)
    return c >= UNICODE_FAR_BEGIN && c < UNICODE_FAR_END ? UNICODE_FAR_CLASS : SHEAF__CLASS_OTHER;
  uint32_t pair = unicode_block[(uint32_t)unicode_row[c >> 6] * 32 + (c >> 1 & 31)];
  return pair >> (c & 1) * 4 & 15;
}

uint32_t sheaf__class_of(uint32_t code_point) {
  return table_class(code_point);
}

/* The class of the character at p and its bytes. */
static inline uint32_t class_at(place *at, const uint8_t *p, uint32_t *bytes) {
  if (p >= at->end) {
    at->open = true;
    *bytes = 0;
    return SHEAF__CLASS_END;
  }
  uint32_t c = p[0];
  if (c < 0x80) {
    *bytes = 1;
    return ascii_class[c];
  }
  if (c < 0xE0) {
    *bytes = 2;
    return table_class((c & 0x1F) << 6 | (p[1] & 0x3Fu));
  }
  if (c < 0xF0) {
    *bytes = 3;
    return table_class((c & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu));
  }
  *bytes = 4;
  return table_class((c & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 |
                     (p[3] & 0x3Fu));
}

/* The end of the run of characters of these classes. */
static const uint8_t *run(place *at, const uint8_t *p, uint32_t classes) {
  uint32_t bytes;
  while (classes >> class_at(at, p, &bytes) & 1) p += bytes;
  return p;
}

/* One letter of a contraction; lower case is wanted, upper case counts too where any does. */
static bool letter_is(place *at, const uint8_t *p, uint8_t letter, bool any_case) {
  if (p >= at->end) {
    at->open = true;
    return false;
  }
  return *p == letter || (any_case && (*p | 0x20) == letter && *p >= 'A' && *p <= 'Z');
}

/* `'(?:[sdmt]|ll|ve|re)`: the end of the contraction at p, or p. In any case U+017F, the long s, is
 * an s: its simple case folding is s (CaseFolding.txt), and no other letter here has a third
 * form. */
static const uint8_t *contraction(place *at, const uint8_t *p, bool any_case) {
  if (p >= at->end) {
    at->open = true;
    return p;
  }
  if (*p != '\'') return p;
  static const char pairs[3][2] = {{'l', 'l'}, {'v', 'e'}, {'r', 'e'}};
  for (size_t i = 0; i < 4; i++)
    if (letter_is(at, p + 1, (uint8_t) "sdmt"[i], any_case)) return p + 2;
  for (size_t i = 0; i < 3; i++)
    if (letter_is(at, p + 1, (uint8_t)pairs[i][0], any_case) &&
        letter_is(at, p + 2, (uint8_t)pairs[i][1], any_case))
      return p + 3;
  if (any_case && at->end - p >= 3 && p[1] == 0xC5 && p[2] == 0xBF) return p + 3;
  return p;
}

/* `[upper]*[lower]+` or else `[upper]+[lower]*` from p, where upper and lower share the letters
 * without case and the marks; p if there is no word. The first set takes all it can; if a pure
 * lower case letter follows, the second goes on from there. If none does, the first gives back up
 * to the last character that both sets hold, and the word ends behind that. If there is no such
 * character either, the second form takes the capitals alone. */
static const uint8_t *cased_word(place *at, const uint8_t *p) {
  const uint8_t *shared_end = NULL, *q = p;
  uint32_t bytes, class;
  while (class = class_at(at, q, &bytes), NOT_LOWER >> class & 1) {
    q += bytes;
    if (EITHER_CASE >> class & 1) shared_end = q;
  }
  if (class == SHEAF__CLASS_LOWER) return run(at, q, NOT_UPPER);
  return shared_end ? shared_end : q;
}

/* `[^\r\n\p{L}\p{N}]?` and a cased word, with its contraction. A mark may be the prefix or the
 * word's first character: the prefix is tried first, but only the first form of the word counts
 * before the mark is taken as the word, and where that fails behind a mark the mark alone is
 * left. */
static const uint8_t *cased_piece(place *at, const uint8_t *p, uint32_t class, uint32_t bytes) {
  const uint8_t *word = p;
  if (BIT(NUMBER) >> class & 1 || class == SHEAF__CLASS_NEWLINE) return p;
  if (!(LETTERS >> class & 1)) word = p + bytes;
  const uint8_t *end = cased_word(at, word);
  if (class == SHEAF__CLASS_MARK) {
    bool capitals_only = true;
    for (const uint8_t *q = word; q < end && capitals_only;) {
      uint32_t length;
      capitals_only = class_at(at, q, &length) == SHEAF__CLASS_UPPER;
      q += length;
    }
    if (capitals_only) end = word;
  } else if (end == word) {
    return p;
  }
  return contraction(at, end, true);
}

/* White space from p on: `\s*[\r\n]+`, `\s+(?!\S)`, `\s+`, with `\s++$` before them all where a run
 * that ends the text is one piece. */
static const uint8_t *white_space(const sheaf__pattern *pattern, place *at, const uint8_t *p) {
  const uint8_t *lines_end = NULL, *last = p, *q = p;
  uint32_t bytes, class;
  while (class = class_at(at, q, &bytes), SPACES >> class & 1) {
    last = q;
    q += bytes;
    if (class == SHEAF__CLASS_NEWLINE) lines_end = q;
  }
  bool ends_text = q == at->end;
  if (ends_text && pattern->lines == SHEAF__LINES_LATER) return q;
  if (lines_end && pattern->lines != SHEAF__LINES_NONE) return lines_end;
  return ends_text || last == p ? q : last;
}

/* ` ?[^\s\p{L}\p{N}]+[\r\n/]*` behind the space; p if there is none. */
static const uint8_t *punctuation(const sheaf__pattern *pattern, place *at, const uint8_t *p) {
  const uint8_t *q = run(at, p, PUNCTUATION);
  if (q == p || !pattern->tail_lines) return q;
  while (q < at->end && (*q == '\n' || *q == '\r' || (pattern->tail_slashes && *q == '/'))) q++;
  if (q == at->end) at->open = true;
  return q;
}

static const uint8_t *digits(const sheaf__pattern *pattern, place *at, const uint8_t *p) {
  uint32_t bytes;
  if (pattern->digits_max == 0) return run(at, p, BIT(NUMBER));
  for (uint32_t n = 0; n < pattern->digits_max; n++) {
    if (class_at(at, p, &bytes) != SHEAF__CLASS_NUMBER) break;
    p += bytes;
  }
  return p;
}

/* `'(?:...)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
static const uint8_t *spaced_piece(const sheaf__pattern *pattern, place *at, const uint8_t *p) {
  uint32_t bytes;
  const uint8_t *q = contraction(at, p, false);
  if (q > p) return q;
  q = *p == ' ' ? p + 1 : p;
  uint32_t class = class_at(at, q, &bytes);
  if (LETTERS >> class & 1) return run(at, q, LETTERS);
  if (class == SHEAF__CLASS_NUMBER) return digits(pattern, at, q);
  if (PUNCTUATION >> class & 1) return punctuation(pattern, at, q);
  return white_space(pattern, at, p);
}

static const uint8_t *prefixed_piece(const sheaf__pattern *pattern, place *at, const uint8_t *p) {
  uint32_t bytes, next_bytes;
  uint32_t class = class_at(at, p, &bytes);
  if (pattern->word == SHEAF__WORD_CASED) {
    const uint8_t *q = cased_piece(at, p, class, bytes);
    if (q > p) return q;
  } else {
    const uint8_t *q = contraction(at, p, true);
    if (q > p) return q;
    if (LETTERS >> class & 1) return run(at, p + bytes, LETTERS);
  }
  if (class == SHEAF__CLASS_NUMBER) return digits(pattern, at, p);
  if (class == SHEAF__CLASS_NEWLINE) return white_space(pattern, at, p);
  uint32_t next = class_at(at, p + bytes, &next_bytes);
  if (LETTERS >> next & 1) return run(at, p + bytes, LETTERS);
  if (PUNCTUATION >> class & 1) return punctuation(pattern, at, p);
  if (*p == ' ' && PUNCTUATION >> next & 1) return punctuation(pattern, at, p + 1);
  return white_space(pattern, at, p);
}

const uint8_t *sheaf__scan(const sheaf__pattern *pattern, const uint8_t *p, const uint8_t *end,
                           bool *open) {
  place at = {end, false};
  const uint8_t *q;
  if (pattern->whole) {
    at.open = true;
    q = end;
  } else if (pattern->word == SHEAF__WORD_SPACED) {
    q = spaced_piece(pattern, &at, p);
  } else {
    q = prefixed_piece(pattern, &at, p);
  }
  if (at.open) *open = true;
  return q;
}
