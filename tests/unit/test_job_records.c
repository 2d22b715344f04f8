/* test_job_records.c: records, rows and spool entries, written and read, whole and damaged. */
#include <sheaf/jobs.h>

#include "base/random.h"

#include "check.h"
#include "test_alloc.h"

enum { FLIGHT = 0x0102 };

static test_alloc memory;
static sheaf_allocator allocator;
static sheaf_buf scratch, payload;
static uint64_t draws;

static uint64_t draw(uint64_t n) {
  return sheaf__draw(14, n, SHEAF__DRAW_TEST, draws++, 0);
}

static void begin(void) {
  sheaf_buf_init(&scratch, &allocator, SIZE_MAX / 2);
  sheaf_buf_init(&payload, &allocator, SIZE_MAX / 2);
}

static void finish(void) {
  sheaf_buf_deinit(&scratch);
  sheaf_buf_deinit(&payload);
  CHECK_EQ(memory.live_blocks, 0);
  CHECK(!memory.size_mismatch);
}

/* The payload as a store has it: the flight's id in front. */
static int32_t write_payload(const sheaf_job_record *record) {
  static const char flight[8] = {0x02, 0x01, 0, 0, 0, 0, 0, 0};
  sheaf_buf_reset(&payload);
  sheaf_buf_append(&payload, flight, sizeof flight);
  return sheaf_job_record_write(record, &payload);
}

static sheaf_slice written_json(void) {
  return (sheaf_slice){payload.data + 8, payload.bytes - 8};
}

static int32_t read_text(uint32_t type, const char *json, sheaf_job_record *record) {
  char bytes[512] = {0};
  const size_t length = strlen(json);
  sheaf_buf_reset(&payload);
  memcpy(bytes + 8, json, length);
  sheaf_buf_append(&payload, bytes, 8 + length);
  sheaf_buf_reset(&scratch);
  return sheaf_job_record_read(type, sheaf_buf_slice(&payload), &scratch, record);
}

static bool same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static bool is_same_record(const sheaf_job_record *a, const sheaf_job_record *b) {
  return a->type == b->type && a->flight == b->flight && same(a->rows, b->rows) &&
         same(a->provider, b->provider) && same(a->endpoint, b->endpoint) &&
         same(a->model, b->model) && same(a->path, b->path) && same(a->marker, b->marker) &&
         a->requests == b->requests && a->bytes == b->bytes && a->first == b->first &&
         a->last == b->last && a->operation == b->operation && a->is_inline == b->is_inline &&
         a->step == b->step && a->attempt == b->attempt && same(a->upload, b->upload) &&
         same(a->file, b->file) && same(a->job, b->job) && same(a->output, b->output) &&
         same(a->errors, b->errors) && a->adopted == b->adopted && a->state == b->state &&
         a->total == b->total && a->completed == b->completed && a->failed == b->failed &&
         same(a->message, b->message) && a->succeeded == b->succeeded && a->rescued == b->rescued &&
         a->missing == b->missing && same(a->decision, b->decision) && a->unix_ms == b->unix_ms;
}

/* A record of the type with every field that it has. */
static sheaf_job_record full_record(uint32_t type) {
  sheaf_job_record r;
  sheaf_job_record_init(&r, type);
  r.flight = FLIGHT;
  if (type == SHEAF_RECORD_JOB_ROWS) return r;
  r.unix_ms = 1760000000123;
  if (type == SHEAF_RECORD_JOB_PLAN) {
    r.provider = SHEAF_LITERAL("openai");
    r.endpoint = SHEAF_LITERAL("main \"EU\"");
    r.model = SHEAF_LITERAL("m\xC3\xA9");
    r.path = SHEAF_LITERAL("/chat/completions");
    r.marker = SHEAF_LITERAL("sheaf-00112233445566778899aabbccddeeff");
    r.requests = 50000;
    r.bytes = 1ull << 40;
    r.first = (1ull << 53) + 1; /* no double holds it */
    r.last = UINT64_MAX;
    r.operation = 3;
    r.is_inline = true;
  } else if (type == SHEAF_RECORD_JOB_INTENT) {
    r.step = SHEAF_JOB_CREATE;
    r.attempt = 2;
  } else if (type == SHEAF_RECORD_JOB_OVER) {
    r.succeeded = 49990;
    r.failed = 7;
    r.rescued = 2;
    r.missing = 1;
  } else {
    r.upload = SHEAF_LITERAL("https://x/upload?id=1");
    r.file = SHEAF_LITERAL("file-\\1");
    r.job = SHEAF_LITERAL("batch_\x01\n\t");
    r.output = SHEAF_LITERAL("file-out");
    r.errors = SHEAF_LITERAL("file-err");
    r.adopted = true;
    r.state = SHEAF_JOB_RUNNING_STATE;
    r.total = 50000;
    r.completed = 0;
    r.failed = 12;
    r.message = SHEAF_LITERAL("\xF0\x9F\x98\x80 or so");
    if (type == SHEAF_RECORD_JOB_DECISION) r.decision = SHEAF_LITERAL("adopt");
  }
  return r;
}

