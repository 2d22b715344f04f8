/* sim_schema.c: a JSON value that is valid against a JSON Schema: draft 2020-12 as it is used for
 * structured answers and tools, older drafts' spellings, and the upper-case types of Gemini.
 *
 *   make     several schemas -> all that must hold (expand) -> a type -> a value -> a check
 *   expand   follows $ref and allOf, picks a branch of anyOf and oneOf
 *
 * A branch that turns out impossible is left for another one. Values become small when they are
 * deep or many: then the branch is picked that can end soonest, arrays are as short as they may be,
 * and what is optional is left out, so that recursive schemas come to an end. */
#include "sim_schema.h"

#include <stdlib.h>
#include <string.h>

#define SCHEMAS_MAX 64u    /* that hold at once; also ends references in a circle */
#define ATTEMPTS_MIN 12u   /* of a value whose branches are drawn */
#define ATTEMPTS_MAX 64u   /* as many as branches, up to this */
#define WHOLE_ATTEMPTS 4u  /* of the answer */
#define SMALL_DEPTH 6u     /* from here on values are small */
#define SMALL_WORK 300u    /* or after so many of them */
#define SMALL_BYTES 65536u /* or after so many bytes */
#define WORK_MAX 50000u    /* values that are begun for one answer */
#define LOOKS_MAX 4000u    /* see sim_making */
#define FUEL_MAX 12u       /* levels that a branch may need to its end */
#define REF_BYTES_MAX 1024u
#define NULL_ONE_IN 8u /* of the values that may be null */

enum { /* purposes of draws */
       DRAW_BRANCH = 1,
       DRAW_TYPE = 100,
       DRAW_NULL,
       DRAW_ENUM,
       DRAW_BOOL
};

/* ---- Reading schemas ---- */

bool sheaf__sim_schema_read(sheaf_slice text, sim_schema *schema) {
  static const char *const names[SIM_KEYWORDS] = {
#define KEYWORD_TEXT(name, keyword) keyword,
      SIM_KEYWORD_MAP(KEYWORD_TEXT)
#undef KEYWORD_TEXT
  };
  static const unsigned char sizes[SIM_KEYWORDS] = {
#define KEYWORD_SIZE(name, keyword) sizeof(keyword) - 1,
      SIM_KEYWORD_MAP(KEYWORD_SIZE)
#undef KEYWORD_SIZE
  };
  sheaf_json_iter iter;
  sheaf_slice key, value;
  memset(schema, 0, sizeof *schema);
  if (sheaf_json_kind(text) != SHEAF_JSON_OBJECT) return false;
  if (sheaf_json_iter_init(&iter, text) != SHEAF_OK) return false;
  schema->text = text;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    for (uint32_t i = 0; i < SIM_KEYWORDS; i++)
      if (sizes[i] == key.bytes && memcmp(names[i], key.data, key.bytes) == 0)
        schema->word[i] = value;
  return true;
}

static uint32_t type_named(sheaf_slice value) {
  static const struct {
    const char *name;
    uint32_t type;
  } rows[] = {{"null", SIM_TYPE_NULL},       {"boolean", SIM_TYPE_BOOL},
              {"integer", SIM_TYPE_INTEGER}, {"number", SIM_TYPE_NUMBER},
              {"string", SIM_TYPE_STRING},   {"array", SIM_TYPE_ARRAY},
              {"object", SIM_TYPE_OBJECT}};
  sheaf_slice name = sheaf_json_inside(value);
  for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t n = 0;
    while (n < name.bytes && rows[i].name[n] && (name.data[n] | 0x20) == rows[i].name[n]) n++;
    if (n == name.bytes && !rows[i].name[n]) return rows[i].type;
  }
  return SIM_TYPE_ANY; /* TYPE_UNSPECIFIED and their like */
}

uint32_t sheaf__sim_schema_types(const sim_schema *schema) {
  sheaf_slice value = schema->word[SIM_KW_TYPE], key, one;
  sheaf_json_iter iter;
  uint32_t types = SIM_TYPE_ANY;
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) types = type_named(value);
  if (sheaf_json_kind(value) == SHEAF_JSON_ARRAY &&
      sheaf_json_iter_init(&iter, value) == SHEAF_OK) {
    types = 0;
    while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) types |= type_named(one);
  }
  return sheaf_json_true(schema->word[SIM_KW_NULLABLE]) ? types | SIM_TYPE_NULL : types;
}

