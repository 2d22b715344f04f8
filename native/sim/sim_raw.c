/* sim_raw.c: answers that libmicrohttpd cannot give, because no server should.
 *
 *   compose   head and body of the answer, bent as the fault wants it, into request->raw
 *   write     as the socket takes it; of a drip a few bytes at a time
 *   end       the close, the reset, or silence
 *
 * The connection is suspended all the while, so libmicrohttpd does not touch its socket; afterwards
 * it is told to let go. Whatever the fault, the connection does not live on. */
#define _GNU_SOURCE
#include "sim_server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define CORS_LINES "access-control-allow-origin: *\r\naccess-control-expose-headers: *\r\n"
#define DRIP_BYTES 7 /* odd, and less than most words: cuts keys, escapes and UTF-8 */

/* How much of an answer is written, and how it ends. */
enum { NOTHING, HALF_HEAD, HALF_BODY, WHOLE, SHORT_LENGTH, GARBAGE, CHUNKS, CHUNKS_BAD };

typedef struct manner {
  uint32_t fault, what, end;
} manner;

static const manner manners[] = {
    {SHEAF_SIM_FAULT_RESET, NOTHING, SIM_END_RESET},
    {SHEAF_SIM_FAULT_REFUSE, NOTHING, SIM_END_RESET},
    {SHEAF_SIM_FAULT_STALL, NOTHING, SIM_END_STALL},
    {SHEAF_SIM_FAULT_RESET_HEAD, HALF_HEAD, SIM_END_RESET},
    {SHEAF_SIM_FAULT_RESET_BODY, HALF_BODY, SIM_END_RESET},
    {SHEAF_SIM_FAULT_STALL_BODY, HALF_BODY, SIM_END_STALL},
    {SHEAF_SIM_FAULT_TRUNCATE, HALF_BODY, SIM_END_CLOSE},
    {SHEAF_SIM_FAULT_CUT, HALF_BODY, SIM_END_CLOSE},
    {SHEAF_SIM_FAULT_DRIP, WHOLE, SIM_END_CLOSE},
    {SHEAF_SIM_FAULT_LENGTH, SHORT_LENGTH, SIM_END_CLOSE},
    {SHEAF_SIM_FAULT_GARBAGE_HEAD, GARBAGE, SIM_END_CLOSE},
    {SHEAF_SIM_FAULT_CHUNKS, CHUNKS, SIM_END_CLOSE},
    {SHEAF_SIM_FAULT_CHUNKS_BAD, CHUNKS_BAD, SIM_END_CLOSE},
};

static const manner *manner_of(const sim_call *call) {
  for (size_t i = 0; i < sizeof manners / sizeof *manners; i++)
    if (manners[i].fault == call->fault) return &manners[i];
  return NULL;
}

/* A stream that breaks in the middle comes at its own pace until then (sim_exchange.c). */
bool sheaf__sim_raw_wants(const sim_call *call) {
  return call->fault != SIM_NO_FAULT && !call->is_stream && manner_of(call) != NULL;
}

/* ---- Composing ---- */

static void write_date(sheaf_buf *raw) {
  static const char days[] = "SunMonTueWedThuFriSat";
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  time_t now = time(NULL);
  struct tm date;
  char text[48];
  if (!gmtime_r(&now, &date)) return;
  /* RFC 9110 section 5.6.7; strftime would use the names of the locale. */
  strftime(text, sizeof text, "date: day, %d mon %Y %H:%M:%S GMT\r\n", &date);
  memcpy(text + 6, days + 3 * date.tm_wday, 3);
  memcpy(text + 14, months + 3 * date.tm_mon, 3);
  sheaf_buf_append_text(raw, text);
}

static void write_head(sim_request *request, const char *framing, uint64_t length) {
  const sim_call *call = &request->call;
  sheaf_buf *raw = &request->raw;
  const char *reason = MHD_get_reason_phrase_for(call->status);
  sheaf__sim_write(raw, "HTTP/1.1 %u %s\r\n", (uint64_t)call->status, reason ? reason : "Unknown");
  write_date(raw);
  for (uint32_t i = 0; i < call->header_count; i++)
    sheaf__sim_write(raw, "%s: %s\r\n", call->headers[i].name, call->headers[i].value);
  if (request->is_cors) sheaf_buf_append_text(raw, CORS_LINES);
  sheaf_buf_append_text(raw, framing);
  if (length != UINT64_MAX) sheaf__sim_write(raw, "content-length: %u\r\n", length);
  sheaf_buf_append_text(raw, "connection: close\r\n\r\n");
}

/* Any byte but '\n', which would be the end of a line, and not "HTTP" at the front. */
static void write_garbage(sim_request *request) {
  char bytes[64];
  for (size_t i = 0; i < sizeof bytes; i++) {
    bytes[i] = (char)sheaf__sim_draw(request->call.key, SIM_DRAW_TEXT + i, 256);
    if (bytes[i] == '\n') bytes[i] = '\r';
  }
  bytes[0] = '\x15'; /* as a TLS alert begins */
  sheaf_buf_append(&request->raw, bytes, sizeof bytes);
  sheaf_buf_append_text(&request->raw, "\r\n\r\n");
}

