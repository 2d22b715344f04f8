/* settle.c: is it over? Takes what was recorded since the last step in order of exchange id, lets
 * the provider read it, moves the controllers (algorithms.md 5), and retries, requeues or completes
 * each row exactly once. */
#include "engine/engine_int.h"

/* ---- Completion and requeue: the only two ways out of a flight ---- */

/* What a failure is to its row: sent or not, and what the fallback hook makes of it. */
static void end_failed(sheaf_engine *engine, sheaf__row *row, uint32_t error_class,
                       const char *message) {
  if (SHEAF__HAS_ANSWERS(engine) && sheaf__ends_as_kept(engine, row)) return;
  row->error_class = (uint8_t)error_class;
  row->said.message = message;
  bool refused_here = row->attempts == 0 && error_class == SHEAF_CLASS_INVALID_REQUEST;
  bool spoken_for = (row->flags & (SHEAF__ROW_UNKNOWN_BEFORE | SHEAF__ROW_TWIN)) != 0;
  if (row->attempts == 0 && !refused_here && !spoken_for) row->flags |= SHEAF__ROW_UNSENT;
  if (SHEAF__HAS_HOOK(engine, fallback) && error_class != SHEAF_CLASS_CANCELLED &&
      sheaf__fallback(engine, row))
    return;
  if ((row->flags & SHEAF__ROW_UNSENT) != 0) sheaf__records_void(engine, row);
}

void sheaf__complete(sheaf_engine *engine, sheaf__row *row, uint32_t error_class,
                     const char *message) {
  SHEAF_ASSERT(row->state != SHEAF__AT_DONE && row->state != SHEAF__AT_FREE);
  switch (row->state) {
    case SHEAF__AT_QUEUE:
      if (sheaf__company_belongs(row))
        sheaf__company_leave(engine, row);
      else
        sheaf__queue_remove(&engine->routes[row->route].queue, &row->item);
      engine->rows_queued--;
      break;
    case SHEAF__AT_WAIT: engine->rows_waiting--; break;
    case SHEAF__AT_FLIGHT:
      engine->rows_flying--;
      if (sheaf__in_group(row)) sheaf__group_leave(engine, row);
      break;
    case SHEAF__AT_TWIN: sheaf__twin_part(engine, row); break;
  }
  sheaf__heap_remove(&engine->timers, &row->timer);
  if (row->bond != NULL) sheaf__company_forget(engine, row);
  engine->launch_due = true;
  if (row->flags & SHEAF__ROW_SHADOW) {
    sheaf__shadow_end(engine, row);
    return;
  }
  row->state = SHEAF__AT_DONE;
  engine->rows_done++;
  if (SHEAF__HAS_LANES && (row->flags & SHEAF__ROW_RESCUED)) engine->rows_rescued--;
  if (error_class != SHEAF_CLASS_NONE) end_failed(engine, row, error_class, message);
  sheaf__tally_done(engine, row, row->error_class, !(row->flags & SHEAF__ROW_UNSENT));
  sheaf__event_push(engine, SHEAF_EVENT_RESULT, row, 0);
  if (row->bond != NULL && row->bond->leads) sheaf__twins_end(engine, row, error_class, message);
}