uint64_t sheaf__sim_schema_count(const sim_schema *schema, uint32_t keyword, uint64_t absent) {
  int64_t number;
  if (!schema->word[keyword].bytes || sheaf_json_int(schema->word[keyword], &number) != SHEAF_OK)
    return absent;
  return number < 0 ? 0 : (uint64_t)number;
}

/* ---- References ---- */

static int hex_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads a step of a pointer up to '/': %2F and ~1 stand for a slash, ~0 for a tilde. Answers how
 * many bytes of the text it took. */
static size_t read_step(sheaf_slice text, char *step, size_t *bytes) {
  size_t i = 0;
  *bytes = 0;
  while (i < text.bytes && text.data[i] != '/') {
    char c = text.data[i++];
    if (c == '%' && i + 1 < text.bytes && hex_of(text.data[i]) >= 0 &&
        hex_of(text.data[i + 1]) >= 0) {
      c = (char)(hex_of(text.data[i]) * 16 + hex_of(text.data[i + 1]));
      i += 2;
    }
    if (c == '~' && i < text.bytes && (text.data[i] == '0' || text.data[i] == '1'))
      c = text.data[i++] == '0' ? '~' : '/';
    step[(*bytes)++] = c;
  }
  return i;
}

/* The member, or the element of that number. */
static sheaf_slice find_step(sheaf_slice at, sheaf_slice step) {
  sheaf_json_iter iter;
  sheaf_slice key, value, found = {0};
  uint64_t index = 0, wanted = 0;
  bool is_array = sheaf_json_kind(at) == SHEAF_JSON_ARRAY;
  for (size_t i = 0; i < step.bytes; i++) {
    if (wanted < 100000000) wanted = wanted * 10 + (uint64_t)(unsigned char)(step.data[i] - '0');
  }
  if (sheaf_json_iter_init(&iter, at) != SHEAF_OK) return found;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (is_array ? index++ == wanted
                 : key.bytes == step.bytes && memcmp(key.data, step.data, key.bytes) == 0)
      found = value;
  }
  return found;
}

static bool is_named(sheaf_slice schema, const char *keyword, sheaf_slice name) {
  sheaf_slice inside;
  if (sheaf_json_kind(schema) != SHEAF_JSON_OBJECT) return false;
  inside = sheaf_json_inside(sheaf_json_member(schema, keyword));
  return inside.bytes && inside.bytes == name.bytes &&
         memcmp(inside.data, name.data, name.bytes) == 0;
}

/* A definition that bears the name itself. */
static sheaf_slice find_named(sheaf_slice root, sheaf_slice name, bool is_anchor) {
  static const char *const lists[] = {"$defs", "definitions"};
  sheaf_json_iter iter;
  sheaf_slice key, value;
  for (uint32_t i = 0; i < 2; i++) {
    sheaf_slice list = sheaf_json_member(root, lists[i]);
    if (sheaf_json_iter_init(&iter, list) != SHEAF_OK) continue;
    while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
      if (is_anchor ? is_named(value, "$anchor", name) : is_named(value, "$id", name)) return value;
  }
  if (!is_anchor && is_named(root, "$id", name)) return root;
  return (sheaf_slice){0};
}

