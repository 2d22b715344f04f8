/* test_batch_split.c: how rows are split into jobs: no limit of the provider's is ever passed, no job
 * is smaller than it need be, and every row is in exactly one, as it came. The lane is asked directly;
 * bodies, limits and ids are drawn from a seed. */
#include "../support/check.h"
#include "../support/test_alloc.h"
#include "lanes/lane.h"

enum { ROWS_MAX = 400 };

static uint64_t state;

static uint64_t draw(uint64_t most) { /* 0..most; xorshift64* */
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (state * UINT64_C(2685821657736338717) >> 11) % (most + 1);
}

/* ---- An API that writes "ID BODY\n" ---- */

static bool offers(const sheaf_job_api *api, uint32_t operation, sheaf_slice path) {
  (void)api, (void)operation, (void)path;
  return true;
}

static int32_t put_row(const sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice id,
                       sheaf_slice body, sheaf_buf *to) {
  (void)api, (void)facts;
  sheaf_buf_append_slice(to, id);
  sheaf_buf_append_text(to, " ");
  sheaf_buf_append_slice(to, body);
  return sheaf_buf_append_text(to, "\n");
}

/* ---- A run of joins ---- */

typedef struct split {
  sheaf_job_api api;
  sheaf_engine_options options;
  sheaf__lane_setup setup;
  test_alloc memory;
  sheaf_allocator allocator;
  char body[512];
  char id[64];
} split;

/* 95 of a hundred, rounded down, by another road than the lane's; 0: no limit. */
static uint64_t fill_of(uint64_t maximum) {
  return maximum ? (uint64_t)((double)maximum * 0.95 + 1e-6) : UINT64_MAX;
}

static void draw_limits(split *s) {
  memset(s, 0, sizeof *s);
  s->allocator = test_allocator(&s->memory);
  s->api = (sheaf_job_api){
      .struct_bytes = sizeof s->api, .name = "split", .offers = offers, .row = put_row};
  s->api.traits.flags = SHEAF_JOBS_FILES;
  s->api.traits.requests_max = draw(2) ? 20 + draw(80) : 0;
  s->api.traits.bytes_max = draw(2) ? 1000 + draw(9000) : 0;
  s->api.traits.inputs_max = draw(2) ? 20 + draw(200) : 0;
  sheaf_engine_options_init(&s->options);
  s->options.max_requests_per_job = draw(2) ? 0 : 1 + draw(60);
  s->options.max_job_tokens = draw(2) ? 0 : 100 + draw(2000);
  s->setup = (sheaf__lane_setup){.allocator = &s->allocator,
                                 .options = &s->options,
                                 .api = &s->api,
                                 .provider = SHEAF_LITERAL("split"),
                                 .path = SHEAF_LITERAL("/chat/completions"),
                                 .is_auto = draw(3) == 0};
}

static sheaf__member draw_member(split *s, uint64_t index) {
  size_t bytes = 2 + (size_t)draw(draw(20) == 0 ? 500 : 60);
  for (size_t i = 0; i < bytes; i++) s->body[i] = (char)('a' + (index + i) % 26);
  int id = snprintf(s->id, sizeof s->id, draw(1) ? "row-%llu" : "row %llu/\xc3\xa9",
                    (unsigned long long)index);
  return (sheaf__member){.index = index,
                         .custom_id = {s->id, (size_t)id},
                         .body = {s->body, bytes},
                         .tokens = 1 + draw(50),
                         .inputs = 1 + draw(9)};
}

typedef struct job {
  void *state;
  uint64_t rows, bytes, tokens, inputs;
} job;

static void open_job(split *s, job *j) {
  j->state = calloc(1, sheaf__batch_lane.flight_bytes);
  CHECK(j->state != NULL);
  CHECK_OK(sheaf__batch_lane.open(j->state, &s->setup));
  j->rows = j->bytes = j->tokens = j->inputs = 0;
}

static void close_job(job *j) {
  sheaf__batch_lane.close(j->state);
  free(j->state);
}

static uint64_t rows_allowed(const split *s) {
  uint64_t most = fill_of(s->api.traits.requests_max);
  uint64_t asked = s->options.max_requests_per_job;
  if (asked == 0 && s->setup.is_auto) asked = 5000; /* the default of lane auto */
  return asked && asked < most ? asked : most;
}

static bool fits(const split *s, const job *j, const sheaf__member *m, uint64_t bytes) {
  return j->rows + 1 <= rows_allowed(s) && j->bytes + bytes <= fill_of(s->api.traits.bytes_max) &&
         j->inputs + m->inputs <= fill_of(s->api.traits.inputs_max) &&
         (s->options.max_job_tokens == 0 || j->rows == 0 ||
          j->tokens + m->tokens <= s->options.max_job_tokens);
}

