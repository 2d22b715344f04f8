/* test_tokens_split.c: where pieces end, by rules written out by hand from the patterns; that what
 * is said to be closed stays so whatever follows; and the classes behind them. */
#include "tokens/split.h"

#include "check.h"

#define SHEAF_NO_SIMD
#include "tokens/masks.h"

static const sheaf__pattern *pattern_of(const char *name) {
  uint32_t number;
  if (sheaf__pattern_find(sheaf_slice_of(name), &number) != SHEAF_OK) return NULL;
  return sheaf__pattern_at(number);
}

/* Pieces stand between bars. */
static void splits(const char *name, const char *wanted) {
  const sheaf__pattern *pattern = pattern_of(name);
  uint8_t text[256];
  char found[512];
  size_t bytes = 0, length = 0;
  for (const char *p = wanted; *p; p++)
    if (*p != '|') text[bytes++] = (uint8_t)*p;
  for (size_t at = 0; at < bytes;) {
    bool open = false;
    const uint8_t *end = sheaf__scan(pattern, text + at, text + bytes, &open);
    if (at > 0) found[length++] = '|';
    size_t piece = (size_t)(end - (text + at));
    if (piece == 0) break;
    memcpy(found + length, text + at, piece);
    length += piece;
    at += piece;
  }
  CHECK_TEXT(((sheaf_slice){found, length}), wanted);
}

TEST(r50k_splits_words_numbers_punctuation_and_space) {
  splits("r50k", "Hello| world|!!");
  splits("r50k", "don|'t| we|'ll| they|'re| I|'m| he|'d| you|'ve| it|'s");
  splits("r50k", "DON|'|T"); /* the short forms are lower case */
  splits("r50k", "a|  | b");
  splits("r50k", "a| |\n|b");
  splits("r50k", "a|\n\n |\n|b"); /* \s+(?!\S) leaves the last */
  splits("r50k", "a|  \n  ");     /* nothing follows: all of it */
  splits("r50k", "abc|123456789| 42|x");
  splits("r50k", " ?!|x| +|1");
  splits("r50k", "\t|x");
  splits("r50k", "e|\xcc\x81|a"); /* a mark is no letter */
}

TEST(gpt2_splits_like_r50k) {
  splits("gpt2", "a|\n\n |\n|b| 1234567| --|\xc3\xa9t\xc3\xa9|  ");
  splits("gpt2", "x|'s|x|'|S|''|sx");
}

TEST(cl100k_takes_one_character_before_a_word) {
  splits("cl100k", "Hello| world|(x|)\n\n|  | y");
  splits("cl100k", "\tint| x|\n| y");
  splits("cl100k", "$foo|.bar|-baz|!!|baz");
  splits("cl100k",
         "\xcc\x81"
         "a|\xe2\x82\xac"
         "b");                               /* a mark and a sign may be that one */
  splits("cl100k", "\xc2\xa0x| |\xc2\xa0y"); /* and so may any space but a line break */
}

TEST(cl100k_splits_short_forms_off_in_any_case) {
  splits("cl100k", "I|'m| DON|'T| it|'\xc5\xbf|x"); /* the long s folds to s */
  splits("cl100k", "'ll|ama|'VE|x|'vx");
  splits("cl100k", "x|'re|d|'VE|'rx");
}

TEST(cl100k_cuts_numbers_after_three) {
  splits("cl100k", "123|456|7|a| |12");
  splits("cl100k", "\xd9\xa1\xd9\xa2\xd9\xa3|\xd9\xa4\xc2\xbd"); /* \p{N}: Nd and No alike */
}

TEST(cl100k_takes_space_that_ends_the_text_whole) {
  splits("cl100k", "a|\n\n  ");
  splits("cl100k", "a|\n\n| | b");
  splits("cl100k", "a|  \n \n|  | b");
  splits("cl100k", "a|   ");
  splits("cl100k", "x|!\r\n\n|  | y");
}

TEST(llama3_takes_line_breaks_first) {
  splits("llama3", "a|\n\n|  ");
  splits("llama3", "a|  \n \n|  | b|123|4");
  splits("llama3", "x|'S|!\n");
}

TEST(qwen2_takes_digits_one_by_one) {
  splits("qwen2", "a|1|2|3| |4|\n|  ");
}

