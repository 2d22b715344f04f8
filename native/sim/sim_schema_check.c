/* sim_schema_check.c: whether a JSON value is valid against a schema: the keywords that
 * sim_schema.h lists, without "format" and what draft 2020-12 calls unevaluated. It decides which
 * draws are kept; an answer of somebody else is not its business, so it lets pass what it does not
 * know, and what would take too long. */
#include "sim_schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHECKS_MAX 400000u /* schemas looked at for one answer */
#define NUMBER_BYTES_MAX 64u

/* ---- Values ---- */

bool sheaf__sim_json_double(sheaf_slice value, double *number) {
  char text[NUMBER_BYTES_MAX];
  char *end;
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) value = sheaf_json_inside(value);
  if (value.bytes == 0 || value.bytes >= sizeof text) return false;
  memcpy(text, value.data, value.bytes);
  text[value.bytes] = 0;
  *number = strtod(text, &end);
  return *end == 0 && isfinite(*number);
}

static uint32_t members(sheaf_slice value) {
  sheaf_json_iter iter;
  sheaf_slice key, one;
  uint32_t count = 0;
  if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return 0;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) count++;
  return count;
}

static bool same_bytes(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Insides of strings, also where one of them escapes what the other does not. */
static bool same_text(sheaf_slice a, sheaf_slice b) {
  if (same_bytes(a, b)) return true;
  if (!memchr(a.data ? a.data : "", '\\', a.bytes) && !memchr(b.data ? b.data : "", '\\', b.bytes))
    return false;
  sheaf_buf x, y;
  sheaf_buf_init(&x, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_init(&y, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_append_unescaped(&x, a);
  sheaf_buf_append_unescaped(&y, b);
  bool is_same = x.status == SHEAF_OK && y.status == SHEAF_OK &&
                 same_bytes(sheaf_buf_slice(&x), sheaf_buf_slice(&y));
  sheaf_buf_deinit(&x);
  sheaf_buf_deinit(&y);
  return is_same;
}

static sheaf_slice member_of(sheaf_slice object, sheaf_slice name) {
  sheaf_json_iter iter;
  sheaf_slice key, value, found = {0};
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return found;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return found;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK)
    if (same_text(key, name)) found = value;
  return found;
}

static bool same_elements(sheaf_slice a, sheaf_slice b) {
  sheaf_json_iter one, other;
  sheaf_slice key, x, y;
  if (sheaf_json_iter_init(&one, a) != SHEAF_OK || sheaf_json_iter_init(&other, b) != SHEAF_OK)
    return false;
  while (sheaf_json_iter_next(&one, &key, &x) == SHEAF_OK)
    if (sheaf_json_iter_next(&other, &key, &y) != SHEAF_OK || !sheaf__sim_json_equal(x, y))
      return false;
  return sheaf_json_iter_next(&other, &key, &y) != SHEAF_OK;
}

static bool same_members(sheaf_slice a, sheaf_slice b) {
  sheaf_json_iter iter;
  sheaf_slice key, x;
  if (members(a) != members(b) || sheaf_json_iter_init(&iter, a) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &x) == SHEAF_OK) {
    sheaf_slice y = member_of(b, key);
    if (!y.bytes || !sheaf__sim_json_equal(x, y)) return false;
  }
  return true;
}

bool sheaf__sim_json_equal(sheaf_slice a, sheaf_slice b) {
  uint32_t kind = sheaf_json_kind(a);
  double x, y;
  if (kind != sheaf_json_kind(b)) return false;
  if (same_bytes(a, b)) return true;
  if (kind == SHEAF_JSON_NUMBER)
    return sheaf__sim_json_double(a, &x) && sheaf__sim_json_double(b, &y) && x == y;
  if (kind == SHEAF_JSON_STRING) return same_text(sheaf_json_inside(a), sheaf_json_inside(b));
  if (kind == SHEAF_JSON_ARRAY) return same_elements(a, b);
  if (kind == SHEAF_JSON_OBJECT) return same_members(a, b);
  return false; /* true and false */
}

/* Unlike the bytes they may be, an integer is told by its value: 1.0 is one. */
static uint32_t type_of(sheaf_slice value) {
  double number;
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_NULL: return SIM_TYPE_NULL;
    case SHEAF_JSON_BOOL: return SIM_TYPE_BOOL;
    case SHEAF_JSON_STRING: return SIM_TYPE_STRING;
    case SHEAF_JSON_ARRAY: return SIM_TYPE_ARRAY;
    case SHEAF_JSON_OBJECT: return SIM_TYPE_OBJECT;
    default: break;
  }
  if (!sheaf__sim_json_double(value, &number)) return SIM_TYPE_INTEGER;
  return floor(number) == number ? SIM_TYPE_INTEGER : SIM_TYPE_FRACTION;
}

