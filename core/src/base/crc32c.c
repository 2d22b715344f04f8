/* crc32c.c: CRC-32C by eight tables, eight bytes a turn, and no table is made at run time. Much is taken
 * in four runs at once, since a turn waits for the one before.
 *
 * Polynomial 0x1EDC6F41, reflected 0x82F63B78 (RFC 3720, 12.1). Table t at index i is the checksum register after
 * byte i and t zero bytes. A checksum is linear over xor, so the eight entries of the powers of two make a whole
 * table: the compiler folds the rest. The test compares with a bit-by-bit computation. */
#include "base/crc32c.h"

#define ENTRY(i, a, b, c, d, e, f, g, h)                                               \
  (((i)&1 ? (a) : 0u) ^ ((i)&2 ? (b) : 0u) ^ ((i)&4 ? (c) : 0u) ^ ((i)&8 ? (d) : 0u) ^ \
   ((i)&16 ? (e) : 0u) ^ ((i)&32 ? (f) : 0u) ^ ((i)&64 ? (g) : 0u) ^ ((i)&128 ? (h) : 0u))
#define ENTRIES_4(i, ...)                                                            \
  ENTRY((i), __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__), \
      ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES_16(i, ...)                                                                       \
  ENTRIES_4((i), __VA_ARGS__), ENTRIES_4((i) + 4, __VA_ARGS__), ENTRIES_4((i) + 8, __VA_ARGS__), \
      ENTRIES_4((i) + 12, __VA_ARGS__)
#define ENTRIES_64(i, ...)                                         \
  ENTRIES_16((i), __VA_ARGS__), ENTRIES_16((i) + 16, __VA_ARGS__), \
      ENTRIES_16((i) + 32, __VA_ARGS__), ENTRIES_16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                         \
  {                                                                                        \
    ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__), \
        ENTRIES_64(192, __VA_ARGS__)                                                       \
  }

#ifdef SHEAF_SMALL /* Half a byte a turn by 64 bytes of table: where size counts for more than speed. */

/* The first table's entries of the bytes whose lower half is 0. */
static const uint32_t halves[16] = {
#define HALF(i) ENTRY((i) << 4, 0u, 0u, 0u, 0u, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78)
    HALF(0), HALF(1), HALF(2),  HALF(3),  HALF(4),  HALF(5),  HALF(6),  HALF(7),
    HALF(8), HALF(9), HALF(10), HALF(11), HALF(12), HALF(13), HALF(14), HALF(15),
};

uint32_t sheaf__crc32c(uint32_t crc, const void *data, size_t bytes) {
  const uint8_t *at = data;
  crc = ~crc;
  for (; bytes; bytes--, at++) {
    crc ^= *at;
    crc = crc >> 4 ^ halves[crc & 15];
    crc = crc >> 4 ^ halves[crc & 15];
  }
  return ~crc;
}

#else

static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
          0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
          0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
          0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
          0x52a0c93f),
    TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
          0x6ea2d55c),
    TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
          0x1c08b7d6),
    TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
          0xf56e0ef4),
    TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
          0x34019664),
};

uint32_t sheaf__crc32c(uint32_t crc, const void *data, size_t bytes) {
  const uint8_t *at = data;
  crc = ~crc;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    crc = tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^ tables[5][crc >> 16 & 255] ^
          tables[4][crc >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
          tables[0][at[7]];
  }
  for (; bytes; bytes--, at++) crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
  return ~crc;
}

#endif
