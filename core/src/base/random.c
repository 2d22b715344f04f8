/* random.c: keyed draws and a hash for tables. All integers, equal on every platform. */
#include "base/random.h"

#include "base/swar.h"

/* The finaliser of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014;
 * constants of Stafford's variant 13). A bijection, and 0 stays 0. */
uint64_t sheaf__mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/* The high half of a 128-bit product, from four products of halves: C11 has no 128-bit type. */
static uint64_t product_high(uint64_t a, uint64_t b) {
  uint64_t a_low = a & UINT32_MAX, a_high = a >> 32;
  uint64_t b_low = b & UINT32_MAX, b_high = b >> 32;
  uint64_t middle = a_high * b_low + ((a_low * b_low) >> 32);
  uint64_t cross = a_low * b_high + (middle & UINT32_MAX);
  return a_high * b_high + (middle >> 32) + (cross >> 32);
}

uint64_t sheaf__draw(uint64_t seed, uint64_t n, uint64_t purpose, uint64_t index,
                     uint64_t attempt) {
  uint64_t bits = sheaf__mix64(sheaf__mix64(sheaf__mix64(seed ^ purpose) ^ index) ^ attempt);
  if (n == UINT64_MAX) return bits; /* n + 1 would be 2^64, whose product's high half is the draw */
  return product_high(bits, n + 1);
}

/* Eight bytes a round: xor, an odd factor (2^64 / golden ratio), fold the high half down. Each round is a
 * bijection of the state, and the length enters first, so a zero-padded tail cannot be mistaken. */
uint64_t sheaf__hash(const void *data, size_t bytes, uint64_t seed) {
  const char *p = data;
  uint64_t state = sheaf__mix64(seed ^ 0x9e3779b97f4a7c15ull) + (uint64_t)bytes;
  for (; bytes >= 8; p += 8, bytes -= 8) {
    state = (state ^ sheaf__load8(p)) * 0x9e3779b97f4a7c15ull;
    state ^= state >> 32;
  }
  if (bytes > 0) state = (state ^ sheaf__load_few(p, bytes)) * 0x9e3779b97f4a7c15ull;
  return sheaf__mix64(state);
}
