/* test_engine_jobs.c: how the engine carries rows in provider jobs: which lane a row takes, what comes back with
 * its result, what it costs, and what a later run makes of the records.
 *
 * The provider is OpenAI's dialect, answered by hand: files are kept, a job is done at its first poll, each
 * row is echoed with 10 input and 20 output tokens. */
#include "../support/check.h"
#include "../support/test_alloc.h"

#include <sheaf/sheaf.h>

#define SECOND UINT64_C(1000000000)

/* A nano-USD for an input token, two for an output token: live, a row costs 50. */
static const sheaf_price price = {"openai",     "*",          1000000, 2000000,
                                  SHEAF_ABSENT, SHEAF_ABSENT, 0,       0};
static const sheaf_price_table prices = {
    .date = "2026-01-01", .source = "made up", .prices = &price, .count = 1};

typedef struct row_end {
  char id[64], metadata[32], message[160];
  uint64_t index;
  int64_t cost;
  uint32_t lane, error_class, attempts, line, billing;
  bool attempted;
} row_end;

enum { ROWS = 64, RECORDS = 64 };

typedef struct world {
  test_alloc memory;
  sheaf_allocator allocator;
  sheaf_engine_options options;
  sheaf_endpoint endpoint;
  sheaf_engine *engine;
  uint64_t now_ns;
  bool has_spool, has_store, fails_rows;
  /* the host */
  char spool[8][16384];
  size_t spool_bytes[8];
  struct {
    uint32_t type;
    size_t bytes;
    char payload[4096];
  } records[RECORDS];
  uint32_t record_count;
  row_end ends[ROWS];
  uint32_t end_count;
  uint32_t state; /* of the job that was told of last */
  /* the provider */
  char file[16384];
  uint32_t uploads, creates, polls, cancels, live;
  bool runs_long;
  uint32_t results_status; /* 0: 200 */
} world;

static void copy(char *to, size_t bytes, sheaf_slice from) {
  size_t n = from.bytes < bytes - 1 ? from.bytes : bytes - 1;
  if (n) memcpy(to, from.data, n);
  to[n] = 0;
}

/* ---- The spool ---- */

static int32_t spool_append(void *ctx, uint64_t job, uint64_t offset, sheaf_slice bytes) {
  world *w = ctx;
  CHECK_EQ(offset, w->spool_bytes[job]);
  CHECK(offset + bytes.bytes <= sizeof w->spool[job]);
  memcpy(w->spool[job] + offset, bytes.data, bytes.bytes);
  w->spool_bytes[job] += bytes.bytes;
  return SHEAF_OK;
}
static int32_t spool_seal(void *ctx, uint64_t job) {
  (void)ctx, (void)job;
  return SHEAF_OK;
}
static int64_t spool_read(void *ctx, uint64_t job, uint64_t offset, void *to, size_t capacity) {
  const world *w = ctx;
  if (offset >= w->spool_bytes[job]) return 0;
  size_t n = w->spool_bytes[job] - (size_t)offset;
  if (n > capacity) n = capacity;
  memcpy(to, w->spool[job] + offset, n);
  return (int64_t)n;
}
static void spool_drop(void *ctx, uint64_t job) {
  ((world *)ctx)->spool_bytes[job] = 0;
}

/* ---- A life ---- */

static void world_init(world *w) {
  memset(w, 0, sizeof *w);
  w->allocator = test_allocator(&w->memory);
  w->now_ns = 100 * SECOND;
  w->has_spool = w->has_store = true;
  sheaf_engine_options_init(&w->options);
  w->options.prices = &prices;
  w->options.lane = SHEAF_LANE_BATCH;
  w->options.max_requests_per_job = 40;
  w->endpoint = SHEAF_ENDPOINT_INIT;
  w->endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
  w->endpoint.base_url = SHEAF_LITERAL("http://here/v1");
  w->endpoint.model = SHEAF_LITERAL("m");
}

