/* bench.c: sheaf bench: the same prompts on several models or endpoints, side by side.
 *
 * Every target has a client of its own, and in each run all of them work at the same time, so that what the machine or its
 * network does in that time meets all alike; the runs follow one another. A thread per target waits for its list; the first
 * thread waits for signals and shows how far they are.
 *
 * Outline: targets, clients, one run, signals and progress, the end. */
#define _POSIX_C_SOURCE 200809L
#include "bench_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TARGETS_MAX = 32 };

typedef struct bench_state {
  cli_args args;
  bench_input input;
  sheaf_price_table *prices;
  bench_target *targets;
  uint32_t interrupts;
} bench_state;

/* ---- Targets ---- */

static bool copy_part(char *to, size_t bytes, const char *from, size_t count) {
  if (count == 0 || count >= bytes) return false;
  memcpy(to, from, count);
  to[count] = 0;
  return true;
}

/* NAME=provider:model[@base_url]. Models may hold ':' and '@', so the URL begins at "@http". */
static int parse_target(const char *text, bench_target *target) {
  const char *equals = strchr(text, '=');
  const char *colon = equals ? strchr(equals, ':') : NULL;
  const char *url = colon ? strstr(colon, "@http") : NULL;
  const char *end = url ? url : text + strlen(text);
  bool good = colon != NULL && end > colon &&
              copy_part(target->name, sizeof target->name, text, (size_t)(equals - text)) &&
              copy_part(target->provider, sizeof target->provider, equals + 1,
                        (size_t)(colon - equals - 1)) &&
              copy_part(target->model, sizeof target->model, colon + 1, (size_t)(end - colon - 1));
  if (good && url != NULL)
    good = copy_part(target->base_url, sizeof target->base_url, url + 1, strlen(url + 1));
  if (good) return CLI_OK;
  cli_say(
      "--target cannot be \"%s\": give NAME=provider:model or NAME=provider:model@https://host/v1",
      text);
  return CLI_USAGE;
}

static int parse_targets(bench_state *bench) {
  const cli_args *args = &bench->args;
  for (uint32_t i = 0; i < args->target_count; i++) {
    int answer = parse_target(args->targets[i], &bench->targets[i]);
    if (answer) return answer;
    for (uint32_t k = 0; k < i; k++) {
      if (strcmp(bench->targets[k].name, bench->targets[i].name) != 0) continue;
      cli_say("two targets are named \"%s\": give each a name of its own", bench->targets[i].name);
      return CLI_USAGE;
    }
  }
  return CLI_OK;
}

/* ---- Clients ---- */

static int open_client(const cli_args *args, bench_target *target) {
  const cli_target where = {.provider = target->provider,
                            .base_url = target->base_url[0] ? target->base_url : NULL,
                            .model = target->model};
  int answer = cli_place_open(args, &where, &target->place);
  if (answer) return answer;
  const sheaf_curl_options transport = cli_transport_options(args);
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.endpoints = &target->place.endpoint;
  options.endpoint_count = 1;
  options.engine = &args->engine;
  options.curl = &transport;
  int32_t status = sheaf_client_new(&options, &target->client);
  if (status == SHEAF_OK && target->place.endpoint.credential_id != 0) {
    char base[1024];
    sheaf_slice url = target->place.endpoint.base_url;
    snprintf(base, sizeof base, "%.*s", (int)url.bytes, url.data);
    status = sheaf_client_set_credential(target->client, target->place.endpoint.credential_id, base,
                                         target->place.secret);
  }
  cli_place_wipe(&target->place);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s: %s", target->name,
          status == SHEAF_E_FIELD ? "the key or the base URL cannot be used"
                                  : sheaf_status_text(status));
  return status == SHEAF_E_NOMEM || status == SHEAF_E_IO ? CLI_HOST : CLI_USAGE;
}

static int open_prices(bench_state *bench) {
  size_t bytes;
  if (bench->args.prices == NULL) return CLI_OK;
  char *text = cli_read_file(bench->args.prices, 1 << 20, &bytes);
  if (text == NULL) return CLI_BAD_INPUT;
  sheaf_parse_error error = {0};
  int32_t status =
      sheaf_prices_read((sheaf_slice){text, bytes}, sheaf_heap(), &bench->prices, &error);
  free(text);
  bench->args.engine.prices = bench->prices;
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s: %s", bench->args.prices, error.message ? error.message : sheaf_status_text(status));
  return CLI_BAD_INPUT;
}

static void take_options(cli_args *args) {
  args->engine.system = sheaf_slice_of(args->system);
  args->engine.params = sheaf_slice_of(args->params);
  size_t bytes = args->engine.params.bytes;
  if (bytes < 2 || args->params[0] != '{' || args->params[bytes - 1] != '}') return;
  args->engine.params.data++; /* an object is as good as its members */
  args->engine.params.bytes -= 2;
}

static int open_all(bench_state *bench) {
  take_options(&bench->args);
  int answer = parse_targets(bench);
  if (answer == CLI_OK) answer = open_prices(bench);
  if (answer == CLI_OK) answer = bench_input_read(&bench->args, &bench->input);
  for (uint32_t i = 0; answer == CLI_OK && i < bench->args.target_count; i++) {
    answer = open_client(&bench->args, &bench->targets[i]);
    bench->targets[i].input = &bench->input;
  }
  return answer;
}

