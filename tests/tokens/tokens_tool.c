/* tokens_tool: the tokenizer on a pipe, for the tests that compare it with others, and the builder that
 * scripts/vocab runs.
 *
 *   tokens_tool make NAME SOURCE OUT [PATTERN TEXT ID]   builds the vocabulary file OUT; of ranks of one's
 *                                                        own with a pattern and one special token
 *   tokens_tool serve VOCABULARY                         answers requests until the input ends
 *
 * A request is a line, then as many bytes as the line's last number says:
 *   encode POLICY BYTES            text
 *   stream POLICY SEED MOST BYTES  text, fed in chunks of 0..MOST bytes, cut where the seed says
 *   many POLICY SEED MOST BYTES    text, cut likewise, as a batch of texts
 *   decode BYTES                   ids, 4 bytes each, lowest first
 *   table 0, specials 0            (no bytes follow)
 * POLICY is text, allow or refuse, for the specials that do not follow it as :ID:ID...
 *
 * An answer is a line "STATUS COUNT WORDS" and then COUNT bytes: ids as above, or what was decoded. The
 * words tell what must hold and did not, "-" when all is well. Numbers are decimal. */
#include <sheaf/vocab_files.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_IDS_MAX 64u
#define TEXTS_MAX 4096u
#define GUARD 0xfee1deadu  /* stands past the end of what a call may write */
#define NOTHING UINT32_MAX /* the length in a table where no token has the id */

static void *memory(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}
static const sheaf_allocator allocator = {memory, NULL};

static void *need(void *ptr) {
  if (ptr == NULL) {
    fprintf(stderr, "tokens_tool: out of memory\n");
    exit(1);
  }
  return ptr;
}

static void check(int32_t status, const char *what) {
  if (status != SHEAF_OK) {
    fprintf(stderr, "tokens_tool: %s: %s\n", what, sheaf_status_name(status));
    exit(1);
  }
}

typedef struct server {
  sheaf_vocab *vocab;
  sheaf_tokenizer *tokenizer;
  uint32_t served;
  uint32_t allowed[POLICY_IDS_MAX];
  sheaf_special_policy policy;
  const char *wrong; /* what did not hold in this request */
} server;

static uint64_t random_next(uint64_t *state) { /* splitmix64, public domain */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* Like malloc, with a word past the end that shows writes there, and never NULL. */
static uint32_t *ids_new(size_t room) {
  uint32_t *ids = need(malloc((room + 1) * sizeof *ids));
  ids[room] = GUARD;
  return ids;
}

static void hold(server *s, bool holds, const char *what) {
  if (!holds && s->wrong == NULL) s->wrong = what;
}

static void answer(const server *s, int32_t status, const void *bytes, size_t count) {
  printf("%s %zu %s\n", sheaf_status_name(status), count, s->wrong != NULL ? s->wrong : "-");
  fwrite(bytes, 1, count, stdout);
  fflush(stdout);
}

static void answer_ids(const server *s, int32_t status, const uint32_t *ids, size_t count) {
  unsigned char *bytes = need(malloc(count * 4 + 1));
  for (size_t i = 0; i < count * 4; i++) bytes[i] = (unsigned char)(ids[i / 4] >> (i % 4 * 8));
  answer(s, status, bytes, count * 4);
  free(bytes);
}

static bool decodes_to(const server *s, const uint32_t *ids, size_t count, sheaf_slice text) {
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, SIZE_MAX);
  check(sheaf_tokens_decode(s->vocab, ids, count, &out), "decode");
  bool same =
      out.bytes == text.bytes && (text.bytes == 0 || memcmp(out.data, text.data, text.bytes) == 0);
  sheaf_buf_deinit(&out);
  return same;
}

/* The refusal as it is told twice: by the call and by sheaf_tokens_refused. */
static void answer_refused(server *s, sheaf_slice text, int32_t status) {
  size_t offset = 0, count = 0;
  uint32_t id = 0;
  hold(s, sheaf_tokens_refused(s->vocab, text, &s->policy, &offset, &id) == SHEAF_OK, "refused");
  hold(s, sheaf_tokens_count(s->tokenizer, text, &s->policy, SIZE_MAX, &count) == status,
       "count_status");
  uint32_t place[2] = {(uint32_t)offset, id};
  answer_ids(s, status, place, 2);
}

