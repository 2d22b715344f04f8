/* models.c: which encoding a model has: the tables of tiktoken 0.14 (tiktoken/model.py), exact
 * names first, then beginnings. */
#include <sheaf/tokens.h>

#include "base/mem.h"

typedef struct row {
  const char *model;
  const char *encoding;
} row;

static const char o200k[] = "o200k_base", harmony[] = "o200k_harmony", cl100k[] = "cl100k_base";
static const char p50k[] = "p50k_base", p50k_edit[] = "p50k_edit", r50k[] = "r50k_base";
static const char gpt2[] = "gpt2";

static const row exact[] = {
    {"o1", o200k},
    {"o3", o200k},
    {"o4-mini", o200k},
    {"gpt-5", o200k},
    {"gpt-4.1", o200k},
    {"gpt-4o", o200k},
    {"gpt-4", cl100k},
    {"gpt-3.5-turbo", cl100k},
    {"gpt-3.5", cl100k},
    {"gpt-35-turbo", cl100k},
    {"davinci-002", cl100k},
    {"babbage-002", cl100k},
    {"text-embedding-ada-002", cl100k},
    {"text-embedding-3-small", cl100k},
    {"text-embedding-3-large", cl100k},
    {"text-davinci-003", p50k},
    {"text-davinci-002", p50k},
    {"text-davinci-001", r50k},
    {"text-curie-001", r50k},
    {"text-babbage-001", r50k},
    {"text-ada-001", r50k},
    {"davinci", r50k},
    {"curie", r50k},
    {"babbage", r50k},
    {"ada", r50k},
    {"code-davinci-002", p50k},
    {"code-davinci-001", p50k},
    {"code-cushman-002", p50k},
    {"code-cushman-001", p50k},
    {"davinci-codex", p50k},
    {"cushman-codex", p50k},
    {"text-davinci-edit-001", p50k_edit},
    {"code-davinci-edit-001", p50k_edit},
    {"text-similarity-davinci-001", r50k},
    {"text-similarity-curie-001", r50k},
    {"text-similarity-babbage-001", r50k},
    {"text-similarity-ada-001", r50k},
    {"text-search-davinci-doc-001", r50k},
    {"text-search-curie-doc-001", r50k},
    {"text-search-babbage-doc-001", r50k},
    {"text-search-ada-doc-001", r50k},
    {"code-search-babbage-code-001", r50k},
    {"code-search-ada-code-001", r50k},
    {"gpt2", gpt2},
    {"gpt-2", gpt2},
};

/* In tiktoken's order: ft:gpt-4o stands before ft:gpt-4. */
static const row beginnings[] = {
    {"o1-", o200k},
    {"o3-", o200k},
    {"o4-mini-", o200k},
    {"gpt-5", o200k},
    {"gpt-4.5-", o200k},
    {"gpt-4.1-", o200k},
    {"chatgpt-4o-", o200k},
    {"gpt-4o-", o200k},
    {"gpt-4-", cl100k},
    {"gpt-3.5-turbo-", cl100k},
    {"gpt-35-turbo-", cl100k},
    {"gpt-oss-", harmony},
    {"ft:gpt-4o", o200k},
    {"ft:gpt-4", cl100k},
    {"ft:gpt-3.5-turbo", cl100k},
    {"ft:davinci-002", cl100k},
    {"ft:babbage-002", cl100k},
};

static const row rank_files[] = {
    {"o200k_base", o200k}, {"o200k_harmony", o200k}, {"cl100k_base", cl100k}, {"p50k_base", p50k},
    {"p50k_edit", p50k},   {"r50k_base", r50k},      {"gpt2", r50k},
};

static bool begins(sheaf_slice text, const char *beginning) {
  size_t bytes = strlen(beginning);
  return text.bytes >= bytes && memcmp(text.data, beginning, bytes) == 0;
}

static const char *encoding_of(sheaf_slice model) {
  if (model.bytes == 0) return NULL;
  for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
    if (sheaf__slice_equal(model, sheaf_slice_of(exact[i].model))) return exact[i].encoding;
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
    if (begins(model, beginnings[i].model)) return beginnings[i].encoding;
  return NULL;
}

const char *sheaf_encoding_of_model(sheaf_slice model, bool *is_estimate) {
  const char *encoding = encoding_of(model);
  if (is_estimate) *is_estimate = !encoding;
  return encoding ? encoding : o200k;
}

const char *sheaf_encoding_ranks(sheaf_slice encoding) {
  for (size_t i = 0; i < sizeof rank_files / sizeof *rank_files; i++)
    if (sheaf__slice_equal(encoding, sheaf_slice_of(rank_files[i].model)))
      return rank_files[i].encoding;
  return NULL;
}
