/* sim_client.h: a simulator and libcurl, for tests: start one, fetch from it, pick from the reply.
 * Uses cmocka's assertions. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* mkstemp */
#endif

#include <sheaf/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define CHAT_HELLO "{\"model\":\"m\"," HELLO "}"
#define VERSION "anthropic-version: 2023-06-01"
#define PATH_BYTES_MAX 256

/* ---- Fetching ---- */

static inline void *host_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx;
  (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

static const sheaf_allocator allocator = {host_realloc, NULL};

typedef struct reply {
  CURLcode code;
  long status;
  double seconds;
  sheaf_buf body;
  sheaf_buf head;  /* lower-case names are not assumed: see header_of */
  char text[4096]; /* the body, terminated, as far as it fits */
} reply;

static inline size_t take(char *data, size_t size, size_t count, void *ctx) {
  return sheaf_buf_append(ctx, data, size * count) == SHEAF_OK ? size * count : 0;
}

static inline void reply_init(reply *got) {
  memset(got, 0, sizeof *got);
  sheaf_buf_init(&got->body, &allocator, 64u << 20);
  sheaf_buf_init(&got->head, &allocator, 1u << 20);
}

static inline void reply_deinit(reply *got) {
  sheaf_buf_deinit(&got->body);
  sheaf_buf_deinit(&got->head);
}

static inline CURL *make(const sheaf_sim *sim, reply *got, const char *path, const char *body,
                         struct curl_slist *headers, long timeout_ms) {
  char url[PATH_BYTES_MAX];
  CURL *easy = curl_easy_init();
  assert_non_null(easy);
  snprintf(url, sizeof url, "%s%s", sheaf_sim_url(sim), path);
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &got->body);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &got->head);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, got);
  if (headers) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  if (body) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
  }
  return easy;
}

static inline void finish(CURL *easy, reply *got) {
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &got->status);
  curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &got->seconds);
  size_t bytes = got->body.bytes < sizeof got->text - 1 ? got->body.bytes : sizeof got->text - 1;
  if (bytes) memcpy(got->text, got->body.data, bytes);
  got->text[bytes] = 0;
}

/* body NULL: GET. header, also: one each, or NULL. */
static inline void fetch_for(const sheaf_sim *sim, reply *got, const char *path, const char *body,
                             const char *header, const char *also, long timeout_ms) {
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  if (header) headers = curl_slist_append(headers, header);
  if (also) headers = curl_slist_append(headers, also);
  reply_init(got);
  CURL *easy = make(sim, got, path, body, headers, timeout_ms);
  got->code = curl_easy_perform(easy);
  finish(easy, got);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
}

static inline void fetch(const sheaf_sim *sim, reply *got, const char *path, const char *body,
                         const char *header) {
  fetch_for(sim, got, path, body, header, NULL, 20000);
  assert_int_equal(got->code, CURLE_OK);
}

static inline long status_of(const sheaf_sim *sim, const char *path, const char *body,
                             const char *header) {
  reply got;
  fetch(sim, &got, path, body, header);
  reply_deinit(&got);
  return got.status;
}

static inline CURLcode code_of(const sheaf_sim *sim, const char *body, const char *header,
                               long timeout_ms) {
  reply got;
  fetch_for(sim, &got, CHAT, body, header, NULL, timeout_ms);
  reply_deinit(&got);
  return got.code;
}

/* The header's value, or NULL; good until the next call. */
static inline const char *header_of(const reply *got, const char *name) {
  static char value[128];
  size_t name_bytes = strlen(name);
  const char *at = got->head.data, *end = at + got->head.bytes;
  while (at < end) {
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    size_t bytes = line_end ? (size_t)(line_end - at) : (size_t)(end - at);
    if (bytes > name_bytes + 2 && curl_strnequal(at, name, name_bytes) && at[name_bytes] == ':') {
      snprintf(value, sizeof value, "%.*s", (int)(bytes - name_bytes - 2), at + name_bytes + 2);
      value[strcspn(value, "\r\n")] = 0;
      return value;
    }
    at += bytes + 1;
  }
  return NULL;
}

static inline void assert_header(const reply *got, const char *name, const char *value) {
  const char *found = header_of(got, name);
  assert_non_null(found);
  assert_string_equal(found, value);
}

/* ---- Picking ---- */

/* The value at path: strings unescaped, others as written; "" if absent. Good until the next call.
 * */
static inline const char *pick_in(sheaf_slice json, const char *path) {
  static char text[4096];
  sheaf_slice value;
  sheaf_buf plain;
  assert_int_equal(sheaf_json_pick(json, &path, 1, &value, NULL, NULL), SHEAF_OK);
  sheaf_buf_init(&plain, &allocator, sizeof text - 1);
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING)
    assert_int_equal(sheaf_buf_append_unescaped(&plain, sheaf_json_inside(value)), SHEAF_OK);
  else
    assert_int_equal(sheaf_buf_append_slice(&plain, value), SHEAF_OK);
  if (plain.bytes) memcpy(text, plain.data, plain.bytes);
  text[plain.bytes] = 0;
  sheaf_buf_deinit(&plain);
  return text;
}

static inline const char *pick(const reply *got, const char *path) {
  return pick_in(sheaf_buf_slice(&got->body), path);
}

static inline int64_t pick_int(const reply *got, const char *path) {
  int64_t number = SHEAF_ABSENT;
  sheaf_slice value;
  assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got->body), &path, 1, &value, NULL, NULL),
                   SHEAF_OK);
  assert_int_equal(sheaf_json_int(value, &number), SHEAF_OK);
  return number;
}

