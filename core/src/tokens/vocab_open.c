/* vocab_open.c: a vocabulary file becomes tables.
 *
 * Outline: reading the head; sizes; the tokens' lengths and then their bytes, each put into the
 * hash table as it comes; merges into the pair table; hints; ids; specials. Whatever the bytes are,
 * nothing is read or written outside of them and of the tables: every number is checked before it
 * is used. The tables are made here and not stored, since making them takes less time than reading
 * them. */
#include "tokens/vocab.h"

#include "base/crc32c.h"

#define TEXT_BYTES_MAX ((uint32_t)1 << 28)

/* The sections of a file, checked to lie inside. */
typedef struct sections {
  uint32_t merges, literals, specials, id_runs, name_bytes;
  const uint8_t *byte_ids, *runs, *left, *right, *tail, *end;
} sections;

static uint32_t load4(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int32_t read_head(sheaf_vocab *vocab, const uint8_t *p, size_t size, sections *s) {
  if (size < SHEAF__VOCAB_HEAD_BYTES || memcmp(p, SHEAF__VOCAB_MAGIC, 8) != 0)
    return SHEAF_E_CORRUPT;
  if (load4(p + 8) > SHEAF__VOCAB_VERSION) return SHEAF_E_VERSION;
  if (load4(p + 8) == 0 || load4(p + 16) != size) return SHEAF_E_CORRUPT;
  if (load4(p + 12) != sheaf__crc32c(0, p + 16, size - 16)) return SHEAF_E_CORRUPT;
  vocab->flags = load4(p + 20);
  vocab->pattern_number = load4(p + 24);
  vocab->pattern = sheaf__pattern_at(vocab->pattern_number);
  *s = (sections){.merges = load4(p + 28),
                  .literals = load4(p + 32),
                  .specials = load4(p + 36),
                  .id_runs = load4(p + 40),
                  .name_bytes = load4(p + 44)};
  if (vocab->flags & ~(uint32_t)SHEAF__VOCAB_FLAGS || !vocab->pattern) return SHEAF_E_CORRUPT;
  if (s->merges >= SHEAF_VOCAB_IDS_MAX || s->literals >= SHEAF_VOCAB_IDS_MAX ||
      s->specials >= SHEAF_VOCAB_IDS_MAX || s->id_runs >= SHEAF_VOCAB_IDS_MAX ||
      256 + s->merges + s->literals >= SHEAF_VOCAB_IDS_MAX || s->name_bytes == 0 ||
      s->name_bytes > SHEAF_VOCAB_NAME_BYTES_MAX)
    return SHEAF_E_CORRUPT;
  uint64_t fixed = SHEAF__VOCAB_HEAD_BYTES + 1024 + 8ull * s->id_runs + 6ull * s->merges;
  if (fixed > size) return SHEAF_E_CORRUPT;
  s->byte_ids = p + SHEAF__VOCAB_HEAD_BYTES;
  s->runs = s->byte_ids + 1024;
  s->left = s->runs + 8 * (size_t)s->id_runs;
  s->right = s->left + 3 * (size_t)s->merges;
  s->tail = p + (size_t)fixed;
  s->end = p + size;
  vocab->merge_end = 256 + s->merges;
  vocab->token_end = vocab->merge_end + s->literals;
  return SHEAF_OK;
}

void *sheaf__vocab_table(sheaf_vocab *vocab, uint64_t bytes) {
  if (bytes > SIZE_MAX / 2) return NULL;
  void *memory = sheaf__alloc(&vocab->allocator, (size_t)bytes);
  if (memory) vocab->memory_bytes += (size_t)bytes;
  return memory;
}

static uint32_t plane_at(const uint8_t *planes, size_t count, size_t i) {
  return (uint32_t)planes[i] | (uint32_t)planes[count + i] << 8 |
         (uint32_t)planes[2 * count + i] << 16;
}

/* Halves and offsets of the tokens that merges make. */
static int32_t read_merges(sheaf_vocab *vocab, const sections *s) {
  uint32_t *offsets = vocab->offsets;
  for (uint32_t i = 0; i <= 256; i++) offsets[i] = i;
  for (uint32_t i = 0; i < 256; i++) vocab->halves[i] = (sheaf__halves){i, i};
  vocab->token_bytes_max = 1;
  for (uint32_t i = 0; i < s->merges; i++) {
    uint32_t left = plane_at(s->left, s->merges, i), right = plane_at(s->right, s->merges, i);
    if (left >= 256 + i || right >= 256 + i) return SHEAF_E_CORRUPT;
    vocab->halves[256 + i] = (sheaf__halves){left, right};
    uint32_t bytes = sheaf__token_bytes(vocab, left) + sheaf__token_bytes(vocab, right);
    if (bytes > SHEAF_VOCAB_TOKEN_BYTES_MAX || offsets[256 + i] > TEXT_BYTES_MAX - bytes)
      return SHEAF_E_CORRUPT;
    offsets[256 + i + 1] = offsets[256 + i] + bytes;
    if (bytes > vocab->token_bytes_max) vocab->token_bytes_max = bytes;
  }
  return SHEAF_OK;
}

/* Offsets of the literals; the tail goes on behind them. */
static int32_t read_literal_sizes(sheaf_vocab *vocab, const sections *s, const uint8_t **behind) {
  const uint8_t *p = s->tail;
  for (uint32_t i = vocab->merge_end; i < vocab->token_end; i++) {
    if (s->end - p < 2) return SHEAF_E_CORRUPT;
    uint32_t bytes = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    p += 2;
    if (bytes < 2 || (size_t)(s->end - p) < bytes || vocab->offsets[i] > TEXT_BYTES_MAX - bytes)
      return SHEAF_E_CORRUPT;
    vocab->offsets[i + 1] = vocab->offsets[i] + bytes;
    if (bytes > vocab->token_bytes_max) vocab->token_bytes_max = bytes;
    p += bytes;
  }
  *behind = p;
  return SHEAF_OK;
}

/* Sixteen bytes at a time, where some too many do no harm: what is behind `to` is not written yet.
 * A token's parts lie before it, so that no byte is written before it was read. */
static void copy_loosely(uint8_t *to, const uint8_t *from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 16) {
    uint64_t first, second;
    memcpy(&first, from + at, 8);
    memcpy(&second, from + at + 8, 8);
    memcpy(to + at, &first, 8);
    memcpy(to + at + 8, &second, 8);
  }
}

