/* openai_share.c: merging for OpenAI and every server that speaks its language.
 *
 * Outline: rules (embeddings and completions take lists, chats take one prompt more); the one body;
 * items by their index; parts. Limits of a call: the API's reference on embeddings, as of
 * 2026-11. */
#include "base/mem.h"
#include "providers/messages.h"
#include "providers/openai.h"
#include "providers/sharing.h"

#define INPUTS_MAX 2048   /* of one call */
#define TOKENS_MAX 300000 /* of all inputs of one call */

/* ---- Rules ---- */

/* No other member says anything about a single input. */
static const sheaf__member_rule embeddings[] = {
    SHEAF__MEMBER("input", LIST),
};

/* n and best_of multiply the choices, echo and suffix tie them to the prompt's text, and what a
 * seed means for the second prompt of a list is not told anywhere. */
static const sheaf__member_rule completions[] = {
    SHEAF__MEMBER("model", PLAIN),
    SHEAF__MEMBER("prompt", LIST),
    SHEAF__MEMBER("max_tokens", PLAIN),
    SHEAF__MEMBER("temperature", TEMPERATURE),
    SHEAF__MEMBER("top_p", PLAIN),
    SHEAF__MEMBER("frequency_penalty", PLAIN),
    SHEAF__MEMBER("presence_penalty", PLAIN),
    SHEAF__MEMBER("stop", PLAIN),
    SHEAF__MEMBER("logit_bias", PLAIN),
    SHEAF__MEMBER("logprobs", PLAIN),
    SHEAF__MEMBER("user", PLAIN),
    SHEAF__MEMBER("top_k", PLAIN),
    SHEAF__MEMBER("min_p", PLAIN),
    SHEAF__MEMBER("repetition_penalty", PLAIN),
    SHEAF__MEMBER("n", ONE),
    SHEAF__MEMBER("best_of", ONE),
    SHEAF__MEMBER("echo", OFF),
    SHEAF__MEMBER("stream", OFF),
    SHEAF__MEMBER("stream_options", NEVER),
    SHEAF__MEMBER("suffix", NEVER),
    SHEAF__MEMBER("seed", NEVER),
};

/* Tools, audio, images, predictions, searches and whatever is new are not named here. logit_bias
 * could forbid what the structured answer is made of. */
static const sheaf__member_rule chat[] = {
    SHEAF__MEMBER("model", PLAIN),
    SHEAF__MEMBER("messages", CHAT),
    SHEAF__MEMBER("max_tokens", CAP),
    SHEAF__MEMBER("max_completion_tokens", CAP),
    SHEAF__MEMBER("temperature", TEMPERATURE),
    SHEAF__MEMBER("top_p", PLAIN),
    SHEAF__MEMBER("seed", PLAIN),
    SHEAF__MEMBER("frequency_penalty", PLAIN),
    SHEAF__MEMBER("presence_penalty", PLAIN),
    SHEAF__MEMBER("reasoning_effort", PLAIN),
    SHEAF__MEMBER("verbosity", PLAIN),
    SHEAF__MEMBER("service_tier", PLAIN),
    SHEAF__MEMBER("store", PLAIN),
    SHEAF__MEMBER("metadata", PLAIN),
    SHEAF__MEMBER("user", PLAIN),
    SHEAF__MEMBER("safety_identifier", PLAIN),
    SHEAF__MEMBER("prompt_cache_key", PLAIN),
    SHEAF__MEMBER("prompt_cache_options", PLAIN),
    SHEAF__MEMBER("prompt_cache_retention", PLAIN),
    /* of compatible servers */
    SHEAF__MEMBER("top_k", PLAIN),
    SHEAF__MEMBER("min_p", PLAIN),
    SHEAF__MEMBER("repetition_penalty", PLAIN),
    SHEAF__MEMBER("chat_template_kwargs", PLAIN),
    SHEAF__MEMBER("thinking", PLAIN),
    SHEAF__MEMBER("enable_thinking", PLAIN),
    SHEAF__MEMBER("reasoning", PLAIN),
    SHEAF__MEMBER("provider", PLAIN),
    SHEAF__MEMBER("cache_prompt", PLAIN),
    /* written out by clients though they ask for nothing */
    SHEAF__MEMBER("response_format", FORMAT),
    SHEAF__MEMBER("n", ONE),
    SHEAF__MEMBER("stream", OFF),
    SHEAF__MEMBER("logprobs", OFF),
    SHEAF__MEMBER("tools", OFF),
    SHEAF__MEMBER("functions", OFF),
    SHEAF__MEMBER("stop", OFF),
    SHEAF__MEMBER("stream_options", NEVER),
    SHEAF__MEMBER("top_logprobs", NEVER),
    SHEAF__MEMBER("tool_choice", NEVER),
    SHEAF__MEMBER("function_call", NEVER),
    SHEAF__MEMBER("parallel_tool_calls", NEVER),
    SHEAF__MEMBER("logit_bias", NEVER),
    SHEAF__MEMBER("audio", NEVER),
    SHEAF__MEMBER("modalities", NEVER),
    SHEAF__MEMBER("prediction", NEVER),
};