static void encode(server *s, sheaf_slice text) {
  size_t count = 0, again = 0, size = 0;
  int32_t status = sheaf_tokens_encode(s->tokenizer, text, &s->policy, NULL, 0, &count);
  if (status != SHEAF_OK && status != SHEAF_E_FULL) {
    answer_refused(s, text, status);
    return;
  }
  hold(s, (status == SHEAF_OK) == (count == 0), "no_room_status");
  hold(s, count <= sheaf_tokens_room(s->vocab, text.bytes), "room");
  uint32_t *ids = ids_new(count);
  status = sheaf_tokens_encode(s->tokenizer, text, &s->policy, ids, count, &again);
  hold(s, again == count && ids[count] == GUARD, "exact_room");
  hold(s,
       sheaf_tokens_count(s->tokenizer, text, &s->policy, SIZE_MAX, &size) == SHEAF_OK &&
           size == count,
       "count");
  hold(
      s,
      sheaf_tokens_count(s->tokenizer, text, &s->policy, count, &size) == SHEAF_OK && size == count,
      "count_to_limit");
  if (count > 0) {
    uint32_t *less = ids_new(count - 1);
    hold(s,
         sheaf_tokens_encode(s->tokenizer, text, &s->policy, less, count - 1, &again) ==
                 SHEAF_E_FULL &&
             again == count && less[count - 1] == GUARD &&
             memcmp(less, ids, (count - 1) * sizeof *ids) == 0,
         "less_room");
    hold(s,
         sheaf_tokens_count(s->tokenizer, text, &s->policy, count - 1, &size) == SHEAF_E_LIMIT &&
             size > count - 1,
         "count_past_limit");
    free(less);
  }
  hold(s, decodes_to(s, ids, count, text), "round_trip");
  answer_ids(s, status, ids, count);
  free(ids);
}

static void stream(server *s, uint64_t seed, uint64_t most, sheaf_slice text) {
  sheaf_token_stream *tokens = NULL;
  check(sheaf_token_stream_new(s->tokenizer, &s->policy, 0, &tokens), "stream_new");
  size_t total = 0, at = 0, capacity = 1024;
  uint32_t *ids = need(malloc(capacity * sizeof *ids));
  int32_t status = SHEAF_OK;
  bool over = false;
  while (status == SHEAF_OK && !over) {
    size_t size = (size_t)(random_next(&seed) % (most + 1));
    size = size < text.bytes - at ? size : text.bytes - at;
    over = at == text.bytes;
    size_t room = sheaf_token_stream_room(tokens, over ? 0 : size), count = 0;
    if (total + room + 1 > capacity) {
      capacity = 2 * (total + room + 1);
      ids = need(realloc(ids, capacity * sizeof *ids));
    }
    ids[total + room] = GUARD;
    sheaf_slice chunk = {text.data + at, size};
    status = over ? sheaf_token_stream_end(tokens, ids + total, room, &count)
                  : sheaf_token_stream_feed(tokens, chunk, ids + total, room, &count);
    hold(s, count <= room && ids[total + room] == GUARD, "stream_room");
    total += status == SHEAF_OK ? count : 0;
    at += size;
  }
  answer_ids(s, status, ids, total);
  free(ids);
  sheaf_token_stream_free(tokens);
}