sheaf_slice sheaf__sim_schema_ref(sheaf_slice root, sheaf_slice ref) {
  char text[REF_BYTES_MAX], step[REF_BYTES_MAX];
  sheaf_buf plain;
  sheaf_slice none = {0}, rest, inside = sheaf_json_inside(ref);
  if (inside.bytes == 0 || inside.bytes >= sizeof text) return none;
  sheaf_buf_init(&plain, &sheaf__sim_allocator, sizeof text);
  if (sheaf_buf_append_unescaped(&plain, inside) != SHEAF_OK) {
    sheaf_buf_deinit(&plain);
    return none;
  }
  rest = (sheaf_slice){text, plain.bytes};
  memcpy(text, plain.data, plain.bytes);
  sheaf_buf_deinit(&plain);
  if (sheaf_json_kind(root) != SHEAF_JSON_OBJECT) return none;
  if (text[0] != '#') return find_named(root, rest, false);
  rest = (sheaf_slice){text + 1, rest.bytes - 1};
  if (rest.bytes && rest.data[0] != '/') return find_named(root, rest, true);
  sheaf_slice at = root;
  while (rest.bytes && at.bytes) {
    size_t bytes, used;
    rest = (sheaf_slice){rest.data + 1, rest.bytes - 1};
    used = read_step(rest, step, &bytes);
    at = find_step(at, (sheaf_slice){step, bytes});
    rest = (sheaf_slice){rest.data + used, rest.bytes - used};
  }
  return at;
}

/* ---- Which branch ---- */

static uint32_t list_count(sheaf_slice list) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint32_t count = 0;
  if (sheaf_json_kind(list) != SHEAF_JSON_ARRAY || sheaf_json_iter_init(&iter, list) != SHEAF_OK)
    return 0;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) count++;
  return count;
}

static sheaf_slice list_at(sheaf_slice list, uint64_t n) {
  sheaf_json_iter iter;
  sheaf_slice key, value = {0};
  if (sheaf_json_iter_init(&iter, list) != SHEAF_OK) return value;
  for (uint64_t i = 0; i <= n; i++)
    if (sheaf_json_iter_next(&iter, &key, &value) != SHEAF_OK) return (sheaf_slice){0};
  return value;
}

static bool can_end(sim_making *making, sheaf_slice schema, uint32_t fuel);

static bool any_can_end(sim_making *making, sheaf_slice list, uint32_t fuel) {
  uint32_t count = list_count(list);
  for (uint32_t i = 0; i < count; i++)
    if (can_end(making, list_at(list, i), fuel)) return true;
  return count == 0;
}

/* The members that an object cannot do without. */
static bool members_can_end(sim_making *making, const sim_schema *schema, uint32_t fuel) {
  sheaf_slice required = schema->word[SIM_KW_REQUIRED];
  sheaf_slice properties = schema->word[SIM_KW_PROPERTIES];
  uint32_t count = list_count(required);
  if (sheaf_json_kind(properties) != SHEAF_JSON_OBJECT) return true;
  for (uint32_t i = 0; i < count; i++) {
    sheaf_slice name = sheaf_json_inside(list_at(required, i));
    sheaf_slice member = find_step(properties, name);
    if (member.bytes && (fuel == 0 || !can_end(making, member, fuel - 1))) return false;
  }
  return true;
}

/* Whether a smallest value of the schema nests at most `fuel` deep. */
static bool can_end(sim_making *making, sheaf_slice text, uint32_t fuel) {
  sim_schema schema;
  if (++making->looks > LOOKS_MAX) return false;
  if (!sheaf__sim_schema_read(text, &schema))
    return sheaf_json_kind(text) != SHEAF_JSON_BOOL || sheaf_json_true(text);
  if (schema.word[SIM_KW_ENUM].bytes || schema.word[SIM_KW_CONST].bytes) return true;
  if (schema.word[SIM_KW_REF].bytes) {
    sheaf_slice target = sheaf__sim_schema_ref(making->root, schema.word[SIM_KW_REF]);
    if (fuel == 0 || !target.bytes || !can_end(making, target, fuel - 1)) return false;
  }
  uint32_t count = list_count(schema.word[SIM_KW_ALL_OF]);
  for (uint32_t i = 0; i < count; i++)
    if (!can_end(making, list_at(schema.word[SIM_KW_ALL_OF], i), fuel)) return false;
  if (!any_can_end(making, schema.word[SIM_KW_ANY_OF], fuel)) return false;
  if (!any_can_end(making, schema.word[SIM_KW_ONE_OF], fuel)) return false;
  uint32_t types = sheaf__sim_schema_types(&schema);
  if (types != SIM_TYPE_ANY && types & ~(uint32_t)(SIM_TYPE_OBJECT | SIM_TYPE_ARRAY)) return true;
  if (!members_can_end(making, &schema, fuel)) return false;
  if (sheaf__sim_schema_count(&schema, SIM_KW_MIN_ITEMS, 0) == 0) return true;
  sheaf_slice items = schema.word[SIM_KW_ITEMS];
  return !items.bytes || (fuel && can_end(making, items, fuel - 1));
}

