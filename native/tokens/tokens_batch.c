/* tokens_batch.c: many texts on several threads.
 *
 *   threads   wait for a job, take spans of its items until none is left, and wait again
 *   memory    each thread writes ids and texts into blocks of its own, which the batch takes over
 *   calls     encode, count and decode as jobs, and any other work
 *
 * The calling thread works like the others. Results lie by the number of their item, so order is kept
 * whoever works on what. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/heap.h>
#include <sheaf/tokens_batch.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A span is long enough that taking one costs nothing beside its work, and short enough that the last
 * ones end together. */
#define SPAN_MAX 64u
#define SPANS_PER_THREAD 8u
#define BLOCK_BYTES ((size_t)1 << 20)

typedef struct job {
  sheaf_token_work_fn work;
  void *ctx;
  size_t count;
  size_t span;
  atomic_size_t next;
} job;

typedef struct worker {
  sheaf_token_pool *pool;
  sheaf_tokenizer *tokenizer;
  pthread_t thread;
  uint32_t number;
} worker;

struct sheaf_token_pool {
  const sheaf_vocab *vocab;
  uint32_t threads;
  uint32_t started;      /* beside the caller's */
  pthread_mutex_t turn;  /* held by the call that works */
  pthread_mutex_t mutex; /* of all below */
  pthread_cond_t work_came;
  pthread_cond_t work_ended;
  job *job;
  uint64_t jobs;    /* handed out so far: tells a thread that a job is new */
  uint32_t working; /* threads that have not ended the job, the caller's apart */
  bool stopping;
  worker workers[];
};

/* ---- threads ---- */

static void work_off(worker *self, job *todo) {
  for (;;) {
    size_t at = atomic_fetch_add_explicit(&todo->next, todo->span, memory_order_relaxed);
    if (at >= todo->count) return;
    size_t end = todo->count - at < todo->span ? todo->count : at + todo->span;
    for (; at < end; at++) todo->work(todo->ctx, self->tokenizer, self->number, at);
  }
}

static void *worker_run(void *ctx) {
  worker *self = ctx;
  sheaf_token_pool *pool = self->pool;
  uint64_t seen = 0;
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    while (pool->jobs == seen && !pool->stopping) pthread_cond_wait(&pool->work_came, &pool->mutex);
    if (pool->stopping) break;
    seen = pool->jobs;
    job *todo = pool->job;
    pthread_mutex_unlock(&pool->mutex);
    work_off(self, todo);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->working == 0) pthread_cond_signal(&pool->work_ended);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

static uint32_t processors(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  if (count < 1) return 1;
  return count > (long)SHEAF_TOKEN_THREADS_MAX ? SHEAF_TOKEN_THREADS_MAX : (uint32_t)count;
}

int32_t sheaf_token_pool_new(const sheaf_vocab *vocab, uint32_t threads,
                             sheaf_token_pool **pool_out) {
  if (!pool_out) return SHEAF_E_MISUSE;
  if (threads > SHEAF_TOKEN_THREADS_MAX) return SHEAF_E_RANGE;
  if (threads == 0) threads = processors();
  sheaf_token_pool *pool = calloc(1, sizeof *pool + threads * sizeof *pool->workers);
  if (!pool) return SHEAF_E_NOMEM;
  pool->vocab = vocab;
  pool->threads = threads;
  pthread_mutex_init(&pool->turn, NULL);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work_came, NULL);
  pthread_cond_init(&pool->work_ended, NULL);
  int32_t status = SHEAF_OK;
  for (uint32_t i = 0; i < threads; i++) {
    pool->workers[i].pool = pool;
    pool->workers[i].number = i;
    if (vocab && status == SHEAF_OK)
      status = sheaf_tokenizer_new(vocab, sheaf_heap(), &pool->workers[i].tokenizer);
  }
  for (uint32_t i = 1; i < threads && status == SHEAF_OK; i++) {
    if (pthread_create(&pool->workers[i].thread, NULL, worker_run, &pool->workers[i]) == 0)
      pool->started++;
    else
      status = SHEAF_E_NOMEM;
  }
  if (status == SHEAF_OK)
    *pool_out = pool;
  else
    sheaf_token_pool_free(pool);
  return status;
}

void sheaf_token_pool_free(sheaf_token_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work_came);
  pthread_mutex_unlock(&pool->mutex);
  for (uint32_t i = 1; i <= pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
  for (uint32_t i = 0; i < pool->threads; i++) sheaf_tokenizer_free(pool->workers[i].tokenizer);
  pthread_cond_destroy(&pool->work_ended);
  pthread_cond_destroy(&pool->work_came);
  pthread_mutex_destroy(&pool->mutex);
  pthread_mutex_destroy(&pool->turn);
  free(pool);
}

