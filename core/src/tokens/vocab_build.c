/* vocab_build.c: builds a vocabulary file: what is known of an encoding, and the way from a source
 * to the file.
 *
 * Patterns and special tokens of the seven encodings are those of tiktoken 0.14
 * (tiktoken_ext/openai_public.py). */
#include "tokens/draft.h"

typedef struct known_special {
  const char *text;
  uint32_t id;
} known_special;

typedef struct known_encoding {
  const char *name;
  const char *pattern;
  known_special specials[14];
} known_encoding;

static const known_encoding known[] = {
    {"o200k_base", "o200k", {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
    {"o200k_harmony",
     "o200k",
     {{"<|startoftext|>", 199998},
      {"<|endoftext|>", 199999},
      {"<|return|>", 200002},
      {"<|constrain|>", 200003},
      {"<|channel|>", 200005},
      {"<|start|>", 200006},
      {"<|end|>", 200007},
      {"<|message|>", 200008},
      {"<|call|>", 200012},
      {"<|endofprompt|>", 200018}}},
    {"cl100k_base",
     "cl100k",
     {{"<|endoftext|>", 100257},
      {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259},
      {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}}},
    {"p50k_base", "r50k", {{"<|endoftext|>", 50256}}},
    {"p50k_edit",
     "r50k",
     {{"<|endoftext|>", 50256},
      {"<|fim_prefix|>", 50281},
      {"<|fim_middle|>", 50282},
      {"<|fim_suffix|>", 50283}}},
    {"r50k_base", "r50k", {{"<|endoftext|>", 50256}}},
    {"gpt2", "r50k", {{"<|endoftext|>", 50256}}},
};

/* The ids of o200k_harmony from here on have texts of their numbers, but for these seven. 200018
 * has two texts, of which decoding takes the first, <|endofprompt|>. */
enum { HARMONY_RESERVED = 200000, HARMONY_END = 201088 };
static const uint32_t harmony_named[] = {200002, 200003, 200005, 200006, 200007, 200008, 200012};

static int32_t add_reserved(sheaf__draft *draft) {
  size_t named = 0;
  for (uint32_t id = HARMONY_RESERVED; id < HARMONY_END; id++) {
    if (named < sizeof harmony_named / sizeof *harmony_named && harmony_named[named] == id) {
      named++;
      continue;
    }
    char text[] = "<|reserved_000000|>";
    uint32_t rest = id;
    for (size_t at = sizeof text - 4; rest > 0; at--, rest /= 10)
      text[at] = (char)('0' + rest % 10);
    int32_t status = sheaf__draft_special(draft, (sheaf_slice){text, sizeof text - 1}, id);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

static const known_encoding *known_of(sheaf_slice name) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (sheaf__slice_equal(name, sheaf_slice_of(known[i].name))) return &known[i];
  return NULL;
}

static int32_t add_known(sheaf__draft *draft, const known_encoding *encoding) {
  int32_t status = sheaf__pattern_find(sheaf_slice_of(encoding->pattern), &draft->pattern);
  for (size_t i = 0; status == SHEAF_OK && encoding->specials[i].text; i++)
    status = sheaf__draft_special(draft, sheaf_slice_of(encoding->specials[i].text),
                                  encoding->specials[i].id);
  if (status == SHEAF_OK && encoding == &known[1]) status = add_reserved(draft);
  return status;
}

static int32_t add_spec(sheaf__draft *draft, const sheaf_vocab_spec *spec) {
  const known_encoding *encoding = known_of(spec->name);
  if (encoding) {
    if (spec->pattern.bytes > 0 || spec->special_count > 0)
      return sheaf__draft_fail(draft, SHEAF_E_MISUSE, 0,
                               "A known encoding brings its own pattern and specials.");
    return add_known(draft, encoding);
  }
  if (sheaf__pattern_find(spec->pattern, &draft->pattern) != SHEAF_OK)
    return sheaf__draft_fail(draft, SHEAF_E_NOT_FOUND, 0,
                             "The split pattern is none that sheaf knows; see sheaf_pattern_name.");
  for (uint32_t i = 0; i < spec->special_count; i++) {
    int32_t status = sheaf__draft_special(draft, spec->specials[i].text, spec->specials[i].id);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

static bool is_json(sheaf_slice source) {
  size_t at = 0;
  while (at < source.bytes && (source.data[at] == ' ' || source.data[at] == '\t' ||
                               source.data[at] == '\r' || source.data[at] == '\n'))
    at++;
  return at < source.bytes && source.data[at] == '{';
}

static int32_t build(sheaf__draft *draft, sheaf_slice source, const sheaf_vocab_spec *spec,
                     sheaf_buf *out) {
  int32_t status;
  if (is_json(source)) {
    if (spec->pattern.bytes > 0 || spec->special_count > 0)
      return sheaf__draft_fail(draft, SHEAF_E_MISUSE, 0,
                               "A tokenizer.json brings its own pattern and specials.");
    status = sheaf__draft_read_json(draft, source);
  } else {
    status = add_spec(draft, spec);
    if (status == SHEAF_OK) status = sheaf__draft_read_ranks(draft, source);
  }
  return status == SHEAF_OK ? sheaf__draft_write(draft, spec->name, out) : status;
}

int32_t sheaf_vocab_build(sheaf_slice source, const sheaf_vocab_spec *spec, sheaf_buf *out,
                          sheaf_parse_error *error) {
  if (error) *error = (sheaf_parse_error){.status = SHEAF_OK};
  if (!spec || !out || spec->struct_bytes < sizeof *spec || spec->name.bytes == 0 ||
      spec->name.bytes > SHEAF_VOCAB_NAME_BYTES_MAX ||
      memchr(spec->name.data, 0, spec->name.bytes) || (spec->special_count > 0 && !spec->specials))
    return SHEAF_E_MISUSE;
  if (out->status != SHEAF_OK) return out->status;
  if (source.bytes > UINT32_MAX) return SHEAF_E_LIMIT;
  sheaf__draft draft;
  sheaf__draft_init(&draft, out->allocator, error);
  int32_t status = build(&draft, source, spec, out);
  sheaf__draft_deinit(&draft);
  if (status != SHEAF_OK && error && error->status == SHEAF_OK)
    *error = (sheaf_parse_error){.status = status, .message = sheaf_status_text(status)};
  return status;
}