/* The batch calls against one call a text; answers the ids of all. */
static void many(server *s, uint64_t seed, uint64_t most, sheaf_slice text) {
  sheaf_slice texts[TEXTS_MAX];
  size_t ends[TEXTS_MAX], counts[TEXTS_MAX], number = 0, at = 0;
  int32_t statuses[TEXTS_MAX], count_statuses[TEXTS_MAX];
  while (at < text.bytes && number < TEXTS_MAX) {
    size_t size = (size_t)(random_next(&seed) % (most + 1));
    size = size < text.bytes - at ? size : text.bytes - at;
    texts[number++] = (sheaf_slice){text.data + at, size};
    at += size;
  }
  size_t room = 0;
  for (size_t i = 0; i < number; i++) room += sheaf_tokens_room(s->vocab, texts[i].bytes);
  uint32_t *ids = ids_new(room), *one = ids_new(room);
  int32_t status =
      sheaf_tokens_encode_many(s->tokenizer, texts, number, &s->policy, ids, room, ends, statuses);
  hold(s, ids[room] == GUARD, "many_room");
  int32_t counted =
      sheaf_tokens_count_many(s->tokenizer, texts, number, &s->policy, counts, count_statuses);
  hold(s, counted == status, "many_status");
  size_t begin = 0;
  for (size_t i = 0; i < number; i++) {
    size_t count = 0;
    int32_t alone = sheaf_tokens_encode(s->tokenizer, texts[i], &s->policy, one, room, &count);
    count = alone == SHEAF_OK ? count : 0;
    hold(s, statuses[i] == alone && count_statuses[i] == alone, "many_statuses");
    hold(s, ends[i] - begin == count && counts[i] == count, "many_ends");
    hold(s, count == 0 || memcmp(one, ids + begin, count * sizeof *ids) == 0, "many_ids");
    begin = ends[i];
  }
  answer_ids(s, status, ids, begin);
  free(one);
  free(ids);
}

static void decode(server *s, sheaf_slice bytes) {
  size_t count = bytes.bytes / 4;
  uint32_t *ids = ids_new(count);
  for (size_t i = 0; i < count * 4; i++) {
    ids[i / 4] = (i % 4 == 0 ? 0 : ids[i / 4]) | (uint32_t)(unsigned char)bytes.data[i]
                                                     << (i % 4 * 8);
  }
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, SIZE_MAX);
  int32_t status = sheaf_tokens_decode(s->vocab, ids, count, &out);
  hold(s, status == SHEAF_OK || out.bytes == 0, "decode_appended");
  answer(s, status, out.data, out.bytes);
  sheaf_buf_deinit(&out);
  free(ids);
}

static void append_u32(sheaf_buf *out, uint32_t number) {
  unsigned char bytes[4];
  for (uint32_t i = 0; i < 4; i++) bytes[i] = (unsigned char)(number >> (i * 8));
  sheaf_buf_append(out, bytes, 4);
}

/* Every id's bytes: a length, or NOTHING, and the bytes. */
static void table(server *s) {
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, SIZE_MAX);
  for (uint32_t id = 0; id < sheaf_vocab_size(s->vocab); id++) {
    sheaf_slice text;
    uint32_t back = 0;
    if (sheaf_vocab_token(s->vocab, id, &text) != SHEAF_OK) {
      append_u32(&out, NOTHING);
      continue;
    }
    append_u32(&out, (uint32_t)text.bytes);
    sheaf_buf_append_slice(&out, text);
    hold(s, sheaf_vocab_id(s->vocab, text, &back) == SHEAF_OK && back == id, "vocab_id");
  }
  answer(s, out.status, out.data, out.bytes);
  sheaf_buf_deinit(&out);
}

/* Every special: its id, a length and the bytes. */
static void specials(server *s) {
  sheaf_buf out;
  sheaf_buf_init(&out, &allocator, SIZE_MAX);
  sheaf_special_token special;
  for (uint32_t i = 0; sheaf_vocab_special(s->vocab, i, &special) == SHEAF_OK; i++) {
    append_u32(&out, special.id);
    append_u32(&out, (uint32_t)special.text.bytes);
    sheaf_buf_append_slice(&out, special.text);
  }
  answer(s, out.status, out.data, out.bytes);
  sheaf_buf_deinit(&out);
}

static void read_policy(server *s, char *word) {
  s->policy = SHEAF_SPECIAL_POLICY_INIT;
  s->policy.allowed = s->allowed;
  char *ids = strchr(word, ':');
  for (; ids != NULL && s->policy.allowed_count < POLICY_IDS_MAX; ids = strchr(ids + 1, ':')) {
    s->allowed[s->policy.allowed_count++] = (uint32_t)strtoul(ids + 1, NULL, 10);
  }
  s->policy.others = strncmp(word, "allow", 5) == 0    ? SHEAF_SPECIAL_ALLOW
                     : strncmp(word, "refuse", 6) == 0 ? SHEAF_SPECIAL_REFUSE
                                                       : SHEAF_SPECIAL_TEXT;
}

