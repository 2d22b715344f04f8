/* abi.c: layouts and constants as one JSON text, made from the lists that the C code itself is made of, so
 * that nothing is typed twice. It is in sheaf-described.wasm alone: who builds a host reads it there, and the
 * modules are spared of it.
 *
 *   {"version":1,"sheaf":"0.1.0","mail":{"bytes":N,"fields":{"kind":["u32",0],...}},
 *    "constants":{"MAIL_START":1,...},"classes":["none",...],"status":{"E_FULL":-4,...},
 *    "sentences":{"E_FULL":"no room now, ...",...},
 *    "providers":[{"name","base_url","key_variables"},...],
 *    "options":[{"name","help","min","max","initial","choices"},...],
 *    "prices":{"date","rows":[[provider,model,input,output,cache_read,cache_write],...]},
 *    "statistics":{"layout":{...},"examples":[{"numbers":[byte,...],"json":{...},"openmetrics":"..."},...]}} */
#include "exports.h"

#include <string.h>

#define CONSTANT_MAP(X)          \
  X(WASM_MAIL_START)             \
  X(WASM_MAIL_CANCEL)            \
  X(WASM_MAIL_APPEND)            \
  X(WASM_MAIL_RESULT)            \
  X(WASM_MAIL_DELTA)             \
  X(WASM_MAIL_DISCARD)           \
  X(WASM_MAIL_NOTICE)            \
  X(WASM_MAIL_GROUP)             \
  X(WASM_MAIL_JOB)               \
  X(WASM_FLAG_STREAM)            \
  X(WASM_FLAG_TASK)              \
  X(WASM_FLAG_OK)                \
  X(WASM_FLAG_ATTEMPTED)         \
  X(WASM_FLAG_RETRYABLE)         \
  X(WASM_FLAG_STREAMED)          \
  X(WASM_FLAG_RESENT)            \
  X(WASM_FLAG_ESTIMATED)         \
  X(WASM_FLAG_LINE)              \
  X(WASM_FLAG_SKIPPED)           \
  X(WASM_FLAG_VOID)              \
  X(WASM_FLAG_REFUSED)           \
  X(WASM_FLAG_PROMPT)            \
  X(WASM_FLAG_DETERMINISTIC)     \
  X(WASM_FLAG_ALONE)             \
  X(WASM_FLAG_RAW)               \
  X(WASM_FLAG_DEDUPLICATED)      \
  X(WASM_FLAG_CACHED)            \
  X(SHEAF_RECORD_RUN)            \
  X(SHEAF_RECORD_END)            \
  X(SHEAF_RECORD_JOB_PLAN)       \
  X(SHEAF_RECORD_JOB_INTENT)     \
  X(SHEAF_RECORD_JOB_FACT)       \
  X(SHEAF_RECORD_JOB_STATE)      \
  X(SHEAF_RECORD_JOB_OVER)       \
  X(SHEAF_RECORD_JOB_DECISION)   \
  X(SHEAF_LANE_LIVE)             \
  X(SHEAF_LANE_BATCH)            \
  X(SHEAF_END_OK)                \
  X(SHEAF_END_NOT_SENT)          \
  X(SHEAF_END_BROKEN)            \
  X(SHEAF_END_TIMEOUT)           \
  X(SHEAF_END_TOO_LARGE)         \
  X(SHEAF_END_CANCELLED)         \
  X(SHEAF_END_REFUSED)           \
  X(SHEAF_NOTICE_PAUSED)         \
  X(SHEAF_NOTICE_BREAKER_OPEN)   \
  X(SHEAF_NOTICE_BREAKER_CLOSED) \
  X(SHEAF_NOTICE_KEY_STOPPED)    \
  X(SHEAF_NOTICE_BUDGET)         \
  X(SHEAF_NOTICE_RESENT_UNKNOWN) \
  X(SHEAF_NOTICE_STORE_FAILED)   \
  X(SHEAF_NOTICE_RUN_DEADLINE)   \
  X(SHEAF_NOTICE_MERGE_OFF)

static void put_name(sheaf_buf *out, bool is_first, const char *name) {
  if (!is_first) sheaf_buf_append(out, ",", 1);
  sheaf_buf_append_string(out, sheaf_slice_of(name));
  sheaf_buf_append(out, ":", 1);
}

