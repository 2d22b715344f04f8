/* sim_events.h: the parts of a streamed reply, for tests of the simulator: server-sent events and
 * lines, each checked for its form on the way. */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include "sim_client.h"

typedef struct sim_event {
  char name[40]; /* "" where there is no event line */
  sheaf_slice data;
} sim_event;

/* Takes a line off the text, without its LF or CRLF. Every line must be ended. */
static inline sheaf_slice take_line(sheaf_slice *text) {
  assert_true(text->bytes > 0);
  const char *end = memchr(text->data, '\n', text->bytes);
  assert_non_null(end);
  sheaf_slice line = {text->data, (size_t)(end - text->data)};
  text->data = end + 1;
  text->bytes -= line.bytes + 1;
  if (line.bytes && line.data[line.bytes - 1] == '\r') line.bytes--;
  return line;
}

static inline bool begins_with(sheaf_slice line, const char *head) {
  return line.bytes >= strlen(head) && memcmp(line.data, head, strlen(head)) == 0;
}

/* The next event: a name or none, one line of data that is JSON, and an empty line. */
static inline bool next_event(sheaf_slice *text, sim_event *event) {
  if (text->bytes == 0) return false;
  sheaf_slice line = take_line(text);
  event->name[0] = 0;
  if (begins_with(line, "event: ")) {
    snprintf(event->name, sizeof event->name, "%.*s", (int)line.bytes - 7, line.data + 7);
    line = take_line(text);
  }
  assert_true(begins_with(line, "data: "));
  event->data = (sheaf_slice){line.data + 6, line.bytes - 6};
  assert_int_equal(sheaf_json_check(event->data, NULL), SHEAF_OK);
  assert_int_equal(take_line(text).bytes, 0);
  return true;
}

/* Checks that a value stands at a path: strings by their text, others as written; "" for absent. */
static inline void assert_at(sheaf_slice json, const char *path, const char *wanted) {
  const char *found = pick_in(json, path);
  if (strcmp(found, wanted) != 0) print_error("%s in %.*s\n", path, (int)json.bytes, json.data);
  assert_string_equal(found, wanted);
}

static inline void assert_in(const reply *got, const char *path, const char *wanted) {
  assert_at(sheaf_buf_slice(&got->body), path, wanted);
}

static inline void assert_begins(const char *text, const char *head) {
  if (strncmp(text, head, strlen(head)) != 0) print_error("\"%s\" for \"%s\"\n", text, head);
  assert_true(strncmp(text, head, strlen(head)) == 0);
}

/* Appends the string at a path; nothing where there is none. */
static inline void append_at(char *text, size_t room, sheaf_slice json, const char *path) {
  size_t used = strlen(text);
  copy_text(text + used, room - used, pick_in(json, path));
}

static inline int64_t int_at(sheaf_slice json, const char *path) {
  int64_t number = -1;
  sheaf_slice value;
  assert_int_equal(sheaf_json_pick(json, &path, 1, &value, NULL, NULL), SHEAF_OK);
  assert_int_equal(sheaf_json_int(value, &number), SHEAF_OK);
  return number;
}

/* "2026-01-02T03:04:05Z", and with a fraction where that is wanted. */
static inline void assert_rfc3339(const char *text, bool has_fraction) {
  static const char form[] = "dddd-dd-ddTdd:dd:dd";
  assert_non_null(text);
  for (size_t i = 0; i < sizeof form - 1; i++) {
    if (form[i] == 'd')
      assert_in_range(text[i], '0', '9');
    else
      assert_int_equal(text[i], form[i]);
  }
  text += sizeof form - 1;
  if (has_fraction) {
    assert_int_equal(*text, '.');
    size_t digits = strspn(text + 1, "0123456789");
    assert_in_range(digits, 1, 9);
    text += digits + 1;
  }
  assert_string_equal(text, "Z");
}

#endif