static const sheaf__member_rule responses[] = {SHEAF__MEMBER("temperature", TEMPERATURE)};

static bool read_chat(sheaf__outline *outline, sheaf__cursor *cursor) {
  static const char *const roles[] = {"system", "developer"};
  return sheaf__share_chat(outline, cursor, roles, 2);
}

#define RULES(table) .members = (table), .member_count = sizeof(table) / sizeof(table)[0]

static const sheaf__share_rules rules[] = {
    [SHEAF__OPENAI_CHAT] = {.share = SHEAF_SHARE_PROMPTS, .read_chat = read_chat, RULES(chat)},
    [SHEAF__OPENAI_RESPONSES] = {.share = SHEAF_SHARE_NONE, .open = true, RULES(responses)},
    [SHEAF__OPENAI_EMBEDDINGS] = {.share = SHEAF_SHARE_INPUTS,
                                  .open = true,
                                  .deterministic = true,
                                  .has_tokens = true,
                                  .inputs_max = INPUTS_MAX,
                                  .tokens_max = TOKENS_MAX,
                                  RULES(embeddings)},
    [SHEAF__OPENAI_COMPLETIONS] = {.share = SHEAF_SHARE_INPUTS,
                                   .has_tokens = true,
                                   RULES(completions)},
};

static const sheaf__share_rules *find_rules(uint32_t operation) {
  bool is_known = operation < sizeof rules / sizeof rules[0];
  return &rules[is_known ? operation : SHEAF__OPENAI_RESPONSES];
}

void sheaf__openai_traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                          sheaf_traits *traits) {
  (void)provider;
  sheaf__share_traits(find_rules(operation), operation, body, traits);
}

/* ---- The one body ---- */

