/* sim_anthropic_error.c: how Anthropic says no, and the headers that go with all it says (protocols
 * 2.5, 2.6; the wording as users of the service report it).
 *
 * Outline: a field's failure; limits; the other sentences; the body; headers. */
#include "sim_shapes.h"

#include <string.h>

/* ---- Fields ---- */

static void say_path(const sim_call *call, sheaf_buf *out) {
  sheaf_buf_append_text(out, call->where);
  if (call->where[0] && call->field) sheaf_buf_append_text(out, ".");
  if (call->field) sheaf_buf_append_text(out, call->field);
  if (call->where[0] || call->field) sheaf_buf_append_text(out, ": ");
}

static const char *type_sentence(const char *expected) {
  static const char *const sentences[][2] = {
      {"string", "Input should be a valid string"},
      {"integer", "Input should be a valid integer"},
      {"number", "Input should be a valid number"},
      {"boolean", "Input should be a valid boolean"},
      {"array", "Input should be a valid array"},
      {"object", "Input should be an object"},
      {"string or array", "Input should be a valid string or array"},
      {"string or object", "Input should be a valid string or object"},
  };
  for (size_t i = 0; expected && i < sizeof sentences / sizeof *sentences; i++)
    if (strcmp(sentences[i][0], expected) == 0) return sentences[i][1];
  return "Input is of the wrong type";
}

/* " a b c " as "'a', 'b' or 'c'". */
static void say_list(const char *values, const char *last_join, sheaf_buf *out) {
  for (const char *at = values + 1; *at;) {
    size_t bytes = strcspn(at, " ");
    const char *next = at + bytes + 1;
    if (at != values + 1) sheaf_buf_append_text(out, *next ? ", " : last_join);
    sheaf_buf_append_text(out, "'");
    sheaf_buf_append(out, at, bytes);
    sheaf_buf_append_text(out, "'");
    at = next;
  }
}

/* Without a row there is a sentence; or a list of what a type may be; or nothing, and it is a tool
 * that is not there. Limits of fields are whole numbers. */
static void say_bad_value(const sim_call *call, sheaf_buf *out) {
  const sim_field *row = call->row;
  bool is_list = call->expected && call->expected[0] == ' ';
  if (row && is_list) {
    sheaf_buf_append_text(out, "Input should be ");
    say_list(row->values, " or ", out);
  } else if (row && strcmp(call->expected, "minimum") == 0) {
    sheaf__sim_write(out, "Input should be greater than or equal to %u", (uint64_t)row->min);
  } else if (row) {
    sheaf__sim_write(out, "Input should be less than or equal to %u", (uint64_t)row->max);
  } else if (is_list) {
    sheaf_buf_append_text(out, "Input tag '");
    sheaf__sim_say_inside(sheaf_json_inside(call->got), out);
    sheaf_buf_append_text(out, "' found using 'type' does not match any of the expected tags: ");
    say_list(call->expected, ", ", out);
  } else if (call->expected) {
    sheaf_buf_append_text(out, call->expected);
  } else {
    sheaf_buf_append_text(out, "Tool '");
    sheaf__sim_say_inside(sheaf_json_inside(call->got), out);
    sheaf_buf_append_text(out, "' not found in provided tools");
  }
}

/* A field that is not known stands in its object's path under its own name. */
static void say_unknown(const sim_call *call, sheaf_buf *out) {
  sheaf_buf_append_text(out, call->where);
  if (call->where[0]) sheaf_buf_append_text(out, ".");
  sheaf__sim_say_inside(call->got, out);
  sheaf_buf_append_text(out, ": Extra inputs are not permitted");
}

static void say_field(const sim_call *call, sheaf_buf *out) {
  if (call->error == SIM_UNKNOWN_FIELD) {
    say_unknown(call, out);
    return;
  }
  say_path(call, out);
  if (call->error == SIM_MISSING_FIELD)
    sheaf_buf_append_text(out, "Field required");
  else if (call->error == SIM_WRONG_TYPE)
    sheaf_buf_append_text(out, type_sentence(call->expected));
  else
    say_bad_value(call, out);
}

/* ---- Limits ---- */

static void say_limit(const sim_call *call, uint32_t budget, const char *what, sheaf_buf *out) {
  uint64_t limit = call->is_limited ? call->budgets[budget].limit : 0;
  if (limit == 0) { /* drawn as a fault, so there is no number */
    sheaf_buf_append_text(
        out, "This request would exceed your account's rate limit. Please try again later.");
    return;
  }
  sheaf_buf_append_text(out, "This request would exceed your organization's rate limit of ");
  sheaf__sim_say_grouped(limit, out);
  sheaf__sim_write(out,
                   " %s per minute. For details, refer to: "
                   "https://docs.claude.com/en/api/rate-limits. You can see the response headers "
                   "for current usage. Please reduce the prompt length or the maximum tokens "
                   "requested, or try again later.",
                   what);
}

