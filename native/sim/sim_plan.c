/* sim_plan.c: what becomes of a request that is fully there.
 *
 *   path -> key -> version -> body read -> model -> context
 *     -> a fault asked for by header
 *     -> else queue, concurrency -> limits -> a fault of the schedule -> a fault drawn
 *   then the error's body, or the answer's, bent by the fault, and the delay before it.
 *
 * A refusal by queue, concurrency or limits depends on the clock, so it does not count as a sighting
 * of the body: what the n-th admitted sighting draws is the same in every run. README.md has the
 * rule about what is billed. */
#include "sim_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- Is it a request that the provider would take? ---- */

static bool generates(const sim_call *call) {
  if (!call->route) return false;
  uint32_t task = call->route->task;
  return task == SIM_CHAT || task == SIM_COMPLETE || task == SIM_EMBED || task == SIM_COUNT;
}

static bool names_model(const sim_call *call) {
  return generates(call) || call->route->task == SIM_MODEL;
}

/* Of Gemini the input alone is compared: its answers have a ceiling of their own. */
static bool exceeds_context(const sim_call *call) {
  uint64_t context = call->world->options->context, wanted = call->asked.tokens_max;
  if (!context) return false;
  if (call->input_tokens > context) return true;
  if (wanted == UINT64_MAX || call->provider == &sheaf__sim_gemini) return false;
  return wanted > context - call->input_tokens;
}

static uint32_t check_request(sim_call *call) {
  const sheaf_sim_options *options = call->world->options;
  if (!call->route) return call->allow ? SIM_WRONG_METHOD : SIM_NO_PATH;
  if (options->key && !call->given_key) return SIM_NO_KEY;
  if (options->key && strcmp(options->key, call->given_key) != 0) return SIM_WRONG_KEY;
  bool is_versioned =
      call->provider == &sheaf__sim_anthropic || call->provider == &sheaf__sim_anthropic_batch;
  if (is_versioned && !call->version) return SIM_NO_VERSION;
  if (call->is_too_large) return SIM_TOO_LARGE;
  if (strcmp(call->route->method, "POST") == 0 || sheaf__sim_is_batch(call->route)) {
    uint32_t error = call->provider->read(call);
    if (error != SIM_ERROR_COUNT || sheaf__sim_is_batch(call->route)) return error;
  }
  if (names_model(call) && !sheaf__sim_model_is_known(call->world, call->asked.model))
    return SIM_UNKNOWN_MODEL;
  call->input_tokens = sheaf__sim_input_tokens(call);
  return generates(call) && exceeds_context(call) ? SIM_CONTEXT : SIM_ERROR_COUNT;
}

/* ---- Faults and limits ---- */

/* "429" or "429:3". A name that is none is an error: whoever asks wants exactly that fault. */
static uint32_t read_asked_fault(sim_call *call, uint32_t *fault, uint32_t *times) {
  const char *asked = call->asked_fault;
  size_t bytes = strcspn(asked, ":");
  char *end = NULL;
  unsigned long count = asked[bytes] ? strtoul(asked + bytes + 1, &end, 10) : 1;
  *fault = sheaf__sim_fault_find(asked, bytes);
  *times = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
  if (*fault == SIM_NO_FAULT || (end && (end == asked + bytes + 1 || *end)))
    return sheaf__sim_fail(call, SIM_BAD_VALUE, "x-sheaf-fault",
                           "a kind of sheaf sim --help, or KIND:TIMES", (sheaf_slice){0});
  return SIM_ERROR_COUNT;
}

/* Gives the fault asked for by header as often as it was asked for. */
static uint32_t take_asked_fault(sim_call *call, uint64_t hash) {
  uint32_t fault, times;
  if (!call->asked_fault) return SIM_ERROR_COUNT;
  uint32_t error = read_asked_fault(call, &fault, &times);
  if (error == SIM_ERROR_COUNT && sheaf__sim_ledger_owes(call->world->ledger, hash, fault, times))
    call->fault = fault;
  return error;
}

