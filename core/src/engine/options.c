/* options.c: every numeric option in one table: name, range, default, meaning. A command line, a
 * config file and a binding read it instead of keeping lists of their own. */
#include "engine/engine_int.h"

#ifdef SHEAF_NO_HELP /* Where nobody reads it: the package's modules. */
#define HELP(text) ""
#else
#define HELP(text) text
#endif
#define OPTION(field, low, high, start, text) \
  { #field, HELP(text), NULL, (low), (high), (start), offsetof(sheaf_engine_options, field), 0 }
#define CHOICE(field, names, high, start, text) \
  { #field, HELP(text), names, 0, (high), (start), offsetof(sheaf_engine_options, field), 0 }

/* Defaults from algorithms.md 1, 4, 6, 7; ranges: what the integers of the modules stay exact in.
 */
static const sheaf_option options_table[] = {
    OPTION(concurrency, 0, 20000, 0, "requests in flight; 0 or auto: adaptive"),
    OPTION(max_concurrency, 1, 20000, 256, "ceiling of adaptive concurrency"),
    OPTION(rpm, 0, 150000000, 0, "requests a minute; 0: not known"),
    OPTION(tpm, 0, 150000000, 0, "tokens a minute, input and output; 0: not known"),
    OPTION(input_tpm, 0, 150000000, 0, "input tokens a minute; 0: not known"),
    OPTION(output_tpm, 0, 150000000, 0, "output tokens a minute; 0: not known"),
    OPTION(rate_safety_pct, 1, 100, 98, "how much of a stated rate is used, percent"),
    OPTION(burst_ms, 1, 60000, 1000, "how long a rate may be saved up, ms"),
    OPTION(start_interval_ms, 0, 600000, 0, "least time between two starts, ms"),
    OPTION(max_retries, 0, 100, 5,
           "extra tries after failures; refusals by a rate limit do not count"),
    OPTION(max_throttles, 0, 250, 100, "tries refused by a rate limit before a request fails"),
    OPTION(retry_base_ms, 1, 60000, 500, "first backoff, ms; doubles, with full jitter"),
    OPTION(retry_max_ms, 1, 3600000, 60000,
           "longest backoff, ms; a server's own wait is obeyed whole"),
    OPTION(attempt_timeout_ms, 0, 86400000, 600000, "one exchange, ms; 0: no limit"),
    OPTION(deadline_ms, 0, 604800000, 0, "one request over all its tries and waits, ms; 0: none"),
    OPTION(run_deadline_ms, 0, 2592000000, 0, "the whole run, ms; 0: none"),
    CHOICE(resend_unknown, "never|within_budget|always", 2, SHEAF_RESEND_WITHIN_BUDGET,
           "send again what may have been billed already"),
    CHOICE(on_breaker, "wait|fail", 1, SHEAF_ON_BREAKER_WAIT,
           "what requests do while a circuit breaker is open"),
    {"budget_usd", HELP("spend cap in US dollars; needs known prices"), NULL, 0,
     1000000000000000000ull, SHEAF_NEVER, offsetof(sheaf_engine_options, budget_usd_nano), 0},
    OPTION(queue_capacity, 1, 1000000, 1000, "requests that may wait inside"),
    OPTION(reply_bytes_max, 1024, 1ull << 32, 64ull << 20,
           "largest reply after decompression, bytes"),
    OPTION(reply_keep_bytes, 0, 1ull << 30, 16384,
           "reply memory a slot keeps between exchanges, bytes"),
    OPTION(max_tokens, 0, 10000000, 0, "output cap for requests that give none; 0: not sent"),
#ifndef SHEAF_MODULE_JOBS
    CHOICE(stream, "no|yes", 1, 0, "ask for streamed replies"),
#endif
    OPTION(context_tokens, 0, 1000000000, 0,
           "most tokens of a request, input and max_tokens; 0: not checked"),
#ifndef SHEAF_MODULE_JOBS /* there they are 0: off */
    /* Defaults and ranges of the queue: what users of such clients know. */
    CHOICE(merge, "off|lossless|prompts", 2, SHEAF_MERGE_LOSSLESS,
           "what may share a call: nothing, lists of inputs, prompts"),
    CHOICE(window, "fixed|eager|auto", 2, SHEAF_WINDOW_EAGER,
           "groups leave after window_ms, at an idle gate, when it pays"),
    OPTION(window_ms, 10, 5000, 100, "fixed: how long the oldest member waits for company, ms"),
    OPTION(max_batch, 1, 50, 10, "prompts in one merged call"),
    OPTION(max_inputs, 1, 16384, 2048, "inputs in one lossless call"),
    OPTION(min_batch, 1, 20, 2, "fixed: a group of so many may leave early while the gate is idle"),
    OPTION(max_wait_ms, 500, 30000, 5000, "longest wait for company, ms"),
    OPTION(delay_cost_nano, 0, 1000000000000, 1000,
           "auto: what a second of waiting is worth, nano-USD"),
    OPTION(call_cost_nano, 0, 1000000000000, 10000, "auto: what one call fewer saves, nano-USD"),
    OPTION(canary_pct, 0, 100, 2, "merged prompts that are also asked alone and compared, percent"),
    OPTION(merge_failure_pct, 1, 100, 20,
           "discarded of 32 calls above which prompts go alone, percent"),
#endif
    OPTION(queue_bytes_max, 1ull << 20, 1ull << 40, 256ull << 20,
           "text of all requests inside, bytes"),
#ifndef SHEAF_MODULE_JOBS
    CHOICE(dedup, "off|auto|all", 2, SHEAF_DEDUP_AUTO,
           "identical requests share: never, where answers repeat, always"),
    OPTION(cache_entries, 0, 1000000, 0, "answers kept for later twins; 0: none"),
    OPTION(cache_bytes_max, 1ull << 16, 1ull << 40, 64ull << 20,
           "bodies of the answers kept, bytes"),
    OPTION(cache_ttl_ms, 1, 604800000, 300000, "how long an answer is kept, ms"),
#endif
    OPTION(class_wait_urgent_ms, 1, 604800000, 2000, "an urgent request goes next after, ms"),
    OPTION(class_wait_high_ms, 1, 604800000, 15000, "a high one, ms"),
    OPTION(class_wait_normal_ms, 1, 604800000, 120000, "a normal one, ms"),
    OPTION(class_wait_low_ms, 1, 604800000, 900000, "a low one, ms"),
    OPTION(class_wait_deferrable_ms, 1, 604800000, 21600000, "a deferrable one, ms"),
#ifndef SHEAF_MODULE_JOBS
    CHOICE(group_events, "no|yes", 1, 0, "an event at every change of a group's state"),
#endif
#if !defined(SHEAF_MODULE) && !defined(SHEAF_DESCRIBED) /* the package reads answers by itself */
    CHOICE(json, "no|yes", 1, 0, "answers are JSON: read leniently, scored, asked again"),
    OPTION(json_retries, 0, 5, 1, "how often an answer that is not the JSON wanted is asked again"),
#endif
#if SHEAF__HAS_LANES
    /* Jobs. Waits and the hour: what providers' clients take (algorithms.md 11). */
    CHOICE(lane, "live|merged|batch|auto", 3, SHEAF_LANE_LIVE,
           "how requests travel: at once, in provider jobs, or by their number"),
    OPTION(batch_threshold, 0, 1000000, 20, "lane auto: so many requests or fewer run live"),
    OPTION(poll_interval_ms, 100, 3600000, 30000, "first wait between two polls of a job, ms"),
    OPTION(poll_max_ms, 100, 3600000, 300000, "longest wait between two polls, ms"),
    OPTION(batch_timeout_ms, 0, 2592000000, 0,
           "a job not done after this is cancelled, the rest run live, ms; 0: lane auto 1 hour, "
           "batch none"),
    OPTION(max_requests_per_job, 0, 10000000, 0,
           "requests of one job; 0: lane auto 5000, batch the provider's own"),
    OPTION(max_jobs, 0, 10000, 0, "jobs side by side; 0: the provider's own, at most 64"),
    OPTION(max_job_tokens, 0, 1000000000000, 0, "input tokens of one job; 0: not limited"),
    OPTION(completion_window_hours, 0, 8760, 0, "window asked of the provider; 0: its own"),
    CHOICE(rescue, "off|live", 1, SHEAF_RESCUE_LIVE, "what becomes of rows that a job lost"),
    CHOICE(batch_mode, "run|submit|collect|status|cancel|survey", 5, SHEAF_BATCH_RUN,
           "how far jobs are taken in this run"),
#endif
};

#define OPTION_COUNT (sizeof options_table / sizeof options_table[0])

const sheaf_option *sheaf_option_at(uint32_t n) {
  return n < OPTION_COUNT ? &options_table[n] : NULL;
}

const sheaf_option *sheaf_option_find(sheaf_slice name) {
  for (size_t i = 0; i < OPTION_COUNT; i++)
    if (sheaf__slice_equal(name, sheaf_slice_of(options_table[i].name))) return &options_table[i];
  return NULL;
}

void sheaf_engine_options_init(sheaf_engine_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_bytes = sizeof *options;
  for (size_t i = 0; i < OPTION_COUNT; i++)
    memcpy((char *)options + options_table[i].offset, &options_table[i].initial, sizeof(uint64_t));
}

/* What users of queue clients know (algorithms.md 7): somebody waits for the answer. */
void sheaf_engine_options_init_queue(sheaf_engine_options *options) {
  sheaf_engine_options_init(options);
  options->max_retries = 3;
  options->retry_base_ms = 1000;
  options->retry_max_ms = 10000;
}

/* A sentence made of parts in the caller's memory; what does not fit is cut. */
typedef struct sentence {
  char *at;
  size_t left;
} sentence;

static void say(sentence *s, sheaf_slice part) {
  if (s->at == NULL || s->left == 0) return;
  size_t n = part.bytes < s->left - 1 ? part.bytes : s->left - 1;
  if (n) memcpy(s->at, part.data, n);
  s->at += n;
  s->left -= n;
  *s->at = 0;
}

static void say_number(sentence *s, uint64_t number) {
  char digits[20];
  size_t n = sizeof digits;
  do digits[--n] = (char)('0' + number % 10);
  while (number /= 10);
  say(s, (sheaf_slice){digits + n, sizeof digits - n});
}

static int32_t complain(char *message, size_t bytes, const sheaf_option *option, sheaf_slice value,
                        int32_t status) {
  sentence s = {message, bytes};
  say(&s, sheaf_slice_of(option->name));
  say(&s, SHEAF_LITERAL(" cannot be \""));
  say(&s, value.bytes > 60 ? (sheaf_slice){value.data, 60} : value);
  say(&s, SHEAF_LITERAL("\": give "));
  if (option->choices != NULL) {
    say(&s, SHEAF_LITERAL("one of "));
    say(&s, sheaf_slice_of(option->choices));
  } else if (option->offset == offsetof(sheaf_engine_options, budget_usd_nano)) {
    say(&s, SHEAF_LITERAL("dollars from 0 to 1000000000, as 2.50"));
  } else {
    say(&s, SHEAF_LITERAL("a whole number from "));
    say_number(&s, option->min);
    say(&s, SHEAF_LITERAL(" to "));
    say_number(&s, option->max);
  }
  return status;
}

static bool parse_choice(const char *choices, sheaf_slice value, uint64_t *number) {
  uint64_t n = 0;
  for (const char *at = choices;; n++) {
    const char *end = strchr(at, '|');
    size_t bytes = end ? (size_t)(end - at) : strlen(at);
    if (bytes == value.bytes && memcmp(at, value.data, bytes) == 0) return *number = n, true;
    if (end == NULL) return false;
    at = end + 1;
  }
}

int32_t sheaf_option_set(sheaf_engine_options *options, sheaf_slice name, sheaf_slice value,
                         char *message, size_t bytes) {
  const sheaf_option *option = sheaf_option_find(name);
  if (option == NULL) return SHEAF_E_NOT_FOUND;
  uint64_t number = 0;
  int64_t parsed = 0;
  bool is_budget = option->offset == offsetof(sheaf_engine_options, budget_usd_nano);
  if (option->choices != NULL &&
      (sheaf__slice_equal(value, SHEAF_LITERAL("true")) ||
       sheaf__slice_equal(value, SHEAF_LITERAL("false"))) &&
      strcmp(option->choices, "no|yes") == 0) {
    number = value.bytes == 4;
  } else if (option->choices != NULL) {
    if (!parse_choice(option->choices, value, &number))
      return complain(message, bytes, option, value, SHEAF_E_RANGE);
  } else if (option->offset == offsetof(sheaf_engine_options, concurrency) &&
             sheaf__slice_equal(value, SHEAF_LITERAL("auto"))) {
    number = 0;
  } else {
    int32_t status = is_budget ? sheaf_json_nano(value, &parsed) : sheaf_json_int(value, &parsed);
    if (status)
      return complain(message, bytes, option, value,
                      status == SHEAF_E_RANGE ? SHEAF_E_RANGE : SHEAF_E_TYPE);
    number = (uint64_t)parsed;
    if (parsed < 0 || number < option->min || number > option->max)
      return complain(message, bytes, option, value, SHEAF_E_RANGE);
  }
  memcpy((char *)options + option->offset, &number, sizeof number);
  return SHEAF_OK;
}