static void add_short(sheaf_vocab *vocab, uint64_t key, uint32_t token) {
  uint32_t at = sheaf__short_place(vocab, key);
  while (vocab->shorts[at].token != SHEAF__NO_TOKEN) at = at + 1 == vocab->short_count ? 0 : at + 1;
  vocab->shorts[at] = (sheaf__short_slot){{(uint32_t)key, (uint32_t)(key >> 32)}, token};
}

static void add_middle(sheaf_vocab *vocab, uint64_t low, uint64_t high, uint32_t token) {
  uint32_t at = sheaf__middle_place(vocab, low, high);
  while (vocab->middles[at].token != SHEAF__NO_TOKEN)
    at = at + 1 == vocab->middle_count ? 0 : at + 1;
  vocab->middles[at] = (sheaf__middle_slot){
      {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}, token};
}

static void add_long(sheaf_vocab *vocab, const uint8_t *p, size_t bytes, uint32_t token) {
  uint64_t hash = sheaf__long_hash(p, bytes);
  uint32_t at = sheaf__place_of(hash, vocab->long_count);
  while (vocab->longs[at].token != SHEAF__NO_TOKEN) at = at + 1 == vocab->long_count ? 0 : at + 1;
  vocab->longs[at] = (sheaf__long_slot){(uint32_t)hash, token};
}

static void add_long_hints(sheaf_vocab *vocab, const uint8_t *p, size_t bytes) {
  uint32_t level = 0;
  for (size_t d = 16; d <= bytes; d *= 2, level++) {
    uint32_t *hint = &vocab->hint16[sheaf__hint16_at(level, sheaf__long_hash(p, d))];
    *hint |= bytes >= 2 * d ? (uint32_t)SHEAF__HINT16_LONGER : 1u << ((bytes - d) * 16 / d);
  }
}

static void add_hints(sheaf_vocab *vocab, const uint8_t *p, size_t bytes, uint64_t word) {
  uint8_t *two = &vocab->hint2[word & 0xFFFF];
  if (bytes < 4) {
    *two |= (uint8_t)(1u << (bytes - 2));
    return;
  }
  uint8_t *four = &vocab->hint4[sheaf__hint4_at((uint32_t)word)];
  if (bytes < 8) {
    *four |= (uint8_t)(1u << (bytes - 4));
    return;
  }
  *four |= SHEAF__HINT4_LONGER;
  uint16_t *eight = &vocab->hint8[sheaf__hint8_at(word)];
  *eight |= (uint16_t)(bytes < 16 ? 1u << (bytes - 8) : SHEAF__HINT8_LONGER);
  if (bytes >= 16) add_long_hints(vocab, p, bytes);
}

