/* sim_pattern.c: regular expressions as JSON Schema has them: read into nodes, matched, and run the
 * other way, to write a text that matches.
 *
 *   read    literals, classes, \d \w \s and their opposites, the commonest of \p{...}, groups,
 *           alternation, quantifiers, ^ $ \b \B, lookahead; back references and lookbehind are read
 *           over, and then nobody knows what the expression matches
 *   match   backtracking, a chain of continuations on the stack, with an end to its patience
 *   write   from left to right; repetitions take the characters that are wanted beyond the least */
#include "sim_schema.h"

#include <string.h>

#define CODE_MAX 0x10ffffu
#define NO_END UINT32_MAX
#define READ_DEPTH_MAX 100u
#define REPEAT_MAX 100000u
#define LEAST_MAX 1000000u
#define TEXT_MAX 1024u        /* characters of a text that is matched; longer ones pass */
#define STEPS_MAX 200000u     /* of one match */
#define MATCH_DEPTH_MAX 2500u /* of the stack */
#define WRITE_MAX 1048576u    /* bytes of one text */

enum {
  NODE_EMPTY,
  NODE_SET,
  NODE_BOTH,   /* a, then b */
  NODE_EITHER, /* a or b */
  NODE_REPEAT, /* a, min to max times */
  NODE_START,
  NODE_END,
  NODE_WORD,     /* \b */
  NODE_NO_WORD,  /* \B */
  NODE_AHEAD,    /* a follows */
  NODE_NOT_AHEAD /* a does not */
};

/* ---- Reading: nodes and sets ---- */

typedef struct reader {
  sim_pattern *pattern;
  const char *at, *end;
  uint32_t depth;
  bool is_bad;
} reader;

static uint32_t add_node(reader *r, uint32_t kind, uint32_t a, uint32_t b, uint32_t least) {
  sim_pattern *p = r->pattern;
  if (p->node_count == SIM_PATTERN_NODES_MAX) {
    r->is_bad = true;
    return 0;
  }
  if (least > LEAST_MAX) least = LEAST_MAX;
  p->node[p->node_count] = (sim_pattern_node){.kind = kind, .a = a, .b = b, .least = least};
  return p->node_count++;
}

static void add_range(reader *r, uint32_t first, uint32_t last) {
  sim_pattern *p = r->pattern;
  if (p->range_count == SIM_PATTERN_RANGES_MAX) {
    r->is_bad = true;
    return;
  }
  p->range[p->range_count][0] = first;
  p->range[p->range_count++][1] = last;
}

/* Brings the ranges from `from` on into order and joins those that touch. */
static void tidy_ranges(reader *r, uint32_t from) {
  sim_pattern *p = r->pattern;
  for (uint32_t i = from + 1; i < p->range_count; i++)
    for (uint32_t n = i; n > from && p->range[n][0] < p->range[n - 1][0]; n--) {
      uint32_t swap[2] = {p->range[n][0], p->range[n][1]};
      memcpy(p->range[n], p->range[n - 1], sizeof swap);
      memcpy(p->range[n - 1], swap, sizeof swap);
    }
  uint32_t kept = from;
  for (uint32_t i = from + 1; i < p->range_count; i++) {
    if (p->range[i][0] <= p->range[kept][1] + 1) {
      if (p->range[i][1] > p->range[kept][1]) p->range[kept][1] = p->range[i][1];
    } else {
      memcpy(p->range[++kept], p->range[i], sizeof p->range[0]);
    }
  }
  if (p->range_count > from) p->range_count = kept + 1;
}

/* Turns the ranges from `from` on into all the others. */
static void turn_ranges(reader *r, uint32_t from) {
  sim_pattern *p = r->pattern;
  tidy_ranges(r, from);
  uint32_t count = p->range_count - from, next = 0, old[64][2];
  if (count > 64) {
    r->is_bad = true;
    return;
  }
  memcpy(old, p->range[from], count * sizeof old[0]);
  p->range_count = from;
  for (uint32_t i = 0; i < count; i++) {
    if (old[i][0] > next) add_range(r, next, old[i][0] - 1);
    next = old[i][1] + 1;
  }
  if (next <= CODE_MAX) add_range(r, next, CODE_MAX);
}

static uint32_t close_set(reader *r, uint32_t from) {
  tidy_ranges(r, from);
  return add_node(r, NODE_SET, from, r->pattern->range_count - from, 1);
}