static uint32_t smallest_branch(sim_making *making, sheaf_slice list, uint32_t count) {
  making->looks = 0;
  for (uint32_t fuel = 0; fuel <= FUEL_MAX; fuel++)
    for (uint32_t i = 0; i < count; i++)
      if (can_end(making, list_at(list, i), fuel)) return i;
  return 0;
}

static bool is_null_only(sheaf_slice branch) {
  sim_schema schema;
  return sheaf__sim_schema_read(branch, &schema) &&
         sheaf__sim_schema_types(&schema) == SIM_TYPE_NULL;
}

/* ---- All that must hold ---- */

typedef struct expansion {
  sim_making *making;
  sim_schemas *all;
  uint64_t key;
  uint32_t attempt, depth;
} expansion;

static void expand(expansion *x, sheaf_slice text);

/* The first attempts take the branches in turn, from a drawn one on; later ones draw. */
static void expand_branch(expansion *x, sheaf_slice list) {
  uint32_t count = list_count(list), branch;
  if (!list.bytes) return;
  if (count == 0) {
    x->all->is_impossible = sheaf_json_kind(list) == SHEAF_JSON_ARRAY;
    return;
  }
  if (count > x->all->branches_max) x->all->branches_max = count;
  uint64_t purpose = DRAW_BRANCH + x->all->count;
  branch = (uint32_t)sheaf__sim_draw(x->key, purpose, count);
  if (sheaf__sim_is_small(x->making, x->depth))
    branch = smallest_branch(x->making, list, count);
  else if (x->attempt == 0 && is_null_only(list_at(list, branch)) &&
           sheaf__sim_draw(x->key, purpose + DRAW_NULL, NULL_ONE_IN) != 0)
    branch++;
  if (x->attempt < count)
    branch = (branch + x->attempt) % count;
  else
    branch = (uint32_t)sheaf__sim_draw(sheaf__sim_mix(x->key, x->attempt), purpose, count);
  expand(x, list_at(list, branch));
}

static sim_schema *add_schema(sim_schemas *all) {
  if (all->count == SCHEMAS_MAX) return NULL;
  if (all->count == all->room) {
    uint32_t room = all->room ? all->room * 2 : 2;
    sim_schema *grown = realloc(all->at, room * sizeof *grown);
    if (!grown) return NULL;
    all->at = grown;
    all->room = room;
  }
  return &all->at[all->count++];
}

static bool has_risky_word(const sim_schema *schema) {
  static const uint32_t risky[] = {SIM_KW_ONE_OF,
                                   SIM_KW_NOT,
                                   SIM_KW_IF,
                                   SIM_KW_PROPERTY_NAMES,
                                   SIM_KW_DEPENDENT_REQUIRED,
                                   SIM_KW_DEPENDENT_SCHEMAS,
                                   SIM_KW_CONTAINS,
                                   SIM_KW_PATTERN_PROPERTIES};
  for (uint32_t i = 0; i < sizeof risky / sizeof *risky; i++)
    if (schema->word[risky[i]].bytes) return true;
  return false;
}

static void expand(expansion *x, sheaf_slice text) {
  sim_schemas *all = x->all;
  sim_schema *schema;
  if (all->is_impossible) return;
  if (sheaf_json_kind(text) == SHEAF_JSON_BOOL) {
    all->is_impossible = !sheaf_json_true(text);
    return;
  }
  if (sheaf_json_kind(text) != SHEAF_JSON_OBJECT) return;
  schema = add_schema(all);
  if (!schema) {
    all->is_impossible = true;
    return;
  }
  sheaf__sim_schema_read(text, schema);
  all->is_risky = all->is_risky || has_risky_word(schema);
  sheaf_slice words[] = {schema->word[SIM_KW_REF], schema->word[SIM_KW_ALL_OF],
                         schema->word[SIM_KW_ANY_OF], schema->word[SIM_KW_ONE_OF]};
  if (words[0].bytes) {
    sheaf_slice target = sheaf__sim_schema_ref(x->making->root, words[0]);
    if (!target.bytes) all->is_impossible = true;
    expand(x, target);
  }
  uint32_t count = list_count(words[1]);
  for (uint32_t i = 0; i < count; i++) expand(x, list_at(words[1], i));
  expand_branch(x, words[2]);
  expand_branch(x, words[3]);
}

