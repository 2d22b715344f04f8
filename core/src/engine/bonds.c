/* bonds.c: what a row may share with others: a call, by what its provider reads in its final
 * body; an answer, with identical rows. Most rows share nothing and have no bond. Order: what
 * applies; making and letting go. */
#include "engine/engine_int.h"

#define NOT_SHARED (SHEAF_REQUEST_TASK | SHEAF_REQUEST_ALONE)

/* May the row be one of several in a call? Which of the options' limits it meets is for its
 * company. */
static bool may_merge(const sheaf_engine *engine, const sheaf_traits *traits) {
  return engine->options.merge != SHEAF_MERGE_OFF && traits->share != SHEAF_SHARE_NONE;
}

/* Would an identical request be given the same answer, as far as the options care? While an earlier
 * run's records are read nobody knows yet what was sent already: each row speaks for itself. */
static bool may_twin(const sheaf_engine *engine, const sheaf_request *request,
                     const sheaf_traits *traits) {
  if (engine->recovering) return false;
  if (engine->options.dedup == SHEAF_DEDUP_ALL) return true;
  return engine->options.dedup == SHEAF_DEDUP_AUTO &&
         ((request->flags & SHEAF_REQUEST_DETERMINISTIC) || traits->deterministic);
}

/* A provider of an older caller ends before the slot. */
static bool provider_reads(const sheaf_provider *provider) {
  return provider->struct_bytes >= sizeof *provider && provider->traits != NULL;
}

/* Who knows no secret cannot make up trust keys that meet. */
static uint64_t trust_seed(const sheaf_engine *engine) {
  uint64_t seed;
  memcpy(&seed, engine->secret, sizeof seed);
  return seed;
}

static uint64_t twin_hash(const sheaf__row *row, uint64_t trust) {
  uint64_t head;
  memcpy(&head, sheaf__row_fingerprint(row), sizeof head);
  uint64_t hash = sheaf__mix64(head ^ trust ^ ((uint64_t)row->route << 16 | row->path));
  return hash ? hash : 1;
}

static int32_t bond_take(sheaf_engine *engine, sheaf__bond **out) {
  if (engine->bonds_free == NULL) {
    const sheaf_allocator *a = &engine->allocator;
    int32_t status = sheaf__grow(a, &engine->bond_chunks, &engine->bond_chunk_capacity,
                                 engine->bond_chunk_count, sizeof *engine->bond_chunks, UINT32_MAX);
    if (status) return status;
    sheaf__bond *chunk = sheaf__alloc(a, SHEAF__CHUNK * sizeof *chunk);
    if (chunk == NULL) return SHEAF_E_NOMEM;
    engine->bond_chunks[engine->bond_chunk_count++] = chunk;
    for (uint32_t i = SHEAF__CHUNK; i-- > 0;) {
      chunk[i].next_free = engine->bonds_free;
      engine->bonds_free = &chunk[i];
    }
  }
  *out = engine->bonds_free;
  engine->bonds_free = (*out)->next_free;
  return SHEAF_OK;
}

int32_t sheaf__bond_make(sheaf_engine *engine, sheaf__row *row, const sheaf_request *request) {
  const sheaf_engine_options *o = &engine->options;
  if (o->merge == SHEAF_MERGE_OFF && o->dedup == SHEAF_DEDUP_OFF) return SHEAF_OK;
  if ((request->flags & NOT_SHARED) || (row->flags & SHEAF__ROW_STREAM)) return SHEAF_OK;
  const sheaf_provider *provider = engine->routes[row->route].provider;
  bool told = o->dedup == SHEAF_DEDUP_ALL || (request->flags & SHEAF_REQUEST_DETERMINISTIC);
  bool reads = provider_reads(provider) && (o->merge != SHEAF_MERGE_OFF || !told);
  if (!reads && !told) return SHEAF_OK;
  sheaf_traits traits = {.struct_bytes = sizeof traits, .inputs = 1, .output_cap = SHEAF_ABSENT};
  if (reads) provider->traits(provider, row->operation, sheaf__row_body(row), &traits);
  bool merges = may_merge(engine, &traits), twins = may_twin(engine, request, &traits);
  if (!merges && !twins) return SHEAF_OK;
  sheaf__bond *bond;
  int32_t status = twins ? sheaf__twin_reserve(engine) : SHEAF_OK;
  if (status == SHEAF_OK) status = bond_take(engine, &bond);
  if (status) return status;
  sheaf_slice trust = request->trust_key;
  *bond = (sheaf__bond){.traits = traits, .row = row, .max_wait_ms = request->max_wait_ms};
  if (!merges) bond->traits.share = SHEAF_SHARE_NONE;
  if (trust.bytes) bond->trust = sheaf__hash(trust.data, trust.bytes, trust_seed(engine)) | 1;
  if (twins) bond->twin_hash = twin_hash(row, bond->trust);
  bond->twin_next = bond->twin_before = bond;
  row->bond = bond;
  return SHEAF_OK;
}

void sheaf__bond_release(sheaf_engine *engine, sheaf__row *row) {
  sheaf__company_forget(engine, row);
  sheaf__bond *bond = row->bond;
  row->bond = NULL;
  SHEAF_ASSERT(!bond->leads && bond->leader == NULL && bond->twin_next == bond);
  bond->next_free = engine->bonds_free;
  engine->bonds_free = bond;
}

void sheaf__bonds_deinit(sheaf_engine *engine) {
  const sheaf_allocator *a = &engine->allocator;
  for (uint32_t i = 0; i < engine->bond_chunk_count; i++)
    sheaf__free(a, engine->bond_chunks[i], SHEAF__CHUNK * sizeof(sheaf__bond));
  sheaf__free(a, engine->bond_chunks, engine->bond_chunk_capacity * sizeof *engine->bond_chunks);
  sheaf__free(a, engine->leaders, engine->leader_capacity * sizeof *engine->leaders);
}