static inline int64_t stat_of(sheaf_sim *sim, const char *path) {
  reply got;
  reply_init(&got);
  assert_int_equal(sheaf_sim_stats(sim, &got.body), SHEAF_OK);
  int64_t number = pick_int(&got, path);
  reply_deinit(&got);
  return number;
}

static inline void copy_text(char *to, size_t room, const char *from) {
  size_t bytes = strlen(from);
  assert_true(bytes < room);
  memcpy(to, from, bytes + 1);
}

/* Joins the text at path of all lines that begin with prefix; answers how many lines there were. */
static inline unsigned join(const reply *got, const char *prefix, const char *path, char *text,
                            size_t room) {
  unsigned count = 0;
  size_t prefix_bytes = strlen(prefix);
  const char *at = got->body.data, *end = at + got->body.bytes;
  text[0] = 0;
  while (at < end) {
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    size_t bytes = line_end ? (size_t)(line_end - at) : (size_t)(end - at);
    if (bytes > prefix_bytes && memcmp(at, prefix, prefix_bytes) == 0 && at[prefix_bytes] == '{') {
      sheaf_slice json = {at + prefix_bytes, bytes - prefix_bytes};
      while (json.bytes && json.data[json.bytes - 1] == '\r') json.bytes--;
      size_t used = strlen(text);
      copy_text(text + used, room - used, pick_in(json, path));
      count++;
    }
    at += bytes + 1;
  }
  return count;
}

/* Starts a simulator with options given as name, value, ..., NULL. */
static inline sheaf_sim *start(const char *name, ...) {
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sheaf_sim *sim = NULL;
  char message[160] = "";
  va_list rest;
  va_start(rest, name);
  while (name) {
    const char *value = va_arg(rest, const char *);
    assert_int_equal(sheaf_sim_option_set(&options, name, value, message, sizeof message),
                     SHEAF_OK);
    name = va_arg(rest, const char *);
  }
  va_end(rest);
  int32_t status = sheaf_sim_start(&options, &sim, message, sizeof message);
  if (status != SHEAF_OK) print_error("%s\n", message);
  assert_int_equal(status, SHEAF_OK);
  return sim;
}

/* ---- Many, and the ledger ---- */

/* Runs count requests at once, each with its own body; answers how many ended with the status. */
static inline unsigned run_many(const sheaf_sim *sim, unsigned count, long status) {
  CURLM *multi = curl_multi_init();
  reply *replies = calloc(count, sizeof *replies);
  CURL **easies = calloc(count, sizeof *easies);
  char(*bodies)[128] = calloc(count, sizeof *bodies);
  assert_true(multi && replies && easies && bodies);
  for (unsigned i = 0; i < count; i++) {
    reply_init(&replies[i]);
    snprintf(bodies[i], sizeof bodies[i], "{\"model\":\"m%u\"," HELLO "}", i);
    easies[i] = make(sim, &replies[i], CHAT, bodies[i], NULL, 60000);
    curl_multi_add_handle(multi, easies[i]);
  }
  int running = 1;
  while (running) {
    curl_multi_perform(multi, &running);
    if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  unsigned met = 0;
  for (unsigned i = 0; i < count; i++) {
    finish(easies[i], &replies[i]);
    met += replies[i].status == status;
    curl_multi_remove_handle(multi, easies[i]);
    curl_easy_cleanup(easies[i]);
    reply_deinit(&replies[i]);
  }
  curl_multi_cleanup(multi);
  free(bodies);
  free(easies);
  free(replies);
  return met;
}

/* Waits until no exchange is under way: the ledger's entries are then complete. */
static inline void settle(sheaf_sim *sim) {
  while (stat_of(sim, "in_flight")) continue;
}

/* The ledger from after the sequence on. */
static inline void fetch_ledger(sheaf_sim *sim, reply *got, unsigned after, unsigned limit) {
  char path[96];
  settle(sim);
  snprintf(path, sizeof path, "/_sim/ledger?after=%u&limit=%u", after, limit);
  fetch(sim, got, path, NULL, NULL);
  assert_int_equal(got->status, 200);
}

/* A field of the newest entry; good until the next call of pick. */
static inline const char *newest(sheaf_sim *sim, const char *field) {
  reply got;
  char path[64];
  fetch_ledger(sim, &got, 0, 1000000);
  unsigned last = (unsigned)pick_int(&got, "next");
  reply_deinit(&got);
  assert_true(last > 0);
  fetch_ledger(sim, &got, last - 1, 1);
  snprintf(path, sizeof path, "entries[0].%s", field);
  const char *text = pick(&got, path);
  reply_deinit(&got);
  return text;
}

/* Writes a file of the test's own and answers its name; good until the next call. */
static inline const char *write_file(const char *text) {
  static char name[32];
  copy_text(name, sizeof name, "sim_test_XXXXXX");
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  size_t bytes = strlen(text);
  assert_int_equal(write(fd, text, bytes), bytes);
  close(fd);
  return name;
}

/* Runs a group and closes with the line that every suite ends with. */
#define RUN_SUITE(tests)                                                                    \
  do {                                                                                      \
    curl_global_init(CURL_GLOBAL_DEFAULT);                                                  \
    int failed = cmocka_run_group_tests(tests, NULL, NULL);                                 \
    curl_global_cleanup();                                                                  \
    printf("%d passed, %d failed\n", (int)(sizeof tests / sizeof *tests) - failed, failed); \
    return failed != 0;                                                                     \
  } while (0)

#endif
