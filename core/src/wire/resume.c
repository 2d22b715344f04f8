/* resume.c: which rows an earlier run finished, and which ids the input has already used.
 *
 * Two tables, both from the 64-bit hash of a custom_id: of input lines (value: u32 place) and of earlier output lines
 * (value: 16 bytes). The ids themselves are not kept. With a million rows the chance that some row meets another's hash
 * is 1 in 37 million (n^2 / 2^65); a host that compares the ids then loses nothing even so.
 *
 * A table is 256 shards by the top byte of the hash, each an open-addressing table with linear probing that grows by an
 * eighth when it is seven eighths full. So the load stays between 0.77 and 0.875, an id takes 14 to 16 bytes, and growth
 * never holds more than one shard (1/256 of all) twice. Doubling one big table would peak at three times its content.
 *
 *   shard block:  hashes u64[slots], then values value_bytes[slots].   Hash 0 means a free slot.
 *
 * Outline: the table, earlier lines, asking, input ids. */
#include <sheaf/line.h>

#include "base/mem.h"
#include "base/random.h"

#define SHARDS 256u
#define SLOTS_MIN 8u
#define SLOTS_MAX (UINT32_C(1) << 30)
#define HASH_SEED 0x7368656166u /* any constant: the tables never leave the process */

/* ---- The table ---- */

typedef struct shard {
  uint64_t *hashes; /* the block */
  uint32_t slots;
  uint32_t used;
} shard;

typedef struct table {
  uint32_t value_bytes; /* a multiple of 4 */
  shard shards[SHARDS];
} table;

/* An earlier output line. */
typedef struct earlier {
  uint64_t offset_ok; /* offset << 1 | ok */
  uint64_t mark; /* the first half of the fingerprint; 0: the line is not sheaf's and has none */
} earlier;

/* What asking changes, apart so that asking is const. */
typedef struct counts {
  uint64_t matched;
} counts;

struct sheaf_resume {
  sheaf_allocator allocator;
  sheaf_buf id; /* a custom_id without its escapes */
  uint64_t lines;
  counts *counts; /* behind this struct, in one block */
  table inputs;
  table outputs;
};

#define RESUME_BYTES (sizeof(sheaf_resume) + sizeof(counts))

static uint64_t hash_of(sheaf_slice id) {
  const uint64_t hash = sheaf__hash(id.data, id.bytes, HASH_SEED);
  return hash ? hash : 1;
}

static size_t shard_bytes(const table *t, uint32_t slots) {
  return (size_t)slots * (sizeof(uint64_t) + t->value_bytes);
}

/* 32 bits below the shard's, scaled to the slots instead of taken modulo: slots need not be a power of two. */
static uint32_t home_of(uint64_t hash, uint32_t slots) {
  return (uint32_t)((hash >> 24 & UINT32_MAX) * slots >> 32);
}

/* Where a hash is, or where it would go. A shard has always a free slot. */
static uint32_t slot_of(const uint64_t *hashes, uint32_t slots, uint64_t hash) {
  uint32_t slot = home_of(hash, slots);
  while (hashes[slot] != 0 && hashes[slot] != hash) slot = slot + 1 == slots ? 0 : slot + 1;
  return slot;
}

static void *value_at(const table *t, const shard *s, uint32_t slot) {
  return (char *)(s->hashes + s->slots) + (size_t)slot * t->value_bytes;
}

/* The value of a hash, or NULL. */
static void *table_find(const table *t, uint64_t hash) {
  const shard *s = &t->shards[hash >> 56];
  if (s->slots == 0) return NULL;
  const uint32_t slot = slot_of(s->hashes, s->slots, hash);
  return s->hashes[slot] ? value_at(t, s, slot) : NULL;
}

static bool shard_grow(table *t, shard *s, const sheaf_allocator *allocator) {
  const uint32_t slots = s->slots ? s->slots + s->slots / 8 + 4 : SLOTS_MIN;
  if (slots > SLOTS_MAX) return false;
  uint64_t *hashes = sheaf__alloc(allocator, shard_bytes(t, slots));
  if (!hashes) return false;
  memset(hashes, 0, slots * sizeof *hashes);
  const shard grown = {hashes, slots, s->used};
  for (uint32_t i = 0; i < s->slots; i++) {
    if (s->hashes[i] == 0) continue;
    const uint32_t slot = slot_of(hashes, slots, s->hashes[i]);
    hashes[slot] = s->hashes[i];
    memcpy(value_at(t, &grown, slot), value_at(t, s, i), t->value_bytes);
  }
  sheaf__free(allocator, s->hashes, shard_bytes(t, s->slots));
  *s = grown;
  return true;
}

/* Adds a hash that is not there and answers where its value goes; NULL: no memory, nothing changed. */
static void *table_add(table *t, uint64_t hash, const sheaf_allocator *allocator) {
  shard *s = &t->shards[hash >> 56];
  if (s->used >= s->slots - s->slots / 8 && !shard_grow(t, s, allocator)) return NULL;
  const uint32_t slot = slot_of(s->hashes, s->slots, hash);
  SHEAF_ASSERT(s->hashes[slot] == 0);
  s->hashes[slot] = hash;
  s->used++;
  return value_at(t, s, slot);
}