/* Back to the queue, at once or after a wait. The row has left its flight and its call. */
void sheaf__requeue(sheaf_engine *engine, sheaf__row *row, uint64_t wait_ns) {
  SHEAF_ASSERT(row->state == SHEAF__AT_FLIGHT || row->state == SHEAF__AT_WAIT);
  uint64_t deadline = sheaf__min_u64(row->deadline_ns, engine->run_deadline_ns);
  uint64_t ready = sheaf__add_sat(engine->now_ns, wait_ns);
  if (ready >= deadline) {
    sheaf__complete(engine, row, SHEAF_CLASS_DEADLINE,
                    "the next try would come after the deadline");
    return;
  }
  if (row->state == SHEAF__AT_FLIGHT)
    engine->rows_flying--;
  else
    engine->rows_waiting--;
  sheaf__heap_remove(&engine->timers, &row->timer);
  sheaf__route *route = &engine->routes[row->route];
  if (wait_ns) {
    row->state = SHEAF__AT_WAIT;
    row->timer.key = ready;
    engine->rows_waiting++;
    int32_t status = sheaf__heap_push(&engine->timers, &engine->allocator, &row->timer);
    SHEAF_ASSERT(status == SHEAF_OK); /* reserved when the row was made */
    return;
  }
  /* The queue keeps its memory, but another row may have taken the place: without memory, look
   * again in a millisecond. */
  if (sheaf__company_belongs(row)) {
    sheaf__company_join(engine, row);
  } else if (sheaf__queue_push(&route->queue, &engine->allocator, &row->item, row->deadline_ns,
                               0)) {
    row->state = SHEAF__AT_FLIGHT;
    engine->rows_flying++;
    sheaf__requeue(engine, row, SHEAF__MS);
    return;
  }
  row->state = SHEAF__AT_QUEUE;
  engine->rows_queued++;
  if (deadline != SHEAF_NEVER) {
    row->timer.key = deadline;
    int32_t status = sheaf__heap_push(&engine->timers, &engine->allocator, &row->timer);
    SHEAF_ASSERT(status == SHEAF_OK);
  }
  route->blocked_until_ns = 0;
  engine->launch_due = true;
}

/* Ends everything that waits (of one route, or of all). */
void sheaf__end_waiting(sheaf_engine *engine, uint32_t error_class, const char *message,
                        const sheaf__route *only) {
  for (uint32_t i = 0; i < engine->row_chunk_count; i++)
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) {
      sheaf__row *row = &engine->row_chunks[i][k];
      if (row->state != SHEAF__AT_QUEUE && row->state != SHEAF__AT_WAIT) continue;
      if (only != NULL && &engine->routes[row->route] != only) continue;
      if (row->billing <= SHEAF_BILLING_REFUSED)
        row->flags |= SHEAF__ROW_UNSENT; /* a resume may run it */
      sheaf__complete(engine, row, error_class, message);
    }
}

void sheaf__timers_run(sheaf_engine *engine) {
  for (;;) {
    sheaf__heap_node *node = sheaf__heap_peek(&engine->timers);
    if (node == NULL || node->key > engine->now_ns) return;
    sheaf__heap_pop(&engine->timers);
    if (SHEAF__HAS_LANES && node->tag == SHEAF__TIMER_FLIGHT) {
      sheaf__flight_timer(engine, node);
      continue;
    }
    sheaf__row *row = (sheaf__row *)(void *)((char *)node - offsetof(sheaf__row, timer));
    uint64_t deadline = sheaf__min_u64(row->deadline_ns, engine->run_deadline_ns);
    if (deadline <= engine->now_ns) {
      sheaf__complete(engine, row, SHEAF_CLASS_DEADLINE,
                      sheaf__in_group(row) ? "the deadline passed before the reply came"
                                           : "the deadline passed before it could be sent");
      continue;
    }
    uint64_t ask_again = 0;
    if (row->owes_milli) {
      uint32_t seat = engine->routes[row->route].seats[0];
      ask_again = sheaf__pool_pay_retry(&engine->pools[engine->seats[seat].pool], row->owes_milli,
                                        engine->now_ns);
    }
    if (ask_again == 0) row->owes_milli = 0;
    sheaf__requeue(engine, row, ask_again > engine->now_ns ? ask_again - engine->now_ns : 0);
  }
}

/* ---- Reading a reply ---- */

static sheaf_slice text_slice(const sheaf_buf *buf) {
  return (sheaf_slice){buf->data, buf->bytes};
}

static const sheaf_provider *provider_of(const sheaf_engine *engine, const sheaf__call *call) {
  uint32_t route = call->row     ? call->row->route
                   : call->group ? call->group->company->route
                                 : call->flight->route;
  return engine->routes[route].provider;
}

static sheaf_reply reply_of(const sheaf_engine *engine, const sheaf__call *call) {
  return (sheaf_reply){.struct_bytes = sizeof(sheaf_reply),
                       .http_status = call->http_status,
                       .operation = call->row     ? call->row->operation
                                    : call->group ? call->group->shared.operation
                                                  : 0,
                       .stream = call->streaming != NULL,
                       .headers = text_slice(&call->headers),
                       .body = text_slice(&call->body),
                       .unix_ms = engine->unix_ms};
}

