/* flight_rows.c: how rows get into a flight, come by it in a later run, and get out of it.
 *
 * Outline: who may travel so; joining; the entry in the spool; passing by; a row that is out of its
 * job is completed, or runs live where its failure is one that another try may mend. */
#include "engine/engine_int.h"

/* ---- Joining ---- */

const char *sheaf__jobs_refuse(const sheaf_engine *engine, const sheaf__row *row) {
  if (row->flags & SHEAF__ROW_TASK) return "a task does not travel in jobs: use lane live";
  if (row->flags & SHEAF__ROW_STREAM)
    return "a streamed request does not travel in jobs: turn stream off or use lane live";
  const sheaf__route *route = &engine->routes[row->route];
  const sheaf_job_api *api = sheaf_job_api_of(route->provider);
  if (api == NULL) return "the provider offers no batch jobs: use lane live";
  const sheaf__path *path = &engine->paths[row->path];
  if (!api->offers(api, row->operation, (sheaf_slice){path->text, path->bytes}))
    return "the provider's batch jobs do not take requests of this kind: use lane live";
  if (!engine->store_used || !engine->has_spool)
    return "jobs need a store and a spool, and this host gave none: use lane live";
  return NULL;
}

static int64_t batch_bound(const sheaf_engine *engine, const sheaf__row *row,
                           const sheaf__cost *cost) {
  const sheaf__route *route = &engine->routes[row->route];
  const sheaf_job_api *api = sheaf_job_api_of(route->provider);
  return sheaf__cost_bound(engine, row, cost) / 100 *
         (int64_t)(100 - (api ? api->traits.discount_pct : 0));
}

static sheaf__flight *open_flight(const sheaf_engine *engine, const sheaf__row *row) {
  sheaf__flight *f = engine->flights;
  while (f != NULL && (f->begun || f->ready || f->route != row->route || f->path != row->path ||
                       f->setup.operation != row->operation))
    f = f->next;
  return f;
}

static int32_t spool_append(sheaf_engine *engine, sheaf__flight *f) {
  bool was_inside = engine->inside;
  engine->inside = true;
  int32_t status =
      engine->spool.append(engine->spool.ctx, f->id, f->spool_bytes, sheaf_buf_slice(&f->entry));
  engine->inside = was_inside;
  if (status == SHEAF_OK) f->spool_bytes += f->entry.bytes;
  return status;
}

int32_t sheaf__flight_join(sheaf_engine *engine, const sheaf__row *row, bool is_auto) {
  sheaf__pool *pool = &engine->pools[engine->seats[engine->routes[row->route].seats[0]].pool];
  sheaf__cost cost = sheaf__row_cost(row, pool);
  int64_t bound = batch_bound(engine, row, &cost);
  if (!sheaf__budget_allows(engine, bound)) return SHEAF_E_LIMIT;
  sheaf__member member = {.index = row->index,
                          .source_ref = row->source_ref,
                          .custom_id = sheaf__row_id(row),
                          .body = sheaf__row_body(row),
                          .metadata = sheaf__row_metadata(row),
                          .tokens = cost.input_tokens,
                          .line = row->line};
  memcpy(member.fingerprint, sheaf__row_fingerprint(row), sizeof member.fingerprint);
  member.inputs = sheaf__row_inputs(engine, row);
  for (int turn = 0; turn < 2; turn++) {
    sheaf__flight *f = open_flight(engine, row);
    int32_t status = SHEAF_OK;
    if (f == NULL) {
      status = sheaf__flight_new(engine, engine->flight_seq + 1, row->route, row->path, &f);
      if (status) return status;
      engine->flight_seq++;
      f->setup.operation = row->operation;
      f->setup.is_auto = is_auto;
    }
    member.spool_at = f->spool_bytes;
    sheaf_buf_reset(&f->entry);
    status = f->lane->join(f->state, &member, &f->entry);
    if (status == SHEAF_E_FULL && f->members > 0) {
      f->ready = true;
      continue;
    }
    if (status == SHEAF_E_FULL)
      status = SHEAF_E_TOO_LONG; /* alone it is larger than a job may be */
    if (status == SHEAF_OK) status = spool_append(engine, f);
    if (status) return status;
    f->lane->joined(f->state);
    f->members++;
    engine->rows_held++;
    f->reserved_usd_nano = sheaf__add_sat_i64(f->reserved_usd_nano, bound);
    f->setup.bound_usd_nano = f->reserved_usd_nano;
    engine->reserved_usd_nano = sheaf__add_sat_i64(engine->reserved_usd_nano, bound);
    return SHEAF_OK;
  }
  return SHEAF_E_TOO_LONG;
}

