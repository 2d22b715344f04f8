/* canary.c: are merged answers as good as answers to each prompt by itself? A share of merged members
 * is asked once more, alone, and the two answers are compared; and merging of prompts stops when too
 * many merged replies had to be thrown away.
 *
 * Who is asked again is a shadow: a row that nobody submitted, with the body of a member and its
 * merged answer as metadata. It is of the lowest class, is not retried, ends without an event and
 * counts for nothing but agreement and money.
 *
 * Outline: shadows; the switch. */
#include "engine/engine_int.h"

#include "lanes/prompts.h"

#define HISTORY_BITS 32u /* calls that are looked back on */
#define HISTORY_LEAST 8u /* fewer of them say nothing */

/* ---- Shadows ---- */

/* Without memory or room there is none. */
static void shadow_start(sheaf_engine *engine, const sheaf__row *of, sheaf_slice answer) {
  sheaf__row *row;
  sheaf__queue *queue = &engine->routes[of->route].queue;
  if (sheaf__row_take(engine, &row)) return;
  if (sheaf__row_shadow(engine, row, of, answer) ||
      sheaf__queue_push(queue, &engine->allocator, &row->item, SHEAF_NEVER, 0)) {
    sheaf__row_release(engine, row);
    return;
  }
  row->state = SHEAF__AT_QUEUE;
  engine->rows_queued++;
  engine->shadows++;
  engine->launch_due = true;
}

/* A member has its part of a good merged reply. */
void sheaf__canary_draw(sheaf_engine *engine, const sheaf__row *row, sheaf_slice answer) {
  uint64_t drawn =
      sheaf__draw(engine->options.seed, 99, SHEAF__DRAW_CANARY, row->index, row->attempts);
  if (drawn >= engine->options.canary_pct || engine->draining) return;
  shadow_start(engine, row, answer);
}

/* It was taken out of its place; what it found is counted, and it is gone. */
void sheaf__shadow_end(sheaf_engine *engine, sheaf__row *row) {
  sheaf__call *call = row->call;
  if (call != NULL && call->decoded.error_class == SHEAF_CLASS_NONE) {
    sheaf_buf words;
    sheaf_buf_init(&words, &engine->allocator, SIZE_MAX / 2);
    int64_t agreement =
        sheaf__prompts_agreement(call->decoded.text_json, sheaf__row_metadata(row), &words);
    sheaf_buf_deinit(&words);
    if (agreement != SHEAF_ABSENT) {
      engine->stats.canaries++;
      engine->canary_sum += (uint64_t)agreement;
      engine->stats.canary_agreement_milli = engine->canary_sum / engine->stats.canaries;
    }
  }
  if (call != NULL) sheaf__call_release(engine, call);
  row->state = SHEAF__AT_FREE;
  sheaf__row_release(engine, row);
  engine->shadows--;
}

/* Nobody waits for them. */
void sheaf__shadows_drop(sheaf_engine *engine) {
  for (uint32_t i = 0; engine->shadows && i < engine->call_count; i++) {
    sheaf__call *call = engine->calls[i];
    if (call->out && call->row != NULL && (call->row->flags & SHEAF__ROW_SHADOW))
      sheaf__call_cancel(engine, call);
  }
}

/* ---- The switch ---- */

/* A merged prompts' call brought parts, or was discarded. */
void sheaf__merge_seen(sheaf_engine *engine, bool discarded) {
  engine->merge_history = engine->merge_history << 1 | discarded;
  if (engine->merge_seen < HISTORY_BITS) engine->merge_seen++;
  if (engine->stats.merge_stopped || engine->merge_seen < HISTORY_LEAST) return;
  uint32_t bad = 0;
  for (uint32_t bits = engine->merge_history; bits; bits &= bits - 1) bad++;
  uint64_t share = (uint64_t)bad * 100;
  if (share <= engine->options.merge_failure_pct * engine->merge_seen) return;
  engine->stats.merge_stopped = true;
  sheaf__notice(engine, SHEAF_NOTICE_MERGE_OFF, 0, share / engine->merge_seen);
  sheaf__companies_changed(engine); /* those that wait leave one by one */
}