static bool contains(sheaf_slice text, const char *part) {
  size_t n = strlen(part);
  for (size_t i = 0; i + n <= text.bytes; i++)
    if (memcmp(text.data + i, part, n) == 0) return true;
  return false;
}

void sheaf__fail(sheaf_decoded *d, uint32_t error_class, uint32_t billing, bool retryable,
                 sheaf_slice message) {
  d->error_class = error_class;
  d->billing = billing;
  d->retryable = retryable;
  d->error_message = message;
}

static void read_stream_end(sheaf_engine *engine, sheaf__call *call, sheaf_decoded *d) {
  sheaf__streaming *s = call->streaming;
  sheaf__stream_feed(engine, call, true);
  *d = s->stream.so_far;
  d->text_json = text_slice(&s->stream.text);
  if (d->request_id.bytes == 0) {
    d->request_id = sheaf_header_find(text_slice(&call->headers), "x-request-id");
    if (d->request_id.bytes == 0)
      d->request_id = sheaf_header_find(text_slice(&call->headers), "request-id");
  }
  if (d->error_class != SHEAF_CLASS_NONE) return;
  d->billing = SHEAF_BILLING_BILLED;
  if (s->failure)
    sheaf__fail(d,
                s->failure == SHEAF_E_NOMEM ? SHEAF_CLASS_INTERNAL : SHEAF_CLASS_INVALID_RESPONSE,
                SHEAF_BILLING_BILLED, true, SHEAF_LITERAL("the stream could not be read"));
  else if (!s->stream.terminal && !s->stream.finished)
    sheaf__fail(d, SHEAF_CLASS_NETWORK, SHEAF_BILLING_UNKNOWN, true,
                SHEAF_LITERAL("the stream ended before its end marker"));
}

static void read_task(const sheaf__call *call, sheaf_decoded *d) {
  sheaf_decoded_init(d);
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = call->http_status ? call->http_status : 200};
  if (reply.http_status >= 200 && reply.http_status < 300) {
    d->billing = SHEAF_BILLING_BILLED;
    d->usage = call->end.usage;
  } else {
    sheaf_classify_common(&reply, NULL, d);
  }
  d->retry_after_ns = call->end.retry_after_ns;
}

static void read_reply(sheaf_engine *engine, sheaf__call *call, sheaf_decoded *d) {
  if (call->exchange.kind == SHEAF_EXCHANGE_TASK) {
    read_task(call, d);
    return;
  }
  sheaf_decoded_init(d);
  sheaf_reply reply = reply_of(engine, call);
  bool good = call->http_status >= 200 && call->http_status < 300;
  if (good && call->streaming != NULL) {
    read_stream_end(engine, call, d);
    return;
  }
  const sheaf_provider *provider = provider_of(engine, call);
  int32_t status = SHEAF_OK;
  if (good && sheaf__is_flown(call))
    d->billing = SHEAF_BILLING_BILLED; /* a flight's reply: its lane reads it */
  else if (good)
    status = provider->decode(provider, &reply, &call->scratch, d);
  else if (provider->classify != NULL)
    status = provider->classify(provider, &reply, &call->scratch, d);
  else
    sheaf_classify_common(&reply, &call->scratch, d);
  if (status == SHEAF_OK) status = call->scratch.status;
  if (status)
    sheaf__fail(d, status == SHEAF_E_NOMEM ? SHEAF_CLASS_INTERNAL : SHEAF_CLASS_INVALID_RESPONSE,
                good ? SHEAF_BILLING_BILLED : SHEAF_BILLING_REFUSED, true,
                SHEAF_LITERAL("the reply could not be read"));
}

/* An end without a whole reply (algorithms.md 7: unknown = bytes were handed over and no status
 * came, or a 2xx broke off). */
