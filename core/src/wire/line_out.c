/* line_out.c: one result to one output line, and what a resume reads back from such a line.
 *
 *   {"id":"req_0","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{...}},"error":null,
 *    "sheaf":{"index":0,"fingerprint":"<32 hex>","text":"...",...}}
 *
 * The first four members are those of the OpenAI batch output, so its tools read the file; "sheaf" is ours. What is not
 * known is left out of it. Three promises: a line holds no line break but its last byte, is valid UTF-8, and is never
 * nested deeper than the reader accepts, or else a resume would take it for torn and pay for the row again.
 *
 * Outline: small pieces, values from outside, response, error, the sheaf object, the line, reading facts. */
#include <sheaf/answer.h>
#include <sheaf/line.h>
#include <sheaf/provider.h>

#include "base/mem.h"
#include "base/swar.h"
#include "wire/stream.h"

#define PUT(out, literal) ((void)sheaf_buf_append((out), (literal), sizeof(literal) - 1))

/* Nesting left for a value that stands this deep inside of the line. */
#define ROOM_BODY (SHEAF_JSON_DEPTH_MAX - 2)
#define ROOM_EVENT (SHEAF_JSON_DEPTH_MAX - 3)
#define ROOM_METADATA (SHEAF_JSON_DEPTH_MAX - 2)

/* ---- Small pieces ---- */

/* Inlined with its callers, so that the length of a literal is known when it is compiled. */
static inline void put_plain(sheaf_buf *out, const char *text) {
  sheaf_buf_append(out, text, strlen(text));
}

/* name comes with its comma and colon: ,"model": */
static inline void put_text(sheaf_buf *out, const char *name, sheaf_slice text) {
  if (text.bytes == 0) return;
  put_plain(out, name);
  sheaf_buf_append_string(out, text);
}

static inline void put_count(sheaf_buf *out, const char *name, uint64_t number) {
  put_plain(out, name);
  sheaf_buf_append_u64(out, number);
}

static inline void put_known(sheaf_buf *out, const char *name, int64_t number) {
  if (number == SHEAF_ABSENT) return;
  put_plain(out, name);
  sheaf_buf_append_i64(out, number);
}

/* Static names of ours hold nothing to escape. */
static inline void put_name(sheaf_buf *out, const char *name, const char *text) {
  put_plain(out, name);
  PUT(out, "\"");
  put_plain(out, text);
  PUT(out, "\"");
}

/* The low digits of a number, zeros in front. */
static void put_digits(sheaf_buf *out, uint64_t number, unsigned count) {
  char digits[20];
  for (unsigned i = count; i > 0; i--, number /= 10) digits[i - 1] = (char)('0' + number % 10);
  sheaf_buf_append(out, digits, count);
}

/* Milliseconds with three decimals. */
static void put_ms(sheaf_buf *out, const char *name, uint64_t ns) {
  put_count(out, name, ns / SHEAF__MS);
  PUT(out, ".");
  put_digits(out, ns / 1000 % 1000, 3);
}

/* Dollars without trailing zeros: 1250000 is 0.00125. */
static void put_usd(sheaf_buf *out, const char *name, int64_t nano) {
  put_plain(out, name);
  if (nano < 0) PUT(out, "-");
  const uint64_t size = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
  sheaf_buf_append_u64(out, size / 1000000000u);
  uint64_t rest = size % 1000000000u;
  unsigned count = 9;
  if (rest == 0) return;
  for (; rest % 10 == 0; rest /= 10) count--;
  PUT(out, ".");
  put_digits(out, rest, count);
}

/* ---- Values from outside ---- */

static sheaf_slice trim(sheaf_slice text) {
  while (text.bytes && (unsigned char)text.data[0] <= ' ') text.data++, text.bytes--;
  while (text.bytes && (unsigned char)text.data[text.bytes - 1] <= ' ') text.bytes--;
  return text;
}

/* Whether bytes may stand in a line as they are: valid UTF-8 without control bytes. */
static bool is_clean(sheaf_slice text) {
  const char *p = text.data;
  const char *end = p + text.bytes;
  while (p < end) {
    if (end - p >= 8) {
      const uint64_t word = sheaf__load8(p);
      const uint64_t special = ((word - SHEAF__ONES * 0x20) | word) & SHEAF__HIGHS;
      p += special ? sheaf__first_byte(special) : 8;
      if (!special) continue;
    }
    if ((unsigned char)*p < 0x20) return false;
    const int step = sheaf__utf8_step(p, (size_t)(end - p));
    if (step < 0) return false;
    p += step;
  }
  return true;
}

