/* classify.c: what an error means: its class, whom it concerns, and what it cost.
 *
 * Outline: reading a fault from a body of any known shape; words (codes and types of all
 * providers); texts (for providers that have no code for it); statuses; settling. The rules are
 * protocols 8.2; billing follows algorithms 7: a status is a verdict, but a timeout of the server's
 * may hide work that was done. */
#include "providers/decoding.h"

#include "base/mem.h"
#include "wire/http.h"

/* ---- Reading a fault ---- */

static sheaf_slice word_of(sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  if (kind == SHEAF_JSON_STRING) return sheaf_json_inside(value);
  return kind == SHEAF_JSON_NUMBER ? value : (sheaf_slice){NULL, 0};
}

/* A number that can be an HTTP status; servers put it under code or status. */
static uint32_t status_of(sheaf_slice value) {
  int64_t number = 0;
  if (value.bytes == 0 || sheaf_json_int(value, &number) != SHEAF_OK) return 0;
  return number >= 300 && number <= 599 ? (uint32_t)number : 0;
}

/* FastAPI's {"detail": "text"} and {"detail": [{"msg": "text"}]}. */
static sheaf_slice detail_text(sheaf_slice detail) {
  if (sheaf_json_kind(detail) == SHEAF_JSON_STRING) return sheaf_json_inside(detail);
  sheaf_json_iter iter;
  sheaf_slice key, first;
  if (sheaf_json_kind(detail) != SHEAF_JSON_ARRAY) return (sheaf_slice){NULL, 0};
  if (sheaf_json_iter_init(&iter, detail) != SHEAF_OK) return (sheaf_slice){NULL, 0};
  if (sheaf_json_iter_next(&iter, &key, &first) != SHEAF_OK) return (sheaf_slice){NULL, 0};
  if (sheaf_json_kind(first) != SHEAF_JSON_OBJECT) return sheaf_json_inside(first);
  return sheaf_json_inside(sheaf_json_member(first, "msg"));
}

static void read_words(sheaf__fault *fault, sheaf_slice object) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (sheaf__is(key, "message")) {
      if (sheaf_json_kind(value) == SHEAF_JSON_STRING) fault->message = sheaf_json_inside(value);
    } else if (sheaf__is(key, "msg") || sheaf__is(key, "detail")) {
      if (fault->message.bytes == 0) fault->message = detail_text(value);
    } else if (sheaf__is(key, "code")) {
      fault->code = word_of(value);
      if (fault->status == 0) fault->status = status_of(value);
    } else if (sheaf__is(key, "type")) {
      if (!sheaf_json_equals(value, "error")) fault->type = word_of(value);
    } else if (sheaf__is(key, "status") || sheaf__is(key, "status_code")) {
      /* Google's status is a word, others' a number. */
      if (sheaf_json_kind(value) == SHEAF_JSON_STRING) fault->type = sheaf_json_inside(value);
      if (fault->status == 0) fault->status = status_of(value);
    } else if (sheaf__is(key, "details")) {
      if (sheaf_json_kind(value) == SHEAF_JSON_ARRAY) fault->details = value;
      if (sheaf_json_kind(value) == SHEAF_JSON_OBJECT) {
        fault->detail = word_of(sheaf_json_member(value, "error_code"));
      }
    } else if (sheaf__is(key, "innererror")) {
      if (sheaf_json_kind(value) == SHEAF_JSON_OBJECT) {
        fault->detail = word_of(sheaf_json_member(value, "code"));
      }
    }
  }
}

bool sheaf__is_error(sheaf_slice value) {
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_OBJECT: {
      sheaf_json_iter iter;
      sheaf_slice key, member;
      if (sheaf_json_iter_init(&iter, value) != SHEAF_OK) return false;
      return sheaf_json_iter_next(&iter, &key, &member) == SHEAF_OK;
    }
    case SHEAF_JSON_STRING: return sheaf_json_inside(value).bytes > 0;
    case SHEAF_JSON_BOOL: return sheaf_json_true(value);
    case SHEAF_JSON_NUMBER:
    case SHEAF_JSON_ARRAY: return true;
    default: return false;
  }
}