static void world_open(world *w) {
  w->options.endpoints = &w->endpoint;
  w->options.endpoint_count = 1;
  CHECK_OK(sheaf_engine_new(&w->options, &w->allocator, &w->engine));
  const sheaf_spool spool = {.struct_bytes = sizeof spool,
                             .ctx = w,
                             .append = spool_append,
                             .seal = spool_seal,
                             .read = spool_read,
                             .drop = spool_drop};
  if (w->has_spool) CHECK_OK(sheaf_engine_use_spool(w->engine, &spool));
  if (!w->has_store) return;
  CHECK_OK(sheaf_engine_use_store(w->engine));
  for (uint32_t i = 0; i < w->record_count; i++) {
    sheaf_record record = {.type = w->records[i].type,
                           .payload = {w->records[i].payload, w->records[i].bytes}};
    if (record.type >= SHEAF_RECORD_JOB_FIRST)
      CHECK_OK(sheaf_engine_on_scanned(w->engine, &record, 1));
  }
  CHECK_OK(sheaf_engine_on_scanned(w->engine, NULL, 0));
}

static void world_close(world *w) {
  sheaf_engine_free(w->engine);
  CHECK_EQ(w->memory.live_bytes, 0);
  CHECK(!w->memory.size_mismatch);
}

/* ---- The provider ---- */