TEST(records_are_json_that_people_can_read) {
  begin();
  sheaf_job_record r;
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_INTENT);
  r.step = SHEAF_JOB_CREATE;
  r.attempt = 1;
  r.unix_ms = 1760000000000;
  CHECK_OK(write_payload(&r));
  CHECK_TEXT(written_json(), "{\"step\":\"create\",\"try\":1,\"unix_ms\":1760000000000}");
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_FACT);
  r.job = SHEAF_LITERAL("batch_1");
  r.adopted = true;
  r.unix_ms = 5;
  CHECK_OK(write_payload(&r));
  CHECK_TEXT(written_json(), "{\"job\":\"batch_1\",\"adopted\":true,\"unix_ms\":5}");
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_STATE);
  r.state = SHEAF_JOB_RUNNING_STATE;
  r.completed = 0; /* told, unlike the others */
  CHECK_OK(write_payload(&r));
  CHECK_TEXT(written_json(), "{\"state\":\"running\",\"completed\":0}");
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_DECISION);
  r.decision = SHEAF_LITERAL("adopt");
  r.job = SHEAF_LITERAL("b");
  CHECK_OK(write_payload(&r));
  CHECK_TEXT(written_json(), "{\"decision\":\"adopt\",\"job\":\"b\"}");
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_PLAN);
  CHECK_OK(write_payload(&r));
  CHECK(written_json().bytes > 8 && memcmp(written_json().data, "{\"v\":1,", 7) == 0);
  finish();
}

TEST(every_type_comes_back_as_it_was) {
  begin();
  for (uint32_t type = SHEAF_RECORD_JOB_ROWS; type <= SHEAF_RECORD_JOB_DECISION; type++) {
    const sheaf_job_record r = full_record(type);
    sheaf_job_record empty, read;
    CHECK_OK(write_payload(&r));
    sheaf_buf_reset(&scratch);
    CHECK_OK(sheaf_job_record_read(type, sheaf_buf_slice(&payload), &scratch, &read));
    CHECK(is_same_record(&r, &read));
    CHECK_EQ(read.struct_bytes, sizeof read);
    if (type != SHEAF_RECORD_JOB_ROWS) CHECK_OK(sheaf_json_check(written_json(), NULL));

    sheaf_job_record_init(&empty, type); /* and with nothing in it */
    empty.flight = FLIGHT;
    CHECK_OK(write_payload(&empty));
    CHECK_OK(sheaf_job_record_read(type, sheaf_buf_slice(&payload), &scratch, &read));
    CHECK(is_same_record(&empty, &read));
  }
  finish();
}

TEST(every_state_and_step_comes_back) {
  begin();
  for (uint32_t number = 0; number <= 13; number++) {
    sheaf_job_record r, read;
    sheaf_job_record_init(&r, SHEAF_RECORD_JOB_STATE);
    r.state = number;
    CHECK_OK(write_payload(&r));
    CHECK_OK(sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read));
    CHECK_EQ(read.state, number);
    if (number > SHEAF_JOB_DISCARD) continue;
    sheaf_job_record_init(&r, SHEAF_RECORD_JOB_INTENT);
    r.step = number;
    CHECK_OK(write_payload(&r));
    CHECK_OK(sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read));
    CHECK_EQ(read.step, number);
  }
  finish();
}