TEST(o200k_cuts_words_where_a_capital_begins_anew) {
  splits("o200k", "Hello|World| XMLHttp|Request");
  splits("o200k", "foo|Bar|BAZqux|X");
  splits("o200k", "ABC");
  splits("o200k", "A\xe4\xb8\xad|B"); /* a letter without case ends the first form */
  splits("o200k", "\xe4\xb8\xad|A");  /* and needs no capital before it */
  splits("o200k", "\xe4\xb8\xad|AA|\n");
  splits("o200k",
         "AB\xe4\xb8\xad"
         "cd|E");
  splits("o200k",
         "\xc7\x85"
         "a|\xc7\x85");          /* a title case letter is a capital */
  splits("o200k", "\xca\xb0|A"); /* a modifier letter has no case */
}

TEST(o200k_marks_belong_to_words_or_stand_before_them) {
  splits("o200k", "e\xcc\x81t\xc3\xa9");
  splits("o200k", "\xcc\x81");
  splits("o200k", "\xcc\x81|A"); /* prefix and capitals alone: the mark is the word */
  splits("o200k",
         "\xcc\x81"
         "Ab"); /* prefix, capital, small letter */
  splits("o200k", "\xcc\x81\xcc\x81|A");
  splits("o200k", "!\xcc\x81|A");
  splits("o200k", "!!\xcc\x81|a"); /* a run of punctuation holds marks */
}

TEST(o200k_keeps_short_forms_with_their_word) {
  splits("o200k", "don't| we'LL| it'\xc5\xbf|x");
  splits("o200k", "ABC's|A");
  splits("o200k", "'re|'x");
  splits("o200k", "1|'s");
  splits("o200k", "a|'l");
}

TEST(o200k_slashes_and_line_breaks_follow_punctuation) {
  splits("o200k", "//\n//\n|x");
  splits("o200k", "a|.\r\n/\n/|b");
  splits("o200k", " /|usr|/local");
  splits("o200k", "a| \n\n|  | b|\n|  ");
}

TEST(none_splits_nothing) {
  splits("none", "a b\n c");
}

static const char *const alphabet[] = {"a",
                                       "B",
                                       "c",
                                       "'",
                                       "s",
                                       "L",
                                       "l",
                                       " ",
                                       " ",
                                       "\n",
                                       "\r",
                                       "\t",
                                       "1",
                                       "2",
                                       "!",
                                       "/",
                                       "<",
                                       "\xc3\xa9",
                                       "\xc3\x89",
                                       "\xe4\xb8\xad",
                                       "\xcc\x81",
                                       "\xc5\xbf",
                                       "\xe2\x80\xa8",
                                       "\xf0\x9f\x98\x80"};
enum { LETTERS = sizeof alphabet / sizeof *alphabet };