/* d, w, s and D, W, S; false: another letter. */
static bool add_class(reader *r, char c) {
  uint32_t from = r->pattern->range_count;
  switch (c | 0x20) {
    case 'd': add_range(r, '0', '9'); break;
    case 'w':
      add_range(r, '0', '9');
      add_range(r, 'A', 'Z');
      add_range(r, '_', '_');
      add_range(r, 'a', 'z');
      break;
    case 's':
      add_range(r, 9, 13);
      add_range(r, ' ', ' ');
      add_range(r, 0xa0, 0xa0);
      add_range(r, 0x2028, 0x2029);
      add_range(r, 0x3000, 0x3000);
      add_range(r, 0xfeff, 0xfeff);
      break;
    default: return false;
  }
  if (!(c & 0x20)) turn_ranges(r, from);
  return true;
}

/* The ranges of a property in ASCII, as pairs of their ends; NULL: not known here. */
static const char *find_property(const char *name, size_t bytes) {
  static const struct {
    const char *names; /* between spaces */
    const char *pairs;
  } rows[] = {
      {" L Letter Alphabetic ", "AZaz"},
      {" Lu Uppercase_Letter Uppercase ", "AZ"},
      {" Ll Lowercase_Letter Lowercase ", "az"},
      {" N Nd Number Decimal_Number ", "09"},
      {" P Punctuation ", "!#%*,/:;?@[]__{{}}"},
      {" S Symbol ", "$$++<>^^``||~~"},
      {" Z Zs Separator Space_Separator White_Space ", "  "},
  };
  for (uint32_t i = 0; bytes && i < sizeof rows / sizeof *rows; i++)
    for (const char *at = rows[i].names; *at; at++)
      if (*at == ' ' && strncmp(at + 1, name, bytes) == 0 && at[1 + bytes] == ' ')
        return rows[i].pairs;
  return NULL;
}

/* \p{L} and the like, at the brace. Beyond ASCII, all is a letter but two blocks of signs: good
 * enough for the names that a schema may list, and what is written is ASCII. */
static void add_property(reader *r, bool is_turned) {
  uint32_t from = r->pattern->range_count;
  const char *name = r->at + 1;
  const char *close =
      r->at < r->end && *r->at == '{' ? memchr(r->at, '}', (size_t)(r->end - r->at)) : NULL;
  for (const char *c = name; close && c < close; c++)
    if (*c == '=') name = c + 1; /* General_Category=L */
  const char *pairs = close ? find_property(name, (size_t)(close - name)) : NULL;
  if (!pairs) {
    r->is_bad = true;
    return;
  }
  r->at = close + 1;
  bool is_letter = pairs[0] == 'A' && pairs[2] != 0;
  for (; *pairs; pairs += 2) add_range(r, (unsigned char)pairs[0], (unsigned char)pairs[1]);
  if (is_letter) {
    add_range(r, 0xc0, 0x1fff);
    add_range(r, 0x2c00, CODE_MAX);
  }
  if (is_turned) turn_ranges(r, from);
}

/* ---- Reading: characters ---- */

/* The next code point; bytes that are no UTF-8 stand for themselves. */
static uint32_t next_code(const char **at, const char *end) {
  const unsigned char *p = (const unsigned char *)*at;
  uint32_t code = *p;
  size_t bytes = code >= 0xf0 ? 4 : code >= 0xe0 ? 3 : code >= 0xc0 ? 2 : 1;
  if (bytes == 1 || (size_t)(end - *at) < bytes) {
    *at += 1;
    return code;
  }
  code &= 0xffu >> (bytes + 1);
  for (size_t i = 1; i < bytes; i++) code = code << 6 | (p[i] & 0x3fu);
  *at += bytes;
  return code;
}

static bool read_hex(reader *r, size_t digits, uint32_t *code) {
  uint32_t value = 0;
  if ((size_t)(r->end - r->at) < digits) return false;
  for (size_t i = 0; i < digits; i++) {
    char c = r->at[i];
    uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
    if (digit > 15) return false;
    value = value * 16 + digit;
  }
  r->at += digits;
  *code = value;
  return true;
}

/* \x41, \u0041, \u{1f600}; `kind` is x or u. Whatever does not fit that form is the letter. */
static uint32_t read_code_escape(reader *r, char kind) {
  uint32_t code = (unsigned char)kind;
  if (kind == 'u' && r->at < r->end && *r->at == '{') {
    const char *close = memchr(r->at, '}', (size_t)(r->end - r->at));
    size_t digits = close ? (size_t)(close - r->at) - 1 : 0;
    if (!close || digits == 0 || digits > 6) return code;
    r->at++;
    if (read_hex(r, digits, &code)) r->at++;
    return code;
  }
  (void)read_hex(r, kind == 'x' ? 2 : 4, &code);
  return code;
}

