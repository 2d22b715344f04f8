/* bench_gather: what requests that arrive one by one gain and lose by sharing calls, over real HTTP against the simulator.
 *
 *   bench_gather [--part arrivals|throughput|prompts|all] [--seconds N] [--requests N] [--dimensions N]
 *
 * arrivals     single embeddings of a Poisson process: calls saved, and the time from submit to completion, for each window
 * throughput   the same embeddings as fast as they can be handed over, merged and not, at the same concurrency
 * prompts      chats with a common system text, merged ten to a call and not; a token takes a millisecond
 *
 * The simulator is a process of its own on the last core and answers after 20 to 50 ms however long a list is: what a provider needs
 * for longer lists is not in these numbers. The client and the submitting thread share the first core. Before anything is timed, the
 * vectors of merged embeddings are compared with those of single ones; every chat's answer is compared with its prompt; calls are
 * counted at both ends. Prints Markdown.
 *
 * Outline: the simulator, the client, rows, the check, arrivals, throughput, prompts, main. */
#define _GNU_SOURCE
#include <sheaf/client.h>
#include <sheaf/curl.h>
#include <sheaf/sim.h>

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "bench_gather: %s\n", what);
  exit(1);
}

static void pin_to(long core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET((size_t)core, &cores);
  sched_setaffinity(0, sizeof cores, &cores);
}

/* ---- The simulator ---- */

typedef struct simulator {
  pid_t pid;
  int life;  /* closed: it ends */
  int tells; /* its port at the start, and what it received at the end */
  uint16_t port;
} simulator;

static uint64_t received(sheaf_sim *sim, const sheaf_allocator *allocator) {
  static const char *const paths[] = {"received"};
  sheaf_slice value;
  int64_t number = 0;
  sheaf_buf json;
  sheaf_buf_init(&json, allocator, 1 << 20);
  if (sheaf_sim_stats(sim, &json) ||
      sheaf_json_pick(sheaf_buf_slice(&json), paths, 1, &value, NULL, NULL) ||
      sheaf_json_int(value, &number))
    die("the simulator's ledger cannot be read");
  sheaf_buf_deinit(&json);
  return (uint64_t)number;
}

static void *host_realloc(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes > 0) return realloc(ptr, new_bytes);
  free(ptr);
  return NULL;
}

static void simulate(const char *const *options, int tells, int life) {
  const sheaf_allocator allocator = {.realloc = host_realloc};
  sheaf_sim_options chosen = SHEAF_SIM_OPTIONS_INIT;
  char message[160] = "", byte;
  sheaf_sim *sim;
  pin_to(sysconf(_SC_NPROCESSORS_ONLN) - 1);
  for (; *options; options += 2)
    if (sheaf_sim_option_set(&chosen, options[0], options[1], message, sizeof message))
      die(message);
  if (sheaf_sim_start(&chosen, &sim, message, sizeof message)) die(message);
  uint16_t port = sheaf_sim_port(sim);
  if (write(tells, &port, sizeof port) != sizeof port) _exit(1);
  while (read(life, &byte, 1) < 0 && errno == EINTR) continue;
  uint64_t calls = received(sim, &allocator);
  if (write(tells, &calls, sizeof calls) != sizeof calls) _exit(1);
  sheaf_sim_stop(sim);
  _exit(0);
}

static simulator sim_start(const char *const *options) {
  simulator sim;
  int tells[2], life[2];
  if (pipe(tells) || pipe(life)) die("no pipe");
  fflush(stdout);
  sim.pid = fork();
  if (sim.pid < 0) die("no process");
  if (sim.pid == 0) {
    close(life[1]);
    simulate(options, tells[1], life[0]);
  }
  close(tells[1]);
  close(life[0]);
  sim.life = life[1];
  sim.tells = tells[0];
  if (read(sim.tells, &sim.port, sizeof sim.port) != sizeof sim.port) exit(1);
  return sim;
}

/* Answers how many calls it received. */
static uint64_t sim_stop(const simulator *sim) {
  uint64_t calls = 0;
  close(sim->life);
  if (read(sim->tells, &calls, sizeof calls) != sizeof calls) die("the simulator died");
  waitpid(sim->pid, NULL, 0);
  close(sim->tells);
  return calls;
}

/* ---- The client ---- */

typedef struct mode {
  const char *name;
  uint64_t merge, window;
} mode;

