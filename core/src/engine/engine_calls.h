/* engine_calls.h: what the files of the engine call of one another. Only engine_int.h includes it,
 * behind the state that these work on. */
#ifndef SHEAF_ENGINE_CALLS_H
#define SHEAF_ENGINE_CALLS_H

#ifndef SHEAF_ENGINE_INT_H
#error "include engine/engine_int.h instead"
#endif

/* ring.c */
int32_t sheaf__ring_reserve(sheaf__ring *ring, const sheaf_allocator *allocator, uint32_t more);
void *sheaf__ring_push(sheaf__ring *ring); /* room was reserved */
void *sheaf__ring_peek(const sheaf__ring *ring);
void sheaf__ring_pop(sheaf__ring *ring);
void sheaf__ring_deinit(sheaf__ring *ring, const sheaf_allocator *allocator);
/* Grows *items to hold one more of item_bytes, at most max. */
int32_t sheaf__grow(const sheaf_allocator *allocator, void *items_ptr, uint32_t *capacity,
                    uint32_t count, size_t item_bytes, uint32_t max);
void sheaf__sort_u64(uint64_t *numbers, uint32_t count); /* rising */

/* places.c: endpoints, routes, pools, seats, paths */
int32_t sheaf__places_init(sheaf_engine *engine);
void sheaf__places_deinit(sheaf_engine *engine);
int32_t sheaf__route_find(sheaf_engine *engine, const sheaf_request *request, uint32_t *route,
                          sheaf_parse_error *error);
bool sheaf__route_stopped(const sheaf_engine *engine, const sheaf__route *route); /* every key */
int32_t sheaf__path_find(sheaf_engine *engine, sheaf_slice text, uint32_t *path);
int32_t sheaf__url(sheaf_engine *engine, uint32_t path, uint32_t place, sheaf_slice *url);

/* slots.c: rows and calls */
int32_t sheaf__row_take(sheaf_engine *engine, sheaf__row **row);
void sheaf__row_release(sheaf_engine *engine, sheaf__row *row);
int32_t sheaf__call_take(sheaf_engine *engine, sheaf__call **call);
void sheaf__call_release(sheaf_engine *engine, sheaf__call *call);
sheaf__call *sheaf__call_find(const sheaf_engine *engine, uint64_t exchange);
void sheaf__slots_deinit(sheaf_engine *engine);
/* The row of an index; NULL: it is over, or never was. Room for it was made with the row. */
sheaf__row *sheaf__row_by_index(const sheaf_engine *engine, uint64_t index);
void sheaf__row_index(sheaf_engine *engine, sheaf__row *row);
void sheaf__row_unindex(sheaf_engine *engine, sheaf__row *row);

/* bonds.c: what a row may share. request is with its defaults. */
int32_t sheaf__bond_make(sheaf_engine *engine, sheaf__row *row, const sheaf_request *request);
void sheaf__bond_release(sheaf_engine *engine, sheaf__row *row);
void sheaf__bonds_deinit(sheaf_engine *engine);

/* twins.c */
int32_t sheaf__twin_reserve(sheaf_engine *engine); /* room for one leader more */
/* True: the row waits behind a twin now, or was answered from the cache. Neither this nor the next
 * can fail. */
bool sheaf__twin_join(sheaf_engine *engine, sheaf__row *row);
void sheaf__twin_lead(sheaf_engine *engine, sheaf__row *row);
/* Out of its place behind its leader, to complete. */
void sheaf__twin_part(sheaf_engine *engine, sheaf__row *row);
/* The leader is complete; its twins complete, too, or one of them leads now. */
void sheaf__twins_end(sheaf_engine *engine, sheaf__row *leader, uint32_t error_class,
                      const char *message);
void sheaf__row_reclass(sheaf_engine *engine, sheaf__row *row, uint32_t klass);

