/* test_buf.c: the growable buffer, and text in and out of JSON strings. */
#include "check.h"
#include "test_alloc.h"

#include <sheaf/buf.h>

#include "base/mem.h"

static test_alloc heap;
static sheaf_allocator allocator;
static sheaf_buf buf;

static void start(size_t bytes_max) {
  memset(&heap, 0, sizeof heap);
  allocator = test_allocator(&heap);
  sheaf_buf_init(&buf, &allocator, bytes_max);
}

static void finish(void) {
  sheaf_buf_deinit(&buf);
  CHECK_EQ(heap.live_blocks, 0);
  CHECK_EQ(heap.live_bytes, 0);
  CHECK(!heap.size_mismatch);
}

TEST(an_empty_buffer_holds_no_memory) {
  start(100);
  CHECK_EQ(sheaf_buf_slice(&buf).bytes, 0);
  CHECK_OK(sheaf_buf_append(&buf, NULL, 0));
  CHECK_OK(sheaf_buf_append_text(&buf, ""));
  CHECK_OK(sheaf_buf_append_slice(&buf, (sheaf_slice){NULL, 0}));
  CHECK_OK(sheaf_buf_append_escaped(&buf, (sheaf_slice){NULL, 0}));
  CHECK_OK(sheaf_buf_append_unescaped(&buf, (sheaf_slice){NULL, 0}));
  CHECK_EQ(heap.calls, 0);
  finish();
}

TEST(appends_join) {
  start(1000);
  CHECK_OK(sheaf_buf_append(&buf, "ab", 2));
  CHECK_OK(sheaf_buf_append_slice(&buf, SHEAF_LITERAL("cd")));
  CHECK_OK(sheaf_buf_append_text(&buf, "ef"));
  CHECK_TEXT(sheaf_buf_slice(&buf), "abcdef");
  finish();
}

TEST(growth_doubles_so_that_bytes_cost_few_allocations) {
  start(1 << 20);
  for (int i = 0; i < 1 << 16; i++) sheaf_buf_append(&buf, "x", 1);
  CHECK_OK(buf.status);
  CHECK_EQ(buf.bytes, 1 << 16);
  CHECK(heap.calls <= 17);
  CHECK(buf.capacity < 2 << 16);
  finish();
}

TEST(the_ceiling_can_be_filled_and_not_passed) {
  start(100);
  char bytes[101];
  memset(bytes, 'x', sizeof bytes);
  CHECK_OK(sheaf_buf_append(&buf, bytes, 70));
  CHECK_OK(sheaf_buf_append(&buf, bytes, 30));
  CHECK_EQ(buf.bytes, 100);
  CHECK(buf.capacity <= 100);
  CHECK_STATUS(sheaf_buf_append(&buf, bytes, 1), SHEAF_E_LIMIT);
  CHECK_EQ(buf.bytes, 100);
  finish();
  start(100);
  CHECK_STATUS(sheaf_buf_append(&buf, bytes, 101), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_buf_reserve(&buf, SIZE_MAX), SHEAF_E_LIMIT);
  finish();
  start(SIZE_MAX);
  CHECK_OK(sheaf_buf_append(&buf, bytes, 1));
  CHECK_STATUS(sheaf_buf_reserve(&buf, SIZE_MAX), SHEAF_E_LIMIT);
  finish();
}

TEST(the_first_failure_sticks_until_reset) {
  start(4);
  CHECK_OK(sheaf_buf_append_text(&buf, "abc"));
  CHECK_STATUS(sheaf_buf_append_text(&buf, "de"), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_buf_append_text(&buf, "d"), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_buf_append_u64(&buf, 1), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_buf_append_escaped(&buf, SHEAF_LITERAL("d")), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_buf_append_unescaped(&buf, SHEAF_LITERAL("d")), SHEAF_E_LIMIT);
  CHECK_STATUS(sheaf_buf_reserve(&buf, 1), SHEAF_E_LIMIT);
  CHECK_TEXT(sheaf_buf_slice(&buf), "abc");
  size_t capacity = buf.capacity;
  sheaf_buf_reset(&buf);
  CHECK_EQ(buf.bytes, 0);
  CHECK_EQ(buf.capacity, capacity);
  CHECK_OK(sheaf_buf_append_text(&buf, "wxyz"));
  CHECK_TEXT(sheaf_buf_slice(&buf), "wxyz");
  finish();
}

