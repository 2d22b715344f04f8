/* test_tokens_build.c: building vocabularies, their file, and what is wrong with files. */
#include "base/crc32c.h"
#include "tokens/merge.h"
#include "tokens/tokenizer.h"

#include "check.h"
#include "test_alloc.h"
#include "tokens_test.h"

static small_vocab small;

static int32_t build(const char *source, size_t bytes, const char *pattern, sheaf_buf *out,
                     sheaf_parse_error *error) {
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  spec.name = sheaf_slice_of("test");
  spec.pattern = sheaf_slice_of(pattern);
  return sheaf_vocab_build((sheaf_slice){source, bytes}, &spec, out, error);
}

/* The ranks of the single bytes and these tokens, in order. */
static void ranks_of(const char *const *tokens, size_t count, sheaf_buf *out) {
  static small_vocab v;
  v.count = 0;
  v.stored = 0;
  for (uint32_t i = 0; i < 256; i++) {
    uint8_t byte = (uint8_t)i;
    small_add(&v, &byte, 1);
  }
  for (size_t i = 0; i < count; i++) small_add(&v, (const uint8_t *)tokens[i], strlen(tokens[i]));
  small_ranks(&v, out);
}

static sheaf_vocab *open_ranks(const char *const *tokens, size_t count, const char *pattern) {
  sheaf_buf ranks, file;
  sheaf_vocab *vocab = NULL;
  sheaf_buf_init(&ranks, &small_heap, SIZE_MAX);
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  ranks_of(tokens, count, &ranks);
  CHECK_OK(build(ranks.data, ranks.bytes, pattern, &file, NULL));
  CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
  sheaf_buf_deinit(&ranks);
  sheaf_buf_deinit(&file);
  return vocab;
}

static void check_encoded(sheaf_tokenizer *t, const char *text, const uint32_t *wanted,
                          size_t count) {
  uint32_t ids[64];
  size_t got = 0;
  CHECK_OK(sheaf_tokens_encode(t, sheaf_slice_of(text), NULL, ids, 64, &got));
  CHECK_EQ(got, count);
  for (size_t i = 0; i < got && i < count; i++) CHECK_EQ(ids[i], wanted[i]);
}

static void check_ids(sheaf_vocab *vocab, const char *text, const uint32_t *wanted, size_t count) {
  sheaf_tokenizer *t;
  CHECK_OK(sheaf_tokenizer_new(vocab, &small_heap, &t));
  check_encoded(t, text, wanted, count);
  sheaf_tokenizer_free(t);
}

TEST(merges_follow_ranks_and_not_length) {
  static const char *const tokens[] = {"bc", "ab", "abc", "cd"};
  sheaf_vocab *vocab = open_ranks(tokens, 4, "none");
  check_ids(vocab, "abcd", (const uint32_t[]){258, 'd'}, 2); /* b c, then a bc */
  check_ids(vocab, "abab", (const uint32_t[]){257, 257}, 2);
  check_ids(vocab, "abbc", (const uint32_t[]){257, 256}, 2);
  sheaf_vocab_close(vocab);
}

TEST(of_equal_merges_the_left_one_comes_first) {
  static const char *const tokens[] = {"aa", "aaa"};
  sheaf_vocab *vocab = open_ranks(tokens, 2, "none");
  check_ids(vocab, "aaaaa", (const uint32_t[]){256, 257}, 2); /* aa aa a, then aa a */
  check_ids(vocab, "aaaaaa", (const uint32_t[]){256, 256, 256}, 3);
  sheaf_vocab_close(vocab);
}

TEST(a_token_no_merge_makes_is_found_as_a_whole_piece_alone) {
  static const char *const tokens[] = {"ab", "bcd", "xyz"}; /* bc, cd, xy and yz are missing */
  sheaf_vocab *vocab = open_ranks(tokens, 3, "none");
  check_ids(vocab, "bcd", (const uint32_t[]){257}, 1);
  check_ids(vocab, "bcdb", (const uint32_t[]){'b', 'c', 'd', 'b'}, 4);
  check_ids(vocab, "xyz", (const uint32_t[]){258}, 1);
  sheaf_vocab_close(vocab);
}

/* Ranks no training gives: a part that comes after its whole. */
TEST(ranks_in_any_order_are_merged_by_the_book) {
  uint32_t state = 3;
  for (uint32_t round = 0; round < 300; round++) {
    static small_vocab v;
    v.count = 0;
    v.stored = 0;
    for (uint32_t i = 0; i < 256; i++) {
      uint8_t byte = (uint8_t)i;
      small_add(&v, &byte, 1);
    }
    for (uint32_t i = 0; i < 14; i++) {
      uint8_t text[5];
      size_t bytes = 2;
      state = state * 1664525u + 1013904223u;
      bytes += state >> 30;
      for (size_t k = 0; k < bytes; k++) text[k] = (uint8_t)('a' + (state >> (8 + 2 * k)) % 3);
      if (small_find(&v, text, bytes) == UINT32_MAX) small_add(&v, text, bytes);
    }
    sheaf_buf file;
    sheaf_buf_init(&file, &small_heap, SIZE_MAX);
    CHECK_OK(small_build(&v, "none", &file));
    sheaf_vocab *vocab = NULL;
    CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
    sheaf_buf_deinit(&file);
    for (uint32_t text_round = 0; text_round < 20; text_round++) {
      uint8_t text[40];
      uint32_t wanted[40], parts[40];
      uint64_t words[6 * 40 + 1];
      static uint64_t memo[SHEAF__MEMO_WORDS];
      memset(memo, 0, sizeof memo);
      for (size_t i = 0; i < sizeof text; i++) {
        state = state * 1664525u + 1013904223u;
        text[i] = (uint8_t)('a' + (state >> 12) % 3);
      }
      size_t bytes = 6 + text_round, count = small_merge(&v, text, bytes, wanted);
      CHECK(sheaf__merge_words(vocab, bytes) <= sizeof words / sizeof *words);
      CHECK_EQ(sheaf__merge(vocab, text, bytes, sizeof text, parts, words, memo), count);
      for (size_t i = 0; i < count; i++) CHECK_EQ(sheaf__token_id(vocab, parts[i]), wanted[i]);
    }
    sheaf_vocab_close(vocab);
  }
}

