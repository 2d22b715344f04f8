/* sim_jobs_net.c: the transport: what is due, and the life of a call with all that may go wrong
 * with it.
 *
 * start -> arrive (the body is pulled) -> act (the provider) -> reply -> data in pieces -> end. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- What is due ---- */

void sj_later(sj_world *w, uint64_t at_ns, uint32_t kind, uint64_t what) {
  if (w->due_count == sizeof w->dues / sizeof *w->dues) {
    sj_fail(w, "the simulator's list is full", kind, what);
    return;
  }
  w->dues[w->due_count++] =
      (sj_due){.at_ns = at_ns, .seq = w->due_seq++, .kind = kind, .what = what};
}

/* ---- Calls ---- */

static void later(sj_world *w, uint64_t at_ns, uint32_t kind, const sj_call *call, uint32_t end) {
  sj_later(w, at_ns, kind, call->number);
  w->dues[w->due_count - 1].end = end;
}

static sj_call *call_of(sj_world *w, uint64_t number) {
  for (uint32_t i = 0; i < SJ_CALLS_MAX; i++)
    if (w->calls[i].used && w->calls[i].number == number) return &w->calls[i];
  return NULL;
}

void sj_call_free(sj_call *call) {
  sj_text_free(&call->url);
  sj_text_free(&call->headers);
  sj_text_free(&call->body);
  sj_text_free(&call->reply);
  sj_text_free(&call->reply_headers);
  memset(call, 0, sizeof *call);
}

static uint32_t draw_fate(const sj_world *w, const sj_call *call) {
  const sj_config *c = &w->config;
  if (sj_calm(w)) return SJ_GOOD;
  uint64_t at = sj_draw(c, 1000, SJ_CALL, call->number, 1);
  /* Creating is where it hurts. */
  if (sj_is_create(w, call)) at /= 3;
  for (uint32_t i = 1; i < SJ_CALL_FATES; i++) {
    if (at < c->call_permille[i]) return i;
    at -= c->call_permille[i];
  }
  return SJ_GOOD;
}

static void copy_call(sj_call *call, const sheaf_exchange *e) {
  call->id = e->id;
  call->place = e->endpoint;
  snprintf(call->method, sizeof call->method, "%s", e->method);
  sj_put_bytes(&call->url, e->url.data, e->url.bytes);
  for (uint32_t i = 0; i < e->header_count; i++) {
    sj_put_bytes(&call->headers, e->headers[i].name.data, e->headers[i].name.bytes);
    SJ_PUT(&call->headers, ": ");
    sj_put_bytes(&call->headers, e->headers[i].value.data, e->headers[i].value.bytes);
    SJ_PUT(&call->headers, "\n");
  }
  call->wants_pull = e->body.data == NULL && e->body_bytes > 0;
  call->body_bytes = e->body_bytes;
  if (e->body.data) sj_put_bytes(&call->body, e->body.data, e->body.bytes);
  call->stream = e->stream;
}

int32_t sj_start(sj_world *w, const sheaf_exchange *e) {
  const sj_config *c = &w->config;
  if (w->probing) return SHEAF_E_IO;
  char what[120];
  snprintf(what, sizeof what, "start %s %.*s", e->method,
           (int)(e->url.bytes < 90 ? e->url.bytes : 90), e->url.data);
  if (!sj_effect(w, what, e->id, e->body_bytes)) return SHEAF_OK;
  uint32_t at = 0;
  while (at < SJ_CALLS_MAX && w->calls[at].used) at++;
  if (at == SJ_CALLS_MAX) {
    sj_fail(w, "too many calls at once", e->id, 0);
    return SHEAF_E_IO;
  }
  sj_call *call = &w->calls[at];
  memset(call, 0, sizeof *call);
  call->used = true;
  copy_call(call, e);
  call->number = (uint32_t)w->calls_made++;
  call->started_ns = w->now_ns;
  call->ends_ns = e->timeout_ns == SHEAF_NEVER ? SHEAF_NEVER : w->now_ns + e->timeout_ns;
  call->is_job = sj_is_job_call(call);
  if (!call->is_job) sj_check_live(w, sj_row_of(w, call->body.data, call->body.bytes), call->place);
  call->fate = draw_fate(w, call);
  if (call->fate == SJ_SILENT_CUT && !call->stream) call->fate = SJ_GOOD;
  uint64_t way = 1 + sj_draw(c, 400 * SJ_MS, SJ_CALL, call->number, 2);
  later(w, w->now_ns + way, SJ_DUE_ARRIVE, call, 0);
  return SHEAF_OK;
}

