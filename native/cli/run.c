/* run.c: sheaf run: a file of requests through the engine over libcurl into a file of results.
 *
 * One thread: the files, the engine and the transport take turns; signals only count and wake. */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define METRICS_EVERY_NS 5000000000ull

/* ---- Signals: the first drains, the second cancels ---- */

static volatile sig_atomic_t interrupts;
static sheaf_curl *to_wake;

static void on_signal(int number) {
  (void)number;
  if (interrupts < 3) interrupts++;
  if (to_wake != NULL) sheaf_curl_wake(to_wake); /* async-signal-safe */
}

static void listen_to_signals(run_state *run) {
  struct sigaction action = {.sa_handler = on_signal};
  to_wake = run->curl;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write, not the end */
}

static void obey_signals(run_state *run) {
  if (interrupts >= 1 && !run->draining) {
    run->draining = true;
    sheaf_engine_drain(run->engine);
    cli_progress_note(&run->progress,
                      "stopping: waiting for what is in flight (Ctrl-C again cancels it)");
  }
  if (interrupts >= 2 && !run->aborted) {
    run->aborted = true;
    sheaf_engine_abort(run->engine);
    cli_progress_note(&run->progress, "cancelling what is in flight; it may have been billed");
  }
}

/* ---- Events on their way to the files ---- */

/* A server that is being started is waited for; one that refuses for half a minute from the first try on is not. */
#define OPENINGS_MAX 3u

static void on_breaker(run_state *run, uint64_t wait_ns, char *line, size_t bytes) {
  char wait[32];
  sheaf_stats stats;
  sheaf_engine_stats(run->engine, &stats);
  const char *worst = cli_worst_class(&stats);
  const sheaf_slice base = run->place.endpoint.base_url;
  run->openings++;
  run->unreachable = run->openings >= OPENINGS_MAX && run_nothing_answers(&stats);
  if (run->unreachable)
    snprintf(line, bytes, "%.*s was never reached: giving up", (int)base.bytes, base.data);
  else
    snprintf(line, bytes, "%.*s keeps failing (%s): the next try is in %s", (int)base.bytes,
             base.data, worst ? worst : "unknown", cli_duration(wait_ns, wait));
}

static void on_notice(run_state *run, const sheaf_event *event) {
  char line[1280], wait[32];
  switch (event->notice) {
    case SHEAF_NOTICE_PAUSED:
      snprintf(line, sizeof line, "paused for %s: the provider asked to wait",
               cli_duration(event->number, wait));
      break;
    case SHEAF_NOTICE_BREAKER_OPEN: on_breaker(run, event->number, line, sizeof line); break;
    case SHEAF_NOTICE_KEY_STOPPED:
      run->key_stopped = true;
      snprintf(line, sizeof line, "the provider refused the key (%s): nothing more is sent with it",
               sheaf_class_name((uint32_t)event->number));
      break;
    case SHEAF_NOTICE_BUDGET:
      run->budget = true;
      snprintf(line, sizeof line, "the budget is spent: nothing more is sent");
      break;
    case SHEAF_NOTICE_RUN_DEADLINE: run->run_late = true; /* fall through */
    case SHEAF_NOTICE_STORE_FAILED:
    case SHEAF_NOTICE_BREAKER_CLOSED:
      run->openings = 0;
      snprintf(line, sizeof line, "%.*s", (int)event->text.bytes, event->text.data);
      break;
    default: return; /* resent unknowns are counted and stand in the summary */
  }
  cli_progress_note(&run->progress, line);
}

