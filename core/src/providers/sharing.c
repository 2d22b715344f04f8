/* sharing.c: what a final body may share with others, one body for several.
 *
 * Outline: values; the cursor; inputs and messages; the members of a body; the key; edits; the one
 * body. Replies: sharing_reply.c. What is read here decides about other people's requests, so doubt
 * means alone: an unknown member, one that stands twice, a key with escapes (it may name what a
 * rule would have refused). */
#include "providers/sharing.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/swar.h"
#include "providers/decoding.h"
#include "providers/messages.h"

#define ONCE_FROM SHEAF__MEMBER_LIST
#define INSIDE_TO SHEAF__MEMBER_NEST

/* ---- Values ---- */

static bool is_null(sheaf_slice value) {
  return sheaf_json_kind(value) == SHEAF_JSON_NULL;
}

/* [] or {}, with or without space in it. */
static bool is_empty(sheaf_slice container) {
  for (size_t i = 1; i + 1 < container.bytes; i++) {
    if ((unsigned char)container.data[i] > ' ') return false;
  }
  return true;
}

static bool is_off(sheaf_slice value) {
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_NULL: return true;
    case SHEAF_JSON_BOOL: return !sheaf_json_true(value);
    case SHEAF_JSON_ARRAY: return is_empty(value);
    default: return false;
  }
}

/* 0, -0, 0.0, 0e5: no digit before the exponent but 0. */
static bool is_zero(sheaf_slice value) {
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return false;
  for (size_t i = 0; i < value.bytes; i++) {
    char c = value.data[i];
    if (c == 'e' || c == 'E') return i > 0;
    if (c != '0' && c != '.' && c != '-') return false;
  }
  return true;
}

/* Plain text by name: what every provider does anyway. */
static bool is_free_format(sheaf_slice value) {
  sheaf_json_iter iter;
  sheaf_slice key, type;
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_NULL: return true;
    case SHEAF_JSON_STRING: return value.bytes == 2 || sheaf_json_equals(value, "text/plain");
    case SHEAF_JSON_OBJECT: break;
    default: return false;
  }
  if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return false;
  if (sheaf_json_iter_next(&iter, &key, &type) != SHEAF_OK) return false;
  if (!sheaf__is(key, "type") || !sheaf_json_equals(type, "text")) return false;
  return sheaf_json_iter_next(&iter, &key, &type) != SHEAF_OK;
}

/* ---- The cursor ---- */

static void skip_space(sheaf__cursor *c) {
  while (c->at < c->end && ((unsigned char)*c->at <= ' ' || *c->at == ',')) c->at++;
}

bool sheaf__cursor_enter(sheaf__cursor *c, char bracket) {
  skip_space(c);
  if (c->at == c->end || *c->at != bracket) return false;
  c->at++;
  return true;
}

bool sheaf__cursor_more(sheaf__cursor *c, char bracket) {
  skip_space(c);
  if (c->at == c->end) return false;
  if (*c->at != bracket) return true;
  c->at++;
  return false;
}

/* p is behind the opening quote; the answer is the closing one, or the end. */
static inline const char *find_quote(const char *p, const char *end) {
  for (;;) {
    while (end - p >= 8) {
      uint64_t mask = sheaf__string_ends(sheaf__load8(p));
      if (mask) {
        p += sheaf__first_byte(mask);
        break;
      }
      p += 8;
    }
    while (p < end && *p != '"' && *p != '\\') p++;
    if (end - p < 2 || *p == '"') return p;
    p += 2;
  }
}

sheaf_slice sheaf__cursor_value(sheaf__cursor *c) {
  const char *start = c->at;
  if (start < c->end && *start == '"') {
    const char *quote = find_quote(start + 1, c->end);
    c->at = quote < c->end ? quote + 1 : c->end;
    return (sheaf_slice){start, (size_t)(c->at - start)};
  }
  sheaf_json_iter iter = {.at = start, .end = c->end, .is_object = false};
  sheaf_slice key, value = {NULL, 0};
  if (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    c->at = iter.at;
  } else {
    c->at = c->end; /* a bracket that closes nothing */
  }
  return value;
}

sheaf_slice sheaf__cursor_key(sheaf__cursor *c) {
  sheaf_slice key = sheaf_json_inside(sheaf__cursor_value(c));
  while (c->at < c->end && ((unsigned char)*c->at <= ' ' || *c->at == ':')) c->at++;
  return key;
}

/* ---- Inputs and messages ---- */

