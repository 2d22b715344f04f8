/* test_engine_hooks: what a user's preprocess and fallback hooks do to a request, whatever way it came in. */
#include "engine_test.h"

static bench b;

/* ---- Doors that only stand open; the tests use the pull face beside them ---- */

static int32_t start(void *ctx, const sheaf_exchange *exchange) {
  (void)ctx, (void)exchange;
  return SHEAF_OK;
}
static void cancel(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}
static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind == SHEAF_EVENT_RESULT) bench_take_result(&b, event->result);
  return SHEAF_OK;
}

/* ---- The hooks: by the first letter of the prompt, or by the class of the failure ---- */

static struct {
  uint32_t preprocessed, failures, validated, skipped;
  uint32_t last_class, last_attempts;
  bool last_attempted, called_engine;
  char last_message[64];
  char changed[32];
  uint64_t source_given, source_count;
  const char *const *prompts;
} seen;

static int32_t preprocess(void *ctx, sheaf_request *request, sheaf_slice *answer) {
  (void)ctx;
  seen.preprocessed++;
  seen.called_engine |= sheaf_engine_step(b.engine, b.now_ns, 0) != SHEAF_E_MISUSE;
  CHECK_EQ(request->max_tokens, 0); /* the options' default is not in it yet */
  if (request->prompt.bytes == 0) return SHEAF_OK;
  switch (request->prompt.data[0]) {
    case 'L': *answer = SHEAF_LITERAL("local \"\n\" answer"); return SHEAF_E_END;
    case 'E': return SHEAF_E_END; /* an empty answer is one */
    case 'R': return SHEAF_E_FIELD;
    case 'C':
      memset(seen.changed, 'x', 5);
      request->prompt = (sheaf_slice){seen.changed, 5};
      request->custom_id = SHEAF_LITERAL("changed");
      return SHEAF_OK;
    default: return SHEAF_OK;
  }
}

static int32_t fallback(void *ctx, const sheaf_result *failed, sheaf_slice *answer) {
  (void)ctx;
  seen.failures++;
  seen.called_engine |= sheaf_engine_step(b.engine, b.now_ns, 0) != SHEAF_E_MISUSE;
  seen.last_class = failed->error_class;
  seen.last_attempts = failed->attempts;
  seen.last_attempted = failed->attempted;
  CHECK(!failed->ok);
  bench_copy(seen.last_message, sizeof seen.last_message, failed->error_message);
  if (failed->error_class == SHEAF_CLASS_AUTH) return SHEAF_E_FIELD;
  *answer = failed->custom_id; /* bytes of the engine's own */
  return SHEAF_OK;
}

static int32_t validate(void *ctx, const sheaf_result *result) {
  (void)ctx, (void)result;
  seen.validated++;
  return SHEAF_OK;
}

static int32_t next(void *ctx, sheaf_request *request) {
  (void)ctx;
  if (seen.source_given == seen.source_count) return SHEAF_E_END;
  request->prompt = sheaf_slice_of(seen.prompts[seen.source_given++]);
  return SHEAF_OK;
}

/* The first row was done in an earlier run. */
static int32_t admit(void *ctx, uint64_t index, const sheaf_request *request,
                     const uint8_t fingerprint[16]) {
  (void)ctx, (void)fingerprint;
  CHECK(request->custom_id.bytes > 0);
  seen.skipped += index == 0;
  return index == 0 ? SHEAF_E_END : SHEAF_OK;
}

static void open_with(const char *const *prompts, uint64_t count) {
  memset(&seen, 0, sizeof seen);
  seen.prompts = prompts;
  seen.source_count = count;
  b.options.max_tokens = 5;
  bench_open(&b);
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_source source = {.struct_bytes = sizeof source, .next = next, .admit = admit};
  const sheaf_hooks hooks = {.struct_bytes = sizeof hooks,
                             .validate = validate,
                             .preprocess = preprocess,
                             .fallback = fallback};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = prompts ? &source : NULL,
                             .hooks = &hooks};
  CHECK_OK(sheaf_engine_open(b.engine, &doors));
}

