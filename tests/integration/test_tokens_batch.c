/* test_tokens_batch.c: many texts on several threads give what one text at a time gives, in order; and
 * vocabularies found by name, shared by threads, and asked by an engine's counter.
 *
 * The vocabulary is made on the spot, so that nothing is downloaded. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/tokens_batch.h>
#include <sheaf/vocab_files.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "tokens_test.h"

enum { TEXTS = 3000, TEXT_BYTES = 300 };

static small_vocab trained;
static sheaf_vocab *vocab;
static sheaf_tokenizer *alone; /* the measure: one text at a time */
static char folder[256];       /* with small.vocab and o200k_base.vocab */
static char texts_store[TEXTS][TEXT_BYTES];
static sheaf_slice texts[TEXTS];

static uint64_t drawn = 20261121;

static uint32_t draw(uint32_t below) {
  drawn = drawn * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(drawn >> 33) % below;
}

/* Cut-outs of a text with words, numbers, other scripts and ill-formed places. */
static void draw_texts(void) {
  size_t all = sizeof small_text - 1;
  for (size_t i = 0; i < TEXTS; i++) {
    size_t bytes = draw(TEXT_BYTES), from = draw((uint32_t)(all - TEXT_BYTES));
    if (bytes > 0) memcpy(texts_store[i], small_text + from, bytes);
    if (bytes > 0 && draw(10) == 0) texts_store[i][draw((uint32_t)bytes)] = (char)draw(256);
    texts[i] = (sheaf_slice){texts_store[i], bytes};
  }
}

static sheaf_token_pool *pool_of(uint32_t threads) {
  sheaf_token_pool *pool = NULL;
  CHECK_OK(sheaf_token_pool_new(vocab, threads, &pool));
  return pool;
}

static bool is_as_alone(const sheaf_token_item *item, sheaf_slice text) {
  uint32_t ids[TEXT_BYTES];
  size_t count = 0;
  if (sheaf_tokens_encode(alone, text, NULL, ids, TEXT_BYTES, &count) != SHEAF_OK) return false;
  return item->status == SHEAF_OK && item->count == count &&
         (count == 0 || memcmp(item->ids, ids, count * sizeof *ids) == 0);
}

/* ---- batches ---- */

TEST(encoding_on_any_number_of_threads_gives_each_texts_own_ids_in_order) {
  for (uint32_t threads = 1; threads <= 5; threads += 2) {
    sheaf_token_pool *pool = pool_of(threads);
    sheaf_token_batch *batch = NULL;
    CHECK_EQ(sheaf_token_pool_threads(pool), threads);
    CHECK_OK(sheaf_token_pool_encode(pool, texts, TEXTS, NULL, &batch));
    CHECK_EQ(sheaf_token_batch_count(batch), TEXTS);
    size_t wrong = 0;
    for (size_t i = 0; i < TEXTS; i++) {
      const sheaf_token_item *item = sheaf_token_batch_at(batch, i);
      wrong += !is_as_alone(item, texts[i]) || item->thread >= threads;
    }
    CHECK_EQ(wrong, 0);
    CHECK(sheaf_token_batch_at(batch, TEXTS) == NULL);
    sheaf_token_batch_free(batch);
    sheaf_token_pool_free(pool);
  }
}

TEST(counting_gives_the_counts_of_encoding) {
  sheaf_token_pool *pool = pool_of(3);
  sheaf_token_batch *counted = NULL, *encoded = NULL;
  CHECK_OK(sheaf_token_pool_count(pool, texts, TEXTS, NULL, &counted));
  CHECK_OK(sheaf_token_pool_encode(pool, texts, TEXTS, NULL, &encoded));
  size_t wrong = 0;
  for (size_t i = 0; i < TEXTS; i++)
    wrong += sheaf_token_batch_at(counted, i)->count != sheaf_token_batch_at(encoded, i)->count;
  CHECK_EQ(wrong, 0);
  CHECK(sheaf_token_batch_at(counted, 0)->ids == NULL);
  sheaf_token_batch_free(counted);
  sheaf_token_batch_free(encoded);
  sheaf_token_pool_free(pool);
}

