/* limits.c: rate limits in headers. Most replies of most servers have none, so a line is passed
 * over by its first byte, and nothing is parsed before a name matched. */
#include "providers/limits.h"

#include "providers/decoding.h"
#include "wire/http.h"

enum { WHAT_LIMIT, WHAT_REMAINING, WHAT_RESET, WHAT_COUNT };
static const char *const whats[WHAT_COUNT] = {"limit", "remaining", "reset"};

static char lower_of(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool starts_nocase(const char *text, size_t bytes, const char *prefix, size_t prefix_bytes) {
  if (bytes < prefix_bytes) return false;
  for (size_t i = 0; i < prefix_bytes; i++) {
    if (lower_of(text[i]) != prefix[i]) return false;
  }
  return true;
}

/* "A-B" with A from one list and B from the other. */
static bool split_matches(sheaf_slice name, const char *first, const char *second) {
  size_t first_bytes = strlen(first), second_bytes = strlen(second);
  if (name.bytes != first_bytes + 1 + second_bytes || name.data[first_bytes] != '-') return false;
  return starts_nocase(name.data, name.bytes, first, first_bytes) &&
         starts_nocase(name.data + first_bytes + 1, second_bytes, second, second_bytes);
}

static void set_limit(sheaf_limit *limit, uint32_t what, sheaf_slice value,
                      const sheaf_reply *reply, int64_t *now_unix_ms) {
  if (what == WHAT_LIMIT) {
    limit->limit = sheaf__decimal(value);
  } else if (what == WHAT_REMAINING) {
    limit->remaining = sheaf__decimal(value);
  } else {
    /* Stamps are read against the reply's own clock; its Date is looked up once. */
    if (*now_unix_ms == INT64_MIN) {
      *now_unix_ms = sheaf__reply_unix_ms(reply->headers, reply->unix_ms);
    }
    limit->reset_ns = sheaf__reset_ns(value, *now_unix_ms);
  }
}

/* Which limit a header speaks of, behind the prefix. */
static bool find_limit(sheaf_slice rest, bool resource_first, const sheaf__limit_name *names,
                       uint32_t name_count, uint32_t *which, uint32_t *what) {
  for (uint32_t i = 0; i < name_count; i++) {
    for (uint32_t j = 0; j < WHAT_COUNT; j++) {
      const char *first = resource_first ? names[i].name : whats[j];
      const char *second = resource_first ? whats[j] : names[i].name;
      if (!split_matches(rest, first, second)) continue;
      *which = i;
      *what = j;
      return true;
    }
  }
  return false;
}

uint32_t sheaf__read_limits(const sheaf_reply *reply, const char *prefix, bool resource_first,
                            const sheaf__limit_name *names, uint32_t name_count,
                            sheaf_limit *limits) {
  size_t prefix_bytes = strlen(prefix);
  sheaf_limit told[SHEAF_LIMITS_MAX] = {{0}};
  uint32_t seen = 0;
  int64_t now_unix_ms = INT64_MIN;
  size_t next = 0;
  sheaf_slice line;
  while (sheaf__header_line(reply->headers, &next, &line)) {
    size_t at = 0;
    sheaf_slice name, value;
    uint32_t which, what;
    if (!starts_nocase(line.data, line.bytes, prefix, prefix_bytes)) continue;
    if (sheaf__header_next(line, &at, &name, &value) != SHEAF_OK) continue;
    if (name.bytes < prefix_bytes) continue;
    sheaf_slice rest = {name.data + prefix_bytes, name.bytes - prefix_bytes};
    if (!find_limit(rest, resource_first, names, name_count, &which, &what)) continue;
    if ((seen & (1u << which)) == 0) {
      told[which] = (sheaf_limit){.resource = names[which].resource,
                                  .limit = SHEAF_ABSENT,
                                  .remaining = SHEAF_ABSENT,
                                  .reset_ns = SHEAF_NEVER};
      seen |= 1u << which;
    }
    set_limit(&told[which], what, value, reply, &now_unix_ms);
  }
  uint32_t count = 0;
  for (uint32_t i = 0; i < name_count; i++) {
    if (seen & (1u << i)) limits[count++] = told[i];
  }
  return count;
}
