/* tokens_text.c: whole files of text counted and encoded on several threads, and ids decoded.
 *
 * A long text is cut where no piece of any of the known patterns can lie across: before a blank between
 * two ASCII letters. The ids of the parts are then those of the whole. */
#define _POSIX_C_SOURCE 200809L
#include "tokens_cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PART_BYTES ((size_t)256 << 10)
#define GROUP_BYTES ((size_t)64 << 20) /* of files that are worked on together */

char *tokens_read(const char *path, size_t *bytes) {
  bool is_input = strcmp(path, "-") == 0;
  FILE *file = is_input ? stdin : fopen(path, "rb");
  size_t room = (size_t)1 << 16, have = 0;
  char *text = file ? malloc(room) : NULL;
  while (text) {
    have += fread(text + have, 1, room - have, file);
    if (have < room) break;
    if (room > SHEAF_TOKEN_TEXT_BYTES_MAX) break;
    char *more = realloc(text, room * 2);
    if (!more) free(text);
    text = more;
    room *= 2;
  }
  bool is_bad = text && ferror(file);
  if (!text || is_bad)
    cli_say("cannot read %s: %s", is_input ? "standard input" : path, strerror(errno));
  else if (have > SHEAF_TOKEN_TEXT_BYTES_MAX)
    cli_say("%s is longer than 1 GiB", is_input ? "standard input" : path), is_bad = true;
  if (file && !is_input) fclose(file);
  if (is_bad) {
    free(text);
    return NULL;
  }
  *bytes = have;
  return text;
}

/* ---- parts ---- */

typedef struct parts {
  sheaf_slice *slices;
  size_t count, room;
} parts;

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Where the text may be cut at or behind from; its end if nowhere. */
static size_t cut_after(sheaf_slice text, size_t from) {
  for (size_t at = from; at + 1 < text.bytes; at++)
    if (text.data[at] == ' ' && is_letter(text.data[at - 1]) && is_letter(text.data[at + 1]))
      return at;
  return text.bytes;
}

static bool add_parts(parts *to, sheaf_slice text, bool may_cut) {
  do {
    size_t end = may_cut && text.bytes > PART_BYTES ? cut_after(text, PART_BYTES) : text.bytes;
    if (to->count == to->room) {
      size_t room = to->room ? 2 * to->room : 64;
      sheaf_slice *slices = realloc(to->slices, room * sizeof *slices);
      if (!slices) return false;
      to->slices = slices;
      to->room = room;
    }
    to->slices[to->count++] = (sheaf_slice){text.data, end};
    text.data += end;
    text.bytes -= end;
  } while (text.bytes > 0);
  return true;
}

/* ---- files ---- */

typedef struct file_text {
  const char *path;
  char *text;
  size_t bytes;
  size_t parts_end; /* in the group's */
} file_text;

typedef struct texts {
  const tokens_args *args;
  tokens_choice choice;
  const sheaf_vocab *vocab; /* NULL: from bytes */
  sheaf_token_pool *pool;
  sheaf_special_policy policy;
  bool may_cut;
  file_text *files;
  uint64_t total;
  int worst; /* exit code of a file that failed */
} texts;

static void print_ids(const sheaf_token_batch *batch, size_t begin, size_t end) {
  bool is_first = true;
  for (size_t i = begin; i < end; i++) {
    const sheaf_token_item *item = sheaf_token_batch_at(batch, i);
    for (size_t k = 0; k < item->count; k++) {
      printf(is_first ? "%u" : " %u", (unsigned)item->ids[k]);
      is_first = false;
    }
  }
  putchar('\n');
}

static void print_file(texts *it, const file_text *file, const sheaf_token_batch *batch,
                       size_t begin) {
  uint64_t count = 0;
  for (size_t i = begin; i < file->parts_end; i++) {
    const sheaf_token_item *item = sheaf_token_batch_at(batch, i);
    if (item->status != SHEAF_OK) {
      cli_say("%s: %s", file->path, sheaf_status_text(item->status));
      it->worst = CLI_BAD_INPUT;
      return;
    }
    count += item->count;
  }
  it->total += count;
  if (it->args->task == TOKENS_ENCODE)
    print_ids(batch, begin, file->parts_end);
  else if (!it->args->total)
    printf("%8llu  %s%s\n", (unsigned long long)count, file->path,
           it->choice.doubt[0] ? "  (estimate)" : "");
}

static int work_group(texts *it, size_t count) {
  parts all = {0};
  sheaf_token_batch *batch = NULL;
  bool has_room = true;
  for (size_t i = 0; i < count && has_room; i++) {
    sheaf_slice text = {it->files[i].text, it->files[i].bytes};
    has_room = add_parts(&all, text, it->may_cut);
    it->files[i].parts_end = all.count;
  }
  if (has_room && it->args->task == TOKENS_ENCODE)
    sheaf_token_pool_encode(it->pool, all.slices, all.count, &it->policy, &batch);
  else if (has_room)
    sheaf_token_pool_count(it->pool, all.slices, all.count, &it->policy, &batch);
  for (size_t i = 0; i < count && batch; i++)
    print_file(it, &it->files[i], batch, i ? it->files[i - 1].parts_end : 0);
  int answer = batch ? CLI_OK : (cli_say("out of memory"), CLI_HOST);
  sheaf_token_batch_free(batch);
  free(all.slices);
  return answer;
}

