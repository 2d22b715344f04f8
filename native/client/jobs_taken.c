/* jobs_taken.c: which rows were handed out, and which may have been sent live: notes in the state
 * file, and the store's door that writes them in front of what depends on them.
 *
 * Before a job is over, what was taken is settled by the caller and noted: a list that goes on
 * after a crash passes those rows by, and their results are not shown again. What runs live (rows
 * that jobs gave back) is noted before it is sent, as in the log of a run over files: a call that
 * dies then leaves them as unknown, not as never sent.
 *
 * Outline: marks, marks as text, live rows, the door. */
#include "jobs_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_MAX \
  (UINT64_C(1) << 36) /* a row's number beyond it is damage, not a list: 8 GiB of bits */
#define NOTE_BYTES_MAX ((size_t)64 << 20)

/* ---- Marks ---- */

bool sheaf__marks_have(const sheaf__marks *marks, uint64_t number) {
  uint64_t word = number / 64;
  return word < marks->count && (marks->words[word] >> number % 64 & 1) != 0;
}

int32_t sheaf__marks_add(sheaf__marks *marks, uint64_t number) {
  if (number >= MARK_MAX) return SHEAF_E_RANGE;
  size_t word = (size_t)(number / 64);
  if (word >= marks->count) {
    size_t count = marks->count < 64 ? 64 : marks->count * 2;
    if (count <= word) count = word + 1;
    uint64_t *words = realloc(marks->words, count * sizeof *words);
    if (words == NULL) return SHEAF_E_NOMEM;
    memset(words + marks->count, 0, (count - marks->count) * sizeof *words);
    *marks = (sheaf__marks){words, count};
  }
  marks->words[word] |= UINT64_C(1) << number % 64;
  return SHEAF_OK;
}

/* ---- Marks as text: "0-99 105" ---- */

static void write_range(sheaf_buf *to, uint64_t first, uint64_t last) {
  if (to->bytes > 0) sheaf_buf_append_text(to, " ");
  sheaf_buf_append_u64(to, first);
  if (last == first) return;
  sheaf_buf_append_text(to, "-");
  sheaf_buf_append_u64(to, last);
}

static void write_marks(const sheaf__marks *marks, sheaf_buf *to) {
  const uint64_t end = (uint64_t)marks->count * 64;
  sheaf_buf_reset(to);
  for (uint64_t at = 0; at < end; at++) {
    if (at % 64 == 0 && marks->words[at / 64] == 0) at += 63;
    if (!sheaf__marks_have(marks, at)) continue;
    uint64_t first = at;
    while (sheaf__marks_have(marks, at + 1)) at++;
    write_range(to, first, at);
  }
}

/* A number, of at most 19 digits. */
static bool read_number(sheaf_slice *text, uint64_t *number) {
  size_t digits = 0;
  *number = 0;
  for (; digits < text->bytes && text->data[digits] >= '0' && text->data[digits] <= '9'; digits++)
    if (digits < 19) *number = *number * 10 + (uint64_t)(text->data[digits] - '0');
  text->data += digits;
  text->bytes -= digits;
  return digits > 0 && digits <= 19;
}

static bool skip(sheaf_slice *text, char byte) {
  if (text->bytes == 0 || text->data[0] != byte) return false;
  text->data++;
  text->bytes--;
  return true;
}

static bool read_range(sheaf_slice *text, uint64_t *first, uint64_t *last) {
  if (!read_number(text, first)) return false;
  *last = *first;
  if (skip(text, '-') && !read_number(text, last)) return false;
  return *last >= *first && *last < MARK_MAX;
}

static int32_t damaged(const sheaf__jobs_call *call, const char *note) {
  return sheaf__jobs_say(call->jobs, SHEAF_E_CORRUPT,
                         "%s is damaged in its note %s: which rows were handed out is not known. "
                         "Restore it from a copy, or move it away",
                         call->jobs->state_path, note);
}

int32_t sheaf__jobs_taken_read(sheaf__jobs_call *call) {
  sheaf_slice text;
  uint64_t first, last;
  int32_t status = sheaf_jobs_store_get(call->store, SHEAF__NOTE_TAKEN, &text);
  if (status == SHEAF_E_NOT_FOUND) return SHEAF_OK;
  while (status == SHEAF_OK && text.bytes > 0) {
    if (!read_range(&text, &first, &last)) return damaged(call, SHEAF__NOTE_TAKEN);
    for (uint64_t at = first; status == SHEAF_OK && at <= last; at++)
      status = sheaf__marks_add(&call->taken, at);
    if (text.bytes > 0 && !skip(&text, ' ')) return damaged(call, SHEAF__NOTE_TAKEN);
  }
  return status;
}