static void read_failure(sheaf_engine *engine, sheaf__call *call, sheaf_decoded *d) {
  sheaf_slice message = call->end.message;
  bool refused = call->http_status >= 300;
  if (refused && call->end.end != SHEAF_END_NOT_SENT) {
    read_reply(engine, call, d); /* the verdict came, the rest of its body did not */
    return;
  }
  sheaf_decoded_init(d);
  switch (call->end.end) {
    case SHEAF_END_NOT_SENT:
      sheaf__fail(d, SHEAF_CLASS_NETWORK, SHEAF_BILLING_NOT_SENT, call->end.retryable, message);
      break;
    case SHEAF_END_BROKEN:
      sheaf__fail(d, SHEAF_CLASS_NETWORK, SHEAF_BILLING_UNKNOWN, call->end.retryable, message);
      break;
    case SHEAF_END_TIMEOUT:
      sheaf__fail(d, SHEAF_CLASS_TIMEOUT, SHEAF_BILLING_UNKNOWN, true, message);
      break;
    case SHEAF_END_TOO_LARGE:
      sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE, SHEAF_BILLING_BILLED, false, message);
      break;
    case SHEAF_END_CANCELLED:
      sheaf__fail(d, SHEAF_CLASS_CANCELLED,
                  call->ticket == SHEAF_NEVER ? SHEAF_BILLING_NOT_SENT : SHEAF_BILLING_UNKNOWN,
                  false, message);
      break;
    case SHEAF_END_REFUSED:
      sheaf__fail(d, SHEAF_CLASS_INVALID_REQUEST, SHEAF_BILLING_NOT_SENT, false, message);
      break;
    default:
      sheaf__fail(d, SHEAF_CLASS_INTERNAL, SHEAF_BILLING_UNKNOWN, false,
                  SHEAF_LITERAL("the transport reported no known end"));
  }
}

/* The end marker came: a connection that breaks behind it takes nothing away, and another try would be paid twice. */
static bool stream_is_whole(const sheaf__call *call) {
  bool broke = call->end.end == SHEAF_END_BROKEN || call->end.end == SHEAF_END_TIMEOUT;
  return broke && call->streaming != NULL && call->streaming->stream.terminal;
}

/* What came of an exchange that ended. */
void sheaf__call_read(sheaf_engine *engine, sheaf__call *call, sheaf_decoded *d) {
  if (call->http_status == 0) call->http_status = call->end.http_status;
  if (call->over_limit) call->end.end = SHEAF_END_TOO_LARGE;
  if (call->end.end == SHEAF_END_OK || stream_is_whole(call))
    read_reply(engine, call, d);
  else
    read_failure(engine, call, d);
}

/* ---- The controllers ---- */

static void on_head(sheaf_engine *engine, sheaf__call *call) {
  sheaf__seat *seat = &engine->seats[call->seat];
  call->head_seen = true;
  call->head_ns = engine->now_ns;
  sheaf_limit limits[SHEAF_LIMITS_MAX];
  uint32_t count = 0;
  const sheaf_provider *provider = provider_of(engine, call);
  if (provider->read_limits != NULL && call->headers.bytes) {
    sheaf_reply reply = reply_of(engine, call);
    count = provider->read_limits(provider, &reply, limits);
  }
  bool good = call->http_status >= 200 && call->http_status < 300;
  sheaf__pool *pool = &engine->pools[seat->pool];
  bool probing = pool->probing;
  sheaf__pool_on_head(pool, &call->cost, call->exchange.id, good, limits, count, engine->now_ns);
  if (probing && !pool->probing) engine->launch_due = true; /* the rest follow */
  if (!good || !call->exchange.stream || provider->event == NULL || call->row == NULL) return;
  sheaf_slice type = sheaf_header_find(text_slice(&call->headers), "content-type");
  bool plain =
      contains(type, "application/json"); /* a server that ignored `stream`: read as one reply */
  if (!plain) sheaf__stream_begin(engine, call);
}

static int32_t breaker_outcome(const sheaf_decoded *d) {
  switch (d->error_class) {
    case SHEAF_CLASS_NONE: return 1;
    case SHEAF_CLASS_SERVER:
    case SHEAF_CLASS_TIMEOUT:
    case SHEAF_CLASS_NETWORK: return 0;
    default: return -1;
  }
}

/* A refusal of the key itself, not of this one request (a model or a file the key may not use). */
bool sheaf__is_of_the_key(const sheaf_decoded *d) {
  return (d->error_class == SHEAF_CLASS_AUTH || d->error_class == SHEAF_CLASS_QUOTA) &&
         d->scope != SHEAF_SCOPE_REQUEST;
}