TEST(decoding_gives_the_texts_back) {
  sheaf_token_pool *pool = pool_of(2);
  sheaf_token_batch *encoded = NULL, *decoded = NULL;
  static sheaf_id_list lists[TEXTS];
  CHECK_OK(sheaf_token_pool_encode(pool, texts, TEXTS, NULL, &encoded));
  for (size_t i = 0; i < TEXTS; i++) {
    const sheaf_token_item *item = sheaf_token_batch_at(encoded, i);
    lists[i] = (sheaf_id_list){item->ids, item->count};
  }
  CHECK_OK(sheaf_token_pool_decode(pool, lists, TEXTS, &decoded));
  size_t wrong = 0;
  for (size_t i = 0; i < TEXTS; i++) {
    const sheaf_token_item *item = sheaf_token_batch_at(decoded, i);
    wrong += item->count != lists[i].count || item->text.bytes != texts[i].bytes ||
             (texts[i].bytes && memcmp(item->text.data, texts[i].data, texts[i].bytes) != 0);
  }
  CHECK_EQ(wrong, 0);
  sheaf_token_batch_free(decoded);
  sheaf_token_batch_free(encoded);
  sheaf_token_pool_free(pool);
}

TEST(one_that_fails_tells_so_itself_and_the_others_are_done) {
  sheaf_token_pool *pool = pool_of(2);
  sheaf_token_batch *batch = NULL;
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  const sheaf_slice given[] = {SHEAF_LITERAL("the dog"), SHEAF_LITERAL("the <|end|>"),
                               SHEAF_LITERAL("the fox")};
  policy.others = SHEAF_SPECIAL_REFUSE;
  CHECK_STATUS(sheaf_token_pool_encode(pool, given, 3, &policy, &batch), SHEAF_E_FIELD);
  CHECK(batch != NULL);
  CHECK_OK(sheaf_token_batch_at(batch, 0)->status);
  CHECK_STATUS(sheaf_token_batch_at(batch, 1)->status, SHEAF_E_FIELD);
  CHECK_EQ(sheaf_token_batch_at(batch, 1)->count, 0);
  CHECK(is_as_alone(sheaf_token_batch_at(batch, 2), given[2]));
  sheaf_token_batch_free(batch);
  policy.others = SHEAF_SPECIAL_ALLOW;
  CHECK_OK(sheaf_token_pool_encode(pool, &given[1], 1, &policy, &batch));
  const sheaf_token_item *item = sheaf_token_batch_at(batch, 0);
  CHECK_EQ(item->ids[item->count - 1], 2000);
  sheaf_token_batch_free(batch);
  const uint32_t good[] = {65, 66}, bad[] = {65, 1999};
  const sheaf_id_list lists[] = {{bad, 2}, {good, 2}};
  CHECK_STATUS(sheaf_token_pool_decode(pool, lists, 2, &batch), SHEAF_E_NOT_FOUND);
  CHECK_EQ(sheaf_token_batch_at(batch, 0)->count, 0);
  item = sheaf_token_batch_at(batch, 1);
  CHECK_EQ(item->text.bytes, 2);
  CHECK(item->text.bytes == 2 && memcmp(item->text.data, "AB", 2) == 0);
  sheaf_token_batch_free(batch);
  sheaf_token_pool_free(pool);
}

