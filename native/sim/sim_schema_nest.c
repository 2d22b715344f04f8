/* sim_schema_nest.c: objects and arrays drawn from schemas.
 *
 *   object   names of all schemas -> which of them -> further ones by additionalProperties -> each
 *            member from all schemas that speak of its name
 *   array    how many -> each element from all schemas that speak of its place */
#include "sim_schema.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 4096u   /* of one object */
#define MORE_ITEMS_MAX 3u /* elements beyond the least */
#define MORE_MEMBERS_MAX 3u
#define UNIQUE_ATTEMPTS 24u
#define SCHEMAS_MAX 256u /* that speak of one member */

enum { /* purposes of draws */
       DRAW_COUNT = 1,
       DRAW_NAME = 100,
       DRAW_OPTIONAL = 1000,
       DRAW_CHILD = 100000
};

/* Schemas that a member or element has to satisfy, gathered. */
typedef struct gathered {
  sheaf_slice schema[SCHEMAS_MAX];
  uint32_t count;
  bool is_forbidden;
} gathered;

static void gather(gathered *g, sheaf_slice schema) {
  if (!schema.bytes) return;
  if (sheaf_json_kind(schema) == SHEAF_JSON_BOOL && !sheaf_json_true(schema))
    g->is_forbidden = true;
  if (g->count < SCHEMAS_MAX) g->schema[g->count++] = schema;
}

static uint64_t largest(const sim_schemas *all, uint32_t keyword) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < all->count; i++) {
    uint64_t one = sheaf__sim_schema_count(&all->at[i], keyword, 0);
    if (one > count) count = one;
  }
  return count;
}

static uint64_t smallest(const sim_schemas *all, uint32_t keyword) {
  uint64_t count = UINT64_MAX;
  for (uint32_t i = 0; i < all->count; i++) {
    uint64_t one = sheaf__sim_schema_count(&all->at[i], keyword, UINT64_MAX);
    if (one < count) count = one;
  }
  return count;
}

/* ---- Objects ---- */

typedef struct name {
  sheaf_slice text; /* the inside of a JSON string */
  bool is_required;
  bool is_wanted;
} name;

typedef struct object {
  sim_making *making;
  const sim_schemas *all;
  name *names;
  uint32_t count, room;
  uint64_t key;
  uint32_t depth;
  uint64_t written; /* members */
  size_t from;      /* of the object, in making->out */
} object;

static sheaf_slice member_of(sheaf_slice properties, sheaf_slice wanted) {
  sheaf_json_iter iter;
  sheaf_slice key, value, found = {0};
  if (sheaf_json_kind(properties) != SHEAF_JSON_OBJECT) return found;
  if (sheaf_json_iter_init(&iter, properties) != SHEAF_OK) return found;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (key.bytes == wanted.bytes && memcmp(key.data, wanted.data, key.bytes) == 0) found = value;
  return found;
}

static name *find_name(const object *o, sheaf_slice text) {
  for (uint32_t i = 0; i < o->count; i++)
    if (o->names[i].text.bytes == text.bytes &&
        (text.bytes == 0 || memcmp(o->names[i].text.data, text.data, text.bytes) == 0))
      return &o->names[i];
  return NULL;
}

static void add_name(object *o, sheaf_slice text, bool is_required) {
  name *known = find_name(o, text);
  if (known) {
    known->is_required = known->is_required || is_required;
    return;
  }
  if (o->count == NAMES_MAX) return;
  if (o->count == o->room) {
    uint32_t room = o->room ? o->room * 2 : 16;
    name *grown = realloc(o->names, room * sizeof *grown);
    if (!grown) return;
    o->names = grown;
    o->room = room;
  }
  o->names[o->count++] = (name){.text = text, .is_required = is_required};
}