/* What a provider sends may hold anything; a record is a document all the same. */
TEST(any_bytes_of_a_provider_make_valid_json) {
  begin();
  for (int i = 0; i < 3000; i++) {
    char text[64];
    const size_t bytes = (size_t)draw(64);
    for (size_t at = 0; at < bytes; at++) text[at] = (char)draw(255);
    sheaf_job_record r, read;
    sheaf_json_facts facts;
    sheaf_job_record_init(&r, SHEAF_RECORD_JOB_STATE);
    r.message = r.job = (sheaf_slice){text, bytes};
    CHECK_OK(write_payload(&r));
    CHECK_OK(sheaf_json_pick(written_json(), NULL, 0, NULL, &facts, NULL));
    CHECK(!facts.has_invalid_utf8 && !facts.has_line_break);
    sheaf_buf_reset(&scratch);
    CHECK_OK(sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read));
    CHECK(same(read.message, read.job));
    CHECK((read.message.bytes == 0) == (bytes == 0));
  }
  sheaf_job_record r, read;
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_STATE);
  r.message = SHEAF_LITERAL("a\xFFz\xC3");
  CHECK_OK(write_payload(&r));
  CHECK_OK(sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read));
  CHECK_TEXT(read.message, "a\xEF\xBF\xBDz\xEF\xBF\xBD");
  finish();
}

TEST(what_a_newer_version_adds_is_passed_over_and_what_is_missing_is_absent) {
  begin();
  sheaf_job_record r;
  CHECK_OK(read_text(SHEAF_RECORD_JOB_STATE,
                     "{\"new\":{\"job\":\"x\"},\"job\":null,\"total\":7,\"state\":\"sleeping\"}",
                     &r));
  CHECK_EQ(r.state, SHEAF_JOB_UNKNOWN_STATE);
  CHECK_EQ(r.job.bytes, 0);
  CHECK_EQ(r.total, 7);
  CHECK(r.completed == SHEAF_ABSENT && r.unix_ms == SHEAF_ABSENT);
  CHECK_OK(read_text(SHEAF_RECORD_JOB_INTENT, "{\"step\":\"dance\",\"job\":\"x\"}", &r));
  CHECK_EQ(r.step, 0);
  CHECK_EQ(r.job.bytes, 0); /* an INTENT has none */
  CHECK_OK(read_text(SHEAF_RECORD_JOB_OVER, "{}", &r));
  CHECK_EQ(r.missing, 0);
  finish();
}

TEST(a_higher_version_is_refused_as_such) {
  begin();
  sheaf_job_record r;
  CHECK_OK(read_text(SHEAF_RECORD_JOB_PLAN, "{\"v\":1}", &r));
  CHECK_OK(read_text(SHEAF_RECORD_JOB_PLAN, "{\"model\":\"m\"}", &r));
  static const char *const newer[] = {"{\"v\":2}", "{\"requests\":\"many\",\"v\":2}",
                                      "{\"v\":99999999999999999999}"};
  for (size_t i = 0; i < 3; i++)
    CHECK_STATUS(read_text(SHEAF_RECORD_JOB_PLAN, newer[i], &r), SHEAF_E_VERSION);
  CHECK_STATUS(read_text(SHEAF_RECORD_JOB_FACT, "{\"v\":2}", &r), SHEAF_E_VERSION);
  CHECK_STATUS(read_text(SHEAF_RECORD_JOB_PLAN, "{\"v\":\"1\"}", &r), SHEAF_E_SYNTAX);
  CHECK_STATUS(read_text(SHEAF_RECORD_JOB_PLAN, "{\"v\":-1}", &r), SHEAF_E_SYNTAX);
  CHECK_STATUS(read_text(SHEAF_RECORD_JOB_DECISION + 1, "{}", &r), SHEAF_E_VERSION);
  finish();
}