static const mode modes[] = {{"merge off", SHEAF_MERGE_OFF, SHEAF_WINDOW_EAGER},
                             {"eager", SHEAF_MERGE_LOSSLESS, SHEAF_WINDOW_EAGER},
                             {"fixed 100 ms", SHEAF_MERGE_LOSSLESS, SHEAF_WINDOW_FIXED},
                             {"auto", SHEAF_MERGE_LOSSLESS, SHEAF_WINDOW_AUTO}};
enum { MODES = sizeof modes / sizeof *modes };

static char dimensions[16] = "64";
static sheaf_client *client;
static simulator sim;

static void open_both(const char *const *sim_options, const mode *m, uint64_t concurrency,
                      const char *model) {
  static const uint8_t secret[SHEAF_SECRET_BYTES] = {7}; /* nobody attacks a bench */
  char url[64], message[256] = "";
  sheaf_engine_options engine;
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  sim = sim_start(sim_options);
  snprintf(url, sizeof url, "http://127.0.0.1:%u/v1", (unsigned)sim.port);
  sheaf_engine_options_init(&engine);
  engine.merge = m->merge;
  engine.window = m->window;
  engine.concurrency = concurrency;
  engine.max_retries = 0;
  engine.secret = secret;
  options.base_url = url;
  options.api_key = "sk-bench";
  options.model = model;
  options.engine = &engine;
  options.message = message;
  options.message_bytes = sizeof message;
  if (sheaf_client_new(&options, &client)) die(message);
}

/* Waits for all, and answers the statistics. Both ends agree on how many calls there were, but for
 * canaries, which are dropped when the client stops. */
static sheaf_stats close_both(bool has_canaries) {
  sheaf_stats stats;
  sheaf_client_stop(client, SHEAF_NEVER);
  sheaf_client_stats(client, &stats);
  sheaf_client_free(client);
  uint64_t calls = sim_stop(&sim);
  if (calls > stats.attempts || (calls < stats.attempts && !has_canaries))
    die("client and simulator count different calls");
  return stats;
}

/* ---- Rows ---- */

typedef struct row {
  uint64_t sent_ns, took_ns;
  sheaf_slice answer; /* wanted of a chat; kept of an embedding in the check */
  bool keeps;
} row;

static atomic_uint_fast64_t wrong;

static void note(void *user, const sheaf_result *result) {
  row *r = user;
  r->took_ns = sheaf_now_ns() - r->sent_ns;
  if (!result->ok) atomic_fetch_add(&wrong, 1);
}

static row *rows_new(size_t count) {
  row *rows = calloc(count, sizeof *rows);
  if (rows == NULL) die("no memory");
  atomic_store(&wrong, 0);
  return rows;
}

/* Every row was answered, once, and well. */
static void rows_check(const row *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (rows[i].took_ns == 0) die("a request was not answered");
  if (atomic_load(&wrong)) die("an answer was wrong");
}

static void send_embedding(row *r, uint64_t n, sheaf_result_fn fn) {
  char text[64];
  sheaf_request request = SHEAF_REQUEST_INIT;
  snprintf(text, sizeof text, "the text of number %llu, as short as most", (unsigned long long)n);
  request.prompt = sheaf_slice_of(text);
  request.url = SHEAF_LITERAL("/v1/embeddings");
  r->sent_ns = sheaf_now_ns();
  if (sheaf_client_submit(client, &request, fn, r, NULL)) die("submit was refused");
}

static int by_size(const void *a, const void *b) {
  const row *x = a, *y = b;
  return (x->took_ns > y->took_ns) - (x->took_ns < y->took_ns);
}

static double quantile_ms(const row *sorted, size_t count, unsigned percent) {
  return (double)sorted[(count - 1) * percent / 100].took_ns / 1e6;
}

/* ---- The check ---- */

enum { CHECKED = 500 };

static void keep_vector(void *user, const sheaf_result *result) {
  static const char *const paths[] = {"data[0].embedding", "data[1]"};
  sheaf_slice values[2] = {{0}, {0}};
  row *r = user;
  note(user, result);
  if (sheaf_json_pick(result->body, paths, 2, values, NULL, NULL) || values[0].bytes < 16 ||
      values[1].bytes > 0)
    die("a reply holds no vector of its own");
  char *copy = malloc(values[0].bytes);
  if (copy == NULL) die("no memory");
  memcpy(copy, values[0].data, values[0].bytes);
  r->answer = (sheaf_slice){copy, values[0].bytes};
}

