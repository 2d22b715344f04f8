/* sim_schema.h: what the files share that draw a JSON value from a JSON Schema.
 *
 *   sim_schema.c         the entry; $ref, allOf, anyOf, types; which branch
 *   sim_schema_nest.c    objects and arrays
 *   sim_schema_plain.c   strings and numbers
 *   sim_schema_check.c   whether a value is valid
 *   sim_pattern.c        regular expressions, matched and written
 *
 * A value is drawn from several schemas at once that all hold: a schema, what it refers to, its
 * allOf, the branch that was picked of its anyOf. Nothing is merged: each keyword is asked of each
 * of them. */
#ifndef SIM_SCHEMA_H
#define SIM_SCHEMA_H

#include "sim_int.h"

#define SIM_KEYWORD_MAP(X)                   \
  X(REF, "$ref")                             \
  X(TYPE, "type")                            \
  X(NULLABLE, "nullable")                    \
  X(ENUM, "enum")                            \
  X(CONST, "const")                          \
  X(ALL_OF, "allOf")                         \
  X(ANY_OF, "anyOf")                         \
  X(ONE_OF, "oneOf")                         \
  X(NOT, "not")                              \
  X(IF, "if")                                \
  X(THEN, "then")                            \
  X(ELSE, "else")                            \
  X(PROPERTIES, "properties")                \
  X(PATTERN_PROPERTIES, "patternProperties") \
  X(MORE_PROPERTIES, "additionalProperties") \
  X(REQUIRED, "required")                    \
  X(MIN_PROPERTIES, "minProperties")         \
  X(MAX_PROPERTIES, "maxProperties")         \
  X(PROPERTY_NAMES, "propertyNames")         \
  X(PROPERTY_ORDERING, "propertyOrdering")   \
  X(DEPENDENT_REQUIRED, "dependentRequired") \
  X(DEPENDENT_SCHEMAS, "dependentSchemas")   \
  X(ITEMS, "items")                          \
  X(PREFIX_ITEMS, "prefixItems")             \
  X(MORE_ITEMS, "additionalItems")           \
  X(MIN_ITEMS, "minItems")                   \
  X(MAX_ITEMS, "maxItems")                   \
  X(UNIQUE_ITEMS, "uniqueItems")             \
  X(CONTAINS, "contains")                    \
  X(MIN_CONTAINS, "minContains")             \
  X(MAX_CONTAINS, "maxContains")             \
  X(MINIMUM, "minimum")                      \
  X(MAXIMUM, "maximum")                      \
  X(MINIMUM_EXCLUSIVE, "exclusiveMinimum")   \
  X(MAXIMUM_EXCLUSIVE, "exclusiveMaximum")   \
  X(MULTIPLE_OF, "multipleOf")               \
  X(MIN_LENGTH, "minLength")                 \
  X(MAX_LENGTH, "maxLength")                 \
  X(PATTERN, "pattern")                      \
  X(FORMAT, "format")

enum {
#define SIM_KEYWORD_ENUM(name, text) SIM_KW_##name,
  SIM_KEYWORD_MAP(SIM_KEYWORD_ENUM)
#undef SIM_KEYWORD_ENUM
      SIM_KEYWORDS
};

enum { /* sets of types; "number" is both of its bits */
       SIM_TYPE_NULL = 1,
       SIM_TYPE_BOOL = 2,
       SIM_TYPE_INTEGER = 4,
       SIM_TYPE_FRACTION = 8,
       SIM_TYPE_STRING = 16,
       SIM_TYPE_ARRAY = 32,
       SIM_TYPE_OBJECT = 64,
       SIM_TYPE_NUMBER = SIM_TYPE_INTEGER | SIM_TYPE_FRACTION,
       SIM_TYPE_ANY = 127
};

#define SIM_JSON_DEPTH_MAX 48u /* of a drawn value; sheaf reads 64 deep */

/* A schema that is an object, its keywords looked up. */
typedef struct sim_schema {
  sheaf_slice text;
  sheaf_slice word[SIM_KEYWORDS];
} sim_schema;

/* Schemas that all hold. */
typedef struct sim_schemas {
  sim_schema *at;
  uint32_t count, room;
  bool is_impossible;
  bool is_risky;         /* a keyword is there that drawing does not obey by itself: check */
  uint32_t branches_max; /* of the widest anyOf or oneOf on the way; 0: none */
} sim_schemas;

