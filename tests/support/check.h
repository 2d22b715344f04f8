/* check.h: a small test harness that also runs inside wasm: no setjmp, no threads, no signals.
 *
 * A failed check prints both values, is counted, and the test goes on. Checks survive NDEBUG.
 *
 *   TEST(name_says_the_behaviour) { CHECK_EQ(1 + 1, 2); }
 *   int main(void) { RUN(name_says_the_behaviour); return check_report(); } */
#ifndef CHECK_H
#define CHECK_H

#include <sheaf/base.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int check_passed, check_failed, check_bad;

#define TEST(name) static void name(void)

#define RUN(name)                                                                                  \
  do {                                                                                             \
    check_bad = 0;                                                                                 \
    name();                                                                                        \
    if (check_bad)                                                                                 \
      check_failed++, printf("FAILED %s\n", #name);                                                \
    else                                                                                           \
      check_passed++;                                                                              \
  } while (0)

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) check_bad++, printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
  } while (0)

#define CHECK_EQ(a, b)                                                                             \
  do {                                                                                             \
    long long check_a = (long long)(a), check_b = (long long)(b);                                  \
    if (check_a != check_b)                                                                        \
      check_bad++, printf("%s:%d: %s is %lld, %s is %lld\n", __FILE__, __LINE__, #a, check_a, #b,  \
                          check_b);                                                                \
  } while (0)

#define CHECK_OK(call)                                                                             \
  do {                                                                                             \
    int32_t check_status = (call);                                                                 \
    if (check_status != SHEAF_OK)                                                                  \
      check_bad++, printf("%s:%d: %s answers %s\n", __FILE__, __LINE__, #call,                     \
                          sheaf_status_name(check_status));                                        \
  } while (0)

#define CHECK_STATUS(call, wanted)                                                                 \
  do {                                                                                             \
    int32_t check_status = (call);                                                                 \
    if (check_status != (wanted))                                                                  \
      check_bad++, printf("%s:%d: %s answers %s, not %s\n", __FILE__, __LINE__, #call,             \
                          sheaf_status_name(check_status), sheaf_status_name(wanted));             \
  } while (0)

/* A slice against terminated text. */
#define CHECK_TEXT(slice, text)                                                                    \
  do {                                                                                             \
    sheaf_slice check_slice = (slice);                                                             \
    const char *check_text = (text);                                                               \
    if (check_slice.bytes != strlen(check_text) ||                                                 \
        memcmp(check_slice.data ? check_slice.data : "", check_text, check_slice.bytes) != 0)      \
      check_bad++, printf("%s:%d: %s is \"%.*s\", not \"%s\"\n", __FILE__, __LINE__, #slice,       \
                          (int)check_slice.bytes, check_slice.data ? check_slice.data : "",        \
                          check_text);                                                             \
  } while (0)

static inline int check_report(void) {
  printf("%d passed, %d failed\n", check_passed, check_failed);
  return check_failed || !check_passed;
}

#endif
