/* test_classify.c: what an error reply means: class, billing, scope, wait, code, message. One line
 * a case; the table is the providers' own pages (OpenAI error codes, Anthropic errors, Google
 * troubleshooting, Ollama and llama.cpp sources), as of 2026-11. */
#include "provider_test.h"

#define MS(n) ((uint64_t)(n)*1000000u)

typedef struct error_case {
  const char *provider;
  uint32_t status;
  const char *headers;
  const char *body;
  uint32_t error_class;
  uint32_t billing;
  uint32_t scope;
  uint64_t wait_ns;
  const char *code;
  const char *message; /* NULL: not looked at */
} error_case;

enum {
  POOL = SHEAF_SCOPE_POOL,
  AT_ONCE = SHEAF_SCOPE_CONCURRENCY,
  ENDPOINT = SHEAF_SCOPE_ENDPOINT,
  REQUEST = SHEAF_SCOPE_REQUEST
};
#define NO_WAIT SHEAF_NEVER
#define ANTHROPIC(type, message)                                                \
  "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message \
  "\"},\"request_id\":\"req_9\"}"
#define GOOGLE(code, status, message, details)                                     \
  "{\"error\":{\"code\":" code ",\"message\":\"" message "\",\"status\":\"" status \
  "\",\"details\":[" details "]}}"

