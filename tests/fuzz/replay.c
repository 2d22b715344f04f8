/* replay.c: runs a fuzz target without a fuzzer, so that ordinary CI repeats what fuzzing once found.
 *
 *   fuzz_x CORPUS_DIR [MUTATIONS]
 *
 * Every file of the folder is run as it is (in order of name), then MUTATIONS inputs made from those
 * files by a generator with a fixed seed: the same inputs in the same order on every machine. With no
 * folder or an empty one, mutation starts from the empty input. An input that ends the process is left
 * behind as crash-TARGET in the current folder. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Sanitizers leave by _exit, not by a signal; this is how they let us know first. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { INPUT_BYTES_MAX = 1 << 16, FILES_MAX = 4096 };

typedef struct input {
  uint8_t *data;
  size_t bytes;
} input;

static input files[FILES_MAX];
static size_t file_count;
static uint8_t current[INPUT_BYTES_MAX];
static size_t current_bytes;
static char crash_path[256];
static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

/* xorshift64* (Vigna 2016): any generator would do, it only has to be the same everywhere. */
static uint64_t next_random(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t below(size_t limit) {
  return limit ? (size_t)(next_random() % limit) : 0;
}

static void leave_input(void) {
  int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return;
  if (write(fd, current, current_bytes) < 0) (void)0;
  (void)close(fd);
}

static void on_signal(int number) {
  leave_input();
  (void)signal(number, SIG_DFL);
  (void)raise(number);
}

/* A copy of exactly the right size, so that the address sanitizer sees one byte too far. */
static void run_current(void) {
  uint8_t *copy = malloc(current_bytes ? current_bytes : 1);
  if (!copy) abort();
  memcpy(copy, current, current_bytes);
  (void)LLVMFuzzerTestOneInput(copy, current_bytes);
  free(copy);
}

static void load(const char *folder, const char *name) {
  char path[1024];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) return;
  input *in = &files[file_count];
  in->data = malloc(INPUT_BYTES_MAX);
  if (!in->data) abort();
  in->bytes = fread(in->data, 1, INPUT_BYTES_MAX, file);
  (void)fclose(file);
  file_count++;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_folder(const char *folder) {
  struct dirent **names = NULL;
  int n = scandir(folder, &names, NULL, by_name);
  for (int i = 0; i < n; i++) {
    if (names[i]->d_name[0] != '.' && file_count < FILES_MAX) load(folder, names[i]->d_name);
    free(names[i]);
  }
  free(names);
}

static void insert(size_t at, const uint8_t *data, size_t bytes) {
  if (bytes > INPUT_BYTES_MAX - current_bytes) bytes = INPUT_BYTES_MAX - current_bytes;
  memmove(current + at + bytes, current + at, current_bytes - at);
  memcpy(current + at, data, bytes);
  current_bytes += bytes;
}

static void erase(size_t at, size_t bytes) {
  memmove(current + at, current + at + bytes, current_bytes - at - bytes);
  current_bytes -= bytes;
}

/* One small change. The tokens are what our text formats are made of. */
static void mutate_once(void) {
  static const char *const tokens[] = {
      "{",   "}",     "[",    "]",    "\"", ":", ",",   "\\",    "\n",     "\r",     "\r\n", "\n\n",
      "\\u", "data:", "null", "true", "-",  "0", "1e9", "\\ud8", "[DONE]", "event:", "\xff", " "};
  size_t at = below(current_bytes + 1);
  size_t left = current_bytes - at;
  switch (below(6)) {
    case 0: /* Flip a bit. */
      if (left) current[at] ^= (uint8_t)(1u << below(8));
      break;
    case 1: /* Another byte. */
      if (left) current[at] = (uint8_t)next_random();
      break;
    case 2: /* A piece goes. */
      if (left) erase(at, 1 + below(left < 16 ? left : 16));
      break;
    case 3: { /* A token comes. */
      const char *token = tokens[below(sizeof tokens / sizeof tokens[0])];
      insert(at, (const uint8_t *)token, strlen(token));
      break;
    }
    case 4: { /* A piece of a file comes. */
      if (!file_count) break;
      const input *from = &files[below(file_count)];
      size_t start = below(from->bytes);
      size_t rest = from->bytes - start;
      insert(at, from->data + start, 1 + below(rest < 64 ? rest : 64) - (rest == 0));
      break;
    }
    default: /* It ends early. */ current_bytes = at; break;
  }
}

static void mutate(void) {
  current_bytes = 0;
  if (file_count) {
    const input *from = &files[below(file_count)];
    current_bytes = from->bytes;
    memcpy(current, from->data, from->bytes);
  }
  for (size_t i = 1 + below(8); i; i--) mutate_once();
}

int main(int argc, char **argv) {
  const char *slash = strrchr(argv[0], '/');
  (void)snprintf(crash_path, sizeof crash_path, "crash-%s", slash ? slash + 1 : argv[0]);
  static const int signals[] = {SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGFPE};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    (void)signal(signals[i], on_signal);
  }
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(leave_input);

  if (argc > 1) load_folder(argv[1]);
  unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
  for (size_t i = 0; i < file_count; i++) {
    current_bytes = files[i].bytes;
    memcpy(current, files[i].data, files[i].bytes);
    run_current();
  }
  for (unsigned long i = 0; i < mutations; i++) {
    mutate();
    run_current();
  }
  printf("%zu files, %lu mutations\n%lu passed, 0 failed\n", file_count, mutations,
         (unsigned long)file_count + mutations);
  for (size_t i = 0; i < file_count; i++) free(files[i].data);
  return 0;
}
