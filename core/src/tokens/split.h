/* split.h: where the pieces of a text end. */
#ifndef SHEAF_SPLIT_H
#define SHEAF_SPLIT_H

#include <sheaf/base.h>

#include "tokens/pattern.h"

/* Classes of code points (scripts/unicode.mjs makes the table; NEWLINE and END are ours). */
enum {
  SHEAF__CLASS_OTHER = 0,
  SHEAF__CLASS_SPACE = 1,   /* White_Space without CR and LF */
  SHEAF__CLASS_NUMBER = 2,  /* N */
  SHEAF__CLASS_UPPER = 3,   /* Lu, Lt */
  SHEAF__CLASS_LOWER = 4,   /* Ll */
  SHEAF__CLASS_LETTER = 5,  /* Lm, Lo: neither upper nor lower */
  SHEAF__CLASS_MARK = 6,    /* M */
  SHEAF__CLASS_NEWLINE = 7, /* CR, LF */
  SHEAF__CLASS_END = 8      /* behind the text */
};

/* The end of the piece that begins at p, which is before end. The text is well-formed UTF-8. open
 * is set (never cleared) if what follows end could move the piece's end. */
const uint8_t *sheaf__scan(const sheaf__pattern *pattern, const uint8_t *p, const uint8_t *end,
                           bool *open);

/* The class of a code point, NEWLINE apart. */
uint32_t sheaf__class_of(uint32_t code_point);

#endif
