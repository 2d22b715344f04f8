/* cli.h: what the subcommands share. The command stands on public headers only. */
#ifndef SHEAF_CLI_H
#define SHEAF_CLI_H

#include <sheaf/curl.h>
#include <sheaf/files.h>
#include <sheaf/heap.h>
#include <sheaf/sheaf.h>
#include <sheaf/tokens_batch.h>
#include <sheaf/vocab_files.h>
#ifdef SHEAF_SERVE
#include <sheaf/serve.h>
#endif
#ifdef SHEAF_SIM
#include <sheaf/sim.h>
#endif

#include <stdio.h>

/* Exit codes; they stand in the manual and never change their meaning. */
enum {
  CLI_OK = 0,
  CLI_USAGE = 2,       /* unknown option, bad value, no key */
  CLI_BAD_INPUT = 3,   /* the input, an output of another run, a price file */
  CLI_PARTIAL = 4,     /* some requests failed */
  CLI_ALL_FAILED = 5,  /* every request failed */
  CLI_INTERRUPTED = 6, /* Ctrl-C, a signal, or the run's deadline: what is left can be resumed */
  CLI_BUDGET = 7,      /* the budget is spent: what is left can be resumed */
  CLI_HOST = 8         /* disk, memory, network set-up */
};

typedef struct cli_target {
  const char *provider; /* a name of the table, or "sim" */
  const char *base_url;
  const char *model;
} cli_target;

/* Settings of jobs that the environment may give; a flag wins over it, it wins over a config file. */
enum {
  CLI_SETTING_ENABLED = 0,
  CLI_SETTING_THRESHOLD = 1,
  CLI_SETTING_POLL = 2,
  CLI_SETTING_TIMEOUT = 3,
  CLI_SETTING_REQUESTS = 4,
  CLI_SETTING_COUNT = 5
};
/* Whose word an option's value is; STATE: it was given at submission. */
enum {
  CLI_FROM_DEFAULT = 0,
  CLI_FROM_CONFIG = 1,
  CLI_FROM_ENVIRONMENT = 2,
  CLI_FROM_STATE = 3,
  CLI_FROM_LINE = 4
};
#define CLI_STATES_MAX 64
#define CLI_WORDS_MAX 256

/* Everything a command line or a config file can say. Strings live as long as the process. */
typedef struct cli_args {
  const char *input, *output;
  cli_target target;
  const char *system, *template_text, *url, *params;
  char temperature[64];
  const char *summary, *metrics, *prices, *api_key_file, *key_header, *query;
  const char *proxy, *ca_file;
  const char *format;
  const char *vocab; /* a file or a folder of vocabularies */
  bool quiet, dry_run, retry_failed, allow_http, sync_full, help, keep_going, json;
  uint32_t order, resume;
  uint64_t limit, runs, threads, latency_ms, output_tokens;
  const char *host, *access_token_file; /* of serve */
  uint64_t port, drain_ms;
  uint64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, shards, http2;
  sheaf_engine_options engine;
  const char *targets[32]; /* of bench */
  uint32_t target_count;
  const char *json_schema; /* a file */
  /* Jobs. */
  const char *state; /* the last one given */
  const char *states[CLI_STATES_MAX];
  uint32_t state_count;
  const char *state_folder, *events;
  bool refresh, cancel, resubmit, abandon;
  const char *adopt;
  const char *words[CLI_WORDS_MAX]; /* what is neither an option nor an input */
  uint32_t word_count;
  uint32_t source;                 /* CLI_FROM_*: of what is being read */
  uint8_t from[CLI_SETTING_COUNT]; /* CLI_FROM_*: where a setting has its value from */
  bool batch_disabled;             /* SHEAF_BATCH_ENABLED=0 */
  sheaf_buf given;                 /* options as members of a JSON object, for the state file */
#ifdef SHEAF_SIM
  sheaf_sim_options sim;
#endif
} cli_args;

/* args.c. The engine's options as a command begins with them: one that runs over files, or serve. */
void cli_engine_defaults(bool over_files, sheaf_engine_options *options);
/* Answers CLI_OK or CLI_USAGE after a sentence on standard error. command: "run", "bench", "plan",
 * "serve", "jobs wait" and its like. */
int cli_args_read(int argc, char **argv, const char *command, cli_args *args);
/* The same over the options that a state file holds, which count as the line of the command that submitted; this
 * command's own line wins. */
int cli_args_read_after(int argc, char **argv, const char *command, const char *state,
                        sheaf_slice stored, cli_args *args);
/* An option of the engine that is of no use without jobs. */
bool cli_is_job_option(const sheaf_option *option);