static void add_pair(sheaf_vocab *vocab, uint32_t token, uint64_t hash) {
  uint32_t at = sheaf__pair_place(vocab, hash);
  while (vocab->pairs[at]) at = at + 1 == vocab->pair_count ? 0 : at + 1;
  vocab->pairs[at] = token | ((uint32_t)hash >> 24) << 24;
}

static void copy_merge(sheaf_vocab *vocab, uint32_t token) {
  sheaf__halves halves = vocab->halves[token];
  uint32_t left = vocab->offsets[halves.left], right = vocab->offsets[halves.right];
  uint32_t left_bytes = vocab->offsets[halves.left + 1] - left;
  uint8_t *to = vocab->text + vocab->offsets[token];
  copy_loosely(to, vocab->text + left, left_bytes);
  copy_loosely(to + left_bytes, vocab->text + right, vocab->offsets[halves.right + 1] - right);
}

/* Where in a table something goes is as good as random, so a few are known ahead, and memory is
 * asked for before it is needed. Tables are filled one after another, so that each has the
 * processor's caches for itself. */
enum { AHEAD = 32 };

static void fill_text(sheaf_vocab *vocab, const sections *s) {
  for (uint32_t i = 0; i < 256; i++) vocab->text[i] = (uint8_t)i;
  for (uint32_t i = 256; i < vocab->merge_end; i++) {
    if (i + AHEAD < vocab->merge_end) {
      __builtin_prefetch(vocab->text + vocab->offsets[vocab->halves[i + AHEAD].left]);
      __builtin_prefetch(vocab->text + vocab->offsets[vocab->halves[i + AHEAD].right]);
    }
    copy_merge(vocab, i);
  }
  const uint8_t *p = s->tail;
  for (uint32_t i = vocab->merge_end; i < vocab->token_end; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, i);
    memcpy(vocab->text + vocab->offsets[i], p + 2, bytes);
    p += 2 + bytes;
  }
}

static void fill_slots(sheaf_vocab *vocab, uint32_t begin, uint32_t end) {
  uint64_t lows[AHEAD], highs[AHEAD];
  for (uint32_t i = begin; i < end; i++) {
    const uint8_t *p = vocab->text + vocab->offsets[i];
    size_t bytes = sheaf__token_bytes(vocab, i);
    uint64_t low = sheaf__load_upto(p, bytes < 8 ? bytes : 8, 8), high = 0;
    if (bytes < 8) {
      low = sheaf__short_key(low, bytes);
      __builtin_prefetch(&vocab->shorts[sheaf__short_place(vocab, low)], 1);
    } else if (bytes < 16) {
      high = sheaf__short_key(sheaf__load_upto(p + 8, bytes - 8, 8), bytes);
      __builtin_prefetch(&vocab->middles[sheaf__middle_place(vocab, low, high)], 1);
    }
    lows[i - begin] = low;
    highs[i - begin] = high;
  }
  for (uint32_t i = begin; i < end; i++) {
    size_t bytes = sheaf__token_bytes(vocab, i);
    if (bytes < 8)
      add_short(vocab, lows[i - begin], i);
    else if (bytes < 16)
      add_middle(vocab, lows[i - begin], highs[i - begin], i);
    else
      add_long(vocab, vocab->text + vocab->offsets[i], bytes, i);
  }
}

static void fill_pairs(sheaf_vocab *vocab) {
  for (uint32_t i = 256; i < vocab->merge_end; i++) {
    if (i + AHEAD < vocab->merge_end) {
      sheaf__halves ahead = vocab->halves[i + AHEAD];
      uint64_t hash = sheaf__pair_hash(ahead.left, ahead.right);
      __builtin_prefetch(&vocab->pairs[sheaf__pair_place(vocab, hash)], 1);
    }
    add_pair(vocab, i, sheaf__pair_hash(vocab->halves[i].left, vocab->halves[i].right));
  }
}

static void fill_tables(sheaf_vocab *vocab, const sections *s) {
  fill_text(vocab, s);
  for (uint32_t begin = 256; begin < vocab->token_end; begin += AHEAD)
    fill_slots(vocab, begin, vocab->token_end - begin < AHEAD ? vocab->token_end : begin + AHEAD);
  fill_pairs(vocab);
  for (uint32_t i = 256; i < vocab->merge_end; i++) {
    const uint8_t *p = vocab->text + vocab->offsets[i];
    add_hints(vocab, p, sheaf__token_bytes(vocab, i), sheaf__load(p));
  }
}

