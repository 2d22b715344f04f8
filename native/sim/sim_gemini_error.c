/* sim_gemini_error.c: how the Gemini API says no (protocols 3.4; the wording as users of the
 * service report it).
 *
 * Outline: paths; a field's failure; limits; sentences; details; the body. */
#include "sim_shapes.h"

#include <string.h>

#define RPC "type.googleapis.com/google.rpc."
#define API "type.googleapis.com/google.ai.generativelanguage.v1beta."
#define METRIC "generativelanguage.googleapis.com/"

/* ---- Paths: the service names fields in snake_case, however they were written ---- */

static void say_snake(const char *name, sheaf_buf *out) {
  for (; *name; name++) {
    bool is_upper = *name >= 'A' && *name <= 'Z';
    char c = is_upper ? (char)(*name - 'A' + 'a') : *name;
    if (is_upper) sheaf_buf_append(out, "_", 1);
    sheaf_buf_append(out, &c, 1);
  }
}

static void say_path(const sim_call *call, sheaf_buf *out) {
  sheaf_buf_append_text(out, call->where);
  if (!call->field) return;
  if (call->where[0]) sheaf_buf_append_text(out, ".");
  say_snake(call->field, out);
}

static const char *request_name(const sim_call *call) {
  if (call->route->task == SIM_COUNT) return "CountTokensRequest";
  if (call->route->task != SIM_EMBED) return "GenerateContentRequest";
  return sheaf__sim_route_ends(call, ":batchEmbedContents") ? "BatchEmbedContentsRequest"
                                                            : "EmbedContentRequest";
}

/* "* GenerateContentRequest.contents: " */
static void say_request_path(const sim_call *call, sheaf_buf *out) {
  sheaf__sim_write(out, "* %s.", request_name(call));
  say_path(call, out);
  sheaf_buf_append_text(out, ": ");
}

/* ---- Fields ---- */

typedef struct type_row {
  const char *field;
  const char *type;
} type_row;

/* The message that a field holds; Content also stands for elements of lists without a name. */
static const char *type_of_field(const sim_call *call) {
  static const type_row rows[] = {
      {"contents", "Content"},
      {"content", "Content"},
      {"systemInstruction", "Content"},
      {"system_instruction", "Content"},
      {"parts", "Part"},
      {"generationConfig", "GenerationConfig"},
      {"tools", "Tool"},
      {"generation_config", "GenerationConfig"},
      {"toolConfig", "ToolConfig"},
      {"tool_config", "ToolConfig"},
      {"parameters", "Schema"},
      {"responseSchema", "Schema"},
      {"response_schema", "Schema"},
      {"mode", "FunctionCallingConfig.Mode"},
      {"serviceTier", "ServiceTier"},
      {"service_tier", "ServiceTier"},
      {"taskType", "TaskType"},
      {"task_type", "TaskType"},
      {"behavior", "FunctionDeclaration.Behavior"},
      {"mediaResolution", "GenerationConfig.MediaResolution"},
      {"media_resolution", "GenerationConfig.MediaResolution"},
      {"thinkingLevel", "ThinkingConfig.ThinkingLevel"},
      {"thinking_level", "ThinkingConfig.ThinkingLevel"},
  };
  for (size_t i = 0; call->field && i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].field, call->field) == 0) return rows[i].type;
  if (call->field) return "Value";
  if (strstr(call->where, "parts[")) return "Part";
  if (strstr(call->where, "declarations[")) return "FunctionDeclaration";
  return strncmp(call->where, "tools[", 6) == 0 ? "Tool" : "Content";
}

/* TYPE_INT32 and the like; NULL: a message. */
static const char *scalar_type(const char *expected) {
  if (!expected) return NULL;
  if (strstr(expected, "integer")) return "TYPE_INT32";
  if (strstr(expected, "number")) return "TYPE_FLOAT";
  if (strstr(expected, "boolean")) return "TYPE_BOOL";
  return strstr(expected, "string") ? "TYPE_STRING" : NULL;
}

static void say_wrong_value(const sim_call *call, const char *type, sheaf_buf *out) {
  sheaf_buf_append_text(out, "Invalid value at '");
  say_path(call, out);
  sheaf__sim_write(out, type ? "' (%s), " : "' (" API, type);
  if (!type) sheaf__sim_write(out, "%s), ", type_of_field(call));
  sheaf__sim_say_value(call->got, out);
}

