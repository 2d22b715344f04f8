/* job_api_test.h: what the tests of batch APIs share: rows out, calls out, replies and lines in.
 * Texts are written with ' for " and handed over as copies of their exact size, so that a byte read
 * too far shows under the sanitizer. Each act that succeeds is done again with every allocation
 * failing. */
#ifndef JOB_API_TEST_H
#define JOB_API_TEST_H

#include "provider_test.h"

#include <sheaf/jobs.h>

#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])
#define JOB_COPIES_MAX 256

typedef struct job_test {
  test_alloc memory;
  sheaf_allocator allocator;
  const sheaf_provider *provider;
  const sheaf_job_api *api;
  sheaf_buf path, head, tail, text, row, scratch;
  sheaf_job_facts facts;
  sheaf_job_call call;
  sheaf_job_news news;
  sheaf_job_item item;
  sheaf_slice page;
  size_t at;
  /* What the next act is done with. */
  uint32_t step;
  sheaf_slice id, body, headers;
  char *copies[JOB_COPIES_MAX];
  uint32_t copy_count;
} job_test;

static inline sheaf_slice job_text(job_test *t, const char *text) {
  size_t bytes = strlen(text);
  char *copy = malloc(bytes ? bytes : 1);
  if (!copy || t->copy_count == JOB_COPIES_MAX) abort();
  for (size_t i = 0; i < bytes; i++) copy[i] = text[i] == '\'' ? '"' : text[i];
  t->copies[t->copy_count++] = copy;
  return (sheaf_slice){copy, bytes};
}

static inline void job_each_buf(job_test *t, void (*act)(sheaf_buf *buf)) {
  act(&t->path), act(&t->head), act(&t->tail), act(&t->text), act(&t->row), act(&t->scratch);
}

static inline void job_init(job_test *t, const char *provider) {
  memset(t, 0, sizeof *t);
  t->allocator = test_allocator(&t->memory);
  t->provider = sheaf_provider_find(sheaf_slice_of(provider));
  t->api = sheaf_job_api_of(t->provider);
  sheaf_buf *bufs[] = {&t->path, &t->head, &t->tail, &t->text, &t->row, &t->scratch};
  for (size_t i = 0; i < COUNT_OF(bufs); i++) sheaf_buf_init(bufs[i], &t->allocator, 1 << 20);
  t->facts = (sheaf_job_facts){.struct_bytes = sizeof t->facts,
                               .base_url = sheaf_slice_of(t->provider->base_url)};
}

static inline void job_deinit(job_test *t) {
  job_each_buf(t, sheaf_buf_deinit);
  for (uint32_t i = 0; i < t->copy_count; i++) free(t->copies[i]);
  CHECK_EQ(t->memory.live_blocks, 0);
  CHECK(!t->memory.size_mismatch);
}

/* A slice against text with ' for ". */
static inline void job_same(job_test *t, const char *what, sheaf_slice got, const char *text) {
  sheaf_slice wanted = job_text(t, text ? text : "");
  bool is_same = wire_same(got, wanted);
  if (!is_same)
    printf("  %s\n    got    %.*s\n    wanted %.*s\n", what, (int)got.bytes,
           got.data ? got.data : "", (int)wanted.bytes, wanted.data);
  CHECK(is_same);
}

/* ---- Acts ---- */

typedef int32_t (*job_act)(job_test *t);

static inline int32_t job_row(job_test *t) {
  return t->api->row(t->api, &t->facts, t->id, t->body, &t->row);
}

static inline int32_t job_call(job_test *t) {
  t->call = (sheaf_job_call){.struct_bytes = sizeof t->call,
                             .path = &t->path,
                             .head = &t->head,
                             .tail = &t->tail,
                             .text = &t->text};
  return t->api->call(t->api, t->step, &t->facts, &t->call);
}

static inline sheaf_reply job_reply(const job_test *t) {
  return (sheaf_reply){.struct_bytes = sizeof(sheaf_reply),
                       .http_status = 200,
                       .headers = t->headers,
                       .body = t->body,
                       .unix_ms = UNIX_MS};
}

static inline int32_t job_read(job_test *t) {
  sheaf_reply reply = job_reply(t);
  return t->api->read(t->api, t->step, &t->facts, &reply, &t->scratch, &t->news);
}

static inline int32_t job_listed(job_test *t) {
  sheaf_reply reply = job_reply(t);
  return t->api->listed(t->api, &reply, &t->at, &t->scratch, &t->news, &t->page);
}

