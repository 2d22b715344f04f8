/* sheaf/vocab_files.h: vocabularies as files: made from what publishers offer, opened by name. */
#ifndef SHEAF_VOCAB_FILES_H
#define SHEAF_VOCAB_FILES_H

#include <sheaf/engine.h>
#include <sheaf/tokens.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Builds a vocabulary file. in_path  a `.tiktoken` or tokenizer.json file. out_path  written whole or
 * not at all. spec  as for sheaf_vocab_build. On failure message (512 bytes or more) says what and
 * what to do. SHEAF_OK; SHEAF_E_IO; the errors of sheaf_vocab_build. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_make(const char *in_path, const char *out_path,
                                   const sheaf_vocab_spec *spec, char *message,
                                   size_t message_bytes);

/* Opens a vocabulary file (the file may go afterwards). allocator  NULL: malloc's. Frees with
 * sheaf_vocab_close. message as above. SHEAF_OK; SHEAF_E_IO; SHEAF_E_CORRUPT; SHEAF_E_VERSION;
 * SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_load(const char *path, const sheaf_allocator *allocator,
                                   sheaf_vocab **vocab, char *message, size_t message_bytes);

/* ---- found by name ---- */

/* The path of the vocabulary file of an encoding. Looked for as ENCODING.vocab, and the file need not be
 * valid: in given (a folder), or given itself (a file, whatever its name); else, given being NULL or
 * empty, in $SHEAF_VOCAB_DIR, $XDG_DATA_HOME/sheaf/vocab (~/.local/share/sheaf/vocab where that is not
 * set), /usr/local/share/sheaf/vocab and /usr/share/sheaf/vocab, in this order. path  at least 4096 bytes;
 * terminated. message as above: it says where it was looked for and how to get the file. SHEAF_OK;
 * SHEAF_E_NOT_FOUND; SHEAF_E_RANGE (the encoding is no file name, or the path is too long). Since 0.1. */
SHEAF_API int32_t sheaf_vocab_find(const char *given, sheaf_slice encoding, char *path,
                                   size_t path_bytes, char *message, size_t message_bytes);

/* Whether given is taken as a file, and not as a folder: whatever is no folder. Since 0.1. */
SHEAF_API bool sheaf_vocab_is_file(const char *given);

/* Vocabularies by the names of their encodings, each opened when it is first asked for, at most 16. Any
 * number of threads may use one at once. */
typedef struct sheaf_vocab_shelf sheaf_vocab_shelf;

/* Makes an empty one. given  as for sheaf_vocab_find, copied; a file stands for every encoding. SHEAF_OK;
 * SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_shelf_new(const char *given, sheaf_vocab_shelf **shelf);
/* Closes what is on it. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_vocab_shelf_free(sheaf_vocab_shelf *shelf);
/* The vocabulary of an encoding; it lives as long as the shelf. What failed once is not tried again.
 * SHEAF_OK; the errors of sheaf_vocab_find and sheaf_vocab_load; SHEAF_E_LIMIT (over 16). Since 0.1. */
SHEAF_API int32_t sheaf_vocab_shelf_get(sheaf_vocab_shelf *shelf, sheaf_slice encoding,
                                        const sheaf_vocab **vocab, char *message,
                                        size_t message_bytes);

/* ---- counting for a model ---- */

/* Counts request bodies by their model: what sheaf_engine_options.tokens wants.
 *
 *   sheaf_vocab_shelf_new(NULL, &shelf);
 *   sheaf_model_counter_new(shelf, (sheaf_slice){NULL, 0}, &counter);
 *   options.tokens = sheaf_model_counter_get(counter);       of an engine, or of a client's engine
 *
 * One thread at a time. */
typedef struct sheaf_model_counter sheaf_model_counter;

/* Makes one; the shelf outlives it. encoding  copied; empty: each model's own, else this for every model,
 * as by whom it was chosen for them. SHEAF_OK; SHEAF_E_NOMEM; SHEAF_E_RANGE. Since 0.1. */
SHEAF_API int32_t sheaf_model_counter_new(sheaf_vocab_shelf *shelf, sheaf_slice encoding,
                                          sheaf_model_counter **counter);
/* Frees it; the engine goes first. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_model_counter_free(sheaf_model_counter *counter);
/* The engine's face. It answers a number only where that is what the provider counts: the model's
 * encoding is known, its vocabulary is there, and the body holds text alone (no tools, images or schemas); else
 * SHEAF_ABSENT, and the engine goes on with its learned estimate. Lives as long as the counter. Since 0.1. */
SHEAF_API const sheaf_token_counter *sheaf_model_counter_get(const sheaf_model_counter *counter);
/* Counts a checked body by the model's encoding, o200k_base where it is not known. is_estimate  may be
 * NULL. message as above. SHEAF_OK; the errors of sheaf_vocab_shelf_get and sheaf_tokens_count_body. Since
 * 0.1. */
SHEAF_API int32_t sheaf_model_counter_count(sheaf_model_counter *counter, sheaf_slice model,
                                            sheaf_slice body, size_t *count, bool *is_estimate,
                                            char *message, size_t message_bytes);

/* What the engine's face answered so far. */
typedef struct sheaf_model_counts {
  uint32_t struct_bytes;
  uint32_t reserved;
  uint64_t exact;
  uint64_t unknown;
  char why[512]; /* of the first unknown: one sentence; "" if none */
} sheaf_model_counts;
/* Copies them. On the thread that counts. Since 0.1. */
SHEAF_API void sheaf_model_counter_report(const sheaf_model_counter *counter,
                                          sheaf_model_counts *counts);

#ifdef __cplusplus
}
#endif

#endif