static uint32_t check_load(sim_call *call) {
  const sim_world *world = call->world;
  uint32_t concurrency_max = world->options->concurrency_max;
  if (call->is_queue_full && call->route->task != SIM_COUNT) {
    sheaf__sim_ledger_queue_full(world->ledger);
    return SIM_QUEUE_FULL;
  }
  if (concurrency_max && call->in_flight > concurrency_max) {
    sheaf__sim_ledger_busy(world->ledger);
    call->retry_after_ns = world->options->retry_after_ms * SIM_MS;
    return SIM_BUSY;
  }
  return SIM_ERROR_COUNT;
}

/* Counting tokens takes a request from the minute and no tokens. */
static uint32_t check_limits(sim_call *call, uint64_t now_ns) {
  static const uint32_t errors[] = {
      [SIM_ADMITTED] = SIM_ERROR_COUNT,    [SIM_OVER_REQUESTS] = SIM_RATE_REQUESTS,
      [SIM_OVER_TOKENS] = SIM_RATE_TOKENS, [SIM_OVER_INPUT] = SIM_RATE_INPUT,
      [SIM_OVER_OUTPUT] = SIM_RATE_OUTPUT, [SIM_NEVER_FITS] = SIM_RATE_NEVER,
  };
  const sim_world *world = call->world;
  const sheaf_sim_options *options = world->options;
  bool is_free = call->route->task == SIM_COUNT;
  if (!options->rpm && !options->tpm && !options->itpm && !options->otpm) return SIM_ERROR_COUNT;
  uint64_t wait_ns;
  uint32_t verdict =
      sheaf__sim_limiter_take(world->limiter, call->key_hash, is_free ? 0 : call->input_tokens,
                              is_free ? 0 : call->output_tokens, now_ns, call->budgets, &wait_ns);
  call->is_limited = true;
  if (verdict == SIM_ADMITTED) return SIM_ERROR_COUNT;
  sheaf__sim_ledger_limited(world->ledger, verdict);
  call->retry_after_ns = wait_ns;
  return errors[verdict];
}

/* The schedule's clock runs as fast as the delays do. */
static uint64_t since_start(const sim_world *world, uint64_t now_ns) {
  uint64_t since_ns = now_ns > world->start_ns ? now_ns - world->start_ns : 0;
  uint64_t scale = world->options->time_scale_milli;
  if (scale == 0 || since_ns / scale > UINT64_MAX / 2000) return since_ns;
  return since_ns / scale * 1000 + since_ns % scale * 1000 / scale;
}

static void draw_fault(sim_call *call, uint64_t now_ns) {
  const sim_world *world = call->world;
  if (world->schedule)
    call->fault = sheaf__sim_schedule_draw(world->schedule, call, since_start(world, now_ns));
  if (call->fault == SIM_NO_FAULT) call->fault = sheaf__sim_fault_draw(world, call->key);
}

/* ---- Delays ---- */

/* A whole answer takes as long as its stream would. */
static void set_delay(sim_call *call) {
  call->delay_ns = call->ttft_ns;
  if (call->is_stream || call->output_tokens < 2) return;
  call->delay_ns += sheaf__sim_scaled(
      call->world, sheaf__sim_gaps_ns(call->world, call->key, call->output_tokens));
}

/* ---- The decision ---- */

static uint32_t decide_generation(sim_call *call, uint64_t now_ns) {
  const sim_world *world = call->world;
  uint64_t path_hash = sheaf__sim_hash(call->path, strlen(call->path), 0);
  call->body_hash = sheaf__sim_hash(call->body.data, call->body.bytes, path_hash);
  if (call->body_hash == 0) call->body_hash = 1; /* 0 says that nothing is generated */
  call->sighting = sheaf__sim_ledger_seen(world->ledger, call->body_hash);
  call->key = sheaf__sim_mix(sheaf__sim_mix(world->options->seed, call->body_hash), call->sighting);
  sheaf__sim_answer(call);
  call->ttft_ns = sheaf__sim_scaled(world, sheaf__sim_ttft_ns(world, call->key));
  uint32_t error = take_asked_fault(call, call->body_hash);
  if (error != SIM_ERROR_COUNT) return error;
  if (call->fault == SIM_NO_FAULT) {
    error = check_load(call);
    if (error == SIM_ERROR_COUNT) error = check_limits(call, now_ns);
    if (error != SIM_ERROR_COUNT) return error;
    draw_fault(call, now_ns);
  }
  sheaf__sim_ledger_admit(world->ledger, call->body_hash);
  return sheaf__sim_fault_error(call);
}