void sheaf__fault_from(sheaf__fault *fault, sheaf_slice error, sheaf_slice root) {
  fault->raw = error.bytes > 0 ? error : root;
  uint32_t kind = sheaf_json_kind(error);
  if (kind == SHEAF_JSON_OBJECT) {
    read_words(fault, error);
    return;
  }
  if (sheaf_json_kind(root) == SHEAF_JSON_OBJECT) read_words(fault, root);
  if (kind != SHEAF_JSON_STRING) return;
  if (fault->message.bytes == 0) {
    fault->message = sheaf_json_inside(error);
  } else if (fault->type.bytes == 0) {
    fault->type = sheaf_json_inside(error);
  }
}

bool sheaf__fault_read(sheaf__fault *fault, sheaf_slice body) {
  body = sheaf__document(body);
  fault->raw = body;
  if (sheaf_json_check(body, NULL) != SHEAF_OK) return false;
  sheaf_slice root = body;
  sheaf_json_iter iter;
  sheaf_slice key;
  if (sheaf_json_kind(root) ==
      SHEAF_JSON_ARRAY) { /* Gemini wraps an error in an array of one now and then */
    if (sheaf_json_iter_init(&iter, root) != SHEAF_OK) return true;
    if (sheaf_json_iter_next(&iter, &key, &root) != SHEAF_OK) return true;
  }
  if (sheaf_json_kind(root) != SHEAF_JSON_OBJECT) {
    fault->message = sheaf_json_inside(root);
    return true;
  }
  sheaf__fault_from(fault, sheaf_json_member(root, "error"), root);
  return true;
}

/* ---- Words ---- */

/* A weak word only decides where no status does: servers put "api_error" and the like on anything.
 */
typedef struct error_word {
  const char *word;
  uint32_t error_class;
  bool is_weak;
} error_word;

static const error_word words[] = {
    {"insufficient_quota", SHEAF_CLASS_QUOTA, false},
    {"credit_balance_exhausted", SHEAF_CLASS_QUOTA, false},
    {"organization_usage_limit_exceeded", SHEAF_CLASS_QUOTA, false},
    {"enforced_spend_limit_reached", SHEAF_CLASS_QUOTA, false},
    {"contract_spend_limit_reached", SHEAF_CLASS_QUOTA, false},
    {"billing_error", SHEAF_CLASS_QUOTA, false},
    {"slow_down", SHEAF_CLASS_OVERLOADED, false},
    {"overloaded_error", SHEAF_CLASS_OVERLOADED, false},
    {"UNAVAILABLE", SHEAF_CLASS_OVERLOADED, false},
    {"unavailable_error", SHEAF_CLASS_OVERLOADED, false},
    {"rate_limit_exceeded", SHEAF_CLASS_RATE_LIMIT, false},
    {"rate_limit_error", SHEAF_CLASS_RATE_LIMIT, false},
    {"ramp_limit_exceeded", SHEAF_CLASS_RATE_LIMIT, false},
    {"RESOURCE_EXHAUSTED", SHEAF_CLASS_RATE_LIMIT, false},
    {"context_length_exceeded", SHEAF_CLASS_CONTEXT_LENGTH, false},
    {"exceed_context_size_error", SHEAF_CLASS_CONTEXT_LENGTH, false},
    {"exceed_context_size", SHEAF_CLASS_CONTEXT_LENGTH, false},
    {"content_filter", SHEAF_CLASS_CONTENT_FILTER, false},
    {"content_policy_violation", SHEAF_CLASS_CONTENT_FILTER, false},
    {"ResponsibleAIPolicyViolation", SHEAF_CLASS_CONTENT_FILTER, false},
    {"invalid_api_key", SHEAF_CLASS_AUTH, false},
    {"authentication_error", SHEAF_CLASS_AUTH, false},
    {"permission_error", SHEAF_CLASS_AUTH, false},
    {"PERMISSION_DENIED", SHEAF_CLASS_AUTH, false},
    {"UNAUTHENTICATED", SHEAF_CLASS_AUTH, false},
    {"model_not_found", SHEAF_CLASS_NOT_FOUND, false},
    {"not_found_error", SHEAF_CLASS_NOT_FOUND, false},
    {"NOT_FOUND", SHEAF_CLASS_NOT_FOUND, false},
    {"NotFoundError", SHEAF_CLASS_NOT_FOUND, false},
    {"timeout_error", SHEAF_CLASS_TIMEOUT, false},
    {"DEADLINE_EXCEEDED", SHEAF_CLASS_TIMEOUT, false},
    {"CANCELLED", SHEAF_CLASS_CANCELLED, true},
    {"api_error", SHEAF_CLASS_SERVER, true},
    {"server_error", SHEAF_CLASS_SERVER, true},
    {"vector_store_timeout", SHEAF_CLASS_SERVER, true},
    {"INTERNAL", SHEAF_CLASS_SERVER, true},
    {"InternalServerError", SHEAF_CLASS_SERVER, true},
    {"invalid_request_error", SHEAF_CLASS_INVALID_REQUEST, true},
    {"request_too_large", SHEAF_CLASS_INVALID_REQUEST, true},
    {"invalid_prompt", SHEAF_CLASS_INVALID_REQUEST, true},
    {"INVALID_ARGUMENT", SHEAF_CLASS_INVALID_REQUEST, true},
    {"FAILED_PRECONDITION", SHEAF_CLASS_INVALID_REQUEST, true},
    {"BadRequestError", SHEAF_CLASS_INVALID_REQUEST, true},
};

