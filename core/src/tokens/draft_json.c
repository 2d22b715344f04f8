/* draft_json.c: reads a tokenizer.json of Hugging Face: byte-level BPE alone.
 *
 * Outline: the document's parts; the split pattern; text in the byte-level alphabet; the
 * vocabulary; merges; added tokens. A token that several merges could make is made by one of them
 * only, which merging its bytes tells (see merge.c), and that one gives it its place. What sheaf
 * cannot do exactly is refused. */
#include "tokens/draft.h"

enum {
  ADDED,
  NORMALIZER,
  SPLITTER,
  TYPE,
  VOCAB,
  MERGES,
  IGNORE_MERGES,
  DROPOUT,
  WORD_PREFIX,
  WORD_SUFFIX,
  BYTE_FALLBACK,
  PARTS
};
static const char *const paths[PARTS] = {"added_tokens",
                                         "normalizer",
                                         "pre_tokenizer",
                                         "model.type",
                                         "model.vocab",
                                         "model.merges",
                                         "model.ignore_merges",
                                         "model.dropout",
                                         "model.continuing_subword_prefix",
                                         "model.end_of_word_suffix",
                                         "model.byte_fallback"};

typedef struct reader {
  sheaf__draft *draft;
  sheaf_slice source;
  sheaf_slice parts[PARTS];
  sheaf_buf word;       /* a string without its escapes */
  uint32_t *made;       /* by merge: the token it makes */
  sheaf__halves *pairs; /* by merge: of which tokens */
  uint32_t *slots;      /* merges by hash of their pair, + 1; 0: empty */
  uint32_t merge_count, slot_count;
  uint32_t byte_parts[256]; /* PART_BYTE and the token */
} reader;

/* A part in merging is a merge's number, or this and a single byte's token. */
#define PART_BYTE 0x80000000u

static int32_t fail(reader *r, int32_t status, sheaf_slice where, const char *message) {
  size_t offset = where.data ? (size_t)(where.data - r->source.data) : 0;
  return sheaf__draft_fail(r->draft, status, offset, message);
}

static bool is_empty(sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  return kind == SHEAF_JSON_NONE || kind == SHEAF_JSON_NULL || sheaf_json_equals(value, "");
}

/* Form C, or none. */
static int32_t read_normalizer(reader *r) {
  if (is_empty(r->parts[NORMALIZER])) return SHEAF_OK;
  if (!sheaf_json_equals(sheaf_json_member(r->parts[NORMALIZER], "type"), "NFC"))
    return fail(r, SHEAF_E_UNSUPPORTED, r->parts[NORMALIZER],
                "Text would be normalized otherwise than to Unicode form C.");
  r->draft->flags |= SHEAF__VOCAB_NFC;
  return SHEAF_OK;
}

static int32_t check_model(reader *r) {
  const sheaf_slice *parts = r->parts;
  if (sheaf_json_kind(parts[VOCAB]) != SHEAF_JSON_OBJECT ||
      sheaf_json_kind(parts[MERGES]) != SHEAF_JSON_ARRAY)
    return fail(r, SHEAF_E_UNSUPPORTED, parts[TYPE],
                "The model has no vocabulary with merges; only byte-pair encodings are read.");
  if (!is_empty(parts[TYPE]) && !sheaf_json_equals(parts[TYPE], "BPE"))
    return fail(r, SHEAF_E_UNSUPPORTED, parts[TYPE], "The model's type is not BPE.");
  if (!is_empty(parts[DROPOUT]) || !is_empty(parts[WORD_PREFIX]) || !is_empty(parts[WORD_SUFFIX]) ||
      sheaf_json_true(parts[BYTE_FALLBACK]))
    return fail(r, SHEAF_E_UNSUPPORTED, parts[VOCAB],
                "Dropout, subword prefixes and suffixes, and byte fallback are not supported.");
  return read_normalizer(r);
}

/* ---- the split pattern ---- */