static void table_deinit(table *t, const sheaf_allocator *allocator) {
  for (uint32_t i = 0; i < SHARDS; i++) {
    shard *s = &t->shards[i];
    sheaf__free(allocator, s->hashes, shard_bytes(t, s->slots));
  }
}

/* ---- Life ---- */

int32_t sheaf_resume_new(const sheaf_allocator *allocator, sheaf_resume **resume) {
  sheaf_resume *made = sheaf__alloc_zero(allocator, RESUME_BYTES);
  if (!made) return SHEAF_E_NOMEM;
  made->allocator = *allocator;
  sheaf_buf_init(&made->id, &made->allocator, SHEAF_LINE_BYTES_MAX);
  made->counts = (counts *)(void *)(made + 1);
  made->inputs.value_bytes = sizeof(uint32_t);
  made->outputs.value_bytes = sizeof(earlier);
  *resume = made;
  return SHEAF_OK;
}

void sheaf_resume_free(sheaf_resume *resume) {
  if (!resume) return;
  const sheaf_allocator allocator = resume->allocator;
  sheaf_buf_deinit(&resume->id);
  table_deinit(&resume->inputs, &allocator);
  table_deinit(&resume->outputs, &allocator);
  sheaf__free(&allocator, resume, RESUME_BYTES);
}

/* ---- Earlier lines ---- */

/* The first half of a fingerprint; 0 is kept for "none". */
static uint64_t mark_of(const uint8_t fingerprint[16]) {
  uint64_t mark = 0;
  for (unsigned i = 0; i < 8; i++) mark |= (uint64_t)fingerprint[i] << (8 * i);
  return mark ? mark : 1;
}

/* An id as it is told by the engine: most have no escapes and are used where they lie. */
static int32_t plain_id(sheaf_resume *resume, sheaf_slice inside, sheaf_slice *id) {
  *id = inside;
  if (inside.bytes == 0 || !memchr(inside.data, '\\', inside.bytes)) return SHEAF_OK;
  sheaf_buf_reset(&resume->id);
  const int32_t status = sheaf_buf_append_unescaped(&resume->id, inside);
  *id = sheaf_buf_slice(&resume->id);
  return status;
}

int32_t sheaf_resume_add_line(sheaf_resume *resume, sheaf_slice line, uint64_t offset) {
  sheaf_line_facts facts;
  sheaf_slice id;
  int32_t status = sheaf_line_facts_read(line, &facts);
  if (status == SHEAF_OK) status = plain_id(resume, facts.custom_id, &id);
  if (status != SHEAF_OK) return status;

  const uint64_t hash = hash_of(id);
  const earlier told = {offset << 1 | facts.ok, facts.has_sheaf ? mark_of(facts.fingerprint) : 0};
  earlier known;
  void *value = table_find(&resume->outputs, hash);
  if (value) {
    /* Success beats failure, then the first wins. */
    memcpy(&known, value, sizeof known);
    if (facts.ok && !(known.offset_ok & 1)) memcpy(value, &told, sizeof told);
  } else {
    value = table_add(&resume->outputs, hash, &resume->allocator);
    if (!value) return SHEAF_E_NOMEM;
    memcpy(value, &told, sizeof told);
  }
  resume->lines++;
  return SHEAF_OK;
}

/* ---- Asking ---- */

int32_t sheaf_resume_find(const sheaf_resume *resume, sheaf_slice custom_id,
                          const uint8_t fingerprint[16], bool retry_failed, uint64_t *offset) {
  const void *value = table_find(&resume->outputs, hash_of(custom_id));
  if (!value) return SHEAF_OK;
  earlier known;
  memcpy(&known, value, sizeof known);
  if (known.mark != mark_of(fingerprint)) return SHEAF_E_OTHER_RUN;
  if (!(known.offset_ok & 1) && retry_failed) return SHEAF_OK;
  *offset = known.offset_ok >> 1;
  resume->counts->matched++;
  return SHEAF_E_END;
}

uint64_t sheaf_resume_lines(const sheaf_resume *resume) {
  return resume->lines;
}

uint64_t sheaf_resume_matched(const sheaf_resume *resume) {
  return resume->counts->matched;
}

/* ---- Input ids ---- */

int32_t sheaf_resume_note_id(sheaf_resume *resume, sheaf_slice custom_id, uint32_t place,
                             uint32_t *earlier_place) {
  const uint64_t hash = hash_of(custom_id);
  void *value = table_find(&resume->inputs, hash);
  if (value) {
    memcpy(earlier_place, value, sizeof *earlier_place);
    return SHEAF_E_DUPLICATE;
  }
  value = table_add(&resume->inputs, hash, &resume->allocator);
  if (!value) return SHEAF_E_NOMEM;
  memcpy(value, &place, sizeof place);
  return SHEAF_OK;
}
