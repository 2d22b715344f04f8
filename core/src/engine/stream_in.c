/* stream_in.c: streamed replies: bytes -> frames -> the provider's events -> deltas for the caller.
 */
#include "engine/engine_int.h"

int32_t sheaf__stream_begin(sheaf_engine *engine, sheaf__call *call) {
  const sheaf_allocator *a = &engine->allocator;
  const sheaf_provider *provider = engine->routes[call->row->route].provider;
  sheaf__streaming *s = sheaf__alloc_zero(a, sizeof *s);
  if (s == NULL) return SHEAF_E_NOMEM;
  sheaf__framer_init(&s->framer, a, provider->framing);
  s->stream.struct_bytes = sizeof s->stream;
  s->stream.operation = call->row->operation;
  sheaf_buf_init(&s->stream.text, a, (size_t)engine->options.reply_bytes_max);
  sheaf_buf_init(&s->stream.notes, a, (size_t)1 << 20);
  sheaf_decoded_init(&s->stream.so_far);
  call->streaming = s;
  return SHEAF_OK;
}

void sheaf__stream_free(sheaf_engine *engine, sheaf__call *call) {
  sheaf__streaming *s = call->streaming;
  if (s == NULL) return;
  sheaf__framer_deinit(&s->framer);
  sheaf_buf_deinit(&s->stream.text);
  sheaf_buf_deinit(&s->stream.notes);
  sheaf__free(&engine->allocator, s, sizeof *s);
  call->streaming = NULL;
}

typedef struct feed_ctx {
  const sheaf_provider *provider;
  sheaf_stream *stream;
} feed_ctx;

static int32_t on_event(void *ctx, sheaf_slice event, sheaf_slice data) {
  feed_ctx *feed = ctx;
  if (feed->stream->terminal) return SHEAF_OK; /* what follows the end marker does not count */
  int32_t status = feed->provider->event(feed->provider, event, data, feed->stream);
  if (status == SHEAF_OK && feed->stream->text.status) status = feed->stream->text.status;
  return status;
}

/* A row's result and discard have room from its making. Deltas of attempts that broke before
 * anybody took them may stand in the ring besides: theirs is made here, and without memory the text
 * waits for the next event. */
static bool delta_room(sheaf_engine *engine) {
  return sheaf__ring_reserve(&engine->events, &engine->allocator,
                             2 * engine->rows_made + SHEAF__NOTICES_MAX + 1) == SHEAF_OK;
}

void sheaf__stream_feed(sheaf_engine *engine, sheaf__call *call, bool at_end) {
  sheaf__streaming *s = call->streaming;
  feed_ctx ctx = {engine->routes[call->row->route].provider, &s->stream};
  if (s->failure == SHEAF_OK && call->body.bytes > call->body_fed) {
    sheaf_slice fresh = {call->body.data + call->body_fed, call->body.bytes - call->body_fed};
    s->failure = sheaf__framer_feed(&s->framer, fresh, on_event, &ctx);
    call->body_fed = call->body.bytes;
  }
  s->whole = at_end ? call->body.bytes : (size_t)s->framer.whole;
  if (s->failure == SHEAF_OK && at_end) s->failure = sheaf__framer_end(&s->framer, on_event, &ctx);
  bool has_text = s->stream.text.bytes > call->text_given;
  bool has_raw = (call->row->flags & SHEAF__ROW_RAW) != 0 && s->whole > call->raw_given;
  if (has_text && call->token_ns == SHEAF_NEVER) call->token_ns = engine->now_ns;
  if (has_text || has_raw) {
    if (!call->delta_queued && !(call->row->flags & SHEAF__ROW_CANCEL) && delta_room(engine)) {
      call->delta_queued = true;
      sheaf__event_push(engine, SHEAF_EVENT_DELTA, call->row, call->exchange.id);
    }
  }
}