/* verdict.c: structured answers; only where SHEAF__HAS_ANSWERS */
int32_t sheaf__verdicts_init(sheaf_engine *engine);
void sheaf__verdicts_deinit(sheaf_engine *engine);
void sheaf__verdict_fill(sheaf_engine *engine, const sheaf__row *row, sheaf_result *r, bool shown);
bool sheaf__asks_again(sheaf_engine *engine, sheaf__call *call);
sheaf__next sheaf__next_of(sheaf_engine *engine, sheaf__row *row, sheaf__call *call,
                           const sheaf_decoded *d);
bool sheaf__ends_as_kept(sheaf_engine *engine, sheaf__row *row);

/* cache.c */
sheaf__answer *sheaf__cache_find(sheaf_engine *engine, const sheaf__row *row);
void sheaf__cache_keep(sheaf_engine *engine, const sheaf__row *row);
void sheaf__cache_trim(sheaf_engine *engine);
void sheaf__cache_deinit(sheaf_engine *engine);

/* answers.c */
void sheaf__answer_release(sheaf_engine *engine, sheaf__answer *answer);
/* Copies; NULL without memory. */
sheaf__answer *sheaf__answer_of_text(sheaf_engine *engine, sheaf_slice text);
sheaf__answer *sheaf__answer_of_call(sheaf_engine *engine, const sheaf__call *call);
/* Asks the hook; SHEAF_E_END: *answer is the row's. */
int32_t sheaf__preprocess(sheaf_engine *engine, sheaf_request *request, sheaf_slice *answer);
/* True: the hook answers for a row that failed; it is a success now. */
bool sheaf__fallback(sheaf_engine *engine, sheaf__row *row);

/* control.c: pause, cancel, set */
void sheaf__reconfigured(sheaf_engine *engine);
void sheaf__class_waits(const sheaf_engine *engine, sheaf__queue *queue);
sheaf__pool_limits sheaf__limits_of(const sheaf_engine_options *options);
void sheaf__retry_options_of(const sheaf_engine_options *options, sheaf__retry_options *retry);

/* admit.c */
int32_t sheaf__admit(sheaf_engine *engine, const sheaf_request *request, uint64_t *index,
                     sheaf_parse_error *error, bool ask_source);
size_t sheaf__request_bytes(const sheaf_request *request);
void sheaf__request_copy(sheaf_request *to, const sheaf_request *given);
void sheaf__row_time(sheaf_engine *engine, sheaf__row *row);
bool sheaf__meets_unknown(sheaf_engine *engine, sheaf__row *row);
sheaf__cost sheaf__row_cost(const sheaf__row *row, const sheaf__pool *pool);
int32_t sheaf__admit_again(sheaf_engine *engine, const sheaf_request *request, uint64_t index,
                           sheaf__row **row);
int32_t sheaf__row_stand_in(sheaf_engine *engine, sheaf__row *row, const sheaf_request *request,
                            uint64_t index, const uint8_t fingerprint[16]);
void sheaf__row_leave(sheaf_engine *engine, sheaf__row *row);
uint64_t sheaf__row_inputs(const sheaf_engine *engine, const sheaf__row *row);
int32_t sheaf__admit_refused(sheaf_engine *engine, const sheaf_request *request,
                             const sheaf_parse_error *error);

/* Times of a row that came before the first step are of the first step. */
void sheaf__restamp(sheaf_engine *engine, sheaf__row *row);

/* engine.c */
void sheaf__step_settle(sheaf_engine *engine, uint64_t now_ns, int64_t unix_ms);
void sheaf__call_unsent(sheaf_engine *engine,
                        sheaf__call *call); /* a START that will not be handed out */

/* flights.c: lanes of many rows: their lives and wishes */
int32_t sheaf__flight_new(sheaf_engine *engine, uint64_t id, uint32_t route, uint32_t path,
                          sheaf__flight **flight);