TEST(a_refusing_allocator_leaves_the_content) {
  for (uint64_t n = 1; n <= 4; n++) {
    start(1 << 20);
    heap.fail_at = n;
    for (int i = 0; i < 300; i++) sheaf_buf_append(&buf, "y", 1);
    CHECK_EQ(buf.status, n <= 4 && n <= heap.calls ? SHEAF_E_NOMEM : SHEAF_OK);
    if (n > 1) CHECK_EQ(buf.bytes, 64 << (n - 2));
    for (size_t i = 0; i < buf.bytes; i++) CHECK_EQ(buf.data[i], 'y');
    finish();
  }
}

TEST(reserved_room_is_written_in_place) {
  start(1000);
  CHECK_OK(sheaf_buf_reserve(&buf, 200));
  CHECK(buf.capacity >= 200);
  memset(buf.data + buf.bytes, 'r', 200);
  buf.bytes += 200;
  CHECK_EQ(heap.calls, 1);
  CHECK_OK(sheaf_buf_reserve(&buf, 0));
  finish();
}

TEST(deinit_leaves_an_empty_usable_buffer) {
  start(1000);
  sheaf_buf_append_text(&buf, "abc");
  sheaf_buf_deinit(&buf);
  CHECK_EQ(buf.bytes, 0);
  CHECK_OK(sheaf_buf_append_text(&buf, "d"));
  CHECK_TEXT(sheaf_buf_slice(&buf), "d");
  finish();
}

