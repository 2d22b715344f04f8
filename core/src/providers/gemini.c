/* gemini.c: replies and streams of Google's Gemini API, and its table entry.
 *
 * Outline: usage; finish reasons; errors (delays and quotas stand in the body); decode; refusals;
 * events; tool calls; the entry. JSON is proto3: whole numbers may be strings, empty fields are
 * left out. */
#include "providers/gemini.h"

#include "base/mem.h"
#include "providers/decoding.h"
#include "providers/sharing.h"
#include "providers/table.h"
#include "wire/http.h"

/* ---- Usage ---- */

/* Each report is a running total, so what is told replaces what was known. */
static void read_usage(sheaf_slice object, sheaf_usage *usage) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int64_t prompt = SHEAF_ABSENT, tool = SHEAF_ABSENT, answer = SHEAF_ABSENT,
          thoughts = SHEAF_ABSENT;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (sheaf__is(key, "promptTokenCount")) prompt = sheaf__count(value);
    if (sheaf__is(key, "toolUsePromptTokenCount")) tool = sheaf__count(value);
    if (sheaf__is(key, "candidatesTokenCount")) answer = sheaf__count(value);
    if (sheaf__is(key, "thoughtsTokenCount")) thoughts = sheaf__count(value);
    if (sheaf__is(key, "cachedContentTokenCount")) usage->cache_read = sheaf__count(value);
  }
  int64_t input = sheaf__count_sum(prompt, tool);
  int64_t output = sheaf__count_sum(answer, thoughts);
  if (input != SHEAF_ABSENT) usage->input_total = input;
  if (output != SHEAF_ABSENT) usage->output_total = output;
  if (thoughts != SHEAF_ABSENT) usage->reasoning = thoughts;
}

/* ---- Finish reasons ---- */

static bool is_filter(sheaf_slice reason) {
  static const char *const reasons[] = {
      "SAFETY", "RECITATION",   "BLOCKLIST",        "PROHIBITED_CONTENT",
      "SPII",   "IMAGE_SAFETY", "IMAGE_RECITATION", "IMAGE_PROHIBITED_CONTENT",
  };
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    if (sheaf__is(reason, reasons[i])) return true;
  }
  return false;
}

static void set_filtered(sheaf_decoded *out, const char *message) {
  out->error_class = SHEAF_CLASS_CONTENT_FILTER;
  out->scope = SHEAF_SCOPE_REQUEST;
  out->billing = SHEAF_BILLING_BILLED;
  out->error_message = sheaf_slice_of(message);
}

/* reason is out's own finish reason, kept already. */
static void judge_finish(sheaf_decoded *out, sheaf_slice reason) {
  if (is_filter(reason)) {
    set_filtered(out, "the provider's content filter stopped the answer");
  } else if (sheaf__is(reason, "MALFORMED_FUNCTION_CALL")) {
    out->error_class = SHEAF_CLASS_INVALID_RESPONSE;
    out->billing = SHEAF_BILLING_BILLED;
    out->error_message = SHEAF_LITERAL("the model made a malformed function call");
  }
}

/* ---- Errors ---- */

static bool type_ends(sheaf_slice object, const char *end) {
  sheaf_slice type = sheaf_json_inside(sheaf_json_member(object, "@type"));
  size_t bytes = strlen(end);
  return type.bytes >= bytes && memcmp(type.data + type.bytes - bytes, end, bytes) == 0;
}

/* What the array of details says; the names are those of google.rpc. */
typedef struct details {
  uint64_t retry_ns;    /* RetryInfo: there is no Retry-After header */
  bool is_daily;        /* QuotaFailure: a quota by the day, which no wait of ours outlives */
  bool is_bad_key;      /* ErrorInfo */
  sheaf_slice quota_id; /* inside of the first violation's quotaId */
  sheaf_slice quota_metric;
  int64_t quota_value;
} details;

