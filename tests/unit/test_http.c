/* test_http.c: durations, dates and numbers of headers. Unix times were computed with `date -u -d … +%s`. */
#include "check.h"

#include <sheaf/provider.h>

#include "base/mem.h"
#include "wire/http.h"

#define MS(n) ((uint64_t)(n)*SHEAF__MS)
#define SECONDS(n) ((uint64_t)(n)*SHEAF__SECOND)

typedef struct wait_case {
  const char *text;
  uint64_t ns;
} wait_case;

TEST(durations_are_read_as_go_writes_them) {
  static const wait_case cases[] = {
      {"1s", SECONDS(1)},
      {"6m0s", SECONDS(360)},
      {"12ms", MS(12)},
      {"547ms", MS(547)},
      {"33.023s", MS(33023)},
      {"2m52.8s", MS(172800)},
      {"1m12s", SECONDS(72)},
      {"1h2m3.5s", MS(3723500)},
      {"1h", SECONDS(3600)},
      {"1h30m0.5s", MS(5400500)},
      {"0s", 0},
      {"0", 0},
      {"64", SECONDS(64)},
      {"0.25", MS(250)},
      {".5s", MS(500)},
      {"5.s", SECONDS(5)},
      {"1.5h", SECONDS(5400)},
      {"100us", 100000},
      {"100\xC2\xB5s", 100000},
      {"100\xCE\xBCs", 100000},
      {"15ns", 15},
      {"1m5ms", MS(60005)},
      {"1s1s", SECONDS(2)},
      {" 7s ", SECONDS(7)},
      {"34s", SECONDS(34)},
      {"47.25s", MS(47250)},
      {"0.05s", MS(50)},
      {"1.000000001s", 1000000001},
      {"1.0000000001s", 1000000001}, /* rounded up */
      {"1.0000000000s", 1000000000},
      {"0.1ns", 1},
      {"0.0000000001m", 6},
      {"0.00000000000000000000000000000000000000000000h", 0},
      {"99999999999999999999999999s", SHEAF_NEVER - 1},
      {"18446744073709551615ns", SHEAF_NEVER - 1},
      {"18446744073709551613ns", SHEAF_NEVER - 2},
      {"5124096h", SHEAF_NEVER - 1}, /* the first whole hour beyond 2^64 ns */
      {"", SHEAF_NEVER},
      {" ", SHEAF_NEVER},
      {"s", SHEAF_NEVER},
      {".", SHEAF_NEVER},
      {".s", SHEAF_NEVER},
      {"-1s", SHEAF_NEVER},
      {"+1s", SHEAF_NEVER},
      {"1x", SHEAF_NEVER},
      {"1S", SHEAF_NEVER},
      {"1m 2s", SHEAF_NEVER},
      {"1m2", SHEAF_NEVER},
      {"2 1m", SHEAF_NEVER},
      {"1.2.3s", SHEAF_NEVER},
      {"1e3", SHEAF_NEVER},
      {"1d", SHEAF_NEVER},
      {"never", SHEAF_NEVER},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t ns = sheaf__duration_ns(sheaf_slice_of(cases[i].text));
    if (ns != cases[i].ns) printf("case \"%s\"\n", cases[i].text);
    CHECK_EQ(ns, cases[i].ns);
  }
}

typedef struct date_case {
  const char *text;
  int64_t unix_ms;
} date_case;

