/* flight_calls.c: a flight's exchange: its address and headers, its body as the transport pulls it
 * out of the spool, its reply as the lane is told of it. */
#include "engine/engine_int.h"
#include "lanes/job_fields.h"
#include "wire/http.h"

/* ---- Out ---- */

static bool is_whole_url(sheaf_slice path) {
  return (path.bytes > 8 && memcmp(path.data, "https://", 8) == 0) ||
         (path.bytes > 7 && memcmp(path.data, "http://", 7) == 0);
}

static int32_t write_url(sheaf__flight *f, const sheaf__place *place) {
  sheaf_slice path = f->wish.path;
  sheaf_buf_reset(&f->url);
  if (!is_whole_url(path)) sheaf_buf_append_slice(&f->url, place->options.base_url);
  sheaf_buf_append_slice(&f->url, path);
  if (place->options.query.bytes && !is_whole_url(path)) {
    sheaf_buf_append_text(&f->url, memchr(path.data, '?', path.bytes) ? "&" : "?");
    sheaf_buf_append_slice(&f->url, place->options.query);
  }
  return f->url.status;
}

static bool same_name(sheaf_slice a, sheaf_slice b) {
  if (a.bytes != b.bytes) return false;
  for (size_t i = 0; i < a.bytes; i++)
    if ((a.data[i] | 0x20) != (b.data[i] | 0x20)) return false;
  return true;
}

/* The endpoint's headers, with the call's own in their places. A key goes to its own origin only. */
static int32_t write_headers(sheaf_engine *engine, sheaf__flight *f, const sheaf__place *place,
                             sheaf_exchange *x) {
  const sheaf_job_call *call = f->wish.call;
  uint32_t wanted = place->header_count + call->header_count;
  if (f->header_capacity < wanted) {
    sheaf_header *more = sheaf__alloc_zero(&engine->allocator, wanted * sizeof *more);
    if (more == NULL) return SHEAF_E_NOMEM;
    sheaf__free(&engine->allocator, f->headers, f->header_capacity * sizeof *f->headers);
    f->headers = more;
    f->header_capacity = wanted;
  }
  sheaf_slice ours = sheaf__url_origin(place->options.base_url),
              theirs = sheaf__url_origin(sheaf_buf_slice(&f->url));
  bool is_ours = sheaf__slice_equal(ours, theirs);
  uint32_t count = 0;
  for (uint32_t i = 0; i < place->header_count; i++) {
    const sheaf_header *header = &place->headers[i];
    bool replaced = header->credential_id != 0 && !is_ours;
    for (uint32_t k = 0; k < call->header_count && !replaced; k++)
      replaced = same_name(header->name, call->headers[k].name);
    if (!replaced) f->headers[count++] = *header;
  }
  for (uint32_t k = 0; k < call->header_count; k++) f->headers[count++] = call->headers[k];
  x->headers = f->headers;
  x->header_count = count;
  return SHEAF_OK;
}

/* Uploads and downloads take as long as their bytes: at least 256 KB/s are waited for. */
#define SLOWEST_BYTES_PER_MS 256u

/* Fills a call for a flight that wants one; launch.c has asked the gate. */
int32_t sheaf__flight_call(sheaf_engine *engine, sheaf__flight *f, sheaf__call *call) {
  const sheaf__place *place = &engine->places[engine->seats[call->seat].place];
  const sheaf_job_call *job = f->wish.call;
  sheaf_exchange *x = &call->exchange;
  int32_t status = write_url(f, place);
  if (status == SHEAF_OK) status = write_headers(engine, f, place, x);
  if (status) return status;
  uint64_t rows_bytes = f->lane->upload_bytes(f->state);
  f->rows_bytes = job->has_rows ? rows_bytes : 0;
  f->pulled = f->pull_at = f->pull_left = 0;
  uint64_t bytes = job->head->bytes + f->rows_bytes + job->tail->bytes;
  x->kind = SHEAF_EXCHANGE_HTTP;
  x->method = job->method;
  x->url = sheaf_buf_slice(&f->url);
  x->endpoint = engine->seats[call->seat].place;
  x->same_key = 0;
  x->body = job->has_rows ? (sheaf_slice){NULL, 0} : sheaf_buf_slice(job->head);
  x->body_bytes = bytes;
  x->reply_bytes_max = job->is_streamed ? SHEAF_NEVER : engine->options.reply_bytes_max;
  uint64_t limit_ms = engine->options.attempt_timeout_ms;
  if (limit_ms)
    limit_ms += (bytes + (job->is_streamed ? rows_bytes * 8 : 0)) / SLOWEST_BYTES_PER_MS;
  x->timeout_ns = limit_ms ? sheaf__mul_sat(limit_ms, SHEAF__MS) : SHEAF_NEVER;
  x->stream = job->is_streamed;
  x->index = SHEAF_NEVER;
  x->user = NULL;
  call->flight = f;
  call->flight_tag = f->wish.tag;
  f->wants_exchange = false;
  f->is_out = true;
  return SHEAF_OK;
}