static int32_t find_pattern(reader *r, sheaf_slice split) {
  sheaf_slice regex = sheaf_json_member(sheaf_json_member(split, "pattern"), "Regex");
  bool isolated = sheaf_json_equals(sheaf_json_member(split, "behavior"), "Isolated") &&
                  !sheaf_json_true(sheaf_json_member(split, "invert"));
  bool inverted = sheaf_json_equals(sheaf_json_member(split, "behavior"), "Removed") &&
                  sheaf_json_true(sheaf_json_member(split, "invert"));
  sheaf_buf_reset(&r->word);
  int32_t status = sheaf_buf_append_unescaped(&r->word, sheaf_json_inside(regex));
  if (status != SHEAF_OK) return status;
  if ((!isolated && !inverted) ||
      sheaf__pattern_find(sheaf_buf_slice(&r->word), &r->draft->pattern) != SHEAF_OK)
    return fail(r, SHEAF_E_NOT_FOUND, split, "The split pattern is none that sheaf knows.");
  return SHEAF_OK;
}

/* The step that turns bytes into the alphabet; it may split as GPT-2 does. */
static int32_t read_byte_level(reader *r, sheaf_slice step, bool *splits) {
  sheaf_slice regex = sheaf_json_member(step, "use_regex");
  *splits = is_empty(regex) || sheaf_json_true(regex);
  if (sheaf_json_true(sheaf_json_member(step, "add_prefix_space")))
    return fail(r, SHEAF_E_UNSUPPORTED, step, "A space would be put before the text.");
  return SHEAF_OK;
}

/* One step that turns bytes into the alphabet, and at most one that splits, before it or in it. */
static int32_t read_splitter(reader *r) {
  sheaf_slice splitter = r->parts[SPLITTER], key, step;
  sheaf_json_iter steps = {NULL, NULL, false};
  bool is_row = sheaf_json_equals(sheaf_json_member(splitter, "type"), "Sequence");
  if (is_row &&
      sheaf_json_iter_init(&steps, sheaf_json_member(splitter, "pretokenizers")) != SHEAF_OK)
    return fail(r, SHEAF_E_FIELD, splitter, "The row of pre-tokenizers is missing.");
  uint32_t split_count = 0, byte_levels = 0;
  for (uint32_t i = 0;; i++) {
    if (!is_row && i > 0) break;
    if (!is_row) step = splitter;
    if (is_row && sheaf_json_iter_next(&steps, &key, &step) != SHEAF_OK) break;
    sheaf_slice type = sheaf_json_member(step, "type");
    int32_t status;
    if (byte_levels == 0 && sheaf_json_equals(type, "Split")) {
      split_count++;
      status = find_pattern(r, step);
    } else if (byte_levels == 0 && sheaf_json_equals(type, "ByteLevel")) {
      bool splits;
      byte_levels++;
      status = read_byte_level(r, step, &splits);
      if (splits) {
        split_count++;
        sheaf__pattern_find(SHEAF_LITERAL("gpt2"), &r->draft->pattern);
      }
    } else {
      return fail(r, SHEAF_E_UNSUPPORTED, step, "A pre-tokenizer is neither Split nor ByteLevel.");
    }
    if (status != SHEAF_OK) return status;
  }
  if (byte_levels != 1 || split_count > 1)
    return fail(r, SHEAF_E_UNSUPPORTED, splitter,
                "Only one split and then the byte-level alphabet are supported.");
  if (split_count == 0) sheaf__pattern_find(SHEAF_LITERAL("none"), &r->draft->pattern);
  return SHEAF_OK;
}

/* ---- text in the byte-level alphabet ---- */

