/* json_scan.c: JSON as spans: one walk checks a document and notes where wanted values lie.
 *
 * Outline: the walk's state; paths; scalars; containers; the walk. json_value.c reads the spans found.
 *
 * The walk is the hot path of every reply: no recursion, no allocation, strings eight bytes at a time. At each
 * depth a bit mask says which paths still match, so that a member nobody wants costs its scan alone. The grammar
 * is RFC 8259, strictly; invalid UTF-8 and lone surrogate escapes are let through (the first is reported). */
#include <sheaf/buf.h>

#include "base/mem.h"
#include "base/swar.h"

enum { STEPS_MAX = 8 };

_Static_assert(SHEAF_JSON_PICK_MAX == 32, "masks of paths are uint32_t");

/* One step of a path: a key, or an index where key is NULL. */
typedef struct step {
  const char *key;
  uint64_t head; /* the key's first eight bytes, zero padded: most keys are told apart by it */
  uint32_t bytes;
  uint32_t index;
} step;

/* An open container. */
typedef struct frame {
  const char *start;
  uint32_t live;   /* paths that go on into it */
  uint32_t ending; /* paths whose value it is */
  uint32_t index;  /* of the element being read */
  char close;
} frame;

typedef struct walk {
  const char *begin;
  const char *end;
  const char *failed_at;
  const char *message;
  int32_t status;
  uint32_t depth;
  bool has_line_break;
  bool has_invalid_utf8;
  uint32_t ends[STEPS_MAX + 1]; /* [n]: paths of n steps */
  uint32_t indexes[STEPS_MAX];  /* [n]: paths whose n-th step is an index */
  sheaf_slice *values;
  frame frames[SHEAF_JSON_DEPTH_MAX];
  step steps[SHEAF_JSON_PICK_MAX][STEPS_MAX];
} walk;

/* Notes the failure; NULL so that scanners can pass it on. */
static const char *fail(walk *w, const char *at, int32_t status, const char *message) {
  w->status = status;
  w->failed_at = at;
  w->message = message;
  return NULL;
}

static const char *fail_syntax(walk *w, const char *at, const char *message) {
  return fail(w, at, SHEAF_E_SYNTAX, message);
}

static const char *fail_partial(walk *w) {
  return fail(w, w->end, SHEAF_E_PARTIAL, "the document ends too early; it was cut off");
}

/* ---- Paths ---- */

/* Reads one step at p: ".key", "[7]", or "key" at the start. Answers what follows, NULL if malformed. */
static const char *read_step(const char *p, bool first, step *out) {
  if (*p == '[') {
    uint64_t index = 0;
    const char *digits = ++p;
    for (; *p >= '0' && *p <= '9' && index <= UINT32_MAX; p++)
      index = index * 10 + (uint64_t)(*p - '0');
    if (p == digits || index > UINT32_MAX || *p != ']') return NULL;
    *out = (step){.index = (uint32_t)index};
    return p + 1;
  }
  if (!first) {
    if (*p != '.') return NULL;
    p++;
  }
  const char *key = p;
  while (*p != '\0' && *p != '.' && *p != '[') p++;
  size_t bytes = (size_t)(p - key);
  if (bytes == 0 || bytes > UINT32_MAX) return NULL;
  *out = (step){
      .key = key, .head = sheaf__load_few(key, bytes < 8 ? bytes : 8), .bytes = (uint32_t)bytes};
  return p;
}

static bool read_path(walk *w, uint32_t path, const char *text) {
  uint32_t count = 0, bit = 1u << path;
  if (!text) return false;
  for (const char *p = text; *p != '\0'; count++) {
    if (count == STEPS_MAX) return false;
    step *s = &w->steps[path][count];
    p = read_step(p, count == 0, s);
    if (!p) return false;
    if (!s->key) w->indexes[count] |= bit;
  }
  w->ends[count] |= bit;
  return true;
}

/* Takes back what an earlier member of the same name gave: the last counts. */
static inline void forget(walk *w, uint32_t paths) {
  for (; paths; paths &= paths - 1) w->values[__builtin_ctz(paths)] = (sheaf_slice){NULL, 0};
}

