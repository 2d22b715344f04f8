/* sim_draw.c: everything that looks random: numbers, lognormal ones, words. All of it follows from
 * keys. */
#include "sim_int.h"

#include <math.h>
#include <string.h>

/* The splitmix64 finaliser (Steele, Lea, Flood 2014; constants by D. Stafford, "mix 13"). */
static uint64_t finalise(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

uint64_t sheaf__sim_mix(uint64_t a, uint64_t b) {
  return finalise(finalise(a + 0x9e3779b97f4a7c15ull) ^ (b * 0x9e3779b97f4a7c15ull));
}

/* Eight bytes at a time, little-endian on every machine, so that a seed means the same
 * everywhere. */
static uint64_t load64(const unsigned char *p) {
  uint64_t word = 0;
  for (unsigned i = 0; i < 8; i++) word |= (uint64_t)p[i] << (8 * i);
  return word;
}

uint64_t sheaf__sim_hash(const void *data, size_t bytes, uint64_t seed) {
  const unsigned char *p = data;
  uint64_t hash = seed ^ (bytes * 0x9e3779b97f4a7c15ull);
  for (; bytes >= 8; p += 8, bytes -= 8) {
    hash = (hash ^ load64(p)) * 0xff51afd7ed558ccdull;
    hash ^= hash >> 32;
  }
  unsigned char rest[8] = {0};
  if (bytes) memcpy(rest, p, bytes);
  return finalise(hash ^ load64(rest));
}

uint64_t sheaf__sim_draw(uint64_t key, uint64_t purpose, uint64_t n) {
  /* The bias of a remainder is below 2^-40 for the n in use. */
  return n ? sheaf__sim_mix(key, purpose) % n : 0;
}

/* (0, 1], 53 bits. */
static double unit(uint64_t key, uint64_t purpose) {
  return ((double)(sheaf__sim_mix(key, purpose) >> 11) + 1.0) * 0x1p-53;
}

/* Box and Muller 1958. The tail is cut at a million medians. */
uint64_t sheaf__sim_lognormal(uint64_t key, uint64_t purpose, uint64_t median,
                              uint32_t sigma_milli) {
  const double pi = 3.14159265358979323846;
  double normal = sqrt(-2.0 * log(unit(key, purpose))) * cos(2.0 * pi * unit(key, purpose + 1));
  double factor = exp((double)sigma_milli / 1000.0 * normal);
  if (factor > 1e6) factor = 1e6;
  double value = (double)median * factor;
  return value < 1e18 ? (uint64_t)value : 1000000000000000000u;
}

static const char *const words_known[] = {"lorem",      "ipsum",    "dolor",
                                          "sit",        "amet",     "consectetur",
                                          "adipiscing", "elit",     "sed",
                                          "do",         "eiusmod",  "tempor",
                                          "incididunt", "ut",       "labore",
                                          "et",         "dolore",   "magna",
                                          "aliqua",     "enim",     "ad",
                                          "minim",      "veniam",   "quis",
                                          "nostrud",    "ullamco",  "exercitation",
                                          "laboris",    "nisi",     "aliquip",
                                          "ex",         "ea",       "commodo",
                                          "consequat",  "duis",     "aute",
                                          "irure",      "in",       "reprehenderit",
                                          "voluptate",  "velit",    "esse",
                                          "cillum",     "eu",       "fugiat",
                                          "nulla",      "pariatur", "excepteur",
                                          "sint",       "occaecat", "cupidatat",
                                          "non",        "proident", "sunt",
                                          "culpa",      "qui",      "officia",
                                          "deserunt",   "mollit",   "anim",
                                          "id",         "est",      "laborum"};

void sheaf__sim_lorem(uint64_t key, uint64_t words, sheaf_buf *out) {
  const uint64_t known = sizeof words_known / sizeof *words_known;
  for (uint64_t i = 0; i < words; i++) {
    if (i) sheaf_buf_append(out, " ", 1);
    sheaf_buf_append_text(out, words_known[sheaf__sim_draw(key, SIM_DRAW_TEXT + i, known)]);
  }
}
