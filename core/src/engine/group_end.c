/* group_end.c: what the end of a group's call means to its members, and telling each of them.
 *
 * The reply is read once: its parts are found, or it is void as a whole. Then one member after the
 * other is told. A member with its part of the reply gets a call of its own that holds the reply as if
 * it had come alone, so that all that follows (hooks, twins, results) knows nothing of groups. What
 * the call cost is divided so that the shares add up exactly: what falls to the members up to each is
 * rounded down, and a share is the difference of two such sums.
 *
 * Outline: reading; shares; a part; the others. */
#include "engine/engine_int.h"

#include "lanes/prompts.h"

/* Of a refusal's body that each member is shown: enough for any provider's error object. */
#define REFUSAL_BYTES_MAX ((size_t)64 << 10)

/* ---- Reading ---- */

static sheaf_reply reply_of(const sheaf_engine *engine, const sheaf__group *g) {
  const sheaf__call *call = g->call;
  return (sheaf_reply){.struct_bytes = sizeof(sheaf_reply),
                       .http_status = call->http_status,
                       .operation = g->shared.operation,
                       .headers = sheaf_buf_slice(&call->headers),
                       .body = sheaf_buf_slice(&call->body),
                       .unix_ms = engine->unix_ms};
}

static const sheaf_provider *provider_of(const sheaf_engine *engine, const sheaf__group *g) {
  return engine->routes[g->company->route].provider;
}

/* The answer was cut off at the cap: every provider's word for it. */
static bool is_cut(sheaf_slice finish) {
  static const char *const words[] = {"length", "max_tokens", "max_output_tokens", "MAX_TOKENS"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (sheaf__slice_equal(finish, sheaf_slice_of(words[i]))) return true;
  return false;
}

/* The provider said no to this call's content: another call, of fewer, may pass. */
static bool is_about_content(const sheaf__call *call, const sheaf_decoded *d) {
  if (d->error_class == SHEAF_CLASS_CONTENT_FILTER || d->error_class == SHEAF_CLASS_CONTEXT_LENGTH)
    return true;
  return d->error_class == SHEAF_CLASS_INVALID_REQUEST && call->end.end == SHEAF_END_OK;
}

static uint32_t fate_of_failure(const sheaf_engine *engine, const sheaf__group *g,
                                const sheaf_decoded *d) {
  const sheaf__call *call = g->call;
  bool lists = g->shared.share == SHEAF_SHARE_INPUTS;
  if (is_about_content(call, d)) {
    bool halves = lists || d->error_class == SHEAF_CLASS_CONTEXT_LENGTH;
    return halves ? SHEAF__FATE_HALVES : SHEAF__FATE_ALONE;
  }
  if (d->error_class == SHEAF_CLASS_INVALID_RESPONSE)
    return call->end.end == SHEAF_END_TOO_LARGE ? SHEAF__FATE_HALVES : SHEAF__FATE_ALONE;
  const sheaf__pool *pool = &engine->pools[engine->seats[call->seat].pool];
  if (d->error_class == SHEAF_CLASS_RATE_LIMIT && sheaf__pool_too_large(pool, &call->cost))
    return SHEAF__FATE_HALVES;
  return SHEAF__FATE_EACH;
}

/* The reply's bytes that hold all items. */
static sheaf_slice span_of(const sheaf__group *g) {
  const char *from = g->items[0].data, *to = from + g->items[0].bytes;
  for (uint32_t i = 1; i < g->item_count; i++) {
    const char *end = g->items[i].data + g->items[i].bytes;
    if (g->items[i].data < from) from = g->items[i].data;
    if (end > to) to = end;
  }
  return (sheaf_slice){from, (size_t)(to - from)};
}

static int32_t find_parts(sheaf_engine *engine, sheaf__group *g) {
  const sheaf_provider *provider = provider_of(engine, g);
  const sheaf_decoded *d = &g->call->decoded;
  if (g->shared.share == SHEAF_SHARE_INPUTS) {
    sheaf_reply reply = reply_of(engine, g);
    g->why = "the reply does not hold one item for each input of the merged call";
    int32_t status = provider->items(provider, &g->shared, &reply, g->items, g->item_count);
    if (status == SHEAF_OK) g->span = span_of(g);
    return status;
  }
  sheaf_buf_reset(&g->answers);
  return sheaf__prompts_read(d->text_json, (const char(*)[SHEAF__PROMPT_ID_BYTES])g->ids, g->count,
                             &g->answers, g->items, &g->why);
}

/* Decides what the call's end means to its members. Any doubt voids the whole reply: what it cost is
 * counted, and the members are asked for one by one. False: without memory. */
bool sheaf__group_read(sheaf_engine *engine, sheaf__group *g) {
  sheaf_decoded *d = &g->call->decoded;
  if (d->error_class == SHEAF_CLASS_INTERNAL && g->call->scratch.status == SHEAF_E_NOMEM)
    return false;
  if (d->error_class != SHEAF_CLASS_NONE) {
    g->fate = fate_of_failure(engine, g, d);
    return true;
  }
  if (g->shared.share == SHEAF_SHARE_PROMPTS && is_cut(d->finish_reason)) {
    g->fate = SHEAF__FATE_HALVES;
    g->why = "the merged answers were cut off at the output cap";
  } else {
    int32_t status = find_parts(engine, g);
    if (status == SHEAF_E_NOMEM) return false;
    g->fate = status == SHEAF_OK ? SHEAF__FATE_PARTS : SHEAF__FATE_ALONE;
  }
  if (g->fate == SHEAF__FATE_PARTS) return true;
  if (g->why == NULL) g->why = "the merged reply could not be divided among its members";
  sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE, SHEAF_BILLING_BILLED, true, sheaf_slice_of(g->why));
  return true;
}

