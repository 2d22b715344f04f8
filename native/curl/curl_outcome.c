/* curl_outcome.c: how a transfer ended: one of SHEAF_END_*, whether a retry can help, and a sentence for people.
 *
 * The rule for money: an exchange is "not sent" only where it is certain that nothing of the request left (libcurl never came
 * to sending, its first write failed whole, or an HTTP/2 server refused the stream); whatever else fails is "broken" or
 * "timeout", an unknown outcome. libcurl's result code decides nothing but the sentence and whether a retry can help.
 *
 * Outline: which end, which retries, the sentence. */
#define _GNU_SOURCE
#include "curl_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Which end ---- */

/* libcurl sends again where it thinks a reused connection dead, or where the server said that it did not look (HTTP/2
 * REFUSED_STREAM, a GOAWAY below the stream), and does not tell which. On a connection that the transfer made, and that nobody
 * shared since, only the second is possible. Sharing counts: it makes the connection a reused one for its maker too. */
static bool is_refused_stream(const sheaf__transfer *transfer) {
  return transfer->stop == SHEAF__STOP_REPLAY && transfer->is_fresh;
}

static bool is_sent(const sheaf__transfer *transfer) {
  return sheaf__transfer_has_left(transfer) && !is_refused_stream(transfer);
}

static uint32_t which_end(const sheaf__transfer *transfer, CURLcode result) {
  switch (transfer->stop) {
    case SHEAF__STOP_CANCELLED: return SHEAF_END_CANCELLED;
    case SHEAF__STOP_REFUSED: return SHEAF_END_REFUSED;
    case SHEAF__STOP_TOO_LARGE:
    case SHEAF__STOP_RATIO:
    case SHEAF__STOP_HEAD_TOO_LARGE: return SHEAF_END_TOO_LARGE;
    case SHEAF__STOP_CONNECT_TIMEOUT: return SHEAF_END_NOT_SENT;
    case SHEAF__STOP_FIRST_BYTE_TIMEOUT:
    case SHEAF__STOP_IDLE_TIMEOUT:
    case SHEAF__STOP_TOTAL_TIMEOUT:
      return is_sent(transfer) ? SHEAF_END_TIMEOUT : SHEAF_END_NOT_SENT;
    default: break;
  }
  if (result == CURLE_OK) return SHEAF_END_OK;
  if (!is_sent(transfer)) return SHEAF_END_NOT_SENT;
  return result == CURLE_OPERATION_TIMEDOUT ? SHEAF_END_TIMEOUT : SHEAF_END_BROKEN;
}

/* ---- Which retries ---- */

static bool is_tls_trust(CURLcode result) {
  return result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CERTPROBLEM ||
         result == CURLE_SSL_CIPHER || result == CURLE_USE_SSL_FAILED ||
         result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_CRL_BADFILE ||
         result == CURLE_SSL_ISSUER_ERROR || result == CURLE_SSL_PINNEDPUBKEYNOTMATCH ||
         result == CURLE_SSL_INVALIDCERTSTATUS || result == CURLE_SSL_CLIENTCERT ||
         result == CURLE_SSL_ENGINE_NOTFOUND || result == CURLE_SSL_ENGINE_SETFAILED ||
         result == CURLE_SSL_ENGINE_INITFAILED;
}

static bool is_retryable(const sheaf__transfer *transfer, CURLcode result) {
  switch (transfer->stop) {
    case SHEAF__STOP_REFUSED:
    case SHEAF__STOP_CANCELLED:
    case SHEAF__STOP_BODY: return false;
    default: break;
  }
  /* libcurl says "unsupported protocol" of a scheme it does not speak, and also of a server whose answer is no
   * HTTP: only the first, before anything left, is there to stay. */
  if (result == CURLE_UNSUPPORTED_PROTOCOL) return is_sent(transfer);
  return !is_tls_trust(result) && result != CURLE_URL_MALFORMAT && result != CURLE_NOT_BUILT_IN &&
         result != CURLE_AUTH_ERROR && result != CURLE_BAD_FUNCTION_ARGUMENT &&
         result != CURLE_UNKNOWN_OPTION;
}

/* ---- The sentence ---- */

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
say(sheaf_curl *curl, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(curl->message, sizeof(curl->message), format, arguments);
  va_end(arguments);
}

/* libcurl's own words, or its sentence for the code. */
static const char *cause(const sheaf__transfer *transfer, CURLcode result) {
  return transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(result);
}

/* "api.openai.com", with the port where it is not the scheme's own. */
static void name_host(const sheaf__transfer *transfer, char *host, size_t bytes) {
  const sheaf__origin *origin = &transfer->route->origin;
  bool is_usual = strcmp(origin->port, strcmp(origin->scheme, "https") == 0 ? "443" : "80") == 0;
  snprintf(host, bytes, "%s%s%s", origin->host, is_usual ? "" : ":", is_usual ? "" : origin->port);
}

