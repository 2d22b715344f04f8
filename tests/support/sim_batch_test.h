/* sim_batch_test.h: for the tests of the simulator's batch jobs: uploads, methods other than GET and
 * POST, waiting for a state, and result files line by line. */
#ifndef SIM_BATCH_TEST_H
#define SIM_BATCH_TEST_H

#include "sim_events.h"

#include <time.h>

#define ID_MAX 64
#define PATH_ROOM 160

/* head, an id, tail. */
static inline void join_path(char path[PATH_ROOM], const char *head, const char *id,
                             const char *tail) {
  copy_text(path, PATH_ROOM, head);
  copy_text(path + strlen(path), PATH_ROOM - strlen(path), id);
  copy_text(path + strlen(path), PATH_ROOM - strlen(path), tail);
}

/* ---- Requests ---- */

/* A request of any method, with one more header or NULL. */
static inline void fetch_with(const sheaf_sim *sim, reply *got, const char *method,
                              const char *path, const char *body, const char *header,
                              const char *also) {
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  if (header) headers = curl_slist_append(headers, header);
  if (also) headers = curl_slist_append(headers, also);
  reply_init(got);
  CURL *easy = make(sim, got, path, body, headers, 20000);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  got->code = curl_easy_perform(easy);
  assert_int_equal(got->code, CURLE_OK);
  finish(easy, got);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
}

static inline void fetch_200(const sheaf_sim *sim, reply *got, const char *method, const char *path,
                             const char *body, const char *header) {
  fetch_with(sim, got, method, path, body, header, NULL);
  if (got->status != 200) print_error("%s %s: %ld %s\n", method, path, got->status, got->text);
  assert_int_equal(got->status, 200);
}

/* ---- Uploads as forms ---- */

/* fields: name, value, ..., NULL; the file part comes last, without a name of its own where filename
 * is NULL, and not at all where text is NULL. */
static inline void upload_form(const sheaf_sim *sim, reply *got, const char *path,
                               const char *const *fields, const char *filename, const char *text,
                               size_t bytes) {
  reply_init(got);
  CURL *easy = make(sim, got, path, NULL, NULL, 60000);
  curl_mime *form = curl_mime_init(easy);
  for (; fields && *fields; fields += 2) {
    curl_mimepart *part = curl_mime_addpart(form);
    curl_mime_name(part, fields[0]);
    curl_mime_data(part, fields[1], CURL_ZERO_TERMINATED);
  }
  if (text) {
    curl_mimepart *part = curl_mime_addpart(form);
    curl_mime_name(part, "file");
    curl_mime_data(part, text, bytes);
    curl_mime_filename(part, filename);
  }
  curl_easy_setopt(easy, CURLOPT_MIMEPOST, form);
  got->code = curl_easy_perform(easy);
  assert_int_equal(got->code, CURLE_OK);
  finish(easy, got);
  curl_mime_free(form);
  curl_easy_cleanup(easy);
}

/* Uploads an input of batches and copies its id. */
static inline void upload_input(const sheaf_sim *sim, const char *text, char id[ID_MAX]) {
  static const char *const fields[] = {"purpose", "batch", NULL};
  reply got;
  upload_form(sim, &got, "/v1/files", fields, "input.jsonl", text, strlen(text));
  if (got.status != 200) print_error("%s\n", got.text);
  assert_int_equal(got.status, 200);
  copy_text(id, ID_MAX, pick(&got, "id"));
  reply_deinit(&got);
}

/* ---- Waiting ---- */

static inline void rest_ms(long ms) {
  const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

/* Asks until the value at pick_path is one of " a b c "; got holds that reply. */
static inline void wait_for(const sheaf_sim *sim, reply *got, const char *path, const char *header,
                            const char *pick_path, const char *values) {
  for (int tries = 0; tries < 4000; tries++) {
    char word[ID_MAX] = " ";
    fetch_with(sim, got, "GET", path, NULL, header, NULL);
    copy_text(word + 1, sizeof word - 2, got->status == 200 ? pick(got, pick_path) : "?");
    memcpy(word + strlen(word), " ", 2);
    if (strstr(values, word)) return;
    reply_deinit(got);
    rest_ms(5);
  }
  fail_msg("%s never became%s", path, values);
}

/* ---- Results ---- */

/* The n-th line of a body, without its end; empty past the last. Every line is ended and is JSON. */
static inline sheaf_slice line_at(const reply *got, unsigned n) {
  sheaf_slice text = sheaf_buf_slice(&got->body);
  for (unsigned i = 0; text.bytes; i++) {
    sheaf_slice line = take_line(&text);
    assert_int_equal(sheaf_json_check(line, NULL), SHEAF_OK);
    if (i == n) return line;
  }
  return (sheaf_slice){0};
}

static inline unsigned count_lines(const reply *got) {
  unsigned count = 0;
  while (line_at(got, count).bytes) count++;
  return count;
}

/* The only line whose value at path is this one; empty: there is none. */
static inline sheaf_slice line_of(const reply *got, const char *path, const char *value) {
  sheaf_slice found = {0};
  for (unsigned i = 0;; i++) {
    sheaf_slice line = line_at(got, i);
    if (!line.bytes) return found;
    if (strcmp(pick_in(line, path), value) != 0) continue;
    assert_int_equal(found.bytes, 0);
    found = line;
  }
}

#endif
