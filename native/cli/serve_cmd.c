/* serve_cmd.c: sheaf serve: an OpenAI-compatible endpoint in front of the client, until a signal
 * comes.
 *
 * The first signal stops accepting and lets what is inside end, the second cancels that. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#ifdef SHEAF_SERVE

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct serve_run {
  cli_args args;
  cli_place place;
  sheaf_price_table *prices;
  sheaf_client *client;
  sheaf_serve *serve;
  char token[1024]; /* wiped once it is handed over */
  atomic_bool is_stopped;
} serve_run;

/* ---- Set-up ---- */

static void wipe(char *secret, size_t bytes) {
  volatile char *at = secret; /* volatile: the stores are not removed as dead */
  for (size_t i = 0; i < bytes; i++) at[i] = 0;
}

static int read_token(serve_run *run) {
  const char *path = run->args.access_token_file, *given = getenv("SHEAF_ACCESS_TOKEN");
  if (path != NULL) return cli_secret_read(path, "access token", run->token, sizeof run->token);
  if (given == NULL || given[0] == 0) return CLI_OK;
  if (strlen(given) >= sizeof run->token)
    return cli_say("SHEAF_ACCESS_TOKEN is longer than 1,000 bytes"), CLI_USAGE;
  memcpy(run->token, given, strlen(given) + 1);
  return CLI_OK;
}

static int check_args(const serve_run *run) {
  const cli_args *args = &run->args;
  if (args->input != NULL)
    return cli_say("sheaf serve takes options only, not \"%s\"", args->input), CLI_USAGE;
  if (args->engine.stream)
    return cli_say("--stream: here each request says whether it is streamed"), CLI_USAGE;
  return CLI_OK;
}

static int open_client(serve_run *run) {
  cli_args *args = &run->args;
  sheaf_curl_options curl = cli_transport_options(args);
  curl.max_connections =
      args->engine.concurrency ? args->engine.concurrency : args->engine.max_concurrency;
  /* A connection for each caller and each request in flight, and some for files. */
  cli_raise_descriptors(curl.max_connections * 2 + 16384 + 256);
  args->engine.sha256_blocks = sheaf_sha256_fastest();
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.endpoints = &run->place.endpoint;
  options.endpoint_count = 1;
  options.engine = &args->engine;
  options.curl = &curl;
  int32_t status = sheaf_client_new(&options, &run->client);
  if (status == SHEAF_E_FIELD)
    return cli_say(
               "no price is known for this model, so a budget cannot be kept: give --prices "
               "FILE, or leave --budget-usd away"),
           CLI_USAGE;
  if (status != SHEAF_OK) {
    cli_say("%s", sheaf_status_text(status));
    return status == SHEAF_E_NOMEM || status == SHEAF_E_IO ? CLI_HOST : CLI_USAGE;
  }
  if (run->place.endpoint.credential_id == 0) return CLI_OK;
  char base[1024];
  snprintf(base, sizeof base, "%.*s", (int)run->place.endpoint.base_url.bytes,
           run->place.endpoint.base_url.data);
  status = sheaf_client_set_credential(run->client, 1, base, run->place.secret);
  cli_place_wipe(&run->place);
  if (status)
    return cli_say(
               "the key or the base URL cannot be used: a key is one line of plain characters, a "
               "base URL begins with https://"),
           CLI_USAGE;
  return CLI_OK;
}

static int open_serve(serve_run *run) {
  char message[256] = "";
  sheaf_serve_options options = SHEAF_SERVE_OPTIONS_INIT;
  options.port = (uint32_t)run->args.port;
  options.host = run->args.host;
  options.access_token = run->token[0] ? run->token : NULL;
  options.client = run->client;
  options.provider = run->place.endpoint.provider;
  options.model = run->args.target.model;
  int32_t status = sheaf_serve_start(&options, &run->serve, message, sizeof message);
  wipe(run->token, sizeof run->token);
  if (status == SHEAF_OK) return CLI_OK;
  if (status == SHEAF_E_AUTH)
    cli_say("%s (set SHEAF_ACCESS_TOKEN, or give --access-token-file FILE)", message);
  else
    cli_say("%s", message[0] ? message : sheaf_status_text(status));
  return status == SHEAF_E_AUTH || status == SHEAF_E_FIELD ? CLI_USAGE : CLI_HOST;
}