TEST(a_wrong_value_is_refused_and_changes_nothing) {
  static const char *const wrong[] = {"",
                                      "[]",
                                      "1",
                                      " {}",
                                      "{",
                                      "{}x",
                                      "{\"requests\":\"1\"}",
                                      "{\"requests\":-1}",
                                      "{\"requests\":1.5}",
                                      "{\"requests\":1e3}",
                                      "{\"requests\":18446744073709551616}",
                                      "{\"requests\":30000000000000000000}",
                                      "{\"operation\":4294967296}",
                                      "{\"inline\":1}",
                                      "{\"model\":7}",
                                      "{\"model\":[]}",
                                      "{\"unix_ms\":\"1\"}",
                                      "{\"unix_ms\":1.5}",
                                      "{\"path\":\"a\\nb\",\"bytes\":true}"};
  begin();
  sheaf_job_record r = full_record(SHEAF_RECORD_JOB_PLAN);
  const sheaf_job_record before = r;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK_STATUS(read_text(SHEAF_RECORD_JOB_PLAN, wrong[i], &r), SHEAF_E_SYNTAX);
    CHECK(is_same_record(&r, &before));
    CHECK_EQ(scratch.bytes, 0);
  }
  for (size_t n = 0; n < 8; n++)
    CHECK_STATUS(
        sheaf_job_record_read(SHEAF_RECORD_JOB_ROWS, (sheaf_slice){"12345678", n}, &scratch, &r),
        SHEAF_E_SYNTAX);
  CHECK_OK(read_text(SHEAF_RECORD_JOB_PLAN, "{\"bytes\":18446744073709551615}", &r));
  CHECK(r.bytes == UINT64_MAX);
  sheaf_job_record_init(&r, 15);
  CHECK_STATUS(write_payload(&r), SHEAF_E_MISUSE);
  finish();
}

/* Offsets of the format, not of the struct. */
TEST(rows_are_forty_bytes_little_endian) {
  begin();
  uint8_t bytes[SHEAF_JOB_ROW_BYTES];
  const sheaf_job_row row = {0x0102030405060708,
                             0x1112131415161718,
                             0x2122232425262728,
                             {0xF0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xFF}};
  sheaf_job_row again = {0};
  sheaf_job_row_write(&row, bytes);
  CHECK(bytes[0] == 8 && bytes[7] == 1 && bytes[8] == 0x18 && bytes[16] == 0x28);
  CHECK(bytes[23] == 0x21 && bytes[24] == 0xF0 && bytes[39] == 0xFF);
  sheaf_job_row_read(bytes, &again);
  CHECK(again.index == row.index && again.spool_at == row.spool_at);
  CHECK(again.id_hash == row.id_hash && memcmp(again.fingerprint, row.fingerprint, 16) == 0);

  sheaf_job_record r, read;
  sheaf_job_record_init(&r, SHEAF_RECORD_JOB_ROWS);
  r.rows = (sheaf_slice){(const char *)bytes, sizeof bytes};
  CHECK_OK(write_payload(&r));
  CHECK_EQ(payload.bytes, 8 + 40);
  CHECK_OK(sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read));
  CHECK(same(read.rows, r.rows));
  CHECK_EQ(read.flight, FLIGHT);
  payload.bytes--;
  CHECK_STATUS(sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read),
               SHEAF_E_SYNTAX);
  r.rows.bytes = 39;
  CHECK_STATUS(sheaf_job_record_write(&r, &payload), SHEAF_E_MISUSE);
  finish();
}

/* In a block of its own, so that reading beyond its end is found. */
static int32_t read_exactly(uint32_t type, const char *bytes, size_t count) {
  char *copy = malloc(count ? count : 1);
  sheaf_job_record r;
  if (!copy) return SHEAF_E_NOMEM;
  memcpy(copy, bytes, count);
  sheaf_buf_reset(&scratch);
  const int32_t status = sheaf_job_record_read(type, (sheaf_slice){copy, count}, &scratch, &r);
  free(copy);
  return status;
}

TEST(every_prefix_is_an_error_and_every_change_an_error_or_a_record) {
  begin();
  for (uint32_t type = SHEAF_RECORD_JOB_PLAN; type <= SHEAF_RECORD_JOB_DECISION; type++) {
    const sheaf_job_record r = full_record(type);
    CHECK_OK(write_payload(&r));
    for (size_t n = 0; n < payload.bytes; n++)
      CHECK_STATUS(read_exactly(type, payload.data, n), SHEAF_E_SYNTAX);
    CHECK_OK(read_exactly(type, payload.data, payload.bytes));
    for (int i = 0; i < 4000; i++) {
      char *at = payload.data + draw(payload.bytes - 1);
      const char before = *at;
      *at = draw(1) ? (char)draw(255) : "\"\\{}[]:,0"[draw(8)];
      const int32_t status = read_exactly(type, payload.data, payload.bytes);
      CHECK(status == SHEAF_OK || status == SHEAF_E_SYNTAX || status == SHEAF_E_VERSION);
      *at = before;
    }
  }
  finish();
}

