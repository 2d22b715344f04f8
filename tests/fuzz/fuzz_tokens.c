/* fuzz_tokens.c: any bytes as text, as a vocabulary file and as what a vocabulary is built from.
 *
 * The first byte chooses. Text: encoding and a stream cut where the bytes say give the same ids,
 * which count as counted and decode to the text. A file: it is refused or can be used, also with a
 * checksum put right. A source: it is refused or gives a file that opens. */
#include "base/crc32c.h"
#include "tokens/tokenizer.h"

#include "tokens_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

enum { PATTERNS = 7, CHOICES = PATTERNS + 1 };

/* The same tokens in reverse: each comes before what it is made of. */
static void turn_around(const small_vocab *from, small_vocab *to) {
  for (uint32_t i = 0; i < from->count; i++) {
    uint32_t k = i < 256 ? i : from->count + 255 - i;
    small_add(to, from->token[k], from->bytes[k]);
  }
}

/* By pattern; the last is of late tokens. */
static sheaf_tokenizer *tokenizer_of(uint32_t choice) {
  static small_vocab small, reverse;
  static sheaf_tokenizer *tokenizers[CHOICES];
  if (tokenizers[choice]) return tokenizers[choice];
  if (small.count == 0) {
    small_train(&small, 250);
    turn_around(&small, &reverse);
  }
  const char *pattern = sheaf_pattern_name(choice % PATTERNS);
  sheaf_buf file;
  sheaf_vocab *vocab;
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  require(small_build(choice < PATTERNS ? &small : &reverse, pattern, &file) == SHEAF_OK);
  require(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab) == SHEAF_OK);
  require(sheaf_tokenizer_new(vocab, &small_heap, &tokenizers[choice]) == SHEAF_OK);
  sheaf_buf_deinit(&file);
  return tokenizers[choice];
}

static size_t encode_in_chunks(sheaf_tokenizer *t, sheaf_slice text,
                               const sheaf_special_policy *policy, size_t step, uint32_t *ids) {
  sheaf_token_stream *stream;
  size_t count = 0, more = 0;
  require(sheaf_token_stream_new(t, policy, 0, &stream) == SHEAF_OK);
  for (size_t at = 0; at < text.bytes; at += step) {
    size_t bytes = text.bytes - at < step ? text.bytes - at : step;
    size_t room = sheaf_token_stream_room(stream, bytes);
    sheaf_slice chunk = {text.data + at, bytes};
    require(sheaf_token_stream_feed(stream, chunk, ids + count, room, &more) == SHEAF_OK);
    count += more;
  }
  size_t room = sheaf_token_stream_room(stream, 0);
  require(sheaf_token_stream_end(stream, ids + count, room, &more) == SHEAF_OK);
  sheaf_token_stream_free(stream);
  return count + more;
}

static void try_text(uint8_t choice, uint8_t cut, const uint8_t *data, size_t size) {
  sheaf_tokenizer *t = tokenizer_of(choice % CHOICES);
  sheaf_slice text = {(const char *)data, size};
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  policy.others = choice & 64 ? SHEAF_SPECIAL_ALLOW : SHEAF_SPECIAL_TEXT;
  uint32_t *ids = malloc((size + 1) * sizeof *ids), *again = malloc((2 * size + 2) * sizeof *ids);
  require(ids && again);
  size_t count, counted;
  require(sheaf_tokens_encode(t, text, &policy, ids, size + 1, &count) == SHEAF_OK);
  require(sheaf_tokens_count(t, text, &policy, SIZE_MAX, &counted) == SHEAF_OK);
  require(count == counted);
  require(encode_in_chunks(t, text, &policy, 1u + cut, again) == count);
  require(memcmp(ids, again, count * sizeof *ids) == 0);
  sheaf_buf out;
  sheaf_buf_init(&out, &small_heap, SIZE_MAX);
  require(sheaf_tokens_decode(t->vocab, ids, count, &out) == SHEAF_OK);
  require(out.bytes == size && (size == 0 || memcmp(out.data, data, size) == 0));
  sheaf_buf_deinit(&out);
  free(ids);
  free(again);
}

static void try_file(const uint8_t *data, size_t size) {
  sheaf_vocab *vocab;
  sheaf_tokenizer *t;
  size_t count;
  if (sheaf_vocab_open(data, size, &small_heap, &vocab) != SHEAF_OK) return;
  if (sheaf_tokenizer_new(vocab, &small_heap, &t) == SHEAF_OK) {
    sheaf_slice text = {small_text, sizeof small_text - 1};
    require(sheaf_tokens_count(t, text, NULL, SIZE_MAX, &count) == SHEAF_OK);
    sheaf_tokenizer_free(t);
  }
  sheaf_vocab_close(vocab);
}

static void try_sealed(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size + 1);
  require(copy != NULL);
  if (size) memcpy(copy, data, size);
  if (size >= 20) {
    for (uint32_t i = 0; i < 4; i++) copy[16 + i] = (uint8_t)(size >> 8 * i);
    uint32_t crc = sheaf__crc32c(0, copy + 16, size - 16);
    for (uint32_t i = 0; i < 4; i++) copy[12 + i] = (uint8_t)(crc >> 8 * i);
  }
  try_file(copy, size);
  free(copy);
}

static void try_source(const uint8_t *data, size_t size) {
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  sheaf_parse_error error;
  sheaf_buf file;
  spec.name = sheaf_slice_of("fuzz");
  sheaf_buf_init(&file, &small_heap, (size_t)1 << 26);
  int32_t status = sheaf_vocab_build((sheaf_slice){(const char *)data, size}, &spec, &file, &error);
  require(error.status == status);
  if (status != SHEAF_OK) {
    spec.pattern = sheaf_slice_of("cl100k");
    status = sheaf_vocab_build((sheaf_slice){(const char *)data, size}, &spec, &file, &error);
  }
  sheaf_vocab *vocab;
  if (status == SHEAF_OK) {
    require(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab) == SHEAF_OK);
    sheaf_vocab_close(vocab);
  }
  sheaf_buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  uint8_t choice = data[0], cut = data[1];
  if (choice < 0xF0)
    try_text(choice, cut, data + 2, size - 2);
  else if (choice < 0xF5)
    try_file(data + 2, size - 2);
  else if (choice < 0xFA)
    try_sealed(data + 2, size - 2);
  else
    try_source(data + 2, size - 2);
  return 0;
}
