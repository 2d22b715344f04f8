/* sim_options.c: options by name, and whether they make sense. Numbers are decimal text, read into
 * scaled integers. */
#include "sim_int.h"

#include <stdio.h>
#include <string.h>

const char *sheaf_sim_fault_name(uint32_t fault) {
  static const char *const names[] = {
#define FAULT_NAME(name, number, text) [number] = (text),
      SHEAF_SIM_FAULT_MAP(FAULT_NAME)
#undef FAULT_NAME
  };
  return fault < SHEAF_SIM_FAULT_COUNT ? names[fault] : NULL;
}

/* Reads a decimal at *at as an integer of 10^-digits and moves past it. */
static bool read_decimal(const char **at, unsigned digits, uint64_t max, uint64_t *number) {
  const char *p = *at;
  uint64_t value = 0;
  bool is_fraction = false;
  if (*p < '0' || *p > '9') return false;
  for (; (*p >= '0' && *p <= '9') || (*p == '.' && !is_fraction); p++) {
    if (*p == '.') {
      is_fraction = true;
      continue;
    }
    if (is_fraction && digits == 0) continue; /* finer than the unit */
    if (is_fraction) digits--;
    if (__builtin_mul_overflow(value, 10u, &value)) return false;
    if (__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) return false;
  }
  for (; digits; digits--)
    if (__builtin_mul_overflow(value, 10u, &value)) return false;
  if (value > max) return false;
  *at = p;
  *number = value;
  return true;
}

static bool read_whole(const char *value, uint64_t max, uint64_t *number) {
  return !strchr(value, '.') && read_decimal(&value, 0, max, number) && *value == 0;
}

/* "fixed:20", "uniform:50:150", "lognormal:80:0.8", or a bare number for fixed. */
static bool set_latency(sheaf_sim_options *options, const char *value) {
  uint64_t first = 0, second = 0;
  uint32_t kind = SHEAF_SIM_LATENCY_FIXED;
  if (strncmp(value, "fixed:", 6) == 0)
    value += 6;
  else if (strncmp(value, "uniform:", 8) == 0)
    value += 8, kind = SHEAF_SIM_LATENCY_UNIFORM;
  else if (strncmp(value, "lognormal:", 10) == 0)
    value += 10, kind = SHEAF_SIM_LATENCY_LOGNORMAL;
  if (!read_decimal(&value, 0, 86400000, &first)) return false;
  if (kind != SHEAF_SIM_LATENCY_FIXED) {
    if (*value++ != ':') return false;
    bool is_sigma = kind == SHEAF_SIM_LATENCY_LOGNORMAL;
    if (!read_decimal(&value, is_sigma ? 3 : 0, is_sigma ? 5000 : 86400000, &second)) return false;
    if (!is_sigma && second < first) return false;
  }
  if (*value) return false;
  options->latency_kind = kind;
  options->latency_ms = (uint32_t)first;
  if (kind == SHEAF_SIM_LATENCY_UNIFORM) options->latency_high_ms = (uint32_t)second;
  if (kind == SHEAF_SIM_LATENCY_LOGNORMAL) options->latency_sigma_milli = (uint32_t)second;
  return true;
}

/* "429:0.05", "429:5%", several with commas; of one kind the last counts. */
static bool set_fault(sheaf_sim_options *options, const char *value) {
  while (*value) {
    size_t bytes = strcspn(value, ":");
    uint32_t fault = 0;
    const char *name = sheaf_sim_fault_name(fault);
    while (name && (strlen(name) != bytes || memcmp(name, value, bytes) != 0))
      name = sheaf_sim_fault_name(++fault);
    if (!name || value[bytes] != ':') return false;
    value += bytes + 1;
    uint64_t ppm;
    const char *percent = value;
    if (read_decimal(&percent, 4, 1000000, &ppm) && *percent == '%')
      value = percent + 1;
    else if (!read_decimal(&value, 6, 1000000, &ppm))
      return false;
    options->fault_ppm[fault] = (uint32_t)ppm;
    if (*value && *value++ != ',') return false;
  }
  return true;
}

/* "echo", "lorem", "lorem:60", "lorem:60:0.8". */
static bool set_answer(sheaf_sim_options *options, const char *value) {
  uint64_t words = options->answer_words, sigma = options->answer_sigma_milli;
  if (strcmp(value, "echo") == 0) {
    options->answer_kind = SHEAF_SIM_ANSWER_ECHO;
    return true;
  }
  if (strncmp(value, "lorem", 5) != 0) return false;
  value += 5;
  if (*value == ':' && (value++, !read_decimal(&value, 0, SIM_WORDS_MAX, &words))) return false;
  if (*value == ':' && (value++, !read_decimal(&value, 3, 5000, &sigma))) return false;
  if (*value || words == 0) return false;
  options->answer_kind = SHEAF_SIM_ANSWER_LOREM;
  options->answer_words = (uint32_t)words;
  options->answer_sigma_milli = (uint32_t)sigma;
  return true;
}

static bool set_time_scale(sheaf_sim_options *options, const char *value) {
  uint64_t scale;
  if (!read_decimal(&value, 3, 1000000, &scale) || *value) return false;
  options->time_scale_milli = (uint32_t)scale;
  return true;
}

