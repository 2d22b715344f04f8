/* test_vocab_files.c: vocabularies made from files and opened by name. */
#define _POSIX_C_SOURCE 200809L

#include <sheaf/vocab_files.h>

#include "../support/check.h"
#include "../support/tokens_test.h"

#include <sys/stat.h>
#include <unistd.h>

static small_vocab small;
static char folder[] = "/tmp/sheaf-vocab-XXXXXX";
static char message[512];

static const char *path_of(const char *name) {
  static char paths[4][256];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static void write_bytes(const char *path, const void *data, size_t bytes) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL);
  if (!file) return;
  CHECK_EQ(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
}

static void write_ranks(const char *path) {
  sheaf_buf ranks;
  sheaf_buf_init(&ranks, &small_heap, SIZE_MAX);
  small_ranks(&small, &ranks);
  write_bytes(path, ranks.data, ranks.bytes);
  sheaf_buf_deinit(&ranks);
}

static sheaf_vocab_spec small_spec(void) {
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  spec.name = sheaf_slice_of("small");
  spec.pattern = sheaf_slice_of("o200k");
  return spec;
}

TEST(what_is_made_can_be_opened_and_used) {
  sheaf_vocab_spec spec = small_spec();
  sheaf_vocab *vocab = NULL;
  sheaf_tokenizer *t = NULL;
  size_t count = 0;
  const char *out = path_of("small.vocab");
  write_ranks(path_of("small.tiktoken"));
  CHECK_OK(sheaf_vocab_make(path_of("small.tiktoken"), out, &spec, message, sizeof message));
  CHECK_OK(sheaf_vocab_load(out, NULL, &vocab, message, sizeof message));
  CHECK_EQ(unlink(out), 0); /* it is not needed any more */
  CHECK_OK(sheaf_tokenizer_new(vocab, &small_heap, &t));
  CHECK_OK(sheaf_tokens_count(t, sheaf_slice_of("the fox"), NULL, SIZE_MAX, &count));
  CHECK(count >= 2);
  sheaf_tokenizer_free(t);
  sheaf_vocab_close(vocab);
}

TEST(a_failed_build_leaves_what_was_there) {
  sheaf_vocab_spec spec = small_spec();
  struct stat facts;
  const char *in = path_of("bad.tiktoken"), *out = path_of("old.vocab");
  write_bytes(in, "YQ== 0\nwhat\n", 12);
  write_bytes(out, "old", 3);
  CHECK_STATUS(sheaf_vocab_make(in, out, &spec, message, sizeof message), SHEAF_E_SYNTAX);
  CHECK(strstr(message, "bad.tiktoken: at byte 7: ") != NULL);
  CHECK(stat(out, &facts) == 0 && facts.st_size == 3);
  CHECK_STATUS(sheaf_vocab_make(path_of("none"), out, &spec, message, sizeof message), SHEAF_E_IO);
  CHECK(strstr(message, "none: ") != NULL);
  write_ranks(in);
  CHECK_STATUS(sheaf_vocab_make(in, path_of("no/where"), &spec, message, sizeof message),
               SHEAF_E_IO);
  CHECK_STATUS(sheaf_vocab_make(in, folder, &spec, message, sizeof message), SHEAF_E_IO);
  CHECK_STATUS(sheaf_vocab_make(in, out, &spec, NULL, 0), SHEAF_OK);
  CHECK(stat(out, &facts) == 0 && facts.st_size > 1000);
}

TEST(what_cannot_be_opened_is_said) {
  sheaf_vocab *vocab = NULL;
  const char *path = path_of("damaged.vocab");
  write_bytes(path, "SHEAFVOC and so on", 18);
  CHECK_STATUS(sheaf_vocab_load(path, NULL, &vocab, message, sizeof message), SHEAF_E_CORRUPT);
  CHECK(strstr(message, "damaged.vocab: is damaged") != NULL);
  write_bytes(path, "", 0);
  CHECK_STATUS(sheaf_vocab_load(path, NULL, &vocab, NULL, 0), SHEAF_E_CORRUPT);
  CHECK_STATUS(sheaf_vocab_load(folder, NULL, &vocab, message, sizeof message), SHEAF_E_IO);
  CHECK_STATUS(sheaf_vocab_load(path_of("none"), NULL, &vocab, message, sizeof message),
               SHEAF_E_IO);
  CHECK(vocab == NULL);
}

static void clean_up(void) {
  static const char *const names[] = {"small.tiktoken", "small.vocab", "bad.tiktoken", "old.vocab",
                                      "damaged.vocab"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(path_of(names[i]));
  CHECK_EQ(rmdir(folder), 0); /* nothing else was left behind */
}

int main(void) {
  small_train(&small, 100);
  if (!mkdtemp(folder)) return 1;
  RUN(what_is_made_can_be_opened_and_used);
  RUN(a_failed_build_leaves_what_was_there);
  RUN(what_cannot_be_opened_is_said);
  RUN(clean_up);
  return check_report();
}
