/* sim_check.c: a request body against a table of what its fields may be.
 *
 * Outline: names of kinds; one value against its row; an object's members; the body.
 *
 * One walk checks the grammar, a second goes over the members. What was wrong is left in the call
 * (field, expected, got, row): the sentences are each provider's own. */
#include "sim_int.h"

#include <string.h>

uint32_t sheaf__sim_fail(sim_call *call, uint32_t error, const char *field, const char *expected,
                         sheaf_slice got) {
  call->field = field;
  call->expected = expected;
  call->got = got;
  call->row = NULL;
  call->element = 0;
  return error;
}

static uint32_t fail_row(sim_call *call, uint32_t error, const sim_field *row, const char *expected,
                         sheaf_slice got) {
  sheaf__sim_fail(call, error, row->name, expected, got);
  call->row = row;
  return error;
}

/* ---- Kinds ---- */

static bool looks_whole(sheaf_slice number) {
  for (size_t i = 0; i < number.bytes; i++)
    if (memchr(".eE", number.data[i], 3)) return false;
  return true;
}

const char *sheaf__sim_kind_name(sheaf_slice value) {
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_NULL: return "null";
    case SHEAF_JSON_BOOL: return "boolean";
    case SHEAF_JSON_NUMBER: return looks_whole(value) ? "integer" : "number";
    case SHEAF_JSON_STRING: return "string";
    case SHEAF_JSON_ARRAY: return "array";
    case SHEAF_JSON_OBJECT: return "object";
    default: return "nothing";
  }
}

/* Static texts for the sets that tables use; a call keeps a pointer only. */
static const char *kinds_name(const sim_field *row) {
  switch (row->kinds & ~(uint32_t)SIM_IS_NULL) {
    case SIM_IS_BOOL: return "boolean";
    case SIM_IS_NUMBER: return row->is_integer ? "integer" : "number";
    case SIM_IS_STRING: return "string";
    case SIM_IS_ARRAY: return "array";
    case SIM_IS_OBJECT: return "object";
    case SIM_IS_STRING | SIM_IS_ARRAY: return "string or array";
    case SIM_IS_STRING | SIM_IS_OBJECT: return "string or object";
    case SIM_IS_STRING | SIM_IS_NUMBER:
      return row->is_integer ? "string or integer" : "string or number";
    case SIM_IS_ARRAY | SIM_IS_OBJECT: return "array or object";
    case SIM_IS_BOOL | SIM_IS_STRING: return "boolean or string";
    case SIM_IS_BOOL | SIM_IS_OBJECT: return "boolean or object";
    case SIM_IS_STRING | SIM_IS_ARRAY | SIM_IS_OBJECT: return "string, array or object";
    default: return "another type";
  }
}

/* ---- One value ---- */

/* Beyond what fits into an int64_t only the sign is known. */
static double number_of(sheaf_slice value) {
  int64_t number;
  if (sheaf_json_nano(value, &number) == SHEAF_OK) return (double)number / 1e9;
  if (sheaf_json_int(value, &number) == SHEAF_OK) return (double)number;
  return value.data[0] == '-' ? -1e30 : 1e30;
}

/* Whether the list " a b c " has the string, which no value with a space or an escape is in. */
static bool is_listed(const char *list, sheaf_slice inside) {
  if (!inside.bytes || memchr(inside.data, ' ', inside.bytes)) return false;
  for (const char *at = list; (at = strchr(at, ' ')) && at[1]; at++)
    if (strncmp(at + 1, inside.data, inside.bytes) == 0 && at[1 + inside.bytes] == ' ') return true;
  return false;
}

uint32_t sheaf__sim_check_value(sim_call *call, const sim_field *row, sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  if (kind == SHEAF_JSON_NULL && !row->is_required) return SIM_ERROR_COUNT;
  if (!(row->kinds & 1u << kind))
    return fail_row(call, SIM_WRONG_TYPE, row, kinds_name(row), value);
  if (kind == SHEAF_JSON_STRING && row->values && !is_listed(row->values, sheaf_json_inside(value)))
    return fail_row(call, SIM_BAD_VALUE, row, row->values, value);
  if (kind != SHEAF_JSON_NUMBER) return SIM_ERROR_COUNT;
  int64_t whole;
  if (row->is_integer && sheaf_json_int(value, &whole) == SHEAF_E_TYPE)
    return fail_row(call, SIM_WRONG_TYPE, row, kinds_name(row), value);
  if (!(row->min < 0 || row->max > 0 || row->min > 0)) return SIM_ERROR_COUNT;
  double number = number_of(value);
  if (number < row->min) return fail_row(call, SIM_BAD_VALUE, row, "minimum", value);
  if (number > row->max) return fail_row(call, SIM_BAD_VALUE, row, "maximum", value);
  return SIM_ERROR_COUNT;
}

