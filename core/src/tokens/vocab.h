/* vocab.h: a vocabulary in memory, and the file it comes from.
 *
 * Tokens have numbers of their own inside: 0..255 are the single bytes, then come the tokens that
 * merges make, in the order in which merges are preferred, then those that no merge makes. So a
 * smaller number is always an earlier merge, and a single byte needs no table. As a rule the parts of
 * a token have smaller numbers than itself; where not, it is called late, and so is every token made
 * of a late one.
 *
 * The file (all little-endian):
 *
 *   0   magic "SHEAFVOC"
 *   8   u32 version, 1
 *   12  u32 CRC-32C of all that follows
 *   16  u32 bytes of the file        u32 flags          u32 pattern       u32 merges
 *   32  u32 literals                 u32 specials       u32 id runs       u32 bytes of the name
 *   48  u32 four times 0
 *   64  u32[256] ids of the single bytes
 *       id runs: u32 number, u32 id: from this number on ids go up by one with the numbers
 *       merges: the left parts' numbers and then the right parts', each as a plane of low bytes,
 *       one of middle bytes and one of high bytes, which compress better apart
 *       literals: u16 bytes, and the bytes
 *       specials in order of ids: u32 id, u16 bytes, and the bytes
 *       the name */
#ifndef SHEAF_VOCAB_H
#define SHEAF_VOCAB_H

#include <sheaf/tokens.h>

#include "base/mem.h"
#include "base/swar.h"
#include "tokens/lines.h"
#include "tokens/pattern.h"

#define SHEAF__VOCAB_MAGIC "SHEAFVOC"
#define SHEAF__VOCAB_VERSION 1u
#define SHEAF__VOCAB_HEAD_BYTES 64u

enum {
  SHEAF__VOCAB_WHOLE = 2, /* a piece that is a token is that token, merges or not */
  SHEAF__VOCAB_NFC = 4,   /* text is brought to Unicode normalization form C first */
  SHEAF__VOCAB_LATE = 8,  /* there are late tokens */
  SHEAF__VOCAB_FLAGS = 14
};

/* Tokens are found by their bytes, in one of three tables, and merges by their halves in a fourth.
 * Each is made of lines, which are lines of the processor's caches or halves of such. An entry takes
 * the next place in its line, and where all are taken one in the line behind, which `used` tells
 * then. A line is looked at as a whole: so filling a table, and looking something up, need no branch
 * that a processor foresees badly, as the steps from slot to slot of an open table are. */
enum { SHEAF__SHORT_LINE = 5, SHEAF__MIDDLE_LINE = 3, SHEAF__LONG_LINE = 7, SHEAF__PAIR_LINE = 7 };
typedef struct sheaf__short_line { /* 2 to 7 bytes; their number in the highest byte */
  uint64_t keys[SHEAF__SHORT_LINE];
  uint32_t tokens[SHEAF__SHORT_LINE];
  uint32_t used; /* SHEAF__SHORT_LINE + 1: all, and there are more behind */
} sheaf__short_line;
typedef struct sheaf__middle_line { /* 8 to 15 bytes; their number in the highest byte of high */
  uint64_t low[SHEAF__MIDDLE_LINE];
  uint64_t high[SHEAF__MIDDLE_LINE];
  uint32_t tokens[SHEAF__MIDDLE_LINE];
  uint32_t used;
} sheaf__middle_line;
typedef struct sheaf__long_line { /* more: half a hash of them, and they are compared */
  uint32_t tags[SHEAF__LONG_LINE];
  uint32_t used;
  uint32_t tokens[SHEAF__LONG_LINE + 1];
} sheaf__long_line;
typedef struct sheaf__pair_line {
  uint32_t slots[SHEAF__PAIR_LINE]; /* number, and a tag in the highest byte */
  uint32_t used;
} sheaf__pair_line;

typedef struct sheaf__halves {
  uint32_t left;
  uint32_t right;
} sheaf__halves;

typedef struct sheaf__special {
  uint32_t id;
  uint32_t offset; /* in special_text */
  uint32_t bytes;
} sheaf__special;

