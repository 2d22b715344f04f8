/* test_job_lines.c: lines out of a download in pieces, and items of an array. */
#include <sheaf/line.h>

#include "base/random.h"
#include "lanes/batch_lines.h"

#include "check.h"
#include "test_alloc.h"

enum { CAP = 40 };

static test_alloc memory;
static sheaf_allocator allocator;
static uint64_t draws;

static uint64_t draw(uint64_t n) {
  return sheaf__draw(12, n, SHEAF__DRAW_TEST, draws++, 0);
}

/* What was read: each line behind a '[', and '!' for one that was too long. */
typedef struct seen {
  char text[4096];
  size_t bytes;
} seen;

static void see(seen *s, const char *data, size_t bytes) {
  CHECK(s->bytes + bytes < sizeof s->text);
  if (bytes && s->bytes + bytes < sizeof s->text) {
    memcpy(s->text + s->bytes, data, bytes);
    s->bytes += bytes;
  }
}

/* Takes all that the lines have for now; answers what ended it. */
static int32_t take(sheaf__lines *lines, seen *s) {
  for (;;) {
    sheaf_slice line = {NULL, 0};
    const int32_t status = sheaf__lines_next(lines, &line);
    if (status == SHEAF_E_TOO_LONG) {
      see(s, "!", 1);
    } else if (status == SHEAF_OK) {
      see(s, "[", 1);
      see(s, line.data, line.bytes);
    } else {
      return status;
    }
  }
}

/* A chunk in a block of its own, freed afterwards, so that a slice kept too long is found. */
static int32_t feed_copy(sheaf__lines *lines, const char *data, size_t bytes, seen *s) {
  char *copy = malloc(bytes ? bytes : 1);
  if (!copy) return SHEAF_E_NOMEM;
  if (bytes) memcpy(copy, data, bytes);
  int32_t status = sheaf__lines_feed(lines, (sheaf_slice){copy, bytes});
  if (status == SHEAF_OK) status = take(lines, s);
  free(copy);
  return status;
}

/* The text in chunks that end at the cuts. */
static void read_cut(sheaf_slice text, const size_t *cuts, size_t count, seen *s) {
  sheaf__lines lines;
  size_t at = 0;
  *s = (seen){.bytes = 0};
  sheaf__lines_init(&lines, &allocator, CAP);
  for (size_t i = 0; i <= count; i++) {
    const size_t to = i < count ? cuts[i] : text.bytes;
    CHECK_STATUS(feed_copy(&lines, text.data + at, to - at, s), SHEAF_E_EMPTY);
    at = to;
  }
  sheaf__lines_end(&lines);
  CHECK_STATUS(take(&lines, s), SHEAF_E_END);
  CHECK_STATUS(take(&lines, s), SHEAF_E_END);
  sheaf__lines_deinit(&lines);
  CHECK_EQ(memory.live_blocks, 0);
  CHECK(!memory.size_mismatch);
}

/* Wanted of a text, in whatever pieces it comes. */
static void check_text(sheaf_slice text, const char *wanted) {
  seen s;
  read_cut(text, NULL, 0, &s);
  CHECK_TEXT(((sheaf_slice){s.text, s.bytes}), wanted);
  for (size_t cut = 0; cut <= text.bytes; cut++) {
    read_cut(text, &cut, 1, &s);
    CHECK_TEXT(((sheaf_slice){s.text, s.bytes}), wanted);
    for (size_t second = cut; second <= text.bytes; second++) {
      const size_t cuts[2] = {cut, second};
      read_cut(text, cuts, 2, &s);
      CHECK_TEXT(((sheaf_slice){s.text, s.bytes}), wanted);
    }
  }
}

TEST(lines_cut_anywhere_are_the_same_lines) {
  check_text(SHEAF_LITERAL("{\"a\":1}\n{\"b\":2}\n"), "[{\"a\":1}[{\"b\":2}");
  check_text(SHEAF_LITERAL("one\ntwo"), "[one[two");
  check_text(SHEAF_LITERAL("one\r\ntwo\r\n\r\nthree\r"), "[one[two[three");
  check_text(SHEAF_LITERAL(""), "");
  check_text(SHEAF_LITERAL("\n\n \t\n\r\n  "), "");
  check_text(SHEAF_LITERAL("a\rb\r\r\n c \n"), "[a\rb\r[ c ");
}

