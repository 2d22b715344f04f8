/* sim_openai_error.c: how OpenAI says no (protocols 1.6), and its headers (1.7).
 *
 * Outline: pieces of sentences; a sentence for each error; type, param and code; headers. */
#include "sim_openai.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REPEATED_MAX 200u /* bytes of a wrong value that a sentence repeats */
#define ORGANIZATION "org-sim"

uint32_t sheaf__sim_openai_at(sim_call *call, uint32_t error, const char *list, uint32_t n,
                              const char *rest, uint32_t m) {
  if (error == SIM_ERROR_COUNT) return error;
  snprintf(call->where, sizeof call->where, "%s[%" PRIu32 "]%s", list, n, rest);
  if (m) call->element = m;
  return error;
}

uint32_t sheaf__sim_openai_refuse(sim_call *call, const char *field, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, field, sentence, (sheaf_slice){0});
}

/* ---- Pieces of sentences ---- */

/* "messages[0].content" */
static void write_path(const sim_call *call, sheaf_buf *out) {
  sheaf_slice field = sheaf_slice_of(call->field);
  if (call->error == SIM_UNKNOWN_FIELD) field = call->got;
  if (call->where[0]) sheaf__sim_write(out, field.bytes ? "%s." : "%s", call->where);
  sheaf_buf_append_slice(out, field);
  if (call->element) sheaf__sim_write(out, "[%u]", (uint64_t)call->element - 1);
}

/* The inside of a JSON string, or a number, no more of it than a line. A cut goes before any escape
 * or character of several bytes. */
static void write_value(sheaf_slice value, sheaf_buf *out) {
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) value = sheaf_json_inside(value);
  size_t bytes = 0;
  while (bytes < value.bytes && bytes < REPEATED_MAX && value.data[bytes] != '\\' &&
         (unsigned char)value.data[bytes] < 0x80)
    bytes++;
  if (value.bytes <= REPEATED_MAX) bytes = value.bytes;
  sheaf_buf_append(out, value.data, bytes);
  if (bytes < value.bytes) sheaf_buf_append_text(out, "...");
}

/* " a b c " as 'a', 'b', and 'c', and " a b " as 'a' and 'b'. */
static void write_list(const char *list, sheaf_buf *out) {
  const char *at = list + 1;
  for (uint32_t count = 0; *at; count++) {
    const char *end = strchr(at, ' ');
    sheaf_slice word = {at, (size_t)(end - at)};
    const char *before = !count ? "" : end[1] ? ", " : count == 1 ? " and " : ", and ";
    sheaf__sim_write(out, "%s'%r'", before, &word);
    at = end + 1;
  }
}

/* Which arrays hold objects; those of the other fields hold strings. */
static const char *array_name(const sim_call *call) {
  static const char *const objects[] = {"messages", "tools", "functions", "input", "content"};
  for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
    if (call->field && strcmp(call->field, objects[i]) == 0) return "array of objects";
  return "array of strings";
}

/* "an array of objects", "one of a string or array of strings". */
static void write_expected(const sim_call *call, sheaf_buf *out) {
  const char *names[8];
  uint32_t count = 0, kinds = call->row ? call->row->kinds : 0;
  if (!call->row) {
    bool is_vowel = call->expected && strchr("aio", call->expected[0]);
    const char *name =
        call->expected && strcmp(call->expected, "array") == 0 ? array_name(call) : call->expected;
    sheaf__sim_write(out, is_vowel ? "an %s" : "a %s", name ? name : "value");
    return;
  }
  if (kinds & SIM_IS_STRING) names[count++] = "string";
  if (kinds & SIM_IS_BOOL) names[count++] = "boolean";
  if (kinds & SIM_IS_NUMBER) names[count++] = call->row->is_integer ? "integer" : "decimal";
  if (kinds & SIM_IS_ARRAY) names[count++] = array_name(call);
  if (kinds & SIM_IS_OBJECT) names[count++] = "object";
  if (count > 1) sheaf_buf_append_text(out, "one of ");
  for (uint32_t i = 0; i < count; i++) {
    if (i) sheaf_buf_append_text(out, i + 1 == count ? " or " : ", ");
    if (i == 0) sheaf_buf_append_text(out, strchr("aio", names[i][0]) ? "an " : "a ");
    sheaf_buf_append_text(out, names[i]);
  }
}