/* ---- A value ---- */

bool sheaf__sim_is_small(const sim_making *making, uint32_t depth) {
  return depth >= SMALL_DEPTH || making->work > SMALL_WORK || making->out->bytes > SMALL_BYTES;
}

static bool all_fit(sim_making *making, const sim_schemas *all, sheaf_slice value) {
  for (uint32_t i = 0; i < all->count; i++)
    if (!sheaf__sim_fits(making, all->at[i].text, value, 0)) return false;
  return true;
}

/* The first "enum" or "const" gives the values; they are tried from a drawn one on. False: none is
 * there, or none fits. */
static bool make_listed(sim_making *making, const sim_schemas *all, uint64_t key, bool *is_listed) {
  *is_listed = false;
  for (uint32_t i = 0; i < all->count; i++) {
    sheaf_slice fixed = all->at[i].word[SIM_KW_CONST], list = all->at[i].word[SIM_KW_ENUM];
    uint32_t count = list_count(list);
    if (!fixed.bytes && !list.bytes) continue;
    *is_listed = true;
    uint64_t first = sheaf__sim_draw(key, DRAW_ENUM, count);
    for (uint32_t n = 0; n < (fixed.bytes ? 1 : count); n++) {
      sheaf_slice value = fixed.bytes ? fixed : list_at(list, (first + n) % count);
      if (!all_fit(making, all, value)) continue;
      sheaf_buf_append_slice(making->out, value);
      return true;
    }
    return false;
  }
  return false;
}

/* What a schema without "type" is about. */
static uint32_t types_meant(const sim_schemas *all, uint32_t depth) {
  static const struct {
    uint32_t first, last, type;
  } rows[] = {{SIM_KW_PROPERTIES, SIM_KW_PROPERTY_ORDERING, SIM_TYPE_OBJECT},
              {SIM_KW_ITEMS, SIM_KW_MAX_CONTAINS, SIM_TYPE_ARRAY},
              {SIM_KW_MINIMUM, SIM_KW_MULTIPLE_OF, SIM_TYPE_NUMBER},
              {SIM_KW_MIN_LENGTH, SIM_KW_FORMAT, SIM_TYPE_STRING}};
  for (uint32_t i = 0; i < all->count; i++)
    for (uint32_t n = 0; n < sizeof rows / sizeof *rows; n++)
      for (uint32_t word = rows[n].first; word <= rows[n].last; word++)
        if (all->at[i].word[word].bytes) return rows[n].type;
  return depth ? SIM_TYPE_STRING : SIM_TYPE_OBJECT;
}

/* One of the set. The smallest comes first where values are small. */
static uint32_t pick_type(const sim_making *making, uint32_t types, uint64_t key, uint32_t attempt,
                          uint32_t depth) {
  static const uint32_t order[] = {SIM_TYPE_NULL,   SIM_TYPE_BOOL,  SIM_TYPE_NUMBER,
                                   SIM_TYPE_STRING, SIM_TYPE_ARRAY, SIM_TYPE_OBJECT};
  uint32_t found[6], count = 0;
  for (uint32_t i = 0; i < 6; i++)
    if (types & order[i]) found[count++] = types & order[i];
  if (sheaf__sim_is_small(making, depth)) return found[attempt % count];
  if (count > 1 && found[0] == SIM_TYPE_NULL) {
    if (attempt == 0 && sheaf__sim_draw(key, DRAW_NULL, NULL_ONE_IN) == 0) return SIM_TYPE_NULL;
    if (attempt < count - 1)
      return found[1 + (sheaf__sim_draw(key, DRAW_TYPE, count - 1) + attempt) % (count - 1)];
  }
  return found[(sheaf__sim_draw(key, DRAW_TYPE, count) + attempt) % count];
}