/* The first of a list, then its end. */
static inline int32_t job_list_all(job_test *t) {
  int32_t status = SHEAF_OK;
  t->at = 0;
  while (status == SHEAF_OK) status = job_listed(t);
  return status == SHEAF_E_END ? SHEAF_OK : status;
}

/* Scratch holds something already, which an item stands behind. */
static inline int32_t job_item(job_test *t) {
  if (sheaf_buf_append_text(&t->scratch, "before") != SHEAF_OK) return t->scratch.status;
  return t->api->item(t->api, t->body, &t->scratch, &t->item);
}

/* Does the act on empty buffers: once for the caller to look at, after all allocations failed in
 * turn, one alone and with all behind it. */
static inline void job_do(job_test *t, job_act act) {
  for (int after = 0; after < 2; after++) {
    for (uint64_t n = 1; n < 100; n++) {
      job_each_buf(t, sheaf_buf_deinit);
      t->memory.calls = 0;
      t->memory.fail_at = n;
      t->memory.fail_after = after != 0;
      int32_t status = act(t);
      bool reached = t->memory.calls >= n;
      t->memory.fail_at = 0;
      CHECK_STATUS(status, reached ? SHEAF_E_NOMEM : SHEAF_OK);
      if (!reached) break;
    }
  }
}

/* ---- Tables of cases ---- */

typedef struct job_call_case {
  uint32_t step;
  bool is_inline;
  const char *base_url;                                           /* NULL: the provider's own */
  const char *path, *model, *upload, *file, *job, *output, *page; /* facts */
  int32_t status;
  const char *method, *url, *head, *tail; /* expected */
  bool has_rows, is_streamed;
  const char *headers; /* expected: "name: value|" each */
} job_call_case;

static inline void job_check_headers(job_test *t, const char *wanted) {
  char all[512] = "";
  size_t at = 0;
  for (uint32_t i = 0; i < t->call.header_count; i++) {
    const sheaf_header *h = &t->call.headers[i];
    CHECK_EQ(h->credential_id, 0);
    at += (size_t)snprintf(all + at, sizeof all - at, "%.*s: %.*s|", (int)h->name.bytes,
                           h->name.data, (int)h->value.bytes, h->value.data);
  }
  job_same(t, "headers", sheaf_slice_of(all), wanted);
}

static inline void job_check_call(job_test *t, const job_call_case *c) {
  t->step = c->step;
  t->facts.is_inline = c->is_inline;
  if (c->base_url) t->facts.base_url = job_text(t, c->base_url);
  t->facts.path = job_text(t, c->path ? c->path : "");
  t->facts.model = job_text(t, c->model ? c->model : "");
  t->facts.upload = job_text(t, c->upload ? c->upload : "");
  t->facts.file = job_text(t, c->file ? c->file : "");
  t->facts.job = job_text(t, c->job ? c->job : "");
  t->facts.output = job_text(t, c->output ? c->output : "");
  t->facts.page = job_text(t, c->page ? c->page : "");
  if (c->status != SHEAF_OK) {
    CHECK_STATUS(job_call(t), c->status);
    return;
  }
  job_do(t, job_call);
  CHECK_TEXT(sheaf_slice_of(t->call.method), c->method);
  job_same(t, "url", sheaf_buf_slice(&t->path), c->url);
  job_same(t, "head", sheaf_buf_slice(&t->head), c->head);
  job_same(t, "tail", sheaf_buf_slice(&t->tail), c->tail);
  CHECK_EQ(t->call.has_rows, c->has_rows);
  CHECK_EQ(t->call.is_streamed, c->is_streamed);
  job_check_headers(t, c->headers);
}

static inline void job_check_calls(const char *provider, sheaf_slice marker, uint64_t bytes,
                                   const job_call_case *cases, size_t count) {
  for (size_t i = 0; i < count; i++) {
    job_test t;
    int bad = check_bad;
    job_init(&t, provider);
    t.facts.marker = marker;
    t.facts.bytes = bytes;
    job_check_call(&t, &cases[i]);
    job_deinit(&t);
    if (check_bad != bad) printf("  in call %zu\n", i);
  }
}

/* A row as it is uploaded, and the body back out of it. */
static inline void job_check_row(job_test *t, const char *body, const char *row, const char *back) {
  t->body = job_text(t, body);
  job_do(t, job_row);
  sheaf_slice whole = sheaf_buf_slice(&t->row), found;
  job_same(t, "row", whole, row);
  for (size_t cut = 0; cut < 2; cut++) {
    sheaf_slice copy = {malloc(whole.bytes), whole.bytes - cut};
    memcpy((char *)(uintptr_t)copy.data, whole.data, copy.bytes);
    CHECK_OK(t->api->row_body(t->api, copy, &found));
    job_same(t, "body", found, back);
    free((char *)(uintptr_t)copy.data);
  }
}