static void say_unknown(const sim_call *call, sheaf_slice name, const char *why, sheaf_buf *out) {
  sheaf_buf_append_text(out, "Invalid JSON payload received. Unknown name \"");
  sheaf__sim_say_inside(name, out);
  sheaf__sim_write(out, call->where[0] ? "\" at '%s': %s" : "\"%s: %s", call->where, why);
}

static void say_wrong_type(const sim_call *call, sheaf_buf *out) {
  if (sheaf_json_kind(call->got) == SHEAF_JSON_ARRAY && call->field)
    say_unknown(call, sheaf_slice_of(call->field),
                "Proto field is not repeating, cannot start list.", out);
  else
    say_wrong_value(call, scalar_type(call->expected), out);
}

static void say_range(const sim_call *call, sheaf_buf *out) {
  sheaf__sim_write(out, "Unable to submit request because it has a %s value of ", call->field);
  sheaf__sim_say_value(call->got, out);
  sheaf__sim_write(out,
                   " but the supported range is from %u (inclusive) to %u (inclusive). Update the "
                   "value and try again.",
                   (uint64_t)call->row->min, (uint64_t)call->row->max);
}

static void say_bad_value(const sim_call *call, sheaf_buf *out) {
  if (call->row && call->row->values) {
    say_wrong_value(call, NULL, out);
  } else if (call->row) {
    say_range(call, out);
  } else if (call->field) {
    say_request_path(call, out);
    sheaf__sim_write(out, "%s\n", call->expected);
  } else {
    sheaf_buf_append_text(out, call->expected);
  }
}

/* ---- Limits ---- */

typedef struct quota {
  const char *metric;
  const char *id; /* "PerDay" in it is what tells money from minutes */
  uint32_t budget;
} quota;

static const quota *quota_of(const sim_call *call) {
  static const quota rows[SIM_ERROR_COUNT] = {
      [SIM_RATE_REQUESTS] = {METRIC "generate_content_requests",
                             "GenerateRequestsPerMinutePerProjectPerModel", SIM_BUDGET_REQUESTS},
      [SIM_RATE_TOKENS] = {METRIC "generate_content_token_count",
                           "GenerateContentTokensPerModelPerMinute", SIM_BUDGET_TOKENS},
      [SIM_RATE_INPUT] = {METRIC "generate_content_input_token_count",
                          "GenerateContentInputTokensPerModelPerMinute", SIM_BUDGET_INPUT},
      [SIM_RATE_OUTPUT] = {METRIC "generate_content_output_token_count",
                           "GenerateContentOutputTokensPerModelPerMinute", SIM_BUDGET_OUTPUT},
      [SIM_RATE_NEVER] = {METRIC "generate_content_token_count",
                          "GenerateContentTokensPerModelPerMinute", SIM_BUDGET_TOKENS},
      [SIM_BUSY] = {METRIC "generate_content_concurrent_requests",
                    "GenerateContentConcurrentRequestsPerProjectPerMinute", SIM_BUDGETS},
      [SIM_QUOTA] = {METRIC "generate_content_requests", "GenerateRequestsPerDayPerProjectPerModel",
                     SIM_BUDGETS},
  };
  const quota *found = &rows[call->error];
  bool is_bare = call->error == SIM_RATE_REQUESTS && !call->retry_after_ns && !call->is_limited;
  return found->id && !is_bare ? found : NULL;
}

static uint64_t quota_value(const sim_call *call, const quota *of) {
  if (call->error == SIM_BUSY) return call->world->options->concurrency_max;
  return of->budget < SIM_BUDGETS && call->is_limited ? call->budgets[of->budget].limit : 0;
}

/* "0.25s", "37s": a duration as proto3's JSON has it, to the millisecond, rounded up. */
static void say_duration(uint64_t ns, sheaf_buf *out) {
  uint64_t ms = (ns + SIM_MS - 1) / SIM_MS;
  char fraction[] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                     (char)('0' + ms % 10), 0};
  for (size_t end = 3; end && fraction[end] == '0'; end--) fraction[end] = 0;
  if (!fraction[1]) fraction[0] = 0;
  sheaf__sim_write(out, "%u%ss", ms / 1000, fraction);
}

