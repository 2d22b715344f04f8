/* sim_values.c: the values of options as they are written: decimals, times, answers, faults. Numbers
 * are decimal text, read into scaled integers. */
#include "sim_int.h"

#include <string.h>

#define DAY_MS 86400000u

/* Reads a decimal at *at as an integer of 10^-digits, rounded down, and moves past it. */
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

bool sheaf__sim_value_decimal(const char *value, unsigned digits, uint64_t *number) {
  uint64_t read;
  if (digits == 0 && strchr(value, '.')) return false;
  if (!read_decimal(&value, digits, UINT64_MAX, &read) || *value) return false;
  *number = read;
  return true;
}

bool sheaf__sim_value_switch(const char *value, bool *is_on) {
  bool on = strcmp(value, "on") == 0 || strcmp(value, "true") == 0;
  if (!on && strcmp(value, "off") != 0 && strcmp(value, "false") != 0) return false;
  *is_on = on;
  return true;
}

/* Moves past the word and its colon. */
static bool begins(const char **value, const char *word) {
  size_t bytes = strlen(word);
  if (strncmp(*value, word, bytes) != 0 || (*value)[bytes] != ':') return false;
  *value += bytes + 1;
  return true;
}

/* "fixed:20", "uniform:50:150", "lognormal:80:0.8", "file:PATH", or a bare number for fixed.
 * Milliseconds, with decimals to the microsecond. */
bool sheaf__sim_value_spread(const char *value, sheaf_sim_spread *spread) {
  const uint64_t day_us = (uint64_t)DAY_MS * 1000;
  sheaf_sim_spread read = {.kind = SHEAF_SIM_SPREAD_FIXED};
  if (begins(&value, "file")) {
    if (!*value) return false;
    *spread = (sheaf_sim_spread){.kind = SHEAF_SIM_SPREAD_FILE, .path = value};
    return true;
  }
  if (begins(&value, "uniform"))
    read.kind = SHEAF_SIM_SPREAD_UNIFORM;
  else if (begins(&value, "lognormal"))
    read.kind = SHEAF_SIM_SPREAD_LOGNORMAL;
  else
    begins(&value, "fixed");
  if (!read_decimal(&value, 3, day_us, &read.us)) return false;
  if (read.kind != SHEAF_SIM_SPREAD_FIXED && *value++ != ':') return false;
  if (read.kind == SHEAF_SIM_SPREAD_UNIFORM &&
      (!read_decimal(&value, 3, day_us, &read.high_us) || read.high_us < read.us))
    return false;
  if (read.kind == SHEAF_SIM_SPREAD_LOGNORMAL) {
    uint64_t sigma;
    if (!read_decimal(&value, 3, 5000, &sigma)) return false;
    read.sigma_milli = (uint32_t)sigma;
  }
  if (*value) return false;
  *spread = read;
  return true;
}

/* What follows "lorem": nothing, ":60" or ":60:0.8". */
static bool read_lorem(const char *value, sheaf_sim_options *options) {
  uint64_t words = options->answer_words, sigma = options->answer_sigma_milli;
  if (*value == ':' && (value++, !read_decimal(&value, 0, SIM_WORDS_MAX, &words))) return false;
  if (*value == ':' && (value++, !read_decimal(&value, 3, 5000, &sigma))) return false;
  if (*value || words == 0) return false;
  options->answer_kind = SHEAF_SIM_ANSWER_LOREM;
  options->answer_words = (uint32_t)words;
  options->answer_sigma_milli = (uint32_t)sigma;
  return true;
}

/* "echo", "lorem:60:0.8", "canned:FILE", "json", "tool". */
bool sheaf__sim_value_answer(const char *value, sheaf_sim_options *options) {
  static const struct {
    const char *word;
    uint32_t kind;
  } plain[] = {{"echo", SHEAF_SIM_ANSWER_ECHO},
               {"json", SHEAF_SIM_ANSWER_JSON},
               {"tool", SHEAF_SIM_ANSWER_TOOL}};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    if (strcmp(value, plain[i].word) != 0) continue;
    options->answer_kind = plain[i].kind;
    return true;
  }
  if (begins(&value, "canned")) {
    if (!*value) return false;
    options->answer_kind = SHEAF_SIM_ANSWER_CANNED;
    options->answers = value;
    return true;
  }
  return strncmp(value, "lorem", 5) == 0 && read_lorem(value + 5, options);
}

/* "429:0.05", "429:5%", several with commas; of one kind the last counts. */
bool sheaf__sim_value_faults(const char *value, uint32_t fault_ppm[SHEAF_SIM_FAULT_ROOM]) {
  uint32_t read[SHEAF_SIM_FAULT_ROOM];
  memcpy(read, fault_ppm, sizeof read);
  do {
    size_t bytes = strcspn(value, ":");
    uint32_t fault = sheaf__sim_fault_find(value, bytes);
    if (fault == SIM_NO_FAULT || value[bytes] != ':') return false;
    value += bytes + 1;
    uint64_t ppm;
    const char *percent = value;
    if (read_decimal(&percent, 4, 1000000, &ppm) && *percent == '%')
      value = percent + 1;
    else if (!read_decimal(&value, 6, 1000000, &ppm))
      return false;
    read[fault] = (uint32_t)ppm;
    if (*value && *value++ != ',') return false;
  } while (*value);
  memcpy(fault_ppm, read, sizeof read);
  return true;
}

/* "late,missing"; "azure" stands for all that Azure has been seen with. */
bool sheaf__sim_value_quirks(const char *value, uint32_t *quirks) {
  const uint32_t azure = 1u << SHEAF_SIM_QUIRK_CAPITAL | 1u << SHEAF_SIM_QUIRK_ISO |
                         1u << SHEAF_SIM_QUIRK_NULL_COUNTS | 1u << SHEAF_SIM_QUIRK_EMPTY_ERROR |
                         1u << SHEAF_SIM_QUIRK_NO_EXPIRY;
  uint32_t read = 0;
  do {
    size_t bytes = strcspn(value, ",");
    uint32_t found = bytes == 5 && strncmp(value, "azure", 5) == 0 ? azure : 0;
    for (uint32_t i = 0; i < SHEAF_SIM_QUIRK_COUNT; i++) {
      const char *name = sheaf_sim_quirk_name(i);
      if (strlen(name) == bytes && strncmp(value, name, bytes) == 0) found = 1u << i;
    }
    if (!found) return false;
    read |= found;
    value += bytes;
    if (*value && !*++value) return false;
  } while (*value);
  *quirks |= read;
  return true;
}