static void put_mail(sheaf_buf *out) {
  static const struct {
    const char *name, *kind;
    size_t offset;
  } fields[] = {
#define FIELD(kind, name) {#name, #kind, offsetof(wasm_mail, name)},
      WASM_MAIL_MAP(FIELD)
#undef FIELD
  };
  sheaf_buf_append_text(out, ",\"mail\":{\"bytes\":");
  sheaf_buf_append_u64(out, sizeof(wasm_mail));
  sheaf_buf_append_text(out, ",\"fields\":{");
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    put_name(out, i == 0, fields[i].name);
    sheaf_buf_append(out, "[", 1);
    sheaf_buf_append_string(out, sheaf_slice_of(fields[i].kind));
    sheaf_buf_append(out, ",", 1);
    sheaf_buf_append_u64(out, fields[i].offset);
    sheaf_buf_append(out, "]", 1);
  }
  sheaf_buf_append_text(out, "}}");
}

/* Their names without the house's prefix. */
static void put_constants(sheaf_buf *out) {
  static const struct {
    const char *name;
    uint32_t value;
  } constants[] = {
#define CONSTANT(name) {#name, (uint32_t)(name)},
      CONSTANT_MAP(CONSTANT)
#undef CONSTANT
  };
  sheaf_buf_append_text(out, ",\"constants\":{");
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
    const char *name = constants[i].name;
    put_name(out, i == 0, name + (name[0] == 'W' ? sizeof "WASM_" : sizeof "SHEAF_") - 1);
    sheaf_buf_append_u64(out, constants[i].value);
  }
  sheaf_buf_append(out, "}", 1);
}

static void put_names(sheaf_buf *out) {
  static const struct {
    const char *name;
    int32_t value;
  } codes[] = {
#define STATUS(name, number, text) {#name, (number)},
      SHEAF_STATUS_MAP(STATUS)
#undef STATUS
  };
  sheaf_buf_append_text(out, ",\"classes\":[");
  for (uint32_t i = 0; i < SHEAF_CLASS_COUNT; i++) {
    if (i) sheaf_buf_append(out, ",", 1);
    sheaf_buf_append_string(out, sheaf_slice_of(sheaf_class_name(i)));
  }
  sheaf_buf_append_text(out, "],\"billing\":[");
  for (uint32_t i = 0; i <= SHEAF_BILLING_BILLED; i++) {
    if (i) sheaf_buf_append(out, ",", 1);
    sheaf_buf_append_string(out, sheaf_slice_of(sheaf_billing_name(i)));
  }
  sheaf_buf_append_text(out, "],\"group_states\":[");
  for (uint32_t i = 0; i <= SHEAF_GROUP_FAILED; i++) {
    if (i) sheaf_buf_append(out, ",", 1);
    sheaf_buf_append_string(out, sheaf_slice_of(sheaf_group_state_name(i)));
  }
  sheaf_buf_append_text(out, "],\"status\":{");
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    put_name(out, i == 0, codes[i].name);
    sheaf_buf_append_i64(out, codes[i].value);
  }
  sheaf_buf_append_text(out, "},\"sentences\":{");
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    put_name(out, i == 0, codes[i].name);
    sheaf_buf_append_string(out, sheaf_slice_of(sheaf_status_text(codes[i].value)));
  }
  sheaf_buf_append(out, "}", 1);
}

static void put_providers(sheaf_buf *out) {
  const sheaf_provider *provider;
  sheaf_buf_append_text(out, ",\"providers\":[");
  for (uint32_t n = 0; (provider = sheaf_provider_at(n)) != NULL; n++) {
    sheaf_buf_append_text(out, n ? ",{\"name\":" : "{\"name\":");
    sheaf_buf_append_string(out, sheaf_slice_of(provider->name));
    sheaf_buf_append_text(out, ",\"base_url\":");
    sheaf_buf_append_string(out, sheaf_slice_of(provider->base_url));
    sheaf_buf_append_text(out, ",\"key_variables\":");
    sheaf_buf_append_string(out, sheaf_slice_of(provider->key_variables));
    sheaf_buf_append(out, "}", 1);
  }
  sheaf_buf_append(out, "]", 1);
}

static void put_options(sheaf_buf *out) {
  const sheaf_option *option;
  sheaf_buf_append_text(out, ",\"options\":[");
  for (uint32_t n = 0; (option = sheaf_option_at(n)) != NULL; n++) {
    sheaf_buf_append_text(out, n ? ",{\"name\":" : "{\"name\":");
    sheaf_buf_append_string(out, sheaf_slice_of(option->name));
    sheaf_buf_append_text(out, ",\"help\":");
    sheaf_buf_append_string(out, sheaf_slice_of(option->help));
    sheaf_buf_append_text(out, ",\"min\":");
    sheaf_buf_append_u64(out, option->min);
    sheaf_buf_append_text(out, ",\"max\":");
    sheaf_buf_append_u64(out, option->max);
    if (option->initial != SHEAF_NEVER) {
      sheaf_buf_append_text(out, ",\"initial\":");
      sheaf_buf_append_u64(out, option->initial);
    }
    if (option->choices) {
      sheaf_buf_append_text(out, ",\"choices\":");
      sheaf_buf_append_string(out, sheaf_slice_of(option->choices));
    }
    sheaf_buf_append(out, "}", 1);
  }
  sheaf_buf_append(out, "]", 1);
}

