/* draft_ranks.c: reads a `.tiktoken` file: a token a line, its bytes in base64, a space, its rank,
 * which is its id and its place in the order of merges. */
#include "tokens/draft.h"

static const char sentence_line[] =
    "A line is not base64, one space and a rank; the file may be damaged or of another kind.";

static int32_t digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends what the base64 text stands for; padding is wanted where it belongs. */
static int32_t append_base64(sheaf_buf *out, const char *p, size_t bytes) {
  if (bytes == 0 || bytes % 4 != 0) return SHEAF_E_SYNTAX;
  for (size_t at = 0; at < bytes; at += 4) {
    uint32_t word = 0, digits = 0;
    while (digits < 4 && digit_of(p[at + digits]) >= 0) {
      word |= (uint32_t)digit_of(p[at + digits]) << (18 - 6 * digits);
      digits++;
    }
    bool is_last = at + 4 == bytes;
    if (digits < 2 || (digits < 4 && !is_last)) return SHEAF_E_SYNTAX;
    for (uint32_t i = digits; i < 4; i++)
      if (p[at + i] != '=') return SHEAF_E_SYNTAX;
    uint8_t three[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
    sheaf_buf_append(out, three, digits - 1);
  }
  return out->status;
}

static int32_t read_line(sheaf__draft *draft, const char *p, size_t bytes, size_t offset) {
  const char *space = memchr(p, ' ', bytes);
  if (!space) return sheaf__draft_fail(draft, SHEAF_E_SYNTAX, offset, sentence_line);
  int32_t status = append_base64(&draft->text, p, (size_t)(space - p));
  if (status == SHEAF_E_SYNTAX)
    return sheaf__draft_fail(draft, SHEAF_E_SYNTAX, offset, sentence_line);
  if (status != SHEAF_OK) return status;
  uint32_t rank = 0;
  const char *digit = space + 1, *end = p + bytes;
  if (digit == end || end - digit > 9)
    return sheaf__draft_fail(draft, SHEAF_E_SYNTAX, offset, sentence_line);
  for (; digit < end; digit++) {
    if (*digit < '0' || *digit > '9')
      return sheaf__draft_fail(draft, SHEAF_E_SYNTAX, offset, sentence_line);
    rank = rank * 10 + (uint32_t)(*digit - '0');
  }
  return sheaf__draft_add(draft, rank, offset);
}

/* Tokens are in order of ranks, so that a token's place is its order. */
static uint32_t join_by_bytes(const void *ctx, uint32_t left, uint32_t right, const uint8_t *p,
                              size_t bytes) {
  (void)left, (void)right;
  return sheaf__draft_find(ctx, p, bytes);
}

static uint32_t same(const void *ctx, uint32_t part) {
  (void)ctx;
  return part;
}

int32_t sheaf__draft_read_ranks(sheaf__draft *draft, sheaf_slice source) {
  size_t lines = 1;
  for (size_t i = 0; i < source.bytes; i++) lines += source.data[i] == '\n';
  int32_t status = sheaf__draft_reserve(draft, lines);
  for (size_t at = 0; at < source.bytes && status == SHEAF_OK;) {
    const char *p = source.data + at, *end = memchr(p, '\n', source.bytes - at);
    size_t bytes = end ? (size_t)(end - p) : source.bytes - at;
    size_t text_bytes = bytes > 0 && p[bytes - 1] == '\r' ? bytes - 1 : bytes;
    if (text_bytes > 0) status = read_line(draft, p, text_bytes, at);
    at += bytes + 1;
  }
  if (status == SHEAF_OK) status = sheaf__draft_sort(draft);
  if (status == SHEAF_OK) status = sheaf__draft_index(draft);
  if (status != SHEAF_OK) return status;
  bool in_order;
  status = sheaf__draft_merge(draft, join_by_bytes, draft, draft->bytes, same, &in_order);
  draft->flags |= SHEAF__VOCAB_WHOLE | (in_order ? 0u : SHEAF__VOCAB_LATE);
  return status;
}