/* ---- Entries ---- */

#define ENTRY_FIRST 4096u /* read at once: most entries are shorter */

/* Reads until the bytes are there or the spool ends; *got tells how many. */
int32_t sheaf__flight_spooled(sheaf_engine *engine, const sheaf__flight *f, uint64_t at, void *to,
                              size_t bytes, size_t *got) {
  bool was_inside = engine->inside;
  int64_t part = 1;
  engine->inside = true;
  for (*got = 0; *got < bytes && part > 0; *got += part > 0 ? (size_t)part : 0)
    part = engine->spool.read(engine->spool.ctx, f->id, at + *got, (char *)to + *got, bytes - *got);
  engine->inside = was_inside;
  return part < 0 ? (int32_t)part : SHEAF_OK;
}

/* Makes the buffer hold the entry's first `bytes` bytes, or fewer where the spool ends. */
static int32_t entry_fill(sheaf_engine *engine, sheaf__flight *f, uint64_t at, size_t bytes) {
  size_t has = f->entry.bytes, got = 0;
  if (bytes <= has) return SHEAF_OK;
  int32_t status = sheaf_buf_reserve(&f->entry, bytes - has);
  if (status == SHEAF_OK)
    status = sheaf__flight_spooled(engine, f, at + has, f->entry.data + has, bytes - has, &got);
  f->entry.bytes += got;
  return status;
}

/* f->record serves as scratch: no record is on its way while rows get out. */
static int32_t read_entry(sheaf_engine *engine, sheaf__flight *f, const sheaf__lane_action *action,
                          sheaf_job_entry *entry) {
  const uint64_t at = action->spool_at;
  sheaf_buf *scratch = &f->record;
  if (!engine->has_spool) return SHEAF_E_NOT_FOUND;
  sheaf_buf_reset(scratch);
  sheaf_buf_reset(&f->entry);
  uint64_t whole = 0;
  int32_t status = entry_fill(engine, f, at, ENTRY_FIRST);
  if (status == SHEAF_OK)
    status = sheaf_job_entry_read(sheaf_buf_slice(&f->entry), scratch, &whole, entry);
  if (status == SHEAF_E_PARTIAL && whole > f->entry.bytes && whole < f->entry.bytes_max) {
    status = entry_fill(engine, f, at, (size_t)whole);
    if (status == SHEAF_OK)
      status = sheaf_job_entry_read(sheaf_buf_slice(&f->entry), scratch, &whole, entry);
  }
  if (status == SHEAF_OK && sheaf_job_id_hash(entry->custom_id) != action->id_hash)
    status = SHEAF_E_CORRUPT; /* a spool of another job lies there */
  return status;
}

/* ---- Passing by ---- */

bool sheaf__flight_holds(const sheaf_engine *engine, uint64_t index) {
  for (const sheaf__flight *f = engine->flights; f != NULL; f = f->next)
    if (f->from_records && f->lane->holds(f->state, index)) return true;
  return false;
}

int32_t sheaf__flight_pass(sheaf_engine *engine, const sheaf__row *row, bool is_done) {
  for (sheaf__flight *f = engine->flights; f != NULL; f = f->next) {
    if (!f->from_records || f->begun) continue;
    int32_t status =
        f->lane->pass(f->state, engine->next_index, sheaf__row_fingerprint(row), is_done);
    if (status == SHEAF_E_NOT_FOUND) continue;
    if (status) return status;
    f->passed++;
    if (is_done) {
      engine->rows_held--; /* it had its end in an earlier run */
      engine->stats.admitted--;
      engine->stats.skipped++;
    }
    return SHEAF_OK;
  }
  return SHEAF_OK;
}

/* ---- Getting out ---- */

/* Whether the row should have another try, live: where its class is one that tries can mend, and the
 * policy lets it be paid for twice if it may come to that. */
static bool wants_rescue(const sheaf_engine *engine, const sheaf_decoded *d, uint64_t index) {
  if (engine->options.rescue == SHEAF_RESCUE_OFF || engine->draining) return false;
  if (d->billing == SHEAF_BILLING_UNKNOWN && engine->options.resend_unknown == SHEAF_RESEND_NEVER)
    return false;
  switch (d->error_class) {
    case SHEAF_CLASS_NONE: return false;
    case SHEAF_CLASS_EXPIRED:
    case SHEAF_CLASS_MISSING:
    case SHEAF_CLASS_MISMATCHED: return true;
    case SHEAF_CLASS_CANCELLED:
    case SHEAF_CLASS_UNKNOWN_OUTCOME: return false; /* somebody decided so */
    default: {
      sheaf__tries tries;
      memset(&tries, 0, sizeof tries);
      return sheaf__retry_decide(&engine->retry, &tries, d, index, 1).next == SHEAF__NEXT_RETRY;
    }
  }
}

