/* answer_int.h: what the files that read and judge structured answers share.
 *
 *   answer.c         finds the value in a text
 *   answer_mend.c    walks one value leniently and writes it strictly
 *   answer_schema.c  a schema: made, checked once, its references
 *   answer_check.c   a value against it
 *   answer_value.c   values by what they mean: texts, numbers, equality */
#ifndef SHEAF_ANSWER_INT_H
#define SHEAF_ANSWER_INT_H

#include <sheaf/answer.h>

/* ---- answer_mend.c ---- */

/* One value that was tried. */
typedef struct sheaf__mended {
  const char *end;  /* behind the value, or behind what of it is kept */
  const char *next; /* where reading stopped: a further search begins there */
  uint32_t repairs;
  bool good;      /* something was written */
  bool has_key;   /* it had a key with its colon: no prose */
  int32_t status; /* SHEAF_OK, SHEAF_E_DEPTH */
} sheaf__mended;

/* Reads the object or array at `from` (a bracket) and appends it to out. */
sheaf__mended sheaf__mend_container(const char *from, const char *end, sheaf_buf *out);
/* The same for a string, number or word that is all of the text but for space. */
sheaf__mended sheaf__mend_scalar(const char *from, const char *end, sheaf_buf *out);

/* ---- answer_value.c ---- */

/* The next code point of a JSON string's inside; UINT32_MAX at the end. Broken bytes are U+FFFD. */
uint32_t sheaf__text_next(const char **at, const char *end);
bool sheaf__text_equal(sheaf_slice inside, sheaf_slice other);
uint64_t sheaf__text_count(sheaf_slice inside, uint64_t most); /* code points, counted up to most */

/* -1, 0, 1: by value, exactly. */
int sheaf__number_compare(sheaf_slice a, sheaf_slice b);
bool sheaf__number_is_whole(sheaf_slice number);
int sheaf__number_sign(sheaf_slice number);
/* 1: a is a whole multiple of b; 0: it is not; -1: too large to say. b > 0. */
int sheaf__number_is_multiple(sheaf_slice a, sheaf_slice b);

/* Equality by value. *work is counted down; at 0 everything is equal. */
bool sheaf__value_equal(sheaf_slice a, sheaf_slice b, uint32_t *work);
sheaf_slice sheaf__value_member(sheaf_slice object, sheaf_slice key); /* the last of that name */

/* ---- answer_schema.c ---- */

/* Names of keywords, as bits of what a schema holds unchecked. */
struct sheaf_schema {
  sheaf_allocator allocator;
  char *text;
  size_t bytes;
  char unchecked[320];
  size_t unchecked_bytes;
};

enum { /* keywords that are checked */
       SHEAF__KW_TYPE,
       SHEAF__KW_PROPERTIES,
       SHEAF__KW_REQUIRED,
       SHEAF__KW_ADDITIONAL,
       SHEAF__KW_MIN_MEMBERS,
       SHEAF__KW_MAX_MEMBERS,
       SHEAF__KW_ITEMS,
       SHEAF__KW_PREFIX,
       SHEAF__KW_MIN_ITEMS,
       SHEAF__KW_MAX_ITEMS,
       SHEAF__KW_UNIQUE,
       SHEAF__KW_ENUM,
       SHEAF__KW_CONST,
       SHEAF__KW_ANY,
       SHEAF__KW_ONE,
       SHEAF__KW_ALL,
       SHEAF__KW_NOT,
       SHEAF__KW_MIN,
       SHEAF__KW_MAX,
       SHEAF__KW_ABOVE,
       SHEAF__KW_BELOW,
       SHEAF__KW_MULTIPLE,
       SHEAF__KW_MIN_LENGTH,
       SHEAF__KW_MAX_LENGTH,
       SHEAF__KW_REF,
       SHEAF__KW_NONE
};

uint32_t sheaf__keyword(sheaf_slice key);
/* Where "#/$defs/x" leads; empty: nowhere. */
sheaf_slice sheaf__schema_target(const sheaf_schema *schema, sheaf_slice reference);

#endif