/* An escape that is one character, behind its backslash. */
static uint32_t read_escape(reader *r) {
  static const char letters[] = "tnvfr0", codes[] = "\t\n\v\f\r";
  char c = *r->at;
  const char *found = memchr(letters, c, sizeof letters - 1);
  if (found) {
    r->at++;
    return (unsigned char)codes[found - letters];
  }
  if (c == 'x' || c == 'u') {
    r->at++;
    return read_code_escape(r, c);
  }
  if (c == 'c' && r->end - r->at > 1) {
    r->at += 2;
    return (unsigned char)r->at[-1] & 31u;
  }
  return next_code(&r->at, r->end);
}

/* One end of a range in [...], or a class there: UINT32_MAX. */
static uint32_t read_set_item(reader *r) {
  if (*r->at != '\\') return next_code(&r->at, r->end);
  if (++r->at == r->end) {
    r->is_bad = true;
    return 0;
  }
  char c = *r->at;
  if (add_class(r, c)) {
    r->at++;
    return UINT32_MAX;
  }
  if (c == 'p' || c == 'P') {
    r->at++;
    add_property(r, c == 'P');
    return UINT32_MAX;
  }
  if (c == 'b') {
    r->at++;
    return '\b';
  }
  return read_escape(r);
}

/* [...], behind its bracket. */
static uint32_t read_set(reader *r) {
  uint32_t from = r->pattern->range_count;
  bool is_turned = r->at < r->end && *r->at == '^';
  if (is_turned) r->at++;
  while (r->at < r->end && *r->at != ']' && !r->is_bad) {
    uint32_t first = read_set_item(r), last = first;
    if (r->end - r->at > 1 && r->at[0] == '-' && r->at[1] != ']' && first != UINT32_MAX) {
      const char *dash = r->at++;
      last = read_set_item(r);
      if (last == UINT32_MAX || last < first) { /* [a-\d]: the dash is one */
        add_range(r, '-', '-');
        last = first;
        if (r->at == dash + 1) r->is_bad = true;
      }
    }
    if (first != UINT32_MAX) add_range(r, first, last);
  }
  if (r->at == r->end) {
    r->is_bad = true;
    return 0;
  }
  r->at++;
  if (is_turned) turn_ranges(r, from);
  return close_set(r, from);
}

/* ---- Reading: the grammar ---- */

static uint32_t read_either(reader *r);

static bool skip(reader *r, const char *text) {
  size_t bytes = strlen(text);
  if ((size_t)(r->end - r->at) < bytes || memcmp(r->at, text, bytes) != 0) return false;
  r->at += bytes;
  return true;
}

/* (...), behind its parenthesis. */
static uint32_t read_group(reader *r) {
  uint32_t kind = NODE_EMPTY;
  bool is_unknown = false;
  if (skip(r, "?=")) {
    kind = NODE_AHEAD;
  } else if (skip(r, "?!")) {
    kind = NODE_NOT_AHEAD;
  } else if (skip(r, "?<=") || skip(r, "?<!")) {
    is_unknown = true;
  } else if (skip(r, "?<") || skip(r, "?P<")) {
    while (r->at < r->end && *r->at != '>') r->at++;
    if (r->at < r->end) r->at++;
  } else if (!skip(r, "?:") && r->at < r->end && *r->at == '?') {
    r->is_bad = true;
  }
  uint32_t inside = read_either(r);
  if (!skip(r, ")")) r->is_bad = true;
  if (is_unknown) {
    r->pattern->is_inexact = true;
    return add_node(r, NODE_EMPTY, 0, 0, 0);
  }
  return kind == NODE_EMPTY ? inside : add_node(r, kind, inside, 0, 0);
}

