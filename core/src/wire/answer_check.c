/* answer_check.c: a value against a schema: how many faults, and the first in words.
 *
 * Outline: the walk's state; the sentence of a fault; types; numbers, texts and sizes; members;
 * elements; alternatives; the walk.
 *
 * The walk is bounded in work and in nesting, because a schema may refer to itself and alternatives
 * multiply; what is left unchecked then is said and is no fault. */
#include "wire/answer_int.h"

#include "base/mem.h"

#define WORK_MAX 2000000u /* looks at a value, 64 bytes of it each: a tenth of a second at most */
#define DEPTH_MAX 128u    /* schemas within schemas: two for each of 64 levels with references */
#define UNIQUE_MAX 256u   /* elements compared pairwise */

typedef struct place {
  const struct place *up; /* NULL: the value itself */
  sheaf_slice key;        /* of a member */
  uint32_t index;         /* of an element, where key.data is NULL */
} place;

typedef struct check {
  const sheaf_schema *schema;
  sheaf_schema_fault *told;
  uint32_t work;
  uint32_t depth;
  uint32_t faults;
  uint32_t quiet; /* within alternatives: faults are counted and not told */
  uint32_t base;  /* faults when the innermost alternative began: one more decides it */
} check;

static bool spend(check *c, size_t bytes) {
  size_t price = 1 + bytes / 64;
  c->work = price < c->work ? c->work - (uint32_t)price : 0;
  if (c->work == 0) c->told->incomplete = true;
  return c->work > 0;
}

/* ---- The sentence ---- */

static void say(check *c, sheaf_slice part) {
  char *message = c->told->message;
  size_t at = strlen(message), room = sizeof c->told->message - 1 - at;
  size_t bytes = part.bytes < room ? part.bytes : room;
  while (bytes > 0 && bytes < part.bytes && ((unsigned char)part.data[bytes] & 0xC0) == 0x80)
    bytes--; /* no half characters at the cut */
  if (bytes) memcpy(message + at, part.data, bytes);
  message[at + bytes] = 0;
}

static void say_text(check *c, const char *text) {
  say(c, sheaf_slice_of(text));
}

static void say_number(check *c, uint32_t number) {
  char digits[10];
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + number % 10);
  while (number /= 10);
  say(c, (sheaf_slice){digits + at, sizeof digits - at});
}

/* A key as a step of a JSON pointer (RFC 6901): ~ and / are written as ~0 and ~1. */
static void say_key(check *c, sheaf_slice key) {
  size_t kept = 0;
  for (size_t i = 0; i < key.bytes; i++) {
    if (key.data[i] != '~' && key.data[i] != '/') continue;
    say(c, (sheaf_slice){key.data + kept, i - kept});
    say_text(c, key.data[i] == '~' ? "~0" : "~1");
    kept = i + 1;
  }
  say(c, sheaf__slice_from(key, kept));
}

/* At most 64 places, as the value is nested. */
static void say_place(check *c, const place *at) {
  const place *steps[SHEAF_JSON_DEPTH_MAX + 1];
  uint32_t count = 0;
  for (; at->up != NULL && count <= SHEAF_JSON_DEPTH_MAX; at = at->up) steps[count++] = at;
  if (count == 0) return;
  while (count > 0) {
    const place *step = steps[--count];
    say_text(c, "/");
    if (step->key.data != NULL)
      say_key(c, step->key);
    else
      say_number(c, step->index);
  }
  say_text(c, ": ");
}

/* Counts a fault. The first is told: true, and the caller may go on with its sentence. */
static bool fault(check *c, const place *at, const char *sentence) {
  c->faults++;
  if (c->quiet || c->told->message[0] != 0) return false;
  say_place(c, at);
  say_text(c, sentence);
  return true;
}

/* A fault whose sentence ends in a value of the schema. */
static void fault_of(check *c, const place *at, const char *sentence, sheaf_slice limit) {
  if (fault(c, at, sentence)) say(c, limit);
}

/* ---- Types ---- */

static const char *kind_name(sheaf_slice value) {
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_NULL: return "null";
    case SHEAF_JSON_BOOL: return "boolean";
    case SHEAF_JSON_NUMBER: return sheaf__number_is_whole(value) ? "integer" : "number";
    case SHEAF_JSON_STRING: return "string";
    case SHEAF_JSON_ARRAY: return "array";
    default: return "object";
  }
}

static bool is_of(sheaf_slice value, sheaf_slice type) {
  const char *name = kind_name(value);
  if (sheaf_json_equals(type, name)) return true;
  return strcmp(name, "integer") == 0 && sheaf_json_equals(type, "number");
}

