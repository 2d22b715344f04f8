/* test_tokens.c: encoding, counting, decoding, specials and streams, on a vocabulary made on the
 * spot; the measure is byte-pair merging as it is defined. */
#include "tokens/tokenizer.h"

#include "check.h"
#include "test_alloc.h"
#include "tokens_test.h"

static small_vocab small;
static sheaf_vocab *vocabs[7]; /* by pattern */
static sheaf_tokenizer *tokenizers[7];

static void set_up(void) {
  small_train(&small, 300);
  for (uint32_t i = 0; i < 7; i++) {
    sheaf_buf file;
    sheaf_buf_init(&file, &small_heap, SIZE_MAX);
    CHECK_OK(small_build(&small, sheaf_pattern_name(i), &file));
    CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocabs[i]));
    CHECK_OK(sheaf_tokenizer_new(vocabs[i], &small_heap, &tokenizers[i]));
    sheaf_buf_deinit(&file);
  }
}

static void tear_down(void) {
  for (uint32_t i = 0; i < 7; i++) {
    sheaf_tokenizer_free(tokenizers[i]);
    sheaf_vocab_close(vocabs[i]);
  }
}

static uint32_t state = 7;

static uint32_t draw(uint32_t below) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % below;
}

/* Parts of the training text with changes, so that merges happen. */
static size_t draw_text(uint8_t *text, size_t room, bool valid) {
  static const char *const bits[] = {
      "\n",  "  ", "'s", "'LL", "<|end|>",          "<|", "\xe4\xbd\xa0", "\xcc\x81",
      "123", "Aa", "!",  "\t",  "\xf0\x9f\x98\x80", "a",  "\r\n \n"};
  size_t bytes = 0;
  uint32_t steps = 1 + draw(6);
  for (uint32_t i = 0; i < steps; i++) {
    size_t from = draw(sizeof small_text - 1), length = draw(40);
    while (from > 0 && ((uint8_t)small_text[from] & 0xC0) == 0x80) from--;
    if (from + length > sizeof small_text - 1) length = sizeof small_text - 1 - from;
    while (length > 0 && ((uint8_t)small_text[from + length] & 0xC0) == 0x80) length--;
    const char *bit = bits[draw(sizeof bits / sizeof *bits)];
    if (bytes + length + 8 > room) break;
    memcpy(text + bytes, small_text + from, length);
    bytes += length;
    memcpy(text + bytes, bit, strlen(bit));
    bytes += strlen(bit);
    if (!valid && draw(3) == 0) text[bytes++] = (uint8_t)(0x80 + draw(128));
  }
  return bytes;
}

static size_t encode(sheaf_tokenizer *t, const uint8_t *text, size_t bytes, uint32_t others,
                     uint32_t *ids) {
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  policy.others = others;
  size_t count = 0;
  CHECK_OK(sheaf_tokens_encode(t, (sheaf_slice){(const char *)text, bytes}, &policy, ids,
                               SMALL_TEXT_MAX, &count));
  return count;
}

static bool same_ids(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count) {
  return a_count == b_count && memcmp(a, b, a_count * sizeof *a) == 0;
}

/* By the definitions: pieces one after another, each a token or merged. */
static size_t encode_slowly(const sheaf__pattern *pattern, const uint8_t *text, size_t bytes,
                            uint32_t *ids) {
  size_t count = 0;
  for (size_t at = 0; at < bytes;) {
    bool open = false;
    size_t piece = (size_t)(sheaf__scan(pattern, text + at, text + bytes, &open) - (text + at));
    uint32_t token = small_find(&small, text + at, piece);
    if (token != UINT32_MAX)
      ids[count++] = token;
    else
      count += small_merge(&small, text + at, piece, ids + count);
    at += piece;
  }
  return count;
}

TEST(ids_are_those_of_the_definition) {
  for (uint32_t round = 0; round < 1500; round++) {
    uint32_t pattern = round % 7, ids[SMALL_TEXT_MAX], wanted[SMALL_TEXT_MAX];
    uint8_t text[256];
    size_t bytes = draw_text(text, sizeof text, true);
    size_t count = encode(tokenizers[pattern], text, bytes, SHEAF_SPECIAL_TEXT, ids);
    size_t wanted_count = encode_slowly(sheaf__pattern_at(pattern), text, bytes, wanted);
    CHECK(same_ids(ids, count, wanted, wanted_count));
  }
}

