/* fingerprint.c: which request a row is: SHA-256 over provider, path and body, cut to 128 bits.
 *
 * Outline: the portable compression function (FIPS 180-4, 6.2.2), a small hasher that feeds whole blocks straight from
 * the caller's bytes, and the fingerprint. The message is, for each of provider, path and body in this order, the
 * length as u64 little-endian and then the bytes; so no two triples give one message. */
#include <sheaf/line.h>

#include "base/mem.h"

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* FIPS 180-4, 5.3.3. */
static const uint32_t initial_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline uint32_t rotate_right(uint32_t x, unsigned n) {
  return (x >> n) | (x << (32 - n));
}

static inline uint32_t read_big_endian(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One round; the caller renames the variables instead of moving them. Ch and Maj are in the forms with one
 * operation less. */
#define ROUND(a, b, c, d, e, f, g, h, k, w)                                                      \
  do {                                                                                           \
    const uint32_t t1 = (h) + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) + \
                        ((g) ^ ((e) & ((f) ^ (g)))) + (k) + (w);                                 \
    const uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +       \
                        (((a) & (b)) | ((c) & ((a) | (b))));                                     \
    (d) += t1;                                                                                   \
    (h) = t1 + t2;                                                                               \
  } while (0)

/* The message schedule in a ring of 16 words: word i, made in place of word i - 16. */
static inline uint32_t schedule(uint32_t w[16], unsigned i) {
  const uint32_t x = w[(i + 1) & 15];
  const uint32_t y = w[(i + 14) & 15];
  w[i & 15] += (rotate_right(x, 7) ^ rotate_right(x, 18) ^ (x >> 3)) + w[(i + 9) & 15] +
               (rotate_right(y, 17) ^ rotate_right(y, 19) ^ (y >> 10));
  return w[i & 15];
}

#ifdef SHEAF_SMALL /* A round at a time: a fifth of the code, seven tenths of the speed. */

void sheaf_sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count) {
  for (; count; count--, blocks += 64) {
    uint32_t w[16];
    for (unsigned i = 0; i < 16; i++) w[i] = read_big_endian(blocks + 4 * i);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned i = 0; i < 64; i++) {
      const uint32_t word = i < 16 ? w[i] : schedule(w, i);
      ROUND(a, b, c, d, e, f, g, h, round_constants[i], word);
      const uint32_t last = h;
      h = g, g = f, f = e, e = d, d = c, c = b, b = a, a = last;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

#else

#define EIGHT_ROUNDS(i, W)                                    \
  do {                                                        \
    ROUND(a, b, c, d, e, f, g, h, k[(i)], W(w, (i)));         \
    ROUND(h, a, b, c, d, e, f, g, k[(i) + 1], W(w, (i) + 1)); \
    ROUND(g, h, a, b, c, d, e, f, k[(i) + 2], W(w, (i) + 2)); \
    ROUND(f, g, h, a, b, c, d, e, k[(i) + 3], W(w, (i) + 3)); \
    ROUND(e, f, g, h, a, b, c, d, k[(i) + 4], W(w, (i) + 4)); \
    ROUND(d, e, f, g, h, a, b, c, k[(i) + 5], W(w, (i) + 5)); \
    ROUND(c, d, e, f, g, h, a, b, k[(i) + 6], W(w, (i) + 6)); \
    ROUND(b, c, d, e, f, g, h, a, k[(i) + 7], W(w, (i) + 7)); \
  } while (0)

#define FIRST_WORD(w, i) (w)[(i)]

void sheaf_sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count) {
  for (; count; count--, blocks += 64) {
    const uint32_t *k = round_constants;
    uint32_t w[16];
    for (unsigned i = 0; i < 16; i++) w[i] = read_big_endian(blocks + 4 * i);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    EIGHT_ROUNDS(0, FIRST_WORD);
    EIGHT_ROUNDS(8, FIRST_WORD);
    for (unsigned i = 16; i < 64; i += 16) {
      EIGHT_ROUNDS(i, schedule);
      EIGHT_ROUNDS(i + 8, schedule);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

#endif

/* A hash under way. Only bytes that do not fill a block yet are copied, at most 63 of each piece. */
typedef struct hasher {
  uint32_t state[8];
  uint64_t bytes;
  size_t used; /* of block */
  uint8_t block[64];
  sheaf_sha256_blocks_fn blocks;
} hasher;

static void hasher_feed(hasher *hash, const void *data, size_t bytes) {
  const uint8_t *at = data;
  hash->bytes += bytes;
  if (hash->used) {
    const size_t room = sizeof hash->block - hash->used;
    const size_t n = bytes < room ? bytes : room;
    if (n) memcpy(hash->block + hash->used, at, n);
    hash->used += n;
    if (hash->used < sizeof hash->block) return;
    hash->blocks(hash->state, hash->block, 1);
    hash->used = 0;
    at += n;
    bytes -= n;
  }
  const size_t whole = bytes / 64;
  if (whole) hash->blocks(hash->state, at, whole);
  hash->used = bytes % 64;
  if (hash->used) memcpy(hash->block, at + 64 * whole, hash->used);
}

/* Each piece is preceded by its length, so that bytes cannot wander from one piece into the next. */
static void hasher_feed_piece(hasher *hash, sheaf_slice piece) {
  uint8_t length[8];
  for (unsigned i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)piece.bytes >> (8 * i));
  hasher_feed(hash, length, sizeof length);
  if (piece.bytes) hasher_feed(hash, piece.data, piece.bytes);
}

/* Padding (FIPS 180-4, 5.1.1): the bit 1, zeros, the length in bits as u64 big-endian. */
static void hasher_finish(hasher *hash) {
  const uint64_t bits = hash->bytes * 8;
  hash->block[hash->used++] = 0x80;
  if (hash->used > 56) {
    memset(hash->block + hash->used, 0, sizeof hash->block - hash->used);
    hash->blocks(hash->state, hash->block, 1);
    hash->used = 0;
  }
  memset(hash->block + hash->used, 0, 56 - hash->used);
  for (unsigned i = 0; i < 8; i++) hash->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
  hash->blocks(hash->state, hash->block, 1);
}

void sheaf_fingerprint(sheaf_slice provider, sheaf_slice path, sheaf_slice body,
                       sheaf_sha256_blocks_fn blocks, uint8_t fingerprint[16]) {
  hasher hash;
  memcpy(hash.state, initial_state, sizeof hash.state);
  hash.bytes = 0;
  hash.used = 0;
  hash.blocks = blocks ? blocks : sheaf_sha256_blocks;
  hasher_feed_piece(&hash, provider);
  hasher_feed_piece(&hash, path);
  hasher_feed_piece(&hash, body);
  hasher_finish(&hash);
  for (unsigned i = 0; i < 16; i++)
    fingerprint[i] = (uint8_t)(hash.state[i / 4] >> (24 - 8 * (i % 4)));
}
