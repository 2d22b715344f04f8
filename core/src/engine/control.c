/* control.c: a running engine is told otherwise: paused, resumed, set anew, rid of one request. */
#include "engine/engine_int.h"

/* ---- Pause ---- */

/* A start that was decided but not handed out yet: as if it had not been decided. The row's range
 * record stands; it speaks of the row, not of the start. */
static void put_back(sheaf_engine *engine, sheaf__call *call) {
  sheaf__row *row = call->row;
  if (call->group != NULL) {
    sheaf__group_put_back(engine, call);
    return;
  }
  sheaf__call_taken_back(engine, call);
  if (SHEAF__HAS_LANES && row == NULL) {
    call->flight->wants_exchange = true;
    call->flight->is_out = false;
    sheaf__call_release(engine, call);
    return;
  }
  if (--row->attempts == 0) row->queue_us = UINT32_MAX;
  sheaf__call_release(engine, call);
  sheaf__requeue(engine, row, 0);
}

int32_t sheaf_engine_pause(sheaf_engine *engine) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  engine->paused = true;
  for (uint32_t i = 0; i < engine->call_count && !engine->draining; i++) {
    sheaf__call *call = engine->calls[i];
    if (call->out && !call->handed_out && !call->cancelling && !call->recorded)
      put_back(engine, call);
  }
  return SHEAF_OK;
}

int32_t sheaf_engine_resume(sheaf_engine *engine) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  engine->paused = false;
  engine->launch_due = true;
  return SHEAF_OK;
}

bool sheaf_engine_is_paused(const sheaf_engine *engine) {
  return engine->paused;
}

/* ---- One request ends ---- */

int32_t sheaf_engine_cancel(sheaf_engine *engine, uint64_t index) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  sheaf__row *row = sheaf__row_by_index(engine, index);
  if (row == NULL || row->state == SHEAF__AT_FREE || row->state == SHEAF__AT_DONE)
    return SHEAF_E_NOT_FOUND;
  if (row->state == SHEAF__AT_FLIGHT && !sheaf__in_group(row)) { /* a group goes on without it */
    row->flags |= SHEAF__ROW_CANCEL;
    sheaf__call_cancel(engine, row->call);
  } else {
    sheaf__complete(engine, row, SHEAF_CLASS_CANCELLED, "cancelled by the caller");
  }
  return SHEAF_OK;
}

/* ---- Options of a running engine ---- */

/* What the slots that exist, or the end of the whole run, were made from. */
static bool is_fixed(const sheaf_option *option) {
  switch (option->offset) {
    case offsetof(sheaf_engine_options, run_deadline_ms):
    case offsetof(sheaf_engine_options, reply_bytes_max):
    case offsetof(sheaf_engine_options, reply_keep_bytes): return true;
    default: return false;
  }
}

static int32_t refuse(char *message, size_t bytes, const sheaf_option *option, const char *why,
                      int32_t status) {
  if (message == NULL || bytes == 0) return status;
  size_t n = 0;
  for (const char *c = option->name; *c && n + 1 < bytes; c++) message[n++] = *c;
  for (; *why && n + 1 < bytes; why++) message[n++] = *why;
  message[n] = 0;
  return status;
}

/* A spend cap holds only where prices are known: of the models that are in use already, too. */
static bool prices_known(const sheaf_engine *engine) {
  for (uint32_t i = 0; i < engine->route_count; i++)
    if (engine->routes[i].price == NULL) return false;
  return true;
}

void sheaf__class_waits(const sheaf_engine *engine, sheaf__queue *queue) {
  const sheaf_engine_options *o = &engine->options;
  const uint64_t ms[SHEAF__CLASS_COUNT] = {o->class_wait_urgent_ms, o->class_wait_high_ms,
                                           o->class_wait_normal_ms, o->class_wait_low_ms,
                                           o->class_wait_deferrable_ms};
  for (uint32_t c = 0; c < SHEAF__CLASS_COUNT; c++)
    queue->class_wait_ns[c] = sheaf__mul_sat(ms[c], SHEAF__MS);
}

/* Rows that wait are due anew. */
static void requeue_all(sheaf_engine *engine) {
  for (uint32_t i = 0; i < engine->route_count; i++)
    sheaf__class_waits(engine, &engine->routes[i].queue);
  for (uint32_t i = 0; i < engine->row_chunk_count; i++)
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) {
      sheaf__row *row = &engine->row_chunks[i][k];
      bool in_company = row->bond != NULL && row->bond->company != NULL;
      if (row->state == SHEAF__AT_QUEUE && !in_company)
        sheaf__queue_due_anew(&engine->routes[row->route].queue, &row->item, row->deadline_ns, 0);
    }
}

sheaf__pool_limits sheaf__limits_of(const sheaf_engine_options *o) {
  return (sheaf__pool_limits){.rpm = o->rpm,
                              .tpm = o->tpm,
                              .input_tpm = o->input_tpm,
                              .output_tpm = o->output_tpm,
                              .rate_safety_pct = o->rate_safety_pct,
                              .burst_ms = o->burst_ms,
                              .start_interval_ms = o->start_interval_ms};
}

void sheaf__retry_options_of(const sheaf_engine_options *o, sheaf__retry_options *retry) {
  *retry = (sheaf__retry_options){.max_retries = o->max_retries,
                                  .max_throttles = o->max_throttles,
                                  .retry_base_ms = o->retry_base_ms,
                                  .retry_max_ms = o->retry_max_ms,
                                  .resend_unknown = (uint32_t)o->resend_unknown,
                                  .seed = o->seed};
}

/* Everything that was made from options is made from those of now. */
void sheaf__reconfigured(sheaf_engine *engine) {
  const sheaf_engine_options *o = &engine->options;
  sheaf__retry_options_of(o, &engine->retry);
  const sheaf__pool_limits limits = sheaf__limits_of(o);
  for (uint32_t i = 0; i < engine->pool_count; i++)
    sheaf__pool_set_limits(&engine->pools[i], &limits, engine->now_ns);
  uint32_t fixed = (uint32_t)o->concurrency;
  for (uint32_t i = 0; i < engine->seat_count; i++)
    sheaf__concurrency_set(&engine->seats[i].concurrency, fixed,
                           (uint32_t)(fixed ? fixed : o->max_concurrency), engine->now_ns);
  engine->limits_lowered = true;
  requeue_all(engine);
  sheaf__companies_changed(engine);
  sheaf__cache_trim(engine);
  engine->budget_hit = false;
  for (uint32_t i = 0; i < engine->route_count; i++) engine->routes[i].blocked_until_ns = 0;
  engine->launch_due = true;
}

int32_t sheaf_engine_set(sheaf_engine *engine, sheaf_slice name, sheaf_slice value, char *message,
                         size_t message_bytes) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  const sheaf_option *option = sheaf_option_find(name);
  if (option == NULL) return SHEAF_E_NOT_FOUND;
  sheaf_engine_options changed = engine->options;
  int32_t status = sheaf_option_set(&changed, name, value, message, message_bytes);
  if (status) return status;
  if (is_fixed(option))
    return refuse(message, message_bytes, option, " is fixed when the engine is made: make another",
                  SHEAF_E_UNSUPPORTED);
  if (changed.budget_usd_nano != SHEAF_NEVER && !prices_known(engine))
    return refuse(message, message_bytes, option,
                  " needs the prices of all models in use, and one is not known: give a price file",
                  SHEAF_E_FIELD);
  engine->options = changed;
  sheaf__reconfigured(engine);
  return SHEAF_OK;
}
