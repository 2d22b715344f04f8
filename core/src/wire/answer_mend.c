/* answer_mend.c: one JSON value read leniently and written strictly.
 *
 * Outline: the walk's state; ends; spaces and comments; strings; numbers and words; members and
 * elements; the walk.
 *
 * The walk goes over the text once and looks ahead only over space, or over one short word. After
 * each complete member it notes how much was written, so that whatever comes later (the end of the
 * text, something that fits nowhere) takes back what is not whole and closes what is open. */
#include "wire/answer_int.h"

#include "base/mem.h"
#include "base/swar.h"

#define PUT(r, literal) ((void)sheaf_buf_append((r)->out, (literal), sizeof(literal) - 1))
#define WORD_MAX 64 /* bytes of a key without quotes, and of a look ahead for one */

enum { /* how reading a piece ended */
       DONE,
       CUT,        /* the text ends in it: it is not kept */
       CUT_STRING, /* the text ends in a string, whose beginning is kept */
       BROKEN
};

enum { FRESH, AFTER_VALUE, AFTER_COMMA };

typedef struct frame {
  size_t good; /* bytes written when its last complete member was */
  uint32_t count;
  uint32_t state;
  char close;
} frame;

typedef struct reader {
  const char *p;
  const char *end;
  const char *good_at;   /* behind the last complete member */
  const char *plain_end; /* of the plain run that was looked at last: no byte is looked at twice */
  sheaf_buf *out;
  uint32_t repairs;
  uint32_t depth;
  bool has_key;
  frame frames[SHEAF_JSON_DEPTH_MAX];
} reader;

static void mark(reader *r, uint32_t repair) {
  r->repairs |= repair;
}

/* ---- Ends ---- */

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *behind_space(const char *p, const char *end) {
  while (p < end && is_space(*p)) p++;
  return p;
}

static bool begins(const char *p, const char *end, const char *text) {
  size_t bytes = strlen(text);
  return (size_t)(end - p) >= bytes && memcmp(p, text, bytes) == 0;
}

/* A fence that closes ends the text for what stands inside of it. */
static bool is_end(const char *p, const char *end) {
  return p == end || (*p == '`' && begins(p, end, "```"));
}

static bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* The end of a key without quotes. */
static const char *behind_bare_key(const char *p, const char *end) {
  const char *begin = p;
  while (p < end && (is_word_byte(*p) || *p == '-') && p - begin < WORD_MAX) p++;
  return p;
}

/* Whether a key without quotes and its colon are here, as far as the text goes. */
static bool is_bare_key(const char *p, const char *end) {
  const char *behind = behind_bare_key(p, end);
  if (behind == p) return false;
  behind = behind_space(behind, end);
  return behind == end || *behind == ':';
}

/* ---- Spaces and comments ---- */

/* Passes over space and comments; false: a comment does not end. */
static bool skip_gap(reader *r) {
  for (;;) {
    r->p = behind_space(r->p, r->end);
    if (r->p == r->end) return true;
    const char *close = NULL;
    if (*r->p == '#' || begins(r->p, r->end, "//")) {
      close = memchr(r->p, '\n', (size_t)(r->end - r->p));
      r->p = close ? close + 1 : r->end;
    } else if (begins(r->p, r->end, "/*")) {
      for (r->p += 2; r->p < r->end && !begins(r->p, r->end, "*/"); r->p++) continue;
      if (r->p == r->end) return false;
      r->p += 2;
    } else {
      return true;
    }
    mark(r, SHEAF_REPAIR_COMMENT);
  }
}

/* ---- Strings ---- */

typedef struct string {
  const char *close; /* the text of its closing mark */
  size_t high_end;   /* in out, behind the latest escape of a high surrogate; 0: none */
  bool is_key;
  bool guessed; /* a quotation mark was taken for one of the text */
} string;

/* Whether what stands behind a comma begins a member or an element. */
static bool begins_next(const reader *r, const char *p) {
  p = behind_space(p, r->end);
  if (is_end(p, r->end)) return true;
  char c = *p;
  if (c == '"' || c == '\'' || c == '/' || c == '#' || c == ']' || c == '}') return true;
  if ((unsigned char)c == 0xE2) return begins(p, r->end, "\xE2\x80\x9C");
  if (r->depth && r->frames[r->depth - 1].close == '}') return is_bare_key(p, r->end);
  if (c == '{' || c == '[' || c == '-' || is_digit(c)) return true;
  static const char *const words[] = {"true", "false", "null", "True", "False", "None"};
  size_t left = (size_t)(r->end - p);
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    size_t bytes = strlen(words[i]);
    if (memcmp(p, words[i], bytes < left ? bytes : left) == 0) return true;
  }
  return false;
}