/* ---- Shares ---- */

/* Input by what each member's was estimated at, since it was gathered. Output by the bytes of each
 * answer, where there are answers, else as the input. Those that left have their share, too: nobody
 * else pays for them. */
void sheaf__group_weigh(sheaf__group *g) {
  bool answers = g->fate == SHEAF__FATE_PARTS && g->shared.share == SHEAF_SHARE_PROMPTS;
  uint64_t output = 0;
  for (uint32_t i = 0; i < g->count; i++) {
    if (answers) output += sheaf__weight(g->items[i].bytes);
    g->output_upto[i] = answers ? output : g->input_upto[i];
  }
}

/* total * upto / all, rounded down; all < 2^31. */
static int64_t cut(int64_t total, uint64_t upto, uint64_t all) {
  if (total <= 0) return total; /* nothing, or not known */
  uint64_t n = (uint64_t)total;
  return (int64_t)(n / all * upto + n % all * upto / all);
}

/* What falls to the first n members together. */
static sheaf_usage usage_upto(const sheaf__group *g, uint32_t n) {
  const sheaf_usage *whole = &g->call->decoded.usage;
  uint64_t in_all = g->input_upto[g->count - 1], out_all = g->output_upto[g->count - 1];
  uint64_t in = n ? g->input_upto[n - 1] : 0, out = n ? g->output_upto[n - 1] : 0;
  return (sheaf_usage){.input_total = cut(whole->input_total, in, in_all),
                       .output_total = cut(whole->output_total, out, out_all),
                       .cache_read = cut(whole->cache_read, in, in_all),
                       .cache_write = cut(whole->cache_write, in, in_all),
                       .reasoning = cut(whole->reasoning, out, out_all)};
}

static int64_t difference(int64_t upto, int64_t before) {
  return upto == SHEAF_ABSENT ? SHEAF_ABSENT : upto - before;
}

static sheaf_usage usage_share(const sheaf__group *g, uint32_t i) {
  sheaf_usage upto = usage_upto(g, i + 1), before = usage_upto(g, i);
  return (sheaf_usage){.input_total = difference(upto.input_total, before.input_total),
                       .output_total = difference(upto.output_total, before.output_total),
                       .cache_read = difference(upto.cache_read, before.cache_read),
                       .cache_write = difference(upto.cache_write, before.cache_write),
                       .reasoning = difference(upto.reasoning, before.reasoning),
                       .estimated = 1};
}

/* Of the call's cost, by what the members' shares of input and output would cost without a cache. */
static int64_t cost_upto(sheaf_engine *engine, const sheaf__group *g, uint32_t n, uint32_t route) {
  const sheaf_price *price = sheaf__price_of(engine, route, g->call->decoded.model);
  sheaf_usage whole = usage_upto(g, g->count), part = usage_upto(g, n);
  whole.cache_read = whole.cache_write = part.cache_read = part.cache_write = SHEAF_ABSENT;
  int64_t all = price ? sheaf_price_cost(price, &whole) : 0;
  int64_t upto = price ? sheaf_price_cost(price, &part) : 0;
  if (all <= 0) {
    all = (int64_t)g->input_upto[g->count - 1];
    upto = n ? (int64_t)g->input_upto[n - 1] : 0;
  }
  while (all >= (int64_t)1 << 31) all >>= 1, upto >>= 1; /* all members alike */
  return cut(g->cost_usd_nano, (uint64_t)upto, (uint64_t)all);
}