/* ---- The body ---- */

static int64_t take(sheaf_slice from, uint64_t at, void *to, size_t capacity) {
  size_t bytes = (size_t)sheaf__min_u64(from.bytes - at, capacity);
  memcpy(to, from.data + at, bytes);
  return (int64_t)bytes;
}

/* All of them, or the spool is not what it was. */
static int32_t read_spool(sheaf_engine *engine, const sheaf__flight *f, uint64_t at, void *to,
                          size_t bytes) {
  size_t got = 0;
  int32_t status = sheaf__flight_spooled(engine, f, at, to, bytes, &got);
  return status == SHEAF_OK && got < bytes ? SHEAF_E_CORRUPT : status;
}

/* The next bytes of the rows: entries without their heads, of which many fit into one read. The last
 * separator is not part of rows_bytes where the call wants none. */
static int64_t take_rows(sheaf_engine *engine, sheaf__flight *f, uint64_t left, char *to,
                         size_t capacity) {
  size_t done = 0;
  while (done < capacity && done < left) {
    if (f->pull_left == 0) {
      uint8_t head[SHEAF_JOB_ENTRY_HEAD];
      int32_t status = read_spool(engine, f, f->pull_at, head, sizeof head);
      if (status) return status;
      uint64_t skip = sheaf__get_le(head, 4);
      f->pull_left = sheaf__get_le(head + 4, 4);
      f->pull_at += sizeof head + skip;
      if (f->pull_at > f->spool_bytes) return SHEAF_E_CORRUPT;
    }
    size_t part = (size_t)sheaf__min_u64(f->pull_left, capacity - done);
    part = (size_t)sheaf__min_u64(part, left - done);
    if (part == 0) break;
    int32_t status = read_spool(engine, f, f->pull_at, to + done, part);
    if (status) return status;
    done += part;
    f->pull_at += part;
    f->pull_left -= part;
  }
  return (int64_t)done;
}

/* From the offset at which the last pull ended, or from the beginning again. */
int64_t sheaf__flight_body(sheaf_engine *engine, sheaf__flight *f, uint64_t offset, void *to,
                           size_t capacity) {
  const sheaf_job_call *job = f->wish.call;
  if (offset == 0) f->pulled = f->pull_at = f->pull_left = 0;
  if (offset != f->pulled) return SHEAF_E_MISUSE;
  uint64_t head = job->head->bytes, rows = f->rows_bytes;
  int64_t got;
  if (offset < head)
    got = take(sheaf_buf_slice(job->head), offset, to, capacity);
  else if (offset < head + rows)
    got = take_rows(engine, f, head + rows - offset, to, capacity);
  else if (offset < head + rows + job->tail->bytes)
    got = take(sheaf_buf_slice(job->tail), offset - head - rows, to, capacity);
  else
    got = 0;
  if (got > 0) f->pulled += (uint64_t)got;
  return got;
}

/* ---- Back ---- */

/* Bytes of a streamed reply: handed on when the lane has dealt with those before, and let go, so
 * that a large download never stands in memory. Answers whether all were handed on. */
bool sheaf__flight_chunk(sheaf_engine *engine, sheaf__call *call) {
  sheaf__flight *f = call->flight;
  if (!call->exchange.stream || call->http_status != 200) return true;
  if (f->parked) sheaf_buf_reset(&call->body); /* nobody wants the rest */
  if (f->parked) return true;
  if (!f->dry) return false;
  if (call->body.bytes == 0) return true;
  /* More may come while the lane is at these: they change places with those it is through with. */
  sheaf_buf chunk = call->body;
  call->body = f->chunk;
  f->chunk = chunk;
  sheaf_buf_reset(&call->body);
  sheaf__flight_tell(
      engine, f,
      &(sheaf__lane_input){
          .kind = SHEAF__IN_CHUNK, .tag = call->flight_tag, .bytes = sheaf_buf_slice(&f->chunk)});
  return false; /* the end of the reply is told when the lane is through with its bytes */
}

void sheaf__flight_reply(sheaf_engine *engine, sheaf__call *call) {
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = call->http_status,
                       .headers = sheaf_buf_slice(&call->headers),
                       .body = sheaf_buf_slice(&call->body),
                       .unix_ms = engine->unix_ms};
  sheaf__lane_input input = {.kind = SHEAF__IN_REPLY,
                             .tag = call->flight_tag,
                             .reply = call->end.end == SHEAF_END_OK ? &reply : NULL,
                             .decoded = &call->decoded};
  call->flight->is_out = false;
  sheaf__flight_tell(engine, call->flight, &input);
}
