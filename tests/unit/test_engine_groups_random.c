/* test_engine_groups_random: calls of several under random scripts and without memory.
 *
 * Whatever happens, each request completes exactly once, each answer is its own, nobody is in two calls at a time, and no call
 * holds requests of two keys or, for prompts, of two trust_keys. Seeds are fixed: a failure says which. */
#include "groups_test.h"

#define ROWS 60

static groups w;

/* ---- Random scripts ---- */

typedef struct asked {
  char own[24];
  char key, trust;
  bool is_list, copied;
  uint32_t ends;
} asked;

static asked rows[GROUPS_MAX];
static uint32_t row_count, seed_now, read_starts, read_results;
static uint64_t dice;

static uint32_t roll(uint32_t n) {
  dice = dice * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)(dice >> 33) % n;
}

static void bad(const char *what, uint64_t index) {
  check_bad++;
  printf("seed %u: %s: %" PRIu64 "\n", seed_now, what, index);
}

static void submit_random(void) {
  static const char *const trusts[] = {"", "ann", "bob"};
  static const uint32_t priorities[] = {0, 100, 75, 25, 10};
  asked *a = &rows[row_count];
  memset(a, 0, sizeof *a);
  a->is_list = roll(2);
  a->key = (char)('k' + roll(2));
  a->trust = (char)roll(3);
  int inputs = a->is_list ? 1 + (int)roll(3) : 1;
  size_t n = 0;
  for (int i = 0; i < inputs; i++)
    n += (size_t)snprintf(a->own + n, sizeof a->own - n, "%sv%u", i ? "," : "", row_count);
  if (row_count && roll(6) == 0) { /* somebody's twin */
    *a = rows[roll(row_count)];
    a->ends = 0;
    a->copied = true;
  }
  char prompt[64];
  snprintf(prompt, sizeof prompt, "%c%c:%s", a->is_list ? 'E' : 'P', a->key, a->own);
  sheaf_request r = SHEAF_REQUEST_INIT;
  r.trust_key = sheaf_slice_of(trusts[(int)a->trust]);
  r.priority = priorities[roll(5)];
  if (roll(10) == 0) r.flags |= SHEAF_REQUEST_ALONE;
  if (roll(6) == 0) r.deadline_ms = 50 + roll(3000);
  if (roll(6) == 0) r.max_wait_ms = 1 + roll(1000);
  if (roll(2) && !a->is_list) r.max_tokens = 100;
  CHECK_EQ(groups_submit(&w, prompt, &r), row_count);
  row_count++;
}

/* The rows whose own stands in a body, by their numbers. */
static uint32_t rows_in(const char *body, uint32_t *found) {
  uint32_t count = 0, last = UINT32_MAX;
  bool chat = strstr(body, "requests") != NULL;
  for (const char *at = strchr(body, ':'); at != NULL && *at; at++) {
    if (*at != 'v' || (at[-1] != ':' && at[-1] != ',' && at[-1] != '"')) continue;
    if (chat && at[-1] != '"') continue;
    uint32_t row = 0;
    const char *digit = at + 1;
    for (; *digit >= '0' && *digit <= '9'; digit++) row = row * 10 + (uint32_t)(*digit - '0');
    if (digit == at + 1 || (chat && *digit != '\\')) continue; /* an id may look like one */
    if (row != last) found[count++] = row;
    last = row;
  }
  return count;
}

static bool has_twin(uint32_t row) {
  for (uint32_t i = 0; i < row_count; i++)
    if (rows[i].copied && strcmp(rows[i].own, rows[row].own) == 0) return true;
  return false;
}

static void look_at_starts(void) {
  uint32_t found[GROUPS_REPLY_BYTES / 8];
  for (; read_starts < w.start_count; read_starts++) {
    const char *body = w.starts[read_starts].body;
    uint32_t count = rows_in(body, found);
    if (count == 0) bad("a call without requests", read_starts);
    for (uint32_t i = 0; i < count; i++) {
      asked *a = &rows[found[i]];
      if (found[i] >= row_count) bad("nobody asked for this", found[i]);
      bool mixes = a->key != body[1] || a->is_list != (body[0] == 'E');
      if (mixes) bad("in a call of another key", found[i]);
      if (!a->is_list && a->trust != rows[found[0]].trust) bad("among others' prompts", found[i]);
      if (count > 1 && a->ends && !has_twin(found[i])) bad("sent after its end", found[i]);
    }
  }
}