static inline void capture(walk *w, uint32_t paths, const char *start, const char *end) {
  for (; paths; paths &= paths - 1) {
    w->values[__builtin_ctz(paths)] = (sheaf_slice){start, (size_t)(end - start)};
  }
}

/* Which of the open object's paths name this key. */
static inline uint32_t match_key(walk *w, const char *key, size_t bytes) {
  uint32_t depth = w->depth - 1, matched = 0;
  uint32_t paths = w->frames[depth].live;
  if (!paths) return 0;
  uint64_t head;
  if (bytes >= 8) {
    head = sheaf__load8(key);
  } else if (w->end - key >= 8) {
    head = sheaf__load8(key) & ((1ull << (8 * bytes)) - 1);
  } else {
    head = sheaf__load_few(key, bytes);
  }
  for (; paths; paths &= paths - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(paths);
    const step *s = &w->steps[i][depth];
    if (s->head != head || s->bytes != bytes) continue;
    if (bytes > 8 && memcmp(s->key + 8, key + 8, bytes - 8) != 0) continue;
    matched |= 1u << i;
  }
  if (matched) forget(w, matched);
  return matched;
}

/* Which of the open array's paths name the element to come. */
static inline uint32_t match_index(const walk *w) {
  uint32_t depth = w->depth - 1, matched = 0;
  const frame *top = &w->frames[depth];
  for (uint32_t paths = top->live; paths; paths &= paths - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(paths);
    if (w->steps[i][depth].index == top->index) matched |= 1u << i;
  }
  return matched;
}

/* ---- Scalars: each takes its first byte's place and answers what follows, or NULL ---- */

static inline const char *skip_space(walk *w, const char *p) {
  while (p < w->end && (unsigned char)*p <= ' ') {
    if (*p == '\n' || *p == '\r') {
      w->has_line_break = true;
    } else if (*p != ' ' && *p != '\t') {
      break;
    }
    p++;
  }
  return p;
}

static bool is_hex(char c) {
  return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static const char *scan_escape(walk *w, const char *p) {
  if (w->end - p < 2) return fail_partial(w);
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return p + 2;
    case 'u': break;
    default:
      return fail_syntax(w, p,
                         "a backslash in a string is followed by none of \"\\/bfnrtu; double it");
  }
  for (int i = 2; i < 6; i++) {
    if (p + i == w->end) return fail_partial(w);
    if (!is_hex(p[i])) return fail_syntax(w, p + i, "\\u needs four hexadecimal digits");
  }
  return p + 6;
}

/* p is behind the opening quote; the answer is behind the closing one. */
static inline const char *scan_string(walk *w, const char *p) {
  for (;;) {
    p = sheaf__skip_plain(p, w->end);
    if (p == w->end) return fail_partial(w);
    unsigned char c = (unsigned char)*p;
    if (c == '"') return p + 1;
    if (c == '\\') {
      p = scan_escape(w, p);
      if (!p) return NULL;
    } else if (c >= 0x80) {
      const char *behind = sheaf__skip_utf8(p, w->end);
      if (behind == p) {
        w->has_invalid_utf8 = true;
        behind = p - sheaf__utf8_step(p, (size_t)(w->end - p)); /* minus its length */
      }
      p = behind;
    } else {
      return fail_syntax(w, p, "a control byte inside a string; write it as an escape such as \\n");
    }
  }
}

static inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* At least one digit. */
static const char *scan_digits(walk *w, const char *p) {
  if (p == w->end) return fail_partial(w);
  if (!is_digit(*p)) return fail_syntax(w, p, "a digit was expected in this number");
  do p++;
  while (p < w->end && is_digit(*p));
  return p;
}

static const char *scan_number(walk *w, const char *p) {
  if (*p == '-') p++;
  const char *whole = p;
  p = scan_digits(w, p);
  if (!p) return NULL;
  if (*whole == '0' && p - whole > 1) {
    return fail_syntax(w, whole, "a number may not begin with 0 before other digits; drop the 0");
  }
  if (p < w->end && *p == '.') {
    p = scan_digits(w, p + 1);
    if (!p) return NULL;
  }
  if (p < w->end && (*p | 0x20) == 'e') {
    p++;
    if (p < w->end && (*p == '+' || *p == '-')) p++;
    p = scan_digits(w, p);
  }
  return p;
}