uint32_t sheaf_token_pool_threads(const sheaf_token_pool *pool) {
  return pool->threads;
}

int32_t sheaf_token_pool_each(sheaf_token_pool *pool, size_t count, sheaf_token_work_fn work,
                              void *ctx) {
  if (!pool || !work) return SHEAF_E_MISUSE;
  job todo = {.work = work, .ctx = ctx, .count = count};
  size_t span = count / ((size_t)pool->threads * SPANS_PER_THREAD);
  todo.span = span < 1 ? 1 : span > SPAN_MAX ? SPAN_MAX : span;
  atomic_init(&todo.next, 0);
  pthread_mutex_lock(&pool->turn);
  bool alone = pool->started == 0 || count < 2;
  if (!alone) {
    pthread_mutex_lock(&pool->mutex);
    pool->job = &todo;
    pool->jobs++;
    pool->working = pool->started;
    pthread_cond_broadcast(&pool->work_came);
    pthread_mutex_unlock(&pool->mutex);
  }
  work_off(&pool->workers[0], &todo);
  if (!alone) {
    pthread_mutex_lock(&pool->mutex);
    while (pool->working > 0) pthread_cond_wait(&pool->work_ended, &pool->mutex);
    pool->job = NULL;
    pthread_mutex_unlock(&pool->mutex);
  }
  pthread_mutex_unlock(&pool->turn);
  return SHEAF_OK;
}

/* ---- memory ---- */

typedef struct block {
  struct block *next;
  size_t bytes;
  size_t used;
  uint32_t data[];
} block;

/* One thread's results and working memory. */
typedef struct lane {
  block *blocks; /* the first is the one that is written to */
  sheaf_buf text;
  uint64_t clock_ns; /* when the item before ended; 0: not known */
  char apart[64];    /* so that no two threads write to one cache line */
} lane;

struct sheaf_token_batch {
  size_t count;
  uint32_t lane_count;
  lane *lanes;
  sheaf_token_item *items;
};

static block *block_new(lane *to, size_t bytes) {
  block *made = bytes > SIZE_MAX - sizeof *made ? NULL : malloc(sizeof *made + bytes);
  if (!made) return NULL;
  *made = (block){.next = to->blocks, .bytes = bytes};
  to->blocks = made;
  return made;
}

/* Room in the newest block; a text that may need much of a block gets one to itself. */
static void *room_for(lane *to, size_t bytes) {
  block *at = to->blocks;
  bool is_large = bytes > BLOCK_BYTES / 4;
  if (!at || is_large || at->bytes - at->used < bytes)
    at = block_new(to, is_large ? bytes : BLOCK_BYTES);
  return at ? (char *)at->data + at->used : NULL;
}

/* Keeps the first bytes of that room; of a block that is one text's own the rest goes back. */
static const void *keep(lane *to, size_t bytes) {
  block *at = to->blocks;
  size_t begin = at->used, left = at->bytes - begin;
  size_t whole = (bytes + 7) & ~(size_t)7;
  at->used += whole < left ? whole : left;
  if (at->bytes > BLOCK_BYTES) {
    at->bytes = at->used;
    block *smaller = realloc(at, sizeof *at + at->used);
    if (smaller) to->blocks = at = smaller;
  }
  return (const char *)at->data + begin;
}

void sheaf_token_batch_free(sheaf_token_batch *batch) {
  if (!batch) return;
  for (uint32_t i = 0; i < batch->lane_count; i++) {
    while (batch->lanes[i].blocks) {
      block *next = batch->lanes[i].blocks->next;
      free(batch->lanes[i].blocks);
      batch->lanes[i].blocks = next;
    }
    sheaf_buf_deinit(&batch->lanes[i].text);
  }
  free(batch->lanes);
  free(batch->items);
  free(batch);
}

size_t sheaf_token_batch_count(const sheaf_token_batch *batch) {
  return batch->count;
}

const sheaf_token_item *sheaf_token_batch_at(const sheaf_token_batch *batch, size_t n) {
  return n < batch->count ? &batch->items[n] : NULL;
}

static sheaf_token_batch *batch_new(size_t count, uint32_t lanes) {
  sheaf_token_batch *batch = calloc(1, sizeof *batch);
  if (!batch) return NULL;
  batch->count = count;
  batch->items = calloc(count ? count : 1, sizeof *batch->items);
  batch->lanes = calloc(lanes, sizeof *batch->lanes);
  if (!batch->items || !batch->lanes) {
    sheaf_token_batch_free(batch);
    return NULL;
  }
  batch->lane_count = lanes;
  for (uint32_t i = 0; i < lanes; i++)
    sheaf_buf_init(&batch->lanes[i].text, sheaf_heap(), SIZE_MAX / 2);
  return batch;
}

/* ---- calls ---- */