static void look_at_results(void) {
  for (; read_results < w.result_count; read_results++) {
    const groups_result *r = &w.results[read_results];
    asked *a = &rows[r->index];
    if (a->ends++) bad("ended twice", r->index);
    if (!r->ok) continue;
    char wanted[64] = "";
    size_t n = 0;
    for (const char *at = a->own; *at;) { /* "=" before each input */
      size_t length = strcspn(at, ",");
      n +=
          (size_t)snprintf(wanted + n, sizeof wanted - n, "%s=%.*s", n ? "," : "", (int)length, at);
      at += length + (at[length] == ',');
    }
    if (strcmp(wanted, r->text))
      bad("somebody else's answer", r->index), printf("  \"%s\", not \"%s\"\n", r->text, wanted);
  }
}

/* One item short, a list of one request's own would be its answer as it came. */
static bool is_of_several(uint32_t start) {
  uint32_t found[GROUPS_REPLY_BYTES / 8];
  return rows_in(w.starts[start].body, found) > 1;
}

static void answer_random(uint32_t i) {
  switch (w.starts[i].cancelled ? roll(2) * 20 : roll(20)) {
    case 0:
      groups_end(&w, i, w.starts[i].cancelled ? SHEAF_END_CANCELLED : SHEAF_END_BROKEN);
      break;
    case 1: groups_answer(&w, i, 429, roll(2) ? "retry-after-ms: 300\n" : "", "slow"); break;
    case 2: groups_answer(&w, i, 500, "", "down"); break;
    case 3: groups_answer(&w, i, 529, "", "full"); break;
    case 4: groups_answer(&w, i, 400, "", "no"); break;
    case 5: groups_answer(&w, i, 413, "", "long"); break;
    case 6: groups_answer(&w, i, 451, "", "ugly"); break;
    case 7: groups_answer(&w, i, 200, "", "nonsense"); break;
    case 8:
    case 9: groups_reply(&w, i, is_of_several(i) ? REPLY_SHORT : REPLY_GOOD); break;
    case 10: groups_reply(&w, i, REPLY_CUT); break;
    case 11: groups_end(&w, i, SHEAF_END_NOT_SENT); break;
    case 12: groups_end(&w, i, SHEAF_END_TIMEOUT); break;
    default: groups_good(&w, i);
  }
}

static void open_random(void) {
  groups_init(&w);
  sheaf_engine_options *o = &w.options;
  o->merge = SHEAF_MERGE_PROMPTS;
  o->window = roll(3);
  o->window_ms = 10 + roll(300);
  o->max_batch = 1 + roll(8);
  o->max_inputs = 1 + roll(12);
  o->min_batch = 1 + roll(4);
  o->max_wait_ms = 500 + roll(3000);
  o->concurrency = 1 + roll(5);
  o->max_retries = roll(4);
  o->canary_pct = roll(3) ? 0 : 40;
  o->merge_failure_pct = roll(2) ? 100 : 30;
  o->resend_unknown = roll(3);
  o->group_events = roll(2);
  o->dedup = roll(2) ? SHEAF_DEDUP_ALL : SHEAF_DEDUP_OFF;
  o->endpoint_count = 1 + roll(2);
  o->seed = dice;
  shares_inputs_max = roll(2) ? 0 : 1 + roll(9);
  shares_tokens_max = roll(2) ? 0 : 3 + roll(9);
  groups_open(&w);
  if (roll(3)) return;
  CHECK_OK(sheaf_engine_use_store(w.engine));
  CHECK_OK(sheaf_engine_on_scanned(w.engine, NULL, 0));
  w.store_waits = roll(2);
}

static void act_random(void) {
  uint32_t what = roll(20);
  if (what < 8 && row_count < 200) {
    submit_random();
  } else if (what < 15) {
    uint32_t out = 0, pick = 0;
    for (uint32_t i = 0; i < w.start_count; i++)
      if (!w.starts[i].over && roll(++out) == 0) pick = i;
    if (out) answer_random(pick);
  } else if (what == 15 && row_count) {
    int32_t status = sheaf_engine_cancel(w.engine, roll(row_count));
    if (status != SHEAF_OK && status != SHEAF_E_NOT_FOUND) bad("cancel", what);
  } else if (what == 16) {
    CHECK_OK(roll(2) ? sheaf_engine_pause(w.engine) : sheaf_engine_resume(w.engine));
  } else if (what == 17 && w.store_waits) {
    CHECK_OK(sheaf_engine_on_stored(w.engine, w.ticket, SHEAF_OK));
  }
  groups_step(&w, roll(3) ? roll(20) * MS : roll(1000) * MS);
}