static bool ends_with(sheaf_slice text, const char *end) {
  size_t bytes = strlen(end);
  return text.bytes >= bytes && memcmp(text.data + text.bytes - bytes, end, bytes) == 0;
}

static uint32_t word_class(sheaf_slice word, bool weak_counts) {
  if (word.bytes == 0) return SHEAF_CLASS_NONE;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (!sheaf__is(word, words[i].word)) continue;
    return words[i].is_weak && !weak_counts ? SHEAF_CLASS_NONE : words[i].error_class;
  }
  /* project_, organization_ and whatever comes next */
  return ends_with(word, "_spend_limit_exceeded") ? SHEAF_CLASS_QUOTA : SHEAF_CLASS_NONE;
}

/* The finest word that says something; but quota in any of them wins, for a retry then only costs
 * time. */
static uint32_t class_by_words(const sheaf__fault *fault) {
  const sheaf_slice said[] = {fault->detail, fault->code, fault->type};
  uint32_t found = SHEAF_CLASS_NONE;
  for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
    uint32_t error_class = word_class(said[i], fault->status == 0);
    if (error_class == SHEAF_CLASS_QUOTA) return error_class;
    if (found == SHEAF_CLASS_NONE) found = error_class;
  }
  return found;
}

/* ---- Texts ---- */

static bool says_context_length(sheaf_slice message) {
  static const char *const texts[] = {
      "context length",
      "prompt is too long",
      "input is too long",
      "exceed context limit",
      "context size",
      "context window",
      "exceed_context_size_error",
      "context_length_exceeded",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (sheaf__contains_nocase(message, texts[i])) return true;
  }
  return sheaf__contains_nocase(message, "input token count") &&
         sheaf__contains_nocase(message, "exceeds");
}

static bool says_quota(sheaf_slice message) {
  if (sheaf__contains_nocase(message, "credit balance is too low")) return true;
  return sheaf__contains_nocase(message, "reached your specified") &&
         sheaf__contains_nocase(message, "usage limits");
}