/* The tightest one that the request can have met: a request larger than a minute. */
static uint32_t smallest_budget(const sim_call *call) {
  uint32_t found = SIM_BUDGET_TOKENS;
  for (uint32_t i = SIM_BUDGET_TOKENS; i < SIM_BUDGETS; i++) {
    uint64_t limit = call->budgets[i].limit, least = call->budgets[found].limit;
    if (limit && (!least || limit < least)) found = i;
  }
  return found;
}

static void say_context(const sim_call *call, sheaf_buf *out) {
  if (call->input_tokens > call->context)
    sheaf__sim_write(out, "prompt is too long: %u tokens > %u maximum", call->input_tokens,
                     call->context);
  else
    sheaf__sim_write(out,
                     "input length and `max_tokens` exceed context limit: %u + %u > %u, decrease "
                     "input length or `max_tokens` and try again",
                     call->input_tokens, call->asked.tokens_max, call->context);
}

/* ---- All sentences ---- */

typedef struct error_row {
  uint32_t status;
  const char *type;
  const char *sentence; /* NULL: made for the case */
} error_row;

#define INVALID "invalid_request_error"

static const error_row rows[SIM_ERROR_COUNT] = {
    [SIM_BAD_JSON] = {400, INVALID, "The request body is not valid JSON"},
    [SIM_MISSING_FIELD] = {400, INVALID, NULL},
    [SIM_WRONG_TYPE] = {400, INVALID, NULL},
    [SIM_BAD_VALUE] = {400, INVALID, NULL},
    [SIM_UNKNOWN_FIELD] = {400, INVALID, NULL},
    [SIM_UNKNOWN_MODEL] = {404, "not_found_error", NULL},
    [SIM_CONTEXT] = {400, INVALID, NULL},
    [SIM_NO_KEY] = {401, "authentication_error", "x-api-key header is required"},
    [SIM_WRONG_KEY] = {401, "authentication_error", "invalid x-api-key"},
    [SIM_NO_VERSION] = {400, INVALID, "anthropic-version: header is required"},
    [SIM_NO_PATH] = {404, "not_found_error", "Not Found"},
    [SIM_WRONG_METHOD] = {405, INVALID, "Method Not Allowed"},
    [SIM_TOO_LARGE] = {413, "request_too_large", "Request exceeds the maximum size"},
    [SIM_RATE_REQUESTS] = {429, "rate_limit_error", NULL},
    [SIM_RATE_TOKENS] = {429, "rate_limit_error", NULL},
    [SIM_RATE_INPUT] = {429, "rate_limit_error", NULL},
    [SIM_RATE_OUTPUT] = {429, "rate_limit_error", NULL},
    [SIM_RATE_NEVER] = {429, "rate_limit_error", NULL},
    [SIM_BUSY] = {429, "rate_limit_error",
                  "Number of concurrent connections has exceeded your rate limit. Please try "
                  "again later."},
    [SIM_QUEUE_FULL] = {529, "overloaded_error", "Overloaded"},
    [SIM_QUOTA] = {429, "rate_limit_error", "You have reached your specified API usage limits."},
    [SIM_TIMEOUT] = {408, "timeout_error", "Request timed out"},
    [SIM_SERVER_ERROR] = {500, "api_error", "Internal server error"},
    [SIM_LOADING] = {503, "api_error", "Service unavailable"},
    [SIM_OVERLOADED] = {529, "overloaded_error", "Overloaded"},
};

static void say(const sim_call *call, sheaf_buf *out) {
  static const char *const units[SIM_BUDGETS] = {"requests", "tokens", "input tokens",
                                                 "output tokens"};
  uint32_t budget = smallest_budget(call);
  if (rows[call->error].sentence) {
    sheaf_buf_append_text(out, rows[call->error].sentence);
    return;
  }
  switch (call->error) {
    case SIM_UNKNOWN_MODEL:
      sheaf_buf_append_text(out, "model: ");
      sheaf__sim_say_inside(call->asked.model, out);
      return;
    case SIM_CONTEXT: say_context(call, out); return;
    case SIM_RATE_REQUESTS: budget = SIM_BUDGET_REQUESTS; break;
    case SIM_RATE_TOKENS: budget = SIM_BUDGET_TOKENS; break;
    case SIM_RATE_INPUT: budget = SIM_BUDGET_INPUT; break;
    case SIM_RATE_OUTPUT: budget = SIM_BUDGET_OUTPUT; break;
    case SIM_RATE_NEVER: break;
    default: say_field(call, out); return;
  }
  say_limit(call, budget, units[budget], out);
}