static void stop_key(sheaf_engine *engine, sheaf__call *call, uint32_t error_class) {
  uint32_t at = engine->seats[call->seat].place;
  uint32_t credential = engine->places[at].options.credential_id;
  bool news = !engine->places[at].stopped;
  engine->stop_class = error_class;
  for (uint32_t i = 0; i < engine->place_count; i++)
    if (i == at || (credential && engine->places[i].options.credential_id == credential))
      engine->places[i].stopped = true;
  if (news) sheaf__notice(engine, SHEAF_NOTICE_KEY_STOPPED, at, error_class);
}

/* What each signal tells which controller: section 5's table, one signal, one controller. */
static void steer(sheaf_engine *engine, sheaf__call *call, const sheaf_decoded *d) {
  uint64_t now = engine->now_ns;
  sheaf__seat *seat = &engine->seats[call->seat];
  sheaf__pool *pool = &engine->pools[seat->pool];
  const sheaf__row *row = call->row;
  bool clean = d->error_class == SHEAF_CLASS_NONE && (row == NULL || row->attempts == 1);
  sheaf__concurrency_on_end(&seat->concurrency, clean, call->started_ns, now);
  if (sheaf__breaker_on_end(&seat->breaker, call->exchange.id, breaker_outcome(d), now)) {
    bool open = seat->breaker.state == SHEAF__BREAKER_OPEN;
    if (seat->breaker.state == SHEAF__BREAKER_CLOSED)
      sheaf__concurrency_restart(&seat->concurrency, now);
    if (seat->breaker.state != SHEAF__BREAKER_HALF_OPEN)
      sheaf__notice(engine, open ? SHEAF_NOTICE_BREAKER_OPEN : SHEAF_NOTICE_BREAKER_CLOSED,
                    seat->place, open ? seat->breaker.open_until_ns - now : 0);
  }
  bool about_rate = d->error_class == SHEAF_CLASS_RATE_LIMIT &&
                    (d->scope == SHEAF_SCOPE_POOL || d->scope == SHEAF_SCOPE_ENDPOINT);
  bool about_load =
      d->error_class == SHEAF_CLASS_OVERLOADED ||
      (d->error_class == SHEAF_CLASS_RATE_LIMIT && d->scope == SHEAF_SCOPE_CONCURRENCY);
  if (about_rate || about_load) {
    uint64_t until = sheaf__pool_on_refusal(pool, d->retry_after_ns, about_rate,
                                            row           ? row->index
                                            : call->group ? call->group->id
                                                          : call->flight->id,
                                            row ? row->attempts : 0, now);
    if (until > now + 5 * SHEAF__SECOND)
      sheaf__notice(engine, SHEAF_NOTICE_PAUSED, seat->place, until - now);
  }
  if (about_load) sheaf__concurrency_cut(&seat->concurrency, now);
  switch (d->error_class) {
    case SHEAF_CLASS_RATE_LIMIT:
    case SHEAF_CLASS_OVERLOADED:
    case SHEAF_CLASS_SERVER:
    case SHEAF_CLASS_TIMEOUT:
    case SHEAF_CLASS_NETWORK:
    case SHEAF_CLASS_INVALID_RESPONSE: break;
    default:
      sheaf__pool_earn(pool, 200, now); /* completions without a retry pay for those with one */
  }
}

void sheaf__call_steer(sheaf_engine *engine, sheaf__call *call) {
  const sheaf_decoded *d = &call->decoded;
  steer(engine, call, d);
  if (sheaf__is_of_the_key(d)) stop_key(engine, call, d->error_class);
}

/* The pool hears what the exchange used. Of `members` requests in one call it learns what one's reply
 * comes to, for that is what it is asked to estimate. */