/* Gemini's propertyOrdering comes first, then the order of "properties". */
static void add_names(object *o, uint32_t keyword) {
  for (uint32_t i = 0; i < o->all->count; i++) {
    sheaf_slice list = o->all->at[i].word[keyword], key, value;
    sheaf_json_iter iter;
    bool is_object = sheaf_json_kind(list) == SHEAF_JSON_OBJECT;
    if (!list.bytes || sheaf_json_iter_init(&iter, list) != SHEAF_OK) continue;
    while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
      if (!is_object && sheaf_json_kind(value) != SHEAF_JSON_STRING) continue;
      sheaf_slice text = is_object ? key : sheaf_json_inside(value);
      if (keyword == SIM_KW_PROPERTY_ORDERING &&
          !member_of(o->all->at[i].word[SIM_KW_PROPERTIES], text).bytes)
        continue;
      add_name(o, text, keyword == SIM_KW_REQUIRED);
    }
  }
}

static bool gather_patterns(gathered *g, sheaf_slice patterns, sheaf_slice text) {
  sheaf_json_iter iter;
  sheaf_slice pattern, schema;
  sheaf_buf plain;
  bool is_known = false;
  if (sheaf_json_kind(patterns) != SHEAF_JSON_OBJECT) return false;
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_append_unescaped(&plain, text);
  if (sheaf_json_iter_init(&iter, patterns) == SHEAF_OK)
    while (sheaf_json_iter_next(&iter, &pattern, &schema) == SHEAF_OK)
      if (sheaf__sim_pattern_fits(pattern, sheaf_buf_slice(&plain))) {
        is_known = true;
        gather(g, schema);
      }
  sheaf_buf_deinit(&plain);
  return is_known;
}

/* All that the schemas say of a member of this name. */
static void gather_member(const object *o, sheaf_slice text, gathered *g) {
  g->count = 0;
  g->is_forbidden = false;
  for (uint32_t i = 0; i < o->all->count; i++) {
    const sheaf_slice *word = o->all->at[i].word;
    sheaf_slice schema = member_of(word[SIM_KW_PROPERTIES], text);
    gather(g, schema);
    bool is_known = gather_patterns(g, word[SIM_KW_PATTERN_PROPERTIES], text) || schema.bytes;
    if (!is_known) gather(g, word[SIM_KW_MORE_PROPERTIES]);
  }
}

/* Appends a member; false: it has no value, and nothing was appended. */
static bool write_member(object *o, sheaf_slice text) {
  gathered g;
  sheaf_buf *out = o->making->out;
  size_t from = out->bytes;
  gather_member(o, text, &g);
  if (g.is_forbidden) return false;
  if (o->written) sheaf_buf_append(out, ",", 1);
  sheaf_buf_append(out, "\"", 1);
  sheaf_buf_append_slice(out, text);
  sheaf_buf_append(out, "\":", 2);
  uint64_t key = sheaf__sim_mix(o->key, DRAW_CHILD + o->written);
  if (sheaf__sim_make(o->making, g.schema, g.count, key, o->depth + 1)) {
    o->written++;
    return out->status == SHEAF_OK;
  }
  out->bytes = from;
  return false;
}

/* Marks the names that will be members: the required ones, and of the others as many as are drawn,
 * within the bounds. */
static bool select_names(object *o, uint64_t least, uint64_t most) {
  uint64_t required = 0, taken = 0;
  bool is_small = sheaf__sim_is_small(o->making, o->depth);
  for (uint32_t i = 0; i < o->count; i++) required += o->names[i].is_required;
  if (required > most) return false;
  uint64_t left = o->count - required, needed = least > required ? least - required : 0;
  for (uint32_t i = 0; i < o->count; i++) {
    name *one = &o->names[i];
    one->is_wanted = one->is_required;
    if (one->is_required) continue;
    one->is_wanted = !is_small && sheaf__sim_draw(o->key, DRAW_OPTIONAL + i, 2) != 0;
    if (needed > taken && needed - taken >= left) one->is_wanted = true;
    if (taken >= most - required) one->is_wanted = false;
    taken += one->is_wanted;
    left--;
  }
  return true;
}

