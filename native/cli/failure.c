/* failure.c: what a failed result may show: never a key, also when the server repeats it in its error; and for a 404
 * the address that answered so, as a wrong base URL is its usual cause. */
#include "cli.h"

#include <string.h>

/* ---- Addresses: the transport's start, seen on its way ---- */

static int32_t start(void *ctx, const sheaf_exchange *exchange) {
  cli_failures *failures = ctx;
  size_t bytes = exchange->url.bytes;
  if (failures->url_bytes == 0 && bytes < sizeof failures->url) {
    memcpy(failures->url, exchange->url.data, bytes);
    failures->url_bytes = bytes;
  } else if (bytes != failures->url_bytes ||
             memcmp(failures->url, exchange->url.data, bytes) != 0) {
    failures->has_many = true; /* a result does not tell which of them was its own */
  }
  return failures->transport.start(failures->transport.ctx, exchange);
}

static void cancel(void *ctx, uint64_t exchange) {
  cli_failures *failures = ctx;
  failures->transport.cancel(failures->transport.ctx, exchange);
}

const sheaf_transport *cli_failures_open(cli_failures *failures, sheaf_curl *curl, bool has_key,
                                         sheaf_slice base_url) {
  failures->curl = curl;
  failures->has_key = has_key;
  failures->base_url = base_url;
  failures->transport = *sheaf_curl_transport(curl);
  failures->own = failures->transport;
  failures->own.ctx = failures;
  failures->own.start = start;
  failures->own.cancel = cancel;
  sheaf_buf_init(&failures->text, sheaf_heap(), SIZE_MAX / 2);
  return &failures->own;
}

void cli_failures_close(cli_failures *failures) {
  if (failures->curl != NULL) sheaf_buf_deinit(&failures->text);
  failures->curl = NULL;
}

/* ---- Texts ---- */

static void say_which_404(cli_failures *failures, const sheaf_result *result) {
  sheaf_buf *text = &failures->text;
  if (failures->has_many) {
    sheaf_buf_append_text(text, "404 from a path of ");
    sheaf_buf_append_slice(text, failures->base_url);
  } else {
    sheaf_buf_append_text(text, "404 from ");
    sheaf_buf_append(text, failures->url, failures->url_bytes);
  }
  sheaf_buf_append_text(text, " (is the base URL right, and the model?): ");
  sheaf_buf_append_slice(text, result->error_message);
}

const sheaf_result *cli_failure_show(cli_failures *failures, const sheaf_result *result) {
  bool is_404 = result->http_status == 404;
  if (!failures->has_key && !is_404) return result;
  sheaf_result *shown = &failures->shown;
  sheaf_buf *text = &failures->text;
  *shown = *result;
  sheaf_slice *const parts[] = {&shown->error_message, &shown->body,         &shown->error_code,
                                &shown->request_id,    &shown->text,         &shown->text_json,
                                &shown->model,         &shown->finish_reason};
  enum { PARTS = sizeof parts / sizeof parts[0] };
  size_t ends[PARTS];
  sheaf_buf_reset(text);
  for (size_t i = 0; i < PARTS; i++) {
    if (i == 0 && is_404)
      say_which_404(failures, result);
    else
      sheaf_buf_append_slice(text, *parts[i]);
    ends[i] = text->bytes;
  }
  bool has_room = text->status == SHEAF_OK;
  if (has_room) sheaf_curl_redact(failures->curl, text->data, text->bytes);
  for (size_t i = 0, from = 0; i < PARTS; i++) {
    /* Without memory a text is left out: better none than one with a key in it. */
    if (has_room && (ends[i] > from || parts[i]->data != NULL))
      *parts[i] = (sheaf_slice){text->data + from, ends[i] - from};
    else
      *parts[i] = (sheaf_slice){NULL, 0};
    from = ends[i];
  }
  return shown;
}