/* Runs of one or two characters with a break in them, and tokens of many lengths that runs are made of: the
 * way through the row tries a long token again before longer ones. */
TEST(long_runs_are_merged_by_the_book) {
  uint32_t state = 11;
  static small_vocab v;
  static uint64_t memo[SHEAF__MEMO_WORDS];
  for (uint32_t round = 0; round < 60; round++) {
    v.count = 0;
    v.stored = 0;
    for (uint32_t i = 0; i < 256; i++) {
      uint8_t byte = (uint8_t)i;
      small_add(&v, &byte, 1);
    }
    for (uint32_t tries = 0; tries < 60; tries++) { /* two tokens together, most of them long */
      uint8_t text[128];
      uint32_t parts[2], known = v.count - 256;
      for (uint32_t k = 0; k < 2; k++) {
        state = state * 1664525u + 1013904223u;
        bool is_letter = known == 0 || state >> 29 == 0;
        parts[k] = is_letter ? 'a' + (state >> 20) % (1 + round % 2) : 256 + (state >> 12) % known;
      }
      size_t left = v.bytes[parts[0]], bytes = left + v.bytes[parts[1]];
      if (bytes > 64) continue;
      memcpy(text, v.token[parts[0]], left);
      memcpy(text + left, v.token[parts[1]], v.bytes[parts[1]]);
      if (small_find(&v, text, bytes) == UINT32_MAX) small_add(&v, text, bytes);
    }
    sheaf_buf file;
    sheaf_vocab *vocab = NULL;
    sheaf_buf_init(&file, &small_heap, SIZE_MAX);
    CHECK_OK(small_build(&v, "none", &file));
    CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
    sheaf_buf_deinit(&file);
    memset(memo, 0, sizeof memo);
    for (uint32_t run = 0; run < 24; run++) {
      enum { LONGEST = 300 };
      uint8_t text[LONGEST];
      uint32_t wanted[LONGEST], parts[LONGEST];
      uint64_t words[6 * LONGEST + LONGEST / 64 + 1];
      state = state * 1664525u + 1013904223u;
      size_t bytes = 40 + (state >> 8) % 260, broken = (state >> 20) % bytes;
      for (size_t i = 0; i < bytes; i++) text[i] = (uint8_t)('a' + i % (1 + round % 2));
      if (run % 2) text[broken] = 'b';
      size_t count = small_merge(&v, text, bytes, wanted);
      CHECK_EQ(sheaf__merge(vocab, text, bytes, bytes, parts, words, memo), count);
      for (size_t i = 0; i < count; i++) CHECK_EQ(sheaf__token_id(vocab, parts[i]), wanted[i]);
    }
    sheaf_vocab_close(vocab);
  }
}

TEST(a_known_encoding_brings_pattern_and_specials) {
  sheaf_buf ranks, file;
  sheaf_buf_init(&ranks, &small_heap, SIZE_MAX);
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  small_ranks(&small, &ranks);
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  spec.name = sheaf_slice_of("o200k_harmony");
  CHECK_OK(sheaf_vocab_build(sheaf_buf_slice(&ranks), &spec, &file, NULL));
  sheaf_vocab *vocab = NULL;
  CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
  static const sheaf_special_token rows[] = {{{"<|start|>", 9}, 200006},
                                             {{"<|call|>", 8}, 200012},
                                             {{"<|endoftext|>", 13}, 199999},
                                             {{"<|reserved_200009|>", 19}, 200009},
                                             {{"<|reserved_201087|>", 19}, 201087},
                                             {{"<|reserved_200018|>", 19}, 200018},
                                             {{"<|endofprompt|>", 15}, 200018}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint32_t id;
    CHECK_OK(sheaf_vocab_id(vocab, rows[i].text, &id));
    CHECK_EQ(id, rows[i].id);
  }
  sheaf_slice text;
  CHECK_OK(sheaf_vocab_token(vocab, 200018, &text));
  CHECK(small_is(text, "<|endofprompt|>"));
  CHECK_STATUS(sheaf_vocab_id(vocab, sheaf_slice_of("<|reserved_200006|>"), &(uint32_t){0}),
               SHEAF_E_NOT_FOUND);
  CHECK_EQ(sheaf_vocab_size(vocab), 201088);
  sheaf_vocab_close(vocab);
  spec.pattern = sheaf_slice_of("gpt2");
  CHECK_STATUS(sheaf_vocab_build(sheaf_buf_slice(&ranks), &spec, &file, NULL), SHEAF_E_MISUSE);
  sheaf_buf_deinit(&ranks);
  sheaf_buf_deinit(&file);
}

TEST(a_pattern_is_known_by_its_text_as_well) {
  uint32_t number;
  CHECK_OK(sheaf__pattern_find(
      sheaf_slice_of("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| "
                     "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"),
      &number));
  CHECK(small_is(sheaf_slice_of(sheaf_pattern_name(number)), "cl100k"));
  CHECK_STATUS(sheaf__pattern_find(sheaf_slice_of("\\w+"), &number), SHEAF_E_NOT_FOUND);
  CHECK(sheaf_pattern_name(100) == NULL);
}

