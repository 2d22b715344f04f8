/* bench_queue: requests a second through the client, from submit to the answer, over a transport that answers at once.
 *
 *   bench_queue [--requests N] [--producers 1,2,4] [--way callback|queue|handles|all] [--provider bare|openai]
 *               [--concurrency N] [--capacity N] [--rounds N]
 *   bench_queue --soak SECONDS          all ways at once, cancels between them; fails unless the memory stays flat
 *
 * `bare` is a provider without JSON: what is measured is the hand-over, the engine and the delivery. `openai` builds and reads real
 * bodies. Every row's answer is checked and counted once before a number is printed; one JSON line a row: the median of the
 * rounds, and the processor time of all threads by request. For one core: taskset -c 1 bench_queue. */
#define _GNU_SOURCE
#include <sheaf/client.h>
#include <sheaf/curl.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PRODUCERS_MAX = 16, WINDOW = 256, ROUNDS_MAX = 99 };

static void die(const char *what) {
  fprintf(stderr, "bench_queue: %s\n", what);
  exit(1);
}

/* ---- A provider without JSON ---- */

static const char question[] =
    "a prompt of ordinary length, say about eighty bytes, which is what chats often have";
static const char answer[] = "a reply of forty bytes, or nearly so, ok";
static const char answer_openai[] =
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,"
    "\"model\":\"gpt-4o-mini\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a reply of forty "
    "bytes, or nearly so, ok\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,"
    "\"completion_tokens\":20,\"total_tokens\":30}}";

static int32_t build(const sheaf_provider *provider, const sheaf_build *in, sheaf_call *call) {
  (void)provider;
  sheaf_buf_append_text(call->path, "/run");
  return sheaf_buf_append_slice(call->body, in->request->prompt);
}

static int32_t decode(const sheaf_provider *provider, const sheaf_reply *reply, sheaf_buf *scratch,
                      sheaf_decoded *d) {
  (void)provider, (void)scratch;
  d->billing = SHEAF_BILLING_BILLED;
  d->text_json = reply->body;
  d->usage.input_total = 10;
  d->usage.output_total = 20;
  return SHEAF_OK;
}

static const sheaf_provider bare = {.struct_bytes = sizeof bare,
                                    .name = "bare",
                                    .base_url = "http://localhost",
                                    .build = build,
                                    .decode = decode};

/* ---- A transport that answers at once ---- */

typedef struct echo {
  sheaf_engine *engine;
  sheaf_slice reply;
  uint64_t *out;
  size_t count, room;
  pthread_mutex_t mutex;
  pthread_cond_t news;
  bool woken;
} echo;

static int32_t echo_bind(void *ctx, sheaf_engine *engine) {
  ((echo *)ctx)->engine = engine;
  return SHEAF_OK;
}

static int32_t echo_start(void *ctx, const sheaf_exchange *exchange) {
  echo *e = ctx;
  if (e->count == e->room) return SHEAF_E_NOMEM;
  e->out[e->count++] = exchange->id;
  return SHEAF_OK;
}

/* Its reply is on its way: nothing to do. */
static void echo_cancel(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}

static void echo_wait(echo *e, uint64_t wait_ns) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  if (wait_ns > UINT64_C(1000000000)) wait_ns = UINT64_C(1000000000);
  uint64_t ns = (uint64_t)until.tv_nsec + wait_ns;
  until.tv_sec += (time_t)(ns / 1000000000u);
  until.tv_nsec = (long)(ns % 1000000000u);
  pthread_mutex_lock(&e->mutex);
  int late = 0;
  while (!e->woken && late == 0) late = pthread_cond_timedwait(&e->news, &e->mutex, &until);
  e->woken = false;
  pthread_mutex_unlock(&e->mutex);
}

static int32_t echo_poll(void *ctx, uint64_t wait_ns) {
  echo *e = ctx;
  if (e->count == 0 && wait_ns > 0) echo_wait(e, wait_ns);
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  for (size_t i = 0; i < e->count; i++) {
    sheaf_engine_on_head(e->engine, e->out[i], 200, (sheaf_slice){NULL, 0});
    sheaf_engine_on_data(e->engine, e->out[i], e->reply);
    sheaf_engine_on_done(e->engine, e->out[i], &end);
  }
  e->count = 0;
  return SHEAF_OK;
}

static void echo_wake(void *ctx) {
  echo *e = ctx;
  pthread_mutex_lock(&e->mutex);
  e->woken = true;
  pthread_cond_signal(&e->news);
  pthread_mutex_unlock(&e->mutex);
}