/* ---- Keywords ---- */

static bool lists_fit(sim_making *making, const sim_schema *schema, sheaf_slice value,
                      uint32_t depth) {
  static const uint32_t words[] = {SIM_KW_ALL_OF, SIM_KW_ANY_OF, SIM_KW_ONE_OF};
  for (uint32_t i = 0; i < 3; i++) {
    sheaf_json_iter iter;
    sheaf_slice key, branch;
    uint32_t count = 0, fitting = 0;
    if (sheaf_json_kind(schema->word[words[i]]) != SHEAF_JSON_ARRAY) continue;
    if (sheaf_json_iter_init(&iter, schema->word[words[i]]) != SHEAF_OK) continue;
    while (sheaf_json_iter_next(&iter, &key, &branch) == SHEAF_OK) {
      count++;
      fitting += sheaf__sim_fits(making, branch, value, depth);
    }
    if (words[i] == SIM_KW_ALL_OF && fitting != count) return false;
    if (words[i] == SIM_KW_ANY_OF && fitting == 0) return false;
    if (words[i] == SIM_KW_ONE_OF && fitting != 1) return false;
  }
  return true;
}

static bool conditions_fit(sim_making *making, const sim_schema *schema, sheaf_slice value,
                           uint32_t depth) {
  const sheaf_slice *word = schema->word;
  if (word[SIM_KW_NOT].bytes && sheaf__sim_fits(making, word[SIM_KW_NOT], value, depth))
    return false;
  if (!word[SIM_KW_IF].bytes) return true;
  sheaf_slice then =
      word[sheaf__sim_fits(making, word[SIM_KW_IF], value, depth) ? SIM_KW_THEN : SIM_KW_ELSE];
  return !then.bytes || sheaf__sim_fits(making, then, value, depth);
}

static bool is_listed(sheaf_slice list, sheaf_slice value) {
  sheaf_json_iter iter;
  sheaf_slice key, one;
  if (sheaf_json_iter_init(&iter, list) != SHEAF_OK) return true;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK)
    if (sheaf__sim_json_equal(one, value)) return true;
  return false;
}

/* Python's jsonschema divides doubles and asks for a whole quotient, others take the remainder with
 * some tolerance: what passes here passes there. */
bool sheaf__sim_is_multiple(double number, double of) {
  if (of == 0) return true;
  double quotient = number / of;
  return isfinite(quotient) && floor(quotient) == quotient;
}

static bool number_fits(const sim_schema *schema, sheaf_slice value) {
  const sheaf_slice *word = schema->word;
  double number, bound;
  if (!sheaf__sim_json_double(value, &number)) return true;
  if (sheaf__sim_json_double(word[SIM_KW_MINIMUM], &bound) &&
      (number < bound || (number == bound && sheaf_json_true(word[SIM_KW_MINIMUM_EXCLUSIVE]))))
    return false;
  if (sheaf__sim_json_double(word[SIM_KW_MAXIMUM], &bound) &&
      (number > bound || (number == bound && sheaf_json_true(word[SIM_KW_MAXIMUM_EXCLUSIVE]))))
    return false;
  if (sheaf__sim_json_double(word[SIM_KW_MINIMUM_EXCLUSIVE], &bound) && number <= bound)
    return false;
  if (sheaf__sim_json_double(word[SIM_KW_MAXIMUM_EXCLUSIVE], &bound) && number >= bound)
    return false;
  return !sheaf__sim_json_double(word[SIM_KW_MULTIPLE_OF], &bound) ||
         sheaf__sim_is_multiple(number, bound);
}

static uint64_t characters(sheaf_slice plain) {
  uint64_t count = 0;
  for (size_t i = 0; i < plain.bytes; i++) count += ((unsigned char)plain.data[i] & 0xc0) != 0x80;
  return count;
}

bool sheaf__sim_pattern_fits(sheaf_slice pattern, sheaf_slice text) {
  sheaf_buf plain;
  bool fits = true;
  sim_pattern *read = malloc(sizeof *read);
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_BODY_MAX);
  if (read && sheaf_buf_append_unescaped(&plain, pattern) == SHEAF_OK &&
      sheaf__sim_pattern_read(read, sheaf_buf_slice(&plain)))
    fits = sheaf__sim_pattern_match(read, text);
  sheaf_buf_deinit(&plain);
  free(read);
  return fits;
}