static row *vectors_of(const mode *m) {
  const char *const options[] = {"latency", "fixed:20", "dimensions", dimensions, NULL};
  row *rows = rows_new(CHECKED);
  open_both(options, m, 16, "text-embedding-3-small");
  for (uint64_t i = 0; i < CHECKED; i++) send_embedding(&rows[i], i, keep_vector);
  sheaf_stats stats = close_both(false);
  rows_check(rows, CHECKED);
  if ((stats.groups > 0) != (m->merge != SHEAF_MERGE_OFF)) die("what should merge does not");
  return rows;
}

static void check_vectors(void) {
  row *single = vectors_of(&modes[0]), *merged = vectors_of(&modes[1]);
  for (size_t i = 0; i < CHECKED; i++) {
    sheaf_slice a = single[i].answer, b = merged[i].answer;
    if (a.bytes != b.bytes || memcmp(a.data, b.data, a.bytes) != 0)
      die("a merged vector is not the single one");
  }
  for (size_t i = 0; i < CHECKED; i++) {
    free((void *)(uintptr_t)single[i].answer.data);
    free((void *)(uintptr_t)merged[i].answer.data);
  }
  free(single);
  free(merged);
}

/* ---- Arrivals ---- */

/* Uniform in (0, 1], the same sequence in each run: xorshift64* (Vigna 2016). */
static double draw(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return ((double)(*state * UINT64_C(2685821657736338717) >> 11) + 1) / 9007199254740992.0;
}

static void sleep_until(uint64_t at_ns) {
  const struct timespec at = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) continue;
}

static uint64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void arrive(const mode *m, uint64_t rate, uint64_t seconds) {
  const char *const options[] = {"latency", "uniform:20:50", "dimensions", dimensions, NULL};
  size_t count = (size_t)(rate * seconds);
  row *rows = rows_new(count);
  uint64_t state = 20260101;
  open_both(options, m, 256, "text-embedding-3-small");
  uint64_t begun = monotonic_ns();
  double due_ns = 0;
  for (size_t i = 0; i < count; i++) {
    due_ns -= log(draw(&state)) * 1e9 / (double)rate;
    sleep_until(begun + (uint64_t)due_ns);
    send_embedding(&rows[i], i, note);
  }
  double took_s = (double)(monotonic_ns() - begun) / 1e9;
  sheaf_stats stats = close_both(false);
  rows_check(rows, count);
  qsort(rows, count, sizeof *rows, by_size);
  printf("| %llu | %s | %.0f | %llu | %.1f %% | %.1f | %.1f | %.1f |\n", (unsigned long long)rate,
         m->name, (double)count / took_s, (unsigned long long)stats.attempts,
         100.0 - 100.0 * (double)stats.attempts / (double)count,
         (double)count / (double)stats.attempts, quantile_ms(rows, count, 50),
         quantile_ms(rows, count, 95));
  fflush(stdout);
  free(rows);
}

static void bench_arrivals(uint64_t seconds) {
  static const uint64_t rates[] = {10, 100, 1000, 5000};
  printf(
      "| asked for a second | window | came a second | calls | saved | requests a call | p50 ms | "
      "p95 ms |\n|---|---|---|---|---|---|---|---|\n");
  for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
    for (size_t k = 0; k < MODES; k++) arrive(&modes[k], rates[r], seconds);
}

/* ---- Throughput ---- */

static double run_all(const mode *m, uint64_t count, uint64_t concurrency, double base) {
  const char *const options[] = {"latency", "uniform:20:50", "dimensions", dimensions, NULL};
  row *rows = rows_new(count);
  open_both(options, m, concurrency, "text-embedding-3-small");
  uint64_t begun = sheaf_now_ns();
  for (uint64_t i = 0; i < count; i++) send_embedding(&rows[i], i, note);
  sheaf_client_stop(client, SHEAF_NEVER);
  double per_s = (double)count * 1e9 / (double)(sheaf_now_ns() - begun);
  sheaf_stats stats = close_both(false);
  rows_check(rows, count);
  printf("| %llu | %s | %llu | %.1f | %.0f | %.1f |\n", (unsigned long long)concurrency, m->name,
         (unsigned long long)stats.attempts, (double)count / (double)stats.attempts, per_s,
         base > 0 ? per_s / base : 1.0);
  fflush(stdout);
  free(rows);
  return per_s;
}

static void bench_throughput(uint64_t count) {
  static const uint64_t concurrency[] = {16, 64};
  printf(
      "| in flight | window | calls | requests a call | requests/s | times |\n"
      "|---|---|---|---|---|---|\n");
  for (size_t c = 0; c < 2; c++) {
    double base = run_all(&modes[0], count, concurrency[c], 0);
    for (size_t k = 1; k < MODES; k++) run_all(&modes[k], count, concurrency[c], base);
  }
}