void sheaf__flight_forget(sheaf_engine *engine, sheaf__flight *flight);
/* Keeps the id of its job, which is over: no other flight may take it for its own. */
int32_t sheaf__flight_remember(sheaf_engine *engine, const sheaf__flight *flight);
int32_t sheaf__flights_run(sheaf_engine *engine);
void sheaf__flight_timer(sheaf_engine *engine, sheaf__heap_node *node);
int32_t sheaf__flight_tell(sheaf_engine *engine, sheaf__flight *flight, sheaf__lane_input *input);
/* Some flight could go on without hearing of anything; nothing of any is under way. */
bool sheaf__flights_may_move(const sheaf_engine *engine);
bool sheaf__flights_rest(const sheaf_engine *engine);
/* Nothing that they wait for will come in this run. */
bool sheaf__flights_over(const sheaf_engine *engine);
void sheaf__flights_deinit(sheaf_engine *engine);

/* flight_rows.c: how rows get in, come by, and get out */
/* Whether rows of this kind travel in jobs here at all; NULL: they do, else the sentence why not. */
const char *sheaf__jobs_refuse(const sheaf_engine *engine, const sheaf__row *row);
/* Takes a built row into the open flight of its kind. Its memory is free again afterwards.
 * SHEAF_E_FIELD, SHEAF_E_TOO_LONG: it cannot travel so. */
int32_t sheaf__flight_join(sheaf_engine *engine, const sheaf__row *row, bool is_auto);
/* Whether a job of an earlier run holds the row of the input with this index, and then that it comes
 * by: SHEAF_E_OTHER_RUN if its text has changed. */
bool sheaf__flight_holds(const sheaf_engine *engine, uint64_t index);
int32_t sheaf__flight_pass(sheaf_engine *engine, const sheaf__row *row, bool is_done);
int32_t sheaf__flight_row_done(sheaf_engine *engine, sheaf__flight *flight,
                               const sheaf__lane_action *action);

int32_t sheaf__flight_spooled(sheaf_engine *engine, const sheaf__flight *flight, uint64_t at,
                              void *to, size_t bytes, size_t *got);

/* flight_calls.c: a flight's exchange, out and back */
int32_t sheaf__flight_call(sheaf_engine *engine, sheaf__flight *flight, sheaf__call *call);
int64_t sheaf__flight_body(sheaf_engine *engine, sheaf__flight *flight, uint64_t offset, void *to,
                           size_t capacity);
bool sheaf__flight_chunk(sheaf_engine *engine, sheaf__call *call);
void sheaf__flight_reply(sheaf_engine *engine, sheaf__call *call);

void sheaf__flight_settle_in(sheaf_engine *engine, sheaf__flight *flight, uint32_t route,
                             uint32_t path);

/* flight_records.c: records of earlier runs, news for the caller, the provider's own list */
int32_t sheaf__flight_record(sheaf_engine *engine, uint32_t type, sheaf_slice payload);
int32_t sheaf__job_news_push(sheaf_engine *engine, const sheaf__flight *flight,
                             const sheaf_job_status *status);
void sheaf__job_news_show(sheaf_engine *engine, sheaf_event *event);
void sheaf__job_news_deinit(sheaf_engine *engine);
int32_t sheaf__survey(sheaf_engine *engine);
/* Lane auto: decides when more rows came than its threshold, or the input ended. */
bool sheaf__auto_due(const sheaf_engine *engine);
int32_t sheaf__auto_decide(sheaf_engine *engine);

/* launch.c */
int32_t sheaf__launch(sheaf_engine *engine);

void sheaf__row_launched(sheaf_engine *engine, sheaf__row *row, uint32_t place);
bool sheaf__gate_open(sheaf_engine *engine, const sheaf__route *route);
bool sheaf__budget_allows(const sheaf_engine *engine, int64_t bound);
int64_t sheaf__cost_bound(const sheaf_engine *engine, const sheaf__row *row,
                          const sheaf__cost *cost);