TEST(what_is_wrong_with_ranks_is_said) {
  static const struct {
    const char *more, *pattern;
    int32_t status;
  } rows[] = {{"YWI= 256\n", "r50k", SHEAF_OK},
              {"YWI= 256", "r50k", SHEAF_OK},       /* the last line may lack its end */
              {"YWI= 256\r\n\n", "r50k", SHEAF_OK}, /* and other ends and empty lines are fine */
              {"YWI= 300\n", "r50k", SHEAF_OK},     /* ranks may have gaps */
              {"YWI=\n", "r50k", SHEAF_E_SYNTAX},
              {"YWI= \n", "r50k", SHEAF_E_SYNTAX},
              {"YWI= 2x\n", "r50k", SHEAF_E_SYNTAX},
              {"YWI= -1\n", "r50k", SHEAF_E_SYNTAX},
              {"YWI 256\n", "r50k", SHEAF_E_SYNTAX},
              {"Y=I= 256\n", "r50k", SHEAF_E_SYNTAX},
              {"Y*I= 256\n", "r50k", SHEAF_E_SYNTAX},
              {" 256\n", "r50k", SHEAF_E_SYNTAX},
              {"YWI= 7\n", "r50k", SHEAF_E_FIELD},   /* the rank of a byte */
              {"YQ== 256\n", "r50k", SHEAF_E_FIELD}, /* a byte's text */
              {"YWI= 16777216\n", "r50k", SHEAF_E_RANGE},
              {"YWI= 99999999999\n", "r50k", SHEAF_E_SYNTAX},
              {"YWI= 256\n", "what", SHEAF_E_NOT_FOUND},
              {"YWI= 256\n", "", SHEAF_E_NOT_FOUND}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_buf ranks, file;
    sheaf_parse_error error;
    sheaf_buf_init(&ranks, &small_heap, SIZE_MAX);
    sheaf_buf_init(&file, &small_heap, SIZE_MAX);
    ranks_of(NULL, 0, &ranks);
    sheaf_buf_append_text(&file, "before");
    size_t line = ranks.bytes;
    sheaf_buf_append_text(&ranks, rows[i].more);
    CHECK_STATUS(build(ranks.data, ranks.bytes, rows[i].pattern, &file, &error), rows[i].status);
    CHECK_EQ(error.status, rows[i].status);
    if (rows[i].status != SHEAF_OK) CHECK(error.message != NULL && file.bytes == 6);
    if (rows[i].status == SHEAF_E_SYNTAX) CHECK_EQ(error.offset, line);
    sheaf_buf_deinit(&ranks);
    sheaf_buf_deinit(&file);
  }
}

TEST(a_missing_byte_is_said) {
  sheaf_buf file;
  sheaf_parse_error error;
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  CHECK_STATUS(build("YQ== 0\n", 7, "r50k", &file, &error), SHEAF_E_FIELD);
  CHECK_STATUS(build("", 0, "r50k", &file, &error), SHEAF_E_FIELD);
  sheaf_buf_deinit(&file);
}

/* ---- the file ---- */

static sheaf_buf file_of(const char *pattern) {
  sheaf_buf file;
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  CHECK_OK(small_build(&small, pattern, &file));
  return file;
}

TEST(a_file_with_any_byte_changed_or_cut_is_corrupt) {
  sheaf_buf file = file_of("o200k");
  sheaf_vocab *vocab = NULL;
  for (size_t i = 0; i < file.bytes; i++) {
    file.data[i] = (char)(file.data[i] ^ 0x10);
    int32_t status = sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab);
    bool is_version = i >= 8 && i < 12;
    CHECK_STATUS(status, is_version ? SHEAF_E_VERSION : SHEAF_E_CORRUPT);
    file.data[i] = (char)(file.data[i] ^ 0x10);
  }
  for (size_t bytes = 0; bytes < file.bytes; bytes += 1 + bytes / 40)
    CHECK_STATUS(sheaf_vocab_open(file.data, bytes, &small_heap, &vocab), SHEAF_E_CORRUPT);
  CHECK(vocab == NULL);
  sheaf_buf_deinit(&file);
}

static void seal(uint8_t *file, size_t bytes) {
  uint32_t crc = sheaf__crc32c(0, file + 16, bytes - 16);
  for (uint32_t i = 0; i < 4; i++) file[12 + i] = (uint8_t)(crc >> 8 * i);
}

/* Whatever a file says whose checksum is right: an error, or a vocabulary that can be used. */
static void try_nonsense(const sheaf_buf *file) {
  uint8_t *bytes = (uint8_t *)file->data, *copy = malloc(file->bytes);
  uint32_t state = 11, opened = 0;
  CHECK(copy != NULL);
  for (uint32_t round = 0; copy && round < 1200; round++) {
    memcpy(copy, bytes, file->bytes);
    for (uint32_t i = 0; i < 1 + round % 3; i++) {
      state = state * 1664525u + 1013904223u;
      size_t at = 20 + (state >> 8) % (round % 2 ? 44 : file->bytes - 20);
      state = state * 1664525u + 1013904223u;
      copy[at] = (uint8_t)(state >> 24);
    }
    seal(copy, file->bytes);
    sheaf_vocab *vocab;
    sheaf_tokenizer *t;
    if (sheaf_vocab_open(copy, file->bytes, &small_heap, &vocab) != SHEAF_OK) continue;
    opened++;
    if (round % 8 == 0 && sheaf_tokenizer_new(vocab, &small_heap, &t) == SHEAF_OK) {
      size_t count = 0;
      CHECK_OK(sheaf_tokens_count(t, (sheaf_slice){small_text, sizeof small_text - 1}, NULL,
                                  SIZE_MAX, &count));
      CHECK(count > 0);
      sheaf_tokenizer_free(t);
    }
    sheaf_vocab_close(vocab);
  }
  CHECK(opened > 30);
  free(copy);
}

TEST(a_sealed_file_of_nonsense_never_crashes) {
  sheaf_buf file = file_of("cl100k");
  try_nonsense(&file);
  file.data[20] |= SHEAF__VOCAB_LATE; /* allowed where there is none, too */
  try_nonsense(&file);
  sheaf_buf_deinit(&file);
}

TEST(a_file_of_a_newer_version_is_told_apart) {
  sheaf_buf file = file_of("gpt2");
  sheaf_vocab *vocab;
  file.data[8] = 2;
  CHECK_STATUS(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab), SHEAF_E_VERSION);
  sheaf_buf_deinit(&file);
}

/* ---- tokenizer.json ---- */

