/* test_log.c: the framed log: what was written is read, torn ends are cut, damage to durable frames is refused. */
#include <sheaf/line.h>

#include "base/crc32c.h"
#include "base/random.h"

#include "check.h"
#include "test_alloc.h"

enum { FRAMES = 12, BYTES_MAX = 8192 };

/* A log of frames with payloads of 0, 1, 2, ... bytes; the host syncs after frames 4 and 8 and at each `sync_every`. */
typedef struct sample {
  sheaf_log log;
  uint8_t bytes[BYTES_MAX];
  size_t size;
  size_t ends[FRAMES + 1]; /* [n]: where frame n ends; [0]: the header */
} sample;

static test_alloc memory;
static sheaf_allocator allocator;

static void make_sample(sample *s, unsigned frames, unsigned sync_every) {
  sheaf_buf out;
  char payload[64];
  sheaf_buf_init(&out, &allocator, BYTES_MAX);
  CHECK_OK(sheaf_log_begin(&s->log, 0x1122334455667788, 1700000000000, &out));
  s->ends[0] = out.bytes;
  for (unsigned i = 1; i <= frames; i++) {
    memset(payload, (int)('a' + i), sizeof payload);
    CHECK_OK(sheaf_log_frame(&s->log, 1 + i % 4, (sheaf_slice){payload, i - 1}, &out));
    s->ends[i] = out.bytes;
    if (sync_every && i % sync_every == 0) s->log.synced = s->log.seq;
  }
  s->size = out.bytes;
  memcpy(s->bytes, out.data, out.bytes);
  sheaf_buf_deinit(&out);
}

/* Checks each frame against what make_sample wrote. */
typedef struct seen {
  uint64_t frames;
  int32_t answer;
  uint64_t answer_at;
} seen;

static int32_t see_frame(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload) {
  seen *s = ctx;
  s->frames++;
  CHECK_EQ(seq, s->frames);
  CHECK_EQ(type, 1 + seq % 4);
  CHECK_EQ(payload.bytes, seq - 1);
  for (size_t i = 0; i < payload.bytes; i++) CHECK_EQ(payload.data[i], 'a' + (int)seq);
  return s->answer && s->frames == s->answer_at ? s->answer : SHEAF_OK;
}

static int32_t read_bytes(const uint8_t *bytes, size_t size, sheaf_log *log, seen *s,
                          sheaf_log_report *report) {
  *s = (seen){0};
  return sheaf_log_read(log, (sheaf_slice){(const char *)bytes, size}, 4, see_frame, s, report);
}

TEST(what_is_written_is_read) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, FRAMES, 4);
  CHECK_OK(read_bytes(s.bytes, s.size, &log, &got, &report));
  CHECK_EQ(got.frames, FRAMES);
  CHECK_EQ(report.frames, FRAMES);
  CHECK_EQ(report.bytes_valid, s.size);
  CHECK_EQ(report.bytes_dropped, 0);
  CHECK_EQ(report.created_unix_ms, 1700000000000);
  CHECK_EQ(log.salt, s.log.salt);
  CHECK_EQ(log.seq, FRAMES);
  CHECK_EQ(log.crc, s.log.crc);
  CHECK_EQ(log.synced, 8); /* the last frames tell of the sync after 8 */
}

/* Written out by hand from the layout at the top of log.c. */
TEST(the_bytes_are_those_of_the_layout) {
  sample s;
  make_sample(&s, 2, 1);
  const uint8_t header[32] = {0x89, 'S',  'H',  'E',  'A',  'F',  '\r', '\n', 1,    0,    0,
                              0,    0,    0,    0,    0,    0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
                              0x22, 0x11, 0x00, 0x68, 0xe5, 0xcf, 0x8b, 0x01, 0,    0};
  CHECK(memcmp(s.bytes, header, sizeof header) == 0);
  const uint8_t first[28] = {24, 0, 0, 0, 2, 0, 0, 0, 1};
  CHECK(memcmp(s.bytes + 32, first, sizeof first) == 0);
  CHECK_EQ(s.ends[1], 64);
  const uint8_t second[28] = {25, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0,  0,
                              0,  0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'c'};
  CHECK(memcmp(s.bytes + 64, second, sizeof second) == 0);
  CHECK_EQ(s.ends[2], 96);
  uint8_t seed[12];
  memcpy(seed, s.bytes + 16, 8);
  memcpy(seed + 8, s.bytes + 60, 4);
  uint32_t crc = sheaf__crc32c(sheaf__crc32c(0, seed, 12), s.bytes + 64, 28);
  crc = ((crc >> 15) | (crc << 17)) + 0xa282ead8u; /* LevelDB's mask */
  for (unsigned i = 0; i < 4; i++) CHECK_EQ(s.bytes[92 + i], crc >> (8 * i) & 255);
}