static const char *const live_reply =
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{\"index\":0,"
    "\"message\":{"
    "\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
    "tokens\":10,"
    "\"completion_tokens\":20,\"total_tokens\":30}}";

/* The lines of results: one for each row of the file, in the other order. */
static size_t write_results(const world *w, char *to, size_t bytes) {
  const char *ids[ROWS];
  size_t count = 0, at = 0;
  const char *mark = "\"custom_id\":\"";
  for (const char *p = strstr(w->file, mark); p != NULL && count < ROWS; p = strstr(p + 1, mark))
    ids[count++] = p + strlen(mark);
  while (count-- > 0) {
    int id = (int)(strchr(ids[count], '"') - ids[count]);
    int n = w->fails_rows ? snprintf(to + at, bytes - at,
                                     "{\"id\":\"r\",\"custom_id\":\"%.*s\",\"response\":{\"status_"
                                     "code\":400,\"request_id\":"
                                     "\"q\",\"body\":{\"error\":{\"message\":\"no\",\"type\":"
                                     "\"invalid_request_error\"}}},"
                                     "\"error\":null}\n",
                                     id, ids[count])
                          : snprintf(to + at, bytes - at,
                                     "{\"id\":\"r\",\"custom_id\":\"%.*s\",\"response\":{\"status_"
                                     "code\":200,\"request_id\":"
                                     "\"q\",\"body\":%s},\"error\":null}\n",
                                     id, ids[count], live_reply);
    at += (size_t)n;
  }
  return at;
}

static void pull_file(world *w, const sheaf_exchange *x) {
  size_t at = 0;
  for (;;) {
    int64_t n = sheaf_engine_body_read(w->engine, x->id, at, w->file + at, sizeof w->file - 1 - at);
    CHECK(n >= 0);
    if (n <= 0) break;
    at += (size_t)n;
  }
  CHECK_EQ(at, x->body_bytes);
  w->file[at] = 0;
}

static bool ends_with(sheaf_slice text, const char *end) {
  size_t n = strlen(end);
  return text.bytes >= n && memcmp(text.data + text.bytes - n, end, n) == 0;
}

static void answer(world *w, const sheaf_exchange *x) {
  static char results[65536];
  const char *reply = "{}";
  size_t bytes = 0;
  bool is_post = strcmp(x->method, "POST") == 0;
  if (ends_with(x->url, "/files") && is_post) {
    w->uploads++;
    pull_file(w, x);
    reply = "{\"id\":\"file-in\",\"object\":\"file\",\"status\":\"processed\"}";
  } else if (ends_with(x->url, "/batches") && is_post) {
    w->creates++;
    reply = "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"validating\"}";
  } else if (ends_with(x->url, "/cancel")) {
    w->cancels++;
    reply = "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"cancelling\"}";
  } else if (ends_with(x->url, "/batches/batch_1")) {
    w->polls++;
    reply = w->cancels     ? "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"cancelled\","
                             "\"request_counts\":"
                             "{\"total\":2,\"completed\":0,\"failed\":0}}"
            : w->runs_long ? "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"in_progress\"}"
                           : "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"completed\","
                             "\"output_file_id\":\"file-out\"}";
  } else if (ends_with(x->url, "/file-out/content")) {
    bytes = write_results(w, results, sizeof results);
    reply = results;
  } else if (ends_with(x->url, "/chat/completions")) {
    w->live++;
    reply = live_reply;
  }
  uint32_t status = bytes && w->results_status ? w->results_status : 200;
  if (bytes == 0) bytes = strlen(reply);
  CHECK_OK(sheaf_engine_on_head(w->engine, x->id, status, (sheaf_slice){NULL, 0}));
  CHECK_OK(sheaf_engine_on_data(w->engine, x->id, (sheaf_slice){reply, bytes}));
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  CHECK_OK(sheaf_engine_on_done(w->engine, x->id, &end));
}

/* ---- Turns ---- */

static void keep(world *w, const sheaf_action *action) {
  for (uint32_t i = 0; i < action->record_count && w->record_count < RECORDS; i++) {
    sheaf_slice payload = action->records[i].payload;
    CHECK(payload.bytes <= sizeof w->records[0].payload);
    w->records[w->record_count].type = action->records[i].type;
    w->records[w->record_count].bytes = payload.bytes;
    memcpy(w->records[w->record_count++].payload, payload.data, payload.bytes);
  }
  CHECK_OK(sheaf_engine_on_stored(w->engine, action->ticket, SHEAF_OK));
}

static void take(world *w, const sheaf_result *r) {
  if (w->end_count == ROWS) return;
  row_end *end = &w->ends[w->end_count++];
  *end = (row_end){.index = r->index,
                   .cost = r->cost_usd_nano,
                   .lane = r->lane,
                   .error_class = r->error_class,
                   .attempts = r->attempts,
                   .billing = r->billing,
                   .line = r->line,
                   .attempted = r->attempted};
  copy(end->id, sizeof end->id, r->custom_id);
  copy(end->metadata, sizeof end->metadata, r->metadata);
  copy(end->message, sizeof end->message, r->error_message);
}

static void run(world *w, bool ends_input) {
  if (ends_input) CHECK_OK(sheaf_engine_end_input(w->engine));
  for (int turn = 0; turn < 400 && !sheaf_engine_is_idle(w->engine); turn++) {
    uint64_t at = sheaf_engine_timeout_ns(w->engine);
    if (turn > 0 && at == SHEAF_NEVER && !ends_input) return;
    if (at != SHEAF_NEVER && at > w->now_ns) w->now_ns = at;
    CHECK_OK(
        sheaf_engine_step(w->engine, w->now_ns, 1760000000000 + (int64_t)(w->now_ns / 1000000)));
    sheaf_action action;
    while (sheaf_engine_next_action(w->engine, &action) == SHEAF_OK) {
      if (action.kind == SHEAF_ACTION_APPEND) keep(w, &action);
      if (action.kind == SHEAF_ACTION_START) answer(w, action.exchange);
    }
    sheaf_event event;
    while (sheaf_engine_next_event(w->engine, &event) == SHEAF_OK) {
      if (event.kind == SHEAF_EVENT_RESULT) take(w, event.result);
      if (event.kind == SHEAF_EVENT_JOB) w->state = event.job->state;
    }
  }
  CHECK(!ends_input || sheaf_engine_is_idle(w->engine));
}

static int32_t submit(world *w, uint32_t n, sheaf_request *with, sheaf_parse_error *error) {
  char prompt[64], id[64];
  sheaf_request request = SHEAF_REQUEST_INIT;
  if (with != NULL) request = *with;
  request.prompt = (sheaf_slice){prompt, (size_t)snprintf(prompt, sizeof prompt, "prompt %u", n)};
  if (request.custom_id.bytes == 0)
    request.custom_id = (sheaf_slice){id, (size_t)snprintf(id, sizeof id, "id %u", n)};
  return sheaf_engine_submit(w->engine, &request, NULL, error);
}

static void submit_rows(world *w, uint32_t count) {
  for (uint32_t n = 0; n < count; n++) CHECK_OK(submit(w, n, NULL, NULL));
}

static world w;

/* ---- Which lane ---- */

TEST(lane_auto_takes_few_rows_live_and_many_in_a_job) {
  for (uint32_t more = 0; more < 2; more++) {
    world_init(&w);
    w.options.lane = SHEAF_LANE_AUTO;
    world_open(&w);
    submit_rows(&w, 20 + more);
    run(&w, true);
    CHECK_EQ(w.end_count, 20 + more);
    CHECK_EQ(w.creates, more);
    CHECK_EQ(w.live, more ? 0 : 20);
    for (uint32_t i = 0; i < w.end_count; i++)
      CHECK_EQ(w.ends[i].lane, more ? SHEAF_LANE_BATCH : SHEAF_LANE_LIVE);
    world_close(&w);
  }
}

TEST(lane_auto_starts_nothing_before_it_is_decided) {
  world_init(&w);
  w.options.lane = SHEAF_LANE_AUTO;
  world_open(&w);
  submit_rows(&w, 20);
  run(&w, false);
  CHECK_EQ(w.live + w.uploads, 0);
  CHECK_OK(submit(&w, 20, NULL, NULL));
  run(&w, true);
  CHECK_EQ(w.creates, 1);
  CHECK_EQ(w.end_count, 21);
  world_close(&w);
}

TEST(lane_auto_takes_rows_live_whose_deadline_is_near) {
  world_init(&w);
  w.options.lane = SHEAF_LANE_AUTO;
  w.options.batch_threshold = 2;
  world_open(&w);
  sheaf_request hurried = SHEAF_REQUEST_INIT;
  hurried.deadline_ms = 3599999;
  for (uint32_t n = 0; n < 4; n++) CHECK_OK(submit(&w, n, &hurried, NULL));
  run(&w, true);
  CHECK_EQ(w.live, 4);
  CHECK_EQ(w.creates, 0);
  world_close(&w);
}

TEST(lane_batch_refuses_what_cannot_travel_in_jobs_and_says_why) {
  world_init(&w);
  w.has_spool = false;
  world_open(&w);
  sheaf_parse_error error = {.status = SHEAF_OK};
  CHECK_EQ(submit(&w, 0, NULL, &error), SHEAF_E_UNSUPPORTED);
  CHECK(error.field != NULL && strcmp(error.field, "lane") == 0);
  CHECK(error.message != NULL && strstr(error.message, "spool") != NULL);
  world_close(&w);
  world_init(&w);
  world_open(&w);
  sheaf_request streamed = SHEAF_REQUEST_INIT;
  streamed.flags = SHEAF_REQUEST_STREAM;
  CHECK_EQ(submit(&w, 0, &streamed, &error), SHEAF_E_UNSUPPORTED);
  CHECK(error.message != NULL && strstr(error.message, "stream") != NULL);
  world_close(&w);
  world_init(&w);
  w.endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("ollama"));
  world_open(&w);
  CHECK_EQ(submit(&w, 0, NULL, &error), SHEAF_E_UNSUPPORTED);
  CHECK(error.message != NULL && strstr(error.message, "batch") != NULL);
  world_close(&w);
}

