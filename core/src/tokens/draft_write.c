/* draft_write.c: the bytes of a vocabulary file.
 *
 * Outline: tokens get their numbers: single bytes, merges in order, the others in order of ids;
 * then the sections of vocab.h one after another. */
#include "tokens/draft.h"

#include "base/crc32c.h"

typedef struct numbering {
  uint64_t *keys;    /* order << 32 | token, of tokens that are no single bytes, sorted */
  uint32_t *numbers; /* by token */
  uint32_t merges;
  uint32_t literals;
} numbering;

static void put4(sheaf_buf *out, uint32_t number) {
  uint8_t bytes[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
                      (uint8_t)(number >> 24)};
  sheaf_buf_append(out, bytes, 4);
}

static uint32_t bytes_of(const sheaf__draft *draft, uint32_t token) {
  return draft->offsets[token + 1] - draft->offsets[token];
}

/* A literal's order is SHEAF__NO_TOKEN, which puts it behind the merges; draft tokens are in order
 * of ids. */
static void number_tokens(const sheaf__draft *draft, numbering *n) {
  size_t count = 0;
  for (uint32_t i = 0; i < draft->count; i++) {
    if (bytes_of(draft, i) == 1) {
      n->numbers[i] = (uint8_t)draft->text.data[draft->offsets[i]];
      continue;
    }
    uint32_t order = draft->orders[i];
    if (order == SHEAF__NO_TOKEN)
      n->literals++;
    else
      n->merges++;
    n->keys[count++] = (uint64_t)order << 32 | i;
  }
  sheaf__sort(n->keys, count);
  for (size_t i = 0; i < count; i++) n->numbers[(uint32_t)n->keys[i]] = 256 + (uint32_t)i;
}

/* Writes nothing if out is NULL. */
static uint32_t put_runs(const sheaf__draft *draft, const numbering *n, sheaf_buf *out) {
  uint32_t runs = 0, next_id = 0;
  for (uint32_t i = 0; i < n->merges + n->literals; i++) {
    uint32_t id = draft->ids[(uint32_t)n->keys[i]];
    if (i == 0 || id != next_id) {
      runs++;
      if (out) {
        put4(out, 256 + i);
        put4(out, id);
      }
    }
    next_id = id + 1;
  }
  return runs;
}

static void put_planes(const sheaf__draft *draft, const numbering *n, bool right, sheaf_buf *out) {
  if (sheaf_buf_reserve(out, 3 * (size_t)n->merges) != SHEAF_OK) return;
  char *to = out->data + out->bytes;
  for (uint32_t i = 0; i < n->merges; i++) {
    sheaf__halves halves = draft->halves[(uint32_t)n->keys[i]];
    uint32_t number = n->numbers[right ? halves.right : halves.left];
    to[i] = (char)(uint8_t)number;
    to[n->merges + i] = (char)(uint8_t)(number >> 8);
    to[2 * (size_t)n->merges + i] = (char)(uint8_t)(number >> 16);
  }
  out->bytes += 3 * (size_t)n->merges;
}

static void put_literals(const sheaf__draft *draft, const numbering *n, sheaf_buf *out) {
  for (uint32_t i = n->merges; i < n->merges + n->literals; i++) {
    uint32_t token = (uint32_t)n->keys[i], bytes = bytes_of(draft, token);
    uint8_t head[2] = {(uint8_t)bytes, (uint8_t)(bytes >> 8)};
    sheaf_buf_append(out, head, 2);
    sheaf_buf_append(out, draft->text.data + draft->offsets[token], bytes);
  }
}

/* In order of ids; of two texts of one id the first that was added comes first. */
static int32_t put_specials(const sheaf__draft *draft, sheaf_buf *out) {
  uint32_t count = draft->special_count;
  if (count == 0) return SHEAF_OK;
  size_t key_bytes = count * sizeof(uint64_t);
  uint64_t *keys = sheaf__alloc(draft->allocator, key_bytes);
  if (!keys) return SHEAF_E_NOMEM;
  const char *data = draft->specials.data;
  size_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    keys[i] = sheaf__load_few(data + at, 4) << 32 | at;
    at += 6 + (size_t)sheaf__load_few(data + at + 4, 2);
  }
  sheaf__sort(keys, count);
  for (uint32_t i = 0; i < count; i++) {
    at = (uint32_t)keys[i];
    sheaf_buf_append(out, data + at, 6 + (size_t)sheaf__load_few(data + at + 4, 2));
  }
  sheaf__free(draft->allocator, keys, key_bytes);
  return SHEAF_OK;
}

static int32_t put_all(const sheaf__draft *draft, const numbering *n, sheaf_slice name,
                       sheaf_buf *out) {
  size_t start = out->bytes;
  sheaf_buf_append(out, SHEAF__VOCAB_MAGIC, 8);
  put4(out, SHEAF__VOCAB_VERSION);
  put4(out, 0); /* the checksum, when all is there */
  put4(out, 0); /* and the size */
  put4(out, draft->flags);
  put4(out, draft->pattern);
  put4(out, n->merges);
  put4(out, n->literals);
  put4(out, draft->special_count);
  put4(out, put_runs(draft, n, NULL));
  put4(out, (uint32_t)name.bytes);
  for (int i = 0; i < 4; i++) put4(out, 0);
  for (uint32_t byte = 0; byte < 256; byte++) put4(out, draft->ids[draft->bytes[byte]]);
  put_runs(draft, n, out);
  put_planes(draft, n, false, out);
  put_planes(draft, n, true, out);
  put_literals(draft, n, out);
  int32_t status = put_specials(draft, out);
  sheaf_buf_append_slice(out, name);
  if (status == SHEAF_OK) status = out->status;
  if (status != SHEAF_OK) return status;
  size_t size = out->bytes - start;
  if (size > UINT32_MAX) return SHEAF_E_LIMIT;
  uint8_t *file = (uint8_t *)out->data + start;
  for (uint32_t i = 0; i < 4; i++) file[16 + i] = (uint8_t)(size >> 8 * i);
  uint32_t crc = sheaf__crc32c(0, file + 16, size - 16);
  for (uint32_t i = 0; i < 4; i++) file[12 + i] = (uint8_t)(crc >> 8 * i);
  return SHEAF_OK;
}

int32_t sheaf__draft_write(const sheaf__draft *draft, sheaf_slice name, sheaf_buf *out) {
  size_t before = out->bytes, count = draft->count;
  numbering n = {.keys = sheaf__alloc(draft->allocator, count * sizeof *n.keys),
                 .numbers = sheaf__alloc(draft->allocator, count * sizeof *n.numbers)};
  int32_t status = SHEAF_E_NOMEM;
  if (n.keys && n.numbers) {
    number_tokens(draft, &n);
    status = put_all(draft, &n, name, out);
  }
  sheaf__free(draft->allocator, n.keys, count * sizeof *n.keys);
  sheaf__free(draft->allocator, n.numbers, count * sizeof *n.numbers);
  if (status != SHEAF_OK) out->bytes = before;
  return status;
}