static void say_limit(const sim_call *call, sheaf_buf *out) {
  const quota *of = quota_of(call);
  if (!of) {
    sheaf_buf_append_text(out, "Resource has been exhausted (e.g. check quota).");
    return;
  }
  uint64_t limit = quota_value(call, of);
  sheaf_buf_append_text(out,
                        "You exceeded your current quota, please check your plan and billing "
                        "details. For more information on this error, head to: "
                        "https://ai.google.dev/gemini-api/docs/rate-limits.\n");
  sheaf__sim_write(out, "* Quota exceeded for metric: %s", of->metric);
  if (limit) sheaf__sim_write(out, ", limit: %u", limit);
  if (call->asked.model.bytes) sheaf__sim_write(out, ", model: %r", &call->asked.model);
  if (!call->retry_after_ns) return;
  sheaf_buf_append_text(out, "\nPlease retry in ");
  say_duration(call->retry_after_ns, out);
  sheaf_buf_append_text(out, ".");
}

/* ---- Sentences ---- */

typedef struct error_row {
  uint32_t status;
  const char *name;
  const char *sentence; /* NULL: made for the case */
} error_row;

static const error_row rows[SIM_ERROR_COUNT] = {
    [SIM_BAD_JSON] = {400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unexpected token."},
    [SIM_MISSING_FIELD] = {400, "INVALID_ARGUMENT", NULL},
    [SIM_WRONG_TYPE] = {400, "INVALID_ARGUMENT", NULL},
    [SIM_BAD_VALUE] = {400, "INVALID_ARGUMENT", NULL},
    [SIM_UNKNOWN_FIELD] = {400, "INVALID_ARGUMENT", NULL},
    [SIM_UNKNOWN_MODEL] = {404, "NOT_FOUND", NULL},
    [SIM_CONTEXT] = {400, "INVALID_ARGUMENT", NULL},
    [SIM_NO_KEY] = {403, "PERMISSION_DENIED",
                    "Method doesn't allow unregistered callers (callers without established "
                    "identity). Please use API Key or other form of API consumer identity to call "
                    "this API."},
    [SIM_WRONG_KEY] = {400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."},
    [SIM_NO_VERSION] = {400, "INVALID_ARGUMENT", "Request contains an invalid argument."},
    [SIM_NO_PATH] = {404, "NOT_FOUND", "Requested entity was not found."},
    [SIM_WRONG_METHOD] = {405, "UNIMPLEMENTED", "Method not allowed."},
    [SIM_TOO_LARGE] = {413, "INVALID_ARGUMENT", "Request payload size exceeds the limit."},
    [SIM_RATE_REQUESTS] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_RATE_TOKENS] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_RATE_INPUT] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_RATE_OUTPUT] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_RATE_NEVER] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_BUSY] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_QUEUE_FULL] = {503, "UNAVAILABLE", "The model is overloaded. Please try again later."},
    [SIM_QUOTA] = {429, "RESOURCE_EXHAUSTED", NULL},
    [SIM_TIMEOUT] = {408, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."},
    [SIM_SERVER_ERROR] = {500, "INTERNAL", "An internal error has occurred. Please retry."},
    [SIM_LOADING] = {503, "UNAVAILABLE", "The service is currently unavailable."},
    [SIM_OVERLOADED] = {503, "UNAVAILABLE", "The model is overloaded. Please try again later."},
};

/* What a model would have been asked for: "generateContent". */
static const char *method_name(const sim_call *call) {
  const char *colon = call->route ? strrchr(call->route->path, ':') : NULL;
  return colon ? colon + 1 : "generateContent";
}

static void say(const sim_call *call, sheaf_buf *out) {
  if (rows[call->error].sentence) {
    sheaf_buf_append_text(out, rows[call->error].sentence);
    return;
  }
  switch (call->error) {
    case SIM_MISSING_FIELD:
      say_request_path(call, out);
      sheaf__sim_write(out, "%s is not specified\n", call->field);
      break;
    case SIM_WRONG_TYPE: say_wrong_type(call, out); break;
    case SIM_BAD_VALUE: say_bad_value(call, out); break;
    case SIM_UNKNOWN_FIELD: say_unknown(call, call->got, "Cannot find field.", out); break;
    case SIM_UNKNOWN_MODEL:
      sheaf__sim_write(out,
                       "models/%r is not found for API version v1beta, or is not supported for %s. "
                       "Call ListModels to see the list of available models and their supported "
                       "methods.",
                       &call->asked.model, method_name(call));
      break;
    case SIM_CONTEXT:
      sheaf__sim_write(out,
                       "The input token count (%u) exceeds the maximum number of tokens allowed "
                       "(%u).",
                       call->input_tokens, call->context);
      break;
    default: say_limit(call, out); break;
  }
}

/* ---- Details ---- */

