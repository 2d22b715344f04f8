/* sharing.c: what a final body may share with others, and one body for several.
 *
 * Outline: values; the cursor; inputs and messages; the members of a body; traits and keys; what is
 * added; the one body. Replies: sharing_reply.c. What is read here decides about other people's
 * requests, so doubt means alone: an unknown member, one that stands twice, a key with escapes (it
 * may name what a rule would have refused). */
#include "providers/sharing.h"

#include "base/mem.h"
#include "base/random.h"
#include "providers/decoding.h"
#include "providers/messages.h"

/* A body as its rules see it. */
typedef struct outline {
  const sheaf__share_rules *rules;
  uint32_t share;
  uint32_t inputs;
  uint32_t seen;  /* 1 << role of the members that are there */
  bool is_list;   /* INPUTS: several inputs, or one in an array of its own */
  bool is_tokens; /* INPUTS: as tokens */
  bool is_twice;  /* a member that may stand once stands twice */
  bool is_odd;    /* what the last of two members says, or one under another spelling, may count */
  bool deterministic;
  int64_t output_cap;
  sheaf_slice body;                        /* from its brace */
  sheaf_slice own;                         /* as in sheaf_traits */
  sheaf_slice system;                      /* inside of a JSON string; data NULL: there is none */
  sheaf_slice values[SHEAF__MEMBER_COUNT]; /* of the roles that stand once at most */
} outline;

/* ---- Values ---- */

static bool is_null(sheaf_slice value) {
  return sheaf_json_kind(value) == SHEAF_JSON_NULL;
}

static bool is_false(sheaf_slice value) {
  return sheaf_json_kind(value) == SHEAF_JSON_BOOL && !sheaf_json_true(value);
}

/* Whether nothing but space stands between p and the closing bracket. */
static bool is_closing(const char *p, const char *end) {
  while (p < end && (unsigned char)*p <= ' ') p++;
  return p < end && (*p == '}' || *p == ']');
}

static bool is_off(sheaf_slice value) {
  if (sheaf_json_kind(value) == SHEAF_JSON_ARRAY)
    return is_closing(value.data + 1, value.data + value.bytes);
  return is_null(value) || is_false(value);
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

/* ---- The cursor: a place in a document, moved over every byte once. Of bytes that are no JSON it
 * makes nonsense, but always moves on and never past the end. ---- */

typedef sheaf_json_iter cursor; /* of an array, whatever it is in */

static void skip_space(cursor *c, char also) {
  while (c->at < c->end && ((unsigned char)*c->at <= ' ' || *c->at == also)) c->at++;
}

/* Steps behind a bracket if it comes next. */
static bool take_bracket(cursor *c, char bracket) {
  skip_space(c, ',');
  if (c->at == c->end || *c->at != bracket) return false;
  c->at++;
  return true;
}

/* Whether another element or member comes; steps behind the closing bracket if not. */
static bool has_more(cursor *c, char bracket) {
  return !take_bracket(c, bracket) && c->at < c->end;
}

/* The next value whole. */
static sheaf_slice take_value(cursor *c) {
  sheaf_slice key, value = {NULL, 0};
  if (sheaf_json_iter_next(c, &key, &value) != SHEAF_OK) c->at = c->end;
  return value;
}

/* The inside of a key, up to its value. */
static sheaf_slice take_key(cursor *c) {
  sheaf_slice key = sheaf_json_inside(take_value(c));
  skip_space(c, ':');
  return key;
}

/* ---- Inputs and messages ---- */

/* A token, or several in an array of their own. */
static bool are_tokens(sheaf_slice value) {
  bool has_digit = false;
  if (sheaf_json_kind(value) == SHEAF_JSON_ARRAY && value.bytes >= 2)
    value = (sheaf_slice){value.data + 1, value.bytes - 2};
  for (size_t i = 0; i < value.bytes; i++) {
    char c = value.data[i];
    bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && c != ',' && (unsigned char)c > ' ') return false;
    has_digit |= is_digit;
  }
  return has_digit;
}

/* A string, strings, the tokens of one input, or arrays of tokens. Empty inputs are refused by the
 * providers, which would take the others along. */
