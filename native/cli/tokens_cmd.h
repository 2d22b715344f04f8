/* tokens_cmd.h: what the parts of `sheaf tokens` share. */
#ifndef SHEAF_TOKENS_CMD_H
#define SHEAF_TOKENS_CMD_H

#include "cli.h"

enum { TOKENS_COUNT = 0, TOKENS_ENCODE = 1, TOKENS_DECODE = 2, TOKENS_JSONL = 3, TOKENS_MAKE = 4 };

typedef struct tokens_args {
  uint32_t task; /* TOKENS_* */
  uint32_t task_count;
  const char *encoding, *model, *vocab, *special;
  const char *make, *pattern, *output, *format;
  const char *threads_text;
  uint32_t threads;
  bool help, total;
  const char **files;
  int file_count;
} tokens_args;

/* The encoding that the arguments ask for, and what makes its counts an estimate. */
typedef struct tokens_choice {
  const char *encoding;
  char doubt[256];       /* "": exact */
  bool is_chosen;        /* by --encoding */
  bool has_no_tokenizer; /* the provider publishes none: counted from bytes */
} tokens_choice;
tokens_choice tokens_choose(const tokens_args *args);

/* A file of requests, by its name or --format. */
bool tokens_is_rows(const tokens_args *args, const char *path);

/* tokens_ask.c: all of --ask; answers the exit code. */
int tokens_ask(int argc, char **argv);

/* tokens_text.c: files of text or ids. tokens_filter.c: JSON lines in, JSON lines out. */
int tokens_text(const tokens_args *args, const char *const *files, int file_count, uint64_t *total);
int tokens_decode(const tokens_args *args);
int tokens_filter(const tokens_args *args);
/* The vocabulary of the choice; CLI_OK, or CLI_BAD_INPUT after a sentence. */
int tokens_vocab(const tokens_args *args, sheaf_vocab_shelf **shelf, const sheaf_vocab **vocab);
/* A whole file or standard input ("-"), at most 1 GiB, malloc'd; NULL after a sentence. */
char *tokens_read(const char *path, size_t *bytes);

#endif
