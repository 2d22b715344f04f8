/* sharing_reply.c: one reply for several members.
 *
 * Outline: the list of items; parts, member for member; usage. A member's part is the reply with
 * what is its own in the place of what was everybody's, so that nothing the provider told gets
 * lost. */
#include "base/mem.h"
#include "providers/decoding.h"
#include "providers/messages.h"
#include "providers/sharing.h"

/* ---- The list of items ---- */

int32_t sheaf__items_list(const sheaf_reply *reply, const char *name, sheaf_slice *list) {
  const char *paths[] = {name, "error"};
  sheaf_slice values[2];
  sheaf_slice body = sheaf__document(reply->body);
  if (sheaf_json_pick(body, paths, 2, values, NULL, NULL) != SHEAF_OK) return SHEAF_E_FIELD;
  if (sheaf__is_error(values[1])) return SHEAF_E_FIELD;
  if (sheaf_json_kind(values[0]) != SHEAF_JSON_ARRAY) return SHEAF_E_FIELD;
  *list = values[0];
  return SHEAF_OK;
}

int32_t sheaf__items_none(const sheaf_provider *provider, const sheaf_shared *shared,
                          const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count) {
  (void)provider, (void)shared, (void)reply, (void)items, (void)item_count;
  return SHEAF_E_FIELD;
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

static const sheaf__part_rule *find_rule(const sheaf__part_rule *rules, size_t count,
                                         sheaf_slice key) {
  for (size_t i = 0; i < count; i++) {
    if (sheaf__is(key, rules[i].name)) return &rules[i];
  }
  return NULL;
}

int32_t sheaf__part_write(const sheaf_shared *shared, const sheaf_reply *reply,
                          const sheaf_part *part, const sheaf__part_rule *rules, size_t rule_count,
                          sheaf_buf *body) {
  sheaf_slice document = sheaf__document(reply->body), key, value;
  sheaf__parting parting = {.shared = shared, .part = part, .reply = document, .body = body};
  sheaf_json_iter iter;
  bool found = false;
  if (sheaf_json_kind(document) != SHEAF_JSON_OBJECT) return SHEAF_E_FIELD;
  if (sheaf_json_iter_init(&iter, document) != SHEAF_OK) return SHEAF_E_FIELD;
  SHEAF__PUT(body, "{");
  for (;;) {
    int32_t status = next_member(&iter, part->span, &key, &value);
    if (status == SHEAF_E_END) break;
    if (status != SHEAF_OK) return status;
    const sheaf__part_rule *rule = find_rule(rules, rule_count, key);
    if (!rule) {
      sheaf__put_member(body, key, value);
      continue;
    }
    sheaf__put_member(body, key, (sheaf_slice){NULL, 0});
    rule->write(&parting, value);
    if (rule == rules) found = true;
  }
  SHEAF__PUT(body, "}");
  return found ? body->status : SHEAF_E_FIELD;
}

/* ---- Usage ---- */

bool sheaf__part_usage(const sheaf__parting *parting, sheaf_slice value) {
  const sheaf_usage *usage = &parting->part->usage;
  if (sheaf_json_kind(value) != SHEAF_JSON_OBJECT) {
    sheaf_buf_append_slice(parting->body, value);
    return false;
  }
  bool is_known = usage->input_total != SHEAF_ABSENT || usage->output_total != SHEAF_ABSENT;
  if (is_known) return true;
  SHEAF__PUT(parting->body, "null");
  return false;
}

void sheaf__part_count(sheaf_buf *body, const char *name, int64_t count) {
  if (count != SHEAF_ABSENT) sheaf__put_number(body, name, count < 0 ? 0 : (uint64_t)count);
}

int64_t sheaf__part_rest(int64_t count, int64_t a, int64_t b) {
  if (count == SHEAF_ABSENT) return SHEAF_ABSENT;
  if (a != SHEAF_ABSENT) count -= a < count ? a : count;
  if (b != SHEAF_ABSENT) count -= b < count ? b : count;
  return count;
}
