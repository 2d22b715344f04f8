/* sim_options.c: the options by name: one table says how each is written, where it goes and in what
 * range. The command line, the help text and the check at the start all read it. */
#include "sim_int.h"

#include <inttypes.h>
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

const char *sheaf_sim_quirk_name(uint32_t quirk) {
  static const char *const names[] = {
#define QUIRK_NAME(name, number, text) [number] = (text),
      SHEAF_SIM_QUIRK_MAP(QUIRK_NAME)
#undef QUIRK_NAME
  };
  return quirk < SHEAF_SIM_QUIRK_COUNT ? names[quirk] : NULL;
}

/* ---- The table ---- */

enum {
  OF_U32,
  OF_U64,
  OF_TEXT,
  OF_SPREAD,
  OF_ANSWER,
  OF_FAULTS,
  OF_QUIRKS,
  OF_SWITCH,
  OF_SWITCH_NOT
};

typedef struct option {
  const char *name;
  const char *value; /* the form, for the help text */
  const char *about;
  size_t at; /* in the options */
  uint32_t kind;
  uint32_t digits; /* of a decimal's fraction: 3 where the field counts thousandths, 6 millionths */
  uint64_t min, max;
} option;

#define AT(field) offsetof(sheaf_sim_options, field)
#define A_SPREAD "fixed:MS | uniform:MS:MS | lognormal:MEDIAN_MS:SIGMA | file:PATH"
#define A_TIME "fixed:MS | uniform:MS:MS | lognormal:MEDIAN_MS:SIGMA"
#define MINUTE_MAX 1000000000000u /* of a minute's limits; far from where sums could wrap */
#define DAY_MS 86400000u
#define HOUR_MS 3600000u
#define YEAR_MS (365ull * DAY_MS)
#define GIANT_MAX 134217728u /* escaped and framed it stays below SIM_REPLY_MAX */

