/* sim_merged.c: several prompts in one call, as the core merges them (core/src/lanes/prompts.c).
 *
 * They are known by what a model sees of them: the user's text and the schema of the answer. This is
 * a second reading of that form, written from its description, so that a mistake of the core's does
 * not answer itself; where anything differs it is a call like any other, and its schema is drawn
 * from. */
#include "sim_int.h"

#include <string.h>

/* {"id": string, "prompt": string} and nothing else. */
static bool read_request(sheaf_slice object, sheaf_slice *id, sheaf_slice *prompt) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  uint32_t members = 0;
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return false;
  *id = sheaf_json_member(object, "id");
  *prompt = sheaf_json_member(object, "prompt");
  if (sheaf_json_iter_init(&iter, object) != SHEAF_OK) return false;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) members++;
  return members == 2 && sheaf_json_kind(*id) == SHEAF_JSON_STRING &&
         sheaf_json_kind(*prompt) == SHEAF_JSON_STRING;
}

static bool is_same(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0;
}

/* The ids of the requests are those that the schema allows. */
static bool agree(sheaf_slice requests, sheaf_slice ids) {
  sheaf_json_iter asked, allowed;
  sheaf_slice key, request, wanted, id, prompt;
  uint32_t count = 0;
  if (sheaf_json_iter_init(&asked, requests) || sheaf_json_iter_init(&allowed, ids)) return false;
  while (sheaf_json_iter_next(&asked, &key, &request) == SHEAF_OK) {
    if (sheaf_json_iter_next(&allowed, &key, &wanted) || !read_request(request, &id, &prompt) ||
        !is_same(id, wanted))
      return false;
    count++;
  }
  return count > 0 && sheaf_json_iter_next(&allowed, &key, &wanted) != SHEAF_OK;
}

bool sheaf__sim_merged_open(const sim_call *call, sim_merged *merged) {
  static const char *const asks[] = {"requests"};
  static const char *const wants[] = {"properties.answers.items.properties.id.enum",
                                      "properties.answers.items.properties.answer.type"};
  sheaf_slice requests, wanted[2], text = sheaf_buf_slice(&call->prompt);
  if (text.bytes == 0 || text.data[0] != '{') return false;
  if (sheaf_json_pick(text, asks, 1, &requests, NULL, NULL) != SHEAF_OK) return false;
  if (sheaf_json_pick(call->asked.schema, wants, 2, wanted, NULL, NULL) != SHEAF_OK) return false;
  if (sheaf_json_kind(requests) != SHEAF_JSON_ARRAY ||
      sheaf_json_kind(wanted[0]) != SHEAF_JSON_ARRAY || !sheaf_json_equals(wanted[1], "string"))
    return false;
  if (!agree(requests, wanted[0])) return false;
  return sheaf_json_iter_init(&merged->iter, requests) == SHEAF_OK;
}

bool sheaf__sim_merged_next(sim_merged *merged, sheaf_slice *id, sheaf_buf *prompt) {
  sheaf_slice key, request, text;
  if (sheaf_json_iter_next(&merged->iter, &key, &request) != SHEAF_OK) return false;
  if (!read_request(request, id, &text)) return false;
  *id = sheaf_json_inside(*id);
  return sheaf_buf_append_unescaped(prompt, sheaf_json_inside(text)) == SHEAF_OK;
}