static bool take_inputs(outline *o, cursor *c) {
  const char *start = c->at;
  uint32_t kind = SHEAF_JSON_NONE;
  o->inputs = 0;
  o->is_list = take_bracket(c, '[');
  while (o->is_list ? has_more(c, ']') : o->inputs == 0) {
    sheaf_slice input = take_value(c);
    uint32_t before = kind;
    kind = sheaf_json_kind(input);
    o->is_tokens = kind != SHEAF_JSON_STRING;
    if (o->is_tokens ? !(o->rules->has_tokens && are_tokens(input)) : input.bytes <= 2)
      return false;
    if (o->inputs++ > 0 && kind != before) return false;
  }
  if (o->is_tokens && !o->is_list) return false;
  if (kind == SHEAF_JSON_NUMBER) {
    o->inputs = 1;
    o->is_list = false;
  }
  o->own = (sheaf_slice){start, (size_t)(c->at - start)};
  uint32_t most = o->rules->inputs_max;
  return o->inputs > 0 && (most == 0 || o->inputs <= most);
}

/* The text of a message; empty where it is not one plain text. */
static sheaf_slice take_text(const outline *o, cursor *c) {
  sheaf_slice text = {NULL, 0};
  if (o->rules->chat != SHEAF__CHAT_PARTS) return take_value(c);
  if (!take_bracket(c, '[') || !take_bracket(c, '{') || !has_more(c, '}')) return text;
  if (sheaf__is(take_key(c), "text")) text = take_value(c);
  if (has_more(c, '}') || has_more(c, ']')) text.bytes = 0;
  return text;
}

/* A message of a role, which may be missing, and a plain text, and nothing else. */
static bool take_message(const outline *o, cursor *c, sheaf_slice *role, sheaf_slice *text) {
  const char *name = o->rules->chat == SHEAF__CHAT_PARTS ? "parts" : "content";
  *role = *text = (sheaf_slice){NULL, 0};
  if (!take_bracket(c, '{')) return false;
  while (has_more(c, '}')) {
    sheaf_slice key = take_key(c);
    if (sheaf__is(key, "role") && role->bytes == 0) {
      *role = take_value(c);
    } else if (sheaf__is(key, name) && text->bytes == 0) {
      *text = take_text(o, c);
      if (sheaf_json_kind(*text) != SHEAF_JSON_STRING) return false;
    } else {
      return false;
    }
  }
  return text->bytes > 0;
}

static bool is_system(const outline *o, sheaf_slice role) {
  if (o->rules->chat > SHEAF__CHAT_SYSTEM) return false;
  if (sheaf_json_equals(role, "system")) return true;
  return o->rules->chat == SHEAF__CHAT_DEVELOPER && sheaf_json_equals(role, "developer");
}

/* One user's message, a system's before it at most. */
static bool take_chat(outline *o, cursor *c) {
  sheaf_slice role, text;
  if (!take_bracket(c, '[') || !take_message(o, c, &role, &text)) return false;
  if (is_system(o, role)) {
    o->values[SHEAF__MEMBER_SYSTEM] = text;
    o->system = sheaf_json_inside(text);
    if (!take_message(o, c, &role, &text)) return false;
  }
  o->own = sheaf_json_inside(text);
  bool may_lack_role = o->rules->chat == SHEAF__CHAT_PARTS;
  if (!sheaf_json_equals(role, "user") && !(may_lack_role && role.bytes == 0)) return false;
  return !has_more(c, ']');
}

/* A system's text of its own; a role of it means nothing and is kept. */
static bool take_system(outline *o, cursor *c) {
  sheaf_slice role, text;
  if (o->rules->chat != SHEAF__CHAT_PARTS) {
    text = take_value(c);
  } else if (!take_message(o, c, &role, &text)) {
    return false;
  }
  o->system = sheaf_json_inside(text);
  return sheaf_json_kind(text) == SHEAF_JSON_STRING;
}

/* ---- The members of a body ---- */

static uint32_t find_role(const char *table, sheaf_slice key) {
  uint32_t role = SHEAF__MEMBER_UNKNOWN;
  while (*table) {
    if ((unsigned char)*table < SHEAF__MEMBER_COUNT) role = (unsigned char)*table++;
    size_t bytes = strlen(table);
    if (bytes == key.bytes && memcmp(table, key.data, bytes) == 0) return role;
    table += bytes + 1;
  }
  return SHEAF__MEMBER_UNKNOWN;
}