static void check_type(check *c, sheaf_slice types, sheaf_slice value, const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, type;
  bool is_list = sheaf_json_kind(types) == SHEAF_JSON_ARRAY;
  if (!is_list && is_of(value, types)) return;
  if (is_list && sheaf_json_iter_init(&iter, types)) return;
  while (is_list && sheaf_json_iter_next(&iter, &key, &type) == SHEAF_OK)
    if (is_of(value, type)) return;
  if (!fault(c, at, "")) return;
  if (!is_list) {
    say(c, sheaf_json_inside(types));
  } else if (sheaf_json_iter_init(&iter, types) == SHEAF_OK) {
    for (bool more = false; sheaf_json_iter_next(&iter, &key, &type) == SHEAF_OK; more = true) {
      if (more) say_text(c, " or ");
      say(c, sheaf_json_inside(type));
    }
  }
  say_text(c, " wanted, ");
  say_text(c, kind_name(value));
  say_text(c, " found");
}

/* ---- Numbers, texts and sizes ---- */

static void check_number(check *c, uint32_t keyword, sheaf_slice limit, sheaf_slice value,
                         const place *at) {
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return;
  if (keyword == SHEAF__KW_MULTIPLE) {
    int is_multiple = sheaf__number_is_multiple(value, limit);
    if (is_multiple < 0) c->told->incomplete = true;
    if (is_multiple == 0) fault_of(c, at, "no multiple of ", limit);
    return;
  }
  int order = sheaf__number_compare(value, limit);
  if (keyword == SHEAF__KW_MIN && order < 0) fault_of(c, at, "below the minimum of ", limit);
  if (keyword == SHEAF__KW_MAX && order > 0) fault_of(c, at, "above the maximum of ", limit);
  if (keyword == SHEAF__KW_ABOVE && order <= 0) fault_of(c, at, "not above ", limit);
  if (keyword == SHEAF__KW_BELOW && order >= 0) fault_of(c, at, "not below ", limit);
}

static uint64_t count_of(sheaf_slice list) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint64_t count = 0;
  if (sheaf_json_iter_init(&iter, list)) return 0;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) count++;
  return count;
}

static uint64_t limit_of(sheaf_slice limit) {
  int64_t number = 0;
  sheaf_json_int(limit, &number);
  return number > 0 ? (uint64_t)number : 0;
}

/* Lengths of texts, arrays and objects; each keyword is for one of them. */
static void check_size(check *c, uint32_t keyword, sheaf_slice limit, sheaf_slice value,
                       const place *at) {
  uint32_t kind = SHEAF_JSON_ARRAY;
  if (keyword == SHEAF__KW_MIN_LENGTH || keyword == SHEAF__KW_MAX_LENGTH) kind = SHEAF_JSON_STRING;
  if (keyword == SHEAF__KW_MIN_MEMBERS || keyword == SHEAF__KW_MAX_MEMBERS)
    kind = SHEAF_JSON_OBJECT;
  if (sheaf_json_kind(value) != kind) return;
  bool is_min = keyword == SHEAF__KW_MIN_LENGTH || keyword == SHEAF__KW_MIN_ITEMS ||
                keyword == SHEAF__KW_MIN_MEMBERS;
  uint64_t size = kind == SHEAF_JSON_STRING
                      ? sheaf__text_count(sheaf_json_inside(value), UINT64_MAX)
                      : count_of(value);
  uint64_t wanted = limit_of(limit);
  if (is_min ? size >= wanted : size <= wanted) return;
  if (!fault(c, at, is_min ? "fewer than " : "more than ")) return;
  say(c, limit);
  say_text(c, kind == SHEAF_JSON_STRING  ? " characters"
              : kind == SHEAF_JSON_ARRAY ? " elements"
                                         : " members");
}

static void check_unique(check *c, sheaf_slice wanted, sheaf_slice value, const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, element, seen[UNIQUE_MAX];
  uint32_t count = 0;
  if (!sheaf_json_true(wanted) || sheaf_json_kind(value) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&iter, value)) return;
  for (; sheaf_json_iter_next(&iter, &key, &element) == SHEAF_OK; seen[count++] = element) {
    if (count == UNIQUE_MAX) {
      c->told->incomplete = true;
      return;
    }
    for (uint32_t i = 0; i < count; i++) {
      bool is_same = sheaf__value_equal(seen[i], element, &c->work);
      if (!spend(c, 0)) return;
      if (!is_same) continue;
      if (fault(c, at, "two equal elements, the second is number ")) say_number(c, count);
      return;
    }
  }
}