TEST(lane_auto_takes_live_what_cannot_travel_in_jobs) {
  world_init(&w);
  w.has_spool = false;
  w.options.lane = SHEAF_LANE_AUTO;
  w.options.batch_threshold = 0;
  world_open(&w);
  submit_rows(&w, 3);
  run(&w, true);
  CHECK_EQ(w.live, 3);
  world_close(&w);
}

/* ---- What comes back ---- */

TEST(a_result_brings_back_id_metadata_and_line_and_costs_half) {
  world_init(&w);
  world_open(&w);
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.custom_id = SHEAF_LITERAL("any id, of \"any\" shape/\xc3\xa9");
  request.metadata = SHEAF_LITERAL("{\"k\":1}");
  request.line = 17;
  CHECK_OK(submit(&w, 0, &request, NULL));
  request = SHEAF_REQUEST_INIT;
  request.custom_id = SHEAF_LITERAL("plain-id");
  request.line = 18;
  CHECK_OK(submit(&w, 1, &request, NULL));
  run(&w, true);
  CHECK_EQ(w.end_count, 2);
  const row_end *first = &w.ends[w.ends[0].index == 0 ? 0 : 1];
  const row_end *second = &w.ends[w.ends[0].index == 0 ? 1 : 0];
  CHECK(strcmp(first->id, "any id, of \"any\" shape/\xc3\xa9") == 0);
  CHECK(strcmp(first->metadata, "{\"k\":1}") == 0);
  CHECK_EQ(first->line, 17);
  CHECK(strcmp(second->id, "plain-id") == 0);
  CHECK(second->metadata[0] == 0);
  CHECK_EQ(second->line, 18);
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(w.ends[i].cost, 25); /* half of 10 + 2 * 20 */
    CHECK_EQ(w.ends[i].attempts, 1);
    CHECK_EQ(w.ends[i].lane, SHEAF_LANE_BATCH);
  }
  sheaf_stats stats;
  sheaf_engine_stats(w.engine, &stats);
  CHECK_EQ(stats.cost_usd_nano, 50);
  CHECK_EQ(stats.succeeded, 2);
  world_close(&w);
}

