/* sim_ollama.c: chat, generate, embeddings, tags, show and version as Ollama shapes them (protocols
 * 4). Streaming is the default there, a line for each piece; a tool call is never parted.
 *
 * Outline: times; answers; the stream; embeddings; models; the errors; the table. */
#include "sim_shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Times ---- */

/* RFC 3339 with nanoseconds, as Go prints a time. */
static void write_created(sim_call *call) {
  char seconds[32], fraction[16];
  sheaf__sim_rfc3339((int64_t)sheaf__sim_created(call), seconds, sizeof seconds);
  seconds[strcspn(seconds, "Z")] = 0;
  /* Go leaves zeros at the end out, so the last digit is none. */
  snprintf(fraction, sizeof fraction, ".%08" PRIu64 "%" PRIu64 "Z",
           sheaf__sim_draw(call->key, SIM_DRAW_ID, 100000000), 1 + call->key % 9);
  sheaf__sim_write(&call->out, ",\"created_at\":\"%s%s\"", seconds, fraction);
}

#define TICK_NS 1000u /* what takes no time here took at least that on a real clock */

static uint64_t at_least_a_tick(uint64_t ns) {
  return ns < TICK_NS ? TICK_NS : ns;
}

/* The time to the first token is the prompt's, but for a tenth to load the model. */
static void write_load_times(sim_call *call, uint64_t eval_ns) {
  uint64_t load_ns = at_least_a_tick(call->ttft_ns / 10);
  uint64_t prompt_ns = at_least_a_tick(call->ttft_ns - call->ttft_ns / 10);
  sheaf__sim_write(&call->out, ",\"total_duration\":%u,\"load_duration\":%u",
                   load_ns + prompt_ns + eval_ns, load_ns);
}

/* Counts of zero are left out, as by Go. */
static void write_metrics(sim_call *call) {
  uint64_t eval_ns = at_least_a_tick(sheaf__sim_scaled(
      call->world, sheaf__sim_gaps_ns(call->world, call->key, call->output_tokens)));
  write_load_times(call, eval_ns);
  if (!call->is_usage_hidden && call->input_tokens)
    sheaf__sim_write(&call->out, ",\"prompt_eval_count\":%u", call->input_tokens);
  sheaf__sim_write(&call->out, ",\"prompt_eval_duration\":%u",
                   at_least_a_tick(call->ttft_ns - call->ttft_ns / 10));
  if (!call->is_usage_hidden && call->output_tokens)
    sheaf__sim_write(&call->out, ",\"eval_count\":%u", call->output_tokens);
  sheaf__sim_write(&call->out, ",\"eval_duration\":%u", eval_ns);
}

/* ---- Answers ---- */

static bool is_chat(const sim_call *call) {
  return sheaf__sim_route_ends(call, "/chat");
}

/* All of an object up to its text. */
static void write_head(sim_call *call) {
  sheaf__sim_write(&call->out, "{\"model\":\"%r\"", &call->asked.model);
  write_created(call);
  sheaf_buf_append_text(&call->out, is_chat(call)
                                        ? ",\"message\":{\"role\":\"assistant\",\"content\":\""
                                        : ",\"response\":\"");
}

static void write_tool_call(sim_call *call, const sim_part *part) {
  sheaf_slice arguments = sheaf__sim_part_text(call, part);
  sheaf_buf_append_text(&call->out, "{\"id\":\"");
  sheaf__sim_id(call, "call_", (uint64_t)part->index + 1, &call->out);
  sheaf__sim_write(&call->out, "\",\"function\":{\"index\":%u,\"name\":\"%r\",\"arguments\":%r}}",
                   (uint64_t)part->index, &call->asked.tool[part->tool].name, &arguments);
}

static void write_tool_calls(sim_call *call) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < call->part_count; i++) {
    if (call->parts[i].kind != SIM_PART_TOOL) continue;
    sheaf_buf_append_text(&call->out, count++ ? "," : ",\"tool_calls\":[");
    write_tool_call(call, &call->parts[i]);
  }
  if (count) sheaf_buf_append_text(&call->out, "]");
}

#define CONTEXT_MAX 64u /* numbers told of the context that generate gives back */

