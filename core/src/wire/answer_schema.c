/* answer_schema.c: a JSON schema: made, checked once for its shape, its references found.
 *
 * Outline: keywords; references; the shape of each keyword; life.
 *
 * A schema stays the text it is. Checking an answer walks it anew (answer_check.c): schemas of
 * structured outputs are a few KB, answers are few beside the time that a model takes for them. */
#include "wire/answer_int.h"

#include "base/mem.h"

#define REF_HOPS_MAX 32 /* references that lead to references */

/* ---- Keywords ---- */

enum { /* what a keyword's value must be */
       SHAPE_SCHEMA,
       SHAPE_SCHEMAS,    /* an array of them */
       SHAPE_SCHEMA_MAP, /* an object of them */
       SHAPE_ITEMS,      /* one, or an array of them */
       SHAPE_TYPE,
       SHAPE_NAMES,
       SHAPE_LIST,
       SHAPE_ANY,
       SHAPE_NUMBER,
       SHAPE_ABOVE_ZERO,
       SHAPE_COUNT,
       SHAPE_BOOL,
       SHAPE_REF
};

static const struct {
  const char *name;
  uint32_t shape;
} keywords[SHEAF__KW_NONE] = {
    [SHEAF__KW_TYPE] = {"type", SHAPE_TYPE},
    [SHEAF__KW_PROPERTIES] = {"properties", SHAPE_SCHEMA_MAP},
    [SHEAF__KW_REQUIRED] = {"required", SHAPE_NAMES},
    [SHEAF__KW_ADDITIONAL] = {"additionalProperties", SHAPE_SCHEMA},
    [SHEAF__KW_MIN_MEMBERS] = {"minProperties", SHAPE_COUNT},
    [SHEAF__KW_MAX_MEMBERS] = {"maxProperties", SHAPE_COUNT},
    [SHEAF__KW_ITEMS] = {"items", SHAPE_ITEMS},
    [SHEAF__KW_PREFIX] = {"prefixItems", SHAPE_SCHEMAS},
    [SHEAF__KW_MIN_ITEMS] = {"minItems", SHAPE_COUNT},
    [SHEAF__KW_MAX_ITEMS] = {"maxItems", SHAPE_COUNT},
    [SHEAF__KW_UNIQUE] = {"uniqueItems", SHAPE_BOOL},
    [SHEAF__KW_ENUM] = {"enum", SHAPE_LIST},
    [SHEAF__KW_CONST] = {"const", SHAPE_ANY},
    [SHEAF__KW_ANY] = {"anyOf", SHAPE_SCHEMAS},
    [SHEAF__KW_ONE] = {"oneOf", SHAPE_SCHEMAS},
    [SHEAF__KW_ALL] = {"allOf", SHAPE_SCHEMAS},
    [SHEAF__KW_NOT] = {"not", SHAPE_SCHEMA},
    [SHEAF__KW_MIN] = {"minimum", SHAPE_NUMBER},
    [SHEAF__KW_MAX] = {"maximum", SHAPE_NUMBER},
    [SHEAF__KW_ABOVE] = {"exclusiveMinimum", SHAPE_NUMBER},
    [SHEAF__KW_BELOW] = {"exclusiveMaximum", SHAPE_NUMBER},
    [SHEAF__KW_MULTIPLE] = {"multipleOf", SHAPE_ABOVE_ZERO},
    [SHEAF__KW_MIN_LENGTH] = {"minLength", SHAPE_COUNT},
    [SHEAF__KW_MAX_LENGTH] = {"maxLength", SHAPE_COUNT},
    [SHEAF__KW_REF] = {"$ref", SHAPE_REF},
};

/* Constraints of the drafts up to 2020-12 that are named and not checked. */
static const char *const unchecked[] = {
    "pattern",          "format",        "patternProperties",     "propertyNames",
    "contains",         "minContains",   "maxContains",           "if",
    "dependentSchemas", "dependencies",  "dependentRequired",     "additionalItems",
    "$dynamicRef",      "$recursiveRef", "unevaluatedProperties", "unevaluatedItems",
};

uint32_t sheaf__keyword(sheaf_slice key) {
  for (uint32_t i = 0; i < SHEAF__KW_NONE; i++)
    if (sheaf__slice_equal(key, sheaf_slice_of(keywords[i].name))) return i;
  return SHEAF__KW_NONE;
}

static void note_unchecked(sheaf_schema *schema, sheaf_slice key, uint32_t *noted) {
  for (uint32_t i = 0; i < sizeof unchecked / sizeof unchecked[0]; i++) {
    sheaf_slice name = sheaf_slice_of(unchecked[i]);
    if (*noted >> i & 1 || !sheaf__slice_equal(key, name)) continue;
    *noted |= 1u << i;
    char *to = schema->unchecked + schema->unchecked_bytes;
    if (schema->unchecked_bytes) {
      memcpy(to, ", ", 2);
      to += 2;
      schema->unchecked_bytes += 2;
    }
    memcpy(to, name.data, name.bytes); /* all of them together fit */
    schema->unchecked_bytes += name.bytes;
    return;
  }
}