TEST(decoding_gives_the_bytes_back_and_counting_the_number_of_ids) {
  for (uint32_t round = 0; round < 3000; round++) {
    sheaf_tokenizer *t = tokenizers[round % 7];
    uint32_t others = round % 2 ? SHEAF_SPECIAL_ALLOW : SHEAF_SPECIAL_TEXT, ids[SMALL_TEXT_MAX];
    uint8_t text[256];
    size_t bytes = draw_text(text, sizeof text, round % 3 != 0), counted;
    size_t count = encode(t, text, bytes, others, ids);
    CHECK(count <= sheaf_tokens_room(t->vocab, bytes));
    sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
    policy.others = others;
    sheaf_slice slice = {(const char *)text, bytes};
    CHECK_OK(sheaf_tokens_count(t, slice, &policy, SIZE_MAX, &counted));
    CHECK_EQ(counted, count);
    sheaf_buf out;
    sheaf_buf_init(&out, &small_heap, SIZE_MAX);
    CHECK_OK(sheaf_tokens_decode(t->vocab, ids, count, &out));
    CHECK(out.bytes == bytes && (bytes == 0 || memcmp(out.data, text, bytes) == 0));
    sheaf_buf_deinit(&out);
  }
}

/* tiktoken's _encode_bytes, from its words: see sheaf/tokens.h. */
TEST(what_follows_an_ill_formed_byte_is_merged_with_the_piece_before) {
  sheaf_tokenizer *t = tokenizers[1];
  static const struct {
    const char *text;
    size_t kept;                         /* bytes that are encoded as usual */
  } rows[] = {{"the fox\xff the", 3},    /* " fox" is the last piece */
              {"the\n\n\xff", 3},        /* the line breaks are the last piece */
              {"the \n \xe4\xbd", 3},    /* a character cut short */
              {"the! \xff fox", 4},      /* the space alone */
              {"\xff the fox", 0},       /* nothing before */
              {"dog \n\n!\xff", 6},      /* the white space before the last piece stays */
              {"dog \n\n  fox\xff", 3}}; /* but not before " fox", whose first token is a space */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint32_t ids[SMALL_TEXT_MAX], wanted[SMALL_TEXT_MAX];
    const uint8_t *text = (const uint8_t *)rows[i].text;
    size_t bytes = strlen(rows[i].text), kept = rows[i].kept;
    size_t count = encode(t, text, bytes, SHEAF_SPECIAL_TEXT, ids);
    size_t wanted_count = encode(t, text, kept, SHEAF_SPECIAL_TEXT, wanted);
    wanted_count += small_merge(&small, text + kept, bytes - kept, wanted + wanted_count);
    CHECK(same_ids(ids, count, wanted, wanted_count));
  }
}

TEST(counting_stops_above_its_limit) {
  sheaf_slice text = {small_text, sizeof small_text - 1};
  size_t all, count = 0;
  CHECK_OK(sheaf_tokens_count(tokenizers[2], text, NULL, SIZE_MAX, &all));
  CHECK(all > 50);
  CHECK_OK(sheaf_tokens_count(tokenizers[2], text, NULL, all, &count));
  CHECK_EQ(count, all);
  CHECK_STATUS(sheaf_tokens_count(tokenizers[2], text, NULL, all - 1, &count), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_tokens_count(tokenizers[2], text, NULL, 3, &count), SHEAF_E_LIMIT);
  CHECK(count > 3 && count < all);
}

TEST(too_little_room_gives_what_fits_and_the_need) {
  sheaf_slice text = {small_text, sizeof small_text - 1};
  uint32_t all[SMALL_TEXT_MAX], some[SMALL_TEXT_MAX];
  size_t need, count;
  CHECK_OK(sheaf_tokens_encode(tokenizers[1], text, NULL, all, SMALL_TEXT_MAX, &need));
  for (size_t room = 0; room < need; room++) {
    some[room] = 12345;
    CHECK_STATUS(sheaf_tokens_encode(tokenizers[1], text, NULL, some, room, &count), SHEAF_E_FULL);
    CHECK_EQ(count, need);
    CHECK(memcmp(some, all, room * sizeof *all) == 0);
    CHECK_EQ(some[room], 12345);
  }
  CHECK_OK(sheaf_tokens_encode(tokenizers[1], text, NULL, some, need, &count));
  CHECK(same_ids(all, need, some, count));
}