/* ---- One run ---- */

/* The time of the output tokens: the server's word where it gives one (Ollama), else from the first token of a stream, else
 * the whole call. What is known best for any request decides for the run. */
static uint32_t time_tokens(const sheaf_result *r, uint64_t *tokens, uint64_t *ns) {
  if (r->usage.output_total <= 0) return BENCH_FROM_NOTHING;
  *tokens = (uint64_t)r->usage.output_total;
  if (r->generation_ns != SHEAF_NEVER && r->generation_ns > 0) {
    *ns = r->generation_ns;
    return BENCH_FROM_SERVER;
  }
  if (r->ttft_ns != SHEAF_NEVER && r->ttft_ns<r->latency_ns && * tokens> 1) {
    *tokens -= 1; /* the first came with the start of the clock */
    *ns = r->latency_ns - r->ttft_ns;
    return BENCH_FROM_STREAM;
  }
  *ns = r->latency_ns;
  return BENCH_FROM_LATENCY;
}

static void measure_result(bench_target *target, bench_run *run, const sheaf_result *r) {
  uint64_t tokens = 0, ns = 0;
  if (!r->ok) {
    if (target->first_error[0]) return;
    char message[200];
    cli_plain(message, sizeof message, r->error_message);
    snprintf(target->first_error, sizeof target->first_error, "%s: %s",
             sheaf_class_name(r->error_class), message);
    return;
  }
  if (r->server_ns != SHEAF_NEVER) run->server_ns += r->server_ns, run->server_count++;
  uint32_t from = time_tokens(r, &tokens, &ns);
  if (from < run->timed_from || from == BENCH_FROM_NOTHING) return;
  if (from > run->timed_from) run->tokens_timed = run->tokens_ns = 0;
  run->timed_from = from;
  run->tokens_timed += tokens;
  run->tokens_ns += ns;
}

static void measure(bench_target *target, const sheaf_batch *batch) {
  bench_run *run = &target->runs[target->run_count++];
  memset(run, 0, sizeof *run);
  run->stats = *sheaf_batch_stats(batch);
  run->wall_ns = run->stats.now_ns - run->stats.started_ns;
  for (size_t i = 0; i < sheaf_batch_count(batch); i++)
    measure_result(target, run, sheaf_batch_at(batch, i));
}

static void on_progress(void *user, const sheaf_stats *stats, uint64_t done, uint64_t total) {
  bench_target *target = user;
  (void)stats;
  (void)total;
  atomic_store(&target->done, done);
}

static void *run_target(void *user) {
  bench_target *target = user;
  sheaf_batch_options options = SHEAF_BATCH_OPTIONS_INIT;
  options.on_progress = on_progress;
  options.user = target;
  sheaf_batch *batch = NULL;
  target->status = sheaf_client_batch(target->client, target->input->requests, target->input->count,
                                      &options, &batch, &target->error);
  if (batch != NULL) measure(target, batch);
  if (target->status == SHEAF_E_ALL_FAILED) target->status = SHEAF_OK;
  sheaf_batch_free(batch);
  atomic_store(&target->over, true);
  return NULL;
}

/* ---- Signals and progress ---- */

static void on_interrupt(bench_state *bench) {
  bench->interrupts++;
  for (uint32_t i = 0; i < bench->args.target_count; i++) {
    if (bench->interrupts == 1)
      sheaf_client_drain(bench->targets[i].client);
    else
      sheaf_client_abort(bench->targets[i].client);
  }
  fprintf(stderr, bench->interrupts == 1
                      ? "\nstopping: waiting for what is in flight (Ctrl-C again cancels it)\n"
                      : "\ncancelling what is in flight; it may have been billed\n");
}

static void draw(const bench_state *bench, uint32_t run) {
  fprintf(stderr, "\r\x1b[Krun %u of %llu", run + 1, (unsigned long long)bench->args.runs);
  for (uint32_t i = 0; i < bench->args.target_count && i < 6; i++)
    fprintf(stderr, "  %s %llu/%zu", bench->targets[i].name,
            (unsigned long long)atomic_load(&bench->targets[i].done), bench->input.count);
  fflush(stderr);
}

static bool all_over(const bench_state *bench, uint32_t started) {
  for (uint32_t i = 0; i < started; i++)
    if (!atomic_load(&bench->targets[i].over)) return false;
  return true;
}

/* The signals are blocked in every thread, so that they are taken here and nowhere else. */
static void attend(bench_state *bench, uint32_t run, uint32_t started, const sigset_t *signals) {
  const struct timespec slice = {.tv_nsec = 20000000};
  bool shown = !bench->args.quiet && isatty(STDERR_FILENO);
  for (uint32_t turn = 0; !all_over(bench, started); turn++) {
    if (sigtimedwait(signals, NULL, &slice) > 0) on_interrupt(bench);
    if (shown && turn % 10 == 9) draw(bench, run);
  }
  if (shown) fprintf(stderr, "\r\x1b[K");
}