static uint32_t class_by_text(const sheaf__fault *fault) {
  uint32_t status = fault->status;
  if (fault->message.bytes == 0) return SHEAF_CLASS_NONE;
  bool is_refusal = status == 0 || status == 400 || status == 413 || status == 422;
  if (!is_refusal && status != 403 && status != 429) return SHEAF_CLASS_NONE;
  if (says_quota(fault->message)) return SHEAF_CLASS_QUOTA;
  if (!is_refusal) return SHEAF_CLASS_NONE;
  if (sheaf__contains_nocase(fault->message, "api key not valid")) return SHEAF_CLASS_AUTH;
  return says_context_length(fault->message) ? SHEAF_CLASS_CONTEXT_LENGTH : SHEAF_CLASS_NONE;
}

/* ---- Statuses ---- */

static uint32_t class_by_status(uint32_t status) {
  switch (status) {
    case 401:
    case 403:
    case 407: return SHEAF_CLASS_AUTH;
    case 402: return SHEAF_CLASS_QUOTA;
    case 404:
    case 410: return SHEAF_CLASS_NOT_FOUND;
    case 408: return SHEAF_CLASS_TIMEOUT;
    case 425: return SHEAF_CLASS_SERVER; /* too early: the same again is right */
    case 429: return SHEAF_CLASS_RATE_LIMIT;
    case 498: /* Groq: no flex capacity */
    case 503:
    case 529: return SHEAF_CLASS_OVERLOADED;
    case 499: return SHEAF_CLASS_CANCELLED;
    default: break;
  }
  if (status >= 500 && status <= 599) return SHEAF_CLASS_SERVER;
  if (status >= 300 && status <= 499) return SHEAF_CLASS_INVALID_REQUEST;
  return SHEAF_CLASS_UNKNOWN;
}

uint32_t sheaf__fault_class(const sheaf__fault *fault) {
  uint32_t by_text = class_by_text(fault);
  /* A spend limit told in prose comes under invalid_request_error (Anthropic) or a rate limit's
   * word. */
  if (by_text == SHEAF_CLASS_QUOTA) return by_text;
  uint32_t by_words = class_by_words(fault);
  bool is_vague = by_words == SHEAF_CLASS_NONE || by_words == SHEAF_CLASS_INVALID_REQUEST;
  if (is_vague && by_text != SHEAF_CLASS_NONE) return by_text;
  return by_words != SHEAF_CLASS_NONE ? by_words : class_by_status(fault->status);
}

/* ---- Settling ---- */

/* Whom a refusal concerns beyond the request itself. */
static void set_scope(const sheaf__fault *fault, sheaf_decoded *out) {
  out->scope = SHEAF_SCOPE_REQUEST;
  switch (out->error_class) {
    case SHEAF_CLASS_RATE_LIMIT:
      out->scope = SHEAF_SCOPE_POOL;
      if (sheaf__contains_nocase(fault->message, "request too large")) {
        /* One request over the whole limit: it can never pass. */
        out->scope = SHEAF_SCOPE_REQUEST;
        out->retryable = false;
      } else if (sheaf__contains_nocase(fault->message, "concurren")) {
        out->scope = SHEAF_SCOPE_CONCURRENCY;
      }
      break;
    case SHEAF_CLASS_OVERLOADED: out->scope = SHEAF_SCOPE_ENDPOINT; break;
    case SHEAF_CLASS_QUOTA: out->scope = SHEAF_SCOPE_POOL; break;
    case SHEAF_CLASS_AUTH:
      /* 403 may be about one model; any other refusal of a key is about the key. */
      if (fault->status != 403) out->scope = SHEAF_SCOPE_POOL;
      break;
    default: break;
  }
}