TEST(rows_of_one_model_and_kind_share_a_job_and_others_do_not) {
  world_init(&w);
  world_open(&w);
  sheaf_request other = SHEAF_REQUEST_INIT;
  other.model = SHEAF_LITERAL("another");
  CHECK_OK(submit(&w, 0, NULL, NULL));
  CHECK_OK(submit(&w, 1, &other, NULL));
  CHECK_OK(submit(&w, 2, NULL, NULL));
  CHECK_OK(sheaf_engine_end_input(w.engine));
  CHECK_OK(sheaf_engine_step(w.engine, w.now_ns, 0));
  sheaf_job_status status;
  CHECK_OK(sheaf_engine_job_at(w.engine, 0, &status));
  CHECK_EQ(status.requests, 2);
  CHECK(status.model.bytes == 1 && status.model.data[0] == 'm');
  CHECK_OK(sheaf_engine_job_at(w.engine, 1, &status));
  CHECK_EQ(status.requests, 1);
  CHECK(status.model.bytes == 7);
  CHECK_EQ(sheaf_engine_job_at(w.engine, 2, &status), SHEAF_E_NOT_FOUND);
  world_close(&w);
}

TEST(a_failed_row_ends_as_its_class_and_is_not_billed) {
  world_init(&w);
  w.fails_rows = true;
  world_open(&w);
  submit_rows(&w, 2);
  run(&w, true);
  CHECK_EQ(w.end_count, 2);
  CHECK_EQ(w.live, 0); /* another try would be refused, too */
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(w.ends[i].error_class, SHEAF_CLASS_INVALID_REQUEST);
    CHECK_EQ(w.ends[i].cost, 0);
    CHECK(strcmp(w.ends[i].message, "no") == 0);
  }
  world_close(&w);
}

/* ---- Money ---- */

/* A row may cost (a few tokens in + 2 * 20 out) live, half of it in a job. */
TEST(the_budget_counts_a_job_at_its_own_price) {
  uint32_t joined[2] = {0, 0};
  for (int lane = 0; lane < 2; lane++) {
    world_init(&w);
    w.options.lane = lane ? SHEAF_LANE_BATCH : SHEAF_LANE_LIVE;
    w.options.budget_usd_nano = 1000;
    w.options.max_tokens = 20;
    w.options.concurrency = 64;
    world_open(&w);
    submit_rows(&w, 40);
    run(&w, true);
    CHECK_EQ(w.end_count, 40);
    int64_t spent = 0;
    for (uint32_t i = 0; i < 40; i++) {
      bool good = w.ends[i].error_class == SHEAF_CLASS_NONE;
      joined[lane] += good;
      spent += good ? w.ends[i].cost : 0;
      CHECK(good || (w.ends[i].error_class == SHEAF_CLASS_BUDGET && !w.ends[i].attempted));
    }
    CHECK(spent <= 1000);
    world_close(&w);
  }
  CHECK(joined[0] > 0 && joined[0] < 40);
  CHECK(joined[1] >= 2 * joined[0] - 2);
}

/* ---- Across runs ---- */

