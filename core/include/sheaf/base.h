/* sheaf/base.h: what every other header stands on: slices, status codes, error classes, the
 * allocator.
 *
 * The whole core is free of I/O, threads, clocks and globals. Nothing here allocates. */
#ifndef SHEAF_BASE_H
#define SHEAF_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define SHEAF_API
#elif defined(__GNUC__)
#define SHEAF_API __attribute__((visibility("default")))
#else
#define SHEAF_API
#endif

#define SHEAF_VERSION_MAJOR 0
#define SHEAF_VERSION_MINOR 1
#define SHEAF_VERSION_PATCH 0
#define SHEAF_VERSION_STRING "0.1.0"

/* The version the library was built as, "major.minor.patch", static. Since 0.1. */
SHEAF_API const char *sheaf_version(void);

/* No time: a deadline that never comes. Monotonic times are uint64_t nanoseconds. */
#define SHEAF_NEVER UINT64_MAX

/* A count that was not reported. Distinct from 0 everywhere (usage, cost, limits). */
#define SHEAF_ABSENT INT64_MIN

/* Bytes that belong to somebody else. Not terminated. {NULL, 0} is the empty slice. */
typedef struct sheaf_slice {
  const char *data;
  size_t bytes;
} sheaf_slice;

/* A slice of a string literal. */
#define SHEAF_LITERAL(text) ((sheaf_slice){(text), sizeof(text) - 1})

/* A slice of a terminated string; NULL gives the empty slice. Since 0.1. */
SHEAF_API sheaf_slice sheaf_slice_of(const char *text);

/* What a call can answer. A code speaks of the call; the fate of a request is data (sheaf_result).
 * Numbers are never reused. -1..-19 answers, -20..-39 the caller's, -40..-59 bytes that do not
 * parse, -60..-79 the host's doors. */
#define SHEAF_STATUS_MAP(X)                                                    \
  X(OK, 0, "done")                                                             \
  X(E_EMPTY, -1, "nothing to take now")                                        \
  X(E_LATER, -2, "not ready yet, ask again")                                   \
  X(E_END, -3, "no more will come")                                            \
  X(E_FULL, -4, "no room now, come back after a result")                       \
  X(E_NOMEM, -20, "the allocator refused")                                     \
  X(E_MISUSE, -21, "the call is not allowed here or an argument is not valid") \
  X(E_RANGE, -22, "a value is outside its range")                              \
  X(E_LIMIT, -23, "a ceiling was reached")                                     \
  X(E_UNSUPPORTED, -24, "the provider does not offer this")                    \
  X(E_NOT_FOUND, -25, "there is no such thing")                                \
  X(E_INTERNAL, -39, "a defect in sheaf")                                      \
  X(E_SYNTAX, -40, "not valid JSON")                                           \
  X(E_TYPE, -41, "a field has the wrong type")                                 \
  X(E_FIELD, -42, "a field is missing, unknown or contradicts another")        \
  X(E_DUPLICATE, -43, "the custom_id was used before")                         \
  X(E_UTF8, -44, "not valid UTF-8")                                            \
  X(E_PARTIAL, -45, "ends too early")                                          \
  X(E_TOO_LONG, -46, "longer than its ceiling")                                \
  X(E_DEPTH, -47, "nested deeper than its ceiling")                            \
  X(E_IO, -60, "reading or writing failed")                                    \
  X(E_STORE, -61, "the store failed")                                          \
  X(E_CORRUPT, -62, "durable data is damaged")                                 \
  X(E_VERSION, -63, "written by a newer version")                              \
  X(E_OTHER_RUN, -64, "belongs to another run")                                \
  X(E_AUTH, -65, "no key where one is needed")                                 \
  X(E_CANCELLED, -66, "was cancelled")                                         \
  X(E_ALL_FAILED, -67, "every request of the batch failed")

enum {
#define SHEAF_STATUS_ENUM(name, number, text) SHEAF_##name = (number),
  SHEAF_STATUS_MAP(SHEAF_STATUS_ENUM)
#undef SHEAF_STATUS_ENUM
};