static int run_all(bench_state *bench, uint32_t run, const sigset_t *signals) {
  pthread_t threads[TARGETS_MAX];
  uint32_t started = 0;
  for (; started < bench->args.target_count; started++) {
    bench_target *target = &bench->targets[started];
    atomic_store(&target->done, 0);
    atomic_store(&target->over, false);
    if (pthread_create(&threads[started], NULL, run_target, target) != 0) break;
  }
  attend(bench, run, started, signals);
  for (uint32_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
  if (started == bench->args.target_count) return CLI_OK;
  cli_say("no thread could be started for %s", bench->targets[started].name);
  return CLI_HOST;
}

/* What the list itself was refused for. */
static int check_run(const bench_state *bench) {
  for (uint32_t i = 0; i < bench->args.target_count; i++) {
    const bench_target *target = &bench->targets[i];
    const sheaf_parse_error *error = &target->error;
    if (target->status == SHEAF_OK || target->status == SHEAF_E_END) continue;
    if (target->status == SHEAF_E_NOMEM)
      return cli_say("%s: out of memory", target->name), CLI_HOST;
    cli_say("%s: request %u of %s: %s%s%s", target->name, (unsigned)error->column,
            bench->args.input, error->field ? error->field : "", error->field ? ": " : "",
            error->message ? error->message : sheaf_status_text(target->status));
    return CLI_BAD_INPUT;
  }
  return CLI_OK;
}

/* ---- The end ---- */

static int exit_code(const bench_state *bench) {
  uint64_t ok = 0, bad = 0, budget = 0;
  for (uint32_t i = 0; i < bench->args.target_count; i++) {
    for (uint32_t r = 0; r < bench->targets[i].run_count; r++) {
      const sheaf_stats *s = &bench->targets[i].runs[r].stats;
      ok += s->succeeded;
      bad += s->failed + s->not_attempted;
      budget += s->failed_by_class[SHEAF_CLASS_BUDGET];
    }
  }
  if (bench->interrupts > 0) return CLI_INTERRUPTED;
  if (budget > 0) return CLI_BUDGET;
  if (bad == 0) return CLI_OK;
  return ok == 0 ? CLI_ALL_FAILED : CLI_PARTIAL;
}

static int report(bench_state *bench) {
  const cli_args *args = &bench->args;
  bench_table_print(stdout, bench->targets, args->target_count, bench->input.count);
  for (uint32_t i = 0; i < args->target_count; i++)
    if (bench->targets[i].first_error[0])
      fprintf(stderr, "WARNING: %s: some requests failed; the first: %s\n", bench->targets[i].name,
              bench->targets[i].first_error);
  int code = exit_code(bench);
  if (args->summary == NULL) return code;
  int written =
      bench_json_write(args->summary, args, bench->targets, args->target_count, bench->input.count);
  return written ? written : code;
}

/* A run that was interrupted would bend the means; alone it is better than nothing. */
static void drop_torn_run(bench_state *bench) {
  for (uint32_t i = 0; i < bench->args.target_count; i++)
    if (bench->targets[i].run_count > 1) bench->targets[i].run_count--;
}

static int run_bench(bench_state *bench) {
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  int answer = CLI_OK;
  for (uint32_t run = 0; answer == CLI_OK && run < bench->args.runs && !bench->interrupts; run++) {
    answer = run_all(bench, run, &signals);
    if (answer == CLI_OK) answer = check_run(bench);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (bench->interrupts) drop_torn_run(bench);
  return answer == CLI_OK ? report(bench) : answer;
}

static int check_usage(const cli_args *args) {
  if (args->target_count == 0) {
    cli_say("give targets, as: sheaf bench --target a=openai:gpt-4o-mini --input prompts.jsonl");
    return CLI_USAGE;
  }
  if (args->input == NULL) return cli_say("give the prompts: --input prompts.jsonl"), CLI_USAGE;
  if (args->api_key_file != NULL && args->target_count > 1) {
    cli_say("one key file cannot serve several targets: use the providers' environment variables");
    return CLI_USAGE;
  }
  return CLI_OK;
}

int cli_bench(int argc, char **argv) {
  static bench_state bench; /* large, and there is one */
  int answer = cli_args_read(argc, argv, "bench", &bench.args);
  if (answer) return answer;
  if (bench.args.help) {
    cli_help(stdout, "bench");
    return CLI_OK;
  }
  answer = check_usage(&bench.args);
  if (answer) return answer;
  bench.targets = calloc(bench.args.target_count, sizeof *bench.targets);
  if (bench.targets == NULL) return cli_say("out of memory"), CLI_HOST;
  answer = open_all(&bench);
  if (answer == CLI_OK) answer = run_bench(&bench);
  for (uint32_t i = 0; i < bench.args.target_count; i++) {
    sheaf_client_free(bench.targets[i].client);
    cli_place_close(&bench.targets[i].place);
  }
  free(bench.targets);
  bench_input_free(&bench.input);
  sheaf_prices_free(bench.prices, sheaf_heap());
  return answer;
}