static void echo_open(echo *e, uint64_t room, sheaf_slice reply) {
  pthread_condattr_t monotonic;
  memset(e, 0, sizeof *e);
  e->reply = reply;
  e->room = room;
  e->out = calloc(room, sizeof *e->out);
  if (e->out == NULL) die("no memory");
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&e->mutex, NULL);
  pthread_cond_init(&e->news, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

static void echo_close(echo *e) {
  pthread_cond_destroy(&e->news);
  pthread_mutex_destroy(&e->mutex);
  free(e->out);
}

/* ---- Set-up ---- */

typedef struct setup {
  uint64_t requests, concurrency, capacity;
  uint32_t rounds, producers[PRODUCERS_MAX], producer_rows;
  bool openai;
  const char *way;
} setup;

static sheaf_client *client;
static echo transport;

static void open_client(const setup *s) {
  sheaf_engine_options engine;
  sheaf_engine_options_init(&engine);
  engine.concurrency = s->concurrency;
  engine.queue_capacity = s->capacity;
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = s->openai ? sheaf_provider_find(SHEAF_LITERAL("openai")) : &bare;
  endpoint.model = SHEAF_LITERAL("gpt-4o-mini");
  echo_open(&transport, s->concurrency,
            s->openai ? sheaf_slice_of(answer_openai) : sheaf_slice_of(answer));
  const sheaf_client_transport door = {.struct_bytes = sizeof door,
                                       .ctx = &transport,
                                       .bind = echo_bind,
                                       .start = echo_start,
                                       .cancel = echo_cancel,
                                       .poll = echo_poll,
                                       .wake = echo_wake};
  char message[256];
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  options.engine = &engine;
  options.transport = &door;
  options.message = message;
  options.message_bytes = sizeof message;
  if (sheaf_client_new(&options, &client)) die(message);
}

static void close_client(void) {
  sheaf_client_free(client);
  client = NULL;
  echo_close(&transport);
}

static sheaf_request make_request(void) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = sheaf_slice_of(question);
  return request;
}

static bool is_answer(const sheaf_result *result) {
  return result->ok && result->text.bytes == sizeof answer - 1 &&
         memcmp(result->text.data, answer, sizeof answer - 1) == 0;
}

/* ---- The ways ---- */

static uint8_t *seen; /* how often each request was answered */
static atomic_uint_fast64_t wrong;
static uint64_t each; /* requests of one producer */

static void count(void *user, const sheaf_result *result) {
  ++*(uint8_t *)user;
  if (!is_answer(result)) atomic_fetch_add(&wrong, 1);
}

static void *by_callback(void *first) {
  sheaf_request request = make_request();
  uint8_t *at = first;
  for (uint64_t i = 0; i < each; i++)
    if (sheaf_client_submit(client, &request, count, &at[i], NULL)) die("submit was refused");
  return NULL;
}

static void *by_queue(void *first) {
  sheaf_request request = make_request();
  uint8_t *at = first;
  for (uint64_t i = 0; i < each; i++) {
    request.user = &at[i];
    if (sheaf_client_submit(client, &request, NULL, NULL, NULL)) die("submit was refused");
  }
  return NULL;
}

static void take_handle(sheaf_handle *handle) {
  const sheaf_result *result = NULL;
  if (sheaf_handle_wait(handle, SHEAF_NEVER, &result)) die("a handle did not end");
  count(result->user, result);
  sheaf_handle_free(handle);
}

static void *by_handles(void *first) {
  sheaf_handle *window[WINDOW];
  sheaf_request request = make_request();
  uint8_t *at = first;
  for (uint64_t i = 0; i < each; i++) {
    if (i >= WINDOW) take_handle(window[i % WINDOW]);
    request.user = &at[i];
    if (sheaf_client_send(client, &request, SHEAF_NEVER, &window[i % WINDOW]))
      die("send was refused");
  }
  for (uint64_t i = each > WINDOW ? each - WINDOW : 0; i < each; i++)
    take_handle(window[i % WINDOW]);
  return NULL;
}

static void *take_results(void *how_many) {
  for (uint64_t left = *(uint64_t *)how_many; left > 0; left--) {
    sheaf_result *result = NULL;
    if (sheaf_client_next(client, 60000, &result)) die("a result did not come");
    count(result->user, result);
    sheaf_result_free(result);
  }
  return NULL;
}