/* Marks what a marked name demands by "dependentRequired". True: there was something to mark. */
static bool select_dependents(object *o, const sim_schema *schema) {
  sheaf_json_iter iter, names;
  sheaf_slice key, list, text;
  bool has_changed = false;
  sheaf_slice dependents = schema->word[SIM_KW_DEPENDENT_REQUIRED];
  if (sheaf_json_kind(dependents) != SHEAF_JSON_OBJECT) return false;
  if (sheaf_json_iter_init(&iter, dependents) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &list) == SHEAF_OK) {
    const name *one = find_name(o, key);
    if (!one || !one->is_wanted || sheaf_json_iter_init(&names, list) != SHEAF_OK) continue;
    while (sheaf_json_iter_next(&names, &key, &text) == SHEAF_OK) {
      add_name(o, sheaf_json_inside(text), false);
      name *demanded = find_name(o, sheaf_json_inside(text));
      if (!demanded || demanded->is_wanted) continue;
      demanded->is_wanted = demanded->is_required = has_changed = true;
    }
  }
  return has_changed;
}

static bool write_names(object *o) {
  bool has_changed = true;
  while (has_changed) {
    has_changed = false;
    for (uint32_t i = 0; i < o->all->count; i++)
      has_changed = select_dependents(o, &o->all->at[i]) || has_changed;
  }
  for (uint32_t i = 0; i < o->count; i++)
    if (o->names[i].is_wanted && !write_member(o, o->names[i].text) && o->names[i].is_required)
      return false;
  return true;
}

/* A name of the form of the first of patternProperties. */
static void make_patterned(sheaf_slice patterns, uint64_t key, sheaf_buf *made) {
  sheaf_json_iter iter;
  sheaf_slice pattern, schema;
  sheaf_buf text, plain;
  if (sheaf_json_kind(patterns) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, patterns) != SHEAF_OK) return;
  if (sheaf_json_iter_next(&iter, &pattern, &schema) != SHEAF_OK) return;
  sim_pattern *read = malloc(sizeof *read);
  sheaf_buf_init(&text, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_append_unescaped(&text, pattern);
  if (read && sheaf__sim_pattern_read(read, sheaf_buf_slice(&text)))
    sheaf__sim_pattern_write(read, key, sheaf__sim_draw(key, DRAW_COUNT, 8), &plain);
  sheaf_buf_append_escaped(made, sheaf_buf_slice(&plain));
  sheaf_buf_deinit(&text);
  sheaf_buf_deinit(&plain);
  free(read);
}

/* A name that propertyNames allows. */
static void make_allowed(object *o, sheaf_slice schema, uint64_t key, sheaf_buf *made) {
  sim_making inner = *o->making;
  inner.out = made;
  bool is_made = sheaf__sim_make(&inner, &schema, 1, key, o->depth + 1);
  o->making->work = inner.work;
  sheaf_slice inside = sheaf_json_inside(sheaf_buf_slice(made));
  if (is_made && inside.bytes) memmove(made->data, inside.data, inside.bytes);
  made->bytes = inside.bytes;
}

/* The n-th name for members that no schema names. */
static void make_name(object *o, uint64_t n, sheaf_buf *made) {
  uint64_t key = sheaf__sim_mix(o->key, DRAW_NAME + n);
  sheaf_buf_reset(made);
  for (uint32_t i = 0; i < o->all->count && made->bytes == 0; i++) {
    const sheaf_slice *word = o->all->at[i].word;
    if (word[SIM_KW_PROPERTY_NAMES].bytes)
      make_allowed(o, word[SIM_KW_PROPERTY_NAMES], key, made);
    else
      make_patterned(word[SIM_KW_PATTERN_PROPERTIES], key, made);
  }
  if (made->bytes) return;
  sheaf__sim_lorem(key, 1, made);
  if (n >= 8) sheaf_buf_append_u64(made, n);
}

/* Members that no schema names, until there are `wanted`. */
static bool write_more(object *o, uint64_t wanted) {
  sheaf_buf made;
  sheaf_buf_init(&made, &sheaf__sim_allocator, SIM_BODY_MAX);
  uint64_t attempts = 0, attempts_max = 16 + 8 * wanted;
  if (attempts_max > NAMES_MAX) attempts_max = NAMES_MAX;
  for (; o->written < wanted && attempts < attempts_max; attempts++) {
    make_name(o, attempts, &made);
    sheaf_slice text = sheaf_buf_slice(&made);
    if (made.status != SHEAF_OK || !text.data) break;
    /* What was written so far is whole but for its brace. */
    sheaf_buf *out = o->making->out;
    sheaf_buf_append(out, "}", 1);
    if (out->status != SHEAF_OK) break;
    sheaf_slice whole = {out->data + o->from, out->bytes - o->from};
    bool is_taken = member_of(whole, text).bytes != 0 || find_name(o, text);
    out->bytes--;
    if (!is_taken) write_member(o, text);
  }
  sheaf_buf_deinit(&made);
  return o->written >= wanted;
}

