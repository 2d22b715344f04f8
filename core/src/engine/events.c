/* events.c: what the caller takes out: events, oldest first, and actions, in the order they were
 * decided. */
#include "engine/engine_int.h"

/* Room was reserved with the row. */
void sheaf__event_push(sheaf_engine *engine, uint32_t kind, sheaf__row *row, uint64_t exchange) {
  sheaf__event_entry *entry = sheaf__ring_push(&engine->events);
  *entry = (sheaf__event_entry){
      .kind = kind, .row = row, .exchange = exchange, .number = row ? row->index : 0};
}

static const char *notice_text(uint32_t notice) {
  switch (notice) {
    case SHEAF_NOTICE_PAUSED: return "paused: the provider asked to wait";
    case SHEAF_NOTICE_BREAKER_OPEN:
      return "the endpoint keeps failing; its circuit breaker is open";
    case SHEAF_NOTICE_BREAKER_CLOSED:
      return "the endpoint works again; its circuit breaker is closed";
    case SHEAF_NOTICE_KEY_STOPPED:
      return "the provider refused the key; nothing more is sent with it";
    case SHEAF_NOTICE_BUDGET: return "the budget is spent";
    case SHEAF_NOTICE_RESENT_UNKNOWN:
      return "sent again though an earlier try may have been billed";
    case SHEAF_NOTICE_STORE_FAILED: return "the run log could not be written; nothing more is sent";
    case SHEAF_NOTICE_RUN_DEADLINE: return "the run's deadline has passed";
    case SHEAF_NOTICE_MERGE_OFF:
      return "too many merged replies were discarded; prompts are sent one by one from now on";
    default: return "notice";
  }
}

/* Notices nobody takes are dropped beyond their ceiling: statistics keep the counts. */
void sheaf__notice(sheaf_engine *engine, uint32_t notice, uint32_t endpoint, uint64_t number) {
  if (SHEAF__HAS_LOG(engine) && notice != SHEAF_NOTICE_RESENT_UNKNOWN) {
    bool was_inside = engine->inside;
    engine->inside = true;
    engine->host.log(engine->host.ctx, notice == SHEAF_NOTICE_BREAKER_CLOSED ? 3 : 2,
                     sheaf_slice_of(notice_text(notice)));
    engine->inside = was_inside;
  }
  if (engine->notices_queued >= SHEAF__NOTICES_MAX ||
      engine->events.capacity == engine->events.count)
    return;
  sheaf__event_entry *entry = sheaf__ring_push(&engine->events);
  *entry = (sheaf__event_entry){
      .kind = SHEAF_EVENT_NOTICE, .notice = notice, .endpoint = endpoint, .number = number};
  engine->notices_queued++;
}

/* What rows may push has its room in the ring at all times; a group's event is pushed beside it, or
 * dropped. */
void sheaf__group_event(sheaf_engine *engine, uint64_t group, uint32_t state, uint64_t members) {
  if (!engine->options.group_events || group == 0) return;
  uint64_t room = sheaf__events_room(engine, engine->rows_made) + 1;
  sheaf__ring *ring = &engine->events;
  if (ring->capacity < room &&
      sheaf__ring_reserve(ring, &engine->allocator, (uint32_t)(room - ring->count)))
    return;
  sheaf__event_entry *entry = sheaf__ring_push(ring);
  *entry = (sheaf__event_entry){.kind = SHEAF_EVENT_GROUP,
                                .notice = state,
                                .exchange = engine->now_ns,
                                .number = group,
                                .endpoint = (uint32_t)members};
  engine->group_events_queued++;
}

/* The caller has seen enough of what the last call showed. */
void sheaf__shown_release(sheaf_engine *engine) {
  sheaf__row *row = engine->shown;
  if (row == NULL) return;
  engine->shown = NULL;
  sheaf__call *call = row->call;
  row->call = NULL;
  if (call != NULL && call->shown_by) { /* its twins show it, too: the last lets it go */
    call->shown_by--;
    if (call->row == row) call->row = NULL;
  } else if (call != NULL) {
    sheaf__call_release(engine, call);
  }
  engine->rows_done--;
  sheaf__row_release(engine, row);
}

/* Bytes at the end that are the first half of a surrogate pair: the second half comes with the next event. */
static size_t half_pair(sheaf_slice inside) {
  if (inside.bytes < 6) return 0;
  const char *p = inside.data + inside.bytes - 6;
  if (p[0] != '\\' || p[1] != 'u' || (p[2] | 0x20) != 'd') return 0;
  char third = (char)(p[3] | 0x20);
  if (p[3] != '8' && p[3] != '9' && third != 'a' && third != 'b') return 0;
  size_t before = 0; /* an even number of backslashes: the last of them begins an escape */
  while (before < inside.bytes - 6 && p[-1 - (ptrdiff_t)before] == '\\') before++;
  return before % 2 ? 0 : 6;
}