typedef struct way {
  const char *name, *title;
  void *(*produce)(void *first);
  bool has_consumer;
} way;

static const way ways[] = {{"callback", "submit -> callback", by_callback, false},
                           {"queue", "submit -> completion queue", by_queue, true},
                           {"handles", "send -> handle", by_handles, false}};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- Measuring ---- */

static uint64_t cpu_ns(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
         ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
}

typedef struct measured {
  double per_s, cpu_us;
} measured;

static int by_rate(const void *a, const void *b) {
  double x = ((const measured *)a)->per_s, y = ((const measured *)b)->per_s;
  return (x > y) - (x < y);
}

/* From the first submit until the last answer: a stop waits for all of them. */
static measured measure(const setup *s, const way *w, uint32_t producers) {
  pthread_t threads[PRODUCERS_MAX], consumer;
  open_client(s);
  each = s->requests / producers;
  uint64_t total = each * producers;
  seen = calloc(total, 1);
  if (seen == NULL) die("no memory");
  uint64_t begun = sheaf_now_ns(), cpu = cpu_ns();
  if (w->has_consumer) pthread_create(&consumer, NULL, take_results, &total);
  for (uint32_t i = 0; i < producers; i++)
    pthread_create(&threads[i], NULL, w->produce, seen + i * each);
  for (uint32_t i = 0; i < producers; i++) pthread_join(threads[i], NULL);
  if (w->has_consumer) pthread_join(consumer, NULL);
  sheaf_client_stop(client, SHEAF_NEVER);
  double took = (double)(sheaf_now_ns() - begun) / 1e9;
  double used = (double)(cpu_ns() - cpu) / 1e3;
  for (uint64_t i = 0; i < total; i++)
    if (seen[i] != 1) die("a request was not answered once");
  if (atomic_load(&wrong) != 0) die("an answer was wrong");
  free(seen);
  close_client();
  return (measured){(double)total / took, used / (double)total};
}

static void measure_rows(const setup *s) {
  for (size_t k = 0; k < WAYS; k++) {
    const way *w = &ways[k];
    if (strcmp(s->way, "all") != 0 && strcmp(s->way, w->name) != 0) continue;
    for (uint32_t p = 0; p < s->producer_rows; p++) {
      measured m[ROUNDS_MAX];
      for (uint32_t r = 0; r < s->rounds; r++) m[r] = measure(s, w, s->producers[p]);
      qsort(m, s->rounds, sizeof *m, by_rate);
      const measured *median = &m[s->rounds / 2];
      printf(
          "{\"row\":\"%s\",\"provider\":\"%s\",\"producers\":%u,\"requests\":%llu,"
          "\"requests_per_s\":%.0f,\"best_per_s\":%.0f,\"cpu_us_per_request\":%.3f}\n",
          w->title, s->openai ? "openai" : "bare", s->producers[p], (unsigned long long)s->requests,
          median->per_s, m[s->rounds - 1].per_s, median->cpu_us);
      fflush(stdout);
    }
  }
}

/* ---- Soak ---- */

static atomic_bool enough;
static atomic_uint_fast64_t begun_count, ended_count;

static void count_end(void *user, const sheaf_result *result) {
  (void)user;
  if (!is_answer(result) && result->error_class != SHEAF_CLASS_CANCELLED)
    atomic_fetch_add(&wrong, 1);
  atomic_fetch_add(&ended_count, 1);
}

static void *soak_callbacks(void *unused) {
  sheaf_request request = make_request();
  for (uint64_t n = 0; !atomic_load(&enough); n++) {
    uint64_t id;
    if (sheaf_client_submit(client, &request, count_end, NULL, &id)) die("submit was refused");
    atomic_fetch_add(&begun_count, 1);
    if (n % 7 == 0) sheaf_client_cancel(client, id);
  }
  return unused;
}

static void *soak_handles(void *unused) {
  sheaf_request request = make_request();
  for (uint64_t n = 0; !atomic_load(&enough); n++) {
    sheaf_handle *handle;
    const sheaf_result *result;
    if (sheaf_client_send(client, &request, SHEAF_NEVER, &handle)) die("send was refused");
    if (n % 3 == 0) sheaf_handle_cancel(handle);
    if (n % 5 != 0) {
      if (sheaf_handle_wait(handle, SHEAF_NEVER, &result)) die("a handle did not end");
      atomic_fetch_add(&begun_count, 1);
      count_end(NULL, result);
    }
    sheaf_handle_free(handle);
  }
  return unused;
}

