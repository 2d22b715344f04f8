/* pattern.c: the table of split patterns and the texts under which publishers write them.
 *
 * The texts are those of tiktoken 0.14 (tiktoken_ext/openai_public.py), of older tiktoken releases
 * and of the tokenizer.json files of GPT-2, Llama 3 and Qwen 2 to 3. Two texts stand for one row if
 * and only if they split every text alike: possessive and greedy forms do wherever what follows
 * cannot match what was given back. */
#include "tokens/pattern.h"

#include <sheaf/tokens.h>

#include "base/mem.h"

static const sheaf__pattern patterns[] = {
    {"r50k", SHEAF__WORD_SPACED, SHEAF__SHORT_CASED, 0, SHEAF__LINES_NONE, false, false, false},
    {"cl100k", SHEAF__WORD_PREFIXED, SHEAF__SHORT_ANY, 3, SHEAF__LINES_LATER, true, false, false},
    {"o200k", SHEAF__WORD_CASED, SHEAF__SHORT_SUFFIX, 3, SHEAF__LINES_FIRST, true, true, false},
    {"gpt2", SHEAF__WORD_SPACED, SHEAF__SHORT_CASED, 0, SHEAF__LINES_NONE, false, false, false},
    {"llama3", SHEAF__WORD_PREFIXED, SHEAF__SHORT_ANY, 3, SHEAF__LINES_FIRST, true, false, false},
    {"qwen2", SHEAF__WORD_PREFIXED, SHEAF__SHORT_ANY, 1, SHEAF__LINES_FIRST, true, false, false},
    {"none", 0, 0, 0, 0, false, false, true},
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static const struct {
  const char *text;
  uint32_t number;
} texts[] = {
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", 0},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", 0},
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++"
     "[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
     1},
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     2},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", 3},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", 3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+"
     "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     4},
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++"
     "[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
     4},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
     "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     5},
};

const sheaf__pattern *sheaf__pattern_at(uint32_t number) {
  return number < PATTERNS ? &patterns[number] : NULL;
}

const char *sheaf_pattern_name(uint32_t index) {
  return index < PATTERNS ? patterns[index].name : NULL;
}

int32_t sheaf__pattern_find(sheaf_slice text, uint32_t *number) {
  for (uint32_t i = 0; i < PATTERNS; i++) {
    if (!sheaf__slice_equal(text, sheaf_slice_of(patterns[i].name))) continue;
    *number = i;
    return SHEAF_OK;
  }
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (!sheaf__slice_equal(text, sheaf_slice_of(texts[i].text))) continue;
    *number = texts[i].number;
    return SHEAF_OK;
  }
  return SHEAF_E_NOT_FOUND;
}
