/* anthropic_share.c: merging for Anthropic's Messages API: prompts alone, there are no lists.
 *
 * Outline: rules; the one body; parts. */
#include "providers/decoding.h"
#include "providers/messages.h"
#include "providers/sharing.h"

/* Tools, stop sequences, containers, a cache mark for the whole request and whatever is new are not
 * named here. */
static const sheaf__member_rule members[] = {
    SHEAF__MEMBER("model", PLAIN),
    SHEAF__MEMBER("max_tokens", CAP),
    SHEAF__MEMBER("messages", CHAT),
    SHEAF__MEMBER("system", SYSTEM),
    SHEAF__MEMBER("temperature", TEMPERATURE),
    SHEAF__MEMBER("top_p", PLAIN),
    SHEAF__MEMBER("top_k", PLAIN),
    SHEAF__MEMBER("thinking", PLAIN),
    SHEAF__MEMBER("metadata", PLAIN),
    SHEAF__MEMBER("service_tier", PLAIN),
    SHEAF__MEMBER("inference_geo", PLAIN),
    SHEAF__MEMBER("speed", PLAIN),
    SHEAF__MEMBER("output_config", NEST),
    SHEAF__MEMBER("stream", OFF),
    SHEAF__MEMBER("tools", OFF),
    SHEAF__MEMBER("stop_sequences", OFF),
};

static const sheaf__member_rule output_config[] = {
    SHEAF__MEMBER("effort", PLAIN),
    SHEAF__MEMBER("format", FORMAT),
};

static bool read_chat(sheaf__outline *outline, sheaf__cursor *cursor) {
  return sheaf__share_chat(outline, cursor, NULL, 0);
}

static bool read_system(sheaf__outline *outline, sheaf__cursor *cursor) {
  sheaf_slice system = sheaf__cursor_value(cursor);
  outline->system = sheaf_json_inside(system);
  return sheaf_json_kind(system) == SHEAF_JSON_STRING;
}

/* The API requires a cap. */
static const sheaf__share_rules rules = {
    .share = SHEAF_SHARE_PROMPTS,
    .needed = 1u << SHEAF__MEMBER_CAP,
    .members = members,
    .member_count = sizeof members / sizeof members[0],
    .nested = output_config,
    .nested_count = sizeof output_config / sizeof output_config[0],
    .read_chat = read_chat,
    .read_system = read_system,
};

void sheaf__anthropic_traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                             sheaf_traits *traits) {
  (void)provider;
  sheaf__share_traits(&rules, operation, body, traits);
}

/* ---- The one body ---- */

/* "format": beside effort, or in an object of its own. */
static void edit_format(const sheaf__outline *first, sheaf_slice schema, sheaf__edits *edits) {
  sheaf_slice nest = first->values[SHEAF__MEMBER_NEST];
  sheaf_slice format = first->values[SHEAF__MEMBER_FORMAT];
  sheaf_slice object = nest.bytes ? nest : first->body;
  if (format.bytes > 0) {
    sheaf__edit *edit = sheaf__edit_add(edits, format.data, format.bytes);
    edit->pieces[0] = SHEAF_LITERAL("{\"type\":\"json_schema\",\"schema\":");
    edit->pieces[1] = schema;
    edit->pieces[2] = SHEAF_LITERAL("}");
    return;
  }
  sheaf__edit *edit = sheaf__edit_add(edits, object.data + 1, 0);
  if (nest.bytes == 0) edit->pieces[0] = SHEAF_LITERAL("\"output_config\":{");
  edit->pieces[1] = SHEAF_LITERAL("\"format\":{\"type\":\"json_schema\",\"schema\":");
  edit->pieces[2] = schema;
  sheaf__edit_first(edits, object, (sheaf_slice){NULL, 0}, SHEAF_ABSENT,
                    nest.bytes ? SHEAF_LITERAL("}") : SHEAF_LITERAL("}}"));
}

int32_t sheaf__anthropic_share(const sheaf_provider *provider, const sheaf_shared *shared,
                               sheaf_buf *body) {
  (void)provider;
  sheaf__outline first;
  sheaf__edits edits = {.count = 0};
  int32_t status = sheaf__share_agree(&rules, shared, &first);
  if (status != SHEAF_OK) return status;
  if (shared->output_cap == SHEAF_ABSENT) return SHEAF_E_FIELD; /* there is no such call */
  sheaf__share_prompts(&first, shared, &edits);
  edit_format(&first, shared->schema, &edits);
  if (!first.system.data) {
    sheaf__edit *edit = sheaf__edit_add(&edits, first.body.data + 1, 0);
    edit->pieces[0] = SHEAF_LITERAL("\"system\":\"");
    edit->pieces[1] = shared->instructions;
    edit->pieces[2] = SHEAF_LITERAL("\",");
  }
  return sheaf__share_write(&first, &edits, body);
}

/* ---- Parts ---- */

/* Thoughts were about everybody's prompts and stay out. */
static void write_content(const sheaf__parting *parting, sheaf_slice value) {
  (void)value;
  SHEAF__PUT(parting->body, "[{\"type\":\"text\",\"text\":\"");
  sheaf_buf_append_slice(parting->body, parting->part->text_json);
  SHEAF__PUT(parting->body, "\"}]");
}

/* input_tokens leaves out what the cache served or took. */
static void write_usage(const sheaf__parting *parting, sheaf_slice value) {
  const sheaf_usage *usage = &parting->part->usage;
  sheaf_buf *body = parting->body;
  if (!sheaf__part_usage(parting, value)) return;
  SHEAF__PUT(body, "{");
  sheaf__part_count(body, "input_tokens",
                    sheaf__part_rest(usage->input_total, usage->cache_read, usage->cache_write));
  sheaf__part_count(body, "cache_creation_input_tokens", usage->cache_write);
  sheaf__part_count(body, "cache_read_input_tokens", usage->cache_read);
  sheaf__part_count(body, "output_tokens", usage->output_total);
  if (usage->reasoning != SHEAF_ABSENT) {
    sheaf__put_member(body, SHEAF_LITERAL("output_tokens_details"), SHEAF_LITERAL("{"));
    sheaf__part_count(body, "thinking_tokens", usage->reasoning);
    SHEAF__PUT(body, "}");
  }
  SHEAF__PUT(body, "}");
}

int32_t sheaf__anthropic_part(const sheaf_provider *provider, const sheaf_shared *shared,
                              const sheaf_reply *reply, const sheaf_part *part, sheaf_buf *body) {
  (void)provider;
  static const sheaf__part_rule replaced[] = {{"content", write_content}, {"usage", write_usage}};
  return sheaf__part_write(shared, reply, part, replaced, 2, body);
}
