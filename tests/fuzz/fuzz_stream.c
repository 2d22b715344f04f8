/* fuzz_stream.c: the first byte says the framing, the second and third where to split; the rest is a body. Whole, in
 * three pieces and byte by byte it must give the same events. */
#include <sheaf/provider.h>

#include "base/random.h"
#include "wire/stream.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *heap_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes > 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

static const sheaf_allocator heap = {heap_realloc, NULL};

/* All events of a run in one number. */
typedef struct digest {
  uint64_t hash;
  uint64_t count;
} digest;

static int32_t on_event(void *ctx, sheaf_slice event, sheaf_slice data) {
  digest *d = ctx;
  d->hash = sheaf__hash(event.data, event.bytes, d->hash);
  d->hash = sheaf__hash(data.data, data.bytes, d->hash);
  d->count++;
  return SHEAF_OK;
}

static void require(bool condition) {
  if (!condition) abort();
}

/* A chunk in memory of its own: nothing of it may be needed once the feed is over. */
static void feed(sheaf__framer *framer, sheaf_slice chunk, digest *d) {
  char *copy = malloc(chunk.bytes ? chunk.bytes : 1);
  require(copy != NULL);
  if (chunk.bytes) memcpy(copy, chunk.data, chunk.bytes);
  require(sheaf__framer_feed(framer, (sheaf_slice){copy, chunk.bytes}, on_event, d) == SHEAF_OK);
  free(copy);
}

static digest run(sheaf_slice body, uint32_t framing, const size_t *cuts, size_t count) {
  digest d = {0};
  sheaf__framer framer;
  size_t at = 0;
  sheaf__framer_init(&framer, &heap, framing);
  for (size_t i = 0; i < count; i++) {
    size_t to = cuts[i] < at ? at : cuts[i] > body.bytes ? body.bytes : cuts[i];
    feed(&framer, (sheaf_slice){body.data + at, to - at}, &d);
    at = to;
  }
  feed(&framer, (sheaf_slice){body.data + at, body.bytes - at}, &d);
  require(sheaf__framer_end(&framer, on_event, &d) == SHEAF_OK);
  sheaf__framer_deinit(&framer);
  return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3 || size > 1 << 16) return 0;
  uint32_t framing = data[0] & 1 ? SHEAF_FRAMING_NDJSON : SHEAF_FRAMING_SSE;
  sheaf_slice body = {(const char *)data + 3, size - 3};
  size_t two[2] = {data[1], (size_t)data[1] + data[2]};
  digest whole = run(body, framing, NULL, 0), split = run(body, framing, two, 2);
  require(whole.hash == split.hash && whole.count == split.count);
  size_t *each = malloc((body.bytes + 1) * sizeof *each);
  require(each != NULL);
  for (size_t i = 0; i < body.bytes; i++) each[i] = i + 1;
  digest bytewise = run(body, framing, each, body.bytes);
  free(each);
  require(whole.hash == bytewise.hash && whole.count == bytewise.count);
  require(whole.count <= body.bytes);
  return 0;
}