/* A cap of 0 asks for no answer, and one below 0 is either none or a mistake. */
static bool read_cap(outline *o, sheaf_slice value) {
  int64_t cap = 0;
  if (is_null(value)) return true;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return false;
  if (sheaf_json_int(value, &cap) != SHEAF_OK) return false;
  if (cap < 0) return o->rules->below_zero_caps;
  o->output_cap = cap;
  return cap > 0;
}

static bool take_object(outline *o, cursor *c, const char *table);

/* Members whose inside is looked at: false where it is not what may share, wherever the cursor
 * stands then. */
static bool take_inside(outline *o, uint32_t role, cursor *c) {
  switch (role) {
    case SHEAF__MEMBER_LIST: return take_inputs(o, c);
    case SHEAF__MEMBER_CHAT: return take_chat(o, c);
    case SHEAF__MEMBER_SYSTEM: return take_system(o, c);
    /* A nested object is told from a broken one by its brace. */
    default: return take_object(o, c, o->rules->nested) && c->at[-1] == '}';
  }
}

/* Whether the body may share as far as this value goes. */
static bool allows(outline *o, uint32_t role, sheaf_slice value) {
  int64_t number = 1;
  switch (role) {
    case SHEAF__MEMBER_OFF: return is_off(value);
    case SHEAF__MEMBER_ONE:
      return is_null(value) || (sheaf_json_int(value, &number) == SHEAF_OK && number == 1);
    case SHEAF__MEMBER_NEVER: return is_null(value);
    case SHEAF__MEMBER_CAP: return read_cap(o, value);
    case SHEAF__MEMBER_TEMPERATURE: o->deterministic = is_zero(value); return true;
    case SHEAF__MEMBER_FORMAT: return is_free_format(value);
    case SHEAF__MEMBER_STREAM: return is_false(value);
    default: return true;
  }
}

/* Of two temperatures one counts, and which is the server's choice. */
static void note_once(outline *o, uint32_t role) {
  if (o->seen & 1u << role) {
    o->is_twice = true;
    if (role == SHEAF__MEMBER_TEMPERATURE || role == SHEAF__MEMBER_NEST) o->is_odd = true;
  }
  o->seen |= 1u << role;
}

static bool take_member(outline *o, uint32_t role, cursor *c) {
  const char *start = c->at;
  if (start == c->end) return false; /* a key and nothing behind it */
  if (role < SHEAF__MEMBER_LIST) return allows(o, role, take_value(c));
  note_once(o, role);
  bool is_inside = role <= SHEAF__MEMBER_NEST;
  if (is_inside && take_inside(o, role, c)) {
    o->values[role] = (sheaf_slice){start, (size_t)(c->at - start)};
    return true;
  }
  c->at = start;
  o->values[role] = take_value(c);
  return !is_inside && allows(o, role, o->values[role]);
}

static bool take_object(outline *o, cursor *c, const char *table) {
  bool may_share = true;
  if (!take_bracket(c, '{')) return false;
  while (has_more(c, '}')) {
    sheaf_slice key = take_key(c);
    uint32_t role = find_role(table, key);
    if (role == SHEAF__MEMBER_UNKNOWN) {
      if (key.bytes > 0 && memchr(key.data, '\\', key.bytes)) o->is_odd = true;
      take_value(c);
      may_share &= o->rules->open;
    } else {
      may_share &= take_member(o, role, c);
    }
  }
  return may_share;
}

/* Reads a body; what is not shareable has share NONE. The document is not checked: of broken JSON
 * the outline is nonsense, but within its bounds. */
static void read_outline(const sheaf__share_rules *rules, sheaf_slice body, outline *o) {
  cursor c = {.at = body.data, .end = body.data + body.bytes};
  skip_space(&c, ' ');
  *o =
      (outline){.rules = rules, .output_cap = SHEAF_ABSENT, .body = {c.at, (size_t)(c.end - c.at)}};
  bool may_share = take_object(o, &c, rules->members);
  if (o->is_odd || o->is_twice || (o->seen & rules->needed) != rules->needed) may_share = false;
  if (o->is_odd) o->deterministic = false;
  if (rules->deterministic) o->deterministic = true;
  if (may_share && o->own.bytes > 0) o->share = rules->share;
}