/* The stream's bytes that no delta has carried yet. A row that is done keeps them in place until its
 * result was shown; before, more may come and move them while a sink says later. Without memory they
 * wait for the next event. */
static sheaf_slice raw_of(sheaf_engine *engine, const sheaf__call *call) {
  sheaf_slice none = {NULL, 0};
  size_t whole = call->streaming->whole;
  if (!(call->row->flags & SHEAF__ROW_RAW) || whole <= call->raw_given) return none;
  sheaf_slice raw = {call->body.data + call->raw_given, whole - call->raw_given};
  if (call->row->state == SHEAF__AT_DONE) return raw;
  sheaf_buf_reset(&engine->raw);
  return sheaf_buf_append_slice(&engine->raw, raw) ? none : sheaf_buf_slice(&engine->raw);
}

/* False: the delta's attempt is gone, or nothing is new. */
static bool show_delta(sheaf_engine *engine, const sheaf__event_entry *entry, sheaf_event *event) {
  sheaf__call *call = sheaf__call_find(engine, entry->exchange);
  if (call == NULL || call->streaming == NULL) return false;
  sheaf__streaming *s = call->streaming;
  call->delta_queued = false;
  sheaf_slice inside = {s->stream.text.data + call->text_given,
                        s->stream.text.bytes - call->text_given};
  inside.bytes -= half_pair(inside);
  sheaf_buf_reset(&engine->delta);
  if (sheaf_buf_append_unescaped(&engine->delta, inside)) {
    sheaf_buf_reset(&engine->delta); /* half a surrogate pair: wait for the other */
    inside.bytes = 0;
  }
  event->raw = raw_of(engine, call);
  if (inside.bytes == 0 && event->raw.bytes == 0) return false;
  call->text_given += inside.bytes;
  call->raw_given += event->raw.bytes;
  call->delta_taken = true;
  event->text = sheaf_buf_slice(&engine->delta);
  event->index = call->row->index;
  event->custom_id = sheaf__row_id(call->row);
  event->user = call->row->user;
  event->endpoint = engine->seats[call->seat].place;
  return true;
}

int32_t sheaf_engine_next_event(sheaf_engine *engine, sheaf_event *event) {
  if (engine == NULL || event == NULL || engine->inside) return SHEAF_E_MISUSE;
  sheaf__shown_release(engine);
  for (;;) {
    sheaf__event_entry *head = sheaf__ring_peek(&engine->events);
    if (head == NULL) return SHEAF_E_EMPTY;
    sheaf__event_entry entry = *head;
    sheaf__ring_pop(&engine->events);
    memset(event, 0, sizeof *event);
    event->kind = entry.kind;
    event->notice = entry.notice;
    event->number = entry.number;
    event->endpoint = entry.endpoint;
    switch (entry.kind) {
      case SHEAF_EVENT_RESULT:
        sheaf__result_fill(engine, entry.row, &engine->result, &engine->text);
        engine->shown = entry.row;
        event->result = &engine->result;
        event->index = entry.number;
        return SHEAF_OK;
      case SHEAF_EVENT_DELTA:
        if (show_delta(engine, &entry, event)) return SHEAF_OK;
        break;
      case SHEAF_EVENT_DISCARD:
        if (entry.row->state == SHEAF__AT_FREE || entry.row->index != entry.number) break;
        event->index = entry.number;
        event->custom_id = sheaf__row_id(entry.row);
        event->user = entry.row->user;
        return SHEAF_OK;
      case SHEAF_EVENT_JOB:
        if (SHEAF__HAS_LANES) sheaf__job_news_show(engine, event);
        return SHEAF_OK;
      case SHEAF_EVENT_GROUP:
        engine->group_events_queued--;
        *event = (sheaf_event){.kind = SHEAF_EVENT_GROUP,
                               .group_state = entry.notice,
                               .group = entry.number,
                               .group_members = entry.endpoint,
                               .at_ns = entry.exchange};
        return SHEAF_OK;
      default:
        engine->notices_queued--;
        event->text = sheaf_slice_of(notice_text(entry.notice));
        return SHEAF_OK;
    }
  }
}

/* ---- Actions ---- */

