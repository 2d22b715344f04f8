/* ollama_share.c: merging for Ollama's own API: lists of inputs for embeddings, prompts for chats.
 *
 * Outline: rules; the one body; items; parts. Embeddings come in the order of the inputs, without
 * an index. */
#include "providers/ollama.h"

#include "providers/decoding.h"
#include "providers/messages.h"
#include "providers/sharing.h"

/* ---- Rules ---- */

static const sheaf__member_rule embed[] = {SHEAF__MEMBER("input", LIST)};

static const sheaf__member_rule chat[] = {
    SHEAF__MEMBER("model", PLAIN),      SHEAF__MEMBER("messages", CHAT),
    SHEAF__MEMBER("stream", STREAM),    SHEAF__MEMBER("options", NEST),
    SHEAF__MEMBER("keep_alive", PLAIN), SHEAF__MEMBER("think", PLAIN),
    SHEAF__MEMBER("format", FORMAT),    SHEAF__MEMBER("truncate", TRUNCATE),
    SHEAF__MEMBER("shift", SHIFT),      SHEAF__MEMBER("tools", OFF),
    SHEAF__MEMBER("logprobs", OFF),
};

static const sheaf__member_rule options[] = {
    SHEAF__MEMBER("num_predict", CAP),
    SHEAF__MEMBER("temperature", TEMPERATURE),
    SHEAF__MEMBER("num_ctx", PLAIN),
    SHEAF__MEMBER("top_k", PLAIN),
    SHEAF__MEMBER("top_p", PLAIN),
    SHEAF__MEMBER("min_p", PLAIN),
    SHEAF__MEMBER("typical_p", PLAIN),
    SHEAF__MEMBER("seed", PLAIN),
    SHEAF__MEMBER("repeat_penalty", PLAIN),
    SHEAF__MEMBER("repeat_last_n", PLAIN),
    SHEAF__MEMBER("presence_penalty", PLAIN),
    SHEAF__MEMBER("frequency_penalty", PLAIN),
    SHEAF__MEMBER("num_keep", PLAIN),
    SHEAF__MEMBER("num_batch", PLAIN),
    SHEAF__MEMBER("num_gpu", PLAIN),
    SHEAF__MEMBER("main_gpu", PLAIN),
    SHEAF__MEMBER("use_mmap", PLAIN),
    SHEAF__MEMBER("num_thread", PLAIN),
    SHEAF__MEMBER("stop", OFF),
};

static const sheaf__member_rule generate[] = {SHEAF__MEMBER("options", NEST)};

static bool read_chat(sheaf__outline *outline, sheaf__cursor *cursor) {
  static const char *const roles[] = {"system"};
  return sheaf__share_chat(outline, cursor, roles, 1);
}

#define RULES(table) .members = (table), .member_count = sizeof(table) / sizeof(table)[0]
#define OPTIONS .nested = options, .nested_count = sizeof options / sizeof options[0]

/* The stream is on unless a body says otherwise. */
static const sheaf__share_rules rules[] = {
    [SHEAF__OLLAMA_CHAT] = {.share = SHEAF_SHARE_PROMPTS,
                            .needed = 1u << SHEAF__MEMBER_STREAM,
                            .below_zero_caps = true,
                            .read_chat = read_chat,
                            RULES(chat),
                            OPTIONS},
    [SHEAF__OLLAMA_GENERATE] = {.share = SHEAF_SHARE_NONE, .open = true, RULES(generate), OPTIONS},
    [SHEAF__OLLAMA_EMBED] = {.share = SHEAF_SHARE_INPUTS,
                             .open = true,
                             .deterministic = true,
                             RULES(embed)},
};

static const sheaf__share_rules *find_rules(uint32_t operation) {
  bool is_known = operation < sizeof rules / sizeof rules[0];
  return &rules[is_known ? operation : SHEAF__OLLAMA_GENERATE];
}

void sheaf__ollama_traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                          sheaf_traits *traits) {
  (void)provider;
  sheaf__share_traits(find_rules(operation), operation, body, traits);
}

/* ---- The one body ---- */

/* What does not fit is cut away without a word, and what overflows while the answer is written
 * shifts the prompts out: with several prompts in one that is somebody's question. Both are told to
 * fail instead, unless the members say something else. Servers that do not know the words pass over
 * them. */
static void edit_context(const sheaf__outline *first, sheaf__edits *edits) {
  if (first->values[SHEAF__MEMBER_TRUNCATE].bytes == 0) {
    sheaf__edit_first(edits, first->body, (sheaf_slice){NULL, 0}, SHEAF_ABSENT,
                      SHEAF_LITERAL("\"truncate\":false"));
  }
  if (first->values[SHEAF__MEMBER_SHIFT].bytes == 0) {
    sheaf__edit_first(edits, first->body, (sheaf_slice){NULL, 0}, SHEAF_ABSENT,
                      SHEAF_LITERAL("\"shift\":false"));
  }
}

