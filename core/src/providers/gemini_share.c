/* gemini_share.c: merging for Google's Gemini API: prompts alone.
 *
 * Outline: rules; the one body; parts. Google takes snake_case names as well; the builder writes
 * none, so a body that has them travels alone. */
#include "providers/decoding.h"
#include "providers/messages.h"
#include "providers/sharing.h"

/* Tools and cached contents (which allow no system text) and whatever is new are not named here. */
static const sheaf__member_rule members[] = {
    SHEAF__MEMBER("contents", CHAT),
    SHEAF__MEMBER("systemInstruction", SYSTEM),
    SHEAF__MEMBER("generationConfig", NEST),
    SHEAF__MEMBER("safetySettings", PLAIN),
    SHEAF__MEMBER("model", PLAIN),
    SHEAF__MEMBER("labels", PLAIN),
    SHEAF__MEMBER("tools", OFF),
};

/* Beside structured output and stop sequences, candidates and logprobs belong to one answer
 * each. */
static const sheaf__member_rule options[] = {
    SHEAF__MEMBER("maxOutputTokens", CAP),
    SHEAF__MEMBER("temperature", TEMPERATURE),
    SHEAF__MEMBER("topP", PLAIN),
    SHEAF__MEMBER("topK", PLAIN),
    SHEAF__MEMBER("seed", PLAIN),
    SHEAF__MEMBER("presencePenalty", PLAIN),
    SHEAF__MEMBER("frequencyPenalty", PLAIN),
    SHEAF__MEMBER("thinkingConfig", PLAIN),
    SHEAF__MEMBER("responseMimeType", FORMAT),
    SHEAF__MEMBER("candidateCount", ONE),
    SHEAF__MEMBER("stopSequences", OFF),
    SHEAF__MEMBER("responseLogprobs", OFF),
};

/* [{"text"}] */
static bool take_parts(sheaf__cursor *c, sheaf_slice *inside) {
  if (!sheaf__cursor_enter(c, '[') || !sheaf__cursor_enter(c, '{')) return false;
  if (!sheaf__cursor_more(c, '}') || !sheaf__is(sheaf__cursor_key(c), "text")) return false;
  sheaf_slice text = sheaf__cursor_value(c);
  *inside = sheaf_json_inside(text);
  if (sheaf_json_kind(text) != SHEAF_JSON_STRING) return false;
  return !sheaf__cursor_more(c, '}') && !sheaf__cursor_more(c, ']');
}

/* {"role","parts":[{"text"}]}; the role may be missing. */
static bool take_content(sheaf__cursor *c, sheaf_slice *role, sheaf_slice *inside) {
  bool has_parts = false;
  *role = (sheaf_slice){NULL, 0};
  if (!sheaf__cursor_enter(c, '{')) return false;
  while (sheaf__cursor_more(c, '}')) {
    sheaf_slice key = sheaf__cursor_key(c);
    if (sheaf__is(key, "role") && role->bytes == 0) {
      *role = sheaf__cursor_value(c);
    } else if (sheaf__is(key, "parts") && !has_parts) {
      has_parts = true;
      if (!take_parts(c, inside)) return false;
    } else {
      return false;
    }
  }
  return has_parts;
}

static bool read_chat(sheaf__outline *outline, sheaf__cursor *cursor) {
  sheaf_slice role;
  if (!sheaf__cursor_enter(cursor, '[')) return false;
  if (!take_content(cursor, &role, &outline->own)) return false;
  if (role.bytes > 0 && !sheaf_json_equals(role, "user")) return false;
  return !sheaf__cursor_more(cursor, ']');
}

/* The role of a system text means nothing and is kept. */
static bool read_system(sheaf__outline *outline, sheaf__cursor *cursor) {
  sheaf_slice role;
  return take_content(cursor, &role, &outline->system);
}

static const sheaf__share_rules rules = {
    .share = SHEAF_SHARE_PROMPTS,
    .members = members,
    .member_count = sizeof members / sizeof members[0],
    .nested = options,
    .nested_count = sizeof options / sizeof options[0],
    .read_chat = read_chat,
    .read_system = read_system,
};

void sheaf__gemini_traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                          sheaf_traits *traits) {
  (void)provider;
  sheaf__share_traits(&rules, operation, body, traits);
}

/* ---- The one body ---- */

#define JSON_TYPE "\"application/json\",\"responseJsonSchema\":"