/* A token: digits and nothing else. */
static bool is_token(sheaf_slice value) {
  for (size_t i = 0; i < value.bytes; i++) {
    if (value.data[i] < '0' || value.data[i] > '9') return false;
  }
  return value.bytes > 0;
}

/* The tokens of one input, the cursor being behind their bracket. */
static bool take_tokens(sheaf__cursor *c) {
  uint32_t count = 0;
  while (sheaf__cursor_more(c, ']')) {
    if (!is_token(sheaf__cursor_value(c))) return false;
    count = 1;
  }
  return count > 0;
}

/* Empty inputs are refused by the providers, which would take the others along. */
static bool take_input(const sheaf__share_rules *rules, sheaf__outline *o, sheaf__cursor *c) {
  if (c->at == c->end) return false;
  bool is_tokens = *c->at == '[';
  if (o->inputs > 0 && is_tokens != o->is_tokens) return false;
  if (o->inputs == UINT32_MAX || (is_tokens && !rules->has_tokens)) return false;
  o->is_tokens = is_tokens;
  o->inputs++;
  if (is_tokens) return sheaf__cursor_enter(c, '[') && take_tokens(c);
  sheaf_slice text = sheaf__cursor_value(c);
  return sheaf_json_kind(text) == SHEAF_JSON_STRING && text.bytes > 2;
}

/* A string, strings, the tokens of one input, or arrays of tokens. */
static bool take_inputs(const sheaf__share_rules *rules, sheaf__outline *o, sheaf__cursor *c) {
  const char *start = c->at;
  o->inputs = 0;
  if (!sheaf__cursor_enter(c, '[')) {
    if (!take_input(rules, o, c)) return false;
  } else {
    bool is_more = sheaf__cursor_more(c, ']');
    if (!is_more) return false;
    if (is_token((sheaf_slice){c->at, 1})) {
      o->inputs = 1;
      o->is_tokens = true;
      if (!rules->has_tokens || !take_tokens(c)) return false;
    } else {
      o->is_list = true;
      for (; is_more; is_more = sheaf__cursor_more(c, ']')) {
        if (!take_input(rules, o, c)) return false;
      }
    }
  }
  o->own = (sheaf_slice){start, (size_t)(c->at - start)};
  return rules->inputs_max == 0 || o->inputs <= rules->inputs_max;
}

static bool take_message(sheaf__cursor *c, sheaf_slice *role, sheaf_slice *content) {
  *role = *content = (sheaf_slice){NULL, 0};
  if (!sheaf__cursor_enter(c, '{')) return false;
  while (sheaf__cursor_more(c, '}')) {
    sheaf_slice key = sheaf__cursor_key(c);
    sheaf_slice *wanted = sheaf__is(key, "role")      ? role
                          : sheaf__is(key, "content") ? content
                                                      : NULL;
    if (!wanted || wanted->bytes > 0) return false;
    *wanted = sheaf__cursor_value(c);
  }
  return sheaf_json_kind(*role) == SHEAF_JSON_STRING &&
         sheaf_json_kind(*content) == SHEAF_JSON_STRING;
}

bool sheaf__share_chat(sheaf__outline *o, sheaf__cursor *c, const char *const *roles,
                       size_t role_count) {
  sheaf_slice role, content;
  if (!sheaf__cursor_enter(c, '[') || !take_message(c, &role, &content)) return false;
  for (size_t i = 0; i < role_count; i++) {
    if (!sheaf_json_equals(role, roles[i])) continue;
    o->system = sheaf_json_inside(content);
    if (!take_message(c, &role, &content)) return false;
    break;
  }
  if (!sheaf_json_equals(role, "user")) return false;
  o->own = sheaf_json_inside(content);
  return !sheaf__cursor_more(c, ']');
}

/* ---- The members of a body ---- */

static uint32_t find_role(const sheaf__member_rule *rules, size_t count, sheaf_slice key,
                          uint32_t unknown) {
  for (size_t i = 0; i < count; i++) {
    if (rules[i].bytes != key.bytes || rules[i].name[0] != key.data[0]) continue;
    if (memcmp(rules[i].name, key.data, key.bytes) == 0) return rules[i].role;
  }
  return unknown;
}

/* A cap of 0 asks for no answer, and one below 0 is either none or a mistake. */
static bool read_cap(const sheaf__share_rules *rules, sheaf__outline *o, sheaf_slice value) {
  int64_t cap = 0;
  if (is_null(value)) return true;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return false;
  if (sheaf_json_int(value, &cap) != SHEAF_OK) return false;
  if (cap < 0) return rules->below_zero_caps;
  o->output_cap = cap;
  return cap > 0;
}