/* ---- Members ---- */

typedef struct checked {
  sim_call *call;
  const sim_field *fields;
  uint32_t count;
  bool refuses_more;
  sheaf_slice *values;
} checked;

/* How a row's name stands to "prefix" + key: it is that, it lies below that, or neither. A dot in a
 * key is no step. */
enum { NAME_OTHER, NAME_SAME, NAME_BELOW };

static uint32_t compare_name(const char *name, sheaf_slice prefix, sheaf_slice key) {
  if (prefix.bytes && strncmp(name, prefix.data, prefix.bytes) != 0) return NAME_OTHER;
  name += prefix.bytes;
  if (*name != *key.data || strncmp(name, key.data, key.bytes) != 0) return NAME_OTHER;
  if (memchr(key.data, '.', key.bytes)) return NAME_OTHER;
  return name[key.bytes] == 0 ? NAME_SAME : name[key.bytes] == '.' ? NAME_BELOW : NAME_OTHER;
}

static uint32_t check_members(const checked *of, sheaf_slice object, sheaf_slice prefix);

/* One member: its own row, then the rows that lie below it. The prefix of those is taken from one
 * of their names. */
static uint32_t check_member(const checked *of, sheaf_slice prefix, sheaf_slice key,
                             sheaf_slice value) {
  const char *below = NULL;
  bool is_named = false;
  uint32_t error = SIM_ERROR_COUNT;
  if (!key.bytes) key = (sheaf_slice){"", 0};
  for (uint32_t i = 0; i < of->count && error == SIM_ERROR_COUNT; i++) {
    uint32_t is = compare_name(of->fields[i].name, prefix, key);
    if (is == NAME_BELOW) below = of->fields[i].name;
    if (is != NAME_SAME) continue;
    is_named = true;
    error = sheaf__sim_check_value(of->call, &of->fields[i], value);
    bool is_null = sheaf_json_kind(value) == SHEAF_JSON_NULL;
    of->values[i] = is_null ? (sheaf_slice){0} : value;
  }
  if (error != SIM_ERROR_COUNT) return error;
  if (below && sheaf_json_kind(value) == SHEAF_JSON_OBJECT)
    return check_members(of, value, (sheaf_slice){below, prefix.bytes + key.bytes + 1});
  if (is_named || below || prefix.bytes || !of->refuses_more) return SIM_ERROR_COUNT;
  return sheaf__sim_fail(of->call, SIM_UNKNOWN_FIELD, NULL, NULL, key);
}

/* A row is missed in the object that it belongs to, and only where that is there. */
static uint32_t check_missing(const checked *of, sheaf_slice prefix) {
  for (uint32_t i = 0; i < of->count; i++) {
    const sim_field *row = &of->fields[i];
    if (!row->is_required || of->values[i].bytes) continue;
    if (prefix.bytes && strncmp(row->name, prefix.data, prefix.bytes) != 0) continue;
    if (strchr(row->name + prefix.bytes, '.')) continue;
    return fail_row(of->call, SIM_MISSING_FIELD, row, kinds_name(row), (sheaf_slice){0});
  }
  return SIM_ERROR_COUNT;
}

static uint32_t check_members(const checked *of, sheaf_slice object, sheaf_slice prefix) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return SIM_BAD_JSON;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    uint32_t error = check_member(of, prefix, key, value);
    if (error != SIM_ERROR_COUNT) return error;
  }
  return check_missing(of, prefix);
}

uint32_t sheaf__sim_check_object(sim_call *call, sheaf_slice object, const sim_field *fields,
                                 uint32_t count, bool allows_more, sheaf_slice *values) {
  const checked of = {.call = call,
                      .fields = fields,
                      .count = count,
                      .refuses_more = !allows_more && !call->world->options->is_lenient,
                      .values = values};
  memset(values, 0, count * sizeof *values);
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT)
    return sheaf__sim_fail(call, SIM_BAD_JSON, NULL, "object", object);
  return check_members(&of, object, (sheaf_slice){0});
}

uint32_t sheaf__sim_check(sim_call *call, const sim_field *fields, uint32_t count, bool allows_more,
                          sheaf_slice *values) {
  static const char *const whole = "";
  sheaf_slice root;
  sheaf_json_facts facts;
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), &whole, 1, &root, &facts, NULL) != SHEAF_OK ||
      facts.has_invalid_utf8)
    return sheaf__sim_fail(call, SIM_BAD_JSON, NULL, NULL, (sheaf_slice){0});
  return sheaf__sim_check_object(call, root, fields, count, allows_more, values);
}