static const char *scan_word(walk *w, const char *p, const char *word, size_t bytes) {
  size_t left = (size_t)(w->end - p);
  if (memcmp(p, word, left < bytes ? left : bytes) != 0) {
    return fail_syntax(w, p, "an unknown word; only true, false and null stand without quotes");
  }
  return left < bytes ? fail_partial(w) : p + bytes;
}

static const char *fail_value(walk *w, const char *p) {
  switch (*p) {
    case ']':
    case '}':
      return fail_syntax(w, p, "a value is missing here, or the comma before is one too many");
    case ',': return fail_syntax(w, p, "a value is missing before this comma");
    case '\'': return fail_syntax(w, p, "strings stand in double quotes");
    case '\xEF':
      return fail_syntax(w, p, "a byte order mark or stray text; JSON begins with its value");
    case '+':
    case '.': return fail_syntax(w, p, "a number begins with a digit or with - and a digit");
    default:
      return fail_syntax(w, p,
                         "a value was expected: object, array, string, number, true, false, null");
  }
}

static inline const char *scan_scalar(walk *w, const char *p) {
  char c = *p;
  if (c == '"') return scan_string(w, p + 1);
  if (c == '-' || is_digit(c)) return scan_number(w, p);
  if (c == 't') return scan_word(w, p, "true", 4);
  if (c == 'f') return scan_word(w, p, "false", 5);
  if (c == 'n') return scan_word(w, p, "null", 4);
  return fail_value(w, p);
}

/* ---- Containers ---- */

/* p is at a bracket; `matched` are the paths that led to it. */
static inline bool open_container(walk *w, const char *p, uint32_t matched) {
  uint32_t depth = w->depth;
  if (depth == SHEAF_JSON_DEPTH_MAX) {
    fail(w, p, SHEAF_E_DEPTH, "nested more than 64 deep; flatten the document");
    return false;
  }
  frame *top = &w->frames[depth];
  bool is_object = *p == '{';
  top->start = p;
  top->live = 0;
  top->ending = 0;
  top->index = 0;
  top->close = is_object ? '}' : ']';
  if (matched) { /* then depth is at most STEPS_MAX */
    top->ending = matched & w->ends[depth];
    uint32_t live = matched & ~top->ending;
    if (live) top->live = is_object ? live & ~w->indexes[depth] : live & w->indexes[depth];
  }
  w->depth = depth + 1;
  return true;
}

/* A key and its colon: p is where the key must begin. Answers where the value's space begins. */
static inline const char *scan_key(walk *w, const char *p, uint32_t *matched) {
  if (p == w->end) return fail_partial(w);
  if (*p != '"') {
    return fail_syntax(w, p,
                       *p == '}' ? "the comma before this brace is one too many"
                                 : "a key in double quotes was expected");
  }
  const char *key = p + 1;
  p = scan_string(w, key);
  if (!p) return NULL;
  *matched = match_key(w, key, (size_t)(p - 1 - key));
  if (p < w->end && *p != ':') p = skip_space(w, p);
  if (p == w->end) return fail_partial(w);
  if (*p != ':') return fail_syntax(w, p, "a colon was expected after the key");
  return p + 1;
}

/* The way from behind a value to the next one: commas, closing brackets, keys. Answers where the next value's
 * space begins, or the document's end with depth 0. */
static inline const char *next_place(walk *w, const char *p, uint32_t *matched) {
  while (w->depth > 0) {
    frame *top = &w->frames[w->depth - 1];
    p = skip_space(w, p);
    if (p == w->end) return fail_partial(w);
    if (*p == ',') {
      p++;
      if (top->close == '}') return scan_key(w, skip_space(w, p), matched);
      top->index++;
      *matched = top->live ? match_index(w) : 0;
      return p;
    }
    if (*p != top->close) {
      return fail_syntax(w, p,
                         top->close == '}' ? "a comma or } was expected after the member"
                                           : "a comma or ] was expected after the element");
    }
    p++;
    if (top->ending) capture(w, top->ending, top->start, p);
    w->depth--;
  }
  return p;
}