static bool take_object(const sheaf__share_rules *rules, sheaf__outline *o, sheaf__cursor *c,
                        bool is_nested);

/* Members whose inside is looked at: false where it is not what may share, wherever the cursor
 * stands then. */
static bool take_inside(const sheaf__share_rules *rules, sheaf__outline *o, uint32_t role,
                        sheaf__cursor *c) {
  switch (role) {
    case SHEAF__MEMBER_LIST: return take_inputs(rules, o, c);
    case SHEAF__MEMBER_CHAT: return rules->read_chat && rules->read_chat(o, c);
    case SHEAF__MEMBER_SYSTEM: return rules->read_system && rules->read_system(o, c);
    default: return take_object(rules, o, c, true);
  }
}

/* Whether the body may share as far as this value goes. */
static bool allows(const sheaf__share_rules *rules, sheaf__outline *o, uint32_t role,
                   sheaf_slice value) {
  switch (role) {
    case SHEAF__MEMBER_OFF: return is_off(value);
    case SHEAF__MEMBER_ONE: {
      int64_t number = 0;
      return is_null(value) || (sheaf_json_int(value, &number) == SHEAF_OK && number == 1);
    }
    case SHEAF__MEMBER_NEVER: return is_null(value);
    case SHEAF__MEMBER_CAP: return rules->share != SHEAF_SHARE_PROMPTS || read_cap(rules, o, value);
    case SHEAF__MEMBER_TEMPERATURE: o->deterministic = is_zero(value); return true;
    case SHEAF__MEMBER_FORMAT: return is_free_format(value);
    case SHEAF__MEMBER_STREAM:
      return sheaf_json_kind(value) == SHEAF_JSON_BOOL && !sheaf_json_true(value);
    default: return true;
  }
}

/* Of two temperatures one counts, and which is the server's choice. */
static void note_once(sheaf__outline *o, uint32_t role) {
  if (o->seen & 1u << role) {
    o->is_twice = true;
    if (role == SHEAF__MEMBER_TEMPERATURE || role == SHEAF__MEMBER_NEST) o->is_odd = true;
  }
  o->seen |= 1u << role;
}

static bool take_member(const sheaf__share_rules *rules, sheaf__outline *o, uint32_t role,
                        sheaf__cursor *c) {
  const char *start = c->at;
  bool may_share = true;
  if (start == c->end) return false; /* a key and nothing behind it */
  if (role >= ONCE_FROM) note_once(o, role);
  if (role >= ONCE_FROM && role <= INSIDE_TO) {
    may_share = take_inside(rules, o, role, c);
    if (may_share) {
      o->values[role] = (sheaf_slice){start, (size_t)(c->at - start)};
      return true;
    }
    c->at = start;
  }
  sheaf_slice value = sheaf__cursor_value(c);
  o->values[role] = value;
  return may_share && allows(rules, o, role, value);
}

static bool take_object(const sheaf__share_rules *rules, sheaf__outline *o, sheaf__cursor *c,
                        bool is_nested) {
  const sheaf__member_rule *table = is_nested ? rules->nested : rules->members;
  size_t count = is_nested ? rules->nested_count : rules->member_count;
  uint32_t unknown = rules->open ? SHEAF__MEMBER_PLAIN : SHEAF__MEMBER_COUNT;
  bool may_share = true;
  if (!sheaf__cursor_enter(c, '{')) return false;
  while (sheaf__cursor_more(c, '}')) {
    sheaf_slice key = sheaf__cursor_key(c);
    uint32_t role = find_role(table, count, key, unknown);
    if (role == unknown) {
      if (key.bytes > 0 && memchr(key.data, '\\', key.bytes)) o->is_odd = true;
      if (role == SHEAF__MEMBER_COUNT) may_share = false;
      sheaf__cursor_value(c);
    } else if (!take_member(rules, o, role, c)) {
      may_share = false;
    }
  }
  /* A nested object is told from a broken one by its brace. */
  return is_nested ? may_share && c->at[-1] == '}' : may_share;
}