int32_t sheaf__openai_share(const sheaf_provider *provider, const sheaf_shared *shared,
                            sheaf_buf *body) {
  (void)provider;
  sheaf__outline first;
  sheaf__edits edits = {.count = 0};
  const sheaf__share_rules *wanted = find_rules(shared->operation);
  if (shared->share == SHEAF_SHARE_INPUTS) return sheaf__share_inputs(wanted, shared, body);
  int32_t status = sheaf__share_agree(wanted, shared, &first);
  if (status != SHEAF_OK) return status;
  sheaf__share_prompts(&first, shared, &edits);
  if (!first.system.data) {
    sheaf__edit *edit = sheaf__edit_add(&edits, first.values[SHEAF__MEMBER_CHAT].data + 1, 0);
    edit->pieces[0] = SHEAF_LITERAL("{\"role\":\"system\",\"content\":\"");
    edit->pieces[1] = shared->instructions;
    edit->pieces[2] = SHEAF_LITERAL("\"},");
  }
  sheaf_slice format = first.values[SHEAF__MEMBER_FORMAT];
  if (format.bytes == 0) {
    sheaf__edit_add(&edits, first.body.data + 1, 0)->pieces[0] =
        SHEAF_LITERAL("\"response_format\":");
  }
  sheaf__edit *edit =
      sheaf__edit_add(&edits, format.bytes ? format.data : first.body.data + 1, format.bytes);
  edit->pieces[0] = SHEAF_LITERAL(
      "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answers\",\"strict\":true,"
      "\"schema\":");
  edit->pieces[1] = shared->schema;
  edit->pieces[2] = format.bytes ? SHEAF_LITERAL("}}") : SHEAF_LITERAL("}},");
  if (shared->output_cap != SHEAF_ABSENT && first.values[SHEAF__MEMBER_CAP].bytes == 0) {
    sheaf__edit_first(&edits, first.body, SHEAF_LITERAL("\"max_tokens\":"), shared->output_cap,
                      (sheaf_slice){NULL, 0});
  }
  return sheaf__share_write(&first, &edits, body);
}

/* ---- Items ---- */

/* An embedding is an array of numbers or base64, a completion's text a string, which may be
 * empty. */
static bool is_answer(sheaf_slice value, bool is_embedding) {
  uint32_t kind = sheaf_json_kind(value);
  if (!is_embedding) return kind == SHEAF_JSON_STRING;
  return (kind == SHEAF_JSON_STRING || kind == SHEAF_JSON_ARRAY) && value.bytes > 2;
}

/* Reads one object of the list: its span, its index, and whether it holds an answer. The iterator
 * stands behind its brace afterwards: one walk for all. */
static bool read_item(sheaf_json_iter *iter, bool is_embedding, sheaf_slice *item, int64_t *index) {
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
    } else if (sheaf__is(key, is_embedding ? "embedding" : "text")) {
      answers++;
      if (!is_answer(value, is_embedding)) return false;
    }
  }
  while (members.at < iter->end && *members.at != '}') members.at++;
  if (members.at == iter->end) return false;
  iter->at = members.at + 1;
  *item = (sheaf_slice){start, (size_t)(iter->at - start)};
  return indexes == 1 && answers == 1;
}

static bool is_end(const sheaf_json_iter *iter) {
  const char *p = iter->at;
  while (p < iter->end && (unsigned char)*p <= ' ') p++;
  return p < iter->end && *p == ']';
}

int32_t sheaf__openai_items(const sheaf_provider *provider, const sheaf_shared *shared,
                            const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count) {
  (void)provider;
  bool is_embedding = shared->operation == SHEAF__OPENAI_EMBEDDINGS;
  sheaf_json_iter iter;
  sheaf_slice list, item;
  int32_t status = sheaf__items_list(reply, is_embedding ? "data" : "choices", &list);
  if (status != SHEAF_OK) return status;
  if (sheaf_json_iter_init(&iter, list) != SHEAF_OK) return SHEAF_E_FIELD;
  for (uint32_t i = 0; i < item_count; i++) items[i] = (sheaf_slice){NULL, 0};
  for (uint32_t found = 0; found < item_count; found++) {
    int64_t index = -1;
    if (!read_item(&iter, is_embedding, &item, &index)) return SHEAF_E_FIELD;
    if (index < 0 || index >= item_count || items[index].bytes > 0) return SHEAF_E_FIELD;
    items[index] = item;
  }
  return is_end(&iter) ? SHEAF_OK : SHEAF_E_FIELD;
}

/* ---- Parts ---- */

