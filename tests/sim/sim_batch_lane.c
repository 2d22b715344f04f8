/* sim_batch_lane: do the headers carry provider jobs? A fake batch lane over the production engine:
 *
 *   1,000,000 rows in 20 jobs; a store that answers three steps late; the host dies when half of the jobs are created and some
 *   handles are not durable; the next engine recovers, adopts what it finds by its marker, collects, and runs the 1 % that the
 *   jobs lost through the live lane. Every row ends once; the engine's memory stays under 64 MiB.
 *
 *   sim_batch_lane [ROWS]
 */
#include "engine/engine_int.h"
#include "support/check.h"
#include "support/test_alloc.h"

#define JOB_ROWS 50000u
#define JOBS_MAX 64u
#define STORE_LATE 3
#define CHUNK_BYTES 65536

enum { RECORD_INTENT = 16, RECORD_HANDLE = 17 };
enum { TAG_INTENT = 1, TAG_CREATE, TAG_HANDLE, TAG_POLL_TIMER, TAG_POLL, TAG_RESULTS, TAG_FIND };

/* ---- The provider: jobs by marker; it loses every hundredth row ---- */

typedef struct fake_job {
  uint64_t marker, first, count, polls;
  bool exists;
} fake_job;

static fake_job jobs[JOBS_MAX];
static uint64_t creates, live_calls;

/* ---- The lane ---- */

typedef struct fake_flight {
  const sheaf_allocator *allocator;
  uint64_t id, first, count;
  uint8_t *ended; /* a bit for each member */
  uint64_t ended_count, rescue_at;
  char body[64];
  uint8_t record[16];
  sheaf_buf lines; /* result lines not yet handed on */
  size_t lines_at;
  uint32_t wants[4], want_count;
  bool collected, held_told, from_records, has_handle;
} fake_flight;

static int32_t lane_open(void *state, const sheaf_allocator *allocator, uint64_t id) {
  fake_flight *f = state;
  f->allocator = allocator;
  f->id = id;
  sheaf_buf_init(&f->lines, allocator, 1 << 22);
  f->ended = sheaf__alloc_zero(allocator, JOB_ROWS / 8 + 1);
  return f->ended ? SHEAF_OK : SHEAF_E_NOMEM;
}
static void lane_close(void *state) {
  fake_flight *f = state;
  sheaf_buf_deinit(&f->lines);
  sheaf__free(f->allocator, f->ended, JOB_ROWS / 8 + 1);
}
static int32_t lane_join(void *state, const sheaf__member *member) {
  fake_flight *f = state;
  if (f->count == 0) f->first = member->index;
  CHECK_EQ(member->index, f->first + f->count); /* this source is in order, so a job is a range */
  f->count++;
  return SHEAF_OK;
}
static void want(fake_flight *f, uint32_t tag) {
  f->wants[f->want_count++] = tag;
}

static uint64_t get_u64(const char *at) {
  uint64_t n;
  memcpy(&n, at, 8);
  return n;
}

static int32_t on_reply(fake_flight *f, const sheaf__lane_input *in) {
  if (in->reply == NULL || in->reply->http_status != 200)
    return want(f, in->tag), SHEAF_OK; /* as it was */
  char first = in->reply->body.bytes ? in->reply->body.data[0] : 0;
  switch (in->tag) {
    case TAG_CREATE: want(f, TAG_HANDLE); break;
    case TAG_FIND: want(f, first == 'y' ? TAG_HANDLE : TAG_CREATE); break;
    case TAG_POLL: want(f, first == 'd' ? TAG_RESULTS : TAG_POLL_TIMER); break;
    case TAG_RESULTS: f->collected = true; break;
  }
  return SHEAF_OK;
}

static int32_t lane_on_input(void *state, const sheaf__lane_input *in) {
  fake_flight *f = state;
  switch (in->kind) {
    case SHEAF__IN_BEGIN:
      want(f, !f->from_records ? TAG_INTENT : f->has_handle ? TAG_POLL_TIMER : TAG_FIND);
      break;
    case SHEAF__IN_STORED: want(f, in->tag == TAG_INTENT ? TAG_CREATE : TAG_POLL_TIMER); break;
    case SHEAF__IN_TIMER: want(f, TAG_POLL); break;
    case SHEAF__IN_REPLY: return on_reply(f, in);
    case SHEAF__IN_CHUNK: return sheaf_buf_append_slice(&f->lines, in->bytes);
    case SHEAF__IN_RECORD:
      f->from_records = true;
      if (in->tag == RECORD_HANDLE) f->has_handle = true;
      if (in->tag != RECORD_INTENT) break;
      f->first = get_u64(in->bytes.data);
      f->count = get_u64(in->bytes.data + 8);
      break;
  }
  return SHEAF_OK;
}