int32_t sheaf__jobs_taken_save(sheaf__jobs_call *call) {
  const sheaf_jobs_options *given = &call->jobs->given;
  if (!call->has_new_marks || call->not_settled) return SHEAF_OK;
  int32_t status = given->settle != NULL ? given->settle(given->user) : SHEAF_OK;
  call->not_settled = status != SHEAF_OK;
  if (status)
    return sheaf__jobs_fail(call, status,
                            "settle refused: the rows since the last time come again");
  write_marks(&call->taken, &call->text);
  if (call->text.status) return sheaf__jobs_fail(call, call->text.status, NULL);
  status = sheaf_jobs_store_set(call->store, SHEAF__NOTE_TAKEN, sheaf_buf_slice(&call->text));
  if (status) return sheaf__jobs_fail(call, status, sheaf_jobs_store_message(call->store));
  call->has_new_marks = false;
  return SHEAF_OK;
}

/* ---- Live rows: "R5-9 V7": may have been sent, and is known not to have been billed ---- */

static const char *live_name(uint64_t number, char name[48]) {
  snprintf(name, 48, SHEAF__NOTE_LIVE "%" PRIu64, number);
  return name;
}

static int32_t tell_range(sheaf__jobs_call *call, uint32_t type, uint64_t first, uint64_t last) {
  uint8_t bytes[SHEAF_RANGE_BYTES];
  const sheaf_range range = {.first = first, .last = last, .cost_max_usd_nano = SHEAF_ABSENT};
  sheaf_range_write(&range, bytes);
  const sheaf_record record = {.type = type, .payload = {(const char *)bytes, sizeof bytes}};
  return sheaf_engine_on_scanned(call->engine, &record, 1);
}

static int32_t tell_note(sheaf__jobs_call *call, sheaf_slice text, const char *name) {
  uint64_t first, last;
  int32_t status = SHEAF_OK;
  while (status == SHEAF_OK && text.bytes > 0) {
    uint32_t type = skip(&text, 'R')   ? (uint32_t)SHEAF_RECORD_RANGE
                    : skip(&text, 'V') ? (uint32_t)SHEAF_RECORD_VOID
                                       : 0;
    if (type == 0 || !read_range(&text, &first, &last)) return damaged(call, name);
    status = tell_range(call, type, first, last);
    if (text.bytes > 0 && !skip(&text, ' ')) return damaged(call, name);
  }
  return status;
}

int32_t sheaf__jobs_live_tell(sheaf__jobs_call *call) {
  char name[48];
  for (;;) {
    sheaf_slice text;
    int32_t status = sheaf_jobs_store_get(call->store, live_name(call->live_notes, name), &text);
    if (status == SHEAF_E_NOT_FOUND) return SHEAF_OK;
    if (status == SHEAF_OK) status = tell_note(call, text, name);
    if (status) return status;
    call->live_notes++;
  }
}

static int32_t note_live(sheaf__jobs_call *call, const sheaf_record *records, uint32_t count) {
  char name[48];
  sheaf_buf *text = &call->text;
  sheaf_buf_reset(text);
  for (uint32_t i = 0; i < count; i++) {
    sheaf_range range;
    bool is_void = records[i].type == SHEAF_RECORD_VOID;
    if (!is_void && records[i].type != SHEAF_RECORD_RANGE) continue;
    if (sheaf_range_read(records[i].payload, &range)) continue;
    sheaf_buf_append_text(text, text->bytes ? " " : "");
    sheaf_buf_append_text(text, is_void ? "V" : "R");
    sheaf_buf_append_u64(text, range.first);
    if (range.last == range.first) continue;
    sheaf_buf_append_text(text, "-");
    sheaf_buf_append_u64(text, range.last);
  }
  if (text->status) return text->status;
  if (text->bytes == 0) return SHEAF_OK;
  return sheaf_jobs_store_set(call->store, live_name(call->live_notes++, name),
                              sheaf_buf_slice(text));
}

/* ---- The door ---- */

static uint64_t flight_of(sheaf_slice payload) {
  uint64_t flight = 0;
  for (size_t i = 0; i < 8 && i < payload.bytes; i++)
    flight |= (uint64_t)(unsigned char)payload.data[i] << (8 * i);
  return flight;
}

static int32_t append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  sheaf__jobs_call *call = ctx;
  int32_t status = call->not_settled ? SHEAF_E_STORE : note_live(call, records, count);
  for (uint32_t i = 0; i < count && status == SHEAF_OK; i++) {
    if (records[i].type == SHEAF_RECORD_JOB_OVER) status = sheaf__jobs_taken_save(call);
    if (records[i].type != SHEAF_RECORD_JOB_PLAN) continue;
    status = sheaf__marks_add(&call->planned, flight_of(records[i].payload));
    call->plans_moved = true;
  }
  if (status) return SHEAF_E_STORE;
  const sheaf_store *door = sheaf_jobs_store_door(call->store);
  return door->append(door->ctx, ticket, records, count);
}

static int32_t scan(void *ctx) {
  sheaf__jobs_call *call = ctx;
  const sheaf_store *door = sheaf_jobs_store_door(call->store);
  return door->scan(door->ctx);
}

sheaf_store sheaf__jobs_door(sheaf__jobs_call *call) {
  sheaf_buf_init(&call->text, sheaf_heap(), NOTE_BYTES_MAX);
  return (sheaf_store){
      .struct_bytes = sizeof(sheaf_store), .ctx = call, .append = append, .scan = scan};
}