static void open_plain(void) {
  bench_init(&b);
  open_with(NULL, 0);
}

static sheaf_stats stats_now(void) {
  sheaf_stats s;
  sheaf_engine_stats(b.engine, &s);
  return s;
}

/* ---- preprocess ---- */

TEST(a_request_that_the_hook_answers_is_a_success_without_an_exchange) {
  open_plain();
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("L");
  request.metadata = SHEAF_LITERAL("[1]");
  CHECK_EQ(bench_submit_request(&b, &request), 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 0);
  CHECK_EQ(b.result_count, 1);
  const bench_result *r = &b.results[0];
  CHECK(r->ok && r->local && r->attempted && !r->cached && !r->deduplicated);
  CHECK_STRING(r->text, "local \"\n\" answer");
  CHECK_STRING(r->id, "row-1");
  CHECK_STRING(r->metadata, "[1]");
  CHECK_EQ(r->cost, 0);
  CHECK_EQ(r->attempts, 0);
  CHECK_EQ(r->billing, SHEAF_BILLING_NOT_SENT);
  CHECK_EQ(r->http_status, 0);
  CHECK_EQ(r->input_tokens, SHEAF_ABSENT);
  CHECK_EQ(seen.validated, 0);
  CHECK(!seen.called_engine);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.succeeded, 1);
  CHECK_EQ(s.answered_locally, 1);
  CHECK_EQ(s.latency.count, 0);
  CHECK_EQ(s.response.count, 1);
  CHECK_EQ(s.usage_missing, 0);
  bench_close(&b);
}

TEST(an_answer_is_shown_as_plain_text_and_as_the_inside_of_a_json_string) {
  open_plain();
  bench_submit(&b, "L");
  CHECK_OK(sheaf_engine_step(b.engine, b.now_ns, 0));
  sheaf_event event;
  CHECK_OK(sheaf_engine_next_event(b.engine, &event));
  char text[64];
  bench_copy(text, sizeof text, event.result->text);
  CHECK_STRING(text, "local \"\n\" answer");
  bench_copy(text, sizeof text, event.result->text_json);
  CHECK_STRING(text, "local \\\"\\n\\\" answer");
  CHECK_EQ(event.result->body.bytes, 0);
  CHECK_EQ(event.result->latency_ns, 0);
  CHECK_EQ(event.result->first_byte_ns, SHEAF_NEVER);
  bench_close(&b);
}

TEST(an_empty_answer_is_an_answer) {
  open_plain();
  bench_submit(&b, "E");
  bench_step(&b, 0);
  CHECK(b.results[0].ok && b.results[0].local);
  CHECK_STRING(b.results[0].text, "");
  bench_close(&b);
}

TEST(what_the_hook_changes_is_what_is_sent) {
  open_plain();
  bench_submit(&b, "Change me");
  memset(seen.changed, 'y', 5); /* it was copied */
  bench_step(&b, 0);
  CHECK_STRING(b.starts[0].body, "xxxxx");
  bench_answer(&b, 0, 200, "", "ok");
  bench_step(&b, 0);
  CHECK_STRING(b.results[0].id, "changed");
  CHECK(!b.results[0].local);
  CHECK_EQ(seen.preprocessed, 1);
  CHECK_EQ(seen.validated, 1);
  bench_close(&b);
}

TEST(a_request_that_the_hook_refuses_ends_as_invalid) {
  open_plain();
  uint64_t index = 7;
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("Refuse");
  CHECK_OK(sheaf_engine_submit(b.engine, &request, &index, NULL));
  CHECK_EQ(index, 0);
  bench_step(&b, 0);
  CHECK_EQ(b.start_count, 0);
  CHECK_EQ(seen.last_class, SHEAF_CLASS_INVALID_REQUEST);
  CHECK_STRING(seen.last_message, "the preprocess hook refused the request");
  CHECK(b.results[0].local); /* and the fallback hook has the last word */
  bench_close(&b);
}