static const char *got_name(sheaf_slice value) {
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_NULL: return "null";
    case SHEAF_JSON_BOOL: return "a boolean";
    case SHEAF_JSON_NUMBER:
      return strcmp(sheaf__sim_kind_name(value), "integer") == 0 ? "an integer"
                                                                 : "a decimal number";
    case SHEAF_JSON_STRING: return "a string";
    case SHEAF_JSON_ARRAY: return "an array";
    default: return "an object";
  }
}

/* ---- Values that are not allowed ---- */

enum { BAD_OTHER, BAD_LIST, BAD_LOW, BAD_HIGH, BAD_EMPTY, BAD_LONG };

static uint32_t bad_kind(const sim_call *call) {
  uint32_t kind = sheaf_json_kind(call->got);
  const char *expected = call->expected ? call->expected : "";
  bool is_low = strcmp(expected, "minimum") == 0, is_high = strcmp(expected, "maximum") == 0;
  if (call->row && kind == SHEAF_JSON_STRING && call->row->values == call->expected)
    return BAD_LIST;
  if (kind == SHEAF_JSON_NUMBER && call->row && is_low) return BAD_LOW;
  if (kind == SHEAF_JSON_NUMBER && call->row && is_high) return BAD_HIGH;
  if (kind == SHEAF_JSON_ARRAY && is_low) return BAD_EMPTY;
  if (kind == SHEAF_JSON_ARRAY && call->row && is_high) return BAD_LONG;
  return BAD_OTHER;
}

static const char *bad_code(const sim_call *call) {
  bool is_integer = call->row && call->row->is_integer;
  switch (bad_kind(call)) {
    case BAD_LOW: return is_integer ? "integer_below_min_value" : "decimal_below_min_value";
    case BAD_HIGH: return is_integer ? "integer_above_max_value" : "decimal_above_max_value";
    case BAD_EMPTY: return "empty_array";
    case BAD_LONG: return "array_above_max_length";
    default: return "invalid_value";
  }
}

static void write_bad_number(sim_call *call, bool is_low) {
  char bound[32];
  snprintf(bound, sizeof bound, "%.15g", is_low ? call->row->min : call->row->max);
  sheaf_buf_append_text(&call->out, "Invalid '");
  write_path(call, &call->out);
  sheaf__sim_write(&call->out, "': %s %s. Expected a value %s %s, but got ",
                   call->row->is_integer ? "integer" : "decimal",
                   is_low ? "below minimum value" : "above maximum value",
                   is_low ? ">=" : "<=", bound);
  write_value(call->got, &call->out);
  sheaf_buf_append_text(&call->out, " instead.");
}

static void write_long_array(sim_call *call) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint64_t count = 0;
  if (sheaf_json_iter_init(&iter, call->got) == SHEAF_OK)
    while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) count++;
  sheaf_buf_append_text(&call->out, "Invalid '");
  write_path(call, &call->out);
  sheaf__sim_write(&call->out,
                   "': array too long. Expected an array with maximum length %u, but got an array "
                   "with length %u instead.",
                   (uint64_t)call->row->max, count);
}