static const option known[] = {
    {"port", "N", "port to listen on; 0: any free one", AT(port), OF_U32, 0, 0, 65535},
    {"host", "ADDRESS", "numeric address to listen on; 127.0.0.1 unless told otherwise", AT(host),
     OF_TEXT, 0, 0, 0},
    {"key", "KEY", "accept this key only; otherwise all are accepted", AT(key), OF_TEXT, 0, 0, 0},
    {"seed", "N", "what all draws follow from", AT(seed), OF_U64, 0, 0, UINT64_MAX},
    {"latency", A_SPREAD, "time to the first token", AT(latency), OF_SPREAD, 0, 0, 0},
    {"itl", A_SPREAD, "time between tokens", AT(itl), OF_SPREAD, 0, 0, 0},
    {"time-scale", "X", "all delays times X; 0.1 is ten times faster", AT(time_scale_milli), OF_U32,
     3, 0, 1000000},
    {"rpm", "N", "requests a minute and key; 0: no limit", AT(rpm), OF_U64, 0, 0, MINUTE_MAX},
    {"tpm", "N", "tokens a minute and key, input plus output; 0: no limit", AT(tpm), OF_U64, 0, 0,
     MINUTE_MAX},
    {"itpm", "N", "input tokens a minute and key; 0: no limit", AT(itpm), OF_U64, 0, 0, MINUTE_MAX},
    {"otpm", "N", "output tokens a minute and key; 0: no limit", AT(otpm), OF_U64, 0, 0,
     MINUTE_MAX},
    {"concurrency", "N", "requests of a key under way at once; 0: no limit", AT(concurrency_max),
     OF_U32, 0, 0, UINT32_MAX},
    {"capacity", "N", "requests served at once, the others queue; 0: all", AT(capacity), OF_U32, 0,
     0, 1000000},
    {"queue", "N", "requests that may queue behind the capacity; 503 beyond", AT(queue_max), OF_U32,
     0, 0, 1000000},
    {"retry-after", "MS", "the hint that a drawn 429 carries; 0: none", AT(retry_after_ms), OF_U32,
     0, 0, DAY_MS},
    {"answer", "echo | lorem[:WORDS[:SIGMA]] | canned:FILE | json | tool",
     "the last user text, words, a file's answers, JSON, or tool calls", 0, OF_ANSWER, 0, 0, 0},
    {"dimensions", "N", "of embeddings, 1 to 4096", AT(dimensions), OF_U32, 0, 1,
     SIM_DIMENSIONS_MAX},
    {"models", "NAME[,NAME...]", "the models that exist; otherwise every name is one", AT(models),
     OF_TEXT, 0, 0, 0},
    {"context", "N", "tokens that input and max_tokens may take together; 0: no end", AT(context),
     OF_U64, 0, 0, MINUTE_MAX},
    {"fault", "KIND:SHARE[,KIND:SHARE...]", "what goes wrong by chance, as 429:0.05 or stall:5%",
     AT(fault_ppm), OF_FAULTS, 0, 0, 0},
    {"faults", "FILE", "what goes wrong and when, a rule a line", AT(schedule), OF_TEXT, 0, 0, 0},
    {"vocab", "PATH", "count tokens by the vocabularies in this folder, not by bytes", AT(vocab),
     OF_TEXT, 0, 0, 0},
    {"giant-bytes", "N", "size of the answer that the fault giant gives", AT(giant_bytes), OF_U64,
     0, 1, GIANT_MAX},
    {"drip", "MS", "pause between the pieces that the fault drip sends", AT(drip_ms), OF_U32, 0, 0,
     HOUR_MS},
    {"refuse", "MS", "how long the fault refuse accepts no connection", AT(refuse_ms), OF_U32, 0, 0,
     HOUR_MS},
    {"strict", "on | off", "refuse fields that the provider does not know; on by default",
     AT(is_lenient), OF_SWITCH_NOT, 0, 0, 0},
    {"https", "on | off", "HTTPS with a certificate made at the start; needs nghttpx and openssl",
     AT(is_https), OF_SWITCH, 0, 0, 0},
    {"http2", "on | off", "HTTP/2, with https or as h2c; needs nghttpx", AT(is_http2), OF_SWITCH, 0,
     0, 0},
    {"ledger", "N", "exchanges that /_sim/ledger holds, the newest", AT(ledger_max), OF_U32, 0, 0,
     1000000},
    {"batch-time", A_TIME, "time that a batch job takes", AT(batch_time), OF_SPREAD, 0, 0, 0},
    {"batch-fail", "SHARE", "share of the rows of batch jobs that fail at the provider",
     AT(batch_fail_ppm), OF_U32, 6, 0, 1000000},
    {"batch-partial", "SHARE", "share of the batch jobs that expire with half of their rows",
     AT(batch_partial_ppm), OF_U32, 6, 0, 1000000},
    {"batch-expire", "MS", "window of a batch job; 0: the provider's", AT(batch_expire_ms), OF_U64,
     0, 0, YEAR_MS},
    {"batch-keep", "MS", "how long results are kept; 0: as the provider does", AT(batch_keep_ms),
     OF_U64, 0, 0, YEAR_MS},
    {"batch-rows", "N", "rows of one batch job; 0: as the provider has it", AT(batch_rows), OF_U32,
     0, 0, 10000000},
    {"batch-tokens", "N", "input tokens of a key and model in batch jobs; 0: no limit",
     AT(batch_tokens), OF_U64, 0, 0, MINUTE_MAX},
    {"batch-queue", "N", "rows of a key in batch jobs; 0: no limit", AT(batch_queue), OF_U64, 0, 0,
     MINUTE_MAX},
    {"batch-quirk", "NAME[,NAME...]", "what batch jobs show besides; see the oddities below",
     AT(batch_quirks), OF_QUIRKS, 0, 0, 0},
};
#define KNOWN_COUNT (sizeof known / sizeof *known)

bool sheaf_sim_option_at(uint32_t n, const char **name, const char **value, const char **about) {
  if (n >= KNOWN_COUNT) return false;
  *name = known[n].name;
  *value = known[n].value;
  *about = known[n].about;
  return true;
}

/* ---- Checking ---- */

static uint64_t field_of(const sheaf_sim_options *options, const option *row) {
  const char *at = (const char *)options + row->at;
  uint64_t wide;
  uint32_t narrow;
  if (row->kind == OF_U64) {
    memcpy(&wide, at, sizeof wide);
    return wide;
  }
  memcpy(&narrow, at, sizeof narrow);
  return narrow;
}

static void store(sheaf_sim_options *options, const option *row, uint64_t number) {
  char *at = (char *)options + row->at;
  uint32_t narrow = (uint32_t)number;
  if (row->kind == OF_U64)
    memcpy(at, &number, sizeof number);
  else
    memcpy(at, &narrow, sizeof narrow);
}

static int32_t out_of_range(const option *row, char *message, size_t bytes) {
  uint64_t unit = row->digits == 6 ? 1000000 : row->digits ? 1000 : 1;
  if (message && bytes)
    snprintf(message, bytes, "%s: give a number from %" PRIu64 " to %" PRIu64, row->name,
             row->min / unit, row->max / unit);
  return SHEAF_E_RANGE;
}

static int32_t say(char *message, size_t bytes, int32_t status, const char *name,
                   const char *what) {
  if (message && bytes) snprintf(message, bytes, "%s: %s", name, what);
  return status;
}