TEST(dates_are_read_in_all_their_forms) {
  static const date_case cases[] = {
      {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000},
      {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
      {"Sun Nov  6 08:49:37 1994", 784111777000},
      {"Wed Nov 16 08:49:37 1994", 784975777000},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
      {"Wed, 31 Dec 1969 23:59:59 GMT", -1000},
      {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000000},
      {"Tuesday, 01-Jan-69 00:00:00 GMT", -31536000000},
      {"Sunday, 01-Jan-68 00:00:00 GMT", 3092601600000},
      {"1970-01-01T00:00:00Z", 0},
      {"2024-02-29T12:00:00Z", 1709208000000},
      {"2026-11-21T07:57:00Z", 1795247820000},
      {"2026-11-21t07:57:00z", 1795247820000},
      {"2026-11-21 07:57:00Z", 1795247820000},
      {"2026-11-21T09:57:00+02:00", 1795247820000},
      {"2026-11-20T22:27:00-09:30", 1795247820000},
      {"2025-04-11T17:18:57.044758+00:00", 1744391937044},
      {"2025-04-11T17:18:57.5Z", 1744391937500},
      {"2025-04-11T17:18:57.999999999999Z", 1744391937999},
      {"2016-12-31T23:59:60Z", 1483228800000},
      {"0000-03-01T00:00:00Z", -62162035200000},
      {"0001-01-01T00:00:00Z", -62135596800000},
      {"0000-01-01T00:00:00Z", -62167219200000},
      {"9999-12-31T23:59:59Z", 253402300799000},
      {"1900-02-28T00:00:00Z", -2203977600000},
      {" 1970-01-01T00:00:01Z\r", 1000},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t unix_ms = sheaf__date_unix_ms(sheaf_slice_of(cases[i].text));
    if (unix_ms != cases[i].unix_ms) printf("case \"%s\"\n", cases[i].text);
    CHECK_EQ(unix_ms, cases[i].unix_ms);
  }
}

TEST(what_is_no_date_is_absent) {
  static const char *const cases[] = {"",
                                      "soon",
                                      "1994",
                                      "2023-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2024-13-01T00:00:00Z",
                                      "2024-00-01T00:00:00Z",
                                      "2024-01-00T00:00:00Z",
                                      "2024-04-31T00:00:00Z",
                                      "2024-01-01T24:00:00Z",
                                      "2024-01-01T00:60:00Z",
                                      "2024-01-01T00:00:61Z",
                                      "2024-01-01T00:00:00",
                                      "2024-01-01T00:00:00+24:00",
                                      "2024-01-01T00:00:00+01:60",
                                      "2024-01-01T00:00:00+0100",
                                      "2024-01-01T00:00:00.Z",
                                      "2024-01-01T00:00:00Zx",
                                      "2024-1-1T00:00:00Z",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 CET",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Abc 1994 08:49:37 GMT",
                                      "Sun, 06-Nov-1994 08:49:37 GMT",
                                      "Sun, 31 Nov 1994 08:49:37 GMT",
                                      "Su, 06 Nov 1994 08:49:37 GMT",
                                      "Sun Nov 6 08:49:37 1994",
                                      "Sun Nov  6 08:49:37 94"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t unix_ms = sheaf__date_unix_ms(sheaf_slice_of(cases[i]));
    if (unix_ms != INT64_MIN) printf("case \"%s\"\n", cases[i]);
    CHECK_EQ(unix_ms, INT64_MIN);
  }
}

/* The calendar is right if each day follows the one before: counted, not computed. */
TEST(every_day_of_four_centuries_follows_its_yesterday) {
  static const int days_in[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t wanted = 0;
  for (int year = 1970; year < 2370; year++) {
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    for (int month = 1; month <= 12; month++) {
      int days = days_in[month - 1] + (month == 2 && leap);
      for (int day = 1; day <= days; day++, wanted += 86400000) {
        char text[64];
        snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
        if (sheaf__date_unix_ms(sheaf_slice_of(text)) != wanted)
          CHECK_TEXT(sheaf_slice_of(text), "");
      }
    }
  }
}

TEST(decimals_may_be_negative) {
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL("0")), 0);
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL(" 149999 ")), 149999);
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL("-27689")), -27689);
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL("+5")), 5);
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL("007")), 7);
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL("9223372036854775807")), INT64_MAX);
  CHECK_EQ(sheaf__decimal(SHEAF_LITERAL("-9223372036854775807")), -INT64_MAX);
  static const char *const absent[] = {"",
                                       " ",
                                       "-",
                                       "+",
                                       "1.5",
                                       "1e3",
                                       "x",
                                       "1 2",
                                       "--1",
                                       "9223372036854775808",
                                       "-9223372036854775808",
                                       "99999999999999999999999"};
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
    CHECK_EQ(sheaf__decimal(sheaf_slice_of(absent[i])), SHEAF_ABSENT);
  }
}