/* The row as the source had it, but with the body that was made of it then. */
static int32_t live_request(sheaf_engine *engine, sheaf__flight *f,
                            const sheaf__lane_action *action, sheaf_request *request) {
  sheaf_job_entry entry;
  int32_t status = read_entry(engine, f, action, &entry);
  if (status) return status;
  *request = SHEAF_REQUEST_INIT;
  status = f->setup.api->row_body(f->setup.api, entry.row, &request->body);
  request->custom_id = entry.custom_id;
  request->metadata = entry.metadata;
  request->url = f->setup.path;
  request->model = f->setup.model;
  request->endpoint = f->setup.endpoint;
  request->source_ref = entry.source_ref;
  request->line = entry.line;
  request->priority = entry.priority;
  return status;
}

static int32_t rescue(sheaf_engine *engine, sheaf__flight *f, const sheaf__lane_action *action,
                      sheaf__call *call, int64_t cost) {
  sheaf_request request;
  int32_t status = live_request(engine, f, action, &request);
  sheaf__row *row = NULL;
  if (status == SHEAF_OK) status = sheaf__admit_again(engine, &request, action->index, &row);
  if (status) return status;
  row->attempts = 1;
  row->flags |= SHEAF__ROW_RESCUED;
  engine->rows_rescued++;
  (void)sheaf__keep_history(engine, row, call, &call->decoded, cost); /* without memory: unsaid */
  row->billing = (uint8_t)call->decoded.billing;
  if (call->decoded.billing == SHEAF_BILLING_UNKNOWN) {
    row->flags |= SHEAF__ROW_RESENT;
    engine->stats.unknown_resent++;
    sheaf__notice(engine, SHEAF_NOTICE_RESENT_UNKNOWN, engine->seats[f->seat].place, row->index);
  }
  f->setup.rescued++;
  return SHEAF_OK;
}

/* The reply of a row as the provider reads it, or why there is none. */
static void read_row(sheaf_engine *engine, sheaf__flight *f, const sheaf__lane_action *action,
                     sheaf__call *call) {
  const sheaf_provider *provider = engine->routes[f->route].provider;
  sheaf_decoded *d = &call->decoded;
  sheaf_decoded_init(d);
  call->http_status = action->http_status;
  if (action->http_status == 0) {
    d->error_class = action->error_class;
    d->billing = action->billing;
    d->error_message = sheaf_buf_slice(&call->headers);
    return;
  }
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = action->http_status,
                       .operation = f->setup.operation,
                       .body = sheaf_buf_slice(&call->body),
                       .unix_ms = engine->unix_ms};
  bool good = action->http_status >= 200 && action->http_status < 300;
  int32_t status = SHEAF_OK;
  if (good)
    status = provider->decode(provider, &reply, &call->scratch, d);
  else if (provider->classify != NULL)
    status = provider->classify(provider, &reply, &call->scratch, d);
  else
    sheaf_classify_common(&reply, &call->scratch, d);
  if (status)
    sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE,
                good ? SHEAF_BILLING_BILLED : SHEAF_BILLING_REFUSED, true,
                SHEAF_LITERAL("the row's reply could not be read"));
  if (!good) d->billing = SHEAF_BILLING_REFUSED; /* rows that fail in a job are not billed */
  if (d->request_id.bytes == 0) d->request_id = sheaf_buf_slice(&call->headers);
}

static int64_t row_price(sheaf_engine *engine, const sheaf__flight *f, const sheaf_decoded *d) {
  const sheaf_price *price = sheaf__price_of(engine, f->route, d->model);
  if (price == NULL || d->billing != SHEAF_BILLING_BILLED) return SHEAF_ABSENT;
  uint32_t discount = f->setup.api ? f->setup.api->traits.discount_pct : 0;
  return sheaf_price_batch_cost(price, &d->usage, discount);
}

/* What a row's part of the reservation is: what single rows are worth is not kept. */
static int64_t part_of(const sheaf__flight *f) {
  return f->members > 1 ? f->reserved_usd_nano / (int64_t)f->members : f->reserved_usd_nano;
}

