/* sheaf/answer.h: structured answers, read leniently and judged, never thrown away.
 *
 * A model that was asked for JSON answers with a fence around it, a comma too many, or without its
 * end. sheaf_answer_read finds the value and writes it as strict JSON; what it had to mend is named
 * and costs points, so that whoever reads the results decides what is good enough:
 *
 *   sheaf_answer_read(text, &json, &answer);            // answer.score, answer.repairs
 *   sheaf_schema_check(schema, sheaf_buf_slice(&json), &fault);
 *   score = sheaf_answer_score(&answer, fault.faults);
 *
 * Everything is pure: no clock, no state, any bytes in. */
#ifndef SHEAF_ANSWER_H
#define SHEAF_ANSWER_H

#include <sheaf/base.h>
#include <sheaf/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Reading ---- */

/* What was mended: bit, name in output lines, points it costs (once, however often it was needed).
 * The more of the answer's meaning a repair had to assume, the dearer it is: marks around the value
 * cost least, a guess about where a string ends more, what was lost most. Bits are never reused. */
#define SHEAF_REPAIR_MAP(X)                                                                        \
  X(FENCE, 0, "fence", 2)                   /* a Markdown fence or backticks around it */          \
  X(TEXT_AROUND, 1, "text_around", 5)       /* words before or behind it */                        \
  X(TRAILING_COMMA, 2, "trailing_comma", 5) /* commas with nothing behind or before them */        \
  X(SINGLE_QUOTES, 3, "single_quotes", 5)                                                          \
  X(CURLY_QUOTES, 4, "curly_quotes", 5)                                                            \
  X(UNQUOTED_KEY, 5, "unquoted_key", 5)                                                            \
  X(COMMENT, 6, "comment", 5)                     /* of two slashes, slash and star, or # */       \
  X(PYTHON_LITERAL, 7, "python_literal", 5)       /* True, False, None, also in capitals */        \
  X(CONTROL_IN_STRING, 8, "control_in_string", 5) /* a line break or tab, now escaped */           \
  X(BAD_ESCAPE, 9, "bad_escape", 10)              /* a backslash that escapes nothing: doubled */  \
  X(NUMBER_FORM, 10, "number_form", 10)           /* +1, .5, 5. */                                 \
  X(INVALID_UTF8, 11, "invalid_utf8", 10)         /* now U+FFFD */                                 \
  X(MISSING_COMMA, 12, "missing_comma", 10)                                                        \
  X(NOT_A_NUMBER, 13, "not_a_number", 15) /* NaN, Infinity, undefined: now null */                 \
  X(SEVERAL, 14, "several", 15)           /* another at least a quarter as long: it is left out */ \
  X(BRACKET, 15, "bracket", 20)           /* a closing bracket missing or too many */              \
  X(INNER_QUOTE, 16, "inner_quote", 20)   /* a quotation mark inside of a string */                \
  X(TRUNCATED, 17, "truncated", 30)       /* the text ends before the value does */                \
  X(CUT_STRING, 18, "cut_string", 15)     /* and a string is kept up to there */                   \
  X(BROKEN, 19, "broken", 50) /* unreadable from some place on: what stands before it is kept */

enum {
#define SHEAF_REPAIR_ENUM(name, bit, text, points) SHEAF_REPAIR_##name = 1 << (bit),
  SHEAF_REPAIR_MAP(SHEAF_REPAIR_ENUM)
#undef SHEAF_REPAIR_ENUM
      SHEAF_REPAIR_COUNT = 20
};

/* The name of the repair with this number (0 for FENCE), NULL past the last; static. Since 0.1. */
SHEAF_API const char *sheaf_repair_name(uint32_t number);

/* What one reading learnt. */
typedef struct sheaf_answer {
  uint32_t repairs; /* SHEAF_REPAIR_* */
  /* 100: strict JSON as it stood. Each repair takes its points off, down to 1. 0: no JSON. */
  uint32_t score;
  uint32_t kind; /* SHEAF_JSON_*; SHEAF_JSON_NONE: none was found */
  uint32_t reserved;
  size_t begin, end; /* where in the text the value stands */
} sheaf_answer;

