/* sim_schedule.c: faults by a file, a rule a line. README.md describes the rules.
 *
 *   load    each line becomes a rule; texts lie behind one another in one buffer
 *   draw    every rule counts the requests that meet its conditions, also those that an earlier
 *           rule has taken, so that rules do not disturb each other; the first that fires wins */
#include "sim_lines.h"

#include <stdlib.h>
#include <string.h>

#define RULES_MAX 65536u

typedef struct text_at {
  size_t from, bytes;
  bool is_given;
} text_at;

typedef struct rule {
  uint32_t fault;
  uint32_t rate_ppm;
  uint64_t from_ns, to_ns; /* UINT64_MAX: no end */
  uint64_t every, first, skip;
  text_at path, model;
  text_at match, match_escaped; /* plain, and as a JSON string holds it */
  uint64_t seen;                /* requests that met the conditions */
} rule;

struct sim_schedule {
  sheaf_buf text;
  rule *rules;
  size_t count, room;
};

/* ---- Loading ---- */

enum {
  FIELD_FAULT,
  FIELD_RATE,
  FIELD_FROM,
  FIELD_TO,
  FIELD_PATH,
  FIELD_MODEL,
  FIELD_MATCH,
  FIELD_EVERY,
  FIELD_FIRST,
  FIELD_SKIP,
  FIELDS
};
static const char *const fields[FIELDS] = {"fault", "rate",  "from_ms", "to_ms", "path",
                                           "model", "match", "every",   "first", "skip"};

typedef struct reading {
  sim_lines *lines;
  sim_schedule *schedule;
  sheaf_slice values[FIELDS];
} reading;

static int32_t read_fault(reading *r, rule *made) {
  sheaf_slice value = r->values[FIELD_FAULT], inside = sheaf_json_inside(value);
  if (!value.bytes)
    return sheaf__sim_line_fail(r->lines, SHEAF_E_FIELD, "fault",
                                "is missing; add \"fault\":\"500\" or another kind");
  made->fault = SIM_NO_FAULT;
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING)
    made->fault = sheaf__sim_fault_find(inside.data, inside.bytes);
  if (made->fault == SIM_NO_FAULT)
    return sheaf__sim_line_fail(r->lines, SHEAF_E_FIELD, "fault",
                                "is no such kind; sheaf sim --help lists them");
  return SHEAF_OK;
}

static int32_t read_rate(reading *r, rule *made) {
  int64_t nano = 1000000000;
  sheaf_slice value = r->values[FIELD_RATE];
  if (value.bytes && (sheaf_json_kind(value) != SHEAF_JSON_NUMBER ||
                      sheaf_json_nano(value, &nano) != SHEAF_OK || nano < 0 || nano > 1000000000))
    return sheaf__sim_line_fail(r->lines, SHEAF_E_RANGE, "rate",
                                "is a share of the requests; write 0 to 1, as 0.05");
  made->rate_ppm = (uint32_t)(nano / 1000);
  return SHEAF_OK;
}

static int32_t read_count(reading *r, uint32_t field, int64_t least, uint64_t *number) {
  int64_t whole;
  sheaf_slice value = r->values[field];
  if (!value.bytes) return SHEAF_OK;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER || sheaf_json_int(value, &whole) != SHEAF_OK ||
      whole < least || whole > INT64_MAX / (int64_t)SIM_MS)
    return sheaf__sim_line_fail(
        r->lines, SHEAF_E_RANGE, fields[field],
        least ? "write a whole number from 1 on" : "write a whole number from 0 on");
  *number = (uint64_t)whole;
  return SHEAF_OK;
}

static int32_t read_window(reading *r, rule *made) {
  uint64_t from_ms = 0, to_ms = UINT64_MAX;
  int32_t status = read_count(r, FIELD_FROM, 0, &from_ms);
  if (status == SHEAF_OK) status = read_count(r, FIELD_TO, 0, &to_ms);
  if (status != SHEAF_OK) return status;
  if (to_ms <= from_ms)
    return sheaf__sim_line_fail(r->lines, SHEAF_E_RANGE, "to_ms",
                                "is not after \"from_ms\"; make it larger");
  made->from_ns = from_ms * SIM_MS;
  made->to_ns = to_ms == UINT64_MAX ? UINT64_MAX : to_ms * SIM_MS;
  return SHEAF_OK;
}

static int32_t read_text(reading *r, uint32_t field, text_at *plain, text_at *escaped) {
  sheaf_slice value = r->values[field], inside = sheaf_json_inside(value);
  sheaf_buf *text = &r->schedule->text;
  if (!value.bytes) return SHEAF_OK;
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING || inside.bytes == 0)
    return sheaf__sim_line_fail(r->lines, SHEAF_E_TYPE, fields[field],
                                "write a text that is not empty");
  size_t from = text->bytes;
  sheaf_buf_append_unescaped(text, inside);
  *plain = (text_at){from, text->bytes - from, true};
  if (escaped) {
    from = text->bytes;
    sheaf_buf_append_slice(text, inside);
    *escaped = (text_at){from, text->bytes - from, true};
  }
  return text->status;
}