TEST(specials_follow_the_policy) {
  sheaf_tokenizer *t = tokenizers[2];
  sheaf_slice text = sheaf_slice_of("a<|end|>again<|start|>b<|end|>");
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  uint32_t ids[64], id;
  size_t count, offset;
  policy.others = SHEAF_SPECIAL_ALLOW;
  CHECK_OK(sheaf_tokens_encode(t, text, &policy, ids, 64, &count));
  CHECK_EQ(count, 5);
  CHECK(ids[0] == 'a' && ids[1] == 2001 && ids[2] == 2005 && ids[3] == 'b' && ids[4] == 2000);
  policy.others = SHEAF_SPECIAL_REFUSE;
  CHECK_STATUS(sheaf_tokens_encode(t, text, &policy, ids, 64, &count), SHEAF_E_FIELD);
  CHECK_OK(sheaf_tokens_refused(t->vocab, text, &policy, &offset, &id));
  CHECK(offset == 1 && id == 2001);
  static const uint32_t allowed[] = {2001, 2000};
  policy.allowed = allowed;
  policy.allowed_count = 2;
  CHECK_OK(sheaf_tokens_refused(t->vocab, text, &policy, &offset, &id));
  CHECK(offset == 13 && id == 2005);
  policy.others = SHEAF_SPECIAL_TEXT;
  CHECK_STATUS(sheaf_tokens_refused(t->vocab, text, &policy, &offset, &id), SHEAF_E_NOT_FOUND);
  CHECK_OK(sheaf_tokens_encode(t, text, &policy, ids, 64, &count));
  CHECK(ids[0] == 'a' && ids[1] == 2001 && ids[2] == '<' && ids[count - 1] == 2000);
  policy.others = 3;
  CHECK_STATUS(sheaf_tokens_encode(t, text, &policy, ids, 64, &count), SHEAF_E_MISUSE);
}

static void check_stream(sheaf_tokenizer *t, const uint8_t *text, size_t bytes, uint32_t others,
                         size_t cut, size_t step) {
  uint32_t wanted[SMALL_TEXT_MAX], ids[SMALL_TEXT_MAX];
  size_t wanted_count = encode(t, text, bytes, others, wanted), count = 0, more;
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  policy.others = others;
  sheaf_token_stream *stream = NULL;
  CHECK_OK(sheaf_token_stream_new(t, &policy, 0, &stream));
  for (size_t at = 0, end = cut; at < bytes;
       at = end, end = at + step < bytes ? at + step : bytes) {
    size_t room = sheaf_token_stream_room(stream, end - at);
    CHECK_OK(sheaf_token_stream_feed(stream, (sheaf_slice){(const char *)text + at, end - at},
                                     ids + count, room, &more));
    CHECK(more <= room);
    count += more;
  }
  CHECK_OK(sheaf_token_stream_end(stream, ids + count, SMALL_TEXT_MAX - count, &more));
  CHECK(same_ids(wanted, wanted_count, ids, count + more));
  sheaf_token_stream_free(stream);
}

TEST(a_stream_gives_the_ids_of_the_whole_at_every_split) {
  for (uint32_t round = 0; round < 200; round++) {
    uint8_t text[96];
    size_t bytes = draw_text(text, sizeof text, round % 2 == 0);
    uint32_t others = round % 4 < 2 ? SHEAF_SPECIAL_TEXT : SHEAF_SPECIAL_ALLOW;
    for (size_t cut = 0; cut <= bytes; cut++)
      check_stream(tokenizers[round % 7], text, bytes, others, cut, bytes);
    check_stream(tokenizers[round % 7], text, bytes, others, 1, 1);
    check_stream(tokenizers[round % 7], text, bytes, others, 2, 3);
  }
}

TEST(a_stream_gives_words_as_they_come) {
  sheaf_token_stream *stream;
  uint32_t ids[64];
  size_t count;
  CHECK_OK(sheaf_token_stream_new(tokenizers[2], NULL, 0, &stream));
  sheaf_slice first = sheaf_slice_of("the quick brown f");
  CHECK_OK(sheaf_token_stream_feed(stream, first, ids, 64, &count));
  CHECK(count >= 3);                               /* three words at least are behind */
  CHECK_EQ(sheaf_token_stream_room(stream, 0), 2); /* " f" */
  sheaf_token_stream_free(stream);
}