/* ---- References ---- */

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One step of a pointer, up to the next slash, into to; bytes, or SIZE_MAX if it is too long. */
static size_t read_step(const char **at, const char *end, char *to, size_t room) {
  size_t bytes = 0;
  const char *p = *at;
  while (p < end && *p != '/') {
    char c = *p++;
    if (bytes == room) return SIZE_MAX;
    if (c == '~' && p < end && (*p == '0' || *p == '1')) {
      c = *p++ == '0' ? '~' : '/';
    } else if (c == '%' && end - p >= 2 && hex(p[0]) >= 0 && hex(p[1]) >= 0) {
      c = (char)(hex(p[0]) << 4 | hex(p[1]));
      p += 2;
    }
    to[bytes++] = c;
  }
  *at = p;
  return bytes;
}

static sheaf_slice element_at(sheaf_slice array, sheaf_slice step) {
  sheaf_json_iter iter;
  sheaf_slice key, value, none = {NULL, 0};
  int64_t index;
  if (sheaf_json_int(step, &index) != SHEAF_OK || sheaf_json_iter_init(&iter, array)) return none;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (index-- == 0) return value;
  return none;
}

sheaf_slice sheaf__schema_target(const sheaf_schema *schema, sheaf_slice reference) {
  sheaf_slice none = {NULL, 0}, at = {schema->text, schema->bytes};
  const char *p = reference.data, *end = p + reference.bytes;
  if (p == end || *p++ != '#') return none;
  while (p < end && at.bytes) {
    char step[256];
    if (*p++ != '/') return none;
    size_t bytes = read_step(&p, end, step, sizeof step);
    if (bytes == SIZE_MAX) return none;
    sheaf_slice name = {step, bytes};
    bool is_array = sheaf_json_kind(at) == SHEAF_JSON_ARRAY;
    at = is_array ? element_at(at, name) : sheaf__value_member(at, name);
  }
  return at;
}

/* Whether a reference leads to a schema, and not in a circle. */
static bool leads_somewhere(const sheaf_schema *schema, sheaf_slice value) {
  for (int hops = 0; hops < REF_HOPS_MAX; hops++) {
    sheaf_slice target = sheaf__schema_target(schema, sheaf_json_inside(value));
    uint32_t kind = sheaf_json_kind(target);
    if (kind != SHEAF_JSON_OBJECT && kind != SHEAF_JSON_BOOL) return false;
    value = sheaf_json_member(target, "$ref");
    if (sheaf_json_kind(value) != SHEAF_JSON_STRING) return true;
  }
  return false;
}

/* ---- Shapes ---- */

typedef struct survey {
  sheaf_schema *schema;
  sheaf_parse_error error;
  uint32_t noted;
} survey;

static bool refuse(survey *s, int32_t status, sheaf_slice at, const char *field,
                   const char *message) {
  size_t offset = at.data ? (size_t)(at.data - s->schema->text) : 0;
  s->error = (sheaf_parse_error){.status = status,
                                 .column = offset < UINT32_MAX ? (uint32_t)offset + 1 : UINT32_MAX,
                                 .offset = offset,
                                 .field = field,
                                 .message = message};
  return false;
}

static bool survey_schema(survey *s, sheaf_slice schema);

/* Every value of an array or object. */
static bool survey_all(survey *s, sheaf_slice list) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_iter_init(&iter, list)) return false;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (!survey_schema(s, value)) return false;
  return true;
}

static bool is_type_name(sheaf_slice value) {
  static const char *const names[] = {"null",   "boolean", "integer", "number",
                                      "string", "array",   "object"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (sheaf_json_equals(value, names[i])) return true;
  return false;
}

static bool is_string(sheaf_slice value) {
  return sheaf_json_kind(value) == SHEAF_JSON_STRING;
}

static bool all_are(sheaf_slice list, bool (*is)(sheaf_slice value)) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_kind(list) != SHEAF_JSON_ARRAY || sheaf_json_iter_init(&iter, list)) return false;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (!is(value)) return false;
  return true;
}

static bool is_count(sheaf_slice value) {
  int64_t count;
  return sheaf_json_kind(value) == SHEAF_JSON_NUMBER && sheaf_json_int(value, &count) == SHEAF_OK &&
         count >= 0;
}

/* Whether a keyword's value is what it must be, subschemas apart. */
static bool has_shape(uint32_t shape, sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  switch (shape) {
    case SHAPE_SCHEMA: return kind == SHEAF_JSON_OBJECT || kind == SHEAF_JSON_BOOL;
    case SHAPE_SCHEMAS:
    case SHAPE_LIST: return kind == SHEAF_JSON_ARRAY;
    case SHAPE_SCHEMA_MAP: return kind == SHEAF_JSON_OBJECT;
    case SHAPE_ITEMS:
      return kind == SHEAF_JSON_OBJECT || kind == SHEAF_JSON_BOOL || kind == SHEAF_JSON_ARRAY;
    case SHAPE_TYPE: return is_type_name(value) || all_are(value, is_type_name);
    case SHAPE_NAMES: return all_are(value, is_string);
    case SHAPE_NUMBER: return kind == SHEAF_JSON_NUMBER;
    case SHAPE_ABOVE_ZERO: return kind == SHEAF_JSON_NUMBER && sheaf__number_sign(value) > 0;
    case SHAPE_COUNT: return is_count(value);
    case SHAPE_BOOL: return kind == SHEAF_JSON_BOOL;
    case SHAPE_REF: return kind == SHEAF_JSON_STRING;
    default: return true;
  }
}