static void read_violations(sheaf_slice violations, details *found) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  if (sheaf_json_kind(violations) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&iter, violations) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK) {
    if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) continue;
    sheaf_slice id = sheaf_json_inside(sheaf_json_member(item, "quotaId"));
    if (sheaf__contains_nocase(id, "perday")) found->is_daily = true;
    if (found->quota_id.bytes > 0) continue;
    found->quota_id = id;
    found->quota_metric = sheaf_json_inside(sheaf_json_member(item, "quotaMetric"));
    found->quota_value = sheaf__count(sheaf_json_member(item, "quotaValue"));
  }
}

static void read_details(sheaf_slice array, details *found) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  *found = (details){.retry_ns = SHEAF_NEVER, .quota_value = SHEAF_ABSENT};
  if (sheaf_json_kind(array) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&iter, array) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK) {
    if (sheaf_json_kind(item) != SHEAF_JSON_OBJECT) continue;
    if (type_ends(item, "google.rpc.RetryInfo")) {
      found->retry_ns =
          sheaf__duration_ns(sheaf_json_inside(sheaf_json_member(item, "retryDelay")));
    } else if (type_ends(item, "google.rpc.QuotaFailure")) {
      read_violations(sheaf_json_member(item, "violations"), found);
    } else if (type_ends(item, "google.rpc.ErrorInfo")) {
      if (sheaf_json_equals(sheaf_json_member(item, "reason"), "API_KEY_INVALID")) {
        found->is_bad_key = true;
      }
    }
  }
}

/* What only Google says, on top of the common rules. */
static void refine(sheaf_decoded *out, const sheaf__fault *fault) {
  details found;
  read_details(fault->details, &found);
  if (out->retry_after_ns == SHEAF_NEVER) out->retry_after_ns = found.retry_ns;
  if (out->error_class == SHEAF_CLASS_RATE_LIMIT && found.is_daily) {
    out->error_class = SHEAF_CLASS_QUOTA;
    out->scope = SHEAF_SCOPE_POOL;
  } else if (found.is_bad_key) {
    out->error_class = SHEAF_CLASS_AUTH;
    out->scope = SHEAF_SCOPE_POOL;
  } else if (sheaf__is(fault->type, "FAILED_PRECONDITION")) {
    /* Billing is not enabled, or the place is not served: no try with this key can succeed. */
    bool is_billing = sheaf__contains_nocase(fault->message, "billing");
    out->error_class = is_billing ? SHEAF_CLASS_QUOTA : SHEAF_CLASS_AUTH;
    out->scope = SHEAF_SCOPE_POOL;
  }
}

/* ---- Decode ---- */

enum { ERROR, CANDIDATE, PARTS, FINISH, BLOCKED, MODEL, ID, USAGE, COUNT };
static const char *const paths[COUNT] = {
    [ERROR] = "error",
    [CANDIDATE] = "candidates[0]",
    [PARTS] = "candidates[0].content.parts",
    [FINISH] = "candidates[0].finishReason",
    [BLOCKED] = "promptFeedback.blockReason",
    [MODEL] = "modelVersion",
    [ID] = "responseId",
    [USAGE] = "usageMetadata",
};

/* Calls for each part's text that belongs to the answer; a thought only counts as a token seen. */
static void join_parts(sheaf__reading *reading, sheaf_slice parts, sheaf_stream *stream) {
  sheaf_json_iter iter;
  sheaf_slice key, part;
  if (sheaf_json_kind(parts) != SHEAF_JSON_ARRAY) return;
  if (sheaf_json_iter_init(&iter, parts) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
    if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT) continue;
    sheaf_slice text = sheaf_json_inside(sheaf_json_member(part, "text"));
    bool is_thought = sheaf_json_true(sheaf_json_member(part, "thought"));
    if (text.bytes == 0) continue;
    if (!stream) {
      if (!is_thought) sheaf__join(reading, text);
    } else if (is_thought) {
      stream->tokens_seen++;
    } else {
      sheaf__stream_text(stream, text);
    }
  }
}