/* ---- The walk ---- */

/* Walks one value and answers its end. */
static const char *walk_value(walk *w, uint32_t matched) {
  const char *p = w->begin;
  do {
    p = skip_space(w, p);
    if (p == w->end) return fail_partial(w);
    if (*p == '{' || *p == '[') {
      if (!open_container(w, p, matched)) return NULL;
      p = skip_space(w, p + 1);
      if (p == w->end) return fail_partial(w);
      const frame *top = &w->frames[w->depth - 1];
      if (*p != top->close) {
        if (top->close == '}') {
          p = scan_key(w, p, &matched);
        } else {
          matched = top->live ? match_index(w) : 0;
        }
        continue;
      }
    } else {
      const char *start = p;
      p = scan_scalar(w, p);
      if (!p) return NULL;
      if (matched) capture(w, matched & w->ends[w->depth], start, p);
    }
    p = next_place(w, p, &matched);
  } while (p && w->depth > 0);
  return p;
}

/* Behind the value only space may follow; line ends there are outside the value and are not its facts. */
static const char *walk_document(walk *w, uint32_t matched) {
  const char *end = walk_value(w, matched);
  if (!end) return NULL;
  bool has_line_break = w->has_line_break;
  const char *rest = skip_space(w, end);
  w->has_line_break = has_line_break;
  if (rest != w->end)
    return fail_syntax(w, rest, "something follows the end of the value; one document only");
  return end;
}

static int32_t refuse_paths(sheaf_parse_error *error) {
  if (error) {
    *error =
        (sheaf_parse_error){.status = SHEAF_E_MISUSE,
                            .message = "at most 32 paths such as a.b[0].c, each of 1 to 8 steps"};
  }
  return SHEAF_E_MISUSE;
}

static void tell_error(const walk *w, sheaf_parse_error *error) {
  size_t offset = (size_t)(w->failed_at - w->begin);
  *error = (sheaf_parse_error){.status = w->status,
                               .column = offset < UINT32_MAX ? (uint32_t)offset + 1 : UINT32_MAX,
                               .offset = offset,
                               .message = w->message};
}

int32_t sheaf_json_pick(sheaf_slice text, const char *const *paths, uint32_t count,
                        sheaf_slice *values, sheaf_json_facts *facts, sheaf_parse_error *error) {
  walk w; /* 8 KB, of which only what the document and the paths reach is touched */
  if (count > SHEAF_JSON_PICK_MAX) return refuse_paths(error);
  memset(w.ends, 0, sizeof w.ends);
  memset(w.indexes, 0, sizeof w.indexes);
  for (uint32_t i = 0; i < count; i++) {
    if (!read_path(&w, i, paths[i])) return refuse_paths(error);
  }
  w.begin = text.bytes ? text.data : "";
  w.end = w.begin + text.bytes;
  w.failed_at = w.end;
  w.message = NULL;
  w.status = SHEAF_OK;
  w.depth = 0;
  w.has_line_break = false;
  w.has_invalid_utf8 = false;
  w.values = values;
  uint32_t all = count == 32 ? UINT32_MAX : (1u << count) - 1;
  forget(&w, all);
  const char *end = walk_document(&w, all);
  if (facts) {
    facts->has_line_break = w.has_line_break;
    facts->has_invalid_utf8 = w.has_invalid_utf8;
    facts->bytes_used = (size_t)((end ? end : w.failed_at) - w.begin);
  }
  if (end) return SHEAF_OK;
  forget(&w, all); /* nothing of a document that is not one */
  if (error) tell_error(&w, error);
  return w.status;
}

int32_t sheaf_json_check(sheaf_slice text, sheaf_parse_error *error) {
  return sheaf_json_pick(text, NULL, 0, NULL, NULL, error);
}