/* Bytes that print stand for themselves as code points; the others, in order, for 256 and on. */
static int32_t byte_of(uint32_t code_point) {
  if ((code_point >= 33 && code_point <= 126) || (code_point >= 161 && code_point <= 172) ||
      (code_point >= 174 && code_point <= 255))
    return (int32_t)code_point;
  if (code_point < 256) return -1;
  uint32_t n = code_point - 256;
  if (n < 33) return (int32_t)n;
  if (n < 33 + 34) return (int32_t)(n - 33 + 127);
  return n == 67 ? 173 : -1;
}

/* Appends the bytes that the text stands for; false if a character stands for none. */
static bool append_bytes(sheaf_buf *out, sheaf_slice text) {
  for (size_t at = 0; at < text.bytes;) {
    uint32_t first = (uint8_t)text.data[at];
    int32_t byte = -1;
    size_t length = 1;
    if (first < 0x80) {
      byte = byte_of(first);
    } else if (first >= 0xC2 && first < 0xC6 && at + 1 < text.bytes) {
      length = 2; /* up to U+0143, the last of the alphabet */
      byte = byte_of((first & 0x1F) << 6 | ((uint8_t)text.data[at + 1] & 0x3Fu));
    }
    if (byte < 0) return false;
    uint8_t one = (uint8_t)byte;
    sheaf_buf_append(out, &one, 1);
    at += length;
  }
  return true;
}

/* The token a string of the alphabet stands for. SHEAF__NO_TOKEN if there is none. */
static uint32_t token_of_text(reader *r, sheaf_slice text) {
  sheaf_buf_reset(&r->word);
  if (!append_bytes(&r->word, text) || r->word.bytes == 0) return SHEAF__NO_TOKEN;
  return sheaf__draft_find(r->draft, (const uint8_t *)r->word.data, r->word.bytes);
}

/* ---- the vocabulary ---- */

static size_t count_of(sheaf_slice value) {
  sheaf_json_iter iter;
  sheaf_slice key, one;
  size_t count = 0;
  if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return 0;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) count++;
  return count;
}

/* Whether an added token has this id. */
static bool is_added(const reader *r, int64_t id) {
  sheaf_json_iter iter;
  sheaf_slice key, one;
  if (sheaf_json_iter_init(&iter, r->parts[ADDED]) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) {
    int64_t number;
    if (sheaf_json_int(sheaf_json_member(one, "id"), &number) == SHEAF_OK && number == id)
      return true;
  }
  return false;
}

static int32_t read_vocabulary(reader *r) {
  sheaf__draft *draft = r->draft;
  int32_t status = sheaf__draft_reserve(draft, count_of(r->parts[VOCAB]));
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (status == SHEAF_OK) status = sheaf_json_iter_init(&iter, r->parts[VOCAB]);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    int64_t id;
    size_t before = draft->text.bytes;
    if (sheaf_json_int(value, &id) != SHEAF_OK || id < 0 || id >= SHEAF_VOCAB_IDS_MAX)
      return fail(r, SHEAF_E_RANGE, value, "An id is not a number below 2^24.");
    sheaf_buf_reset(&r->word);
    status = sheaf_buf_append_unescaped(&r->word, key);
    if (status != SHEAF_OK) return status;
    if (append_bytes(&draft->text, sheaf_buf_slice(&r->word)) && draft->text.bytes > before) {
      status = sheaf__draft_add(draft, (uint32_t)id, (size_t)(key.data - r->source.data));
      continue;
    }
    draft->text.bytes = before; /* an added token's text may be outside of the alphabet */
    if (!is_added(r, id))
      return fail(r, SHEAF_E_UNSUPPORTED, key, "A token is not in the byte-level alphabet.");
  }
  if (status == SHEAF_OK) status = draft->text.status;
  if (status == SHEAF_OK) status = sheaf__draft_sort(draft);
  return status == SHEAF_OK ? sheaf__draft_index(draft) : status;
}

/* ---- merges ---- */