TEST(case_is_ignored_in_ascii_only) {
  CHECK(sheaf__equals_nocase(SHEAF_LITERAL("Retry-After"), "retry-after"));
  CHECK(sheaf__equals_nocase(SHEAF_LITERAL(""), ""));
  CHECK(sheaf__equals_nocase((sheaf_slice){NULL, 0}, ""));
  CHECK(!sheaf__equals_nocase(SHEAF_LITERAL("retry"), "retry-after"));
  CHECK(!sheaf__equals_nocase(SHEAF_LITERAL("retry-after"), "retry"));
  CHECK(!sheaf__equals_nocase(SHEAF_LITERAL("\x0D"), "-")); /* 0x20 apart, yet no letters */
  CHECK(!sheaf__equals_nocase(SHEAF_LITERAL("@"), "`"));
  CHECK(!sheaf__equals_nocase(SHEAF_LITERAL("a\0"), "a"));
}

static const char block[] =
    "HTTP/1.1 200 OK\r\n"
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type:application/json\r\n"
    "X-Empty:\r\n"
    "X-Request-ID:  \treq_1 \t\n"
    "\r\n"
    "X-Twice: first\n"
    " folded: away\n"
    ": nameless\n"
    "x-twice: second\n"
    "X-Colons: a:b:c\n"
    "Last: no line end";

TEST(a_header_is_found_without_case) {
  sheaf_slice headers = SHEAF_LITERAL(block);
  CHECK_TEXT(sheaf_header_find(headers, "content-type"), "application/json");
  CHECK_TEXT(sheaf_header_find(headers, "x-request-id"), "req_1");
  CHECK_TEXT(sheaf_header_find(headers, "X-REQUEST-ID"), "req_1");
  CHECK_TEXT(sheaf_header_find(headers, "x-twice"), "first");
  CHECK_TEXT(sheaf_header_find(headers, "x-colons"), "a:b:c");
  CHECK_TEXT(sheaf_header_find(headers, "last"), "no line end");
  CHECK_TEXT(sheaf_header_find(headers, "x-empty"), "");
  CHECK_TEXT(sheaf_header_find(headers, "x-request"), "");
  CHECK_TEXT(sheaf_header_find(headers, "request-id"), "");
  CHECK_TEXT(sheaf_header_find(headers, ""), "");
  CHECK_TEXT(sheaf_header_find((sheaf_slice){NULL, 0}, "last"), "");
}

TEST(a_walk_gives_each_header_once) {
  static const char *const wanted[][2] = {{"Date", "Sun, 06 Nov 1994 08:49:37 GMT"},
                                          {"Content-Type", "application/json"},
                                          {"X-Empty", ""},
                                          {"X-Request-ID", "req_1"},
                                          {"X-Twice", "first"},
                                          {"x-twice", "second"},
                                          {"X-Colons", "a:b:c"},
                                          {"Last", "no line end"}};
  size_t at = 0, count = 0;
  sheaf_slice name, value;
  while (sheaf__header_next(SHEAF_LITERAL(block), &at, &name, &value) == SHEAF_OK) {
    if (count < sizeof wanted / sizeof *wanted) {
      CHECK_TEXT(name, wanted[count][0]);
      CHECK_TEXT(value, wanted[count][1]);
    }
    count++;
  }
  CHECK_EQ(count, sizeof wanted / sizeof *wanted);
  CHECK_STATUS(sheaf__header_next(SHEAF_LITERAL(block), &at, &name, &value), SHEAF_E_END);
  at = 0;
  CHECK_STATUS(sheaf__header_next((sheaf_slice){NULL, 0}, &at, &name, &value), SHEAF_E_END);
}