/* Hints about the tokens made by merges that begin with the bytes at a place, by the first 2, 4, 8,
 * 16, 32, ... of these bytes. A bit too many costs a look-up, never a wrong answer. */
enum {
  SHEAF__HINT4_BITS = 18,
  SHEAF__HINT8_BITS = 17,
  SHEAF__HINT16_BITS = 12,
  SHEAF__HINT16_LEVELS = 12, /* 16 << 11 is half of the longest token there may be */
  SHEAF__HINT2_LONGER = 4,
  SHEAF__HINT4_LONGER = 16,
  SHEAF__HINT8_LONGER = 256,
  SHEAF__HINT16_LONGER = 1 << 16
};

struct sheaf_vocab {
  sheaf_allocator allocator;
  const sheaf__pattern *pattern;
  uint32_t pattern_number;
  uint32_t flags;
  uint32_t merge_end; /* numbers below are bytes and merges */
  uint32_t token_end; /* numbers below are tokens */
  uint32_t id_end;    /* one more than the highest id */
  uint32_t token_bytes_max;
  size_t memory_bytes;
  void *block; /* what the tables lie in, lines at multiples of 64 bytes */
  size_t block_bytes;

  uint8_t *text;     /* all tokens' bytes, one after another, 64 more behind */
  uint32_t *offsets; /* token_end + 1 */
  uint32_t *ids;     /* by number; NULL where numbers from 256 on are ids */
  uint32_t byte_ids[256];
  uint32_t *numbers;          /* by id, id_end long; NULL like ids */
  uint32_t byte_numbers[256]; /* where ids below 256 are single bytes and ids is NULL */

  sheaf__short_line *shorts;
  sheaf__middle_line *middles;
  sheaf__long_line *longs;
  sheaf__pair_line *pairs;
  uint32_t short_count; /* lines */
  uint32_t middle_count;
  uint32_t long_count;
  uint32_t pair_count;

  sheaf__halves *halves; /* by number, below merge_end */
  uint8_t *late;         /* by number, below merge_end: whether it is late; NULL: none is */

  uint8_t *hint2;  /* by the first two bytes: 1: one of 2 bytes, 2: of 3, 4: a longer one */
  uint8_t *hint4;  /* by a hash of the first four: 1 << n: one of 4 + n bytes, 16: a longer one */
  uint16_t *hint8; /* 1 << n: one of 8 + n bytes, 256: a longer one */
  uint32_t
      *hint16; /* level after level, of the first d = 16 << level: 1 << n: one of d + n * d / 16
                       bytes or a little more, 1 << 16: one of 2 d or more */
  uint32_t hint16_levels;

  sheaf__special *specials; /* in order of ids */
  uint32_t *special_order;  /* their indexes in order of texts */
  uint32_t special_count;
  uint32_t special_first[257]; /* by first byte: where its texts begin in special_order */
  int32_t special_byte;        /* the first byte of all specials, or -1: they differ */
  uint8_t *special_text;
  size_t special_text_bytes;
  char name[SHEAF_VOCAB_NAME_BYTES_MAX + 1];
};

static inline uint32_t sheaf__token_bytes(const sheaf_vocab *vocab, uint32_t token) {
  return vocab->offsets[token + 1] - vocab->offsets[token];
}

static inline uint32_t sheaf__token_id(const sheaf_vocab *vocab, uint32_t token) {
  if (token < 256) return vocab->byte_ids[token];
  return vocab->ids ? vocab->ids[token] : token;
}

/* The memory of tables, counted; NULL on refusal. */
void *sheaf__vocab_table(sheaf_vocab *vocab, uint64_t bytes);

/* ---- special tokens (specials.c) ---- */

/* Reads so many of them from p on; behind is set to what follows. SHEAF_E_CORRUPT,
 * SHEAF_E_NOMEM. */
int32_t sheaf__specials_read(sheaf_vocab *vocab, const uint8_t *p, const uint8_t *end,
                             uint32_t count, const uint8_t **behind);
void sheaf__specials_free(sheaf_vocab *vocab);