static const error_case cases[] = {
    /* OpenAI: two kinds of 429, told apart by code and type together */
    {"openai", 429, "retry-after-ms: 250\nretry-after: 9\n",
     "{\"error\":{\"message\":\"Rate limit reached\",\"type\":\"requests\",\"param\":null,\"code\":"
     "\"rate_limit_exceeded\"}}",
     CLASS(RATE_LIMIT), REFUSED, POOL, MS(250), "rate_limit_exceeded", "Rate limit reached"},
    {"openai", 429, "",
     "{\"error\":{\"message\":\"No "
     "credit\",\"type\":\"insufficient_quota\",\"param\":null,\"code\":"
     "\"credit_balance_exhausted\"}}",
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "credit_balance_exhausted", "No credit"},
    {"openai", 429, "",
     "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":null}}", CLASS(QUOTA),
     REFUSED, POOL, NO_WAIT, "insufficient_quota", "m"},
    {"openai", 429, "",
     "{\"error\":{\"message\":\"m\",\"type\":\"x\",\"code\":\"project_spend_limit_exceeded\"}}",
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "project_spend_limit_exceeded", "m"},
    {"openai", 429, "",
     "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":\"rate_limit_"
     "exceeded\"}}",
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "rate_limit_exceeded", "m"},
    {"openai", 429, "", "{\"error\":{\"message\":\"m\",\"code\":\"slow_down\"}}", CLASS(OVERLOADED),
     REFUSED, ENDPOINT, NO_WAIT, "slow_down", "m"},
    {"openai", 503, "retry-after: 2\n", "{\"error\":{\"message\":\"m\",\"code\":\"slow_down\"}}",
     CLASS(OVERLOADED), REFUSED, ENDPOINT, MS(2000), "slow_down", "m"},
    {"openai", 429, "",
     "{\"error\":{\"message\":\"Too many concurrent requests\",\"type\":\"requests\"}}",
     CLASS(RATE_LIMIT), REFUSED, AT_ONCE, NO_WAIT, "requests", NULL},
    {"openai", 429, "",
     "{\"error\":{\"message\":\"Request too large for m\",\"type\":\"tokens\",\"code\":"
     "\"rate_limit_exceeded\"}}",
     CLASS(RATE_LIMIT), REFUSED, REQUEST, NO_WAIT, "rate_limit_exceeded", NULL},
    {"openai", 429,
     "Retry-After: Wed, 18 Nov 2026 11:06:45 GMT\nDate: Wed, 18 Nov 2026 11:06:40 GMT\n", "",
     CLASS(RATE_LIMIT), REFUSED, POOL, MS(5000), "", "the reply had no body"},
    {"openai", 400, "",
     "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"code\":"
     "\"context_length_exceeded\"}}",
     CLASS(CONTEXT_LENGTH), REFUSED, REQUEST, NO_WAIT, "context_length_exceeded", "too long"},
    {"openai", 400, "",
     "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"code\":\"unsupported_"
     "parameter\"}}",
     CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "unsupported_parameter", "m"},
    {"openai", 400, "", "{\"error\":{\"message\":\"m\",\"code\":\"content_policy_violation\"}}",
     CLASS(CONTENT_FILTER), REFUSED, REQUEST, NO_WAIT, "content_policy_violation", "m"},
    {"openai", 401, "", "{\"error\":{\"message\":\"Bad key\",\"code\":\"invalid_api_key\"}}",
     CLASS(AUTH), REFUSED, POOL, NO_WAIT, "invalid_api_key", "Bad key"},
    {"openai", 403, "", "{\"error\":{\"message\":\"Country not supported\"}}", CLASS(AUTH), REFUSED,
     REQUEST, NO_WAIT, "", NULL},
    {"openai", 403, "", "{\"error\":{\"message\":\"m\",\"code\":\"model_not_found\"}}",
     CLASS(NOT_FOUND), REFUSED, REQUEST, NO_WAIT, "model_not_found", "m"},
    {"openai", 404, "", "{\"error\":{\"message\":\"m\",\"code\":\"model_not_found\"}}",
     CLASS(NOT_FOUND), REFUSED, REQUEST, NO_WAIT, "model_not_found", "m"},
    {"openai", 500, "", "{\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}", CLASS(SERVER),
     REFUSED, REQUEST, NO_WAIT, "server_error", "m"},
    /* a word that says nothing does not outweigh the status */
    {"openai", 429, "", "{\"error\":{\"message\":\"m\",\"type\":\"api_error\"}}", CLASS(RATE_LIMIT),
     REFUSED, POOL, NO_WAIT, "api_error", "m"},
    {"openai", 503, "", "{\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}",
     CLASS(OVERLOADED), REFUSED, ENDPOINT, NO_WAIT, "server_error", "m"},

    /* Azure */
    {"openai", 400, "",
     "{\"error\":{\"message\":\"filtered\",\"code\":\"content_filter\",\"status\":400,"
     "\"innererror\":{"
     "\"code\":\"ResponsibleAIPolicyViolation\",\"content_filter_result\":{}}}}",
     CLASS(CONTENT_FILTER), REFUSED, REQUEST, NO_WAIT, "ResponsibleAIPolicyViolation", "filtered"},

    /* servers that speak OpenAI's language in dialects */
    {"openai", 400, "",
     "{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens.\","
     "\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
     CLASS(CONTEXT_LENGTH), REFUSED, REQUEST, NO_WAIT, "BadRequestError", NULL},
    {"openai", 404, "", "{\"error\":{\"message\":\"m\",\"type\":\"NotFoundError\",\"code\":404}}",
     CLASS(NOT_FOUND), REFUSED, REQUEST, NO_WAIT, "NotFoundError", "m"},
    {"openai", 503, "",
     "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
     CLASS(OVERLOADED), REFUSED, ENDPOINT, NO_WAIT, "unavailable_error", "Loading model"},
    {"openai", 400, "",
     "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context "
     "size\",\"type\":"
     "\"exceed_context_size_error\"}}",
     CLASS(CONTEXT_LENGTH), REFUSED, REQUEST, NO_WAIT, "exceed_context_size_error", NULL},
    {"openai", 422, "",
     "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\",\"type\":\"x\"}]}",
     CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "", "field required"},
    {"openai", 422, "",
     "{\"object\":\"error\",\"message\":\"flat\",\"type\":\"invalid_request_error\",\"param\":null,"
     "\"code\":"
     "\"3051\"}",
     CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "invalid_request_error", "flat"},
    {"openai", 400, "", "{\"error\":\"plain\"}", CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT,
     "", "plain"},
    {"openai", 402, "", "{\"error\":{\"message\":\"Insufficient Balance\",\"code\":null}}",
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "", "Insufficient Balance"},
    {"openai", 498, "", "{\"error\":{\"message\":\"flex capacity\"}}", CLASS(OVERLOADED), REFUSED,
     ENDPOINT, NO_WAIT, "", NULL},

    /* proxies */
    {"openai", 502, "",
     "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>",
     CLASS(SERVER), REFUSED, REQUEST, NO_WAIT, "", "502 Bad Gateway"},
    {"openai", 520, "", "  upstream\n\tbroke  ", CLASS(SERVER), REFUSED, REQUEST, NO_WAIT, "",
     "upstream broke "},
    {"openai", 524, "", "<TITLE>a timeout</TITLE>", CLASS(SERVER), DOUBT, REQUEST, NO_WAIT, "",
     "a timeout"},
    {"openai", 301, "", "<html>moved</html>", CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "",
     "the server redirects; check the base URL"},
    {"openai", 504, "", "", CLASS(SERVER), DOUBT, REQUEST, NO_WAIT, "", NULL},
    {"openai", 408, "", "", CLASS(TIMEOUT), DOUBT, REQUEST, NO_WAIT, "", NULL},
    {"openai", 499, "", "", CLASS(CANCELLED), DOUBT, REQUEST, NO_WAIT, "", NULL},
    {"openai", 413, "", "", CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "", NULL},
    {"openai", 405, "", "", CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "", NULL},
    {"openai", 410, "", "", CLASS(NOT_FOUND), REFUSED, REQUEST, NO_WAIT, "", NULL},
    {"openai", 425, "", "", CLASS(SERVER), REFUSED, REQUEST, NO_WAIT, "", NULL},
    {"openai", 529, "", "", CLASS(OVERLOADED), REFUSED, ENDPOINT, NO_WAIT, "", NULL},

    /* Anthropic */
    {"anthropic", 529, "", ANTHROPIC("overloaded_error", "Overloaded"), CLASS(OVERLOADED), REFUSED,
     ENDPOINT, NO_WAIT, "overloaded_error", "Overloaded"},
    {"anthropic", 429, "retry-after: 12\n", ANTHROPIC("rate_limit_error", "slow"),
     CLASS(RATE_LIMIT), REFUSED, POOL, MS(12000), "rate_limit_error", "slow"},
    {"anthropic", 429, "",
     "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\",\"details\":{"
     "\"error_code\":\"enforced_spend_limit_reached\"}}}",
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "enforced_spend_limit_reached", "m"},
    {"anthropic", 429, "retry-after: 3\n",
     "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\",\"details\":{"
     "\"error_code\":\"ramp_limit_exceeded\"}}}",
     CLASS(RATE_LIMIT), REFUSED, POOL, MS(3000), "ramp_limit_exceeded", "m"},
    {"anthropic", 400, "",
     ANTHROPIC(
         "invalid_request_error",
         "You have reached your specified API usage limits. You will regain access on 2026-12-01"),
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "invalid_request_error", NULL},
    {"anthropic", 400, "",
     ANTHROPIC("invalid_request_error", "Your credit balance is too low to access the API"),
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "invalid_request_error", NULL},
    {"anthropic", 400, "", ANTHROPIC("invalid_request_error", "prompt is too long: 210000 tokens"),
     CLASS(CONTEXT_LENGTH), REFUSED, REQUEST, NO_WAIT, "invalid_request_error", NULL},
    {"anthropic", 400, "", ANTHROPIC("invalid_request_error", "temperature: not supported"),
     CLASS(INVALID_REQUEST), REFUSED, REQUEST, NO_WAIT, "invalid_request_error", NULL},
    {"anthropic", 401, "", ANTHROPIC("authentication_error", "m"), CLASS(AUTH), REFUSED, POOL,
     NO_WAIT, "authentication_error", "m"},
    {"anthropic", 402, "", ANTHROPIC("billing_error", "m"), CLASS(QUOTA), REFUSED, POOL, NO_WAIT,
     "billing_error", "m"},
    {"anthropic", 403, "", ANTHROPIC("permission_error", "m"), CLASS(AUTH), REFUSED, REQUEST,
     NO_WAIT, "permission_error", "m"},
    {"anthropic", 404, "", ANTHROPIC("not_found_error", "m"), CLASS(NOT_FOUND), REFUSED, REQUEST,
     NO_WAIT, "not_found_error", "m"},
    {"anthropic", 409, "", ANTHROPIC("conflict_error", "m"), CLASS(INVALID_REQUEST), REFUSED,
     REQUEST, NO_WAIT, "conflict_error", "m"},
    {"anthropic", 413, "", ANTHROPIC("request_too_large", "m"), CLASS(INVALID_REQUEST), REFUSED,
     REQUEST, NO_WAIT, "request_too_large", "m"},
    {"anthropic", 500, "", ANTHROPIC("api_error", "m"), CLASS(SERVER), REFUSED, REQUEST, NO_WAIT,
     "api_error", "m"},
    {"anthropic", 504, "", ANTHROPIC("timeout_error", "m"), CLASS(TIMEOUT), DOUBT, REQUEST, NO_WAIT,
     "timeout_error", "m"},

    /* Gemini: delays and quotas stand in the body */
    {"gemini", 429, "",
     GOOGLE("429", "RESOURCE_EXHAUSTED", "Quota exceeded",
            "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"47.25s\"}"),
     CLASS(RATE_LIMIT), REFUSED, POOL, MS(47250), "RESOURCE_EXHAUSTED", "Quota exceeded"},
    {"gemini", 429, "retry-after: 1\n",
     GOOGLE("429", "RESOURCE_EXHAUSTED", "m",
            "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"34s\"}"),
     CLASS(RATE_LIMIT), REFUSED, POOL, MS(1000), "RESOURCE_EXHAUSTED", "m"},
    {"gemini", 429, "",
     GOOGLE(
         "429", "RESOURCE_EXHAUSTED", "m",
         "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":[{\"quotaId\":"
         "\"GenerateRequestsPerDayPerProjectPerModel-FreeTier\",\"quotaValue\":\"50\"}]}"),
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "RESOURCE_EXHAUSTED", "m"},
    {"gemini", 429, "",
     "[{\"error\":{\"code\":429,\"message\":\"in an array\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
     CLASS(RATE_LIMIT), REFUSED, POOL, NO_WAIT, "RESOURCE_EXHAUSTED", "in an array"},
    {"gemini", 400, "",
     GOOGLE(
         "400", "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
         "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\"}"),
     CLASS(AUTH), REFUSED, POOL, NO_WAIT, "INVALID_ARGUMENT", NULL},
    {"gemini", 400, "",
     GOOGLE("400", "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum allowed (8)",
            ""),
     CLASS(CONTEXT_LENGTH), REFUSED, REQUEST, NO_WAIT, "INVALID_ARGUMENT", NULL},
    {"gemini", 400, "", GOOGLE("400", "INVALID_ARGUMENT", "bad field", ""), CLASS(INVALID_REQUEST),
     REFUSED, REQUEST, NO_WAIT, "INVALID_ARGUMENT", "bad field"},
    {"gemini", 400, "", GOOGLE("400", "FAILED_PRECONDITION", "Please enable billing", ""),
     CLASS(QUOTA), REFUSED, POOL, NO_WAIT, "FAILED_PRECONDITION", NULL},
    {"gemini", 400, "", GOOGLE("400", "FAILED_PRECONDITION", "User location is not supported", ""),
     CLASS(AUTH), REFUSED, POOL, NO_WAIT, "FAILED_PRECONDITION", NULL},
    {"gemini", 403, "", GOOGLE("403", "PERMISSION_DENIED", "m", ""), CLASS(AUTH), REFUSED, REQUEST,
     NO_WAIT, "PERMISSION_DENIED", "m"},
    {"gemini", 404, "", GOOGLE("404", "NOT_FOUND", "m", ""), CLASS(NOT_FOUND), REFUSED, REQUEST,
     NO_WAIT, "NOT_FOUND", "m"},
    {"gemini", 500, "", GOOGLE("500", "INTERNAL", "m", ""), CLASS(SERVER), REFUSED, REQUEST,
     NO_WAIT, "INTERNAL", "m"},
    {"gemini", 503, "", GOOGLE("503", "UNAVAILABLE", "m", ""), CLASS(OVERLOADED), REFUSED, ENDPOINT,
     NO_WAIT, "UNAVAILABLE", "m"},
    {"gemini", 504, "", GOOGLE("504", "DEADLINE_EXCEEDED", "m", ""), CLASS(TIMEOUT), DOUBT, REQUEST,
     NO_WAIT, "DEADLINE_EXCEEDED", "m"},
    {"gemini", 499, "", GOOGLE("499", "CANCELLED", "m", ""), CLASS(CANCELLED), DOUBT, REQUEST,
     NO_WAIT, "CANCELLED", "m"},

    /* Ollama: the error is a string */
    {"ollama", 503, "",
     "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}",
     CLASS(OVERLOADED), REFUSED, ENDPOINT, NO_WAIT, "",
     "server busy, please try again.  maximum pending requests exceeded"},
    {"ollama", 404, "", "{\"error\":\"model 'x' not found\"}", CLASS(NOT_FOUND), REFUSED, REQUEST,
     NO_WAIT, "", "model 'x' not found"},
    {"ollama", 401, "", "{\"error\":\"unauthorized\",\"signin_url\":\"https://x\"}", CLASS(AUTH),
     REFUSED, POOL, NO_WAIT, "", "unauthorized"},
    {"ollama", 400, "", "{\"error\":\"missing request body\"}", CLASS(INVALID_REQUEST), REFUSED,
     REQUEST, NO_WAIT, "", "missing request body"},
};

TEST(every_error_of_the_table_has_its_class_billing_scope_and_wait) {
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const error_case *c = &cases[i];
    wire_test test;
    int bad = check_bad;
    wire_init(&test, c->provider);
    CHECK_OK(wire_classify(&test, c->status, c->headers, c->body));
    const sheaf_decoded *d = &test.decoded;
    CHECK_EQ(d->error_class, c->error_class);
    CHECK_EQ(d->billing, c->billing);
    CHECK_EQ(d->scope, c->scope);
    CHECK_EQ(d->retry_after_ns, c->wait_ns);
    CHECK_TEXT(d->error_code, c->code);
    CHECK(d->error_message.bytes > 0);
    if (c->message) CHECK_TEXT(d->error_message, c->message);
    CHECK(sheaf_slice_of(sheaf_class_name(d->error_class)).bytes > 0);
    wire_deinit(&test);
    if (check_bad != bad) printf("  in case %zu: %s %u %s\n", i, c->provider, c->status, c->body);
  }
}