/* A row that cannot travel leaves no byte behind what was there. */
static inline void job_check_no_row(job_test *t, const char *body) {
  sheaf_buf_reset(&t->row);
  sheaf_buf_append_text(&t->row, "before");
  t->body = job_text(t, body);
  CHECK_STATUS(job_row(t), SHEAF_E_FIELD);
  job_same(t, "row", sheaf_buf_slice(&t->row), "before");
}

typedef struct job_news_case {
  uint32_t step;
  const char *body;
  uint32_t state;
  int64_t total, completed, failed;
  const char *output, *results, *error_code, *error_message;
  bool is_full;
} job_news_case;

static inline void job_check_news(const char *provider, const job_news_case *cases, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const job_news_case *c = &cases[i];
    job_test t;
    int bad = check_bad;
    job_init(&t, provider);
    t.step = c->step;
    t.body = job_text(&t, c->body);
    job_do(&t, job_read);
    CHECK_TEXT(sheaf_slice_of(sheaf_job_state_name(t.news.state)), sheaf_job_state_name(c->state));
    CHECK_EQ(t.news.total, c->total);
    CHECK_EQ(t.news.completed, c->completed);
    CHECK_EQ(t.news.failed, c->failed);
    job_same(&t, "output", t.news.output, c->output);
    job_same(&t, "results", t.news.results, c->results);
    job_same(&t, "error code", t.news.error_code, c->error_code);
    job_same(&t, "error message", t.news.error_message, c->error_message);
    CHECK_EQ(t.news.is_full, c->is_full);
    CHECK_EQ(t.news.errors.bytes, 0);
    job_deinit(&t);
    if (check_bad != bad) printf("  in news %zu: %s\n", i, c->body);
  }
}

typedef struct job_item_case {
  const char *line;
  int32_t status;
  uint32_t kind, http_status;
  const char *id, *body, *request_id;
  uint32_t error_class; /* as the provider reads the body */
} job_item_case;

static inline void job_check_class(job_test *t, uint32_t wanted) {
  sheaf_decoded decoded;
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &t->allocator, 1 << 20);
  sheaf_reply reply = {.struct_bytes = sizeof reply,
                       .http_status = t->item.http_status,
                       .body = t->item.body,
                       .unix_ms = UNIX_MS};
  const sheaf_provider *p = t->provider;
  bool is_good = reply.http_status == 200;
  CHECK_OK(is_good ? p->decode(p, &reply, &scratch, &decoded)
                   : p->classify(p, &reply, &scratch, &decoded));
  CHECK_TEXT(sheaf_slice_of(sheaf_class_name(decoded.error_class)), sheaf_class_name(wanted));
  sheaf_buf_deinit(&scratch);
}

static inline void job_check_items(const char *provider, const job_item_case *cases, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const job_item_case *c = &cases[i];
    job_test t;
    int bad = check_bad;
    job_init(&t, provider);
    t.body = job_text(&t, c->line);
    if (c->status != SHEAF_OK) {
      CHECK_STATUS(job_item(&t), c->status);
    } else {
      job_do(&t, job_item);
      CHECK_EQ(t.item.kind, c->kind);
      CHECK_EQ(t.item.http_status, c->http_status);
      job_same(&t, "id", t.item.id, c->id);
      job_same(&t, "body", t.item.body, c->body);
      job_same(&t, "request id", t.item.request_id, c->request_id);
      if (t.item.kind == SHEAF_JOB_ITEM_REPLY) job_check_class(&t, c->error_class);
    }
    job_deinit(&t);
    if (check_bad != bad) printf("  in item %zu: %s\n", i, c->line);
  }
}

/* No beginning of a document passes for the whole, and none is read beyond its end. */
static inline void job_check_cut(const char *provider, uint32_t step, job_act act,
                                 const char *whole) {
  for (size_t bytes = 0; bytes < strlen(whole); bytes++) {
    job_test t;
    job_init(&t, provider);
    char *cut = malloc(bytes + 1);
    memcpy(cut, whole, bytes);
    cut[bytes] = 0;
    t.step = step;
    t.body = job_text(&t, cut);
    free(cut);
    CHECK_STATUS(act(&t), SHEAF_E_SYNTAX);
    job_deinit(&t);
  }
}

#endif