/* company.c: who waits for whom */
int32_t sheaf__company_reserve(sheaf_engine *engine, sheaf__row *row, uint32_t klass);
void sheaf__company_forget(sheaf_engine *engine, sheaf__row *row);
void sheaf__company_join(sheaf_engine *engine, sheaf__row *row);
void sheaf__company_leave(sheaf_engine *engine, sheaf__row *row);
bool sheaf__company_reclass(sheaf_engine *engine, sheaf__row *row, uint32_t klass);
sheaf__row *sheaf__company_first(const sheaf__company *company);
void sheaf__company_take(sheaf_engine *engine, sheaf__company *company, sheaf__row *row);
void sheaf__company_untake(sheaf_engine *engine, sheaf__company *company, sheaf__row *row);
void sheaf__company_left(sheaf_engine *engine, sheaf__company *company, uint64_t units);
uint32_t sheaf__company_members_max(const sheaf_engine *engine, const sheaf__company *company);
uint64_t sheaf__company_inputs_max(const sheaf_engine *engine, const sheaf__company *company);
sheaf__cost sheaf__company_cost(const sheaf_engine *engine, const sheaf__company *company);
static inline bool sheaf__company_belongs(const sheaf__row *row) { /* it waits in one, or would */
  return SHEAF__HAS_COMPANY && row->bond != NULL && row->bond->company != NULL;
}
void sheaf__company_call_out(sheaf_engine *engine, sheaf__company *company, sheaf__call *call);
void sheaf__company_call_over(sheaf_engine *engine, sheaf__call *call, bool good);
void sheaf__companies_run(sheaf_engine *engine);     /* who may leave now? */
void sheaf__companies_changed(sheaf_engine *engine); /* options did */
void sheaf__companies_restamp(sheaf_engine *engine);
void sheaf__companies_deinit(sheaf_engine *engine);

/* groups.c: a call of several */
#define SHEAF__GROUP_BODY_BYTES_MAX ((size_t)8 << 20)
int32_t sheaf__group_gather(sheaf_engine *engine, sheaf__company *company, sheaf__group **group);
void sheaf__group_scatter(sheaf_engine *engine, sheaf__group *group);
void sheaf__group_launched(sheaf_engine *engine, sheaf__group *group, sheaf__call *call);
void sheaf__group_handed_out(sheaf_engine *engine, sheaf__call *call);
void sheaf__group_leave(sheaf_engine *engine, sheaf__row *row);
void sheaf__group_cancel(sheaf__group *group);
void sheaf__group_unsent(sheaf_engine *engine, sheaf__call *call, bool back);
void sheaf__group_put_back(sheaf_engine *engine, sheaf__call *call);
bool sheaf__group_ends(sheaf_engine *engine, sheaf__call *call);
void sheaf__groups_run(sheaf_engine *engine);
void sheaf__groups_deinit(sheaf_engine *engine);
static inline bool sheaf__in_group(const sheaf__row *row) {
  return SHEAF__HAS_COMPANY && row->bond != NULL && row->bond->group != NULL;
}

void sheaf__group_apart(sheaf__group *group);
int32_t sheaf__group_build(sheaf_engine *engine, sheaf__group *group);
void sheaf__group_detach(sheaf__group *group, sheaf__row *row);

/* group_end.c: what a group's reply is to its members */
bool sheaf__group_read(sheaf_engine *engine, sheaf__group *group);
uint64_t sheaf__weight(uint64_t n);
void sheaf__group_weigh(sheaf__group *group);
int64_t sheaf__group_cost_share(sheaf_engine *engine, const sheaf__group *group,
                                const sheaf__row *row);
int32_t sheaf__group_tell(sheaf_engine *engine, sheaf__group *group, sheaf__row *row);

/* canary.c: are merged answers as good? */
void sheaf__canary_draw(sheaf_engine *engine, const sheaf__row *row, sheaf_slice answer);
void sheaf__shadow_end(sheaf_engine *engine, sheaf__row *row);
void sheaf__shadows_drop(sheaf_engine *engine);
void sheaf__merge_seen(sheaf_engine *engine, bool discarded);
int32_t sheaf__row_shadow(sheaf_engine *engine, sheaf__row *row, const sheaf__row *of,
                          sheaf_slice answer);

