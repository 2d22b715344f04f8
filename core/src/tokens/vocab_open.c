/* vocab_open.c: a vocabulary file becomes tables.
 *
 * Outline: reading the head; sizes; memory; ids; filling, which vocab_fill.c does. Whatever the
 * bytes are, nothing is read or written outside of them and of the tables: every number is checked
 * before it is used. The tables are made here and not stored, since making them takes less time
 * than reading them.
 *
 * Long work is done in portions, each a call of its own: a WebAssembly engine begins with code that
 * it made in a hurry, and goes over to better code of a function only when it is called again. */
#include "tokens/vocab_fill.h"

#include "base/crc32c.h"

enum { PORTION = SHEAF__VOCAB_PORTION, CHECKED_PORTION = 4096 /* bytes */ };

/* The sections of a file, checked to lie inside. */
typedef struct sections {
  uint32_t merges, literals, specials, id_runs, name_bytes;
  const uint8_t *byte_ids, *runs, *left, *right, *tail, *end;
  uint32_t *order; /* where there are late tokens: see sheaf__fill_late_merges; else NULL */
} sections;

static uint32_t load4(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t checksum(const uint8_t *p, size_t bytes) {
  uint32_t crc = 0;
  while (bytes > 0) {
    size_t portion = bytes < CHECKED_PORTION ? bytes : CHECKED_PORTION;
    crc = sheaf__crc32c(crc, p, portion);
    p += portion;
    bytes -= portion;
  }
  return crc;
}

static int32_t read_head(sheaf_vocab *vocab, const uint8_t *p, size_t size, sections *s) {
  if (size < SHEAF__VOCAB_HEAD_BYTES || memcmp(p, SHEAF__VOCAB_MAGIC, 8) != 0)
    return SHEAF_E_CORRUPT;
  if (load4(p + 8) > SHEAF__VOCAB_VERSION) return SHEAF_E_VERSION;
  if (load4(p + 8) == 0 || load4(p + 16) != size) return SHEAF_E_CORRUPT;
  if (load4(p + 12) != checksum(p + 16, size - 16)) return SHEAF_E_CORRUPT;
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

static uint32_t portion_end(uint32_t begin, uint32_t end) {
  return end - begin < PORTION ? end : begin + PORTION;
}

/* Halves and offsets of the tokens that merges make. */
static int32_t read_merges(sheaf_vocab *vocab, sections *s) {
  const sheaf__planes planes = {s->left, s->right, s->merges};
  for (uint32_t i = 0; i <= 256; i++) vocab->offsets[i] = i;
  for (uint32_t i = 0; i < 256; i++) vocab->halves[i] = (sheaf__halves){i, i};
  vocab->token_bytes_max = 1;
  if (vocab->flags & SHEAF__VOCAB_LATE) {
    s->order = sheaf__alloc(&vocab->allocator, sizeof *s->order * (size_t)vocab->merge_end);
    return s->order ? sheaf__fill_late_merges(vocab, &planes, s->order) : SHEAF_E_NOMEM;
  }
  int32_t status = SHEAF_OK;
  for (uint32_t at = 256, end; at < vocab->merge_end && status == SHEAF_OK; at = end) {
    end = portion_end(at, vocab->merge_end);
    status = sheaf__fill_merges(vocab, &planes, at, end);
  }
  return status;
}

/* Offsets of the literals; the tail goes on behind them. */
static int32_t read_literal_sizes(sheaf_vocab *vocab, const sections *s, const uint8_t **behind) {
  const uint8_t *p = s->tail;
  for (uint32_t i = vocab->merge_end; i < vocab->token_end; i++) {
    if (s->end - p < 2) return SHEAF_E_CORRUPT;
    uint32_t bytes = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    p += 2;
    if (bytes < 2 || (size_t)(s->end - p) < bytes ||
        vocab->offsets[i] > SHEAF__VOCAB_TEXT_MAX - bytes)
      return SHEAF_E_CORRUPT;
    vocab->offsets[i + 1] = vocab->offsets[i] + bytes;
    if (bytes > vocab->token_bytes_max) vocab->token_bytes_max = bytes;
    p += bytes;
  }
  *behind = p;
  return SHEAF_OK;
}

/* Lines for entries, of which tenths / 10 come to a line: so many that six lines of seven, and
 * more, have no more than they hold (Poisson). */
enum { SHORTS_TENTHS = 35, MIDDLES_TENTHS = 20, LONGS_TENTHS = 45, PAIRS_TENTHS = 45 };
static uint32_t lines_for(uint32_t entries, uint32_t tenths) {
  return (uint32_t)((uint64_t)entries * 10 / tenths) + 2;
}

static void count_lines(sheaf_vocab *vocab) {
  uint32_t shorts = 0, longs = 0, all = vocab->token_end - 256;
  for (uint32_t i = 256; i < vocab->token_end; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, i);
    shorts += bytes < 8;
    longs += bytes >= 16;
  }
  vocab->short_count = lines_for(shorts, SHORTS_TENTHS);
  vocab->middle_count = lines_for(all - shorts - longs, MIDDLES_TENTHS);
  vocab->long_count = lines_for(longs, LONGS_TENTHS);
  vocab->pair_count = lines_for(vocab->merge_end - 256, PAIRS_TENTHS);
  while (16u << vocab->hint16_levels <= vocab->token_bytes_max) vocab->hint16_levels++;
}

/* The tables that fill_tables fills, in one block: memory's first touch costs less so, and a block
 * is given back whole. All but the text, which comes last, are zero at first. */
typedef struct table {
  size_t field; /* of the vocabulary: a pointer */
  size_t bytes;
} table;
enum { TABLES = 9, LINE = 64 };

static void list_tables(const sheaf_vocab *vocab, table tables[TABLES]) {
  const table list[TABLES] = {
      {offsetof(sheaf_vocab, shorts), sizeof *vocab->shorts * (size_t)vocab->short_count},
      {offsetof(sheaf_vocab, middles), sizeof *vocab->middles * (size_t)vocab->middle_count},
      {offsetof(sheaf_vocab, longs), sizeof *vocab->longs * (size_t)vocab->long_count},
      {offsetof(sheaf_vocab, pairs), sizeof *vocab->pairs * (size_t)vocab->pair_count},
      {offsetof(sheaf_vocab, hint2), 1 << 16},
      {offsetof(sheaf_vocab, hint4), 1 << SHEAF__HINT4_BITS},
      {offsetof(sheaf_vocab, hint8), sizeof *vocab->hint8 << SHEAF__HINT8_BITS},
      {offsetof(sheaf_vocab, hint16),
       sizeof *vocab->hint16 * ((size_t)(vocab->hint16_levels + 1) << SHEAF__HINT16_BITS)},
      {offsetof(sheaf_vocab, text), vocab->offsets[vocab->token_end] + (size_t)LINE}};
  memcpy(tables, list, sizeof list);
}

static size_t whole_lines(size_t bytes) {
  return (bytes + LINE - 1) / LINE * LINE;
}

static int32_t make_tables(sheaf_vocab *vocab) {
  count_lines(vocab);
  table tables[TABLES];
  list_tables(vocab, tables);
  uint64_t bytes = LINE;
  for (uint32_t i = 0; i < TABLES; i++) bytes += whole_lines(tables[i].bytes);
  char *at = vocab->block = sheaf__vocab_table(vocab, bytes);
  if (!at) return SHEAF_E_NOMEM;
  vocab->block_bytes = (size_t)bytes;
  memset(at, 0, (size_t)bytes - tables[TABLES - 1].bytes);
  at += (LINE - (uintptr_t)at % LINE) % LINE;
  for (uint32_t i = 0; i < TABLES; i++) {
    memcpy((char *)vocab + tables[i].field, &at, sizeof at);
    at += whole_lines(tables[i].bytes);
  }
  memset(vocab->text + vocab->offsets[vocab->token_end], 0, LINE);
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

static void copy_literals(sheaf_vocab *vocab, const uint8_t *p) {
  for (uint32_t i = vocab->merge_end; i < vocab->token_end; i++) {
    uint32_t bytes = sheaf__token_bytes(vocab, i);
    memcpy(vocab->text + vocab->offsets[i], p + 2, bytes);
    p += 2 + bytes;
  }
}

static void in_portions(void (*fill)(sheaf_vocab *vocab, uint32_t begin, uint32_t end),
                        sheaf_vocab *vocab, uint32_t first, uint32_t limit) {
  for (uint32_t at = first, end; at < limit; at = end) {
    end = portion_end(at, limit);
    fill(vocab, at, end);
  }
}

static void fill_tables(sheaf_vocab *vocab, const sections *s) {
  for (uint32_t i = 0; i < 256; i++) vocab->text[i] = (uint8_t)i;
  if (s->order)
    sheaf__fill_late_text(vocab, s->order);
  else
    in_portions(sheaf__fill_text, vocab, 256, vocab->merge_end);
  copy_literals(vocab, s->tail);
  in_portions(sheaf__fill_lines, vocab, 256, vocab->merge_end);
  in_portions(sheaf__fill_lines, vocab, vocab->merge_end, vocab->token_end);
  in_portions(sheaf__fill_pairs, vocab, 256, vocab->merge_end);
}

static int32_t read_all(sheaf_vocab *vocab, sections *s) {
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
  if (status == SHEAF_OK) {
    status = read_all(made, &s);
    sheaf__free(&made->allocator, s.order, sizeof *s.order * (size_t)made->merge_end);
  }
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
  sheaf__free(&allocator, vocab->block, vocab->block_bytes);
  sheaf__free(&allocator, vocab->offsets, 4 * ((size_t)vocab->token_end + 1));
  sheaf__free(&allocator, vocab->halves, sizeof *vocab->halves * (size_t)vocab->merge_end);
  sheaf__free(&allocator, vocab->late, vocab->merge_end);
  sheaf__free(&allocator, vocab->ids, 4 * (size_t)vocab->token_end);
  sheaf__free(&allocator, vocab->numbers, 4 * (size_t)vocab->id_end);
  sheaf__specials_free(vocab);
  sheaf__free(&allocator, vocab, sizeof *vocab);
}
