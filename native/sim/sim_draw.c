/* sim_draw.c: everything that looks random: faults, latencies, word counts, words, vectors. All of
 * it follows from keys. */
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

/* Eight bytes at a time, little-endian on every machine so that a seed means the same everywhere.
 * */
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

uint64_t sheaf__sim_latency_ns(const sheaf_sim_options *options, uint64_t key) {
  uint64_t low = options->latency_ms * SIM_MS, ns = low;
  if (options->latency_kind == SHEAF_SIM_LATENCY_UNIFORM) {
    uint64_t high = options->latency_high_ms * SIM_MS;
    if (high > low) ns = low + sheaf__sim_draw(key, SIM_DRAW_LATENCY, high - low + 1);
  } else if (options->latency_kind == SHEAF_SIM_LATENCY_LOGNORMAL) {
    ns = sheaf__sim_lognormal(key, SIM_DRAW_LATENCY, low, options->latency_sigma_milli);
  }
  return ns;
}

uint32_t sheaf__sim_fault(const sheaf_sim_options *options, uint64_t key) {
  uint64_t place = sheaf__sim_draw(key, SIM_DRAW_FAULT, 1000000);
  for (uint32_t fault = 0; fault < SHEAF_SIM_FAULT_COUNT; fault++) {
    if (place < options->fault_ppm[fault]) return fault;
    place -= options->fault_ppm[fault];
  }
  return SIM_NO_FAULT;
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

void sheaf__sim_vector(uint64_t seed, sheaf_slice text, uint64_t dimensions, sheaf_buf *out) {
  uint64_t key = sheaf__sim_hash(text.data, text.bytes, seed);
  sheaf_buf_append(out, "[", 1);
  for (uint64_t i = 0; i < dimensions; i++) {
    /* -0.999999 .. 0.999999 in six digits; the leading 1 of 1xxxxxx keeps the zeros and is
     * overwritten. */
    uint64_t place = sheaf__sim_draw(key, i, 1999999);
    bool is_negative = place < 999999;
    uint64_t size = is_negative ? 999999 - place : place - 999999;
    sheaf_buf_append_text(out, i ? is_negative ? ",-0" : ",0" : is_negative ? "-0" : "0");
    size_t dot = out->bytes;
    sheaf_buf_append_u64(out, 1000000 + size);
    if (out->status == SHEAF_OK) out->data[dot] = '.';
  }
  sheaf_buf_append(out, "]", 1);
}