static int32_t on_event(void *ctx, const sheaf_event *event) {
  run_state *run = ctx;
  if (event->kind == SHEAF_EVENT_NOTICE) on_notice(run, event);
  if (event->kind == SHEAF_EVENT_DELTA || event->kind == SHEAF_EVENT_DISCARD)
    cli_progress_stream(&run->progress, event);
  if (event->kind == SHEAF_EVENT_JOB || event->kind == SHEAF_EVENT_RESULT)
    run_jobs_event(run, event);
  if (run->files == NULL) return SHEAF_OK;
  if (event->kind == SHEAF_EVENT_RESULT) cli_judged_count(&run->judged, event->result);
  if (event->kind != SHEAF_EVENT_RESULT || event->result->ok)
    return run->file_sink.put(run->file_sink.ctx, event);
  sheaf_event shown = *event;
  shown.result = cli_failure_show(&run->failures, event->result);
  if (shown.result->attempted || run->key_stopped ||
      shown.result->error_class == SHEAF_CLASS_INVALID_REQUEST) {
    cli_progress_error(&run->progress, shown.result);
    if (run->first_error[0] == 0) {
      char text[400];
      cli_plain(text, sizeof text, shown.result->error_message);
      snprintf(run->first_error, sizeof run->first_error, "%s: %s",
               sheaf_class_name(shown.result->error_class), text);
    }
  }
  return run->file_sink.put(run->file_sink.ctx, &shown);
}

/* ---- Set-up ---- */

static int open_files(run_state *run) {
  const cli_args *args = &run->args;
  sheaf_files_options options = SHEAF_FILES_OPTIONS_INIT;
  char message[1024] = "";
  options.input = args->input;
  options.output = args->output;
  options.template_text = args->template_text;
  options.order = args->order;
  options.resume = args->resume;
  options.retry_failed = args->retry_failed;
  options.limit = args->limit;
  options.sync = args->sync_full ? SHEAF_SYNC_FULL : SHEAF_SYNC_NORMAL;
  if (cli_format(args, &options.format)) return CLI_USAGE;
  int32_t status = sheaf_files_open(&options, &run->files, message, sizeof message);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s", message[0] ? message : sheaf_status_text(status));
  return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_BAD_INPUT;
}

static int open_transport(run_state *run) {
  const cli_args *args = &run->args;
  sheaf_curl_options options = cli_transport_options(args);
  options.max_connections =
      args->engine.concurrency ? args->engine.concurrency : args->engine.max_concurrency;
  /* A connection for each request in flight, with the simulator inside both ends of it; and some for files. */
  cli_raise_descriptors(options.max_connections * 2 + 256);
  if (sheaf_curl_new(&options, &run->curl))
    return cli_say("the HTTP transport could not be set up"), CLI_HOST;
  if (run->place.endpoint.credential_id == 0) return CLI_OK;
  char base[1024];
  snprintf(base, sizeof base, "%.*s", (int)run->place.endpoint.base_url.bytes,
           run->place.endpoint.base_url.data);
  int32_t status = sheaf_curl_set_credential(run->curl, 1, base, run->place.secret);
  cli_place_wipe(&run->place);
  if (status)
    return cli_say(
               "the key or the base URL cannot be used: a key is one line of plain characters, a "
               "base URL begins with https://"),
           CLI_USAGE;
  return CLI_OK;
}

/* Rows may name models of their own; those are refused one by one. */
static int check_budget(const run_state *run) {
  const cli_args *args = &run->args;
  const sheaf_price_table *prices =
      args->engine.prices ? args->engine.prices : sheaf_prices_builtin();
  const char *provider = run->place.endpoint.provider->name;
  if (args->engine.budget_usd_nano == SHEAF_NEVER || args->target.model == NULL ||
      sheaf_price_find(prices, sheaf_slice_of(provider), run->place.endpoint.model) != NULL)
    return CLI_OK;
  cli_say(
      "no price is known for %s of %s, so a budget cannot be kept: give --prices FILE, or leave "
      "--budget-usd away",
      args->target.model, provider);
  return CLI_USAGE;
}