/* ---- Prompts ---- */

static void note_chat(void *user, const sheaf_result *result) {
  row *r = user;
  note(user, result);
  if (result->text.bytes != r->answer.bytes ||
      memcmp(result->text.data, r->answer.data, r->answer.bytes) != 0)
    atomic_fetch_add(&wrong, 1);
}

/* What reviews are judged by: 1,200 bytes that all requests begin with. */
static const char *system_text(void) {
  static char text[1201];
  while (strlen(text) + 60 < sizeof text)
    strcat(text, "Judge the review by price, battery, noise and delivery. ");
  return text;
}

static void send_chat(row *r, uint64_t n, char *text, size_t bytes, const char *system) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  snprintf(text, bytes,
           "echo: Review %llu: \"quiet fans, a good battery\", but the price is too high.",
           (unsigned long long)n);
  r->answer = sheaf_slice_of(text);
  request.prompt = sheaf_slice_of(text + 6);
  request.system = sheaf_slice_of(system);
  request.trust_key = SHEAF_LITERAL("bench");
  r->sent_ns = sheaf_now_ns();
  if (sheaf_client_submit(client, &request, note_chat, r, NULL)) die("submit was refused");
}

static void run_prompts(const mode *m, uint64_t count, uint64_t concurrency, const char *system) {
  enum { ROOM = 128 };
  const char *const options[] = {"latency", "uniform:20:50", "itl", "fixed:1", NULL};
  row *rows = rows_new(count);
  char *texts = malloc(count * ROOM);
  if (texts == NULL) die("no memory");
  open_both(options, m, concurrency, "gpt-4o-mini");
  uint64_t begun = sheaf_now_ns();
  for (uint64_t i = 0; i < count; i++) send_chat(&rows[i], i, texts + i * ROOM, ROOM, system);
  sheaf_client_stop(client, SHEAF_NEVER);
  double per_s = (double)count * 1e9 / (double)(sheaf_now_ns() - begun);
  sheaf_stats stats = close_both(true);
  rows_check(rows, count);
  printf("| %llu | %zu | %s | %llu | %.0f | %.0f | %.0f | %llu | %llu |\n",
         (unsigned long long)concurrency, strlen(system), m->name,
         (unsigned long long)stats.attempts, per_s, (double)stats.input_tokens / (double)count,
         (double)stats.output_tokens / (double)count, (unsigned long long)stats.merge_fallbacks,
         (unsigned long long)stats.canary_agreement_milli);
  fflush(stdout);
  free(texts);
  free(rows);
}

static void bench_prompts(uint64_t count) {
  static const mode merged = {"merge prompts", SHEAF_MERGE_PROMPTS, SHEAF_WINDOW_EAGER};
  printf(
      "| in flight | system, bytes | | calls | requests/s | input tokens a request | output | "
      "fallbacks | canaries agree, milli |\n|---|---|---|---|---|---|---|---|---|\n");
  for (uint64_t concurrency = 16; concurrency <= 64; concurrency *= 4)
    for (int has_system = 0; has_system < 2; has_system++) {
      run_prompts(&modes[0], count, concurrency, has_system ? system_text() : "");
      run_prompts(&merged, count, concurrency, has_system ? system_text() : "");
    }
}

/* ---- The command line ---- */

static uint64_t number(const char *text, uint64_t max) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  if (end == text || *end != 0 || value < 1 || value > max) die("a number is out of its range");
  return value;
}

int main(int argc, char **argv) {
  uint64_t seconds = 10, requests = 10000;
  const char *part = "all";
  for (int i = 1; i < argc; i += 2) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (value == NULL) die("an option without its value");
    if (strcmp(name, "--part") == 0)
      part = value;
    else if (strcmp(name, "--seconds") == 0)
      seconds = number(value, 3600);
    else if (strcmp(name, "--requests") == 0)
      requests = number(value, 1000000);
    else if (strcmp(name, "--dimensions") == 0)
      snprintf(dimensions, sizeof dimensions, "%u", (unsigned)number(value, 4096));
    else
      die("no such option");
  }
  bool all = strcmp(part, "all") == 0;
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  sheaf_sim_raise_descriptors();
  pin_to(0);
  check_vectors();
  if (all || strcmp(part, "arrivals") == 0) bench_arrivals(seconds);
  if (all || strcmp(part, "throughput") == 0) bench_throughput(requests);
  if (all || strcmp(part, "prompts") == 0) bench_prompts(requests);
  return 0;
}
