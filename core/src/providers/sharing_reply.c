/* sharing_reply.c: one reply for several members.
 *
 * Outline: the items of a list; counts; answers; parts, member for member. A member's part is the
 * reply with what is its own in the place of what was everybody's, so that nothing the provider
 * told gets lost. */
#include "base/mem.h"
#include "providers/decoding.h"
#include "providers/messages.h"
#include "providers/sharing.h"

/* ---- The items of a list ---- */

/* An embedding is an array of numbers or base64, a completion's text a string, which may be
 * empty. */
static bool is_answer(const sheaf__share_rules *rules, sheaf_slice value) {
  uint32_t kind = sheaf_json_kind(value);
  if (rules->item && kind == SHEAF_JSON_STRING) return value.bytes > 2 || !rules->deterministic;
  return kind == SHEAF_JSON_ARRAY && value.bytes > 2 && rules->deterministic;
}

/* Reads one object of the list: its span, its index, and whether it holds an answer. The iterator
 * stands behind its brace afterwards: one walk for all. */
static bool read_item(const sheaf__share_rules *rules, sheaf_json_iter *iter, sheaf_slice *item,
                      int64_t *index) {
  sheaf_slice key, value;
  uint32_t indexes = 0, answers = 0;
  const char *start = iter->at;
  while (start < iter->end && (*start == ',' || (unsigned char)*start <= ' ')) start++;
  if (start == iter->end || *start != '{') return false;
  sheaf_json_iter members = {.at = start + 1, .end = iter->end, .is_object = true};
  while (sheaf_json_iter_next(&members, &key, &value) == SHEAF_OK) {
    if (sheaf__is(key, "index")) {
      indexes++;
      if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return false;
      if (sheaf_json_int(value, index) != SHEAF_OK) return false;
    } else if (sheaf__is(key, rules->item)) {
      answers++;
      if (!is_answer(rules, value)) return false;
    }
  }
  while (members.at < iter->end && *members.at != '}') members.at++;
  if (members.at == iter->end) return false;
  iter->at = members.at + 1;
  *item = (sheaf_slice){start, (size_t)(iter->at - start)};
  return indexes == 1 && answers == 1;
}

/* The list of a checked 2xx reply without an error. */
static bool find_list(const sheaf__share_rules *rules, const sheaf_reply *reply,
                      sheaf_json_iter *iter) {
  const char *paths[] = {rules->answers, "error"};
  sheaf_slice values[2], body = sheaf__document(reply->body);
  if (rules->share != SHEAF_SHARE_INPUTS) return false;
  if (sheaf_json_pick(body, paths, 2, values, NULL, NULL) != SHEAF_OK) return false;
  if (sheaf__is_error(values[1])) return false;
  return sheaf_json_iter_init(iter, values[0]) == SHEAF_OK && !iter->is_object;
}

int32_t sheaf__share_items(const sheaf__share_rules *rules, const sheaf_reply *reply,
                           sheaf_slice *items, uint32_t item_count) {
  sheaf_json_iter iter;
  sheaf_slice key, item;
  if (!find_list(rules, reply, &iter)) return SHEAF_E_FIELD;
  for (uint32_t i = 0; i < item_count; i++) items[i] = (sheaf_slice){NULL, 0};
  for (uint32_t i = 0; i < item_count; i++) {
    int64_t index = i;
    bool is_item = rules->item ? read_item(rules, &iter, &item, &index)
                               : sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK &&
                                     is_answer(rules, item);
    if (!is_item || index < 0 || index >= item_count || items[index].bytes > 0)
      return SHEAF_E_FIELD;
    items[index] = item;
  }
  return sheaf_json_iter_next(&iter, &key, &item) == SHEAF_E_END ? SHEAF_OK : SHEAF_E_FIELD;
}

/* An item, under another index if it has one. */
static void put_item(sheaf_buf *body, sheaf_slice item, uint32_t index) {
  sheaf_slice value = sheaf_json_member(item, "index");
  sheaf__comma(body);
  if (value.bytes > 0) {
    sheaf_buf_append(body, item.data, (size_t)(value.data - item.data));
    sheaf_buf_append_u64(body, index);
    item = sheaf__slice_from(item, (size_t)(value.data - item.data) + value.bytes);
  }
  sheaf_buf_append_slice(body, item);
}

/* ---- Counts ---- */

/* What is left of a count without a part of it. */
static int64_t rest(int64_t count, int64_t part) {
  if (count == SHEAF_ABSENT || part == SHEAF_ABSENT) return count;
  return part < count ? count - part : 0;
}

/* A member's count by the letter of a table; absent ones are left out. */
static int64_t count_of(const sheaf_usage *usage, char letter) {
  int64_t input = usage->input_total, output = usage->output_total;
  switch (letter) {
    case 'i': return input;
    case 'I': return rest(rest(input, usage->cache_read), usage->cache_write);
    case 'r': return usage->cache_read;
    case 'w': return usage->cache_write;
    case 'o': return output;
    case 'O': return rest(output, usage->reasoning);
    case 'h': return usage->reasoning;
    default: /* t, the total */
      if (input == SHEAF_ABSENT || output == SHEAF_ABSENT) return SHEAF_ABSENT;
      return sheaf__add_sat_i64(input, output);
  }
}