/* A map: no names, but a word about their values. */
static bool is_map(const object *o) {
  for (uint32_t i = 0; o->count == 0 && i < o->all->count; i++) {
    const sheaf_slice *word = o->all->at[i].word;
    if (sheaf_json_kind(word[SIM_KW_MORE_PROPERTIES]) == SHEAF_JSON_OBJECT ||
        word[SIM_KW_PATTERN_PROPERTIES].bytes)
      return true;
  }
  return false;
}

bool sheaf__sim_make_object(sim_making *making, const sim_schemas *all, uint64_t key,
                            uint32_t depth) {
  object o = {.making = making, .all = all, .key = key, .depth = depth, .from = making->out->bytes};
  uint64_t least = largest(all, SIM_KW_MIN_PROPERTIES);
  uint64_t most = smallest(all, SIM_KW_MAX_PROPERTIES);
  add_names(&o, SIM_KW_PROPERTY_ORDERING);
  add_names(&o, SIM_KW_PROPERTIES);
  add_names(&o, SIM_KW_REQUIRED);
  sheaf_buf_append(making->out, "{", 1);
  bool is_made =
      least <= most && least <= NAMES_MAX && select_names(&o, least, most) && write_names(&o);
  uint64_t wanted = least;
  if (is_made && is_map(&o) && !sheaf__sim_is_small(making, depth)) {
    wanted = 1 + sheaf__sim_draw(key, DRAW_COUNT, MORE_MEMBERS_MAX);
    if (wanted < least) wanted = least;
    if (wanted > most) wanted = most;
  }
  if (is_made && o.written < wanted) is_made = write_more(&o, wanted) || o.written >= least;
  sheaf_buf_append(making->out, "}", 1);
  free(o.names);
  return is_made && making->out->status == SHEAF_OK;
}

/* ---- Arrays ---- */

typedef struct element {
  size_t from, bytes;
} element;

typedef struct array {
  sim_making *making;
  const sim_schemas *all;
  uint64_t key;
  uint32_t depth;
  bool is_unique;
  element *elements; /* with is_unique: where each of them stands in making->out */
  size_t count, room;
} array;

/* The schemas of the first elements, each with its own; older drafts have them in "items". */
static sheaf_slice first_schemas(const sim_schema *schema) {
  if (sheaf_json_kind(schema->word[SIM_KW_ITEMS]) == SHEAF_JSON_ARRAY)
    return schema->word[SIM_KW_ITEMS];
  return schema->word[SIM_KW_PREFIX_ITEMS];
}

static sheaf_slice rest_schema(const sim_schema *schema) {
  if (sheaf_json_kind(schema->word[SIM_KW_ITEMS]) == SHEAF_JSON_ARRAY)
    return schema->word[SIM_KW_MORE_ITEMS];
  return schema->word[SIM_KW_ITEMS];
}

static uint64_t first_count(const sim_schema *schema) {
  sheaf_json_iter iter;
  sheaf_slice key, one, list = first_schemas(schema);
  uint64_t count = 0;
  if (sheaf_json_kind(list) != SHEAF_JSON_ARRAY || sheaf_json_iter_init(&iter, list) != SHEAF_OK)
    return 0;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) count++;
  return count;
}

static sheaf_slice element_schema(const sim_schema *schema, uint64_t n) {
  sheaf_json_iter iter;
  sheaf_slice key, one = {0};
  if (n >= first_count(schema)) return rest_schema(schema);
  if (sheaf_json_iter_init(&iter, first_schemas(schema)) != SHEAF_OK) return one;
  for (uint64_t i = 0; i <= n; i++) (void)sheaf_json_iter_next(&iter, &key, &one);
  return one;
}