static void decode_values(sheaf__reading *reading, const sheaf_slice values[COUNT],
                          sheaf_slice body) {
  sheaf_decoded *out = reading->out;
  read_usage(values[USAGE], &out->usage);
  if (sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], (sheaf_slice){NULL, 0});
    sheaf__fault_settle_late(reading, &fault, false);
    refine(out, &fault);
    return;
  }
  join_parts(reading, values[PARTS], NULL);
  sheaf_slice kept = sheaf__keep(reading, sheaf_json_inside(values[MODEL]), SHEAF__WORD_BYTES_MAX);
  out->model = kept;
  if (out->request_id.bytes == 0) {
    kept = sheaf__keep(reading, sheaf_json_inside(values[ID]), SHEAF__WORD_BYTES_MAX);
    out->request_id = kept;
  }
  sheaf_slice reason = values[BLOCKED].bytes > 0 ? values[BLOCKED] : values[FINISH];
  kept = sheaf__keep(reading, sheaf_json_inside(reason), SHEAF__WORD_BYTES_MAX);
  out->finish_reason = kept;
  if (values[BLOCKED].bytes > 0) {
    set_filtered(out, "the provider blocked the prompt");
  } else if (sheaf_json_kind(values[CANDIDATE]) != SHEAF_JSON_OBJECT) {
    sheaf__invalid(reading, "the reply has no candidates", body);
  } else {
    judge_finish(out, out->finish_reason);
  }
}

static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *decoded) {
  (void)provider;
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf_slice values[COUNT];
  sheaf_slice body = sheaf__document(reply->body);
  sheaf_decoded_init(decoded);
  decoded->billing = SHEAF_BILLING_BILLED;
  sheaf__read_reply_headers(&reading, reply);
  if (reply->operation == SHEAF__GEMINI_COUNT) {
    sheaf__fault fault;
    if (sheaf__read_count(&reading, "totalTokens", body, &fault)) refine(decoded, &fault);
    return scratch->status;
  }
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) == SHEAF_OK) {
    decode_values(&reading, values, body);
  } else {
    sheaf__invalid(&reading, "the reply is not JSON", body);
  }
  return scratch->status;
}

/* ---- Refusals ---- */

static int32_t classify(const sheaf_provider *provider, const sheaf_reply *reply,
                        sheaf_buf *scratch, sheaf_decoded *decoded) {
  (void)provider;
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf__fault fault;
  sheaf_decoded_init(decoded);
  sheaf__classify(&reading, reply, &fault);
  refine(decoded, &fault);
  return scratch->status;
}

/* Google tells limits only when one is passed, in the refusal. A minute's limit whose rest is
 * nothing. */
static uint32_t read_limits(const sheaf_provider *provider, const sheaf_reply *reply,
                            sheaf_limit *limits) {
  (void)provider;
  sheaf__fault fault = {0};
  details found;
  if (reply->http_status != 429 || !sheaf__fault_read(&fault, reply->body)) return 0;
  read_details(fault.details, &found);
  if (found.quota_value == SHEAF_ABSENT || found.is_daily) return 0;
  if (!sheaf__contains_nocase(found.quota_id, "perminute")) return 0;
  uint32_t resource = SHEAF_RESOURCE_REQUESTS;
  if (sheaf__contains_nocase(found.quota_metric, "token")) {
    resource = SHEAF_RESOURCE_INPUT_TOKENS;
  } else if (!sheaf__contains_nocase(found.quota_metric, "requests")) {
    return 0;
  }
  limits[0] = (sheaf_limit){
      .resource = resource, .limit = found.quota_value, .remaining = 0, .reset_ns = SHEAF_NEVER};
  return 1;
}

/* ---- Events ---- */