/* A tokenizer lives for 64 requests, so that both an empty cache of pieces and a used one are met. */
static void renew_tokenizer(server *s) {
  if (s->served++ % 64 != 0) return;
  sheaf_tokenizer_free(s->tokenizer);
  check(sheaf_tokenizer_new(s->vocab, &allocator, &s->tokenizer), "tokenizer_new");
}

static void answer_request(server *s, const char *verb, char *policy, const uint64_t *numbers,
                           sheaf_slice text) {
  s->wrong = NULL;
  renew_tokenizer(s);
  read_policy(s, policy);
  if (strcmp(verb, "encode") == 0) {
    encode(s, text);
  } else if (strcmp(verb, "stream") == 0) {
    stream(s, numbers[0], numbers[1], text);
  } else if (strcmp(verb, "many") == 0) {
    many(s, numbers[0], numbers[1], text);
  } else if (strcmp(verb, "decode") == 0) {
    decode(s, text);
  } else if (strcmp(verb, "table") == 0) {
    table(s);
  } else {
    specials(s);
  }
}

/* The next word of a line, terminated in place; NULL when there is none. */
static char *next_word(char **rest) {
  char *word = *rest + strspn(*rest, " \n");
  char *end = word + strcspn(word, " \n");
  *rest = *end != '\0' ? end + 1 : end;
  *end = '\0';
  return end != word ? word : NULL;
}

/* Splits "VERB [POLICY] NUMBER..." and reads as many bytes as the last number says. */
static int serve(const char *path) {
  char message[512] = "", line[4096];
  server s = {0};
  if (sheaf_vocab_load(path, &allocator, &s.vocab, message, sizeof message) != SHEAF_OK) {
    fprintf(stderr, "tokens_tool: %s\n", message);
    return 1;
  }
  char none[] = "text";
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *rest = line, *verb = next_word(&rest), *policy = none;
    uint64_t numbers[3] = {0, 0, 0};
    size_t count = 0;
    for (char *word = next_word(&rest); word != NULL; word = next_word(&rest)) {
      if (*word < '0' || *word > '9') {
        policy = word;
      } else if (count < 3) {
        numbers[count++] = strtoull(word, NULL, 10);
      }
    }
    size_t bytes = count > 0 ? (size_t)numbers[count - 1] : 0;
    /* Exactly as long as the text, so that a read past its end is seen by the sanitizers. */
    char *text = need(malloc(bytes > 0 ? bytes : 1));
    if (verb == NULL || fread(text, 1, bytes, stdin) != bytes) {
      fprintf(stderr, "tokens_tool: a request that ends too early\n");
      return 1;
    }
    answer_request(&s, verb, policy, numbers, (sheaf_slice){text, bytes});
    free(text);
  }
  sheaf_tokenizer_free(s.tokenizer);
  sheaf_vocab_close(s.vocab);
  return 0;
}

static int make(char **words, bool of_its_own) {
  char message[512] = "";
  sheaf_vocab_spec spec = SHEAF_VOCAB_SPEC_INIT;
  sheaf_special_token special = {{NULL, 0}, 0};
  spec.name = sheaf_slice_of(words[0]);
  if (of_its_own) {
    spec.pattern = sheaf_slice_of(words[3]);
    special =
        (sheaf_special_token){sheaf_slice_of(words[4]), (uint32_t)strtoul(words[5], NULL, 10)};
    spec.specials = &special;
    spec.special_count = 1;
  }
  int32_t status = sheaf_vocab_make(words[1], words[2], &spec, message, sizeof message);
  if (status != SHEAF_OK) fprintf(stderr, "%s %s\n", sheaf_status_name(status), message);
  return status == SHEAF_OK ? 0 : 1;
}

int main(int argc, char **argv) {
  if ((argc == 5 || argc == 8) && strcmp(argv[1], "make") == 0) return make(argv + 2, argc == 8);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
  fprintf(stderr, "usage: tokens_tool make NAME SOURCE OUT [PATTERN TEXT ID] | serve VOCABULARY\n");
  return 2;
}