static void append_alphabet(sheaf_buf *out, uint32_t byte) {
  static const uint8_t zero[2] = {0xC4, 0x80}; /* U+0100 */
  bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  uint32_t point = byte;
  if (!plain) point = 256 + (byte < 33 ? byte : byte < 161 ? byte - 127 + 33 : 67);
  if (point == '"' || point == '\\') sheaf_buf_append_text(out, "\\");
  if (point < 0x80) {
    char c = (char)point;
    sheaf_buf_append(out, &c, 1);
    return;
  }
  uint8_t two[2] = {(uint8_t)(0xC0 | point >> 6), (uint8_t)(0x80 | (point & 0x3F))};
  CHECK(point < 256 || two[0] >= zero[0]);
  sheaf_buf_append(out, two, 2);
}

/* A document with the 256 bytes as ids 0..255, these tokens from 300 on, and what is given. */
static sheaf_buf document(const char *tokens, const char *merges, const char *model_more,
                          const char *splitter, const char *more) {
  sheaf_buf out;
  sheaf_buf_init(&out, &small_heap, SIZE_MAX);
  sheaf_buf_append_text(&out, "{\"version\":\"1.0\",");
  sheaf_buf_append_text(&out, more);
  sheaf_buf_append_text(&out, "\"pre_tokenizer\":");
  sheaf_buf_append_text(&out, splitter);
  sheaf_buf_append_text(&out, ",\"model\":{\"type\":\"BPE\",");
  sheaf_buf_append_text(&out, model_more);
  sheaf_buf_append_text(&out, "\"merges\":");
  sheaf_buf_append_text(&out, merges);
  sheaf_buf_append_text(&out, ",\"vocab\":{");
  for (uint32_t byte = 0; byte < 256; byte++) {
    sheaf_buf_append_text(&out, byte ? ",\"" : "\"");
    append_alphabet(&out, byte);
    sheaf_buf_append_text(&out, "\":");
    sheaf_buf_append_u64(&out, byte);
  }
  sheaf_buf_append_text(&out, tokens);
  sheaf_buf_append_text(&out, "}}}");
  return out;
}

static const char gpt2_splitter[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}";
static const char llama_splitter[] =
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
    "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
    "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"use_regex\":false}]}";
static const char no_splitter[] = "{\"type\":\"ByteLevel\",\"use_regex\":false}";

static int32_t open_document(sheaf_buf *json, sheaf_vocab **vocab) {
  sheaf_buf file;
  sheaf_parse_error error;
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  int32_t status = build(json->data, json->bytes, "", &file, &error);
  CHECK_EQ(error.status, status);
  if (status == SHEAF_OK) CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, vocab));
  sheaf_buf_deinit(&file);
  sheaf_buf_deinit(json);
  return status;
}

TEST(merges_of_a_document_are_honoured_in_their_order) {
  /* ids are not in order of merges; pairs that are not listed do not merge */
  sheaf_buf json = document(",\"ab\":302,\"bc\":300,\"abc\":301",
                            "[\"b c\",\"a b\",[\"a\",\"bc\"]]", "", no_splitter, "");
  sheaf_vocab *vocab = NULL;
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "abc", (const uint32_t[]){301}, 1);
  check_ids(vocab, "abab", (const uint32_t[]){302, 302}, 2);
  check_ids(vocab, "xbc", (const uint32_t[]){'x', 300}, 2);
  sheaf_vocab_close(vocab);
  /* here nothing makes abc: it is a token in name only */
  json = document(",\"ab\":302,\"bc\":300,\"abc\":301", "[\"b c\",\"a b\"]", "", no_splitter, "");
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "abc", (const uint32_t[]){'a', 300}, 2);
  sheaf_vocab_close(vocab);
}

TEST(ignore_merges_takes_a_piece_that_is_a_token) {
  sheaf_buf json = document(",\"ab\":302,\"bc\":300,\"abc\":301", "[\"b c\",\"a b\"]",
                            "\"ignore_merges\":true,", no_splitter, "");
  sheaf_vocab *vocab = NULL;
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "abc", (const uint32_t[]){301}, 1);
  check_ids(vocab, "abcabc", (const uint32_t[]){'a', 300, 'a', 300}, 4);
  sheaf_vocab_close(vocab);
}

TEST(the_byte_level_alphabet_stands_for_bytes) {
  sheaf_buf json = document(
      ",\"\xc4\xa0"
      "a\":300,\"\xc4\x8a\xc4\x8a\":301,\"\xc3\x83\xc2\xa9\":302",
      "[\"\xc4\xa0 a\",\"\xc4\x8a \xc4\x8a\",\"\xc3\x83 \xc2\xa9\"]", "", gpt2_splitter, "");
  sheaf_vocab *vocab = NULL;
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, " a\n\n", (const uint32_t[]){300, 301}, 2);
  check_ids(vocab, "\xc3\xa9", (const uint32_t[]){302}, 1);
  check_ids(vocab, "\x7f\xc2\xa0\xc2\xad", (const uint32_t[]){127, 0xC2, 0xA0, 0xC2, 0xAD}, 5);
  sheaf_vocab_close(vocab);
}

TEST(patterns_and_added_tokens_of_a_document_are_read) {
  sheaf_buf json = document("", "[]", "", llama_splitter,
                            "\"added_tokens\":[{\"id\":400,\"content\":\"<|x|>\",\"special\":true},"
                            "{\"id\":401,\"content\":\"\\u00e9\\n\"}],");
  sheaf_vocab *vocab = NULL;
  CHECK_OK(open_document(&json, &vocab));
  CHECK(small_is(sheaf_slice_of(vocab->pattern->name), "llama3"));
  sheaf_special_token special;
  CHECK_OK(sheaf_vocab_special(vocab, 1, &special));
  CHECK(small_is(special.text, "\xc3\xa9\n"));
  CHECK_EQ(special.id, 401);
  sheaf_vocab_close(vocab);
}