int64_t sheaf__group_cost_share(sheaf_engine *engine, const sheaf__group *g,
                                const sheaf__row *row) {
  uint32_t i = row->bond->group_place;
  if (g->cost_usd_nano == SHEAF_ABSENT || g->cost_usd_nano == 0) return g->cost_usd_nano;
  return cost_upto(engine, g, i + 1, row->route) - cost_upto(engine, g, i, row->route);
}

/* ---- A part ---- */

/* A call of the member's own, which the transport never sees, with the times of the group's. */
static int32_t own_call(sheaf_engine *engine, const sheaf__group *g, sheaf__row *row,
                        sheaf__call **out) {
  sheaf__call *call;
  const sheaf__call *of = g->call;
  if (sheaf__call_take(engine, &call)) return SHEAF_E_NOMEM;
  if (sheaf_buf_append_slice(&call->headers, sheaf_buf_slice(&of->headers))) {
    sheaf__call_release(engine, call);
    return SHEAF_E_NOMEM;
  }
  call->seat = of->seat;
  call->http_status = of->http_status;
  call->started_ns = of->started_ns;
  call->head_ns = of->head_ns;
  call->ended_ns = of->ended_ns;
  call->reserved_usd_nano = 0;
  call->cost = (sheaf__cost){0, 0};
  call->group_id = g->id;
  call->group_members = g->count;
  call->row = row;
  row->call = call;
  *out = call;
  return SHEAF_OK;
}

/* Writes the member's reply and reads it as any other. */
static int32_t write_part(sheaf_engine *engine, sheaf__group *g, sheaf__call *call, uint32_t i) {
  const sheaf_provider *provider = engine->routes[call->row->route].provider;
  sheaf_part part = {.struct_bytes = sizeof part, .usage = usage_share(g, i), .span = g->span};
  if (g->shared.share == SHEAF_SHARE_INPUTS) {
    for (; g->parted < i; g->parted++) g->items_parted += g->traits[g->parted].inputs;
    part.items = g->items + g->items_parted;
    part.item_count = g->traits[i].inputs;
  } else {
    part.text_json = g->items[i];
  }
  sheaf_reply reply = reply_of(engine, g);
  sheaf_decoded_init(&call->decoded);
  call->decoded.usage = part.usage;
  int32_t status = provider->part(provider, &g->shared, &reply, &part, &call->body);
  if (status == SHEAF_OK) status = call->body.status;
  if (status) return status;
  reply.body = sheaf_buf_slice(&call->body);
  reply.headers = sheaf_buf_slice(&call->headers);
  status = provider->decode(provider, &reply, &call->scratch, &call->decoded);
  if (status == SHEAF_OK) status = call->scratch.status;
  call->decoded.usage = part.usage;
  return status;
}

/* What was made of the part did not please: the hook, or decode. The member goes on by itself. */
static void refuse_part(sheaf_engine *engine, sheaf__group *g, sheaf__row *row, int64_t cost) {
  sheaf__call *call = row->call;
  sheaf_decoded *d = &call->decoded;
  sheaf_stats *s = &engine->stats;
  s->attempt_errors_by_class[d->error_class]++;
  if (d->usage.input_total > 0) s->wasted_tokens += (uint64_t)d->usage.input_total;
  if (d->usage.output_total > 0) s->wasted_tokens += (uint64_t)d->usage.output_total;
  row->lane = SHEAF_LANE_LIVE;
  if (sheaf__keep_history(engine, row, call, d, cost)) { /* honest, and nothing is lost */
    sheaf__complete(engine, row, d->error_class, NULL);
    return;
  }
  sheaf__next next = SHEAF__HAS_ANSWERS(engine) ? sheaf__next_of(engine, row, call, d)
                                                : sheaf__decide(engine, row, call, d, true);
  if (next.next == SHEAF__NEXT_COMPLETE) {
    sheaf__complete(engine, row, next.error_class, NULL);
    return;
  }
  engine->stats.retries++;
  if (g->shared.share == SHEAF_SHARE_PROMPTS) {
    row->flags |= SHEAF__ROW_SOLO;
    sheaf__company_forget(engine, row);
  }
  sheaf__call_release(engine, call);
  sheaf__requeue(engine, row, next.wait_ns);
}

