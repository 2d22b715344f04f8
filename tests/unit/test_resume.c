/* test_resume.c: which rows are done, which ids were used, in bounded memory, with every allocation failing. */
#include <sheaf/line.h>

#include "check.h"
#include "test_alloc.h"

static test_alloc memory;
static sheaf_allocator allocator;

static const uint8_t print_a[16] = {0xaa, 1};
static const uint8_t print_b[16] = {0xbb, 2};

/* An output line of the least that is read; print is a_ or b_. */
static int32_t add(sheaf_resume *resume, const char *id, const uint8_t print[16], bool ok,
                   uint64_t offset) {
  char line[1024];
  const int n = snprintf(
      line, sizeof line,
      "{\"custom_id\":\"%s\",\"response\":null,\"error\":%s,\"sheaf\":{\"index\":0,"
      "\"fingerprint\":\"%02x%02x0000000000000000000000000000\",\"error_class\":%s}}",
      id, ok ? "null" : "{\"code\":\"timeout\"}", print[0], print[1], ok ? "null" : "\"timeout\"");
  return sheaf_resume_add_line(resume, (sheaf_slice){line, (size_t)n}, offset);
}

TEST(an_unknown_row_is_run) {
  sheaf_resume *resume;
  uint64_t offset = 7;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_OK(sheaf_resume_find(resume, SHEAF_LITERAL("a"), print_a, false, &offset));
  CHECK_OK(add(resume, "b", print_a, true, 1));
  CHECK_OK(sheaf_resume_find(resume, SHEAF_LITERAL("a"), print_a, false, &offset));
  CHECK_EQ(offset, 7);
  CHECK_EQ(sheaf_resume_matched(resume), 0);
  sheaf_resume_free(resume);
}

TEST(a_success_is_done_and_a_failure_if_it_is_not_to_be_retried) {
  sheaf_resume *resume;
  uint64_t offset = 0;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_OK(add(resume, "good", print_a, true, 100));
  CHECK_OK(add(resume, "bad", print_a, false, 200));
  CHECK_STATUS(sheaf_resume_find(resume, SHEAF_LITERAL("good"), print_a, true, &offset),
               SHEAF_E_END);
  CHECK_EQ(offset, 100);
  CHECK_OK(sheaf_resume_find(resume, SHEAF_LITERAL("bad"), print_a, true, &offset));
  CHECK_STATUS(sheaf_resume_find(resume, SHEAF_LITERAL("bad"), print_a, false, &offset),
               SHEAF_E_END);
  CHECK_EQ(offset, 200);
  CHECK_EQ(sheaf_resume_lines(resume), 2);
  CHECK_EQ(sheaf_resume_matched(resume), 2);
  sheaf_resume_free(resume);
}

