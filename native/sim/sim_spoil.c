/* sim_spoil.c: finished bodies, bent. Called for every answer; most faults leave it as it is:
 * errors and what the wire shows are made elsewhere. Where a fault needs a body in one piece, the
 * whole text of a stream is gathered first, and is a stream no more.
 *
 *   swap     the body is another: a proxy's page, garbage, a redirect, nothing, a late error
 *   wrap     the body stays: white space around it, gzip, or only said to be gzip
 *   giant    the answer is written again with a longer text */
#include "sim_int.h"

#include <string.h>
#include <zlib.h>

#define GARBAGE_BYTES_MIN 64u
#define GARBAGE_BYTES_MORE 192u

/* Exchanges the body for `made`, unless that has failed. */
static void take_body(sim_call *call, sheaf_buf *made) {
  if (made->status == SHEAF_OK) {
    sheaf_buf old = call->out;
    call->out = *made;
    *made = old;
  }
  sheaf_buf_deinit(made);
}

/* ---- Another body ---- */

static void bad_gateway(sim_call *call) {
  sheaf_buf_reset(&call->out);
  sheaf_buf_append_text(&call->out,
                        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
                        "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>"
                        "\r\n</body>\r\n</html>\r\n");
  call->status = 502;
  call->content_type = "text/html";
}

/* The first byte begins no JSON and no UTF-8. */
static void garbage(sim_call *call) {
  uint64_t bytes = GARBAGE_BYTES_MIN + sheaf__sim_draw(call->key, SIM_DRAW_CUT, GARBAGE_BYTES_MORE);
  sheaf_buf_reset(&call->out);
  sheaf_buf_append(&call->out, "\xfe", 1);
  for (uint64_t i = 1; i < bytes; i++) {
    unsigned char byte = (unsigned char)sheaf__sim_draw(call->key, SIM_DRAW_TEXT + i, 256);
    sheaf_buf_append(&call->out, &byte, 1);
  }
}

/* Nothing is there: a client that follows gets the 404 of an unknown path, once. */
static void redirect(sim_call *call) {
  sheaf_buf_reset(&call->out);
  call->status = 307;
  sheaf__sim_header(call, "location", "/_sim/elsewhere");
}

static void late_error(sim_call *call) {
  if (!call->provider->late_error) return;
  sheaf_buf_reset(&call->out);
  call->provider->late_error(call);
}

/* ---- The same body in another coat ---- */

static void blank(sim_call *call) {
  sheaf_buf made;
  sheaf_buf_init(&made, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_append_text(&made, "\r\n \t\n");
  sheaf_buf_append_slice(&made, sheaf_buf_slice(&call->out));
  sheaf_buf_append_text(&made, "\n\t \r\n");
  take_body(call, &made);
}

/* Windows of 15 bits, and 16 for the coat of gzip: see deflateInit2 in zlib.h. */
static void gzip(sim_call *call) {
  z_stream z;
  sheaf_buf made;
  memset(&z, 0, sizeof z);
  if (call->out.status != SHEAF_OK || call->out.bytes > UINT32_MAX) return;
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return;
  sheaf_buf_init(&made, &sheaf__sim_allocator, SIM_REPLY_MAX);
  uLong bound = deflateBound(&z, (uLong)call->out.bytes);
  if (sheaf_buf_reserve(&made, bound) == SHEAF_OK) {
    /* zlib reads only, but its field is not const. */
    memcpy(&z.next_in, &call->out.data, sizeof z.next_in);
    z.avail_in = (uInt)call->out.bytes;
    z.next_out = (Bytef *)made.data;
    z.avail_out = (uInt)bound;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
      made.bytes = z.total_out;
      take_body(call, &made);
      sheaf__sim_header(call, "content-encoding", "gzip");
    }
  }
  deflateEnd(&z);
  sheaf_buf_deinit(&made);
}

/* ---- The giant ---- */

