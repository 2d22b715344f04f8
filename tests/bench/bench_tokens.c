/* bench_tokens.c: how fast text becomes tokens.
 *
 *   bench_tokens ROUNDS VOCABULARY TEXT...        (scripts/bench-tokens gives it both)
 *
 * Prints a JSON line a text: megabytes (10^6 bytes) a second of processor time, the median of ROUNDS, for
 * encoding the whole text ("encode"), for the first pass after the vocabulary was opened, when no cache is
 * warm ("first"), for counting ("count"), and for the text in pieces of 400 bytes, cut at characters
 * ("pieces_encode", "pieces_count"); and for the pieces as a batch, on one thread and on two, by the wall clock
 * ("threads_1", "threads_2"). load_ms is opening the file, with memory that is fresh each time. Texts are
 * decoded again before anything is timed; the number of tokens and a hash of the ids (FNV-1a over 32-bit
 * words) tell whether another tokenizer did the same work. */
#include <sheaf/tokens_batch.h>
#include <sheaf/vocab_files.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MAX = 99, PIECE_BYTES = 400, THREADS_MAX = 2, LOADS = 5 };

static void *memory(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}
static const sheaf_allocator allocator = {memory, NULL};

static void need(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "bench_tokens: %s\n", what);
  exit(1);
}

static double cpu_seconds(void) {
  return (double)clock() / CLOCKS_PER_SEC;
}

static double wall_seconds(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, by_size);
  return values[count / 2];
}

/* What one text is measured with. */
typedef struct work {
  const sheaf_vocab *vocab;
  sheaf_tokenizer *tokenizer;
  sheaf_slice text;
  sheaf_slice *pieces;
  size_t piece_count;
  uint32_t *ids;
  size_t room;
  size_t tokens; /* the last pass's */
} work;

static void encode_whole(work *w) {
  need(sheaf_tokens_encode(w->tokenizer, w->text, NULL, w->ids, w->room, &w->tokens) == SHEAF_OK,
       "encode");
}

static void count_whole(work *w) {
  need(sheaf_tokens_count(w->tokenizer, w->text, NULL, SIZE_MAX, &w->tokens) == SHEAF_OK, "count");
}

static void encode_pieces(work *w) {
  w->tokens = 0;
  for (size_t i = 0; i < w->piece_count; i++) {
    size_t count = 0;
    need(sheaf_tokens_encode(w->tokenizer, w->pieces[i], NULL, w->ids, w->room, &count) == SHEAF_OK,
         "encode");
    w->tokens += count;
  }
}

static void count_pieces(work *w) {
  w->tokens = 0;
  for (size_t i = 0; i < w->piece_count; i++) {
    size_t count = 0;
    need(sheaf_tokens_count(w->tokenizer, w->pieces[i], NULL, SIZE_MAX, &count) == SHEAF_OK,
         "count");
    w->tokens += count;
  }
}

static double megabytes_a_second(work *w, void (*pass)(work *), size_t rounds) {
  double times[ROUNDS_MAX];
  pass(w);
  for (size_t i = 0; i < rounds; i++) {
    double begin = cpu_seconds();
    pass(w);
    times[i] = cpu_seconds() - begin;
  }
  return (double)w->text.bytes / median(times, rounds) / 1e6;
}

/* The first pass of a vocabulary just opened, with a tokenizer just made. */
static double first_pass(work *w, const char *path, size_t rounds) {
  double times[ROUNDS_MAX];
  work fresh = *w;
  for (size_t i = 0; i < rounds; i++) {
    sheaf_vocab *vocab = NULL;
    char message[512];
    need(sheaf_vocab_load(path, &allocator, &vocab, message, sizeof message) == SHEAF_OK, "load");
    need(sheaf_tokenizer_new(vocab, &allocator, &fresh.tokenizer) == SHEAF_OK, "tokenizer");
    double begin = cpu_seconds();
    encode_whole(&fresh);
    times[i] = cpu_seconds() - begin;
    sheaf_tokenizer_free(fresh.tokenizer);
    sheaf_vocab_close(vocab);
  }
  return (double)w->text.bytes / median(times, rounds) / 1e6;
}

/* The pieces, given to a pool of so many threads at once, by the wall clock. */
static double pooled(const work *w, uint32_t threads, size_t rounds) {
  double times[ROUNDS_MAX];
  sheaf_token_pool *pool = NULL;
  need(sheaf_token_pool_new(w->vocab, threads, &pool) == SHEAF_OK, "pool");
  for (size_t i = 0; i < rounds + 1; i++) { /* the first is not counted */
    sheaf_token_batch *batch = NULL;
    double begin = wall_seconds();
    need(sheaf_token_pool_encode(pool, w->pieces, w->piece_count, NULL, &batch) == SHEAF_OK,
         "batch");
    times[i > 0 ? i - 1 : 0] = wall_seconds() - begin;
    sheaf_token_batch_free(batch);
  }
  sheaf_token_pool_free(pool);
  return (double)w->text.bytes / median(times, rounds) / 1e6;
}