/* Slots for so many entries: three for two, so that a look-up ends soon. */
static uint32_t slots_for(uint32_t entries) {
  return entries + entries / 2 + 16;
}

static void count_slots(sheaf_vocab *vocab) {
  uint32_t shorts = 0, middles = 0, longs = 0;
  for (uint32_t i = 256; i < vocab->token_end; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, i);
    shorts += bytes < 8;
    middles += bytes >= 8 && bytes < 16;
    longs += bytes >= 16;
  }
  vocab->short_count = slots_for(shorts);
  vocab->middle_count = slots_for(middles);
  vocab->long_count = slots_for(longs);
  vocab->pair_count = slots_for(vocab->merge_end - 256);
  while (16u << vocab->hint16_levels <= vocab->token_bytes_max) vocab->hint16_levels++;
}

/* The tables that fill_tables fills, and the byte they are set to before. */
typedef struct table {
  size_t field; /* of the vocabulary: a pointer */
  size_t bytes;
  uint8_t set_to;
} table;
enum { TABLES = 9 };

static void list_tables(const sheaf_vocab *vocab, table tables[TABLES]) {
  const table list[TABLES] = {
      {offsetof(sheaf_vocab, text), vocab->offsets[vocab->token_end] + (size_t)64, 0},
      {offsetof(sheaf_vocab, shorts), sizeof *vocab->shorts * (size_t)vocab->short_count, 0xFF},
      {offsetof(sheaf_vocab, middles), sizeof *vocab->middles * (size_t)vocab->middle_count, 0xFF},
      {offsetof(sheaf_vocab, longs), sizeof *vocab->longs * (size_t)vocab->long_count, 0xFF},
      {offsetof(sheaf_vocab, pairs), sizeof *vocab->pairs * (size_t)vocab->pair_count, 0},
      {offsetof(sheaf_vocab, hint2), 1 << 16, 0},
      {offsetof(sheaf_vocab, hint4), 1 << SHEAF__HINT4_BITS, 0},
      {offsetof(sheaf_vocab, hint8), sizeof *vocab->hint8 << SHEAF__HINT8_BITS, 0},
      {offsetof(sheaf_vocab, hint16),
       sizeof *vocab->hint16 * ((size_t)(vocab->hint16_levels + 1) << SHEAF__HINT16_BITS), 0}};
  memcpy(tables, list, sizeof list);
}

static int32_t make_tables(sheaf_vocab *vocab) {
  count_slots(vocab);
  table tables[TABLES];
  list_tables(vocab, tables);
  for (uint32_t i = 0; i < TABLES; i++) {
    void *memory = sheaf__vocab_table(vocab, tables[i].bytes);
    if (!memory) return SHEAF_E_NOMEM;
    memset(memory, tables[i].set_to, tables[i].bytes);
    memcpy((char *)vocab + tables[i].field, &memory, sizeof memory);
  }
  return SHEAF_OK;
}

/* Most vocabularies have ids that are the numbers from 256 on, and below 256 some order of the
 * bytes. */
static bool ids_are_numbers(const sheaf_vocab *vocab, const sections *s) {
  bool seen[256] = {false};
  for (uint32_t i = 0; i < 256; i++) {
    if (vocab->byte_ids[i] >= 256 || seen[vocab->byte_ids[i]]) return false;
    seen[vocab->byte_ids[i]] = true;
  }
  return s->id_runs == 0 || (s->id_runs == 1 && load4(s->runs + 4) == 256);
}

static int32_t read_ids(sheaf_vocab *vocab, const sections *s) {
  for (uint32_t i = 0; i < 256; i++) {
    vocab->byte_ids[i] = load4(s->byte_ids + 4 * i);
    if (vocab->byte_ids[i] >= SHEAF_VOCAB_IDS_MAX) return SHEAF_E_CORRUPT;
    if (vocab->byte_ids[i] >= vocab->id_end) vocab->id_end = vocab->byte_ids[i] + 1;
  }
  if (vocab->token_end > 256 && s->id_runs == 0) return SHEAF_E_CORRUPT;
  bool plain = ids_are_numbers(vocab, s);
  if (!plain) {
    vocab->ids = sheaf__vocab_table(vocab, 4 * (uint64_t)vocab->token_end);
    if (!vocab->ids) return SHEAF_E_NOMEM;
    memcpy(vocab->ids, vocab->byte_ids, sizeof vocab->byte_ids);
  }
  uint32_t number = 256;
  for (uint32_t i = 0; i < s->id_runs; i++) {
    const uint8_t *p = s->runs + 8 * (size_t)i;
    uint32_t id = load4(p + 4);
    uint32_t end = i + 1 < s->id_runs ? load4(p + 8) : vocab->token_end;
    if (load4(p) != number || end <= number || end > vocab->token_end ||
        id >= SHEAF_VOCAB_IDS_MAX || end - number > SHEAF_VOCAB_IDS_MAX - id)
      return SHEAF_E_CORRUPT;
    if (id + (end - number) > vocab->id_end) vocab->id_end = id + (end - number);
    for (; number < end; number++, id++)
      if (vocab->ids) vocab->ids[number] = id;
  }
  return SHEAF_OK;
}