/* settings.c: SHEAF_BATCH_* */
/* CLI_OK, or CLI_USAGE after a sentence that names the variable. */
int cli_settings_read(cli_args *args);
/* An option was given: if it is one of the settings, args->from says by whom. */
void cli_setting_note(cli_args *args, const char *option);
/* "SHEAF_BATCH_THRESHOLD"; the option that it gives; what it is now, as text; whose word that is. */
typedef struct cli_setting {
  const char *variable;
  const char *option;
  char value[32];
  const char *source;
} cli_setting;
cli_setting cli_setting_at(const cli_args *args, uint32_t n);

/* The format the arguments name, as SHEAF_FORMAT_*; CLI_OK or CLI_USAGE after a sentence. */
int cli_format(const cli_args *args, uint32_t *format);

/* help.c */
/* command NULL: the whole. CLI_OK, or CLI_USAGE after a sentence. */
int cli_help(FILE *to, const char *command);

/* target.c: makes an endpoint and its key. */
typedef struct cli_place {
  sheaf_provider own; /* "sim": OpenAI's dialect under its own name */
  sheaf_endpoint endpoint;
  char base_url[1024];
  char secret[1024]; /* wiped by cli_place_wipe */
  void *sim;
} cli_place;
/* CLI_OK, or an exit code after a sentence on standard error. */
int cli_place_open(const cli_args *args, const cli_target *target, cli_place *place);
/* A secret from a file that nobody else may read, without the space around it. CLI_OK, or CLI_USAGE after a
 * sentence; what: "key", "access token". */
int cli_secret_read(const char *path, const char *what, char *to, size_t bytes);
void cli_place_wipe(cli_place *place);
void cli_place_close(cli_place *place);
/* The connection options of the arguments, over the defaults. */
sheaf_curl_options cli_transport_options(const cli_args *args);

/* counting.c: input tokens of request bodies. */
enum {
  CLI_COUNT_EXACT = 0, /* what the provider counts */
  CLI_COUNT_NEAR = 1,  /* by a vocabulary, but of an unknown model, or with tools, schemas, files */
  CLI_COUNT_BYTES = 2  /* guessed from bytes */
};
typedef struct cli_count {
  uint64_t tokens;
  uint32_t basis;
} cli_count;
typedef struct cli_counting {
  sheaf_vocab_shelf *shelf;
  sheaf_token_pool *pool;
  sheaf_model_counter **counters; /* one a thread */
  uint32_t threads;
  bool has_choice; /* the user named an encoding or a file: it is right for every model */
} cli_counting;
/* CLI_OK, or an exit code after a sentence; closed in any case. threads 0: all processors. */
int cli_counting_open(cli_counting *it, const char *vocab, const char *encoding, uint32_t threads);
void cli_counting_close(cli_counting *it);
/* By the model's vocabulary, else from bytes. */
cli_count cli_count_body(cli_counting *it, uint32_t thread, const char *provider, sheaf_slice model,
                         sheaf_slice body);
cli_count cli_count_bytes(const char *provider, sheaf_slice model, uint64_t bytes);
/* false: the provider publishes none. */
bool cli_has_tokenizer(const cli_counting *it, const char *provider, sheaf_slice model);

/* The counter of a run, where a limit, a cap or --vocab needs one. */
typedef struct cli_run_counter {
  sheaf_vocab_shelf *shelf;
  sheaf_model_counter *counter;
} cli_run_counter;
/* Hands it to args->engine and says once whether input is counted or estimated, and why. */
int cli_run_counter_open(cli_run_counter *it, cli_args *args, const sheaf_endpoint *endpoint);
void cli_run_counter_print(const cli_run_counter *it, FILE *to); /* a line of the summary */
void cli_run_counter_close(cli_run_counter *it);

/* rows.c: a whole input, built and counted, and nothing sent. */
typedef struct cli_row {
  int32_t status;                          /* SHEAF_OK, or why it is no good */
  uint64_t line;                           /* 0: not known */
  const char *sentence;                    /* of a line that could not be read */
  const char *error_field, *error_message; /* of one that could not be built */
  const sheaf_request *request;            /* with its defaults; NULL where it could not be read */
  uint64_t body_bytes;
  int64_t output_max; /* SHEAF_ABSENT: no cap is sent */
  bool is_embedding;  /* nothing is written */
  bool has_one_input; /* and this is embedded as one text */
  cli_count count;
} cli_row;
typedef void (*cli_row_fn)(void *user, const cli_row *row);
/* Hands every row to fn, good or bad, in order, on the calling thread. CLI_OK once all were read. */
int cli_rows_scan(const cli_args *args, const cli_place *place, uint32_t format,
                  cli_counting *counting, cli_row_fn fn, void *user);