TEST(frames_are_whole_multiples_of_eight_and_know_their_payload) {
  sample s;
  make_sample(&s, FRAMES, 0);
  for (unsigned i = 0; i <= FRAMES; i++) CHECK_EQ(s.ends[i] % 8, 0);
}

TEST(every_prefix_opens_and_can_be_gone_on_with) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, FRAMES, 1);
  for (size_t cut = 0; cut <= s.size; cut++) {
    const int32_t status = read_bytes(s.bytes, cut, &log, &got, &report);
    if (cut < SHEAF_LOG_HEADER_BYTES) {
      CHECK_STATUS(status, SHEAF_E_PARTIAL);
      continue;
    }
    unsigned whole = 0;
    while (whole < FRAMES && s.ends[whole + 1] <= cut) whole++;
    CHECK_STATUS(status, SHEAF_OK);
    CHECK_EQ(got.frames, whole);
    CHECK_EQ(report.bytes_valid, s.ends[whole]);
    if (report.bytes_dropped != 0) CHECK_EQ(report.bytes_dropped, cut - s.ends[whole]);

    sheaf_buf out;
    sheaf_buf_init(&out, &allocator, BYTES_MAX);
    CHECK_OK(sheaf_buf_append(&out, s.bytes, (size_t)report.bytes_valid));
    char payload[64];
    memset(payload, (int)('a' + whole + 1), sizeof payload);
    CHECK_OK(sheaf_log_frame(&log, 1 + (whole + 1) % 4, (sheaf_slice){payload, whole}, &out));
    CHECK_OK(read_bytes((const uint8_t *)out.data, out.bytes, &log, &got, &report));
    CHECK_EQ(got.frames, whole + 1);
    sheaf_buf_deinit(&out);
  }
}

/* Each frame tells that the one before is durable, so damage is known as such wherever a later frame is left. */
TEST(every_flipped_bit_is_found) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, FRAMES, 1);
  for (size_t bit = 0; bit < s.size * 8; bit++) {
    s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const int32_t status = read_bytes(s.bytes, s.size, &log, &got, &report);
    if (bit / 8 >= s.ends[FRAMES - 1]) {
      CHECK_STATUS(status, SHEAF_OK); /* the last frame: nobody says that it was durable */
      CHECK_EQ(got.frames, FRAMES - 1);
      CHECK_EQ(report.bytes_dropped, s.size - s.ends[FRAMES - 1]);
    } else if (bit / 8 >= 8 && bit / 8 < 16) {
      CHECK(status == SHEAF_E_VERSION || status == SHEAF_E_CORRUPT);
    } else {
      CHECK_STATUS(status, SHEAF_E_CORRUPT);
    }
    s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

TEST(damage_of_frames_never_synced_is_cut) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, FRAMES, 0);
  for (size_t at = SHEAF_LOG_HEADER_BYTES; at < s.size; at++) {
    s.bytes[at] ^= 0x40;
    CHECK_OK(read_bytes(s.bytes, s.size, &log, &got, &report));
    CHECK(got.frames < FRAMES);
    CHECK_EQ(report.bytes_valid, s.ends[got.frames]);
    CHECK_EQ(report.bytes_valid + report.bytes_dropped, s.size);
    s.bytes[at] ^= 0x40;
  }
}

/* Frames 5.. were written after the sync of 4 and before the next: power loss may keep any of their sectors. */
TEST(an_unsynced_group_is_cut_at_its_first_hole_and_a_synced_one_is_not) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, 8, 4);
  memset(s.bytes + s.ends[5], 0, s.ends[6] - s.ends[5]);
  CHECK_OK(read_bytes(s.bytes, s.size, &log, &got, &report));
  CHECK_EQ(got.frames, 5);
  make_sample(&s, 8, 4);
  memset(s.bytes + s.ends[3], 0, s.ends[4] - s.ends[3]);
  CHECK_STATUS(read_bytes(s.bytes, s.size, &log, &got, &report), SHEAF_E_CORRUPT);
  CHECK_EQ(got.frames, 3);
}

