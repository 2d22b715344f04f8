/* alone.c: in place of what the jobs module does without:
 *
 *   what lets requests share calls and answers: company.c, groups.c, group_end.c, canary.c, twins.c,
 *   cache.c, answers.c, bonds.c of the engine; prompts.c, agreement.c; sharing*.c, *_share.c
 *   streams: stream_in.c, wire/stream.c
 *   the provider without jobs: ollama.c
 *   times of requests, for figures: base/histogram.c
 *
 * No row has a bond here and none is streamed, so that none of these has anything to do; link-time
 * optimisation takes most of their callers away, too. It is part of the engine, and the only file of the
 * shell that sees the core's private headers. */
#include "engine/engine_int.h"
#include "providers/sharing.h"
#include "providers/table.h"
#include "wire/stream.h"

/* ---- Bonds, twins, answers ---- */

int32_t sheaf__bond_make(sheaf_engine *engine, sheaf__row *row, const sheaf_request *request) {
  (void)engine, (void)row, (void)request;
  return SHEAF_OK;
}
void sheaf__bond_release(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__bonds_deinit(sheaf_engine *engine) {
  (void)engine;
}
bool sheaf__twin_join(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
  return false;
}
void sheaf__twin_lead(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__twin_part(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__twins_end(sheaf_engine *engine, sheaf__row *leader, uint32_t error_class,
                      const char *message) {
  (void)engine, (void)leader, (void)error_class, (void)message;
}
void sheaf__cache_deinit(sheaf_engine *engine) {
  (void)engine;
}
void sheaf__answer_release(sheaf_engine *engine, sheaf__answer *answer) {
  (void)engine, (void)answer;
}

/* ---- Companies ---- */

int32_t sheaf__company_reserve(sheaf_engine *engine, sheaf__row *row, uint32_t klass) {
  (void)engine, (void)row, (void)klass;
  return SHEAF_OK;
}
void sheaf__company_forget(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__company_join(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__company_leave(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
sheaf__row *sheaf__company_first(const sheaf__company *company) {
  (void)company;
  return NULL;
}
void sheaf__company_take(sheaf_engine *engine, sheaf__company *company, sheaf__row *row) {
  (void)engine, (void)company, (void)row;
}
void sheaf__company_left(sheaf_engine *engine, sheaf__company *company, uint64_t units) {
  (void)engine, (void)company, (void)units;
}
sheaf__cost sheaf__company_cost(const sheaf_engine *engine, const sheaf__company *company) {
  (void)engine, (void)company;
  return (sheaf__cost){0};
}
void sheaf__company_call_out(sheaf_engine *engine, sheaf__company *company, sheaf__call *call) {
  (void)engine, (void)company, (void)call;
}
void sheaf__company_call_over(sheaf_engine *engine, sheaf__call *call, bool good) {
  (void)engine, (void)call, (void)good;
}
void sheaf__companies_run(sheaf_engine *engine) {
  (void)engine;
}
void sheaf__companies_restamp(sheaf_engine *engine) {
  (void)engine;
}
void sheaf__companies_deinit(sheaf_engine *engine) {
  (void)engine;
}

/* ---- Groups ---- */

int32_t sheaf__group_gather(sheaf_engine *engine, sheaf__company *company, sheaf__group **group) {
  (void)engine, (void)company, (void)group;
  return SHEAF_E_UNSUPPORTED;
}
void sheaf__group_scatter(sheaf_engine *engine, sheaf__group *group) {
  (void)engine, (void)group;
}
void sheaf__group_launched(sheaf_engine *engine, sheaf__group *group, sheaf__call *call) {
  (void)engine, (void)group, (void)call;
}
void sheaf__group_handed_out(sheaf_engine *engine, sheaf__call *call) {
  (void)engine, (void)call;
}
void sheaf__group_leave(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__group_cancel(sheaf__group *group) {
  (void)group;
}
bool sheaf__group_ends(sheaf_engine *engine, sheaf__call *call) {
  (void)engine, (void)call;
  return false;
}
void sheaf__group_apart(sheaf__group *group) {
  (void)group;
}
int32_t sheaf__group_build(sheaf_engine *engine, sheaf__group *group) {
  (void)engine, (void)group;
  return SHEAF_E_UNSUPPORTED;
}
void sheaf__groups_run(sheaf_engine *engine) {
  (void)engine;
}
void sheaf__groups_deinit(sheaf_engine *engine) {
  (void)engine;
}
void sheaf__shadow_end(sheaf_engine *engine, sheaf__row *row) {
  (void)engine, (void)row;
}
void sheaf__shadows_drop(sheaf_engine *engine) {
  (void)engine;
}

/* ---- Figures: nobody asks for any ---- */

void sheaf__histogram_init(sheaf__histogram *histogram) {
  (void)histogram;
}
void sheaf__histogram_add(sheaf__histogram *histogram, uint64_t ns) {
  (void)histogram, (void)ns;
}
void sheaf__histogram_read(const sheaf__histogram *histogram, sheaf_quantiles *quantiles) {
  (void)histogram, (void)quantiles;
}

/* ---- Streams ---- */

int32_t sheaf__stream_begin(sheaf_engine *engine, sheaf__call *call) {
  (void)engine, (void)call;
  return SHEAF_E_UNSUPPORTED;
}
void sheaf__stream_feed(sheaf_engine *engine, sheaf__call *call, bool at_end) {
  (void)engine, (void)call, (void)at_end;
}
void sheaf__stream_free(sheaf_engine *engine, sheaf__call *call) {
  (void)engine, (void)call;
}

void sheaf__framer_init(sheaf__framer *framer, const sheaf_allocator *allocator, uint32_t framing) {
  (void)framer, (void)allocator, (void)framing;
}
void sheaf__framer_deinit(sheaf__framer *framer) {
  (void)framer;
}
int32_t sheaf__framer_feed(sheaf__framer *framer, sheaf_slice chunk, sheaf__event_fn fn,
                           void *ctx) {
  (void)framer, (void)chunk, (void)fn, (void)ctx;
  return SHEAF_E_UNSUPPORTED;
}
int32_t sheaf__framer_end(sheaf__framer *framer, sheaf__event_fn fn, void *ctx) {
  (void)framer, (void)fn, (void)ctx;
  return SHEAF_E_UNSUPPORTED;
}

/* ---- Providers' slots ---- */

static int32_t nothing_shared(void) {
  return SHEAF_E_UNSUPPORTED;
}

/* Of a body only how many inputs it holds is asked here, which limits of jobs count: see inputs_of. */
#define ALONE(provider)                                                                     \
  void sheaf__##provider##_traits(const sheaf_provider *self, uint32_t operation,           \
                                  sheaf_slice body, sheaf_traits *traits) {                 \
    (void)self, (void)operation;                                                            \
    inputs_of(body, traits);                                                                \
  }                                                                                         \
  int32_t sheaf__##provider##_share(const sheaf_provider *self, const sheaf_shared *shared, \
                                    sheaf_buf *body) {                                      \
    (void)self, (void)shared, (void)body;                                                   \
    return nothing_shared();                                                                \
  }                                                                                         \
  int32_t sheaf__##provider##_items(const sheaf_provider *self, const sheaf_shared *shared, \
                                    const sheaf_reply *reply, sheaf_slice *items,           \
                                    uint32_t item_count) {                                  \
    (void)self, (void)shared, (void)reply, (void)items, (void)item_count;                   \
    return nothing_shared();                                                                \
  }                                                                                         \
  int32_t sheaf__##provider##_part(const sheaf_provider *self, const sheaf_shared *shared,  \
                                   const sheaf_reply *reply, const sheaf_part *part,        \
                                   sheaf_buf *body) {                                       \
    (void)self, (void)shared, (void)reply, (void)part, (void)body;                          \
    return nothing_shared();                                                                \
  }

/* Embeddings of a list of texts: "input":["a","b"] is two. Lists of tokens count as their parts. */
static void inputs_of(sheaf_slice body, sheaf_traits *traits) {
  static const char *const paths[] = {"input"};
  sheaf_slice list, key, item;
  sheaf_json_iter iter;
  traits->inputs = 1;
  if (sheaf_json_pick(body, paths, 1, &list, NULL, NULL) != SHEAF_OK ||
      sheaf_json_kind(list) != SHEAF_JSON_ARRAY || sheaf_json_iter_init(&iter, list) != SHEAF_OK)
    return;
  traits->share = SHEAF_SHARE_INPUTS;
  traits->inputs = 0;
  while (sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK)
    if (sheaf_json_kind(item) != SHEAF_JSON_NUMBER || traits->inputs == 0) traits->inputs++;
}

ALONE(openai)
ALONE(anthropic)
ALONE(gemini)

static int32_t build_nothing(const sheaf_provider *provider, const sheaf_build *build,
                             sheaf_call *call) {
  (void)provider, (void)build, (void)call;
  return SHEAF_E_UNSUPPORTED;
}

static int32_t decode_nothing(const sheaf_provider *provider, const sheaf_reply *reply,
                              sheaf_buf *scratch, sheaf_decoded *decoded) {
  (void)provider, (void)reply, (void)scratch, (void)decoded;
  return SHEAF_E_UNSUPPORTED;
}

const sheaf_provider sheaf__ollama = {.struct_bytes = sizeof sheaf__ollama,
                                      .name = "ollama",
                                      .base_url = "http://127.0.0.1:11434",
                                      .build = build_nothing,
                                      .decode = decode_nothing};
