/* cache.c: answers kept for later twins: at most so many, so many bytes, so long. The least
 * recently used goes first. Keeping one is best effort: without memory nothing is kept. Order:
 * finding; dropping; keeping. */
#include "engine/engine_int.h"

static sheaf__cached **slot_of(const sheaf__cache *cache, uint64_t hash) {
  return &cache->slots[hash & (cache->slot_count - 1)];
}

static void ring_out(sheaf__cache *cache, sheaf__cached *kept) {
  if (kept->newer != NULL)
    kept->newer->older = kept->older;
  else
    cache->newest = kept->older;
  if (kept->older != NULL)
    kept->older->newer = kept->newer;
  else
    cache->oldest = kept->newer;
}

static void ring_in(sheaf__cache *cache, sheaf__cached *kept) {
  kept->newer = NULL;
  kept->older = cache->newest;
  if (cache->newest != NULL)
    cache->newest->newer = kept;
  else
    cache->oldest = kept;
  cache->newest = kept;
}

static sheaf__cached *find(const sheaf__cache *cache, const sheaf__row *row) {
  if (cache->slot_count == 0) return NULL;
  const sheaf__bond *bond = row->bond;
  sheaf__cached *at = *slot_of(cache, bond->twin_hash);
  while (at != NULL &&
         (at->hash != bond->twin_hash || at->trust != bond->trust || at->route != row->route ||
          at->path != row->path || memcmp(at->fingerprint, sheaf__row_fingerprint(row), 16) != 0))
    at = at->same_slot;
  return at;
}

/* What the block costs, with what finds it. */
static uint64_t weight(const sheaf__cached *kept) {
  return kept->answer->bytes + sizeof *kept;
}

static void drop(sheaf_engine *engine, sheaf__cached *kept) {
  sheaf__cache *cache = &engine->cache;
  sheaf__cached **at = slot_of(cache, kept->hash);
  while (*at != kept) at = &(*at)->same_slot;
  *at = kept->same_slot;
  ring_out(cache, kept);
  cache->count--;
  cache->bytes -= weight(kept);
  sheaf__answer_release(engine, kept->answer);
  sheaf__free(&engine->allocator, kept, sizeof *kept);
}

sheaf__answer *sheaf__cache_find(sheaf_engine *engine, const sheaf__row *row) {
  sheaf__cached *kept = find(&engine->cache, row);
  if (kept == NULL) return NULL;
  uint64_t ttl_ns = sheaf__mul_sat(engine->options.cache_ttl_ms, SHEAF__MS);
  if (engine->now_ns - kept->kept_ns >= ttl_ns) {
    drop(engine, kept);
    return NULL;
  }
  ring_out(&engine->cache, kept);
  ring_in(&engine->cache, kept);
  return kept->answer;
}

void sheaf__cache_trim(sheaf_engine *engine) {
  const sheaf_engine_options *o = &engine->options;
  sheaf__cache *cache = &engine->cache;
  while (cache->oldest != NULL &&
         (cache->count > o->cache_entries || cache->bytes > o->cache_bytes_max))
    drop(engine, cache->oldest);
}

static bool slots_reserve(sheaf_engine *engine) {
  sheaf__cache *cache = &engine->cache;
  if (cache->count < cache->slot_count) return true;
  uint32_t wanted = cache->slot_count ? 2 * cache->slot_count : 64;
  sheaf__cached **slots = sheaf__alloc_zero(&engine->allocator, wanted * sizeof *slots);
  if (slots == NULL) return cache->slot_count != 0; /* longer chains do, too */
  sheaf__free(&engine->allocator, cache->slots, cache->slot_count * sizeof *cache->slots);
  cache->slots = slots;
  cache->slot_count = wanted;
  for (sheaf__cached *kept = cache->newest; kept != NULL; kept = kept->older) {
    sheaf__cached **slot = slot_of(cache, kept->hash);
    kept->same_slot = *slot;
    *slot = kept;
  }
  return true;
}

void sheaf__cache_keep(sheaf_engine *engine, const sheaf__row *row) {
  const sheaf_engine_options *o = &engine->options;
  const sheaf__call *call = row->call;
  if (o->cache_entries == 0 || call == NULL || call->streaming != NULL) return;
  if (call->body.bytes >= o->cache_bytes_max) return;
  sheaf__cached *before = find(&engine->cache, row);
  if (before != NULL) drop(engine, before);
  sheaf__answer *answer = sheaf__answer_of_call(engine, call);
  sheaf__cached *kept = sheaf__alloc(&engine->allocator, sizeof *kept);
  if (answer == NULL || kept == NULL || !slots_reserve(engine)) {
    sheaf__answer_release(engine, answer);
    sheaf__free(&engine->allocator, kept, sizeof *kept);
    return;
  }
  sheaf__cache *cache = &engine->cache;
  *kept = (sheaf__cached){.hash = row->bond->twin_hash,
                          .trust = row->bond->trust,
                          .kept_ns = engine->now_ns,
                          .route = row->route,
                          .path = row->path,
                          .answer = answer};
  memcpy(kept->fingerprint, sheaf__row_fingerprint(row), sizeof kept->fingerprint);
  sheaf__cached **slot = slot_of(cache, kept->hash);
  kept->same_slot = *slot;
  *slot = kept;
  ring_in(cache, kept);
  cache->count++;
  cache->bytes += weight(kept);
  sheaf__cache_trim(engine);
}

void sheaf__cache_deinit(sheaf_engine *engine) {
  sheaf__cache *cache = &engine->cache;
  while (cache->oldest != NULL) drop(engine, cache->oldest);
  sheaf__free(&engine->allocator, cache->slots, cache->slot_count * sizeof *cache->slots);
}