static bool set_host(sheaf_sim_options *options, const char *value) {
  options->host = value;
  return *value != 0;
}

static bool set_key(sheaf_sim_options *options, const char *value) {
  options->key = value;
  return *value != 0;
}

static bool set_u32(uint32_t *field, const char *value, uint64_t max) {
  uint64_t number;
  if (!read_whole(value, max, &number)) return false;
  *field = (uint32_t)number;
  return true;
}

#define WHOLE(field, type, max)                                            \
  static bool set_##field(sheaf_sim_options *options, const char *value) { \
    uint64_t number;                                                       \
    if (!read_whole(value, (max), &number)) return false;                  \
    options->field = (type)number;                                         \
    return true;                                                           \
  }
WHOLE(seed, uint64_t, UINT64_MAX)
WHOLE(rpm, uint64_t, 1000000000000u)
WHOLE(tpm, uint64_t, 1000000000000u)
#undef WHOLE

static bool set_port(sheaf_sim_options *options, const char *value) {
  return set_u32(&options->port, value, 65535);
}
static bool set_itl(sheaf_sim_options *options, const char *value) {
  return set_u32(&options->itl_ms, value, 3600000);
}
static bool set_concurrency(sheaf_sim_options *options, const char *value) {
  return set_u32(&options->concurrency_max, value, UINT32_MAX);
}
static bool set_retry_after(sheaf_sim_options *options, const char *value) {
  return set_u32(&options->retry_after_ms, value, 86400000);
}
static bool set_dimensions(sheaf_sim_options *options, const char *value) {
  return set_u32(&options->dimensions, value, SIM_DIMENSIONS_MAX) && options->dimensions > 0;
}

typedef struct option {
  const char *name;
  const char *value;
  const char *about;
  bool (*set)(sheaf_sim_options *options, const char *value);
} option;

static const option known[] = {
    {"port", "N", "port to listen on; 0: any free one", set_port},
    {"host", "ADDRESS", "numeric address to listen on; 127.0.0.1 unless told otherwise", set_host},
    {"key", "KEY", "accept this key only; otherwise all are accepted", set_key},
    {"seed", "N", "what all draws follow from", set_seed},
    {"latency", "fixed:MS | uniform:MS:MS | lognormal:MEDIAN_MS:SIGMA", "time to the first token",
     set_latency},
    {"itl", "MS", "time between tokens", set_itl},
    {"time-scale", "X", "all delays times X; 0.1 is ten times faster", set_time_scale},
    {"rpm", "N", "requests a minute and key; 0: no limit", set_rpm},
    {"tpm", "N", "tokens a minute and key; 0: no limit", set_tpm},
    {"concurrency", "N", "requests under way at once; 0: no limit", set_concurrency},
    {"retry-after", "MS", "the hint that a drawn 429 carries; 0: none", set_retry_after},
    {"fault", "KIND:SHARE[,KIND:SHARE...]",
     "429, 500, 529, reset, stall, truncate, quota or cut; 0.05 or 5%",
     set_fault},
    {"answer", "echo | lorem[:WORDS[:SIGMA]]", "echo the last user text, or words", set_answer},
    {"dimensions", "N", "of embeddings, 1 to 4096", set_dimensions},
};
#define KNOWN_COUNT (sizeof known / sizeof *known)

bool sheaf_sim_option_at(uint32_t n, const char **name, const char **value, const char **about) {
  if (n >= KNOWN_COUNT) return false;
  *name = known[n].name;
  *value = known[n].value;
  *about = known[n].about;
  return true;
}

static int32_t check_faults(const sheaf_sim_options *options) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < SHEAF_SIM_FAULT_ROOM; i++) sum += options->fault_ppm[i];
  return sum > 1000000 ? SHEAF_E_RANGE : SHEAF_OK;
}

static int32_t complain(char *message, size_t bytes, int32_t status, const char *name,
                        const char *what, const char *form) {
  if (message && bytes) snprintf(message, bytes, "%s: %s%s", name, what, form);
  return status;
}

/* time-scale on a command line, time_scale in a config file. */
static bool is_named(const char *known_name, const char *name) {
  for (; *known_name && *name; known_name++, name++)
    if (*known_name != (*name == '_' ? '-' : *name)) return false;
  return *known_name == *name;
}

int32_t sheaf_sim_option_set(sheaf_sim_options *options, const char *name, const char *value,
                             char *message, size_t bytes) {
  if (!options || !name || !value) return SHEAF_E_MISUSE;
  for (size_t i = 0; i < KNOWN_COUNT; i++) {
    if (!is_named(known[i].name, name)) continue;
    sheaf_sim_options changed = *options;
    if (!known[i].set(&changed, value))
      return complain(message, bytes, SHEAF_E_FIELD, name, "give it as ", known[i].value);
    if (check_faults(&changed) != SHEAF_OK)
      return complain(message, bytes, SHEAF_E_RANGE, name, "the shares of all kinds exceed 1", "");
    *options = changed;
    return SHEAF_OK;
  }
  return complain(message, bytes, SHEAF_E_NOT_FOUND, name, "the simulator has no such option", "");
}