typedef struct sim_making {
  sheaf_slice root;
  sheaf_buf *out;
  uint32_t work;     /* values that were begun */
  uint32_t looks;    /* schemas that one choice of a branch looked at */
  uint32_t checks;   /* schemas that were compared with a value */
  uint32_t widening; /* of ranges that nobody bounded, by powers of two: a value came twice */
} sim_making;

/* ---- sim_schema.c ---- */

/* Reads the keywords; false where the schema is no object. */
bool sheaf__sim_schema_read(sheaf_slice text, sim_schema *schema);
/* Where a reference leads; empty where it leads nowhere. */
sheaf_slice sheaf__sim_schema_ref(sheaf_slice root, sheaf_slice ref);
/* The set of types; SIM_TYPE_ANY where there is no "type". */
uint32_t sheaf__sim_schema_types(const sim_schema *schema);
/* A count as "minItems" holds it; `absent` where it holds none. */
uint64_t sheaf__sim_schema_count(const sim_schema *schema, uint32_t keyword, uint64_t absent);
/* Whether a value should be as small as it can be, because enough was written. */
bool sheaf__sim_is_small(const sim_making *making, uint32_t depth);
/* Appends a value that all the schemas allow. False: none was found, nothing was appended. */
bool sheaf__sim_make(sim_making *making, const sheaf_slice *schemas, uint32_t count, uint64_t key,
                     uint32_t depth);

/* ---- sim_schema_nest.c, sim_schema_plain.c ---- */

bool sheaf__sim_make_object(sim_making *making, const sim_schemas *all, uint64_t key,
                            uint32_t depth);
bool sheaf__sim_make_array(sim_making *making, const sim_schemas *all, uint64_t key,
                           uint32_t depth);
bool sheaf__sim_make_string(sim_making *making, const sim_schemas *all, uint64_t key);
bool sheaf__sim_make_number(sim_making *making, const sim_schemas *all, bool is_integer,
                            uint64_t key);

/* ---- sim_schema_check.c ---- */

/* Whether the value is valid. What the check does not know, it lets pass. */
bool sheaf__sim_fits(sim_making *making, sheaf_slice schema, sheaf_slice value, uint32_t depth);
/* Equal as JSON values: 1 is 1.0, and members have no order. */
bool sheaf__sim_json_equal(sheaf_slice a, sheaf_slice b);
/* The value of a number, also of one in quotes; false: it is none. */
bool sheaf__sim_json_double(sheaf_slice value, double *number);
/* Whether the number is a multiple, by the same division that validators in use make. */
bool sheaf__sim_is_multiple(double number, double of);
/* Whether a pattern, the inside of a JSON string, occurs in the text. */
bool sheaf__sim_pattern_fits(sheaf_slice pattern, sheaf_slice text);

/* ---- sim_pattern.c ---- */

#define SIM_PATTERN_NODES_MAX 512u
#define SIM_PATTERN_RANGES_MAX 1024u

typedef struct sim_pattern_node {
  uint32_t kind;
  uint32_t a, b;     /* children; of a set: its ranges from a on, b of them */
  uint32_t min, max; /* repetitions; UINT32_MAX: no end */
  uint32_t least;    /* characters that it takes at least */
} sim_pattern_node;

typedef struct sim_pattern {
  sim_pattern_node node[SIM_PATTERN_NODES_MAX];
  uint32_t range[SIM_PATTERN_RANGES_MAX][2]; /* of code points, both ends belong to it */
  uint32_t node_count, range_count;
  uint32_t root;
  bool is_inexact; /* something in it is not understood: nobody knows what it matches */
} sim_pattern;

/* Reads an expression as ECMAScript writes it, in UTF-8. False: it is too large or none. */
bool sheaf__sim_pattern_read(sim_pattern *pattern, sheaf_slice text);
/* Whether it occurs in the text; true as well where it would take too long to know. */
bool sheaf__sim_pattern_match(const sim_pattern *pattern, sheaf_slice text);
/* Appends a text of its form, with about `more` characters beyond the least. Assertions inside of
 * it are not looked at: match afterwards. */
void sheaf__sim_pattern_write(const sim_pattern *pattern, uint64_t key, uint64_t more,
                              sheaf_buf *out);

#endif
