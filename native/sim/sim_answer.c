/* sim_answer.c: what is answered: the parts of every choice, and their tokens.
 *
 *   a tool call   where the request demands one, or the kind is "tool" and it allows one
 *   JSON          where the request demands it: drawn from its schema, or around the kind's text;
 *                 of an enum, one of its texts; of several prompts in one, each one's answer
 *   else          the kind: echo, lorem, canned, json
 *
 * The first choice is the one that a request for one choice gets; each further one has a key of its
 * own. A tokens_max ends any of them, also in the middle of its JSON. */
#include "sim_lines.h"

#include <string.h>

enum { /* more purposes of draws, from SIM_DRAW_JSON on */
       DRAW_SCHEMA = SIM_DRAW_JSON,
       DRAW_CALLS,
       DRAW_FACTS,
       DRAW_CHOICE = SIM_DRAW_JSON + 10,
       DRAW_TOOL = SIM_DRAW_JSON + 20,
       DRAW_ARGUMENTS = SIM_DRAW_JSON + 30
};
#define SECOND_CALL_ONE_IN 4u /* of the answers that may call several tools, one calls two */

typedef struct maker {
  sim_call *call;
  uint64_t key; /* of this choice */
  uint32_t choice;
  uint32_t kind;        /* SHEAF_SIM_ANSWER_ */
  sheaf_slice prompt;   /* plain text */
  uint64_t tokens_left; /* of tokens_max; UINT64_MAX: no end */
} maker;

/* ---- Kinds ---- */

static uint32_t kind_of(const sim_call *call) {
  static const char *const names[] = {"echo", "lorem", "canned", "json", "tool"};
  for (uint32_t i = 0; call->asked_answer && i < sizeof names / sizeof *names; i++)
    if (strcmp(call->asked_answer, names[i]) == 0) return i;
  return call->world->options->answer_kind;
}

static void write_echo(maker *m) {
  sheaf_buf_append_text(&m->call->text, "echo: ");
  sheaf_buf_append_slice(&m->call->text, m->prompt);
}

/* Answers how many words it would have been, had nobody cut it. */
static uint64_t write_lorem(maker *m) {
  const sheaf_sim_options *options = m->call->world->options;
  uint64_t words = sheaf__sim_lognormal(m->key, SIM_DRAW_WORDS, options->answer_words,
                                        options->answer_sigma_milli);
  if (words < 1) words = 1;
  if (words > SIM_WORDS_MAX) words = SIM_WORDS_MAX;
  sheaf__sim_lorem(m->key, words < m->tokens_left ? words : m->tokens_left, &m->call->text);
  return words;
}

static bool find_canned(const maker *m, sheaf_slice *answer) {
  const sim_canned *canned = m->call->world->canned;
  return m->kind == SHEAF_SIM_ANSWER_CANNED && canned &&
         sheaf__sim_canned_find(canned, m->prompt, answer);
}

/* Some object, for those who ask for JSON and do not say which. */
static void write_object(maker *m) {
  sheaf_buf *text = &m->call->text;
  uint64_t number = sheaf__sim_draw(m->key, DRAW_FACTS, 1000);
  sheaf_buf_append_text(text, "{\"answer\":\"");
  sheaf__sim_lorem(m->key, 1 + number % 6, text);
  sheaf__sim_write(text, "\",\"number\":%u,\"is_certain\":%s}", number,
                   number % 2 ? "true" : "false");
}

static void write_text(maker *m) {
  sheaf_slice answer;
  if (m->kind == SHEAF_SIM_ANSWER_JSON)
    write_object(m);
  else if (find_canned(m, &answer))
    sheaf_buf_append_slice(&m->call->text, answer);
  else
    write_echo(m);
}

/* The kind's text as a JSON string; nothing cuts it, for what is cut is the JSON, not its text. */
static void write_quoted(maker *m) {
  sheaf_buf *text = &m->call->text, plain;
  size_t from = text->bytes;
  m->tokens_left = UINT64_MAX;
  if (m->kind == SHEAF_SIM_ANSWER_LOREM)
    write_lorem(m);
  else
    write_text(m);
  sheaf_buf_init(&plain, &sheaf__sim_allocator, SIM_REPLY_MAX);
  if (text->status == SHEAF_OK) sheaf_buf_append(&plain, text->data + from, text->bytes - from);
  sheaf_slice inside = sheaf_buf_slice(&plain);
  if (text->status == SHEAF_OK) text->bytes = from;
  sheaf__sim_write(text, "%q", &inside);
  sheaf_buf_deinit(&plain);
}

/* JSON was demanded without a schema: the kind's text becomes a member. */
static void write_demanded(maker *m) {
  sheaf_buf *text = &m->call->text;
  sheaf_slice answer;
  if (m->kind == SHEAF_SIM_ANSWER_JSON) {
    write_object(m);
  } else if (find_canned(m, &answer) && sheaf_json_check(answer, NULL) == SHEAF_OK) {
    sheaf_buf_append_slice(text, answer);
  } else {
    sheaf_buf_append_text(text, "{\"answer\":");
    write_quoted(m);
    sheaf_buf_append_text(text, "}");
  }
}