TEST(request_ids_and_should_retry_come_from_headers_of_any_case) {
  wire_test test;
  wire_init(&test, "openai");
  CHECK_OK(wire_classify(&test, 500, "X-Request-ID: req-1\r\nx-should-retry: false\r\n", ""));
  CHECK_TEXT(test.decoded.request_id, "req-1");
  CHECK_EQ(test.decoded.should_retry, 0);
  CHECK_OK(wire_classify(&test, 400, "request-id: req-2\nX-Should-Retry: true\n", ""));
  CHECK_TEXT(test.decoded.request_id, "req-2");
  CHECK_EQ(test.decoded.should_retry, 1);
  CHECK_OK(wire_classify(&test, 400, "content-length: 0\n", ""));
  CHECK_EQ(test.decoded.should_retry, -1);
  CHECK_TEXT(test.decoded.request_id, "");
  wire_deinit(&test);
  wire_init(&test, "anthropic");
  CHECK_OK(wire_classify(&test, 500, "", ANTHROPIC("api_error", "m")));
  CHECK_TEXT(test.decoded.request_id, "req_9");
  wire_deinit(&test);
}

TEST(a_conflict_is_tried_once_more_unless_the_server_says_no) {
  wire_test test;
  wire_init(&test, "openai");
  CHECK_OK(wire_classify(&test, 409, "", ""));
  CHECK_EQ(test.decoded.should_retry, 1);
  CHECK_OK(wire_classify(&test, 409, "x-should-retry: false\n", ""));
  CHECK_EQ(test.decoded.should_retry, 0);
  wire_deinit(&test);
}