static void play(uint32_t seed) {
  seed_now = seed;
  dice = seed * 0x9e3779b97f4a7c15ull;
  row_count = read_starts = read_results = 0;
  open_random();
  uint32_t turns = 50 + roll(300), ending = roll(4);
  for (uint32_t turn = 0; turn < turns; turn++) {
    act_random();
    look_at_starts();
    look_at_results();
  }
  if (ending == 1) CHECK_OK(sheaf_engine_drain(w.engine));
  if (ending == 2) CHECK_OK(sheaf_engine_abort(w.engine));
  CHECK_OK(sheaf_engine_resume(w.engine));
  CHECK_OK(sheaf_engine_end_input(w.engine));
  if (w.store_waits) CHECK_OK(sheaf_engine_on_stored(w.engine, w.ticket, SHEAF_OK));
  w.store_waits = false;
  groups_step(&w, MS);
  if (!groups_finish(&w)) bad("something is left inside", 0);
  look_at_starts();
  look_at_results();
  for (uint32_t i = 0; i < row_count; i++)
    if (rows[i].ends != 1) bad("did not end once", i);
  if (!sheaf_engine_is_idle(w.engine)) bad("not idle", 0);
  groups_close(&w);
}

TEST(each_request_ends_once_and_each_answer_is_its_own) {
  for (uint32_t seed = 1; seed <= 400 && check_bad == 0; seed++) play(seed);
}

/* ---- Without memory ---- */

typedef struct world {
  uint64_t given;
  uint32_t ends[ROWS], good, tries;
  bool over;
} world;

static world run_state;
static char prompts[ROWS][32];

static int32_t next(void *ctx, sheaf_request *request) {
  (void)ctx;
  uint64_t i = run_state.given;
  if (i == ROWS) return SHEAF_E_END;
  snprintf(prompts[i], sizeof prompts[i], i % 2 ? "Pk:v%u" : "Ek:v%u,x", (unsigned)i);
  request->prompt = sheaf_slice_of(prompts[i]);
  request->trust_key = i % 4 == 3 ? SHEAF_LITERAL("ann") : (sheaf_slice){NULL, 0};
  if (i % 11 == 0) request->deadline_ms = 600000;
  run_state.given++;
  return SHEAF_OK;
}
static int32_t put(void *ctx, const sheaf_event *event) {
  (void)ctx;
  if (event->kind != SHEAF_EVENT_RESULT) return SHEAF_OK;
  run_state.ends[event->result->index]++;
  run_state.good += event->result->ok;
  return SHEAF_OK;
}
static int32_t start(void *ctx, const sheaf_exchange *x) {
  (void)ctx;
  groups_started(&w, x);
  return SHEAF_OK;
}
static void cancel(void *ctx, uint64_t id) {
  (void)ctx;
  for (uint32_t i = 0; i < w.start_count; i++)
    if (w.starts[i].id == id) w.starts[i].cancelled = true;
}
static int32_t append(void *ctx, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  (void)ctx, (void)ticket, (void)records, (void)count;
  return SHEAF_E_END;
}
static int32_t scan(void *ctx) {
  (void)ctx;
  return SHEAF_E_END;
}

/* What on_head and on_data answer is not looked at: without memory the end tells. */
static void answer(uint32_t i) {
  static char reply[GROUPS_REPLY_BYTES];
  static const uint32_t refusals[] = {429, 500, 400, 413};
  uint64_t id = w.starts[i].id;
  uint32_t turn = run_state.tries++;
  const char *body = w.starts[i].body;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.message = SHEAF_LITERAL("ended");
  w.starts[i].over = true;
  if (w.starts[i].cancelled) {
    end.end = SHEAF_END_CANCELLED;
  } else if (turn < 8 && turn % 2 && (refusals[turn / 2] >= 429 || is_of_several(i))) {
    sheaf_engine_on_head(w.engine, id, refusals[turn / 2], SHEAF_LITERAL("retry-after-ms: 50\n"));
    sheaf_engine_on_data(w.engine, id, SHEAF_LITERAL("no"));
  } else if (turn == 8) {
    end.end = SHEAF_END_BROKEN;
  } else {
    int how = turn == 4 ? REPLY_SHORT : REPLY_GOOD;
    if (body[0] == 'E')
      list_reply(body, reply, sizeof reply, how);
    else
      chat_reply(body, reply, sizeof reply, how);
    sheaf_engine_on_head(w.engine, id, 200, SHEAF_LITERAL("x: y\n"));
    sheaf_engine_on_data(w.engine, id, sheaf_slice_of(reply));
  }
  sheaf_engine_on_done(w.engine, id, &end);
}