/* Makes the last part's text longer: JSON by space after it, which is still JSON. */
static void pad_text(sim_call *call, uint64_t bytes) {
  static const char words[] = "giant giant giant giant giant giant giant giant giant giant giant ";
  static const char spaces[] = "                                                                  ";
  _Static_assert(sizeof words == sizeof spaces, "two paddings of one length");
  sim_part *part = call->part_count ? &call->parts[call->part_count - 1] : NULL;
  if (!part || part->from + part->bytes != call->text.bytes) return;
  char first = part->bytes ? call->text.data[part->from] : 'x';
  const char *padding =
      first == '{' || first == '[' || part->kind == SIM_PART_TOOL ? spaces : words;
  if (bytes > SIM_REPLY_MAX / 2) bytes = SIM_REPLY_MAX / 2;
  while (bytes && call->text.status == SHEAF_OK) {
    size_t some = bytes < sizeof words - 1 ? (size_t)bytes : sizeof words - 1;
    sheaf_buf_append(&call->text, padding, some);
    bytes -= some;
  }
  if (call->text.status == SHEAF_OK) part->bytes = call->text.bytes - part->from;
}

/* The body has giant_bytes when it is done, or more where it had them before. Token counts stay
 * those of the answer without its padding. */
static void giant(sim_call *call) {
  uint64_t wanted = call->world->options->giant_bytes;
  if (wanted <= call->out.bytes) return;
  if (!sheaf__sim_is_batch(call->route)) { /* those may not be done twice */
    pad_text(call, wanted - call->out.bytes);
    sheaf_buf_reset(&call->out);
    call->provider->answer(call);
  }
  if (wanted > SIM_REPLY_MAX / 2) wanted = SIM_REPLY_MAX / 2;
  if (call->out.bytes >= wanted || sheaf_buf_reserve(&call->out, wanted - call->out.bytes)) return;
  memset(call->out.data + call->out.bytes, ' ', wanted - call->out.bytes);
  call->out.bytes = wanted;
}

/* ---- All of them ---- */

static bool needs_no_body(uint32_t fault) {
  return fault == SHEAF_SIM_FAULT_RESET || fault == SHEAF_SIM_FAULT_STALL ||
         fault == SHEAF_SIM_FAULT_REFUSE;
}

static void gather_stream(sim_call *call) {
  uint64_t gap_ns;
  if (call->fault == SHEAF_SIM_FAULT_GIANT)
    pad_text(call, call->world->options->giant_bytes > call->text.bytes
                       ? call->world->options->giant_bytes - call->text.bytes
                       : 0);
  while (sheaf__sim_stream_step(call, &gap_ns)) continue;
  call->is_stream = false;
}

void sheaf__sim_spoil(sim_call *call) {
  if (call->fault >= SHEAF_SIM_FAULT_COUNT || needs_no_body(call->fault)) return;
  if (call->is_stream) {
    if (sheaf__sim_fault_shown(call->fault) == SIM_SHOWN_STREAM) return;
    gather_stream(call);
    if (call->fault == SHEAF_SIM_FAULT_GIANT) return;
  }
  switch (call->fault) {
    case SHEAF_SIM_FAULT_BAD_GATEWAY: bad_gateway(call); break;
    case SHEAF_SIM_FAULT_GARBAGE: garbage(call); break;
    case SHEAF_SIM_FAULT_REDIRECT: redirect(call); break;
    case SHEAF_SIM_FAULT_LATE_ERROR: late_error(call); break;
    case SHEAF_SIM_FAULT_NO_END: sheaf_buf_reset(&call->out); break;
    case SHEAF_SIM_FAULT_BLANK: blank(call); break;
    case SHEAF_SIM_FAULT_GZIP: gzip(call); break;
    case SHEAF_SIM_FAULT_GZIP_BAD: sheaf__sim_header(call, "content-encoding", "gzip"); break;
    case SHEAF_SIM_FAULT_GIANT: giant(call); break;
    default: break;
  }
}