/* Reports the end. Late and double reports are harmless. */
static void end_call(sj_world *w, sj_call *call, uint32_t end_kind) {
  if (call->ended) return;
  if (!sj_effect(w, "end", call->id, end_kind)) return;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.end = end_kind;
  end.http_status = end_kind == SHEAF_END_OK ? call->status : 0;
  if (end_kind != SHEAF_END_OK) end.message = SHEAF_LITERAL("the wire was cut");
  sheaf_engine_on_done(w->engine, call->id, &end);
  call->ended = true;
  if (w->config.twice_told) {
    sheaf_engine_on_done(w->engine, call->id, &end);
    sheaf_engine_on_data(w->engine, call->id, SHEAF_LITERAL("late"));
  }
}

void sj_cancel_call(sj_world *w, uint64_t id) {
  if (!sj_effect(w, "cancel", id, 0)) return;
  for (uint32_t i = 0; i < SJ_CALLS_MAX; i++)
    if (w->calls[i].used && w->calls[i].id == id && !w->calls[i].ended) {
      w->calls[i].fate = w->calls[i].acted ? SJ_BREAKS_AFTER : SJ_BREAKS_BEFORE;
      later(w, w->now_ns + SJ_MS, SJ_DUE_END, &w->calls[i], SHEAF_END_CANCELLED);
    }
}

/* Pulls the body as a driver does: in pieces, sometimes from the start again. */
static bool pull(sj_world *w, sj_call *call) {
  char piece[512];
  uint32_t n = 0;
  if (sj_chance(&w->config, 200, SJ_CALL, call->number, 3))
    sheaf_engine_body_read(w->engine, call->id, 0, piece, 1 + call->number % 200);
  for (;; n++) {
    size_t most = 1 + (size_t)sj_draw(&w->config, sizeof piece, SJ_CALL, call->number, 100 + n);
    int64_t got = sheaf_engine_body_read(w->engine, call->id, call->body.bytes, piece, most);
    if (got < 0) {
      SJ_NOTE(w, "         body_read answers %s", sheaf_status_name((int32_t)got));
      if (!w->config.spool_fails && !w->config.nomem)
        sj_fail(w, "a body cannot be read", call->id, (uint64_t)-got);
      return false;
    }
    if (got == 0) break;
    sj_put_bytes(&call->body, piece, (size_t)got);
  }
  if (call->body.bytes != call->body_bytes) {
    sj_fail(w, "a body is not as long as it was said to be", call->body.bytes, call->body_bytes);
    return false;
  }
  return true;
}

static void arrive(sj_world *w, sj_call *call) {
  if (call->ended) return;
  const sj_config *c = &w->config;
  if (call->fate == SJ_NOT_SENT) {
    end_call(w, call, SHEAF_END_NOT_SENT);
    return;
  }
  if (call->wants_pull && !call->pulled && !pull(w, call)) {
    end_call(w, call, SHEAF_END_BROKEN);
    return;
  }
  call->pulled = true;
  uint64_t work = 1 + sj_draw(c, 2 * SJ_SECOND, SJ_CALL, call->number, 4);
  switch (call->fate) {
    case SJ_BREAKS_BEFORE: end_call(w, call, SHEAF_END_BROKEN); break;
    case SJ_STALLS_BEFORE: later(w, call->ends_ns, SJ_DUE_END, call, SHEAF_END_TIMEOUT); break;
    case SJ_ACTS_LATE:
      later(w, w->now_ns + work, SJ_DUE_END, call, SHEAF_END_BROKEN);
      later(w, w->now_ns + work + sj_draw(c, 20 * SJ_SECOND, SJ_CALL, call->number, 5), SJ_DUE_ACT,
            call, 0);
      break;
    default: later(w, w->now_ns + work, SJ_DUE_ACT, call, 0); break;
  }
}

static void refuse_call(sj_world *w, sj_call *call) {
  call->reply.bytes = call->reply_headers.bytes = 0;
  static const uint32_t statuses[SJ_CALL_FATES] = {
      [SJ_SERVER] = 500, [SJ_REFUSES_KEY] = 401, [SJ_REJECTS] = 400};
  call->status = statuses[call->fate] ? statuses[call->fate] : 429;
  if (call->fate == SJ_LIMITED_HINT)
    SJ_PUT(&call->reply_headers, "retry-after: %u\n",
           1 + (unsigned)sj_draw(&w->config, 90, SJ_CALL, call->number, 6));
  static const char *const types[] = {"server_error", "authentication_error", "requests",
                                      "invalid_request_error"};
  SJ_PUT(&call->reply, "{\"error\":{\"message\":\"no\",\"type\":\"%s\",\"code\":null}}",
         types[call->status == 500   ? 0
               : call->status == 401 ? 1
                                     : 2]);
}