TEST(a_stream_has_a_ceiling_and_asks_for_room) {
  sheaf_token_stream *stream;
  uint32_t ids[64];
  size_t count;
  CHECK_OK(sheaf_token_stream_new(tokenizers[1], NULL, 8, &stream));
  sheaf_slice text = sheaf_slice_of("aaaaaa");
  CHECK_STATUS(sheaf_token_stream_feed(stream, text, ids, 5, &count), SHEAF_E_FULL);
  CHECK_OK(sheaf_token_stream_feed(stream, text, ids, 6, &count));
  CHECK_EQ(count, 0);
  CHECK_STATUS(sheaf_token_stream_feed(stream, text, ids, 64, &count), SHEAF_E_TOO_LONG);
  CHECK_STATUS(sheaf_token_stream_end(stream, ids, 64, &count), SHEAF_E_MISUSE);
  sheaf_token_stream_free(stream);
}

TEST(many_texts_have_answers_of_their_own) {
  sheaf_slice texts[] = {sheaf_slice_of("the fox"), sheaf_slice_of("x<|end|>"), sheaf_slice_of(""),
                         sheaf_slice_of("the dog")};
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  policy.others = SHEAF_SPECIAL_REFUSE;
  uint32_t ids[64], one[64];
  size_t ends[4], counts[4], count;
  int32_t statuses[4];
  CHECK_STATUS(sheaf_tokens_encode_many(tokenizers[2], texts, 4, &policy, ids, 64, ends, statuses),
               SHEAF_E_FIELD);
  CHECK(statuses[0] == SHEAF_OK && statuses[1] == SHEAF_E_FIELD && statuses[2] == SHEAF_OK);
  CHECK(ends[0] > 0 && ends[1] == ends[0] && ends[2] == ends[0] && ends[3] > ends[2]);
  CHECK_OK(sheaf_tokens_encode(tokenizers[2], texts[3], NULL, one, 64, &count));
  CHECK(same_ids(one, count, ids + ends[2], ends[3] - ends[2]));
  CHECK_STATUS(sheaf_tokens_count_many(tokenizers[2], texts, 4, &policy, counts, statuses),
               SHEAF_E_FIELD);
  CHECK(counts[0] == ends[0] && counts[1] == 0 && counts[2] == 0 && counts[3] == count);
  CHECK_STATUS(sheaf_tokens_encode_many(tokenizers[2], texts, 4, NULL, ids, 1, ends, NULL),
               SHEAF_E_FULL);
  CHECK(ends[0] == 0 && ends[3] == 0);
}

TEST(ids_and_texts_find_each_other) {
  const sheaf_vocab *vocab = vocabs[2];
  sheaf_slice text;
  uint32_t id;
  CHECK(small_is(sheaf_slice_of(sheaf_vocab_name(vocab)), "small"));
  CHECK_EQ(sheaf_vocab_size(vocab), 2006);
  for (uint32_t i = 0; i < small.count; i++) {
    CHECK_OK(sheaf_vocab_token(vocab, i, &text));
    CHECK(text.bytes == small.bytes[i] && memcmp(text.data, small.token[i], text.bytes) == 0);
    CHECK_OK(sheaf_vocab_id(vocab, text, &id));
    CHECK_EQ(id, i);
  }
  CHECK_OK(sheaf_vocab_token(vocab, 2005, &text));
  CHECK(small_is(text, "<|start|>"));
  CHECK_OK(sheaf_vocab_id(vocab, text, &id));
  CHECK_EQ(id, 2005);
  CHECK_STATUS(sheaf_vocab_token(vocab, 2003, &text), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_vocab_token(vocab, UINT32_MAX, &text), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_vocab_id(vocab, sheaf_slice_of("zzz"), &id), SHEAF_E_NOT_FOUND);
  CHECK_STATUS(sheaf_vocab_id(vocab, sheaf_slice_of(""), &id), SHEAF_E_NOT_FOUND);
  sheaf_special_token special;
  CHECK_OK(sheaf_vocab_special(vocab, 1, &special));
  CHECK(small_is(special.text, "<|end|>again"));
  CHECK_STATUS(sheaf_vocab_special(vocab, 3, &special), SHEAF_E_END);
  static const uint32_t unknown[] = {'a', 2003};
  sheaf_buf out;
  sheaf_buf_init(&out, &small_heap, SIZE_MAX);
  CHECK_STATUS(sheaf_tokens_decode(vocab, unknown, 2, &out), SHEAF_E_NOT_FOUND);
  CHECK_EQ(out.bytes, 0);
  sheaf_buf_deinit(&out);
}