/* settle.c */
void sheaf__call_read(sheaf_engine *engine, sheaf__call *call, sheaf_decoded *d);
void sheaf__call_settle(sheaf_engine *engine, sheaf__call *call, uint64_t body_bytes,
                        uint32_t members);
void sheaf__call_steer(sheaf_engine *engine, sheaf__call *call);
void sheaf__call_taken_back(sheaf_engine *engine, sheaf__call *call);
int32_t sheaf__keep_history(sheaf_engine *engine, sheaf__row *row, const sheaf__call *call,
                            const sheaf_decoded *d, int64_t cost);
sheaf__next sheaf__decide(sheaf_engine *engine, sheaf__row *row, sheaf__call *call,
                          const sheaf_decoded *d, bool pays);
void sheaf__fail(sheaf_decoded *d, uint32_t error_class, uint32_t billing, bool retryable,
                 sheaf_slice message);
bool sheaf__is_of_the_key(const sheaf_decoded *d);
int32_t sheaf__settle(sheaf_engine *engine);
void sheaf__timers_run(sheaf_engine *engine);
void sheaf__complete(sheaf_engine *engine, sheaf__row *row, uint32_t error_class,
                     const char *message);
void sheaf__requeue(sheaf_engine *engine, sheaf__row *row, uint64_t wait_ns);
void sheaf__end_waiting(sheaf_engine *engine, uint32_t error_class, const char *message,
                        const sheaf__route *only);
void sheaf__call_cancel(sheaf_engine *engine, sheaf__call *call);

void sheaf__stopped_routes(sheaf_engine *engine);

/* stream_in.c */
int32_t sheaf__stream_begin(sheaf_engine *engine, sheaf__call *call);
void sheaf__stream_feed(sheaf_engine *engine, sheaf__call *call, bool at_end);
void sheaf__stream_free(sheaf_engine *engine, sheaf__call *call);

/* records.c */
int32_t sheaf__records_cover(sheaf_engine *engine);
void sheaf__records_void(sheaf_engine *engine, const sheaf__row *row);
int32_t sheaf__ranges_add(sheaf_engine *engine, sheaf__ranges *ranges, uint64_t first,
                          uint64_t last);
bool sheaf__ranges_hold(const sheaf__ranges *ranges, uint64_t index);
void sheaf__records_deinit(sheaf_engine *engine);

/* events.c */
void sheaf__notice(sheaf_engine *engine, uint32_t notice, uint32_t endpoint, uint64_t number);
void sheaf__event_push(sheaf_engine *engine, uint32_t kind, sheaf__row *row, uint64_t exchange);
uint64_t sheaf__events_room(const sheaf_engine *engine, uint32_t rows);
void sheaf__shown_release(sheaf_engine *engine);
/* A group's state changed; dropped without memory. */
void sheaf__group_event(sheaf_engine *engine, uint64_t group, uint32_t state, uint64_t members);

/* tally.c */
const sheaf_price *sheaf__price_of(sheaf_engine *engine, uint32_t route, sheaf_slice model);
void sheaf__tally_time(sheaf_engine *engine);
void sheaf__tally_done(sheaf_engine *engine, const sheaf__row *row, uint32_t error_class,
                       bool attempted);
int64_t sheaf__tally_attempt(sheaf_engine *engine, const sheaf__row *row, const sheaf__call *call);

/* result.c */
bool sheaf__valid(sheaf_engine *engine, sheaf__call *call);
void sheaf__result_fill(sheaf_engine *engine, const sheaf__row *row, sheaf_result *result,
                        sheaf_buf *text);

/* check.c: walks every invariant; 0 or the number of the first that does not hold. Tests only. */
uint32_t sheaf__engine_check(const sheaf_engine *engine);
#ifdef SHEAF_CHECKS
#define SHEAF_CHECKED(engine) SHEAF_ASSERT(sheaf__engine_check(engine) == 0)
#else
#define SHEAF_CHECKED(engine) ((void)(engine))
#endif

#endif