static void act(sj_world *w, sj_call *call) {
  const sj_config *c = &w->config;
  if (call->acted) return;
  if (call->fate == SJ_LIMITED || call->fate == SJ_LIMITED_HINT || call->fate == SJ_SERVER ||
      call->fate == SJ_REFUSES_KEY || call->fate == SJ_REJECTS)
    refuse_call(w, call);
  else
    sj_act(w, call);
  SJ_NOTE(w, "         provider: call %llu %s %.70s: %u", (unsigned long long)call->id,
          call->method, call->url.data, call->status);
  call->acted = true;
  if (call->ended) return;
  uint64_t way = 1 + sj_draw(c, 300 * SJ_MS, SJ_CALL, call->number, 7);
  if (call->fate == SJ_BREAKS_AFTER)
    later(w, w->now_ns + way, SJ_DUE_END, call, SHEAF_END_BROKEN);
  else if (call->fate == SJ_STALLS_AFTER)
    later(w, call->ends_ns, SJ_DUE_END, call, SHEAF_END_TIMEOUT);
  else
    later(w, w->now_ns + way, SJ_DUE_REPLY, call, 0);
}

static void reply(sj_world *w, sj_call *call) {
  if (call->ended) return;
  if (call->fate == SJ_GARBLED && call->status == 200 && call->is_job && !call->stream) {
    call->reply.bytes = 0;
    SJ_PUT(&call->reply, "<html>all is well</html>");
  }
  if (call->fate == SJ_GIVES_UP && call->is_job) {
    call->reply.bytes = call->reply_headers.bytes = 0;
    call->status = 408;
    SJ_PUT(&call->reply, "Request Timeout");
  }
  if ((call->fate == SJ_CUT || call->fate == SJ_SILENT_CUT) && call->reply.bytes)
    call->reply.bytes = (size_t)sj_draw(&w->config, call->reply.bytes, SJ_CALL, call->number, 8);
  if (!sj_effect(w, "head", call->id, call->status)) return;
  sheaf_engine_on_head(w->engine, call->id, call->status,
                       (sheaf_slice){call->reply_headers.data, call->reply_headers.bytes});
  later(w, w->now_ns, SJ_DUE_DATA, call, 0);
}

/* A piece at a time; full means: the same again after the next step. */
static void data(sj_world *w, sj_call *call) {
  if (call->ended) return;
  size_t left = call->reply.bytes - call->sent;
  if (left == 0) {
    end_call(w, call, call->fate == SJ_CUT ? SHEAF_END_BROKEN : SHEAF_END_OK);
    return;
  }
  size_t most = call->stream ? 200 : 5000;
  size_t n = 1 + (size_t)sj_draw(&w->config, most, SJ_CALL, call->number, 1000 + call->sent);
  if (n > left) n = left;
  if (!sj_effect(w, "data", call->id, n)) return;
  int32_t status =
      sheaf_engine_on_data(w->engine, call->id, (sheaf_slice){call->reply.data + call->sent, n});
  if (status == SHEAF_OK) {
    call->sent += n;
  } else if (status == SHEAF_E_LIMIT) {
    end_call(w, call, SHEAF_END_TOO_LARGE);
    return;
  } else if (status != SHEAF_E_FULL) {
    if (!w->config.nomem) sj_fail(w, "data is not taken", call->id, (uint64_t)-status);
    end_call(w, call, SHEAF_END_BROKEN);
    return;
  }
  bool slow = call->sent % 7 == 0;
  later(w, w->now_ns + (status ? SJ_MS : slow ? 200 * SJ_MS : 0), SJ_DUE_DATA, call, 0);
}

void sj_call_due(sj_world *w, const sj_due *due) {
  sj_call *call = call_of(w, due->what);
  if (call == NULL) return;
  switch (due->kind) {
    case SJ_DUE_ARRIVE: arrive(w, call); break;
    case SJ_DUE_ACT: act(w, call); break;
    case SJ_DUE_REPLY: reply(w, call); break;
    case SJ_DUE_DATA: data(w, call); break;
    default: end_call(w, call, due->end); break;
  }
  bool acts_later = call->fate == SJ_ACTS_LATE && !call->acted;
  if (call->ended && !acts_later) sj_call_free(call);
}

/* What was on its way when the host died: the provider may still see it. */
void sj_net_crash(sj_world *w) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < w->due_count; i++) {
    sj_due due = w->dues[i];
    sj_call *call = due.kind <= SJ_DUE_END ? call_of(w, due.what) : NULL;
    if (call == NULL || call->acted) continue;
    bool whole = call->pulled || !call->wants_pull;
    bool late =
        due.kind == SJ_DUE_ACT || (due.kind == SJ_DUE_ARRIVE && whole && call->fate != SJ_NOT_SENT);
    if (!late || !sj_chance(&w->config, 600, SJ_CALL, call->number, 9)) continue;
    call->ended = true;
    call->fate = SJ_ACTS_LATE;
    due.kind = SJ_DUE_ACT;
    w->dues[kept++] = due;
  }
  w->due_count = kept;
  for (uint32_t i = 0; i < SJ_CALLS_MAX; i++) {
    bool waits = false;
    for (uint32_t k = 0; k < kept; k++) waits |= w->dues[k].what == w->calls[i].number;
    if (w->calls[i].used && !waits) sj_call_free(&w->calls[i]);
  }
}
