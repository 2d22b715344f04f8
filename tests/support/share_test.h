/* share_test.h: what the tests of the merging slots share: bodies and replies written with ' for ",
 * each copied to its exact size so that a byte read too far shows under the sanitizer; tables of
 * traits; a call from members to parts. */
#ifndef SHARE_TEST_H
#define SHARE_TEST_H

#include "provider_test.h"

#define MEMBERS_MAX 64
#define ITEMS_MAX 256
#define COPIES_MAX 512

typedef struct share_test {
  wire_test wire;
  char *copies[COPIES_MAX];
  uint32_t copy_count;
  sheaf_slice bodies[MEMBERS_MAX];
  sheaf_traits traits[MEMBERS_MAX];
  sheaf_shared shared;
  sheaf_buf body; /* the one body */
  sheaf_buf part;
  sheaf_slice items[ITEMS_MAX];
  sheaf_reply reply;
} share_test;

static inline void share_init(share_test *t, const char *provider, uint32_t share,
                              uint32_t operation) {
  memset(t, 0, sizeof *t);
  wire_init(&t->wire, provider);
  sheaf_buf_init(&t->body, &t->wire.allocator, 1 << 20);
  sheaf_buf_init(&t->part, &t->wire.allocator, 1 << 20);
  t->shared = (sheaf_shared){.struct_bytes = sizeof t->shared,
                             .share = share,
                             .operation = operation,
                             .bodies = t->bodies,
                             .traits = t->traits,
                             .instructions = TEXT("Do \\\"all\\\"."),
                             .prompt = TEXT("{\\\"a\\\":1}"),
                             .schema = TEXT("{\"type\":\"object\"}"),
                             .output_cap = SHEAF_ABSENT};
}

static inline void share_deinit(share_test *t) {
  sheaf_buf_deinit(&t->body);
  sheaf_buf_deinit(&t->part);
  for (uint32_t i = 0; i < t->copy_count; i++) free(t->copies[i]);
  wire_deinit(&t->wire);
}

/* A copy of its exact size, each ' being ". */
static inline sheaf_slice share_text(share_test *t, const char *text) {
  size_t bytes = strlen(text);
  char *copy = malloc(bytes ? bytes : 1);
  if (!copy || t->copy_count == COPIES_MAX) abort();
  for (size_t i = 0; i < bytes; i++) copy[i] = text[i] == '\'' ? '"' : text[i];
  t->copies[t->copy_count++] = copy;
  return (sheaf_slice){copy, bytes};
}

static inline sheaf_traits share_traits(share_test *t, uint32_t operation, const char *body) {
  sheaf_traits traits;
  memset(&traits, 0x5a, sizeof traits);
  t->wire.provider->traits(t->wire.provider, operation, share_text(t, body), &traits);
  return traits;
}

static inline uint64_t share_key(share_test *t, uint32_t operation, const char *body) {
  sheaf_traits traits = share_traits(t, operation, body);
  if (traits.share == SHEAF_SHARE_NONE) printf("  cannot share: %s\n", body);
  CHECK(traits.share != SHEAF_SHARE_NONE);
  return traits.key;
}

/* A slice against text with ' for ". */
static inline void share_check(share_test *t, sheaf_slice got, const char *text) {
  sheaf_slice wanted = share_text(t, text);
  bool is_same = wire_same(got, wanted);
  if (!is_same)
    printf("  got    %.*s\n  wanted %.*s\n", (int)got.bytes, got.data, (int)wanted.bytes,
           wanted.data);
  CHECK(is_same);
}

static inline void share_add(share_test *t, const char *body) {
  uint32_t n = t->shared.count++;
  t->bodies[n] = share_text(t, body);
  t->wire.provider->traits(t->wire.provider, t->shared.operation, t->bodies[n], &t->traits[n]);
  CHECK_EQ(t->traits[n].share, t->shared.share);
  CHECK(t->traits[n].key == t->traits[0].key);
}

static inline int32_t share_write(share_test *t) {
  sheaf_buf_reset(&t->body);
  return t->wire.provider->share(t->wire.provider, &t->shared, &t->body);
}

static inline uint32_t share_inputs(const share_test *t) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < t->shared.count; i++) count += t->traits[i].inputs;
  return count;
}

/* Fills items from a reply, which is kept. */
static inline int32_t share_items(share_test *t, const char *reply) {
  t->reply = (sheaf_reply){.struct_bytes = sizeof t->reply,
                           .http_status = 200,
                           .operation = t->shared.operation,
                           .body = share_text(t, reply),
                           .unix_ms = UNIX_MS};
  return t->wire.provider->items(t->wire.provider, &t->shared, &t->reply, t->items,
                                 share_inputs(t));
}

static inline sheaf_usage share_usage(int64_t input, int64_t output) {
  return (sheaf_usage){.input_total = input,
                       .output_total = output,
                       .cache_read = NONE,
                       .cache_write = NONE,
                       .reasoning = NONE};
}