/* No vocabulary: a guess from the bytes of each. */
static void guess(texts *it, const file_text *file) {
  sheaf_slice model = sheaf_slice_of(it->args->model);
  uint64_t count = cli_count_bytes("", model, file->bytes).tokens;
  it->total += count;
  if (!it->args->total) printf("%8llu  %s  (estimate)\n", (unsigned long long)count, file->path);
}

static int work_files(texts *it, const char *const *files, int file_count) {
  int answer = CLI_OK;
  size_t held = 0, bytes = 0;
  for (int i = 0; i < file_count && answer == CLI_OK; i++) {
    file_text *at = &it->files[held];
    *at = (file_text){.path = files[i]};
    at->text = tokens_read(files[i], &at->bytes);
    if (!at->text) {
      it->worst = CLI_BAD_INPUT;
    } else {
      bytes += at->bytes;
      held++;
    }
    if (held == 0 || (bytes < GROUP_BYTES && i + 1 < file_count)) continue;
    if (it->vocab)
      answer = work_group(it, held);
    else
      for (size_t k = 0; k < held; k++) guess(it, &it->files[k]);
    for (size_t k = 0; k < held; k++) free(it->files[k].text);
    held = bytes = 0;
  }
  return answer == CLI_OK ? it->worst : answer;
}

int tokens_text(const tokens_args *args, const char *const *files, int file_count,
                uint64_t *total) {
  texts it = {.args = args, .choice = tokens_choose(args), .policy = SHEAF_SPECIAL_POLICY_INIT};
  sheaf_vocab_shelf *shelf = NULL;
  int answer = CLI_OK;
  bool is_all = args->special && strcmp(args->special, "all") == 0;
  it.policy.others = is_all ? SHEAF_SPECIAL_ALLOW : SHEAF_SPECIAL_TEXT;
  if (!it.choice.has_no_tokenizer) answer = tokens_vocab(args, &shelf, &it.vocab);
  if (answer == CLI_OK && it.vocab) {
    /* The patterns of OpenAI's encodings are known not to lie across a cut; others may be anything. */
    it.may_cut = !is_all && sheaf_encoding_ranks(sheaf_slice_of(sheaf_vocab_name(it.vocab)));
    if (sheaf_token_pool_new(it.vocab, args->threads, &it.pool) != SHEAF_OK)
      answer = (cli_say("out of memory, or no thread could be started"), CLI_HOST);
  }
  it.files = calloc((size_t)file_count, sizeof *it.files);
  if (!it.files) answer = CLI_HOST;
  if (answer == CLI_OK) answer = work_files(&it, files, file_count);
  *total += it.total;
  free(it.files);
  sheaf_token_pool_free(it.pool);
  sheaf_vocab_shelf_free(shelf);
  return answer;
}

/* ---- ids to text ---- */

/* The next number; blanks, commas and brackets are between them. 1: read; 0: the end; -1: no number. */
static int next_id(const char **at, const char *end, uint32_t *id) {
  while (*at < end && strchr(" \t\r\n,[]", **at) && **at) ++*at;
  if (*at == end) return 0;
  uint64_t number = 0;
  const char *begin = *at;
  while (*at < end && **at >= '0' && **at <= '9' && number <= UINT32_MAX)
    number = number * 10 + (uint64_t)(*(*at)++ - '0');
  *id = (uint32_t)number;
  return *at > begin && number <= UINT32_MAX ? 1 : -1;
}

static int decode_file(const sheaf_vocab *vocab, const char *path) {
  enum { SPAN = 4096 };
  uint32_t ids[SPAN];
  size_t bytes = 0;
  char *text = tokens_read(path, &bytes);
  if (!text) return CLI_BAD_INPUT;
  sheaf_buf out;
  sheaf_buf_init(&out, sheaf_heap(), SIZE_MAX / 2);
  const char *at = text;
  int answer = CLI_OK, read = 1;
  while (answer == CLI_OK && read == 1) {
    size_t count = 0;
    while (count < SPAN && (read = next_id(&at, text + bytes, &ids[count])) == 1) count++;
    sheaf_buf_reset(&out);
    int32_t status = read < 0 ? SHEAF_E_SYNTAX : sheaf_tokens_decode(vocab, ids, count, &out);
    if (status == SHEAF_OK && fwrite(out.data, 1, out.bytes, stdout) != out.bytes)
      answer = CLI_HOST;
    if (status == SHEAF_OK) continue;
    cli_say("%s: near byte %zu: %s", path, (size_t)(at - text) + 1,
            read < 0 ? "not a token's number" : "a number that no token has");
    answer = CLI_BAD_INPUT;
  }
  sheaf_buf_deinit(&out);
  free(text);
  return answer;
}

int tokens_decode(const tokens_args *args) {
  sheaf_vocab_shelf *shelf = NULL;
  const sheaf_vocab *vocab = NULL;
  tokens_choice choice = tokens_choose(args);
  if (choice.has_no_tokenizer)
    return cli_say("%s: there are no ids, %s", args->model, choice.doubt), CLI_USAGE;
  int answer = tokens_vocab(args, &shelf, &vocab);
  for (int i = 0; i < args->file_count && answer == CLI_OK; i++)
    answer = decode_file(vocab, args->files[i]);
  sheaf_vocab_shelf_free(shelf);
  return answer;
}