/* Whether the mark before p closes the string, by what follows it. */
static bool closes(const reader *r, const string *s, const char *p) {
  if (s->is_key || r->depth == 0) return true;
  const char *next = behind_space(p, r->end);
  if (is_end(next, r->end)) return true;
  switch (*next) {
    case '}':
    case ']':
    case '#': return true;
    case '/': return begins(next, r->end, "//") || begins(next, r->end, "/*");
    case ',': return begins_next(r, next + 1);
    case '"':
    case '\'': return next > p; /* the comma is missing */
    default: break;
  }
  bool is_next_line = next > p && memchr(p, '\n', (size_t)(next - p)) != NULL;
  return is_next_line && begins_next(r, next); /* the same */
}

static bool is_hex(char c) {
  return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* \uXXXX; without four digits the backslash is doubled. */
static uint32_t copy_unicode(reader *r, string *s) {
  const char *p = r->p;
  size_t digits = 0;
  while (digits < 4 && p + 2 + digits < r->end && is_hex(p[2 + digits])) digits++;
  if (digits < 4 && p + 2 + digits == r->end) {
    r->p = r->end;
    return CUT_STRING;
  }
  if (digits < 4) {
    mark(r, SHEAF_REPAIR_BAD_ESCAPE);
    PUT(r, "\\\\");
    r->p++;
    return DONE;
  }
  sheaf_buf_append(r->out, p, 6);
  char third = (char)(p[3] | 0x20);
  bool is_high =
      (p[2] | 0x20) == 'd' && (p[3] == '8' || p[3] == '9' || third == 'a' || third == 'b');
  if (is_high) s->high_end = r->out->bytes;
  r->p += 6;
  return DONE;
}

static uint32_t copy_escape(reader *r, string *s) {
  if (r->end - r->p < 2) {
    r->p = r->end;
    return CUT_STRING;
  }
  char c = r->p[1];
  if (c == 'u') return copy_unicode(r, s);
  if (memchr("\"\\/bfnrt", c, 8) != NULL) {
    sheaf_buf_append(r->out, r->p, 2);
    r->p += 2;
  } else if (c == '\'' || c == '`') { /* escaped where it need not be */
    if (*s->close != c) mark(r, SHEAF_REPAIR_BAD_ESCAPE);
    sheaf_buf_append(r->out, &c, 1);
    r->p += 2;
  } else if (c == '\n') { /* a line that goes on in the next */
    mark(r, SHEAF_REPAIR_BAD_ESCAPE);
    r->p += 2;
  } else { /* as in "\d+" or "\alpha": the backslash was meant */
    mark(r, SHEAF_REPAIR_BAD_ESCAPE);
    PUT(r, "\\\\");
    r->p++;
  }
  return DONE;
}

/* Characters beyond ASCII, of which one may be broken. */
static uint32_t copy_wide(reader *r, const string *s) {
  const char *behind = sheaf__skip_utf8(r->p, r->end);
  if (behind > r->p && (unsigned char)*s->close < 0x80) {
    sheaf_buf_append(r->out, r->p, (size_t)(behind - r->p));
    r->p = behind;
    return DONE;
  }
  int step = sheaf__utf8_step(r->p, (size_t)(r->end - r->p));
  if (step > 0) {
    sheaf_buf_append(r->out, r->p, (size_t)step);
    r->p += step;
    return DONE;
  }
  bool is_cut = r->p - step == r->end && (unsigned char)*r->p >= 0xC2;
  r->p -= step;
  if (is_cut) return CUT_STRING;
  mark(r, SHEAF_REPAIR_INVALID_UTF8);
  PUT(r, "\xEF\xBF\xBD");
  return DONE;
}

/* The text ended inside: what is there stays, but for half a pair of surrogates. */
static uint32_t end_cut(reader *r, string *s) {
  if (s->guessed || s->is_key) return s->is_key ? CUT : BROKEN;
  if (s->high_end && s->high_end == r->out->bytes && r->out->status == SHEAF_OK) r->out->bytes -= 6;
  PUT(r, "\"");
  return CUT_STRING;
}

/* One byte, or a few, that a plain run stopped at. */
static uint32_t copy_special(reader *r, string *s) {
  char c = *r->p;
  if (c == '\\') return copy_escape(r, s);
  if ((unsigned char)c >= 0x80) return copy_wide(r, s);
  if (c == '"') {
    PUT(r, "\\\"");
  } else if ((unsigned char)c < 0x20) {
    mark(r, SHEAF_REPAIR_CONTROL_IN_STRING);
    sheaf_buf_append_escaped(r->out, (sheaf_slice){r->p, 1});
  } else {
    sheaf_buf_append(r->out, &c, 1);
  }
  r->p++;
  return DONE;
}

/* r->p is behind the opening mark. */
static uint32_t read_string(reader *r, const char *close, bool is_key) {
  string s = {.close = close, .is_key = is_key};
  size_t close_bytes = strlen(close);
  PUT(r, "\"");
  for (;;) {
    if (r->p >= r->plain_end) r->plain_end = sheaf__skip_plain(r->p, r->end);
    const char *stop = r->plain_end;
    const char *mark_at = *close == '\'' ? memchr(r->p, '\'', (size_t)(stop - r->p)) : NULL;
    if (mark_at != NULL) stop = mark_at;
    sheaf_buf_append(r->out, r->p, (size_t)(stop - r->p));
    r->p = stop;
    if (stop == r->end) return end_cut(r, &s);
    if (*stop == *close && begins(stop, r->end, close)) {
      if (closes(r, &s, stop + close_bytes)) break;
      s.guessed = true;
      mark(r, SHEAF_REPAIR_INNER_QUOTE);
    }
    if (copy_special(r, &s) == CUT_STRING) return end_cut(r, &s);
    if (r->out->status != SHEAF_OK) return BROKEN;
  }
  r->p += close_bytes;
  PUT(r, "\"");
  return DONE;
}

/* The closing mark of the string that begins at p, NULL: none begins. *bytes: of the opening mark. */
static const char *string_at(reader *r, size_t *bytes) {
  *bytes = 1;
  if (*r->p == '"') return "\"";
  if (*r->p == '\'') {
    mark(r, SHEAF_REPAIR_SINGLE_QUOTES);
    return "'";
  }
  if (!begins(r->p, r->end, "\xE2\x80\x9C")) return NULL;
  mark(r, SHEAF_REPAIR_CURLY_QUOTES);
  *bytes = 3;
  return "\xE2\x80\x9D";
}

/* ---- Numbers and words ---- */

static bool ends_scalar(const char *p, const char *end) {
  if (p == end || is_space(*p)) return true;
  return memchr(",]}:/#`", *p, 7) != NULL;
}

static const char *digits_from(const char *p, const char *end) {
  while (p < end && is_digit(*p)) p++;
  return p;
}

/* A number in JSON's form, or nearly so. At the end of the text more digits may be missing. */
static uint32_t read_number(reader *r) {
  const char *p = r->p, *sign = p;
  if (*p == '-' || *p == '+') p++;
  const char *whole = p;
  p = digits_from(p, r->end);
  size_t digits = (size_t)(p - whole);
  if (digits > 1 && *whole == '0') return BROKEN; /* an identifier, or a number in base 8 */
  const char *fraction = p, *fraction_end = p;
  if (p < r->end && *p == '.') fraction_end = p = digits_from(p + 1, r->end);
  size_t decimals = fraction_end > fraction ? (size_t)(fraction_end - fraction) - 1 : 0;
  const char *exponent = p;
  if (p < r->end && (*p | 0x20) == 'e') {
    p++;
    if (p < r->end && (*p == '+' || *p == '-')) p++;
    const char *power = p;
    p = digits_from(p, r->end);
    if (p == power && p < r->end) return BROKEN;
  }
  r->p = p;
  if (p == r->end && r->depth > 0) return CUT;
  if (digits + decimals == 0 || !ends_scalar(p, r->end)) return BROKEN;
  if (p > exponent && !is_digit(p[-1])) return BROKEN;
  if (*sign == '+' || digits == 0 || (fraction_end > fraction && decimals == 0))
    mark(r, SHEAF_REPAIR_NUMBER_FORM);
  if (*sign == '-') PUT(r, "-");
  if (digits == 0) PUT(r, "0");
  sheaf_buf_append(r->out, whole, digits);
  if (decimals) sheaf_buf_append(r->out, fraction, decimals + 1);
  sheaf_buf_append(r->out, exponent, (size_t)(p - exponent));
  return DONE;
}

static uint32_t read_word(reader *r) {
  static const struct {
    const char *word, *json;
    uint32_t repair;
  } words[] = {{"true", "true", 0},
               {"false", "false", 0},
               {"null", "null", 0},
               {"True", "true", SHEAF_REPAIR_PYTHON_LITERAL},
               {"False", "false", SHEAF_REPAIR_PYTHON_LITERAL},
               {"None", "null", SHEAF_REPAIR_PYTHON_LITERAL},
               {"TRUE", "true", SHEAF_REPAIR_PYTHON_LITERAL},
               {"FALSE", "false", SHEAF_REPAIR_PYTHON_LITERAL},
               {"NULL", "null", SHEAF_REPAIR_PYTHON_LITERAL},
               {"NaN", "null", SHEAF_REPAIR_NOT_A_NUMBER},
               {"Infinity", "null", SHEAF_REPAIR_NOT_A_NUMBER},
               {"-Infinity", "null", SHEAF_REPAIR_NOT_A_NUMBER},
               {"undefined", "null", SHEAF_REPAIR_NOT_A_NUMBER}};
  const char *p = r->p;
  while (p < r->end && (is_word_byte(*p) || *p == '-') && p - r->p < WORD_MAX) p++;
  sheaf_slice word = {r->p, (size_t)(p - r->p)};
  bool is_cut = p == r->end && r->depth > 0;
  for (size_t i = 0; word.bytes && i < sizeof words / sizeof words[0]; i++) {
    sheaf_slice known = sheaf_slice_of(words[i].word);
    if (sheaf__slice_equal(word, known) && ends_scalar(p, r->end)) {
      r->p = p;
      mark(r, words[i].repair);
      sheaf_buf_append_text(r->out, words[i].json);
      return DONE;
    }
    if (is_cut && word.bytes < known.bytes && memcmp(word.data, known.data, word.bytes) == 0) {
      r->p = p;
      return CUT;
    }
  }
  return BROKEN;
}

static uint32_t read_scalar(reader *r) {
  size_t mark_bytes;
  const char *close = string_at(r, &mark_bytes);
  if (close != NULL) {
    r->p += mark_bytes;
    return read_string(r, close, false);
  }
  char c = *r->p;
  bool is_infinite = c == '-' && r->end - r->p > 1 && r->p[1] == 'I';
  if (is_digit(c) || c == '+' || c == '.' || (c == '-' && !is_infinite)) return read_number(r);
  return read_word(r);
}

/* ---- Members and elements ---- */

static void element_done(reader *r) {
  if (r->depth == 0) return;
  frame *top = &r->frames[r->depth - 1];
  top->good = r->out->bytes;
  top->count++;
  top->state = AFTER_VALUE;
  r->good_at = r->p;
}

static void open_container(reader *r) {
  frame *top = &r->frames[r->depth++];
  sheaf_buf_append(r->out, r->p, 1);
  *top = (frame){.good = r->out->bytes, .close = *r->p == '{' ? '}' : ']'};
  r->p++;
}

static void pop(reader *r) {
  sheaf_buf_append(r->out, &r->frames[--r->depth].close, 1);
}

/* A closing bracket, maybe of a container further out, maybe of none. */
static void close_container(reader *r) {
  char c = *r->p++;
  uint32_t at = r->depth;
  if (r->frames[r->depth - 1].state == AFTER_COMMA) mark(r, SHEAF_REPAIR_TRAILING_COMMA);
  while (at > 0 && r->frames[at - 1].close != c) at--;
  if (at != r->depth) mark(r, SHEAF_REPAIR_BRACKET);
  if (at == 0) return;
  while (r->depth >= at) {
    pop(r);
    element_done(r);
  }
}

/* "key": */
static uint32_t read_key(reader *r) {
  size_t mark_bytes;
  const char *close = string_at(r, &mark_bytes);
  if (close != NULL) {
    r->p += mark_bytes;
    uint32_t step = read_string(r, close, true);
    if (step != DONE) return step;
  } else {
    const char *behind = behind_bare_key(r->p, r->end);
    if (behind == r->p) return BROKEN;
    sheaf_buf_append_string(r->out, (sheaf_slice){r->p, (size_t)(behind - r->p)});
    r->p = behind;
    mark(r, SHEAF_REPAIR_UNQUOTED_KEY);
  }
  if (!skip_gap(r) || is_end(r->p, r->end)) return CUT;
  if (*r->p != ':') return BROKEN;
  r->p++;
  r->has_key = true;
  PUT(r, ":");
  return skip_gap(r) && !is_end(r->p, r->end) ? DONE : CUT;
}

/* An element, or a member with its key; a container is opened and not yet read. */
static uint32_t read_element(reader *r, int32_t *status) {
  frame *top = &r->frames[r->depth - 1];
  if (top->state == AFTER_VALUE) mark(r, SHEAF_REPAIR_MISSING_COMMA);
  if (top->count) PUT(r, ",");
  uint32_t step = top->close == '}' ? read_key(r) : DONE;
  if (step != DONE) return step;
  if (*r->p == '{' || *r->p == '[') {
    if (r->depth == SHEAF_JSON_DEPTH_MAX) {
      *status = SHEAF_E_DEPTH;
      return BROKEN;
    }
    open_container(r);
    return DONE;
  }
  step = read_scalar(r);
  if (step == DONE || step == CUT_STRING) element_done(r);
  return step;
}

/* ---- The walk ---- */

static uint32_t walk(reader *r, int32_t *status) {
  while (r->depth > 0) {
    if (r->out->status != SHEAF_OK) return BROKEN;
    if (!skip_gap(r) || is_end(r->p, r->end)) return CUT;
    frame *top = &r->frames[r->depth - 1];
    if (*r->p == ',') {
      if (top->state != AFTER_VALUE) mark(r, SHEAF_REPAIR_TRAILING_COMMA);
      top->state = AFTER_COMMA;
      r->p++;
    } else if (*r->p == '}' || *r->p == ']') {
      close_container(r);
    } else {
      uint32_t before = r->repairs;
      uint32_t step = read_element(r, status);
      if (step == BROKEN || step == CUT) r->repairs = before; /* what was not kept was not mended */
      if (step != DONE) return step;
    }
  }
  return DONE;
}

/* Takes back what is not whole and closes what is open; containers in which nothing is complete go,
 * too. False: nothing is left. */
static bool close_all(reader *r) {
  while (r->depth > 0) {
    frame *top = &r->frames[r->depth - 1];
    r->out->bytes = top->good;
    if (top->count == 0) {
      if (--r->depth == 0) return false;
      continue;
    }
    pop(r);
    if (r->depth > 0) {
      frame *outer = &r->frames[r->depth - 1];
      outer->good = r->out->bytes;
      outer->count++;
    }
  }
  return true;
}

sheaf__mended sheaf__mend_container(const char *from, const char *end, sheaf_buf *out) {
  reader r; /* frames are filled as they are opened */
  r.p = r.good_at = r.plain_end = from;
  r.end = end;
  r.out = out;
  r.repairs = r.depth = 0;
  r.has_key = false;
  sheaf__mended mended = {.status = SHEAF_OK};
  open_container(&r);
  uint32_t step = walk(&r, &mended.status);
  if (out->status != SHEAF_OK) {
    mended.status = out->status;
    return mended;
  }
  mended.good = step == DONE || close_all(&r);
  if (step == CUT || step == CUT_STRING) mark(&r, SHEAF_REPAIR_TRUNCATED);
  if (step == CUT_STRING) mark(&r, SHEAF_REPAIR_CUT_STRING);
  if (step == BROKEN) mark(&r, SHEAF_REPAIR_BROKEN);
  if (out->status != SHEAF_OK) mended.status = out->status;
  mended.end = step == BROKEN ? r.good_at : r.p;
  mended.next = r.p;
  mended.repairs = r.repairs;
  mended.has_key = r.has_key;
  return mended;
}

sheaf__mended sheaf__mend_scalar(const char *from, const char *end, sheaf_buf *out) {
  reader r;
  r.p = r.good_at = r.plain_end = from;
  r.end = end;
  r.out = out;
  r.repairs = r.depth = 0;
  r.has_key = false;
  uint32_t step = read_scalar(&r);
  return (sheaf__mended){.end = r.p,
                         .next = r.p,
                         .repairs = r.repairs,
                         .good = step == DONE && behind_space(r.p, end) == end,
                         .status = out->status};
}