/* Appends JSON, or the inside of a string, that is not clean: control bytes, which valid JSON has between tokens only,
 * become spaces, and what is no UTF-8 becomes U+FFFD. */
static void put_tidied(sheaf_buf *out, sheaf_slice text) {
  const char *p = text.data;
  const char *end = p + text.bytes;
  const char *kept = p; /* clean, not yet appended */
  while (p < end) {
    const int step = sheaf__utf8_step(p, (size_t)(end - p));
    if (step > 0 && (unsigned char)*p >= 0x20) {
      p += step;
      continue;
    }
    sheaf_buf_append(out, kept, (size_t)(p - kept));
    if (step < 0)
      PUT(out, "\xEF\xBF\xBD");
    else
      PUT(out, " ");
    p += step < 0 ? -step : 1;
    kept = p;
  }
  sheaf_buf_append(out, kept, (size_t)(end - kept));
}

/* How many of eight bytes are '[' or '{', which differ in one bit. Exact: no borrow runs from byte to byte. */
static inline uint64_t brackets_in(uint64_t word) {
  const uint64_t low = SHEAF__ONES * 0x7F;
  const uint64_t other = (word & (SHEAF__ONES * 0xDF)) ^ (SHEAF__ONES * '[');
  const uint64_t is_other = ((other & low) + low) | other;
  return (~is_other & SHEAF__HIGHS) >> 7; /* 1 in the byte of each */
}

static size_t count_brackets(sheaf_slice text) {
  size_t count = 0;
  const char *p = text.data;
  const char *end = p + text.bytes;
  while (end - p >= 8) {
    uint64_t sums = 0; /* a count in each byte; 31 words cannot carry the total over 8 bits */
    for (int i = 0; i < 31 && end - p >= 8; i++, p += 8) sums += brackets_in(sheaf__load8(p));
    count += (size_t)(sums * SHEAF__ONES >> 56);
  }
  const uint64_t last = brackets_in(sheaf__load_few(p, (size_t)(end - p)));
  return count + (size_t)(last * SHEAF__ONES >> 56);
}

/* Whether a valid document is nested at most this deep. Most have fewer brackets than that, and counting them is
 * nearly free; only the others are walked. */
static bool is_within(sheaf_slice text, uint32_t depth_max) {
  if (count_brackets(text) <= depth_max) return true;
  uint32_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.bytes; i++) {
    const char c = text.data[i];
    if (in_string && c == '\\') {
      i++;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{')) {
      if (++depth > depth_max) return false;
    } else if (!in_string && (c == ']' || c == '}')) {
      depth--;
    }
  }
  return true;
}

/* Appends a value token for token. Answers false where it is no JSON and was appended as a string. */
static bool put_value(sheaf_buf *out, sheaf_slice text, uint32_t depth_max) {
  sheaf_json_facts facts;
  const sheaf_slice value = trim(text);
  if (sheaf_json_pick(value, NULL, 0, NULL, &facts, NULL) != SHEAF_OK ||
      !is_within(value, depth_max)) {
    sheaf_buf_append_string(out, text);
    return false;
  }
  if (facts.has_line_break || facts.has_invalid_utf8)
    put_tidied(out, value);
  else
    sheaf_buf_append_slice(out, value);
  return true;
}

/* ---- response ---- */

typedef struct event_list {
  sheaf_buf *out;
  bool has_any;
} event_list;

static int32_t put_event(void *ctx, sheaf_slice event, sheaf_slice data) {
  event_list *list = ctx;
  (void)event; /* providers that name events say the same inside of the data */
  if (list->has_any) PUT(list->out, ",");
  list->has_any = true;
  put_value(list->out, data, ROOM_EVENT);
  return list->out->status;
}

/* Takes a stream apart. SHEAF_E_FIELD: there is no event in it. */
static int32_t put_events(sheaf_buf *out, sheaf_slice body, uint32_t framing) {
  event_list list = {out, false};
  sheaf__framer framer;
  sheaf__framer_init(&framer, out->allocator, framing);
  int32_t status = sheaf__framer_feed(&framer, body, put_event, &list);
  if (status == SHEAF_OK) status = sheaf__framer_end(&framer, put_event, &list);
  sheaf__framer_deinit(&framer);
  return status == SHEAF_OK && !list.has_any ? SHEAF_E_FIELD : status;
}

