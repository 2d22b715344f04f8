/* tokens_filter.c: sheaf tokens --jsonl: a JSON object a line in, one a line out, at once.
 *
 *   {"encoding":"o200k_base","text":"Hi","special":"none"}  ->  {"ids":[12194],"count":1}
 *   {"encoding":"o200k_base","ids":[12194]}                 ->  {"base64":"SGk=","text":"Hi"}
 *   anything else                                           ->  {"error":"...","line":3} */
#define _POSIX_C_SOURCE 200809L
#include "tokens_cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKENIZERS_MAX = 16 };

typedef struct filter {
  const tokens_args *args;
  sheaf_vocab_shelf *shelf;
  sheaf_tokenizer *tokenizers[TOKENIZERS_MAX];
  const sheaf_vocab *vocabs[TOKENIZERS_MAX];
  uint32_t count;
  uint32_t *ids;
  size_t room;
  sheaf_buf text, bytes, out;
  char message[1024];
  bool has_errors;
} filter;

/* ---- lines ---- */

typedef struct reader {
  int fd;
  char *data;
  size_t begin, end, searched, room;
  bool has_ended, is_skipping;
} reader;

/* The next line without its LF. 1: read; 2: too long, and skipped; 0: the end; -1: errno. */
static int next_line(reader *it, sheaf_slice *line) {
  for (;;) {
    char *at = it->data + it->begin + it->searched;
    size_t left = it->end - it->begin - it->searched;
    char *lf = left ? memchr(at, '\n', left) : NULL;
    if (lf || (it->has_ended && (it->end > it->begin || it->is_skipping))) {
      char *end = lf ? lf : it->data + it->end;
      *line = (sheaf_slice){it->data + it->begin, (size_t)(end - it->data) - it->begin};
      it->begin = (size_t)(end - it->data) + (lf ? 1 : 0);
      it->searched = 0;
      bool was_skipped = it->is_skipping;
      it->is_skipping = false;
      return was_skipped ? 2 : 1;
    }
    if (it->has_ended) return 0;
    it->searched = it->end - it->begin;
    if (it->searched > SHEAF_LINE_BYTES_MAX) it->is_skipping = true;
    if (it->is_skipping) it->begin = it->end = it->searched = 0;
    if (it->begin > 0 && it->end == it->room) {
      memmove(it->data, it->data + it->begin, it->searched);
      it->end = it->searched;
      it->begin = 0;
    }
    if (it->end == it->room) {
      size_t room = it->room ? 2 * it->room : 65536;
      char *data = realloc(it->data, room);
      if (!data) return -1;
      it->data = data;
      it->room = room;
    }
    ssize_t got = read(it->fd, it->data + it->end, it->room - it->end);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) it->has_ended = true;
    it->end += (size_t)got;
  }
}

/* ---- answers ---- */

static void fail(filter *it, const char *message) {
  if (message != it->message) snprintf(it->message, sizeof it->message, "%s", message);
}

static bool is_utf8(sheaf_slice text) {
  const unsigned char *at = (const unsigned char *)text.data, *end = at + text.bytes;
  while (at < end) {
    unsigned char lead = *at++;
    int more = lead < 0x80   ? 0
               : lead < 0xC2 ? -1
               : lead < 0xE0 ? 1
               : lead < 0xF0 ? 2
               : lead < 0xF5 ? 3
                             : -1;
    if (more < 0 || end - at < more) return false;
    /* Unicode table 3-7: the second byte's range depends on the first. */
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (int i = 0; i < more; i++, at++, low = 0x80, high = 0xBF)
      if (*at < low || *at > high) return false;
  }
  return true;
}

static void put_base64(sheaf_buf *out, sheaf_slice bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < bytes.bytes; at += 3) {
    uint32_t word = 0;
    size_t have = bytes.bytes - at < 3 ? bytes.bytes - at : 3;
    for (size_t i = 0; i < 3; i++)
      word = word << 8 | (i < have ? (unsigned char)bytes.data[at + i] : 0u);
    char four[4];
    for (size_t i = 0; i < 4; i++) four[i] = i <= have ? digits[word >> (18 - 6 * i) & 63] : '=';
    sheaf_buf_append(out, four, sizeof four);
  }
}