TEST(a_submitted_job_is_collected_by_a_later_run) {
  world_init(&w);
  w.options.batch_mode = SHEAF_BATCH_SUBMIT;
  world_open(&w);
  submit_rows(&w, 3);
  run(&w, true);
  CHECK_EQ(w.end_count, 0);
  CHECK_EQ(w.creates, 1);
  CHECK_EQ(w.polls, 0);
  world_close(&w);
  w.options.batch_mode = SHEAF_BATCH_RUN;
  world_open(&w);
  submit_rows(&w, 3); /* the source's rows pass by */
  run(&w, true);
  CHECK_EQ(w.creates, 1);
  CHECK_EQ(w.uploads, 1);
  CHECK_EQ(w.end_count, 3);
  CHECK_EQ(w.state, SHEAF_JOB_COLLECTED_STATE);
  world_close(&w);
  world_open(&w); /* and a third finds nothing to do */
  run(&w, true);
  CHECK_EQ(w.end_count, 3);
  CHECK_EQ(w.creates, 1);
  world_close(&w);
}

TEST(a_row_that_changed_since_it_was_submitted_is_noticed) {
  world_init(&w);
  w.options.batch_mode = SHEAF_BATCH_SUBMIT;
  world_open(&w);
  submit_rows(&w, 3);
  run(&w, true);
  world_close(&w);
  world_open(&w);
  CHECK_OK(submit(&w, 0, NULL, NULL));
  CHECK_EQ(submit(&w, 7, NULL, NULL), SHEAF_E_OTHER_RUN);
  world_close(&w);
}

TEST(a_run_that_only_collects_leaves_what_is_not_done_and_other_rows_alone) {
  world_init(&w);
  w.options.batch_mode = SHEAF_BATCH_SUBMIT;
  w.runs_long = true;
  world_open(&w);
  submit_rows(&w, 2);
  run(&w, true);
  world_close(&w);
  w.options.batch_mode = SHEAF_BATCH_COLLECT;
  world_open(&w);
  submit_rows(&w, 3); /* one more than the job has */
  run(&w, true);
  CHECK_EQ(w.polls, 1);
  CHECK_EQ(w.live + w.creates, 1);
  CHECK_EQ(w.end_count, 1);
  CHECK(w.ends[0].index == 2 && !w.ends[0].attempted);
  world_close(&w);
  w.runs_long = false;
  world_open(&w);
  run(&w, true);
  CHECK_EQ(w.end_count, 3);
  world_close(&w);
}

/* Rows whose ids did not fit into what the provider was given have them in the spool alone. */
TEST(a_spool_that_was_changed_stops_its_job_and_no_row_gets_anothers_id) {
  world_init(&w);
  w.options.batch_mode = SHEAF_BATCH_SUBMIT;
  world_open(&w);
  submit_rows(&w, 3);
  run(&w, true);
  world_close(&w);
  w.options.batch_mode = SHEAF_BATCH_RUN;
  static char whole[sizeof w.spool[1]];
  memcpy(whole, w.spool[1], sizeof whole);
  char *id = strstr(w.spool[1] + 8, "id 1");
  for (size_t at = 0; id == NULL && at + 4 < w.spool_bytes[1]; at++)
    if (memcmp(w.spool[1] + at, "id 1", 4) == 0) id = w.spool[1] + at;
  CHECK(id != NULL);
  if (id != NULL) id[3] = '9';
  world_open(&w);
  run(&w, true);
  for (uint32_t i = 0; i < w.end_count; i++) CHECK(strcmp(w.ends[i].id, "id 9") != 0);
  CHECK(w.end_count < 3);
  sheaf_job_status status;
  CHECK_OK(sheaf_engine_job_at(w.engine, 0, &status));
  char message[256];
  copy(message, sizeof message, status.message);
  CHECK(strstr(message, "spool") != NULL);
  world_close(&w);
  memcpy(w.spool[1], whole, sizeof whole); /* restored: the next run brings them all */
  w.end_count = 0;
  world_open(&w);
  run(&w, true);
  CHECK_EQ(w.end_count, 3);
  CHECK_EQ(w.creates, 1);
  world_close(&w);
}

TEST(results_that_come_with_another_status_than_200_are_not_taken_for_none) {
  world_init(&w);
  w.results_status = 203;
  w.options.rescue = SHEAF_RESCUE_OFF;
  world_open(&w);
  submit_rows(&w, 2);
  run(&w, true);
  CHECK_EQ(w.live, 0);
  for (uint32_t i = 0; i < w.end_count; i++) { /* asked often enough: what they cost is not known */
    CHECK_EQ(w.ends[i].error_class, SHEAF_CLASS_MISSING);
    CHECK_EQ(w.ends[i].billing, SHEAF_BILLING_UNKNOWN);
  }
  world_close(&w);
}