/* All that the schemas say of the n-th element. The first ones are what "contains" wants. */
static void gather_element(const array *a, uint64_t n, gathered *g) {
  g->count = 0;
  g->is_forbidden = false;
  for (uint32_t i = 0; i < a->all->count; i++) {
    const sim_schema *schema = &a->all->at[i];
    uint64_t first = first_count(schema);
    gather(g, element_schema(schema, n));
    if (schema->word[SIM_KW_CONTAINS].bytes && n >= first &&
        n - first < sheaf__sim_schema_count(schema, SIM_KW_MIN_CONTAINS, 1))
      gather(g, schema->word[SIM_KW_CONTAINS]);
  }
}

/* Whether the value at `from` stands in the array already; notes it if not. */
static bool is_repeated(array *a, size_t from) {
  sheaf_buf *out = a->making->out;
  sheaf_slice value = {out->data + from, out->bytes - from};
  for (size_t i = 0; i < a->count; i++) {
    sheaf_slice one = {out->data + a->elements[i].from, a->elements[i].bytes};
    if (sheaf__sim_json_equal(one, value)) return true;
  }
  if (a->count == a->room) {
    size_t room = a->room ? a->room * 2 : 16;
    element *grown = realloc(a->elements, room * sizeof *grown);
    if (!grown) return true;
    a->elements = grown;
    a->room = room;
  }
  a->elements[a->count++] = (element){from, value.bytes};
  return false;
}

/* Appends the n-th element; false: it has no value, and nothing was appended. */
static bool write_element(array *a, uint64_t n) {
  gathered g;
  sheaf_buf *out = a->making->out;
  size_t from = out->bytes;
  gather_element(a, n, &g);
  if (g.is_forbidden) return false;
  if (n) sheaf_buf_append(out, ",", 1);
  size_t value_at = out->bytes;
  for (uint32_t attempt = 0; attempt < (a->is_unique ? UNIQUE_ATTEMPTS : 1); attempt++) {
    uint64_t key = sheaf__sim_mix(sheaf__sim_mix(a->key, DRAW_CHILD + n), attempt);
    uint32_t widening = a->making->widening;
    a->making->widening = attempt;
    bool is_made = sheaf__sim_make(a->making, g.schema, g.count, key, a->depth + 1);
    a->making->widening = widening;
    if (!is_made) break;
    if (out->status == SHEAF_OK && (!a->is_unique || !is_repeated(a, value_at))) return true;
    if (out->status == SHEAF_OK) out->bytes = value_at;
  }
  if (out->status == SHEAF_OK) out->bytes = from;
  return false;
}

static uint64_t draw_count(const array *a, uint64_t least, uint64_t most) {
  uint64_t first = 0, contained = 0;
  for (uint32_t i = 0; i < a->all->count; i++) {
    const sim_schema *schema = &a->all->at[i];
    uint64_t some = first_count(schema);
    if (some > first) first = some;
    if (schema->word[SIM_KW_CONTAINS].bytes)
      some += sheaf__sim_schema_count(schema, SIM_KW_MIN_CONTAINS, 1);
    if (some > contained) contained = some;
  }
  if (least < contained) least = contained;
  if (sheaf__sim_is_small(a->making, a->depth)) return least < most ? least : most;
  if (least == 0) least = 1;
  least += sheaf__sim_draw(a->key, DRAW_COUNT, MORE_ITEMS_MAX);
  return least < most ? least : most;
}

bool sheaf__sim_make_array(sim_making *making, const sim_schemas *all, uint64_t key,
                           uint32_t depth) {
  array a = {.making = making, .all = all, .key = key, .depth = depth};
  uint64_t least = largest(all, SIM_KW_MIN_ITEMS), most = smallest(all, SIM_KW_MAX_ITEMS);
  for (uint32_t i = 0; i < all->count; i++)
    if (sheaf_json_true(all->at[i].word[SIM_KW_UNIQUE_ITEMS])) a.is_unique = true;
  if (least > most) return false;
  uint64_t wanted = draw_count(&a, least, most), written = 0;
  sheaf_buf_append(making->out, "[", 1);
  while (written < wanted && write_element(&a, written)) written++;
  sheaf_buf_append(making->out, "]", 1);
  free(a.elements);
  return written >= least && making->out->status == SHEAF_OK;
}