/* What a policy says of the specials: see sheaf_special_policy. */
typedef struct sheaf__special_rule {
  uint32_t others;
  const uint32_t *allowed;
  size_t allowed_count;
} sheaf__special_rule;
/* SHEAF_OK, SHEAF_E_MISUSE. */
int32_t sheaf__special_rule_of(const sheaf_special_policy *policy, sheaf__special_rule *rule);

typedef struct sheaf__special_hit {
  size_t offset; /* where it begins, or the end of the text if there is none */
  size_t bytes;  /* 0: none */
  uint32_t id;
  bool refused;
  size_t open; /* from here on a special may begin that the text is too short to show */
} sheaf__special_hit;
/* The first special at or behind offset that is not just text. */
sheaf__special_hit sheaf__special_next(const sheaf_vocab *vocab, const sheaf__special_rule *rule,
                                       const uint8_t *text, size_t bytes, size_t offset);

/* ---- keys and hashes ---- */

static inline uint64_t sheaf__load(const uint8_t *p) {
  return sheaf__load8((const char *)p);
}

/* The first bytes (at most 8) of p, of which so many may be read; the rest is zero. */
static inline uint64_t sheaf__load_upto(const uint8_t *p, size_t bytes, size_t readable) {
  if (readable < 8) return sheaf__load_few((const char *)p, bytes);
  return bytes ? sheaf__load(p) & UINT64_MAX >> (64 - 8 * bytes) : 0;
}

#define SHEAF__HASH_FACTOR 0x9E3779B97F4A7C15ull /* 2^64 / golden ratio: Knuth, TAOCP 3, 6.4 */

static inline uint64_t sheaf__short_key(uint64_t word, size_t bytes) {
  return word | (uint64_t)bytes << 56;
}

/* Of 8 bytes and more. */
static inline uint64_t sheaf__long_hash(const uint8_t *p, size_t bytes) {
  uint64_t hash = bytes * SHEAF__HASH_FACTOR;
  for (size_t at = 0; at + 8 < bytes; at += 8) {
    hash = (hash ^ sheaf__load(p + at)) * SHEAF__HASH_FACTOR;
    hash ^= hash >> 29;
  }
  hash = (hash ^ sheaf__load(p + bytes - 8)) * SHEAF__HASH_FACTOR;
  return hash ^ hash >> 32;
}

/* Where among so many slots a hash belongs. */
static inline uint32_t sheaf__place_of(uint64_t hash, uint32_t count) {
  return (uint32_t)((hash >> 32) * count >> 32);
}

static inline uint32_t sheaf__short_place(const sheaf_vocab *vocab, uint64_t key) {
  return sheaf__place_of(key * SHEAF__HASH_FACTOR, vocab->short_count);
}

static inline uint64_t sheaf__middle_hash(uint64_t low, uint64_t high) {
  uint64_t hash = (low ^ (high << 23 | high >> 41)) * SHEAF__HASH_FACTOR;
  return (hash ^ hash >> 32) * SHEAF__HASH_FACTOR;
}

static inline uint32_t sheaf__middle_place(const sheaf_vocab *vocab, uint64_t low, uint64_t high) {
  return sheaf__place_of(sheaf__middle_hash(low, high), vocab->middle_count);
}

/* Never 0, which is no entry's. */
static inline uint32_t sheaf__long_tag(uint64_t hash) {
  return (uint32_t)hash | 1;
}

static inline uint32_t sheaf__long_place(const sheaf_vocab *vocab, uint64_t hash) {
  return sheaf__place_of(hash, vocab->long_count);
}

static inline uint64_t sheaf__pair_hash(uint32_t left, uint32_t right) {
  return ((uint64_t)left << 32 | right) * SHEAF__HASH_FACTOR;
}

static inline uint32_t sheaf__pair_place(const sheaf_vocab *vocab, uint64_t hash) {
  return sheaf__place_of(hash, vocab->pair_count);
}

/* The highest byte of a slot; never 0, which is no entry's. */
static inline uint32_t sheaf__pair_tag(uint64_t hash) {
  return ((uint32_t)hash | 1u << 31) >> 24 << 24;
}