TEST(resets_are_read_in_any_spelling) {
  enum { NOW = 784111777 };
  static const wait_case cases[] = {
      {"6m0s", SECONDS(360)},
      {"64", SECONDS(64)},
      {"0", 0},
      {"0.5", MS(500)},
      {"1994-11-06T08:49:47Z", SECONDS(10)},
      {"1994-11-06T08:49:37.250Z", MS(250)},
      {"1994-11-06T08:49:36Z", 0},
      {"Sun, 06 Nov 1994 08:50:37 GMT", SECONDS(60)},
      {"999999999", SECONDS(999999999)},
      {"1784111777", SECONDS(1000000000)},
      {"1784111777000", SECONDS(1000000000)},
      {"9999-12-31T23:59:59Z", SHEAF_NEVER - 1}, /* 8005 years are more than 2^64 ns */
      {"-5", SHEAF_NEVER},
      {"later", SHEAF_NEVER},
      {"", SHEAF_NEVER},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t ns = sheaf__reset_ns(sheaf_slice_of(cases[i].text), NOW * 1000ll);
    if (ns != cases[i].ns) printf("case \"%s\"\n", cases[i].text);
    CHECK_EQ(ns, cases[i].ns);
  }
}

TEST(the_wait_told_in_milliseconds_wins) {
  static const wait_case cases[] = {
      {"retry-after-ms: 250\nretry-after: 9\n", MS(250)},
      {"Retry-After: 9\nRetry-After-Ms: 250.5\n", 250500000},
      {"retry-after-ms: 0\nretry-after: 9\n", 0},
      {"retry-after-ms: soon\nretry-after: 9\n", SECONDS(9)},
      {"retry-after-ms: -1\nretry-after: 9\n", SECONDS(9)},
      {"retry-after-ms:\nretry-after: 9\n", SECONDS(9)},
      {"retry-after: 0\n", 0},
      {"retry-after: 1.5\n", MS(1500)},
      {"retry-after: 20\r\n", SECONDS(20)},
      {"retry-after: 86400\n", SECONDS(86400)},
      {"retry-after: -1\n", SHEAF_NEVER},
      {"retry-after: soon\n", SHEAF_NEVER},
      {"content-type: text/html\n", SHEAF_NEVER},
      {"", SHEAF_NEVER},
      /* Against the reply's own date where it has one, so that a wrong clock of ours does no harm. */
      {"date: Sun, 06 Nov 1994 08:49:37 GMT\nretry-after: Sun, 06 Nov 1994 08:49:57 GMT\n",
       SECONDS(20)},
      {"date: Sun, 06 Nov 1994 08:49:37 GMT\nretry-after: Sun, 06 Nov 1994 08:49:07 GMT\n", 0},
      {"retry-after: Thu, 01 Jan 1970 00:01:40 GMT\n", SECONDS(90)},
      {"date: nonsense\nretry-after: Thu, 01 Jan 1970 00:01:40 GMT\n", SECONDS(90)},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t ns = sheaf__retry_after_ns(sheaf_slice_of(cases[i].text), 10000);
    if (ns != cases[i].ns) printf("case \"%s\"\n", cases[i].text);
    CHECK_EQ(ns, cases[i].ns);
  }
}

TEST(the_wall_time_of_a_reply_is_its_date) {
  CHECK_EQ(sheaf__reply_unix_ms(SHEAF_LITERAL(block), 5), 784111777000);
  CHECK_EQ(sheaf__reply_unix_ms(SHEAF_LITERAL("x: y\n"), 5), 5);
}

int main(void) {
  RUN(durations_are_read_as_go_writes_them);
  RUN(dates_are_read_in_all_their_forms);
  RUN(what_is_no_date_is_absent);
  RUN(every_day_of_four_centuries_follows_its_yesterday);
  RUN(decimals_may_be_negative);
  RUN(case_is_ignored_in_ascii_only);
  RUN(a_header_is_found_without_case);
  RUN(a_walk_gives_each_header_once);
  RUN(resets_are_read_in_any_spelling);
  RUN(the_wait_told_in_milliseconds_wins);
  RUN(the_wall_time_of_a_reply_is_its_date);
  return check_report();
}