void sheaf__outline_read(const sheaf__share_rules *rules, sheaf_slice body, sheaf__outline *o) {
  while (body.bytes > 0 && (unsigned char)body.data[0] <= ' ') body = sheaf__slice_from(body, 1);
  sheaf__cursor cursor = {.at = body.data, .end = body.data + body.bytes};
  *o = (sheaf__outline){.output_cap = SHEAF_ABSENT, .body = body};
  bool may_share = body.bytes > 0 && take_object(rules, o, &cursor, false);
  if (o->is_odd) o->deterministic = false;
  if (rules->deterministic) o->deterministic = true;
  if (o->is_odd || o->is_twice || (o->seen & rules->needed) != rules->needed) may_share = false;
  if (may_share && o->own.bytes > 0) o->share = rules->share;
}

/* ---- The key ---- */

/* What differs between bodies of one key, in the order of its places. */
static uint32_t find_holes(const sheaf__outline *o, sheaf_slice holes[2]) {
  sheaf_slice cap = o->values[SHEAF__MEMBER_CAP];
  holes[0] = o->own;
  if (o->share != SHEAF_SHARE_PROMPTS || o->output_cap == SHEAF_ABSENT) return 1;
  holes[cap.data < o->own.data ? 1 : 0] = o->own;
  holes[cap.data < o->own.data ? 0 : 1] = cap;
  return 2;
}

/* The n-th run of bytes outside the holes. */
static sheaf_slice find_run(const sheaf__outline *o, const sheaf_slice *holes, uint32_t count,
                            uint32_t n) {
  const char *from = n == 0 ? o->body.data : holes[n - 1].data + holes[n - 1].bytes;
  const char *to = n == count ? o->body.data + o->body.bytes : holes[n].data;
  return (sheaf_slice){from, (size_t)(to - from)};
}

static uint64_t find_key(const sheaf__outline *o, uint32_t operation) {
  sheaf_slice holes[2];
  uint32_t count = find_holes(o, holes);
  uint64_t key = (uint64_t)operation << 8 | o->share << 1 | (o->is_tokens ? 1u : 0u);
  for (uint32_t n = 0; n <= count; n++) {
    sheaf_slice run = find_run(o, holes, count, n);
    key = sheaf__hash(run.data, run.bytes, key);
  }
  return key;
}

/* What one key promises, proved: a hash alone would let two tenants meet who worked at it. */
static bool agree(const sheaf__outline *a, const sheaf__outline *b) {
  sheaf_slice holes_a[2], holes_b[2];
  if (a->share != b->share || a->is_tokens != b->is_tokens) return false;
  uint32_t count = find_holes(a, holes_a);
  if (find_holes(b, holes_b) != count) return false;
  for (uint32_t n = 0; n <= count; n++) {
    sheaf_slice run = find_run(a, holes_a, count, n);
    if (!sheaf__slice_equal(run, find_run(b, holes_b, count, n))) return false;
  }
  return true;
}

void sheaf__share_traits(const sheaf__share_rules *rules, uint32_t operation, sheaf_slice body,
                         sheaf_traits *traits) {
  sheaf__outline o;
  sheaf_json_facts facts;
  sheaf__outline_read(rules, body, &o);
  *traits = (sheaf_traits){.struct_bytes = sizeof *traits,
                           .inputs = 1,
                           .output_cap = SHEAF_ABSENT,
                           .deterministic = o.deterministic};
  if (o.share == SHEAF_SHARE_NONE) return;
  /* The builders let a user's messages out as they are. */
  if (sheaf_json_pick(body, NULL, 0, NULL, &facts, NULL) != SHEAF_OK) return;
  if (facts.has_invalid_utf8) return;
  traits->share = o.share;
  traits->key = find_key(&o, operation);
  traits->own = o.own;
  traits->output_cap = o.output_cap;
  if (o.share != SHEAF_SHARE_INPUTS) return;
  traits->inputs = o.inputs;
  traits->inputs_max = rules->inputs_max;
  traits->tokens_max = rules->tokens_max;
}

/* ---- Edits ---- */

sheaf__edit *sheaf__edit_add(sheaf__edits *edits, const char *at, size_t removed) {
  SHEAF_ASSERT(edits->count < SHEAF__EDITS_MAX);
  sheaf__edit *edit = &edits->list[edits->count++];
  *edit = (sheaf__edit){.at = at, .removed = removed, .number = SHEAF_ABSENT};
  return edit;
}

void sheaf__edit_first(sheaf__edits *edits, sheaf_slice object, sheaf_slice text, int64_t number,
                       sheaf_slice behind) {
  sheaf__edit *edit = sheaf__edit_add(edits, object.data + 1, 0);
  edit->pieces[0] = text;
  edit->number = number;
  edit->pieces[1] = behind;
  if (!is_empty(object)) edit->pieces[2] = SHEAF_LITERAL(",");
}