static bool string_fits(const sim_schema *schema, sheaf_slice value) {
  const sheaf_slice *word = schema->word;
  bool fits = true;
  if (!word[SIM_KW_MIN_LENGTH].bytes && !word[SIM_KW_MAX_LENGTH].bytes &&
      !word[SIM_KW_PATTERN].bytes)
    return true;
  sheaf_buf plain;
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_REPLY_MAX);
  if (sheaf_buf_append_unescaped(&plain, sheaf_json_inside(value)) == SHEAF_OK) {
    sheaf_slice text = sheaf_buf_slice(&plain);
    uint64_t count = characters(text);
    fits = count >= sheaf__sim_schema_count(schema, SIM_KW_MIN_LENGTH, 0) &&
           count <= sheaf__sim_schema_count(schema, SIM_KW_MAX_LENGTH, UINT64_MAX);
    if (fits && word[SIM_KW_PATTERN].bytes)
      fits = sheaf__sim_pattern_fits(sheaf_json_inside(word[SIM_KW_PATTERN]), text);
  }
  sheaf_buf_deinit(&plain);
  return fits;
}

/* ---- Arrays ---- */

static bool elements_differ(sheaf_slice value) {
  sheaf_json_iter outer, inner;
  sheaf_slice key, one, other;
  if (sheaf_json_iter_init(&outer, value) != SHEAF_OK) return true;
  while (sheaf_json_iter_next(&outer, &key, &one) == SHEAF_OK) {
    inner = outer;
    while (sheaf_json_iter_next(&inner, &key, &other) == SHEAF_OK)
      if (sheaf__sim_json_equal(one, other)) return false;
  }
  return true;
}

/* The n-th of the schemas that an array gives its first elements; the one for all others beyond. */
static sheaf_slice element_schema(const sim_schema *schema, uint64_t n) {
  sheaf_slice rest = schema->word[SIM_KW_ITEMS], list = schema->word[SIM_KW_PREFIX_ITEMS];
  sheaf_json_iter iter;
  sheaf_slice key, one;
  if (sheaf_json_kind(rest) == SHEAF_JSON_ARRAY) {
    list = rest;
    rest = schema->word[SIM_KW_MORE_ITEMS];
  }
  if (sheaf_json_kind(list) == SHEAF_JSON_ARRAY && sheaf_json_iter_init(&iter, list) == SHEAF_OK)
    for (uint64_t i = 0; sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK; i++)
      if (i == n) return one;
  return rest;
}

static bool array_fits(sim_making *making, const sim_schema *schema, sheaf_slice value,
                       uint32_t depth) {
  const sheaf_slice *word = schema->word;
  sheaf_json_iter iter;
  sheaf_slice key, one;
  uint64_t count = 0, found = 0;
  if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return true;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) {
    sheaf_slice wanted = element_schema(schema, count++);
    if (wanted.bytes && !sheaf__sim_fits(making, wanted, one, depth)) return false;
    if (word[SIM_KW_CONTAINS].bytes)
      found += sheaf__sim_fits(making, word[SIM_KW_CONTAINS], one, depth);
  }
  if (count < sheaf__sim_schema_count(schema, SIM_KW_MIN_ITEMS, 0)) return false;
  if (count > sheaf__sim_schema_count(schema, SIM_KW_MAX_ITEMS, UINT64_MAX)) return false;
  if (word[SIM_KW_CONTAINS].bytes &&
      (found < sheaf__sim_schema_count(schema, SIM_KW_MIN_CONTAINS, 1) ||
       found > sheaf__sim_schema_count(schema, SIM_KW_MAX_CONTAINS, UINT64_MAX)))
    return false;
  return !sheaf_json_true(word[SIM_KW_UNIQUE_ITEMS]) || elements_differ(value);
}

/* ---- Objects ---- */

/* Also of "dependentRequired" the lists of names. */
static bool has_all(sheaf_slice names, sheaf_slice value) {
  sheaf_json_iter iter;
  sheaf_slice key, name;
  if (sheaf_json_kind(names) != SHEAF_JSON_ARRAY) return true;
  if (sheaf_json_iter_init(&iter, names) != SHEAF_OK) return true;
  while (sheaf_json_iter_next(&iter, &key, &name) == SHEAF_OK)
    if (!member_of(value, sheaf_json_inside(name)).bytes) return false;
  return true;
}

static bool dependents_fit(sim_making *making, const sim_schema *schema, sheaf_slice value,
                           uint32_t depth) {
  static const uint32_t words[] = {SIM_KW_DEPENDENT_REQUIRED, SIM_KW_DEPENDENT_SCHEMAS};
  for (uint32_t i = 0; i < 2; i++) {
    sheaf_json_iter iter;
    sheaf_slice key, one;
    if (sheaf_json_kind(schema->word[words[i]]) != SHEAF_JSON_OBJECT) continue;
    if (sheaf_json_iter_init(&iter, schema->word[words[i]]) != SHEAF_OK) continue;
    while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) {
      if (!member_of(value, key).bytes) continue;
      if (i == 0 ? !has_all(one, value) : !sheaf__sim_fits(making, one, value, depth)) return false;
    }
  }
  return true;
}