static int open_engine(run_state *run) {
  cli_args *args = &run->args;
  args->engine.endpoints = &run->place.endpoint;
  args->engine.endpoint_count = 1;
  args->engine.system = sheaf_slice_of(args->system);
  args->engine.sha256_blocks = sheaf_sha256_fastest();
  if (getrandom(&args->engine.seed, sizeof args->engine.seed, 0) !=
      (ssize_t)sizeof args->engine.seed)
    args->engine.seed = sheaf_now_ns();
  int32_t status = sheaf_engine_new(&args->engine, sheaf_heap(), &run->engine);
  if (status == SHEAF_OK) return CLI_OK;
  cli_say("%s", sheaf_status_text(status));
  return status == SHEAF_E_NOMEM ? CLI_HOST : CLI_USAGE;
}

static int join_doors(run_state *run) {
  sheaf_jobs_store *store = run->jobs.store;
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .ctx = run, .put = on_event};
  sheaf_doors doors = {.struct_bytes = sizeof doors,
                       .transport = cli_failures_open(&run->failures, run->curl,
                                                      run->place.endpoint.credential_id != 0,
                                                      run->place.endpoint.base_url),
                       .sink = &sink};
  if (run->files != NULL) {
    run->file_sink = *sheaf_files_sink(run->files);
    doors.source = sheaf_files_source(run->files);
    doors.store = sheaf_files_store(run->files);
  }
  if (store != NULL) {
    doors.store = sheaf_jobs_store_door(store);
    doors.spool = sheaf_jobs_store_spool(store);
  }
  sheaf_curl_bind(run->curl, run->engine);
  if (store != NULL)
    sheaf_jobs_store_bind(store, run->engine);
  else if (run->files != NULL)
    sheaf_files_bind(run->files, run->engine);
  if (sheaf_engine_open(run->engine, &doors) != SHEAF_OK) return CLI_HOST;
  if (run->files == NULL) sheaf_engine_end_input(run->engine);
  return CLI_OK;
}

/* ---- The loop ---- */

static uint64_t time_to_wait(run_state *run, uint64_t now) {
  uint64_t at = sheaf_engine_timeout_ns(run->engine), tick = run_jobs_tick(run, now);
  if (tick < at) at = tick;
  if (run->progress.shown && run->progress.next_ns < at) at = run->progress.next_ns;
  if (run->args.metrics != NULL && run->metrics_ns < at) at = run->metrics_ns;
  return at == SHEAF_NEVER ? SHEAF_NEVER : at > now ? at - now : 0;
}

void run_draw(run_state *run, bool force) {
  if (!run->progress.shown || (!force && sheaf_now_ns() < run->progress.next_ns)) return;
  sheaf_stats stats;
  sheaf_files_report report = {.rows_total = SHEAF_NEVER};
  sheaf_engine_stats(run->engine, &stats);
  if (run->files != NULL) sheaf_files_report_get(run->files, &report);
  cli_progress_draw(&run->progress, &stats, &report, force);
}

/* For who watches the run from outside; a failure is told once, at the end. */
static void write_metrics(run_state *run, uint64_t now) {
  if (run->args.metrics == NULL || now < run->metrics_ns) return;
  sheaf_stats stats;
  sheaf_engine_stats(run->engine, &stats);
  run->metrics_ns = cli_summary_write(run->args.metrics, &stats, true) == CLI_OK
                        ? now + METRICS_EVERY_NS
                        : SHEAF_NEVER;
}

/* Records of earlier runs on their way to the engine, and the hold on the state file. */
static int32_t pump(run_state *run) {
  if (run->jobs.store != NULL) return sheaf_jobs_store_pump(run->jobs.store);
  return run->files != NULL ? sheaf_files_pump(run->files) : SHEAF_OK;
}

static int32_t flush(run_state *run) {
  return run->files != NULL ? sheaf_files_flush(run->files) : SHEAF_OK;
}

static void fail(run_state *run, int32_t status) {
  if (run->failure == SHEAF_OK) run->failure = status;
}

