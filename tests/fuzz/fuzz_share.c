/* fuzz_share.c: the merging slots of every provider against any bytes. The first two bytes choose
 * provider and operation; the rest is cut at each zero byte into a body, another body and a reply.
 *
 * Asserted: traits of any bytes keep their word (own lies in the body, what shares is JSON); bodies
 * that share, alone or two of one key, become one JSON object; items of any reply lie in it, each
 * once, or there are none; a part of a reply that is JSON is JSON, with the span and without. */
#include <sheaf/provider.h>

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())
#define ITEMS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void *allocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

static const sheaf_allocator allocator = {allocate, NULL};

/* The next field, in memory of its exact size. */
static sheaf_slice next_field(const uint8_t **data, size_t *bytes) {
  const uint8_t *end = *bytes > 0 ? memchr(*data, 0, *bytes) : NULL;
  size_t length = end ? (size_t)(end - *data) : *bytes;
  char *copy = malloc(length ? length : 1);
  REQUIRE(copy != NULL);
  if (length > 0) memcpy(copy, *data, length);
  size_t used = end ? length + 1 : length;
  *data += used;
  *bytes -= used;
  return (sheaf_slice){copy, length};
}

static bool lies_in(sheaf_slice inner, sheaf_slice outer) {
  return inner.data >= outer.data && inner.data + inner.bytes <= outer.data + outer.bytes;
}

static void read_traits(const sheaf_provider *provider, uint32_t operation, sheaf_slice body,
                        sheaf_traits *traits) {
  sheaf_traits again;
  provider->traits(provider, operation, body, traits);
  provider->traits(provider, operation, body, &again);
  REQUIRE(traits->struct_bytes == sizeof *traits && traits->inputs >= 1);
  REQUIRE(traits->key == again.key && traits->share == again.share);
  REQUIRE(traits->output_cap == SHEAF_ABSENT || traits->output_cap > 0);
  if (traits->share == SHEAF_SHARE_NONE) return;
  REQUIRE(sheaf_json_check(body, NULL) == SHEAF_OK);
  REQUIRE(traits->own.bytes > 0 && lies_in(traits->own, body));
  if (traits->share == SHEAF_SHARE_PROMPTS) {
    REQUIRE(traits->inputs == 1);
  } else {
    REQUIRE(sheaf_json_check(traits->own, NULL) == SHEAF_OK);
  }
}

static void check_shared(const sheaf_provider *provider, const sheaf_shared *shared) {
  sheaf_buf body;
  sheaf_traits traits;
  sheaf_buf_init(&body, &allocator, 1 << 20);
  int32_t status = provider->share(provider, shared, &body);
  REQUIRE(status == SHEAF_OK || status == SHEAF_E_FIELD);
  bool has_cap = shared->output_cap != SHEAF_ABSENT;
  if (shared->share == SHEAF_SHARE_INPUTS || has_cap) REQUIRE(status == SHEAF_OK);
  if (status == SHEAF_OK) {
    REQUIRE(sheaf_json_check(sheaf_buf_slice(&body), NULL) == SHEAF_OK);
    provider->traits(provider, shared->operation, sheaf_buf_slice(&body), &traits);
    if (shared->share == SHEAF_SHARE_PROMPTS) {
      REQUIRE(traits.share == SHEAF_SHARE_NONE); /* it asks for structure now */
    } else if (traits.share == SHEAF_SHARE_INPUTS) {
      uint32_t inputs = 0;
      for (uint32_t i = 0; i < shared->count; i++) inputs += shared->traits[i].inputs;
      REQUIRE(traits.key == shared->traits[0].key && traits.inputs == inputs);
    }
  }
  sheaf_buf_deinit(&body);
}

