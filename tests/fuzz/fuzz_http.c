/* fuzz_http.c: any bytes as a header block and as a header's value: nothing outside is read, the walk and the search
 * agree, and answers stay in their ranges. */
#include <sheaf/provider.h>

#include "base/mem.h"
#include "wire/http.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static bool lies_inside(sheaf_slice part, sheaf_slice whole) {
  return part.bytes == 0 ||
         (part.data >= whole.data && part.data + part.bytes <= whole.data + whole.bytes);
}

/* 9999-12-31 and 0000-01-01, each a day beyond for offsets. */
static const int64_t unix_ms_max = 253402300800000 + 86400000,
                     unix_ms_min = -62167219200000 - 86400000;

static void check_value(sheaf_slice value) {
  int64_t date = sheaf__date_unix_ms(value), number = sheaf__decimal(value);
  uint64_t duration = sheaf__duration_ns(value), reset = sheaf__reset_ns(value, 1700000000000);
  if (date != INT64_MIN) {
    require(date <= unix_ms_max && date >= unix_ms_min);
    require(duration == SHEAF_NEVER && reset != SHEAF_NEVER);
  }
  if (duration != SHEAF_NEVER) require(reset != SHEAF_NEVER);
  if (number >= 0 && number < 1000000000 && value.bytes && value.data[0] != '+') {
    sheaf_slice last = {value.data + value.bytes - 1, 1};
    if (last.data[0] >= '0' && value.data[0] >= '0')
      require(duration == (uint64_t)number * SHEAF__SECOND);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sheaf_slice block = {(const char *)data, size}, name, value;
  size_t at = 0, before = 0, lines = 0;
  check_value(block);
  while (sheaf__header_next(block, &at, &name, &value) == SHEAF_OK) {
    require(at > before && at <= size);
    require(name.bytes > 0 && lies_inside(name, block) && lies_inside(value, block));
    check_value(value);
    before = at;
    char key[64];
    if (name.bytes >= sizeof key || memchr(name.data, '\0', name.bytes) || ++lines > 16) continue;
    memcpy(key, name.data, name.bytes);
    key[name.bytes] = '\0';
    sheaf_slice found = sheaf_header_find(block, key);
    require(lies_inside(found, block));
    require(found.data && found.data <= value.data); /* of a repeated header the first counts */
  }
  uint64_t wait = sheaf__retry_after_ns(block, 1700000000000);
  bool is_told = sheaf_header_find(block, "retry-after").bytes > 0 ||
                 sheaf_header_find(block, "retry-after-ms").bytes > 0;
  if (!is_told) require(wait == SHEAF_NEVER);
  (void)sheaf__reply_unix_ms(block, 0);
  return 0;
}
