/* sim_call.c: one request and its answer: storage, parts, headers, ids. */
#include "sim_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES 65536u /* a buffer larger than this is not kept for the next request */
#define KEEP_PARTS 16u

void sheaf__sim_call_init(sim_call *call) {
  memset(call, 0, sizeof *call);
  sheaf_buf_init(&call->body, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_init(&call->prompt, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf_buf_init(&call->text, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf_buf_init(&call->out, &sheaf__sim_allocator, SIM_REPLY_MAX);
}

static void recycle(sheaf_buf *buf) {
  if (buf->capacity > KEEP_BYTES)
    sheaf_buf_deinit(buf);
  else
    sheaf_buf_reset(buf);
}

/* The headers and the tools are most of the structure and their counts say how many are real, so
 * they are not cleared. */
void sheaf__sim_call_reset(sim_call *call) {
  sheaf_buf body = call->body, prompt = call->prompt, text = call->text, out = call->out;
  sim_part *parts = call->parts;
  uint32_t part_room = call->part_room;
  const sim_world *world = call->world;
  if (part_room > KEEP_PARTS) {
    free(parts);
    parts = NULL;
    part_room = 0;
  }
  sheaf__sim_blob_drop(call->spool);
  sheaf__sim_blob_drop(call->send);
  memset(call, 0, offsetof(sim_call, asked.tool));
  memset(&call->prompt, 0, offsetof(sim_call, headers) - offsetof(sim_call, prompt));
  call->world = world;
  call->body = body;
  call->prompt = prompt;
  call->text = text;
  call->out = out;
  call->parts = parts;
  call->part_room = part_room;
  recycle(&call->body);
  recycle(&call->prompt);
  recycle(&call->text);
  recycle(&call->out);
}

void sheaf__sim_call_deinit(sim_call *call) {
  sheaf__sim_blob_drop(call->spool);
  sheaf__sim_blob_drop(call->send);
  call->spool = call->send = NULL;
  sheaf_buf_deinit(&call->body);
  sheaf_buf_deinit(&call->prompt);
  sheaf_buf_deinit(&call->text);
  sheaf_buf_deinit(&call->out);
  free(call->parts);
  call->parts = NULL;
  call->part_count = call->part_room = 0;
}

bool sheaf__sim_is_batch(const sim_route *route) {
  return route && route->task >= SIM_FILE_CREATE;
}

bool sheaf__sim_is_spooled(const sim_route *route) {
  return route && (route->task == SIM_FILE_CREATE || route->task == SIM_FILE_PIECE ||
                   route->task == SIM_JOB_CREATE_ROWS);
}

/* ---- Parts ---- */

sim_part *sheaf__sim_part_add(sim_call *call, uint32_t kind, uint32_t choice) {
  if (call->part_count == call->part_room) {
    uint32_t room = call->part_room ? call->part_room * 2 : 4;
    if (call->part_room >= SIM_PARTS_MAX) return NULL;
    sim_part *parts = realloc(call->parts, room * sizeof *parts);
    if (!parts) return NULL;
    call->parts = parts;
    call->part_room = room;
  }
  const sim_part *last = sheaf__sim_part_last(call, choice);
  sim_part *part = &call->parts[call->part_count];
  *part = (sim_part){.kind = kind,
                     .choice = choice,
                     .from = call->text.bytes,
                     .index = last ? last->index + 1 : 0};
  call->part_count++;
  return part;
}

sheaf_slice sheaf__sim_part_text(const sim_call *call, const sim_part *part) {
  if (part->bytes == 0) return (sheaf_slice){0};
  return (sheaf_slice){call->text.data + part->from, part->bytes};
}

const sim_part *sheaf__sim_part_last(const sim_call *call, uint32_t choice) {
  for (uint32_t i = call->part_count; i-- > 0;)
    if (call->parts[i].choice == choice) return &call->parts[i];
  return NULL;
}

/* ---- Headers and ids ---- */

void sheaf__sim_header(sim_call *call, const char *name, const char *value) {
  if (call->header_count == SIM_HEADERS_MAX) return;
  sim_header *header = &call->headers[call->header_count++];
  header->name = name;
  snprintf(header->value, sizeof header->value, "%s", value);
}

void sheaf__sim_header_u64(sim_call *call, const char *name, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, value);
  sheaf__sim_header(call, name, text);
}

void sheaf__sim_id(const sim_call *call, const char *prefix, uint64_t n, sheaf_buf *out) {
  static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
  char id[24];
  uint64_t low = sheaf__sim_mix(call->key, SIM_DRAW_ID);
  if (n) low = sheaf__sim_mix(low, n);
  uint64_t high = sheaf__sim_mix(low, SIM_DRAW_ID);
  for (size_t i = 0; i < 12; i++) id[i] = digits[low >> (5 * i) & 31];
  for (size_t i = 0; i < 12; i++) id[12 + i] = digits[high >> (5 * i) & 31];
  sheaf_buf_append_text(out, prefix);
  sheaf_buf_append(out, id, sizeof id);
}

uint64_t sheaf__sim_created(const sim_call *call) {
  return 1767225600u + call->key % 31536000u; /* somewhere in 2026 */
}