/* Whole 512-byte sectors of the unsynced part are lost in every combination. */
TEST(lost_sectors_behind_the_last_sync_never_refuse) {
  static uint8_t torn[BYTES_MAX];
  sheaf_buf out;
  sheaf_log log;
  sheaf_log_report report;
  char payload[200];
  memset(payload, 'p', sizeof payload);
  sheaf_buf_init(&out, &allocator, BYTES_MAX);
  CHECK_OK(sheaf_log_begin(&log, 99, 0, &out));
  for (int i = 0; i < 3; i++)
    CHECK_OK(sheaf_log_frame(&log, 1, (sheaf_slice){payload, sizeof payload}, &out));
  log.synced = 3;
  const size_t synced_bytes = out.bytes;
  for (int i = 0; i < 16; i++)
    CHECK_OK(sheaf_log_frame(&log, 1, (sheaf_slice){payload, sizeof payload}, &out));
  const size_t sectors = (out.bytes + 511) / 512;
  for (unsigned lost = 0; lost < 1u << sectors; lost++) {
    memcpy(torn, out.data, out.bytes);
    for (size_t i = 0; i < out.bytes; i++)
      if (i >= synced_bytes && lost >> (i / 512) & 1) torn[i] = 0;
    sheaf_log again;
    CHECK_OK(sheaf_log_read(&again, (sheaf_slice){(const char *)torn, out.bytes}, 4, NULL, NULL,
                            &report));
    CHECK(report.frames >= 3);
  }
  sheaf_buf_deinit(&out);
}

TEST(zeros_behind_the_end_are_room_that_was_set_aside) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, 3, 1);
  memset(s.bytes + s.size, 0, 1000);
  CHECK_OK(read_bytes(s.bytes, s.size + 1000, &log, &got, &report));
  CHECK_EQ(report.bytes_valid, s.size);
  CHECK_EQ(report.bytes_dropped, 0);
}

TEST(frames_of_another_log_behind_the_end_are_no_damage) {
  sample s;
  sheaf_log log, other;
  sheaf_log_report report;
  seen got;
  sheaf_buf out;
  make_sample(&s, 3, 1);
  sheaf_buf_init(&out, &allocator, BYTES_MAX);
  CHECK_OK(sheaf_log_begin(&other, 5, 0, &out));
  for (int i = 0; i < 6; i++) {
    CHECK_OK(sheaf_log_frame(&other, 1, SHEAF_LITERAL("stale"), &out));
    other.synced = other.seq;
  }
  const size_t stale = out.bytes - 160; /* its frames 4, 5, 6 in place of ours */
  memcpy(s.bytes + s.size, out.data + stale, 120);
  CHECK_OK(read_bytes(s.bytes, s.size + 120, &log, &got, &report));
  CHECK_EQ(got.frames, 3);
  CHECK_EQ(report.bytes_dropped, 120);
  sheaf_buf_deinit(&out);
}

TEST(files_that_are_no_log) {
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  uint8_t bytes[256] = {0};
  CHECK_STATUS(read_bytes(bytes, 0, &log, &got, &report), SHEAF_E_PARTIAL);
  CHECK_STATUS(read_bytes(bytes, 256, &log, &got, &report), SHEAF_E_PARTIAL);
  memcpy(bytes, "somebody else's file", 20);
  CHECK_STATUS(read_bytes(bytes, 20, &log, &got, &report), SHEAF_E_CORRUPT);
  CHECK_STATUS(read_bytes(bytes, 256, &log, &got, &report), SHEAF_E_CORRUPT);
}

TEST(a_lost_header_before_durable_frames_is_damage) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, 4, 1);
  memset(s.bytes, 0, SHEAF_LOG_HEADER_BYTES);
  CHECK_STATUS(read_bytes(s.bytes, s.size, &log, &got, &report), SHEAF_E_CORRUPT);
  make_sample(&s, 4, 0);
  memset(s.bytes, 0, SHEAF_LOG_HEADER_BYTES);
  CHECK_STATUS(read_bytes(s.bytes, s.size, &log, &got, &report), SHEAF_E_PARTIAL);
}

TEST(unknown_types_below_128_refuse_and_others_are_handed_out) {
  sheaf_buf out;
  sheaf_log log;
  sheaf_log_report report;
  sheaf_buf_init(&out, &allocator, BYTES_MAX);
  CHECK_OK(sheaf_log_begin(&log, 1, 2, &out));
  CHECK_OK(sheaf_log_frame(&log, 4, SHEAF_LITERAL("known"), &out));
  CHECK_OK(sheaf_log_frame(&log, 128, SHEAF_LITERAL("skippable"), &out));
  CHECK_OK(sheaf_log_read(&log, sheaf_buf_slice(&out), 4, NULL, NULL, &report));
  CHECK_EQ(report.frames, 2);
  CHECK_OK(sheaf_log_frame(&log, 5, SHEAF_LITERAL("new"), &out));
  CHECK_STATUS(sheaf_log_read(&log, sheaf_buf_slice(&out), 4, NULL, NULL, &report),
               SHEAF_E_VERSION);
  CHECK_EQ(report.frames, 2);
  CHECK_OK(sheaf_log_read(&log, sheaf_buf_slice(&out), 5, NULL, NULL, &report));
  sheaf_buf_deinit(&out);
}