/* A stream as the array of its payloads. Answers false where it could not be taken apart and stands as a string: a page of
 * a proxy's, say, must not become an empty list. A stream that begins with a brace has one document a line, unless all
 * of it is one document. */
static bool put_stream(sheaf_buf *out, sheaf_slice body) {
  const size_t begin = out->bytes;
  const sheaf_slice text = trim(body);
  const bool has_lines = text.bytes && text.data[0] == '{';
  PUT(out, "[");
  if (has_lines && sheaf_json_check(text, NULL) == SHEAF_OK) {
    put_value(out, text, ROOM_EVENT);
    PUT(out, "]");
    return true;
  }
  const int32_t status =
      put_events(out, body, has_lines ? SHEAF_FRAMING_NDJSON : SHEAF_FRAMING_SSE);
  PUT(out, "]");
  if (status == SHEAF_E_NOMEM) out->status = status;
  if (status == SHEAF_OK || out->status != SHEAF_OK) return true;
  out->bytes = begin;
  sheaf_buf_append_string(out, body);
  return false;
}

/* Answers whether the body is what the provider sent as JSON, and not text in a string. */
static bool put_body(sheaf_buf *out, const sheaf_result *result) {
  if (result->body.bytes == 0) {
    PUT(out, "null");
    return true;
  }
  /* A refusal of a streamed request is an ordinary document. */
  if (result->streamed && result->http_status < 400) return put_stream(out, result->body);
  return put_value(out, result->body, ROOM_BODY);
}

static bool put_response(sheaf_buf *out, const sheaf_result *result) {
  if (!result->ok && result->http_status == 0 && result->body.bytes == 0) {
    PUT(out, ",\"response\":null");
    return true;
  }
  PUT(out, ",\"response\":{");
  if (result->http_status) {
    put_count(out, "\"status_code\":", result->http_status);
    PUT(out, ",");
  }
  if (result->request_id.bytes) {
    PUT(out, "\"request_id\":");
    sheaf_buf_append_string(out, result->request_id);
    PUT(out, ",");
  }
  PUT(out, "\"body\":");
  const bool is_json = put_body(out, result);
  PUT(out, "}");
  return is_json;
}

/* ---- error ---- */

static void put_error(sheaf_buf *out, const sheaf_result *result) {
  if (result->ok) {
    PUT(out, ",\"error\":null");
    return;
  }
  const sheaf_slice name = sheaf_slice_of(sheaf_class_name(result->error_class));
  PUT(out, ",\"error\":{\"code\":");
  sheaf_buf_append_string(out, result->error_code.bytes ? result->error_code : name);
  PUT(out, ",\"message\":");
  sheaf_buf_append_string(out, result->error_message.bytes ? result->error_message : name);
  PUT(out, "}");
}

/* ---- sheaf ---- */

static void put_fingerprint(sheaf_buf *out, const uint8_t fingerprint[16]) {
  static const char hex[] = "0123456789abcdef";
  char text[32];
  for (unsigned i = 0; i < 16; i++) {
    text[2 * i] = hex[fingerprint[i] >> 4];
    text[2 * i + 1] = hex[fingerprint[i] & 15];
  }
  PUT(out, ",\"fingerprint\":\"");
  sheaf_buf_append(out, text, sizeof text);
  PUT(out, "\"");
}

/* A success has a text even if it is empty. */
static void put_answer(sheaf_buf *out, const sheaf_result *result) {
  const sheaf_slice inside = result->text_json;
  if (!result->ok && inside.bytes == 0 && result->text.bytes == 0) return;
  PUT(out, ",\"text\":\"");
  if (inside.bytes == 0)
    sheaf_buf_append_escaped(out, result->text);
  else if (is_clean(inside))
    sheaf_buf_append_slice(out, inside);
  else
    put_tidied(out, inside);
  PUT(out, "\"");
}

static void put_usage(sheaf_buf *out, const sheaf_usage *usage) {
  const size_t begin = out->bytes;
  PUT(out, ",\"usage\":{");
  const size_t first = out->bytes;
  put_known(out, ",\"input_total\":", usage->input_total);
  put_known(out, ",\"output_total\":", usage->output_total);
  put_known(out, ",\"cache_read\":", usage->cache_read);
  put_known(out, ",\"cache_write\":", usage->cache_write);
  put_known(out, ",\"reasoning\":", usage->reasoning);
  if (out->status != SHEAF_OK) return;
  if (out->bytes == first) {
    out->bytes = begin;
    return;
  }
  /* The first member came with a comma. */
  memmove(out->data + first, out->data + first + 1, out->bytes - first - 1);
  out->bytes--;
  if (usage->estimated) PUT(out, ",\"estimated\":true");
  PUT(out, "}");
}

