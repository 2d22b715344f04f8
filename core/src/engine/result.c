/* result.c: a finished row as its caller sees it. */
#include "engine/engine_int.h"

/* The answer as plain text: the very bytes of the reply unless they hold escapes. */
static sheaf_slice plain(sheaf_buf *buf, sheaf_slice inside) {
  if (inside.bytes == 0 || memchr(inside.data, '\\', inside.bytes) == NULL) return inside;
  sheaf_buf_reset(buf);
  if (sheaf_buf_append_unescaped(buf, inside)) return inside;
  return sheaf_buf_slice(buf);
}

static uint64_t since(uint64_t from, uint64_t to) {
  return to == SHEAF_NEVER ? SHEAF_NEVER : to - from;
}

static void fill_from_call(const sheaf_engine *engine, const sheaf__call *call, sheaf_result *r,
                           sheaf_buf *text) {
  const sheaf_decoded *d = &call->decoded;
  r->text_json = d->text_json;
  r->text = plain(text, d->text_json);
  r->body = (sheaf_slice){call->body.data, call->body.bytes};
  r->request_id = d->request_id;
  r->model = d->model;
  r->finish_reason = d->finish_reason;
  r->error_code = d->error_code;
  r->error_message = d->error_message;
  r->usage = d->usage;
  r->retryable = d->retryable;
  r->http_status = call->http_status;
  r->streamed = call->streaming != NULL;
  r->first_byte_ns = since(call->started_ns, call->head_ns);
  r->ttft_ns = since(call->started_ns, call->token_ns);
  r->latency_ns = call->ended_ns - call->started_ns;
  r->server_ns = d->server_ns;
  r->generation_ns = d->generation_ns;
  r->endpoint = engine->places[engine->seats[call->seat].place].options.name;
  if (call->group_members > 1) {
    r->group = call->group_id;
    r->group_members = call->group_members;
  }
}

/* Nothing was sent for it: there is no call, no endpoint and no time. */
static void fill_from_answer(const sheaf__answer *answer, sheaf_result *r, sheaf_buf *text) {
  const sheaf_decoded *d = &answer->decoded;
  r->text_json = d->text_json;
  r->text = plain(text, d->text_json);
  r->body = answer->body;
  r->request_id = d->request_id;
  r->model = d->model;
  r->finish_reason = d->finish_reason;
  r->usage = d->usage;
  r->http_status = answer->http_status;
}

static int64_t whole_cost(sheaf_engine *engine, const sheaf__row *row) {
  int64_t spent = row->history ? row->history->spent_usd_nano : 0;
  const sheaf__call *call =
      row->flags & SHEAF__ROW_TWIN ? NULL : row->call; /* its leader pays for the call */
  bool counted = call == NULL || call->decoded.error_class !=
                                     SHEAF_CLASS_NONE; /* failed attempts are in the history */
  if (counted || call->decoded.billing == SHEAF_BILLING_REFUSED) return spent; /* a mere count */
  const sheaf_price *price = sheaf__price_of(engine, row->route, call->decoded.model);
  int64_t last = price ? sheaf_price_cost(price, &call->decoded.usage) : SHEAF_ABSENT;
  if (call->has_share) last = call->share_usd_nano;
  return last == SHEAF_ABSENT ? SHEAF_ABSENT : sheaf__add_sat_i64(last, spent);
}

static void result_init(sheaf_result *r) {
  memset(r, 0, sizeof *r);
  r->struct_bytes = sizeof *r;
  r->first_byte_ns = r->ttft_ns = r->server_ns = r->generation_ns = SHEAF_NEVER;
  r->usage =
      (sheaf_usage){SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0};
  r->cost_usd_nano = SHEAF_ABSENT;
}

void sheaf__result_fill(sheaf_engine *engine, const sheaf__row *row, sheaf_result *r,
                        sheaf_buf *text) {
  result_init(r);
  bool answered = (row->flags & (SHEAF__ROW_LOCAL | SHEAF__ROW_CACHED | SHEAF__ROW_KEPT)) != 0;
  if (answered)
    fill_from_answer(row->said.answer, r, text);
  else if (row->call != NULL)
    fill_from_call(engine, row->call, r, text);
  r->error_class = row->error_class;
  r->ok = row->error_class == SHEAF_CLASS_NONE;
  r->local = (row->flags & SHEAF__ROW_LOCAL) != 0;
  r->cached = (row->flags & SHEAF__ROW_CACHED) != 0;
  if (row->flags & SHEAF__ROW_KEPT) {
    r->endpoint = engine->places[row->last_place].options.name;
    r->streamed = (row->flags & SHEAF__ROW_STREAM) != 0;
  }
  if (SHEAF__HAS_ANSWERS(engine)) sheaf__verdict_fill(engine, row, r, text == &engine->text);
  if (row->flags & SHEAF__ROW_TWIN) { /* the times of the call are its leader's */
    r->deduplicated = r->ok && !r->local;
    r->latency_ns = 0;
    r->first_byte_ns = r->ttft_ns = SHEAF_NEVER;
  }
  if (!answered && row->said.message != NULL)
    r->error_message = sheaf_slice_of(row->said.message);
  else if (!r->ok && r->error_message.bytes == 0)
    r->error_message = sheaf_slice_of(sheaf_class_name(row->error_class));
  r->index = row->index;
  r->source_ref = row->source_ref;
  r->user = row->user;
  r->line = row->line;
  r->custom_id = sheaf__row_id(row);
  r->metadata = sheaf__row_metadata(row);
  memcpy(r->fingerprint, sheaf__row_fingerprint(row), sizeof r->fingerprint);
  r->operation = row->operation;
  r->lane = row->lane;
  r->billing = row->billing;
  r->attempts = row->attempts;
  r->attempted = (row->flags & SHEAF__ROW_UNSENT) == 0;
  r->resent_unknown = (row->flags & SHEAF__ROW_RESENT) != 0;
  r->total_ns = engine->now_ns - row->item.enqueued_ns;
  r->queue_ns = row->queue_us == UINT32_MAX ? r->total_ns : (uint64_t)row->queue_us * 1000;
  if (row->history != NULL) {
    r->history = row->history->attempts;
    r->history_count =
        row->history->count < SHEAF_HISTORY_MAX ? row->history->count : SHEAF_HISTORY_MAX;
    r->throttles = row->history->throttles;
  }
  if (answered) r->cost_usd_nano = 0;
  if (row->route == UINT16_MAX) return;
  r->provider = sheaf_slice_of(engine->routes[row->route].provider->name);
  r->cost_usd_nano = whole_cost(engine, row);
}

/* Asks the user's hook about a success. */
bool sheaf__valid(sheaf_engine *engine, sheaf__call *call) {
  sheaf__row *row = call->row;
  call->ended_ns = engine->now_ns;
  sheaf_result result; /* not the engine's own: a sink may still be asked to take that one */
  sheaf__result_fill(engine, row, &result, &engine->checked_text);
  result.ok = true;
  engine->inside = true;
  int32_t status = engine->hooks.validate(engine->hooks.ctx, &result);
  engine->inside = false;
  return status == SHEAF_OK;
}