TEST(large_texts_and_small_ones_stand_side_by_side) {
  enum { LARGE = 3000000 };
  sheaf_token_pool *pool = pool_of(3);
  sheaf_token_batch *batch = NULL;
  char *large = malloc(LARGE);
  sheaf_slice given[40];
  if (!large) return;
  for (size_t i = 0; i < LARGE; i++) large[i] = small_text[i % (sizeof small_text - 1)];
  for (size_t i = 0; i < 40; i++)
    given[i] = i % 10 == 3 ? (sheaf_slice){large, LARGE - i} : texts[i];
  CHECK_OK(sheaf_token_pool_encode(pool, given, 40, NULL, &batch));
  for (size_t i = 0; i < 40; i++) {
    const sheaf_token_item *item = sheaf_token_batch_at(batch, i);
    sheaf_buf back;
    sheaf_buf_init(&back, &small_heap, SIZE_MAX / 2);
    CHECK_OK(sheaf_tokens_decode(vocab, item->ids, item->count, &back));
    CHECK_EQ(back.bytes, given[i].bytes);
    CHECK(back.bytes == 0 || memcmp(back.data, given[i].data, back.bytes) == 0);
    sheaf_buf_deinit(&back);
  }
  sheaf_token_batch_free(batch);
  sheaf_token_pool_free(pool);
  free(large);
}

TEST(nothing_to_do_is_done) {
  sheaf_token_pool *pool = pool_of(2);
  sheaf_token_batch *batch = NULL;
  CHECK_OK(sheaf_token_pool_encode(pool, NULL, 0, NULL, &batch));
  CHECK_EQ(sheaf_token_batch_count(batch), 0);
  sheaf_token_batch_free(batch);
  sheaf_token_batch_free(NULL);
  sheaf_token_pool_free(pool);
  sheaf_token_pool_free(NULL);
}

TEST(what_cannot_be_asked_is_refused) {
  sheaf_token_pool *pool = NULL;
  sheaf_token_batch *batch = (sheaf_token_batch *)&pool;
  CHECK_STATUS(sheaf_token_pool_new(vocab, SHEAF_TOKEN_THREADS_MAX + 1, &pool), SHEAF_E_RANGE);
  CHECK(pool == NULL);
  CHECK_OK(sheaf_token_pool_new(NULL, 2, &pool));
  CHECK_STATUS(sheaf_token_pool_encode(pool, texts, 1, NULL, &batch), SHEAF_E_MISUSE);
  CHECK(batch == NULL);
  CHECK_STATUS(sheaf_token_pool_each(pool, 1, NULL, NULL), SHEAF_E_MISUSE);
  sheaf_token_pool_free(pool);
}

/* ---- any work ---- */

typedef struct visits {
  uint8_t seen[10000];
  bool at_once[8];
  size_t bad;
} visits;

static void visit(void *ctx, sheaf_tokenizer *tokenizer, uint32_t thread, size_t item) {
  visits *it = ctx;
  if (tokenizer != NULL || thread >= 4 || it->at_once[thread]) it->bad++;
  it->at_once[thread] = true;
  it->seen[item]++;
  it->at_once[thread] = false;
}

TEST(every_item_is_worked_on_once) {
  static const size_t counts[] = {1, 2, 7, 63, 64, 65, 1000, 9999, 10000};
  static visits it;
  sheaf_token_pool *pool = NULL;
  CHECK_OK(sheaf_token_pool_new(NULL, 4, &pool));
  for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
    memset(&it, 0, sizeof it);
    CHECK_OK(sheaf_token_pool_each(pool, counts[n], visit, &it));
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof it.seen; i++) wrong += it.seen[i] != (i < counts[n]);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(it.bad, 0);
  }
  sheaf_token_pool_free(pool);
}

typedef struct caller {
  sheaf_token_pool *pool;
  size_t wrong;
} caller;

static void *call_often(void *ctx) {
  caller *it = ctx;
  for (size_t round = 0; round < 20; round++) {
    sheaf_token_batch *batch = NULL;
    if (sheaf_token_pool_count(it->pool, texts + round * 100, 100, NULL, &batch) != SHEAF_OK)
      it->wrong++;
    if (batch && sheaf_token_batch_count(batch) != 100) it->wrong++;
    sheaf_token_batch_free(batch);
  }
  return NULL;
}