static uint32_t pair_slot(const reader *r, uint32_t left, uint32_t right) {
  uint32_t at = sheaf__place_of(sheaf__pair_hash(left, right), r->slot_count);
  for (;; at = at + 1 == r->slot_count ? 0 : at + 1) {
    uint32_t merge = r->slots[at];
    if (merge == 0 || (r->pairs[merge - 1].left == left && r->pairs[merge - 1].right == right))
      return at;
  }
}

static uint32_t token_of_part(const void *ctx, uint32_t part) {
  const reader *r = ctx;
  return part & PART_BYTE ? part & ~PART_BYTE : r->made[part];
}

static uint32_t join_pair(const void *ctx, uint32_t left, uint32_t right, const uint8_t *p,
                          size_t bytes) {
  const reader *r = ctx;
  (void)p, (void)bytes;
  return r->slots[pair_slot(r, token_of_part(r, left), token_of_part(r, right))] - 1;
}

/* "left right", or ["left", "right"]. */
static int32_t read_pair(reader *r, sheaf_slice merge, sheaf_buf *text, uint32_t *left,
                         uint32_t *right) {
  sheaf_buf_reset(text);
  size_t split = 0;
  if (sheaf_json_kind(merge) == SHEAF_JSON_STRING) {
    sheaf_buf_append_unescaped(text, sheaf_json_inside(merge));
    const char *space = text->bytes ? memchr(text->data, ' ', text->bytes) : NULL;
    split = space ? (size_t)(space - text->data) : text->bytes;
    if (space) {
      memmove(text->data + split, text->data + split + 1, text->bytes - split - 1);
      text->bytes--;
    }
  } else {
    sheaf_json_iter iter;
    sheaf_slice key, part;
    if (sheaf_json_iter_init(&iter, merge) != SHEAF_OK || iter.is_object) return SHEAF_E_FIELD;
    if (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK)
      sheaf_buf_append_unescaped(text, sheaf_json_inside(part));
    split = text->bytes;
    if (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK)
      sheaf_buf_append_unescaped(text, sheaf_json_inside(part));
  }
  if (text->status != SHEAF_OK) return text->status;
  if (split == 0 || split == text->bytes) return SHEAF_E_FIELD;
  *left = token_of_text(r, (sheaf_slice){text->data, split});
  *right = token_of_text(r, (sheaf_slice){text->data + split, text->bytes - split});
  bool known = *left != SHEAF__NO_TOKEN && *right != SHEAF__NO_TOKEN;
  return known ? SHEAF_OK : SHEAF_E_FIELD;
}

static int32_t add_merge(reader *r, sheaf_slice merge, sheaf_buf *text) {
  uint32_t left, right;
  int32_t status = read_pair(r, merge, text, &left, &right);
  if (status == SHEAF_E_NOMEM) return status;
  uint32_t made = status == SHEAF_OK ? token_of_text(r, sheaf_buf_slice(text)) : SHEAF__NO_TOKEN;
  if (made == SHEAF__NO_TOKEN)
    return fail(r, SHEAF_E_FIELD, merge, "A merge is not of two tokens that make a third.");
  uint32_t at = pair_slot(r, left, right);
  if (r->slots[at]) return fail(r, SHEAF_E_FIELD, merge, "A merge is there twice.");
  r->pairs[r->merge_count] = (sheaf__halves){left, right};
  r->made[r->merge_count] = made;
  r->slots[at] = ++r->merge_count;
  return SHEAF_OK;
}

