/* table.h: the built-in providers, one file (or family of files) each. */
#ifndef SHEAF_TABLE_H
#define SHEAF_TABLE_H

#include <sheaf/provider.h>

extern const sheaf_provider sheaf__openai;
extern const sheaf_provider sheaf__anthropic;
extern const sheaf_provider sheaf__gemini;
extern const sheaf_provider sheaf__ollama;

/* A slice in a static initialiser, where a compound literal may not stand. */
#define SHEAF__TEXT(text) \
  { (text), sizeof(text) - 1 }

#endif