static sheaf_tokenizer *tokenizer_of(filter *it, const sheaf_vocab *vocab) {
  for (uint32_t i = 0; i < it->count; i++)
    if (it->vocabs[i] == vocab) return it->tokenizers[i];
  if (it->count == TOKENIZERS_MAX) return NULL;
  if (sheaf_tokenizer_new(vocab, sheaf_heap(), &it->tokenizers[it->count]) != SHEAF_OK) return NULL;
  it->vocabs[it->count] = vocab;
  return it->tokenizers[it->count++];
}

static bool room_for(filter *it, size_t count) {
  if (count <= it->room) return true;
  uint32_t *ids = count > SIZE_MAX / sizeof *ids ? NULL : realloc(it->ids, count * sizeof *ids);
  if (!ids) return fail(it, "out of memory"), false;
  it->ids = ids;
  it->room = count;
  return true;
}

static bool encode(filter *it, const sheaf_vocab *vocab, sheaf_slice text, sheaf_slice special) {
  sheaf_special_policy policy = SHEAF_SPECIAL_POLICY_INIT;
  sheaf_tokenizer *tokenizer = tokenizer_of(it, vocab);
  size_t count = 0;
  const char *fallback = it->args->special ? it->args->special : "none";
  bool is_all = special.bytes ? sheaf_json_equals(special, "all") : strcmp(fallback, "all") == 0;
  if (special.bytes && !is_all && !sheaf_json_equals(special, "none"))
    return fail(it, "\"special\" must be \"none\" or \"all\""), false;
  policy.others = is_all ? SHEAF_SPECIAL_ALLOW : SHEAF_SPECIAL_TEXT;
  sheaf_buf_reset(&it->text);
  if (sheaf_buf_append_unescaped(&it->text, sheaf_json_inside(text)) || !tokenizer)
    return fail(it, "out of memory"), false;
  if (!room_for(it, sheaf_tokens_room(vocab, it->text.bytes))) return false;
  int32_t status = sheaf_tokens_encode(tokenizer, sheaf_buf_slice(&it->text), &policy, it->ids,
                                       it->room, &count);
  if (status) return fail(it, sheaf_status_text(status)), false;
  sheaf_buf_append_text(&it->out, "{\"ids\":[");
  for (size_t i = 0; i < count; i++) {
    if (i) sheaf_buf_append_text(&it->out, ",");
    sheaf_buf_append_u64(&it->out, it->ids[i]);
  }
  sheaf_buf_append_text(&it->out, "],\"count\":");
  sheaf_buf_append_u64(&it->out, count);
  sheaf_buf_append_text(&it->out, "}\n");
  return true;
}

static bool decode(filter *it, const sheaf_vocab *vocab, sheaf_slice list) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  size_t count = 0;
  int64_t id;
  if (sheaf_json_kind(list) != SHEAF_JSON_ARRAY || !room_for(it, list.bytes / 2 + 1))
    return fail(it, "\"ids\" must be an array of whole numbers"), false;
  sheaf_json_iter_init(&iter, list);
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER || sheaf_json_int(value, &id) || id < 0 ||
        id > (int64_t)UINT32_MAX)
      return fail(it, "\"ids\" must be an array of whole numbers"), false;
    it->ids[count++] = (uint32_t)id;
  }
  sheaf_buf_reset(&it->bytes);
  int32_t status = sheaf_tokens_decode(vocab, it->ids, count, &it->bytes);
  if (status)
    return fail(it, status == SHEAF_E_NOT_FOUND ? "no token has one of these numbers"
                                                : sheaf_status_text(status)),
           false;
  sheaf_slice bytes = sheaf_buf_slice(&it->bytes);
  sheaf_buf_append_text(&it->out, "{\"base64\":\"");
  put_base64(&it->out, bytes);
  sheaf_buf_append_text(&it->out, "\",\"text\":");
  if (is_utf8(bytes))
    sheaf_buf_append_string(&it->out, bytes);
  else
    sheaf_buf_append_text(&it->out, "null");
  sheaf_buf_append_text(&it->out, "}\n");
  return true;
}