static int32_t give_part(sheaf_engine *engine, sheaf__group *g, sheaf__row *row) {
  sheaf__call *call;
  uint32_t i = row->bond->group_place;
  int32_t status = own_call(engine, g, row, &call);
  if (status) return status;
  status = write_part(engine, g, call, i);
  if (status == SHEAF_E_NOMEM) {
    sheaf__call_release(engine, call);
    return status;
  }
  sheaf_decoded *d = &call->decoded;
  if (status)
    sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE, SHEAF_BILLING_BILLED, true,
                SHEAF_LITERAL("the member's part of the merged reply could not be read"));
  d->billing = SHEAF_BILLING_BILLED;
  call->has_share = true;
  call->share_usd_nano = sheaf__group_cost_share(engine, g, row);
  row->lane = SHEAF_LANE_MERGED;
  row->billing = (uint8_t)sheaf__max_u64(row->billing, d->billing);
  if (SHEAF__HAS_ANSWERS(engine)) sheaf__asks_again(engine, call);
  if (d->error_class == SHEAF_CLASS_NONE && SHEAF__HAS_HOOK(engine, validate) &&
      !sheaf__valid(engine, call))
    sheaf__fail(d, SHEAF_CLASS_INVALID_RESPONSE, SHEAF_BILLING_BILLED, true,
                SHEAF_LITERAL("the validate hook refused the result"));
  call->ended_ns = g->call->ended_ns;
  sheaf_slice answer = g->shared.share == SHEAF_SHARE_PROMPTS ? g->items[i] : (sheaf_slice){0};
  sheaf__group_detach(g, row);
  if (d->error_class != SHEAF_CLASS_NONE) {
    refuse_part(engine, g, row, call->share_usd_nano);
    return SHEAF_OK;
  }
  if (row->history != NULL) sheaf__keep_history(engine, row, call, d, 0);
  if (answer.data != NULL) sheaf__canary_draw(engine, row, answer);
  sheaf__complete(engine, row, SHEAF_CLASS_NONE, NULL);
  return SHEAF_OK;
}

/* ---- The others ---- */

/* The refusal as the member's own: its words may end up in a result. */
static int32_t own_refusal(sheaf_engine *engine, const sheaf__group *g, sheaf__row *row,
                           sheaf__call **out) {
  sheaf__call *call;
  const sheaf__call *of = g->call;
  int32_t status = own_call(engine, g, row, &call);
  if (status) return status;
  sheaf_slice body = sheaf_buf_slice(&of->body);
  if (body.bytes > REFUSAL_BYTES_MAX) body.bytes = REFUSAL_BYTES_MAX;
  sheaf_buf_append_slice(&call->body, body);
  call->end = of->end;
  bool kept = of->message != NULL && of->end.message.data == of->message;
  if (kept && call->message == NULL)
    call->message = sheaf__alloc(&engine->allocator, SHEAF__MESSAGE_BYTES_MAX);
  if (call->body.status || (kept && call->message == NULL)) {
    sheaf__call_release(engine, call);
    return SHEAF_E_NOMEM;
  }
  if (kept) {
    memcpy(call->message, of->message, of->end.message.bytes);
    call->end.message.data = call->message;
  }
  sheaf__call_read(engine, call, &call->decoded);
  sheaf_decoded *d = &call->decoded;
  const sheaf_decoded *whole = &of->decoded;
  if (d->error_class != whole->error_class)
    sheaf__fail(d, whole->error_class, whole->billing, whole->retryable,
                SHEAF_LITERAL("the call of several requests failed"));
  d->usage = usage_share(g, row->bond->group_place);
  *out = call;
  return SHEAF_OK;
}

static void end_member(sheaf_engine *engine, sheaf__row *row, const sheaf_decoded *d,
                       uint32_t error_class) {
  bool drained = error_class == SHEAF_CLASS_CANCELLED && !(row->flags & SHEAF__ROW_CANCEL);
  if ((drained || sheaf__is_of_the_key(d)) && row->billing <= SHEAF_BILLING_REFUSED)
    row->flags |= SHEAF__ROW_UNSENT; /* a resume may run it */
  sheaf__complete(engine, row, error_class, NULL);
}

/* Failures that are no refusals, of one request in calls of several, after which they part: what keeps
 * breaking may be the size of the call, or another member. */
#define FAILURES_TOGETHER 2

