/* openai.c: OpenAI's table entry, its streams and its rate-limit headers. Any compatible server
 * uses it; those with batch APIs of their own have entries of their own.
 *
 * Outline: chat and completions events; responses events; limits; the entries. Requests:
 * openai_build.c, replies: openai_decode.c. */
#include "providers/openai.h"

#include "base/mem.h"
#include "providers/limits.h"
#include "providers/sharing.h"
#include "providers/table.h"

/* ---- Chat and completions ---- */

static bool is_done_mark(sheaf_slice data) {
  data = sheaf__document(data);
  return data.bytes >= 6 && memcmp(data.data, "[DONE]", 6) == 0;
}

/* [DONE] alone does not prove success: vLLM sends it after a failure too. A server that sends only
 * empty finish reasons is let pass; one that sends none at all has broken off. */
static void on_done_mark(sheaf_stream *stream) {
  stream->terminal = true;
  if (stream->finished) return;
  if (stream->so_far.finish_reason.data != NULL) {
    stream->finished = true;
    stream->so_far.billing = SHEAF_BILLING_BILLED;
    return;
  }
  sheaf__reading reading = sheaf__stream_reading(stream);
  sheaf__invalid(&reading, "the stream ended without a finish reason", (sheaf_slice){NULL, 0});
}

static void finish_choice(sheaf_stream *stream, sheaf_slice finish) {
  if (sheaf_json_kind(finish) != SHEAF_JSON_STRING) return;
  if (sheaf_json_inside(finish).bytes == 0) {
    if (stream->so_far.finish_reason.data == NULL) stream->so_far.finish_reason.data = "";
    return;
  }
  sheaf__stream_finish(stream, sheaf_json_inside(finish));
  if (!sheaf_json_equals(finish, "content_filter")) return;
  stream->so_far.error_class = SHEAF_CLASS_CONTENT_FILTER;
  stream->so_far.scope = SHEAF_SCOPE_REQUEST;
  stream->so_far.billing = SHEAF_BILLING_BILLED;
  stream->so_far.error_message = SHEAF_LITERAL("the provider's content filter stopped the answer");
}

static void chat_event(sheaf_slice data, sheaf_stream *stream) {
  enum {
    ERROR,
    INDEX,
    CONTENT,
    REFUSAL,
    REASONING,
    THOUGHT,
    TEXT,
    FINISH,
    MODEL,
    USAGE,
    X_USAGE,
    COUNT
  };
  static const char *const paths[COUNT] = {
      [ERROR] = "error",
      [INDEX] = "choices[0].index",
      [CONTENT] = "choices[0].delta.content",
      [REFUSAL] = "choices[0].delta.refusal",
      [REASONING] = "choices[0].delta.reasoning_content",
      [THOUGHT] = "choices[0].delta.reasoning",
      [TEXT] = "choices[0].text",
      [FINISH] = "choices[0].finish_reason",
      [MODEL] = "model",
      [USAGE] = "usage",
      [X_USAGE] = "x_groq.usage",
  };
  sheaf_slice values[COUNT];
  if (sheaf__stream_pick(stream, data, paths, COUNT, values) != SHEAF_OK) return;
  sheaf__openai_usage(values[X_USAGE], &stream->so_far.usage);
  sheaf__openai_usage(values[USAGE], &stream->so_far.usage);
  if (sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], (sheaf_slice){NULL, 0});
    sheaf__stream_fault(stream, &fault);
    return;
  }
  sheaf__stream_model(stream, sheaf_json_inside(values[MODEL]));
  int64_t index = sheaf__count(values[INDEX]);
  if (index > 0) return; /* n > 1: the first choice is the answer */
  sheaf__stream_text(stream, sheaf_json_inside(values[CONTENT]));
  sheaf__stream_text(stream, sheaf_json_inside(values[REFUSAL]));
  sheaf__stream_text(stream, sheaf_json_inside(values[TEXT]));
  if (sheaf_json_inside(values[REASONING]).bytes > 0 ||
      sheaf_json_inside(values[THOUGHT]).bytes > 0) {
    stream->tokens_seen++;
  }
  finish_choice(stream, values[FINISH]);
}

/* ---- Responses ---- */

static bool type_is(sheaf_slice type, const char *text) {
  return sheaf_json_equals(type, text);
}

/* completed, incomplete or failed: the whole response comes once more, with usage. */
static void response_end(sheaf_slice response, sheaf_stream *stream) {
  sheaf__reading reading = sheaf__stream_reading(stream);
  stream->terminal = true;
  stream->finished = true;
  stream->so_far.billing = SHEAF_BILLING_BILLED;
  if (sheaf_json_kind(response) != SHEAF_JSON_OBJECT) return;
  sheaf_slice details = sheaf_json_member(response, "incomplete_details");
  sheaf_slice reason = {NULL, 0};
  if (sheaf_json_kind(details) == SHEAF_JSON_OBJECT) reason = sheaf_json_member(details, "reason");
  sheaf__openai_usage(sheaf_json_member(response, "usage"), &stream->so_far.usage);
  sheaf__stream_model(stream, sheaf_json_inside(sheaf_json_member(response, "model")));
  sheaf__openai_response_status(&reading, sheaf_json_member(response, "status"),
                                sheaf_json_member(response, "error"), reason,
                                stream->tokens_seen > 0);
  if (stream->text.bytes > 0) return;
  /* A server that sends no deltas still tells the text here. */
  sheaf_decoded found = {0};
  sheaf__reading whole = {.scratch = &stream->text, .out = &found};
  sheaf__openai_output_text(&whole, sheaf_json_member(response, "output"));
  if (whole.joined > 0) stream->tokens_seen++;
  if (whole.joined == 1) sheaf_buf_append_slice(&stream->text, found.text_json);
}