static bool spread_is_sound(const sheaf_sim_spread *spread) {
  const uint64_t day_us = (uint64_t)DAY_MS * 1000;
  if (spread->kind > SHEAF_SIM_SPREAD_FILE || spread->sigma_milli > 5000) return false;
  if (spread->kind == SHEAF_SIM_SPREAD_FILE) return spread->path != NULL;
  if (spread->kind == SHEAF_SIM_SPREAD_UNIFORM && spread->high_us < spread->us) return false;
  return spread->us <= day_us && spread->high_us <= day_us;
}

int32_t sheaf__sim_options_check(const sheaf_sim_options *options, char *message, size_t bytes) {
  uint64_t faults = 0;
  for (size_t i = 0; i < KNOWN_COUNT; i++) {
    const option *row = &known[i];
    if (row->kind > OF_U64) continue;
    uint64_t number = field_of(options, row);
    if (number < row->min || number > row->max) return out_of_range(row, message, bytes);
  }
  if (!spread_is_sound(&options->latency))
    return say(message, bytes, SHEAF_E_RANGE, "latency", "give it as " A_SPREAD);
  if (!spread_is_sound(&options->itl))
    return say(message, bytes, SHEAF_E_RANGE, "itl", "give it as " A_SPREAD);
  if (!spread_is_sound(&options->batch_time) || options->batch_time.kind == SHEAF_SIM_SPREAD_FILE)
    return say(message, bytes, SHEAF_E_RANGE, "batch-time", "give it as " A_TIME);
  if (options->batch_quirks >> SHEAF_SIM_QUIRK_COUNT)
    return say(message, bytes, SHEAF_E_RANGE, "batch-quirk", "there is no such bit");
  if (options->answer_kind > SHEAF_SIM_ANSWER_TOOL || options->answer_sigma_milli > 5000 ||
      options->answer_words > SIM_WORDS_MAX)
    return say(message, bytes, SHEAF_E_RANGE, "answer",
               "give echo, lorem, canned, json or tool; of lorem at most 16384 words, sigma 5");
  if (options->answer_kind == SHEAF_SIM_ANSWER_CANNED && !options->answers)
    return say(message, bytes, SHEAF_E_RANGE, "answer", "canned needs a file, as canned:FILE");
  for (uint32_t i = 0; i < SHEAF_SIM_FAULT_ROOM; i++) faults += options->fault_ppm[i];
  if (faults > 1000000)
    return say(message, bytes, SHEAF_E_RANGE, "fault", "the shares of all kinds exceed 1");
  return SHEAF_OK;
}

/* ---- Setting by name ---- */

static int32_t set_number(sheaf_sim_options *options, const option *row, const char *value,
                          char *message, size_t bytes) {
  uint64_t number;
  if (!sheaf__sim_value_decimal(value, row->digits, &number)) {
    out_of_range(row, message, bytes);
    return SHEAF_E_FIELD;
  }
  if (number < row->min || number > row->max) return out_of_range(row, message, bytes);
  store(options, row, number);
  return SHEAF_OK;
}

static bool set_other(sheaf_sim_options *options, const option *row, const char *value) {
  char *at = (char *)options + row->at;
  sheaf_sim_spread spread;
  bool is_on;
  switch (row->kind) {
    case OF_TEXT:
      if (!*value) return false;
      memcpy(at, &value, sizeof value);
      return true;
    case OF_SPREAD:
      if (!sheaf__sim_value_spread(value, &spread)) return false;
      memcpy(at, &spread, sizeof spread);
      return true;
    case OF_ANSWER: return sheaf__sim_value_answer(value, options);
    case OF_FAULTS: return sheaf__sim_value_faults(value, options->fault_ppm);
    case OF_QUIRKS: return sheaf__sim_value_quirks(value, &options->batch_quirks);
    default:
      if (!sheaf__sim_value_switch(value, &is_on)) return false;
      if (row->kind == OF_SWITCH_NOT) is_on = !is_on;
      memcpy(at, &is_on, sizeof is_on);
      return true;
  }
}

static int32_t set(sheaf_sim_options *options, const option *row, const char *value, char *message,
                   size_t bytes) {
  if (row->kind <= OF_U64) return set_number(options, row, value, message, bytes);
  if (set_other(options, row, value)) return SHEAF_OK;
  if (message && bytes) snprintf(message, bytes, "%s: give it as %s", row->name, row->value);
  return SHEAF_E_FIELD;
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
    int32_t status = set(&changed, &known[i], value, message, bytes);
    if (status == SHEAF_OK) status = sheaf__sim_options_check(&changed, message, bytes);
    if (status == SHEAF_OK) *options = changed;
    return status;
  }
  return say(message, bytes, SHEAF_E_NOT_FOUND, name,
             "the simulator has no such option; sheaf sim --help lists them");
}
