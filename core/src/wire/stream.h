/* stream.h: framing of streamed bodies: SSE (WHATWG event stream) and NDJSON, at any chunking. */
#ifndef SHEAF_STREAM_H
#define SHEAF_STREAM_H

#include <sheaf/buf.h>

#define SHEAF__EVENT_BYTES_MAX ((size_t)8 << 20)

/* One event. Slices live until the callback returns. Not OK stops the feed, which answers it. */
typedef int32_t (*sheaf__event_fn)(void *ctx, sheaf_slice event, sheaf_slice data);

typedef struct sheaf__framer {
  sheaf_buf line; /* of the unfinished line */
  sheaf_buf data; /* of the unfinished event */
  sheaf_buf name;
  uint32_t framing; /* SHEAF_FRAMING_* */
  bool has_data;
  bool swallow_lf; /* a CR ended the last chunk's line */
  bool past_bom;
  bool overflowed;
  uint64_t fed;   /* bytes of the body so far */
  uint64_t whole; /* of those, up to the end of the last whole event, with what ends it */
} sheaf__framer;

void sheaf__framer_init(sheaf__framer *framer, const sheaf_allocator *allocator, uint32_t framing);
void sheaf__framer_deinit(sheaf__framer *framer);
void sheaf__framer_reset(sheaf__framer *framer,
                         uint32_t framing); /* for the next body; keeps memory */
/* SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT (an event over its ceiling), or what fn answers. */
int32_t sheaf__framer_feed(sheaf__framer *framer, sheaf_slice chunk, sheaf__event_fn fn, void *ctx);
/* The body ended: an unterminated event is delivered if it is "[DONE]" or valid JSON. */
int32_t sheaf__framer_end(sheaf__framer *framer, sheaf__event_fn fn, void *ctx);

#endif