/* The counts that stand in an object of their own; null where nothing is known. A value that was no
 * object stays. */
static void put_usage(const char *counts, const sheaf_usage *usage, sheaf_slice value,
                      sheaf_buf *body) {
  size_t before = 0;
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT) {
    sheaf_buf_append_slice(body, value);
    return;
  }
  if (usage->input_total == SHEAF_ABSENT && usage->output_total == SHEAF_ABSENT) {
    SHEAF__PUT(body, "null");
    return;
  }
  SHEAF__PUT(body, "{");
  for (; *counts; counts += strlen(counts) + 1) {
    if (*counts == '{') {
      before = body->bytes;
      sheaf__put_member(body, sheaf_slice_of(counts + 1), SHEAF_LITERAL("{"));
    } else if (*counts == '}') {
      SHEAF__PUT(body, "}");
      if (body->status == SHEAF_OK && body->data[body->bytes - 2] == '{') body->bytes = before;
    } else {
      int64_t count = count_of(usage, *counts);
      if (count != SHEAF_ABSENT)
        sheaf__put_number(body, counts + 1, count < 0 ? 0 : (uint64_t)count);
    }
  }
  SHEAF__PUT(body, "}");
}

/* A count that stands among the reply's other members: false if it is none of the table. */
static bool put_count(const char *counts, const sheaf_usage *usage, sheaf_slice key,
                      sheaf_buf *body) {
  for (; *counts; counts += strlen(counts) + 1) {
    if (!sheaf__is(key, counts + 1)) continue;
    int64_t count = count_of(usage, *counts);
    sheaf__put_member(body, key, (sheaf_slice){NULL, 0});
    if (count == SHEAF_ABSENT) {
      SHEAF__PUT(body, "null");
    } else {
      sheaf_buf_append_i64(body, count);
    }
    return true;
  }
  return false;
}

/* ---- Answers ---- */

/* In the place of everybody's answers a member's own; the first one's finish reason is the
 * call's. */
static void put_answers(const sheaf__share_rules *rules, const sheaf_part *part, sheaf_slice value,
                        sheaf_buf *body) {
  if (rules->share == SHEAF_SHARE_INPUTS) {
    SHEAF__PUT(body, "[");
    for (uint32_t i = 0; i < part->item_count; i++) put_item(body, part->items[i], i);
    SHEAF__PUT(body, "]");
    return;
  }
  sheaf__put_text(body, rules->answer, &part->text_json, 0);
  sheaf_json_iter iter;
  sheaf_slice key, first;
  if (rules->finish && sheaf_json_iter_init(&iter, value) == SHEAF_OK &&
      sheaf_json_iter_next(&iter, &key, &first) == SHEAF_OK) {
    sheaf_slice finish = sheaf_json_member(first, rules->finish);
    if (finish.bytes > 0) sheaf__put_member(body, sheaf_slice_of(rules->finish), finish);
  }
  sheaf_buf_append_text(body, rules->answer_end);
}

/* ---- Parts ---- */

/* The next member; a value that begins around the span is passed over by the span's length instead
 * of by its bytes: with n members each would otherwise walk over n embeddings. */
static int32_t next_member(sheaf_json_iter *iter, sheaf_slice span, sheaf_slice *key,
                           sheaf_slice *value) {
  const char *end = iter->end;
  if (span.bytes == 0 || iter->at >= span.data) return sheaf_json_iter_next(iter, key, value);
  iter->end = span.data;
  int32_t status = sheaf_json_iter_next(iter, key, value);
  iter->end = end;
  if (status != SHEAF_OK || iter->at != span.data) return status;
  const char *p = span.data + span.bytes;
  while (p < end && (unsigned char)*p <= ' ') p++;
  if (p == end || *p != ']') return SHEAF_E_FIELD;
  iter->at = p + 1;
  value->bytes = (size_t)(p + 1 - value->data);
  return SHEAF_OK;
}

int32_t sheaf__share_part(const sheaf__share_rules *rules, const sheaf_reply *reply,
                          const sheaf_part *part, sheaf_buf *body) {
  sheaf_slice key, value;
  sheaf_json_iter iter;
  bool found = false;
  if (sheaf_json_iter_init(&iter, sheaf__document(reply->body)) != SHEAF_OK || !iter.is_object)
    return SHEAF_E_FIELD;
  if (rules->share == SHEAF_SHARE_NONE) return SHEAF_E_FIELD;
  SHEAF__PUT(body, "{");
  for (;;) {
    int32_t status = next_member(&iter, part->span, &key, &value);
    if (status == SHEAF_E_END) break;
    if (status != SHEAF_OK) return status;
    bool is_usage = rules->usage && sheaf__is(key, rules->usage);
    if (sheaf__is(key, rules->answers)) {
      sheaf__put_member(body, key, (sheaf_slice){NULL, 0});
      put_answers(rules, part, value, body);
      found = true;
    } else if (is_usage) {
      sheaf__put_member(body, key, (sheaf_slice){NULL, 0});
      put_usage(rules->counts, &part->usage, value, body);
    } else if (rules->usage || !put_count(rules->counts, &part->usage, key, body)) {
      sheaf__put_member(body, key, value);
    }
  }
  SHEAF__PUT(body, "}");
  return found ? body->status : SHEAF_E_FIELD;
}