/* RFC 9112 section 7.1: sizes in both cases and with leading zeros, extensions, trailers. */
static void write_chunks(sim_request *request, sheaf_slice body) {
  static const char *const sizes[] = {
      "1", "01", "1;sheaf", "1;sheaf=oddity", "000001", "1;a=\"quoted; text\"", "1;a;b=c"};
  sheaf_buf *raw = &request->raw;
  write_head(request, "transfer-encoding: chunked\r\ntrailer: x-sheaf-trailer\r\n", UINT64_MAX);
  for (size_t i = 0; i < body.bytes; i++) {
    sheaf_buf_append_text(raw, sizes[i % (sizeof sizes / sizeof *sizes)]);
    sheaf_buf_append_text(raw, "\r\n");
    sheaf_buf_append(raw, body.data + i, 1);
    sheaf_buf_append_text(raw, "\r\n");
  }
  sheaf_buf_append_text(raw, "000;last\r\nx-sheaf-trailer: after the body\r\n\r\n");
}

static void write_bad_chunks(sim_request *request, sheaf_slice body) {
  char size[32];
  size_t half = body.bytes / 2, at = sizeof size;
  write_head(request, "transfer-encoding: chunked\r\n", UINT64_MAX);
  for (size_t rest = half; rest; rest /= 16) size[--at] = "0123456789abcdef"[rest % 16];
  if (half) {
    sheaf_buf_append(&request->raw, size + at, sizeof size - at);
    sheaf_buf_append_text(&request->raw, "\r\n");
    sheaf_buf_append(&request->raw, body.data, half);
    sheaf_buf_append_text(&request->raw, "\r\n");
  }
  sheaf_buf_append_text(&request->raw, "no size\r\n");
}

static void compose(sim_request *request, uint32_t what) {
  sheaf_buf *raw = &request->raw;
  sheaf_slice body = sheaf_buf_slice(&request->call.out);
  switch (what) {
    case NOTHING: return;
    case GARBAGE: write_garbage(request); return;
    case CHUNKS: write_chunks(request, body); return;
    case CHUNKS_BAD: write_bad_chunks(request, body); return;
    default: break;
  }
  write_head(request, "", what == SHORT_LENGTH ? body.bytes / 2 : body.bytes);
  if (what == HALF_HEAD) raw->bytes /= 2;
  if (what == HALF_BODY) sheaf_buf_append(raw, body.data, body.bytes / 2);
  if (what == WHOLE || what == SHORT_LENGTH) sheaf_buf_append_slice(raw, body);
}

/* ---- Writing ---- */

/* What the socket may have now. Of a drip, the due time counts from the one before: lateness does
 * not add up. */
static size_t allowance(sim_request *request) {
  size_t left = request->raw.bytes - request->sent;
  if (request->call.fault != SHEAF_SIM_FAULT_DRIP) return left;
  uint64_t gap = sheaf__sim_scaled(request->call.world, request->sim->options.drip_ms * SIM_MS);
  if (request->next_ns > sheaf__sim_now()) return 0;
  request->next_ns += gap;
  return left < DRIP_BYTES ? left : DRIP_BYTES;
}

/* Waits for the socket to take more, or for the time of the next drip; the client may leave. */
static void wait_on(sim_request *request, uint64_t due_ns) {
  sim_loop *loop = &request->sim->loop;
  uint32_t events = EPOLLRDHUP | (due_ns ? 0 : (uint32_t)EPOLLOUT);
  if (sheaf__sim_watch_set(loop, &request->watch, sheaf__sim_socket(request), events) &&
      (!due_ns || sheaf__sim_timer_set(loop, &request->timer, due_ns)))
    return;
  sheaf__sim_abort(request);
}

void sheaf__sim_raw_continue(sim_request *request) {
  while (request->sent < request->raw.bytes) {
    size_t bytes = allowance(request);
    if (!bytes) {
      wait_on(request, request->next_ns);
      return;
    }
    ssize_t written = send(sheaf__sim_socket(request), request->raw.data + request->sent, bytes,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written >= 0) {
      request->sent += (size_t)written;
    } else if (errno == EAGAIN) {
      wait_on(request, 0);
      return;
    } else if (errno != EINTR) {
      request->is_left = true;
      sheaf__sim_abort(request);
      return;
    }
  }
  sheaf__sim_end(request);
}

void sheaf__sim_raw_start(sim_request *request) {
  const manner *how = manner_of(&request->call);
  request->state = SIM_RAW;
  request->end = how->end;
  request->sent = 0;
  request->next_ns = sheaf__sim_now();
  if (request->call.fault == SHEAF_SIM_FAULT_REFUSE)
    sheaf__sim_listen_refuse(
        request->sim,
        sheaf__sim_scaled(request->call.world, request->sim->options.refuse_ms * SIM_MS));
  sheaf_buf_init(&request->raw, &sheaf__sim_allocator, SIM_REPLY_MAX);
  compose(request, how->what);
  if (request->raw.status != SHEAF_OK || request->call.out.status != SHEAF_OK)
    sheaf__sim_abort(request);
  else
    sheaf__sim_raw_continue(request);
}