static int32_t make(void) {
  w.options.merge = SHEAF_MERGE_PROMPTS;
  w.options.max_batch = 6;
  w.options.max_inputs = 9;
  w.options.concurrency = 3;
  w.options.canary_pct = 20;
  w.options.group_events = 1;
  const sheaf_allocator allocator = test_allocator(&w.memory);
  int32_t status = sheaf_engine_new(&w.options, &allocator, &w.engine);
  if (status) return status;
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = start, .cancel = cancel};
  const sheaf_store store = {.struct_bytes = sizeof store, .append = append, .scan = scan};
  const sheaf_source source = {.struct_bytes = sizeof source, .next = next};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = put};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .source = &source,
                             .store = &store};
  return sheaf_engine_open(w.engine, &doors);
}

/* The run with its n-th allocation failing; 0: none. Answers how many there were. */
static uint64_t run(uint64_t fail_at, bool fail_after) {
  groups_init(&w);
  memset(&run_state, 0, sizeof run_state);
  w.memory.fail_at = fail_at;
  w.memory.fail_after = fail_after;
  if (make() == SHEAF_OK) {
    for (uint32_t turn = 0; turn < 20000 && !run_state.over; turn++) {
      int32_t status = sheaf_engine_run_once(w.engine, w.now_ns, 0);
      run_state.over = status == SHEAF_E_END;
      if (status != SHEAF_OK && status != SHEAF_E_END && fail_after) break;
      uint32_t out = 0;
      for (uint32_t i = 0; i < w.start_count; i++)
        if (!w.starts[i].over) answer(i), out++;
      uint64_t at = sheaf_engine_timeout_ns(w.engine);
      if (out == 0 && at == SHEAF_NEVER && status == SHEAF_OK && turn > 1 && !run_state.over)
        break; /* stuck */
      w.now_ns = out || at == SHEAF_NEVER || at < w.now_ns + MS ? w.now_ns + MS : at;
    }
  }
  uint64_t calls = w.memory.calls;
  groups_free(&w);
  return calls;
}

static bool left_clean(void) {
  return w.memory.live_bytes == 0 && w.memory.live_blocks == 0 && !w.memory.size_mismatch;
}

TEST(a_run_without_failures_ends_every_row_once) {
  uint64_t calls = run(0, false);
  CHECK(run_state.over);
  CHECK(left_clean());
  for (uint32_t i = 0; i < ROWS; i++) CHECK_EQ(run_state.ends[i], 1);
  CHECK_EQ(run_state.good, ROWS);
  CHECK(run_state.tries > 12);
  CHECK(calls > 100);
}

TEST(the_nth_allocation_failing_once_loses_no_row) {
  uint64_t calls = run(0, false);
  for (uint64_t n = 1; n <= calls; n++) {
    run(n, false);
    bool made = w.engine != NULL, good = left_clean();
    for (uint32_t i = 0; i < ROWS && made; i++) good = good && run_state.ends[i] == 1;
    if (good && (!made || run_state.over)) continue;
    CHECK_EQ(n, 0); /* says which */
    CHECK(run_state.over);
    CHECK(left_clean());
    for (uint32_t i = 0; i < ROWS; i++)
      if (run_state.ends[i] != 1) printf("row %u ended %u times\n", i, run_state.ends[i]);
    return;
  }
}

TEST(all_allocations_failing_from_the_nth_on_leak_nothing) {
  uint64_t calls = run(0, false);
  for (uint64_t n = 1; n <= calls; n++) {
    run(n, true);
    bool once = true;
    for (uint32_t i = 0; i < ROWS; i++) once = once && run_state.ends[i] <= 1;
    if (once && left_clean()) continue;
    CHECK_EQ(n, 0);
    CHECK(once);
    return;
  }
}

int main(void) {
  RUN(each_request_ends_once_and_each_answer_is_its_own);
  RUN(a_run_without_failures_ends_every_row_once);
  RUN(the_nth_allocation_failing_once_loses_no_row);
  RUN(all_allocations_failing_from_the_nth_on_leak_nothing);
  return check_report();
}