static int32_t on_event(const sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                        sheaf_stream *stream) {
  (void)provider, (void)event;
  sheaf_slice values[COUNT];
  if (stream->terminal || data.bytes == 0) return SHEAF_OK;
  if (sheaf__stream_pick(stream, data, paths, COUNT, values) != SHEAF_OK) {
    return sheaf__stream_status(stream);
  }
  read_usage(values[USAGE], &stream->so_far.usage);
  if (sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], (sheaf_slice){NULL, 0});
    sheaf__stream_fault(stream, &fault);
    refine(&stream->so_far, &fault);
    return sheaf__stream_status(stream);
  }
  sheaf__stream_model(stream, sheaf_json_inside(values[MODEL]));
  join_parts(NULL, values[PARTS], stream);
  /* The end is the body's end; a finish reason only says that it will be a proper one. */
  if (values[BLOCKED].bytes > 0) {
    sheaf__stream_finish(stream, sheaf_json_inside(values[BLOCKED]));
    set_filtered(&stream->so_far, "the provider blocked the prompt");
  } else if (values[FINISH].bytes > 0) {
    sheaf__stream_finish(stream, sheaf_json_inside(values[FINISH]));
    judge_finish(&stream->so_far, stream->so_far.finish_reason);
  }
  return sheaf__stream_status(stream);
}

/* ---- Tool calls ---- */

static int32_t tool_call(const sheaf_provider *provider, const sheaf_result *result, uint32_t n,
                         sheaf_tool_call *call) {
  (void)provider;
  sheaf_slice values[COUNT], key, part;
  sheaf_json_iter iter;
  if (result->streamed) return SHEAF_E_UNSUPPORTED;
  sheaf_slice body = sheaf__document(result->body);
  if (sheaf_json_pick(body, paths, COUNT, values, NULL, NULL) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_kind(values[PARTS]) != SHEAF_JSON_ARRAY) return SHEAF_E_NOT_FOUND;
  if (sheaf_json_iter_init(&iter, values[PARTS]) != SHEAF_OK) return SHEAF_E_NOT_FOUND;
  while (sheaf_json_iter_next(&iter, &key, &part) == SHEAF_OK) {
    if (sheaf_json_kind(part) != SHEAF_JSON_OBJECT) continue;
    sheaf_slice function = sheaf_json_member(part, "functionCall");
    if (sheaf_json_kind(function) != SHEAF_JSON_OBJECT) continue;
    if (n-- > 0) continue;
    call->id = sheaf_json_inside(sheaf_json_member(function, "id"));
    call->name = sheaf_json_inside(sheaf_json_member(function, "name"));
    call->arguments = sheaf_json_member(function, "args");
    call->arguments_escaped = false;
    return SHEAF_OK;
  }
  return SHEAF_E_NOT_FOUND;
}

static const sheaf_header headers[] = {
    {.name = SHEAF__TEXT("x-goog-api-key"), .credential_id = 1},
    {.name = SHEAF__TEXT("Content-Type"), .value = SHEAF__TEXT("application/json")},
};

const sheaf_provider sheaf__gemini = {
    .struct_bytes = sizeof(sheaf_provider),
    .framing = SHEAF_FRAMING_SSE,
    .name = "gemini",
    .base_url = "https://generativelanguage.googleapis.com/v1beta",
    .key_variables = "GEMINI_API_KEY,GOOGLE_API_KEY",
    .headers = headers,
    .header_count = sizeof headers / sizeof headers[0],
    .charge_tokens = SHEAF_CHARGE_ACTUAL, /* all input counts, cached or not */
    .charge_output = SHEAF_CHARGE_ACTUAL,
    .build = sheaf__gemini_build,
    .decode = decode,
    .classify = classify,
    .event = SHEAF__EVENT(on_event),
    .read_limits = read_limits,
    .tool_call = tool_call,
    .traits = sheaf__gemini_traits,
    .share = sheaf__gemini_share,
    .items = sheaf__gemini_items,
    .part = sheaf__gemini_part,
    .jobs = SHEAF__JOBS(sheaf__gemini_jobs),
};