TEST(calls_of_several_threads_take_turns) {
  sheaf_token_pool *pool = pool_of(2);
  pthread_t threads[3];
  caller callers[3];
  for (size_t i = 0; i < 3; i++) {
    callers[i] = (caller){pool, 0};
    CHECK_EQ(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
  }
  for (size_t i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
    CHECK_EQ(callers[i].wrong, 0);
  }
  sheaf_token_pool_free(pool);
}

/* ---- sizes ---- */

static sheaf_batch_size most(uint32_t operation, const char *provider, const char *model) {
  sheaf_batch_size size = SHEAF_BATCH_SIZE_INIT;
  CHECK_OK(sheaf_tokens_max_batch_size(operation, sheaf_slice_of(provider), sheaf_slice_of(model),
                                       &size));
  CHECK(size.basis != NULL);
  return size;
}

TEST(the_limits_of_providers_are_those_they_document) {
  sheaf_batch_size size = most(SHEAF_SIZE_REQUEST, "openai", "text-embedding-3-small");
  CHECK_EQ(size.items, 2048);
  CHECK_EQ(size.tokens, 300000);
  CHECK_EQ(size.item_tokens, 8192);
  size = most(SHEAF_SIZE_JOB, "openai", "gpt-4o");
  CHECK_EQ(size.items, 50000);
  CHECK_EQ(size.bytes, 200000000);
  size = most(SHEAF_SIZE_JOB, "anthropic", "");
  CHECK_EQ(size.items, 100000);
  CHECK_EQ(size.bytes, 256000000);
  size = most(SHEAF_SIZE_JOB, "gemini", "");
  CHECK(size.items == SHEAF_NEVER);
  CHECK_EQ(size.bytes, 2000000000);
}

TEST(where_nothing_is_documented_nothing_is_made_up) {
  sheaf_batch_size size = SHEAF_BATCH_SIZE_INIT;
  CHECK_STATUS(
      sheaf_tokens_max_batch_size(SHEAF_SIZE_JOB, SHEAF_LITERAL("ollama"), (sheaf_slice){0}, &size),
      SHEAF_E_UNSUPPORTED);
  CHECK_STATUS(sheaf_tokens_max_batch_size(SHEAF_SIZE_REQUEST, SHEAF_LITERAL("openai"),
                                           SHEAF_LITERAL("gpt-4o"), &size),
               SHEAF_E_UNSUPPORTED);
  CHECK_STATUS(sheaf_tokens_max_batch_size(99, SHEAF_LITERAL("openai"), (sheaf_slice){0}, &size),
               SHEAF_E_MISUSE);
  size.struct_bytes = 0;
  CHECK_STATUS(
      sheaf_tokens_max_batch_size(SHEAF_SIZE_ENCODE, (sheaf_slice){0}, (sheaf_slice){0}, &size),
      SHEAF_E_MISUSE);
}

TEST(a_struct_of_an_older_caller_is_filled_as_far_as_it_goes) {
  sheaf_batch_size size = SHEAF_BATCH_SIZE_INIT;
  size.struct_bytes = (uint32_t)offsetof(sheaf_batch_size, bytes);
  size.bytes = 12345;
  CHECK_OK(sheaf_tokens_max_batch_size(SHEAF_SIZE_JOB, SHEAF_LITERAL("openai"), (sheaf_slice){0},
                                       &size));
  CHECK_EQ(size.items, 50000);
  CHECK_EQ(size.bytes, 12345);
}

TEST(what_is_enough_is_never_more_than_the_most) {
  for (uint32_t operation = SHEAF_SIZE_ENCODE; operation <= SHEAF_SIZE_JOB; operation++) {
    sheaf_batch_size enough = SHEAF_BATCH_SIZE_INIT;
    sheaf_slice provider = SHEAF_LITERAL("openai"), model = SHEAF_LITERAL("text-embedding-3-large");
    CHECK_OK(sheaf_tokens_optimal_batch_size(operation, provider, model, &enough));
    sheaf_batch_size size = most(operation, "openai", "text-embedding-3-large");
    bool has_bound =
        enough.bytes != SHEAF_NEVER || enough.tokens != SHEAF_NEVER || enough.items != SHEAF_NEVER;
    CHECK(has_bound);
    if (operation >= SHEAF_SIZE_REQUEST) CHECK_EQ(enough.items, size.items);
  }
}

/* ---- vocabularies by name ---- */

TEST(a_vocabulary_is_found_in_the_folder_that_is_given) {
  char path[4096], wanted[4096], message[1024] = "";
  snprintf(wanted, sizeof wanted, "%s/small.vocab", folder);
  CHECK_OK(
      sheaf_vocab_find(folder, SHEAF_LITERAL("small"), path, sizeof path, message, sizeof message));
  CHECK_TEXT(sheaf_slice_of(path), wanted);
  CHECK_OK(sheaf_vocab_find(wanted, SHEAF_LITERAL("whatever"), path, sizeof path, NULL, 0));
  CHECK_TEXT(sheaf_slice_of(path), wanted);
  CHECK(sheaf_vocab_is_file(wanted));
  CHECK(!sheaf_vocab_is_file(folder));
  CHECK(!sheaf_vocab_is_file(NULL));
}

TEST(a_vocabulary_is_found_in_its_places_in_their_order) {
  char path[4096], wanted[4096], data[512], message[1024] = "";
  snprintf(data, sizeof data, "%s/data", folder);
  setenv("SHEAF_VOCAB_DIR", folder, 1);
  setenv("XDG_DATA_HOME", data, 1);
  snprintf(wanted, sizeof wanted, "%s/small.vocab", folder);
  CHECK_OK(
      sheaf_vocab_find(NULL, SHEAF_LITERAL("small"), path, sizeof path, message, sizeof message));
  CHECK_TEXT(sheaf_slice_of(path), wanted);
  setenv("SHEAF_VOCAB_DIR", data, 1);
  CHECK_STATUS(
      sheaf_vocab_find("", SHEAF_LITERAL("small"), path, sizeof path, message, sizeof message),
      SHEAF_E_NOT_FOUND);
  CHECK(strstr(message, data) != NULL);
  CHECK(strstr(message, "sheaf tokens --make") != NULL);
  CHECK_STATUS(
      sheaf_vocab_find("", SHEAF_LITERAL("p50k_edit"), path, sizeof path, message, sizeof message),
      SHEAF_E_NOT_FOUND);
  CHECK(strstr(message, "scripts/vocab p50k_edit") != NULL);
  unsetenv("SHEAF_VOCAB_DIR");
}

TEST(a_name_that_is_no_file_name_is_refused) {
  char path[4096], message[1024] = "";
  CHECK_STATUS(
      sheaf_vocab_find(folder, SHEAF_LITERAL("../x"), path, sizeof path, message, sizeof message),
      SHEAF_E_RANGE);
  CHECK_STATUS(
      sheaf_vocab_find(folder, SHEAF_LITERAL(""), path, sizeof path, message, sizeof message),
      SHEAF_E_RANGE);
  CHECK_STATUS(sheaf_vocab_find(folder, SHEAF_LITERAL("small"), path, 8, message, sizeof message),
               SHEAF_E_NOT_FOUND);
}

TEST(a_shelf_opens_each_vocabulary_once) {
  sheaf_vocab_shelf *shelf = NULL;
  const sheaf_vocab *first = NULL, *again = NULL, *other = NULL;
  char message[1024] = "";
  CHECK_OK(sheaf_vocab_shelf_new(folder, &shelf));
  CHECK_OK(sheaf_vocab_shelf_get(shelf, SHEAF_LITERAL("small"), &first, message, sizeof message));
  CHECK_OK(sheaf_vocab_shelf_get(shelf, SHEAF_LITERAL("small"), &again, message, sizeof message));
  CHECK(first == again);
  CHECK_STATUS(
      sheaf_vocab_shelf_get(shelf, SHEAF_LITERAL("absent"), &other, message, sizeof message),
      SHEAF_E_NOT_FOUND);
  CHECK(other == NULL && strstr(message, "absent.vocab") != NULL);
  message[0] = 0;
  CHECK_STATUS(
      sheaf_vocab_shelf_get(shelf, SHEAF_LITERAL("absent"), &other, message, sizeof message),
      SHEAF_E_NOT_FOUND);
  CHECK(strstr(message, "absent.vocab") != NULL);
  sheaf_vocab_shelf_free(shelf);
  sheaf_vocab_shelf_free(NULL);
}

/* ---- an engine's counter ---- */

static int64_t ask(sheaf_model_counter *counter, const char *provider, const char *model,
                   const char *body) {
  const sheaf_token_counter *face = sheaf_model_counter_get(counter);
  return face->count(face->ctx, sheaf_provider_find(sheaf_slice_of(provider)),
                     sheaf_slice_of(model), sheaf_slice_of(body));
}

/* o200k_base.vocab here is the 256 bytes, so that a body's count is arithmetic: 3 + role 4 + text + 3. */
static const char hello[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const char picture[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}";

TEST(an_engines_counter_tells_what_is_known_and_only_that) {
  sheaf_vocab_shelf *shelf = NULL;
  sheaf_model_counter *counter = NULL;
  sheaf_model_counts counts = {.struct_bytes = sizeof counts};
  CHECK_OK(sheaf_vocab_shelf_new(folder, &shelf));
  CHECK_OK(sheaf_model_counter_new(shelf, (sheaf_slice){NULL, 0}, &counter));
  CHECK_EQ(ask(counter, "openai", "gpt-4o", hello), 15);
  sheaf_model_counter_report(counter, &counts);
  CHECK_EQ(counts.exact, 1);
  CHECK_EQ(counts.unknown, 0);
  CHECK(counts.why[0] == 0);
  CHECK(ask(counter, "openai", "llama-9", hello) == SHEAF_ABSENT);
  CHECK(ask(counter, "anthropic", "gpt-4o", hello) == SHEAF_ABSENT);
  CHECK(ask(counter, "openai", "gpt-4o", picture) == SHEAF_ABSENT);
  CHECK(ask(counter, "openai", "gpt-4", hello) == SHEAF_ABSENT); /* no cl100k_base.vocab is there */
  sheaf_model_counter_report(counter, &counts);
  CHECK_EQ(counts.exact, 1);
  CHECK_EQ(counts.unknown, 4);
  CHECK(strstr(counts.why, "encoding is not known") != NULL);
  sheaf_model_counter_free(counter);
  sheaf_model_counter_free(NULL);
  sheaf_vocab_shelf_free(shelf);
}

TEST(who_names_a_file_or_an_encoding_has_chosen_it_for_every_model) {
  char path[512];
  snprintf(path, sizeof path, "%s/o200k_base.vocab", folder);
  const char *const given[] = {path, folder};
  for (size_t i = 0; i < 2; i++) {
    sheaf_vocab_shelf *shelf = NULL;
    sheaf_model_counter *counter = NULL;
    sheaf_slice encoding = i == 0 ? (sheaf_slice){NULL, 0} : SHEAF_LITERAL("o200k_base");
    CHECK_OK(sheaf_vocab_shelf_new(given[i], &shelf));
    CHECK_OK(sheaf_model_counter_new(shelf, encoding, &counter));
    CHECK_EQ(ask(counter, "openai", "llama-9", hello), 15);
    CHECK_EQ(ask(counter, "ollama", "gpt-4", hello), 15);
    sheaf_model_counter_free(counter);
    sheaf_vocab_shelf_free(shelf);
  }
}

TEST(an_engine_stands_on_a_counter) {
  sheaf_vocab_shelf *shelf = NULL;
  sheaf_model_counter *counter = NULL;
  sheaf_engine_options options;
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  sheaf_engine *engine = NULL;
  sheaf_event event;
  CHECK_OK(sheaf_vocab_shelf_new(folder, &shelf));
  CHECK_OK(sheaf_model_counter_new(shelf, (sheaf_slice){NULL, 0}, &counter));
  endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
  endpoint.model = SHEAF_LITERAL("gpt-4o");
  sheaf_engine_options_init(&options);
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  options.seed = 1;
  options.context_tokens = 15;
  options.tokens = sheaf_model_counter_get(counter);
  CHECK_OK(sheaf_engine_new(&options, &small_heap, &engine));
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("hello!"); /* 16 tokens */
  CHECK_OK(sheaf_engine_submit(engine, &request, NULL, NULL));
  CHECK_OK(sheaf_engine_step(engine, 1, 1));
  CHECK_OK(sheaf_engine_next_event(engine, &event));
  CHECK_EQ(event.kind, SHEAF_EVENT_RESULT);
  CHECK_EQ(event.result->error_class, SHEAF_CLASS_CONTEXT_LENGTH);
  sheaf_engine_free(engine);
  sheaf_model_counter_free(counter);
  sheaf_vocab_shelf_free(shelf);
}

/* ---- set-up ---- */

static void write_file(const char *name, sheaf_slice bytes) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL && fwrite(bytes.data, 1, bytes.bytes, file) == bytes.bytes);
  if (file) fclose(file);
}

