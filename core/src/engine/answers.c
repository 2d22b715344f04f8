/* answers.c: answers that no call of the row's own stands behind: what a hook says instead of a
 * provider, and what a call said once before. One block each, shared by counting. */
#include "engine/engine_int.h"

static sheaf__answer *answer_new(sheaf_engine *engine, size_t text_bytes) {
  sheaf__answer *answer = sheaf__alloc_zero(&engine->allocator, sizeof *answer + text_bytes);
  if (answer == NULL) return NULL;
  answer->refs = 1;
  answer->bytes = sizeof *answer + text_bytes;
  sheaf_decoded_init(&answer->decoded);
  return answer;
}

void sheaf__answer_release(sheaf_engine *engine, sheaf__answer *answer) {
  if (answer == NULL || --answer->refs > 0) return;
  sheaf__free(&engine->allocator, answer, answer->bytes);
}

/* ---- From a call ---- */

static bool is_inside(sheaf_slice part, sheaf_slice body) {
  return part.bytes > 0 && part.data >= body.data && part.data < body.data + body.bytes;
}

/* Bytes of a slice that the copy of the body does not hold. */
static size_t outside(sheaf_slice part, sheaf_slice body) {
  return is_inside(part, body) ? 0 : part.bytes;
}

/* Where a slice of the reply lies in the copy: in its body, or behind it. */
static sheaf_slice move(sheaf_slice from, sheaf_slice body, char *copy, char **rest) {
  if (from.bytes == 0) return (sheaf_slice){NULL, 0};
  if (is_inside(from, body)) return (sheaf_slice){copy + (from.data - body.data), from.bytes};
  sheaf_slice moved = {*rest, from.bytes};
  memcpy(*rest, from.data, from.bytes);
  *rest += from.bytes;
  return moved;
}

sheaf__answer *sheaf__answer_of_call(sheaf_engine *engine, const sheaf__call *call) {
  const sheaf_decoded *d = &call->decoded;
  sheaf_slice body = sheaf_buf_slice(&call->body);
  sheaf__answer *answer = answer_new(
      engine, body.bytes + outside(d->text_json, body) + outside(d->finish_reason, body) +
                  outside(d->request_id, body) + outside(d->model, body));
  if (answer == NULL) return NULL;
  char *copy = (char *)(answer + 1), *rest = copy + body.bytes;
  if (body.bytes) memcpy(copy, body.data, body.bytes);
  answer->body = (sheaf_slice){copy, body.bytes};
  answer->http_status = call->http_status;
  answer->decoded = *d;
  sheaf_decoded *own = &answer->decoded;
  own->text_json = move(d->text_json, body, copy, &rest);
  own->finish_reason = move(d->finish_reason, body, copy, &rest);
  own->request_id = move(d->request_id, body, copy, &rest);
  own->model = move(d->model, body, copy, &rest);
  own->error_code = own->error_message = (sheaf_slice){NULL, 0};
  return answer;
}

/* ---- From the hooks ---- */

sheaf__answer *sheaf__answer_of_text(sheaf_engine *engine, sheaf_slice text) {
  sheaf_buf inside; /* of its own: text may lie in any of the engine's */
  sheaf_buf_init(&inside, &engine->allocator, SIZE_MAX / 2);
  sheaf__answer *answer = NULL;
  if (sheaf_buf_append_escaped(&inside, text) == SHEAF_OK)
    answer = answer_new(engine, inside.bytes);
  if (answer != NULL) {
    char *copy = (char *)(answer + 1);
    if (inside.bytes) memcpy(copy, inside.data, inside.bytes);
    answer->decoded.text_json = (sheaf_slice){copy, inside.bytes};
  }
  sheaf_buf_deinit(&inside);
  return answer;
}

int32_t sheaf__preprocess(sheaf_engine *engine, sheaf_request *request, sheaf_slice *answer) {
  *answer = (sheaf_slice){NULL, 0};
  engine->inside = true;
  int32_t status = engine->hooks.preprocess(engine->hooks.ctx, request, answer);
  engine->inside = false;
  return status;
}

/* True: the hook answers for the row, which is a success now. */
bool sheaf__fallback(sheaf_engine *engine, sheaf__row *row) {
  sheaf_result failed; /* not the engine's own: a sink may still be asked to take that one */
  sheaf_slice text = {NULL, 0};
  sheaf__result_fill(engine, row, &failed, &engine->checked_text);
  bool was_inside = engine->inside;
  engine->inside = true;
  int32_t status = engine->hooks.fallback(engine->hooks.ctx, &failed, &text);
  engine->inside = was_inside;
  if (status) return false;
  sheaf__answer *answer = sheaf__answer_of_text(engine, text);
  if (answer == NULL) return false; /* without memory the failure stands */
  row->flags |= SHEAF__ROW_LOCAL;
  row->flags &= (uint16_t)~SHEAF__ROW_UNSENT;
  row->error_class = SHEAF_CLASS_NONE;
  row->said.answer = answer;
  return true;
}
