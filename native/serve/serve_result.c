/* serve_result.c: what the client tells of a call, on its driver thread: deltas go to the inbox as
 * they come, a result ends it.
 *
 * Until a byte of a stream may have been seen (is_committed) nothing is lost: an attempt that
 * broke is forgotten, a failure is an answer with a status of its own. Afterwards an event says
 * that the stream is void, and nothing follows. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <stdio.h>
#include <string.h>

static const char void_text[] =
    "the provider's stream broke after its beginning was sent; what came is void";
static const char slow_text[] =
    "the stream was cut off: its reader is so slow that too much of it waits here";

/* ---- Deltas ---- */

/* With the mutex: the stream ends with an error, whatever the client does. */
static void cut(serve_call *call, const char *code, const char *message) {
  sheaf__serve_put_error_event(&call->inbox, code, message);
  call->is_closed = call->is_cut = true;
}

/* What waits already is measured, so that one large event is no sign of a slow reader. */
static void take_delta(serve_call *call, const sheaf_event *event) {
  sheaf_serve *serve = call->serve;
  if (call->inbox.bytes + call->out_bytes > serve->options.unsent_bytes_max) {
    serve->stats.cut_off++;
    sheaf_buf_reset(&call->inbox); /* whole events, none of which was sent */
    cut(call, "slow_reader", slow_text);
    return;
  }
  call->raw_bytes += event->raw.bytes;
  if (call->is_passed)
    sheaf__serve_put_events(call, event->raw, &call->inbox);
  else
    sheaf__serve_put_chunk(call, event->text, &call->inbox);
}

static void take_discard(serve_call *call) {
  if (call->is_committed) {
    cut(call, "stream_broken", void_text);
    return;
  }
  sheaf_buf_reset(&call->inbox);
  call->raw_bytes = 0;
  call->has_begun = false;
}

void sheaf__serve_on_event(void *user, const sheaf_event *event) {
  serve_call *call = user;
  bool must_wake = false;
  pthread_mutex_lock(&call->serve->mutex);
  if (!call->is_closed) {
    if (event->kind == SHEAF_EVENT_DELTA) take_delta(call, event);
    if (event->kind == SHEAF_EVENT_DISCARD) take_discard(call);
    if (call->inbox.bytes > 0) must_wake = sheaf__serve_post(call);
  }
  pthread_mutex_unlock(&call->serve->mutex);
  if (must_wake) sheaf__serve_wake(call->serve);
}

/* ---- Results ---- */

static void note_result(serve_call *call, const sheaf_result *result) {
  call->attempts = result->attempts;
  call->answered_by = result->local          ? "local"
                      : result->cached       ? "cache"
                      : result->deduplicated ? "twin"
                      : result->group        ? "group"
                      : result->attempts     ? "call"
                                             : NULL;
  size_t bytes = result->request_id.bytes;
  bool is_plain = bytes > 0 && bytes < sizeof call->request_id;
  for (size_t i = 0; is_plain && i < bytes; i++)
    is_plain = result->request_id.data[i] > ' ' && result->request_id.data[i] < 127;
  if (is_plain)
    snprintf(call->request_id, sizeof call->request_id, "%.*s", (int)bytes,
             result->request_id.data);
}

/* How long the provider asked to wait, where it refused. */
static uint64_t paused_ns(serve_call *call, const sheaf_result *result) {
  sheaf_stats stats;
  if (result->error_class != SHEAF_CLASS_RATE_LIMIT &&
      result->error_class != SHEAF_CLASS_OVERLOADED)
    return 0;
  sheaf_client_stats(call->serve->client, &stats);
  bool is_paused = stats.paused_until_ns != SHEAF_NEVER && stats.paused_until_ns > stats.now_ns;
  return is_paused ? stats.paused_until_ns - stats.now_ns : 0;
}

/* One reply, whole. */
static void put_whole(serve_call *call, const sheaf_result *result) {
  sheaf_buf *to = &call->inbox;
  sheaf_buf_reset(to);
  call->status = MHD_HTTP_OK;
  if (call->is_passed && !result->local) {
    sheaf__serve_put_body(call, result, to);
  } else if (call->page != SERVE_EMBEDDINGS) {
    sheaf__serve_put_reply(call, result, to);
  } else if (!sheaf__serve_put_embeddings(call, result, to)) {
    sheaf_result failed = *result;
    failed.error_class = SHEAF_CLASS_INVALID_RESPONSE;
    failed.error_message = SHEAF_LITERAL("the provider's reply holds no embeddings");
    sheaf__serve_fail(call, &failed, 0, to);
  }
}

/* The rest of a stream. One that a server answered in one piece passes as it is. With the mutex. */
static void put_rest(serve_call *call, const sheaf_result *result) {
  call->status = MHD_HTTP_OK;
  if (!call->is_passed || result->local) {
    sheaf__serve_put_last(call, result, &call->inbox);
  } else if (result->streamed) {
    sheaf_slice rest = result->body;
    size_t seen = call->raw_bytes < rest.bytes ? (size_t)call->raw_bytes : rest.bytes;
    rest.data += seen;
    rest.bytes -= seen;
    sheaf__serve_put_events(call, rest, &call->inbox);
  } else {
    call->is_stream = false;
    put_whole(call, result);
  }
}

/* With the mutex, for a stream. */
static void end_stream(serve_call *call, const sheaf_result *result, uint64_t pause_ns) {
  if (call->is_closed) return; /* it was cut, and this is the end of that */
  if (result->ok)
    put_rest(call, result);
  else if (!call->is_committed)
    sheaf__serve_fail(call, result, pause_ns, &call->inbox);
  else
    cut(call, sheaf_class_name(result->error_class), void_text);
  call->is_closed = true;
}

void sheaf__serve_on_result(void *user, const sheaf_result *result) {
  serve_call *call = user;
  sheaf_serve *serve = call->serve;
  uint64_t pause_ns = result->ok ? 0 : paused_ns(call, result);
  bool is_stream = call->is_stream;
  if (!is_stream) { /* nobody looks at the inbox before it is finished */
    note_result(call, result);
    if (result->ok)
      put_whole(call, result);
    else
      sheaf__serve_fail(call, result, pause_ns, &call->inbox);
  }
  pthread_mutex_lock(&serve->mutex);
  call->is_drained = result->error_class == SHEAF_CLASS_CANCELLED && !call->is_cut &&
                     atomic_load(&serve->is_draining);
  if (is_stream) {
    if (!call->is_committed) note_result(call, result); /* else the headers may be on their way */
    end_stream(call, result, pause_ns);
  }
  if (result->ok) sheaf__serve_note_model(serve, result->model);
  call->is_finished = true;
  bool must_wake = sheaf__serve_post(call);
  pthread_mutex_unlock(&serve->mutex);
  if (must_wake) sheaf__serve_wake(serve);
}