static int32_t read_rule(reading *r, sheaf_slice line, rule *made) {
  int32_t status = sheaf__sim_line_object(r->lines, line, fields, FIELDS, r->values);
  *made = (rule){.first = UINT64_MAX};
  if (status == SHEAF_OK) status = read_fault(r, made);
  if (status == SHEAF_OK) status = read_rate(r, made);
  if (status == SHEAF_OK) status = read_window(r, made);
  if (status == SHEAF_OK) status = read_count(r, FIELD_EVERY, 1, &made->every);
  if (status == SHEAF_OK) status = read_count(r, FIELD_FIRST, 1, &made->first);
  if (status == SHEAF_OK) status = read_count(r, FIELD_SKIP, 0, &made->skip);
  if (status == SHEAF_OK) status = read_text(r, FIELD_PATH, &made->path, NULL);
  if (status == SHEAF_OK) status = read_text(r, FIELD_MODEL, &made->model, NULL);
  if (status == SHEAF_OK) status = read_text(r, FIELD_MATCH, &made->match, &made->match_escaped);
  return status;
}

static int32_t add_rule(sim_schedule *schedule, const sim_lines *lines, const rule *made) {
  if (schedule->count == RULES_MAX)
    return sheaf__sim_line_fail(lines, SHEAF_E_LIMIT, NULL,
                                "more than 65536 rules; leave some out");
  if (schedule->count == schedule->room) {
    size_t room = schedule->room ? schedule->room * 2 : 16;
    rule *rules = realloc(schedule->rules, room * sizeof *rules);
    if (!rules)
      return sheaf__sim_line_fail(lines, SHEAF_E_NOMEM, NULL, "no memory for so many rules");
    schedule->rules = rules;
    schedule->room = room;
  }
  schedule->rules[schedule->count++] = *made;
  return SHEAF_OK;
}

int32_t sheaf__sim_schedule_load(sim_schedule **schedule, const char *path, char *message,
                                 size_t bytes) {
  sim_lines lines;
  sheaf_slice line;
  rule made;
  int32_t status = sheaf__sim_lines_open(&lines, path, message, bytes);
  if (status != SHEAF_OK) return status;
  sim_schedule *loaded = calloc(1, sizeof *loaded);
  if (loaded) sheaf_buf_init(&loaded->text, &sheaf__sim_allocator, SIM_FILE_MAX * 2u);
  reading r = {.lines = &lines, .schedule = loaded};
  if (!loaded) status = sheaf__sim_line_fail(&lines, SHEAF_E_NOMEM, NULL, "no memory");
  while (status == SHEAF_OK && sheaf__sim_line_next(&lines, &line)) {
    status = read_rule(&r, line, &made);
    if (status == SHEAF_OK) status = add_rule(loaded, &lines, &made);
  }
  sheaf__sim_lines_close(&lines);
  if (status != SHEAF_OK) {
    sheaf__sim_schedule_free(loaded);
    return status;
  }
  *schedule = loaded;
  return SHEAF_OK;
}

void sheaf__sim_schedule_free(sim_schedule *schedule) {
  if (!schedule) return;
  sheaf_buf_deinit(&schedule->text);
  free(schedule->rules);
  free(schedule);
}

/* ---- Drawing ---- */

static sheaf_slice text_of(const sim_schedule *schedule, text_at at) {
  return (sheaf_slice){schedule->text.data + at.from, at.bytes};
}

static bool is_equal(sheaf_slice a, sheaf_slice b) {
  return a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0;
}

/* A path that ends with '*' stands for all that begin like it. */
static bool is_path(sheaf_slice pattern, sheaf_slice path) {
  if (pattern.data[pattern.bytes - 1] != '*') return is_equal(pattern, path);
  return path.bytes >= pattern.bytes - 1 && memcmp(path.data, pattern.data, pattern.bytes - 1) == 0;
}

static bool is_met(const sim_schedule *schedule, const rule *r, const sim_call *call,
                   uint64_t since_start_ns) {
  if (since_start_ns < r->from_ns || since_start_ns >= r->to_ns) return false;
  if (r->path.is_given && !is_path(text_of(schedule, r->path), sheaf_slice_of(call->path)))
    return false;
  if (r->model.is_given &&
      (call->asked.model.bytes == 0 || !is_equal(text_of(schedule, r->model), call->asked.model)))
    return false;
  sheaf_slice body = sheaf_buf_slice(&call->body);
  return !r->match.is_given || sheaf__sim_contains(body, text_of(schedule, r->match)) ||
         sheaf__sim_contains(body, text_of(schedule, r->match_escaped));
}

/* Whether the request that was counted last is one of those that the rule picks. */
static bool is_picked(const rule *r) {
  if (r->seen <= r->skip) return false;
  uint64_t n = r->seen - r->skip;
  if (r->every && n % r->every != 0) return false;
  return (r->every ? n / r->every : n) <= r->first;
}

uint32_t sheaf__sim_schedule_draw(sim_schedule *schedule, const sim_call *call,
                                  uint64_t since_start_ns) {
  uint32_t fault = SIM_NO_FAULT;
  if (!schedule) return fault;
  for (size_t i = 0; i < schedule->count; i++) {
    rule *r = &schedule->rules[i];
    if (!is_met(schedule, r, call, since_start_ns)) continue;
    r->seen++;
    if (fault != SIM_NO_FAULT || !is_picked(r)) continue;
    uint64_t key = sheaf__sim_mix(call->key, i);
    if (sheaf__sim_draw(key, SIM_DRAW_RULE, 1000000) < r->rate_ppm) fault = r->fault;
  }
  return fault;
}
