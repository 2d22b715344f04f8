/* answer.c: finds the JSON value in what a model wrote, and says what it is worth.
 *
 * Outline: names and points; the text around; candidates; the reading.
 *
 * Most answers are strict JSON: one check and one copy. In the others every bracket may begin the
 * value. Each candidate is read to where it ends or breaks, and the search goes on from there, never
 * from inside of it, so that no text costs more than a walk or two. */
#include "wire/answer_int.h"

#include "base/mem.h"

/* ---- Names and points ---- */

static const struct {
  const char *name;
  uint32_t points;
} repairs[SHEAF_REPAIR_COUNT] = {
#define REPAIR_ROW(id, bit, text, points) [bit] = {text, points},
    SHEAF_REPAIR_MAP(REPAIR_ROW)
#undef REPAIR_ROW
};

const char *sheaf_repair_name(uint32_t number) {
  return number < SHEAF_REPAIR_COUNT ? repairs[number].name : NULL;
}

static uint32_t score_of(uint32_t mended) {
  uint32_t points = 0;
  for (uint32_t i = 0; i < SHEAF_REPAIR_COUNT; i++)
    if (mended >> i & 1) points += repairs[i].points;
  return points < 99 ? 100 - points : 1;
}

uint32_t sheaf_answer_score(const sheaf_answer *answer, uint32_t faults) {
  uint64_t points = (uint64_t)faults * SHEAF_ANSWER_FAULT_COST;
  if (answer->score == 0) return 0;
  return points < answer->score ? answer->score - (uint32_t)points : 1;
}

/* ---- The text around ---- */

typedef struct span {
  const char *begin, *end;
} span;

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static span trim(span s) {
  while (s.begin < s.end && is_space(*s.begin)) s.begin++;
  while (s.begin < s.end && is_space(s.end[-1])) s.end--;
  return s;
}

static bool begins(span s, const char *text) {
  size_t bytes = strlen(text);
  return (size_t)(s.end - s.begin) >= bytes && memcmp(s.begin, text, bytes) == 0;
}

/* Without a byte order mark and space. */
static span whole_of(sheaf_slice text) {
  span s = {text.data, text.data + text.bytes};
  if (begins(s, "\xEF\xBB\xBF")) s.begin += 3;
  return trim(s);
}

/* Behind the thoughts that some models put before their answer. */
static span skip_thoughts(span s) {
  static const char close[] = "</think>";
  if (!begins(s, "<think>")) return s;
  for (span rest = s; (rest.begin = memchr(rest.begin, '<', (size_t)(rest.end - rest.begin)));
       rest.begin++)
    if (begins(rest, close)) {
      rest.begin += sizeof close - 1;
      return trim(rest);
    }
  return s;
}

static bool is_mark(char c) {
  return c == '`' || c == '~';
}

/* The word behind an opening fence, as "json" or "c++". */
static bool is_info(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '-' || c == '_';
}

/* Takes a fence or backticks off the end; false: there are none. */
static bool unfence_end(span *s) {
  if (s->begin == s->end || !is_mark(s->end[-1])) return false;
  while (s->begin < s->end && is_mark(s->end[-1])) s->end--;
  *s = trim(*s);
  return true;
}

static bool unfence_begin(span *s) {
  if (s->begin == s->end || !is_mark(*s->begin)) return false;
  while (s->begin < s->end && is_mark(*s->begin)) s->begin++;
  return true;
}

/* Marks what stands around the value. */
static uint32_t around(span text, const sheaf__mended *best, const char *begin) {
  uint32_t mended = 0;
  span left = trim((span){text.begin, begin}), right = trim((span){best->end, text.end});
  span bare = left;
  while (bare.begin < bare.end && is_info(bare.end[-1])) bare.end--;
  if (unfence_end(&bare)) {
    mended |= SHEAF_REPAIR_FENCE;
    left = bare;
  }
  if (left.begin < left.end) mended |= SHEAF_REPAIR_TEXT_AROUND;
  if (best->repairs & SHEAF_REPAIR_BROKEN) return mended; /* what follows belongs to it */
  if (unfence_begin(&right)) mended |= SHEAF_REPAIR_FENCE;
  right = trim(right);
  if (right.begin < right.end) mended |= SHEAF_REPAIR_TEXT_AROUND;
  return mended;
}

/* ---- Candidates ---- */

/* The first bracket that a fence opens with; NULL: there is none. */
static const char *fenced(span s) {
  for (; (s.begin = memchr(s.begin, '`', (size_t)(s.end - s.begin)));) {
    if (!begins(s, "```")) {
      s.begin++;
      continue;
    }
    while (s.begin < s.end && *s.begin == '`') s.begin++;
    while (s.begin < s.end && is_info(*s.begin)) s.begin++;
    while (s.begin < s.end && is_space(*s.begin)) s.begin++;
    if (s.begin < s.end && (*s.begin == '{' || *s.begin == '[')) return s.begin;
  }
  return NULL;
}

typedef struct search {
  span text;
  sheaf_buf *json;
  size_t base;              /* of what is written: the best candidate begins there */
  const char *begin;        /* of the best in the text; NULL: none yet */
  size_t bytes, next_bytes; /* of the best, and of the longest other one */
  bool broke;               /* something that was no prose could not be read */
  sheaf__mended best;
} search;