static void write_violation(sim_call *call, sheaf_slice message, bool has_field) {
  sheaf_buf path;
  sheaf_buf_init(&path, &sheaf__sim_allocator, SIM_SAID_MAX);
  if (has_field) say_path(call, &path);
  sheaf_slice field = sheaf_buf_slice(&path);
  sheaf_buf_append_text(&call->out,
                        ",\"details\":[{\"@type\":\"" RPC "BadRequest\",\"fieldViolations\":[{");
  if (field.bytes) sheaf__sim_write(&call->out, "\"field\":%q,", &field);
  sheaf__sim_write(&call->out, "\"description\":%q}]}]", &message);
  sheaf_buf_deinit(&path);
}

static void write_quota(sim_call *call, const quota *of) {
  uint64_t limit = quota_value(call, of);
  sheaf__sim_write(&call->out,
                   ",\"details\":[{\"@type\":\"" RPC
                   "QuotaFailure\",\"violations\":[{\"quotaMetric\":\"%s\",\"quotaId\":\"%s\","
                   "\"quotaDimensions\":{\"location\":\"global\",\"model\":\"%r\"}",
                   of->metric, of->id, &call->asked.model);
  if (limit) sheaf__sim_write(&call->out, ",\"quotaValue\":\"%u\"", limit);
  sheaf_buf_append_text(
      &call->out, "}]},{\"@type\":\"" RPC
                  "Help\",\"links\":[{\"description\":\"Learn more about Gemini API "
                  "quotas\",\"url\":\"https://ai.google.dev/gemini-api/docs/rate-limits\"}]}");
  if (call->retry_after_ns) {
    sheaf_buf_append_text(&call->out, ",{\"@type\":\"" RPC "RetryInfo\",\"retryDelay\":\"");
    say_duration(call->retry_after_ns, &call->out);
    sheaf_buf_append_text(&call->out, "\"}");
  }
  sheaf_buf_append_text(&call->out, "]");
}

static void write_details(sim_call *call, sheaf_slice message) {
  const quota *of = quota_of(call);
  if (of) {
    write_quota(call, of);
  } else if (call->error == SIM_WRONG_KEY) {
    sheaf__sim_write(&call->out,
                     ",\"details\":[{\"@type\":\"" RPC
                     "ErrorInfo\",\"reason\":\"API_KEY_INVALID\",\"domain\":\"googleapis.com\","
                     "\"metadata\":{\"service\":\"generativelanguage.googleapis.com\"}},"
                     "{\"@type\":\"" RPC "LocalizedMessage\",\"locale\":\"en-US\",\"message\":%q}]",
                     &message);
  } else if (call->error == SIM_BAD_JSON || call->error == SIM_UNKNOWN_FIELD ||
             call->error == SIM_WRONG_TYPE ||
             (call->error == SIM_BAD_VALUE && call->row && call->row->values)) {
    write_violation(call, message, call->error != SIM_BAD_JSON);
  }
}

/* ---- Bodies ---- */

static void write_error(sim_call *call, uint32_t status, const char *name, sheaf_slice message) {
  sheaf__sim_write(&call->out, "{\"error\":{\"code\":%u,\"message\":%q,\"status\":\"%s\"",
                   (uint64_t)status, &message, name);
  if (call->error < SIM_ERROR_COUNT) write_details(call, message);
  sheaf_buf_append_text(&call->out, "}}");
}

/* Where a stream would have been an array, its error is in one, too. */
uint32_t sheaf__sim_gemini_error(sim_call *call) {
  bool is_list = call->route && call->route->streams && !call->is_sse;
  const error_row *row = &rows[call->error];
  sheaf_buf message;
  sheaf_buf_init(&message, &sheaf__sim_allocator, SIM_SAID_MAX);
  say(call, &message);
  if (is_list) sheaf_buf_append_text(&call->out, "[");
  write_error(call, row->status, row->name, sheaf_buf_slice(&message));
  if (is_list) sheaf_buf_append_text(&call->out, "]");
  sheaf_buf_deinit(&message);
  return row->status;
}

void sheaf__sim_gemini_late_error(sim_call *call) {
  const error_row *row = &rows[SIM_OVERLOADED];
  if (call->is_stream && call->is_sse) sheaf_buf_append_text(&call->out, "data: ");
  write_error(call, row->status, row->name, sheaf_slice_of(row->sentence));
  if (call->is_stream) sheaf_buf_append_text(&call->out, call->is_sse ? "\r\n\r\n" : "\r\n]\r\n");
}