/* The row of the result: with the id, the metadata and the fingerprint that it had. */
static int32_t stand_in(sheaf_engine *engine, sheaf__flight *f, const sheaf__lane_action *action,
                        sheaf__row *row) {
  sheaf_job_entry entry = {
      .struct_bytes = sizeof entry, .custom_id = action->custom_id, .line = action->line};
  if (action->custom_id.bytes == 0) {
    int32_t status = read_entry(engine, f, action, &entry);
    if (status) return status;
  }
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.custom_id = entry.custom_id;
  request.metadata = entry.metadata;
  request.source_ref = entry.source_ref;
  request.line = entry.line;
  return sheaf__row_stand_in(engine, row, &request, action->index, action->fingerprint);
}

/* Rows of a job that never was are as rows that only waited. */
static bool was_sent(const sheaf__lane_action *action) {
  return action->error_class != SHEAF_CLASS_CANCELLED || action->billing != SHEAF_BILLING_NOT_SENT;
}

static int32_t put_row(sheaf_engine *engine, sheaf__flight *f, const sheaf__lane_action *action,
                       sheaf__call *call, int64_t cost) {
  sheaf__row *row;
  int32_t status = sheaf__row_take(engine, &row);
  if (status) return status;
  status = stand_in(engine, f, action, row);
  if (status) {
    sheaf__row_release(engine, row);
    return status;
  }
  row->route = (uint16_t)f->route;
  row->path = (uint16_t)f->path;
  row->operation = (uint8_t)f->setup.operation;
  row->lane = SHEAF_LANE_BATCH;
  row->call = call;
  row->attempts = was_sent(action) ? 1 : 0;
  row->billing = (uint8_t)call->decoded.billing;
  call->row = row;
  call->has_share = cost != SHEAF_ABSENT;
  call->share_usd_nano = cost;
  row->state = SHEAF__AT_FLIGHT;
  engine->rows_flying++;
  if (was_sent(action)) {
    sheaf__tally_attempt(engine, row, call);
    if (call->decoded.error_class != SHEAF_CLASS_NONE)
      (void)sheaf__keep_history(engine, row, call, &call->decoded, cost);
  } else {
    engine->reserved_usd_nano -= call->reserved_usd_nano;
  }
  sheaf__complete(engine, row, call->decoded.error_class, NULL);
  return SHEAF_OK;
}

int32_t sheaf__flight_row_done(sheaf_engine *engine, sheaf__flight *f,
                               const sheaf__lane_action *action) {
  sheaf__call *call;
  int32_t status = sheaf__call_take(engine, &call);
  if (status) return status;
  int64_t part = part_of(f);
  call->seat = f->seat;
  call->started_ns = call->ended_ns = engine->now_ns;
  call->reserved_usd_nano = part;
  status = sheaf_buf_append_slice(&call->body, action->body);
  /* What a live reply's headers would have told: its request id, or the sentence of a failure. */
  if (status == SHEAF_OK)
    status = sheaf_buf_append_slice(&call->headers,
                                    action->http_status ? action->request_id : action->message);
  if (status == SHEAF_OK) {
    read_row(engine, f, action, call);
    status = call->scratch.status;
  }
  /* An earlier run may have sent it live when its job had given it back. */
  if (sheaf__ranges_hold(&engine->unknown, action->index) &&
      call->decoded.error_class != SHEAF_CLASS_NONE)
    call->decoded.billing = SHEAF_BILLING_UNKNOWN;
  if (status == SHEAF_OK) {
    int64_t cost = row_price(engine, f, &call->decoded);
    bool again = f->setup.api != NULL && wants_rescue(engine, &call->decoded, action->index);
    if (again) {
      status = rescue(engine, f, action, call, cost);
      if (status == SHEAF_OK) { /* counted as the attempt that it was */
        sheaf__row nobody = {.route = (uint16_t)f->route};
        call->has_share = cost != SHEAF_ABSENT;
        call->share_usd_nano = cost;
        sheaf__tally_attempt(engine, &nobody, call);
        sheaf__call_release(engine, call);
      } else if (status != SHEAF_E_NOMEM) {
        again = false; /* its entry is gone, or its endpoint: it ends as what happened to it */
        status = SHEAF_OK;
      }
    }
    if (status == SHEAF_OK && !again) status = put_row(engine, f, action, call, cost);
  }
  if (status) {
    call->row = NULL;
    sheaf__call_release(engine, call);
    return status;
  }
  engine->stats.attempts += was_sent(action);
  engine->rows_held--;
  f->reserved_usd_nano -= part; /* of the engine's, the tally took it */
  if (f->members) f->members--;
  return SHEAF_OK;
}