static bool answer_line(filter *it, sheaf_slice line) {
  static const char *const names[] = {"encoding", "text", "special", "ids"};
  sheaf_slice values[4], encoding;
  sheaf_parse_error error = {0};
  sheaf_json_facts facts = {0};
  char name[SHEAF_VOCAB_NAME_BYTES_MAX + 1];
  const sheaf_vocab *vocab;
  while (line.bytes && strchr(" \t\r", line.data[0]) && line.data[0]) line.data++, line.bytes--;
  if (sheaf_json_pick(line, names, 4, values, &facts, &error))
    return fail(it, error.message ? error.message : "not valid JSON"), false;
  if (facts.has_invalid_utf8) return fail(it, "not valid UTF-8"), false;
  if (sheaf_json_kind(line) != SHEAF_JSON_OBJECT) return fail(it, "not a JSON object"), false;
  encoding = sheaf_json_inside(values[0]);
  if (values[0].bytes == 0) encoding = sheaf_slice_of(tokens_choose(it->args).encoding);
  if (encoding.bytes == 0 || encoding.bytes >= sizeof name)
    return fail(it, "\"encoding\" must be a name, as \"o200k_base\""), false;
  if ((values[1].bytes != 0) == (values[3].bytes != 0))
    return fail(it, "give \"text\" or \"ids\""), false;
  if (values[1].bytes && sheaf_json_kind(values[1]) != SHEAF_JSON_STRING)
    return fail(it, "\"text\" must be a string"), false;
  memcpy(name, encoding.data, encoding.bytes);
  name[encoding.bytes] = 0;
  if (sheaf_vocab_shelf_get(it->shelf, sheaf_slice_of(name), &vocab, it->message,
                            sizeof it->message))
    return false;
  if (values[0].bytes && strcmp(name, sheaf_vocab_name(vocab)) != 0)
    return fail(it, "--vocab names a file of another encoding"), false;
  return values[1].bytes ? encode(it, vocab, values[1], values[2]) : decode(it, vocab, values[3]);
}

/* ---- the whole ---- */

static int filter_file(filter *it, const char *path) {
  bool is_input = strcmp(path, "-") == 0;
  reader lines = {.fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)};
  sheaf_slice line;
  int read_now = 0, answer = CLI_OK;
  uint64_t number = 0;
  if (lines.fd < 0) return cli_say("cannot read %s: %s", path, strerror(errno)), CLI_BAD_INPUT;
  while (answer == CLI_OK && (read_now = next_line(&lines, &line)) > 0) {
    number++;
    sheaf_buf_reset(&it->out);
    if (read_now == 2) fail(it, "the line is longer than 64 MiB");
    if (read_now == 2 || !answer_line(it, line) || it->out.status) {
      it->has_errors = true;
      sheaf_buf_reset(&it->out);
      sheaf_buf_append_text(&it->out, "{\"error\":");
      sheaf_buf_append_string(&it->out, sheaf_slice_of(it->message));
      sheaf_buf_append_text(&it->out, ",\"line\":");
      sheaf_buf_append_u64(&it->out, number);
      sheaf_buf_append_text(&it->out, "}\n");
    }
    if (fwrite(it->out.data, 1, it->out.bytes, stdout) != it->out.bytes || fflush(stdout) != 0)
      answer = (cli_say("standard output cannot be written: %s", strerror(errno)), CLI_HOST);
  }
  if (read_now < 0) answer = (cli_say("cannot read %s: %s", path, strerror(errno)), CLI_BAD_INPUT);
  free(lines.data);
  if (!is_input) close(lines.fd);
  return answer;
}

int tokens_filter(const tokens_args *args) {
  filter it = {.args = args};
  if (sheaf_vocab_shelf_new(args->vocab, &it.shelf) != SHEAF_OK)
    return cli_say("out of memory"), CLI_HOST;
  sheaf_buf_init(&it.text, sheaf_heap(), SIZE_MAX / 2);
  sheaf_buf_init(&it.bytes, sheaf_heap(), SIZE_MAX / 2);
  sheaf_buf_init(&it.out, sheaf_heap(), SIZE_MAX / 2);
  int answer = CLI_OK;
  for (int i = 0; i < args->file_count && answer == CLI_OK; i++)
    answer = filter_file(&it, args->files[i]);
  for (uint32_t i = 0; i < it.count; i++) sheaf_tokenizer_free(it.tokenizers[i]);
  sheaf_buf_deinit(&it.text);
  sheaf_buf_deinit(&it.bytes);
  sheaf_buf_deinit(&it.out);
  free(it.ids);
  sheaf_vocab_shelf_free(it.shelf);
  return answer == CLI_OK && it.has_errors ? CLI_BAD_INPUT : answer;
}