TEST(a_request_larger_than_the_limit_is_not_worth_a_retry) {
  wire_test test;
  wire_init(&test, "openai");
  CHECK_OK(
      wire_classify(&test, 429, "", "{\"error\":{\"message\":\"Request too large for gpt\"}}"));
  CHECK(!test.decoded.retryable);
  CHECK_OK(wire_classify(&test, 429, "", "{\"error\":{\"message\":\"Rate limit\"}}"));
  CHECK(test.decoded.retryable);
  wire_deinit(&test);
}

TEST(messages_are_plain_text_and_cut_between_characters) {
  wire_test test;
  char body[4000];
  wire_init(&test, "openai");
  CHECK_OK(
      wire_classify(&test, 400, "",
                    "{\"error\":{\"message\":\"say \\\"no\\\" \\u00e9\\n\",\"code\":\"a\\/b\"}}"));
  CHECK_TEXT(test.decoded.error_message, "say \"no\" \xC3\xA9\n");
  CHECK_TEXT(test.decoded.error_code, "a/b");

  /* 998 bytes, then a character of three: it does not fit into 1000, and is left out whole. */
  size_t at = 0;
  memcpy(body, "{\"error\":\"", 10);
  at = 10;
  memset(body + at, 'x', 998);
  at += 998;
  memcpy(body + at, "\xE2\x82\xAC\xE2\x82\xAC\"}", 9);
  CHECK_OK(wire_classify(&test, 400, "", body));
  CHECK_EQ(test.decoded.error_message.bytes, 998);

  /* the same with an escape in its place, which makes the message a copy */
  memcpy(body + at, "\\u20ac\\n\"}", 11);
  CHECK_OK(wire_classify(&test, 400, "", body));
  CHECK_EQ(test.decoded.error_message.bytes, 998);

  memset(body, 'x', 299); /* an excerpt has at most 300 bytes */
  memcpy(body + 299, "\xC3\xA9yyy", 6);
  CHECK_OK(wire_classify(&test, 500, "", body));
  CHECK_EQ(test.decoded.error_message.bytes, 299);
  wire_deinit(&test);
}

