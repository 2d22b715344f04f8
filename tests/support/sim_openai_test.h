/* sim_openai_test.h: for the tests of the simulator's OpenAI shapes: errors as OpenAI writes them,
 * and streams parted strictly into their events. */
#ifndef SIM_OPENAI_TEST_H
#define SIM_OPENAI_TEST_H

#include "sim_client.h"

#define RESPONSES "/v1/responses"
#define COMPLETIONS "/v1/completions"
#define EMBEDDINGS "/v1/embeddings"
#define TOOL                                                                                       \
  "{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"The weather\"," \
  "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},"           \
  "\"required\":[\"city\"]},\"strict\":true}}"
#define OTHER_TOOL "{\"type\":\"function\",\"function\":{\"name\":\"other\"}}"
#define FLAT_TOOL                                                                        \
  "{\"type\":\"function\",\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"," \
  "\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}}"

/* ---- Helpers ---- */

/* A 200 whose body is one JSON object. */
static inline void fetch_ok(const sheaf_sim *sim, reply *got, const char *path, const char *body,
                            const char *header) {
  fetch(sim, got, path, body, header);
  if (got->status != 200) print_error("%s %s\n%s\n", path, body ? body : "", got->text);
  assert_int_equal(got->status, 200);
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got->body), NULL), SHEAF_OK);
  assert_int_equal(got->body.data[0], '{');
  assert_header(got, "content-type", "application/json");
}

static inline void assert_ok(const sheaf_sim *sim, const char *path, const char *body) {
  reply got;
  fetch_ok(sim, &got, path, body, NULL);
  reply_deinit(&got);
}

static inline void assert_pick(const reply *got, const char *path, const char *value) {
  const char *found = pick(got, path);
  if (strcmp(found, value) != 0) print_error("%s is %s in\n%s\n", path, found, got->text);
  assert_string_equal(found, value);
}

/* value: as written, "null" or a string's text. */
typedef struct expected {
  const char *path, *value;
} expected;

static inline void assert_picks(const reply *got, const expected *wanted) {
  for (; wanted->path; wanted++) assert_pick(got, wanted->path, wanted->value);
}

static inline void assert_begins(const char *text, const char *start) {
  if (strncmp(text, start, strlen(start)) != 0) print_error("%s\n", text);
  assert_true(strncmp(text, start, strlen(start)) == 0);
}

/* The members of an error; param and code NULL: they are null. message NULL: any, but not empty. */
static inline void assert_error(const reply *got, long status, const char *type, const char *param,
                                const char *code, const char *message) {
  if (got->status != status) print_error("status %ld: %s\n", got->status, got->text);
  assert_int_equal(got->status, status);
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&got->body), NULL), SHEAF_OK);
  assert_pick(got, "error.type", type);
  assert_pick(got, "error.param", param ? param : "null");
  assert_pick(got, "error.code", code ? code : "null");
  if (message)
    assert_pick(got, "error.message", message);
  else
    assert_true(strlen(pick(got, "error.message")) > 0);
}

static inline void assert_refused(const sheaf_sim *sim, const char *path, const char *body,
                                  long status, const char *param, const char *code,
                                  const char *message) {
  reply got;
  fetch(sim, &got, path, body, NULL);
  if (got.status != status) print_error("%s\n", body);
  assert_error(&got, status, "invalid_request_error", param, code, message);
  reply_deinit(&got);
}

/* A member that makes a request wrong, and what the error says. */
typedef struct refusal {
  const char *fragment, *param, *code, *message;
} refusal;

/* One event of a stream. */
typedef struct event {
  char name[64]; /* empty: it has none */
  sheaf_slice data;
} event;

#define EVENTS_MAX 512

/* Parts a stream into its events, strictly: an optional "event: " line, one "data: " line, an empty
 * line; JSON in each but "[DONE]". Answers how many. */
static inline size_t split_events(const reply *got, event *events) {
  size_t count = 0;
  const char *at = got->body.data, *end = at + got->body.bytes;
  assert_int_equal(got->status, 200);
  assert_header(got, "content-type", "text/event-stream; charset=utf-8");
  while (at < end) {
    assert_true(count < EVENTS_MAX);
    event *e = &events[count++];
    e->name[0] = 0;
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    assert_non_null(line_end);
    if (strncmp(at, "event: ", 7) == 0) {
      snprintf(e->name, sizeof e->name, "%.*s", (int)(line_end - at - 7), at + 7);
      at = line_end + 1;
      line_end = memchr(at, '\n', (size_t)(end - at));
      assert_non_null(line_end);
    }
    assert_memory_equal(at, "data: ", 6);
    e->data = (sheaf_slice){at + 6, (size_t)(line_end - at) - 6};
    assert_true(line_end + 1 < end && line_end[1] == '\n');
    at = line_end + 2;
    if (e->data.bytes == 6 && memcmp(e->data.data, "[DONE]", 6) == 0) continue;
    assert_int_equal(sheaf_json_check(e->data, NULL), SHEAF_OK);
  }
  return count;
}

static inline bool is_done(const event *e) {
  return e->data.bytes == 6 && memcmp(e->data.data, "[DONE]", 6) == 0;
}

static inline void assert_event(const event *e, const char *path, const char *value) {
  assert_string_equal(pick_in(e->data, path), value);
}

static inline void append_pick(char *text, size_t room, const event *e, const char *path) {
  size_t used = strlen(text);
  copy_text(text + used, room - used, pick_in(e->data, path));
}

#endif