/* The tokens of prompt and answer, which a later request may send along; any numbers will do. */
static void write_context(sim_call *call) {
  uint64_t count = call->input_tokens + call->output_tokens;
  sheaf_buf_append_text(&call->out, ",\"context\":[");
  for (uint64_t i = 0; i < count && i < CONTEXT_MAX; i++) {
    if (i) sheaf_buf_append_text(&call->out, ",");
    sheaf_buf_append_u64(&call->out, sheaf__sim_draw(call->key, SIM_DRAW_TEXT + i, 32000));
  }
  sheaf_buf_append_text(&call->out, "]");
}

static void write_done(sim_call *call) {
  const sim_part *last = sheaf__sim_part_last(call, 0);
  bool is_cut_short = last && last->is_cut_short;
  sheaf__sim_write(&call->out, ",\"done\":true,\"done_reason\":\"%s\"",
                   is_cut_short ? "length" : "stop");
  if (!is_chat(call)) write_context(call);
  write_metrics(call);
  sheaf_buf_append_text(&call->out, "}");
}

/* Nothing was asked, so the model was loaded, or with keep_alive 0 unloaded. */
static void write_loaded(sim_call *call) {
  int64_t keep_alive;
  sheaf_slice body = sheaf_buf_slice(&call->body), value = {NULL, 0};
  const char *const path = "keep_alive";
  sheaf_json_pick(body, &path, 1, &value, NULL, NULL);
  bool is_unload = sheaf_json_kind(value) == SHEAF_JSON_NUMBER &&
                   sheaf_json_int(value, &keep_alive) == SHEAF_OK && keep_alive == 0;
  write_head(call);
  sheaf__sim_write(&call->out, "\"%s,\"done\":true,\"done_reason\":\"%s\"}",
                   is_chat(call) ? "}" : "", is_unload ? "unload" : "load");
}

static void write_answer(sim_call *call) {
  write_head(call);
  for (uint32_t i = 0; i < call->part_count; i++)
    if (call->parts[i].kind == SIM_PART_TEXT)
      sheaf_buf_append_escaped(&call->out, sheaf__sim_part_text(call, &call->parts[i]));
  sheaf_buf_append_text(&call->out, "\"");
  if (is_chat(call)) {
    write_tool_calls(call);
    sheaf_buf_append_text(&call->out, "}");
  }
  write_done(call);
}

/* ---- The stream ---- */

static void part_piece(sim_call *call, const sim_part *part, sheaf_slice piece) {
  if (part->kind == SIM_PART_TOOL) return;
  write_head(call);
  sheaf__sim_write(&call->out, is_chat(call) ? "%e\"},\"done\":false}\n" : "%e\",\"done\":false}\n",
                   &piece);
}

static void part_close(sim_call *call, const sim_part *part) {
  if (part->kind != SIM_PART_TOOL) return;
  write_head(call);
  sheaf_buf_append_text(&call->out, "\",\"tool_calls\":[");
  write_tool_call(call, part);
  sheaf_buf_append_text(&call->out, "]},\"done\":false}\n");
}

static void stream_close(sim_call *call) {
  write_head(call);
  sheaf_buf_append_text(&call->out, is_chat(call) ? "\"}" : "\"");
  write_done(call);
  sheaf_buf_append_text(&call->out, "\n");
}

/* ---- Embeddings ---- */

static void write_old_embedding(sim_call *call) {
  sheaf_buf_reset(&call->text);
  sheaf__sim_input(call, 0, &call->text);
  sheaf_buf_append_text(&call->out, "{\"embedding\":");
  if (call->text.bytes)
    sheaf__sim_write_vector(call, sheaf_buf_slice(&call->text));
  else
    sheaf_buf_append_text(&call->out, "[]");
  sheaf_buf_append_text(&call->out, "}");
}