TEST(odd_bodies_do_no_harm) {
  static const char *const bodies[] = {
      "[]",
      "[1]",
      "null",
      "\"text\"",
      "{}",
      "{\"error\":null}",
      "{\"error\":[]}",
      "{\"error\":{}}",
      "{\"error\":5}",
      "{\"error\":{\"message\":5,\"code\":[],\"type\":{},\"details\":5,\"innererror\":1}}",
      "{\"detail\":[]}",
      "{\"detail\":[5]}",
      "{\"detail\":5}",
      "{\"error\"",
      "\xEF\xBB\xBF{\"error\":\"x\"}",
      "\xFF\xFE",
      "<",
      "<title>",
      "<title><",
      "{\"error\":{\"details\":[{\"@type\":5},5,{\"@type\":\"google.rpc.RetryInfo\"}]}}",
      "{\"error\":{\"details\":[{\"@type\":\"google.rpc.QuotaFailure\",\"violations\":[5,{}]}]}}"};
  static const char *const names[] = {"openai", "anthropic", "gemini", "ollama"};
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    for (size_t j = 0; j < 4; j++) {
      wire_test test;
      wire_init(&test, names[j]);
      CHECK_OK(wire_classify(&test, 500, "", bodies[i]));
      CHECK_EQ(test.decoded.error_class, SHEAF_CLASS_SERVER);
      wire_deinit(&test);
    }
  }
}