static sheaf_slice read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  need(file != NULL && fseek(file, 0, SEEK_END) == 0, path);
  long size = ftell(file);
  char *text = malloc((size_t)size + 1);
  need(text != NULL && size > 0 && fseek(file, 0, SEEK_SET) == 0 &&
           fread(text, 1, (size_t)size, file) == (size_t)size,
       path);
  fclose(file);
  return (sheaf_slice){text, (size_t)size};
}

/* Cuts the text every 400 bytes, or a little before, where a character begins. */
static void cut_pieces(work *w) {
  w->pieces = malloc((w->text.bytes / (PIECE_BYTES - 3) + 1) * sizeof *w->pieces);
  need(w->pieces != NULL, "memory");
  for (size_t at = 0; at < w->text.bytes;) {
    size_t end = at + PIECE_BYTES < w->text.bytes ? at + PIECE_BYTES : w->text.bytes;
    while (end < w->text.bytes && end > at + PIECE_BYTES - 3 &&
           ((unsigned char)w->text.data[end] & 0xC0) == 0x80)
      end--;
    w->pieces[w->piece_count++] = (sheaf_slice){w->text.data + at, end - at};
    at = end;
  }
}

/* Encodes and decodes once, and gives the hash of the ids. */
static uint32_t checked_hash(work *w) {
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, SIZE_MAX);
  encode_whole(w);
  need(sheaf_tokens_decode(w->vocab, w->ids, w->tokens, &out) == SHEAF_OK, "decode");
  need(out.bytes == w->text.bytes && memcmp(out.data, w->text.data, out.bytes) == 0,
       "the ids are not the text's");
  sheaf_buf_deinit(&out);
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < w->tokens; i++) hash = (hash ^ w->ids[i]) * 16777619u;
  return hash;
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static void measure(const sheaf_vocab *vocab, const char *vocab_path, double load_ms,
                    const char *path, size_t rounds) {
  work w = {.vocab = vocab, .text = read_file(path)};
  w.room = sheaf_tokens_room(vocab, w.text.bytes);
  w.ids = malloc(w.room * sizeof *w.ids);
  need(w.ids != NULL, "memory");
  need(sheaf_tokenizer_new(vocab, &allocator, &w.tokenizer) == SHEAF_OK, "tokenizer");
  cut_pieces(&w);
  uint32_t hash = checked_hash(&w);
  printf(
      "{\"name\":\"sheaf\",\"encoding\":\"%s\",\"file\":\"%s\",\"bytes\":%zu,\"tokens\":%zu,"
      "\"hash\":%u",
      sheaf_vocab_name(vocab), name_of(path), w.text.bytes, w.tokens, hash);
  printf(",\"encode_MBps\":%.1f", megabytes_a_second(&w, encode_whole, rounds));
  printf(",\"count_MBps\":%.1f", megabytes_a_second(&w, count_whole, rounds));
  printf(",\"pieces_encode_MBps\":%.1f", megabytes_a_second(&w, encode_pieces, rounds));
  printf(",\"pieces_count_MBps\":%.1f", megabytes_a_second(&w, count_pieces, rounds));
  printf(",\"first_encode_MBps\":%.1f", first_pass(&w, vocab_path, 3));
  for (uint32_t threads = 1; threads <= THREADS_MAX; threads++)
    printf(",\"threads_%u_MBps\":%.1f", threads, pooled(&w, threads, rounds));
  printf(",\"load_ms\":%.1f,\"memory\":%zu}\n", load_ms, sheaf_vocab_memory(vocab));
  fflush(stdout);
  sheaf_tokenizer_free(w.tokenizer);
  free(w.pieces);
  free(w.ids);
  free((void *)(uintptr_t)w.text.data);
}

int main(int argc, char **argv) {
  size_t rounds = argc > 3 ? (size_t)strtoul(argv[1], NULL, 10) : 0;
  if (rounds < 1 || rounds > ROUNDS_MAX) {
    fprintf(stderr, "usage: bench_tokens ROUNDS VOCABULARY TEXT...   (1 to %d rounds)\n",
            ROUNDS_MAX);
    return 2;
  }
  sheaf_vocab *vocab = NULL;
  double times[LOADS];
  for (size_t i = 0; i < LOADS; i++) {
    char message[512] = "";
    sheaf_vocab_close(vocab);
    double begin = cpu_seconds();
    need(sheaf_vocab_load(argv[2], NULL, &vocab, message, sizeof message) == SHEAF_OK, message);
    times[i] = cpu_seconds() - begin;
  }
  double load_ms = median(times, LOADS) * 1e3;
  for (int i = 3; i < argc; i++) measure(vocab, argv[2], load_ms, argv[i], rounds);
  sheaf_vocab_close(vocab);
  return 0;
}
