/* cli.h: what the subcommands share. The command stands on public headers only. */
#ifndef SHEAF_CLI_H
#define SHEAF_CLI_H

#include <sheaf/curl.h>
#include <sheaf/files.h>
#include <sheaf/sheaf.h>
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

/* Everything a command line or a config file can say. Strings live as long as the process. */
typedef struct cli_args {
  const char *input, *output;
  cli_target target;
  const char *system, *template_text, *url, *params;
  char temperature[64];
  const char *summary, *metrics, *prices, *api_key_file, *key_header, *query;
  const char *proxy, *ca_file;
  const char *format;
  bool quiet, dry_run, retry_failed, allow_http, sync_full, help, keep_going;
  uint32_t order, resume;
  uint64_t limit, runs;
  uint64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, shards, http2;
  sheaf_engine_options engine;
  const char *targets[32]; /* of bench */
  uint32_t target_count;
#ifdef SHEAF_SIM
  sheaf_sim_options sim;
#endif
} cli_args;

/* args.c. Answers CLI_OK or CLI_USAGE after a sentence on standard error. command: "run", "bench".
 */
int cli_args_read(int argc, char **argv, const char *command, cli_args *args);

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
void cli_place_wipe(cli_place *place);
void cli_place_close(cli_place *place);
/* The connection options of the arguments, over the defaults. */
sheaf_curl_options cli_transport_options(const cli_args *args);

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
  bool stream_fresh; /* it grew since it was drawn */
} cli_progress;
void cli_progress_open(cli_progress *progress, bool quiet);
void cli_progress_error(cli_progress *progress, const sheaf_result *result);
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

/* dry_run.c, run.c, bench.c, sim_cmd.c: subcommands; each answers its exit code. */
int cli_dry_run(const cli_args *args, const cli_place *place, uint32_t format);
int cli_run(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_sim(int argc, char **argv);

/* main.c */
extern const sheaf_allocator cli_allocator;
void cli_say(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* "sheaf: ..." on standard error */
char *cli_read_file(const char *path, size_t bytes_max, size_t *bytes); /* NULL after a sentence */

#endif
