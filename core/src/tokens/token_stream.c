/* token_stream.c: a text that comes in chunks.
 *
 * What is held back lies in one buffer: first `blank_bytes` whose ids are known but may still be
 * taken back, then text whose pieces are not known. Ids may be taken back only if the next byte
 * turns out to be no UTF-8: then white-space tokens before it are merged anew with it (see
 * tokens.c), so they wait until a piece that begins otherwise is known. A piece is known once it
 * ends before the buffer does and nothing behind the buffer could move its end.
 *
 * A long run is not looked at again for each chunk, but when it has doubled, so that the work stays
 * in proportion to the text. */
#include "tokens/tokenizer.h"

#define LOOK_ALWAYS ((size_t)256) /* a run this short is looked at for each chunk */

struct sheaf_token_stream {
  sheaf_tokenizer *tokenizer;
  sheaf_allocator allocator;
  sheaf__special_rule rule;
  size_t allowed_bytes; /* of rule.allowed, which is ours */
  sheaf_buf held;
  size_t begin; /* of what is still held */
  sheaf_buf blank_ids;
  size_t blank_bytes;
  size_t looked;   /* bytes of text behind the blanks that were looked at without finding a piece */
  size_t searched; /* of the bytes held, the first that hold no special's beginning */
  bool waits;      /* what is held can only be known as a whole, at the next special */
  bool over;       /* failed for good */
};

int32_t sheaf_token_stream_new(sheaf_tokenizer *tokenizer, const sheaf_special_policy *policy,
                               size_t held_bytes_max, sheaf_token_stream **stream) {
  if (!tokenizer || !stream) return SHEAF_E_MISUSE;
  sheaf__special_rule rule;
  int32_t status = sheaf__special_rule_of(policy, &rule);
  if (status != SHEAF_OK) return status;
  if (held_bytes_max == 0 || held_bytes_max > SHEAF_TOKEN_TEXT_BYTES_MAX)
    held_bytes_max = SHEAF_TOKEN_TEXT_BYTES_MAX;
  sheaf_token_stream *made = sheaf__alloc_zero(&tokenizer->allocator, sizeof *made);
  if (!made) return SHEAF_E_NOMEM;
  made->tokenizer = tokenizer;
  made->allocator = tokenizer->allocator;
  made->rule = rule;
  made->rule.allowed = NULL;
  sheaf_buf_init(&made->held, &made->allocator, held_bytes_max);
  sheaf_buf_init(&made->blank_ids, &made->allocator, SIZE_MAX); /* one id for a byte held */
  if (rule.allowed_count > 0) {
    uint32_t *allowed = sheaf__alloc(&made->allocator, rule.allowed_count * sizeof *allowed);
    if (!allowed) {
      sheaf_token_stream_free(made);
      return SHEAF_E_NOMEM;
    }
    memcpy(allowed, rule.allowed, rule.allowed_count * sizeof *allowed);
    made->rule.allowed = allowed;
    made->allowed_bytes = rule.allowed_count * sizeof *allowed;
  }
  *stream = made;
  return SHEAF_OK;
}

void sheaf_token_stream_free(sheaf_token_stream *stream) {
  if (!stream) return;
  sheaf_allocator allocator = stream->allocator;
  void *allowed;
  memcpy(&allowed, &stream->rule.allowed, sizeof allowed); /* ours, so not const to us */
  sheaf__free(&allocator, allowed, stream->allowed_bytes);
  sheaf_buf_deinit(&stream->held);
  sheaf_buf_deinit(&stream->blank_ids);
  sheaf__free(&allocator, stream, sizeof *stream);
}

size_t sheaf_token_stream_room(const sheaf_token_stream *stream, size_t chunk_bytes) {
  size_t bytes = stream->held.bytes - stream->begin + chunk_bytes;
  return sheaf_tokens_room(stream->tokenizer->vocab, bytes);
}