/* ---- Bodies ---- */

#define REQUEST_ID UINT64_MAX /* among the ids of a call */

static void write_error(sim_call *call, const char *type, sheaf_slice message, bool is_quota) {
  sheaf__sim_write(&call->out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":%q",
                   type, &message);
  if (is_quota)
    sheaf_buf_append_text(&call->out,
                          ",\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}");
  sheaf_buf_append_text(&call->out, "},\"request_id\":\"");
  sheaf__sim_id(call, "req_", REQUEST_ID, &call->out);
  sheaf_buf_append_text(&call->out, "\"}");
}

uint32_t sheaf__sim_anthropic_error(sim_call *call) {
  sheaf_buf message;
  sheaf_buf_init(&message, &sheaf__sim_allocator, SIM_SAID_MAX);
  say(call, &message);
  write_error(call, rows[call->error].type, sheaf_buf_slice(&message), call->error == SIM_QUOTA);
  sheaf_buf_deinit(&message);
  return rows[call->error].status;
}

void sheaf__sim_anthropic_late_error(sim_call *call) {
  if (call->is_stream) sheaf_buf_append_text(&call->out, "event: error\ndata: ");
  write_error(call, "overloaded_error", sheaf_slice_of("Overloaded"), false);
  if (call->is_stream) sheaf_buf_append_text(&call->out, "\n\n");
}

/* ---- Headers ---- */

/* Token remainders are told in thousands (protocols 2.6); a small limit would only ever show 0, so
 * those stay exact. */
static uint64_t told(uint64_t remaining, uint64_t limit) {
  return limit < 10000 ? remaining : (remaining + 500) / 1000 * 1000;
}

static void limit_headers(sim_call *call, const sim_budget *budget, int64_t unix_s, bool is_tokens,
                          const char *const names[3]) {
  char reset[40];
  if (!budget->limit) return;
  uint64_t seconds = (budget->full_after_ns + SIM_SECOND - 1) / SIM_SECOND;
  sheaf__sim_rfc3339(unix_s + (int64_t)seconds, reset, sizeof reset);
  sheaf__sim_header_u64(call, names[0], budget->limit);
  sheaf__sim_header_u64(call, names[1],
                        is_tokens ? told(budget->remaining, budget->limit) : budget->remaining);
  sheaf__sim_header(call, names[2], reset);
}

/* What the tokens-* headers show: the limit on all tokens, or the tightest of those there are. */
static const sim_budget *tightest(const sim_call *call) {
  const sim_budget *found = &call->budgets[SIM_BUDGET_TOKENS];
  for (uint32_t i = SIM_BUDGET_INPUT; i <= SIM_BUDGET_OUTPUT; i++) {
    const sim_budget *budget = &call->budgets[i];
    if (budget->limit && (!found->limit || budget->remaining < found->remaining)) found = budget;
  }
  return found;
}

#define LIMIT(kind)                                                                 \
  {                                                                                 \
    "anthropic-ratelimit-" kind "-limit", "anthropic-ratelimit-" kind "-remaining", \
        "anthropic-ratelimit-" kind "-reset"                                        \
  }

void sheaf__sim_anthropic_headers(sim_call *call, int64_t unix_s) {
  static const char *const requests[3] = LIMIT("requests"), *const tokens[3] = LIMIT("tokens"),
                           *const input[3] = LIMIT("input-tokens"),
                           *const output[3] = LIMIT("output-tokens");
  char text[48];
  sheaf_buf id;
  sheaf_buf_init(&id, &sheaf__sim_allocator, sizeof text - 1);
  sheaf__sim_id(call, "req_", REQUEST_ID, &id);
  if (id.status == SHEAF_OK) {
    memcpy(text, id.data, id.bytes);
    text[id.bytes] = 0;
    sheaf__sim_header(call, "request-id", text);
  }
  sheaf_buf_deinit(&id);
  sheaf__sim_header(call, "anthropic-organization-id", "00000000-0000-4000-8000-000000000001");
  if (call->is_limited) {
    limit_headers(call, &call->budgets[SIM_BUDGET_REQUESTS], unix_s, false, requests);
    limit_headers(call, tightest(call), unix_s, true, tokens);
    limit_headers(call, &call->budgets[SIM_BUDGET_INPUT], unix_s, true, input);
    limit_headers(call, &call->budgets[SIM_BUDGET_OUTPUT], unix_s, true, output);
  }
  if (call->retry_after_ns)
    sheaf__sim_header_u64(call, "retry-after",
                          (call->retry_after_ns + SIM_SECOND - 1) / SIM_SECOND);
}