static void write_bad_value(sim_call *call) {
  switch (bad_kind(call)) {
    case BAD_LIST:
      sheaf_buf_append_text(&call->out, "Invalid value: '");
      write_value(call->got, &call->out);
      sheaf_buf_append_text(&call->out, "'. Supported values are: ");
      write_list(call->expected, &call->out);
      sheaf_buf_append_text(&call->out, ".");
      return;
    case BAD_LOW: write_bad_number(call, true); return;
    case BAD_HIGH: write_bad_number(call, false); return;
    case BAD_LONG: write_long_array(call); return;
    case BAD_EMPTY:
      sheaf_buf_append_text(&call->out, "Invalid '");
      write_path(call, &call->out);
      sheaf_buf_append_text(&call->out,
                            "': empty array. Expected an array with minimum length 1, but got an "
                            "empty array instead.");
      return;
    default: break;
  }
  if (call->expected[0] < 'a' || call->expected[0] > 'z') { /* a sentence of our own */
    sheaf_buf_append_text(&call->out, call->expected);
    return;
  }
  sheaf_buf_append_text(&call->out, "Invalid value for '");
  write_path(call, &call->out);
  sheaf__sim_write(&call->out, "': expected %s.", call->expected);
}

/* ---- Sentences ---- */

/* Enough of the key to know it again, and never all of it. */
static void write_masked_key(sim_call *call) {
  sheaf_slice key = sheaf_slice_of(call->given_key);
  size_t head = key.bytes >= 16 ? 8 : key.bytes / 4, tail = key.bytes >= 16 ? 4 : 0;
  sheaf_slice first = {key.data, head}, last = {key.data + key.bytes - tail, tail};
  sheaf_buf_append_escaped(&call->out, first);
  for (size_t i = head + tail; i < key.bytes && i < 64; i++) sheaf_buf_append(&call->out, "*", 1);
  sheaf_buf_append_escaped(&call->out, last);
}

static void write_rate_limit(sim_call *call, bool is_tokens) {
  const sim_budget *budget = &call->budgets[is_tokens ? SIM_BUDGET_TOKENS : SIM_BUDGET_REQUESTS];
  const char *unit = is_tokens ? "tokens per min (TPM)" : "requests per min (RPM)";
  uint64_t requested = is_tokens ? call->input_tokens + call->output_tokens : 1;
  char wait[40];
  bool is_never = call->error == SIM_RATE_NEVER;
  sheaf__sim_write(&call->out,
                   is_never ? "Request too large for %r in organization " ORGANIZATION " on %s"
                            : "Rate limit reached for %r in organization " ORGANIZATION " on %s",
                   &call->asked.model, unit);
  if (budget->limit) {
    sheaf__sim_write(&call->out, ": Limit %u", budget->limit);
    if (!is_never) sheaf__sim_write(&call->out, ", Used %u", budget->limit - budget->remaining);
    sheaf__sim_write(&call->out, ", Requested %u", requested);
  }
  if (is_never)
    sheaf_buf_append_text(&call->out,
                          ". The input or output tokens must be reduced in order to run "
                          "successfully");
  if (call->retry_after_ns) {
    sheaf__sim_go_duration(call->retry_after_ns, wait, sizeof wait);
    sheaf__sim_write(&call->out, ". Please try again in %s", wait);
  }
  sheaf_buf_append_text(&call->out,
                        ". Visit https://platform.openai.com/account/rate-limits to learn more.");
}

static void write_context(sim_call *call) {
  uint64_t asked = call->asked.tokens_max == UINT64_MAX ? 0 : call->asked.tokens_max;
  uint64_t input = call->input_tokens;
  uint64_t sum = asked > UINT64_MAX - input ? UINT64_MAX : input + asked;
  if (call->provider == &sheaf__sim_openai_responses) {
    sheaf_buf_append_text(&call->out,
                          "Your input exceeds the context window of this model. Please adjust "
                          "your input and try again.");
    return;
  }
  sheaf__sim_write(&call->out, "This model's maximum context length is %u tokens", call->context);
  if (call->provider != &sheaf__sim_openai_chat)
    sheaf__sim_write(&call->out,
                     ", however you requested %u tokens (%u in your prompt; %u for the "
                     "completion). Please reduce your prompt; or completion length.",
                     sum, input, asked);
  else if (asked)
    sheaf__sim_write(&call->out,
                     ". However, you requested %u tokens (%u in the messages, %u in the "
                     "completion). Please reduce the length of the messages or completion.",
                     sum, input, asked);
  else
    sheaf__sim_write(&call->out,
                     ". However, your messages resulted in %u tokens. Please reduce the length of "
                     "the messages.",
                     input);
}