/* "SHEAF_E_FULL", and the sentence. Static text; unknown codes give "SHEAF_E_?" and "unknown
 * status". */
SHEAF_API const char *sheaf_status_name(int32_t status);
SHEAF_API const char *sheaf_status_text(int32_t status);

/* Why a request failed, in every language. Numbers are never reused. 0 is success. */
#define SHEAF_CLASS_MAP(X)                    \
  X(NONE, 0, "none")                          \
  X(RATE_LIMIT, 1, "rate_limit")              \
  X(OVERLOADED, 2, "overloaded")              \
  X(TIMEOUT, 3, "timeout")                    \
  X(NETWORK, 4, "network")                    \
  X(SERVER, 5, "server")                      \
  X(AUTH, 6, "auth")                          \
  X(QUOTA, 7, "quota")                        \
  X(INVALID_REQUEST, 8, "invalid_request")    \
  X(NOT_FOUND, 9, "not_found")                \
  X(CONTEXT_LENGTH, 10, "context_length")     \
  X(CONTENT_FILTER, 11, "content_filter")     \
  X(INVALID_RESPONSE, 12, "invalid_response") \
  X(UNKNOWN_OUTCOME, 13, "unknown_outcome")   \
  X(CANCELLED, 14, "cancelled")               \
  X(DEADLINE, 15, "deadline")                 \
  X(BUDGET, 16, "budget")                     \
  X(BREAKER_OPEN, 17, "breaker_open")         \
  X(QUEUE_FULL, 18, "queue_full")             \
  X(EXPIRED, 19, "expired")                   \
  X(MISSING, 20, "missing")                   \
  X(MISMATCHED, 21, "mismatched")             \
  X(STORE, 22, "store")                       \
  X(UNKNOWN, 23, "unknown")                   \
  X(INTERNAL, 24, "internal")

enum {
#define SHEAF_CLASS_ENUM(name, number, text) SHEAF_CLASS_##name = (number),
  SHEAF_CLASS_MAP(SHEAF_CLASS_ENUM)
#undef SHEAF_CLASS_ENUM
      SHEAF_CLASS_COUNT = 25
};

/* "rate_limit", ...; static; an unknown number gives "unknown". */
SHEAF_API const char *sheaf_class_name(uint32_t error_class);

/* What an attempt cost, as far as it can be known (rule 6). */
enum {
  SHEAF_BILLING_NOT_SENT = 0, /* no byte of the request left */
  SHEAF_BILLING_REFUSED = 1,  /* the provider answered without doing the work */
  SHEAF_BILLING_UNKNOWN = 2,  /* bytes left and no verdict came: may have been billed */
  SHEAF_BILLING_BILLED = 3    /* the provider did the work */
};
SHEAF_API const char *sheaf_billing_name(uint32_t billing);

/* Classes of priority; any number 1..100 is accepted and falls into the nearest class not above it.
 */
enum {
  SHEAF_PRIORITY_DEFERRABLE = 10,
  SHEAF_PRIORITY_LOW = 25,
  SHEAF_PRIORITY_NORMAL = 50,
  SHEAF_PRIORITY_HIGH = 75,
  SHEAF_PRIORITY_URGENT = 100
};

/* All memory of an object tree. new_bytes 0 frees (and answers NULL); ptr NULL allocates. old_bytes
 * is what was asked for last time. A refusal answers NULL and leaves ptr as it was. */
typedef struct sheaf_allocator {
  void *(*realloc)(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes);
  void *ctx;
} sheaf_allocator;

/* Where and why bytes did not parse. Filled on failure only; message is static text. */
typedef struct sheaf_parse_error {
  int32_t status;
  uint32_t column;     /* 1-based byte column in the line; 0 = no place */
  size_t offset;       /* 0-based byte offset */
  const char *field;   /* the field concerned, or NULL; static */
  const char *message; /* one sentence with the remedy; static */
} sheaf_parse_error;

#ifdef __cplusplus
}
#endif

#endif