static const uint8_t *held_at(const sheaf_token_stream *s, size_t offset) {
  return (const uint8_t *)s->held.data + s->begin + offset;
}

static size_t held_bytes(const sheaf_token_stream *s) {
  return s->held.bytes - s->begin;
}

/* Forgets the first bytes of what is held. */
static void drop(sheaf_token_stream *s, size_t bytes) {
  s->begin += bytes;
  s->searched = s->searched > bytes ? s->searched - bytes : 0;
}

/* The ids of the blanks cannot change any more. */
static void settle_blanks(sheaf_token_stream *s, sheaf__sink *sink) {
  for (size_t i = 0; i + sizeof(uint32_t) <= s->blank_ids.bytes; i += sizeof(uint32_t)) {
    uint32_t id;
    memcpy(&id, s->blank_ids.data + i, sizeof id);
    sheaf__sink_put(sink, id);
  }
  s->blank_ids.bytes = 0;
  s->blank_bytes = 0;
}

/* The tokens of a known piece. */
static int32_t take_tokens(sheaf_token_stream *s, size_t count, sheaf__sink *sink) {
  const sheaf_tokenizer *t = s->tokenizer;
  int32_t status = sheaf_buf_reserve(&s->blank_ids, count * sizeof(uint32_t));
  if (status != SHEAF_OK) return status;
  for (size_t i = 0; i < count; i++) {
    uint32_t token = t->tokens[i], id = sheaf__token_id(t->vocab, token);
    if (sheaf__is_blank(t->vocab, token)) {
      sheaf_buf_append(&s->blank_ids, &id, sizeof id);
      s->blank_bytes += sheaf__token_bytes(t->vocab, token);
    } else {
      settle_blanks(s, sink);
      sheaf__sink_put(sink, id);
    }
  }
  return SHEAF_OK;
}

/* All pieces of the held text before `end` that nothing can change any more. The blanks behind the
 * last of them stay in front of the text that is left. */
static int32_t take_pieces(sheaf_token_stream *s, size_t end, sheaf__sink *sink) {
  sheaf_tokenizer *t = s->tokenizer;
  size_t at = s->blank_bytes;
  while (at < end) {
    bool open = false;
    size_t count;
    const uint8_t *p = held_at(s, at), *stop = held_at(s, end);
    const uint8_t *q = sheaf__scan(t->vocab->pattern, p, stop, &open);
    if (open || q == stop) break;
    int32_t status = sheaf__piece_tokens(t, p, (size_t)(q - p), held_bytes(s) - at, &count);
    if (status == SHEAF_OK) status = take_tokens(s, count, sink);
    if (status != SHEAF_OK) return status;
    at += (size_t)(q - p);
  }
  s->looked = end - at;
  drop(s, at - s->blank_bytes);
  return SHEAF_OK;
}

/* Whether a sequence of UTF-8 has begun at p that these bytes are too few to end. */
static bool is_begun(const uint8_t *p, size_t bytes) {
  return bytes < 4 && p[0] >= 0xC2 && p[0] <= 0xF4 &&
         sheaf__utf8_step((const char *)p, bytes) == -(int)bytes;
}

/* What of the text before `limit` is known, where no special begins. */
static int32_t take_known(sheaf_token_stream *s, size_t limit, sheaf__sink *sink) {
  size_t bytes = limit - s->blank_bytes;
  if (s->waits || (bytes > LOOK_ALWAYS && bytes / 2 < s->looked)) return SHEAF_OK;
  const uint8_t *p = held_at(s, s->blank_bytes);
  size_t valid = sheaf__well_formed(p, bytes);
  if (valid < bytes) s->waits = limit < held_bytes(s) || !is_begun(p + valid, bytes - valid);
  if (s->tokenizer->vocab->flags & SHEAF__VOCAB_NFC) {
    /* A mark may come that changes the last character, but nothing before it. */
    if (!sheaf__nfc_is_plain(p, valid)) s->waits = true;
    while (valid > 0 && (p[valid - 1] & 0xC0) == 0x80) valid--;
    if (s->waits || valid <= 1) return SHEAF_OK;
    valid--;
  }
  return take_pieces(s, s->blank_bytes + valid, sink);
}