TEST(a_document_may_ask_for_normalization_form_c) {
  sheaf_buf json = document(",\"\xc3\x83\xc2\xa9\":300", "[\"\xc3\x83 \xc2\xa9\"]", "",
                            gpt2_splitter, "\"normalizer\":{\"type\":\"NFC\"},");
  sheaf_vocab *vocab = NULL;
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "e\xcc\x81 \xc3\xa9", (const uint32_t[]){300, ' ', 300}, 3);
  CHECK(sheaf_tokens_room(vocab, 4) == 12);
  sheaf_tokenizer *t;
  sheaf_token_stream *stream;
  uint32_t ids[64];
  size_t count = 0, more = 0;
  CHECK_OK(sheaf_tokenizer_new(vocab, &small_heap, &t));
  CHECK_OK(sheaf_token_stream_new(t, NULL, 0, &stream));
  static const char text[] = "a e\xcc\x81";
  for (size_t i = 0; i + 1 < sizeof text; i++) {
    sheaf_slice one = {text + i, 1};
    CHECK_OK(sheaf_token_stream_feed(stream, one, ids + count, 64 - count, &more));
    count += more;
  }
  CHECK_OK(sheaf_token_stream_end(stream, ids + count, 64 - count, &more));
  CHECK_EQ(count + more, 3);
  CHECK(ids[0] == 'a' && ids[1] == ' ' && ids[2] == 300);
  sheaf_token_stream_free(stream);
  sheaf_tokenizer_free(t);
  sheaf_vocab_close(vocab);
}

/* ---- late tokens: made of parts that come later in the order of merges ---- */

/* aa comes later than aaa, which is made of it. */
static sheaf_buf late_document(void) {
  return document(",\"aa\":300,\"aaa\":301", "[\"aa a\",\"a a\"]", "", no_splitter, "");
}

TEST(a_merge_may_come_before_that_of_its_part) {
  sheaf_vocab *vocab = NULL;
  sheaf_buf json = late_document();
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "aa", (const uint32_t[]){300}, 1);
  check_ids(vocab, "aaa", (const uint32_t[]){301}, 1);
  /* a a, and then aa a at once, as it comes before another a a */
  check_ids(vocab, "aaaa", (const uint32_t[]){301, 'a'}, 2);
  check_ids(vocab, "aaaaa", (const uint32_t[]){301, 300}, 2);
  check_ids(vocab, "baaaaaab", (const uint32_t[]){'b', 301, 301, 'b'}, 4);
  sheaf_vocab_close(vocab);
}

TEST(a_late_merge_waits_for_its_part) {
  sheaf_vocab *vocab = NULL;
  sheaf_buf json = document(",\"bc\":300,\"abc\":301,\"cd\":302", "[\"a bc\",\"c d\",\"b c\"]", "",
                            no_splitter, "");
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "abc", (const uint32_t[]){301}, 1);
  /* c d comes before b c, so there is no bc to merge with a */
  check_ids(vocab, "abcd", (const uint32_t[]){'a', 'b', 302}, 3);
  check_ids(vocab, "abcabcd", (const uint32_t[]){301, 'a', 'b', 302}, 4);
  check_ids(vocab, "abcbcd", (const uint32_t[]){301, 'b', 302}, 3);
  sheaf_vocab_close(vocab);
}

TEST(late_merges_and_ignore_merges_go_together) {
  sheaf_vocab *vocab = NULL;
  sheaf_buf json = document(",\"ab\":300,\"abc\":301,\"bcd\":302,\"abcd\":303",
                            "[\"ab c\",\"a b\"]", "\"ignore_merges\":true,", gpt2_splitter, "");
  CHECK_OK(open_document(&json, &vocab));
  check_ids(vocab, "abc", (const uint32_t[]){301}, 1);
  check_ids(vocab, "abcd", (const uint32_t[]){303}, 1);
  check_ids(vocab, "bcd", (const uint32_t[]){302}, 1);
  check_ids(vocab, "abcdx bcd", (const uint32_t[]){301, 'd', 'x', ' ', 'b', 'c', 'd'}, 7);
  sheaf_vocab_close(vocab);
}

/* A list of merges, by texts. */
typedef struct merge_list {
  char texts[32][12]; /* tokens: the letters, then what merges make */
  uint32_t text_count;
  struct {
    uint32_t left, right, made;
  } merges[32];
  uint32_t merge_count;
} merge_list;

static uint32_t list_find(merge_list *list, const char *text) {
  uint32_t i = 0;
  while (i < list->text_count && strcmp(list->texts[i], text) != 0) i++;
  return i;
}

static uint32_t draw(uint32_t *state, uint32_t below) {
  *state = *state * 1664525u + 1013904223u;
  return (*state >> 8) % below;
}

/* Merges of tokens that other merges make, in any order, and several that make the same. */
static void list_draw(merge_list *list, uint32_t *state) {
  *list = (merge_list){.texts = {"a", "b", "c"}, .text_count = 1 + draw(state, 3)};
  for (uint32_t tries = 0; tries < 22; tries++) {
    uint32_t left = draw(state, list->text_count), right = draw(state, list->text_count), i = 0;
    char text[24];
    strcpy(text, list->texts[left]);
    strcat(text, list->texts[right]);
    while (i < list->merge_count &&
           (list->merges[i].left != left || list->merges[i].right != right))
      i++;
    if (strlen(text) >= sizeof list->texts[0] || i < list->merge_count) continue;
    uint32_t made = list_find(list, text), place = draw(state, list->merge_count + 1);
    if (made == list->text_count) strcpy(list->texts[list->text_count++], text);
    list->merges[list->merge_count].left = list->merges[place].left;
    list->merges[list->merge_count].right = list->merges[place].right;
    list->merges[list->merge_count++].made = list->merges[place].made;
    list->merges[place].left = left;
    list->merges[place].right = right;
    list->merges[place].made = made;
  }
}