int32_t run_loop(run_state *run) {
  bool failed = false;
  const int input = run->files != NULL ? sheaf_files_input_fd(run->files) : -1;
  for (;;) {
    obey_signals(run);
    if (run->unreachable) sheaf_engine_drain(run->engine);
    int32_t pumped = pump(run);
    if (pumped != SHEAF_OK && run->failure == SHEAF_OK) {
      run->failure = pumped;
      sheaf_engine_abort(run->engine);
    }
    uint64_t now = sheaf_now_ns();
    int32_t status = sheaf_engine_run_once(run->engine, now, sheaf_unix_ms());
    if (status == SHEAF_E_END) return run->failure;
    if (status != SHEAF_OK) { /* told once, then it drains: there may be nothing left to wait for */
      fail(run, status);
      if (failed) return run->failure;
      failed = true;
      continue;
    }
    int32_t flushed =
        flush(run); /* each turn: what a kill could take is what is in flight, no more */
    if (flushed && run->failure == SHEAF_OK) {
      run->failure = flushed;
      sheaf_engine_abort(run->engine);
      continue;
    }
    run_draw(run, false);
    write_metrics(run, now);
    int32_t polled = sheaf_curl_poll(run->curl, time_to_wait(run, now), input);
    if (polled) return polled;
  }
}

/* ---- The whole ---- */

int run_open(run_state *run) {
  const bool moves_rows = run->args.engine.batch_mode <= SHEAF_BATCH_COLLECT;
  int answer = cli_prices_open(&run->args, &run->prices);
  if (answer == CLI_OK) answer = cli_schema_open(&run->args);
  if (answer == CLI_OK) answer = cli_place_open(&run->args, &run->args.target, &run->place);
  if (answer == CLI_OK) answer = cli_params_open(&run->args);
  if (answer == CLI_OK && run->args.dry_run) return CLI_OK;
  if (answer == CLI_OK) answer = check_budget(run);
  if (answer == CLI_OK) answer = run_jobs_prepare(run);
  if (answer == CLI_OK && moves_rows)
    answer = cli_run_counter_open(&run->counter, &run->args, &run->place.endpoint);
  if (answer == CLI_OK && moves_rows) answer = open_files(run);
  if (answer == CLI_OK) answer = run_jobs_open(run);
  if (answer == CLI_OK) answer = open_transport(run);
  if (answer == CLI_OK) answer = open_engine(run);
  if (answer == CLI_OK) answer = join_doors(run);
  if (answer == CLI_OK) {
    cli_progress_open(&run->progress, run->args.quiet);
    run->progress.watch = &run->jobs.watch;
    run->progress.engine = run->engine;
    listen_to_signals(run);
  }
  return answer;
}

void run_close(run_state *run) {
  to_wake = NULL;
  cli_failures_close(&run->failures);
  sheaf_curl_free(run->curl);
  sheaf_engine_free(run->engine);
  cli_run_counter_close(&run->counter);
  sheaf_jobs_store_close(run->jobs.store);
  if (run->files != NULL) sheaf_files_close(run->files);
  sheaf_prices_free(run->prices, sheaf_heap());
  cli_place_close(&run->place);
}

int run_go(run_state *run) {
  int answer = run_open(run);
  if (answer == CLI_OK && run->args.dry_run) {
    uint32_t format;
    answer = cli_format(&run->args, &format);
    if (answer == CLI_OK) answer = cli_dry_run(&run->args, &run->place, format);
  } else if (answer == CLI_OK) {
    answer = run_finish(run, run_loop(run));
  }
  run_jobs_close(run, answer);
  run_close(run);
  return answer;
}

int cli_run(int argc, char **argv) {
  static run_state run; /* large, and there is one */
  int answer = cli_args_read(argc, argv, "run", &run.args);
  if (answer) return answer;
  if (run.args.help) return cli_help(stdout, "run");
  if (run.args.input == NULL)
    return cli_say("give the input file, as: sheaf run prompts.jsonl -o results.jsonl"), CLI_USAGE;
  if (run.args.output == NULL && !run.args.dry_run)
    return cli_say(
               "give the output file, as: sheaf run %s -o results.jsonl (or -o - for standard "
               "output)",
               run.args.input),
           CLI_USAGE;
  return run_go(&run);
}
