/* jobs_foreign.c: cancels jobs that no state file knows, by their ids alone: a second engine is told of
 * them as if records of an earlier run held them, without a row, and of nothing else. */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <string.h>

typedef struct cancelling {
  const char *const *ids;
  size_t count;
  bool *done; /* by id: it is ending, or was over */
} cancelling;

static int32_t append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  (void)ctx, (void)ticket, (void)records, (void)count;
  return SHEAF_E_END; /* nothing of this is kept */
}

static int32_t scan(void *ctx) {
  (void)ctx;
  return SHEAF_OK; /* handed over by tell */
}

static int32_t put(void *ctx, const sheaf_event *event) {
  cancelling *it = ctx;
  if (event->kind != SHEAF_EVENT_JOB || event->job->flight == 0) return SHEAF_OK;
  uint32_t state = event->job->state;
  if (event->job->flight <= it->count && state >= SHEAF_JOB_ENDING_STATE &&
      state <= SHEAF_JOB_CANCELLED_STATE)
    it->done[event->job->flight - 1] = true;
  return SHEAF_OK;
}

static int32_t hand_over(sheaf_engine *engine, const sheaf_job_record *record) {
  sheaf_buf payload;
  sheaf_buf_init(&payload, sheaf_heap(), 1 << 16);
  char flight[8];
  for (int i = 0; i < 8; i++) flight[i] = (char)(record->flight >> (8 * i));
  sheaf_buf_append(&payload, flight, sizeof flight);
  int32_t status = sheaf_job_record_write(record, &payload);
  const sheaf_record given = {.type = record->type, .payload = sheaf_buf_slice(&payload)};
  if (status == SHEAF_OK) status = sheaf_engine_on_scanned(engine, &given, 1);
  sheaf_buf_deinit(&payload);
  return status;
}

/* A job of no rows that was created: its plan, and its id. */
static int32_t tell(const run_state *run, const cancelling *it, sheaf_engine *engine) {
  int32_t status = SHEAF_OK;
  for (size_t i = 0; i < it->count && status == SHEAF_OK; i++) {
    sheaf_job_record plan, fact;
    sheaf_job_record_init(&plan, SHEAF_RECORD_JOB_PLAN);
    plan.flight = i + 1;
    plan.provider = sheaf_slice_of(run->place.endpoint.provider->name);
    plan.endpoint = run->place.endpoint.name;
    plan.model = run->place.endpoint.model.bytes ? run->place.endpoint.model : SHEAF_LITERAL("-");
    plan.path = SHEAF_LITERAL("/");
    sheaf_job_record_init(&fact, SHEAF_RECORD_JOB_FACT);
    fact.flight = i + 1;
    fact.job = sheaf_slice_of(it->ids[i]);
    fact.unix_ms = sheaf_unix_ms();
    status = hand_over(engine, &plan);
    if (status == SHEAF_OK) status = hand_over(engine, &fact);
  }
  return status == SHEAF_OK ? sheaf_engine_on_scanned(engine, NULL, 0) : status;
}

static int32_t loop(run_state *run, sheaf_engine *engine) {
  int32_t status = sheaf_engine_end_input(engine);
  while (status == SHEAF_OK) {
    uint64_t now = sheaf_now_ns();
    status = sheaf_engine_run_once(engine, now, sheaf_unix_ms());
    if (status == SHEAF_E_END) return SHEAF_OK;
    if (status != SHEAF_OK) break;
    uint64_t at = sheaf_engine_timeout_ns(engine);
    uint64_t wait = at == SHEAF_NEVER ? SHEAF_NEVER : at > now ? at - now : 0;
    status = sheaf_curl_poll(run->curl, wait, -1);
  }
  return status;
}

int32_t jobs_foreign_cancel(run_state *run, const char *const *ids, size_t count, bool *done) {
  cancelling it = {.ids = ids, .count = count, .done = done};
  sheaf_engine_options options = run->args.engine;
  options.batch_mode = SHEAF_BATCH_CANCEL;
  options.endpoints = &run->place.endpoint;
  options.endpoint_count = 1;
  sheaf_engine *engine;
  int32_t status = sheaf_engine_new(&options, sheaf_heap(), &engine);
  if (status != SHEAF_OK) return status;
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .ctx = &it, .put = put};
  const sheaf_store store = {.struct_bytes = sizeof store, .append = append, .scan = scan};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = sheaf_curl_transport(run->curl),
                             .sink = &sink,
                             .store = &store};
  status = sheaf_curl_bind(run->curl, engine);
  if (status == SHEAF_OK) status = sheaf_engine_open(engine, &doors);
  if (status == SHEAF_OK) status = tell(run, &it, engine);
  if (status == SHEAF_OK) status = loop(run, engine);
  sheaf_engine_free(engine);
  return status;
}