static sheaf_vocab *list_open(const merge_list *list) {
  sheaf_buf tokens, merges, json;
  sheaf_vocab *vocab = NULL;
  sheaf_buf_init(&tokens, &small_heap, SIZE_MAX);
  sheaf_buf_init(&merges, &small_heap, SIZE_MAX);
  for (uint32_t i = 0; i < list->text_count; i++) {
    if (list->texts[i][1] == 0) continue;
    sheaf_buf_append_text(&tokens, ",\"");
    sheaf_buf_append_text(&tokens, list->texts[i]);
    sheaf_buf_append_text(&tokens, "\":");
    sheaf_buf_append_u64(&tokens, 300 + i);
  }
  for (uint32_t i = 0; i < list->merge_count; i++) {
    sheaf_buf_append_text(&merges, i ? ",\"" : "[\"");
    sheaf_buf_append_text(&merges, list->texts[list->merges[i].left]);
    sheaf_buf_append_text(&merges, " ");
    sheaf_buf_append_text(&merges, list->texts[list->merges[i].right]);
    sheaf_buf_append_text(&merges, "\"");
  }
  sheaf_buf_append(&tokens, "", 1);
  sheaf_buf_append(&merges, "]", 2);
  json = document(tokens.data, merges.data, "", no_splitter, "");
  CHECK_OK(open_document(&json, &vocab));
  sheaf_buf_deinit(&tokens);
  sheaf_buf_deinit(&merges);
  return vocab;
}

/* As merging is defined: again and again the pair whose place in the list is lowest, the leftmost of
 * equals. */
static size_t list_merge(const merge_list *list, const char *text, uint32_t *ids) {
  size_t count = strlen(text);
  for (size_t i = 0; i < count; i++) ids[i] = (uint32_t)(text[i] - 'a');
  for (uint32_t best; count > 0; count--) {
    size_t at = 0;
    best = list->merge_count;
    for (size_t i = 0; i + 1 < count; i++) {
      for (uint32_t k = 0; k < best; k++)
        if (list->merges[k].left == ids[i] && list->merges[k].right == ids[i + 1]) best = k, at = i;
    }
    if (best == list->merge_count) break;
    ids[at] = list->merges[best].made;
    memmove(ids + at + 1, ids + at + 2, (count - at - 2) * sizeof *ids);
  }
  for (size_t i = 0; i < count; i++)
    ids[i] = list->texts[ids[i]][1] ? 300 + ids[i] : (uint8_t)list->texts[ids[i]][0];
  return count;
}

TEST(lists_of_merges_in_any_order_are_merged_by_the_book) {
  uint32_t state = 5, late = 0;
  for (uint32_t round = 0; round < 400; round++) {
    merge_list list;
    list_draw(&list, &state);
    if (list.merge_count == 0) continue;
    uint32_t letters = list.texts[1][1] ? 1 : list.texts[2][1] ? 2 : 3;
    sheaf_vocab *vocab = list_open(&list);
    sheaf_tokenizer *t;
    CHECK_OK(sheaf_tokenizer_new(vocab, &small_heap, &t));
    late += vocab->late != NULL;
    for (uint32_t text_round = 0; text_round < 20; text_round++) {
      char text[64];
      uint32_t wanted[64];
      size_t bytes = 1 + draw(&state, text_round < 15 ? 16 : 60);
      for (size_t i = 0; i < bytes; i++) text[i] = (char)('a' + draw(&state, letters));
      text[bytes] = 0;
      check_encoded(t, text, wanted, list_merge(&list, text, wanted));
    }
    sheaf_tokenizer_free(t);
    sheaf_vocab_close(vocab);
  }
  CHECK(late > 100 && late < 390);
}

/* The file of a document, which is freed. */
static sheaf_buf file_of_document(sheaf_buf *json) {
  sheaf_buf file;
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  CHECK_OK(build(json->data, json->bytes, "", &file, NULL));
  sheaf_buf_deinit(json);
  return file;
}

static void set_half(sheaf_buf *file, uint32_t merge, bool right, uint32_t number) {
  uint8_t *p = (uint8_t *)file->data;
  size_t merges = p[28], planes = SHEAF__VOCAB_HEAD_BYTES + 1024 + 8 * (size_t)p[40];
  if (right) planes += 3 * merges;
  for (size_t i = 0; i < 3; i++) p[planes + i * merges + merge] = (uint8_t)(number >> 8 * i);
}

TEST(late_merges_that_cannot_be_are_corrupt) {
  static const struct {
    uint32_t left, right; /* of 256, which is 257 and a; 257 is a and a */
    uint32_t left_later, right_later;
    uint32_t flags;
    int32_t status;
  } rows[] = {
      {257, 'a', 'a', 'a', SHEAF__VOCAB_LATE, SHEAF_OK},
      {257, 257, 'a', 'a', SHEAF__VOCAB_LATE, SHEAF_OK},
      {'a', 'a', 256, 256, SHEAF__VOCAB_LATE, SHEAF_OK}, /* the flag alone makes none late */
      {257, 'a', 'a', 'a', 0, SHEAF_E_CORRUPT},
      {257, 'a', 'a', 'a', 1 | SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT}, /* no such flag */
      {256, 'a', 'a', 'a', SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT},
      {'a', 256, 'a', 'a', SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT},
      {257, 'a', 'a', 256, SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT},
      {257, 'a', 256, 'a', SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT},
      {'a', 'a', 'a', 257, SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT},
      {258, 'a', 'a', 'a', SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT},
      {'a', 0xFFFFFF, 'a', 'a', SHEAF__VOCAB_LATE, SHEAF_E_CORRUPT}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_buf json = late_document(), file = file_of_document(&json);
    CHECK_EQ(file.data[20], SHEAF__VOCAB_LATE);
    set_half(&file, 0, false, rows[i].left);
    set_half(&file, 0, true, rows[i].right);
    set_half(&file, 1, false, rows[i].left_later);
    set_half(&file, 1, true, rows[i].right_later);
    file.data[20] = (char)rows[i].flags;
    seal((uint8_t *)file.data, file.bytes);
    sheaf_vocab *vocab = NULL;
    CHECK_STATUS(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab), rows[i].status);
    sheaf_vocab_close(vocab);
    sheaf_buf_deinit(&file);
  }
}