/* Polls are many and alike: the n-th of a path has draws of its own. Limits are not for them. */
static uint32_t decide_batch(sim_call *call, uint64_t path_hash, uint64_t now_ns) {
  const sim_world *world = call->world;
  uint64_t hash = sheaf__sim_hash(call->method, strlen(call->method), path_hash);
  call->key = sheaf__sim_mix(call->key, sheaf__sim_ledger_again(world->ledger, hash));
  uint32_t error = take_asked_fault(call, hash);
  if (error != SIM_ERROR_COUNT) return error;
  if (call->fault == SIM_NO_FAULT) draw_fault(call, now_ns);
  return sheaf__sim_fault_error(call);
}

static uint32_t decide(sim_call *call, uint64_t now_ns) {
  uint64_t path_hash = sheaf__sim_hash(call->path, strlen(call->path), 0);
  call->key = sheaf__sim_mix(call->world->options->seed, path_hash);
  uint32_t error = check_request(call);
  if (error != SIM_ERROR_COUNT) return error;
  call->is_stream = call->asked.is_stream;
  if (generates(call)) return decide_generation(call, now_ns);
  if (sheaf__sim_is_batch(call->route)) return decide_batch(call, path_hash, now_ns);
  error = take_asked_fault(call, path_hash);
  return error != SIM_ERROR_COUNT ? error : sheaf__sim_fault_error(call);
}

/* ---- What is billed ---- */

/* The work was done: see README.md. */
static bool is_billed(const sim_call *call) {
  if (!call->body_hash || call->error != SIM_ERROR_COUNT || call->route->task == SIM_COUNT)
    return false;
  switch (call->fault) {
    case SHEAF_SIM_FAULT_RESET:
    case SHEAF_SIM_FAULT_STALL:
    case SHEAF_SIM_FAULT_REFUSE:
    case SHEAF_SIM_FAULT_BAD_GATEWAY:
    case SHEAF_SIM_FAULT_REDIRECT: return false;
    case SHEAF_SIM_FAULT_LATE_ERROR: return call->asked.is_stream;
    default: return true;
  }
}

/* A client that speaks HTTP and the protocol well has the answer. */
static bool is_whole(const sim_call *call) {
  if (call->error != SIM_ERROR_COUNT) return false;
  switch (call->fault) {
    case SIM_NO_FAULT:
    case SHEAF_SIM_FAULT_DRIP:
    case SHEAF_SIM_FAULT_NO_USAGE:
    case SHEAF_SIM_FAULT_BLANK:
    case SHEAF_SIM_FAULT_GIANT:
    case SHEAF_SIM_FAULT_GZIP:
    case SHEAF_SIM_FAULT_CHUNKS: return true;
    default: return false;
  }
}

/* ---- Bodies ---- */

static bool is_without_answer(uint32_t fault) {
  return fault == SHEAF_SIM_FAULT_RESET || fault == SHEAF_SIM_FAULT_STALL ||
         fault == SHEAF_SIM_FAULT_REFUSE;
}

/* Gemini without alt=sse streams one JSON array. */
static const char *type_of(const sim_call *call) {
  if (!call->is_stream || (call->provider == &sheaf__sim_gemini && !call->is_sse))
    return "application/json";
  return call->provider->stream_type;
}

/* A proxy's page, a redirect and a failure in place of the answer say that nothing was done. */
static bool is_done(const sim_call *call) {
  return !sheaf__sim_is_batch(call->route) ||
         (call->fault != SHEAF_SIM_FAULT_BAD_GATEWAY && call->fault != SHEAF_SIM_FAULT_REDIRECT &&
          call->fault != SHEAF_SIM_FAULT_LATE_ERROR);
}