/* Behind a backslash, outside of [...]. */
static uint32_t read_escaped(reader *r) {
  uint32_t from = r->pattern->range_count;
  if (r->at == r->end) {
    r->is_bad = true;
    return 0;
  }
  char c = *r->at;
  if (c == 'b' || c == 'B') {
    r->at++;
    return add_node(r, c == 'b' ? NODE_WORD : NODE_NO_WORD, 0, 0, 0);
  }
  if (c == 'A' || c == 'Z' || c == 'z') { /* not ECMAScript's, but met */
    r->at++;
    return add_node(r, c == 'A' ? NODE_START : NODE_END, 0, 0, 0);
  }
  if ((c >= '1' && c <= '9') || c == 'k') {
    r->at++;
    r->pattern->is_inexact = true;
    return add_node(r, NODE_EMPTY, 0, 0, 0);
  }
  if (c == 'p' || c == 'P') {
    r->at++;
    add_property(r, c == 'P');
  } else if (add_class(r, c)) {
    r->at++;
  } else {
    uint32_t code = read_escape(r);
    add_range(r, code, code);
  }
  return close_set(r, from);
}

static uint32_t read_atom(reader *r) {
  uint32_t from = r->pattern->range_count;
  if (skip(r, "(")) return read_group(r);
  if (skip(r, "[")) return read_set(r);
  if (skip(r, "\\")) return read_escaped(r);
  if (skip(r, "^")) return add_node(r, NODE_START, 0, 0, 0);
  if (skip(r, "$")) return add_node(r, NODE_END, 0, 0, 0);
  if (skip(r, ".")) {
    add_range(r, '\n', '\n');
    add_range(r, '\r', '\r');
    add_range(r, 0x2028, 0x2029);
    turn_ranges(r, from);
    return close_set(r, from);
  }
  uint32_t code = next_code(&r->at, r->end);
  add_range(r, code, code);
  return close_set(r, from);
}

static bool read_count(const char **at, const char *end, uint32_t *count) {
  const char *p = *at;
  uint32_t value = 0;
  while (p < end && *p >= '0' && *p <= '9') {
    if (value <= REPEAT_MAX) value = value * 10 + (uint32_t)(*p - '0');
    p++;
  }
  if (p == *at) return false;
  *at = p;
  *count = value;
  return true;
}

/* * + ? {2} {2,} {2,4}; a brace of another form is a character. False: there is none. */
static bool read_quantifier(reader *r, uint32_t *min, uint32_t *max) {
  const char *p = r->at;
  *min = 0;
  *max = NO_END;
  if (skip(r, "*")) return true;
  if (skip(r, "+")) {
    *min = 1;
    return true;
  }
  if (skip(r, "?")) {
    *max = 1;
    return true;
  }
  if (p == r->end || *p != '{') return false;
  p++;
  bool has_min = read_count(&p, r->end, min);
  if (!has_min && !(p < r->end && *p == ',')) return false;
  *max = *min;
  if (p < r->end && *p == ',') {
    p++;
    if (!read_count(&p, r->end, max)) *max = NO_END;
    if (!has_min && *max == NO_END) return false;
  }
  if (p == r->end || *p != '}') return false;
  if (*min > REPEAT_MAX || *min > *max) r->is_bad = true;
  r->at = p + 1;
  return true;
}

static uint32_t read_repeat(reader *r) {
  uint32_t node = read_atom(r), min, max;
  while (!r->is_bad && r->at < r->end && read_quantifier(r, &min, &max)) {
    if (!skip(r, "?")) (void)skip(r, "+"); /* lazy and possessive ones match the same texts */
    uint32_t least = r->pattern->node[node].least;
    least = min && least > LEAST_MAX / min ? LEAST_MAX : least * min;
    node = add_node(r, NODE_REPEAT, node, 0, least);
    r->pattern->node[node].min = min;
    r->pattern->node[node].max = max;
  }
  return node;
}

static uint32_t read_both(reader *r) {
  uint32_t node = UINT32_MAX;
  while (!r->is_bad && r->at < r->end && *r->at != '|' && *r->at != ')') {
    uint32_t next = read_repeat(r);
    const sim_pattern_node *all = r->pattern->node;
    node = node == UINT32_MAX
               ? next
               : add_node(r, NODE_BOTH, node, next, all[node].least + all[next].least);
  }
  return node == UINT32_MAX ? add_node(r, NODE_EMPTY, 0, 0, 0) : node;
}

static uint32_t read_either(reader *r) {
  if (++r->depth > READ_DEPTH_MAX) r->is_bad = true;
  uint32_t node = read_both(r);
  while (!r->is_bad && skip(r, "|")) {
    uint32_t other = read_both(r);
    const sim_pattern_node *all = r->pattern->node;
    uint32_t least = all[node].least < all[other].least ? all[node].least : all[other].least;
    node = add_node(r, NODE_EITHER, node, other, least);
  }
  r->depth--;
  return node;
}