static void fill_exchange(fake_flight *f, sheaf__lane_action *a, uint32_t tag) {
  static const char *const paths[] = {[TAG_CREATE] = "/create",
                                      [TAG_POLL] = "/poll",
                                      [TAG_RESULTS] = "/results",
                                      [TAG_FIND] = "/find"};
  int n = snprintf(f->body, sizeof f->body, "%llu %llu %llu", (unsigned long long)f->id,
                   (unsigned long long)f->first, (unsigned long long)f->count);
  a->kind = SHEAF__WANT_EXCHANGE;
  a->method = "POST";
  a->path = sheaf_slice_of(paths[tag]);
  a->body = (sheaf_slice){f->body, (size_t)n};
  a->stream_reply = tag == TAG_RESULTS;
}

/* A line of results is the row's index. Lines come whole: the fake provider cuts at line ends. */
static bool next_line(fake_flight *f, sheaf__lane_action *a) {
  if (f->lines_at >= f->lines.bytes) {
    sheaf_buf_reset(&f->lines);
    f->lines_at = 0;
    return false;
  }
  uint64_t index = 0;
  while (f->lines.data[f->lines_at] != '\n')
    index = index * 10 + (uint64_t)(f->lines.data[f->lines_at++] - '0');
  f->lines_at++;
  uint64_t at = index - f->first;
  CHECK(at < f->count && !(f->ended[at / 8] & 1 << at % 8));
  f->ended[at / 8] |= (uint8_t)(1 << at % 8);
  f->ended_count++;
  a->kind = SHEAF__ROW_DONE;
  a->index = index;
  a->body = SHEAF_LITERAL("fine");
  sheaf_decoded_init(&a->decoded);
  return true;
}

static bool lane_next(void *state, sheaf__lane_action *a) {
  fake_flight *f = state;
  memset(a, 0, sizeof *a);
  if (f->from_records && !f->held_told) {
    f->held_told = true;
    a->kind = SHEAF__HOLDS;
    a->index = f->first;
    a->index_last = f->first + f->count - 1;
    return true;
  }
  if (next_line(f, a)) return true;
  if (f->want_count) {
    uint32_t tag = f->wants[--f->want_count];
    a->tag = tag;
    if (tag == TAG_INTENT || tag == TAG_HANDLE) {
      memcpy(f->record, &f->first, 8);
      memcpy(f->record + 8, &f->count, 8);
      a->kind = SHEAF__WANT_STORE;
      a->record_type = tag == TAG_INTENT ? RECORD_INTENT : RECORD_HANDLE;
      a->record = (sheaf_slice){(const char *)f->record, sizeof f->record};
    } else if (tag == TAG_POLL_TIMER) {
      a->kind = SHEAF__WANT_TIMER;
      a->at_ns = 1; /* at the next step: the fake clock is the step's number */
    } else {
      fill_exchange(f, a, tag);
    }
    return true;
  }
  if (!f->collected) return false;
  for (; f->rescue_at < f->count; f->rescue_at++) {
    uint64_t at = f->rescue_at;
    if (f->ended[at / 8] & 1 << at % 8) continue;
    f->rescue_at++;
    a->kind = SHEAF__WANT_REQUEUE;
    a->index = a->source_ref = f->first + at;
    a->lane = SHEAF_LANE_LIVE;
    return true;
  }
  a->kind = SHEAF__FLIGHT_OVER;
  return true;
}

static const sheaf__lane fake_lane = {.name = "fake batch",
                                      .kind = SHEAF_LANE_BATCH,
                                      .flight_bytes = sizeof(fake_flight),
                                      .members_max = JOB_ROWS,
                                      .open = lane_open,
                                      .close = lane_close,
                                      .join = lane_join,
                                      .on_input = lane_on_input,
                                      .next = lane_next};

/* ---- The host: source, sink, store, transport ---- */

static uint64_t total, given, now_step;
static uint8_t *ends; /* how often each row ended */
static char prompt[128];

static void fill_request(sheaf_request *request, uint64_t index) {
  int n = snprintf(prompt, sizeof prompt, "the prompt of row %llu, of ordinary length",
                   (unsigned long long)index);
  request->prompt = (sheaf_slice){prompt, (size_t)n};
  request->lane = SHEAF_LANE_BATCH;
  request->source_ref = index;
}
static int32_t source_next(void *ctx, sheaf_request *request) {
  (void)ctx;
  if (given == total) return SHEAF_E_END;
  fill_request(request, given++);
  return SHEAF_OK;
}
static int32_t source_reread(void *ctx, uint64_t ref, sheaf_request *request) {
  (void)ctx;
  fill_request(request, ref);
  return SHEAF_OK;
}
static int32_t sink_put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind != SHEAF_EVENT_RESULT) return SHEAF_OK;
  CHECK(event->result->ok && event->result->index < total);
  ends[event->result->index]++;
  return SHEAF_OK;
}