TEST(a_newer_version_is_refused) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  seen got;
  make_sample(&s, 1, 0);
  s.bytes[8] = 2;
  CHECK_STATUS(read_bytes(s.bytes, s.size, &log, &got, &report), SHEAF_E_VERSION);
  s.bytes[8] = 1;
  s.bytes[12] = 1;
  CHECK_STATUS(read_bytes(s.bytes, s.size, &log, &got, &report), SHEAF_E_VERSION);
}

TEST(what_the_callback_answers_ends_the_reading) {
  sample s;
  sheaf_log log;
  sheaf_log_report report;
  make_sample(&s, 5, 0);
  seen got = {.answer = SHEAF_E_NOMEM, .answer_at = 3};
  const sheaf_slice bytes = {(const char *)s.bytes, s.size};
  CHECK_STATUS(sheaf_log_read(&log, bytes, 4, see_frame, &got, &report), SHEAF_E_NOMEM);
  CHECK_EQ(got.frames, 3);
}

TEST(bad_types_and_long_payloads_are_refused_and_change_nothing) {
  sheaf_buf out;
  sheaf_log log;
  sheaf_buf_init(&out, &allocator, BYTES_MAX);
  CHECK_OK(sheaf_log_begin(&log, 1, 2, &out));
  CHECK_STATUS(sheaf_log_frame(&log, 0, SHEAF_LITERAL(""), &out), SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_log_frame(&log, 256, SHEAF_LITERAL(""), &out), SHEAF_E_MISUSE);
  const sheaf_slice huge = {"", SHEAF_LOG_FRAME_BYTES_MAX};
  CHECK_STATUS(sheaf_log_frame(&log, 1, huge, &out), SHEAF_E_TOO_LONG);
  CHECK_EQ(out.bytes, SHEAF_LOG_HEADER_BYTES);
  CHECK_EQ(log.seq, 0);
  memory.fail_at = memory.calls + 1;
  const char big[600] = {0};
  CHECK_STATUS(sheaf_log_frame(&log, 1, (sheaf_slice){big, sizeof big}, &out), SHEAF_E_NOMEM);
  CHECK_EQ(log.seq, 0);
  memory.fail_at = 0;
  sheaf_buf_deinit(&out);
}

TEST(ranges_come_back) {
  uint8_t bytes[SHEAF_RANGE_BYTES];
  const sheaf_range range = {1, 0x0102030405060708, 77};
  sheaf_range read;
  sheaf_range_write(&range, bytes);
  CHECK_EQ(bytes[8], 8);
  CHECK_EQ(bytes[15], 1);
  CHECK_OK(sheaf_range_read((sheaf_slice){(const char *)bytes, sizeof bytes}, &read));
  CHECK_EQ(read.first, 1);
  CHECK_EQ(read.last, 0x0102030405060708);
  CHECK_EQ(read.cost_max_usd_nano, 77);
  CHECK_OK(sheaf_range_read((sheaf_slice){(const char *)bytes, 16}, &read));
  CHECK_EQ(read.cost_max_usd_nano, SHEAF_ABSENT);
  CHECK_STATUS(sheaf_range_read((sheaf_slice){(const char *)bytes, 23}, &read), SHEAF_E_PARTIAL);
  CHECK_STATUS(sheaf_range_read((sheaf_slice){(const char *)bytes, 25}, &read), SHEAF_E_TOO_LONG);
  bytes[0] = 255, bytes[15] = 0, memset(bytes + 8, 0, 8);
  CHECK_STATUS(sheaf_range_read((sheaf_slice){(const char *)bytes, 24}, &read), SHEAF_E_FIELD);
}

int main(void) {
  allocator = test_allocator(&memory);
  RUN(what_is_written_is_read);
  RUN(the_bytes_are_those_of_the_layout);
  RUN(frames_are_whole_multiples_of_eight_and_know_their_payload);
  RUN(every_prefix_opens_and_can_be_gone_on_with);
  RUN(every_flipped_bit_is_found);
  RUN(damage_of_frames_never_synced_is_cut);
  RUN(an_unsynced_group_is_cut_at_its_first_hole_and_a_synced_one_is_not);
  RUN(lost_sectors_behind_the_last_sync_never_refuse);
  RUN(zeros_behind_the_end_are_room_that_was_set_aside);
  RUN(frames_of_another_log_behind_the_end_are_no_damage);
  RUN(files_that_are_no_log);
  RUN(a_lost_header_before_durable_frames_is_damage);
  RUN(unknown_types_below_128_refuse_and_others_are_handed_out);
  RUN(a_newer_version_is_refused);
  RUN(what_the_callback_answers_ends_the_reading);
  RUN(bad_types_and_long_payloads_are_refused_and_change_nothing);
  RUN(ranges_come_back);
  CHECK_EQ(memory.live_bytes, 0);
  CHECK(!memory.size_mismatch);
  return check_report() || check_bad;
}