static int open_all(serve_run *run) {
  int answer = check_args(run);
  if (answer == CLI_OK) answer = read_token(run);
  if (answer == CLI_OK) answer = cli_prices_open(&run->args, &run->prices);
  if (answer == CLI_OK) answer = cli_params_open(&run->args);
  if (answer == CLI_OK) answer = cli_place_open(&run->args, &run->args.target, &run->place);
  if (answer == CLI_OK) answer = open_client(run);
  if (answer == CLI_OK) answer = open_serve(run);
  return answer;
}

/* ---- The end ---- */

static void *stop(void *ctx) {
  serve_run *run = ctx;
  sheaf_serve_stop(run->serve, run->args.drain_ms);
  atomic_store(&run->is_stopped, true);
  return NULL;
}

/* Waits for a signal; then for the end of what is inside, or for another signal. */
static void wait_for_end(serve_run *run, const sigset_t *signals) {
  const struct timespec look = {.tv_nsec = 20000000};
  pthread_t stopper;
  int number;
  while (sigwait(signals, &number) != 0) continue;
  if (!run->args.quiet)
    fprintf(stderr, "stopping: waiting for what is inside (Ctrl-C again cancels it)\n");
  if (pthread_create(&stopper, NULL, stop, run) != 0) {
    stop(run);
    return;
  }
  while (!atomic_load(&run->is_stopped))
    if (sigtimedwait(signals, NULL, &look) > 0) sheaf_client_abort(run->client);
  pthread_join(stopper, NULL);
}

static void print_summary(const sheaf_serve_stats *own, const sheaf_stats *s) {
  /* Who was sent alone after all had a call of its own besides. */
  uint64_t calls = s->groups + s->merge_fallbacks;
  unsigned long long merged = s->grouped > calls ? s->grouped - calls : 0;
  fprintf(stderr, "served %llu requests: %llu succeeded, %llu failed",
          (unsigned long long)own->requests, (unsigned long long)own->succeeded,
          (unsigned long long)own->failed);
  if (own->clients_left)
    fprintf(stderr, " (%llu callers left)", (unsigned long long)own->clients_left);
  if (own->refused) fprintf(stderr, ", %llu refused", (unsigned long long)own->refused);
  fprintf(stderr,
          "; %llu calls sent, %llu saved by merging, %llu deduplicated, %llu from the cache",
          (unsigned long long)s->attempts, merged, (unsigned long long)s->deduplicated,
          (unsigned long long)s->cache_hits);
  if (s->cost_usd_nano != SHEAF_ABSENT)
    fprintf(stderr, "; $%.4f%s", (double)s->cost_usd_nano / 1e9,
            s->cost_missing ? " (not all models have a known price)" : "");
  fputc('\n', stderr);
}

static int finish(serve_run *run) {
  sheaf_stats stats;
  sheaf_serve_stats own = {.struct_bytes = sizeof own};
  sheaf_client_stats(run->client, &stats);
  sheaf_serve_stats_get(run->serve, &own);
  if (!run->args.quiet) print_summary(&own, &stats);
  int written = run->args.summary ? cli_summary_write(run->args.summary, &stats, false) : CLI_OK;
  bool is_cut = own.open + own.cancelled > 0;
  return written != CLI_OK ? written : is_cut ? CLI_INTERRUPTED : CLI_OK;
}

int cli_serve(int argc, char **argv) {
  static serve_run run; /* large, and there is one */
  sigset_t signals;
  int answer = cli_args_read(argc, argv, "serve", &run.args);
  if (answer) return answer;
  if (run.args.help) return cli_help(stdout, "serve");
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals,
                  NULL); /* before there are threads, so that none takes them */
  answer = open_all(&run);
  if (answer == CLI_OK) {
    printf("%s\n", sheaf_serve_url(run.serve));
    fflush(stdout);
    wait_for_end(&run, &signals);
    answer = finish(&run);
  }
  sheaf_serve_free(run.serve);
  sheaf_client_free(run.client);
  sheaf_prices_free(run.prices, sheaf_heap());
  cli_place_close(&run.place);
  wipe(run.token, sizeof run.token);
  return answer;
}

#else

int cli_serve(int argc, char **argv) {
  (void)argc;
  (void)argv;
  cli_say("this sheaf was built without its endpoint (SHEAF_SERVE was off)");
  return CLI_USAGE;
}

#endif