static inline uint32_t sheaf__hint4_at(uint32_t first_four) {
  return first_four * 0x9E3779B1u >> (32 - SHEAF__HINT4_BITS);
}

static inline uint32_t sheaf__hint8_at(uint64_t first_eight) {
  return (uint32_t)(first_eight * SHEAF__HASH_FACTOR >> (64 - SHEAF__HINT8_BITS));
}

static inline uint32_t sheaf__hint16_at(uint32_t level, uint64_t hash) {
  return (level << SHEAF__HINT16_BITS) + (uint32_t)(hash >> (64 - SHEAF__HINT16_BITS));
}

/* ---- look-ups ---- */

static inline uint32_t sheaf__line_behind(uint32_t at, uint32_t count) {
  return at + 1 == count ? 0 : at + 1;
}

/* Of 2 to 7 bytes. */
static inline uint32_t sheaf__short_find(const sheaf_vocab *vocab, uint64_t key) {
  for (uint32_t at = sheaf__short_place(vocab, key);;
       at = sheaf__line_behind(at, vocab->short_count)) {
    const sheaf__short_line *line = &vocab->shorts[at];
    uint32_t token = sheaf__pick_5(line->keys, line->tokens, key);
    if (token != SHEAF__NO_TOKEN || line->used <= SHEAF__SHORT_LINE) return token;
  }
}

/* Of 8 to 15 bytes; high with their number. */
static inline uint32_t sheaf__middle_find(const sheaf_vocab *vocab, uint64_t low, uint64_t high) {
  for (uint32_t at = sheaf__middle_place(vocab, low, high);;
       at = sheaf__line_behind(at, vocab->middle_count)) {
    const sheaf__middle_line *line = &vocab->middles[at];
    uint32_t token = sheaf__pick_3(line->low, line->high, line->tokens, low, high);
    if (token != SHEAF__NO_TOKEN || line->used <= SHEAF__MIDDLE_LINE) return token;
  }
}

/* Of 16 bytes and more. */
uint32_t sheaf__long_find(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes);

/* The number of the token with exactly these bytes, or SHEAF__NO_TOKEN. bytes is at least 1;
 * readable is how many bytes may be read at p, at least as many. */
static inline uint32_t sheaf__token_find(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes,
                                         size_t readable) {
  if (bytes > 15)
    return bytes > vocab->token_bytes_max ? SHEAF__NO_TOKEN : sheaf__long_find(vocab, p, bytes);
  if (bytes > 7) {
    uint64_t high = sheaf__load_upto(p + 8, bytes - 8, readable - 8);
    return sheaf__middle_find(vocab, sheaf__load(p), sheaf__short_key(high, bytes));
  }
  if (bytes == 1) return p[0];
  return sheaf__short_find(vocab, sheaf__short_key(sheaf__load_upto(p, bytes, readable), bytes));
}

/* The longest token made by merges that p begins with, of at most so many bytes (at least 1). */
uint32_t sheaf__token_longest(const sheaf_vocab *vocab, const uint8_t *p, size_t bytes_max,
                              size_t readable);

/* The token that merging left and right makes, or SHEAF__NO_TOKEN. */
static inline uint32_t sheaf__pair_find(const sheaf_vocab *vocab, uint32_t left, uint32_t right) {
  uint64_t hash = sheaf__pair_hash(left, right);
  uint32_t tag = sheaf__pair_tag(hash);
  for (uint32_t at = sheaf__pair_place(vocab, hash);;
       at = sheaf__line_behind(at, vocab->pair_count)) {
    const sheaf__pair_line *line = &vocab->pairs[at];
    uint32_t like = sheaf__words_like(line->slots, 0xFF000000, tag);
    for (; like; like &= like - 1) {
      uint32_t token = line->slots[__builtin_ctz(like)] & 0xFFFFFF;
      const sheaf__halves *halves = &vocab->halves[token];
      if (halves->left == left && halves->right == right) return token;
    }
    if (line->used <= SHEAF__PAIR_LINE) return SHEAF__NO_TOKEN;
  }
}

#endif