TEST(integers_are_written_in_decimal) {
  static const struct {
    uint64_t number;
    const char *text;
  } cases[] = {{0, "0"},
               {9, "9"},
               {10, "10"},
               {4294967296, "4294967296"},
               {UINT64_MAX, "18446744073709551615"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    start(100);
    CHECK_OK(sheaf_buf_append_u64(&buf, cases[i].number));
    CHECK_TEXT(sheaf_buf_slice(&buf), cases[i].text);
    finish();
  }
  start(100);
  sheaf_buf_append_i64(&buf, INT64_MIN);
  sheaf_buf_append_text(&buf, " ");
  sheaf_buf_append_i64(&buf, INT64_MAX);
  sheaf_buf_append_text(&buf, " ");
  sheaf_buf_append_i64(&buf, -1);
  CHECK_TEXT(sheaf_buf_slice(&buf), "-9223372036854775808 9223372036854775807 -1");
  finish();
}

/* U+FFFD, once for each "maximal subpart" of Unicode 15, section 3.9, whose table 3-8 gives cases 9 to 12. */
#define REPLACED "\xEF\xBF\xBD"

static const struct {
  const char *plain;
  size_t bytes;
  const char *escaped;
} escapes[] = {
#define TEXT(plain) plain, sizeof(plain) - 1
    {TEXT("plain"), "plain"},
    {TEXT("say \"hi\""), "say \\\"hi\\\""},
    {TEXT("back\\slash"), "back\\\\slash"},
    {TEXT("/"), "/"},
    {TEXT("\b\f\n\r\t"), "\\b\\f\\n\\r\\t"},
    {TEXT("\0\1\x0B\x1F"), "\\u0000\\u0001\\u000b\\u001f"},
    {TEXT("\x7F"), "\x7F"},
    {TEXT("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
    {TEXT("a\x80"
          "b"),
     "a" REPLACED "b"},
    {TEXT("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
          "A"),
     REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED "A"},
    {TEXT("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
          "A"),
     REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED "A"},
    {TEXT("\xF4\x91\x92\x93\xFF"
          "A\x80\xBF"
          "B"),
     REPLACED REPLACED REPLACED REPLACED REPLACED "A" REPLACED REPLACED "B"},
    {TEXT("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
          "A"),
     REPLACED REPLACED REPLACED REPLACED "A"},
    {TEXT("cut \xE2\x82"), "cut " REPLACED},
    {TEXT("\xF4\x8F\xBF\xBF\xEE\x80\x80\xED\x9F\xBF"), "\xF4\x8F\xBF\xBF\xEE\x80\x80\xED\x9F\xBF"},
    {TEXT("\xE0\xA0\x80\xE0\x9F\xBF"), "\xE0\xA0\x80" REPLACED REPLACED REPLACED},
    {TEXT("\xF0\x90\x80\x80\xF0\x8F\xBF\xBF"),
     "\xF0\x90\x80\x80" REPLACED REPLACED REPLACED REPLACED},
    {TEXT("\xC2\x80\xC1\xBF\xDF\xBF"), "\xC2\x80" REPLACED REPLACED "\xDF\xBF"},
#undef TEXT
};

/* At each distance from a word's edge, and against the buffer's very end (the copy has no byte to spare). */
TEST(text_is_escaped_wherever_it_lies) {
  for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
    for (size_t lead = 0; lead < 9; lead++) {
      start(1000);
      char *exact = sheaf__alloc(&allocator, lead + escapes[i].bytes + 1), wanted[200];
      memset(exact, 'x', lead);
      memcpy(exact + lead, escapes[i].plain, escapes[i].bytes);
      memset(wanted, 'x', lead);
      memcpy(wanted + lead, escapes[i].escaped, strlen(escapes[i].escaped) + 1);
      CHECK_OK(sheaf_buf_append_escaped(&buf, (sheaf_slice){exact, lead + escapes[i].bytes}));
      CHECK_TEXT(sheaf_buf_slice(&buf), wanted);
      sheaf__free(&allocator, exact, lead + escapes[i].bytes + 1);
      finish();
    }
  }
}

TEST(a_string_has_its_quotes) {
  start(100);
  CHECK_OK(sheaf_buf_append_string(&buf, SHEAF_LITERAL("a\nb")));
  CHECK_OK(sheaf_buf_append_string(&buf, (sheaf_slice){NULL, 0}));
  CHECK_TEXT(sheaf_buf_slice(&buf), "\"a\\nb\"\"\"");
  finish();
}

TEST(escaping_stops_at_the_ceiling) {
  for (size_t room = 0; room < 12; room++) {
    start(room);
    CHECK_STATUS(sheaf_buf_append_escaped(&buf, SHEAF_LITERAL("\x01\x02")), SHEAF_E_LIMIT);
    CHECK(buf.bytes <= room);
    finish();
  }
  start(12);
  CHECK_OK(sheaf_buf_append_escaped(&buf, SHEAF_LITERAL("\x01\x02")));
  CHECK_TEXT(sheaf_buf_slice(&buf), "\\u0001\\u0002");
  finish();
}

TEST(escapes_are_read_back) {
  static const struct {
    const char *inside;
    const char *plain;
  } cases[] = {
      {"plain", "plain"},
      {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
      {"\\u0041\\u00e9\\u20AC", "A\xC3\xA9\xE2\x82\xAC"},
      {"\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF"},
      {"\\ud83d\\ude00!", "\xF0\x9F\x98\x80!"},
      {"\\uD800\\uDC00\\uDBFF\\uDFFF", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
      {"\\ud83d", REPLACED},
      {"\\ude00x", REPLACED "x"},
      {"\\ud83dx", REPLACED "x"},
      {"\\ud83d\\n", REPLACED "\n"},
      {"\\ud83d\\u0041", REPLACED "A"},
      {"\\ud83d\\ud83d\\ude00", REPLACED "\xF0\x9F\x98\x80"},
      {"\\ude00\\ud83d", REPLACED REPLACED},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    start(1000);
    CHECK_OK(sheaf_buf_append_unescaped(&buf, sheaf_slice_of(cases[i].inside)));
    CHECK_TEXT(sheaf_buf_slice(&buf), cases[i].plain);
    finish();
  }
}

TEST(a_broken_escape_takes_the_text_back_and_does_not_stick) {
  static const char *const broken[] = {"ab\\",      "ab\\x",      "ab\\u",        "ab\\u12",
                                       "ab\\u12g4", "\\n\\u-123", "\\ud83d\\u12", "ab\\U0041"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    start(1000);
    sheaf_buf_append_text(&buf, "before");
    CHECK_STATUS(sheaf_buf_append_unescaped(&buf, sheaf_slice_of(broken[i])), SHEAF_E_SYNTAX);
    CHECK_TEXT(sheaf_buf_slice(&buf), "before");
    CHECK_OK(sheaf_buf_append_text(&buf, "!"));
    CHECK_TEXT(sheaf_buf_slice(&buf), "before!");
    finish();
  }
}

TEST(plain_text_may_fit_where_its_escapes_would_not) {
  start(3);
  CHECK_OK(sheaf_buf_append_unescaped(&buf, SHEAF_LITERAL("\\u0041\\u0042\\n")));
  CHECK_TEXT(sheaf_buf_slice(&buf), "AB\n");
  CHECK_STATUS(sheaf_buf_append_unescaped(&buf, SHEAF_LITERAL("\\n")), SHEAF_E_LIMIT);
  finish();
}

/* Every byte alone and every pair: escaped and read back gives the text, invalid bytes replaced. */
TEST(what_was_escaped_reads_back_the_same) {
  start(10000);
  for (int first = 0; first < 128; first++) {
    for (int second = 0; second < 128; second++) {
      char plain[2] = {(char)first, (char)second};
      sheaf_buf_reset(&buf);
      sheaf_buf_append_escaped(&buf, (sheaf_slice){plain, 2});
      sheaf_buf back;
      sheaf_buf_init(&back, &allocator, 100);
      sheaf_buf_append_unescaped(&back, sheaf_buf_slice(&buf));
      CHECK(back.bytes == 2 && memcmp(back.data, plain, 2) == 0);
      sheaf_buf_deinit(&back);
    }
  }
  finish();
}

TEST(zeroed_and_resized_memory_tells_its_sizes) {
  start(0);
  unsigned char *block = sheaf__alloc_zero(&allocator, 40);
  for (int i = 0; i < 40; i++) CHECK_EQ(block[i], 0);
  block[0] = 7;
  block = sheaf__realloc(&allocator, block, 40, 80);
  CHECK_EQ(block[0], 7);
  CHECK(sheaf__realloc(&allocator, block, 80, 0) == NULL);
  CHECK(sheaf__alloc(&allocator, 0) == NULL);
  sheaf__free(&allocator, NULL, 10);
  heap.fail_at = heap.calls + 1;
  CHECK(sheaf__alloc_zero(&allocator, 10) == NULL);
  finish();
}

int main(void) {
  RUN(an_empty_buffer_holds_no_memory);
  RUN(appends_join);
  RUN(growth_doubles_so_that_bytes_cost_few_allocations);
  RUN(the_ceiling_can_be_filled_and_not_passed);
  RUN(the_first_failure_sticks_until_reset);
  RUN(a_refusing_allocator_leaves_the_content);
  RUN(reserved_room_is_written_in_place);
  RUN(deinit_leaves_an_empty_usable_buffer);
  RUN(integers_are_written_in_decimal);
  RUN(text_is_escaped_wherever_it_lies);
  RUN(a_string_has_its_quotes);
  RUN(escaping_stops_at_the_ceiling);
  RUN(escapes_are_read_back);
  RUN(a_broken_escape_takes_the_text_back_and_does_not_stick);
  RUN(plain_text_may_fit_where_its_escapes_would_not);
  RUN(what_was_escaped_reads_back_the_same);
  RUN(zeroed_and_resized_memory_tells_its_sizes);
  return check_report();
}