static bool survey_keyword(survey *s, uint32_t keyword, sheaf_slice value) {
  const char *name = keywords[keyword].name;
  uint32_t shape = keywords[keyword].shape;
  if (!has_shape(shape, value))
    return refuse(s, SHEAF_E_TYPE, value, name, "a keyword of the schema has no value of its kind");
  if (shape == SHAPE_REF && !leads_somewhere(s->schema, value))
    return refuse(s, SHEAF_E_FIELD, value, name,
                  "a $ref must lead to a schema in the same document, as \"#/$defs/name\"");
  if (shape == SHAPE_SCHEMA) return survey_schema(s, value);
  if (shape == SHAPE_ITEMS && sheaf_json_kind(value) != SHEAF_JSON_ARRAY)
    return survey_schema(s, value);
  bool is_list = shape == SHAPE_ITEMS || shape == SHAPE_SCHEMAS || shape == SHAPE_SCHEMA_MAP;
  return !is_list || survey_all(s, value);
}

/* No deeper than its JSON is nested. */
static bool survey_schema(survey *s, sheaf_slice schema) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint32_t kind = sheaf_json_kind(schema);
  if (kind == SHEAF_JSON_BOOL) return true;
  if (kind != SHEAF_JSON_OBJECT || sheaf_json_iter_init(&iter, schema))
    return refuse(s, SHEAF_E_TYPE, schema, NULL, "a schema is an object, true or false");
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    uint32_t keyword = sheaf__keyword(key);
    if (keyword != SHEAF__KW_NONE) {
      if (!survey_keyword(s, keyword, value)) return false;
      continue;
    }
    bool is_store = sheaf__slice_equal(key, SHEAF_LITERAL("$defs")) ||
                    sheaf__slice_equal(key, SHEAF_LITERAL("definitions"));
    if (is_store && sheaf_json_kind(value) == SHEAF_JSON_OBJECT) {
      if (!survey_all(s, value)) return false;
    } else {
      note_unchecked(s->schema, key, &s->noted);
    }
  }
  return true;
}

/* ---- Life ---- */

static sheaf_slice trimmed(sheaf_slice text) {
  while (text.bytes && (unsigned char)text.data[0] <= ' ') text.data++, text.bytes--;
  while (text.bytes && (unsigned char)text.data[text.bytes - 1] <= ' ') text.bytes--;
  return text;
}

int32_t sheaf_schema_new(sheaf_slice json, const sheaf_allocator *allocator, sheaf_schema **out,
                         sheaf_parse_error *error) {
  sheaf_parse_error unused;
  if (error == NULL) error = &unused;
  if (allocator == NULL || out == NULL) return SHEAF_E_MISUSE;
  if (json.bytes > SHEAF_SCHEMA_BYTES_MAX) {
    *error = (sheaf_parse_error){.status = SHEAF_E_TOO_LONG,
                                 .message = "a schema may have 1 MB; make it shorter"};
    return error->status;
  }
  int32_t status = sheaf_json_check(json, error);
  if (status != SHEAF_OK) return status;
  size_t before = (size_t)(trimmed(json).data - json.data);
  json = trimmed(json);
  sheaf_schema *schema = sheaf__alloc_zero(allocator, sizeof *schema);
  char *text = sheaf__alloc(allocator, json.bytes);
  if (schema == NULL || text == NULL) {
    sheaf__free(allocator, schema, sizeof *schema);
    sheaf__free(allocator, text, json.bytes);
    *error = (sheaf_parse_error){.status = SHEAF_E_NOMEM, .message = "no memory for the schema"};
    return SHEAF_E_NOMEM;
  }
  memcpy(text, json.data, json.bytes);
  schema->allocator = *allocator;
  schema->text = text;
  schema->bytes = json.bytes;
  survey s = {.schema = schema};
  if (!survey_schema(&s, (sheaf_slice){text, json.bytes})) {
    *error = s.error;
    error->offset += before;
    error->column += (uint32_t)before;
    sheaf_schema_free(schema);
    return error->status;
  }
  *out = schema;
  return SHEAF_OK;
}

void sheaf_schema_free(sheaf_schema *schema) {
  if (schema == NULL) return;
  sheaf_allocator allocator = schema->allocator;
  sheaf__free(&allocator, schema->text, schema->bytes);
  sheaf__free(&allocator, schema, sizeof *schema);
}

sheaf_slice sheaf_schema_unchecked(const sheaf_schema *schema) {
  return (sheaf_slice){schema->unchecked, schema->unchecked_bytes};
}