TEST(success_beats_failure_then_the_first_wins) {
  static const struct {
    bool ok[3];
    uint64_t winner;
  } cases[] = {{{true, true, true}, 0},   {{true, false, true}, 0},  {{false, true, true}, 1},
               {{false, false, true}, 2}, {{false, true, false}, 1}, {{false, false, false}, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sheaf_resume *resume;
    uint64_t offset = 99;
    CHECK_OK(sheaf_resume_new(&allocator, &resume));
    for (unsigned line = 0; line < 3; line++)
      CHECK_OK(add(resume, "a", print_a, cases[i].ok[line], line));
    CHECK_STATUS(sheaf_resume_find(resume, SHEAF_LITERAL("a"), print_a, false, &offset),
                 SHEAF_E_END);
    CHECK_EQ(offset, cases[i].winner);
    CHECK_EQ(sheaf_resume_lines(resume), 3);
    sheaf_resume_free(resume);
  }
}

TEST(another_fingerprint_is_another_run) {
  sheaf_resume *resume;
  uint64_t offset;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_OK(add(resume, "a", print_a, true, 0));
  CHECK_STATUS(sheaf_resume_find(resume, SHEAF_LITERAL("a"), print_b, false, &offset),
               SHEAF_E_OTHER_RUN);
  CHECK_EQ(sheaf_resume_matched(resume), 0);
  sheaf_resume_free(resume);
}

TEST(a_line_without_our_object_is_another_run_too) {
  sheaf_resume *resume;
  uint64_t offset;
  static const uint8_t zero[16];
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_OK(sheaf_resume_add_line(
      resume,
      SHEAF_LITERAL("{\"custom_id\":\"a\",\"response\":{\"status_code\":200},\"error\":null}"), 0));
  CHECK_STATUS(sheaf_resume_find(resume, SHEAF_LITERAL("a"), zero, false, &offset),
               SHEAF_E_OTHER_RUN);
  sheaf_resume_free(resume);
}

TEST(ids_are_compared_without_their_escapes) {
  sheaf_resume *resume;
  uint64_t offset;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_OK(add(resume, "\\u0061\\n\\\"", print_a, true, 3));
  CHECK_STATUS(sheaf_resume_find(resume, SHEAF_LITERAL("a\n\""), print_a, false, &offset),
               SHEAF_E_END);
  sheaf_resume_free(resume);
}

TEST(lines_that_are_none_are_refused_and_not_counted) {
  sheaf_resume *resume;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_STATUS(sheaf_resume_add_line(resume, SHEAF_LITERAL("{\"custom_id\":\"a\",\"resp"), 0),
               SHEAF_E_SYNTAX);
  CHECK_STATUS(sheaf_resume_add_line(resume, SHEAF_LITERAL("{\"prompt\":\"a\"}"), 0),
               SHEAF_E_FIELD);
  CHECK_EQ(sheaf_resume_lines(resume), 0);
  sheaf_resume_free(resume);
}

TEST(an_id_noted_twice_tells_its_first_place) {
  sheaf_resume *resume;
  uint32_t earlier = 0;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  CHECK_OK(sheaf_resume_note_id(resume, SHEAF_LITERAL("a"), 0, &earlier));
  CHECK_OK(sheaf_resume_note_id(resume, SHEAF_LITERAL("b"), UINT32_MAX, &earlier));
  CHECK_OK(sheaf_resume_note_id(resume, SHEAF_LITERAL(""), 5, &earlier));
  CHECK_STATUS(sheaf_resume_note_id(resume, SHEAF_LITERAL("b"), 9, &earlier), SHEAF_E_DUPLICATE);
  CHECK_EQ(earlier, UINT32_MAX);
  CHECK_STATUS(sheaf_resume_note_id(resume, SHEAF_LITERAL(""), 9, &earlier), SHEAF_E_DUPLICATE);
  CHECK_EQ(earlier, 5);
  sheaf_resume_free(resume);
}

TEST(a_million_ids_in_24_mb_at_every_moment_and_none_taken_for_another) {
  sheaf_resume *resume;
  uint32_t earlier;
  char id[32];
  memory.peak_bytes = memory.live_bytes;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  uint32_t refused = 0;
  for (uint32_t i = 0; i < 1000000; i++) {
    const int n = snprintf(id, sizeof id, "row-%u", (unsigned)i);
    refused += sheaf_resume_note_id(resume, (sheaf_slice){id, (size_t)n}, i, &earlier) != SHEAF_OK;
  }
  CHECK_EQ(refused, 0);
  CHECK(memory.peak_bytes <= 24000000);
  CHECK(memory.peak_bytes <=
        16 * 1000000 + 200000); /* the header's promise, and the growing shard */
  for (uint32_t i = 0; i < 1000000; i += 997) {
    const int n = snprintf(id, sizeof id, "row-%u", (unsigned)i);
    CHECK_STATUS(sheaf_resume_note_id(resume, (sheaf_slice){id, (size_t)n}, 0, &earlier),
                 SHEAF_E_DUPLICATE);
    CHECK_EQ(earlier, i);
  }
  sheaf_resume_free(resume);
}

TEST(many_earlier_lines_are_all_found_at_their_offsets) {
  sheaf_resume *resume;
  char id[32];
  uint64_t offset;
  CHECK_OK(sheaf_resume_new(&allocator, &resume));
  for (unsigned i = 0; i < 20000; i++) {
    snprintf(id, sizeof id, "id-%u", i);
    CHECK_OK(add(resume, id, print_b, i % 3 != 0, (uint64_t)i << 32));
  }
  for (unsigned i = 0; i < 20000; i++) {
    const int n = snprintf(id, sizeof id, "id-%u", i);
    const sheaf_slice slice = {id, (size_t)n};
    CHECK_STATUS(sheaf_resume_find(resume, slice, print_b, true, &offset),
                 i % 3 ? SHEAF_E_END : SHEAF_OK);
    if (i % 3) CHECK_EQ(offset, (uint64_t)i << 32);
  }
  sheaf_resume_free(resume);
}

/* One run with some of everything; answers the first failure. */
static int32_t scenario(void) {
  sheaf_resume *resume;
  uint32_t earlier;
  char id[32];
  int32_t status = sheaf_resume_new(&allocator, &resume);
  if (status != SHEAF_OK) return status;
  for (unsigned i = 0; i < 40 && status == SHEAF_OK; i++) {
    const int n = snprintf(id, sizeof id, "id\\n%u", i);
    status = add(resume, id, print_a, true, i);
    if (status == SHEAF_OK)
      status = sheaf_resume_note_id(resume, (sheaf_slice){id, (size_t)n}, i, &earlier);
    const uint64_t lines = sheaf_resume_lines(resume);
    CHECK(lines == i || lines == i + 1);
  }
  sheaf_resume_free(resume);
  return status;
}

TEST(any_allocation_may_fail) {
  for (int after = 0; after < 2; after++) {
    for (uint64_t n = 1;; n++) {
      memory.calls = 0;
      memory.fail_at = n;
      memory.fail_after = after == 1;
      const int32_t status = scenario();
      CHECK_EQ(memory.live_blocks, 0);
      if (status == SHEAF_OK) break;
      CHECK_STATUS(status, SHEAF_E_NOMEM);
    }
  }
  memory.fail_at = 0;
}

int main(void) {
  allocator = test_allocator(&memory);
  RUN(an_unknown_row_is_run);
  RUN(a_success_is_done_and_a_failure_if_it_is_not_to_be_retried);
  RUN(success_beats_failure_then_the_first_wins);
  RUN(another_fingerprint_is_another_run);
  RUN(a_line_without_our_object_is_another_run_too);
  RUN(ids_are_compared_without_their_escapes);
  RUN(lines_that_are_none_are_refused_and_not_counted);
  RUN(an_id_noted_twice_tells_its_first_place);
  RUN(a_million_ids_in_24_mb_at_every_moment_and_none_taken_for_another);
  RUN(many_earlier_lines_are_all_found_at_their_offsets);
  RUN(any_allocation_may_fail);
  CHECK_EQ(memory.live_bytes, 0);
  CHECK(!memory.size_mismatch);
  return check_report() || check_bad;
}