/* Each of several prompts as if it were the only one. */
static void write_merged(const maker *m, sim_merged *merged) {
  sheaf_buf *text = &m->call->text, prompt;
  sheaf_slice id;
  const char *between = "{\"answers\":[";
  sheaf_buf_init(&prompt, &sheaf__sim_allocator, SIM_BODY_MAX);
  while (sheaf__sim_merged_next(merged, &id, &prompt)) {
    maker one = *m;
    one.prompt = sheaf_buf_slice(&prompt);
    one.key = sheaf__sim_hash(one.prompt.data, one.prompt.bytes, m->key);
    sheaf__sim_write(text, "%s{\"id\":\"%r\",\"answer\":", between, &id);
    write_quoted(&one);
    sheaf_buf_append_text(text, "}");
    between = ",";
    sheaf_buf_reset(&prompt);
  }
  sheaf_buf_append_text(text, "]}");
  sheaf_buf_deinit(&prompt);
}

static void write_schema(maker *m) {
  sim_call *call = m->call;
  sheaf_slice answer;
  sim_merged merged;
  if (sheaf__sim_merged_open(call, &merged))
    write_merged(m, &merged);
  else if (find_canned(m, &answer) && sheaf_json_check(answer, NULL) == SHEAF_OK)
    sheaf_buf_append_slice(&call->text, answer);
  else
    sheaf__sim_json_of(call->asked.schema, call->asked.schema, sheaf__sim_mix(m->key, DRAW_SCHEMA),
                       &call->text);
}

/* One of a list, as plain text. */
static void write_enum(maker *m) {
  sim_call *call = m->call;
  sheaf_buf json;
  sheaf_buf_init(&json, &sheaf__sim_allocator, SIM_REPLY_MAX);
  sheaf__sim_json_of(call->asked.schema, call->asked.schema, sheaf__sim_mix(m->key, DRAW_SCHEMA),
                     &json);
  sheaf_slice value = sheaf_buf_slice(&json);
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING)
    sheaf_buf_append_unescaped(&call->text, sheaf_json_inside(value));
  else
    sheaf_buf_append_slice(&call->text, value);
  sheaf_buf_deinit(&json);
}

/* ---- Parts ---- */

/* Ends a part where its text ends, or earlier, and no UTF-8 character is cut through. Without the
 * model's vocabulary a token is a word of lorem, else four bytes. `words` 0: count by bytes. `prefix` bytes at its beginning are neither
 * counted nor cut. */
static void end_part(maker *m, sim_part *part, size_t prefix, uint64_t words) {
  sheaf_buf *text = &m->call->text;
  if (text->status != SHEAF_OK) return;
  size_t from = part->from + prefix, bytes = text->bytes - from;
  sheaf_slice answer = {text->data + from, bytes};
  part->is_words = words > 0;
  if (sheaf__sim_count_text(m->call, &answer, m->tokens_left, &part->tokens)) {
    part->is_cut_short = words > m->tokens_left || answer.bytes < bytes;
    text->bytes = from + answer.bytes;
  } else if (words) {
    part->is_cut_short = words > m->tokens_left;
    part->tokens = part->is_cut_short ? m->tokens_left : words;
  } else {
    if (bytes / 4 >= m->tokens_left && bytes > m->tokens_left * 4) {
      part->is_cut_short = true;
      bytes = (size_t)m->tokens_left * 4;
      while (bytes && ((unsigned char)text->data[from + bytes] & 0xc0) == 0x80) bytes--;
      text->bytes = from + bytes;
    }
    part->tokens = sheaf__sim_tokens(bytes);
    if (part->tokens > m->tokens_left) part->tokens = m->tokens_left;
  }
  part->bytes = text->bytes - part->from;
  m->call->output_tokens += part->tokens;
}

/* `before` stands at the beginning: the prompt of a completion that echoes it. */
static void add_text(maker *m, sheaf_slice before) {
  sim_call *call = m->call;
  uint64_t words = 0;
  sim_part *part = sheaf__sim_part_add(call, SIM_PART_TEXT, m->choice);
  if (!part) return;
  uint64_t tokens_left = m->tokens_left;
  sheaf_buf_append_slice(&call->text, before);
  if (call->asked.format == SIM_FORMAT_SCHEMA)
    write_schema(m);
  else if (call->asked.format == SIM_FORMAT_ENUM)
    write_enum(m);
  else if (call->asked.format == SIM_FORMAT_JSON)
    write_demanded(m);
  else if (m->kind == SHEAF_SIM_ANSWER_LOREM)
    words = write_lorem(m);
  else
    write_text(m);
  m->tokens_left = tokens_left;
  end_part(m, part, before.bytes, words);
}

static uint32_t find_tool(const sim_asked *asked) {
  for (uint32_t i = 0; i < asked->tool_count; i++)
    if (asked->tool[i].name.bytes == asked->tool_name.bytes &&
        memcmp(asked->tool[i].name.data, asked->tool_name.data, asked->tool_name.bytes) == 0)
      return i;
  return 0;
}