TEST(requests_of_the_source_pass_the_hook_too_and_done_ones_are_skipped) {
  static const char *const prompts[] = {"L0", "L1", "plain", "Refuse", "Change"};
  bench_init(&b);
  open_with(prompts, 5);
  for (int i = 0; i < 3; i++) CHECK_OK(sheaf_engine_run_once(b.engine, b.now_ns, 0));
  CHECK_EQ(seen.preprocessed, 5);
  CHECK_EQ(seen.skipped, 1);
  CHECK_EQ(b.result_count, 2); /* L1, and the refused one, which the fallback answered */
  CHECK_EQ(b.results[0].index, 1);
  CHECK(b.results[0].local && b.results[1].local);
  CHECK_EQ(b.results[1].index, 3);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.skipped, 1);
  CHECK_EQ(s.admitted, 4);
  CHECK_EQ(s.in_flight, 2);
  CHECK_OK(sheaf_engine_abort(b.engine));
  bench_close(&b);
}

TEST(offered_requests_pass_the_hook_too) {
  static const char *const none[] = {NULL};
  bench_init(&b);
  open_with(none, 0);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("L");
  CHECK_OK(sheaf_engine_offer(b.engine, &request, NULL)); /* index 0: done already */
  CHECK_OK(sheaf_engine_offer(b.engine, &request, NULL));
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 1);
  CHECK_EQ(b.results[0].index, 1);
  CHECK(b.results[0].local);
  bench_close(&b);
}

/* ---- fallback ---- */

TEST(a_failure_that_the_hook_answers_is_a_success_that_cost_what_was_spent) {
  bench_init(&b);
  b.options.max_retries = 0;
  open_with(NULL, 0);
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  bench_answer(&b, 0, 200, "", "bad"); /* billed; what it used was not told */
  bench_step(&b, 0);
  CHECK_EQ(seen.failures, 1);
  CHECK_EQ(seen.last_class, SHEAF_CLASS_INVALID_RESPONSE);
  CHECK_EQ(seen.last_attempts, 1);
  const bench_result *r = &b.results[0];
  CHECK(r->ok && r->local && r->attempted);
  CHECK_EQ(r->error_class, SHEAF_CLASS_NONE);
  CHECK_STRING(r->text, "row-1");
  CHECK_STRING(r->message, "");
  CHECK_EQ(r->attempts, 1);
  CHECK_EQ(r->history_count, 1);
  CHECK_EQ(r->billing, SHEAF_BILLING_BILLED);
  sheaf_stats s = stats_now();
  CHECK_EQ(s.succeeded, 1);
  CHECK_EQ(s.failed, 0);
  CHECK_EQ(s.answered_locally, 1);
  CHECK_EQ(s.attempt_errors_by_class[SHEAF_CLASS_INVALID_RESPONSE], 1);
  CHECK_EQ(seen.validated, 0);
  CHECK(!seen.called_engine);
  bench_close(&b);
}