TEST(a_byte_order_mark_is_dropped_at_the_beginning_alone) {
  check_text(SHEAF_LITERAL("\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo\n"), "[one[\xEF\xBB\xBFtwo");
  check_text(SHEAF_LITERAL("\xEF\xBB\xBF\r\none"), "[one");
  check_text(SHEAF_LITERAL("\xEF\xBB\xBF"), "");
  check_text(SHEAF_LITERAL("\n\xEF\xBB\xBFone"), "[\xEF\xBB\xBFone");
  check_text(SHEAF_LITERAL("\xEF\xBB"), "[\xEF\xBB");
}

/* CAP bytes pass, one more does not, and the lines around them are not touched. */
TEST(a_line_that_is_too_long_is_passed_over_once) {
  char text[2 * CAP + 16] = "a\n", wanted[2 * CAP + 16] = "[a[";
  memset(text + 2, 'x', CAP);
  strcpy(text + 2 + CAP, "\nb");
  memset(wanted + 3, 'x', CAP);
  strcpy(wanted + 3 + CAP, "[b");
  check_text(sheaf_slice_of(text), wanted);
  memset(text + 2, 'x', CAP + 1);
  strcpy(text + 3 + CAP, "\nb\n");
  check_text(sheaf_slice_of(text), "[a![b");
  text[3 + CAP] = '\0'; /* the last one, without LF */
  check_text(sheaf_slice_of(text), "[a!");
  memset(text, 'x', CAP);
  strcpy(text + CAP, "\r\nb"); /* the CR counts, wherever the chunks end */
  check_text(sheaf_slice_of(text), "![b");
  strcpy(text + CAP,
         "\r\n\xEF\xBB\xBF"
         "b"); /* and it was the first line */
  check_text(sheaf_slice_of(text),
             "![\xEF\xBB\xBF"
             "b");
}

/* Against lines made and joined here. */
TEST(random_lines_in_random_pieces_come_back) {
  for (int round = 0; round < 3000; round++) {
    char text[2048];
    seen wanted = {.bytes = 0}, got;
    size_t bytes = 0, cuts[8];
    const uint64_t lines = draw(30);
    for (uint64_t i = 0; i < lines; i++) {
      const size_t length = (size_t)draw(CAP + 4);
      const bool crlf = draw(3) == 0, whole = length + crlf <= CAP;
      if (length) see(&wanted, whole ? "[" : "!", 1);
      for (size_t at = 0; at < length; at++) {
        text[bytes] = (char)('a' + draw(25));
        if (whole) see(&wanted, text + bytes, 1);
        bytes++;
      }
      if (crlf) text[bytes++] = '\r';
      text[bytes++] = '\n';
    }
    if (bytes && draw(1)) { /* without the last LF */
      bytes--;
    }
    for (size_t i = 0; i < 8; i++) cuts[i] = (size_t)draw(bytes);
    for (size_t i = 0; i < 8; i++) /* into order */
      for (size_t j = i + 1; j < 8; j++)
        if (cuts[j] < cuts[i]) {
          const size_t t = cuts[i];
          cuts[i] = cuts[j];
          cuts[j] = t;
        }
    read_cut((sheaf_slice){text, bytes}, cuts, 8, &got);
    CHECK(got.bytes == wanted.bytes && memcmp(got.text, wanted.text, got.bytes) == 0);
  }
}

TEST(whole_lines_are_handed_out_where_they_lie) {
  static const char text[] = "one\ntwo\nthr";
  sheaf__lines lines;
  sheaf_slice line;
  memory.calls = 0;
  sheaf__lines_init(&lines, &allocator, SHEAF_LINE_BYTES_MAX);
  CHECK_OK(sheaf__lines_feed(&lines, sheaf_slice_of(text)));
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK(line.data == text && line.bytes == 3);
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK(line.data == text + 4 && line.bytes == 3);
  CHECK_EQ(memory.calls, 0);
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_EMPTY);
  CHECK_EQ(memory.calls, 1);
  CHECK_OK(sheaf__lines_feed(&lines, SHEAF_LITERAL("ee\nfour\n")));
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK_TEXT(line, "three");
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK_TEXT(line, "four");
  CHECK_EQ(memory.calls, 1);
  sheaf__lines_deinit(&lines);
}

