/* http.h: values of HTTP headers: durations, dates, numbers. Everything unreadable is "absent". */
#ifndef SHEAF_HTTP_H
#define SHEAF_HTTP_H

#include <sheaf/buf.h>

/* "12ms", "6m0s", "1h2m3.5s", "64" (seconds), "0.25" -> ns; SHEAF_NEVER if unreadable. Go's units,
 * "µs" too. */
uint64_t sheaf__duration_ns(sheaf_slice text);
/* RFC 3339 or an HTTP date (IMF-fixdate, RFC 850, asctime) -> unix ms; INT64_MIN if unreadable. */
int64_t sheaf__date_unix_ms(sheaf_slice text);
/* A reset value of any spelling (duration, seconds, RFC 3339 against `now_unix_ms`) -> ns from now,
 * 0 if past; SHEAF_NEVER. */
uint64_t sheaf__reset_ns(sheaf_slice text, int64_t now_unix_ms);
/* retry-after-ms, else retry-after (seconds, fractional, or a date against the reply's Date or
 * unix_ms); SHEAF_NEVER. */
uint64_t sheaf__retry_after_ns(sheaf_slice headers, int64_t unix_ms);
/* Wall time of the reply: its Date header, else unix_ms. */
int64_t sheaf__reply_unix_ms(sheaf_slice headers, int64_t unix_ms);
/* A decimal integer, sign allowed; SHEAF_ABSENT if unreadable. */
int64_t sheaf__decimal(sheaf_slice text);
/* Walks "name: value" lines: SHEAF_OK or SHEAF_E_END; *at starts at 0. Space around the value is
 * cut. */
int32_t sheaf__header_next(sheaf_slice headers, size_t *at, sheaf_slice *name, sheaf_slice *value);
/* scheme://host[:port] of a URL: what a key belongs to. */
sheaf_slice sheaf__url_origin(sheaf_slice url);
/* ASCII, without case. */
bool sheaf__equals_nocase(sheaf_slice text, const char *lower);

#endif