static void say_stop(sheaf__transfer *transfer, const char *host) {
  sheaf_curl *curl = transfer->curl;
  const sheaf_curl_options *options = &curl->options;
  uint64_t ms = (transfer->deadline_ns - transfer->started_ns) / SHEAF__NS_PER_MS;
  switch (transfer->stop) {
    case SHEAF__STOP_CANCELLED: say(curl, "cancelled"); break;
    case SHEAF__STOP_REFUSED: say(curl, "not sent: %s", transfer->refusal); break;
    case SHEAF__STOP_CONNECT_TIMEOUT:
      say(curl, "could not connect to %s within %" PRIu64 " ms; is the server reachable?", host,
          options->connect_timeout_ms);
      break;
    case SHEAF__STOP_FIRST_BYTE_TIMEOUT:
      say(curl, "no answer from %s within %" PRIu64 " ms of sending", host,
          options->first_byte_timeout_ms);
      break;
    case SHEAF__STOP_IDLE_TIMEOUT:
      say(curl, "the reply of %s stood still for %" PRIu64 " ms", host, options->idle_timeout_ms);
      break;
    case SHEAF__STOP_TOTAL_TIMEOUT:
      say(curl, "%s from %s within %" PRIu64 " ms",
          transfer->tries == 0 ? "no connection" : "no complete reply", host, ms);
      break;
    case SHEAF__STOP_TOO_LARGE:
      say(curl, "the reply of %s is larger than %" PRIu64 " bytes", host,
          transfer->exchange->reply_bytes_max);
      break;
    case SHEAF__STOP_RATIO:
      say(curl, "the compressed reply of %s expands more than %" PRIu64 " times", host,
          options->max_ratio);
      break;
    case SHEAF__STOP_HEAD_TOO_LARGE:
      say(curl, "the headers of %s are larger than %u bytes or %u lines", host,
          SHEAF__HEAD_BYTES_MAX, SHEAF__HEAD_LINES_MAX);
      break;
    case SHEAF__STOP_REPLAY:
      say(curl,
          is_refused_stream(transfer)
              ? "%s refused the HTTP/2 stream without looking at it"
              : "%s closed the connection after the request was sent and before it answered",
          host);
      break;
    case SHEAF__STOP_BODY: say(curl, "the body for %s could not be read", host); break;
    default: say(curl, "no memory for the reply of %s", host); break;
  }
}

static void say_result(sheaf__transfer *transfer, CURLcode result, const char *host) {
  sheaf_curl *curl = transfer->curl;
  const char *why = cause(transfer, result);
  long number = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
  if (result == CURLE_COULDNT_CONNECT) {
    say(curl, "could not connect to %s: %s; is the server running?", host,
        number > 0 ? strerror((int)number) : why);
  } else if (result == CURLE_COULDNT_RESOLVE_HOST) {
    say(curl, "could not find the host %s: %s; check the base URL and the network", host, why);
  } else if (result == CURLE_COULDNT_RESOLVE_PROXY) {
    say(curl, "could not find the proxy for %s: %s; check the proxy settings", host, why);
  } else if (result == CURLE_PEER_FAILED_VERIFICATION) {
    say(curl,
        "the TLS certificate of %s was not accepted: %s; a private authority is named by ca_file",
        host, why);
  } else if (result == CURLE_PARTIAL_FILE) {
    say(curl, "the reply of %s broke off: %s", host, why);
  } else if (!is_sent(transfer)) {
    say(curl, "could not reach %s: %s", host, why);
  } else if (transfer->has_byte) {
    say(curl, "the connection to %s failed within the reply: %s", host, why);
  } else {
    say(curl, "the connection to %s failed after the request was sent: %s", host, why);
  }
}

void sheaf__outcome(sheaf__transfer *transfer, CURLcode result, sheaf_exchange_end *end) {
  sheaf_curl *curl = transfer->curl;
  sheaf_exchange_end_init(end);
  end->http_status = transfer->http_status;
  end->end = which_end(transfer, result);
  end->retryable = is_retryable(transfer, result);
  curl->message[0] = '\0';
  if (end->end == SHEAF_END_OK) return;
  char host[300] = "";
  if (transfer->route != NULL) name_host(transfer, host, sizeof(host));
  if (transfer->stop != SHEAF__STOP_NONE) {
    say_stop(transfer, host);
  } else {
    say_result(transfer, result, host);
  }
  end->message = (sheaf_slice){curl->message, strlen(curl->message)};
  sheaf_curl_redact(curl, curl->message, end->message.bytes);
}