static void check_listed(check *c, sheaf_slice list, sheaf_slice value, const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, one;
  if (sheaf_json_iter_init(&iter, list)) return;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK)
    if (sheaf__value_equal(one, value, &c->work)) return;
  fault(c, at, "none of the values that are listed");
}

/* ---- Members ---- */

static void walk(check *c, sheaf_slice schema, sheaf_slice value, const place *at);

static void check_members(check *c, sheaf_slice properties, sheaf_slice value, const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, schema;
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, properties)) return;
  while (sheaf_json_iter_next(&iter, &key, &schema) == SHEAF_OK) {
    if (!spend(c, value.bytes)) return;
    sheaf_slice member = sheaf__value_member(value, key);
    place in = {at, key, 0};
    if (member.bytes) walk(c, schema, member, &in);
  }
}

static void check_required(check *c, sheaf_slice names, sheaf_slice value, const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, name;
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, names)) return;
  while (sheaf_json_iter_next(&iter, &key, &name) == SHEAF_OK) {
    if (!spend(c, value.bytes)) return;
    if (sheaf__value_member(value, sheaf_json_inside(name)).bytes) continue;
    if (!fault(c, at, "member \"")) continue;
    say(c, sheaf_json_inside(name));
    say_text(c, "\" is missing");
  }
}

/* Members that properties does not name. Where patternProperties might name them, nothing is said. */
static void check_additional(check *c, sheaf_slice whole, sheaf_slice schema, sheaf_slice value,
                             const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, member, properties = sheaf_json_member(whole, "properties");
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT || sheaf_json_true(schema)) return;
  if (sheaf_json_member(whole, "patternProperties").bytes) return;
  if (sheaf_json_iter_init(&iter, value)) return;
  bool is_barred = sheaf_json_kind(schema) == SHEAF_JSON_BOOL;
  while (sheaf_json_iter_next(&iter, &key, &member) == SHEAF_OK) {
    if (!spend(c, properties.bytes)) return;
    if (sheaf__value_member(properties, key).bytes) continue;
    place in = {at, key, 0};
    if (!is_barred) {
      walk(c, schema, member, &in);
      continue;
    }
    if (fault(c, at, "member \"")) {
      say(c, key);
      say_text(c, "\" is not allowed");
    }
    return;
  }
}

/* ---- Elements ---- */

/* The n-th schema of a list; empty past its end. */
static sheaf_slice nth(sheaf_json_iter *iter) {
  sheaf_slice key, schema;
  return sheaf_json_iter_next(iter, &key, &schema) == SHEAF_OK ? schema : (sheaf_slice){NULL, 0};
}

static void check_prefix(check *c, sheaf_slice list, sheaf_slice value, const place *at) {
  sheaf_json_iter schemas, elements;
  sheaf_slice key, element;
  if (sheaf_json_kind(value) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&schemas, list) || sheaf_json_iter_init(&elements, value)) return;
  for (uint32_t i = 0; sheaf_json_iter_next(&elements, &key, &element) == SHEAF_OK; i++) {
    sheaf_slice schema = nth(&schemas);
    if (schema.bytes == 0) return;
    place in = {at, {NULL, 0}, i};
    walk(c, schema, element, &in);
  }
}

static void check_items(check *c, sheaf_slice whole, sheaf_slice schema, sheaf_slice value,
                        const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, element;
  if (sheaf_json_kind(schema) == SHEAF_JSON_ARRAY) {
    check_prefix(c, schema, value, at);
    return;
  }
  if (sheaf_json_kind(value) != SHEAF_JSON_ARRAY || sheaf_json_true(schema)) return;
  uint64_t before = count_of(sheaf_json_member(whole, "prefixItems"));
  if (sheaf_json_iter_init(&iter, value)) return;
  for (uint32_t i = 0; sheaf_json_iter_next(&iter, &key, &element) == SHEAF_OK; i++) {
    if (i < before) continue;
    if (sheaf_json_kind(schema) == SHEAF_JSON_BOOL) {
      if (fault(c, at, "more elements than the first ")) say_number(c, (uint32_t)before);
      return;
    }
    place in = {at, {NULL, 0}, i};
    walk(c, schema, element, &in);
  }
}

/* ---- Alternatives ---- */

/* Whether a value is without fault by a schema; nothing is told. */
static bool fits(check *c, sheaf_slice schema, sheaf_slice value, const place *at) {
  uint32_t faults = c->faults, base = c->base;
  c->base = faults;
  c->quiet++;
  walk(c, schema, value, at);
  bool is_good = c->faults == faults;
  c->quiet--;
  c->base = base;
  c->faults = faults;
  return is_good;
}