/* The text before `end` is whole: a special or nothing follows. */
static int32_t take_segment(sheaf_token_stream *s, size_t end, sheaf__sink *sink) {
  size_t blank_bytes = s->blank_bytes, bytes = end - blank_bytes;
  size_t count_before = sink->count;
  settle_blanks(s, sink);
  if (bytes > 0) {
    const uint8_t *p = held_at(s, 0);
    size_t valid = blank_bytes + sheaf__well_formed(p + blank_bytes, bytes);
    int32_t status = valid == end ? sheaf__encode_valid(s->tokenizer, p + blank_bytes, bytes, sink)
                                  : sheaf__encode_ill_formed(s->tokenizer, p, end, valid,
                                                             blank_bytes, count_before, sink);
    if (status != SHEAF_OK) return status;
  }
  s->looked = 0;
  s->waits = false;
  drop(s, end);
  return SHEAF_OK;
}

/* Everything that is known; of a text that has ended, everything. */
static int32_t advance(sheaf_token_stream *s, bool ended, sheaf__sink *sink) {
  for (;;) {
    size_t bytes = held_bytes(s);
    if (bytes == 0) return SHEAF_OK;
    sheaf__special_hit hit =
        sheaf__special_next(s->tokenizer->vocab, &s->rule, held_at(s, 0), bytes, s->searched);
    if (!ended && hit.open <= hit.offset) {
      s->searched = hit.open;
      return take_known(s, hit.open, sink);
    }
    if (hit.refused) return SHEAF_E_FIELD;
    int32_t status = take_segment(s, hit.offset, sink);
    if (status != SHEAF_OK) return status;
    if (hit.bytes > 0) sheaf__sink_put(sink, hit.id);
    drop(s, hit.bytes);
    s->searched = 0;
  }
}

static void compact(sheaf_token_stream *s) {
  if (s->begin == 0) return;
  s->held.bytes -= s->begin;
  memmove(s->held.data, s->held.data + s->begin, s->held.bytes);
  s->begin = 0;
}

static int32_t run(sheaf_token_stream *s, bool ended, uint32_t *ids, size_t room, size_t *count) {
  sheaf__sink sink = {ids, room, 0, SIZE_MAX};
  int32_t status = advance(s, ended, &sink);
  if (status == SHEAF_OK) {
    *count = sink.count;
    return SHEAF_OK;
  }
  s->over = true;
  return status;
}

int32_t sheaf_token_stream_feed(sheaf_token_stream *stream, sheaf_slice chunk, uint32_t *ids,
                                size_t room, size_t *count) {
  if (!stream || !count || (!ids && room > 0) || stream->over) return SHEAF_E_MISUSE;
  if (room < sheaf_token_stream_room(stream, chunk.bytes)) return SHEAF_E_FULL;
  compact(stream);
  int32_t status = sheaf_buf_append_slice(&stream->held, chunk);
  stream->held.status = SHEAF_OK; /* the buffer is as it was, and can be tried again */
  if (status == SHEAF_E_LIMIT) {
    stream->over = true;
    return SHEAF_E_TOO_LONG;
  }
  return status == SHEAF_OK ? run(stream, false, ids, room, count) : status;
}

int32_t sheaf_token_stream_end(sheaf_token_stream *stream, uint32_t *ids, size_t room,
                               size_t *count) {
  if (!stream || !count || (!ids && room > 0) || stream->over) return SHEAF_E_MISUSE;
  if (room < sheaf_token_stream_room(stream, 0)) return SHEAF_E_FULL;
  int32_t status = run(stream, true, ids, room, count);
  if (status != SHEAF_OK) return status;
  stream->held.bytes = stream->begin = stream->searched = stream->looked = 0;
  return SHEAF_OK;
}
