/* serve_request.c: a body that came into a request for the client.
 *
 * In front of OpenAI the body goes out as the bytes it is, so only what this endpoint itself needs
 * is looked at. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { AT_MODEL, AT_STREAM, AT_USAGE, AT_CONTENT, AT_ENCODING, PATHS };

static const char *const urls[] = {[SERVE_CHAT] = "/v1/chat/completions",
                                   [SERVE_COMPLETIONS] = "/v1/completions",
                                   [SERVE_EMBEDDINGS] = "/v1/embeddings",
                                   [SERVE_RESPONSES] = "/v1/responses"};
static const char *const content_names[] = {[SERVE_CHAT] = "messages",
                                            [SERVE_COMPLETIONS] = "prompt",
                                            [SERVE_EMBEDDINGS] = "input",
                                            [SERVE_RESPONSES] = "input"};

static bool refuse_field(serve_call *call, const char *field, const char *wanted) {
  return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "invalid_request", field, "%s: %s", field,
                             wanted);
}

static bool check_json(serve_call *call, sheaf_slice body, sheaf_slice values[PATHS]) {
  const char *const paths[PATHS] = {[AT_MODEL] = "model",
                                    [AT_STREAM] = "stream",
                                    [AT_USAGE] = "stream_options.include_usage",
                                    [AT_CONTENT] = content_names[call->page],
                                    [AT_ENCODING] = "encoding_format"};
  sheaf_json_facts facts;
  sheaf_parse_error error;
  if (sheaf_json_pick(body, paths, PATHS, values, &facts, &error) != SHEAF_OK)
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "invalid_json", NULL,
                               "the body is not valid JSON: byte %zu: %s", error.offset + 1,
                               error.message ? error.message : "it ends too early");
  size_t at = strspn(body.data, " \t\r\n"); /* a valid document ends the span */
  if (facts.has_invalid_utf8)
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "invalid_json", NULL,
                               "the body is not valid UTF-8");
  if (body.data[at] != '{')
    return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "invalid_json", NULL,
                               "the body has to be a JSON object");
  return true;
}

static bool is_given(sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  return kind != SHEAF_JSON_NONE && kind != SHEAF_JSON_NULL;
}

static bool check_fields(serve_call *call, const sheaf_slice values[PATHS]) {
  const char *content = content_names[call->page];
  uint32_t kind = sheaf_json_kind(values[AT_CONTENT]);
  if (is_given(values[AT_MODEL]) && sheaf_json_kind(values[AT_MODEL]) != SHEAF_JSON_STRING)
    return refuse_field(call, "model", "has to be a string");
  if (sheaf_json_inside(values[AT_MODEL]).bytes >= sizeof call->model)
    return refuse_field(call, "model", "is too long");
  if (is_given(values[AT_STREAM]) && sheaf_json_kind(values[AT_STREAM]) != SHEAF_JSON_BOOL)
    return refuse_field(call, "stream", "has to be true or false");
  if (!is_given(values[AT_CONTENT]) && call->page != SERVE_RESPONSES)
    return refuse_field(call, content, "is missing");
  if (call->page == SERVE_CHAT && kind != SHEAF_JSON_ARRAY)
    return refuse_field(call, content, "has to be an array");
  if (call->page == SERVE_EMBEDDINGS && sheaf_json_true(values[AT_STREAM]))
    return refuse_field(call, "stream", "embeddings cannot be streamed");
  return true;
}

static void note_wishes(serve_call *call, const sheaf_slice values[PATHS]) {
  sheaf_slice model = sheaf_json_inside(values[AT_MODEL]);
  snprintf(call->model, sizeof call->model, "%.*s", (int)model.bytes, model.data);
  if (call->model[0] == 0) snprintf(call->model, sizeof call->model, "%s", call->serve->model);
  call->is_stream = sheaf_json_true(values[AT_STREAM]);
  call->wants_usage = sheaf_json_true(values[AT_USAGE]);
  call->wants_base64 = sheaf_json_equals(values[AT_ENCODING], "base64");
  call->is_passed = call->serve->is_openai;
  call->created_s = (int64_t)time(NULL);
  snprintf(call->request_id, sizeof call->request_id, "sheaf-%lld-%llu", (long long)call->created_s,
           (unsigned long long)call->number);
}