/* Finds the JSON value in text (plain UTF-8; other bytes do no harm) and appends it to json as
 * strict JSON. Values and numbers keep their bytes where they were good; nothing is invented.
 *
 * What counts: the whole text if it is JSON; else an object or array anywhere in it, the longest of
 * several, one in a fence before the others; else a lone value inside of a fence. A leading
 * <think>...</think> is passed over.
 * A text that ends too early: open strings and containers are closed behind the last complete
 * member; a number or word at the very end is dropped, for the rest of it is not known; so are keys
 * without value and containers in which nothing is complete.
 *
 * SHEAF_OK; SHEAF_E_NOT_FOUND (no JSON, score 0), SHEAF_E_DEPTH (nested more than 64 deep, score 0),
 * SHEAF_E_NOMEM and SHEAF_E_LIMIT of json: then nothing was appended. Linear in the text. Allocates
 * through json alone. Since 0.1. */
SHEAF_API int32_t sheaf_answer_read(sheaf_slice text, sheaf_buf *json, sheaf_answer *answer);

#define SHEAF_ANSWER_FAULT_COST 15 /* points for each fault against a schema */

/* The score of an answer with so many faults against its schema: at least 1 where there is JSON.
 * Since 0.1. */
SHEAF_API uint32_t sheaf_answer_score(const sheaf_answer *answer, uint32_t faults);

/* ---- Schemas ---- */

/* Keywords that are checked, by the meaning of draft 2020-12: type (also a list), properties,
 * required, additionalProperties, minProperties, maxProperties, items (a list of an older draft is
 * read as prefixItems), prefixItems, minItems, maxItems, uniqueItems (up to 256 elements), enum,
 * const, anyOf, oneOf, allOf, not, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf
 * (exact, in decimals), minLength and maxLength (code points), $ref into the document itself
 * ("#/$defs/x"), true and false as schemas. Those that are constraints and are not checked, as
 * pattern and format, are named by sheaf_schema_unchecked; other names are notes. */
typedef struct sheaf_schema sheaf_schema;

#define SHEAF_SCHEMA_BYTES_MAX ((size_t)1 << 20)

/* Makes a schema from its JSON (copied). error (may be NULL) says what is wrong with it.
 * SHEAF_E_SYNTAX, SHEAF_E_PARTIAL, SHEAF_E_DEPTH; SHEAF_E_TYPE (a keyword's value has the wrong
 * shape; neither object nor true or false), SHEAF_E_FIELD (a $ref that leads nowhere, out of the
 * document or in a circle); SHEAF_E_TOO_LONG (over 1 MB); SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_schema_new(sheaf_slice json, const sheaf_allocator *allocator,
                                   sheaf_schema **schema, sheaf_parse_error *error);
SHEAF_API void sheaf_schema_free(sheaf_schema *schema); /* NULL is fine */
/* The constraints it holds that are not checked, as "pattern, format"; empty: all are. Lives as long
 * as the schema. */
SHEAF_API sheaf_slice sheaf_schema_unchecked(const sheaf_schema *schema);

/* What is wrong with a value, the first fault in words. */
typedef struct sheaf_schema_fault {
  uint32_t faults;   /* one a keyword and place; a missing member each, members too many together */
  uint32_t checks;   /* keywords looked at */
  bool incomplete;   /* a ceiling was reached (work, nesting, elements): not all was checked */
  char message[247]; /* "/items/0/price: a number is wanted, here is a string"; terminated */
} sheaf_schema_fault;

/* Checks a value, which must be valid JSON. fault is filled in any case. SHEAF_OK: checked (faults
 * may be 0); SHEAF_E_SYNTAX and the like: not JSON. Many threads may use one schema. Does not
 * allocate. Since 0.1. */
SHEAF_API int32_t sheaf_schema_check(const sheaf_schema *schema, sheaf_slice json,
                                     sheaf_schema_fault *fault);

#ifdef __cplusplus
}
#endif

#endif