/* A megabyte of one thing: were any step of it quadratic, the test would not come back. */
TEST(a_megabyte_of_one_thing_takes_time_in_proportion) {
  static const char *const things[] = {"a",
                                       " ",
                                       "\xcc\x81",
                                       "\n",
                                       "A",
                                       "1",
                                       "!",
                                       "\xe4\xbd\xa0",
                                       "\xe4\xbd\xa0"
                                       "A",
                                       " \n",
                                       "<",
                                       "<|",
                                       "'",
                                       "\xff",
                                       "\xcc\x81"
                                       "A"};
  const size_t bytes = (size_t)1 << 20;
  uint8_t *text = malloc(bytes + 8);
  uint32_t *ids = malloc((bytes + 8) * sizeof *ids), *streamed = malloc((bytes + 8) * sizeof *ids);
  CHECK(text && ids && streamed);
  if (!text || !ids || !streamed) return;
  for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
    size_t length = strlen(things[i]), used = bytes / length * length, count, more;
    for (size_t at = 0; at < used; at += length) memcpy(text + at, things[i], length);
    sheaf_slice slice = {(const char *)text, used};
    sheaf_tokenizer *t = tokenizers[i % 6];
    sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
    policy.others = SHEAF_SPECIAL_ALLOW;
    CHECK_OK(sheaf_tokens_encode(t, slice, &policy, ids, used, &count));
    sheaf_buf out;
    sheaf_buf_init(&out, &small_heap, SIZE_MAX);
    CHECK_OK(sheaf_tokens_decode(t->vocab, ids, count, &out));
    CHECK(out.bytes == used && memcmp(out.data, text, used) == 0);
    sheaf_buf_deinit(&out);
    sheaf_token_stream *stream;
    CHECK_OK(sheaf_token_stream_new(t, &policy, 0, &stream));
    size_t got = 0;
    for (size_t at = 0; at < used; at += 64) {
      sheaf_slice chunk = {(const char *)text + at, used - at < 64 ? used - at : 64};
      CHECK_OK(sheaf_token_stream_feed(stream, chunk, streamed + got, used + 8 - got, &more));
      got += more;
    }
    CHECK_OK(sheaf_token_stream_end(stream, streamed + got, used + 8 - got, &more));
    CHECK(same_ids(ids, count, streamed, got + more));
    sheaf_token_stream_free(stream);
  }
  free(text);
  free(ids);
  free(streamed);
}

/* Builds, opens, encodes and streams; every allocation may fail, and nothing leaks. */
static int32_t whole_life(const sheaf_allocator *allocator, const uint8_t *text, size_t bytes) {
  sheaf_buf file;
  sheaf_vocab *vocab = NULL;
  sheaf_tokenizer *t = NULL;
  sheaf_token_stream *stream = NULL;
  uint32_t *ids = malloc((bytes + 1) * sizeof *ids);
  size_t count;
  sheaf_slice slice = {(const char *)text, bytes};
  static const uint32_t allowed[] = {2000};
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  policy.allowed = allowed;
  policy.allowed_count = 1;
  sheaf_buf_init(&file, allocator, SIZE_MAX);
  int32_t status = small_build(&small, "o200k", &file);
  if (status == SHEAF_OK) status = sheaf_vocab_open(file.data, file.bytes, allocator, &vocab);
  if (status == SHEAF_OK) status = sheaf_tokenizer_new(vocab, allocator, &t);
  if (status == SHEAF_OK) status = sheaf_tokens_encode(t, slice, NULL, ids, bytes + 1, &count);
  if (status == SHEAF_OK) status = sheaf_token_stream_new(t, &policy, 0, &stream);
  if (status == SHEAF_OK) status = sheaf_token_stream_feed(stream, slice, ids, bytes + 1, &count);
  if (status == SHEAF_OK) status = sheaf_token_stream_end(stream, ids, bytes + 1, &count);
  sheaf_token_stream_free(stream);
  sheaf_tokenizer_free(t);
  sheaf_vocab_close(vocab);
  sheaf_buf_deinit(&file);
  free(ids);
  return status;
}

