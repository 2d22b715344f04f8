/* tokens_sizes.c: how much one call, request or job takes, and how much is worth it.
 *
 * Limits of providers are those their documentation states; where it states none, nothing is made up. */
#include <sheaf/tokens_batch.h>

#include <string.h>

/* Embeddings at OpenAI: 8,192 tokens an input, 2,048 inputs and 300,000 tokens a request (protocols.md
 * 1.3). */
static const sheaf_batch_size embeddings = {
    .items = 2048,
    .bytes = SHEAF_NEVER,
    .tokens = 300000,
    .item_tokens = 8192,
    .basis =
        "OpenAI documents 2,048 inputs, 300,000 tokens and 8,192 tokens an input for embeddings"};

/* Jobs of batch APIs (protocols.md 1.5, 2.4, 3.3 and 10); a megabyte is taken as 10^6 bytes, the smaller
 * reading. */
static const struct {
  const char *provider;
  sheaf_batch_size size;
} jobs[] = {
    {"openai",
     {.items = 50000,
      .bytes = 200000000,
      .tokens = SHEAF_NEVER,
      .item_tokens = SHEAF_NEVER,
      .basis = "OpenAI documents 50,000 requests and 200 MB for a batch file"}},
    {"anthropic",
     {.items = 100000,
      .bytes = 256000000,
      .tokens = SHEAF_NEVER,
      .item_tokens = SHEAF_NEVER,
      .basis = "Anthropic documents 100,000 requests or 256 MB for a message batch"}},
    {"gemini",
     {.items = SHEAF_NEVER,
      .bytes = 2000000000,
      .tokens = SHEAF_NEVER,
      .item_tokens = SHEAF_NEVER,
      .basis = "Google documents 2 GB for a batch file and no number of requests"}},
};

/* The ceiling of this library: items are numbered by 32 bits, texts are at most 1 GiB. */
static const sheaf_batch_size whole_call = {
    .items = UINT32_MAX,
    .bytes = SHEAF_NEVER,
    .tokens = SHEAF_NEVER,
    .item_tokens = SHEAF_NEVER,
    .basis = "the library's own ceiling: 2^32 - 1 items in a call, and memory"};

/* Measured with two threads on two x86-64 processors, in texts of 400 bytes with o200k_base. Waking a thread and
 * waiting for it takes about 50 microseconds (sheaf_token_pool_each over nothing, median of 2,000). English text of
 * common words, the quickest, is encoded at up to 920 MB a second and decoded at 275 million tokens a second, so
 * that this is below 5 % from 50 us * 920 MB/s / 0.05 = 920 KB and 275,000 tokens on; slower text is worth it sooner.
 * Two threads were then 1.9 to 2.0 times as fast as one. */
static const sheaf_batch_size encode_enough = {
    .items = SHEAF_NEVER,
    .bytes = (uint64_t)1 << 20,
    .tokens = SHEAF_NEVER,
    .item_tokens = SHEAF_NEVER,
    .basis = "measured with two threads: from 1 MiB on handing work over costs below 5 %"};
static const sheaf_batch_size decode_enough = {
    .items = SHEAF_NEVER,
    .bytes = SHEAF_NEVER,
    .tokens = (uint64_t)1 << 18,
    .item_tokens = SHEAF_NEVER,
    .basis = "measured with two threads: from 262,144 tokens on handing work over costs below 5 %"};

static bool equal(sheaf_slice given, const char *name) {
  size_t bytes = strlen(name);
  return given.bytes == bytes && memcmp(given.data, name, bytes) == 0;
}

static const sheaf_batch_size *provider_size(uint32_t operation, sheaf_slice provider,
                                             sheaf_slice model) {
  static const char prefix[] = "text-embedding-";
  size_t bytes = sizeof prefix - 1;
  if (operation == SHEAF_SIZE_REQUEST) {
    bool is_embedding = model.bytes >= bytes && memcmp(model.data, prefix, bytes) == 0;
    return is_embedding && equal(provider, "openai") ? &embeddings : NULL;
  }
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
    if (equal(provider, jobs[i].provider)) return &jobs[i].size;
  return NULL;
}

static int32_t tell(const sheaf_batch_size *found, sheaf_batch_size *size) {
  if (!size || size->struct_bytes < sizeof size->struct_bytes) return SHEAF_E_MISUSE;
  if (!found) return SHEAF_E_UNSUPPORTED;
  uint32_t known = size->struct_bytes < sizeof *size ? size->struct_bytes : sizeof *size;
  sheaf_batch_size told = *found;
  told.struct_bytes = known;
  memcpy(size, &told, known);
  return SHEAF_OK;
}

int32_t sheaf_tokens_max_batch_size(uint32_t operation, sheaf_slice provider, sheaf_slice model,
                                    sheaf_batch_size *size) {
  switch (operation) {
    case SHEAF_SIZE_ENCODE:
    case SHEAF_SIZE_COUNT:
    case SHEAF_SIZE_DECODE: return tell(&whole_call, size);
    case SHEAF_SIZE_REQUEST:
    case SHEAF_SIZE_JOB: return tell(provider_size(operation, provider, model), size);
    default: return SHEAF_E_MISUSE;
  }
}

int32_t sheaf_tokens_optimal_batch_size(uint32_t operation, sheaf_slice provider, sheaf_slice model,
                                        sheaf_batch_size *size) {
  if (operation == SHEAF_SIZE_ENCODE || operation == SHEAF_SIZE_COUNT)
    return tell(&encode_enough, size);
  if (operation == SHEAF_SIZE_DECODE) return tell(&decode_enough, size);
  return sheaf_tokens_max_batch_size(operation, provider, model, size);
}