static void write_wrong_field(sim_call *call) {
  sheaf_buf *out = &call->out;
  bool is_old = call->provider != &sheaf__sim_openai_responses && !call->where[0];
  if (call->error == SIM_UNKNOWN_FIELD && is_old) {
    sheaf_buf_append_text(out, "Unrecognized request argument supplied: ");
    write_value(call->got, out);
    return;
  }
  sheaf_buf_append_text(out, call->error == SIM_MISSING_FIELD   ? "Missing required parameter: '"
                             : call->error == SIM_UNKNOWN_FIELD ? "Unknown parameter: '"
                                                                : "Invalid type for '");
  write_path(call, out);
  sheaf_buf_append_text(out, call->error == SIM_WRONG_TYPE ? "': expected " : "'.");
  if (call->error != SIM_WRONG_TYPE) return;
  write_expected(call, out);
  sheaf__sim_write(out, ", but got %s instead.", got_name(call->got));
}

static void write_sentence(sim_call *call) {
  static const char *const sentences[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] =
          "We could not parse the JSON body of your request. (HINT: This likely means "
          "you aren't using your HTTP library correctly. The OpenAI API expects a "
          "JSON payload, but what was sent was not valid JSON.)",
      [SIM_NO_KEY] =
          "You didn't provide an API key. You need to provide your API key in an "
          "Authorization header using Bearer auth (i.e. Authorization: Bearer "
          "YOUR_KEY), or as the password field (with blank username) if you're "
          "accessing the API from your browser and are prompted for a username and "
          "password. You can obtain an API key from "
          "https://platform.openai.com/account/api-keys.",
      [SIM_NO_VERSION] = "A version header is missing.",
      [SIM_TOO_LARGE] = "The request body is larger than this server takes.",
      [SIM_BUSY] = "Too many requests of your organization are under way. Please try again later.",
      [SIM_QUEUE_FULL] = "The engine is currently overloaded, please try again later.",
      [SIM_QUOTA] =
          "You exceeded your current quota, please check your plan and billing details. "
          "For more information on this error, read the docs: "
          "https://platform.openai.com/docs/guides/error-codes/api-errors.",
      [SIM_TIMEOUT] = "Request timed out.",
      [SIM_SERVER_ERROR] =
          "The server had an error while processing your request. Sorry about "
          "that!",
      [SIM_OVERLOADED] = "The engine is currently overloaded, please try again later.",
  };
  sheaf_slice path = sheaf_slice_of(call->path);
  switch (call->error) {
    case SIM_MISSING_FIELD:
    case SIM_UNKNOWN_FIELD:
    case SIM_WRONG_TYPE: write_wrong_field(call); return;
    case SIM_BAD_VALUE: write_bad_value(call); return;
    case SIM_UNKNOWN_MODEL:
      sheaf__sim_write(&call->out,
                       call->route->task == SIM_MODEL
                           ? "The model '%r' does not exist"
                           : "The model `%r` does not exist or you do not have access to it.",
                       &call->asked.model);
      return;
    case SIM_CONTEXT: write_context(call); return;
    case SIM_WRONG_KEY:
      sheaf_buf_append_text(&call->out, "Incorrect API key provided: ");
      write_masked_key(call);
      sheaf_buf_append_text(&call->out,
                            ". You can find your API key at "
                            "https://platform.openai.com/account/api-keys.");
      return;
    case SIM_NO_PATH:
      sheaf__sim_write(&call->out, "Invalid URL (%s %e)", call->method, &path);
      return;
    case SIM_WRONG_METHOD:
      sheaf__sim_write(&call->out,
                       "Not allowed to %s on %e. (HINT: Perhaps you meant to use a different HTTP "
                       "method?)",
                       call->method, &path);
      return;
    case SIM_RATE_REQUESTS: write_rate_limit(call, false); return;
    case SIM_RATE_TOKENS:
    case SIM_RATE_INPUT:
    case SIM_RATE_OUTPUT:
    case SIM_RATE_NEVER: write_rate_limit(call, true); return;
    default: sheaf_buf_append_text(&call->out, sentences[call->error]);
  }
}

