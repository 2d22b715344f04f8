/* vocab_find.c: vocabularies by the names of their encodings, and request bodies counted by the names of
 * their models.
 *
 *   find      the places where a file may be, in their order
 *   shelf     what was found, opened once and shared by threads
 *   counter   a shelf as the counter an engine asks, and what it answered */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/heap.h>
#include <sheaf/vocab_files.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_MAX_BYTES = 4096, MESSAGE_BYTES = 1024, SHELF_MAX = 16 };

static void say(char *message, size_t message_bytes, const char *text) {
  if (message && message_bytes > 0) snprintf(message, message_bytes, "%s", text);
}

/* ---- find ---- */

typedef struct search {
  sheaf_slice encoding;
  char *path;
  size_t path_bytes;
  char tried[640]; /* folders, for the sentence */
} search;

static bool is_folder(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* Whether folder/inside/ENCODING.vocab is there. */
static bool is_in(search *it, const char *folder, const char *inside) {
  struct stat facts;
  size_t told = strlen(it->tried);
  if (!folder || folder[0] == 0) return false;
  snprintf(it->tried + told, sizeof it->tried - told, "%s%s%s", told ? ", " : "", folder, inside);
  int length = snprintf(it->path, it->path_bytes, "%s%s/%.*s.vocab", folder, inside,
                        (int)it->encoding.bytes, it->encoding.data);
  return length > 0 && (size_t)length < it->path_bytes && stat(it->path, &facts) == 0;
}

static bool is_anywhere(search *it) {
  const char *data = getenv("XDG_DATA_HOME");
  bool has_data =
      data && data[0] == '/'; /* a relative one is to be ignored (XDG base directories) */
  return is_in(it, getenv("SHEAF_VOCAB_DIR"), "") ||
         (has_data ? is_in(it, data, "/sheaf/vocab")
                   : is_in(it, getenv("HOME"), "/.local/share/sheaf/vocab")) ||
         is_in(it, "/usr/local/share/sheaf/vocab", "") || is_in(it, "/usr/share/sheaf/vocab", "");
}

static bool is_file_name(sheaf_slice name) {
  if (name.bytes == 0 || name.bytes > SHEAF_VOCAB_NAME_BYTES_MAX || name.data[0] == '.')
    return false;
  for (size_t i = 0; i < name.bytes; i++) {
    unsigned char c = (unsigned char)name.data[i];
    if (c == '/' || c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

bool sheaf_vocab_is_file(const char *given) {
  return given && given[0] && !is_folder(given);
}

int32_t sheaf_vocab_find(const char *given, sheaf_slice encoding, char *path, size_t path_bytes,
                         char *message, size_t message_bytes) {
  if (!path || path_bytes == 0) return SHEAF_E_MISUSE;
  if (sheaf_vocab_is_file(given)) {
    /* Whether it is there and valid is told by who opens it. */
    if (strlen(given) < path_bytes) {
      memcpy(path, given, strlen(given) + 1);
      return SHEAF_OK;
    }
    say(message, message_bytes, "the path of the vocabulary is too long");
    return SHEAF_E_RANGE;
  }
  if (!is_file_name(encoding)) {
    say(message, message_bytes, "that is no name of an encoding, as o200k_base is one");
    return SHEAF_E_RANGE;
  }
  search it = {.encoding = encoding, .path = path, .path_bytes = path_bytes};
  if (given && given[0] ? is_in(&it, given, "") : is_anywhere(&it)) return SHEAF_OK;
  path[0] = 0;
  bool is_known = sheaf_encoding_ranks(encoding) != NULL;
  int name_bytes = (int)encoding.bytes;
  if (message && message_bytes > 0)
    snprintf(
        message, message_bytes,
        "no vocabulary file %.*s.vocab in %s: make it with %s%.*s (sheaf help tokens), and name "
        "its folder by --vocab or SHEAF_VOCAB_DIR",
        name_bytes, encoding.data, it.tried,
        is_known ? "scripts/vocab " : "sheaf tokens --make SOURCE --encoding ", name_bytes,
        encoding.data);
  return SHEAF_E_NOT_FOUND;
}

/* ---- shelf ---- */

typedef struct place {
  char encoding[SHEAF_VOCAB_NAME_BYTES_MAX + 1];
  sheaf_vocab *vocab;
  int32_t status;
  char message[MESSAGE_BYTES];
} place;

struct sheaf_vocab_shelf {
  pthread_mutex_t mutex;
  bool is_file; /* given names a file: the one place is for every encoding */
  uint32_t count;
  place places[SHELF_MAX];
  char given[];
};

int32_t sheaf_vocab_shelf_new(const char *given, sheaf_vocab_shelf **shelf_out) {
  if (!shelf_out) return SHEAF_E_MISUSE;
  size_t bytes = given ? strlen(given) : 0;
  sheaf_vocab_shelf *shelf = calloc(1, sizeof *shelf + bytes + 1);
  if (!shelf) return SHEAF_E_NOMEM;
  if (bytes > 0) memcpy(shelf->given, given, bytes);
  shelf->is_file = sheaf_vocab_is_file(given);
  pthread_mutex_init(&shelf->mutex, NULL);
  *shelf_out = shelf;
  return SHEAF_OK;
}

void sheaf_vocab_shelf_free(sheaf_vocab_shelf *shelf) {
  if (!shelf) return;
  for (uint32_t i = 0; i < shelf->count; i++) sheaf_vocab_close(shelf->places[i].vocab);
  pthread_mutex_destroy(&shelf->mutex);
  free(shelf);
}

static place *place_of(sheaf_vocab_shelf *shelf, sheaf_slice encoding) {
  for (uint32_t i = 0; i < shelf->count; i++) {
    const char *name = shelf->places[i].encoding;
    if (shelf->is_file ||
        (strlen(name) == encoding.bytes && memcmp(name, encoding.data, encoding.bytes) == 0))
      return &shelf->places[i];
  }
  if (shelf->count == SHELF_MAX) return NULL;
  place *at = &shelf->places[shelf->count++];
  memcpy(at->encoding, encoding.data, encoding.bytes);
  char path[PATH_MAX_BYTES];
  at->status =
      sheaf_vocab_find(shelf->given, encoding, path, sizeof path, at->message, sizeof at->message);
  if (at->status == SHEAF_OK)
    at->status = sheaf_vocab_load(path, NULL, &at->vocab, at->message, sizeof at->message);
  return at;
}

int32_t sheaf_vocab_shelf_get(sheaf_vocab_shelf *shelf, sheaf_slice encoding,
                              const sheaf_vocab **vocab, char *message, size_t message_bytes) {
  if (!shelf || !vocab) return SHEAF_E_MISUSE;
  if (!is_file_name(encoding)) {
    say(message, message_bytes, "that is no name of an encoding, as o200k_base is one");
    return SHEAF_E_RANGE;
  }
  pthread_mutex_lock(&shelf->mutex);
  const place *at = place_of(shelf, encoding);
  int32_t status = at ? at->status : SHEAF_E_LIMIT;
  if (status == SHEAF_OK)
    *vocab = at->vocab;
  else
    say(message, message_bytes, at ? at->message : "more than 16 encodings at once");
  pthread_mutex_unlock(&shelf->mutex);
  return status;
}

/* ---- counter ---- */

struct sheaf_model_counter {
  sheaf_vocab_shelf *shelf;
  char encoding[SHEAF_VOCAB_NAME_BYTES_MAX + 1]; /* for every model; "": each its own */
  bool is_chosen;                                /* by whoever made it, whatever the model */
  sheaf_token_counter face;
  sheaf_buf scratch;
  uint32_t count;
  const sheaf_vocab *vocabs[SHELF_MAX];
  sheaf_tokenizer *tokenizers[SHELF_MAX];
  sheaf_model_counts counts;
};

static sheaf_tokenizer *tokenizer_of(sheaf_model_counter *counter, const sheaf_vocab *vocab) {
  for (uint32_t i = 0; i < counter->count; i++)
    if (counter->vocabs[i] == vocab) return counter->tokenizers[i];
  if (counter->count == SHELF_MAX) return NULL;
  uint32_t at = counter->count;
  if (sheaf_tokenizer_new(vocab, sheaf_heap(), &counter->tokenizers[at]) != SHEAF_OK) return NULL;
  counter->vocabs[at] = vocab;
  counter->count++;
  return counter->tokenizers[at];
}

int32_t sheaf_model_counter_count(sheaf_model_counter *counter, sheaf_slice model, sheaf_slice body,
                                  size_t *count, bool *is_estimate, char *message,
                                  size_t message_bytes) {
  bool unknown_model = false, more = false;
  const sheaf_vocab *vocab = NULL;
  if (!counter || !count) return SHEAF_E_MISUSE;
  sheaf_slice encoding = sheaf_slice_of(sheaf_encoding_of_model(model, &unknown_model));
  if (counter->encoding[0]) encoding = sheaf_slice_of(counter->encoding);
  int32_t status = sheaf_vocab_shelf_get(counter->shelf, encoding, &vocab, message, message_bytes);
  if (status != SHEAF_OK) return status;
  sheaf_tokenizer *tokenizer = tokenizer_of(counter, vocab);
  status = tokenizer ? sheaf_tokens_count_body(tokenizer, body, &counter->scratch, count, &more)
                     : SHEAF_E_NOMEM;
  if (status != SHEAF_OK) say(message, message_bytes, sheaf_status_text(status));
  if (is_estimate) *is_estimate = more || (unknown_model && !counter->is_chosen);
  return status;
}

static bool is_provider(const sheaf_provider *provider, const char *name) {
  return provider && strcmp(provider->name, name) == 0;
}

/* Why nothing exact is known before anything is counted; NULL: it may be. */
static const char *reason_against(const sheaf_model_counter *counter,
                                  const sheaf_provider *provider, sheaf_slice model) {
  bool unknown_model = false;
  if (counter->is_chosen) return NULL;
  if (is_provider(provider, "anthropic") || is_provider(provider, "gemini"))
    return "the provider publishes no tokenizer";
  (void)sheaf_encoding_of_model(model, &unknown_model);
  return unknown_model ? "the model's encoding is not known" : NULL;
}

static int64_t face_count(void *ctx, const sheaf_provider *provider, sheaf_slice model,
                          sheaf_slice body) {
  sheaf_model_counter *counter = ctx;
  size_t count = 0;
  bool is_estimate = false;
  char message[sizeof counter->counts.why] = "";
  const char *reason = reason_against(counter, provider, model);
  if (!reason) {
    int32_t status = sheaf_model_counter_count(counter, model, body, &count, &is_estimate, message,
                                               sizeof message);
    if (status == SHEAF_OK && !is_estimate) {
      counter->counts.exact++;
      return (int64_t)count;
    }
    reason = status == SHEAF_OK
                 ? "requests with tools, images, files or schemas are not counted to the token"
                 : message;
  }
  counter->counts.unknown++;
  if (counter->counts.why[0] == 0) say(counter->counts.why, sizeof counter->counts.why, reason);
  return SHEAF_ABSENT;
}

int32_t sheaf_model_counter_new(sheaf_vocab_shelf *shelf, sheaf_slice encoding,
                                sheaf_model_counter **counter_out) {
  if (!shelf || !counter_out) return SHEAF_E_MISUSE;
  if (encoding.bytes > 0 && !is_file_name(encoding)) return SHEAF_E_RANGE;
  sheaf_model_counter *counter = calloc(1, sizeof *counter);
  if (!counter) return SHEAF_E_NOMEM;
  counter->shelf = shelf;
  if (encoding.bytes > 0) memcpy(counter->encoding, encoding.data, encoding.bytes);
  counter->is_chosen = shelf->is_file || encoding.bytes > 0;
  counter->face = (sheaf_token_counter){
      .struct_bytes = sizeof counter->face, .ctx = counter, .count = face_count};
  counter->counts.struct_bytes = sizeof counter->counts;
  sheaf_buf_init(&counter->scratch, sheaf_heap(), SIZE_MAX / 2);
  *counter_out = counter;
  return SHEAF_OK;
}

void sheaf_model_counter_free(sheaf_model_counter *counter) {
  if (!counter) return;
  for (uint32_t i = 0; i < counter->count; i++) sheaf_tokenizer_free(counter->tokenizers[i]);
  sheaf_buf_deinit(&counter->scratch);
  free(counter);
}

const sheaf_token_counter *sheaf_model_counter_get(const sheaf_model_counter *counter) {
  return &counter->face;
}

void sheaf_model_counter_report(const sheaf_model_counter *counter, sheaf_model_counts *counts) {
  uint32_t known = counts->struct_bytes < sizeof *counts ? counts->struct_bytes : sizeof *counts;
  sheaf_model_counts told = counter->counts;
  told.struct_bytes = known;
  memcpy(counts, &told, known);
}