static void *soak_queue(void *unused) {
  sheaf_request request = make_request();
  while (!atomic_load(&enough)) {
    sheaf_result *result;
    for (int i = 0; i < 50; i++)
      if (sheaf_client_submit(client, &request, NULL, NULL, NULL)) die("submit was refused");
    atomic_fetch_add(&begun_count, 50);
    for (int i = 0; i < 50; i++) {
      if (sheaf_client_next(client, 60000, &result)) die("a result did not come");
      count_end(NULL, result);
      sheaf_result_free(result);
    }
  }
  return unused;
}

static double resident_mb(void) {
  unsigned long long size = 0, resident = 0;
  char line[128] = "";
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) die("no /proc/self/statm");
  fclose(file);
  char *end;
  size = strtoull(line, &end, 10);
  resident = strtoull(end, NULL, 10);
  (void)size;
  return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* The first tenth warms up; from there on the memory may not grow by more than 5 percent and a megabyte. */
static int soak(setup *s, unsigned seconds) {
  enum { LOOKS = 10 };
  pthread_t threads[3];
  void *(*const bodies[3])(void *) = {soak_callbacks, soak_handles, soak_queue};
  double mb[LOOKS];
  open_client(s);
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, bodies[i], NULL);
  uint64_t begun = sheaf_now_ns();
  for (unsigned i = 0; i < LOOKS; i++) {
    uint64_t until = begun + (uint64_t)seconds * 100000000u * (i + 1);
    while (sheaf_now_ns() < until) usleep(10000);
    mb[i] = resident_mb();
    printf("{\"s\":%.1f,\"ended\":%llu,\"resident_mb\":%.1f}\n",
           (double)(sheaf_now_ns() - begun) / 1e9, (unsigned long long)atomic_load(&ended_count),
           mb[i]);
    fflush(stdout);
  }
  atomic_store(&enough, true);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  sheaf_client_stop(client, SHEAF_NEVER);
  close_client();
  uint64_t began = atomic_load(&begun_count), ended = atomic_load(&ended_count);
  bool flat = mb[LOOKS - 1] <= mb[0] * 1.05 + 1.0;
  printf("{\"began\":%llu,\"ended\":%llu,\"wrong\":%llu,\"flat\":%s}\n", (unsigned long long)began,
         (unsigned long long)ended, (unsigned long long)atomic_load(&wrong),
         flat ? "true" : "false");
  return flat && began == ended && atomic_load(&wrong) == 0 ? 0 : 1;
}

/* ---- The command line ---- */

static uint64_t number(const char *text, uint64_t min, uint64_t max) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  if (end == text || *end != 0 || value < min || value > max) die("a number is out of its range");
  return value;
}

static void read_producers(setup *s, const char *text) {
  s->producer_rows = 0;
  while (*text != 0 && s->producer_rows < PRODUCERS_MAX) {
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || value < 1 || value > PRODUCERS_MAX) die("producers are 1 to 16");
    s->producers[s->producer_rows++] = (uint32_t)value;
    text = *end == ',' ? end + 1 : end;
  }
}

int main(int argc, char **argv) {
  setup s = {.requests = 1000000,
             .concurrency = 64,
             .capacity = 1000,
             .rounds = 3,
             .producers = {1, 2, 4},
             .producer_rows = 3,
             .way = "all"};
  unsigned soak_s = 0;
  for (int i = 1; i < argc; i += 2) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (value == NULL) die("an option without its value");
    if (strcmp(name, "--requests") == 0)
      s.requests = number(value, 1000, 1000000000);
    else if (strcmp(name, "--producers") == 0)
      read_producers(&s, value);
    else if (strcmp(name, "--way") == 0)
      s.way = value;
    else if (strcmp(name, "--provider") == 0)
      s.openai = strcmp(value, "openai") == 0;
    else if (strcmp(name, "--concurrency") == 0)
      s.concurrency = number(value, 1, 20000);
    else if (strcmp(name, "--capacity") == 0)
      s.capacity = number(value, 1, 1000000);
    else if (strcmp(name, "--rounds") == 0)
      s.rounds = (uint32_t)number(value, 1, ROUNDS_MAX);
    else if (strcmp(name, "--soak") == 0)
      soak_s = (unsigned)number(value, 1, 1000000);
    else
      die("no such option");
  }
  if (soak_s > 0) return soak(&s, soak_s);
  measure_rows(&s);
  return 0;
}