/* Whether the member's name is one of the patterns; checks its value against their schemas. */
static bool patterns_fit(sim_making *making, const sim_schema *schema, sheaf_slice name,
                         sheaf_slice value, uint32_t depth, bool *is_known) {
  sheaf_json_iter iter;
  sheaf_slice pattern, wanted;
  sheaf_buf plain;
  bool fits = true;
  if (sheaf_json_kind(schema->word[SIM_KW_PATTERN_PROPERTIES]) != SHEAF_JSON_OBJECT) return true;
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_append_unescaped(&plain, name);
  if (sheaf_json_iter_init(&iter, schema->word[SIM_KW_PATTERN_PROPERTIES]) == SHEAF_OK)
    while (fits && sheaf_json_iter_next(&iter, &pattern, &wanted) == SHEAF_OK) {
      if (!sheaf__sim_pattern_fits(pattern, sheaf_buf_slice(&plain))) continue;
      *is_known = true;
      fits = sheaf__sim_fits(making, wanted, value, depth);
    }
  sheaf_buf_deinit(&plain);
  return fits;
}

static bool member_fits(sim_making *making, const sim_schema *schema, sheaf_slice name,
                        sheaf_slice value, uint32_t depth) {
  const sheaf_slice *word = schema->word;
  sheaf_slice wanted = member_of(word[SIM_KW_PROPERTIES], name);
  bool is_known = wanted.bytes != 0;
  if (wanted.bytes && !sheaf__sim_fits(making, wanted, value, depth)) return false;
  if (!patterns_fit(making, schema, name, value, depth, &is_known)) return false;
  if (!is_known && word[SIM_KW_MORE_PROPERTIES].bytes &&
      !sheaf__sim_fits(making, word[SIM_KW_MORE_PROPERTIES], value, depth))
    return false;
  /* As a string value the name is itself with its quotes, which stand around it in the text. */
  sheaf_slice quoted = {name.data - 1, name.bytes + 2};
  return !word[SIM_KW_PROPERTY_NAMES].bytes ||
         sheaf__sim_fits(making, word[SIM_KW_PROPERTY_NAMES], quoted, depth);
}

static bool object_fits(sim_making *making, const sim_schema *schema, sheaf_slice value,
                        uint32_t depth) {
  sheaf_json_iter iter;
  sheaf_slice name, one;
  uint64_t count = 0;
  if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return true;
  while (sheaf_json_iter_next(&iter, &name, &one) == SHEAF_OK) {
    count++;
    if (!member_fits(making, schema, name, one, depth)) return false;
  }
  return count >= sheaf__sim_schema_count(schema, SIM_KW_MIN_PROPERTIES, 0) &&
         count <= sheaf__sim_schema_count(schema, SIM_KW_MAX_PROPERTIES, UINT64_MAX) &&
         has_all(schema->word[SIM_KW_REQUIRED], value) &&
         dependents_fit(making, schema, value, depth);
}

/* ---- The whole ---- */

bool sheaf__sim_fits(sim_making *making, sheaf_slice text, sheaf_slice value, uint32_t depth) {
  sim_schema schema;
  uint32_t type = type_of(value);
  if (++making->checks > CHECKS_MAX || depth > 2 * SIM_JSON_DEPTH_MAX) return true;
  if (!sheaf__sim_schema_read(text, &schema))
    return sheaf_json_kind(text) != SHEAF_JSON_BOOL || sheaf_json_true(text);
  const sheaf_slice *word = schema.word;
  if (!(sheaf__sim_schema_types(&schema) & type)) return false;
  if (type == SIM_TYPE_NULL && sheaf_json_true(word[SIM_KW_NULLABLE])) return true;
  if (word[SIM_KW_REF].bytes) {
    sheaf_slice target = sheaf__sim_schema_ref(making->root, word[SIM_KW_REF]);
    if (target.bytes && !sheaf__sim_fits(making, target, value, depth + 1)) return false;
  }
  if (word[SIM_KW_CONST].bytes && !sheaf__sim_json_equal(word[SIM_KW_CONST], value)) return false;
  if (word[SIM_KW_ENUM].bytes && !is_listed(word[SIM_KW_ENUM], value)) return false;
  if (type & SIM_TYPE_NUMBER && !number_fits(&schema, value)) return false;
  if (type == SIM_TYPE_STRING && !string_fits(&schema, value)) return false;
  if (type == SIM_TYPE_ARRAY && !array_fits(making, &schema, value, depth + 1)) return false;
  if (type == SIM_TYPE_OBJECT && !object_fits(making, &schema, value, depth + 1)) return false;
  return lists_fit(making, &schema, value, depth + 1) &&
         conditions_fit(making, &schema, value, depth + 1);
}
