/* token_exports.c: the calls of token_exports.h over sheaf/tokens.h. */
#include "token_exports.h"

#include <stdlib.h>
#include <string.h>

#define MADE_MAX ((size_t)1 << 30)

typedef struct open_vocab {
  sheaf_vocab *vocab;
  sheaf_tokenizer *tokenizer;
  sheaf_buf made;    /* ids or bytes of the last call */
  sheaf_buf scratch; /* of bodies */
} open_vocab;

static open_vocab vocabs[TOKEN_VOCABS_MAX];
static sheaf_buf built; /* what no vocabulary keeps: a file, a name, an explanation */
static sheaf_parse_error build_error;

static void *reallocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes != 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

static const sheaf_allocator allocator = {reallocate, NULL};

static open_vocab *find(uint32_t number) {
  if (number == 0 || number > TOKEN_VOCABS_MAX || !vocabs[number - 1].vocab) return NULL;
  return &vocabs[number - 1];
}

static bool is_memory(const void *data, size_t bytes) {
  uintptr_t from = (uintptr_t)data;
  if (bytes == 0) return true;
  if (from == 0 || from > UINTPTR_MAX - bytes) return false;
#if defined(__wasm__)
  return (uint64_t)from + bytes <= (uint64_t)__builtin_wasm_memory_size(0) * 65536u;
#else
  return true;
#endif
}

static void begin_built(void) {
  sheaf_buf_deinit(&built);
  sheaf_buf_init(&built, &allocator, MADE_MAX);
}

static int32_t length_of(size_t count) {
  return count <= INT32_MAX ? (int32_t)count : SHEAF_E_LIMIT;
}

void *sheaf_tok_alloc(uint32_t bytes) {
  return malloc(bytes ? bytes : 1);
}

void sheaf_tok_free(void *data) {
  free(data);
}

/* ---- Life ---- */

static void drop(open_vocab *entry) {
  sheaf_tokenizer_free(entry->tokenizer);
  sheaf_vocab_close(entry->vocab);
  sheaf_buf_deinit(&entry->made);
  sheaf_buf_deinit(&entry->scratch);
  memset(entry, 0, sizeof *entry);
}

int32_t sheaf_tok_open(const void *file, uint32_t bytes) {
  uint32_t at = 0;
  if (!is_memory(file, bytes)) return SHEAF_E_MISUSE;
  while (at < TOKEN_VOCABS_MAX && vocabs[at].vocab) at++;
  if (at == TOKEN_VOCABS_MAX) return SHEAF_E_LIMIT;
  open_vocab *entry = &vocabs[at];
  sheaf_buf_init(&entry->made, &allocator, MADE_MAX);
  sheaf_buf_init(&entry->scratch, &allocator, MADE_MAX);
  int32_t status = sheaf_vocab_open(file, bytes, &allocator, &entry->vocab);
  if (status == SHEAF_OK) status = sheaf_tokenizer_new(entry->vocab, &allocator, &entry->tokenizer);
  if (status == SHEAF_OK) return (int32_t)at + 1;
  drop(entry);
  return status;
}

void sheaf_tok_close(uint32_t number) {
  open_vocab *entry = find(number);
  if (entry) drop(entry);
}

uint32_t sheaf_tok_size(uint32_t number) {
  const open_vocab *entry = find(number);
  return entry ? sheaf_vocab_size(entry->vocab) : 0;
}

int32_t sheaf_tok_name(uint32_t number) {
  const open_vocab *entry = find(number);
  if (!entry) return SHEAF_E_MISUSE;
  begin_built();
  int32_t status = sheaf_buf_append_text(&built, sheaf_vocab_name(entry->vocab));
  return status == SHEAF_OK ? length_of(built.bytes) : status;
}

/* ---- Text ---- */

static sheaf_special_policy policy_of(uint32_t special) {
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  policy.others = special;
  return policy;
}

int32_t sheaf_tok_count(uint32_t number, const char *text, uint32_t bytes, uint32_t special,
                        uint32_t limit) {
  const open_vocab *entry = find(number);
  if (!entry || !is_memory(text, bytes)) return SHEAF_E_MISUSE;
  sheaf_special_policy policy = policy_of(special);
  size_t count = 0;
  int32_t status = sheaf_tokens_count(entry->tokenizer, (sheaf_slice){text, bytes}, &policy,
                                      limit == UINT32_MAX ? SIZE_MAX : limit, &count);
  return status == SHEAF_OK || status == SHEAF_E_LIMIT ? length_of(count) : status;
}

