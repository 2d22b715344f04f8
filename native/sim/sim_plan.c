/* sim_plan.c: what becomes of a request that is fully there.
 *
 *   path -> key -> body read -> a fault asked for by header
 *                            -> else concurrency -> limits -> a fault drawn
 *   then the error's body, or the answer's, and the delay before it.
 *
 * A refusal by concurrency or limits depends on the clock, so it does not count as a sighting of
 * the body: what the n-th admitted sighting draws is the same in every run. */
#include "sim_int.h"

#include <stdlib.h>
#include <string.h>

/* Delays end at a day before scaling, so that no product below can wrap. */
static uint64_t scaled(const sheaf_sim_options *options, uint64_t ns) {
  if (ns > 86400 * SIM_SECOND) ns = 86400 * SIM_SECOND;
  return ns / 1000 * options->time_scale_milli + ns % 1000 * options->time_scale_milli / 1000;
}

static bool key_is_known(const sheaf_sim_options *options, const sim_call *call) {
  return !options->key || (call->given_key && strcmp(options->key, call->given_key) == 0);
}

/* "429" or "429:3". */
static bool asks_for_fault(const sim_call *call, uint32_t *fault, uint32_t *times) {
  if (!call->asked_fault) return false;
  size_t bytes = strcspn(call->asked_fault, ":");
  for (uint32_t i = 0; i < SHEAF_SIM_FAULT_COUNT; i++) {
    const char *name = sheaf_sim_fault_name(i);
    if (strlen(name) != bytes || memcmp(name, call->asked_fault, bytes) != 0) continue;
    unsigned long count = 1;
    if (call->asked_fault[bytes]) count = strtoul(call->asked_fault + bytes + 1, NULL, 10);
    *fault = i;
    *times = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    return true;
  }
  return false;
}

/* ---- The answer's text and its tokens ---- */

static uint64_t tokens_of(uint64_t bytes) {
  return bytes ? (bytes + 3) / 4 : 1;
}

static void make_text(const sheaf_sim_options *options, sim_call *call) {
  call->input_tokens = tokens_of(call->prompt_bytes);
  if (call->route->task == SIM_EMBED) return;
  if (options->answer_kind == SHEAF_SIM_ANSWER_LOREM) {
    uint64_t words = sheaf__sim_lognormal(call->key, SIM_DRAW_WORDS, options->answer_words,
                                          options->answer_sigma_milli);
    if (words < 1) words = 1;
    if (words > SIM_WORDS_MAX) words = SIM_WORDS_MAX;
    call->is_cut_short = words > call->tokens_max;
    if (call->is_cut_short) words = call->tokens_max;
    call->is_words = true;
    call->output_tokens = words;
    sheaf__sim_lorem(call->key, words, &call->text);
    return;
  }
  sheaf_buf_append_text(&call->text, "echo: ");
  sheaf_buf_append_slice(&call->text, sheaf_buf_slice(&call->prompt));
  call->output_tokens = tokens_of(call->text.bytes);
}

static void make_delay(const sheaf_sim_options *options, sim_call *call) {
  call->itl_ns = scaled(options, options->itl_ms * SIM_MS);
  call->ttft_ns = scaled(options, sheaf__sim_latency_ns(options, call->key));
  call->delay_ns = call->ttft_ns;
  uint64_t rest_ns;
  if (call->is_stream || call->output_tokens < 2) return;
  if (__builtin_mul_overflow(call->itl_ns, call->output_tokens - 1, &rest_ns) ||
      __builtin_add_overflow(call->delay_ns, rest_ns, &call->delay_ns) ||
      call->delay_ns > UINT64_MAX / 2)
    call->delay_ns = UINT64_MAX / 2;
}

/* ---- Faults and refusals ---- */

/* The error that a fault shows itself as; SIM_ERROR_COUNT: none, there is a 200 or nothing. */
static uint32_t error_of_fault(const sheaf_sim_options *options, sim_call *call) {
  switch (call->fault) {
    case SHEAF_SIM_FAULT_RATE_LIMIT:
      call->retry_after_ns = options->retry_after_ms * SIM_MS;
      return SIM_RATE_REQUESTS;
    case SHEAF_SIM_FAULT_SERVER: return SIM_SERVER_ERROR;
    case SHEAF_SIM_FAULT_OVERLOADED: return SIM_OVERLOADED;
    case SHEAF_SIM_FAULT_QUOTA: return SIM_QUOTA;
    default: return SIM_ERROR_COUNT;
  }
}

static uint32_t check_limits(const sim_plan_context *context, sim_call *call, uint64_t now_ns) {
  static const uint32_t errors[] = {
      [SIM_ADMITTED] = SIM_ERROR_COUNT,
      [SIM_OVER_REQUESTS] = SIM_RATE_REQUESTS,
      [SIM_OVER_TOKENS] = SIM_RATE_TOKENS,
      [SIM_NEVER_FITS] = SIM_RATE_NEVER,
  };
  const sheaf_sim_options *options = context->options;
  if (options->concurrency_max && call->in_flight > options->concurrency_max) {
    sheaf__sim_ledger_busy(context->ledger);
    call->retry_after_ns = options->retry_after_ms * SIM_MS;
    return SIM_BUSY;
  }
  if (!options->rpm && !options->tpm) return SIM_ERROR_COUNT;
  const char *key = call->given_key ? call->given_key : "";
  uint64_t wait_ns;
  uint32_t verdict = sheaf__sim_limiter_take(context->limiter, sheaf__sim_hash(key, strlen(key), 0),
                                             call->input_tokens + call->output_tokens, now_ns,
                                             &call->quota, &wait_ns);
  call->is_limited = true;
  if (verdict == SIM_ADMITTED) return SIM_ERROR_COUNT;
  sheaf__sim_ledger_limited(context->ledger, verdict);
  if (verdict != SIM_NEVER_FITS) call->retry_after_ns = wait_ns;
  return errors[verdict];
}