typedef struct task {
  const sheaf_vocab *vocab;
  const sheaf_slice *texts;
  const sheaf_id_list *lists;
  const sheaf_special_policy *policy;
  sheaf_token_batch *batch;
} task;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The clock is read once an item: the end of one is the beginning of the thread's next. */
static void stamp(task *it, uint32_t thread, size_t item) {
  uint64_t now = now_ns();
  it->batch->items[item].took_ns = now - it->batch->lanes[thread].clock_ns;
  it->batch->items[item].thread = thread;
  it->batch->lanes[thread].clock_ns = now;
}

static void begin(task *it, uint32_t thread) {
  if (it->batch->lanes[thread].clock_ns == 0) it->batch->lanes[thread].clock_ns = now_ns();
}

static void encode_one(void *ctx, sheaf_tokenizer *tokenizer, uint32_t thread, size_t item) {
  task *it = ctx;
  lane *own = &it->batch->lanes[thread];
  sheaf_token_item *out = &it->batch->items[item];
  begin(it, thread);
  size_t room = sheaf_tokens_room(it->vocab, it->texts[item].bytes);
  uint32_t *ids = NULL;
  out->status = SHEAF_E_TOO_LONG;
  if (it->texts[item].bytes <= SHEAF_TOKEN_TEXT_BYTES_MAX) {
    ids = room_for(own, room * sizeof *ids);
    out->status = SHEAF_E_NOMEM;
  }
  if (ids)
    out->status =
        sheaf_tokens_encode(tokenizer, it->texts[item], it->policy, ids, room, &out->count);
  if (out->status == SHEAF_OK)
    out->ids = keep(own, out->count * sizeof *ids);
  else
    out->count = 0;
  stamp(it, thread, item);
}

static void count_one(void *ctx, sheaf_tokenizer *tokenizer, uint32_t thread, size_t item) {
  task *it = ctx;
  sheaf_token_item *out = &it->batch->items[item];
  begin(it, thread);
  out->status = sheaf_tokens_count(tokenizer, it->texts[item], it->policy, SIZE_MAX, &out->count);
  if (out->status != SHEAF_OK) out->count = 0;
  stamp(it, thread, item);
}

static void decode_one(void *ctx, sheaf_tokenizer *tokenizer, uint32_t thread, size_t item) {
  task *it = ctx;
  (void)tokenizer;
  lane *own = &it->batch->lanes[thread];
  sheaf_token_item *out = &it->batch->items[item];
  begin(it, thread);
  sheaf_buf_reset(&own->text);
  out->status =
      sheaf_tokens_decode(it->vocab, it->lists[item].ids, it->lists[item].count, &own->text);
  void *to = NULL;
  if (out->status == SHEAF_OK && own->text.bytes > 0) {
    to = room_for(own, own->text.bytes);
    if (!to) out->status = SHEAF_E_NOMEM;
  }
  if (to) {
    memcpy(to, own->text.data, own->text.bytes);
    out->text = (sheaf_slice){keep(own, own->text.bytes), own->text.bytes};
  }
  if (out->status == SHEAF_OK) out->count = it->lists[item].count;
  stamp(it, thread, item);
}

static int32_t run_task(sheaf_token_pool *pool, task *it, size_t count, sheaf_token_work_fn work,
                        sheaf_token_batch **batch) {
  if (batch) *batch = NULL;
  if (!pool || !batch || !pool->vocab) return SHEAF_E_MISUSE;
  if (count > UINT32_MAX) return SHEAF_E_LIMIT;
  it->vocab = pool->vocab;
  it->batch = batch_new(count, pool->threads);
  if (!it->batch) return SHEAF_E_NOMEM;
  int32_t status = sheaf_token_pool_each(pool, count, work, it);
  for (size_t i = 0; i < count && status == SHEAF_OK; i++) status = it->batch->items[i].status;
  *batch = it->batch;
  return status;
}

int32_t sheaf_token_pool_encode(sheaf_token_pool *pool, const sheaf_slice *texts, size_t count,
                                const sheaf_special_policy *policy, sheaf_token_batch **batch) {
  task it = {.texts = texts, .policy = policy};
  return run_task(pool, &it, count, encode_one, batch);
}

int32_t sheaf_token_pool_count(sheaf_token_pool *pool, const sheaf_slice *texts, size_t count,
                               const sheaf_special_policy *policy, sheaf_token_batch **batch) {
  task it = {.texts = texts, .policy = policy};
  return run_task(pool, &it, count, count_one, batch);
}

int32_t sheaf_token_pool_decode(sheaf_token_pool *pool, const sheaf_id_list *lists, size_t count,
                                sheaf_token_batch **batch) {
  task it = {.lists = lists};
  return run_task(pool, &it, count, decode_one, batch);
}