int32_t sheaf_tok_encode(uint32_t number, const char *text, uint32_t bytes, uint32_t special) {
  open_vocab *entry = find(number);
  if (!entry || !is_memory(text, bytes)) return SHEAF_E_MISUSE;
  sheaf_special_policy policy = policy_of(special);
  size_t room = sheaf_tokens_room(entry->vocab, bytes), count = 0;
  sheaf_buf_reset(&entry->made);
  int32_t status = sheaf_buf_reserve(&entry->made, room * sizeof(uint32_t));
  if (status != SHEAF_OK) return status;
  status = sheaf_tokens_encode(entry->tokenizer, (sheaf_slice){text, bytes}, &policy,
                               (uint32_t *)(void *)entry->made.data, room, &count);
  return status == SHEAF_OK ? length_of(count) : status;
}

int32_t sheaf_tok_decode(uint32_t number, const uint32_t *ids, uint32_t count) {
  open_vocab *entry = find(number);
  if (!entry || !is_memory(ids, (size_t)count * sizeof *ids)) return SHEAF_E_MISUSE;
  sheaf_buf_reset(&entry->made);
  int32_t status = sheaf_tokens_decode(entry->vocab, ids, count, &entry->made);
  return status == SHEAF_OK ? length_of(entry->made.bytes) : status;
}

double sheaf_tok_count_body(uint32_t number, const char *body, uint32_t bytes) {
  open_vocab *entry = find(number);
  size_t count = 0;
  bool is_estimate = false;
  int32_t status = entry && is_memory(body, bytes)
                       ? sheaf_json_check((sheaf_slice){body, bytes}, NULL)
                       : SHEAF_E_MISUSE;
  if (status == SHEAF_OK)
    status = sheaf_tokens_count_body(entry->tokenizer, (sheaf_slice){body, bytes}, &entry->scratch,
                                     &count, &is_estimate);
  if (status != SHEAF_OK) return (double)INT32_MIN + status;
  return is_estimate ? -1.0 - (double)count : (double)count;
}

/* ---- Building ---- */

int32_t sheaf_tok_build(const char *source, uint32_t bytes, const char *name, uint32_t name_bytes,
                        const char *pattern, uint32_t pattern_bytes) {
  if (!is_memory(source, bytes) || !is_memory(name, name_bytes) ||
      !is_memory(pattern, pattern_bytes))
    return SHEAF_E_MISUSE;
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  spec.name = (sheaf_slice){name, name_bytes};
  spec.pattern = (sheaf_slice){pattern, pattern_bytes};
  begin_built();
  memset(&build_error, 0, sizeof build_error);
  int32_t status = sheaf_vocab_build((sheaf_slice){source, bytes}, &spec, &built, &build_error);
  return status == SHEAF_OK ? length_of(built.bytes) : status;
}

const void *sheaf_tok_data(uint32_t number) {
  const open_vocab *entry = find(number);
  return entry ? entry->made.data : built.data;
}

int32_t sheaf_tok_encoding(const char *model, uint32_t bytes) {
  if (!is_memory(model, bytes)) return SHEAF_E_MISUSE;
  bool is_estimate = false;
  const char *name = sheaf_encoding_of_model((sheaf_slice){model, bytes}, &is_estimate);
  begin_built();
  int32_t status = sheaf_buf_append_text(&built, name);
  if (status != SHEAF_OK) return status;
  return is_estimate ? -(int32_t)built.bytes - 1000 : (int32_t)built.bytes;
}

int32_t sheaf_tok_explain(int32_t code) {
  const char *sentence = build_error.status == code ? build_error.message : NULL;
  begin_built();
  int32_t status = sheaf_buf_append_text(&built, sheaf_status_name(code));
  if (status == SHEAF_OK) status = sheaf_buf_append_text(&built, "\n");
  if (status == SHEAF_OK)
    status = sheaf_buf_append_text(&built, sentence ? sentence : sheaf_status_text(code));
  if (status == SHEAF_OK && sentence) {
    status = sheaf_buf_append_text(&built, ", at byte ");
    if (status == SHEAF_OK) status = sheaf_buf_append_u64(&built, build_error.offset);
  }
  return status == SHEAF_OK ? length_of(built.bytes) : status;
}