bool sheaf__sim_pattern_read(sim_pattern *pattern, sheaf_slice text) {
  reader r = {.pattern = pattern, .at = text.data, .end = text.data + text.bytes};
  pattern->node_count = pattern->range_count = 0;
  pattern->is_inexact = false;
  pattern->root = read_either(&r);
  return !r.is_bad && r.at == r.end;
}

/* ---- Matching ---- */

/* What is left to match behind a node: a chain that ends with NULL. */
typedef struct rest {
  const struct rest *next;
  uint32_t node;
  uint32_t done; /* of a repetition: how often it was matched */
  uint32_t from; /* and where that began: an empty round is not repeated */
  bool is_repeat;
} rest;

typedef struct matcher {
  const sim_pattern *pattern;
  uint32_t code[TEXT_MAX];
  uint32_t count;
  uint32_t steps, depth;
  bool is_tired;
} matcher;

static bool match(matcher *m, uint32_t node, uint32_t at, const rest *next);

static bool is_in_set(const matcher *m, const sim_pattern_node *set, uint32_t code) {
  for (uint32_t i = 0; i < set->b; i++) {
    const uint32_t *range = m->pattern->range[set->a + i];
    if (code >= range[0] && code <= range[1]) return true;
  }
  return false;
}

static bool is_word_at(const matcher *m, uint32_t at) {
  uint32_t c = at < m->count ? m->code[at] : 0;
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_edge(const matcher *m, uint32_t at) {
  return is_word_at(m, at) != (at > 0 && is_word_at(m, at - 1));
}

static bool match_repeat(matcher *m, uint32_t node, uint32_t done, uint32_t at, const rest *next);

static bool match_rest(matcher *m, uint32_t at, const rest *next) {
  if (!next) return true;
  if (!next->is_repeat) return match(m, next->node, at, next->next);
  uint32_t done = next->done;
  if (at == next->from && done >= m->pattern->node[next->node].min)
    return match_rest(m, at, next->next);
  return match_repeat(m, next->node, done, at, next->next);
}

static bool match_repeat(matcher *m, uint32_t node, uint32_t done, uint32_t at, const rest *next) {
  const sim_pattern_node *n = &m->pattern->node[node];
  if (done < n->max) {
    rest again = {.next = next, .node = node, .done = done + 1, .from = at, .is_repeat = true};
    if (match(m, n->a, at, &again)) return true;
  }
  return done >= n->min && match_rest(m, at, next);
}

static bool match_node(matcher *m, uint32_t node, uint32_t at, const rest *next) {
  const sim_pattern_node *n = &m->pattern->node[node];
  switch (n->kind) {
    case NODE_SET:
      return at < m->count && is_in_set(m, n, m->code[at]) && match_rest(m, at + 1, next);
    case NODE_BOTH: {
      rest second = {.next = next, .node = n->b};
      return match(m, n->a, at, &second);
    }
    case NODE_EITHER: return match(m, n->a, at, next) || match(m, n->b, at, next);
    case NODE_REPEAT: return match_repeat(m, node, 0, at, next);
    case NODE_START: return at == 0 && match_rest(m, at, next);
    case NODE_END: return at == m->count && match_rest(m, at, next);
    case NODE_WORD: return is_edge(m, at) && match_rest(m, at, next);
    case NODE_NO_WORD: return !is_edge(m, at) && match_rest(m, at, next);
    case NODE_AHEAD: return match(m, n->a, at, NULL) && match_rest(m, at, next);
    case NODE_NOT_AHEAD: return !match(m, n->a, at, NULL) && match_rest(m, at, next);
    default: return match_rest(m, at, next);
  }
}

/* Patience is kept here, because every step comes by. */
static bool match(matcher *m, uint32_t node, uint32_t at, const rest *next) {
  if (m->is_tired || ++m->steps > STEPS_MAX || m->depth > MATCH_DEPTH_MAX) {
    m->is_tired = true;
    return true;
  }
  m->depth++;
  bool is_match = match_node(m, node, at, next);
  m->depth--;
  return is_match;
}

bool sheaf__sim_pattern_match(const sim_pattern *pattern, sheaf_slice text) {
  matcher m = {.pattern = pattern};
  if (pattern->is_inexact) return true;
  for (const char *at = text.data, *end = at + text.bytes; at < end;) {
    if (m.count == TEXT_MAX) return true;
    m.code[m.count++] = next_code(&at, end);
  }
  for (uint32_t from = 0; from <= m.count; from++)
    if (match(&m, pattern->root, from, NULL)) return true;
  return false;
}

/* ---- Writing ---- */

typedef struct writer {
  const sim_pattern *pattern;
  uint64_t key, draws;
  uint64_t more;
  sheaf_buf *out;
} writer;

static uint64_t draw(writer *w, uint64_t below) {
  return sheaf__sim_draw(w->key, w->draws++, below);
}

static void write_code(sheaf_buf *out, uint32_t code) {
  char text[4];
  size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
  if (code >= 0xd800 && code < 0xe000) code = 0xfffd; /* half a pair is no character */
  for (size_t i = bytes - 1; i > 0; i--, code >>= 6) text[i] = (char)(0x80 | (code & 0x3f));
  text[0] = (char)(heads[bytes] | code);
  sheaf_buf_append(out, text, bytes);
}

/* How many code points of the set lie within the bounds; the n-th of them goes to *code. */
static uint64_t count_within(const writer *w, const sim_pattern_node *set, uint32_t low,
                             uint32_t high, uint64_t n, uint32_t *code) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < set->b; i++) {
    uint32_t first = w->pattern->range[set->a + i][0], last = w->pattern->range[set->a + i][1];
    if (first < low) first = low;
    if (last > high) last = high;
    if (first > last) continue;
    if (n >= count && n - count <= last - first) *code = first + (uint32_t)(n - count);
    count += (uint64_t)(last - first) + 1;
  }
  return count;
}