void sheaf__call_settle(sheaf_engine *engine, sheaf__call *call, uint64_t body_bytes,
                        uint32_t members) {
  sheaf__pool *pool = &engine->pools[engine->seats[call->seat].pool];
  const sheaf_decoded *d = &call->decoded;
  if (!call->head_seen)
    sheaf__pool_on_headless(pool, &call->cost, call->exchange.id, engine->now_ns);
  if (members <= 1) {
    sheaf__pool_settle(pool, &call->cost, d->billing, &d->usage, body_bytes, engine->now_ns);
    return;
  }
  sheaf_usage usage = d->usage;
  usage.estimated = 1; /* settles, and is not learned from */
  sheaf__pool_settle(pool, &call->cost, d->billing, &usage, body_bytes, engine->now_ns);
  usage = d->usage;
  if (usage.output_total > 0) usage.output_total /= members;
  if (d->billing == SHEAF_BILLING_BILLED) sheaf__pool_learn(pool, &call->cost, &usage, body_bytes);
}

/* A call that was decided but never handed out: as if it had not been decided. */
void sheaf__call_taken_back(sheaf_engine *engine, sheaf__call *call) {
  sheaf__seat *seat = &engine->seats[call->seat];
  sheaf__pool *pool = &engine->pools[seat->pool];
  uint64_t now = engine->now_ns;
  sheaf__pool_on_headless(pool, &call->cost, call->exchange.id, now);
  sheaf__pool_settle(pool, &call->cost, SHEAF_BILLING_NOT_SENT, NULL, 0, now);
  sheaf__concurrency_on_end(&seat->concurrency, false, call->started_ns, now);
  sheaf__breaker_on_end(&seat->breaker, call->exchange.id, -1, now);
  engine->reserved_usd_nano -= call->reserved_usd_nano;
  call->out = false;
  engine->calls_out--;
  sheaf__company_call_over(engine, call, false);
}

/* ---- Retry or complete ---- */

int32_t sheaf__keep_history(sheaf_engine *engine, sheaf__row *row, const sheaf__call *call,
                            const sheaf_decoded *d, int64_t cost) {
  if (row->history == NULL) {
    row->history = sheaf__alloc_zero(&engine->allocator, sizeof *row->history);
    if (row->history == NULL) return SHEAF_E_NOMEM;
  }
  sheaf__history *h = row->history;
  uint32_t at = h->count < SHEAF_HISTORY_MAX ? h->count : SHEAF_HISTORY_MAX - 1;
  if (h->count >= SHEAF_HISTORY_MAX) /* the first stays, of the rest the latest */
    memmove(&h->attempts[1], &h->attempts[2], (SHEAF_HISTORY_MAX - 2) * sizeof h->attempts[0]);
  h->attempts[at] = (sheaf_attempt){.error_class = d->error_class,
                                    .http_status = call->http_status,
                                    .billing = d->billing,
                                    .endpoint = engine->seats[call->seat].place,
                                    .started_ns = call->started_ns - row->item.enqueued_ns,
                                    .took_ns = engine->now_ns - call->started_ns};
  h->count++;
  if (d->error_class == SHEAF_CLASS_RATE_LIMIT || d->error_class == SHEAF_CLASS_OVERLOADED)
    h->throttles++;
  if (cost != SHEAF_ABSENT) h->spent_usd_nano = sheaf__add_sat_i64(h->spent_usd_nano, cost);
  return SHEAF_OK;
}