/* Each token twice the next: all late but the last. */
TEST(a_late_token_is_as_long_as_any_may_be) {
  sheaf_buf tokens, merges;
  sheaf_buf_init(&tokens, &small_heap, SIZE_MAX);
  sheaf_buf_init(&merges, &small_heap, SIZE_MAX);
  for (uint32_t i = 0; i < 16; i++) {
    char token[] = ",\"xa\":", merge[] = ",\"x a\"";
    token[3] = merge[4] = (char)('a' + i);
    sheaf_buf_append_text(&tokens, token);
    sheaf_buf_append_u64(&tokens, 300 + i);
    sheaf_buf_append_text(&merges, i ? merge : merge + 1);
  }
  sheaf_buf_append_text(&tokens, ",\"aa\":320,\"aaa\":321");
  sheaf_buf_append(&tokens, "", 1);
  for (uint32_t round = 0; round < 2; round++) {
    sheaf_buf list, json;
    sheaf_buf_init(&list, &small_heap, SIZE_MAX);
    sheaf_buf_append_text(&list, "[");
    sheaf_buf_append_slice(&list, sheaf_buf_slice(&merges));
    sheaf_buf_append_text(&list, ",\"aa a\",\"a a\"]");
    sheaf_buf_append(&list, "", 1);
    json = document(tokens.data, list.data, "", no_splitter, "");
    sheaf_buf_deinit(&list);
    sheaf_buf file = file_of_document(&json);
    for (uint32_t i = 0; i < 18; i++) { /* of 18 merges 15, or 16, double */
      uint32_t half = i < 14 + round ? 257 + i : 'a';
      set_half(&file, i, false, half);
      set_half(&file, i, true, half);
    }
    seal((uint8_t *)file.data, file.bytes);
    sheaf_vocab *vocab = NULL;
    int32_t status = sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab);
    CHECK_STATUS(status, round ? SHEAF_E_CORRUPT : SHEAF_OK);
    sheaf_slice text = {NULL, 0};
    if (vocab) CHECK_OK(sheaf_vocab_token(vocab, 300, &text));
    if (vocab) CHECK_EQ(text.bytes, 1 << 15);
    for (size_t i = 0; i < text.bytes; i++)
      if (text.data[i] != 'a') CHECK_EQ(i, text.bytes);
    sheaf_vocab_close(vocab);
    sheaf_buf_deinit(&file);
  }
  sheaf_buf_deinit(&tokens);
  sheaf_buf_deinit(&merges);
}

TEST(opening_late_merges_may_lack_memory) {
  sheaf_buf json = late_document(), file = file_of_document(&json);
  int32_t status = SHEAF_E_NOMEM;
  uint64_t n = 0;
  while (status == SHEAF_E_NOMEM && n < 100) {
    test_alloc alloc = {.fail_at = ++n};
    sheaf_allocator allocator = test_allocator(&alloc);
    sheaf_vocab *vocab = NULL;
    status = sheaf_vocab_open(file.data, file.bytes, &allocator, &vocab);
    sheaf_vocab_close(vocab);
    CHECK_EQ(alloc.live_blocks, 0);
    CHECK(!alloc.size_mismatch);
    if (alloc.calls >= n) CHECK_EQ(status, SHEAF_E_NOMEM);
  }
  CHECK_OK(status);
  CHECK(n > 6);
  sheaf_buf_deinit(&file);
}

/* Tokens by their numbers: the bytes, all of two and of three letters, and some of 9 and of 17 that no
 * merge makes. */
enum { TWOS = 256, THREES = TWOS + 26 * 26, NINES = THREES + 26 * 26 * 26, MANY = NINES + 6000 };

static size_t text_of(uint32_t number, uint8_t text[17]) {
  static const uint32_t firsts[] = {0, TWOS, THREES, NINES};
  static const size_t sizes[] = {1, 2, 3, 9};
  uint32_t kind = number >= NINES ? 3 : number >= THREES ? 2 : number >= TWOS;
  size_t bytes = kind == 3 && number % 2 ? 17 : sizes[kind];
  uint32_t rest = number - firsts[kind];
  if (kind == 0) {
    text[0] = (uint8_t)number;
    return 1;
  }
  for (size_t i = bytes; i-- > 0; rest /= 26) text[i] = (uint8_t)('a' + rest % 26);
  return bytes;
}

static sheaf_vocab *open_many(void) {
  sheaf_buf ranks, file;
  sheaf_vocab *vocab = NULL;
  sheaf_buf_init(&ranks, &small_heap, SIZE_MAX);
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  for (uint32_t i = 0; i < MANY; i++) {
    uint8_t text[17];
    small_rank(text, text_of(i, text), i, &ranks);
  }
  CHECK_OK(build(ranks.data, ranks.bytes, "none", &file, NULL));
  CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
  sheaf_buf_deinit(&ranks);
  sheaf_buf_deinit(&file);
  return vocab;
}

/* Many enough that some lines of each table have more than they hold. */
TEST(each_of_many_tokens_and_merges_is_found_and_no_other) {
  sheaf_vocab *vocab = open_many();
  uint32_t wrong = 0, full_shorts = 0, full_middles = 0, full_longs = 0, full_pairs = 0;
  for (uint32_t i = 0; i < MANY; i++) {
    uint8_t text[17];
    uint32_t id = 0;
    sheaf_slice slice = {(const char *)text, text_of(i, text)};
    wrong += sheaf_vocab_id(vocab, slice, &id) != SHEAF_OK || id != i;
    text[0] = (uint8_t)(text[0] ^ 0x80);
    if (i >= TWOS) wrong += sheaf_vocab_id(vocab, slice, &id) != SHEAF_E_NOT_FOUND;
  }
  for (uint32_t i = THREES; i < NINES;
       i++) { /* of "ab" and "bc" in "abc" the earlier comes first */
    uint32_t rest = i - THREES, first = TWOS + rest / 26, second = TWOS + rest % (26 * 26);
    uint32_t a = 'a' + rest / (26 * 26), c = 'a' + rest % 26;
    bool is_first = first <= second;
    wrong += sheaf__pair_find(vocab, first, c) != (is_first ? i : SHEAF__NO_TOKEN);
    wrong += sheaf__pair_find(vocab, a, second) != (is_first ? SHEAF__NO_TOKEN : i);
    wrong += sheaf__pair_find(vocab, i, c) != SHEAF__NO_TOKEN;
  }
  CHECK_EQ(wrong, 0);
  for (uint32_t i = 0; i < vocab->short_count; i++)
    full_shorts += vocab->shorts[i].used > SHEAF__SHORT_LINE;
  for (uint32_t i = 0; i < vocab->middle_count; i++)
    full_middles += vocab->middles[i].used > SHEAF__MIDDLE_LINE;
  for (uint32_t i = 0; i < vocab->long_count; i++)
    full_longs += vocab->longs[i].used > SHEAF__LONG_LINE;
  for (uint32_t i = 0; i < vocab->pair_count; i++)
    full_pairs += vocab->pairs[i].used > SHEAF__PAIR_LINE;
  CHECK(full_shorts > 0 && full_middles > 0 && full_longs > 0 && full_pairs > 0);
  sheaf_vocab_close(vocab);
}