static void put_class(sheaf_buf *out, const char *name, uint32_t error_class) {
  if (error_class != SHEAF_CLASS_NONE) {
    put_name(out, name, sheaf_class_name(error_class));
  } else {
    put_plain(out, name);
    PUT(out, "null");
  }
}

static void put_history(sheaf_buf *out, const sheaf_result *result) {
  if (result->attempts <= 1 || result->history_count == 0) return;
  PUT(out, ",\"history\":[");
  for (uint32_t i = 0; i < result->history_count; i++) {
    const sheaf_attempt *attempt = &result->history[i];
    if (i) PUT(out, ",");
    put_class(out, "{\"error_class\":", attempt->error_class);
    if (attempt->http_status) put_count(out, ",\"http_status\":", attempt->http_status);
    put_name(out, ",\"billing\":", sheaf_billing_name(attempt->billing));
    put_count(out, ",\"endpoint\":", attempt->endpoint);
    put_ms(out, ",\"started_ms\":", attempt->started_ns);
    put_ms(out, ",\"took_ms\":", attempt->took_ns);
    PUT(out, "}");
  }
  PUT(out, "]");
}

static void put_times(sheaf_buf *out, const sheaf_result *result) {
  put_count(out, ",\"attempts\":", result->attempts);
  put_count(out, ",\"throttles\":", result->throttles);
  if (result->attempts) put_ms(out, ",\"latency_ms\":", result->latency_ns);
  if (result->ttft_ns != SHEAF_NEVER) put_ms(out, ",\"ttft_ms\":", result->ttft_ns);
  put_ms(out, ",\"queue_ms\":", result->queue_ns);
}

#ifndef SHEAF_MODULE
/* What a structured answer is worth; "value" is left out where no JSON was found. */
static void put_json(sheaf_buf *out, const sheaf_result *result) {
  PUT(out, ",\"json\":{");
  if (result->answer_json.bytes) {
    PUT(out, "\"value\":");
    put_value(out, result->answer_json, ROOM_EVENT);
    PUT(out, ",");
  }
  put_count(out, "\"score\":", result->answer_score);
  uint32_t left = result->answer_repairs;
  if (left) PUT(out, ",\"repaired\":[");
  for (uint32_t i = 0; left; i++, left >>= 1) {
    if ((left & 1) == 0) continue;
    put_name(out, "", sheaf_repair_name(i));
    if (left > 1)
      PUT(out, ",");
    else
      PUT(out, "]");
  }
  if (result->answer_faults) put_count(out, ",\"faults\":", result->answer_faults);
  put_text(out, ",\"fault\":", result->answer_fault);
  PUT(out, "}");
}
#endif

static void put_sheaf(sheaf_buf *out, const sheaf_result *result, bool body_is_json) {
  static const char *const lanes[] = {[SHEAF_LANE_LIVE] = "live",
                                      [SHEAF_LANE_MERGED] = "merged",
                                      [SHEAF_LANE_BATCH] = "batch",
                                      [SHEAF_LANE_AUTO] = "auto"};
  put_count(out, ",\"sheaf\":{\"index\":", result->index);
  put_fingerprint(out, result->fingerprint);
  put_answer(out, result);
#ifndef SHEAF_MODULE
  if (result->answer_judged) put_json(out, result);
#endif
  put_text(out, ",\"finish_reason\":", result->finish_reason);
  put_text(out, ",\"model\":", result->model);
  put_times(out, result);
  put_usage(out, &result->usage);
  if (result->cost_usd_nano != SHEAF_ABSENT) put_usd(out, ",\"cost_usd\":", result->cost_usd_nano);
  if (result->lane < sizeof lanes / sizeof lanes[0])
    put_name(out, ",\"lane\":", lanes[result->lane]);
  put_text(out, ",\"endpoint\":", result->endpoint);
  put_text(out, ",\"provider\":", result->provider);
  put_name(out, ",\"billing\":", sheaf_billing_name(result->billing));
  put_class(out, ",\"error_class\":", result->error_class);
  if (!result->ok)
    put_plain(out, result->retryable ? ",\"retryable\":true" : ",\"retryable\":false");
  if (result->resent_unknown) PUT(out, ",\"resent_unknown\":true");
  if (result->group_members > 1) put_count(out, ",\"group_members\":", result->group_members);
  if (result->deduplicated) PUT(out, ",\"deduplicated\":true");
  if (result->cached) PUT(out, ",\"cached\":true");
  if (result->local) PUT(out, ",\"local\":true");
  if (!body_is_json) PUT(out, ",\"body_not_json\":true");
  put_history(out, result);
  if (result->metadata.bytes) {
    PUT(out, ",\"metadata\":");
    put_value(out, result->metadata, ROOM_METADATA);
  }
  PUT(out, "}");
}