/* pays: the retry budget; of a group, one member does for all. */
sheaf__next sheaf__decide(sheaf_engine *engine, sheaf__row *row, sheaf__call *call,
                          const sheaf_decoded *d, bool pays) {
  sheaf__pool *pool = &engine->pools[engine->seats[call->seat].pool];
  sheaf__next end = {.next = SHEAF__NEXT_COMPLETE, .error_class = d->error_class};
  if (row->flags & SHEAF__ROW_CANCEL) end.error_class = SHEAF_CLASS_CANCELLED;
  if (row->flags & (SHEAF__ROW_CANCEL | SHEAF__ROW_SHADOW)) return end;
  if (engine->draining) { /* what would be tried again is cut short, not failed: a resume runs it */
    if (sheaf__retry_decide(&engine->retry, &row->tries, d, row->index, row->attempts).next ==
        SHEAF__NEXT_RETRY)
      end.error_class = SHEAF_CLASS_CANCELLED;
    return end;
  }
  if (d->error_class == SHEAF_CLASS_RATE_LIMIT && sheaf__pool_too_large(pool, &call->cost))
    return end;
  if (sheaf__is_of_the_key(d)) {
    /* Another key may serve the row; the one that was refused sends no more. */
    if (!sheaf__route_stopped(engine, &engine->routes[row->route])) end.next = SHEAF__NEXT_RETRY;
    return end;
  }
  uint64_t deadline = sheaf__min_u64(row->deadline_ns, engine->run_deadline_ns);
  sheaf__next next = sheaf__retry_decide(&engine->retry, &row->tries, d, row->index, row->attempts);
  if (next.next == SHEAF__NEXT_RETRY && deadline <= engine->now_ns) {
    end.error_class = SHEAF_CLASS_DEADLINE;
    return end;
  }
  /* A refusal pauses the pool; the row waits in the queue, where another pool may take it. */
  if (d->error_class == SHEAF_CLASS_RATE_LIMIT) next.wait_ns = 0;
  if (next.next == SHEAF__NEXT_RETRY && next.budget_milli && pays) {
    uint64_t until = sheaf__pool_pay_retry(pool, next.budget_milli, engine->now_ns);
    if (until > engine->now_ns) {
      next.wait_ns = sheaf__max_u64(next.wait_ns, until - engine->now_ns);
      row->owes_milli = (uint16_t)next.budget_milli;
    }
  }
  return next;
}

/* A start that was decided but never handed out: as if it had not been decided. The row ends,
 * nothing was sent. */
static void end_unsent(sheaf_engine *engine, sheaf__call *call) {
  sheaf__row *row = call->row;
  sheaf__call_taken_back(engine, call);
  engine->routes[row->route].blocked_until_ns = 0;
  const char *message = call->end.message.data; /* a literal */
  uint32_t end = call->end.end;
  uint32_t error_class = end == SHEAF_END_CANCELLED ? SHEAF_CLASS_CANCELLED
                         : end == SHEAF_END_TIMEOUT ? SHEAF_CLASS_DEADLINE
                                                    : SHEAF_CLASS_STORE;
  row->attempts--;
  if (row->billing <= SHEAF_BILLING_REFUSED) row->flags |= SHEAF__ROW_UNSENT;
  sheaf__call_release(engine, call);
  sheaf__complete(engine, row, error_class, message);
}

static void end_call(sheaf_engine *engine, sheaf__call *call) {
  sheaf__row *row = call->row;
  sheaf_decoded *d = &call->decoded;
  if (!call->handed_out) {
    end_unsent(engine, call);
    return;
  }
  call->ended_ns = engine->now_ns;
  sheaf__call_read(engine, call, d);
  bool shadow = (row->flags & SHEAF__ROW_SHADOW) != 0;
  if (SHEAF__HAS_ANSWERS(engine)) sheaf__asks_again(engine, call);
  if (d->error_class == SHEAF_CLASS_NONE && SHEAF__HAS_HOOK(engine, validate) && !shadow &&
      !sheaf__valid(engine, call))
    sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE, SHEAF_BILLING_BILLED, true,
                SHEAF_LITERAL("the validate hook refused the result"));
  sheaf__call_settle(engine, call, row->body_bytes, 1);
  int64_t cost = sheaf__tally_attempt(engine, row, call);
  call->out = false;
  engine->calls_out--;
  sheaf__call_steer(engine, call);
  if (call->company != NULL)
    sheaf__company_call_over(engine, call, d->error_class == SHEAF_CLASS_NONE);
  if (d->billing > row->billing) row->billing = (uint8_t)d->billing;
  engine->routes[row->route].blocked_until_ns = 0;
  engine->launch_due = true;
  if (d->error_class == SHEAF_CLASS_NONE && row->history == NULL) {
    sheaf__complete(engine, row, SHEAF_CLASS_NONE, NULL);
    return;
  }
  if (d->error_class == SHEAF_CLASS_NONE)
    cost = 0; /* a success is priced from its usage when it is shown */
  if (sheaf__keep_history(engine, row, call, d, cost) || d->error_class == SHEAF_CLASS_NONE) {
    /* Without memory for its history a failed attempt ends the row: honest, and nothing is lost. */
    sheaf__complete(
        engine, row,
        row->flags & SHEAF__ROW_CANCEL && d->error_class ? SHEAF_CLASS_CANCELLED : d->error_class,
        NULL);
    return;
  }
  sheaf__next next = SHEAF__HAS_ANSWERS(engine) ? sheaf__next_of(engine, row, call, d)
                                                : sheaf__decide(engine, row, call, d, true);
  if (next.next == SHEAF__NEXT_COMPLETE) {
    bool key = sheaf__is_of_the_key(d);
    bool drained = next.error_class == SHEAF_CLASS_CANCELLED && !(row->flags & SHEAF__ROW_CANCEL);
    if ((key || drained) && row->billing <= SHEAF_BILLING_REFUSED) row->flags |= SHEAF__ROW_UNSENT;
    sheaf__complete(engine, row, next.error_class, NULL);
    return;
  }
  engine->stats.retries++;
  if (next.resends_unknown) {
    row->flags |= SHEAF__ROW_RESENT;
    engine->stats.unknown_resent++;
    sheaf__notice(engine, SHEAF_NOTICE_RESENT_UNKNOWN, engine->seats[call->seat].place, row->index);
  }
  if (call->delta_taken) sheaf__event_push(engine, SHEAF_EVENT_DISCARD, row, call->exchange.id);
  sheaf__call_release(engine, call);
  sheaf__requeue(engine, row, next.wait_ns);
}

