/* pattern.h: the split patterns sheaf knows, each as the few rules in which they differ. */
#ifndef SHEAF_PATTERN_H
#define SHEAF_PATTERN_H

#include <sheaf/base.h>

/* How a word is found. */
enum {
  SHEAF__WORD_SPACED = 0,   /* ` ?\p{L}+` (GPT-2) */
  SHEAF__WORD_PREFIXED = 1, /* `[^\r\n\p{L}\p{N}]?\p{L}+` (GPT-4) */
  SHEAF__WORD_CASED = 2     /* the same, cut where a new capital begins (GPT-4o) */
};
/* Where 's, 't, 're, 've, 'm, 'll and 'd are split off or belong. */
enum {
  SHEAF__SHORT_CASED = 0, /* a piece of their own, lower case only */
  SHEAF__SHORT_ANY = 1,   /* a piece of their own, in any case */
  SHEAF__SHORT_SUFFIX = 2 /* the end of the word before, in any case */
};
/* What a run of white space with a line break in it becomes. */
enum {
  SHEAF__LINES_NONE = 0,  /* nothing special */
  SHEAF__LINES_FIRST = 1, /* a piece up to the last line break */
  SHEAF__LINES_LATER = 2  /* the same, but a run that ends the text is one piece */
};

typedef struct sheaf__pattern {
  const char *name;
  uint8_t word;
  uint8_t shorts;
  uint8_t digits_max; /* numbers are cut after so many; 0: never, and a space may stand before */
  uint8_t lines;
  bool tail_lines;   /* line breaks belong to the punctuation before them */
  bool tail_slashes; /* and so do slashes among them */
  bool whole;        /* the text is one piece */
} sheaf__pattern;

/* By its number in a file; NULL if there is none. Numbers are never reused. */
const sheaf__pattern *sheaf__pattern_at(uint32_t number);
/* By its name or by the text of a pattern; SHEAF_E_NOT_FOUND. */
int32_t sheaf__pattern_find(sheaf_slice text, uint32_t *number);

#endif