TEST(each_refused_allocation_is_told_and_leaks_nothing) {
  const sheaf_job_record r = full_record(SHEAF_RECORD_JOB_FACT);
  const sheaf_job_entry entry = {.custom_id = SHEAF_LITERAL("a\nb"),
                                 .row = SHEAF_LITERAL("{\"custom_id\":\"r0-a\",\"body\":{}}\n")};
  uint32_t refusals = 0;
  for (uint64_t fail_at = 1; fail_at < 12; fail_at++) {
    begin();
    sheaf_job_record read;
    sheaf_job_entry again;
    uint64_t whole;
    memory.calls = 0;
    memory.fail_at = fail_at;
    int32_t status = write_payload(&r);
    if (status == SHEAF_OK)
      status = sheaf_job_record_read(r.type, sheaf_buf_slice(&payload), &scratch, &read);
    sheaf_buf_deinit(&payload);
    sheaf_buf_deinit(&scratch);
    if (status == SHEAF_OK) status = sheaf_job_entry_write(&entry, &payload);
    if (status == SHEAF_OK)
      status = sheaf_job_entry_read(sheaf_buf_slice(&payload), &scratch, &whole, &again);
    CHECK_STATUS(status, memory.calls >= fail_at ? SHEAF_E_NOMEM : SHEAF_OK);
    if (status != SHEAF_OK) refusals++;
    finish();
  }
  memory.fail_at = 0;
  CHECK(refusals >= 4); /* two written, two unescaped */
}

/* ---- Entries of the spool ---- */

static void check_entry(const sheaf_job_entry *entry) {
  sheaf_job_entry read;
  uint64_t whole = 0;
  begin();
  sheaf_buf_append_text(&payload, "before");
  CHECK_OK(sheaf_job_entry_write(entry, &payload));
  const size_t bytes = payload.bytes - 6;
  sheaf_buf_append_text(&payload, "behind");
  for (size_t n = 0; n <= bytes + 6; n++) {
    sheaf_buf_reset(&scratch);
    const int32_t status =
        sheaf_job_entry_read((sheaf_slice){payload.data + 6, n}, &scratch, &whole, &read);
    CHECK_STATUS(status, n < bytes ? SHEAF_E_PARTIAL : SHEAF_OK);
    CHECK_EQ(whole, n < SHEAF_JOB_ENTRY_HEAD ? 0 : bytes);
  }
  CHECK(same(read.custom_id, entry->custom_id) && same(read.metadata, entry->metadata));
  CHECK(same(read.row, entry->row));
  CHECK_EQ(read.line, entry->line);
  CHECK_EQ(read.priority, entry->priority);
  CHECK(read.source_ref == entry->source_ref);
  finish();
}

TEST(entries_come_back_as_they_were) {
  static char deep[2 * SHEAF_JSON_DEPTH_MAX];
  memset(deep, '[', SHEAF_JSON_DEPTH_MAX); /* as deep as metadata can be */
  memset(deep + SHEAF_JSON_DEPTH_MAX, ']', SHEAF_JSON_DEPTH_MAX);
  sheaf_job_entry entry = {.struct_bytes = sizeof entry};
  check_entry(&entry);
  entry.row = SHEAF_LITERAL("{\"custom_id\":\"r0-a\",\"body\":{\"x\":\"\xC3\xA9\"}}\n");
  check_entry(&entry);
  entry.custom_id = SHEAF_LITERAL("a \"quoted\"\n\xE4\xB8\xAD id");
  entry.metadata = SHEAF_LITERAL("{\"k\": [1.50, \"\\u00e9\"]}");
  entry.line = UINT32_MAX;
  entry.priority = 100;
  entry.source_ref = UINT64_MAX;
  check_entry(&entry);
  entry.metadata = (sheaf_slice){deep, sizeof deep};
  check_entry(&entry);
  entry.metadata = SHEAF_LITERAL("no JSON at all");
  check_entry(&entry);
}