static void check_choice(check *c, uint32_t keyword, sheaf_slice list, sheaf_slice value,
                         const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, schema;
  uint32_t fitting = 0;
  if (sheaf_json_iter_init(&iter, list)) return;
  while (sheaf_json_iter_next(&iter, &key, &schema) == SHEAF_OK) {
    if (keyword == SHEAF__KW_ALL) {
      walk(c, schema, value, at);
      continue;
    }
    fitting += fits(c, schema, value, at);
    if (c->work == 0) return;
    if (keyword == SHEAF__KW_ANY && fitting) return;
    if (fitting > 1) {
      fault(c, at, "fits more than one alternative of oneOf");
      return;
    }
  }
  if (keyword != SHEAF__KW_ALL && fitting == 0)
    fault(
        c, at,
        keyword == SHEAF__KW_ANY ? "fits no alternative of anyOf" : "fits no alternative of oneOf");
}

/* ---- The walk ---- */

static void check_keyword(check *c, uint32_t keyword, sheaf_slice whole, sheaf_slice of,
                          sheaf_slice value, const place *at) {
  switch (keyword) {
    case SHEAF__KW_TYPE: check_type(c, of, value, at); break;
    case SHEAF__KW_PROPERTIES: check_members(c, of, value, at); break;
    case SHEAF__KW_REQUIRED: check_required(c, of, value, at); break;
    case SHEAF__KW_ADDITIONAL: check_additional(c, whole, of, value, at); break;
    case SHEAF__KW_ITEMS: check_items(c, whole, of, value, at); break;
    case SHEAF__KW_PREFIX: check_prefix(c, of, value, at); break;
    case SHEAF__KW_UNIQUE: check_unique(c, of, value, at); break;
    case SHEAF__KW_ENUM: check_listed(c, of, value, at); break;
    case SHEAF__KW_CONST:
      if (!sheaf__value_equal(of, value, &c->work)) fault_of(c, at, "must be ", of);
      break;
    case SHEAF__KW_ANY:
    case SHEAF__KW_ONE:
    case SHEAF__KW_ALL: check_choice(c, keyword, of, value, at); break;
    case SHEAF__KW_NOT:
      if (fits(c, of, value, at) && !c->told->incomplete) fault(c, at, "fits what it must not fit");
      break;
    case SHEAF__KW_MIN:
    case SHEAF__KW_MAX:
    case SHEAF__KW_ABOVE:
    case SHEAF__KW_BELOW:
    case SHEAF__KW_MULTIPLE: check_number(c, keyword, of, value, at); break;
    case SHEAF__KW_REF:
      walk(c, sheaf__schema_target(c->schema, sheaf_json_inside(of)), value, at);
      break;
    default: check_size(c, keyword, of, value, at);
  }
}

static void walk(check *c, sheaf_slice schema, sheaf_slice value, const place *at) {
  sheaf_json_iter iter;
  sheaf_slice key, of;
  if (sheaf_json_kind(schema) == SHEAF_JSON_BOOL) {
    if (!sheaf_json_true(schema)) fault(c, at, "no value is allowed here");
    return;
  }
  if (c->depth == DEPTH_MAX) c->told->incomplete = true;
  if (c->depth == DEPTH_MAX || !spend(c, schema.bytes) || sheaf_json_iter_init(&iter, schema))
    return;
  c->depth++;
  while (sheaf_json_iter_next(&iter, &key, &of) == SHEAF_OK) {
    if (c->work == 0 || (c->quiet && c->faults > c->base)) break;
    uint32_t keyword = sheaf__keyword(key);
    if (keyword == SHEAF__KW_NONE) continue;
    if (!c->quiet) c->told->checks++;
    check_keyword(c, keyword, schema, of, value, at);
  }
  if (c->work == 0) c->told->incomplete = true;
  c->depth--;
}

static sheaf_slice trimmed(sheaf_slice text) {
  while (text.bytes && (unsigned char)text.data[0] <= ' ') text.data++, text.bytes--;
  while (text.bytes && (unsigned char)text.data[text.bytes - 1] <= ' ') text.bytes--;
  return text;
}

int32_t sheaf_schema_check(const sheaf_schema *schema, sheaf_slice json,
                           sheaf_schema_fault *fault_told) {
  fault_told->faults = fault_told->checks = 0;
  fault_told->incomplete = false;
  fault_told->message[0] = 0;
  int32_t status = sheaf_json_check(json, NULL);
  if (status != SHEAF_OK) return status;
  check c = {.schema = schema, .told = fault_told, .work = WORK_MAX};
  place root = {NULL, {NULL, 0}, 0};
  walk(&c, (sheaf_slice){schema->text, schema->bytes}, trimmed(json), &root);
  fault_told->faults = c.faults;
  return SHEAF_OK;
}