/* Small letters and digits where the set has them, else visible ASCII, else anything. A set that
 * spans most of ASCII is one that says what it does not want. */
static void write_set(writer *w, const sim_pattern_node *set) {
  static const uint32_t bounds[][2] = {{'a', 'z'}, {'!', '~'}, {' ', '~'}, {0, CODE_MAX}};
  uint32_t code = 0, i = 0;
  uint64_t visible = count_within(w, set, '!', '~', 0, &code);
  uint64_t letters = count_within(w, set, 'a', 'z', 0, &code);
  if (letters == 0 || visible < 70) i = 1;
  while (i < 3 && count_within(w, set, bounds[i][0], bounds[i][1], 0, &code) == 0) i++;
  uint64_t count = count_within(w, set, bounds[i][0], bounds[i][1], 0, &code);
  if (count == 0) return;
  (void)count_within(w, set, bounds[i][0], bounds[i][1], draw(w, count), &code);
  write_code(w->out, code);
}

static uint32_t rounds(writer *w, const sim_pattern_node *n) {
  uint32_t unit = w->pattern->node[n->a].least;
  uint64_t room = n->max == NO_END ? UINT32_MAX - n->min : n->max - n->min;
  if (unit == 0) unit = 1;
  if (w->more == 0 || room == 0) return n->min;
  uint64_t some = w->more / unit;
  /* Now and then it leaves some for those that follow. */
  if (some > 1 && draw(w, 3) == 0) some = 1 + draw(w, some);
  if (some > room) some = room;
  w->more -= some * unit;
  return n->min + (uint32_t)some;
}

static void write_node(writer *w, uint32_t node) {
  const sim_pattern_node *n = &w->pattern->node[node];
  if (w->out->bytes > WRITE_MAX) return;
  if (n->kind == NODE_SET) {
    write_set(w, n);
  } else if (n->kind == NODE_BOTH) {
    write_node(w, n->a);
    write_node(w, n->b);
  } else if (n->kind == NODE_EITHER) {
    uint32_t count = 2, at = node;
    for (uint32_t i = n->a; w->pattern->node[i].kind == NODE_EITHER; i = w->pattern->node[i].a)
      count++;
    /* a|b|c is either(either(a, b), c): the last one is on top. */
    for (uint64_t left = draw(w, count); left > 0 && w->pattern->node[at].kind == NODE_EITHER;
         left--) {
      at = w->pattern->node[at].a;
      count--;
    }
    write_node(w, count > 1 ? w->pattern->node[at].b : at);
  } else if (n->kind == NODE_REPEAT) {
    for (uint32_t left = rounds(w, n); left > 0 && w->out->bytes <= WRITE_MAX; left--)
      write_node(w, n->a);
  }
}

void sheaf__sim_pattern_write(const sim_pattern *pattern, uint64_t key, uint64_t more,
                              sheaf_buf *out) {
  writer w = {.pattern = pattern, .key = key, .more = more, .out = out};
  write_node(&w, pattern->root);
}