/* An item under another index. */
static void put_item(sheaf_buf *body, sheaf_slice item, uint32_t index) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  sheaf__comma(body);
  if (sheaf_json_iter_init(&iter, item) != SHEAF_OK) return;
  while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (!sheaf__is(key, "index")) continue;
    size_t before = (size_t)(value.data - item.data);
    sheaf_buf_append(body, item.data, before);
    sheaf_buf_append_u64(body, index);
    sheaf_buf_append_slice(body, sheaf__slice_from(item, before + value.bytes));
    return;
  }
  sheaf_buf_append_slice(body, item);
}

static void write_items(const sheaf__parting *parting, sheaf_slice value) {
  (void)value;
  SHEAF__PUT(parting->body, "[");
  for (uint32_t i = 0; i < parting->part->item_count; i++) {
    put_item(parting->body, parting->part->items[i], i);
  }
  SHEAF__PUT(parting->body, "]");
}

/* The first choice's finish reason is the call's. */
static void write_choice(const sheaf__parting *parting, sheaf_slice choices) {
  sheaf_buf *body = parting->body;
  sheaf_json_iter iter;
  sheaf_slice key, choice = {NULL, 0}, finish = {NULL, 0};
  if (sheaf_json_iter_init(&iter, choices) == SHEAF_OK && !iter.is_object) {
    sheaf_json_iter_next(&iter, &key, &choice);
  }
  finish = sheaf_json_member(choice, "finish_reason");
  SHEAF__PUT(body, "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
  sheaf_buf_append_slice(body, parting->part->text_json);
  SHEAF__PUT(body, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":");
  sheaf_buf_append_slice(body, finish.bytes ? finish : SHEAF_LITERAL("null"));
  SHEAF__PUT(body, "}]");
}

static void write_details(sheaf_buf *body, const char *name, const sheaf_usage *usage,
                          bool is_input) {
  bool has_any = is_input ? usage->cache_read != SHEAF_ABSENT || usage->cache_write != SHEAF_ABSENT
                          : usage->reasoning != SHEAF_ABSENT;
  if (!has_any) return;
  sheaf__put_member(body, sheaf_slice_of(name), SHEAF_LITERAL("{"));
  if (is_input) {
    sheaf__part_count(body, "cached_tokens", usage->cache_read);
    sheaf__part_count(body, "cache_write_tokens", usage->cache_write);
  } else {
    sheaf__part_count(body, "reasoning_tokens", usage->reasoning);
  }
  SHEAF__PUT(body, "}");
}

/* Embeddings have no output and tell so by the total alone. */
static void write_usage(const sheaf__parting *parting, sheaf_slice value) {
  const sheaf_usage *usage = &parting->part->usage;
  sheaf_buf *body = parting->body;
  if (!sheaf__part_usage(parting, value)) return;
  bool is_embedding = parting->shared->operation == SHEAF__OPENAI_EMBEDDINGS;
  SHEAF__PUT(body, "{");
  sheaf__part_count(body, "prompt_tokens", usage->input_total);
  if (!is_embedding) sheaf__part_count(body, "completion_tokens", usage->output_total);
  if (usage->input_total != SHEAF_ABSENT && usage->output_total != SHEAF_ABSENT) {
    sheaf__part_count(body, "total_tokens",
                      sheaf__add_sat_i64(usage->input_total, usage->output_total));
  }
  write_details(body, "prompt_tokens_details", usage, true);
  write_details(body, "completion_tokens_details", usage, false);
  SHEAF__PUT(body, "}");
}

int32_t sheaf__openai_part(const sheaf_provider *provider, const sheaf_shared *shared,
                           const sheaf_reply *reply, const sheaf_part *part, sheaf_buf *body) {
  (void)provider;
  bool is_inputs = shared->share == SHEAF_SHARE_INPUTS;
  bool is_embedding = is_inputs && shared->operation == SHEAF__OPENAI_EMBEDDINGS;
  const sheaf__part_rule replaced[] = {
      {is_embedding ? "data" : "choices", is_inputs ? write_items : write_choice},
      {"usage", write_usage},
  };
  return sheaf__part_write(shared, reply, part, replaced, 2, body);
}