static void edit_cap(const sheaf__outline *first, int64_t cap, sheaf__edits *edits) {
  sheaf_slice nest = first->values[SHEAF__MEMBER_NEST];
  if (cap == SHEAF_ABSENT || first->values[SHEAF__MEMBER_CAP].bytes > 0) return;
  if (nest.bytes > 0) {
    sheaf__edit_first(edits, nest, SHEAF_LITERAL("\"num_predict\":"), cap, (sheaf_slice){NULL, 0});
  } else {
    sheaf__edit_first(edits, first->body, SHEAF_LITERAL("\"options\":{\"num_predict\":"), cap,
                      SHEAF_LITERAL("}"));
  }
}

int32_t sheaf__ollama_share(const sheaf_provider *provider, const sheaf_shared *shared,
                            sheaf_buf *body) {
  (void)provider;
  sheaf__outline first;
  sheaf__edits edits = {.count = 0};
  const sheaf__share_rules *wanted = find_rules(shared->operation);
  if (shared->share == SHEAF_SHARE_INPUTS) return sheaf__share_inputs(wanted, shared, body);
  int32_t status = sheaf__share_agree(wanted, shared, &first);
  if (status != SHEAF_OK) return status;
  sheaf__share_prompts(&first, shared, &edits);
  edit_context(&first, &edits);
  edit_cap(&first, shared->output_cap, &edits);
  if (!first.system.data) {
    sheaf__edit *edit = sheaf__edit_add(&edits, first.values[SHEAF__MEMBER_CHAT].data + 1, 0);
    edit->pieces[0] = SHEAF_LITERAL("{\"role\":\"system\",\"content\":\"");
    edit->pieces[1] = shared->instructions;
    edit->pieces[2] = SHEAF_LITERAL("\"},");
  }
  sheaf_slice format = first.values[SHEAF__MEMBER_FORMAT];
  if (format.bytes > 0) {
    sheaf__edit_add(&edits, format.data, format.bytes)->pieces[0] = shared->schema;
  } else {
    sheaf__edit_first(&edits, first.body, SHEAF_LITERAL("\"format\":"), SHEAF_ABSENT,
                      shared->schema);
  }
  return sheaf__share_write(&first, &edits, body);
}

/* ---- Items ---- */

int32_t sheaf__ollama_items(const sheaf_provider *provider, const sheaf_shared *shared,
                            const sheaf_reply *reply, sheaf_slice *items, uint32_t item_count) {
  (void)provider, (void)shared;
  sheaf_json_iter iter;
  sheaf_slice list, key, item;
  int32_t status = sheaf__items_list(reply, "embeddings", &list);
  if (status != SHEAF_OK) return status;
  if (sheaf_json_iter_init(&iter, list) != SHEAF_OK) return SHEAF_E_FIELD;
  for (uint32_t i = 0; i < item_count; i++) {
    if (sheaf_json_iter_next(&iter, &key, &items[i]) != SHEAF_OK) return SHEAF_E_FIELD;
    if (sheaf_json_kind(items[i]) != SHEAF_JSON_ARRAY || items[i].bytes <= 2) return SHEAF_E_FIELD;
  }
  return sheaf_json_iter_next(&iter, &key, &item) == SHEAF_E_END ? SHEAF_OK : SHEAF_E_FIELD;
}

/* ---- Parts ---- */

static void write_items(const sheaf__parting *parting, sheaf_slice value) {
  (void)value;
  SHEAF__PUT(parting->body, "[");
  for (uint32_t i = 0; i < parting->part->item_count; i++) {
    sheaf__comma(parting->body);
    sheaf_buf_append_slice(parting->body, parting->part->items[i]);
  }
  SHEAF__PUT(parting->body, "]");
}

static void write_message(const sheaf__parting *parting, sheaf_slice value) {
  (void)value;
  SHEAF__PUT(parting->body, "{\"role\":\"assistant\",\"content\":\"");
  sheaf_buf_append_slice(parting->body, parting->part->text_json);
  SHEAF__PUT(parting->body, "\"}");
}

static void write_count(const sheaf__parting *parting, int64_t count) {
  if (count == SHEAF_ABSENT) {
    SHEAF__PUT(parting->body, "null");
  } else {
    sheaf_buf_append_i64(parting->body, count);
  }
}

static void write_input_count(const sheaf__parting *parting, sheaf_slice value) {
  (void)value;
  write_count(parting, parting->part->usage.input_total);
}

static void write_output_count(const sheaf__parting *parting, sheaf_slice value) {
  (void)value;
  write_count(parting, parting->part->usage.output_total);
}

int32_t sheaf__ollama_part(const sheaf_provider *provider, const sheaf_shared *shared,
                           const sheaf_reply *reply, const sheaf_part *part, sheaf_buf *body) {
  (void)provider;
  bool is_inputs = shared->share == SHEAF_SHARE_INPUTS;
  const sheaf__part_rule replaced[] = {
      {is_inputs ? "embeddings" : "message", is_inputs ? write_items : write_message},
      {"prompt_eval_count", write_input_count},
      {"eval_count", write_output_count},
  };
  return sheaf__part_write(shared, reply, part, replaced, 3, body);
}