TEST(a_chunk_before_the_last_is_used_up_is_a_misuse) {
  sheaf__lines lines;
  sheaf_slice line;
  sheaf__lines_init(&lines, &allocator, CAP);
  CHECK_OK(sheaf__lines_feed(&lines, SHEAF_LITERAL("a\nb")));
  CHECK_STATUS(sheaf__lines_feed(&lines, SHEAF_LITERAL("c")), SHEAF_E_MISUSE);
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_EMPTY);
  sheaf__lines_end(&lines);
  CHECK_STATUS(sheaf__lines_feed(&lines, SHEAF_LITERAL("c")), SHEAF_E_MISUSE);
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK_TEXT(line, "b");
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_END);
  sheaf__lines_reset(&lines); /* the next download begins as the first did */
  CHECK_OK(sheaf__lines_feed(&lines, SHEAF_LITERAL("\xEF\xBB\xBF"
                                                   "d\n")));
  CHECK_OK(sheaf__lines_next(&lines, &line));
  CHECK_TEXT(line, "d");
  sheaf__lines_deinit(&lines);
  CHECK_EQ(memory.live_blocks, 0);
}

/* Without memory nothing changed: the same call gives the same line when there is some. */
TEST(a_refused_allocation_loses_no_byte) {
  static const char text[] = "the first line\nand the second\n";
  for (uint64_t fail_at = 1; fail_at < 8; fail_at++) {
    sheaf__lines lines;
    seen s = {.bytes = 0};
    memory.calls = 0;
    memory.fail_at = fail_at;
    uint32_t refusals = 0;
    sheaf__lines_init(&lines, &allocator, CAP);
    for (size_t at = 0; at < sizeof text - 1; at += 5) {
      CHECK_OK(sheaf__lines_feed(&lines, (sheaf_slice){text + at, 5}));
      int32_t status = take(&lines, &s);
      if (status == SHEAF_E_NOMEM) refusals++, status = take(&lines, &s);
      CHECK_STATUS(status, SHEAF_E_EMPTY);
    }
    sheaf__lines_end(&lines);
    CHECK_STATUS(take(&lines, &s), SHEAF_E_END);
    CHECK_TEXT(((sheaf_slice){s.text, s.bytes}), "[the first line[and the second");
    CHECK_EQ(refusals, memory.calls >= fail_at);
    if (fail_at == 1) CHECK_EQ(refusals, 1);
    sheaf__lines_deinit(&lines);
    CHECK_EQ(memory.live_blocks, 0);
  }
  memory.fail_at = 0;
}

TEST(items_of_an_array_come_like_lines) {
  sheaf__lines lines;
  sheaf_slice line;
  sheaf__lines_init(&lines, &allocator, CAP);
  const char *array = "[ {\"a\":[1,2]} ,\n\"x,]\", 3,null,[] ]";
  static const char *const wanted[] = {"{\"a\":[1,2]}", "\"x,]\"", "3", "null", "[]"};
  CHECK_OK(sheaf__lines_open_array(&lines, sheaf_slice_of(array)));
  CHECK_STATUS(sheaf__lines_feed(&lines, SHEAF_LITERAL("x\n")), SHEAF_E_MISUSE);
  for (size_t i = 0; i < 5; i++) {
    CHECK_OK(sheaf__lines_next(&lines, &line));
    CHECK_TEXT(line, wanted[i]);
  }
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_END);
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_END);
  sheaf__lines_reset(&lines);
  CHECK_OK(sheaf__lines_open_array(&lines, SHEAF_LITERAL("[]")));
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_END);
  sheaf__lines_reset(&lines);
  CHECK_STATUS(sheaf__lines_open_array(&lines, SHEAF_LITERAL("{}")), SHEAF_E_TYPE);
  CHECK_STATUS(sheaf__lines_open_array(&lines, SHEAF_LITERAL("")), SHEAF_E_TYPE);
  CHECK_STATUS(sheaf__lines_open_array(&lines, SHEAF_LITERAL("[1,")), SHEAF_E_PARTIAL);
  CHECK_STATUS(sheaf__lines_open_array(&lines, SHEAF_LITERAL("[1,]")), SHEAF_E_SYNTAX);
  CHECK_STATUS(sheaf__lines_next(&lines, &line), SHEAF_E_EMPTY); /* still of chunks */
  sheaf__lines_deinit(&lines);
  CHECK_EQ(memory.live_blocks, 0);
}

int main(void) {
  allocator = test_allocator(&memory);
  RUN(lines_cut_anywhere_are_the_same_lines);
  RUN(a_byte_order_mark_is_dropped_at_the_beginning_alone);
  RUN(a_line_that_is_too_long_is_passed_over_once);
  RUN(random_lines_in_random_pieces_come_back);
  RUN(whole_lines_are_handed_out_where_they_lie);
  RUN(a_chunk_before_the_last_is_used_up_is_a_misuse);
  RUN(a_refused_allocation_loses_no_byte);
  RUN(items_of_an_array_come_like_lines);
  return check_report();
}