TEST(what_a_document_asks_that_sheaf_has_not_is_refused) {
  static const struct {
    const char *tokens, *merges, *model, *splitter, *more;
    int32_t status;
  } rows[] = {
      {"", "[]", "", gpt2_splitter, "", SHEAF_OK},
      {"", "[]", "\"dropout\":0.1,", gpt2_splitter, "", SHEAF_E_UNSUPPORTED},
      {"", "[]", "\"byte_fallback\":true,", gpt2_splitter, "", SHEAF_E_UNSUPPORTED},
      {"", "[]", "\"end_of_word_suffix\":\"</w>\",", gpt2_splitter, "", SHEAF_E_UNSUPPORTED},
      {"", "{}", "", gpt2_splitter, "", SHEAF_E_UNSUPPORTED},
      {"", "[]", "", "null", "", SHEAF_E_UNSUPPORTED},
      {"", "[]", "", "{\"type\":\"Whitespace\"}", "", SHEAF_E_UNSUPPORTED},
      {"", "[]", "", "{\"type\":\"Sequence\"}", "", SHEAF_E_FIELD},
      {"", "[]", "", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "", SHEAF_E_UNSUPPORTED},
      {"", "[]", "",
       "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+\"},\"behavior\":\"Isolated\"}", "",
       SHEAF_E_NOT_FOUND},
      {"", "[]", "", gpt2_splitter, "\"normalizer\":{\"type\":\"Lowercase\"},",
       SHEAF_E_UNSUPPORTED},
      {"", "[]", "", gpt2_splitter,
       "\"added_tokens\":[{\"id\":400,\"content\":\"x\",\"lstrip\":true}],", SHEAF_E_UNSUPPORTED},
      {"", "[]", "", gpt2_splitter, "\"added_tokens\":[{\"id\":-4,\"content\":\"x\"}],",
       SHEAF_E_RANGE},
      {"", "[\"a b\"]", "", gpt2_splitter, "", SHEAF_E_FIELD},
      {"", "[\"ab\"]", "", gpt2_splitter, "", SHEAF_E_FIELD},
      {"", "[7]", "", gpt2_splitter, "", SHEAF_E_FIELD},
      {",\"ab\":300", "[\"a b\",\"a b\"]", "", gpt2_splitter, "", SHEAF_E_FIELD},
      {",\"ab\":-1", "[\"a b\"]", "", gpt2_splitter, "", SHEAF_E_RANGE},
      {",\"ab\":\"x\"", "[\"a b\"]", "", gpt2_splitter, "", SHEAF_E_RANGE},
      {",\"\xe4\xb8\xad\":300", "[]", "", gpt2_splitter, "", SHEAF_E_UNSUPPORTED}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sheaf_buf json =
        document(rows[i].tokens, rows[i].merges, rows[i].model, rows[i].splitter, rows[i].more);
    sheaf_vocab *vocab = NULL;
    CHECK_STATUS(open_document(&json, &vocab), rows[i].status);
    sheaf_vocab_close(vocab);
  }
  sheaf_buf file;
  sheaf_buf_init(&file, &small_heap, SIZE_MAX);
  CHECK_STATUS(build("{\"model\":", 9, "", &file, NULL), SHEAF_E_PARTIAL);
  sheaf_buf_deinit(&file);
}

int main(void) {
  small_train(&small, 200);
  RUN(merges_follow_ranks_and_not_length);
  RUN(of_equal_merges_the_left_one_comes_first);
  RUN(a_token_no_merge_makes_is_found_as_a_whole_piece_alone);
  RUN(ranks_in_any_order_are_merged_by_the_book);
  RUN(long_runs_are_merged_by_the_book);
  RUN(a_known_encoding_brings_pattern_and_specials);
  RUN(a_pattern_is_known_by_its_text_as_well);
  RUN(what_is_wrong_with_ranks_is_said);
  RUN(a_missing_byte_is_said);
  RUN(a_file_with_any_byte_changed_or_cut_is_corrupt);
  RUN(a_sealed_file_of_nonsense_never_crashes);
  RUN(a_file_of_a_newer_version_is_told_apart);
  RUN(merges_of_a_document_are_honoured_in_their_order);
  RUN(ignore_merges_takes_a_piece_that_is_a_token);
  RUN(the_byte_level_alphabet_stands_for_bytes);
  RUN(patterns_and_added_tokens_of_a_document_are_read);
  RUN(a_document_may_ask_for_normalization_form_c);
  RUN(a_merge_may_come_before_that_of_its_part);
  RUN(a_late_merge_waits_for_its_part);
  RUN(late_merges_and_ignore_merges_go_together);
  RUN(lists_of_merges_in_any_order_are_merged_by_the_book);
  RUN(late_merges_that_cannot_be_are_corrupt);
  RUN(a_late_token_is_as_long_as_any_may_be);
  RUN(opening_late_merges_may_lack_memory);
  RUN(each_of_many_tokens_and_merges_is_found_and_no_other);
  RUN(what_a_document_asks_that_sheaf_has_not_is_refused);
  return check_report();
}
