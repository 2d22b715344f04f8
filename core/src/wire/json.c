/* json.c: cJSON behind a door. Size, grammar and depth are checked by the span scanner before cJSON sees a byte, so
 * that its limits and leniencies (control bytes in strings, numbers such as 01) never show. */
#include "wire/json.h"

#include <cjson/cJSON.h>

#include <string.h>

/* cJSON refuses half surrogate pairs, which the grammar allows; it answers the same NULL as for lack of memory, so the
 * cause is found here. Only escapes of D800..DFFF matter, and they stand in pairs of a high and a low one. */
static bool has_lone_surrogate(const char *p, const char *end) {
  while (end - p >= 6) {
    if (p[0] != '\\') {
      p++;
      continue;
    }
    bool high = p[1] == 'u' && (p[2] | 0x20) == 'd' && memchr("89abAB", p[3], 6);
    bool low = p[1] == 'u' && (p[2] | 0x20) == 'd' && memchr("cdefCDEF", p[3], 8);
    if (low) return true;
    if (!high) {
      p += 2;
      continue;
    }
    p += 6;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || (p[2] | 0x20) != 'd') return true;
    if (!memchr("cdefCDEF", p[3], 8)) return true;
    p += 6;
  }
  return false;
}

static struct cJSON *refuse(sheaf_parse_error *error, int32_t status, const char *message) {
  if (error) *error = (sheaf_parse_error){.status = status, .message = message};
  return NULL;
}

struct cJSON *sheaf__json_parse(sheaf_slice text, size_t bytes_max, sheaf_parse_error *error) {
  if (text.bytes > bytes_max) {
    return refuse(error, SHEAF_E_TOO_LONG, "the document is longer than its ceiling; split it");
  }
  if (sheaf_json_check(text, error) != SHEAF_OK) return NULL;
  struct cJSON *tree = cJSON_ParseWithLengthOpts(text.data, text.bytes, NULL, 0);
  if (tree) return tree;
  if (has_lone_surrogate(text.data, text.data + text.bytes)) {
    return refuse(error, SHEAF_E_UTF8,
                  "half of a surrogate pair in a \\u escape; write both halves");
  }
  return refuse(error, SHEAF_E_NOMEM, "out of memory");
}

void sheaf__json_delete(struct cJSON *tree) {
  cJSON_Delete(tree);
}

const struct cJSON *sheaf__json_get(const struct cJSON *object, const char *key) {
  return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *sheaf__json_text(const struct cJSON *object, const char *key) {
  return cJSON_GetStringValue(sheaf__json_get(object, key));
}

bool sheaf__json_number(const struct cJSON *object, const char *key, double *number) {
  const struct cJSON *item = sheaf__json_get(object, key);
  if (!cJSON_IsNumber(item)) return false;
  *number = cJSON_GetNumberValue(item);
  return true;
}