static uint32_t decide_generation(const sim_plan_context *context, sim_call *call,
                                  uint64_t now_ns) {
  const sheaf_sim_options *options = context->options;
  uint32_t asked, times;
  uint64_t path_hash = sheaf__sim_hash(call->path, strlen(call->path), 0);
  call->body_hash = sheaf__sim_hash(call->body.data, call->body.bytes, path_hash);
  uint32_t seen = sheaf__sim_ledger_seen(context->ledger, call->body_hash);
  call->key = sheaf__sim_mix(sheaf__sim_mix(options->seed, call->body_hash), seen);
  make_text(options, call);
  make_delay(options, call);
  if (asks_for_fault(call, &asked, &times) &&
      sheaf__sim_ledger_owes(context->ledger, call->body_hash, asked, times)) {
    call->fault = asked;
  } else {
    uint32_t error = check_limits(context, call, now_ns);
    if (error != SIM_ERROR_COUNT) return error;
    call->fault = sheaf__sim_fault(options, call->key);
  }
  sheaf__sim_ledger_admit(context->ledger, call->body_hash);
  if (call->fault != SIM_NO_FAULT) sheaf__sim_ledger_fault(context->ledger, call->fault);
  return error_of_fault(options, call);
}

static uint32_t decide(const sim_plan_context *context, sim_call *call, uint64_t now_ns) {
  const sheaf_sim_options *options = context->options;
  call->key = sheaf__sim_hash(call->path, strlen(call->path), options->seed);
  if (!call->route) return call->allow ? SIM_WRONG_METHOD : SIM_NO_PATH;
  if (!key_is_known(options, call)) return call->given_key ? SIM_WRONG_KEY : SIM_NO_KEY;
  if (call->is_too_large) return SIM_TOO_LARGE;
  if (call->route->task == SIM_MODELS || call->route->task == SIM_VERSION) return SIM_ERROR_COUNT;
  uint32_t error = call->provider->read(call);
  return error != SIM_ERROR_COUNT ? error : decide_generation(context, call, now_ns);
}

/* ---- Bodies ---- */

static bool is_generation(const sim_call *call) {
  return call->body_hash != 0;
}

static void answer(const sim_plan_context *context, sim_call *call) {
  bool is_whole = call->fault == SIM_NO_FAULT;
  call->status = 200;
  call->cut_at = call->text.bytes / 2;
  if (!call->is_stream) call->provider->answer(call);
  if (is_generation(call))
    sheaf__sim_ledger_bill(context->ledger, call->body_hash, call->input_tokens,
                           call->output_tokens, is_whole);
}

void sheaf__sim_plan(const sim_plan_context *context, sim_call *call, uint64_t now_ns,
                     int64_t unix_s) {
  call->seed = context->options->seed;
  call->fault = SIM_NO_FAULT;
  call->tokens_max = UINT64_MAX;
  call->dimensions = context->options->dimensions;
  sheaf__sim_ledger_received(context->ledger, call->route);
  uint32_t error = decide(context, call, now_ns);
  if (call->fault == SHEAF_SIM_FAULT_RESET || call->fault == SHEAF_SIM_FAULT_STALL) return;
  if (error == SIM_ERROR_COUNT) {
    answer(context, call);
  } else {
    call->is_stream = false;
    /* Refusals are quick; only a server's failure takes the time of an answer. */
    if (error != SIM_SERVER_ERROR) call->delay_ns = 0;
    call->status = call->provider->error(call, error);
    if (error == SIM_WRONG_METHOD) sheaf__sim_header(call, "allow", call->allow);
  }
  sheaf__sim_header(call, "content-type", call->is_stream ? call->stream_type : "application/json");
  call->provider->headers(call, unix_s);
  sheaf__sim_ledger_answered(context->ledger, call->status);
}

/* ---- Streams ---- */

bool sheaf__sim_stream_step(sim_call *call) {
  bool is_broken = call->fault == SHEAF_SIM_FAULT_TRUNCATE || call->fault == SHEAF_SIM_FAULT_CUT;
  sheaf_slice piece;
  if (!call->is_open) {
    call->is_open = true;
    call->provider->stream_open(call);
  }
  if (sheaf__sim_piece_next(call, &piece)) call->provider->stream_piece(call, piece);
  if (is_broken && call->text_at >= call->cut_at) {
    /* A cut goes through the middle of an event. */
    if (call->fault == SHEAF_SIM_FAULT_CUT && call->out.bytes > 8) call->out.bytes -= 8;
    return false;
  }
  if (call->text_at < call->text.bytes) return true;
  call->provider->stream_close(call);
  return false;
}