TEST(the_hook_is_asked_once_retries_are_over) {
  bench_init(&b);
  b.options.max_retries = 1;
  open_with(NULL, 0);
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  bench_answer(&b, 0, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(seen.failures, 0);
  while (b.start_count < 2 && bench_wait(&b)) {
  }
  bench_answer(&b, 1, 500, "", "");
  bench_step(&b, 0);
  CHECK_EQ(seen.failures, 1);
  CHECK_EQ(b.results[0].attempts, 2);
  CHECK_EQ(b.results[0].cost, 0); /* refusals cost nothing */
  CHECK(b.results[0].local);
  bench_close(&b);
}

TEST(a_hook_that_declines_lets_the_failure_stand) {
  open_plain();
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  bench_answer(&b, 0, 401, "", "");
  bench_step(&b, 0);
  CHECK_EQ(seen.failures, 1);
  CHECK_EQ(b.results[0].error_class, SHEAF_CLASS_AUTH);
  CHECK(!b.results[0].ok && !b.results[0].local);
  CHECK_EQ(stats_now().answered_locally, 0);
  bench_close(&b);
}

TEST(what_never_left_may_be_answered_and_counts_as_done) {
  bench_init(&b);
  b.options.concurrency = 1;
  open_with(NULL, 0);
  bench_submit(&b, "first");
  bench_step(&b, 0);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = SHEAF_LITERAL("late");
  request.deadline_ms = 10;
  bench_submit_request(&b, &request);
  bench_step(&b, 10 * BENCH_MS);
  CHECK_EQ(seen.last_class, SHEAF_CLASS_DEADLINE);
  CHECK(!seen.last_attempted);
  CHECK(b.results[0].ok && b.results[0].local && b.results[0].attempted);
  CHECK_EQ(stats_now().not_attempted, 0);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_step(&b, 0);
  bench_close(&b);
}

TEST(cancelled_requests_are_not_asked_about) {
  open_plain();
  uint64_t index = bench_submit(&b, "hello");
  CHECK_OK(sheaf_engine_cancel(b.engine, index));
  index = bench_submit(&b, "hello");
  bench_step(&b, 0);
  CHECK_OK(sheaf_engine_cancel(b.engine, index));
  bench_step(&b, 0);
  bench_done(&b, 0, SHEAF_END_CANCELLED);
  bench_submit(&b, "hello");
  CHECK_OK(sheaf_engine_drain(b.engine));
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 3);
  for (uint32_t i = 0; i < 3; i++) CHECK_EQ(b.results[i].error_class, SHEAF_CLASS_CANCELLED);
  CHECK_EQ(seen.failures, 0);
  bench_close(&b);
}

TEST(each_twin_of_a_failed_call_asks_for_itself) {
  bench_init(&b);
  b.options.dedup = SHEAF_DEDUP_ALL;
  open_with(NULL, 0);
  bench_submit(&b, "hello");
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  bench_answer(&b, 0, 400, "", "");
  bench_step(&b, 0);
  CHECK_EQ(seen.failures, 2);
  CHECK_EQ(b.result_count, 2);
  CHECK_STRING(b.results[0].text, "row-1");
  CHECK_STRING(b.results[1].text, "row-2");
  CHECK(b.results[1].local && !b.results[1].deduplicated);
  CHECK_EQ(stats_now().answered_locally, 2);
  bench_close(&b);
}

TEST(an_answer_of_a_hook_is_not_kept_for_twins) {
  bench_init(&b);
  b.options.dedup = SHEAF_DEDUP_ALL;
  b.options.cache_entries = 4;
  open_with(NULL, 0);
  bench_submit(&b, "hello");
  bench_step(&b, 0);
  bench_answer(&b, 0, 400, "", "");
  bench_step(&b, 0);
  bench_submit(&b, "L");
  bench_step(&b, 0);
  CHECK_EQ(b.result_count, 2);
  CHECK_EQ(stats_now().cache_entries, 0);
  bench_close(&b);
}

int main(void) {
  RUN(a_request_that_the_hook_answers_is_a_success_without_an_exchange);
  RUN(an_answer_is_shown_as_plain_text_and_as_the_inside_of_a_json_string);
  RUN(an_empty_answer_is_an_answer);
  RUN(what_the_hook_changes_is_what_is_sent);
  RUN(a_request_that_the_hook_refuses_ends_as_invalid);
  RUN(requests_of_the_source_pass_the_hook_too_and_done_ones_are_skipped);
  RUN(offered_requests_pass_the_hook_too);
  RUN(a_failure_that_the_hook_answers_is_a_success_that_cost_what_was_spent);
  RUN(the_hook_is_asked_once_retries_are_over);
  RUN(a_hook_that_declines_lets_the_failure_stand);
  RUN(what_never_left_may_be_answered_and_counts_as_done);
  RUN(cancelled_requests_are_not_asked_about);
  RUN(each_twin_of_a_failed_call_asks_for_itself);
  RUN(an_answer_of_a_hook_is_not_kept_for_twins);
  return check_report();
}