/* ---- Type, param and code ---- */

typedef struct openai_error_row {
  uint32_t status;
  const char *type;
  const char *code; /* NULL: null */
} openai_error_row;

static const openai_error_row error_rows[SIM_ERROR_COUNT] = {
    [SIM_BAD_JSON] = {400, "invalid_request_error", NULL},
    [SIM_MISSING_FIELD] = {400, "invalid_request_error", "missing_required_parameter"},
    [SIM_WRONG_TYPE] = {400, "invalid_request_error", "invalid_type"},
    [SIM_BAD_VALUE] = {400, "invalid_request_error", "invalid_value"},
    [SIM_UNKNOWN_FIELD] = {400, "invalid_request_error", "unknown_parameter"},
    [SIM_UNKNOWN_MODEL] = {404, "invalid_request_error", "model_not_found"},
    [SIM_CONTEXT] = {400, "invalid_request_error", "context_length_exceeded"},
    [SIM_NO_KEY] = {401, "invalid_request_error", NULL},
    [SIM_WRONG_KEY] = {401, "invalid_request_error", "invalid_api_key"},
    [SIM_NO_VERSION] = {400, "invalid_request_error", NULL},
    [SIM_NO_PATH] = {404, "invalid_request_error", NULL},
    [SIM_WRONG_METHOD] = {405, "invalid_request_error", "method_not_supported"},
    [SIM_TOO_LARGE] = {413, "invalid_request_error", NULL},
    [SIM_RATE_REQUESTS] = {429, "requests", "rate_limit_exceeded"},
    [SIM_RATE_TOKENS] = {429, "tokens", "rate_limit_exceeded"},
    [SIM_RATE_INPUT] = {429, "tokens", "rate_limit_exceeded"},
    [SIM_RATE_OUTPUT] = {429, "tokens", "rate_limit_exceeded"},
    [SIM_RATE_NEVER] = {429, "tokens", "rate_limit_exceeded"},
    [SIM_BUSY] = {429, "requests", "rate_limit_exceeded"},
    [SIM_QUEUE_FULL] = {503, "server_error", "server_overloaded"},
    [SIM_QUOTA] = {429, "insufficient_quota", "credit_balance_exhausted"},
    [SIM_TIMEOUT] = {408, "server_error", NULL},
    [SIM_SERVER_ERROR] = {500, "server_error", NULL},
    [SIM_OVERLOADED] = {503, "server_error", "server_overloaded"},
};

static const char *code_of(const sim_call *call) {
  bool is_plain = call->provider != &sheaf__sim_openai_responses && !call->where[0];
  if (call->error == SIM_UNKNOWN_FIELD && is_plain) return NULL;
  if (call->error == SIM_BAD_VALUE) return bad_code(call);
  return error_rows[call->error].code;
}