/* ---- Traits and keys ---- */

/* What must be equal to share a call: the bytes in front of, between and behind what is a member's
 * own and its cap. */
enum { RUNS = 3 };
static void find_runs(const outline *o, sheaf_slice runs[RUNS]) {
  const char *end = o->body.data + o->body.bytes;
  sheaf_slice first = o->own, second = {end, 0};
  if (o->output_cap != SHEAF_ABSENT) second = o->values[SHEAF__MEMBER_CAP];
  if (second.data < first.data) {
    first = second;
    second = o->own;
  }
  const char *behind_first = first.data + first.bytes, *behind = second.data + second.bytes;
  runs[0] = (sheaf_slice){o->body.data, (size_t)(first.data - o->body.data)};
  runs[1] = (sheaf_slice){behind_first, (size_t)(second.data - behind_first)};
  runs[2] = (sheaf_slice){behind, (size_t)(end - behind)};
}

static uint64_t find_key(const outline *o, uint32_t operation) {
  sheaf_slice runs[RUNS];
  uint64_t key = (uint64_t)operation << 8 | o->share << 1 | (o->is_tokens ? 1u : 0u);
  find_runs(o, runs);
  for (int i = 0; i < RUNS; i++) key = sheaf__hash(runs[i].data, runs[i].bytes, key);
  return key;
}

/* What one key promises, proved: a hash alone would let two tenants meet who worked at it. */
static bool agree(const outline *a, const outline *b) {
  sheaf_slice runs_a[RUNS], runs_b[RUNS];
  if (b->share == SHEAF_SHARE_NONE || a->is_tokens != b->is_tokens) return false;
  find_runs(a, runs_a);
  find_runs(b, runs_b);
  for (int i = 0; i < RUNS; i++) {
    if (!sheaf__slice_equal(runs_a[i], runs_b[i])) return false;
  }
  return true;
}

