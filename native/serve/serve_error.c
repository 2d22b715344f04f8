/* serve_error.c: failures in OpenAI's shape: {"error":{"message","type","param","code"}}, and the
 * status that fits.
 *
 * The provider's own status and body pass where there are such. What the client ended by itself
 * has a status of a gateway; a caller is asked not to try again (x-should-retry) where the client
 * has tried as often as it may. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

static const char *type_of(uint32_t status) {
  if (status >= 500) return "server_error";
  if (status == MHD_HTTP_TOO_MANY_REQUESTS) return "rate_limit_error";
  if (status == MHD_HTTP_FORBIDDEN) return "permission_error";
  return "invalid_request_error";
}

static void put_text(sheaf_buf *to, const char *text) {
  if (text)
    sheaf_buf_append_string(to, sheaf_slice_of(text));
  else
    sheaf_buf_append_text(to, "null");
}

static void put_error(sheaf_buf *to, const serve_error *error, sheaf_slice message) {
  sheaf_buf_append_text(to, "{\"error\":{\"message\":");
  sheaf_buf_append_string(to, message);
  sheaf_buf_append_text(to, ",\"type\":");
  put_text(to, error->type ? error->type : type_of(error->status));
  sheaf_buf_append_text(to, ",\"param\":");
  put_text(to, error->param);
  sheaf_buf_append_text(to, ",\"code\":");
  put_text(to, error->code);
  sheaf_buf_append_text(to, "}}");
}

bool sheaf__serve_refuse(serve_call *call, uint32_t status, const char *code, const char *param,
                         const char *format, ...) {
  char message[512];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  const serve_error error = {.status = status, .code = code, .param = param};
  call->refusal = call->status = status;
  sheaf_buf_reset(&call->out);
  put_error(&call->out, &error, sheaf_slice_of(message));
  return false;
}

void sheaf__serve_put_error_event(sheaf_buf *to, const char *code, const char *message) {
  const serve_error error = {.status = MHD_HTTP_BAD_GATEWAY, .code = code};
  sheaf_buf_append_text(to, "data: ");
  put_error(to, &error, sheaf_slice_of(message));
  sheaf_buf_append_text(to, "\n\n");
}

/* ---- Failed results ---- */

/* Where the provider gave no status of its own, or a 200 that was none. */
static uint32_t status_of_class(uint32_t error_class, bool is_draining) {
  switch (error_class) {
    case SHEAF_CLASS_INVALID_REQUEST:
    case SHEAF_CLASS_CONTEXT_LENGTH:
    case SHEAF_CLASS_CONTENT_FILTER: return MHD_HTTP_BAD_REQUEST;
    case SHEAF_CLASS_NOT_FOUND: return MHD_HTTP_NOT_FOUND;
    case SHEAF_CLASS_RATE_LIMIT:
    case SHEAF_CLASS_QUOTA: return MHD_HTTP_TOO_MANY_REQUESTS;
    case SHEAF_CLASS_BUDGET: return MHD_HTTP_PAYMENT_REQUIRED;
    case SHEAF_CLASS_TIMEOUT:
    case SHEAF_CLASS_DEADLINE:
    case SHEAF_CLASS_EXPIRED: return MHD_HTTP_GATEWAY_TIMEOUT;
    case SHEAF_CLASS_OVERLOADED:
    case SHEAF_CLASS_AUTH: /* the key that is refused is not the caller's */
    case SHEAF_CLASS_BREAKER_OPEN:
    case SHEAF_CLASS_QUEUE_FULL: return MHD_HTTP_SERVICE_UNAVAILABLE;
    case SHEAF_CLASS_CANCELLED:
      return is_draining ? MHD_HTTP_SERVICE_UNAVAILABLE : 499; /* nginx's: the caller left */
    case SHEAF_CLASS_NETWORK:
    case SHEAF_CLASS_SERVER:
    case SHEAF_CLASS_INVALID_RESPONSE:
    case SHEAF_CLASS_UNKNOWN_OUTCOME:
    case SHEAF_CLASS_MISSING:
    case SHEAF_CLASS_MISMATCHED: return MHD_HTTP_BAD_GATEWAY;
    default: return MHD_HTTP_INTERNAL_SERVER_ERROR;
  }
}

/* What the client ended by itself has no status of the last try, which is history by then. */
static bool is_by_client(uint32_t error_class) {
  return error_class == SHEAF_CLASS_DEADLINE || error_class == SHEAF_CLASS_CANCELLED ||
         error_class == SHEAF_CLASS_BREAKER_OPEN || error_class == SHEAF_CLASS_QUEUE_FULL ||
         error_class == SHEAF_CLASS_BUDGET;
}

static bool is_error_body(sheaf_slice body) {
  const char *path = "error";
  sheaf_slice error;
  if (sheaf_json_pick(body, &path, 1, &error, NULL, NULL) != SHEAF_OK) return false;
  return sheaf_json_kind(error) == SHEAF_JSON_OBJECT;
}

static uint64_t retry_after_s(const sheaf_result *result, uint32_t status, uint64_t paused_ns) {
  bool may_return = status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE;
  if (!may_return || result->error_class == SHEAF_CLASS_QUOTA ||
      result->error_class == SHEAF_CLASS_AUTH)
    return 0;
  uint64_t seconds = paused_ns / SECOND_NS + (paused_ns % SECOND_NS > 0);
  return seconds > 0 ? seconds : 1;
}

void sheaf__serve_fail(serve_call *call, const sheaf_result *result, uint64_t paused_ns,
                       sheaf_buf *to) {
  uint32_t error_class = result->error_class;
  bool has_own = result->http_status >= 400 && !is_by_client(error_class);
  bool is_draining = atomic_load(&call->serve->is_draining);
  call->status = has_own ? result->http_status : status_of_class(error_class, is_draining);
  call->retry_after_s = retry_after_s(result, call->status, paused_ns);
  call->is_final = result->attempts > 0 && call->retry_after_s == 0;
  sheaf_buf_reset(to);
  if (has_own && call->is_passed && is_error_body(result->body)) {
    sheaf_buf_append_slice(to, result->body);
    return;
  }
  char code[SERVE_NAME_BYTES];
  snprintf(code, sizeof code, "%.*s", (int)result->error_code.bytes, result->error_code.data);
  const serve_error error = {.status = call->status,
                             .code = code[0] && has_own ? code : sheaf_class_name(error_class)};
  put_error(to, &error, result->error_message);
}