static int32_t read_merges(reader *r) {
  size_t count = count_of(r->parts[MERGES]);
  if (count >= SHEAF_VOCAB_IDS_MAX)
    return fail(r, SHEAF_E_LIMIT, r->parts[MERGES], "There are too many merges.");
  const sheaf_allocator *allocator = r->draft->allocator;
  r->slot_count = (uint32_t)count * 2 + 16;
  size_t made_bytes = (count + 1) * sizeof *r->made, pair_bytes = (count + 1) * sizeof *r->pairs;
  size_t slot_bytes = r->slot_count * sizeof *r->slots;
  r->made = sheaf__alloc(allocator, made_bytes);
  r->pairs = sheaf__alloc(allocator, pair_bytes);
  r->slots = sheaf__alloc_zero(allocator, slot_bytes);
  int32_t status = r->made && r->pairs && r->slots ? SHEAF_OK : SHEAF_E_NOMEM;
  sheaf_buf text;
  sheaf_buf_init(&text, allocator, (size_t)1 << 24);
  sheaf_json_iter iter;
  sheaf_slice key, merge;
  if (status == SHEAF_OK) status = sheaf_json_iter_init(&iter, r->parts[MERGES]);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &merge) == SHEAF_OK)
    status = add_merge(r, merge, &text);
  sheaf_buf_deinit(&text);
  bool in_order = true;
  if (status == SHEAF_OK) {
    for (uint32_t i = 0; i < 256; i++) r->byte_parts[i] = PART_BYTE | r->draft->bytes[i];
    status = sheaf__draft_merge(r->draft, join_pair, r, r->byte_parts, token_of_part, &in_order);
  }
  if (!in_order) r->draft->flags |= SHEAF__VOCAB_LATE;
  sheaf__free(allocator, r->made, made_bytes);
  sheaf__free(allocator, r->pairs, pair_bytes);
  sheaf__free(allocator, r->slots, slot_bytes);
  return status;
}

/* ---- added tokens ---- */

static int32_t read_added(reader *r) {
  sheaf_json_iter iter;
  sheaf_slice key, one;
  if (is_empty(r->parts[ADDED])) return SHEAF_OK;
  if (sheaf_json_iter_init(&iter, r->parts[ADDED]) != SHEAF_OK || iter.is_object)
    return fail(r, SHEAF_E_FIELD, r->parts[ADDED], "The added tokens are not a list.");
  while (sheaf_json_iter_next(&iter, &key, &one) == SHEAF_OK) {
    int64_t id;
    if (sheaf_json_int(sheaf_json_member(one, "id"), &id) != SHEAF_OK || id < 0 ||
        id >= SHEAF_VOCAB_IDS_MAX)
      return fail(r, SHEAF_E_RANGE, one, "An added token's id is not a number below 2^24.");
    if (sheaf_json_true(sheaf_json_member(one, "lstrip")) ||
        sheaf_json_true(sheaf_json_member(one, "rstrip")) ||
        sheaf_json_true(sheaf_json_member(one, "single_word")))
      return fail(r, SHEAF_E_UNSUPPORTED, one,
                  "Added tokens that take spaces with them or stand alone are not supported.");
    sheaf_buf_reset(&r->word);
    int32_t status =
        sheaf_buf_append_unescaped(&r->word, sheaf_json_inside(sheaf_json_member(one, "content")));
    if (status == SHEAF_OK)
      status = sheaf__draft_special(r->draft, sheaf_buf_slice(&r->word), (uint32_t)id);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

int32_t sheaf__draft_read_json(sheaf__draft *draft, sheaf_slice source) {
  reader r = {.draft = draft, .source = source};
  sheaf_parse_error error = {.status = SHEAF_OK};
  int32_t status = sheaf_json_pick(source, paths, PARTS, r.parts, NULL, &error);
  if (status != SHEAF_OK) {
    if (draft->error) *draft->error = error;
    return status;
  }
  sheaf_buf_init(&r.word, draft->allocator, (size_t)1 << 24);
  status = check_model(&r);
  if (status == SHEAF_OK) status = read_splitter(&r);
  if (status == SHEAF_OK) status = read_vocabulary(&r);
  if (status == SHEAF_OK) status = read_merges(&r);
  if (status == SHEAF_OK) status = read_added(&r);
  if (sheaf_json_true(r.parts[IGNORE_MERGES])) draft->flags |= SHEAF__VOCAB_WHOLE;
  sheaf_buf_deinit(&r.word);
  return status;
}