/* The format and, where it has none yet, the cap: in generationConfig, which is made if need be. */
static void edit_options(const sheaf__outline *first, const sheaf_shared *shared,
                         sheaf__edits *edits) {
  sheaf_slice nest = first->values[SHEAF__MEMBER_NEST], none = {NULL, 0};
  sheaf_slice format = first->values[SHEAF__MEMBER_FORMAT];
  sheaf_slice object = nest.bytes ? nest : first->body;
  bool has_cap = first->values[SHEAF__MEMBER_CAP].bytes > 0;
  if (nest.bytes == 0) {
    sheaf__edit_add(edits, object.data + 1, 0)->pieces[0] = SHEAF_LITERAL("\"generationConfig\":{");
  }
  if (!has_cap && shared->output_cap != SHEAF_ABSENT) {
    sheaf__edit *edit = sheaf__edit_add(edits, object.data + 1, 0);
    edit->pieces[0] = SHEAF_LITERAL("\"maxOutputTokens\":");
    edit->number = shared->output_cap;
    edit->pieces[1] = SHEAF_LITERAL(",");
  }
  if (format.bytes > 0) {
    sheaf__edit *edit = sheaf__edit_add(edits, format.data, format.bytes);
    edit->pieces[0] = SHEAF_LITERAL(JSON_TYPE);
    edit->pieces[1] = shared->schema;
    return;
  }
  sheaf__edit *edit = sheaf__edit_add(edits, object.data + 1, 0);
  edit->pieces[0] = SHEAF_LITERAL("\"responseMimeType\":" JSON_TYPE);
  edit->pieces[1] = shared->schema;
  sheaf__edit_first(edits, object, none, SHEAF_ABSENT, nest.bytes ? none : SHEAF_LITERAL("}"));
}

int32_t sheaf__gemini_share(const sheaf_provider *provider, const sheaf_shared *shared,
                            sheaf_buf *body) {
  (void)provider;
  sheaf__outline first;
  sheaf__edits edits = {.count = 0};
  int32_t status = sheaf__share_agree(&rules, shared, &first);
  if (status != SHEAF_OK) return status;
  sheaf__share_prompts(&first, shared, &edits);
  edit_options(&first, shared, &edits);
  if (!first.system.data) {
    sheaf__edit *edit = sheaf__edit_add(&edits, first.body.data + 1, 0);
    edit->pieces[0] = SHEAF_LITERAL("\"systemInstruction\":{\"parts\":[{\"text\":\"");
    edit->pieces[1] = shared->instructions;
    edit->pieces[2] = SHEAF_LITERAL("\"}]},");
  }
  return sheaf__share_write(&first, &edits, body);
}

/* ---- Parts ---- */

static void write_candidates(const sheaf__parting *parting, sheaf_slice candidates) {
  sheaf_buf *body = parting->body;
  sheaf_json_iter iter;
  sheaf_slice key, candidate = {NULL, 0};
  if (sheaf_json_iter_init(&iter, candidates) == SHEAF_OK && !iter.is_object) {
    sheaf_json_iter_next(&iter, &key, &candidate);
  }
  sheaf_slice finish = sheaf_json_member(candidate, "finishReason");
  SHEAF__PUT(body, "[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"");
  sheaf_buf_append_slice(body, parting->part->text_json);
  SHEAF__PUT(body, "\"}]}");
  if (finish.bytes > 0) sheaf__put_member(body, SHEAF_LITERAL("finishReason"), finish);
  SHEAF__PUT(body, ",\"index\":0}]");
}

/* Thoughts are counted beside the candidates' tokens, not among them. */
static void write_usage(const sheaf__parting *parting, sheaf_slice value) {
  const sheaf_usage *usage = &parting->part->usage;
  sheaf_buf *body = parting->body;
  if (!sheaf__part_usage(parting, value)) return;
  SHEAF__PUT(body, "{");
  sheaf__part_count(body, "promptTokenCount", usage->input_total);
  sheaf__part_count(body, "cachedContentTokenCount", usage->cache_read);
  sheaf__part_count(body, "candidatesTokenCount",
                    sheaf__part_rest(usage->output_total, usage->reasoning, SHEAF_ABSENT));
  sheaf__part_count(body, "thoughtsTokenCount", usage->reasoning);
  sheaf__part_count(body, "totalTokenCount",
                    sheaf__count_sum(usage->input_total, usage->output_total));
  SHEAF__PUT(body, "}");
}

int32_t sheaf__gemini_part(const sheaf_provider *provider, const sheaf_shared *shared,
                           const sheaf_reply *reply, const sheaf_part *part, sheaf_buf *body) {
  (void)provider;
  static const sheaf__part_rule replaced[] = {{"candidates", write_candidates},
                                              {"usageMetadata", write_usage}};
  return sheaf__part_write(shared, reply, part, replaced, 2, body);
}