static void add_call(maker *m, uint32_t n) {
  sim_call *call = m->call;
  const sim_asked *asked = &call->asked;
  sim_part *part = sheaf__sim_part_add(call, SIM_PART_TOOL, m->choice);
  if (!part) return;
  part->tool = asked->tools == SIM_TOOLS_NAMED
                   ? find_tool(asked)
                   : (uint32_t)sheaf__sim_draw(m->key, DRAW_TOOL + n, asked->tool_count);
  sheaf_slice schema = asked->tool[part->tool].schema;
  sheaf__sim_json_of(schema, schema, sheaf__sim_mix(m->key, DRAW_ARGUMENTS + n), &call->text);
  sheaf_buf *text = &call->text;
  if (text->status == SHEAF_OK && (text->bytes == part->from || text->data[part->from] != '{')) {
    text->bytes = part->from; /* arguments are an object, whatever the schema says */
    sheaf_buf_append_text(text, "{}");
  }
  end_part(m, part, 0, 0);
  m->tokens_left -= m->tokens_left == UINT64_MAX ? 0 : part->tokens;
}

/* Whether the last thing said is a tool's result: then an answer by the kind "tool" is text, or an
 * agent would never come to its end. Inside of a string the quotes would be escaped. */
static bool follows_result(const sim_call *call) {
  static const char *const lists[] = {"messages", "contents", "input"};
  static const char *const marks[] = {"\"tool_result\"", "\"functionResponse\"",
                                      "\"function_call_output\""};
  sheaf_slice values[3], key, value, last = {0};
  sheaf_json_iter iter;
  if (sheaf_json_pick(sheaf_buf_slice(&call->body), lists, 3, values, NULL, NULL) != SHEAF_OK)
    return false;
  for (uint32_t i = 0; i < 3; i++) {
    if (sheaf_json_kind(values[i]) != SHEAF_JSON_ARRAY) continue;
    if (sheaf_json_iter_init(&iter, values[i]) != SHEAF_OK) continue;
    while (sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) last = value;
  }
  if (sheaf_json_kind(last) != SHEAF_JSON_OBJECT) return false;
  if (sheaf_json_equals(sheaf_json_member(last, "role"), "tool")) return true;
  for (uint32_t i = 0; i < sizeof marks / sizeof *marks; i++)
    if (sheaf__sim_contains(last, sheaf_slice_of(marks[i]))) return true;
  return false;
}

static bool calls_tools(const maker *m) {
  const sim_asked *asked = &m->call->asked;
  if (asked->tool_count == 0 || asked->tools == SIM_TOOLS_NONE) return false;
  if (asked->tools != SIM_TOOLS_AUTO) return true;
  return m->kind == SHEAF_SIM_ANSWER_TOOL && !follows_result(m->call);
}

static void add_choice(maker *m) {
  const sim_asked *asked = &m->call->asked;
  if (m->choice) m->key = sheaf__sim_mix(m->key, DRAW_CHOICE + (uint64_t)m->choice);
  m->tokens_left = asked->tokens_max;
  if (!calls_tools(m)) {
    add_text(m, asked->is_echo ? m->prompt : (sheaf_slice){0});
    return;
  }
  uint32_t calls = 1;
  if (asked->is_parallel && sheaf__sim_draw(m->key, DRAW_CALLS, SECOND_CALL_ONE_IN) == 0) calls++;
  for (uint32_t i = 0; i < calls && m->tokens_left; i++) add_call(m, i);
}

/* ---- The whole ---- */

static void answer_chat(sim_call *call, uint32_t kind) {
  for (uint32_t i = 0; i < call->asked.choices; i++) {
    maker m = {.call = call,
               .key = call->key,
               .choice = i,
               .kind = kind,
               .prompt = sheaf_buf_slice(&call->prompt)};
    add_choice(&m);
  }
}

/* Choices of one input stand together, as OpenAI numbers them. */
static void answer_completions(sim_call *call, uint32_t kind) {
  uint32_t choice = 0;
  sim_inputs inputs;
  sheaf_buf prompt;
  sheaf_buf_init(&prompt, &sheaf__sim_allocator, SIM_BODY_MAX);
  sheaf__sim_inputs_init(call, &inputs);
  while (call->part_count < SIM_PARTS_MAX && sheaf__sim_inputs_next(&inputs, &prompt)) {
    for (uint32_t n = 0; n < call->asked.choices; n++) {
      maker m = {.call = call,
                 .key = call->key,
                 .choice = choice++,
                 .kind = kind,
                 .prompt = sheaf_buf_slice(&prompt)};
      add_choice(&m);
    }
    sheaf_buf_reset(&prompt);
  }
  sheaf_buf_deinit(&prompt);
}

void sheaf__sim_answer(sim_call *call) {
  uint32_t task = call->route->task;
  call->output_tokens = 0;
  if (task == SIM_CHAT) answer_chat(call, kind_of(call));
  if (task == SIM_COMPLETE) answer_completions(call, kind_of(call));
}