typedef struct kept_record {
  uint32_t type;
  uint32_t bytes;
  char payload[64];
} kept_record;

static kept_record kept[8192];
static uint32_t kept_count, kept_durable;
static struct {
  uint64_t ticket, due;
  uint32_t upto;
} promises[64];
static uint32_t promise_count;

static int32_t store_append(void *ctx, uint64_t ticket, const sheaf_record *records,
                            uint32_t count) {
  (void)ctx;
  for (uint32_t i = 0; i < count; i++) {
    if (records[i].type < SHEAF_RECORD_JOB_FIRST)
      continue; /* ranges of live rows: not what this is about */
    kept_record *k = &kept[kept_count++];
    k->type = records[i].type;
    k->bytes = (uint32_t)records[i].payload.bytes;
    memcpy(k->payload, records[i].payload.data, k->bytes);
  }
  promises[promise_count].ticket = ticket;
  promises[promise_count].upto = kept_count;
  promises[promise_count++].due = now_step + STORE_LATE;
  return SHEAF_OK;
}
static int32_t store_scan(void *ctx) {
  (void)ctx;
  return SHEAF_OK; /* the loop delivers */
}

static struct {
  uint64_t id, at;
  char path[16];
  uint64_t marker, first, count;
  bool live;
} out[512];
static uint32_t out_count;

static int32_t transport_start(void *ctx, const sheaf_exchange *x) {
  (void)ctx;
  const char *path = memchr(x->url.data + 8, '/', x->url.bytes - 8);
  size_t n = x->url.bytes - (size_t)(path - x->url.data);
  out[out_count].id = x->id;
  out[out_count].at = 0;
  memcpy(out[out_count].path, path, n);
  out[out_count].path[n] = 0;
  out[out_count].live = strcmp(out[out_count].path, "/live") == 0;
  unsigned long long marker = 0, first = 0, count = 0;
  if (!out[out_count].live) sscanf(x->body.data, "%llu %llu %llu", &marker, &first, &count);
  out[out_count].marker = marker;
  out[out_count].first = first;
  out[out_count++].count = count;
  return SHEAF_OK;
}
static void transport_cancel(void *ctx, uint64_t id) {
  (void)ctx, (void)id;
}

static fake_job *job_find(uint64_t marker) {
  for (uint32_t i = 0; i < JOBS_MAX; i++)
    if (jobs[i].exists && jobs[i].marker == marker) return &jobs[i];
  return NULL;
}

/* One exchange's next bit of reply; true when it is over. */
static bool answer(sheaf_engine *engine, uint32_t n) {
  static char chunk[CHUNK_BYTES + 32];
  fake_job *job = job_find(out[n].marker);
  const char *text = "fine";
  if (out[n].at == 0) sheaf_engine_on_head(engine, out[n].id, 200, (sheaf_slice){NULL, 0});
  if (out[n].live) live_calls++;
  if (strcmp(out[n].path, "/create") == 0) {
    CHECK(job == NULL); /* never created twice */
    for (uint32_t i = 0; i < JOBS_MAX && job == NULL; i++)
      if (!jobs[i].exists) job = &jobs[i];
    *job = (fake_job){
        .marker = out[n].marker, .first = out[n].first, .count = out[n].count, .exists = true};
    creates++;
  } else if (strcmp(out[n].path, "/find") == 0) {
    text = job ? "yes" : "no";
  } else if (strcmp(out[n].path, "/poll") == 0) {
    job->polls++; /* no job ends before all are created: the crash falls between create and poll for each of them */
    text = job->polls > 5 && creates == (total + JOB_ROWS - 1) / JOB_ROWS ? "done" : "running";
  } else if (strcmp(out[n].path, "/results") == 0) {
    size_t bytes = 0;
    uint64_t at = out[n].at;
    for (; at < job->count && bytes < CHUNK_BYTES; at++)
      if ((job->first + at) % 100 != 7)
        bytes += (size_t)sprintf(chunk + bytes, "%llu\n", (unsigned long long)(job->first + at));
    if (sheaf_engine_on_data(engine, out[n].id, (sheaf_slice){chunk, bytes}) == SHEAF_E_FULL)
      return false;
    out[n].at = at;
    if (at < job->count) return false;
    text = "";
  }
  sheaf_engine_on_data(engine, out[n].id, sheaf_slice_of(text));
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  sheaf_engine_on_done(engine, out[n].id, &end);
  return true;
}

/* ---- The provider vtable of live rows ---- */