void sheaf__share_traits(const sheaf__share_rules *rules, uint32_t operation, sheaf_slice body,
                         sheaf_traits *traits) {
  outline o;
  sheaf_json_facts facts;
  read_outline(rules, body, &o);
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

/* ---- What is added ---- */

/* A place of the first member's body where bytes are taken out and text put in. */
typedef struct edit {
  const char *at;
  size_t removed;
  const char *text;
  bool is_member; /* of an object or array: set off by commas */
} edit;

#define EDITS_MAX 12
typedef struct edits {
  uint32_t count;
  edit list[EDITS_MAX]; /* by place; those of one place as they were added */
} edits;

static void add_edit(edits *all, edit added) {
  uint32_t n = all->count++;
  SHEAF_ASSERT(n < EDITS_MAX);
  for (; n > 0 && all->list[n - 1].at > added.at; n--) all->list[n] = all->list[n - 1];
  all->list[n] = added;
}

static void replace(edits *all, sheaf_slice value, const char *text) {
  add_edit(all, (edit){.at = value.data, .removed = value.bytes, .text = text});
}

static void insert(edits *all, sheaf_slice object, const char *text) {
  add_edit(all, (edit){.at = object.data + 1, .text = text, .is_member = true});
}

static const char *value_of(const char *text) {
  while (*text++ != ':') continue;
  return text;
}

/* The object or array that an addition goes into. */
static sheaf_slice find_place(const outline *first, uint32_t place) {
  if (place == SHEAF__IN_CHAT) return first->values[SHEAF__MEMBER_CHAT];
  sheaf_slice nest = first->values[SHEAF__MEMBER_NEST];
  return place == SHEAF__IN_NEST && nest.bytes > 0 ? nest : first->body;
}

static void add_all(const outline *first, bool has_cap, edits *all) {
  bool is_nest_open = false;
  for (const sheaf__addition *a = first->rules->additions; a->role; a++) {
    sheaf_slice value = first->values[a->role], place = find_place(first, a->place);
    if (a->role == SHEAF__MEMBER_CAP && !has_cap) {
      /* One member's cap would cut everybody's answers: none, in the words of all providers. */
      if (first->output_cap != SHEAF_ABSENT) replace(all, value, "null");
    } else if (value.bytes == 0) {
      if (a->place == SHEAF__IN_NEST && place.data == first->body.data && !is_nest_open) {
        insert(all, place, first->rules->nest);
        is_nest_open = true;
      }
      insert(all, place, a->text);
    } else if (a->role == SHEAF__MEMBER_CAP || a->role == SHEAF__MEMBER_FORMAT) {
      replace(all, value, value_of(a->text));
    }
    if (is_nest_open && a[1].place != SHEAF__IN_NEST) {
      insert(all, place, "}");
      is_nest_open = false;
    }
  }
}

/* ---- The one body ---- */

void sheaf__put_text(sheaf_buf *buf, const char *text, const sheaf_slice *values, int64_t number) {
  for (;;) {
    const char *from = text;
    while (*text && *text != '$') text++;
    sheaf_buf_append(buf, from, (size_t)(text - from));
    if (!*text) return;
    if (text[1] == '#') {
      sheaf_buf_append_i64(buf, number);
    } else {
      sheaf_buf_append_slice(buf, values[text[1] - '0']);
    }
    text += 2;
  }
}

static void write_prompts(const outline *first, const sheaf_shared *shared, sheaf_buf *body) {
  const sheaf_slice values[] = {shared->instructions, shared->schema, shared->prompt};
  const char *at = first->body.data, *end = at + first->body.bytes;
  edits all = {.count = 0};
  replace(&all, first->own, "$2");
  if (first->system.data) {
    const char *text = first->system.bytes > 0 ? "\\n\\n$0" : "$0";
    replace(&all, sheaf__slice_from(first->system, first->system.bytes), text);
  }
  add_all(first, shared->output_cap != SHEAF_ABSENT, &all);
  for (uint32_t i = 0; i < all.count; i++) {
    const edit *e = &all.list[i];
    bool is_last = i + 1 == all.count || e[1].at != e->at;
    sheaf_buf_append(body, at, (size_t)(e->at - at));
    if (e->is_member && e->text[0] != '}') sheaf__comma(body);
    sheaf__put_text(body, e->text, values, shared->output_cap);
    at = e->at + e->removed;
    if (e->is_member && is_last && !is_closing(at, end)) SHEAF__PUT(body, ",");
  }
  sheaf_buf_append(body, at, (size_t)(end - at));
}

/* The inputs of the n-th member as elements of the list that the first one has become. */
static void put_inputs(const outline *o, uint32_t n, sheaf_buf *body) {
  sheaf_slice runs[RUNS], inputs = o->own;
  find_runs(o, runs);
  if (o->is_list) inputs = (sheaf_slice){inputs.data + 1, inputs.bytes - 2};
  if (n == 0) sheaf_buf_append_slice(body, runs[0]);
  sheaf_buf_append_text(body, n == 0 ? "[" : ",");
  sheaf_buf_append_slice(body, inputs);
}

int32_t sheaf__share_write(const sheaf__share_rules *rules, const sheaf_shared *shared,
                           sheaf_buf *body) {
  outline first, o;
  const size_t before = body->bytes;
  bool needs_cap = (rules->needed >> SHEAF__MEMBER_CAP & 1) != 0;
  if (shared->count == 0 || shared->share != rules->share) return SHEAF_E_FIELD;
  if (needs_cap && shared->output_cap == SHEAF_ABSENT) return SHEAF_E_FIELD; /* no such call */
  read_outline(rules, shared->bodies[0], &first);
  for (uint32_t i = 0; i < shared->count; i++) {
    read_outline(rules, shared->bodies[i], &o);
    if (!agree(&first, &o)) {
      body->bytes = before;
      return SHEAF_E_FIELD;
    }
    if (shared->share == SHEAF_SHARE_INPUTS) put_inputs(&o, i, body);
  }
  if (shared->share == SHEAF_SHARE_INPUTS) {
    sheaf_slice runs[RUNS];
    find_runs(&first, runs);
    SHEAF__PUT(body, "]");
    sheaf_buf_append_slice(body, runs[1]);
  } else {
    write_prompts(&first, shared, body);
  }
  return body->status;
}