/* Keeps what was just written if it is the longest. */
static void weigh(search *s, const char *begin, const sheaf__mended *mended, size_t written) {
  sheaf_buf *json = s->json;
  size_t bytes = (size_t)(mended->end - begin), shorter = s->bytes;
  bool is_part = s->best.has_key && s->best.repairs & SHEAF_REPAIR_BROKEN; /* of what broke */
  if (s->begin != NULL && (bytes <= s->bytes || is_part)) {
    json->bytes = written;
    shorter = bytes;
  } else {
    if (s->begin != NULL) {
      memmove(json->data + s->base, json->data + written, json->bytes - written);
      json->bytes -= written - s->base;
    }
    s->begin = begin;
    s->bytes = bytes;
    s->best = *mended;
  }
  if (shorter > s->next_bytes) s->next_bytes = shorter;
}

static int32_t search_from(search *s, const char *from) {
  for (const char *p = from; p < s->text.end;) {
    if (*p != '{' && *p != '[') {
      p++;
      continue;
    }
    size_t written = s->json->bytes;
    sheaf__mended mended = sheaf__mend_container(p, s->text.end, s->json);
    if (mended.status != SHEAF_OK) return mended.status;
    if (mended.good)
      weigh(s, p, &mended, written);
    else
      s->json->bytes = written;
    if (mended.has_key && (!mended.good || mended.repairs & SHEAF_REPAIR_BROKEN)) s->broke = true;
    p = mended.next > p ? mended.next : p + 1;
  }
  return s->begin != NULL ? SHEAF_OK : SHEAF_E_NOT_FOUND;
}

/* ---- The reading ---- */

/* Strict JSON as it stands: one check, one copy. */
static bool read_strict(span text, sheaf_buf *json) {
  sheaf_json_facts facts;
  sheaf_slice slice = {text.begin, (size_t)(text.end - text.begin)};
  if (sheaf_json_pick(slice, NULL, 0, NULL, &facts, NULL) != SHEAF_OK) return false;
  if (facts.has_invalid_utf8) return false;
  sheaf_buf_append_slice(json, slice);
  return true;
}

/* What stands between the fences of a text that is nothing else. */
static span unfenced(span text) {
  if (!unfence_begin(&text)) return text;
  const char *word_end = text.begin;
  while (word_end < text.end && is_info(*word_end)) word_end++;
  if (word_end < text.end && is_space(*word_end)) text.begin = word_end;
  text = trim(text);
  unfence_end(&text);
  return text;
}

/* A string, number or word that is all of the text but for a fence. */
static int32_t read_alone(search *s, span inside) {
  if (inside.begin == inside.end) return SHEAF_E_NOT_FOUND;
  s->best = sheaf__mend_scalar(inside.begin, inside.end, s->json);
  if (s->best.status != SHEAF_OK) return s->best.status;
  s->begin = inside.begin;
  return s->best.good ? SHEAF_OK : SHEAF_E_NOT_FOUND;
}

static int32_t read_mended(search *s) {
  const char *fence = fenced(s->text);
  int32_t status = SHEAF_E_NOT_FOUND;
  if (fence != NULL) status = search_from(s, fence);
  if (status == SHEAF_E_NOT_FOUND) status = search_from(s, s->text.begin);
  if (status != SHEAF_OK) return status;
  uint32_t *mended = &s->best.repairs;
  *mended |= around(s->text, &s->best, s->begin);
  if (s->broke) *mended |= SHEAF_REPAIR_BROKEN;
  if (s->next_bytes * 4 >= s->bytes && s->next_bytes > 0) *mended |= SHEAF_REPAIR_SEVERAL;
  return SHEAF_OK;
}

/* The text as it is, between its fences, mended, as a lone value: the first that there is. */
static int32_t read_any(search *s) {
  span inside = unfenced(s->text);
  uint32_t fence = inside.begin > s->text.begin ? SHEAF_REPAIR_FENCE : 0;
  s->begin = inside.begin;
  s->best.end = inside.end;
  s->best.repairs = fence;
  if (read_strict(inside, s->json)) return s->json->status;
  s->begin = NULL;
  s->best.repairs = 0;
  int32_t status = read_mended(s);
  if (status != SHEAF_E_NOT_FOUND) return status;
  status = read_alone(s, inside);
  s->best.repairs |= fence;
  return status;
}

int32_t sheaf_answer_read(sheaf_slice text, sheaf_buf *json, sheaf_answer *answer) {
  *answer = (sheaf_answer){0};
  if (json->status != SHEAF_OK) return json->status;
  if (text.bytes == 0) return SHEAF_E_NOT_FOUND;
  span whole = whole_of(text);
  search s = {.text = skip_thoughts(whole), .json = json, .base = json->bytes};
  int32_t status = read_any(&s);
  if (status != SHEAF_OK) {
    json->bytes = s.base;
    return status;
  }
  uint32_t mended = s.best.repairs;
  if (whole.begin < s.text.begin) mended |= SHEAF_REPAIR_TEXT_AROUND;
  *answer = (sheaf_answer){.repairs = mended,
                           .score = score_of(mended),
                           .begin = (size_t)(s.begin - text.data),
                           .end = (size_t)(s.best.end - text.data)};
  answer->kind = sheaf_json_kind((sheaf_slice){json->data + s.base, json->bytes - s.base});
  return SHEAF_OK;
}
