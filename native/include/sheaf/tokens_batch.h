/* sheaf/tokens_batch.h: many texts to tokens and back, counted or encoded on several threads at once.
 *
 *   sheaf_token_pool_new(vocab, 0, &pool);                            as many threads as processors
 *   sheaf_token_pool_encode(pool, texts, count, NULL, &batch);        waits; order is kept
 *   for (size_t i = 0; i < count; i++) use(sheaf_token_batch_at(batch, i)->ids);
 *   sheaf_token_batch_free(batch); sheaf_token_pool_free(pool);
 *
 * Every item has an answer of its own: one that fails does not fail the others. */
#ifndef SHEAF_TOKENS_BATCH_H
#define SHEAF_TOKENS_BATCH_H

#include <sheaf/tokens.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHEAF_TOKEN_THREADS_MAX 256u

/* Threads that wait for work, each with a tokenizer. Any thread may call; calls take turns. */
typedef struct sheaf_token_pool sheaf_token_pool;

/* Makes a pool. vocab  outlives it; NULL: for sheaf_token_pool_each only. threads  0: as many as there
 * are processors; the caller's own works too, so that 1 starts none. SHEAF_OK; SHEAF_E_RANGE (over
 * SHEAF_TOKEN_THREADS_MAX); SHEAF_E_NOMEM (or no thread could be started). Since 0.1. */
SHEAF_API int32_t sheaf_token_pool_new(const sheaf_vocab *vocab, uint32_t threads,
                                       sheaf_token_pool **pool);
/* Ends the threads and frees it. No call may be running. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_token_pool_free(sheaf_token_pool *pool);
/* How many threads work, the caller's too. Since 0.1. */
SHEAF_API uint32_t sheaf_token_pool_threads(const sheaf_token_pool *pool);

/* ---- texts and ids ---- */

/* What became of one text or list of ids. */
typedef struct sheaf_token_item {
  int32_t
      status; /* as the call for one text answers; what follows is 0 and empty unless SHEAF_OK */
  uint32_t thread;     /* which of the pool's worked on it, from 0 */
  size_t count;        /* ids: of the text, or of the list that was decoded */
  const uint32_t *ids; /* encode: its ids; else NULL */
  sheaf_slice text;    /* decode: its bytes, not always UTF-8; else empty */
  uint64_t took_ns;    /* time spent on it */
} sheaf_token_item;

/* The items of one call, in the order they were given. */
typedef struct sheaf_token_batch sheaf_token_batch;

typedef struct sheaf_id_list {
  const uint32_t *ids;
  size_t count;
} sheaf_id_list;

/* Encodes texts; policy as for sheaf_tokens_encode. The batch is the caller's and is made whenever an
 * item's answer is returned: SHEAF_OK, or the first item's that was not. Without a batch: SHEAF_E_NOMEM;
 * SHEAF_E_LIMIT (more items than sheaf_tokens_max_batch_size says); SHEAF_E_MISUSE (a pool without a
 * vocabulary); *batch is NULL then. Since 0.1. */
SHEAF_API int32_t sheaf_token_pool_encode(sheaf_token_pool *pool, const sheaf_slice *texts,
                                          size_t count, const sheaf_special_policy *policy,
                                          sheaf_token_batch **batch);
/* Counts texts: as encoding them, without ids. Since 0.1. */
SHEAF_API int32_t sheaf_token_pool_count(sheaf_token_pool *pool, const sheaf_slice *texts,
                                         size_t count, const sheaf_special_policy *policy,
                                         sheaf_token_batch **batch);
/* Decodes lists of ids. Since 0.1. */
SHEAF_API int32_t sheaf_token_pool_decode(sheaf_token_pool *pool, const sheaf_id_list *lists,
                                          size_t count, sheaf_token_batch **batch);

/* Frees a batch with its ids and texts. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_token_batch_free(sheaf_token_batch *batch);
/* How many items it has. Since 0.1. */
SHEAF_API size_t sheaf_token_batch_count(const sheaf_token_batch *batch);
/* The n-th item, NULL past the end; lives as long as the batch. Since 0.1. */
SHEAF_API const sheaf_token_item *sheaf_token_batch_at(const sheaf_token_batch *batch, size_t n);

/* ---- any work ---- */

/* Works on one item. thread  0 to sheaf_token_pool_threads - 1: no two calls with the same number run at
 * once, so that it may index working memory. tokenizer  that thread's; NULL for a pool without a
 * vocabulary. May not call the pool. */
typedef void (*sheaf_token_work_fn)(void *ctx, sheaf_tokenizer *tokenizer, uint32_t thread,
                                    size_t item);

/* Calls work for items 0 to count - 1, in any order, on all threads, and waits. SHEAF_OK;
 * SHEAF_E_MISUSE. Since 0.1. */
SHEAF_API int32_t sheaf_token_pool_each(sheaf_token_pool *pool, size_t count,
                                        sheaf_token_work_fn work, void *ctx);

/* ---- how much at once ---- */

enum {
  SHEAF_SIZE_ENCODE = 1,  /* texts of one sheaf_token_pool_encode */
  SHEAF_SIZE_COUNT = 2,   /* texts of one sheaf_token_pool_count */
  SHEAF_SIZE_DECODE = 3,  /* lists of one sheaf_token_pool_decode */
  SHEAF_SIZE_REQUEST = 4, /* inputs of one live request that takes several: embeddings */
  SHEAF_SIZE_JOB = 5      /* requests of one job of a provider's batch API */
};

typedef struct sheaf_batch_size {
  uint32_t struct_bytes;
  uint32_t reserved;
  uint64_t items;  /* SHEAF_NEVER, here and below: nothing limits it, or nothing is documented */
  uint64_t bytes;  /* all items together */
  uint64_t tokens; /* all items together */
  uint64_t item_tokens; /* one of them */
  const char *basis;    /* one sentence on where the numbers come from; static */
} sheaf_batch_size;
#define SHEAF_BATCH_SIZE_INIT ((sheaf_batch_size){.struct_bytes = sizeof(sheaf_batch_size)})

/* The most that one call, request or job can take: whichever of the numbers is met first. provider,
 * model  as in requests; looked at for REQUEST and JOB only. SHEAF_OK; SHEAF_E_UNSUPPORTED (the provider
 * has no such thing for this model, or its limits are not known); SHEAF_E_MISUSE. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_max_batch_size(uint32_t operation, sheaf_slice provider,
                                              sheaf_slice model, sheaf_batch_size *size);
/* How much one should take at least to be worth it, so that more gains nothing: for ENCODE, COUNT and DECODE
 * where the cost of handing work to threads is below 5 % (measured, see basis); for REQUEST and JOB, whose cost
 * is by the call, the most it takes. As above. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_optimal_batch_size(uint32_t operation, sheaf_slice provider,
                                                  sheaf_slice model, sheaf_batch_size *size);

#ifdef __cplusplus
}
#endif

#endif