static void write_answer(sim_call *call) {
  call->status = 200;
  call->content_type = type_of(call);
  set_delay(call);
  if (!call->is_stream && is_done(call)) call->provider->answer(call);
  sheaf__sim_spoil(call);
  set_delay(call); /* what was a stream may be one no more */
}

/* Refusals are quick; only a failure of the server takes the time of an answer. */
static void write_error(sim_call *call) {
  bool is_late = call->error == SIM_SERVER_ERROR || call->error == SIM_TIMEOUT;
  call->is_stream = false;
  set_delay(call);
  if (!is_late) call->delay_ns = 0;
  call->content_type = "application/json";
  call->status = call->provider->error(call);
  call->wants_service = is_late && call->body_hash;
  if (call->error == SIM_WRONG_METHOD) sheaf__sim_header(call, "allow", call->allow);
}

static void write_reply(sim_call *call, int64_t unix_s) {
  call->wants_service = call->body_hash && call->route->task != SIM_COUNT;
  if (call->error == SIM_ERROR_COUNT)
    write_answer(call);
  else
    write_error(call);
  sheaf__sim_header(call, "content-type", call->content_type);
  call->provider->headers(call, unix_s);
}

static void set_defaults(sim_call *call, uint64_t now_ns) {
  const sim_world *world = call->world;
  call->now_ns = now_ns;
  call->fault = SIM_NO_FAULT;
  call->error = SIM_ERROR_COUNT;
  call->context = world->options->context;
  call->asked.tokens_max = UINT64_MAX;
  call->asked.dimensions = world->options->dimensions;
  call->asked.choices = 1;
  call->asked.is_stream = call->route && call->route->streams;
}

void sheaf__sim_plan(sim_call *call, uint64_t now_ns, int64_t unix_s) {
  const sim_world *world = call->world;
  set_defaults(call, now_ns);
  sheaf__sim_ledger_received(world->ledger, call, now_ns);
  call->error = decide(call, now_ns);
  if (is_without_answer(call->fault))
    call->is_stream = false;
  else
    write_reply(call, unix_s);
  sheaf__sim_ledger_decided(world->ledger, call, is_billed(call), is_whole(call));
}

/* ---- Rows of batch jobs ---- */

/* Everything that the answer follows from is as it would be live. */
static uint32_t decide_row(sim_call *call, uint32_t (*check)(sim_call *call)) {
  const sim_world *world = call->world;
  uint64_t path_hash = sheaf__sim_hash(call->path, strlen(call->path), 0);
  call->key = sheaf__sim_mix(world->options->seed, path_hash);
  uint32_t error = check_request(call);
  if (error == SIM_ERROR_COUNT && check) error = check(call);
  if (error != SIM_ERROR_COUNT) return error;
  call->body_hash = sheaf__sim_hash(call->body.data, call->body.bytes, path_hash);
  if (call->body_hash == 0) call->body_hash = 1;
  call->sighting = sheaf__sim_ledger_seen(world->ledger, call->body_hash);
  call->key = sheaf__sim_mix(sheaf__sim_mix(world->options->seed, call->body_hash), call->sighting);
  sheaf__sim_answer(call);
  sheaf__sim_ledger_admit(world->ledger, call->body_hash);
  bool fails = sheaf__sim_draw(call->key, SIM_DRAW_ROW, 1000000) < world->options->batch_fail_ppm;
  return fails ? SIM_SERVER_ERROR : SIM_ERROR_COUNT;
}

void sheaf__sim_plan_row(sim_call *call, uint32_t (*check)(sim_call *call), uint64_t now_ns) {
  set_defaults(call, now_ns);
  call->error = decide_row(call, check);
  call->is_stream = false;
  if (call->error == SIM_ERROR_COUNT) {
    call->status = 200;
    call->provider->answer(call);
  } else {
    call->status = call->provider->error(call);
  }
  sheaf__sim_ledger_row(call->world->ledger, call, is_billed(call), now_ns);
}