/* A flight's exchange ended: the controllers hear of it as of any other, then the lane. */
static void end_flight_call(sheaf_engine *engine, sheaf__call *call) {
  sheaf__pool *pool = &engine->pools[engine->seats[call->seat].pool];
  sheaf_decoded *d = &call->decoded;
  call->ended_ns = engine->now_ns;
  if (call->over_limit) call->end.end = SHEAF_END_TOO_LARGE;
  if (call->end.end == SHEAF_END_OK)
    read_reply(engine, call, d);
  else
    read_failure(engine, call, d);
  if (!call->head_seen)
    sheaf__pool_on_headless(pool, &call->cost, call->exchange.id, engine->now_ns);
  sheaf__pool_settle(pool, &call->cost, d->billing, &d->usage, 0, engine->now_ns);
  call->out = false;
  engine->calls_out--;
  steer(engine, call, d);
  sheaf__flight_reply(engine, call);
  sheaf__call_release(engine, call);
  engine->launch_due = true;
}

void sheaf__stopped_routes(sheaf_engine *engine) {
  for (uint32_t i = 0; engine->stop_class && i < engine->route_count; i++)
    if ((engine->routes[i].queue.count || engine->routes[i].gathering) &&
        sheaf__route_stopped(engine, &engine->routes[i]))
      sheaf__end_waiting(engine, engine->stop_class,
                         "the key was refused; what was not sent can be resumed",
                         &engine->routes[i]);
}

/* ---- The step's first half ---- */

int32_t sheaf__settle(sheaf_engine *engine) {
  uint32_t count = engine->recorded_count, kept = 0;
  if (count > 1) sheaf__sort_u64(engine->recorded, count);
  for (uint32_t i = 0; i < count; i++) {
    sheaf__call *call = sheaf__call_find(engine, engine->recorded[i]);
    if (call == NULL || !call->recorded) continue;
    call->recorded = false;
    if (call->has_head && !call->head_seen) on_head(engine, call);
    if (call->has_data && call->streaming != NULL) sheaf__stream_feed(engine, call, false);
    call->has_data = false;
    if (sheaf__is_flown(call) && !sheaf__flight_chunk(engine, call)) {
      call->recorded = true; /* looked at again in the next step, when the lane may take more */
      engine->recorded[kept++] = call->exchange.id;
      continue;
    }
    if (!call->has_end) continue;
    if (call->group != NULL) {
      if (sheaf__group_ends(engine, call)) continue;
      call->recorded = true; /* without memory to read the reply: again in the next step */
      engine->recorded[kept++] = call->exchange.id;
      continue;
    }
    if (sheaf__is_flown(call))
      end_flight_call(engine, call);
    else
      end_call(engine, call);
  }
  engine->recorded_count = kept;
  return SHEAF_OK;
}