static void put_prices(sheaf_buf *out) {
  const sheaf_price_table *table = sheaf_prices_builtin();
  sheaf_buf_append_text(out, ",\"prices\":{\"date\":");
  sheaf_buf_append_string(out, sheaf_slice_of(table->date));
  sheaf_buf_append_text(out, ",\"rows\":[");
  for (uint32_t i = 0; i < table->count; i++) {
    const sheaf_price *row = &table->prices[i];
    const int64_t money[] = {row->input, row->output, row->cache_read, row->cache_write};
    sheaf_buf_append_text(out, i ? ",[" : "[");
    sheaf_buf_append_string(out, sheaf_slice_of(row->provider));
    sheaf_buf_append_text(out, ",");
    sheaf_buf_append_string(out, sheaf_slice_of(row->model));
    for (uint32_t k = 0; k < 4; k++) {
      sheaf_buf_append_text(out, ",");
      if (money[k] == SHEAF_ABSENT)
        sheaf_buf_append_text(out, "null");
      else
        sheaf_buf_append_i64(out, money[k]);
    }
    sheaf_buf_append_text(out, "]");
  }
  sheaf_buf_append_text(out, "]}");
}

/* ---- Statistics ---- */

/* Its numbers and what the core writes of them, for who writes the same. */
static void put_example(sheaf_buf *out, const sheaf_stats *stats) {
  sheaf_buf text;
  sheaf_buf_init(&text, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_stats_numbers(stats, &text);
  sheaf_buf_append_text(out, "{\"numbers\":[");
  for (size_t i = 0; i < text.bytes; i++) {
    if (i) sheaf_buf_append_text(out, ",");
    sheaf_buf_append_u64(out, (uint8_t)text.data[i]);
  }
  sheaf_buf_append_text(out, "],\"json\":");
  sheaf_stats_json(stats, out);
  sheaf_buf_append_text(out, ",\"openmetrics\":");
  sheaf_buf_reset(&text);
  sheaf_stats_openmetrics(stats, &text);
  sheaf_buf_append_string(out, sheaf_buf_slice(&text));
  sheaf_buf_append_text(out, "}");
  sheaf_buf_deinit(&text);
}

/* A run that has done nothing; one in which every number is another. */
static void put_statistics(sheaf_buf *out) {
  sheaf_stats stats = {.struct_bytes = sizeof stats, .cost_usd_nano = SHEAF_ABSENT};
  sheaf_buf_append_text(out, ",\"statistics\":{\"layout\":");
  sheaf_stats_layout(out);
  sheaf_buf_append_text(out, ",\"examples\":[");
  put_example(out, &stats);
  for (size_t at = 0; at + 8 <= sizeof stats; at += 8) {
    uint64_t number = (uint64_t)at * 1000003 + 17;
    memcpy((char *)&stats + at, &number, 8);
  }
  stats.cost_usd_nano = (int64_t)1 << 52 | 1;
  stats.now_ns = (uint64_t)1 << 50;
  stats.limited_by = SHEAF_LIMITED_BY_BUDGET;
  stats.merge_stopped = true;
  stats.paused = false;
  for (uint32_t i = 0; i < SHEAF_SERIES_MAX; i++) stats.series_milli[i] = 1001 * i;
  stats.series_count = 5;
  stats.failed_by_class[SHEAF_CLASS_TIMEOUT] = 0;
  sheaf_buf_append_text(out, ",");
  put_example(out, &stats);
  sheaf_buf_append_text(out, "]}");
}

const char *sheaf_wasm_abi(void) {
  static sheaf_buf text;
  if (text.data) return text.data + 4;
  sheaf_buf_init(&text, &sheaf__wasm_allocator, WASM_TEXT_MAX);
  sheaf_buf_append(&text, "\0\0\0\0", 4);
  sheaf_buf_append_text(&text, "{\"version\":");
  sheaf_buf_append_u64(&text, sheaf_wasm_version());
  sheaf_buf_append_text(&text, ",\"sheaf\":\"" SHEAF_VERSION_STRING "\"");
  put_mail(&text);
  put_constants(&text);
  put_names(&text);
  put_providers(&text);
  put_options(&text);
  put_prices(&text);
  put_statistics(&text);
  sheaf_buf_append(&text, "}", 1);
  if (text.status != SHEAF_OK) {
    sheaf_buf_deinit(&text);
    return NULL;
  }
  for (unsigned i = 0; i < 4; i++) text.data[i] = (char)((text.bytes - 4) >> (8 * i) & 255);
  return text.data + 4;
}
