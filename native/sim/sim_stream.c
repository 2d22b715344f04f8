/* sim_stream.c: an answer piece by piece, and the faults that bend a stream.
 *
 *   step   open -> a piece of the next choice's part, about a token -> ... -> close
 *
 * The choices take turns, and within a choice its parts follow one another. A fault that breaks the
 * stream does so after half of the tokens; what the connection does then is the server's. */
#include "sim_int.h"

#include <string.h>

/* ---- Parts and pieces ---- */

/* Words come with the space before them. Other text is parted at its every fourth byte, moved to
 * the end of a UTF-8 character, so that there are as many pieces as tokens. A giant comes whole. */
static sheaf_slice next_piece(const sim_call *call, const sim_part *part) {
  const char *text = call->text.data + part->from;
  size_t bytes = part->bytes, from = part->at, to = from;
  if (call->fault == SHEAF_SIM_FAULT_GIANT) {
    to = bytes;
  } else if (part->is_words) {
    to++;
    while (to < bytes && text[to] != ' ') to++;
  } else {
    to = bytes - from < 4 ? bytes : (from & ~(size_t)3) + 4;
    while (to < bytes && ((unsigned char)text[to] & 0xc0) == 0x80) to++;
  }
  return (sheaf_slice){text + from, to - from};
}

/* Whether the part is the first open one of its choice. */
static bool is_due(const sim_call *call, uint32_t i) {
  const sim_part *part = &call->parts[i];
  if (part->is_closed) return false;
  return i == 0 || part[-1].choice != part->choice || part[-1].is_closed;
}

static sim_part *find_due(sim_call *call) {
  for (uint32_t n = 0; n < call->part_count; n++) {
    uint32_t i = call->turn + n;
    if (i >= call->part_count) i -= call->part_count;
    if (is_due(call, i)) {
      call->turn = i;
      return &call->parts[i];
    }
  }
  return NULL;
}

/* Hands the turn to the first part of the choice after this one. */
static void pass_turn(sim_call *call) {
  uint32_t choice = call->parts[call->turn].choice;
  while (call->turn < call->part_count && call->parts[call->turn].choice == choice) call->turn++;
  if (call->turn == call->part_count) call->turn = 0;
}

static void close_part(sim_call *call, sim_part *part) {
  part->is_closed = true;
  if (call->provider->part_close) call->provider->part_close(call, part);
}

/* Sends the next piece of all; parts without text open and close on the way. NULL: none was
 * left. */
static sim_part *send_piece(sim_call *call) {
  sim_part *part;
  while ((part = find_due(call)) != NULL) {
    if (!part->is_open && call->provider->part_open) call->provider->part_open(call, part);
    part->is_open = true;
    if (part->at < part->bytes) {
      sheaf_slice piece = next_piece(call, part);
      part->at += piece.bytes;
      call->tokens_sent++;
      call->provider->part_piece(call, part, piece);
      return part;
    }
    close_part(call, part);
  }
  return NULL;
}

/* ---- Faults ---- */

static bool breaks_off(uint32_t fault) {
  return fault == SHEAF_SIM_FAULT_TRUNCATE || fault == SHEAF_SIM_FAULT_CUT ||
         fault == SHEAF_SIM_FAULT_RESET_BODY || fault == SHEAF_SIM_FAULT_STALL_BODY ||
         fault == SHEAF_SIM_FAULT_LATE_ERROR;
}

static void open_stream(sim_call *call) {
  call->is_open = true;
  call->stop_at = breaks_off(call->fault) ? (call->output_tokens + 1) / 2 : UINT64_MAX;
  if (call->provider->stream_open) call->provider->stream_open(call);
}

/* What of call->out this step wrote begins at `from`. */
static void break_off(sim_call *call, size_t from) {
  if (call->fault == SHEAF_SIM_FAULT_CUT) call->out.bytes -= (call->out.bytes - from) / 2;
  if (call->fault == SHEAF_SIM_FAULT_LATE_ERROR && call->provider->late_error)
    call->provider->late_error(call);
}

static bool is_sse(const sim_call *call) {
  static const char type[] = "text/event-stream";
  return call->content_type && strncmp(call->content_type, type, sizeof type - 1) == 0;
}

/* Takes back the last event, or the last line where events are lines. */
static void drop_last_event(sim_call *call, size_t from) {
  const char *text = call->out.data;
  size_t end = call->out.bytes;
  while (end > from && text[end - 1] == '\n') end--;
  while (end > from &&
         !(text[end - 1] == '\n' && (!is_sse(call) || (end - from > 1 && text[end - 2] == '\n'))))
    end--;
  call->out.bytes = end;
}

/* What a stream may look like and rarely does: CRLF, a comment and empty lines before each event;
 * where lines or values follow each other, space between them. */
static void spread_out(sim_call *call, size_t from) {
  sheaf_buf *out = &call->out;
  size_t bytes = out->bytes - from;
  if (out->status != SHEAF_OK || bytes == 0) return;
  if (!is_sse(call)) {
    sheaf_buf_append_text(out, "\r\n\r\n");
    return;
  }
  sheaf_buf plain;
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_append(&plain, out->data + from, bytes);
  if (plain.status == SHEAF_OK) {
    out->bytes = from;
    sheaf_buf_append_text(out, ": ping\r\n\r\n");
    for (size_t i = 0, line; i < bytes; i = line) {
      const char *stop = memchr(plain.data + i, '\n', bytes - i);
      line = stop ? (size_t)(stop - plain.data) + 1 : bytes;
      bool is_event_end = stop && i > 0 && line - i == 1;
      sheaf_buf_append(out, plain.data + i, line - i - (stop ? 1 : 0));
      if (stop) sheaf_buf_append_text(out, "\r\n");
      if (is_event_end && line < bytes) sheaf_buf_append_text(out, "\r\n: ping\r\n\r\n");
    }
  }
  sheaf_buf_deinit(&plain);
}

/* ---- The step ---- */

/* Whether more will come. */
static bool step(sim_call *call, size_t from) {
  if (!call->is_open) open_stream(call);
  sim_part *part = send_piece(call);
  if (call->stop_at != UINT64_MAX && (!part || call->tokens_sent >= call->stop_at)) {
    break_off(call, from);
    return false;
  }
  if (part) {
    if (part->at == part->bytes) close_part(call, part);
    pass_turn(call);
    if (find_due(call)) return true;
  }
  size_t close_at = call->out.bytes;
  if (call->provider->stream_close) call->provider->stream_close(call);
  if (call->fault == SHEAF_SIM_FAULT_NO_END) drop_last_event(call, close_at);
  return false;
}

bool sheaf__sim_stream_step(sim_call *call, uint64_t *gap_ns) {
  size_t from = call->out.bytes;
  bool is_more = step(call, from) && call->out.status == SHEAF_OK;
  if (call->fault == SHEAF_SIM_FAULT_BLANK) spread_out(call, from);
  *gap_ns = 0;
  if (is_more)
    *gap_ns = sheaf__sim_scaled(call->world,
                                sheaf__sim_gap_ns(call->world, call->key, call->tokens_sent));
  return is_more;
}