static inline sheaf_slice share_span(const sheaf_slice *items, uint32_t count) {
  const char *from = items[0].data, *to = from;
  for (uint32_t i = 0; i < count; i++) {
    if (items[i].data < from) from = items[i].data;
    if (items[i].data + items[i].bytes > to) to = items[i].data + items[i].bytes;
  }
  return (sheaf_slice){from, (size_t)(to - from)};
}

/* The part of INPUTS from item `first` on, written with the span and without, which must not
 * differ. */
static inline int32_t share_part(share_test *t, uint32_t first, uint32_t count, sheaf_usage usage) {
  sheaf_part part = {.struct_bytes = sizeof part,
                     .items = t->items + first,
                     .item_count = count,
                     .usage = usage,
                     .span = share_span(t->items, share_inputs(t))};
  const sheaf_provider *provider = t->wire.provider;
  sheaf_buf other;
  sheaf_buf_init(&other, &t->wire.allocator, 1 << 20);
  sheaf_buf_reset(&t->part);
  int32_t status = provider->part(provider, &t->shared, &t->reply, &part, &t->part);
  part.span = (sheaf_slice){NULL, 0};
  CHECK_STATUS(provider->part(provider, &t->shared, &t->reply, &part, &other), status);
  if (status == SHEAF_OK) CHECK(wire_same(sheaf_buf_slice(&t->part), sheaf_buf_slice(&other)));
  sheaf_buf_deinit(&other);
  return status;
}

/* The part of PROMPTS of a reply. */
static inline int32_t share_answer(share_test *t, const char *reply, const char *text,
                                   sheaf_usage usage) {
  t->reply = (sheaf_reply){.struct_bytes = sizeof t->reply,
                           .http_status = 200,
                           .operation = t->shared.operation,
                           .body = share_text(t, reply),
                           .unix_ms = UNIX_MS};
  sheaf_part part = {
      .struct_bytes = sizeof part, .text_json = sheaf_slice_of(text), .usage = usage};
  sheaf_buf_reset(&t->part);
  return t->wire.provider->part(t->wire.provider, &t->shared, &t->reply, &part, &t->part);
}

/* What the provider itself reads in the part. */
static inline const sheaf_decoded *share_decode(share_test *t) {
  sheaf_reply reply = t->reply;
  reply.body = sheaf_buf_slice(&t->part);
  CHECK_OK(sheaf_json_check(reply.body, NULL));
  sheaf_buf_reset(&t->wire.scratch);
  CHECK_OK(t->wire.provider->decode(t->wire.provider, &reply, &t->wire.scratch, &t->wire.decoded));
  CHECK_EQ(t->wire.decoded.error_class, SHEAF_CLASS_NONE);
  return &t->wire.decoded;
}

/* A call of which share, then part, is tried with each allocation failing. */
static inline void share_without_memory(share_test *t) {
  for (uint64_t n = 1; n < 100; n++) {
    sheaf_buf_deinit(&t->body);
    t->wire.memory.calls = 0;
    t->wire.memory.fail_at = n;
    int32_t status = share_write(t);
    bool reached = t->wire.memory.calls >= n;
    t->wire.memory.fail_at = 0;
    CHECK_STATUS(status, reached ? SHEAF_E_NOMEM : SHEAF_OK);
    if (!reached) return;
  }
}

/* ---- Tables ---- */

typedef struct share_case {
  uint32_t operation;
  uint32_t share; /* expected from here on */
  bool deterministic;
  uint32_t inputs;
  int64_t output_cap;
  const char *own;
  const char *body; /* given */
} share_case;

static inline void share_check_cases(const char *provider, const share_case *cases, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const share_case *c = &cases[i];
    share_test t;
    int bad = check_bad;
    share_init(&t, provider, c->share, c->operation);
    sheaf_traits traits = share_traits(&t, c->operation, c->body);
    CHECK_EQ(traits.struct_bytes, sizeof traits);
    CHECK_EQ(traits.share, c->share);
    CHECK_EQ(traits.deterministic, c->deterministic);
    CHECK_EQ(traits.inputs, c->inputs ? c->inputs : 1);
    CHECK_EQ(traits.output_cap, c->output_cap ? c->output_cap : NONE);
    if (c->share != SHEAF_SHARE_NONE) share_check(&t, traits.own, c->own);
    share_deinit(&t);
    if (check_bad != bad) printf("  in case %zu: %s\n", i, c->body);
  }
}

/* Bodies that must travel alone: the provider's plain body with one member more, or another. */
static inline void share_check_alone(const char *provider, uint32_t operation, bool deterministic,
                                     const char *const *bodies, size_t count) {
  for (size_t i = 0; i < count; i++) {
    share_test t;
    int bad = check_bad;
    share_init(&t, provider, SHEAF_SHARE_NONE, operation);
    sheaf_traits traits = share_traits(&t, operation, bodies[i]);
    CHECK_EQ(traits.share, SHEAF_SHARE_NONE);
    CHECK_EQ(traits.deterministic, deterministic);
    share_deinit(&t);
    if (check_bad != bad) printf("  in body %zu: %s\n", i, bodies[i]);
  }
}

#endif