TEST(lack_of_memory_is_told_and_leaks_nothing) {
  wire_test test;
  wire_init(&test, "openai");
  test.memory.fail_at = 1;
  CHECK_STATUS(wire_classify(&test, 400, "", "{\"error\":{\"message\":\"a\\nb\"}}"), SHEAF_E_NOMEM);
  CHECK_EQ(test.decoded.error_class, SHEAF_CLASS_INVALID_REQUEST);
  test.memory.fail_at = 0;
  wire_deinit(&test);
}

TEST(a_provider_of_ones_own_may_fall_back_on_the_common_rules) {
  wire_test test;
  wire_init(&test, "openai");
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = 429,
                       .headers = TEXT("retry-after: 1.5\n"),
                       .body = TEXT("{\"error\":{\"message\":\"m\"}}")};
  sheaf_classify_common(&reply, &test.scratch, &test.decoded);
  CHECK_EQ(test.decoded.error_class, SHEAF_CLASS_RATE_LIMIT);
  CHECK_EQ(test.decoded.retry_after_ns, MS(1500));
  CHECK_TEXT(test.decoded.error_message, "m");
  reply.body =
      TEXT("{\"error\":{\"message\":\"a\\nb\"}}"); /* without scratch, what needs it is left out */
  sheaf_classify_common(&reply, NULL, &test.decoded);
  CHECK_EQ(test.decoded.error_class, SHEAF_CLASS_RATE_LIMIT);
  CHECK_TEXT(test.decoded.error_message, "");
  reply = (sheaf_reply){.struct_bytes = sizeof reply, .http_status = 503};
  sheaf_classify_common(&reply, NULL, &test.decoded);
  CHECK_EQ(test.decoded.error_class, SHEAF_CLASS_OVERLOADED);
  CHECK_TEXT(test.decoded.error_message, "the reply had no body");
  wire_deinit(&test);
}

int main(void) {
  RUN(every_error_of_the_table_has_its_class_billing_scope_and_wait);
  RUN(request_ids_and_should_retry_come_from_headers_of_any_case);
  RUN(a_conflict_is_tried_once_more_unless_the_server_says_no);
  RUN(a_request_larger_than_the_limit_is_not_worth_a_retry);
  RUN(messages_are_plain_text_and_cut_between_characters);
  RUN(odd_bodies_do_no_harm);
  RUN(lack_of_memory_is_told_and_leaks_nothing);
  RUN(a_provider_of_ones_own_may_fall_back_on_the_common_rules);
  return check_report();
}