/* What of the client's answer to a submit is the caller's business. */
static bool refuse_submit(serve_call *call, int32_t status) {
  switch (status) {
    case SHEAF_E_FULL:
      call->retry_after_s = 1;
      return sheaf__serve_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "queue_full", NULL,
                                 "the queue is full");
    case SHEAF_E_END:
      return sheaf__serve_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "draining", NULL,
                                 "this endpoint is stopping");
    case SHEAF_E_NOMEM:
      return sheaf__serve_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", NULL,
                                 "there is no memory for more requests");
    default:
      return sheaf__serve_refuse(call, MHD_HTTP_BAD_REQUEST, "invalid_request", NULL, "%s",
                                 sheaf_status_text(status));
  }
}

static bool hand_over(serve_call *call, const sheaf_request *request) {
  sheaf_serve *serve = call->serve;
  const sheaf_submit_options options = {.struct_bytes = sizeof options,
                                        .fn = sheaf__serve_on_result,
                                        .on_event = call->is_stream ? sheaf__serve_on_event : NULL,
                                        .user = call};
  call->is_submitted = true; /* before: the answer may be there at once */
  int32_t status = sheaf_client_submit_with(serve->client, request, &options, &call->id);
  if (status != SHEAF_OK) {
    call->is_submitted = false;
    return refuse_submit(call, status);
  }
  pthread_mutex_lock(&serve->mutex);
  serve->stats.requests++;
  serve->stats.open++;
  pthread_mutex_unlock(&serve->mutex);
  return true;
}

static bool submit_short(serve_call *call, sheaf_slice body, sheaf_request *request) {
  const size_t bytes_max = call->serve->options.body_bytes_max;
  serve_short to;
  memset(&to, 0, sizeof to);
  sheaf_buf_init(&to.params, sheaf_heap(), bytes_max);
  sheaf_buf_init(&to.model, sheaf_heap(), bytes_max);
  bool is_accepted = sheaf__serve_shorten(call, body, &to);
  if (is_accepted && (to.params.status != SHEAF_OK || to.model.status != SHEAF_OK))
    is_accepted = refuse_submit(call, SHEAF_E_NOMEM);
  if (is_accepted) {
    request->messages = to.messages;
    request->prompt = to.prompt;
    if (to.prompt.data) request->flags |= SHEAF_REQUEST_PROMPT_ESCAPED;
    *(to.is_body ? &request->body : &request->params) = sheaf_buf_slice(&to.params);
    request->url = sheaf_slice_of(to.url);
    request->max_tokens = to.max_tokens;
    request->model = sheaf_buf_slice(&to.model);
    is_accepted = hand_over(call, request);
  }
  sheaf_buf_deinit(&to.params);
  sheaf_buf_deinit(&to.model);
  return is_accepted;
}

bool sheaf__serve_submit(serve_call *call) {
  sheaf_slice values[PATHS];
  sheaf_buf_append(&call->body, "", 1); /* a terminator, for strspn */
  if (call->body.status != SHEAF_OK) return refuse_submit(call, SHEAF_E_NOMEM);
  call->body.bytes--;
  sheaf_slice body = sheaf_buf_slice(&call->body);
  if (!check_json(call, body, values) || !check_fields(call, values)) return false;
  note_wishes(call, values);
  sheaf_request request = call->wanted;
  if (call->is_stream) request.flags |= SHEAF_REQUEST_STREAM;
  if (!call->is_passed) return submit_short(call, body, &request);
  if (call->is_stream) request.flags |= SHEAF_REQUEST_RAW;
  request.body = body;
  request.url = sheaf_slice_of(urls[call->page]);
  return hand_over(call, &request);
}
