/* verdict.c: structured answers: what an answer's JSON is worth, and whether the row is asked again.
 *
 * With option json or json_schema every success is judged (sheaf/answer.h). One that holds no JSON,
 * breaks off in the middle or does not fit the schema is asked for again, at once, up to json_retries
 * times; each such attempt is billed and stands in the history as invalid_response. The last answer
 * counts, whatever it is worth: a row never fails for it. Where a later attempt fails for reasons of
 * its own, the answer before it stands: it was kept for that.
 *
 * Outline: judging; asking again; what was kept. */
#include "engine/engine_int.h"

/* ---- Life ---- */

int32_t sheaf__verdicts_init(sheaf_engine *engine) {
  const sheaf_engine_options *o = &engine->options;
  for (uint32_t i = 0; i < 2; i++)
    sheaf_buf_init(&engine->verdicts[i].json, &engine->allocator, SIZE_MAX / 2);
  if (o->json_schema.bytes == 0) return SHEAF_OK;
  return sheaf_schema_new(o->json_schema, &engine->allocator, &engine->schema, NULL);
}

void sheaf__verdicts_deinit(sheaf_engine *engine) {
  for (uint32_t i = 0; i < 2; i++) sheaf_buf_deinit(&engine->verdicts[i].json);
  sheaf_schema_free(engine->schema);
}

/* ---- Judging ---- */

/* SHEAF_OK; without memory there is no verdict. */
static int32_t judge(const sheaf_engine *engine, sheaf_slice text, sheaf__verdict *v) {
  sheaf_buf_reset(&v->json);
  v->fault.faults = 0;
  v->fault.message[0] = 0;
  int32_t status = sheaf_answer_read(text, &v->json, &v->answer);
  v->why =
      status == SHEAF_E_DEPTH ? "the JSON is nested more than 64 deep" : "the answer holds no JSON";
  if (status == SHEAF_E_NOT_FOUND || status == SHEAF_E_DEPTH) return SHEAF_OK;
  if (status != SHEAF_OK) return status;
  if (engine->schema != NULL)
    sheaf_schema_check(engine->schema, sheaf_buf_slice(&v->json), &v->fault);
  v->why = v->fault.message;
  return SHEAF_OK;
}

/* shown: of the result that the caller looks at; else of one that is looked at inside. */
void sheaf__verdict_fill(sheaf_engine *engine, const sheaf__row *row, sheaf_result *r, bool shown) {
  sheaf__verdict *v = &engine->verdicts[shown ? 0 : 1];
  if (!r->ok || (row->flags & SHEAF__ROW_TASK) || judge(engine, r->text, v)) return;
  r->answer_judged = true;
  r->answer_json = sheaf_buf_slice(&v->json);
  r->answer_repairs = v->answer.repairs;
  r->answer_faults = v->fault.faults;
  r->answer_score = sheaf_answer_score(&v->answer, v->fault.faults);
  r->answer_fault = sheaf_slice_of(v->why);
}

/* ---- Asking again ---- */

static bool is_good(const sheaf__verdict *v) {
  return v->answer.score > 0 && v->fault.faults == 0 &&
         (v->answer.repairs & SHEAF_REPAIR_BROKEN) == 0;
}

/* An answer without text is a tool call, an embedding or a refusal: asking again changes none. */
static bool is_poor(sheaf_engine *engine, const sheaf_decoded *d) {
  sheaf_slice text = d->text_json;
  if (text.bytes == 0) return false;
  if (memchr(text.data, '\\', text.bytes) != NULL) {
    sheaf_buf_reset(&engine->checked_text);
    if (sheaf_buf_append_unescaped(&engine->checked_text, text)) return false;
    text = sheaf_buf_slice(&engine->checked_text);
  }
  sheaf__verdict *v = &engine->verdicts[1];
  return judge(engine, text, v) == SHEAF_OK && !is_good(v);
}

static bool may_ask(const sheaf_engine *engine, const sheaf__row *row) {
  if (row->flags & (SHEAF__ROW_TASK | SHEAF__ROW_CANCEL | SHEAF__ROW_SHADOW)) return false;
  if (engine->draining || engine->budget_hit) return false;
  uint64_t deadline = sheaf__min_u64(row->deadline_ns, engine->run_deadline_ns);
  return row->asked_again < engine->options.json_retries && deadline > engine->now_ns;
}

/* Decides about a success; true: it was made a failure that is tried again, and its answer kept. What
 * that takes is reserved here, so that nothing behind it can fail. */
bool sheaf__asks_again(sheaf_engine *engine, sheaf__call *call) {
  sheaf__row *row = call->row;
  sheaf_decoded *d = &call->decoded;
  if (d->error_class != SHEAF_CLASS_NONE || !may_ask(engine, row) || !is_poor(engine, d))
    return false;
  if (row->history == NULL)
    row->history = sheaf__alloc_zero(&engine->allocator, sizeof *row->history);
  sheaf__answer *kept = row->history ? sheaf__answer_of_call(engine, call) : NULL;
  if (kept == NULL) return false; /* without memory the answer stands */
  sheaf__answer_release(engine, row->kept);
  row->kept = kept;
  row->asked_again++;
  row->asks_again = true;
  sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE, SHEAF_BILLING_BILLED, true,
              SHEAF_LITERAL("the answer is not JSON of the wanted kind"));
  return true;
}

/* What follows a failed attempt. */
sheaf__next sheaf__next_of(sheaf_engine *engine, sheaf__row *row, sheaf__call *call,
                           const sheaf_decoded *d) {
  if (!row->asks_again) return sheaf__decide(engine, row, call, d, true);
  row->asks_again = false;
  return (sheaf__next){.next = SHEAF__NEXT_RETRY, .error_class = d->error_class};
}

/* ---- What was kept ---- */

/* A row ends in failure, but an earlier attempt brought an answer: it is the row's, and its twins',
 * who asked for nothing else. */
bool sheaf__ends_as_kept(sheaf_engine *engine, sheaf__row *row) {
  sheaf__answer *kept = row->kept;
  if (kept == NULL || (row->flags & SHEAF__ROW_CANCEL)) return false;
  if (row->bond != NULL && row->bond->leads) {
    for (sheaf__bond *twin = row->bond->twin_next; twin != row->bond; twin = twin->twin_next) {
      sheaf__answer_release(engine, twin->row->kept);
      twin->row->kept = kept;
      kept->refs++;
    }
  }
  row->kept = NULL;
  row->said.answer = kept;
  row->error_class = SHEAF_CLASS_NONE;
  row->flags |= SHEAF__ROW_KEPT;
  row->flags &= (uint16_t)~SHEAF__ROW_UNSENT;
  return true;
}