static void check_part(const sheaf_provider *provider, const sheaf_shared *shared,
                       const sheaf_reply *reply, const sheaf_part *part) {
  sheaf_buf body;
  sheaf_buf_init(&body, &allocator, 1 << 22);
  int32_t status = provider->part(provider, shared, reply, part, &body);
  REQUIRE(status == SHEAF_OK || status == SHEAF_E_FIELD);
  if (status == SHEAF_OK && sheaf_json_check(reply->body, NULL) == SHEAF_OK) {
    REQUIRE(sheaf_json_check(sheaf_buf_slice(&body), NULL) == SHEAF_OK);
  }
  sheaf_buf_deinit(&body);
}

static void check_items(const sheaf_provider *provider, const sheaf_shared *shared,
                        const sheaf_reply *reply, uint32_t count) {
  sheaf_slice items[ITEMS_MAX];
  if (provider->items(provider, shared, reply, items, count) != SHEAF_OK) return;
  const char *from = items[0].data, *to = from;
  for (uint32_t i = 0; i < count; i++) {
    REQUIRE(items[i].bytes > 0 && lies_in(items[i], reply->body));
    REQUIRE(sheaf_json_check(items[i], NULL) == SHEAF_OK);
    for (uint32_t j = 0; j < i; j++) REQUIRE(items[i].data != items[j].data);
    if (items[i].data < from) from = items[i].data;
    if (items[i].data + items[i].bytes > to) to = items[i].data + items[i].bytes;
  }
  sheaf_part part = {.struct_bytes = sizeof part,
                     .items = items + count / 2,
                     .item_count = count - count / 2,
                     .usage = {.input_total = 3, .output_total = SHEAF_ABSENT},
                     .span = {from, (size_t)(to - from)}};
  check_part(provider, shared, reply, &part);
  part.span = (sheaf_slice){NULL, 0};
  check_part(provider, shared, reply, &part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  if (bytes < 2) return 0;
  const sheaf_provider *provider = sheaf_provider_at(data[0] & 3);
  uint32_t operation = data[0] >> 2 & 3, count = data[1] >> 2;
  bool has_cap = (data[1] & 1) != 0;
  sheaf_slice bodies[2];
  sheaf_traits traits[2];
  data += 2, bytes -= 2;
  bodies[0] = next_field(&data, &bytes);
  bodies[1] = next_field(&data, &bytes);
  sheaf_slice answer = next_field(&data, &bytes);
  read_traits(provider, operation, bodies[0], &traits[0]);
  read_traits(provider, operation, bodies[1], &traits[1]);
  sheaf_shared shared = {.struct_bytes = sizeof shared,
                         .share = traits[0].share,
                         .operation = operation,
                         .count = 1,
                         .bodies = bodies,
                         .traits = traits,
                         .instructions = SHEAF_LITERAL("all\\n"),
                         .prompt = SHEAF_LITERAL("{\\\"a\\\":1}"),
                         .schema = SHEAF_LITERAL("{\"type\":\"object\"}"),
                         .output_cap = has_cap ? 9 : SHEAF_ABSENT};
  if (traits[0].share != SHEAF_SHARE_NONE) {
    check_shared(provider, &shared);
    bool is_pair = traits[1].share == traits[0].share && traits[1].key == traits[0].key;
    shared.count = is_pair ? 2 : 1;
    if (is_pair) check_shared(provider, &shared);
  }
  sheaf_reply reply = {
      .struct_bytes = sizeof reply, .http_status = 200, .operation = operation, .body = answer};
  shared.share = SHEAF_SHARE_INPUTS;
  check_items(provider, &shared, &reply, 1 + count % ITEMS_MAX);
  shared.share = SHEAF_SHARE_PROMPTS;
  sheaf_part part = {.struct_bytes = sizeof part,
                     .text_json = SHEAF_LITERAL("a\\u00e9"),
                     .usage = {.input_total = 3, .output_total = 2, .estimated = has_cap}};
  check_part(provider, &shared, &reply, &part);
  for (size_t i = 0; i < 2; i++) free((void *)(uintptr_t)bodies[i].data);
  free((void *)(uintptr_t)answer.data);
  return 0;
}