static bool make_typed(sim_making *making, const sim_schemas *all, uint32_t type, uint64_t key,
                       uint32_t depth) {
  if (type == SIM_TYPE_OBJECT) return sheaf__sim_make_object(making, all, key, depth);
  if (type == SIM_TYPE_ARRAY) return sheaf__sim_make_array(making, all, key, depth);
  if (type == SIM_TYPE_STRING) return sheaf__sim_make_string(making, all, key);
  if (type & SIM_TYPE_NUMBER)
    return sheaf__sim_make_number(making, all, type == SIM_TYPE_INTEGER, key);
  const char *text = "null";
  if (type == SIM_TYPE_BOOL) text = sheaf__sim_draw(key, DRAW_BOOL, 2) ? "true" : "false";
  return sheaf_buf_append_text(making->out, text) == SHEAF_OK;
}

/* `retries`: another attempt may come to another end. */
static bool make_once(sim_making *making, const sim_schemas *all, uint64_t key, uint32_t attempt,
                      uint32_t depth, bool *retries) {
  uint32_t types = SIM_TYPE_ANY;
  bool is_listed;
  if (make_listed(making, all, key, &is_listed)) return true;
  if (is_listed) return false;
  for (uint32_t i = 0; i < all->count; i++) types &= sheaf__sim_schema_types(&all->at[i]);
  if (types == 0) return false;
  if (types == SIM_TYPE_ANY) types = types_meant(all, depth);
  uint32_t type = pick_type(making, types, key, attempt, depth);
  *retries = *retries || type != types;
  return make_typed(making, all, type, sheaf__sim_mix(key, attempt), depth);
}

bool sheaf__sim_make(sim_making *making, const sheaf_slice *schemas, uint32_t count, uint64_t key,
                     uint32_t depth) {
  sheaf_buf *out = making->out;
  size_t from = out->bytes;
  sim_schemas all = {0};
  bool is_made = false, retries = true;
  if (depth > SIM_JSON_DEPTH_MAX) return false;
  for (uint32_t attempt = 0; !is_made && retries && attempt < ATTEMPTS_MAX; attempt++) {
    if (++making->work > WORK_MAX || out->status != SHEAF_OK) break;
    all.count = all.branches_max = 0;
    all.is_impossible = all.is_risky = false;
    expansion x = {.making = making, .all = &all, .key = key, .attempt = attempt, .depth = depth};
    for (uint32_t i = 0; i < count; i++) expand(&x, schemas[i]);
    retries = all.branches_max > 1 || all.is_risky;
    is_made = !all.is_impossible && make_once(making, &all, key, attempt, depth, &retries);
    if (is_made && all.is_risky)
      is_made = all_fit(making, &all, (sheaf_slice){out->data + from, out->bytes - from});
    if (!is_made) out->bytes = from;
    if (attempt + 1 >= ATTEMPTS_MIN && attempt + 1 >= all.branches_max) retries = false;
  }
  free(all.at);
  return is_made;
}

/* A value that the check does not like is still given when no attempt is liked: the check may be
 * the one that is wrong. */
void sheaf__sim_json_of(sheaf_slice schema, sheaf_slice root, uint64_t key, sheaf_buf *out) {
  size_t from = out->bytes;
  bool is_made = false;
  for (uint32_t attempt = 0; attempt < WHOLE_ATTEMPTS && out->status == SHEAF_OK; attempt++) {
    sim_making making = {.root = root, .out = out};
    out->bytes = from;
    is_made = sheaf__sim_make(&making, &schema, 1, sheaf__sim_mix(key, attempt), 0);
    if (!is_made) continue;
    making.checks = 0;
    if (sheaf__sim_fits(&making, schema, (sheaf_slice){out->data + from, out->bytes - from}, 0))
      return;
  }
  if (!is_made) {
    if (out->status == SHEAF_OK) out->bytes = from;
    sheaf_buf_append_text(out, "{}");
  }
}