/* By place; those of one place stay in the order in which they were added. */
static void sort_edits(sheaf__edits *edits) {
  for (uint32_t i = 1; i < edits->count; i++) {
    sheaf__edit edit = edits->list[i];
    uint32_t place = i;
    for (; place > 0 && edits->list[place - 1].at > edit.at; place--) {
      edits->list[place] = edits->list[place - 1];
    }
    edits->list[place] = edit;
  }
}

int32_t sheaf__share_write(const sheaf__outline *first, sheaf__edits *edits, sheaf_buf *body) {
  const char *at = first->body.data, *end = at + first->body.bytes;
  sort_edits(edits);
  for (uint32_t i = 0; i < edits->count; i++) {
    const sheaf__edit *edit = &edits->list[i];
    SHEAF_ASSERT(edit->at >= at && edit->at + edit->removed <= end);
    sheaf_buf_append(body, at, (size_t)(edit->at - at));
    sheaf_buf_append_slice(body, edit->pieces[0]);
    if (edit->number != SHEAF_ABSENT) sheaf_buf_append_i64(body, edit->number);
    sheaf_buf_append_slice(body, edit->pieces[1]);
    sheaf_buf_append_slice(body, edit->pieces[2]);
    at = edit->at + edit->removed;
  }
  return sheaf_buf_append(body, at, (size_t)(end - at));
}

/* ---- The one body ---- */

int32_t sheaf__share_agree(const sheaf__share_rules *rules, const sheaf_shared *shared,
                           sheaf__outline *first) {
  sheaf__outline o;
  if (shared->count == 0) return SHEAF_E_FIELD;
  sheaf__outline_read(rules, shared->bodies[0], first);
  if (first->share != shared->share || first->share == SHEAF_SHARE_NONE) return SHEAF_E_FIELD;
  for (uint32_t i = 1; i < shared->count; i++) {
    sheaf__outline_read(rules, shared->bodies[i], &o);
    if (!agree(first, &o)) return SHEAF_E_FIELD;
  }
  return SHEAF_OK;
}

/* A member's inputs as elements of a list. */
static sheaf_slice find_elements(const sheaf__outline *o) {
  return o->is_list ? (sheaf_slice){o->own.data + 1, o->own.bytes - 2} : o->own;
}

int32_t sheaf__share_inputs(const sheaf__share_rules *rules, const sheaf_shared *shared,
                            sheaf_buf *body) {
  sheaf__outline first, o;
  int32_t status = sheaf__share_agree(rules, shared, &first);
  if (status != SHEAF_OK) return status;
  size_t bytes = first.body.bytes + 2;
  for (uint32_t i = 1; i < shared->count; i++) bytes += shared->traits[i].own.bytes + 1;
  sheaf_buf_reserve(body, bytes);
  sheaf_slice run = find_run(&first, &first.own, 1, 0);
  sheaf_buf_append_slice(body, run);
  SHEAF__PUT(body, "[");
  for (uint32_t i = 0; i < shared->count; i++) {
    sheaf__outline_read(rules, shared->bodies[i], &o);
    if (i > 0) SHEAF__PUT(body, ",");
    sheaf_buf_append_slice(body, find_elements(&o));
  }
  SHEAF__PUT(body, "]");
  return sheaf_buf_append_slice(body, find_run(&first, &first.own, 1, 1));
}

void sheaf__share_prompts(const sheaf__outline *first, const sheaf_shared *shared,
                          sheaf__edits *edits) {
  sheaf_slice cap = first->values[SHEAF__MEMBER_CAP];
  sheaf__edit_add(edits, first->own.data, first->own.bytes)->pieces[0] = shared->prompt;
  if (first->system.data) {
    sheaf__edit *edit = sheaf__edit_add(edits, first->system.data + first->system.bytes, 0);
    if (first->system.bytes > 0) edit->pieces[0] = SHEAF_LITERAL("\\n\\n");
    edit->pieces[1] = shared->instructions;
  }
  if (cap.bytes > 0 && shared->output_cap != SHEAF_ABSENT) {
    sheaf__edit_add(edits, cap.data, cap.bytes)->number = shared->output_cap;
  } else if (first->output_cap != SHEAF_ABSENT) {
    /* One member's cap would cut everybody's answers: none, in the words of all providers. */
    sheaf__edit_add(edits, cap.data, cap.bytes)->pieces[0] = SHEAF_LITERAL("null");
  }
}