/* Its entry gives the row back as it was, and the row carries its body and an id that leads to it. */
static uint64_t check_entry(const sheaf_buf *entry, const sheaf__member *m, uint64_t place) {
  static test_alloc memory;
  const sheaf_allocator allocator = test_allocator(&memory);
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &allocator, 1 << 20);
  sheaf_job_entry read = {.struct_bytes = sizeof read};
  uint64_t whole = 0;
  CHECK_OK(sheaf_job_entry_read(sheaf_buf_slice(entry), &scratch, &whole, &read));
  CHECK_EQ(whole, entry->bytes);
  CHECK(read.custom_id.bytes == m->custom_id.bytes &&
        memcmp(read.custom_id.data, m->custom_id.data, m->custom_id.bytes) == 0);
  const char *space = memchr(read.row.data, ' ', read.row.bytes);
  CHECK(space != NULL);
  if (space == NULL) return 0;
  size_t id_bytes = (size_t)(space - read.row.data);
  sheaf_job_id id;
  CHECK_OK(sheaf_job_id_read((sheaf_slice){read.row.data, id_bytes}, &id));
  CHECK_EQ(id.place, place);
  CHECK_EQ(id.hash, sheaf_job_id_hash(m->custom_id));
  CHECK(read.row.bytes == id_bytes + 2 + m->body.bytes &&
        memcmp(space + 1, m->body.data, m->body.bytes) == 0);
  uint64_t bytes = read.row.bytes;
  sheaf_buf_deinit(&scratch);
  return bytes;
}

static uint64_t row_bytes(const sheaf__member *m, uint64_t place) {
  char id[SHEAF_JOB_ID_BYTES_MAX];
  return sheaf_job_id_write(place, m->custom_id, id).bytes + 2 + m->body.bytes;
}

static void split_once(uint64_t seed) {
  static split s;
  state = seed * 2 + 1;
  draw_limits(&s);
  sheaf_buf entry;
  sheaf_buf_init(&entry, &s.allocator, 1 << 20);
  job j;
  open_job(&s, &j);
  uint64_t rows = 1 + draw(ROWS_MAX - 1), joined = 0, refused = 0;
  for (uint64_t index = 0; index < rows; index++) {
    sheaf__member m = draw_member(&s, index);
    for (int turn = 0; turn < 2; turn++) {
      uint64_t bytes = row_bytes(&m, j.rows);
      sheaf_buf_reset(&entry);
      int32_t status = sheaf__batch_lane.join(j.state, &m, &entry);
      CHECK_EQ(status, fits(&s, &j, &m, bytes) ? SHEAF_OK : SHEAF_E_FULL);
      if (status == SHEAF_OK) {
        CHECK_EQ(check_entry(&entry, &m, j.rows), bytes);
        sheaf__batch_lane.joined(j.state);
        j.rows++, j.bytes += bytes, j.tokens += m.tokens, j.inputs += m.inputs;
        joined++;
        break;
      }
      if (j.rows == 0) { /* too large for any job */
        refused++;
        break;
      }
      CHECK_EQ(sheaf__batch_lane.upload_bytes(j.state), j.bytes);
      close_job(&j);
      open_job(&s, &j);
    }
  }
  CHECK_EQ(joined + refused, rows);
  close_job(&j);
  sheaf_buf_deinit(&entry);
  CHECK_EQ(s.memory.live_bytes, 0);
  CHECK(!s.memory.size_mismatch);
}

TEST(no_limit_is_passed_and_no_row_is_lost) {
  for (uint64_t seed = 0; seed < 2000; seed++) split_once(seed);
}

/* What was not told to have joined has not: its place goes to the next. */
TEST(a_row_whose_entry_could_not_be_written_is_not_in) {
  static split s;
  state = 7;
  draw_limits(&s);
  s.api.traits.requests_max = s.api.traits.bytes_max = s.api.traits.inputs_max = 0;
  s.options.max_requests_per_job = s.options.max_job_tokens = 0;
  sheaf_buf entry;
  sheaf_buf_init(&entry, &s.allocator, 1 << 20);
  job j;
  open_job(&s, &j);
  for (uint64_t index = 0; index < 3; index++) {
    sheaf__member m = draw_member(&s, index);
    sheaf_buf_reset(&entry);
    CHECK_OK(sheaf__batch_lane.join(j.state, &m, &entry)); /* the spool was full */
    sheaf_buf_reset(&entry);
    CHECK_OK(sheaf__batch_lane.join(j.state, &m, &entry));
    check_entry(&entry, &m, index);
    sheaf__batch_lane.joined(j.state);
  }
  sheaf_job_status status = {.struct_bytes = sizeof status};
  sheaf__batch_lane.status(j.state, &status);
  CHECK_EQ(status.requests, 3);
  close_job(&j);
  sheaf_buf_deinit(&entry);
  CHECK_EQ(s.memory.live_bytes, 0);
}

int main(void) {
  RUN(no_limit_is_passed_and_no_row_is_lost);
  RUN(a_row_whose_entry_could_not_be_written_is_not_in);
  return check_report();
}