/* At most so many from now on; one of them is never again in company. */
static void part(sheaf_engine *engine, sheaf__row *row, uint32_t members_max) {
  row->bond->group_max = members_max;
  if (members_max > 1) return;
  row->flags |= SHEAF__ROW_SOLO;
  sheaf__company_forget(engine, row);
}

/* Tries again together with the others: the first one's wait is everybody's, and is paid for once,
 * for it is one call that is made again. */
static void again(sheaf_engine *engine, sheaf__group *g, sheaf__row *row, const sheaf__next *next) {
  if (!g->retried) {
    g->retried = true;
    g->wait_ns = next->wait_ns;
    engine->stats.retries++;
    engine->stats.groups_retried++;
  }
  if (next->budget_milli) g->paid = true;
  if (next->resends_unknown) {
    row->flags |= SHEAF__ROW_RESENT;
    engine->stats.unknown_resent++;
    sheaf__notice(engine, SHEAF_NOTICE_RESENT_UNKNOWN, engine->seats[g->call->seat].place,
                  row->index);
  }
  if (row->tries.retries + row->tries.invalid >= FAILURES_TOGETHER) {
    /* Lists may be long, and where the server is down their members one by one are many calls. */
    bool is_list = row->bond->traits.share == SHEAF_SHARE_INPUTS;
    engine->stats.merge_fallbacks++;
    part(engine, row, is_list ? (g->count + 1) / 2 : 1);
  }
  sheaf__requeue(engine, row, g->wait_ns);
}

/* The call's failure as the member's own: its tries, its deadline, its history. */
static int32_t tell_failure(sheaf_engine *engine, sheaf__group *g, sheaf__row *row) {
  const sheaf_decoded *d = &g->call->decoded;
  sheaf__call *call;
  int64_t cost = sheaf__group_cost_share(engine, g, row);
  int32_t status = own_refusal(engine, g, row, &call);
  if (status == SHEAF_OK && sheaf__keep_history(engine, row, g->call, d, cost)) {
    sheaf__call_release(engine, call);
    status = SHEAF_E_NOMEM;
  }
  if (status) return status;
  row->billing = (uint8_t)sheaf__max_u64(row->billing, d->billing);
  sheaf__group_detach(g, row);
  sheaf__next next = sheaf__decide(engine, row, g->call, d, !g->paid);
  if (next.next == SHEAF__NEXT_COMPLETE) {
    end_member(engine, row, d, next.error_class);
    return SHEAF_OK;
  }
  sheaf__call_release(engine, call);
  again(engine, g, row, &next);
  return SHEAF_OK;
}

/* Sent again at once, in a smaller group or alone; no retry is charged, for it did nothing wrong. */
static int32_t send_apart(sheaf_engine *engine, sheaf__group *g, sheaf__row *row) {
  const sheaf_decoded *d = &g->call->decoded;
  int32_t status =
      sheaf__keep_history(engine, row, g->call, d, sheaf__group_cost_share(engine, g, row));
  if (status) return status;
  row->billing = (uint8_t)sheaf__max_u64(row->billing, d->billing);
  sheaf__group_detach(g, row);
  if (engine->draining || (row->flags & SHEAF__ROW_CANCEL)) {
    if (row->billing <= SHEAF_BILLING_REFUSED && !(row->flags & SHEAF__ROW_CANCEL))
      row->flags |= SHEAF__ROW_UNSENT;
    sheaf__complete(engine, row, SHEAF_CLASS_CANCELLED,
                    "the run was stopped before this was sent by itself");
    return SHEAF_OK;
  }
  uint32_t half = g->fate == SHEAF__FATE_HALVES ? (g->apart + 1) / 2 : 1;
  part(engine, row, half);
  sheaf__requeue(engine, row, 0);
  return SHEAF_OK;
}

/* One member's end, or its way on. SHEAF_OK, or SHEAF_E_NOMEM: nothing happened. */
int32_t sheaf__group_tell(sheaf_engine *engine, sheaf__group *g, sheaf__row *row) {
  switch (g->fate) {
    case SHEAF__FATE_PARTS: return give_part(engine, g, row);
    case SHEAF__FATE_EACH: return tell_failure(engine, g, row);
    case SHEAF__FATE_ALONE:
    case SHEAF__FATE_HALVES: return send_apart(engine, g, row);
    default:
      row->billing = (uint8_t)sheaf__max_u64(row->billing, g->call->decoded.billing);
      sheaf__group_detach(g, row);
      sheaf__complete(engine, row, SHEAF_CLASS_INTERNAL, "no memory to read the merged reply");
      return SHEAF_OK;
  }
}