/* The way back from ids to numbers. */
static int32_t make_numbers(sheaf_vocab *vocab) {
  if (!vocab->ids) {
    for (uint32_t i = 0; i < 256; i++) vocab->byte_numbers[vocab->byte_ids[i]] = i;
    return SHEAF_OK;
  }
  vocab->numbers = sheaf__vocab_table(vocab, 4 * (uint64_t)vocab->id_end);
  if (!vocab->numbers) return SHEAF_E_NOMEM;
  memset(vocab->numbers, 0xFF, 4 * (size_t)vocab->id_end);
  for (uint32_t i = 0; i < vocab->token_end; i++) vocab->numbers[vocab->ids[i]] = i;
  return SHEAF_OK;
}

static int32_t read_all(sheaf_vocab *vocab, const sections *s) {
  vocab->offsets = sheaf__vocab_table(vocab, 4 * ((uint64_t)vocab->token_end + 1));
  vocab->halves = sheaf__vocab_table(vocab, sizeof *vocab->halves * (uint64_t)vocab->merge_end);
  if (!vocab->offsets || !vocab->halves) return SHEAF_E_NOMEM;
  const uint8_t *behind;
  int32_t status = read_merges(vocab, s);
  if (status == SHEAF_OK) status = read_literal_sizes(vocab, s, &behind);
  if (status == SHEAF_OK) status = read_ids(vocab, s);
  if (status == SHEAF_OK)
    status = sheaf__specials_read(vocab, behind, s->end, s->specials, &behind);
  if (status != SHEAF_OK) return status;
  if ((size_t)(s->end - behind) != s->name_bytes) return SHEAF_E_CORRUPT;
  memcpy(vocab->name, behind, s->name_bytes);
  status = make_tables(vocab);
  if (status == SHEAF_OK) status = make_numbers(vocab);
  if (status == SHEAF_OK) fill_tables(vocab, s);
  return status;
}

int32_t sheaf_vocab_open(const void *bytes, size_t size, const sheaf_allocator *allocator,
                         sheaf_vocab **vocab) {
  if (!allocator || !vocab || (!bytes && size)) return SHEAF_E_MISUSE;
  sheaf_vocab *made = sheaf__alloc_zero(allocator, sizeof *made);
  if (!made) return SHEAF_E_NOMEM;
  made->allocator = *allocator;
  made->memory_bytes = sizeof *made;
  sections s;
  int32_t status = read_head(made, bytes, size, &s);
  if (status == SHEAF_OK) status = read_all(made, &s);
  if (status != SHEAF_OK) {
    sheaf_vocab_close(made);
    return status;
  }
  *vocab = made;
  return SHEAF_OK;
}

void sheaf_vocab_close(sheaf_vocab *vocab) {
  if (!vocab) return;
  const sheaf_allocator allocator = vocab->allocator;
  if (vocab->offsets) {
    table tables[TABLES];
    list_tables(vocab, tables);
    for (uint32_t i = 0; i < TABLES; i++) {
      void *memory;
      memcpy(&memory, (const char *)vocab + tables[i].field, sizeof memory);
      sheaf__free(&allocator, memory, tables[i].bytes);
    }
  }
  sheaf__free(&allocator, vocab->offsets, 4 * ((size_t)vocab->token_end + 1));
  sheaf__free(&allocator, vocab->halves, sizeof *vocab->halves * (size_t)vocab->merge_end);
  sheaf__free(&allocator, vocab->ids, 4 * (size_t)vocab->token_end);
  sheaf__free(&allocator, vocab->numbers, 4 * (size_t)vocab->id_end);
  sheaf__specials_free(vocab);
  sheaf__free(&allocator, vocab, sizeof *vocab);
}