TEST(any_allocation_may_fail_and_nothing_leaks) {
  uint8_t text[600];
  memset(text, 'a', sizeof text);
  memcpy(text + 300, "\xff <|end|>", 9);
  int32_t status = SHEAF_E_NOMEM;
  uint64_t n = 0;
  while (status == SHEAF_E_NOMEM && n < 500) {
    test_alloc alloc = {.fail_at = ++n};
    sheaf_allocator allocator = test_allocator(&alloc);
    status = whole_life(&allocator, text, sizeof text);
    CHECK_EQ(alloc.live_blocks, 0);
    CHECK(!alloc.size_mismatch);
    if (alloc.calls >= n) CHECK_EQ(status, SHEAF_E_NOMEM);
  }
  CHECK_OK(status);
  CHECK(n > 20);
}

TEST(counting_allocates_nothing_once_warm) {
  test_alloc alloc = {0};
  sheaf_allocator allocator = test_allocator(&alloc);
  sheaf_tokenizer *t;
  size_t count;
  sheaf_slice text = {small_text, sizeof small_text - 1};
  CHECK_OK(sheaf_tokenizer_new(vocabs[1], &allocator, &t));
  CHECK_OK(sheaf_tokens_count(t, text, NULL, SIZE_MAX, &count));
  uint64_t calls = alloc.calls;
  for (int i = 0; i < 5; i++) CHECK_OK(sheaf_tokens_count(t, text, NULL, SIZE_MAX, &count));
  CHECK_EQ(alloc.calls, calls);
  sheaf_tokenizer_free(t);
  CHECK_EQ(alloc.live_blocks, 0);
}

TEST(models_have_encodings_as_in_tiktoken) {
  static const struct {
    const char *model, *encoding;
    bool is_estimate;
  } rows[] = {{"gpt-4o", "o200k_base", false},
              {"gpt-4o-mini-2024-07-18", "o200k_base", false},
              {"gpt-5.1-codex", "o200k_base", false},
              {"o1", "o200k_base", false},
              {"o3-mini", "o200k_base", false},
              {"gpt-4", "cl100k_base", false},
              {"gpt-4-turbo", "cl100k_base", false},
              {"gpt-3.5-turbo-0125", "cl100k_base", false},
              {"gpt-35-turbo", "cl100k_base", false},
              {"text-embedding-3-small", "cl100k_base", false},
              {"ft:gpt-4o-mini:x", "o200k_base", false},
              {"ft:gpt-4-0613:x", "cl100k_base", false},
              {"gpt-oss-120b", "o200k_harmony", false},
              {"text-davinci-003", "p50k_base", false},
              {"text-davinci-edit-001", "p50k_edit", false},
              {"davinci", "r50k_base", false},
              {"gpt2", "gpt2", false},
              {"gpt-6-sol", "o200k_base", true},
              {"claude-opus-5", "o200k_base", true},
              {"", "o200k_base", true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bool is_estimate;
    const char *encoding = sheaf_encoding_of_model(sheaf_slice_of(rows[i].model), &is_estimate);
    CHECK(small_is(sheaf_slice_of(encoding), rows[i].encoding));
    CHECK_EQ(is_estimate, rows[i].is_estimate);
  }
  CHECK(small_is(sheaf_slice_of(sheaf_encoding_ranks(sheaf_slice_of("o200k_harmony"))),
                 "o200k_base"));
  CHECK(sheaf_encoding_ranks(sheaf_slice_of("llama3")) == NULL);
}

int main(void) {
  set_up();
  RUN(ids_are_those_of_the_definition);
  RUN(decoding_gives_the_bytes_back_and_counting_the_number_of_ids);
  RUN(what_follows_an_ill_formed_byte_is_merged_with_the_piece_before);
  RUN(counting_stops_above_its_limit);
  RUN(too_little_room_gives_what_fits_and_the_need);
  RUN(specials_follow_the_policy);
  RUN(a_stream_gives_the_ids_of_the_whole_at_every_split);
  RUN(a_stream_gives_words_as_they_come);
  RUN(a_stream_has_a_ceiling_and_asks_for_room);
  RUN(many_texts_have_answers_of_their_own);
  RUN(ids_and_texts_find_each_other);
  RUN(a_megabyte_of_one_thing_takes_time_in_proportion);
  RUN(any_allocation_may_fail_and_nothing_leaks);
  RUN(counting_allocates_nothing_once_warm);
  RUN(models_have_encodings_as_in_tiktoken);
  tear_down();
  return check_report();
}