static uint32_t next_draw(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static size_t draw_text(uint32_t *state, uint8_t *text, size_t characters) {
  size_t bytes = 0;
  for (size_t i = 0; i < characters; i++) {
    const char *letter = alphabet[next_draw(state) % LETTERS];
    memcpy(text + bytes, letter, strlen(letter));
    bytes += strlen(letter);
  }
  return bytes;
}

TEST(a_piece_that_is_closed_stays_whatever_follows) {
  uint32_t state = 1, closed = 0;
  for (uint32_t round = 0; round < 20000; round++) {
    const sheaf__pattern *pattern = sheaf__pattern_at(round % 6);
    uint8_t text[64];
    size_t bytes = draw_text(&state, text, 1 + next_draw(&state) % 10), short_bytes = bytes;
    bytes += draw_text(&state, text + bytes, 4);
    bool open = false, ignored = false;
    const uint8_t *end = sheaf__scan(pattern, text, text + short_bytes, &open);
    if (open) continue;
    closed++;
    CHECK(sheaf__scan(pattern, text, text + bytes, &ignored) == end);
  }
  CHECK(closed > 5000);
}

TEST(classes_of_code_points_by_the_character_database) {
  static const struct {
    uint32_t code_point, class;
  } rows[] = {
      {0x20, SHEAF__CLASS_SPACE},     {0x85, SHEAF__CLASS_SPACE},    {0xA0, SHEAF__CLASS_SPACE},
      {0x1680, SHEAF__CLASS_SPACE},   {0x2028, SHEAF__CLASS_SPACE},  {0x3000, SHEAF__CLASS_SPACE},
      {0x200B, SHEAF__CLASS_OTHER},   {0x180E, SHEAF__CLASS_OTHER},  {0xFEFF, SHEAF__CLASS_OTHER},
      {0xAA, SHEAF__CLASS_LETTER},    {0xB2, SHEAF__CLASS_NUMBER},   {0x2167, SHEAF__CLASS_NUMBER},
      {0x1C5, SHEAF__CLASS_UPPER},    {0x17F, SHEAF__CLASS_LOWER},   {0x2B0, SHEAF__CLASS_LETTER},
      {0x300, SHEAF__CLASS_MARK},     {0x903, SHEAF__CLASS_MARK},    {0x20DD, SHEAF__CLASS_MARK},
      {0x4E00, SHEAF__CLASS_LETTER},  {0x9FFF, SHEAF__CLASS_LETTER}, {0xAC00, SHEAF__CLASS_LETTER},
      {0xD7A3, SHEAF__CLASS_LETTER},  {0xD7A4, SHEAF__CLASS_OTHER},  {0x1D400, SHEAF__CLASS_UPPER},
      {0x1D7CE, SHEAF__CLASS_NUMBER}, {0x1F600, SHEAF__CLASS_OTHER}, {0x20000, SHEAF__CLASS_LETTER},
      {0x323AF, SHEAF__CLASS_LETTER}, {0x323B0, SHEAF__CLASS_OTHER}, {0xE0100, SHEAF__CLASS_MARK},
      {0xE01EF, SHEAF__CLASS_MARK},   {0xE01F0, SHEAF__CLASS_OTHER}, {0x10FFFF, SHEAF__CLASS_OTHER},
      {0x10D50, SHEAF__CLASS_UPPER} /* Garay, new in Unicode 16 */};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK_EQ(sheaf__class_of(rows[i].code_point), rows[i].class);
}

/* Every byte value at every place of the sixteen, by definition. */
TEST(masks_of_plain_arithmetic_are_the_classes_of_ascii) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (uint32_t place = 0; place < 16; place++) {
      uint8_t text[16];
      memset(text, byte == 0x80 ? 0x7F : 0x80, sizeof text); /* neighbours that might carry over */
      text[place] = (uint8_t)byte;
      uint32_t bit = 1u << place;
      sheaf__sixteen v = sheaf__sixteen_at(text);
      bool upper = byte >= 'A' && byte <= 'Z', lower = byte >= 'a' && byte <= 'z';
      CHECK_EQ(sheaf__upper_mask(v), upper ? bit : 0);
      CHECK_EQ(sheaf__lower_mask(v), lower ? bit : 0);
      CHECK_EQ(sheaf__letter_mask(v), upper || lower ? bit : 0);
      CHECK_EQ(sheaf__digit_mask(v), byte >= '0' && byte <= '9' ? bit : 0);
      CHECK_EQ(sheaf__space_mask(v), byte == ' ' || (byte >= 9 && byte <= 13) ? bit : 0);
      CHECK_EQ(sheaf__newline_mask(v), byte == '\n' || byte == '\r' ? bit : 0);
      CHECK_EQ(sheaf__wide_mask(v) & bit, byte >= 0x80 ? bit : 0);
    }
  }
}

int main(void) {
  RUN(r50k_splits_words_numbers_punctuation_and_space);
  RUN(gpt2_splits_like_r50k);
  RUN(cl100k_takes_one_character_before_a_word);
  RUN(cl100k_splits_short_forms_off_in_any_case);
  RUN(cl100k_cuts_numbers_after_three);
  RUN(cl100k_takes_space_that_ends_the_text_whole);
  RUN(llama3_takes_line_breaks_first);
  RUN(qwen2_takes_digits_one_by_one);
  RUN(o200k_cuts_words_where_a_capital_begins_anew);
  RUN(o200k_marks_belong_to_words_or_stand_before_them);
  RUN(o200k_keeps_short_forms_with_their_word);
  RUN(o200k_slashes_and_line_breaks_follow_punctuation);
  RUN(none_splits_nothing);
  RUN(a_piece_that_is_closed_stays_whatever_follows);
  RUN(classes_of_code_points_by_the_character_database);
  RUN(masks_of_plain_arithmetic_are_the_classes_of_ascii);
  return check_report();
}