static void response_event(sheaf_slice data, sheaf_stream *stream) {
  enum { TYPE, DELTA, RESPONSE, ERROR, COUNT };
  static const char *const paths[COUNT] = {
      [TYPE] = "type", [DELTA] = "delta", [RESPONSE] = "response", [ERROR] = "error"};
  sheaf_slice values[COUNT];
  if (sheaf__stream_pick(stream, data, paths, COUNT, values) != SHEAF_OK) return;
  sheaf_slice type = values[TYPE];
  if (type_is(type, "response.output_text.delta") || type_is(type, "response.refusal.delta")) {
    sheaf__stream_text(stream, sheaf_json_inside(values[DELTA]));
  } else if (type_is(type, "response.reasoning_text.delta") ||
             type_is(type, "response.reasoning_summary_text.delta") ||
             type_is(type, "response.function_call_arguments.delta")) {
    stream->tokens_seen++;
  } else if (type_is(type, "response.completed") || type_is(type, "response.incomplete") ||
             type_is(type, "response.failed")) {
    response_end(values[RESPONSE], stream);
  } else if (type_is(type, "error") || sheaf__is_error(values[ERROR])) {
    sheaf__fault fault = {0};
    sheaf__fault_from(&fault, values[ERROR], sheaf__document(data));
    sheaf__stream_fault(stream, &fault);
  }
}

int32_t sheaf__openai_event(const sheaf_provider *provider, sheaf_slice event, sheaf_slice data,
                            sheaf_stream *stream) {
  (void)provider,
      (void)event; /* the type in the JSON says the same, and some servers leave the name out */
  if (stream->terminal || data.bytes == 0) return SHEAF_OK;
  bool is_response = stream->operation == SHEAF__OPENAI_RESPONSES;
  if (is_done_mark(data)) {
    if (!is_response) on_done_mark(stream);
  } else if (is_response) {
    response_event(data, stream);
  } else {
    chat_event(data, stream);
  }
  return sheaf__stream_status(stream);
}

/* ---- Limits ---- */

static uint32_t read_limits(const sheaf_provider *provider, const sheaf_reply *reply,
                            sheaf_limit *limits) {
  (void)provider;
  static const sheaf__limit_name names[] = {
      {"requests", SHEAF_RESOURCE_REQUESTS},
      {"tokens", SHEAF_RESOURCE_TOKENS},
  };
  /* x-ratelimit-limit-requests */
  return sheaf__read_limits(reply, "x-ratelimit-", false, names, 2, limits);
}

static int32_t classify(const sheaf_provider *provider, const sheaf_reply *reply,
                        sheaf_buf *scratch, sheaf_decoded *decoded) {
  (void)provider;
  sheaf_classify_common(reply, scratch, decoded);
  return scratch->status;
}

static const sheaf_header headers[] = {
    {.name = SHEAF__TEXT("Authorization"), .value = SHEAF__TEXT("Bearer "), .credential_id = 1},
    {.name = SHEAF__TEXT("Content-Type"), .value = SHEAF__TEXT("application/json")},
};

/* What all servers that speak this language have in common. */
#define DIALECT                                                                         \
  .struct_bytes = sizeof(sheaf_provider), .framing = SHEAF_FRAMING_SSE,                 \
  .charge_tokens = SHEAF_CHARGE_RESERVE_MAX, .charge_output = SHEAF_CHARGE_RESERVE_MAX, \
  .build = sheaf__openai_build, .decode = sheaf__openai_decode, .classify = classify,   \
  .event = SHEAF__EVENT(sheaf__openai_event), .read_limits = read_limits,               \
  .tool_call = sheaf__openai_tool_call, .traits = sheaf__openai_traits,                 \
  .share = sheaf__openai_share, .items = sheaf__openai_items, .part = sheaf__openai_part

const sheaf_provider sheaf__openai = {
    DIALECT,
    .name = "openai",
    .base_url = "https://api.openai.com/v1",
    .key_variables = "OPENAI_API_KEY",
    .headers = headers,
    .header_count = sizeof headers / sizeof headers[0],
    .jobs = SHEAF__JOBS(sheaf__openai_jobs),
};

#if SHEAF__HAS_JOBS

static const sheaf_header azure_headers[] = {
    {.name = SHEAF__TEXT("api-key"), .credential_id = 1},
    {.name = SHEAF__TEXT("Content-Type"), .value = SHEAF__TEXT("application/json")},
};

/* Every resource has its own address: https://RESOURCE.openai.azure.com/openai/v1. */
const sheaf_provider sheaf__azure = {
    DIALECT,
    .name = "azure",
    .base_url = "",
    .key_variables = "AZURE_OPENAI_API_KEY",
    .headers = azure_headers,
    .header_count = sizeof azure_headers / sizeof azure_headers[0],
    .jobs = SHEAF__JOBS(sheaf__azure_jobs),
};

const sheaf_provider sheaf__groq = {
    DIALECT,
    .name = "groq",
    .base_url = "https://api.groq.com/openai/v1",
    .key_variables = "GROQ_API_KEY",
    .headers = headers,
    .header_count = sizeof headers / sizeof headers[0],
    .jobs = SHEAF__JOBS(sheaf__groq_jobs),
};

const sheaf_provider sheaf__mistral = {
    DIALECT,
    .name = "mistral",
    .base_url = "https://api.mistral.ai/v1",
    .key_variables = "MISTRAL_API_KEY",
    .headers = headers,
    .header_count = sizeof headers / sizeof headers[0],
    .jobs = SHEAF__JOBS(sheaf__mistral_jobs),
};

#endif