/* A bad row's sentence on standard error. */
void cli_row_complain(const cli_args *args, const cli_row *row);

/* failure.c: what a failed result may show. */
typedef struct cli_failures {
  sheaf_curl *curl;
  sheaf_transport transport, own; /* own passes on, and sees the addresses */
  sheaf_slice base_url;
  char url[2048];
  size_t url_bytes;
  bool has_many; /* addresses */
  bool has_key;
  sheaf_buf text;
  sheaf_result shown;
} cli_failures;
/* The transport to hand to the engine. */
const sheaf_transport *cli_failures_open(cli_failures *failures, sheaf_curl *curl, bool has_key,
                                         sheaf_slice base_url);
/* A failed result without keys, with the address of a 404. It lives until the next call. */
const sheaf_result *cli_failure_show(cli_failures *failures, const sheaf_result *result);
void cli_failures_close(cli_failures *failures);

/* progress.c */
typedef struct cli_progress {
  bool shown, terminal;
  uint32_t rows_drawn;
  bool error_is_new; /* not yet in a plain line */
  uint64_t begun_ns, next_ns;
  char last_error[160];
  char stream_id[40]; /* the row whose streamed text is shown, and the end of that text */
  char stream_text[120];
  bool stream_fresh;              /* it grew since it was drawn */
  const sheaf_engine *engine;     /* whose jobs are shown; NULL: none */
  const struct jobs_watch *watch; /* how fast they get on */
} cli_progress;
void cli_progress_open(cli_progress *progress, bool quiet);
void cli_progress_error(cli_progress *progress, const sheaf_result *result);
struct jobs_job;
/* What became known of a job; eta_ns: SHEAF_NEVER if it cannot be told. */
void cli_progress_job(cli_progress *progress, const struct jobs_job *job, uint64_t eta_ns);
/* A delta or a discard: on a terminal the text of one row is shown as it comes. */
void cli_progress_stream(cli_progress *progress, const sheaf_event *event);
void cli_progress_note(cli_progress *progress, const char *sentence);
/* When it wants to be drawn next; draws if that time has come or force. */
void cli_progress_draw(cli_progress *progress, const sheaf_stats *stats,
                       const sheaf_files_report *files, bool force);
void cli_progress_close(cli_progress *progress);

/* report.c */
void cli_summary_print(FILE *to, const sheaf_stats *stats, const sheaf_files_report *files,
                       const cli_args *args);
/* The class of error that the attempts met most; NULL: none. */
const char *cli_worst_class(const sheaf_stats *stats);
/* The summary as a file, JSON or OpenMetrics; CLI_OK or CLI_HOST. */
int cli_summary_write(const char *path, const sheaf_stats *stats, bool openmetrics);
/* 12.3s, 2m05s, 1h02m: into text of at least 32 bytes. */
const char *cli_duration(uint64_t ns, char *text);
/* Bytes from outside, safe for a terminal: control bytes become '?'. */
void cli_plain(char *to, size_t bytes, sheaf_slice from);

/* --params with or without its braces, into args->engine. CLI_OK or CLI_USAGE after a sentence. */
int cli_params_open(cli_args *args);
/* judged.c: what a run's structured answers are worth. */
typedef struct cli_judged {
  uint64_t strict, repaired, faulty, none;
} cli_judged;
/* --json-schema FILE, into args->engine; says once what of it is not checked. CLI_OK or CLI_BAD_INPUT. */
int cli_schema_open(cli_args *args);
void cli_judged_count(cli_judged *judged, const sheaf_result *result);
void cli_judged_print(const cli_judged *judged, FILE *to); /* a line of the summary, if any was */
/* --prices FILE, into args->engine; *prices is freed by the caller. CLI_OK or CLI_BAD_INPUT. */
int cli_prices_open(cli_args *args, sheaf_price_table **prices);

/* plan.c: what a plan knows; dry_run prints it in short. */
int cli_dry_run(const cli_args *args, const cli_place *place, uint32_t format);

/* run.c, bench.c, sim_cmd.c, tokens_cmd.c, plan.c, serve_cmd.c, jobs_cmd.c: subcommands; each answers its exit code. */
int cli_run(int argc, char **argv);
int cli_tokens(int argc, char **argv);
int cli_plan(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_sim(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_jobs(int argc, char **argv);

/* main.c */
void cli_say(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* "sheaf: ..." on standard error */
/* As many open files as wanted, or as many as the system allows. */
void cli_raise_descriptors(uint64_t wanted);
char *cli_read_file(const char *path, size_t bytes_max, size_t *bytes); /* NULL after a sentence */

#endif