static int32_t show_records(sheaf_engine *engine, const sheaf__action_entry *entry,
                            sheaf_action *action) {
  const sheaf_allocator *a = &engine->allocator;
  action->kind = SHEAF_ACTION_APPEND;
  action->ticket = entry->id;
  if (SHEAF__HAS_LANES && entry->slot == SHEAF__FLIGHT_RECORD) {
    int32_t room = sheaf__grow(a, &engine->shown_records, &engine->shown_capacity, 1,
                               sizeof(sheaf_record), UINT32_MAX);
    if (room) return room;
    const sheaf__flight *f = engine->flights;
    while (f != NULL && f->ticket != entry->id) f = f->next;
    SHEAF_ASSERT(f != NULL); /* a flight waits for its record and does not end before */
    engine->shown_records[0] =
        (sheaf_record){.type = f->record_type, .payload = sheaf_buf_slice(&f->record)};
    action->records = engine->shown_records;
    action->record_count = 1;
    return SHEAF_OK;
  }
  int32_t status = sheaf__grow(a, &engine->shown_records, &engine->shown_capacity, entry->count,
                               sizeof(sheaf_record), UINT32_MAX);
  if (status == SHEAF_OK)
    status = sheaf__grow(a, &engine->shown_payloads, &engine->shown_payload_capacity, entry->count,
                         SHEAF_RANGE_BYTES, UINT32_MAX);
  if (status) return status;
  for (uint32_t i = 0; i < entry->count; i++) {
    sheaf_range_write(&engine->records[entry->first + i], engine->shown_payloads[i]);
    engine->shown_records[i] =
        (sheaf_record){.type = entry->slot,
                       .payload = {(const char *)engine->shown_payloads[i], SHEAF_RANGE_BYTES}};
  }
  action->records = engine->shown_records;
  action->record_count = entry->count;
  return SHEAF_OK;
}

/* False: the store took longer than the row had. What is left of its time counts from now. */
static bool in_time(const sheaf_engine *engine, sheaf__call *call) {
  if (sheaf__is_flown(call) || call->started_ns == engine->now_ns) return true;
  uint64_t deadline = engine->run_deadline_ns; /* a group's members have timers of their own */
  if (call->row != NULL) deadline = sheaf__min_u64(deadline, call->row->deadline_ns);
  if (deadline <= engine->now_ns) return false;
  call->started_ns = engine->now_ns;
  if (deadline != SHEAF_NEVER)
    call->exchange.timeout_ns =
        sheaf__min_u64(call->exchange.timeout_ns, deadline - engine->now_ns);
  return true;
}

int32_t sheaf_engine_next_action(sheaf_engine *engine, sheaf_action *action) {
  if (engine == NULL || action == NULL || engine->inside) return SHEAF_E_MISUSE;
  for (;;) {
    sheaf__action_entry *head = sheaf__ring_peek(&engine->actions);
    if (head == NULL) return SHEAF_E_EMPTY;
    sheaf__action_entry entry = *head;
    memset(action, 0, sizeof *action);
    if (entry.kind == SHEAF_ACTION_APPEND && engine->store_failed) {
      sheaf__ring_pop(&engine->actions); /* nothing follows a record that was lost */
      continue;
    }
    if (entry.kind == SHEAF_ACTION_APPEND) {
      int32_t status = show_records(engine, &entry, action);
      if (status) return status;
      sheaf__ring_pop(&engine->actions);
      /* They leave in order: behind the last of them the array is empty, however long a START still
       * waits. */
      if (entry.slot != SHEAF__FLIGHT_RECORD && entry.first + entry.count == engine->record_count)
        engine->record_count = 0;
      return SHEAF_OK;
    }
    sheaf__call *call = sheaf__call_find(engine, entry.id);
    if (entry.kind == SHEAF_ACTION_START) {
      if (call != NULL && engine->store_used && call->ticket > engine->ticket_stored &&
          !engine->store_failed && !call->cancelling)
        return SHEAF_E_EMPTY; /* its record is not durable yet */
      sheaf__ring_pop(&engine->actions);
      if (call == NULL) continue;
      if (call->cancelling || engine->store_failed || !in_time(engine, call)) {
        sheaf__call_unsent(engine, call);
        continue;
      }
      call->ticket = 0; /* it has left */
      call->handed_out = true;
      if (call->row != NULL) {
        engine->stats.attempts++;
        engine->stats.bytes_sent += call->row->body_bytes;
      }
      if (call->company != NULL) sheaf__group_handed_out(engine, call);
      action->kind = SHEAF_ACTION_START;
      action->exchange = &call->exchange;
      return SHEAF_OK;
    }
    sheaf__ring_pop(&engine->actions);
    if (call == NULL || !call->out) continue;
    action->kind = SHEAF_ACTION_CANCEL;
    action->exchange_id = entry.id;
    return SHEAF_OK;
  }
}