static void remove_file(const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  remove(path);
}

static void set_up(void) {
  static small_vocab bytes_only;
  sheaf_buf file;
  const char *temporary = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/sheaf-tokens-XXXXXX", temporary ? temporary : "/tmp");
  CHECK(mkdtemp(folder) != NULL);
  sheaf_buf_init(&file, &small_heap, 1 << 24);
  small_train(&bytes_only, 0);
  CHECK_OK(small_build(&bytes_only, "none", &file));
  write_file("o200k_base.vocab", sheaf_buf_slice(&file));
  sheaf_buf_reset(&file);
  small_train(&trained, 200);
  CHECK_OK(small_build(&trained, "cl100k", &file));
  write_file("small.vocab", sheaf_buf_slice(&file));
  CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
  CHECK_OK(sheaf_tokenizer_new(vocab, &small_heap, &alone));
  sheaf_buf_deinit(&file);
  draw_texts();
}

static void tear_down(void) {
  sheaf_tokenizer_free(alone);
  sheaf_vocab_close(vocab);
  remove_file("o200k_base.vocab");
  remove_file("small.vocab");
  rmdir(folder);
}

int main(void) {
  set_up();
  RUN(encoding_on_any_number_of_threads_gives_each_texts_own_ids_in_order);
  RUN(counting_gives_the_counts_of_encoding);
  RUN(decoding_gives_the_texts_back);
  RUN(one_that_fails_tells_so_itself_and_the_others_are_done);
  RUN(large_texts_and_small_ones_stand_side_by_side);
  RUN(nothing_to_do_is_done);
  RUN(what_cannot_be_asked_is_refused);
  RUN(every_item_is_worked_on_once);
  RUN(calls_of_several_threads_take_turns);
  RUN(the_limits_of_providers_are_those_they_document);
  RUN(where_nothing_is_documented_nothing_is_made_up);
  RUN(a_struct_of_an_older_caller_is_filled_as_far_as_it_goes);
  RUN(what_is_enough_is_never_more_than_the_most);
  RUN(a_vocabulary_is_found_in_the_folder_that_is_given);
  RUN(a_vocabulary_is_found_in_its_places_in_their_order);
  RUN(a_name_that_is_no_file_name_is_refused);
  RUN(a_shelf_opens_each_vocabulary_once);
  RUN(an_engines_counter_tells_what_is_known_and_only_that);
  RUN(who_names_a_file_or_an_encoding_has_chosen_it_for_every_model);
  RUN(an_engine_stands_on_a_counter);
  tear_down();
  return check_report();
}