TEST(entries_lie_behind_one_another) {
  begin();
  for (uint64_t i = 0; i < 50; i++) {
    char row[64];
    const size_t bytes = (size_t)(i * 7 % 60);
    memset(row, 'a' + (int)(i % 26), sizeof row);
    const sheaf_job_entry entry = {.source_ref = i, .row = {row, bytes}};
    CHECK_OK(sheaf_job_entry_write(&entry, &payload));
  }
  sheaf_slice rest = sheaf_buf_slice(&payload);
  for (uint64_t i = 0; i < 50; i++) {
    sheaf_job_entry read;
    uint64_t whole;
    CHECK_OK(sheaf_job_entry_read(rest, &scratch, &whole, &read));
    CHECK(read.source_ref == i);
    CHECK_EQ(read.row.bytes, i * 7 % 60);
    if (read.row.bytes) CHECK_EQ(read.row.data[0], 'a' + (int)(i % 26));
    rest.data += whole;
    rest.bytes -= (size_t)whole;
  }
  CHECK_EQ(rest.bytes, 0);
  finish();
}

TEST(damaged_entries_are_errors_or_entries) {
  const sheaf_job_entry entry = {.custom_id = SHEAF_LITERAL("a\\b"),
                                 .metadata = SHEAF_LITERAL("{\"a\":1}"),
                                 .line = 7,
                                 .row = SHEAF_LITERAL("{\"custom_id\":\"r0-a\"}\n")};
  begin();
  CHECK_OK(sheaf_job_entry_write(&entry, &payload));
  for (int i = 0; i < 20000; i++) {
    char *copy = malloc(payload.bytes);
    if (!copy) break;
    memcpy(copy, payload.data, payload.bytes);
    copy[draw(payload.bytes - 1)] = (char)draw(255);
    copy[draw(15)] ^= (char)(1 << draw(7));
    sheaf_job_entry read;
    uint64_t whole;
    sheaf_buf_reset(&scratch);
    const int32_t status =
        sheaf_job_entry_read((sheaf_slice){copy, payload.bytes}, &scratch, &whole, &read);
    CHECK(status == SHEAF_OK || status == SHEAF_E_SYNTAX || status == SHEAF_E_PARTIAL ||
          status == SHEAF_E_VERSION);
    if (status == SHEAF_E_PARTIAL) CHECK(whole > payload.bytes);
    if (status == SHEAF_OK) CHECK(read.row.data + read.row.bytes == copy + whole);
    free(copy);
  }
  static const char huge[12] = {'\xFF', '\xFF', '\xFF', '\xFF', 2,      0,
                                0,      0,      '\xFF', '\xFF', '\xFF', '\xFF'};
  sheaf_job_entry read;
  uint64_t whole;
  CHECK_STATUS(sheaf_job_entry_read((sheaf_slice){huge, 8}, &scratch, &whole, &read),
               SHEAF_E_SYNTAX); /* the head, then the row */
  CHECK_STATUS(sheaf_job_entry_read((sheaf_slice){huge + 4, 8}, &scratch, &whole, &read),
               SHEAF_E_SYNTAX);
  finish();
}

int main(void) {
  allocator = test_allocator(&memory);
  RUN(records_are_json_that_people_can_read);
  RUN(every_type_comes_back_as_it_was);
  RUN(every_state_and_step_comes_back);
  RUN(any_bytes_of_a_provider_make_valid_json);
  RUN(what_a_newer_version_adds_is_passed_over_and_what_is_missing_is_absent);
  RUN(a_higher_version_is_refused_as_such);
  RUN(a_wrong_value_is_refused_and_changes_nothing);
  RUN(rows_are_forty_bytes_little_endian);
  RUN(every_prefix_is_an_error_and_every_change_an_error_or_a_record);
  RUN(each_refused_allocation_is_told_and_leaks_nothing);
  RUN(entries_come_back_as_they_were);
  RUN(entries_lie_behind_one_another);
  RUN(damaged_entries_are_errors_or_entries);
  return check_report();
}