static void set_words(sheaf__reading *reading, const sheaf__fault *fault) {
  sheaf_decoded *out = reading->out;
  sheaf_slice word = fault->detail.bytes > 0 ? fault->detail : fault->code;
  if (word.bytes == 0) word = fault->type;
  /* Google's and vLLM's code repeats the status; their word says more. */
  if (fault->detail.bytes == 0 && fault->type.bytes > 0 && word.bytes > 0 && word.data[0] <= '9') {
    word = fault->type;
  }
  sheaf_slice code = sheaf__keep(reading, word, SHEAF__WORD_BYTES_MAX);
  out->error_code = code;
  sheaf_slice message = sheaf__keep(reading, fault->message, SHEAF__MESSAGE_BYTES_MAX);
  if (fault->message.bytes == 0) message = sheaf__excerpt(reading, "", fault->raw);
  out->error_message = message;
}

void sheaf__fault_settle(sheaf__reading *reading, const sheaf__fault *fault) {
  sheaf_decoded *out = reading->out;
  out->error_class = sheaf__fault_class(fault);
  /* A server that gave up waiting may have left the work running (protocols 8.2). */
  bool gave_up = out->error_class == SHEAF_CLASS_TIMEOUT || fault->status == 504 ||
                 fault->status == 524 || out->error_class == SHEAF_CLASS_CANCELLED;
  out->billing = gave_up ? SHEAF_BILLING_UNKNOWN : SHEAF_BILLING_REFUSED;
  set_scope(fault, out);
  set_words(reading, fault);
  if (fault->status >= 300 && fault->status <= 399) {
    out->error_message = SHEAF_LITERAL("the server redirects; check the base URL");
  }
  /* The SDKs try a lock conflict once more. */
  if (fault->status == 409 && out->should_retry < 0) out->should_retry = 1;
}

void sheaf__fault_settle_late(sheaf__reading *reading, const sheaf__fault *fault, bool worked) {
  sheaf_decoded *out = reading->out;
  sheaf__fault_settle(reading, fault);
  out->billing = SHEAF_BILLING_UNKNOWN;
  if (out->usage.output_total != SHEAF_ABSENT) {
    out->billing = SHEAF_BILLING_BILLED;
    return;
  }
  switch (out->error_class) {
    case SHEAF_CLASS_RATE_LIMIT:
    case SHEAF_CLASS_OVERLOADED:
    case SHEAF_CLASS_AUTH:
    case SHEAF_CLASS_QUOTA:
    case SHEAF_CLASS_INVALID_REQUEST:
    case SHEAF_CLASS_NOT_FOUND:
    case SHEAF_CLASS_CONTEXT_LENGTH:
    case SHEAF_CLASS_CONTENT_FILTER:
      if (!worked) out->billing = SHEAF_BILLING_REFUSED;
      break;
    default: break;
  }
}

void sheaf__invalid(sheaf__reading *reading, const char *why, sheaf_slice body) {
  sheaf_decoded *out = reading->out;
  out->error_class = SHEAF_CLASS_INVALID_RESPONSE;
  out->billing = SHEAF_BILLING_BILLED; /* a 2xx: the work was done */
  sheaf_slice message = sheaf__excerpt(reading, why, body);
  out->error_message = message;
}

void sheaf__classify(sheaf__reading *reading, const sheaf_reply *reply, sheaf__fault *fault) {
  sheaf_decoded *out = reading->out;
  *fault = (sheaf__fault){.status = reply->http_status >= 300 ? reply->http_status : 0};
  sheaf__read_reply_headers(reading, reply);
  out->retry_after_ns = sheaf__retry_after_ns(reply->headers, reply->unix_ms);
  bool is_json = sheaf__fault_read(fault, reply->body);
  if (!is_json && fault->status == 0) {
    sheaf__invalid(reading, "the reply is not JSON", reply->body);
    return;
  }
  sheaf__fault_settle(reading, fault);
}

void sheaf_classify_common(const sheaf_reply *reply, sheaf_buf *scratch, sheaf_decoded *decoded) {
  sheaf__reading reading = {.scratch = scratch, .out = decoded};
  sheaf__fault fault;
  sheaf_decoded_init(decoded);
  sheaf__classify(&reading, reply, &fault);
}