/* The field, where the sentence is about one; the older paths do not tell an unknown one. */
static void write_param(sim_call *call) {
  const char *fixed = NULL;
  bool is_field = call->error == SIM_MISSING_FIELD || call->error == SIM_WRONG_TYPE ||
                  (call->error == SIM_BAD_VALUE && call->field) ||
                  (call->error == SIM_UNKNOWN_FIELD && code_of(call));
  if (call->error == SIM_UNKNOWN_MODEL && call->route->task == SIM_MODEL) fixed = "model";
  if (call->error == SIM_CONTEXT && call->provider == &sheaf__sim_openai_chat) fixed = "messages";
  if (call->error == SIM_CONTEXT && call->provider == &sheaf__sim_openai_responses) fixed = "input";
  if (fixed) {
    sheaf__sim_write(&call->out, "\"%s\"", fixed);
  } else if (is_field) {
    sheaf_buf_append(&call->out, "\"", 1);
    write_path(call, &call->out);
    sheaf_buf_append(&call->out, "\"", 1);
  } else {
    sheaf_buf_append_text(&call->out, "null");
  }
}

/* Only servers that load models themselves say this: the body is that of llama.cpp's (protocols 5.2),
 * whose code is a number. */
static uint32_t write_loading(sim_call *call) {
  sheaf_buf_append_text(
      &call->out,
      "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}");
  return 503;
}

uint32_t sheaf__sim_openai_error(sim_call *call) {
  if (call->error == SIM_LOADING) return write_loading(call);
  const openai_error_row *row = &error_rows[call->error];
  const char *code = code_of(call);
  sheaf_buf_append_text(&call->out, "{\"error\":{\"message\":\"");
  write_sentence(call);
  sheaf__sim_write(&call->out, "\",\"type\":\"%s\",\"param\":", row->type);
  write_param(call);
  if (code)
    sheaf__sim_write(&call->out, ",\"code\":\"%s\"}}", code);
  else
    sheaf_buf_append_text(&call->out, ",\"code\":null}}");
  return row->status;
}

void sheaf__sim_openai_late_error(sim_call *call) {
  if (call->is_stream) sheaf_buf_append_text(&call->out, "data: ");
  sheaf_buf_append_text(&call->out,
                        "{\"error\":{\"message\":\"The server had an error while processing your "
                        "request. Sorry about that!\",\"type\":\"server_error\",\"param\":null,"
                        "\"code\":null}}");
  if (call->is_stream) sheaf_buf_append_text(&call->out, "\n\n");
}

/* ---- Headers ---- */

static void limit_headers(sim_call *call, const sim_budget *budget, const char *const names[3]) {
  char reset[40];
  if (!budget->limit) return;
  sheaf__sim_go_duration(budget->full_after_ns, reset, sizeof reset);
  sheaf__sim_header_u64(call, names[0], budget->limit);
  sheaf__sim_header_u64(call, names[1], budget->remaining);
  sheaf__sim_header(call, names[2], reset);
}

void sheaf__sim_openai_headers(sim_call *call, int64_t unix_s) {
  static const char *const requests[] = {
      "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"};
  static const char *const tokens[] = {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
                                       "x-ratelimit-reset-tokens"};
  (void)unix_s;
  char text[40];
  snprintf(text, sizeof text, "req_%016" PRIx64 "%016" PRIx64, call->key,
           sheaf__sim_mix(call->key, SIM_DRAW_ID));
  sheaf__sim_header(call, "x-request-id", text);
  sheaf__sim_header(call, "openai-version", "2020-10-01");
  sheaf__sim_header(call, "openai-organization", ORGANIZATION);
  sheaf__sim_header_u64(call, "openai-processing-ms", call->delay_ns / SIM_MS);
  if (call->is_limited) {
    limit_headers(call, &call->budgets[SIM_BUDGET_REQUESTS], requests);
    limit_headers(call, &call->budgets[SIM_BUDGET_TOKENS], tokens);
  }
  if (call->retry_after_ns) {
    uint64_t ms = (call->retry_after_ns + SIM_MS - 1) / SIM_MS;
    sheaf__sim_header_u64(call, "retry-after-ms", ms);
    sheaf__sim_header_u64(call, "retry-after", (ms + 999) / 1000);
  }
}