TEST(a_cancelled_job_is_collected_as_far_as_it_got) {
  world_init(&w);
  w.runs_long = true;
  world_open(&w);
  submit_rows(&w, 2);
  CHECK_EQ(sheaf_engine_job_cancel(w.engine, 9), SHEAF_E_NOT_FOUND);
  CHECK_OK(sheaf_engine_end_input(w.engine));
  for (int turn = 0; turn < 20; turn++) {
    uint64_t at = sheaf_engine_timeout_ns(w.engine);
    if (w.polls == 1) CHECK_OK(sheaf_engine_job_cancel(w.engine, 1));
    if (at != SHEAF_NEVER && at > w.now_ns) w.now_ns = at;
    if (w.polls > 0) break;
    CHECK_OK(sheaf_engine_step(w.engine, w.now_ns, 1760000000000));
    sheaf_action action;
    while (sheaf_engine_next_action(w.engine, &action) == SHEAF_OK) {
      if (action.kind == SHEAF_ACTION_APPEND) keep(&w, &action);
      if (action.kind == SHEAF_ACTION_START) answer(&w, action.exchange);
    }
  }
  CHECK_OK(sheaf_engine_job_cancel(w.engine, 1));
  run(&w, true);
  CHECK_EQ(w.cancels, 1);
  CHECK_EQ(w.live, 0); /* somebody wanted it so: nothing is rescued */
  CHECK_EQ(w.end_count, 2);
  for (uint32_t i = 0; i < w.end_count; i++) CHECK_EQ(w.ends[i].error_class, SHEAF_CLASS_CANCELLED);
  world_close(&w);
}

TEST(a_job_past_its_time_is_cancelled_and_its_rows_run_live) {
  for (uint32_t rescue = SHEAF_RESCUE_OFF; rescue <= SHEAF_RESCUE_LIVE; rescue++) {
    world_init(&w);
    w.runs_long = true;
    w.options.batch_timeout_ms = 600000;
    w.options.rescue = rescue;
    world_open(&w);
    submit_rows(&w, 2);
    run(&w, true);
    CHECK_EQ(w.cancels, 1);
    CHECK_EQ(w.end_count, 2);
    CHECK_EQ(w.live, rescue ? 2 : 0);
    for (uint32_t i = 0; i < 2; i++) {
      CHECK_EQ(w.ends[i].error_class, rescue ? SHEAF_CLASS_NONE : SHEAF_CLASS_EXPIRED);
      CHECK_EQ(w.ends[i].lane, rescue ? SHEAF_LANE_LIVE : SHEAF_LANE_BATCH);
      CHECK_EQ(w.ends[i].attempts, rescue ? 2 : 1);
    }
    world_close(&w);
  }
}

int main(void) {
  RUN(lane_auto_takes_few_rows_live_and_many_in_a_job);
  RUN(lane_auto_starts_nothing_before_it_is_decided);
  RUN(lane_auto_takes_rows_live_whose_deadline_is_near);
  RUN(lane_batch_refuses_what_cannot_travel_in_jobs_and_says_why);
  RUN(lane_auto_takes_live_what_cannot_travel_in_jobs);
  RUN(a_result_brings_back_id_metadata_and_line_and_costs_half);
  RUN(rows_of_one_model_and_kind_share_a_job_and_others_do_not);
  RUN(a_failed_row_ends_as_its_class_and_is_not_billed);
  RUN(the_budget_counts_a_job_at_its_own_price);
  RUN(a_submitted_job_is_collected_by_a_later_run);
  RUN(a_row_that_changed_since_it_was_submitted_is_noticed);
  RUN(a_run_that_only_collects_leaves_what_is_not_done_and_other_rows_alone);
  RUN(a_spool_that_was_changed_stops_its_job_and_no_row_gets_anothers_id);
  RUN(results_that_come_with_another_status_than_200_are_not_taken_for_none);
  RUN(a_cancelled_job_is_collected_as_far_as_it_got);
  RUN(a_job_past_its_time_is_cancelled_and_its_rows_run_live);
  return check_report();
}