static int32_t build(const sheaf_provider *provider, const sheaf_build *in, sheaf_call *call) {
  (void)provider;
  sheaf_buf_append_text(call->path, "/live");
  return sheaf_buf_append_slice(call->body, in->request->prompt);
}
static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *d) {
  (void)provider, (void)scratch;
  d->billing = SHEAF_BILLING_BILLED;
  d->text_json = reply->body;
  return SHEAF_OK;
}
static const sheaf_provider bare = {.struct_bytes = sizeof bare,
                                    .name = "bare",
                                    .base_url = "http://here",
                                    .build = build,
                                    .decode = decode};

/* ---- The run ---- */

/* Runs until the end, or until `creates` reaches die_at: then the host is gone between create and poll. */
static void run(test_alloc *memory, uint64_t die_at) {
  sheaf_engine *engine;
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  options.concurrency = 64;
  options.queue_capacity = 1000;
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = &bare;
  endpoint.model = SHEAF_LITERAL("m");
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  const sheaf_allocator allocator = test_allocator(memory);
  CHECK_OK(sheaf_engine_new(&options, &allocator, &engine));
  CHECK_OK(sheaf__engine_set_lane(engine, &fake_lane));
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = transport_start, .cancel = transport_cancel};
  const sheaf_source source = {
      .struct_bytes = sizeof source, .next = source_next, .reread = source_reread};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = sink_put};
  const sheaf_store store = {
      .struct_bytes = sizeof store, .append = store_append, .scan = store_scan};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .store = &store};
  CHECK_OK(sheaf_engine_open(engine, &doors));
  given = 0;
  out_count = promise_count = 0;
  kept_count = kept_durable; /* what was not durable is gone */
  for (uint32_t i = 0; i < kept_count; i++) {
    sheaf_record record = {.type = kept[i].type, .payload = {kept[i].payload, kept[i].bytes}};
    CHECK_OK(sheaf_engine_on_scanned(engine, &record, 1));
  }
  CHECK_OK(sheaf_engine_on_scanned(engine, NULL, 0));
  for (uint64_t idle = 0; idle < 100000; idle++) {
    int32_t status = sheaf_engine_run_once(engine, ++now_step, 0);
    if (status == SHEAF_E_END || creates >= die_at) break;
    CHECK_OK(status);
    if (out_count || promise_count) idle = 0;
    for (uint32_t i = 0; i < out_count;)
      if (answer(engine, i))
        out[i] = out[--out_count];
      else
        i++;
    for (uint32_t i = 0; i < promise_count;) {
      if (promises[i].due > now_step) {
        i++;
        continue;
      }
      kept_durable = kept_durable > promises[i].upto ? kept_durable : promises[i].upto;
      sheaf_engine_on_stored(engine, promises[i].ticket, SHEAF_OK);
      promises[i] = promises[--promise_count];
    }
  }
  sheaf_stats stats;
  sheaf_engine_stats(engine, &stats);
  if (creates < die_at)
    CHECK_EQ(stats.succeeded + stats.failed + stats.not_attempted, stats.admitted);
  sheaf_engine_free(engine);
  CHECK_EQ(memory->live_bytes, 0);
  CHECK(!memory->size_mismatch);
}

TEST(a_million_rows_survive_a_crash_between_create_and_poll_in_64_mib) {
  uint64_t job_count = (total + JOB_ROWS - 1) / JOB_ROWS;
  test_alloc first = {0}, second = {0};
  run(&first, job_count / 2);
  uint64_t created_before = creates;
  CHECK(created_before >= 1);
  run(&second, UINT64_MAX);
  uint64_t wrong = 0, lost = 0;
  for (uint64_t i = 0; i < total; i++) {
    wrong += ends[i] != 1;
    lost += i % 100 == 7;
  }
  CHECK_EQ(wrong, 0);
  CHECK_EQ(live_calls, lost);
  CHECK_EQ(creates, job_count);
  CHECK(first.peak_bytes <= (size_t)64 << 20);
  CHECK(second.peak_bytes <= (size_t)64 << 20);
  printf(
      "%llu rows, %llu jobs, %llu created before the crash, %llu rescued; engine memory at most "
      "%zu KiB\n",
      (unsigned long long)total, (unsigned long long)job_count, (unsigned long long)created_before,
      (unsigned long long)live_calls,
      (first.peak_bytes > second.peak_bytes ? first.peak_bytes : second.peak_bytes) >> 10);
}

int main(int argc, char **argv) {
  total = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
  ends = calloc(total, 1);
  if (ends == NULL) return 1;
  RUN(a_million_rows_survive_a_crash_between_create_and_poll_in_64_mib);
  free(ends);
  return check_report();
}