/* ---- The line ---- */

int32_t sheaf_line_write(const sheaf_result *result, sheaf_buf *out) {
  const size_t begin = out->bytes;
  if (out->status != SHEAF_OK) return out->status;
  put_count(out, "{\"id\":\"req_", result->index);
  PUT(out, "\",\"custom_id\":");
  if (result->custom_id.bytes) {
    sheaf_buf_append_string(out, result->custom_id);
  } else {
    put_count(out, "\"row-", result->index + 1);
    PUT(out, "\"");
  }
  const bool body_is_json = put_response(out, result);
  put_error(out, result);
  put_sheaf(out, result, body_is_json);
  PUT(out, "}\n");
  if (out->status != SHEAF_OK) out->bytes = begin; /* never half a line */
  return out->status;
}

/* ---- Facts ---- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

static bool read_fingerprint(sheaf_slice value, uint8_t fingerprint[16]) {
  const sheaf_slice text = sheaf_json_inside(value);
  if (text.bytes != 32) return false;
  for (unsigned i = 0; i < 16; i++) {
    const int high = hex_digit(text.data[2 * i]);
    const int low = hex_digit(text.data[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    fingerprint[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

/* A class of a newer version is still a failure. */
static uint32_t read_class(sheaf_slice value) {
  if (sheaf_json_kind(value) <= SHEAF_JSON_NULL) return SHEAF_CLASS_NONE;
  for (uint32_t i = 0; i < SHEAF_CLASS_COUNT; i++)
    if (sheaf_json_equals(value, sheaf_class_name(i))) return i;
  return SHEAF_CLASS_UNKNOWN;
}

static bool is_success_status(sheaf_slice value) {
  int64_t status = 0;
  return sheaf_json_int(value, &status) == SHEAF_OK && status >= 200 && status < 300;
}

int32_t sheaf_line_facts_read(sheaf_slice line, sheaf_line_facts *facts) {
  enum { CUSTOM_ID, RESPONSE, STATUS, ERROR, SHEAF, INDEX, FINGERPRINT, CLASS, COUNT };
  static const char *const paths[COUNT] = {
      "custom_id", "response",    "response.status_code", "error",
      "sheaf",     "sheaf.index", "sheaf.fingerprint",    "sheaf.error_class"};
  sheaf_slice values[COUNT];
  if (sheaf_json_pick(line, paths, COUNT, values, NULL, NULL) != SHEAF_OK) return SHEAF_E_SYNTAX;
  if (sheaf_json_kind(values[CUSTOM_ID]) != SHEAF_JSON_STRING) return SHEAF_E_FIELD;
  if (values[RESPONSE].bytes == 0 && values[ERROR].bytes == 0) return SHEAF_E_FIELD;

  sheaf_line_facts read = {.custom_id = sheaf_json_inside(values[CUSTOM_ID])};
  const bool has_error = sheaf_json_kind(values[ERROR]) > SHEAF_JSON_NULL;
  read.has_sheaf = sheaf_json_kind(values[SHEAF]) == SHEAF_JSON_OBJECT;
  if (read.has_sheaf) {
    int64_t index = 0;
    if (sheaf_json_int(values[INDEX], &index) != SHEAF_OK || index < 0) return SHEAF_E_FIELD;
    if (!read_fingerprint(values[FINGERPRINT], read.fingerprint)) return SHEAF_E_FIELD;
    read.index = (uint64_t)index;
    read.error_class = read_class(values[CLASS]);
    read.ok = !has_error && read.error_class == SHEAF_CLASS_NONE;
  } else {
    read.ok = !has_error && is_success_status(values[STATUS]);
  }
  if (!read.ok && read.error_class == SHEAF_CLASS_NONE) read.error_class = SHEAF_CLASS_UNKNOWN;
  *facts = read;
  return SHEAF_OK;
}