/* An empty string is no input, though it is one within a list. */
static void write_embeddings(sim_call *call) {
  bool is_first = true;
  sim_inputs inputs;
  sheaf__sim_write(&call->out, "{\"model\":\"%r\",\"embeddings\":[", &call->asked.model);
  sheaf__sim_inputs_init(call, &inputs);
  if (sheaf_json_equals(call->asked.inputs, "")) inputs.only = (sheaf_slice){NULL, 0};
  for (sheaf_buf_reset(&call->text); sheaf__sim_inputs_next(&inputs, &call->text);
       sheaf_buf_reset(&call->text)) {
    if (!is_first) sheaf_buf_append_text(&call->out, ",");
    sheaf__sim_write_vector(call, sheaf_buf_slice(&call->text));
    is_first = false;
  }
  sheaf_buf_append_text(&call->out, "]");
  if (!is_first) {
    write_load_times(call, 0);
    if (!call->is_usage_hidden && call->input_tokens)
      sheaf__sim_write(&call->out, ",\"prompt_eval_count\":%u", call->input_tokens);
  }
  sheaf_buf_append_text(&call->out, "}");
}

/* ---- Models ---- */

#define DETAILS                                                                             \
  "\"details\":{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"sim\",\"families\":" \
  "[\"sim\"],\"parameter_size\":\"1B\",\"quantization_level\":\"F32\"}"
#define CAPABILITIES "\"capabilities\":[\"completion\",\"tools\",\"embedding\"]"
#define MODIFIED "\"modified_at\":\"2026-01-01T00:00:00Z\""

/* A name without a tag has the tag "latest". Of a model that runs it is told how much memory it
 * takes and how long it stays. */
static void write_tag(sim_call *call, sheaf_slice name, bool runs) {
  const char *tag = name.bytes && memchr(name.data, ':', name.bytes) ? "" : ":latest";
  char digest[65];
  for (uint32_t i = 0; i < 4; i++)
    snprintf(digest + 16 * i, 17, "%016" PRIx64, sheaf__sim_hash(name.data, name.bytes, i));
  sheaf__sim_write(&call->out,
                   "{\"name\":\"%r%s\",\"model\":\"%r%s\",\"size\":1073741824,"
                   "\"digest\":\"%s\"," DETAILS ",%s}",
                   &name, tag, &name, tag, digest,
                   runs ? "\"expires_at\":\"2030-01-01T00:00:00Z\",\"size_vram\":1073741824"
                        : MODIFIED "," CAPABILITIES);
}

static void write_tags(sim_call *call, bool runs) {
  uint32_t count = 0;
  sheaf_buf_append_text(&call->out, "{\"models\":[");
  for (sheaf_slice name; (name = sheaf__sim_model_at(call->world, count)).bytes; count++) {
    if (count) sheaf_buf_append_text(&call->out, ",");
    write_tag(call, name, runs);
  }
  sheaf_buf_append_text(&call->out, "]}");
}

static void write_show(sim_call *call) {
  uint64_t context = call->world->options->context;
  sheaf__sim_write(
      &call->out,
      "{\"license\":\"\",\"modelfile\":\"FROM %r\",\"parameters\":\"\",\"template\":"
      "\"{{ .Prompt }}\"," DETAILS
      ",\"model_info\":{\"general.architecture\":\"sim\",\"sim.context_length\":%u}," CAPABILITIES
      "," MODIFIED "}",
      &call->asked.model, context ? context : 4096u);
}

static void ollama_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_VERSION: sheaf_buf_append_text(&call->out, "{\"version\":\"0.0.0-sim\"}"); break;
    case SIM_MODELS: write_tags(call, sheaf__sim_route_ends(call, "/ps")); break;
    case SIM_MODEL: write_show(call); break;
    case SIM_EMBED:
      if (sheaf__sim_route_ends(call, "/embeddings"))
        write_old_embedding(call);
      else
        write_embeddings(call);
      break;
    default:
      if (call->asked.choices)
        write_answer(call);
      else
        write_loaded(call);
      break;
  }
}

static void ollama_headers(sim_call *call, int64_t unix_s) {
  (void)unix_s;
  if (call->retry_after_ns && call->status == 429)
    sheaf__sim_header_u64(call, "retry-after",
                          (call->retry_after_ns + SIM_SECOND - 1) / SIM_SECOND);
}

const sim_provider sheaf__sim_ollama = {
    .name = "ollama",
    .read = sheaf__sim_ollama_read,
    .answer = ollama_answer,
    .part_piece = part_piece,
    .part_close = part_close,
    .stream_close = stream_close,
    .late_error = sheaf__sim_ollama_late_error,
    .error = sheaf__sim_ollama_error,
    .headers = ollama_headers,
    .stream_type = "application/x-ndjson",
};
